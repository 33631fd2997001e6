/* Active-passive routing and the rule of retries. */
#include "davenport/core/policy.h"

static bool usable(const struct dp_view *v, uint16_t ep, const struct dp_attempts *a)
{
    const struct dp_view_endpoint *e = &v->endpoints[ep];
    return e->state == DP_ROUTE_OK && v->regions[e->region].state == DP_ROUTE_OK &&
           !(a->failed_mask & (UINT32_C(1) << ep));
}

struct dp_route dp_policy_next(const struct dp_view *v, const struct dp_attempts *a)
{
    uint16_t second = DP_MAX_ENDPOINTS;
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++) {
        if (!usable(v, ep, a))
            continue;
        if (v->endpoints[ep].region == v->active)
            return (struct dp_route){.kind = DP_ROUTE_SEND, .endpoint = ep};
        if (second == DP_MAX_ENDPOINTS)
            second = ep;
    }
    if (second != DP_MAX_ENDPOINTS)
        return (struct dp_route){.kind = DP_ROUTE_SEND, .endpoint = second};
    return (struct dp_route){.kind = DP_ROUTE_FAIL, .why = DP_ENOREGION};
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
