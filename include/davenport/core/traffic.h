/* The way up: what one worker counts. Written by that worker only, read by anyone, never reset.
 * Workers and the control plane meet here and in the view, and nowhere else. */
#ifndef DAVENPORT_CORE_TRAFFIC_H
#define DAVENPORT_CORE_TRAFFIC_H

#include "davenport/base/counter.h"
#include "davenport/base/err.h"
#include "davenport/core/outcome.h"
#include "davenport/core/seen.h"
#include "davenport/core/view.h"

/* Upper bounds of the first-byte histogram, in ms; the last bucket is unbounded. */
#define DP_LATENCY_BOUNDS_MS                                                                       \
    {                                                                                              \
        1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000                                \
    }
#define DP_LATENCY_BUCKETS 14
/* Those of core/pace.h. */
#define DP_PACE_BUCKETS 52

/* Likewise, in us: what the proxy itself adds is far less than what a region takes. */
#define DP_ADDED_BOUNDS_US                                                                         \
    {                                                                                              \
        10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 100000, 1000000                 \
    }

/* How long something took, as a histogram. */
struct dp_traffic_times {
    struct dp_counter buckets[DP_LATENCY_BUCKETS]; /* not cumulative over buckets */
    struct dp_counter sum_ns;
};

/* The writing thread only; `bucket` is that of `ns`. */
static inline void dp_traffic_times_add(struct dp_traffic_times *t, unsigned bucket, uint64_t ns)
{
    dp_counter_add(&t->buckets[bucket], 1);
    dp_counter_add(&t->sum_ns, ns);
}

/* As many as couch/request.h knows classes of requests, which number these. */
#define DP_TRAFFIC_CLASSES 4

/* Connections of an endpoint's pool, and who waits for one. */
#define DP_POOL_GAUGE_TABLE(X)                                                                     \
    X(BUSY, "busy") /* carry a request, or are set up for one */                                   \
    X(IDLE, "idle")                                                                                \
    X(DIALING, "dialing") /* do not stand yet */                                                   \
    X(WAITING, "")        /* no connection: requests in line for one */

enum dp_pool_gauge {
#define X(name, label) DP_POOL_##name,
    DP_POOL_GAUGE_TABLE(X)
#undef X
        DP_POOL_GAUGE_COUNT
};
const char *dp_pool_gauge_label(enum dp_pool_gauge g);

struct dp_traffic_endpoint {
    struct dp_counter address; /* dp_addr_tag of the one that new connections go to; 0: none yet */
    struct dp_counter outcomes[DP_OUTCOME_COUNT];
    struct dp_counter by_class[DP_TRAFFIC_CLASSES][DP_OUTCOME_COUNT]; /* the same, told apart */
    struct dp_counter in_flight;                 /* a gauge: attempts sent, not yet ended */
    struct dp_counter pool[DP_POOL_GAUGE_COUNT]; /* gauges, as of the last tick */
    /* When the certificate that it showed last ends, in seconds since 1970; 0: it showed none. */
    struct dp_counter certificate_ends_s;
    struct dp_counter first_byte[DP_LATENCY_BUCKETS]; /* not cumulative over buckets */
    struct dp_counter first_byte_ns;                  /* sum over all of them */
    /* Gauges, where rules ask for the nearest region: by this worker's estimate (core/latency.h). */
    struct dp_counter distance_ns; /* 0: not known */
    struct dp_counter near;        /* 1: its region is one of the nearest */
    /* Requests of one document or database, whose pace can be compared: see core/pace.h. */
    struct dp_counter point_first_byte[DP_PACE_BUCKETS];
    struct dp_counter late; /* of those: no first byte within the view's late_ms */
    /* Writes that fewer nodes took than the region's quorum (202 without batch=ok): kept, with fewer copies. */
    struct dp_counter quorum_missed;
    struct dp_counter quorum_missed_ms; /* wall time of the last one; 0: none yet */
};

/* What the client of a request was told. */
#define DP_TOLD_TABLE(X)                                                                           \
    X(2XX, "2xx")                                                                                  \
    X(3XX, "3xx")                                                                                  \
    X(4XX, "4xx")                                                                                  \
    X(5XX, "5xx")                                                                                  \
    X(REFUSED, "refused") /* by an answer of our own */                                            \
    X(NONE, "none")       /* without one: its client went away, or the proxy had to let go */

enum dp_told {
#define X(name, label) DP_TOLD_##name,
    DP_TOLD_TABLE(X)
#undef X
        DP_TOLD_COUNT
};
const char *dp_told_label(enum dp_told told);

/* As many as couch/request.h knows kinds of requests, which number these. */
#define DP_TRAFFIC_KINDS 10

/* Requests of one kind, heads that were refused as they stood not among them. */
struct dp_traffic_kind {
    struct dp_counter told[DP_TOLD_COUNT];
    /* Attempts of requests that a region may have acted on before. */
    struct dp_counter replays;
    struct dp_counter first_byte[DP_LATENCY_BUCKETS]; /* as of an endpoint */
    struct dp_counter first_byte_ns;
    struct dp_traffic_times total; /* from a request's first byte to the end of its answer */
};

/* Why a feed that had begun came to its end. */
#define DP_FEED_END_TABLE(X)                                                                       \
    X(REGION, "region")     /* the region ended it properly: a longpoll has its answer */          \
    X(LOST, "region_lost")  /* its region is down, or its connection broke */                      \
    X(MOVED, "moved")       /* the traffic went to another region (feeds.on_move) */               \
    X(DRAINING, "draining") /* this proxy shuts down */                                            \
    X(CUT, "cut")           /* what the region sent could not be passed on */                      \
    X(CLIENT, "client")     /* its client went away, or took nothing */                            \
    X(ABORTED, "aborted")   /* this proxy let go: the end of a drain, no memory */

enum dp_feed_end {
#define X(name, label) DP_FEED_END_##name,
    DP_FEED_END_TABLE(X)
#undef X
        DP_FEED_END_COUNT
};
const char *dp_feed_end_label(enum dp_feed_end end);

/* Memory that a worker holds for requests; gauges in bytes, as of the last tick. */
#define DP_MEMORY_TABLE(X)                                                                         \
    X(BUFFERS, "buffers") /* chunks that hold bytes: bodies, what a peer has yet to take */        \
    X(BUFFERS_FREE, "buffers_free") /* chunks that wait for the next use */                        \
    X(ARENAS, "arenas")             /* heads and state of requests under way */                    \
    X(ARENAS_FREE, "arenas_free")

enum dp_memory {
#define X(name, label) DP_MEMORY_##name,
    DP_MEMORY_TABLE(X)
#undef X
        DP_MEMORY_COUNT
};
const char *dp_memory_label(enum dp_memory m);

struct dp_traffic {
    struct dp_traffic_endpoint endpoints[DP_MAX_ENDPOINTS];
    struct dp_traffic_kind kinds[DP_TRAFFIC_KINDS];
    struct dp_counter refused_by[DP_ERR_COUNT]; /* answers of our own, by enum dp_err */
    struct dp_counter feed_ends[DP_FEED_END_COUNT];
    struct dp_counter memory[DP_MEMORY_COUNT];
    /* Of requests that a region answered in full, feeds not among them: see dp_exchange.own_ns. Buckets: dp_added_bucket. */
    struct dp_traffic_times added_times;
    struct dp_traffic_times
        queue_times;                    /* of those that stood in line for a connection: how long */
    struct dp_traffic_times hold_times; /* of those that waited for a region */
    struct dp_traffic_times lag_times;  /* how late each tick of the loop was */
    /* The view's pause that is kept: none of this worker's writes is under way, and none begins. What was counted before
     * is seen by who reads this with acquire. 0: none is, or some still are under way. */
    _Atomic uint32_t rests;
    _Atomic uint32_t pause_broken; /* the last pause in which a write had to go on all the same */
    struct dp_seen seen;           /* databases that requests were answered of */
#define DP_COUNTER(field, name, help) struct dp_counter field;
#define DP_GAUGE(field, name, help)   struct dp_counter field;
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
};

/* The bucket of a first-byte time: 0 … DP_LATENCY_BUCKETS-1. */
unsigned dp_latency_bucket(uint64_t ns);
/* The same by DP_ADDED_BOUNDS_US. */
unsigned dp_added_bucket(uint64_t ns);

#endif
