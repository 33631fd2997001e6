/* What the governor shows of itself. */
#include "control/governor_state.h"

#include <string.h>

#define MINUTE_MS 60000

const char *dp_failback_name(enum dp_failback f)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_FAILBACK_TABLE(X)
#undef X
    };
    return f <= DP_FAILBACK_WINDOW ? names[f] : "?";
}

const char *dp_move_reason_name(enum dp_move_reason r)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_MOVE_REASON_TABLE(X)
#undef X
    };
    return r < DP_MOVE_REASON_COUNT ? names[r] : "?";
}

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

void governor_window(const struct dp_governor *g, uint16_t endpoint, uint32_t *good, uint32_t *bad)
{
    const struct dp_health_state *h = &g->endpoints[endpoint].health;
    uint64_t slot_ns = g->health_config.window_ns / DP_HEALTH_SLOTS;
    uint64_t slot = slot_ns ? governor_now(g) / slot_ns : 0;
    *good = *bad = 0;
    for (uint64_t i = 0; i < DP_HEALTH_SLOTS; i++) {
        if (slot >= h->slot + DP_HEALTH_SLOTS || i > h->slot ||
            slot - (h->slot - i) >= DP_HEALTH_SLOTS)
            break; /* from the newest on, each is older */
        *good += h->slots[(h->slot - i) % DP_HEALTH_SLOTS].good;
        *bad += h->slots[(h->slot - i) % DP_HEALTH_SLOTS].bad;
    }
}

static bool serves(const struct dp_region_status *r)
{
    return (r->health == DP_REGION_UP || r->health == DP_REGION_SUSPECT) && !r->draining &&
           !r->drained.on;
}

static void lookup_status(const struct dp_governor *g, uint16_t i, struct dp_lookup_status *out)
{
    const struct governor_lookup *l = &g->endpoints[i].lookup;
    *out = (struct dp_lookup_status){.host = g->config->endpoints[i].lookup,
                                     .ok = l->ok,
                                     .failed = l->failed,
                                     .last_wall_ms = l->last_wall_ms,
                                     .good_wall_ms = l->good_wall_ms};
    memcpy(out->why, l->why, sizeof(out->why));
}

static uint64_t tried_in_ms(const struct dp_governor *g, const struct dp_health_state *h)
{
    uint64_t at = dp_health_tried_at_ns(h, &g->health_config), now = governor_now(g);
    return at > now ? (at - now + DP_NS_PER_MS - 1) / DP_NS_PER_MS : 0;
}

static void endpoint_status(const struct dp_governor *g, uint16_t i, enum dp_route_state route,
                            struct dp_endpoint_status *out)
{
    const struct governor_endpoint *e = &g->endpoints[i];
    const struct dp_endpoint_config *c = &g->config->endpoints[i];
    *out = (struct dp_endpoint_status){
        .region = c->region,
        .url = c->url,
        .host = c->host,
        .addrs = e->addrs,
        .health = (enum dp_region_health)e->health.health,
        .draining = e->health.draining,
        .slow = e->health.slow,
        .route = route,
        .since_wall_ms = e->since_wall_ms,
        .trial = governor_on_trial(&e->health),
        .trial_good = e->health.trial ? e->health.trial_good : e->health.slow_quick,
        .tried_in_ms = tried_in_ms(g, &e->health),
        .unprovisioned = e->health.unprovisioned,
        .missing = e->missing,
        .late_ms = e->late_ms,
        .usual_ms = dp_pace_usual_ms(&e->pace),
        .slow_from_ms = dp_pace_slow_ms(&e->pace, &g->pace_config),
        .slow_windows = e->pace.slow_windows,
        .late = e->totals.late,
        .unanswered = e->health.unanswered,
        .errors = e->health.errors,
        .probes = {.ok = e->probes_ok,
                   .failed = e->probes_failed,
                   .failures_in_row = e->health.probes_failed,
                   .successes_in_row = e->health.probes_passed,
                   .last_wall_ms = e->last_probe_wall_ms,
                   .last_status = e->last_probe.status,
                   .last_ms = e->last_probe_wall_ms ? (double)e->last_probe.total_ns / 1e6 : -1},
        .latency_ms = e->latency_ms,
        .in_flight = e->totals.in_flight,
    };
    if (e->last_probe_wall_ms)
        out->probes.last_result = dp_probe_kind_name(e->last_probe.kind);
    lookup_status(g, i, &out->lookup);
    memcpy(out->why, e->why, sizeof(out->why));
    memcpy(out->probes.last, e->last_probe.detail, sizeof(e->last_probe.detail));
    memcpy(out->outcomes, e->totals.outcomes, sizeof(out->outcomes));
    memcpy(out->layers, e->layers, sizeof(out->layers));
    governor_window(g, i, &out->window_good, &out->window_bad);
}

/* What is added up over a region's endpoints. */
static void add_endpoint(struct dp_region_status *r, const struct dp_endpoint_status *e)
{
    r->late += e->late;
    r->missing |= e->missing;
    r->unanswered += e->unanswered;
    r->errors += e->errors;
    r->window_good += e->window_good;
    r->window_bad += e->window_bad;
    r->probes.ok += e->probes.ok;
    r->probes.failed += e->probes.failed;
    r->in_flight += e->in_flight;
    for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++)
        r->outcomes[o] += e->outcomes[o];
}

static void region_status(const struct dp_governor *g, uint16_t i, struct dp_status *all)
{
    const struct governor_region *r = &g->regions[i];
    const struct dp_region_config *c = &g->config->regions[i];
    const struct dp_endpoint_status *e = &all->endpoints[governor_speaker(g, i)];
    uint64_t up_since = g->failover.up_since_ns[i];
    struct dp_region_status *out = &all->regions[i];
    *out = (struct dp_region_status){
        .name = c->name,
        .url = e->url,
        .n_endpoints = c->n_endpoints,
        .serving = r->look.serving,
        .need = r->look.need,
        .addrs = e->addrs,
        .lookup = e->lookup,
        .health = (enum dp_region_health)r->look.health,
        .active = i == g->decision.after,
        .held_down = g->decision.held[i],
        .slow = r->look.slow,
        .trial = r->look.trial || r->look.slow_trial,
        .unprovisioned = r->look.unprovisioned,
        .draining = r->look.draining,
        .drained = standing(&g->drained[i], g->failover.drained[i]),
        .route = g->decision.routes[i],
        .approved = standing(&g->approved[i], g->failover.approved[i]),
        .faulted = standing(&g->faulted[i], g->faults.faults[i].kind != DP_FAULT_NONE),
        .fault = g->faults.faults[i],
        .hold_ms =
            (uint32_t)(dp_failover_hold_ns(&g->failover, &g->failover_config, i) / DP_NS_PER_MS),
        .falls = g->failover.falls[i],
        .lost_data = g->failover.unsettled[i],
        .well_for_ms = up_since ? (governor_now(g) - up_since) / DP_NS_PER_MS : 0,
        .since_wall_ms = r->since_wall_ms,
        .late_ms = e->late_ms,
        .usual_ms = e->usual_ms,
        .slow_from_ms = e->slow_from_ms,
        .slow_windows = e->slow_windows,
        .tried_in_ms = e->tried_in_ms,
        .probes = e->probes,
        .tls_fault = e->probes.last_result &&
                     g->endpoints[e - all->endpoints].last_probe.kind == DP_PROBE_TLS,
        .latency_ms = e->latency_ms,
    };
    governor_gate(g, i, &out->gate);
    dp_keys_status(g->keys, i, &out->key);
    memcpy(out->why, r->why, sizeof(out->why));
    out->probes.ok = out->probes.failed = 0;
    for (uint16_t k = 0; k < c->n_endpoints; k++)
        add_endpoint(out, &all->endpoints[c->first + k]);
    governor_distance_status(g, i, out);
}

_Static_assert(DP_PROBE_DETAIL <= DP_WHY_TEXT, "a probe's detail fits the status");

/* When the hold, the dwell and a window let the traffic return; 0 where another condition stands in the way. */
static int64_t failback_at(const struct dp_governor *g, uint64_t now_ns)
{
    uint16_t to = g->decision.waiting;
    if (to == DP_NO_REGION || (governor_gate_unmet(g, to) & ~DP_GATE_BIT(DP_GATE_WINDOW)) != 0)
        return 0;
    uint64_t at = g->decision.failback_at_ns;
    int64_t at_ms = dp_clock_wall_ms(g->clock);
    at_ms += at > now_ns ? (int64_t)((at - now_ns) / DP_NS_PER_MS) : 0;
    if (!(governor_gate_asked(g) & DP_GATE_BIT(DP_GATE_WINDOW)))
        return at_ms;
    uint32_t wait_m = dp_windows_wait_m(&g->config->failback_windows, at_ms / MINUTE_MS);
    if (wait_m == DP_NEVER_MIN)
        return 0;
    return wait_m ? (at_ms / MINUTE_MS + wait_m) * MINUTE_MS : at_ms;
}

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
    out->home = g->failover.home;
    out->n_workers = g->n_workers;
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
    out->failback_at_wall_ms = failback_at(g, now);
    out->no_region = g->config->no_region;
    out->fail_open = g->decision.open;
    out->ramp_from = g->decision.ramp_from;
    out->share_percent = g->decision.share_percent;
    memcpy(out->moves, g->moves, sizeof(out->moves));
    out->doubt = g->doubt.on;
    out->doubt_since_wall_ms = g->doubt_since_wall_ms;
    out->doubts = g->doubts;
    out->lag = &g->late;
    out->failovers = g->failovers;
    out->failbacks = g->failbacks;
    enum dp_route_state routes[DP_MAX_ENDPOINTS];
    governor_routes(g, routes);
    out->n_endpoints = g->config->n_endpoints;
    for (uint16_t i = 0; i < out->n_endpoints; i++) /* vacant ones are of DP_NO_REGION */
        endpoint_status(g, i, routes[i], &out->endpoints[i]);
    for (uint16_t i = 0; i < out->n_regions; i++) {
        region_status(g, i, out);
        out->serving = (uint16_t)(out->serving + serves(&out->regions[i]));
    }
}

size_t dp_governor_events(const struct dp_governor *g, struct dp_span *lines, size_t max)
{
    return dp_journal_lines(g->journal, lines, max);
}
