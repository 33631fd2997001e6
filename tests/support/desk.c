/* The desk of desk.h. */
#include "support/desk.h"

static uint64_t desk_mono_ns(void *ctx)
{
    return ((struct desk *)ctx)->now_ns;
}

int64_t desk_wall_ms(void *ctx)
{
    return INT64_C(1795381384000) + (int64_t)(((struct desk *)ctx)->now_ns / MS);
}

static void desk_publish(void *ctx, struct dp_view *view)
{
    struct desk *d = ctx;
    if (d->view)
        assert_true(view == d->view || view->epoch > d->view->epoch ||
                    (view->epoch == d->view->epoch && view->active == d->view->active));
    dp_view_unref(d->view);
    d->view = dp_view_ref(view);
    d->published++;
}

static void desk_on_gone(void *ctx)
{
    ((struct desk *)ctx)->gone = true;
}

static bool desk_is_gone(void *ctx)
{
    return ((struct desk *)ctx)->gone;
}

int desk_setup(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    dp_log_set_level(DP_LOG_ERROR);
    assert_int_equal(uv_loop_init(&d->loop), 0);
    d->now_ns = 1000 * DP_NS_PER_S;
    d->clock = (struct dp_clock){.mono_ns = desk_mono_ns, .wall_ms = desk_wall_ms, .ctx = d};
    d->config = (struct dp_control_config){.n_regions = 2,
                                           .n_endpoints = 2,
                                           .probe_path = "/_up",
                                           .probe_interval_ms = 20,
                                           .probe_fast_ms = 5,
                                           .probe_timeout_ms = 20000,
                                           .fall = 3,
                                           .rise = 2,
                                           .traffic_failures = 5,
                                           .late_ms = 1000,
                                           .slow_ms = 250,
                                           .failure_window_ms = 5000,
                                           .failure_requests = 20,
                                           .failure_percent = 50,
                                           .sample_ms = 2,
                                           .failback = DP_FAILBACK_HOLD_DOWN,
                                           .failback_hold_ms = 300000,
                                           .retry_after_s = 7};
    static const char *const names[DESK_REGIONS] = {"a", "b", "c"};
    for (size_t i = 0; i < DESK_REGIONS; i++) {
        script_server_start(&d->servers[i], &d->loop);
        d->config.regions[i] =
            (struct dp_region_config){.name = names[i], .first = (uint16_t)i, .n_endpoints = 1};
        d->config.endpoints[i] = (struct dp_endpoint_config){
            .region = (uint16_t)i,
            .host = "region.example:5984",
            .url = script_server_url(&d->servers[i], d->urls[i], sizeof(d->urls[i])),
            .port = d->servers[i].port,
            .addrs = {1, {{.ip = "127.0.0.1", .port = d->servers[i].port}}}};
    }
    for (size_t i = 0; i < 2; i++) {
        d->workers[i] = calloc(1, sizeof(*d->workers[i]));
        assert_non_null(d->workers[i]);
        d->traffic[i] = d->workers[i];
    }
    (void)snprintf(d->dir, sizeof(d->dir), "/tmp/davenport-governor-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    (void)snprintf(d->path, sizeof(d->path), "%s/journal.jsonl", d->dir);
    *state = d;
    return 0;
}

void desk_stop(struct desk *d)
{
    if (!d->governor)
        return;
    d->gone = false;
    dp_governor_destroy(d->governor, desk_on_gone, d);
    d->governor = NULL;
    assert_true(script_run_until(&d->loop, desk_is_gone, d));
}

int desk_teardown(void **state)
{
    struct desk *d = *state;
    desk_stop(d);
    for (size_t i = 0; i < DESK_REGIONS; i++)
        script_server_kill(&d->servers[i]);
    script_loop_finish(&d->loop);
    dp_view_unref(d->view);
    for (size_t i = 0; i < 2; i++)
        free(d->workers[i]);
    (void)unlink(d->path);
    char state_path[128];
    (void)snprintf(state_path, sizeof(state_path), "%s.state", d->path);
    (void)unlink(state_path);
    assert_int_equal(rmdir(d->dir), 0);
    free(d);
    return 0;
}

void desk_make(struct desk *d)
{
    const char *why = NULL;
    const struct dp_governor_options opt = {.loop = &d->loop,
                                            .clock = &d->clock,
                                            .config = &d->config,
                                            .publish = desk_publish,
                                            .publish_ctx = d,
                                            .replication = d->listener,
                                            .seed = 42};
    assert_int_equal(dp_governor_new(&opt, &d->governor, &why), DP_OK);
    assert_non_null(d->governor);
}

void desk_start(struct desk *d)
{
    desk_make(d);
    dp_governor_start(d->governor, d->traffic, 2);
}

void desk_start_well(struct desk *d)
{
    desk_start(d);
    desk_await(d, "region_up:a", 1);
    desk_await(d, "region_up:b", 1);
}

const struct dp_status *desk_status(struct desk *d)
{
    dp_governor_status(d->governor, &d->status);
    return &d->status;
}

enum dp_refusal desk_order(struct desk *d, enum dp_order_kind kind, const char *region,
                           const char *reason)
{
    d->request.kind = kind;
    d->request.region = region;
    d->request.actor = "ann";
    d->request.reason = reason;
    assert_int_equal(dp_governor_order(d->governor, &d->request, &d->result), DP_OK);
    d->request = (struct dp_order_request){0};
    return d->result.refusal;
}

void desk_turn(struct desk *d, uint64_t ms)
{
    d->now_ns += ms * MS;
    (void)uv_run(&d->loop, UV_RUN_ONCE);
}

unsigned desk_count(struct desk *d, const char *event)
{
    struct dp_span lines[256];
    size_t n = dp_governor_events(d->governor, lines, 256);
    unsigned count = 0;
    for (size_t i = 0; i < n; i++) {
        char text[128];
        json_t *doc = json_loadb(lines[i].p, lines[i].n, 0, NULL);
        assert_non_null(doc);
        const char *region = json_string_value(json_object_get(doc, "region"));
        (void)snprintf(text, sizeof(text), "%s:%s",
                       json_string_value(json_object_get(doc, "event")), region ? region : "");
        count += strcmp(text, event) == 0;
        json_decref(doc);
    }
    return count;
}

json_t *desk_line(struct desk *d, const char *event, const char *region)
{
    struct dp_span lines[256];
    size_t n = dp_governor_events(d->governor, lines, 256);
    while (n-- > 0) {
        json_t *doc = json_loadb(lines[n].p, lines[n].n, 0, NULL);
        const char *e = json_string_value(json_object_get(doc, "event"));
        const char *r = json_string_value(json_object_get(doc, "region"));
        if (e && strcmp(e, event) == 0 && r && strcmp(r, region) == 0)
            return doc;
        json_decref(doc);
    }
    return NULL;
}

const char *desk_text(const json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text ? text : "";
}

static bool desk_has_event(void *ctx)
{
    struct desk *d = ctx;
    if (desk_count(d, d->want) >= d->want_count)
        return true;
    d->now_ns += d->step_ms * MS; /* waits are waits of the test's clock too */
    return false;
}

/* What did come, for people. */
static void not_come(struct desk *d, const char *event)
{
    struct dp_span lines[64];
    size_t n = dp_governor_events(d->governor, lines, 64);
    for (size_t i = 0; i < n; i++)
        print_error("%.*s\n", (int)lines[i].n, lines[i].p);
    for (uint16_t i = 0; i < d->config.n_regions; i++)
        print_error("%s: %s, probes %u/%u, last %s\n", d->config.regions[i].name,
                    dp_region_health_name(desk_status(d)->regions[i].health),
                    d->status.regions[i].probes.successes_in_row,
                    d->status.regions[i].probes.failures_in_row, d->status.regions[i].probes.last);
    fail_msg("%s did not come", event);
}

void desk_await(struct desk *d, const char *event, unsigned count)
{
    d->want = event;
    d->want_count = count;
    d->step_ms = 1;
    if (!script_run_until(&d->loop, desk_has_event, d))
        not_come(d, event);
}

void desk_await_long(struct desk *d, const char *event, unsigned count)
{
    d->want = event;
    d->want_count = count;
    d->step_ms = 200;
    if (!script_run_until(&d->loop, desk_has_event, d))
        not_come(d, event);
}

void desk_bad(struct desk *d, size_t worker, size_t endpoint, enum dp_outcome o, uint64_t n)
{
    dp_counter_add(&d->workers[worker]->endpoints[endpoint].outcomes[o], n);
}
