/* Bounds, pace and expiry of held requests. */
#include "davenport/core/hold.h"

#include "davenport/core/budget.h"

/* Time is looked at in ticks of this length: what is due within one may go at once. */
#define BURST_NS UINT64_C(50000000)

enum dp_hold_answer dp_hold_enter(struct dp_hold_state *s, const struct dp_hold_config *c,
                                  struct dp_hold_stay *stay, uint64_t bytes, uint64_t now_ns,
                                  uint64_t random)
{
    if (c->limit_ns == 0 || (stay->until_ns > 0 && now_ns >= stay->until_ns))
        return DP_HOLD_OVER;
    if (s->requests >= c->max_requests || bytes > c->max_bytes || s->bytes > c->max_bytes - bytes)
        return DP_HOLD_FULL;
    if (stay->until_ns == 0)
        stay->until_ns = now_ns + c->limit_ns;
    stay->again_at_ns = now_ns + dp_backoff_ns(stay->rounds, random);
    stay->bytes = bytes;
    stay->rounds++;
    s->requests++;
    s->bytes += bytes;
    return DP_HOLD_IN;
}

void dp_hold_leave(struct dp_hold_state *s, struct dp_hold_stay *stay)
{
    s->requests--;
    s->bytes -= stay->bytes;
    stay->bytes = 0;
}

static bool keeps_pace(struct dp_hold_state *s, uint64_t now_ns)
{
    if (s->paced_ns < now_ns)
        s->paced_ns = now_ns;
    return s->paced_ns - now_ns < BURST_NS;
}

enum dp_hold_verdict dp_hold_judge(struct dp_hold_state *s, const struct dp_hold_config *c,
                                   const struct dp_hold_stay *stay, bool has_way, bool view_moved,
                                   uint64_t now_ns)
{
    const bool over = now_ns >= stay->until_ns;
    if (!has_way)
        return over ? DP_HOLD_EXPIRE : DP_HOLD_STAY;
    if (!over && !view_moved && now_ns < stay->again_at_ns)
        return DP_HOLD_STAY;
    if (!keeps_pace(s, now_ns) && !over)
        return DP_HOLD_STAY;
    s->paced_ns += UINT64_C(1000000000) / c->release_per_s;
    return DP_HOLD_GO;
}

bool dp_hold_worthwhile(const struct dp_view *v, uint32_t spent)
{
    for (uint16_t i = 0; i < v->n_endpoints; i++) {
        const struct dp_view_endpoint *e = &v->endpoints[i];
        const struct dp_view_region *r = &v->regions[e->region];
        const bool barred = e->state == DP_ROUTE_BARRED || r->state == DP_ROUTE_BARRED;
        if ((!barred || r->awaits_key) && !(spent & (UINT32_C(1) << e->region)))
            return true;
    }
    return false;
}
