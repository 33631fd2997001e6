/* _bulk_get's answers: CouchDB's and PouchDB's shapes, and what is none. */
#include "drill/leaves.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    char text[1024];
    size_t n;
};

static void on_document(void *ctx, struct dp_span id, const struct dp_leaf *leaves, size_t n)
{
    struct seen *s = ctx;
    s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, "%.*s:", (int)id.n, id.p);
    for (size_t i = 0; i < n; i++) {
        const struct dp_leaf *l = &leaves[i];
        char tag[16] = "none";
        if (l->has_tag)
            (void)snprintf(tag, sizeof(tag), "%u", l->tag);
        s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, " %.*s(%s%s,%u/%zu)",
                                 (int)l->rev.n, l->rev.p, tag, l->deleted ? ",deleted" : "",
                                 l->start, l->n_ids);
    }
    s->n += (size_t)snprintf(s->text + s->n, sizeof(s->text) - s->n, ";");
}

#define DOC(id, rev, more, start, ids)                                                             \
    "{\"ok\":{\"_id\":\"" id "\",\"_rev\":\"" rev "\"" more ",\"_revisions\":{\"start\":" start    \
    ",\"ids\":[" ids "]}}}"

static enum dp_err leaves_of(const char *body, struct seen *s, size_t *absent)
{
    *s = (struct seen){0};
    return dp_leaves_read(dp_span_str(body), "r1", on_document, s, absent);
}

static void test_documents_are_gathered(void **state)
{
    (void)state;
    struct seen s;
    size_t absent = 99;
    static const char body[] =
        "{\"results\":["
        "{\"id\":\"a\",\"docs\":[" DOC(
            "a", "2-y", ",\"drill\":\"r1\",\"tag\":7", "2",
            "\"y\",\"x\"") "]},"
                           "{\"id\":\"b\",\"docs\":[" DOC(
                               "b", "1-x", ",\"drill\":\"r2\",\"tag\":7", "1",
                               "\"x\"") "," DOC("b", "1-w", ",\"drill\":\"r1\",\"tag\":-1", "1",
                                                "\"w\"") "]},"
                                                         "{\"id\":\"a\",\"docs\":[" DOC(
                                                             "a", "2-z", ",\"_deleted\":true", "2",
                                                             "\"z\",\"x\"") "]},"
                                                                            "{\"id\":\"a\","
                                                                            "\"docs\":[" DOC(
                                                                                "a", "2-y", "", "2",
                                                                                "\"y\",\"x\"") "]},"
                                                                                               "{\""
                                                                                               "id"
                                                                                               "\":"
                                                                                               "\"c"
                                                                                               "\","
                                                                                               "\"d"
                                                                                               "ocs"
                                                                                               "\":"
                                                                                               "[{"
                                                                                               "\"e"
                                                                                               "rro"
                                                                                               "r\""
                                                                                               ":{"
                                                                                               "\"i"
                                                                                               "d\""
                                                                                               ":\""
                                                                                               "c\""
                                                                                               ",\""
                                                                                               "rev"
                                                                                               "\":"
                                                                                               "\"1"
                                                                                               "-a"
                                                                                               "\","
                                                                                               "\"e"
                                                                                               "rro"
                                                                                               "r\""
                                                                                               ":\""
                                                                                               "not"
                                                                                               "_fo"
                                                                                               "und"
                                                                                               "\","
                                                                                               "\"r"
                                                                                               "eas"
                                                                                               "on"
                                                                                               "\":"
                                                                                               "\"m"
                                                                                               "iss"
                                                                                               "ing"
                                                                                               "\"}"
                                                                                               "}]}"
                                                                                               "]}";
    assert_int_equal(leaves_of(body, &s, &absent), DP_OK);
    assert_string_equal(s.text,
                        "a: 2-y(7,2/2) 2-z(none,deleted,2/2);b: 1-x(none,1/1) 1-w(none,1/1);");
    assert_int_equal(absent, 1);
    assert_int_equal(leaves_of("{\"results\":[]}", &s, &absent), DP_OK);
    assert_int_equal(absent, 0);
}

static void test_what_is_no_answer(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"results\":{}}",
        "{\"results\":[1]}",
        "{\"results\":[{\"id\":\"a\"}]}",
        "{\"results\":[{\"docs\":[{}]}]}",
        "{\"results\":[{\"docs\":[{\"ok\":1}]}]}",
        "{\"results\":[{\"docs\":[{\"ok\":{\"_id\":\"a\"}}]}]}",
        "{\"results\":[{\"docs\":[{\"ok\":{\"_id\":\"a\",\"_rev\":\"1-x\"}}]}]}",
        "{\"results\":[{\"docs\":[" DOC("a\\u0000b", "1-x", "", "1", "\"x\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "0", "\"x\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "-1", "\"x\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "1", "") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "1", "\"\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "1", "1") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "1", "\"y\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "2-x", "", "1", "\"x\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "1", "\"x\",\"y\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1-x", "", "4294967297", "\"x\"") "]}]}",
        "{\"results\":[{\"docs\":[" DOC("a", "1", "", "1", "\"1\"") "]}]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct seen s;
        size_t absent = 99;
        if (leaves_of(bad[i], &s, &absent) != DP_EINVAL)
            fail_msg("%s", bad[i]);
        assert_int_equal(absent, 99);
    }
}

static void test_the_revision_of_a_document(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"_rev\":1}",
        "{\"_rev\":\"\"}",
        "{\"_rev\":\"1-\"}",
        "{\"_rev\":\"1-x&y\"}",
        "{\"_rev\":\"1-a\\u0000\"}",
        ("{\"_rev\":\"1-0123456789012345678901234567890123456789012345"
         "\"}")};
    char rev[DP_LEDGER_REV] = "before";
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(dp_leaves_rev(dp_span_str(bad[i]), rev));
    assert_string_equal(rev, "before");
    assert_true(dp_leaves_rev(DP_SPAN("{\"_id\":\"x\",\"_rev\":\"12-ab\"}"), rev));
    assert_string_equal(rev, "12-ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_are_gathered),
        cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_the_revision_of_a_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
