/* What must hold of every choice, on random worlds and requests (fixed seeds), said more simply than the policy
 * says it. And of the nearest regions, on long random histories of distances and losses. */
#include "davenport/base/attr.h"
#include "davenport/base/random.h"
#include "davenport/core/policy.h"

#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WORLDS    200000
#define HISTORIES 300
#define STEPS     3000
#define MS        UINT64_C(1000000)

struct world {
    struct dp_view view;
    struct dp_router router;
    struct dp_rule rule;
    struct dp_ask ask;
    struct dp_attempts attempts;
    uint64_t now_ns;
};

static void make_regions(struct world *w, struct random *r)
{
    struct dp_view *v = &w->view;
    v->n_regions = (uint16_t)(1 + below(r, 4));
    v->active = chance(r, 90) ? (uint16_t)below(r, v->n_regions) : DP_NO_REGION;
    v->home = (uint16_t)below(r, v->n_regions);
    for (uint16_t i = 0; i < v->n_regions; i++) {
        struct dp_view_region *g = &v->regions[i];
        g->state = (enum dp_route_state)(chance(r, 60) ? 0 : below(r, 3));
        g->held = g->state != DP_ROUTE_DOWN && i != v->active && chance(r, 25);
        g->share = (uint8_t)(chance(r, 70) ? 100 : below(r, 100));
        g->latency_us = below(r, 100000);
        for (unsigned k = 0; k < DP_LOAD_COUNT; k++)
            w->router.throttled_until_ns[i][k] = chance(r, 20) ? w->now_ns + 1 : 0;
        for (uint32_t n = below(r, 4); n > 0; n--) {
            struct dp_view_endpoint *e = &v->endpoints[v->n_endpoints];
            e->region = i;
            e->state = chance(r, 80) ? g->state : (enum dp_route_state)below(r, 3);
            e->max_in_flight = chance(r, 30) ? 1 + below(r, 4) : 0;
            w->router.in_flight[v->n_endpoints++] = below(r, 5);
        }
    }
    w->router.near.regions = below(r, UINT32_C(1) << v->n_regions);
}

static void make(struct world *w, struct random *r)
{
    memset(w, 0, sizeof(*w));
    w->now_ns = 1 + below(r, 1000);
    make_regions(w, r);
    w->rule = (struct dp_rule){.mode = (enum dp_mode)below(r, 3),
                               .writes_failover = chance(r, 50),
                               .sticky = (enum dp_sticky)below(r, 4),
                               .on_loss = (enum dp_on_loss)below(r, 2)};
    bool by_value = w->rule.sticky == DP_STICKY_HEADER || w->rule.sticky == DP_STICKY_ADDRESS;
    bool by_conn = w->rule.sticky == DP_STICKY_CONNECTION;
    w->ask = (struct dp_ask){
        .rule = &w->rule,
        .load = (enum dp_load)below(r, DP_LOAD_COUNT),
        .writes = chance(r, 40),
        .bound = chance(r, 20),
        .keyed = by_value && chance(r, 80),
        .wrote = by_conn && chance(r, 30),
        .kept = by_conn && chance(r, 60) ? (uint16_t)below(r, w->view.n_regions) : DP_NO_REGION,
        .key = dp_mix(r->x),
        .chance = dp_mix(~r->x),
    };
    w->attempts.failed_mask = chance(r, 50) ? 0 : below(r, 4096);
    w->attempts.acted_mask = chance(r, 80) ? 0 : below(r, 16);
    w->attempts.turn = below(r, 7);
}

/* Could this endpoint take the request, by the view and what happened to it? */
static bool open_to(const struct world *w, uint16_t ep, bool home)
{
    const struct dp_view_endpoint *e = &w->view.endpoints[ep];
    const struct dp_view_region *g = &w->view.regions[e->region];
    bool spare = home && g->held;
    return (e->state == DP_ROUTE_OK || (spare && e->state == DP_ROUTE_BARRED)) &&
           (g->state == DP_ROUTE_OK || (spare && g->state == DP_ROUTE_BARRED)) &&
           !(w->attempts.failed_mask >> ep & 1) && !(w->attempts.acted_mask >> e->region & 1);
}

static bool region_open(const struct world *w, uint16_t region, bool home)
{
    for (uint16_t ep = 0; ep < w->view.n_endpoints; ep++) {
        if (w->view.endpoints[ep].region == region && open_to(w, ep, home))
            return true;
    }
    return false;
}

static unsigned failed_in(const struct world *w, uint16_t region)
{
    unsigned n = 0;
    for (uint16_t ep = 0; ep < w->view.n_endpoints; ep++)
        n += w->view.endpoints[ep].region == region && (w->attempts.failed_mask >> ep & 1);
    return n;
}

/* Nothing at all speaks against it: near, settled, whole, and every open endpoint of it free. */
static bool ideal(const struct world *w, uint16_t region)
{
    const struct dp_view_region *g = &w->view.regions[region];
    if (!region_open(w, region, false) || g->held || failed_in(w, region) >= 2 ||
        !(w->router.near.regions >> region & 1) ||
        (g->share < 100 && !w->ask.writes && w->ask.key % 100 >= g->share) ||
        w->router.throttled_until_ns[region][w->ask.load] > w->now_ns)
        return false;
    for (uint16_t ep = 0; ep < w->view.n_endpoints; ep++) {
        uint32_t cap = w->view.endpoints[ep].max_in_flight;
        if (w->view.endpoints[ep].region == region && cap > 0 && w->router.in_flight[ep] >= cap)
            return false;
    }
    return true;
}

static bool any_region(const struct world *w, bool (*is)(const struct world *, uint16_t))
{
    for (uint16_t i = 0; i < w->view.n_regions; i++) {
        if (is(w, i))
            return true;
    }
    return false;
}

static bool open_and_settled(const struct world *w, uint16_t region)
{
    return region_open(w, region, false) && !w->view.regions[region].held;
}

static bool just_open(const struct world *w, uint16_t region)
{
    return region_open(w, region, false);
}

static bool stays_home(const struct world *w)
{
    return w->rule.mode == DP_MODE_WRITE_PRIMARY && !w->rule.writes_failover;
}

/* Its region is chosen by distance alone. */
static bool goes_to_nearest(const struct world *w)
{
    if (w->ask.bound || w->ask.keyed || w->ask.wrote)
        return false;
    if (w->rule.mode == DP_MODE_ACTIVE_ACTIVE)
        return w->rule.sticky != DP_STICKY_CONNECTION;
    return w->rule.mode == DP_MODE_WRITE_PRIMARY && !w->ask.writes;
}

/* Always to the active region, as long as it can. */
static bool goes_to_active(const struct world *w)
{
    bool writer = w->rule.mode == DP_MODE_WRITE_PRIMARY && w->ask.writes && w->rule.writes_failover;
    bool bound = w->rule.mode == DP_MODE_ACTIVE_PASSIVE
                     ? w->ask.bound || w->ask.writes
                     : w->ask.bound && !(w->rule.mode == DP_MODE_ACTIVE_ACTIVE && w->ask.keyed);
    return writer || (bound && !(stays_home(w) && w->ask.writes));
}

static const char *fault(const struct world *w, const struct dp_route *to)
{
    bool home = stays_home(w) && (w->ask.writes || w->ask.keyed || w->ask.wrote);
    if (to->kind == DP_ROUTE_FAIL) {
        if (to->why == DP_ENOREGION && any_region(w, just_open))
            return "gave up although a region is open";
        if (to->why == DP_EPRIMARY && !(stays_home(w) && w->ask.writes))
            return "refused what is no write that stays";
        if (to->why == DP_EPRIMARY && region_open(w, w->view.home, true))
            return "refused a write although home is open";
        if (to->why == DP_ESTICKY && w->rule.on_loss != DP_ON_LOSS_REFUSE)
            return "refused a client that may be moved";
        return NULL;
    }
    uint16_t region = w->view.endpoints[to->endpoint].region;
    if (to->endpoint >= w->view.n_endpoints ||
        !open_to(w, to->endpoint, home && region == w->view.home))
        return "sent to what is down, barred, drained, or failed before";
    if (stays_home(w) && w->ask.writes)
        return region == w->view.home ? NULL : "a write left home";
    if (w->view.regions[region].held && any_region(w, open_and_settled) &&
        !(home && region == w->view.home))
        return "sent to a held region although a settled one is open";
    if (goes_to_active(w) && w->view.active < w->view.n_regions &&
        region_open(w, w->view.active, false) && failed_in(w, w->view.active) < 2 &&
        !w->view.regions[w->view.active].held && region != w->view.active)
        return "not sent to the active region";
    if (goes_to_nearest(w) && any_region(w, ideal) && !(w->router.near.regions >> region & 1))
        return "sent out of the window";
    return NULL;
}

static void every_choice_keeps_the_rules(void **state)
{
    static struct world w;
    struct random r = {4711};
    unsigned sent = 0;
    (void)state;
    for (unsigned i = 0; i < WORLDS; i++) {
        make(&w, &r);
        struct dp_route to = dp_policy_next(&w.view, &w.router, &w.ask, &w.attempts, w.now_ns);
        struct dp_route again = dp_policy_next(&w.view, &w.router, &w.ask, &w.attempts, w.now_ns);
        const char *why = fault(&w, &to);
        if (why)
            fail_msg("world %u, mode %s: %s", i, dp_mode_name(w.rule.mode), why);
        assert_int_equal(to.kind, again.kind);
        assert_int_equal(to.endpoint, again.endpoint);
        sent += to.kind == DP_ROUTE_SEND;
    }
    assert_true(sent > WORLDS / 3 && sent < WORLDS);
}

/* A request that names its region has that one or none, whatever the mode; barred or held, but never down, never twice. */
static void what_is_named_goes_there_or_nowhere(void **state)
{
    static struct world w;
    struct random r = {815};
    unsigned sent = 0;
    (void)state;
    for (unsigned i = 0; i < WORLDS; i++) {
        make(&w, &r);
        w.ask.named = true;
        w.ask.only = chance(&r, 95) ? (uint16_t)below(&r, w.view.n_regions) : DP_NO_REGION;
        const struct dp_route to =
            dp_policy_next(&w.view, &w.router, &w.ask, &w.attempts, w.now_ns);
        assert_false(dp_policy_elsewhere(&w.view, &w.router, &w.ask, &w.attempts, 0, w.now_ns));
        if (to.kind == DP_ROUTE_SEND) {
            assert_int_equal(w.view.endpoints[to.endpoint].region, w.ask.only);
            assert_int_not_equal(w.view.endpoints[to.endpoint].state, DP_ROUTE_DOWN);
            assert_int_not_equal(w.view.regions[w.ask.only].state, DP_ROUTE_DOWN);
            assert_int_equal(w.attempts.failed_mask >> to.endpoint & 1, 0);
            assert_int_equal(w.attempts.acted_mask >> w.ask.only & 1, 0);
            sent++;
        } else if (w.ask.only == DP_NO_REGION) {
            assert_int_equal(to.why, DP_ENOSUCHREGION);
        } else {
            assert_int_equal(to.why, DP_ENAMED);
            assert_false(region_open(&w, w.ask.only, false));
        }
    }
    assert_true(sent > WORLDS / 3 && sent < WORLDS);
}

/* Attempt after attempt, each failing: it ends, and no endpoint has it twice. */
static void attempts_come_to_an_end(void **state)
{
    static struct world w;
    struct random r = {42};
    (void)state;
    for (unsigned i = 0; i < WORLDS / 10; i++) {
        unsigned attempts = 0;
        make(&w, &r);
        w.attempts.failed_mask = 0;
        for (;; attempts++) {
            struct dp_route to = dp_policy_next(&w.view, &w.router, &w.ask, &w.attempts, w.now_ns);
            if (to.kind == DP_ROUTE_FAIL)
                break;
            assert_int_equal(w.attempts.failed_mask >> to.endpoint & 1, 0);
            w.attempts.failed_mask |= UINT32_C(1) << to.endpoint;
        }
        assert_true(attempts <= w.view.n_endpoints);
    }
}

static void the_nearest_keep_their_dwell_and_window(void **state)
{
    struct random r = {99};
    (void)state;
    for (unsigned h = 0; h < HISTORIES; h++) {
        struct dp_near near = {0};
        double ns[DP_MAX_REGIONS];
        uint64_t now = 1000 * MS, changed = 0;
        uint32_t n = 2 + below(&r, 4), eligible = (UINT32_C(1) << n) - 1;
        bool ever = false;
        for (unsigned i = 0; i < DP_MAX_REGIONS; i++)
            ns[i] = i < n ? (double)(below(&r, 60) * MS) : -1;
        for (unsigned s = 0; s < STEPS; s++, now += 50 * MS) {
            if (chance(&r, 10))
                ns[below(&r, n)] = (double)(below(&r, 60) * MS);
            if (chance(&r, 2))
                eligible ^= UINT32_C(1) << below(&r, n);
            uint32_t before = near.regions;
            bool told = dp_near_step(&near, ns, eligible, 0, now);
            assert_int_equal(told, before != near.regions);
            if (!told)
                continue;
            if (ever && now - changed < DP_NEAR_DWELL_NS)
                assert_int_equal(before & eligible, 0); /* all of them were lost */
            changed = now;
            ever = true;
            double best = -1;
            for (uint32_t i = 0; i < n; i++) {
                if ((eligible >> i & 1) && (best < 0 || ns[i] < best))
                    best = ns[i];
            }
            for (uint32_t i = 0; i < n; i++) {
                bool in = (eligible >> i & 1) && ns[i] <= best + (double)DP_NEAR_WINDOW_NS;
                assert_int_equal(near.regions >> i & 1, in); /* below 100 ms 15 ms is the wider */
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_choice_keeps_the_rules),
        cmocka_unit_test(attempts_come_to_an_end),
        cmocka_unit_test(what_is_named_goes_there_or_nowhere),
        cmocka_unit_test(the_nearest_keep_their_dwell_and_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
