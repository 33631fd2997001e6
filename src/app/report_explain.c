/* GET /explain: the sentences that an engineer who was woken needs, and the numbers they are made of. Traffic first, then
 * what comes next and what stands in its way, then each region: where it stands, what speaks against it so far,
 * how much more it takes. */
#include "davenport/base/clock.h"
#include "davenport/core/pace.h"

#include "app/report.h"
#include "app/report_keys.h"
#include "app/report_routing.h"
#include "app/report_sequences.h"
#include "app/status_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define SENTENCE 640
#define SPAN     48

DP_PRINTF(2, 3) static void say(json_t *says, const char *fmt, ...)
{
    char text[SENTENCE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    json_t *value = json_stringn(text, bytes);
    for (unsigned i = 0; i < 3 && !value && bytes > 0; i++) { /* cut inside a character */
        value = json_stringn(text, --bytes);
    }
    (void)json_array_append_new(says, value ? value : json_string(""));
}

static void say_if(json_t *says, const char *words)
{
    if (*words) {
        say(says, "%s", words);
    }
}

static const char *duration(double seconds, char buf[SPAN])
{
    dp_duration_text(seconds, buf, SPAN);
    return buf;
}

static const char *since(const struct dp_report *r, int64_t from_ms, char buf[SPAN])
{
    return duration((double)(r->now_wall_ms - from_ms) / 1000, buf);
}

/* " by ann (loopback), 3 min ago, for 7 min more: a deploy" */
static const char *standing_words(const struct dp_report *r, const struct dp_standing *s, char *buf,
                                  size_t cap)
{
    char ago[SPAN];
    char left[SPAN];
    double left_s = (double)(s->until_wall_ms - r->now_wall_ms) / 1000;
    if (snprintf(buf, cap, "by %s, %s ago%s%s%s%s%s", s->actor, since(r, s->since_wall_ms, ago),
                 s->until_wall_ms ? ", for " : ", until an operator ends it",
                 s->until_wall_ms ? duration(left_s, left) : "", s->until_wall_ms ? " more" : "",
                 s->reason[0] ? ": " : "", s->reason) < 0) {
        buf[0] = '\0';
    }
    return buf;
}

/* ---- the whole ---- */

static bool is_lost(const struct dp_region_status *g)
{
    return g->health == DP_REGION_DOWN || g->draining;
}

static void say_where(const struct dp_report *r, json_t *says)
{
    const struct dp_status *s = &r->status;
    char ago[SPAN];
    since(r, s->active_since_wall_ms, ago);
    if (s->active == DP_NO_REGION) {
        say(says, "traffic goes nowhere (for %s): %s", ago, s->why);
        return;
    }
    if (s->doubt) {
        char doubted[SPAN];
        say(says,
            "every region fell silent at once, %s ago: more likely our own network than theirs; "
            "the last good view stands, and everything is tried on",
            since(r, s->doubt_since_wall_ms, doubted));
    }
    const struct dp_region_status *a = &s->regions[s->active];
    say(says, "traffic goes to %s (for %s): %s", a->name, ago, s->why);
    if (is_lost(a)) {
        say(says, "%s is %s and keeps the traffic all the same: %s", a->name,
            a->health == DP_REGION_DOWN ? "down" : "draining",
            s->frozen.on   ? "it is frozen there"
            : s->fail_open ? "every region is lost, and no_region.policy says so"
                           : "a switch forced it");
    }
    if (s->ramp_from != DP_NO_REGION) {
        say(says,
            "it takes %u %% of the reads so far, since it has just returned; the rest goes to %s",
            (unsigned)s->share_percent, s->regions[s->ramp_from].name);
    }
}

static void say_held(const struct dp_report *r, json_t *says)
{
    const uint64_t held = r->totals[DP_TOTAL_held];
    if (held > 0) {
        say(says, "%" PRIu64 " request%s for a region that can take %s (hold.ms)", held,
            held == 1 ? " waits" : "s wait", held == 1 ? "it" : "them");
    }
}

static void say_orders(const struct dp_report *r, json_t *says)
{
    const struct dp_status *s = &r->status;
    char words[SENTENCE];
    if (s->frozen.on) {
        say(says, "frozen %s", standing_words(r, &s->frozen, words, sizeof words));
        say(says, "nothing moves by itself, not even away from a dead region (davenport unfreeze)");
    }
    if (s->pin.on) {
        say(says, "pinned %s", standing_words(r, &s->pin, words, sizeof words));
        say(says, "no failback undoes that, but the region is left if it is lost");
    }
    for (uint16_t i = 0; i < s->n_regions; i++) {
        char fault[DP_FAULT_WORDS];
        if (s->regions[i].faulted.on) {
            say(says, "a drill: %s is %s on purpose, %s", s->regions[i].name,
                dp_fault_words(&s->regions[i].fault, fault),
                standing_words(r, &s->regions[i].faulted, words, sizeof words));
        }
        if (s->regions[i].drained.on) {
            say(says, "%s is drained %s", s->regions[i].name,
                standing_words(r, &s->regions[i].drained, words, sizeof words));
        }
    }
}

static void say_no_region(const struct dp_status *s, json_t *says)
{
    switch (s->no_region) {
    case DP_NO_REGION_REFUSE:
        break;
    case DP_NO_REGION_LAST_GOOD:
        say(says, "if every region is lost, traffic stays where it was last "
                  "(no_region.policy last_good)");
        return;
    case DP_NO_REGION_PRIMARY:
        say(says, "if every region is lost, traffic goes to %s (no_region.policy primary)",
            s->regions[0].name);
        return;
    }
    say(says, "if every region is lost, applications get 503 (no_region.policy 503)");
}

/* What the way back takes, condition by condition, and when. */
static void say_failback(const struct dp_report *r, json_t *says)
{
    const struct dp_status *s = &r->status;
    char wait[SPAN];
    if (s->failback_to == DP_NO_REGION) {
        if (s->active != 0 && s->active != DP_NO_REGION && s->failback == DP_FAILBACK_MANUAL) {
            say(says, "failback is manual: davenport switch %s", s->regions[0].name);
        }
        return;
    }
    const struct dp_region_status *to = &s->regions[s->failback_to];
    if (s->failback_at_wall_ms) {
        say(says, "%s takes the traffic back in %s if it stays well%s", to->name,
            duration((double)(s->failback_at_wall_ms - r->now_wall_ms) / 1000, wait),
            s->failback == DP_FAILBACK_GATED ? " and its gate open" : "");
    } else {
        say(says, "%s takes the traffic back when its gate opens", to->name);
    }
    if (s->failback != DP_FAILBACK_GATED && s->failback != DP_FAILBACK_WINDOW) {
        return;
    }
    for (uint16_t i = 0; i < to->gate.n; i++) {
        const struct dp_gate_condition *c = &to->gate.conditions[i];
        say(says, "its gate: %s is %s: %s", dp_gate_kind_name(c->kind),
            dp_gate_state_name(c->state), c->why);
    }
}

static void say_next(const struct dp_report *r, json_t *says)
{
    const struct dp_status *s = &r->status;
    const char *active = s->active == DP_NO_REGION ? NULL : s->regions[s->active].name;
    if (active && s->heir != DP_NO_REGION && is_lost(&s->regions[s->active])) {
        const char *heir = s->regions[s->heir].name;
        say(says, "the way out: davenport switch %s%s", heir,
            s->regions[s->heir].lost_data ? " (it was away and may lack data)" : "");
    } else if (active && s->heir != DP_NO_REGION) {
        say(says, "if %s is lost, %s %s%s", active, s->regions[s->heir].name,
            s->frozen.on ? "would take over, were it not frozen" : "takes over",
            s->regions[s->heir].lost_data ? " (it was away and may lack data)" : "");
    } else if (active) {
        say(says, "if %s is lost, no region can take over", active);
    }
    if (s->heir == DP_NO_REGION) {
        say_no_region(s, says);
    }
    say_failback(r, says);
    if (s->dwell_left_ms) {
        say(says, "the last move is young: for %.1f s a switch needs --force",
            (double)s->dwell_left_ms / 1000);
    }
    if (s->serving <= s->config->min_regions) {
        say(says,
            "%u region%s known to serve, and safety.min_regions is %u: none of them is drained "
            "without --force",
            (unsigned)s->serving, s->serving == 1 ? " is" : "s are",
            (unsigned)s->config->min_regions);
    }
    if (!s->journal.file) {
        say(says, "there is no journal.path: a restart forgets orders and history");
    } else if (s->journal.troubled || s->journal.lost) {
        say(says, "the journal's disk %s; %u lines wait, %" PRIu64 " are lost",
            s->journal.troubled ? "refuses it" : "takes it again", (unsigned)s->journal.waiting,
            s->journal.lost);
    }
}

/* ---- one region ---- */

static void say_role(const struct dp_report *r, const struct dp_region_status *g, json_t *says)
{
    const struct dp_status *s = &r->status;
    if (g->active) {
        say(says, s->config->mode == DP_MODE_ACTIVE_PASSIVE
                      ? "takes the traffic"
                      : "the active region: takes what belongs to one region");
    } else if (g->drained.on) {
        say(says, "takes nothing, not even as a last resort: drained (davenport resume %s)",
            g->name);
    } else if (g->health == DP_REGION_DOWN) {
        say(says, "takes nothing: it is down");
    } else if (g->draining) {
        say(says, "takes nothing: it asks to be drained (maintenance)");
    } else if (g->held_down) {
        say(says, "held: it was away and may lack data, so it takes %s",
            g->route == DP_ROUTE_OK ? "only what fails in the active region"
                                    : "nothing while another region can");
    } else {
        say(says,
            s->config->nearest
                ? "serves%s: takes what fails elsewhere, and what is its own by the rules"
                : "stands by%s: takes what fails in the active region",
            s->heir != DP_NO_REGION && &s->regions[s->heir] == g ? ", next in line" : "");
    }
}

static void say_missing(const struct dp_control_config *c, const struct dp_region_status *g,
                        json_t *says)
{
    struct dp_text names = {0};
    for (uint16_t i = 0; i < c->n_probe_databases; i++) {
        if (g->missing >> i & 1) {
            dp_text_addf(&names, "%s%s", names.n ? ", " : "", c->probe_databases[i]);
        }
    }
    say(says, "not provisioned: %s%s not there; it is used only when nothing else is left",
        names.n ? dp_text_str(&names) : "its database", names.n ? ":" : " is");
    dp_text_fini(&names);
}

static void say_trial(const struct dp_control_config *c, const struct dp_region_status *g,
                      json_t *says)
{
    if (g->slow && g->health != DP_REGION_DOWN) {
        say(says,
            "on trial: most of %u reads that may be sent again elsewhere must be quick here again",
            (unsigned)c->trial_requests);
    } else {
        say(says,
            "on trial: probes pass, but requests had failed here; %u reads that may be sent "
            "again elsewhere must be answered first, most of them quickly, and %s",
            (unsigned)c->trial_requests,
            g->active ? "it has the traffic: a row of failures ends it, as anywhere"
                      : "one without an answer ends it");
    }
}

/* How much more it takes until it is trusted, or settled. */
static void say_way_back(const struct dp_report *r, const struct dp_region_status *g, json_t *says)
{
    const struct dp_control_config *c = r->status.config;
    char wait[SPAN];
    char key[320];
    bool passes = g->probes.successes_in_row >= c->rise;
    if (g->health == DP_REGION_DOWN && passes && g->tried_in_ms) {
        say(says,
            "its probes pass, but requests had failed there: it is %s in %.1f s at the earliest",
            c->trial_requests ? "tried with a few reads" : "trusted",
            (double)g->tried_in_ms / 1000);
    } else if ((g->health == DP_REGION_DOWN || g->health == DP_REGION_SUSPECT) && !g->trial &&
               !passes) {
        say(says, "%u of %u good probes in a row until it is trusted",
            (unsigned)g->probes.successes_in_row, (unsigned)c->rise);
    }
    if (g->trial) {
        say_trial(c, g, says);
    }
    if (g->unprovisioned) {
        say_missing(c, g, says);
    }
    if (*dp_keys_words(&g->key, r->now_wall_ms, key, sizeof key)) {
        say(says, "%s", key);
    }
    if (g->slow) {
        say(says, "slow: far slower than it was and than others are");
    }
    if (g->falls > 1) {
        say(says, "lost %u times since it was last well for long: its hold is %s",
            (unsigned)g->falls, duration((double)g->hold_ms / 1000, wait));
    }
    if (g->lost_data && g->well_for_ms < g->hold_ms && g->health == DP_REGION_UP &&
        !g->drained.on && !g->draining) {
        say(says, "settled in %s if it stays well",
            duration((double)(g->hold_ms - g->well_for_ms) / 1000, wait));
    }
}

/* What speaks against it so far, each with what it takes. */
static void say_evidence(const struct dp_report *r, const struct dp_region_status *g, json_t *says)
{
    const struct dp_control_config *c = r->status.config;
    uint64_t window = (uint64_t)g->window_good + g->window_bad;
    if (g->quorum_missed) {
        char ago[SPAN];
        say(says,
            "%" PRIu64 " writes were taken by fewer of its nodes than its quorum, the last one %s "
            "ago: they are kept, with fewer copies than wanted",
            g->quorum_missed, since(r, g->quorum_missed_wall_ms, ago));
    }
    if (g->health == DP_REGION_DOWN) {
        return;
    }
    char silent[64] = "";
    if (c->silent > c->fall)
        (void)snprintf(silent, sizeof(silent), ", %u where they got no answer at all",
                       (unsigned)c->silent);
    say(says,
        "down after %u failed probes in a row%s (now %u) or %u requests in a row without an answer "
        "(now %u)",
        (unsigned)c->fall, silent, (unsigned)g->probes.failures_in_row,
        (unsigned)c->traffic_failures, (unsigned)g->unanswered);
    if (g->errors) {
        say(says, "%u requests in a row ended with 5xx: doubt only, unless probes fail too",
            (unsigned)g->errors);
    }
    if (g->slow_from_ms && !g->slow) {
        say(says,
            "slow after %d looks in a row that find half of its requests at %u ms or more, and at "
            "twice what others take (now %u); 95 of 100 take %u ms at most",
            DP_PACE_WINDOWS, (unsigned)g->slow_from_ms, (unsigned)g->slow_windows,
            (unsigned)g->usual_ms);
    }
    if (c->failure_requests && window >= c->failure_requests) {
        say(says,
            "%u of the last %" PRIu64 " requests (%" PRIu64 " %%) got no answer; down at %u %%",
            (unsigned)g->window_bad, window, g->window_bad * 100 / window,
            (unsigned)c->failure_percent);
    }
}

/* A vacant one is of no region. */
static bool is_of(const struct dp_status *s, const struct dp_endpoint_status *e,
                  const struct dp_region_status *g)
{
    return e->region < s->n_regions && &s->regions[e->region] == g;
}

/* What each layer of probes said last, where there is more than one. */
static void say_layers(const struct dp_report *r, const struct dp_region_status *g, json_t *says)
{
    const struct dp_status *s = &r->status;
    char age[SPAN];
    for (uint16_t i = 0; i < s->n_endpoints; i++) {
        const struct dp_endpoint_status *e = &s->endpoints[i];
        for (unsigned l = DP_STATUS_LAYER_DATABASE; l < DP_STATUS_LAYERS; l++) {
            const struct dp_layer_status *layer = &e->layers[l];
            if (is_of(s, e, g) && layer->result) {
                say(says, "probe of %s%s%s: %s, %s ago (%s)",
                    dp_status_layer_name((enum dp_status_layer)l), g->n_endpoints > 1 ? " at " : "",
                    g->n_endpoints > 1 ? e->url : "", layer->result,
                    since(r, layer->last_wall_ms, age), layer->detail);
            }
        }
    }
}

/* Of several, each: it has its own evidence, and requests that it gets or not. */
static void say_endpoints(const struct dp_report *r, const struct dp_region_status *g, json_t *says)
{
    const struct dp_status *s = &r->status;
    char age[SPAN];
    if (g->n_endpoints < 2) {
        return;
    }
    say(says, "%u of %u endpoints serve%s; down when fewer than %u do", (unsigned)g->serving,
        (unsigned)g->n_endpoints, g->serving == 1 ? "s" : "", (unsigned)g->need);
    for (uint16_t i = 0; i < s->n_endpoints; i++) {
        const struct dp_endpoint_status *e = &s->endpoints[i];
        if (is_of(s, e, g)) {
            say(says, "%s: %s%s%s for %s, %s requests: %s", e->url,
                dp_region_health_name(e->health), e->draining ? ", draining" : "",
                e->slow ? ", slow" : "", since(r, e->since_wall_ms, age),
                e->route == DP_ROUTE_OK ? "takes" : "takes no", e->why);
        }
    }
}

static json_t *evidence_json(const struct dp_report *r, const struct dp_region_status *g)
{
    const struct dp_control_config *c = r->status.config;
    json_t *e = json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I}",
        "probes_failed_in_row", (int)g->probes.failures_in_row, "fall", (int)c->fall,
        "probes_passed_in_row", (int)g->probes.successes_in_row, "rise", (int)c->rise,
        "unanswered_in_row", (int)g->unanswered, "errors_in_row", (int)g->errors, "failures",
        (int)c->traffic_failures, "window_bad", (int)g->window_bad, "window_good",
        (int)g->window_good, "window_percent", (int)c->failure_percent, "late_ms", (int)g->late_ms,
        "usual_ms", (int)g->usual_ms, "slow_from_ms", (int)g->slow_from_ms, "slow_looks_in_row",
        (int)g->slow_windows, "slow_looks", DP_PACE_WINDOWS, "well_for_ms",
        (json_int_t)g->well_for_ms, "hold_ms", (json_int_t)g->hold_ms);
    return e ? e : json_null();
}

/* A word for the list's first column. */
static json_t *state_json(const struct dp_region_status *g)
{
    char text[96];
    if (snprintf(text, sizeof text, "%s%s%s%s%s%s", dp_region_health_name(g->health),
                 g->drained.on ? ", drained" : "", g->draining ? ", draining" : "",
                 g->trial           ? ", on trial"
                 : g->unprovisioned ? ", not provisioned"
                 : g->slow          ? ", slow"
                                    : "",
                 g->held_down ? ", held" : "", g->faulted.on ? ", in a drill" : "") < 0) {
        text[0] = '\0';
    }
    return json_string(text);
}

static json_t *region_json(const struct dp_report *r, const struct dp_region_status *g)
{
    char words[SENTENCE];
    char age[SPAN];
    json_t *says = json_array();
    json_t *region = json_object();
    (void)json_object_set_new(region, "name", json_string(g->name));
    (void)json_object_set_new(region, "active", json_boolean(g->active));
    (void)json_object_set_new(region, "state", state_json(g));
    (void)json_object_set_new(region, "route", json_string(dp_route_state_name(g->route)));
    say_role(r, g, says);
    for (unsigned i = 0; i < DP_ROUTING_SENTENCES; i++) {
        say_if(says, dp_routing_region_words(&r->status, g, i, words, sizeof words));
    }
    say(says, "%s for %s: %s", dp_region_health_name(g->health), since(r, g->since_wall_ms, age),
        g->why);
    say_way_back(r, g, says);
    say_evidence(r, g, says);
    say_endpoints(r, g, says);
    say_layers(r, g, says);
    dp_report_sequences_words(r, g->name, words, sizeof words);
    say_if(says, words);
    if (g->probes.last_wall_ms) {
        say(says, "last probe %s ago: %s", since(r, g->probes.last_wall_ms, age), g->probes.last);
    }
    (void)json_object_set_new(region, "says", says);
    (void)json_object_set_new(region, "evidence", evidence_json(r, g));
    return region;
}

void dp_report_explain(const struct dp_report *r, struct dp_text *out)
{
    const struct dp_status *s = &r->status;
    json_t *root = json_object();
    json_t *says = json_array();
    json_t *regions = json_array();
    (void)json_object_set_new(root, "epoch", json_integer((json_int_t)s->epoch));
    (void)json_object_set_new(root, "active",
                              s->active == DP_NO_REGION ? json_null()
                                                        : json_string(s->regions[s->active].name));
    (void)json_object_set_new(root, "frozen", json_boolean(s->frozen.on));
    (void)json_object_set_new(root, "pinned", json_boolean(s->pin.on));
    say_where(r, says);
    say_held(r, says);
    for (unsigned i = 0; i < DP_ROUTING_SENTENCES; i++) {
        char words[SENTENCE];
        say_if(says, dp_routing_words(s, i, words, sizeof words));
    }
    say_orders(r, says);
    say_next(r, says);
    (void)json_object_set_new(root, "says", says);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        (void)json_array_append_new(regions, region_json(r, &s->regions[i]));
    }
    (void)json_object_set_new(root, "regions", regions);
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}
