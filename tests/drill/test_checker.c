/* The checker against two regions that answer as they are told. Bounds are short where they are to be reached, and generous
 * where they are not. */
#include "davenport/drill/checker.h"

#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A     "11111111111111111111111111111111"
#define B     "22222222222222222222222222222222"
#define ID    "drill-r1-00000.0"
#define LONG  30000u
#define SHORT 150u

struct fake {
    struct script_server server;
    char url[64];
    const char *changes, *docs; /* what it answers */
    uint16_t status;
    unsigned pages, reads, late; /* late: so many pages come before `changes`; they are empty */
    bool once;                   /* `changes` is its first page, and empty ones follow */
    bool gone;
};

struct bench {
    uv_loop_t loop;
    struct fake fakes[2];
    struct dp_drill_region regions[2];
    struct dp_ledger *ledger;
    uint32_t feed;
    struct dp_checker *checker;
    unsigned done, shown, stalls;
    enum dp_err err;
    bool closed;
};

static void choose(void *ctx, struct script_server *s)
{
    struct fake *f = ctx;
    if (f->status != 200) {
        script_server_says(s, SCRIPT_ANSWER, f->status,
                           "{\"error\":\"odd\",\"reason\":\"It is.\"}");
    } else if (strstr(s->head, "GET /drill/_changes?style=all_docs&limit=") == s->head) {
        bool none = f->pages < f->late || (f->once && f->pages > 0);
        f->pages++;
        script_server_says(s, SCRIPT_ANSWER, 200,
                           none ? "{\"results\":[],\"last_seq\":\"0\"}" : f->changes);
    } else if (strstr(s->head, "POST /drill/_bulk_get?revs=true") == s->head) {
        f->reads++;
        script_server_says(s, SCRIPT_ANSWER, 200, f->docs);
    } else {
        script_server_says(s, SCRIPT_ANSWER, 400, "{}");
    }
}

static int setup(void **state)
{
    static const char *const names[] = {"left", "right"};
    const struct dp_ledger_options opt = {
        .run = "r1", .slots = 2, .max_writes = 100, .max_rows = 100};
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    for (size_t i = 0; i < 2; i++) {
        struct fake *f = &b->fakes[i];
        script_server_start(&f->server, &b->loop);
        (void)script_server_url(&f->server, f->url, sizeof(f->url));
        f->status = 200;
        f->server.choose = choose;
        f->server.ctx = f;
        b->regions[i] = (struct dp_drill_region){.name = names[i], .url = f->url};
    }
    b->ledger = dp_ledger_new(&opt);
    assert_non_null(b->ledger);
    b->feed = dp_ledger_feed(b->ledger, "longpoll");
    /* one document, written twice */
    for (unsigned i = 0; i < 2; i++) {
        uint32_t tag = dp_ledger_begin(b->ledger, DP_WRITE_PUT, 0, 0);
        assert_int_equal(dp_ledger_acknowledged(b->ledger, tag, DP_SPAN(ID),
                                                i ? DP_SPAN("2-" B) : DP_SPAN("1-" A), 201, 0, 1),
                         DP_OK);
    }
    *state = b;
    return 0;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    if (b->checker) {
        dp_checker_destroy(b->checker, on_closed, &b->closed);
        assert_false(b->closed); /* never within the call */
        assert_true(script_run_until(&b->loop, is_true, &b->closed));
    }
    for (size_t i = 0; i < 2; i++) {
        if (!b->fakes[i].gone)
            script_server_kill(&b->fakes[i].server);
    }
    script_loop_finish(&b->loop);
    dp_ledger_free(b->ledger);
    free(b);
    return 0;
}

static void on_done(void *ctx, enum dp_err err)
{
    struct bench *b = ctx;
    b->done++;
    b->err = err;
}

static void on_progress(void *ctx, const char *phase, const char *text)
{
    struct bench *b = ctx;
    assert_true(strlen(phase) > 0);
    assert_non_null(text);
    b->shown++;
}

static bool is_done(void *ctx)
{
    return ((struct bench *)ctx)->done > 0;
}

static struct dp_checker_options usual(struct bench *b)
{
    return (struct dp_checker_options){.loop = &b->loop,
                                       .regions = b->regions,
                                       .n_regions = 2,
                                       .database = "drill",
                                       .ledger = b->ledger,
                                       .alone = true,
                                       .converge_ms = LONG,
                                       .quiet_ms = 10,
                                       .read_ms = LONG,
                                       .follow_ms = LONG,
                                       .poll_ms = 5};
}

static void run(struct bench *b, const struct dp_checker_options *opt)
{
    assert_int_equal(dp_checker_start(opt, on_progress, on_done, b, &b->checker), DP_OK);
    assert_int_equal(b->done, 0);
    assert_true(script_run_until(&b->loop, is_done, b));
    assert_int_equal(b->done, 1);
    assert_int_equal(b->err, DP_OK);
}

static uint64_t found(const struct bench *b, enum dp_finding_kind kind)
{
    return dp_audit_count(dp_checker_audit(b->checker), kind);
}

static void only(const struct bench *b, enum dp_finding_kind kind, uint64_t n)
{
    for (unsigned k = 0; k < DP_FINDING_KINDS; k++)
        assert_int_equal(found(b, (enum dp_finding_kind)k), k == (unsigned)kind ? n : 0);
}

#define CHANGES(rev)                                                                               \
    "{\"results\":[{\"seq\":1,\"id\":\"" ID "\",\"changes\":[{\"rev\":\"" rev                      \
    "\"}]}],\"last_seq\":\"2-x\"}"
#define DOCS(rev, tag, start, ids)                                                                 \
    "{\"results\":[{\"id\":\"" ID "\",\"docs\":[{\"ok\":{\"_id\":\"" ID "\",\"_rev\":\"" rev       \
    "\",\"drill\":\"r1\",\"tag\":" tag ",\"_revisions\":{\"start\":" start ",\"ids\":[" ids        \
    "]}}}]}]}"
#define CHANGES_NEW CHANGES("2-" B)
#define DOCS_NEW    DOCS("2-" B, "1", "2", "\"" B "\",\"" A "\"")
#define CHANGES_OLD CHANGES("1-" A)
#define DOCS_OLD    DOCS("1-" A, "0", "1", "\"" A "\"")

static void both_say(struct bench *b, const char *changes, const char *docs)
{
    for (size_t i = 0; i < 2; i++) {
        b->fakes[i].changes = changes;
        b->fakes[i].docs = docs;
    }
}

static void test_honest_regions_are_clean(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    b->fakes[1].late = 5; /* replication takes its time */
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    const struct dp_checker_options opt = usual(b);
    run(b, &opt);
    only(b, DP_FINDING_LOST, 0);
    assert_true(dp_checker_converged_s(b->checker) >= 0);
    assert_true(b->fakes[1].pages > 5);
    assert_int_equal(b->fakes[0].reads, 1);
    assert_int_equal(b->fakes[1].reads, 1);
    assert_true(b->shown > 0);
    json_t *j = dp_checker_json(b->checker);
    assert_non_null(j);
    const json_t *right = json_array_get(json_object_get(j, "regions"), 1);
    assert_string_equal(json_string_value(json_object_get(right, "name")), "right");
    assert_int_equal(json_integer_value(json_object_get(right, "present")), 2);
    assert_int_equal(json_integer_value(json_object_get(right, "lost")), 0);
    assert_int_equal(json_integer_value(json_object_get(j, "writes")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "findings")), 0);
    assert_int_equal(json_integer_value(json_object_get(j, "left_out")), 0);
    const json_t *feed = json_array_get(json_object_get(j, "feeds"), 0);
    assert_int_equal(json_integer_value(json_object_get(feed, "rows")), 1);
    assert_int_equal(json_integer_value(json_object_get(feed, "missed")), 0);
    json_decref(j);
}

static void test_both_lost_it(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_OLD, DOCS_OLD);
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("1-" A));
    const struct dp_checker_options opt = usual(b);
    run(b, &opt);
    only(b, DP_FINDING_LOST, 2);
    json_t *j = dp_checker_json(b->checker);
    assert_int_equal(json_array_size(json_object_get(j, "findings")), 2);
    const json_t *found = json_object_get(j, "found");
    assert_int_equal(json_object_size(found), DP_FINDING_KINDS);
    assert_int_equal(json_integer_value(json_object_get(found, "lost")), 2);
    assert_int_equal(json_integer_value(json_object_get(found, "strange")), 0);
    const json_t *f = json_array_get(json_object_get(j, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(f, "kind")), "lost");
    assert_string_equal(json_string_value(json_object_get(f, "document")), ID);
    assert_string_equal(json_string_value(json_object_get(f, "revision")), "2-" B);
    assert_string_equal(json_string_value(json_object_get(f, "region")), "left");
    json_decref(j);
}

static void test_they_never_hold_the_same(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    b->fakes[1].changes = CHANGES_OLD;
    b->fakes[1].docs = DOCS_OLD;
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    struct dp_checker_options opt = usual(b);
    opt.converge_ms = SHORT;
    run(b, &opt);
    assert_int_equal(found(b, DP_FINDING_DIVERGED), 2);
    assert_int_equal(found(b, DP_FINDING_LOST), 1);
    assert_true(dp_checker_converged_s(b->checker) < 0);
    json_t *j = dp_checker_json(b->checker);
    assert_true(json_is_null(json_object_get(j, "converged_s")));
    json_decref(j);
}

static void on_stalled(void *ctx)
{
    struct bench *b = ctx;
    if (++b->stalls == 2)
        b->fakes[1].changes = CHANGES_NEW;
}

static void test_what_stands_still_is_told(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    b->fakes[1].changes = "{\"results\":[],\"last_seq\":\"0\"}";
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    struct dp_checker_options opt = usual(b);
    b->fakes[0].once = true;
    opt.stalled = on_stalled;
    opt.stall_ms = 20;
    run(b, &opt);
    only(b, DP_FINDING_LOST, 0);
    assert_true(b->stalls >= 2);
    assert_true(dp_checker_converged_s(b->checker) >= 0.04);
}

static void test_a_follower_was_not_told(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    uint32_t later = dp_ledger_feed(b->ledger, "continuous"); /* began behind all writes */
    (void)later;
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("1-" A));
    struct dp_checker_options opt = usual(b);
    opt.follow_ms = SHORT;
    run(b, &opt);
    only(b, DP_FINDING_MISSED, 1);
    json_t *j = dp_checker_json(b->checker);
    const json_t *feeds = json_object_get(j, "feeds");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(feeds, 0), "missed")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(feeds, 1), "missed")), 0);
    json_decref(j);
}

static void on_progress_tell(void *ctx, const char *phase, const char *text)
{
    struct bench *b = ctx;
    (void)text;
    if (strcmp(phase, "following") == 0 && b->shown++ == 0)
        dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
}

static void test_a_follower_is_waited_for(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    const struct dp_checker_options opt = usual(b);
    assert_int_equal(dp_checker_start(&opt, on_progress_tell, on_done, b, &b->checker), DP_OK);
    assert_true(script_run_until(&b->loop, is_done, b));
    only(b, DP_FINDING_LOST, 0);
    assert_int_equal(b->shown, 1);
}

static void test_a_region_that_is_away(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    script_server_kill(&b->fakes[0].server);
    b->fakes[0].gone = true;
    struct dp_checker_options opt = usual(b);
    opt.converge_ms = SHORT;
    run(b, &opt);
    only(b, DP_FINDING_UNREAD, 1);
    json_t *j = dp_checker_json(b->checker);
    const json_t *left = json_array_get(json_object_get(j, "regions"), 0);
    assert_true(json_is_false(json_object_get(left, "read")));
    const json_t *right = json_array_get(json_object_get(j, "regions"), 1);
    assert_int_equal(json_integer_value(json_object_get(right, "present")), 2);
    json_decref(j);
}

static void on_progress_heal(void *ctx, const char *phase, const char *text)
{
    struct bench *b = ctx;
    (void)phase;
    if (b->fakes[1].status != 200 && strstr(text, "503 odd: It is."))
        b->fakes[1].status = 200;
}

static void test_a_region_that_comes_back_is_read(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    b->fakes[1].status = 503;
    const struct dp_checker_options opt = usual(b);
    assert_int_equal(dp_checker_start(&opt, on_progress_heal, on_done, b, &b->checker), DP_OK);
    assert_true(script_run_until(&b->loop, is_done, b));
    only(b, DP_FINDING_LOST, 0);
    assert_true(dp_checker_converged_s(b->checker) >= 0);
}

static void test_nonsense_is_not_read(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    b->fakes[0].changes = "{\"results\":[{\"id\":7}],\"last_seq\":1}";
    b->fakes[1].docs = "{\"results\":7}";
    struct dp_checker_options opt = usual(b);
    opt.converge_ms = SHORT;
    run(b, &opt);
    only(b, DP_FINDING_UNREAD, 2);
}

static void test_more_than_may_be_kept_is_not_read(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    dp_ledger_row(b->ledger, b->feed, DP_SPAN(ID), DP_SPAN("2-" B));
    b->fakes[1].changes =
        "{\"results\":[{\"id\":\"" ID "\",\"changes\":[{\"rev\":\"2-" B "\"}]},{\"id\":\"x\","
        "\"changes\":[{\"rev\":\"1-" A "\"}]}],\"last_seq\":1}";
    struct dp_checker_options opt = usual(b);
    opt.converge_ms = SHORT;
    opt.max_documents = 1;
    run(b, &opt);
    only(b, DP_FINDING_UNREAD, 1);
}

static void on_progress_hurry(void *ctx, const char *phase, const char *text)
{
    struct bench *b = ctx;
    (void)phase;
    (void)text;
    b->shown++;
    dp_checker_hurry(b->checker);
}

static void test_it_can_be_hurried(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    script_server_says(&b->fakes[0].server, SCRIPT_SILENT, 200, "");
    b->fakes[0].server.choose = NULL;
    const struct dp_checker_options opt = usual(b);
    assert_int_equal(dp_checker_start(&opt, on_progress_hurry, on_done, b, &b->checker), DP_OK);
    assert_true(script_run_until(&b->loop, is_done, b));
    assert_true(found(b, DP_FINDING_UNREAD) > 0);
}

static bool has_page(void *ctx)
{
    return ((struct bench *)ctx)->fakes[0].pages > 0;
}

static void test_it_can_be_given_up(void **state)
{
    struct bench *b = *state;
    both_say(b, CHANGES_NEW, DOCS_NEW);
    b->fakes[1].late = UINT32_MAX;
    const struct dp_checker_options opt = usual(b);
    assert_int_equal(dp_checker_start(&opt, NULL, on_done, b, &b->checker), DP_OK);
    assert_true(script_run_until(&b->loop, has_page, b));
    dp_checker_destroy(b->checker, on_closed, &b->closed);
    assert_true(script_run_until(&b->loop, is_true, &b->closed));
    b->checker = NULL;
    assert_int_equal(b->done, 0);
    dp_checker_destroy(NULL, NULL, NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_honest_regions_are_clean), T(test_both_lost_it),
        T(test_they_never_hold_the_same), T(test_what_stands_still_is_told),
        T(test_a_follower_was_not_told),  T(test_a_follower_is_waited_for),
        T(test_a_region_that_is_away),    T(test_a_region_that_comes_back_is_read),
        T(test_nonsense_is_not_read),     T(test_more_than_may_be_kept_is_not_read),
        T(test_it_can_be_hurried),        T(test_it_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
