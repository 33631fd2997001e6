/* The whole engine when memory runs out: each scenario is played again and again, and the first, the second, the
 * third … allocation fails, until it needs no more of them. Nothing crashes, nothing leaks (rig_fini, the leak
 * sanitizer), no region is blamed, the client sees an answer, a 503 or the end of its connection, and the next client
 * is served. */
#include "davenport/http/reader.h"

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
                    head.status == 400);
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

static bool play(void (*scenario)(struct rig *), unsigned n)
{
    struct rig r;
    rig_init(&r, 2);
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
        {"put that is retried", put_that_is_retried, 8},
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
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        unsigned n = 1;
        while (play(rows[i].scenario, n)) {
            n++;
            assert_true(n < ALLOCATIONS_MAX);
        }
        print_message("%s: %u allocations\n", rows[i].name, n - 1);
        assert_in_range(n - 1, rows[i].least, ALLOCATIONS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
