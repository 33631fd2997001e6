/* Wall time as text, and that the machine's clocks are what they say. */
#include "davenport/base/attr.h"
#include "davenport/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_text(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {999, "1970-01-01T00:00:00.999Z"},
        {1000, "1970-01-01T00:00:01.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-999, "1969-12-31T23:59:59.001Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {-1001, "1969-12-31T23:59:58.999Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795381384567, "2026-11-22T21:03:04.567Z"},
        {1483228799999, "2016-12-31T23:59:59.999Z"}, /* a leap second came here: no 60 */
        {1483228800000, "2017-01-01T00:00:00.000Z"},
        {2147483647000, "2038-01-19T03:14:07.000Z"},
        {2147483648000, "2038-01-19T03:14:08.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"}, /* 2100 is no leap year */
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char text[DP_TIME_TEXT];
        memset(text, 'x', sizeof(text));
        dp_time_text(rows[i].wall_ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* No time is written past the buffer (the sanitizer sees), and all end in NUL and Z. */
static void test_text_extremes(void **state)
{
    (void)state;
    static const int64_t rows[] = {INT64_MIN,       INT64_MIN + 1,    INT64_MAX,
                                   INT64_MAX - 999, 253402300800000,  -62135596800001,
                                   -99999999999999, 99999999999999999};
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char text[DP_TIME_TEXT];
        dp_time_text(rows[i], text);
        size_t n = strnlen(text, sizeof(text));
        assert_in_range(n, 5, DP_TIME_TEXT - 1);
        assert_int_equal(text[n - 1], 'Z');
        assert_int_equal(text[n - 5], '.');
    }
}

static void test_http_date(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777000, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110's own example */
        {951782399999, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[DP_TIME_TEXT];
        dp_http_date(rows[i].wall_ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* What is written is read, on every day of some centuries; what is no date is none. */
static void test_http_date_read(void **state)
{
    (void)state;
    int64_t s = 7;
    for (int64_t day = -40000; day < 100000; day++) {
        char text[DP_TIME_TEXT];
        const int64_t at_s = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        dp_http_date(at_s * 1000, text);
        assert_true(dp_http_date_read(dp_span_str(text), &s));
        assert_true(s == at_s);
    }
    static const char *const none[] = {
        "",
        "120",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        s = 7;
        assert_false(dp_http_date_read(dp_span_str(none[i]), &s));
        assert_true(s == 7);
    }
}

static void test_system_clock(void **state)
{
    (void)state;
    uint64_t last = dp_clock_mono_ns(&dp_clock_system);
    for (int i = 0; i < 10000; i++) {
        uint64_t now = dp_clock_mono_ns(&dp_clock_system);
        assert_true(now >= last);
        last = now;
    }
    int64_t wall = dp_clock_wall_ms(&dp_clock_system);
    int64_t by_libc = (int64_t)time(NULL) * 1000;
    assert_true(wall >= by_libc - 60000 && wall <= by_libc + 60000);
}

static uint64_t fixed_mono(void *ctx)
{
    return *(const uint64_t *)ctx;
}

static int64_t fixed_wall(void *ctx)
{
    return -(int64_t) * (const uint64_t *)ctx;
}

static void test_injected_clock(void **state)
{
    (void)state;
    uint64_t t = 5;
    const struct dp_clock clock = {fixed_mono, fixed_wall, &t};
    assert_true(dp_clock_mono_ns(&clock) == 5);
    t = UINT64_C(7) * DP_NS_PER_S + 3 * DP_NS_PER_MS;
    assert_true(dp_clock_mono_ns(&clock) == 7003000000U);
    assert_true(dp_clock_wall_ms(&clock) == -7003000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),         cmocka_unit_test(test_text_extremes),
        cmocka_unit_test(test_http_date),    cmocka_unit_test(test_http_date_read),
        cmocka_unit_test(test_system_clock), cmocka_unit_test(test_injected_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
