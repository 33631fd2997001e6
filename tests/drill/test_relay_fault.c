/* What a relay lets pass, and when: on virtual time. */
#include "davenport/base/clock.h"
#include "davenport/drill/relay_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS  DP_NS_PER_MS
#define NOW (UINT64_C(1000) * DP_NS_PER_S)

static struct dp_relay_faults faults;
static struct dp_relay_pace pace;

static int set_up(void **state)
{
    (void)state;
    faults = (struct dp_relay_faults){0};
    pace = (struct dp_relay_pace){0};
    return 0;
}

static void break_it(struct dp_relay_fault f, uint64_t for_ms)
{
    if (!f.ways[0] && !f.ways[1]) {
        f.ways[0] = f.ways[1] = true;
    }
    dp_relay_faults_set(&faults, &f, for_ms, NOW);
}

static void words_are_found_again(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS; kind++) {
        const char *word = dp_relay_fault_name((enum dp_relay_fault_kind)kind);
        assert_int_equal(dp_relay_fault_kind_of(dp_span_str(word)), kind);
        assert_true(dp_relay_fault_text((enum dp_relay_fault_kind)kind)[0] != '\0');
    }
    assert_int_equal(dp_relay_fault_kind_of(DP_SPAN("lat")), DP_RELAY_FAULTS);
    assert_int_equal(dp_relay_fault_kind_of(DP_SPAN("")), DP_RELAY_FAULTS);
}

static void faults_end_by_themselves_and_singly(void **state)
{
    (void)state;
    assert_true(dp_relay_faults_next(&faults) == UINT64_MAX);
    break_it((struct dp_relay_fault){.kind = DP_RELAY_BLACKHOLE}, 0);
    break_it((struct dp_relay_fault){.kind = DP_RELAY_LATENCY, .ms = 5}, 300);
    break_it((struct dp_relay_fault){.kind = DP_RELAY_REFUSE}, 200);
    assert_true(dp_relay_faults_next(&faults) == NOW + 200 * MS);
    assert_int_equal(dp_relay_faults_expire(&faults, NOW + 200 * MS - 1), 0);
    assert_int_equal(dp_relay_faults_expire(&faults, NOW + 200 * MS), 1U << DP_RELAY_REFUSE);
    assert_int_equal(dp_relay_faults_expire(&faults, NOW + 900 * MS), 1U << DP_RELAY_LATENCY);
    assert_true(faults.on[DP_RELAY_BLACKHOLE]);
    assert_true(dp_relay_faults_heal(&faults, DP_RELAY_BLACKHOLE));
    assert_false(dp_relay_faults_heal(&faults, DP_RELAY_BLACKHOLE));
}

static void a_second_one_takes_the_place_of_the_first(void **state)
{
    (void)state;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_LATENCY, .ms = 5}, 100);
    break_it((struct dp_relay_fault){.kind = DP_RELAY_LATENCY, .ms = 7}, 0);
    assert_int_equal(faults.at[DP_RELAY_LATENCY].ms, 7);
    assert_int_equal(dp_relay_faults_expire(&faults, NOW + 100 * MS), 0);
}

static void without_faults_all_leaves_at_once(void **state)
{
    (void)state;
    uint64_t wake = 0;
    assert_true(dp_relay_due(&faults, DP_RELAY_TO_CLIENT, &pace, NOW, 12345) == NOW);
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 1 << 20, NOW, &wake),
                     1 << 20);
}

static void latency_is_within_its_jitter_and_keeps_the_order(void **state)
{
    (void)state;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t last = 0;
    uint64_t random = 1;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_LATENCY, .ms = 100, .jitter_ms = 30}, 0);
    for (unsigned i = 0; i < 10000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        struct dp_relay_pace fresh = {0};
        uint64_t due = dp_relay_due(&faults, DP_RELAY_TO_CLIENT, &fresh, NOW, random >> 20) - NOW;
        least = due < least ? due : least;
        most = due > most ? due : most;
        due = dp_relay_due(&faults, DP_RELAY_TO_CLIENT, &pace, NOW + i * MS / 10, random >> 20);
        assert_true(due >= last);
        last = due;
    }
    assert_in_range(least, 70 * MS, 71 * MS);
    assert_in_range(most, 129 * MS, 130 * MS);
}

static void jitter_never_leads_into_the_past(void **state)
{
    (void)state;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_LATENCY, .ms = 5, .jitter_ms = 1000}, 0);
    for (uint64_t random = 0; random < 1000; random++) {
        struct dp_relay_pace fresh = {0};
        uint64_t due = dp_relay_due(&faults, DP_RELAY_TO_CLIENT, &fresh, NOW, random * 7919 * 997);
        assert_in_range(due, NOW, NOW + 10 * MS);
    }
}

static void what_ended_before_waits_for_what_is_late(void **state)
{
    (void)state;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_LATENCY, .ms = 100}, 0);
    uint64_t first = dp_relay_due(&faults, DP_RELAY_TO_CLIENT, &pace, NOW, 0);
    (void)dp_relay_faults_heal(&faults, DP_RELAY_LATENCY);
    assert_true(dp_relay_due(&faults, DP_RELAY_TO_CLIENT, &pace, NOW + MS, 0) == first);
}

static void a_way_that_is_not_named_is_left_alone(void **state)
{
    (void)state;
    uint64_t wake = 0;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_BLACKHOLE, .ways = {true, false}}, 0);
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 9, NOW, &wake), 9);
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_SERVER, &pace, 9, NOW, &wake), 0);
    assert_true(wake == UINT64_MAX);
}

/* Everything that leaves from NOW on until `seconds` later, asked again when told to, and `late_ns` after it. */
static uint64_t leaves_in(uint64_t seconds, uint64_t late_ns)
{
    uint64_t bytes = 0;
    uint64_t now = NOW;
    while (now < NOW + seconds * DP_NS_PER_S) {
        uint64_t wake = now;
        size_t n = dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 1 << 20, now, &wake);
        if (n == 0) {
            assert_true(wake > now);
            now = wake + late_ns;
        } else {
            bytes += n;
            dp_relay_left(&faults, DP_RELAY_TO_CLIENT, &pace, n, now);
        }
    }
    return bytes;
}

static void bandwidth_is_kept_also_by_a_coarse_timer(void **state)
{
    (void)state;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_BANDWIDTH, .bytes = 1000000}, 0);
    assert_in_range(leaves_in(10, 0), 9900000, 10100000);
    pace = (struct dp_relay_pace){0};
    assert_in_range(leaves_in(10, MS), 9900000, 10100000);
    pace = (struct dp_relay_pace){0};
    faults.at[DP_RELAY_BANDWIDTH].bytes = 3;
    assert_in_range(leaves_in(10, MS), 29, 31);
}

static void an_idle_time_is_not_made_up_for(void **state)
{
    (void)state;
    uint64_t wake = 0;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_BANDWIDTH, .bytes = 1000}, 0);
    dp_relay_left(&faults, DP_RELAY_TO_CLIENT, &pace, 20, NOW);
    uint64_t later = NOW + 60 * DP_NS_PER_S;
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 999, later, &wake), 20);
    dp_relay_left(&faults, DP_RELAY_TO_CLIENT, &pace, 20, later);
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 999, later, &wake), 0);
    assert_true(wake == later + 20 * MS);
}

static void slices_are_small_and_apart(void **state)
{
    (void)state;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_SLICE, .bytes = 7, .ms = 50}, 0);
    assert_in_range(leaves_in(1, 0), 7 * 20, 7 * 21);
    pace = (struct dp_relay_pace){0};
    faults.at[DP_RELAY_SLICE].ms = 0;
    uint64_t wake = 0;
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 999, NOW, &wake), 7);
    dp_relay_left(&faults, DP_RELAY_TO_CLIENT, &pace, 7, NOW);
    assert_int_equal(dp_relay_may_leave(&faults, DP_RELAY_TO_CLIENT, &pace, 3, NOW, &wake), 3);
}

static void bandwidth_and_slices_hold_together(void **state)
{
    (void)state;
    break_it((struct dp_relay_fault){.kind = DP_RELAY_SLICE, .bytes = 100, .ms = 1}, 0);
    break_it((struct dp_relay_fault){.kind = DP_RELAY_BANDWIDTH, .bytes = 10000}, 0);
    assert_in_range(leaves_in(10, 0), 99000, 101000);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_are_found_again),
        TEST(faults_end_by_themselves_and_singly),
        TEST(a_second_one_takes_the_place_of_the_first),
        TEST(without_faults_all_leaves_at_once),
        TEST(latency_is_within_its_jitter_and_keeps_the_order),
        TEST(jitter_never_leads_into_the_past),
        TEST(what_ended_before_waits_for_what_is_late),
        TEST(a_way_that_is_not_named_is_left_alone),
        TEST(bandwidth_is_kept_also_by_a_coarse_timer),
        TEST(an_idle_time_is_not_made_up_for),
        TEST(slices_are_small_and_apart),
        TEST(bandwidth_and_slices_hold_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
