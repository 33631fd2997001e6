/* TLS over real sockets when the kernel refuses: whatever call fails, both ends are told or nothing was lost, what was
 * carried is right, nobody waits for ever, and neither descriptors nor OpenSSL's errors are left behind. */
#include "davenport/base/log.h"
#include "davenport/net/acceptor.h"
#include "davenport/net/listener.h"
#include "davenport/net/tcp.h"
#include "davenport/net/tls.h"

#include "support/nosys.h"
#include "support/tls_certs.h"
#include "support/tls_ends.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <uv.h>

#define BYTES       100000
#define WATCHDOG_MS 60000
/* More than one connection takes of any call. */
#define CALLS_MAX 12

static uv_loop_t loop;
static uv_timer_t watchdog;
static struct dp_chunk_pool pool;
static struct dp_net net;
static struct dp_tls *client_tls, *server_tls;
static struct tls_end client, server;
static bool accepting;
static struct nosys_case now;
static unsigned now_n;

static void on_accepted(void *ctx, int fd)
{
    struct dp_stream *lower;
    (void)ctx;
    if (dp_tcp_open(&net, fd, &tls_end_events, NULL, &lower) == DP_OK &&
        dp_tls_accept(server_tls, lower, &tls_end_events, &server, &server.s) == DP_OK)
        tls_end_read_start(&server);
}

static void on_acceptor_closed(void *ctx)
{
    (void)ctx;
    accepting = false;
}

static void turn(void)
{
    (void)uv_run(&loop, UV_RUN_ONCE);
}

static void close_end(struct tls_end *e)
{
    if (e->s && !e->closed_by_us)
        tls_end_close(e);
}

/* What the owners do of their own accord, as far as it can go now. */
static void step(size_t *written)
{
    if (server.s && !server.echo) /* a write failed: that is for its owner to act on */
        close_end(&server);
    if (!client.s || client.closed_by_us || client.connects == 0)
        return;
    if (client.connect_err || client.received == BYTES ||
        (*written == 0 && tls_end_write(&client, BYTES) != DP_OK))
        close_end(&client);
    *written = client.written;
}

/* One connection: BYTES go there and come back. True: all of them did. */
static bool converse(void)
{
    static const struct dp_acceptor_events events = {on_accepted, NULL};
    struct dp_acceptor *acceptor;
    const char *why;
    uint16_t port;
    size_t written = 0;
    int fd;
    client = (struct tls_end){.tls = client_tls, .close_on_end = true};
    server = (struct tls_end){.tls = server_tls, .close_on_end = true, .echo = true};
    nosys_pause();
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, 0, &fd, &port, &why), DP_OK);
    assert_int_equal(dp_acceptor_new(&loop, fd, 16, &events, NULL, &acceptor, &why), DP_OK);
    nosys_resume();
    accepting = true;
    if (dp_tls_dial(client_tls, &net, "127.0.0.1", port, &tls_end_events, &client, &client.s) !=
        DP_OK)
        client.s = NULL;
    while (client.s) {
        step(&written);
        turn();
    }
    dp_acceptor_close(acceptor, on_acceptor_closed);
    while (accepting)
        turn();
    while (server.s) { /* the client's end reaches it, whatever it was */
        step(&written);
        turn();
    }
    assert_int_equal(ERR_peek_error(), 0);
    return client.received == BYTES;
}

static bool is_asked_again(const struct nosys_case *c)
{
    static const bool moves_bytes[NOSYS_COUNT] = {[NOSYS_read] = true,
                                                  [NOSYS_write] = true,
                                                  [NOSYS_writev] = true,
                                                  [NOSYS_send] = true,
                                                  [NOSYS_sendmsg] = true};
    return moves_bytes[c->call] && (c->error == EAGAIN || c->error == EINTR);
}

static void every_call_fails_once(void **state)
{
    unsigned faults = 0, losses = 0;
    (void)state;
    assert_true(converse());
    const unsigned before = nosys_descriptors();
    for (struct nosys_case c = {0}; nosys_next(&c);) {
        for (unsigned n = 1, hit = 1; hit && n <= CALLS_MAX; n++) {
            now = c;
            now_n = n;
            nosys_at(c.call, n, c.error, 1);
            const bool whole = converse();
            hit = nosys_happened();
            nosys_at(c.call, 0, 0, 0);
            faults += hit;
            losses += !whole;
            if (!whole && (!hit || is_asked_again(&c)))
                fail_msg("%s %s, call %u: bytes were lost", c.name, c.error_name, n);
            if (nosys_descriptors() != before)
                fail_msg("%s %s, call %u: a descriptor is left", c.name, c.error_name, n);
        }
    }
    print_message("%u faults, %u connections lost\n", faults, losses);
    assert_true(faults > 40 && losses > 10);
    assert_true(converse());
}

static void too_late(uv_timer_t *t)
{
    (void)t;
    (void)fprintf(stderr, "%s %s, call %u: somebody waits for ever\n", now.name, now.error_name,
                  now_n);
    abort(); /* whatever waits would also keep the end of the test waiting */
}

static int start(void **state)
{
    char why[DP_TLS_TEXT_BYTES];
    (void)state;
    dp_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || tls_certs_make() != 0 || uv_loop_init(&loop) != 0)
        return -1;
    dp_chunk_pool_init(&pool, 4096, 16);
    net = (struct dp_net){&loop, &pool, malloc(DP_READ_BYTES)};
    (void)uv_timer_init(&loop, &watchdog);
    (void)uv_timer_start(&watchdog, too_late, WATCHDOG_MS, 0);
    const struct dp_tls_client_config c = {.server_name = "localhost",
                                           .ca_file = tls_certs_path("ca.crt")};
    const struct dp_tls_server_config s = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key")};
    return !net.scratch || dp_tls_client_new(&c, &client_tls, why, sizeof(why)) != DP_OK ||
           dp_tls_server_new(&s, &server_tls, why, sizeof(why)) != DP_OK;
}

static int stop(void **state)
{
    (void)state;
    dp_tls_unref(client_tls);
    dp_tls_unref(server_tls);
    uv_close((uv_handle_t *)&watchdog, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    free(net.scratch);
    dp_chunk_pool_fini(&pool);
    tls_certs_remove();
    return uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once),
    };
    return cmocka_run_group_tests_name("tls_nosys", tests, start, stop);
}
