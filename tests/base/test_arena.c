/* The arena: what it hands out is aligned, does not overlap and comes back through the cache. */
#include "davenport/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Allocate, check the alignment, and write every byte for the sanitizer to watch. */
static unsigned char *take(struct dp_arena *a, size_t n, int fill)
{
    unsigned char *p = dp_arena_alloc(a, n);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    memset(p, fill, n);
    return p;
}

static size_t cached(const struct dp_arena_cache *c)
{
    return c->n_free;
}

static void test_nothing_before_the_first_alloc(void **state)
{
    (void)state;
    struct dp_arena_cache cache;
    struct dp_arena a;
    dp_arena_cache_init(&cache, 4);
    dp_arena_init(&a, &cache);
    assert_int_equal(a.total_bytes, 0);
    dp_arena_reset(&a);
    dp_arena_reset(&a);
    assert_int_equal(cached(&cache), 0);
    dp_arena_cache_fini(&cache);
}

static void test_recycling(void **state)
{
    (void)state;
    struct dp_arena_cache cache;
    struct dp_arena a, b;
    dp_arena_cache_init(&cache, 4);
    dp_arena_init(&a, &cache);
    dp_arena_init(&b, &cache);
    const unsigned char *first = take(&a, 100, 1);
    dp_arena_reset(&a);
    assert_int_equal(cached(&cache), 1);
    assert_int_equal(a.total_bytes, 0);
    /* the next exchange, whichever it is, gets that block */
    assert_ptr_equal(take(&b, 3000, 2), first);
    assert_int_equal(cached(&cache), 0);
    const unsigned char *second = take(&a, 1, 3);
    assert_ptr_not_equal(second, first);
    dp_arena_reset(&b);
    dp_arena_reset(&a);
    assert_int_equal(cached(&cache), 2);
    assert_ptr_equal(take(&a, 1, 4), second); /* the warmest first */
    dp_arena_reset(&a);
    dp_arena_cache_fini(&cache);
    assert_int_equal(cached(&cache), 0);
}

static void test_cache_has_a_limit(void **state)
{
    (void)state;
    struct dp_arena_cache cache;
    struct dp_arena a[5];
    dp_arena_cache_init(&cache, 2);
    for (size_t i = 0; i < 5; i++) {
        dp_arena_init(&a[i], &cache);
        (void)take(&a[i], 8, (int)i);
    }
    for (size_t i = 0; i < 5; i++) {
        dp_arena_reset(&a[i]);
        assert_int_equal(cached(&cache), i < 1 ? 1 : 2);
    }
    dp_arena_cache_fini(&cache);
}

/* What was not needed is there for the next. */
static void test_trim(void **state)
{
    (void)state;
    struct dp_arena a;
    dp_arena_init(&a, NULL);
    for (size_t used = 0; used <= 100; used++) {
        char *p = dp_arena_alloc(&a, 100);
        assert_non_null(p);
        dp_arena_trim(&a, p, 100, used);
        const char *next = dp_arena_alloc(&a, 1);
        assert_non_null(next);
        assert_true(next - p >= (ptrdiff_t)used && next - p < (ptrdiff_t)used + 16);
        dp_arena_reset(&a);
    }
}

/* Only the first block goes to the cache, and only if it has the common size. */
static void test_what_is_cached(void **state)
{
    (void)state;
    struct dp_arena_cache cache;
    struct dp_arena a;
    dp_arena_cache_init(&cache, 8);
    dp_arena_init(&a, &cache);
    for (int i = 0; i < 40; i++)
        (void)take(&a, 1000, i);
    dp_arena_reset(&a);
    assert_int_equal(cached(&cache), 1);
    /* too big for a cached block: that one stays where it is */
    (void)take(&a, DP_ARENA_FIRST_BYTES, 1);
    assert_int_equal(cached(&cache), 1);
    dp_arena_reset(&a);
    assert_int_equal(cached(&cache), 1);
    dp_arena_cache_fini(&cache);
    /* and without a cache all of it works too */
    dp_arena_init(&a, NULL);
    (void)take(&a, 10, 1);
    (void)take(&a, 100000, 1);
    dp_arena_reset(&a);
    assert_int_equal(a.total_bytes, 0);
}

/* A steady exchange takes one block and no memory from the system beyond it. */
static void test_steady_state(void **state)
{
    (void)state;
    struct dp_arena_cache cache;
    struct dp_arena a;
    dp_arena_cache_init(&cache, 1);
    dp_arena_init(&a, &cache);
    const unsigned char *first = take(&a, 16, 0);
    dp_arena_reset(&a);
    for (int round = 0; round < 100; round++) {
        assert_ptr_equal(take(&a, 16, round), first);
        for (int i = 0; i < 30; i++)
            (void)take(&a, 128, i);
        assert_true(a.total_bytes <= DP_ARENA_FIRST_BYTES);
        dp_arena_reset(&a);
    }
    dp_arena_cache_fini(&cache);
}

static void test_growth_and_no_overlap(void **state)
{
    (void)state;
    enum { N = 3000 };
    static unsigned char *at[N];
    static size_t bytes[N];
    struct dp_arena_cache cache;
    struct dp_arena a;
    dp_arena_cache_init(&cache, 1);
    dp_arena_init(&a, &cache);
    uint32_t seed = 7;
    size_t asked = 0;
    for (size_t i = 0; i < N; i++) {
        seed = seed * 1664525U + 1013904223U;
        bytes[i] = (seed >> 16) % 700;
        if (i % 500 == 499)
            bytes[i] = 50000;
        asked += bytes[i];
        at[i] = take(&a, bytes[i], (int)(i & 0xFF));
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < bytes[i]; k++) {
            if (at[i][k] != (i & 0xFF))
                fail_msg("allocation %zu was written over at byte %zu", i, k);
        }
    }
    assert_true(a.total_bytes >= asked);
    assert_true(a.total_bytes <= 4 * asked);
    dp_arena_reset(&a);
    dp_arena_cache_fini(&cache);
}

static void test_exact_fit_and_sizes(void **state)
{
    (void)state;
    struct dp_arena a;
    /* every size around the first block's, alone and after something small */
    for (size_t n = DP_ARENA_FIRST_BYTES - 80; n <= DP_ARENA_FIRST_BYTES + 80; n++) {
        dp_arena_init(&a, NULL);
        (void)take(&a, n, 1);
        (void)take(&a, 1, 2);
        dp_arena_reset(&a);
        (void)take(&a, 1, 3);
        (void)take(&a, n, 4);
        dp_arena_reset(&a);
    }
    dp_arena_init(&a, NULL);
    assert_non_null(dp_arena_alloc(&a, 0));
    (void)take(&a, (size_t)32 << 20, 5);
    dp_arena_reset(&a);
}

/* A size that comes from input may be absurd: that fails, and the arena goes on. */
static void test_absurd_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX,      SIZE_MAX - 1, SIZE_MAX - 15,
                                   SIZE_MAX - 16, SIZE_MAX / 2, SIZE_MAX / 4 + 1};
    struct dp_arena a;
    dp_arena_init(&a, NULL);
    unsigned char *before = take(&a, 10, 9);
    size_t total = a.total_bytes;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_null(dp_arena_alloc(&a, sizes[i]));
        struct dp_span s = dp_arena_copy(&a, (struct dp_span){"x", sizes[i]});
        assert_null(s.p);
        assert_int_equal(s.n, 0);
    }
    assert_int_equal(a.total_bytes, total);
    assert_ptr_equal(take(&a, 10, 9), before + 16);
    dp_arena_reset(&a);
}

static void test_copy(void **state)
{
    (void)state;
    struct dp_arena a;
    char text[] = "a\0b";
    dp_arena_init(&a, NULL);
    struct dp_span s = dp_arena_copy(&a, (struct dp_span){text, 3});
    text[0] = 'X';
    assert_true(dp_span_eq(s, DP_SPAN("a\0b")));
    assert_int_equal(dp_arena_copy(&a, (struct dp_span){NULL, 0}).n, 0);
    dp_arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_before_the_first_alloc),
        cmocka_unit_test(test_recycling),
        cmocka_unit_test(test_cache_has_a_limit),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_what_is_cached),
        cmocka_unit_test(test_steady_state),
        cmocka_unit_test(test_growth_and_no_overlap),
        cmocka_unit_test(test_exact_fit_and_sizes),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
