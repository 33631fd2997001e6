/* PROXY headers: what is told, what is refused, and that it does not matter where they are cut. */
#include "davenport/net/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char rest[] = "GET / HTTP/1.1\r\n";

struct told {
    enum dp_proxy_read read;
    size_t used;
    struct dp_proxy_header h;
};

/* In pieces of `step` bytes, each in memory of its own size. */
static struct told feed(const char *p, size_t n, size_t step)
{
    struct told t = {.read = DP_PROXY_MORE};
    while (t.used < n && t.read == DP_PROXY_MORE) {
        size_t take = n - t.used < step ? n - t.used : step, used = 0;
        char *copy = malloc(take);
        assert_non_null(copy);
        memcpy(copy, p + t.used, take);
        t.read = dp_proxy_header_feed(&t.h, copy, take, &used);
        free(copy);
        assert_true(used > 0 && used <= take && (t.read != DP_PROXY_MORE || used == take));
        t.used += used;
    }
    return t;
}

/* Whole, in pieces of every size, and with the rest of the connection behind it. */
static void expect(const char *p, size_t n, enum dp_proxy_read read, const char *client,
                   uint16_t port)
{
    char whole[256 + sizeof(rest)];
    assert_true(n <= 256);
    memcpy(whole, p, n);
    memcpy(whole + n, rest, sizeof(rest));
    for (size_t step = 1; step <= n + sizeof(rest); step++) {
        struct told t = feed(whole, n + sizeof(rest), step);
        assert_int_equal(t.read, read);
        if (read != DP_PROXY_DONE)
            continue;
        assert_int_equal(t.used, n);
        assert_int_equal(t.h.tells, client != NULL);
        if (client) {
            assert_string_equal(t.h.client, client);
            assert_int_equal(t.h.client_port, port);
        }
    }
    for (size_t cut = 1; cut < n && read == DP_PROXY_DONE; cut++)
        assert_int_equal(feed(whole, cut, cut).read, DP_PROXY_MORE);
}

static void version_1(void **state)
{
    static const struct {
        const char *line, *client;
        uint16_t port;
    } rows[] = {
        {"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7", 56324},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", 0},
        {"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7", 56324},
        {"PROXY TCP6 2001:DB8:0:0::7 ::1 1 2\r\n", "2001:db8::7", 1},
        {"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7", 1},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535},
        {"PROXY UNKNOWN\r\n", NULL, 0},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         NULL, 0},
        {"PROXY UNKNOWN what ever\r\n", NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        print_message("%s", rows[i].line);
        expect(rows[i].line, strlen(rows[i].line), DP_PROXY_DONE, rows[i].client, rows[i].port);
    }
}

static void not_version_1(void **state)
{
    static const char *const lines[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        "PROXY  TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +5632 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 00\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP6 [2001:db8::7] 2001:db8::1 56324 443\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::1 56324 443\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\r\n",
        "PROXY TCP4 192.0.2.7\r198.51.100.1 56324 443\r\n",
        "PROXY UNKNOWN \n\r\n",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        print_message("%s", lines[i]);
        expect(lines[i], strlen(lines[i]), DP_PROXY_FAILED, NULL, 0);
    }
    expect("PROXY UNKNOWN \0\r\n", 17, DP_PROXY_FAILED, NULL, 0);
    expect("PROXY TCP4 192.0.2.7\0 198.51.100.1 56324 443\r\n", 46, DP_PROXY_FAILED, NULL, 0);
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb"
#define V6                                                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"         \
    "\xdc\x04\x01\xbb"
#define MAPPED                                                                                     \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01"     \
    "\xdc\x04\x01\xbb"
#define TLV "\x03\0\x04\x01\x02\x03\x04"
#define B(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static void version_2(void **state)
{
    static const struct {
        struct {
            const char *p;
            size_t n;
        } bytes;
        const char *client;
    } rows[] = {
        {B(SIGNATURE "\x21\x11\0\x0c" V4), "192.0.2.7"},
        {B(SIGNATURE "\x21\x11\0\x13" V4 TLV), "192.0.2.7"},
        {B(SIGNATURE "\x21\x21\0\x24" V6), "2001:db8::7"},
        {B(SIGNATURE "\x21\x21\0\x24" MAPPED), "192.0.2.7"},
        {B(SIGNATURE "\x21\x21\0\x2b" V6 TLV), "2001:db8::7"},
        {B(SIGNATURE "\x20\0\0\0"), NULL},        /* LOCAL: a load balancer's own check */
        {B(SIGNATURE "\x20\x11\0\x0c" V4), NULL}, /* its addresses say nothing */
        {B(SIGNATURE "\x20\x99\0\x03"
                     "abc"),
         NULL},                            /* nor does its family */
        {B(SIGNATURE "\x21\0\0\0"), NULL}, /* UNSPEC */
        {B(SIGNATURE "\x21\0\0\x07" TLV), NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        print_message("row %zu\n", i);
        expect(rows[i].bytes.p, rows[i].bytes.n, DP_PROXY_DONE, rows[i].client, 56324);
    }
}

static void not_version_2(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } rows[] = {
        B("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" V4),
        B("\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        B(SIGNATURE "\x11\x11\0\x0c" V4), /* version 1, 3 */
        B(SIGNATURE "\x31\x11\0\x0c" V4),
        B(SIGNATURE "\x22\x11\0\x0c" V4), /* no such command */
        B(SIGNATURE "\x2f\x11\0\x0c" V4),
        B(SIGNATURE "\x21\x12\0\x0c" V4), /* datagrams, no such family */
        B(SIGNATURE "\x21\x22\0\x24" V6),
        B(SIGNATURE "\x21\x10\0\x0c" V4),
        B(SIGNATURE "\x21\x01\0\x0c" V4),
        B(SIGNATURE "\x21\x41\0\x0c" V4),
        B(SIGNATURE "\x21\x11\0\x0b" V4), /* shorter than its addresses */
        B(SIGNATURE "\x21\x21\0\x23" V6),
        B(SIGNATURE "\x21\x31\0\xd7" V6),
        B("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), /* a TLS ClientHello */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        print_message("row %zu\n", i);
        expect(rows[i].p, rows[i].n, DP_PROXY_FAILED, NULL, 0);
    }
}

/* The longest there is, and a Unix socket's: skipped to their last byte, whatever they hold. */
static void long_headers(void **state)
{
    static const unsigned char kinds[][2] = {{0x21, 0x11}, {0x21, 0x31}, {0x20, 0}, {0x21, 0}};
    const size_t n = 16 + 65535;
    char *p = malloc(n + 1);
    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        memset(p, 'P', n + 1);
        memcpy(p, SIGNATURE, 12);
        p[12] = (char)kinds[i][0];
        p[13] = (char)kinds[i][1];
        p[14] = p[15] = (char)0xff;
        for (size_t step = 1; step < n; step = step * 7 + 3) {
            struct told t = feed(p, n + 1, step);
            assert_int_equal(t.read, DP_PROXY_DONE);
            assert_int_equal(t.used, n);
            assert_int_equal(t.h.tells, i == 0);
        }
        assert_int_equal(feed(p, n - 1, n).read, DP_PROXY_MORE);
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1),    cmocka_unit_test(not_version_1),
        cmocka_unit_test(version_2),    cmocka_unit_test(not_version_2),
        cmocka_unit_test(long_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
