/* The sequence map: which mark is used, from when on, and which are kept. */
#include "davenport/couch/seqmap.h"
#include "davenport/couch/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static void add(struct dp_seqmap *m, const char *b, uint64_t read_ns)
{
    bool changed;
    assert_int_equal(dp_seqmap_add(m, dp_span_str(b), read_ns, &changed), DP_OK);
}

static void expect(const struct dp_seqmap *m, uint64_t caught_up_ns, const char *want)
{
    struct dp_span got = dp_seqmap_translate(m, caught_up_ns);
    assert_true(dp_span_eq(got, dp_span_str(want)));
    assert_int_equal(got.p == NULL, want == NULL);
}

static void test_the_newest_that_is_proven(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(8, 0);
    assert_non_null(m);
    expect(m, 50 * S, NULL);
    add(m, "b10", 10 * S);
    add(m, "b20", 20 * S);
    expect(m, 9 * S, NULL);
    expect(m, 10 * S, "b10");
    expect(m, 19 * S, "b10");
    expect(m, 20 * S, "b20");
    expect(m, 90 * S, "b20");
    dp_seqmap_forget(m);
    expect(m, 90 * S, NULL);
    dp_seqmap_free(m);
}

static void test_a_mark_ages_first(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(8, 60 * S);
    assert_non_null(m);
    add(m, "b10", 100 * S);
    add(m, "b20", 130 * S);
    expect(m, 159 * S, NULL);
    expect(m, 160 * S, "b10");
    expect(m, 189 * S, "b10");
    expect(m, 190 * S, "b20");
    dp_seqmap_free(m);
}

static void test_what_is_no_mark(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(8, 0);
    struct dp_seqmap_mark k;
    bool changed;
    static const char large[DP_SEQ_TEXT + 1];
    assert_non_null(m);
    assert_int_equal(dp_seqmap_add(m, DP_SPAN(""), 0, &changed), DP_EINVAL);
    assert_int_equal(dp_seqmap_add(m, (struct dp_span){large, sizeof(large)}, 0, &changed),
                     DP_ELIMIT);
    assert_false(dp_seqmap_mark(m, 0, &k));
    dp_seqmap_free(m);
    dp_seqmap_free(NULL);
}

/* A day of marks, one a minute, in 16 places: the newest are all there, and the older they are the farther apart. */
static void test_thinning(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(16, 0);
    struct dp_seqmap_mark k, before = {.read_ns = 0};
    unsigned n = 0;
    assert_non_null(m);
    for (unsigned i = 1; i <= 1440; i++) {
        char b[16];
        (void)snprintf(b, sizeof(b), "b%u", i);
        add(m, b, i * 60 * S);
    }
    expect(m, 1440 * 60 * S, "b1440");
    expect(m, 1439 * 60 * S, "b1439");
    for (; dp_seqmap_mark(m, n, &k); n++) {
        uint64_t age_s = (1440 * 60 * S - k.read_ns) / S, gap_s = (k.read_ns - before.read_ns) / S;
        assert_true(k.read_ns > before.read_ns);
        /* nobody's feed goes back by much more than it was away anyway */
        assert_true(n == 0 || gap_s <= 2 * age_s + 120);
        before = k;
    }
    assert_int_equal(n, 16);
    assert_true(dp_seqmap_mark(m, 0, &k) && k.read_ns == 60 * S); /* the oldest reaches far back */
    dp_seqmap_free(m);
}

static void test_two_places(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(2, 0);
    assert_non_null(m);
    add(m, "b1", 1 * S);
    add(m, "b2", 2 * S);
    add(m, "b3", 3 * S);
    expect(m, 1 * S, NULL);
    expect(m, 2 * S, "b2");
    expect(m, 3 * S, "b3");
    dp_seqmap_free(m);
}

/* Young marks are kept alike, so that the next to be used is as near as the others. */
static void test_thinning_of_the_young(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(32, 60 * S);
    struct dp_seqmap_mark k, before = {.read_ns = 0};
    assert_non_null(m);
    for (unsigned i = 1; i <= 3600; i++) {
        char b[16];
        (void)snprintf(b, sizeof(b), "b%u", i);
        add(m, b, i * S);
    }
    for (unsigned n = 0; dp_seqmap_mark(m, n, &k); n++) {
        if (3600 * S - k.read_ns < 120 * S)
            assert_true(k.read_ns - before.read_ns <= 30 * S);
        before = k;
    }
    dp_seqmap_free(m);
}

static void test_any_order(void **state)
{
    (void)state;
    struct dp_seqmap *m = dp_seqmap_new(8, 0), *copy;
    struct dp_seqmap_mark k;
    bool changed;
    assert_non_null(m);
    add(m, "b30", 30 * S);
    add(m, "b10", 10 * S);
    add(m, "b20", 20 * S);
    /* the same again proves no more, at an older time it does */
    assert_int_equal(dp_seqmap_add(m, DP_SPAN("b20"), 25 * S, &changed), DP_OK);
    assert_false(changed);
    assert_int_equal(dp_seqmap_add(m, DP_SPAN("b30"), 28 * S, &changed), DP_OK);
    assert_true(changed);
    copy = dp_seqmap_copy(m);
    assert_non_null(copy);
    dp_seqmap_forget(m);
    assert_int_equal(dp_seqmap_bytes(m), 0);
    assert_int_equal(dp_seqmap_bytes(copy), 9);
    expect(copy, 10 * S, "b10");
    expect(copy, 27 * S, "b20");
    expect(copy, 28 * S, "b30");
    assert_false(dp_seqmap_mark(copy, 3, &k));
    dp_seqmap_free(copy);
    dp_seqmap_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_that_is_proven),
        cmocka_unit_test(test_a_mark_ages_first),
        cmocka_unit_test(test_what_is_no_mark),
        cmocka_unit_test(test_thinning),
        cmocka_unit_test(test_thinning_of_the_young),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_two_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
