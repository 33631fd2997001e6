/* Which address is dialed when: tables, on a clock that is only a number. */
#include "proxy/addresses.h"
#include "proxy/race.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS    DP_NS_PER_MS
#define NONE  UINT16_MAX
#define DELAY (250 * MS)

static void the_next_one_starts_on_time_or_on_failure(void **state)
{
    enum { BEGIN = DP_RACE_BEGIN, DUE = DP_RACE_DUE, FAILED = DP_RACE_FAILED };
    static const struct {
        uint16_t n;
        struct {
            int event;
            uint64_t at_ms;
            uint16_t starts; /* or NONE */
            uint64_t due_ms; /* UINT64_MAX: nothing is left */
            bool lost;
        } steps[6];
    } rows[] = {
        {0, {{BEGIN, 0, NONE, UINT64_MAX, true}}},
        {1, {{BEGIN, 0, 0, UINT64_MAX, false}, {FAILED, 5, NONE, UINT64_MAX, true}}},
        /* nobody fails: one every 250 ms */
        {3,
         {{BEGIN, 0, 0, 250, false},
          {DUE, 249, NONE, 250, false},
          {DUE, 250, 1, 500, false},
          {DUE, 260, NONE, 500, false},
          {DUE, 520, 2, UINT64_MAX, false},
          {DUE, 999, NONE, UINT64_MAX, false}}},
        /* a failure starts the next one at once, and the delay begins anew */
        {3,
         {{BEGIN, 0, 0, 250, false},
          {FAILED, 10, 1, 260, false},
          {DUE, 250, NONE, 260, false},
          {FAILED, 251, 2, UINT64_MAX, false},
          {FAILED, 252, NONE, UINT64_MAX, true}}},
        /* lost only when those that were overtaken have failed too */
        {2,
         {{BEGIN, 0, 0, 250, false},
          {DUE, 250, 1, UINT64_MAX, false},
          {FAILED, 300, NONE, UINT64_MAX, false},
          {FAILED, 900, NONE, UINT64_MAX, true}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_race r;
        dp_race_init(&r, rows[i].n, DELAY);
        for (size_t k = 0; k < 6 && (k == 0 || rows[i].steps[k].event != BEGIN); k++) {
            uint16_t which = NONE;
            bool started = dp_race_step(&r, (enum dp_race_event)rows[i].steps[k].event,
                                        rows[i].steps[k].at_ms * MS, &which);
            uint64_t due = rows[i].steps[k].due_ms;
            assert_int_equal(started, rows[i].steps[k].starts != NONE);
            assert_int_equal(which, rows[i].steps[k].starts);
            assert_true(r.due_ns == (due == UINT64_MAX ? due : due * MS));
            assert_int_equal(dp_race_lost(&r), rows[i].steps[k].lost);
        }
    }
}

static void the_order_remembers(void **state)
{
    /* what happens: "+x": x worked, "-x": x failed, "=…": the addresses are these now; a second apart */
    static const struct {
        const char *happens[5];
        uint64_t later_s;
        const char *order;
    } rows[] = {
        {{NULL}, 0, "a, b, c, d"},
        {{"+c", NULL}, 3600, "c, a, b, d"},
        {{"+c", "+b", NULL}, 0, "b, a, c, d"},
        {{"-a", NULL}, 0, "b, c, d, a"},
        {{"-a", NULL}, 28, "b, c, d, a"},
        {{"-a", NULL}, 29, "a, b, c, d"}, /* forgiven */
        {{"-c", "-a", NULL}, 0, "b, d, c, a"},
        {{"-a", "-a", "-b", "-a", NULL}, 0, "c, d, b, a"},
        {{"-a", "-b", "-c", "-d", NULL}, 0, "a, b, c, d"}, /* none is never tried */
        {{"-d", "-c", "-b", "-a", NULL}, 0, "d, c, b, a"},
        {{"+a", "-a", NULL}, 0, "b, c, d, a"},
        {{"+a", "-b", NULL}, 0, "a, c, d, b"},
        {{"-a", "+a", NULL}, 0, "a, b, c, d"},
        {{"+b", "=d c b a", NULL}, 0, "b, a, c, d"}, /* the same set: nothing changed */
        {{"+b", "-a", "=e a b", NULL}, 0, "b, e, a"},
        {{"+b", "=a c", NULL}, 0, "a, c"},
        {{"+b", "=a c", "-b", "+b", NULL}, 0, "a, c"}, /* late news of one that went away */
        {{"=", NULL}, 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_addrs order = list("a b c d");
        struct dp_addr_book book;
        char text[DP_ADDRS_TEXT];
        uint64_t now = 1000 * DP_NS_PER_S;
        dp_addr_book_init(&book, &order);
        for (size_t k = 0; rows[i].happens[k]; k++) {
            const char *what = rows[i].happens[k];
            struct dp_addrs addrs = list(what + 1);
            if (what[0] == '=')
                (void)dp_addr_book_adopt(&book, &addrs);
            else if (what[0] == '+')
                dp_addr_book_worked(&book, &addrs.at[0]);
            else
                dp_addr_book_failed(&book, &addrs.at[0], now);
            now += DP_NS_PER_S;
        }
        dp_addr_book_order(&book, now + rows[i].later_s * DP_NS_PER_S, &order);
        assert_string_equal(dp_addrs_text(&order, text), rows[i].order);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_one_starts_on_time_or_on_failure),
        cmocka_unit_test(the_order_remembers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
