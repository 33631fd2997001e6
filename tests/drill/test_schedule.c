/* When requests are due: constant, ramps, pauses, and that none is ever due before its predecessor. */
#include "drill/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static void a_constant_rate_is_evenly_spaced(void **state)
{
    (void)state;
    struct dp_schedule s;
    dp_schedule_init(&s, &(struct dp_load_stage){200, 200, 3}, 1);
    assert_int_equal(s.total, 600);
    for (uint64_t k = 0; k < s.total; k++) {
        assert_in_range(dp_schedule_at(&s, k) + 1, k * 5 * MS, k * 5 * MS + 2);
    }
    assert_int_equal(dp_schedule_due(&s, 0, 0), 1);
    assert_int_equal(dp_schedule_due(&s, 1001 * MS, 0), 201);
    assert_int_equal(dp_schedule_due(&s, 60000 * MS, 17), 600);
}

static void tenths_are_not_lost(void **state)
{
    (void)state;
    struct dp_schedule s;
    dp_schedule_init(&s, &(struct dp_load_stage){0.1, 0.1, 30}, 1);
    assert_int_equal(s.total, 3);
}

static void a_ramp_has_half_of_its_requests_by_seven_tenths(void **state)
{
    (void)state;
    /* From 0 to 100 in 10 s: 500 requests; by t there are 5 t^2. */
    struct dp_schedule s;
    dp_schedule_init(&s, &(struct dp_load_stage){0, 100, 10}, 1);
    assert_int_equal(s.total, 500);
    assert_int_equal(dp_schedule_at(&s, 0), 0);
    assert_in_range(dp_schedule_at(&s, 5), 999 * MS, 1001 * MS);
    assert_in_range(dp_schedule_at(&s, 125), 4999 * MS, 5001 * MS);
    assert_in_range(dp_schedule_at(&s, 250), 7070 * MS, 7072 * MS);
}

static void stages_follow_each_other(void **state)
{
    (void)state;
    /* 2 s up to 10, a pause, 1 s at 10, down again. */
    const struct dp_load_stage stages[] = {{0, 10, 2}, {0, 0, 5}, {10, 10, 1}, {10, 0, 2}};
    struct dp_schedule s;
    dp_schedule_init(&s, stages, 4);
    assert_int_equal(s.total, 30);
    assert_true(dp_schedule_at(&s, 9) < 2000 * MS);
    assert_in_range(dp_schedule_at(&s, 10), 6999 * MS, 7001 * MS);
    assert_in_range(dp_schedule_at(&s, 11), 7099 * MS, 7101 * MS);
    assert_true(dp_schedule_at(&s, 29) < 10000 * MS);
}

static void none_is_due_before_its_predecessor(void **state)
{
    (void)state;
    uint32_t random = 7;
    for (int round = 0; round < 200; round++) {
        struct dp_load_stage stages[DP_LOAD_STAGES];
        struct dp_schedule s;
        size_t n = 1 + (size_t)round % DP_LOAD_STAGES;
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            stages[i] = (struct dp_load_stage){random >> 30 ? (random >> 8) % 100 : 0,
                                               (random >> 16) % 100, (random >> 24) % 5};
        }
        dp_schedule_init(&s, stages, n);
        uint64_t before = 0;
        for (uint64_t k = 0; k < s.total; k++) {
            uint64_t at = dp_schedule_at(&s, k);
            assert_true(at >= before);
            assert_true(at <= (uint64_t)(s.seconds * 1e9) + 1);
            before = at;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_constant_rate_is_evenly_spaced),
        cmocka_unit_test(tenths_are_not_lost),
        cmocka_unit_test(a_ramp_has_half_of_its_requests_by_seven_tenths),
        cmocka_unit_test(stages_follow_each_other),
        cmocka_unit_test(none_is_due_before_its_predecessor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
