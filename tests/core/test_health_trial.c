/* Trials: what requests had a part in, a fall or slowness, only requests clear. */
#include "core/health_script.h"

static void run_tried(const struct row *rows, size_t n, struct dp_health_state *s)
{
    struct dp_health_config c = config;
    c.trial_requests = 3;
    run_with(&c, rows, n, s);
}

static void probes_never_clear_what_they_did_not_see(void **state)
{
    (void)state;
    struct dp_health_state s;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {1500, PROBE(OK), IS(DOWN)},
        {2000, PROBE(OK), IS(DOWN)},
        {5999, PROBE(OK), IS(DOWN)},
        {6000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 4)},
        {8000, PROBE(OK), IS(SUSPECT)},
        {10000, PROBE(OK), IS(SUSPECT)},
        {12000, TICK, IS(SUSPECT)},
        {100000, PROBE(OK), IS(SUSPECT)},
        {100001, TRAFFIC(2, 0, 0), IS(SUSPECT)},
        {100002, TRAFFIC(1, 0, 0), IS(UP), BY(TRIAL_PASSED, 3)},
        {100003, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
    };
    run_tried(rows, ROWS(rows), &s);
    assert_false(s.trial);
}

/* It lives, but it is slow: no place to return to yet. */
static void slow_answers_prove_nothing(void **state)
{
    struct dp_health_config c = config;
    struct dp_health_state s;
    struct dp_health_actions a;
    static const struct row falls[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {5000, PROBE(OK), IS(DOWN)},
        {6000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
    };
    /* answered, of them slow; the last two with all the traffic */
    static const struct {
        uint32_t good, tardy;
        bool carries, up;
    } rows[][3] = {
        {{1, 1, false, false}, {2, 1, false, false}, {3, 1, false, true}},
        {{4, 2, false, false}, {2, 2, false, false}, {2, 0, false, false}},
        {{2, 0, false, false}, {0, 3, false, false}, {1, 0, false, false}},
        {{3, 3, true, true}, {0, 0, false, true}, {0, 0, false, true}},
    };
    (void)state;
    c.trial_requests = 3;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_with(&c, falls, ROWS(falls), &s);
        for (uint64_t k = 0; k < 3; k++) {
            const struct dp_health_event e = {.kind = DP_HEALTH_TRAFFIC,
                                              .traffic = {.good = rows[i][k].good},
                                              .tardy = rows[i][k].tardy,
                                              .carries = rows[i][k].carries};
            dp_health_step(&s, &c, &e, (7000 + 100 * k) * MS, &a);
            assert_int_equal(s.health == DP_HEALTH_UP, rows[i][k].up);
        }
    }
}

static void a_failed_trial_doubles_the_wait(void **state)
{
    (void)state;
    struct dp_health_state s;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {5000, PROBE(OK), IS(DOWN)},
        {6000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {6500, TRAFFIC(2, 1, 0), IS(DOWN), BY(TRIAL_FAILED, 1)}, /* two were good, one was not */
        {11500, PROBE(OK), IS(DOWN)},
        {16499, PROBE(OK), IS(DOWN)},
        {16500, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 3)},
        {16600, TRAFFIC(0, 1, 0), IS(DOWN), BY(TRIAL_FAILED, 1)},
        {36500, PROBE(OK), IS(DOWN)},
        {36600, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {36700, TRAFFIC(3, 0, 0), IS(UP), BY(TRIAL_PASSED, 3)},
        /* a fall of its own begins with the first wait */
        {50000, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {54000, PROBE(OK), IS(DOWN)},
        {55000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
    };
    run_tried(rows, ROWS(rows), &s);
}

/* A dead server: probes saw it too, and that it is reachable again. It is tried all the same. */
static void what_probes_saw_too_they_do_not_clear(void **state)
{
    (void)state;
    struct dp_health_state s;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {1500, PROBE(DARK), IS(DOWN)},
        {2000, PROBE(DARK), IS(DOWN)},
        {2500, PROBE(DARK), IS(DOWN)},
        {5000, PROBE(OK), IS(DOWN)},
        {6000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        /* a trial does not keep probes from condemning, nor does that end it */
        {6100, PROBE(DARK), IS(SUSPECT)},
        {6200, PROBE(DARK), IS(SUSPECT)},
        {6300, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
        {8000, PROBE(OK), IS(DOWN)},
        {30000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {30100, TRAFFIC(3, 0, 0), IS(UP), BY(TRIAL_PASSED, 3)},
        /* probes condemn, but a request had met it before */
        {40000, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {40100, PROBE(DARK), IS(SUSPECT)},
        {40200, PROBE(DARK), IS(SUSPECT)},
        {40300, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
        {44000, PROBE(OK), IS(DOWN)},
        {46000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {46100, TRAFFIC(3, 0, 0), IS(UP), BY(TRIAL_PASSED, 3)},
        /* both together: errors, and a probe that fails */
        {50000, TRAFFIC(0, 0, 5), IS(SUSPECT), BY(ERRORS_ONLY, 5)},
        {50100, PROBE(UNHEALTHY), IS(DOWN), BY(ERRORS, 5)},
        {54000, PROBE(OK), IS(DOWN)},
        {56000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {56100, TRAFFIC(0, 0, 2), IS(SUSPECT)},
        {56200, TRAFFIC(0, 0, 1), IS(DOWN), BY(TRIAL_FAILED, 3)}, /* as many as must be answered */
    };
    run_tried(rows, ROWS(rows), &s);
}

static void what_probes_alone_saw_they_clear(void **state)
{
    (void)state;
    struct dp_health_state s;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {500, TRAFFIC(0, 1, 0), IS(SUSPECT), BY(UNANSWERED, 1)},
        {600, TRAFFIC(1, 0, 0), IS(SUSPECT)}, /* and the next one was answered */
        {1500, PROBE(DARK), IS(SUSPECT)},
        {2000, PROBE(DARK), IS(SUSPECT)},
        {2500, PROBE(DARK), IS(DOWN), BY(PROBES_FAILED, 3)},
        {2600, TRAFFIC(0, 5, 0), IS(DOWN)}, /* late news */
        {5000, PROBE(OK), IS(DOWN)},
        {6000, PROBE(OK), IS(UP), BY(PROBES_PASSED, 2)},
    };
    run_tried(rows, ROWS(rows), &s);
}

#define CARRIES(g, u)                                                                              \
    {                                                                                              \
        .kind = DP_HEALTH_TRAFFIC, .carries = true, .traffic = {.good = (g), .unanswered = (u) }   \
    }

/* Where nothing else is left, one lost answer does not close it again. */
static void on_trial_with_all_the_traffic_a_row_condemns(void **state)
{
    (void)state;
    struct dp_health_state s;
    static const struct row rows[] = {
        {0, PROBE(OK), IS(UP), BY(PROBES_PASSED, 1)},
        {1000, TRAFFIC(0, 5, 0), IS(DOWN), BY(UNANSWERED, 5)},
        {5000, PROBE(OK), IS(DOWN)},
        {6000, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {6100, CARRIES(1, 1), IS(SUSPECT)},
        {6200, CARRIES(0, 3), IS(SUSPECT)},
        {6300, CARRIES(0, 1), IS(DOWN), BY(UNANSWERED, 5)},
        {11400, PROBE(OK), IS(DOWN)},
        {11500, PROBE(OK), IS(SUSPECT), BY(TRIAL_BEGUN, 2)},
        {11600, CARRIES(2, 1), IS(SUSPECT)},
        {11700, CARRIES(1, 0), IS(UP), BY(TRIAL_PASSED, 3)},
    };
    run_tried(rows, ROWS(rows), &s);
}

/* ---- slow: what requests found, requests end ---- */

static struct dp_health_actions paced(struct dp_health_state *s, const struct dp_health_config *c,
                                      struct dp_health_event e, uint64_t at_ms)
{
    struct dp_health_actions a;
    dp_health_step(s, c, &e, at_ms * MS, &a);
    return a;
}

static struct dp_health_event sorted(uint32_t quick, uint32_t tardy)
{
    return (struct dp_health_event){.kind = DP_HEALTH_TICK, .quick = quick, .tardy = tardy};
}

static void slow_is_ended_by_quick_answers_alone(void **state)
{
    (void)state;
    static const struct dp_health_event slow = {
        .kind = DP_HEALTH_PACE, .pace = {.whole = true, .slow = true, .slow_windows = 4}};
    static const struct dp_health_event ok = PROBE(OK);
    struct dp_health_config c = config;
    struct dp_health_state s;
    c.trial_requests = 4;
    dp_health_init(&s, &c, 0, 1);
    (void)paced(&s, &c, ok, 0);
    assert_true(paced(&s, &c, slow, 1000).changed && s.slow);
    assert_false(paced(&s, &c, sorted(9, 0), 2000).changed); /* it is held */
    assert_false(paced(&s, &c, ok, 30999).changed);
    struct dp_health_actions a = paced(&s, &c, ok, 31000);
    assert_true(a.changed && s.slow && s.slow_trial);
    assert_int_equal(a.change.signal, DP_HEALTH_SIGNAL_SLOW_TRIAL);
    assert_true(a.change.slow_before && a.change.slow_after && a.change.slow_trial_after);
    for (unsigned i = 0; i < 100; i++)
        assert_false(paced(&s, &c, ok, 31001 + i).changed);
    assert_false(paced(&s, &c, sorted(2, 1), 40000).changed);
    a = paced(&s, &c, sorted(0, 1), 40001); /* half of them: still slow, twice as long */
    assert_true(a.changed && s.slow && !s.slow_trial);
    assert_int_equal(a.change.signal, DP_HEALTH_SIGNAL_SLOW_FAILED);
    assert_int_equal(a.change.count, 2);
    assert_int_equal(a.change.threshold, 2);
    assert_int_equal(s.slow_until_ns, 100001 * MS);
    assert_false(paced(&s, &c, ok, 100000).changed);
    assert_true(paced(&s, &c, ok, 100001).changed && s.slow_trial);
    assert_false(paced(&s, &c, sorted(2, 1), 100002).changed);
    a = paced(&s, &c, sorted(1, 0), 100003);
    assert_true(a.changed && !s.slow && !s.slow_trial);
    assert_int_equal(a.change.signal, DP_HEALTH_SIGNAL_SLOW_PASSED);
    assert_int_equal(a.change.count, 3);
    assert_int_equal(a.change.threshold, 3);
}

/* Down meanwhile: its slowness is tried when it is up again. */
static void a_fall_ends_the_trial_of_slowness(void **state)
{
    (void)state;
    static const struct dp_health_event slow = {
        .kind = DP_HEALTH_PACE, .pace = {.whole = true, .slow = true, .slow_windows = 4}};
    static const struct dp_health_event ok = PROBE(OK), dead = TRAFFIC(0, 5, 0);
    struct dp_health_config c = config;
    struct dp_health_state s;
    c.trial_requests = 2;
    dp_health_init(&s, &c, 0, 1);
    (void)paced(&s, &c, ok, 0);
    (void)paced(&s, &c, slow, 1000);
    assert_true(paced(&s, &c, ok, 31000).changed && s.slow_trial);
    assert_true(paced(&s, &c, dead, 32000).changed);
    assert_int_equal(s.health, DP_HEALTH_DOWN);
    assert_true(s.slow);
    assert_false(s.slow_trial);
    (void)paced(&s, &c, ok, 37000);
    assert_false(s.slow_trial); /* not while down */
    (void)paced(&s, &c, ok, 37500);
    assert_true(s.trial && s.slow_trial);
    const struct dp_health_event answered = {
        .kind = DP_HEALTH_TRAFFIC, .traffic = {.good = 2}, .quick = 2};
    (void)paced(&s, &c, answered, 38000);
    assert_int_equal(s.health, DP_HEALTH_UP);
    assert_false(s.slow);
}

/* However probes and ticks come: only requests end a trial well, and no more than the wanted number of them is needed. */
static void no_probe_ends_a_trial(void **state)
{
    (void)state;
    struct dp_health_config c = config;
    uint64_t x = 88172645463325252ULL;
    c.trial_requests = 3;
    for (unsigned run = 0; run < 300; run++) {
        struct dp_health_state s;
        struct dp_health_actions a;
        uint64_t now = 0;
        bool proved =
            false; /* as the header says, counted here: a request had a part in the fall */
        uint32_t row = 0;
        unsigned good = 0;
        dp_health_init(&s, &c, 0, run + 1);
        for (unsigned i = 0; i < 400; i++) {
            struct dp_health_event e = {.kind = DP_HEALTH_TICK};
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            now += x % 700 * MS;
            if (x & 1024) {
                e = (struct dp_health_event){.kind = DP_HEALTH_PROBE, .probe_started_ns = now};
                e.probe = x & 2048 && x & 4096 ? DP_PROBE_DARK : DP_PROBE_OK;
            } else if (x & 8192) {
                e.kind = DP_HEALTH_TRAFFIC;
                e.traffic.good = x >> 20 & 1;
                e.traffic.unanswered = e.traffic.good ? 0 : (uint32_t)(x >> 21 & 7);
            }
            enum dp_health before = s.health;
            bool trial = s.trial;
            dp_health_step(&s, &c, &e, now, &a);
            good = trial && e.kind == DP_HEALTH_TRAFFIC ? good + e.traffic.good : good;
            if (e.kind == DP_HEALTH_TRAFFIC && before != DP_HEALTH_DOWN)
                row = e.traffic.good ? 0 : row + e.traffic.unanswered;
            if (before != s.health && s.health == DP_HEALTH_DOWN) {
                proved = row > 0 || trial;
                row = 0;
            }
            if (before == DP_HEALTH_DOWN && proved)
                assert_int_not_equal(s.health, DP_HEALTH_UP);
            if (!trial && s.trial) {
                assert_true(proved);
                good = 0;
            }
            if (s.health == DP_HEALTH_UP)
                row = before == DP_HEALTH_UP ? row : 0;
            if (s.trial)
                assert_int_equal(s.health, DP_HEALTH_SUSPECT);
            if (trial && s.health == DP_HEALTH_UP)
                assert_true(good >= c.trial_requests);
            if (trial && e.kind == DP_HEALTH_TRAFFIC && e.traffic.unanswered)
                assert_int_equal(s.health, DP_HEALTH_DOWN);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_never_clear_what_they_did_not_see),
        cmocka_unit_test(slow_answers_prove_nothing),
        cmocka_unit_test(a_failed_trial_doubles_the_wait),
        cmocka_unit_test(what_probes_saw_too_they_do_not_clear),
        cmocka_unit_test(what_probes_alone_saw_they_clear),
        cmocka_unit_test(on_trial_with_all_the_traffic_a_row_condemns),
        cmocka_unit_test(slow_is_ended_by_quick_answers_alone),
        cmocka_unit_test(a_fall_ends_the_trial_of_slowness),
        cmocka_unit_test(no_probe_ends_a_trial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
