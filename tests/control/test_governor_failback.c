/* Failback's modes, the ramp and failing open, end to end in the governor: views, status, journal. */
#include "support/desk.h"

static void begin(struct desk *d)
{
    desk_start_well(d);
}

static void let_pass(struct desk *d, uint64_t s)
{
    for (uint64_t i = 0; i < s * 4; i++)
        desk_turn(d, 250);
}

/* a falls and comes back, once its fall is told. */
static void fall_and_return(struct desk *d)
{
    unsigned before = desk_count(d, "held_down:a");
    script_server_kill(&d->servers[0]);
    desk_await(d, "region_down:a", desk_count(d, "region_down:a") + 1);
    script_server_revive(&d->servers[0]);
    desk_await(d, "held_down:a", before + 1);
}

static const struct dp_gate_condition *condition(const struct dp_status *s, uint16_t region,
                                                 enum dp_gate_kind kind)
{
    const struct dp_gate *gate = &s->regions[region].gate;
    for (uint16_t i = 0; i < gate->n; i++) {
        if (gate->conditions[i].kind == kind)
            return &gate->conditions[i];
    }
    fail_msg("the gate does not ask for it");
    return NULL;
}

static void a_gate_waits_for_an_approval(void **state)
{
    struct desk *d = *state;
    d->config.failback = DP_FAILBACK_GATED;
    d->config.failback_forget_ms = 3600000;
    d->config.failback_conditions =
        DP_GATE_BIT(DP_GATE_PROBES) | DP_GATE_BIT(DP_GATE_ERRORS) | DP_GATE_BIT(DP_GATE_APPROVAL);
    begin(d);
    fall_and_return(d);
    desk_await_long(d, "gate_shut:a", 1);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->active, 1);
    assert_int_equal(s->failback_to, 0);
    assert_int_equal(s->failback_at_wall_ms, 0); /* no clock tells */
    assert_true(s->regions[0].held_down);
    assert_int_equal(s->regions[0].gate.n, 4);
    assert_int_equal(condition(s, 0, DP_GATE_HEALTH)->state, DP_GATE_MET);
    assert_int_equal(condition(s, 0, DP_GATE_PROBES)->state, DP_GATE_MET);
    assert_int_equal(condition(s, 0, DP_GATE_ERRORS)->state, DP_GATE_MET);
    assert_int_equal(condition(s, 0, DP_GATE_APPROVAL)->state, DP_GATE_UNMET);
    json_t *line = desk_line(d, "gate_shut", "a");
    assert_non_null(strstr(desk_text(line, "reason"), "approval: no operator has allowed this"));
    assert_int_equal(json_array_size(json_object_get(line, "gate")), 4);
    json_decref(line);
    let_pass(d, 100);
    assert_int_equal(desk_count(d, "gate_shut:a"), 1); /* told once */

    /* An approval that is taken back is none. */
    assert_int_equal(desk_order(d, DP_ORDER_APPROVE, "b", NULL), DP_REFUSAL_NONE);
    assert_int_equal(desk_order(d, DP_ORDER_REVOKE, "b", NULL), DP_REFUSAL_NONE);
    assert_false(desk_status(d)->regions[1].approved.on);
    assert_int_equal(desk_order(d, DP_ORDER_APPROVE, "a", "compared"), DP_REFUSAL_NONE);
    assert_string_equal(desk_status(d)->regions[0].approved.reason, "compared");
    desk_await(d, "failback:a", 1);
    s = desk_status(d);
    assert_int_equal(s->active, 0);
    assert_int_equal(s->moves[DP_MOVE_FAILBACK][DP_MOVE_REASON_GATED], 1);
    assert_int_equal(s->moves[DP_MOVE_FAILOVER][DP_MOVE_REASON_DOWN], 1);
    assert_non_null(strstr(s->why, "its gate is open"));
    line = desk_line(d, "failback", "a");
    assert_int_equal(json_integer_value(json_object_get(line, "hold_ms")), 300000);
    assert_int_equal(json_integer_value(json_object_get(line, "falls")), 1);
    const json_t *gate = json_object_get(line, "gate");
    assert_int_equal(json_array_size(gate), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(desk_text(json_array_get(gate, i), "state"), "met");
    json_decref(line);
    while (desk_status(d)->regions[0].approved.on) /* it was for this return */
        desk_turn(d, 1);
}

static void an_approval_ends_by_its_time_and_is_refused_of_the_dead(void **state)
{
    struct desk *d = *state;
    begin(d);
    d->request.ttl_s = 60;
    assert_int_equal(desk_order(d, DP_ORDER_APPROVE, "b", NULL), DP_REFUSAL_NONE);
    assert_true(desk_status(d)->regions[1].approved.on);
    desk_await_long(d, "revoke:b", 1);
    assert_false(desk_status(d)->regions[1].approved.on);
    script_server_kill(&d->servers[1]);
    desk_await(d, "region_down:b", 1);
    d->request.force = true; /* not even so */
    assert_int_equal(desk_order(d, DP_ORDER_APPROVE, "b", NULL), DP_REFUSAL_DOWN);
}

/* The desk's clock begins on a Sunday, 2026-11-22 21:43:04 UTC, and is 1000 s later when the test begins. */
static void a_window_is_waited_for(void **state)
{
    struct desk *d = *state;
    d->config.failback = DP_FAILBACK_WINDOW;
    d->config.failback_hold_ms = 10000;
    int64_t wall_m = desk_wall_ms(d) / 60000;
    uint16_t from_m = (uint16_t)((wall_m + 3) % 1440);
    d->config.failback_windows =
        (struct dp_windows){.n = 1,
                            .utc_offset_m = 60,
                            .at = {{.days = 0x7F,
                                    .from_m = (uint16_t)((from_m + 60) % 1440),
                                    .till_m = (uint16_t)((from_m + 60) % 1440 + 10)}}};
    begin(d);
    fall_and_return(d);
    desk_await_long(d, "gate_shut:a", 1);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->failback_at_wall_ms, (wall_m + 3) * 60000);
    assert_false(s->regions[0].held_down); /* the hold is over; it is the time that is wrong */
    assert_int_equal(condition(s, 0, DP_GATE_WINDOW)->state, DP_GATE_UNMET);
    desk_await_long(d, "failback:a", 1);
    assert_in_range(desk_wall_ms(d), (wall_m + 3) * 60000, (wall_m + 4) * 60000);
    assert_int_equal(desk_status(d)->moves[DP_MOVE_FAILBACK][DP_MOVE_REASON_WINDOW], 1);
}

static void a_second_fall_is_held_twice_as_long(void **state)
{
    struct desk *d = *state;
    d->config.failback_hold_ms = 60000;
    d->config.failback_hold_max_ms = 90000;
    begin(d);
    fall_and_return(d);
    assert_int_equal(desk_status(d)->regions[0].hold_ms, 60000);
    fall_and_return(d);
    assert_int_equal(desk_status(d)->regions[0].hold_ms, 90000);
    assert_int_equal(d->status.regions[0].falls, 2);
    json_t *line = desk_line(d, "held_down", "a");
    assert_int_equal(json_integer_value(json_object_get(line, "hold_ms")), 90000);
    assert_int_equal(json_integer_value(json_object_get(line, "falls")), 2);
    json_decref(line);
    int64_t now = desk_wall_ms(d);
    assert_in_range(d->status.failback_at_wall_ms, now + 80000, now + 90000);
    desk_await_long(d, "failback:a", 1);
}

static void the_ramp_ends_with_a_line(void **state)
{
    struct desk *d = *state;
    d->config.failback_hold_ms = 1000;
    d->config.failback_ramp_ms = 60000;
    begin(d);
    fall_and_return(d);
    desk_await_long(d, "failback:a", 1);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->ramp_from, 1);
    assert_in_range(s->share_percent, 5, 15);
    uint64_t epoch = s->epoch;
    uint16_t share = s->share_percent;
    while (share < 50) {
        desk_turn(d, 250);
        assert_true(desk_status(d)->share_percent >= share);
        share = d->status.share_percent;
    }
    assert_int_equal(d->status.ramp_from, 1);
    while (d->view->regions[0].share < 50) /* the workers are told */
        desk_turn(d, 1);
    assert_int_equal(d->view->regions[1].share, 100);
    desk_await_long(d, "ramp_over:a", 1);
    s = desk_status(d);
    assert_int_equal(s->share_percent, 100);
    assert_int_equal(s->ramp_from, DP_NO_REGION);
    while (d->view->regions[0].share < 100)
        desk_turn(d, 1);
    assert_int_equal(s->epoch, epoch); /* a share that grows is no decision */
}

static void failing_open_is_told_and_ends(void **state)
{
    struct desk *d = *state;
    d->config.no_region = DP_NO_REGION_LAST_GOOD;
    begin(d);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    script_server_kill(&d->servers[1]);
    desk_await(d, "fail_open:b", 1);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->active, 1);
    assert_true(s->fail_open);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_OK);
    assert_non_null(strstr(s->why, "every region is lost; no_region.policy last_good sends the "
                                   "traffic there all the same; b is down: "));
    assert_int_equal(s->moves[DP_MOVE_OPEN][DP_MOVE_REASON_DOWN], 1);
    script_server_revive(&d->servers[0]);
    desk_await(d, "regained:a", 1);
    assert_int_equal(d->view->active, 0);
    assert_false(desk_status(d)->fail_open);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, desk_setup, desk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_gate_waits_for_an_approval),
        TEST(an_approval_ends_by_its_time_and_is_refused_of_the_dead),
        TEST(a_window_is_waited_for),
        TEST(a_second_fall_is_held_twice_as_long),
        TEST(the_ramp_ends_with_a_line),
        TEST(failing_open_is_told_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
