/* The studies, a row each, and the traces they are about. */
#include "study.h"

#include "davenport/base/attr.h"

#define MINUTE (60 * SIM_S)
#define HOUR   (3600 * SIM_S)

/* ---- traces ---- */

/* One fault every two hours in the preferred region, at any moment; the rest is for coming back, for holds grow to an hour. */
static void hourly(struct sim_trace *t, struct sim_random *r, enum sim_fault_kind kind,
                   double amount, uint64_t length, double share)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        sim_trace_add(t, (struct sim_fault){kind, 0, start, start + length, share, amount});
    }
}

static void dark(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_DARK, 0, 2 * MINUTE, 1);
}

static void refused(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_REFUSED, 0, 2 * MINUTE, 1);
}

static void frozen(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_PAUSE, 0, 15 * SIM_S, 1);
}

static void gray(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_GRAY, 0, MINUTE, 1);
}

static void slow(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_SLOW, 800, MINUTE, 1);
}

static void lag(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_LAG, 800, MINUTE, 1);
}

static void cut(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_CUT, 1, MINUTE, 1);
}

static void errors(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_ERRORS, 1, MINUTE, 1);
}

static void drain(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_DRAIN, 0, 2 * MINUTE, 1);
}

/* Three sidecars of ten cannot reach it, the others can. */
static void partition(struct sim_trace *t, struct sim_random *r)
{
    hourly(t, r, SIM_DARK, 0, 2 * MINUTE, 0.3);
}

/* Three seconds dark, three seconds well, for a minute every two hours. */
static void flapping(struct sim_trace *t, struct sim_random *r)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        for (unsigned i = 0; i < 10; i++, start += 6 * SIM_S)
            sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, start, start + 3 * SIM_S, 1, 0});
    }
}

static void cut_off(struct sim_trace *t, struct sim_random *r)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        sim_trace_add(t, (struct sim_fault){SIM_DARK, SIM_ALL, start, start + 20 * SIM_S, 1, 0});
    }
}

static void throughout(struct sim_trace *t, enum sim_fault_kind kind, double amount)
{
    sim_trace_add(t, (struct sim_fault){kind, SIM_ALL, 0, t->length, 1, amount});
}

static void misses(struct sim_trace *t, struct sim_random *r)
{
    (void)r;
    throughout(t, SIM_MISSES, 0.2);
}

static void loss(struct sim_trace *t, struct sim_random *r)
{
    (void)r;
    throughout(t, SIM_LOSS, 0.2);
}

static void at_random(struct sim_trace *t, struct sim_random *r, enum sim_fault_kind kind,
                      double a_day, double longest_s, double amount, double share)
{
    double gap = 86400e9 / a_day;
    uint64_t start = (uint64_t)sim_exponential(r, gap);
    while (start < t->length) {
        uint64_t length = (uint64_t)(sim_unit(r) * longest_s * 1e9);
        unsigned region = (unsigned)(sim_unit(r) * SIM_REGIONS);
        sim_trace_add(t, (struct sim_fault){kind, region, start, start + length, share, amount});
        start += (uint64_t)sim_exponential(r, gap);
    }
}

/* What a region that is well does all day: it is busy for a while (compaction, a view being built, a backup), it pauses for
 * a moment (garbage, a migration, a route that changes), it loses a packet in a hundred for some minutes. */
static void everyday(struct sim_trace *t, struct sim_random *r)
{
    at_random(t, r, SIM_BUSY, 30, 120, 3, 1);
    at_random(t, r, SIM_BUSY, 10, 20, 8, 1);
    at_random(t, r, SIM_PAUSE, 60, 0.5, 0, 1);
    at_random(t, r, SIM_LOSS, 20, 300, 0.01, 1);
    at_random(t, r, SIM_ERRORS, 5, 30, 0.02, 1);
}

/* A bad day: everything, in any region, some of it for a part of the fleet only. */
static void anything(struct sim_trace *t, struct sim_random *r)
{
    at_random(t, r, SIM_DARK, 4, 600, 0, 1);
    at_random(t, r, SIM_DARK, 4, 300, 0, 0.2);
    at_random(t, r, SIM_REFUSED, 4, 300, 0, 1);
    at_random(t, r, SIM_GRAY, 2, 120, 0, 1);
    at_random(t, r, SIM_SLOW, 2, 120, 800, 1);
    at_random(t, r, SIM_ERRORS, 2, 120, 0.5, 1);
    at_random(t, r, SIM_DRAIN, 1, 600, 0, 1);
    at_random(t, r, SIM_PAUSE, 10, 5, 0, 1);
    at_random(t, r, SIM_LOSS, 4, 120, 0.2, 1);
}

/* The preferred region goes for five minutes and comes back, for everybody at once. */
static void thundering(struct sim_trace *t, struct sim_random *r)
{
    (void)r;
    sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, 5 * MINUTE, 10 * MINUTE, 1, 0});
}

/* ---- measures ---- */

const char *sim_measure_words(enum sim_measure m)
{
    static const char *const words[] = {
        [SIM_NO_GOAL] = "",
        [SIM_DETECT_P99] = "99 of 100 faults are left within ms",
        [SIM_MOVES] = "moves of the traffic",
        [SIM_FALSE_MOVES] = "false failovers",
        [SIM_FAILED_SAFE] = "failed requests that could be repeated",
        [SIM_FLAPS] = "flaps",
    };
    return words[m];
}

double sim_measure(enum sim_measure m, struct sim_tally *t)
{
    switch (m) {
    case SIM_DETECT_P99:
        if (t->watched == 0 || t->never_left > t->watched / 100)
            return (double)INFINITY;
        return sim_quantile(&t->detect, 0.99);
    case SIM_MOVES:
        return (double)t->moves;
    case SIM_FALSE_MOVES:
        return (double)t->false_moves;
    case SIM_FAILED_SAFE:
        return (double)t->failed_safe;
    case SIM_FLAPS:
        return (double)t->flaps;
    case SIM_NO_GOAL:
        break;
    }
    return 0;
}

/* ---- the table ---- */

#define EVERYDAY                                                                                   \
    {                                                                                              \
        .probe_lost = 0.002, .request_reset = 2e-5, .request_503 = 1e-3, .stalls_a_day = 20,       \
        .stall_longest = 3 * SIM_S                                                                 \
    }
#define QUIET                                                                                      \
    {                                                                                              \
        .probe_lost = 0                                                                            \
    }

const struct sim_study sim_studies[] = {
#define STUDY(name, text, fill, own, n, quick_n, h, quick_h, rate, noise, goal1, most1, goal2,     \
              most2)                                                                               \
    {name,                                                                                         \
     text,                                                                                         \
     fill,                                                                                         \
     own,                                                                                          \
     n,                                                                                            \
     quick_n,                                                                                      \
     h,                                                                                            \
     quick_h,                                                                                      \
     rate,                                                                                         \
     noise,                                                                                        \
     {{SIM_##goal1, most1}, {SIM_##goal2, most2}}},
#include "studies.def"
#undef STUDY
};
const size_t sim_n_studies = DP_ARRAY_LEN(sim_studies);
