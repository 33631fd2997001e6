/* What a worker knows of the regions by its own requests, fresher than any view: how far they are, how
 * busy, and what they said they have enough of. The policy reads it; one worker writes it. Pure: events and
 * times come in.
 *
 * All zero is a good beginning: nothing under way, nothing known. */
#ifndef DAVENPORT_CORE_ROUTER_H
#define DAVENPORT_CORE_ROUTER_H

#include "davenport/core/latency.h"
#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

/* Regions throttle by class (Cloudant: lookups, queries, writes; a second each). */
enum dp_load { DP_LOAD_LOOKUP, DP_LOAD_QUERY, DP_LOAD_WRITE, DP_LOAD_COUNT };

/* A region that says 429 and not for how long, and the longest that is believed. */
#define DP_THROTTLE_DEFAULT_S 1
#define DP_THROTTLE_MAX_S     60

struct dp_router {
    uint32_t in_flight[DP_MAX_ENDPOINTS]; /* attempts begun, not ended: those in line too */
    uint64_t began_ns[DP_MAX_ENDPOINTS];  /* when the last one began; 0: none has */
    struct dp_latency latency[DP_MAX_ENDPOINTS];
    struct dp_near near;
    uint64_t throttled_until_ns[DP_MAX_REGIONS][DP_LOAD_COUNT];
};

static inline void dp_router_began(struct dp_router *r, uint16_t endpoint, uint64_t now_ns)
{
    r->in_flight[endpoint]++;
    r->began_ns[endpoint] = now_ns;
}

static inline void dp_router_ended(struct dp_router *r, uint16_t endpoint)
{
    r->in_flight[endpoint]--;
}

/* A region answered 429. retry_after_s: what it said; 0: nothing that was understood. */
void dp_router_throttled(struct dp_router *r, uint16_t region, enum dp_load load,
                         uint64_t retry_after_s, uint64_t now_ns);

/* The region's estimate: the least of its usable endpoints'. <0: not known. */
double dp_router_latency_ns(const struct dp_router *r, const struct dp_view *v, uint16_t region,
                            uint64_t now_ns);

/* Look at the distances anew: once in a while, and with every view. True: the nearest changed. */
bool dp_router_step(struct dp_router *r, const struct dp_view *v, uint64_t now_ns);

#endif
