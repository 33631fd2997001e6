/* Noting databases: each name once, room for who is new, and word of those that found none. */
#include "davenport/core/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool has(const struct dp_seen *s, const char *name, uint32_t *used)
{
    char text[DP_SEEN_NAME_BYTES + 1];
    unsigned n = 0;
    for (unsigned i = 0; i < DP_SEEN_SLOTS; i++) {
        uint32_t u;
        if (dp_seen_read(s, i, text, &u) && strcmp(text, name) == 0) {
            *used = u;
            n++;
        }
    }
    assert_true(n <= 1);
    return n == 1;
}

static void note(struct dp_seen *s, const char *name, uint32_t tick)
{
    dp_seen_note(s, dp_span_str(name), tick);
}

static void test_each_name_once(void **state)
{
    (void)state;
    static struct dp_seen s;
    static const char *const names[] = {"a", "b", "orders-2026-11", "orders-2026-12", "a%2Fb"};
    char longest[DP_SEEN_NAME_BYTES + 2];
    uint32_t used;
    for (uint32_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            note(&s, names[i], 10 + round);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(has(&s, names[i], &used));
        assert_int_equal(used, 12);
    }
    memset(longest, 'x', sizeof(longest));
    longest[DP_SEEN_NAME_BYTES] = '\0';
    note(&s, longest, 13);
    assert_true(has(&s, longest, &used));
    assert_int_equal(s.lost, 0);
    longest[DP_SEEN_NAME_BYTES] = 'x';
    longest[DP_SEEN_NAME_BYTES + 1] = '\0';
    note(&s, longest, 14);
    assert_int_equal(s.lost, 15);
}

static void test_who_is_not_used_makes_room(void **state)
{
    (void)state;
    static struct dp_seen s;
    char name[32];
    uint32_t used;
    unsigned there = 0;
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "db-%u", i);
        note(&s, name, 100);
    }
    assert_true(s.lost != 0); /* all at once: more than there is room for */
    atomic_store(&s.lost, 0);
    for (unsigned i = 0; i < DP_SEEN_SLOTS; i++)
        there += dp_seen_read(&s, i, (char[DP_SEEN_NAME_BYTES + 1]){0}, &used);
    assert_int_equal(there, DP_SEEN_SLOTS);
    note(&s, "late", 100 + DP_SEEN_STALE);
    assert_true(has(&s, "late", &used));
    assert_int_equal(s.lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_name_once),
        cmocka_unit_test(test_who_is_not_used_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
