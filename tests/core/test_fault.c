/* Faults on purpose: whom they meet, who may put them in force, and that they end. */
#include "davenport/base/attr.h"
#include "davenport/core/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static const struct dp_fault_rules rules = {.allowed = true, .max_ns = 600 * S};

static struct dp_fault fault(enum dp_fault_kind kind, const char *databases)
{
    struct dp_fault f = {.kind = kind, .share = DP_FAULT_ALL};
    struct dp_span rest = dp_span_str(databases), one;
    while (rest.p && (one = dp_span_cut(&rest, ' ')).n > 0)
        assert_true(dp_fault_add_database(&f, one));
    return f;
}

static bool meets(const struct dp_fault *f, const char *db)
{
    return dp_fault_meets(f, dp_span_str(db), 0);
}

static void kinds_have_words(void **state)
{
    (void)state;
    assert_int_equal(dp_fault_kind_of(DP_SPAN("dark")), DP_FAULT_DARK);
    assert_int_equal(dp_fault_kind_of(DP_SPAN("refused")), DP_FAULT_REFUSED);
    assert_int_equal(dp_fault_kind_of(DP_SPAN("slow")), DP_FAULT_SLOW);
    assert_int_equal(dp_fault_kind_of(DP_SPAN("flaky")), DP_FAULT_FLAKY);
    assert_int_equal(dp_fault_kind_of(DP_SPAN("none")), DP_FAULT_NONE);
    assert_int_equal(dp_fault_kind_of(DP_SPAN("")), DP_FAULT_NONE);
    assert_int_equal(dp_fault_kind_of(DP_SPAN("darker")), DP_FAULT_NONE);
    assert_string_equal(dp_fault_name(DP_FAULT_NONE), "none");
    assert_string_equal(dp_fault_name(DP_FAULT_FLAKY), "flaky");
    assert_string_equal(dp_fault_refusal_name(DP_FAULT_REFUSAL_NOT_ALLOWED), "drills_not_allowed");
}

static void a_fault_of_all_meets_all(void **state)
{
    (void)state;
    const struct dp_fault f = fault(DP_FAULT_DARK, "");
    assert_true(meets(&f, "orders"));
    assert_true(meets(&f, "")); /* GET /_all_dbs */
    assert_true(dp_fault_meets(&f, DP_SPAN("orders"), UINT64_MAX));
    assert_true(dp_fault_meets_probe(&f, UINT64_MAX));
    const struct dp_fault none = {.kind = DP_FAULT_NONE, .share = DP_FAULT_ALL};
    assert_false(meets(&none, "orders"));
    assert_false(dp_fault_meets_probe(&none, 0));
}

static void a_fault_of_databases_meets_these(void **state)
{
    (void)state;
    const struct dp_fault f = fault(DP_FAULT_REFUSED, "orders* ledger");
    assert_string_equal(f.databases, "orders*,ledger");
    assert_true(meets(&f, "orders"));
    assert_true(meets(&f, "orders/2026"));
    assert_true(meets(&f, "ledger"));
    assert_false(meets(&f, "ledgers"));
    assert_false(meets(&f, "my-orders"));
    assert_false(meets(&f, ""));
    assert_false(dp_fault_meets_probe(&f, 0));
}

/* Every chance within the share meets it, none past it: also the ends. */
static void a_share_is_that_share(void **state)
{
    (void)state;
    struct dp_fault f = fault(DP_FAULT_FLAKY, "");
    unsigned met = 0;
    f.share = DP_FAULT_ALL / 4;
    for (uint64_t chance = 0; chance < 2 * DP_FAULT_ALL; chance++)
        met += dp_fault_meets(&f, (struct dp_span){NULL, 0}, chance);
    assert_int_equal(met, DP_FAULT_ALL / 2);
    f.share = 1;
    assert_true(dp_fault_meets_probe(&f, 0));
    assert_false(dp_fault_meets_probe(&f, 1));
    assert_true(dp_fault_meets_probe(&f, DP_FAULT_ALL));
}

static void patterns_are_bounded_and_clean(void **state)
{
    (void)state;
    struct dp_fault f = {.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL};
    char name[DP_FAULT_DATABASES_BYTES];
    memset(name, 'a', sizeof(name));
    assert_false(dp_fault_add_database(&f, DP_SPAN("")));
    assert_false(dp_fault_add_database(&f, DP_SPAN("a,b")));
    assert_false(dp_fault_add_database(&f, DP_SPAN("a\nb")));
    assert_false(dp_fault_add_database(&f, (struct dp_span){"a\0b", 3}));
    assert_false(dp_fault_add_database(&f, (struct dp_span){name, sizeof(name)}));
    assert_string_equal(f.databases, "");
    assert_true(dp_fault_add_database(&f, (struct dp_span){name, sizeof(name) - 4}));
    assert_false(dp_fault_add_database(&f, DP_SPAN("bcd")));
    assert_true(dp_fault_add_database(
        &f, DP_SPAN("bc"))); /* the last that fits, with its comma and the NUL */
    assert_int_equal(strlen(f.databases), sizeof(f.databases) - 1);
    assert_false(dp_fault_add_database(&f, DP_SPAN("d")));
    struct dp_span rest = dp_span_str(f.databases);
    assert_int_equal(dp_fault_next_database(&rest).n, sizeof(name) - 4);
    assert_true(dp_span_eq(dp_fault_next_database(&rest), DP_SPAN("bc")));
    assert_int_equal(dp_fault_next_database(&rest).n, 0);
    assert_int_equal(dp_fault_next_database(&rest).n, 0);
}

static void words_for_people(void **state)
{
    (void)state;
    char words[DP_FAULT_WORDS];
    struct dp_fault f = fault(DP_FAULT_DARK, "");
    assert_string_equal(dp_fault_words(&f, words), "dark");
    f = fault(DP_FAULT_SLOW, "orders* ledger");
    f.delay_ms = 800;
    f.share = 300000;
    assert_string_equal(dp_fault_words(&f, words),
                        "slow by 800 ms, 30 % of attempts, databases orders*,ledger");
    f.share = 1;
    memset(f.databases, 'x', sizeof(f.databases) - 1);
    f.delay_ms = DP_FAULT_DELAY_MAX_MS;
    assert_non_null(strstr(dp_fault_words(&f, words), f.databases)); /* the longest fits */
    assert_non_null(strstr(words, "0.0001 %"));
}

static void rules_refuse(void **state)
{
    (void)state;
    struct dp_faults s = {0};
    const struct dp_fault f = fault(DP_FAULT_DARK, "");
    struct dp_fault_rules r = rules;
    r.allowed = false;
    assert_int_equal(dp_faults_begin(&s, &r, 3, &f, S, S), DP_FAULT_REFUSAL_NOT_ALLOWED);
    assert_int_equal(dp_faults_begin(&s, &rules, 3, &f, 600 * S + 1, S), DP_FAULT_REFUSAL_TOO_LONG);
    assert_int_equal(dp_faults_mask(&s), 0);
    assert_int_equal(dp_faults_begin(&s, &rules, 3, &f, 600 * S, S), DP_FAULT_REFUSAL_NONE);
    assert_int_equal(dp_faults_mask(&s), 1 << 3);
}

static void each_ends_by_itself(void **state)
{
    (void)state;
    struct dp_faults s = {0};
    const struct dp_fault dark = fault(DP_FAULT_DARK, ""), slow = fault(DP_FAULT_SLOW, "");
    uint16_t region = 99;
    assert_false(dp_faults_expire(&s, UINT64_MAX, &region));
    assert_int_equal(dp_faults_begin(&s, &rules, 0, &dark, 10 * S, S), DP_FAULT_REFUSAL_NONE);
    assert_int_equal(dp_faults_begin(&s, &rules, 15, &slow, 5 * S, S), DP_FAULT_REFUSAL_NONE);
    assert_false(dp_faults_expire(&s, 6 * S - 1, &region));
    assert_true(dp_faults_expire(&s, 6 * S, &region));
    assert_int_equal(region, 15);
    assert_false(dp_faults_expire(&s, 6 * S, &region));
    assert_int_equal(dp_faults_mask(&s), 1);
    /* another in its place has its own end */
    assert_int_equal(dp_faults_begin(&s, &rules, 0, &slow, 10 * S, 6 * S), DP_FAULT_REFUSAL_NONE);
    assert_false(dp_faults_expire(&s, 12 * S, &region));
    assert_true(dp_faults_end(&s, 0));
    assert_false(dp_faults_end(&s, 0));
    assert_false(dp_faults_expire(&s, UINT64_MAX, &region));
    assert_int_equal(dp_faults_mask(&s), 0);
}

static void a_reload_gives_other_numbers(void **state)
{
    (void)state;
    struct dp_faults s = {0};
    const struct dp_fault dark = fault(DP_FAULT_DARK, ""), slow = fault(DP_FAULT_SLOW, "x");
    const uint16_t map[] = {1, UINT16_MAX, 0};
    uint16_t region;
    assert_int_equal(dp_faults_begin(&s, &rules, 0, &dark, 10 * S, S), DP_FAULT_REFUSAL_NONE);
    assert_int_equal(dp_faults_begin(&s, &rules, 1, &dark, 10 * S, S), DP_FAULT_REFUSAL_NONE);
    assert_int_equal(dp_faults_begin(&s, &rules, 2, &slow, 20 * S, S), DP_FAULT_REFUSAL_NONE);
    dp_faults_remap(&s, map, DP_ARRAY_LEN(map));
    assert_int_equal(dp_faults_mask(&s), 3);
    assert_true(dp_fault_same(&s.faults[0], &slow));
    assert_true(dp_fault_same(&s.faults[1], &dark));
    assert_true(dp_faults_expire(&s, 11 * S, &region));
    assert_int_equal(region, 1);
    assert_false(dp_faults_expire(&s, 11 * S, &region));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_words),
        cmocka_unit_test(a_fault_of_all_meets_all),
        cmocka_unit_test(a_fault_of_databases_meets_these),
        cmocka_unit_test(a_share_is_that_share),
        cmocka_unit_test(patterns_are_bounded_and_clean),
        cmocka_unit_test(words_for_people),
        cmocka_unit_test(rules_refuse),
        cmocka_unit_test(each_ends_by_itself),
        cmocka_unit_test(a_reload_gives_other_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
