/* A request for which the first, second, third … allocation fails ends with that error, soon, and the next ones go on. */
#include "davenport/client/fetch.h"

#include "support/nomem.h"
#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* More than it takes: it went in circles. */
#define ALLOCATIONS_MAX 2000

struct outcome {
    unsigned done;
    enum dp_err err;
    uint16_t status;
};

static void on_done(void *ctx, const struct dp_fetch_result *r)
{
    struct outcome *o = ctx;
    o->done++;
    o->err = r->err;
    o->status = r->status;
}

static bool is_done(void *ctx)
{
    return ((struct outcome *)ctx)->done > 0;
}

static void on_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

/* It may have no memory, or happen. */
static void one(uv_loop_t *loop, struct dp_fetcher *f, const char *url, bool fresh,
                struct outcome *o)
{
    const struct dp_fetch_request req = {.url = url,
                                         .fresh_connection = fresh,
                                         .connect_timeout_ms = 600000,
                                         .timeout_ms = 600000,
                                         .max_body_bytes = 10000};
    struct dp_fetch *t;
    *o = (struct outcome){0};
    o->err = dp_fetch_start(f, &req, on_done, o, &t);
    if (o->err == DP_OK)
        assert_true(script_run_until(loop, is_done, o));
}

static void every_allocation_may_fail(void **state)
{
    uv_loop_t loop;
    struct script_server server;
    char url[64];
    bool gone = false;
    (void)state;
    memset(&server, 0, sizeof(server));
    assert_int_equal(uv_loop_init(&loop), 0);
    script_server_start(&server, &loop);
    (void)script_server_url(&server, url, sizeof(url));
    struct dp_fetcher *f = dp_fetcher_new(&loop);
    assert_non_null(f);
    unsigned n = 0;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        struct outcome o;
        nomem_at(++n);
        one(&loop, f, url, true, &o);
        happened = nomem_happened();
        nomem_at(0);
        assert_true(o.err == DP_OK || (o.err == DP_ENOMEM && happened));
        for (int again = 0; again < 2; again++) {
            one(&loop, f, url, again == 1, &o);
            assert_int_equal(o.err, DP_OK);
            assert_int_equal(o.status, 200);
        }
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 3);
    dp_fetcher_destroy(f, on_gone, &gone);
    assert_true(script_run_until(&loop, is_true, &gone));
    script_server_kill(&server);
    script_loop_finish(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
