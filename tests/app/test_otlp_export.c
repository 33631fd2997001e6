/* Spans on their way to a collector: what its answer says of them, and that none is told twice. */
#include "davenport/base/attr.h"

#include "app/otlp_export.h"
#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SPANS 2
/* Longer than any machine may stand still. */
#define NEVER_MS 600000

struct desk {
    uv_loop_t loop;
    struct script_server server;
    struct dp_otlp_export *e;
};

static bool all_counted(void *ctx)
{
    const struct desk *d = ctx;
    return dp_otlp_exported(d->e) + dp_otlp_dropped(d->e) == SPANS;
}

static bool asked_twice(void *ctx)
{
    const struct desk *d = ctx;
    return d->server.requests == 2;
}

static void begin(struct desk *d)
{
    static char url[64];
    memset(d, 0, sizeof(*d));
    assert_int_equal(uv_loop_init(&d->loop), 0);
    script_server_start(&d->server, &d->loop);
    const struct dp_otlp_config config = {.endpoint =
                                              script_server_url(&d->server, url, sizeof(url)),
                                          .timeout_ms = NEVER_MS,
                                          .resource = {.service = "davenport"}};
    assert_int_equal(dp_otlp_export_new(&d->loop, &config, 1, SPANS, "here", &d->e), DP_OK);
    struct dp_tracing_span s = {.method = "GET", .kind = "read", .attempts = 1};
    memset(s.trace, 'a', sizeof(s.trace));
    memset(s.id, 'b', sizeof(s.id));
    for (unsigned i = 0; i < SPANS; i++)
        assert_true(dp_tracing_put(dp_otlp_export_ring(d->e, 0), &s));
}

static void end(struct desk *d)
{
    dp_otlp_export_end(d->e, NEVER_MS);
    script_server_kill(&d->server);
    script_loop_finish(&d->loop);
    dp_otlp_export_free(d->e);
}

/* What its status says holds, whatever becomes of the body behind it. */
static void a_batch_is_told_once(void **state)
{
    static const struct {
        enum script_mode mode;
        uint16_t status;
        unsigned exported;
    } rows[] = {
        {SCRIPT_ANSWER, 200, SPANS},
        {SCRIPT_CUT, 200, SPANS},
        {SCRIPT_ENDLESS, 200, SPANS},
        {SCRIPT_ANSWER, 400, 0},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct desk d;
        begin(&d);
        script_server_says(&d.server, rows[i].mode, rows[i].status, "{}");
        assert_true(script_run_until(&d.loop, all_counted, &d));
        assert_int_equal(d.server.requests, 1);
        assert_int_equal(dp_otlp_exported(d.e), rows[i].exported);
        end(&d);
        assert_int_equal(d.server.requests, 1);
    }
}

static void without_an_answer_it_is_told_again(void **state)
{
    static const enum script_mode modes[] = {SCRIPT_CLOSE, SCRIPT_GARBAGE, SCRIPT_ANSWER};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(modes); i++) {
        struct desk d;
        begin(&d);
        script_server_says(&d.server, modes[i], 503, "{}");
        assert_true(script_run_until(&d.loop, asked_twice, &d));
        assert_int_equal(dp_otlp_exported(d.e) + dp_otlp_dropped(d.e), 0);
        script_server_says(&d.server, SCRIPT_ANSWER, 200, "{}");
        assert_true(script_run_until(&d.loop, all_counted, &d));
        assert_int_equal(dp_otlp_exported(d.e), SPANS);
        end(&d);
    }
}

/* With what waits in the ring, and with the batch that is under way. */
static void what_nobody_takes_by_the_end_is_counted(void **state)
{
    (void)state;
    for (int under_way = 0; under_way < 2; under_way++) {
        struct desk d;
        begin(&d);
        script_server_says(&d.server, SCRIPT_SILENT, 200, "{}");
        if (under_way) {
            dp_otlp_export_end(d.e, 50);
        } else {
            script_server_kill(&d.server);
            dp_otlp_export_end(d.e, 0);
        }
        assert_true(script_run_until(&d.loop, all_counted, &d));
        assert_int_equal(dp_otlp_dropped(d.e), SPANS);
        script_server_kill(&d.server);
        script_loop_finish(&d.loop);
        dp_otlp_export_free(d.e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_told_once),
        cmocka_unit_test(without_an_answer_it_is_told_again),
        cmocka_unit_test(what_nobody_takes_by_the_end_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
