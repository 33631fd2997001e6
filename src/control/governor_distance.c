/* What workers are told and tell about where requests go besides the active region: how far each region is by its
 * probes (for a worker without requests there), how many requests it may have at once, and which regions the workers
 * hold for the nearest. */
#include "control/governor_state.h"

/* Weight of a probe in the distance; that of MongoDB's drivers. */
#define PROBE_WEIGHT 0.2
/* A distance is told anew when it moved by more than a part of this many, and a millisecond. */
#define DISTANCE_STEP 8
#define US_PER_MS     1000.0

void governor_measure(struct dp_governor *g, uint16_t endpoint, const struct dp_probe_result *r)
{
    struct governor_endpoint *e = &g->endpoints[endpoint];
    double us = (double)r->total_ns / 1e3;
    if (!dp_probe_kind_alive(r->kind))
        return;
    /* a connection's making is no part of it, unless nothing better is known */
    if (e->distance_us <= 0 || (r->reused && !e->distance_sure))
        e->distance_us = us;
    else if (r->reused || !e->distance_sure)
        e->distance_us += (us - e->distance_us) * PROBE_WEIGHT;
    e->distance_sure = e->distance_sure || r->reused;
}

static uint32_t region_distance_us(const struct dp_governor *g, uint16_t region)
{
    const struct dp_region_config *c = &g->config->regions[region];
    double best = 0;
    for (uint16_t i = c->first; i < c->first + c->n_endpoints; i++) {
        double us = g->endpoints[i].distance_us;
        if (us > 0 && (best <= 0 || us < best))
            best = us;
    }
    return best < 1 && best > 0 ? 1 : (uint32_t)best;
}

bool governor_distances_moved(struct dp_governor *g)
{
    bool moved = false;
    for (uint16_t i = 0; g->config->nearest && i < g->config->n_regions; i++) {
        uint32_t *told = &g->regions[i].distance_us;
        uint32_t want = region_distance_us(g, i);
        uint32_t gap = want > *told ? want - *told : *told - want;
        if ((*told == 0 && want > 0) || (gap > *told / DISTANCE_STEP && gap > US_PER_MS)) {
            *told = want;
            moved = true;
        }
    }
    return moved;
}

uint32_t governor_cap(const struct dp_governor *g, uint16_t region,
                      const enum dp_route_state *routes)
{
    const struct dp_region_config *c = &g->config->regions[region];
    uint32_t sharers = 0;
    if (c->max_in_flight == 0)
        return 0;
    for (uint16_t i = c->first; i < c->first + c->n_endpoints; i++)
        sharers += routes[i] == DP_ROUTE_OK;
    sharers = (sharers ? sharers : 1) * (g->n_workers ? g->n_workers : 1);
    return (c->max_in_flight + sharers - 1) / sharers;
}

bool governor_caps(const struct dp_governor *g)
{
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        if (g->config->regions[i].max_in_flight > 0)
            return true;
    }
    return false;
}

void governor_distance_status(const struct dp_governor *g, uint16_t region,
                              struct dp_region_status *out)
{
    const struct dp_region_config *c = &g->config->regions[region];
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t w = 0; w < g->n_workers; w++) {
        uint64_t best = 0;
        for (uint16_t i = c->first; i < c->first + c->n_endpoints; i++) {
            uint64_t ns = dp_counter_get(&g->traffic[w]->endpoints[i].distance_ns);
            if (ns > 0 && (best == 0 || ns < best))
                best = ns;
        }
        out->near_workers += dp_counter_get(&g->traffic[w]->endpoints[c->first].near) > 0;
        sum += (double)best;
        n += best > 0;
    }
    out->distance_ms = n ? sum / n / 1e6 : -1;
    out->share = g->view->regions[region].share;
    out->max_in_flight = c->max_in_flight;
}
