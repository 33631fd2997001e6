/* The operators' HTTP server: a small one of its own, on the main loop, apart from the traffic.
 *
 *   GET /status /metrics /healthz /readyz /explain /events     POST /switch /drain /resume /freeze /unfreeze
 *                                                           /approve /revoke /reload
 *
 * It listens on loopback or a Unix socket only and has no passwords, so it defends against pages in an operator's
 * browser: Host must name loopback (DNS rebinding), and what changes something needs a header that a foreign page
 * cannot send (CSRF). Main thread. */
#ifndef DAVENPORT_SRC_APP_ADMIN_H
#define DAVENPORT_SRC_APP_ADMIN_H

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

/* What the server shows and changes. */
struct dp_admin_source {
    void *ctx;
    void (*report)(void *ctx, struct dp_report *out);
    /* As dp_governor_events, _order and _saved. */
    size_t (*events)(void *ctx, struct dp_span *lines, size_t max);
    enum dp_err (*order)(void *ctx, const struct dp_order_request *r, struct dp_order_result *out);
    bool (*saved)(void *ctx, uint64_t ticket);
    /* Read the configuration again for `actor`: the number of this wish (dp_admin_reloaded tells how it ended); 0: no more. */
    uint64_t (*reload)(void *ctx, const char *actor);
};

/* One request, whole. */
struct dp_admin_request {
    const struct dp_head *head;
    struct dp_span body;
    bool tcp;         /* the Host check is for TCP only: no browser reaches a Unix socket */
    const char *peer; /* what is known of who asks: "loopback", "uid 0" */
};

struct dp_admin_answer {
    uint16_t status;
    const char *type;  /* Content-Type */
    const char *allow; /* of a 405, else NULL */
    struct dp_text body;
    uint64_t ticket; /* not 0: better sent once the order is on the disk (dp_admin_kept) */
    uint64_t reload; /* not 0: sent when this reload has ended */
    bool follow;     /* the body is the beginning of a stream of lines: dp_admin_event */
};

/* Answer a request: the server without its sockets. `answer` is zeroed before; the caller frees its body. */
void dp_admin_answer(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer);
/* Set `answer` to {"error":word,"reason":reason}, in place of what it held. */
void dp_admin_refuse(struct dp_admin_answer *answer, uint16_t status, const char *word,
                     const char *reason);

struct dp_admin;

/* fd: bound, not listening yet; owned from here on, also on failure. tcp: else a Unix socket. */
DP_MUST_USE enum dp_err dp_admin_new(uv_loop_t *loop, int fd, bool tcp,
                                     const struct dp_admin_source *source, struct dp_admin **out,
                                     const char **why);
/* A journal line, without its newline: who follows gets it. One that does not read is cut off. */
void dp_admin_event(struct dp_admin *a, struct dp_span line);
/* Something reached the disk: answers that waited for it are sent. */
void dp_admin_saved(struct dp_admin *a);
/* Every reload asked for up to number `asked` was done or refused: who waits for it is answered. changes, problems: a line
 * each. */
void dp_admin_reloaded(struct dp_admin *a, uint64_t asked, bool done, struct dp_span changes,
                       struct dp_span problems);
/* Closes everything; `done` runs when the memory is gone. */
void dp_admin_destroy(struct dp_admin *a, void (*done)(void *ctx), void *ctx);

#endif
