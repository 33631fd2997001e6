/* What the program says of itself: JSON, Prometheus text, and the table a person reads. */
#include "davenport/couch/request.h"

#include "app/report_sample.h"

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
    dp_text_clear(&text);
    event = json_loads("{\"ts\":\"T\",\"event\":\"reloaded\",\"actor\":\"ann\","
                       "\"reason\":\"it was read again\",\"detail\":\"probe.fall: 3 -> 5\"}",
                       0, NULL);
    dp_event_text(event, false, &text);
    assert_string_equal(dp_text_str(&text),
                        "T  reloaded     by ann: it was read again (probe.fall: 3 -> 5)\n");
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
        "\ndavenport_region_attempts_total{region=\"us-south\",class=\"write\","
        "outcome=\"answered\"} 12\n",
        "\ndavenport_region_pool_connections{region=\"us-south\",state=\"busy\"} 3\n"
        "davenport_region_pool_connections{region=\"us-south\",state=\"idle\"} 0\n",
        "\ndavenport_region_pool_waiting{region=\"us-south\"} 2\n",
        "\ndavenport_feed_ends_total{reason=\"moved\"} 6\n",
        "\ndavenport_memory_bytes{pool=\"arenas\"} 4096\n",
        "\ndavenport_request_duration_seconds_bucket{kind=\"read\",le=\"0.001\"} 2\n",
        "\ndavenport_request_added_seconds_bucket{le=\"1e-05\"} 1\n"
        "davenport_request_added_seconds_bucket{le=\"2.5e-05\"} 5\n",
        "\ndavenport_request_added_seconds_sum 0.0001\ndavenport_request_added_seconds_count 5\n",
        "\ndavenport_request_hold_seconds_count 1\n",
        "\ndavenport_loop_lag_seconds_bucket{loop=\"control\",le=\"0.001\"} 7\n",
        "\ndavenport_region_probes_total{region=\"eu-de\",result=\"ok\"} 40\n"
        "davenport_region_probes_total{region=\"eu-de\",result=\"failed\"} 3\n",
        /* None yet: no line. */
        "yet.\n# TYPE davenport_region_last_probe_duration_seconds gauge\n"
        "davenport_region_last_probe_duration_seconds{region=\"eu-de\"} 0.002\n# HELP",
        "\ndavenport_region_latency_seconds{region=\"us-south\"} 0.01225\n",
        "\ndavenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"0.001\"} 10\n",
        "\ndavenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"0.025\"} 15\n",
        "\ndavenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"10\"} 15\n"
        "davenport_region_first_byte_seconds_bucket{region=\"us-south\",le=\"+Inf\"} 16\n"
        "davenport_region_first_byte_seconds_sum{region=\"us-south\"} 12.5\n"
        "davenport_region_first_byte_seconds_count{region=\"us-south\"} 16\n",
        "\ndavenport_requests_by_kind_total{kind=\"write\",told=\"2xx\"} 9\n",
        "\ndavenport_requests_by_kind_total{kind=\"read\",told=\"none\"} 0\n",
        "\ndavenport_replays_total{kind=\"bulk_write\"} 2\n",
        "\ndavenport_request_first_byte_seconds_bucket{kind=\"write\",le=\"0.001\"} 3\n",
        "\ndavenport_request_first_byte_seconds_sum{kind=\"write\"} 0.25\n",
        "\ndavenport_region_quorum_missed_total{region=\"us-south\"} 5\n",
        "\nprocess_start_time_seconds 1795373700\n",
        "\nprocess_cpu_seconds_total 1.5\n",
    };
    struct dp_report r = sample();
    struct dp_text text = {0};
    (void)state;
    r.kinds[DP_COUCH_KIND_WRITE].told[DP_TOLD_2XX] = 9;
    r.kinds[DP_COUCH_KIND_WRITE].first_byte.buckets[0] = 3;
    r.kinds[DP_COUCH_KIND_WRITE].first_byte.sum_ns = 250000000;
    r.kinds[DP_COUCH_KIND_BULK].replays = 2;
    r.status.regions[1].quorum_missed = 5;
    r.by_class[1][DP_COUCH_WRITE][DP_OUTCOME_ANSWERED] = 12;
    r.pools[1][DP_POOL_BUSY] = 3;
    r.pools[1][DP_POOL_WAITING] = 2;
    r.feed_ends[DP_FEED_END_MOVED] = 6;
    r.memory[DP_MEMORY_ARENAS] = 4096;
    r.kinds[DP_COUCH_KIND_READ].total.buckets[0] = 2;
    r.added = (struct dp_report_latency){.buckets = {1, 4}, .sum_ns = 100000};
    r.held.buckets[8] = 1;
    r.control_lag.buckets[0] = 7;
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
    dp_counter_set(&traffic[0].endpoints[0].certificate_ends_s, 9000);
    dp_counter_set(&traffic[1].endpoints[0].certificate_ends_s, 8000);
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
    assert_int_equal(r.shown_ends_s[1], 8000);
    assert_int_equal(r.shown_ends_s[0], 0);
    assert_int_equal(r.latency[1].sum_ns, 700);
    assert_int_equal(r.totals[DP_TOTAL_retries], 3);
    dp_report_add_process(&r);
    assert_true(r.resident_bytes > 0 && r.open_fds >= 3 && r.max_fds > 0);
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
        cmocka_unit_test(test_hostile_status),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_a_vacant_endpoint),
        cmocka_unit_test(test_order_text),
        cmocka_unit_test(test_event_lines),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_metrics_have_families),
        cmocka_unit_test(test_collecting),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
