/* The keeper of sequence maps: marks become snapshots and a file, and a file becomes maps again, if it is whole. */
#include "davenport/control/sequences.h"
#include "davenport/couch/renewal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#define NOW_MS INT64_C(1764166866000)
/* A real one. */
#define TOKEN                                                                                      \
    "0-g1AAAABVeJzLYWBgYMpgTmEQSM4vTc4wdDA0MtczAELDHJBMHguQZGgAUv-BICuRAbfSRIakeoiaLABoNhcY"

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

struct stage {
    uv_loop_t loop;
    char folder[64], path[96];
    struct dp_sequences *s;
    struct dp_seqview *view; /* the last that was published */
    unsigned published;
};

static void on_publish(void *ctx, struct dp_seqview *view)
{
    struct stage *t = ctx;
    dp_seqview_unref(t->view);
    t->view = dp_seqview_ref(view);
    t->published++;
}

static void begin(struct stage *t)
{
    const struct dp_sequences_options opt = {
        .loop = &t->loop,
        .clock = &clock_of_test,
        .maps = {4, 8, 60000},
        .folder = t->folder[0] ? t->folder : NULL,
        .save_ms = 1,
        .publish_ms = 1,
        .publish = on_publish,
        .ctx = t,
    };
    t->view = NULL;
    t->published = 0;
    assert_int_equal(uv_loop_init(&t->loop), 0);
    assert_int_equal(dp_sequences_new(&opt, &t->s), DP_OK);
    t->view = dp_seqview_ref(dp_sequences_view(t->s));
}

static void end(struct stage *t)
{
    dp_sequences_destroy(t->s);
    assert_int_equal(uv_run(&t->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    dp_seqview_unref(t->view);
}

static void make_folder(struct stage *t)
{
    (void)snprintf(t->folder, sizeof(t->folder), "/tmp/davenport-sequences-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    (void)snprintf(t->path, sizeof(t->path), "%s/sequences", t->folder);
}

static void remove_folder(struct stage *t)
{
    (void)unlink(t->path);
    assert_int_equal(rmdir(t->folder), 0);
}

/* `to` held all that `from` had up to this token. */
static void tell(struct stage *t, const char *from, const char *to, const char *token,
                 int64_t ago_s)
{
    const struct dp_replication_listener l = dp_sequences_listener(t->s);
    const struct dp_replication_mark m = {.database = "orders",
                                          .from = from,
                                          .to = to,
                                          .token = dp_span_str(token),
                                          .read_wall_ms = NOW_MS - ago_s * 1000};
    l.mark(l.ctx, &m);
}

static void expect(const struct stage *t, const char *from, const char *to, const char *want)
{
    const struct dp_span got = dp_seqview_translate(t->view, DP_SPAN("orders"), dp_span_str(from),
                                                    dp_span_str(to), NOW_MS / 1000, NOW_MS / 1000);
    assert_int_equal(got.p != NULL, want != NULL);
    if (want)
        assert_true(dp_span_eq(got, dp_span_str(want)));
}

static void run_until(struct stage *t, unsigned published)
{
    while (t->published < published)
        (void)uv_run(&t->loop, UV_RUN_ONCE);
}

static void run_until_saved(struct stage *t)
{
    struct dp_sequences_info info = {0};
    while (info.saved_ms == 0 && !info.troubled) {
        (void)uv_run(&t->loop, UV_RUN_ONCE);
        dp_sequences_info(t->s, &info);
    }
}

static void test_told_to_workers(void **state)
{
    (void)state;
    struct stage t = {.folder = ""};
    struct dp_sequences_info info;
    struct dp_seqmaps_row row;
    begin(&t);
    tell(&t, "us", "eu", "12-us", 100);
    tell(&t, "eu", "us", "34-eu", 100);
    expect(&t, "eu", "us", NULL);
    run_until(&t, 1);
    expect(&t, "eu", "us", "12-us"); /* who reads eu goes on in us behind a token of us */
    expect(&t, "us", "eu", "34-eu");
    const struct dp_replication_listener l = dp_sequences_listener(t.s);
    l.anew(l.ctx, "orders", "ap");
    assert_int_equal(t.published, 1);
    assert_null(dp_seqview_look(t.view, DP_SPAN("orders"), DP_SPAN("eu")));
    const struct dp_replication_look look = {"orders", "eu", dp_span_str(TOKEN), 7, NOW_MS};
    l.look(l.ctx, &look);
    run_until(&t, 2);
    assert_int_equal(
        dp_seqlook_newest_ns(dp_seqview_look(t.view, DP_SPAN("orders"), DP_SPAN("eu"))), 7);
    l.anew(l.ctx, "orders", "us"); /* told at once */
    assert_int_equal(t.published, 3);
    expect(&t, "eu", "us", NULL);
    dp_sequences_info(t.s, &info);
    assert_null(info.file);
    assert_int_equal(info.marks_told, 2);
    assert_false(dp_sequences_row(t.s, 0, &row));
    tell(&t, "us", "eu", "", 100); /* no mark */
    end(&t);
}

static void test_kept_in_a_file(void **state)
{
    (void)state;
    struct stage t;
    make_folder(&t);
    begin(&t);
    expect(&t, "eu", "us", NULL);
    tell(&t, "us", "eu", "12-us", 100);
    run_until_saved(&t);
    end(&t);
    begin(&t);
    expect(&t, "eu", "us", "12-us");
    tell(&t, "us", "eu", "13-us", 90);
    end(&t); /* what is new is written at the end */
    begin(&t);
    expect(&t, "eu", "us", "13-us");
    end(&t);
    remove_folder(&t);
}

static void test_damaged_file(void **state)
{
    (void)state;
    struct stage t;
    make_folder(&t);
    begin(&t);
    tell(&t, "us", "eu", "12-us", 100);
    end(&t);
    assert_int_equal(truncate(t.path, 60), 0);
    begin(&t);
    expect(&t, "eu", "us", NULL);
    tell(&t, "us", "eu", "14-us", 100);
    end(&t);
    begin(&t);
    expect(&t, "eu", "us", "14-us");
    end(&t);
    remove_folder(&t);
}

/* The name of the file is a folder's: neither to be read nor to be replaced. */
static void test_no_file_to_be_had(void **state)
{
    (void)state;
    struct stage t;
    struct dp_sequences_info info;
    make_folder(&t);
    assert_int_equal(mkdir(t.path, 0700), 0);
    begin(&t);
    tell(&t, "us", "eu", "12-us", 100);
    run_until_saved(&t);
    dp_sequences_info(t.s, &info);
    assert_true(info.troubled);
    assert_string_equal(info.file, t.path);
    run_until(&t, 1);
    expect(&t, "eu", "us", "12-us");
    end(&t);
    (void)snprintf(t.path + strlen(t.path), 8, ".new");
    assert_int_equal(unlink(t.path), 0);
    t.path[strlen(t.path) - 4] = '\0';
    assert_int_equal(rmdir(t.path), 0);
    remove_folder(&t);
}

/* A folder that is not there is made. */
static void test_new_folder(void **state)
{
    (void)state;
    struct stage t;
    char parent[64];
    make_folder(&t);
    memcpy(parent, t.folder, sizeof(parent));
    (void)snprintf(t.folder + strlen(t.folder), 8, "/state");
    (void)snprintf(t.path, sizeof(t.path), "%s/state/sequences", parent);
    begin(&t);
    tell(&t, "us", "eu", "12-us", 100);
    end(&t);
    begin(&t);
    expect(&t, "eu", "us", "12-us");
    end(&t);
    remove_folder(&t);
    assert_int_equal(rmdir(parent), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_to_workers), cmocka_unit_test(test_kept_in_a_file),
        cmocka_unit_test(test_damaged_file),    cmocka_unit_test(test_no_file_to_be_had),
        cmocka_unit_test(test_new_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
