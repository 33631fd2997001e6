/* What the admin server answers, without its sockets: routes, methods, the two guards against browsers. */
#include "app/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A program with one region, and what it was told. */
struct fake {
    bool draining;
    size_t n_events;
    char order[256]; /* the last switch, or "" */
    enum dp_err refuse;
};

static void report(void *ctx, struct dp_report *out)
{
    const struct fake *f = ctx;
    *out = (struct dp_report){.version = "v", .listen = "l", .admin = "a"};
    out->draining = f->draining;
    out->status.n_regions = 1;
    out->status.regions[0].name = "left";
    out->status.regions[0].url = "http://h";
}

static size_t events(void *ctx, struct dp_span *lines, size_t max)
{
    const struct fake *f = ctx;
    for (size_t i = 0; i < f->n_events && i < max; i++) {
        static const char digits[] = "0123456789";
        lines[i] = (struct dp_span){&digits[i], 1};
    }
    return f->n_events;
}

static enum dp_err move(void *ctx, const char *region, bool force, const char *actor,
                        const char *reason, const char **why)
{
    struct fake *f = ctx;
    assert_true(snprintf(f->order, sizeof f->order, "%s force=%d actor=%s reason=%s", region, force,
                         actor, reason ? reason : "(none)") > 0);
    *why = "because";
    return f->refuse;
}

struct ask {
    enum dp_method method;
    const char *target, *host, *guard, *body;
    bool unix_socket;
};

/* The answer's status; its body (and Allow) are left in `answer`. */
static unsigned answer_to(struct fake *f, struct ask ask, struct dp_admin_answer *answer)
{
    struct dp_header guard = {.name = DP_SPAN("DAVENPORT-admin"), .value = dp_span_str(ask.guard)};
    struct dp_head head = {.method = ask.method,
                           .target = dp_span_str(ask.target),
                           .authority = dp_span_str(ask.host ? ask.host : "localhost"),
                           .headers = &guard,
                           .n_headers = ask.guard ? 1 : 0};
    struct dp_admin_request request = {
        .head = &head, .body = dp_span_str(ask.body), .tcp = !ask.unix_socket, .actor = "me"};
    struct dp_admin_source source = {.ctx = f, .report = report, .events = events, .move = move};
    dp_text_fini(&answer->body);
    *answer = (struct dp_admin_answer){0};
    dp_admin_answer(&source, &request, answer);
    return answer->status;
}

#define GET  DP_METHOD_GET
#define POST DP_METHOD_POST

static void test_routes(void **state)
{
    static const struct {
        struct ask ask;
        unsigned status;
        const char *type, *begins;
    } rows[] = {
        {{.method = GET, .target = "/status"},
         200,
         "application/json",
         "{\n  \"version\": \"v\",\n"},
        {{.method = GET, .target = "/status?x=1"}, 200, "application/json", "{\n"},
        {{.method = DP_METHOD_HEAD, .target = "/status"}, 200, "application/json", "{\n"},
        {{.method = GET, .target = "/metrics"},
         200,
         "text/plain; version=0.0.4; charset=utf-8",
         "# HELP "},
        {{.method = GET, .target = "/healthz"}, 200, "application/json", "{\"status\":\"ok\"}\n"},
        {{.method = GET, .target = "/readyz"}, 200, "application/json", "{\"status\":\"ready\"}\n"},
        {{.method = GET, .target = "/events"}, 200, "application/json", "[\n]\n"},
        {{.method = GET, .target = "/"}, 404, "application/json", "{\"error\":\"not_found\""},
        {{.method = GET, .target = "/status/"},
         404,
         "application/json",
         "{\"error\":\"not_found\""},
        {{.method = GET, .target = "*"}, 404, "application/json", "{\"error\":\"not_found\""},
        {{.method = DP_METHOD_DELETE, .target = "/status"},
         405,
         "application/json",
         "{\"error\":\"method_not_all"},
        {{.method = POST, .target = "/status"},
         405,
         "application/json",
         "{\"error\":\"method_not_allowed\""},
        {{.method = GET, .target = "/switch"},
         405,
         "application/json",
         "{\"error\":\"method_not_allowed\""},
    };
    struct fake f = {0};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        assert_int_equal(answer_to(&f, rows[i].ask, &answer), rows[i].status);
        assert_string_equal(answer.type, rows[i].type);
        assert_memory_equal(dp_text_str(&answer.body), rows[i].begins, strlen(rows[i].begins));
        assert_true((answer.allow != NULL) == (rows[i].status == 405));
    }
    dp_text_fini(&answer.body);
}

static void test_not_ready(void **state)
{
    struct fake f = {.draining = true};
    struct dp_admin_answer answer = {0};
    (void)state;
    assert_int_equal(answer_to(&f, (struct ask){.method = GET, .target = "/readyz"}, &answer), 503);
    assert_string_equal(dp_text_str(&answer.body),
                        "{\"error\":\"not_ready\",\"reason\":\"this proxy is shutting down\"}\n");
    assert_int_equal(answer_to(&f, (struct ask){.method = GET, .target = "/healthz"}, &answer),
                     200);
    dp_text_fini(&answer.body);
}

/* DNS rebinding: a page at evil.example that resolves to 127.0.0.1 still says so in Host. */
static void test_host(void **state)
{
    static const struct {
        const char *host;
        unsigned status;
    } rows[] = {
        {"localhost", 200},      {"LOCALHOST:8985", 200},    {"127.0.0.1", 200},
        {"127.0.0.1:8985", 200}, {"127.3.2.1:1", 200},       {"[::1]", 200},
        {"[::1]:8985", 200},     {"evil.example", 403},      {"", 403},
        {":8985", 403},          {"localhost.example", 403}, {"127.0.0.1.evil.example", 403},
        {"10.0.0.1", 403},       {"[::2]:8985", 403},        {"[::1]evil", 403},
        {"127.1", 403},          {"0.0.0.0:8985", 403},
    };
    struct fake f = {0};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct ask ask = {.method = GET, .target = "/status", .host = rows[i].host};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        ask.unix_socket = true;
        assert_int_equal(answer_to(&f, ask, &answer), 200);
    }
    dp_text_fini(&answer.body);
}

static void test_switch(void **state)
{
    static const struct {
        const char *guard, *body;
        unsigned status;
        const char *order, *says;
    } rows[] = {
        {NULL, "{\"region\":\"left\"}", 403, "", "the header Davenport-Admin: 1 is needed"},
        {"0", "{\"region\":\"left\"}", 403, "", "the header Davenport-Admin: 1 is needed"},
        {"1", "{\"region\":\"left\"}", 200, "left force=0 actor=me reason=(none)", "\"regions\""},
        {"1", "{\"region\":\"left\",\"force\":true,\"reason\":\"why not\"}", 200,
         "left force=1 actor=me reason=why not", "\"regions\""},
        {"1", "", 400, "", "the body must be a JSON object"},
        {"1", "[]", 400, "", "the body must be a JSON object"},
        {"1", "{}", 400, "", "region must be a string"},
        {"1", "{\"region\":7}", 400, "", "region must be a string"},
        {"1", "{\"region\":\"left\",\"reason\":1}", 400, "", "reason must be a string"},
        {"1", "{\"region\":\"left\",\"force\":\"true\"}", 400, "", "force must be true or false"},
        {"1", "{\"region\":\"left\",\"froce\":true}", 400, "", "only region, reason and force"},
        {"1", "{\"region\":\"a\",\"region\":\"b\"}", 400, "", "the body must be a JSON object"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {0};
        struct ask ask = {
            .method = POST, .target = "/switch", .guard = rows[i].guard, .body = rows[i].body};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        assert_string_equal(f.order, rows[i].order);
        assert_non_null(strstr(dp_text_str(&answer.body), rows[i].says));
    }
    struct fake f = {.refuse = DP_EINVAL};
    struct ask ask = {
        .method = POST, .target = "/switch", .guard = "1", .body = "{\"region\":\"x\"}"};
    assert_int_equal(answer_to(&f, ask, &answer), 404);
    assert_string_equal(dp_text_str(&answer.body),
                        "{\"error\":\"no_such_region\",\"reason\":\"because\"}\n");
    f.refuse = DP_ENOREGION;
    assert_int_equal(answer_to(&f, ask, &answer), 409);
    dp_text_fini(&answer.body);
}

static void test_events(void **state)
{
    static const struct {
        const char *target;
        unsigned status;
        const char *body;
    } rows[] = {
        {"/events", 200, "[\n0,\n1,\n2\n]\n"},
        {"/events?limit=2", 200, "[\n1,\n2\n]\n"},
        {"/events?a=b&limit=1", 200, "[\n2\n]\n"},
        {"/events?limit=0", 200, "[\n]\n"},
        {"/events?limit=99999999999", 200, "[\n0,\n1,\n2\n]\n"},
        {"/events?limit=", 400,
         "{\"error\":\"bad_request\",\"reason\":\"limit must be a number\"}\n"},
        {"/events?limit=-1", 400,
         "{\"error\":\"bad_request\",\"reason\":\"limit must be a number\"}\n"},
    };
    struct fake f = {.n_events = 3};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        assert_int_equal(
            answer_to(&f, (struct ask){.method = GET, .target = rows[i].target}, &answer),
            rows[i].status);
        assert_string_equal(dp_text_str(&answer.body), rows[i].body);
    }
    dp_text_fini(&answer.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes), cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_host),   cmocka_unit_test(test_switch),
        cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests_name("admin_routes", tests, NULL, NULL);
}
