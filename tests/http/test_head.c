/* The table of known fields, its lookup, and the classes of bytes. */
#include "davenport/http/head.h"

#include "http/chars.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HOP = DP_HEADER_FLAG_HOP, FRAME = DP_HEADER_FLAG_FRAME, OWN = DP_HEADER_FLAG_OWN };

static const struct {
    enum dp_header_id id;
    const char *name;
    unsigned flags;
} rows[] = {
#define DP_HEADER(id, name, flags) {DP_HEADER_##id, name, flags},
#include "davenport/http/header.def"
#undef DP_HEADER
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* In memory of exactly its size, so that a lookup that reads past it is seen. */
static enum dp_header_id lookup(const char *p, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, p, n);
    const enum dp_header_id id = dp_header_lookup((struct dp_span){copy, n});
    free(copy);
    return id;
}

static void test_every_name_in_every_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++) {
        char name[64];
        const size_t n = strlen(rows[i].name);
        assert_true(n < sizeof(name));
        memcpy(name, rows[i].name, n);
        assert_int_equal(lookup(name, n), rows[i].id);
        for (size_t k = 0; k < n; k++)
            name[k] = (char)toupper(rows[i].name[k]);
        assert_int_equal(lookup(name, n), rows[i].id);
        for (size_t k = 0; k < n; k++) {
            memcpy(name, rows[i].name, n);
            name[k] = (char)toupper(name[k]);
            assert_int_equal(lookup(name, n), rows[i].id);
        }
        assert_int_equal(dp_header_flags(rows[i].id), rows[i].flags);
    }
}

/* Every one-byte change but a letter's case makes it another name. */
static void test_no_name_but_those(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++) {
        char name[64];
        const size_t n = strlen(rows[i].name);
        for (size_t k = 0; k < n; k++) {
            for (int c = 0; c < 256; c++) {
                memcpy(name, rows[i].name, n);
                name[k] = (char)c;
                const bool same = c < 128 && tolower(c) == rows[i].name[k];
                assert_int_equal(lookup(name, n) == rows[i].id, same);
            }
        }
        memcpy(name, rows[i].name, n);
        name[n] = 'x';
        assert_int_equal(lookup(name, n + 1), DP_HEADER_OTHER);
        assert_int_not_equal(lookup(name, n - 1), rows[i].id);
        assert_int_not_equal(lookup(name + 1, n - 1), rows[i].id);
    }
    assert_int_equal(lookup("", 0), DP_HEADER_OTHER);
    assert_int_equal(lookup("x-other", 7), DP_HEADER_OTHER);
    assert_int_equal(dp_header_flags(DP_HEADER_OTHER), 0);
}

static void test_the_table_is_sound(void **state)
{
    (void)state;
    assert_int_equal(N_ROWS, DP_HEADER_COUNT - 1);
    for (size_t i = 0; i < N_ROWS; i++) {
        /* The lookup relies on it: letters in lower case, digits and '-' only. */
        for (const char *p = rows[i].name; *p; p++)
            assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[i].name, rows[k].name);
    }
    /* what must never be passed on as it came */
    assert_int_equal(dp_header_flags(DP_HEADER_CONNECTION), HOP);
    assert_int_equal(dp_header_flags(DP_HEADER_TE), HOP);
    assert_int_equal(dp_header_flags(DP_HEADER_UPGRADE), HOP);
    assert_int_equal(dp_header_flags(DP_HEADER_TRANSFER_ENCODING), FRAME);
    assert_int_equal(dp_header_flags(DP_HEADER_CONTENT_LENGTH), FRAME);
    assert_int_equal(dp_header_flags(DP_HEADER_HOST), OWN);
}

static void test_find(void **state)
{
    (void)state;
    struct dp_header headers[] = {
        {.name = DP_SPAN("X"), .value = DP_SPAN("0")},
        {.name = DP_SPAN("Host"), .value = DP_SPAN("1"), .id = DP_HEADER_HOST},
        {.name = DP_SPAN("Date"), .value = DP_SPAN("2"), .id = DP_HEADER_DATE},
        {.name = DP_SPAN("Host"), .value = DP_SPAN("3"), .id = DP_HEADER_HOST},
    };
    const struct dp_head head = {
        .headers = headers,
        .n_headers = 4,
        .present = DP_HEADER_BIT(DP_HEADER_OTHER) | DP_HEADER_BIT(DP_HEADER_HOST) |
                   DP_HEADER_BIT(DP_HEADER_DATE),
    };
    assert_ptr_equal(dp_head_find(&head, DP_HEADER_HOST), &headers[1]);
    assert_ptr_equal(dp_head_find(&head, DP_HEADER_DATE), &headers[2]);
    assert_ptr_equal(dp_head_find(&head, DP_HEADER_OTHER), &headers[0]);
    assert_null(dp_head_find(&head, DP_HEADER_VIA));
    assert_ptr_equal(dp_head_only(&head, DP_HEADER_DATE), &headers[2]);
    assert_null(dp_head_only(&head, DP_HEADER_HOST));
    assert_null(dp_head_only(&head, DP_HEADER_VIA));
    const struct dp_head none = {.headers = NULL};
    assert_null(dp_head_find(&none, DP_HEADER_HOST));
}

/* The table of bytes against the grammar, written down a second time. */
static void test_classes_of_bytes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char b = (char)c;
        const bool alnum =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        assert_int_equal(dp_char_is(b, DP_CHAR_TOKEN),
                         alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL));
        assert_int_equal(dp_char_is(b, DP_CHAR_VALUE), c == '\t' || (c >= ' ' && c != 0x7f));
        assert_int_equal(dp_char_is(b, DP_CHAR_TARGET), c > ' ' && c < 0x7f && c != '#');
        assert_int_equal(dp_char_is(b, DP_CHAR_HOST), alnum || c == '-' || c == '.' || c == '_');
        const int hex = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
        assert_int_equal(dp_hex_value(b), hex);
    }
    assert_true(dp_chars_are(DP_SPAN(""), DP_CHAR_TOKEN));
    assert_true(dp_chars_are(DP_SPAN("x-y"), DP_CHAR_TOKEN));
    assert_false(dp_chars_are(DP_SPAN(" x"), DP_CHAR_TOKEN));
    assert_false(dp_chars_are(DP_SPAN("x y"), DP_CHAR_TOKEN));
    assert_false(dp_chars_are(DP_SPAN("xy "), DP_CHAR_TOKEN));
    assert_true(dp_chars_are(DP_SPAN("x y"), DP_CHAR_VALUE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_in_every_case), cmocka_unit_test(test_no_name_but_those),
        cmocka_unit_test(test_the_table_is_sound),       cmocka_unit_test(test_find),
        cmocka_unit_test(test_classes_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
