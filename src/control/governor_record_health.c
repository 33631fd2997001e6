/* Why an endpoint, and with it perhaps its region, is another than before: words for people, a line for the journal. */
#include "control/governor_state.h"

#include <inttypes.h>
#include <string.h>

enum event {
    DOWN,
    SUSPECT,
    TRIAL,
    UP,
    UNKNOWN,
    SLOW,
    SLOW_OVER,
    UNPROVISIONED,
    PROVISIONED,
    DRAINING,
    DRAIN_OVER
};

static const char *event_name(enum event e, bool of_endpoint)
{
    static const struct {
        const char *region, *endpoint;
    } names[] = {
        [DOWN] = {"region_down", "endpoint_down"},
        [SUSPECT] = {"suspect", "endpoint_suspect"},
        [TRIAL] = {"trial", "endpoint_trial"},
        [UNPROVISIONED] = {"not_provisioned", "endpoint_not_provisioned"},
        [PROVISIONED] = {"provisioned", "endpoint_provisioned"},
        [UP] = {"region_up", "endpoint_up"},
        [UNKNOWN] = {"unknown", "endpoint_unknown"},
        [SLOW] = {"slow", "endpoint_slow"},
        [SLOW_OVER] = {"slow_over", "endpoint_slow_over"},
        [DRAINING] = {"draining", "endpoint_draining"},
        [DRAIN_OVER] = {"drain_over", "endpoint_drain_over"},
    };
    return of_endpoint ? names[e].endpoint : names[e].region;
}

/* What an endpoint or a region is. */
struct state {
    enum dp_health health;
    bool draining, slow, trial, unprovisioned;
};

static enum event event_of(const struct state *before, const struct state *after)
{
    if (before->health != after->health) {
        switch (after->health) {
        case DP_HEALTH_DOWN:
            return DOWN;
        case DP_HEALTH_SUSPECT:
            return after->trial ? TRIAL : SUSPECT;
        case DP_HEALTH_UP:
            return UP;
        case DP_HEALTH_UNKNOWN:
            return UNKNOWN;
        }
    }
    if (before->slow != after->slow)
        return after->slow ? SLOW : SLOW_OVER;
    if (before->trial != after->trial) /* of its slowness */
        return after->trial ? TRIAL : SLOW;
    if (before->unprovisioned != after->unprovisioned)
        return after->unprovisioned ? UNPROVISIONED : PROVISIONED;
    return after->draining ? DRAINING : DRAIN_OVER;
}

#define STATE_TEXT 64

/* "up", or "up, draining", or "up, slow". */
static const char *state_words(char buf[STATE_TEXT], const struct state *s)
{
    governor_say(buf, STATE_TEXT, "%s%s%s%s%s", dp_health_name(s->health),
                 s->trial ? ", on trial" : "", s->draining ? ", draining" : "",
                 s->slow ? ", slow" : "", s->unprovisioned ? ", not provisioned" : "");
    return buf;
}

static void evidence_words(char *buf, size_t cap, const struct dp_health_change *c)
{
    static const struct {
        const char *one, *many;
    } words[DP_HEALTH_SIGNAL_COUNT] = {
        [DP_HEALTH_SIGNAL_NONE] = {"no evidence", "no evidence"},
        [DP_HEALTH_SIGNAL_PROBES_FAILED] = {"probe failed", "probes in a row failed"},
        [DP_HEALTH_SIGNAL_SILENT] = {"probe got no answer", "probes in a row got no answer"},
        [DP_HEALTH_SIGNAL_HUSH] = {"probe got no answer, nor did any request",
                                   "probes in a row got no answer, nor did any request"},
        [DP_HEALTH_SIGNAL_UNANSWERED] = {"request got no answer",
                                         "requests in a row got no answer"},
        [DP_HEALTH_SIGNAL_ERRORS] = {"request failed, and so did the probe",
                                     "requests in a row failed, and so did the probe"},
        [DP_HEALTH_SIGNAL_ERRORS_ONLY] = {"request failed while probes pass",
                                          "requests in a row failed while probes pass"},
        [DP_HEALTH_SIGNAL_PROBES_PASSED] = {"probe passed", "probes in a row passed"},
        [DP_HEALTH_SIGNAL_REQUESTS_ANSWERED] = {"request answered, and none failed for a while",
                                                "requests answered, and none failed for a while"},
        [DP_HEALTH_SIGNAL_FAILURE_RATE] = {"recent request got no answer",
                                           "of the last requests got no answer"},
        [DP_HEALTH_SIGNAL_SLOW] = {"look found it slow", "looks in a row found it slow"},
        [DP_HEALTH_SIGNAL_SLOW_OVER] = {"probe passed after the wait",
                                        "probes passed after the wait"},
        [DP_HEALTH_SIGNAL_SLOW_TRIAL] = {"probe passed after the wait, and requests shall tell: on "
                                         "trial",
                                         "probes passed after the wait, and requests shall tell: "
                                         "on trial"},
        [DP_HEALTH_SIGNAL_SLOW_PASSED] = {"answer on trial was quick",
                                          "answers on trial were quick"},
        [DP_HEALTH_SIGNAL_SLOW_FAILED] = {"answer on trial was as slow as before",
                                          "answers on trial were as slow as before"},
        [DP_HEALTH_SIGNAL_DEEP_FAILED] = {"deeper probe failed", "deeper probes in a row failed"},
        [DP_HEALTH_SIGNAL_TRIAL_BEGUN] = {"probe passed, and requests shall prove it: on trial",
                                          "probes passed, and requests shall prove it: on trial"},
        [DP_HEALTH_SIGNAL_TRIAL_PASSED] = {"request answered on trial",
                                           "requests answered on trial"},
        [DP_HEALTH_SIGNAL_TRIAL_FAILED] = {"request failed on trial", "requests failed on trial"},
        [DP_HEALTH_SIGNAL_REGION_UNANSWERED] = {"request to the region got no answer",
                                                "requests in a row to the region got no answer"},
        [DP_HEALTH_SIGNAL_REGION_RATE] = {"recent request to the region got no answer",
                                          "of the region's last requests got no answer"},
        [DP_HEALTH_SIGNAL_UNPROVISIONED] = {"answer says that its database is not there",
                                            "answers say that its database is not there"},
        [DP_HEALTH_SIGNAL_PROVISIONED] = {"answer says that its database is there now",
                                          "answers say that its database is there now"},
        [DP_HEALTH_SIGNAL_DRAIN_ASKED] = {"answer asks to drain it", "answers ask to drain it"},
        [DP_HEALTH_SIGNAL_DRAIN_OVER] = {"probe passed after the drain",
                                         "probes in a row passed after the drain"},
    };
    governor_say(buf, cap, "%" PRIu32 " %s (threshold %" PRIu32 ")", c->count,
                 c->count == 1 ? words[c->signal].one : words[c->signal].many, c->threshold);
}

static void explain_endpoint(struct dp_governor *g, const struct governor_cause *cause)
{
    struct governor_endpoint *e = &g->endpoints[cause->endpoint];
    const char *detail = e->layers[DP_STATUS_LAYER_UP + cause->change->layer].detail;
    char words[96];
    evidence_words(words, sizeof(words), cause->change);
    if (cause->change->signal == DP_HEALTH_SIGNAL_SLOW)
        governor_say(e->why, sizeof(e->why),
                     "%s: half of its requests wait %" PRIu32
                     " ms or longer for a first byte; 95 of 100 had it "
                     "within %" PRIu32 " ms before",
                     words, cause->change->median_ms, cause->change->baseline_ms);
    else
        governor_say(e->why, sizeof(e->why), "%s%s%s%s",
                     e->answered ? "" : "no probe was answered since the start: ", words,
                     detail[0] ? "; last probe: " : "", detail);
    e->since_wall_ms = dp_clock_wall_ms(g->clock);
}

static struct state state_of(const struct dp_region_look *l)
{
    return (struct state){l->health, l->draining, l->slow, l->trial || l->slow_trial,
                          l->unprovisioned};
}

static bool region_changed(const struct dp_region_look *a, const struct dp_region_look *b)
{
    return a->health != b->health || a->draining != b->draining || a->slow != b->slow ||
           a->trial != b->trial || a->slow_trial != b->slow_trial ||
           a->unprovisioned != b->unprovisioned;
}

void governor_explain_health(struct dp_governor *g, const struct governor_cause *cause)
{
    const struct dp_endpoint_config *c = &g->config->endpoints[cause->endpoint];
    const struct governor_endpoint *e = &g->endpoints[cause->endpoint];
    struct governor_region *r = &g->regions[c->region];
    explain_endpoint(g, cause);
    if (!governor_has_siblings(g, cause->endpoint)) {
        memcpy(r->why, e->why, sizeof(r->why));
        r->since_wall_ms = e->since_wall_ms;
        return;
    }
    if (!region_changed(cause->region_before, &r->look))
        return;
    governor_say(r->why, sizeof(r->why),
                 "%u of %u endpoints serve%s (needed: %u); last %.60s: %.90s",
                 (unsigned)r->look.serving, (unsigned)r->look.members,
                 r->look.serving == 1 ? "s" : "", (unsigned)r->look.need, c->host, e->why);
    r->since_wall_ms = e->since_wall_ms;
}

/* One line of the journal and one of the log. */
static void tell(struct dp_governor *g, const char *event, uint16_t endpoint,
                 const struct state states[2], const char *why, struct dp_span inputs)
{
    char before[STATE_TEXT], after[STATE_TEXT];
    const char *region = governor_name_at(g, endpoint);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", region),
        DP_KV_STR("before", state_words(before, &states[0])),
        DP_KV_STR("after", state_words(after, &states[1])),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", why),
        DP_KV_JSON("inputs", inputs),
        DP_KV_STR("endpoint", g->config->endpoints[endpoint].host),
    };
    bool bad = states[1].health == DP_HEALTH_DOWN || states[1].health == DP_HEALTH_SUSPECT ||
               states[1].draining || states[1].slow || states[1].unprovisioned;
    size_t n = DP_ARRAY_LEN(kv) - !governor_has_siblings(g, endpoint);
    dp_journal_write(g->journal, g->view->epoch, event, kv, n);
    dp_log(bad ? DP_LOG_WARN : DP_LOG_INFO, event, DP_KV_STR("region", region),
           DP_KV_STR("endpoint", g->config->endpoints[endpoint].host), DP_KV_STR("before", before),
           DP_KV_STR("after", after), DP_KV_STR("reason", why), DP_KV_INT("epoch", g->view->epoch));
}

static void record_endpoint(struct dp_governor *g, const struct governor_cause *cause)
{
    const struct dp_health_change *c = cause->change;
    const struct governor_endpoint *e = &g->endpoints[cause->endpoint];
    char buf[GOVERNOR_INPUTS_BYTES];
    const struct dp_kv inputs[] = {
        DP_KV_STR("signal", dp_health_signal_name(c->signal)),
        DP_KV_INT("count", c->count),
        DP_KV_INT("threshold", c->threshold),
        DP_KV_INT("late_ms", e->late_ms),
        DP_KV_INT("median_ms", c->median_ms),
        DP_KV_INT("baseline_ms", c->baseline_ms),
        DP_KV_STR("probe", e->last_probe_wall_ms ? dp_probe_kind_name(c->probe) : "none"),
        DP_KV_INT("probe_status", e->last_probe.status),
        DP_KV_STR("probe_detail", e->layers[DP_STATUS_LAYER_UP + c->layer].detail),
        DP_KV_STR("layer", dp_probe_layer_name(c->layer)),
    };
    const struct state states[2] = {{c->before, c->draining_before, c->slow_before,
                                     c->trial_before || c->slow_trial_before,
                                     c->unprovisioned_before},
                                    {c->after, c->draining_after, c->slow_after,
                                     governor_on_trial(&e->health), c->unprovisioned_after}};
    tell(g, event_name(event_of(&states[0], &states[1]), governor_has_siblings(g, cause->endpoint)),
         cause->endpoint, states, e->why,
         governor_object(buf, sizeof(buf), inputs, DP_ARRAY_LEN(inputs)));
}

/* What the endpoint's change made of its region, where that is more than the endpoint. */
static void record_region(struct dp_governor *g, const struct governor_cause *cause)
{
    const struct governor_region *r = &g->regions[g->config->endpoints[cause->endpoint].region];
    char buf[GOVERNOR_INPUTS_BYTES];
    const struct dp_kv inputs[] = {
        DP_KV_STR("signal", "endpoints_serving"),
        DP_KV_INT("count", r->look.serving),
        DP_KV_INT("threshold", r->look.need),
        DP_KV_INT("endpoints", r->look.members),
        DP_KV_INT("count_before", cause->region_before->serving),
    };
    const struct state states[2] = {state_of(cause->region_before), state_of(&r->look)};
    if (!governor_has_siblings(g, cause->endpoint) ||
        !region_changed(cause->region_before, &r->look))
        return;
    tell(g, event_name(event_of(&states[0], &states[1]), false), cause->endpoint, states, r->why,
         governor_object(buf, sizeof(buf), inputs, DP_ARRAY_LEN(inputs)));
}

void governor_record_health(struct dp_governor *g, const struct governor_cause *cause)
{
    record_endpoint(g, cause);
    record_region(g, cause);
}
