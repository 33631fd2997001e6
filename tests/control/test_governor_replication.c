/* The gate on data, end to end in the governor: two regions that answer as CouchDB does about one database, with what each
 * holds under the test's hand. */
#include "support/watched.h"

static void it_returns_with_all_that_was_written(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    desk_start(d);
    watched_lose_and_return(w, 2);
    watched_await_word(w, "orders to a: 2 documents are missing, such as d");
    assert_int_equal(watched_gate(w)->state, DP_GATE_UNMET);
    watched_await(w, "gate_shut:a", 1);
    watched_turns(w, 400, WATCHED_STEP_MS);
    assert_int_equal(desk_count(d, "failback:a"), 0);
    watched_replicate(w, 1, 0);
    watched_await(w, "failback:a", 1);
    json_t *line = desk_line(d, "failback", "a");
    const json_t *last = json_array_get(json_object_get(line, "gate"), 1);
    assert_string_equal(desk_text(last, "state"), "met");
    assert_string_equal(desk_text(last, "reason"), "all is there, of 1 database");
    json_decref(line);
    watched_await_writes(w);
    assert_true(w->marks > 2);
    assert_true(w->looks > 2);
    assert_int_equal(w->anew, 0);
}

/* One that still reads in b must not miss what another has written in a. */
static void no_write_before_every_worker_knows(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    d->config.failback_pause_ms = 600000; /* real time, and the machine may be busy */
    desk_start(d);
    watched_lose_and_return(w, 1);
    w->knows_late = true;
    watched_replicate(w, 1, 0);
    watched_await(w, "failback:a", 1);
    watched_turns(w, 200, WATCHED_STEP_MS);
    assert_int_equal(d->view->active, 0);
    assert_int_not_equal(d->view->pause, 0);
    w->knows_late = false;
    watched_await_writes(w);
    assert_int_equal(d->view->active, 0);
}

/* The limit holds for this, too. */
static void nor_after_its_time(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    desk_start(d);
    watched_lose_and_return(w, 1);
    w->knows_late = true;
    watched_replicate(w, 1, 0);
    watched_await(w, "failback:a", 1);
    watched_await_writes(w);
}

/* While writes wait for what does not arrive, all else falls due, and is left alone; afterwards it goes on. */
static void other_questions_fall_due_while_writes_wait(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    desk_start(d);
    watched_lose_and_return(w, 1);
    watched_replicate(w, 1, 0);
    for (unsigned i = 0; i < 20000 && d->view->pause == 0; i++)
        watched_turn(w, WATCHED_STEP_MS);
    watched_put(&w->regions[1], 9);
    watched_await(w, "handover_failed:a", 1);
    w->regions[0].state = "crashing";
    watched_await_word(w, "its replication does not run: crashing");
    assert_int_equal(desk_count(d, "failback:a"), 0);
}

static void a_checkpoint_saves_the_way_from_the_beginning(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    w->regions[0].checkpoint = w->regions[1].checkpoint = 3;
    desk_start(d);
    for (unsigned i = 0; i < 2000 && w->marks < 4; i++)
        watched_turn(w, WATCHED_STEP_MS);
    assert_true(w->marks >= 4);
    assert_int_equal(w->regions[0].diffs + w->regions[1].diffs, 0); /* nothing lay behind it */
    assert_true(w->regions[0].feeds > 0);
}

static void what_is_not_good_keeps_it_shut(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    struct watched_region *a = &w->regions[0];
    desk_start(d);
    watched_lose_and_return(w, 1);
    watched_await_word(w, "1 document is missing");
    a->state = "crashing";
    watched_replicate(w, 1, 0);
    watched_await_word(w, "orders to b: its replication does not run: crashing: why not");
    watched_turns(w, 400, WATCHED_STEP_MS);
    assert_int_equal(watched_gate(w)->state, DP_GATE_UNMET);
    watched_put(a, 9);
    watched_await_word(w, "orders to b: 1 document is missing");
    a->gone = true;
    watched_await_word(w, "orders to a: is not there");
    assert_true(w->anew > 0);
    assert_int_equal(desk_count(d, "failback:a"), 0);
}

static void what_can_t_be_seen_is_said(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    d->config.failback_unseen_manual = true;
    w->regions[0].refuses = 403;
    desk_start(d);
    watched_lose_and_return(w, 1);
    watched_await_word(
        w, "not seen, so an approval is wanted: orders to a: can't be compared: answer 403");
    assert_int_equal(watched_gate(w)->state, DP_GATE_UNMET);
    watched_turns(w, 400, WATCHED_STEP_MS);
    assert_int_equal(desk_count(d, "failback:a"), 0);
    assert_int_equal(desk_order(d, DP_ORDER_APPROVE, "a", "compared"), DP_REFUSAL_NONE);
    watched_await(w, "failback:a", 1);
}

static void the_hold_decides_where_it_may(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    w->regions[0].no_jobs = w->regions[1].no_jobs = 401;
    desk_start(d);
    watched_lose_and_return(w, 1);
    watched_await_word(w, "1 document is missing"); /* the data is seen all the same */
    watched_replicate(w, 1, 0);
    watched_await(w, "failback:a", 1);
    json_t *line = desk_line(d, "failback", "a");
    const json_t *last = json_array_get(json_object_get(line, "gate"), 1);
    assert_non_null(strstr(desk_text(last, "reason"), "not seen, so the hold decides"));
    json_decref(line);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_returns_with_all_that_was_written),
        TEST(no_write_before_every_worker_knows),
        TEST(nor_after_its_time),
        TEST(other_questions_fall_due_while_writes_wait),
        TEST(a_checkpoint_saves_the_way_from_the_beginning),
        TEST(what_is_not_good_keeps_it_shut),
        TEST(what_can_t_be_seen_is_said),
        TEST(the_hold_decides_where_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
