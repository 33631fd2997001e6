/* The machine's clocks, and wall time as text. */
#include "davenport/base/clock.h"

#include <stdio.h>
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

void dp_http_date(int64_t wall_ms, char buf[DP_TIME_TEXT])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    char day[3], rest[20];
    buf[0] = '\0';
    /* Names from here: those of strftime follow the locale. */
    if (gmtime_r(&s, &tm) && strftime(day, sizeof(day), "%d", &tm) > 0 &&
        strftime(rest, sizeof(rest), " %Y %H:%M:%S GMT", &tm) > 0)
        (void)snprintf(buf, DP_TIME_TEXT, "%s, %s %s%s", days[tm.tm_wday], day, months[tm.tm_mon],
                       rest);
}
