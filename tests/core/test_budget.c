/* Budgets of second attempts. */
#include "davenport/base/attr.h"
#include "davenport/core/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_share_of_what_is_under_way(void **state)
{
    static const struct {
        struct dp_budget_config config;
        uint64_t active, limit;
    } rows[] = {
        {{20, 3}, 0, 3},     {{20, 3}, 15, 3},  {{20, 3}, 20, 4},
        {{20, 3}, 999, 199}, {{0, 0}, 1000, 0}, {{100, 10}, 5000, 5000},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_int_equal(dp_budget_limit(&rows[i].config, rows[i].active), rows[i].limit);
}

static void what_an_attempt_costs(void **state)
{
    (void)state;
    assert_int_equal(dp_budget_kind_of(true, false, 0, 0), DP_BUDGET_FREE);
    assert_int_equal(dp_budget_kind_of(false, true, 1, 0), DP_BUDGET_FREE);
    assert_int_equal(dp_budget_kind_of(false, false, 1, 0), DP_BUDGET_RETRY);
    assert_int_equal(dp_budget_kind_of(false, false, 1, 1), DP_BUDGET_FAILOVER);
    assert_int_equal(dp_budget_kind_of(false, false, 1U << 15, 15), DP_BUDGET_RETRY);
}

static void the_wait_doubles_and_has_an_end(void **state)
{
    static const uint64_t most_ms[] = {50, 100, 200, 400, 800, 1000, 1000};
    (void)state;
    for (uint32_t round = 0; round < DP_ARRAY_LEN(most_ms); round++) {
        const uint64_t most = most_ms[round] * 1000000;
        for (uint64_t random = 0; random < 10000; random++) {
            const uint64_t ns = dp_backoff_ns(round, random * 0x9E3779B97F4A7C15U);
            assert_true(ns >= most / 2 && ns <= most);
        }
        assert_int_equal(dp_backoff_ns(round, 0), most / 2);
        assert_int_equal(dp_backoff_ns(round, most / 2), most);
    }
    assert_true(dp_backoff_ns(UINT32_MAX, UINT64_MAX) <= 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_what_is_under_way),
        cmocka_unit_test(what_an_attempt_costs),
        cmocka_unit_test(the_wait_doubles_and_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
