/* Contexts are made on one thread, used on another, and let go of by both: the main thread reloads
 * while workers work. Each worker has contexts of its own; they share only OpenSSL. */
#include "davenport/net/tls.h"

#include "support/tls_certs.h"
#include "support/tls_ends.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS 3
#define ROUNDS  10

struct worker {
    pthread_t thread;
    struct dp_tls *client, *server; /* references of its own */
    size_t received;
    uint64_t resumed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct tls_pair p;
        tls_pair_start(&p, w->client, w->server);
        p.client.write_on_connect = 50000;
        p.server.echo = true;
        tls_pair_run(&p, TLS_PIPE_NEVER);
        w->received += p.client.received;
        tls_pair_stop(&p);
    }
    w->resumed = dp_tls_stats(w->client).resumed;
    dp_tls_unref(w->client);
    dp_tls_unref(w->server);
    return NULL;
}

static void test_workers(void **state)
{
    (void)state;
    struct worker w[WORKERS];
    char why[DP_TLS_TEXT_BYTES];
    struct dp_tls_ticket_keys keys = {0};
    assert_true(dp_tls_ticket_keys_rotate(&keys));
    const struct dp_tls_client_config c = {.server_name = "localhost",
                                           .ca_file = tls_certs_path("ca.crt")};
    const struct dp_tls_server_config s = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key"),
                                           .ticket_keys = &keys};
    memset(w, 0, sizeof(w));
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(dp_tls_client_new(&c, &w[i].client, why, sizeof(why)), DP_OK);
        assert_int_equal(dp_tls_server_new(&s, &w[i].server, why, sizeof(why)), DP_OK);
        struct dp_tls *client = dp_tls_ref(w[i].client), *server = dp_tls_ref(w[i].server);
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
        dp_tls_unref(client); /* a reload: only who works with them keeps them */
        dp_tls_unref(server);
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_int_equal(w[i].received, ROUNDS * 50000);
        assert_int_equal(w[i].resumed, ROUNDS - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_workers)};
    return cmocka_run_group_tests(tests, tls_certs_setup, tls_certs_teardown);
}
