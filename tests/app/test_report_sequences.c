/* What the reports tell of sequence maps: marks come in as they do from the watcher, and are read as people and scripts do. */
#include "davenport/control/sequences.h"

#include "app/report_sequences.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#define NOW INT64_C(1795381200000) /* 2026-11-22T21:00:00Z */

static void on_publish(void *ctx, struct dp_seqview *view)
{
    (void)ctx;
    (void)view;
}

static void tell(struct dp_sequences *s, const char *database, int64_t read_ms)
{
    const struct dp_replication_listener l = dp_sequences_listener(s);
    const struct dp_replication_mark m = {.database = database,
                                          .from = "us",
                                          .to = "eu",
                                          .token = DP_SPAN("1-g"),
                                          .read_wall_ms = read_ms};
    l.mark(l.ctx, &m);
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("no %s in\n%s", part, text);
    }
}

static void test_report(void **state)
{
    (void)state;
    uv_loop_t loop;
    const struct dp_sequences_options opt = {.loop = &loop,
                                             .clock = &dp_clock_system,
                                             .maps = {4, 8, 60000},
                                             .save_ms = 1000,
                                             .publish_ms = 1000,
                                             .publish = on_publish};
    struct dp_report r = {.now_wall_ms = NOW};
    struct dp_text metrics = {0};
    struct dp_sequences *s;
    char words[256];
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(dp_sequences_new(&opt, &s), DP_OK);

    dp_report_sequences_words(&r, "eu", words, sizeof words);
    assert_string_equal(words, "");
    assert_true(json_is_null(dp_report_sequences_json(&r)));
    dp_report_sequences_metrics(&r, &metrics);
    assert_int_equal(metrics.n, 0);

    r.sequences = s;
    dp_report_sequences_words(&r, "eu", words, sizeof words);
    assert_string_equal(words, "");
    tell(s, "orders", NOW - 90000);
    tell(s, "orders", NOW - 15000); /* of the same place */
    tell(s, "a\"b\\c", NOW - 20000);
    dp_report_sequences_words(&r, "eu", words, sizeof words);
    assert_string_equal(words, "feeds that lose it can go on elsewhere by 2 sequence maps, seen at "
                               "most 20 s ago; others begin anew");
    dp_report_sequences_words(&r, "us", words, sizeof words);
    assert_string_equal(words, "");

    json_t *json = dp_report_sequences_json(&r);
    char *text = json_dumps(json, JSON_COMPACT);
    expect_in(text,
              "{\"file\":null,\"written\":null,\"not_written\":false,\"marks_told\":3,\"maps\":[");
    expect_in(text,
              "{\"database\":\"orders\",\"from\":\"eu\",\"to\":\"us\",\"marks\":1,\"oldest\":\""
              "2026-11-22T20:58:30.000Z\",\"newest\":\"2026-11-22T20:58:30.000Z\",\"age_s\":15.0}");
    free(text);
    json_decref(json);

    dp_report_sequences_metrics(&r, &metrics);
    expect_in(dp_text_str(&metrics), "\ndavenport_sequence_marks_told_total 3\n");
    expect_in(dp_text_str(&metrics),
              "\ndavenport_sequence_marks{database=\"orders\",from=\"eu\",to=\"us\"} 1\n");
    expect_in(dp_text_str(&metrics),
              "\ndavenport_sequence_mark_age_seconds{database=\"a\\\"b\\\\c\",from="
              "\"eu\",to=\"us\"} 20\n");
    dp_text_fini(&metrics);
    dp_sequences_destroy(s);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
