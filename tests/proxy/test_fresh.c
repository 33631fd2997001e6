/* Reading what one wrote, as whole exchanges. Writes go to region 2, which is far; reads to 0 or 1. */
#include "davenport/base/attr.h"
#include "davenport/proxy/recent.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD         " HTTP/1.1\r\nHost: a\r\n"
#define GET(target)  "GET " target HEAD "\r\n"
#define POST(target) "POST " target HEAD "Content-Length: 2\r\n\r\n{}"
#define PUT(target)  "PUT " target HEAD "Content-Length: 2\r\n\r\n{}"
#define BODY         "Content-Length: 2\r\n\r\n{}"
#define OK(rev)      "HTTP/1.1 200 OK\r\nETag: \"" rev "\"\r\n" BODY
#define TOLD(text)   "Transfer-Encoding: chunked\r\n\r\n" text "\r\n0\r\n\r\n"
#define ROW(id, rev) TOLD("23\r\n{\"ok\":true,\"id\":\"" id "\",\"rev\":\"" rev "\"}\n")
#define DONE(rev)    "HTTP/1.1 201 Created\r\n" ROW("doc", rev)
#define MISSING      "HTTP/1.1 404 Object Not Found\r\n" BODY

static void prepare(struct rig *r)
{
    rig_init(r, 3);
    r->config.pool_max_idle = 0;
    r->config.recent_ms = 10000;
    r->config.rules = (struct dp_rules){
        .all = {.mode = DP_MODE_WRITE_PRIMARY, .writes_failover = true}, .nearest = true};
    r->view->regions[0].latency_us = r->view->regions[1].latency_us = 5000;
    r->view->regions[2].latency_us = 80000;
    r->view->active = r->view->home = 2;
    r->recent = dp_recent_new(64, 1);
    assert_non_null(r->recent);
}

static void setup(struct rig *r)
{
    prepare(r);
    rig_start(r);
}

static void done(struct rig *r)
{
    rig_fini(r);
    dp_recent_free(r->recent);
}

static int number(const struct rig_peer *up)
{
    return up->ip[strlen(up->ip) - 1] - '0';
}

/* Send a request; its region, which has to answer. */
static struct rig_peer *ask(struct rig *r, struct rig_peer **client, const char *request)
{
    *client = rig_client(r);
    const size_t before = r->n_regions;
    rig_send(*client, request);
    struct rig_peer *up = rig_dialed(r, before + 1);
    rig_connect(up, DP_OK);
    return up;
}

static void write_one(struct rig *r, const char *request, const char *answer)
{
    struct rig_peer *c, *up = ask(r, &c, request);
    assert_int_equal(number(up), 2);
    rig_send(up, answer);
    assert_memory_equal(c->got, answer, 12);
}

/* Its near region answers so; the region that the read was sent to then, or -1: that answer was the client's. */
static int read_one(struct rig *r, const char *request, const char *answer)
{
    struct rig_peer *c, *up = ask(r, &c, request);
    const size_t before = r->n_regions;
    assert_int_not_equal(number(up), 2);
    rig_send(up, answer);
    if (r->n_regions == before) {
        assert_memory_equal(c->got, answer, 12);
        return -1;
    }
    assert_string_equal(c->got, "");
    up = rig_dialed(r, before + 1);
    rig_connect(up, DP_OK);
    rig_send(up, OK("9-z"));
    assert_non_null(strstr(c->got, "9-z"));
    return number(up);
}

static void what_is_older_is_read_again(void **state)
{
    static const struct {
        const char *get, *answer;
        int then;
    } cases[] = {
        {GET("/db/doc"), OK("1-a"), 2},
        {GET("/db/doc"), OK("2-b"), -1},
        {GET("/db/doc"), OK("3-c"), -1},
        {GET("/db/doc"), OK("2-rival"), 2},
        {GET("/db/doc"), MISSING, 2},
        {GET("/db/do%63?conflicts=true"), OK("1-a"), 2},
        {GET("/db/doc/file"), MISSING, 2},
        {"GET /db/doc" HEAD "If-None-Match: \"1-a\"\r\n\r\n",
         "HTTP/1.1 304 Not Modified\r\nETag: \"1-a\"\r\n\r\n", 2},
        {"GET /db/doc" HEAD "If-None-Match: \"2-b\"\r\n\r\n",
         "HTTP/1.1 304 Not Modified\r\nETag: \"2-b\"\r\n\r\n", -1},
        {"HEAD /db/doc" HEAD "\r\n",
         "HTTP/1.1 200 OK\r\nETag: \"1-a\"\r\nContent-Length: 2\r\n\r\n", 2},
        /* no word of a revision: not judged */
        {GET("/db/doc"), "HTTP/1.1 200 OK\r\n" BODY, -1},
        {GET("/db/doc/file"), OK("t7/bw8OO2ODy1reTbwy0cw=="), -1},
        /* other documents, and what is no document */
        {GET("/db/other"), MISSING, -1},
        {GET("/other/doc"), MISSING, -1},
        {GET("/db/_all_docs"), OK("1-a"), -1},
        {GET("/db/doc"), "HTTP/1.1 500 E\r\n" BODY, -1},
        {GET("/db/doc"), "HTTP/1.1 401 E\r\n" BODY, -1},
    };
    struct rig r;
    (void)state;
    setup(&r);
    write_one(&r, PUT("/db/doc"), DONE("2-b"));
    unsigned again = 0;
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        const int then = read_one(&r, cases[i].get, cases[i].answer);
        if (then != cases[i].then)
            fail_msg("case %zu went to %d", i, then);
        again += then == 2;
    }
    assert_int_equal(dp_counter_get(&r.traffic.rereads), again);
    assert_int_equal(dp_counter_get(&r.traffic.stale_reads), 0);
    done(&r);
}

/* Its body is longer than what is kept for sending again. */
static void what_can_not_be_sent_again(void **state)
{
    struct rig r;
    struct rig_peer *c;
    (void)state;
    setup(&r);
    r.config.replay_body_bytes = 4;
    write_one(&r, PUT("/db/doc"), DONE("2-b"));
    struct rig_peer *up = ask(&r, &c, "GET /db/doc" HEAD "Content-Length: 8\r\n\r\n");
    rig_send(c, "12345678");
    const size_t before = r.n_regions;
    rig_send(up, OK("1-a"));
    assert_int_equal(r.n_regions, before);
    assert_memory_equal(c->got, "HTTP/1.1 200", 12);
    done(&r);
}

static void what_teaches(void **state)
{
    static const struct {
        const char *write, *answer;
        int then; /* of a read that finds nothing */
    } cases[] = {
        {PUT("/db/doc"), DONE("1-a"), 2},
        {PUT("/db/d%6Fc?new_edits=false"), DONE("1-a"), 2},
        {PUT("/db/doc?batch=ok"), "HTTP/1.1 202 Accepted\r\n" ROW("doc", "1-a"), -1},
        {PUT("/db/doc"), "HTTP/1.1 202 Accepted\r\n" ROW("doc", "1-a"), 2}, /* below quorum */
        {PUT("/db/doc"), "HTTP/1.1 409 Conflict\r\n" ROW("doc", "1-a"), -1},
        {"DELETE /db/doc?rev=1-a" HEAD "\r\n", "HTTP/1.1 200 OK\r\n" ROW("doc", "2-b"), -1},
        {"DELETE /db/doc/?rev=1-a" HEAD "\r\n", "HTTP/1.1 200 OK\r\n" ROW("doc", "2-b"), -1},
        {"DELETE /db/doc/file?rev=1-a" HEAD "\r\n", "HTTP/1.1 200 OK\r\n" ROW("doc", "2-b"), 2},
        {PUT("/db/doc/file"), DONE("1-a"), 2},
        {POST("/db"), DONE("1-a"), 2},
        {"COPY /db/x" HEAD "Destination: doc\r\n\r\n", DONE("1-a"), 2},
        {"COPY /db/doc" HEAD "Destination: x\r\n\r\n", "HTTP/1.1 201 Created\r\n" ROW("xxx", "1-a"),
         -1},
        {POST("/db/_bulk_docs"),
         "HTTP/1.1 201 Created\r\n" TOLD("46\r\n[{\"ok\":true,\"id\":\"x\",\"rev\":\"1-a\"},"
                                         "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-a\"}]\n"),
         2},
        {POST("/db/_bulk_docs"),
         "HTTP/1.1 201 Created\r\n" TOLD("22\r\n[{\"id\":\"doc\",\"error\":\"conflict\"}]\n"), -1},
        {POST("/other"), DONE("1-a"), -1},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        struct rig r;
        setup(&r);
        write_one(&r, cases[i].write, cases[i].answer);
        const int then = read_one(&r, GET("/db/doc"), MISSING);
        if (then != cases[i].then)
            fail_msg("case %zu went to %d", i, then);
        done(&r);
    }
}

/* A region that lags still has what is deleted. */
static void what_is_deleted_is_gone(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    write_one(&r, "DELETE /db/doc?rev=1-a" HEAD "\r\n", "HTTP/1.1 200 OK\r\n" ROW("doc", "2-b"));
    assert_int_equal(read_one(&r, GET("/db/doc"), OK("1-a")), 2);
    assert_int_equal(read_one(&r, GET("/db/doc"), MISSING), -1);
    assert_int_equal(read_one(&r, GET("/db/doc"), OK("3-c")), -1); /* made anew */
    done(&r);
}

static void only_for_a_while(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    write_one(&r, PUT("/db/doc"), DONE("2-b"));
    rig_wait(&r, 9000);
    assert_int_equal(read_one(&r, GET("/db/doc"), OK("1-a")), 2);
    rig_wait(&r, 3000);
    assert_int_equal(read_one(&r, GET("/db/doc"), OK("1-a")), -1);
    done(&r);
}

/* The region that has it is lost: an older answer is better than none. */
static void the_writer_is_lost(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    write_one(&r, PUT("/db/doc"), DONE("2-b"));
    rig_publish(&r, 2, DP_ROUTE_DOWN, 0);
    assert_int_equal(read_one(&r, GET("/db/doc"), OK("1-a")), -1);
    assert_int_equal(dp_counter_get(&r.traffic.stale_reads), 1);
    done(&r);
}

/* It fails while it is asked: the near region is asked again, and its answer is taken. */
static void the_writer_fails(void **state)
{
    struct rig r;
    struct rig_peer *c;
    (void)state;
    setup(&r);
    write_one(&r, PUT("/db/doc"), DONE("2-b"));
    struct rig_peer *up = ask(&r, &c, GET("/db/doc"));
    size_t before = r.n_regions;
    rig_send(up, OK("1-a"));
    up = rig_dialed(&r, before + 1);
    assert_int_equal(number(up), 2);
    rig_connect(up, DP_ECONNECT);
    up = rig_dialed(&r, before + 2);
    assert_int_not_equal(number(up), 2);
    rig_connect(up, DP_OK);
    rig_send(up, OK("1-a"));
    assert_non_null(strstr(c->got, "1-a"));
    done(&r);
}

/* Region 2 takes one request at a time, and has one: nobody may wait there, or somebody does in vain. */
static void the_writer_is_busy(void **state)
{
    (void)state;
    for (uint32_t waiting = 0; waiting < 2; waiting++) {
        struct rig r;
        struct rig_peer *c, *other;
        prepare(&r);
        r.config.max_waiting = waiting;
        r.config.budgets[DP_BUDGET_RETRY] = (struct dp_budget_config){0, 0};
        r.view->endpoints[2].max_in_flight = 1;
        rig_start(&r);
        write_one(&r, PUT("/db/doc"), DONE("2-b"));
        (void)ask(&r, &other, PUT("/db/other"));
        struct rig_peer *up = ask(&r, &c, GET("/db/doc"));
        const size_t before = r.n_regions;
        rig_send(up, OK("1-a"));
        assert_int_equal(r.n_regions, before);
        if (waiting > 0) {
            assert_string_equal(c->got, "");
            rig_pass(&r, 3500);
            up = rig_dialed(&r, before + 1);
            assert_int_not_equal(number(up), 2);
            rig_connect(up, DP_OK);
            rig_send(up, OK("1-a"));
        }
        assert_non_null(strstr(c->got, "1-a"));
        assert_int_equal(dp_counter_get(&r.traffic.rereads), waiting);
        assert_int_equal(dp_counter_get(&r.traffic.stale_reads), 1 - waiting);
        done(&r);
    }
}

/* The near region was late, and nobody else to be had: what it answers at last is judged all the same. */
static void a_late_answer(void **state)
{
    struct rig r;
    struct rig_peer *c;
    (void)state;
    setup(&r);
    r.config.try_timeout_ms = 1000;
    write_one(&r, PUT("/db/doc"), DONE("2-b"));
    const struct dp_budget_config budget = r.config.budgets[DP_BUDGET_FAILOVER];
    r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 0};
    struct rig_peer *up = ask(&r, &c, GET("/db/doc"));
    const size_t before = r.n_regions;
    rig_pass(&r, 2000);
    assert_int_equal(r.n_regions, before);
    r.config.budgets[DP_BUDGET_FAILOVER] = budget;
    rig_send(up, OK("1-a"));
    assert_int_equal(number(rig_dialed(&r, before + 1)), 2);
    done(&r);
}

/* Region 0 is back, and on trial: what it answers is held against what was written, and where it does not say what it has
 * it is not taken. */
static void what_was_written_is_read_on_trial(void **state)
{
    static const struct {
        const char *get, *answer;
        int then;
    } cases[] = {
        {GET("/db/doc"), OK("2-b"), -1},
        {GET("/db/doc"), OK("1-a"), 2},
        {GET("/db/doc"), MISSING, 2},
        {GET("/db/doc?conflicts=true"), "HTTP/1.1 200 OK\r\n" BODY, 2},
        {GET("/db/doc/file"), OK("t7/bw8OO2ODy1reTbwy0cw=="), 2},
    };
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        struct rig r;
        prepare(&r);
        if (plain)
            r.config.rules.all.mode = DP_MODE_ACTIVE_PASSIVE;
        r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 0};
        r.view->trial_mask = 1;
        r.view->trials = 10;
        r.view->endpoints[0].trial = 1;
        r.view->endpoints[0].state = r.view->regions[0].state = DP_ROUTE_BARRED;
        r.view->endpoints[2].max_in_flight = 1;
        rig_start(&r);
        write_one(&r, PUT("/db/doc"), DONE("2-b"));
        for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
            const int then = read_one(&r, cases[i].get, cases[i].answer);
            if (then != cases[i].then)
                fail_msg("case %zu went to %d", i, then);
        }
        assert_int_equal(dp_counter_get(&r.traffic.trials), DP_ARRAY_LEN(cases));
        assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_ANSWERED]),
                         DP_ARRAY_LEN(cases));

        /* nobody could give a better answer: no trial */
        struct rig_peer *c;
        r.config.max_waiting = 0;
        (void)ask(&r, &c, PUT("/db/other"));
        c = rig_client(&r);
        rig_send(c, GET("/db/doc"));
        assert_int_equal(dp_counter_get(&r.traffic.trials), DP_ARRAY_LEN(cases));
        done(&r);
    }
}

/* Where all goes to one region its answers are what there is. */
static void not_in_active_passive(void **state)
{
    struct rig r;
    struct rig_peer *c;
    (void)state;
    setup(&r);
    r.config.rules.all.mode = DP_MODE_ACTIVE_PASSIVE;
    struct rig_peer *up = ask(&r, &c, PUT("/db/doc"));
    rig_send(up, DONE("2-b"));
    rig_publish(&r, 2, DP_ROUTE_OK, 0);
    up = ask(&r, &c, GET("/db/doc"));
    assert_int_equal(number(up), 0);
    rig_send(up, OK("1-a"));
    assert_non_null(strstr(c->got, "1-a"));
    done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_older_is_read_again),
        cmocka_unit_test(what_can_not_be_sent_again),
        cmocka_unit_test(what_teaches),
        cmocka_unit_test(what_is_deleted_is_gone),
        cmocka_unit_test(only_for_a_while),
        cmocka_unit_test(the_writer_is_lost),
        cmocka_unit_test(the_writer_fails),
        cmocka_unit_test(the_writer_is_busy),
        cmocka_unit_test(a_late_answer),
        cmocka_unit_test(what_was_written_is_read_on_trial),
        cmocka_unit_test(not_in_active_passive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
