/* What workers are told of regions besides who is active: distances, caps, home; and what they tell of distances. */
#include "support/desk.h"

static void probes_say_how_far_a_region_is(void **state)
{
    struct desk *d = *state;
    d->config.nearest = true;
    d->config.mode = DP_MODE_ACTIVE_ACTIVE;
    desk_start_well(d);
    for (unsigned i = 0;
         i < 200 && (d->view->regions[0].latency_us == 0 || d->view->regions[1].latency_us == 0);
         i++)
        desk_turn(d, 10);
    assert_true(d->view->regions[0].latency_us > 0);
    assert_true(d->view->regions[1].latency_us > 0);
    assert_int_equal(d->view->epoch, 1); /* no decision */
}

static void nobody_asks_how_far(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    for (unsigned i = 0; i < 20; i++)
        desk_turn(d, 100);
    assert_int_equal(d->view->regions[0].latency_us, 0);
    assert_int_equal(d->published, 1);
    assert_true(desk_status(d)->regions[0].distance_ms < 0);
}

static void workers_say_who_is_near(void **state)
{
    struct desk *d = *state;
    d->config.nearest = true;
    desk_start(d);
    dp_counter_set(&d->workers[0]->endpoints[0].distance_ns, 4 * MS);
    dp_counter_set(&d->workers[1]->endpoints[0].distance_ns, 6 * MS);
    dp_counter_set(&d->workers[0]->endpoints[0].near, 1);
    dp_counter_set(&d->workers[0]->endpoints[1].distance_ns, 80 * MS);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->n_workers, 2);
    assert_int_equal(s->regions[0].near_workers, 1);
    assert_true(s->regions[0].distance_ms > 4.9 && s->regions[0].distance_ms < 5.1);
    assert_int_equal(s->regions[1].near_workers, 0);
    assert_true(s->regions[1].distance_ms > 79);
    assert_int_equal(s->regions[0].share, 100);
}

/* Over the workers, and over those of its endpoints that serve. */
static void a_cap_is_shared_out(void **state)
{
    struct desk *d = *state;
    d->config.n_regions = 2;
    d->config.n_endpoints = 3;
    d->config.regions[0].n_endpoints = 2;
    d->config.regions[0].max_in_flight = 10;
    d->config.regions[1].first = 2;
    d->config.endpoints[1].region = 0;
    d->config.endpoints[2].region = 1;
    desk_start(d);
    assert_int_equal(d->view->endpoints[0].max_in_flight, 3); /* of 10, by 2 workers and 2 nodes */
    assert_int_equal(d->view->endpoints[1].max_in_flight, 3);
    assert_int_equal(d->view->endpoints[2].max_in_flight, 0);
    assert_int_equal(desk_status(d)->regions[0].max_in_flight, 10);
    desk_await(d, "endpoint_up:a", 2);
    script_server_kill(&d->servers[1]);
    desk_await(d, "endpoint_down:a", 1);
    assert_int_equal(d->view->endpoints[0].max_in_flight, 5);
}

/* Home is the first region, or the one that an operator switched to last: failover does not move it. */
static void home_is_where_operators_want_it(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    assert_int_equal(d->view->home, 0);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->home, 0);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", "it stays down"), DP_REFUSAL_NONE);
    assert_int_equal(d->view->home, 1);
    assert_int_equal(desk_status(d)->home, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(probes_say_how_far_a_region_is, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(nobody_asks_how_far, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(workers_say_who_is_near, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(a_cap_is_shared_out, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(home_is_where_operators_want_it, desk_setup, desk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
