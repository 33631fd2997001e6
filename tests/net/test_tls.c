/* TLS streams over real loopback sockets, client and server in one loop: dialing, large transfers with
 * backpressure, ends and resets as the kernel tells them. Nothing here waits for time to pass; a
 * watchdog ends a test that hangs. */
#include "davenport/net/acceptor.h"
#include "davenport/net/listener.h"
#include "davenport/net/tcp.h"
#include "davenport/net/tls.h"

#include "net/loop.h"
#include "support/tls_certs.h"
#include "support/tls_ends.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

static struct dp_acceptor *acceptor;
static uint16_t port;
static struct dp_chunk_pool pool;
static struct dp_net net;
static struct dp_tls *client_tls, *server_tls;
static struct tls_end client, peer; /* who dials, and whom the server accepts */
static bool plain_server;           /* it speaks no TLS */

static void on_connection(void *ctx, int fd)
{
    struct dp_stream *lower;
    (void)ctx;
    assert_null(peer.s);
    peer.in_call = true;
    peer.tls = server_tls;
    assert_int_equal(dp_tcp_open(&net, fd, &tls_end_events, &peer, &lower), DP_OK);
    peer.s = lower;
    if (!plain_server)
        assert_int_equal(dp_tls_accept(server_tls, lower, &tls_end_events, &peer, &peer.s), DP_OK);
    peer.in_call = false;
    if (!plain_server)
        tls_end_read_start(&peer);
}

static const struct dp_acceptor_events acceptor_events = {.accepted = on_connection};

static void forget(void)
{
    memset(&client, 0, sizeof(client));
    memset(&peer, 0, sizeof(peer));
    client.tls = client_tls;
}

static int start(void **state)
{
    int fd;
    const char *text;
    char why[DP_TLS_TEXT_BYTES];
    const struct dp_tls_client_config c = {.server_name = "127.0.0.1",
                                           .ca_file = tls_certs_path("ca.crt")};
    const struct dp_tls_server_config s = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key")};
    (void)state;
    plain_server = false;
    dp_chunk_pool_init(&pool, 4096, 8);
    if (dp_tls_client_new(&c, &client_tls, why, sizeof(why)) != DP_OK ||
        dp_tls_server_new(&s, &server_tls, why, sizeof(why)) != DP_OK)
        return -1;
    forget();
    if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &watchdog) != 0)
        return -1;
    net = (struct dp_net){.loop = &loop, .chunks = &pool, .scratch = malloc(DP_READ_BYTES)};
    if (!net.scratch || dp_listen_tcp("127.0.0.1", 0, false, &fd, &port, &text) != DP_OK)
        return -1;
    return dp_acceptor_new(&loop, fd, 16, &acceptor_events, NULL, &acceptor, &text) != DP_OK;
}

/* Close what is left; then nothing may be left: no handle, no chunk, no byte (the leak sanitizer). */
static int stop(void **state)
{
    (void)state;
    struct tls_end *const ends[] = {&client, &peer};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->s && !ends[i]->closed_by_us)
            tls_end_close(ends[i]);
    }
    dp_acceptor_close(acceptor, NULL);
    uv_close((uv_handle_t *)&watchdog, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    free(net.scratch);
    dp_tls_unref(client_tls);
    dp_tls_unref(server_tls);
    if (client.s || peer.s || pool.n_used != 0)
        return -1;
    dp_chunk_pool_fini(&pool);
    return uv_loop_close(&loop);
}

static enum dp_err dial(const char *ip, uint16_t to)
{
    client.in_call = true;
    enum dp_err err = dp_tls_dial(client_tls, &net, ip, to, &tls_end_events, &client, &client.s);
    client.in_call = false;
    return err;
}

static void connect_both(void)
{
    assert_int_equal(dial("127.0.0.1", port), DP_OK);
    RUN_UNTIL(client.connects && peer.s);
    assert_int_equal(client.connect_err, DP_OK);
}

static void close_both(void)
{
    struct tls_end *const ends[] = {&client, &peer};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->s && !ends[i]->closed_by_us)
            tls_end_close(ends[i]);
    }
    RUN_UNTIL(client.closes == 1 && peer.closes == 1);
}

static uint16_t closed_port(void)
{
    int fd;
    uint16_t p;
    const char *text;
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, false, &fd, &p, &text), DP_OK);
    assert_int_equal(close(fd), 0);
    return p;
}

/* ---- tests ---- */

static void test_echo(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 1000, 16384, 16385, 65536, 300000};
    size_t total = 0;
    connect_both();
    peer.echo = true;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(tls_end_write(&client, sizes[i]), DP_OK);
        total += sizes[i];
        RUN_UNTIL(client.received == total);
    }
    assert_int_equal(dp_stream_pending(client.s), 0);
    tls_end_shutdown(&client);
    RUN_UNTIL(peer.ends);
    assert_int_equal(peer.end_err, DP_OK);
    assert_int_equal(client.ends, 0);
    tls_end_shutdown(&peer);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.end_err, DP_OK);
    close_both();
}

static void test_dial_fails(void **state)
{
    (void)state;
    const uint16_t ports[] = {closed_port(), 9};
    const char *const ips[] = {"127.0.0.1", "255.255.255.255"}; /* later, and at once */
    for (int i = 0; i < 2; i++) {
        forget();
        assert_int_equal(dial(ips[i], ports[i]), DP_OK);
        assert_int_equal(client.connects, 0);
        client.close_on_connect = i == 0;
        RUN_UNTIL(client.connects);
        assert_int_equal(client.connect_err, DP_ECONNECT);
        if (client.s && !client.closed_by_us)
            tls_end_close(&client);
        RUN_UNTIL(client.closes);
        assert_int_equal(client.connects, 1);
    }
    assert_int_equal(dp_tls_stats(client_tls).failed, 0); /* TLS had no chance to */
    forget();
    assert_int_equal(dial("localhost", 1), DP_EINVAL);
    assert_null(client.s);
}

static void test_close_while_dialing(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        forget();
        assert_int_equal(dial("127.0.0.1", port), DP_OK);
        for (int i = 0; i < turns && !client.connects; i++)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        int connects = client.connects;
        tls_end_close(&client);
        RUN_UNTIL(client.closes);
        assert_int_equal(client.connects, connects);
        idle_turns();
        if (peer.s) {
            tls_end_close(&peer);
            RUN_UNTIL(!peer.s);
        }
    }
}

/* A peer that accepts and says nothing, then closes or resets. */
static void test_silent_peer(void **state)
{
    (void)state;
    plain_server = true;
    for (int reset = 0; reset < 2; reset++) {
        forget();
        assert_int_equal(dial("127.0.0.1", port), DP_OK);
        RUN_UNTIL(peer.s);
        idle_turns();
        assert_int_equal(client.connects, 0);
        peer.reset = reset;
        tls_end_close(&peer);
        RUN_UNTIL(client.connects);
        assert_int_equal(client.connect_err, DP_ETLS);
        /* the kernel resets too where a ClientHello was left unread */
        assert_true(strstr(client.text, "during the handshake") != NULL);
        tls_end_close(&client);
        RUN_UNTIL(client.closes && peer.closes);
    }
}

static void test_plain_peer(void **state)
{
    (void)state;
    static const struct dp_span answer = DP_SPAN_INIT("HTTP/1.1 400 Bad Request\r\n\r\n");
    plain_server = true;
    assert_int_equal(dial("127.0.0.1", port), DP_OK);
    RUN_UNTIL(peer.s);
    assert_int_equal(tls_end_write_spans(&peer, &answer, 1), DP_OK);
    RUN_UNTIL(client.connects);
    assert_int_equal(client.connect_err, DP_ETLS);
    assert_string_equal(client.text, "wrong version number: the peer does not speak TLS");
    close_both();
}

/* Much is written to a reader that starts late: what waits passes the high mark, on_drain comes, all
 * arrives in order, and the end of our side only behind it. Both ways at once. */
static void test_backpressure(void **state)
{
    (void)state;
    client.lazy = true;
    connect_both();
    while (dp_stream_pending(peer.s) <= DP_STREAM_HIGH_BYTES) {
        if (tls_end_write(&peer, 50000) == DP_ECLOSED)
            step(); /* the client's Finished is on its way */
    }
    idle_turns();
    assert_true(dp_stream_pending(peer.s) > DP_STREAM_HIGH_BYTES / 2);
    while (dp_stream_pending(client.s) <= DP_STREAM_HIGH_BYTES)
        assert_int_equal(tls_end_write(&client, 50000), DP_OK);
    peer.to_write = peer.written + 20000000;
    client.to_write = client.written + 20000000;
    tls_end_read_start(&client);
    RUN_UNTIL(peer.written >= peer.to_write && client.written >= client.to_write);
    assert_true(peer.drains > 0);
    tls_end_shutdown(&peer);
    tls_end_shutdown(&client);
    RUN_UNTIL(client.ends && peer.ends);
    assert_int_equal(client.end_err, DP_OK);
    assert_int_equal(peer.end_err, DP_OK);
    assert_int_equal(client.received, peer.written);
    assert_int_equal(peer.received, client.written);
    close_both();
    assert_int_equal(pool.n_used, 0);
}

/* An orderly close is an end; a reset is a reset; a close in the middle of what waits is a cut. */
static void test_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        bool waiting = i / 2 == 1;
        forget();
        client.lazy = waiting;
        connect_both();
        tls_end_write(&client, 1);
        RUN_UNTIL(peer.received == 1);
        do
            assert_int_equal(tls_end_write(&peer, 50000), DP_OK);
        while (waiting && dp_stream_pending(peer.s) <= DP_STREAM_HIGH_BYTES);
        if (!waiting)
            RUN_UNTIL(client.received == 50000);
        peer.reset = i % 2;
        tls_end_close(&peer);
        if (waiting)
            tls_end_read_start(&client);
        RUN_UNTIL(client.ends);
        assert_int_equal(client.end_err, peer.reset || waiting ? DP_ERESET : DP_OK);
        assert_true(waiting == (client.received < peer.written));
        close_both();
    }
}

/* The peer resets while much waits: on_drain says that something happened, and the next write what. */
static void test_write_fails_later(void **state)
{
    (void)state;
    client.lazy = true;
    connect_both();
    tls_end_write(&client, 1);
    RUN_UNTIL(peer.received == 1);
    dp_stream_read_stop(peer.s); /* or the reset is told as an end */
    while (dp_stream_pending(peer.s) <= DP_STREAM_HIGH_BYTES)
        assert_int_equal(tls_end_write(&peer, 50000), DP_OK);
    idle_turns();
    peer.drains = 0;
    client.reset = true;
    tls_end_close(&client);
    RUN_UNTIL(peer.drains);
    assert_int_equal(dp_stream_pending(peer.s), 0);
    assert_int_equal(tls_end_write(&peer, 0), DP_ERESET);
    assert_int_equal(tls_end_write(&peer, 1), DP_ERESET);
    assert_int_equal(tls_end_write(&peer, 1), DP_ERESET);
}

static void test_close_in_callbacks(void **state)
{
    (void)state;
    enum where { CONNECT, READ, END, DRAIN, WHERES };
    for (int where = 0; where < WHERES; where++) {
        forget();
        client.close_on_connect = where == CONNECT;
        peer.close_on_read = where == READ;
        peer.close_on_end = where == END;
        peer.close_on_drain = where == DRAIN;
        client.lazy = where == DRAIN;
        connect_both();
        if (where == DRAIN) {
            tls_end_write(&client, 1);
            RUN_UNTIL(peer.received == 1);
            while (dp_stream_pending(peer.s) <= DP_STREAM_HIGH_BYTES)
                assert_int_equal(tls_end_write(&peer, 50000), DP_OK);
            tls_end_read_start(&client);
        } else if (where != CONNECT) {
            if (where == READ)
                assert_int_equal(tls_end_write(&client, 4 * DP_READ_BYTES), DP_OK);
            tls_end_shutdown(&client);
        }
        if (where == CONNECT)
            RUN_UNTIL(client.closes && peer.ends);
        else
            RUN_UNTIL(peer.closes);
        assert_int_equal(peer.reads > 0, where == READ || where == DRAIN);
        close_both();
    }
}

/* What the region can't have received may be sent again: TCP's count goes through. */
static void test_reached(void **state)
{
    (void)state;
    connect_both();
    tls_end_write(&client, 10);
    RUN_UNTIL(peer.received == 10);
    dp_stream_read_stop(peer.s);
    uint64_t mark = dp_stream_written(client.s);
    assert_true(mark > 10);
    tls_end_shutdown(&peer);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.end_err, DP_OK);
    assert_false(dp_stream_reached(client.s, mark));
    assert_true(dp_stream_reached(client.s, 0));
    close_both();
}

static void test_resumed_over_tcp(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        forget();
        connect_both();
        tls_end_write(&client, 1);
        RUN_UNTIL(peer.received == 1);
        idle_turns(); /* the tickets */
        client.reset = i % 2;
        close_both();
    }
    assert_int_equal(dp_tls_stats(client_tls).resumed, 4);
    assert_int_equal(dp_tls_stats(server_tls).resumed, 4);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_echo),        TEST(test_dial_fails),        TEST(test_close_while_dialing),
        TEST(test_silent_peer), TEST(test_plain_peer),        TEST(test_backpressure),
        TEST(test_ends),        TEST(test_write_fails_later), TEST(test_close_in_callbacks),
        TEST(test_reached),     TEST(test_resumed_over_tcp),
    };
    return cmocka_run_group_tests(tests, tls_certs_setup, tls_certs_teardown);
}
