/* Where requests go in each mode, as vectors: a world of regions, a request, and the set of regions that it may go
 * to, whatever chance says. */
#include "davenport/base/attr.h"
#include "davenport/base/random.h"
#include "davenport/core/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define AP DP_MODE_ACTIVE_PASSIVE
#define AA DP_MODE_ACTIVE_ACTIVE
#define WP DP_MODE_WRITE_PRIMARY

/* Of an ask. */
#define WRITES 1U
#define BOUND  2U
#define KEYED  4U
#define WROTE  8U
#define REFUSE 16U /* on_loss */
#define STAYS  32U /* writes do not fail over */
#define CONN   64U /* sticky by connection */

struct vector {
    const char *what;
    /* A letter a region, one endpoint each. 'o' ok, 'd' down, 'b' barred, 'h' held and ok, 'H' held and barred,
     * 't' ok and throttles, 'f' ok and full. */
    const char *regions;
    uint16_t active, home;
    uint32_t near; /* a bit each */
    enum dp_mode mode;
    unsigned ask;
    uint32_t failed;
    uint32_t may; /* regions it may go to, a bit each; 0: nowhere */
    enum dp_err why;
};

static void make_world(const struct vector *t, struct dp_view *v, struct dp_router *r)
{
    *r = (struct dp_router){.near = {.regions = t->near}};
    v->active = t->active;
    v->home = t->home;
    for (const char *p = t->regions; *p; p++) {
        struct dp_view_endpoint *e = &v->endpoints[v->n_endpoints];
        enum dp_route_state s = *p == 'd'                ? DP_ROUTE_DOWN
                                : *p == 'b' || *p == 'H' ? DP_ROUTE_BARRED
                                                         : DP_ROUTE_OK;
        v->regions[v->n_regions].state = e->state = s;
        v->regions[v->n_regions].held = *p == 'h' || *p == 'H';
        v->regions[v->n_regions].latency_us = 10000U * (v->n_regions + 1U);
        e->region = v->n_regions++;
        e->max_in_flight = 2;
        r->in_flight[v->n_endpoints] = *p == 'f' ? 2 : 0;
        if (*p == 't')
            r->throttled_until_ns[e->region][DP_LOAD_LOOKUP] = 100;
        v->n_endpoints++;
    }
}

static void check(const struct vector *t)
{
    struct dp_view *v = dp_view_new();
    struct dp_router router;
    make_world(t, v, &router);
    const struct dp_rule rule = {.mode = t->mode,
                                 .writes_failover = !(t->ask & STAYS),
                                 .on_loss = t->ask & REFUSE ? DP_ON_LOSS_REFUSE : DP_ON_LOSS_MOVE,
                                 .sticky = t->ask & CONN ? DP_STICKY_CONNECTION : DP_STICKY_NONE};
    const struct dp_attempts attempts = {.failed_mask = t->failed};
    uint32_t went = 0;
    for (uint64_t i = 0; i < 400; i++) {
        const struct dp_ask ask = {.rule = &rule,
                                   .load = DP_LOAD_LOOKUP,
                                   .writes = t->ask & WRITES,
                                   .bound = t->ask & BOUND,
                                   .keyed = t->ask & KEYED,
                                   .wrote = t->ask & WROTE,
                                   .kept = DP_NO_REGION,
                                   .key = dp_mix(i),
                                   .chance = dp_mix(~i)};
        struct dp_route to = dp_policy_next(v, &router, &ask, &attempts, 50);
        if (to.kind == DP_ROUTE_FAIL) {
            if (t->may != 0 || to.why != t->why)
                fail_msg("%s: refused with %s", t->what, dp_err_info(to.why)->code);
            continue;
        }
        went |= UINT32_C(1) << v->endpoints[to.endpoint].region;
    }
    if (went != t->may)
        fail_msg("%s: went to %x, not %x", t->what, went, t->may);
    dp_view_unref(v);
}

#define NOWHERE 0, DP_ENOREGION

static const struct vector vectors[] = {
    /* active-passive: whatever is near, throttled or full */
    {"the active one", "oo", 0, 0, 2, AP, 0, 0, 1, 0},
    {"though it throttles", "to", 0, 0, 2, AP, 0, 0, 1, 0},
    {"though it is full", "fo", 0, 0, 2, AP, 0, 0, 1, 0},
    {"then the others", "ooo", 1, 0, 7, AP, 0, 2, 1, 0},
    {"not those that are held, while another can", "oho", 0, 0, 7, AP, 0, 1, 4, 0},
    {"but these before nothing", "ohd", 0, 0, 7, AP, 0, 1, 2, 0},
    {"writes too", "oho", 0, 0, 7, AP, WRITES, 1, 4, 0},
    {"sticky says nothing here", "oo", 0, 0, 3, AP, KEYED | REFUSE, 1, 2, 0},
    /* active-active: all of the nearest */
    {"the nearest", "ooo", 0, 0, 6, AA, 0, 0, 6, 0},
    {"writes too", "ooo", 0, 0, 6, AA, WRITES, 0, 6, 0},
    {"one is down", "odo", 0, 0, 6, AA, 0, 0, 4, 0},
    {"one is barred", "obo", 0, 0, 6, AA, 0, 0, 4, 0},
    {"one failed this request", "ooo", 0, 0, 6, AA, 0, 2, 4, 0},
    {"all near ones failed: the least far", "oooo", 0, 0, 8, AA, 0, 8, 1, 0},
    {"one is held", "oho", 0, 0, 6, AA, 0, 0, 4, 0},
    {"all near ones are held: a far one", "ohh", 0, 0, 6, AA, 0, 0, 1, 0},
    {"all are held: the nearest of them", "hhh", 0, 0, 6, AA, 0, 0, 6, 0},
    {"one throttles", "oto", 0, 0, 6, AA, 0, 0, 4, 0},
    {"all near ones throttle: a far one", "ott", 0, 0, 6, AA, 0, 0, 1, 0},
    {"all throttle: the nearest", "ttt", 0, 0, 6, AA, 0, 0, 6, 0},
    {"one is full", "ofo", 0, 0, 6, AA, 0, 0, 4, 0},
    {"all near ones are full: a far one", "off", 0, 0, 6, AA, 0, 0, 1, 0},
    {"all are full: in line at the nearest", "fff", 0, 0, 6, AA, 0, 0, 6, 0},
    {"full before throttled", "tf", 0, 0, 3, AA, 0, 0, 2, 0},
    {"nobody", "dbd", 0, 0, 7, AA, 0, 0, NOWHERE},
    {"all failed", "oo", 0, 0, 3, AA, 0, 3, NOWHERE},
    {"bound: the active one", "ooo", 1, 0, 5, AA, BOUND, 0, 2, 0},
    {"bound, though it throttles", "oto", 1, 0, 5, AA, BOUND, 0, 2, 0},
    {"bound, the active one failed", "ooo", 1, 0, 4, AA, BOUND, 2, 1, 0},
    {"keyed: all regions, near or far", "ooo", 0, 0, 1, AA, KEYED, 0, 7, 0},
    {"keyed and bound: its own", "ooo", 0, 0, 1, AA, KEYED | BOUND, 0, 7, 0},
    {"keyed, one is lost", "odo", 0, 0, 1, AA, KEYED, 0, 5, 0},
    {"keyed, one is held", "oho", 0, 0, 1, AA, KEYED, 0, 5, 0},
    {"keyed, all others are held", "dhd", 0, 0, 1, AA, KEYED, 0, 2, 0},
    {"keyed, nobody", "ddd", 0, 0, 1, AA, KEYED, 0, NOWHERE},
    {"keyed, though one throttles and one is full", "otf", 0, 0, 1, AA, KEYED, 0, 7, 0},
    {"by connection: the nearest at first", "ooo", 0, 0, 6, AA, CONN, 0, 6, 0},
    {"by connection and bound", "ooo", 0, 0, 6, AA, CONN | BOUND, 0, 1, 0},
    /* write-primary */
    {"reads: the nearest", "ooo", 0, 0, 6, WP, 0, 0, 6, 0},
    {"reads: one throttles", "oto", 0, 0, 6, WP, 0, 0, 4, 0},
    {"writes: the active one", "ooo", 0, 0, 6, WP, WRITES, 0, 1, 0},
    {"writes, though it throttles", "too", 0, 0, 6, WP, WRITES, 0, 1, 0},
    {"writes move when it failed", "ooo", 0, 0, 6, WP, WRITES, 1, 2, 0},
    {"writes that stay: home", "ooo", 0, 0, 6, WP, WRITES | STAYS, 0, 1, 0},
    {"home is not active", "ooo", 1, 0, 6, WP, WRITES | STAYS, 0, 1, 0},
    {"home is another", "ooo", 0, 2, 1, WP, WRITES | STAYS, 0, 4, 0},
    {"home failed", "ooo", 0, 0, 6, WP, WRITES | STAYS, 1, 0, DP_EPRIMARY},
    {"home is down", "doo", 1, 0, 6, WP, WRITES | STAYS, 0, 0, DP_EPRIMARY},
    {"home is drained", "boo", 1, 0, 6, WP, WRITES | STAYS, 0, 0, DP_EPRIMARY},
    {"home is back: held from others' traffic, not its own", "Hoo", 1, 0, 6, WP, WRITES | STAYS, 0,
     1, 0},
    {"home is down: reads go on", "doo", 1, 0, 6, WP, STAYS, 0, 6, 0},
    {"and bound ones", "doo", 1, 0, 6, WP, STAYS | BOUND, 0, 2, 0},
    {"home is back: reads wait", "Hoo", 1, 0, 1, WP, STAYS, 0, 2, 0},
    {"bound reads: the active one", "ooo", 0, 0, 6, WP, BOUND, 0, 1, 0},
    {"bound writes that stay", "doo", 1, 0, 6, WP, WRITES | BOUND | STAYS, 0, 0, DP_EPRIMARY},
    {"keyed reads: where writes go", "ooo", 0, 0, 6, WP, KEYED, 0, 1, 0},
    {"who wrote reads there", "ooo", 0, 0, 6, WP, WROTE, 0, 1, 0},
    {"writes stay: reads of the same at home", "ooo", 1, 0, 6, WP, WROTE | STAYS, 0, 1, 0},
    {"where writes go is lost: elsewhere", "doo", 0, 0, 6, WP, WROTE, 0, 6, 0},
    {"or refused", "doo", 0, 0, 6, WP, WROTE | REFUSE, 0, 0, DP_ESTICKY},
};

static void every_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(vectors); i++)
        check(&vectors[i]);
}

/* ---- a world for the rest ---- */

struct world {
    struct dp_view *view;
    struct dp_router router;
    struct dp_rule rule;
    struct dp_attempts attempts;
    struct dp_ask ask;
};

static void world_init(struct world *w, enum dp_mode mode, const char *regions)
{
    const struct vector t = {.regions = regions, .near = UINT32_MAX};
    *w = (struct world){.rule = {.mode = mode, .writes_failover = true}, .view = dp_view_new()};
    make_world(&t, w->view, &w->router);
    w->ask = (struct dp_ask){.rule = &w->rule, .kept = DP_NO_REGION};
}

static void world_fini(struct world *w)
{
    dp_view_unref(w->view);
}

static struct dp_route next(struct world *w)
{
    return dp_policy_next(w->view, &w->router, &w->ask, &w->attempts, 50);
}

static uint16_t region_of_next(struct world *w)
{
    struct dp_route r = next(w);
    assert_int_equal(r.kind, DP_ROUTE_SEND);
    return w->view->endpoints[r.endpoint].region;
}

static void of_two_the_less_busy(void **state)
{
    struct world w;
    unsigned n[3] = {0};
    (void)state;
    world_init(&w, AA, "ooo");
    for (uint16_t i = 0; i < 3; i++) {
        w.view->endpoints[i].max_in_flight = 0;
        w.router.in_flight[i] = 10U * i;
    }
    for (uint64_t i = 0; i < 3000; i++) {
        w.ask.chance = dp_mix(i);
        n[region_of_next(&w)]++;
    }
    assert_int_equal(n[2], 0);               /* the busiest loses every pair */
    assert_true(n[1] > 800 && n[1] < 1200);  /* wins the one pair without the first */
    assert_true(n[0] > 1800 && n[0] < 2200); /* wins the two it is in */
    for (uint16_t i = 0; i < 3; i++)
        w.router.in_flight[i] = 5;
    n[0] = n[1] = n[2] = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        w.ask.chance = dp_mix(i);
        n[region_of_next(&w)]++;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_true(n[i] > 850 && n[i] < 1150);
    world_fini(&w);
}

static void inside_a_region_the_least_busy_endpoint(void **state)
{
    struct world w;
    uint32_t went = 0;
    (void)state;
    world_init(&w, AP, "oooo");
    for (uint16_t i = 0; i < 4; i++)
        w.view->endpoints[i].region = i / 2; /* two of each */
    w.router.in_flight[0] = 3;
    w.router.in_flight[1] = 2;
    assert_int_equal(next(&w).endpoint, 1);
    w.router.in_flight[0] = 2;
    for (uint32_t i = 0; i < 4; i++) {
        w.attempts.turn = i;
        went |= UINT32_C(1) << next(&w).endpoint;
    }
    assert_int_equal(went, 3); /* of equals either */
    w.attempts.failed_mask = 2;
    assert_int_equal(next(&w).endpoint, 0); /* the same region before another */
    w.view->endpoints[0].state = DP_ROUTE_DOWN;
    assert_true(next(&w).endpoint >= 2);
    world_fini(&w);
}

/* One that hangs on to its requests is given a lookup once in a while, so that something is found out about it. */
static void nobody_is_passed_over_for_ever(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, AP, "oo");
    w.view->endpoints[1].region = 0;
    w.view->endpoints[0].max_in_flight = 4;
    w.router.in_flight[0] = 2;
    w.router.began_ns[0] = 1000;
    const uint64_t due_ns = 1000 + UINT64_C(250000000);
#define GOES(ns) (dp_policy_next(w.view, &w.router, &w.ask, &w.attempts, (ns)).endpoint)
    assert_int_equal(GOES(due_ns - 1), 1);
    assert_int_equal(GOES(due_ns), 0);
    w.ask.load = DP_LOAD_QUERY;
    assert_int_equal(GOES(due_ns), 1);
    w.ask.load = DP_LOAD_WRITE;
    assert_int_equal(GOES(due_ns), 1);
    w.ask.load = DP_LOAD_LOOKUP;
    w.attempts.failed_mask = 4; /* a second attempt has waited enough */
    assert_int_equal(GOES(due_ns), 1);
    w.attempts.failed_mask = 0;
    w.router.in_flight[0] = 4; /* as many as it may have */
    assert_int_equal(GOES(due_ns), 1);
    w.router.in_flight[0] = 2;
    w.view->endpoints[0].state = DP_ROUTE_DOWN;
    assert_int_equal(GOES(due_ns), 1);
    w.view->endpoints[0].state = DP_ROUTE_OK;
    dp_router_began(&w.router, 0, due_ns);
    assert_int_equal(GOES(due_ns + 1), 1);
#undef GOES
    world_fini(&w);
}

/* ---- shares ---- */

static unsigned percent_to(struct world *w, uint16_t region)
{
    unsigned n = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        w->ask.key = dp_mix(i);
        w->ask.chance = dp_mix(~i);
        n += region_of_next(w) == region;
    }
    return (n + 50) / 100;
}

static void a_returning_region_gets_its_share_of_reads(void **state)
{
    static const uint8_t shares[] = {0, 1, 20, 50, 99, 100};
    struct world w;
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(shares); i++) {
        world_init(&w, AP, "oo");
        w.view->regions[0].share = shares[i];
        unsigned got = percent_to(&w, 0);
        assert_true(got + 2 >= shares[i] && got <= shares[i] + 2U);
        w.ask.writes = true; /* they have one place at a time */
        assert_int_equal(percent_to(&w, 0), 100);
        w.ask.writes = false;
        w.ask.bound = true;
        assert_int_equal(percent_to(&w, 0), 100);
        world_fini(&w);
    }
    /* of what it would get as one of two */
    world_init(&w, AA, "oo");
    w.view->regions[0].share = 50;
    unsigned got = percent_to(&w, 0);
    assert_true(got >= 22 && got <= 28);
    world_fini(&w);
    /* all of it when there is no other */
    world_init(&w, AP, "od");
    w.view->regions[0].share = 5;
    assert_int_equal(percent_to(&w, 0), 100);
    world_fini(&w);
}

/* Who is in the share stays in it while it grows: nobody is moved to and fro. */
static void a_growing_share_moves_each_client_once(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, AP, "oo");
    for (uint64_t i = 0; i < 200; i++) {
        bool in = false;
        w.ask.key = dp_mix(i);
        for (uint8_t share = 0; share <= 100; share++) {
            w.view->regions[0].share = share;
            bool now = region_of_next(&w) == 0;
            assert_true(now || !in);
            in = now;
        }
        assert_true(in);
    }
    world_fini(&w);
}

/* ---- sticky ---- */

static void only_the_clients_of_a_lost_region_move(void **state)
{
    struct world w;
    unsigned n[4] = {0};
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        world_init(&w, AA, "oooo");
        w.ask.keyed = true;
        w.ask.key = dp_mix(i);
        uint16_t home = region_of_next(&w);
        assert_false(next(&w).moved);
        n[home]++;
        uint16_t lost = (uint16_t)(i % 4);
        w.view->regions[lost].state = DP_ROUTE_DOWN;
        struct dp_route r = next(&w);
        assert_int_equal(r.kind, DP_ROUTE_SEND);
        assert_int_equal(r.moved, home == lost);
        if (home != lost)
            assert_int_equal(w.view->endpoints[r.endpoint].region, home);
        w.rule.on_loss = DP_ON_LOSS_REFUSE;
        r = next(&w);
        assert_int_equal(r.kind, home == lost ? DP_ROUTE_FAIL : DP_ROUTE_SEND);
        if (home == lost)
            assert_int_equal(r.why, DP_ESTICKY);
        world_fini(&w);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(n[i] > 400 && n[i] < 600);
}

static void a_connection_keeps_its_region(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, AA, "oooo");
    w.rule.sticky = DP_STICKY_CONNECTION;
    w.router.near.regions = 1;
    w.ask.kept = 3; /* far by now, and busy */
    w.router.in_flight[3] = 9;
    assert_int_equal(region_of_next(&w), 3);
    w.view->regions[3].held = true;
    assert_int_equal(region_of_next(&w), 0);
    assert_true(next(&w).moved);
    w.view->regions[3].state = DP_ROUTE_BARRED;
    assert_int_equal(region_of_next(&w), 0);
    w.rule.on_loss = DP_ON_LOSS_REFUSE;
    assert_int_equal(next(&w).why, DP_ESTICKY);
    w.ask.kept = DP_NO_REGION; /* it has none to lose */
    assert_int_equal(region_of_next(&w), 0);
    world_fini(&w);
}

static void refusing_clients_do_not_wait_for_a_share(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, AA, "oo");
    w.ask.keyed = true;
    w.rule.on_loss = DP_ON_LOSS_REFUSE;
    w.view->regions[0].share = w.view->regions[1].share = 0;
    for (uint64_t i = 0; i < 50; i++) {
        w.ask.key = dp_mix(i);
        assert_int_equal(next(&w).kind, DP_ROUTE_SEND);
    }
    world_fini(&w);
}

/* ---- what a region declined ---- */

static bool elsewhere(struct world *w, uint16_t endpoint)
{
    return dp_policy_elsewhere(w->view, &w->router, &w->ask, &w->attempts, endpoint, 50);
}

static void what_is_throttled_goes_where_it_may(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, AA, "oo");
    assert_true(elsewhere(&w, 0));
    assert_int_equal(w.attempts.failed_mask, 1);
    assert_int_equal(next(&w).endpoint, 1);
    assert_false(elsewhere(&w, 1)); /* there is no third */
    assert_int_equal(w.attempts.failed_mask, 1);
    world_fini(&w);

    world_init(&w, AA, "ot"); /* the other one throttles too */
    assert_false(elsewhere(&w, 0));
    w.ask.load = DP_LOAD_QUERY; /* but not this class */
    assert_true(elsewhere(&w, 0));
    world_fini(&w);

    world_init(&w, AA, "oh"); /* an answer that may be old is worse than none */
    assert_false(elsewhere(&w, 0));
    world_fini(&w);

    world_init(&w, AP, "oo");
    assert_false(elsewhere(&w, 0));
    w.rule.mode = WP;
    assert_true(elsewhere(&w, 0));
    w.attempts.failed_mask = 0;
    w.ask.writes = true;
    assert_false(elsewhere(&w, 0));
    w.rule.mode = AA;
    assert_true(elsewhere(&w, 0));
    w.attempts.failed_mask = 0;
    w.ask.bound = true;
    assert_false(elsewhere(&w, 0));
    w.ask.bound = false;
    w.ask.keyed = true;
    assert_false(elsewhere(&w, 0));
    world_fini(&w);
}

static void a_region_declines_with_all_its_endpoints(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, AA, "oooo");
    w.view->endpoints[1].region = 0;
    assert_true(elsewhere(&w, 0));
    assert_int_equal(w.attempts.failed_mask, 3);
    world_fini(&w);
}

static void how_long_a_region_throttles(void **state)
{
    static const uint64_t s = UINT64_C(1000000000);
    struct dp_router r = {0};
    (void)state;
    dp_router_throttled(&r, 1, DP_LOAD_QUERY, 5, s);
    assert_int_equal(r.throttled_until_ns[1][DP_LOAD_QUERY], 6 * s);
    dp_router_throttled(&r, 1, DP_LOAD_QUERY, 0, s); /* a later word does not shorten it */
    assert_int_equal(r.throttled_until_ns[1][DP_LOAD_QUERY], 6 * s);
    dp_router_throttled(&r, 0, DP_LOAD_WRITE, 0, s);
    assert_int_equal(r.throttled_until_ns[0][DP_LOAD_WRITE], 2 * s);
    dp_router_throttled(&r, 0, DP_LOAD_WRITE, 86400, s);
    assert_int_equal(r.throttled_until_ns[0][DP_LOAD_WRITE], 61 * s);
    assert_int_equal(r.throttled_until_ns[1][DP_LOAD_LOOKUP], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector),
        cmocka_unit_test(of_two_the_less_busy),
        cmocka_unit_test(inside_a_region_the_least_busy_endpoint),
        cmocka_unit_test(nobody_is_passed_over_for_ever),
        cmocka_unit_test(a_returning_region_gets_its_share_of_reads),
        cmocka_unit_test(a_growing_share_moves_each_client_once),
        cmocka_unit_test(only_the_clients_of_a_lost_region_move),
        cmocka_unit_test(a_connection_keeps_its_region),
        cmocka_unit_test(refusing_clients_do_not_wait_for_a_share),
        cmocka_unit_test(what_is_throttled_goes_where_it_may),
        cmocka_unit_test(a_region_declines_with_all_its_endpoints),
        cmocka_unit_test(how_long_a_region_throttles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
