/* The last hour in a ring of points. Counters only grow, so a point is a difference; where one fell (an endpoint was taken
 * away), nothing is known of that time, and it counts as none. */
#include "app/history.h"

#include "davenport/core/outcome.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES  64 /* as long as a name may be (app/config_check.c), and its end */
#define NOT_THERE   UINT32_MAX
#define NO_SLOT     DP_MAX_REGIONS
#define MS_A_SECOND 1000.0

struct region_point {
    uint32_t requests; /* NOT_THERE: this region was not known yet, or is no more */
    uint32_t failures, in_flight;
    float p50_ms, p99_ms; /* <0: no answer */
};

/* What the whole program did; X(member, total, is_gauge). */
#define WHOLE_TABLE(X)                                                                             \
    X(requests, requests, false)                                                                   \
    X(refused, refused, false)                                                                     \
    X(held, hold_total, false)                                                                     \
    X(retried, retries, false)                                                                     \
    X(requests_active, requests_active, true)                                                      \
    X(feeds, feeds_active, true)

enum whole {
#define X(member, total, gauge) WHOLE_##member,
    WHOLE_TABLE(X)
#undef X
        WHOLE_COUNT
};

struct point {
    uint64_t at_ms;
    uint32_t took_ms;
    uint16_t active; /* NO_SLOT: none */
    uint32_t whole[WHOLE_COUNT];
    struct region_point regions[DP_MAX_REGIONS];
};

/* A region's place, and what it had counted at the last sample. */
struct slot {
    char name[NAME_BYTES]; /* "": nobody's */
    bool there;            /* in the last sample */
    uint64_t requests, failures;
    uint64_t buckets[DP_LATENCY_BUCKETS];
};

struct dp_history {
    bool begun;
    uint64_t at_ms; /* of the last sample */
    uint64_t totals[DP_TOTAL_COUNT];
    struct slot slots[DP_MAX_REGIONS];
    size_t first, n;
    struct point points[DP_HISTORY_POINTS];
};

struct dp_history *dp_history_new(void)
{
    return calloc(1, sizeof(struct dp_history));
}

void dp_history_free(struct dp_history *h)
{
    free(h);
}

double dp_history_quantile(const uint64_t buckets[DP_LATENCY_BUCKETS], double q)
{
    static const unsigned bounds_ms[] = DP_LATENCY_BOUNDS_MS;
    uint64_t all = 0;
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
        all += buckets[b];
    }
    if (all == 0) {
        return -1;
    }
    double rank = q * (double)all;
    double below_ms = 0;
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS - 1; b++) {
        if (buckets[b] > 0 && rank <= (double)buckets[b]) {
            return below_ms + (bounds_ms[b] - below_ms) * rank / (double)buckets[b];
        }
        rank -= (double)buckets[b];
        below_ms = bounds_ms[b];
    }
    return below_ms;
}

/* ---- sampling ---- */

static uint32_t fit(uint64_t n)
{
    return n < NOT_THERE ? (uint32_t)n : NOT_THERE - 1;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static uint16_t find_slot(const struct dp_history *h, const char *name)
{
    uint16_t i = 0;
    while (i < DP_MAX_REGIONS && strncmp(h->slots[i].name, name, NAME_BYTES - 1) != 0) {
        i++;
    }
    return i;
}

static bool is_named(const struct dp_report *r, const char *name)
{
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        if (strncmp(name, r->status.regions[i].name, NAME_BYTES - 1) == 0) {
            return true;
        }
    }
    return false;
}

/* A place for a new region: a free one, or that of a region which is gone, past and all. There is one, for there are as many
 * as there can be regions. */
static uint16_t take_slot(struct dp_history *h, const struct dp_report *r, const char *name)
{
    uint16_t i = find_slot(h, "");
    for (uint16_t k = 0; k < DP_MAX_REGIONS && i == NO_SLOT; k++) {
        i = is_named(r, h->slots[k].name) ? NO_SLOT : k;
    }
    struct slot *slot = &h->slots[i];
    *slot = (struct slot){0};
    for (size_t c = 0; c < NAME_BYTES - 1 && name[c]; c++) {
        slot->name[c] = name[c];
    }
    for (size_t p = 0; p < DP_HISTORY_POINTS; p++) {
        h->points[p].regions[i].requests = NOT_THERE;
    }
    return i;
}

static void sum_outcomes(const struct dp_region_status *g, uint64_t *requests, uint64_t *failures)
{
    *requests = *failures = 0;
    for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
        *requests += g->outcomes[o];
        *failures += dp_outcome_verdict((enum dp_outcome)o) == DP_VERDICT_BAD ? g->outcomes[o] : 0;
    }
}

/* point NULL: this is where counting begins. */
static void sample_region(struct slot *slot, const struct dp_region_status *g,
                          const struct dp_report_latency *latency, struct region_point *point)
{
    uint64_t requests, failures;
    uint64_t times[DP_LATENCY_BUCKETS];
    sum_outcomes(g, &requests, &failures);
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
        times[b] = grown(latency->buckets[b], slot->buckets[b]);
        slot->buckets[b] = latency->buckets[b];
    }
    if (point && slot->there) {
        *point = (struct region_point){
            .requests = fit(grown(requests, slot->requests)),
            .failures = fit(grown(failures, slot->failures)),
            .in_flight = fit(g->in_flight),
            .p50_ms = (float)dp_history_quantile(times, 0.5),
            .p99_ms = (float)dp_history_quantile(times, 0.99),
        };
    }
    slot->requests = requests;
    slot->failures = failures;
    slot->there = true;
}

static void sample_whole(struct dp_history *h, const struct dp_report *r, struct point *point)
{
#define X(member, total, gauge)                                                                    \
    point->whole[WHOLE_##member] =                                                                 \
        fit((gauge) ? r->totals[DP_TOTAL_##total]                                                  \
                    : grown(r->totals[DP_TOTAL_##total], h->totals[DP_TOTAL_##total]));
    WHOLE_TABLE(X)
#undef X
}

static struct point *add_point(struct dp_history *h)
{
    struct point *point;
    if (h->n < DP_HISTORY_POINTS) {
        point = &h->points[h->n++];
    } else {
        point = &h->points[h->first];
        h->first = (h->first + 1) % DP_HISTORY_POINTS;
    }
    *point = (struct point){.active = NO_SLOT};
    for (uint16_t i = 0; i < DP_MAX_REGIONS; i++) {
        point->regions[i].requests = NOT_THERE;
    }
    return point;
}

void dp_history_sample(struct dp_history *h, const struct dp_report *r, uint64_t now_ms)
{
    struct point *point = h->begun ? add_point(h) : NULL;
    for (uint16_t i = 0; i < DP_MAX_REGIONS; i++) {
        h->slots[i].there = h->slots[i].there && is_named(r, h->slots[i].name);
    }
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        const struct dp_region_status *g = &r->status.regions[i];
        uint16_t slot = find_slot(h, g->name);
        if (slot == NO_SLOT) {
            slot = take_slot(h, r, g->name);
        }
        sample_region(&h->slots[slot], g, &r->latency[i], point ? &point->regions[slot] : NULL);
        if (point && i == r->status.active) {
            point->active = slot;
        }
    }
    if (point) {
        point->at_ms = now_ms;
        point->took_ms = (uint32_t)grown(now_ms, h->at_ms);
        sample_whole(h, r, point);
    }
    memcpy(h->totals, r->totals, sizeof h->totals);
    h->at_ms = now_ms;
    h->begun = true;
}

/* ---- telling ---- */

enum column { COLUMN_REQUESTS, COLUMN_FAILURES, COLUMN_IN_FLIGHT, COLUMN_P50, COLUMN_P99, COLUMNS };

static void put_region_value(const struct region_point *g, enum column column, struct dp_text *out)
{
    float ms = column == COLUMN_P50 ? g->p50_ms : g->p99_ms;
    if (g->requests == NOT_THERE || (column >= COLUMN_P50 && ms < 0)) {
        dp_text_add(out, DP_SPAN("null"));
    } else if (column >= COLUMN_P50) {
        dp_text_addf(out, "%.4g", (double)ms);
    } else {
        dp_text_addf(out, "%" PRIu32,
                     column == COLUMN_REQUESTS   ? g->requests
                     : column == COLUMN_FAILURES ? g->failures
                                                 : g->in_flight);
    }
}

static const struct point *point_at(const struct dp_history *h, size_t i)
{
    return &h->points[(h->first + i) % DP_HISTORY_POINTS];
}

static void put_region(const struct dp_history *h, uint16_t slot, size_t from, struct dp_text *out)
{
    static const char *const names[COLUMNS] = {"requests", "failures", "in_flight", "p50_ms",
                                               "p99_ms"};
    dp_text_addf(out, "{\"name\":\"%s\"", h->slots[slot].name);
    for (unsigned c = 0; c < COLUMNS; c++) {
        dp_text_addf(out, ",\"%s\":[", names[c]);
        for (size_t i = from; i < h->n; i++) {
            dp_text_add(out, i > from ? DP_SPAN(",") : DP_SPAN(""));
            put_region_value(&point_at(h, i)->regions[slot], (enum column)c, out);
        }
        dp_text_add(out, DP_SPAN("]"));
    }
    dp_text_add(out, DP_SPAN("}"));
}

static void put_whole(const struct dp_history *h, size_t from, uint64_t now_ms, struct dp_text *out)
{
    static const char *const names[WHOLE_COUNT] = {
#define X(member, total, gauge) #member,
        WHOLE_TABLE(X)
#undef X
    };
    dp_text_add(out, DP_SPAN(",\"age_s\":["));
    for (size_t i = from; i < h->n; i++) {
        dp_text_addf(out, "%s%.1f", i > from ? "," : "",
                     (double)grown(now_ms, point_at(h, i)->at_ms) / MS_A_SECOND);
    }
    dp_text_add(out, DP_SPAN("],\"seconds\":["));
    for (size_t i = from; i < h->n; i++) {
        dp_text_addf(out, "%s%.3f", i > from ? "," : "", point_at(h, i)->took_ms / MS_A_SECOND);
    }
    for (unsigned w = 0; w < WHOLE_COUNT; w++) {
        dp_text_addf(out, "],\"%s\":[", names[w]);
        for (size_t i = from; i < h->n; i++) {
            dp_text_addf(out, "%s%" PRIu32, i > from ? "," : "", point_at(h, i)->whole[w]);
        }
    }
    dp_text_add(out, DP_SPAN("],\"active\":["));
    for (size_t i = from; i < h->n; i++) {
        const uint16_t active = point_at(h, i)->active;
        dp_text_add(out, i > from ? DP_SPAN(",") : DP_SPAN(""));
        if (active == NO_SLOT) {
            dp_text_add(out, DP_SPAN("null"));
        } else {
            dp_text_addf(out, "%u", (unsigned)active);
        }
    }
}

void dp_history_json(const struct dp_history *h, size_t last, uint64_t now_ms, struct dp_text *out)
{
    const size_t from = h->n > last ? h->n - last : 0;
    dp_text_addf(out, "{\"step_s\":%g,\"points\":%zu", DP_HISTORY_STEP_MS / MS_A_SECOND,
                 (size_t)DP_HISTORY_POINTS);
    put_whole(h, from, now_ms, out);
    dp_text_add(out, DP_SPAN("],\"regions\":["));
    /* Places are filled from the first on and never empty again, so "active" counts these. */
    for (uint16_t i = 0; i < DP_MAX_REGIONS && h->slots[i].name[0]; i++) {
        dp_text_add(out, i > 0 ? DP_SPAN(",") : DP_SPAN(""));
        put_region(h, i, from, out);
    }
    dp_text_add(out, DP_SPAN("]}\n"));
}
