/* What the governor shows of itself. */
#include "control/governor_state.h"

#include <string.h>

const char *dp_region_health_name(enum dp_region_health h)
{
    return dp_health_name((enum dp_health)h);
}

_Static_assert((int)DP_REGION_UNKNOWN == (int)DP_HEALTH_UNKNOWN &&
                   (int)DP_REGION_UP == (int)DP_HEALTH_UP &&
                   (int)DP_REGION_SUSPECT == (int)DP_HEALTH_SUSPECT &&
                   (int)DP_REGION_DOWN == (int)DP_HEALTH_DOWN,
               "a region's words are an endpoint's");

static struct dp_standing standing(const struct dp_standing *s, bool on)
{
    struct dp_standing out = {0};
    if (on)
        out = *s;
    out.on = on;
    return out;
}

/* The failure window, as far as it is of now. */
static void window_counts(const struct dp_governor *g, const struct dp_health_state *h,
                          struct dp_region_status *out)
{
    uint64_t slot_ns = g->health_config.window_ns / DP_HEALTH_SLOTS;
    uint64_t slot = slot_ns ? governor_now(g) / slot_ns : 0;
    for (uint64_t i = 0; i < DP_HEALTH_SLOTS; i++) {
        if (slot >= h->slot + DP_HEALTH_SLOTS || i > h->slot ||
            slot - (h->slot - i) >= DP_HEALTH_SLOTS)
            break; /* from the newest on, each is older */
        out->window_good += h->slots[(h->slot - i) % DP_HEALTH_SLOTS].good;
        out->window_bad += h->slots[(h->slot - i) % DP_HEALTH_SLOTS].bad;
    }
}

/* What the next decisions hang on. */
static void region_evidence(const struct dp_governor *g, uint16_t i, struct dp_region_status *out)
{
    const struct dp_health_state *h = &g->endpoints[i].health;
    uint64_t up_since = g->failover.up_since_ns[i];
    out->drained = standing(&g->drained[i], g->failover.drained[i]);
    out->route = g->decision.routes[i];
    out->lost_data = g->failover.unsettled[i];
    out->well_for_ms = up_since ? (governor_now(g) - up_since) / DP_NS_PER_MS : 0;
    out->unanswered = h->unanswered;
    out->errors = h->errors;
    window_counts(g, h, out);
}

static bool serves(const struct dp_region_status *r)
{
    return (r->health == DP_REGION_UP || r->health == DP_REGION_SUSPECT) && !r->draining &&
           !r->drained.on;
}

static void region_status(const struct dp_governor *g, uint16_t i, struct dp_region_status *out)
{
    const struct governor_endpoint *e = &g->endpoints[i];
    out->name = g->config->regions[i].name;
    out->url = g->config->regions[i].url;
    out->addrs = e->addrs;
    out->lookup = (struct dp_lookup_status){.host = g->config->regions[i].lookup,
                                            .ok = e->lookup.ok,
                                            .failed = e->lookup.failed,
                                            .last_wall_ms = e->lookup.last_wall_ms,
                                            .good_wall_ms = e->lookup.good_wall_ms};
    memcpy(out->lookup.why, e->lookup.why, sizeof(out->lookup.why));
    out->health = (enum dp_region_health)e->health.health;
    out->active = i == g->decision.after;
    out->held_down = g->decision.held[i];
    out->slow = e->health.slow;
    out->late_ms = e->late_ms;
    out->late = e->totals.late;
    out->draining = e->health.draining;
    out->since_wall_ms = e->since_wall_ms;
    memcpy(out->why, e->why, sizeof(out->why));
    out->probe_failures_in_row = e->health.probes_failed;
    out->probe_successes_in_row = e->health.probes_passed;
    out->last_probe_wall_ms = e->last_probe_wall_ms;
    out->last_probe_status = e->last_probe.status;
    if (e->last_probe_wall_ms) {
        out->last_probe_result = dp_probe_kind_name(e->last_probe.kind);
        out->tls_fault = e->last_probe.kind == DP_PROBE_TLS;
    }
    memcpy(out->last_probe, e->last_probe.detail, sizeof(e->last_probe.detail));
    out->probe_ms = e->last_probe_wall_ms ? (double)e->last_probe.total_ns / 1e6 : -1;
    out->latency_ms = e->latency_ms;
    out->probes_ok = e->probes_ok;
    out->probes_failed = e->probes_failed;
    memcpy(out->outcomes, e->totals.outcomes, sizeof(out->outcomes));
    out->in_flight = e->totals.in_flight;
}

_Static_assert(DP_PROBE_DETAIL <= DP_WHY_TEXT, "a probe's detail fits the status");

void dp_governor_status(const struct dp_governor *g, struct dp_status *out)
{
    uint64_t now = governor_now(g);
    memset(out, 0, sizeof(*out));
    out->epoch = g->view->epoch;
    out->n_regions = g->config->n_regions;
    out->active = g->decision.after;
    out->active_since_wall_ms = g->active_since_wall_ms;
    memcpy(out->why, g->why, sizeof(out->why));
    out->config = g->config;
    out->frozen = standing(&g->frozen, g->failover.frozen);
    out->pin = standing(&g->pin, g->failover.pinned);
    out->forced = g->failover.forced;
    out->dwell_left_ms =
        dp_failover_dwell_left(&g->failover, &g->failover_config, now) / DP_NS_PER_MS;
    struct dp_journal_health journal = dp_journal_health(g->journal);
    out->journal.file = journal.file;
    out->journal.troubled = journal.troubled;
    out->journal.waiting = journal.waiting;
    out->journal.lost = journal.lost;
    out->failback = g->config->failback;
    out->failback_to = g->decision.waiting;
    struct dp_failover_region regions[DP_MAX_REGIONS];
    governor_regions(g, regions);
    out->heir = dp_failover_heir(&g->failover, &g->failover_config, regions);
    if (g->decision.waiting != DP_NO_REGION) {
        uint64_t at = g->decision.failback_at_ns;
        uint64_t wait_ms = at > now ? (at - now) / DP_NS_PER_MS : 0;
        out->failback_at_wall_ms = dp_clock_wall_ms(g->clock) + (int64_t)wait_ms;
    }
    out->failovers = g->failovers;
    out->failbacks = g->failbacks;
    for (uint16_t i = 0; i < out->n_regions; i++)
        region_status(g, i, &out->regions[i]);
    for (uint16_t i = 0; i < out->n_regions; i++) {
        region_evidence(g, i, &out->regions[i]);
        out->serving = (uint16_t)(out->serving + serves(&out->regions[i]));
    }
}

size_t dp_governor_events(const struct dp_governor *g, struct dp_span *lines, size_t max)
{
    return dp_journal_lines(g->journal, lines, max);
}
