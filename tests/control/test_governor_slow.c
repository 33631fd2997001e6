/* Regions that are slow: what is late counts as no answer, what got far slower is left for one that is well, and it is answers
 * that say whether it is quick again. */
#include "davenport/core/pace.h"

#include "control/governor_state.h"
#include "support/desk.h"

/* What workers tell of 200 ms, and a look at it. */
static void answers(struct desk *d, size_t endpoint, uint64_t ms, uint64_t n)
{
    struct dp_traffic_endpoint *t = &d->workers[0]->endpoints[endpoint];
    dp_counter_add(&t->outcomes[DP_OUTCOME_ANSWERED], n);
    dp_counter_add(&t->point_first_byte[dp_pace_bucket(ms * MS)], n);
    dp_governor_kick(d->governor);
    desk_turn(d, 200);
}

/* Both regions are well, and a is known to answer within 5 ms. */
static void start_quick(struct desk *d)
{
    desk_start_well(d);
    for (int i = 0; i < 60; i++)
        answers(d, 0, 5, 10);
}

/* Far slower than it was, until traffic leaves it. */
static void let_a_get_slow(struct desk *d)
{
    for (int i = 0; i < 60 && d->view->active == 0; i++)
        answers(d, 0, 805, 10);
    assert_int_equal(d->view->active, 1);
}

/* The way of a gray region: its baseline sets what is late, late requests condemn it, probes pass. */
static void a_region_that_stalls_is_left_though_its_probes_pass(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    assert_int_equal(d->view->endpoints[0].late_ms, 5000);
    uint64_t epoch = d->view->epoch;
    for (int i = 0; i < 30; i++)
        answers(d, 0, 5, 10);
    assert_int_equal(d->view->endpoints[0].late_ms, 1000);
    assert_int_equal(d->view->endpoints[1].late_ms, 5000);
    assert_int_equal(d->view->epoch, epoch); /* no decision */
    dp_counter_add(&d->workers[1]->endpoints[0].late, 5);
    dp_governor_kick(d->governor);
    desk_await(d, "failover:b", 1);
    const struct dp_status *s = desk_status(d);
    assert_non_null(strstr(s->why, "5 requests in a row got no answer"));
    assert_int_equal(s->regions[0].late, 5);
    assert_int_equal(s->regions[0].probes.failures_in_row, 0);
}

/* Answers of 15 ms are told as 16, of 17 as 20. What got longer is told at once, or most reads would be due for a hedge; what
 * got a little shorter is not worth a view. */
static void what_reads_are_hedged_by_is_never_too_short(void **state)
{
    struct desk *d = *state;
    d->config.hedging = true;
    desk_start_well(d);
    for (int i = 0; i < 60; i++)
        answers(d, 0, 15, 10);
    assert_int_equal(d->view->endpoints[0].usual_ms, 16);
    const uint64_t epoch = d->view->epoch;
    for (int i = 0; i < 60; i++)
        answers(d, 0, 17, 10);
    assert_int_equal(d->view->endpoints[0].usual_ms, 20);
    const struct dp_pace_state *pace = &d->governor->endpoints[0].pace;
    for (int i = 0; i < 20000 && dp_pace_usual_ms(pace) > 16; i++)
        answers(d, 0, 15, 10);
    assert_int_equal(dp_pace_usual_ms(pace), 16);
    assert_int_equal(d->view->endpoints[0].usual_ms, 20);
    for (int i = 0; i < 20000 && dp_pace_usual_ms(pace) > 6; i++)
        answers(d, 0, 5, 10);
    assert_int_equal(d->view->endpoints[0].usual_ms, 6);
    assert_int_equal(d->view->epoch, epoch); /* no decision */
}

static void a_region_that_got_slow_is_left_for_one_that_is_well(void **state)
{
    struct desk *d = *state;
    start_quick(d);
    let_a_get_slow(d);
    const struct dp_status *s = desk_status(d);
    assert_true(s->regions[0].slow);
    assert_int_equal(s->regions[0].health, DP_REGION_UP);
    assert_non_null(strstr(s->why, "a is slow: "));
    json_t *line = desk_line(d, "slow", "a");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "after"), "up, slow");
    const json_t *inputs = json_object_get(line, "inputs");
    assert_int_equal(json_integer_value(json_object_get(inputs, "median_ms")), 768);
    assert_int_equal(json_integer_value(json_object_get(inputs, "baseline_ms")), 6);
    json_decref(line);
    desk_await_long(d, "slow_over:a", 1);
    assert_true(desk_status(d)->regions[0].held_down);
}

/* When those of the other region take as long, leaving would not help, however quick its probes are. */
static void a_region_is_not_slow_while_its_peers_requests_are(void **state)
{
    struct desk *d = *state;
    start_quick(d);
    for (int i = 0; i < 60; i++) {
        struct dp_traffic_endpoint *t = &d->workers[1]->endpoints[1];
        dp_counter_add(&t->point_first_byte[dp_pace_bucket(805 * MS)], 10);
        answers(d, 0, 805, 10);
    }
    assert_int_equal(d->view->active, 0);
    assert_false(desk_status(d)->regions[0].slow);
}

/* Probes that pass after the hold only put it on trial: answers say whether it is quick again. */
static void a_slow_region_is_tried_by_requests(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 4;
    start_quick(d);
    let_a_get_slow(d);
    assert_int_equal(d->view->trial_mask, 0);
    desk_await_long(d, "trial:a", 1);
    assert_int_equal(d->view->trial_mask, 1);
    assert_int_equal(d->view->trials, 4);
    assert_true(d->view->endpoints[0].trial > 0);
    assert_true(desk_status(d)->regions[0].slow && d->status.regions[0].trial);
    json_t *line = desk_line(d, "trial", "a");
    assert_string_equal(desk_text(line, "before"), "up, slow");
    assert_string_equal(desk_text(line, "after"), "up, on trial, slow");
    json_decref(line);
    for (int i = 0; i < 100; i++) /* however many probes pass */
        desk_turn(d, 250);
    assert_true(desk_status(d)->regions[0].slow);
    answers(d, 0, 805, 4);
    desk_await(d, "slow:a", 2);
    assert_int_equal(d->view->trial_mask, 0);
    line = desk_line(d, "slow", "a");
    assert_string_equal(desk_text(json_object_get(line, "inputs"), "signal"), "slow_trial_failed");
    json_decref(line);
    desk_await_long(d, "trial:a", 2);
    answers(d, 0, 5, 4);
    desk_await(d, "slow_over:a", 1);
    assert_int_equal(d->view->trial_mask, 0);
    assert_false(desk_status(d)->regions[0].slow || d->status.regions[0].trial);
}

/* It answers again, but later than it did: no place to return to. */
static void a_region_that_comes_back_slow_stays_on_trial(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 4;
    start_quick(d);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 5);
    desk_await(d, "failover:b", 1);
    desk_await_long(d, "trial:a", 1);
    for (int i = 0; i < 5; i++)
        answers(d, 0, 805, 4);
    assert_int_equal(desk_count(d, "region_up:a"), 1);
    assert_true(desk_status(d)->regions[0].trial);
    answers(d, 0, 5, 4);
    desk_await(d, "region_up:a", 2);
    assert_false(desk_status(d)->regions[0].trial || d->status.regions[0].slow);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)
    const struct CMUnitTest tests[] = {
        T(a_region_that_stalls_is_left_though_its_probes_pass),
        T(what_reads_are_hedged_by_is_never_too_short),
        T(a_region_that_got_slow_is_left_for_one_that_is_well),
        T(a_region_is_not_slow_while_its_peers_requests_are),
        T(a_slow_region_is_tried_by_requests),
        T(a_region_that_comes_back_slow_stays_on_trial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
