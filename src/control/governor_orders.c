/* Operators: their orders judged and carried out by core/orders.h, who gave what stands, and the record of it. */
#include "control/governor_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECORD_BYTES 1024

void governor_copy_text(char *out, size_t cap, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= cap) {
        n = cap - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
    }
    if (n)
        memcpy(out, text, n);
    out[n] = '\0';
}

/* ---- who, why, since when ---- */

static struct dp_standing *standing_of(struct dp_governor *g, const struct dp_order *o)
{
    switch (o->kind) {
    case DP_ORDER_SWITCH:
        return &g->pin;
    case DP_ORDER_DRAIN:
    case DP_ORDER_RESUME:
        return &g->drained[o->region];
    case DP_ORDER_APPROVE:
    case DP_ORDER_REVOKE:
        return &g->approved[o->region];
    case DP_ORDER_FREEZE:
    case DP_ORDER_UNFREEZE:
    case DP_ORDER_COUNT:
        break;
    }
    return &g->frozen;
}

static void note_standing(struct dp_governor *g, const struct governor_order *o)
{
    struct dp_standing *s = standing_of(g, &o->order);
    *s = (struct dp_standing){.on = dp_order_stands(o->order.kind),
                              .since_wall_ms = dp_clock_wall_ms(g->clock)};
    if (o->ttl_s)
        s->until_wall_ms = s->since_wall_ms + (int64_t)o->ttl_s * 1000;
    governor_copy_text(s->actor, sizeof(s->actor), o->actor);
    governor_copy_text(s->reason, sizeof(s->reason), o->reason);
}

/* ---- orders ---- */

static void look(const struct dp_failover_state *f, const struct dp_failover_decision *d,
                 struct dp_order_look *out)
{
    *out = (struct dp_order_look){.active = d->after, .frozen = f->frozen, .pinned = f->pinned};
    memcpy(out->drained, f->drained, sizeof(out->drained));
    memcpy(out->held, d->held, sizeof(out->held));
    memcpy(out->routes, d->routes, sizeof(out->routes));
}

static void rule_words(const struct dp_governor *g, enum dp_refusal rule, const struct dp_order *o,
                       const struct dp_orders_verdict *v, char *buf, size_t cap)
{
    const char *name = governor_region_name(g, o->region);
    switch (rule) {
    case DP_REFUSAL_EPOCH:
        governor_say(buf, cap,
                     "the epoch is %" PRIu64 ", not %" PRIu64
                     ": something was decided since; look again",
                     g->view->epoch, o->epoch);
        break;
    case DP_REFUSAL_DRAINED:
        governor_say(buf, cap, "%s was drained by %s; resume it first", name,
                     g->drained[o->region].actor);
        break;
    case DP_REFUSAL_DOWN:
        governor_say(buf, cap, "the region is down: %.120s", g->regions[o->region].why);
        break;
    case DP_REFUSAL_DRAINING:
        governor_say(buf, cap, "the region asks to be drained (maintenance)");
        break;
    case DP_REFUSAL_MIN_REGIONS:
        governor_say(buf, cap,
                     "%u region%s would be left that serve%s, and safety.min_regions is %u",
                     (unsigned)v->serving_after, v->serving_after == 1 ? "" : "s",
                     v->serving_after == 1 ? "s" : "", (unsigned)g->config->min_regions);
        break;
    case DP_REFUSAL_DWELL:
        governor_say(buf, cap,
                     "the last move is too young: %.1f s of safety.dwell_ms (%.1f s) are left",
                     (double)v->dwell_left_ns / 1e9, g->config->dwell_ms / 1e3);
        break;
    case DP_REFUSAL_NONE:
    case DP_REFUSAL_COUNT:
        break;
    }
}

/* What refused, or what force overrode. */
static void explain_verdict(const struct dp_governor *g, const struct dp_order *o,
                            const struct dp_orders_verdict *v, char out[DP_WHY_TEXT])
{
    size_t at = 0;
    out[0] = '\0';
    if (v->refusal != DP_REFUSAL_NONE) {
        rule_words(g, v->refusal, o, v, out, DP_WHY_TEXT);
        return;
    }
    for (enum dp_refusal r = DP_REFUSAL_EPOCH; r < DP_REFUSAL_COUNT; r++) {
        if (!(v->overridden & 1U << r))
            continue;
        if (at)
            governor_say(out + at, DP_WHY_TEXT - at, "; ");
        at = strlen(out);
        rule_words(g, r, o, v, out + at, DP_WHY_TEXT - at);
        at = strlen(out);
    }
}

bool governor_find_region(const struct dp_governor *g, const char *name, uint16_t *out)
{
    for (uint16_t i = 0; name && i < g->config->n_regions; i++) {
        if (strcmp(g->config->regions[i].name, name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void log_refusal(const struct dp_governor *g, const struct governor_order *o,
                        const char *why)
{
    const char *region =
        dp_order_names_region(o->order.kind) ? governor_region_name(g, o->order.region) : "";
    const struct dp_kv kv[] = {
        DP_KV_STR("order", dp_order_name(o->order.kind)),
        DP_KV_STR("region", region),
        DP_KV_STR("actor", o->actor),
        DP_KV_STR("rule", dp_refusal_name(o->verdict.refusal)),
        DP_KV_STR("reason", why),
    };
    dp_journal_write(g->journal, g->view->epoch, "refused", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "order_refused", DP_KV_STR("order", dp_order_name(o->order.kind)),
           DP_KV_STR("region", region), DP_KV_STR("actor", o->actor), DP_KV_STR("reason", why));
}

enum dp_err dp_governor_order(struct dp_governor *g, const struct dp_order_request *r,
                              struct dp_order_result *out)
{
    struct dp_failover_region regions[DP_MAX_REGIONS];
    struct dp_orders_state orders = g->orders; /* copies: a rehearsal changes only them */
    struct dp_failover_state failover = g->failover;
    uint64_t ttl_ns = dp_order_stands(r->kind) ? r->ttl_s * DP_NS_PER_S : 0;
    struct governor_order o = {.order = {.kind = r->kind,
                                         .force = r->force,
                                         .if_epoch = r->if_epoch,
                                         .epoch = r->epoch,
                                         .ttl_ns = ttl_ns},
                               .actor = r->actor ? r->actor : "operator",
                               .reason = r->reason ? r->reason : "",
                               .ttl_s = ttl_ns ? r->ttl_s : 0};
    memset(out, 0, sizeof(*out));
    if (dp_order_names_region(r->kind) && !governor_find_region(g, r->region, &o.order.region)) {
        governor_say(out->why, sizeof(out->why), "there is no region of this name");
        return DP_EINVAL;
    }
    governor_regions(g, regions);
    const struct dp_orders_facts facts = {.failover = &g->failover_config,
                                          .regions = regions,
                                          .min_regions = g->config->min_regions,
                                          .epoch = g->view->epoch,
                                          .now_ns = governor_now(g)};
    dp_orders_obey(&orders, &failover, &facts, &o.order, &o.verdict);
    bool done = o.verdict.refusal == DP_REFUSAL_NONE;
    look(&g->failover, &g->decision, &out->before);
    look(done ? &failover : &g->failover, done ? &o.verdict.decision : &g->decision, &out->after);
    out->refusal = o.verdict.refusal;
    out->overridden = o.verdict.overridden;
    out->move = o.verdict.decision.move;
    explain_verdict(g, &o.order, &o.verdict, out->why);
    if (!done && !r->dry_run)
        log_refusal(g, &o, out->why);
    if (done && !r->dry_run) {
        g->orders = orders;
        g->failover = failover;
        note_standing(g, &o);
        governor_carry_out(g, &o.verdict.decision, &(struct governor_cause){.order = &o});
        out->ticket = dp_journal_ticket(g->journal);
    }
    out->epoch = g->view->epoch;
    return DP_OK;
}

void governor_expire(struct dp_governor *g, uint64_t now_ns)
{
    struct governor_order o = {.actor = "ttl", .ended = true};
    char reason[DP_WHY_TEXT];
    if (!g->started || g->dead)
        return;
    while (dp_orders_expire(&g->orders, &g->failover, g->config->n_regions, now_ns, &o.order)) {
        struct dp_failover_region regions[DP_MAX_REGIONS];
        struct dp_standing *s = standing_of(g, &o.order);
        governor_say(reason, sizeof(reason), "the time that %s gave it is over", s->actor);
        o.reason = reason;
        s->on = false;
        governor_regions(g, regions);
        dp_failover_step(&g->failover, &g->failover_config, regions, now_ns, &o.verdict.decision);
        governor_carry_out(g, &o.verdict.decision, &(struct governor_cause){.order = &o});
    }
}

/* ---- the record ---- */

/* What ended, or what was ordered. */
static const char *event_of(const struct governor_order *o)
{
    if (!o->ended)
        return dp_order_name(o->order.kind);
    switch (o->order.kind) {
    case DP_ORDER_DRAIN:
        return "resume";
    case DP_ORDER_FREEZE:
        return "unfreeze";
    case DP_ORDER_APPROVE:
        return "revoke";
    case DP_ORDER_SWITCH:
    case DP_ORDER_RESUME:
    case DP_ORDER_UNFREEZE:
    case DP_ORDER_REVOKE:
    case DP_ORDER_COUNT:
        break;
    }
    return "unpin";
}

/* ["dwell","region_down"] */
static struct dp_span overridden_json(unsigned mask, char *buf, size_t cap)
{
    size_t at = 0;
    buf[at++] = '[';
    for (enum dp_refusal r = DP_REFUSAL_EPOCH; r < DP_REFUSAL_COUNT; r++) {
        if (mask & 1U << r) {
            governor_say(buf + at, cap - at, "%s\"%s\"", at > 1 ? "," : "", dp_refusal_name(r));
            at += strlen(buf + at);
        }
    }
    governor_say(buf + at, cap - at, "]");
    return (struct dp_span){buf, at + 1};
}

void governor_record_order(struct dp_governor *g, const struct governor_order *o,
                           const struct dp_failover_decision *d)
{
    char overridden[128], until[DP_TIME_TEXT] = "", regions[RECORD_BYTES * 3];
    const struct dp_standing *s = standing_of(g, &o->order);
    const char *region = dp_order_names_region(o->order.kind)
                             ? governor_region_name(g, o->order.region)
                             : governor_region_name(g, d->after);
    if (s->on && s->until_wall_ms)
        dp_time_text(s->until_wall_ms, until);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", region),
        DP_KV_STR("before", governor_region_name(g, d->before)),
        DP_KV_STR("after", governor_region_name(g, d->after)),
        DP_KV_STR("actor", o->actor),
        DP_KV_STR("reason", o->reason),
        DP_KV_STR("until", until),
        DP_KV_BOOL("forced", o->verdict.overridden != 0),
        DP_KV_JSON("overridden",
                   overridden_json(o->verdict.overridden, overridden, sizeof(overridden))),
        DP_KV_BOOL("frozen", g->failover.frozen),
        DP_KV_BOOL("pinned", g->failover.pinned),
        DP_KV_INT("serving_before", o->verdict.serving_before),
        DP_KV_INT("serving_after", o->verdict.serving_after),
        DP_KV_INT("min_regions", g->config->min_regions),
        DP_KV_INT("dwell_left_ms", o->verdict.dwell_left_ns / DP_NS_PER_MS),
        DP_KV_INT("dwell_ms", g->config->dwell_ms),
        DP_KV_JSON("regions", governor_regions_json(g, d, regions, sizeof(regions))),
    };
    dp_journal_write(g->journal, g->view->epoch, event_of(o), kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, event_of(o), DP_KV_STR("region", region),
           DP_KV_STR("before", governor_region_name(g, d->before)),
           DP_KV_STR("after", governor_region_name(g, d->after)), DP_KV_STR("actor", o->actor),
           DP_KV_STR("reason", o->reason), DP_KV_INT("epoch", g->view->epoch));
}
