/* The machine's clocks, and wall time as text. */
#include "davenport/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t system_mono_ns(void *ctx)
{
    (void)ctx;
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * DP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int64_t system_wall_ms(void *ctx)
{
    (void)ctx;
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const struct dp_clock dp_clock_system = {system_mono_ns, system_wall_ms, NULL};

void dp_time_text(int64_t wall_ms, char buf[DP_TIME_TEXT])
{
    int64_t ms = wall_ms % 1000;
    time_t s = (time_t)(wall_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        s--;
    }
    struct tm tm;
    char date[24];
    if (!gmtime_r(&s, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        date[0] = '\0';
    (void)snprintf(buf, DP_TIME_TEXT, "%s.%03dZ", date, (int)ms);
}

/* Names from here: those of strftime follow the locale. */
static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void dp_http_date(int64_t wall_ms, char buf[DP_TIME_TEXT])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    char day[3], rest[20];
    buf[0] = '\0';
    if (gmtime_r(&s, &tm) && strftime(day, sizeof(day), "%d", &tm) > 0 &&
        strftime(rest, sizeof(rest), " %Y %H:%M:%S GMT", &tm) > 0)
        (void)snprintf(buf, DP_TIME_TEXT, "%s, %s %s%s", days[tm.tm_wday], day, months[tm.tm_mon],
                       rest);
}

static bool read_number(struct dp_span text, size_t at, size_t n, unsigned *out)
{
    unsigned value = 0;
    for (size_t i = at; i < at + n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.p[i] - '0');
    }
    *out = value;
    return true;
}

static bool read_month(struct dp_span text, size_t at, unsigned *out)
{
    for (unsigned i = 0; i < sizeof(months) / sizeof(months[0]); i++) {
        if (memcmp(text.p + at, months[i], 3) == 0) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

/* Days from 1970-01-01 on, in the Gregorian calendar: years begin in March here, so that the leap day is the last. */
static int64_t days_until(unsigned year, unsigned month, unsigned day)
{
    const int64_t y = (int64_t)year - (month <= 2);
    const int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

bool dp_http_date_read(struct dp_span text, int64_t *out_s)
{
    static const char shape[] = "???, ?? ??? ???? ??:??:?? GMT";
    unsigned day, month, year, h, m, s;
    if (text.n != sizeof(shape) - 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (shape[i] != '?' && text.p[i] != shape[i])
            return false;
    }
    if (!read_number(text, 5, 2, &day) || !read_month(text, 8, &month) ||
        !read_number(text, 12, 4, &year) || !read_number(text, 17, 2, &h) ||
        !read_number(text, 20, 2, &m) || !read_number(text, 23, 2, &s))
        return false;
    if (year == 0 || day < 1 || day > 31 || h > 23 || m > 59 || s > 60)
        return false;
    *out_s = days_until(year, month, day) * 86400 + h * 3600 + m * 60 + s;
    return true;
}
