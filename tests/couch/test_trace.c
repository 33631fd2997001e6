/* Which branch is our own write, and which is somebody else's. */
#include "davenport/base/attr.h"
#include "davenport/couch/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of its own size, so that a look too far is seen. */
static struct dp_span own(const char *text, char **copy)
{
    const size_t n = strlen(text);
    *copy = malloc(n > 0 ? n : 1);
    assert_non_null(*copy);
    memcpy(*copy, text, n);
    return (struct dp_span){n > 0 ? *copy : NULL, n};
}

static enum dp_trace_verdict first(enum dp_trace_write write, const char *body, const char *rev,
                                   const char *leaves, struct dp_trace_found *f)
{
    char *copies[3];
    const struct dp_trace_ask ask = {
        .write = write, .body = own(body, &copies[0]), .rev = own(rev, &copies[1])};
    enum dp_trace_verdict v = dp_trace_first(&ask, own(leaves, &copies[2]), f);
    for (size_t i = 0; i < DP_ARRAY_LEN(copies); i++)
        free(copies[i]);
    return v;
}

#define OK(text)         "[{\"ok\":{" text "}}]"
#define REVS(start, ids) "\"_revisions\":{\"start\":" start ",\"ids\":[" ids "]}"
#define FIRST            REVS("1", "\"aa\"")
#define SECOND           REVS("2", "\"bb\",\"aa\"")
#define THIRD            REVS("3", "\"cc\",\"bb\",\"aa\"")

struct row {
    const char *body, *rev, *leaves;
    enum dp_trace_verdict verdict;
    const char *found; /* OURS, LOOK: the revision */
    const char *at;    /* LOOK */
};

static void check(enum dp_trace_write write, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct dp_trace_found f = {0};
        enum dp_trace_verdict v = first(write, rows[i].body, rows[i].rev, rows[i].leaves, &f);
        if (v != rows[i].verdict)
            fail_msg("%s behind '%s': %d, leaves %s", rows[i].body, rows[i].rev, (int)v,
                     rows[i].leaves);
        if (v == DP_TRACE_OURS || v == DP_TRACE_LOOK)
            assert_string_equal(f.rev, rows[i].found);
        if (v == DP_TRACE_LOOK)
            assert_string_equal(f.at, rows[i].at);
    }
}

static void test_documents(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* as recorded: 03-documents/retry-check */
        {"{\"v\":1}", "",
         "[{\"ok\":{\"_id\":\"a\",\"_rev\":\"1-7a7e4b29f3af401e69b6f86e4c26b727\",\"v\":1,"
         "\"_revisions\":{\"start\":1,\"ids\":[\"7a7e4b29f3af401e69b6f86e4c26b727\"]}}}]",
         DP_TRACE_OURS, "1-7a7e4b29f3af401e69b6f86e4c26b727", NULL},
        /* a creation */
        {"{\"v\":2}", "", OK("\"v\":1," FIRST), DP_TRACE_NOT, NULL, NULL},
        {"{}", "", OK(FIRST), DP_TRACE_OURS, "1-aa", NULL},
        {"{\"_id\":\"x\"}", "", OK("\"_id\":\"x\"," FIRST), DP_TRACE_OURS, "1-aa", NULL},
        {"{\"v\":1,\"_conflicts\":[]}", "", OK("\"v\":1," FIRST), DP_TRACE_OURS, "1-aa", NULL},
        /* an update, its parent in the query or in the document */
        {"{\"v\":1}", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_OURS, "2-bb", NULL},
        {"{\"v\":1,\"_rev\":\"1-aa\"}", "", OK("\"v\":1," SECOND), DP_TRACE_OURS, "2-bb", NULL},
        {"{\"v\":1,\"_rev\":\"1-aa\"}", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_OURS, "2-bb", NULL},
        {"{\"v\":1,\"_rev\":\"1-ab\"}", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-ab", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "2-bb", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "3-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":2}", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1,\"w\":1}", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{}", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        /* somebody built on it: its body is not among the leaves */
        {"{\"v\":1}", "1-aa", OK("\"v\":7," THIRD), DP_TRACE_LOOK, "2-bb", "2-bb"},
        {"{\"v\":1}", "", OK("\"v\":7," THIRD), DP_TRACE_LOOK, "1-aa", "1-aa"},
        {"{\"v\":1}", "1-zz", OK("\"v\":7," THIRD), DP_TRACE_NOT, NULL, NULL},
        /* a creation on a tombstone */
        {"{\"v\":1}", "", OK("\"v\":1," THIRD), DP_TRACE_LOOK, "3-cc", "2-bb"},
        /* a history that was cut */
        {"{\"v\":1}", "", OK("\"v\":1," REVS("2", "\"bb\"")), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-aa", OK("\"v\":1," REVS("2", "\"bb\"")), DP_TRACE_NOT, NULL, NULL},
        /* several leaves: the one that is ours */
        {"{\"v\":1}", "1-aa",
         "[{\"ok\":{\"v\":2," REVS("2", "\"zz\",\"aa\"") "}},{\"missing\":\"3-x\"},"
                                                         "{\"ok\":{\"v\":1," SECOND "}}]",
         DP_TRACE_OURS, "2-bb", NULL},
        /* one that is ours for certain comes before one that may be */
        {"{\"v\":1}", "1-aa", "[{\"ok\":{\"v\":7," THIRD "}},{\"ok\":{\"v\":1," SECOND "}}]",
         DP_TRACE_OURS, "2-bb", NULL},
        /* what tells nothing */
        {"{\"v\":1}", "1-aa", "[]", DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-aa", "{\"error\":\"not_found\"}", DP_TRACE_BLIND, NULL, NULL},
        {"{\"v\":1}", "1-aa", "", DP_TRACE_BLIND, NULL, NULL},
        {"{\"v\":1}", "1-aa", OK("\"v\":1"), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-aa", OK("\"v\":1," REVS("1", "\"bb\",\"aa\"")), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-aa", OK("\"v\":1," REVS("0", "")), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-aa", OK("\"v\":1," REVS("2", "1,2")), DP_TRACE_NOT, NULL, NULL},
        {"no JSON", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_BLIND, NULL, NULL},
        {"[1]", "1-aa", OK("\"v\":1," SECOND), DP_TRACE_BLIND, NULL, NULL},
        {"", "1-aa", OK(SECOND), DP_TRACE_BLIND, NULL, NULL},
        {"{\"v\":1}", "aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "1-", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "0-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "-1-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"v\":1}", "99999999999999999999-aa", OK("\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
    };
    check(DP_TRACE_DOCUMENT, rows, DP_ARRAY_LEN(rows));
}

/* A region that is behind says nothing of what another one did. */
static void test_a_parent_that_is_not_there(void **state)
{
    static const struct {
        const char *body, *rev, *leaves;
        bool lacks;
    } rows[] = {
        {"{\"v\":1}", "2-bb", OK(FIRST), true},
        {"{\"v\":1,\"_rev\":\"2-bb\"}", "", OK(FIRST), true},
        {"{\"v\":1}", "1-ab", OK("\"v\":1," SECOND), true},
        {"{\"v\":1}", "1-aa", "", true}, /* no such document */
        {"{\"v\":1}", "1-aa", "[]", true},
        {"{\"v\":1}", "1-aa", "[{\"missing\":\"3-x\"}]", true},
        {"{\"v\":1}", "1-aa", OK(FIRST), false},
        {"{\"v\":1}", "1-aa", OK("\"v\":1," SECOND), false},
        {"{\"v\":1}", "1-aa",
         "[{\"ok\":{\"v\":2," REVS("2", "\"zz\",\"ab\"") "}},{\"ok\":{" SECOND "}}]", false},
        {"{\"v\":1}", "1-aa", OK("\"v\":1," REVS("2", "\"bb\"")),
         false}, /* its beginning was cut off */
        {"{\"v\":1}", "1-aa", OK("\"v\":1"), false},
        {"{\"v\":1}", "", OK("\"v\":2," FIRST), false}, /* a creation */
        {"{\"v\":1}", "aa", OK(FIRST), false},
        {"{\"v\":1,\"_rev\":\"1-ab\"}", "1-aa", OK(FIRST), false}, /* two parents */
        {"no JSON", "2-bb", OK(FIRST), false},
        {"{\"v\":1}", "2-bb", "{\"error\":\"x\"}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct dp_trace_ask ask = {.write = DP_TRACE_DOCUMENT,
                                         .body = dp_span_str(rows[i].body),
                                         .rev = dp_span_str(rows[i].rev)};
        assert_int_equal(dp_trace_lacks_parent(&ask, dp_span_str(rows[i].leaves)), rows[i].lacks);
    }
    const struct dp_trace_ask deletion = {.write = DP_TRACE_DELETE, .rev = DP_SPAN("2-bb")};
    assert_true(dp_trace_lacks_parent(&deletion, DP_SPAN(OK(FIRST))));
}

/* As CouchDB would compare: 03b order-*, number-*. The order of members would make another revision, and yet the same
 * document. */
static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *mine, *theirs;
        bool same;
    } rows[] = {
        {"1", "1", true},
        {"1.0", "1", false},
        {"1e2", "100.0", true},
        {"0.1", "0.10", true},
        {"\"a\\u00e9\"", "\"a\xc3\xa9\"", true},
        {"\"a\\u0000b\"", "\"a\\u0000b\"", true},
        {"\"a\\u0000b\"", "\"a\\u0000c\"", false},
        {"null", "false", false},
        {"[1,2]", "[2,1]", false},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
        {"{\"_a\":1}", "{\"_a\":2}", false}, /* special at the top only */
        {"[]", "{}", false},
        {"9223372036854775807", "9223372036854775807", true},
        {"92233720368547758070", "92233720368547758070",
         false}, /* can't be read: not ours to say */
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char body[128], leaves[256];
        struct dp_trace_found f;
        (void)snprintf(body, sizeof(body), "{\"v\":%s}", rows[i].mine);
        (void)snprintf(leaves, sizeof(leaves), OK("\"v\":%s," FIRST), rows[i].theirs);
        if ((first(DP_TRACE_DOCUMENT, body, "", leaves, &f) == DP_TRACE_OURS) != rows[i].same)
            fail_msg("%s and %s", rows[i].mine, rows[i].theirs);
    }
}

static void test_deletions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "1-aa", OK("\"_deleted\":true," SECOND), DP_TRACE_OURS, "2-bb", NULL},
        {"", "1-ab", OK("\"_deleted\":true," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"", "1-aa", OK(SECOND), DP_TRACE_NOT, NULL, NULL},
        {"", "1-aa", OK("\"_deleted\":true,\"v\":1," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"", "", OK("\"_deleted\":true," FIRST), DP_TRACE_NOT, NULL, NULL},
        /* made anew meanwhile */
        {"", "1-aa", OK("\"v\":1," THIRD), DP_TRACE_LOOK, "2-bb", "2-bb"},
    };
    struct dp_trace_found f;
    check(DP_TRACE_DELETE, rows, DP_ARRAY_LEN(rows));
    assert_int_equal(first(DP_TRACE_DELETE, "", "1-aa", rows[0].leaves, &f), DP_TRACE_OURS);
    assert_true(f.deleted);
    /* by PUT */
    assert_int_equal(first(DP_TRACE_DOCUMENT, "{\"_deleted\":true}", "1-aa", rows[0].leaves, &f),
                     DP_TRACE_OURS);
    assert_true(f.deleted);
    assert_int_equal(first(DP_TRACE_DOCUMENT, "{\"v\":1}", "", OK("\"v\":1," FIRST), &f),
                     DP_TRACE_OURS);
    assert_false(f.deleted);
}

#define ATTACHED(members) "\"_attachments\":{\"t\":{" members "}}"
#define STUB(revpos)                                                                               \
    ATTACHED("\"content_type\":\"a/b\",\"revpos\":" revpos ",\"length\":5,\"stub\":true")

static void test_attachments(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{" ATTACHED("\"stub\":true") "}", "1-aa", OK(STUB("1") "," SECOND), DP_TRACE_OURS, "2-bb",
         NULL},
        {"{" ATTACHED("\"stub\":true") "}", "1-aa", OK(STUB("2") "," SECOND), DP_TRACE_NOT, NULL,
         NULL},
        {"{" ATTACHED("\"data\":\"aGVsbG8=\"") "}", "1-aa", OK(STUB("2") "," SECOND), DP_TRACE_LOOK,
         "2-bb", "2-bb"},
        {"{" ATTACHED("\"data\":\"aGVsbG8=\",\"content_type\":\"a/b\"") "}", "1-aa",
         OK(STUB("2") "," SECOND), DP_TRACE_LOOK, "2-bb", "2-bb"},
        {"{" ATTACHED("\"data\":\"aGVsbG8=\",\"content_type\":\"a/c\"") "}", "1-aa",
         OK(STUB("2") "," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{" ATTACHED("\"data\":\"aGVsbG8=\"") "}", "1-aa", OK(STUB("1") "," SECOND), DP_TRACE_NOT,
         NULL, NULL},
        {"{" ATTACHED("\"follows\":true") "}", "1-aa", OK(STUB("2") "," SECOND), DP_TRACE_NOT, NULL,
         NULL},
        {"{}", "1-aa", OK(STUB("1") "," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{" ATTACHED("\"stub\":true") "}", "1-aa", OK(SECOND), DP_TRACE_NOT, NULL, NULL},
        {"{\"_attachments\":{\"u\":{\"stub\":true}}}", "1-aa", OK(STUB("1") "," SECOND),
         DP_TRACE_NOT, NULL, NULL},
        {"{\"_attachments\":{}}", "1-aa", OK(SECOND), DP_TRACE_OURS, "2-bb", NULL},
        {"{\"_attachments\":7}", "1-aa", OK(SECOND), DP_TRACE_NOT, NULL, NULL},
    };
    check(DP_TRACE_DOCUMENT, rows, DP_ARRAY_LEN(rows));

    static const struct row bytes[] = {
        {"hello", "1-aa", OK(STUB("2") "," SECOND), DP_TRACE_LOOK, "2-bb", "2-bb"},
        {"hello", "1-aa", OK("\"v\":1," THIRD), DP_TRACE_LOOK, "2-bb", "2-bb"},
        {"hello", "", OK(STUB("1") "," FIRST), DP_TRACE_LOOK, "1-aa", "1-aa"},
        {"hello", "1-ab", OK(STUB("2") "," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"hello", "2-bb", OK(STUB("2") "," SECOND), DP_TRACE_NOT, NULL, NULL},
        {"hello", "x", OK(STUB("2") "," SECOND), DP_TRACE_NOT, NULL, NULL},
    };
    check(DP_TRACE_ATTACHMENT, bytes, DP_ARRAY_LEN(bytes));
}

static bool second(enum dp_trace_write write, const char *body, enum dp_trace_second what,
                   const char *answer)
{
    char *copies[2];
    struct dp_trace_found f = {.rev = "2-bb", .at = "2-bb", .second = what};
    const struct dp_trace_ask ask = {.write = write, .body = own(body, &copies[0])};
    bool is = dp_trace_second(&ask, &f, own(answer, &copies[1]));
    free(copies[0]);
    free(copies[1]);
    return is;
}

static void test_second_looks(void **state)
{
    (void)state;
    const enum dp_trace_write doc = DP_TRACE_DOCUMENT;
    static const char data[] = "{" ATTACHED("\"data\":\"aGVs\\nbG8\"") "}";
    assert_true(second(doc, "{\"v\":1}", DP_TRACE_AT_BODY, "{\"_rev\":\"2-bb\",\"v\":1}"));
    assert_false(second(doc, "{\"v\":1}", DP_TRACE_AT_BODY, "{\"_rev\":\"2-bb\",\"v\":2}"));
    assert_false(second(doc, "{\"v\":1}", DP_TRACE_AT_BODY, ""));
    assert_false(second(doc, "{\"v\":1}", DP_TRACE_AT_BODY, "[]"));
    assert_true(second(doc, data, DP_TRACE_AT_BODY,
                       "{" ATTACHED("\"revpos\":2,\"data\":\"aGVsbG8=\"") "}"));
    assert_false(second(doc, data, DP_TRACE_AT_BODY,
                        "{" ATTACHED("\"revpos\":2,\"data\":\"aGVsbG9v\"") "}"));
    assert_false(second(doc, data, DP_TRACE_AT_BODY, "{" STUB("2") "}")); /* still not there */
    assert_true(second(DP_TRACE_DELETE, "", DP_TRACE_AT_BODY, "{\"_deleted\":true}"));
    assert_true(second(doc, "{\"v\":1}", DP_TRACE_AT_TOMBSTONE, "{\"_deleted\":true}"));
    assert_false(second(doc, "{\"v\":1}", DP_TRACE_AT_TOMBSTONE, "{\"v\":1}"));
    assert_false(second(doc, "{\"v\":1}", DP_TRACE_AT_TOMBSTONE, "{\"error\":\"not_found\"}"));
    assert_true(second(DP_TRACE_ATTACHMENT, "hello", DP_TRACE_AT_BYTES, "hello"));
    assert_false(second(DP_TRACE_ATTACHMENT, "hello", DP_TRACE_AT_BYTES, "hellp"));
    assert_true(second(DP_TRACE_ATTACHMENT, "", DP_TRACE_AT_BYTES, ""));
}

#define CONFLICT(id)                                                                               \
    "{\"id\":\"" id "\",\"error\":\"conflict\",\"reason\":\"Document update conflict.\"}"
#define FINE(id) "{\"ok\":true,\"id\":\"" id "\",\"rev\":\"1-xx\"}"

static void expect_bulk(const char *body, const char *answer, const char *want_ask,
                        const char *looked, const char *want, size_t want_settled)
{
    bool blind;
    char *copies[3];
    size_t n = 0;
    const struct dp_span b = own(body, &copies[0]), a = own(answer, &copies[1]),
                         l = own(looked, &copies[2]);
    char *ask = dp_trace_bulk_ask(b, a, &n, &blind);
    if (want_ask) {
        assert_non_null(ask);
        assert_string_equal(ask, want_ask);
        assert_int_equal(n, strlen(want_ask));
    } else {
        assert_null(ask);
    }
    assert_true(blind == (!ask && (body[0] != '{' || answer[0] != '[')));
    free(ask);
    struct dp_trace_rows rows;
    char *text = dp_trace_bulk(b, a, l, &n, &rows);
    if (want) {
        assert_non_null(text);
        assert_string_equal(text, want);
        assert_int_equal(n, strlen(want));
    } else {
        assert_null(text);
    }
    assert_int_equal(rows.settled, want_settled);
    size_t errors = 0;
    for (const char *at = want; at && (at = strstr(at, "\"error\"")) != NULL; at++)
        errors++;
    assert_true(!want || rows.failed == errors);
    free(text);
    for (size_t i = 0; i < DP_ARRAY_LEN(copies); i++)
        free(copies[i]);
}

static void test_bulk(void **state)
{
    (void)state;
    /* one of ours, one of somebody else's, one that is fine */
    expect_bulk("{\"docs\":[{\"_id\":\"a\",\"v\":1},{\"_id\":\"b\",\"v\":1},{\"_id\":\"c\"}]}",
                "[" CONFLICT("a") "," CONFLICT("b") "," FINE("c") "]\n",
                "{\"docs\":[{\"id\":\"a\"},{\"id\":\"b\"}]}",
                "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"v\":1," FIRST "}}]},"
                "{\"id\":\"b\",\"docs\":[{\"ok\":{\"v\":2," FIRST "}}]}]}",
                "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}," CONFLICT("b") "," FINE("c") "]\n",
                1);
    /* an update and a deletion */
    expect_bulk("{\"docs\":[{\"_id\":\"a\",\"_rev\":\"1-aa\",\"v\":1},"
                "{\"_id\":\"b\",\"_rev\":\"1-aa\",\"_deleted\":true}]}",
                "[" CONFLICT("a") "," CONFLICT("b") "]",
                "{\"docs\":[{\"id\":\"a\"},{\"id\":\"b\"}]}",
                "{\"results\":[{\"id\":\"b\",\"docs\":[{\"ok\":{\"_deleted\":true," SECOND "}}]},"
                "{\"id\":\"a\",\"docs\":[{\"ok\":{\"v\":1," SECOND "}}]}]}",
                "[{\"ok\":true,\"id\":\"a\",\"rev\":\"2-bb\"},{\"ok\":true,\"id\":\"b\",\"rev\":"
                "\"2-bb\"}]\n",
                2);
    /* the same document twice: the second was a conflict from the beginning */
    expect_bulk("{\"docs\":[{\"_id\":\"a\"},{\"_id\":\"a\"}]}",
                "[" CONFLICT("a") "," CONFLICT("a") "]",
                "{\"docs\":[{\"id\":\"a\"},{\"id\":\"a\"}]}",
                "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{" FIRST "}}]},"
                "{\"id\":\"a\",\"docs\":[{\"ok\":{" FIRST "}}]}]}",
                "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}," CONFLICT("a") "]\n", 1);
    /* nothing to look at */
    expect_bulk("{\"docs\":[{\"_id\":\"a\"}]}", "[" FINE("a") "]", NULL, "{}", NULL, 0);
    expect_bulk("{\"new_edits\":false,\"docs\":[{\"_id\":\"a\"}]}", "[" CONFLICT("a") "]", NULL,
                "{}", NULL, 0);
    expect_bulk("{\"docs\":[{\"_id\":\"a\"}]}", "[]", NULL, "{}", NULL, 0);
    expect_bulk("{\"docs\":[{\"_id\":\"b\"}]}", "[" CONFLICT("a") "]", NULL, "{}", NULL, 0);
    expect_bulk("{\"docs\":[{}]}", "[" CONFLICT("a") "]", NULL, "{}", NULL, 0);
    expect_bulk("{\"docs\":[{\"_id\":\"a\"}]}", "[{\"id\":\"a\",\"error\":\"forbidden\"}]", NULL,
                "{}", NULL, 0);
    expect_bulk("no JSON", "[" CONFLICT("a") "]", NULL, "{}", NULL, 0);
    expect_bulk("{\"docs\":[{\"_id\":\"a\"}]}", "{\"error\":\"x\"}", NULL, "{}", NULL, 0);
    /* looked in vain */
    static const char *const vain[] = {
        "",
        "{}",
        "{\"results\":[]}",
        "{\"results\":[{\"id\":\"a\",\"docs\":[]}]}",
        "{\"results\":[{\"id\":\"a\",\"docs\":[{\"error\":{\"reason\":\"missing\"}}]}]}",
        "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"v\":1," THIRD
        "}}]}]}", /* would need a second look */
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(vain); i++) {
        expect_bulk("{\"docs\":[{\"_id\":\"a\",\"v\":1}]}", "[" CONFLICT("a") "]",
                    "{\"docs\":[{\"id\":\"a\"}]}", vain[i], NULL, 0);
    }
}

/* A conflict that stays one may yet be our own. */
static void test_rows_that_stay_open(void **state)
{
#define LOOKED(docs) "{\"results\":[{\"id\":\"a\",\"docs\":[" docs "]}]}"
#define GONE                                                                                       \
    "{\"error\":{\"id\":\"a\",\"rev\":\"undefined\",\"error\":\"not_found\",\"reason\":"           \
    "\"missing\"}}"
    static const struct {
        const char *doc, *looked;
        size_t lacking, unseen;
    } rows[] = {
        /* its parent is not there: the region is behind */
        {"\"_rev\":\"2-bb\"", LOOKED("{\"ok\":{" FIRST "}}"), 1, 0},
        {"\"_rev\":\"1-ab\"", LOOKED("{\"ok\":{" SECOND "}}"), 1, 0},
        {"\"_rev\":\"1-aa\"", LOOKED(GONE), 1, 0},
        {"\"_rev\":\"1-aa\"", LOOKED(""), 1, 0},
        /* it is: somebody else's */
        {"\"_rev\":\"1-aa\"", LOOKED("{\"ok\":{\"v\":2," SECOND "}}"), 0, 0},
        {"\"_rev\":\"1-aa\"", LOOKED("{\"ok\":{\"v\":2," REVS("2", "\"bb\"") "}}"), 0, 0},
        {"\"v\":1", LOOKED("{\"ok\":{\"v\":2," FIRST "}}"), 0, 0},
        {"\"v\":1", LOOKED(GONE), 0, 0},
        /* somebody built on what may be ours; attachments are not in this look */
        {"\"_rev\":\"1-aa\"", LOOKED("{\"ok\":{\"v\":7," THIRD "}}"), 0, 1},
        {"\"_attachments\":{\"t\":{\"data\":\"aGVsbG8=\"}}",
         LOOKED("{\"ok\":{\"_attachments\":{\"t\":{\"revpos\":1,\"stub\":true}}," FIRST "}}"), 0,
         1},
        /* no word of the document */
        {"\"_rev\":\"1-aa\"", LOOKED("{\"error\":{\"error\":\"timeout\"}}"), 0, 1},
        {"\"_rev\":\"1-aa\"", "{\"results\":[{\"id\":\"b\",\"docs\":[]}]}", 0, 1},
        {"\"_rev\":\"1-aa\"", "{\"results\":[{\"id\":\"a\",\"docs\":7}]}", 0, 1},
        {"\"_rev\":\"1-aa\"", "no JSON", 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_trace_rows out;
        char body[256];
        size_t n;
        (void)snprintf(body, sizeof(body), "{\"docs\":[{\"_id\":\"a\",%s}]}", rows[i].doc);
        assert_null(dp_trace_bulk(dp_span_str(body), DP_SPAN("[" CONFLICT("a") "]"),
                                  dp_span_str(rows[i].looked), &n, &out));
        assert_int_equal(out.settled, 0);
        assert_int_equal(out.failed, 1);
        assert_int_equal(out.lacking, rows[i].lacking);
        assert_int_equal(out.unseen, rows[i].unseen);
    }
}

/* Of which document a row tells is not known: it may be about any. */
static void test_rows_without_documents(void **state)
{
    static const struct {
        const char *answer;
        bool blind;
    } rows[] = {
        {"[]", false},
        {"[" FINE("a") "]", false},
        {"[{\"id\":\"a\",\"error\":\"not_implemented\"}]", false},
        {"[" CONFLICT("a") "]", true},
        {"[7,null,{\"error\":7}]", false},
        {"{\"error\":\"conflict\"}", true}, /* no rows at all */
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        size_t n;
        bool blind;
        assert_null(dp_trace_bulk_ask(DP_SPAN("{\"docs\":[{\"_id\":\"a\"},{\"_id\":\"b\"}]}"),
                                      dp_span_str(rows[i].answer), &n, &blind));
        assert_int_equal(blind, rows[i].blind);
    }
}

static void test_databases(void **state)
{
    static const struct {
        const char *info;
        int64_t now_s;
        uint64_t for_s;
        enum dp_trace_verdict verdict;
    } rows[] = {
        /* recorded: its own answer had the second before as its Date */
        {"{\"instance_start_time\":\"1795369353\",\"db_name\":\"d1\"}", 1795369352, 1,
         DP_TRACE_OURS},
        {"{\"instance_start_time\":\"1795369353\"}", 1795369353, 0, DP_TRACE_OURS},
        {"{\"instance_start_time\":\"1795369353\"}", 1795369354, 0, DP_TRACE_NOT},
        {"{\"instance_start_time\":\"1795369353\"}", 1795369354, 1, DP_TRACE_OURS},
        {"{\"instance_start_time\":\"1795369353\"}", 1795369363, 10, DP_TRACE_OURS},
        {"{\"instance_start_time\":\"1795369353\"}", 1795369364, 10, DP_TRACE_NOT},
        {"{\"instance_start_time\":\"1795369353\"}", 0, 10, DP_TRACE_BLIND},
        {"{\"instance_start_time\":\"1795369353\"}", -5, 10, DP_TRACE_BLIND},
        /* CouchDB before 3.2; PouchDB's servers, since they began; CouchDB 1, in microseconds */
        {"{\"instance_start_time\":\"0\"}", 1795369353, 1, DP_TRACE_BLIND},
        {"{\"instance_start_time\":\"1795369353000\"}", 1795369353, 1, DP_TRACE_BLIND},
        {"{\"instance_start_time\":\"1795369353000000\"}", 1795369353, 1, DP_TRACE_BLIND},
        {"{\"instance_start_time\":1795369353}", 1795369353, 1, DP_TRACE_BLIND},
        {"{\"instance_start_time\":\"-1\"}", 1795369353, 1, DP_TRACE_BLIND},
        {"{\"instance_start_time\":\"\"}", 1795369353, 1, DP_TRACE_BLIND},
        {"{}", 1795369353, 1, DP_TRACE_BLIND},
        {"[]", 1795369353, 1, DP_TRACE_BLIND},
        {"", 1795369353, 1, DP_TRACE_BLIND},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_int_equal(dp_trace_database(dp_span_str(rows[i].info), rows[i].now_s, rows[i].for_s),
                         rows[i].verdict);
}

static void test_too_many_rows(void **state)
{
    (void)state;
    for (unsigned n = DP_TRACE_ROWS; n <= DP_TRACE_ROWS + 1; n++) {
        const size_t cap = 64 * (n + 1);
        char *body = malloc(cap), *answer = malloc(cap);
        size_t b = 0, a = 0, bytes;
        bool blind;
        assert_non_null(body);
        assert_non_null(answer);
        for (unsigned i = 0; i < n; i++) {
            b += (size_t)snprintf(body + b, cap - b, "%s{\"_id\":\"%u\"}", i ? "," : "{\"docs\":[",
                                  i);
            a += (size_t)snprintf(answer + a, cap - a, "%s{\"id\":\"%u\",\"error\":\"conflict\"}",
                                  i ? "," : "[", i);
        }
        (void)snprintf(body + b, cap - b, "]}");
        (void)snprintf(answer + a, cap - a, "]");
        char *ask = dp_trace_bulk_ask(dp_span_str(body), dp_span_str(answer), &bytes, &blind);
        assert_true((ask != NULL) == (n <= DP_TRACE_ROWS));
        assert_true(blind == !ask);
        free(ask);
        free(body);
        free(answer);
    }
}

static void test_answers(void **state)
{
    (void)state;
    size_t n;
    char *text = dp_trace_answer("a\"\xc3\xa9", "1-aa", &n);
    assert_string_equal(text, "{\"ok\":true,\"id\":\"a\\\"\xc3\xa9\",\"rev\":\"1-aa\"}\n");
    assert_int_equal(n, strlen(text));
    free(text);
    char *id = dp_trace_id(DP_SPAN("{\"_id\":\"a b\"}"));
    assert_string_equal(id, "a b");
    free(id);
    id = dp_trace_id(DP_SPAN("[{\"missing\":\"1-a\"},{\"ok\":{\"_id\":\"x\"}}]"));
    assert_string_equal(id, "x");
    free(id);
    assert_null(dp_trace_id(DP_SPAN("{\"_id\":7}")));
    assert_null(dp_trace_id(DP_SPAN("[]")));
    assert_null(dp_trace_id(DP_SPAN("{")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_a_parent_that_is_not_there),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_deletions),
        cmocka_unit_test(test_attachments),
        cmocka_unit_test(test_second_looks),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_rows_that_stay_open),
        cmocka_unit_test(test_too_many_rows),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_databases),
        cmocka_unit_test(test_rows_without_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
