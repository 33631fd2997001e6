/* The rules of core/orders.h: ask all that may refuse, then change what stands, then let failover decide. */
#include "davenport/core/orders.h"

#include <string.h>

const char *dp_order_name(enum dp_order_kind k)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_ORDER_TABLE(X)
#undef X
    };
    return k < DP_ORDER_COUNT ? names[k] : "?";
}

const char *dp_refusal_name(enum dp_refusal r)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_REFUSAL_TABLE(X)
#undef X
    };
    return r < DP_REFUSAL_COUNT ? names[r] : "?";
}

bool dp_order_names_region(enum dp_order_kind k)
{
    return k < DP_ORDER_COUNT && k != DP_ORDER_FREEZE && k != DP_ORDER_UNFREEZE;
}

bool dp_order_stands(enum dp_order_kind k)
{
    return k == DP_ORDER_SWITCH || k == DP_ORDER_DRAIN || k == DP_ORDER_FREEZE ||
           k == DP_ORDER_APPROVE;
}

/* Known to serve: UNKNOWN does not count, for a safety rule goes by what is proved. */
static bool serves(const struct dp_failover_state *f, const struct dp_failover_region *r,
                   uint16_t i)
{
    bool alive = r[i].health == DP_HEALTH_UP || r[i].health == DP_HEALTH_SUSPECT;
    return alive && !r[i].draining && !f->drained[i];
}

static uint16_t count_serving(const struct dp_failover_state *f,
                              const struct dp_orders_facts *facts)
{
    uint16_t n = 0;
    for (uint16_t i = 0; i < facts->failover->n_regions; i++)
        n = (uint16_t)(n + serves(f, facts->regions, i));
    return n;
}

static bool moves(const struct dp_failover_state *f, const struct dp_order *o)
{
    return (o->kind == DP_ORDER_SWITCH && o->region != f->active) ||
           (o->kind == DP_ORDER_DRAIN && o->region == f->active);
}

static bool refuses(enum dp_refusal rule, const struct dp_failover_state *f,
                    const struct dp_orders_facts *facts, const struct dp_order *o,
                    const struct dp_orders_verdict *v)
{
    const struct dp_failover_region *target = &facts->regions[o->region];
    bool to_use = o->kind == DP_ORDER_SWITCH || o->kind == DP_ORDER_APPROVE;
    switch (rule) {
    case DP_REFUSAL_EPOCH:
        return o->if_epoch && o->epoch != facts->epoch;
    case DP_REFUSAL_DRAINED:
        return to_use && f->drained[o->region];
    case DP_REFUSAL_DOWN:
        return to_use && target->health == DP_HEALTH_DOWN;
    case DP_REFUSAL_DRAINING:
        return to_use && target->draining;
    case DP_REFUSAL_MIN_REGIONS: /* draining what does not serve takes nothing away */
        return v->serving_after < v->serving_before && v->serving_after < facts->min_regions;
    case DP_REFUSAL_DWELL:
        return moves(f, o) && v->dwell_left_ns > 0;
    case DP_REFUSAL_NONE:
    case DP_REFUSAL_COUNT:
        break;
    }
    return false;
}

static void judge(const struct dp_failover_state *f, const struct dp_orders_facts *facts,
                  const struct dp_order *o, struct dp_orders_verdict *v)
{
    v->serving_before = count_serving(f, facts);
    v->serving_after = v->serving_before;
    if (o->kind == DP_ORDER_DRAIN)
        v->serving_after = (uint16_t)(v->serving_after - serves(f, facts->regions, o->region));
    v->dwell_left_ns = dp_failover_dwell_left(f, facts->failover, facts->now_ns);
    for (enum dp_refusal rule = DP_REFUSAL_EPOCH; rule < DP_REFUSAL_COUNT; rule++) {
        if (!refuses(rule, f, facts, o, v))
            continue;
        if (!o->force || rule < DP_REFUSAL_DOWN || o->kind == DP_ORDER_APPROVE) {
            v->refusal = rule;
            v->overridden = 0;
            return;
        }
        v->overridden |= 1U << rule;
    }
}

void dp_orders_obey(struct dp_orders_state *s, struct dp_failover_state *f,
                    const struct dp_orders_facts *facts, const struct dp_order *o,
                    struct dp_orders_verdict *out)
{
    uint64_t until = o->ttl_ns ? facts->now_ns + o->ttl_ns : 0;
    memset(out, 0, sizeof(*out));
    judge(f, facts, o, out);
    if (out->refusal != DP_REFUSAL_NONE)
        return;
    switch (o->kind) {
    case DP_ORDER_SWITCH:
        s->pinned_until_ns = until;
        /* Nothing is left that could refuse it: it is forced, or not lost. */
        if (!dp_failover_switch(f, facts->failover, facts->regions, o->region, o->force,
                                facts->now_ns, &out->decision))
            out->refusal = DP_REFUSAL_DOWN;
        return;
    case DP_ORDER_DRAIN:
    case DP_ORDER_RESUME:
        f->drained[o->region] = o->kind == DP_ORDER_DRAIN;
        s->drained_until_ns[o->region] = until;
        break;
    case DP_ORDER_FREEZE:
    case DP_ORDER_UNFREEZE:
        f->frozen = o->kind == DP_ORDER_FREEZE;
        s->frozen_until_ns = until;
        break;
    case DP_ORDER_APPROVE:
    case DP_ORDER_REVOKE:
        f->approved[o->region] = o->kind == DP_ORDER_APPROVE;
        s->approved_until_ns[o->region] = until;
        break;
    case DP_ORDER_COUNT:
        break;
    }
    dp_failover_step(f, facts->failover, facts->regions, facts->now_ns, &out->decision);
}

void dp_orders_remap(struct dp_orders_state *s, const uint16_t *map, uint16_t n)
{
    const struct dp_orders_state old = *s;
    *s = (struct dp_orders_state){.frozen_until_ns = old.frozen_until_ns,
                                  .pinned_until_ns = old.pinned_until_ns};
    for (uint16_t i = 0; i < n; i++) {
        if (map[i] == DP_NO_REGION)
            continue;
        s->drained_until_ns[map[i]] = old.drained_until_ns[i];
        s->approved_until_ns[map[i]] = old.approved_until_ns[i];
    }
}

static bool over(uint64_t *until_ns, uint64_t now_ns)
{
    if (*until_ns == 0 || now_ns < *until_ns)
        return false;
    *until_ns = 0;
    return true;
}

bool dp_orders_expire(struct dp_orders_state *s, struct dp_failover_state *f, uint16_t n_regions,
                      uint64_t now_ns, struct dp_order *ended)
{
    memset(ended, 0, sizeof(*ended));
    for (uint16_t i = 0; i < n_regions; i++) {
        if (over(&s->drained_until_ns[i], now_ns)) {
            *ended = (struct dp_order){.kind = DP_ORDER_DRAIN, .region = i};
            f->drained[i] = false;
            return true;
        }
        if (!f->approved[i])
            s->approved_until_ns[i] = 0; /* it was used, or the region lost */
        if (over(&s->approved_until_ns[i], now_ns)) {
            *ended = (struct dp_order){.kind = DP_ORDER_APPROVE, .region = i};
            f->approved[i] = false;
            return true;
        }
    }
    if (over(&s->frozen_until_ns, now_ns)) {
        ended->kind = DP_ORDER_FREEZE;
        f->frozen = false;
        return true;
    }
    if (!f->pinned)
        s->pinned_until_ns = 0; /* the pin ended earlier, with its region */
    if (over(&s->pinned_until_ns, now_ns)) {
        *ended = (struct dp_order){.kind = DP_ORDER_SWITCH, .region = f->active};
        f->pinned = false;
        f->forced = false;
        return true;
    }
    return false;
}
