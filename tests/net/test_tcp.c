/* TCP streams over real loopback sockets, all in one loop. Every event checks that it does not come
 * from inside a call to the stream and that nothing but on_close comes after a close. Nothing here
 * waits for time to pass; a watchdog ends a test that hangs. */
#include "davenport/net/acceptor.h"
#include "davenport/net/listener.h"
#include "davenport/net/tcp.h"

#include "net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#define CHUNKS 4096 /* 64 MiB: the cap when it is not what is tested */

struct end {
    struct dp_stream *s;
    int connects, ends, drains, closes;
    enum dp_err connect_err, end_err;
    size_t received; /* bytes, all checked against byte_at() */
    bool in_call, closed_by_us, reset;
    bool echo, close_on_connect, close_on_read, close_on_end, close_on_drain;
    size_t to_write; /* on_drain writes on until this much was written in all */
    size_t written;
};

static struct dp_acceptor *acceptor;
static uint16_t port;
static struct dp_chunk_pool pool;
static struct dp_net net;
static struct end client, peer; /* who dials, and whom the server accepts */

static char byte_at(size_t i)
{
    return (char)((i * 31 + i / 251) & 0xFF);
}

/* ---- calls, each marked as being under way ---- */

static void end_close(struct end *e)
{
    e->in_call = true;
    e->closed_by_us = true;
    dp_stream_close(e->s, e->reset);
    e->in_call = false;
}

static void read_start(struct end *e)
{
    e->in_call = true;
    dp_stream_read_start(e->s);
    e->in_call = false;
}

static void shut(struct end *e)
{
    e->in_call = true;
    dp_stream_shutdown(e->s);
    e->in_call = false;
}

static enum dp_err write_spans(struct end *e, const struct dp_span *spans, size_t n)
{
    e->in_call = true;
    enum dp_err err = dp_stream_write(e->s, spans, n);
    e->in_call = false;
    return err;
}

/* The next n bytes of the stream. */
static enum dp_err write_next(struct end *e, size_t n)
{
    char *p = malloc(n > 0 ? n : 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(e->written + i);
    const struct dp_span span = {p, n};
    enum dp_err err = write_spans(e, &span, 1);
    free(p); /* what was not taken must have been copied */
    if (err == DP_OK)
        e->written += n;
    return err;
}

static enum dp_err dial(struct end *e, const char *ip, uint16_t to);

/* ---- events ---- */

static void check_event(const struct end *e)
{
    assert_false(e->in_call);
    assert_false(e->closed_by_us);
    assert_int_equal(e->closes, 0);
}

static void on_connect(void *owner, enum dp_err err)
{
    struct end *e = owner;
    check_event(e);
    e->connects++;
    e->connect_err = err;
    if (e->close_on_connect)
        end_close(e);
}

static void on_read(void *owner, const char *p, size_t n)
{
    struct end *e = owner;
    check_event(e);
    assert_int_equal(e->ends, 0);
    assert_in_range(n, 1, DP_READ_BYTES);
    for (size_t i = 0; i < n; i++, e->received++) {
        if (p[i] != byte_at(e->received))
            fail_msg("byte %zu is wrong", e->received);
    }
    if (e->echo) {
        const struct dp_span span = {p, n};
        assert_int_equal(write_spans(e, &span, 1), DP_OK);
    }
    if (e->close_on_read)
        end_close(e);
}

static void on_end(void *owner, enum dp_err err)
{
    struct end *e = owner;
    check_event(e);
    e->ends++;
    e->end_err = err;
    if (e->close_on_end)
        end_close(e);
}

static void on_drain(void *owner)
{
    struct end *e = owner;
    check_event(e);
    assert_true(dp_stream_pending(e->s) <= DP_STREAM_HIGH_BYTES / 2);
    e->drains++;
    if (e->close_on_drain) {
        end_close(e);
        return;
    }
    while (e->written < e->to_write && dp_stream_pending(e->s) <= DP_STREAM_HIGH_BYTES)
        assert_int_equal(write_next(e, 50000), DP_OK);
}

static void on_close(void *owner)
{
    struct end *e = owner;
    assert_false(e->in_call);
    assert_int_equal(e->closes, 0);
    e->closes++;
    e->s = NULL;
}

static const struct dp_stream_events events = {on_connect, on_read, on_end, on_drain, on_close};

static enum dp_err dial(struct end *e, const char *ip, uint16_t to)
{
    e->in_call = true;
    enum dp_err err = dp_tcp_dial(&net, ip, to, &events, e, &e->s);
    e->in_call = false;
    return err;
}

/* ---- the loop ---- */

static void on_connection(void *ctx, int fd)
{
    (void)ctx;
    assert_null(peer.s);
    peer.in_call = true;
    assert_int_equal(dp_tcp_open(&net, fd, &events, &peer, &peer.s), DP_OK);
    peer.in_call = false;
}

static const struct dp_acceptor_events acceptor_events = {.accepted = on_connection};

static int start_with(size_t max_chunks)
{
    int fd;
    const char *why;
    memset(&client, 0, sizeof(client));
    memset(&peer, 0, sizeof(peer));
    dp_chunk_pool_init(&pool, max_chunks, 8);
    if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &watchdog) != 0)
        return -1;
    net = (struct dp_net){&loop, &pool, malloc(DP_READ_BYTES)};
    if (!net.scratch || dp_listen_tcp("127.0.0.1", 0, false, &fd, &port, &why) != DP_OK)
        return -1;
    return dp_acceptor_new(&loop, fd, 16, &acceptor_events, NULL, &acceptor, &why) != DP_OK;
}

static int start(void **state)
{
    (void)state;
    return start_with(CHUNKS);
}

static int start_small(void **state)
{
    (void)state;
    return start_with(4);
}

/* Close what is left; then nothing may be left: no handle, no chunk, no byte (the leak sanitizer). */
static int stop(void **state)
{
    (void)state;
    struct end *const ends[] = {&client, &peer};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->s && !ends[i]->closed_by_us)
            end_close(ends[i]);
    }
    dp_acceptor_close(acceptor, NULL);
    uv_close((uv_handle_t *)&watchdog, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    free(net.scratch);
    if (client.s || peer.s || pool.n_used != 0)
        return -1;
    dp_chunk_pool_fini(&pool);
    return uv_loop_close(&loop);
}

static void connect_both(void)
{
    assert_int_equal(dial(&client, "127.0.0.1", port), DP_OK);
    RUN_UNTIL(client.connects && peer.s);
    assert_int_equal(client.connect_err, DP_OK);
}

static void close_both(void)
{
    struct end *const ends[] = {&client, &peer};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->s && !ends[i]->closed_by_us)
            end_close(ends[i]);
    }
    RUN_UNTIL(client.closes == 1 && peer.closes == 1);
}

/* A peer that is no stream of ours: a plain blocking socket. */
static int plain_peer(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    const struct timeval patience = {WATCHDOG_MS / 1000, 0};
    assert_true(s >= 0);
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(s, (const struct sockaddr *)&sin, sizeof(sin)), 0);
    RUN_UNTIL(peer.s);
    return s;
}

/* A port that nobody listens on: ours, given back. */
static uint16_t closed_port(void)
{
    int fd;
    uint16_t p;
    const char *why;
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, false, &fd, &p, &why), DP_OK);
    assert_int_equal(close(fd), 0);
    return p;
}

/* Write until more than `bytes` wait and stay: the kernel widens its buffers while they fill. */
static void fill(struct end *e, size_t bytes)
{
    do {
        while (dp_stream_pending(e->s) <= bytes)
            assert_int_equal(write_next(e, 50000), DP_OK);
        idle_turns();
    } while (dp_stream_pending(e->s) <= bytes);
    e->drains = 0;
}

/* ---- tests ---- */

static void test_echo(void **state)
{
    (void)state;
    connect_both();
    peer.echo = true;
    read_start(&client);
    read_start(&peer);
    size_t total = 0;
    static const size_t sizes[] = {1, 2, 1000, 65536, 65537, 300000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(write_next(&client, sizes[i]), DP_OK);
        total += sizes[i];
        RUN_UNTIL(client.received == total);
    }
    assert_int_equal(dp_stream_pending(client.s), 0);
    shut(&client);
    RUN_UNTIL(peer.ends);
    assert_int_equal(peer.end_err, DP_OK);
    assert_int_equal(client.ends, 0); /* only one side has finished */
    shut(&peer);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.end_err, DP_OK);
    close_both();
}

/* Empty spans, none at all, and more than one system call takes. */
static void test_many_spans(void **state)
{
    (void)state;
    enum { N = 1000 };
    static char bytes[N];
    struct dp_span spans[N];
    connect_both();
    read_start(&peer);
    for (size_t i = 0; i < N; i++) {
        bytes[i] = byte_at(i);
        spans[i] = (struct dp_span){&bytes[i], i % 3 == 2 ? 0 : 1};
    }
    size_t n = 0; /* every third span is empty, so the bytes are numbered anew */
    for (size_t i = 0; i < N; i++) {
        if (spans[i].n > 0)
            bytes[i] = byte_at(n++);
    }
    assert_int_equal(write_spans(&client, spans, 0), DP_OK);
    assert_int_equal(write_spans(&client, &spans[2], 1), DP_OK);
    assert_int_equal(write_spans(&client, spans, N), DP_OK);
    RUN_UNTIL(peer.received == n);
    close_both();
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(dial(&client, "127.0.0.1", closed_port()), DP_OK);
    assert_int_equal(client.connects, 0);
    RUN_UNTIL(client.connects);
    assert_int_equal(client.connect_err, DP_ECONNECT);
    assert_int_equal(client.closes, 0);
    end_close(&client);
    RUN_UNTIL(client.closes);
    assert_int_equal(client.connects, 1);
}

/* An address that the kernel refuses before anything is sent: told later just the same. */
static void test_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(dial(&client, "255.255.255.255", 9), DP_OK);
    assert_int_equal(client.connects, 0);
    RUN_UNTIL(client.connects);
    assert_int_equal(client.connect_err, DP_ECONNECT);
    if (client.s) /* on_close may have come in the same turn */
        end_close(&client);
    RUN_UNTIL(client.closes);
    assert_int_equal(client.connects, 1);
}

static void test_bad_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "localhost", "127.0.0", "127.0.0.1:80",
                                      "[::1]", "1.2.3.256"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (dial(&client, bad[i], port) != DP_EINVAL)
            fail_msg("\"%s\" was dialed", bad[i]);
        assert_null(client.s);
    }
    idle_turns();
    assert_int_equal(client.connects + client.closes, 0);
}

/* Whoever closes before it is connected hears of nothing but the close. */
static void test_close_while_dialing(void **state)
{
    (void)state;
    const uint16_t ports[] = {port, closed_port(), 9};
    for (size_t i = 0; i < 3; i++) {
        for (int reset = 0; reset < 2; reset++) {
            memset(&client, 0, sizeof(client));
            assert_int_equal(dial(&client, i == 2 ? "255.255.255.255" : "127.0.0.1", ports[i]),
                             DP_OK);
            client.reset = reset;
            end_close(&client);
            end_close(&client); /* twice is once */
            RUN_UNTIL(client.closes);
            assert_int_equal(client.connects, 0);
            if (peer.s && !peer.closed_by_us)
                end_close(&peer);
            RUN_UNTIL(!peer.s);
            memset(&peer, 0, sizeof(peer));
        }
    }
    idle_turns();
    if (peer.s) /* the kernel may have had the connection ready */
        end_close(&peer);
}

static void test_close_in_on_connect(void **state)
{
    (void)state;
    client.close_on_connect = true;
    assert_int_equal(dial(&client, "127.0.0.1", port), DP_OK);
    RUN_UNTIL(client.closes && peer.s);
    memset(&client, 0, sizeof(client));
    client.close_on_connect = true;
    assert_int_equal(dial(&client, "127.0.0.1", closed_port()), DP_OK);
    RUN_UNTIL(client.closes);
    assert_int_equal(client.connects, 1);
    memset(&client, 0, sizeof(client));
    client.close_on_connect = true;
    assert_int_equal(dial(&client, "255.255.255.255", 9), DP_OK);
    RUN_UNTIL(client.closes);
    assert_int_equal(client.connects, 1);
}

/* What is written and finished before the connection stands goes out when it does. */
static void test_write_while_dialing(void **state)
{
    (void)state;
    assert_int_equal(dial(&client, "127.0.0.1", port), DP_OK);
    assert_int_equal(write_next(&client, 100000), DP_OK);
    shut(&client);
    RUN_UNTIL(client.connects && peer.s);
    assert_int_equal(client.connect_err, DP_OK);
    read_start(&peer);
    RUN_UNTIL(peer.ends);
    assert_int_equal(peer.received, 100000);
    close_both();
    /* and without a byte */
    memset(&client, 0, sizeof(client));
    memset(&peer, 0, sizeof(peer));
    assert_int_equal(dial(&client, "127.0.0.1", port), DP_OK);
    shut(&client);
    RUN_UNTIL(client.connects && peer.s);
    read_start(&peer);
    RUN_UNTIL(peer.ends);
    assert_int_equal(peer.end_err, DP_OK);
    close_both();
}

/* Much is written to a reader that starts late: what waits passes the high mark, on_drain comes, all
 * arrives in order, and the end of our side only behind it. */
static void test_late_reader(void **state)
{
    (void)state;
    connect_both();
    fill(&peer, DP_STREAM_HIGH_BYTES);
    peer.to_write = peer.written + 3000000;
    read_start(&client);
    RUN_UNTIL(peer.written >= peer.to_write);
    assert_true(peer.drains > 0);
    shut(&peer);
    assert_int_equal(client.ends, 0);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.end_err, DP_OK);
    assert_int_equal(client.received, peer.written);
    assert_int_equal(dp_stream_pending(peer.s), 0);
    /* the other way is still open */
    read_start(&peer);
    assert_int_equal(write_next(&client, 1000), DP_OK);
    RUN_UNTIL(peer.received == 1000);
    close_both();
    assert_int_equal(pool.n_used, 0);
}

static void test_shutdown_behind_pending(void **state)
{
    (void)state;
    connect_both();
    fill(&peer, 4 * DP_STREAM_HIGH_BYTES);
    shut(&peer);
    shut(&peer); /* twice is once */
    idle_turns();
    assert_true(dp_stream_pending(peer.s) > 0);
    read_start(&client);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.end_err, DP_OK);
    assert_int_equal(client.received, peer.written);
    shut(&peer);
    idle_turns();
    close_both();
}

/* What is said to be the last may be held back until our end goes with it: whatever the end is. */
static void last_then(void (*end)(struct end *e))
{
    connect_both();
    read_start(&client);
    dp_stream_last(peer.s);
    assert_int_equal(write_next(&peer, 300), DP_OK);
    assert_int_equal(write_next(&peer, 3000), DP_OK);
    end(&peer);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.end_err, DP_OK);
    assert_int_equal(client.received, 3300);
    close_both();
}

static void test_last_then_shutdown(void **state)
{
    (void)state;
    last_then(shut);
}

static void test_last_then_close(void **state)
{
    (void)state;
    last_then(end_close);
}

static void test_read_stop(void **state)
{
    (void)state;
    connect_both();
    assert_int_equal(write_next(&client, 10), DP_OK);
    idle_turns();
    assert_int_equal(peer.received, 0); /* reading is off at first */
    read_start(&peer);
    read_start(&peer);
    RUN_UNTIL(peer.received == 10);
    dp_stream_read_stop(peer.s);
    dp_stream_read_stop(peer.s);
    assert_int_equal(write_next(&client, 10), DP_OK);
    shut(&client);
    idle_turns();
    assert_int_equal(peer.received, 10);
    assert_int_equal(peer.ends, 0);
    read_start(&peer);
    RUN_UNTIL(peer.ends);
    assert_int_equal(peer.received, 20);
    /* the end is told once, whatever is asked behind it */
    dp_stream_read_stop(peer.s);
    read_start(&peer);
    idle_turns();
    assert_int_equal(peer.ends, 1);
    close_both();
}

/* close(reset) is a reset for the peer; a close without it an orderly end. */
static void test_reset_is_seen(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        memset(&client, 0, sizeof(client));
        memset(&peer, 0, sizeof(peer));
        connect_both();
        read_start(&client);
        assert_int_equal(write_next(&peer, 10), DP_OK);
        RUN_UNTIL(client.received == 10);
        peer.reset = reset;
        end_close(&peer);
        RUN_UNTIL(client.ends);
        assert_int_equal(client.end_err, reset ? DP_ERESET : DP_OK);
        close_both();
    }
}

/* What was written before the peer closed reached it; what crossed its close did not. */
static void test_reached(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        memset(&client, 0, sizeof(client));
        memset(&peer, 0, sizeof(peer));
        connect_both();
        read_start(&peer);
        assert_int_equal(write_next(&client, 100), DP_OK);
        RUN_UNTIL(peer.received == 100);
        uint64_t mark = dp_stream_written(client.s);
        assert_int_equal(mark, 100);
        if (!late) {
            assert_int_equal(write_next(&client, 10), DP_OK);
            RUN_UNTIL(peer.received == 110);
        }
        end_close(&peer);
        RUN_UNTIL(peer.closes);
        if (late)
            assert_int_equal(write_next(&client, 10), DP_OK);
        read_start(&client);
        RUN_UNTIL(client.ends);
        assert_int_equal(client.end_err, DP_OK);
        assert_true(dp_stream_reached(client.s, 99));
        assert_int_equal(dp_stream_reached(client.s, mark), !late);
        close_both();
    }
}

static void test_reset_by_a_plain_socket(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        char buf[16];
        memset(&peer, 0, sizeof(peer));
        int s = plain_peer();
        peer.reset = reset;
        end_close(&peer);
        RUN_UNTIL(peer.closes);
        ssize_t n = recv(s, buf, sizeof(buf), 0);
        assert_int_equal(n, reset ? -1 : 0);
        if (reset)
            assert_int_equal(errno, ECONNRESET);
        assert_int_equal(close(s), 0);
    }
}

/* Even with much waiting, a reset cuts at once and gives every chunk back. */
static void test_close_with_pending(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        memset(&client, 0, sizeof(client));
        memset(&peer, 0, sizeof(peer));
        connect_both();
        fill(&peer, DP_STREAM_HIGH_BYTES);
        assert_true(pool.n_used > 0);
        if (reset)
            shut(&peer); /* has no more to say than a close */
        peer.reset = reset;
        end_close(&peer);
        assert_int_equal(write_next(&peer, 1), DP_ECLOSED);
        shut(&peer);
        read_start(&peer);
        RUN_UNTIL(peer.closes);
        assert_int_equal(pool.n_used, 0);
        read_start(&client);
        RUN_UNTIL(client.ends);
        assert_int_equal(client.end_err, reset ? DP_ERESET : DP_OK);
        assert_true(client.received < peer.written);
        close_both();
    }
}

static void test_close_in_callbacks(void **state)
{
    (void)state;
    for (int where = 0; where < 3; where++) {
        memset(&client, 0, sizeof(client));
        memset(&peer, 0, sizeof(peer));
        peer.close_on_read = where == 0;
        peer.close_on_end = where == 1;
        connect_both();
        if (where == 2) {
            fill(&peer, DP_STREAM_HIGH_BYTES);
            peer.close_on_drain = true;
            read_start(&client);
        } else {
            read_start(&peer);
            if (where == 0) /* more than one read takes */
                assert_int_equal(write_next(&client, 4 * DP_READ_BYTES), DP_OK);
            shut(&client);
        }
        RUN_UNTIL(peer.closes);
        assert_int_equal(peer.ends, where == 1);
        assert_int_equal(peer.received > 0, where == 0);
        assert_int_equal(peer.drains, where == 2);
        close_both();
    }
}

/* The peer resets while much waits: on_drain says that something happened, and the next write what. */
static void test_write_fails_later(void **state)
{
    (void)state;
    const struct linger cut = {.l_onoff = 1, .l_linger = 0};
    int s = plain_peer();
    fill(&peer, DP_STREAM_HIGH_BYTES);
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut)), 0);
    assert_int_equal(close(s), 0);
    RUN_UNTIL(peer.drains);
    assert_int_equal(dp_stream_pending(peer.s), 0);
    assert_int_equal(pool.n_used, 0);
    assert_int_equal(write_next(&peer, 1), DP_ERESET);
    assert_int_equal(write_next(&peer, 1), DP_ERESET); /* and so on */
    assert_int_equal(peer.drains, 1);
}

/* The worker's cap: writing fails, the stream can only be closed, and the pool is whole again. */
static void test_chunk_cap(void **state)
{
    (void)state;
    enum dp_err err = DP_OK;
    connect_both();
    for (int i = 0; i < 10000 && err == DP_OK; i++)
        err = write_next(&peer, 10000);
    assert_int_equal(err, DP_ENOMEM);
    assert_true(pool.n_used <= 4);
    assert_true(dp_stream_pending(peer.s) <= 4 * DP_CHUNK_BYTES);
    assert_int_equal(write_next(&peer, 1), DP_ENOMEM);
    /* nobody else is harmed: there is room as soon as it is closed */
    peer.reset = true;
    end_close(&peer);
    RUN_UNTIL(peer.closes);
    assert_int_equal(pool.n_used, 0);
    close_both();
}

/* More at once than the cap, in a single write. */
static void test_write_larger_than_the_cap(void **state)
{
    (void)state;
    connect_both();
    assert_int_equal(write_next(&peer, 32 << 20), DP_ENOMEM);
    assert_true(pool.n_used <= 4);
    close_both();
}

static void test_peer_text(void **state)
{
    (void)state;
    char text[64] = "untouched";
    connect_both();
    dp_tcp_peer(peer.s, text, sizeof(text));
    assert_string_equal(text, "127.0.0.1");
    dp_tcp_peer(client.s, text, sizeof(text));
    assert_string_equal(text, "127.0.0.1");
    dp_tcp_peer(client.s, text, 8); /* no room for the address, but for the word */
    assert_string_equal(text, "unknown");
    text[0] = 'x';
    dp_tcp_peer(client.s, text, 1);
    dp_tcp_peer(client.s, text, 0);
    assert_true(text[0] == 'x' || text[0] == '\0');
    close_both();
    memset(&client, 0, sizeof(client));
    assert_int_equal(dial(&client, "127.0.0.1", closed_port()), DP_OK);
    RUN_UNTIL(client.connects);
    dp_tcp_peer(client.s, text, sizeof(text));
    assert_string_equal(text, "unknown");
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_many_spans),
        TEST(test_refused),
        TEST(test_refused_at_once),
        TEST(test_bad_addresses),
        TEST(test_close_while_dialing),
        TEST(test_close_in_on_connect),
        TEST(test_write_while_dialing),
        TEST(test_late_reader),
        TEST(test_shutdown_behind_pending),
        TEST(test_last_then_shutdown),
        TEST(test_last_then_close),
        TEST(test_read_stop),
        TEST(test_reset_is_seen),
        TEST(test_reached),
        TEST(test_reset_by_a_plain_socket),
        TEST(test_close_with_pending),
        TEST(test_close_in_callbacks),
        TEST(test_write_fails_later),
        TEST(test_peer_text),
        cmocka_unit_test_setup_teardown(test_chunk_cap, start_small, stop),
        cmocka_unit_test_setup_teardown(test_write_larger_than_the_cap, start_small, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
