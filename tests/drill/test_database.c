/* The drill's database: what is asked of which region, in which order, and what is made of their answers. */
#include "davenport/drill/database.h"

#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An answer to requests that begin so, `times` times; then the usual one. */
struct rule {
    const char *begins;
    uint16_t status;
    unsigned times;
    const char *body;
};

struct bench {
    uv_loop_t loop;
    struct script_server servers[2];
    char urls[2][64];
    struct dp_drill_region regions[2];
    struct rule rules[4];
    char log[4096]; /* "left PUT /drill\n" each */
    char bodies[4096];
    struct dp_database *database;
    unsigned done;
    enum dp_err err;
    char why[512];
    bool closed;
};

static void choose(void *ctx, struct script_server *s)
{
    struct bench *b = ctx;
    size_t n = strlen(b->log), k = strlen(b->bodies);
    int line = (int)strcspn(s->head, "\r");
    const char *name = s == &b->servers[0] ? "left" : "right";
    const char *body = strstr(s->head, "\r\n\r\n");
    (void)snprintf(b->log + n, sizeof(b->log) - n, "%s %.*s\n", name, line - 9, s->head);
    (void)snprintf(b->bodies + k, sizeof(b->bodies) - k, "%s\n", body ? body + 4 : "");
    script_server_says(s, SCRIPT_ANSWER, strncmp(s->head, "PUT", 3) == 0 ? 201 : 200,
                       "{\"ok\":true,\"_rev\":\"3-abc\"}");
    for (size_t i = 0; i < 4; i++) {
        struct rule *r = &b->rules[i];
        if (r->begins && r->times > 0 && strncmp(b->log + n, r->begins, strlen(r->begins)) == 0) {
            r->times--;
            script_server_says(s, SCRIPT_ANSWER, r->status,
                               r->body ? r->body : "{\"error\":\"odd\",\"reason\":\"It is.\"}");
            return;
        }
    }
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    for (size_t i = 0; i < 2; i++) {
        script_server_start(&b->servers[i], &b->loop);
        (void)script_server_url(&b->servers[i], b->urls[i], sizeof(b->urls[i]));
        b->servers[i].choose = choose;
        b->servers[i].ctx = b;
        b->regions[i] = (struct dp_drill_region){.name = i ? "right" : "left", .url = b->urls[i]};
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
    if (b->database) {
        dp_database_destroy(b->database, on_closed, &b->closed);
        assert_true(script_run_until(&b->loop, is_true, &b->closed));
    }
    script_server_kill(&b->servers[0]);
    script_server_kill(&b->servers[1]);
    script_loop_finish(&b->loop);
    free(b);
    return 0;
}

static void on_done(void *ctx, enum dp_err err, const char *why)
{
    struct bench *b = ctx;
    b->done++;
    b->err = err;
    (void)snprintf(b->why, sizeof(b->why), "%s", why);
}

static bool is_done(void *ctx)
{
    return ((struct bench *)ctx)->done > 0;
}

static void make(struct bench *b, bool replicate, bool designs, uint32_t deadline_ms)
{
    const struct dp_database_options opt = {.loop = &b->loop,
                                            .regions = b->regions,
                                            .n_regions = 2,
                                            .name = "drill",
                                            .run = "r1",
                                            .replicate = replicate,
                                            .view = designs,
                                            .index = designs,
                                            .deadline_ms = deadline_ms};
    assert_int_equal(dp_database_new(&opt, &b->database), DP_OK);
}

static void run(struct bench *b,
                void (*act)(struct dp_database *d, dp_database_done done, void *ctx))
{
    b->done = 0;
    b->log[0] = b->bodies[0] = '\0';
    act(b->database, on_done, b);
    assert_int_equal(b->done, 0);
    assert_true(script_run_until(&b->loop, is_done, b));
    assert_int_equal(b->done, 1);
}

#define JOBS                                                                                       \
    "left PUT /_replicator/drill-r1-left-right\n"                                                  \
    "right PUT /_replicator/drill-r1-right-left\n"

static void test_a_life(void **state)
{
    struct bench *b = *state;
    b->regions[1].username = "admin";
    b->regions[1].password = "s\"ecret";
    b->regions[1].peer_url = "http://inside:5984";
    make(b, true, true, 0);
    assert_false(dp_database_alone(b->database));
    run(b, dp_database_prepare);
    assert_string_equal(b->why, "");
    assert_int_equal(b->err, DP_OK);
    assert_string_equal(b->log,
                        "left PUT /drill\nright PUT /drill\n" JOBS "left PUT /drill/_design/drill\n"
                        "left GET /drill/_design/drill\n"
                        "left GET /drill/_design/drill/_view/by_bucket?limit=1\n"
                        "right GET /drill/_design/drill\n"
                        "right GET /drill/_design/drill/_view/by_bucket?limit=1\n"
                        "right POST /drill/_index\n"
                        "left GET /drill/_design/drill-find\n"
                        "left POST /drill/_find\n"
                        "right GET /drill/_design/drill-find\n"
                        "right POST /drill/_find\n");
    assert_non_null(strstr(b->bodies,
                           "/drill\",\"target\":{\"url\":\"http://inside:5984/drill\",\"auth\":{"
                           "\"basic\":{\"username\":\"admin\",\"password\":\"s\\\"ecret\"}}},"
                           "\"continuous\":true,\"drill\":\"r1\",\"round\":1}"));
    assert_true(dp_database_alone(b->database));
    run(b, dp_database_rejoin);
    assert_int_equal(b->err, DP_OK);
    assert_string_equal(b->log, "left GET /_replicator/drill-r1-left-right\n"
                                "left DELETE /_replicator/drill-r1-left-right?rev=3-abc\n"
                                "left PUT /_replicator/drill-r1-left-right\n"
                                "right GET /_replicator/drill-r1-right-left\n"
                                "right DELETE /_replicator/drill-r1-right-left?rev=3-abc\n"
                                "right PUT /_replicator/drill-r1-right-left\n");
    assert_non_null(strstr(b->bodies, "\"round\":2}"));
    run(b, dp_database_drop);
    assert_int_equal(b->err, DP_OK);
    assert_string_equal(b->log, "left GET /_replicator/drill-r1-left-right\n"
                                "left DELETE /_replicator/drill-r1-left-right?rev=3-abc\n"
                                "right GET /_replicator/drill-r1-right-left\n"
                                "right DELETE /_replicator/drill-r1-right-left?rev=3-abc\n"
                                "left DELETE /drill\nright DELETE /drill\n");
}

/* Of a drill that died: what it made goes, and a region that comes back late is waited for. */
static void test_another_process_tidies_up(void **state)
{
    struct bench *b = *state;
    const struct dp_database_options opt = {.loop = &b->loop,
                                            .regions = b->regions,
                                            .n_regions = 2,
                                            .name = "drill",
                                            .run = "r1",
                                            .replicate = true,
                                            .drop_tries = 8};
    b->rules[0] = (struct rule){"right DELETE /drill", 503, 7, NULL};
    assert_int_equal(dp_database_new(&opt, &b->database), DP_OK);
    dp_database_own(b->database, 1);
    run(b, dp_database_drop);
    assert_string_equal(b->why, "");
    assert_non_null(strstr(b->log, "left DELETE /_replicator/drill-r1-left-right?rev=3-abc\n"
                                   "right GET /_replicator/drill-r1-right-left\n"
                                   "right DELETE /_replicator/drill-r1-right-left?rev=3-abc\n"
                                   "right DELETE /drill\n"));
    assert_null(strstr(b->log, "left DELETE /drill\n"));
}

static void on_found(void *ctx, size_t region, bool own)
{
    struct bench *b = ctx;
    size_t n = strlen(b->bodies);
    (void)snprintf(b->bodies + n, sizeof(b->bodies) - n, "found %zu %s\n", region,
                   own ? "own" : "another's");
}

/* A second try can't tell whose it is. */
static void test_whose_it_is_is_told(void **state)
{
    static const struct {
        struct rule rules[2];
        const char *says, *says_not;
    } rows[] = {
        {{{0}}, "found 0 own\n", "another's"},
        {{{"left PUT /drill\n", 412, 1, NULL}}, "found 0 another's\n", "found 0 own"},
        {{{"left PUT /drill\n", 500, 1, NULL}, {"left PUT /drill\n", 412, 1, NULL}},
         "found 1 own\n",
         "found 0"},
    };
    struct bench *b = *state;
    const struct dp_database_options opt = {.loop = &b->loop,
                                            .regions = b->regions,
                                            .n_regions = 2,
                                            .name = "drill",
                                            .run = "r1",
                                            .found = on_found,
                                            .found_ctx = b};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        b->rules[0] = rows[i].rules[0];
        b->rules[1] = rows[i].rules[1];
        b->closed = false;
        assert_int_equal(dp_database_new(&opt, &b->database), DP_OK);
        run(b, dp_database_prepare);
        assert_string_equal(b->why, "");
        assert_non_null(strstr(b->bodies, rows[i].says));
        assert_null(strstr(b->bodies, rows[i].says_not));
        dp_database_destroy(b->database, on_closed, &b->closed);
        assert_true(script_run_until(&b->loop, is_true, &b->closed));
        b->database = NULL;
    }
}

static void test_what_was_there_is_not_dropped(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"right PUT /drill\n", 412, 1, NULL};
    make(b, false, true, 0);
    run(b, dp_database_prepare);
    assert_int_equal(b->err, DP_OK);
    assert_false(dp_database_alone(b->database));
    assert_null(strstr(b->log, "_replicator"));
    /* nothing is replicated: each region gets its own */
    assert_non_null(
        strstr(b->log, "left PUT /drill/_design/drill\nright PUT /drill/_design/drill"));
    assert_non_null(strstr(b->log, "left POST /drill/_index\nright POST /drill/_index"));
    run(b, dp_database_drop);
    assert_string_equal(b->log, "left DELETE /drill\n");
}

static void test_it_waits_for_replication(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"right GET /drill/_design/drill\n", 404, 2, NULL};
    b->rules[1] = (struct rule){"left PUT /drill\n", 503, 1, NULL};
    b->rules[2] = (struct rule){"left PUT /drill/_design/drill\n", 409, 1, NULL};
    make(b, true, true, 0);
    run(b, dp_database_prepare);
    assert_int_equal(b->err, DP_OK);
    assert_non_null(strstr(b->log, "left PUT /drill\nleft PUT /drill\nright PUT"));
    assert_non_null(strstr(b->log,
                           "right GET /drill/_design/drill\nright GET /drill/_design/drill\n"
                           "right GET /drill/_design/drill\nright GET /drill/_design/drill/"
                           "_view"));
}

static void test_a_region_without_replicator(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"left PUT /_replicator/", 404, 3, NULL}; /* it takes a moment */
    make(b, true, false, 0);
    run(b, dp_database_prepare);
    assert_int_equal(b->err, DP_OK);
    assert_string_equal(b->log, "left PUT /drill\nright PUT /drill\n"
                                "left PUT /_replicator/drill-r1-left-right\n"
                                "left PUT /_replicator\n"
                                "left PUT /_replicator/drill-r1-left-right\n"
                                "left PUT /_replicator/drill-r1-left-right\n" JOBS);
}

static void test_jobs_that_are_gone_and_that_changed(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"left GET /_replicator/", 404, 1, NULL};
    b->rules[1] = (struct rule){"right DELETE /_replicator/", 409, 1, NULL};
    make(b, true, false, 0);
    run(b, dp_database_rejoin);
    assert_int_equal(b->err, DP_OK);
    assert_string_equal(b->log, "left GET /_replicator/drill-r1-left-right\n"
                                "left PUT /_replicator/drill-r1-left-right\n"
                                "right GET /_replicator/drill-r1-right-left\n"
                                "right DELETE /_replicator/drill-r1-right-left?rev=3-abc\n"
                                "right GET /_replicator/drill-r1-right-left\n"
                                "right DELETE /_replicator/drill-r1-right-left?rev=3-abc\n"
                                "right PUT /_replicator/drill-r1-right-left\n");
}

static void test_a_refusal_is_told_at_once(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"right PUT /drill\n", 401, 1, NULL};
    make(b, true, true, 0);
    run(b, dp_database_prepare);
    assert_int_equal(b->err, DP_EINVAL);
    assert_string_equal(b->why, "region right: PUT /drill: 401 odd: It is.");
    assert_string_equal(b->log, "left PUT /drill\nright PUT /drill\n");
    /* what was made goes, whatever else fails */
    b->rules[0] = (struct rule){"left GET /_replicator/", 403, 1, NULL};
    b->rules[1] = (struct rule){"left DELETE /_replicator/", 404, 1, NULL};
    run(b, dp_database_drop);
    assert_int_equal(b->err, DP_EINVAL);
    assert_string_equal(b->why,
                        "region left: GET /_replicator/drill-r1-left-right: 403 odd: It is.");
    assert_non_null(strstr(b->log, "left DELETE /drill\n"));
    assert_null(strstr(b->log, "right DELETE /drill\n"));
}

static void test_the_end_of_its_time(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"right PUT /drill\n", 503, UINT32_MAX, NULL};
    make(b, true, true, 50);
    run(b, dp_database_prepare);
    assert_int_equal(b->err, DP_EINVAL);
    assert_string_equal(b->why, "region right: PUT /drill: 503 odd: It is.");
}

static void test_names(void **state)
{
    struct bench *b = *state;
    static const char *const bad[] = {"", "Drill", "_users", "1", "a b", "a?", "a%"};
    struct dp_database_options opt = {
        .loop = &b->loop, .regions = b->regions, .n_regions = 2, .run = "r1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        opt.name = bad[i];
        assert_int_equal(dp_database_new(&opt, &b->database), DP_EINVAL);
    }
    opt.name = "a/b+c";
    assert_int_equal(dp_database_new(&opt, &b->database), DP_OK);
    run(b, dp_database_prepare);
    assert_string_equal(b->log, "left PUT /a%2Fb%2Bc\nright PUT /a%2Fb%2Bc\n");
}

static bool was_asked(void *ctx)
{
    return ((struct bench *)ctx)->log[0] != '\0';
}

static void on_nothing(void *ctx, enum dp_err err, const char *why)
{
    (void)ctx, (void)err, (void)why;
    fail_msg("%s", "this one was ended by the next");
}

static void test_the_next_ends_the_one_before(void **state)
{
    struct bench *b = *state;
    make(b, true, false, 0);
    run(b, dp_database_prepare);
    dp_database_rejoin(b->database, on_nothing, b);
    run(b, dp_database_drop);
    assert_int_equal(b->err, DP_OK);
    assert_non_null(strstr(b->log, "left DELETE /drill\nright DELETE /drill\n"));
    b->rules[0] = (struct rule){"left GET", 503, UINT32_MAX, NULL};
    b->log[0] = '\0';
    dp_database_rejoin(b->database, on_nothing, b);
    assert_true(script_run_until(&b->loop, was_asked, b));
    b->rules[0].times = 0;
    run(b, dp_database_drop);
    assert_int_equal(b->err, DP_OK);
}

static void test_it_can_be_given_up(void **state)
{
    struct bench *b = *state;
    b->rules[0] = (struct rule){"left", 503, UINT32_MAX, NULL};
    make(b, true, true, 0);
    dp_database_prepare(b->database, on_done, b);
    assert_true(script_run_until(&b->loop, was_asked, b));
    dp_database_destroy(b->database, on_closed, &b->closed);
    assert_false(b->closed);
    assert_true(script_run_until(&b->loop, is_true, &b->closed));
    b->database = NULL;
    assert_int_equal(b->done, 0);
    dp_database_destroy(NULL, NULL, NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_life),
        T(test_what_was_there_is_not_dropped),
        T(test_another_process_tidies_up),
        T(test_whose_it_is_is_told),
        T(test_it_waits_for_replication),
        T(test_a_region_without_replicator),
        T(test_jobs_that_are_gone_and_that_changed),
        T(test_a_refusal_is_told_at_once),
        T(test_the_end_of_its_time),
        T(test_names),
        T(test_the_next_ends_the_one_before),
        T(test_it_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
