/* Names of requests and the way they came, as pure functions. */
#include "davenport/base/attr.h"
#include "davenport/http/reader.h"

#include "proxy/ids.h"
#include "proxy/via.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* A head read from these fields, and what it needs. */
struct fixture {
    struct dp_reader *reader;
    struct dp_arena arena;
    struct dp_head head;
};

static void read_head(struct fixture *f, const char *line, const char *fields)
{
    const struct dp_reader_limits limits = {32768, 8192, 128};
    char text[2048];
    size_t consumed;
    f->reader = dp_reader_new(DP_READ_REQUESTS, &limits);
    assert_non_null(f->reader);
    dp_arena_init(&f->arena, NULL);
    dp_reader_begin(f->reader, &f->arena, &f->head, DP_METHOD_OTHER);
    const int n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", line, fields);
    assert_int_equal(dp_reader_head(f->reader, text, (size_t)n, &consumed), DP_READ_DONE);
}

static void drop_head(struct fixture *f)
{
    dp_reader_destroy(f->reader);
    dp_arena_reset(&f->arena);
}

static void which_request_ids_are_sound(void **state)
{
    static const char *const good[] = {
        "7",
        "f058ebd6-02f7-4d3f-942e-904344e8cde5",
        "urn:uuid:1",
        "a_b.c~d/e+f=@",
        "Root=1-67891233",
    };
    static const char *const bad[] = {"",     " ",     "a b",      "a,b", "a;b",
                                      "a\"b", "a\x80", "\xc3\xa9", "<a>", "a%20"};
    char longest[DP_REQUEST_ID_MAX + 1];
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(good); i++)
        assert_true(dp_request_id_valid(dp_span_str(good[i])));
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++)
        assert_false(dp_request_id_valid(dp_span_str(bad[i])));
    assert_false(dp_request_id_valid((struct dp_span){"a\0b", 3}));
    memset(longest, 'x', sizeof(longest));
    assert_true(dp_request_id_valid((struct dp_span){longest, DP_REQUEST_ID_MAX}));
    assert_false(dp_request_id_valid((struct dp_span){longest, sizeof(longest)}));
}

/* Each byte of a good one changed to every other. */
static void which_traceparents_are_valid(void **state)
{
    char text[] = PARENT;
    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        for (int c = 0; c < 256; c++) {
            const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            bool valid = text[i] == '-' ? c == '-' : hex;
            text[i] = (char)c;
            if (text[0] == 'f' && text[1] == 'f')
                valid = false;
            assert_int_equal(dp_traceparent_valid((struct dp_span){text, sizeof(text) - 1}), valid);
            text[i] = PARENT[i];
        }
    }
    for (size_t n = 0; n < sizeof(text) - 1; n++) { /* nothing is read past the end */
        char *cut = malloc(n > 0 ? n : 1);
        assert_non_null(cut);
        memcpy(cut, text, n);
        assert_false(dp_traceparent_valid((struct dp_span){cut, n}));
        free(cut);
    }
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", true},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x", false},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"fe-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_int_equal(dp_traceparent_valid(dp_span_str(rows[i].text)), rows[i].valid);
}

/* Fields, the policy for both, and what becomes of them: "-" stands for one that is made. */
static void what_is_passed_made_and_dropped(void **state)
{
    static const struct {
        enum dp_id_policy policy;
        const char *fields, *id, *parent;
        bool drops_id, drops_state;
    } rows[] = {
        {DP_ID_MAKE, "", "-", "-", true, true},
        {DP_ID_MAKE, "X-Request-Id: a\r\n", "a", "-", false, true},
        {DP_ID_MAKE, "X-Request-Id: a b\r\n", "-", "-", true, true},
        {DP_ID_MAKE, "X-Request-Id: a\r\nX-Request-Id: a\r\n", "-", "-", true, true},
        {DP_ID_MAKE, "traceparent: " PARENT "\r\ntracestate: a=b\r\n", "-", PARENT, true, false},
        {DP_ID_MAKE, "traceparent: 00-x\r\ntracestate: a=b\r\n", "-", "-", true, true},
        {DP_ID_MAKE, "Traceparent: " PARENT "\r\ntraceparent: " PARENT "\r\n", "-", "-", true,
         true},
        {DP_ID_PASS, "", "", "", true, true},
        {DP_ID_PASS, "X-Request-Id: a\r\ntraceparent: " PARENT "\r\n", "a", PARENT, false, false},
        {DP_ID_PASS, "X-Request-Id: a b\r\ntraceparent: x\r\n", "", "", true, true},
        {DP_ID_PASS, "tracestate: a=b\r\n", "", "", true, true},
        {DP_ID_REMOVE, "X-Request-Id: a\r\ntraceparent: " PARENT "\r\n", "", "", true, true},
    };
    (void)state;
    struct dp_random random = {{1, 2}};
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        const struct dp_proxy_config c = {.request_id = rows[i].policy,
                                          .traceparent = rows[i].policy};
        struct fixture f;
        struct dp_ids ids = {0};
        char text[DP_IDS_LINES_BYTES];
        char fields[512];
        char lines[256] = "";
        (void)snprintf(fields, sizeof(fields), "Host: h\r\n%s", rows[i].fields);
        read_head(&f, "GET /", fields);
        dp_ids_choose(&ids, &f.head, &c, &random, text);
        if (strcmp(rows[i].id, "-") == 0) {
            assert_int_equal(ids.request_id.n, 32);
            (void)snprintf(lines, sizeof(lines), "X-Request-Id: %.32s\r\n", ids.request_id.p);
        } else {
            assert_true(dp_span_eq(ids.request_id, dp_span_str(rows[i].id)));
        }
        if (strcmp(rows[i].parent, "-") == 0) {
            assert_true(dp_traceparent_valid(ids.traceparent));
            assert_memory_equal(ids.traceparent.p + 52, "-00", 3);
            (void)snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines),
                           "traceparent: %.55s\r\n", ids.traceparent.p);
        } else {
            assert_true(dp_span_eq(ids.traceparent, dp_span_str(rows[i].parent)));
        }
        assert_true(dp_span_eq(ids.lines, dp_span_str(lines)));
        assert_int_equal((ids.drop & DP_HEADER_BIT(DP_HEADER_X_REQUEST_ID)) != 0, rows[i].drops_id);
        assert_int_equal((ids.drop & DP_HEADER_BIT(DP_HEADER_TRACESTATE)) != 0,
                         rows[i].drops_state);
        assert_int_equal((ids.drop & DP_HEADER_BIT(DP_HEADER_TRACEPARENT)) != 0,
                         rows[i].drops_state);
        drop_head(&f);
    }
}

/* Fields, the policy, the chance, and what becomes of it: is it traced, whose child, under which flags, and is the region
 * told? "-": a trace-id that is made. */
static void what_is_sampled(void **state)
{
#define TRACE       "0af7651916cd43dd8448eb211c80319c"
#define FIELD(rest) "traceparent: " rest "\r\ntracestate: a=b\r\n"
    static const struct {
        enum dp_id_policy policy;
        uint32_t per_million;
        const char *fields, *trace, *parent, *flags;
        bool told, drops_state;
    } rows[] = {
        {DP_ID_PASS, 0, FIELD(PARENT), TRACE, "b7ad6b7169203331", "01", true, false},
        {DP_ID_MAKE, 0, FIELD("00-" TRACE "-b7ad6b7169203331-03"), TRACE, "b7ad6b7169203331", "03",
         true, false},
        {DP_ID_PASS, 0, FIELD("cc-" TRACE "-b7ad6b7169203331-ff-more"), TRACE, "b7ad6b7169203331",
         "03", true, false},
        {DP_ID_PASS, 1000000, FIELD("00-" TRACE "-b7ad6b7169203331-00"), NULL, NULL, NULL, true,
         false},
        {DP_ID_PASS, 1000000, FIELD("00-" TRACE "-b7ad6b7169203331-fe"), NULL, NULL, NULL, true,
         false},
        {DP_ID_PASS, 0, "", NULL, NULL, NULL, false, true},
        {DP_ID_MAKE, 0, "", NULL, NULL, NULL, true, true},
        {DP_ID_PASS, 1000000, "", "-", "", "03", true, true},
        {DP_ID_MAKE, 1000000, "", "-", "", "03", true, true},
        {DP_ID_MAKE, 1000000, FIELD("00-x"), "-", "", "03", true, true},
        {DP_ID_REMOVE, 1000000, FIELD(PARENT), "-", "", "03", false, true},
        {DP_ID_REMOVE, 0, FIELD(PARENT), NULL, NULL, NULL, false, true},
    };
    (void)state;
    struct dp_random random = {{1, 2}};
    for (size_t i = 0; i < 2 * DP_ARRAY_LEN(rows); i++) {
        const size_t row = i / 2;
        const struct dp_proxy_config c = {.request_id = i % 2 ? DP_ID_MAKE : DP_ID_PASS,
                                          .traceparent = rows[row].policy,
                                          .trace_sample = rows[row].per_million};
        struct fixture f;
        struct dp_ids ids = {0};
        struct dp_span parent = {NULL, 0};
        char text[DP_IDS_LINES_BYTES], fields[512];
        (void)snprintf(fields, sizeof(fields), "Host: h\r\n%s", rows[row].fields);
        read_head(&f, "GET /", fields);
        dp_ids_choose(&ids, &f.head, &c, &random, text);
        print_message("row %zu\n", row);
        const bool sampled = dp_ids_sample(&ids, &c, &random, text, &parent);
        assert_int_equal(sampled, rows[row].trace != NULL);
        const char *line = memmem(ids.lines.p, ids.lines.n, "traceparent: ", 13);
        if (sampled) {
            dp_ids_tell_span(&ids, "00f067aa0ba902b7");
            assert_true(dp_traceparent_valid(ids.traceparent));
            assert_true(dp_span_eq(parent, dp_span_str(rows[row].parent)));
            assert_memory_equal(ids.traceparent.p, "00-", 3);
            if (rows[row].trace[0] != '-')
                assert_memory_equal(dp_ids_trace(&ids).p, rows[row].trace, 32);
            assert_memory_equal(ids.traceparent.p + 35, "-00f067aa0ba902b7-", 18);
            assert_memory_equal(ids.traceparent.p + 53, rows[row].flags, 2);
            assert_true(ids.drop & DP_HEADER_BIT(DP_HEADER_TRACEPARENT));
            assert_int_equal(line != NULL, rows[row].told);
        }
        if (line) {
            assert_ptr_equal(line + 13, ids.traceparent.p);
            assert_ptr_equal(line + 70, ids.lines.p + ids.lines.n);
            assert_memory_equal(line + 68, "\r\n", 2);
        }
        assert_int_equal(memmem(ids.lines.p, ids.lines.n, "X-Request-Id: ", 14) != NULL, i % 2);
        assert_int_equal((ids.drop & DP_HEADER_BIT(DP_HEADER_TRACESTATE)) != 0,
                         rows[row].drops_state);
        drop_head(&f);
    }
}

/* Of a million that begin a trace about as many as were asked for. */
static void the_sample_is_as_large_as_asked_for(void **state)
{
    enum { N = 100000 };
    const struct dp_proxy_config c = {.traceparent = DP_ID_PASS, .trace_sample = 100000};
    struct dp_random random = {{1, 2}};
    const struct dp_head none = {.n_headers = 0};
    unsigned sampled = 0;
    (void)state;
    for (size_t i = 0; i < N; i++) {
        struct dp_ids ids = {0};
        struct dp_span parent = {NULL, 0};
        char text[DP_IDS_LINES_BYTES];
        dp_ids_choose(&ids, &none, &c, &random, text);
        sampled += dp_ids_sample(&ids, &c, &random, text, &parent);
    }
    assert_in_range(sampled, N / 10 - N / 100, N / 10 + N / 100); /* the seed is always the same */
}

static int by_text(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void what_is_made_differs(void **state)
{
    enum { N = 20000 };
    const struct dp_proxy_config c = {.request_id = DP_ID_MAKE, .traceparent = DP_ID_PASS};
    struct dp_random random = {{1, 2}};
    const struct dp_head none = {.n_headers = 0};
    char(*all)[32] = calloc(N, sizeof(*all));
    (void)state;
    assert_non_null(all);
    for (size_t i = 0; i < N; i++) {
        struct dp_ids ids = {0};
        char text[DP_IDS_LINES_BYTES];
        dp_ids_choose(&ids, &none, &c, &random, text);
        for (size_t k = 0; k < 32; k++)
            assert_non_null(memchr("0123456789abcdef", ids.request_id.p[k], 16));
        memcpy(all[i], ids.request_id.p, 32);
    }
    qsort(all, N, sizeof(*all), by_text);
    for (size_t i = 1; i < N; i++)
        assert_int_not_equal(memcmp(all[i - 1], all[i], 32), 0);
    free(all);
}

/* ---- the way ---- */

static void check_way(enum dp_forwarded_policy forwarded, enum dp_forwarded_policy x_forwarded,
                      const char *peer, const char *fields, const char *written)
{
    const struct dp_proxy_config c = {.forwarded = forwarded, .x_forwarded = x_forwarded};
    const struct dp_way way = {peer, false};
    struct fixture f;
    char buf[1024];
    struct dp_writer w;
    read_head(&f, "GET /", fields);
    dp_writer_init(&w, buf, 2 * f.head.raw.n + DP_WAY_BYTES);
    dp_write_way(&w, &f.head, &c, &way);
    assert_false(w.overflow);
    buf[w.n] = '\0';
    assert_string_equal(buf, written);
    const bool dropped = (dp_way_drops(&c) & DP_HEADER_BIT(DP_HEADER_FORWARDED)) != 0;
    assert_int_equal(dropped, forwarded != DP_FORWARDED_PASS);
    drop_head(&f);
}

static void forwarded_is_as_configured(void **state)
{
    const enum dp_forwarded_policy pass = DP_FORWARDED_PASS, add = DP_FORWARDED_ADD,
                                   replace = DP_FORWARDED_REPLACE, gone = DP_FORWARDED_REMOVE;
    const char *const v4 = "192.0.2.7";
    (void)state;
    check_way(pass, pass, v4, "Host: h\r\nForwarded: for=x\r\n", "");
    check_way(gone, gone, v4, "Host: h\r\nForwarded: for=x\r\n", "");
    check_way(add, gone, v4, "Host: h:80\r\n",
              "Forwarded: for=192.0.2.7;host=\"h:80\";proto=http\r\n");
    check_way(add, gone, "2001:db8::7", "Host: [::1]:80\r\n",
              "Forwarded: for=\"[2001:db8::7]\";host=\"[::1]:80\";proto=http\r\n");
    check_way(add, gone, "unix", "Host: h\r\n", "Forwarded: for=unknown;host=\"h\";proto=http\r\n");
    check_way(add, gone, v4,
              "Host: h\r\nForwarded: for=a, for=b\r\nX: 1\r\nforwarded: for=\"c,d\"\r\n",
              "Forwarded: for=a, for=b, for=\"c,d\", for=192.0.2.7;host=\"h\";proto=http\r\n");
    /* one that would swallow what follows is left out */
    check_way(
        add, gone, v4,
        "Host: h\r\nForwarded: for=\"a\r\nForwarded: for=\"b\\\"\r\nForwarded: for=\"c\\\"\"\r\n",
        "Forwarded: for=\"c\\\"\", for=192.0.2.7;host=\"h\";proto=http\r\n");
    check_way(replace, gone, v4, "Host: h\r\nForwarded: for=a\r\n",
              "Forwarded: for=192.0.2.7;host=\"h\";proto=http\r\n");
    check_way(pass, add, v4, "Host: h\r\nX-Forwarded-For: 1.2.3.4\r\n",
              "X-Forwarded-For: 1.2.3.4, 192.0.2.7\r\nX-Forwarded-Host: h\r\nX-Forwarded-Proto: "
              "http\r\n");
    check_way(pass, replace, v4, "Host: h\r\nX-Forwarded-For: 1.2.3.4\r\n",
              "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: h\r\nX-Forwarded-Proto: http\r\n");
}

static void how_often_via_names_us(void **state)
{
    static const struct {
        const char *fields;
        unsigned count;
    } rows[] = {
        {"", 0},
        {"Via: 1.1 davenport\r\n", 1},
        {"Via: 1.1 davenport, 1.0 other, 1.1 Davenport (a comment)\r\nvia: HTTP/1.1  davenport\r\n",
         3},
        {"Via: davenport\r\n", 0},
        {"Via: 1.1 davenport2, 1.1 adavenport, 1.1 other (davenport)\r\n", 0},
        {"Via: ,, 1.1,\r\nVia:\r\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fixture f;
        char fields[512];
        (void)snprintf(fields, sizeof(fields), "Host: h\r\n%s", rows[i].fields);
        read_head(&f, "GET /", fields);
        assert_int_equal(dp_via_count(&f.head, "davenport"), rows[i].count);
        drop_head(&f);
    }
}

static void how_far_options_may_go(void **state)
{
    static const struct {
        const char *line, *fields;
        enum dp_err err;
        uint64_t left;
    } rows[] = {
        {"OPTIONS /a", "", DP_OK, DP_NO_HOPS},
        {"OPTIONS /a", "Max-Forwards: 0\r\n", DP_OK, 0},
        {"OPTIONS *", "Max-Forwards: 010\r\n", DP_OK, 10},
        {"OPTIONS /a", "Max-Forwards: -1\r\n", DP_EBADREQUEST, 0},
        {"OPTIONS /a", "Max-Forwards:\r\n", DP_EBADREQUEST, 0},
        {"OPTIONS /a", "Max-Forwards: 99999999999999999999\r\n", DP_EBADREQUEST, 0},
        {"OPTIONS /a", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n", DP_EBADREQUEST, 0},
        {"GET /a", "Max-Forwards: 0\r\n", DP_OK, DP_NO_HOPS},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fixture f;
        char fields[256];
        uint64_t left = 0;
        (void)snprintf(fields, sizeof(fields), "Host: h\r\n%s", rows[i].fields);
        read_head(&f, rows[i].line, fields);
        assert_int_equal(dp_hops_left(&f.head, &left), rows[i].err);
        assert_int_equal(left, rows[i].left);
        drop_head(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_request_ids_are_sound),
        cmocka_unit_test(which_traceparents_are_valid),
        cmocka_unit_test(what_is_passed_made_and_dropped),
        cmocka_unit_test(what_is_sampled),
        cmocka_unit_test(the_sample_is_as_large_as_asked_for),
        cmocka_unit_test(what_is_made_differs),
        cmocka_unit_test(forwarded_is_as_configured),
        cmocka_unit_test(how_often_via_names_us),
        cmocka_unit_test(how_far_options_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
