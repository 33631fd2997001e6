/* The watch over replication and the handover when memory runs out at any allocation of ours: nobody believes that a region has what
 * it lacks, no epoch has two active regions (desk.c looks), and when there is memory again traffic returns. Not at those of libraries:
 * Debian 12's libcurl divides by the size of a table that it could not get, and jansson goes past a text that it could not keep. */
#include "support/nomem.h"
#include "support/watched.h"

/* More than a round of the watch has. */
#define ALLOCATIONS 100

static void begin(struct watched *w)
{
    w->desk->config.replication_interval_ms = 10; /* real time, and there are many rounds */
    desk_start(w->desk);
    watched_lose_and_return(w, 1);
}

/* One allocation fails, the n-th from now. False: so many were not asked for. */
static bool fail_at(struct watched *w, unsigned n)
{
    nomem_at(n);
    for (unsigned i = 0; i < 400 && !nomem_happened(); i++)
        watched_turn(w, WATCHED_STEP_MS);
    const bool happened = nomem_happened();
    nomem_at(0);
    return happened;
}

static void what_is_missing_is_missed(void **state)
{
    struct watched *w = *state;
    unsigned failed = 0;
    begin(w);
    watched_await_word(w, "1 document is missing");
    for (unsigned n = 1; n <= ALLOCATIONS; n++) {
        failed += fail_at(w, n);
        assert_int_not_equal(watched_gate(w)->state, DP_GATE_MET);
        assert_int_equal(w->desk->view->active, 1);
    }
    print_message("%u allocations failed\n", failed);
    assert_true(failed > 50);
    watched_replicate(w, 1, 0);
    watched_await(w, "failback:a", 1);
    watched_await_writes(w);
}

/* A worker does not rest, so the handover is tried, given up, and tried again. */
static void writes_go_on(void **state)
{
    struct watched *w = *state;
    unsigned failed = 0;
    begin(w);
    w->keeps_pauses = false;
    watched_replicate(w, 1, 0);
    for (unsigned n = 1; n <= ALLOCATIONS; n += 5) {
        failed += fail_at(w, n);
        watched_turns(w, 10, 50);
        assert_int_equal(w->desk->view->active, 1);
    }
    print_message("%u allocations failed\n", failed);
    assert_true(failed >= 10);
    for (unsigned i = 0; i < 20000 && desk_count(w->desk, "handover_failed:a") == 0; i++)
        watched_turn(w, WATCHED_STEP_MS);
    assert_true(desk_count(w->desk, "handover_failed:a") > 0);
    w->keeps_pauses = true;
    watched_await(w, "failback:a", 1);
    watched_await_writes(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missing_is_missed),
        TEST(writes_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
