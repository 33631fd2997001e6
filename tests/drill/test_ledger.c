/* The ledger: what a write is known by, which document comes next, what is stale, what was told twice. */
#include "davenport/drill/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HASH "0123456789abcdef0123456789abcdef"

static struct dp_ledger *make(uint32_t slots, uint32_t max_writes, uint32_t max_rows)
{
    const struct dp_ledger_options opt = {
        .run = "r1", .slots = slots, .max_writes = max_writes, .max_rows = max_rows};
    struct dp_ledger *l = dp_ledger_new(&opt);
    assert_non_null(l);
    return l;
}

static struct dp_ledger_counts counts(const struct dp_ledger *l)
{
    struct dp_ledger_counts c;
    dp_ledger_count(l, &c);
    return c;
}

/* A write of a slot's document, acknowledged with the generation. */
static uint32_t stored(struct dp_ledger *l, uint32_t slot, const char *rev)
{
    uint32_t tag = dp_ledger_begin(l, DP_WRITE_PUT, slot, 5);
    assert_int_not_equal(tag, DP_LEDGER_NONE);
    assert_int_equal(dp_ledger_acknowledged(l, tag, DP_SPAN(""), dp_span_str(rev), 201, 1, 7),
                     DP_OK);
    return tag;
}

static void test_a_document_is_written_on_what_was_told_last(void **state)
{
    (void)state;
    struct dp_ledger *l = make(3, 100, 100);
    char text[DP_LEDGER_BODY], rev[DP_LEDGER_REV], id[DP_LEDGER_ID];
    size_t n;
    uint32_t first = stored(l, 2, "1-" HASH);
    uint32_t next = dp_ledger_begin(l, DP_WRITE_PUT, 2, 8);
    assert_int_equal(dp_ledger_write(l, next)->parent, first);
    n = dp_ledger_parent(l, next, rev);
    assert_int_equal(n, strlen(rev));
    assert_string_equal(rev, "1-" HASH);
    n = dp_ledger_id(l, next, id);
    assert_int_equal(n, strlen(id));
    assert_string_equal(id, "drill-r1-00002.0");
    n = dp_ledger_body(l, next, text);
    assert_int_equal(n, strlen(text));
    assert_string_equal(text, "\"drill\":\"r1\",\"tag\":1");
    /* one at a time */
    assert_int_equal(dp_ledger_begin(l, DP_WRITE_PUT, 2, 8), DP_LEDGER_NONE);
    assert_int_not_equal(dp_ledger_begin(l, DP_WRITE_PUT, 1, 8), DP_LEDGER_NONE);
    assert_false(counts(l).full);
    assert_int_equal(counts(l).open, 2);
    dp_ledger_free(l);
}

static void test_what_was_not_acknowledged_is_left_alone(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        enum dp_write_outcome outcome;
    } cases[] = {{409, DP_WRITE_REFUSED}, {400, DP_WRITE_REFUSED}, {499, DP_WRITE_REFUSED},
                 {503, DP_WRITE_UNKNOWN}, {500, DP_WRITE_UNKNOWN}, {0, DP_WRITE_UNKNOWN},
                 {302, DP_WRITE_UNKNOWN}, {200, DP_WRITE_UNKNOWN}};
    struct dp_ledger *l = make(1, 100, 100);
    char id[DP_LEDGER_ID], want[DP_LEDGER_ID], rev[DP_LEDGER_REV];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)stored(l, 0, "1-" HASH);
        uint32_t tag = dp_ledger_begin(l, DP_WRITE_PUT, 0, 8);
        dp_ledger_failed(l, tag, cases[i].status, DP_LEDGER_NO_REGION, 9);
        assert_int_equal(dp_ledger_write(l, tag)->outcome, cases[i].outcome);
        tag = dp_ledger_begin(l, DP_WRITE_PUT, 0, 10);
        assert_int_equal(dp_ledger_parent(l, tag, rev), 0);
        (void)snprintf(want, sizeof(want), "drill-r1-00000.%zu", i + 1);
        (void)dp_ledger_id(l, tag, id);
        assert_string_equal(id, want);
        /* until the new one is there the old one is read */
        struct dp_ledger_read r;
        assert_true(dp_ledger_read_begin(l, 0, &r));
        assert_string_not_equal(r.id, want);
        assert_int_equal(
            dp_ledger_acknowledged(l, tag, DP_SPAN(""), DP_SPAN("1-" HASH), 201, 0, 11), DP_OK);
        assert_true(dp_ledger_read_begin(l, 0, &r));
        assert_string_equal(r.id, want);
    }
    assert_int_equal(counts(l).refused, 3);
    assert_int_equal(counts(l).unknown, 5);
    dp_ledger_free(l);
}

static void test_a_success_without_a_revision_proves_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "1-", "0-ab", "x", "-ab", "99999999999-ab"};
    struct dp_ledger *l = make(1, 100, 100);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint32_t tag = dp_ledger_begin(l, DP_WRITE_PUT, 0, 1);
        assert_int_equal(
            dp_ledger_acknowledged(l, tag, DP_SPAN("x"), dp_span_str(bad[i]), 201, 0, 2),
            DP_EINVAL);
        assert_int_equal(dp_ledger_write(l, tag)->outcome, DP_WRITE_UNKNOWN);
    }
    uint32_t post = dp_ledger_begin(l, DP_WRITE_POST, 0, 1);
    assert_int_equal(dp_ledger_acknowledged(l, post, DP_SPAN(""), DP_SPAN("1-a"), 201, 0, 2),
                     DP_EINVAL);
    assert_int_equal(counts(l).unknown, 7);
    assert_int_equal(counts(l).open, 0);
    dp_ledger_free(l);
}

static void test_documents_without_a_slot(void **state)
{
    (void)state;
    struct dp_ledger *l = make(1, 100, 100);
    char id[DP_LEDGER_ID];
    uint32_t post = dp_ledger_begin(l, DP_WRITE_POST, 0, 1);
    uint32_t file = dp_ledger_begin(l, DP_WRITE_ATTACHMENT, 0, 1);
    assert_int_equal(dp_ledger_id(l, post, id), 0);
    assert_string_equal(id, "");
    (void)dp_ledger_id(l, file, id);
    assert_string_equal(id, "drill-r1-a1");
    assert_int_equal(dp_ledger_acknowledged(l, post, DP_SPAN(HASH), DP_SPAN("1-" HASH), 201, 0, 2),
                     DP_OK);
    const struct dp_digest d = dp_digest_of(DP_SPAN(HASH));
    assert_memory_equal(dp_ledger_write(l, post)->id.b, d.b, sizeof(d.b));
    dp_ledger_failed(l, file, 503, 0, 2);
    assert_int_equal(dp_ledger_begin(l, DP_WRITE_PUT, 0, 1), 2);
    dp_ledger_free(l);
}

static void test_bounds(void **state)
{
    (void)state;
    struct dp_ledger *l = make(1, 20000, 100); /* more than a chunk */
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(dp_ledger_begin(l, DP_WRITE_POST, 0, i), i);
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(dp_ledger_write(l, i)->begun_ms, i);
    assert_false(counts(l).full);
    assert_int_equal(dp_ledger_begin(l, DP_WRITE_POST, 0, 0), DP_LEDGER_NONE);
    assert_true(counts(l).full);
    assert_int_equal(counts(l).writes, 20000);
    assert_true(dp_ledger_bytes(l) > 20000 * sizeof(struct dp_write));
    assert_true(dp_ledger_bytes(l) < 60000 * sizeof(struct dp_write));
    dp_ledger_free(l);
    static const char *const bad[] = {"", "a-b", "a/b", "abcdefghijklmnopqrstuvwx"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct dp_ledger_options opt = {.run = bad[i], .slots = 1};
        assert_null(dp_ledger_new(&opt));
    }
}

static void test_stale_reads(void **state)
{
    (void)state;
    struct dp_ledger *l = make(2, 100, 100);
    struct dp_ledger_read r;
    size_t n;
    assert_false(dp_ledger_read_begin(l, 0, &r));
    (void)stored(l, 0, "1-" HASH);
    (void)stored(l, 0, "2-" HASH);
    assert_true(dp_ledger_read_begin(l, 0, &r));
    assert_string_equal(r.id, "drill-r1-00000.0");
    (void)stored(l, 0, "3-" HASH); /* after the read began: it need not be seen */
    assert_false(dp_ledger_read_end(l, &r, DP_SPAN("2-" HASH), 0, 9));
    assert_false(dp_ledger_read_end(l, &r, DP_SPAN("3-" HASH), 0, 9));
    assert_false(dp_ledger_read_end(l, &r, DP_SPAN("2-ffffffffffffffffffffffffffffffff"), 0, 9));
    assert_false(dp_ledger_read_end(l, &r, DP_SPAN("nonsense"), 0, 9));
    assert_int_equal(counts(l).reads, 3);
    assert_true(dp_ledger_read_end(l, &r, DP_SPAN("1-" HASH), 1, 10));
    assert_true(dp_ledger_read_end(l, &r, DP_SPAN(""), 1, 11));
    const struct dp_stale_read *s = dp_ledger_stale(l, &n);
    assert_int_equal(n, 2);
    assert_int_equal(s[0].floor, 1);
    assert_int_equal(s[0].generation, 1);
    assert_int_equal(s[1].generation, 0);
    assert_int_equal(s[1].now_ms, 11);
    for (unsigned i = 0; i < 2 * DP_LEDGER_STALE_KEPT; i++)
        assert_true(dp_ledger_read_end(l, &r, DP_SPAN(""), 1, 11));
    (void)dp_ledger_stale(l, &n);
    assert_int_equal(n, DP_LEDGER_STALE_KEPT);
    assert_int_equal(counts(l).stale_reads, 2 + 2 * DP_LEDGER_STALE_KEPT);
    dp_ledger_free(l);
}

static void row(struct dp_ledger *l, uint32_t feed, unsigned n)
{
    char id[32];
    int k = snprintf(id, sizeof(id), "doc-%u", n);
    dp_ledger_row(l, feed, (struct dp_span){id, (size_t)k}, DP_SPAN("1-" HASH));
}

static bool told(const struct dp_ledger *l, uint32_t feed, unsigned n)
{
    char id[32];
    int k = snprintf(id, sizeof(id), "doc-%u", n);
    return dp_ledger_told(l, feed, (struct dp_span){id, (size_t)k}, DP_SPAN("1-" HASH));
}

static void test_followers(void **state)
{
    (void)state;
    struct dp_ledger *l = make(1, 100, 5000);
    struct dp_feed_counts c;
    uint32_t a = dp_ledger_feed(l, "longpoll"), b = dp_ledger_feed(l, "continuous");
    assert_false(told(l, a, 0));
    for (unsigned i = 0; i < 5000; i++)
        row(l, a, i);
    for (unsigned i = 0; i < 5000; i++)
        assert_true(told(l, a, i));
    assert_false(told(l, a, 5000));
    assert_false(told(l, b, 0));
    assert_false(dp_ledger_told(l, a, DP_SPAN("doc-1"), DP_SPAN("2-" HASH)));
    row(l, a, 17);
    dp_ledger_row(l, a, DP_SPAN("doc-17"), DP_SPAN("2-" HASH));
    assert_true(dp_ledger_feed_count(l, a, &c));
    assert_string_equal(c.kind, "longpoll");
    assert_int_equal(c.rows, 5002);
    assert_int_equal(c.redelivered, 1);
    assert_true(c.full); /* the 5001st different one */
    assert_true(counts(l).full);
    row(l, b, 17);
    assert_true(dp_ledger_feed_count(l, b, &c));
    assert_int_equal(c.rows, 1);
    assert_int_equal(c.redelivered, 0);
    assert_false(c.full);
    assert_false(dp_ledger_feed_count(l, 2, &c));
    for (unsigned i = 2; i < DP_LEDGER_FEEDS; i++)
        assert_int_equal(dp_ledger_feed(l, "longpoll"), i);
    assert_int_equal(dp_ledger_feed(l, "longpoll"), DP_LEDGER_NONE);
    dp_ledger_free(l);
}

static void test_revisions(void **state)
{
    (void)state;
    size_t n;
    struct dp_ledger_rev a, b;
    char text[DP_LEDGER_REV];
    assert_true(dp_ledger_rev_parse(DP_SPAN("4294967295-" HASH), &a));
    n = dp_ledger_rev_text(&a, text);
    assert_int_equal(n, strlen(text));
    assert_string_equal(text, "4294967295-" HASH);
    assert_true(dp_ledger_rev_parse(DP_SPAN("2-odd"), &a));
    assert_true(dp_ledger_rev_parse(DP_SPAN("2-odder"), &b));
    assert_false(dp_ledger_rev_eq(&a, &b));
    assert_true(dp_ledger_rev_parse(DP_SPAN("2-odd"), &b));
    assert_true(dp_ledger_rev_eq(&a, &b));
    /* upper case is another text */
    assert_true(dp_ledger_rev_parse(DP_SPAN("2-0123456789ABCDEF0123456789ABCDEF"), &a));
    assert_true(dp_ledger_rev_parse(DP_SPAN("2-" HASH), &b));
    assert_false(dp_ledger_rev_eq(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_is_written_on_what_was_told_last),
        cmocka_unit_test(test_what_was_not_acknowledged_is_left_alone),
        cmocka_unit_test(test_a_success_without_a_revision_proves_nothing),
        cmocka_unit_test(test_documents_without_a_slot),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_stale_reads),
        cmocka_unit_test(test_followers),
        cmocka_unit_test(test_revisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
