/* What requests mean. Each row is a request as CouchDB's own routing takes it (chttpd splits the
 * raw path at "/", drops empty segments, decodes each, and dispatches on the first, second or
 * fourth). */
#include "davenport/base/attr.h"
#include "davenport/couch/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    const char *method, *target;
    enum dp_couch_class klass;
    enum dp_couch_feed feed;
};

#define READ(method, target)                                                                       \
    {                                                                                              \
        method, target, DP_COUCH_READ, DP_FEED_NONE                                                \
    }
#define WRITE(method, target)                                                                      \
    {                                                                                              \
        method, target, DP_COUCH_WRITE, DP_FEED_NONE                                               \
    }
#define POST(method, target)                                                                       \
    {                                                                                              \
        method, target, DP_COUCH_POST, DP_FEED_NONE                                                \
    }
#define FEED(method, target, feed)                                                                 \
    {                                                                                              \
        method, target, DP_COUCH_FEED, DP_FEED_##feed                                              \
    }

/* Classify with every span in memory of its own size, so that a sanitizer sees a byte read too far.
 */
static struct dp_couch_request classify(const char *method, const char *override,
                                        const char *target)
{
    const char *const text[3] = {method, override, target};
    struct dp_span own[3];
    char *copies[3];
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(text[i]);
        copies[i] = malloc(n > 0 ? n : 1);
        assert_non_null(copies[i]);
        memcpy(copies[i], text[i], n);
        own[i] = (struct dp_span){n > 0 ? copies[i] : NULL, n};
    }
    struct dp_couch_request r = dp_couch_classify(own[0], own[1], own[2]);
    for (size_t i = 0; i < 3; i++)
        free(copies[i]);
    return r;
}

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct dp_couch_request r = classify(rows[i].method, "", rows[i].target);
        bool idempotent = rows[i].klass != DP_COUCH_POST;
        if (r.klass != rows[i].klass || r.feed != rows[i].feed || r.idempotent != idempotent)
            fail_msg("%s %s: class %d, feed %d, idempotent %d", rows[i].method, rows[i].target,
                     (int)r.klass, (int)r.feed, (int)r.idempotent);
    }
}

#define CHECK(rows) check((rows), sizeof(rows) / sizeof((rows)[0]))

static void test_methods(void **state)
{
    (void)state;
    static const struct row rows[] = {
        READ("GET", "/"),
        READ("GET", ""),
        READ("GET", "/db"),
        READ("HEAD", "/db"),
        READ("GET", "/db/doc"),
        READ("GET", "/db/doc?rev=1-a&attachments=true"),
        READ("HEAD", "/db/doc"),
        READ("GET", "/db/doc/file.txt"),
        READ("OPTIONS", "/db"),
        READ("OPTIONS", "*"),
        READ("GET", "/_up"),
        READ("GET", "/_all_dbs"),
        READ("GET", "/db/_all_docs?include_docs=true"),
        READ("GET", "/db/_design/x/_info"),
        READ("GET", "/db/_security"),
        WRITE("PUT", "/db"),
        WRITE("DELETE", "/db"),
        WRITE("PUT", "/db/doc"),
        WRITE("PUT", "/db/doc?new_edits=false"),
        WRITE("DELETE", "/db/doc?rev=1-a"),
        WRITE("PUT", "/db/doc/file.txt?rev=1-a"),
        WRITE("DELETE", "/db/doc/file.txt?rev=1-a"),
        WRITE("PUT", "/db/_design/x"),
        WRITE("DELETE", "/db/_design/x?rev=1-a"),
        WRITE("PUT", "/db/_security"),
        POST("POST", "/db"),
        POST("POST", "/db?batch=ok"),
        POST("POST", "/"),
        POST("POST", ""),
        POST("COPY", "/db/doc"),
        POST("COPY", "/db/_design/x"),
        POST("PATCH", "/db/doc"),
        POST("MOVE", "/db/doc"),
        POST("TRACE", "/"),
        /* methods are case-sensitive: CouchDB takes these for no method that it knows */
        POST("get", "/db"),
        POST("Put", "/db/doc"),
        POST("GETS", "/db"),
        POST("", "/db"),
    };
    CHECK(rows);
}

static void test_posts_that_only_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        READ("POST", "/db/_find"),
        READ("POST", "/db/_explain"),
        READ("POST", "/db/_all_docs"),
        READ("POST", "/db/_all_docs?include_docs=true"),
        READ("POST", "/db/_all_docs/queries"),
        READ("POST", "/db/_design_docs"),
        READ("POST", "/db/_design_docs/queries"),
        READ("POST", "/db/_local_docs"),
        READ("POST", "/db/_local_docs/queries"),
        READ("POST", "/db/_bulk_get"),
        READ("POST", "/db/_bulk_get?revs=true"),
        READ("POST", "/db/_revs_diff"),
        READ("POST", "/db/_missing_revs"),
        READ("POST", "/db/_changes"),
        READ("POST", "/db/_changes?filter=_doc_ids"),
        READ("POST", "/db/_design/x/_view/y"),
        READ("POST", "/db/_design/x/_view/y/queries"),
        READ("POST", "/db/_design/x/_view/_update"),
        READ("POST", "/db/_design/x/_search/y"),
        READ("POST", "/db/_design/x/_nouveau/y"),
        READ("POST", "/_dbs_info"),
        READ("POST", "/_search_analyze"),
        READ("POST", "/_nouveau_analyze"),
        READ("POST", "/_users/_find"),
        READ("POST", "/_replicator/_all_docs"),
        READ("POST", "/_global_changes/_revs_diff"),
        /* databases and design documents with names that need quoting, or that mislead */
        READ("POST", "/a%2Fb/_find"),
        READ("POST", "/a%2fb%2Bc/_bulk_get"),
        READ("POST", "/db/_design/a%2Fb/_view/c%2Fd"),
        READ("POST", "/db/_design/_view/_view/_view"),
        READ("POST", "/queries/_find"),
        /* partitions */
        READ("POST", "/db/_partition/p/_find"),
        READ("POST", "/db/_partition/p/_explain"),
        READ("POST", "/db/_partition/p/_all_docs"),
        READ("POST", "/db/_partition/p%2F1/_find"),
        READ("POST", "/db/_partition/p/_design/x/_view/y"),
        READ("POST", "/db/_partition/p/_design/x/_search/y"),
        READ("POST", "/db/_partition/_find/_find"),
        READ("GET", "/db/_partition/p"),
        READ("GET", "/db/_partition/p/_all_docs"),
    };
    CHECK(rows);
}

static void test_posts_that_do_something(void **state)
{
    (void)state;
    static const struct row rows[] = {
        POST("POST", "/db/_bulk_docs"),
        POST("POST", "/db/_purge"),
        POST("POST", "/db/_compact"),
        POST("POST", "/db/_compact/x"),
        POST("POST", "/db/_index"),
        POST("POST", "/db/_index/_bulk_delete"),
        POST("POST", "/db/_ensure_full_commit"),
        POST("POST", "/db/_view_cleanup"),
        POST("POST", "/_replicate"),
        POST("POST", "/_session"),
        POST("POST", "/_users"),
        /* names that only look like those of reading endpoints */
        POST("POST", "/_find"),
        POST("POST", "/db/doc_find"),
        POST("POST", "/db/_find_"),
        POST("POST", "/db/x_find"),
        POST("POST", "/db/_finde"),
        POST("POST", "/db/_FIND"),
        POST("POST", "/db_find"),
        /* endpoints of a database anywhere but right behind it */
        POST("POST", "/db/doc/_find"),
        POST("POST", "/db/doc/_revs_diff"),
        POST("POST", "/db/doc/_bulk_get"),
        POST("POST", "/db/_design/_find"),
        POST("POST", "/db/_design/x/_all_docs"),
        POST("POST", "/db/_design/x/_find"),
        POST("POST", "/db/_local/_find"),
        POST("POST", "/db/_find/x"),
        POST("POST", "/db/_dbs_info"),
        POST("POST", "/db/_search_analyze"),
        POST("POST", "/_dbs_info/x"),
        /* no database: _replicate does not look at what comes behind it */
        POST("POST", "/_replicate/_find"),
        POST("POST", "/_node/_all_docs"),
        POST("POST", "/_session/_bulk_get"),
        /* queries of nothing that has any */
        POST("POST", "/db/queries"),
        POST("POST", "/db/doc/queries"),
        POST("POST", "/db/_find/queries"),
        POST("POST", "/db/_bulk_get/queries"),
        POST("POST", "/db/_design/x/_search/y/queries"),
        /* views, searches only below a design document and only with a name */
        POST("POST", "/db/_view/y"),
        POST("POST", "/db/doc/_view/y"),
        POST("POST", "/db/x/_design/_view/y"),
        POST("POST", "/db/_design/x/_view"),
        POST("POST", "/db/_design/x/_view/y/z"),
        POST("POST", "/db/_design/x/y/_view/z"),
        POST("POST", "/db/_search/y"),
        POST("POST", "/db/_design/x/_search"),
        /* partitions do not have all of it */
        POST("POST", "/db/_partition/p"),
        POST("POST", "/db/_partition/_find"),
        POST("POST", "/db/_partition/p/_bulk_get"),
        POST("POST", "/db/_partition/p/_revs_diff"),
        POST("POST", "/db/_partition/p/_changes"),
        POST("POST", "/db/doc/_partition/p/_find"),
        POST("POST", "/db/_partition/p/_partition/q/_find"),
        /* a query is no path */
        POST("POST", "/db?x=/db/_find"),
        POST("POST", "/db/_bulk_docs?/_find"),
    };
    CHECK(rows);
}

static void test_documents_with_misleading_names(void **state)
{
    (void)state;
    static const struct row rows[] = {
        READ("GET", "/db/doc_changes"),
        READ("GET", "/db/doc_changes?feed=continuous"),
        READ("GET", "/db/_changes_?feed=continuous"),
        READ("GET", "/db/_changes%20?feed=continuous"),
        READ("GET", "/db/doc/_changes?feed=continuous"),
        READ("GET", "/db/_design/_changes?feed=continuous"),
        READ("GET", "/db/_design/x/_changes?feed=continuous"),
        READ("GET", "/db/_local/_changes?feed=continuous"),
        READ("GET", "/_changes?feed=continuous"),
        READ("GET", "/_node/_changes?feed=continuous"),
        READ("GET", "/db/_partition/p/_changes?feed=continuous"),
        READ("GET", "/db/_db_updates?feed=continuous"),
        READ("GET", "/x_db_updates?feed=continuous"),
        READ("GET", "/db/_find"),
        READ("GET", "/db/doc/_update"),
        READ("GET", "/db/doc/_rewrite/x"),
        READ("GET", "/db/_local/_update"),
        READ("GET", "/db/_update/x/y"),
        READ("GET", "/db/_design/x/file/_update"),
        READ("GET", "/db/_design/_update"),
        WRITE("PUT", "/db/_changes"),
        WRITE("PUT", "/db/doc/_changes"),
        WRITE("PUT", "/db/doc/_find"),
        WRITE("PUT", "/db/doc/_update"),
        WRITE("DELETE", "/db/doc/_update?rev=1-a"),
        WRITE("PUT", "/db/_design/_update"),
        WRITE("PUT", "/db/_local/checkpoint"),
        WRITE("DELETE", "/db/_local/_update"),
        POST("POST", "/db/doc/_changes"),
        POST("POST", "/db/_local/x"),
        POST("COPY", "/db/_changes?feed=continuous"),
    };
    CHECK(rows);
}

static void test_design_functions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        POST("GET", "/db/_design/x/_update/f"),
        POST("HEAD", "/db/_design/x/_update/f"),
        POST("OPTIONS", "/db/_design/x/_update/f"),
        POST("PUT", "/db/_design/x/_update/f/doc"),
        POST("POST", "/db/_design/x/_update/f/doc/with/slashes"),
        POST("DELETE", "/db/_design/x/_update/f/doc"),
        POST("GET", "/db/_design/x/_rewrite"),
        POST("GET", "/db/_design/x/_rewrite/a/b/c/d/e/f/g/h"),
        POST("PUT", "/db/_design/x/_rewrite/_all_docs"),
        POST("POST", "/db/_design/x/_rewrite/_view/y"),
        POST("GET", "/db/_design/x/_show/f/doc"),
        POST("GET", "/db/_design/x/_list/f/v"),
        POST("POST", "/db/_design/x/_list/f/y/v"),
        POST("GET", "/db/_partition/p/_design/x/_update/f"),
        POST("GET", "/a%2Fb/_design/x%2Fy/_update/f"),
        /* quoted, as CouchDB decodes each segment before it looks */
        POST("GET", "/db/_design/x/%5Fupdate/f"),
        POST("GET", "/db/%5fdesign/x/_%75pdate/f"),
        POST("GET", "//db//_design//x//_update//f"),
        /* CouchDB redirects a GET of it and makes a document or attachment of anything else */
        READ("GET", "/db/_design%2Fx/_update/f"),
        WRITE("PUT", "/db/_design%2Fx"),
    };
    CHECK(rows);
}

static void test_feeds(void **state)
{
    (void)state;
    static const struct row rows[] = {
        READ("GET", "/db/_changes"),
        READ("GET", "/db/_changes?since=0&limit=10"),
        READ("GET", "/db/_changes?feed=normal"),
        READ("GET", "/db/_changes?feed"),
        READ("GET", "/db/_changes?feed="),
        READ("GET", "/db/_changes?feed=Continuous"),
        READ("GET", "/db/_changes?feed=continuous_"),
        READ("GET", "/db/_changes?xfeed=continuous"),
        READ("GET", "/db/_changes?filter=feed=continuous"),
        READ("GET", "/db/_changes?"),
        READ("GET", "/db/_changes?&&=&"),
        READ("HEAD", "/db/_changes?feed=continuous"),
        READ("GET", "/_db_updates"),
        FEED("GET", "/db/_changes?feed=longpoll", LONGPOLL),
        FEED("GET", "/db/_changes?feed=continuous", CONTINUOUS),
        FEED("GET", "/db/_changes?feed=live", CONTINUOUS),
        FEED("GET", "/db/_changes?feed=eventsource", EVENTSOURCE),
        FEED("POST", "/db/_changes?feed=continuous&filter=_doc_ids", CONTINUOUS),
        FEED("POST", "/db/_changes?feed=longpoll", LONGPOLL),
        /* the order of parameters */
        FEED("GET", "/db/_changes?since=now&heartbeat=5000&feed=continuous", CONTINUOUS),
        FEED("GET", "/db/_changes?feed=longpoll&since=12-abc%3D%3D&timeout=5", LONGPOLL),
        FEED("GET", "/db/_changes?a&b=&feed=longpoll&&", LONGPOLL),
        /* CouchDB takes the last one, in any case, quoted or not */
        FEED("GET", "/db/_changes?feed=normal&feed=continuous", CONTINUOUS),
        READ("GET", "/db/_changes?feed=continuous&feed=normal"),
        FEED("GET", "/db/_changes?FEED=longpoll", LONGPOLL),
        FEED("GET", "/db/_changes?f%65ed=%63ontinuous", CONTINUOUS),
        FEED("GET", "/db/%5Fchanges?feed=continuous", CONTINUOUS),
        READ("GET", "/db/_changes?feed=continuous%"),
        READ("GET", "/db/_changes?feed=continuous%0"),
        READ("GET", "/db/_changes?feed=continuous%zz"),
        READ("GET", "/db/_changes?feed=continuous%00"),
        FEED("GET", "/a%2Fb/_changes?feed=continuous", CONTINUOUS),
        FEED("GET", "/_users/_changes?feed=continuous", CONTINUOUS),
        FEED("GET", "/db/_changes/?feed=continuous", CONTINUOUS),
        FEED("GET", "//db//_changes//?feed=continuous", CONTINUOUS),
        FEED("GET", "/_db_updates?feed=continuous", CONTINUOUS),
        FEED("GET", "/_db_updates?feed=longpoll", LONGPOLL),
        FEED("GET", "/_db_updates?timeout=1&feed=eventsource", EVENTSOURCE),
        FEED("GET", "/_db_updates/?feed=continuous", CONTINUOUS),
    };
    CHECK(rows);
}

static void test_slashes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        READ("POST", "/db/_find/"),
        READ("POST", "/db/_find//"),
        READ("POST", "//db/_find"),
        READ("POST", "/db//_find?x"),
        READ("POST", "/db/_all_docs/queries/"),
        READ("POST", "/db/_design/x/_view/y/"),
        READ("POST", "/_dbs_info/"),
        POST("POST", "/db/"),
        POST("POST", "///"),
        POST("POST", "/db/_bulk_docs/"),
        READ("POST", "/db/%5Ffind"),
        POST("POST", "/db%2F_find"),
        POST("POST", "/db/x%2F_find"),
        /* longer than anything that has a name */
        POST("POST", "/db/_find_but_with_a_name_that_is_much_longer_than_any_endpoint"),
        POST("POST", "/db/%5F%66%69%6E%64%5F%66%69%6E%64%5F%66%69%6E%64%5F%66%69%6E%64"),
        POST("POST", "/a/b/c/d/e/f/g/h/i/j/k/l/_find"),
    };
    CHECK(rows);
}

/* An override is never a reason to send something twice: whether the region heeds it is not ours to
 * know. But a feed stays open if it does. */
static void test_method_override(void **state)
{
    (void)state;
    static const struct {
        const char *method, *override, *target;
        enum dp_couch_class klass;
        enum dp_couch_feed feed;
        bool idempotent;
    } rows[] = {
        {"POST", "GET", "/db/doc", DP_COUCH_POST, DP_FEED_NONE, false},
        {"POST", "PUT", "/db/doc", DP_COUCH_POST, DP_FEED_NONE, false},
        {"POST", "DELETE", "/db/doc", DP_COUCH_POST, DP_FEED_NONE, false},
        {"POST", "PUT", "/db/_find", DP_COUCH_POST, DP_FEED_NONE, false},
        {"POST", "GET", "/db/_changes", DP_COUCH_POST, DP_FEED_NONE, false},
        {"POST", "what", "/db/_find", DP_COUCH_POST, DP_FEED_NONE, false},
        {"POST", "GET", "/db/_changes?feed=continuous", DP_COUCH_FEED, DP_FEED_CONTINUOUS, false},
        {"POST", "POST", "/db/_changes?feed=longpoll", DP_COUCH_FEED, DP_FEED_LONGPOLL, false},
        {"POST", "GET", "/_db_updates?feed=continuous", DP_COUCH_FEED, DP_FEED_CONTINUOUS, false},
        {"POST", "what", "/db/_changes?feed=longpoll", DP_COUCH_FEED, DP_FEED_LONGPOLL, false},
        {"POST", "PUT", "/db/_changes?feed=longpoll", DP_COUCH_POST, DP_FEED_NONE, false},
        /* only a POST may be overridden */
        {"GET", "PUT", "/db/doc", DP_COUCH_READ, DP_FEED_NONE, true},
        {"GET", "DELETE", "/db/_changes?feed=longpoll", DP_COUCH_FEED, DP_FEED_LONGPOLL, true},
        {"PUT", "GET", "/db/doc", DP_COUCH_WRITE, DP_FEED_NONE, true},
        {"DELETE", "POST", "/db/doc", DP_COUCH_WRITE, DP_FEED_NONE, true},
        {"COPY", "GET", "/db/doc", DP_COUCH_POST, DP_FEED_NONE, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_couch_request r = classify(rows[i].method, rows[i].override, rows[i].target);
        if (r.klass != rows[i].klass || r.feed != rows[i].feed ||
            r.idempotent != rows[i].idempotent)
            fail_msg("%s as %s %s: class %d, feed %d, idempotent %d", rows[i].method,
                     rows[i].override, rows[i].target, (int)r.klass, (int)r.feed,
                     (int)r.idempotent);
    }
}

/* Whatever comes: no byte read too far (classify() copies), and what runs twice is never a POST
 * that is not known to read. */
static void test_garbage(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "/",     "db",  "_find", "_changes", "?",       "&",       "feed=", "continuous",
        "%",     "%5",  "%5F",   "%00",      "_design", "_update", "x",     "_partition",
        "_view", "%2F", "=",     "queries",  "\xff",    ".",       "+",     "_db_updates",
    };
    uint32_t seed = 20261122;
    for (int round = 0; round < 20000; round++) {
        char target[256] = "/";
        size_t at = 1;
        for (int k = 0; k < 10; k++) {
            seed = seed * 1664525U + 1013904223U;
            const char *piece = pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))];
            memcpy(target + at, piece, strlen(piece));
            at += strlen(piece);
        }
        target[at] = '\0';
        struct dp_couch_request post = classify("POST", "", target);
        if (post.idempotent && !strchr(target, '_') && !strstr(target, "%5F"))
            fail_msg("POST %s is taken for a read", target);
        assert_true((post.feed != DP_FEED_NONE) == (post.klass == DP_COUCH_FEED));
        struct dp_couch_request put = classify("PUT", "", target);
        assert_true(put.klass == DP_COUCH_WRITE || put.klass == DP_COUCH_POST);
    }
}

/* Whose first byte can be compared with others': one document, attachment or database. */
static void what_is_a_point_request(void **state)
{
    static const struct {
        const char *method, *target;
        bool point;
    } rows[] = {
        {"GET", "/db", true},
        {"HEAD", "/db/doc", true},
        {"GET", "/db/doc?rev=1-a", true},
        {"PUT", "/db/doc", true},
        {"DELETE", "/db/doc?rev=1-a", true},
        {"GET", "/db/a%2Fb", true},
        {"GET", "/db/doc/att.bin", true},
        {"GET", "/_users/org.couchdb.user%3Ax", true},
        {"GET", "/db/_design/d", true},
        {"GET", "/db/_local/c", true},
        {"GET", "/", false},
        {"GET", "/_up", false},
        {"GET", "/_all_dbs", false},
        {"POST", "/db", false},
        {"POST", "/db/_find", false},
        {"POST", "/db/_bulk_docs", false},
        {"GET", "/db/_all_docs", false},
        {"GET", "/db/%5Fall_docs", false},
        {"GET", "/db/_changes", false},
        {"GET", "/db/_changes?feed=continuous", false},
        {"GET", "/db/_design/d/_view/v", false},
        {"GET", "/db/_design/d/_info", false},
        {"GET", "/db/_partition/p", false},
        {"GET", "/db/_partition/p/_all_docs", false},
        {"GET", "/_node/_local/_stats", false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_couch_request r = classify(rows[i].method, "", rows[i].target);
        if (r.point != rows[i].point)
            fail_msg("%s %s: %d", rows[i].method, rows[i].target, r.point);
    }
    assert_false(classify("POST", "GET", "/db/doc").point);
}

/* Which database it is for, may it change documents, must it stay in one region. */
static void where_it_may_go(void **state)
{
    static const struct {
        const char *method, *target, *db, *decoded;
        bool writes, bound;
    } rows[] = {
        /* documents go anywhere */
        {"GET", "/db/doc", "db", "db", false, false},
        {"HEAD", "/db/doc?rev=1-a&conflicts=true", "db", "db", false, false},
        {"PUT", "/db/doc", "db", "db", true, false},
        {"DELETE", "/db/doc?rev=1-a", "db", "db", true, false},
        {"COPY", "/db/doc", "db", "db", true, false},
        {"POST", "/db", "db", "db", true, true},
        {"PUT", "/db/doc/att", "db", "db", true, false},
        {"GET", "/db/_design/d/_view/v?key=1", "db", "db", false, false},
        {"POST", "/db/_design/d/_update/u/doc", "db", "db", true, false},
        {"POST", "/db/_find", "db", "db", false, false},
        {"GET", "/db/_all_docs", "db", "db", false, false},
        {"GET", "/db/_partition/p/_all_docs", "db", "db", false, false},
        {"PUT", "/db/_design/d", "db", "db", true, false},
        /* what a replication does, and what has a region's tokens */
        {"GET", "/db/_changes?since=1-a", "db", "db", false, true},
        {"GET", "/db/_changes?feed=continuous", "db", "db", false, true},
        {"GET", "/db/_local/c", "db", "db", false, true},
        {"PUT", "/db/_local/c", "db", "db", false, true},
        {"PUT", "/db/%5Flocal/c", "db", "db", false, true},
        {"POST", "/db/_revs_diff", "db", "db", false, true},
        {"POST", "/db/_bulk_docs", "db", "db", true, true},
        {"POST", "/db/_bulk_get", "db", "db", false, true},
        {"POST", "/db/_ensure_full_commit", "db", "db", false, true},
        {"GET", "/db/doc?open_revs=all", "db", "db", false, true},
        {"GET", "/db/doc?latest=true&revs=true", "db", "db", false, true},
        {"GET", "/db/doc?rev%73=true", "db", "db", false, true},
        {"GET", "/db/doc?reverse=true", "db", "db", false, false},
        {"GET", "/db/_all_docs?update_seq=true", "db", "db", false, true},
        /* what is not replicated */
        {"GET", "/db", "db", "db", false, true},
        {"GET", "/db/", "db", "db", false, true},
        {"PUT", "/db", "db", "db", true, true},
        {"DELETE", "/db", "db", "db", true, true},
        {"PUT", "/db/_security", "db", "db", true, true},
        {"PUT", "/db/_revs_limit", "db", "db", true, true},
        {"POST", "/db/_purge", "db", "db", true, true},
        {"POST", "/db/_compact/d", "db", "db", false, true},
        /* the server's own */
        {"POST", "/_session", "", "", false, true},
        {"GET", "/_active_tasks", "", "", false, true},
        {"POST", "/_replicate", "", "", false, true},
        {"GET", "/_node/_local/_config", "", "", false, true},
        {"GET", "/_db_updates?feed=continuous", "", "", false, true},
        {"PUT", "/_replicator/doc", "_replicator", "_replicator", true, true},
        {"GET", "/_users/org.couchdb.user%3Ax", "_users", "_users", false, true},
        {"GET", "/", "", "", false, false},
        {"OPTIONS", "*", "", "", false, true},
        /* names, byte for byte */
        {"GET", "/a%2Fb/doc", "a%2Fb", "a/b", false, false},
        {"GET", "//a%2fb//doc", "a%2fb", "a/b", false, false},
        {"GET", "/a+b/doc", "a+b", "a+b", false, false},
        {"GET", "/a%2Bb/doc", "a%2Bb", "a+b", false, false},
        {"GET", "/a%zz/doc", "a%zz", "a%zz", false, false},
        {"GET", "/a%/doc", "a%", "a%", false, false},
        {"GET", "/%5Fusers/doc", "%5Fusers", "_users", false, true},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char buf[DP_COUCH_NAME_BYTES];
        struct dp_span target = dp_span_str(rows[i].target);
        struct dp_couch_request r =
            dp_couch_classify(dp_span_str(rows[i].method), DP_SPAN(""), target);
        if (r.writes != rows[i].writes || r.bound != rows[i].bound ||
            !dp_span_eq(r.db, dp_span_str(rows[i].db)) ||
            !dp_span_eq(dp_couch_name(r.db, buf), dp_span_str(rows[i].decoded)))
            fail_msg("%s %s: writes %d, bound %d, database %.*s", rows[i].method, rows[i].target,
                     r.writes, r.bound, (int)r.db.n, r.db.p ? r.db.p : "");
        if (r.db.n > 0) /* of the target, no copy */
            assert_true(r.db.p > target.p - 1 && r.db.p + r.db.n <= target.p + target.n);
    }
}

/* What is decoded fits, or is left as it is. */
static void a_long_database_name(void **state)
{
    char raw[3 * DP_COUCH_NAME_BYTES + 3], buf[DP_COUCH_NAME_BYTES];
    (void)state;
    for (size_t i = 0; i + 3 <= sizeof(raw); i += 3)
        memcpy(raw + i, "%2F", 3);
    struct dp_span fits = {raw, (size_t)3 * DP_COUCH_NAME_BYTES};
    struct dp_span name = dp_couch_name(fits, buf);
    assert_int_equal(name.n, DP_COUCH_NAME_BYTES);
    assert_int_equal(name.p[DP_COUCH_NAME_BYTES - 1], '/');
    struct dp_span longer = {raw, sizeof(raw)};
    assert_ptr_equal(dp_couch_name(longer, buf).p, raw);
}

static void what_stands_behind_a_name(void **state)
{
    static const struct {
        const char *target, *doc, *db; /* behind it */
    } rows[] = {
        {"/db/doc", "", "doc"},
        {"/db/doc/", "", "doc/"},
        {"/db//doc//?rev=1-a/b", "", "doc//"},
        {"/db/doc?x", "", "doc"},
        {"/db/doc/file", "file", "doc/file"},
        {"/db/doc//a/b?rev=1-a", "a/b", "doc//a/b"},
        {"/db/_design/d", "", "_design/d"},
        {"/db/_design/d/file/", "file/", "_design/d/file/"},
        {"/db", NULL, ""},
        {"/db/", NULL, ""},
        {"//db//?q=2", NULL, ""},
        {"/db?q=/2", NULL, ""},
        {"/db/_security", NULL, "_security"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        const struct dp_span target = dp_span_str(rows[i].target);
        const struct dp_couch_request r = dp_couch_classify(DP_SPAN("GET"), DP_SPAN(""), target);
        const struct dp_span db = dp_couch_behind(target, r.db);
        if (!dp_span_eq(db, dp_span_str(rows[i].db)))
            fail_msg("%s: \"%.*s\" behind the database", rows[i].target, (int)db.n, db.p);
        assert_int_equal(r.doc.n > 0, rows[i].doc != NULL);
        if (!rows[i].doc)
            continue;
        const struct dp_span doc = dp_couch_behind(target, r.doc);
        if (!dp_span_eq(doc, dp_span_str(rows[i].doc)))
            fail_msg("%s: \"%.*s\" behind the document", rows[i].target, (int)doc.n, doc.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_posts_that_only_read),
        cmocka_unit_test(test_posts_that_do_something),
        cmocka_unit_test(test_documents_with_misleading_names),
        cmocka_unit_test(test_design_functions),
        cmocka_unit_test(test_feeds),
        cmocka_unit_test(test_slashes),
        cmocka_unit_test(test_method_override),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(what_is_a_point_request),
        cmocka_unit_test(where_it_may_go),
        cmocka_unit_test(a_long_database_name),
        cmocka_unit_test(what_stands_behind_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
