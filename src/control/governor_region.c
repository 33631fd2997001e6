/* Regions out of endpoints: what core/region.h makes of them, kept per region. */
#include "control/governor_state.h"

void governor_members(const struct dp_governor *g, uint16_t region,
                      struct dp_region_member out[DP_MAX_ENDPOINTS])
{
    const struct dp_region_config *r = &g->config->regions[region];
    for (uint16_t i = 0; i < r->n_endpoints; i++) {
        const struct dp_health_state *h = &g->endpoints[r->first + i].health;
        out[i] = (struct dp_region_member){.health = h->health,
                                           .draining = h->draining,
                                           .slow = h->slow,
                                           .trial = h->trial,
                                           .slow_trial = h->slow_trial,
                                           .unprovisioned = h->unprovisioned};
    }
}

void governor_judge(struct dp_governor *g, uint16_t region)
{
    struct dp_region_member members[DP_MAX_ENDPOINTS];
    governor_members(g, region, members);
    dp_region_judge(members, g->config->regions[region].n_endpoints, g->config->up_percent,
                    &g->regions[region].look);
}

void governor_routes(const struct dp_governor *g, enum dp_route_state out[DP_MAX_ENDPOINTS])
{
    struct dp_region_member members[DP_MAX_ENDPOINTS];
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++)
        out[i] = DP_ROUTE_BARRED; /* vacant */
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        const struct dp_region_config *r = &g->config->regions[i];
        governor_members(g, i, members);
        dp_region_routes(members, r->n_endpoints, governor_route(g, i), out + r->first);
    }
}

static bool fell_unheard(const struct dp_governor *g, uint16_t region)
{
    bool any = false;
    if (region == DP_NO_REGION)
        return false;
    const struct dp_region_config *r = &g->config->regions[region];
    for (uint16_t i = r->first; i < r->first + r->n_endpoints; i++)
        any = any || g->endpoints[i].fell_unheard;
    return any;
}

bool governor_mute(const struct dp_governor *g, uint16_t region)
{
    const struct dp_region_config *r = &g->config->regions[region];
    const uint64_t now_ns = governor_now(g);
    const bool at_all = fell_unheard(g, g->failover.active);
    bool any = false;
    for (uint16_t i = r->first; i < r->first + r->n_endpoints; i++) {
        const struct dp_health_state *h = &g->endpoints[i].health;
        if (h->health == DP_HEALTH_DOWN)
            continue;
        if (!dp_health_mute(h, &g->health_config, now_ns) && !(at_all && h->silence.since_ns != 0))
            return false;
        any = true;
    }
    return any;
}

uint16_t governor_speaker(const struct dp_governor *g, uint16_t region)
{
    const struct dp_region_config *r = &g->config->regions[region];
    const struct dp_region_look *look = &g->regions[region].look;
    for (uint16_t i = 0; i < r->n_endpoints; i++) {
        const struct dp_health_state *h = &g->endpoints[r->first + i].health;
        if (h->health == look->health && h->draining == look->draining && h->slow == look->slow)
            return (uint16_t)(r->first + i);
    }
    return r->first;
}
