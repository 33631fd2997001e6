/* A whole load for which the first, second, third … allocation fails: it is not made, or ends, or does its work, and leaves
 * nothing behind. */
#include "davenport/drill/ledger.h"
#include "davenport/drill/load.h"

#include "support/nomem.h"
#include "support/script_server.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* More than it takes: it went in circles. */
#define ALLOCATIONS_MAX 2000

struct outcome {
    bool done, closed;
    enum dp_err err;
    unsigned ended;
};

static void on_ended(void *ctx, const struct dp_load_end *end)
{
    (void)end;
    ((struct outcome *)ctx)->ended++;
}

static void on_done(void *ctx, enum dp_err err, const char *why)
{
    struct outcome *o = ctx;
    o->done = true;
    o->err = err;
    assert_true(err == DP_OK || *why);
}

static void on_closed(void *ctx)
{
    ((struct outcome *)ctx)->closed = true;
}

static bool is_done(void *ctx)
{
    return ((struct outcome *)ctx)->done;
}

static bool is_closed(void *ctx)
{
    return ((struct outcome *)ctx)->closed;
}

/* What a database would say, but that it never knows more than one revision. */
static void choose(void *ctx, struct script_server *s)
{
    (void)ctx;
    if (strstr(s->head, "feed=longpoll")) {
        script_server_says(s, SCRIPT_SILENT, 0, "");
    } else if (strstr(s->head, "/_changes")) {
        script_server_says(
            s, SCRIPT_ANSWER, 200,
            "{\"results\":[{\"seq\":\"2-a\",\"id\":\"x\",\"changes\":[{\"rev\":\"1-a\"}]}],"
            "\"last_seq\":\"2-a\"}");
    } else if (strstr(s->head, "/_bulk_docs")) {
        script_server_says(s, SCRIPT_ANSWER, 201,
                           "[{\"id\":\"a\",\"rev\":\"1-a\"},{\"id\":\"b\",\"rev\":\"1-a\"},"
                           "{\"id\":\"c\",\"rev\":\"1-a\"},{\"id\":\"d\",\"rev\":\"1-a\"},"
                           "{\"id\":\"e\",\"error\":\"conflict\"}]");
    } else {
        script_server_says(s, SCRIPT_ANSWER, 201, "{\"ok\":true,\"id\":\"a\",\"rev\":\"1-a\"}");
    }
}

/* The load's own allocations alone fail: those of the test are not counted. */
static void one(uv_loop_t *loop, const char *url, unsigned n, struct outcome *o)
{
    static const struct dp_load_stage stage = {200, 200, 0.02};
    const struct dp_ledger_options options = {
        .run = "r", .slots = 3, .max_writes = 1000, .max_rows = 1000};
    const struct dp_load_events events = {.ended = on_ended, .done = on_done};
    struct dp_load_config c;
    struct dp_load *load = NULL;
    char why[DP_LOAD_WHY];
    struct dp_ledger *ledger = dp_ledger_new(&options);
    assert_non_null(ledger);
    dp_load_config_init(&c);
    c.url = url;
    c.stages = &stage;
    c.n_stages = 1;
    c.connections = 1;
    c.timeout_ms = 60000;
    c.database = "d";
    c.username = "u";
    c.password = "p";
    c.documents = 2;
    c.longpoll = 1;
    c.weights[DP_LOAD_POST] = c.weights[DP_LOAD_BULK] = 1;
    *o = (struct outcome){0};
    nomem_at(n);
    o->err = dp_load_new(loop, &c, ledger, &events, o, &load, why);
    if (o->err != DP_OK) {
        assert_true(*why);
    } else {
        dp_load_start(load);
        assert_true(script_run_until(loop, is_done, o));
        json_t *told = dp_load_json(load);
        assert_true(told || nomem_happened());
        json_decref(told);
        dp_load_destroy(load, on_closed, o);
        assert_true(script_run_until(loop, is_closed, o));
    }
    dp_ledger_free(ledger);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

/* libuv aborts where its table of descriptors can't grow: it is large from the start. */
static void grow_table(uv_loop_t *loop)
{
    uv_poll_t poll;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const int high = fcntl(fds[0], F_DUPFD_CLOEXEC, 200);
    assert_true(high >= 200);
    assert_int_equal(uv_poll_init(loop, &poll, high), 0);
    assert_int_equal(uv_poll_start(&poll, UV_READABLE, on_poll), 0);
    uv_close((uv_handle_t *)&poll, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    (void)close(high);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void every_allocation_may_fail(void **state)
{
    uv_loop_t loop;
    struct script_server server;
    char url[64];
    unsigned n = 0;
    (void)state;
    memset(&server, 0, sizeof(server));
    assert_int_equal(uv_loop_init(&loop), 0);
    grow_table(&loop);
    script_server_start(&server, &loop);
    server.choose = choose;
    (void)script_server_url(&server, url, sizeof(url));
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        struct outcome o;
        one(&loop, url, ++n, &o);
        happened = nomem_happened();
        nomem_at(0);
        assert_true(o.err == DP_OK || happened);
        /* What began ends, whatever it ends as. */
        assert_true(o.err != DP_OK || o.ended == 4);
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 30);
    script_server_kill(&server);
    script_loop_finish(&loop);
}

int main(void)
{
    nomem_libraries();
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
