/* What regions hold, compared without regard to the order in which it came. */
#include "drill/holdings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void put(struct dp_holdings *h, unsigned id, const char *a, const char *b)
{
    char name[32];
    const char *revs[] = {a, b};
    (void)snprintf(name, sizeof(name), "doc-%u", id);
    assert_int_equal(dp_holdings_put(h, name, revs, b ? 2 : 1), DP_OK);
}

static void test_order_does_not_matter(void **state)
{
    (void)state;
    struct dp_holdings a, b;
    const char *example = NULL;
    dp_holdings_init(&a, 10000);
    dp_holdings_init(&b, 10000);
    assert_int_equal(dp_holdings_differ(&a, &b, &example), 0);
    for (unsigned i = 0; i < 5000; i++)
        put(&a, i, "2-b", i % 7 ? NULL : "2-a");
    assert_int_equal(dp_holdings_differ(&a, &b, &example), 5000);
    for (unsigned i = 0; i < 5000; i++)
        put(&b, 4999 - i, "1-a", NULL); /* an older state */
    assert_int_not_equal(a.sum, b.sum);
    assert_int_equal(dp_holdings_differ(&a, &b, &example), 5000);
    for (unsigned i = 0; i < 4999; i++)
        put(&b, i, i % 7 ? "2-b" : "2-a", i % 7 ? NULL : "2-b");
    assert_int_not_equal(a.sum, b.sum);
    assert_int_equal(dp_holdings_differ(&a, &b, &example), 1);
    assert_string_equal(example, "doc-4999");
    put(&b, 4999, "2-b", NULL);
    assert_int_equal(a.sum, b.sum);
    assert_int_equal(a.n, 5000);
    assert_int_equal(dp_holdings_differ(&a, &b, &example), 0);
    dp_holdings_fini(&a);
    dp_holdings_fini(&b);
}

/* The same revisions of other documents are something else. */
static void test_swapped_is_not_the_same(void **state)
{
    (void)state;
    struct dp_holdings a, b;
    dp_holdings_init(&a, 10);
    dp_holdings_init(&b, 10);
    put(&a, 1, "1-a", NULL);
    put(&a, 2, "1-b", NULL);
    put(&b, 1, "1-b", NULL);
    put(&b, 2, "1-a", NULL);
    assert_int_not_equal(a.sum, b.sum);
    dp_holdings_fini(&a);
    dp_holdings_fini(&b);
}

static void test_what_was_put_is_there(void **state)
{
    (void)state;
    struct dp_holdings h;
    const char *one[] = {"1-a"};
    dp_holdings_init(&h, 2);
    put(&h, 7, "1-a", "2-bb");
    put(&h, 8, "1-c", NULL);
    assert_int_equal(dp_holdings_put(&h, "more", one, 1), DP_ELIMIT);
    put(&h, 8, "2-c", NULL); /* no new one */
    assert_int_equal(h.n, 2);
    assert_string_equal(dp_holdings_id(&h, 0), "doc-7");
    assert_int_equal(dp_holdings_leaves(&h, 0), 2);
    const char *rev = dp_holdings_next(&h, 0, NULL);
    assert_string_equal(rev, "1-a");
    assert_string_equal(dp_holdings_next(&h, 0, rev), "2-bb");
    assert_string_equal(dp_holdings_next(&h, 1, NULL), "2-c");
    dp_holdings_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_swapped_is_not_the_same),
        cmocka_unit_test(test_what_was_put_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
