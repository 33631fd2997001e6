/* From one configuration to the next: what is told, what needs a restart, which numbers endpoints get. */
#include "app/config_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dp_config *parse(const char *json)
{
    struct dp_problems problems;
    struct dp_config *c = NULL;
    struct dp_config_source source = {.text = dp_span_str(json)};
    dp_problems_init(&problems, "f");
    if (dp_config_parse(&source, &problems, &c) != DP_OK) {
        print_error("%s", dp_text_str(&problems.text));
    }
    assert_non_null(c);
    dp_problems_fini(&problems);
    return c;
}

static void check(const char *now_json, const char *next_json, const char *changes,
                  const char *wrong)
{
    struct dp_config *now = parse(now_json);
    struct dp_config *next = parse(next_json);
    struct dp_text text = {0};
    struct dp_problems problems;
    dp_problems_init(&problems, "f");
    dp_config_diff(now, next, &text, &problems);
    assert_string_equal(dp_text_str(&text), changes);
    assert_string_equal(dp_text_str(&problems.text), wrong);
    dp_problems_fini(&problems);
    dp_text_fini(&text);
    dp_config_destroy(now);
    dp_config_destroy(next);
}

#define A   "{\"name\":\"a\",\"url\":\"http://a\"}"
#define B   "{\"name\":\"b\",\"url\":\"http://b\"}"
#define TWO "\"regions\":[" A "," B "]"

static void test_what_is_told(void **state)
{
    (void)state;
    check("{" TWO "}", "{" TWO "}", "", "");
    check("{" TWO "}",
          "{\"probe\":{\"fall\":9},\"failback\":{\"mode\":\"window\",\"windows\":\"02:00-03:00\"}"
          "," TWO "}",
          "probe.fall: 3 -> 9\nfailback.mode: hold_down -> window\n"
          "failback.windows: none -> 02:00-03:00\n",
          "");
    check("{" TWO "}", "{\"regions\":[" B "," A "]}", "regions: another order of preference\n", "");
    check("{" TWO "}", "{\"regions\":[{\"name\":\"c\",\"url\":\"http://c\"}," B "]}",
          "regions.a: removed\nregions.c: added\n", "");
    check("{" TWO "}",
          "{\"regions\":[{\"name\":\"a\",\"endpoints\":[\"http://a\",\"http://d\"]}," B "]}",
          "regions.a.url: http://a -> none\nregions.a.endpoints: none -> http://a http://d\n", "");
}

/* Never the secret, neither the old nor the new one. */
static void test_secrets(void **state)
{
    (void)state;
#define KEYED(password)                                                                            \
    "{\"regions\":[{\"name\":\"a\",\"url\":\"http://"                                              \
    "a\",\"credentials\":{\"username\":\"u\",\"password\":"                                        \
    "\"" password "\"}}]}"
    check(KEYED("old"), KEYED("new"), "regions.a.credentials.password: changed\n", "");
}

#define HASH(digit)                                                                                \
    "\"hash\":\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde" digit "\""
#define TOKENS(tokens) "{\"admin\":{\"listen\":\"127.0.0.1:1\",\"tokens\":{" tokens "}}," TWO "}"

/* A token comes, goes and changes by a reload; its hash is not told. */
static void test_tokens(void **state)
{
    (void)state;
    check(TOKENS("\"a\":{" HASH("0") "},\"b\":{" HASH("1") "},\"c\":{" HASH("2") "}"),
          TOKENS("\"a\":{" HASH("3") "},\"b\":{" HASH("1") ",\"role\":\"operator\"},\"d\":{" HASH(
              "4") "}"),
          "admin.tokens.c: removed\nadmin.tokens.a: changed\nadmin.tokens.b: changed\n"
          "admin.tokens.d: added\n",
          "");
    check(TOKENS("\"a\":{" HASH("0") "}"), TOKENS("\"a\":{" HASH("0") "}"), "", "");
    check(TOKENS(""),
          "{\"admin\":{\"listen\":\"127.0.0.1:1\",\"tls\":{\"cert_file\":\"c\",\"key_file\":\"k\"}}"
          "," TWO "}",
          "admin.tls.cert_file: none -> c\nadmin.tls.key_file: none -> k\n",
          "f: admin.tls: needs a restart to begin or to end\n");
}

static void test_what_needs_a_restart(void **state)
{
    (void)state;
    check("{" TWO "}", "{\"workers\":3,\"probe\":{\"fall\":9},\"listen\":{\"port\":1}," TWO "}",
          "probe.fall: 3 -> 9\n",
          "f: listen.port: needs a restart to change\nf: workers: needs a restart to change\n");
    check("{" TWO "}", "{\"listen\":{\"tls\":{\"cert_file\":\"c\",\"key_file\":\"k\"}}," TWO "}",
          "listen.tls.cert_file: none -> c\nlisten.tls.key_file: none -> k\n",
          "f: listen.tls: needs a restart to begin or to end\n");
}

static void test_numbers(void **state)
{
    (void)state;
    struct dp_config *now = parse("{\"regions\":[" A "," B
                                  ",{\"name\":\"c\",\"endpoints\":[\"http://c\",\"http://d\"]}]}");
    struct dp_config *next =
        parse("{\"regions\":[{\"name\":\"c\",\"endpoints\":[\"http://c\",\"http://d\"]},"
              "{\"name\":\"n\",\"url\":\"http://n\"},{\"name\":\"b\",\"url\":\"http://other\"}]}");
    assert_true(dp_config_place(now, next));
    assert_int_equal(next->regions[0].first, 2); /* as it was */
    assert_int_equal(next->regions[1].first, 4); /* never a number that was in use */
    assert_int_equal(next->regions[2].first, 5);
    assert_int_equal(next->n_endpoints, 6);
    assert_null(next->endpoints[0].base_url);
    assert_null(next->endpoints[1].base_url);
    assert_string_equal(next->endpoints[3].base_url, "http://d");
    assert_int_equal(next->endpoints[3].region, 0);
    assert_string_equal(next->endpoints[5].base_url, "http://other");
    assert_int_equal(next->endpoints[5].region, 2);
    struct dp_config *third = parse("{\"regions\":[" A "]}");
    assert_true(dp_config_place(next, third));
    assert_int_equal(third->regions[0].first, 0); /* vacant for a generation: free again */
    dp_config_destroy(now);
    dp_config_destroy(next);
    dp_config_destroy(third);
}

/* 16 and 17 endpoints: no room for the new ones beside the old ones. */
static void test_no_room(void **state)
{
    (void)state;
    struct dp_text text[2] = {{0}};
    for (unsigned k = 0; k < 2; k++) {
        dp_text_addf(&text[k], "{\"regions\":[{\"name\":\"a\",\"endpoints\":[");
        for (unsigned i = 0; i < 16 + k; i++) {
            dp_text_addf(&text[k], "%s\"http://h%u-%u\"", i ? "," : "", k, i);
        }
        dp_text_addf(&text[k], "]}]}");
    }
    struct dp_config *now = parse(dp_text_str(&text[0]));
    struct dp_config *next = parse(dp_text_str(&text[1]));
    assert_false(dp_config_place(now, next));
    assert_int_equal(next->regions[0].first, 0);
    assert_int_equal(next->n_endpoints, 17);
    assert_true(dp_config_place(now, now));
    dp_config_destroy(now);
    dp_config_destroy(next);
    dp_text_fini(&text[0]);
    dp_text_fini(&text[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told), cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_tokens),       cmocka_unit_test(test_what_needs_a_restart),
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
