/* Plans, acts and results when memory runs out at any allocation: what is made is whole, or it is said that it is not. */
#include "app/drill_act.h"
#include "app/drill_plan.h"
#include "app/drill_result.h"
#include "app/json_memory.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALLOCATIONS_MAX 20000
#define FOLDER          "/nonexistent"

static const char plan_text[] =
    "{\"name\":\"n\",\"description\":\"d\",\"proxy\":{\"url\":\"http://127.0.0.1:1\",\"admin\":"
    "\"127.0.0.1:2\",\"username\":\"u\",\"password\":\"p\"},\"regions\":[{\"name\":\"a\",\"url\":"
    "\"http://127.0.0.1:3\",\"stop\":\"x\",\"start\":\"y\",\"relay\":\"unix:/r\"},{\"name\":\"b\","
    "\"url\":\"http://127.0.0.1:4\"}],\"load\":{\"mix\":{\"get\":1}},\"steps\":[{\"at_s\":1,\"do\":"
    "\"stop\",\"region\":\"a\",\"for_s\":1,\"times\":2,\"every_s\":2},{\"at_s\":2,\"do\":\"relay\","
    "\"region\":\"a\",\"fault\":{\"kind\":\"latency\",\"ms\":1}},{\"at_s\":3,\"do\":\"dark\","
    "\"region\":\"b\",\"databases\":[\"x*\"],\"share\":0.5},{\"at_s\":5,\"do\":\"switch\","
    "\"region\":"
    "\"b\",\"for_s\":1}],\"objectives\":{\"failed\":0,\"lost\":0},\"abort\":{\"failed_percent\":5}"
    "}";

static struct dp_plan_file *parse(void)
{
    struct dp_problems problems;
    struct dp_plan_file *file = NULL;
    const struct dp_config_source source = {.text = dp_span_str(plan_text), .folder = FOLDER};
    dp_problems_init(&problems, "f");
    enum dp_err err = dp_plan_parse(&source, &problems, &file);
    assert_true((err == DP_OK) == (problems.errors == 0) && (file != NULL) == (err == DP_OK));
    dp_problems_fini(&problems);
    return file;
}

static void plans(void **state)
{
    (void)state;
    unsigned n = 1;
    for (;; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        nomem_at(n);
        struct dp_plan_file *file = parse();
        bool happened = nomem_happened();
        nomem_at(0);
        assert_true(file || happened);
        if (file) {
            assert_int_equal(file->plan.n_steps, 5);
            assert_string_equal(file->plan.steps[1].name, "latency a");
            assert_string_equal(file->plan.steps[1].fault, "{\"kind\":\"latency\",\"ms\":1}");
            assert_string_equal(file->plan.steps[3].databases[0], "x*");
            char *shown = json_dumps(file->shown, 0);
            assert_true(happened || shown);
            assert_true(!shown || !strstr(shown, "\"p\""));
            free(shown);
        }
        dp_plan_destroy(file);
        if (!happened) {
            break;
        }
    }
    assert_true(n > 50);
}

/* An act that lacks anything is neither carried out nor given to the guard. */
static void acts(void **state)
{
    (void)state;
    struct dp_plan_file *file = parse();
    assert_non_null(file);
    const struct dp_act_context context = {.active = "a", .reason = "drill n", .for_ms = 5};
    for (uint16_t step = 0; step < file->plan.n_steps; step++) {
        struct dp_text whole = {0};
        for (unsigned n = 0;; n++) {
            struct dp_act act;
            struct dp_text message = {0};
            assert_true(n < ALLOCATIONS_MAX);
            nomem_at(n); /* the first time none fails */
            (void)dp_act_of(&file->plan, &file->plan.steps[step], false, &context, &act);
            dp_act_write(&act, &message);
            bool happened = nomem_happened();
            nomem_at(0);
            assert_true(message.failed ? happened : true);
            if (n == 0) {
                dp_text_add(&whole, dp_text_span(&message));
            } else if (!message.failed) {
                assert_true(dp_span_eq(dp_text_span(&whole), dp_text_span(&message)));
            }
            dp_act_fini(&act);
            dp_text_fini(&message);
            if (n > 0 && !happened) {
                break;
            }
        }
        dp_text_fini(&whole);
    }
    dp_plan_destroy(file);
}

static struct dp_judge judge;

static void results(void **state)
{
    static const struct dp_drill_entry entries[] = {{1, 2, "fault", "stop a", "a", "x"},
                                                    {1, -1, "fault", "stop b", "b", ""}};
    (void)state;
    struct dp_plan_file *file = parse();
    assert_non_null(file);
    json_t *load =
        json_pack("{s:i,s:i,s:i,s:[{s:s,s:i,s:i}],s:[]}", "requests", 3, "ok", 3, "failed", 0,
                  "kinds", "kind", "get", "failed", 0, "conflicts", 0, "outages");
    json_t *events = json_pack("[{s:s,s:i,s:s,s:s,s:s}]", "ts", "2026-11-26T18:59:59.900Z", "epoch",
                               1, "event", "failover", "before", "a", "after", "b");
    assert_true(load && events);
    dp_judge_init(&judge, &file->plan);
    const struct dp_drill_facts facts = {.file = file,
                                         .judge = &judge,
                                         .n_entries = DP_ARRAY_LEN(entries),
                                         .entries = entries,
                                         .why = "w",
                                         .load = load,
                                         .events = events};
    char *whole = NULL;
    struct dp_text words = {0};
    for (unsigned n = 0;; n++) {
        enum dp_drill_verdict verdict;
        struct dp_text again = {0};
        assert_true(n < ALLOCATIONS_MAX);
        nomem_at(n); /* the first time none fails */
        json_t *result = dp_drill_result(&facts, &verdict);
        if (result) {
            dp_drill_summary(result, true, &again);
        }
        bool happened = nomem_happened();
        nomem_at(0);
        assert_true(result || happened);
        char *text = result ? json_dumps(result, 0) : NULL;
        if (n == 0) {
            whole = text;
            dp_text_add(&words, dp_text_span(&again));
        } else {
            assert_true(!text || strcmp(text, whole) == 0);
            assert_true(!text || again.failed ||
                        dp_span_eq(dp_text_span(&again), dp_text_span(&words)));
            free(text);
        }
        json_decref(result);
        dp_text_fini(&again);
        if (n > 0 && !happened) {
            break;
        }
    }
    free(whole);
    dp_text_fini(&words);
    json_decref(load);
    json_decref(events);
    dp_plan_destroy(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans), cmocka_unit_test(acts),
                                       cmocka_unit_test(results)};
    nomem_libraries();
    dp_json_memory_init(); /* jansson counts what it was refused */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
