/* A worker's loop that stands still is found, told once, and told again when it goes on. */
#include "davenport/core/liveness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_turning(void **state)
{
    struct dp_liveness l = {0};
    (void)state;
    for (uint32_t i = 1; i < 100; i++)
        assert_int_equal(dp_liveness_look(&l, i), DP_LIVENESS_SAME);
    assert_false(dp_liveness_stalled(&l));
    /* the count goes round */
    assert_int_equal(dp_liveness_look(&l, UINT32_MAX), DP_LIVENESS_SAME);
    assert_int_equal(dp_liveness_look(&l, 0), DP_LIVENESS_SAME);
    assert_false(dp_liveness_stalled(&l));
}

static void test_standing_still(void **state)
{
    struct dp_liveness l = {0};
    (void)state;
    assert_int_equal(dp_liveness_look(&l, 7), DP_LIVENESS_SAME);
    for (unsigned i = 1; i < DP_LIVENESS_LOOKS; i++) {
        assert_int_equal(dp_liveness_look(&l, 7), DP_LIVENESS_SAME);
        assert_false(dp_liveness_stalled(&l));
    }
    assert_int_equal(dp_liveness_look(&l, 7), DP_LIVENESS_STALLED);
    for (unsigned i = 0; i < 300; i++) { /* told once, however long it lasts */
        assert_int_equal(dp_liveness_look(&l, 7), DP_LIVENESS_SAME);
        assert_true(dp_liveness_stalled(&l));
    }
    assert_int_equal(dp_liveness_look(&l, 8), DP_LIVENESS_RECOVERED);
    assert_false(dp_liveness_stalled(&l));
}

/* A late look or two, after the machine was stopped, prove nothing. */
static void test_short(void **state)
{
    struct dp_liveness l = {0};
    (void)state;
    for (uint32_t i = 1; i < 50; i++) {
        for (unsigned k = 0; k < DP_LIVENESS_LOOKS; k++)
            assert_int_equal(dp_liveness_look(&l, i), DP_LIVENESS_SAME);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turning),
        cmocka_unit_test(test_standing_still),
        cmocka_unit_test(test_short),
    };
    return cmocka_run_group_tests_name("liveness", tests, NULL, NULL);
}
