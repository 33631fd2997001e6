/* Between the watch over replication and the decisions: which databases are in use, what the gate is told, and the pause of
 * writes before a failback. */
#include "control/governor_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How often the workers' notes are read. */
#define NOTES_NS DP_NS_PER_S

/* ---- asking regions ---- */

static enum dp_reach on_reach(void *ctx, uint16_t region, struct dp_fetch_request *req,
                              const char **base)
{
    const struct dp_governor *g = ctx;
    uint16_t endpoint = governor_speaker(g, region);
    if (g->regions[region].look.health == DP_HEALTH_DOWN || governor_vacant(g, endpoint) ||
        g->endpoints[endpoint].addrs.n == 0)
        return DP_REACH_DOWN;
    if (governor_keyless(g, region))
        return DP_REACH_NO_KEYS;
    *base = g->config->endpoints[endpoint].url;
    return dp_prober_request(g->prober, endpoint, req) ? DP_REACH_OK : DP_REACH_NO_KEYS;
}

static void on_refused(void *ctx, uint16_t region)
{
    struct dp_governor *g = ctx;
    dp_prober_refused(g->prober, governor_speaker(g, region));
}

static void on_looked(void *ctx)
{
    dp_governor_kick(ctx);
}

struct dp_replication *governor_make_replication(struct dp_governor *g)
{
    return dp_replication_new(&(struct dp_replication_options){
        .loop = g->opt.loop,
        .clock = g->clock,
        .config = g->config,
        .seed = g->opt.seed,
        .reach = on_reach,
        .refused = on_refused,
        .looked = on_looked,
        .ctx = g,
        .listener = g->opt.replication,
    });
}

/* ---- databases in use ---- */

/* Names are noted as they stood in a path. */
static void decode(char *name)
{
    char *out = name;
    for (const char *in = name; *in; in++) {
        const int byte = dp_span_percent(dp_span_str(in));
        *out++ = byte >= 0 ? (char)byte : *in;
        in += byte >= 0 ? 2 : 0;
    }
    *out = '\0';
}

static void read_notes(struct dp_governor *g, uint64_t now_ns)
{
    const uint32_t tick = DP_SEEN_TICK(now_ns);
    char name[DP_SEEN_NAME_BYTES + 1];
    g->noted_ns = now_ns;
    for (uint32_t w = 0; w < g->n_workers; w++) {
        const struct dp_seen *s = &g->traffic[w]->seen;
        uint64_t lost = atomic_load_explicit(&s->lost, memory_order_relaxed);
        if (lost && tick - (uint32_t)(lost - 1) < DP_SEEN_STALE)
            dp_replication_overflow(g->replication, now_ns);
        for (unsigned i = 0; i < DP_SEEN_SLOTS; i++) {
            uint32_t used;
            if (!dp_seen_read(s, i, name, &used))
                continue;
            decode(name);
            dp_replication_use(g->replication, name, (uint64_t)used << 30);
        }
    }
}

/* ---- the gate ---- */

static void judge(struct dp_governor *g)
{
    uint16_t active = g->failover.active;
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        uint64_t up_since = g->failover.up_since_ns[i];
        if (g->regions[i].look.health == DP_HEALTH_DOWN)
            g->lost_ns[i] = governor_now(g);
        g->arrived[i] = (struct dp_replication_verdict){0};
        if (active != DP_NO_REGION && active != i)
            dp_replication_judge(g->replication, active, i,
                                 up_since > g->lost_ns[i] ? up_since : g->lost_ns[i],
                                 &g->arrived[i]);
    }
}

void governor_replication_facts(const struct dp_governor *g, uint16_t region,
                                struct dp_gate_facts *f)
{
    static const enum dp_gate_sight sights[] = {
        [DP_REPLICA_VERDICT_WAIT] = DP_GATE_NOT_LOOKED,
        [DP_REPLICA_VERDICT_SHUT] = DP_GATE_BEHIND,
        [DP_REPLICA_VERDICT_BLIND] = DP_GATE_BLIND,
        [DP_REPLICA_VERDICT_READY] = DP_GATE_ARRIVED,
    };
    f->blind_is_open = !g->config->failback_unseen_manual;
    if (region == g->failover.active && !g->arrived[region].why[0]) {
        /* nothing is to arrive there from elsewhere; but what was found just before it got the traffic is told */
        f->replication = DP_GATE_ARRIVED;
        f->replication_word = "traffic is there";
        return;
    }
    if (g->failover.active == DP_NO_REGION)
        return;
    f->replication = sights[g->arrived[region].verdict];
    f->replication_word = g->arrived[region].why[0] ? g->arrived[region].why : NULL;
}

static void tell_settled(struct dp_governor *g)
{
    for (uint16_t i = 0; g->opt.settled && i < g->config->n_regions; i++) {
        const uint64_t ns = dp_replication_settled(g->replication, i);
        if (ns == g->settled_ns[i])
            continue;
        g->settled_ns[i] = ns;
        g->opt.settled(g->opt.ctx, i, ns);
    }
}

/* ---- canaries ---- */

static int64_t ms_of(uint64_t ns)
{
    return (int64_t)(ns / DP_NS_PER_MS);
}

/* One does not come through, or does so again. told_ns: when the former was told. */
static void tell_canary(const struct dp_governor *g, uint16_t from, uint16_t to,
                        const struct dp_canary *c, uint64_t told_ns)
{
    const char *event = told_ns ? "canary_over" : "canary_overdue";
    char why[DP_WHY_TEXT];
    if (!told_ns)
        governor_say(why, sizeof(why),
                     "a document of ours was looked for in vain for %" PRId64 " ms",
                     ms_of(c->missed_ns - c->out_ns));
    else if (c->came_ns > told_ns)
        governor_say(why, sizeof(why), "it came after %" PRId64 " ms", ms_of(c->took_ns));
    else
        governor_say(why, sizeof(why), "a region of the two is down");
    const struct dp_kv kv[] = {
        DP_KV_STR("region", g->config->regions[to].name),
        DP_KV_STR("from", g->config->regions[from].name),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", why),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, event, kv[0], kv[1], kv[3]);
}

static bool is_overdue(const struct dp_governor *g, const struct dp_canary *c)
{
    return dp_canary_overdue(c, g->config->replication_canary_max_ms * DP_NS_PER_MS);
}

static void watch_canary(struct dp_governor *g, uint16_t from, uint16_t to, uint64_t now_ns)
{
    const struct dp_canary *c = dp_replication_canary(g->replication, from, to);
    uint64_t *told_ns = &g->overdue_ns[from][to];
    if (!c || is_overdue(g, c) == (*told_ns != 0))
        return;
    tell_canary(g, from, to, c, *told_ns);
    *told_ns = *told_ns ? 0 : now_ns;
}

static void watch_canaries(struct dp_governor *g, uint64_t now_ns)
{
    for (uint16_t from = 0; from < g->config->n_regions; from++) {
        for (uint16_t to = 0; to < g->config->n_regions; to++) {
            if (from != to)
                watch_canary(g, from, to, now_ns);
        }
    }
}

bool governor_lacks(const struct dp_governor *g, uint16_t region)
{
    enum dp_replica_verdict v = g->arrived[region].verdict;
    return region != g->failover.active && g->failover.active != DP_NO_REGION &&
           g->failover.unsettled[region] && g->config->replication_interval_ms > 0 &&
           (v == DP_REPLICA_VERDICT_WAIT || v == DP_REPLICA_VERDICT_SHUT);
}

/* ---- the handover ---- */

uint32_t governor_pause(const struct dp_governor *g)
{
    return dp_handover_pauses(&g->handover) ? g->handover.serial : 0;
}

/* Where every database may be written to in every region there is nothing to hand over. */
static bool one_writer(const struct dp_control_config *c)
{
    return c->mode != DP_MODE_ACTIVE_ACTIVE || c->n_rules > 0;
}

static bool asked_for(const struct dp_governor *g)
{
    return (governor_gate_asked(g) & DP_GATE_BIT(DP_GATE_REPLICATION)) != 0 &&
           one_writer(g->config);
}

bool governor_hands_over(const struct dp_governor *g, uint16_t region)
{
    if (!asked_for(g) || g->failover.active == DP_NO_REGION ||
        g->arrived[region].verdict != DP_REPLICA_VERDICT_READY)
        return false;
    return g->handover.phase != DP_HANDOVER_DONE || g->handover.target != region;
}

static void resting(const struct dp_governor *g, struct dp_handover_seen *seen)
{
    seen->resting = true;
    for (uint32_t i = 0; i < g->n_workers; i++) {
        const struct dp_traffic *t = g->traffic[i];
        if (atomic_load_explicit(&t->rests, memory_order_acquire) != g->handover.serial)
            seen->resting = false;
        if (atomic_load_explicit(&t->pause_broken, memory_order_acquire) == g->handover.serial)
            seen->broken = true;
    }
}

/* Is there a region that would take the traffic now, if all had arrived? */
static bool wanted(const struct dp_governor *g, uint64_t now_ns, uint16_t *target)
{
    uint16_t region = g->decision.waiting;
    if (region == DP_NO_REGION || now_ns < g->decision.failback_at_ns ||
        governor_gate_unmet(g, region) != 0 || !asked_for(g) ||
        g->arrived[region].verdict != DP_REPLICA_VERDICT_READY)
        return false;
    *target = region;
    return true;
}

static void give_up(struct dp_governor *g, enum dp_handover_phase phase, uint64_t now_ns)
{
    const char *name = g->config->regions[g->handover.target].name;
    g->handovers.gave_up++;
    governor_say(g->handovers.why, sizeof(g->handovers.why),
                 "%s within %" PRIu32 " ms; again in %" PRIu64 " s",
                 phase == DP_HANDOVER_QUIETING ? "writes under way did not end"
                                               : "what was written last did not arrive",
                 g->config->failback_pause_ms, (g->handover.again_at_ns - now_ns) / DP_NS_PER_S);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", name),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", g->handovers.why),
        DP_KV_INT("tries", (int64_t)g->handover.failed),
    };
    dp_journal_write(g->journal, g->view->epoch, "handover_failed", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "handover_failed", DP_KV_STR("region", name),
           DP_KV_STR("reason", g->handovers.why));
}

static void step_handover(struct dp_governor *g, uint64_t now_ns)
{
    struct dp_handover_state *h = &g->handover;
    struct dp_handover_seen seen = {0};
    const enum dp_handover_phase before = h->phase;
    const uint64_t began_ns = h->began_ns;
    seen.wanted = wanted(g, now_ns, &seen.target);
    if (dp_handover_pauses(h)) {
        resting(g, &seen);
        if (h->phase == DP_HANDOVER_CATCHING)
            seen.arrived =
                dp_replication_arrived(g->replication, g->failover.active, h->target, h->quiet_ns);
    }
    switch (dp_handover_step(h, &g->handover_config, &seen, now_ns)) {
    case DP_HANDOVER_NEWS_NOTHING:
        return;
    case DP_HANDOVER_NEWS_BEGAN:
        governor_publish_again(g);
        return;
    case DP_HANDOVER_NEWS_QUIET:
        read_notes(g,
                   now_ns); /* one that was written to for the first time a moment ago counts too */
        dp_replication_hurry(g->replication, g->failover.active, h->target);
        return;
    case DP_HANDOVER_NEWS_DONE: /* it goes now: governor_handover_moved */
        dp_replication_relax(g->replication);
        g->handovers.done++;
        g->handovers.last_ns = now_ns - h->began_ns;
        return;
    case DP_HANDOVER_NEWS_SETTLED:
        g->handovers.last_ns = now_ns - began_ns;
        break;
    case DP_HANDOVER_NEWS_GAVE_UP:
        give_up(g, before, now_ns);
        break;
    case DP_HANDOVER_NEWS_ENDED:
        break;
    }
    dp_replication_relax(g->replication);
    governor_publish_again(g);
}

void governor_handover_moved(struct dp_governor *g)
{
    dp_handover_moved(&g->handover);
    dp_replication_relax(g->replication);
}

/* ---- all of it ---- */

static bool somebody_waits(const struct dp_governor *g)
{
    bool held = false;
    for (uint16_t i = 0; i < g->config->n_regions; i++)
        held = held || g->decision.held[i];
    return held || g->decision.waiting != DP_NO_REGION;
}

void governor_look_at_replication(struct dp_governor *g, uint64_t now_ns)
{
    if (now_ns - g->noted_ns >= NOTES_NS)
        read_notes(g, now_ns);
    dp_replication_eager(g->replication, somebody_waits(g));
    judge(g);
    tell_settled(g);
    watch_canaries(g, now_ns);
    step_handover(g, now_ns);
}

/* ---- for people ---- */

static void tell_way_of_canary(const struct dp_governor *g, const struct dp_canary *c,
                               struct dp_way_status *out)
{
    out->canary = true;
    out->canary_took_ms = c->came_ns ? ms_of(c->took_ns) : -1;
    out->canary_out_ms = c->out_ns ? ms_of(governor_now(g) - c->out_ns) : -1;
    out->canary_overdue = is_overdue(g, c);
    out->canary_word = c->word;
}

bool dp_governor_way(const struct dp_governor *g, unsigned i, struct dp_way_status *out)
{
    const unsigned n = g->config->n_regions, pairs = n * (n - 1);
    const char *database = pairs > 0 ? dp_replication_database(g->replication, i / pairs) : NULL;
    if (!database)
        return false;
    const uint16_t from = (uint16_t)(i % pairs / (n - 1)), k = (uint16_t)(i % pairs % (n - 1));
    const uint16_t to = (uint16_t)(k + (k >= from));
    const struct dp_replica_way *w = dp_replication_way(g->replication, i / pairs, from, to);
    *out = (struct dp_way_status){
        .database = database,
        .from = g->config->regions[from].name,
        .to = g->config->regions[to].name,
        .data = dp_replica_data_name(w->data),
        .run = dp_replica_run_name(w->run),
        .missing = w->data >= DP_REPLICA_BEHIND ? (int64_t)w->missing : -1,
        .more = w->more,
        .in_row = w->in_row,
        .same_for_ms = w->same_ns ? (int64_t)((governor_now(g) - w->same_ns) / DP_NS_PER_MS) : -1,
        .failures = w->failures,
        .word = w->word,
        .run_word = w->run_word,
    };
    if (g->config->replication_canary && strcmp(database, g->config->replication_canary) == 0)
        tell_way_of_canary(g, &w->canary, out);
    return true;
}

const char *dp_governor_watch_off(const struct dp_governor *g)
{
    return dp_replication_off(g->replication);
}

void dp_governor_handovers(const struct dp_governor *g, uint64_t *done, uint64_t *gave_up,
                           uint64_t *last_ms)
{
    *done = g->handovers.done;
    *gave_up = g->handovers.gave_up;
    *last_ms = g->handovers.last_ns / DP_NS_PER_MS;
}
