/* Plans: every rule with its message, all problems at once; every sample of conf/drills is one. */
#include "app/drill_plan.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PROXY "\"name\":\"n\",\"proxy\":{\"url\":\"http://127.0.0.1:1\",\"admin\":\"127.0.0.1:2\"}"
#define LEFT                                                                                       \
    "{\"name\":\"left\",\"url\":\"http://127.0.0.1:3\",\"stop\":\"a\",\"start\":\"b\",\"relay\":"  \
    "\"127.0.0.1:4\"}"
#define RIGHT        "{\"name\":\"right\",\"url\":\"http://127.0.0.1:5\"}"
#define REGIONS      "\"regions\":[" LEFT "," RIGHT "]"
#define STEPS(steps) "{" PROXY "," REGIONS ",\"steps\":[" steps "]}"

struct row {
    const char *json;
    const char *says;
};

static struct dp_plan_file *parse(const char *json, struct dp_problems *problems)
{
    struct dp_plan_file *file = NULL;
    struct dp_config_source source = {.text = dp_span_str(json)};
    dp_problems_init(problems, "f");
    enum dp_err err = dp_plan_parse(&source, problems, &file);
    dp_problems_close(problems);
    assert_int_equal(err, problems->errors ? DP_EINVAL : DP_OK);
    assert_true((file != NULL) == (problems->errors == 0));
    return file;
}

static void check_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct dp_problems problems;
        struct dp_plan_file *file = parse(rows[i].json, &problems);
        assert_string_equal(dp_text_str(&problems.text), rows[i].says ? rows[i].says : "");
        dp_plan_destroy(file);
        dp_problems_fini(&problems);
    }
}

static void structure(void **state)
{
    static const struct row rows[] = {
        {"{" PROXY "," REGIONS "}", NULL},
        {"{", "f: line 1, column 1: string or '}' expected near end of file\n"},
        {"{}", "f: name: missing\nf: proxy: missing\nf: regions: missing\n"},
        {"{" PROXY ",\"regions\":[]}", "f: regions: must be an array of 1 to 8 regions\n"},
        {"{" PROXY ",\"regions\":[{}]}",
         "f: regions[0].name: missing\nf: regions[0].url: missing\n"},
        {"{" PROXY "," REGIONS ",\"stepps\":[]}",
         "f: stepps: unknown key; did you mean \"steps\"?\n"},
        {"{" PROXY "," REGIONS ",\"steps\":{}}", "f: steps: must be an array, not an object\n"},
        {"{" PROXY "," REGIONS ",\"converge_s\":0}", "f: converge_s: must be 1 to 3600, not 0\n"},
        {"{" PROXY "," REGIONS ",\"replicate\":1}",
         "f: replicate: must be true or false, not a number\n"},
        {"{" PROXY ",\"regions\":[" RIGHT "," RIGHT "]}",
         "f: regions[1]: has the name of regions[0]\n"},
        {"{\"name\":\"n\",\"proxy\":{\"url\":\"x\",\"username\":\"u\",\"pasword\":\"p\"}," REGIONS
         "}",
         "f: proxy.url: must begin with https:// or http://\n"
         "f: proxy.pasword: unknown key; did you mean \"password\"?\n"
         "f: proxy: username and password need each other\n"},
        {"{\"name\":\"n\",\"proxy\":{\"url\":\"http://"
         "127.0.0.1:1\",\"username\":\"u\",\"password\":"
         "\"${env:DRILL_TEST_UNSET}\"}," REGIONS "}",
         "f: proxy.password: the environment variable DRILL_TEST_UNSET is not set\n"},
        {"{" PROXY
         ",\"regions\":[{\"name\":\"left\",\"url\":\"http://127.0.0.1:3\",\"username\":\"u\"}]}",
         "f: regions[0]: username and password need each other\n"},
        {"{" PROXY "," REGIONS ",\"load\":{\"rate\":0,\"ramp_s\":60,\"mix\":{\"gett\":1}}}",
         "f: load.rate: must be 1 to 50000, not 0\n"
         "f: load.mix.gett: is no kind of request\n"
         "f: load.mix: must give at least one kind a weight\n"
         "f: load.ramp_s: must be less than load.seconds\n"},
        {"{" PROXY "," REGIONS ",\"load\":{\"documents\":20}}",
         "f: load.documents: must be more than load.connections: a document has one writer at a "
         "time\n"},
        {"{" PROXY "," REGIONS ",\"objectives\":{\"lots\":0,\"p99_ms\":-1}}",
         "f: objectives.lots: unknown key; did you mean \"lost\"?\n"
         "f: objectives.p99_ms: must be 0 to 1000000000, not -1\n"},
        {"{" PROXY "," REGIONS
         ",\"load\":{\"longpoll\":0,\"continuous\":0},\"objectives\":{\"missed\":"
         "0}}",
         "f: objectives: missed and redelivered need load.longpoll or load.continuous\n"},
        {"{" PROXY "," REGIONS ",\"abort\":{\"failed_percent\":101,\"window_s\":61}}",
         "f: abort.failed_percent: must be 0 to 100, not 101\n"
         "f: abort.window_s: must be 1 to 60, not 61\n"},
        {"{" PROXY "," REGIONS
         ",\"load\":{\"rate\":4},\"abort\":{\"failed_percent\":5,\"window_s\":4}}",
         "f: abort.window_s: must be longer: at 4 requests/s fewer than 20 end in it, and so few "
         "say "
         "nothing\n"},
        {"{" PROXY "," REGIONS
         ",\"load\":{\"rate\":4},\"abort\":{\"failed_percent\":5,\"window_s\":5}}",
         NULL},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void steps(void **state)
{
    static const struct row rows[] = {
        {STEPS("{\"at_s\":1,\"do\":\"stop\",\"region\":\"left\",\"for_s\":2}"), NULL},
        {STEPS("{}"), "f: steps[0].at_s: missing\nf: steps[0].do: missing\n"},
        {STEPS("{\"at_s\":1,\"do\":\"burn\"}"),
         "f: steps[0].do: is none of what a step can do (davenport help plan)\n"},
        {STEPS("{\"at_s\":1,\"do\":\"stop\"}"), "f: steps[0].region: missing: \"stop\" needs it\n"},
        {STEPS("{\"at_s\":1,\"do\":\"stop\",\"region\":\"middle\"}"),
         "f: steps[0].region: regions has none of that name\n"},
        {STEPS("{\"at_s\":1,\"do\":\"stop\",\"region\":\"right\"}"),
         "f: regions[1].stop: missing: steps[0] (\"stop\") needs it\n"},
        {STEPS("{\"at_s\":1,\"do\":\"freeze\",\"region\":\"left\"}"),
         "f: regions[0].freeze: missing: steps[0] (\"freeze\") needs it\n"},
        {STEPS("{\"at_s\":1,\"do\":\"relay\",\"region\":\"right\",\"fault\":{\"kind\":\"reset\"}}"),
         "f: regions[1].relay: missing: steps[0] (\"relay\") needs it\n"},
        {STEPS("{\"at_s\":1,\"do\":\"relay\",\"region\":\"left\"}"),
         "f: steps[0].fault: missing: \"relay\" needs it\n"},
        {STEPS("{\"at_s\":1,\"do\":\"relay\",\"region\":\"left\",\"fault\":{\"ms\":1}}"),
         "f: steps[0].fault: kind must be one of latency, bandwidth, slice, blackhole, cut, "
         "half_open, reset, refuse\n"},
        {STEPS("{\"at_s\":1,\"do\":\"relay\",\"region\":\"left\",\"fault\":{\"kind\":\"reset\","
               "\"for_ms\":9}}"),
         "f: steps[0].fault: for_ms is not for a plan: the step has for_s\n"},
        {STEPS("{\"at_s\":1,\"do\":\"run\",\"delay_ms\":5}"),
         "f: steps[0].run: missing: \"run\" needs it\n"
         "f: steps[0].delay_ms: is not for \"run\"\n"},
        {STEPS("{\"at_s\":1,\"do\":\"flaky\",\"region\":\"left\",\"share\":0}"),
         "f: steps[0].share: must be 0.001 to 1, not 0\n"},
        {STEPS("{\"at_s\":1,\"do\":\"dark\",\"region\":\"left\",\"databases\":[]}"),
         "f: steps[0].databases: must be an array of 1 to 8 patterns\n"},
        {STEPS("{\"at_s\":60,\"do\":\"dark\",\"region\":\"left\"}"),
         "f: steps[0]: lasts longer than the load (load.seconds: 60)\n"},
        {STEPS("{\"at_s\":59,\"do\":\"dark\",\"region\":\"left\",\"for_s\":2}"),
         "f: steps[0]: lasts longer than the load (load.seconds: 60)\n"},
        {STEPS("{\"at_s\":1,\"do\":\"dark\",\"region\":\"left\",\"for_s\":2,\"times\":3}"),
         "f: steps[0].every_s: missing: times needs it\n"},
        {STEPS("{\"at_s\":1,\"do\":\"dark\",\"region\":\"left\"},"
               "{\"at_s\":5,\"do\":\"slow\",\"delay_ms\":800,\"region\":\"left\"}"),
         "f: steps[1]: begins before steps[0] has been undone in that region\n"},
        {STEPS("{\"at_s\":5,\"do\":\"stop\",\"region\":\"left\",\"for_s\":3},"
               "{\"at_s\":1,\"do\":\"stop\",\"region\":\"left\",\"for_s\":5}"),
         "f: steps[0]: begins before steps[1] has been undone in that region\n"},
        {"{\"name\":\"n\",\"proxy\":{\"url\":\"http://127.0.0.1:1\"}," REGIONS
         ",\"steps\":[{\"at_s\":1,\"do\":\"drain\",\"region\":\"left\"}]}",
         "f: proxy.admin: missing: steps[0] (\"drain\") needs it\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void a_command_has_a_length(void **state)
{
    static char json[DP_DRILL_TEXT + 1024];
    static char text[DP_DRILL_TEXT + 2];
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct dp_problems problems;
        memset(text, 'a', DP_DRILL_TEXT + over);
        text[DP_DRILL_TEXT + over] = '\0';
        int n =
            snprintf(json, sizeof json,
                     STEPS("{\"at_s\":1,\"do\":\"run\",\"run\":\"true\",\"undo\":\"%s\"}"), text);
        assert_true(n > 0 && (size_t)n < sizeof json);
        dp_plan_destroy(parse(json, &problems));
        assert_string_equal(dp_text_str(&problems.text),
                            over ? "f: steps[0].undo: is longer than 32768 bytes\n" : "");
        dp_problems_fini(&problems);
    }
}

static void what_is_read(void **state)
{
    struct dp_problems problems;
    (void)state;
    assert_int_equal(setenv("DRILL_TEST_PASSWORD", "s3cret", 1), 0);
    struct dp_plan_file *file = parse(
        "{" PROXY ",\"regions\":[" LEFT
        ",{\"name\":\"right\",\"url\":\"http://h:5\",\"username\":\"u\","
        "\"password\":\"${env:DRILL_TEST_PASSWORD}\"}],\"load\":{\"rate\":7,\"mix\":{\"get\":3}},"
        "\"steps\":[{\"at_s\":20,\"do\":\"switch\",\"region\":\"right\"},"
        "{\"at_s\":1.5,\"do\":\"stop\",\"region\":\"left\",\"for_s\":2.25,\"times\":3,\"every_s\":"
        "4},"
        "{\"at_s\":1,\"do\":\"relay\",\"name\":\"lag\",\"region\":\"left\",\"for_s\":1,"
        "\"fault\":{\"kind\":\"latency\",\"ms\":800}}],"
        "\"objectives\":{\"failed\":0,\"p99_ms\":500}}",
        &problems);
    assert_string_equal(dp_text_str(&problems.text), "");
    const struct dp_drill_plan *p = &file->plan;
    assert_string_equal(p->regions[1].password, "s3cret");
    assert_int_equal(p->load.rate, 7);
    assert_int_equal(p->load.seconds, 60);
    assert_int_equal(p->load.weights[DP_LOAD_GET], 3);
    assert_int_equal(p->load.weights[DP_LOAD_PUT], 0);
    assert_int_equal(p->n_steps, 5);
    static const uint64_t at[] = {1000, 1500, 5500, 9500, 20000};
    for (size_t i = 0; i < DP_ARRAY_LEN(at); i++) {
        assert_int_equal(p->steps[i].at_ms, at[i]);
    }
    assert_string_equal(p->steps[0].name, "lag");
    assert_string_equal(p->steps[0].fault, "{\"kind\":\"latency\",\"ms\":800}");
    assert_string_equal(p->steps[1].name, "stop left");
    assert_int_equal(p->steps[1].for_ms, 2250);
    assert_true(p->steps[4].for_ms == DP_DRILL_TO_END && p->steps[4].region == 1);
    assert_true(p->objectives[DP_OBJECTIVE_FAILED] == 0);
    assert_true(p->objectives[DP_OBJECTIVE_P99] == 500);
    assert_true(p->objectives[DP_OBJECTIVE_LOST] == DP_DRILL_UNSET);
    /* what goes into the report */
    char *shown = json_dumps(file->shown, 0);
    assert_non_null(shown);
    assert_null(strstr(shown, "s3cret"));
    assert_null(strstr(shown, "DRILL_TEST_PASSWORD"));
    assert_non_null(strstr(shown, "\"***\""));
    free(shown);
    dp_plan_destroy(file);
    dp_problems_fini(&problems);
}

static void too_many_steps(void **state)
{
    struct dp_problems problems;
    (void)state;
    struct dp_plan_file *file =
        parse("{" PROXY "," REGIONS ",\"load\":{\"seconds\":3600},\"steps\":["
              "{\"at_s\":1,\"do\":\"run\",\"run\":\"x\",\"for_s\":1,\"times\":128,\"every_s\":2},"
              "{\"at_s\":1,\"do\":\"run\",\"run\":\"x\",\"for_s\":1}]}",
              &problems);
    assert_null(file);
    assert_string_equal(
        dp_text_str(&problems.text),
        "f: steps[1]: is one step too many: there may be 128, each repetition counts\n");
    dp_problems_fini(&problems);
}

/* Every sample is a plan, and says what it is for. */
static void samples(void **state)
{
    (void)state;
    unsigned n = 0;
    assert_int_equal(setenv("COUCHDB_PASSWORD", "x", 1), 0);
    DIR *folder = opendir(DP_TEST_SOURCE_DIR "/conf/drills");
    assert_non_null(folder);
    for (const struct dirent *e; (e = readdir(folder));) {
        char path[512];
        struct dp_problems problems;
        struct dp_plan_file *file = NULL;
        if (!strstr(e->d_name, ".json")) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/conf/drills/%s", DP_TEST_SOURCE_DIR, e->d_name);
        dp_problems_init(&problems, e->d_name);
        enum dp_err err = dp_plan_load(path, &problems, &file);
        assert_string_equal(dp_text_str(&problems.text), "");
        assert_int_equal(err, DP_OK);
        assert_non_null(file->plan.description);
        assert_true(file->plan.n_steps > 0);
        assert_true(file->plan.objectives[DP_OBJECTIVE_LOST] == 0);
        dp_plan_destroy(file);
        dp_problems_fini(&problems);
        n++;
    }
    (void)closedir(folder);
    assert_int_equal(n, 9);
}

static void a_file_that_is_not_there(void **state)
{
    struct dp_problems problems;
    struct dp_plan_file *file = NULL;
    (void)state;
    dp_problems_init(&problems, "p");
    assert_int_equal(dp_plan_load("/nonexistent/plan.json", &problems, &file), DP_EIO);
    assert_string_equal(dp_text_str(&problems.text),
                        "p: cannot be opened: No such file or directory\n");
    dp_problems_fini(&problems);
}

static void help_names_every_key(void **state)
{
    struct dp_text text = {0};
    (void)state;
    dp_plan_help(&text);
    for (enum dp_drill_do d = 0; d < DP_DRILL_DO_COUNT; d++) {
        assert_non_null(strstr(dp_text_str(&text), dp_drill_do_info(d)->text));
    }
    for (enum dp_drill_objective o = 0; o < DP_OBJECTIVE_COUNT; o++) {
        assert_non_null(strstr(dp_text_str(&text), dp_drill_objective_info(o)->key));
    }
    assert_non_null(strstr(dp_text_str(&text), "regions[].peer_url"));
    dp_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure),
        cmocka_unit_test(steps),
        cmocka_unit_test(what_is_read),
        cmocka_unit_test(a_command_has_a_length),
        cmocka_unit_test(too_many_steps),
        cmocka_unit_test(samples),
        cmocka_unit_test(a_file_that_is_not_there),
        cmocka_unit_test(help_names_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
