/* Keyed hashes by published vectors; passwords' hashes there and back, and what is no hash. */
#include "davenport/base/attr.h"
#include "davenport/base/base64.h"
#include "davenport/net/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check_hmac(enum dp_hmac kind, const char *key, const char *data, const char *hex)
{
    unsigned char out[DP_HMAC_BYTES];
    char text[2 * DP_HMAC_BYTES];
    const struct dp_span parts[] = {{data, 4}, {data + 4, strlen(data) - 4}};
    size_t n = dp_hmac(kind, dp_span_str(key), parts, 2, out);
    assert_int_equal(2 * n, strlen(hex));
    dp_hex(out, n, text);
    assert_memory_equal(text, hex, 2 * n);
}

static void rfc_2202_and_4231(void **state)
{
    (void)state;
    check_hmac(DP_HMAC_SHA1, "Jefe", "what do ya want for nothing?",
               "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    check_hmac(DP_HMAC_SHA256, "Jefe", "what do ya want for nothing?",
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void a_key_is_used_again(void **state)
{
    static const unsigned char one[] = {0x5b, 0xdc, 0xc1, 0x46};
    struct dp_hmac_key *k = dp_hmac_key_new(DP_HMAC_SHA256, DP_SPAN("Jefe"));
    const struct dp_span text = DP_SPAN("what do ya want for nothing?");
    unsigned char out[DP_HMAC_BYTES];
    (void)state;
    assert_non_null(k);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dp_hmac_with(k, &text, 1, out), 32);
        assert_memory_equal(out, one, sizeof(one));
    }
    dp_hmac_key_free(k);
    dp_hmac_key_free(NULL);
    unsigned char a[DP_SECRET_BYTES], b[DP_SECRET_BYTES], zero[DP_SECRET_BYTES] = {0};
    assert_true(dp_secret_of_process(a) && dp_secret_of_process(b));
    assert_memory_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, zero, sizeof(a));
}

static void a_hash_knows_its_password(void **state)
{
    (void)state;
    for (int kind = DP_PASSWORD_PBKDF2; kind <= DP_PASSWORD_SCRYPT; kind++) {
        char a[DP_PASSWORD_TEXT], b[DP_PASSWORD_TEXT];
        assert_true(dp_password_hash((enum dp_password)kind, DP_SPAN("s3cret"), a));
        assert_true(dp_password_hash((enum dp_password)kind, DP_SPAN("s3cret"), b));
        assert_string_not_equal(a, b);
        assert_null(dp_password_fault(a));
        assert_true(dp_password_verify(a, DP_SPAN("s3cret")));
        assert_true(dp_password_verify(b, DP_SPAN("s3cret")));
        assert_false(dp_password_verify(a, DP_SPAN("s3cres")));
        assert_false(dp_password_verify(a, DP_SPAN("s3cret ")));
        assert_false(dp_password_verify(a, DP_SPAN("")));
    }
}

/* By Python's hashlib; the second is RFC 7914 12, its first 32 bytes. */
static void made_elsewhere(void **state)
{
    (void)state;
    assert_true(dp_password_verify(
        "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$E196ZhRPzw+wA84EjzHwJO1cv/MFJdO6C/sxmUeTYqY",
        DP_SPAN("password")));
    assert_true(
        dp_password_verify("$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/"
                           "2o+7qQT44+qbVD9lRdofI",
                           DP_SPAN("pleaseletmein")));
}

static void what_is_no_hash(void **state)
{
#define SALT "c2FsdHNhbHQ"
#define HASH "E196ZhRPzw+wA84EjzHwJO1cv/MFJdO6C/sxmUeTYqY"
    static const char *const bad[] = {
        "",
        "secret",
        "$",
        "$$$$",
        "$md5$i=1000$" SALT "$" HASH,
        "x$pbkdf2-sha256$i=1000$" SALT "$" HASH,
        "$pbkdf2-sha256$i=1000$" SALT "$" HASH "$",
        "$pbkdf2-sha256$i=999$" SALT "$" HASH,
        "$pbkdf2-sha256$i=10000001$" SALT "$" HASH,
        "$pbkdf2-sha256$1000$" SALT "$" HASH,
        "$pbkdf2-sha256$i=1000,x=1$" SALT "$" HASH,
        "$pbkdf2-sha256$i=1000$c2E$" HASH,
        "$pbkdf2-sha256$i=1000$" SALT "$AAAA",
        "$pbkdf2-sha256$i=1000$" SALT "$!!!!",
        "$scrypt$ln=18,r=8,p=1$" SALT "$" HASH,
        "$scrypt$ln=14,r=17,p=1$" SALT "$" HASH,
        "$scrypt$ln=14,r=8,p=5$" SALT "$" HASH,
        "$scrypt$ln=14,r=8$" SALT "$" HASH,
        "$scrypt$ln=14$" SALT "$" HASH,
    };
    (void)state;
    assert_null(dp_password_fault("$pbkdf2-sha256$i=1000$" SALT "$" HASH));
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++) {
        if (!dp_password_fault(bad[i]))
            fail_msg("taken: %s", bad[i]);
        assert_false(dp_password_verify(bad[i], DP_SPAN("password")));
    }
}

static void chance_and_sameness(void **state)
{
    unsigned char a[32] = {0}, b[32] = {0};
    (void)state;
    assert_true(dp_secret_same(a, b, sizeof(a)));
    assert_true(dp_secret_random(a, sizeof(a)));
    assert_false(dp_secret_same(a, b, sizeof(a)));
}

/* A token and its hash, which sha256sum makes too. */
static void tokens(void **state)
{
    static const char known[] =
        "dvp_0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const none[] = {
        "",
        "dvp_",
        "dvp_000000000000000000000000000000000000000000000000000000000000000",
        "dvp_00000000000000000000000000000000000000000000000000000000000000000",
        "dvp_000000000000000000000000000000000000000000000000000000000000000A",
        "dvx_0000000000000000000000000000000000000000000000000000000000000000",
    };
    char a[DP_TOKEN_BYTES], b[DP_TOKEN_BYTES];
    char hash[DP_TOKEN_HASH_BYTES], other[DP_TOKEN_HASH_BYTES];
    (void)state;
    assert_true(dp_token_make(a) && dp_token_make(b));
    assert_int_equal(strlen(a), DP_TOKEN_BYTES - 1);
    assert_string_not_equal(a, b);
    assert_true(dp_token_hash(dp_span_str(a), hash) && dp_token_hash(dp_span_str(b), other));
    assert_string_not_equal(hash, other);
    assert_null(dp_token_hash_fault(hash));
    assert_true(dp_token_hash(dp_span_str(known), hash));
    assert_string_equal(hash,
                        "sha256:3a56a41c53dfd49492185e3ea29698a268b6341c7e9c1fe915a43e138d3bde79");
    for (size_t i = 0; i < DP_ARRAY_LEN(none); i++) {
        assert_false(dp_token_hash(dp_span_str(none[i]), hash));
        assert_non_null(dp_token_hash_fault(none[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_2202_and_4231),
        cmocka_unit_test(a_key_is_used_again),
        cmocka_unit_test(a_hash_knows_its_password),
        cmocka_unit_test(made_elsewhere),
        cmocka_unit_test(what_is_no_hash),
        cmocka_unit_test(chance_and_sameness),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
