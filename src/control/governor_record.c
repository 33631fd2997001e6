/* Why: the same facts three times over. A sentence in the state (status), an object in the journal
 * with everything that the decision was made from, and a line in the log. */
#include "control/governor_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INPUTS_BYTES 3072

static const char *name_of(const struct dp_governor *g, uint16_t region)
{
    return region == DP_NO_REGION ? "none" : g->config->regions[region].name;
}

/* Text for people, cut where it does not fit. */
DP_PRINTF(3, 4) static void say(char *buf, size_t cap, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(buf, cap, format, args);
    va_end(args);
}

/* The fields as one JSON object. An object that does not fit is {}. */
static struct dp_span object(char *buf, size_t cap, const struct dp_kv *kv, size_t n)
{
    bool cut;
    size_t at = dp_kv_write(buf, cap - 1, kv, n, &cut);
    if (cut || at == 0)
        return DP_SPAN("{}");
    buf[0] = '{'; /* in place of the first comma */
    buf[at] = '}';
    return (struct dp_span){buf, at + 1};
}

void governor_record_plain(struct dp_governor *g, const char *event)
{
    const struct dp_kv kv[] = {
        DP_KV_STR("region", name_of(g, g->view->active)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", g->why),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
}

void governor_record_forgotten(struct dp_governor *g)
{
    const struct dp_kv kv[] = {
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", "the state file beside the journal is damaged: what operators ordered "
                            "before this start is not known"),
    };
    dp_journal_write(g->journal, g->view->epoch, "orders_forgotten", kv, DP_ARRAY_LEN(kv));
}

void governor_record_stall(struct dp_governor *g)
{
    int64_t ms = (int64_t)(g->lag.length_ns / DP_NS_PER_MS);
    const struct dp_kv kv[] = {
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", "the control loop was late; timeouts of this time are not held against "
                            "any region"),
        DP_KV_INT("late_ms", ms),
    };
    dp_journal_write(g->journal, g->view->epoch, "stalled", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "control_loop_stalled", DP_KV_INT("late_ms", ms));
}

void governor_record_reload(struct dp_governor *g, bool done, const char *detail)
{
    const char *event = done ? "reloaded" : "reload_refused";
    const struct dp_kv kv[] = {
        DP_KV_STR("actor", "operator"),
        DP_KV_STR("reason", done ? "SIGHUP" : "SIGHUP; what was in force before stays in force"),
        DP_KV_STR("detail", detail),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
    dp_log(done ? DP_LOG_INFO : DP_LOG_ERROR, event, DP_KV_STR("detail", detail),
           DP_KV_INT("epoch", g->view->epoch));
}

void governor_record_credentials(struct dp_governor *g, uint16_t endpoint)
{
    const struct governor_endpoint *e = &g->endpoints[endpoint];
    const struct dp_kv kv[] = {
        DP_KV_STR("region", name_of(g, endpoint)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason",
                  "the region refuses the probe's credentials; it is alive, so this does not "
                  "count against it"),
        DP_KV_INT("probe_status", e->last_probe.status),
    };
    dp_journal_write(g->journal, g->view->epoch, "credentials_refused", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "credentials_refused", DP_KV_STR("region", name_of(g, endpoint)),
           DP_KV_INT("status", e->last_probe.status));
}

/* Health. */

static const char *health_event(const struct dp_health_change *c)
{
    if (c->before != c->after) {
        switch (c->after) {
        case DP_HEALTH_DOWN:
            return "region_down";
        case DP_HEALTH_SUSPECT:
            return "suspect";
        case DP_HEALTH_UP:
            return "region_up";
        case DP_HEALTH_UNKNOWN:
            return "unknown";
        }
    }
    if (c->slow_before != c->slow_after)
        return c->slow_after ? "slow" : "slow_over";
    return c->draining_after ? "draining" : "drain_over";
}

/* "up", or "up, draining", or "up, slow". */
static const char *state_words(char buf[32], enum dp_health h, bool draining, bool slow)
{
    say(buf, 32, "%s%s%s", dp_health_name(h), draining ? ", draining" : "", slow ? ", slow" : "");
    return buf;
}

static void evidence_words(char *buf, size_t cap, const struct dp_health_change *c)
{
    static const struct {
        const char *one, *many;
    } words[DP_HEALTH_SIGNAL_COUNT] = {
        [DP_HEALTH_SIGNAL_NONE] = {"no evidence", "no evidence"},
        [DP_HEALTH_SIGNAL_PROBES_FAILED] = {"probe failed", "probes in a row failed"},
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
        [DP_HEALTH_SIGNAL_DRAIN_ASKED] = {"answer asks to drain it", "answers ask to drain it"},
        [DP_HEALTH_SIGNAL_DRAIN_OVER] = {"probe passed after the drain",
                                         "probes in a row passed after the drain"},
    };
    say(buf, cap, "%" PRIu32 " %s (threshold %" PRIu32 ")", c->count,
        c->count == 1 ? words[c->signal].one : words[c->signal].many, c->threshold);
}

void governor_explain_health(struct dp_governor *g, const struct governor_cause *cause)
{
    struct governor_endpoint *e = &g->endpoints[cause->endpoint];
    char words[96];
    evidence_words(words, sizeof(words), cause->change);
    if (cause->change->signal == DP_HEALTH_SIGNAL_SLOW)
        say(e->why, sizeof(e->why),
            "%s: half of its requests wait %" PRIu32
            " ms or longer for a first byte; 95 of 100 had it "
            "within %" PRIu32 " ms before",
            words, cause->change->median_ms, cause->change->baseline_ms);
    else
        say(e->why, sizeof(e->why), "%s%s%s", words,
            e->last_probe.detail[0] ? "; last probe: " : "", e->last_probe.detail);
    e->since_wall_ms = dp_clock_wall_ms(g->clock);
}

void governor_record_health(struct dp_governor *g, const struct governor_cause *cause)
{
    const struct dp_health_change *c = cause->change;
    const struct governor_endpoint *e = &g->endpoints[cause->endpoint];
    const char *region = name_of(g, cause->endpoint);
    char before[32], after[32], buf[INPUTS_BYTES];
    const struct dp_kv inputs[] = {
        DP_KV_STR("signal", dp_health_signal_name(c->signal)),
        DP_KV_INT("count", c->count),
        DP_KV_INT("threshold", c->threshold),
        DP_KV_INT("late_ms", e->late_ms),
        DP_KV_INT("median_ms", c->median_ms),
        DP_KV_INT("baseline_ms", c->baseline_ms),
        DP_KV_STR("probe", e->last_probe_wall_ms ? dp_probe_kind_name(c->probe) : "none"),
        DP_KV_INT("probe_status", e->last_probe.status),
        DP_KV_STR("probe_detail", e->last_probe.detail),
    };
    const struct dp_kv kv[] = {
        DP_KV_STR("region", region),
        DP_KV_STR("before", state_words(before, c->before, c->draining_before, c->slow_before)),
        DP_KV_STR("after", state_words(after, c->after, c->draining_after, c->slow_after)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", e->why),
        DP_KV_JSON("inputs", object(buf, sizeof(buf), inputs, DP_ARRAY_LEN(inputs))),
    };
    bool bad = c->after == DP_HEALTH_DOWN || c->after == DP_HEALTH_SUSPECT || c->draining_after ||
               c->slow_after;
    dp_journal_write(g->journal, g->view->epoch, health_event(c), kv, DP_ARRAY_LEN(kv));
    dp_log(bad ? DP_LOG_WARN : DP_LOG_INFO, health_event(c), DP_KV_STR("region", region),
           DP_KV_STR("before", before), DP_KV_STR("after", after), DP_KV_STR("reason", e->why),
           DP_KV_INT("epoch", g->view->epoch));
}

void governor_record_hold(struct dp_governor *g, uint16_t region)
{
    bool held = g->decision.held[region];
    bool lost = g->decision.routes[region] == DP_ROUTE_DOWN ||
                g->endpoints[region].health.draining || g->failover.drained[region];
    char text[DP_WHY_TEXT];
    if (!held && lost)
        return; /* told as region_down, draining or drain */
    say(text, sizeof(text),
        held ? "it was away and may lack data: for %" PRIu32 " s of unbroken health it takes "
               "only what no other region can"
             : "it has been up for %" PRIu32 " s without a break",
        g->config->failback_hold_ms / 1000);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", name_of(g, region)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", text),
        DP_KV_INT("hold_ms", g->config->failback_hold_ms),
    };
    dp_journal_write(g->journal, g->view->epoch, held ? "held_down" : "settled", kv,
                     DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_INFO, held ? "held_down" : "settled", DP_KV_STR("region", name_of(g, region)),
           DP_KV_STR("reason", text), DP_KV_INT("epoch", g->view->epoch));
}

/* Moves. */

/* "b is down: …" for a region that was lost. */
static void lost_words(const struct dp_governor *g, uint16_t region, char *buf, size_t cap)
{
    if (region == DP_NO_REGION) {
        say(buf, cap, "no region was left");
        return;
    }
    const struct governor_endpoint *e = &g->endpoints[region];
    const struct dp_standing *drain = &g->drained[region];
    if (g->failover.drained[region]) {
        say(buf, cap, "%s was drained by %s%s%s", name_of(g, region), drain->actor,
            drain->reason[0] ? ": " : "", drain->reason);
        return;
    }
    say(buf, cap, "%s is %s: %s", name_of(g, region),
        e->health.health == DP_HEALTH_DOWN ? "down"
        : e->health.draining               ? "draining"
                                           : "slow",
        e->why);
}

void governor_explain_move(struct dp_governor *g, const struct dp_failover_decision *d,
                           const struct governor_cause *cause)
{
    char lost[DP_WHY_TEXT];
    switch (d->move) {
    case DP_MOVE_FAILOVER:
    case DP_MOVE_DRAIN:
        lost_words(g, d->before, g->why, sizeof(g->why));
        break;
    case DP_MOVE_FAILBACK:
        say(g->why, sizeof(g->why),
            "%s is preferred and has been up for %" PRIu64 " s without a break (hold %" PRIu32
            " s)",
            name_of(g, d->after), d->held_ns / DP_NS_PER_S, g->config->failback_hold_ms / 1000);
        break;
    case DP_MOVE_LOST:
        lost_words(g, d->before, lost, sizeof(lost));
        say(g->why, sizeof(g->why), "no other region can take over; %s", lost);
        break;
    case DP_MOVE_REGAINED:
        say(g->why, sizeof(g->why), "%s is the first region to return: %s", name_of(g, d->after),
            g->endpoints[d->after].why);
        break;
    case DP_MOVE_SWITCH:
    case DP_MOVE_NONE:
        say(g->why, sizeof(g->why), "%s chose it%s%s", cause->order->actor,
            cause->order->reason[0] ? ": " : "", cause->order->reason);
        break;
    }
}

struct dp_span governor_regions_json(const struct dp_governor *g,
                                     const struct dp_failover_decision *d, char *buf, size_t cap)
{
    size_t at = 0;
    buf[at++] = '[';
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        char one[256];
        const struct dp_health_state *h = &g->endpoints[i].health;
        const struct dp_kv kv[] = {
            DP_KV_STR("name", name_of(g, i)),
            DP_KV_STR("health", dp_health_name(h->health)),
            DP_KV_BOOL("draining", h->draining),
            DP_KV_BOOL("slow", h->slow),
            DP_KV_BOOL("drained", g->failover.drained[i]),
            DP_KV_BOOL("held", d->held[i]),
            DP_KV_STR("route", dp_route_state_name(d->routes[i])),
        };
        struct dp_span s = object(one, sizeof(one), kv, DP_ARRAY_LEN(kv));
        if (cap - at < s.n + 2)
            break;
        if (i)
            buf[at++] = ',';
        memcpy(buf + at, s.p, s.n);
        at += s.n;
    }
    buf[at++] = ']';
    return (struct dp_span){buf, at};
}

void governor_record_move(struct dp_governor *g, const struct dp_failover_decision *d)
{
    char buf[INPUTS_BYTES];
    const char *event = dp_move_name(d->move);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", name_of(g, d->after == DP_NO_REGION ? d->before : d->after)),
        DP_KV_STR("before", name_of(g, d->before)),
        DP_KV_STR("after", name_of(g, d->after)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", g->why),
        DP_KV_JSON("regions", governor_regions_json(g, d, buf, sizeof(buf))),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, event, DP_KV_STR("before", name_of(g, d->before)),
           DP_KV_STR("after", name_of(g, d->after)), DP_KV_STR("actor", "governor"),
           DP_KV_STR("reason", g->why), DP_KV_INT("epoch", g->view->epoch));
}
