/* How often and how long: budgets of second attempts, the time of one attempt, the time of a request; and feeds that
 * are ended when their region is left. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char put[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
static const char post[] = "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
static const char view[] = "GET /db/_design/d/_view/v HTTP/1.1\r\nHost: a\r\n\r\n";
static const char feed[] = "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n";
static const char longpoll[] = "GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

#define FEED_HEAD "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LINE      "3\r\n{}\n\r\n"

static uint64_t outcome(const struct rig *r, unsigned endpoint, enum dp_outcome o)
{
    return dp_counter_get(&r->traffic.endpoints[endpoint].outcomes[o]);
}

static void assert_told(const struct rig_peer *c, const char *word)
{
    assert_int_equal(strncmp(c->got, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(c->got, word));
}

static void hold_on(struct rig *r)
{
    r->config.hold_ms = 5000;
    r->config.hold_requests = 10;
    r->config.hold_bytes = 100000;
    r->config.hold_release_per_s = 1000;
}

/* ---- budgets ---- */

static void a_failover_past_its_budget_is_told_or_waits(void **state)
{
    (void)state;
    for (int hold = 0; hold < 2; hold++) {
        struct rig r;
        struct rig_peer *c[2], *up[2];
        rig_init(&r, 2);
        r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 1};
        if (hold)
            hold_on(&r);
        rig_start(&r);
        for (int i = 0; i < 2; i++)
            c[i] = rig_request(&r, get, &up[i]);
        rig_end(up[0], DP_ERESET);
        rig_end(up[1], DP_ERESET);
        struct rig_peer *second = rig_dialed(&r, 3);
        assert_int_equal(dp_counter_get(&r.traffic.budget_refused), 1);
        rig_connect(second, DP_OK);
        if (!hold) {
            assert_told(c[1], "\"retry_budget_exhausted\"");
            assert_non_null(strstr(c[1]->got, "Retry-After: "));
        } else {
            rig_pass(&r, 1000);
            assert_int_equal(dp_counter_get(&r.traffic.held), 1);
        }
        rig_send(second, ok);
        assert_string_equal(c[0]->got, ok);
        if (hold) {
            rig_pass(&r, DP_TICK_MS);
            rig_send(second, ok); /* the same connection, free again */
            assert_string_equal(c[1]->got, ok);
        }
        rig_fini(&r);
    }
}

static void a_write_past_the_budget_is_told_the_truth(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 0};
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, put, &up);
    rig_end(up, DP_ERESET);
    assert_told(c, "\"outcome_unknown\"");
    rig_fini(&r);
}

/* Failovers don't take from what retries may, nor the other way round; and what never arrived is no second attempt. */
static void budgets_are_apart(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    hold_on(&r);
    r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 0};
    r.config.budgets[DP_BUDGET_RETRY] = (struct dp_budget_config){0, 1};
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, ok);
    rig_clear(c);
    rig_send(c, get);
    rig_end(up, DP_OK); /* stale */
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(c->got, ok);

    rig_fini(&r);

    rig_init(&r, 1);
    hold_on(&r);
    r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 0};
    r.config.budgets[DP_BUDGET_RETRY] = (struct dp_budget_config){0, 1};
    rig_start(&r);
    struct rig_peer *both[2];
    for (size_t i = 0; i < 2; i++) {
        both[i] = rig_client(&r);
        rig_send(both[i], get);
        rig_connect(rig_dialed(&r, i + 1), DP_ECONNECT);
    }
    rig_pass(&r, 500);
    up = rig_dialed(&r, 3); /* one of them is tried again, the other waits for that */
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    rig_pass(&r, DP_TICK_MS);
    assert_int_equal(r.n_regions, 3);
    rig_send(up, ok);
    assert_string_equal(both[0]->got, ok);
    assert_string_equal(both[1]->got, ok);
    rig_fini(&r);
}

static void an_answer_that_began_counts_no_more(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 1};
    rig_start(&r);
    for (size_t i = 0; i < 3; i++) {
        (void)rig_request(&r, feed, &up);
        rig_end(up, DP_ERESET);
        rig_connect(rig_dialed(&r, 2 * i + 2), DP_OK);
        rig_send(r.regions[2 * i + 1], FEED_HEAD LINE);
    }
    assert_int_equal(dp_counter_get(&r.traffic.budget_refused), 0);
    rig_fini(&r);
}

/* ---- the time of one attempt ---- */

static struct rig_peer *try_rig(struct rig *r, unsigned regions, uint32_t late_ms,
                                const char *request)
{
    struct rig_peer *up;
    rig_init(r, regions);
    r->view->endpoints[0].late_ms = late_ms;
    r->config.try_timeout_ms = 2000;
    rig_start(r);
    (void)rig_request(r, request, &up);
    return up;
}

static void what_takes_too_long_is_tried_elsewhere(void **state)
{
    static const char *const requests[] = {get, put};
    static const uint32_t late_ms[] = {0, 1000, 2000};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < DP_ARRAY_LEN(late_ms); k++) {
            struct rig r;
            struct rig_peer *up = try_rig(&r, 2, late_ms[k], requests[i]);
            rig_pass(&r, 1950);
            assert_int_equal(r.n_regions, 1);
            rig_pass(&r, 100);
            assert_true(up->closed);
            struct rig_peer *second = rig_dialed(&r, 2);
            rig_connect(second, DP_OK);
            rig_send(second, ok);
            assert_string_equal(r.clients[0]->got, ok);
            assert_int_equal(dp_counter_get(&r.traffic.try_timeouts), 1);
            /* it is evidence once: when it became late, or else now */
            assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].late), late_ms[k] > 0);
            assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWER_TIMEOUT), late_ms[k] == 0);
            rig_fini(&r);
        }
    }
}

static void what_may_take_long_or_has_nowhere_to_go_waits(void **state)
{
    static const struct {
        unsigned regions;
        const char *request;
    } rows[] = {{2, view}, {2, post}, {2, longpoll}, {1, get}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up = try_rig(&r, rows[i].regions, 1000, rows[i].request);
        rig_pass(&r, 10000);
        assert_false(up->closed);
        assert_int_equal(r.n_regions, 1);
        rig_send(up, ok);
        assert_non_null(strstr(r.clients[0]->got, "hi"));
        rig_fini(&r);
    }
}

/* ---- the time of a request ---- */

/* In whatever it is. */
static void no_request_waits_past_its_deadline(void **state)
{
    enum where { DIALING, SENT, HELD, IN_LINE, WHERE_COUNT };
    static const char *const requests[] = {get, put, post, view};
    (void)state;
    for (int where = 0; where < WHERE_COUNT; where++) {
        for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
            struct rig r;
            const bool writes = requests[i] == put || requests[i] == post;
            rig_init(&r, 1);
            hold_on(&r);
            r.config.request_timeout_ms = 3000;
            r.config.connect_timeout_ms = 60000;
            r.config.waiting_timeout_ms = 60000;
            r.config.max_upstream = 1;
            if (where == HELD)
                r.view->regions[0].state = r.view->endpoints[0].state = DP_ROUTE_DOWN;
            rig_start(&r);
            if (where == IN_LINE)
                rig_send(rig_client(&r), feed); /* has the only connection, and no deadline */
            struct rig_peer *c = rig_client(&r);
            rig_send(c, requests[i]);
            if (where == SENT)
                rig_connect(rig_dialed(&r, 1), DP_OK);
            rig_pass(&r, 2950);
            assert_int_equal(c->got_bytes, 0);
            rig_pass(&r, 100);
            assert_told(c,
                        where == SENT && writes ? "\"outcome_unknown\"" : "\"deadline_exceeded\"");
            assert_int_equal(dp_counter_get(&r.traffic.deadlines), 1);
            rig_fini(&r);
        }
    }
}

static void an_answer_that_began_may_take_its_time(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.request_timeout_ms = 3000;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send_bytes(up, ok, sizeof(ok) - 2, 0);
    rig_pass(&r, 10000);
    rig_send(up, "i");
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

/* ---- feeds ---- */

#define FEEDS 20

struct feeds {
    struct rig r;
    struct rig_peer *client[FEEDS], *up[FEEDS];
};

/* Their heads have not come yet. */
static void begin_feeds(struct feeds *f, const char *request, bool end_on_move)
{
    rig_init(&f->r, 2);
    f->r.config.max_upstream = FEEDS;
    f->r.config.feed_spread_ms = 2000;
    f->r.config.feed_ends_on_move = end_on_move;
    f->r.config.feed_grace_ms = 5000;
    rig_start(&f->r);
    for (size_t i = 0; i < FEEDS; i++)
        f->client[i] = rig_request(&f->r, request, &f->up[i]);
}

static void open_feeds(struct feeds *f, const char *request, bool end_on_move)
{
    begin_feeds(f, request, end_on_move);
    for (size_t i = 0; i < FEEDS; i++)
        rig_send(f->up[i], FEED_HEAD LINE);
}

/* How many have ended, and of these how many as if they were whole, which may leave their connections open. */
static size_t ended(const struct feeds *f, size_t *whole)
{
    size_t n = 0;
    *whole = 0;
    for (size_t i = 0; i < FEEDS; i++) {
        const struct rig_peer *c = f->client[i];
        const bool is_whole = strcmp(c->got + c->got_bytes - 5, "0\r\n\r\n") == 0;
        n += is_whole || c->finished || c->closed;
        *whole += is_whole;
    }
    return n;
}

/* They end within the span, and not in one moment. */
static void assert_spread(struct feeds *f, bool as_whole)
{
    size_t whole, before = 0, most = 0;
    for (unsigned ms = 0; ms <= 2000; ms += DP_TICK_MS) {
        const size_t now = ended(f, &whole);
        most = now - before > most ? now - before : most;
        before = now;
        rig_pass(&f->r, DP_TICK_MS);
    }
    assert_int_equal(ended(f, &whole), FEEDS);
    assert_int_equal(whole, as_whole ? FEEDS : 0);
    assert_true(most < FEEDS / 2);
}

static void feeds_of_a_dead_region_end_one_by_one(void **state)
{
    static const struct {
        const char *request;
        bool whole;
    } rows[] = {{feed, true}, {longpoll, false}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        static struct feeds f;
        open_feeds(&f, rows[i].request, true);
        rig_publish(&f.r, 0, DP_ROUTE_DOWN, 1);
        rig_publish(&f.r, 1, DP_ROUTE_OK, 1); /* another view does not put it off */
        assert_spread(&f, rows[i].whole);
        assert_int_equal(dp_counter_get(&f.r.traffic.feeds_ended), FEEDS);
        rig_fini(&f.r);
    }
}

static void feeds_whose_connections_broke_end_one_by_one(void **state)
{
    (void)state;
    static struct feeds f;
    open_feeds(&f, feed, true);
    for (size_t i = 0; i < FEEDS; i++)
        rig_end(f.up[i], DP_ERESET);
    rig_publish(&f.r, 0, DP_ROUTE_DOWN, 1);
    assert_spread(&f, true);
    assert_int_equal(outcome(&f.r, 0, DP_OUTCOME_TRUNCATED), FEEDS);
    assert_int_equal(outcome(&f.r, 0, DP_OUTCOME_ABANDONED), 0);
    rig_fini(&f.r);

    /* their clients may go first, and we too */
    open_feeds(&f, feed, true);
    for (size_t i = 0; i < FEEDS; i++)
        rig_end(f.up[i], DP_ERESET);
    rig_end(f.client[0], DP_OK);
    assert_true(f.client[0]->closed);
    dp_engine_drain(&f.r.engine);
    rig_turn(&f.r);
    size_t whole;
    assert_int_equal(ended(&f, &whole), FEEDS);
    rig_fini(&f.r);
}

static void feeds_that_broke_after_their_region_was_given_up_end(void **state)
{
    (void)state;
    static struct feeds f;
    open_feeds(&f, feed, true);
    rig_publish(&f.r, 0, DP_ROUTE_DOWN, 1);
    for (size_t i = 0; i < FEEDS; i++)
        rig_end(f.up[i], DP_ERESET);
    assert_spread(&f, true); /* each at the moment it had */
    rig_fini(&f.r);

    /* the same of those that were to end because traffic had moved */
    open_feeds(&f, feed, true);
    rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
    rig_pass(&f.r, 100);
    for (size_t i = 0; i < FEEDS; i++)
        rig_end(f.up[i], DP_ERESET);
    assert_spread(&f, true);
    rig_fini(&f.r);
}

static void feeds_follow_the_traffic_or_stay(void **state)
{
    size_t whole;
    (void)state;
    static struct feeds f;
    open_feeds(&f, feed, true);
    rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
    rig_pass(&f.r, 4900);
    assert_int_equal(ended(&f, &whole), 0);
    rig_send(f.up[0], LINE); /* goes on meanwhile */
    assert_spread(&f, true);
    rig_fini(&f.r);

    rig_init(&f.r, 2); /* it went while the answer was waited for */
    f.r.config.feed_ends_on_move = true;
    f.r.config.feed_grace_ms = 5000;
    rig_start(&f.r);
    f.client[0] = rig_request(&f.r, feed, &f.up[0]);
    rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
    rig_send(f.up[0], FEED_HEAD LINE);
    rig_pass(&f.r, 4900);
    assert_false(f.client[0]->finished || f.client[0]->closed);
    rig_pass(&f.r, 200);
    assert_string_equal(f.client[0]->got + f.client[0]->got_bytes - 5, "0\r\n\r\n");
    rig_fini(&f.r);

    open_feeds(&f, feed, true); /* it came back */
    rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
    rig_pass(&f.r, 4000);
    rig_publish(&f.r, 0, DP_ROUTE_OK, 0);
    rig_pass(&f.r, 20000);
    assert_int_equal(ended(&f, &whole), 0);
    rig_fini(&f.r);

    open_feeds(&f, feed, false);
    rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
    rig_pass(&f.r, 20000);
    assert_int_equal(ended(&f, &whole), 0);
    rig_publish(&f.r, 0, DP_ROUTE_DOWN, 1);
    assert_spread(&f, true);
    rig_fini(&f.r);

    open_feeds(&f, feed, true); /* it died before the grace was over */
    rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
    rig_pass(&f.r, 100);
    rig_publish(&f.r, 0, DP_ROUTE_DOWN, 1);
    assert_spread(&f, true);
    rig_fini(&f.r);
}

/* Their connections end, so they do: wherever traffic goes meanwhile. One that is one text is left to its end. */
static void feeds_of_a_worker_that_retires_end_in_time(void **state)
{
    static const char *const requests[] = {feed, longpoll};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        size_t whole;
        static struct feeds f;
        open_feeds(&f, requests[i], true);
        rig_publish(&f.r, 0, DP_ROUTE_OK, 1);
        dp_engine_retire(&f.r.engine, 1000);
        rig_publish(&f.r, 0, DP_ROUTE_OK, 0);
        rig_pass(&f.r, 1100);
        assert_int_equal(ended(&f, &whole), i == 0 ? FEEDS : 0);
        assert_int_equal(whole, i == 0 ? FEEDS : 0);
        rig_pass(&f.r, 10000); /* nor does it end later */
        assert_int_equal(ended(&f, &whole), i == 0 ? FEEDS : 0);
        rig_fini(&f.r);
    }
}

/* They were requests like any other when it did. */
static void feeds_whose_answers_come_after_that_end_one_by_one(void **state)
{
    static const struct {
        const char *request;
        unsigned drain_ms, within_ms;
    } rows[] = {{feed, 30000, 2000}, {feed, 2000, 1000}, {longpoll, 30000, 0}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        size_t whole;
        static struct feeds f;
        const size_t end = rows[i].within_ms ? FEEDS : 0;
        begin_feeds(&f, rows[i].request, true);
        f.r.config.drain_timeout_ms = rows[i].drain_ms;
        dp_engine_retire(&f.r.engine, rows[i].drain_ms / 2);
        for (size_t k = 0; k < FEEDS; k++)
            rig_send(f.up[k], FEED_HEAD LINE);
        rig_turn(&f.r);
        assert_int_equal(ended(&f, &whole), 0);
        rig_pass(&f.r, rows[i].within_ms / 2);
        assert_true(ended(&f, &whole) < FEEDS);
        rig_pass(&f.r, rows[i].within_ms / 2 + 2 * DP_TICK_MS);
        assert_int_equal(ended(&f, &whole), end);
        assert_int_equal(whole, end);
        rig_pass(&f.r, 10000);
        assert_int_equal(ended(&f, &whole), end);
        rig_fini(&f.r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failover_past_its_budget_is_told_or_waits),
        cmocka_unit_test(a_write_past_the_budget_is_told_the_truth),
        cmocka_unit_test(budgets_are_apart),
        cmocka_unit_test(an_answer_that_began_counts_no_more),
        cmocka_unit_test(what_takes_too_long_is_tried_elsewhere),
        cmocka_unit_test(what_may_take_long_or_has_nowhere_to_go_waits),
        cmocka_unit_test(no_request_waits_past_its_deadline),
        cmocka_unit_test(an_answer_that_began_may_take_its_time),
        cmocka_unit_test(feeds_of_a_dead_region_end_one_by_one),
        cmocka_unit_test(feeds_whose_connections_broke_end_one_by_one),
        cmocka_unit_test(feeds_that_broke_after_their_region_was_given_up_end),
        cmocka_unit_test(feeds_follow_the_traffic_or_stay),
        cmocka_unit_test(feeds_of_a_worker_that_retires_end_in_time),
        cmocka_unit_test(feeds_whose_answers_come_after_that_end_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
