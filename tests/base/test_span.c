/* Spans: every border of the small parsers. */
#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_u64(void **state)
{
    (void)state;
    static const struct {
        struct dp_span text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {DP_SPAN_INIT("0"), true, 0},
        {DP_SPAN_INIT("00"), true, 0},
        {DP_SPAN_INIT("7"), true, 7},
        {DP_SPAN_INIT("007"), true, 7},
        {DP_SPAN_INIT("4294967295"), true, UINT32_MAX},
        {DP_SPAN_INIT("4294967296"), true, (uint64_t)UINT32_MAX + 1},
        {DP_SPAN_INIT("9223372036854775808"), true, (uint64_t)INT64_MAX + 1},
        {DP_SPAN_INIT("18446744073709551609"), true, UINT64_MAX - 6},
        {DP_SPAN_INIT("18446744073709551610"), true, UINT64_MAX - 5},
        {DP_SPAN_INIT("18446744073709551614"), true, UINT64_MAX - 1},
        {DP_SPAN_INIT("18446744073709551615"), true, UINT64_MAX},
        {DP_SPAN_INIT("000000000000000000000018446744073709551615"), true, UINT64_MAX},
        {DP_SPAN_INIT("18446744073709551616"), false, 0},
        {DP_SPAN_INIT("18446744073709551617"), false, 0},
        {DP_SPAN_INIT("18446744073709551619"), false, 0},
        {DP_SPAN_INIT("18446744073709551620"), false, 0},
        {DP_SPAN_INIT("184467440737095516150"), false, 0},
        {DP_SPAN_INIT("20000000000000000000"), false, 0},
        {DP_SPAN_INIT("99999999999999999999"), false, 0},
        {DP_SPAN_INIT("99999999999999999999999999999999999999"), false, 0},
        {DP_SPAN_INIT(""), false, 0},
        {DP_SPAN_INIT("-0"), false, 0},
        {DP_SPAN_INIT("-1"), false, 0},
        {DP_SPAN_INIT("+1"), false, 0},
        {DP_SPAN_INIT(" 1"), false, 0},
        {DP_SPAN_INIT("1 "), false, 0},
        {DP_SPAN_INIT("1\0"), false, 0},
        {DP_SPAN_INIT("0x10"), false, 0},
        {DP_SPAN_INIT("1e3"), false, 0},
        {DP_SPAN_INIT("1,0"), false, 0},
        {DP_SPAN_INIT("/"), false, 0},
        {DP_SPAN_INIT(":"), false, 0},
        {DP_SPAN_INIT("\xB2"), false, 0},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        uint64_t v = 42;
        bool ok = dp_span_u64(rows[i].text, &v);
        if (ok != rows[i].ok || v != (ok ? rows[i].value : 42))
            fail_msg("\"%s\": %d, %llu", rows[i].text.p, (int)ok, (unsigned long long)v);
    }
    /* it ends where the span ends, not where the digits do */
    uint64_t v = 0;
    assert_true(dp_span_u64((struct dp_span){"123456", 3}, &v));
    assert_true(v == 123);
    assert_false(dp_span_u64((struct dp_span){NULL, 0}, &v));
}

static void test_trim(void **state)
{
    (void)state;
    static const struct {
        struct dp_span in, out;
    } rows[] = {
        {DP_SPAN_INIT(""), DP_SPAN_INIT("")},
        {DP_SPAN_INIT(" "), DP_SPAN_INIT("")},
        {DP_SPAN_INIT(" \t \t"), DP_SPAN_INIT("")},
        {DP_SPAN_INIT("a"), DP_SPAN_INIT("a")},
        {DP_SPAN_INIT(" a"), DP_SPAN_INIT("a")},
        {DP_SPAN_INIT("a\t"), DP_SPAN_INIT("a")},
        {DP_SPAN_INIT("\t a b\t "), DP_SPAN_INIT("a b")},
        /* only spaces and tabs are HTTP's white space */
        {DP_SPAN_INIT("\na\n"), DP_SPAN_INIT("\na\n")},
        {DP_SPAN_INIT(" \ra\v "), DP_SPAN_INIT("\ra\v")},
        {DP_SPAN_INIT("\0a\0"), DP_SPAN_INIT("\0a\0")},
        {DP_SPAN_INIT("\xA0 a"), DP_SPAN_INIT("\xA0 a")},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_span got = dp_span_trim(rows[i].in);
        if (!dp_span_eq(got, rows[i].out))
            fail_msg("row %zu: \"%.*s\"", i, (int)got.n, got.p);
        assert_true(got.p >= rows[i].in.p && got.p + got.n <= rows[i].in.p + rows[i].in.n);
    }
    assert_int_equal(dp_span_trim((struct dp_span){NULL, 0}).n, 0);
}

/* Cut `text` at every `sep` and join the pieces with "|": the loop must give each piece once. */
static void cut_all(struct dp_span text, char sep, char *out, size_t cap)
{
    size_t at = 0;
    for (struct dp_span rest = text; rest.p;) {
        struct dp_span piece = dp_span_cut(&rest, sep);
        assert_true(at + piece.n + 2 < cap);
        if (piece.n > 0)
            memcpy(out + at, piece.p, piece.n);
        at += piece.n;
        out[at++] = '|';
    }
    out[at] = '\0';
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        struct dp_span text;
        const char *pieces;
    } rows[] = {
        {DP_SPAN_INIT(""), "|"},       {DP_SPAN_INIT(","), "||"},
        {DP_SPAN_INIT(",,"), "|||"},   {DP_SPAN_INIT("a"), "a|"},
        {DP_SPAN_INIT("a,"), "a||"},   {DP_SPAN_INIT(",a"), "|a|"},
        {DP_SPAN_INIT("a,b"), "a|b|"}, {DP_SPAN_INIT("a,,bc, d"), "a||bc| d|"},
    };
    char out[64];
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        cut_all(rows[i].text, ',', out, sizeof(out));
        assert_string_equal(out, rows[i].pieces);
    }
    /* no separator behind the span's end counts */
    struct dp_span rest = {"ab,c", 2};
    assert_true(dp_span_eq(dp_span_cut(&rest, ','), DP_SPAN("ab")));
    assert_null(rest.p);
    assert_int_equal(rest.n, 0);
    /* from nothing comes nothing, as often as asked */
    assert_int_equal(dp_span_cut(&rest, ',').n, 0);
    assert_null(rest.p);
    /* any byte separates, a NUL and a high one too */
    cut_all(DP_SPAN("a\0b"), '\0', out, sizeof(out));
    assert_string_equal(out, "a|b|");
    cut_all(DP_SPAN("a\xFF"
                    "b"),
            (char)0xFF, out, sizeof(out));
    assert_string_equal(out, "a|b|");
}

static void test_equality(void **state)
{
    (void)state;
    static const struct {
        struct dp_span a, b;
        bool eq, ieq;
    } rows[] = {
        {DP_SPAN_INIT(""), DP_SPAN_INIT(""), true, true},
        {{NULL, 0}, DP_SPAN_INIT(""), true, true},
        {{NULL, 0}, {NULL, 0}, true, true},
        {DP_SPAN_INIT("a"), DP_SPAN_INIT(""), false, false},
        {DP_SPAN_INIT("a"), DP_SPAN_INIT("b"), false, false},
        {DP_SPAN_INIT("a"), DP_SPAN_INIT("ab"), false, false},
        {DP_SPAN_INIT("Host"), DP_SPAN_INIT("Host"), true, true},
        {DP_SPAN_INIT("Host"), DP_SPAN_INIT("hOST"), false, true},
        {DP_SPAN_INIT("a\0b"), DP_SPAN_INIT("a\0b"), true, true},
        {DP_SPAN_INIT("a\0b"), DP_SPAN_INIT("a\0c"), false, false},
        {DP_SPAN_INIT("\0"), DP_SPAN_INIT(""), false, false},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        assert_int_equal(dp_span_eq(rows[i].a, rows[i].b), rows[i].eq);
        assert_int_equal(dp_span_eq(rows[i].b, rows[i].a), rows[i].eq);
        assert_int_equal(dp_span_ieq(rows[i].a, rows[i].b), rows[i].ieq);
        assert_int_equal(dp_span_ieq(rows[i].b, rows[i].a), rows[i].ieq);
    }
}

/* Case is folded for the 26 letters and for nothing else: not "[" and "{", not Latin 1. */
static void test_ieq_all_pairs(void **state)
{
    (void)state;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            bool letter =
                (a >= 'A' && a <= 'Z' && b == a + 32) || (b >= 'A' && b <= 'Z' && a == b + 32);
            bool same = dp_span_ieq((struct dp_span){&x, 1}, (struct dp_span){&y, 1});
            if (same != (a == b || letter))
                fail_msg("bytes %d and %d", a, b);
        }
    }
}

static void test_starts(void **state)
{
    (void)state;
    static const struct {
        struct dp_span s, prefix;
        bool starts;
    } rows[] = {
        {DP_SPAN_INIT("abc"), DP_SPAN_INIT(""), true},
        {DP_SPAN_INIT("abc"), {NULL, 0}, true},
        {{NULL, 0}, {NULL, 0}, true},
        {{NULL, 0}, DP_SPAN_INIT("a"), false},
        {DP_SPAN_INIT("abc"), DP_SPAN_INIT("a"), true},
        {DP_SPAN_INIT("abc"), DP_SPAN_INIT("abc"), true},
        {DP_SPAN_INIT("abc"), DP_SPAN_INIT("abcd"), false},
        {DP_SPAN_INIT("abc"), DP_SPAN_INIT("b"), false},
        {DP_SPAN_INIT("abc"), DP_SPAN_INIT("A"), false},
        {DP_SPAN_INIT("a\0c"), DP_SPAN_INIT("a\0"), true},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_int_equal(dp_span_starts(rows[i].s, rows[i].prefix), rows[i].starts);
}

static void test_str(void **state)
{
    (void)state;
    assert_true(dp_span_eq(dp_span_str("abc"), DP_SPAN("abc")));
    assert_int_equal(dp_span_str("").n, 0);
    assert_int_equal(dp_span_str(NULL).n, 0);
    assert_null(dp_span_str(NULL).p);
    assert_int_equal(DP_SPAN("a\0b").n, 3);
}

/* Every byte at every place of texts up to three words long. */
static void test_plain(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool plain = c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
        for (size_t n = 1; n <= 24; n++) {
            for (size_t at = 0; at < n; at++) {
                char *text = malloc(n); /* exact size: the sanitizer sees a step too far */
                assert_non_null(text);
                memset(text, at % 2 ? '~' : ' ', n);
                text[at] = (char)c;
                assert_int_equal(dp_span_plain((struct dp_span){text, n}), plain ? n : at);
                free(text);
            }
        }
    }
    assert_int_equal(dp_span_plain((struct dp_span){NULL, 0}), 0);
}

static void test_percent(void **state)
{
    static const struct {
        const char *text;
        int byte;
    } cases[] = {{"%2F", 0x2f}, {"%2fx", 0x2f}, {"%fF", 0xff}, {"%00", 0},
                 {"%2", -1},    {"%", -1},      {"", -1},      {"x2F", -1},
                 {"%g0", -1},   {"%0g", -1},    {"%@0", -1},   {"%`0", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(dp_span_percent(dp_span_str(cases[i].text)), cases[i].byte);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percent),  cmocka_unit_test(test_u64),
        cmocka_unit_test(test_trim),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_equality), cmocka_unit_test(test_ieq_all_pairs),
        cmocka_unit_test(test_starts),   cmocka_unit_test(test_str),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
