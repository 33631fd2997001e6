/* Regions of several endpoints: a node's failure stays inside its region, a region falls with its nodes. */
#include "support/desk.h"

/* Region a has servers 0 and 1, region b has server 2. */
static void two_nodes_and_a_standby(struct desk *d)
{
    d->config.n_regions = 2;
    d->config.n_endpoints = 3;
    d->config.regions[0].n_endpoints = 2;
    d->config.regions[1].first = 2;
    d->config.endpoints[1].region = 0;
    d->config.endpoints[2].region = 1;
    d->config.endpoints[0].host = "n0.example";
    d->config.endpoints[1].host = "n1.example";
    desk_start(d);
    desk_await(d, "endpoint_up:a", 2);
    desk_await(d, "region_up:b", 1);
}

static void a_nodes_failure_stays_inside_its_region(void **state)
{
    struct desk *d = *state;
    two_nodes_and_a_standby(d);
    assert_int_equal(desk_count(d, "region_up:a"), 1); /* with the first of its nodes */
    assert_int_equal(d->view->n_endpoints, 3);
    assert_int_equal(d->view->endpoints[1].region, 0);
    assert_int_equal(d->view->endpoints[2].region, 1);
    script_server_kill(&d->servers[1]);
    desk_await(d, "endpoint_down:a", 1);
    assert_int_equal(d->view->active, 0);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_OK);
    assert_int_equal(d->view->endpoints[0].state, DP_ROUTE_OK);
    assert_int_equal(d->view->endpoints[1].state, DP_ROUTE_DOWN);
    assert_int_equal(d->view->endpoints[1].pool_epoch, 1);
    assert_int_equal(desk_count(d, "region_down:a"), 0);
    json_t *line = desk_line(d, "endpoint_down", "a");
    assert_string_equal(desk_text(line, "endpoint"), "n1.example");
    json_decref(line);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->regions[0].health, DP_REGION_UP);
    assert_int_equal(s->regions[0].serving, 1);
    assert_int_equal(s->regions[0].n_endpoints, 2);
    assert_int_equal(s->endpoints[1].health, DP_REGION_DOWN);
    assert_int_equal(s->endpoints[1].route, DP_ROUTE_DOWN);
    assert_int_equal(s->failovers, 0);
    script_server_revive(&d->servers[1]);
    desk_await(d, "endpoint_up:a", 3);
    assert_int_equal(d->view->endpoints[1].state, DP_ROUTE_OK);
    assert_int_equal(desk_count(d, "held_down:a"), 0); /* the region was never away */
}

static void a_region_falls_with_its_last_node(void **state)
{
    struct desk *d = *state;
    two_nodes_and_a_standby(d);
    script_server_kill(&d->servers[0]);
    script_server_kill(&d->servers[1]);
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(desk_count(d, "endpoint_down:a"), 2);
    assert_int_equal(desk_count(d, "region_down:a"), 1);
    json_t *line = desk_line(d, "region_down", "a");
    assert_non_null(
        strstr(desk_text(line, "reason"), "0 of 2 endpoints serve (needed: 1); last n"));
    assert_string_equal(desk_text(json_object_get(line, "inputs"), "signal"), "endpoints_serving");
    json_decref(line);
    assert_non_null(strstr(desk_status(d)->why, "a is down: 0 of 2 endpoints serve"));
    script_server_revive(&d->servers[0]);
    desk_await(d, "held_down:a", 1);
    assert_int_equal(d->view->endpoints[0].state, DP_ROUTE_OK); /* the last resort */
    assert_int_equal(d->view->endpoints[1].state, DP_ROUTE_DOWN);
}

static void a_region_falls_when_too_few_nodes_serve(void **state)
{
    struct desk *d = *state;
    d->config.up_percent = 100;
    two_nodes_and_a_standby(d);
    script_server_kill(&d->servers[1]);
    desk_await(d, "failover:b", 1);
    assert_int_equal(desk_status(d)->regions[0].serving, 1);
    assert_int_equal(desk_status(d)->regions[0].need, 2);
    assert_int_equal(d->view->endpoints[0].state, DP_ROUTE_DOWN);
}

/* Counters of a region are those of all its endpoints. */
static void counts_add_up(void **state)
{
    struct desk *d = *state;
    two_nodes_and_a_standby(d);
    desk_bad(d, 0, 0, DP_OUTCOME_ANSWERED, 3);
    desk_bad(d, 1, 1, DP_OUTCOME_ANSWERED, 4);
    desk_bad(d, 1, 2, DP_OUTCOME_ANSWERED, 5);
    for (int i = 0; i < 100 && desk_status(d)->regions[1].outcomes[DP_OUTCOME_ANSWERED] < 5; i++)
        desk_turn(d, 1);
    assert_int_equal(d->status.regions[0].outcomes[DP_OUTCOME_ANSWERED], 7);
    assert_int_equal(d->status.regions[1].outcomes[DP_OUTCOME_ANSWERED], 5);
    assert_int_equal(d->status.endpoints[1].outcomes[DP_OUTCOME_ANSWERED], 4);
}

/* One node fails its requests, the other serves: its own row condemns it. */
static void traffic_condemns_one_node(void **state)
{
    struct desk *d = *state;
    two_nodes_and_a_standby(d);
    desk_bad(d, 0, 1, DP_OUTCOME_NO_ANSWER, 5);
    desk_await(d, "endpoint_down:a", 1);
    assert_int_equal(d->view->endpoints[1].state, DP_ROUTE_DOWN);
    assert_int_equal(d->view->active, 0);
    assert_int_equal(desk_status(d)->regions[0].health, DP_REGION_UP);
}

/* ---- what a region's endpoints met together ---- */

static void signal_of(struct desk *d, const char *event, const char *region, char out[64])
{
    json_t *line = desk_line(d, event, region);
    (void)snprintf(out, 64, "%s", desk_text(json_object_get(line, "inputs"), "signal"));
    json_decref(line);
}

/* One request, and looked at. */
static void met(struct desk *d, size_t endpoint, enum dp_outcome o)
{
    desk_bad(d, 0, endpoint, o, 1);
    dp_governor_kick(d->governor);
    desk_turn(d, 10);
}

/* Five requests in a row, three at one node and two at the other: neither has enough against it. */
static void a_row_over_all_endpoints_condemns_the_region(void **state)
{
    struct desk *d = *state;
    char signal[64];
    two_nodes_and_a_standby(d);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 2);
    desk_bad(d, 0, 1, DP_OUTCOME_ANSWER_TIMEOUT, 2);
    dp_governor_kick(d->governor);
    desk_turn(d, 10);
    assert_int_equal(d->view->active, 0);
    desk_bad(d, 1, 0, DP_OUTCOME_TRUNCATED, 1);
    desk_await(d, "failover:b", 1);
    assert_int_equal(desk_count(d, "endpoint_down:a"), 2);
    assert_int_equal(desk_count(d, "region_down:a"), 1);
    signal_of(d, "endpoint_down", "a", signal);
    assert_string_equal(signal, "region_requests_unanswered");
    json_t *line = desk_line(d, "endpoint_down", "a");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "inputs"), "count")),
                     5);
    json_decref(line);
}

/* A good answer of either ends the row. */
static void a_good_answer_of_a_sibling_ends_the_row(void **state)
{
    struct desk *d = *state;
    d->config.failure_requests = 0; /* rows alone */
    two_nodes_and_a_standby(d);
    for (unsigned i = 0; i < 10; i++) {
        met(d, i % 2, DP_OUTCOME_NO_ANSWER);
        met(d, 1 - i % 2, DP_OUTCOME_ANSWERED);
    }
    assert_int_equal(desk_count(d, "endpoint_down:a"), 0);
    assert_int_equal(d->view->active, 0);
}

/* Half of ten recent requests: those of one node are too few to judge it by. */
static void a_share_over_all_endpoints_condemns_who_took_part(void **state)
{
    struct desk *d = *state;
    char signal[64];
    d->config.failure_window_ms = 10000;
    d->config.failure_requests = 10;
    d->config.failure_percent = 50;
    two_nodes_and_a_standby(d);
    for (const char *c = "0-1+0-1+0+0-1+0-1+0-"; *c; c += 2) { /* six at node 0, four at node 1 */
        met(d, (size_t)(*c - '0'), c[1] == '+' ? DP_OUTCOME_ANSWERED : DP_OUTCOME_NO_ANSWER);
    }
    desk_await(d, "endpoint_down:a", 1);
    signal_of(d, "endpoint_down", "a", signal);
    assert_string_equal(signal, "region_requests_unanswered_share");
    /* the one that answered has nothing to do with it, and the region goes on with it */
    assert_int_equal(d->view->endpoints[0].state, DP_ROUTE_DOWN);
    assert_int_equal(d->view->endpoints[1].state, DP_ROUTE_OK);
    assert_int_equal(d->view->active, 0);
}

/* Requests proved it, so requests clear it. */
static void what_they_met_together_only_requests_clear(void **state)
{
    struct desk *d = *state;
    d->config.trial_requests = 2;
    two_nodes_and_a_standby(d);
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 3);
    desk_bad(d, 0, 1, DP_OUTCOME_NO_ANSWER, 2);
    desk_await(d, "failover:b", 1);
    desk_await_long(d, "endpoint_trial:a", 2);
    assert_int_equal(d->view->trial_mask, 3);
    desk_bad(d, 0, 1, DP_OUTCOME_ANSWERED, 2);
    desk_await(d, "endpoint_up:a", 3);
    assert_int_equal(desk_status(d)->regions[0].serving, 1);
    assert_int_equal(d->view->trial_mask, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_nodes_failure_stays_inside_its_region, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(a_region_falls_with_its_last_node, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(a_region_falls_when_too_few_nodes_serve, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(counts_add_up, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(traffic_condemns_one_node, desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(a_row_over_all_endpoints_condemns_the_region, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(a_good_answer_of_a_sibling_ends_the_row, desk_setup,
                                        desk_teardown),
        cmocka_unit_test_setup_teardown(a_share_over_all_endpoints_condemns_who_took_part,
                                        desk_setup, desk_teardown),
        cmocka_unit_test_setup_teardown(what_they_met_together_only_requests_clear, desk_setup,
                                        desk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
