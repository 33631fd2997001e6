/* Answers as they come: whole and byte by byte, framed in every way, and what is none. */
#include "drill/answer.h"
#include "drill/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char body[4096];
static size_t body_n;

static void keep(struct dp_answer *a, struct dp_span part)
{
    (void)a;
    assert_true(body_n + part.n <= sizeof(body));
    memcpy(body + body_n, part.p, part.n);
    body_n += part.n;
}

static enum dp_answer_state feed(struct dp_answer *a, const char *text, size_t step)
{
    size_t n = strlen(text);
    enum dp_answer_state state = DP_ANSWER_MORE;
    for (size_t at = 0; at < n && state == DP_ANSWER_MORE; at += step) {
        state = dp_answer_take(a, text + at, n - at < step ? n - at : step);
    }
    return state;
}

static void check(const char *text, enum dp_answer_state expected, uint16_t status, bool keep_alive,
                  const char *region, const char *wanted)
{
    for (size_t step = 1; step <= strlen(text); step += step < 8 ? 1 : strlen(text)) {
        struct dp_answer a;
        dp_answer_init(&a, "davenport-region", keep);
        dp_answer_expect(&a);
        body_n = 0;
        assert_int_equal(feed(&a, text, step), expected);
        if (expected == DP_ANSWER_WHOLE) {
            assert_int_equal(a.status, status);
            assert_int_equal(a.keep_alive, keep_alive);
            assert_int_equal(a.value_n, strlen(region));
            assert_memory_equal(a.value, region, a.value_n);
            assert_int_equal(body_n, strlen(wanted));
            assert_memory_equal(body, wanted, body_n);
        }
    }
}

static void an_outcome_that_is_not_settled(void **state)
{
    static const struct {
        const char *field;
        bool unsettled;
    } rows[] = {
        {"", false},
        {"Davenport-Outcome: unsettled\r\n", true},
        {"davenport-outcome:unsettled \r\n", true},
        {"Davenport-Outcome: settled\r\n", false},
        {"Davenport-Outcome: unsettled by far\r\n", false},
        {"X-Outcome: unsettled\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 409 Conflict\r\n%sContent-Length: 0\r\nDate: D\r\n\r\n",
                       rows[i].field);
        for (size_t step = 1; step <= strlen(text); step += step < 8 ? 1 : strlen(text)) {
            struct dp_answer a;
            dp_answer_init(&a, "davenport-region", keep);
            dp_answer_expect(&a);
            assert_int_equal(feed(&a, text, step), DP_ANSWER_WHOLE);
            assert_int_equal(dp_answer_unsettled(&a), rows[i].unsettled);
            dp_answer_expect(&a);
            assert_false(dp_answer_unsettled(&a));
        }
    }
}

struct written {
    struct dp_load_config config;
    struct dp_ledger *ledger;
    struct dp_work *work;
    struct dp_job job;
    struct dp_span request[2];
};

static void begin_work(struct written *w, uint32_t documents)
{
    const struct dp_ledger_options options = {
        .run = "r", .slots = documents, .max_writes = 8, .max_rows = 8};
    w->ledger = dp_ledger_new(&options);
    assert_non_null(w->ledger);
    dp_load_config_init(&w->config);
    w->config.database = "d";
    w->config.documents = documents;
    w->work = dp_work_new(&w->config, "h", "", w->ledger);
    assert_non_null(w->work);
}

/* It is answered, and so many writes are left open and refused by that. */
static void end_work(struct written *w, uint16_t status, struct dp_span answer,
                     enum dp_load_failure failure, unsigned unknown, unsigned refused)
{
    struct dp_ledger_counts counts;
    assert_int_equal(
        dp_work_end(w->work, &w->job, DP_LOAD_FAILED_NONE, status, answer, false, 0, 1), failure);
    dp_ledger_count(w->ledger, &counts);
    assert_int_equal(counts.unknown, unknown);
    assert_int_equal(counts.refused, refused);
    dp_work_destroy(w->work);
    dp_ledger_free(w->ledger);
}

/* What the ledger makes of a refusal. */
static void a_refusal_may_leave_it_open(void **state)
{
    (void)state;
    for (int unsettled = 0; unsettled < 2; unsettled++) {
        struct written w;
        begin_work(&w, 2);
        assert_true(dp_work_create(w.work, 0, 0, &w.job, w.request));
        w.job.unsettled = unsettled;
        end_work(&w, 409, DP_SPAN("{}"), DP_LOAD_FAILED_NONE, unsettled ? 1 : 0, unsettled ? 0 : 1);
    }
}

/* The same of a row of many. */
static void a_conflict_among_rows_may_leave_it_open(void **state)
{
    const struct dp_span rows =
        DP_SPAN("[{\"id\":\"a\",\"error\":\"conflict\"},{\"id\":\"b\",\"error\":\"conflict\"},"
                "{\"id\":\"c\",\"error\":\"forbidden\"},{\"id\":\"d\",\"error\":\"forbidden\"},"
                "{\"id\":\"e\",\"error\":\"forbidden\"}]");
    (void)state;
    for (int unsettled = 0; unsettled < 2; unsettled++) {
        struct written w;
        begin_work(&w, 8);
        assert_true(dp_work_begin(w.work, DP_LOAD_BULK, 0, 0, &w.job, w.request));
        w.job.unsettled = unsettled;
        end_work(&w, 201, rows, DP_LOAD_FAILED_ANSWER, unsettled ? 2 : 0, unsettled ? 3 : 5);
    }
}

static void framed_in_every_way(void **state)
{
    (void)state;
    check("HTTP/1.1 200 OK\r\nDavenport-Region: left\r\nContent-Length: 5\r\n\r\nhello",
          DP_ANSWER_WHOLE, 200, true, "left", "hello");
    check("HTTP/1.1 201 Created\r\ndavenport-REGION:  eu-de \r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
          DP_ANSWER_WHOLE, 201, true, "eu-de", "abcde");
    check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", DP_ANSWER_WHOLE, 304, true, "",
          "");
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 1\r\nConnection: "
          "close\r\n\r\nx",
          DP_ANSWER_WHOLE, 503, false, "", "x");
}

static void what_is_none(void **state)
{
    (void)state;
    check("SSH-2.0-OpenSSH_9.2\r\n", DP_ANSWER_BAD, 0, false, "", "");
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", DP_ANSWER_BAD, 0, false,
          "", "");
}

static void bytes_behind_an_answer_are_nobodys(void **state)
{
    (void)state;
    struct dp_answer a;
    dp_answer_init(&a, NULL, keep);
    dp_answer_expect(&a);
    body_n = 0;
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1", 1000),
                     DP_ANSWER_BAD);
    dp_answer_expect(&a);
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1000),
                     DP_ANSWER_WHOLE);
    assert_int_equal(feed(&a, "H", 1), DP_ANSWER_BAD);
}

static void a_body_may_end_with_its_connection(void **state)
{
    (void)state;
    struct dp_answer a;
    dp_answer_init(&a, NULL, keep);
    dp_answer_expect(&a);
    body_n = 0;
    assert_int_equal(feed(&a, "HTTP/1.0 200 OK\r\n\r\nall", 1), DP_ANSWER_MORE);
    assert_int_equal(dp_answer_end(&a), DP_ANSWER_WHOLE);
    assert_false(a.keep_alive);
    assert_int_equal(body_n, 3);
    dp_answer_expect(&a);
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 1),
                     DP_ANSWER_MORE);
    assert_int_equal(dp_answer_end(&a), DP_ANSWER_BAD);
    dp_answer_expect(&a);
    assert_int_equal(dp_answer_end(&a), DP_ANSWER_BAD);
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    struct dp_answer a;
    dp_answer_init(&a, NULL, keep);
    a.no_body = true;
    dp_answer_expect(&a);
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 1000),
                     DP_ANSWER_WHOLE);
}

static void a_head_without_end_is_refused(void **state)
{
    (void)state;
    struct dp_answer a;
    enum dp_answer_state s = DP_ANSWER_MORE;
    dp_answer_init(&a, "davenport-region", keep);
    dp_answer_expect(&a);
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\n", 1000), DP_ANSWER_MORE);
    for (int i = 0; i < 10000 && s == DP_ANSWER_MORE; i++) {
        s = feed(&a, "Davenport-Region: long\r\n", 1000);
    }
    assert_int_equal(s, DP_ANSWER_BAD);
}

static void members(void **state)
{
    (void)state;
    static const struct {
        const char *json, *value;
    } cases[] = {
        {"{\"ok\":true,\"id\":\"a\",\"rev\":\"1-b\"}", "1-b"},
        {"{\"rev\" : \"2-c\"}", "2-c"},
        {"{\"rev\":3}", NULL},
        {"{\"rev\":\"a\\\"b\"}", NULL},
        {"{\"rev\":\"cut", NULL},
        {"{\"rev\"", NULL},
        {"{\"rev\":", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        struct dp_span found = dp_work_member(dp_span_str(cases[i].json), "\"rev\"");
        assert_int_equal(found.n, cases[i].value ? strlen(cases[i].value) : 0);
        assert_int_equal(found.p != NULL, cases[i].value != NULL);
        if (cases[i].value) {
            assert_memory_equal(found.p, cases[i].value, found.n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outcome_that_is_not_settled),
        cmocka_unit_test(a_refusal_may_leave_it_open),
        cmocka_unit_test(a_conflict_among_rows_may_leave_it_open),
        cmocka_unit_test(framed_in_every_way),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(bytes_behind_an_answer_are_nobodys),
        cmocka_unit_test(a_body_may_end_with_its_connection),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
