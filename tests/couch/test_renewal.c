/* When the reader of an open feed has caught up: what looks and rows prove, and what they do not. */
#include "davenport/base/attr.h"
#include "davenport/couch/renewal.h"
#include "davenport/couch/token.h"

#include "couch/seq_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define T0 UINT64_C(1764166800)

static const unsigned one_node[] = {0, 0};

static struct dp_seq seq_of(const char *token)
{
    struct dp_seq s;
    assert_int_equal(dp_seq_parse(dp_span_str(token), &s), DP_OK);
    return s;
}

/* Asked for at T0 + at, and then on the other clock too; it takes the place of *l. */
static void look(struct dp_seqlook **l, unsigned at, unsigned a, unsigned b, const unsigned node[2])
{
    const unsigned seq[] = {a, b};
    char token[ENCODED_MAX];
    encode_seq(seq, node, "uu", token);
    const struct dp_seq told = seq_of(token);
    struct dp_seqlook *newer = dp_seqlook_new(*l, &told, T0 + at, at);
    assert_non_null(newer);
    dp_seqlook_unref(*l);
    *l = newer;
}

static bool row_by(struct dp_renewal *r, const struct dp_seqlook *l, unsigned at, unsigned a,
                   unsigned b, const unsigned node[2], const char *uuid)
{
    const unsigned seq[] = {a, b};
    char token[ENCODED_MAX];
    encode_seq(seq, node, uuid, token);
    return dp_renewal_row(r, l, dp_span_str(token), at);
}

static bool row(struct dp_renewal *r, const struct dp_seqlook *l, unsigned at, unsigned a,
                unsigned b)
{
    return row_by(r, l, at, a, b, one_node, "uu");
}

static void test_two_looks_prove_the_first(void **state)
{
    (void)state;
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL;
    look(&l, 10, 5, 5, one_node);
    assert_false(row(&r, l, 11, 5, 4)); /* not there yet */
    assert_int_equal(r.used_ns, 0);
    assert_false(row(&r, l, 12, 5, 5)); /* the first is passed */
    assert_int_equal(r.used_ns, 10);
    assert_false(row(&r, l, 13, 9, 9)); /* and again, which is nothing new */
    look(&l, 20, 8, 8, one_node);
    assert_false(row(&r, l, 21, 8, 7));
    assert_true(row(&r, l, 22, 8, 8));
    assert_int_equal(r.caught_up_s, T0 + 10);
    look(&l, 30, 8, 8, one_node);
    assert_true(row(&r, l, 31, 9, 8));
    assert_int_equal(r.caught_up_s, T0 + 20);
    dp_seqlook_unref(l);
}

/* What was asked for before the first was passed may be told of by the same round. */
static void test_the_second_is_asked_for_after_the_first_was_passed(void **state)
{
    (void)state;
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL, *early = NULL;
    look(&l, 10, 5, 5, one_node);
    look(&early, 20, 6, 6, one_node);
    assert_false(row(&r, l, 25, 5, 5));
    assert_false(row(&r, early, 26, 6, 6));
    assert_int_equal(r.used_ns, 20);
    look(&l, 25, 6, 6, one_node); /* in the very moment: no */
    assert_false(row(&r, l, 27, 6, 6));
    look(&l, 26, 6, 6, one_node);
    assert_true(row(&r, l, 28, 6, 6));
    assert_int_equal(r.caught_up_s, T0 + 10);
    dp_seqlook_unref(l);
    dp_seqlook_unref(early);
}

static void test_what_came_before_nodes_agreed_counts_for_nothing(void **state)
{
    (void)state;
    struct dp_renewal r = {.settled_s = T0 + 61};
    struct dp_seqlook *l = NULL;
    look(&l, 60, 5, 5, one_node);
    assert_false(row(&r, l, 61, 5, 5));
    assert_int_equal(r.used_ns, 60);
    assert_int_equal(r.passed_s, 0);
    look(&l, 62, 5, 5, one_node);
    assert_false(row(&r, l, 63, 5, 5));
    look(&l, 64, 5, 5, one_node);
    assert_true(row(&r, l, 65, 6, 5));
    assert_int_equal(r.caught_up_s, T0 + 62);
    dp_seqlook_unref(l);
}

/* Each of a cluster's nodes counts for itself: rows are held against what their own one told, whenever that was. */
static void test_nodes_are_kept_apart(void **state)
{
    (void)state;
    static const unsigned feed[] = {1, 2}, here[] = {1, 0}, there[] = {0, 2};
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL;
    look(&l, 10, 5, 90, here);
    assert_false(row_by(&r, l, 11, 200, 200, feed, "uu"));
    assert_int_equal(r.passed_s, 0);
    look(&l, 20, 90, 7, there);
    assert_false(row_by(&r, l, 21, 5, 7, feed, "uu"));
    assert_int_equal(r.passed_s, T0 + 10); /* the older of the two */
    look(&l, 30, 6, 90, here);
    assert_false(row_by(&r, l, 31, 6, 7, feed, "uu")); /* one is from before */
    look(&l, 40, 90, 8, there);
    assert_true(row_by(&r, l, 41, 6, 8, feed, "uu"));
    assert_int_equal(r.caught_up_s, T0 + 10);
    assert_int_equal(r.passed_s, T0 + 30);
    dp_seqlook_unref(l);
}

static void test_what_can_not_be_compared(void **state)
{
    (void)state;
    static const char *const tokens[] = {"12", "0", "", "null", "7-g1AAAA", "1-g2wAAAABaAM"};
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL;
    look(&l, 10, 5, 5, one_node);
    assert_false(row_by(&r, l, 11, 9, 9, one_node, "vv")); /* another file by the same name */
    for (size_t i = 0; i < DP_ARRAY_LEN(tokens); i++)
        assert_false(dp_renewal_row(&r, l, dp_span_str(tokens[i]), 12));
    assert_int_equal(r.passed_s, 0);
    assert_int_equal(r.used_ns, 0);
    const struct dp_seq number = seq_of("12");
    assert_null(dp_seqlook_new(l, &number, T0 + 20, 20));
    dp_seqlook_unref(l);
}

/* A token that leaves out a part of the database proves nothing of it. */
static void test_all_shards_are_there(void **state)
{
    (void)state;
    /* [{n1, [0, 2147483647], {5, "uu", n1}}] */
    static const unsigned char half[] = {131, 108, 0,   0,   0,   1, 104, 3,   100, 0,  2,
                                         'n', '0', 108, 0,   0,   0, 2,   97,  0,   98, 127,
                                         255, 255, 255, 106, 104, 3, 97,  5,   109, 0,  0,
                                         0,   2,   'u', 'u', 100, 0, 2,   'n', '0', 106};
    char token[ENCODED_MAX] = "5-";
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL;
    encode64(half, sizeof(half), token + 2);
    assert_int_equal(seq_of(token).n, 1);
    look(&l, 10, 5, 5, one_node);
    assert_false(dp_renewal_row(&r, l, dp_span_str(token), 11));
    assert_int_equal(r.passed_s, 0);
    dp_seqlook_unref(l);
}

/* Of a database with so many shards as a token may have, all at `seq` by one node; in the order of their ranges or the other way. */
static void large_token(unsigned node, unsigned char seq, bool backwards, char *out)
{
    static unsigned char term[64 * DP_SEQ_SHARDS];
    const unsigned char name[] = {100, 0, 2, 'n', (unsigned char)('0' + node)};
    static const unsigned char list[] = {108, 0, 0, 0, 2}, triple[] = {104, 3};
    static const unsigned char begin[] = {131, 108, 0, 0, 0, DP_SEQ_SHARDS};
    size_t n = put(term, begin, sizeof(begin));
    for (unsigned i = 0; i < DP_SEQ_SHARDS; i++) {
        const uint32_t width = UINT32_C(1) << 25, at = backwards ? DP_SEQ_SHARDS - 1 - i : i;
        const uint32_t range[] = {at * width, at * width + (width - 1)};
        const unsigned char tail[] = {97, seq, 109, 0, 0, 0, 2, 'u', 'u'};
        n += put(term + n, triple, sizeof(triple));
        n += put(term + n, name, sizeof(name));
        n += put(term + n, list, sizeof(list));
        for (unsigned k = 0; k < 2; k++) {
            const unsigned char number[] = {110,
                                            4,
                                            0,
                                            (unsigned char)range[k],
                                            (unsigned char)(range[k] >> 8),
                                            (unsigned char)(range[k] >> 16),
                                            (unsigned char)(range[k] >> 24)};
            n += put(term + n, number, sizeof(number));
        }
        term[n++] = 106;
        n += put(term + n, triple, sizeof(triple));
        n += put(term + n, tail, sizeof(tail));
        n += put(term + n, name, sizeof(name));
    }
    term[n++] = 106;
    memcpy(out, "1-", 3);
    encode64(term, n, out + 2);
}

/* In a large cluster what is oldest falls off, and each of the others is found. */
static void test_many_readings(void **state)
{
    static char token[DP_SEQ_TEXT];
    enum { NODES = DP_SEQLOOK_READINGS / DP_SEQ_SHARDS + 1 };
    struct dp_seqlook *l = NULL;
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned node = 0; node < NODES; node++) {
            large_token(node, 5, (node + round) % 2, token);
            const struct dp_seq told = seq_of(token);
            const uint64_t at = 10 + round * NODES + node;
            struct dp_seqlook *newer = dp_seqlook_new(l, &told, T0 + at, at);
            assert_non_null(newer);
            dp_seqlook_unref(l);
            l = newer;
        }
    }
    for (unsigned node = 0; node < NODES; node++) {
        for (unsigned char seq = 4; seq <= 6; seq++) {
            struct dp_renewal r = {.settled_s = T0};
            large_token(node, seq, seq % 2, token);
            assert_false(dp_renewal_row(&r, l, dp_span_str(token), 100));
            assert_int_equal(r.passed_s, node > 0 && seq >= 5 ? T0 + 10 + NODES + node : 0);
        }
    }
    dp_seqlook_unref(l);
}

static void test_an_empty_shard_is_passed(void **state)
{
    (void)state;
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL;
    look(&l, 10, 5, 0, one_node);
    assert_false(row_by(&r, l, 11, 5, 0, one_node, "uu"));
    assert_int_equal(r.passed_s, T0 + 10);
    dp_seqlook_unref(l);
}

static void test_a_clock_that_is_set_back_takes_nothing(void **state)
{
    (void)state;
    struct dp_renewal r = {.settled_s = T0, .caught_up_s = T0 + 50};
    struct dp_seqlook *l = NULL;
    look(&l, 10, 5, 5, one_node);
    assert_false(row(&r, l, 11, 5, 5));
    look(&l, 20, 5, 5, one_node);
    assert_false(row(&r, l, 21, 5, 5));
    assert_int_equal(r.caught_up_s, T0 + 50);
    dp_seqlook_unref(l);
}

/* ---- in a feed's rows ---- */

static unsigned run(struct dp_tagger *t, const char *text, size_t cut, char *out)
{
    size_t n = 0, used;
    for (size_t at = 0; at < strlen(text); at += used) {
        const size_t left = strlen(text) - at;
        n += dp_tagger_run(t, text + at, left < cut ? left : cut, &used, out + n, 4096);
    }
    out[n] = '\0';
    return (unsigned)n;
}

static void expect_tags(const char *out, const char *key, const char *tag)
{
    unsigned found = 0;
    for (const char *at = strstr(out, key); at; at = strstr(at + 1, key)) {
        const char *tilde = strchr(at + strlen(key), '~');
        assert_non_null(tilde);
        assert_int_equal(strncmp(tilde, tag, strlen(tag)), 0);
        found++;
    }
    assert_true(found > 0);
}

/* Of both kinds of feed: the row that passes the second look tells already, an event's id with it, and so does the end. */
static void feed(enum dp_tokens kind)
{
    const struct dp_token_times times = {{T0, 0}, {T0 + 1, T0 - 100}, UINT64_MAX};
    const unsigned seq[] = {5, 5};
    char token[ENCODED_MAX], text[2048], out[8192];
    struct dp_renewal r = {.settled_s = T0};
    struct dp_seqlook *l = NULL;
    struct dp_tagger t;
    encode_seq(seq, one_node, "uu", token);
    (void)snprintf(text, sizeof(text),
                   kind == DP_TOKENS_LINES ? "{\"seq\":\"%s\",\"id\":\"a\"}\n"
                                           : "data: {\"seq\":\"%s\",\"id\":\"a\"}\nid: \"%s\"\n\n",
                   token, token);
    dp_tagger_init(&t, kind, DP_SPAN("eu"), &times);
    look(&l, 10, 5, 5, one_node);
    t.look = (struct dp_tagger_look){&r, l, 11};
    (void)run(&t, text, sizeof(text), out);
    expect_tags(out, "\"seq\":\"", "~eu.1764166800\"");
    assert_null(t.look.renewal);
    look(&l, 20, 5, 5, one_node);
    t.look = (struct dp_tagger_look){&r, l, 21};
    (void)run(&t, text, 7, out); /* in two runs: nothing is found out, and it stays to be */
    expect_tags(out, "\"seq\":\"", "~eu.1764166800\"");
    assert_non_null(t.look.renewal);
    (void)run(&t, text, sizeof(text), out);
    expect_tags(out, "\"seq\":\"", "~eu.1764166810\"");
    if (kind == DP_TOKENS_EVENTS)
        expect_tags(out, "\nid: ", "~eu.1764166810\"");
    assert_null(t.look.renewal);
    (void)run(&t, text, 1, out);
    expect_tags(out, "\"seq\":\"", "~eu.1764166810\"");
    (void)snprintf(text, sizeof(text), "{\"last_seq\":\"%s\",\"pending\":0}\n", token);
    if (kind == DP_TOKENS_LINES) {
        (void)run(&t, text, 1, out);
        expect_tags(out, "\"last_seq\":\"", "~eu.1764166810.1764166700\"");
    }
    dp_seqlook_unref(l);
}

static void test_lines_tell(void **state)
{
    (void)state;
    feed(DP_TOKENS_LINES);
}

static void test_events_tell(void **state)
{
    (void)state;
    feed(DP_TOKENS_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_looks_prove_the_first),
        cmocka_unit_test(test_the_second_is_asked_for_after_the_first_was_passed),
        cmocka_unit_test(test_what_came_before_nodes_agreed_counts_for_nothing),
        cmocka_unit_test(test_nodes_are_kept_apart),
        cmocka_unit_test(test_what_can_not_be_compared),
        cmocka_unit_test(test_all_shards_are_there),
        cmocka_unit_test(test_an_empty_shard_is_passed),
        cmocka_unit_test(test_many_readings),
        cmocka_unit_test(test_a_clock_that_is_set_back_takes_nothing),
        cmocka_unit_test(test_lines_tell),
        cmocka_unit_test(test_events_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
