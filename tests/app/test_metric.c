/* The table of metrics: its rows are sound, it is what docs/metrics.md lists, and what a report writes is what it says. */
#include "davenport/core/gate.h"

#include "app/metric.h"
#include "app/report_sample.h"

#include <ctype.h>

#define MAX_LABELS 8

static bool is_word(struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!islower((unsigned char)s.p[i]) && !isdigit((unsigned char)s.p[i]) && s.p[i] != '_') {
            return false;
        }
    }
    return s.n > 0 && !isdigit((unsigned char)s.p[0]);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Prometheus' rules of names, and ours: a counter ends in _total and nothing else does, HELP is a sentence on one line. */
static void test_table(void **state)
{
    (void)state;
    for (unsigned m = 0; m < DP_METRIC_COUNT; m++) {
        const struct dp_metric_info *info = dp_metric_info((enum dp_metric)m);
        assert_true(is_word(dp_span_str(info->name)));
        if (strncmp(info->name, "process_", 8) != 0) {
            assert_int_equal(strncmp(info->name, "davenport_", 10), 0);
        }
        assert_int_equal(ends_with(info->name, "_total"), info->type == DP_METRIC_TYPE_COUNTER);
        if (info->type == DP_METRIC_TYPE_HISTOGRAM) {
            assert_true(ends_with(info->name, "_seconds"));
        }
        assert_true(ends_with(info->help, "."));
        assert_null(strpbrk(info->help, "\n\\"));
        struct dp_span labels = dp_span_str(info->labels);
        while (labels.n > 0) {
            const struct dp_span label = dp_span_cut(&labels, ',');
            assert_true(is_word(label));
            assert_false(dp_span_eq(label, DP_SPAN("le")));
        }
        for (unsigned other = 0; other < m; other++) {
            assert_string_not_equal(info->name, dp_metric_info((enum dp_metric)other)->name);
        }
    }
}

static void test_rows(void **state)
{
    struct dp_text out = {0};
    (void)state;
    dp_metric_single(&out, DP_METRIC_epoch, 7);
    dp_metric_uint(&out, DP_METRIC_sequence_marks, DP_LABELS("a\"b\\c\nd", "left", "right"), 3);
    dp_metric_real(&out, DP_METRIC_region_latency, DP_LABELS("left"), 0.25);
    assert_string_equal(dp_text_str(&out),
                        "# HELP davenport_epoch Number of the routing decision in force.\n"
                        "# TYPE davenport_epoch gauge\n"
                        "davenport_epoch 7\n"
                        "davenport_sequence_marks{database=\"a\\\"b\\\\c\\nd\",from=\"left\","
                        "to=\"right\"} 3\n"
                        "davenport_region_latency_seconds{region=\"left\"} 0.25\n");
    dp_text_clear(&out);
    dp_metric_histogram(&out, DP_METRIC_region_first_byte, DP_LABELS("left"),
                        (const double[]){0.001, 0.5}, 2, (const uint64_t[]){4, 0, 2}, 1.5);
    assert_string_equal(
        dp_text_str(&out),
        "davenport_region_first_byte_seconds_bucket{region=\"left\",le=\"0.001\"} 4\n"
        "davenport_region_first_byte_seconds_bucket{region=\"left\",le=\"0.5\"} 4\n"
        "davenport_region_first_byte_seconds_bucket{region=\"left\",le=\"+Inf\"} 6\n"
        "davenport_region_first_byte_seconds_sum{region=\"left\"} 1.5\n"
        "davenport_region_first_byte_seconds_count{region=\"left\"} 6\n");
    dp_text_fini(&out);
}

/* docs/metrics.md ends with the table: whoever renames a metric sees it in the document, and so do dashboards. */
static void test_document_is_current(void **state)
{
    static const char begin[] = "## All metrics\n\n";
    struct dp_text table = {0}, document = {0};
    char buf[4096];
    size_t n;
    FILE *f = fopen(DP_TEST_SOURCE_DIR "/docs/metrics.md", "re");
    (void)state;
    assert_non_null(f);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0) {
        dp_text_add(&document, (struct dp_span){buf, n});
    }
    assert_int_equal(fclose(f), 0);
    const char *at = strstr(dp_text_str(&document), begin);
    assert_non_null(at);
    dp_metric_help(&table);
    /* Not? build/…/davenport help metrics, behind that heading */
    assert_string_equal(at + strlen(begin), dp_text_str(&table));
    dp_text_fini(&table);
    dp_text_fini(&document);
}

/* ---- what a report writes ---- */

/* All that a report may have: several endpoints, listed databases, names, gates, certificates, the nearest. */
static struct dp_report full(void)
{
    static const char *const databases[] = {"orders"};
    static const struct dp_control_config config = {
        .n_regions = 2,
        .nearest = true,
        .n_probe_databases = 1,
        .probe_databases = databases,
    };
    struct dp_report r = sample();
    struct dp_status *s = &r.status;
    s->config = &config;
    s->n_endpoints = 3;
    s->endpoints[0] = (struct dp_endpoint_status){.region = 0, .host = "a:5984"};
    s->endpoints[1] = (struct dp_endpoint_status){.region = 1, .host = "b1:5984"};
    s->endpoints[2] = (struct dp_endpoint_status){.region = 1, .host = "b2:5984"};
    for (unsigned i = 0; i < 3; i++) {
        s->endpoints[i].layers[0].result = "ok";
    }
    s->regions[0].n_endpoints = 1;
    s->regions[1].n_endpoints = 2;
    s->regions[0].lookup = (struct dp_lookup_status){.host = "a", .ok = 1, .good_wall_ms = NOW - S};
    s->regions[0].latency_ms = s->regions[1].probes.last_ms = 1;
    s->regions[0].gate =
        (struct dp_gate){.n = 1, .conditions = {{DP_GATE_APPROVAL, DP_GATE_UNMET, ""}}};
    r.shown_ends_s[0] = 1;
    dp_report_add_certificate(&r, "clients", NULL, 1);
    return r;
}

/* The family of this name, or of a histogram's row of this name. */
static enum dp_metric family_of(struct dp_span name)
{
    static const char *const ends[] = {"", "_bucket", "_sum", "_count"};
    for (unsigned m = 0; m < DP_METRIC_COUNT; m++) {
        const struct dp_metric_info *info = dp_metric_info((enum dp_metric)m);
        const bool histogram = info->type == DP_METRIC_TYPE_HISTOGRAM;
        for (unsigned e = histogram; e < (histogram ? DP_ARRAY_LEN(ends) : 1); e++) {
            char text[128];
            assert_true(snprintf(text, sizeof text, "%s%s", info->name, ends[e]) > 0);
            if (dp_span_eq(name, dp_span_str(text))) {
                return (enum dp_metric)m;
            }
        }
    }
    fail_msg("%.*s is in no row of the table", (int)name.n, name.p);
    return DP_METRIC_COUNT;
}

/* name{label="value",…} value: the labels are those of the table, in its order, but for a bucket's le. */
static void check_row(struct dp_span line, bool seen[DP_METRIC_COUNT])
{
    struct dp_span rest = line;
    size_t n = 0;
    while (n < line.n && line.p[n] != '{' && line.p[n] != ' ') {
        n++;
    }
    const enum dp_metric m = family_of((struct dp_span){line.p, n});
    struct dp_span labels = dp_span_str(dp_metric_info(m)->labels);
    (void)dp_span_cut(&rest, '{');
    seen[m] = true;
    while (rest.p && rest.n > 0 && rest.p[0] != '}') {
        const struct dp_span name = dp_span_cut(&rest, '=');
        const struct dp_span wanted = labels.n > 0 ? dp_span_cut(&labels, ',') : DP_SPAN("le");
        (void)dp_span_cut(&rest, '"');
        (void)dp_span_cut(&rest, '"'); /* the sample has no value with a quote */
        if (rest.n > 0 && rest.p[0] == ',') {
            (void)dp_span_cut(&rest, ',');
        }
        if (!dp_span_eq(name, wanted)) {
            fail_msg("a label that is not in the table: %.*s", (int)line.n, line.p);
        }
    }
    assert_int_equal(labels.n, 0);
}

/* Each family is in the table with its labels, and, but for those of files and of ways that this sample has none of, each
 * of the table is there. */
static void test_report_is_the_table(void **state)
{
    static const enum dp_metric of_files[] = {
        DP_METRIC_sequence_marks_told, DP_METRIC_sequences_not_written,
        DP_METRIC_sequence_marks,      DP_METRIC_sequence_mark_age,
        DP_METRIC_replication_missing, DP_METRIC_replication_behind,
        DP_METRIC_replication_refused, DP_METRIC_canary,
        DP_METRIC_canary_overdue,      DP_METRIC_handovers,
    };
    const struct dp_report r = full();
    struct dp_text text = {0};
    bool seen[DP_METRIC_COUNT] = {false};
    (void)state;
    dp_report_metrics(&r, &text);
    assert_false(text.failed);
    for (struct dp_span rest = dp_text_span(&text); rest.n > 0;) {
        const struct dp_span line = dp_span_cut(&rest, '\n');
        if (line.n > 0 && line.p[0] != '#') {
            check_row(line, seen);
        }
    }
    for (unsigned i = 0; i < DP_ARRAY_LEN(of_files); i++) {
        assert_false(seen[of_files[i]]);
        seen[of_files[i]] = true;
    }
    for (unsigned m = 0; m < DP_METRIC_COUNT; m++) {
        if (!seen[m]) {
            fail_msg("nothing writes %s", dp_metric_info((enum dp_metric)m)->name);
        }
    }
    dp_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_document_is_current),
        cmocka_unit_test(test_report_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
