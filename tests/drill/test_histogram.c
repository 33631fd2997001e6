/* The histogram: exact where it says so, percentiles as sorting would have them. */
#include "davenport/drill/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dp_histogram h;

static int empty(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t v = 1; v <= 1000; v++)
        dp_histogram_add(&h, v);
    assert_int_equal(dp_histogram_percentile(&h, 50), 500);
    assert_int_equal(dp_histogram_percentile(&h, 99), 990);
    assert_int_equal(dp_histogram_percentile(&h, 99.9), 999);
    assert_int_equal(dp_histogram_percentile(&h, 100), 1000);
    assert_int_equal((int)(dp_histogram_mean(&h) * 10), 5005);
}

static void large_values_are_exact_to_a_thousandth(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < (uint64_t)1 << DP_HISTOGRAM_LARGEST_BITS; v = v * 3 / 2 + 1) {
        memset(&h, 0, sizeof h);
        dp_histogram_add(&h, v);
        dp_histogram_add(&h, UINT64_MAX / 4); /* else the largest value would be told exactly */
        uint64_t told = dp_histogram_percentile(&h, 50);
        assert_true(told >= v);
        assert_true(told - v <= v / 1000);
    }
}

static void what_is_too_large_is_kept_as_the_largest(void **state)
{
    (void)state;
    dp_histogram_add(&h, UINT64_MAX);
    assert_true(h.largest == UINT64_MAX);
    assert_true(dp_histogram_percentile(&h, 50) >= ((uint64_t)1 << DP_HISTOGRAM_LARGEST_BITS) - 1);
}

static void nothing_has_no_percentile(void **state)
{
    (void)state;
    assert_int_equal(dp_histogram_percentile(&h, 99), 0);
    assert_true(dp_histogram_mean(&h) <= 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(small_values_are_exact, empty),
        cmocka_unit_test_setup(large_values_are_exact_to_a_thousandth, empty),
        cmocka_unit_test_setup(what_is_too_large_is_kept_as_the_largest, empty),
        cmocka_unit_test_setup(nothing_has_no_percentile, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
