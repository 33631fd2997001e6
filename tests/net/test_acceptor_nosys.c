/* Accepting, and listening at all, when the kernel will not: what can't be served now waits, the loop does not spin, and
 * nothing is left behind. */
#include "davenport/base/log.h"
#include "davenport/net/acceptor.h"
#include "davenport/net/listener.h"

#include "support/nosys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

static uv_loop_t loop;
static uint16_t port;
static struct dp_acceptor *acceptor;
static unsigned accepted, pauses;
static bool closed;

static void on_accepted(void *ctx, int fd)
{
    (void)ctx;
    accepted++;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    (void)close(fd);
}

static void on_paused(void *ctx)
{
    (void)ctx;
    pauses++;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    closed = true;
}

static const struct dp_acceptor_events events = {on_accepted, on_paused};

static int connect_to(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    assert_int_equal(connect(s, (const struct sockaddr *)&sin, sizeof(sin)), 0);
    return s;
}

static int start(void **state)
{
    int fd;
    const char *why;
    (void)state;
    accepted = pauses = 0;
    closed = false;
    return uv_loop_init(&loop) != 0 ||
           dp_listen_tcp("127.0.0.1", 0, false, &fd, &port, &why) != DP_OK ||
           dp_acceptor_new(&loop, fd, 16, &events, NULL, &acceptor, &why) != DP_OK;
}

static int stop(void **state)
{
    (void)state;
    nosys_at(NOSYS_accept4, 0, 0, 0);
    dp_acceptor_close(acceptor, on_closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return !closed || uv_loop_close(&loop) != 0;
}

/* The n-th accept fails, whatever it is for: all three clients are served all the same. */
static void every_error_is_survived(void **state)
{
    (void)state;
    for (struct nosys_case c = {0}; nosys_next(&c);) {
        for (unsigned n = 1; n <= 3 && c.call == NOSYS_accept4; n++) {
            int clients[3];
            accepted = 0;
            for (int i = 0; i < 3; i++)
                clients[i] = connect_to();
            nosys_at(c.call, n, c.error, 1);
            while (accepted < 3)
                (void)uv_run(&loop, UV_RUN_ONCE);
            assert_int_equal(nosys_happened(), 1);
            nosys_at(c.call, 0, 0, 0);
            for (int i = 0; i < 3; i++)
                (void)close(clients[i]);
        }
    }
}

static void on_timer(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/* As long as there are no descriptors, it asks now and then, not again and again; then the client that waited is served. */
static void without_descriptors_it_does_not_spin(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        uv_timer_t timer;
        bool over = false;
        unsigned turns = 0;
        int client = connect_to();
        accepted = pauses = 0;
        nosys_at(NOSYS_accept4, 1, errors[i], NOSYS_EVER);
        timer.data = &over;
        assert_int_equal(uv_timer_init(&loop, &timer), 0);
        assert_int_equal(uv_timer_start(&timer, on_timer, 220, 0), 0);
        for (; !over; turns++)
            (void)uv_run(&loop, UV_RUN_ONCE);
        assert_in_range(pauses, 1, 5); /* one each 50 ms at most */
        /* EPERM is the one connection's: so many of them at once are more than that */
        assert_int_equal(nosys_happened(), errors[i] == EPERM ? pauses * 64 : pauses);
        assert_true(turns <= 15);
        assert_int_equal(accepted, 0);
        nosys_at(NOSYS_accept4, 0, 0, 0);
        while (accepted == 0)
            (void)uv_run(&loop, UV_RUN_ONCE);
        uv_close((uv_handle_t *)&timer, NULL);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)close(client);
    }
}

/* Closing while it pauses. */
static void it_can_be_closed_in_a_pause(void **state)
{
    (void)state;
    int client = connect_to();
    nosys_at(NOSYS_accept4, 1, EMFILE, NOSYS_EVER);
    while (pauses == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    (void)close(client);
}

/* Each call on the way to a listening socket fails: the caller is told why, and no descriptor is left. */
static void listening_fails_cleanly(void **state)
{
    (void)state;
    char path[] = "/tmp/dp-nosys-XXXXXX", file[64];
    assert_non_null(mkdtemp(path));
    (void)snprintf(file, sizeof(file), "%s/s", path);
    for (struct nosys_case c = {0}; nosys_next(&c);) {
        for (unsigned n = 1, hit = 1; hit; n++) {
            const unsigned before = nosys_descriptors();
            const char *why = NULL, *why_unix = NULL;
            uint16_t any;
            int fd = -1, local = -1;
            nosys_at(c.call, n, c.error, 1);
            enum dp_err tcp = dp_listen_tcp("::1", 0, DP_LISTEN_REUSE_PORT, &fd, &any, &why);
            enum dp_err un = dp_listen_unix(file, 0600, &local, NULL, &why_unix);
            hit = nosys_happened();
            nosys_at(c.call, 0, 0, 0);
            assert_true(tcp == DP_OK ? fd >= 0 && any > 0 : why && fd < 0);
            assert_true(un == DP_OK ? local >= 0 : why_unix && local < 0);
            if (fd >= 0)
                (void)close(fd);
            if (local >= 0)
                (void)close(local);
            if (nosys_descriptors() != before)
                fail_msg("%s %s %u: a descriptor was left", c.name, c.error_name, n);
            (void)unlink(file);
        }
    }
    assert_int_equal(rmdir(path), 0);
}

static int silence(void **state)
{
    (void)state;
    dp_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_error_is_survived, start, stop),
        cmocka_unit_test_setup_teardown(without_descriptors_it_does_not_spin, start, stop),
        cmocka_unit_test_setup_teardown(it_can_be_closed_in_a_pause, start, stop),
        cmocka_unit_test(listening_fails_cleanly),
    };
    return cmocka_run_group_tests_name("acceptor_nosys", tests, silence, NULL);
}
