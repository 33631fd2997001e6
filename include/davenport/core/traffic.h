/* The way up: what one worker counts. Written by that worker only, read by anyone, never reset.
 * Workers and the control plane meet here and in the view, and nowhere else. */
#ifndef DAVENPORT_CORE_TRAFFIC_H
#define DAVENPORT_CORE_TRAFFIC_H

#include "davenport/base/counter.h"
#include "davenport/base/err.h"
#include "davenport/core/outcome.h"
#include "davenport/core/view.h"

/* Upper bounds of the first-byte histogram, in ms; the last bucket is unbounded. */
#define DP_LATENCY_BOUNDS_MS                                                                       \
    {                                                                                              \
        1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000                                \
    }
#define DP_LATENCY_BUCKETS 14

struct dp_traffic_endpoint {
    struct dp_counter address; /* dp_addr_tag of the one that new connections go to; 0: none yet */
    struct dp_counter outcomes[DP_OUTCOME_COUNT];
    struct dp_counter in_flight;                      /* a gauge: attempts sent, not yet ended */
    struct dp_counter first_byte[DP_LATENCY_BUCKETS]; /* not cumulative over buckets */
    struct dp_counter first_byte_ns;                  /* sum over all of them */
    /* Gauges, where rules ask for the nearest region: by this worker's estimate (core/latency.h). */
    struct dp_counter distance_ns; /* 0: not known */
    struct dp_counter near;        /* 1: its region is one of the nearest */
    /* Requests of one document or database, whose pace can be compared: see core/pace.h. */
    struct dp_counter point_first_byte[DP_LATENCY_BUCKETS];
    struct dp_counter late; /* of those: no first byte within the view's late_ms */
};

struct dp_traffic {
    struct dp_traffic_endpoint endpoints[DP_MAX_ENDPOINTS];
    struct dp_counter refused_by[DP_ERR_COUNT]; /* answers of our own, by enum dp_err */
#define DP_COUNTER(field, name, help) struct dp_counter field;
#define DP_GAUGE(field, name, help)   struct dp_counter field;
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
};

/* The bucket of a first-byte time: 0 … DP_LATENCY_BUCKETS-1. */
unsigned dp_latency_bucket(uint64_t ns);

#endif
