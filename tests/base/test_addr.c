/* Lists of addresses: no address twice, no more than there is room for, families in turns. */
#include "davenport/base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "a b c" as a list. */
static struct dp_addrs list(const char *text)
{
    struct dp_addrs a = {0};
    char ip[DP_ADDR_TEXT];
    for (int n; sscanf(text, "%63s%n", ip, &n) == 1; text += n)
        (void)dp_addrs_add(&a, ip, 80);
    return a;
}

static void lists_hold_each_address_once(void **state)
{
    struct dp_addrs a = {0};
    char text[DP_ADDRS_TEXT], longest[DP_ADDR_TEXT + 1];
    (void)state;
    assert_true(dp_addrs_add(&a, "10.0.0.1", 80));
    assert_true(dp_addrs_add(&a, "10.0.0.1", 80));
    assert_int_equal(a.n, 1);
    assert_true(dp_addrs_add(&a, "10.0.0.1", 81)); /* another port is another address */
    assert_int_equal(a.n, 2);
    assert_false(dp_addrs_add(&a, "", 80));
    memset(longest, '1', sizeof(longest));
    longest[DP_ADDR_TEXT] = '\0';
    assert_false(dp_addrs_add(&a, longest, 80));
    a.n = 0;
    for (unsigned i = 0; i < DP_MAX_ADDRS; i++) {
        longest[DP_ADDR_TEXT - 1] = '\0';
        longest[0] = (char)('a' + i);
        assert_true(dp_addrs_add(&a, longest, 80));
    }
    assert_false(dp_addrs_add(&a, "10.0.0.9", 80));
    assert_int_equal(a.n, DP_MAX_ADDRS);
    assert_int_equal(strlen(dp_addrs_text(&a, text)),
                     DP_MAX_ADDRS * (DP_ADDR_TEXT - 1) + (DP_MAX_ADDRS - 1) * 2);
    a.n = 0;
    assert_string_equal(dp_addrs_text(&a, text), "");
}

static void the_same_addresses_in_any_order(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"", "", true},
        {"1.1.1.1", "1.1.1.1", true},
        {"1.1.1.1 ::1", "::1 1.1.1.1", true},
        {"1.1.1.1 ::1", "1.1.1.1", false},
        {"1.1.1.1", "1.1.1.1 ::1", false},
        {"1.1.1.1 ::1", "1.1.1.1 ::2", false},
        {"", "::1", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_addrs a = list(rows[i].a), b = list(rows[i].b);
        assert_int_equal(dp_addrs_same(&a, &b), rows[i].same);
        for (uint16_t k = 0; k < a.n && rows[i].same; k++)
            assert_true(dp_addrs_has(&b, &a.at[k]));
    }
}

static void families_take_turns(void **state)
{
    static const struct {
        const char *first, *second, *out;
    } rows[] = {
        {"", "", ""},
        {"::1", "", "::1"},
        {"", "1.1.1.1", "1.1.1.1"},
        {"::1 ::2", "1.1.1.1 1.1.1.2", "::1, 1.1.1.1, ::2, 1.1.1.2"},
        {"1.1.1.1", "::1 ::2 ::3", "1.1.1.1, ::1, ::2, ::3"},
        {"::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8", "1.1.1.1 1.1.1.2",
         "::1, 1.1.1.1, ::2, 1.1.1.2, ::3, ::4, ::5, ::6"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_addrs first = list(rows[i].first), second = list(rows[i].second), out;
        char text[DP_ADDRS_TEXT];
        dp_addrs_interleave(&first, &second, &out);
        assert_string_equal(dp_addrs_text(&out, text), rows[i].out);
    }
}

static void tags_tell_addresses_apart(void **state)
{
    struct dp_addrs a = list("10.0.0.1 10.0.0.2 10.0.0.10 ::1 ::10");
    (void)state;
    assert_true(dp_addrs_add(&a, "10.0.0.1", 81));
    for (uint16_t i = 0; i < a.n; i++) {
        assert_int_not_equal(dp_addr_tag(&a.at[i]), 0);
        for (uint16_t k = 0; k < i; k++)
            assert_true(dp_addr_tag(&a.at[i]) != dp_addr_tag(&a.at[k]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_hold_each_address_once),
        cmocka_unit_test(the_same_addresses_in_any_order),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(tags_tell_addresses_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
