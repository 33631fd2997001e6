/* The byte queue: every border of its chunks, the pool's cap, and a random walk beside a flat array. */
#include "davenport/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Byte i of the stream that all tests send: no period that divides a chunk. */
static unsigned char byte_at(size_t i)
{
    return (unsigned char)((i * 31 + i / 251) & 0xFF);
}

static unsigned char *stream(size_t from, size_t n)
{
    unsigned char *p = malloc(n > 0 ? n : 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(from + i);
    return p;
}

static void append(struct dp_buf *b, size_t from, size_t n)
{
    unsigned char *p = stream(from, n);
    assert_int_equal(dp_buf_append(b, p, n), DP_OK);
    free(p);
}

/* The whole content is stream[from, from + n), told alike by peek and by the iterator. */
static void check(const struct dp_buf *b, size_t from, size_t n)
{
    struct dp_span spans[64];
    size_t k = dp_buf_peek(b, spans, 64);
    struct dp_buf_iter it = dp_buf_begin(b);
    struct dp_span span;
    size_t seen = 0;
    assert_int_equal(b->bytes, n);
    for (size_t i = 0; i < k; i++) {
        assert_true(dp_buf_next(&it, &span));
        assert_ptr_equal(span.p, spans[i].p);
        assert_int_equal(span.n, spans[i].n);
        assert_true(span.n > 0 && span.n <= DP_CHUNK_BYTES);
        for (size_t j = 0; j < span.n; j++, seen++) {
            if ((unsigned char)span.p[j] != byte_at(from + seen))
                fail_msg("byte %zu of %zu is wrong", seen, n);
        }
    }
    assert_false(dp_buf_next(&it, &span));
    assert_false(dp_buf_next(&it, &span));
    assert_int_equal(seen, n);
    for (size_t max = 0; max <= k; max++)
        assert_int_equal(dp_buf_peek(b, spans, max), max);
}

static void test_empty(void **state)
{
    (void)state;
    struct dp_chunk_pool pool;
    struct dp_buf b;
    dp_chunk_pool_init(&pool, 4, 4);
    dp_buf_init(&b, &pool);
    check(&b, 0, 0);
    assert_int_equal(dp_buf_append(&b, NULL, 0), DP_OK);
    dp_buf_consume(&b, 0);
    dp_buf_clear(&b);
    check(&b, 0, 0);
    assert_int_equal(pool.n_used, 0);
    dp_chunk_pool_fini(&pool);
}

/* Append in two parts and consume in two parts, with every combination of the sizes about a chunk. */
static void test_borders(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   2,
                                   DP_CHUNK_BYTES - 1,
                                   DP_CHUNK_BYTES,
                                   DP_CHUNK_BYTES + 1,
                                   2 * DP_CHUNK_BYTES - 1,
                                   2 * DP_CHUNK_BYTES,
                                   2 * DP_CHUNK_BYTES + 1};
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    struct dp_chunk_pool pool;
    dp_chunk_pool_init(&pool, 8, 2);
    for (size_t i = 0; i < N * N * N; i++) {
        size_t a = sizes[i % N], c = sizes[i / N % N], out = sizes[i / N / N];
        size_t all = a + c;
        struct dp_buf b;
        if (out > all)
            continue;
        dp_buf_init(&b, &pool);
        append(&b, 0, a);
        append(&b, a, c);
        assert_int_equal(pool.n_used, (all + DP_CHUNK_BYTES - 1) / DP_CHUNK_BYTES);
        dp_buf_consume(&b, out);
        check(&b, out, all - out);
        append(&b, all, 3);
        check(&b, out, all - out + 3);
        dp_buf_consume(&b, all - out + 3);
        check(&b, 0, 0);
        assert_int_equal(pool.n_used, 0);
        dp_chunk_pool_trim(&pool);
        dp_chunk_pool_trim(&pool); /* nothing was used since the first */
        assert_true(pool.n_free <= 2);
    }
    dp_chunk_pool_fini(&pool);
}

/* Every single place to consume at, over a border. */
static void test_consume_everywhere(void **state)
{
    (void)state;
    const size_t all = DP_CHUNK_BYTES + 40;
    struct dp_chunk_pool pool;
    dp_chunk_pool_init(&pool, 2, 2);
    for (size_t out = DP_CHUNK_BYTES - 40; out <= all; out++) {
        struct dp_buf b;
        dp_buf_init(&b, &pool);
        append(&b, 0, all);
        dp_buf_consume(&b, out);
        check(&b, out, all - out);
        assert_int_equal(pool.n_used, out < DP_CHUNK_BYTES ? 2 : out < all ? 1 : 0);
        dp_buf_clear(&b);
    }
    dp_chunk_pool_fini(&pool);
}

static void test_all_or_nothing(void **state)
{
    (void)state;
    struct dp_chunk_pool pool;
    struct dp_buf a, b;
    unsigned char *big = stream(0, 8 * DP_CHUNK_BYTES);
    dp_chunk_pool_init(&pool, 3, 3);
    dp_buf_init(&a, &pool);
    dp_buf_init(&b, &pool);
    assert_int_equal(dp_buf_append(&a, big, 8 * DP_CHUNK_BYTES), DP_ENOMEM);
    assert_int_equal(dp_buf_append(&a, big, 3 * DP_CHUNK_BYTES + 1), DP_ENOMEM);
    check(&a, 0, 0);
    assert_int_equal(pool.n_used, 0);
    append(&a, 0, 10);
    /* exactly what is left fits, one byte more does not, and nothing of it stays */
    assert_int_equal(dp_buf_append(&a, big, 3 * DP_CHUNK_BYTES - 9), DP_ENOMEM);
    check(&a, 0, 10);
    assert_int_equal(pool.n_used, 1);
    append(&a, 10, 3 * DP_CHUNK_BYTES - 10);
    check(&a, 0, 3 * DP_CHUNK_BYTES);
    assert_int_equal(dp_buf_append(&a, "x", 1), DP_ENOMEM);
    /* the cap is the pool's: another buffer gets nothing either, until a chunk is back */
    assert_int_equal(dp_buf_append(&b, big, 1), DP_ENOMEM);
    dp_buf_consume(&a, DP_CHUNK_BYTES - 1);
    assert_int_equal(dp_buf_append(&b, big, 1), DP_ENOMEM);
    dp_buf_consume(&a, 1);
    assert_int_equal(dp_buf_append(&b, big, DP_CHUNK_BYTES), DP_OK);
    check(&a, DP_CHUNK_BYTES, 2 * DP_CHUNK_BYTES);
    check(&b, 0, DP_CHUNK_BYTES);
    dp_buf_clear(&a);
    dp_buf_clear(&b);
    assert_int_equal(pool.n_used, 0);
    dp_chunk_pool_fini(&pool);
    free(big);
}

/* Used chunks are kept and used again before the system is asked; what a trim finds unused since the
 * one before is let go, but for max_free. */
static void test_pool_recycles(void **state)
{
    (void)state;
    struct dp_chunk_pool pool;
    struct dp_buf b;
    dp_chunk_pool_init(&pool, 10, 2);
    dp_buf_init(&b, &pool);
    append(&b, 0, 5 * DP_CHUNK_BYTES);
    assert_int_equal(pool.n_free, 0);
    dp_buf_clear(&b);
    assert_int_equal(pool.n_used, 0);
    assert_int_equal(pool.n_free, 5);
    dp_chunk_pool_trim(&pool); /* they were in use since the last one */
    assert_int_equal(pool.n_free, 5);
    append(&b, 0, 2 * DP_CHUNK_BYTES);
    dp_buf_clear(&b);
    dp_chunk_pool_trim(&pool); /* three were not needed, two of the five are kept anyway */
    assert_int_equal(pool.n_free, 2);
    dp_chunk_pool_trim(&pool);
    assert_int_equal(pool.n_free, 2);
    append(&b, 0, DP_CHUNK_BYTES + 1);
    assert_int_equal(pool.n_used, 2);
    assert_int_equal(pool.n_free, 0);
    dp_buf_clear(&b);
    dp_chunk_pool_fini(&pool);
    assert_int_equal(pool.n_free, 0);
    /* a pool without room keeps none and gives none */
    dp_chunk_pool_init(&pool, 0, 0);
    dp_buf_init(&b, &pool);
    assert_int_equal(dp_buf_append(&b, "x", 1), DP_ENOMEM);
    dp_chunk_pool_fini(&pool);
}

/* What is peeked stays where it is while more is appended: libuv may be writing from it. */
static void test_peeked_bytes_stay(void **state)
{
    (void)state;
    struct dp_chunk_pool pool;
    struct dp_buf b;
    struct dp_span before, after;
    dp_chunk_pool_init(&pool, 8, 0);
    dp_buf_init(&b, &pool);
    append(&b, 0, 100);
    assert_int_equal(dp_buf_peek(&b, &before, 1), 1);
    append(&b, 100, 3 * DP_CHUNK_BYTES);
    assert_int_equal(dp_buf_peek(&b, &after, 1), 1);
    assert_ptr_equal(after.p, before.p);
    check(&b, 0, 100 + 3 * DP_CHUNK_BYTES);
    dp_buf_clear(&b);
    dp_chunk_pool_fini(&pool);
}

/* A random walk of three buffers on one small pool, each beside its model: where it begins in the
 * stream and how long it is. */
static void test_random_walk(void **state)
{
    (void)state;
    enum { BUFS = 3, CAP = 12 };
    struct dp_chunk_pool pool;
    struct dp_buf bufs[BUFS];
    size_t from[BUFS] = {0}, bytes[BUFS] = {0};
    uint32_t seed = 20261122;
    int refused = 0;
    dp_chunk_pool_init(&pool, CAP, 3);
    for (size_t i = 0; i < BUFS; i++)
        dp_buf_init(&bufs[i], &pool);
    for (int round = 0; round < 6000; round++) {
        seed = seed * 1664525U + 1013904223U;
        size_t i = (seed >> 8) % BUFS;
        size_t n = (seed >> 10) % (round % 7 == 0 ? 4 * DP_CHUNK_BYTES : 3000);
        unsigned what = (seed >> 28);
        if (what < 8) {
            unsigned char *p = stream(from[i] + bytes[i], n);
            size_t used = pool.n_used;
            enum dp_err err = dp_buf_append(&bufs[i], p, n);
            free(p);
            if (err == DP_OK) {
                bytes[i] += n;
            } else {
                assert_int_equal(err, DP_ENOMEM);
                assert_int_equal(pool.n_used, used);
                assert_true(used + (n + DP_CHUNK_BYTES - 1) / DP_CHUNK_BYTES > CAP);
                refused++;
            }
        } else if (what < 15) {
            n = n > bytes[i] ? bytes[i] : n;
            dp_buf_consume(&bufs[i], n);
            from[i] += n;
            bytes[i] -= n;
        } else {
            dp_buf_clear(&bufs[i]);
            from[i] += bytes[i];
            bytes[i] = 0;
        }
        assert_true(pool.n_used + pool.n_free <= CAP);
        if (round % 50 == 0)
            dp_chunk_pool_trim(&pool);
        if (round % 16 == 0)
            check(&bufs[i], from[i], bytes[i]);
        else
            assert_int_equal(bufs[i].bytes, bytes[i]);
    }
    assert_true(refused > 10); /* the walk did meet the cap */
    for (size_t i = 0; i < BUFS; i++) {
        check(&bufs[i], from[i], bytes[i]);
        dp_buf_clear(&bufs[i]);
    }
    assert_int_equal(pool.n_used, 0);
    dp_chunk_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_consume_everywhere),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_pool_recycles),
        cmocka_unit_test(test_peeked_bytes_stay),
        cmocka_unit_test(test_random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
