/* The whole engine when memory runs out: each scenario is played again and again, and the first, the second, the
 * third … allocation fails, until it needs no more of them. Nothing crashes, nothing leaks (rig_fini, the leak
 * sanitizer), no region is blamed, the client sees an answer, a 503 or the end of its connection, and the next client
 * is served. */
#include "davenport/http/reader.h"
#include "davenport/proxy/login_limit.h"
#include "davenport/proxy/tracing.h"

#include "support/nomem.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define GET "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

/* More than any scenario needs: it went in circles. */
#define ALLOCATIONS_MAX 500

/* ---- what the peers do; each does nothing when the engine let go of it ---- */

static void say(struct rig_peer *p, const char *text, size_t step)
{
    const size_t n = strlen(text);
    for (size_t at = 0; at < n && !p->closed && p->reading; at += step)
        rig_send_bytes(p, text + at, n - at < step ? n - at : step, 0);
}

/* Every dial is answered. */
static void connect_all(struct rig *r, enum dp_err err)
{
    for (size_t i = 0; i < r->n_regions; i++) {
        struct rig_peer *p = r->regions[i];
        if (!p->closed && !p->reading)
            rig_connect(p, err);
    }
}

/* Every region that was asked something says this. */
static void answer_all(struct rig *r, const char *text, size_t step)
{
    for (size_t i = 0; i < r->n_regions; i++) {
        struct rig_peer *p = r->regions[i];
        if (!p->closed && p->reading && p->got_bytes > 0) {
            rig_clear(p);
            say(p, text, step);
        }
    }
}

static void serve(struct rig *r)
{
    for (int i = 0; i < 4; i++) {
        connect_all(r, DP_OK);
        answer_all(r, OK, SIZE_MAX / 2);
    }
}

/* ---- scenarios ---- */

static void get(struct rig *r)
{
    say(rig_client(r), GET, SIZE_MAX / 2);
    serve(r);
}

static void get_byte_by_byte(struct rig *r)
{
    say(rig_client(r), GET, 1);
    connect_all(r, DP_OK);
    answer_all(r, OK, 1);
}

/* Half of the answer, then its region is gone. */
static void kept_then_moved(struct rig *r)
{
    say(rig_client(r), GET, SIZE_MAX / 2);
    connect_all(r, DP_OK);
    answer_all(r, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", SIZE_MAX / 2);
    rig_publish(r, 0, DP_ROUTE_DOWN, 1);
    rig_wait(r, 50);
    for (size_t i = 0; i < r->n_regions;
         i++) /* what could not be kept went on, and has its end yet to come */
        say(r->regions[i], "i", 1);
    serve(r);
}

static void put_that_is_retried(struct rig *r)
{
    struct rig_peer *c = rig_client(r);
    say(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234", SIZE_MAX / 2);
    connect_all(r, DP_OK);
    say(c, "56789", 1);
    for (size_t i = 0; i < r->n_regions; i++) {
        if (!r->regions[i]->closed && r->regions[i]->reading)
            rig_end(r->regions[i], DP_ERESET);
    }
    serve(r);
}

static void post_that_gets_its_ids(struct rig *r)
{
    static const char body[] =
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\xc9\x4f\x2e"
        "\x56\xb2\x8a\xae\xae\x8d\xad\x05\x00\x35\x51\x25\x52\x0d\x00\x00\x00";
    r->config.mint_ids = true;
    for (int gzip = 0; gzip < 2; gzip++) {
        struct rig_peer *c = rig_client(r);
        if (!gzip) {
            say(c,
                "POST /db HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\n\r\n{}",
                SIZE_MAX / 2);
        } else {
            say(c,
                "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                "Content-Encoding: gzip\r\nContent-Length: 33\r\n\r\n",
                SIZE_MAX / 2);
            if (!c->closed && c->reading)
                rig_send_bytes(c, body, sizeof(body) - 1, 0);
        }
        serve(r);
    }
    r->config.mint_ids = false;
}

/* Its second attempt meets the first one's trace, and a branch that somebody built on it. */
static void put_that_meets_its_trace(struct rig *r)
{
    struct rig_peer *c = rig_client(r);
    r->config.resolve_conflicts = true;
    say(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}", SIZE_MAX / 2);
    connect_all(r, DP_OK);
    for (size_t i = 0; i < r->n_regions; i++) {
        if (!r->regions[i]->closed && r->regions[i]->got_bytes > 0)
            rig_end(r->regions[i], DP_ERESET);
    }
    connect_all(r, DP_OK);
    answer_all(r, "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 1);
    connect_all(r, DP_OK);
    answer_all(r,
               "HTTP/1.1 200 OK\r\nContent-Length: 85\r\n\r\n[{\"ok\":{\"_id\":\"doc\",\"v\":2,"
               "\"_rev\":\"2-bb\",\"_revisions\":{\"start\":2,\"ids\":[\"bb\",\"aa\"]}}}]",
               1);
    answer_all(r, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":1}", 1);
    assert_true(nomem_happened() || dp_counter_get(&r->traffic.conflicts_settled) == 1);
    serve(r);
    r->config.resolve_conflicts = false;
}

/* A database, which then goes to the other region, too. */
static void database_that_meets_its_trace(struct rig *r)
{
    struct rig_peer *c = rig_client(r);
    r->config.resolve_conflicts = true;
    say(c, "PUT /db HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", SIZE_MAX / 2);
    connect_all(r, DP_OK);
    for (size_t i = 0; i < r->n_regions; i++) {
        if (!r->regions[i]->closed && r->regions[i]->got_bytes > 0)
            rig_end(r->regions[i], DP_ERESET);
    }
    connect_all(r, DP_OK);
    answer_all(r, "HTTP/1.1 412 P\r\nContent-Length: 2\r\n\r\n{}", 1);
    answer_all(
        r,
        "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 17:42:33 GMT\r\nContent-Length: 37\r\n\r\n"
        "{\"instance_start_time\":\"1795369353\"}\n",
        1);
    connect_all(r, DP_OK);
    answer_all(r, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", 1);
    assert_true(nomem_happened() || dp_counter_get(&r->traffic.conflicts_settled) == 1);
    assert_true(nomem_happened() || dp_counter_get(&r->traffic.spread) == 1);
    serve(r);
    r->config.resolve_conflicts = false;
}

/* The same of rows; the region keeps its connection. */
static void rows_that_meet_their_trace(struct rig *r)
{
    struct rig_peer *c = rig_client(r);
    r->config.mint_ids = r->config.resolve_conflicts = true;
    say(c,
        "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 22\r\n\r\n{\"docs\":[{\"_id\":\"a\"}]}",
        SIZE_MAX / 2);
    connect_all(r, DP_OK);
    for (size_t i = 0; i < r->n_regions; i++) {
        if (!r->regions[i]->closed && r->regions[i]->got_bytes > 0)
            rig_end(r->regions[i], DP_ERESET);
    }
    connect_all(r, DP_OK);
    answer_all(
        r,
        "HTTP/1.1 201 Created\r\nContent-Length: 31\r\n\r\n[{\"id\":\"a\",\"error\":\"conflict\"}]",
        1);
    answer_all(r,
               "HTTP/1.1 200 OK\r\nContent-Length: "
               "80\r\n\r\n{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"_revisions\":{\"start\":"
               "1,\"ids\":[\"aa\"]}}}]}]}",
               1);
    assert_true(nomem_happened() || dp_counter_get(&r->traffic.rows_settled) == 1);
    serve(r);
    r->config.mint_ids = r->config.resolve_conflicts = false;
}

static void refused_then_served(struct rig *r)
{
    say(rig_client(r), GET, SIZE_MAX / 2);
    connect_all(r, DP_ECONNECT);
    serve(r);
}

static void chunked_both_ways(struct rig *r)
{
    say(rig_client(r),
        "POST /db HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        7);
    connect_all(r, DP_OK);
    answer_all(r,
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
               "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 2\r\n\r\n",
               7);
}

static void feed_that_moves(struct rig *r)
{
    say(rig_client(r), "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n",
        SIZE_MAX / 2);
    connect_all(r, DP_OK);
    answer_all(r, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n", SIZE_MAX / 2);
    rig_publish(r, 0, DP_ROUTE_DOWN, 1);
    rig_wait(r, 50); /* a view that had no memory comes with the next tick */
    assert_int_equal(r->engine.view->view->active, 1);
}

static void line_for_one_connection(struct rig *r)
{
    r->config.max_upstream = 1;
    for (int i = 0; i < 3; i++)
        say(rig_client(r), GET, SIZE_MAX / 2);
    serve(r);
}

static void pipelined(struct rig *r)
{
    say(rig_client(r), GET GET GET, SIZE_MAX / 2);
    serve(r);
}

static void behind_a_load_balancer(struct rig *r)
{
    r->config.proxy_header = true;
    say(rig_client(r), "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n" GET, SIZE_MAX / 2);
    r->config.proxy_header = false;
    serve(r);
}

static void too_many(struct rig *r)
{
    r->config.max_connections = 1;
    struct rig_peer *first = rig_client(r);
    (void)rig_client(r);
    r->config.max_connections = 0;
    say(first, GET, SIZE_MAX / 2);
    serve(r);
}

static void refused_for_what_it_is(struct rig *r)
{
    say(rig_client(r), "GET / HTTP/1.1\r\n\r\n", SIZE_MAX / 2);
}

static void large_head(struct rig *r)
{
    char text[6000];
    (void)snprintf(text, sizeof(text), "GET http://a?x HTTP/1.1\r\nHost: a\r\nX: %05000d\r\n\r\n",
                   1);
    say(rig_client(r), text, 1000);
    serve(r);
}

static void kept_warm(struct rig *r)
{
    r->config.pool_warm = 1;
    rig_wait(r, 1000);
    get(r);
    r->config.pool_warm = 0;
}

static void held_then_served(struct rig *r)
{
    r->engine.hold.config = (struct dp_hold_config){
        .limit_ns = 5 * DP_NS_PER_S, .max_bytes = 10000, .max_requests = 5, .release_per_s = 1000};
    rig_publish(r, 0, DP_ROUTE_DOWN, DP_NO_REGION);
    rig_publish(r, 1, DP_ROUTE_DOWN, DP_NO_REGION);
    rig_wait(r, 50);
    say(rig_client(r), GET, SIZE_MAX / 2);
    say(rig_client(r), "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 20);
    rig_publish(r, 1, DP_ROUTE_OK, 1);
    rig_wait(r, 50); /* a view that had no memory comes with the next tick */
    serve(r);
    r->engine.hold.config.limit_ns = 0;
}

/* The second attempt waits for room in its budget. */
static void past_the_budget(struct rig *r)
{
    const struct dp_budget_config before = r->config.budgets[DP_BUDGET_FAILOVER];
    r->engine.hold.config = (struct dp_hold_config){
        .limit_ns = 5 * DP_NS_PER_S, .max_bytes = 10000, .max_requests = 5, .release_per_s = 1000};
    r->config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 0};
    say(rig_client(r), GET, SIZE_MAX / 2);
    connect_all(r, DP_ECONNECT);
    rig_pass(r, 100);
    r->config.budgets[DP_BUDGET_FAILOVER] = before;
    rig_pass(r, 100);
    serve(r);
    r->engine.hold.config.limit_ns = 0;
}

static void tried_elsewhere(struct rig *r)
{
    r->config.try_timeout_ms = 1000;
    r->view->endpoints[0].late_ms = 500;
    say(rig_client(r), GET, SIZE_MAX / 2);
    connect_all(r, DP_OK);
    rig_pass(r, 1500);
    serve(r);
    r->config.try_timeout_ms = 0;
}

static void past_its_deadline(struct rig *r)
{
    r->config.request_timeout_ms = 1000;
    dp_timer_class_change(&r->engine.waits[DP_WAIT_REQUEST], 1000);
    say(rig_client(r), GET, SIZE_MAX / 2);
    connect_all(r, DP_OK);
    rig_pass(r, 1500);
    r->config.request_timeout_ms = 0;
}

static void feeds_that_end_in_their_time(struct rig *r)
{
    r->config.feed_spread_ms = 500;
    r->config.feed_grace_ms = 500;
    r->config.feed_ends_on_move = true;
    for (unsigned dead = 0; dead < 2; dead++) {
        say(rig_client(r), "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n",
            SIZE_MAX / 2);
        connect_all(r, DP_OK);
        answer_all(r, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n",
                   SIZE_MAX / 2);
        rig_publish(r, 0, dead ? DP_ROUTE_DOWN : DP_ROUTE_OK, 1);
        rig_pass(r, 1500);
        if (!dead)
            rig_publish(r, 0, DP_ROUTE_OK, 0);
        rig_pass(r, 100);
    }
    r->config.feed_spread_ms = 0;
}

/* A session is begun, then a password is used; the region is told who asks. */
static void who_logs_in(struct rig *r)
{
    static const struct dp_client_user user = {
        "ann", "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$wVNdDJbDXytD3Ypu4dvQtX0COri6cW8h0XT6q2RUj3E",
        "x"};
    static const struct dp_clients_config clients = {
        .users = &user, .n_users = 1, .session_s = 600, .lock_failures = 5, .lock_s = 300};
    nomem_pause();
    struct dp_login_limit *limit = dp_login_limit_new(1);
    nomem_resume();
    r->engine.logins = limit;
    r->config.clients = &clients;
    say(rig_client(r),
        "POST /_session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 34\r\n\r\n{\"name\":\"ann\",\"password\":\"pencil\"}",
        SIZE_MAX / 2);
    rig_turn(r);
    say(rig_client(r),
        "GET /db/doc HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnBlbmNpbA==\r\n\r\n",
        SIZE_MAX / 2);
    rig_turn(r);
    serve(r);
    r->config.clients = NULL;
    r->engine.logins = NULL;
    dp_login_limit_free(limit);
}

static void hedged(struct rig *r)
{
    r->config.hedge_percent = 2;
    r->config.pool_warm = 1;
    r->view->endpoints[0].usual_ms = r->view->endpoints[1].usual_ms = 100;
    r->engine.hedges.hundredths = 100;
    rig_wait(r, 1000);
    connect_all(r, DP_OK);
    say(rig_client(r), GET, SIZE_MAX / 2);
    connect_all(r, DP_OK);
    rig_pass(r, 200);
    answer_all(r, OK, SIZE_MAX / 2);
    serve(r);
    r->config.pool_warm = 0;
    r->config.hedge_percent = 0;
}

/* A drill's faults, one after the other; what can't be made to fail for want of memory is served. */
static void in_a_drill(struct rig *r)
{
    static const struct dp_fault faults[] = {
        {.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL},
        {.kind = DP_FAULT_REFUSED, .share = DP_FAULT_ALL},
        {.kind = DP_FAULT_FLAKY, .share = DP_FAULT_ALL},
        {.kind = DP_FAULT_SLOW, .delay_ms = 100, .share = DP_FAULT_ALL},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(faults); i++) {
        rig_fault(r, 0, &faults[i]);
        rig_wait(r, 50); /* a view that had no memory comes with the next tick */
        say(rig_client(r), GET, SIZE_MAX / 2);
        connect_all(r, DP_OK);
        rig_pass(r, 200);
        rig_publish(r, 0, DP_ROUTE_DOWN, 1);
        rig_wait(r, 50);
        serve(r);
        rig_publish(r, 0, DP_ROUTE_OK, 0);
        rig_wait(r, 50);
    }
    rig_fault(r, 0, NULL);
    rig_wait(r, 50);
}

/* ---- what must hold ---- */

/* Whole answers, or a cut one on a connection that is closed. */
static void assert_sound(const struct rig_peer *c)
{
    const struct dp_reader_limits limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    struct dp_reader *reader = dp_reader_new(DP_READ_RESPONSES, &limits);
    struct dp_arena arena;
    struct dp_head head;
    struct dp_span span;
    enum dp_read read = DP_READ_DONE;
    size_t at = 0, used, n;
    assert_non_null(reader);
    dp_arena_init(&arena, NULL);
    while (at < c->got_bytes && read == DP_READ_DONE) {
        dp_reader_begin(reader, &arena, &head, DP_METHOD_GET);
        read = dp_reader_head(reader, c->got + at, c->got_bytes - at, &used);
        at += used;
        assert_true(read != DP_READ_DONE || head.status < 400 || head.status == 503 ||
                    head.status == 400 || head.status == 409 || head.status == 412);
        if (read == DP_READ_DONE)
            read = dp_reader_body(reader, NULL, 0, &used, &span, 1, &n);
        while (read == DP_READ_MORE && at < c->got_bytes) {
            read = dp_reader_body(reader, c->got + at, c->got_bytes - at, &used, &span, 1, &n);
            at += used;
        }
    }
    assert_int_not_equal(read, DP_READ_FAILED);
    assert_true(read == DP_READ_DONE || c->closed || c->finished);
    dp_reader_destroy(reader);
    dp_arena_reset(&arena);
}

static void assert_nobody_blamed(struct rig *r)
{
    for (unsigned i = 0; i < r->view->n_endpoints; i++) {
        for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
            bool ours = o != DP_OUTCOME_CONNECT_REFUSED && o != DP_OUTCOME_NO_ANSWER;
            if (ours && dp_outcome_verdict((enum dp_outcome)o) == DP_VERDICT_BAD)
                assert_int_equal(dp_counter_get(&r->traffic.endpoints[i].outcomes[o]), 0);
        }
    }
}

static struct dp_tracing_ring *spans; /* every request is traced; it soon is full */

static bool play(void (*scenario)(struct rig *), unsigned n)
{
    struct rig r;
    rig_init(&r, 2);
    r.config.trace_sample = DP_TRACE_SAMPLE_ALL;
    r.spans = spans;
    rig_start(&r);
    nomem_at(n);
    scenario(&r);
    const bool happened = nomem_happened();
    nomem_at(0);
    assert_nobody_blamed(&r);
    for (size_t i = 0; i < r.n_clients; i++)
        assert_sound(r.clients[i]);
    /* those who are still at it go, and the next one is served */
    for (size_t i = 0; i < r.n_clients; i++) {
        if (!r.clients[i]->closed)
            rig_end(r.clients[i], DP_ERESET);
    }
    struct rig_peer *next = rig_client(&r);
    say(next, GET, SIZE_MAX / 2);
    serve(&r);
    assert_non_null(strstr(next->got, "HTTP/1.1 200 OK"));
    rig_fini(&r);
    return happened;
}

static void every_allocation_may_fail(void **state)
{
    static const struct {
        const char *name;
        void (*scenario)(struct rig *);
        unsigned least; /* so many allocations it needs: else nothing was tried */
    } rows[] = {
        {"get", get, 6},
        {"get byte by byte", get_byte_by_byte, 6},
        {"kept, then moved", kept_then_moved, 9},
        {"put that is retried", put_that_is_retried, 8},
        {"post that gets its ids", post_that_gets_its_ids, 8},
        {"put that meets its trace", put_that_meets_its_trace, 18},
        {"database that meets its trace", database_that_meets_its_trace, 14},
        {"rows that meet their trace", rows_that_meet_their_trace, 14},
        {"refused, then served", refused_then_served, 8},
        {"chunked both ways", chunked_both_ways, 6},
        {"feed that moves", feed_that_moves, 6},
        {"line for one connection", line_for_one_connection, 9},
        {"pipelined", pipelined, 6},
        {"too many", too_many, 5},
        {"behind a load balancer", behind_a_load_balancer, 5},
        {"refused for what it is", refused_for_what_it_is, 3},
        {"large head", large_head, 6},
        {"kept warm", kept_warm, 9},
        {"held, then served", held_then_served, 9},
        {"past the budget", past_the_budget, 8},
        {"tried elsewhere", tried_elsewhere, 8},
        {"past its deadline", past_its_deadline, 5},
        {"feeds that end in their time", feeds_that_end_in_their_time, 8},
        {"hedged", hedged, 9},
        {"who logs in", who_logs_in, 9},
        {"in a drill", in_a_drill, 20},
    };
    (void)state;
    spans = dp_tracing_ring_new(64);
    assert_non_null(spans);
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        unsigned n = 1;
        while (play(rows[i].scenario, n)) {
            n++;
            assert_true(n < ALLOCATIONS_MAX);
        }
        print_message("%s: %u allocations\n", rows[i].name, n - 1);
        assert_in_range(n - 1, rows[i].least, ALLOCATIONS_MAX);
    }
    dp_tracing_ring_free(spans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
