/* What probes bring, layer by layer, and trials, which probes begin and requests end. */
#include "control/governor_state.h"

#include <stdio.h>
#include <string.h>

const char *dp_status_layer_name(enum dp_status_layer l)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_LAYER_STATUS_TABLE(X)
#undef X
    };
    return l < DP_STATUS_LAYERS ? names[l] : "?";
}

/* A timeout that a stall of our own explains says nothing of the region: ask again. */
static bool explained_by_stall(const struct dp_governor *g, const struct dp_probe_result *r)
{
    return r->kind == DP_PROBE_DARK && r->err == DP_ETIMEOUT &&
           dp_lag_touches(&g->lag, r->started_ns);
}

static bool passes(enum dp_probe_kind k)
{
    return dp_probe_kind_alive(k) || k == DP_PROBE_THROTTLED || k == DP_PROBE_QUOTA;
}

static void note(struct dp_layer_status *l, enum dp_probe_kind kind, uint64_t ns,
                 const char *detail, int64_t wall_ms)
{
    l->result = dp_probe_kind_name(kind);
    l->last_wall_ms = wall_ms;
    l->ms = (double)ns / 1e6;
    l->passed += passes(kind);
    l->failed += !passes(kind);
    (void)snprintf(l->detail, sizeof(l->detail), "%s", detail);
}

/* A fresh connection tells of what is below the answer, as far as it came. */
static void note_below(struct governor_endpoint *e, const struct dp_probe_result *r, bool tls,
                       int64_t wall_ms)
{
    bool stood = r->connect_ns > 0 || r->connected; /* curl knows no time where TLS failed */
    if (r->reused || (!stood && r->err == DP_OK))
        return;
    note(&e->layers[DP_STATUS_LAYER_TCP], stood ? DP_PROBE_OK : DP_PROBE_DARK, r->connect_ns, "",
         wall_ms);
    if (tls && stood)
        note(&e->layers[DP_STATUS_LAYER_TLS],
             r->tls_ns > 0             ? DP_PROBE_OK
             : r->kind == DP_PROBE_TLS ? DP_PROBE_TLS
                                       : DP_PROBE_DARK,
             r->tls_ns, "", wall_ms);
}

static void note_layer(struct dp_governor *g, uint16_t endpoint, const struct dp_probe_result *r)
{
    static const enum dp_status_layer layers[DP_LAYER_COUNT] = {
        [DP_LAYER_UP] = DP_STATUS_LAYER_UP,
        [DP_LAYER_DATABASE] = DP_STATUS_LAYER_DATABASE,
        [DP_LAYER_CANARY] = DP_STATUS_LAYER_CANARY,
    };
    struct governor_endpoint *e = &g->endpoints[endpoint];
    int64_t wall_ms = dp_clock_wall_ms(g->clock);
    bool tls = strncmp(g->config->endpoints[endpoint].url, "https", 5) == 0;
    note(&e->layers[layers[r->layer]], r->kind, r->total_ns, r->detail, wall_ms);
    if (r->layer == DP_LAYER_DATABASE && passes(r->kind))
        e->missing = r->missing;
    if (r->layer != DP_LAYER_UP)
        return;
    note_below(e, r, tls, wall_ms);
    e->answered = e->answered || r->status > 0;
    e->last_probe = *r;
    e->last_probe_wall_ms = wall_ms;
    governor_measure(g, endpoint, r);
    if (passes(r->kind))
        e->probes_ok++;
    else
        e->probes_failed++;
}

/* Nothing on a kept connection says nothing of who is there: then it is as it was. */
static bool is_silent(struct governor_endpoint *e, const struct dp_probe_result *r)
{
    bool known = !r->reused || r->err != DP_ETIMEOUT;
    e->fell_unheard = e->fell_unheard && !(known && r->reached);
    return known ? !r->reached : e->health.silent_since_ns != 0;
}

void governor_probed(void *governor, uint16_t endpoint, const struct dp_probe_result *r)
{
    struct dp_governor *g = governor;
    uint64_t now = governor_wake(g);
    if (explained_by_stall(g, r)) {
        dp_log(DP_LOG_INFO, "probe_dropped", DP_KV_STR("region", governor_name_at(g, endpoint)),
               DP_KV_STR("layer", dp_probe_layer_name(r->layer)),
               DP_KV_STR("reason", "the control loop was late"));
        if (r->layer == DP_LAYER_UP)
            dp_prober_set(g->prober, endpoint, now);
        return;
    }
    if (r->err == DP_ETIMEOUT) /* what requests have heard meanwhile counts first */
        governor_sample(g, now);
    note_layer(g, endpoint, r);
    dp_log(DP_LOG_DEBUG, "probe", DP_KV_STR("region", governor_name_at(g, endpoint)),
           DP_KV_STR("layer", dp_probe_layer_name(r->layer)),
           DP_KV_STR("result", dp_probe_kind_name(r->kind)), DP_KV_STR("detail", r->detail));
    const struct dp_health_event event = {.kind = DP_HEALTH_PROBE,
                                          .probe = r->kind,
                                          .layer = r->layer,
                                          .probe_timed_out =
                                              r->kind == DP_PROBE_DARK && r->err == DP_ETIMEOUT,
                                          .silent = is_silent(&g->endpoints[endpoint], r),
                                          .probe_started_ns = r->started_ns};
    governor_step(g, endpoint, &event, now);
}

void governor_try(struct governor_endpoint *e, uint64_t now_ns)
{
    e->trial++;
    e->trial_next_ns = now_ns + DP_TRIAL_AGAIN_MS * DP_NS_PER_MS;
}

void governor_try_on(struct dp_governor *g, uint64_t now_ns)
{
    bool any = false;
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        struct governor_endpoint *e = &g->endpoints[i];
        if (!governor_on_trial(&e->health) || now_ns < e->trial_next_ns)
            continue;
        governor_try(e, now_ns);
        any = true;
    }
    if (any)
        governor_publish_again(g);
}
