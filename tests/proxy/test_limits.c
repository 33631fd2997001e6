/* What a client may ask of us: how slow it may be, how often and from where it may come, how long it stands in line. */
#include "davenport/proxy/address_limit.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";
static const char put[] = "PUT /db/d HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

#define BIG       400000
#define WINDOW_MS 10000

static char *letters(size_t n)
{
    char *p = malloc(n);
    assert_non_null(p);
    memset(p, 'x', n);
    return p;
}

static void assert_status(const struct rig_peer *c, const char *status)
{
    assert_int_equal(strncmp(c->got, status, strlen(status)), 0);
}

/* 100 bytes a second over 10 s; silence is judged by itself after 30. */
static void start(struct rig *r)
{
    rig_init(r, 1);
    r->config.min_bytes_per_s = 100;
    r->config.rate_window_ms = WINDOW_MS;
    rig_start(r);
}

/* ---- how slow ---- */

static void a_body_that_drips_is_refused(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r);
    struct rig_peer *c = rig_request(&r, put, &up);
    rig_send(c, "a");
    for (int i = 0; i < 9; i++) {
        rig_wait(&r, 1000);
        rig_send(c, "b");
        assert_string_equal(c->got, "");
    }
    rig_wait(&r, 1000);
    assert_status(c, "HTTP/1.1 408 ");
    assert_non_null(strstr(c->got, "too slowly"));
    assert_true(c->finished);
    assert_true(up->closed); /* a region must not take a part for the whole */
    assert_int_equal(dp_counter_get(&r.traffic.clients_slow), 1);
    assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_ERATE]), 1);
    rig_fini(&r);
}

static void a_body_that_never_begins_is_refused(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, put, &up);
    rig_wait(&r, r.config.body_timeout_ms - 50);
    assert_string_equal(c->got, "");
    rig_wait(&r, 50);
    assert_status(c, "HTTP/1.1 408 ");
    assert_true(up->closed);
    rig_fini(&r);
}

/* A client that expects 100 is not waited for until the region has said it; then it is. */
static void an_expectation_is_the_regions_to_meet(void **state)
{
    static const char expecting[] =
        "PUT /db/d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.answer_timeout_ms = 40000; /* longer than a client may be silent */
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, expecting, &up);
    rig_wait(&r, 35000);
    assert_string_equal(c->got, "");
    rig_wait(&r, 5000);
    assert_true(up->closed); /* this region says nothing: the other one is asked */
    up = rig_dialed(&r, 2);
    rig_connect(up, DP_OK);
    assert_non_null(strstr(up->got, "Expect: 100-continue\r\n"));
    rig_wait(&r, 35000);
    rig_send(up, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_status(c, "HTTP/1.1 100 ");
    rig_wait(&r, 29000);
    rig_send(c, "hi");
    rig_send(up, ok);
    assert_non_null(strstr(c->got, ok));

    c = rig_request(&r, expecting, &up);
    rig_send(up, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_clear(c);
    rig_wait(&r, r.config.body_timeout_ms);
    assert_status(c, "HTTP/1.1 408 ");
    rig_fini(&r);
}

static void a_body_at_the_least_rate_is_fine_and_judged_again_each_window(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(1000);
    start(&r);
    struct rig_peer *c = rig_request(&r, put, &up);
    rig_send(c, "a"); /* the window begins */
    for (int i = 0; i < 5; i++) {
        rig_wait(&r, WINDOW_MS / 2);
        rig_send_bytes(c, body, 1000, 0);
        rig_wait(&r, WINDOW_MS / 2);
        assert_string_equal(c->got, "");
    }
    rig_wait(&r, WINDOW_MS / 2);
    rig_send_bytes(c, body, 998, 0);
    rig_wait(&r, WINDOW_MS / 2);
    assert_status(c, "HTTP/1.1 408 ");
    free(body);
    rig_fini(&r);
}

static void the_time_that_the_region_takes_is_not_the_clients(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(BIG);
    rig_init(&r, 1);
    r.config.min_bytes_per_s = 100;
    r.config.rate_window_ms = WINDOW_MS;
    r.config.stall_timeout_ms = 600000;
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "PUT /db/d HTTP/1.1\r\nHost: a\r\nContent-Length: 200001\r\n\r\n", &up);
    up->full = true;
    rig_send_bytes(c, body, 200000, 0);
    assert_false(c->reading); /* the region takes no more for now */
    for (int i = 0; i < 10; i++)
        rig_wait(&r, WINDOW_MS);
    assert_string_equal(c->got, "");
    rig_take(up, BIG);
    assert_true(c->reading);
    rig_send(c, "x");
    up->full = false;
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    free(body);
    rig_fini(&r);
}

/* The client of an answer of which `BIG - 1` bytes are there and that takes nothing more for now. */
static struct rig_peer *slow_reader(struct rig *r, const char *request, struct rig_peer **up)
{
    char *body = letters(BIG);
    struct rig_peer *c = rig_request(r, request, up);
    rig_send(*up, "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 400000\r\n\r\n");
    c->full = true;
    rig_send_bytes(*up, body, BIG - 1, 0);
    free(body);
    return c;
}

static void an_answer_that_drips_away_is_given_up(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r);
    struct rig_peer *c = slow_reader(&r, get, &up);
    /* the first window says "slow" by our kernel, the second one by what was acknowledged */
    for (int i = 0; i < 4; i++) {
        assert_false(c->closed);
        rig_take(c, 400);
        rig_wait(&r, WINDOW_MS / 2);
    }
    assert_true(c->closed);
    assert_true(c->reset);
    assert_true(up->closed);
    assert_int_equal(dp_counter_get(&r.traffic.clients_slow), 1);
    rig_fini(&r);
}

static void an_answer_taken_at_the_least_rate_is_fine(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r);
    struct rig_peer *c = slow_reader(&r, get, &up);
    for (int i = 0; i < 40; i++) {
        rig_take(c, 1000);
        rig_wait(&r, WINDOW_MS);
        assert_false(c->closed);
    }
    rig_fini(&r);
}

/* Our kernel holds 200 000 bytes and takes none for minutes, as a slow link empties it. */
static void what_lies_in_our_kernel_counts_when_it_is_acknowledged(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r);
    struct rig_peer *c = slow_reader(&r, get, &up);
    rig_take(c, 200000);
    c->unacked = 200000;
    for (int i = 0; i < 60; i++) {
        rig_wait(&r, WINDOW_MS);
        assert_false(c->closed);
        c->unacked -= 1000;
    }
    for (int i = 0; i < 2; i++)
        rig_wait(&r, WINDOW_MS);
    assert_true(c->closed && c->reset);
    rig_fini(&r);
}

static void silence_is_judged_by_what_was_acknowledged_too(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1); /* without a least rate */
    rig_start(&r);
    struct rig_peer *c = slow_reader(&r, get, &up);
    rig_take(c, 200000);
    c->unacked = 200000;
    for (int i = 0; i < 20; i++) {
        rig_wait(&r, r.config.body_timeout_ms);
        assert_false(c->closed);
        c->unacked--;
    }
    rig_wait(&r, 2 * r.config.body_timeout_ms);
    rig_wait(&r, r.config.body_timeout_ms);
    assert_true(c->closed && c->reset);
    rig_fini(&r);
}

static void a_feed_may_be_read_as_slowly_as_one_likes(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r);
    struct rig_peer *c =
        slow_reader(&r, "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    for (int i = 0; i < 40; i++) {
        rig_take(c, 1);
        rig_wait(&r, WINDOW_MS);
        assert_false(c->closed);
    }
    rig_fini(&r);
}

/* The rest of a last answer goes out while the connection lingers. */
static void a_last_answer_that_drips_away_is_given_up(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(100000);
    start(&r);
    struct rig_peer *c =
        rig_request(&r, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &up);
    c->full = true;
    rig_send(up, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    rig_send_bytes(up, body, 100000, 0);
    assert_true(c->finished);
    for (int i = 0; i < 2; i++) {
        assert_false(c->closed);
        rig_take(c, 1);
        rig_wait(&r, WINDOW_MS);
    }
    assert_true(c->closed && c->reset);
    assert_int_equal(dp_counter_get(&r.traffic.clients_slow), 1);
    free(body);
    rig_fini(&r);
}

/* Whoever sends a body and lets an early answer lie is waited for on account of the answer. */
static void a_dripping_body_buys_no_time_for_an_answer(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r);
    struct rig_peer *c = slow_reader(&r, put, &up);
    for (int i = 0; i < 20 && !c->closed; i++) {
        rig_send(c, "b");
        rig_wait(&r, WINDOW_MS / 5);
    }
    assert_true(c->closed && c->reset);
    rig_fini(&r);
}

/* ---- how often ---- */

static void the_last_request_of_a_connection_says_so(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.max_requests = 2;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    rig_clear(c);
    rig_clear(up);
    rig_send(c, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_send(up, ok);
    assert_non_null(strstr(c->got, "\r\nConnection: close\r\n"));
    assert_true(c->finished);
    assert_null(strstr(up->got, "/3")); /* it may be asked again: it was not begun */
    assert_false(up->closed);
    rig_fini(&r);
}

static void an_answer_of_our_own_counts_as_well(void **state)
{
    static const char options[] = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.max_requests = 2;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, options);
    assert_null(strstr(c->got, "Connection: close"));
    rig_send(c, options);
    assert_non_null(strstr(c->got, "\r\nConnection: close\r\n"));
    assert_true(c->closed || c->finished);
    rig_fini(&r);
}

/* ---- from where ---- */

static void an_address_has_so_many_connections(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.addresses = dp_address_limit_new(2, 100, 1);
    assert_non_null(r.addresses);
    rig_start(&r);
    struct rig_peer *first = rig_client_from(&r, "192.0.2.1");
    struct rig_peer *second = rig_client_from(&r, "::ffff:192.0.2.1");
    struct rig_peer *third = rig_client_from(&r, "192.0.2.1");
    assert_string_equal(first->got, "");
    assert_string_equal(second->got, "");
    assert_status(third, "HTTP/1.1 429 ");
    assert_non_null(strstr(third->got, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(third->got, "\"too_many_connections\""));
    assert_string_equal(rig_client_from(&r, "192.0.2.2")->got, "");
    for (int i = 0; i < 5; i++)
        assert_string_equal(rig_client_from(&r, "unix")->got, "");
    assert_int_equal(dp_counter_get(&r.traffic.connections_refused), 1);
    assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_EADDRCONNECTIONS]), 1);
    /* one that was turned away holds no place; one that ends gives its own back */
    rig_end(third, DP_OK);
    rig_end(second, DP_OK);
    assert_string_equal(rig_client_from(&r, "192.0.2.1")->got, "");
    assert_status(rig_client_from(&r, "192.0.2.1"), "HTTP/1.1 429 ");
    rig_fini(&r);
    dp_address_limit_free(r.addresses);
}

/* ---- how long in line ---- */

static void a_line_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.max_upstream = 1;
    r.config.waiting_timeout_ms = 7000;
    rig_start(&r);
    (void)rig_request(&r, get, &up);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_wait(&r, 6900);
    assert_string_equal(c->got, "");
    rig_wait(&r, 100);
    assert_status(c, "HTTP/1.1 503 ");
    assert_non_null(strstr(c->got, "\"overloaded\""));
    assert_non_null(strstr(c->got, "came free in time"));
    assert_non_null(strstr(c->got, "\r\nRetry-After: 1\r\n"));
    assert_null(strstr(c->got, "Connection: close")); /* it may try again here */
    assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_ELINE]), 1);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_drips_is_refused),
        cmocka_unit_test(a_body_that_never_begins_is_refused),
        cmocka_unit_test(an_expectation_is_the_regions_to_meet),
        cmocka_unit_test(a_body_at_the_least_rate_is_fine_and_judged_again_each_window),
        cmocka_unit_test(the_time_that_the_region_takes_is_not_the_clients),
        cmocka_unit_test(an_answer_that_drips_away_is_given_up),
        cmocka_unit_test(an_answer_taken_at_the_least_rate_is_fine),
        cmocka_unit_test(what_lies_in_our_kernel_counts_when_it_is_acknowledged),
        cmocka_unit_test(silence_is_judged_by_what_was_acknowledged_too),
        cmocka_unit_test(a_feed_may_be_read_as_slowly_as_one_likes),
        cmocka_unit_test(a_last_answer_that_drips_away_is_given_up),
        cmocka_unit_test(a_dripping_body_buys_no_time_for_an_answer),
        cmocka_unit_test(the_last_request_of_a_connection_says_so),
        cmocka_unit_test(an_answer_of_our_own_counts_as_well),
        cmocka_unit_test(an_address_has_so_many_connections),
        cmocka_unit_test(a_line_has_a_deadline_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
