/* Why: the same facts three times over. A sentence in the state (status), an object in the journal
 * with everything that the decision was made from, and a line in the log. */
#include "control/governor_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void governor_say(char *buf, size_t cap, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(buf, cap, format, args);
    va_end(args);
}

struct dp_span governor_object(char *buf, size_t cap, const struct dp_kv *kv, size_t n)
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
        DP_KV_STR("region", governor_region_name(g, g->view->active)),
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

void governor_record_reload(struct dp_governor *g, bool done, const char *actor, const char *detail)
{
    const char *event = done ? "reloaded" : "reload_refused";
    const struct dp_kv kv[] = {
        DP_KV_STR("actor", actor),
        DP_KV_STR("reason", done ? "the configuration was read again"
                                 : "what was in force before stays in force"),
        DP_KV_STR("detail", detail),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
    dp_log(done ? DP_LOG_INFO : DP_LOG_ERROR, event, DP_KV_STR("actor", actor),
           DP_KV_STR("detail", detail), DP_KV_INT("epoch", g->view->epoch));
}

void governor_record_access(struct dp_governor *g, const char *actor, const char *reason)
{
    const struct dp_kv kv[] = {DP_KV_STR("actor", actor), DP_KV_STR("reason", reason)};
    dp_journal_write(g->journal, g->view->epoch, "access_refused", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "access_refused", DP_KV_STR("actor", actor), DP_KV_STR("reason", reason));
}

void governor_record_credentials(struct dp_governor *g, uint16_t endpoint,
                                 enum dp_probe_layer layer)
{
    const char *detail = g->endpoints[endpoint].layers[DP_STATUS_LAYER_UP + layer].detail;
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_name_at(g, endpoint)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason",
                  "the region refuses the probe's credentials; it is alive, so this does not "
                  "count against it"),
        DP_KV_STR("layer", dp_probe_layer_name(layer)),
        DP_KV_INT("probe_status", g->endpoints[endpoint].last_probe.status),
        DP_KV_STR("detail", detail),
        DP_KV_STR("endpoint", g->config->endpoints[endpoint].host),
    };
    dp_journal_write(g->journal, g->view->epoch, "credentials_refused", kv,
                     DP_ARRAY_LEN(kv) - !governor_has_siblings(g, endpoint));
    dp_log(DP_LOG_WARN, "credentials_refused", DP_KV_STR("region", governor_name_at(g, endpoint)),
           DP_KV_STR("endpoint", g->config->endpoints[endpoint].host),
           DP_KV_STR("layer", dp_probe_layer_name(layer)), DP_KV_STR("detail", detail));
}

void governor_record_doubt(struct dp_governor *g, uint16_t active_before)
{
    bool on = g->doubt.on;
    const char *event = on ? "own_network_doubt" : "own_network_doubt_over";
    char buf[GOVERNOR_INPUTS_BYTES];
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_region_name(g, g->decision.after)),
        DP_KV_STR("before", governor_region_name(g, active_before)),
        DP_KV_STR("after", governor_region_name(g, g->decision.after)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason",
                  on ? "every region fell silent at once: more likely our own network than theirs; "
                       "the last good view stands, and everything is tried on"
                     : "regions answer again"),
        DP_KV_INT("span_ms", g->doubt_config.span_ns / DP_NS_PER_MS),
        DP_KV_INT("grace_ms", g->doubt_config.grace_ns / DP_NS_PER_MS),
        DP_KV_JSON("regions", governor_regions_json(g, &g->decision, buf, sizeof(buf))),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
    dp_log(on ? DP_LOG_ERROR : DP_LOG_WARN, event,
           DP_KV_STR("region", governor_region_name(g, g->decision.after)),
           DP_KV_STR("before", governor_region_name(g, active_before)),
           DP_KV_INT("epoch", g->view->epoch));
}

void governor_record_hold(struct dp_governor *g, uint16_t region)
{
    bool held = g->decision.held[region];
    bool lost = g->decision.routes[region] == DP_ROUTE_DOWN || g->regions[region].look.draining ||
                g->failover.drained[region];
    char text[DP_WHY_TEXT];
    if (!held && lost)
        return; /* told as region_down, draining or drain */
    uint64_t hold_ns = dp_failover_hold_ns(&g->failover, &g->failover_config, region);
    governor_say(text, sizeof(text),
                 held ? "it was away and may lack data: for %" PRIu64
                        " s of unbroken health it takes "
                        "only what no other region can"
                      : "it has been up for %" PRIu64 " s without a break",
                 hold_ns / DP_NS_PER_S);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_region_name(g, region)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", text),
        DP_KV_INT("hold_ms", hold_ns / DP_NS_PER_MS),
        DP_KV_INT("falls", g->failover.falls[region]),
    };
    dp_journal_write(g->journal, g->view->epoch, held ? "held_down" : "settled", kv,
                     DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_INFO, held ? "held_down" : "settled",
           DP_KV_STR("region", governor_region_name(g, region)), DP_KV_STR("reason", text),
           DP_KV_INT("epoch", g->view->epoch));
}

/* Moves. */

/* "b is down: …" for a region that was lost. */
static void lost_words(const struct dp_governor *g, uint16_t region, char *buf, size_t cap)
{
    if (region == DP_NO_REGION) {
        governor_say(buf, cap, "no region was left");
        return;
    }
    const struct governor_region *r = &g->regions[region];
    const struct dp_standing *drain = &g->drained[region];
    if (g->failover.drained[region]) {
        governor_say(buf, cap, "%s was drained by %s%s%s", governor_region_name(g, region),
                     drain->actor, drain->reason[0] ? ": " : "", drain->reason);
        return;
    }
    if (r->look.health != DP_HEALTH_DOWN && governor_locked_out(g, region)) {
        struct dp_key_status key;
        dp_keys_status(g->keys, region, &key);
        governor_say(buf, cap, "%s serves, but our credentials there are not used: %s",
                     governor_region_name(g, region), key.why);
        return;
    }
    governor_say(buf, cap, "%s is %s: %s", governor_region_name(g, region),
                 r->look.health == DP_HEALTH_DOWN ? "down"
                 : r->look.draining               ? "draining"
                                                  : "slow",
                 r->why);
}

void governor_explain_move(struct dp_governor *g, const struct dp_failover_decision *d,
                           const struct governor_cause *cause)
{
    char lost[DP_WHY_TEXT];
    switch (d->move) {
    case DP_MOVE_FAILOVER:
    case DP_MOVE_DRAIN:
        lost_words(g, d->before, lost, sizeof(lost));
        governor_say(g->why, sizeof(g->why), "%s%s",
                     g->failover.unsettled[d->after]
                         ? "it was away and may lack data, but no other is left; "
                         : "",
                     lost);
        break;
    case DP_MOVE_FAILBACK:
        governor_say(g->why, sizeof(g->why),
                     "%s is preferred and has been up for %" PRIu64
                     " s without a break (hold %" PRIu64 " s)%s",
                     governor_region_name(g, d->after), d->held_ns / DP_NS_PER_S,
                     dp_failover_hold_ns(&g->failover, &g->failover_config, d->after) / DP_NS_PER_S,
                     g->config->failback == DP_FAILBACK_GATED    ? "; its gate is open"
                     : g->config->failback == DP_FAILBACK_WINDOW ? "; a window is open"
                                                                 : "");
        break;
    case DP_MOVE_OPEN:
        lost_words(g, d->before == DP_NO_REGION ? d->after : d->before, lost, sizeof(lost));
        governor_say(
            g->why, sizeof(g->why),
            "every region is lost; no_region.policy %s sends the traffic there all the same; %s",
            dp_no_region_name(g->config->no_region), lost);
        break;
    case DP_MOVE_LOST:
        lost_words(g, d->before, lost, sizeof(lost));
        governor_say(g->why, sizeof(g->why), "no other region can take over; %s", lost);
        break;
    case DP_MOVE_REGAINED:
        governor_say(g->why, sizeof(g->why), "%s is the first region to return: %s",
                     governor_region_name(g, d->after), g->regions[d->after].why);
        break;
    case DP_MOVE_REMOVED:
        governor_say(g->why, sizeof(g->why), "%s was taken out of the configuration",
                     cause->removed);
        break;
    case DP_MOVE_COUNT:
        break;
    case DP_MOVE_SWITCH:
    case DP_MOVE_NONE:
        governor_say(g->why, sizeof(g->why), "%s chose it%s%s", cause->order->actor,
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
        const struct dp_region_look *h = &g->regions[i].look;
        const struct dp_kv kv[] = {
            DP_KV_STR("name", governor_region_name(g, i)),
            DP_KV_STR("health", dp_health_name(h->health)),
            DP_KV_BOOL("draining", h->draining),
            DP_KV_BOOL("slow", h->slow),
            DP_KV_BOOL("mute", governor_mute(g, i)),
            DP_KV_BOOL("drained", g->failover.drained[i]),
            DP_KV_BOOL("held", d->held[i]),
            DP_KV_STR("route", dp_route_state_name(d->routes[i])),
        };
        struct dp_span s = governor_object(one, sizeof(one), kv, DP_ARRAY_LEN(kv));
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
    char buf[GOVERNOR_INPUTS_BYTES], gate[GOVERNOR_GATE_BYTES];
    const char *event = dp_move_name(d->move);
    uint16_t region = d->after == DP_NO_REGION ? d->before : d->after;
    bool back = d->move == DP_MOVE_FAILBACK;
    uint64_t hold_ns = dp_failover_hold_ns(&g->failover, &g->failover_config, region);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_region_name(g, region)),
        DP_KV_STR("before", governor_region_name(g, d->before)),
        DP_KV_STR("after", governor_region_name(g, d->after)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", g->why),
        DP_KV_JSON("regions", governor_regions_json(g, d, buf, sizeof(buf))),
        /* of a failback alone */
        DP_KV_INT("held_ms", d->held_ns / DP_NS_PER_MS),
        DP_KV_INT("hold_ms", hold_ns / DP_NS_PER_MS),
        DP_KV_INT("falls", g->failover.falls[region]),
        DP_KV_INT("ramp_ms", g->config->failback_ramp_ms),
        DP_KV_JSON("gate", back ? governor_gate_json(g, region, gate) : DP_SPAN("[]")),
    };
    size_t n = back ? DP_ARRAY_LEN(kv) : DP_ARRAY_LEN(kv) - 5;
    dp_journal_write(g->journal, g->view->epoch, event, kv, n);
    dp_log(DP_LOG_WARN, event, DP_KV_STR("before", governor_region_name(g, d->before)),
           DP_KV_STR("after", governor_region_name(g, d->after)), DP_KV_STR("actor", "governor"),
           DP_KV_STR("reason", g->why), DP_KV_INT("epoch", g->view->epoch));
}

void governor_record_ramp_over(struct dp_governor *g)
{
    const char *region = governor_region_name(g, g->decision.after);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", region),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", "its share has grown to all of the traffic"),
        DP_KV_INT("ramp_ms", g->config->failback_ramp_ms),
    };
    dp_journal_write(g->journal, g->view->epoch, "ramp_over", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_INFO, "ramp_over", DP_KV_STR("region", region),
           DP_KV_INT("ramp_ms", g->config->failback_ramp_ms));
}
