/* TLS streams against peers that are not ours: bare OpenSSL that updates keys, renegotiates, sends
 * alerts or speaks too early, and peers that speak no TLS at all. */
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

/* ---- bare OpenSSL on an end of a pipe ---- */

struct bare {
    struct dp_stream *s;
    SSL *ssl;
    BIO *in, *out;
    size_t received; /* plaintext */
    int error;       /* of the last SSL_read or handshake */
    bool ended;
    size_t early_bytes; /* to write as soon as its handshake is done */
};

static void bare_flush(struct bare *b)
{
    char buf[20000];
    int n;
    while ((n = BIO_read(b->out, buf, sizeof(buf))) > 0) {
        const struct dp_span span = {buf, (size_t)n};
        assert_int_equal(dp_stream_write(b->s, &span, 1), DP_OK);
    }
}

/* The first n bytes of what a struct tls_end expects. */
static void bare_encrypt(struct bare *b, size_t n)
{
    char *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)((i * 31 + i / 251) & 0xFF);
    assert_int_equal(SSL_write(b->ssl, p, (int)n), n);
    free(p);
}

static void bare_write(struct bare *b, size_t n)
{
    bare_encrypt(b, n);
    bare_flush(b);
}

static void bare_pump(struct bare *b)
{
    char buf[20000];
    int n;
    ERR_clear_error();
    while ((n = SSL_read(b->ssl, buf, sizeof(buf))) > 0)
        b->received += (size_t)n;
    b->error = SSL_get_error(b->ssl, n);
    ERR_clear_error();
    if (b->early_bytes > 0 && SSL_is_init_finished(b->ssl)) {
        bare_encrypt(b, b->early_bytes);
        b->early_bytes = 0;
    }
    bare_flush(b);
}

static void bare_read(void *owner, const char *p, size_t n)
{
    struct bare *b = owner;
    assert_int_equal(BIO_write(b->in, p, (int)n), n);
    bare_pump(b);
}

static void bare_end(void *owner, enum dp_err err)
{
    struct bare *b = owner;
    (void)err;
    b->ended = true;
}

static void bare_drain(void *owner)
{
    (void)owner;
}

static void bare_close(void *owner)
{
    struct bare *b = owner;
    b->s = NULL;
}

static const struct dp_stream_events bare_events = {
    .on_read = bare_read, .on_end = bare_end, .on_drain = bare_drain, .on_close = bare_close};

static void bare_init(struct bare *b, struct dp_stream *s, SSL_CTX *ctx, bool is_server)
{
    *b = (struct bare){.s = s, .ssl = SSL_new(ctx)};
    b->in = BIO_new(BIO_s_mem());
    b->out = BIO_new(BIO_s_mem());
    assert_non_null(b->ssl);
    assert_non_null(b->in);
    assert_non_null(b->out);
    SSL_set_bio(b->ssl, b->in, b->out);
    if (is_server)
        SSL_set_accept_state(b->ssl);
    else
        SSL_set_connect_state(b->ssl);
    s->events = &bare_events;
    s->owner = b;
    dp_stream_read_start(s);
}

static void bare_stop(struct bare *b)
{
    SSL_free(b->ssl);
    if (b->s)
        dp_stream_close(b->s, false);
}

static void say(struct dp_stream *s, const void *p, size_t n)
{
    const struct dp_span span = {p, n};
    assert_int_equal(dp_stream_write(s, &span, 1), DP_OK);
}

/* ---- one of ours against one of theirs ---- */

struct match {
    struct tls_pipe pipe;
    struct tls_end ours;
    struct bare theirs;
    struct dp_tls *tls;
    SSL_CTX *ctx;
};

static struct dp_tls *our_context(bool is_server)
{
    struct dp_tls *tls = NULL;
    char why[DP_TLS_TEXT_BYTES];
    const struct dp_tls_client_config c = {.server_name = "localhost",
                                           .ca_file = tls_certs_path("ca.crt")};
    const struct dp_tls_server_config s = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key")};
    enum dp_err err = is_server ? dp_tls_server_new(&s, &tls, why, sizeof(why))
                                : dp_tls_client_new(&c, &tls, why, sizeof(why));
    assert_int_equal(err, DP_OK);
    return tls;
}

/* Ours begins on end 0, whichever side it plays; end 1 is left to the test. */
static void ours_start(struct match *m, bool is_server)
{
    memset(m, 0, sizeof(*m));
    tls_pipe_init(&m->pipe);
    m->tls = our_context(is_server);
    m->ours.tls = m->tls;
    struct dp_stream *lower = tls_pipe_stream(&m->pipe, 0);
    enum dp_err err = is_server
                          ? dp_tls_accept(m->tls, lower, &tls_end_events, &m->ours, &m->ours.s)
                          : dp_tls_connect(m->tls, lower, &tls_end_events, &m->ours, &m->ours.s);
    assert_int_equal(err, DP_OK);
    if (is_server)
        tls_end_read_start(&m->ours);
}

static void match_start(struct match *m, bool ours_is_server, int version)
{
    ours_start(m, ours_is_server);
    m->ctx = SSL_CTX_new(ours_is_server ? TLS_client_method() : TLS_server_method());
    assert_non_null(m->ctx);
    assert_int_equal(SSL_CTX_set_max_proto_version(m->ctx, version), 1);
    if (!ours_is_server) {
        assert_int_equal(
            SSL_CTX_use_certificate_file(m->ctx, tls_certs_path("server.crt"), SSL_FILETYPE_PEM),
            1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(m->ctx, tls_certs_path("server.key"), SSL_FILETYPE_PEM), 1);
    }
    bare_init(&m->theirs, tls_pipe_stream(&m->pipe, 1), m->ctx, !ours_is_server);
}

static void match_open(struct match *m, bool ours_is_server, int version)
{
    match_start(m, ours_is_server, version);
    bare_pump(&m->theirs);
    tls_pipe_run(&m->pipe, WHOLE);
    assert_true(SSL_is_init_finished(m->theirs.ssl));
    assert_true(dp_tls_info(m->ours.s, &(struct dp_tls_info){0}));
}

static void match_stop(struct match *m)
{
    if (m->theirs.ssl)
        bare_stop(&m->theirs);
    else
        dp_stream_close(tls_pipe_stream(&m->pipe, 1), false);
    if (m->ours.s && !m->ours.closed_by_us)
        tls_end_close(&m->ours);
    tls_pipe_fini(&m->pipe);
    assert_int_equal(m->ours.closes, 1);
    SSL_CTX_free(m->ctx);
    dp_tls_unref(m->tls);
}

static void test_key_updates(void **state)
{
    (void)state;
    for (int is_server = 0; is_server < 2; is_server++) {
        struct match m;
        match_open(&m, is_server, TLS1_3_VERSION);
        size_t total = 0;
        for (int i = 0; i < 20; i++) {
            m.ours.received = 0;
            assert_int_equal(SSL_key_update(m.theirs.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
                                                                : SSL_KEY_UPDATE_NOT_REQUESTED),
                             1);
            bare_write(&m.theirs, 5000);
            assert_int_equal(tls_end_write(&m.ours, 7000), DP_OK); /* keys change in between */
            total += 7000;
            tls_pipe_run(&m.pipe, i % 3 ? WHOLE : 10);
            assert_int_equal(m.ours.received, 5000);
            assert_int_equal(m.theirs.received, total);
        }
        assert_int_equal(m.ours.ends, 0);
        match_stop(&m);
    }
}

/* A peer that asks for new keys again and again and never reads the answers may not fill our
 * memory. */
static void test_key_update_flood(void **state)
{
    (void)state;
    struct match m;
    int i = 0;
    match_open(&m, true, TLS1_3_VERSION);
    dp_stream_read_stop(m.theirs.s);
    for (; i < 10000 && m.ours.ends == 0; i++) {
        assert_int_equal(SSL_key_update(m.theirs.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(m.theirs.ssl), 1);
        bare_flush(&m.theirs);
        tls_pipe_run(&m.pipe, WHOLE);
    }
    assert_in_range(i, 1000, 9999);
    assert_int_equal(m.ours.end_err, DP_ETLS);
    assert_string_equal(m.ours.text, "the peer asks for answers and does not read them");
    match_stop(&m);
}

/* One that reads them may ask as often as it likes. */
static void test_many_key_updates(void **state)
{
    (void)state;
    struct match m;
    match_open(&m, true, TLS1_3_VERSION);
    for (int i = 0; i < 4000; i++) {
        assert_int_equal(SSL_key_update(m.theirs.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(m.theirs.ssl), 1);
        bare_flush(&m.theirs);
        tls_pipe_run(&m.pipe, WHOLE);
    }
    assert_int_equal(m.ours.ends, 0);
    match_stop(&m);
}

static void test_renegotiation_is_refused(void **state)
{
    (void)state;
    for (int is_server = 0; is_server < 2; is_server++) {
        struct match m;
        match_open(&m, is_server, TLS1_2_VERSION);
        assert_int_equal(SSL_renegotiate(m.theirs.ssl), 1);
        (void)SSL_do_handshake(m.theirs.ssl);
        ERR_clear_error();
        bare_flush(&m.theirs);
        tls_pipe_run(&m.pipe, WHOLE);
        assert_int_equal(dp_tls_stats(m.tls).handshakes, 1);
        assert_int_equal(m.ours.received, 0);
        match_stop(&m);
    }
}

/* TLS 1.2 and 1.3: orderly ends in both directions, as another implementation sees them. */
static void test_close_notify(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct match m;
        match_open(&m, i % 2, i / 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        tls_end_shutdown(&m.ours);
        tls_pipe_run(&m.pipe, WHOLE);
        assert_int_equal(m.theirs.error, SSL_ERROR_ZERO_RETURN);
        assert_true(m.theirs.ended);
        bare_write(&m.theirs, 100);
        assert_int_equal(SSL_shutdown(m.theirs.ssl), 1);
        bare_flush(&m.theirs);
        say(m.theirs.s, "what stands behind close_notify is nothing", 42);
        tls_pipe_run(&m.pipe, WHOLE);
        assert_int_equal(m.ours.received, 100);
        assert_int_equal(m.ours.ends, 1);
        assert_int_equal(m.ours.end_err, DP_OK);
        match_stop(&m);
    }
}

/* Data that comes in one piece with the end of the server's handshake is delivered even to a client
 * that did not start reading: there is nowhere to keep it. Later data waits. */
static void test_data_behind_the_handshake(void **state)
{
    (void)state;
    for (int lazy = 0; lazy < 2; lazy++) {
        struct match m;
        match_start(&m, false, TLS1_2_VERSION);
        m.ours.lazy = lazy;
        m.theirs.early_bytes = 50;
        tls_pipe_run(&m.pipe, WHOLE);
        assert_int_equal(m.ours.connects, 1);
        assert_int_equal(m.ours.received, 50);
        m.ours.received = 0;
        bare_write(&m.theirs, 70);
        tls_pipe_run(&m.pipe, WHOLE);
        assert_int_equal(m.ours.received, lazy ? 0 : 70);
        match_stop(&m);
    }
}

/* ---- no TLS at all ---- */

static void test_garbage(void **state)
{
    (void)state;
    static char zeros[40000], ones[40000];
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    static const char ssh[] = "SSH-2.0-OpenSSH_9.2\r\n";
    static const char hello[] = "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"; /* cut ClientHello */
    static const char alert[] = "\x15\x03\x03\x00\x02\x02\x28";             /* handshake failure */
    const struct {
        const char *p;
        size_t n;
        const char *says;
    } rows[] = {
        {http, sizeof(http) - 1, "does not speak TLS"},
        {answer, sizeof(answer) - 1, "does not speak TLS"},
        {ssh, sizeof(ssh) - 1, "does not speak TLS"},
        {zeros, sizeof(zeros), ""},
        {ones, sizeof(ones), ""},
        {hello, sizeof(hello) - 1, ""},
        {alert, sizeof(alert) - 1, "alert \"handshake failure\""},
    };
    memset(ones, 0xFF, sizeof(ones));
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        static const size_t steps[] = {1, 3, WHOLE};
        for (size_t k = 0; k < 3; k++) {
            struct match m;
            bool is_server = i % 2;
            ours_start(&m, is_server);
            struct dp_stream *s = tls_pipe_stream(&m.pipe, 1);
            s->events = &bare_events; /* never told anything: it does not read */
            say(s, rows[i / 2].p, rows[i / 2].n);
            m.pipe.cut_at[1] = rows[i / 2].n;
            tls_pipe_run(&m.pipe, steps[k]);
            assert_int_equal(is_server ? m.ours.ends : m.ours.connects, 1);
            assert_int_equal(is_server ? m.ours.end_err : m.ours.connect_err, DP_ETLS);
            assert_int_equal(m.ours.received, 0);
            assert_true(m.ours.text[0] != '\0');
            bool alarmed = is_server && rows[i / 2].p == alert; /* before any hello: out of turn */
            if (!strstr(m.ours.text, alarmed ? "unexpected message" : rows[i / 2].says))
                fail_msg("row %zu: %s", i / 2, m.ours.text);
            assert_int_equal(dp_tls_stats(m.tls).failed, 1);
            m.theirs.s = s;
            s->owner = &m.theirs;
            match_stop(&m);
        }
    }
}

/* Garbage where records are expected. */
static void test_garbage_later(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct match m;
        match_open(&m, i % 2, i / 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        bare_write(&m.theirs, 1000);
        say(m.theirs.s, "HTTP/1.1 200 OK\r\n\r\n", 19);
        tls_pipe_run(&m.pipe, WHOLE);
        assert_int_equal(m.ours.received, 1000); /* what came before counts */
        assert_int_equal(m.ours.ends, 1);
        assert_int_equal(m.ours.end_err, DP_ETLS);
        assert_int_equal(tls_end_write(&m.ours, 1), DP_ETLS);
        tls_end_shutdown(&m.ours);
        assert_int_equal(m.theirs.error, SSL_ERROR_SSL); /* it was sent an alert */
        assert_int_equal(dp_tls_stats(m.tls).failed, 0); /* the handshake was fine */
        match_stop(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_updates),      cmocka_unit_test(test_key_update_flood),
        cmocka_unit_test(test_many_key_updates), cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_close_notify),     cmocka_unit_test(test_data_behind_the_handshake),
        cmocka_unit_test(test_garbage),          cmocka_unit_test(test_garbage_later),
    };
    return cmocka_run_group_tests(tests, tls_certs_setup, tls_certs_teardown);
}
