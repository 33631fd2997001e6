/* The control loop when memory runs out: a governor is made, or it is not and says so; its orders and lines are carried
 * out, or what held before still holds. Nothing crashes, nothing leaks (the leak sanitizer). */
#include "support/desk.h"
#include "support/nomem.h"

/* More than it takes: it went in circles. */
#define ALLOCATIONS_MAX 2000

static void making_a_governor(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = NULL;
    unsigned n = 0;
    enum dp_err err = DP_ENOMEM;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        const char *why = NULL;
        const struct dp_governor_options opt = {.loop = &d->loop,
                                                .clock = &d->clock,
                                                .config = &d->config,
                                                .publish = NULL,
                                                .seed = 42};
        nomem_at(++n);
        err = dp_governor_new(&opt, &d->governor, &why);
        happened = nomem_happened();
        nomem_at(0);
        assert_true(err == DP_OK || (err == DP_ENOMEM && happened));
        if (err == DP_OK)
            desk_stop(d);
        else
            d->governor = NULL;
        for (int i = 0; i < 20; i++)
            (void)uv_run(&d->loop,
                         UV_RUN_NOWAIT); /* what a governor that was not made has to close */
    }
    print_message("%u allocations\n", n - 1);
    assert_int_equal(err, DP_OK);
    assert_true(n > 5);
}

/* A region is switched off; without memory for the view it is so a little later. */
static void publishing_a_view(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = NULL;
    unsigned n = 0;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        desk_start(d);
        desk_turn(d, 1);
        assert_int_equal(d->view->active, 0);
        nomem_at(++n);
        enum dp_refusal refusal = desk_order(d, DP_ORDER_SWITCH, "b", "because");
        happened = nomem_happened();
        nomem_at(0);
        assert_int_equal(refusal, DP_REFUSAL_NONE);
        for (int i = 0; i < 1000 && d->view->active != 1; i++)
            desk_turn(d, 1);
        assert_int_equal(d->view->active, 1);
        desk_stop(d);
        dp_view_unref(d->view);
        d->view = NULL;
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 1);
}

/* Whatever tells the next view, a decision that has none yet is told under an epoch of its own: desk_publish looks. */
static void a_decision_that_is_told_late(void **state)
{
    struct desk *d = *state;
    const struct dp_fault_request r = {
        .region = "a", .fault = {.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL}, .for_ms = 1000};
    struct dp_fault_result result;
    d->config.journal_path = NULL;
    d->config.drills_allowed = true;
    d->config.drills_max_ms = 1000;
    desk_start(d);
    desk_turn(d, 1);
    nomem_at(1);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", "because"), DP_REFUSAL_NONE);
    assert_true(nomem_happened());
    nomem_at(0);
    assert_int_equal(d->view->active, 0);
    assert_int_equal(dp_governor_fault(d->governor, &r, &result), DP_OK);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->epoch, 2);
    assert_int_equal(d->view->faulty, 1);
    desk_stop(d);
}

/* A drill's fault begins, and ends; without memory for the view each is so a little later. What probes meet then has no
 * memory either. */
static void faults_of_a_drill(void **state)
{
    struct desk *d = *state;
    const struct dp_fault_request r = {
        .region = "a", .fault = {.kind = DP_FAULT_REFUSED, .share = DP_FAULT_ALL}, .for_ms = 1000};
    d->config.journal_path = NULL;
    d->config.drills_allowed = true;
    d->config.drills_max_ms = 1000;
    for (int i = 0; i < DESK_REGIONS; i++) /* they have no place where memory runs out */
        script_server_kill(&d->servers[i]);
    unsigned n = 0;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        struct dp_fault_result result;
        uint32_t healed = 0;
        desk_start(d);
        desk_turn(d, 1);
        nomem_at(++n);
        assert_int_equal(dp_governor_fault(d->governor, &r, &result), DP_OK);
        assert_int_equal(result.refusal, DP_FAULT_REFUSAL_NONE);
        for (int i = 0; i < 5; i++)
            desk_turn(d, 1);
        assert_int_equal(d->view->faulty, 1);
        assert_int_equal(dp_governor_heal(d->governor, NULL, NULL, &healed), DP_OK);
        assert_int_equal(healed, 1);
        for (int i = 0; i < 5; i++)
            desk_turn(d, 1);
        happened = nomem_happened();
        nomem_at(0);
        assert_int_equal(d->view->faulty, 0);
        desk_stop(d);
        dp_view_unref(d->view);
        d->view = NULL;
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 5);
}

static unsigned released;

static void release(void *ctx)
{
    (void)ctx;
    released++;
}

/* A reload is carried out whole, or nothing changes. */
static void reloading(void **state)
{
    struct desk *d = *state;
    static const bool renew[DP_MAX_REGIONS] = {false};
    struct dp_control_config c[2];
    unsigned n = 0, done = 0;
    d->config.journal_path = NULL;
    desk_start(d);
    desk_turn(d, 1);
    c[0] = c[1] = d->config;
    c[0].fall = 7;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        uint32_t generation = d->view->generation;
        const struct dp_governor_reload order = {.config = &c[done % 2],
                                                 .renew = renew,
                                                 .release = release,
                                                 .actor = "ann",
                                                 .detail = ""};
        nomem_at(++n);
        enum dp_err err = dp_governor_reload(d->governor, &order);
        happened = nomem_happened();
        nomem_at(0);
        done += err == DP_OK;
        assert_int_equal(d->view->generation, generation + (err == DP_OK));
        assert_true(err == DP_OK || (err == DP_ENOMEM && happened));
        for (int i = 0; i < 5; i++)
            desk_turn(d, 1);
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 5 && done > 0);
    desk_stop(d);
    assert_int_equal(released, done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(making_a_governor, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(publishing_a_view, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(reloading, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(a_decision_that_is_told_late, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(faults_of_a_drill, desk_setup, desk_teardown),
    };
    nomem_libraries();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
