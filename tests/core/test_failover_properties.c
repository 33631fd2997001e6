/* What must hold whatever happens: health and failover together on long random histories (fixed seeds). The test
 * keeps its own, simpler account of every history and compares. */
#include "davenport/base/clock.h"
#include "davenport/core/failover.h"
#include "davenport/core/gate.h"
#include "davenport/core/health.h"
#include "davenport/core/window.h"

#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS        DP_NS_PER_MS
#define HISTORIES 800
#define EVENTS    3000

/* One region as the test sees it. */
struct account {
    struct dp_health_state health;
    uint32_t failed_row, passed_row; /* probes; passed since it fell or traffic last saw it fail */
    uint32_t bad_row;                /* requests, as an upper bound: no good sample between */
    uint64_t last_bad_ns;
    uint64_t up_since_ns; /* of unbroken UP without draining; UINT64_MAX: not so */
    bool was_lost;        /* since it was last settled */
    bool fell_by_traffic;
    unsigned mood; /* how sick it is now: what its events are drawn from */
    bool away;     /* as counted in falls */
    unsigned falls;
    struct dp_gate_facts facts; /* of its gate, but for the window */
};

struct world {
    struct random random;
    struct dp_health_config hc;
    struct dp_failover_config fc;
    struct dp_failover_state failover;
    struct account regions[DP_MAX_REGIONS];
    uint64_t now_ns;
    bool pinned, forced, open;
    uint16_t ramp_from, share;
    unsigned asked; /* of the gate */
    struct dp_windows windows;
    uint64_t moves, failbacks, blocked, opens, doubled;
};

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->random.x = seed * 7919 + 1;
    w->hc = (struct dp_health_config){
        .interval_ns = 2000 * MS,
        .fast_ns = 500 * MS,
        .jitter_percent = below(&w->random, 30),
        .fall = 1 + below(&w->random, 4),
        .rise = 1 + below(&w->random, 4),
        .traffic_failures = below(&w->random, 8),
        .traffic_hold_ns = 5000 * MS,
    };
    w->fc = (struct dp_failover_config){
        .n_regions = (uint16_t)(1 + below(&w->random, 5)),
        .automatic = below(&w->random, 3) != 0,
        .hold_ns = below(&w->random, below(&w->random, 2) ? 60 : 8) * 1000 * MS,
        .hold_max_ns = below(&w->random, 300) * 1000 * MS,
        .forget_ns = below(&w->random, 600) * 1000 * MS,
        .ramp_ns = below(&w->random, 3) * 20000 * MS,
        .no_region = (enum dp_no_region)below(&w->random, 3),
    };
    w->asked = below(&w->random, 2) ? 0 : below(&w->random, 1U << DP_GATE_COUNT);
    w->asked &= ~DP_GATE_BIT(DP_GATE_HEALTH); /* the rules' own */
    /* A few minutes of the first hour, which is a Thursday's. */
    w->windows = (struct dp_windows){.n = 1, .at = {{.days = 1U << 3}}};
    w->windows.at[0].from_m = (uint16_t)below(&w->random, 15);
    w->windows.at[0].till_m = (uint16_t)(w->windows.at[0].from_m + 1 + below(&w->random, 15));
    w->ramp_from = DP_NO_REGION;
    w->share = 100;
    w->now_ns = below(&w->random, 1000) * MS;
    dp_failover_init(&w->failover);
    for (uint16_t i = 0; i < w->fc.n_regions; i++) {
        dp_health_init(&w->regions[i].health, &w->hc, w->now_ns, seed + i);
        w->regions[i].up_since_ns = UINT64_MAX;
    }
}

static enum dp_probe_kind draw_probe(struct random *r, unsigned mood)
{
    static const enum dp_probe_kind well[] = {DP_PROBE_OK, DP_PROBE_OK, DP_PROBE_OK,
                                              DP_PROBE_THROTTLED, DP_PROBE_CREDENTIALS};
    if (mood == 0)
        return well[below(r, 5)];
    if (mood == 1) /* dark */
        return DP_PROBE_DARK;
    return (enum dp_probe_kind)below(r, DP_PROBE_KIND_COUNT);
}

static struct dp_health_event draw_event(struct world *w, struct account *a)
{
    struct random *r = &w->random;
    struct dp_health_event e = {.kind = DP_HEALTH_TICK};
    if (below(r, 40) == 0)
        a->mood = below(r, 3);
    uint32_t dice = below(r, 10);
    if (dice < 6) {
        e.kind = DP_HEALTH_PROBE;
        e.probe = draw_probe(r, a->mood);
        uint64_t ago = below(r, 1000) * MS; /* not before the clock's start */
        e.probe_started_ns = w->now_ns > ago ? w->now_ns - ago : 0;
    } else if (dice < 9) {
        e.kind = DP_HEALTH_TRAFFIC;
        e.traffic.good = a->mood == 1 ? 0 : below(r, 5);
        e.traffic.unanswered = a->mood == 0 ? 0 : below(r, 3);
        e.traffic.errors = below(r, 3);
    }
    return e;
}

static bool alive(enum dp_probe_kind k)
{
    return k == DP_PROBE_OK || k == DP_PROBE_CREDENTIALS || k == DP_PROBE_UNPROVISIONED;
}

static void note_event(const struct world *w, struct account *a, const struct dp_health_event *e)
{
    if (e->kind == DP_HEALTH_PROBE && alive(e->probe)) {
        a->passed_row++;
        a->failed_row = 0;
    } else if (e->kind == DP_HEALTH_PROBE && e->probe == DP_PROBE_DRAINING) {
        a->passed_row = a->failed_row = 0;
    } else if (e->kind == DP_HEALTH_PROBE && e->probe != DP_PROBE_THROTTLED &&
               e->probe != DP_PROBE_QUOTA) {
        a->failed_row++;
        a->passed_row = 0;
    } else if (e->kind == DP_HEALTH_TRAFFIC && a->health.health != DP_HEALTH_DOWN) {
        if (e->traffic.good)
            a->bad_row = 0;
        a->bad_row += e->traffic.unanswered + e->traffic.errors;
        if (e->traffic.unanswered)
            a->last_bad_ns = w->now_ns;
    }
}

/* Hysteresis: no state is left for less evidence than its threshold asks for. */
static void check_health(const struct world *w, struct account *a,
                         const struct dp_health_actions *out)
{
    const struct dp_health_change *c = &out->change;
    assert_int_equal(c->after, a->health.health);
    if (c->before != c->after && c->after == DP_HEALTH_DOWN) {
        bool probes = a->failed_row >= w->hc.fall;
        bool traffic = w->hc.traffic_failures && a->bad_row >= w->hc.traffic_failures;
        assert_true(probes || traffic);
        a->fell_by_traffic = c->signal == DP_HEALTH_SIGNAL_UNANSWERED;
        a->passed_row = 0;
    }
    if (c->before == DP_HEALTH_DOWN && c->after != DP_HEALTH_DOWN) {
        assert_int_equal(c->after, DP_HEALTH_UP);
        assert_true(a->passed_row >= w->hc.rise);
        if (a->fell_by_traffic)
            assert_true(w->now_ns >= a->last_bad_ns + w->hc.traffic_hold_ns);
    }
    if (c->before != c->after && c->after != DP_HEALTH_SUSPECT)
        a->bad_row = 0;
    assert_true(a->health.probe_at_ns <= w->now_ns + w->hc.interval_ns * 13 / 10);
}

static bool lost(const struct account *a)
{
    return a->health.health == DP_HEALTH_DOWN || a->health.draining;
}

static bool well(const struct account *a)
{
    return a->health.health == DP_HEALTH_UP && !a->health.draining;
}

/* No fall is forgotten before the longest hold is over. */
static uint64_t memory_of(const struct world *w)
{
    uint64_t longest = w->fc.hold_max_ns > w->fc.hold_ns ? w->fc.hold_max_ns : w->fc.hold_ns;
    return w->fc.forget_ns > longest ? w->fc.forget_ns : longest;
}

static void keep_holds(struct world *w)
{
    for (uint16_t i = 0; i < w->fc.n_regions; i++) {
        struct account *a = &w->regions[i];
        if (lost(a))
            a->was_lost = true;
        if (!well(a))
            a->up_since_ns = UINT64_MAX;
        else if (a->up_since_ns == UINT64_MAX)
            a->up_since_ns = w->now_ns;
        a->falls += lost(a) && !a->away;
        a->away = lost(a);
        if (a->up_since_ns != UINT64_MAX && w->now_ns - a->up_since_ns >= memory_of(w))
            a->falls = 0;
    }
}

/* What core/gate.h is told now and then. */
static void draw_facts(struct world *w, struct account *a)
{
    struct random *r = &w->random;
    if (below(r, 30) != 0)
        return;
    a->facts = (struct dp_gate_facts){.probes_asked = below(r, 3),
                                      .probe_trouble = below(r, 2) ? "503" : NULL,
                                      .counted = below(r, 8) != 0,
                                      .requests = below(r, 100),
                                      .max_failed_percent = 5,
                                      .approved = below(r, 2) != 0,
                                      .replication = (enum dp_gate_sight)below(r, 4),
                                      .blind_is_open = below(r, 2) != 0};
    a->facts.probes_passed = a->facts.probes_asked - (a->facts.probes_asked && below(r, 4) == 0);
    a->facts.failed = below(r, 4) ? 0 : below(r, 1 + (uint32_t)a->facts.requests);
}

static bool window_is_open(const struct world *w)
{
    uint64_t minute = w->now_ns / (60 * 1000 * MS);
    return minute >= w->windows.at[0].from_m && minute < w->windows.at[0].till_m;
}

/* The test's own reading of the gate. */
static bool gate_is_open(const struct world *w, const struct account *a)
{
    const struct dp_gate_facts *f = &a->facts;
    bool shut = false;
    if (w->asked & DP_GATE_BIT(DP_GATE_PROBES))
        shut = shut || f->probes_asked == 0 || f->probes_passed != f->probes_asked;
    if (w->asked & DP_GATE_BIT(DP_GATE_ERRORS))
        shut = shut || !f->counted || f->failed * 20 > f->requests;
    if (w->asked & DP_GATE_BIT(DP_GATE_APPROVAL))
        shut = shut || !f->approved;
    if (w->asked & DP_GATE_BIT(DP_GATE_WINDOW))
        shut = shut || !window_is_open(w);
    if (w->asked & DP_GATE_BIT(DP_GATE_REPLICATION))
        shut = shut || !(f->replication == DP_GATE_ARRIVED ||
                         (f->replication == DP_GATE_BLIND && (f->blind_is_open || f->approved)));
    return !shut;
}

static struct dp_failover_region input(const struct world *w, uint16_t i)
{
    struct dp_gate_facts facts = w->regions[i].facts;
    facts.window_wait_m = dp_windows_wait_m(&w->windows, (int64_t)(w->now_ns / (60 * 1000 * MS)));
    unsigned unmet = dp_gate_unmet(&facts, w->asked);
    return (struct dp_failover_region){.health = w->regions[i].health.health,
                                       .draining = w->regions[i].health.draining,
                                       .shut = unmet != 0,
                                       .unready = (unmet & ~DP_GATE_BIT(DP_GATE_WINDOW)) != 0};
}

/* Doubled for each fall after the first, up to the cap. */
static uint64_t hold_of(const struct world *w, const struct account *a)
{
    uint64_t cap = w->fc.hold_max_ns > w->fc.hold_ns ? w->fc.hold_max_ns : w->fc.hold_ns;
    uint64_t hold = w->fc.hold_ns;
    for (unsigned i = 1; i < a->falls && hold < cap; i++)
        hold *= hold ? 2 : 1;
    if (w->fc.hold_ns == 0 && a->falls > 1)
        return 0;
    return hold < cap ? hold : cap;
}

static void check_open(struct world *w, const struct dp_failover_decision *d)
{
    const struct account *to = &w->regions[d->after];
    assert_int_not_equal(w->fc.no_region, DP_NO_REGION_REFUSE);
    assert_true(lost(to));
    assert_false(to->health.draining);
    for (uint16_t i = 0; i < w->fc.n_regions; i++) {
        assert_true(lost(&w->regions[i]));
        if (w->fc.no_region == DP_NO_REGION_PRIMARY && i < d->after)
            assert_true(w->regions[i].health.draining);
    }
    if (w->fc.no_region == DP_NO_REGION_LAST_GOOD && d->before != DP_NO_REGION &&
        !w->regions[d->before].health.draining)
        assert_int_equal(d->after, d->before);
    w->opens++;
}

/* The share only grows, and only a failback lowers it. */
static void check_ramp(struct world *w, const struct dp_failover_decision *d)
{
    assert_in_range(d->share_percent, DP_RAMP_STEP_PERCENT, 100);
    if (d->move == DP_MOVE_FAILBACK && w->fc.ramp_ns) {
        assert_true(d->ramp_from == d->before || d->share_percent == 100);
    } else if (d->move != DP_MOVE_NONE) {
        assert_int_equal(d->ramp_from, DP_NO_REGION);
    } else {
        assert_true(d->ramp_from == w->ramp_from || d->ramp_from == DP_NO_REGION);
        assert_true(d->share_percent >= w->share);
    }
    if (d->ramp_from == DP_NO_REGION)
        assert_int_equal(d->share_percent, 100);
    else
        assert_int_equal(d->routes[d->ramp_from], DP_ROUTE_OK);
    w->ramp_from = d->ramp_from;
    w->share = d->share_percent;
}

static void check_move(struct world *w, const struct dp_failover_decision *d)
{
    const struct account *to = d->after == DP_NO_REGION ? NULL : &w->regions[d->after];
    const struct account *from = d->before == DP_NO_REGION ? NULL : &w->regions[d->before];
    switch (d->move) {
    case DP_MOVE_NONE:
        assert_int_equal(d->before, d->after);
        break;
    case DP_MOVE_FAILOVER:
        assert_true(lost(from));
        assert_false(lost(to));
        break;
    case DP_MOVE_FAILBACK:
        assert_true(w->fc.automatic);
        assert_false(w->pinned);
        assert_true(d->after < d->before);
        assert_true(to->up_since_ns != UINT64_MAX && w->now_ns - to->up_since_ns >= hold_of(w, to));
        assert_true(gate_is_open(w, to));
        w->failbacks++;
        w->doubled += hold_of(w, to) > w->fc.hold_ns;
        break;
    case DP_MOVE_LOST:
        assert_true(lost(from));
        break;
    case DP_MOVE_REGAINED:
        assert_true(!from || w->open);
        assert_false(lost(to));
        break;
    case DP_MOVE_OPEN:
        check_open(w, d);
        break;
    case DP_MOVE_SWITCH:
    case DP_MOVE_DRAIN:
    case DP_MOVE_REMOVED:
    case DP_MOVE_COUNT:
        fail_msg("nobody was here");
    }
    if (d->move != DP_MOVE_NONE) {
        w->pinned = w->forced = false;
        w->moves++;
    }
    w->open = d->open;
}

static void check_routes(const struct world *w, const struct dp_failover_decision *d)
{
    bool any_up = false, any_alive = false, any_opened = false;
    for (uint16_t i = 0; i < w->fc.n_regions; i++) {
        const struct account *a = &w->regions[i];
        any_up = any_up || well(a);
        any_alive = any_alive || !lost(a);
        any_opened = any_opened || !a->health.draining;
        if (i == d->after) {
            assert_int_equal(d->routes[i], DP_ROUTE_OK);
        } else if (a->health.health == DP_HEALTH_DOWN) {
            assert_int_equal(d->routes[i], DP_ROUTE_DOWN);
        } else if (a->health.draining) {
            assert_int_equal(d->routes[i], DP_ROUTE_BARRED);
        }
    }
    any_opened = any_opened && w->fc.no_region != DP_NO_REGION_REFUSE;
    if (!w->forced && d->after != DP_NO_REGION)
        assert_int_equal(lost(&w->regions[d->after]), d->open);
    assert_int_equal(d->after == DP_NO_REGION, !any_alive && !w->forced && !any_opened);
    if (d->open)
        assert_false(any_alive || w->regions[d->after].health.draining);
    /* A request that fails in the active region finds another one, whenever there is one alive. */
    unsigned others = 0, open = 0;
    for (uint16_t i = 0; i < w->fc.n_regions; i++) {
        others += i != d->after && !lost(&w->regions[i]);
        open += i != d->after && d->routes[i] == DP_ROUTE_OK;
    }
    assert_int_equal(others > 0, open > 0);
    if (d->waiting != DP_NO_REGION) {
        assert_true(w->fc.automatic && !w->pinned && d->waiting < d->after);
        assert_true(well(&w->regions[d->waiting]));
        assert_true(d->failback_at_ns >= w->now_ns);
    }
}

static void maybe_order(struct world *w)
{
    struct dp_failover_region regions[DP_MAX_REGIONS];
    struct dp_failover_decision d;
    if (below(&w->random, 200) != 0)
        return;
    for (uint16_t i = 0; i < w->fc.n_regions; i++)
        regions[i] = input(w, i);
    uint16_t target = (uint16_t)below(&w->random, w->fc.n_regions);
    bool force = below(&w->random, 2) == 0;
    bool done = dp_failover_switch(&w->failover, &w->fc, regions, target, force, w->now_ns, &d);
    assert_int_equal(done, force || !lost(&w->regions[target]));
    if (done) {
        w->pinned = true;
        w->forced = lost(&w->regions[target]);
        assert_int_equal(d.after, target);
        w->open = false;
        w->ramp_from = d.ramp_from;
        w->share = d.share_percent;
        check_routes(w, &d);
    }
}

static void one_event(struct world *w)
{
    struct dp_failover_region regions[DP_MAX_REGIONS];
    struct dp_failover_decision d;
    struct dp_health_actions out;
    w->now_ns += below(&w->random, 700) * MS;
    uint16_t which = (uint16_t)below(&w->random, w->fc.n_regions);
    struct account *a = &w->regions[which];
    draw_facts(w, a);
    struct dp_health_event e = draw_event(w, a);
    note_event(w, a, &e);
    dp_health_step(&a->health, &w->hc, &e, w->now_ns, &out);
    if (out.changed)
        check_health(w, a, &out);
    for (uint16_t i = 0; i < w->fc.n_regions; i++)
        regions[i] = input(w, i);
    keep_holds(w);
    if (w->forced && !lost(&w->regions[w->failover.active]))
        w->forced = false;
    dp_failover_step(&w->failover, &w->fc, regions, w->now_ns, &d);
    check_move(w, &d);
    check_routes(w, &d);
    check_ramp(w, &d);
    if (d.waiting != DP_NO_REGION && d.failback_at_ns <= w->now_ns) {
        assert_false(gate_is_open(w, &w->regions[d.waiting]));
        w->blocked++;
    }
    maybe_order(w);
}

static void random_histories(void **state)
{
    (void)state;
    uint64_t moves = 0, failbacks = 0, blocked = 0, opens = 0, doubled = 0;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct world w;
        world_init(&w, seed);
        for (unsigned i = 0; i < EVENTS; i++)
            one_event(&w);
        moves += w.moves;
        failbacks += w.failbacks;
        blocked += w.blocked;
        opens += w.opens;
        doubled += w.doubled;
    }
    /* Everything did happen. */
    assert_true(moves > 10 * HISTORIES && failbacks > HISTORIES / 4 && blocked > HISTORIES);
    assert_true(opens > HISTORIES && doubled > HISTORIES / 20);
}

/* The same history gives the same decisions: nothing but the arguments counts. */
static void histories_repeat(void **state)
{
    (void)state;
    static struct world a, b;
    world_init(&a, 42);
    world_init(&b, 42);
    for (unsigned i = 0; i < EVENTS; i++) {
        one_event(&a);
        one_event(&b);
    }
    assert_memory_equal(&a.failover, &b.failover, sizeof(a.failover));
    assert_int_equal(a.regions[0].health.probe_at_ns, b.regions[0].health.probe_at_ns);
    assert_int_equal(a.moves, b.moves);
}

/* A region that flaps forever as fast as it can costs one failover, never a failback. */
static void a_flapping_region_is_left_once(void **state)
{
    (void)state;
    struct dp_health_config hc = {.interval_ns = 2000 * MS,
                                  .fast_ns = 500 * MS,
                                  .fall = 3,
                                  .rise = 2,
                                  .traffic_failures = 5,
                                  .traffic_hold_ns = 5000 * MS};
    struct dp_failover_config fc = {.n_regions = 2, .automatic = true, .hold_ns = 300000 * MS};
    struct dp_failover_state f;
    struct dp_health_state h;
    unsigned moves = 0;
    dp_failover_init(&f);
    dp_health_init(&h, &hc, 0, 1);
    for (uint64_t t = 0; t < UINT64_C(24) * 3600 * 1000; t += 500) { /* a day */
        struct dp_health_actions out;
        struct dp_failover_decision d;
        bool dark = (t / 3000) % 2 == 1; /* 3 s dark, 3 s well */
        struct dp_health_event e = {.kind = DP_HEALTH_PROBE,
                                    .probe = dark ? DP_PROBE_DARK : DP_PROBE_OK,
                                    .probe_started_ns = t * MS};
        dp_health_step(&h, &hc, &e, t * MS, &out);
        struct dp_failover_region regions[2] = {{.health = h.health}, {.health = DP_HEALTH_UP}};
        dp_failover_step(&f, &fc, regions, t * MS, &d);
        moves += d.move != DP_MOVE_NONE;
    }
    assert_int_equal(moves, 1);
    assert_int_equal(f.active, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
        cmocka_unit_test(histories_repeat),
        cmocka_unit_test(a_flapping_region_is_left_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
