/* Failures are counted by all workers at once, and the table stays bounded. */
#include "davenport/base/attr.h"
#include "davenport/proxy/login_limit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define WINDOW 300

static void one_name_and_address(void **state)
{
    struct dp_login_limit *l = dp_login_limit_new(1);
    (void)state;
    assert_non_null(l);
    const uint64_t key = dp_login_limit_key(l, DP_SPAN("ann"), "192.0.2.1");
    assert_true(key != dp_login_limit_key(l, DP_SPAN("bob"), "192.0.2.1"));
    assert_true(key != dp_login_limit_key(l, DP_SPAN("ann"), "192.0.2.2"));
    assert_true(dp_login_limit_key(l, DP_SPAN("a"), "2001:db8::1") ==
                dp_login_limit_key(l, DP_SPAN("a"), "2001:db8::2")); /* one host's /64 */
    (void)dp_login_limit_key(l, DP_SPAN("a"), "unix");
    for (int i = 0; i < 5; i++) {
        assert_false(dp_login_limit_past(l, key, 5, WINDOW, 100));
        dp_login_limit_failed(l, key, WINDOW, 100);
    }
    assert_true(dp_login_limit_past(l, key, 5, WINDOW, 100));
    assert_true(dp_login_limit_past(l, key, 5, WINDOW, 399));
    assert_false(dp_login_limit_past(l, key, 5, WINDOW, 403));
    dp_login_limit_failed(l, key, WINDOW, 403); /* a new window */
    assert_false(dp_login_limit_past(l, key, 2, WINDOW, 403));
    for (int i = 0; i < 1000; i++) /* no count runs over */
        dp_login_limit_failed(l, key, WINDOW, 403);
    assert_true(dp_login_limit_past(l, key, 250, WINDOW, 403));
    dp_login_limit_free(l);
}

static void too_many_names_forget_the_oldest(void **state)
{
    struct dp_login_limit *l = dp_login_limit_new(1);
    unsigned locked = 0;
    (void)state;
    assert_non_null(l);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", i);
        const uint64_t key = dp_login_limit_key(l, dp_span_str(name), "192.0.2.1");
        for (int k = 0; k < 5; k++)
            dp_login_limit_failed(l, key, WINDOW, 100 + (uint64_t)i / 1000);
        locked += dp_login_limit_past(l, key, 5, WINDOW, 100 + (uint64_t)i / 1000);
    }
    assert_int_equal(locked, 20000); /* each was, when it came */
    dp_login_limit_free(l);
}

struct party {
    struct dp_login_limit *limit;
    uint64_t key;
};

static void *fail_often(void *arg)
{
    const struct party *p = arg;
    for (int i = 0; i < 50; i++)
        dp_login_limit_failed(p->limit, p->key, WINDOW, 100);
    return NULL;
}

static void no_failure_is_lost(void **state)
{
    struct dp_login_limit *l = dp_login_limit_new(3);
    pthread_t threads[4];
    (void)state;
    assert_non_null(l);
    struct party p = {l, dp_login_limit_key(l, DP_SPAN("ann"), "192.0.2.1")};
    for (size_t i = 0; i < DP_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_often, &p), 0);
    for (size_t i = 0; i < DP_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(dp_login_limit_past(l, p.key, 200, WINDOW, 100));
    assert_false(dp_login_limit_past(l, p.key, 201, WINDOW, 100));
    dp_login_limit_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_and_address),
        cmocka_unit_test(too_many_names_forget_the_oldest),
        cmocka_unit_test(no_failure_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
