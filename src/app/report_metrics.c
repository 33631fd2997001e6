/* GET /metrics: a report in Prometheus' text format. Every family has HELP and TYPE, units are base
 * units, and labels are bounded: region names come from the configuration, outcomes and states from
 * tables. */
#include "davenport/base/err.h"
#include "davenport/core/outcome.h"
#include "davenport/core/reason.h"
#include "davenport/couch/request.h"

#include "app/metric.h"
#include "app/report.h"
#include "app/report_faults.h"
#include "app/report_keys.h"
#include "app/report_kinds.h"
#include "app/report_replication.h"
#include "app/report_routing.h"
#include "app/report_sequences.h"

#include <stdio.h>

static void process_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_process_start_time);
    dp_metric_real(out, DP_METRIC_process_start_time, NULL, (double)r->started_wall_ms / 1000);
    dp_metric_family(out, DP_METRIC_process_cpu);
    dp_metric_real(out, DP_METRIC_process_cpu, NULL, r->cpu_s);
    dp_metric_single(out, DP_METRIC_process_resident_memory, r->resident_bytes);
    dp_metric_single(out, DP_METRIC_process_open_fds, r->open_fds);
    dp_metric_single(out, DP_METRIC_process_max_fds, r->max_fds);
}

static void program_metrics(const struct dp_report *r, struct dp_text *out)
{
    const struct dp_status *s = &r->status;
    const char *unused = NULL;
    dp_metric_family(out, DP_METRIC_build_info);
    dp_metric_uint(out, DP_METRIC_build_info, DP_LABELS(r->version), 1);
    dp_metric_single(out, DP_METRIC_workers, r->n_workers);
    dp_metric_single(out, DP_METRIC_ready, dp_report_ready(r, &unused));
    dp_metric_single(out, DP_METRIC_draining, r->draining);
    dp_metric_single(out, DP_METRIC_epoch, s->epoch);
    dp_metric_single(out, DP_METRIC_failovers, s->failovers);
    dp_metric_single(out, DP_METRIC_failbacks, s->failbacks);
    dp_metric_single(out, DP_METRIC_frozen, s->frozen.on);
    dp_metric_single(out, DP_METRIC_pinned, s->pin.on);
    dp_metric_single(out, DP_METRIC_fail_open, s->fail_open);
    dp_metric_single(out, DP_METRIC_active_share, s->share_percent);
    dp_metric_single(out, DP_METRIC_regions_serving, s->serving);
    dp_metric_single(out, DP_METRIC_doubt, s->doubt);
    dp_metric_single(out, DP_METRIC_doubts, s->doubts);
    dp_metric_single(out, DP_METRIC_journal_waiting, s->journal.waiting);
    dp_metric_single(out, DP_METRIC_journal_lost, s->journal.lost);
}

/* Those reasons that a move can have. */
static void move_metrics(const struct dp_report *r, struct dp_text *out)
{
#define R(reason) (1U << DP_MOVE_REASON_##reason)
    static const unsigned reasons[DP_MOVE_COUNT] = {
        [DP_MOVE_FAILOVER] = R(DOWN) | R(DRAINING) | R(SLOW),
        [DP_MOVE_FAILBACK] = R(HOLD_DOWN) | R(GATED) | R(WINDOW),
        [DP_MOVE_SWITCH] = R(OPERATOR),
        [DP_MOVE_DRAIN] = R(DRAINED),
        [DP_MOVE_LOST] = R(DOWN) | R(DRAINING) | R(DRAINED),
        [DP_MOVE_REGAINED] = R(RETURNED),
        [DP_MOVE_REMOVED] = R(RELOAD),
        [DP_MOVE_OPEN] = R(DOWN) | R(DRAINING) | R(DRAINED),
    };
#undef R
    dp_metric_family(out, DP_METRIC_moves);
    for (unsigned m = 0; m < DP_MOVE_COUNT; m++) {
        for (unsigned why = 0; why < DP_MOVE_REASON_COUNT; why++) {
            if (reasons[m] & 1U << why) {
                dp_metric_uint(out, DP_METRIC_moves,
                               DP_LABELS(dp_move_name((enum dp_move)m),
                                         dp_move_reason_name((enum dp_move_reason)why)),
                               r->status.moves[m][why]);
            }
        }
    }
}

static void gate_metrics(const struct dp_report *r, struct dp_text *out)
{
    const struct dp_status *s = &r->status;
    dp_metric_family(out, DP_METRIC_gate_met);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        for (uint16_t k = 0; k < s->regions[i].gate.n; k++) {
            const struct dp_gate_condition *c = &s->regions[i].gate.conditions[k];
            dp_metric_uint(out, DP_METRIC_gate_met,
                           DP_LABELS(s->regions[i].name, dp_gate_kind_name(c->kind)),
                           c->state == DP_GATE_MET);
        }
    }
}

static void reload_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_reloads);
    dp_metric_uint(out, DP_METRIC_reloads, DP_LABELS("done"), r->reloads_done);
    dp_metric_uint(out, DP_METRIC_reloads, DP_LABELS("refused"), r->reloads_refused);
    if (r->n_certificates > 0) {
        dp_metric_family(out, DP_METRIC_certificate_not_after);
    }
    for (uint16_t i = 0; i < r->n_certificates; i++) {
        const struct dp_report_certificate *c = &r->certificates[i];
        dp_metric_real(out, DP_METRIC_certificate_not_after,
                       DP_LABELS(c->to, c->region ? c->region : ""), (double)c->not_after_s);
    }
}

static void worker_metrics(const struct dp_report *r, struct dp_text *out)
{
#define DP_COUNTER(field, name, help)                                                              \
    dp_metric_single(out, DP_METRIC_worker_##field, r->totals[DP_TOTAL_##field]);
#define DP_GAUGE(field, name, help)                                                                \
    dp_metric_single(out, DP_METRIC_worker_##field, r->totals[DP_TOTAL_##field]);
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
}

/* Which limit or fault it was. Every reason that a client can be told has a row, from the beginning. */
static void refusal_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_refusals);
    for (unsigned i = 1; i < DP_ERR_COUNT; i++) {
        const enum dp_err err = (enum dp_err)i;
        const unsigned told = dp_err_info(err)->status;
        char status[8];
        if (told > 0 && snprintf(status, sizeof status, "%u", told) > 0) {
            dp_metric_uint(out, DP_METRIC_refusals,
                           DP_LABELS(dp_reason_word(dp_reason_of_err(err)), status),
                           r->refused_by[i]);
        }
    }
}

static void state_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const enum dp_region_health states[] = {DP_REGION_UNKNOWN, DP_REGION_UP,
                                                   DP_REGION_SUSPECT, DP_REGION_DOWN};
    const struct dp_status *s = &r->status;
    dp_metric_family(out, DP_METRIC_region_state);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        for (unsigned j = 0; j < DP_ARRAY_LEN(states); j++) {
            dp_metric_uint(out, DP_METRIC_region_state,
                           DP_LABELS(s->regions[i].name, dp_region_health_name(states[j])),
                           s->regions[i].health == states[j]);
        }
    }
#define EACH_REGION(metric, value)                                                                 \
    dp_metric_family(out, DP_METRIC_##metric);                                                     \
    for (uint16_t i = 0; i < s->n_regions; i++) {                                                  \
        dp_metric_uint(out, DP_METRIC_##metric, DP_LABELS(s->regions[i].name),                     \
                       s->regions[i].value);                                                       \
    }
    EACH_REGION(region_endpoints, n_endpoints)
    EACH_REGION(region_endpoints_serving, serving)
    EACH_REGION(region_active, active)
    EACH_REGION(region_held_down, held_down)
    EACH_REGION(region_falls, falls)
    EACH_REGION(region_drained, drained.on)
    EACH_REGION(region_draining, draining)
    EACH_REGION(region_slow, slow)
    EACH_REGION(region_trial, trial)
    EACH_REGION(region_not_provisioned, unprovisioned)
    EACH_REGION(region_late, late)
    EACH_REGION(region_tls_fault, tls_fault)
    EACH_REGION(region_in_flight, in_flight)
    EACH_REGION(region_quorum_missed, quorum_missed)
#undef EACH_REGION
}

static uint64_t attempts_of(const struct dp_endpoint_status *e, bool failed_only)
{
    uint64_t n = 0;
    for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
        if (!failed_only || dp_outcome_verdict((enum dp_outcome)o) == DP_VERDICT_BAD) {
            n += e->outcomes[o];
        }
    }
    return n;
}

/* A row for what went well and one for what failed; labels: those before `result`. */
static void region_results(struct dp_text *out, enum dp_metric m, const char *region, uint64_t ok,
                           uint64_t failed)
{
    dp_metric_uint(out, m, DP_LABELS(region, "ok"), ok);
    dp_metric_uint(out, m, DP_LABELS(region, "failed"), failed);
}

static void attempt_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_attempts);
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        for (unsigned k = 0; k < DP_TRAFFIC_CLASSES * DP_OUTCOME_COUNT; k++) {
            const unsigned c = k / DP_OUTCOME_COUNT, o = k % DP_OUTCOME_COUNT;
            dp_metric_uint(out, DP_METRIC_region_attempts,
                           DP_LABELS(r->status.regions[i].name,
                                     dp_couch_class_name((enum dp_couch_class)c),
                                     dp_outcome_label((enum dp_outcome)o)),
                           r->by_class[i][c][o]);
        }
    }
}

static void shown_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_certificate_not_after);
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        if (r->shown_ends_s[i] > 0) {
            dp_metric_uint(out, DP_METRIC_region_certificate_not_after,
                           DP_LABELS(r->status.regions[i].name), r->shown_ends_s[i]);
        }
    }
}

static void pool_metrics(const struct dp_report *r, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_pool);
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        for (unsigned g = 0; g < DP_POOL_WAITING; g++) {
            dp_metric_uint(
                out, DP_METRIC_region_pool,
                DP_LABELS(r->status.regions[i].name, dp_pool_gauge_label((enum dp_pool_gauge)g)),
                r->pools[i][g]);
        }
    }
    dp_metric_family(out, DP_METRIC_region_pool_waiting);
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        dp_metric_uint(out, DP_METRIC_region_pool_waiting, DP_LABELS(r->status.regions[i].name),
                       r->pools[i][DP_POOL_WAITING]);
    }
    dp_metric_family(out, DP_METRIC_memory);
    for (unsigned m = 0; m < DP_MEMORY_COUNT; m++) {
        dp_metric_uint(out, DP_METRIC_memory, DP_LABELS(dp_memory_label((enum dp_memory)m)),
                       r->memory[m]);
    }
}

static void probe_metrics(const struct dp_status *s, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_probes);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        const struct dp_region_status *region = &s->regions[i];
        region_results(out, DP_METRIC_region_probes, region->name, region->probes.ok,
                       region->probes.failed);
    }
}

static void database_metrics(const struct dp_status *s, struct dp_text *out)
{
    const struct dp_control_config *c = s->config;
    if (c->n_probe_databases == 0) {
        return;
    }
    dp_metric_family(out, DP_METRIC_region_database_missing);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        for (uint16_t k = 0; k < c->n_probe_databases; k++) {
            dp_metric_uint(out, DP_METRIC_region_database_missing,
                           DP_LABELS(s->regions[i].name, c->probe_databases[k]),
                           s->regions[i].missing >> k & 1);
        }
    }
}

/* By layer: TCP and TLS as the fresh connections of probes had them. */
static void layer_metrics(const struct dp_status *s, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_probe_results);
    for (uint16_t i = 0; i < s->n_endpoints; i++) {
        const struct dp_endpoint_status *e = &s->endpoints[i];
        for (unsigned l = 0; l < DP_STATUS_LAYERS; l++) {
            const struct dp_layer_status *layer = &e->layers[l];
            const char *word = dp_status_layer_name((enum dp_status_layer)l);
            if (layer->result) { /* a vacant endpoint, which is of no region, has none */
                const char *region = s->regions[e->region].name;
                dp_metric_uint(out, DP_METRIC_probe_results, DP_LABELS(region, e->host, word, "ok"),
                               layer->passed);
                dp_metric_uint(out, DP_METRIC_probe_results,
                               DP_LABELS(region, e->host, word, "failed"), layer->failed);
            }
        }
    }
}

/* One duration a region; regions that have none yet are left out. */
static void region_seconds(struct dp_text *out, enum dp_metric m, const struct dp_region_status *s,
                           double ms)
{
    if (ms >= 0) {
        dp_metric_real(out, m, DP_LABELS(s->name), ms / 1000);
    }
}

static void region_durations(const struct dp_status *s, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_last_probe);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        region_seconds(out, DP_METRIC_region_last_probe, &s->regions[i],
                       s->regions[i].probes.last_ms);
    }
    dp_metric_family(out, DP_METRIC_region_latency);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        region_seconds(out, DP_METRIC_region_latency, &s->regions[i], s->regions[i].latency_ms);
    }
}

static void endpoint_uint(struct dp_text *out, enum dp_metric m, const struct dp_status *s,
                          const struct dp_endpoint_status *e, uint64_t value)
{
    if (e->region < s->n_regions && s->regions[e->region].n_endpoints > 1) {
        dp_metric_uint(out, m, DP_LABELS(s->regions[e->region].name, e->host), value);
    }
}

/* Of regions that have several. Without any such region there are no rows, and no families. */
static void endpoint_metrics(const struct dp_status *s, struct dp_text *out)
{
#define EACH_ENDPOINT(metric, value)                                                               \
    dp_metric_family(out, DP_METRIC_##metric);                                                     \
    for (uint16_t i = 0; i < s->n_endpoints; i++) {                                                \
        const struct dp_endpoint_status *e = &s->endpoints[i];                                     \
        endpoint_uint(out, DP_METRIC_##metric, s, e, value);                                       \
    }
    if (s->n_endpoints == s->n_regions) {
        return;
    }
    EACH_ENDPOINT(endpoint_up, e->health == DP_REGION_UP || e->health == DP_REGION_SUSPECT)
    EACH_ENDPOINT(endpoint_serving, e->route == DP_ROUTE_OK)
    EACH_ENDPOINT(endpoint_in_flight, e->in_flight)
    EACH_ENDPOINT(endpoint_attempts, attempts_of(e, false))
    EACH_ENDPOINT(endpoint_failures, attempts_of(e, true))
#undef EACH_ENDPOINT
}

/* Regions whose address is in the configuration have no lookups, and no rows. */
static void lookup_metrics(const struct dp_report *r, struct dp_text *out)
{
    const struct dp_status *s = &r->status;
    dp_metric_family(out, DP_METRIC_region_lookups);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        const struct dp_region_status *region = &s->regions[i];
        if (region->lookup.host) {
            region_results(out, DP_METRIC_region_lookups, region->name, region->lookup.ok,
                           region->lookup.failed);
        }
    }
    dp_metric_family(out, DP_METRIC_region_lookup_failing);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        if (s->regions[i].lookup.host) {
            dp_metric_uint(out, DP_METRIC_region_lookup_failing, DP_LABELS(s->regions[i].name),
                           s->regions[i].lookup.why[0] != '\0');
        }
    }
    dp_metric_family(out, DP_METRIC_region_lookup_age);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        int64_t good = s->regions[i].lookup.good_wall_ms;
        if (good && r->now_wall_ms >= good) {
            region_seconds(out, DP_METRIC_region_lookup_age, &s->regions[i],
                           (double)(r->now_wall_ms - good));
        }
    }
}

void dp_report_metrics(const struct dp_report *r, struct dp_text *out)
{
    program_metrics(r, out);
    move_metrics(r, out);
    gate_metrics(r, out);
    reload_metrics(r, out);
    worker_metrics(r, out);
    refusal_metrics(r, out);
    dp_kinds_metrics(r, out);
    state_metrics(r, out);
    attempt_metrics(r, out);
    pool_metrics(r, out);
    shown_metrics(r, out);
    probe_metrics(&r->status, out);
    layer_metrics(&r->status, out);
    database_metrics(&r->status, out);
    region_durations(&r->status, out);
    endpoint_metrics(&r->status, out);
    lookup_metrics(r, out);
    dp_times_metrics(r, out);
    dp_keys_metrics(&r->status, out);
    dp_faults_metrics(&r->status, out);
    dp_routing_metrics(&r->status, out);
    dp_report_sequences_metrics(r, out);
    dp_report_replication_metrics(r, out);
    process_metrics(r, out);
}
