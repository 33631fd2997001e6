/* The engine: everything a worker's connections share, without the thread and the sockets, so that
 * tests drive it with stream doubles and a clock of their own. All on one thread. */
#ifndef DAVENPORT_PROXY_ENGINE_H
#define DAVENPORT_PROXY_ENGINE_H

#include "davenport/base/arena.h"
#include "davenport/base/buf.h"
#include "davenport/base/clock.h"
#include "davenport/base/list.h"
#include "davenport/core/hedge.h"
#include "davenport/core/router.h"
#include "davenport/core/trial.h"
#include "davenport/couch/seqmaps.h"
#include "davenport/net/stream.h"
#include "davenport/net/timer.h"
#include "davenport/proxy/recent.h"
#include "davenport/proxy/worker.h"

#include "proxy/access_log.h"
#include "proxy/clients.h"
#include "proxy/hold.h"
#include "proxy/ids.h"
#include "proxy/minting.h"
#include "proxy/pool.h"

/* A client connection has a reader only while a request is under way. So many wait for the next ones. */
#define DP_FREE_READERS 128

/* A configuration as one worker holds it: for as long as views are pinned that came with it. */
struct dp_kept_config {
    const struct dp_proxy_config *config;
    void (*release)(void *ctx); /* it is not used any more; may be NULL */
    void *ctx;
    uint32_t keeps;
};

/* A view as one worker holds it: counted here without atomics, released when the last exchange lets
 * go. */
struct dp_reader;

struct dp_pinned_view {
    struct dp_view *view;
    struct dp_kept_config *kept;
    uint32_t pins;
};

/* How one connection to one address is begun; tests put a double here. As dp_tcp_dial. */
typedef enum dp_err (*dp_dial_fn)(void *ctx, uint16_t endpoint, const struct dp_addr *addr,
                                  const struct dp_stream_events *events, void *owner,
                                  struct dp_stream **out);

/* How TLS begins on a client's connection; tests put a double here. As dp_tls_accept; ctx is dial_ctx. */
typedef enum dp_err (*dp_secure_fn)(void *ctx, struct dp_stream *lower,
                                    const struct dp_stream_events *events, void *owner,
                                    struct dp_stream **out);

/* One duration each; a connection has one timer and moves it between classes. */
enum dp_wait {
    DP_WAIT_HEAD,      /* client: the rest of a head */
    DP_WAIT_IDLE,      /* client: the next request */
    DP_WAIT_BODY,      /* client: more of a body, or room for more of the answer */
    DP_WAIT_RATE,      /* client: the end of a window over which that is measured */
    DP_WAIT_LINGER,    /* client: that it reads our last answer */
    DP_WAIT_CONNECT,   /* region: the connection */
    DP_WAIT_RACE,      /* region: the next address of a dial */
    DP_WAIT_ANSWER,    /* region: the first byte of the answer */
    DP_WAIT_PARTITION, /* region: the same of a request within a partition */
    DP_WAIT_KEPT,      /* region: the next look at an answer that is kept (kept.h) */
    DP_WAIT_STALL,     /* region: more of the answer, or room for more of the request */
    DP_WAIT_FEED,      /* region: the same on a feed */
    DP_WAIT_POOL,      /* region: an idle connection's next use */
    DP_WAIT_REQUEST,   /* exchange: the beginning of an answer, over all attempts */
    DP_WAIT_LINE,      /* exchange: a turn in a full pool's line */
    DP_WAIT_INQUIRY,   /* exchange: the answer to a question of our own */
    DP_WAIT_COUNT
};

struct dp_engine {
    const struct dp_proxy_config *config; /* the current view's */
    struct dp_kept_config first;          /* the one that it began with */
    const struct dp_clock *clock;
    struct dp_traffic *traffic;
    struct dp_timer_wheel wheel;
    struct dp_timer_class waits[DP_WAIT_COUNT];
    struct dp_arena_cache arenas;
    struct dp_chunk_pool chunks;
    struct dp_reader *readers[DP_FREE_READERS]; /* of requests, that no connection needs now */
    size_t n_readers;
    struct dp_pinned_view *view; /* current */
    struct dp_view *view_due;    /* comes next, when there is memory to pin it; or NULL */
    struct dp_seqview *
        sequences; /* where feeds go on in another region; or NULL. Not to be kept beyond a callback */
    struct dp_trials trials;
    struct dp_router router; /* what this worker's own requests say of the regions */
    struct dp_pool pools[DP_MAX_ENDPOINTS];
    uint64_t turns; /* of the loop: what happens in one turn came with one look at the sockets */
    uint64_t warm_at_ns;                      /* when the pools are looked at next */
    uint64_t trim_at_ns;                      /* when unused chunks are let go next */
    uint64_t ticked_ns;                       /* the last tick; 0: none yet */
    struct dp_list conns;                     /* client connections (dp_conn.node) */
    struct dp_list awaited[DP_MAX_ENDPOINTS]; /* point requests without a first byte, oldest first
                                                 (dp_exchange.awaited) */
    uint64_t late_looked_ns;                  /* when they were last looked at */
    struct dp_list overdue;      /* late point requests, oldest first (dp_exchange.awaited) */
    struct dp_list feeds_ending; /* (dp_exchange.awaited) */
    struct dp_list faulted;      /* connections that a drill's fault keeps (dp_upstream.faulted) */
    uint32_t spent[DP_BUDGET_COUNT]; /* attempts that count against each */
    struct dp_hedge_budget hedges;
    struct dp_hold_queue hold;     /* exchanges that wait for a region */
    struct dp_list handoffs;       /* leases to be completed by dp_engine_turn (dp_lease.node) */
    uint32_t n_conns, n_upstreams; /* both 0: nothing is left that could call back */
    bool
        parting; /* a region is away, held, on its way back: reads may come from where a write is not yet */
    uint32_t writes_placed; /* attempts of writes that have a place somewhere */
    uint32_t pause_broken;  /* the view's last pause that could not be kept; 0: none */
    uint32_t n_turned_away; /* of n_conns: past a limit, they take nobody's place */
    struct dp_random random;
    struct dp_mint_state mint;
    int64_t date_s; /* the second that `date` tells, since 1970 */
    char date[DP_TIME_TEXT];
    uint32_t n_requests; /* so far: see dp_attempts.turn */
    bool draining;
    bool client_tls; /* clients come by TLS */
    bool logging;    /* `access` is on */
    struct dp_access_log access;
    char *tagged; /* DP_TAGGED_BYTES: where answers are rewritten; NULL: none was yet */
    struct dp_tracing_ring *spans;      /* or NULL: no trace is recorded */
    struct dp_address_limit *addresses; /* or NULL */
    struct dp_recent *recent;           /* or NULL */
    struct dp_checkpoints *checkpoints; /* or NULL */
    uint64_t least_in_window;           /* bytes that a client must move in one; 0: it need not */
    uint64_t warn_at_ns; /* when the next PROXY header that is none is worth a line in the log */
    struct dp_clients clients;     /* who logs in now, who did */
    struct dp_login_limit *logins; /* or NULL */
    dp_hash_fn hash;
    dp_secure_fn secure;
    dp_dial_fn dial;
    const struct dp_exchange
        *last; /* the one that did a step last, if it lives: for a crash report */
    void *dial_ctx;
    void (*kick)(void *ctx);
    void *kick_ctx;
};

struct dp_engine_options {
    const struct dp_proxy_config *config;
    void (*release)(void *ctx); /* `config` is not used any more; may be NULL */
    void *release_ctx;
    const struct dp_clock *clock;
    struct dp_traffic *traffic;
    struct dp_view *view; /* a reference of its own is taken */
    bool client_tls;
    struct dp_random random; /* not all zero, unlike any other engine's */
    struct dp_access_config access;
    struct dp_tracing_ring *spans;      /* or NULL */
    struct dp_address_limit *addresses; /* or NULL */
    struct dp_recent *recent;           /* or NULL */
    struct dp_checkpoints *checkpoints; /* or NULL */
    struct dp_login_limit *logins;      /* or NULL: nobody is asked who he is */
    dp_hash_fn hash;                    /* with it */
    dp_secure_fn secure;                /* behind a PROXY header; NULL: clients are plain */
    dp_dial_fn dial;
    void *dial_ctx;
    void (*kick)(void *ctx);
    void *kick_ctx;
};

void dp_engine_init(struct dp_engine *e, const struct dp_engine_options *opt);
/* All connections must be gone. */
void dp_engine_fini(struct dp_engine *e);

/* Go on by another configuration, with the first view that is made for it. All three are taken over; `pinned` and `kept`
 * are memory from malloc. What began by the old one may point into it until it ends; times and limits are the new ones. */
void dp_engine_reload(struct dp_engine *e, struct dp_kept_config *kept,
                      struct dp_pinned_view *pinned, struct dp_view *view);
/* A new view (without memory to pin it: at one of the next ticks): idle connections of changed endpoints are dropped, requests and feeds on a dead
 * endpoint are moved or ended. Takes over the caller's reference. */
void dp_engine_adopt_view(struct dp_engine *e, struct dp_view *view);

/* New sequence maps. Takes over the caller's reference. */
void dp_engine_adopt_sequences(struct dp_engine *e, struct dp_seqview *view);
/* Writes stand still: say so when none is under way any more. */
void dp_engine_rest(struct dp_engine *e);
/* A write can't wait any longer, or has no place to wait: the view's pause is kept no more. */
void dp_engine_break_pause(struct dp_engine *e);

/* Before the loop waits: complete what must not run inside the call that caused it. */
void dp_engine_turn(struct dp_engine *e);
/* Time moves on: fires timers. */
void dp_engine_tick(struct dp_engine *e, uint64_t now_ns);

/* Stop: idle clients are closed, feeds ended, the rest finishes. */
void dp_engine_drain(struct dp_engine *e);
/* No new connection will come, and those that are there end with their next answer; feeds within so long, each at a moment of
 * its own. Who asks nothing stays: dp_engine_drain. */
void dp_engine_retire(struct dp_engine *e, uint64_t feeds_within_ms);
/* Close everything at once. */
void dp_engine_abort(struct dp_engine *e);
bool dp_engine_idle(const struct dp_engine *e);

/* A reader of requests; NULL when out of memory. It goes back with dp_engine_give_reader (NULL is fine), in
 * whatever state it is. */
struct dp_reader *dp_engine_take_reader(struct dp_engine *e);
void dp_engine_give_reader(struct dp_engine *e, struct dp_reader *r);

/* The time as a Date field has it; formatted once a second. Valid until the next call. */
struct dp_span dp_engine_date(struct dp_engine *e);

struct dp_pinned_view *dp_engine_pin(struct dp_engine *e);
void dp_engine_unpin(struct dp_engine *e, struct dp_pinned_view *v); /* NULL is fine */

static inline void dp_engine_wait(struct dp_engine *e, struct dp_timer *t, enum dp_wait what)
{
    dp_timer_arm(&e->wheel, &e->waits[what], t);
}

#endif
