/* The policy's eyes. Where all goes to the active region, none of it costs more than filling a struct. */
#include "proxy/route.h"

#include "proxy/allowance.h"
#include "proxy/exchange.h"
#include "proxy/fresh.h"
#include "proxy/tagging.h"

uint16_t dp_route_region(const struct dp_view *v, struct dp_span name)
{
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (dp_span_eq(dp_span_str(v->regions[i].name), name))
            return i;
    }
    return DP_NO_REGION;
}

void dp_route_begin(struct dp_exchange *x)
{
    const struct dp_rules *rules = &x->engine->config->rules;
    char name[DP_COUCH_NAME_BYTES];
    if (x->tagging)
        dp_tagging_follow(x);
    x->only = x->named.p ? dp_route_region(x->view->view, x->named) : DP_NO_REGION;
    x->rule = rules->n > 0 ? dp_rules_find(rules, dp_couch_name(x->couch.db, name)) : &rules->all;
    dp_fresh_look(x);
}

static void name_client(const struct dp_exchange *x, struct dp_ask *a)
{
    struct dp_span header;
    switch (x->rule->sticky) {
    case DP_STICKY_NONE:
        return;
    case DP_STICKY_CONNECTION:
        a->kept = x->conn->kept;
        a->wrote = x->conn->wrote;
        return;
    case DP_STICKY_HEADER:
        header = dp_head_value(&x->request, x->engine->config->rules.sticky_header);
        if (header.n == 0)
            return;
        a->key = dp_policy_key(header);
        break;
    case DP_STICKY_ADDRESS:
        a->key = dp_policy_key(dp_span_str(x->conn->peer));
        break;
    }
    a->keyed = true;
}

/* An AuthSession cookie is good in the region that gave it, and nowhere else. */
static bool in_session(const struct dp_head *h)
{
    const struct dp_span word = DP_SPAN("AuthSession=");
    const struct dp_header *cookie = dp_head_find(h, DP_HEADER_COOKIE);
    struct dp_span rest = cookie ? cookie->value : (struct dp_span){NULL, 0};
    while (rest.p) {
        if (dp_span_starts(dp_span_trim(dp_span_cut(&rest, ';')), word))
            return true;
    }
    return false;
}

static enum dp_load load_of(const struct dp_couch_request *r)
{
    if (r->klass == DP_COUCH_WRITE || r->klass == DP_COUCH_POST)
        return DP_LOAD_WRITE;
    return r->point ? DP_LOAD_LOOKUP : DP_LOAD_QUERY;
}

/* Writes stand still, and this one does not go where it names. A pause that had to be broken is kept for nobody. */
static bool waits(const struct dp_exchange *x)
{
    const uint32_t pause = x->engine->view->view->pause;
    return pause != 0 && pause != x->engine->pause_broken && !x->named.p;
}

static struct dp_ask ask_of(struct dp_exchange *x)
{
    struct dp_ask a = {.rule = x->rule,
                       .load = load_of(&x->couch),
                       .writes = x->couch.writes,
                       .waits = x->couch.writes && waits(x),
                       .bound = x->couch.bound,
                       .named = x->named.p != NULL || x->rereads,
                       .only = x->rereads ? x->written.region : x->only,
                       .pin = DP_NO_REGION,
                       .kept = DP_NO_REGION,
                       .key = x->conn->key,
                       .chance = dp_random_next(&x->engine->random)};
    if (x->tagging && x->tagging->since.tag.n > 0 && !x->tagging->anywhere) {
        a.pinned = true;
        a.pin = x->tagging->pin;
        a.pin_only =
            x->engine->config->foreign_sequence == DP_FOREIGN_REJECT ||
            x->couch.tokens == DP_TOKENS_BOOKMARK; /* nothing goes on from there elsewhere */
    }
    if (!dp_rule_plain(x->rule) && !a.named) {
        a.bound = a.bound || in_session(&x->request);
        name_client(x, &a);
    }
    if (dp_rule_plain(x->rule)) /* where writes go, also while reads return step by step */
        a.bound = a.bound || x->knows_written;
    return a;
}

/* What the next requests of a sticky connection go by. */
static void remember(struct dp_exchange *x, uint16_t region)
{
    if (dp_rule_plain(x->rule) || x->named.p || x->rule->sticky != DP_STICKY_CONNECTION)
        return;
    x->conn->kept = region;
    x->conn->wrote = x->conn->wrote || x->couch.writes;
}

/* A read of one document or database that can be sent again elsewhere, whole. Who is on trial may lack what was written a
 * moment ago: then its answer is held against that (fresh.h), where somebody else can give a better one. */
static bool may_try(struct dp_exchange *x, const struct dp_ask *a)
{
    const bool bound = dp_rule_plain(x->rule) ? x->couch.bound : a->bound;
    return x->attempts.count == 0 && x->couch.klass == DP_COUCH_READ && x->couch.point && !bound &&
           !a->named && x->request_complete && x->body_replayable &&
           (!x->knows_written || dp_route_may_reread(x));
}

static struct dp_route try_one(struct dp_exchange *x, const struct dp_view *v)
{
    uint16_t ep = dp_trial_take(&x->engine->trials, v);
    x->trial = ep != DP_MAX_ENDPOINTS;
    return (struct dp_route){.kind = x->trial ? DP_ROUTE_SEND : DP_ROUTE_FAIL, .endpoint = ep};
}

struct dp_route dp_route_next(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = x->view->view;
    const struct dp_ask a = ask_of(x);
    struct dp_route r = {.kind = DP_ROUTE_FAIL};
    if (v->trial_mask != 0 && may_try(x, &a))
        r = try_one(x, v);
    if (r.kind == DP_ROUTE_FAIL)
        r = dp_policy_next(v, &e->router, &a, &x->attempts, e->wheel.now_ns);
    if (r.kind == DP_ROUTE_FAIL)
        return r;
    dp_counter_add(&e->traffic->sticky_moved, r.moved);
    dp_router_began(&e->router, r.endpoint, e->wheel.now_ns);
    x->placed = true;
    e->writes_placed += x->couch.writes;
    x->endpoint = r.endpoint;
    if (x->trial)
        dp_counter_add(&e->traffic->trials, 1);
    else
        remember(x, v->endpoints[r.endpoint].region);
    return r;
}

bool dp_route_other(struct dp_exchange *x, uint16_t *endpoint)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = e->view->view;
    const struct dp_ask a = ask_of(x);
    struct dp_attempts others = x->attempts;
    for (uint16_t i = 0; i < v->n_endpoints; i++) {
        if (v->endpoints[i].region == v->endpoints[x->endpoint].region)
            others.failed_mask |= UINT32_C(1) << i;
    }
    struct dp_route r = dp_policy_next(v, &e->router, &a, &others, e->wheel.now_ns);
    if (r.kind == DP_ROUTE_FAIL || r.moved || v->regions[v->endpoints[r.endpoint].region].held)
        return false;
    *endpoint = r.endpoint;
    return true;
}

struct dp_route dp_route_peek(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    const struct dp_ask a = ask_of(x);
    struct dp_route r =
        dp_policy_next(e->view->view, &e->router, &a, &x->attempts, e->wheel.now_ns);
    if (r.kind == DP_ROUTE_SEND && !dp_allowance_covers(x, r.endpoint))
        r = (struct dp_route){.kind = DP_ROUTE_FAIL, .why = DP_EBUDGET, .region = DP_NO_REGION};
    return r;
}

struct dp_route dp_route_within(struct dp_exchange *x, uint16_t region,
                                const struct dp_attempts *after)
{
    const struct dp_engine *e = x->engine;
    struct dp_ask a = ask_of(x);
    a.named = true;
    a.only = region;
    a.waits = false; /* as what names its region itself */
    return dp_policy_next(x->view->view, &e->router, &a, after, e->wheel.now_ns);
}

bool dp_route_may_reread(struct dp_exchange *x)
{
    const struct dp_route r = dp_route_within(x, x->written.region, &x->attempts);
    return r.kind == DP_ROUTE_SEND &&
           x->view->view->regions[x->written.region].state == DP_ROUTE_OK &&
           dp_pool_has_room(&x->engine->pools[r.endpoint]) && dp_allowance_covers(x, r.endpoint);
}

bool dp_route_may_come(const struct dp_view *v, const struct dp_route *r)
{
    const bool foreign = r->why == DP_EFOREIGNSEQ && r->region == DP_NO_REGION;
    if (r->why == DP_ENOSUCHREGION || foreign)
        return false;
    if (r->region >= v->n_regions)
        return true;
    const struct dp_view_region *only = &v->regions[r->region];
    return only->state != DP_ROUTE_BARRED || only->held;
}

void dp_route_ended(struct dp_exchange *x)
{
    if (x->placed) {
        dp_router_ended(&x->engine->router, x->endpoint);
        x->engine->writes_placed -= x->couch.writes;
        if (x->engine->view->view->pause != 0)
            dp_engine_rest(x->engine);
    }
    if (x->trial)
        dp_trial_done(&x->engine->trials, x->endpoint);
    x->trial = false;
    x->placed = false;
}

void dp_route_took(struct dp_exchange *x, uint64_t ns)
{
    struct dp_engine *e = x->engine;
    if (e->config->rules.nearest)
        dp_latency_observe(&e->router.latency[x->endpoint], ns, e->wheel.now_ns);
}

bool dp_route_may_leave_trial(const struct dp_exchange *x)
{
    const struct dp_engine *e = x->engine;
    const struct dp_ask a = {.rule = x->rule, .load = DP_LOAD_LOOKUP, .kept = DP_NO_REGION};
    struct dp_attempts then = x->attempts;
    if (!x->trial)
        return false;
    then.failed_mask |= UINT32_C(1) << x->endpoint;
    return dp_policy_next(x->view->view, &e->router, &a, &then, e->wheel.now_ns).kind ==
           DP_ROUTE_SEND;
}

/* Seconds, or a date: then by our own clock. 0: it did not say, or what is past. */
static uint64_t retry_after_s(const struct dp_exchange *x)
{
    const struct dp_header *h = dp_head_find(&x->response, DP_HEADER_RETRY_AFTER);
    uint64_t s;
    int64_t at_s;
    if (!h)
        return 0;
    if (dp_span_u64(h->value, &s))
        return s;
    if (!dp_http_date_read(h->value, &at_s))
        return 0;
    const int64_t now_s = dp_clock_wall_ms(x->engine->clock) / 1000;
    return at_s > now_s ? (uint64_t)(at_s - now_s) : 0;
}

bool dp_route_declined(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = x->view->view;
    if (dp_rule_plain(x->rule))
        return false;
    const struct dp_ask a = ask_of(x);
    dp_router_throttled(&e->router, v->endpoints[x->endpoint].region, a.load, retry_after_s(x),
                        e->wheel.now_ns);
    struct dp_attempts then = x->attempts;
    if (!dp_policy_elsewhere(v, &e->router, &a, &then, x->endpoint, e->wheel.now_ns))
        return false;
    const struct dp_route r = dp_policy_next(v, &e->router, &a, &then, e->wheel.now_ns);
    if (!dp_allowance_covers(x, r.endpoint)) /* then the region's own word is the better answer */
        return false;
    x->attempts = then;
    return true;
}
