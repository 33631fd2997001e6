/* Bookmarks: found in queries and bodies, and which of them are good in every region. */
#include "davenport/base/attr.h"
#include "davenport/couch/bookmark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_found(struct dp_span found, const char *want)
{
    if (!want) {
        assert_null(found.p);
        return;
    }
    assert_non_null(found.p);
    assert_int_equal(found.n, strlen(want));
    assert_memory_equal(found.p, want, found.n);
}

static void test_in_queries(void **state)
{
    static const struct {
        const char *target, *want; /* NULL: none */
    } rows[] = {
        {"/db/_design/x/_search/y", NULL},
        {"/db/_design/x/_search/y?q=bookmark", NULL},
        {"/db/_design/x/_search/y?q=a&bookmark=g1AA~eu", "g1AA~eu"},
        {"/db/_design/x/_search/y?bookmark=a%3D&q=a", "a%3D"},
        {"/db/_design/x/_search/y?bookmark=a&book%6Dark=b", "b"},
        {"/db/_design/x/_search/y?bookmark=", ""},
        {"/db/_design/x/_search/y?bookmark", NULL},
        {"/db/_design/x/_search/y?Bookmark=a&xbookmark=b", NULL},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_found(dp_bookmark_in_query(dp_span_str(rows[i].target)), rows[i].want);
}

static void test_in_bodies(void **state)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"bookmark\":\"g1AA~eu\"}", "g1AA~eu"},
        {" {\n\"selector\" : {\"a\":[\"]\\\"\"]},\t\"bookmark\" :\r\n\"g1\" , \"limit\":3}", "g1"},
        {"{\"bookmark\":\"\"}", ""},
        {"{\"selector\":{\"bookmark\":\"a\"}}", NULL},
        {"{\"fields\":[\"bookmark\",\"b\"]}", NULL},
        {"{\"a\":\"bookmark\",\"b\":\"c\"}", NULL},
        {"{\"bookmark\":null}", NULL},
        {"{\"bookmark\":7}", NULL},
        {"{\"bookmark\":\"a\\u0041\"}", NULL},
        {"{\"bookmark\":\"a\",\"bookmark\":\"b\"}", NULL},
        {"{\"bookmark\":1,\"bookmark\":\"b\"}", NULL},
        {"[\"bookmark\",\"a\"]", NULL},
        {"\"bookmark\":\"a\"", NULL},
        {"{\"bookmark\":\"a", NULL},
        {"{\"bookmark\":\"", NULL},
        {"{\"bookmark\":", NULL},
        {"{\"bookmark\"", NULL},
        {"{\"bookmark\\", NULL},
        {"]]}{\"bookmark\":\"a\"}", "a"},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        print_message("%s\n", rows[i].body);
        assert_found(dp_bookmark_in_body(dp_span_str(rows[i].body)), rows[i].want);
    }
}

static void test_which_are_portable(void **state)
{
    static const struct {
        const char *mark;
        bool portable;
    } rows[] = {
        /* 05-views-find: find-page-1, find-page-2, find-no-index (compressed), find-bookmark-nil */
        {"g2wAAAACaAJkAA5zdGFydGtleV9kb2NpZG0AAAADZDA0aAJkAAhzdGFydGtleWsAAQRq", true},
        {"g2wAAAACaAJkAA5zdGFydGtleV9kb2NpZG0AAAADZDA4aAJkAAhzdGFydGtleWsAAQhq", true},
        {"g1AAAAA2eJzLYWBgYMpgSmHgKy5JLCrJTq2MT8lPzkzJBYozpxgagqQ4YFIwwSwAg48ORw", true},
        {"nil", true},
        /* a triple a shard, as dreyfus packs them: plain, compressed */
        {"g2wAAAABaANkAAFubAAAAAJhAGEBamEAag", false},
        {"g1AAAAAYeJzLYWBgYMxgTmFgzMsBMpkSGRIZsxIZsgAtBwQS", false},
        /* another atom, an empty list, a tuple, cut short */
        {"g2wAAAABaAJkAAFuYQBq", false},
        {"g2o", false},
        {"g2gCZAAIc3RhcnRrZXlhAA", false},
        {"g2wAAAACaAJkAA5zdGFydGtleV9kb2", false},
        {"g1AAAAA2", false},
        {"gw", false},
        {"W3sifV0=", false}, /* JSON, as nouveau has it */
        {"", false},
        {"12-g1AA", false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        print_message("%s\n", rows[i].mark);
        assert_int_equal(dp_bookmark_is_portable(dp_span_str(rows[i].mark)), rows[i].portable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_queries),
        cmocka_unit_test(test_in_bodies),
        cmocka_unit_test(test_which_are_portable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
