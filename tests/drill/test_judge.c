/* Reroutes, limits and verdicts, on virtual time. */
#include "davenport/drill/judge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
#define T0 (UINT64_C(5000) * MS)

static struct dp_drill_plan plan;
static struct dp_judge j;
static char why[DP_JUDGE_WHY];

static int set_up(void **state)
{
    (void)state;
    plan = (struct dp_drill_plan){.n_regions = 2,
                                  .regions = {{.name = "left"}, {.name = "right"}},
                                  .abort = {DP_DRILL_UNSET, DP_DRILL_UNSET, 5}};
    for (size_t i = 0; i < DP_OBJECTIVE_COUNT; i++) {
        plan.objectives[i] = DP_DRILL_UNSET;
    }
    return 0;
}

static void begin(enum dp_drill_do what, uint16_t region)
{
    plan.n_steps = 1;
    plan.steps[0] = (struct dp_drill_step){.what = what, .region = region};
    dp_judge_init(&j, &plan);
}

/* A request, in ms since T0. */
static void answer(uint64_t due, uint64_t done, const char *region, enum dp_load_failure failure)
{
    const struct dp_load_end end = {.failure = failure,
                                    .due_ns = T0 + due * MS,
                                    .sent_ns = T0 + due * MS,
                                    .done_ns = T0 + done * MS,
                                    .region = dp_span_str(region)};
    dp_judge_request(&j, &end);
}

static void a_lost_region_is_left(void **state)
{
    (void)state;
    begin(DP_DRILL_STOP, 0);
    answer(0, 5, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    answer(90, 120, "right", DP_LOAD_FAILED_NONE); /* due before it */
    answer(110, 130, "left", DP_LOAD_FAILED_NONE); /* it was not dead at once */
    answer(120, 140, "", DP_LOAD_FAILED_CLOSED);
    assert_true(isnan(dp_judge_reroute_ms(&j)));
    answer(130, 350, "right", DP_LOAD_FAILED_NONE);
    answer(140, 900, "right", DP_LOAD_FAILED_NONE);
    assert_true(fabs(dp_judge_reroute_ms(&j) - 250) < 1e-6);
    dp_judge_undone(&j, 0, T0 + 1000 * MS);
    assert_true(fabs(dp_judge_reroute_ms(&j) - 250) < 1e-6);
}

static void a_region_without_traffic_need_not_be_left(void **state)
{
    (void)state;
    begin(DP_DRILL_DARK, 1);
    answer(0, 5, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    answer(110, 130, "left", DP_LOAD_FAILED_NONE);
    assert_true(isnan(dp_judge_reroute_ms(&j))); /* and tells nothing of reroutes */
}

static void traffic_that_went_there_long_ago_counts_for_nothing(void **state)
{
    (void)state;
    begin(DP_DRILL_DARK, 1);
    answer(0, 5, "right", DP_LOAD_FAILED_NONE);
    answer(1500, 1505, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 2000 * MS);
    assert_true(isnan(dp_judge_reroute_ms(&j))); /* and tells nothing of reroutes */
}

static void a_region_that_is_never_left_is_a_miss(void **state)
{
    (void)state;
    struct dp_judgement v[DP_OBJECTIVE_COUNT];
    double measured[DP_OBJECTIVE_COUNT] = {0};
    size_t missed;
    begin(DP_DRILL_SLOW, 0);
    plan.objectives[DP_OBJECTIVE_REROUTE] = 3000;
    answer(0, 5, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    answer(110, 930, "left", DP_LOAD_FAILED_NONE);
    dp_judge_undone(&j, 0, T0 + 1000 * MS);
    answer(1010, 1020, "right", DP_LOAD_FAILED_NONE); /* after it, so not because of it */
    measured[DP_OBJECTIVE_REROUTE] = dp_judge_reroute_ms(&j);
    assert_true(isnan(measured[DP_OBJECTIVE_REROUTE]));
    assert_int_equal(dp_judge_verdicts(&plan, measured, v, &missed), 1);
    assert_int_equal(missed, 1);
    assert_false(v[0].ok);
}

static void nobody_tells_regions(void **state)
{
    (void)state;
    begin(DP_DRILL_STOP, 0);
    answer(0, 5, "", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    answer(110, 130, "", DP_LOAD_FAILED_NONE);
    assert_true(isnan(dp_judge_reroute_ms(&j)));
    answer(120, 130, "elsewhere", DP_LOAD_FAILED_NONE);
    assert_true(isnan(dp_judge_reroute_ms(&j)));
}

static void a_switch_has_to_arrive(void **state)
{
    (void)state;
    begin(DP_DRILL_SWITCH, 1);
    answer(0, 5, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    answer(110, 130, "left", DP_LOAD_FAILED_NONE);
    assert_true(isnan(dp_judge_reroute_ms(&j)));
    answer(120, 140, "right", DP_LOAD_FAILED_NONE);
    assert_true(fabs(dp_judge_reroute_ms(&j) - 40) < 1e-6);
}

static void the_p99_of_a_fault_is_of_what_was_due_in_it(void **state)
{
    (void)state;
    begin(DP_DRILL_STOP, 0);
    assert_true(isnan(dp_judge_p99_fault_ms(&j)));
    answer(0, 50, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    assert_true(isnan(dp_judge_p99_fault_ms(&j)));
    for (uint64_t i = 0; i < 98; i++) {
        answer(200 + i, 200 + i + 10, "right", DP_LOAD_FAILED_NONE);
    }
    answer(300, 1300, "right", DP_LOAD_FAILED_NONE);
    answer(301, 2301, "", DP_LOAD_FAILED_TIMEOUT); /* who failed has waited, too */
    dp_judge_undone(&j, 0, T0 + 5000 * MS);
    answer(5000, 9000, "right", DP_LOAD_FAILED_NONE);
    assert_true(fabs(dp_judge_p99_fault_ms(&j) - 1000) < 1.0);
}

static void a_return_is_seen_by_reads_of_the_region_that_was_left(void **state)
{
    (void)state;
    begin(DP_DRILL_STOP, 0);
    answer(0, 5, "left", DP_LOAD_FAILED_NONE);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    answer(110, 130, "left", DP_LOAD_FAILED_NONE);
    assert_false(dp_judge_is_back(&j, DP_SPAN("left"), T0 + 130 * MS));
    dp_judge_undone(&j, 0, T0 + 1000 * MS);
    assert_false(dp_judge_is_back(&j, DP_SPAN("left"), T0 + 999 * MS));
    assert_true(dp_judge_is_back(&j, DP_SPAN("left"), T0 + 1000 * MS));
    assert_false(dp_judge_is_back(&j, DP_SPAN("right"), T0 + 1000 * MS));
    assert_false(dp_judge_is_back(&j, DP_SPAN("elsewhere"), T0 + 1000 * MS));
    answer(1001, 1005, "right", DP_LOAD_FAILED_NONE);
    answer(1002, 1005, "left", DP_LOAD_FAILED_STATUS);
    const struct dp_load_end write = {.kind = DP_LOAD_PUT,
                                      .due_ns = T0 + 1003 * MS,
                                      .done_ns = T0 + 1005 * MS,
                                      .region = DP_SPAN("left")};
    dp_judge_request(&j, &write);
    assert_false(dp_judge_saw_return(&j));
    answer(1004, 1006, "left", DP_LOAD_FAILED_NONE);
    assert_true(dp_judge_saw_return(&j));
}

static void a_switch_takes_traffic_from_the_others(void **state)
{
    (void)state;
    begin(DP_DRILL_SWITCH, 1);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    dp_judge_undone(&j, 0, T0 + 1000 * MS);
    answer(1001, 1005, "right", DP_LOAD_FAILED_NONE);
    assert_false(dp_judge_saw_return(&j));
    answer(1001, 1005, "left", DP_LOAD_FAILED_NONE);
    assert_true(dp_judge_saw_return(&j));
}

static void from_what_befell_no_region_nothing_returns(void **state)
{
    (void)state;
    begin(DP_DRILL_RUN, DP_DRILL_NO_REGION);
    dp_judge_began(&j, 0, T0 + 100 * MS);
    dp_judge_undone(&j, 0, T0 + 1000 * MS);
    answer(1001, 1005, "left", DP_LOAD_FAILED_NONE);
    assert_false(dp_judge_saw_return(&j));
    assert_false(dp_judge_is_back(&j, DP_SPAN("left"), T0 + 1005 * MS));
}

static bool second(uint32_t ok, uint32_t failed, uint64_t p99_ms)
{
    const struct dp_load_second s = {.ok = ok, .failed = failed, .p99_ns = p99_ms * MS};
    return dp_judge_second(&j, &s, why);
}

static void too_many_failures_end_the_drill(void **state)
{
    (void)state;
    begin(DP_DRILL_STOP, 0);
    assert_false(second(0, 1000, 0)); /* no limit */
    plan.abort.failed_percent = 50;
    dp_judge_init(&j, &plan);
    assert_false(second(0, 10, 0)); /* too few to tell */
    assert_false(second(15, 5, 0)); /* 15 of 30: not above the limit */
    assert_true(second(0, 1, 0));
    assert_string_equal(why, "51.6 % of the requests of 3 s failed (limit 50 %)");
    dp_judge_init(&j, &plan);
    for (int i = 0; i < 4; i++) {
        assert_false(second(100, 0, 0));
    }
    assert_false(second(0, 100, 0));
    assert_false(second(0, 100, 0)); /* 200 of 500 */
    assert_true(second(0, 100, 0));
}

static void a_slow_stretch_ends_the_drill(void **state)
{
    (void)state;
    begin(DP_DRILL_STOP, 0);
    plan.abort.p99_ms = 100;
    plan.abort.window_s = 3;
    dp_judge_init(&j, &plan);
    assert_false(second(10, 0, 500));
    assert_false(second(10, 0, 500));
    assert_false(second(10, 0, 100));
    assert_false(second(10, 0, 101));
    assert_false(second(10, 0, 300));
    assert_true(second(10, 0, 200));
    assert_string_equal(why, "p99 was at least 101 ms for 3 s (limit 100 ms)");
}

static void verdicts_are_of_what_is_wanted(void **state)
{
    (void)state;
    struct dp_judgement v[DP_OBJECTIVE_COUNT];
    double measured[DP_OBJECTIVE_COUNT] = {0};
    size_t missed;
    assert_int_equal(dp_judge_verdicts(&plan, measured, v, &missed), 0);
    plan.objectives[DP_OBJECTIVE_FAILED] = 0;
    plan.objectives[DP_OBJECTIVE_P99] = 500;
    plan.objectives[DP_OBJECTIVE_LOST] = 0;
    measured[DP_OBJECTIVE_FAILED] = 0;
    measured[DP_OBJECTIVE_P99] = 500.1;
    measured[DP_OBJECTIVE_LOST] = NAN;
    assert_int_equal(dp_judge_verdicts(&plan, measured, v, &missed), 3);
    assert_int_equal(missed, 2);
    assert_true(v[0].objective == DP_OBJECTIVE_FAILED && v[0].ok);
    assert_true(v[1].objective == DP_OBJECTIVE_P99 && !v[1].ok);
    assert_true(v[2].objective == DP_OBJECTIVE_LOST && !v[2].ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_lost_region_is_left, set_up),
        cmocka_unit_test_setup(a_region_without_traffic_need_not_be_left, set_up),
        cmocka_unit_test_setup(traffic_that_went_there_long_ago_counts_for_nothing, set_up),
        cmocka_unit_test_setup(a_region_that_is_never_left_is_a_miss, set_up),
        cmocka_unit_test_setup(nobody_tells_regions, set_up),
        cmocka_unit_test_setup(a_switch_has_to_arrive, set_up),
        cmocka_unit_test_setup(the_p99_of_a_fault_is_of_what_was_due_in_it, set_up),
        cmocka_unit_test_setup(a_return_is_seen_by_reads_of_the_region_that_was_left, set_up),
        cmocka_unit_test_setup(a_switch_takes_traffic_from_the_others, set_up),
        cmocka_unit_test_setup(from_what_befell_no_region_nothing_returns, set_up),
        cmocka_unit_test_setup(too_many_failures_end_the_drill, set_up),
        cmocka_unit_test_setup(a_slow_stretch_ends_the_drill, set_up),
        cmocka_unit_test_setup(verdicts_are_of_what_is_wanted, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
