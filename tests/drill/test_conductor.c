/* The conductor on virtual time: what begins when, what is undone whatever happens. */
#include "davenport/drill/conductor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dp_drill_plan plan;
static struct dp_conductor c;

static void add(uint64_t at_ms, uint64_t for_ms)
{
    plan.steps[plan.n_steps++] = (struct dp_drill_step){.at_ms = at_ms, .for_ms = for_ms};
}

static int set_up(void **state)
{
    (void)state;
    plan = (struct dp_drill_plan){.load.seconds = 60};
    return 0;
}

/* All acts due at a moment as "+0 -1", told to have gone well or not. */
static const char *acts(uint64_t now_ms, bool good)
{
    static char text[256];
    size_t n = 0;
    struct dp_conductor_act act;
    text[0] = '\0';
    while (dp_conductor_next(&c, now_ms, &act)) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%c%u", n ? " " : "",
                              act.undo ? '-' : '+', (unsigned)act.step);
        dp_conductor_done(&c, &act, good, now_ms);
        assert_true(n < sizeof text - 8);
    }
    return text;
}

static void steps_begin_and_end(void **state)
{
    (void)state;
    add(10000, 20000);
    add(12000, DP_DRILL_TO_END);
    add(12000, 1000);
    dp_conductor_init(&c, &plan);
    assert_int_equal(dp_conductor_wake_ms(&c), 10000);
    assert_string_equal(acts(9999, true), "");
    assert_string_equal(acts(10000, true), "+0");
    assert_int_equal(dp_conductor_wake_ms(&c), 12000);
    assert_string_equal(acts(12000, true), "+1 +2");
    assert_int_equal(dp_conductor_wake_ms(&c), 13000);
    assert_string_equal(acts(13000, true), "-2");
    assert_string_equal(acts(30000, true), "-0");
    assert_int_equal(dp_conductor_wake_ms(&c), DP_CONDUCTOR_NEVER);
    assert_false(dp_conductor_is_over(&c)); /* the one that stands to the end */
    dp_conductor_stop(&c, 60000);
    assert_string_equal(acts(60000, true), "-1");
    assert_true(dp_conductor_is_over(&c));
    assert_int_equal(dp_conductor_n_stuck(&c), 0);
}

static void a_late_clock_misses_nothing(void **state)
{
    (void)state;
    add(1000, 1000);
    add(3000, 1000);
    dp_conductor_init(&c, &plan);
    assert_string_equal(acts(10000, true), "+0 -0 +1 -1");
    assert_true(dp_conductor_is_over(&c));
}

static void a_stop_undoes_the_latest_first(void **state)
{
    (void)state;
    add(1000, 50000);
    add(2000, 50000);
    add(3000, DP_DRILL_TO_END);
    add(40000, 1000);
    dp_conductor_init(&c, &plan);
    assert_string_equal(acts(3000, true), "+0 +1 +2");
    dp_conductor_stop(&c, 5000);
    assert_string_equal(acts(5000, true), "-2 -1 -0");
    assert_true(dp_conductor_is_over(&c));
    assert_string_equal(acts(50000, true), "");
}

static void what_is_under_way_at_a_stop_is_undone_when_it_is_done(void **state)
{
    (void)state;
    struct dp_conductor_act act;
    struct dp_conductor_act other;
    add(1000, 50000);
    dp_conductor_init(&c, &plan);
    assert_true(dp_conductor_next(&c, 1000, &act));
    dp_conductor_stop(&c, 1500);
    assert_false(dp_conductor_next(&c, 1500, &other));
    assert_false(dp_conductor_is_over(&c));
    dp_conductor_done(&c, &act, true, 2000);
    assert_string_equal(acts(2000, true), "-0");
    assert_true(dp_conductor_is_over(&c));
}

static void a_step_that_cannot_begin_stops_the_drill_and_is_undone(void **state)
{
    (void)state;
    struct dp_conductor_act act;
    add(1000, 50000);
    add(2000, 1000);
    add(3000, 1000);
    dp_conductor_init(&c, &plan);
    assert_string_equal(acts(1000, true), "+0");
    assert_true(dp_conductor_next(&c, 2000, &act));
    dp_conductor_done(&c, &act, false, 2500);
    assert_true(c.stopped);
    assert_string_equal(acts(2500, true), "-1 -0");
    assert_true(dp_conductor_is_over(&c));
}

static void an_undo_that_fails_is_tried_again_and_then_stuck(void **state)
{
    (void)state;
    add(1000, 1000);
    dp_conductor_init(&c, &plan);
    assert_string_equal(acts(1000, true), "+0");
    uint64_t now = 2000;
    for (int i = 0; i < DP_CONDUCTOR_TRIES; i++) {
        assert_int_equal(dp_conductor_wake_ms(&c), now);
        assert_string_equal(acts(now, false), "-0");
        now += DP_CONDUCTOR_PAUSE_MS;
    }
    assert_true(dp_conductor_is_over(&c));
    assert_int_equal(dp_conductor_n_stuck(&c), 1);
    assert_true(c.stopped);
    assert_string_equal(acts(100000, true), "");
}

static void an_undo_that_fails_once_is_done_in_the_end(void **state)
{
    (void)state;
    add(1000, 1000);
    dp_conductor_init(&c, &plan);
    assert_string_equal(acts(1000, true), "+0");
    assert_string_equal(acts(2000, false), "-0");
    assert_string_equal(acts(2999, true), "");
    assert_string_equal(acts(3000, true), "-0");
    assert_true(dp_conductor_is_over(&c));
    assert_int_equal(dp_conductor_n_stuck(&c), 0);
}

static unsigned draw(unsigned n)
{
    static uint64_t seed = 1;
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

/* Whatever the plan, the moments, and what fails: every step that was begun has been undone or is stuck, none began after
 * the stop, none was undone that never began. */
static void random_walks(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        bool begun[DP_DRILL_STEPS] = {false};
        bool undone[DP_DRILL_STEPS] = {false};
        struct dp_conductor_act under_way[DP_DRILL_STEPS];
        unsigned n_under_way = 0;
        set_up(NULL);
        uint64_t at = 0;
        for (unsigned i = draw(12); i-- > 0;) {
            at += draw(3000);
            add(at, draw(4) ? 1 + draw(5000) : DP_DRILL_TO_END);
        }
        dp_conductor_init(&c, &plan);
        uint64_t stop_ms = draw(30000);
        bool stopped = false;
        uint64_t now = 0;
        for (; now < 200000 && !(stopped && dp_conductor_is_over(&c)); now += 1 + draw(400)) {
            struct dp_conductor_act act;
            if (!stopped && now >= stop_ms) {
                dp_conductor_stop(&c, now);
                stopped = true;
            }
            while (dp_conductor_next(&c, now, &act)) {
                assert_true(act.undo ? begun[act.step] && !undone[act.step]
                                     : !begun[act.step] && !c.stopped);
                begun[act.step] = true;
                under_way[n_under_way++] = act;
            }
            while (n_under_way && draw(3)) {
                unsigned k = draw(n_under_way);
                act = under_way[k];
                under_way[k] = under_way[--n_under_way];
                bool good = draw(8) != 0;
                undone[act.step] = undone[act.step] || (act.undo && good);
                dp_conductor_done(&c, &act, good, now);
            }
        }
        assert_true(dp_conductor_is_over(&c));
        unsigned stuck = 0;
        for (uint16_t i = 0; i < plan.n_steps; i++) {
            stuck += begun[i] && !undone[i];
            assert_int_equal(c.steps[i].state == DP_STEP_STUCK, begun[i] && !undone[i]);
        }
        assert_int_equal(dp_conductor_n_stuck(&c), stuck);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(steps_begin_and_end, set_up),
        cmocka_unit_test_setup(a_late_clock_misses_nothing, set_up),
        cmocka_unit_test_setup(a_stop_undoes_the_latest_first, set_up),
        cmocka_unit_test_setup(what_is_under_way_at_a_stop_is_undone_when_it_is_done, set_up),
        cmocka_unit_test_setup(a_step_that_cannot_begin_stops_the_drill_and_is_undone, set_up),
        cmocka_unit_test_setup(an_undo_that_fails_is_tried_again_and_then_stuck, set_up),
        cmocka_unit_test_setup(an_undo_that_fails_once_is_done_in_the_end, set_up),
        cmocka_unit_test_setup(random_walks, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
