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
        sim_trace_add(t, (struct sim_fault){kind, 0, start, start + length, share, amount, 0});
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

/* The region has just started: its caches are cold for four seconds. Not much later it becomes slow. */
static void cold(struct sim_trace *t, struct sim_random *r)
{
    uint64_t start = 12 * SIM_S + (uint64_t)(sim_unit(r) * 10 * (double)SIM_S);
    sim_trace_add(t, (struct sim_fault){SIM_BUSY, 0, 0, 4 * SIM_S, 1, 60, 0});
    sim_trace_add(t, (struct sim_fault){SIM_SLOW, 0, start, start + MINUTE, 1, 800, 0});
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
            sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, start, start + 3 * SIM_S, 1, 0, 0});
    }
}

/* One after the other, each in its own way. */
static void flapping_any(struct sim_trace *t, struct sim_random *r)
{
    static const enum sim_fault_kind kinds[] = {SIM_DARK, SIM_REFUSED, SIM_GRAY};
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        uint64_t end = start + 5 * MINUTE;
        while (start < end) {
            enum sim_fault_kind kind = kinds[sim_bits(r) % DP_ARRAY_LEN(kinds)];
            uint64_t length = (uint64_t)sim_exponential(r, 8e9);
            sim_trace_add(t, (struct sim_fault){kind, 0, start, start + length, 1, 0, 0});
            start += length + (uint64_t)sim_exponential(r, 8e9);
        }
    }
}

/* Not one region in common: some reach two of them, some one. */
static void asymmetric(struct sim_trace *t, struct sim_random *r)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        uint64_t end = start + 2 * MINUTE;
        sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, start, end, 0.4, 0, 0});
        sim_trace_add(t, (struct sim_fault){SIM_DARK, 1, start + 100 * SIM_MS, end, 0.4, 0, 0});
    }
}

static void cut_off(struct sim_trace *t, struct sim_random *r)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        sim_trace_add(t, (struct sim_fault){SIM_DARK, SIM_ALL, start, start + 20 * SIM_S, 1, 0, 0});
    }
}

static void cut_off_any(struct sim_trace *t, struct sim_random *r)
{
    for (uint64_t hour = 0; hour < t->length; hour += HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        uint64_t length = 3 * SIM_S + (uint64_t)(sim_unit(r) * 57 * (double)SIM_S);
        sim_trace_add(t, (struct sim_fault){SIM_DARK, SIM_ALL, start, start + length, 1, 0, 0});
    }
}

/* Slow all day, and for ten minutes every two hours there is no answer at all. */
static void names(struct sim_trace *t, struct sim_random *r)
{
    sim_trace_add(t, (struct sim_fault){SIM_LOOKUPS, SIM_ALL, 0, t->length, 1, 8000, 0});
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + (uint64_t)(sim_unit(r) * 60 * (double)MINUTE);
        sim_trace_add(
            t, (struct sim_fault){SIM_LOOKUPS, SIM_ALL, start, start + 10 * MINUTE, 1, -1, 0});
    }
}

static void moved(struct sim_trace *t, struct sim_random *r)
{
    sim_trace_add(t, (struct sim_fault){SIM_LOOKUPS, SIM_ALL, 0, t->length, 1, 3000, 0});
    hourly(t, r, SIM_MOVED, 0, 2 * MINUTE, 1);
}

static void one_node(struct sim_trace *t, struct sim_random *r, enum sim_fault_kind kind)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        unsigned node = 1 + (unsigned)(sim_bits(r) % SIM_NODES);
        sim_trace_add(t, (struct sim_fault){kind, 0, start, start + 2 * MINUTE, 1, 0, node});
    }
}

static void node_dark(struct sim_trace *t, struct sim_random *r)
{
    one_node(t, r, SIM_DARK);
}

static void node_gray(struct sim_trace *t, struct sim_random *r)
{
    one_node(t, r, SIM_GRAY);
}

/* One node, half a minute later another, then all. */
static void cluster(struct sim_trace *t, struct sim_random *r)
{
    for (uint64_t hour = 0; hour < t->length; hour += 2 * HOUR) {
        uint64_t start = hour + 10 * MINUTE + (uint64_t)(sim_unit(r) * 30 * (double)MINUTE);
        uint64_t end = start + 3 * MINUTE;
        sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, start, end, 1, 0, 1});
        sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, start + 30 * SIM_S, end, 1, 0, 2});
        sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, start + 60 * SIM_S, end, 1, 0, 0});
    }
}

static void throughout(struct sim_trace *t, enum sim_fault_kind kind, double amount)
{
    sim_trace_add(t, (struct sim_fault){kind, SIM_ALL, 0, t->length, 1, amount, 0});
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
        sim_trace_add(t, (struct sim_fault){kind, region, start, start + length, share, amount, 0});
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
    sim_trace_add(t, (struct sim_fault){SIM_DARK, 0, 5 * MINUTE, 10 * MINUTE, 1, 0, 0});
}

/* ---- measures ---- */

const char *sim_measure_words(enum sim_measure m)
{
    static const char *const words[] = {
#define X(name, words) words,
        SIM_MEASURE_TABLE(X)
#undef X
    };
    return words[m];
}

/* Of the requests a second of all sidecars, by so many percent more in the preferred region within a second. */
static double rise(const struct sim_tally *t)
{
    double mean = 0;
    for (unsigned r = 0; r < SIM_REGIONS; r++)
        mean += sim_load_mean(t, &t->sends[r]);
    return mean > 0 ? 100 * sim_load_rise(t, &t->sends[0], 1) / mean : 0;
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
    case SIM_FLAPS:
        return (double)t->flaps;
    case SIM_FAILED_SAFE:
        return (double)(t->failed_safe[0] + t->failed_safe[1]);
    case SIM_FAILED_READS:
        return (double)t->failed_safe[0];
    case SIM_FAILED_LATER:
        return (double)t->failed_later;
    case SIM_STRAY_WRITES:
        return (double)t->stray_writes;
    case SIM_RISE:
        return rise(t);
    case SIM_NO_GOAL:
        break;
    }
    return 0;
}

/* ---- the table ---- */

#define PLAIN         1, ""
#define NODES         SIM_NODES, ""
#define ACTIVE_ACTIVE 1, "\"mode\":\"active-active\""
#define WRITE_PRIMARY 1, "\"mode\":\"write-primary\",\"writes_failover\":false"
#define EVERYDAY                                                                                   \
    {                                                                                              \
        .probe_lost = 0.002, .request_reset = 2e-5, .request_503 = 1e-3, .stalls_a_day = 20,       \
        .stall_longest = 3 * SIM_S                                                                 \
    }
#define STOPPED                                                                                    \
    {                                                                                              \
        .probe_lost = 0.002, .stalls_a_day = 20, .stall_longest = 600 * SIM_S                      \
    }
#define QUIET                                                                                      \
    {                                                                                              \
        .probe_lost = 0                                                                            \
    }

const struct sim_study sim_studies[] = {
#define STUDY(name, text, fill, own, n, quick_n, h, quick_h, rate, noise, regions, ...)            \
    {name, text, fill, own, n, quick_n, h, quick_h, rate, noise, regions, {__VA_ARGS__}},
#include "studies.def"
#undef STUDY
};
const size_t sim_n_studies = DP_ARRAY_LEN(sim_studies);
