/* The generators are the published ones. */
#include "davenport/base/attr.h"
#include "davenport/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* splitmix64 as its author publishes it: the state goes up by a constant, and is mixed. */
static void numbers_are_mixed_as_published(void **state)
{
    static const uint64_t first[] = {UINT64_C(0xE220A8397B1DCDAF), UINT64_C(0x6E789E6AA1B965F4),
                                     UINT64_C(0x06C45D188009454F)};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(first); i++)
        assert_true(dp_mix(i * UINT64_C(0x9E3779B97F4A7C15)) == first[i]);
}

/* xoroshiro128++ as its authors publish it, from the state {1, 2}. */
static void draws_are_the_published_ones(void **state)
{
    static const uint64_t first[] = {UINT64_C(393217), UINT64_C(669327710093319),
                                     UINT64_C(1732421326133921491)};
    (void)state;
    struct dp_random r = {{1, 2}};
    for (size_t i = 0; i < DP_ARRAY_LEN(first); i++)
        assert_true(dp_random_next(&r) == first[i]);
}

/* Neighbours too, and those from which a mixed number may be zero. */
static void every_seed_is_a_good_one(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (uint64_t seed = UINT64_MAX - 500; seed != 500; seed++) {
        struct dp_random r = dp_random_of(seed);
        assert_true(r.s[0] != 0 || r.s[1] != 0);
        const uint64_t first = dp_random_next(&r);
        const int differ = __builtin_popcountll(first ^ before);
        assert_in_range(differ, 10, 54);
        before = first;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_mixed_as_published),
        cmocka_unit_test(draws_are_the_published_ones),
        cmocka_unit_test(every_seed_is_a_good_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
