/* The governor's life and its ears: timers, the kick, probe results, operators. What follows from
 * what they hear is governor_decide.c's. Everything on the control thread, but for
 * dp_governor_kick.
 *
 *   new --> first view (borrowed by the app) --> start --> sampling and probing --> destroy -->
 * done
 *
 * While it closes (`dead`) nothing is decided or published any more. */
#include "control/governor_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Between two tries of a name that does not resolve, unless lookups are more frequent anyway. */
#define LOOKUP_RETRY_MS 1000
/* How long a start waits for the journal's disk. */
#define START_WAIT_MS   1000
#define CANARY_ID_BYTES 256

/* Every entry from the loop passes here first: a stall must be known before anything is judged by
 * time. */
uint64_t governor_wake(struct dp_governor *g)
{
    uint64_t now = governor_now(g);
    if (dp_lag_seen(&g->lag, now))
        governor_record_stall(g);
    return now;
}

static void look(struct dp_governor *g)
{
    uint64_t now = governor_wake(g);
    governor_expire(g, now);
    governor_faults_expire(g, now);
    dp_keys_tick(g->keys);
    governor_sample(g, now);
    governor_try_on(g, now);
    governor_look_at_replication(g, now);
    governor_settle(g, now);
    governor_watch_gate(g, now);
}

static void on_sample(uv_timer_t *timer)
{
    struct dp_governor *g = timer->data;
    const uint64_t now = governor_now(g);
    const uint64_t due = g->sampled_ns + g->config->sample_ms * DP_NS_PER_MS;
    const uint64_t late = g->sampled_ns > 0 && now > due ? now - due : 0;
    g->sampled_ns = now;
    dp_traffic_times_add(&g->late, dp_latency_bucket(late), late);
    look(g);
}

static void on_kick(uv_async_t *kick)
{
    struct dp_governor *g = kick->data;
    if (g->started && !g->dead)
        look(g);
}

static uint32_t on_asked(void *ctx, uint16_t endpoint)
{
    return governor_asked(ctx, endpoint);
}

void dp_governor_kick(struct dp_governor *g)
{
    (void)uv_async_send(&g->kick);
}

/* Making one. */

static bool endpoints_in_order(const struct dp_control_config *c)
{
    unsigned at = 0;
    for (uint16_t i = 0; i < c->n_regions; i++) {
        const struct dp_region_config *r = &c->regions[i];
        if (r->n_endpoints == 0 || r->first != at || at + r->n_endpoints > DP_MAX_ENDPOINTS)
            return false;
        for (at = r->first; at < (unsigned)r->first + r->n_endpoints; at++) {
            if (c->endpoints[at].region != i)
                return false;
        }
    }
    return at == c->n_endpoints;
}

static const char *fault_of(const struct dp_control_config *c)
{
    if (c->n_regions == 0 || c->n_regions > DP_MAX_REGIONS)
        return "there must be 1 to 16 regions";
    if (!endpoints_in_order(c))
        return "every region must have endpoints, 32 in all, region by region";
    if (c->fall == 0 || c->rise == 0)
        return "fall and rise must be at least 1";
    if (c->probe_interval_ms == 0 || c->probe_fast_ms == 0 || c->probe_timeout_ms == 0 ||
        c->sample_ms == 0)
        return "probe_interval_ms, probe_fast_ms, probe_timeout_ms and sample_ms must be at least "
               "1";
    if (c->failure_percent == 0 || c->failure_percent > 100)
        return "failure_percent must be 1 to 100";
    if (c->silent > DP_MAX_ASKS)
        return "silent must be at most 16";
    if (c->probe_jitter_percent > 100)
        return "probe_jitter_percent must be at most 100";
    return NULL;
}

void governor_take_config(struct dp_governor *g, const struct dp_control_config *c)
{
    g->health_config = (struct dp_health_config){
        .interval_ns = c->probe_interval_ms * DP_NS_PER_MS,
        .fast_ns = c->probe_fast_ms * DP_NS_PER_MS,
        .jitter_percent = c->probe_jitter_percent,
        .timeout_ns = c->probe_timeout_ms * DP_NS_PER_MS,
        .fall = c->fall,
        .silent = c->silent,
        .rise = c->rise,
        /* Without another region or node its requests have nowhere to be sent again. */
        .trial_requests = c->n_endpoints > 1 ? c->trial_requests : 0,
        .traffic_failures = c->traffic_failures,
        .traffic_hold_ns = DP_TRAFFIC_HOLD_MS * DP_NS_PER_MS,
        .row_pause_ns = DP_ROW_PAUSE_MS * DP_NS_PER_MS,
        .window_ns = c->failure_window_ms * DP_NS_PER_MS,
        .window_requests = c->failure_requests,
        .window_percent = c->failure_percent,
        .slow_hold_ns = DP_SLOW_HOLD_MS * DP_NS_PER_MS,
        .slow_hold_max_ns = DP_SLOW_HOLD_MAX_MS * DP_NS_PER_MS,
    };
    g->pace_config = (struct dp_pace_config){
        .window_ns = DP_PACE_WINDOW_MS * DP_NS_PER_MS,
        .window_answers = DP_PACE_WINDOW_ANSWERS,
        .windows = DP_PACE_WINDOWS,
        .factor = DP_PACE_FACTOR,
        .slow_ms = c->slow_ms,
        .late_ms = c->late_ms,
    };
    g->doubt_config = (struct dp_doubt_config){
        .n_regions = c->n_regions,
        .span_ns = (c->probe_interval_ms + 2 * (uint64_t)c->probe_timeout_ms) * DP_NS_PER_MS,
        .grace_ns = (c->rise * (uint64_t)c->probe_fast_ms + c->probe_timeout_ms) * DP_NS_PER_MS,
    };
    g->failover_config = (struct dp_failover_config){
        .n_regions = c->n_regions,
        .automatic = c->failback != DP_FAILBACK_MANUAL,
        .hold_ns = c->failback_hold_ms * DP_NS_PER_MS,
        .hold_max_ns = c->failback_hold_max_ms * DP_NS_PER_MS,
        .forget_ns = c->failback_forget_ms * DP_NS_PER_MS,
        .ramp_ns = c->failback_ramp_ms * DP_NS_PER_MS,
        .dwell_ns = c->dwell_ms * DP_NS_PER_MS,
        .start_ns = DP_START_MS * DP_NS_PER_MS,
        .no_region = c->no_region,
    };
    g->handover_config = (struct dp_handover_config){
        .limit_ns = c->failback_pause_ms * DP_NS_PER_MS,
        .again_ns = DP_HANDOVER_AGAIN_MS * DP_NS_PER_MS,
        .again_max_ns = DP_HANDOVER_AGAIN_MAX_MS * DP_NS_PER_MS,
    };
}

static const char nothing_yet[] = "no probe has been answered yet";

void governor_init_endpoint(struct dp_governor *g, uint16_t i)
{
    struct governor_endpoint *e = &g->endpoints[i];
    /* Any odd multiplier: the endpoints' chances are apart, and the same in every run. */
    uint64_t seed = g->opt.seed + (i + 1) * UINT64_C(0xD1B54A32D192ED03);
    dp_health_init(&e->health, &g->health_config, governor_now(g), seed);
    if (e->down_before)
        dp_health_presume_down(&e->health);
    e->addrs = g->config->endpoints[i].addrs;
    dp_pace_init(&e->pace);
    e->late_ms = dp_pace_late_ms(&e->pace, &g->pace_config);
    e->latency_ms = -1;
    e->since_wall_ms = dp_clock_wall_ms(g->clock);
    (void)snprintf(e->why, sizeof(e->why), "%s",
                   e->down_before ? "it was down before the restart" : nothing_yet);
}

void governor_init_region(struct dp_governor *g, uint16_t i)
{
    struct governor_region *r = &g->regions[i];
    governor_judge(g, i);
    dp_health_init(&r->together, &g->health_config, governor_now(g), i + 1U);
    r->since_wall_ms = dp_clock_wall_ms(g->clock);
    (void)snprintf(r->why, sizeof(r->why), "%s", nothing_yet);
}

void governor_init_endpoints(struct dp_governor *g)
{
    for (uint16_t i = 0; i < g->config->n_endpoints; i++)
        governor_init_endpoint(g, i);
    for (uint16_t i = 0; i < g->config->n_regions; i++)
        governor_init_region(g, i);
}

struct dp_prober *governor_make_prober(struct dp_governor *g, const struct dp_control_config *c,
                                       const struct dp_keys *keys)
{
    struct dp_probe_target targets[DP_MAX_ENDPOINTS] = {0};
    char ids[DP_MAX_REGIONS][CANARY_ID_BYTES];
    for (uint16_t i = 0; i < c->n_regions;
         i++) /* each region's own: replication brings no conflict */
        (void)snprintf(ids[i], sizeof(ids[i]), "%.100s-%.100s", c->canary_id ? c->canary_id : "",
                       c->regions[i].name);
    for (uint16_t i = 0; i < c->n_endpoints; i++) {
        const struct dp_endpoint_config *e = &c->endpoints[i];
        if (!e->url) { /* vacant: never asked */
            targets[i] = (struct dp_probe_target){.url = "", .path = c->probe_path};
            continue;
        }
        const struct dp_region_config *r = &c->regions[e->region];
        targets[i] = (struct dp_probe_target){.url = e->url,
                                              .path = c->probe_path,
                                              .tls = r->tls,
                                              .key = dp_keys_for_us(keys, e->region),
                                              .addrs = e->addrs,
                                              .databases = c->probe_databases,
                                              .n_databases = c->n_probe_databases,
                                              .canary_database = c->canary_database,
                                              .canary_id = ids[e->region]};
    }
    return dp_prober_new(&(struct dp_prober_options){.loop = g->opt.loop,
                                                     .clock = g->clock,
                                                     .timeout_ms = c->probe_timeout_ms,
                                                     .deep_interval_ms = c->deep_interval_ms,
                                                     .deep_timeout_ms = c->deep_timeout_ms,
                                                     .race_delay_ms = c->race_delay_ms,
                                                     .asked = on_asked,
                                                     .fault = governor_fault_met,
                                                     .result = governor_probed,
                                                     .ctx = g},
                         targets, c->n_endpoints);
}

struct dp_resolver *governor_make_resolver(struct dp_governor *g, const struct dp_control_config *c)
{
    struct dp_resolver_target targets[DP_MAX_ENDPOINTS];
    uint32_t refresh_ms = c->dns_refresh_ms;
    const struct dp_resolver_options opt = {
        .loop = g->opt.loop,
        .refresh_ms = refresh_ms,
        .retry_ms = refresh_ms < LOOKUP_RETRY_MS ? refresh_ms : LOOKUP_RETRY_MS,
        .result = governor_resolved,
        .ctx = g};
    for (uint16_t i = 0; i < c->n_endpoints; i++)
        targets[i] = (struct dp_resolver_target){c->endpoints[i].lookup, c->endpoints[i].port};
    return dp_resolver_new(&opt, targets, c->n_endpoints);
}

void governor_start_probing(struct dp_governor *g)
{
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        if (!governor_vacant(g, i))
            dp_prober_set(g->prober, i, g->endpoints[i].health.probe_at_ns);
    }
    dp_resolver_start(g->resolver);
}

static void on_line(void *ctx, struct dp_span line)
{
    struct dp_governor *g = ctx;
    if (g->opt.told)
        g->opt.told(g->opt.ctx, line);
}

/* On the writer's thread, which ends before the handle is closed. */
static void on_disk(void *ctx)
{
    (void)uv_async_send(&((struct dp_governor *)ctx)->saved);
}

static void on_saved(uv_async_t *saved)
{
    struct dp_governor *g = saved->data;
    if (!g->dead && g->opt.saved)
        g->opt.saved(g->opt.ctx);
}

static struct dp_journal *make_journal(struct dp_governor *g)
{
    const struct dp_control_config *c = g->config;
    const struct dp_journal_options opt = {.path = c->journal_path,
                                           .max_bytes = c->journal_max_bytes,
                                           .keep = c->journal_keep ? c->journal_keep : 1,
                                           .clock = g->clock,
                                           .line = on_line,
                                           .saved = on_disk,
                                           .ctx = g};
    return dp_journal_new(&opt);
}

/* Why traffic is where it begins. */
static void say_first(struct dp_governor *g)
{
    if (g->failover.pinned)
        (void)snprintf(g->why, sizeof(g->why), "%.127s chose it before the restart", g->pin.actor);
    else if (g->decision.after == DP_NO_REGION)
        (void)snprintf(g->why, sizeof(g->why), "every region was drained by an operator");
    else if (g->decision.move == DP_MOVE_FAILOVER)
        (void)snprintf(g->why, sizeof(g->why), "%s was down before the restart",
                       governor_region_name(g, g->decision.before));
    else if (g->decision.move == DP_MOVE_NONE && g->failover.active != 0)
        (void)snprintf(g->why, sizeof(g->why), "it was there before the restart");
    else
        (void)snprintf(g->why, sizeof(g->why),
                       "at the start, as the first in the configured order%s",
                       g->decision.move == DP_MOVE_DRAIN ? " that is not drained" : "");
}

enum dp_err dp_governor_new(const struct dp_governor_options *opt, struct dp_governor **out,
                            const char **why)
{
    *why = fault_of(opt->config);
    if (*why)
        return DP_EINVAL;
    *why = "out of memory";
    struct dp_governor *g = calloc(1, sizeof(*g));
    if (!g)
        return DP_ENOMEM;
    g->opt = *opt;
    g->config = opt->config;
    g->clock = opt->clock ? opt->clock : &dp_clock_system;
    g->fault_chance = dp_random_of(opt->seed);
    governor_take_config(g, opt->config);
    g->journal = make_journal(g);
    if (!g->journal)
        goto fail;
    /* A loop's handles of this kind share one descriptor: the second cannot fail. */
    if (uv_async_init(opt->loop, &g->kick, on_kick) != 0 ||
        uv_async_init(opt->loop, &g->saved, on_saved) != 0) {
        *why = "no file descriptor left for the loop";
        goto fail;
    }
    (void)uv_timer_init(opt->loop, &g->sample); /* cannot fail */
    g->kick.data = g;
    g->saved.data = g;
    g->sample.data = g;
    governor_init_endpoints(g);
    g->keys = governor_make_keys(g, g->config);
    bool viewed = g->keys && governor_first_view(g);
    if (viewed)
        say_first(g);
    g->active_since_wall_ms = dp_clock_wall_ms(g->clock);
    g->prober = viewed ? governor_make_prober(g, g->config, g->keys) : NULL;
    g->resolver = viewed ? governor_make_resolver(g, g->config) : NULL;
    g->replication = viewed ? governor_make_replication(g) : NULL;
    if (!g->prober || !g->resolver || !g->replication) {
        dp_governor_destroy(g, NULL, NULL);
        return DP_ENOMEM;
    }
    g->release = opt->release;
    g->release_ctx = opt->release_ctx;
    *why = NULL;
    *out = g;
    return DP_OK;
fail:
    dp_journal_free(g->journal);
    free(g);
    return DP_ENOMEM;
}

struct dp_view *dp_governor_view(struct dp_governor *g)
{
    return g->view;
}

void dp_governor_start(struct dp_governor *g, const struct dp_traffic *const *traffic,
                       uint32_t n_workers)
{
    uint64_t now = governor_now(g);
    g->traffic = traffic;
    g->n_workers = n_workers;
    g->started = true;
    dp_lag_init(&g->lag, g->config->sample_ms * DP_NS_PER_MS, DP_STALL_LIMIT_NS, now);
    governor_init_endpoints(g);
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++)
        g->endpoints[i].down_before = false; /* a place may become another one's */
    if (g->state_unread)
        governor_record_forgotten(g);
    governor_record_plain(g, "started");
    governor_keep(g, false);
    if (g->config->journal_path && !dp_journal_wait(g->journal, START_WAIT_MS))
        dp_log(DP_LOG_WARN, "journal_slow", DP_KV_STR("path", g->config->journal_path),
               DP_KV_STR("reason", "its disk does not take it yet; the start goes on"));
    if (governor_caps(g)) /* it is known by now how many workers share them */
        governor_publish_again(g);
    else if (g->opt.publish)
        g->opt.publish(g->opt.publish_ctx, g->view);
    governor_start_probing(g);
    dp_replication_start(g->replication);
    (void)uv_timer_start(&g->sample, on_sample, g->config->sample_ms, g->config->sample_ms);
}

/* The end. */

static void closed(struct dp_governor *g)
{
    if (--g->open)
        return;
    void (*done)(void *) = g->done;
    void *ctx = g->done_ctx;
    dp_journal_free(g->journal);
    dp_view_unref(g->view);
    if (g->release)
        g->release(g->release_ctx);
    free(g->kept);
    free(g);
    if (done)
        done(ctx);
}

static void on_handle_closed(uv_handle_t *h)
{
    closed(h->data);
}

static void on_part_closed(void *ctx)
{
    closed(ctx);
}

void governor_part_closed(struct dp_governor *g)
{
    g->retiring--;
    if (g->dead)
        closed(g);
}

void dp_governor_destroy(struct dp_governor *g, void (*done)(void *ctx), void *ctx)
{
    if (g->started) {
        governor_faults_stop(g);
        governor_record_plain(g, "stopped");
        governor_keep(g, true);
    }
    dp_journal_stop(g->journal);
    g->dead = true;
    g->done = done;
    g->done_ctx = ctx;
    g->open = 3 + g->retiring;
    uv_close((uv_handle_t *)&g->sample, on_handle_closed);
    uv_close((uv_handle_t *)&g->saved, on_handle_closed);
    uv_close((uv_handle_t *)&g->kick, on_handle_closed);
    if (g->prober) {
        g->open++;
        dp_prober_destroy(g->prober, on_part_closed, g);
    }
    if (g->replication) {
        g->open++;
        dp_replication_destroy(g->replication, on_part_closed, g);
    }
    if (g->resolver) {
        g->open++;
        dp_resolver_destroy(g->resolver, on_part_closed, g);
    }
    if (g->keys) {
        g->open++;
        dp_keys_destroy(g->keys, on_part_closed, g);
    }
}

/* What others ask of it. */

void dp_governor_refuse_reload(struct dp_governor *g, const char *actor, const char *detail)
{
    governor_record_reload(g, false, actor, detail);
}

void dp_governor_access_refused(struct dp_governor *g, const char *actor, const char *reason)
{
    governor_record_access(g, actor, reason);
}

bool dp_governor_saved(const struct dp_governor *g, uint64_t ticket)
{
    return dp_journal_saved(g->journal, ticket);
}

void dp_governor_reopen(struct dp_governor *g)
{
    dp_journal_reopen(g->journal);
}

void dp_governor_hand_over(struct dp_governor *g)
{
    g->epoch_end = g->epoch_below = governor_next_epoch(g) + DP_EPOCHS_APART;
    governor_keep(g, false);
    dp_journal_hand_over(g->journal);
}

bool dp_governor_handed_over(const struct dp_governor *g)
{
    return dp_journal_handed_over(g->journal);
}

/* The other one began at our end and may have told some epochs. */
enum dp_err dp_governor_take_back(struct dp_governor *g)
{
    enum dp_err err = dp_journal_take_back(g->journal);
    if (g->epoch_end)
        g->epoch_floor = g->epoch_end + UINT64_C(2) * DP_EPOCHS_AHEAD;
    g->epoch_end = 0;
    free(g->kept);
    g->kept = NULL;
    governor_keep(g, false);
    return err;
}

void dp_governor_record(struct dp_governor *g, const char *event, const char *actor,
                        const char *reason, const char *detail)
{
    const struct dp_kv kv[] = {
        DP_KV_STR("actor", actor),
        DP_KV_STR("reason", reason),
        DP_KV_STR("detail", detail),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
}
