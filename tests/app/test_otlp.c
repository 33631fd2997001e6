/* Spans as OTLP/JSON: each field of either kind, and that no name of a client's choice breaks the document. The official
 * protocol judges the same in tests/e2e/tracing.test.mjs. */
#include "app/otlp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define ID     "b7ad6b7169203331"
#define PARENT "00f067aa0ba902b7"

static const struct dp_otlp_resource resource = {"davenport", "host/127.0.0.1:8984", true};

static struct dp_tracing_span span(bool attempt)
{
    struct dp_tracing_span s = {.attempt = attempt,
                                .begun_ns = INT64_C(1795381384567000001),
                                .ended_ns = INT64_C(1795381384577000002),
                                .method = "GET",
                                .klass = "read",
                                .kind = "read",
                                .status = 200,
                                .outcome = "answered",
                                .minor = 1,
                                .attempts = 1,
                                .bytes_out = 7,
                                .region = "east",
                                .endpoint = "db.example:5984",
                                .database = "orders"};
    memcpy(s.trace, TRACE, sizeof(s.trace));
    memcpy(s.id, ID, sizeof(s.id));
    return s;
}

static json_t *document(const struct dp_otlp_resource *r, const struct dp_tracing_span *s, size_t n)
{
    struct dp_text out = {0};
    json_error_t error;
    dp_otlp_begin(&out, r);
    for (size_t i = 0; i < n; i++)
        dp_otlp_span(&out, r, &s[i], i == 0);
    dp_otlp_end(&out);
    assert_false(out.failed);
    json_t *root = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s in %s", error.text, dp_text_str(&out));
    dp_text_fini(&out);
    return root;
}

static const json_t *nth_span(const json_t *root, size_t i)
{
    const json_t *r = json_array_get(json_object_get(root, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(r, "scopeSpans"), 0);
    return json_array_get(json_object_get(scope, "spans"), i);
}

static const json_t *attribute(const json_t *s, const char *name, const char *type)
{
    const json_t *found = NULL, *a;
    size_t i;
    json_array_foreach (json_object_get(s, "attributes"), i, a) {
        if (strcmp(json_string_value(json_object_get(a, "key")), name) == 0) {
            assert_null(found);
            found = json_object_get(json_object_get(a, "value"), type);
        }
    }
    return found;
}

static const char *text_of(const json_t *s, const char *name)
{
    return json_string_value(attribute(s, name, "stringValue"));
}

static const char *int_of(const json_t *s, const char *name)
{
    return json_string_value(attribute(s, name, "intValue"));
}

static const char *plain(const json_t *s, const char *name)
{
    return json_string_value(json_object_get(s, name));
}

static json_int_t code_of(const json_t *s)
{
    return json_integer_value(json_object_get(json_object_get(s, "status"), "code"));
}

static void both_kinds(void **state)
{
    (void)state;
    struct dp_tracing_span two[] = {span(true), span(false)};
    memcpy(two[0].parent, PARENT, sizeof(two[0].parent));
    two[0].reused = true;
    json_t *root = document(&resource, two, 2);
    const json_t *a = nth_span(root, 0), *r = nth_span(root, 1);
    assert_string_equal(plain(a, "traceId"), TRACE);
    assert_string_equal(plain(a, "spanId"), ID);
    assert_string_equal(plain(a, "parentSpanId"), PARENT);
    assert_string_equal(plain(a, "name"), "GET east");
    assert_string_equal(plain(a, "startTimeUnixNano"), "1795381384567000001");
    assert_string_equal(plain(a, "endTimeUnixNano"), "1795381384577000002");
    assert_int_equal(json_integer_value(json_object_get(a, "kind")), 3);
    assert_int_equal(json_integer_value(json_object_get(a, "flags")), 0x101);
    assert_string_equal(text_of(a, "server.address"), "db.example");
    assert_string_equal(int_of(a, "server.port"), "5984");
    assert_string_equal(int_of(a, "http.response.status_code"), "200");
    assert_string_equal(text_of(a, "davenport.outcome"), "answered");
    assert_true(json_is_true(attribute(a, "davenport.connection.reused", "boolValue")));
    assert_null(attribute(a, "http.request.resend_count", "intValue"));
    assert_null(attribute(a, "error.type", "stringValue"));
    assert_int_equal(code_of(a), 0);
    assert_null(json_object_get(r, "parentSpanId"));
    assert_string_equal(plain(r, "name"), "GET read");
    assert_int_equal(json_integer_value(json_object_get(r, "kind")), 2);
    assert_string_equal(text_of(r, "url.scheme"), "http");
    assert_string_equal(text_of(r, "db.namespace"), "orders");
    assert_string_equal(int_of(r, "http.response.body.size"), "7");
    assert_null(attribute(r, "davenport.reason", "stringValue"));
    json_decref(root);
}

static void what_is_an_error(void **state)
{
    static const struct {
        bool attempt, failed;
        uint16_t status;
        const char *reason, *type;
    } rows[] = {
        {false, false, 404, "region_4xx", NULL},
        {true, false, 404, NULL, "404"},
        {false, true, 503, "no_region_available", "503"},
        {true, true, 0, NULL, "no_answer"},
        {false, true, 0, "client_gone", "client_gone"},
        {false, true, 200, "truncated", "truncated"},
        {false, true, 0, NULL, "_OTHER"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_tracing_span s = span(rows[i].attempt);
        s.failed = rows[i].failed;
        s.status = rows[i].status;
        s.reason = rows[i].reason;
        s.outcome = "no_answer";
        json_t *root = document(&resource, &s, 1);
        const char *type = text_of(nth_span(root, 0), "error.type");
        print_message("row %zu\n", i);
        assert_int_equal(code_of(nth_span(root, 0)), rows[i].type ? 2 : 0);
        if (rows[i].type)
            assert_string_equal(type, rows[i].type);
        else
            assert_null(type);
        json_decref(root);
    }
}

static void where_an_endpoint_is(void **state)
{
    static const char *const rows[][3] = {{"db.example", "db.example", NULL},
                                          {"db.example:80", "db.example", "80"},
                                          {"[2001:db8::1]", "2001:db8::1", NULL},
                                          {"[2001:db8::1]:5984", "2001:db8::1", "5984"}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_tracing_span s = span(true);
        (void)snprintf(s.endpoint, sizeof(s.endpoint), "%s", rows[i][0]);
        json_t *root = document(&resource, &s, 1);
        assert_string_equal(text_of(nth_span(root, 0), "server.address"), rows[i][1]);
        const char *port = int_of(nth_span(root, 0), "server.port");
        if (rows[i][2])
            assert_string_equal(port, rows[i][2]);
        else
            assert_null(port);
        json_decref(root);
    }
}

/* The one thing that a client chooses. */
static void no_database_breaks_the_document(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        struct dp_tracing_span s = span(false);
        memset(s.database, (int)c, sizeof(s.database) - 1);
        json_t *root = document(&resource, &s, 1);
        const char *name = text_of(nth_span(root, 0), "db.namespace");
        if (c < 0x80)
            assert_string_equal(name, s.database);
        else
            assert_non_null(name);
        json_decref(root);
        const struct dp_otlp_resource silent = {"x", "y", false};
        root = document(&silent, &s, 1);
        assert_null(text_of(nth_span(root, 0), "db.namespace"));
        json_decref(root);
    }
}

static void how_many_were_rejected(void **state)
{
    static const struct {
        const char *answer;
        uint64_t n;
    } rows[] = {{"", 0},
                {"{}", 0},
                {"{\"partialSuccess\":{}}", 0},
                {"{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"x\"}}", 3},
                {"{\"partialSuccess\":{\"rejectedSpans\":2}}", 2},
                {"{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}", 0},
                {"{\"partialSuccess\":{\"rejectedSpans\":[]}}", 0},
                {"{\"partialSuccess\":7}", 0},
                {"<html>", 0}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_int_equal(dp_otlp_rejected(dp_span_str(rows[i].answer)), rows[i].n);
    assert_int_equal(dp_otlp_rejected((struct dp_span){NULL, 0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds),
        cmocka_unit_test(what_is_an_error),
        cmocka_unit_test(where_an_endpoint_is),
        cmocka_unit_test(no_database_breaks_the_document),
        cmocka_unit_test(how_many_were_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
