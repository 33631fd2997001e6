/* The stall detector on scripted time. */
#include "davenport/base/clock.h"

#include "control/lag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS DP_NS_PER_MS

static void a_steady_beat_is_no_stall(void **state)
{
    (void)state;
    struct dp_lag l;
    dp_lag_init(&l, 100 * MS, 1000 * MS, 0);
    uint64_t now = 0;
    for (unsigned i = 0; i < 1000; i++) {
        now += i % 3 ? 100 * MS : 900 * MS; /* late now and then, within the limit */
        assert_false(dp_lag_seen(&l, now));
    }
    assert_int_equal(l.stalls, 0);
    assert_false(dp_lag_touches(&l, 0));
    assert_false(dp_lag_recent(&l, now, 5000 * MS));
}

static void a_late_beat_is_a_stall(void **state)
{
    (void)state;
    struct dp_lag l;
    dp_lag_init(&l, 100 * MS, 1000 * MS, 0);
    assert_false(dp_lag_seen(&l, 1100 * MS));
    assert_true(dp_lag_seen(&l, 2201 * MS));
    assert_int_equal(l.length_ns, 1101 * MS);
    assert_int_equal(l.stalls, 1);
    /* what began before its end may have been hit by it, what begins later not */
    assert_true(dp_lag_touches(&l, 0));
    assert_true(dp_lag_touches(&l, 2201 * MS));
    assert_false(dp_lag_touches(&l, 2202 * MS));
    assert_true(dp_lag_recent(&l, 3200 * MS, 1000 * MS));
    assert_false(dp_lag_recent(&l, 3201 * MS, 1000 * MS));
    assert_false(dp_lag_seen(&l, 2300 * MS));
}

static void a_clock_that_stands_still_is_no_stall(void **state)
{
    (void)state;
    struct dp_lag l;
    dp_lag_init(&l, 100 * MS, 1000 * MS, 5000 * MS);
    assert_false(dp_lag_seen(&l, 5000 * MS));
    assert_false(dp_lag_seen(&l, 4000 * MS));
    assert_false(dp_lag_seen(&l, 4100 * MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_beat_is_no_stall),
        cmocka_unit_test(a_late_beat_is_a_stall),
        cmocka_unit_test(a_clock_that_stands_still_is_no_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
