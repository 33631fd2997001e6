/* Attempts that fail: what is sent again, where, and what is never sent again. And views that
 * change meanwhile. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char put[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
static const char put_chunked[] =
    "PUT /db/doc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n";
static const char post[] = "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
static const char find[] = "POST /db/_find HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

static uint64_t outcome(const struct rig *r, unsigned endpoint, enum dp_outcome o)
{
    return dp_counter_get(&r->traffic.endpoints[endpoint].outcomes[o]);
}

static void assert_refused(const struct rig_peer *c, const char *status, const char *word)
{
    assert_int_equal(strncmp(c->got, status, strlen(status)), 0);
    assert_non_null(strstr(c->got, word));
}

static void a_refused_connection_moves_any_request(void **state)
{
    static const char *const requests[] = {get, put, put_chunked, post, find};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        struct rig r;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, requests[i]);
        rig_connect(rig_dialed(&r, 1), DP_ECONNECT);
        struct rig_peer *second = rig_dialed(&r, 2);
        assert_string_equal(second->ip, "10.0.0.1");
        rig_connect(second, DP_OK);
        assert_non_null(strstr(second->got, "Host: r1.example:80\r\n"));
        rig_send(second, ok);
        assert_string_equal(c->got, ok);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_CONNECT_REFUSED), 1);
        assert_int_equal(dp_counter_get(&r.traffic.rescued), 1);
        assert_int_equal(r.kicks, 1);
        rig_fini(&r);
    }
}

/* What each request becomes when its region dies before the first byte of an answer. */
static void a_death_before_the_answer(void **state)
{
    static const struct {
        const char *request;
        bool again;
    } rows[] = {{get, true}, {put, true}, {put_chunked, true}, {find, true}, {post, false}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        for (int partial = 0; partial < 2; partial++) {
            struct rig r;
            struct rig_peer *up;
            rig_init(&r, 2);
            rig_start(&r);
            struct rig_peer *c = rig_request(&r, rows[i].request, &up);
            if (partial)
                rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Le");
            rig_end(up, DP_ERESET);
            assert_int_equal(outcome(&r, 0, DP_OUTCOME_NO_ANSWER), 1);
            if (!rows[i].again) {
                assert_refused(c, "HTTP/1.1 503 ", "\"outcome_unknown\"");
                assert_null(strstr(c->got, "Retry-After"));
                assert_int_equal(r.n_regions, 1);
                rig_fini(&r);
                continue;
            }
            struct rig_peer *second = rig_dialed(&r, 2);
            rig_connect(second, DP_OK);
            const char *body = strstr(up->got, "\r\n\r\n"),
                       *again = strstr(second->got, "\r\n\r\n");
            assert_string_equal(again, body); /* the same body, to the byte */
            rig_send(second, ok);
            assert_string_equal(c->got, ok);
            rig_fini(&r);
        }
    }
}

static const char expecting[] =
    "POST /db HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";

/* A region that was only asked whether it wants the body has carried nothing out, whatever the method. */
static void a_body_that_is_held_back_may_go_anywhere(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, expecting, &up);
    rig_end(up, DP_ERESET);
    up = rig_dialed(&r, 2);
    rig_connect(up, DP_OK);
    assert_non_null(strstr(up->got, "Expect: 100-continue\r\n"));
    rig_send(up, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(c, "{}");
    rig_send(up, ok);
    assert_non_null(strstr(c->got, ok));
    rig_fini(&r);
}

/* With the body, or a byte of an answer, it may have been. */
static void a_body_that_is_held_back_no_more_stays(void **state)
{
    static const char *const answers[] = {NULL, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 2"};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(answers); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, expecting, &up);
        if (answers[i])
            rig_send(up, answers[i]);
        else
            rig_send(c, "{");
        rig_end(up, DP_ERESET);
        assert_non_null(strstr(c->got, "\"outcome_unknown\""));
        assert_int_equal(r.n_regions, 1);
        rig_fini(&r);
    }
}

/* No region is left to ask: that is said, and not that something may have happened. */
static void a_body_that_was_never_sent_has_no_unknown_outcome(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, expecting, &up);
    rig_end(up, DP_ERESET);
    assert_refused(c, "HTTP/1.1 503 ", "\"no_region_available\"");
    assert_non_null(strstr(c->got, "Connection: close"));
    rig_fini(&r);
}

/* The region is there but can't prove itself, or we to it: the next one, and evidence of its own kind. */
static void a_failed_handshake_moves_any_request(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, post);
    rig_connect(rig_dialed(&r, 1), DP_ETLS);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(c->got, ok);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_TLS_FAULT), 1);
    assert_int_equal(r.kicks, 1);
    rig_fini(&r);
}

static void no_region_left_is_said(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_connect(rig_dialed(&r, 1), DP_ECONNECT);
    rig_connect(rig_dialed(&r, 2), DP_ETIMEOUT);
    assert_refused(c, "HTTP/1.1 503 ", "\"no_region_available\"");
    assert_non_null(strstr(c->got, "Retry-After: 7\r\n"));
    assert_int_equal(outcome(&r, 1, DP_OUTCOME_CONNECT_TIMEOUT), 1);
    /* the connection lives on */
    assert_false(c->closed);
    rig_clear(c);
    rig_send(c, get);
    rig_connect(rig_dialed(&r, 3), DP_OK);
    rig_send(rig_dialed(&r, 3), ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

static void an_error_of_the_dial_itself_is_a_failed_attempt(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 2);
    rig_start(&r);
    r.dial_error = DP_EIO;
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    assert_refused(c, "HTTP/1.1 503 ", "\"no_region_available\"");
    rig_fini(&r);
}

/* Out of memory or descriptors: no region is blamed, and none is asked in its place. */
static void what_we_could_not_even_dial_blames_no_region(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct rig r;
        rig_init(&r, 2);
        rig_start(&r);
        r.dial_error = later ? DP_OK : DP_ENOMEM;
        struct rig_peer *c = rig_client(&r);
        rig_send(c, get);
        if (later)
            rig_connect(rig_dialed(&r, 1), DP_ENOMEM);
        assert_refused(c, "HTTP/1.1 503 ", "\"overloaded\"");
        assert_int_equal(r.n_regions, later);
        assert_int_equal(r.kicks, 0);
        for (enum dp_outcome o = 0; o < DP_OUTCOME_COUNT; o++)
            assert_int_equal(outcome(&r, 0, o) + outcome(&r, 1, o), 0);
        rig_fini(&r);
    }
}

/* A reused connection that turns out to be closed is no evidence against its region. */
static void a_stale_connection_is_replaced_in_the_same_region(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, ok);
    rig_clear(c);
    rig_send(c, get);
    rig_end(up, DP_ERESET);
    struct rig_peer *fresh = rig_dialed(&r, 2);
    assert_string_equal(fresh->ip, "10.0.0.0");
    rig_connect(fresh, DP_OK);
    rig_send(fresh, ok);
    assert_string_equal(c->got, ok);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_STALE), 1);
    assert_int_equal(r.kicks, 0);
    rig_fini(&r);
}

/* The race of a region that closes an idle connection just when a request goes out on it. */
static void a_post_that_never_arrived_is_sent_again(void **state)
{
    static const struct {
        enum dp_err end;   /* how the connection ended */
        uint64_t received; /* bytes of the second request that the region's kernel acknowledged */
        bool again;
    } rows[] = {{DP_OK, 0, true}, {DP_OK, 1, false}, {DP_ERESET, 0, false}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, post, &up);
        rig_send(up, ok);
        rig_clear(c);
        up->reached = up->written + rows[i].received;
        rig_send(c, post);
        rig_end(up, rows[i].end);
        if (rows[i].again) {
            rig_connect(rig_dialed(&r, 2), DP_OK);
            rig_send(rig_dialed(&r, 2), ok);
            assert_string_equal(c->got, ok);
        } else {
            assert_refused(c, "HTTP/1.1 503 ", "\"outcome_unknown\"");
            assert_int_equal(r.n_regions, 1);
        }
        rig_fini(&r);
    }
}

/* A region that says something before it closes an idle connection (a 408, as some do), when the request could not go
 * out any more, or waits for room: what it says is no answer to it, and what could not be sent at all may go again. */
static void what_came_before_the_request_could_go_is_no_answer(void **state)
{
    static const char said[] = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, post, &up);
        rig_send(up, ok);
        rig_clear(c);
        up->full = full == 1;
        up->write_error = full == 1 ? DP_OK : DP_ERESET;
        rig_send(c, post);
        rig_send(up, said);
        if (full == 0) {
            rig_connect(rig_dialed(&r, 2), DP_OK);
            rig_send(rig_dialed(&r, 2), ok);
            assert_string_equal(c->got, ok);
        } else { /* it lies with the transport, which may still have sent it */
            assert_refused(c, "HTTP/1.1 503 ", "\"outcome_unknown\"");
        }
        assert_true(up->closed);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_STALE), 1);
        rig_fini(&r);
    }
}

static void an_idle_connection_that_closes_is_never_used(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, post, &up);
    rig_send(up, ok);
    rig_end(up, DP_OK);
    assert_true(up->closed);
    rig_clear(c);
    rig_send(c, post);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

static void a_body_past_the_replay_cap_is_sent_once(void **state)
{
    enum { BODY = 100000 };
    static char body[BODY];
    (void)state;
    struct rig r;
    rig_init(&r, 2);
    rig_start(&r);
    memset(body, 'x', sizeof(body));
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    struct rig_peer *up = rig_dialed(&r, 1);
    /* before there is a connection, reading stops at the cap */
    rig_send_bytes(c, body, 70000, 0);
    assert_false(c->reading);
    rig_connect(up, DP_OK);
    assert_true(c->reading);
    rig_send_bytes(c, body, 30000, 0);
    assert_int_equal(strlen(strstr(up->got, "\r\n\r\n")), 4 + BODY);
    assert_int_equal(r.engine.chunks.n_used, 0); /* nothing is kept */
    rig_end(up, DP_ERESET);
    assert_refused(c, "HTTP/1.1 503 ", "\"outcome_unknown\"");
    assert_int_equal(r.n_regions, 1);
    rig_fini(&r);
}

static void silence_is_a_failure(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.whole_answer_bytes = 0; /* else the last one is not begun: test_kept.c */
    rig_start(&r);
    /* of a dial */
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_wait(&r, r.config.connect_timeout_ms);
    assert_true(rig_dialed(&r, 2) != NULL);
    assert_true(r.regions[0]->closed);
    rig_connect(r.regions[1], DP_OK);
    /* of an answer */
    rig_wait(&r, r.config.answer_timeout_ms);
    assert_refused(c, "HTTP/1.1 503 ", "\"no_region_available\"");
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_CONNECT_TIMEOUT), 1);
    assert_int_equal(outcome(&r, 1, DP_OUTCOME_ANSWER_TIMEOUT), 1);
    /* in the middle of an answer */
    c = rig_request(&r, get, &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 9\r\n\r\nhalf");
    rig_wait(&r, r.config.stall_timeout_ms - 1000);
    rig_send(up, "-");
    rig_wait(&r, r.config.stall_timeout_ms - 1000);
    assert_false(c->closed);
    rig_wait(&r, 1000);
    assert_true(c->closed);
    assert_true(up->closed);
    rig_fini(&r);
}

/* ---- views ---- */

static void a_dead_region_lets_go_of_what_can_be_sent_again(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up_get, *up_post;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *cg = rig_request(&r, get, &up_get);
    struct rig_peer *cp = rig_request(&r, post, &up_post);
    struct rig_peer *waiting = rig_client(&r); /* its dial hangs */
    rig_send(waiting, put);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    assert_true(up_get->closed);
    assert_false(up_post->closed); /* its answer may still come; a second sending may duplicate */
    assert_int_equal(r.n_regions, 5);
    for (size_t i = 3; i < 5; i++) { /* first both, or one connection would serve one after the
                                        other */
        assert_string_equal(r.regions[i]->ip, "10.0.0.1");
        rig_connect(r.regions[i], DP_OK);
    }
    for (size_t i = 3; i < 5; i++)
        rig_send(r.regions[i], ok);
    assert_string_equal(cg->got, ok);
    assert_string_equal(waiting->got, ok);
    rig_send(up_post, ok);
    assert_string_equal(cp->got, ok);
    assert_true(up_post->closed); /* of an older pool epoch */
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_ABANDONED), 2);
    assert_int_equal(r.kicks, 0);
    rig_fini(&r);
}

/* Only the region that a write was sent to can say what became of it, while no other one takes it. */
static void a_write_waits_on_for_the_only_region_there_is(void **state)
{
    (void)state;
    for (unsigned regions = 1; regions <= 2; regions++) {
        for (unsigned held = 0; held < 2; held++) {
            struct rig r;
            struct rig_peer *up, *up_get;
            rig_init(&r, regions);
            r.config.hold_ms = held ? 5000 : 0;
            r.config.hold_requests = 10;
            r.config.hold_bytes = 100000;
            r.config.hold_release_per_s = 1000;
            rig_start(&r);
            if (regions == 2)
                rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
            struct rig_peer *c = rig_request(&r, put, &up);
            struct rig_peer *cg = rig_request(&r, get, &up_get);
            rig_publish(&r, 0, DP_ROUTE_DOWN, DP_NO_REGION);
            assert_true(up_get->closed); /* a read may begin anew */
            assert_int_equal(cg->got_bytes > 0, !held);
            assert_false(up->closed);
            assert_int_equal(c->got_bytes, 0);
            rig_wait(&r, 10000); /* longer than anything is held */
            assert_int_equal(c->got_bytes, 0);
            rig_send(up, ok);
            assert_string_equal(c->got, ok);
            assert_int_equal(dp_counter_get(&r.traffic.outcome_unknown), 0);
            rig_fini(&r);
        }
    }

    struct rig r; /* another one comes before the answer */
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
    struct rig_peer *c = rig_request(&r, put, &up);
    rig_publish(&r, 0, DP_ROUTE_DOWN, DP_NO_REGION);
    assert_false(up->closed);
    rig_publish(&r, 1, DP_ROUTE_OK, 1);
    assert_true(up->closed);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

static void idle_connections_of_an_older_epoch_are_dropped(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, ok);
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    assert_true(up->closed);
    rig_send(c, get);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    rig_fini(&r);
}

static void new_requests_follow_the_active_region(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    rig_publish(&r, 0, DP_ROUTE_BARRED, 1);
    (void)rig_request(&r, get, &up);
    assert_string_equal(up->ip, "10.0.0.1");
    /* the only one left is not tried when it is barred */
    rig_end(up, DP_ERESET);
    assert_refused(r.clients[0], "HTTP/1.1 503 ", "\"no_region_available\"");
    rig_fini(&r);
}

#define FEED_HEAD "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n"

/* How a feed's region may die. */
enum death { DECLARED, ENDED, RESET, SILENT, BABBLED, DEATHS };

static void die(struct rig *r, struct rig_peer *up, enum death how)
{
    switch (how) {
    case DECLARED:
        rig_publish(r, 0, DP_ROUTE_DOWN, 1);
        break;
    case ENDED:
    case RESET:
        rig_end(up, how == RESET ? DP_ERESET : DP_OK);
        break;
    case SILENT:
        rig_wait(r, r->config.feed_timeout_ms * 2);
        break;
    case BABBLED: /* maintenance mode, in the midst of a feed */
        rig_send(up, "HTTP/1.1 412 Precondition Failed\r\n\r\n");
        break;
    case DEATHS:
        break;
    }
}

static bool ends_with(const struct rig_peer *c, const char *end)
{
    const size_t n = strlen(end);
    return c->got_bytes >= n && memcmp(c->got + c->got_bytes - n, end, n) == 0;
}

/* What is asked, what the region sent, whether the client sees a proper end however the region dies: behind whole lines,
 * of nothing else. */
static void feeds_of_a_dead_region_end(void **state)
{
    static const char continuous[] = "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n",
                      events[] = "GET /db/_changes?feed=eventsource HTTP/1.1\r\nHost: a\r\n\r\n",
                      longpoll[] = "GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n";
    static const struct {
        const char *request, *body;
        bool proper;
    } rows[] = {
        {continuous, FEED_HEAD "3\r\n{}\n\r\n", true},
        {continuous, FEED_HEAD "3\r\n{}\n\r\n1\r\n\n\r\n", true},
        {continuous, FEED_HEAD "1\r\n\n\r\n", true},
        {continuous, FEED_HEAD, true},
        {continuous, FEED_HEAD "2\r\n{\"\r\n", false},
        {continuous, FEED_HEAD "3\r\n{}\n\r\n1\r\n{\r\n", false},
        {continuous, FEED_HEAD "2\r\n{}\r\n", false},
        /* a normal feed, from a region that knows no other */
        {continuous, FEED_HEAD "d\r\n{\"results\":[\n\r\n", false},
        {continuous, FEED_HEAD "10\r\n{\"results\":[\n{},\r\n1\r\n\n\r\n", false},
        {events, FEED_HEAD "11\r\n{\"results\":[\n{}\n]\r\n1\r\n\n\r\n", false},
        {events, FEED_HEAD "9\r\ndata: 1\n\n\r\n", true},
        {events, FEED_HEAD "8\r\ndata: 1\n\r\n1\r\n\n\r\n", true},
        {events, FEED_HEAD "1\r\n\n\r\n", true},
        {events, FEED_HEAD "8\r\ndata: 1\n\r\n", false},
        {events, FEED_HEAD "9\r\ndata: {}\n\r\n", false},
        {longpoll, FEED_HEAD "d\r\n{\"results\":[\n\r\n", false},
        {longpoll, FEED_HEAD, false},
        {"GET /db/_changes?since=5&feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n",
         FEED_HEAD "d\r\n{\"results\":[\n\r\n", false},
        /* nobody here can tell where lines end */
        {continuous,
         "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
         "\r\n3\r\n{}\n\r\n",
         false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows) * DEATHS; i++) {
        struct rig r;
        struct rig_peer *up;
        const size_t row = i / DEATHS;
        const enum death how = (enum death)(i % DEATHS);
        print_message("feed %zu, death %d\n", row, how);
        rig_init(&r, 2);
        r.config.whole_answer_bytes = 0;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, rows[row].request, &up);
        rig_send(up, rows[row].body);
        assert_int_equal(dp_counter_get(&r.traffic.feeds_active), 1);
        rig_wait(&r, r.config.stall_timeout_ms * 2); /* silence is normal on a feed */
        assert_false(c->finished);
        die(&r, up, how);
        /* what ended properly keeps its connection, as its head said */
        assert_int_equal(c->finished || c->closed, !rows[row].proper);
        assert_false(c->reset);
        assert_true(up->closed);
        assert_int_equal(ends_with(c, "\r\n0\r\n\r\n"), rows[row].proper);
        assert_int_equal(dp_counter_get(&r.traffic.feeds_ended),
                         how == DECLARED || rows[row].proper);
        const struct dp_counter *o = r.traffic.endpoints[0].outcomes;
        assert_int_equal(dp_counter_get(&o[DP_OUTCOME_ABANDONED]), how == DECLARED);
        assert_int_equal(dp_counter_get(&o[DP_OUTCOME_TRUNCATED]), how != DECLARED);
        assert_int_equal(dp_counter_get(&r.traffic.feeds_active), 0);
        rig_fini(&r);
    }
}

/* Its head promised the connection, and the client may have sent on it before we knew. */
static void a_feed_that_ended_leaves_its_connection(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, FEED_HEAD "3\r\n{}\n\r\n");
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    assert_true(ends_with(c, "\r\n0\r\n\r\n"));
    rig_clear(c);
    rig_send(c, get);
    up = rig_dialed(&r, 2);
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    assert_false(c->closed || c->finished);
    rig_fini(&r);
}

/* To HTTP/1.0 an answer ends by closing, and only a reset tells that it was cut. */
static void an_old_clients_feed_ends_by_closing(void **state)
{
    static const struct {
        const char *body;
        bool proper;
    } rows[] = {{"3\r\n{}\n\r\n", true}, {"2\r\n{}\r\n", false}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c =
            rig_request(&r, "GET /db/_changes?feed=continuous HTTP/1.0\r\nHost: a\r\n\r\n", &up);
        rig_send(up, FEED_HEAD);
        rig_send(up, rows[i].body);
        rig_end(up, DP_OK);
        assert_int_equal(c->reset, !rows[i].proper);
        assert_true(c->closed || c->finished);
        rig_fini(&r);
    }
}

/* Its connection broke between two lines, or its moment came while it did: within a line it is cut, there is no end to wait
 * for. */
static void a_drain_ends_what_broke(void **state)
{
    static const struct {
        const char *body;
        bool proper;
    } rows[] = {{"3\r\n{}\n\r\n", true}, {"2\r\n{}\r\n", false}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        r.config.feed_spread_ms = 2000;
        rig_start(&r);
        struct rig_peer *c =
            rig_request(&r, "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
        rig_send(up, FEED_HEAD);
        rig_send(up, rows[i].body);
        rig_end(up, DP_OK);
        assert_false(c->closed || c->finished); /* each at a moment of its own */
        dp_engine_drain(&r.engine);
        rig_turn(&r);
        assert_true(c->closed || c->finished);
        assert_int_equal(ends_with(c, "\r\n0\r\n\r\n"), rows[i].proper);
        rig_fini(&r);
    }
}

static void a_feed_without_an_answer_yet_moves(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    (void)rig_request(&r, "GET /_db_updates?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_wait(&r, r.config.answer_timeout_ms * 2); /* its head waits for the first event */
    assert_false(up->closed);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    assert_string_equal(rig_dialed(&r, 2)->ip, "10.0.0.1");
    rig_fini(&r);
}

static struct rig_peer *late_rig(struct rig *r, const char *request)
{
    struct rig_peer *up;
    rig_init(r, 2);
    r->view->endpoints[0].late_ms = 1000;
    rig_start(r);
    (void)rig_request(r, request, &up);
    return up;
}

static uint64_t late(const struct rig *r)
{
    return dp_counter_get(&r->traffic.endpoints[0].late);
}

/* Evidence while it waits, counted once; and the answer that comes all the same is no good word. */
static void a_late_answer_is_evidence_before_it_comes(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up = late_rig(&r, get);
    rig_pass(&r, 900);
    assert_int_equal(late(&r), 0);
    rig_pass(&r, 200);
    assert_int_equal(late(&r), 1);
    assert_int_equal(r.kicks, 1);
    rig_pass(&r, 1000);
    assert_int_equal(late(&r), 1);
    rig_send(up, ok);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWERED_LATE), 1);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWERED), 0);
    assert_string_equal(r.clients[0]->got, ok);
    rig_fini(&r);
}

/* However it ends, it has counted already. */
static void what_was_late_counts_once(void **state)
{
    static const char error[] =
        "HTTP/1.1 500 Internal Server Error\r\nDate: D\r\nContent-Length: 2\r\n\r\nno";
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig r;
        struct rig_peer *up = late_rig(&r, get);
        rig_pass(&r, 1100);
        assert_int_equal(late(&r), 1);
        if (how == 0)
            rig_pass(&r, r.config.answer_timeout_ms);
        else if (how == 1)
            rig_end(up, DP_ERESET);
        else
            rig_send(up, error);
        uint64_t bad = 0;
        for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
            if (dp_outcome_verdict((enum dp_outcome)o) == DP_VERDICT_BAD)
                bad += outcome(&r, 0, (enum dp_outcome)o);
        }
        assert_int_equal(late(&r), 1);
        assert_int_equal(bad, 0);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_FAILED_LATE), 1);
        rig_fini(&r);
    }
}

static void late_requests_move_when_their_region_is_left(void **state)
{
    (void)state;
    struct rig r;
    (void)late_rig(&r, put);
    rig_pass(&r, 1100);
    assert_int_equal(late(&r), 1);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    struct rig_peer *second = rig_dialed(&r, 2);
    rig_connect(second, DP_OK);
    rig_pass(&r, 1100);
    assert_int_equal(late(&r), 1); /* it is the other region's matter now */
    rig_send(second, ok);
    assert_string_equal(r.clients[0]->got, ok);
    assert_int_equal(outcome(&r, 1, DP_OUTCOME_ANSWERED), 1);
    rig_fini(&r);
}

/* What may take its time, what was answered, and what our own sleep made late. */
static void what_is_not_late(void **state)
{
    static const char *const slow_ones[] = {
        "GET /db/_design/d/_view/v HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /db/_changes HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /_all_dbs HTTP/1.1\r\nHost: a\r\n\r\n",
        find,
        post,
        "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", /* not out yet */
    };
    (void)state;
    struct rig r;
    for (size_t i = 0; i < DP_ARRAY_LEN(slow_ones); i++) {
        (void)late_rig(&r, slow_ones[i]);
        rig_pass(&r, 3000);
        assert_int_equal(late(&r), 0);
        rig_fini(&r);
    }
    struct rig_peer *up = late_rig(&r, get);
    rig_send(up, "H");
    rig_pass(&r, 3000);
    assert_int_equal(late(&r), 0);
    rig_fini(&r);

    up = late_rig(&r, get);
    r.now_ns += 5 * DP_NS_PER_S; /* in one leap: the loop slept, the answer may be in the socket */
    dp_engine_tick(&r.engine, r.now_ns);
    assert_int_equal(late(&r), 0);
    rig_send(up, ok);
    rig_pass(&r, 100);
    assert_int_equal(late(&r), 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_connection_moves_any_request),
        cmocka_unit_test(a_death_before_the_answer),
        cmocka_unit_test(a_body_that_is_held_back_may_go_anywhere),
        cmocka_unit_test(a_body_that_is_held_back_no_more_stays),
        cmocka_unit_test(a_body_that_was_never_sent_has_no_unknown_outcome),
        cmocka_unit_test(a_failed_handshake_moves_any_request),
        cmocka_unit_test(no_region_left_is_said),
        cmocka_unit_test(an_error_of_the_dial_itself_is_a_failed_attempt),
        cmocka_unit_test(what_we_could_not_even_dial_blames_no_region),
        cmocka_unit_test(a_stale_connection_is_replaced_in_the_same_region),
        cmocka_unit_test(a_post_that_never_arrived_is_sent_again),
        cmocka_unit_test(what_came_before_the_request_could_go_is_no_answer),
        cmocka_unit_test(an_idle_connection_that_closes_is_never_used),
        cmocka_unit_test(a_body_past_the_replay_cap_is_sent_once),
        cmocka_unit_test(silence_is_a_failure),
        cmocka_unit_test(a_dead_region_lets_go_of_what_can_be_sent_again),
        cmocka_unit_test(a_write_waits_on_for_the_only_region_there_is),
        cmocka_unit_test(idle_connections_of_an_older_epoch_are_dropped),
        cmocka_unit_test(new_requests_follow_the_active_region),
        cmocka_unit_test(feeds_of_a_dead_region_end),
        cmocka_unit_test(a_feed_that_ended_leaves_its_connection),
        cmocka_unit_test(an_old_clients_feed_ends_by_closing),
        cmocka_unit_test(a_drain_ends_what_broke),
        cmocka_unit_test(a_feed_without_an_answer_yet_moves),
        cmocka_unit_test(a_late_answer_is_evidence_before_it_comes),
        cmocka_unit_test(what_was_late_counts_once),
        cmocka_unit_test(late_requests_move_when_their_region_is_left),
        cmocka_unit_test(what_is_not_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
