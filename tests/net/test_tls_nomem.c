/* TLS when we or OpenSSL get no memory: whatever allocation fails, the outcome is an error that is told, or
 * none was needed; nothing crashes, nothing leaks (the leak sanitizer), and what exists stays usable. */
#include "davenport/net/tls.h"

#include "support/nomem.h"
#include "support/tls_certs.h"
#include "support/tls_ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/err.h>

static enum dp_err make_client(struct dp_tls **out)
{
    char why[DP_TLS_TEXT_BYTES] = "";
    const struct dp_tls_client_config c = {.server_name = "localhost",
                                           .ca_file = tls_certs_path("ca.crt")};
    enum dp_err err = dp_tls_client_new(&c, out, why, sizeof(why));
    assert_true(!err || why[0] != '\0');
    return err;
}

static enum dp_err make_server(struct dp_tls **out)
{
    char why[DP_TLS_TEXT_BYTES] = "";
    const struct dp_tls_server_config c = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key"),
                                           .client_ca_file = tls_certs_path("ca.crt")};
    enum dp_err err = dp_tls_server_new(&c, out, why, sizeof(why));
    assert_true(!err || why[0] != '\0');
    return err;
}

/* Fail the k-th allocation, for growing k, until making a context needs fewer. */
static void test_contexts(void **state)
{
    (void)state;
    enum dp_err (*const makers[])(struct dp_tls **) = {make_client, make_server};
    for (size_t i = 0; i < 2; i++) {
        unsigned k = 1;
        for (bool failed = true; failed; k += k < 200 ? 1 : 13) {
            struct dp_tls *tls = NULL;
            nomem_at(k);
            enum dp_err err = makers[i](&tls);
            failed = nomem_happened();
            nomem_at(0);
            assert_true(err == DP_OK || err == DP_ENOMEM || err == DP_EINVAL);
            assert_int_equal(err == DP_OK, tls != NULL);
            assert_int_equal(ERR_peek_error(), 0);
            dp_tls_unref(tls);
        }
        assert_true(k > 50);
    }
}

/* Fail the k-th allocation of a connection's life. */
static void test_streams(void **state)
{
    (void)state;
    struct dp_tls *client = NULL, *server = NULL;
    const struct dp_tls_server_config c = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key")};
    char why[DP_TLS_TEXT_BYTES];
    int failures = 0;
    assert_int_equal(make_client(&client), DP_OK);
    assert_int_equal(dp_tls_server_new(&c, &server, why, sizeof(why)), DP_OK);
    bool failed = true;
    for (unsigned k = 1; failed; k += 5) {
        struct tls_pair p;
        nomem_at(k);
        bool begun = tls_pair_try(&p, client, server);
        p.server.echo = true;
        p.server.close_on_end = true;
        p.client.write_on_connect = 0;
        tls_pair_run(&p, TLS_PIPE_NEVER);
        if (begun && p.client.connects == 1 && !p.client.connect_err) {
            (void)tls_end_write(&p.client, 1000);
            tls_pair_run(&p, TLS_PIPE_NEVER);
        }
        failed = nomem_happened();
        nomem_at(0);
        if (begun && p.client.received != 1000) {
            failures++;
            assert_true(failed);
        }
        tls_pair_stop(&p);
        assert_int_equal(ERR_peek_error(), 0);
    }
    assert_true(failures > 20);
    dp_tls_unref(client);
    dp_tls_unref(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contexts),
        cmocka_unit_test(test_streams),
    };
    nomem_libraries();
    return cmocka_run_group_tests(tests, tls_certs_setup, tls_certs_teardown);
}
