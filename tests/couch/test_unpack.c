/* Compressed answers as they pass: whole and in pieces, however small the room. */
#include "davenport/base/attr.h"
#include "davenport/couch/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#define TEXT_BYTES 30000
#define MAX_BYTES  70000

static char text[TEXT_BYTES];

static int fill(void **state)
{
    (void)state;
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(text); i++) {
        x = x * 1103515245U + 12345U;
        text[i] = (char)('a' + (x >> 16) % 7);
    }
    return 0;
}

static size_t pack(int window, const char *p, size_t n, unsigned char *out, int flush)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = MAX_BYTES;
    (void)deflate(&z, flush);
    (void)deflateEnd(&z);
    return MAX_BYTES - z.avail_out;
}

/* In pieces of `step` into rooms of `cap`. The text in *out; how it ended. */
static enum dp_err unpack(const unsigned char *p, size_t n, size_t step, size_t cap, char *out,
                          size_t *n_out, bool *whole)
{
    struct dp_unpack *u = dp_unpack_new();
    enum dp_err err = DP_OK;
    assert_non_null(u);
    *n_out = 0;
    for (size_t at = 0; at < n && !err;) {
        const size_t piece = n - at < step ? n - at : step;
        size_t used, got, taken = 0;
        do {
            err = dp_unpack_run(u, (const char *)p + at + taken, piece - taken, &used, out + *n_out,
                                cap, &got);
            taken += used;
            *n_out += got;
        } while (!err && (taken < piece || got == cap));
        at += piece;
    }
    *whole = dp_unpack_whole(u);
    dp_unpack_free(u);
    return err;
}

static void every_frame_in_every_cut(void **state)
{
    static const int windows[] = {15 + 16, 15, -15};
    static const size_t steps[] = {1, 2, 3, 7, 100, 4096, MAX_BYTES};
    static const size_t caps[] = {1, 5, 1000, MAX_BYTES};
    static unsigned char packed[MAX_BYTES];
    static char out[2 * MAX_BYTES];
    (void)state;
    for (size_t w = 0; w < DP_ARRAY_LEN(windows); w++) {
        const size_t n = pack(windows[w], text, sizeof(text), packed, Z_FINISH);
        for (size_t i = 0; i < DP_ARRAY_LEN(steps) * DP_ARRAY_LEN(caps); i++) {
            size_t got;
            bool whole;
            assert_int_equal(unpack(packed, n, steps[i / DP_ARRAY_LEN(caps)],
                                    caps[i % DP_ARRAY_LEN(caps)], out, &got, &whole),
                             DP_OK);
            assert_true(whole);
            assert_int_equal(got, sizeof(text));
            assert_memory_equal(out, text, got);
        }
        /* cut: what came is there, and it is not whole */
        size_t got;
        bool whole;
        assert_int_equal(unpack(packed, n / 2, 100, 1000, out, &got, &whole), DP_OK);
        assert_false(whole);
        assert_memory_equal(out, text, got);
    }
}

/* What was flushed can be read at once, as a heartbeat must be. */
static void what_was_flushed_is_there(void **state)
{
    static unsigned char packed[MAX_BYTES];
    static char out[MAX_BYTES];
    (void)state;
    size_t got, used;
    const size_t n = pack(15 + 16, "{\"seq\":1}\n", 10, packed, Z_SYNC_FLUSH);
    struct dp_unpack *u = dp_unpack_new();
    assert_int_equal(dp_unpack_run(u, (const char *)packed, n, &used, out, sizeof(out), &got),
                     DP_OK);
    assert_int_equal(used, n);
    assert_int_equal(got, 10);
    assert_memory_equal(out, "{\"seq\":1}\n", 10);
    assert_false(dp_unpack_whole(u));
    dp_unpack_free(u);
}

static void members_follow_each_other(void **state)
{
    static unsigned char packed[2 * MAX_BYTES];
    static char out[MAX_BYTES];
    (void)state;
    size_t got;
    bool whole;
    size_t n = pack(15 + 16, "abc", 3, packed, Z_FINISH);
    n += pack(15 + 16, "def", 3, packed + n, Z_FINISH);
    for (size_t step = 1; step < n; step++) {
        assert_int_equal(unpack(packed, n, step, 100, out, &got, &whole), DP_OK);
        assert_true(whole);
        assert_int_equal(got, 6);
        assert_memory_equal(out, "abcdef", 6);
    }
}

static void what_is_none_is_refused(void **state)
{
    static unsigned char packed[MAX_BYTES];
    static char out[MAX_BYTES];
    (void)state;
    size_t got;
    bool whole;
    assert_int_equal(
        unpack((const unsigned char *)"\x1f{\"results\":[]}", 15, 15, 100, out, &got, &whole),
        DP_EIO);
    assert_false(whole);
    assert_int_equal(unpack((const unsigned char *)"\xff\xff", 2, 1, 100, out, &got, &whole),
                     DP_EIO);
    assert_false(whole);
    size_t n = pack(15 + 16, "abc", 3, packed, Z_FINISH);
    packed[n] = packed[n + 1] = 'x'; /* behind it */
    assert_int_equal(unpack(packed, n + 1, 1, 100, out, &got, &whole), DP_OK);
    assert_false(whole); /* it could be the beginning of another */
    assert_int_equal(unpack(packed, n + 2, 1, 100, out, &got, &whole), DP_EIO);
    n = pack(15, "abc", 3, packed, Z_FINISH);
    packed[n] = 'x';
    assert_int_equal(unpack(packed, n + 1, n + 1, 100, out, &got, &whole), DP_EIO);
    n = pack(15 + 16, text, sizeof(text), packed, Z_FINISH);
    packed[n - 5] ^= 1; /* its sum */
    assert_int_equal(unpack(packed, n, 1000, 1000, out, &got, &whole), DP_EIO);
    assert_int_equal(unpack(packed, 0, 1, 1, out, &got, &whole), DP_OK);
    assert_true(whole);
}

static void which_codings_are_known(void **state)
{
    (void)state;
    assert_true(dp_unpack_knows(DP_SPAN("gzip")));
    assert_true(dp_unpack_knows(DP_SPAN("X-GZIP")));
    assert_true(dp_unpack_knows(DP_SPAN("deflate")));
    assert_false(dp_unpack_knows(DP_SPAN("br")));
    assert_false(dp_unpack_knows(DP_SPAN("gzip, gzip")));
    assert_false(dp_unpack_knows(DP_SPAN("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_in_every_cut),  cmocka_unit_test(what_was_flushed_is_there),
        cmocka_unit_test(members_follow_each_other), cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(which_codings_are_known),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
