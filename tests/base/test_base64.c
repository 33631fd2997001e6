/* Base64: the vectors of RFC 4648, every length there and back, and what is none. */
#include "davenport/base/attr.h"
#include "davenport/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void vectors(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char out[16];
        char back[16];
        size_t n = dp_base64_encode(DP_BASE64, rows[i][0], strlen(rows[i][0]), out);
        assert_int_equal(n, strlen(rows[i][1]));
        assert_memory_equal(out, rows[i][1], n);
        assert_true(dp_base64_decode(DP_BASE64, (struct dp_span){out, n}, back, &n));
        assert_int_equal(n, strlen(rows[i][0]));
        assert_memory_equal(back, rows[i][0], n);
    }
}

static void there_and_back(void **state)
{
    unsigned char bytes[64], back[66];
    char text[DP_BASE64_BYTES(64)];
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(251 * i + 7);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        for (int kind = DP_BASE64; kind <= DP_BASE64_URL; kind++) {
            size_t m = dp_base64_encode((enum dp_base64)kind, bytes, n, text), k;
            assert_true(
                dp_base64_decode((enum dp_base64)kind, (struct dp_span){text, m}, back, &k));
            assert_int_equal(k, n);
            assert_memory_equal(back, bytes, n);
        }
    }
}

static void what_is_none(void **state)
{
    static const char *const bad[] = {"A",    "AAAAA", "A===",   "Zg=",    "Zg===",
                                      "Z=g=", "Zh==",  "Zm9",    "Zm 9",   "Zm9v\n",
                                      "_w==", "Zm9v=", "Zm9v==", "\x80gAA"};
    char out[16];
    size_t n;
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++)
        assert_false(dp_base64_decode(DP_BASE64, dp_span_str(bad[i]), out, &n));
    assert_true(dp_base64_decode(DP_BASE64, DP_SPAN("Zg"), out, &n)); /* padding may be left out */
    assert_int_equal(n, 1);
    assert_true(dp_base64_decode(DP_BASE64_URL, DP_SPAN("_w"), out, &n));
    assert_int_equal((unsigned char)out[0], 0xff);
}

static void hexadecimal(void **state)
{
    char out[6];
    (void)state;
    dp_hex("\x00\xaf\x7f", 3, out);
    assert_memory_equal(out, "00af7f", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
