/* Every transition of one endpoint's health, as scripts of (time, event, what must hold afterwards). */
#include "core/health_script.h"

static void first_probe_is_enough(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {2000, PROBE(OK), IS(UP)},
        {2100, TICK, IS(UP)},
    };
    RUN(rows);
}

static void dark_from_the_start(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(DARK), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {500, PROBE(DARK), IS(SUSPECT)},
        {1000, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
        {1500, PROBE(DARK), IS(DOWN)},
    };
    RUN(rows);
}

static void every_failing_kind_condemns(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {2000, PROBE(UNHEALTHY), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {2500, PROBE(OTHER), IS(SUSPECT)},
        {3000, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
    };
    RUN(rows);
}

static void one_good_probe_ends_the_row(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {2000, PROBE(DARK), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {2500, PROBE(DARK), IS(SUSPECT)},
        {3000, PROBE(OK), IS(SUSPECT)},
        {3500, PROBE(DARK), IS(SUSPECT)},
        {4000, PROBE(DARK), IS(SUSPECT)},
        {4500, PROBE(OK), IS(SUSPECT)},
        {5000, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    RUN(rows);
}

static void back_up_needs_rise_in_a_row(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(DARK), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {1, PROBE(DARK), IS(SUSPECT)},
        {2, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
        {500, PROBE(OK), IS(DOWN)},
        {1000, PROBE(DARK), IS(DOWN)},
        {1500, PROBE(OK), IS(DOWN)},
        {1600, TRAFFIC(50, 0, 0), IS(DOWN)}, /* late answers are no way back */
        {2000, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    RUN(rows);
}

static void throttled_says_nothing(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(THROTTLED), IS(UNKNOWN)},
        {500, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {2500, PROBE(THROTTLED), IS(UP)},
        {4500, PROBE(DARK), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {5000, PROBE(THROTTLED), IS(SUSPECT)},
        {5500, PROBE(DARK), IS(SUSPECT)},
        {6000, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
        {6500, PROBE(THROTTLED), IS(DOWN)},
        {7000, PROBE(OK), IS(DOWN)},
        {7500, PROBE(THROTTLED), IS(DOWN)},
        {8000, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    RUN(rows);
}

static void refused_keys_are_signs_of_life_and_an_alarm(void **state)
{
    (void)state;
    struct dp_health_state s;
    struct dp_health_actions a;
    struct dp_health_event e = PROBE(CREDENTIALS);
    dp_health_init(&s, &config, 0, 1);
    dp_health_step(&s, &config, &e, 1, &a);
    assert_int_equal(s.health, DP_HEALTH_UP);
    assert_true(a.alarm_credentials);
    dp_health_step(&s, &config, &e, 2, &a);
    assert_false(a.alarm_credentials);
    e.probe = DP_PROBE_OK;
    dp_health_step(&s, &config, &e, 3, &a);
    e.probe = DP_PROBE_CREDENTIALS;
    dp_health_step(&s, &config, &e, 4, &a);
    assert_true(a.alarm_credentials);
    assert_int_equal(s.health, DP_HEALTH_UP);
}

static void draining_is_at_once_and_ends_slowly(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {2000, PROBE(DRAINING), IS(UP), BY(DRAIN_ASKED, 1), IS_DRAIN},
        {2500, PROBE(DRAINING), IS(UP), IS_DRAIN},
        {3000, PROBE(OK), IS(UP), IS_DRAIN},
        {3500, PROBE(DRAINING), IS(UP), IS_DRAIN},
        {4000, PROBE(OK), IS(UP), IS_DRAIN},
        {4500, PROBE(OK), IS(UP), BY(DRAIN_OVER, 2)},
    };
    RUN(rows);
}

static void draining_is_not_dark(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {2000, PROBE(DARK), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {2500, PROBE(DARK), IS(SUSPECT)},
        {3000, PROBE(DRAINING), IS(SUSPECT), BY(DRAIN_ASKED, 1), IS_DRAIN},
        {3500, PROBE(DARK), IS(SUSPECT), IS_DRAIN}, /* the row began anew */
        {4000, PROBE(DARK), IS(SUSPECT), IS_DRAIN},
        {4500, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3), IS_DRAIN},
        {5000, PROBE(DRAINING), IS(DOWN), IS_DRAIN}, /* seeding after a restart */
        {5500, PROBE(OK), IS(DOWN), IS_DRAIN},
        {6000, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)}, /* and both are over together */
    };
    RUN(rows);
}

static void unanswered_requests_condemn(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {200, TRAFFIC(0, 3, 0), IS(SUSPECT)},
        {300, TRAFFIC(0, 4, 0), IS(DOWN), BY(UNANSWERED, 8)},
        {400, TRAFFIC(0, 9, 0), IS(DOWN)},
    };
    RUN(rows);
}

static void five_at_once_condemn_at_once(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
    };
    RUN(rows);
}

static void a_good_answer_between_ends_the_row(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 4, 0), IS(SUSPECT), BY(UNANSWERED, 4)},
        {200, TRAFFIC(1, 0, 0), IS(SUSPECT)},
        {300, TRAFFIC(0, 4, 0), IS(SUSPECT)},
        {400, TRAFFIC(20, 30, 0), IS(SUSPECT)}, /* order unknown: doubt, but no row */
        {500, TRAFFIC(0, 3, 0), IS(SUSPECT)},   /* 1 of those and 3 more */
        {600, TRAFFIC(0, 1, 0), IS(DOWN), BY(UNANSWERED, 5)},
    };
    RUN(rows);
}

static void a_long_pause_ends_the_row(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 4, 0), IS(SUSPECT), BY(UNANSWERED, 4)},
        {5101, TRAFFIC(0, 4, 0), IS(SUSPECT)},
        {10101, TRAFFIC(0, 1, 0), IS(DOWN), BY(UNANSWERED, 5)},
    };
    RUN(rows);
}

/* A broken view answers 500 in every region: probes that pass keep it from taking them all down. */
/* With little to do, or for one of several nodes, failures are few and far between. */
static void a_row_may_be_longer_than_the_hold(void **state)
{
    (void)state;
    struct dp_health_config c = config;
    struct dp_health_state s;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {7000, TRAFFIC(0, 1, 0), IS(SUSPECT)},
        {9000, PROBE(OK), IS(SUSPECT)},
        {12500, PROBE(OK), IS(SUSPECT)}, /* probes do not end it */
        {13000, TRAFFIC(0, 1, 0), IS(SUSPECT)},
        {19000, TRAFFIC(0, 1, 0), IS(SUSPECT)},
        {25000, TRAFFIC(0, 1, 0), IS(DOWN), BY(UNANSWERED, 5)},
    };
    static const struct row over[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {2000, PROBE(OK), IS(SUSPECT)},
        {30999, PROBE(OK), IS(SUSPECT)},
        {31000, TICK, IS(UP), BY(PROBES_PASSED, 2)}, /* nothing more came */
    };
    c.row_pause_ns = 30000 * MS;
    run_with(&c, rows, ROWS(rows), &s);
    run_with(&c, over, ROWS(over), &s);
}

static void errors_alone_only_raise_doubt(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 0, 4), IS(UP)},
        {200, TRAFFIC(9, 0, 90), IS(UP)}, /* among good answers: everyday life */
        {300, TRAFFIC(0, 0, 5), IS(SUSPECT), BY(ERRORS_ONLY, 5)},
        {400, TRAFFIC(0, 0, 5000), IS(SUSPECT)},
        {500, PROBE(OK), IS(SUSPECT)},
    };
    RUN(rows);
}

static void errors_and_a_failing_probe_condemn(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {300, TRAFFIC(0, 0, 5), IS(SUSPECT), BY(ERRORS_ONLY, 5)},
        {400, PROBE(UNHEALTHY), IS(DOWN), BY(ERRORS, 5)},
    };
    RUN(rows);
    static const struct row other_order[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {200, PROBE(UNHEALTHY), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {300, TRAFFIC(0, 1, 3), IS(SUSPECT)},
        {400, TRAFFIC(0, 0, 1), IS(DOWN), BY(ERRORS, 5)},
    };
    run_with(&config, other_order, ROWS(other_order), &s);
}

static void probes_do_not_clear_what_traffic_saw(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {110, PROBE(OK), IS(SUSPECT)},
        {600, PROBE(OK), IS(SUSPECT)},
        {1100, PROBE(OK), IS(SUSPECT)},
        {5099, TICK, IS(SUSPECT)},
        {5100, TICK, IS(UP), BY(PROBES_PASSED, 3)},
    };
    RUN(rows);
    static const struct row fallen[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {200, PROBE(OK), IS(DOWN)},
        {700, PROBE(OK), IS(DOWN)},
        {4000, TRAFFIC(0, 9, 0),
         IS(DOWN)}, /* old requests end badly: the hold is no longer for it */
        {4700, PROBE(DARK), IS(DOWN)},
        {5200, PROBE(OK), IS(DOWN)},
        {5700, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    run_with(&config, fallen, ROWS(fallen), &s);
}

/* Only probes that pass after the last bad outcome count. */
static void new_bad_news_begin_the_trial_anew(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {200, PROBE(OK), IS(SUSPECT)},
        {700, PROBE(OK), IS(SUSPECT)},
        {4000, TRAFFIC(0, 1, 0), IS(SUSPECT)},
        {5100, TICK, IS(SUSPECT)},
        {8000, PROBE(OK), IS(SUSPECT)},
        {9000, TICK, IS(SUSPECT)},
        {9100, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    RUN(rows);
}

static void good_traffic_ends_doubt_by_traffic(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {200, TRAFFIC(9, 0, 0), IS(SUSPECT)},
        {5000, TRAFFIC(9, 0, 0), IS(SUSPECT)},
        {5100, TRAFFIC(9, 0, 0), IS(UP), BY(REQUESTS_ANSWERED, 1)},
    };
    RUN(rows);
    static const struct row probe_fails[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, PROBE(DARK), IS(SUSPECT), BY(PROBES_FAILED, 1)},
        {200, TRAFFIC(9, 0, 0), IS(SUSPECT)},
        {9100, TRAFFIC(9, 0, 0), IS(SUSPECT)}, /* a probe's doubt is a probe's to end */
    };
    run_with(&config, probe_fails, ROWS(probe_fails), &s);
    static const struct row both[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {200, PROBE(DARK), IS(SUSPECT)},
        {6000, TRAFFIC(9, 0, 0), IS(SUSPECT)},
        {6100, PROBE(OK), IS(UP), BY(REQUESTS_ANSWERED, 1)},
    };
    run_with(&config, both, ROWS(both), &s);
}

static void traffic_alone_never_makes_an_unknown_one_up(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, TRAFFIC(50, 0, 0), IS(UNKNOWN)},
        {100, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
    };
    RUN(rows);
}

static void traffic_failures_0_condemns_nobody(void **state)
{
    (void)state;
    struct dp_health_state s;
    struct dp_health_config c = config;
    c.traffic_failures = 0;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 500, 500), IS(SUSPECT), BY(UNANSWERED, 500)},
        {200, PROBE(DARK), IS(SUSPECT)},
    };
    run_with(&c, rows, ROWS(rows), &s);
}

static void run_windowed(const struct row *rows, size_t n)
{
    struct dp_health_state s;
    struct dp_health_config c = config;
    c.window_requests = 20;
    run_with(&c, rows, n, &s);
}

/* Rows never grow, as something is always answered; the share tells. */
static void half_of_a_window_condemns(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(4, 3, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {1500, TRAFFIC(4, 4, 0), IS(SUSPECT)},
        {2000, TRAFFIC(1, 3, 0), IS(SUSPECT)}, /* 9 good, 10 bad: one too few to say */
        {2500, TRAFFIC(1, 0, 0), IS(DOWN), BY(FAILURE_RATE, 10)},
    };
    run_windowed(rows, ROWS(rows));
}

static void a_window_forgets(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(5, 9, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {7000, TRAFFIC(6, 3, 0), IS(SUSPECT)},
        {13000, TRAFFIC(16, 9, 0), IS(SUSPECT)},
        {99000, TRAFFIC(5, 9, 0), IS(SUSPECT)},
    };
    run_windowed(rows, ROWS(rows));
}

static void errors_are_no_part_of_the_share(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(5, 0, 500), IS(UP)},
    };
    run_windowed(rows, ROWS(rows));
}

static struct dp_health_actions pace(struct dp_health_state *s, const struct dp_pace_look *look,
                                     uint64_t at_ms)
{
    struct dp_health_actions a;
    const struct dp_health_event e = {.kind = DP_HEALTH_PACE, .pace = *look};
    dp_health_step(s, &config, &e, at_ms * MS, &a);
    return a;
}

static struct dp_health_actions probe(struct dp_health_state *s, enum dp_probe_kind k,
                                      uint64_t at_ms)
{
    struct dp_health_actions a;
    const struct dp_health_event e = {
        .kind = DP_HEALTH_PROBE, .probe = k, .probe_started_ns = at_ms * MS};
    dp_health_step(s, &config, &e, at_ms * MS, &a);
    return a;
}

/* Slow is a word beside the state. Passing probes do not end it before its hold, which doubles. */
static void slow_is_held_and_doubles(void **state)
{
    (void)state;
    static const struct dp_pace_look slow = {
        .whole = true, .slow = true, .median_ms = 500, .baseline_ms = 5, .slow_windows = 4};
    static const struct dp_pace_look quick = {.whole = true, .median_ms = 2, .baseline_ms = 5};
    static const uint32_t holds_ms[] = {30000, 60000, 100000, 100000};
    struct dp_health_state s;
    uint64_t at = 1000;
    dp_health_init(&s, &config, 0, 1);
    (void)probe(&s, DP_PROBE_OK, 0);
    for (size_t i = 0; i < ROWS(holds_ms); i++) {
        struct dp_health_actions a = pace(&s, &slow, at);
        assert_true(a.changed && s.slow);
        assert_int_equal(a.change.signal, DP_HEALTH_SIGNAL_SLOW);
        assert_int_equal(a.change.count, 4);
        assert_int_equal(a.change.median_ms, 500);
        assert_int_equal(a.change.baseline_ms, 5);
        assert_false(a.change.slow_before);
        assert_true(a.change.slow_after);
        assert_int_equal(s.health, DP_HEALTH_UP);
        assert_true(s.probe_at_ns <= at * MS); /* doubt: probe now */
        a = pace(&s, &quick, at + 1);
        assert_false(a.changed);
        a = probe(&s, DP_PROBE_OK, at + holds_ms[i] - 1);
        assert_false(a.changed);
        a = probe(&s, DP_PROBE_OK, at + holds_ms[i]);
        assert_true(a.changed && !s.slow);
        assert_int_equal(a.change.signal, DP_HEALTH_SIGNAL_SLOW_OVER);
        at += holds_ms[i] + 5000;
    }
    at += 200000; /* well for long: the first hold again */
    (void)pace(&s, &slow, at);
    assert_int_equal(s.slow_until_ns, (at + 30000) * MS);
}

static void slow_is_not_over_while_probes_fail(void **state)
{
    (void)state;
    static const struct dp_pace_look slow = {.whole = true, .slow = true, .slow_windows = 4};
    struct dp_health_state s;
    dp_health_init(&s, &config, 0, 1);
    (void)probe(&s, DP_PROBE_OK, 0);
    (void)pace(&s, &slow, 1000);
    (void)probe(&s, DP_PROBE_DARK, 32000);
    assert_true(s.slow);
    struct dp_health_actions a = probe(&s, DP_PROBE_OK, 33000);
    assert_true(a.changed && !s.slow);
}

static void a_fresh_start_after_down(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {100, TRAFFIC(0, 0, 5), IS(SUSPECT), BY(ERRORS_ONLY, 5)},
        {110, PROBE(DARK), IS(DOWN), BY(ERRORS, 5)},
        {200, TRAFFIC(0, 60, 60), IS(DOWN)}, /* what was under way ends badly: no news */
        {5200, PROBE(OK), IS(DOWN)},
        {5700, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
        {5800, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
    };
    RUN(rows);
}

/* When the next probe is due. */

static uint64_t due_after(struct dp_health_state *s, const struct dp_health_config *c,
                          struct dp_health_event e, uint64_t started_ms, uint64_t at_ms)
{
    struct dp_health_actions a;
    e.probe_started_ns = started_ms * MS;
    dp_health_step(s, c, &e, at_ms * MS, &a);
    return s->probe_at_ns / MS;
}

static void probes_are_slow_in_peace_and_fast_in_doubt(void **state)
{
    (void)state;
    struct dp_health_state s;
    dp_health_init(&s, &config, 7 * MS, 1);
    assert_int_equal(s.probe_at_ns, 7 * MS);
    /* from start to start, whatever the answer took */
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(OK), 10, 60), 2010);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(DARK), 2010, 2011), 2510);
    /* a timeout longer than the beat: at once */
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(DARK), 2510, 3510), 3510);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(DARK), 3510, 3511), 4010);
    assert_int_equal(s.health, DP_HEALTH_DOWN);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(OK), 4010, 4011), 4510);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(OK), 4510, 4511), 6510);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)PROBE(DRAINING), 6510, 6511),
                     7010);
}

static void doubt_by_traffic_asks_at_once(void **state)
{
    (void)state;
    struct dp_health_state s;
    dp_health_init(&s, &config, 0, 1);
    (void)due_after(&s, &config, (struct dp_health_event)PROBE(OK), 0, 1);
    assert_int_equal(s.probe_at_ns, 2000 * MS);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)TRAFFIC(9, 0, 3), 0, 90), 2000);
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)TRAFFIC(0, 1, 0), 0, 100), 100);
    /* no probe is asked for twice */
    assert_int_equal(due_after(&s, &config, (struct dp_health_event)TRAFFIC(0, 1, 0), 0, 101), 100);
}

static void jitter_stays_within_its_share(void **state)
{
    (void)state;
    struct dp_health_config c = config;
    c.jitter_percent = 20;
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct dp_health_state s;
        dp_health_init(&s, &c, 0, seed);
        assert_true(s.probe_at_ns < 125 * MS);
        uint64_t due = due_after(&s, &c, (struct dp_health_event)PROBE(OK), 0, 1);
        lowest = due < lowest ? due : lowest;
        highest = due > highest ? due : highest;
    }
    assert_in_range(lowest, 1600, 1640);
    assert_in_range(highest, 2360, 2400);
}

static void outcomes_are_sorted(void **state)
{
    (void)state;
    for (int o = 0; o < DP_OUTCOME_COUNT; o++) {
        struct dp_health_traffic t = {0};
        dp_health_traffic_add(&t, (enum dp_outcome)o, 3);
        enum dp_verdict v = dp_outcome_verdict((enum dp_outcome)o);
        assert_int_equal(t.good, v == DP_VERDICT_OK ? 3 : 0);
        assert_int_equal(t.unanswered + t.errors, v == DP_VERDICT_BAD ? 3 : 0);
        bool ambiguous = o == DP_OUTCOME_SERVER_ERROR;
        assert_int_equal(t.errors, ambiguous ? 3 : 0);
    }
    struct dp_health_traffic t = {0};
    dp_health_traffic_add(&t, DP_OUTCOME_TRUNCATED, UINT64_MAX);
    dp_health_traffic_add(&t, DP_OUTCOME_NO_ANSWER, 9);
    assert_int_equal(t.unanswered, UINT32_MAX);
}

/* ---- layers ---- */

static void deeper_layers_have_rows_of_their_own(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {10, DEEP(DATABASE, UNHEALTHY), IS(SUSPECT), BY(DEEP_FAILED, 1)},
        {500, PROBE(OK), IS(SUSPECT)},
        {510, DEEP(DATABASE, DARK), IS(SUSPECT)},
        {1000, PROBE(OK), IS(SUSPECT)}, /* two in a row, but the database's is not over */
        {1010, DEEP(CANARY, OK), IS(SUSPECT)},
        {1020, DEEP(DATABASE, DARK), IS(DOWN), BY(DEEP_FAILED, 3)},
        {1500, PROBE(OK), IS(DOWN)},
        {2000, PROBE(OK), IS(DOWN)},
        {2010, DEEP(DATABASE, OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    RUN(rows);
}

static void deeper_answers_without_a_fault(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {10, DEEP(DATABASE, THROTTLED), IS(UP)},
        {20, DEEP(DATABASE, CREDENTIALS), IS(UP)},
        {30, DEEP(CANARY, CREDENTIALS), IS(UP)},
        {40, DEEP(DATABASE, UNHEALTHY), IS(SUSPECT), BY(DEEP_FAILED, 1)},
        {50, DEEP(DATABASE, THROTTLED), IS(SUSPECT)},
        {60, DEEP(DATABASE, OK), IS(SUSPECT)},
        {560, PROBE(OK), IS(SUSPECT)},
        {1060, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    RUN(rows);
}

static void a_missing_database_is_told_and_no_fall(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {10, DEEP(DATABASE, UNPROVISIONED), IS(UP), BY(UNPROVISIONED, 1)},
        {20, DEEP(DATABASE, UNPROVISIONED), IS(UP)},
        {30, DEEP(DATABASE, THROTTLED), IS(UP)},
        {2000, PROBE(OK), IS(UP)},
        {2010, DEEP(DATABASE, OK), IS(UP), BY(PROVISIONED, 1)},
        {2020, DEEP(DATABASE, OK), IS(UP)},
    };
    RUN(rows);
    assert_false(s.unprovisioned);
}

static void a_regions_verdict_condemns(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {10, TRAFFIC(0, 2, 0), IS(SUSPECT), BY(UNANSWERED, 2)},
        {20,
         {.kind = DP_HEALTH_REGION, .count = 5, .threshold = 5},
         IS(DOWN),
         BY(REGION_UNANSWERED, 5)},
        {30, TICK, IS(DOWN)},
    };
    static const struct row share[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {20,
         {.kind = DP_HEALTH_REGION, .rate = true, .count = 12, .threshold = 10},
         IS(DOWN),
         BY(REGION_RATE, 12)},
    };
    RUN(rows);
    run_with(&config, share, ROWS(share), &s);
}

static void everything_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < DP_HEALTH_SIGNAL_COUNT; i++)
        assert_string_not_equal(dp_health_signal_name((enum dp_health_signal)i), "?");
    for (int i = 0; i < DP_PROBE_KIND_COUNT; i++)
        assert_string_not_equal(dp_probe_kind_name((enum dp_probe_kind)i), "?");
    for (int i = 0; i <= DP_HEALTH_DOWN; i++)
        assert_string_not_equal(dp_health_name((enum dp_health)i), "?");
    assert_true(dp_probe_kind_alive(DP_PROBE_DRAINING));
    assert_true(dp_probe_kind_alive(DP_PROBE_CREDENTIALS));
    assert_false(dp_probe_kind_alive(DP_PROBE_THROTTLED));
    assert_false(dp_probe_kind_alive(DP_PROBE_DARK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_probe_is_enough),
        cmocka_unit_test(dark_from_the_start),
        cmocka_unit_test(every_failing_kind_condemns),
        cmocka_unit_test(one_good_probe_ends_the_row),
        cmocka_unit_test(back_up_needs_rise_in_a_row),
        cmocka_unit_test(throttled_says_nothing),
        cmocka_unit_test(refused_keys_are_signs_of_life_and_an_alarm),
        cmocka_unit_test(draining_is_at_once_and_ends_slowly),
        cmocka_unit_test(draining_is_not_dark),
        cmocka_unit_test(unanswered_requests_condemn),
        cmocka_unit_test(five_at_once_condemn_at_once),
        cmocka_unit_test(a_good_answer_between_ends_the_row),
        cmocka_unit_test(a_long_pause_ends_the_row),
        cmocka_unit_test(a_row_may_be_longer_than_the_hold),
        cmocka_unit_test(errors_alone_only_raise_doubt),
        cmocka_unit_test(errors_and_a_failing_probe_condemn),
        cmocka_unit_test(probes_do_not_clear_what_traffic_saw),
        cmocka_unit_test(new_bad_news_begin_the_trial_anew),
        cmocka_unit_test(good_traffic_ends_doubt_by_traffic),
        cmocka_unit_test(traffic_alone_never_makes_an_unknown_one_up),
        cmocka_unit_test(traffic_failures_0_condemns_nobody),
        cmocka_unit_test(half_of_a_window_condemns),
        cmocka_unit_test(a_window_forgets),
        cmocka_unit_test(errors_are_no_part_of_the_share),
        cmocka_unit_test(slow_is_held_and_doubles),
        cmocka_unit_test(slow_is_not_over_while_probes_fail),
        cmocka_unit_test(a_fresh_start_after_down),
        cmocka_unit_test(probes_are_slow_in_peace_and_fast_in_doubt),
        cmocka_unit_test(doubt_by_traffic_asks_at_once),
        cmocka_unit_test(jitter_stays_within_its_share),
        cmocka_unit_test(outcomes_are_sorted),
        cmocka_unit_test(deeper_layers_have_rows_of_their_own),
        cmocka_unit_test(deeper_answers_without_a_fault),
        cmocka_unit_test(a_missing_database_is_told_and_no_fall),
        cmocka_unit_test(a_regions_verdict_condemns),
        cmocka_unit_test(everything_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
