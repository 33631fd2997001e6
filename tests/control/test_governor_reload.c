/* Another configuration for a governor at work: what is known goes on by name, what left is left. */
#include "support/desk.h"

static unsigned released;

static void release(void *ctx)
{
    (void)ctx;
    released++;
}

static enum dp_err reload(struct desk *d, const struct dp_control_config *c)
{
    static const bool renew[DP_MAX_REGIONS] = {false};
    const struct dp_governor_reload order = {.config = c,
                                             .renew = renew,
                                             .release = release,
                                             .actor = "ann",
                                             .detail = "probe.fall: 3 -> 4"};
    return dp_governor_reload(d->governor, &order);
}

static void begin(struct desk *d)
{
    desk_start_well(d);
}

/* d->config with regions given by old number: their endpoints keep theirs, which leaves vacant ones. */
static struct dp_control_config pick(const struct desk *d, const uint16_t *regions, uint16_t n)
{
    struct dp_control_config c = d->config;
    memset(c.endpoints, 0, sizeof(c.endpoints));
    c.n_regions = n;
    c.n_endpoints = 0;
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++)
        c.endpoints[i].region = DP_NO_REGION;
    for (uint16_t i = 0; i < n; i++) {
        uint16_t was = regions[i];
        c.regions[i] = d->config.regions[was];
        c.endpoints[c.regions[i].first] = d->config.endpoints[d->config.regions[was].first];
        c.endpoints[c.regions[i].first].region = i;
        if (c.regions[i].first >= c.n_endpoints)
            c.n_endpoints = (uint16_t)(c.regions[i].first + 1);
    }
    return c;
}

static void what_is_known_goes_on_by_name(void **state)
{
    struct desk *d = *state;
    begin(d);
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "b", "an update"), DP_REFUSAL_NONE);
    int64_t since = desk_status(d)->regions[0].since_wall_ms;
    uint64_t epoch = d->status.epoch;
    const struct dp_control_config c = pick(d, (const uint16_t[]){1, 0}, 2);
    assert_int_equal(reload(d, &c), DP_OK);
    const struct dp_status *s = desk_status(d);
    assert_string_equal(s->regions[0].name, "b");
    assert_string_equal(s->regions[0].drained.reason, "an update");
    assert_string_equal(s->regions[1].name, "a");
    assert_int_equal(s->regions[1].health, DP_REGION_UP);
    assert_int_equal(s->regions[1].since_wall_ms, since);
    assert_int_equal(s->active, 1); /* a, as before */
    assert_true(s->epoch > epoch);
    assert_int_equal(d->view->generation, 1);
    assert_int_equal(d->view->numbering, 1);
    assert_int_equal(d->view->endpoints[0].region, 1); /* its number stayed */
    assert_string_equal(d->view->regions[0].name, "b");
    json_t *line = desk_line(d, "reloaded", "");
    json_decref(line);
    assert_int_equal(desk_count(d, "failover:a") + desk_count(d, "failover:b"), 0);
    /* It still probes, and acts on it. */
    assert_int_equal(desk_order(d, DP_ORDER_RESUME, "b", NULL), DP_REFUSAL_NONE);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->active, 0);
    desk_stop(d);
}

static void a_region_that_leaves_gives_the_traffic_away(void **state)
{
    struct desk *d = *state;
    begin(d);
    const struct dp_control_config without = pick(d, (const uint16_t[]){1}, 1);
    assert_int_equal(reload(d, &without), DP_OK);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->n_regions, 1);
    assert_int_equal(s->active, 0);
    assert_string_equal(s->why, "a was taken out of the configuration");
    assert_int_equal(desk_count(d, "removed:b"), 1);
    assert_int_equal(s->moves[DP_MOVE_REMOVED][DP_MOVE_REASON_RELOAD], 1);
    assert_int_equal(d->view->endpoints[0].region, DP_VIEW_GONE);
    assert_int_equal(d->view->endpoints[0].addrs.n, 0);
    assert_int_equal(d->view->endpoints[1].region, 0);
    /* And comes back as one of which nothing is known. */
    const struct dp_control_config with = pick(d, (const uint16_t[]){0, 1}, 2);
    assert_int_equal(reload(d, &with), DP_OK);
    assert_int_equal(desk_status(d)->regions[0].health, DP_REGION_UNKNOWN);
    assert_int_equal(d->status.active, 1);
    desk_await(d, "region_up:a", 2);
    desk_stop(d);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
}

static void thresholds_change(void **state)
{
    struct desk *d = *state;
    begin(d);
    struct dp_control_config c = pick(d, (const uint16_t[]){0, 1}, 2);
    c.fall = 5;
    c.failback = DP_FAILBACK_MANUAL;
    released = 0;
    assert_int_equal(reload(d, &c), DP_OK);
    script_server_kill(&d->servers[0]);
    desk_await(d, "region_down:a", 1);
    json_t *line = desk_line(d, "region_down", "a");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(line, "inputs"), "threshold")), 5);
    json_decref(line);
    assert_int_equal(desk_status(d)->failback, DP_FAILBACK_MANUAL);
    struct dp_control_config again = c;
    assert_int_equal(reload(d, &again), DP_OK);
    while (released == 0) /* once the old prober is closed */
        desk_turn(d, 1);
    desk_stop(d);
    assert_int_equal(released, 2);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, desk_setup, desk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_known_goes_on_by_name),
        TEST(a_region_that_leaves_gives_the_traffic_away),
        TEST(thresholds_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
