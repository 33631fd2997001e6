/* GET /metrics: a report in Prometheus' text format. Every family has HELP and TYPE, units are base
 * units, and labels are bounded: region names come from the configuration, outcomes and states from
 * tables. */
#include "davenport/base/err.h"
#include "davenport/core/outcome.h"

#include "app/report.h"
#include "app/report_routing.h"

#include <inttypes.h>

static void family(struct dp_text *out, const char *name, const char *type, const char *help)
{
    dp_text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct dp_text *out, const char *name, const char *type, const char *help,
                   double value)
{
    family(out, name, type, help);
    dp_text_addf(out, "%s %.15g\n", name, value);
}

static void single_uint(struct dp_text *out, const char *name, const char *type, const char *help,
                        uint64_t value)
{
    family(out, name, type, help);
    dp_text_addf(out, "%s %" PRIu64 "\n", name, value);
}

/* One value a region. */
static void region_uint(struct dp_text *out, const char *name, const struct dp_region_status *s,
                        uint64_t value)
{
    dp_text_addf(out, "%s{region=\"%s\"} %" PRIu64 "\n", name, s->name, value);
}

static void process_metrics(const struct dp_report *r, struct dp_text *out)
{
    single(out, "process_start_time_seconds", "gauge",
           "Start time of the process since the epoch, in seconds.",
           (double)r->started_wall_ms / 1000);
    single(out, "process_cpu_seconds_total", "counter", "User and system CPU time, in seconds.",
           r->cpu_s);
    single_uint(out, "process_resident_memory_bytes", "gauge", "Resident memory, in bytes.",
                r->resident_bytes);
    single_uint(out, "process_open_fds", "gauge", "Open file descriptors.", r->open_fds);
    single_uint(out, "process_max_fds", "gauge", "Most file descriptors that may be open.",
                r->max_fds);
}

static void program_metrics(const struct dp_report *r, struct dp_text *out)
{
    const char *unused = NULL;
    family(out, "davenport_build_info", "gauge", "Always 1; the version is the label.");
    dp_text_addf(out, "davenport_build_info{version=\"%s\"} 1\n", r->version);
    single_uint(out, "davenport_workers", "gauge", "Threads that carry traffic.", r->n_workers);
    single_uint(out, "davenport_ready", "gauge",
                "1 when some region can take requests and the proxy is not shutting down.",
                dp_report_ready(r, &unused));
    single_uint(out, "davenport_draining", "gauge", "1 while the proxy is shutting down.",
                r->draining);
    single_uint(out, "davenport_epoch", "gauge", "Number of the routing decision in force.",
                r->status.epoch);
    single_uint(out, "davenport_failovers_total", "counter",
                "Moves of the traffic away from a region that failed.", r->status.failovers);
    single_uint(out, "davenport_failbacks_total", "counter",
                "Moves of the traffic back to a more preferred region.", r->status.failbacks);
    single_uint(out, "davenport_frozen", "gauge",
                "1 while an operator has frozen the traffic: nothing moves by itself.",
                r->status.frozen.on);
    single_uint(out, "davenport_pinned", "gauge",
                "1 while an operator's switch holds the traffic: no failback.", r->status.pin.on);
    single_uint(out, "davenport_fail_open", "gauge",
                "1 while every region is lost and one is used all the same (no_region.policy).",
                r->status.fail_open);
    single_uint(out, "davenport_active_share_percent", "gauge",
                "Share of the traffic that the active region takes; below 100 after a failback.",
                r->status.share_percent);
    single_uint(out, "davenport_regions_serving", "gauge",
                "Regions that are known to serve and not drained.", r->status.serving);
    single_uint(out, "davenport_own_network_doubt", "gauge",
                "1 while every region is silent at once: more likely our own network than theirs.",
                r->status.doubt);
    single_uint(out, "davenport_own_network_doubts_total", "counter", "How often that was so.",
                r->status.doubts);
    single_uint(out, "davenport_journal_waiting_lines", "gauge",
                "Journal lines that are not on the disk yet.", r->status.journal.waiting);
    single_uint(out, "davenport_journal_lost_lines_total", "counter",
                "Journal lines that the file lacks, for its queue was full.",
                r->status.journal.lost);
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
    family(out, "davenport_moves_total", "counter",
           "Moves of the traffic, by kind and by what they followed from.");
    for (unsigned m = 0; m < DP_MOVE_COUNT; m++) {
        for (unsigned why = 0; why < DP_MOVE_REASON_COUNT; why++) {
            if (reasons[m] & 1U << why) {
                dp_text_addf(out, "davenport_moves_total{move=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
                             dp_move_name((enum dp_move)m),
                             dp_move_reason_name((enum dp_move_reason)why),
                             r->status.moves[m][why]);
            }
        }
    }
}

static void gate_metrics(const struct dp_report *r, struct dp_text *out)
{
    const struct dp_status *s = &r->status;
    family(out, "davenport_region_gate_met", "gauge",
           "1 when this condition of failback to the region is met, 0 when not, or not known.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        for (uint16_t k = 0; k < s->regions[i].gate.n; k++) {
            const struct dp_gate_condition *c = &s->regions[i].gate.conditions[k];
            dp_text_addf(out, "davenport_region_gate_met{region=\"%s\",condition=\"%s\"} %d\n",
                         s->regions[i].name, dp_gate_kind_name(c->kind), c->state == DP_GATE_MET);
        }
    }
}

static void reload_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const char name[] = "davenport_certificate_not_after_seconds";
    family(out, "davenport_reloads_total", "counter",
           "Reloads (SIGHUP), carried out or refused because a file cannot be used.");
    dp_text_addf(out,
                 "davenport_reloads_total{result=\"done\"} %" PRIu64 "\n"
                 "davenport_reloads_total{result=\"refused\"} %" PRIu64 "\n",
                 r->reloads_done, r->reloads_refused);
    if (r->n_certificates > 0) {
        family(out, name, "gauge",
               "End of a certificate that this proxy shows to clients or to a region, in seconds "
               "since the epoch.");
    }
    for (uint16_t i = 0; i < r->n_certificates; i++) {
        const struct dp_report_certificate *c = &r->certificates[i];
        dp_text_addf(out, "%s{to=\"%s\",region=\"%s\"} %" PRId64 "\n", name,
                     c->region ? "region" : "clients", c->region ? c->region : "", c->not_after_s);
    }
}

static void worker_metrics(const struct dp_report *r, struct dp_text *out)
{
#define DP_COUNTER(field, name, help)                                                              \
    single_uint(out, name, "counter", help, r->totals[DP_TOTAL_##field]);
#define DP_GAUGE(field, name, help)                                                                \
    single_uint(out, name, "gauge", help, r->totals[DP_TOTAL_##field]);
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
}

/* Which limit or fault it was. Every reason that a client can be told has a row, from the beginning. */
static void refusal_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const char name[] = "davenport_refusals_total";
    family(out, name, "counter",
           "Answers of the proxy's own, by the reason that the access log gives.");
    for (unsigned i = 1; i < DP_ERR_COUNT; i++) {
        const struct dp_err_info *info = dp_err_info((enum dp_err)i);
        if (info->status > 0) {
            dp_text_addf(out, "%s{reason=\"%s\",status=\"%u\"} %" PRIu64 "\n", name, info->code,
                         info->status, r->refused_by[i]);
        }
    }
}

static void state_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const enum dp_region_health states[] = {DP_REGION_UNKNOWN, DP_REGION_UP,
                                                   DP_REGION_SUSPECT, DP_REGION_DOWN};
    const struct dp_status *s = &r->status;
    family(out, "davenport_region_state", "gauge", "1 for the state the region is in, else 0.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        for (unsigned j = 0; j < DP_ARRAY_LEN(states); j++) {
            dp_text_addf(out, "davenport_region_state{region=\"%s\",state=\"%s\"} %d\n",
                         s->regions[i].name, dp_region_health_name(states[j]),
                         s->regions[i].health == states[j]);
        }
    }
#define EACH_REGION(name, type, help, value)                                                       \
    family(out, name, type, help);                                                                 \
    for (uint16_t i = 0; i < s->n_regions; i++) {                                                  \
        region_uint(out, name, &s->regions[i], s->regions[i].value);                               \
    }
    EACH_REGION("davenport_region_endpoints", "gauge", "Endpoints of the region.", n_endpoints)
    EACH_REGION("davenport_region_endpoints_serving", "gauge", "Those of them that serve.", serving)
    EACH_REGION("davenport_region_active", "gauge", "1 for the region that takes the traffic.",
                active)
    EACH_REGION("davenport_region_held_down", "gauge",
                "1 while a region that is well again waits for failback.", held_down)
    EACH_REGION(
        "davenport_region_falls", "gauge",
        "Times that the region was lost since it was last well for long; each doubles its hold.",
        falls)
    EACH_REGION("davenport_region_drained", "gauge", "1 while an operator has drained the region.",
                drained.on)
    EACH_REGION("davenport_region_draining", "gauge",
                "1 while a region is alive but asks for no requests.", draining)
    EACH_REGION("davenport_region_slow", "gauge",
                "1 while a region is far slower than it was and than others are.", slow)
    EACH_REGION("davenport_region_trial", "gauge",
                "1 while requests shall prove what probes of the region can't.", trial)
    EACH_REGION("davenport_region_not_provisioned", "gauge",
                "1 while the region's database is not there.", unprovisioned)
    EACH_REGION("davenport_region_late_total", "counter",
                "Requests of one document or database whose answer did not begin in time.", late)
    EACH_REGION("davenport_region_tls_fault", "gauge",
                "1 while probes reach the region but no TLS with it that can be trusted.",
                tls_fault)
    EACH_REGION("davenport_region_attempts_in_flight", "gauge",
                "Attempts sent to the region and not yet ended.", in_flight)
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

static void region_counters(const struct dp_status *s, struct dp_text *out)
{
    family(out, "davenport_region_attempts_total", "counter",
           "Attempts to have a request answered by a region, by how they ended.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
            dp_text_addf(
                out, "davenport_region_attempts_total{region=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                s->regions[i].name, dp_outcome_label((enum dp_outcome)o),
                s->regions[i].outcomes[o]);
        }
    }
    family(out, "davenport_region_probes_total", "counter", "Probes of a region, by result.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        const struct dp_region_status *region = &s->regions[i];
        dp_text_addf(out,
                     "davenport_region_probes_total{region=\"%s\",result=\"ok\"} %" PRIu64 "\n"
                     "davenport_region_probes_total{region=\"%s\",result=\"failed\"} %" PRIu64 "\n",
                     region->name, region->probes_ok, region->name, region->probes_failed);
    }
}

/* By layer: TCP and TLS as the fresh connections of probes had them. */
static void layer_metrics(const struct dp_status *s, struct dp_text *out)
{
    static const char name[] = "davenport_probe_results_total";
    family(out, name, "counter", "Probes by endpoint, layer and result.");
    for (uint16_t i = 0; i < s->n_endpoints; i++) {
        const struct dp_endpoint_status *e = &s->endpoints[i];
        for (unsigned l = 0; l < DP_STATUS_LAYERS; l++) {
            const struct dp_layer_status *layer = &e->layers[l];
            const char *word = dp_status_layer_name((enum dp_status_layer)l);
            if (layer->result) {
                dp_text_addf(out,
                             "%s{region=\"%s\",endpoint=\"%s\",layer=\"%s\",result=\"ok\"} "
                             "%" PRIu64 "\n"
                             "%s{region=\"%s\",endpoint=\"%s\",layer=\"%s\",result=\"failed\"} "
                             "%" PRIu64 "\n",
                             name, s->regions[e->region].name, e->host, word, layer->passed, name,
                             s->regions[e->region].name, e->host, word, layer->failed);
            }
        }
    }
}

/* One duration a region; regions that have none yet are left out. */
static void region_seconds(struct dp_text *out, const char *name, const struct dp_region_status *s,
                           double ms)
{
    if (ms >= 0) {
        dp_text_addf(out, "%s{region=\"%s\"} %.9g\n", name, s->name, ms / 1000);
    }
}

static void region_durations(const struct dp_status *s, struct dp_text *out)
{
    static const char probe[] = "davenport_region_last_probe_duration_seconds";
    static const char latency[] = "davenport_region_latency_seconds";
    family(out, probe, "gauge", "How long the last probe took, in seconds.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        region_seconds(out, probe, &s->regions[i], s->regions[i].probe_ms);
    }
    family(out, latency, "gauge",
           "Moving average of the time to the first answer byte of real requests, in seconds.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        region_seconds(out, latency, &s->regions[i], s->regions[i].latency_ms);
    }
}

static void endpoint_uint(struct dp_text *out, const char *metric, const struct dp_status *s,
                          const struct dp_endpoint_status *e, uint64_t value)
{
    if (e->region < s->n_regions && s->regions[e->region].n_endpoints > 1) {
        dp_text_addf(out, "%s{region=\"%s\",endpoint=\"%s\"} %" PRIu64 "\n", metric,
                     s->regions[e->region].name, e->host, value);
    }
}

/* Of regions that have several. Without any such region there are no rows, and no families. */
static void endpoint_metrics(const struct dp_status *s, struct dp_text *out)
{
#define EACH_ENDPOINT(metric, type, help, value)                                                   \
    family(out, metric, type, help);                                                               \
    for (uint16_t i = 0; i < s->n_endpoints; i++) {                                                \
        const struct dp_endpoint_status *e = &s->endpoints[i];                                     \
        endpoint_uint(out, metric, s, e, value);                                                   \
    }
    if (s->n_endpoints == s->n_regions) {
        return;
    }
    EACH_ENDPOINT("davenport_endpoint_up", "gauge",
                  "1 while an endpoint of a region that has several is up or suspect.",
                  e->health == DP_REGION_UP || e->health == DP_REGION_SUSPECT)
    EACH_ENDPOINT("davenport_endpoint_serving", "gauge", "1 while requests may go to the endpoint.",
                  e->route == DP_ROUTE_OK)
    EACH_ENDPOINT("davenport_endpoint_attempts_in_flight", "gauge",
                  "Attempts sent to the endpoint and not yet ended.", e->in_flight)
    EACH_ENDPOINT("davenport_endpoint_attempts_total", "counter",
                  "Attempts to have a request answered by the endpoint.", attempts_of(e, false))
    EACH_ENDPOINT("davenport_endpoint_failures_total", "counter",
                  "Those of them that speak against it.", attempts_of(e, true))
#undef EACH_ENDPOINT
}

/* Regions whose address is in the configuration have no lookups, and no rows. */
static void lookup_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const char lookups[] = "davenport_region_lookups_total";
    static const char failing[] = "davenport_region_lookup_failing";
    static const char age[] = "davenport_region_lookup_age_seconds";
    const struct dp_status *s = &r->status;
    family(out, lookups, "counter", "Lookups of a region's name, by result.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        const struct dp_region_status *region = &s->regions[i];
        if (region->lookup.host) {
            dp_text_addf(out,
                         "%s{region=\"%s\",result=\"ok\"} %" PRIu64 "\n"
                         "%s{region=\"%s\",result=\"failed\"} %" PRIu64 "\n",
                         lookups, region->name, region->lookup.ok, lookups, region->name,
                         region->lookup.failed);
        }
    }
    family(out, failing, "gauge",
           "1 while a region's name does not resolve and its last addresses are used on.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        if (s->regions[i].lookup.host) {
            region_uint(out, failing, &s->regions[i], s->regions[i].lookup.why[0] != '\0');
        }
    }
    family(out, age, "gauge", "Time since a region's name was last resolved, in seconds.");
    for (uint16_t i = 0; i < s->n_regions; i++) {
        int64_t good = s->regions[i].lookup.good_wall_ms;
        if (good && r->now_wall_ms >= good) {
            region_seconds(out, age, &s->regions[i], (double)(r->now_wall_ms - good));
        }
    }
}

static void first_byte_metrics(const struct dp_report *r, struct dp_text *out)
{
    static const unsigned bounds_ms[] = DP_LATENCY_BOUNDS_MS;
    static const char name[] = "davenport_region_first_byte_seconds";
    _Static_assert(DP_ARRAY_LEN(bounds_ms) + 1 == DP_LATENCY_BUCKETS, "the last has no bound");
    family(out, name, "histogram",
           "Time from a request sent to a region to the first byte of its answer, in seconds.");
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        const struct dp_report_latency *latency = &r->latency[i];
        const char *region = r->status.regions[i].name;
        uint64_t n = 0;
        for (unsigned b = 0; b < DP_ARRAY_LEN(bounds_ms); b++) {
            n += latency->buckets[b];
            dp_text_addf(out, "%s_bucket{region=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, region,
                         (double)bounds_ms[b] / 1000, n);
        }
        n += latency->buckets[DP_LATENCY_BUCKETS - 1];
        dp_text_addf(out,
                     "%s_bucket{region=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
                     "%s_sum{region=\"%s\"} %.9g\n%s_count{region=\"%s\"} %" PRIu64 "\n",
                     name, region, n, name, region, (double)latency->sum_ns / 1e9, name, region, n);
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
    state_metrics(r, out);
    region_counters(&r->status, out);
    layer_metrics(&r->status, out);
    region_durations(&r->status, out);
    endpoint_metrics(&r->status, out);
    lookup_metrics(r, out);
    first_byte_metrics(r, out);
    dp_routing_metrics(&r->status, out);
    process_metrics(r, out);
}
