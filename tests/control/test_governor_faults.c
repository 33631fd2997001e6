/* Faults of drills in the governor: who may, what the view says, what probes meet, and that each ends. */
#include "support/desk.h"

static void begin(struct desk *d)
{
    d->config.drills_allowed = true;
    d->config.drills_max_ms = 600000;
    desk_start_well(d);
}

static enum dp_fault_refusal order(struct desk *d, const char *region, enum dp_fault_kind kind,
                                   uint32_t for_ms, struct dp_fault_result *out)
{
    const struct dp_fault_request r = {
        .region = region,
        .fault = {.kind = kind, .share = DP_FAULT_ALL, .delay_ms = kind == DP_FAULT_SLOW ? 10 : 0},
        .for_ms = for_ms,
        .actor = "ann",
        .reason = "quarterly",
    };
    assert_int_equal(dp_governor_fault(d->governor, &r, out), DP_OK);
    return out->refusal;
}

static void fault(struct desk *d, const char *region, enum dp_fault_kind kind, uint32_t for_ms)
{
    struct dp_fault_result result;
    assert_int_equal(order(d, region, kind, for_ms, &result), DP_FAULT_REFUSAL_NONE);
    assert_string_equal(result.why, "");
    assert_int_equal(result.epoch, d->view->epoch);
}

static void heal(struct desk *d, const char *region, uint32_t expected)
{
    uint32_t healed = 99;
    assert_int_equal(dp_governor_heal(d->governor, region, "bob", &healed), DP_OK);
    assert_int_equal(healed, expected);
}

static void assert_line(struct desk *d, const char *event, const char *actor, const char *reason)
{
    json_t *line = desk_line(d, event, "a");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "actor"), actor);
    assert_string_equal(desk_text(line, "reason"), reason);
    assert_true(json_is_true(json_object_get(line, "drill")));
    json_decref(line);
}

static void who_may(void **state)
{
    struct desk *d = *state;
    struct dp_fault_result result;
    uint32_t healed;
    begin(d);
    const unsigned published = d->published;
    d->config.drills_allowed = false;
    assert_int_equal(order(d, "a", DP_FAULT_DARK, 1000, &result), DP_FAULT_REFUSAL_NOT_ALLOWED);
    assert_string_equal(result.why,
                        "the configuration allows no faults here: drills.allowed is false");
    d->config.drills_allowed = true;
    assert_int_equal(order(d, "a", DP_FAULT_DARK, 600001, &result), DP_FAULT_REFUSAL_TOO_LONG);
    assert_string_equal(result.why, "a fault is for 600000 ms at most here (drills.max_ms)");
    json_t *line = desk_line(d, "refused", "a");
    assert_string_equal(desk_text(line, "rule"), "too_long");
    assert_string_equal(desk_text(line, "order"), "fault");
    assert_string_equal(desk_text(line, "actor"), "ann");
    json_decref(line);
    const struct dp_fault_request nowhere = {.region = "x", .for_ms = 1};
    assert_int_equal(dp_governor_fault(d->governor, &nowhere, &result), DP_EINVAL);
    assert_string_equal(result.why, "there is no region of this name");
    assert_int_equal(dp_governor_heal(d->governor, "x", NULL, &healed), DP_EINVAL);
    heal(d, "a", 0);
    heal(d, NULL, 0);
    assert_int_equal(d->view->faulty, 0);
    assert_int_equal(d->published, published);
    assert_false(desk_status(d)->regions[0].faulted.on);
    assert_int_equal(desk_count(d, "fault:a") + desk_count(d, "heal:a"), 0);
}

/* The whole of it: probes lose it, the traffic leaves, and it is trusted again when the fault is over. */
static void a_region_is_lost_and_comes_back(void **state)
{
    static const enum dp_fault_kind kinds[] = {DP_FAULT_DARK, DP_FAULT_REFUSED, DP_FAULT_FLAKY};
    struct desk *d = *state;
    /* In real time: what a dark region is waited for, once, and what no other may be late for. */
    d->config.probe_timeout_ms = 6000;
    begin(d);
    for (unsigned i = 0; i < DP_ARRAY_LEN(kinds); i++) {
        const uint64_t epoch = d->view->epoch;
        fault(d, "a", kinds[i], 600000);
        assert_int_equal(d->view->faulty, 1);
        assert_int_equal(d->view->faults[0].kind, kinds[i]);
        assert_int_equal(d->view->epoch, epoch); /* no decision, yet */
        assert_int_equal(d->view->active, 0);
        const struct dp_status *s = desk_status(d);
        assert_true(s->regions[0].faulted.on);
        assert_string_equal(s->regions[0].faulted.actor, "ann");
        assert_string_equal(s->regions[0].faulted.reason, "quarterly");
        assert_int_equal(s->regions[0].faulted.until_wall_ms, desk_wall_ms(d) + 600000);
        assert_int_equal(s->regions[0].fault.kind, kinds[i]);
        assert_line(d, "fault", "ann", "quarterly");
        const unsigned asked = d->servers[0].requests;
        desk_await_long(d, "failover:b", i + 1);
        assert_true(d->servers[0].requests <= asked + 1); /* one may have been under way */
        assert_non_null(strstr(desk_status(d)->why, "(a drill)"));
        heal(d, i % 2 ? NULL : "a", 1);
        assert_int_equal(d->view->faulty, 0);
        assert_line(d, "heal", "bob", "");
        desk_await(d, "region_up:a", i + 2);
        assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "a", NULL), DP_REFUSAL_NONE);
    }
}

static void a_slow_region_is_heard_late(void **state)
{
    struct desk *d = *state;
    begin(d);
    fault(d, "a", DP_FAULT_SLOW, 600000);
    const uint64_t ok = desk_status(d)->regions[0].probes.ok;
    while (desk_status(d)->regions[0].probes.ok < ok + 5)
        desk_turn(d, 1);
    assert_true(d->status.regions[0].probes.last_ms >= 10);
    assert_non_null(strstr(d->status.regions[0].probes.last, "heard late (a drill)"));
    assert_int_equal(d->status.regions[0].probes.failed, 0);
}

static void each_ends_by_itself(void **state)
{
    struct desk *d = *state;
    begin(d);
    fault(d, "a", DP_FAULT_DARK, 200);
    desk_await(d, "heal:a", 1);
    assert_line(d, "heal", "ttl", "the time that ann gave it is over");
    assert_int_equal(d->view->faulty, 0);
    assert_false(desk_status(d)->regions[0].faulted.on);
    /* another takes the place of the last one, and its end is its own */
    fault(d, "a", DP_FAULT_SLOW, 200);
    fault(d, "a", DP_FAULT_SLOW, 10000);
    assert_line(d, "heal", "ann", "another one takes its place");
    for (int i = 0; i < 300; i++)
        desk_turn(d, 1);
    assert_int_equal(desk_count(d, "heal:a"), 2);
    assert_int_equal(d->view->faults[0].kind, DP_FAULT_SLOW);
    desk_await_long(d, "heal:a", 3);
}

/* What is for some databases only is told to the workers, and probes know nothing of it. */
static void databases_are_no_matter_of_probes(void **state)
{
    struct desk *d = *state;
    struct dp_fault_request r = {
        .region = "a", .fault = {.kind = DP_FAULT_DARK, .share = 500000}, .for_ms = 600000};
    struct dp_fault_result result;
    begin(d);
    assert_true(dp_fault_add_database(&r.fault, DP_SPAN("orders*")));
    assert_int_equal(dp_governor_fault(d->governor, &r, &result), DP_OK);
    assert_string_equal(d->view->faults[0].databases, "orders*");
    const unsigned asked = d->servers[0].requests;
    while (d->servers[0].requests < asked + 10)
        desk_turn(d, 1);
    assert_int_equal(desk_status(d)->regions[0].probes.failed, 0);
    json_t *line = desk_line(d, "fault", "a");
    assert_string_equal(desk_text(line, "actor"), "operator");
    assert_string_equal(desk_text(line, "fault"), "dark");
    assert_string_equal(desk_text(line, "databases"), "orders*");
    assert_string_equal(desk_text(line, "detail"), "dark, 50 % of attempts, databases orders*");
    assert_true(json_real_value(json_object_get(line, "share")) == 0.5);
    json_decref(line);
}

/* About so many of the probes meet one that is for a share. */
static void a_share_of_the_probes(void **state)
{
    struct desk *d = *state;
    const struct dp_fault_request r = {
        .region = "a", .fault = {.kind = DP_FAULT_REFUSED, .share = 250000}, .for_ms = 600000};
    struct dp_fault_result result;
    begin(d);
    const uint64_t good = desk_status(d)->regions[0].probes.ok;
    assert_int_equal(dp_governor_fault(d->governor, &r, &result), DP_OK);
    while (desk_status(d)->regions[0].probes.ok + d->status.regions[0].probes.failed < good + 200)
        desk_turn(d, 1);
    /* its chance begins with the seed, which is the desk's */
    assert_in_range(d->status.regions[0].probes.failed, 25, 75);
}

static enum dp_err reload(struct desk *d, const struct dp_control_config *c)
{
    static const bool renew[DP_MAX_REGIONS] = {false};
    const struct dp_governor_reload r = {.config = c, .renew = renew, .actor = "ann", .detail = ""};
    return dp_governor_reload(d->governor, &r);
}

static void settle_reload(struct desk *d)
{
    desk_stop(d);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
}

static void a_reload_takes_them_along(void **state)
{
    struct desk *d = *state;
    struct dp_control_config c;
    begin(d);
    c = d->config;
    c.regions[0] = d->config.regions[1];
    c.regions[1] = d->config.regions[0];
    c.endpoints[0].region = 1;
    c.endpoints[1].region = 0;
    fault(d, "a", DP_FAULT_SLOW, 600000);
    assert_int_equal(reload(d, &c), DP_OK);
    assert_int_equal(d->view->faulty, 2);
    assert_int_equal(d->view->faults[1].kind, DP_FAULT_SLOW);
    assert_string_equal(desk_status(d)->regions[1].faulted.actor, "ann");
    assert_int_equal(desk_count(d, "heal:a"), 0);
    struct dp_control_config forbidden = c;
    forbidden.drills_allowed = false;
    assert_int_equal(reload(d, &forbidden), DP_OK);
    assert_int_equal(d->view->faulty, 0);
    assert_false(desk_status(d)->regions[1].faulted.on);
    assert_line(d, "heal", "governor", "drills.allowed is false from now on");
    settle_reload(d);
}

static void a_region_that_leaves_takes_its_own_along(void **state)
{
    struct desk *d = *state;
    struct dp_control_config c;
    begin(d);
    c = d->config;
    c.n_regions = 1;
    c.regions[0] = d->config.regions[1];
    c.endpoints[0] = (struct dp_endpoint_config){.region = DP_NO_REGION};
    c.endpoints[1].region = 0;
    fault(d, "a", DP_FAULT_SLOW, 600000);
    fault(d, "b", DP_FAULT_SLOW, 600000);
    assert_int_equal(reload(d, &c), DP_OK);
    assert_line(d, "heal", "governor", "its region leaves the configuration");
    assert_int_equal(d->view->faulty, 1);
    assert_int_equal(desk_count(d, "heal:b"), 0);
    assert_true(desk_status(d)->regions[0].faulted.on);
    settle_reload(d);
}

/* No restart remembers them; an end in good order says so. */
static void a_restart_forgets_them(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    begin(d);
    fault(d, "a", DP_FAULT_SLOW, 600000);
    desk_stop(d);
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d);
    assert_int_equal(d->view->faulty, 0);
    assert_false(desk_status(d)->regions[0].faulted.on);
    assert_line(d, "heal", "governor", "the proxy stops");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, desk_setup, desk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_may),
        TEST(a_region_is_lost_and_comes_back),
        TEST(a_slow_region_is_heard_late),
        TEST(each_ends_by_itself),
        TEST(databases_are_no_matter_of_probes),
        TEST(a_share_of_the_probes),
        TEST(a_reload_takes_them_along),
        TEST(a_region_that_leaves_takes_its_own_along),
        TEST(a_restart_forgets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
