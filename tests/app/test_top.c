/* What davenport top shows, of answers of /status: rates, order, and what fits on a screen. */
#include "app/paint.h"
#include "app/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *status(double uptime_s, int pid, int left, int right, int requests)
{
    char text[2048];
    (void)snprintf(
        text, sizeof text,
        "{\"version\":\"1\",\"pid\":%d,\"now\":\"2026-11-26T10:11:12.000Z\",\"uptime_s\":%g,"
        "\"listen\":\"127.0.0.1:1\",\"scheme\":\"http\",\"ready\":true,\"epoch\":7,"
        "\"active\":\"left\",\"active_for_s\":61,"
        "\"totals\":{\"requests\":%d,\"answered_2xx\":%d,\"requests_active\":3},"
        "\"regions\":["
        "{\"name\":\"left\",\"health\":\"up\",\"active\":true,\"attempts\":%d,\"failures\":0,"
        "\"for_s\":5,\"latency_ms\":12.5,\"why\":\"it answers\"},"
        "{\"name\":\"right\",\"health\":\"down\",\"attempts\":%d,\"failures\":%d,"
        "\"for_s\":7,\"latency_ms\":null,\"held_down\":true,\"why\":\"dark\"}]}",
        pid, uptime_s, requests, requests, left, right, right);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

/* The lines of a frame, without colours. */
static char *show(const struct dp_top_frame *f)
{
    struct dp_text out = {0};
    dp_top_text(f, false, &out);
    assert_false(out.failed);
    char *text = strdup(dp_text_str(&out));
    assert_non_null(text);
    dp_text_fini(&out);
    return text;
}

static void assert_shows(const struct dp_top_frame *f, const char *part)
{
    char *text = show(f);
    if (!strstr(text, part)) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
    free(text);
}

static void test_rates(void **state)
{
    struct dp_top_frame f = {.rows = 24, .columns = 100};
    (void)state;
    json_t *before = status(10, 1, 100, 10, 1000);
    json_t *now = status(12, 1, 180, 15, 26000);
    f.now = now;
    assert_shows(&f, "requests -/s  under way 3 "); /* nothing to compare with yet */
    f.before = before;
    assert_shows(&f, "requests 12500/s  under way 3  feeds -");
    assert_shows(&f,
                 "> left             up                   5 s            12.5 ms      40       0 ");
    assert_shows(
        &f,
        "  right            down, held           7 s                  -     2.5     2.5 !dark\n");
    assert_shows(&f, "traffic left for 1 min 1 s  epoch 7  ready\n");
    assert_shows(&f, "up 12 s  10:11:12 UTC\n");
    json_decref(before);
    before = status(10, 2, 100, 10, 1000); /* another process */
    f.before = before;
    assert_shows(&f, "requests -/s");
    json_decref(before);
    before = status(10, 1, 100, 10, 99999); /* what shrank is no rate */
    f.before = before;
    assert_shows(&f, "requests -/s");
    json_decref(before);
    json_decref(now);
}

static void test_order(void **state)
{
    static const struct {
        enum dp_top_sort sort;
        bool left_first;
        const char *name;
    } rows[] = {{DP_TOP_CONFIGURED, true, "as configured"},
                {DP_TOP_NAME, true, "name"},
                {DP_TOP_REQUESTS, false, "requests"},
                {DP_TOP_FAILURES, false, "failures"},
                {DP_TOP_LATENCY, true, "latency"}};
    json_t *before = status(10, 1, 100, 10, 0);
    json_t *now = status(11, 1, 101, 90, 0);
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        const struct dp_top_frame f = {
            .now = now, .before = before, .sort = rows[i].sort, .rows = 24, .columns = 80};
        char *text = show(&f);
        assert_int_equal(strstr(text, "> left ") < strstr(text, "  right "), rows[i].left_first);
        const char *keys = strstr(text, "s sort: ");
        assert_non_null(keys);
        assert_memory_equal(keys + strlen("s sort: "), rows[i].name, strlen(rows[i].name));
        free(text);
    }
    json_decref(before);
    json_decref(now);
}

/* Whatever the terminal's size, it is never more than fits, and the keys are the last line. */
static void test_sizes(void **state)
{
    json_t *now = status(11, 1, 101, 90, 0);
    json_t *events = json_array();
    (void)state;
    for (int i = 0; i < 50; i++) {
        (void)json_array_append_new(
            events, json_pack("{s:s, s:s, s:s}", "ts", "2026", "event", "suspect", "reason",
                              "\xc3\xa9\xc3\xa9 \x1b[2J a long reason that goes on and on and on"));
    }
    for (unsigned rows = 1; rows < 40; rows++) {
        for (unsigned columns = 1; columns < 120; columns += 7) {
            const struct dp_top_frame f = {
                .now = now, .events = events, .rows = rows, .columns = columns};
            char *text = show(&f);
            struct dp_span rest = dp_span_str(text);
            struct dp_span line = {0};
            unsigned lines = 0;
            assert_null(strchr(text, '\x1b'));
            while (rest.p) {
                unsigned characters = 0;
                line = dp_span_cut(&rest, '\n');
                for (size_t i = 0; i < line.n; i++) {
                    characters += ((unsigned char)line.p[i] & 0xC0) != 0x80;
                }
                assert_true(characters <= columns);
                lines++;
            }
            assert_true(lines <= rows);
            assert_int_equal(line.p[0], 'q');
            free(text);
        }
    }
    json_decref(events);
    json_decref(now);
}

static void test_away(void **state)
{
    json_t *now = status(11, 1, 101, 90, 0);
    const struct dp_top_frame f = {
        .now = now, .away = "127.0.0.1:8985: refused", .rows = 24, .columns = 100};
    (void)state;
    assert_shows(&f, "\nno proxy answers at 127.0.0.1:8985: refused; what follows is old\n");
    assert_shows(&f, " left ");
    json_decref(now);
}

/* What answers may be anything. */
static void test_strange_answers(void **state)
{
    static const char *const texts[] = {
        "{}", "[]", "{\"regions\":7,\"totals\":[]}",
        "{\"regions\":[7,null,{\"name\":7,\"health\":[],\"attempts\":\"x\",\"fault\":{}}]}"};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(texts); i++) {
        json_t *now = json_loads(texts[i], 0, NULL);
        const struct dp_top_frame f = {
            .now = now, .before = now, .events = now, .rows = 24, .columns = 80};
        struct dp_text json = {0};
        assert_shows(&f, "q quit");
        dp_top_json(&f, &json);
        assert_int_equal(json.p[0], '{');
        dp_text_fini(&json);
        json_decref(now);
    }
}

static void test_json(void **state)
{
    json_t *before = status(10, 1, 100, 10, 1000);
    json_t *now = status(12, 1, 180, 15, 26000);
    const struct dp_top_frame f = {.now = now, .before = before};
    struct dp_text out = {0};
    (void)state;
    dp_top_json(&f, &out);
    json_t *root = json_loadb(out.p, out.n, 0, NULL);
    const json_t *right = json_array_get(json_object_get(root, "regions"), 1);
    assert_int_equal((int)json_real_value(json_object_get(root, "requests_per_s")), 12500);
    assert_true(json_is_null(json_object_get(root, "retries_per_s")));
    assert_string_equal(json_string_value(json_object_get(right, "state")), "down, held");
    assert_int_equal((int)(json_real_value(json_object_get(right, "failures_per_s")) * 10), 25);
    json_decref(root);
    dp_text_fini(&out);
    json_decref(before);
    json_decref(now);
}

static void test_clip(void **state)
{
    const char *text = RED "abcdef" RESET "\n\xc3\xa4\xc3\xb6\xc3\xbcx\nab\n";
    const struct dp_text in = {.p = (char *)(uintptr_t)text, .n = strlen(text)};
    struct dp_text out = {0};
    (void)state;
    dp_clip_lines(&in, 3, &out);
    assert_string_equal(dp_text_str(&out), RED "abc" RESET "\n\xc3\xa4\xc3\xb6\xc3\xbc\nab\n");
    dp_text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_away),
        cmocka_unit_test(test_strange_answers),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_clip),
    };
    return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
