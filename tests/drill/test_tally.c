/* What is counted for when: the second in which a request was due, outages, regions, and what a stall costs. */
#include "drill/schedule.h"
#include "drill/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS      UINT64_C(1000000)
#define START   (5000 * MS)
#define TIMEOUT 3000

static struct dp_tally *tally;

static int begin(void **state)
{
    (void)state;
    tally = dp_tally_new(4.5, TIMEOUT);
    assert_non_null(tally);
    dp_tally_begin(tally, START);
    return 0;
}

static int end(void **state)
{
    (void)state;
    dp_tally_destroy(tally);
    return 0;
}

static void due(uint64_t at_ms)
{
    dp_tally_due(tally, START + at_ms * MS);
}

static void ended(uint64_t due_ms, uint64_t done_ms, enum dp_load_failure failure, uint16_t status,
                  const char *region)
{
    const struct dp_load_end e = {.kind = DP_LOAD_PUT,
                                  .failure = failure,
                                  .status = status,
                                  .due_ns = START + due_ms * MS,
                                  .done_ns = START + done_ms * MS,
                                  .region = dp_span_str(region)};
    dp_tally_end(tally, &e);
}

static void a_request_counts_for_the_second_in_which_it_was_due(void **state)
{
    (void)state;
    struct dp_load_second row;
    due(999);
    due(1000);
    ended(999, 3100, DP_LOAD_FAILED_NONE, 200, "left");
    ended(1000, 1004, DP_LOAD_FAILED_NONE, 200, "right");
    assert_false(dp_tally_row(tally, START + (1000 + TIMEOUT) * MS, &row));
    assert_true(dp_tally_row(tally, START + (1001 + TIMEOUT) * MS, &row));
    assert_int_equal(row.second, 0);
    assert_int_equal(row.due, 1);
    assert_int_equal(row.ok, 1);
    assert_int_equal(row.slow, 1);
    assert_int_equal(row.by_region[0], 1);
    assert_int_equal(row.by_region[1], 0);
    assert_true(row.max_ns == 2101 * MS);
    assert_false(dp_tally_row(tally, START + (1001 + TIMEOUT) * MS, &row));
    for (uint32_t second = 1; second < 5; second++) {
        assert_true(dp_tally_row(tally, UINT64_MAX, &row));
        assert_int_equal(row.second, second);
        assert_int_equal(row.due, second == 1);
    }
    assert_false(dp_tally_row(tally, UINT64_MAX, &row));
    assert_string_equal(dp_tally_region(tally, 0), "left");
    assert_string_equal(dp_tally_region(tally, 1), "right");
    assert_null(dp_tally_region(tally, 2));
}

static void what_ends_early_has_rows_to_its_last_request(void **state)
{
    (void)state;
    struct dp_load_second row;
    due(100);
    due(1200);
    ended(100, 101, DP_LOAD_FAILED_NONE, 200, "");
    ended(1200, 1201, DP_LOAD_FAILED_CLOSED, 0, "");
    dp_tally_stop(tally);
    assert_true(dp_tally_row(tally, UINT64_MAX, &row));
    assert_true(dp_tally_row(tally, UINT64_MAX, &row));
    assert_int_equal(row.failed, 1);
    assert_false(dp_tally_row(tally, UINT64_MAX, &row));
}

static void failures_are_told_by_kind_and_status(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        due(i);
        ended(i, i + 1, DP_LOAD_FAILED_STATUS, i < 2 ? 503 : 409, "");
    }
    due(3);
    ended(3, 4, DP_LOAD_FAILED_TIMEOUT, 0, "");
    const struct dp_tally_kind *k = dp_tally_kind(tally, DP_LOAD_PUT);
    assert_non_null(k);
    assert_null(dp_tally_kind(tally, DP_LOAD_GET));
    assert_int_equal(k->failed, 4);
    assert_int_equal(k->statuses[503], 2);
    assert_int_equal(k->statuses[409], 1);
    assert_int_equal(k->failures[DP_LOAD_FAILED_TIMEOUT], 1);
    assert_int_equal(k->latency.count, 0);
    due(5);
    ended(5, 6, DP_LOAD_FAILED_NONE, 409, ""); /* what the region knows */
    assert_int_equal(k->conflicts, 1);
    assert_int_equal(k->ok, 1);
    assert_int_equal(k->failed, 4);
}

static void outages_are_stretches_of_bad_requests(void **state)
{
    (void)state;
    struct dp_outage o;
    uint64_t at = 0;
    /* Bad from 1000 to 1500 with a good one between; a lone one later. */
    static const unsigned bad[] = {1000, 1100, 1300, 1500, 2000};
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++) {
        due(bad[i]);
        if (i == 1) {
            ended(bad[i], bad[i] + 2001, DP_LOAD_FAILED_NONE, 200, "");
        } else {
            ended(bad[i], bad[i] + 3, DP_LOAD_FAILED_STATUS, 503, "");
        }
    }
    due(1200);
    ended(1200, 1201, DP_LOAD_FAILED_NONE, 200, "");
    assert_true(dp_tally_outage(tally, &at, &o));
    assert_true(o.from_ns == 1000 * MS);
    assert_true(o.to_ns == 1510 * MS);
    assert_int_equal(o.failed, 3);
    assert_int_equal(o.slow, 1);
    assert_true(dp_tally_outage(tally, &at, &o));
    assert_true(o.from_ns == 2000 * MS);
    assert_int_equal(o.failed, 1);
    assert_false(dp_tally_outage(tally, &at, &o));
}

static void regions_beyond_the_table_are_others(void **state)
{
    (void)state;
    struct dp_load_second row;
    for (unsigned i = 0; i < DP_LOAD_REGIONS + 3; i++) {
        const char name[] = {'r', (char)('a' + i), '\0'};
        due(i);
        ended(i, i + 1, DP_LOAD_FAILED_NONE, 200, name);
    }
    assert_true(dp_tally_row(tally, UINT64_MAX, &row));
    assert_int_equal(row.by_region[DP_LOAD_REGIONS - 1], 1);
    assert_int_equal(row.by_region[DP_LOAD_REGIONS], 3);
}

static void what_ended_of_late_is_told_once(void **state)
{
    (void)state;
    struct dp_load_second row;
    due(10);
    ended(10, 20, DP_LOAD_FAILED_NONE, 200, "");
    dp_tally_recent(tally, &row);
    assert_int_equal(row.second, 0);
    assert_int_equal(row.ok, 1);
    assert_true(row.p99_ns == 10 * MS);
    dp_tally_recent(tally, &row);
    assert_int_equal(row.second, 1);
    assert_int_equal(row.ok + row.due, 0);
}

/* 1000 requests a second over two connections to a server that answers within 1 ms, but from 1 s to 2 s not at all. A closed
 * loop would have seen two slow requests. */
static void a_stall_is_charged_with_all_that_had_to_wait(void **state)
{
    (void)state;
    struct dp_schedule s;
    struct dp_load_second row;
    uint64_t free_at[2] = {0, 0};
    dp_schedule_init(&s, &(struct dp_load_stage){1000, 1000, 4}, 1);
    for (uint64_t k = 0; k < s.total; k++) {
        uint64_t at = dp_schedule_at(&s, k);
        unsigned c = free_at[0] <= free_at[1] ? 0 : 1;
        uint64_t sent = at > free_at[c] ? at : free_at[c];
        uint64_t done = sent + MS / 2;
        if (done > 1000 * MS && done < 2000 * MS) {
            done = 2000 * MS;
        }
        free_at[c] = done;
        dp_tally_due(tally, START + at);
        dp_tally_end(tally, &(struct dp_load_end){.kind = DP_LOAD_GET,
                                                  .due_ns = START + at,
                                                  .done_ns = START + done});
    }
    const struct dp_histogram *h = &dp_tally_kind(tally, DP_LOAD_GET)->latency;
    assert_int_equal(h->count, 4000);
    /* About a third of all requests waited: 1000 in the stall and some behind it, till the line was worked off. */
    assert_true(dp_histogram_percentile(h, 60) < 2 * MS);
    assert_true(dp_histogram_percentile(h, 75) > 100 * MS);
    assert_true(dp_histogram_percentile(h, 99) > 900 * MS);
    assert_in_range(h->largest, 998 * MS, 1001 * MS);
    assert_true(dp_tally_row(tally, UINT64_MAX, &row));
    assert_true(row.p50_ns < MS);
    assert_true(dp_tally_row(tally, UINT64_MAX, &row));
    assert_true(row.p50_ns > 500 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_counts_for_the_second_in_which_it_was_due, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_ends_early_has_rows_to_its_last_request, begin, end),
        cmocka_unit_test_setup_teardown(failures_are_told_by_kind_and_status, begin, end),
        cmocka_unit_test_setup_teardown(outages_are_stretches_of_bad_requests, begin, end),
        cmocka_unit_test_setup_teardown(regions_beyond_the_table_are_others, begin, end),
        cmocka_unit_test_setup_teardown(what_ended_of_late_is_told_once, begin, end),
        cmocka_unit_test_setup_teardown(a_stall_is_charged_with_all_that_had_to_wait, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
