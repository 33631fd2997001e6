/* What a worker may send to endpoints on trial. */
#include "davenport/core/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NONE DP_MAX_ENDPOINTS

static struct dp_view *view_of(uint32_t mask, uint32_t trials)
{
    struct dp_view *v = dp_view_new();
    assert_non_null(v);
    v->n_endpoints = DP_MAX_ENDPOINTS;
    v->trial_mask = mask;
    v->trials = trials;
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++)
        v->endpoints[i].trial = mask & (UINT32_C(1) << i) ? 1 : 0;
    return v;
}

static void one_at_a_time_and_no_more_than_allowed(void **state)
{
    (void)state;
    struct dp_trials t = {0};
    struct dp_view *v = view_of(4, 2);
    assert_int_equal(dp_trial_take(&t, v), 2);
    assert_int_equal(dp_trial_take(&t, v), NONE);
    dp_trial_done(&t, 2);
    assert_int_equal(dp_trial_take(&t, v), 2);
    dp_trial_done(&t, 2);
    assert_int_equal(dp_trial_take(&t, v), NONE);
    v->endpoints[2].trial = 2; /* the next number allows as many again */
    assert_int_equal(dp_trial_take(&t, v), 2);
    dp_view_unref(v);
}

static void nothing_on_trial_takes_nothing(void **state)
{
    (void)state;
    struct dp_trials t = {0};
    struct dp_view *v = view_of(0, 5);
    assert_int_equal(dp_trial_take(&t, v), NONE);
    v->trial_mask = 1;
    v->trials = 0;
    assert_int_equal(dp_trial_take(&t, v), NONE);
    dp_view_unref(v);
}

/* Chance decides what ends when: never two under way at one endpoint, never more than allowed for a number. */
static void never_more_than_allowed(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252ULL;
    for (unsigned run = 0; run < 200; run++) {
        struct dp_trials t = {0};
        uint32_t mask = (uint32_t)x;
        struct dp_view *v = view_of(mask, 1 + run % 7);
        uint32_t sent[DP_MAX_ENDPOINTS] = {0}, under_way = 0;
        for (unsigned step = 0; step < 500; step++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            uint16_t ep = (uint16_t)(x % DP_MAX_ENDPOINTS);
            if (x & 64) {
                ep = dp_trial_take(&t, v);
                if (ep == NONE)
                    continue;
                assert_true(mask & (UINT32_C(1) << ep));
                assert_false(under_way & (UINT32_C(1) << ep));
                under_way |= UINT32_C(1) << ep;
                assert_true(++sent[ep] <= v->trials);
            } else if (x & 128 && mask & (UINT32_C(1) << ep)) {
                v->endpoints[ep].trial++;
                sent[ep] = 0;
            } else if (under_way & (UINT32_C(1) << ep)) {
                under_way &= ~(UINT32_C(1) << ep);
                dp_trial_done(&t, ep);
            }
        }
        dp_view_unref(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time_and_no_more_than_allowed),
        cmocka_unit_test(nothing_on_trial_takes_nothing),
        cmocka_unit_test(never_more_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
