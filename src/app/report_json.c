/* GET /status: a report as JSON. Its names are the ones operators script against. */
#include "app/report_json.h"

#include "davenport/base/clock.h"
#include "davenport/core/outcome.h"

#include "app/report_faults.h"
#include "app/report_keys.h"
#include "app/report_replication.h"
#include "app/report_routing.h"
#include "app/report_sequences.h"

#include <string.h>

#include <jansson.h>

/* jansson copes with NULL (out of memory); whoever shows the whole looks at json_memory.h. */
static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value ? value : json_null());
}

/* Sentences are cut to a number of bytes, perhaps inside a character: the broken end is dropped. */
static void put_text(json_t *object, const char *key, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    json_t *value = text ? json_stringn(text, n) : NULL;
    for (unsigned i = 0; i < 3 && text && !value && n > 0; i++) {
        value = json_stringn(text, --n);
    }
    put(object, key, value);
}

static void put_uint(json_t *object, const char *key, uint64_t n)
{
    put(object, key, json_integer((json_int_t)n));
}

static void put_bool(json_t *object, const char *key, bool value)
{
    put(object, key, json_boolean(value));
}

/* Negative means "none yet" in the governor's words. */
static void put_ms(json_t *object, const char *key, double ms)
{
    put(object, key, ms < 0 ? json_null() : json_real(ms));
}

/* 0 means never. */
static void put_time(json_t *object, const char *key, int64_t wall_ms)
{
    char text[DP_TIME_TEXT];
    if (wall_ms == 0) {
        put(object, key, json_null());
        return;
    }
    dp_time_text(wall_ms, text);
    put_text(object, key, text);
}

/* Seconds from `from` to `to`; never negative, for clocks are set back. */
static void put_seconds(json_t *object, const char *key, int64_t from_ms, int64_t to_ms)
{
    put(object, key, json_real(to_ms > from_ms ? (double)(to_ms - from_ms) / 1000 : 0));
}

static void put_outcomes(json_t *region, const uint64_t counts[DP_OUTCOME_COUNT])
{
    uint64_t attempts = 0;
    uint64_t failures = 0;
    json_t *outcomes = json_object();
    for (unsigned i = 0; i < DP_OUTCOME_COUNT; i++) {
        enum dp_outcome o = (enum dp_outcome)i;
        attempts += counts[i];
        failures += dp_outcome_verdict(o) == DP_VERDICT_BAD ? counts[i] : 0;
        put_uint(outcomes, dp_outcome_label(o), counts[i]);
    }
    put_uint(region, "attempts", attempts);
    put_uint(region, "failures", failures);
    put(region, "outcomes", outcomes);
}

static json_t *addresses_json(const struct dp_addrs *addrs, unsigned used)
{
    json_t *addresses = json_array();
    for (uint16_t i = 0; i < addrs->n; i++) {
        json_t *one = json_object();
        put_text(one, "ip", addrs->at[i].ip);
        put_bool(one, "used", (used >> i) & 1);
        (void)json_array_append_new(addresses, one);
    }
    return addresses;
}

/* null: nothing is looked up. */
static json_t *lookup_json(const struct dp_report *r, const struct dp_lookup_status *l)
{
    if (!l->host) {
        return NULL;
    }
    json_t *lookup = json_object();
    put_text(lookup, "host", l->host);
    put_bool(lookup, "failing", l->why[0] != '\0');
    put_text(lookup, "why", l->why[0] ? l->why : NULL);
    put_time(lookup, "last_at", l->last_wall_ms);
    put_time(lookup, "good_at", l->good_wall_ms);
    if (l->good_wall_ms) {
        put_seconds(lookup, "good_age_s", l->good_wall_ms, r->now_wall_ms);
    } else {
        put(lookup, "good_age_s", NULL);
    }
    put_uint(lookup, "ok", l->ok);
    put_uint(lookup, "failed", l->failed);
    return lookup;
}

json_t *dp_standing_json(const struct dp_standing *s, int64_t now_wall_ms)
{
    if (!s->on) {
        return json_null();
    }
    json_t *standing = json_object();
    put_text(standing, "actor", s->actor);
    put_text(standing, "reason", s->reason);
    put_time(standing, "since", s->since_wall_ms);
    put_seconds(standing, "for_s", s->since_wall_ms, now_wall_ms);
    put_time(standing, "until", s->until_wall_ms);
    if (s->until_wall_ms) {
        put_seconds(standing, "left_s", now_wall_ms, s->until_wall_ms);
    } else {
        put(standing, "left_s", json_null());
    }
    return standing;
}

static void put_standing(json_t *object, const char *key, const struct dp_standing *s,
                         int64_t now_ms)
{
    put(object, key, dp_standing_json(s, now_ms));
}

static void put_journal(json_t *root, const struct dp_status *s)
{
    json_t *journal = json_object();
    put_bool(journal, "file", s->journal.file);
    put_bool(journal, "troubled", s->journal.troubled);
    put_uint(journal, "waiting", s->journal.waiting);
    put_uint(journal, "lost", s->journal.lost);
    put(root, "journal", journal);
}

/* {"tcp":{…},"up":{…}}: the layers that were asked. */
static json_t *layers_json(const struct dp_endpoint_status *s)
{
    json_t *layers = json_object();
    for (unsigned i = 0; i < DP_STATUS_LAYERS; i++) {
        const struct dp_layer_status *l = &s->layers[i];
        if (!l->result) {
            continue;
        }
        json_t *one = json_object();
        put_text(one, "result", l->result);
        put_time(one, "at", l->last_wall_ms);
        put(one, "ms", json_real(l->ms));
        put_uint(one, "passed", l->passed);
        put_uint(one, "failed", l->failed);
        if (l->detail[0]) {
            put_text(one, "detail", l->detail);
        }
        put(layers, dp_status_layer_name((enum dp_status_layer)i), one);
    }
    return layers;
}

static void put_probes(json_t *object, const struct dp_probes_status *p)
{
    put_uint(object, "probes_ok", p->ok);
    put_uint(object, "probes_failed", p->failed);
    put_uint(object, "probe_successes_in_row", p->successes_in_row);
    put_uint(object, "probe_failures_in_row", p->failures_in_row);
    put_time(object, "last_probe_at", p->last_wall_ms);
    put_text(object, "last_probe", p->last);
    put_text(object, "last_probe_result", p->last_result);
    put_uint(object, "last_probe_status", p->last_status);
    put_ms(object, "probe_ms", p->last_ms);
}

/* Of probe.database. */
static json_t *missing_json(const struct dp_report *r, uint32_t missing)
{
    const struct dp_control_config *c = r->status.config;
    json_t *names = json_array();
    for (uint16_t i = 0; i < c->n_probe_databases; i++) {
        if (missing >> i & 1) {
            (void)json_array_append_new(names, json_string(c->probe_databases[i]));
        }
    }
    return names;
}

static json_t *endpoint_json(const struct dp_report *r, const struct dp_endpoint_status *s)
{
    json_t *endpoint = json_object();
    put_text(endpoint, "url", s->url);
    put(endpoint, "addresses", addresses_json(&s->addrs, s->addrs_used));
    put(endpoint, "lookup", lookup_json(r, &s->lookup));
    put_text(endpoint, "health", dp_region_health_name(s->health));
    put_bool(endpoint, "draining", s->draining);
    put_bool(endpoint, "slow", s->slow);
    put_bool(endpoint, "trial", s->trial);
    put_bool(endpoint, "not_provisioned", s->unprovisioned);
    put(endpoint, "missing_databases", missing_json(r, s->missing));
    put(endpoint, "layers", layers_json(s));
    put_text(endpoint, "route", dp_route_state_name(s->route));
    put_time(endpoint, "since", s->since_wall_ms);
    put_seconds(endpoint, "for_s", s->since_wall_ms, r->now_wall_ms);
    put_text(endpoint, "why", s->why);
    put_uint(endpoint, "late_ms", s->late_ms);
    put_uint(endpoint, "usual_ms", s->usual_ms);
    put_uint(endpoint, "late", s->late);
    put_ms(endpoint, "latency_ms", s->latency_ms);
    put_uint(endpoint, "in_flight", s->in_flight);
    put_outcomes(endpoint, s->outcomes);
    put_probes(endpoint, &s->probes);
    return endpoint;
}

static json_t *endpoints_json(const struct dp_report *r, uint16_t region)
{
    json_t *endpoints = json_array();
    for (uint16_t i = 0; i < r->status.n_endpoints; i++) {
        if (r->status.endpoints[i].region == region) {
            (void)json_array_append_new(endpoints, endpoint_json(r, &r->status.endpoints[i]));
        }
    }
    return endpoints;
}

static json_t *gate_json(const struct dp_gate *gate)
{
    json_t *conditions = json_array();
    for (uint16_t i = 0; i < gate->n; i++) {
        const struct dp_gate_condition *c = &gate->conditions[i];
        json_t *one = json_object();
        put_text(one, "name", dp_gate_kind_name(c->kind));
        put_text(one, "state", dp_gate_state_name(c->state));
        put_text(one, "reason", c->why);
        (void)json_array_append_new(conditions, one);
    }
    return conditions;
}

static json_t *region_json(const struct dp_report *r, const struct dp_region_status *s)
{
    json_t *region = json_object();
    put_text(region, "name", s->name);
    put_text(region, "url", s->url);
    put(region, "addresses", addresses_json(&s->addrs, s->addrs_used));
    put(region, "lookup", lookup_json(r, &s->lookup));
    put_text(region, "health", dp_region_health_name(s->health));
    put_bool(region, "active", s->active);
    put_bool(region, "held_down", s->held_down);
    put_bool(region, "draining", s->draining);
    put_standing(region, "drained", &s->drained, r->now_wall_ms);
    put_standing(region, "approved", &s->approved, r->now_wall_ms);
    put(region, "fault", dp_fault_json(s, r->now_wall_ms));
    put_uint(region, "hold_ms", s->hold_ms);
    put_uint(region, "falls", s->falls);
    put(region, "gate", gate_json(&s->gate));
    put_text(region, "route", dp_route_state_name(s->route));
    put_bool(region, "slow", s->slow);
    put_bool(region, "trial", s->trial);
    put_bool(region, "not_provisioned", s->unprovisioned);
    put(region, "missing_databases", missing_json(r, s->missing));
    dp_keys_put(region, &s->key);
    put_uint(region, "late_ms", s->late_ms);
    put_uint(region, "usual_ms", s->usual_ms);
    put_uint(region, "late", s->late);
    put_time(region, "since", s->since_wall_ms);
    put_seconds(region, "for_s", s->since_wall_ms, r->now_wall_ms);
    put_text(region, "why", s->why);
    put_ms(region, "latency_ms", s->latency_ms);
    put_uint(region, "in_flight", s->in_flight);
    put_uint(region, "quorum_missed", s->quorum_missed);
    put_time(region, "quorum_missed_at", s->quorum_missed_wall_ms);
    dp_routing_put_region(region, &r->status, s);
    put_outcomes(region, s->outcomes);
    put_probes(region, &s->probes);
    return region;
}

static const struct dp_endpoint_status *only_endpoint(const struct dp_report *r, uint16_t region)
{
    uint16_t i = 0;
    while (i + 1 < r->status.n_endpoints && r->status.endpoints[i].region != region) {
        i++;
    }
    return &r->status.endpoints[i];
}

static json_t *regions_json(const struct dp_report *r)
{
    json_t *regions = json_array();
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        json_t *region = region_json(r, &r->status.regions[i]);
        if (r->status.regions[i].n_endpoints == 1) {
            put(region, "layers", layers_json(only_endpoint(r, i)));
        } else if (r->status.regions[i].n_endpoints > 1) {
            put(region, "endpoints", endpoints_json(r, i));
            put_uint(region, "endpoints_serving", r->status.regions[i].serving);
            put_uint(region, "endpoints_needed", r->status.regions[i].need);
        }
        (void)json_array_append_new(regions, region);
    }
    return regions;
}

static json_t *certificates_json(const struct dp_report *r)
{
    json_t *certificates = json_array();
    for (uint16_t i = 0; i < r->n_certificates; i++) {
        const struct dp_report_certificate *c = &r->certificates[i];
        json_t *one = json_object();
        put_text(one, "to", c->to);
        put_text(one, "region", c->region);
        put_time(one, "not_after", c->not_after_s * 1000);
        (void)json_array_append_new(certificates, one);
    }
    return certificates;
}

static json_t *totals_json(const struct dp_report *r)
{
    json_t *totals = json_object();
#define DP_COUNTER(field, name, help) put_uint(totals, #field, r->totals[DP_TOTAL_##field]);
#define DP_GAUGE(field, name, help)   put_uint(totals, #field, r->totals[DP_TOTAL_##field]);
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
    return totals;
}

static void put_program(json_t *root, const struct dp_report *r)
{
    const char *why = NULL;
    put_text(root, "version", r->version);
    put_uint(root, "pid", (uint64_t)r->pid);
    put_text(root, "instance", r->instance);
    put_time(root, "now", r->now_wall_ms);
    put_time(root, "started", r->started_wall_ms);
    put_seconds(root, "uptime_s", r->started_wall_ms, r->now_wall_ms);
    put_text(root, "listen", r->listen);
    put_text(root, "scheme", r->listen_tls ? "https" : "http");
    put_text(root, "admin", r->admin);
    put_uint(root, "workers", r->n_workers);
    put_bool(root, "ready", dp_report_ready(r, &why));
    put_bool(root, "draining", r->draining);
}

/* Of a failback that goes on: who takes the rest meanwhile. */
static void put_ramp(json_t *root, const struct dp_status *s)
{
    if (s->ramp_from == DP_NO_REGION) {
        put(root, "ramp", json_null());
        return;
    }
    json_t *ramp = json_object();
    put_text(ramp, "from", s->regions[s->ramp_from].name);
    put_uint(ramp, "share_percent", s->share_percent);
    put(root, "ramp", ramp);
}

static void put_routing(json_t *root, const struct dp_report *r)
{
    const struct dp_status *s = &r->status;
    dp_routing_put(root, s);
    put_uint(root, "epoch", s->epoch);
    put_text(root, "active", s->active == DP_NO_REGION ? NULL : s->regions[s->active].name);
    put_bool(root, "pinned", s->pin.on);
    put_standing(root, "pin", &s->pin, r->now_wall_ms);
    put_standing(root, "frozen", &s->frozen, r->now_wall_ms);
    put_uint(root, "serving", s->serving);
    put_bool(root, "own_network_doubt", s->doubt);
    put_time(root, "own_network_doubt_since", s->doubt ? s->doubt_since_wall_ms : 0);
    put_journal(root, s);
    put_time(root, "active_since", s->active_since_wall_ms);
    put_seconds(root, "active_for_s", s->active_since_wall_ms, r->now_wall_ms);
    put_text(root, "why", s->why);
    put_text(root, "no_region", dp_no_region_name(s->no_region));
    put_bool(root, "fail_open", s->fail_open);
    put_ramp(root, s);
    put_text(root, "failback", dp_failback_name(s->failback));
    put_text(root, "failback_to",
             s->failback_to == DP_NO_REGION ? NULL : s->regions[s->failback_to].name);
    put_uint(root, "hold_down_ms", r->hold_down_ms);
    put_time(root, "failback_at", s->failback_at_wall_ms);
    if (s->failback_at_wall_ms) {
        put_seconds(root, "failback_in_s", r->now_wall_ms, s->failback_at_wall_ms);
    } else {
        put(root, "failback_in_s", json_null());
    }
    put_uint(root, "failovers", s->failovers);
    put_uint(root, "failbacks", s->failbacks);
}

void dp_report_json(const struct dp_report *r, struct dp_text *out)
{
    json_t *root = json_object();
    put_program(root, r);
    put_routing(root, r);
    put(root, "regions", regions_json(r));
    put(root, "certificates", certificates_json(r));
    put(root, "sequences", dp_report_sequences_json(r));
    put(root, "replication", dp_report_replication_json(r));
    put_uint(root, "reloads_done", r->reloads_done);
    put_uint(root, "reloads_refused", r->reloads_refused);
    put(root, "totals", totals_json(r));
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}
