/* Patterns of names, as tables, and against a matcher that tries everything. */
#include "davenport/base/attr.h"
#include "davenport/core/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool match(const char *pattern, const char *text)
{
    return dp_glob_match(dp_span_str(pattern), dp_span_str(text));
}

static void what_matches(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"orders", "orders", true},
        {"orders", "orders2", false},
        {"orders", "order", false},
        {"orders*", "orders", true},
        {"orders*", "orders/2026", true},
        {"orders*", "old-orders", false},
        {"*", "", true},
        {"*", "anything/at all", true},
        {"", "", true},
        {"", "a", false},
        {"?", "", false},
        {"?", "/", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*-log", "web-log", true},
        {"*-log", "web-logs", false},
        {"a*b*c", "a1b2b3c", true},
        {"a*b*c", "a1c2b", false},
        {"*a*a*a*", "aa", false},
        {"**", "x", true},
        {"user_*_db", "user_1_db_db", true},
        {"[a]", "a", false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        if (match(rows[i].pattern, rows[i].text) != rows[i].matches)
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
    }
}

static bool slow_match(const char *p, const char *t)
{
    if (*p == '*')
        return slow_match(p + 1, t) || (*t && slow_match(p, t + 1));
    if (*t == '\0' || *p == '\0')
        return *p == *t;
    return (*p == '?' || *p == *t) && slow_match(p + 1, t + 1);
}

/* All patterns of up to 5 of "ab*?" on all texts of up to 5 of "ab". */
static void the_same_as_trying_everything(void **state)
{
    (void)state;
    for (unsigned pn = 0; pn <= 5; pn++) {
        for (unsigned pc = 0; pc < 1U << 2 * pn; pc++) {
            char pattern[6] = {0};
            for (unsigned i = 0; i < pn; i++)
                pattern[i] = "ab*?"[pc >> 2 * i & 3];
            for (unsigned tn = 0; tn <= 5; tn++) {
                for (unsigned tc = 0; tc < 1U << tn; tc++) {
                    char text[6] = {0};
                    for (unsigned i = 0; i < tn; i++)
                        text[i] = "ab"[tc >> i & 1];
                    if (match(pattern, text) != slow_match(pattern, text))
                        fail_msg("%s on %s", pattern, text);
                }
            }
        }
    }
}

static void which_says_more(void **state)
{
    static const char *const best_first[] = {"orders-2026", "orders-*", "orders*", "*orders*",
                                             "a?",          "?*",       "*"};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(best_first); i++) {
        for (size_t j = 0; j < DP_ARRAY_LEN(best_first); j++) {
            int c = dp_glob_compare(dp_span_str(best_first[i]), dp_span_str(best_first[j]));
            bool same = best_first[i][0] != 'a' && best_first[j][0] != 'a' && i >= 5 && j >= 5;
            if (i == j || same) /* "?*" and "*" say nothing of their own */
                assert_int_equal(c, 0);
            else if (c == 0 || (c > 0) != (i < j))
                fail_msg("%s and %s: %d", best_first[i], best_first[j], c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_matches),
        cmocka_unit_test(the_same_as_trying_everything),
        cmocka_unit_test(which_says_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
