/* Routing: an order of the regions for each kind of request, and the rule of retries. */
#include "davenport/core/policy.h"

#include "davenport/base/random.h"

#define NONE DP_MAX_ENDPOINTS
/* So many failed in a region that others come first. */
#define SIBLINGS_TRIED 2
/* An endpoint that has requests and was given none for so long is given one. */
#define PASSED_OVER_NS UINT64_C(250000000)

/* Reasons to pass a region over, the stronger one in the higher bit. */
#define HELD      32U
#define TIRED     16U
#define WITHHELD  8U
#define THROTTLED 4U
#define FULL      2U
#define FAR       1U

struct look {
    const struct dp_view *view;
    const struct dp_router *router;
    const struct dp_ask *ask;
    const struct dp_attempts *attempts;
    uint64_t now_ns;
};

static struct dp_route send_to(uint16_t endpoint, bool moved)
{
    return (struct dp_route){.kind = DP_ROUTE_SEND, .endpoint = endpoint, .moved = moved};
}

static struct dp_route fail_with(enum dp_err why)
{
    return (struct dp_route){.kind = DP_ROUTE_FAIL, .why = why, .region = DP_NO_REGION};
}

static struct dp_route fail_for(enum dp_err why, uint16_t region)
{
    return (struct dp_route){.kind = DP_ROUTE_FAIL, .why = why, .region = region};
}

/* ---- one region ---- */

/* How far a request goes to get what it wants. */
enum reach {
    REACH_OPEN, /* a region that is open to all */
    REACH_HOME, /* or that is held: no write went anywhere else meanwhile */
    REACH_NAMED /* or that is barred for whatever reason */
};

static bool routable(enum dp_route_state s, bool held, enum reach reach)
{
    return s == DP_ROUTE_OK ||
           (s == DP_ROUTE_BARRED && (reach == REACH_NAMED || (reach == REACH_HOME && held)));
}

static bool usable(const struct look *l, uint16_t ep, enum reach reach)
{
    const struct dp_view_endpoint *e = &l->view->endpoints[ep];
    return !(l->attempts->failed_mask >> ep & 1) &&
           routable(e->state, l->view->regions[e->region].held, reach);
}

/* One that hangs on to its requests is the busiest, gets no more of them, and so nothing is found out about it: a lookup is
 * sent there all the same once in a while. */
static bool passed_over(const struct look *l, uint16_t ep)
{
    const uint32_t cap = l->view->endpoints[ep].max_in_flight, busy = l->router->in_flight[ep];
    return l->ask->load == DP_LOAD_LOOKUP && l->attempts->failed_mask == 0 && busy > 0 &&
           (cap == 0 || busy < cap) && l->now_ns >= l->router->began_ns[ep] + PASSED_OVER_NS;
}

/* The least busy of its endpoints that can take the request, of equals the one whose turn it is; NONE: there is none. */
static uint16_t endpoint_in(const struct look *l, uint16_t region, enum reach reach)
{
    const struct dp_view *v = l->view;
    uint16_t equals[DP_MAX_ENDPOINTS];
    uint16_t n = 0;
    uint32_t least = UINT32_MAX;
    if (region >= v->n_regions || (l->attempts->acted_mask >> region & 1) ||
        !routable(v->regions[region].state, v->regions[region].held, reach))
        return NONE;
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++) {
        uint32_t busy = l->router->in_flight[ep];
        if (v->endpoints[ep].region != region || !usable(l, ep, reach))
            continue;
        if (passed_over(l, ep))
            return ep;
        if (busy > least)
            continue;
        if (busy < least)
            n = 0;
        least = busy;
        equals[n++] = ep;
    }
    return n > 0 ? equals[l->attempts->turn % n] : NONE;
}

/* Enough of its endpoints failed this request: a region of many dead nodes must not cost it a timeout each. */
static bool tired(const struct look *l, uint16_t region)
{
    unsigned failed = 0;
    for (uint16_t ep = 0; l->attempts->failed_mask && ep < l->view->n_endpoints; ep++)
        failed += l->view->endpoints[ep].region == region && (l->attempts->failed_mask >> ep & 1);
    return failed >= SIBLINGS_TRIED;
}

static bool withheld(const struct look *l, uint16_t region)
{
    uint8_t share = l->view->regions[region].share;
    return share < 100 && !l->ask->writes && l->ask->key % 100 >= share;
}

static unsigned faults(const struct look *l, uint16_t region, uint16_t endpoint)
{
    const struct dp_router *r = l->router;
    uint32_t cap = l->view->endpoints[endpoint].max_in_flight;
    unsigned f = 0;
    if (l->view->regions[region].held)
        f |= HELD;
    if (tired(l, region))
        f |= TIRED;
    if (withheld(l, region))
        f |= WITHHELD;
    if (l->now_ns < r->throttled_until_ns[region][l->ask->load])
        f |= THROTTLED;
    if (cap > 0 && r->in_flight[endpoint] >= cap)
        f |= FULL;
    if (!(r->near.regions >> region & 1))
        f |= FAR;
    return f;
}

/* ---- orders of regions ---- */

/* While it returns, the active region leaves a share of the reads to the others. */
static unsigned rank_by_active(const struct look *l, uint16_t region)
{
    if (l->view->regions[region].held)
        return 1;
    if (tired(l, region))
        return 2;
    if (region != l->view->active)
        return 4;
    return withheld(l, region) && !l->ask->bound ? 3 : 5;
}

/* The active region, then the others in the configured order, held ones last. */
static struct dp_route to_active(const struct look *l)
{
    uint16_t best = NONE;
    unsigned best_rank = 0;
    for (uint16_t i = 0; i < l->view->n_regions; i++) {
        uint16_t ep = endpoint_in(l, i, REACH_OPEN);
        unsigned rank = ep == NONE ? 0 : rank_by_active(l, i);
        if (rank > best_rank) {
            best_rank = rank;
            best = ep;
        }
    }
    return best != NONE ? send_to(best, false) : fail_with(DP_ENOREGION);
}

static struct dp_route to_home(const struct look *l)
{
    uint16_t ep = endpoint_in(l, l->view->home, REACH_HOME);
    return ep != NONE ? send_to(ep, false) : fail_for(DP_EPRIMARY, l->view->home);
}

static struct dp_route to_named(const struct look *l)
{
    if (l->ask->only >= l->view->n_regions)
        return fail_with(DP_ENOSUCHREGION);
    uint16_t ep = endpoint_in(l, l->ask->only, REACH_NAMED);
    return ep != NONE ? send_to(ep, false) : fail_for(DP_ENAMED, l->ask->only);
}

static uint32_t busy_in(const struct look *l, uint16_t region)
{
    uint32_t n = 0;
    for (uint16_t ep = 0; ep < l->view->n_endpoints; ep++)
        n += l->view->endpoints[ep].region == region ? l->router->in_flight[ep] : 0;
    return n;
}

/* Of two by chance the less busy one, of equals the first that chance named. */
static uint16_t less_busy(const struct look *l, const uint16_t *regions, uint16_t n)
{
    uint16_t a = (uint16_t)(l->ask->chance % n);
    if (n == 1)
        return regions[0];
    uint16_t b = (uint16_t)((a + 1 + (l->ask->chance >> 32) % (n - 1U)) % n);
    return busy_in(l, regions[b]) < busy_in(l, regions[a]) ? regions[b] : regions[a];
}

static uint16_t least_far(const struct look *l, const uint16_t *regions, uint16_t n)
{
    uint16_t best = regions[0];
    double best_ns = -1;
    for (uint16_t i = 0; i < n; i++) {
        double ns = dp_router_latency_ns(l->router, l->view, regions[i], l->now_ns);
        if (ns >= 0 && (best_ns < 0 || ns < best_ns)) {
            best_ns = ns;
            best = regions[i];
        }
    }
    return best;
}

/* Among the regions with the least against them. */
static struct dp_route to_nearest(const struct look *l, bool moved)
{
    uint16_t endpoints[DP_MAX_REGIONS], best[DP_MAX_REGIONS];
    uint16_t n = 0;
    unsigned least = UINT32_MAX;
    for (uint16_t i = 0; i < l->view->n_regions; i++) {
        endpoints[i] = endpoint_in(l, i, REACH_OPEN);
        if (endpoints[i] == NONE)
            continue;
        unsigned f = faults(l, i, endpoints[i]);
        if (f > least)
            continue;
        if (f < least)
            n = 0;
        least = f;
        best[n++] = i;
    }
    if (n == 0)
        return fail_with(DP_ENOREGION);
    uint16_t region = least & FAR ? least_far(l, best, n) : less_busy(l, best, n);
    return send_to(endpoints[region], moved);
}

/* Rendezvous: the region whose own mix with the key is the highest. Those that are lost are counted too: its clients move,
 * nobody else's. */
static uint64_t weight(const struct look *l, uint16_t region)
{
    return dp_mix(l->ask->key ^ dp_mix(region + 1U));
}

static uint16_t home_of_key(const struct look *l)
{
    uint16_t first = 0;
    for (uint16_t i = 1; i < l->view->n_regions; i++) {
        if (weight(l, i) > weight(l, first))
            first = i;
    }
    return first;
}

/* The highest of those with the least against them: a key says nothing of how near or busy a region is. */
static struct dp_route to_key(const struct look *l)
{
    const uint16_t home = home_of_key(l);
    uint16_t ep = endpoint_in(l, home, REACH_OPEN);
    if (l->ask->rule->on_loss == DP_ON_LOSS_REFUSE)
        return ep != NONE && !l->view->regions[home].held ? send_to(ep, false)
                                                          : fail_for(DP_ESTICKY, home);
    uint16_t chosen = NONE;
    uint64_t high = 0;
    unsigned least = UINT32_MAX;
    for (uint16_t i = 0; i < l->view->n_regions; i++) {
        ep = endpoint_in(l, i, REACH_OPEN);
        if (ep == NONE)
            continue;
        unsigned f = faults(l, i, ep) & (HELD | TIRED | WITHHELD);
        if (f < least || (f == least && weight(l, i) > high)) {
            chosen = ep;
            high = weight(l, i);
            least = f;
        }
    }
    if (chosen == NONE)
        return fail_with(DP_ENOREGION);
    return send_to(chosen, l->view->endpoints[chosen].region != home);
}

static struct dp_route to_kept(const struct look *l)
{
    uint16_t kept = l->ask->kept;
    if (kept >= l->view->n_regions) /* not chosen yet */
        return to_nearest(l, false);
    uint16_t ep = endpoint_in(l, kept, REACH_OPEN);
    if (ep != NONE && !l->view->regions[kept].held)
        return send_to(ep, false);
    return l->ask->rule->on_loss == DP_ON_LOSS_REFUSE ? fail_for(DP_ESTICKY, kept)
                                                      : to_nearest(l, true);
}

/* A client that reads what it wrote: where its writes go. */
static struct dp_route to_writer(const struct look *l)
{
    bool moves = l->ask->rule->writes_failover;
    uint16_t writer = moves ? l->view->active : l->view->home;
    uint16_t ep = endpoint_in(l, writer, moves ? REACH_OPEN : REACH_HOME);
    if (ep != NONE)
        return send_to(ep, false);
    return l->ask->rule->on_loss == DP_ON_LOSS_REFUSE ? fail_for(DP_ESTICKY, writer)
                                                      : to_nearest(l, true);
}

/* ---- modes ---- */

static struct dp_route active_active(const struct look *l)
{
    const struct dp_ask *a = l->ask;
    if (a->keyed)
        return to_key(l);
    if (a->bound)
        return to_active(l);
    return a->rule->sticky == DP_STICKY_CONNECTION ? to_kept(l) : to_nearest(l, false);
}

static struct dp_route write_primary(const struct look *l)
{
    const struct dp_ask *a = l->ask;
    if (a->writes)
        return a->rule->writes_failover ? to_active(l) : to_home(l);
    if (a->bound)
        return to_active(l);
    return a->keyed || a->wrote ? to_writer(l) : to_nearest(l, false);
}

static bool serves(const struct look *l, uint16_t region)
{
    const struct dp_view *v = l->view;
    bool any = false;
    for (uint16_t ep = 0; ep < v->n_endpoints; ep++)
        any = any || (v->endpoints[ep].region == region && v->endpoints[ep].state == DP_ROUTE_OK);
    return any && v->regions[region].state == DP_ROUTE_OK;
}

/* False: its region can't take it, any other will do. */
static bool to_pinned(const struct look *l, struct dp_route *out)
{
    const uint16_t pin = l->ask->pin;
    if (pin >= l->view->n_regions) {
        *out = fail_with(DP_EFOREIGNSEQ);
        return l->ask->pin_only;
    }
    const uint16_t ep = endpoint_in(l, pin, REACH_OPEN);
    if (ep != NONE)
        *out = send_to(ep, false);
    else
        *out = fail_for(serves(l, pin) ? DP_ENOREGION : DP_EFOREIGNSEQ, pin);
    return out->why != DP_EFOREIGNSEQ || l->ask->pin_only;
}

struct dp_route dp_policy_next(const struct dp_view *view, const struct dp_router *router,
                               const struct dp_ask *ask, const struct dp_attempts *attempts,
                               uint64_t now_ns)
{
    const struct look l = {view, router, ask, attempts, now_ns};
    if (ask->waits)
        return fail_with(DP_EPAUSED);
    if (ask->named)
        return to_named(&l);
    struct dp_route pinned;
    if (ask->pinned && to_pinned(&l, &pinned))
        return pinned;
    switch (ask->rule->mode) {
    case DP_MODE_ACTIVE_PASSIVE:
        return to_active(&l);
    case DP_MODE_ACTIVE_ACTIVE:
        return active_active(&l);
    case DP_MODE_WRITE_PRIMARY:
        return write_primary(&l);
    }
    return fail_with(DP_ENOREGION);
}

/* Requests that have more than one region. */
static bool has_choice(const struct dp_ask *a)
{
    if (a->named || a->pinned)
        return false;
    switch (a->rule->mode) {
    case DP_MODE_ACTIVE_PASSIVE:
        return false;
    case DP_MODE_ACTIVE_ACTIVE:
        return !a->bound && !a->keyed && a->rule->sticky != DP_STICKY_CONNECTION;
    case DP_MODE_WRITE_PRIMARY:
        return !a->bound && !a->writes && !a->keyed && !a->wrote;
    }
    return false;
}

bool dp_policy_elsewhere(const struct dp_view *view, const struct dp_router *router,
                         const struct dp_ask *ask, struct dp_attempts *attempts, uint16_t endpoint,
                         uint64_t now_ns)
{
    struct dp_attempts then = *attempts;
    if (!has_choice(ask))
        return false;
    for (uint16_t ep = 0; ep < view->n_endpoints; ep++) {
        if (view->endpoints[ep].region == view->endpoints[endpoint].region)
            then.failed_mask |= UINT32_C(1) << ep;
    }
    struct dp_route r = dp_policy_next(view, router, ask, &then, now_ns);
    if (r.kind != DP_ROUTE_SEND)
        return false;
    uint16_t region = view->endpoints[r.endpoint].region;
    if (view->regions[region].held || now_ns < router->throttled_until_ns[region][ask->load])
        return false;
    *attempts = then;
    return true;
}

uint64_t dp_policy_key(struct dp_span text)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001B3);
    return dp_mix(h);
}

bool dp_policy_may_retry(const struct dp_attempt_facts *f)
{
    if (f->committed || !f->body_replayable)
        return false;
    if (!f->wrote_any)
        return true;
    switch (f->replay) {
    case DP_REPLAY_SAFE:
    case DP_REPLAY_IDEMPOTENT:
        return true;
    case DP_REPLAY_NEVER:
        return false;
    }
    return false;
}
