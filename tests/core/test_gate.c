/* The gate's conditions, each met, unmet and unknown, and the windows of the week. */
#include "davenport/core/gate.h"
#include "davenport/core/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S       UINT64_C(1000000000)
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define ALL     ((1U << DP_GATE_COUNT) - 1)

struct row {
    enum dp_gate_kind kind;
    struct dp_gate_facts facts;
    enum dp_gate_state state;
    const char *why;
};

static void each_is(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct dp_gate gate;
        unsigned asked = DP_GATE_BIT(rows[i].kind);
        dp_gate_judge(&rows[i].facts, asked, &gate);
        assert_int_equal(gate.n, 1);
        assert_int_equal(gate.conditions[0].kind, rows[i].kind);
        assert_int_equal(gate.conditions[0].state, rows[i].state);
        assert_string_equal(gate.conditions[0].why, rows[i].why);
        assert_int_equal(dp_gate_unmet(&rows[i].facts, asked),
                         rows[i].state == DP_GATE_MET ? 0 : asked);
    }
}

static void replication_is_met_by_what_was_seen(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {DP_GATE_REPLICATION, {0}, DP_GATE_UNKNOWN, "nothing was looked at yet"},
        {DP_GATE_REPLICATION,
         {.blind_is_open = true, .approved = true},
         DP_GATE_UNKNOWN,
         "nothing was looked at yet"},
        {DP_GATE_REPLICATION,
         {.replication = DP_GATE_BEHIND, .blind_is_open = true, .replication_word = "12 missing"},
         DP_GATE_UNMET,
         "12 missing"},
        {DP_GATE_REPLICATION,
         {.replication = DP_GATE_BLIND, .replication_word = "401"},
         DP_GATE_UNMET,
         "not seen, so an approval is wanted: 401"},
        {DP_GATE_REPLICATION,
         {.replication = DP_GATE_BLIND, .approved = true, .replication_word = "401"},
         DP_GATE_MET,
         "not seen, so an approval is wanted: 401"},
        {DP_GATE_REPLICATION,
         {.replication = DP_GATE_BLIND, .blind_is_open = true, .replication_word = "401"},
         DP_GATE_MET,
         "not seen, so the hold decides: 401"},
        {DP_GATE_REPLICATION,
         {.replication = DP_GATE_ARRIVED, .replication_word = "all is there"},
         DP_GATE_MET,
         "all is there"},
    };
    each_is(rows, ROWS(rows));
}

static void each_condition_has_three_states(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {DP_GATE_HEALTH,
         {.hold_ns = 300 * S},
         DP_GATE_UNMET,
         "it is not well; then it must be for 300 s without a break"},
        {DP_GATE_HEALTH,
         {.well_ns = 299 * S, .hold_ns = 300 * S},
         DP_GATE_UNMET,
         "well for 299 s without a break, of 300 s"},
        {DP_GATE_HEALTH,
         {.well_ns = 300 * S, .hold_ns = 300 * S},
         DP_GATE_MET,
         "well for 300 s without a break, of 300 s"},
        {DP_GATE_HEALTH, {.well_ns = 1}, DP_GATE_MET, "well for 0 s without a break, of 0 s"},
        {DP_GATE_PROBES, {0}, DP_GATE_UNKNOWN, "not every probe has been answered yet"},
        {DP_GATE_PROBES,
         {.probes_asked = 2, .probes_passed = 1},
         DP_GATE_UNKNOWN,
         "not every probe has been answered yet"},
        {DP_GATE_PROBES,
         {.probes_asked = 2, .probes_passed = 1, .probe_trouble = "401"},
         DP_GATE_UNMET,
         "1 of 2 probes pass: 401"},
        {DP_GATE_PROBES,
         {.probes_asked = 2, .probes_passed = 2},
         DP_GATE_MET,
         "every probe passes (2)"},
        {DP_GATE_ERRORS,
         {.max_failed_percent = 5},
         DP_GATE_UNKNOWN,
         "its requests are not counted yet"},
        {DP_GATE_ERRORS,
         {.counted = true, .max_failed_percent = 5},
         DP_GATE_MET,
         "0 of its last 0 requests failed (at most 5 %)"},
        {DP_GATE_ERRORS,
         {.counted = true, .requests = 100, .failed = 5, .max_failed_percent = 5},
         DP_GATE_MET,
         "5 of its last 100 requests failed (at most 5 %)"},
        {DP_GATE_ERRORS,
         {.counted = true, .requests = 100, .failed = 6, .max_failed_percent = 5},
         DP_GATE_UNMET,
         "6 of its last 100 requests failed (at most 5 %)"},
        {DP_GATE_ERRORS,
         {.counted = true, .requests = 9, .failed = 1},
         DP_GATE_UNMET,
         "1 of its last 9 requests failed (at most 0 %)"},
        {DP_GATE_APPROVAL,
         {0},
         DP_GATE_UNMET,
         "no operator has allowed this return (davenport approve)"},
        {DP_GATE_APPROVAL, {.approved = true}, DP_GATE_MET, "an operator allowed this return"},
        {DP_GATE_WINDOW,
         {.window_wait_m = DP_NEVER_MIN},
         DP_GATE_UNKNOWN,
         "no window is configured"},
        {DP_GATE_WINDOW,
         {.window_wait_m = 125},
         DP_GATE_UNMET,
         "the next window opens in 2 h 5 min"},
        {DP_GATE_WINDOW, {.window_wait_m = 0}, DP_GATE_MET, "a window is open"},
    };
    each_is(rows, ROWS(rows));
}

static void nothing_known_is_nothing_met(void **state)
{
    (void)state;
    struct dp_gate_facts facts = {.window_wait_m = DP_NEVER_MIN};
    struct dp_gate gate;
    assert_int_equal(dp_gate_unmet(&facts, ALL), ALL);
    assert_int_equal(dp_gate_unmet(&facts, 0), 0);
    dp_gate_judge(&facts, ALL, &gate);
    assert_int_equal(gate.n, DP_GATE_COUNT);
    for (uint16_t i = 0; i < gate.n; i++) {
        assert_int_equal(gate.conditions[i].kind, i);
        assert_int_not_equal(gate.conditions[i].state, DP_GATE_MET);
        assert_true(gate.conditions[i].why[0] != '\0');
    }
}

static void words_are_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       ",",      "probes,", ",probes", "probe", "probes;errors", "probes errors",
        "PROBES", "healthy"};
    unsigned bits = 77;
    for (size_t i = 0; i < ROWS(bad); i++) {
        assert_non_null(dp_gate_parse(bad[i], &bits));
        assert_int_equal(bits, 77);
    }
    assert_null(dp_gate_parse("probes,errors", &bits));
    assert_int_equal(bits, DP_GATE_BIT(DP_GATE_PROBES) | DP_GATE_BIT(DP_GATE_ERRORS));
    assert_null(dp_gate_parse("replication", &bits));
    assert_int_equal(bits, DP_GATE_BIT(DP_GATE_REPLICATION));
    assert_null(dp_gate_parse("window,approval,health,approval", &bits));
    assert_int_equal(bits, DP_GATE_BIT(DP_GATE_WINDOW) | DP_GATE_BIT(DP_GATE_APPROVAL) |
                               DP_GATE_BIT(DP_GATE_HEALTH));
    assert_string_equal(dp_gate_kind_name(DP_GATE_COUNT), "?");
    assert_string_equal(dp_gate_state_name(DP_GATE_UNKNOWN), "unknown");
    assert_string_equal(dp_gate_state_name(DP_GATE_UNMET), "unmet");
    assert_string_equal(dp_gate_state_name(DP_GATE_MET), "met");
}

/* Minutes since 1970 of a day of the week (0: Monday) of a week in 2026, which begins on 2026-11-23, and a time. */
static int64_t at(unsigned day, unsigned hour, unsigned minute)
{
    return (INT64_C(20780) + day) * 1440 + hour * 60 + minute;
}

static void windows_open_and_close(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int16_t offset_m;
        unsigned day, hour, minute;
        uint32_t wait_m;
    } rows[] = {
        {"02:00-05:00", 0, 0, 1, 59, 1},
        {"02:00-05:00", 0, 0, 2, 0, 0},
        {"02:00-05:00", 0, 0, 4, 59, 0},
        {"02:00-05:00", 0, 0, 5, 0, 21 * 60},
        {"mon-fri 02:00-05:00", 0, 4, 5, 0, (2 * 24 + 21) * 60}, /* Friday: until Monday */
        {"mon-fri 02:00-05:00; sat,sun 22:00-04:00", 0, 5, 3, 0, 19 * 60},
        {"mon-fri 02:00-05:00; sat,sun 22:00-04:00", 0, 5, 22, 0, 0},
        {"mon-fri 02:00-05:00; sat,sun 22:00-04:00", 0, 6, 3, 59, 0},
        {"mon-fri 02:00-05:00; sat,sun 22:00-04:00", 0, 6, 4, 0, 18 * 60},
        {"sun 22:00-04:00", 0, 0, 3, 59, 0}, /* over the week's end */
        {"sun 22:00-04:00", 0, 0, 4, 0, 6 * 1440 + 18 * 60},
        {"sat-mon 00:00-24:00", 0, 0, 23, 59, 0},
        {"sat-mon 00:00-24:00", 0, 1, 0, 0, 4 * 1440},
        {"sat-mon 00:00-24:00", 0, 6, 12, 0, 0},
        {"wed 10:00-10:01", 0, 2, 10, 0, 0},
        {"wed 10:00-10:01", 0, 2, 10, 1, 7 * 1440 - 1},
        {"02:00-05:00", 60, 0, 1, 0, 0}, /* 01:00 UTC is 02:00 there */
        {"02:00-05:00", 60, 0, 4, 0, 21 * 60},
        {"mon 00:00-01:00", -210, 0, 3, 30, 0}, /* still Sunday there until 03:30 UTC */
        {"mon 00:00-01:00", -210, 0, 3, 29, 1},
        {"mon 00:00-01:00", 840, 6, 10, 0, 0}, /* Monday there already */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct dp_windows w = {.utc_offset_m = rows[i].offset_m};
        assert_null(dp_windows_parse(rows[i].text, &w));
        assert_int_equal(w.utc_offset_m, rows[i].offset_m);
        uint32_t wait = dp_windows_wait_m(&w, at(rows[i].day, rows[i].hour, rows[i].minute));
        if (wait != rows[i].wait_m)
            print_error("row %zu: %u\n", i, (unsigned)wait);
        assert_int_equal(wait, rows[i].wait_m);
    }
    assert_int_equal(dp_windows_wait_m(&(struct dp_windows){0}, at(0, 0, 0)), DP_NEVER_MIN);
}

/* Whatever the window, the wait is the number of minutes until the first one in which it is open. */
static void the_wait_is_how_long_it_takes(void **state)
{
    (void)state;
    static const char *const texts[] = {"02:00-05:00", "mon-fri 02:00-05:00; sat,sun 22:00-04:00",
                                        "fri 23:59-00:01", "tue,thu-fri 06:30-07:00;12:00-12:01",
                                        "sun 00:00-24:00"};
    for (size_t t = 0; t < ROWS(texts); t++) {
        struct dp_windows w = {.utc_offset_m = -90};
        assert_null(dp_windows_parse(texts[t], &w));
        uint32_t next = dp_windows_wait_m(&w, at(0, 0, 0) + 8 * 1440);
        for (int64_t m = at(0, 0, 0) + 8 * 1440 - 1; m >= at(0, 0, 0); m--) {
            uint32_t wait = dp_windows_wait_m(&w, m);
            assert_true(wait == 0 || wait == next + 1);
            next = wait;
        }
    }
}

static void windows_are_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "02:00",
                                      "02:00-",
                                      "2:00-5:00",
                                      "02:00-05:00;",
                                      "02:00-02:00",
                                      "24:00-02:00",
                                      "02:00-24:01",
                                      "22:00-00:00",
                                      "02:60-03:00",
                                      "mon",
                                      "mon 02:00",
                                      "mon- 02:00-03:00",
                                      "mo 02:00-03:00",
                                      "monday 02:00-03:00",
                                      "MON 02:00-03:00",
                                      "02:00-03:00 mon",
                                      "02:00-03:00,04:00-05:00",
                                      "mon,, 02:00-03:00",
                                      "25:00-26:00",
                                      "01:00-02:00;01:00-02:00;01:00-02:00;01:00-02:00;01:00-02:00;"
                                      "01:00-02:00;01:00-02:00;01:00-02:00;01:00-02:00"};
    static const char *const bad_offsets[] = {"",       "1:00",   "01:00",   "+1:00", "+15:00",
                                              "+14:01", "+01:60", "+01:00 ", "Z",     "-"};
    struct dp_windows w = {.n = 1, .utc_offset_m = 5};
    int16_t offset = 7;
    for (size_t i = 0; i < ROWS(bad); i++) {
        if (!dp_windows_parse(bad[i], &w))
            print_error("accepted: \"%s\"\n", bad[i]);
        assert_non_null(dp_windows_parse(bad[i], &w));
        assert_int_equal(w.n, 1);
    }
    for (size_t i = 0; i < ROWS(bad_offsets); i++) {
        assert_non_null(dp_utc_offset_parse(bad_offsets[i], &offset));
        assert_int_equal(offset, 7);
    }
    assert_null(dp_utc_offset_parse("-03:30", &offset));
    assert_int_equal(offset, -210);
    assert_null(dp_utc_offset_parse("+14:00", &offset));
    assert_int_equal(offset, 840);
    assert_null(dp_windows_parse("  fri-mon   22:00-06:30 ;  12:00-24:00  ", &w));
    assert_int_equal(w.n, 2);
    assert_int_equal(w.at[0].days, 0x71);
    assert_int_equal(w.at[0].from_m, 22 * 60);
    assert_int_equal(w.at[0].till_m, 6 * 60 + 30);
    assert_int_equal(w.at[1].days, 0x7F);
    assert_int_equal(w.at[1].till_m, 1440);
    assert_int_equal(w.utc_offset_m, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_has_three_states),
        cmocka_unit_test(replication_is_met_by_what_was_seen),
        cmocka_unit_test(nothing_known_is_nothing_met),
        cmocka_unit_test(words_are_read),
        cmocka_unit_test(windows_open_and_close),
        cmocka_unit_test(the_wait_is_how_long_it_takes),
        cmocka_unit_test(windows_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
