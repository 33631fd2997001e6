/* Revisions, and where they stand. */
#include "davenport/base/attr.h"
#include "davenport/couch/rev.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dp_rev rev(const char *text)
{
    struct dp_rev r;
    assert_true(dp_rev_parse(dp_span_str(text), &r));
    return r;
}

static void what_is_one(void **state)
{
    static const char *const good[] = {"1-967a00dff5e02add41819138abb3284d", "2-bbb", "\"3-c50a\"",
                                       "4294967295-x"};
    static const char *const bad[] = {
        "",      "1",     "-1",        "1-",    "0-a",          "x-a",
        "\"1-a", "1-a\"", "W/\"1-a\"", "1-a b", "4294967296-a", "\"t7/bw8OO2ODy1reTbwy0cw==\"",
        "\"\"",  "\""};
    struct dp_rev r;
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(good); i++)
        assert_true(dp_rev_parse(dp_span_str(good[i]), &r));
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++) {
        if (dp_rev_parse(dp_span_str(bad[i]), &r))
            fail_msg("%s is none", bad[i]);
    }
    assert_false(dp_rev_parse((struct dp_span){NULL, 0}, &r));
}

static void who_has_seen_what(void **state)
{
    const struct dp_rev one = rev("1-a"), two = rev("2-b"), rival = rev("\"2-c\""),
                        same = rev("\"2-b\"");
    (void)state;
    assert_true(dp_rev_covers(&two, &one));
    assert_true(dp_rev_covers(&two, &same));
    assert_false(dp_rev_covers(&one, &two));
    assert_false(dp_rev_covers(&rival, &two));
}

/* Cut at every byte. */
static void rows(void **state)
{
    static const struct {
        const char *body;
        bool bulk;
        const char *want; /* "id rev" of each row, then a comma */
    } cases[] = {
        {"{\"ok\":true,\"id\":\"a\",\"rev\":\"1-967a\"}\n", false, "a 1-967a,"},
        {"{ \"rev\" : \"1-a\" , \"x\":1, \"id\":\"\303\251/+\"}", false, "\303\251/+ 1-a,"},
        {"[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-a\"},{\"id\":\"b\",\"error\":\"conflict\","
         "\"reason\":\"x\"},"
         "{\"ok\":true,\"id\":\"c\",\"rev\":\"2-c\"}]",
         true, "a 1-a,c 2-c,"},
        {"[]", true, ""},
        {"{\"id\":\"a\"}", false, ""},
        {"{\"rev\":\"1-a\"}", false, ""},
        {"{\"id\":\"a\",\"rev\":\"none\"}", false, ""},
        {"{\"id\":\"a\",\"rev\":{\"rev\":\"1-a\"}}", false, ""},
        {"{\"id\":\"a\",\"x\":{\"rev\":\"1-a\"},\"rev\":\"2-b\"}", false, "a 2-b,"},
        {"{\"id\":\"a\",\"x\":[\"rev\",\"1-a\"]}", false, ""},
        {"{\"id\":\"a\",\"x\":\"rev\",\"y\":\"1-a\"}", false, ""},
        {"{\"id\":\"a\",\"x\":\"\\\",\\\"rev\\\":\\\"9-z\",\"rev\":\"2-b\"}", false, "a 2-b,"},
        {"{\"id\":\"a\\\"b\",\"rev\":\"2-b\"}", false, ""}, /* escapes are passed over */
        {"{\"id\":\"a\\\\\",\"rev\":\"2-b\"}", false, ""},
        {"{\"id\":\"a\",\"rev\":\"2-b", false, ""},
        {"{\"id\":7,\"rev\":\"2-b\"}", false, ""},
        {"{\"idx\":\"a\",\"xrev\":\"2-b\",\"id2\":\"z\"}", false, ""},
        {"", false, ""},
        {"}}]]\"", false, ""},
        {"[\"id\",\"a\",\"rev\",\"1-a\"]", false, ""},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        const size_t n = strlen(cases[i].body);
        for (size_t cut = 0; cut <= n; cut++) {
            const struct dp_span parts[] = {{cases[i].body, cut}, {cases[i].body + cut, n - cut}};
            struct dp_rows r;
            struct dp_row row;
            const char *want = cases[i].want;
            dp_rows_init(&r, cases[i].bulk);
            for (size_t k = 0; k < 2; k++) {
                struct dp_span left = parts[k];
                size_t used;
                while (left.n > 0) {
                    const bool is = dp_rows_next(&r, left.p, left.n, &used, &row);
                    left = (struct dp_span){left.p + used, left.n - used};
                    if (!is)
                        continue;
                    const char *end = strchr(want, ',');
                    if (!end)
                        fail_msg("%s: one row too many", cases[i].body);
                    const struct dp_span all = {want, (size_t)(end - want)};
                    struct dp_span rest = all;
                    const struct dp_span id = dp_span_cut(&rest, ' ');
                    struct dp_rev is_rev;
                    assert_true(dp_rev_parse(rest, &is_rev));
                    assert_true(dp_span_eq(row.id, id));
                    assert_true(row.rev.digits == is_rev.digits &&
                                row.rev.generation == is_rev.generation);
                    want = end + 1;
                }
            }
            if (*want)
                fail_msg("%s cut at %zu: no %s", cases[i].body, cut, want);
        }
    }
}

/* What is too long for us is passed over, and nothing is written past its place. */
static void too_long(void **state)
{
    char body[2 * DP_ROW_ID + 100], id[2 * DP_ROW_ID];
    (void)state;
    for (size_t n = DP_ROW_ID - 1; n <= DP_ROW_ID + 1; n++) {
        struct dp_rows r;
        struct dp_row row;
        size_t used;
        memset(id, 'x', n);
        id[n] = '\0';
        const int bytes = snprintf(body, sizeof(body), "{\"id\":\"%s\",\"rev\":\"1-a\"}", id);
        dp_rows_init(&r, false);
        assert_int_equal(dp_rows_next(&r, body, (size_t)bytes, &used, &row), n <= DP_ROW_ID);
    }
}

static void one_key_for_one_document(void **state)
{
    const uint64_t k = dp_rev_key(DP_SPAN("db"), DP_SPAN("a+b/c"), false, 7);
    (void)state;
    assert_true(k == dp_rev_key(DP_SPAN("d%62"), DP_SPAN("a%2Bb%2fc"), true, 7));
    assert_true(k != dp_rev_key(DP_SPAN("db"), DP_SPAN("a+b/c"), false, 8));
    assert_true(k != dp_rev_key(DP_SPAN("dba"), DP_SPAN("+b/c"), true, 7));
    assert_true(dp_rev_key(DP_SPAN("db"), DP_SPAN("a%"), true, 7) !=
                dp_rev_key(DP_SPAN("db"), DP_SPAN("a"), true, 7));
    assert_true(dp_rev_key(DP_SPAN("db"), DP_SPAN("a%4"), true, 7) !=
                dp_rev_key(DP_SPAN("db"), DP_SPAN("a%zz"), true, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_one),
        cmocka_unit_test(who_has_seen_what),
        cmocka_unit_test(rows),
        cmocka_unit_test(too_long),
        cmocka_unit_test(one_key_for_one_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
