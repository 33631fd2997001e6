/* Connections that begin with a PROXY header: who the client is then, and what becomes of those without. */
#include "davenport/proxy/address_limit.h"

#include "proxy/conn.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define V1 "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n"
static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

static void start(struct rig *r)
{
    rig_init(r, 1);
    r->config.proxy_header = true;
    rig_start(r);
}

/* However it is cut, and together with the request behind it. */
static void the_client_is_the_one_that_is_named(void **state)
{
    static const char all[] = V1 "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
    (void)state;
    for (size_t step = 0; step < sizeof(all); step++) {
        struct rig r;
        start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send_bytes(c, all, sizeof(all) - 1, step);
        struct rig_peer *up = rig_dialed(&r, 1);
        rig_connect(up, DP_OK);
        assert_non_null(strstr(up->got, "\r\nX-Forwarded-For: 203.0.113.9\r\n"));
        rig_send(up, ok);
        assert_string_equal(c->got, ok);
        rig_send(c, get); /* only the first request has one before it */
        rig_send(up, ok);
        assert_non_null(strstr(c->got + sizeof(ok) - 1, ok));
        rig_fini(&r);
    }
}

static void a_header_that_names_nobody_leaves_the_peer(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
        {"PROXY UNKNOWN\r\n", 15},
        {"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send_bytes(c, rows[i].bytes, rows[i].n, 0);
        rig_send(c, get);
        rig_connect(rig_dialed(&r, 1), DP_OK);
        assert_non_null(strstr(r.regions[0]->got, "\r\nX-Forwarded-For: 192.0.2.7\r\n"));
        rig_fini(&r);
    }
}

static void without_one_the_connection_is_closed(void **state)
{
    static const char *const bytes[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 56324\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01",
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(bytes); i++) {
        struct rig r;
        start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, bytes[i]);
        assert_true(c->closed);
        assert_string_equal(c->got, "");
        assert_int_equal(r.n_regions, 0);
        assert_int_equal(dp_counter_get(&r.traffic.prefaces_refused), 1);
        rig_fini(&r);
    }
}

static void it_has_as_long_as_a_head(void **state)
{
    (void)state;
    struct rig r;
    start(&r);
    struct rig_peer *none = rig_client(&r);
    struct rig_peer *half = rig_client(&r);
    rig_send(half, "PROXY TCP4 203");
    rig_wait(&r, r.config.head_timeout_ms);
    assert_true(none->closed && half->closed);
    assert_int_equal(dp_counter_get(&r.traffic.prefaces_refused), 2);
    rig_fini(&r);
}

/* A check of the port alone is no fault of anybody's. */
static void a_connection_that_says_nothing_is_not_counted(void **state)
{
    (void)state;
    struct rig r;
    start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_end(c, DP_OK);
    assert_true(c->closed);
    assert_int_equal(dp_counter_get(&r.traffic.prefaces_refused), 0);
    c = rig_client(&r);
    rig_send(c, "PROXY ");
    rig_end(c, DP_OK);
    assert_true(c->closed);
    assert_int_equal(dp_counter_get(&r.traffic.prefaces_refused), 1);
    rig_fini(&r);
}

static void limits_are_of_the_client_that_is_named(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.proxy_header = true;
    r.addresses = dp_address_limit_new(1, 100, 1);
    assert_non_null(r.addresses);
    rig_start(&r);
    struct rig_peer *first = rig_client(&r), *second = rig_client(&r), *other = rig_client(&r);
    rig_send(first, V1);
    rig_send(other, "PROXY TCP4 203.0.113.8 198.51.100.1 56324 443\r\n");
    assert_string_equal(first->got, "");
    assert_string_equal(other->got, "");
    rig_send(second, V1 "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(strncmp(second->got, "HTTP/1.1 429 ", 13), 0);
    assert_int_equal(r.n_regions, 0);
    rig_fini(&r);
    dp_address_limit_free(r.addresses);
}

static void draining_waits_for_no_header(void **state)
{
    (void)state;
    struct rig r;
    start(&r);
    struct rig_peer *c = rig_client(&r);
    dp_engine_drain(&r.engine);
    rig_turn(&r);
    assert_true(c->closed);
    rig_fini(&r);
}

static void past_all_limits_nobody_is_told(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.proxy_header = true;
    r.config.max_connections = 1;
    rig_start(&r);
    struct rig_peer *c = NULL;
    r.engine.n_conns = 257; /* as if so many were there */
    c = rig_client(&r);
    assert_true(c->closed && c->reset);
    assert_string_equal(c->got, "");
    r.engine.n_conns = 0;
    rig_fini(&r);
}

/* ---- by TLS: what stands behind the header is its first byte ---- */

static enum dp_err secure_result;
static struct dp_stream *secured;

static void nobody_closed(void *owner)
{
    (void)owner;
}

/* The double of TLS is the stream itself: what matters is who is asked, when, and what it is given. */
static enum dp_err secure(void *ctx, struct dp_stream *lower, const struct dp_stream_events *events,
                          void *owner, struct dp_stream **out)
{
    static const struct dp_stream_events nobody = {.on_close = nobody_closed};
    (void)ctx;
    secured = lower;
    if (secure_result) {
        lower->events = &nobody;
        dp_stream_close(lower, true);
        return secure_result;
    }
    assert_ptr_equal(lower->owner, owner);
    assert_ptr_equal(lower->events, events);
    *out = lower;
    return DP_OK;
}

static void tls_begins_behind_it(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.proxy_header = true;
    r.client_tls = true;
    rig_start(&r);
    r.engine.secure = secure;
    secure_result = DP_OK;
    secured = NULL;
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r");
    assert_null(secured);
    rig_send(c, "\nGET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_ptr_equal(secured, &c->stream);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    assert_non_null(strstr(r.regions[0]->got, "\r\nX-Forwarded-Proto: https\r\n"));
    rig_fini(&r);
}

/* As dp_tls_accept does it: it takes the stream over also when it fails. */
static void without_memory_for_tls_it_is_gone(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.proxy_header = true;
    r.client_tls = true;
    rig_start(&r);
    r.engine.secure = secure;
    secure_result = DP_ENOMEM;
    struct rig_peer *c = rig_client(&r);
    rig_send(c, V1 "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(c->closed && c->reset);
    assert_int_equal(r.engine.n_conns, 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_one_that_is_named),
        cmocka_unit_test(a_header_that_names_nobody_leaves_the_peer),
        cmocka_unit_test(without_one_the_connection_is_closed),
        cmocka_unit_test(it_has_as_long_as_a_head),
        cmocka_unit_test(a_connection_that_says_nothing_is_not_counted),
        cmocka_unit_test(limits_are_of_the_client_that_is_named),
        cmocka_unit_test(draining_waits_for_no_header),
        cmocka_unit_test(past_all_limits_nobody_is_told),
        cmocka_unit_test(tls_begins_behind_it),
        cmocka_unit_test(without_memory_for_tls_it_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
