/* Slow against one's own past and against one's peers. */
#include "davenport/base/clock.h"
#include "davenport/core/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS DP_NS_PER_MS

static const struct dp_pace_config config = {.window_ns = 500 * MS,
                                             .window_answers = 5,
                                             .windows = 4,
                                             .factor = 4,
                                             .slow_ms = 250,
                                             .late_ms = 1000};

struct course {
    struct dp_pace_state s;
    struct dp_pace_look last; /* of a whole window */
    uint64_t now_ns;
    unsigned windows;
};

static struct course begin(void)
{
    struct course c = {.now_ns = 1000 * MS};
    dp_pace_init(&c.s);
    return c;
}

/* For so long, `each` answers of `ms` every 100 ms. Stops at the first slow look; true then. */
static bool go(struct course *c, uint32_t for_ms, uint32_t each, uint32_t ms, double peer_ms)
{
    for (uint32_t t = 0; t < for_ms; t += 100) {
        uint32_t answers[DP_LATENCY_BUCKETS] = {0};
        struct dp_pace_look look;
        answers[dp_latency_bucket(ms * MS)] = each;
        c->now_ns += 100 * MS;
        dp_pace_step(&c->s, &config, answers, peer_ms, c->now_ns, &look);
        if (!look.whole)
            continue;
        c->windows++;
        c->last = look;
        if (look.slow)
            return true;
    }
    return false;
}

static void eight_hundred_more_is_slow_in_three_seconds(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_int_equal(c.last.baseline_ms, 5);
    uint64_t began = c.now_ns;
    assert_true(go(&c, 10000, 10, 805, 8));
    assert_in_range(c.now_ns - began, 2000 * MS, 3000 * MS);
    assert_int_equal(c.last.median_ms, 500); /* the bucket's lower bound */
    assert_int_equal(c.last.baseline_ms, 5); /* slowness is not its own measure */
    assert_int_equal(c.last.slow_windows, 4);
}

static void when_peers_are_as_slow_it_is_the_network(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_false(go(&c, 60000, 10, 805, 810));
    assert_int_equal(c.last.baseline_ms, 1000); /* the new normal */
}

static void without_a_peer_nothing_is_slow(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, -1));
    assert_false(go(&c, 30000, 10, 805, -1));
}

static void what_was_always_slow_is_not(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 60000, 10, 805, 8));
    assert_int_equal(c.last.baseline_ms, 1000);
}

static void under_the_floor_or_the_factor_it_is_not(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 1, 1));
    assert_false(go(&c, 30000, 10, 200, 1)); /* 100 times, but quick enough for anybody */
    c = begin();
    assert_false(go(&c, 30000, 10, 200, 1));
    assert_false(go(&c, 30000, 10, 900, 1)); /* 4.5 times, less by the buckets */
}

static void one_good_window_ends_the_row(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    for (int i = 0; i < 10; i++) {
        assert_false(go(&c, 1800, 10, 805, 8));
        assert_false(go(&c, 1200, 10, 5, 8));
    }
}

/* A window waits for its answers: five slow ones in a minute are no row of four windows. */
static void few_requests_make_long_windows(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    c.windows = 0;
    for (int i = 0; i < 19; i++) {
        assert_false(go(&c, 100, 1, 805, 8));
        assert_false(go(&c, 2900, 0, 0, 8));
    }
    assert_int_equal(c.windows, 3);
    assert_true(go(&c, 100, 1, 805, 8));
}

static void lateness_follows_the_baseline(void **state)
{
    (void)state;
    struct course c = begin();
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 5000); /* nobody knows yet */
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 1000);
    assert_false(go(&c, 300000, 10, 400, 300));
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 2000);
    struct dp_pace_config off = config;
    off.late_ms = 0;
    assert_int_equal(dp_pace_late_ms(&c.s, &off), 0);
    dp_pace_init(&c.s);
    assert_int_equal(dp_pace_late_ms(&c.s, &off), 0);
}

static void a_quiet_hour_keeps_the_baseline(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 60000, 50, 5, 8));
    c.now_ns += 3600 * DP_NS_PER_S;
    assert_false(go(&c, 600, 10, 5, 8));
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 1000);
}

/* What a peer's requests take is told as long as it is of now. */
static void a_median_is_recent_for_a_while(void **state)
{
    static const struct dp_pace_config c = {.window_ns = 500000000,
                                            .window_answers = 5,
                                            .windows = 4,
                                            .factor = 4,
                                            .slow_ms = 250,
                                            .late_ms = 1000};
    struct dp_pace_state s;
    struct dp_pace_look look;
    uint32_t answers[DP_LATENCY_BUCKETS] = {0}, none[DP_LATENCY_BUCKETS] = {0};
    (void)state;
    dp_pace_init(&s);
    assert_int_equal(dp_pace_recent_ms(&s, 0), 0);
    answers[dp_latency_bucket(UINT64_C(800000000))] = 5;
    dp_pace_step(&s, &c, answers, 1, UINT64_C(1000000000), &look);
    dp_pace_step(&s, &c, none, 1, UINT64_C(1500000000), &look);
    assert_true(look.whole);
    assert_int_equal(dp_pace_recent_ms(&s, UINT64_C(1500000000)), 500);
    assert_int_equal(dp_pace_recent_ms(&s, UINT64_C(11500000000)), 500);
    assert_int_equal(dp_pace_recent_ms(&s, UINT64_C(11500000001)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_hundred_more_is_slow_in_three_seconds),
        cmocka_unit_test(when_peers_are_as_slow_it_is_the_network),
        cmocka_unit_test(without_a_peer_nothing_is_slow),
        cmocka_unit_test(what_was_always_slow_is_not),
        cmocka_unit_test(under_the_floor_or_the_factor_it_is_not),
        cmocka_unit_test(one_good_window_ends_the_row),
        cmocka_unit_test(few_requests_make_long_windows),
        cmocka_unit_test(lateness_follows_the_baseline),
        cmocka_unit_test(a_quiet_hour_keeps_the_baseline),
        cmocka_unit_test(a_median_is_recent_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
