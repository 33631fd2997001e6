/* Spans on their way to a collector, for whom the first, second, third … allocation fails: each is told once or counted as
 * dropped, and the end comes. */
#include "app/otlp_export.h"
#include "support/nomem.h"
#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* More than it takes: it went in circles. */
#define ALLOCATIONS_MAX 2000
/* A request that the server has room for. */
#define SPANS 2
/* Longer than any machine may stand still. */
#define NEVER_MS 600000

struct desk {
    uv_loop_t loop;
    struct script_server server;
    char url[64];
    struct dp_otlp_export *e;
};

static bool all_counted(void *ctx)
{
    const struct desk *d = ctx;
    return dp_otlp_exported(d->e) + dp_otlp_dropped(d->e) == SPANS;
}

static void put_spans(struct dp_tracing_ring *ring)
{
    struct dp_tracing_span s = {
        .method = "GET", .kind = "read", .database = "\x01 \"db\"", .attempts = 1};
    memset(s.trace, 'a', sizeof(s.trace));
    memset(s.id, 'b', sizeof(s.id));
    for (unsigned i = 0; i < SPANS; i++)
        assert_true(dp_tracing_put(ring, &s));
}

/* Told, counted, ended, with whatever fails; true: all were told. */
static bool tell(struct desk *d, unsigned n, bool *happened)
{
    const struct dp_otlp_config config = {.endpoint = d->url,
                                          .field = "X-Key: k",
                                          .timeout_ms = NEVER_MS,
                                          .resource = {.service = "davenport", .databases = true}};
    bool told = false;
    assert_int_equal(uv_loop_init(&d->loop), 0);
    script_server_start(&d->server, &d->loop);
    (void)script_server_url(&d->server, d->url, sizeof(d->url));
    nomem_at(n);
    const enum dp_err err = dp_otlp_export_new(&d->loop, &config, 1, SPANS, "here", &d->e);
    if (err == DP_OK) {
        put_spans(dp_otlp_export_ring(d->e, 0));
        dp_otlp_export_end(d->e, NEVER_MS);
        assert_true(script_run_until(&d->loop, all_counted, d));
        told = dp_otlp_exported(d->e) == SPANS;
    }
    *happened = nomem_happened();
    nomem_at(0);
    assert_true(err == DP_OK || (err == DP_ENOMEM && *happened));
    assert_true(told || *happened);
    if (told)
        assert_non_null(strstr(d->server.head, "X-Key: k\r\n"));
    script_server_kill(&d->server);
    script_loop_finish(&d->loop);
    if (err == DP_OK)
        dp_otlp_export_free(d->e);
    return told;
}

static void every_allocation_may_fail(void **state)
{
    struct desk d;
    unsigned n = 0, told = 0;
    (void)state;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX))
        told += tell(&d, ++n, &happened);
    print_message("%u allocations, all told in spite of %u\n", n - 1, told - 1);
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
