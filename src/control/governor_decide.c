/* From evidence to views: steps the pure cores, and when the routing changed makes a new view of
 * it. */
#include "control/governor_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is late is told anew when it moved by more than a fourth. */
#define LATE_STEP 4

void governor_regions(const struct dp_governor *g, struct dp_failover_region *out)
{
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        const struct dp_region_look *l = &g->regions[i].look;
        unsigned unmet = governor_gate_unmet(g, i);
        out[i] = (struct dp_failover_region){
            .health = l->health,
            .draining = l->draining || governor_locked_out(g, i),
            .slow = l->slow,
            .mute = governor_mute(g, i),
            .unprovisioned = l->unprovisioned,
            .shut = unmet != 0 || governor_hands_over(g, i),
            .unready = (unmet & ~DP_GATE_BIT(DP_GATE_WINDOW)) != 0,
        };
    }
    governor_soften(g, out);
}

/* Nothing is tried where an operator wants no requests, nor where answers are known to be of yesterday. */
static uint32_t trial_mask(const struct dp_governor *g)
{
    uint32_t mask = 0;
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        if (governor_on_trial(&g->endpoints[i].health) && !g->endpoints[i].health.draining &&
            !g->failover.drained[g->config->endpoints[i].region] &&
            !governor_lacks(g, g->config->endpoints[i].region))
            mask |= UINT32_C(1) << i;
    }
    return mask;
}

/* Of the reads that it would get. */
static uint8_t share_of(const struct dp_governor *g, uint16_t region)
{
    return region == g->decision.after ? (uint8_t)g->decision.share_percent : 100;
}

/* A view outlives the configuration that it was made of, so it has the names by itself. */
static const char *keep_text(char **at, const char *text)
{
    char *copy = *at;
    size_t n = strlen(text) + 1;
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

static size_t text_bytes(const struct dp_control_config *c)
{
    size_t n = 1;
    for (uint16_t i = 0; i < c->n_regions; i++)
        n += strlen(c->regions[i].name) + 1;
    for (uint16_t i = 0; i < c->n_endpoints; i++)
        n += c->endpoints[i].url ? strlen(c->endpoints[i].host) + 1 : 0;
    return n;
}

static void view_endpoints(const struct dp_governor *g, struct dp_view *v, char *text)
{
    enum dp_route_state routes[DP_MAX_ENDPOINTS];
    governor_routes(g, routes);
    for (uint16_t i = 0; i < v->n_endpoints; i++) {
        const struct dp_endpoint_config *c = &g->config->endpoints[i];
        v->endpoints[i] = (struct dp_view_endpoint){.region = DP_VIEW_GONE,
                                                    .state = routes[i],
                                                    .pool_epoch = g->endpoints[i].pool_epoch,
                                                    .host = ""};
        if (!c->url)
            continue;
        v->endpoints[i].region = c->region;
        v->endpoints[i].addrs = g->endpoints[i].addrs;
        v->endpoints[i].late_ms = g->endpoints[i].late_ms;
        v->endpoints[i].usual_ms = g->endpoints[i].usual_ms;
        v->endpoints[i].trial = g->endpoints[i].trial;
        v->endpoints[i].max_in_flight = governor_cap(g, c->region, routes);
        v->endpoints[i].host = keep_text(&text, c->host);
    }
}

static struct dp_view *view_with_text(const struct dp_control_config *c)
{
    struct dp_view *v = dp_view_new();
    if (!v)
        return NULL;
    v->text = malloc(text_bytes(c));
    if (v->text)
        return v;
    dp_view_unref(v);
    return NULL;
}

bool governor_reserve_view(struct dp_governor *g, const struct dp_control_config *c)
{
    g->spare = view_with_text(c);
    return g->spare != NULL;
}

static struct dp_view *view_of(struct dp_governor *g, uint64_t epoch)
{
    struct dp_view *v = g->spare ? g->spare : view_with_text(g->config);
    g->spare = NULL;
    if (!v) {
        dp_log(DP_LOG_ERROR, "view_failed", DP_KV_STR("reason", "out of memory"));
        return NULL;
    }
    char *text = v->text;
    v->epoch = epoch;
    v->active = g->decision.after;
    v->n_regions = g->config->n_regions;
    v->n_endpoints = g->config->n_endpoints;
    if (g->view && g->view->n_endpoints > v->n_endpoints) /* vacant, for who is on the way there */
        v->n_endpoints = g->view->n_endpoints;
    v->home = g->failover.home;
    v->parted = g->parted;
    v->pause = governor_pause(g);
    v->trial_mask = trial_mask(g);
    v->trials = g->health_config.trial_requests;
    v->retry_after_s = g->config->retry_after_s;
    v->generation = g->generation;
    v->numbering = g->numbering;
    for (uint16_t i = 0; i < v->n_regions; i++)
        v->regions[i] = (struct dp_view_region){
            .name = keep_text(&text, g->config->regions[i].name),
            .state = governor_route(g, i),
            .held = g->decision.held[i],
            .share = share_of(g, i),
            .latency_us = g->regions[i].distance_us,
            .injected = g->config->regions[i].key.type != DP_CREDENTIAL_PASSTHROUGH,
            .awaits_key = governor_awaits_key(g, i),
            .credential = dp_credential_ref(dp_keys_for_requests(g->keys, i))};
    view_endpoints(g, v, text);
    governor_view_faults(g, v);
    return v;
}

static bool routes_same(const struct dp_governor *g)
{
    const struct dp_view *v = g->view;
    enum dp_route_state routes[DP_MAX_ENDPOINTS];
    if (v->active != g->decision.after || v->home != g->failover.home ||
        v->trial_mask != trial_mask(g) || v->pause != governor_pause(g) ||
        v->generation != g->generation)
        return false;
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (v->regions[i].state != governor_route(g, i) ||
            v->regions[i].credential != dp_keys_for_requests(g->keys, i) ||
            v->regions[i].awaits_key != governor_awaits_key(g, i) ||
            v->regions[i].held != g->decision.held[i])
            return false;
    }
    governor_routes(g, routes);
    for (uint16_t i = 0; i < v->n_endpoints; i++) {
        if (v->endpoints[i].state != routes[i] ||
            v->endpoints[i].pool_epoch != g->endpoints[i].pool_epoch ||
            !dp_addrs_same(&v->endpoints[i].addrs, &g->endpoints[i].addrs))
            return false;
    }
    return true;
}

uint64_t governor_next_epoch(const struct dp_governor *g)
{
    uint64_t told = dp_journal_last_epoch(g->journal);
    if (g->view) { /* it began above all that was told before */
        uint64_t next = g->view->epoch + 1 > g->epoch_floor ? g->view->epoch + 1 : g->epoch_floor;
        return g->epoch_end && next >= g->epoch_end ? g->epoch_end - 1 : next;
    }
    if (g->state_unread) /* and lines may be missing */
        return told + DP_EPOCHS_AHEAD;
    return told >= g->epoch_below ? told + 1 : g->epoch_below;
}

/* Without memory what was published before still holds, and every later event tries again. */
static void publish(struct dp_governor *g, uint64_t epoch)
{
    struct dp_view *old = g->view, *fresh = view_of(g, epoch);
    if (!fresh)
        return;
    g->view = fresh;
    if (g->started && g->opt.publish)
        g->opt.publish(g->opt.publish_ctx, g->view);
    dp_view_unref(old);
}

/* False: its view is missing yet, for there was no memory. */
static bool decision_told(const struct dp_governor *g)
{
    const struct dp_view *v = g->view;
    bool told = v->active == g->decision.after && v->home == g->failover.home;
    for (uint16_t i = 0; i < v->n_regions && told; i++)
        told = v->regions[i].held == g->decision.held[i];
    return told;
}

void governor_publish_again(struct dp_governor *g)
{
    publish(g, decision_told(g) ? g->view->epoch : governor_next_epoch(g));
}

void governor_publish_if_changed(struct dp_governor *g)
{
    if (!routes_same(g))
        publish(g, governor_next_epoch(g));
}

/* What workers are told follows what is measured in steps, so that few views are made of it. */
static bool follow(uint32_t *told, uint32_t want)
{
    const uint32_t gap = want > *told ? want - *told : *told - want;
    if (gap <= *told / LATE_STEP)
        return false;
    *told = want;
    return true;
}

void governor_tune(struct dp_governor *g)
{
    bool moved = governor_distances_moved(g);
    moved = moved || !governor_faults_told(g); /* there was no memory for a view */
    for (uint16_t i = 0; i < g->config->n_regions; i++)
        moved = moved || g->view->regions[i].share != share_of(g, i);
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        struct governor_endpoint *e = &g->endpoints[i];
        moved = follow(&e->late_ms, dp_pace_late_ms(&e->pace, &g->pace_config)) || moved;
        const uint32_t usual = g->config->hedging ? dp_pace_usual_ms(&e->pace) : 0;
        /* Up at once, however little: with what it took before, nearly all would seem due for a hedge. */
        const bool up = usual > e->usual_ms;
        if (up)
            e->usual_ms = usual;
        moved = follow(&e->usual_ms, usual) || up || moved;
    }
    if (moved)
        governor_publish_again(g);
}

bool governor_first_view(struct dp_governor *g)
{
    struct dp_failover_region regions[DP_MAX_REGIONS];
    dp_failover_init(&g->failover);
    governor_restore(g);
    governor_init_endpoints(g); /* by what was restored */
    governor_regions(g, regions);
    dp_failover_step(&g->failover, &g->failover_config, regions, governor_now(g), &g->decision);
    g->view = view_of(g, governor_next_epoch(g));
    return g->view != NULL;
}

static enum dp_move_reason move_reason(const struct dp_governor *g,
                                       const struct dp_failover_decision *d)
{
    static const enum dp_move_reason back[] = {
        [DP_FAILBACK_MANUAL] = DP_MOVE_REASON_OPERATOR, /* never: an operator's is a switch */
        [DP_FAILBACK_HOLD_DOWN] = DP_MOVE_REASON_HOLD_DOWN,
        [DP_FAILBACK_GATED] = DP_MOVE_REASON_GATED,
        [DP_FAILBACK_WINDOW] = DP_MOVE_REASON_WINDOW,
    };
    if (d->move == DP_MOVE_SWITCH)
        return DP_MOVE_REASON_OPERATOR;
    if (d->move == DP_MOVE_REMOVED)
        return DP_MOVE_REASON_RELOAD;
    if (d->move == DP_MOVE_REGAINED)
        return DP_MOVE_REASON_RETURNED;
    if (d->move == DP_MOVE_FAILBACK)
        return back[g->config->failback];
    if (d->before == DP_NO_REGION)
        return DP_MOVE_REASON_DOWN;
    const struct dp_region_look *l = &g->regions[d->before].look;
    return g->failover.drained[d->before] ? DP_MOVE_REASON_DRAINED
           : governor_locked_out(g, d->before) && l->health != DP_HEALTH_DOWN
               ? DP_MOVE_REASON_CREDENTIALS
           : l->health == DP_HEALTH_DOWN ? DP_MOVE_REASON_DOWN
           : l->draining                 ? DP_MOVE_REASON_DRAINING
                                         : DP_MOVE_REASON_SLOW;
}

/* A move that was ordered is told as the order. */
static bool tells_move(const struct dp_failover_decision *d, const struct governor_cause *cause)
{
    bool ordered = d->move == DP_MOVE_SWITCH || d->move == DP_MOVE_DRAIN;
    return d->move != DP_MOVE_NONE && !(cause->order && ordered);
}

/* Did traffic flee, from a region that is down, or from none to another than it was in? */
static bool parts(const struct dp_governor *g, const struct dp_failover_decision *d)
{
    const uint16_t last = g->failover.last;
    if (d->after == DP_NO_REGION || d->after == last)
        return false;
    return d->move == DP_MOVE_REGAINED || d->move == DP_MOVE_OPEN ||
           (d->move == DP_MOVE_FAILOVER && g->regions[last].look.health == DP_HEALTH_DOWN);
}

/* Publish first, tell afterwards, the cause before its effect. */
void governor_carry_out(struct dp_governor *g, const struct dp_failover_decision *d,
                        const struct governor_cause *cause)
{
    bool held_before[DP_MAX_REGIONS];
    const struct governor_order *order = cause->order;
    if (d->move != DP_MOVE_NONE)
        governor_handover_moved(g);
    memcpy(held_before, g->decision.held, sizeof(held_before));
    bool ramp_over = g->decision.ramp_from != DP_NO_REGION && d->ramp_from == DP_NO_REGION &&
                     d->move == DP_MOVE_NONE;
    g->decision = *d;
    if (cause->change)
        governor_explain_health(g, cause);
    if (parts(g, d))
        g->parted = governor_next_epoch(g);
    if (d->move != DP_MOVE_NONE) {
        g->active_since_wall_ms = dp_clock_wall_ms(g->clock);
        g->failovers += d->move == DP_MOVE_FAILOVER;
        g->failbacks += d->move == DP_MOVE_FAILBACK;
        g->moves[d->move][move_reason(g, d)]++;
    }
    if (d->move != DP_MOVE_NONE || (order && order->order.kind == DP_ORDER_SWITCH && !order->ended))
        governor_explain_move(g, d, cause);
    if (order) {
        publish(g, governor_next_epoch(g));
        g->calm_known = false;
    } else
        governor_publish_if_changed(g);
    if (cause->change)
        governor_record_health(g, cause);
    if (order)
        governor_record_order(g, order, d);
    if (tells_move(d, cause))
        governor_record_move(g, d);
    if (ramp_over)
        governor_record_ramp_over(g);
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        if (held_before[i] != d->held[i] && i != d->after)
            governor_record_hold(g, i);
    }
    governor_keep(g, false);
}

static void settle(struct dp_governor *g, const struct governor_cause *cause, uint64_t now_ns)
{
    struct dp_failover_region regions[DP_MAX_REGIONS];
    struct dp_failover_decision d;
    uint16_t active_before = g->failover.active;
    bool doubt_changed = governor_doubt(g, now_ns);
    governor_regions(g, regions);
    dp_failover_step(&g->failover, &g->failover_config, regions, now_ns, &d);
    governor_carry_out(g, &d, cause);
    if (doubt_changed)
        governor_record_doubt(g, active_before);
}

void governor_settle(struct dp_governor *g, uint64_t now_ns)
{
    settle(g, &(struct governor_cause){0}, now_ns);
}

uint32_t governor_asked(struct dp_governor *g, uint16_t endpoint)
{
    struct governor_endpoint *ep = &g->endpoints[endpoint];
    const struct dp_health_event asked = {.kind = DP_HEALTH_ASKED};
    struct dp_health_actions actions;
    dp_health_step(&ep->health, &g->health_config, &asked, governor_now(g), &actions);
    dp_prober_set(g->prober, endpoint, ep->health.probe_at_ns);
    return (uint32_t)((actions.patience_ns + DP_NS_PER_MS - 1) / DP_NS_PER_MS);
}

void governor_step(struct dp_governor *g, uint16_t endpoint, const struct dp_health_event *e,
                   uint64_t now_ns)
{
    struct governor_endpoint *ep = &g->endpoints[endpoint];
    struct dp_health_actions actions;
    uint64_t due = ep->health.probe_at_ns;
    const bool spoke = e->kind == DP_HEALTH_PROBE && !e->probe_timed_out && !e->silent;
    const bool hush = ep->health.silence.hush, open = ep->health.silence.since_ns != 0 && !spoke;
    dp_health_step(&ep->health, &g->health_config, e, now_ns, &actions);
    if (!hush && ep->health.silence.hush) /* if it is to be left, it must be known who speaks */
        governor_ask_around(g, endpoint, now_ns);
    /* Every probe is followed by another; anything else may only bring the next one nearer. */
    if ((e->kind == DP_HEALTH_PROBE && e->layer == DP_LAYER_UP) || ep->health.probe_at_ns != due)
        dp_prober_set(g->prober, endpoint, ep->health.probe_at_ns);
    if (actions.alarm_credentials)
        governor_record_credentials(g, endpoint, e->layer);
    if (!actions.changed)
        return;
    if (ep->health.health != DP_HEALTH_DOWN)
        ep->fell_unheard = false;
    else if (actions.change.before != DP_HEALTH_DOWN)
        ep->fell_unheard = open || ep->health.silent_since_ns != 0;
    const struct dp_health_change *c = &actions.change;
    if (c->before != c->after && c->after != DP_HEALTH_UP)
        governor_ask_around(g, endpoint, now_ns);
    if (c->signal == DP_HEALTH_SIGNAL_TRIAL_BEGUN || c->signal == DP_HEALTH_SIGNAL_SLOW_TRIAL)
        governor_try(ep, now_ns);
    /* What was connected before it fell, or before it came back, is not to be trusted. */
    if (c->before != c->after && (c->before == DP_HEALTH_DOWN || c->after == DP_HEALTH_DOWN))
        ep->pool_epoch++;
    uint16_t region = g->config->endpoints[endpoint].region;
    struct dp_region_look before = g->regions[region].look;
    governor_judge(g, region);
    const struct governor_cause cause = {
        .endpoint = endpoint, .change = c, .region_before = &before};
    settle(g, &cause, now_ns);
}
