/* The checker and the drill's database when memory runs out at any allocation, of ours, of libuv or jansson: they say so, or
 * what they could not ask is asked again or told as unread. The region lives in a thread of its own, which lacks nothing. */
#include "davenport/drill/checker.h"
#include "davenport/drill/database.h"

#include "support/nomem.h"
#include "support/script_thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALLOCATIONS_MAX 5000
#define ID              "drill-r1-00000.0"

static void choose(void *ctx, struct script_server *s)
{
    const char *body = "{\"ok\":true,\"_rev\":\"1-a\"}";
    (void)ctx;
    if (strstr(s->head, "/_changes?"))
        body = "{\"results\":[{\"id\":\"" ID "\",\"changes\":[{\"rev\":\"1-a\"}]}],\"last_seq\":1}";
    else if (strstr(s->head, "/_bulk_get?"))
        body = "{\"results\":[{\"id\":\"" ID "\",\"docs\":[{\"ok\":{\"_id\":\"" ID
               "\",\"_rev\":\"1-a\",\"drill\":\"r1\",\"tag\":0,\"_revisions\":{\"start\":1,"
               "\"ids\":[\"a\"]}}}]}]}";
    script_server_says(s, SCRIPT_ANSWER, 200, body);
}

static int setup(void **state)
{
    struct script_thread *t = malloc(sizeof(*t));
    assert_non_null(t);
    script_thread_start(t, choose);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    script_thread_stop(*state);
    free(*state);
    return 0;
}

struct run {
    uv_loop_t loop;
    struct dp_drill_region region;
    enum dp_err err;
    bool done, closed;
};

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void begin(struct run *r, const struct script_thread *s)
{
    *r = (struct run){.region = {.name = "left", .url = s->url}};
    assert_int_equal(uv_loop_init(&r->loop), 0);
}

static void on_checked(void *ctx, enum dp_err err)
{
    struct run *r = ctx;
    r->err = err;
    r->done = true;
}

/* From nothing to the result. *clean: all was read and nothing found. */
static enum dp_err check(struct script_thread *s, unsigned n, bool *clean)
{
    struct run r;
    struct dp_checker *c;
    const struct dp_ledger_options how = {.run = "r1", .slots = 1, .max_writes = 1};
    struct dp_ledger *l = dp_ledger_new(&how);
    begin(&r, s);
    uint32_t tag = dp_ledger_begin(l, DP_WRITE_PUT, 0, 0);
    assert_int_equal(dp_ledger_acknowledged(l, tag, DP_SPAN(""), DP_SPAN("1-a"), 201, 0, 0), DP_OK);
    const struct dp_checker_options opt = {.loop = &r.loop,
                                           .regions = &r.region,
                                           .n_regions = 1,
                                           .database = "drill",
                                           .ledger = l,
                                           .ask_ms = 60000,
                                           .converge_ms = 10,
                                           .quiet_ms = 1,
                                           .read_ms = 10,
                                           .follow_ms = 1,
                                           .poll_ms = 1};
    *clean = false;
    nomem_at(n);
    enum dp_err err = dp_checker_start(&opt, NULL, on_checked, &r, &c);
    if (!err) {
        script_turn_until(&r.loop, &r.done);
        err = r.err;
        json_t *j = dp_checker_json(c);
        *clean = !err && json_array_size(json_object_get(j, "findings")) == 0;
        assert_true(j || nomem_happened());
        json_decref(j);
        nomem_pause();
        dp_checker_destroy(c, on_closed, &r.closed);
        nomem_resume();
        script_turn_until(&r.loop, &r.closed);
    }
    nomem_pause();
    script_loop_finish(&r.loop);
    nomem_resume();
    dp_ledger_free(l);
    return err;
}

static void test_the_checker(void **state)
{
    unsigned n = 1, clean_ones = 0;
    bool clean;
    for (bool failed = true; failed; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        enum dp_err err = check(*state, n, &clean);
        failed = nomem_happened();
        nomem_at(0);
        assert_true(err == DP_OK || (err == DP_ENOMEM && failed));
        clean_ones += clean;
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 30);
    assert_true(clean_ones > 0);
}

static void on_made(void *ctx, enum dp_err err, const char *why)
{
    struct run *r = ctx;
    r->err = err;
    r->done = true;
    assert_int_equal(err != DP_OK, why[0] != '\0');
}

/* Made, begun anew, dropped. */
static enum dp_err live(struct script_thread *s, unsigned n)
{
    static void (*const acts[])(struct dp_database *, dp_database_done, void *) = {
        dp_database_prepare, dp_database_rejoin, dp_database_drop};
    struct run r;
    struct dp_database *d;
    begin(&r, s);
    const struct dp_drill_region two[] = {r.region, r.region};
    const struct dp_database_options opt = {.loop = &r.loop,
                                            .regions = two,
                                            .n_regions = 2,
                                            .name = "drill",
                                            .run = "r1",
                                            .replicate = true,
                                            .view = true,
                                            .index = true,
                                            .deadline_ms = 1,
                                            .ask_ms = 60000};
    nomem_at(n);
    enum dp_err err = dp_database_new(&opt, &d);
    if (!err) {
        for (size_t i = 0; i < 3; i++) {
            r.done = false;
            acts[i](d, on_made, &r);
            script_turn_until(&r.loop, &r.done);
            err = err ? err : r.err;
        }
        nomem_pause();
        dp_database_destroy(d, on_closed, &r.closed);
        nomem_resume();
        script_turn_until(&r.loop, &r.closed);
    }
    nomem_pause();
    script_loop_finish(&r.loop);
    nomem_resume();
    return err;
}

static void test_the_database(void **state)
{
    unsigned n = 1;
    for (bool failed = true; failed; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        enum dp_err err = live(*state, n);
        failed = nomem_happened();
        nomem_at(0);
        assert_true(err == DP_OK || failed);
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 30);
}

int main(void)
{
    nomem_libraries_but_curl();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_checker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_database, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
