/* A worker: one thread, one loop, its own listening socket, pools and memory. Nothing is shared
 * with other workers; what comes from outside comes as a view or a drain order. */
#ifndef DAVENPORT_PROXY_WORKER_H
#define DAVENPORT_PROXY_WORKER_H

#include "davenport/base/attr.h"
#include "davenport/base/crash.h"
#include "davenport/base/err.h"
#include "davenport/base/sink.h"
#include "davenport/core/budget.h"
#include "davenport/core/rules.h"
#include "davenport/core/traffic.h"
#include "davenport/core/view.h"
#include "davenport/net/tls.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_TRACE_SAMPLE_ALL UINT32_C(1000000)

struct dp_address_limit;
struct dp_checkpoints;
struct dp_login_limit;
struct dp_seqview;
struct dp_recent;
struct dp_tracing_ring;

/* What becomes of a name that a client gave its request. */
enum dp_id_policy {
    DP_ID_MAKE,  /* passed on if it is sound, else a new one takes its place */
    DP_ID_PASS,  /* passed on if it is sound, else taken out */
    DP_ID_REMOVE /* taken out */
};

/* What becomes of fields that tell where a request came from. */
enum dp_forwarded_policy {
    DP_FORWARDED_PASS,    /* as they came, nothing added */
    DP_FORWARDED_ADD,     /* what came, then what is known here */
    DP_FORWARDED_REPLACE, /* what is known here, alone */
    DP_FORWARDED_REMOVE
};

/* Who a client may be to us. Strings without control characters, quotes and backslashes. */
struct dp_client_user {
    const char *name;
    const char *password; /* its hash: see net/secret.h */
    const char *roles;    /* "a,b"; "": none */
};

/* Where a request goes that changes what replication does not carry. */
enum dp_spread_policy {
    DP_SPREAD_FAN_OUT, /* to every region; who missed it is told beside the active region's answer */
    DP_SPREAD_STRICT,  /* to every region, or it is refused */
    DP_SPREAD_ACTIVE   /* to the active region */
};

/* Who may ask, and how that is proved. */
struct dp_clients_config {
    const struct dp_client_user *users; /* by name, ascending bytes */
    uint16_t n_users;
    bool
        certificate_suffices; /* who came by TLS showed one, for it is asked of everybody: no password is needed */
    unsigned char session_key[32]; /* of our cookies */
    uint32_t session_s;            /* how long a cookie is good; renewed meanwhile */
    uint32_t lock_failures;        /* wrong passwords of one name from one address */
    uint32_t lock_s;               /* within so long, and then it is locked until that is over */
};

/* A request goes on from a sequence of a region that can't take it. */
enum dp_foreign_sequence {
    DP_FOREIGN_TRANSLATE, /* elsewhere from a place that is proven to lose nothing, else from the beginning */
    DP_FOREIGN_REWIND, /* from the beginning */
    DP_FOREIGN_REJECT  /* nowhere */
};

/* Immutable while a worker has it. Times in ms, 0 = no limit where that makes sense. */
struct dp_proxy_config {
    /* clients */
    uint32_t head_timeout_ms;  /* from the first byte of a head to its last: 408 */
    uint32_t idle_timeout_ms;  /* keep-alive, between requests: closed */
    uint32_t body_timeout_ms;  /* no byte of a request body we wait for: 408; no byte taken by the
                                  client: closed */
    uint32_t max_head_bytes;   /* 431 */
    uint32_t max_target_bytes; /* 414 */
    uint32_t max_headers;      /* 431 */
    uint64_t max_body_bytes;   /* 413; 0: no limit */
    bool proxy_header;         /* every connection begins with a PROXY header, before TLS */
    uint32_t max_connections;  /* a worker; past it new ones are answered 503 and closed */
    uint32_t max_requests;     /* a connection: then it is closed; 0: no limit */
    uint32_t min_bytes_per_s;  /* of a body, of an answer: 408, closed; 0: no limit */
    uint32_t rate_window_ms;   /* over which that is measured */
    /* regions */
    uint32_t connect_timeout_ms; /* for all addresses of an endpoint together */
    uint32_t
        race_delay_ms; /* before its next address is dialed beside those under way; 0: not before
                                    they failed */
    uint32_t waiting_timeout_ms; /* in line for a connection: 503 */
    uint32_t answer_timeout_ms;  /* from the whole request sent to the first answer byte; feeds are
                                   exempt */
    uint32_t partition_timeout_ms; /* the same of requests within a partition */
    uint32_t stall_timeout_ms;     /* no byte of an answer's body; feeds: feed_timeout_ms */
    uint32_t feed_timeout_ms;      /* silence on a feed */
    uint32_t pool_idle_timeout_ms; /* below the region's own (CouchDB: 300 s) */
    uint32_t pool_max_idle;        /* an endpoint and worker */
    uint32_t pool_warm;    /* unused connections that are kept ready to every usable endpoint */
    uint32_t max_upstream; /* connections an endpoint and worker; past it requests wait in line */
    uint32_t max_waiting;  /* requests that wait in line, an endpoint and worker: 503 past it */
    uint32_t replay_body_bytes; /* body kept for a second attempt; past it the request is sent once
                                 */
    bool resolve_conflicts; /* refusals that an earlier attempt may have caused are looked into */
    bool mint_ids;          /* documents of a POST without _id get one here: see docs/http.md */
    bool tags_sequences;    /* tokens are told with their region */
    uint32_t sequence_settle_s;        /* of dp_reading_of */
    bool tells_region, tells_attempts; /* Davenport-Region, Davenport-Attempts */
    uint32_t
        whole_answer_bytes; /* an answer up to so long begins when it is whole, where the request
                                    may be sent again; 0: none waits */
    enum dp_foreign_sequence foreign_sequence;
    struct dp_rules rules;   /* where requests go */
    uint32_t try_timeout_ms; /* from a point request sent to its answer's first byte, when another
                                   region would take it; 0: no limit */
    uint32_t request_timeout_ms; /* from the whole head to its answer's, over all attempts; feeds
                                    are exempt */
    struct dp_budget_config budgets[DP_BUDGET_COUNT]; /* of second attempts; a worker */
    uint32_t hedge_percent;                           /* of requests may be hedged; 0: none is */
    /* feeds */
    uint32_t feed_spread_ms; /* within which those of a dead region are ended, and the others */
    bool feed_ends_on_move;  /* of a living region, when traffic went to another */
    uint32_t feed_grace_ms;  /* before that */
    /* while no region can take a request; a worker */
    uint32_t hold_ms;            /* how long a request is kept for one that may come; 0: none is */
    uint32_t hold_requests;      /* so many at a time */
    uint64_t hold_bytes;         /* of heads and what was read of bodies */
    uint32_t hold_release_per_s; /* how fast they go on */
    /* memory */
    uint32_t max_buffer_chunks; /* 16 KiB each, a worker */
    /* shutting down */
    uint32_t drain_timeout_ms;
    /* fields */
    const char *via;    /* pseudonym in Via: "davenport" */
    bool via_answers;   /* add it to answers too */
    uint32_t max_via;   /* requests whose Via has that pseudonym so often are refused; 0: none */
    uint32_t recent_ms; /* what was written is read for so long; 0: maybe not */
    enum dp_spread_policy not_replicated;
    bool refuses_upgrades;               /* to other protocols: 501 */
    bool named_by_header, named_by_path; /* requests may name their region so */
    bool passes_assertions; /* X-Auth-CouchDB-* of clients, to regions that ask for none of ours */
    enum dp_id_policy request_id, traceparent;
    uint32_t
        trace_sample; /* of DP_TRACE_SAMPLE_ALL requests that begin a trace; see dp_worker_options.spans */
    enum dp_forwarded_policy forwarded, x_forwarded;
    const struct dp_clients_config *clients; /* NULL: nobody is asked who he is */
};

enum dp_access_format {
    DP_ACCESS_JSON,
    DP_ACCESS_COMBINED,
    DP_ACCESS_HAPROXY,
    DP_ACCESS_FORMAT_COUNT
};

/* The access log: a line a request. */
struct dp_access_config {
    struct dp_sink *sink; /* shared by all workers, outlives them; NULL: no access log */
    enum dp_access_format format;
    unsigned sample_percent; /* of what went well; all that did not is logged */
    uint32_t flush_ms;       /* a line waits no longer than that, and a tick, for others */
};

/* TLS of one worker: contexts of its own. Those of connections that are open live on until these end. */
struct dp_worker_tls {
    struct dp_tls *endpoints[DP_MAX_ENDPOINTS]; /* NULL: plain */
    struct dp_tls *listen;                      /* from clients; NULL: plain */
};
/* All plain; NULL when out of memory. free: NULL is fine. Any thread. */
struct dp_worker_tls *dp_worker_tls_new(void);
void dp_worker_tls_free(struct dp_worker_tls *tls);

struct dp_worker_options {
    const struct dp_proxy_config *config;
    void (*release)(
        void *
            ctx); /* `config` is not used any more: on the worker's thread, or in destroy; may be NULL */
    void *release_ctx;
    int listen_fd; /* bound: its own of a shared TCP port (SO_REUSEPORT), or a duplicate of a Unix socket
                                  that all workers accept from; the worker owns it */
    struct dp_view *view;      /* first view; the worker takes its own reference */
    struct dp_worker_tls *tls; /* the worker takes it over, also when it can't be made */
    struct dp_access_config access;
    struct dp_address_limit *addresses; /* shared by all workers, outlives them; NULL: no limit */
    struct dp_recent *recent;           /* likewise; NULL: nothing is remembered */
    struct dp_checkpoints *checkpoints; /* likewise; NULL: none is forgotten */
    struct dp_login_limit
        *logins; /* likewise; not NULL where config->clients is not, now or later */
    struct dp_tracing_ring *spans; /* its own, outlives it; NULL: no request's trace is recorded */
    uint32_t index;                /* for the thread's name and logs */
    void (*kick)(
        void *
            ctx); /* called on the worker's thread at a first failure, and when writes rest; must be
                                thread-safe */
    void *kick_ctx;
};

struct dp_worker;

/* Main thread. The traffic counters live until destroy. On failure the listening socket stays the caller's. */
DP_MUST_USE enum dp_err dp_worker_new(const struct dp_worker_options *opt, struct dp_worker **out);
/* Start the thread, which listens, so that connections wait, and takes none yet. Bind every listener before the first start. */
DP_MUST_USE enum dp_err dp_worker_start(struct dp_worker *w);
/* Any thread, once after start: it takes connections. */
void dp_worker_go(struct dp_worker *w);
/* Any thread. Latest wins. Takes a reference of its own. */
void dp_worker_publish(struct dp_worker *w, struct dp_view *view);
/* The same for the sequence maps: where feeds go on in another region. Before the first call nothing is proven. */
void dp_worker_publish_sequences(struct dp_worker *w, struct dp_seqview *view);
/* What a reload brings to one worker. new: takes `tls` over, also when it fails (NULL: out of memory); release as in the
 * options. Requests and connections keep the configuration and the contexts that they began with; what is plain stays
 * plain towards clients, what is TLS stays TLS. */
struct dp_worker_reload;
DP_MUST_USE struct dp_worker_reload *dp_worker_reload_new(const struct dp_proxy_config *config,
                                                          void (*release)(void *ctx), void *ctx,
                                                          struct dp_worker_tls *tls);
void dp_worker_reload_free(struct dp_worker_reload *r); /* unpublished; releases. NULL is fine */
/* Main thread. Takes `r` over, and a reference of its own to `view`, the first of its generation. Views of another
 * generation than the worker has are not used. Latest wins. */
void dp_worker_publish_reload(struct dp_worker *w, struct dp_worker_reload *r,
                              struct dp_view *view);
/* Any thread. Stop accepting, finish what is under way (feeds are ended), then end the thread;
 * whatever is left after drain_timeout_ms is closed. A second call closes at once. */
void dp_worker_drain(struct dp_worker *w);
/* Any thread. Another process accepts from the same socket from now on: stop accepting, and let every client finish in its own
 * time. A connection ends with its next answer ("Connection: close"), one that asks nothing stays until shortly before
 * drain_timeout_ms; feeds are ended one by one. Then as dp_worker_drain, which may also be called before. */
void dp_worker_retire(struct dp_worker *w);
/* The socket that it accepts from, the worker's own: valid from start until drain or retire. */
int dp_worker_listener(const struct dp_worker *w);
/* Raised by its loop many times a second. Any thread. */
uint32_t dp_worker_ticks(const struct dp_worker *w);
/* Its thread, and the request that did a step last, if that is still under way; no more of it than what kind it is, for a path
 * or a query may be secret. In a crash's handler, whatever thread: async-signal-safe. */
void dp_worker_describe(const struct dp_worker *w, struct dp_crash_text *out);
/* The kernel's number of its thread; 0: it has not begun. Any thread. */
long dp_worker_tid(const struct dp_worker *w);
/* True when the thread has ended: join will not wait. Any thread. */
bool dp_worker_done(const struct dp_worker *w);
/* Waits for the thread's end, frees. */
void dp_worker_destroy(struct dp_worker *w);

const struct dp_traffic *dp_worker_traffic(const struct dp_worker *w);

#endif
