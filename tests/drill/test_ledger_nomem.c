/* The ledger when memory runs out at any allocation: it is not made, or it says that it is full and goes on with what it has. */
#include "davenport/drill/ledger.h"

#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define WRITES 17000u /* two chunks */
#define ROWS   3000u  /* a few sizes of its set */

/* True: it never was short of memory. */
static bool live(void)
{
    const struct dp_ledger_options opt = {
        .run = "r1", .slots = 4, .max_writes = 100000, .max_rows = 100000};
    struct dp_ledger *l = dp_ledger_new(&opt);
    struct dp_ledger_counts c;
    struct dp_feed_counts fc;
    uint32_t begun = 0, told = 0;
    if (!l)
        return false;
    for (uint32_t i = 0; i < WRITES; i++) {
        uint32_t tag = dp_ledger_begin(l, DP_WRITE_POST, 0, i);
        if (tag == DP_LEDGER_NONE)
            continue;
        assert_int_equal(tag, begun++);
        dp_ledger_failed(l, tag, 500, 0, i);
    }
    uint32_t feed = dp_ledger_feed(l, "longpoll");
    for (uint32_t i = 0; i < ROWS; i++) {
        char id[16];
        int n = snprintf(id, sizeof(id), "%u", i);
        const struct dp_span s = {id, (size_t)n};
        dp_ledger_row(l, feed, s, DP_SPAN("1-a"));
        told += dp_ledger_told(l, feed, s, DP_SPAN("1-a"));
    }
    dp_ledger_count(l, &c);
    assert_int_equal(c.writes, begun);
    assert_int_equal(c.unknown, begun);
    assert_true(dp_ledger_feed_count(l, feed, &fc));
    assert_int_equal(fc.rows, ROWS);
    assert_int_equal(c.full, begun < WRITES || told < ROWS);
    assert_int_equal(fc.full, told < ROWS);
    dp_ledger_free(l);
    return !c.full;
}

static void test_any_allocation_may_fail(void **state)
{
    (void)state;
    unsigned n = 1;
    for (bool failed = true; failed; n++) {
        assert_true(n < 100);
        nomem_at(n);
        bool whole = live();
        failed = nomem_happened();
        assert_int_equal(whole, !failed);
    }
    assert_true(n > 8);
}

int main(void)
{
    nomem_libraries();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
