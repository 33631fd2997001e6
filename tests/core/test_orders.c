/* Operators' orders: every rule that refuses, what force overrides, what stands and how it ends. */
#include "davenport/base/clock.h"
#include "davenport/core/orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S    DP_NS_PER_S
#define NONE DP_NO_REGION

/* Three regions that are up, the first active, a minute after the last move. */
struct table {
    struct dp_failover_config config;
    struct dp_failover_state failover;
    struct dp_orders_state orders;
    struct dp_failover_region regions[3];
    struct dp_failover_decision decision;
    uint64_t now_ns, epoch;
    uint16_t min_regions;
    struct dp_orders_verdict verdict;
};

static void step(struct table *t, uint64_t seconds)
{
    t->now_ns += seconds * S;
    dp_failover_step(&t->failover, &t->config, t->regions, t->now_ns, &t->decision);
}

static struct table table(void)
{
    struct table t = {
        .config = {.n_regions = 3, .automatic = true, .hold_ns = 300 * S, .dwell_ns = 10 * S},
        .now_ns = 1000 * S,
        .epoch = 7,
        .min_regions = 1};
    for (size_t i = 0; i < 3; i++)
        t.regions[i].health = DP_HEALTH_UP;
    dp_failover_init(&t.failover);
    step(&t, 0);
    return t;
}

static enum dp_refusal order(struct table *t, struct dp_order o)
{
    const struct dp_orders_facts facts = {.failover = &t->config,
                                          .regions = t->regions,
                                          .min_regions = t->min_regions,
                                          .epoch = t->epoch,
                                          .now_ns = t->now_ns};
    const struct table before = *t;
    dp_orders_obey(&t->orders, &t->failover, &facts, &o, &t->verdict);
    if (t->verdict.refusal != DP_REFUSAL_NONE) {
        assert_memory_equal(&before.orders, &t->orders, sizeof(t->orders));
        assert_memory_equal(&before.failover, &t->failover, sizeof(t->failover));
    } else {
        t->decision = t->verdict.decision;
    }
    return t->verdict.refusal;
}

#define ORDER(t, ...) order((t), (struct dp_order){__VA_ARGS__})

static void a_drained_region_takes_nothing(void **state)
{
    (void)state;
    struct table t = table();
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 0), DP_REFUSAL_NONE);
    assert_int_equal(t.decision.move, DP_MOVE_DRAIN);
    assert_int_equal(t.decision.after, 1);
    assert_int_equal(t.decision.routes[0], DP_ROUTE_BARRED);
    assert_int_equal(t.verdict.serving_after, 2);
    t.regions[1].health = t.regions[2].health = DP_HEALTH_DOWN; /* not even as a last resort */
    step(&t, 1);
    assert_int_equal(t.decision.after, NONE);
    assert_int_equal(t.decision.move, DP_MOVE_LOST);
    assert_int_equal(t.decision.routes[0], DP_ROUTE_BARRED);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 0, .force = true),
                     DP_REFUSAL_DRAINED);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_RESUME, .region = 0), DP_REFUSAL_NONE);
    assert_int_equal(t.decision.move, DP_MOVE_REGAINED);
    assert_int_equal(t.decision.after, 0);
}

static void after_a_drain_the_hold_begins_anew(void **state)
{
    (void)state;
    struct table t = table();
    step(&t, 400);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 0), DP_REFUSAL_NONE);
    step(&t, 1000);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_RESUME, .region = 0), DP_REFUSAL_NONE);
    assert_int_equal(t.decision.after, 1);
    assert_true(t.decision.held[0]);
    step(&t, 299);
    assert_int_equal(t.decision.after, 1);
    step(&t, 1);
    assert_int_equal(t.decision.after, 0);
    assert_int_equal(t.decision.move, DP_MOVE_FAILBACK);
}

static void a_drain_ends_a_forced_pin(void **state)
{
    (void)state;
    struct table t = table();
    t.regions[1].health = DP_HEALTH_DOWN;
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1), DP_REFUSAL_DOWN);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1, .force = true),
                     DP_REFUSAL_NONE);
    assert_int_equal(t.verdict.overridden, 1U << DP_REFUSAL_DOWN);
    assert_true(t.failover.forced);
    step(&t, 20);
    assert_int_equal(t.decision.after, 1);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 1), DP_REFUSAL_NONE);
    assert_int_equal(t.decision.after, 0);
    assert_false(t.failover.pinned);
}

static void the_last_regions_stay(void **state)
{
    (void)state;
    struct table t = table();
    t.min_regions = 2;
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 2), DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 1), DP_REFUSAL_MIN_REGIONS);
    assert_int_equal(t.verdict.serving_before, 2);
    assert_int_equal(t.verdict.serving_after, 1);
    /* What does not serve takes nothing away; what is not known to serve does not count. */
    t.regions[1].health = DP_HEALTH_UNKNOWN;
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 1), DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 0), DP_REFUSAL_MIN_REGIONS);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 0, .force = true),
                     DP_REFUSAL_NONE);
    assert_int_equal(t.verdict.overridden, 1U << DP_REFUSAL_MIN_REGIONS);
    assert_int_equal(t.decision.after, NONE);
    struct table off = table();
    off.min_regions = 0;
    off.config.n_regions = 1;
    assert_int_equal(ORDER(&off, .kind = DP_ORDER_DRAIN, .region = 0), DP_REFUSAL_NONE);
}

static void moves_keep_the_dwell(void **state)
{
    (void)state;
    struct table t = table();
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1),
                     DP_REFUSAL_NONE); /* the first */
    step(&t, 4);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 0), DP_REFUSAL_DWELL);
    assert_int_equal(t.verdict.dwell_left_ns, 6 * S);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 1), DP_REFUSAL_DWELL);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 2),
                     DP_REFUSAL_NONE); /* moves none */
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1),
                     DP_REFUSAL_NONE); /* nor this */
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 0, .force = true),
                     DP_REFUSAL_NONE);
    assert_int_equal(t.verdict.overridden, 1U << DP_REFUSAL_DWELL);
    t.regions[0].health = DP_HEALTH_DOWN; /* who is lost is left at once */
    step(&t, 1);
    assert_int_equal(t.decision.move, DP_MOVE_FAILOVER);
    step(&t, 10);
    t.regions[0].health = DP_HEALTH_UP;
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 0), DP_REFUSAL_NONE);
}

static void failback_keeps_the_dwell(void **state)
{
    (void)state;
    struct table t = table();
    t.config.hold_ns = 0;
    t.regions[0].health = DP_HEALTH_DOWN;
    step(&t, 1);
    t.regions[0].health = DP_HEALTH_UP;
    step(&t, 1);
    assert_int_equal(t.decision.after, 1);
    assert_int_equal(t.decision.waiting, 0);
    assert_int_equal(t.decision.failback_at_ns, t.now_ns + 9 * S);
    step(&t, 8);
    assert_int_equal(t.decision.after, 1);
    step(&t, 1);
    assert_int_equal(t.decision.move, DP_MOVE_FAILBACK);
}

static void frozen_traffic_stays(void **state)
{
    (void)state;
    struct table t = table();
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_FREEZE), DP_REFUSAL_NONE);
    t.regions[0].health = DP_HEALTH_DOWN;
    step(&t, 1);
    assert_int_equal(t.decision.after, 0);
    assert_int_equal(t.decision.routes[0], DP_ROUTE_OK);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 2), DP_REFUSAL_NONE);
    assert_int_equal(t.decision.after, 2);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 2, .force = true),
                     DP_REFUSAL_NONE);
    assert_int_equal(t.decision.after, 1);
    t.regions[0].health = DP_HEALTH_UP;
    step(&t, 0);
    step(&t, 1000); /* no failback */
    assert_int_equal(t.decision.after, 1);
    assert_int_equal(t.decision.waiting, NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_UNFREEZE), DP_REFUSAL_NONE);
    assert_int_equal(t.decision.move, DP_MOVE_FAILBACK);
}

static void frozen_with_nobody_active(void **state)
{
    (void)state;
    struct table t = table();
    for (size_t i = 0; i < 3; i++)
        t.regions[i].health = DP_HEALTH_DOWN;
    step(&t, 1);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_FREEZE), DP_REFUSAL_NONE);
    t.regions[2].health = DP_HEALTH_UP;
    step(&t, 1);
    assert_int_equal(t.decision.move, DP_MOVE_REGAINED);
    assert_int_equal(t.decision.after, 2);
}

static void the_epoch_must_be_the_one_that_was_seen(void **state)
{
    (void)state;
    struct table t = table();
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1, .if_epoch = true, .epoch = 6,
                           .force = true),
                     DP_REFUSAL_EPOCH);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_FREEZE, .if_epoch = true, .epoch = 8),
                     DP_REFUSAL_EPOCH);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1, .if_epoch = true, .epoch = 7),
                     DP_REFUSAL_NONE);
}

/* End all that is over; their kinds, as bits. */
static unsigned expire(struct table *t)
{
    struct dp_order ended;
    unsigned kinds = 0;
    while (dp_orders_expire(&t->orders, &t->failover, 3, t->now_ns, &ended))
        kinds |= 1U << ended.kind;
    return kinds;
}

static void what_has_a_time_ends_by_itself(void **state)
{
    (void)state;
    struct table t = table();
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1, .ttl_ns = 400 * S),
                     DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 2, .ttl_ns = 20 * S),
                     DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_FREEZE, .ttl_ns = 10 * S), DP_REFUSAL_NONE);
    step(&t, 9);
    assert_int_equal(expire(&t), 0);
    step(&t, 1);
    assert_int_equal(expire(&t), 1U << DP_ORDER_FREEZE);
    assert_false(t.failover.frozen);
    step(&t, 10);
    assert_int_equal(expire(&t), 1U << DP_ORDER_DRAIN);
    assert_false(t.failover.drained[2]);
    step(&t, 379);
    assert_int_equal(t.decision.after, 1);
    step(&t, 1);
    assert_int_equal(expire(&t), 1U << DP_ORDER_SWITCH);
    step(&t, 0); /* and the rules have their say again */
    assert_int_equal(t.decision.move, DP_MOVE_FAILBACK);
    assert_int_equal(expire(&t), 0);
}

static void a_later_order_takes_the_time_away(void **state)
{
    (void)state;
    struct table t = table();
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_FREEZE, .ttl_ns = 10 * S), DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_FREEZE), DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_DRAIN, .region = 2, .ttl_ns = 10 * S),
                     DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_RESUME, .region = 2), DP_REFUSAL_NONE);
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_SWITCH, .region = 1, .ttl_ns = 10 * S),
                     DP_REFUSAL_NONE);
    t.regions[1].health = DP_HEALTH_DOWN;
    assert_int_equal(ORDER(&t, .kind = DP_ORDER_UNFREEZE),
                     DP_REFUSAL_NONE); /* the pin is lost with 1 */
    assert_int_equal(t.decision.after, 0);
    step(&t, 60);
    assert_int_equal(expire(&t), 0);
    assert_int_equal(t.decision.after, 0);
}

static void every_word_is_there(void **state)
{
    (void)state;
    for (enum dp_order_kind k = DP_ORDER_SWITCH; k <= DP_ORDER_COUNT; k++)
        assert_int_equal(strcmp(dp_order_name(k), "?") == 0, k == DP_ORDER_COUNT);
    for (enum dp_refusal r = DP_REFUSAL_NONE; r <= DP_REFUSAL_COUNT; r++)
        assert_int_equal(strcmp(dp_refusal_name(r), "?") == 0, r == DP_REFUSAL_COUNT);
    assert_true(dp_order_names_region(DP_ORDER_RESUME) && !dp_order_stands(DP_ORDER_RESUME));
    assert_true(!dp_order_names_region(DP_ORDER_FREEZE) && dp_order_stands(DP_ORDER_FREEZE));
    assert_true(!dp_order_names_region(DP_ORDER_UNFREEZE) && !dp_order_stands(DP_ORDER_UNFREEZE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drained_region_takes_nothing),
        cmocka_unit_test(after_a_drain_the_hold_begins_anew),
        cmocka_unit_test(a_drain_ends_a_forced_pin),
        cmocka_unit_test(the_last_regions_stay),
        cmocka_unit_test(moves_keep_the_dwell),
        cmocka_unit_test(failback_keeps_the_dwell),
        cmocka_unit_test(frozen_traffic_stays),
        cmocka_unit_test(frozen_with_nobody_active),
        cmocka_unit_test(the_epoch_must_be_the_one_that_was_seen),
        cmocka_unit_test(what_has_a_time_ends_by_itself),
        cmocka_unit_test(a_later_order_takes_the_time_away),
        cmocka_unit_test(every_word_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
