/* Listening sockets: what they accept, and that a person is told why not. */
#include "davenport/net/listener.h"

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
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/dp-listener-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    return snprintf(path, sizeof(path), "%s/socket", folder) > 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static int clean(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static int connect_tcp(uint16_t port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0);
    if (connect(s, (const struct sockaddr *)&sin, sizeof(sin)) == 0)
        return s;
    assert_int_equal(close(s), 0);
    return -1;
}

static int connect_unix(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(s >= 0);
    if (connect(s, (const struct sockaddr *)&sun, sizeof(sun)) == 0)
        return s;
    assert_int_equal(close(s), 0);
    return -1;
}

static void check_flags(int fd)
{
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void test_any_port(void **state)
{
    (void)state;
    int a = -1, b = -1;
    uint16_t port_a = 0, port_b = 0;
    const char *why = NULL;
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, false, &a, &port_a, &why), DP_OK);
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, false, &b, &port_b, &why), DP_OK);
    assert_null(why);
    assert_int_not_equal(port_a, 0);
    assert_int_not_equal(port_a, port_b);
    check_flags(a);
    assert_int_equal(listen(a, 8), 0);
    int c = connect_tcp(port_a);
    assert_true(c >= 0);
    assert_int_equal(close(c), 0);
    assert_int_equal(connect_tcp(port_b), -1); /* bound, but nobody listens yet */
    assert_int_equal(close(a), 0);
    assert_int_equal(close(b), 0);
}

static void test_ipv6(void **state)
{
    (void)state;
    int s = -1;
    uint16_t port = 0;
    const char *why = NULL;
    enum dp_err err = dp_listen_tcp("::1", 0, false, &s, &port, &why);
    if (err) { /* a machine without IPv6 */
        assert_int_equal(err, DP_EIO);
        assert_non_null(why);
        skip();
    }
    assert_int_not_equal(port, 0);
    check_flags(s);
    /* not for IPv4 too, whatever the machine's default: the same port is free there */
    int on = 0;
    socklen_t len = sizeof(on);
    assert_int_equal(getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_int_equal(close(s), 0);
}

/* "::" for both: whoever comes by IPv4 is seen by that address, which tests/net/test_tcp.c shows. */
static void test_both(void **state)
{
    (void)state;
    int s = -1, again = -1;
    uint16_t port = 0, untouched = 0;
    const char *why = NULL;
    if (dp_listen_tcp("::", 0, DP_LISTEN_BOTH, &s, &port, &why) != DP_OK)
        skip(); /* a machine without IPv6 */
    assert_int_equal(listen(s, 1), 0);
    int c = connect_tcp(port); /* by IPv4 */
    assert_true(c >= 0);
    assert_int_equal(close(c), 0);
    assert_int_equal(dp_listen_tcp("127.0.0.1", port, 0, &again, &untouched, &why), DP_EIO);
    assert_int_equal(close(s), 0);
}

static void test_port_taken(void **state)
{
    (void)state;
    int a = -1, b = -2;
    uint16_t port = 0, untouched = 7;
    const char *why = NULL;
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, false, &a, &port, &why), DP_OK);
    assert_int_equal(listen(a, 8), 0);
    for (unsigned reuse = 0; reuse < 2; reuse++) { /* sharing takes two */
        why = NULL;
        assert_int_equal(dp_listen_tcp("127.0.0.1", port, reuse, &b, &untouched, &why), DP_EIO);
        assert_string_equal(why, strerror(EADDRINUSE));
        assert_int_equal(b, -2);
        assert_int_equal(untouched, 7);
    }
    assert_int_equal(close(a), 0);
    /* and free again as soon as it is closed */
    assert_int_equal(dp_listen_tcp("127.0.0.1", port, false, &a, &untouched, &why), DP_OK);
    assert_int_equal(untouched, port);
    assert_int_equal(close(a), 0);
}

static void test_reuse_port(void **state)
{
    (void)state;
    int a = -1, b = -1, c[32];
    uint16_t port = 0, again = 0;
    const char *why = NULL;
    assert_int_equal(dp_listen_tcp("127.0.0.1", 0, true, &a, &port, &why), DP_OK);
    assert_int_equal(listen(a, 64), 0);
    assert_int_equal(dp_listen_tcp("127.0.0.1", port, true, &b, &again, &why), DP_OK);
    assert_int_equal(again, port);
    assert_int_equal(listen(b, 64), 0);
    /* the kernel spreads connections over both, and loses none */
    size_t got = 0;
    for (size_t i = 0; i < 32; i++) {
        c[i] = connect_tcp(port);
        assert_true(c[i] >= 0);
    }
    for (int s = a;; s = b) {
        int one;
        while ((one = accept(s, NULL, NULL)) >= 0) {
            got++;
            assert_int_equal(close(one), 0);
        }
        assert_int_equal(errno, EAGAIN);
        if (s == b)
            break;
    }
    assert_int_equal(got, 32);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(close(c[i]), 0);
    assert_int_equal(close(a), 0);
    assert_int_equal(close(b), 0);
}

static void test_bad_address(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "localhost",    "127.0.0",    "127.0.0.1.2",
                                      "256.0.0.1", "127.0.0.1:80", " 127.0.0.1", "[::1]",
                                      ":::",       "::1%lo",       "*",          "0x7f000001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = -2;
        uint16_t port = 7;
        const char *why = NULL;
        if (dp_listen_tcp(bad[i], 0, false, &fd, &port, &why) != DP_EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(why);
        assert_int_equal(fd, -2);
        assert_int_equal(port, 7);
    }
    /* a good address that is not ours (RFC 5737) */
    int fd = -2;
    uint16_t port = 7;
    const char *why = NULL;
    assert_int_equal(dp_listen_tcp("192.0.2.1", 0, false, &fd, &port, &why), DP_EIO);
    assert_string_equal(why, strerror(EADDRNOTAVAIL));
}

static void test_unix_permissions(void **state)
{
    (void)state;
    static const uint32_t modes[] = {0600, 0660, 0666, 0700};
    mode_t before = umask(0027);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct stat st;
        int fd = -1;
        const char *why = NULL;
        assert_int_equal(dp_listen_unix(path, modes[i], &fd, NULL, &why), DP_OK);
        check_flags(fd);
        assert_int_equal(stat(path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 07777, modes[i]);
        assert_int_equal(listen(fd, 8), 0);
        int c = connect_unix();
        assert_true(c >= 0);
        assert_int_equal(close(c), 0);
        assert_int_equal(close(fd), 0); /* the file stays, as after a crash, for the next round */
    }
    assert_int_equal(umask(before), 0027); /* put back */
}

/* Refused, and what was there is there still. */
static void refuse(const char *reason)
{
    struct stat before, after;
    int fd = -2;
    const char *why = NULL;
    assert_int_equal(lstat(path, &before), 0);
    assert_int_equal(dp_listen_unix(path, 0600, &fd, NULL, &why), DP_EIO);
    assert_non_null(why);
    assert_non_null(strstr(why, reason));
    assert_int_equal(fd, -2);
    assert_int_equal(lstat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
}

static void test_unix_live(void **state)
{
    (void)state;
    int fd = -1;
    const char *why = NULL;
    assert_int_equal(dp_listen_unix(path, 0600, &fd, NULL, &why), DP_OK);
    assert_int_equal(listen(fd, 8), 0);
    refuse("another process");
    int c = connect_unix();
    assert_true(c >= 0);
    assert_int_equal(close(c), 0);
    assert_int_equal(close(fd), 0);
}

/* From the first instant: what is bound and does not listen yet would pass for stale. */
static void test_unix_listens_at_once(void **state)
{
    (void)state;
    int fd = -1;
    const char *why = NULL;
    assert_int_equal(dp_listen_unix(path, 0600, &fd, NULL, &why), DP_OK);
    refuse("another process");
    assert_int_equal(close(fd), 0);
}

/* Only the file that we made is ours to remove. */
static void test_unix_remove(void **state)
{
    (void)state;
    int a = -1, b = -1;
    const char *why = NULL;
    struct stat st;
    struct dp_socket_file first = {0}, second = {0};
    dp_listen_unix_remove(&first); /* none */
    assert_int_equal(dp_listen_unix(path, 0600, &a, &first, &why), DP_OK);
    assert_int_equal(close(a), 0);
    assert_int_equal(dp_listen_unix(path, 0600, &b, &second, &why), DP_OK); /* took it over */
    dp_listen_unix_remove(&first);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(close(b), 0);
    dp_listen_unix_remove(&second);
    assert_int_not_equal(lstat(path, &st), 0);
    dp_listen_unix_remove(&second);
}

/* Somebody who keeps the folder locked makes it late, not impossible. */
static void test_unix_locked_folder(void **state)
{
    (void)state;
    int fd = -1;
    const char *why = NULL;
    int lock = open(folder, O_RDONLY | O_DIRECTORY);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(dp_listen_unix(path, 0600, &fd, NULL, &why), DP_OK);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(lock), 0);
}

/* One that is alive but too busy to take a connection is alive: it is not waited for either. */
static void test_unix_live_and_busy(void **state)
{
    (void)state;
    int fd = -1, c[64];
    size_t n = 0;
    const char *why = NULL;
    assert_int_equal(dp_listen_unix(path, 0600, &fd, NULL, &why), DP_OK);
    assert_int_equal(listen(fd, 1), 0);
    while (n < 64 && (c[n] = connect_unix()) >= 0)
        n++;
    assert_int_equal(errno, EAGAIN);
    refuse("another process");
    while (n > 0)
        assert_int_equal(close(c[--n]), 0);
    assert_int_equal(close(fd), 0);
}

/* A socket of another kind takes no streams, but somebody holds it. */
static void test_unix_other_kind(void **state)
{
    (void)state;
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(s >= 0);
    assert_int_equal(bind(s, (const struct sockaddr *)&sun, sizeof(sun)), 0);
    refuse("another process");
    assert_int_equal(close(s), 0);
}

static void test_unix_in_the_way(void **state)
{
    (void)state;
    int f = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(f >= 0);
    assert_int_equal(close(f), 0);
    refuse("not a socket");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nonexistent", path), 0);
    refuse("not a socket");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refuse("not a socket");
    assert_int_equal(rmdir(path), 0);
}

static void test_unix_bad_paths(void **state)
{
    (void)state;
    char text[256];
    struct sockaddr_un sun;
    int fd = -2;
    const char *why = NULL;
    memset(text, 'x', sizeof(text));
    memcpy(text, folder, strlen(folder));
    text[strlen(folder)] = '/';
    text[sizeof(sun.sun_path)] = '\0'; /* one too long */
    assert_int_equal(dp_listen_unix(text, 0600, &fd, NULL, &why), DP_EINVAL);
    assert_non_null(strstr(why, "too long"));
    assert_int_equal(dp_listen_unix("", 0600, &fd, NULL, &why), DP_EINVAL);
    assert_non_null(strstr(why, "empty"));
    assert_int_equal(dp_listen_unix("/nonexistent/folder/socket", 0600, &fd, NULL, &why), DP_EIO);
    assert_string_equal(why, strerror(ENOENT));
    assert_int_equal(fd, -2);
    text[sizeof(sun.sun_path) - 1] = '\0'; /* the longest there is */
    assert_int_equal(dp_listen_unix(text, 0600, &fd, NULL, &why), DP_OK);
    assert_int_equal(unlink(text), 0);
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_port),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_reuse_port),
        cmocka_unit_test(test_bad_address),
        cmocka_unit_test_teardown(test_unix_permissions, clean),
        cmocka_unit_test_teardown(test_unix_live, clean),
        cmocka_unit_test_teardown(test_unix_listens_at_once, clean),
        cmocka_unit_test_teardown(test_unix_remove, clean),
        cmocka_unit_test_teardown(test_unix_locked_folder, clean),
        cmocka_unit_test_teardown(test_unix_live_and_busy, clean),
        cmocka_unit_test_teardown(test_unix_other_kind, clean),
        cmocka_unit_test_teardown(test_unix_in_the_way, clean),
        cmocka_unit_test_teardown(test_unix_bad_paths, clean),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
