/* Pressure, limits and endings: slow peers, full lines, clients that dawdle, memory that runs out,
 * shutting down. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

#define BIG 400000

static char *letters(size_t n)
{
    char *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i % 26);
    return p;
}

static void assert_status(const struct rig_peer *c, const char *status)
{
    assert_int_equal(strncmp(c->got, status, strlen(status)), 0);
}

/* Of a client that takes nothing. That our own kernel takes nothing more proves nothing yet: from the first timeout on
 * it is asked what the client acknowledged. */
static void wait_for_silence(struct rig *r)
{
    rig_wait(r, r->config.body_timeout_ms);
    rig_wait(r, r->config.body_timeout_ms);
}

static void a_slow_client_stops_its_region(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(BIG);
    size_t sent = 0;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 400000\r\n\r\n");
    c->full = true;
    for (; up->reading; sent += 10000)
        rig_send_bytes(up, body + sent, 10000, 0);
    assert_true(c->waiting_bytes > DP_STREAM_HIGH_BYTES);
    assert_true(c->waiting_bytes <= DP_STREAM_HIGH_BYTES + 10000);
    /* its region is not blamed for the silence; half of the mark has to go before it is read again
     */
    rig_wait(&r, r.config.stall_timeout_ms);
    rig_take(c, 1000);
    assert_false(up->reading);
    while (sent < BIG) {
        rig_take(c, DP_STREAM_HIGH_BYTES);
        assert_true(up->reading);
        for (; up->reading && sent < BIG; sent += 10000)
            rig_send_bytes(up, body + sent, 10000, 0);
    }
    rig_take(c, BIG);
    const char *got = strstr(c->got, "\r\n\r\n") + 4;
    assert_int_equal(strlen(got), BIG);
    assert_memory_equal(got, body, BIG);
    assert_false(up->closed);
    free(body);
    rig_fini(&r);
}

/* The read that brings the answer's end also fills the client's stream: its region's connection is idle, and read from
 * again, so that what the region does next is seen and the next request on it gets its answer. */
static void a_region_that_was_stopped_is_read_again_when_its_answer_was_whole(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    const size_t bytes = DP_STREAM_HIGH_BYTES + 10000;
    char *body = letters(bytes), head[80];
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: %zu\r\n\r\n",
                   bytes);
    rig_send(up, head);
    c->full = true;
    rig_send_bytes(up, body, bytes, 0);
    assert_true(c->waiting_bytes > DP_STREAM_HIGH_BYTES);
    assert_true(up->reading && !up->closed);
    struct rig_peer *d = rig_client(&r);
    rig_send(d, get);
    rig_send(up, ok);
    assert_string_equal(d->got, ok);
    rig_end(up, DP_OK);
    assert_true(up->closed);
    rig_take(c, BIG);
    assert_memory_equal(strstr(c->got, "\r\n\r\n") + 4, body, bytes);
    free(body);
    rig_fini(&r);
}

static void a_client_that_takes_nothing_is_let_go(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(BIG);
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 400000\r\n\r\n");
    c->full = true;
    rig_send_bytes(up, body, BIG - 1, 0);
    rig_wait(&r, r.config.body_timeout_ms);
    assert_false(c->closed);
    rig_wait(&r, r.config.body_timeout_ms);
    assert_true(c->closed);
    assert_true(c->reset);
    assert_true(up->closed);
    free(body);
    rig_fini(&r);
}

/* The connection ends behind the answer, and the client takes its time: it gets all of it, however the answer is
 * framed, and also when it has finished its side. */
static void a_slow_client_gets_all_before_its_connection_closes(void **state)
{
    static const char *const requests[] = {
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    };
    (void)state;
    char *body = letters(100000);
    for (int i = 0; i < 4; i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, requests[i % 2], &up);
        c->full = true;
        rig_send(up, "HTTP/1.1 200 OK\r\n\r\n");
        rig_send_bytes(up, body, 100000, 0);
        rig_end(up, DP_OK);
        if (i >= 2)
            rig_end(c, DP_OK);
        for (int k = 0; k < 10; k++) {
            assert_false(c->closed);
            rig_take(c, 10000);
            rig_wait(&r, 5000);
        }
        rig_take(c, BIG);
        assert_non_null(strstr(c->got, "abc"));
        assert_true(c->got_bytes > 100000);
        assert_true(c->finished);
        assert_int_equal(c->closed, i >= 2); /* else it may finish its side */
        rig_wait(&r, 2000);
        assert_true(c->closed && !c->reset);
        rig_fini(&r);
    }
    free(body);
}

/* One that keeps its connection finishes its side while the answer waits. */
static void a_client_that_finished_its_side_gets_the_rest(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    c->full = true;
    rig_send(up, ok);
    rig_end(c, DP_OK);
    assert_false(c->closed);
    rig_take(c, BIG);
    assert_string_equal(c->got, ok);
    assert_true(c->closed && !c->reset);
    rig_fini(&r);
}

/* What is dropped in the end must not pass for a whole answer that ends by closing. */
static void a_client_that_takes_no_more_of_a_finished_answer_is_reset(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "GET / HTTP/1.0\r\n\r\n", &up);
    c->full = true;
    rig_send(up, "HTTP/1.1 200 OK\r\n\r\nall of it");
    rig_end(up, DP_OK);
    wait_for_silence(&r);
    assert_true(c->closed && c->reset);
    rig_fini(&r);
}

/* The answer comes before the request is all there, and the client goes on sending but takes nothing: the end of
 * its request does not stop the clock. */
static void a_client_that_sends_all_and_takes_nothing_is_let_go(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(BIG);
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "PUT /d/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", &up);
    c->full = true;
    rig_send(up, "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n");
    rig_send_bytes(up, body, DP_STREAM_HIGH_BYTES + 1, 0);
    assert_false(up->reading);
    rig_send(c, "0123456789");
    wait_for_silence(&r);
    assert_true(c->closed && c->reset);
    free(body);
    rig_fini(&r);
}

static void a_slow_region_stops_its_client(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(BIG);
    size_t sent = 0;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "PUT /d/a HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n", &up);
    up->full = true;
    for (; c->reading; sent += 10000)
        rig_send_bytes(c, body + sent, 10000, 0);
    assert_true(up->waiting_bytes > DP_STREAM_HIGH_BYTES);
    while (sent < BIG) {
        rig_take(up, DP_STREAM_HIGH_BYTES);
        assert_true(c->reading);
        for (; c->reading && sent < BIG; sent += 10000)
            rig_send_bytes(c, body + sent, 10000, 0);
    }
    rig_take(up, BIG);
    assert_memory_equal(strstr(up->got, "\r\n\r\n") + 4, body, BIG);
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    free(body);
    rig_fini(&r);
}

static void a_region_that_takes_nothing_fails_the_attempt(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char *body = letters(BIG);
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "PUT /d/a HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n", &up);
    up->full = true;
    rig_send_bytes(c, body, BIG / 2, 0);
    rig_wait(&r, r.config.stall_timeout_ms);
    assert_status(c, "HTTP/1.1 503 ");
    assert_non_null(strstr(c->got, "outcome_unknown"));
    assert_true(up->closed);
    free(body);
    rig_fini(&r);
}

static void pipelining_without_end_stops_reading(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    size_t n = 0;
    for (; c->reading; n++)
        rig_send(c, get);
    assert_true(r.engine.chunks.n_used * DP_CHUNK_BYTES < 100000);
    for (size_t i = 0; i <= n; i++) {
        assert_int_equal(strncmp(up->got, "GET /db/doc ", 12), 0);
        rig_clear(up);
        rig_send(up, ok);
    }
    assert_true(c->reading);
    assert_int_equal(c->got_bytes, (n + 1) * strlen(ok));
    rig_fini(&r);
}

/* ---- clients that dawdle ---- */

static void dawdling_clients_are_told_and_closed(void **state)
{
    static const struct {
        const char *bytes;
        uint32_t wait_ms;
        const char *status;
    } rows[] = {
        {"", 60000, ""},
        {"\r\n", 60000, ""},
        {"G", 10000, "HTTP/1.1 408 "},
        {"GET / HTTP/1.1\r\nHost: a\r\n", 10000, "HTTP/1.1 408 "},
        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 30000, "HTTP/1.1 408 "},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        print_message("dawdle %zu\n", i);
        rig_send(c, rows[i].bytes);
        if (r.n_regions > 0)
            rig_connect(r.regions[0], DP_OK);
        rig_wait(&r, rows[i].wait_ms);
        assert_status(c, rows[i].status);
        rig_wait(&r, 2000); /* what it gets for lingering */
        assert_true(c->closed);
        rig_fini(&r);
    }
}

static void one_byte_a_second_does_not_stretch_the_head_timeout(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    for (int i = 0; i < 10; i++) {
        rig_send_bytes(c, get + i, 1, 0);
        assert_string_equal(c->got, "");
        rig_wait(&r, 1000);
    }
    assert_status(c, "HTTP/1.1 408 ");
    rig_fini(&r);
}

static void a_slow_steady_body_is_fine(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "PUT /d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", &up);
    for (int i = 0; i < 5; i++) {
        rig_wait(&r, 29000);
        rig_send(c, "x");
    }
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

/* ---- limits ---- */

static void bodies_past_the_limit_are_refused(void **state)
{
    static const char *const requests[] = {
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n",
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        struct rig r;
        rig_init(&r, 1);
        r.config.max_body_bytes = 10;
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, requests[i]);
        assert_status(c, "HTTP/1.1 413 ");
        assert_true(c->finished);
        rig_fini(&r);
    }
}

static void connections_past_the_limit_are_told(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.max_connections = 2;
    rig_start(&r);
    (void)rig_client(&r);
    struct rig_peer *second = rig_client(&r);
    struct rig_peer *third = rig_client(&r);
    assert_string_equal(second->got, "");
    assert_status(third, "HTTP/1.1 503 ");
    assert_non_null(strstr(third->got, "Retry-After: 1\r\n"));
    rig_end(third, DP_OK);
    rig_end(second, DP_OK);
    assert_string_equal(rig_client(&r)->got, "");
    rig_fini(&r);
}

/* Whoever does not take what it is told, nor leave, holds nobody else's place. */
static void connections_that_are_being_told_take_no_place(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.max_connections = 2;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    (void)rig_client(&r);
    for (int i = 0; i < 10; i++)
        assert_status(rig_client(&r), "HTTP/1.1 503 ");
    rig_end(c, DP_OK);
    assert_string_equal(rig_client(&r)->got, "");
    assert_status(rig_client(&r), "HTTP/1.1 503 ");
    rig_wait(&r, 3000); /* the ten are gone */
    assert_int_equal(r.engine.n_turned_away, 0);
    assert_status(rig_client(&r), "HTTP/1.1 503 ");
    rig_fini(&r);
}

/* Who waits for a connection that is being made stands in no line. */
static void without_a_line_connections_are_made_all_the_same(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.max_upstream = 2;
    r.config.max_waiting = 0;
    rig_start(&r);
    struct rig_peer *c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = rig_client(&r);
        rig_send(c[i], get);
    }
    assert_status(c[2], "HTTP/1.1 503 ");
    assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_ELIMIT]), 1);
    struct rig_peer *second = rig_dialed(&r, 2);
    rig_connect(r.regions[0], DP_OK);
    rig_connect(second, DP_OK);
    rig_send(r.regions[0], ok);
    rig_send(second, ok);
    assert_string_equal(c[0]->got, ok);
    assert_string_equal(c[1]->got, ok);
    rig_fini(&r);
}

static void a_full_pool_makes_a_line(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.max_upstream = 1;
    r.config.max_waiting = 2;
    rig_start(&r);
    struct rig_peer *c[4], *up;
    c[0] = rig_request(&r, get, &up);
    for (int i = 1; i < 4; i++) {
        c[i] = rig_client(&r);
        rig_send(c[i], get);
    }
    (void)rig_dialed(&r, 1);
    assert_status(c[3], "HTTP/1.1 503 "); /* the line holds two */
    assert_non_null(strstr(c[3]->got, "\"overloaded\""));
    rig_send(up, ok);
    rig_send(up, ok);
    assert_string_equal(c[1]->got, ok);
    assert_string_equal(c[2]->got, "");
    /* one that gave up leaves the line; the last one waits in vain */
    rig_send(c[0], get);
    rig_end(c[2], DP_ERESET);
    assert_string_equal(up->got + up->got_bytes - 4, "\r\n\r\n");
    rig_wait(&r, 3 * r.config.connect_timeout_ms);
    rig_fini(&r);
}

/* Their region is drained: who waits for a connection there, or for its dial, is asked for where the traffic went, once. */
static void a_drain_empties_the_line(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up, *c;
    rig_init(&r, 2);
    r.config.max_upstream = 1;
    r.config.tells_attempts = true;
    rig_start(&r);
    struct rig_peer *first = rig_request(&r, get, &up);
    c = rig_client(&r);
    rig_send(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
    rig_publish(&r, 0, DP_ROUTE_BARRED, 1);
    struct rig_peer *other = rig_dialed(&r, 2);
    assert_string_equal(other->ip, "10.0.0.1");
    rig_connect(other, DP_OK);
    rig_send(other, ok);
    assert_non_null(strstr(c->got, "Davenport-Attempts: 1\r\n"));
    rig_send(up, ok); /* what was sent is answered */
    assert_non_null(strstr(first->got, "200 OK"));
    rig_fini(&r);
}

/* All are barred: it stays in line where it is. */
static void a_line_with_nowhere_to_go_stays(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up, *c;
    rig_init(&r, 2);
    r.config.max_upstream = 1;
    rig_start(&r);
    rig_publish(&r, 1, DP_ROUTE_BARRED, 0);
    (void)rig_request(&r, get, &up);
    c = rig_client(&r);
    rig_send(c, get);
    rig_publish(&r, 0, DP_ROUTE_BARRED, 0);
    (void)rig_dialed(&r, 1);
    rig_send(up, ok);
    up = rig_dialed(&r, 2); /* nothing is kept open to what takes nothing */
    assert_string_equal(up->ip, "10.0.0.0");
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

static void a_line_that_does_not_move_is_ended(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.max_upstream = 1;
    rig_start(&r);
    (void)rig_request(&r, get, &up);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_wait(&r, 3 * r.config.connect_timeout_ms);
    assert_status(c, "HTTP/1.1 503 ");
    assert_non_null(strstr(c->got, "\"overloaded\""));
    rig_fini(&r);
}

static void a_closed_connection_makes_room_in_the_line(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.max_upstream = 1;
    rig_start(&r);
    (void)rig_request(&r, get, &up);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

static void memory_at_its_cap_sheds_the_request_not_the_process(void **state)
{
    (void)state;
    struct rig r;
    char *body = letters(BIG);
    rig_init(&r, 1);
    r.config.max_buffer_chunks = 2;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "PUT /d HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
    rig_send_bytes(c, body, 40000, 0);
    assert_status(c, "HTTP/1.1 503 ");
    assert_int_equal(r.engine.chunks.n_used, 0);
    free(body);
    rig_fini(&r);
}

static void idle_region_connections_are_closed_in_time(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    (void)rig_request(&r, get, &up);
    rig_send(up, ok);
    rig_wait(&r, r.config.pool_idle_timeout_ms);
    assert_true(up->closed);
    rig_fini(&r);
}

static void connections_to_every_usable_region_are_kept_ready(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 3);
    r.config.pool_warm = 1;
    r.config.connect_timeout_ms = 5000;
    r.view->endpoints[2].state = r.view->regions[2].state = DP_ROUTE_DOWN;
    rig_start(&r);
    rig_wait(&r, 50);
    assert_string_equal(rig_dialed(&r, 2)->ip, "10.0.0.1"); /* the standby too, the dead one not */
    rig_wait(&r, 1000);
    (void)rig_dialed(&r, 2); /* dials that are under way count */
    rig_connect(r.regions[0], DP_OK);
    rig_connect(r.regions[1], DP_ECONNECT); /* asked again, but not at once */
    (void)rig_dialed(&r, 2);
    rig_wait(&r, 1000);
    rig_connect(rig_dialed(&r, 3), DP_OK);
    assert_int_equal(dp_counter_get(&r.traffic.upstream_connections_idle), 2);
    /* a request takes the one that is ready, which is then made up for */
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    assert_int_equal(strncmp(r.regions[0]->got, "GET ", 4), 0);
    rig_wait(&r, 1000);
    assert_string_equal(rig_dialed(&r, 4)->ip, "10.0.0.0");
    dp_engine_drain(&r.engine);
    rig_wait(&r, 5000);
    (void)rig_dialed(&r, 4);
    rig_fini(&r);
}

/* ---- shutting down ---- */

static void draining_finishes_what_is_under_way(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up, *up2;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *idle = rig_client(&r);
    struct rig_peer *head = rig_client(&r);
    rig_send(head, "GET / HTTP/1.1\r\n");
    struct rig_peer *c = rig_request(&r, get, &up);
    struct rig_peer *feed =
        rig_request(&r, "GET /d/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up2);
    rig_send(up2, "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n3\r\n{}\n\r\n2\r\n{\"\r\n");
    dp_engine_drain(&r.engine);
    rig_turn(&r);
    assert_true(idle->closed);
    assert_false(c->closed);
    assert_false(feed->finished || feed->closed); /* in the middle of a line */
    rig_send(up2, "3\r\n\"}\n\r\n");
    assert_true(feed->finished || feed->closed);
    assert_string_equal(feed->got + feed->got_bytes - 5, "0\r\n\r\n");
    rig_send(up, ok);
    assert_non_null(strstr(c->got, "\r\nConnection: close\r\n"));
    assert_true(c->closed);
    assert_true(up->closed);
    rig_send(head, "Host: a\r\n\r\n");
    rig_connect(r.regions[r.n_regions - 1], DP_OK);
    rig_send(r.regions[r.n_regions - 1], ok);
    assert_true(head->closed);
    assert_true(dp_engine_idle(&r.engine) || feed->finished);
    rig_fini(&r);
}

static void an_abort_closes_everything(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    struct rig_peer *waiting = rig_client(&r);
    rig_send(waiting, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    dp_engine_abort(&r.engine);
    assert_true(c->closed && c->reset && up->closed && waiting->closed);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_client_stops_its_region),
        cmocka_unit_test(a_region_that_was_stopped_is_read_again_when_its_answer_was_whole),
        cmocka_unit_test(a_client_that_takes_nothing_is_let_go),
        cmocka_unit_test(a_slow_client_gets_all_before_its_connection_closes),
        cmocka_unit_test(a_client_that_finished_its_side_gets_the_rest),
        cmocka_unit_test(a_client_that_takes_no_more_of_a_finished_answer_is_reset),
        cmocka_unit_test(a_client_that_sends_all_and_takes_nothing_is_let_go),
        cmocka_unit_test(a_slow_region_stops_its_client),
        cmocka_unit_test(a_region_that_takes_nothing_fails_the_attempt),
        cmocka_unit_test(pipelining_without_end_stops_reading),
        cmocka_unit_test(dawdling_clients_are_told_and_closed),
        cmocka_unit_test(one_byte_a_second_does_not_stretch_the_head_timeout),
        cmocka_unit_test(a_slow_steady_body_is_fine),
        cmocka_unit_test(bodies_past_the_limit_are_refused),
        cmocka_unit_test(connections_past_the_limit_are_told),
        cmocka_unit_test(connections_that_are_being_told_take_no_place),
        cmocka_unit_test(without_a_line_connections_are_made_all_the_same),
        cmocka_unit_test(a_full_pool_makes_a_line),
        cmocka_unit_test(a_drain_empties_the_line),
        cmocka_unit_test(a_line_with_nowhere_to_go_stays),
        cmocka_unit_test(a_line_that_does_not_move_is_ended),
        cmocka_unit_test(a_closed_connection_makes_room_in_the_line),
        cmocka_unit_test(memory_at_its_cap_sheds_the_request_not_the_process),
        cmocka_unit_test(idle_region_connections_are_closed_in_time),
        cmocka_unit_test(connections_to_every_usable_region_are_kept_ready),
        cmocka_unit_test(draining_finishes_what_is_under_way),
        cmocka_unit_test(an_abort_closes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
