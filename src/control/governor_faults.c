/* Faults of drills: core/fault.h keeps them and their ends, here is who put them in force, and the record of it. They go
 * out with the view, they are no decision, so the epoch stays; what comes of them has epochs of its own. None survives
 * us: they are in no state file. */
#include "control/governor_state.h"

#include <stdio.h>
#include <string.h>

const struct dp_fault *governor_fault_met(void *governor, uint16_t endpoint)
{
    struct dp_governor *g = governor;
    const struct dp_fault *f = &g->faults.faults[g->config->endpoints[endpoint].region];
    return dp_fault_meets_probe(f, dp_random_next(&g->fault_chance)) ? f : NULL;
}

void governor_view_faults(const struct dp_governor *g, struct dp_view *v)
{
    v->faulty = dp_faults_mask(&g->faults);
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (v->faulty >> i & 1)
            v->faults[i] = g->faults.faults[i];
    }
}

bool governor_faults_told(const struct dp_governor *g)
{
    const struct dp_view *v = g->view;
    if (v->faulty != dp_faults_mask(&g->faults))
        return false;
    for (uint16_t i = 0; v->faulty >> i != 0; i++) {
        if (!dp_fault_same(&v->faults[i], &g->faults.faults[i]))
            return false;
    }
    return true;
}

static void record(const struct dp_governor *g, uint16_t region, bool begins,
                   const struct dp_fault *f, const char *actor, const char *reason)
{
    char share[32], until[DP_TIME_TEXT] = "", words[DP_FAULT_WORDS];
    const char *event = begins ? "fault" : "heal";
    if (begins)
        dp_time_text(g->faulted[region].until_wall_ms, until);
    governor_say(share, sizeof(share), "%.6g", f->share / (double)DP_FAULT_ALL);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_region_name(g, region)),
        DP_KV_STR("actor", actor),
        DP_KV_STR("reason", reason),
        DP_KV_BOOL("drill", true),
        DP_KV_STR("fault", dp_fault_name(f->kind)),
        DP_KV_INT("delay_ms", f->delay_ms),
        DP_KV_JSON("share", dp_span_str(share)),
        DP_KV_STR("until", until),
        DP_KV_STR("detail", dp_fault_words(f, words)),
        DP_KV_STR("databases", f->databases),
    };
    dp_journal_write(g->journal, g->view->epoch, event, kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, event, DP_KV_STR("region", governor_region_name(g, region)),
           DP_KV_STR("fault", words), DP_KV_STR("actor", actor), DP_KV_STR("reason", reason),
           DP_KV_STR("until", until));
}

/* One that is over, of which nothing is left in force. */
static void record_end(struct dp_governor *g, uint16_t region, const struct dp_fault *f,
                       const char *actor, const char *reason)
{
    g->faulted[region].on = false;
    record(g, region, false, f, actor, reason);
}

static void log_refusal(const struct dp_governor *g, const struct dp_fault_request *r,
                        const char *actor, const struct dp_fault_result *result)
{
    const struct dp_kv kv[] = {
        DP_KV_STR("order", "fault"),      DP_KV_STR("region", r->region),
        DP_KV_STR("actor", actor),        DP_KV_STR("rule", dp_fault_refusal_name(result->refusal)),
        DP_KV_STR("reason", result->why),
    };
    dp_journal_write(g->journal, g->view->epoch, "refused", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "order_refused", DP_KV_STR("order", "fault"),
           DP_KV_STR("region", r->region), DP_KV_STR("actor", actor),
           DP_KV_STR("reason", result->why));
}

enum dp_err dp_governor_fault(struct dp_governor *g, const struct dp_fault_request *r,
                              struct dp_fault_result *out)
{
    const struct dp_fault_rules rules = {.allowed = g->config->drills_allowed,
                                         .max_ns = g->config->drills_max_ms * DP_NS_PER_MS};
    const char *actor = r->actor ? r->actor : "operator";
    uint16_t region;
    *out = (struct dp_fault_result){.epoch = g->view->epoch};
    if (!governor_find_region(g, r->region, &region)) {
        governor_say(out->why, sizeof(out->why), "there is no region of this name");
        return DP_EINVAL;
    }
    const struct dp_fault before = g->faults.faults[region];
    out->refusal = dp_faults_begin(&g->faults, &rules, region, &r->fault, r->for_ms * DP_NS_PER_MS,
                                   governor_now(g));
    switch (out->refusal) {
    case DP_FAULT_REFUSAL_NONE:
        break;
    case DP_FAULT_REFUSAL_NOT_ALLOWED:
        governor_say(out->why, sizeof(out->why),
                     "the configuration allows no faults here: drills.allowed is false");
        break;
    case DP_FAULT_REFUSAL_TOO_LONG:
        governor_say(out->why, sizeof(out->why),
                     "a fault is for %u ms at most here (drills.max_ms)",
                     (unsigned)g->config->drills_max_ms);
        break;
    }
    if (out->refusal != DP_FAULT_REFUSAL_NONE) {
        log_refusal(g, r, actor, out);
        return DP_OK;
    }
    governor_publish_again(g);
    out->epoch = g->view->epoch;
    if (before.kind != DP_FAULT_NONE)
        record_end(g, region, &before, actor, "another one takes its place");
    struct dp_standing *s = &g->faulted[region];
    *s = (struct dp_standing){.on = true, .since_wall_ms = dp_clock_wall_ms(g->clock)};
    s->until_wall_ms = s->since_wall_ms + r->for_ms;
    governor_copy_text(s->actor, sizeof(s->actor), actor);
    governor_copy_text(s->reason, sizeof(s->reason), r->reason);
    record(g, region, true, &r->fault, s->actor, s->reason);
    return DP_OK;
}

/* `regions`: a bit each. Those of them that had one: their faults are over, of which nobody was told yet. */
static uint32_t end_faults(struct dp_governor *g, uint32_t regions)
{
    const uint32_t ended = regions & dp_faults_mask(&g->faults);
    for (uint16_t i = 0; ended >> i != 0; i++) {
        if (ended >> i & 1)
            (void)dp_faults_end(&g->faults, i);
    }
    return ended;
}

static void record_ends(struct dp_governor *g, uint32_t ended, const struct dp_faults *before,
                        const char *actor, const char *reason)
{
    for (uint16_t i = 0; ended >> i != 0; i++) {
        if (ended >> i & 1)
            record_end(g, i, &before->faults[i], actor, reason);
    }
}

enum dp_err dp_governor_heal(struct dp_governor *g, const char *region, const char *actor,
                             uint32_t *healed)
{
    uint16_t one;
    if (region && !governor_find_region(g, region, &one))
        return DP_EINVAL;
    const struct dp_faults before = g->faults;
    *healed = end_faults(g, region ? UINT32_C(1) << one : UINT32_MAX);
    if (*healed != 0)
        governor_publish_again(g);
    record_ends(g, *healed, &before, actor ? actor : "operator", "");
    return DP_OK;
}

void governor_faults_expire(struct dp_governor *g, uint64_t now_ns)
{
    const struct dp_faults before = g->faults;
    uint32_t over = 0;
    uint16_t region;
    while (dp_faults_expire(&g->faults, now_ns, &region))
        over |= UINT32_C(1) << region;
    if (over != 0)
        governor_publish_again(g);
    for (uint16_t i = 0; over >> i != 0; i++) {
        char reason[DP_WHY_TEXT];
        if (!(over >> i & 1))
            continue;
        governor_say(reason, sizeof(reason), "the time that %s gave it is over",
                     g->faulted[i].actor);
        record_end(g, i, &before.faults[i], "ttl", reason);
    }
}

/* The view that the reload makes tells the workers. */
void governor_faults_leave(struct dp_governor *g, const struct dp_control_config *next,
                           const uint16_t map[DP_MAX_REGIONS])
{
    const struct dp_faults before = g->faults;
    uint32_t gone = 0;
    for (uint16_t i = 0; i < g->config->n_regions; i++)
        gone |= (uint32_t)(map[i] == DP_NO_REGION) << i;
    record_ends(g, end_faults(g, gone), &before, "governor", "its region leaves the configuration");
    if (!next->drills_allowed)
        record_ends(g, end_faults(g, UINT32_MAX), &before, "governor",
                    "drills.allowed is false from now on");
}

/* The workers are gone, or go. */
void governor_faults_stop(struct dp_governor *g)
{
    const struct dp_faults before = g->faults;
    record_ends(g, end_faults(g, UINT32_MAX), &before, "governor", "the proxy stops");
}
