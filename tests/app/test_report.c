/* What the program says of itself: JSON, Prometheus text, and the table a person reads. */
#include "davenport/core/outcome.h"

#include "app/report.h"
#include "app/status_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define NOW INT64_C(1795381200000) /* 2026-11-22T21:00:00Z */
#define S   INT64_C(1000)

static void set_text(char *out, const char *text)
{
    assert_true(snprintf(out, DP_WHY_TEXT, "%s", text) < DP_WHY_TEXT);
}

static const struct dp_control_config plain = {.n_regions = 2};

/* Two regions, a minute after a failover from the first to the second. */
static struct dp_report sample(void)
{
    struct dp_report r = {
        .version = "1.2.3",
        .listen = "127.0.0.1:8984",
        .admin = "127.0.0.1:8985",
        .pid = 42,
        .n_workers = 2,
        .now_wall_ms = NOW,
        .started_wall_ms = NOW - 7500 * S,
        .hold_down_ms = 300000,
        .cpu_s = 1.5,
        .resident_bytes = 1048576,
        .open_fds = 17,
        .max_fds = 1024,
    };
    struct dp_status *s = &r.status;
    s->epoch = 7;
    s->config = &plain;
    s->regions[0].share = s->regions[1].share = 100;
    s->n_regions = 2;
    s->active = 1;
    s->active_since_wall_ms = NOW - 61 * S;
    set_text(s->why, "eu-de is down: 3 probes in a row failed");
    s->failback = DP_FAILBACK_HOLD_DOWN;
    s->failback_to = DP_NO_REGION;
    s->ramp_from = DP_NO_REGION;
    s->share_percent = 100;
    s->failback_at_wall_ms = NOW + 252 * S;
    s->failovers = 1;

    struct dp_region_status *a = &s->regions[0];
    a->name = "eu-de";
    a->url = "http://a:5984";
    a->health = DP_REGION_UP;
    a->held_down = true;
    a->since_wall_ms = NOW - 48 * S;
    set_text(a->why, "2 probes in a row passed");
    a->last_probe_wall_ms = NOW - S;
    a->last_probe_status = 200;
    set_text(a->last_probe, "200 in 2.0 ms");
    a->probe_ms = 2;
    a->latency_ms = -1;
    a->probes_ok = 40;
    a->probes_failed = 3;
    a->probe_successes_in_row = 9;

    struct dp_region_status *b = &s->regions[1];
    b->name = "us-south";
    b->url = "http://b:5984";
    b->health = DP_REGION_UP;
    b->active = true;
    b->since_wall_ms = NOW - 7500 * S;
    set_text(b->why, "1 probe passed");
    b->probe_ms = -1;
    b->latency_ms = 12.25;
    b->outcomes[DP_OUTCOME_ANSWERED] = 1200;
    b->outcomes[DP_OUTCOME_SERVER_ERROR] = 3;
    b->outcomes[DP_OUTCOME_THROTTLED] = 5;
    b->in_flight = 4;

    r.totals[DP_TOTAL_requests] = 1204;
    r.latency[1].buckets[0] = 10;
    r.latency[1].buckets[4] = 5;
    r.latency[1].buckets[DP_LATENCY_BUCKETS - 1] = 1;
    r.latency[1].sum_ns = UINT64_C(12500000000);
    return r;
}

static json_t *status_of(const struct dp_report *r)
{
    struct dp_text text = {0};
    dp_report_json(r, &text);
    assert_false(text.failed);
    json_t *status = json_loads(dp_text_str(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(status);
    dp_text_fini(&text);
    return status;
}

static void assert_table(const struct dp_report *r, bool colour, const char *expected)
{
    struct dp_text text = {0};
    json_t *status = status_of(r);
    dp_status_text(status, colour, &text);
    assert_string_equal(dp_text_str(&text), expected);
    dp_text_fini(&text);
    json_decref(status);
}

static void test_json(void **state)
{
    struct dp_report r = sample();
    json_t *status = status_of(&r);
    const json_t *region = json_array_get(json_object_get(status, "regions"), 1);
    (void)state;
    assert_string_equal(json_string_value(json_object_get(status, "active")), "us-south");
    assert_string_equal(json_string_value(json_object_get(status, "now")),
                        "2026-11-22T21:00:00.000Z");
    assert_string_equal(json_string_value(json_object_get(status, "failback_at")),
                        "2026-11-22T21:04:12.000Z");
    assert_true(json_is_true(json_object_get(status, "ready")));
    assert_int_equal(json_integer_value(json_object_get(region, "attempts")), 1208);
    assert_int_equal(json_integer_value(json_object_get(region, "failures")), 3);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(region, "outcomes"), "throttled")), 5);
    assert_true(json_is_null(json_object_get(region, "last_probe_at")));
    assert_true(json_is_null(json_object_get(region, "probe_ms")));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(status, "totals"), "requests")), 1204);
    json_decref(status);
}

/* The second region's address comes from a name, whose last lookup failed. */
static struct dp_report named_sample(void)
{
    struct dp_report r = sample();
    struct dp_region_status *b = &r.status.regions[1];
    assert_true(dp_addrs_add(&b->addrs, "2001:db8::1", 443));
    assert_true(dp_addrs_add(&b->addrs, "192.0.2.1", 443));
    b->addrs_used = 2;
    b->lookup = (struct dp_lookup_status){
        .host = "b", .ok = 12, .failed = 3, .last_wall_ms = NOW - S, .good_wall_ms = NOW - 90 * S};
    set_text(b->lookup.why, "temporary failure");
    return r;
}

static void test_addresses(void **state)
{
    struct dp_report r = named_sample();
    struct dp_text text = {0};
    json_t *status = status_of(&r);
    const json_t *regions = json_object_get(status, "regions");
    json_t *expected = json_loads(
        "{\"addresses\":[{\"ip\":\"2001:db8::1\",\"used\":false},"
        "{\"ip\":\"192.0.2.1\",\"used\":true}],"
        "\"lookup\":{\"host\":\"b\",\"failing\":true,\"why\":\"temporary failure\","
        "\"last_at\":\"2026-11-22T20:59:59.000Z\",\"good_at\":\"2026-11-22T20:58:30.000Z\","
        "\"good_age_s\":90.0,\"ok\":12,\"failed\":3}}",
        0, NULL);
    (void)state;
    assert_non_null(expected);
    const char *key;
    json_t *value;
    json_object_foreach (expected, key, value)
        assert_true(json_equal(value, json_object_get(json_array_get(regions, 1), key)));
    assert_true(json_is_null(json_object_get(json_array_get(regions, 0), "lookup")));
    json_decref(expected);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\nAddresses of us-south: 2001:db8::1, 192.0.2.1 (used); b does not "
                           "resolve (temporary failure), last did 1 min 30 s ago\n"));
    assert_null(strstr(dp_text_str(&text), "Addresses of eu-de"));
    json_decref(status);
    r.status.regions[1].lookup.why[0] = '\0';
    status = status_of(&r);
    dp_text_clear(&text);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text), "192.0.2.1 (used); b looked up 1 min 30 s ago\n"));
    json_decref(status);
    r.status.regions[1].addrs.n = 0;
    r.status.regions[1].lookup.good_wall_ms = 0;
    set_text(r.status.regions[1].lookup.why, "unknown node or service");
    status = status_of(&r);
    dp_text_clear(&text);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\nAddresses of us-south: none; b does not resolve (unknown node or "
                           "service), last did before the start, or never\n"));
    json_decref(status);
    dp_text_fini(&text);
}

/* Which of a region's addresses the workers use is found by the tags that they count. */
static void test_addresses_in_use(void **state)
{
    struct dp_report r = named_sample();
    struct dp_traffic *traffic = calloc(1, sizeof *traffic);
    struct dp_view *view = dp_view_new();
    (void)state;
    assert_non_null(traffic);
    view->n_regions = view->n_endpoints = 2;
    view->endpoints[1].region = 1;
    r.status.regions[1].addrs_used = 0;
    dp_report_add_traffic(&r, traffic, view);
    assert_int_equal(r.status.regions[1].addrs_used, 0);
    dp_counter_set(&traffic->endpoints[1].address, dp_addr_tag(&r.status.regions[1].addrs.at[1]));
    dp_report_add_traffic(&r, traffic, view);
    assert_int_equal(r.status.regions[1].addrs_used, 2);
    dp_counter_set(&traffic->endpoints[1].address, dp_addr_tag(&r.status.regions[1].addrs.at[0]));
    dp_report_add_traffic(&r, traffic, view); /* another worker */
    assert_int_equal(r.status.regions[1].addrs_used, 3);
    dp_view_unref(view);
    free(traffic);
}

static void test_lookup_metrics(void **state)
{
    struct dp_report r = named_sample();
    struct dp_text text = {0};
    (void)state;
    dp_report_metrics(&r, &text);
    static const char *const expected[] = {
        "counter\ndavenport_region_lookups_total{region=\"us-south\",result=\"ok\"} 12\n"
        "davenport_region_lookups_total{region=\"us-south\",result=\"failed\"} 3\n#",
        "gauge\ndavenport_region_lookup_failing{region=\"us-south\"} 1\n#",
        "gauge\ndavenport_region_lookup_age_seconds{region=\"us-south\"} 90\n#",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(expected); i++)
        assert_non_null(strstr(dp_text_str(&text), expected[i]));
    dp_text_fini(&text);
}

/* A sentence that was cut inside a character. */
static void test_json_of_a_cut_sentence(void **state)
{
    struct dp_report r = sample();
    (void)state;
    set_text(r.status.why, "down\xe2\x80");
    json_t *status = status_of(&r);
    assert_string_equal(json_string_value(json_object_get(status, "why")), "down");
    json_decref(status);
}

static void test_ready(void **state)
{
    struct dp_report r = sample();
    const char *why = NULL;
    (void)state;
    assert_true(dp_report_ready(&r, &why));
    r.status.active = DP_NO_REGION;
    assert_false(dp_report_ready(&r, &why));
    assert_string_equal(why, "no region can take requests");
    r = sample();
    r.draining = true;
    assert_false(dp_report_ready(&r, &why));
    assert_string_equal(why, "this proxy is shutting down");
}

static void test_table(void **state)
{
    struct dp_report r = sample();
    (void)state;
    assert_table(
        &r, false,
        "davenport 1.2.3 on http://127.0.0.1:8984, up 2 h 5 min, pid 42\n"
        "\n"
        "  REGION    STATE     FOR        LATENCY  REQUESTS  FAILED  WHY\n"
        "  eu-de     up, held  48 s             -         0       0  "
        "2 probes in a row passed\n"
        "> us-south  up        2 h 5 min  12.2 ms      1208       3  1 probe passed\n"
        "\n"
        "Traffic goes to us-south (for 1 min 1 s): eu-de is down: 3 probes in a row failed\n"
        "Failback: in 4 min 12 s, if the preferred region stays well\n"
        "Epoch: 7\n");
}

static void test_table_without_a_region(void **state)
{
    struct dp_report r = sample();
    (void)state;
    r.status.active = DP_NO_REGION;
    r.status.failback = DP_FAILBACK_MANUAL;
    r.status.failback_at_wall_ms = 0;
    r.draining = true;
    r.status.n_regions = 1;
    r.status.regions[0].health = DP_REGION_DOWN;
    r.status.regions[0].held_down = false;
    assert_table(&r, true,
                 "\033[1mdavenport 1.2.3\033[0m on http://127.0.0.1:8984, up 2 h 5 min, pid 42, "
                 "shutting down\n"
                 "\n"
                 "\033[2m  REGION  STATE  FOR   LATENCY  REQUESTS  FAILED  WHY\033[0m\n"
                 "  eu-de   \033[31mdown\033[0m   48 s        -         0       0  "
                 "2 probes in a row passed\n"
                 "\n"
                 "\033[31mTraffic goes nowhere\033[0m (for 1 min 1 s): eu-de is down: 3 probes in "
                 "a row failed\n"
                 "Failback: by an operator only (davenport switch)\n"
                 "Epoch: 7\n");
}

static void test_failback_lines(void **state)
{
    struct dp_report r = sample();
    struct dp_text text = {0};
    (void)state;
    r.status.failback_at_wall_ms = 0;
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text), "\nFailback: after a preferred region was well for 5 min\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.regions[0].hold_ms = 600000; /* it fell twice */
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text), "\nFailback: after a preferred region was well for 10 min\n"));
    json_decref(status);
    dp_text_clear(&text);
    static const struct {
        enum dp_failback mode;
        const char *line;
    } modes[] = {
        {DP_FAILBACK_GATED,
         "\nFailback: after a preferred region was well for 10 min, when its gate opens\n"},
        {DP_FAILBACK_WINDOW,
         "\nFailback: after a preferred region was well for 10 min, in a window\n"},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(modes); i++) {
        r.status.failback = modes[i].mode;
        status = status_of(&r);
        dp_status_text(status, false, &text);
        assert_non_null(strstr(dp_text_str(&text), modes[i].line));
        json_decref(status);
        dp_text_clear(&text);
    }
    r.status.pin.on = true;
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text), "\nFailback: none, an operator chose this region"));
    json_decref(status);
    dp_text_fini(&text);
}

/* What was late speaks against a region, whatever became of it. */
static void test_late_requests_are_failures(void **state)
{
    static const struct {
        uint64_t late;
        const char *cells;
    } rows[] = {{0, "1208       3 "}, {6, "1208       9 "}, {5000, "1208    1208 "}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_report r = sample();
        struct dp_text text = {0};
        r.status.regions[1].late = rows[i].late;
        json_t *status = status_of(&r);
        dp_status_text(status, false, &text);
        assert_non_null(strstr(dp_text_str(&text), rows[i].cells));
        json_decref(status);
        dp_text_fini(&text);
    }
}

/* Only regions that take reads are called near; and whether writes have a place. */
static void test_mode_line(void **state)
{
    struct dp_report r = sample();
    struct dp_text text = {0};
    struct dp_control_config config = plain;
    (void)state;
    config.mode = DP_MODE_WRITE_PRIMARY;
    config.nearest = true;
    r.status.config = &config;
    r.status.regions[0].held_down = false;
    for (unsigned i = 0; i < 2; i++) {
        r.status.regions[i].near_workers = 1;
        r.status.regions[i].distance_ms = 3;
    }
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\nMode: write-primary; nearest: eu-de (3.0 ms), us-south (3.0 ms); "
                           "writes only in eu-de\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.regions[0].health = DP_REGION_DOWN;
    r.status.regions[0].route = DP_ROUTE_DOWN;
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text),
               "\nMode: write-primary; nearest: us-south (3.0 ms); writes only in eu-de, "
               "which takes none now (503)\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.regions[1].held_down = true;
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "nearest: none that is settled; whichever is left; writes only in "));
    json_decref(status);
    dp_text_fini(&text);
}

/* What answers on the admin port need not be this program: nothing it says can move the cursor, or crash. */
static void test_hostile_status(void **state)
{
    static const char *const answers[] = {
        "{}",
        "[]",
        "{\"regions\":7,\"pid\":\"x\",\"active\":\"\\u001b[2J\\u009b\\u0000\"}",
        "{\"regions\":[1,null,{}],\"active\":\"\\u001b]0;x\\u0007\\r\\u007f\",\"uptime_s\":1e300}",
        "{\"regions\":[{\"name\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaa\",\"health\":\"\\u001b[31m\",\"for_s\":-1e300,\"latency_ms\":1e308}]}",
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(answers); i++) {
        struct dp_text text = {0};
        json_t *status = json_loads(answers[i], JSON_ALLOW_NUL, NULL);
        assert_non_null(status);
        dp_status_text(status, false, &text);
        dp_event_text(status, false, &text);
        dp_explain_text(status, false, &text);
        dp_order_text(status, false, &text);
        for (size_t j = 0; j < text.n; j++) {
            unsigned char c = (unsigned char)text.p[j];
            assert_true(c == '\n' || (c >= ' ' && c != 127));
            assert_false(c == 0xC2 && (unsigned char)text.p[j + 1] < 0xA0);
        }
        dp_text_fini(&text);
        json_decref(status);
    }
}

static void test_durations(void **state)
{
    static const struct {
        double seconds;
        const char *text;
    } rows[] = {
        {-5, "0 s"},          {0.4, "0 s"},
        {59.9, "59 s"},       {60, "1 min"},
        {125, "2 min 5 s"},   {3599, "59 min 59 s"},
        {3600, "1 h"},        {3661, "1 h 1 min"},
        {86400 * 2.0, "2 d"}, {86400 + 7200, "1 d 2 h"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char text[64];
        dp_duration_text(rows[i].seconds, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

/* The thresholds behind the sample. */
static const struct dp_control_config thresholds = {.n_regions = 2,
                                                    .fall = 3,
                                                    .rise = 2,
                                                    .traffic_failures = 5,
                                                    .failure_requests = 20,
                                                    .failure_percent = 50,
                                                    .failback_hold_ms = 300000,
                                                    .min_regions = 1};

static struct dp_standing standing(const char *actor, const char *reason, int64_t since_s,
                                   int64_t left_s)
{
    struct dp_standing s = {.on = true, .since_wall_ms = NOW - since_s * S};
    s.until_wall_ms = left_s ? NOW + left_s * S : 0;
    assert_true(snprintf(s.actor, sizeof s.actor, "%s", actor) > 0);
    assert_true(snprintf(s.reason, sizeof s.reason, "%s", reason) >= 0);
    return s;
}

static struct dp_report explained(void)
{
    struct dp_report r = sample();
    r.status.config = &thresholds;
    r.status.journal.file = true;
    r.status.serving = 2;
    r.status.heir = 0;
    r.status.failback_to = 0;
    r.status.regions[0].lost_data = true;
    r.status.regions[0].well_for_ms = 48000;
    r.status.regions[0].hold_ms = 300000;
    r.status.regions[1].unanswered = 2;
    r.status.regions[1].window_bad = 6;
    r.status.regions[1].window_good = 34;
    return r;
}

static void assert_explained(const struct dp_report *r, const char *expected)
{
    struct dp_text json = {0};
    struct dp_text text = {0};
    dp_report_explain(r, &json);
    json_t *doc = json_loads(dp_text_str(&json), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(doc);
    dp_explain_text(doc, false, &text);
    assert_string_equal(dp_text_str(&text), expected);
    json_decref(doc);
    dp_text_fini(&json);
    dp_text_fini(&text);
}

static void test_explain(void **state)
{
    struct dp_report r = explained();
    (void)state;
    assert_explained(
        &r,
        "Now (epoch 7)\n"
        "  traffic goes to us-south (for 1 min 1 s): eu-de is down: 3 probes in a row failed\n"
        "  if us-south is lost, eu-de takes over (it was away and may lack data)\n"
        "  eu-de takes the traffic back in 4 min 12 s if it stays well\n"
        "\n"
        "  eu-de  up, held\n"
        "    held: it was away and may lack data, so it takes only what fails in the active "
        "region\n"
        "    up for 48 s: 2 probes in a row passed\n"
        "    settled in 4 min 12 s if it stays well\n"
        "    down after 3 failed probes in a row (now 0) or 5 requests in a row without an answer "
        "(now 0)\n"
        "    last probe 1 s ago: 200 in 2.0 ms\n"
        "\n"
        "> us-south  up\n"
        "    takes the traffic\n"
        "    up for 2 h 5 min: 1 probe passed\n"
        "    down after 3 failed probes in a row (now 0) or 5 requests in a row without an answer "
        "(now 2)\n"
        "    6 of the last 40 requests (15 %) got no answer; down at 50 %\n");
}

/* Of a region whose probes never failed: what it waits for, and how long. */
static void test_explain_a_fall_that_no_probe_saw(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    struct dp_control_config config = thresholds;
    (void)state;
    config.trial_requests = 5;
    r.status.config = &config;
    r.status.regions[0].health = DP_REGION_DOWN;
    r.status.regions[0].tried_in_ms = 2300;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "its probes pass, but did not see why it fell: it is tried "
                           "with a few reads in 2.3 s at the earliest"));
    assert_null(strstr(dp_text_str(&text), "good probes in a row"));
    dp_text_fini(&text);
}

static void test_explain_held_requests(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    (void)state;
    r.totals[DP_TOTAL_held] = 12;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\"12 requests wait for a region that can take them (hold.ms)\""));
    dp_text_clear(&text);
    r.totals[DP_TOTAL_held] = 1;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text), "\"1 request waits for a region that can take it"));
    dp_text_fini(&text);
}

/* Why it waits, condition by condition; what doubled its hold. */
static void test_explain_gate(void **state)
{
    struct dp_report r = explained();
    (void)state;
    r.status.failback = DP_FAILBACK_GATED;
    r.status.failback_at_wall_ms = 0;
    r.status.regions[0].falls = 3;
    r.status.regions[0].hold_ms = 1200000;
    r.status.regions[0].gate = (struct dp_gate){
        .n = 2,
        .conditions = {{DP_GATE_HEALTH, DP_GATE_UNMET, "well for 48 s without a break, of 1200 s"},
                       {DP_GATE_APPROVAL, DP_GATE_UNKNOWN, "nobody was asked"}}};
    r.status.regions[0].approved = standing("ann", "compared", 60, 60);
    r.status.no_region = DP_NO_REGION_PRIMARY;
    r.status.heir = DP_NO_REGION;
    struct dp_text text = {0};
    dp_report_explain(&r, &text);
    static const char *const says[] = {
        "eu-de takes the traffic back when its gate opens",
        "its gate: health is unmet: well for 48 s without a break, of 1200 s",
        "its gate: approval is unknown: nobody was asked",
        "lost 3 times since it was last well for long: its hold is 20 min",
        "if every region is lost, traffic goes to eu-de (no_region.policy primary)",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(says); i++) {
        assert_non_null(strstr(dp_text_str(&text), says[i]));
    }
    dp_text_clear(&text);
    json_t *status = status_of(&r);
    const json_t *gate =
        json_object_get(json_array_get(json_object_get(status, "regions"), 0), "gate");
    assert_int_equal(json_array_size(gate), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(gate, 1), "state")),
                        "unknown");
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "Approved: eu-de by ann, 1 min ago, for 1 min more: compared\n"
                           "Failback: to eu-de when its gate opens\n"
                           "  health is unmet: well for 48 s without a break, of 1200 s\n"
                           "  approval is unknown: nobody was asked\n"));
    json_decref(status);
    dp_text_fini(&text);
}

static void test_ramp_and_fail_open(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    (void)state;
    r.status.ramp_from = 0;
    r.status.share_percent = 35;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "it takes 35 % of the reads so far, since it has just "
                           "returned; "
                           "the rest goes to eu-de"));
    dp_text_clear(&text);
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(
        dp_text_str(&text),
        "It has just returned and takes 35 % of the reads so far; the rest goes to eu-de\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.ramp_from = DP_NO_REGION;
    r.status.fail_open = true;
    r.status.no_region = DP_NO_REGION_LAST_GOOD;
    r.status.regions[1].health = DP_REGION_DOWN;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text), "us-south is down and keeps the traffic all the "
                                               "same: every region is lost"));
    dp_text_clear(&text);
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text), "Every region is lost: it is used all the same "
                                               "(no_region.policy last_good)\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.moves[DP_MOVE_FAILBACK][DP_MOVE_REASON_GATED] = 3;
    dp_report_metrics(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "davenport_moves_total{move=\"failback\",reason=\"gated\"} 3\n"));
    assert_non_null(strstr(dp_text_str(&text), "davenport_fail_open 1\n"));
    dp_text_fini(&text);
}

/* A reload leaves a number vacant for a while: nothing is told of it. */
static void test_a_vacant_endpoint(void **state)
{
    struct dp_report r = explained();
    struct dp_text with = {0};
    struct dp_text without = {0};
    (void)state;
    dp_report_explain(&r, &without);
    dp_report_json(&r, &without);
    r.status.endpoints[r.status.n_endpoints].region = DP_NO_REGION;
    r.status.n_endpoints++;
    dp_report_explain(&r, &with);
    dp_report_json(&r, &with);
    assert_string_equal(dp_text_str(&with), dp_text_str(&without));
    dp_text_clear(&with);
    dp_report_metrics(&r, &with);
    assert_null(strstr(dp_text_str(&with), "(null)"));
    dp_text_fini(&with);
    dp_text_fini(&without);
}

static void test_explain_orders(void **state)
{
    struct dp_report r = explained();
    (void)state;
    r.status.frozen = standing("ann (uid 1)", "a deploy", 60, 540);
    r.status.regions[0].drained = standing("bob (loopback)", "", 3600, 0);
    r.status.regions[0].held_down = false;
    r.status.regions[0].route = DP_ROUTE_BARRED;
    r.status.regions[1].health = DP_REGION_DOWN;
    r.status.regions[1].probe_successes_in_row = 1;
    r.status.heir = r.status.failback_to = DP_NO_REGION;
    r.status.failback_at_wall_ms = 0;
    r.status.serving = 0;
    r.status.dwell_left_ms = 2600;
    r.status.journal.file = false;
    struct dp_text json = {0};
    struct dp_report other = r;
    other.status.heir = 0;
    dp_report_explain(&other, &json);
    assert_non_null(
        strstr(dp_text_str(&json), "\"the way out: davenport switch eu-de (it was away"));
    dp_text_fini(&json);
    assert_explained(
        &r,
        "Now (epoch 7)\n"
        "  traffic goes to us-south (for 1 min 1 s): eu-de is down: 3 probes in a row failed\n"
        "  us-south is down and keeps the traffic all the same: it is frozen there\n"
        "  frozen by ann (uid 1), 1 min ago, for 9 min more: a deploy\n"
        "  nothing moves by itself, not even away from a dead region (davenport unfreeze)\n"
        "  eu-de is drained by bob (loopback), 1 h ago, until an operator ends it\n"
        "  if us-south is lost, no region can take over\n"
        "  if every region is lost, applications get 503 (no_region.policy 503)\n"
        "  the last move is young: for 2.6 s a switch needs --force\n"
        "  0 regions are known to serve, and safety.min_regions is 1: none of them is drained "
        "without --force\n"
        "  there is no journal.path: a restart forgets orders and history\n"
        "\n"
        "  eu-de  up, drained\n"
        "    takes nothing, not even as a last resort: drained (davenport resume eu-de)\n"
        "    up for 48 s: 2 probes in a row passed\n"
        "    down after 3 failed probes in a row (now 0) or 5 requests in a row without an answer "
        "(now 0)\n"
        "    last probe 1 s ago: 200 in 2.0 ms\n"
        "\n"
        "> us-south  down\n"
        "    takes the traffic\n"
        "    down for 2 h 5 min: 1 probe passed\n"
        "    1 of 2 good probes in a row until it is trusted\n");
}

static void test_standing_orders_in_the_table(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    (void)state;
    r.status.frozen = standing("ann (uid 1)", "a deploy", 60, 540);
    r.status.pin = standing("bob", "", 5, 0);
    r.status.regions[1].health = DP_REGION_DOWN;
    r.status.regions[0].drained = standing("bob", "broken", 7, 0);
    r.status.journal.troubled = true;
    r.status.journal.waiting = 3;
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text),
               "Frozen by ann (uid 1), 1 min ago, for 9 min more: a deploy\n"
               "Pinned by bob, 5 s ago\n"
               "Drained: eu-de by bob, 7 s ago: broken\n"
               "Journal: its disk refuses it, 3 lines wait; a restart would forget them\n"
               "Failback: none while frozen, and no failover (davenport unfreeze)\n"));
    json_decref(status);
    dp_text_fini(&text);
}

static void test_order_text(void **state)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"{\"order\":\"drain\",\"region\":\"a\",\"dry_run\":false,\"refused\":null,\"overridden\":["
         "\"dwell\"],"
         "\"reason\":\"because\",\"epoch\":8,\"before\":{\"active\":\"a\",\"frozen\":false,"
         "\"pinned\":true,"
         "\"regions\":[{\"name\":\"a\",\"route\":\"ok\"}]},\"after\":{\"active\":\"b\",\"frozen\":"
         "true,"
         "\"pinned\":false,\"regions\":[{\"name\":\"a\",\"route\":\"barred\",\"drained\":true}]},"
         "\"kept\":\"memory\"}",
         "drain a: done (epoch 8)\n"
         "  traffic        a -> b\n"
         "  moves          by themselves -> frozen\n"
         "  pinned         yes -> no\n"
         "  a              ok -> barred, drained\n"
         "  forced, although because\n"
         "  a restart forgets it: there is no journal.path\n"},
        {"{\"order\":\"unfreeze\",\"region\":null,\"dry_run\":true,\"refused\":null,\"epoch\":8}",
         "dry run: unfreeze: would do this (epoch 8)\n  nothing changes but its record\n"},
        {"{\"order\":\"switch\",\"region\":\"a\",\"dry_run\":true,\"refused\":\"dwell\",\"reason\":"
         "\"young\"}",
         "dry run: switch a: would be refused (dwell): young\n"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_text text = {0};
        json_t *order = json_loads(rows[i].json, 0, NULL);
        assert_non_null(order);
        dp_order_text(order, false, &text);
        assert_string_equal(dp_text_str(&text), rows[i].text);
        json_decref(order);
        dp_text_fini(&text);
    }
}

static void test_event_lines(void **state)
{
    struct dp_text text = {0};
    json_t *event = json_loads(
        "{\"ts\":\"T\",\"epoch\":2,\"event\":\"failover\",\"region\":\"b\",\"before\":\"a\","
        "\"after\":\"b\",\"reason\":\"a is down\"}",
        0, NULL);
    (void)state;
    dp_event_text(event, false, &text);
    assert_string_equal(dp_text_str(&text), "T  failover     b (a -> b): a is down\n");
    json_decref(event);
    dp_text_clear(&text);
    event = json_loads(
        "{\"ts\":\"T\",\"event\":\"freeze\",\"region\":\"b\",\"before\":\"b\",\"after\":\"b\","
        "\"actor\":\"ann\",\"until\":\"U\",\"reason\":\"\"}",
        0, NULL);
    dp_event_text(event, false, &text);
    assert_string_equal(dp_text_str(&text), "T  freeze       by ann until U\n");
    json_decref(event);
    dp_text_fini(&text);
}

static void test_metrics(void **state)
{
    static const char *const expected[] = {
        "# HELP davenport_build_info Always 1; the version is the label.\n"
        "# TYPE davenport_build_info gauge\n"
        "davenport_build_info{version=\"1.2.3\"} 1\n",
        "\ndavenport_epoch 7\n",
        "\ndavenport_ready 1\n",
        "\n# TYPE davenport_failovers_total counter\ndavenport_failovers_total 1\n",
        "\n# TYPE davenport_client_requests_total counter\ndavenport_client_requests_total 1204\n",
        "\n# TYPE davenport_client_connections_open gauge\n",
        "\n# TYPE davenport_region_state gauge\n"
        "davenport_region_state{region=\"eu-de\",state=\"unknown\"} 0\n"
        "davenport_region_state{region=\"eu-de\",state=\"up\"} 1\n"
        "davenport_region_state{region=\"eu-de\",state=\"suspect\"} 0\n"
        "davenport_region_state{region=\"eu-de\",state=\"down\"} 0\n",
        "\ndavenport_region_active{region=\"eu-de\"} "
        "0\ndavenport_region_active{region=\"us-south\"} "
        "1\n",
        "\ndavenport_region_held_down{region=\"eu-de\"} 1\n",
        "\ndavenport_region_attempts_in_flight{region=\"us-south\"} 4\n",
        "\ndavenport_region_attempts_total{region=\"us-south\",outcome=\"answered\"} 1200\n",
        "\ndavenport_region_probes_total{region=\"eu-de\",result=\"ok\"} 40\n"
        "davenport_region_probes_total{region=\"eu-de\",result=\"failed\"} 3\n",
        /* None yet: no line. */
        "in seconds.\n# TYPE davenport_region_last_probe_duration_seconds gauge\n"
        "davenport_region_last_probe_duration_seconds{region=\"eu-de\"} 0.002\n# HELP",
        "\ndavenport_region_latency_seconds{region=\"us-south\"} 0.01225\n",
        "\ndavenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"0.001\"} 10\n",
        "\ndavenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"0.025\"} 15\n",
        "\ndavenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"10\"} 15\n"
        "davenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"+Inf\"} 16\n"
        "davenport_region_first_byte_seconds_sum{region=\"us-south\"} 12.5\n"
        "davenport_region_first_byte_seconds_count{region=\"us-south\"} 16\n",
        "\nprocess_start_time_seconds 1795373700\n",
        "\nprocess_cpu_seconds_total 1.5\n",
    };
    struct dp_report r = sample();
    struct dp_text text = {0};
    (void)state;
    dp_report_metrics(&r, &text);
    assert_false(text.failed);
    for (size_t i = 0; i < DP_ARRAY_LEN(expected); i++) {
        if (!strstr(dp_text_str(&text), expected[i])) {
            fail_msg("not in the metrics: %s", expected[i]);
        }
    }
    dp_text_fini(&text);
}

/* Every sample belongs to the family named just above it, and no family comes twice. */
static void test_metrics_have_families(void **state)
{
    struct dp_report r = sample();
    struct dp_text text = {0};
    char seen[160][80];
    size_t n_seen = 0;
    (void)state;
    dp_report_metrics(&r, &text);
    struct dp_span rest = dp_text_span(&text);
    while (rest.p) {
        struct dp_span line = dp_span_cut(&rest, '\n');
        if (dp_span_starts(line, DP_SPAN("# HELP "))) {
            struct dp_span words = {line.p + 7, line.n - 7};
            struct dp_span name = dp_span_cut(&words, ' ');
            assert_true(name.n < sizeof seen[0] && n_seen < DP_ARRAY_LEN(seen));
            memcpy(seen[n_seen], name.p, name.n);
            seen[n_seen][name.n] = '\0';
            for (size_t i = 0; i < n_seen; i++) {
                assert_string_not_equal(seen[i], seen[n_seen]);
            }
            n_seen++;
        } else if (line.n && line.p[0] != '#') {
            assert_true(n_seen > 0);
            assert_true(dp_span_starts(line, dp_span_str(seen[n_seen - 1])));
        }
    }
    assert_true(n_seen > 30);
    dp_text_fini(&text);
}

/* Counters of two workers, one region each endpoint; what the governor sampled is replaced. */
static void test_collecting(void **state)
{
    struct dp_report r = {0};
    struct dp_status status = sample().status;
    struct dp_traffic *traffic = calloc(2, sizeof *traffic);
    struct dp_view *view = dp_view_new();
    (void)state;
    assert_non_null(traffic);
    view->n_endpoints = 2;
    view->endpoints[0].region = 1;
    view->endpoints[1].region = 0;
    dp_counter_add(&traffic[0].endpoints[0].outcomes[DP_OUTCOME_ANSWERED], 5);
    dp_counter_add(&traffic[1].endpoints[0].outcomes[DP_OUTCOME_ANSWERED], 6);
    dp_counter_add(&traffic[1].endpoints[1].in_flight, 2);
    dp_counter_add(&traffic[0].endpoints[0].first_byte[3], 5);
    dp_counter_add(&traffic[0].endpoints[0].first_byte_ns, 700);
    dp_counter_add(&traffic[0].retries, 1);
    dp_counter_add(&traffic[1].retries, 2);
    dp_report_set_status(&r, &status);
    dp_report_add_traffic(&r, &traffic[0], view);
    dp_report_add_traffic(&r, &traffic[1], view);
    assert_int_equal(r.status.regions[1].outcomes[DP_OUTCOME_ANSWERED], 11);
    assert_int_equal(r.status.regions[1].outcomes[DP_OUTCOME_SERVER_ERROR], 0);
    assert_int_equal(r.status.regions[0].in_flight, 2);
    assert_int_equal(r.latency[1].buckets[3], 5);
    assert_int_equal(r.latency[1].sum_ns, 700);
    assert_int_equal(r.totals[DP_TOTAL_retries], 3);
    dp_report_add_process(&r);
    assert_true(r.pid > 0 && r.resident_bytes > 0 && r.open_fds >= 3 && r.max_fds > 0);
    dp_view_unref(view);
    free(traffic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_in_use),
        cmocka_unit_test(test_lookup_metrics),
        cmocka_unit_test(test_json_of_a_cut_sentence),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_without_a_region),
        cmocka_unit_test(test_failback_lines),
        cmocka_unit_test(test_late_requests_are_failures),
        cmocka_unit_test(test_mode_line),
        cmocka_unit_test(test_hostile_status),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_explain_a_fall_that_no_probe_saw),
        cmocka_unit_test(test_explain_held_requests),
        cmocka_unit_test(test_explain_gate),
        cmocka_unit_test(test_ramp_and_fail_open),
        cmocka_unit_test(test_a_vacant_endpoint),
        cmocka_unit_test(test_explain_orders),
        cmocka_unit_test(test_standing_orders_in_the_table),
        cmocka_unit_test(test_order_text),
        cmocka_unit_test(test_event_lines),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_metrics_have_families),
        cmocka_unit_test(test_collecting),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
