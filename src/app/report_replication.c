/* The ways, one by one: databases in use and pairs of regions are bounded. */
#include "app/report_replication.h"

#include "app/metric.h"

static json_t *number_or_null(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *canary_json(const struct dp_way_status *w)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "took_ms", number_or_null(w->canary_took_ms));
    (void)json_object_set_new(o, "under_way_ms", number_or_null(w->canary_out_ms));
    (void)json_object_set_new(o, "overdue", json_boolean(w->canary_overdue));
    (void)json_object_set_new(o, "detail", json_string(w->canary_word));
    return o;
}

static json_t *way_json(const struct dp_way_status *w)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "database", json_string(w->database));
    (void)json_object_set_new(o, "from", json_string(w->from));
    (void)json_object_set_new(o, "to", json_string(w->to));
    (void)json_object_set_new(o, "data", json_string(w->data));
    (void)json_object_set_new(o, "missing", number_or_null(w->missing));
    (void)json_object_set_new(o, "more", json_boolean(w->more));
    (void)json_object_set_new(o, "same_in_row", json_integer(w->in_row));
    (void)json_object_set_new(o, "behind_at_most_ms", number_or_null(w->same_for_ms));
    (void)json_object_set_new(o, "detail", json_string(w->word));
    (void)json_object_set_new(o, "replication", json_string(w->run));
    (void)json_object_set_new(o, "replication_detail", json_string(w->run_word));
    (void)json_object_set_new(o, "refused_documents", number_or_null(w->failures));
    (void)json_object_set_new(o, "canary", w->canary ? canary_json(w) : json_null());
    return o;
}

json_t *dp_report_replication_json(const struct dp_report *r)
{
    struct dp_way_status w;
    uint64_t done, gave_up, last_ms;
    if (!r->governor) {
        return json_null();
    }
    json_t *root = json_object();
    json_t *ways = json_array();
    const char *off = dp_governor_watch_off(r->governor);
    (void)json_object_set_new(root, "watched", json_boolean(!off));
    (void)json_object_set_new(root, "why_not", off ? json_string(off) : json_null());
    for (unsigned i = 0; dp_governor_way(r->governor, i, &w); i++) {
        (void)json_array_append_new(ways, way_json(&w));
    }
    (void)json_object_set_new(root, "ways", ways);
    dp_governor_handovers(r->governor, &done, &gave_up, &last_ms);
    (void)json_object_set_new(root, "handovers", json_integer((json_int_t)done));
    (void)json_object_set_new(root, "handovers_failed", json_integer((json_int_t)gave_up));
    (void)json_object_set_new(root, "handover_ms",
                              done ? json_integer((json_int_t)last_ms) : json_null());
    return root;
}

/* <0: there is nothing to tell. */
static double value_of(const struct dp_way_status *w, enum dp_metric m)
{
    if (m == DP_METRIC_replication_missing) {
        return (double)w->missing;
    }
    if (m == DP_METRIC_replication_behind) {
        return (double)w->same_for_ms / 1000;
    }
    if (m == DP_METRIC_replication_refused) {
        return (double)w->failures;
    }
    if (!w->canary) {
        return -1;
    }
    return m == DP_METRIC_canary ? (double)w->canary_took_ms / 1000 : (double)w->canary_overdue;
}

void dp_report_replication_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const enum dp_metric of_ways[] = {
        DP_METRIC_replication_missing, DP_METRIC_replication_behind, DP_METRIC_replication_refused,
        DP_METRIC_canary, DP_METRIC_canary_overdue};
    struct dp_way_status w;
    uint64_t done, gave_up, last_ms;
    if (!r->governor) {
        return;
    }
    for (unsigned m = 0; m < DP_ARRAY_LEN(of_ways); m++) {
        dp_metric_family(out, of_ways[m]);
        for (unsigned i = 0; dp_governor_way(r->governor, i, &w); i++) {
            const double value = value_of(&w, of_ways[m]);
            if (value >= 0) {
                dp_metric_real(out, of_ways[m], DP_LABELS(w.database, w.from, w.to), value);
            }
        }
    }
    dp_governor_handovers(r->governor, &done, &gave_up, &last_ms);
    dp_metric_family(out, DP_METRIC_handovers);
    dp_metric_uint(out, DP_METRIC_handovers, DP_LABELS("done"), done);
    dp_metric_uint(out, DP_METRIC_handovers, DP_LABELS("gave_up"), gave_up);
}
