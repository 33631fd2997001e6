/* A dark endpoint is known within interval + timeout, a lost packet is no dark endpoint, a slow one does not drown in
 * probes: health and core/silence.h together, on a virtual clock, against an endpoint whose answers the test decides. */
#include "davenport/base/clock.h"
#include "davenport/core/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS    DP_NS_PER_MS
#define NEVER UINT64_MAX

static const struct dp_health_config config = {
    .interval_ns = 1000 * MS,
    .fast_ns = 500 * MS,
    .jitter_percent = 10,
    .timeout_ns = 1800 * MS,
    .fall = 3,
    .rise = 2,
    .silent = 12,
    .traffic_failures = 5,
    .traffic_hold_ns = 5000 * MS,
    .window_ns = 5000 * MS,
};

#define MANY 64

struct world {
    struct dp_health_state health;
    uint64_t now_ns, random;
    struct {
        uint64_t started_ns, ends_ns;
        bool answered;
    } probes[MANY];
    unsigned n;             /* under way */
    unsigned asked, crowd;  /* ever; most at a time */
    uint64_t answers_after; /* NEVER: none does */
    uint32_t lost_percent;  /* of all probes */
    uint64_t down_ns;       /* when it fell; 0: it did not */
    enum dp_health_signal signal;
    bool alone;
};

static uint32_t dice(struct world *w)
{
    w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(w->random >> 33) % 100;
}

static void step(struct world *w, const struct dp_health_event *e, struct dp_health_actions *out)
{
    dp_health_step(&w->health, &config, e, w->now_ns, out);
    if (out->changed && out->change.after == DP_HEALTH_DOWN && w->down_ns == 0) {
        w->down_ns = w->now_ns;
        w->signal = out->change.signal;
    }
}

static void ask(struct world *w)
{
    const struct dp_health_event e = {.kind = DP_HEALTH_ASKED};
    struct dp_health_actions out;
    step(w, &e, &out);
    assert_in_range(out.patience_ns, 1, config.timeout_ns);
    assert_true(w->health.probe_at_ns > w->now_ns);
    assert_true(w->n < MANY);
    bool answered = w->answers_after < out.patience_ns && dice(w) >= w->lost_percent;
    w->probes[w->n].started_ns = w->now_ns;
    w->probes[w->n].ends_ns = w->now_ns + (answered ? w->answers_after : out.patience_ns);
    w->probes[w->n].answered = answered;
    w->n++;
    w->asked++;
    w->crowd = w->n > w->crowd ? w->n : w->crowd;
}

static void end(struct world *w, unsigned i)
{
    const struct dp_health_event e = {
        .kind = DP_HEALTH_PROBE,
        .probe = w->probes[i].answered ? DP_PROBE_OK : DP_PROBE_DARK,
        .probe_timed_out = !w->probes[i].answered,
        .probe_started_ns = w->probes[i].started_ns,
    };
    struct dp_health_actions out;
    w->probes[i] = w->probes[--w->n];
    step(w, &e, &out);
}

/* Let time pass, event by event. */
static void run_until(struct world *w, uint64_t end_ns)
{
    for (;;) {
        uint64_t next = w->health.probe_at_ns;
        unsigned which = MANY;
        for (unsigned i = 0; i < w->n; i++) {
            if (w->probes[i].ends_ns <= next) {
                next = w->probes[i].ends_ns;
                which = i;
            }
        }
        if (next > end_ns)
            break;
        w->now_ns = next > w->now_ns ? next : w->now_ns;
        if (which < MANY)
            end(w, which);
        else
            ask(w);
    }
    w->now_ns = end_ns;
}

static void begin(struct world *w, uint64_t seed)
{
    *w = (struct world){.random = seed, .answers_after = 20 * MS, .now_ns = 1000 * MS};
    dp_health_init(&w->health, &config, w->now_ns, seed);
    run_until(w, 20000 * MS + (seed * 37 % 2000) * MS);
    assert_int_equal(w->health.health, DP_HEALTH_UP);
}

static void goes_dark(struct world *w)
{
    w->answers_after = NEVER;
    for (unsigned i = 0; i < w->n; i++) {
        w->probes[i].answered = false;
        w->probes[i].ends_ns = w->probes[i].started_ns + config.timeout_ns;
    }
}

static void dark_is_known_within_interval_and_timeout(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 300; seed++) {
        struct world w;
        begin(&w, seed);
        uint64_t dark_ns = w.now_ns;
        goes_dark(&w);
        run_until(&w, dark_ns + 10000 * MS);
        assert_int_equal(w.health.health, DP_HEALTH_DOWN);
        assert_int_equal(w.signal, DP_HEALTH_SIGNAL_SILENT);
        assert_true(w.down_ns <= dark_ns + config.interval_ns * 11 / 10 + config.timeout_ns + MS);
        assert_true(w.down_ns >= dark_ns + config.timeout_ns - config.interval_ns);
        assert_true(w.crowd <= config.silent);
    }
}

static void lost_probes_are_no_dark_endpoint(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 7);
    unsigned before = w.asked;
    w.lost_percent = 20;
    run_until(&w, w.now_ns + UINT64_C(3600) * 6 * 1000 * MS);
    assert_int_equal(w.down_ns, 0);
    /* six hours of a probe a second, and not half as many again beside them */
    assert_in_range(w.asked - before, 6 * 3600 * 9 / 10, 6 * 3600 * 3 / 2);
}

static void no_answer_in_time_is_doubt_only_when_none_came_since(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3);
    w.lost_percent = 100;
    uint64_t lost_ns = w.health.probe_at_ns;
    run_until(&w, lost_ns);
    w.lost_percent = 0;
    run_until(&w, lost_ns + 5000 * MS); /* its time is over, the one beside it was answered */
    assert_int_equal(w.health.health, DP_HEALTH_UP);
    assert_int_equal(w.health.probes_failed, 0);
    assert_int_equal(w.health.since_ns / (20000 * MS), 0); /* and it was up all the time */
}

static void refusals_need_no_crowd(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 5);
    const struct dp_health_event asked = {.kind = DP_HEALTH_ASKED};
    struct dp_health_actions out;
    for (unsigned i = 0; i < 3; i++) {
        w.now_ns = w.health.probe_at_ns;
        step(&w, &asked, &out);
        const struct dp_health_event e = {
            .kind = DP_HEALTH_PROBE, .probe = DP_PROBE_DARK, .probe_started_ns = w.now_ns};
        step(&w, &e, &out);
    }
    assert_int_equal(w.signal, DP_HEALTH_SIGNAL_PROBES_FAILED);
}

/* Whatever its pace, an endpoint that answers is asked at most twice as often as one that is quick. */
static void slow_endpoint_does_not_drown(void **state)
{
    (void)state;
    for (uint64_t ms = 50; ms < 1750; ms += 100) {
        struct world w;
        begin(&w, ms);
        unsigned before = w.asked;
        w.answers_after = ms * MS;
        run_until(&w, w.now_ns + 1000 * 1000 * MS);
        assert_int_equal(w.down_ns, 0);
        assert_true(w.asked - before <=
                    2 * 1000 * 10 / 9 + 2 * config.silent); /* jitter: a tenth sooner */
    }
}

/* Requests: so many a second are answered, until they are not. */
static void hear(struct world *w, uint32_t answers, uint64_t under_way)
{
    struct dp_health_event e = {.kind = answers ? DP_HEALTH_TRAFFIC : DP_HEALTH_TICK,
                                .answers = answers,
                                .under_way = under_way,
                                .alone = w->alone};
    struct dp_health_actions out;
    e.traffic.good = answers;
    step(w, &e, &out);
}

static void ticks(struct world *w, unsigned n, uint32_t answers, uint64_t under_way)
{
    for (unsigned i = 0; i < n; i++) {
        run_until(w, w->now_ns + 100 * MS);
        hear(w, answers, under_way);
    }
}

static void requests_that_fall_silent_make_it_sooner(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct world w;
        begin(&w, seed);
        ticks(&w, 50, 10, 2);
        uint64_t dark_ns = w.now_ns;
        goes_dark(&w);
        ticks(&w, 20, 0, 50);
        assert_int_equal(w.health.health, DP_HEALTH_DOWN);
        assert_int_equal(w.signal, DP_HEALTH_SIGNAL_HUSH);
        assert_in_range(w.down_ns - dark_ns, (DP_HUSH_MS - 100) * MS, (DP_HUSH_MS + 1) * MS);
    }
}

/* The last one left is not given up sooner, for there is nowhere to go: it may have too much to do. */
static void the_last_one_left_has_all_its_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct world w;
        begin(&w, seed);
        w.alone = true;
        ticks(&w, 50, 10, 2);
        w.answers_after = 1200 * MS;
        ticks(&w, 12, 0, 80);
        assert_int_equal(w.down_ns, 0);
        ticks(&w, 100, 10, 80);
        assert_int_equal(w.down_ns, 0);
        goes_dark(&w);
        ticks(&w, 80, 0,
              50); /* many have been asked beside of late, so it takes longer than 2.8 s */
        assert_int_equal(w.signal, DP_HEALTH_SIGNAL_SILENT);
    }
}

/* The others fell while its answers were missing: now it has its time. */
static void who_becomes_the_last_one_has_all_its_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct world w;
        begin(&w, seed);
        ticks(&w, 50, 10, 2);
        goes_dark(&w);
        ticks(&w, 5, 0, 50);
        assert_true(w.health.silence.hush);
        w.alone = true;
        ticks(&w, 80, 0, 50);
        assert_int_equal(w.signal, DP_HEALTH_SIGNAL_SILENT);
    }
}

/* From 20 ms to 800 at once: nothing is answered for so long, and then all of it is. */
static void late_is_not_dark(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 100; seed++) {
        struct world w;
        begin(&w, seed);
        ticks(&w, 50, 10, 2);
        w.answers_after = 800 * MS;
        ticks(&w, 8, 0, 80);
        run_until(&w, w.now_ns +
                          50 * MS); /* a probe is over: the governor looks at the counters first */
        hear(&w, 5, 80);
        ticks(&w, 100, 10, 80);
        assert_int_equal(w.down_ns, 0);
    }
}

static void silence_of_requests_alone_is_nothing(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 11);
    ticks(&w, 50, 10, 2);
    unsigned before = w.asked;
    ticks(&w, 100, 0, 30); /* only feeds are left, say; the probes are answered */
    assert_int_equal(w.health.health, DP_HEALTH_UP);
    assert_true(w.asked - before <= 14);
    ticks(&w, 5, 10, 2);
    ticks(&w, 100, 0, 0); /* nobody asks anything */
    assert_int_equal(w.health.health, DP_HEALTH_UP);
}

static void nothing_is_asked_beside_without_the_rule(void **state)
{
    (void)state;
    struct dp_silence s = {0};
    const struct dp_silence_config c = {1000 * MS, 500 * MS, 1800 * MS, 0};
    bool exact;
    assert_int_equal(dp_silence_ask(&s, &c, false, 5000 * MS), 1800 * MS);
    assert_int_equal(dp_silence_wait(&s, &c, false, false, &exact), 1000 * MS);
    assert_false(exact);
    assert_false(dp_silence_hear(&s, &c, 0, 10, 9000 * MS));
    assert_true(dp_silence_end(&s, &c, 5000 * MS, true, 6800 * MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dark_is_known_within_interval_and_timeout),
        cmocka_unit_test(lost_probes_are_no_dark_endpoint),
        cmocka_unit_test(no_answer_in_time_is_doubt_only_when_none_came_since),
        cmocka_unit_test(refusals_need_no_crowd),
        cmocka_unit_test(slow_endpoint_does_not_drown),
        cmocka_unit_test(requests_that_fall_silent_make_it_sooner),
        cmocka_unit_test(the_last_one_left_has_all_its_time),
        cmocka_unit_test(who_becomes_the_last_one_has_all_its_time),
        cmocka_unit_test(late_is_not_dark),
        cmocka_unit_test(silence_of_requests_alone_is_nothing),
        cmocka_unit_test(nothing_is_asked_beside_without_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
