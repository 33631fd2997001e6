/* Slow against one's own past and against one's peers. */
#include "davenport/base/clock.h"
#include "davenport/core/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS DP_NS_PER_MS

static const struct dp_pace_config config = {.window_ns = 500 * MS,
                                             .window_answers = 3,
                                             .windows = 4,
                                             .factor = 4,
                                             .slow_ms = 250,
                                             .late_ms = 1000};

struct course {
    struct dp_pace_state s;
    struct dp_pace_look last; /* of a whole window */
    uint64_t now_ns;
    unsigned windows;
};

static struct course begin(void)
{
    struct course c = {.now_ns = 1000 * MS};
    dp_pace_init(&c.s);
    return c;
}

/* 100 ms with these answers. True: it is slow. */
static bool step(struct course *c, const uint32_t answers[DP_PACE_BUCKETS], double peer_ms)
{
    struct dp_pace_look look;
    c->now_ns += 100 * MS;
    dp_pace_step(&c->s, &config, answers, peer_ms, c->now_ns, &look);
    if (!look.whole)
        return false;
    c->windows++;
    c->last = look;
    return look.slow;
}

/* For so long, `each` answers of `ms` every 100 ms. Stops at the first slow look; true then. */
static bool go(struct course *c, uint32_t for_ms, uint32_t each, uint32_t ms, double peer_ms)
{
    for (uint32_t t = 0; t < for_ms; t += 100) {
        uint32_t answers[DP_PACE_BUCKETS] = {0};
        answers[dp_pace_bucket(ms * MS)] = each;
        if (step(c, answers, peer_ms))
            return true;
    }
    return false;
}

/* Every time is in one bucket, and no bucket is wider than a quarter of where it begins. */
static void buckets_are_narrow(void **state)
{
    (void)state;
    for (uint32_t ms = 1; ms < 16384; ms++) {
        struct dp_pace_state s;
        struct dp_pace_look look;
        uint32_t answers[DP_PACE_BUCKETS] = {0}, none[DP_PACE_BUCKETS] = {0};
        dp_pace_init(&s);
        answers[dp_pace_bucket(ms * MS)] = 20;
        dp_pace_step(&s, &config, answers, 1, 1000 * MS, &look);
        dp_pace_step(&s, &config, none, 1, 1500 * MS, &look);
        assert_in_range(ms, look.median_ms, dp_pace_usual_ms(&s) - 1);
        assert_in_range(dp_pace_usual_ms(&s) - look.median_ms, 1, 1 + look.median_ms / 4);
    }
    assert_int_equal(dp_pace_bucket(0), 0);
    assert_int_equal(dp_pace_bucket(UINT64_MAX), DP_PACE_BUCKETS - 1);
}

static void eight_hundred_more_is_slow_in_three_seconds(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_int_equal(c.last.baseline_ms, 6); /* the bucket's upper bound */
    uint64_t began = c.now_ns;
    assert_true(go(&c, 10000, 10, 805, 8));
    assert_in_range(c.now_ns - began, 2000 * MS, 3000 * MS);
    assert_int_equal(c.last.median_ms, 768); /* the bucket's lower bound */
    assert_int_equal(c.last.baseline_ms, 6); /* slowness is not its own measure */
    assert_int_equal(c.last.slow_windows, 4);
}

static void when_peers_are_as_slow_it_is_the_network(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_false(go(&c, 60000, 10, 805, 810));
    assert_int_equal(c.last.baseline_ms, 896); /* the new normal */
}

static void without_a_peer_nothing_is_slow(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, -1));
    assert_false(go(&c, 30000, 10, 805, -1));
}

static void what_was_always_slow_is_not(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 60000, 10, 805, 8));
    assert_int_equal(c.last.baseline_ms, 896);
}

/* Far regions are slow by nature: 200 ms here, 250 ms there. */
static void eight_hundred_more_shows_on_a_long_way(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 200, 250));
    assert_true(go(&c, 5000, 10, 1000, 250));
}

static void a_peer_that_is_little_better_is_no_reason(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_false(go(&c, 10000, 10, 805, 400)); /* twice 400 is above the bucket's lower bound */
    c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_true(go(&c, 10000, 10, 805, 380));
}

static void under_the_floor_or_the_factor_it_is_not(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 1, 1));
    assert_false(go(&c, 30000, 10, 200, 1)); /* 100 times, but quick enough for anybody */
    c = begin();
    assert_false(go(&c, 30000, 10, 200, 1));
    assert_false(go(&c, 30000, 10, 780, 1)); /* 3.9 times, less by the buckets */
}

static void one_good_window_ends_the_row(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    for (int i = 0; i < 10; i++) {
        assert_false(go(&c, 1800, 10, 805, 8));
        assert_false(go(&c, 1200, 10, 5, 8));
    }
}

/* A window waits for its answers: eleven slow ones in half a minute are no row of four windows. */
static void few_requests_make_long_windows(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 30000, 10, 5, 8));
    c.windows = 0;
    for (int i = 0; i < 11; i++) {
        assert_false(go(&c, 100, 1, 805, 8));
        assert_false(go(&c, 2900, 0, 0, 8));
    }
    assert_int_equal(c.windows, 3);
    assert_true(go(&c, 100, 1, 805, 8));
}

static void lateness_follows_the_baseline(void **state)
{
    (void)state;
    struct course c = begin();
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 5000); /* nobody knows yet */
    assert_false(go(&c, 30000, 10, 5, 8));
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 1000);
    assert_false(go(&c, 300000, 10, 400, 300));
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 4 * 448);
    struct dp_pace_config off = config;
    off.late_ms = 0;
    assert_int_equal(dp_pace_late_ms(&c.s, &off), 0);
    dp_pace_init(&c.s);
    assert_int_equal(dp_pace_late_ms(&c.s, &off), 0);
}

static void a_quiet_hour_keeps_the_baseline(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 60000, 50, 5, 8));
    c.now_ns += 3600 * DP_NS_PER_S;
    assert_false(go(&c, 600, 10, 5, 8));
    assert_int_equal(dp_pace_late_ms(&c.s, &config), 1000);
}

/* What a peer's requests take is told as long as it is of now. */
static void a_median_is_recent_for_a_while(void **state)
{
    struct dp_pace_state s;
    struct dp_pace_look look;
    uint32_t answers[DP_PACE_BUCKETS] = {0}, none[DP_PACE_BUCKETS] = {0};
    (void)state;
    dp_pace_init(&s);
    assert_int_equal(dp_pace_recent_ms(&s, 0), 0);
    answers[dp_pace_bucket(800 * MS)] = 5;
    dp_pace_step(&s, &config, answers, 1, UINT64_C(1000000000), &look);
    dp_pace_step(&s, &config, none, 1, UINT64_C(1500000000), &look);
    assert_true(look.whole);
    assert_int_equal(dp_pace_recent_ms(&s, UINT64_C(1500000000)), 768);
    assert_int_equal(dp_pace_recent_ms(&s, UINT64_C(11500000000)), 768);
    assert_int_equal(dp_pace_recent_ms(&s, UINT64_C(11500000001)), 0);
}

struct chance {
    uint64_t x;
};

static bool comes(struct chance *r, uint32_t percent)
{
    r->x = r->x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (r->x >> 33) % 100 < percent;
}

/* 100 ms with `each` answers of which so many are of `ms`, the others of 3 ms. */
static bool mixed(struct course *c, struct chance *r, uint32_t each, uint32_t percent, uint32_t ms)
{
    uint32_t answers[DP_PACE_BUCKETS] = {0};
    for (uint32_t i = 0; i < each; i++)
        answers[dp_pace_bucket((comes(r, percent) ? ms : 3) * MS)]++;
    return step(c, answers, 3);
}

/* Caches are cold for three seconds: most answers take 200 ms, some 900. Nine seconds later the region becomes slow. */
static void slow_shows_soon_after_a_cold_start(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct course c = begin();
        struct chance r = {seed};
        for (unsigned i = 0; i < 30; i++)
            assert_false(mixed(&c, &r, 10, 80, comes(&r, 20) ? 900 : 200));
        for (unsigned i = 0; i < 90; i++)
            assert_false(mixed(&c, &r, 10, 2, 100));
        assert_true(go(&c, 3000, 10, 803, 3));
    }
}

/* The first ten seconds count for little after fifty; as long a time later counts as any other. */
static void a_past_that_is_young_is_soon_forgotten(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 10000, 10, 300, 3));
    assert_in_range(dp_pace_usual_ms(&c.s), 300, 400);
    assert_false(go(&c, 40000, 10, 5, 3));
    assert_int_equal(dp_pace_usual_ms(&c.s), 6);
    assert_false(go(&c, 600000, 10, 5, 3));
    assert_false(go(&c, 60000, 10, 100, 3)); /* grown up, it takes more than that to be forgotten */
    assert_false(go(&c, 10000, 10, 5, 3));
    assert_in_range(dp_pace_usual_ms(&c.s), 100, 120);
}

/* Some requests take 400 ms by nature, however many; at any rate, from the first on. */
static void a_mix_of_quick_and_slow_is_never_slow(void **state)
{
    static const uint32_t rates[] = {1, 5, 20};
    (void)state;
    for (uint32_t percent = 5; percent < 100; percent += 5) {
        for (unsigned k = 0; k < sizeof(rates) / sizeof(rates[0]); k++) {
            struct course c = begin();
            struct chance r = {percent};
            for (unsigned i = 0; i < 36000; i++)
                assert_false(mixed(&c, &r, rates[k], percent, 400));
        }
    }
}

/* And 800 ms more on all of them show, be most of them quick. */
static void a_mix_that_became_slower_is(void **state)
{
    (void)state;
    for (uint32_t percent = 5; percent < 45; percent += 5) {
        struct course c = begin();
        struct chance r = {percent};
        for (unsigned i = 0; i < 600; i++)
            assert_false(mixed(&c, &r, 10, percent, 400));
        assert_true(go(&c, 5000, 10, 803, 3));
    }
}

/* After a minute of some load, twenty seconds of more of it: half of a look above what 95 of 100 took is not yet a fault. */
static void a_spell_of_load_is_not(void **state)
{
    (void)state;
    struct course c = begin();
    struct chance r = {1};
    for (unsigned i = 0; i < 600; i++)
        assert_false(mixed(&c, &r, 10, 10, 230));
    assert_false(go(&c, 20000, 10, 390, 3));
}

/* Busier by the minute: it is compared with what it was just before, not with its best day. */
static void what_grows_slowly_is_not(void **state)
{
    (void)state;
    struct course c = begin();
    assert_false(go(&c, 60000, 10, 5, 3));
    for (uint32_t ms = 5; ms < 5000; ms += ms / 4 + 1)
        assert_false(go(&c, 60000, 10, ms, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_narrow),
        cmocka_unit_test(eight_hundred_more_is_slow_in_three_seconds),
        cmocka_unit_test(eight_hundred_more_shows_on_a_long_way),
        cmocka_unit_test(slow_shows_soon_after_a_cold_start),
        cmocka_unit_test(a_past_that_is_young_is_soon_forgotten),
        cmocka_unit_test(a_mix_of_quick_and_slow_is_never_slow),
        cmocka_unit_test(a_mix_that_became_slower_is),
        cmocka_unit_test(a_spell_of_load_is_not),
        cmocka_unit_test(what_grows_slowly_is_not),
        cmocka_unit_test(a_peer_that_is_little_better_is_no_reason),
        cmocka_unit_test(when_peers_are_as_slow_it_is_the_network),
        cmocka_unit_test(without_a_peer_nothing_is_slow),
        cmocka_unit_test(what_was_always_slow_is_not),
        cmocka_unit_test(under_the_floor_or_the_factor_it_is_not),
        cmocka_unit_test(one_good_window_ends_the_row),
        cmocka_unit_test(few_requests_make_long_windows),
        cmocka_unit_test(lateness_follows_the_baseline),
        cmocka_unit_test(a_quiet_hour_keeps_the_baseline),
        cmocka_unit_test(a_median_is_recent_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
