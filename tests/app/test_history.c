/* The last hour: what a point is, how long it is kept, and what becomes of regions that come and go. */
#include "davenport/core/outcome.h"

#include "app/history.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define STEP UINT64_C(5000)

static struct dp_report two(void)
{
    struct dp_report r = {0};
    r.status.n_regions = 2;
    r.status.regions[0].name = "left";
    r.status.regions[1].name = "right";
    return r;
}

static json_t *told(const struct dp_history *h, size_t last, uint64_t now_ms)
{
    struct dp_text text = {0};
    dp_history_json(h, last, now_ms, &text);
    assert_false(text.failed);
    json_t *json = json_loadb(text.p, text.n, 0, NULL);
    assert_non_null(json);
    dp_text_fini(&text);
    return json;
}

static double value(const json_t *columns, const char *name, size_t i)
{
    const json_t *one = json_array_get(json_object_get(columns, name), i);
    assert_non_null(one);
    return json_is_null(one) ? NAN : json_number_value(one);
}

static const json_t *region(const json_t *json, size_t i)
{
    return json_array_get(json_object_get(json, "regions"), i);
}

static void test_quantile(void **state)
{
    /* bounds: 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000 */
    uint64_t buckets[DP_LATENCY_BUCKETS] = {0};
    (void)state;
    assert_true(dp_history_quantile(buckets, 0.5) < 0);
    buckets[3] = 10; /* 5 to 10 ms */
    assert_true(fabs(dp_history_quantile(buckets, 0.5) - 7.5) < 1e-9);
    assert_true(fabs(dp_history_quantile(buckets, 1) - 10) < 1e-9);
    buckets[0] = 90; /* 0 to 1 ms */
    assert_true(fabs(dp_history_quantile(buckets, 0.5) - 50.0 / 90) < 1e-9);
    assert_true(fabs(dp_history_quantile(buckets, 0.99) - 9.5) < 1e-9);
    memset(buckets, 0, sizeof buckets);
    buckets[DP_LATENCY_BUCKETS - 1] = 1; /* past the last bound: at least that */
    assert_true(fabs(dp_history_quantile(buckets, 0.5) - 10000) < 1e-9);
}

static void test_points(void **state)
{
    struct dp_history *h = dp_history_new();
    struct dp_report r = two();
    (void)state;
    r.totals[DP_TOTAL_requests] = 1000; /* before we looked */
    r.status.regions[0].outcomes[DP_OUTCOME_ANSWERED] = 1000;
    dp_history_sample(h, &r, 1000);
    json_t *json = told(h, DP_HISTORY_POINTS, 1000);
    assert_int_equal(json_array_size(json_object_get(json, "age_s")), 0);
    json_decref(json);

    r.totals[DP_TOTAL_requests] += 40;
    r.totals[DP_TOTAL_hold_total] += 3;
    r.totals[DP_TOTAL_retries] += 2;
    r.totals[DP_TOTAL_refused] += 1;
    r.totals[DP_TOTAL_feeds_active] = 7;
    r.status.active = 1;
    r.status.regions[0].outcomes[DP_OUTCOME_ANSWERED] += 30;
    r.status.regions[0].outcomes[DP_OUTCOME_CONNECT_REFUSED] += 5;
    r.status.regions[0].in_flight = 4;
    r.latency[0].buckets[3] += 30;
    dp_history_sample(h, &r, 1000 + STEP);
    json = told(h, DP_HISTORY_POINTS, 1000 + STEP + 1500);
    assert_true(fabs(value(json, "age_s", 0) - 1.5) < 1e-9);
    assert_true(fabs(value(json, "seconds", 0) - 5) < 1e-9);
    assert_int_equal(value(json, "requests", 0), 40);
    assert_int_equal(value(json, "held", 0), 3);
    assert_int_equal(value(json, "retried", 0), 2);
    assert_int_equal(value(json, "refused", 0), 1);
    assert_int_equal(value(json, "feeds", 0), 7);
    assert_int_equal(value(json, "active", 0), 1);
    assert_string_equal(json_string_value(json_object_get(region(json, 0), "name")), "left");
    assert_int_equal(value(region(json, 0), "requests", 0), 35);
    assert_int_equal(value(region(json, 0), "failures", 0), 5);
    assert_int_equal(value(region(json, 0), "in_flight", 0), 4);
    assert_true(fabs(value(region(json, 0), "p50_ms", 0) - 7.5) < 1e-9);
    assert_int_equal(value(region(json, 1), "requests", 0), 0);
    assert_true(isnan(value(region(json, 1), "p50_ms", 0)));
    json_decref(json);

    /* Nowhere; and a counter that fell counts nothing. */
    r.status.active = DP_NO_REGION;
    r.status.regions[0].outcomes[DP_OUTCOME_ANSWERED] = 7;
    dp_history_sample(h, &r, 1000 + 2 * STEP);
    json = told(h, 1, 1000 + 2 * STEP);
    assert_int_equal(json_array_size(json_object_get(json, "age_s")), 1);
    assert_true(isnan(value(json, "active", 0)));
    assert_int_equal(value(region(json, 0), "requests", 0), 0);
    json_decref(json);
    dp_history_free(h);
}

static void test_an_hour_is_kept(void **state)
{
    struct dp_history *h = dp_history_new();
    struct dp_report r = two();
    (void)state;
    for (uint64_t i = 0; i <= DP_HISTORY_POINTS + 100; i++) {
        r.totals[DP_TOTAL_requests] += i;
        dp_history_sample(h, &r, 1000 + i * STEP);
    }
    json_t *json = told(h, DP_HISTORY_POINTS, 1000 + (DP_HISTORY_POINTS + 100) * STEP);
    assert_int_equal(json_array_size(json_object_get(json, "requests")), DP_HISTORY_POINTS);
    assert_int_equal(value(json, "requests", 0), 101);
    assert_int_equal(value(json, "requests", DP_HISTORY_POINTS - 1), DP_HISTORY_POINTS + 100);
    assert_true(fabs(value(json, "age_s", 0) - 3595) < 1e-9);
    json_decref(json);
    json = told(h, 2, 0); /* a clock behind makes no negative age */
    assert_int_equal(value(json, "requests", 0), DP_HISTORY_POINTS + 99);
    assert_int_equal(value(json, "age_s", 1), 0);
    json_decref(json);
    dp_history_free(h);
}

/* A region that goes keeps its past; it is null from then on, and does not count what it did elsewhere when it returns. */
static void test_regions_come_and_go(void **state)
{
    struct dp_history *h = dp_history_new();
    struct dp_report r = two();
    (void)state;
    dp_history_sample(h, &r, 1000);
    r.status.regions[1].outcomes[DP_OUTCOME_ANSWERED] = 10;
    dp_history_sample(h, &r, 1000 + STEP);
    r.status.n_regions = 1;
    dp_history_sample(h, &r, 1000 + 2 * STEP);
    r.status.n_regions = 2;
    r.status.regions[1].outcomes[DP_OUTCOME_ANSWERED] = 100;
    dp_history_sample(h, &r, 1000 + 3 * STEP);
    r.status.regions[1].outcomes[DP_OUTCOME_ANSWERED] = 101;
    dp_history_sample(h, &r, 1000 + 4 * STEP);
    json_t *json = told(h, DP_HISTORY_POINTS, 1000 + 4 * STEP);
    assert_int_equal(value(region(json, 1), "requests", 0), 10);
    assert_true(isnan(value(region(json, 1), "requests", 1)));
    assert_true(isnan(value(region(json, 1), "requests", 2)));
    assert_int_equal(value(region(json, 1), "requests", 3), 1);
    json_decref(json);
    dp_history_free(h);
}

/* More names in an hour than there is room for: the newest ones are there, without the past of others. */
static void test_more_names_than_room(void **state)
{
    static char names[3 * DP_MAX_REGIONS][8];
    struct dp_history *h = dp_history_new();
    struct dp_report r = {0};
    (void)state;
    r.status.n_regions = DP_MAX_REGIONS;
    for (unsigned round = 0; round < 3; round++) {
        for (uint16_t i = 0; i < DP_MAX_REGIONS; i++) {
            char *name = names[round * DP_MAX_REGIONS + i];
            name[0] = (char)('a' + round);
            name[1] = (char)('a' + i);
            r.status.regions[i].name = name;
        }
        dp_history_sample(h, &r, 1000 + 2 * round * STEP);
        dp_history_sample(h, &r, 1000 + (2 * round + 1) * STEP);
    }
    json_t *json = told(h, DP_HISTORY_POINTS, 1000 + 5 * STEP);
    const size_t n = json_array_size(json_object_get(json, "age_s"));
    assert_int_equal(json_array_size(json_object_get(json, "regions")), DP_MAX_REGIONS);
    for (size_t i = 0; i < DP_MAX_REGIONS; i++) {
        assert_int_equal(json_string_value(json_object_get(region(json, i), "name"))[0], 'c');
        for (size_t k = 0; k + 1 < n; k++)
            assert_true(isnan(value(region(json, i), "requests", k)));
        assert_int_equal(value(region(json, i), "requests", n - 1), 0);
    }
    json_decref(json);
    dp_history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_an_hour_is_kept),
        cmocka_unit_test(test_regions_come_and_go),
        cmocka_unit_test(test_more_names_than_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
