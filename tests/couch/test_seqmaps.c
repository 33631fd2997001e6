/* The maps of all databases: what is added, forgotten, given up, kept in a text and told to workers. */
#include "davenport/base/attr.h"
#include "davenport/couch/renewal.h"
#include "davenport/couch/seqmaps.h"

#include "couch/seq_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#define NOW_S INT64_C(1764166866)

static struct dp_seqmaps *maps(uint32_t databases)
{
    const struct dp_seqmaps_config config = {databases, 8, 60000};
    struct dp_seqmaps *m = dp_seqmaps_new(&config);
    assert_non_null(m);
    return m;
}

static struct dp_seqmaps_mark mark(const char *db, const char *from, const char *to,
                                   const char *token, int64_t ago_s)
{
    return (struct dp_seqmaps_mark){.database = dp_span_str(db),
                                    .from = dp_span_str(from),
                                    .to = dp_span_str(to),
                                    .token = dp_span_str(token),
                                    .read_ms = (NOW_S - ago_s) * 1000};
}

static void add(struct dp_seqmaps *m, const char *db, const char *from, const char *to,
                const char *token, int64_t ago_s)
{
    const struct dp_seqmaps_mark k = mark(db, from, to, token, ago_s);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
}

static void expect_in(const struct dp_seqview *v, const char *db, const char *from, const char *to,
                      uint64_t caught_up_s, const char *want)
{
    const struct dp_span got = dp_seqview_translate(v, dp_span_str(db), dp_span_str(from),
                                                    dp_span_str(to), caught_up_s, NOW_S);
    assert_int_equal(got.p != NULL, want != NULL);
    if (want)
        assert_true(dp_span_eq(got, dp_span_str(want)));
}

static void expect(struct dp_seqmaps *m, const char *db, const char *from, const char *to,
                   uint64_t caught_up_s, const char *want)
{
    struct dp_seqview *v = dp_seqmaps_view(m);
    assert_non_null(v);
    expect_in(v, db, from, to, caught_up_s, want);
    dp_seqview_unref(v);
}

static void test_translates(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4);
    add(m, "orders", "eu", "us", "u1", 300);
    add(m, "orders", "eu", "us", "u2", 200);
    add(m, "orders", "us", "eu", "e1", 200);
    add(m, "users", "eu", "us", "x1", 200);
    expect(m, "orders", "eu", "us", NOW_S, "u2");
    expect(m, "orders", "eu", "us", NOW_S - 140, "u2");
    expect(m, "orders", "eu", "us", NOW_S - 141, "u1");
    expect(m, "orders", "eu", "us", NOW_S - 241, NULL);
    expect(m, "orders", "us", "eu", NOW_S, "e1");
    expect(m, "users", "eu", "us", NOW_S, "x1");
    expect(m, "users", "us", "eu", NOW_S, NULL);
    expect(m, "other", "eu", "us", NOW_S, NULL);
    expect(m, "orders", "eu", "us", 0, NULL);          /* not known */
    expect(m, "orders", "eu", "us", NOW_S + 60, "u2"); /* clocks may differ so far */
    expect(m, "orders", "eu", "us", NOW_S + 61, NULL);
    expect_in(NULL, "orders", "eu", "us", NOW_S, NULL);
    dp_seqmaps_free(m);
    dp_seqmaps_free(NULL);
    dp_seqview_unref(NULL);
}

/* A snapshot stays as it is, whatever becomes of the maps. */
static void test_snapshots_stay(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4);
    add(m, "orders", "eu", "us", "u1", 300);
    add(m, "users", "eu", "us", "x1", 300);
    struct dp_seqview *first = dp_seqmaps_view(m);
    uint64_t version = dp_seqmaps_version(m);
    add(m, "orders", "eu", "us", "u1", 250); /* says nothing new */
    assert_int_equal(dp_seqmaps_version(m), version);
    add(m, "orders", "eu", "us", "u2", 200);
    assert_true(dp_seqmaps_version(m) > version);
    struct dp_seqview *second = dp_seqview_ref(dp_seqmaps_view(m));
    dp_seqmaps_forget(m, DP_SPAN("orders"), DP_SPAN("us"));
    dp_seqmaps_free(m);
    expect_in(first, "orders", "eu", "us", NOW_S, "u1");
    expect_in(second, "orders", "eu", "us", NOW_S, "u2");
    dp_seqview_unref(first);
    dp_seqview_unref(second);
    expect_in(second, "users", "eu", "us", NOW_S, "x1");
    dp_seqview_unref(second);
}

static void test_forgets(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4);
    add(m, "orders", "eu", "us", "u1", 300);
    add(m, "orders", "us", "eu", "e1", 300);
    add(m, "orders", "us", "ap", "a1", 300);
    add(m, "users", "eu", "us", "x1", 300);
    dp_seqmaps_forget(m, DP_SPAN("orders"), DP_SPAN("eu"));
    expect(m, "orders", "eu", "us", NOW_S, NULL);
    expect(m, "orders", "us", "eu", NOW_S, NULL);
    expect(m, "orders", "us", "ap", NOW_S, "a1");
    expect(m, "users", "eu", "us", NOW_S, "x1");
    dp_seqmaps_free(m);
}

static void look(struct dp_seqmaps *m, const char *db, const char *region, const char *token,
                 uint64_t asked_ns)
{
    dp_seqmaps_look(m, dp_span_str(db), dp_span_str(region), dp_span_str(token), NOW_S * 1000,
                    asked_ns);
}

static void expect_look(struct dp_seqmaps *m, const char *db, const char *region, uint64_t want_ns)
{
    struct dp_seqview *v = dp_seqmaps_view(m);
    const struct dp_seqlook *l = dp_seqview_look(v, dp_span_str(db), dp_span_str(region));
    assert_int_equal(l ? dp_seqlook_newest_ns(l) : 0, want_ns);
    dp_seqview_unref(v);
}

/* What regions told is in snapshots while there is a map from there, and is not kept. */
static void test_looks(void **state)
{
    static const unsigned seq[] = {5, 6}, node[] = {0, 0};
    char token[ENCODED_MAX];
    (void)state;
    struct dp_seqmaps *m = maps(4);
    struct dp_seqmaps_mark k = mark("orders", "eu", "ap", "a1", 300);
    encode_seq(seq, node, "uu", token);
    look(m, "orders", "eu", token, 1); /* no map yet */
    k.from_life = DP_SPAN("1");
    add(m, "orders", "eu", "us", "u1", 300);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    expect_look(m, "orders", "eu", 0);
    const uint64_t version = dp_seqmaps_version(m), looks = dp_seqmaps_looks(m);
    look(m, "orders", "us", token, 2);
    look(m, "users", "eu", token, 2);
    look(m, "orders", "eu", "12", 2);
    look(m, "orders", "eu", "none", 2);
    assert_int_equal(dp_seqmaps_looks(m), looks);
    look(m, "orders", "eu", token, 3);
    assert_true(dp_seqmaps_looks(m) > looks);
    assert_int_equal(dp_seqmaps_version(m), version);
    expect_look(m, "orders", "eu", 3);
    expect_look(m, "orders", "us", 0);
    struct dp_seqview *before = dp_seqmaps_view(m);
    look(m, "orders", "eu", token, 4);
    expect_look(m, "orders", "eu", 4);
    assert_int_equal(
        dp_seqlook_newest_ns(dp_seqview_look(before, DP_SPAN("orders"), DP_SPAN("eu"))), 3);
    dp_seqview_unref(before);
    assert_null(dp_seqview_look(NULL, DP_SPAN("orders"), DP_SPAN("eu")));
    dp_seqmaps_forget(m, DP_SPAN("orders"), DP_SPAN("us"));
    expect_look(m, "orders", "eu", 4); /* from the map to ap */
    k.from_life = DP_SPAN("2");
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    expect_look(m, "orders", "eu", 0); /* another database */
    dp_seqmaps_free(m);
}

/* In whatever order they come, and whose names begin alike. */
static void test_many(void **state)
{
    enum { DATABASES = 97, STEP = 41 };
    static const char *const regions[] = {"e", "eu", "us"};
    (void)state;
    struct dp_seqmaps *m = maps(DATABASES);
    char db[32], token[64];
    for (unsigned i = 0; i < DATABASES * 6; i++) {
        const unsigned pair = i / DATABASES, d = i * STEP % DATABASES;
        const char *from = regions[pair / 2], *to = regions[(pair / 2 + 1 + pair % 2) % 3];
        (void)snprintf(db, sizeof(db), "db%.*s", (int)(d % 7), "xxxxxxx");
        (void)snprintf(db + strlen(db), sizeof(db) - strlen(db), "%u", d / 7);
        (void)snprintf(token, sizeof(token), "%s-%s-%s", db, from, to);
        add(m, db, from, to, token, 200);
    }
    struct dp_seqview *v = dp_seqmaps_view(m);
    struct dp_seqmaps_row row;
    size_t n = 0;
    for (; dp_seqmaps_row(m, n, &row); n++) {
        (void)snprintf(token, sizeof(token), "%s-%s-%s", row.database, row.from, row.to);
        expect_in(v, row.database, row.from, row.to, NOW_S, token);
        expect_in(v, row.database, row.from, row.from, NOW_S, NULL);
    }
    assert_int_equal(n, DATABASES * 6);
    expect_in(v, "db", "eu", "e", NOW_S, NULL);
    expect_in(v, "zz", "eu", "e", NOW_S, NULL);
    dp_seqview_unref(v);
    dp_seqmaps_free(m);
}

/* A map that came after the last look has none; the others from there have. */
static void test_looks_past_a_new_map(void **state)
{
    static const unsigned seq[] = {5, 6}, node[] = {0, 0};
    char token[ENCODED_MAX];
    (void)state;
    struct dp_seqmaps *m = maps(4);
    encode_seq(seq, node, "uu", token);
    add(m, "orders", "eu", "us", "u1", 300);
    look(m, "orders", "eu", token, 3);
    add(m, "orders", "eu", "ap", "a1", 300);
    add(m, "orders", "eu", "zz", "z1", 300);
    expect_look(m, "orders", "eu", 3);
    look(m, "orders", "eu", token, 4);
    expect_look(m, "orders", "eu", 4);
    dp_seqmaps_free(m);
}

/* Another database under the old name. */
static void test_lives(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4);
    struct dp_seqmaps_mark k = mark("orders", "eu", "us", "u1", 300);
    k.from_life = DP_SPAN("100");
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    k = mark("orders", "eu", "us", "u2", 290); /* not told this time */
    k.to_life = DP_SPAN("200");
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    expect(m, "orders", "eu", "us", NOW_S - 240, "u1");
    k = mark("orders", "eu", "us", "u3", 280);
    k.from_life = DP_SPAN("100");
    k.to_life = DP_SPAN("201");
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    expect(m, "orders", "eu", "us", NOW_S - 225, NULL);
    expect(m, "orders", "eu", "us", NOW_S, "u3");
    dp_seqmaps_free(m);
}

static void test_bounds(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(2);
    struct dp_seqmaps_row row;
    static char large[DP_SEQMAPS_NAME + 1];
    memset(large, 'a', sizeof(large) - 1);
    add(m, "a", "eu", "us", "1", 300);
    add(m, "a", "us", "eu", "1", 300);
    add(m, "b", "eu", "us", "1", 200);
    add(m, "a", "us", "eu", "1", 100);
    add(m, "a", "eu", "us", "1", 100); /* tells nothing new, and yet it is in use */
    add(m, "c", "eu", "us", "1", 100);
    expect(m, "a", "eu", "us", NOW_S, "1");
    expect(m, "b", "eu", "us", NOW_S, NULL);
    expect(m, "c", "eu", "us", NOW_S, "1");
    assert_true(dp_seqmaps_row(m, 0, &row));
    assert_string_equal(row.database, "a");
    assert_string_equal(row.from, "eu");
    assert_string_equal(row.to, "us");
    assert_int_equal(row.marks, 1);
    assert_int_equal(row.oldest_ms, (NOW_S - 300) * 1000);
    assert_int_equal(row.newest_ms, (NOW_S - 300) * 1000);
    assert_int_equal(row.confirmed_ms, (NOW_S - 100) * 1000);
    assert_true(dp_seqmaps_row(m, 2, &row));
    assert_false(dp_seqmaps_row(m, 3, &row));
    struct dp_seqmaps_mark k = mark(large, "eu", "us", "1", 1);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_ELIMIT);
    k = mark("a", "eu", "", "1", 1);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_EINVAL);
    k = mark("a", "eu", "us", "", 1);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_EINVAL);
    k = mark("a", "eu", "us", "1", NOW_S);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_EINVAL);
    k = mark("caf\303\251", "eu", "us", "1", 1); /* no name of CouchDB's */
    assert_int_equal(dp_seqmaps_add(m, &k), DP_EINVAL);
    k = mark("a", "eu", "us", "1\n", 1);
    assert_int_equal(dp_seqmaps_add(m, &k), DP_EINVAL);
    dp_seqmaps_free(m);
}

static void test_text(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4), *again = maps(4), *one = maps(4);
    size_t n, part;
    const char *why;
    struct dp_seqmaps_mark k = mark("orders", "eu", "us", "12-g1AA\"\\", 300);
    k.from_life = DP_SPAN("100");
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    add(m, "orders", "eu", "us", "u2", 200);
    add(m, "a_(b)+/$", "us", "eu", "17", 200);
    char *text = dp_seqmaps_write(m, DP_SPAN(""), &n);
    assert_non_null(text);
    assert_int_equal(dp_seqmaps_read(again, DP_SPAN(""), (struct dp_span){text, n}, &why), DP_OK);
    expect(again, "orders", "eu", "us", NOW_S - 240, "12-g1AA\"\\");
    expect(again, "orders", "eu", "us", NOW_S, "u2");
    expect(again, "a_(b)+/$", "us", "eu", NOW_S, "17");
    char *same = dp_seqmaps_write(again, DP_SPAN(""), &part);
    assert_int_equal(part, n);
    assert_string_equal(same, text);
    /* read once more it tells nothing new */
    const uint64_t version = dp_seqmaps_version(again);
    assert_int_equal(dp_seqmaps_read(again, DP_SPAN(""), (struct dp_span){text, n}, &why), DP_OK);
    assert_int_equal(dp_seqmaps_version(again), version);
    free(same);
    same = dp_seqmaps_write(m, DP_SPAN("orders"), &part);
    assert_int_equal(dp_seqmaps_read(one, DP_SPAN(""), (struct dp_span){same, part}, &why), DP_OK);
    expect(one, "orders", "eu", "us", NOW_S, "u2");
    expect(one, "a_(b)+/$", "us", "eu", NOW_S, NULL);
    free(same);
    assert_int_equal(dp_seqmaps_read(one, DP_SPAN("a_(b)+/$"), (struct dp_span){text, n}, &why),
                     DP_OK);
    expect(one, "a_(b)+/$", "us", "eu", NOW_S, "17");
    free(text);
    dp_seqmaps_free(one);
    dp_seqmaps_free(again);
    dp_seqmaps_free(m);
}

/* Marks from elsewhere about a database that is another one here. */
static void test_text_of_another_life(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4), *other = maps(4);
    size_t n;
    const char *why;
    struct dp_seqmaps_mark k = mark("orders", "eu", "us", "old", 300);
    k.to_life = DP_SPAN("100");
    assert_int_equal(dp_seqmaps_add(other, &k), DP_OK);
    k = mark("orders", "eu", "us", "new", 100);
    k.to_life = DP_SPAN("101");
    assert_int_equal(dp_seqmaps_add(m, &k), DP_OK);
    char *text = dp_seqmaps_write(other, DP_SPAN(""), &n);
    assert_int_equal(dp_seqmaps_read(m, DP_SPAN(""), (struct dp_span){text, n}, &why), DP_OK);
    expect(m, "orders", "eu", "us", NOW_S - 60, NULL);
    expect(m, "orders", "eu", "us", NOW_S, "new");
    free(text);
    dp_seqmaps_free(other);
    dp_seqmaps_free(m);
}

/* Cut anywhere, or with any byte changed: nothing of it is believed. */
static void test_damaged_text(void **state)
{
    (void)state;
    struct dp_seqmaps *m = maps(4), *again = maps(4);
    struct dp_seqmaps_row row;
    size_t n;
    const char *why = NULL;
    add(m, "orders", "eu", "us", "u2", 200);
    char *text = dp_seqmaps_write(m, DP_SPAN(""), &n);
    for (size_t i = 0; i < n; i++) {
        why = NULL;
        assert_int_equal(dp_seqmaps_read(again, DP_SPAN(""), (struct dp_span){text, i}, &why),
                         DP_EINVAL);
        assert_non_null(why);
        text[i] ^= 1;
        assert_int_equal(dp_seqmaps_read(again, DP_SPAN(""), (struct dp_span){text, n}, &why),
                         DP_EINVAL);
        text[i] ^= 1;
    }
    assert_false(dp_seqmaps_row(again, 0, &row));
    free(text);
    dp_seqmaps_free(again);
    dp_seqmaps_free(m);
}

/* Whole, but not what is expected. */
static void test_odd_text(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum dp_err err;
    } cases[] = {
        {"{", DP_EINVAL},
        {"[]", DP_OK},
        {"{\"maps\":{}}", DP_OK},
        {"{\"maps\":[1,{},{\"marks\":[{}]},{\"database\":\"a\",\"from\":\"b\",\"to\":\"c\","
         "\"marks\":[{"
         "\"token\":1,\"read_ms\":5},{\"token\":\"x\",\"read_ms\":-5},{\"token\":\"x\"}]}]}",
         DP_OK},
    };
    struct dp_seqmaps *m = maps(4);
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        char text[512];
        const char *why, *json = cases[i].json;
        const size_t bytes = strlen(json);
        const int n = snprintf(text, sizeof(text), "davenport-sequence-maps 1 %08lx %zu\n%s",
                               crc32_z(0, (const unsigned char *)json, bytes), bytes, json);
        assert_int_equal(dp_seqmaps_read(m, DP_SPAN(""), (struct dp_span){text, (size_t)n}, &why),
                         cases[i].err);
        expect(m, "a", "b", "c", NOW_S, NULL);
    }
    dp_seqmaps_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_translates),
        cmocka_unit_test(test_snapshots_stay),
        cmocka_unit_test(test_forgets),
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_damaged_text),
        cmocka_unit_test(test_text_of_another_life),
        cmocka_unit_test(test_odd_text),
        cmocka_unit_test(test_looks),
        cmocka_unit_test(test_looks_past_a_new_map),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
