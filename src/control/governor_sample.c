/* The way up: counters of all workers, as differences since the last look. */
#include "control/governor_state.h"

#include <string.h>

/* The latency estimate forgets with this time constant, however often it is fed. */
#define LATENCY_TAU_S 10.0

static void read_totals(const struct dp_governor *g, uint16_t endpoint, struct governor_totals *t)
{
    memset(t, 0, sizeof(*t));
    for (uint32_t w = 0; w < g->n_workers; w++) {
        const struct dp_traffic_endpoint *e = &g->traffic[w]->endpoints[endpoint];
        for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++)
            t->outcomes[o] += dp_counter_get(&e->outcomes[o]);
        for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++)
            t->answers += dp_counter_get(&e->first_byte[b]);
        for (unsigned b = 0; b < DP_PACE_BUCKETS; b++)
            t->point_first_byte[b] += dp_counter_get(&e->point_first_byte[b]);
        t->late += dp_counter_get(&e->late);
        t->first_byte_ns += dp_counter_get(&e->first_byte_ns);
        t->in_flight += dp_counter_get(&e->in_flight);
    }
}

/* The weight of news grows with the time it stands for: dt / (tau + dt), the discrete form of an
 * exponential decay. The time that nothing came in counts for at most one tau. */
static void feed_latency(struct governor_endpoint *e, const struct governor_totals *now,
                         uint64_t now_ns)
{
    uint64_t answers = now->answers - e->totals.answers;
    uint64_t sum_ns = now->first_byte_ns - e->totals.first_byte_ns;
    if (answers == 0)
        return;
    double mean_ms = (double)sum_ns / (double)answers / 1e6;
    double dt = (double)(now_ns - e->latency_at_ns) / 1e9;
    if (dt > LATENCY_TAU_S)
        dt = LATENCY_TAU_S;
    if (e->latency_ms < 0)
        e->latency_ms = mean_ms;
    else
        e->latency_ms += (mean_ms - e->latency_ms) * dt / (LATENCY_TAU_S + dt);
    e->latency_at_ns = now_ns;
}

/* late: requests that wait for too long are to count as those without an answer. */
static struct dp_health_traffic take_difference(struct governor_endpoint *e,
                                                const struct governor_totals *now, bool late)
{
    struct dp_health_traffic t = {0};
    for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++)
        dp_health_traffic_add(&t, (enum dp_outcome)o, now->outcomes[o] - e->totals.outcomes[o]);
    if (late)
        t.unanswered += (uint32_t)(now->late - e->totals.late);
    e->totals = *now;
    return t;
}

/* What an answer to a probe took: the making of a connection, three journeys with TLS, is no part of it, for requests are
 * sent on kept ones. */
static double answer_ms(const struct dp_probe_result *r)
{
    uint64_t stood_ns = r->tls_ns > r->connect_ns ? r->tls_ns : r->connect_ns;
    if (r->reused || stood_ns > r->total_ns)
        stood_ns = 0;
    return (double)(r->total_ns - stood_ns) / 1e6;
}

/* What the best other endpoint that is well takes, of this region or another: for its probes or, where it has requests and
 * they take longer, for these. Probes may be quick where all work is slow. */
static double best_peer_ms(const struct dp_governor *g, uint16_t endpoint, uint64_t now_ns)
{
    double best = -1;
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        const struct governor_endpoint *e = &g->endpoints[i];
        if (i == endpoint || e->health.health != DP_HEALTH_UP || e->health.slow ||
            e->health.draining || !e->last_probe_wall_ms)
            continue;
        double ms = answer_ms(&e->last_probe);
        const double requests_ms = dp_pace_recent_ms(&e->pace, now_ns);
        if (requests_ms > ms)
            ms = requests_ms;
        if (best < 0 || ms < best)
            best = ms;
    }
    return best;
}

/* True when a window ended: `out` is the event to feed. */
static bool feed_pace(struct dp_governor *g, uint16_t endpoint, const struct governor_totals *now,
                      uint64_t now_ns, struct dp_health_event *out, uint32_t *quick,
                      uint32_t *tardy)
{
    struct governor_endpoint *e = &g->endpoints[endpoint];
    const double peer_ms = best_peer_ms(g, endpoint, now_ns);
    uint32_t answers[DP_PACE_BUCKETS];
    for (unsigned b = 0; b < DP_PACE_BUCKETS; b++)
        answers[b] = (uint32_t)(now->point_first_byte[b] - e->totals.point_first_byte[b]);
    *out = (struct dp_health_event){.kind = DP_HEALTH_PACE};
    dp_pace_sort(&e->pace, &g->pace_config, answers, peer_ms, quick, tardy);
    dp_pace_step(&e->pace, &g->pace_config, answers, peer_ms, now_ns, &out->pace);
    return out->pace.whole;
}

/* On trial or not, the traffic goes there: nothing else is left, or an operator wants it so. */
static bool carries(const struct dp_governor *g, uint16_t endpoint)
{
    const uint16_t region = g->config->endpoints[endpoint].region;
    return g->decision.after == region && g->regions[region].look.trial;
}

/* No other could take its requests. */
static bool is_alone(const struct dp_governor *g, uint16_t endpoint)
{
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        const struct dp_health_state *h = &g->endpoints[i].health;
        const uint16_t region = g->config->endpoints[i].region;
        if (i != endpoint && !governor_vacant(g, i) && h->health != DP_HEALTH_DOWN &&
            !h->draining && !g->failover.drained[region] && !governor_locked_out(g, region))
            return false;
    }
    return true;
}

static bool met_anything_bad(const struct dp_health_state *h)
{
    uint32_t bad = h->unanswered;
    for (unsigned i = 0; i < DP_HEALTH_SLOTS; i++)
        bad += h->slots[i].bad;
    return h->health != DP_HEALTH_DOWN && bad > 0;
}

/* What a region's endpoints met together may condemn where none of them has enough against it: then all that
 * took part in it fall. Judged by the rules of one endpoint, on a state that hears of requests alone. */
static void judge_together(struct dp_governor *g, uint16_t region,
                           const struct dp_health_traffic *t, uint64_t now_ns)
{
    const struct dp_region_config *c = &g->config->regions[region];
    struct dp_health_state *together = &g->regions[region].together;
    struct dp_health_event e = {.kind = DP_HEALTH_TRAFFIC, .traffic = *t};
    struct dp_health_actions a;
    if (c->n_endpoints < 2)
        return;
    dp_health_step(together, &g->health_config, &e, now_ns, &a);
    if (!a.changed || a.change.after != DP_HEALTH_DOWN)
        return;
    e = (struct dp_health_event){.kind = DP_HEALTH_REGION,
                                 .rate = a.change.signal == DP_HEALTH_SIGNAL_FAILURE_RATE,
                                 .count = a.change.count,
                                 .threshold = a.change.threshold};
    dp_health_init(together, &g->health_config, now_ns, region + 1U);
    for (uint16_t i = c->first; i < c->first + c->n_endpoints; i++) {
        if (met_anything_bad(&g->endpoints[i].health))
            governor_step(g, i, &e, now_ns);
    }
}

void governor_begin_counting(struct dp_governor *g, uint16_t endpoint)
{
    read_totals(g, endpoint, &g->endpoints[endpoint].totals);
}

void governor_sample(struct dp_governor *g, uint64_t now_ns)
{
    struct dp_health_traffic together[DP_MAX_REGIONS] = {{0, 0, 0}};
    bool doubtful =
        dp_lag_recent(&g->lag, now_ns, DP_STALL_GRACE_NS) || governor_doubted_lately(g, now_ns);
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        struct governor_endpoint *e = &g->endpoints[i];
        struct governor_totals now;
        if (governor_vacant(g, i))
            continue;
        read_totals(g, i, &now);
        governor_follow(g, i);
        feed_latency(e, &now, now_ns);
        struct dp_health_event event, pace;
        uint32_t quick, tardy;
        bool paced = feed_pace(g, i, &now, now_ns, &pace, &quick, &tardy) && !doubtful;
        event = (struct dp_health_event){.kind = DP_HEALTH_TICK};
        event.answers = (uint32_t)(now.answers - e->totals.answers);
        event.under_way = doubtful ? 0 : now.in_flight;
        event.carries = carries(g, i);
        event.alone = is_alone(g, i);
        event.quick = quick;
        event.tardy = tardy;
        /* Under too much load everything is late: without another place for it, waiting is better than being lost. */
        const bool late = !event.alone || e->health.probe_failing;
        struct dp_health_traffic t = take_difference(e, &now, late);
        if (doubtful) { /* we slept, or are cut off, and so are the workers: their timeouts prove nothing */
            t.unanswered = 0;
            t.errors = 0;
        }
        struct dp_health_traffic *sum = &together[g->config->endpoints[i].region];
        sum->good += t.good;
        sum->unanswered += t.unanswered;
        sum->errors += t.errors;
        if (t.good || t.unanswered || t.errors) {
            event.kind = DP_HEALTH_TRAFFIC;
            event.traffic = t;
        }
        if (t.good && event.answers) /* one that began before it moved proves nothing */
            governor_served(g, g->config->endpoints[i].region, now_ns);
        governor_step(g, i, &event, now_ns);
        if (paced)
            governor_step(g, i, &pace, now_ns);
    }
    for (uint16_t i = 0; i < g->config->n_regions; i++)
        judge_together(g, i, &together[i], now_ns);
    governor_tune(g);
}
