/* The detector of core/doubt.h. */
#include "davenport/core/doubt.h"

static bool all_silent_at_once(const struct dp_doubt_config *c,
                               const struct dp_doubt_region *regions)
{
    uint64_t first = UINT64_MAX, last = 0;
    for (uint16_t i = 0; i < c->n_regions; i++) {
        uint64_t since = regions[i].silent_since_ns;
        if (since == 0)
            return false;
        first = since < first ? since : first;
        last = since > last ? since : last;
    }
    return c->n_regions > 1 && last - first <= c->span_ns;
}

static bool any_decided(const struct dp_doubt_config *c, const struct dp_doubt_region *regions)
{
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (regions[i].well || regions[i].bad)
            return true;
    }
    return false;
}

static bool is_over(struct dp_doubt_state *s, const struct dp_doubt_config *c,
                    const struct dp_doubt_region *regions, uint16_t active, uint64_t now_ns)
{
    if (!any_decided(c, regions)) {
        s->answered_ns = 0; /* it fell silent again */
        return false;
    }
    if (s->answered_ns == 0)
        s->answered_ns = now_ns > 0 ? now_ns : 1;
    bool active_well = active < c->n_regions && regions[active].well;
    return active_well || now_ns >= s->answered_ns + c->grace_ns;
}

bool dp_doubt_step(struct dp_doubt_state *s, const struct dp_doubt_config *c,
                   const struct dp_doubt_region *regions, uint16_t active, uint64_t now_ns)
{
    if (s->on ? !is_over(s, c, regions, active, now_ns) : !all_silent_at_once(c, regions))
        return false;
    *s = (struct dp_doubt_state){.on = !s->on, .since_ns = now_ns};
    return true;
}
