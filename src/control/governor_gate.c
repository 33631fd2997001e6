/* The gate before failback: what the governor knows, as the facts that core/gate.h judges; and the record of a region that
 * waits before it. A further condition gets its facts in facts_of. */
#include "control/governor_state.h"

#include <stdio.h>
#include <string.h>

/* Conditions that come and go are told no more often. */
#define TELL_GAP_NS     (10 * DP_NS_PER_S)
#define CONDITION_BYTES 256
_Static_assert(DP_GATE_COUNT *(CONDITION_BYTES + 1) + 2 <= GOVERNOR_GATE_BYTES,
               "every condition has its place in the journal's line");

/* Where replication is watched, or its being unseen is not to be passed over. */
static unsigned watched(const struct dp_governor *g)
{
    bool is = g->config->replication_interval_ms > 0 || g->config->failback_unseen_manual;
    return is ? DP_GATE_BIT(DP_GATE_REPLICATION) : 0;
}

unsigned governor_gate_asked(const struct dp_governor *g)
{
    switch (g->config->failback) {
    case DP_FAILBACK_MANUAL:
        return 0;
    case DP_FAILBACK_HOLD_DOWN:
        return DP_GATE_BIT(DP_GATE_HEALTH) | watched(g);
    case DP_FAILBACK_GATED:
        return DP_GATE_BIT(DP_GATE_HEALTH) | g->config->failback_conditions;
    case DP_FAILBACK_WINDOW:
        break;
    }
    return DP_GATE_BIT(DP_GATE_HEALTH) | DP_GATE_BIT(DP_GATE_WINDOW) | watched(g);
}

/* Whether a dead node matters is the region's health to say: here the others' probes count. */
static void endpoint_facts(const struct dp_governor *g, uint16_t endpoint, struct dp_gate_facts *f)
{
    const struct governor_endpoint *e = &g->endpoints[endpoint];
    uint32_t good, bad;
    governor_window(g, endpoint, &good, &bad);
    f->failed += bad;
    f->requests += (uint64_t)good + bad;
    if (e->health.health == DP_HEALTH_DOWN)
        return;
    f->probes_asked++;
    if (e->last_probe_wall_ms && e->last_probe.kind == DP_PROBE_OK)
        f->probes_passed++;
    else if (e->last_probe_wall_ms)
        f->probe_trouble = e->last_probe.detail;
    const bool deeper[DP_LAYER_COUNT] = {[DP_LAYER_DATABASE] = g->config->n_probe_databases > 0,
                                         [DP_LAYER_CANARY] = g->config->canary_database != NULL};
    for (unsigned l = DP_LAYER_UP + 1; l < DP_LAYER_COUNT; l++) {
        const struct dp_layer_status *s = &e->layers[DP_STATUS_LAYER_UP + l];
        if (!deeper[l])
            continue;
        f->probes_asked++;
        if (s->result && e->health.deep[l].last == DP_PROBE_OK)
            f->probes_passed++;
        else if (s->result)
            f->probe_trouble = s->detail;
    }
}

static void facts_of(const struct dp_governor *g, uint16_t region, struct dp_gate_facts *f)
{
    const struct dp_region_config *c = &g->config->regions[region];
    uint64_t up_since = g->failover.up_since_ns[region], now = governor_now(g);
    *f = (struct dp_gate_facts){
        .well_ns = up_since ? now - up_since : 0,
        .hold_ns = dp_failover_hold_ns(&g->failover, &g->failover_config, region),
        .counted = g->started,
        .max_failed_percent = g->config->failback_error_percent,
        .approved = g->failover.approved[region],
        .window_wait_m =
            dp_windows_wait_m(&g->config->failback_windows, dp_clock_wall_ms(g->clock) / 60000),
    };
    for (uint16_t i = 0; i < c->n_endpoints; i++)
        endpoint_facts(g, (uint16_t)(c->first + i), f);
    governor_replication_facts(g, region, f);
}

void governor_gate(const struct dp_governor *g, uint16_t region, struct dp_gate *out)
{
    struct dp_gate_facts facts;
    facts_of(g, region, &facts);
    dp_gate_judge(&facts, governor_gate_asked(g), out);
}

unsigned governor_gate_unmet(const struct dp_governor *g, uint16_t region)
{
    struct dp_gate_facts facts;
    /* The hold is core/failover's own. */
    unsigned asked = governor_gate_asked(g) & ~DP_GATE_BIT(DP_GATE_HEALTH);
    if (asked == 0)
        return 0;
    facts_of(g, region, &facts);
    return dp_gate_unmet(&facts, asked);
}

struct dp_span governor_gate_json(const struct dp_governor *g, uint16_t region,
                                  char buf[GOVERNOR_GATE_BYTES])
{
    struct dp_gate gate;
    size_t at = 0;
    governor_gate(g, region, &gate);
    buf[at++] = '[';
    for (uint16_t i = 0; i < gate.n; i++) {
        const struct dp_gate_condition *c = &gate.conditions[i];
        const struct dp_kv kv[] = {
            DP_KV_STR("name", dp_gate_kind_name(c->kind)),
            DP_KV_STR("state", dp_gate_state_name(c->state)),
            DP_KV_STR("reason", c->why),
        };
        char one[CONDITION_BYTES];
        struct dp_span s = governor_object(one, sizeof(one), kv, DP_ARRAY_LEN(kv));
        if (i)
            buf[at++] = ',';
        memcpy(buf + at, s.p, s.n);
        at += s.n;
    }
    buf[at++] = ']';
    return (struct dp_span){buf, at};
}

/* "approval: no operator …" of the first condition that is not met. */
static void unmet_words(const struct dp_governor *g, uint16_t region, char *buf, size_t cap)
{
    struct dp_gate gate;
    governor_gate(g, region, &gate);
    buf[0] = '\0';
    for (uint16_t i = 0; i < gate.n && !buf[0]; i++) {
        const struct dp_gate_condition *c = &gate.conditions[i];
        if (c->state != DP_GATE_MET)
            (void)snprintf(buf, cap, "%s: %s", dp_gate_kind_name(c->kind), c->why);
    }
}

void governor_watch_gate(struct dp_governor *g, uint64_t now_ns)
{
    uint16_t region = g->decision.waiting;
    char json[GOVERNOR_GATE_BYTES], words[DP_WHY_TEXT], text[DP_WHY_TEXT];
    if (!g->started || g->dead || region == DP_NO_REGION || now_ns < g->decision.failback_at_ns)
        return;
    unsigned unmet = governor_gate_unmet(g, region);
    struct governor_gate_told *told = &g->gate_told[region];
    if (unmet == told->unmet || (told->at_ns && now_ns < told->at_ns + TELL_GAP_NS))
        return;
    *told = (struct governor_gate_told){unmet, now_ns};
    if (unmet == 0)
        return; /* the failback tells it */
    unmet_words(g, region, words, sizeof(words));
    (void)snprintf(text, sizeof(text), "its hold is over, its gate is not open; %.150s", words);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", g->config->regions[region].name),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", text),
        DP_KV_JSON("gate", governor_gate_json(g, region, json)),
    };
    dp_journal_write(g->journal, g->view->epoch, "gate_shut", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_INFO, "gate_shut", DP_KV_STR("region", g->config->regions[region].name),
           DP_KV_STR("reason", text));
}
