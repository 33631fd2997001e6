/* Falls that no probe saw end by requests; silence of all regions at once is our own network's. */
#include "control/governor_state.h"
#include "support/desk.h"
#include "support/names.h"

static void only_requests_clear_what_only_requests_saw(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 2;
    desk_start_well(d);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 5);
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->trial_mask, 0);
    assert_in_range(desk_status(d)->regions[0].tried_in_ms, 1, DP_TRAFFIC_HOLD_MS);
    assert_int_equal(d->status.regions[1].tried_in_ms, 0);
    desk_await_long(d, "trial:a", 1);
    assert_int_equal(desk_status(d)->regions[0].tried_in_ms, 0);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->trial_mask, 1);
    assert_int_equal(d->view->trials, 2);
    assert_int_equal(d->view->endpoints[0].trial, 1);
    const struct dp_status *s = desk_status(d);
    assert_true(s->regions[0].trial && s->endpoints[0].trial);
    assert_int_equal(s->regions[0].health, DP_REGION_SUSPECT);
    json_t *line = desk_line(d, "trial", "a");
    assert_string_equal(desk_text(line, "after"), "suspect, on trial");
    json_decref(line);
    for (int i = 0; i < 100; i++) /* however many probes pass */
        desk_turn(d, 250);
    assert_int_equal(desk_count(d, "region_up:a"), 1);
    assert_true(d->view->endpoints[0].trial > 1); /* nobody came: the workers may try again */
    desk_bad(d, 1, 0, DP_OUTCOME_ANSWERED, 2);
    desk_await(d, "region_up:a", 2);
    assert_int_equal(d->view->trial_mask, 0);
    assert_false(desk_status(d)->regions[0].trial);
}

/* Nothing else is left: it takes all the traffic while on trial, and one lost answer does not close it again. */
static void on_trial_with_all_the_traffic_it_falls_by_a_row(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 4;
    desk_start_well(d);
    script_server_kill(&d->servers[1]);
    desk_await(d, "region_down:b", 1);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 5);
    desk_await(d, "lost:a", 1);
    desk_await_long(d, "trial:a", 1);
    assert_int_equal(d->view->active, 0);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 1);
    desk_turn(d, 250);
    desk_turn(d, 250);
    assert_int_equal(desk_status(d)->regions[0].health, DP_REGION_SUSPECT);
    assert_int_equal(d->view->active, 0);
    desk_bad(d, 0, 0, DP_OUTCOME_ANSWERED, 4);
    desk_await(d, "region_up:a", 2);
}

static void a_failed_trial_is_another_fall(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 2;
    desk_start_well(d);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 5);
    desk_await_long(d, "trial:a", 1);
    desk_bad(d, 0, 0, DP_OUTCOME_TRUNCATED, 1);
    desk_await(d, "region_down:a", 2);
    assert_int_equal(d->view->trial_mask, 0);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_DOWN);
    json_t *line = desk_line(d, "region_down", "a");
    assert_string_equal(desk_text(json_object_get(line, "inputs"), "signal"), "trial_failed");
    json_decref(line);
}

static void a_drained_region_is_not_tried(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 2;
    desk_start_well(d);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 5);
    desk_await(d, "failover:b", 1);
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "a", "no tries"), DP_REFUSAL_NONE);
    desk_await_long(d, "trial:a", 1);
    assert_int_equal(d->view->trial_mask, 0);
}

/* ---- silence ---- */

/* Nothing there can even be asked: no route leads to the broadcast address. */
#define NOWHERE "255.255.255.255"

static void named(struct desk *d)
{
    d->config.endpoints[0].lookup = "a.example";
    d->config.endpoints[1].lookup = "b.example";
    d->config.dns_refresh_ms = 1;
    names_set("a.example 127.0.0.1\nb.example 127.0.0.1\n");
    desk_start_well(d);
}

static void silence_of_all_at_once_moves_nothing(void **state)
{
    struct desk *d = *state;
    named(d);
    uint64_t failovers = desk_status(d)->failovers;
    names_set("a.example " NOWHERE "\nb.example " NOWHERE "\n");
    desk_await(d, "own_network_doubt:a", 1);
    for (int i = 0; i < 50; i++)
        desk_turn(d, 1);
    const struct dp_status *s = desk_status(d);
    assert_true(s->doubt);
    assert_int_equal(s->doubts, 1);
    assert_int_equal(s->active, 0);
    assert_int_equal(s->failovers, failovers);
    assert_int_equal(d->view->active, 0);
    assert_int_equal(d->view->endpoints[0].state, DP_ROUTE_OK); /* and everything is tried on */
    names_set("a.example 127.0.0.1\nb.example 127.0.0.1\n");
    desk_await(d, "own_network_doubt_over:a", 1);
    assert_int_equal(d->view->active, 0);
    assert_int_equal(desk_status(d)->failovers, failovers);
    assert_false(d->status.doubt);
    assert_false(d->status.regions[0].held_down);
    names_clear();
}

/* The standby is found silent only after the traffic has moved there: that move is undone. */
static void a_move_in_the_silence_is_undone(void **state)
{
    struct desk *d = *state;
    named(d);
    names_set("a.example " NOWHERE "\nb.example 127.0.0.1\n");
    desk_await(d, "failover:b", 1);
    names_set("a.example " NOWHERE "\nb.example " NOWHERE "\n");
    desk_await(d, "own_network_doubt:a", 1);
    assert_int_equal(d->view->active, 0);
    json_t *line = desk_line(d, "own_network_doubt", "a");
    assert_string_equal(desk_text(line, "before"), "b");
    assert_string_equal(desk_text(line, "after"), "a");
    json_decref(line);
    names_clear();
}

/* The traffic moves to b, an answer of b's ends there, and then all are silent. */
static void move_and_answer(struct desk *d, uint64_t begun)
{
    named(d);
    names_set("a.example " NOWHERE "\nb.example 127.0.0.1\n");
    desk_await(d, "failover:b", 1);
    d->now_ns += MS;
    dp_counter_add(&d->workers[0]->endpoints[1].first_byte[dp_latency_bucket(5 * MS)], begun);
    desk_bad(d, 0, 1, DP_OUTCOME_ANSWERED, 1);
    dp_governor_kick(d->governor);
    desk_turn(d, 1);
    names_set("a.example " NOWHERE "\nb.example " NOWHERE "\n");
}

/* It began before: b may have answered nothing since. */
static void the_end_of_an_answer_is_none(void **state)
{
    struct desk *d = *state;
    move_and_answer(d, 0);
    desk_await(d, "own_network_doubt:a", 1);
    assert_int_equal(d->view->active, 0);
    names_clear();
}

/* Who has answered the traffic since it moved has what was written since: that move was right, whoever falls silent next. */
static void a_move_that_was_answered_stands(void **state)
{
    struct desk *d = *state;
    move_and_answer(d, 1);
    desk_await(d, "own_network_doubt:b", 1);
    assert_int_equal(d->view->active, 1);
    names_set("a.example 127.0.0.1\nb.example 127.0.0.1\n");
    desk_await(d, "own_network_doubt_over:b", 1);
    desk_await(d, "region_up:a", 2);
    assert_int_equal(d->view->active, 1);
    assert_true(
        desk_status(d)->regions[0].held_down); /* it comes back by the rules of any return */
    names_clear();
}

/* Refused is answered: our network works, and the regions are dead. */
static void refusal_is_no_silence(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    script_server_kill(&d->servers[0]);
    script_server_kill(&d->servers[1]);
    desk_await(d, "region_down:a", 1);
    desk_await(d, "region_down:b", 1);
    assert_false(desk_status(d)->doubt);
    assert_int_equal(d->status.active, DP_NO_REGION);
}

/* Likewise when they never did anything else; and this is what is said of them. */
static void who_refuses_from_the_start_is_not_silent(void **state)
{
    struct desk *d = *state;
    d->config.silent = 12;
    for (size_t i = 0; i < 2; i++)
        script_server_kill(&d->servers[i]);
    desk_start(d);
    desk_await(d, "region_down:a", 1);
    assert_false(d->governor->endpoints[0].fell_unheard);
    desk_await(d, "region_down:b", 1);
    for (int i = 0; i < 50; i++)
        desk_turn(d, 10);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->doubts, 0);
    assert_int_equal(s->active, DP_NO_REGION);
    assert_string_equal(s->regions[0].why,
                        "no probe was answered since the start: 3 probes in a row failed "
                        "(threshold 3); last probe: connection refused");
}

static void requests_are_late(struct desk *d)
{
    for (int i = 0; i < 20; i++) {
        dp_counter_add(&d->workers[0]->endpoints[0].late, 5);
        dp_governor_kick(d->governor);
        desk_turn(d, 100);
    }
    assert_int_equal(d->view->active, 0);
    assert_int_equal(desk_status(d)->regions[0].health, DP_REGION_UP);
}

/* Under too much load everything is late. Where nobody else is left, that alone is no reason to give up. */
static void lateness_alone_does_not_lose_the_last_region(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    script_server_kill(&d->servers[1]);
    desk_await(d, "region_down:b", 1);
    requests_are_late(d);
    script_server_kill(&d->servers[0]); /* probes say so too */
    desk_await(d, "lost:a", 1);
}

/* Who answers probes, but refuses our key, takes no requests. */
static void who_locks_us_out_is_nowhere_to_go(void **state)
{
    struct desk *d = *state;
    d->config.key_retry_ms = 3600000;
    d->config.regions[1].key =
        (struct dp_key_config){.type = DP_CREDENTIAL_BASIC, .username = "us", .password = "them"};
    desk_start_well(d);
    (void)dp_credential_say(dp_keys_for_requests(d->governor->keys, 1), DP_CREDENTIAL_REFUSED);
    while (!governor_locked_out(d->governor, 1))
        desk_turn(d, 1);
    requests_are_late(d);
    assert_int_equal(d->status.regions[1].health, DP_REGION_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_requests_clear_what_only_requests_saw, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(on_trial_with_all_the_traffic_it_falls_by_a_row, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(a_failed_trial_is_another_fall, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(a_drained_region_is_not_tried, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(silence_of_all_at_once_moves_nothing, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(a_move_in_the_silence_is_undone, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(the_end_of_an_answer_is_none, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(a_move_that_was_answered_stands, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(refusal_is_no_silence, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(who_refuses_from_the_start_is_not_silent, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(lateness_alone_does_not_lose_the_last_region, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(who_locks_us_out_is_nowhere_to_go, desk_setup,
                                        desk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
