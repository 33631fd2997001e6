/* Whom TLS trusts and what it says when it does not: certificates, pins, mutual TLS, ALPN, versions,
 * resumption, and files that are not what a configuration thinks they are. */
#include "davenport/base/clock.h"
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

static char why[DP_TLS_TEXT_BYTES];

static struct dp_tls *client_of(struct dp_tls_client_config c)
{
    struct dp_tls *tls = NULL;
    if (!c.server_name)
        c.server_name = "localhost";
    if (!c.ca_file)
        c.ca_file = tls_certs_path("ca.crt");
    if (dp_tls_client_new(&c, &tls, why, sizeof(why)) != DP_OK)
        fail_msg("%s", why);
    return tls;
}

static struct dp_tls *server_with(const char *name, const char *client_ca,
                                  const struct dp_tls_ticket_keys *keys)
{
    struct dp_tls *tls = NULL;
    char cert[64], key[64];
    (void)snprintf(cert, sizeof(cert), "%s.crt", name);
    (void)snprintf(key, sizeof(key), "%s.key", name);
    const struct dp_tls_server_config c = {.cert_file = tls_certs_path(cert),
                                           .key_file = tls_certs_path(key),
                                           .client_ca_file =
                                               client_ca ? tls_certs_path(client_ca) : NULL,
                                           .ticket_keys = keys};
    if (dp_tls_server_new(&c, &tls, why, sizeof(why)) != DP_OK)
        fail_msg("%s", why);
    return tls;
}

static struct dp_tls *server_of(const char *name)
{
    return server_with(name, NULL, NULL);
}

static void cap_version(struct dp_tls *tls, int version)
{
    assert_int_equal(SSL_CTX_set_max_proto_version(tls->ssl_ctx, version), 1);
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* One connection that is to stand; returns whether it was resumed. */
static bool good(struct dp_tls *client, struct dp_tls *server)
{
    struct tls_pair p;
    struct dp_tls_info info = {0}, other = {0};
    tls_pair_start(&p, client, server);
    p.client.write_on_connect = 1000;
    p.server.echo = true;
    tls_pair_run(&p, TLS_PIPE_NEVER);
    if (p.client.connects != 1 || p.client.connect_err)
        fail_msg("%s; %s", p.client.text, p.server.text);
    assert_int_equal(p.client.received, 1000);
    assert_int_equal(p.client.ends + p.server.ends, 0);
    assert_true(dp_tls_info(p.client.s, &info));
    assert_true(dp_tls_info(p.server.s, &other));
    assert_string_equal(info.version, other.version);
    assert_string_equal(info.cipher, other.cipher);
    assert_int_equal(info.resumed, other.resumed);
    tls_pair_stop(&p);
    return info.resumed;
}

/* One connection that the client refuses, saying `part`. */
static void refused(struct dp_tls *client, struct dp_tls *server, const char *part)
{
    struct tls_pair p;
    uint64_t failed = dp_tls_stats(client).failed;
    tls_pair_start(&p, client, server);
    tls_pair_run(&p, TLS_PIPE_NEVER);
    assert_int_equal(p.client.connects, 1);
    assert_int_equal(p.client.connect_err, DP_ETLS);
    expect_text(p.client.text, part);
    assert_int_equal(p.client.received, 0);
    assert_int_equal(p.client.ends, 0);
    assert_int_equal(dp_tls_stats(client).failed, failed + 1);
    tls_pair_stop(&p);
}

static void unref(struct dp_tls *a, struct dp_tls *b)
{
    dp_tls_unref(a);
    dp_tls_unref(b);
}

/* ---- the server's certificate ---- */

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost", "db.example", "db.example.", "DB.Example",
                                        "127.0.0.1"};
    struct dp_tls *server = server_of("server");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){.server_name = names[i]});
        assert_false(good(client, server));
        dp_tls_unref(client);
    }
    dp_tls_unref(server);
}

static void test_certificate_faults(void **state)
{
    (void)state;
    static const struct {
        const char *server, *name, *ca, *says;
    } rows[] = {
        {"expired", "localhost", "ca.crt", "certificate has expired"},
        {"future", "localhost", "ca.crt", "certificate is not yet valid"},
        {"wrong", "localhost", "ca.crt", "hostname mismatch: it is not for localhost"},
        {"wrong", "127.0.0.1", "ca.crt", "IP address mismatch: it is not for 127.0.0.1"},
        {"server", "b.example", "ca.crt", "hostname mismatch"},
        {"server", "example", "ca.crt", "hostname mismatch"},
        {"server", "x.localhost", "ca.crt", "hostname mismatch"},
        {"server", "::1", "ca.crt", "IP address mismatch"},
        {"self", "localhost", "ca.crt", "self-signed certificate"},
        {"stranger_server", "localhost", "ca.crt", "unable to get local issuer certificate"},
        {"server", "localhost", "other_ca.crt", "unable to get local issuer certificate"},
        {"lone", "localhost", "ca.crt", "unable to get local issuer certificate"},
        {"client", "app.example", "other_ca.crt", "unable to get local issuer certificate"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_tls *server = server_of(rows[i].server);
        struct dp_tls *client = client_of((struct dp_tls_client_config){
            .server_name = rows[i].name, .ca_file = tls_certs_path(rows[i].ca)});
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            cap_version(client, version);
            refused(client, server, rows[i].says);
        }
        expect_text(dp_tls_last_error(server), "the peer sent the alert");
        unref(client, server);
    }
}

/* What is trusted: the chain's root, an intermediate authority, or the very certificate. */
static void test_trust(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"chained", "ca.crt"},
                                          {"lone", "intermediate.crt"},
                                          {"self", "self.crt"},
                                          {"server", "server.crt"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_tls *server = server_of(rows[i][0]);
        struct dp_tls *client =
            client_of((struct dp_tls_client_config){.ca_file = tls_certs_path(rows[i][1])});
        assert_false(good(client, server));
        unref(client, server);
    }
}

/* The system's store does not know our authority. */
static void test_system_store(void **state)
{
    (void)state;
    struct dp_tls *client = NULL, *server = server_of("server");
    const struct dp_tls_client_config c = {.server_name = "localhost"};
    assert_int_equal(dp_tls_client_new(&c, &client, why, sizeof(why)), DP_OK);
    refused(client, server, "unable to get local issuer certificate");
    unref(client, server);
}

static void test_insecure(void **state)
{
    (void)state;
    struct dp_tls *server = server_of("expired");
    struct dp_tls *client =
        client_of((struct dp_tls_client_config){.server_name = "nobody", .insecure = true});
    assert_false(good(client, server));
    unref(client, server);
}

static void test_pins(void **state)
{
    (void)state;
    char right[64], other[64];
    tls_certs_pin("server", right, sizeof(right));
    tls_certs_pin("server2", other, sizeof(other));
    struct dp_tls *server = server_of("server");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct dp_tls *client =
            client_of((struct dp_tls_client_config){.pins = {other, other, other, right}});
        cap_version(client, version);
        assert_false(good(client, server));
        assert_true(good(client, server)); /* a resumed session remembers the certificate */
        dp_tls_unref(client);
        client = client_of((struct dp_tls_client_config){.pins = {other}});
        cap_version(client, version);
        refused(client, server, "pin mismatch");
        refused(client, server, "pin mismatch"); /* nor by resuming what was refused */
        dp_tls_unref(client);
        client = client_of((struct dp_tls_client_config){.pins = {other}, .insecure = true});
        refused(client, server, "pin mismatch");
        dp_tls_unref(client);
        /* a pin does not replace trust */
        client = client_of((struct dp_tls_client_config){
            .pins = {right}, .ca_file = tls_certs_path("other_ca.crt")});
        refused(client, server, "unable to get local issuer certificate");
        dp_tls_unref(client);
    }
    dp_tls_unref(server);
}

/* ---- the client's certificate ---- */

static void test_mutual(void **state)
{
    (void)state;
    struct dp_tls *server = server_with("server", "ca.crt", NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){
            .cert_file = tls_certs_path("client.crt"), .key_file = tls_certs_path("client.key")});
        cap_version(client, version);
        assert_false(good(client, server));
        assert_true(good(client, server));
        dp_tls_unref(client);
    }
    dp_tls_unref(server);
}

/* With 1.2 the server judges within the handshake; with 1.3 the client is done by then, and hears of
 * it as an end. Either way nothing of the client's is delivered. */
static void test_mutual_faults(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *key, *client_says, *server_says;
    } rows[] = {
        {NULL, NULL, "alert \"", "peer did not return a certificate"},
        {"stranger.crt", "stranger.key", "alert \"unknown CA\"", "unable to get local issuer"},
        {"old_client.crt", "old_client.key", "alert \"certificate expired\"",
         "certificate has expired"},
    };
    struct dp_tls *server = server_with("server", "ca.crt", NULL);
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_tls_client_config c = {0};
        struct tls_pair p;
        int version = i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION;
        if (rows[i / 2].cert) {
            c.cert_file = tls_certs_path(rows[i / 2].cert);
            c.key_file = tls_certs_path(rows[i / 2].key);
        }
        struct dp_tls *client = client_of(c);
        cap_version(client, version);
        tls_pair_start(&p, client, server);
        p.client.write_on_connect = 100;
        tls_pair_run(&p, TLS_PIPE_NEVER);
        assert_int_equal(p.client.connects, 1);
        if (version == TLS1_3_VERSION) {
            assert_int_equal(p.client.connect_err, DP_OK);
            assert_int_equal(p.client.ends, 1);
            assert_int_equal(p.client.end_err, DP_ETLS);
        } else {
            assert_int_equal(p.client.connect_err, DP_ETLS);
        }
        expect_text(p.client.text, rows[i / 2].client_says);
        expect_text(p.server.text, rows[i / 2].server_says);
        assert_int_equal(p.server.end_err, DP_ETLS);
        assert_int_equal(p.server.received, 0);
        tls_pair_stop(&p);
        dp_tls_unref(client);
    }
    dp_tls_unref(server);
}

/* ---- sessions ---- */

static void test_resumption(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){0});
        struct dp_tls *server = server_of("server");
        cap_version(client, version);
        assert_false(good(client, server));
        for (int i = 0; i < 30; i++)
            assert_true(good(client, server));
        struct dp_tls_stats st = dp_tls_stats(client), sst = dp_tls_stats(server);
        assert_int_equal(st.handshakes, 31);
        assert_int_equal(st.resumed, 30);
        assert_int_equal(st.failed, 0);
        assert_int_equal(sst.handshakes, 31);
        assert_int_equal(sst.resumed, 30);
        assert_true(client->n_sessions > 0);
        unref(client, server);
    }
}

/* A cut or a reset does not cost the session; a storm of dials finds one for each of the first. */
static void test_resumption_after_cuts(void **state)
{
    (void)state;
    enum { N = 4 };
    struct tls_pair p[N];
    struct dp_tls *client = client_of((struct dp_tls_client_config){0});
    struct dp_tls *server = server_of("server");
    for (int i = 0; i < 4; i++) {
        tls_pair_start(&p[0], client, server);
        p[0].client.reset = i % 2;
        tls_pair_run(&p[0], TLS_PIPE_NEVER);
        if (i == 3)
            p[0].pipe.cut_at[1] = 0; /* FIN */
        tls_pair_run(&p[0], TLS_PIPE_NEVER);
        tls_pair_stop(&p[0]);
    }
    assert_int_equal(dp_tls_stats(client).resumed, 3);
    for (int i = 0; i < N; i++)
        tls_pair_start(&p[i], client, server);
    for (int i = 0; i < N; i++) {
        tls_pair_run(&p[i], TLS_PIPE_NEVER);
        assert_int_equal(p[i].client.connect_err, DP_OK);
    }
    assert_int_equal(dp_tls_stats(client).handshakes, 4 + N);
    assert_true(dp_tls_stats(client).resumed >= 3 + 2);
    for (int i = 0; i < N; i++)
        tls_pair_stop(&p[i]);
    unref(client, server);
}

/* Workers with the same ticket key resume each other's sessions, and so does a reloaded context;
 * others do not, nor does one that trusts other clients. */
static void test_ticket_keys(void **state)
{
    (void)state;
    struct dp_tls_ticket_keys keys = {0};
    assert_true(dp_tls_ticket_keys_rotate(&keys));
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){
            .cert_file = tls_certs_path("client.crt"), .key_file = tls_certs_path("client.key")});
        struct dp_tls *a = server_with("server", NULL, &keys),
                      *b = server_with("server2", NULL, &keys);
        struct dp_tls *own = server_of("server"), *strict = server_with("server", "ca.crt", &keys);
        cap_version(client, version);
        assert_false(good(client, a));
        assert_true(good(client, b));
        assert_true(good(client, a));
        assert_false(good(client, strict)); /* was not asked for its certificate before */
        assert_true(good(client, strict));
        assert_false(good(client, own));
        unref(a, b);
        unref(own, strict);
        dp_tls_unref(client);
    }
}

/* A ticket is resumed while its key is among the last ones, and is answered with one under the newest. (With TLS 1.2
 * OpenSSL's client forgets the old session then and does not tell of the new one: ours begins anew every other
 * time.) */
static void test_ticket_keys_rotate(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){0});
        struct dp_tls_ticket_keys keys = {0};
        cap_version(client, version);
        for (unsigned i = 0; i < 2 * DP_TLS_TICKET_KEYS; i++) {
            assert_true(dp_tls_ticket_keys_rotate(&keys));
            struct dp_tls *server = server_with("server", NULL, &keys);
            bool resumes = version == TLS1_2_VERSION ? i % 2 == 1 : i > 0;
            assert_int_equal(good(client, server), resumes);
            dp_tls_unref(server);
        }
        struct dp_tls *server = server_with("server", NULL, &keys);
        (void)good(client, server); /* has a ticket under the newest key now */
        dp_tls_unref(server);
        for (unsigned i = 1; i < DP_TLS_TICKET_KEYS; i++)
            assert_true(dp_tls_ticket_keys_rotate(&keys));
        struct dp_tls *last = server_with("server", NULL, &keys);
        assert_true(dp_tls_ticket_keys_rotate(&keys));
        struct dp_tls *past = server_with("server", NULL, &keys);
        assert_false(good(client, past)); /* its key is forgotten */
        assert_false(good(client, last)); /* and a key of the future is not known */
        unref(past, last);
        dp_tls_unref(client);
    }
}

static void test_not_after(void **state)
{
    (void)state;
    struct dp_tls *client = client_of((struct dp_tls_client_config){0});
    struct dp_tls *server = server_of("server");
    int64_t now = dp_clock_wall_ms(&dp_clock_system) / 1000;
    assert_int_equal(dp_tls_not_after(client), 0);
    assert_in_range(dp_tls_not_after(server) - now, 3600, 100LL * 365 * 86400);
    assert_int_equal(dp_tls_peer_not_after(client), 0);
    assert_false(good(client, server));
    assert_int_equal(dp_tls_peer_not_after(client), dp_tls_not_after(server));
    assert_true(good(client, server)); /* resumed: nothing is shown, what was seen stays */
    assert_int_equal(dp_tls_peer_not_after(client), dp_tls_not_after(server));
    assert_int_equal(dp_tls_peer_not_after(server), 0); /* clients show none here */
    unref(client, server);
}

/* ---- versions and protocols ---- */

static void test_old_versions(void **state)
{
    (void)state;
    struct dp_tls *client = client_of((struct dp_tls_client_config){0});
    struct dp_tls *server = server_of("server");
    SSL_CTX_set_security_level(client->ssl_ctx, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(client->ssl_ctx, TLS1_VERSION), 1);
    cap_version(client, TLS1_1_VERSION);
    refused(client, server, "alert \"protocol version\"");
    expect_text(dp_tls_last_error(server), "unsupported protocol");
    unref(client, server);
}

static void test_weak_cipher(void **state)
{
    (void)state;
    struct dp_tls *client = client_of((struct dp_tls_client_config){0});
    struct dp_tls *server = server_of("server");
    cap_version(client, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(client->ssl_ctx, "ECDHE+AES:!AESGCM"), 1);
    refused(client, server, "alert \"handshake failure\"");
    expect_text(dp_tls_last_error(server), "no shared cipher");
    unref(client, server);
}

static const unsigned char both[] = "\x02h2\x08http/1.1";

static void test_client_without_http(void **state)
{
    (void)state;
    static const unsigned char h2[] = "\x02h2";
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){0});
        struct dp_tls *server = server_of("server");
        cap_version(client, version);
        assert_int_equal(SSL_CTX_set_alpn_protos(client->ssl_ctx, h2, sizeof(h2) - 1), 0);
        refused(client, server, "alert \"no application protocol\"");
        expect_text(dp_tls_last_error(server), "no application protocol");
        assert_int_equal(SSL_CTX_set_alpn_protos(client->ssl_ctx, both, sizeof(both) - 1), 0);
        assert_false(good(client, server));
        assert_int_equal(SSL_CTX_set_alpn_protos(client->ssl_ctx, NULL, 0), 0);
        (void)good(client, server); /* asks for nothing: http/1.1 is meant */
        unref(client, server);
    }
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                     const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)in;
    (void)in_n;
    *out = arg;
    *out_n = 2;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_nothing(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                          const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)out;
    (void)out_n;
    (void)in;
    (void)in_n;
    (void)arg;
    return SSL_TLSEXT_ERR_NOACK;
}

static void test_server_without_http(void **state)
{
    (void)state;
    static unsigned char h2[] = "h2";
    struct dp_tls *client = client_of((struct dp_tls_client_config){0});
    struct dp_tls *server = server_of("server");
    SSL_CTX_set_alpn_select_cb(server->ssl_ctx, choose_h2, h2);
    refused(client, server, "extension"); /* OpenSSL itself: not what was offered */
    assert_int_equal(SSL_CTX_set_alpn_protos(client->ssl_ctx, both, sizeof(both) - 1), 0);
    refused(client, server, "a protocol other than http/1.1");
    SSL_CTX_set_alpn_select_cb(server->ssl_ctx, choose_nothing, NULL); /* knows no ALPN: fine */
    (void)good(client, server);
    unref(client, server);
}

static char asked_name[64];

static int note_name(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    (void)arg;
    (void)snprintf(asked_name, sizeof(asked_name), "%s", name ? name : "none");
    return SSL_TLSEXT_ERR_OK;
}

static void test_sni(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"db.example", "db.example"}, {"db.example.", "db.example"}, {"127.0.0.1", "none"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_tls *client = client_of((struct dp_tls_client_config){.server_name = rows[i][0]});
        struct dp_tls *server = server_of("server");
        (void)SSL_CTX_set_tlsext_servername_callback(server->ssl_ctx, note_name);
        (void)snprintf(asked_name, sizeof(asked_name), "not called");
        assert_false(good(client, server));
        assert_string_equal(asked_name, rows[i][1]);
        unref(client, server);
    }
}

/* ---- configurations ---- */

static void bad_client(struct dp_tls_client_config c, const char *part)
{
    struct dp_tls *tls = (struct dp_tls *)(void *)why;
    if (!c.server_name)
        c.server_name = "localhost";
    (void)snprintf(why, sizeof(why), "untouched");
    assert_int_equal(dp_tls_client_new(&c, &tls, why, sizeof(why)), DP_EINVAL);
    expect_text(why, part);
    assert_ptr_equal(tls, why); /* untouched */
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad_client_configs(void **state)
{
    (void)state;
    const char *crt = tls_certs_path("client.crt"), *key = tls_certs_path("client.key");
    const char *junk = tls_certs_write("junk.pem", "-----BEGIN CERTIFICATE-----\nxx\n");
    const char *empty = tls_certs_write("empty.pem", "");
    bad_client((struct dp_tls_client_config){.ca_file = tls_certs_path("none.crt")},
               "none.crt: No such file");
    bad_client((struct dp_tls_client_config){.ca_file = empty}, "empty.pem: ");
    bad_client((struct dp_tls_client_config){.ca_file = junk}, "junk.pem: ");
    bad_client((struct dp_tls_client_config){.cert_file = crt}, "needs a key");
    bad_client((struct dp_tls_client_config){.key_file = key}, "needs a key");
    bad_client((struct dp_tls_client_config){.cert_file = junk, .key_file = key}, "junk.pem: ");
    bad_client((struct dp_tls_client_config){.cert_file = crt, .key_file = crt},
               "key " /* no key in there */);
    bad_client(
        (struct dp_tls_client_config){.cert_file = crt, .key_file = tls_certs_path("stranger.key")},
        "key values mismatch");
    bad_client((struct dp_tls_client_config){.cert_file = tls_certs_path("locked.crt"),
                                             .key_file = tls_certs_path("locked.key")},
               "locked.key: ");
    bad_client((struct dp_tls_client_config){.server_name = ""}, "server name");
    bad_client((struct dp_tls_client_config){.pins = {""}}, "is no pin");
    bad_client((struct dp_tls_client_config){.pins = {"sha256//"}}, "is no pin");
    bad_client(
        (struct dp_tls_client_config){
            .pins = {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
        "is no pin");
    bad_client(
        (struct dp_tls_client_config){
            .pins = {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}},
        "is no pin");
    bad_client(
        (struct dp_tls_client_config){
            .pins = {"sha256//AAAAAAAAAAAAAAAAAAAA*AAAAAAAAAAAAAAAAAAAAAA="}},
        "is no pin");
    bad_client(
        (struct dp_tls_client_config){
            .pins = {"sha1//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
        "is no pin");
}

static void test_bad_server_configs(void **state)
{
    (void)state;
    struct dp_tls *tls = NULL;
    const char *crt = tls_certs_path("server.crt"), *key = tls_certs_path("server.key");
    const struct {
        struct dp_tls_server_config config;
        const char *says;
    } rows[] = {
        {{.cert_file = crt}, "needs a key"},
        {{.key_file = key}, "needs a key"},
        {{.cert_file = tls_certs_path("no.crt"), .key_file = key}, "no.crt: No such file"},
        {{.cert_file = crt, .key_file = tls_certs_path("no.key")}, "no.key: No such file"},
        {{.cert_file = crt, .key_file = tls_certs_path("self.key")}, "key values mismatch"},
        {{.cert_file = crt, .key_file = key, .client_ca_file = tls_certs_path("no.pem")},
         "no.pem: No such file"},
        {{.cert_file = crt, .key_file = key, .client_ca_file = key}, "server.key: "},
        {{.cert_file = tls_certs_path("weak.crt"), .key_file = tls_certs_path("weak.key")},
         "key too small"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(dp_tls_server_new(&rows[i].config, &tls, why, sizeof(why)), DP_EINVAL);
        expect_text(why, rows[i].says);
        assert_null(tls);
        assert_int_equal(ERR_peek_error(), 0);
    }
    dp_tls_unref(NULL);
}

/* A reload: the old context lives as long as its connections. */
static void test_swap_under_way(void **state)
{
    (void)state;
    struct tls_pair p;
    struct dp_tls *client = client_of((struct dp_tls_client_config){0});
    struct dp_tls *server = server_of("server");
    tls_pair_start(&p, client, server);
    p.server.echo = true;
    unref(client, server);
    p.client.tls = p.server.tls = NULL;
    tls_pair_run(&p, 100);
    assert_int_equal(tls_end_write(&p.client, 100000), DP_OK);
    tls_pair_run(&p, 1000);
    assert_int_equal(p.client.received, 100000);
    tls_pair_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_certificate_faults),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_system_store),
        cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_mutual),
        cmocka_unit_test(test_mutual_faults),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_resumption_after_cuts),
        cmocka_unit_test(test_ticket_keys),
        cmocka_unit_test(test_ticket_keys_rotate),
        cmocka_unit_test(test_not_after),
        cmocka_unit_test(test_old_versions),
        cmocka_unit_test(test_weak_cipher),
        cmocka_unit_test(test_client_without_http),
        cmocka_unit_test(test_server_without_http),
        cmocka_unit_test(test_sni),
        cmocka_unit_test(test_bad_client_configs),
        cmocka_unit_test(test_bad_server_configs),
        cmocka_unit_test(test_swap_under_way),
    };
    return cmocka_run_group_tests(tests, tls_certs_setup, tls_certs_teardown);
}
