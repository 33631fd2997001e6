/* What regions answer about a database and its replications, as CouchDB 3.4.3 and PouchDB's server were recorded to say it. */
#include "davenport/couch/replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static void test_info(void **state)
{
    (void)state;
    struct dp_replica_info i = {.seq = "kept"};
    assert_int_equal(
        dp_replica_info(DP_SPAN("{\"instance_start_time\":\"1795369353\",\"db_name\":\"d1\","
                                "\"update_seq\":\"7-g1AAAACXeJz\",\"doc_count\":0}"),
                        &i),
        DP_OK);
    assert_string_equal(i.seq, "7-g1AAAACXeJz");
    assert_string_equal(i.life, "1795369353");
    assert_false(i.number);
    assert_int_equal(
        dp_replica_info(DP_SPAN("{\"update_seq\":\"7-x\",\"instance_start_time\":\"0\"}"), &i),
        DP_OK);
    assert_string_equal(i.life, "");
    assert_int_equal(
        dp_replica_info(
            DP_SPAN("{\"doc_count\":2,\"update_seq\":2,\"backend_adapter\":\"LevelDOWN\","
                    "\"db_name\":\"x\",\"instance_start_time\":\"1795703242670\"}"),
            &i),
        DP_OK);
    assert_true(i.number);
    assert_int_equal(i.seq_number, 2);
    assert_string_equal(i.seq, "2");
    assert_string_equal(i.life, "");
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"update_seq\":null}",
                                      "{\"update_seq\":\"\"}",
                                      "{\"update_seq\":-1}",
                                      "{\"update_"};
    struct dp_replica_info before = i;
    for (size_t k = 0; k < ROWS(bad); k++) {
        assert_int_equal(dp_replica_info(dp_span_str(bad[k]), &i), DP_EINVAL);
        assert_memory_equal(&i, &before, sizeof(i));
    }
}

static const char page_one[] = "{\"results\":[\n"
                               "{\"seq\":\"2-g1A\",\"id\":\"d1\",\"changes\":[{\"rev\":\"1-"
                               "731bef401491606a3b246ed178e697c1\"}]},\n"
                               "{\"seq\":null,\"id\":\"d0\",\"changes\":[{\"rev\":\"2-aa\"},{"
                               "\"rev\":\"2-bb\"}],\"deleted\":true}\n"
                               "],\n\"last_seq\":\"3-g1B\",\"pending\":0}\n";

static void expect_question(const struct dp_replica_set *s, const char *want)
{
    size_t n = 0;
    char *text = dp_replica_set_question(s, &n);
    assert_non_null(text);
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
    free(text);
}

struct walk {
    char text[256];
    size_t n;
    enum dp_err err; /* what it answers */
};

static enum dp_err on_leaves(void *ctx, const char *id, const char *const *revs, size_t n)
{
    struct walk *w = ctx;
    w->n += (size_t)snprintf(w->text + w->n, sizeof(w->text) - w->n, "%s", id);
    for (size_t i = 0; i < n; i++)
        w->n += (size_t)snprintf(w->text + w->n, sizeof(w->text) - w->n, " %s", revs[i]);
    w->n += (size_t)snprintf(w->text + w->n, sizeof(w->text) - w->n, ";");
    return w->err;
}

static void test_each_document_is_told(void **state)
{
    (void)state;
    struct dp_replica_set *s = dp_replica_set_new();
    struct dp_replica_page page;
    struct walk w = {.err = DP_OK};
    assert_non_null(s);
    assert_int_equal(dp_replica_set_each(s, on_leaves, &w), DP_OK);
    assert_int_equal(w.n, 0);
    assert_int_equal(dp_replica_take_page(s, dp_span_str(page_one), &page), DP_OK);
    assert_int_equal(dp_replica_set_each(s, on_leaves, &w), DP_OK);
    assert_string_equal(w.text, "d1 1-731bef401491606a3b246ed178e697c1;d0 2-aa 2-bb;");
    w = (struct walk){.err = DP_ELIMIT};
    assert_int_equal(dp_replica_set_each(s, on_leaves, &w), DP_ELIMIT);
    assert_string_equal(w.text, "d1 1-731bef401491606a3b246ed178e697c1;");
    dp_replica_set_free(s);
}

static void test_pages_and_what_is_missing(void **state)
{
    (void)state;
    struct dp_replica_set *s = dp_replica_set_new();
    struct dp_replica_page page;
    assert_non_null(s);
    assert_null(dp_replica_set_example(s));
    assert_int_equal(dp_replica_take_page(s, dp_span_str(page_one), &page), DP_OK);
    assert_int_equal(page.rows, 2);
    assert_string_equal(page.last_seq, "3-g1B");
    assert_int_equal(dp_replica_set_count(s), 2);
    expect_question(s,
                    "{\"d1\":[\"1-731bef401491606a3b246ed178e697c1\"],\"d0\":[\"2-aa\",\"2-bb\"]}");

    assert_int_equal(
        dp_replica_take_missing(
            s,
            DP_SPAN("{\"d0\":{\"missing\":[\"2-bb\"],\"possible_ancestors\":[\"1-c\"]},"
                    "\"d1\":{\"missing\":[]}}"),
            NULL),
        DP_OK);
    expect_question(s, "{\"d0\":[\"2-bb\"]}");
    assert_string_equal(dp_replica_set_example(s), "d0");

    /* a document that moved on has one row, its last */
    assert_int_equal(dp_replica_take_page(s,
                                          DP_SPAN("{\"results\":[{\"id\":\"d0\",\"changes\":[{"
                                                  "\"rev\":\"3-c\"}],\"seq\":7}],\"last_seq\":7}"),
                                          &page),
                     DP_OK);
    assert_string_equal(page.last_seq, "7");
    expect_question(s, "{\"d0\":[\"3-c\"]}");
    assert_int_equal(dp_replica_take_missing(s, DP_SPAN("{}"), NULL), DP_OK);
    assert_int_equal(dp_replica_set_count(s), 0);
    dp_replica_set_free(s);
    dp_replica_set_free(NULL);
}

/* Whose last state is there lacks nothing of before. */
static void test_newer_settles_older(void **state)
{
    (void)state;
    struct dp_replica_set *old = dp_replica_set_new(), *newer = dp_replica_set_new();
    struct dp_replica_page page;
    assert_int_equal(dp_replica_take_page(
                         old,
                         DP_SPAN("{\"results\":[{\"id\":\"a\",\"changes\":[{\"rev\":\"1-a\"}]},"
                                 "{\"id\":\"b\",\"changes\":[{\"rev\":\"1-b\"}]},"
                                 "{\"id\":\"c\",\"changes\":[{\"rev\":\"1-c\"}]}],\"last_seq\":3}"),
                         &page),
                     DP_OK);
    assert_int_equal(dp_replica_take_page(
                         newer,
                         DP_SPAN("{\"results\":[{\"id\":\"a\",\"changes\":[{\"rev\":\"2-a\"}]},"
                                 "{\"id\":\"b\",\"changes\":[{\"rev\":\"2-b\"}]}],\"last_seq\":5}"),
                         &page),
                     DP_OK);
    assert_int_equal(
        dp_replica_take_missing(newer, DP_SPAN("{\"b\":{\"missing\":[\"2-b\"]}}"), old), DP_OK);
    expect_question(old, "{\"b\":[\"1-b\"],\"c\":[\"1-c\"]}");
    expect_question(newer, "{\"b\":[\"2-b\"]}");
    assert_int_equal(dp_replica_set_merge(old, newer), DP_OK);
    expect_question(old, "{\"b\":[\"2-b\"],\"c\":[\"1-c\"]}");
    assert_int_equal(dp_replica_set_count(newer), 0);
    dp_replica_set_clear(old);
    assert_int_equal(dp_replica_set_count(old), 0);
    dp_replica_set_free(old);
    dp_replica_set_free(newer);
}

static void test_bad_answers_change_nothing(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "",
        "{}",
        "{\"results\":[]}",
        "{\"results\":{},\"last_seq\":\"1\"}",
        "{\"results\":[{}],\"last_seq\":\"1\"}",
        "{\"results\":[{\"id\":1,\"changes\":[]}],\"last_seq\":\"1\"}",
        "{\"results\":[{\"id\":\"a\",\"changes\":[{}]}],\"last_seq\":\"1\"}",
        "{\"results\":[{\"id\":\"a\",\"changes\":[]}],\"last_seq\":\"\"}",
        "{\"error\":\"not_found\",\"reason\":\"missing\"}"};
    static const char *const answers[] = {"",
                                          "[]",
                                          "{\"x\":{\"missing\":[\"1-a\"]}}",
                                          "{\"d1\":{}}",
                                          "{\"d1\":{\"missing\":[1]}}",
                                          "{\"d1\":{\"missing\":\"1-a\"}}"};
    struct dp_replica_set *s = dp_replica_set_new();
    struct dp_replica_page page;
    assert_int_equal(dp_replica_take_page(s, dp_span_str(page_one), &page), DP_OK);
    struct dp_replica_page before = page;
    for (size_t i = 0; i < ROWS(pages); i++) {
        assert_int_equal(dp_replica_take_page(s, dp_span_str(pages[i]), &page), DP_EINVAL);
        assert_memory_equal(&page, &before, sizeof(page));
        assert_int_equal(dp_replica_set_count(s), 2);
    }
    for (size_t i = 0; i < ROWS(answers); i++) {
        assert_int_equal(dp_replica_take_missing(s, dp_span_str(answers[i]), NULL), DP_EINVAL);
        assert_int_equal(dp_replica_set_count(s), 2);
    }
    /* cut at every byte */
    for (size_t n = 0; n < sizeof(page_one) - 2; n++)
        assert_int_equal(dp_replica_take_page(s, (struct dp_span){page_one, n}, &page), DP_EINVAL);
    dp_replica_set_free(s);
}

struct seen_job {
    unsigned n;
    char text[4][400];
};

static void keep_job(void *ctx, const struct dp_replica_job *j)
{
    struct seen_job *s = ctx;
    assert_true(s->n < 4);
    (void)snprintf(s->text[s->n++], sizeof(s->text[0]), "%s>%s id=%s doc=%s %s %s%s%s %lld",
                   j->source, j->target, j->id, j->doc_id, j->state, j->error,
                   j->continuous ? " continuous" : "", j->whole ? " whole" : "",
                   (long long)j->doc_write_failures);
}

static void test_jobs(void **state)
{
    (void)state;
    struct seen_job s = {0};
    assert_int_equal(
        dp_replica_scheduler_docs(
            DP_SPAN("{\"total_rows\":2,\"offset\":0,\"docs\":[\n"
                    "{\"database\":\"_replicator\",\"doc_id\":\"r2\",\"id\":\"dd78+continuous\","
                    "\"source\":\"http://a/r/\",\"target\":\"http://b/r/"
                    "\",\"state\":\"running\",\"info\":"
                    "{\"changes_pending\":null,\"doc_write_failures\":1}},\n"
                    "{\"doc_id\":\"r4\",\"id\":null,\"source\":\"http://a/r/\",\"target\":\"http://"
                    "b/r/\","
                    "\"state\":\"crashing\",\"info\":{\"error\":\"db_not_found\"},\"error_count\":"
                    "1}]}"),
            keep_job, &s),
        DP_OK);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.text[0],
                        "http://a/r/>http://b/r/ id=dd78+continuous doc=r2 running  continuous 1");
    assert_string_equal(s.text[1], "http://a/r/>http://b/r/ id= doc=r4 crashing db_not_found -1");
    s.n = 0;
    assert_int_equal(dp_replica_replicator_docs(
                         DP_SPAN("{\"rows\":[{\"id\":\"_design/"
                                 "_replicator\",\"doc\":{\"_id\":\"_design/_replicator\"}},"
                                 "{\"id\":\"x\",\"doc\":{\"_id\":\"x\",\"source\":\"http://a/"
                                 "x\",\"target\":{\"url\":\"http://b/x\","
                                 "\"auth\":{}},\"continuous\":true,\"_replication_id\":\"b1\",\"_"
                                 "replication_state\":\"triggered\"}},"
                                 "{\"id\":\"f\",\"doc\":{\"_id\":\"f\",\"source\":\"s\",\"target\":"
                                 "\"t\",\"filter\":\"a/b\"}},"
                                 "{\"id\":\"n\",\"doc\":null}]}"),
                         keep_job, &s),
                     DP_OK);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.text[0],
                        "http://a/x>http://b/x id=b1 doc=x triggered  continuous whole -1");
    assert_string_equal(s.text[1], "s>t id= doc=f   -1");
    assert_int_equal(dp_replica_scheduler_docs(DP_SPAN("{\"docs\":1}"), keep_job, &s), DP_EINVAL);
    assert_int_equal(dp_replica_replicator_docs(DP_SPAN("{}"), keep_job, &s), DP_EINVAL);
}

static void test_documents_of_replications(void **state)
{
    (void)state;
    bool whole = false;
    char token[DP_REPLICA_TOKEN];
    assert_int_equal(
        dp_replica_replicator_doc(
            DP_SPAN("{\"_id\":\"r2\",\"source\":{},\"continuous\":true,\"owner\":\"admin\"}"),
            &whole),
        DP_OK);
    assert_true(whole);
    static const char *const less[] = {"{\"filter\":\"d/f\"}",  "{\"doc_ids\":[\"d\"]}",
                                       "{\"selector\":{}}",     "{\"since_seq\":\"9-x\"}",
                                       "{\"query_params\":{}}", "{\"winning_revs_only\":true}"};
    for (size_t i = 0; i < ROWS(less); i++) {
        assert_int_equal(dp_replica_replicator_doc(dp_span_str(less[i]), &whole), DP_OK);
        assert_false(whole);
    }
    assert_int_equal(
        dp_replica_checkpoint(
            DP_SPAN("{\"_id\":\"_local/dd78\",\"_rev\":\"0-3\",\"source_last_seq\":\"20-g1A\"}"),
            token),
        DP_OK);
    assert_string_equal(token, "20-g1A");
    assert_int_equal(dp_replica_checkpoint(DP_SPAN("{\"last_seq\":12}"), token), DP_OK);
    assert_string_equal(token, "12");
    assert_int_equal(dp_replica_checkpoint(DP_SPAN("{\"_id\":\"_local/x\"}"), token), DP_EINVAL);
}

static void test_one_document(void **state)
{
    (void)state;
    static const struct {
        const char *body, *rev; /* NULL: none is told */
    } docs[] = {
        {"{\"ok\":true,\"id\":\"a\",\"rev\":\"2-0aF\"}", "2-0aF"},
        {"{\"_id\":\"a\",\"_rev\":\"13-7e\",\"n\":1}", "13-7e"},
        {"{\"_rev\":\"1-\\\"\"}", NULL},
        {"{\"rev\":\"\"}", NULL},
        {"{\"rev\":7}", NULL},
        {"{}", NULL},
        {"[]", NULL},
        {"{\"rev\":\"1-0123456789012345678901234567890123456789012345678901234567890123\"}", NULL},
    };
    static const struct {
        const char *body;
        int lacks; /* -1: not what was asked for */
    } diffs[] = {
        {"{}", 0},
        {"{\"a\":{\"missing\":[\"1-b\",\"2-c\"]}}", 1},
        {"{\"a\":{\"missing\":[\"1-b\"],\"possible_ancestors\":[\"2-c\"]}}", 0},
        {"{\"b\":{\"missing\":[\"2-c\"]}}", 0},
        {"{\"a\":{\"missing\":[2]}}", 0},
        {"{\"a\":{}}", -1},
        {"{\"a\":null}", -1},
        {"[]", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ROWS(docs); i++) {
        char rev[DP_REPLICA_REV] = "-";
        const enum dp_err err = dp_replica_rev(dp_span_str(docs[i].body), rev);
        assert_int_equal(err, docs[i].rev ? DP_OK : DP_EINVAL);
        assert_string_equal(rev, docs[i].rev ? docs[i].rev : "-");
    }
    for (size_t i = 0; i < ROWS(diffs); i++) {
        bool lacks = true;
        const enum dp_err err = dp_replica_lacks(dp_span_str(diffs[i].body), "a", "2-c", &lacks);
        assert_int_equal(err, diffs[i].lacks < 0 ? DP_EINVAL : DP_OK);
        assert_int_equal(lacks, diffs[i].lacks != 0);
    }
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *base, *name;
    } rows[] = {
        {"http://127.0.0.1:5984/r/", "http://127.0.0.1:5984", "r"},
        {"http://admin:s%40e@Host.Example:80/a%2Fb", "http://host.example", "a/b"},
        {"https://u:p@x@h:443/db", "https://h", "db"},
        {"https://h:80/db?x", "https://h:80", "db"},
        {"http://[::1]:5984/db", "http://[::1]:5984", "db"},
        {"http://h/a%", "http://h", "a%"},
        {"ftp://h/db", NULL, NULL},
        {"http://h", NULL, NULL},
        {"http://h/", NULL, NULL},
        {"http:///db", NULL, NULL},
        {"http://h/prefix/db", NULL, NULL},
        {"http://h/a%00b", NULL, NULL},
        {"db", NULL, NULL},
        {"", NULL, NULL},
    };
    char base[DP_REPLICA_BASE], name[DP_REPLICA_NAME], out[64];
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(dp_replica_url(rows[i].url, base, name), rows[i].base != NULL);
        if (!rows[i].base)
            continue;
        assert_string_equal(base, rows[i].base);
        assert_string_equal(name, rows[i].name);
    }
    assert_true(dp_replica_encode("a/b+c_$()-x", out, sizeof(out)));
    assert_string_equal(out, "a%2Fb%2Bc_$()-x");
    assert_false(dp_replica_encode("abcdefgh", out, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_each_document_is_told),
        cmocka_unit_test(test_pages_and_what_is_missing),
        cmocka_unit_test(test_newer_settles_older),
        cmocka_unit_test(test_bad_answers_change_nothing),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_documents_of_replications),
        cmocka_unit_test(test_one_document),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
