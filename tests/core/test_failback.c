/* Coming back, and what is done when there is nowhere to go: doubled holds, gates, the ramp, failing open; as scripts of
 * (time, what the regions are, what must follow). Leaving and plain holds are test_failover.c's. */
#include "davenport/base/clock.h"
#include "davenport/core/failover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S       DP_NS_PER_S
#define NONE    DP_NO_REGION
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

/* A region a letter: u up, s suspect, d down, m draining (up), M draining and down, l slow. Before its gate: . open,
 * w shut by a window, g shut by a condition. What operators did before the step: D drained, F frozen for all. */
struct row {
    uint64_t at_s;
    const char *regions, *gates, *orders;
    uint16_t active;
    enum dp_move move;
    const char *held; /* h where held */
    uint16_t share;   /* 0: 100 */
};

static struct dp_failover_region region_of(char c, char gate)
{
    return (struct dp_failover_region){.health = c == 'd' || c == 'M' ? DP_HEALTH_DOWN
                                                 : c == 's'           ? DP_HEALTH_SUSPECT
                                                                      : DP_HEALTH_UP,
                                       .draining = c == 'm' || c == 'M',
                                       .slow = c == 'l',
                                       .shut = gate != '.',
                                       .unready = gate == 'g'};
}

static struct dp_failover_decision run(struct dp_failover_config c, struct dp_failover_state *s,
                                       const struct row *rows, size_t n)
{
    struct dp_failover_decision d = {0};
    c.n_regions = (uint16_t)strlen(rows[0].regions);
    for (size_t i = 0; i < n; i++) {
        struct dp_failover_region regions[DP_MAX_REGIONS];
        const struct row *r = &rows[i];
        char held[DP_MAX_REGIONS + 1] = "";
        for (size_t k = 0; k < c.n_regions; k++) {
            regions[k] = region_of(r->regions[k], r->gates ? r->gates[k] : '.');
            s->drained[k] = r->orders && r->orders[k] == 'D';
        }
        s->frozen = r->orders && strchr(r->orders, 'F') != NULL;
        dp_failover_step(s, &c, regions, r->at_s * S, &d);
        for (size_t k = 0; k < c.n_regions; k++)
            held[k] = d.held[k] ? 'h' : '.';
        if (d.after != r->active || d.move != r->move || strcmp(held, r->held) != 0 ||
            d.share_percent != (r->share ? r->share : 100))
            print_error("row %zu: active %u by %s, held %s, share %u\n", i, d.after,
                        dp_move_name(d.move), held, d.share_percent);
        assert_int_equal(d.after, r->active);
        assert_int_equal(d.move, r->move);
        assert_string_equal(held, r->held);
        assert_int_equal(d.share_percent, r->share ? r->share : 100);
        assert_int_equal(d.open, s->open);
    }
    return d;
}

static struct dp_failover_state fresh(void)
{
    struct dp_failover_state s;
    dp_failover_init(&s);
    return s;
}

static const struct dp_failover_config doubling = {
    .automatic = true, .hold_ns = 300 * S, .hold_max_ns = 1000 * S, .forget_ns = 5000 * S};

static void each_fall_doubles_the_hold(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {10, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {20, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {319, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {320, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
        {400, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0}, /* the second fall: 600 s */
        {401, "du", NULL, NULL, 1, DP_MOVE_NONE, "..", 0},
        {410, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {1009, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {1010, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
        {1011, "mu", NULL, NULL, 1, DP_MOVE_FAILOVER, "..",
         0}, /* the third: 1200, capped at 1000 */
        {1020, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {2019, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {2020, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
        {2021, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {2030, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {3029, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {3030, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(doubling, &s, rows, ROWS(rows));
    assert_int_equal(s.falls[0], 4);
    assert_int_equal(s.falls[1], 0);
}

static void long_health_forgets_the_falls(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {2, "du", NULL, NULL, 1, DP_MOVE_NONE, "..", 0},
        {3, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {603, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
        {5002, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
    };
    static const struct row later[] = {
        {5003, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {5004, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {5005, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {5305, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(doubling, &s, rows, ROWS(rows));
    assert_int_equal(s.falls[0], 2);
    run(doubling, &s, later, ROWS(later));
    assert_int_equal(s.falls[0], 1);
    /* However soon it is to be forgotten: not before the longest hold is over. */
    struct dp_failover_config c = doubling;
    c.forget_ns = 1;
    s = fresh();
    run(c, &s, rows, ROWS(rows) - 1);
    assert_int_equal(s.falls[0], 2);
}

static void what_operators_drain_does_not_fall(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {1, "uu", NULL, "D.", 1, DP_MOVE_DRAIN, "..", 0},
        {2, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {3, "uu", NULL, "D.", 1, DP_MOVE_NONE, "..", 0},
        {4, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {304, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(doubling, &s, rows, ROWS(rows));
    assert_int_equal(s.falls[0], 0);
}

static void a_cap_below_the_hold_doubles_nothing(void **state)
{
    (void)state;
    struct dp_failover_config c = {.n_regions = 1, .hold_ns = 300 * S, .hold_max_ns = 200 * S};
    struct dp_failover_state s = fresh();
    s.falls[0] = UINT8_MAX;
    assert_int_equal(dp_failover_hold_ns(&s, &c, 0), 300 * S);
    c.hold_max_ns = UINT64_MAX; /* nor does it overflow */
    assert_int_equal(dp_failover_hold_ns(&s, &c, 0), UINT64_MAX);
    c = (struct dp_failover_config){.n_regions = 1, .hold_max_ns = 200 * S};
    assert_int_equal(dp_failover_hold_ns(&s, &c, 0), 0);
}

static void a_shut_gate_keeps_the_traffic_away(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "duu", "...", NULL, 1, DP_MOVE_FAILOVER, "...", 0},
        {1, "uuu", "g..", NULL, 1, DP_MOVE_NONE, "h..", 0},
        {301, "uuu", "g..", NULL, 1, DP_MOVE_NONE, "h..", 0}, /* not ready: held on */
        {302, "uuu", "w..", NULL, 1, DP_MOVE_NONE, "...", 0}, /* ready, at the wrong time */
        {900, "uuu", "w..", NULL, 1, DP_MOVE_NONE, "...", 0},
        {901, "uuu", "...", NULL, 0, DP_MOVE_FAILBACK, "...", 0},
        {902, "uuu", "g..", NULL, 0, DP_MOVE_NONE, "...", 0},     /* a gate is passed once */
        {903, "duu", "ggg", NULL, 1, DP_MOVE_FAILOVER, "...", 0}, /* and bars no failover */
    };
    struct dp_failover_state s = fresh();
    run((struct dp_failover_config){.automatic = true, .hold_ns = 300 * S}, &s, rows, ROWS(rows));
}

static void the_open_gate_goes_before_the_preferred_one(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "ddu", "...", NULL, 2, DP_MOVE_FAILOVER, "...", 0},
        {1, "uuu", "w..", NULL, 2, DP_MOVE_NONE, "hh.", 0},
        {100, "uuu", "w..", NULL, 2, DP_MOVE_NONE, "hh.", 0},
    };
    struct dp_failover_state s = fresh();
    const struct dp_failover_config c = {.automatic = true, .hold_ns = 300 * S};
    struct dp_failover_decision d = run(c, &s, rows, ROWS(rows));
    assert_int_equal(d.waiting, 1);
    assert_int_equal(d.failback_at_ns, 301 * S);
    static const struct row later[] = {
        {301, "uuu", "w..", NULL, 1, DP_MOVE_FAILBACK, "...", 0},
        {302, "uuu", "w..", NULL, 1, DP_MOVE_NONE, "...", 0},
    };
    d = run(c, &s, later, ROWS(later));
    assert_int_equal(d.waiting, 0);              /* before its gate */
    assert_int_equal(d.failback_at_ns, 302 * S); /* now, as far as the hold goes */
}

static const struct dp_failover_config ramped = {
    .automatic = true, .hold_ns = 10 * S, .ramp_ns = 100 * S};

static void a_returning_region_grows_into_its_share(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {11, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 5},
        {12, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 5},
        {17, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 10},
        {62, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 55},
        {70, "uu", NULL, ".F", 0, DP_MOVE_NONE, "..",
         55}, /* frozen: the time since then does not count */
        {170, "uu", NULL, ".F", 0, DP_MOVE_NONE, "..", 55},
        {171, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 55},
        {190, "su", NULL, NULL, 0, DP_MOVE_NONE, "..", 55}, /* in doubt, likewise */
        {209, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 75},
        {248, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {249, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(ramped, &s, rows, ROWS(rows) - 2);
    assert_int_equal(s.ramp_from, 1);
    run(ramped, &s, rows + ROWS(rows) - 2, 2);
    assert_int_equal(s.ramp_from, NONE);
}

static void a_ramp_ends_with_who_takes_the_rest(void **state)
{
    (void)state;
    static const struct row lost[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {11, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 5},
        {12, "ud", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {13, "uu", NULL, NULL, 0, DP_MOVE_NONE, ".h", 0}, /* and does not begin anew */
    };
    static const struct row falls_again[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "uu", NULL, NULL, 1, DP_MOVE_NONE, "h.", 0},
        {11, "uu", NULL, NULL, 0, DP_MOVE_FAILBACK, "..", 5},
        {12, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(ramped, &s, lost, ROWS(lost));
    s = fresh();
    run(ramped, &s, falls_again, ROWS(falls_again));
    /* An operator wants all of it there. */
    s = fresh();
    run(ramped, &s, lost, 3);
    struct dp_failover_region regions[2] = {{.health = DP_HEALTH_UP}, {.health = DP_HEALTH_UP}};
    struct dp_failover_config c = ramped;
    struct dp_failover_decision d;
    c.n_regions = 2;
    assert_true(dp_failover_switch(&s, &c, regions, 0, false, 12 * S, &d));
    assert_int_equal(d.move, DP_MOVE_NONE);
    assert_int_equal(d.share_percent, 100);
}

#define POLICY(name)                                                                               \
    (struct dp_failover_config)                                                                    \
    {                                                                                              \
        .automatic = true, .hold_ns = 300 * S, .no_region = DP_NO_REGION_##name                    \
    }

static void refusing_is_no_region(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "dd", NULL, NULL, NONE, DP_MOVE_LOST, "..", 0},
        {2, "du", NULL, NULL, 1, DP_MOVE_REGAINED, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(POLICY(REFUSE), &s, rows, ROWS(rows));
}

static void the_last_good_one_is_used_on(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "dd", NULL, NULL, 1, DP_MOVE_OPEN, "..", 0},
        {2, "dd", NULL, NULL, 1, DP_MOVE_NONE, "..", 0},
        {3, "du", NULL, NULL, 1, DP_MOVE_REGAINED, "..", 0}, /* it came back itself */
        {4, "dd", NULL, NULL, 1, DP_MOVE_OPEN, "..", 0},
        {5, "ud", NULL, NULL, 0, DP_MOVE_REGAINED, "..", 0}, /* another came first */
    };
    struct dp_failover_state s = fresh();
    run(POLICY(LAST_GOOD), &s, rows, ROWS(rows));
    assert_false(s.open);
}

static void the_primary_is_used_on(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "dd", NULL, NULL, 0, DP_MOVE_OPEN, "..", 0},
        {2, "dd", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {3, "du", NULL, NULL, 1, DP_MOVE_REGAINED, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(POLICY(PRIMARY), &s, rows, ROWS(rows));
}

static void nothing_drained_is_opened(void **state)
{
    (void)state;
    static const struct row by_operators[] = {
        {0, "uu", NULL, NULL, 0, DP_MOVE_NONE, "..", 0},
        {1, "dd", NULL, "D.", 1, DP_MOVE_OPEN, "..", 0}, /* the last one was drained: the other */
        {2, "dd", NULL, "DD", NONE, DP_MOVE_LOST, "..", 0},
        {3, "uu", NULL, "DD", NONE, DP_MOVE_NONE, "..", 0},
        {4, "du", NULL, "D.", 1, DP_MOVE_REGAINED, "..", 0},
    };
    static const struct row by_themselves[] = {
        {0, "md", NULL, NULL, 1, DP_MOVE_OPEN, "..", 0},
        {1, "mM", NULL, NULL, NONE, DP_MOVE_LOST, "..", 0},
        {2, "MM", NULL, NULL, NONE, DP_MOVE_NONE, "..", 0},
        {3, "dM", NULL, NULL, 0, DP_MOVE_OPEN, "..",
         0}, /* maintenance is over, the answers are not there yet */
        {4, "uM", NULL, NULL, 0, DP_MOVE_REGAINED, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(POLICY(LAST_GOOD), &s, by_operators, ROWS(by_operators));
    s = fresh();
    run(POLICY(PRIMARY), &s, by_operators, ROWS(by_operators));
    s = fresh();
    run(POLICY(LAST_GOOD), &s, by_themselves, ROWS(by_themselves));
    s = fresh();
    run(POLICY(PRIMARY), &s, by_themselves, ROWS(by_themselves));
}

static void a_freeze_holds_an_open_region(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "dd", NULL, NULL, 0, DP_MOVE_OPEN, "..", 0},
        {1, "du", NULL, ".F", 0, DP_MOVE_NONE, ".h", 0},
        {2, "uu", NULL, ".F", 0, DP_MOVE_REGAINED, ".h", 0}, /* where it is */
        {3, "dd", NULL, ".F", 0, DP_MOVE_NONE, "..", 0},
        {4, "dd", NULL, NULL, 0, DP_MOVE_OPEN, "..", 0},
    };
    struct dp_failover_state s = fresh();
    run(POLICY(LAST_GOOD), &s, rows, ROWS(rows));
}

static void an_approval_is_for_one_return(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", NULL, NULL, 1, DP_MOVE_FAILOVER, "..", 0},
        {1, "uu", "g.", NULL, 1, DP_MOVE_NONE, "h.", 0},
    };
    static const struct row lost_again[] = {{2, "du", "g.", NULL, 1, DP_MOVE_NONE, "..", 0}};
    static const struct row returns[] = {{400, "uu", "..", NULL, 0, DP_MOVE_FAILBACK, "..", 0},
                                         {401, "uu", "..", NULL, 0, DP_MOVE_NONE, "..", 0}};
    struct dp_failover_state s = fresh();
    run(POLICY(REFUSE), &s, rows, ROWS(rows));
    s.approved[0] = true;
    run(POLICY(REFUSE), &s, lost_again, 1);
    assert_false(s.approved[0]);
    s = fresh();
    run(POLICY(REFUSE), &s, rows, ROWS(rows));
    s.approved[0] = true;
    run(POLICY(REFUSE), &s, returns, 1);
    assert_true(s.approved[0]); /* for the record */
    run(POLICY(REFUSE), &s, returns + 1, 1);
    assert_false(s.approved[0]);
}

static void a_reload_renumbers_the_regions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uuu", NULL, NULL, 0, DP_MOVE_NONE, "...", 0},
        {1, "duu", NULL, NULL, 1, DP_MOVE_FAILOVER, "...", 0},
        {2, "duu", NULL, "..D", 1, DP_MOVE_NONE, "...", 0},
        {3, "uuu", NULL, "..D", 1, DP_MOVE_NONE, "h..", 0},
    };
    static const struct row after[] = {
        {4, "uuuu", NULL, "D...", 3, DP_MOVE_NONE, "..h.",
         0}, /* new, but up: nothing is held against it */
        {303, "uuuu", NULL, "D...", 2, DP_MOVE_FAILBACK, "....", 0},
    };
    static const struct row left[] = {{4, "uu", NULL, ".D", 0, DP_MOVE_REGAINED, "..", 0}};
    const struct dp_failover_config c = {.automatic = true, .hold_ns = 300 * S};
    struct dp_failover_state s = fresh();
    run(c, &s, rows, ROWS(rows));
    s.frozen = s.pinned = true;
    s.home = 1;
    struct dp_failover_state copy = s;
    /* 2, a new one, 0, 1 */
    dp_failover_remap(&s, (const uint16_t[]){2, 3, 0}, 3);
    assert_int_equal(s.active, 3);
    assert_int_equal(s.home, 3);
    assert_true(s.drained[0] && !s.drained[1] && s.pinned && s.frozen);
    assert_true(s.unsettled[2] && s.falls[2] == 1 && !s.unsettled[1]);
    s.frozen = s.pinned = false;
    run(c, &s, after, ROWS(after));
    /* The active one left; so does what was said of it. */
    s = copy;
    dp_failover_remap(&s, (const uint16_t[]){0, NONE, 1}, 3);
    assert_int_equal(s.active, NONE);
    assert_false(s.pinned || s.open);
    run(c, &s, left, ROWS(left));
}

static void every_policy_has_a_word(void **state)
{
    (void)state;
    assert_string_equal(dp_no_region_name(DP_NO_REGION_REFUSE), "503");
    assert_string_equal(dp_no_region_name(DP_NO_REGION_LAST_GOOD), "last_good");
    assert_string_equal(dp_no_region_name(DP_NO_REGION_PRIMARY), "primary");
    for (unsigned m = DP_MOVE_NONE; m <= DP_MOVE_COUNT; m++)
        assert_int_equal(strcmp(dp_move_name((enum dp_move)m), "?") == 0, m == DP_MOVE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fall_doubles_the_hold),
        cmocka_unit_test(long_health_forgets_the_falls),
        cmocka_unit_test(what_operators_drain_does_not_fall),
        cmocka_unit_test(a_cap_below_the_hold_doubles_nothing),
        cmocka_unit_test(a_shut_gate_keeps_the_traffic_away),
        cmocka_unit_test(the_open_gate_goes_before_the_preferred_one),
        cmocka_unit_test(a_returning_region_grows_into_its_share),
        cmocka_unit_test(a_ramp_ends_with_who_takes_the_rest),
        cmocka_unit_test(refusing_is_no_region),
        cmocka_unit_test(the_last_good_one_is_used_on),
        cmocka_unit_test(the_primary_is_used_on),
        cmocka_unit_test(nothing_drained_is_opened),
        cmocka_unit_test(a_freeze_holds_an_open_region),
        cmocka_unit_test(an_approval_is_for_one_return),
        cmocka_unit_test(a_reload_renumbers_the_regions),
        cmocka_unit_test(every_policy_has_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
