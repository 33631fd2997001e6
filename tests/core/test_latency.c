/* How far a region is, and which are the nearest: vectors in the manner of MongoDB's for server selection (a set of
 * round-trip times, the window, who is in it), of our own. */
#include "davenport/base/attr.h"
#include "davenport/core/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static double ms(double ns)
{
    return ns / 1e6;
}

static void assert_near_ms(double ns, double want_ms)
{
    if (ms(ns) < want_ms * 0.99 || ms(ns) > want_ms * 1.01)
        fail_msg("%g ms, not %g", ms(ns), want_ms);
}

/* ---- the estimate ---- */

static void the_first_answer_is_the_estimate(void **state)
{
    struct dp_latency l = {0};
    (void)state;
    assert_true(dp_latency_estimate(&l, 0, S) < 0);
    assert_near_ms(dp_latency_estimate(&l, 7 * MS, S), 7);
    dp_latency_observe(&l, 20 * MS, S);
    assert_near_ms(dp_latency_estimate(&l, 0, S), 20);
    assert_near_ms(dp_latency_estimate(&l, 7 * MS, S), 20);
}

static void one_slow_answer_is_chance_two_are_a_peak(void **state)
{
    struct dp_latency l = {0};
    uint64_t now = S;
    (void)state;
    for (unsigned i = 0; i < 100; i++, now += 10 * MS)
        dp_latency_observe(&l, 10 * MS, now);
    dp_latency_observe(&l, 500 * MS, now);
    assert_true(ms(l.ns) < 15); /* it counts as any answer */
    dp_latency_observe(&l, 10 * MS, now += 10 * MS);
    assert_true(ms(l.ns) < 15);
    dp_latency_observe(&l, 300 * MS, now += 10 * MS);
    dp_latency_observe(&l, 400 * MS, now += 10 * MS);
    assert_near_ms(l.ns, 300); /* what both took at least: at once */
}

static void a_peak_is_forgotten_in_time(void **state)
{
    struct dp_latency l = {0};
    uint64_t now = S;
    (void)state;
    dp_latency_observe(&l, 500 * MS, now);
    dp_latency_observe(&l, 500 * MS, now);
    /* by time, not by the number of answers: 1000 answers in a second take little off */
    for (unsigned i = 0; i < 1000; i++)
        dp_latency_observe(&l, 10 * MS, now += MS);
    assert_true(ms(l.ns) > 400 && ms(l.ns) < 500);
    for (unsigned i = 0; i < 1000; i++)
        dp_latency_observe(&l, 10 * MS, now += 50 * MS);
    assert_true(ms(l.ns) < 15);
}

static void without_answers_it_ages_towards_what_probes_say(void **state)
{
    struct dp_latency l = {0};
    double before = 500;
    (void)state;
    dp_latency_observe(&l, 500 * MS, S);
    for (uint64_t age = 5; age <= 100; age += 5) {
        double now = ms(dp_latency_estimate(&l, 20 * MS, S + age * S));
        assert_true(now < before && now > 20);
        before = now;
    }
    assert_true(before < 35);
    /* without a probe there is nothing better to go by */
    assert_near_ms(dp_latency_estimate(&l, 0, S + 100 * S), 500);
}

static void a_clock_that_does_not_move_does_no_harm(void **state)
{
    struct dp_latency l = {0};
    (void)state;
    dp_latency_observe(&l, 10 * MS, 0);
    dp_latency_observe(&l, 30 * MS, 0);
    assert_near_ms(dp_latency_estimate(&l, 5 * MS, 0), 10);
}

/* ---- the window ---- */

#define UNKNOWN (-1)
#define NOBODY  DP_NO_REGION

static void who_is_in_the_window(void **state)
{
    static const struct {
        const char *what;
        double ms[4];
        uint32_t eligible;
        uint16_t first;
        uint32_t nearest;
    } rows[] = {
        {"one region", {5}, 1, 0, 1},
        {"both within 15 ms", {5, 20}, 3, 0, 3},
        {"just outside", {5, 20.1}, 3, 0, 1},
        {"the second is the nearest", {40, 5}, 3, 0, 2},
        {"far away the window is 15 %", {200, 229}, 3, 0, 3},
        {"and no more", {200, 231}, 3, 0, 1},
        {"at 100 ms both rules say the same", {100, 115}, 3, 0, 3},
        {"the window begins at the best, not at the first", {20, 5, 35}, 7, 0, 3},
        {"three alike", {1, 2, 3}, 7, 0, 7},
        {"who is not eligible sets no window", {1, 100, 110}, 6, 0, 6},
        {"who is not eligible is not in it", {1, 2, 3}, 5, 0, 5},
        {"who is not known is not in it", {UNKNOWN, 20}, 3, 0, 2},
        {"nobody is known: the active one", {UNKNOWN, UNKNOWN}, 3, 1, 2},
        {"nor is that eligible: the most preferred", {UNKNOWN, UNKNOWN, UNKNOWN}, 6, 0, 2},
        {"no active region either", {UNKNOWN, UNKNOWN}, 3, NOBODY, 1},
        {"0 ms is known", {0, 15, 16}, 7, 0, 3},
        {"nobody at all", {1, 2}, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_near near = {0};
        double ns[DP_MAX_REGIONS];
        for (unsigned r = 0; r < DP_MAX_REGIONS; r++)
            ns[r] = r < 4 ? rows[i].ms[r] * 1e6 : UNKNOWN;
        bool changed = dp_near_step(&near, ns, rows[i].eligible, rows[i].first, S);
        if (near.regions != rows[i].nearest || changed != (rows[i].nearest != 0))
            fail_msg("%s: %x", rows[i].what, near.regions);
    }
}

static bool step(struct dp_near *near, double a_ms, double b_ms, uint32_t eligible, uint64_t now)
{
    double ns[DP_MAX_REGIONS] = {a_ms * 1e6, b_ms * 1e6};
    for (unsigned r = 2; r < DP_MAX_REGIONS; r++)
        ns[r] = UNKNOWN;
    return dp_near_step(near, ns, eligible, 0, now);
}

static void who_is_near_stays_so_for_a_while(void **state)
{
    struct dp_near near = {0};
    (void)state;
    assert_true(step(&near, 5, 50, 3, S));
    assert_int_equal(near.regions, 1);
    assert_false(step(&near, 50, 5, 3, 2 * S)); /* not yet */
    assert_false(step(&near, 50, 5, 3, 11 * S - 1));
    assert_int_equal(near.regions, 1);
    assert_true(step(&near, 50, 5, 3, 11 * S));
    assert_int_equal(near.regions, 2);
    assert_false(step(&near, 5, 50, 3, 20 * S));
}

static void a_loss_waits_for_nothing(void **state)
{
    struct dp_near near = {0};
    (void)state;
    assert_true(step(&near, 5, 50, 3, S));
    assert_true(step(&near, 5, 50, 2, 2 * S)); /* the only near one is lost */
    assert_int_equal(near.regions, 2);
    assert_false(step(&near, 5, 50, 3, 3 * S)); /* it is back: nothing hurries */
    assert_true(step(&near, 5, 50, 3, 12 * S));
    assert_int_equal(near.regions, 1);
    /* of two near ones one is lost: the other is enough */
    near = (struct dp_near){0};
    assert_true(step(&near, 5, 6, 3, S));
    assert_false(step(&near, 5, 6, 1, 2 * S));
    assert_int_equal(near.regions, 3);
}

static void a_guess_is_given_up_at_once(void **state)
{
    struct dp_near near = {0};
    (void)state;
    assert_true(step(&near, UNKNOWN, UNKNOWN, 3, S));
    assert_int_equal(near.regions, 1);
    assert_true(step(&near, 50, 5, 3, S + MS));
    assert_int_equal(near.regions, 2);
}

/* At a start one is measured before the other: it must not have all reads for that. */
static void who_is_measured_later_joins_at_once(void **state)
{
    struct dp_near near = {0};
    (void)state;
    assert_true(step(&near, 5, UNKNOWN, 3, S));
    assert_int_equal(near.regions, 1);
    assert_true(step(&near, 5, 6, 3, S + 3 * MS));
    assert_int_equal(near.regions, 3);
    assert_false(step(&near, 5, 60, 3, S + 6 * MS)); /* once */
    assert_false(step(&near, 5, UNKNOWN, 3, S + 9 * MS));
    assert_false(step(&near, 60, 5, 3, S + 12 * MS));
    assert_int_equal(near.regions, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_is_the_estimate),
        cmocka_unit_test(one_slow_answer_is_chance_two_are_a_peak),
        cmocka_unit_test(a_peak_is_forgotten_in_time),
        cmocka_unit_test(without_answers_it_ages_towards_what_probes_say),
        cmocka_unit_test(a_clock_that_does_not_move_does_no_harm),
        cmocka_unit_test(who_is_in_the_window),
        cmocka_unit_test(who_is_near_stays_so_for_a_while),
        cmocka_unit_test(a_loss_waits_for_nothing),
        cmocka_unit_test(a_guess_is_given_up_at_once),
        cmocka_unit_test(who_is_measured_later_joins_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
