/* Every decision about the active region, as scripts of (time, what the regions are, what must follow). */
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
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define NONE    DP_NO_REGION

/* A region a letter: u up, s suspect, ? unknown, d down, m draining (up), M draining and down, l slow (up), q mute (up). The routes: o, d, b.
 * A row with an order switches first. */
struct row {
    uint64_t at_s;
    const char *regions;
    uint16_t active;
    enum dp_move move;
    const char *routes;
    const char *held;  /* a letter h where held, else . */
    const char *order; /* "1" switch to region 1, "1!" with force, "1x" expected to be refused */
};

static struct dp_failover_region region_of(char c)
{
    struct dp_failover_region r = {.health = DP_HEALTH_UP};
    switch (c) {
    case 'd':
    case 'M':
        r.health = DP_HEALTH_DOWN;
        break;
    case 's':
        r.health = DP_HEALTH_SUSPECT;
        break;
    case '?':
        r.health = DP_HEALTH_UNKNOWN;
        break;
    default:
        break;
    }
    r.draining = c == 'm' || c == 'M';
    r.slow = c == 'l';
    r.mute = c == 'q';
    return r;
}

static void check_row(const struct row *r, size_t i, const struct dp_failover_decision *d)
{
    char routes[DP_MAX_REGIONS + 1] = "", held[DP_MAX_REGIONS + 1] = "";
    for (size_t k = 0; r->regions[k]; k++) {
        routes[k] = "odb"[d->routes[k]];
        held[k] = d->held[k] ? 'h' : '.';
    }
    if (d->after != r->active || d->move != r->move || strcmp(routes, r->routes) != 0 ||
        strcmp(held, r->held) != 0)
        print_error("row %zu: active %u by %s, routes %s, held %s\n", i, d->after,
                    dp_move_name(d->move), routes, held);
    assert_int_equal(d->after, r->active);
    assert_int_equal(d->move, r->move);
    assert_string_equal(routes, r->routes);
    assert_string_equal(held, r->held);
}

static struct dp_failover_decision run(bool automatic, const struct row *rows, size_t n)
{
    struct dp_failover_config c = {
        .n_regions = (uint16_t)strlen(rows[0].regions), .automatic = automatic, .hold_ns = 300 * S};
    struct dp_failover_state s;
    struct dp_failover_decision d = {0};
    dp_failover_init(&s);
    for (size_t i = 0; i < n; i++) {
        struct dp_failover_region regions[DP_MAX_REGIONS];
        const struct row *r = &rows[i];
        for (size_t k = 0; r->regions[k]; k++)
            regions[k] = region_of(r->regions[k]);
        uint16_t before = s.active;
        if (r->order) {
            uint16_t target = (uint16_t)(r->order[0] - '0');
            bool refuse = r->order[1] == 'x';
            struct dp_failover_state copy = s;
            bool done =
                dp_failover_switch(&s, &c, regions, target, r->order[1] == '!', r->at_s * S, &d);
            assert_int_equal(done, !refuse);
            if (refuse) {
                assert_memory_equal(&copy, &s, sizeof(s));
                continue;
            }
        } else {
            dp_failover_step(&s, &c, regions, r->at_s * S, &d);
        }
        assert_int_equal(d.before, before);
        check_row(r, i, &d);
        assert_int_equal(s.active, d.after);
    }
    return d;
}

#define HOLD_DOWN(rows) run(true, rows, ROWS(rows))
#define MANUAL(rows)    run(false, rows, ROWS(rows))

/* What is down from the start has not been away for as long as it may be starting. */
static void what_is_starting_was_not_away(void **state)
{
    (void)state;
    const struct dp_failover_config c = {.n_regions = 3, .hold_ns = 300 * S, .start_ns = 30 * S};
    static const struct {
        uint64_t at_s;
        const char *regions, *held;
        uint16_t active;
        uint8_t falls[3];
    } rows[] = {
        {1, "???", "...", 0, {0, 0, 0}},  {2, "d?d", "...", 1, {0, 0, 0}},
        {3, "dud", "...", 1, {0, 0, 0}},  {5, "uud", "...", 1, {0, 0, 0}}, /* just up */
        {6, "dud", "...", 1, {1, 0, 0}}, /* this is a fall: it was up */
        {7, "uud", "h..", 1, {1, 0, 0}},  {30, "uud", "h..", 1, {1, 0, 0}},
        {31, "uud", "h..", 1, {1, 0, 1}}, /* it does not start, it is down */
        {32, "uuu", "h.h", 1, {1, 0, 1}},
    };
    struct dp_failover_state s;
    struct dp_failover_decision d;
    dp_failover_init(&s);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct dp_failover_region regions[3];
        for (size_t k = 0; k < 3; k++)
            regions[k] = region_of(rows[i].regions[k]);
        dp_failover_step(&s, &c, regions, rows[i].at_s * S, &d);
        assert_int_equal(d.after, rows[i].active);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(d.held[k], rows[i].held[k] == 'h');
            assert_int_equal(s.falls[k], rows[i].falls[k]);
        }
    }
    dp_failover_init(&s); /* drained is no way of starting */
    s.drained[1] = true;
    const struct dp_failover_region regions[3] = {region_of('u'), region_of('d'), region_of('d')};
    dp_failover_step(&s, &c, regions, S, &d);
    assert_true(s.unsettled[1] && !s.unsettled[0]);
}

static void begins_at_the_first(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "??", 0, DP_MOVE_NONE, "oo", "..", NULL}, {1, "?u", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {2, "su", 0, DP_MOVE_NONE, "oo", "..", NULL}, {3, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {4, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
    };
    HOLD_DOWN(rows);
    MANUAL(rows);
}

static void leaves_and_returns_after_the_hold(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {10, "su", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {11, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {20, "du", 1, DP_MOVE_NONE, "do", "..", NULL},
        {30, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {329, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {330, "uu", 0, DP_MOVE_FAILBACK, "oo", "..", NULL},
        {331, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
    };
    struct dp_failover_decision d = HOLD_DOWN(rows);
    assert_int_equal(d.waiting, NONE);
    d = run(true, rows, 5);
    assert_int_equal(d.waiting, 0);
    assert_int_equal(d.failback_at_ns, 330 * S);
    d = run(true, rows, 7);
    assert_int_equal(d.held_ns, 300 * S);
}

static void any_doubt_begins_the_hold_anew(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {10, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {200, "su", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {201, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {310, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {500, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {501, "uu", 0, DP_MOVE_FAILBACK, "oo", "..", NULL},
    };
    HOLD_DOWN(rows);
}

static void manual_never_returns(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {10, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {310, "uu", 1, DP_MOVE_NONE, "oo", "..", NULL}, /* settled, but not asked for */
        {90000, "uu", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {90001, "uu", 0, DP_MOVE_SWITCH, "oo", "..", "0"},
        {90002, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
    };
    struct dp_failover_decision d = run(false, rows, 2);
    assert_int_equal(d.waiting, NONE);
    MANUAL(rows);
}

static void a_held_region_is_better_than_none(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {10, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {20, "ud", 0, DP_MOVE_FAILOVER, "od", "..", NULL},
        {30, "uu", 0, DP_MOVE_NONE, "oo", ".h", NULL},
        {900, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
    };
    HOLD_DOWN(rows);
    MANUAL(rows);
}

/* Three regions: while a settled one can take what fails in the active one, the held one is barred. */
static void held_is_the_last_resort(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "duu", 1, DP_MOVE_FAILOVER, "doo", "...", NULL},
        {10, "uuu", 1, DP_MOVE_NONE, "boo", "h..", NULL},
        {20, "udu", 2, DP_MOVE_FAILOVER, "odo", "h..", NULL},
        {21, "udu", 2, DP_MOVE_NONE, "odo", "h..", NULL},
        {30, "uuu", 2, DP_MOVE_NONE, "ooo", "hh.", NULL},
        {310, "uuu", 0, DP_MOVE_FAILBACK, "obo", ".h.", NULL},
        {330, "uuu", 0, DP_MOVE_NONE, "ooo", "...", NULL},
    };
    HOLD_DOWN(rows);
}

static void the_best_of_the_others(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "u?su", 0, DP_MOVE_NONE, "oooo", "....", NULL},
        {1, "d?su", 3, DP_MOVE_FAILOVER, "dooo", "....", NULL},
        {2, "d?sd", 1, DP_MOVE_FAILOVER, "dood", "....", NULL},
        {3, "ddsd", 2, DP_MOVE_FAILOVER, "ddod", "....", NULL},
        {4, "dddd", NONE, DP_MOVE_LOST, "dddd", "....", NULL},
        {5, "dddd", NONE, DP_MOVE_NONE, "dddd", "....", NULL},
        {6, "ddud", 2, DP_MOVE_REGAINED, "ddod", "....", NULL},
        {7, "uduu", 2, DP_MOVE_NONE, "odoo", "h..h", NULL},
    };
    HOLD_DOWN(rows);
}

static void draining_is_left_and_never_resurrected(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {1, "mu", 1, DP_MOVE_FAILOVER, "bo", "..", NULL},
        {2, "md", NONE, DP_MOVE_LOST, "bd", "..", NULL},
        {3, "mm", NONE, DP_MOVE_NONE, "bb", "..", NULL},
        {4, "Mm", NONE, DP_MOVE_NONE, "db", "..", NULL},
        {5, "uM", 0, DP_MOVE_REGAINED, "od", "..", NULL},
    };
    HOLD_DOWN(rows);
}

static void a_switch_is_pinned(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {1, "uu", 1, DP_MOVE_SWITCH, "oo", "..", "1"},
        {1000, "uu", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {1001, "us", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {1002, "uu", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {1003, "ud", 0, DP_MOVE_FAILOVER, "od", "..", NULL}, /* the pin ends here */
        {1004, "uu", 0, DP_MOVE_NONE, "oo", ".h", NULL},
        {1005, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {1006, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {1306, "uu", 0, DP_MOVE_FAILBACK, "oo", "..", NULL},
    };
    HOLD_DOWN(rows);
    static const struct row pinned_where_it_is[] = {
        {0, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {1, "uu", 1, DP_MOVE_NONE, "oo", "h.", "1"},
        {1000, "uu", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {1001, "uu", 0, DP_MOVE_SWITCH, "oo", "..", "0"},
    };
    HOLD_DOWN(pinned_where_it_is);
}

static void an_operator_may_cut_the_hold_short(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {1, "du", 1, DP_MOVE_NONE, "do", "..", "0x"},
        {10, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {11, "uu", 0, DP_MOVE_SWITCH, "oo", "..", "0"},
        {12, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
    };
    HOLD_DOWN(rows);
    static const struct row draining[] = {
        {0, "um", 0, DP_MOVE_NONE, "ob", "..", NULL},
        {1, "um", 0, DP_MOVE_NONE, "ob", "..", "1x"},
        {2, "um", 1, DP_MOVE_SWITCH, "oo", "..", "1!"},
        {3, "um", 1, DP_MOVE_NONE, "oo", "..", NULL},
    };
    HOLD_DOWN(draining);
}

static void force_holds_against_the_evidence(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {1, "ud", 1, DP_MOVE_SWITCH, "oo", "..", "1!"},
        {500, "ud", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {501, "uu", 1, DP_MOVE_NONE, "oo", "..", NULL}, /* the evidence has come round */
        {502, "ud", 0, DP_MOVE_FAILOVER, "od", "..", NULL},
    };
    HOLD_DOWN(rows);
    MANUAL(rows);
    static const struct row all_down[] = {
        {0, "dd", NONE, DP_MOVE_LOST, "dd", "..", NULL},
        {1, "dd", 0, DP_MOVE_SWITCH, "od", "..", "0!"},
        {2, "dd", 0, DP_MOVE_NONE, "od", "..", NULL},
    };
    HOLD_DOWN(all_down);
}

static void one_region_alone(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "?", 0, DP_MOVE_NONE, "o", ".", NULL},
        {1, "d", NONE, DP_MOVE_LOST, "d", ".", NULL},
        {2, "u", 0, DP_MOVE_REGAINED, "o", ".", NULL},
    };
    HOLD_DOWN(rows);
    MANUAL(rows);
}

static void a_hold_of_0_returns_at_once(void **state)
{
    (void)state;
    struct dp_failover_config c = {.n_regions = 2, .automatic = true};
    struct dp_failover_state s;
    struct dp_failover_decision d;
    struct dp_failover_region regions[2] = {{.health = DP_HEALTH_DOWN}, {.health = DP_HEALTH_UP}};
    dp_failover_init(&s);
    dp_failover_step(&s, &c, regions, 0, &d);
    assert_int_equal(s.active, 1);
    regions[0].health = DP_HEALTH_UP;
    dp_failover_step(&s, &c, regions, S, &d);
    assert_int_equal(s.active, 0);
    assert_int_equal(d.move, DP_MOVE_FAILBACK);
}

/* Who says nothing may be as lost as the one that is left: that shows within a moment. */
static void nobody_goes_where_nobody_speaks(void **state)
{
    (void)state;
    static const struct row waits[] = {
        {0, "uuu", 0, DP_MOVE_NONE, "ooo", "...", NULL},
        {10, "dqq", 0, DP_MOVE_NONE, "ooo", "...", NULL},
        {11, "dqd", 0, DP_MOVE_NONE, "ood", "...", NULL},
        {12, "dud", 1, DP_MOVE_FAILOVER, "dod", "...", NULL},
    };
    static const struct row chooses[] = {
        {0, "uuu", 0, DP_MOVE_NONE, "ooo", "...", NULL},
        {10, "dqu", 2, DP_MOVE_FAILOVER, "doo", "...", NULL},
    };
    static const struct row all_lost[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {10, "dq", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {11, "dd", NONE, DP_MOVE_LOST, "dd", "..", NULL},
    };
    static const struct row returns[] = {
        {0, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
        {10, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {310, "qu", 1, DP_MOVE_NONE, "oo", "..", NULL},
        {311, "uu", 0, DP_MOVE_FAILBACK, "oo", "..", NULL},
    };
    static const struct row slow[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {10, "lq", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {11, "lu", 1, DP_MOVE_FAILOVER, "oo", "..", NULL},
    };
    static const struct row ordered[] = {
        {0, "uq", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {10, "uq", 1, DP_MOVE_SWITCH, "oo", "..", "1"}, /* an operator knows better */
    };
    HOLD_DOWN(chooses);
    HOLD_DOWN(all_lost);
    HOLD_DOWN(returns);
    HOLD_DOWN(slow);
    HOLD_DOWN(ordered);
    HOLD_DOWN(waits);
}

static void slow_is_left_for_what_is_well(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {300, "uu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {301, "lu", 1, DP_MOVE_FAILOVER, "oo", "..", NULL},
        {302, "lu", 1, DP_MOVE_NONE, "oo", "h.", NULL}, /* nobody else could help 1 */
        {340, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {639, "uu", 1, DP_MOVE_NONE, "oo", "h.", NULL},
        {640, "uu", 0, DP_MOVE_FAILBACK, "oo", "..", NULL},
    };
    (void)run(true, rows, ROWS(rows));
}

static void slow_is_better_than_doubtful_or_behind(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "ud", 0, DP_MOVE_NONE, "od", "..", NULL},
        {1, "ld", 0, DP_MOVE_NONE, "od", "..", NULL},
        {2, "lu", 0, DP_MOVE_NONE, "oo", ".h", NULL}, /* 1 may lack data */
        {3, "ls", 0, DP_MOVE_NONE, "oo", ".h", NULL},
        {4, "lm", 0, DP_MOVE_NONE, "ob", "..", NULL},
        {5, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL}, /* down is down */
    };
    (void)run(true, rows, ROWS(rows));
}

static void all_slow_is_no_reason_to_move(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uuu", 0, DP_MOVE_NONE, "ooo", "...", NULL},
        {1, "lll", 0, DP_MOVE_NONE, "ooo", ".hh", NULL},
        {2, "dls", 2, DP_MOVE_FAILOVER, "doo", ".h.", NULL}, /* in doubt before slow */
    };
    (void)run(true, rows, ROWS(rows));
}

static void a_pinned_region_may_be_slow(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, "uu", 0, DP_MOVE_NONE, "oo", "..", "0"},
        {1, "lu", 0, DP_MOVE_NONE, "oo", "..", NULL},
        {2, "du", 1, DP_MOVE_FAILOVER, "do", "..", NULL},
    };
    (void)run(true, rows, ROWS(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_at_the_first),
        cmocka_unit_test(what_is_starting_was_not_away),
        cmocka_unit_test(leaves_and_returns_after_the_hold),
        cmocka_unit_test(any_doubt_begins_the_hold_anew),
        cmocka_unit_test(manual_never_returns),
        cmocka_unit_test(a_held_region_is_better_than_none),
        cmocka_unit_test(held_is_the_last_resort),
        cmocka_unit_test(the_best_of_the_others),
        cmocka_unit_test(draining_is_left_and_never_resurrected),
        cmocka_unit_test(a_switch_is_pinned),
        cmocka_unit_test(an_operator_may_cut_the_hold_short),
        cmocka_unit_test(force_holds_against_the_evidence),
        cmocka_unit_test(one_region_alone),
        cmocka_unit_test(a_hold_of_0_returns_at_once),
        cmocka_unit_test(nobody_goes_where_nobody_speaks),
        cmocka_unit_test(slow_is_left_for_what_is_well),
        cmocka_unit_test(slow_is_better_than_doubtful_or_behind),
        cmocka_unit_test(all_slow_is_no_reason_to_move),
        cmocka_unit_test(a_pinned_region_may_be_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
