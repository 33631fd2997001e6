/* Windows of the week: read, and asked. */
#include "davenport/core/window.h"

#include <string.h>

#define DAY_M     1440
#define WEEK_DAYS 7
#define ALL_DAYS  0x7F

/* ---- reading ---- */

static void skip_blanks(const char **p)
{
    while (**p == ' ')
        (*p)++;
}

static bool take(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* Two digits, at most `max`. */
static bool take_two(const char **p, unsigned max, unsigned *out)
{
    const char *s = *p;
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *out = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
    *p += 2;
    return *out <= max;
}

/* "02:00"; 24:00 is the day's end. */
static bool take_time(const char **p, uint16_t *out_m)
{
    unsigned hours, minutes;
    if (!take_two(p, 24, &hours) || !take(p, ':') || !take_two(p, 59, &minutes))
        return false;
    *out_m = (uint16_t)(hours * 60 + minutes);
    return *out_m <= DAY_M;
}

static bool take_day(const char **p, unsigned *out)
{
    static const char names[WEEK_DAYS][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (unsigned i = 0; i < WEEK_DAYS; i++) {
        if (strncmp(*p, names[i], 3) == 0) {
            *p += 3;
            *out = i;
            return true;
        }
    }
    return false;
}

/* "mon-fri,sun"; sat-mon goes over the week's end. */
static bool take_days(const char **p, uint8_t *out)
{
    unsigned days = 0, first, last;
    do {
        if (!take_day(p, &first))
            return false;
        last = first;
        if (take(p, '-') && !take_day(p, &last))
            return false;
        for (unsigned d = first; d != last; d = (d + 1) % WEEK_DAYS)
            days |= 1U << d;
        days |= 1U << last;
    } while (take(p, ','));
    *out = (uint8_t)days;
    return true;
}

static const char *take_window(const char **p, struct dp_window *out)
{
    out->days = ALL_DAYS;
    if (**p >= 'a' && **p <= 'z') {
        if (!take_days(p, &out->days))
            return "days must be like mon-fri or sat,sun";
        skip_blanks(p);
    }
    if (!take_time(p, &out->from_m) || !take(p, '-') || !take_time(p, &out->till_m))
        return "hours must be like 02:00-05:00";
    if (out->from_m == out->till_m || out->from_m == DAY_M || out->till_m == 0)
        return "a window must begin before 24:00, end after 00:00, and not where it begins";
    return NULL;
}

const char *dp_windows_parse(const char *text, struct dp_windows *out)
{
    struct dp_windows w = {.utc_offset_m = out->utc_offset_m};
    const char *p = text;
    do {
        skip_blanks(&p);
        if (w.n == DP_WINDOWS_MAX)
            return "must be at most 8 windows";
        const char *why = take_window(&p, &w.at[w.n]);
        if (why)
            return why;
        w.n++;
        skip_blanks(&p);
    } while (take(&p, ';'));
    if (*p)
        return "windows must be parted by semicolons";
    *out = w;
    return NULL;
}

const char *dp_utc_offset_parse(const char *text, int16_t *out_m)
{
    const char *p = text;
    unsigned hours, minutes;
    bool west = *p == '-';
    if ((!take(&p, '+') && !take(&p, '-')) || !take_two(&p, 14, &hours) || !take(&p, ':') ||
        !take_two(&p, 59, &minutes) || *p || hours * 60 + minutes > 14 * 60)
        return "must be like +01:00 or -03:30, at most 14 hours";
    int m = (int)(hours * 60 + minutes);
    *out_m = (int16_t)(west ? -m : m);
    return NULL;
}

/* ---- asking ---- */

static bool on_day(const struct dp_window *w, uint64_t day)
{
    return (w->days >> (day % WEEK_DAYS)) & 1;
}

/* Minutes from `m` of `day` (0: a Monday) until it opens. */
static uint32_t wait_of(const struct dp_window *w, uint64_t day, uint32_t m)
{
    bool over_midnight = w->till_m < w->from_m;
    uint32_t till_m = over_midnight ? DAY_M : w->till_m;
    if (on_day(w, day) && m >= w->from_m && m < till_m)
        return 0;
    if (over_midnight && on_day(w, day + WEEK_DAYS - 1) && m < w->till_m)
        return 0;
    for (uint32_t d = 0; d <= WEEK_DAYS; d++) {
        uint32_t begins = d * DAY_M + w->from_m;
        if (on_day(w, day + d) && begins >= m)
            return begins - m;
    }
    return DP_NEVER_MIN;
}

uint32_t dp_windows_wait_m(const struct dp_windows *w, int64_t wall_m)
{
    /* 1970-01-01 was a Thursday: three days after a Monday. What is before that is no date of ours. */
    int64_t local_m = wall_m + w->utc_offset_m + 3 * DAY_M;
    uint64_t minutes = local_m > 0 ? (uint64_t)local_m : 0;
    uint32_t best = DP_NEVER_MIN;
    for (uint16_t i = 0; i < w->n; i++) {
        uint32_t wait = wait_of(&w->at[i], minutes / DAY_M, (uint32_t)(minutes % DAY_M));
        best = wait < best ? wait : best;
    }
    return best;
}
