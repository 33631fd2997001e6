/* See report_faults.h. */
#include "app/report_faults.h"

#include "app/metric.h"
#include "app/report_json.h"

static json_t *databases_json(const struct dp_fault *f)
{
    json_t *databases = json_array();
    struct dp_span rest = dp_span_str(f->databases);
    struct dp_span pattern;
    while ((pattern = dp_fault_next_database(&rest)).n > 0) {
        (void)json_array_append_new(databases, json_stringn(pattern.p, pattern.n));
    }
    return databases;
}

json_t *dp_fault_json(const struct dp_region_status *s, int64_t now_wall_ms)
{
    const struct dp_fault *f = &s->fault;
    char words[DP_FAULT_WORDS];
    json_t *fault = dp_standing_json(&s->faulted, now_wall_ms);
    if (!s->faulted.on) {
        return fault;
    }
    (void)json_object_set_new(fault, "kind", json_string(dp_fault_name(f->kind)));
    (void)json_object_set_new(fault, "delay_ms", json_integer(f->delay_ms));
    (void)json_object_set_new(fault, "share", json_real(f->share / (double)DP_FAULT_ALL));
    (void)json_object_set_new(fault, "databases", databases_json(f));
    (void)json_object_set_new(fault, "words", json_string(dp_fault_words(f, words)));
    return fault;
}

void dp_report_faults(const struct dp_report *r, struct dp_text *out)
{
    const struct dp_status *s = &r->status;
    json_t *faults = json_array();
    for (uint16_t i = 0; i < s->n_regions; i++) {
        if (s->regions[i].faulted.on) {
            json_t *one = dp_fault_json(&s->regions[i], r->now_wall_ms);
            (void)json_object_set_new(one, "region", json_string(s->regions[i].name));
            (void)json_array_append_new(faults, one);
        }
    }
    json_t *root = json_pack("{s:b, s:I, s:I, s:o}", "allowed", s->config->drills_allowed, "max_ms",
                             (json_int_t)s->config->drills_max_ms, "epoch", (json_int_t)s->epoch,
                             "faults", faults);
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}

void dp_faults_metrics(const struct dp_status *s, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_fault);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        const struct dp_region_status *g = &s->regions[i];
        for (unsigned k = DP_FAULT_NONE + 1; k <= DP_FAULT_FLAKY; k++) {
            const enum dp_fault_kind kind = (enum dp_fault_kind)k;
            dp_metric_uint(out, DP_METRIC_region_fault, DP_LABELS(g->name, dp_fault_name(kind)),
                           g->faulted.on && g->fault.kind == kind);
        }
    }
}
