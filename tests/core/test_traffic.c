/* Latency buckets, their borders to the nanosecond, and counters. */
#include "davenport/base/attr.h"
#include "davenport/core/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static void test_buckets(void **state)
{
    (void)state;
    static const uint64_t bounds_ms[] = DP_LATENCY_BOUNDS_MS;
    assert_int_equal(DP_ARRAY_LEN(bounds_ms) + 1, DP_LATENCY_BUCKETS);
    assert_int_equal(dp_latency_bucket(0), 0);
    for (unsigned i = 0; i < DP_ARRAY_LEN(bounds_ms); i++) {
        if (i > 0)
            assert_true(bounds_ms[i] > bounds_ms[i - 1]);
        /* an upper bound belongs to its bucket, as in Prometheus' le */
        assert_int_equal(dp_latency_bucket(bounds_ms[i] * MS - 1), i);
        assert_int_equal(dp_latency_bucket(bounds_ms[i] * MS), i);
        assert_int_equal(dp_latency_bucket(bounds_ms[i] * MS + 1), i + 1);
    }
    assert_int_equal(dp_latency_bucket(3600 * 1000 * MS), DP_LATENCY_BUCKETS - 1);
    assert_int_equal(dp_latency_bucket(UINT64_MAX), DP_LATENCY_BUCKETS - 1);
}

static void test_counters(void **state)
{
    (void)state;
    static struct dp_traffic t; /* zero at first, all of it */
    dp_counter_add(&t.requests, 1);
    dp_counter_add(&t.requests, UINT64_C(1) << 40);
    dp_counter_add(&t.requests_active, 3);
    dp_counter_sub(&t.requests_active, 2);
    dp_counter_add(&t.endpoints[DP_MAX_ENDPOINTS - 1].outcomes[DP_OUTCOME_COUNT - 1], 5);
    assert_true(dp_counter_get(&t.requests) == (UINT64_C(1) << 40) + 1);
    assert_true(dp_counter_get(&t.requests_active) == 1);
    assert_true(dp_counter_get(&t.endpoints[DP_MAX_ENDPOINTS - 1].outcomes[DP_OUTCOME_COUNT - 1]) ==
                5);
    assert_true(dp_counter_get(&t.endpoints[0].outcomes[0]) == 0);
}

/* What goes to Prometheus: good names, each once, a counter's ending in _total, help as a sentence. */
static void test_metric_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *help;
        bool counter;
    } rows[] = {
#define DP_COUNTER(field, name, help) {name, help, true},
#define DP_GAUGE(field, name, help)   {name, help, false},
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        const char *name = rows[i].name;
        size_t n = strlen(name), h = strlen(rows[i].help);
        bool total = n > 6 && strcmp(name + n - 6, "_total") == 0;
        assert_int_equal(strncmp(name, "davenport_", 10), 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), n);
        if (total != rows[i].counter)
            fail_msg("%s: _total is for counters and only for them", name);
        assert_null(strpbrk(rows[i].help, "\\\n\""));
        assert_true(h > 5 && rows[i].help[h - 1] == '.');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name, rows[k].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_metric_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
