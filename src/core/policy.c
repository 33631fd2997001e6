/* Active-passive routing and the rule of retries. */
#include "davenport/core/policy.h"

/* So many failed in a region that others come first. */
#define SIBLINGS_TRIED 2

static bool usable(const struct dp_view *v, uint16_t ep, const struct dp_attempts *a)
{
    const struct dp_view_endpoint *e = &v->endpoints[ep];
    return e->state == DP_ROUTE_OK && v->regions[e->region].state == DP_ROUTE_OK &&
           !(a->failed_mask & (UINT32_C(1) << ep)) && !(a->acted_mask & (UINT32_C(1) << e->region));
}

/* What a region can do for this request. */
struct offer {
    uint16_t usable, failed; /* endpoints */
};

static void collect(const struct dp_view *v, const struct dp_attempts *a,
                    struct offer offers[DP_MAX_REGIONS])
{
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++) {
        struct offer *o = &offers[v->endpoints[ep].region];
        if (usable(v, ep, a))
            o->usable++;
        if (a->failed_mask & (UINT32_C(1) << ep))
            o->failed++;
    }
}

/* The region to try next; DP_NO_REGION: none is left. */
static uint16_t choose_region(const struct dp_view *v, const struct offer offers[DP_MAX_REGIONS])
{
    uint16_t best = DP_NO_REGION;
    unsigned best_rank = 0;
    for (uint16_t i = 0; i < v->n_regions; i++) {
        const struct offer *o = &offers[i];
        unsigned rank = 0;
        if (o->usable > 0)
            rank = o->failed >= SIBLINGS_TRIED ? 1 : i == v->active ? 3 : 2;
        if (rank > best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    return best;
}

/* Its endpoint whose turn it is. */
static uint16_t choose_endpoint(const struct dp_view *v, const struct dp_attempts *a,
                                uint16_t region, uint16_t n_usable)
{
    uint32_t skip = n_usable > 0 ? a->turn % n_usable : 0;
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++) {
        if (v->endpoints[ep].region == region && usable(v, ep, a) && skip-- == 0)
            return ep;
    }
    return 0; /* not reached: n_usable are there */
}

struct dp_route dp_policy_next(const struct dp_view *v, const struct dp_attempts *a)
{
    struct offer offers[DP_MAX_REGIONS] = {{0, 0}};
    collect(v, a, offers);
    uint16_t region = choose_region(v, offers);
    if (region == DP_NO_REGION)
        return (struct dp_route){.kind = DP_ROUTE_FAIL, .why = DP_ENOREGION};
    uint16_t ep = choose_endpoint(v, a, region, offers[region].usable);
    return (struct dp_route){.kind = DP_ROUTE_SEND, .endpoint = ep};
}

bool dp_policy_may_retry(const struct dp_attempt_facts *f)
{
    if (f->committed || !f->body_replayable)
        return false;
    if (!f->wrote_any)
        return true;
    switch (f->replay) {
    case DP_REPLAY_SAFE:
    case DP_REPLAY_IDEMPOTENT:
        return true;
    case DP_REPLAY_NEVER:
        return false;
    }
    return false;
}
