/* Davenport as a subject: the core's own code, at the defaults of config.def, in the harness that
 * src/control/governor*.c makes for it. Where the two differ in what decides, this file is wrong.
 *
 *   governor.c          on_sample (tick), on_kick (a bad outcome or a late request), on_probe
 *   governor_sample.c   differences since the last look, pace, the grace after a stall
 *   governor_decide.c   step, settle, what the workers then see
 *   prober.c            when the next probe begins, which have a connection of their own
 *   proxy/exchange.c    which attempts end when a region is left, which requests go again */
#include "davenport/base/attr.h"
#include "davenport/core/failover.h"
#include "davenport/core/health.h"
#include "davenport/core/pace.h"
#include "davenport/core/policy.h"

#include "control/lag.h"
#include "subjects.h"

#include <stdlib.h>
#include <string.h>

/* As in governor.h and governor_state.h. */
#define TRAFFIC_HOLD  (4 * SIM_S)
#define SLOW_HOLD     (30 * SIM_S)
#define SLOW_HOLD_MAX (300 * SIM_S)
#define STALL_LIMIT   SIM_S
#define STALL_GRACE   SIM_S
#define LATE_STEP     4
/* Of traffic somewhere, until its pace there is known as well as it ever will be. */
#define BASELINE (180 * SIM_S)

enum {
#define DP_UINT(path, field, default, min, max, flags, text) DEFAULT_##field = (default),
#include "davenport/app/config.def"
    DEFAULT_END
};

struct region {
    struct dp_health_state health;
    struct dp_pace_state pace;
    uint32_t late_ms;
    /* since the last look */
    struct dp_health_traffic traffic;
    uint32_t late, points[DP_LATENCY_BUCKETS];
    bool probed;
    double probe_ms; /* of the last one */
    uint64_t calm_since;
    uint32_t answers; /* first bytes since the last look */
};

struct davenport {
    struct dp_health_config health_config;
    struct dp_pace_config pace_config;
    struct dp_failover_config failover_config;
    struct dp_failover_state failover;
    struct dp_failover_decision decision;
    struct dp_lag lag;
    struct dp_view view;
    struct region regions[SIM_REGIONS];
};

static struct davenport *of(struct sim_car *c)
{
    return c->state;
}

/* ---- deciding ---- */

static void publish(struct sim_car *c)
{
    struct davenport *d = of(c);
    struct dp_view was = d->view;
    d->view.active = d->decision.after;
    for (uint16_t i = 0; i < SIM_REGIONS; i++) {
        d->view.regions[i].state = d->decision.routes[i];
        d->view.regions[i].held = d->decision.held[i];
        d->view.regions[i].share = 100;
        d->view.endpoints[i].state = d->decision.routes[i];
    }
    unsigned to = d->view.active == DP_NO_REGION ? SIM_NOWHERE : d->view.active;
    bool choice = d->decision.move == DP_MOVE_FAILBACK || d->decision.move == DP_MOVE_REGAINED;
    sim_move(c, to, choice);
    for (unsigned i = 0; i < SIM_REGIONS; i++) {
        if (d->view.endpoints[i].state == DP_ROUTE_DOWN && was.endpoints[i].state != DP_ROUTE_DOWN)
            sim_leave(c, i, true);
    }
}

static void settle(struct sim_car *c)
{
    struct davenport *d = of(c);
    struct dp_failover_region regions[SIM_REGIONS];
    for (unsigned i = 0; i < SIM_REGIONS; i++) {
        const struct dp_health_state *h = &d->regions[i].health;
        regions[i] = (struct dp_failover_region){
            .health = h->health, .draining = h->draining, .slow = h->slow};
    }
    dp_failover_step(&d->failover, &d->failover_config, regions, c->now, &d->decision);
    publish(c);
}

static void step(struct sim_car *c, unsigned r, const struct dp_health_event *e)
{
    struct davenport *d = of(c);
    struct region *g = &d->regions[r];
    struct dp_health_actions actions;
    uint64_t due = g->health.probe_at_ns;
    dp_health_step(&g->health, &d->health_config, e, c->now, &actions);
    if (e->kind == DP_HEALTH_PROBE || g->health.probe_at_ns != due)
        sim_probe_at(c, r, g->health.probe_at_ns);
    if (!actions.changed)
        return;
    g->calm_since = c->now;
    if (actions.change.before != actions.change.after)
        c->idle[r] =
            actions.change.after == DP_HEALTH_DOWN || actions.change.before == DP_HEALTH_DOWN
                ? 0
                : c->idle[r];
    settle(c);
}

/* ---- looking ---- */

static double best_peer_ms(const struct davenport *d, unsigned r)
{
    double best = -1;
    for (unsigned i = 0; i < SIM_REGIONS; i++) {
        const struct region *g = &d->regions[i];
        if (i == r || g->health.health != DP_HEALTH_UP || g->health.slow || g->health.draining ||
            !g->probed)
            continue;
        if (best < 0 || g->probe_ms < best)
            best = g->probe_ms;
    }
    return best;
}

static void tune(struct davenport *d)
{
    for (unsigned i = 0; i < SIM_REGIONS; i++) {
        struct region *g = &d->regions[i];
        uint32_t want = dp_pace_late_ms(&g->pace, &d->pace_config);
        uint32_t gap = want > g->late_ms ? want - g->late_ms : g->late_ms - want;
        if (gap > g->late_ms / LATE_STEP)
            g->late_ms = want;
    }
}

static void sample(struct sim_car *c, unsigned r, bool doubtful)
{
    struct davenport *d = of(c);
    struct region *g = &d->regions[r];
    struct dp_health_event pace = {.kind = DP_HEALTH_PACE}, e = {.kind = DP_HEALTH_TICK};
    dp_pace_step(&g->pace, &d->pace_config, g->points, best_peer_ms(d, r), c->now, &pace.pace);
    e.answers = g->answers;
    e.under_way = doubtful ? 0 : sim_under_way(c, r);
    g->answers = 0;
    struct dp_health_traffic t = g->traffic;
    t.unanswered += g->late;
    memset(g->points, 0, sizeof(g->points));
    g->traffic = (struct dp_health_traffic){0};
    g->late = 0;
    if (doubtful) {
        t.unanswered = 0;
        t.errors = 0;
    }
    if (t.good || t.unanswered || t.errors) {
        e.kind = DP_HEALTH_TRAFFIC;
        e.traffic = t;
    }
    step(c, r, &e);
    if (pace.pace.whole && !doubtful)
        step(c, r, &pace);
}

static void look(struct sim_car *c)
{
    struct davenport *d = of(c);
    (void)dp_lag_seen(&d->lag, c->now);
    bool doubtful = dp_lag_recent(&d->lag, c->now, STALL_GRACE);
    for (unsigned r = 0; r < SIM_REGIONS; r++)
        sample(c, r, doubtful);
    tune(d);
    settle(c);
}

/* ---- probes ---- */

static void probe_due(struct sim_car *c, unsigned r)
{
    struct davenport *d = of(c);
    struct region *g = &d->regions[r];
    const struct dp_health_event asked = {.kind = DP_HEALTH_ASKED};
    struct dp_health_actions actions;
    dp_health_step(&g->health, &d->health_config, &asked, c->now, &actions);
    sim_probe_at(c, r, g->health.probe_at_ns);
    sim_ask_probe(c, r, ++c->asked[r] % 2 == 1, actions.patience_ns);
}

static enum dp_probe_kind kind_of(enum sim_answer a)
{
    switch (a) {
    case SIM_ANSWERED:
    case SIM_CUT_SHORT:
        return DP_PROBE_OK;
    case SIM_DRAINING:
        return DP_PROBE_DRAINING;
    case SIM_SAYS_503:
        return DP_PROBE_UNHEALTHY;
    case SIM_REFUSES:
    case SIM_SILENT:
        return DP_PROBE_DARK;
    }
    return DP_PROBE_OTHER;
}

static void probe_ended(struct sim_car *c, unsigned r, const struct sim_probe *p)
{
    struct davenport *d = of(c);
    struct region *g = &d->regions[r];
    (void)dp_lag_seen(&d->lag, c->now);
    if (p->fate.answer == SIM_SILENT && dp_lag_touches(&d->lag, p->started)) {
        sim_probe_at(c, r, c->now);
        return;
    }
    if (p->fate.answer == SIM_SILENT)
        look(c);
    g->probed = true;
    g->probe_ms = (double)(c->now - p->started) / 1e6;
    struct dp_health_event e = {.kind = DP_HEALTH_PROBE,
                                .probe = kind_of(p->fate.answer),
                                .probe_started_ns = p->started,
                                .probe_timed_out = p->fate.answer == SIM_SILENT};
    step(c, r, &e);
}

/* ---- requests ---- */

static unsigned route(struct sim_car *c, const struct sim_request *q)
{
    struct dp_attempts a = {.failed_mask = q->failed_mask, .count = (uint8_t)q->attempts};
    static const struct dp_rule plain = {.mode = DP_MODE_ACTIVE_PASSIVE};
    static const struct dp_router
        nothing; /* all goes to one region: how far others are is not asked */
    const struct dp_ask ask = {.rule = &plain,
                               .writes = q->class == SIM_PUT || q->class == SIM_POST,
                               .kept = DP_NO_REGION};
    struct dp_route to = dp_policy_next(&of(c)->view, &nothing, &ask, &a, c->now);
    return to.kind == DP_ROUTE_SEND ? to.endpoint : SIM_NOWHERE;
}

static void answered(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    struct region *g = &of(c)->regions[q->region];
    g->answers++;
    if (!q->late)
        dp_health_traffic_add(&g->traffic, DP_OUTCOME_ANSWERED, 1);
    if (q->class != SIM_QUERY)
        g->points[dp_latency_bucket(after)]++;
}

static void failed(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    static const enum dp_outcome outcomes[] = {
        [SIM_END_REFUSED] = DP_OUTCOME_CONNECT_REFUSED,
        [SIM_END_NO_CONNECTION] = DP_OUTCOME_CONNECT_TIMEOUT,
        [SIM_END_RESET] = DP_OUTCOME_NO_ANSWER,
        [SIM_END_TIMEOUT] = DP_OUTCOME_ANSWER_TIMEOUT,
        [SIM_END_503] = DP_OUTCOME_SERVER_ERROR,
        [SIM_END_CUT] = DP_OUTCOME_TRUNCATED,
        [SIM_END_LEFT] = DP_OUTCOME_ABANDONED,
    };
    dp_health_traffic_add(&of(c)->regions[q->region].traffic, outcomes[end], 1);
    look(c); /* kicked */
}

static uint64_t again(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    (void)c;
    struct dp_attempt_facts f = {
        .replay = q->class == SIM_POST  ? DP_REPLAY_NEVER
                  : q->class == SIM_PUT ? DP_REPLAY_IDEMPOTENT
                                        : DP_REPLAY_SAFE,
        .wrote_any = q->maybe_done,
        .body_replayable = true,
    };
    return end != SIM_END_503 && dp_policy_may_retry(&f) ? 0 : SIM_NEVER;
}

static void late(struct sim_car *c, const struct sim_request *q)
{
    of(c)->regions[q->region].late++;
    look(c);
}

static uint64_t late_after(struct sim_car *c, unsigned r)
{
    uint32_t ms = of(c)->regions[r].late_ms;
    return ms ? ms * SIM_MS : SIM_NEVER;
}

/* ---- life ---- */

static void begin(struct sim_car *c)
{
    struct davenport *d = of(c);
    d->health_config = (struct dp_health_config){
        .interval_ns = DEFAULT_probe_interval_ms * SIM_MS,
        .fast_ns = DEFAULT_probe_fast_ms * SIM_MS,
        .jitter_percent = DEFAULT_probe_jitter_percent,
        .timeout_ns = DEFAULT_probe_timeout_ms * SIM_MS,
        .fall = DEFAULT_fall,
        .silent = DEFAULT_silent,
        .rise = DEFAULT_rise,
        .traffic_failures = DEFAULT_traffic_failures,
        .traffic_hold_ns = TRAFFIC_HOLD,
        .window_ns = DEFAULT_failure_window_ms * SIM_MS,
        .window_requests = DEFAULT_failure_requests,
        .window_percent = DEFAULT_failure_percent,
        .slow_hold_ns = SLOW_HOLD,
        .slow_hold_max_ns = SLOW_HOLD_MAX,
    };
    d->pace_config = (struct dp_pace_config){
        .window_ns = DP_PACE_WINDOW_MS * SIM_MS,
        .window_answers = DP_PACE_WINDOW_ANSWERS,
        .windows = DP_PACE_WINDOWS,
        .factor = DP_PACE_FACTOR,
        .slow_ms = DEFAULT_slow_ms,
        .late_ms = DEFAULT_late_ms,
    };
    d->failover_config = (struct dp_failover_config){
        .n_regions = SIM_REGIONS,
        .automatic = true,
        .hold_ns = DEFAULT_failback_hold_ms * SIM_MS,
        .hold_max_ns = DEFAULT_failback_hold_max_ms * SIM_MS,
        .forget_ns = DEFAULT_failback_forget_ms * SIM_MS,
        .dwell_ns = DEFAULT_dwell_ms * SIM_MS,
    };
    dp_failover_init(&d->failover);
    dp_lag_init(&d->lag, DEFAULT_sample_ms * SIM_MS, STALL_LIMIT, 0);
    d->view.n_regions = SIM_REGIONS;
    d->view.n_endpoints = SIM_REGIONS;
    for (uint16_t i = 0; i < SIM_REGIONS; i++) {
        struct region *g = &d->regions[i];
        dp_health_init(&g->health, &d->health_config, 0, sim_bits(&c->own_random));
        dp_pace_init(&g->pace);
        g->late_ms = dp_pace_late_ms(&g->pace, &d->pace_config);
        d->view.endpoints[i].region = i;
        sim_probe_at(c, i, g->health.probe_at_ns);
    }
    settle(c);
}

static bool window_is_clean(const struct dp_health_state *h)
{
    for (unsigned i = 0; i < DP_HEALTH_SLOTS; i++) {
        if (h->slots[i].bad)
            return false;
    }
    return true;
}

static bool settled(struct sim_car *c, unsigned r, bool dark)
{
    const struct region *g = &of(c)->regions[r];
    const struct dp_health_state *h = &g->health;
    uint64_t arrived = c->arrived_at[r] == SIM_NEVER ? 0 : c->arrived_at[r];
    if (dark)
        return h->health == DP_HEALTH_DOWN && c->now > g->calm_since + 15 * SIM_S;
    if (r == c->active && c->setting->requests_a_second > 0 && c->now < arrived + BASELINE)
        return false;
    return h->health == DP_HEALTH_UP && !h->draining && !h->slow && !h->probes_failed &&
           !h->unanswered && !h->errors && window_is_clean(h) && g->pace.slow_windows == 0 &&
           c->now > g->calm_since + 15 * SIM_S;
}

static uint64_t interval(struct sim_car *c, unsigned r)
{
    const struct davenport *d = of(c);
    return d->regions[r].health.health == DP_HEALTH_UP ? d->health_config.interval_ns
                                                       : d->health_config.fast_ns;
}

static uint64_t timed(struct sim_car *c)
{
    const struct dp_failover_decision *d = &of(c)->decision;
    return d->waiting == DP_NO_REGION ? SIM_NEVER : d->failback_at_ns;
}

/* What was measured up to now is as if it had gone on being so. */
static void leapt(struct sim_car *c, uint64_t from)
{
    struct davenport *d = of(c);
    d->lag.seen_ns = c->now;
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        struct region *g = &d->regions[r];
        if (g->pace.baseline_at_ns)
            g->pace.baseline_at_ns += c->now - from;
        if (g->pace.window_began_ns)
            g->pace.window_began_ns += c->now - from;
        g->health.probe_at_ns = c->probe_at[r];
    }
}

const struct sim_subject sim_davenport = {
    .name = "davenport",
    .connect_timeout = DEFAULT_connect_timeout_ms * SIM_MS,
    .answer_timeout = DEFAULT_answer_timeout_ms * SIM_MS,
    .tick = DEFAULT_sample_ms * SIM_MS,
    .state_bytes = sizeof(struct davenport),
    .begin = begin,
    .tick_due = look,
    .probe_due = probe_due,
    .probe_ended = probe_ended,
    .route = route,
    .answered = answered,
    .failed = failed,
    .again = again,
    .late = late,
    .late_after = late_after,
    .settled = settled,
    .interval = interval,
    .timed = timed,
    .leapt = leapt,
};
