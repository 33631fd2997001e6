/* Davenport as a subject. What decides is its own code at the defaults of its configuration: the governor (helm.h), and
 * of a worker the policy, the router's distances, trials, budgets and holds. What is done here is what a worker does between
 * them; where the two differ in what decides, this file is wrong.
 *
 *   proxy/route.c      ask_of, trials before the policy
 *   proxy/allowance.c  what an attempt costs
 *   proxy/hold.c       the queue of requests that wait for a region
 *   proxy/exchange.c   which attempts end when a region is left or is late, and which requests go again
 *   proxy/engine.c     what a new view changes
 *
 * No part of it: bodies and bytes, pools beyond a count, hedges, feeds. */
#include "davenport/core/budget.h"
#include "davenport/core/hold.h"
#include "davenport/core/pace.h"
#include "davenport/core/policy.h"
#include "davenport/core/trial.h"

#include "helm.h"
#include "subjects.h"

#include <stdlib.h>
#include <string.h>

enum {
#define DP_UINT(path, field, default, min, max, flags, text) DEFAULT_##field = (default),
#include "davenport/app/config.def"
    DEFAULT_END
};

/* A worker looks at who is held so often. */
#define BEAT (50 * SIM_MS)
/* Of a held request. */
#define BYTES 1000

/* What a worker knows of one request besides; by its place. */
struct own {
    uint64_t serial; /* of the request that all this is of */
    bool placed, trial, sent, expired;
    enum dp_budget_kind paid;
    uint32_t tried; /* bit per endpoint's number */
    uint32_t forgiven;
    struct dp_hold_stay stay;
    enum dp_err why;
    uint64_t epoch; /* of the view that had no way */
    uint64_t key;
    uint32_t turn;
};

struct davenport {
    struct sim_helm helm; /* first: ears.c finds it so */
    struct dp_view *view;
    struct dp_router router;
    struct dp_latency left[DP_MAX_ENDPOINTS]; /* the router's, when a quiet stretch began */
    struct dp_trials trials;
    struct dp_hold_config hold_config;
    struct dp_hold_state hold;
    uint64_t spent[DP_BUDGET_COUNT];
    struct own *own;
    size_t cap_own;
    uint32_t *held; /* places, first come first */
    size_t n_held, cap_held;
    uint32_t turns;
    unsigned place; /* where most of the traffic goes */
};

static struct davenport *of(struct sim_car *c)
{
    return c->state;
}

static struct own *own_of(struct sim_car *c, const struct sim_request *q)
{
    struct davenport *d = of(c);
    size_t i = sim_index(c, q);
    if (i >= d->cap_own) {
        d->own = realloc(d->own, c->cap_requests * sizeof(*d->own));
        if (!d->own)
            abort();
        memset(d->own + d->cap_own, 0, (c->cap_requests - d->cap_own) * sizeof(*d->own));
        d->cap_own = c->cap_requests;
    }
    struct own *o = &d->own[i];
    if (o->serial != q->serial)
        *o = (struct own){.serial = q->serial, .key = sim_bits(&c->own_random), .turn = d->turns++};
    return o;
}

static bool nearest(const struct davenport *d)
{
    return d->helm.proxy.rules.nearest;
}

static struct dp_traffic_endpoint *counters(struct sim_car *c, const struct sim_request *q)
{
    struct davenport *d = of(c);
    return &d->helm.traffic->endpoints[d->helm.place[q->endpoint]];
}

/* ---- routing ---- */

static struct dp_ask ask_of(struct sim_car *c, const struct sim_request *q, const struct own *o)
{
    return (struct dp_ask){.rule = &of(c)->helm.proxy.rules.all,
                           .load = sim_writes(q)           ? DP_LOAD_WRITE
                                   : q->class == SIM_QUERY ? DP_LOAD_QUERY
                                                           : DP_LOAD_LOOKUP,
                           .writes = sim_writes(q),
                           .kept = DP_NO_REGION,
                           .key = o->key,
                           .chance = sim_bits(&c->own_random)};
}

static struct dp_attempts attempts_of(struct davenport *d, const struct sim_request *q,
                                      const struct own *o)
{
    struct dp_attempts a = {
        .acted_mask = q->acted_mask, .count = (uint8_t)q->attempts, .turn = o->turn};
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        if ((q->failed_mask & ~o->forgiven) >> e & 1)
            a.failed_mask |= UINT32_C(1) << d->helm.place[e];
    }
    return a;
}

static bool affordable(struct sim_car *c, enum dp_budget_kind kind)
{
    const struct davenport *d = of(c);
    return kind == DP_BUDGET_FREE ||
           d->spent[kind] < dp_budget_limit(&d->helm.proxy.budgets[kind], c->live);
}

static enum dp_budget_kind price(const struct sim_request *q, const struct own *o, uint16_t number)
{
    return dp_budget_kind_of(q->attempts == 0, false, o->tried, number);
}

static enum dp_err why_not(struct sim_car *c, const struct sim_request *q, struct own *o)
{
    struct davenport *d = of(c);
    const struct dp_ask a = ask_of(c, q, o);
    const struct dp_attempts attempts = attempts_of(d, q, o);
    struct dp_route r = dp_policy_next(d->view, &d->router, &a, &attempts, c->now);
    if (r.kind == DP_ROUTE_FAIL)
        return r.why;
    return affordable(c, price(q, o, r.endpoint)) ? DP_OK : DP_EBUDGET;
}

static struct dp_route choose(struct sim_car *c, const struct sim_request *q, struct own *o)
{
    struct davenport *d = of(c);
    struct dp_route r = {.kind = DP_ROUTE_FAIL};
    const struct dp_ask a = ask_of(c, q, o);
    const struct dp_attempts attempts = attempts_of(d, q, o);
    if (d->view->trial_mask != 0 && q->attempts == 0 && q->class == SIM_GET) {
        r.endpoint = dp_trial_take(&d->trials, d->view);
        o->trial = r.endpoint != DP_MAX_ENDPOINTS;
        r.kind = o->trial ? DP_ROUTE_SEND : DP_ROUTE_FAIL;
        c->tally->trials += o->trial;
    }
    if (r.kind == DP_ROUTE_FAIL)
        r = dp_policy_next(d->view, &d->router, &a, &attempts, c->now);
    if (r.kind == DP_ROUTE_FAIL)
        return r;
    const enum dp_budget_kind kind = price(q, o, r.endpoint);
    if (!affordable(c, kind))
        return (struct dp_route){.kind = DP_ROUTE_FAIL, .why = DP_EBUDGET};
    dp_router_began(&d->router, r.endpoint, c->now);
    d->spent[kind]++;
    o->paid = kind;
    o->placed = true;
    o->tried |= UINT32_C(1) << r.endpoint;
    return r;
}

/* ---- who waits for a region ---- */

static void forgive(const struct sim_request *q, struct own *o, enum dp_err why)
{
    if (why && why != DP_EBUDGET)
        o->forgiven = q->failed_mask;
}

static bool hold(struct sim_car *c, const struct sim_request *q, struct own *o, enum dp_err why)
{
    struct davenport *d = of(c);
    if (d->hold_config.limit_ns == 0 || !dp_hold_worthwhile(d->view, q->acted_mask))
        return false;
    c->tally->held += o->stay.rounds == 0;
    if (dp_hold_enter(&d->hold, &d->hold_config, &o->stay, BYTES, c->now,
                      sim_bits(&c->own_random)) != DP_HOLD_IN) {
        c->tally->hold_over++;
        return false;
    }
    forgive(q, o, why);
    o->why = why;
    o->epoch = d->view->epoch;
    if (d->n_held == d->cap_held) {
        d->cap_held = d->cap_held ? 2 * d->cap_held : 64;
        d->held = realloc(d->held, d->cap_held * sizeof(*d->held));
        if (!d->held)
            abort();
    }
    d->held[d->n_held++] = sim_index(c, q);
    if (d->n_held == 1)
        sim_wake_at(c, c->now + BEAT);
    return true;
}

static void let_go(struct davenport *d, struct own *o)
{
    dp_hold_leave(&d->hold, &o->stay);
}

static unsigned route(struct sim_car *c, const struct sim_request *q)
{
    struct davenport *d = of(c);
    struct own *o = own_of(c, q);
    struct dp_route r = choose(c, q, o);
    if (r.kind == DP_ROUTE_SEND)
        return d->helm.endpoint[r.endpoint];
    if (hold(c, q, o, r.why))
        return SIM_KEPT;
    c->tally->told_primary += r.why == DP_EPRIMARY;
    return SIM_NOBODY;
}

/* In the order of their coming; what comes back goes to the end, and waits for the next look. */
static void look_at_held(struct sim_car *c)
{
    struct davenport *d = of(c);
    size_t n = d->n_held, kept = 0;
    uint32_t *go = calloc(n ? n : 1, sizeof(*go)), *all = d->held;
    size_t n_go = 0;
    if (!go)
        abort();
    for (size_t i = 0; i < n; i++) {
        const struct sim_request *q = &c->requests[all[i]];
        struct own *o = &d->own[all[i]];
        const enum dp_err why = why_not(c, q, o);
        switch (dp_hold_judge(&d->hold, &d->hold_config, &o->stay, why == DP_OK,
                              o->epoch != d->view->epoch, c->now)) {
        case DP_HOLD_STAY:
            forgive(q, o, why);
            o->why = why ? why : o->why;
            all[kept++] = all[i];
            continue;
        case DP_HOLD_GO:
            break;
        case DP_HOLD_EXPIRE:
            c->tally->hold_over++;
            o->why = why;
            o->expired = true;
            break;
        }
        let_go(d, o);
        go[n_go++] = all[i];
    }
    d->n_held = kept;
    for (size_t i = 0; i < n_go; i++) {
        struct own *o = &d->own[go[i]];
        if (!o->expired) {
            sim_go_on(c, go[i]);
            continue;
        }
        c->tally->told_primary += o->why == DP_EPRIMARY;
        sim_give_up(c, go[i]);
    }
    free(go);
}

static void woken(struct sim_car *c)
{
    look_at_held(c);
    if (of(c)->n_held > 0)
        sim_wake_at(c, c->now + BEAT);
}

/* ---- views ---- */

/* For the tally: the region where new requests go. */
static unsigned place_of(struct sim_car *c)
{
    const struct davenport *d = of(c);
    const struct dp_view *v = d->view;
    double best = -1;
    unsigned place = SIM_NOWHERE;
    if (!nearest(d))
        return v->active == DP_NO_REGION ? SIM_NOWHERE : v->active;
    for (uint16_t i = 0; i < v->n_regions; i++) {
        double ns = dp_router_latency_ns(&d->router, v, i, c->now);
        if (v->regions[i].state != DP_ROUTE_OK || !(d->router.near.regions >> i & 1) ||
            (place != SIM_NOWHERE && best >= 0 && (ns < 0 || ns >= best)))
            continue;
        if (i == d->place) /* it stays one of them */
            return i;
        place = i;
        best = ns;
    }
    return place;
}

static void follow(struct sim_car *c, bool by_choice)
{
    struct davenport *d = of(c);
    unsigned to = place_of(c);
    if (nearest(d))
        by_choice = d->place != SIM_NOWHERE && d->view->regions[d->place].state == DP_ROUTE_OK;
    d->place = to;
    sim_move(c, to, by_choice);
}

static void published(void *car, struct dp_view *view)
{
    struct sim_car *c = car;
    struct davenport *d = of(c);
    struct dp_view *was = d->view;
    const struct dp_failover_decision *last = sim_helm_decision(&d->helm);
    d->view = dp_view_ref(view);
    if (nearest(d))
        (void)dp_router_step(&d->router, view, c->now);
    follow(c, last->move == DP_MOVE_FAILBACK || last->move == DP_MOVE_REGAINED);
    for (unsigned i = 0; i < view->n_endpoints; i++) {
        const unsigned e = d->helm.endpoint[i];
        const bool down = view->endpoints[i].state == DP_ROUTE_DOWN;
        if (was && was->endpoints[i].pool_epoch != view->endpoints[i].pool_epoch)
            c->idle[e] = 0;
        if (was && down && was->endpoints[i].state != DP_ROUTE_DOWN)
            sim_left(c, e);
        if (down)
            sim_leave(c, e, true);
    }
    dp_view_unref(was);
    if (d->n_held > 0)
        look_at_held(c);
}

/* ---- attempts ---- */

static void begun(struct sim_car *c, const struct sim_request *q)
{
    struct own *o = own_of(c, q);
    o->sent = !q->fate.disconnected;
    if (o->sent)
        dp_counter_add(&counters(c, q)->in_flight, 1);
}

static void ended(struct sim_car *c, const struct sim_request *q)
{
    struct davenport *d = of(c);
    struct own *o = own_of(c, q);
    if (!o->placed)
        return;
    o->placed = false;
    dp_router_ended(&d->router, (uint16_t)d->helm.place[q->endpoint]);
    if (o->trial)
        dp_trial_done(&d->trials, (uint16_t)d->helm.place[q->endpoint]);
    o->trial = false;
    d->spent[o->paid]--;
    o->paid = DP_BUDGET_FREE;
    if (o->sent)
        dp_counter_sub(&counters(c, q)->in_flight, 1);
    o->sent = false;
}

static void took(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    struct davenport *d = of(c);
    if (nearest(d))
        dp_latency_observe(&d->router.latency[d->helm.place[q->endpoint]], after, c->now);
}

static void answered(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    struct dp_traffic_endpoint *e = counters(c, q);
    unsigned bucket = dp_latency_bucket(after);
    dp_counter_add(&e->outcomes[q->late ? DP_OUTCOME_ANSWERED_LATE : DP_OUTCOME_ANSWERED], 1);
    dp_counter_add(&e->first_byte[bucket], 1);
    dp_counter_add(&e->first_byte_ns, after);
    if (q->class == SIM_QUERY)
        return;
    dp_counter_add(&e->point_first_byte[dp_pace_bucket(after)], 1);
    took(c, q, after);
}

static void count(struct sim_car *c, const struct sim_request *q, enum dp_outcome outcome)
{
    dp_counter_add(&counters(c, q)->outcomes[outcome], 1);
    if (dp_outcome_verdict(outcome) == DP_VERDICT_BAD)
        sim_helm_kick(&of(c)->helm);
}

static void failed(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    static const enum dp_outcome outcomes[] = {
        [SIM_END_REFUSED] = DP_OUTCOME_CONNECT_REFUSED,
        [SIM_END_NO_CONNECTION] = DP_OUTCOME_CONNECT_TIMEOUT,
        [SIM_END_RESET] = DP_OUTCOME_NO_ANSWER,
        [SIM_END_TIMEOUT] = DP_OUTCOME_ANSWER_TIMEOUT,
        [SIM_END_503] = DP_OUTCOME_SERVER_ERROR,
        [SIM_END_CUT] = DP_OUTCOME_TRUNCATED,
    };
    count(c, q, outcomes[end]);
}

static bool may_retry(const struct sim_request *q)
{
    const struct dp_attempt_facts f = {
        .replay = q->class == SIM_POST  ? DP_REPLAY_NEVER
                  : q->class == SIM_PUT ? DP_REPLAY_IDEMPOTENT
                                        : DP_REPLAY_SAFE,
        .wrote_any = q->maybe_done,
        .body_replayable = true,
    };
    return dp_policy_may_retry(&f);
}

/* What is late goes elsewhere only if there is an elsewhere; a write that its region may have carried out leaves a dead
 * region only then, or if the budget alone forbids it. */
static uint64_t again(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    if (end == SIM_END_503 || !may_retry(q))
        return SIM_NEVER;
    if (end == SIM_END_LEFT && !(q->class == SIM_PUT && q->maybe_done))
        return 0;
    if (end != SIM_END_OVERDUE && end != SIM_END_LEFT)
        return 0;
    const enum dp_err why = why_not(c, q, own_of(c, q));
    return why == DP_OK || (why == DP_EBUDGET && end == SIM_END_LEFT) ? 0 : SIM_NEVER;
}

static void late(struct sim_car *c, const struct sim_request *q)
{
    took(c, q, c->now - q->begun);
    dp_counter_add(&counters(c, q)->late, 1);
    sim_helm_kick(&of(c)->helm);
}

static uint64_t late_after(struct sim_car *c, unsigned endpoint)
{
    const struct davenport *d = of(c);
    uint32_t ms = d->view->endpoints[d->helm.place[endpoint]].late_ms;
    return ms ? ms * SIM_MS : SIM_NEVER;
}

/* ---- life ---- */

static void begin(struct sim_car *c)
{
    struct davenport *d = of(c);
    sim_helm_begin(c, &d->helm, published);
    const struct dp_proxy_config *p = &d->helm.proxy;
    d->hold_config = (struct dp_hold_config){.limit_ns = p->hold_ms * SIM_MS,
                                             .max_bytes = p->hold_bytes,
                                             .max_requests = p->hold_requests,
                                             .release_per_s = p->hold_release_per_s};
}

static void end(struct sim_car *c)
{
    struct davenport *d = of(c);
    c->tally->doubts += sim_helm_doubts(&d->helm);
    sim_helm_end(&d->helm);
    dp_view_unref(d->view);
    free(d->own);
    free(d->held);
}

static void tick_due(struct sim_car *c)
{
    struct davenport *d = of(c);
    sim_helm_look(&d->helm);
    if (nearest(d) && dp_router_step(&d->router, d->view, c->now))
        follow(c, true);
}

static void probe_due(struct sim_car *c, unsigned endpoint)
{
    sim_helm_probe_due(c, &of(c)->helm, endpoint);
}

static void probe_ended(struct sim_car *c, unsigned endpoint, const struct sim_probe *p)
{
    sim_helm_probe_ended(c, &of(c)->helm, endpoint, p);
}

static void looked_up(struct sim_car *c, unsigned endpoint, bool good)
{
    sim_helm_looked_up(c, &of(c)->helm, endpoint, good);
}

static bool settled(struct sim_car *c, unsigned endpoint, bool dark)
{
    return sim_helm_settled(c, &of(c)->helm, endpoint, dark);
}

static bool calm(struct sim_car *c)
{
    return sim_helm_calm(&of(c)->helm) && of(c)->view->trial_mask == 0;
}

static uint64_t interval(struct sim_car *c, unsigned endpoint)
{
    return sim_helm_interval(&of(c)->helm, endpoint);
}

static uint64_t timed(struct sim_car *c)
{
    return sim_helm_timed(&of(c)->helm);
}

static void leaving(struct sim_car *c)
{
    struct davenport *d = of(c);
    sim_helm_leaving(&d->helm);
    memcpy(d->left, d->router.latency, sizeof(d->left));
}

static void leapt(struct sim_car *c, uint64_t span, bool ticked)
{
    struct davenport *d = of(c);
    sim_helm_leapt(c, &d->helm, span, ticked);
    d->turns = (uint32_t)sim_bits(&c->own_random);
    memcpy(d->router.latency, d->left, sizeof(d->left));
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++)
        d->router.latency[i].at_ns += d->router.latency[i].at_ns ? span : 0;
}

const struct sim_subject sim_davenport = {
    .name = "davenport",
    .connect_timeout = DEFAULT_connect_timeout_ms * SIM_MS,
    .answer_timeout = DEFAULT_answer_timeout_ms * SIM_MS,
    .overdue_after = DEFAULT_try_timeout_ms * SIM_MS,
    .lookup_every = DEFAULT_dns_refresh_ms * SIM_MS,
    .tick = DEFAULT_sample_ms * SIM_MS,
    .state_bytes = sizeof(struct davenport),
    .begin = begin,
    .end = end,
    .tick_due = tick_due,
    .probe_due = probe_due,
    .probe_ended = probe_ended,
    .looked_up = looked_up,
    .woken = woken,
    .route = route,
    .begun = begun,
    .ended = ended,
    .answered = answered,
    .failed = failed,
    .again = again,
    .late = late,
    .late_after = late_after,
    .settled = settled,
    .calm = calm,
    .interval = interval,
    .timed = timed,
    .leaving = leaving,
    .leapt = leapt,
};
