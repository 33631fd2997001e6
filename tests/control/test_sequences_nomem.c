/* The keeper of sequence maps when memory runs out at any allocation: it does not begin, or it goes on and makes good later what it
 * could not do; nothing is leaked, and the file is whole whenever there is one. */
#include "davenport/control/sequences.h"

#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#define ALLOCATIONS_MAX 500
#define NOW_MS          INT64_C(1764166866000)

static uint64_t mono_ns(void *ctx)
{
    (void)ctx;
    return uv_hrtime();
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return NOW_MS;
}

static const struct dp_clock clock_of_test = {mono_ns, wall_ms, NULL};

static void on_publish(void *ctx, struct dp_seqview *view)
{
    unsigned *published = ctx;
    *published += view != NULL;
}

static void tell(struct dp_sequences *s, const char *token, int64_t ago_s)
{
    const struct dp_replication_listener l = dp_sequences_listener(s);
    const struct dp_replication_mark m = {.database = "orders",
                                          .from = "us",
                                          .to = "eu",
                                          .token = dp_span_str(token),
                                          .read_wall_ms = NOW_MS - ago_s * 1000};
    l.mark(l.ctx, &m);
    free(l.share(l.ctx, "orders"));
}

/* From what is in the folder to what is there afterwards. False: it could not begin. */
static bool live(const char *folder)
{
    uv_loop_t loop;
    unsigned published = 0;
    struct dp_sequences *s;
    const struct dp_sequences_options opt = {.loop = &loop,
                                             .clock = &clock_of_test,
                                             .maps = {4, 8, 60000},
                                             .folder = folder,
                                             .save_ms = 1,
                                             .publish_ms = 1,
                                             .publish = on_publish,
                                             .ctx = &published};
    nomem_pause();
    assert_int_equal(uv_loop_init(&loop), 0);
    nomem_resume();
    const enum dp_err err = dp_sequences_new(&opt, &s);
    assert_true(err == DP_OK || err == DP_ENOMEM);
    if (err == DP_OK) {
        tell(s, "1-a", 300);
        tell(s, "2-a", 200);
        for (unsigned i = 0; i < 3; i++)
            (void)uv_run(&loop, UV_RUN_ONCE);
        dp_sequences_destroy(s);
    }
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    return err == DP_OK;
}

/* What is in the folder, if anything, is whole. */
static void expect_whole(const char *folder)
{
    uv_loop_t loop;
    unsigned published = 0;
    struct dp_sequences *s;
    struct dp_seqmaps_row row;
    char path[96];
    const struct dp_sequences_options opt = {.loop = &loop,
                                             .clock = &clock_of_test,
                                             .maps = {4, 8, 60000},
                                             .folder = folder,
                                             .save_ms = 1000,
                                             .publish_ms = 1000,
                                             .publish = on_publish,
                                             .ctx = &published};
    (void)snprintf(path, sizeof(path), "%s/sequences", folder);
    const bool there = access(path, F_OK) == 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(dp_sequences_new(&opt, &s), DP_OK);
    assert_int_equal(dp_sequences_row(s, 0, &row), there);
    dp_sequences_destroy(s);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    (void)unlink(path);
}

static void test_no_memory(void **state)
{
    (void)state;
    char folder[] = "/tmp/davenport-sequences-XXXXXX";
    bool ran_out = true;
    unsigned not_begun = 0;
    assert_non_null(mkdtemp(folder));
    nomem_libraries();
    assert_true(live(folder));
    expect_whole(folder);
    for (unsigned n = 1; ran_out; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        nomem_at(n);
        not_begun += !live(folder);
        ran_out = nomem_happened();
        nomem_at(0);
        expect_whole(folder);
    }
    assert_true(not_begun > 2);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
