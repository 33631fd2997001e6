/* What must hold whatever operators order and regions do: long random histories (fixed seeds) of health, time and
 * orders, held against an account that the test keeps by itself. */
#include "davenport/base/clock.h"
#include "davenport/core/orders.h"

#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS        DP_NS_PER_MS
#define HISTORIES 400
#define EVENTS    3000

struct world {
    struct random random;
    struct dp_failover_config config;
    struct dp_failover_state failover;
    struct dp_orders_state orders;
    struct dp_failover_region regions[DP_MAX_REGIONS];
    uint16_t min_regions;
    uint64_t now_ns, epoch;
    /* the test's own account */
    bool drained[DP_MAX_REGIONS], frozen;
    uint64_t drained_until[DP_MAX_REGIONS], frozen_until; /* UINT64_MAX: until ordered */
    bool moved;
    uint64_t moved_ns;
    unsigned done[DP_ORDER_COUNT], refused[DP_REFUSAL_COUNT], ended;
};

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->random.x = seed * 7919 + 1;
    w->config = (struct dp_failover_config){.n_regions = (uint16_t)(1 + below(&w->random, 5)),
                                            .automatic = below(&w->random, 3) != 0,
                                            .hold_ns = below(&w->random, 30) * 1000 * MS,
                                            .dwell_ns = below(&w->random, 20) * 1000 * MS,
                                            .no_region = (enum dp_no_region)below(&w->random, 3)};
    w->min_regions = (uint16_t)below(&w->random, 3);
    w->now_ns = below(&w->random, 1000) * MS;
    dp_failover_init(&w->failover);
}

static bool serves(const struct world *w, uint16_t i)
{
    const struct dp_failover_region *r = &w->regions[i];
    return (r->health == DP_HEALTH_UP || r->health == DP_HEALTH_SUSPECT) && !r->draining &&
           !w->drained[i];
}

static unsigned serving(const struct world *w)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < w->config.n_regions; i++)
        n += serves(w, i);
    return n;
}

/* Whatever was decided: nothing goes to a drained region. */
static void check(struct world *w, const struct dp_failover_decision *d)
{
    for (uint16_t i = 0; i < w->config.n_regions; i++) {
        assert_int_equal(w->failover.drained[i], w->drained[i]);
        if (w->drained[i]) {
            assert_int_not_equal(d->after, i);
            assert_int_not_equal(d->routes[i], DP_ROUTE_OK);
        }
    }
    assert_int_equal(w->failover.frozen, w->frozen);
    if (d->after != d->before)
        w->epoch++;
    if (d->move == DP_MOVE_NONE)
        assert_int_equal(d->after, d->before);
    if (d->move != DP_MOVE_NONE) {
        w->moved = true;
        w->moved_ns = w->now_ns;
    }
}

static bool dwells(const struct world *w)
{
    return w->moved && w->now_ns < w->moved_ns + w->config.dwell_ns;
}

static void let_pass(struct world *w)
{
    struct dp_failover_decision d;
    struct dp_order ended;
    w->now_ns += below(&w->random, 900) * MS;
    uint16_t which = (uint16_t)below(&w->random, w->config.n_regions);
    if (below(&w->random, 4) == 0)
        w->regions[which] =
            (struct dp_failover_region){.health = (enum dp_health)below(&w->random, 4),
                                        .draining = below(&w->random, 8) == 0,
                                        .slow = below(&w->random, 8) == 0};
    while (dp_orders_expire(&w->orders, &w->failover, w->config.n_regions, w->now_ns, &ended)) {
        w->ended++;
        w->epoch++;
        if (ended.kind == DP_ORDER_DRAIN) {
            assert_true(w->drained[ended.region] && w->now_ns >= w->drained_until[ended.region]);
            w->drained[ended.region] = false;
        } else if (ended.kind == DP_ORDER_FREEZE) {
            assert_true(w->frozen && w->now_ns >= w->frozen_until);
            w->frozen = false;
        }
    }
    for (uint16_t i = 0; i < w->config.n_regions; i++)
        assert_false(w->drained[i] && w->now_ns >= w->drained_until[i]);
    assert_false(w->frozen && w->now_ns >= w->frozen_until);
    bool young = dwells(w);
    dp_failover_step(&w->failover, &w->config, w->regions, w->now_ns, &d);
    if (w->frozen) /* nothing moves but from nowhere */
        assert_true(
            d.move == DP_MOVE_NONE ||
            (d.move == DP_MOVE_REGAINED && (d.before == DP_NO_REGION || d.after == d.before)) ||
            (d.move == DP_MOVE_OPEN && d.before == DP_NO_REGION));
    if (d.move == DP_MOVE_FAILBACK)
        assert_false(young);
    if (d.waiting != DP_NO_REGION)
        assert_true(!w->frozen && d.failback_at_ns >= w->now_ns && !w->drained[d.waiting]);
    check(w, &d);
}

static struct dp_order draw(struct world *w)
{
    struct dp_order o = {.kind = (enum dp_order_kind)below(&w->random, DP_ORDER_COUNT),
                         .region = (uint16_t)below(&w->random, w->config.n_regions),
                         .force = below(&w->random, 4) == 0,
                         .if_epoch = below(&w->random, 3) == 0};
    o.epoch = w->epoch + (below(&w->random, 4) == 0);
    if (dp_order_stands(o.kind) && below(&w->random, 2))
        o.ttl_ns = (1 + below(&w->random, 20)) * 1000 * MS;
    return o;
}

static void account(struct world *w, const struct dp_order *o)
{
    uint64_t until = o->ttl_ns ? w->now_ns + o->ttl_ns : UINT64_MAX;
    w->done[o->kind]++;
    w->epoch++;
    if (o->kind == DP_ORDER_DRAIN || o->kind == DP_ORDER_RESUME) {
        w->drained[o->region] = o->kind == DP_ORDER_DRAIN;
        w->drained_until[o->region] = until;
    } else if (o->kind == DP_ORDER_FREEZE || o->kind == DP_ORDER_UNFREEZE) {
        w->frozen = o->kind == DP_ORDER_FREEZE;
        w->frozen_until = until;
    }
}

static void check_done(const struct world *w, const struct dp_order *o,
                       const struct dp_orders_verdict *v, unsigned serving_before, bool young)
{
    bool moved_by_choice = v->decision.move == DP_MOVE_SWITCH || v->decision.move == DP_MOVE_DRAIN;
    unsigned now = serving(w);
    assert_false(o->if_epoch && o->epoch != w->epoch - 1); /* account() has counted it on */
    assert_true(o->force || v->overridden == 0);
    if (!o->force && now < serving_before)
        assert_true(now >= w->min_regions);
    if (!o->force && moved_by_choice)
        assert_false(young);
    if (o->kind == DP_ORDER_SWITCH) {
        assert_int_equal(v->decision.after, o->region);
        assert_true(w->failover.pinned);
    }
}

static void one_order(struct world *w)
{
    struct dp_order o = draw(w);
    const struct dp_orders_facts facts = {.failover = &w->config,
                                          .regions = w->regions,
                                          .min_regions = w->min_regions,
                                          .epoch = w->epoch,
                                          .now_ns = w->now_ns};
    struct dp_orders_state orders = w->orders;
    struct dp_failover_state failover = w->failover;
    struct dp_orders_verdict rehearsed, v;
    bool young = dwells(w);
    unsigned before = serving(w);
    dp_orders_obey(&orders, &failover, &facts, &o, &rehearsed);
    if (rehearsed.refusal != DP_REFUSAL_NONE) { /* a refusal changes nothing */
        assert_memory_equal(&orders, &w->orders, sizeof(orders));
        assert_memory_equal(&failover, &w->failover, sizeof(failover));
        if (o.if_epoch && o.epoch != w->epoch)
            assert_int_equal(rehearsed.refusal, DP_REFUSAL_EPOCH);
        w->refused[rehearsed.refusal]++;
        return;
    }
    dp_orders_obey(&w->orders, &w->failover, &facts, &o, &v); /* what was rehearsed comes true */
    assert_memory_equal(&v, &rehearsed, sizeof(v));
    account(w, &o);
    check_done(w, &o, &v, before, young);
    check(w, &v.decision);
}

static void random_histories(void **state)
{
    (void)state;
    unsigned done[DP_ORDER_COUNT] = {0}, refused[DP_REFUSAL_COUNT] = {0}, ended = 0;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        struct world w;
        world_init(&w, seed);
        for (unsigned i = 0; i < EVENTS; i++) {
            if (below(&w.random, 8) == 0)
                one_order(&w);
            else
                let_pass(&w);
        }
        for (size_t i = 0; i < DP_ORDER_COUNT; i++)
            done[i] += w.done[i];
        for (size_t i = 0; i < DP_REFUSAL_COUNT; i++)
            refused[i] += w.refused[i];
        ended += w.ended;
    }
    /* Every order was carried out and every rule refused one, often. */
    for (size_t i = 0; i < DP_ORDER_COUNT; i++)
        assert_true(done[i] > HISTORIES);
    for (size_t i = DP_REFUSAL_EPOCH; i < DP_REFUSAL_COUNT; i++)
        assert_true(refused[i] > HISTORIES);
    assert_true(ended > HISTORIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
