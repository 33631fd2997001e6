/* Log lines are JSON whatever is put into them, and are cut at a field's end. */
#include "davenport/base/clock.h"

#include "base/log_pipe.h"

#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int pipe_fds[2];

static int open_pipe(void **state)
{
    (void)state;
    if (pipe2(pipe_fds, O_NONBLOCK) != 0)
        return -1;
    dp_log_set_fd(pipe_fds[1]);
    dp_log_set_level(DP_LOG_INFO);
    return 0;
}

static int close_pipe(void **state)
{
    (void)state;
    dp_log_set_fd(STDERR_FILENO);
    dp_log_set_level(DP_LOG_INFO);
    return close(pipe_fds[0]) | close(pipe_fds[1]);
}

/* What stands in the pipe now. */
static size_t drain(char *buf, size_t cap)
{
    ssize_t n = read(pipe_fds[0], buf, cap);
    return n > 0 ? (size_t)n : 0;
}

static json_t *line(void)
{
    static char buf[65536];
    size_t n = drain(buf, sizeof(buf));
    assert_true(n <= 4096);
    return parse_line(buf, n);
}

static void test_fields(void **state)
{
    (void)state;
    const char text[] = "abc";
    dp_log(DP_LOG_WARN, "probe_failed", DP_KV_STR("region", "eu-de"),
           DP_KV_SPAN("span", ((struct dp_span){text, 2})), DP_KV_INT("failures", -3),
           DP_KV_INT("max", INT64_MAX), DP_KV_INT("min", INT64_MIN), DP_KV_DOUBLE("ratio", 0.25),
           DP_KV_DOUBLE("nan", NAN), DP_KV_DOUBLE("inf", -INFINITY), DP_KV_DOUBLE("big", DBL_MAX),
           DP_KV_BOOL("yes", 7), DP_KV_BOOL("no", 0), DP_KV_STR("null", NULL),
           DP_KV_JSON("list", DP_SPAN("[1,{\"a\":null}]")));
    json_t *root = line();
    assert_int_equal(json_object_size(root), 16);
    assert_string_equal(text_of(root, "level"), "warn");
    assert_string_equal(text_of(root, "event"), "probe_failed");
    assert_string_equal(text_of(root, "region"), "eu-de");
    assert_string_equal(text_of(root, "span"), "ab");
    assert_string_equal(text_of(root, "null"), "");
    assert_int_equal(json_integer_value(json_object_get(root, "failures")), -3);
    assert_true(json_integer_value(json_object_get(root, "max")) == INT64_MAX);
    assert_true(json_integer_value(json_object_get(root, "min")) == INT64_MIN);
    assert_true(json_real_value(json_object_get(root, "ratio")) == 0.25);
    assert_true(json_real_value(json_object_get(root, "big")) > 1e308);
    assert_true(json_is_null(json_object_get(root, "nan")));
    assert_true(json_is_null(json_object_get(root, "inf")));
    assert_true(json_is_true(json_object_get(root, "yes")));
    assert_true(json_is_false(json_object_get(root, "no")));
    assert_int_equal(json_array_size(json_object_get(root, "list")), 2);
    const char *ts = text_of(root, "ts");
    assert_int_equal(strlen(ts), 24);
    assert_int_equal(ts[10], 'T');
    assert_int_equal(ts[23], 'Z');
    json_decref(root);
}

/* A level that is off costs a comparison: its arguments are not even looked at. */
static void test_levels(void **state)
{
    (void)state;
    static const enum dp_log_level levels[] = {DP_LOG_DEBUG, DP_LOG_INFO, DP_LOG_WARN,
                                               DP_LOG_ERROR};
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t at = 0; at < 4; at++) {
        dp_log_set_level(levels[at]);
        for (size_t i = 0; i < 4; i++) {
            char buf[256];
            int evaluated = 0;
            assert_int_equal(dp_log_enabled(levels[i]), i >= at);
            dp_log(levels[i], "event", DP_KV_INT("n", ++evaluated));
            assert_int_equal(evaluated, i >= at ? 1 : 0);
            size_t n = drain(buf, sizeof(buf));
            if (i < at) {
                assert_int_equal(n, 0);
            } else {
                json_t *root = parse_line(buf, n);
                assert_string_equal(text_of(root, "level"), names[i]);
                assert_string_equal(dp_log_level_name(levels[i]), names[i]);
                json_decref(root);
            }
        }
    }
}

/* One field of every length about the line's end: it is there whole or not at all, and a line that
 * lacks it says so. */
static void test_cut(void **state)
{
    (void)state;
    static char text[5000];
    int whole = 0, cut = 0;
    memset(text, 'x', sizeof(text));
    for (size_t n = 3900; n < 4300; n++) {
        dp_log(DP_LOG_ERROR, "big", DP_KV_INT("before", 1),
               DP_KV_SPAN("text", ((struct dp_span){text, n})), DP_KV_INT("after", 2));
        json_t *root = line();
        assert_int_equal(json_integer_value(json_object_get(root, "before")), 1);
        const json_t *field = json_object_get(root, "text");
        if (json_is_true(json_object_get(root, "cut"))) {
            cut++;
            if (field)
                assert_int_equal(json_string_length(field), n);
            assert_null(json_object_get(root, "after"));
        } else {
            whole++;
            assert_int_equal(json_string_length(field), n);
            assert_int_equal(json_integer_value(json_object_get(root, "after")), 2);
            assert_null(json_object_get(root, "cut"));
            assert_int_equal(cut, 0);
        }
        json_decref(root);
    }
    assert_true(whole > 50 && cut > 50);
}

/* A short field behind one that did not fit is left out too, and so is JSON that is too long. */
static void test_cut_drops_the_rest(void **state)
{
    (void)state;
    static char json[6002];
    memset(json, ' ', sizeof(json));
    json[0] = '[';
    json[sizeof(json) - 1] = ']';
    dp_log(DP_LOG_ERROR, "big", DP_KV_INT("a", 1),
           DP_KV_JSON("j", ((struct dp_span){json, sizeof(json)})), DP_KV_INT("b", 2));
    json_t *root = line();
    assert_int_equal(json_object_size(root), 5);
    assert_true(json_is_true(json_object_get(root, "cut")));
    assert_int_equal(json_integer_value(json_object_get(root, "a")), 1);
    json_decref(root);
    /* many small ones: as many as fit, in order */
    struct dp_kv kv[600];
    static char keys[600][8];
    for (size_t i = 0; i < 600; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        kv[i] = DP_KV_INT(keys[i], i);
    }
    dp_log_write(DP_LOG_ERROR, "many", kv, 600);
    root = line();
    size_t kept = json_object_size(root) - 4;
    assert_in_range(kept, 300, 599);
    assert_true(json_is_true(json_object_get(root, "cut")));
    assert_non_null(json_object_get(root, keys[kept - 1]));
    assert_null(json_object_get(root, keys[kept]));
    json_decref(root);
    dp_log_write(DP_LOG_ERROR, "none", NULL, 0);
    root = line();
    assert_int_equal(json_object_size(root), 3);
    json_decref(root);
}

/* A reader that does not keep up loses whole lines, never half ones, and nobody waits for it. */
static void test_full_pipe(void **state)
{
    (void)state;
    static char buf[1 << 20];
    static char text[3000];
    memset(text, 'y', sizeof(text));
    for (int i = 0; i < 2000; i++)
        dp_log(DP_LOG_ERROR, "flood", DP_KV_INT("i", i),
               DP_KV_SPAN("text", ((struct dp_span){text, (size_t)(i % 3000)})));
    size_t n = drain(buf, sizeof(buf));
    size_t lines = 0;
    for (size_t at = 0; at < n; lines++) {
        const char *end = memchr(buf + at, '\n', n - at);
        assert_non_null(end);
        size_t len = (size_t)(end - (buf + at)) + 1;
        json_decref(parse_line(buf + at, len));
        at += len;
    }
    assert_in_range(lines, 5, 1999);
    dp_log(DP_LOG_ERROR, "after", DP_KV_INT("i", 1));
    json_decref(line());
}

/* ---- strings ---- */

/* The JSON string of `s`, decoded again by jansson. */
static size_t round_trip(struct dp_span s, char *out, size_t cap)
{
    static char buf[40000];
    buf[0] = '[';
    size_t n = dp_json_string(buf + 1, sizeof(buf) - 2, s);
    assert_true(n >= 2);
    buf[n + 1] = ']';
    json_error_t e;
    json_t *root = json_loadb(buf, n + 2, JSON_ALLOW_NUL, &e);
    if (!root)
        fail_msg("not JSON: %s: %.*s", e.text, (int)n, buf + 1);
    const json_t *v = json_array_get(root, 0);
    size_t bytes = json_string_length(v);
    assert_true(bytes <= cap);
    memcpy(out, json_string_value(v), bytes);
    json_decref(root);
    return bytes;
}

static size_t utf8(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* Every character there is comes through as it was, by 2 048 at a time. */
static void test_every_character(void **state)
{
    (void)state;
    static char in[8192], out[8192];
    for (uint32_t base = 0; base < 0x110000; base += 2048) {
        size_t n = 0;
        for (uint32_t c = base; c < base + 2048; c++) {
            if (c < 0xD800 || c > 0xDFFF)
                n += utf8(c, in + n);
        }
        size_t m = round_trip((struct dp_span){in, n}, out, sizeof(out));
        assert_int_equal(m, n);
        assert_memory_equal(in, out, n);
    }
}

static void test_control_bytes(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 0x80; c++) {
        char buf[16], expected[16];
        char byte = (char)c;
        size_t n = dp_json_string(buf, sizeof(buf), (struct dp_span){&byte, 1});
        if (c < 0x20 || c == 0x7F)
            (void)snprintf(expected, sizeof(expected), "\"\\u%04x\"", c);
        else if (c == '"' || c == '\\')
            (void)snprintf(expected, sizeof(expected), "\"\\%c\"", (int)c);
        else
            (void)snprintf(expected, sizeof(expected), "\"%c\"", (int)c);
        assert_int_equal(n, strlen(expected));
        assert_memory_equal(buf, expected, n);
    }
}

static void test_invalid_utf8(void **state)
{
    (void)state;
#define BAD "\xEF\xBF\xBD"
    static const struct {
        struct dp_span in;
        const char *out;
    } rows[] = {
        {DP_SPAN_INIT("a\x80z"), "a" BAD "z"}, /* a continuation alone */
        {DP_SPAN_INIT("\xBF"), BAD},
        {DP_SPAN_INIT("\xC0\xAF"), BAD BAD}, /* "/" overlong, in two, */
        {DP_SPAN_INIT("\xC1\xBF"), BAD BAD},
        {DP_SPAN_INIT("\xE0\x80\xAF"), BAD BAD BAD}, /* three, */
        {DP_SPAN_INIT("\xE0\x9F\xBF"), BAD BAD BAD},
        {DP_SPAN_INIT("\xF0\x80\x80\xAF"), BAD BAD BAD BAD}, /* and four bytes */
        {DP_SPAN_INIT("\xF0\x8F\xBF\xBF"), BAD BAD BAD BAD},
        {DP_SPAN_INIT("\xED\xA0\x80"), BAD BAD BAD}, /* the first surrogate, */
        {DP_SPAN_INIT("\xED\xBF\xBF"), BAD BAD BAD}, /* the last, */
        {DP_SPAN_INIT("\xED\xA0\xBD\xED\xB8\x80"), BAD BAD BAD BAD BAD BAD}, /* and a pair */
        {DP_SPAN_INIT("\xED\x9F\xBF"), "\xED\x9F\xBF"},                      /* just below */
        {DP_SPAN_INIT("\xEE\x80\x80"), "\xEE\x80\x80"},                      /* just above */
        {DP_SPAN_INIT("\xF4\x8F\xBF\xBF"), "\xF4\x8F\xBF\xBF"},              /* the last there is */
        {DP_SPAN_INIT("\xF4\x90\x80\x80"), BAD BAD BAD BAD},
        {DP_SPAN_INIT("\xF5\x80\x80\x80"), BAD BAD BAD BAD},
        {DP_SPAN_INIT("\xFE\xFF"), BAD BAD},
        {DP_SPAN_INIT("\xC3"), BAD}, /* cut short at the end, */
        {DP_SPAN_INIT("\xE2\x82"), BAD BAD},
        {DP_SPAN_INIT("\xF0\x9F\x98"), BAD BAD BAD},
        {DP_SPAN_INIT("\xC3"
                      "A"),
         BAD "A"}, /* and by something else */
        {DP_SPAN_INIT("\xE2\x82"
                      "A"),
         BAD BAD "A"},
        {DP_SPAN_INIT("\xF0\x9F\x98"
                      "A"),
         BAD BAD BAD "A"},
        {DP_SPAN_INIT("\xC3\xC3\xA4"), BAD "\xC3\xA4"},
        {DP_SPAN_INIT("\xE2\"\\"), BAD "\"\\"},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char out[64];
        /* in memory of its own size: looking for a continuation must not look too far */
        char *in = malloc(rows[i].in.n);
        assert_non_null(in);
        memcpy(in, rows[i].in.p, rows[i].in.n);
        size_t n = round_trip((struct dp_span){in, rows[i].in.n}, out, sizeof(out));
        free(in);
        if (n != strlen(rows[i].out) || memcmp(out, rows[i].out, n) != 0)
            fail_msg("row %zu", i);
    }
}

static void test_string_sizes(void **state)
{
    (void)state;
    static const struct dp_span rows[] = {DP_SPAN_INIT(""), DP_SPAN_INIT("a"), DP_SPAN_INIT("a\nb"),
                                          DP_SPAN_INIT("\xC3\xA4\""), DP_SPAN_INIT("\xFF")};
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char whole[64];
        size_t need = dp_json_string(whole, sizeof(whole), rows[i]);
        assert_true(need >= 2);
        for (size_t cap = 0; cap < need + 2; cap++) {
            char *buf = malloc(cap > 0 ? cap : 1);
            assert_non_null(buf);
            assert_int_equal(dp_json_string(buf, cap, rows[i]), cap < need ? 0 : need);
            free(buf);
        }
    }
}

/* Fields into every size of buffer: a prefix of the fields, each whole, and the truth about it. */
static void test_kv_sizes(void **state)
{
    (void)state;
    const struct dp_kv kv[] = {DP_KV_STR("a", "x\"y"), DP_KV_INT("b", -12), DP_KV_BOOL("c", true),
                               DP_KV_JSON("d", DP_SPAN("[]")), DP_KV_DOUBLE("e", 1.5)};
    static const char whole[] = ",\"a\":\"x\\\"y\",\"b\":-12,\"c\":true,\"d\":[],\"e\":1.5";
    static const size_t ends[] = {0, 11, 19, 28, 35, 43};
    assert_int_equal(sizeof(whole) - 1, ends[5]);
    for (size_t cap = 0; cap < sizeof(whole) + 2; cap++) {
        char *buf = malloc(cap > 0 ? cap : 1);
        assert_non_null(buf);
        bool cut = cap % 2 == 0;
        size_t n = dp_kv_write(buf, cap, kv, DP_ARRAY_LEN(kv), &cut);
        size_t fits = 0;
        while (fits < 5 && ends[fits + 1] <= cap)
            fits++;
        assert_int_equal(n, ends[fits]);
        assert_int_equal(cut, fits < 5);
        assert_memory_equal(buf, whole, n);
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_levels, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_cut, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_cut_drops_the_rest, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_full_pipe, open_pipe, close_pipe),
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_control_bytes),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_string_sizes),
        cmocka_unit_test(test_kv_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
