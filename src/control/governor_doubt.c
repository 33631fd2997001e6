/* Own-network doubt: what core/doubt.h is told, and what follows. While we doubt, silence loses no region, and the
 * failover rules stand where they stood before the silence: what they decided in it, with the first regions silent and
 * the last not asked yet, is undone. Operators' orders are not: after one there is no going back to before it. Neither is a
 * move that proved right: the region that the traffic went to has answered it, so the network worked, and what was written
 * since is there. */
#include "control/governor_state.h"

/* What fell unheard is silent until a connection of its own says more: one that was kept tells nothing of who is there. */
static uint64_t silent_since(const struct governor_endpoint *e)
{
    const struct dp_health_state *h = &e->health;
    if (h->silent_since_ns == 0 && h->health == DP_HEALTH_DOWN && e->fell_unheard)
        return h->since_ns;
    return h->silent_since_ns;
}

/* A region is as silent as all of its endpoints are, since the last of them. */
static struct dp_doubt_region look_at(const struct dp_governor *g, uint16_t region)
{
    const struct dp_region_config *c = &g->config->regions[region];
    const struct dp_region_look *l = &g->regions[region].look;
    struct dp_doubt_region out = {0};
    bool answers = false, failing = true;
    for (uint16_t i = 0; i < c->n_endpoints; i++) {
        const struct dp_health_state *h = &g->endpoints[c->first + i].health;
        const uint64_t since_ns = silent_since(&g->endpoints[c->first + i]);
        if (since_ns == 0)
            answers = true;
        else if (since_ns > out.silent_since_ns)
            out.silent_since_ns = since_ns;
        failing = failing && h->probe_failing;
    }
    if (answers)
        out.silent_since_ns = 0;
    out.well = answers && l->health == DP_HEALTH_UP;
    out.bad = answers && (failing || l->draining);
    return out;
}

static bool any_silent(const struct dp_doubt_region *regions, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        if (regions[i].silent_since_ns)
            return true;
    }
    return false;
}

/* Calm: nobody is silent, and nobody is doubted, for traffic may know before probes do. */
static bool all_trusted(const struct dp_governor *g)
{
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        enum dp_health h = g->endpoints[i].health.health;
        if (h == DP_HEALTH_SUSPECT)
            return false;
    }
    return true;
}

bool governor_doubt(struct dp_governor *g, uint64_t now_ns)
{
    struct dp_doubt_region regions[DP_MAX_REGIONS];
    uint16_t active = g->failover.active;
    for (uint16_t i = 0; i < g->config->n_regions; i++)
        regions[i] = look_at(g, i);
    if (!dp_doubt_step(&g->doubt, &g->doubt_config, regions, active, now_ns)) {
        if (!g->doubt.on && !any_silent(regions, g->config->n_regions) && all_trusted(g)) {
            g->calm = g->failover;
            g->calm_known = true;
        }
        return false;
    }
    if (g->doubt.on) {
        g->doubts++;
        g->doubt_since_wall_ms = dp_clock_wall_ms(g->clock);
        if (g->calm_known)
            g->failover = g->calm;
    }
    return true;
}

void governor_served(struct dp_governor *g, uint16_t region, uint64_t now_ns)
{
    const struct dp_failover_state *f = &g->failover;
    if (!g->doubt.on && region == f->active && g->calm.active != region && now_ns > f->moved_at_ns)
        g->calm = *f;
}

bool governor_doubted_lately(const struct dp_governor *g, uint64_t now_ns)
{
    const struct dp_doubt_state *d = &g->doubt;
    return d->on || (d->since_ns != 0 && now_ns < d->since_ns + DP_DOUBT_GRACE_NS);
}

void governor_soften(const struct dp_governor *g, struct dp_failover_region *regions)
{
    for (uint16_t i = 0; g->doubt.on && i < g->config->n_regions; i++) {
        if (regions[i].health == DP_HEALTH_DOWN)
            regions[i].health = DP_HEALTH_SUSPECT;
    }
}

void governor_ask_around(struct dp_governor *g, uint16_t endpoint, uint64_t now_ns)
{
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        struct dp_health_state *h = &g->endpoints[i].health;
        if (i == endpoint || h->probe_at_ns <= now_ns)
            continue;
        dp_health_ask_now(h, now_ns);
        dp_prober_set(g->prober, i, h->probe_at_ns);
    }
}
