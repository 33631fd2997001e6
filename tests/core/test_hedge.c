/* Never more hedges than their share of the requests. */
#include "davenport/base/attr.h"
#include "davenport/core/hedge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void never_more_than_their_share(void **state)
{
    (void)state;
    for (uint32_t percent = 0; percent <= 2; percent++) {
        struct dp_hedge_budget b = {0};
        uint64_t hedges = 0;
        for (uint64_t n = 1; n <= 10000; n++) {
            dp_hedge_earn(&b, percent);
            while (dp_hedge_affords(&b)) {
                dp_hedge_spend(&b);
                hedges++;
            }
            assert_true(hedges * 100 <= n * percent);
        }
        assert_int_equal(hedges, 100 * (uint64_t)percent);
    }
}

static void little_is_saved(void **state)
{
    (void)state;
    struct dp_hedge_budget b = {0};
    unsigned hedges = 0;
    for (unsigned n = 0; n < 1000000; n++)
        dp_hedge_earn(&b, 2);
    for (; dp_hedge_affords(&b); hedges++)
        dp_hedge_spend(&b);
    assert_int_equal(hedges, DP_HEDGES_SAVED);
}

static void its_moment(void **state)
{
    (void)state;
    assert_false(dp_hedge_due(0, 0, UINT64_MAX));
    assert_false(dp_hedge_due(5000000, 10, 14999999));
    assert_true(dp_hedge_due(5000000, 10, 15000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_their_share),
        cmocka_unit_test(little_is_saved),
        cmocka_unit_test(its_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
