/* Facts of a drill → its result, and the result → words. */
#include "app/drill_result.h"
#include "app/json_memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PLAN                                                                                       \
    "{\"name\":\"Kill\",\"proxy\":{\"url\":\"http://127.0.0.1:1\",\"admin\":\"127.0.0.1:2\","      \
    "\"username\":\"u\",\"password\":\"s3cret\"},"                                                 \
    "\"regions\":[{\"name\":\"left\",\"url\":\"http://127.0.0.1:3\"},{\"name\":\"right\",\"url\":" \
    "\"http://127.0.0.1:4\"}],\"objectives\":"

#define LOAD                                                                                       \
    "{\"requests\":300,\"ok\":297,\"failed\":3,\"p50_ms\":1.5,\"p99_ms\":40.25,\"max_ms\":812,"    \
    "\"series\":{\"second\":[0]},\"outages\":[{\"from_s\":1.0,\"to_s\":1.25,\"failed\":3,"         \
    "\"slow\":"                                                                                    \
    "0},{\"from_s\":3,\"to_s\":3.01,\"failed\":0,\"slow\":1}],\"kinds\":["                         \
    "{\"kind\":\"get\",\"requests\":200,\"failed\":1,\"conflicts\":0,\"p50_ms\":1,\"p99_ms\":2,"   \
    "\"max_ms\":3},{\"kind\":\"put\",\"requests\":80,\"failed\":0,\"conflicts\":4},"               \
    "{\"kind\":\"post\",\"requests\":20,\"failed\":2,\"conflicts\":0}]}"

#define CHECKER                                                                                    \
    "{\"writes\":100,\"acknowledged\":94,\"refused\":4,\"unknown\":{\"present\":1,\"absent\":1},"  \
    "\"converged_s\":1.2,\"reads\":50,\"stale_reads\":7,\"regions\":[{\"name\":\"left\","          \
    "\"present\":94,"                                                                              \
    "\"lost\""                                                                                     \
    ":0,\"duplicated\":0,\"conflicted\":0},{\"name\":\"right\",\"present\":93,\"lost\":1,"         \
    "\"duplicated\":2,\"conflicted\":0}],\"feeds\":[{\"kind\":\"longpoll\",\"rows\":10,"           \
    "\"redelivered\":3,\"missed\":0},{\"kind\":\"continuous\",\"rows\":10,\"redelivered\":4,"      \
    "\"missed\":0}],\"found\":{\"lost\":1,\"denied\":0,\"strange\":0,\"diverged\":0,"              \
    "\"unread\":1},\"findings\":[{\"kind\":\"lost\",\"document\":\"d\",\"revision\":\"1-a\","      \
    "\"region\":\"right\",\"detail\":\"gone\"},{\"kind\":\"unread\",\"document\":\"\","            \
    "\"revision\":\"\",\"region\":\"left\",\"detail\":\"no answer\"}]}"

#define EVENTS                                                                                     \
    "[{\"ts\":\"2026-11-26T18:59:59.900Z\",\"epoch\":1,\"event\":\"started\"},"                    \
    "{\"ts\":\"2026-11-26T19:00:01.250Z\",\"epoch\":2,\"event\":\"failover\",\"region\":"          \
    "\"right\","                                                                                   \
    "\"before\":\"left\",\"after\":\"right\",\"reason\":\"left is down\"},"                        \
    "{\"ts\":\"2026-11-26T19:00:02.000Z\",\"epoch\":3,\"event\":\"settled\",\"region\":\"left\","  \
    "\"before\":\"right\",\"after\":\"right\"},{\"ts\":\"nonsense\",\"epoch\":4,\"event\":\"x\"}]"

#define STARTED_MS INT64_C(1795719600000) /* 2026-11-26T19:00:00Z */

static struct dp_judge judge; /* large */
static struct dp_plan_file *file;
static struct dp_drill_facts facts;
static json_t *parts[3];

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static void set_up(const char *objectives)
{
    static const struct dp_drill_entry entries[] = {
        {0, 60000, "phase", "load", NULL, ""},
        {10000.4, 30100, "fault", "stop left", "left", ""},
        {31000, -1, "fault", "freeze left", "left", "failed: why"},
    };
    char text[1024];
    struct dp_problems problems;
    (void)snprintf(text, sizeof text, "%s%s}", PLAN, objectives);
    struct dp_config_source source = {.text = dp_span_str(text)};
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_plan_parse(&source, &problems, &file), DP_OK);
    dp_problems_fini(&problems);
    dp_judge_init(&judge, &file->plan);
    parts[0] = parse(LOAD);
    parts[1] = parse(CHECKER);
    parts[2] = parse(EVENTS);
    facts = (struct dp_drill_facts){.file = file,
                                    .judge = &judge,
                                    .started_wall_ms = STARTED_MS,
                                    .seconds = 62.0571,
                                    .proxy_version = "0.1.0",
                                    .n_entries = DP_ARRAY_LEN(entries),
                                    .entries = entries,
                                    .stale_after_return = 0,
                                    .load = parts[0],
                                    .checker = parts[1],
                                    .events = parts[2]};
}

static void tear_down(void)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(parts); i++) {
        json_decref(parts[i]);
    }
    dp_plan_destroy(file);
}

/* "failed at most 0, measured 3: false" of an objective. */
static const char *told(const json_t *result, const char *name)
{
    static char text[160];
    size_t i;
    json_t *o;
    json_array_foreach (json_object_get(result, "objectives"), i, o) {
        if (strcmp(json_string_value(json_object_get(o, "name")), name) == 0) {
            (void)snprintf(text, sizeof text, "%s, measured %s: %s",
                           json_string_value(json_object_get(o, "wanted")),
                           json_string_value(json_object_get(o, "measured")),
                           json_is_true(json_object_get(o, "ok")) ? "ok" : "missed");
            return text;
        }
    }
    return "no such objective";
}

static void what_is_measured(void **state)
{
    enum dp_drill_verdict verdict;
    (void)state;
    set_up("{\"failed\":3,\"failed_safe\":0,\"outage_ms\":260,\"p99_ms\":40.5,\"max_ms\":500,"
           "\"reroute_ms\":1,\"lost\":0,\"duplicated\":2,\"unknown\":1,\"stale_reads\":7,"
           "\"stale_after_return\":0,\"conflicts_told\":4,\"redelivered\":6,\"missed\":0,"
           "\"converge_s\":2}");
    json_t *r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    assert_int_equal(verdict, DP_DRILL_MISSED);
    assert_string_equal(told(r, "failed"), "at most 3, measured 3: ok");
    assert_string_equal(told(r, "failed_safe"), "at most 0, measured 1: missed");
    assert_string_equal(told(r, "outage_ms"), "at most 260 ms, measured 260 ms: ok");
    assert_string_equal(told(r, "p99_ms"), "at most 40.5 ms, measured 40.2 ms: ok");
    assert_string_equal(told(r, "max_ms"), "at most 500 ms, measured 812 ms: missed");
    assert_string_equal(told(r, "reroute_ms"), "at most 1 ms, measured not measured: missed");
    assert_string_equal(told(r, "lost"), "at most 0, measured 1: missed");
    assert_string_equal(told(r, "duplicated"), "at most 2, measured 2: ok");
    assert_string_equal(told(r, "unknown"), "at most 1, measured 2: missed");
    assert_string_equal(told(r, "stale_reads"), "at most 7, measured 7: ok");
    assert_string_equal(told(r, "stale_after_return"), "at most 0, measured 0: ok");
    assert_string_equal(told(r, "conflicts_told"), "at most 4, measured 4: ok");
    assert_string_equal(told(r, "redelivered"), "at most 6, measured 7: missed");
    assert_string_equal(told(r, "missed"), "at most 0, measured 0: ok");
    assert_string_equal(told(r, "converge_s"), "at most 2 s, measured 1.20 s: ok");
    assert_string_equal(told(r, "other_findings"), "at most 0, measured 1: missed");
    json_decref(r);
    tear_down();
}

static void set_member(json_t *object, const char *key, int value)
{
    assert_int_equal(json_object_set_new(object, key, json_integer(value)), 0);
}

/* Of nothing that was written none can be lost. */
static void what_nobody_asked_for_proves_nothing(void **state)
{
    static const char *const wanted[] = {
        "failed_safe", "lost",   "duplicated",  "conflicted",
        "stale_reads", "missed", "redelivered", "stale_after_return"};
    enum dp_drill_verdict verdict;
    size_t i;
    json_t *kind;
    (void)state;
    set_up("{\"failed_safe\":9,\"lost\":9,\"duplicated\":9,\"conflicted\":9,\"stale_reads\":9,"
           "\"missed\":9,\"redelivered\":9,\"stale_after_return\":9,\"other_findings\":9}");
    json_t *r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    assert_int_equal(verdict, DP_DRILL_PASSED);
    json_decref(r);
    set_member(parts[1], "reads", 0);
    set_member(json_object_get(parts[1], "found"), "strange", 30);
    r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    assert_int_equal(verdict, DP_DRILL_MISSED);
    assert_string_equal(told(r, "lost"), "at most 9, measured 1: ok");
    assert_string_equal(told(r, "other_findings"), "at most 9, measured 31: missed");
    assert_string_equal(told(r, "stale_reads"), "at most 9, measured not measured: missed");
    json_decref(r);
    json_t *left = json_array_get(json_object_get(parts[1], "regions"), 0);
    assert_int_equal(json_object_set_new(left, "read", json_false()), 0);
    r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    assert_string_equal(told(r, "lost"), "at most 9, measured not measured: missed");
    assert_string_equal(told(r, "redelivered"), "at most 9, measured 7: ok");
    json_decref(r);
    assert_int_equal(json_object_set_new(left, "read", json_true()), 0);
    set_member(parts[1], "acknowledged", 0);
    json_array_foreach (json_object_get(parts[0], "kinds"), i, kind) {
        set_member(kind, "requests", 0);
    }
    r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    for (i = 0; i < DP_ARRAY_LEN(wanted); i++) {
        assert_string_equal(told(r, wanted[i]), "at most 9, measured not measured: missed");
    }
    json_decref(r);
    tear_down();
}

static void the_rest_of_it(void **state)
{
    enum dp_drill_verdict verdict;
    (void)state;
    set_up("{\"failed\":3,\"other_findings\":9}");
    json_t *r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    assert_int_equal(verdict, DP_DRILL_PASSED);
    json_t *want =
        json_pack("[{s:f,s:f,s:s,s:s,s:n,s:s},{s:f,s:f,s:s,s:s,s:s,s:s},{s:f,s:n,s:s,s:"
                  "s,s:s,s:s}]",
                  "at_s", 0.0, "until_s", 60.0, "what", "phase", "name", "load", "region", "detail",
                  "", "at_s", 10.0, "until_s", 30.1, "what", "fault", "name", "stop left", "region",
                  "left", "detail", "", "at_s", 31.0, "until_s", "what", "fault", "name",
                  "freeze left", "region", "left", "detail", "failed: why");
    assert_true(json_equal(json_object_get(r, "timeline"), want));
    json_decref(want);
    /* of the journal: what was before the load is left out, a move has its ends */
    want =
        json_pack("[{s:f,s:i,s:s,s:s,s:s,s:s,s:s},{s:f,s:i,s:s,s:s}]", "at_s", 1.25, "epoch", 2,
                  "event", "failover", "region", "right", "from", "left", "to", "right", "reason",
                  "left is down", "at_s", 2.0, "epoch", 3, "event", "settled", "region", "left");
    assert_true(json_equal(json_object_get(r, "decisions"), want));
    json_decref(want);
    assert_string_equal(json_string_value(json_object_get(r, "started")),
                        "2026-11-26T19:00:00.000Z");
    assert_true(json_real_value(json_object_get(r, "seconds")) == 62.057);
    char *text = json_dumps(r, 0);
    assert_non_null(text);
    assert_null(strstr(text, "s3cret"));
    free(text);
    json_decref(r);
    tear_down();
}

static void an_end_before_its_time(void **state)
{
    enum dp_drill_verdict verdict;
    struct dp_text words = {0};
    (void)state;
    set_up("{\"failed\":0,\"lost\":0}");
    facts.load = NULL;
    facts.checker = NULL;
    facts.events = NULL;
    facts.n_entries = 0;
    facts.verdict = DP_DRILL_FAILED;
    facts.why = "no proxy answers";
    json_t *r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    assert_int_equal(verdict, DP_DRILL_FAILED);
    assert_string_equal(told(r, "failed"), "at most 0, measured not measured: missed");
    assert_string_equal(told(r, "lost"), "at most 0, measured not measured: missed");
    assert_true(json_is_null(json_object_get(r, "checker")));
    assert_true(json_is_null(json_object_get(r, "series")));
    dp_drill_summary(r, false, &words);
    assert_non_null(strstr(dp_text_str(&words), "Kill: FAILED after 0.0 s: no proxy answers\n"));
    assert_non_null(strstr(dp_text_str(&words), "writes were not looked up"));
    dp_text_fini(&words);
    json_decref(r);
    tear_down();
}

static void in_words(void **state)
{
    enum dp_drill_verdict verdict;
    struct dp_text words = {0};
    (void)state;
    set_up("{\"failed\":0}");
    json_t *r = dp_drill_result(&facts, &verdict);
    assert_non_null(r);
    dp_drill_summary(r, false, &words);
    static const char *const lines[] = {
        "\nKill: MISSED\n",
        "  MISS  at most 0          3                  requests that failed\n",
        "  get               200       1    1.0 ms    2.0 ms    3.0 ms\n",
        "  all               300       3    1.5 ms   40.2 ms  812.0 ms\n",
        "  outage from 1.00 to 1.25 s: 3 failed, 0 slow\n",
        "     10.0 s  stop left until 30.1 s\n",
        "      1.2 s    failover right: left is down\n",
        "     31.0 s  freeze left: failed: why\n",
        "  100 writes: 94 acknowledged, 4 refused, 2 of unknown outcome (1 are there, 1 are not)\n",
        "  right       93 present, 1 lost, 2 duplicated, 0 conflicted\n",
        "  longpoll    10 rows, 3 again, 0 missed\n",
        "  lost d 1-a in right: gone\n",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(lines); i++) {
        if (!strstr(dp_text_str(&words), lines[i])) {
            print_error("not there: %s in\n%s", lines[i], dp_text_str(&words));
            fail();
        }
    }
    assert_null(strchr(dp_text_str(&words), '\033'));
    dp_text_clear(&words);
    dp_drill_summary(r, true, &words);
    assert_non_null(strstr(dp_text_str(&words), "\033[31mMISS"));
    dp_text_fini(&words);
    json_decref(r);
    tear_down();
}

/* Whatever a result is, words can be made of it. */
static void strange_results(void **state)
{
    static const char *const texts[] = {
        "{}", "[]",
        ("{\"objectives\":{},\"timeline\":[1,null],\"decisions\":[[]],\"kinds\":[3],"
         "\"requests\":1,\"outages\":7,\"checker\":{\"regions\":[null],\"findings\":[0]}}")};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(texts); i++) {
        struct dp_text words = {0};
        json_t *r = parse(texts[i]);
        dp_drill_summary(r, false, &words);
        assert_false(words.failed);
        dp_text_fini(&words);
        json_decref(r);
    }
}

static void exit_codes_differ(void **state)
{
    (void)state;
    static const int codes[] = {0, 1, 6, 130, 7, 8};
    for (int v = DP_DRILL_PASSED; v <= DP_DRILL_NOT_HEALED; v++) {
        assert_int_equal(dp_drill_exit_code((enum dp_drill_verdict)v), codes[v]);
    }
}

static void looks_at_the_journal_are_put_together(void **state)
{
    (void)state;
    static const struct {
        const char *more, *all;
        bool whole;
    } looks[] = {
        {"[]", "[]", true},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[1,2]", true},
        {"[2,3,4]", "[1,2,3,4]", true},
        {"[5]", "[1,2,3,4,5]", true}, /* a proxy that began anew */
        {"[7,8,9,10]", "[1,2,3,4,5,7,8,9,10]", false},
        {"[8,9,10,11]", "[1,2,3,4,5,7,8,9,10,11]", true},
    };
    json_t *all = NULL;
    for (size_t i = 0; i < DP_ARRAY_LEN(looks); i++) {
        json_t *more = parse(looks[i].more);
        json_t *wanted = parse(looks[i].all);
        assert_int_equal(dp_drill_events_add(&all, more, 4), looks[i].whole);
        assert_true(json_equal(all, wanted));
        json_decref(more);
        json_decref(wanted);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_measured),
        cmocka_unit_test(what_nobody_asked_for_proves_nothing),
        cmocka_unit_test(the_rest_of_it),
        cmocka_unit_test(an_end_before_its_time),
        cmocka_unit_test(in_words),
        cmocka_unit_test(strange_results),
        cmocka_unit_test(exit_codes_differ),
        cmocka_unit_test(looks_at_the_journal_are_put_together),
    };
    dp_json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
