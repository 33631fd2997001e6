/* Counters by kind of request, histograms. */
#include "app/report_kinds.h"

#include "davenport/base/attr.h"
#include "davenport/couch/request.h"

#include "app/metric.h"

/* labels: as of the metric. */
static void times(struct dp_text *out, enum dp_metric m, const char *const *labels,
                  const struct dp_report_latency *t)
{
    static const unsigned bounds_ms[] = DP_LATENCY_BOUNDS_MS;
    _Static_assert(DP_ARRAY_LEN(bounds_ms) + 1 == DP_LATENCY_BUCKETS, "the last has no bound");
    double bounds[DP_ARRAY_LEN(bounds_ms)];
    for (unsigned b = 0; b < DP_ARRAY_LEN(bounds); b++) {
        bounds[b] = (double)bounds_ms[b] / 1000;
    }
    dp_metric_histogram(out, m, labels, bounds, DP_ARRAY_LEN(bounds), t->buckets,
                        (double)t->sum_ns / 1e9);
}

/* By its own, finer bounds. */
static void added(struct dp_text *out, const struct dp_report_latency *t)
{
    static const unsigned bounds_us[] = DP_ADDED_BOUNDS_US;
    double bounds[DP_ARRAY_LEN(bounds_us)];
    for (unsigned b = 0; b < DP_ARRAY_LEN(bounds); b++) {
        bounds[b] = (double)bounds_us[b] / 1e6;
    }
    dp_metric_family(out, DP_METRIC_request_added);
    dp_metric_histogram(out, DP_METRIC_request_added, NULL, bounds, DP_ARRAY_LEN(bounds),
                        t->buckets, (double)t->sum_ns / 1e9);
}

void dp_times_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_first_byte);
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        times(out, DP_METRIC_region_first_byte, DP_LABELS(r->status.regions[i].name),
              &r->latency[i]);
    }
    dp_metric_family(out, DP_METRIC_request_first_byte);
    for (unsigned k = 0; k < DP_TRAFFIC_KINDS; k++) {
        times(out, DP_METRIC_request_first_byte,
              DP_LABELS(dp_couch_kind_name((enum dp_couch_kind)k)), &r->kinds[k].first_byte);
    }
    dp_metric_family(out, DP_METRIC_request_total);
    for (unsigned k = 0; k < DP_TRAFFIC_KINDS; k++) {
        times(out, DP_METRIC_request_total, DP_LABELS(dp_couch_kind_name((enum dp_couch_kind)k)),
              &r->kinds[k].total);
    }
    added(out, &r->added);
    dp_metric_family(out, DP_METRIC_request_queued);
    times(out, DP_METRIC_request_queued, NULL, &r->queued);
    dp_metric_family(out, DP_METRIC_request_held);
    times(out, DP_METRIC_request_held, NULL, &r->held);
    dp_metric_family(out, DP_METRIC_loop_lag);
    times(out, DP_METRIC_loop_lag, DP_LABELS("workers"), &r->lag);
    times(out, DP_METRIC_loop_lag, DP_LABELS("control"), &r->control_lag);
}

void dp_kinds_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_requests_by_kind);
    for (unsigned k = 0; k < DP_TRAFFIC_KINDS; k++) {
        for (unsigned t = 0; t < DP_TOLD_COUNT; t++) {
            dp_metric_uint(out, DP_METRIC_requests_by_kind,
                           DP_LABELS(dp_couch_kind_name((enum dp_couch_kind)k),
                                     dp_told_label((enum dp_told)t)),
                           r->kinds[k].told[t]);
        }
    }
    dp_metric_family(out, DP_METRIC_feed_ends);
    for (unsigned e = 0; e < DP_FEED_END_COUNT; e++) {
        dp_metric_uint(out, DP_METRIC_feed_ends, DP_LABELS(dp_feed_end_label((enum dp_feed_end)e)),
                       r->feed_ends[e]);
    }
    dp_metric_family(out, DP_METRIC_replays);
    for (unsigned k = 0; k < DP_TRAFFIC_KINDS; k++) {
        dp_metric_uint(out, DP_METRIC_replays, DP_LABELS(dp_couch_kind_name((enum dp_couch_kind)k)),
                       r->kinds[k].replays);
    }
}
