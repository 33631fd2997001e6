/* The operators' HTTP server: a small one of its own, on the main loop, apart from the traffic.
 *
 *   GET / (the dashboard) /live /history                    POST /switch /drain /resume /freeze /unfreeze
 *       /status /metrics /healthz /readyz /explain /events       /approve /revoke /reload
 *   GET, POST, DELETE /faults                               DELETE /faults/REGION
 *   GET /whoami
 *
 * Who may ask is in admin_access.h. Besides, it defends against pages in an operator's browser: without TLS, Host must
 * name loopback (DNS rebinding; a browser gets to a Unix socket too, by ssh -L), and what changes something needs a header that a foreign page cannot send (CSRF). There
 * are no cookies. Main thread. */
#ifndef DAVENPORT_SRC_APP_ADMIN_H
#define DAVENPORT_SRC_APP_ADMIN_H

#include "davenport/app/config.h"
#include "davenport/app/text.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/http/head.h"

#include "app/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;

#define DP_ADMIN_BODY_BYTES  ((size_t)65536)
#define DP_ADMIN_CONNECTIONS 64
#define DP_ADMIN_WATCHERS    16 /* of these, at most so many live feeds */

struct dp_admin_source;
struct dp_admin_request;
struct dp_admin_answer;
struct dp_live;
struct dp_admin_caller;

/* The tokens in force; borrowed until the loop turns. */
struct dp_admin_tokens {
    const struct dp_config_token *at;
    uint16_t n;
};

/* What the server shows and changes. */
struct dp_admin_source {
    void *ctx;
    /* What a request is answered: dp_admin_answer, or another program's (a relay's), which needs nothing of what follows. */
    void (*answer)(const struct dp_admin_source *source, const struct dp_admin_request *request,
                   struct dp_admin_answer *answer);
    void (*report)(void *ctx, struct dp_report *out);
    /* Add what only /metrics tells: dp_report_add_process. NULL: nothing. */
    void (*process)(struct dp_report *out);
    /* Another process is about to have the state, so nothing may be changed. NULL: never. */
    bool (*being_replaced)(void *ctx);
    /* As dp_governor_events, _order and _saved. */
    size_t (*events)(void *ctx, struct dp_span *lines, size_t max);
    enum dp_err (*order)(void *ctx, const struct dp_order_request *r, struct dp_order_result *out);
    bool (*saved)(void *ctx, uint64_t ticket);
    /* As dp_governor_fault and _heal. */
    enum dp_err (*fault)(void *ctx, const struct dp_fault_request *r, struct dp_fault_result *out);
    enum dp_err (*heal)(void *ctx, const char *region, const char *actor, uint32_t *healed);
    /* Read the configuration again for `actor`. *asked: the number of this wish; dp_admin_reloaded tells how it ended. Errors: DP_EAGAIN
     * (another process is being started, which reads it), DP_EDRAINING (the proxy is ending). */
    enum dp_err (*reload)(void *ctx, const char *actor, uint64_t *asked);
    /* Who may ask over TCP. NULL, or none: everybody who can connect. */
    void (*tokens)(void *ctx, struct dp_admin_tokens *out);
    /* Somebody was turned away: count it by `who`, journal it unless that happens too often. How many seconds to stay
     * away, 0: it may try again. */
    uint32_t (*denied)(void *ctx, const char *who, const char *actor, const char *reason);
    /* What has been seen so far. The server sets it, and gives the feed, where there are report() and events(). */
    struct dp_live *live;
};

/* One request, whole. */
struct dp_admin_request {
    const struct dp_head *head;
    struct dp_span body;
    bool tcp;
    bool tls; /* no Host check then: the browser has checked the name by the certificate */
    const char *
        peer; /* what is known of who asks: "loopback", "10.0.0.7", "uid 0", "token ann, 10.0.0.7" */
    const struct dp_admin_caller *caller; /* once it was let in */
};

/* What comes after the body's beginning. */
enum dp_admin_follow {
    DP_FOLLOW_NOT,   /* nothing: it is whole */
    DP_FOLLOW_LINES, /* the journal's lines: dp_admin_event */
    DP_FOLLOW_LIVE,  /* the live feed (admin_live.h) */
};

struct dp_admin_answer {
    uint16_t status;
    const char *type;       /* Content-Type */
    const char *allow;      /* of a 405, else NULL */
    const char *challenge;  /* of a 401 (WWW-Authenticate), else NULL */
    uint32_t retry_after_s; /* of a 429, else 0 */
    struct dp_span policy;  /* Content-Security-Policy, of a page; static */
    struct dp_text body;
    uint64_t ticket; /* not 0: better sent once the order is on the disk (dp_admin_kept) */
    uint64_t reload; /* not 0: sent when this reload has ended */
    enum dp_admin_follow follow;
};

/* Answer a request: the server without its sockets. `answer` is zeroed before; the caller frees its body. */
void dp_admin_answer(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer);
/* Not now, for a new process is taking over. */
void dp_admin_refuse_replaced(struct dp_admin_answer *answer);
/* Set `answer` to {"error":word,"reason":reason}, in place of what it held. */
void dp_admin_refuse(struct dp_admin_answer *answer, uint16_t status, const char *word,
                     const char *reason);
/* 405: the path takes these methods ("GET, HEAD") only. */
void dp_admin_refuse_method(struct dp_admin_answer *answer, const char *allow);

const char *dp_admin_role_name(enum dp_admin_role role); /* "read", "operator" */

/* The defence of every answer: false after `answer` was made a refusal. A request that changes something needs both. */
DP_MUST_USE bool dp_admin_is_local(const struct dp_admin_request *request,
                                   struct dp_admin_answer *answer);
DP_MUST_USE bool dp_admin_may_change(const struct dp_head *head, struct dp_admin_answer *answer);

struct dp_admin;

/* fd: bound, not listening yet; owned from here on, also on failure. tcp: else a Unix socket. tls: NULL: none is spoken;
 * shared. */
DP_MUST_USE enum dp_err dp_admin_new(uv_loop_t *loop, int fd, bool tcp, struct dp_tls *tls,
                                     const struct dp_admin_source *source, struct dp_admin **out,
                                     const char **why);
/* For connections from now on, in place of the one from before. */
void dp_admin_renew_tls(struct dp_admin *a, struct dp_tls *tls);
/* A journal line, without its newline: who follows gets it. One that does not read is cut off. */
void dp_admin_event(struct dp_admin *a, struct dp_span line);
/* Something reached the disk: answers that waited for it are sent. */
void dp_admin_saved(struct dp_admin *a);
/* Every reload asked for up to number `asked` was done or refused: who waits for it is answered. changes, problems: a line
 * each. */
void dp_admin_reloaded(struct dp_admin *a, uint64_t asked, bool done, struct dp_span changes,
                       struct dp_span problems);
/* The socket that it accepts from, the server's own. */
int dp_admin_listener(const struct dp_admin *a);
/* Closes everything; `done` runs when the memory is gone. */
void dp_admin_destroy(struct dp_admin *a, void (*done)(void *ctx), void *ctx);

#endif
