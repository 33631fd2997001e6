/* The worker's own knowledge; see router.h. */
#include "davenport/core/router.h"

#define NS_PER_S UINT64_C(1000000000)

void dp_router_throttled(struct dp_router *r, uint16_t region, enum dp_load load,
                         uint64_t retry_after_s, uint64_t now_ns)
{
    uint64_t s = retry_after_s > 0 ? retry_after_s : DP_THROTTLE_DEFAULT_S;
    if (s > DP_THROTTLE_MAX_S)
        s = DP_THROTTLE_MAX_S;
    uint64_t until = now_ns + s * NS_PER_S;
    if (until > r->throttled_until_ns[region][load])
        r->throttled_until_ns[region][load] = until;
}

double dp_router_latency_ns(const struct dp_router *r, const struct dp_view *v, uint16_t region,
                            uint64_t now_ns)
{
    const uint64_t hint_ns = v->regions[region].latency_us * UINT64_C(1000);
    double best = -1;
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++) {
        const struct dp_view_endpoint *e = &v->endpoints[ep];
        if (e->region != region || e->state == DP_ROUTE_DOWN)
            continue;
        double ns = dp_latency_estimate(&r->latency[ep], hint_ns, now_ns);
        if (ns >= 0 && (best < 0 || ns < best))
            best = ns;
    }
    return best;
}

/* Regions that reads may go to without need: a bit each. Those that are held are none. */
static uint32_t eligible(const struct dp_view *v)
{
    uint32_t live = 0, in = 0;
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++) {
        if (v->endpoints[ep].state == DP_ROUTE_OK)
            live |= UINT32_C(1) << v->endpoints[ep].region;
    }
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (v->regions[i].state == DP_ROUTE_OK && !v->regions[i].held)
            in |= UINT32_C(1) << i;
    }
    return in & live;
}

bool dp_router_step(struct dp_router *r, const struct dp_view *v, uint64_t now_ns)
{
    double ns[DP_MAX_REGIONS];
    for (uint16_t i = 0; i < DP_MAX_REGIONS; i++)
        ns[i] = i < v->n_regions ? dp_router_latency_ns(r, v, i, now_ns) : -1;
    return dp_near_step(&r->near, ns, eligible(v), v->active, now_ns);
}
