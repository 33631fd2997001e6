/* TLS streams over a pipe that cuts what it carries wherever the test wants: at every byte of a
 * handshake, between and inside records; with errors, ends, garbage and rude peers in between. */
#include "davenport/net/tls.h"

#include "net/tls_context.h"
#include "support/tls_certs.h"
#include "support/tls_ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#define WHOLE TLS_PIPE_NEVER

/* Contexts for one test: no session is kept unless `resume`, so each handshake is a full one. */
static struct dp_tls *client, *server;

static void make_contexts(int version, bool resume)
{
    char why[DP_TLS_TEXT_BYTES];
    const struct dp_tls_client_config c = {.server_name = "localhost",
                                           .ca_file = tls_certs_path("ca.crt")};
    const struct dp_tls_server_config s = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key")};
    assert_int_equal(dp_tls_client_new(&c, &client, why, sizeof(why)), DP_OK);
    assert_int_equal(dp_tls_server_new(&s, &server, why, sizeof(why)), DP_OK);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->ssl_ctx, version), 1);
    if (!resume)
        (void)SSL_CTX_set_session_cache_mode(client->ssl_ctx, SSL_SESS_CACHE_OFF);
}

static void drop_contexts(void)
{
    dp_tls_unref(client);
    dp_tls_unref(server);
    client = server = NULL;
}

#define EACH_VERSION(v)                                                                            \
    int v = TLS1_2_VERSION;                                                                        \
    v <= TLS1_3_VERSION;                                                                           \
    v++

/* A pair whose handshake is done. */
static void open_pair(struct tls_pair *p)
{
    tls_pair_start(p, client, server);
    tls_pair_run(p, WHOLE);
    assert_int_equal(p->client.connects, 1);
    assert_int_equal(p->client.connect_err, DP_OK);
    assert_int_equal(dp_stream_pending(p->client.s) + dp_stream_pending(p->server.s), 0);
}

/* ---- cuts ---- */

static void test_splits(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 2, 3, 5, 7, 100, 1000, 16384, 20000, WHOLE};
    for (EACH_VERSION(v)) {
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            struct tls_pair p;
            size_t bytes = steps[i] < 10 ? 20000 : 300000;
            make_contexts(v, false);
            tls_pair_start(&p, client, server);
            p.server.echo = true;
            p.client.write_on_connect = 1;
            tls_pair_run(&p, steps[i]);
            assert_int_equal(p.client.received, 1);
            assert_int_equal(tls_end_write(&p.client, bytes), DP_OK);
            tls_pair_run(&p, steps[i]);
            assert_int_equal(p.client.received, 1 + bytes);
            tls_end_shutdown(&p.client);
            tls_pair_run(&p, steps[i]);
            assert_int_equal(p.server.ends, 1);
            assert_int_equal(p.server.end_err, DP_OK);
            assert_int_equal(p.client.ends, 0);
            tls_end_shutdown(&p.server);
            tls_pair_run(&p, steps[i]);
            assert_int_equal(p.client.end_err, DP_OK);
            assert_int_equal(p.client.ends, 1);
            tls_pair_stop(&p);
            drop_contexts();
        }
    }
}

static uint32_t random_of(uint32_t *x)
{
    *x = *x * 1664525U + 1013904223U;
    return *x >> 8;
}

/* Writes and deliveries of any size, both ways at once. */
static void test_random_splits(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        struct tls_pair p;
        uint32_t x = seed;
        make_contexts(seed % 2 ? TLS1_3_VERSION : TLS1_2_VERSION, false);
        open_pair(&p);
        for (int i = 0; i < 100; i++) {
            struct tls_end *e = random_of(&x) % 2 ? &p.client : &p.server;
            uint32_t shift = random_of(&x) % 16;
            assert_int_equal(tls_end_write(e, random_of(&x) % (2U << shift)), DP_OK);
            for (uint32_t n = random_of(&x) % 8; n > 0; n--) {
                shift = random_of(&x) % 17;
                (void)tls_pipe_step(&p.pipe, 1 + random_of(&x) % (1U << shift));
            }
        }
        tls_pair_run(&p, WHOLE);
        assert_int_equal(p.client.received, p.server.written);
        assert_int_equal(p.server.received, p.client.written);
        tls_pair_stop(&p);
        drop_contexts();
    }
}

/* The connection breaks behind byte k of what end `from` says. Both hear of it once; nobody believes
 * that a handshake stands when its last byte is missing. */
static void break_at(int from, size_t k, enum dp_err err)
{
    struct tls_pair p;
    uint64_t failed = dp_tls_stats(client).failed, refused = dp_tls_stats(server).failed;
    tls_pair_start(&p, client, server);
    p.server.close_on_end = true; /* as its owner would */
    p.pipe.cut_at[from] = k;
    p.pipe.cut_err = err;
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.connects, 1);
    if (p.client.connect_err) {
        assert_int_equal(p.client.connect_err, DP_ETLS);
        assert_int_equal(p.client.ends, 0);
        assert_int_equal(dp_tls_stats(client).failed, failed + 1);
        if (from == 1)
            assert_string_equal(p.client.text, err ? "the peer reset the connection during the "
                                                     "handshake"
                                                   : "the peer closed during the handshake");
    } else if (p.pipe.sent[from] >= k) { /* signatures are not always of the same size */
        assert_int_equal(p.client.ends, 1);
        assert_true(p.client.end_err == DP_ERESET || (from == 0 && p.client.end_err == DP_ETLS));
    }
    if (from == 0 && p.pipe.sent[0] >= k) {
        bool done = dp_tls_stats(server).failed == refused;
        assert_int_equal(p.server.ends, 1);
        assert_int_equal(p.server.end_err, k == 0 ? err : done ? DP_ERESET : DP_ETLS);
    }
    tls_pair_stop(&p);
}

static void test_break_at_every_byte(void **state)
{
    (void)state;
    for (EACH_VERSION(v)) {
        for (int resume = 0; resume < 2; resume++) {
            struct tls_pair p;
            make_contexts(v, resume);
            open_pair(&p);
            tls_pair_stop(&p);
            open_pair(&p);
            const size_t sent[] = {p.pipe.sent[0], p.pipe.sent[1]};
            tls_pair_stop(&p);
            for (int from = 0; from < 2; from++) {
                for (size_t k = 0; k <= sent[from]; k += resume ? 3 : 1) {
                    break_at(from, k, DP_OK);
                    if (k % 8 == 0)
                        break_at(from, k, DP_ERESET);
                }
            }
            drop_contexts();
        }
    }
}

/* An end's lower stream has room for k bytes only: the handshake fails, in the call that begins it or
 * later, and nothing is left behind (the leak sanitizer). */
static void test_no_room_at_every_byte(void **state)
{
    (void)state;
    for (EACH_VERSION(v)) {
        struct tls_pair p;
        make_contexts(v, false);
        open_pair(&p);
        const size_t sent[] = {p.pipe.sent[0], p.pipe.sent[1]};
        tls_pair_stop(&p);
        for (int from = 0; from < 2; from++) {
            for (size_t k = 0; k < sent[from]; k += 3) {
                uint64_t failed = dp_tls_stats(client).failed + dp_tls_stats(server).failed;
                bool begun = tls_pair_start_with(&p, client, server, from, k);
                p.server.close_on_end = true;
                tls_pair_run(&p, WHOLE);
                assert_int_equal(p.client.connects, begun);
                if (begun && p.client.connect_err == DP_OK && p.server.ends == 0) {
                    /* only the tickets behind the handshake were too many */
                    assert_int_equal(tls_end_write(&p.server, 10), DP_ENOMEM);
                } else {
                    assert_true(dp_tls_stats(client).failed + dp_tls_stats(server).failed > failed);
                    assert_true(!begun || p.client.connect_err == DP_ETLS || p.client.ends == 1);
                }
                tls_pair_stop(&p);
            }
        }
        drop_contexts();
    }
}

/* ---- ends ---- */

static void test_truncation_is_seen(void **state)
{
    (void)state;
    enum how { SHUTDOWN, CLOSE, RESET, CLOSE_BEHIND_PENDING, FIN, HOWS };
    for (EACH_VERSION(v)) {
        for (int how = 0; how < HOWS; how++) {
            struct tls_pair p;
            make_contexts(v, false);
            open_pair(&p);
            assert_int_equal(tls_end_write(&p.server, 5000), DP_OK);
            if (how != CLOSE_BEHIND_PENDING)
                tls_pair_run(&p, WHOLE);
            p.server.reset = how == RESET;
            if (how == SHUTDOWN)
                tls_end_shutdown(&p.server);
            else if (how == FIN)
                p.pipe.cut_at[1] = p.pipe.sent[1];
            else
                tls_end_close(&p.server);
            tls_pair_run(&p, WHOLE);
            assert_int_equal(p.client.ends, 1);
            /* a close drops what the full pipe has not taken, its own close_notify too */
            assert_int_equal(p.client.end_err, how == SHUTDOWN ? DP_OK : DP_ERESET);
            assert_int_equal(p.client.received, how == CLOSE_BEHIND_PENDING ? 0 : 5000);
            assert_int_equal(p.pipe.was_reset[1], how == RESET);
            tls_pair_stop(&p);
            drop_contexts();
        }
    }
}

static void test_half_closed(void **state)
{
    (void)state;
    for (EACH_VERSION(v)) {
        struct tls_pair p;
        make_contexts(v, false);
        open_pair(&p);
        assert_int_equal(tls_end_write(&p.client, 100), DP_OK);
        tls_end_shutdown(&p.client);
        tls_end_shutdown(&p.client); /* twice is once */
        assert_int_equal(tls_end_write(&p.client, 1), DP_ECLOSED);
        tls_pair_run(&p, WHOLE);
        assert_int_equal(p.server.received, 100);
        assert_int_equal(p.server.end_err, DP_OK);
        p.server.to_write = 400000;
        assert_int_equal(tls_end_write(&p.server, 200000), DP_OK);
        tls_pair_run(&p, 30000);
        assert_true(p.server.drains > 0);
        assert_int_equal(p.client.received, 400000);
        tls_end_shutdown(&p.server);
        tls_pair_run(&p, WHOLE);
        assert_int_equal(p.client.end_err, DP_OK);
        tls_pair_stop(&p);
        drop_contexts();
    }
}

/* Who comes and goes without a word is no failure. */
static void test_hang_up_without_a_byte(void **state)
{
    (void)state;
    make_contexts(TLS1_3_VERSION, false);
    for (int reset = 0; reset < 2; reset++) {
        struct tls_pair p;
        tls_pair_start(&p, client, server);
        p.client.reset = reset;
        tls_end_close(&p.client);
        tls_pair_run(&p, WHOLE);
        assert_int_equal(p.server.ends, 1);
        assert_int_equal(p.server.end_err, reset ? DP_ERESET : DP_OK);
        assert_int_equal(tls_end_write(&p.server, 1), DP_ECLOSED);
        tls_pair_stop(&p);
    }
    assert_int_equal(dp_tls_stats(server).failed, 0);
    drop_contexts();
}

/* ---- calls at odd times ---- */

static void test_calls_at_odd_times(void **state)
{
    (void)state;
    struct tls_pair p;
    struct dp_tls_info info;
    make_contexts(TLS1_3_VERSION, false);
    tls_pair_start(&p, client, server);
    assert_false(dp_tls_info(p.client.s, &info));
    assert_false(dp_tls_info(tls_pipe_stream(&p.pipe, 0), &info));
    assert_int_equal(tls_end_write(&p.server, 10), DP_ECLOSED); /* not yet */
    tls_pair_run(&p, WHOLE);
    assert_true(dp_tls_info(p.client.s, &info));
    assert_string_equal(info.version, "TLSv1.3");
    assert_int_equal(tls_end_write(&p.server, 10), DP_OK);
    assert_int_equal(tls_end_write(&p.server, 0), DP_OK);
    assert_int_equal(tls_end_write_spans(&p.server, NULL, 0), DP_OK);
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.received, 10);
    tls_end_close(&p.server);
    tls_end_close(&p.server); /* twice is once */
    assert_int_equal(tls_end_write(&p.server, 10), DP_ECLOSED);
    tls_end_shutdown(&p.server);
    tls_end_read_start(&p.server);
    dp_stream_read_stop(p.server.s);
    tls_pair_stop(&p);
    /* finished before the handshake is */
    tls_pair_start(&p, client, server);
    tls_end_shutdown(&p.server);
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.connect_err, DP_ETLS);
    tls_pair_stop(&p);
    tls_pair_start(&p, client, server);
    tls_end_shutdown(&p.client);
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.connect_err, DP_ETLS);
    assert_int_equal(p.server.end_err, DP_ETLS);
    tls_pair_stop(&p);
    drop_contexts();
}

/* Closing in any callback, with more to come in the same delivery. */
static void test_close_in_callbacks(void **state)
{
    (void)state;
    enum where { CONNECT, CONNECT_FAILED, READ, END, END_BEHIND_DATA, DRAIN, FAILED_END, WHERES };
    for (int i = 0; i < 2 * WHERES * 2; i++) {
        struct tls_pair p;
        int where = i % WHERES;
        bool at_client = i / WHERES % 2;
        make_contexts(i / WHERES / 2 ? TLS1_3_VERSION : TLS1_2_VERSION, false);
        tls_pair_start(&p, client, server);
        struct tls_end *e = at_client ? &p.client : &p.server;
        struct tls_end *other = at_client ? &p.server : &p.client;
        p.client.close_on_connect = where == CONNECT || where == CONNECT_FAILED;
        p.server.close_on_end = where == FAILED_END;
        if (where == CONNECT_FAILED)
            p.pipe.cut_at[1] = 100;
        if (where == FAILED_END)
            p.pipe.cut_at[0] = 100;
        tls_pair_run(&p, WHOLE);
        if (where != CONNECT && where != CONNECT_FAILED && where != FAILED_END) {
            e->close_on_read = where == READ;
            e->close_on_end = where == END || where == END_BEHIND_DATA;
            e->close_on_drain = where == DRAIN;
            if (where != END)
                assert_int_equal(tls_end_write(where == DRAIN ? e : other, 150000), DP_OK);
            if (where != DRAIN)
                tls_end_shutdown(other);
            tls_pair_run(&p, WHOLE);
            assert_int_equal(e->closes, 1);
            assert_int_equal(e->reads == 1, where == READ);
            assert_int_equal(e->ends, where == END || where == END_BEHIND_DATA);
        } else {
            assert_int_equal(where == FAILED_END ? p.server.closes : p.client.closes, 1);
        }
        tls_pair_stop(&p);
        drop_contexts();
    }
}

/* What one read of the lower stream brought is delivered, no more. */
static void test_read_stop(void **state)
{
    (void)state;
    struct tls_pair p;
    make_contexts(TLS1_3_VERSION, false);
    open_pair(&p);
    p.server.stop_on_read = true;
    assert_int_equal(tls_end_write(&p.client, 200000), DP_OK);
    tls_pair_run(&p, WHOLE);
    assert_in_range(p.server.received, 3 * DP_TLS_RECORD, 65536);
    p.server.stop_on_read = false;
    tls_end_read_start(&p.server);
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.server.received, 200000);
    tls_pair_stop(&p);
    /* nobody reads behind the handshake unless he asks */
    tls_pair_start(&p, client, server);
    p.client.lazy = true;
    tls_pair_run(&p, WHOLE);
    assert_int_equal(tls_end_write(&p.server, 100), DP_OK);
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.connects, 1);
    assert_int_equal(p.client.received, 0);
    tls_end_read_start(&p.client);
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.received, 100);
    tls_pair_stop(&p);
    drop_contexts();
}

/* ---- records ---- */

/* A head and its body leave in one record, large bodies in full records and few writes. */
static void test_gathering(void **state)
{
    (void)state;
    static char bytes[100000];
    const struct dp_span small[] = {{bytes, 300}, {bytes, 0}, {bytes, 10000}, {bytes, 2}};
    const struct dp_span large[] = {{bytes, 300}, {bytes, 65536 - 300}};
    const struct dp_span frames[] = {{bytes, 6}, {bytes, 16384}, {bytes, 2}, {bytes, 6}};
    const size_t overhead = 22; /* header, content type, tag */
    struct tls_pair p;
    make_contexts(TLS1_3_VERSION, false);
    open_pair(&p);
    p.pipe.calls[0] = 0;
    assert_int_equal(tls_end_write_spans(&p.client, small, 4), DP_OK);
    assert_int_equal(p.pipe.calls[0], 1);
    assert_int_equal(dp_stream_pending(p.client.s), 10302 + overhead);
    assert_int_equal(tls_end_write_spans(&p.client, large, 2), DP_OK);
    assert_int_equal(p.pipe.calls[0], 2);
    assert_int_equal(dp_stream_pending(p.client.s), 10302 + 65536 + 5 * overhead);
    assert_int_equal(tls_end_write_spans(&p.client, frames, 4), DP_OK);
    assert_int_equal(p.pipe.calls[0], 3);
    assert_int_equal(dp_stream_pending(p.client.s), 10302 + 65536 + 16398 + 7 * overhead);
    assert_true(dp_stream_written(p.client.s) == 0); /* the pipe does not count */
    assert_true(dp_stream_reached(p.client.s, 0));
    tls_pair_stop(&p);
    drop_contexts();
}

/* A flipped bit anywhere in a record: what came before is delivered, then the end. */
static void test_flipped_bits(void **state)
{
    (void)state;
    make_contexts(TLS1_3_VERSION, false);
    for (size_t at = 0; at < 60; at++) {
        struct tls_pair p;
        char ok[200];
        open_pair(&p);
        assert_int_equal(tls_end_write(&p.client, 1000), DP_OK);
        tls_pair_run(&p, WHOLE);
        /* play the client's lower stream: 30 bytes of plaintext are 52 on the wire */
        size_t n = at < 52 ? 52 : 60;
        memset(ok, 0, sizeof(ok));
        ok[0] = 23;
        ok[1] = ok[2] = 3;
        ok[4] = (char)(n - 5);
        ok[at % n] = (char)(ok[at % n] ^ 0x20);
        struct dp_stream *lower = tls_pipe_stream(&p.pipe, 0);
        const struct dp_span span = {ok, n};
        assert_int_equal(dp_stream_write(lower, &span, 1), DP_OK);
        p.pipe.cut_at[0] = p.pipe.sent[0] + n;
        tls_pair_run(&p, WHOLE);
        assert_int_equal(p.server.received, 1000);
        assert_int_equal(p.server.ends, 1);
        assert_true(p.server.end_err == DP_ETLS || p.server.end_err == DP_ERESET);
        if (p.server.end_err == DP_ETLS)
            assert_int_equal(tls_end_write(&p.server, 1), DP_ETLS);
        assert_true(p.server.text[0] != '\0');
        tls_pair_stop(&p);
    }
    drop_contexts();
}

static void test_no_room(void **state)
{
    (void)state;
    struct tls_pair p;
    make_contexts(TLS1_3_VERSION, false);
    open_pair(&p);
    p.pipe.room[0] = p.pipe.sent[0] + 50000;
    assert_int_equal(tls_end_write(&p.client, 30000), DP_OK);
    assert_int_equal(tls_end_write(&p.client, 30000), DP_ENOMEM);
    assert_int_equal(tls_end_write(&p.client, 1), DP_ENOMEM); /* and so on */
    tls_end_shutdown(&p.client);
    assert_int_equal(tls_end_write(&p.server, 100), DP_OK); /* reading goes on */
    tls_pair_run(&p, WHOLE);
    assert_int_equal(p.client.received, 100);
    tls_pair_stop(&p);
    drop_contexts();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_random_splits),
        cmocka_unit_test(test_break_at_every_byte),
        cmocka_unit_test(test_no_room_at_every_byte),
        cmocka_unit_test(test_truncation_is_seen),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_hang_up_without_a_byte),
        cmocka_unit_test(test_calls_at_odd_times),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_read_stop),
        cmocka_unit_test(test_gathering),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, tls_certs_setup, tls_certs_teardown);
}
