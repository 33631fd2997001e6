/* When a token is asked for, used, and given up. */
#include "davenport/core/credential.h"
#include "davenport/core/refresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static void an_hour(void **state)
{
    struct dp_refresh r;
    (void)state;
    dp_refresh_init(&r, 100 * S);
    assert_true(dp_refresh_due(&r, 100 * S));
    assert_false(dp_refresh_usable(&r, 100 * S));
    dp_refresh_asked(&r, 100 * S);
    assert_false(dp_refresh_due(&r, 200 * S)); /* one at a time */
    dp_refresh_got(&r, 3600 * S); /* whenever the answer came: it counts from the ask */
    assert_false(dp_refresh_due(&r, 100 * S + 2879 * S));
    assert_true(dp_refresh_due(&r, 100 * S + 2880 * S));
    assert_true(dp_refresh_usable(&r, 100 * S + 3590 * S - 1));
    assert_false(dp_refresh_usable(&r, 100 * S + 3590 * S));
}

static void a_short_life(void **state)
{
    struct dp_refresh r;
    (void)state;
    dp_refresh_init(&r, 0);
    dp_refresh_asked(&r, 0);
    dp_refresh_got(&r, 1 * S);
    assert_true(dp_refresh_usable(&r, S * 9 / 10 - 1));
    assert_false(dp_refresh_usable(&r, S * 9 / 10));
    assert_false(dp_refresh_due(&r, S - 1)); /* no more than once a second */
    assert_true(dp_refresh_due(&r, S));
}

static void an_outage_is_not_noticed_before_the_end(void **state)
{
    struct dp_refresh r;
    uint64_t now = 0, asks = 0, last = 0;
    (void)state;
    dp_refresh_init(&r, 0);
    dp_refresh_asked(&r, 0);
    dp_refresh_got(&r, 3600 * S);
    for (now = 0; now < 3590 * S; now += S / 10) {
        assert_true(dp_refresh_usable(&r, now));
        if (!dp_refresh_due(&r, now))
            continue;
        assert_true(asks == 0 || now - last >= S);
        assert_true(now - last <= 61 * S || asks == 0);
        last = now;
        asks++;
        dp_refresh_asked(&r, now);
        dp_refresh_failed(&r, now, 0);
    }
    assert_in_range(asks, 15, 20); /* 1, 2, 4 … 60, 60 s */
    assert_false(dp_refresh_usable(&r, now));
    dp_refresh_asked(&r, now);
    dp_refresh_got(&r, 3600 * S);
    assert_true(dp_refresh_usable(&r, now));
    assert_int_equal(r.failures, 0);
}

static void what_the_service_says_for_good(void **state)
{
    struct dp_refresh r;
    (void)state;
    dp_refresh_init(&r, 0);
    dp_refresh_asked(&r, 0);
    dp_refresh_failed(&r, 0, 300 * S);
    assert_false(dp_refresh_due(&r, 300 * S - 1));
    assert_true(dp_refresh_due(&r, 300 * S));
}

static void a_refused_one(void **state)
{
    struct dp_refresh r;
    (void)state;
    dp_refresh_init(&r, 0);
    dp_refresh_asked(&r, 50 * S);
    dp_refresh_got(&r, 3600 * S);
    dp_refresh_discard(&r);
    assert_false(dp_refresh_usable(&r, 50 * S));
    assert_false(dp_refresh_due(&r, 51 * S - 1));
    assert_true(dp_refresh_due(&r, 51 * S));
}

static void without_an_end(void **state)
{
    struct dp_refresh r;
    (void)state;
    dp_refresh_init(&r, 0);
    dp_refresh_asked(&r, 0);
    dp_refresh_got(&r, 0);
    assert_true(dp_refresh_usable(&r, UINT64_MAX - 1));
}

static void a_word_only_gets_worse(void **state)
{
    struct dp_credential *c = dp_credential_new(DP_CREDENTIAL_BASIC, true, DP_SPAN("A: b\r\n"));
    (void)state;
    assert_non_null(c);
    assert_false(dp_credential_refused(c));
    assert_true(dp_credential_say(c, DP_CREDENTIAL_DOUBTED));
    assert_false(dp_credential_say(c, DP_CREDENTIAL_DOUBTED));
    assert_false(dp_credential_refused(c));
    assert_true(dp_credential_say(c, DP_CREDENTIAL_REFUSED));
    assert_false(dp_credential_say(c, DP_CREDENTIAL_DOUBTED));
    assert_true(dp_credential_refused(c));
    assert_true(dp_span_eq(dp_credential_text(c), DP_SPAN("A: b\r\n")));
    dp_credential_unref(dp_credential_ref(c));
    dp_credential_unref(c);
    dp_credential_unref(NULL);
    assert_string_equal(dp_credential_type_name(DP_CREDENTIAL_COUCHDB_PROXY), "couchdb_proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour),
        cmocka_unit_test(a_short_life),
        cmocka_unit_test(an_outage_is_not_noticed_before_the_end),
        cmocka_unit_test(what_the_service_says_for_good),
        cmocka_unit_test(a_refused_one),
        cmocka_unit_test(without_an_end),
        cmocka_unit_test(a_word_only_gets_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
