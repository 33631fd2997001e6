/* Counting: see tally.h. Histograms of open seconds lie in a ring as long as a request may take. */
#include "drill/tally.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

struct bin {
    uint16_t failed, slow;
};

/* A second whose row is not final. */
struct open_second {
    struct dp_load_second row;
    struct dp_histogram latency;
};

struct dp_tally {
    uint64_t start_ns, due, last_due_ns, timeout_ns, length_ns;
    uint32_t first, seconds; /* open ones: first … first + n_open - 1; of the load, rounded up */
    uint32_t n_open;
    struct open_second *open; /* a ring: that of second s is at s % n_open */
    struct open_second recent;
    size_t n_bins;
    struct bin *bins;
    struct dp_tally_kind *kinds[DP_LOAD_KINDS];
    unsigned n_regions;
    char regions[DP_LOAD_REGIONS][DP_LOAD_REGION_TEXT];
};

struct dp_tally *dp_tally_new(double seconds, uint32_t timeout_ms)
{
    struct dp_tally *t = calloc(1, sizeof(*t));
    if (!t) {
        return NULL;
    }
    t->timeout_ns = (uint64_t)timeout_ms * 1000000;
    t->length_ns = (uint64_t)(seconds * 1e9);
    t->seconds = (uint32_t)ceil(seconds);
    t->n_open =
        timeout_ms / 1000 + 3; /* the one that is due now, those that wait, parts of a second */
    t->n_bins = (size_t)t->seconds * (NS_PER_S / DP_TALLY_BIN_NS) + 1;
    t->open = calloc(t->n_open, sizeof(*t->open));
    t->bins = calloc(t->n_bins, sizeof(*t->bins));
    bool good = t->open && t->bins;
    for (unsigned i = 0; i < DP_LOAD_KINDS; i++) {
        t->kinds[i] = calloc(1, sizeof(**t->kinds));
        good = good && t->kinds[i];
    }
    if (!good) {
        dp_tally_destroy(t);
        return NULL;
    }
    return t;
}

void dp_tally_destroy(struct dp_tally *t)
{
    if (t) {
        for (unsigned i = 0; i < DP_LOAD_KINDS; i++) {
            free(t->kinds[i]);
        }
        free(t->open);
        free(t->bins);
        free(t);
    }
}

size_t dp_tally_bytes(const struct dp_tally *t)
{
    return sizeof(*t) + t->n_open * sizeof(*t->open) + t->n_bins * sizeof(*t->bins) +
           DP_LOAD_KINDS * sizeof(**t->kinds);
}

void dp_tally_begin(struct dp_tally *t, uint64_t start_ns)
{
    t->start_ns = start_ns;
}

static uint64_t since_start(const struct dp_tally *t, uint64_t ns)
{
    return ns > t->start_ns ? ns - t->start_ns : 0;
}

/* The last second may have a request that is due at its very end. */
static struct open_second *second_of(struct dp_tally *t, uint64_t due_ns)
{
    uint64_t second = since_start(t, due_ns) / NS_PER_S;
    uint64_t last = t->seconds > 0 ? t->seconds - 1 : 0;
    if (second > last) {
        second = last;
    }
    assert(second >= t->first && second < (uint64_t)t->first + t->n_open);
    return &t->open[second % t->n_open];
}

void dp_tally_due(struct dp_tally *t, uint64_t due_ns)
{
    t->due++;
    t->last_due_ns = due_ns;
    t->recent.row.due++;
    second_of(t, due_ns)->row.due++;
}

unsigned dp_tally_place(struct dp_tally *t, struct dp_span region)
{
    if (region.n == 0) {
        return DP_LOAD_REGIONS + 1;
    }
    for (unsigned i = 0; i < t->n_regions; i++) {
        if (dp_span_eq(dp_span_str(t->regions[i]), region)) {
            return i;
        }
    }
    if (t->n_regions == DP_LOAD_REGIONS || region.n >= DP_LOAD_REGION_TEXT) {
        return DP_LOAD_REGIONS;
    }
    memcpy(t->regions[t->n_regions], region.p, region.n);
    t->regions[t->n_regions][region.n] = '\0';
    return t->n_regions++;
}

static void count_in(struct open_second *s, const struct dp_load_end *end, bool slow,
                     unsigned region)
{
    if (end->failure == DP_LOAD_FAILED_NONE) {
        s->row.ok++;
        s->row.slow += slow;
        dp_histogram_add(&s->latency, end->done_ns - end->due_ns);
    } else {
        s->row.failed++;
    }
    if (region <= DP_LOAD_REGIONS) {
        s->row.by_region[region]++;
    }
}

static void raise_bin(uint16_t *n)
{
    *n = *n < UINT16_MAX ? *n + 1 : UINT16_MAX;
}

void dp_tally_end(struct dp_tally *t, const struct dp_load_end *end)
{
    const bool ok = end->failure == DP_LOAD_FAILED_NONE;
    const bool slow = ok && end->done_ns - end->due_ns > DP_LOAD_SLOW_NS;
    struct dp_tally_kind *kind = t->kinds[end->kind];
    unsigned region = dp_tally_place(t, end->region);
    assert(end->failure != DP_LOAD_FAILED_STOPPED);
    kind->requests++;
    if (ok) {
        kind->ok++;
        kind->conflicts += end->status == 409;
        dp_histogram_add(&kind->latency, end->done_ns - end->due_ns);
    } else {
        kind->failed++;
        kind->failures[end->failure]++;
        if (end->failure == DP_LOAD_FAILED_STATUS) {
            kind->statuses[end->status < DP_TALLY_STATUSES ? end->status : 0]++;
        }
    }
    count_in(second_of(t, end->due_ns), end, slow, region);
    count_in(&t->recent, end, slow, region);
    if (!ok || slow) {
        size_t bin = since_start(t, end->due_ns) / DP_TALLY_BIN_NS;
        struct bin *at = &t->bins[bin < t->n_bins ? bin : t->n_bins - 1];
        raise_bin(slow ? &at->slow : &at->failed);
    }
}

static void close_second(struct open_second *s, uint32_t second, struct dp_load_second *out)
{
    *out = s->row;
    out->second = second;
    out->p50_ns = dp_histogram_percentile(&s->latency, 50);
    out->p90_ns = dp_histogram_percentile(&s->latency, 90);
    out->p99_ns = dp_histogram_percentile(&s->latency, 99);
    out->max_ns = s->latency.largest;
    memset(s, 0, sizeof(*s));
}

bool dp_tally_row(struct dp_tally *t, uint64_t now_ns, struct dp_load_second *out)
{
    uint64_t final = ((uint64_t)t->first + 1) * NS_PER_S + t->timeout_ns;
    if (t->first == t->seconds || (now_ns != UINT64_MAX && since_start(t, now_ns) <= final)) {
        return false;
    }
    close_second(&t->open[t->first % t->n_open], t->first, out);
    t->first++;
    return true;
}

void dp_tally_recent(struct dp_tally *t, struct dp_load_second *out)
{
    uint32_t second = t->recent.row.second;
    close_second(&t->recent, second, out);
    t->recent.row.second = second + 1;
}

void dp_tally_stop(struct dp_tally *t)
{
    uint64_t last = t->due > 0 ? since_start(t, t->last_due_ns) : 0;
    uint64_t n = t->due > 0 ? last / NS_PER_S + 1 : 0;
    t->length_ns = last < t->length_ns ? last : t->length_ns;
    t->seconds = n < t->seconds ? (uint32_t)n : t->seconds;
}

uint64_t dp_tally_seconds_ns(const struct dp_tally *t)
{
    return t->length_ns;
}

uint64_t dp_tally_count_due(const struct dp_tally *t)
{
    return t->due;
}

const struct dp_tally_kind *dp_tally_kind(const struct dp_tally *t, enum dp_load_kind kind)
{
    return t->kinds[kind]->requests > 0 ? t->kinds[kind] : NULL;
}

const char *dp_tally_region(const struct dp_tally *t, unsigned i)
{
    return i < t->n_regions ? t->regions[i] : NULL;
}

bool dp_tally_outage(const struct dp_tally *t, uint64_t *at_ns, struct dp_outage *out)
{
    size_t join = DP_TALLY_JOIN_NS / DP_TALLY_BIN_NS;
    size_t i = (size_t)(*at_ns / DP_TALLY_BIN_NS);
    while (i < t->n_bins && t->bins[i].failed + t->bins[i].slow == 0) {
        i++;
    }
    if (i >= t->n_bins) {
        return false;
    }
    *out = (struct dp_outage){.from_ns = i * DP_TALLY_BIN_NS};
    for (size_t last = i; i < t->n_bins && i - last <= join; i++) {
        if (t->bins[i].failed + t->bins[i].slow > 0) {
            last = i;
            out->failed += t->bins[i].failed;
            out->slow += t->bins[i].slow;
            out->to_ns = (i + 1) * DP_TALLY_BIN_NS;
        }
    }
    *at_ns = out->to_ns;
    return true;
}
