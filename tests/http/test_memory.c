/* A reader whose arena runs out of memory at any of its allocations. The arena here is a double that hands
 * out blocks of exactly the size asked for, so that a sanitizer also sees a byte written too far. */
#include "davenport/http/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *blocks[64];
static size_t n_blocks;
static size_t allowed; /* allocations that still succeed */

void *dp_arena_alloc(struct dp_arena *a, size_t n)
{
    (void)a;
    if (allowed == 0)
        return NULL;
    allowed--;
    assert_true(n_blocks < sizeof(blocks) / sizeof(blocks[0]));
    void *p = malloc(n > 0 ? n : 1);
    assert_non_null(p);
    blocks[n_blocks++] = p;
    return p;
}

void dp_arena_trim(struct dp_arena *a, const void *p, size_t n, size_t used)
{
    (void)a;
    assert_ptr_equal(p, blocks[n_blocks - 1]);
    assert_true(used <= n);
}

static void free_blocks(void)
{
    while (n_blocks > 0)
        free(blocks[--n_blocks]);
}

/* Read the head in pieces of `step` bytes with `k` allocations allowed. */
static enum dp_err read_head(const char *text, size_t step, size_t k)
{
    const struct dp_reader_limits limits = {32768, 8192, 128};
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
    assert_non_null(r);
    struct dp_arena arena = {0};
    struct dp_head head;
    const size_t n = strlen(text);
    enum dp_read read = DP_READ_MORE;
    allowed = k;
    dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
    for (size_t at = 0; at < n && read == DP_READ_MORE;) {
        size_t consumed = 0;
        read = dp_reader_head(r, text + at, step < n - at ? step : n - at, &consumed);
        at += consumed;
    }
    const enum dp_err err = dp_reader_error(r);
    assert_int_equal(read, err == DP_OK ? DP_READ_DONE : DP_READ_FAILED);
    if (err == DP_OK)
        assert_true(dp_span_eq(head.target, DP_SPAN("/?x")));
    dp_reader_destroy(r);
    free_blocks();
    return err;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    char text[4000];
    static const char start[] = "GET http://a?x HTTP/1.1\r\nHost: a\r\nX: ";
    memset(text, 'y', sizeof(text));
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + sizeof(text) - 5, "\r\n\r\n", 5);
    const size_t steps[] = {sizeof(text), 2000, 10, 1};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        size_t k = 0;
        while (read_head(text, steps[i], k) == DP_ENOMEM)
            k++;
        /* the text (twice when it grows while it is gathered), the fields, the repaired target */
        assert_int_equal(k, steps[i] < 2000 ? 4 : 3);
        assert_int_equal(read_head(text, steps[i], k), DP_OK);
    }
}

/* Trailers take memory when they are there, byte by byte too. */
static void test_trailers_may_fail(void **state)
{
    static const char head_text[] =
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char body[] = "1\r\nx\r\n0\r\nA: 1\r\n\r\n";
    const struct dp_reader_limits limits = {32768, 8192, 128};
    (void)state;
    for (size_t k = 0; k <= 2; k++) {
        for (size_t step = 1; step <= sizeof(body); step++) {
            struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
            assert_non_null(r);
            struct dp_arena arena = {0};
            struct dp_head head;
            size_t consumed;
            allowed = 2; /* the head's text, its fields */
            dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
            assert_int_equal(dp_reader_head(r, head_text, sizeof(head_text) - 1, &consumed),
                             DP_READ_DONE);
            allowed = k; /* the trailers' text, what is kept of it */
            enum dp_read read = DP_READ_MORE;
            for (size_t at = 0; at < sizeof(body) - 1 && read == DP_READ_MORE; at += consumed) {
                struct dp_span span;
                size_t n_spans;
                const size_t left = sizeof(body) - 1 - at;
                read = dp_reader_body(r, body + at, step < left ? step : left, &consumed, &span, 1,
                                      &n_spans);
            }
            assert_int_equal(dp_reader_error(r), k < 2 ? DP_ENOMEM : DP_OK);
            if (k == 2)
                assert_true(dp_span_eq(head.trailers, DP_SPAN("A: 1\r\n")));
            dp_reader_destroy(r);
            free_blocks();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_trailers_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
