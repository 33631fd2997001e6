/* What a load tells as JSON: seconds and ms, as reports have them. */
#include "drill/load_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double percents[] = {50, 90, 99, 100};
static const char *const percent_names[] = {"p50_ms", "p90_ms", "p99_ms", "max_ms"};

/* To the nearest microsecond: more digits are noise, and long. */
static json_t *ms(uint64_t ns)
{
    return json_real(round((double)ns / 1e3) / 1e3);
}

static json_t *seconds(uint64_t ns)
{
    return json_real(round((double)ns / 1e6) / 1e3);
}

static bool set_percentiles(json_t *o, const struct dp_histogram *h)
{
    int bad = 0;
    for (size_t i = 0; i < DP_ARRAY_LEN(percents); i++) {
        bad |= json_object_set_new(o, percent_names[i],
                                   h->count > 0 ? ms(dp_histogram_percentile(h, percents[i]))
                                                : json_null());
    }
    return bad == 0;
}

static json_t *failures_of(const struct dp_tally_kind *k)
{
    char name[32];
    int bad = 0;
    json_t *o = json_object();
    for (unsigned i = 1; i < DP_LOAD_FAILURES; i++) {
        if (i != DP_LOAD_FAILED_STATUS && k->failures[i] > 0) {
            bad |= json_object_set_new(o, dp_load_failure_name((enum dp_load_failure)i),
                                       json_integer((json_int_t)k->failures[i]));
        }
    }
    for (unsigned i = 0; i < DP_TALLY_STATUSES; i++) {
        if (k->statuses[i] > 0) {
            (void)snprintf(name, sizeof(name), "status %u", i);
            bad |= json_object_set_new(o, name, json_integer(k->statuses[i]));
        }
    }
    if (bad != 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *kind_json(const struct dp_tally_kind *k, enum dp_load_kind kind)
{
    json_t *o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:o*}", "kind", dp_load_kind_name(kind), "requests",
                          (json_int_t)k->requests, "ok", (json_int_t)k->ok, "conflicts",
                          (json_int_t)k->conflicts, "failed", (json_int_t)k->failed, "failures",
                          failures_of(k));
    if (o && (!json_object_get(o, "failures") || !set_percentiles(o, &k->latency))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *kinds_json(const struct dp_load *load)
{
    json_t *list = json_array();
    int bad = 0;
    for (unsigned i = 0; i < DP_LOAD_KINDS; i++) {
        const struct dp_tally_kind *k = dp_tally_kind(load->tally, (enum dp_load_kind)i);
        if (k) {
            bad |= json_array_append_new(list, kind_json(k, (enum dp_load_kind)i));
        }
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *outages_json(const struct dp_load *load)
{
    json_t *list = json_array();
    struct dp_outage outage;
    uint64_t at_ns = 0;
    int bad = 0;
    while (dp_tally_outage(load->tally, &at_ns, &outage)) {
        bad |= json_array_append_new(
            list, json_pack("{s:o,s:o,s:I,s:I}", "from_s", seconds(outage.from_ns), "to_s",
                            seconds(outage.to_ns), "failed", (json_int_t)outage.failed, "slow",
                            (json_int_t)outage.slow));
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* ---- columns, a number a second ---- */

static json_t *counts(const struct dp_load *load, size_t offset)
{
    json_t *list = json_array();
    int bad = 0;
    for (size_t i = 0; i < load->n_rows; i++) {
        const char *row = (const char *)&load->rows[i];
        bad |= json_array_append_new(list,
                                     json_integer(*(const uint32_t *)(const void *)(row + offset)));
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *times(const struct dp_load *load, size_t offset)
{
    json_t *list = json_array();
    int bad = 0;
    for (size_t i = 0; i < load->n_rows; i++) {
        const char *row = (const char *)&load->rows[i];
        uint64_t ns = *(const uint64_t *)(const void *)(row + offset);
        bad |= json_array_append_new(list, load->rows[i].ok > 0 ? ms(ns) : json_null());
    }
    if (bad != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *regions_json(const struct dp_load *load)
{
    json_t *o = json_object();
    int bad = 0;
    bool others = false;
    for (unsigned i = 0; i <= DP_LOAD_REGIONS; i++) {
        const char *name = i < DP_LOAD_REGIONS ? dp_load_region(load, i) : "others";
        for (size_t row = 0; i == DP_LOAD_REGIONS && row < load->n_rows; row++) {
            others = others || load->rows[row].by_region[i] > 0;
        }
        if (name && (i < DP_LOAD_REGIONS || others)) {
            size_t at = offsetof(struct dp_load_second, by_region) + i * sizeof(uint32_t);
            bad |= json_object_set_new(o, name, counts(load, at));
        }
    }
    if (bad != 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *series_json(const struct dp_load *load)
{
    static const struct {
        const char *name;
        size_t at;
        bool time;
    } columns[] = {
        {"second", offsetof(struct dp_load_second, second), false},
        {"due", offsetof(struct dp_load_second, due), false},
        {"ok", offsetof(struct dp_load_second, ok), false},
        {"failed", offsetof(struct dp_load_second, failed), false},
        {"slow", offsetof(struct dp_load_second, slow), false},
        {"p50_ms", offsetof(struct dp_load_second, p50_ns), true},
        {"p90_ms", offsetof(struct dp_load_second, p90_ns), true},
        {"p99_ms", offsetof(struct dp_load_second, p99_ns), true},
        {"max_ms", offsetof(struct dp_load_second, max_ns), true},
    };
    json_t *o = json_object();
    int bad = 0;
    for (size_t i = 0; i < DP_ARRAY_LEN(columns); i++) {
        bad |= json_object_set_new(o, columns[i].name,
                                   columns[i].time ? times(load, columns[i].at)
                                                   : counts(load, columns[i].at));
    }
    bad |= json_object_set_new(o, "regions", regions_json(load));
    if (bad != 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* All kinds as one. */
static struct dp_histogram *whole_latency(const struct dp_load *load)
{
    struct dp_histogram *sum = calloc(1, sizeof(*sum));
    for (unsigned i = 0; sum && i < DP_LOAD_KINDS; i++) {
        const struct dp_tally_kind *k = dp_tally_kind(load->tally, (enum dp_load_kind)i);
        if (k) {
            dp_histogram_merge(sum, &k->latency);
        }
    }
    return sum;
}

json_t *dp_load_json(const struct dp_load *load)
{
    uint64_t due = dp_tally_count_due(load->tally);
    double took = (double)dp_tally_seconds_ns(load->tally) / 1e9;
    struct dp_histogram *all = whole_latency(load);
    if (!all) {
        return NULL;
    }
    json_t *o = json_pack(
        "{s:I,s:I,s:I,s:f,s:f,s:o,s:o,s:o,s:o,s:o,s:o}", "requests", (json_int_t)due, "ok",
        (json_int_t)load->ok, "failed", (json_int_t)load->failed, "seconds",
        round(took * 1e3) / 1e3, "rate", took > 0 ? round((double)due / took * 10) / 10 : 0.0,
        "mean_ms", all->count > 0 ? ms((uint64_t)dp_histogram_mean(all)) : json_null(), "p99.9_ms",
        all->count > 0 ? ms(dp_histogram_percentile(all, 99.9)) : json_null(), "lag_p99_ms",
        ms(dp_histogram_percentile(&load->lag, 99)), "kinds", kinds_json(load), "outages",
        outages_json(load), "series", series_json(load));
    bool good = o && set_percentiles(o, all);
    free(all);
    if (!good) {
        json_decref(o);
        return NULL;
    }
    return o;
}
