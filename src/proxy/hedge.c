/* Second attempts beside the first. */
#include "proxy/hedge.h"

#include "davenport/base/attr.h"

#include "proxy/exchange.h"
#include "proxy/fault.h"
#include "proxy/route.h"
#include "proxy/traced.h"
#include "proxy/upstream.h"

/* "HTTP/1.1 2": where the status begins. */
#define STATUS_AT 9

static void begin(struct dp_exchange *x, uint16_t endpoint)
{
    struct dp_engine *e = x->engine;
    struct dp_hedge *h = dp_arena_alloc(&x->arena, sizeof(*h));
    struct dp_upstream *up = h ? dp_pool_take(&e->pools[endpoint]) : NULL;
    if (!up)
        return; /* none is ready: dialing would take longer than what is waited for */
    if (e->view->view->faulty != 0 && dp_fault_meet(x, endpoint, up) == DP_FAULT_REFUSED) {
        dp_pool_put(up->pool, up);
        return;
    }
    dp_hedge_spend(&e->hedges);
    *h = (struct dp_hedge){.up = up,
                           .endpoint = endpoint,
                           .sent_ns = dp_clock_mono_ns(e->clock),
                           .sent_turn = e->turns,
                           .sent_mark = dp_stream_written(up->stream)};
    x->hedge = h;
    dp_upstream_hedge(up, x);
    if (x->traced)
        dp_traced_hedge(x);
    dp_counter_add(&e->traffic->hedges, 1);
    dp_counter_add(&e->traffic->endpoints[endpoint].in_flight, 1);
    dp_router_began(&e->router, endpoint, e->wheel.now_ns);
    if (!dp_exchange_has_key(x->view->view, endpoint) ||
        dp_relay_write(x, up->stream, endpoint) != DP_OK)
        dp_hedge_drop(x);
}

static bool may_be_hedged(const struct dp_exchange *x)
{
    return x->couch.klass == DP_COUCH_READ && x->couch.idempotent && !x->couch.bound &&
           x->body_replayable && x->request_complete;
}

static void look_at(struct dp_engine *e, uint16_t endpoint)
{
    const struct dp_view *v = e->view->view;
    struct dp_list *all = &e->awaited[endpoint];
    for (struct dp_list *n = all->next; n != all && dp_hedge_affords(&e->hedges); n = n->next) {
        struct dp_exchange *x = DP_CONTAINER_OF(n, struct dp_exchange, awaited);
        uint16_t other;
        if (!dp_hedge_due(x->sent_ns, v->endpoints[endpoint].usual_ms, e->wheel.now_ns))
            return;
        if (x->hedge_tried || x->trial) /* a trial is to be seen to its end */
            continue;
        x->hedge_tried = true;
        if (x->view->view->generation != v->generation)
            continue; /* a reload came between: its view may not know where to */
        if (may_be_hedged(x) && dp_route_other(x, &other))
            begin(x, other);
    }
}

void dp_hedge_look(struct dp_engine *e)
{
    const struct dp_view *v = e->view->view;
    if (e->config->hedge_percent == 0)
        return;
    for (uint16_t i = 0; i < v->n_endpoints; i++)
        look_at(e, i);
}

void dp_hedge_drop(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_hedge *h = x->hedge;
    struct dp_traffic_endpoint *t = &e->traffic->endpoints[h->endpoint];
    if (x->traced)
        dp_traced_hedge_end(x);
    x->hedge = NULL;
    dp_counter_add(&t->outcomes[DP_OUTCOME_ABANDONED], 1);
    dp_counter_add(&t->by_class[x->couch.klass][DP_OUTCOME_ABANDONED], 1);
    dp_counter_sub(&t->in_flight, 1);
    dp_router_ended(&e->router, h->endpoint);
    dp_upstream_close(h->up);
}

void dp_hedge_view_changed(struct dp_exchange *x, const struct dp_view *view)
{
    const uint16_t endpoint = x->hedge->endpoint;
    if (view->endpoints[endpoint].state == DP_ROUTE_DOWN || dp_exchange_left_out(x, endpoint, view))
        dp_hedge_drop(x);
}

void dp_hedge_promote(struct dp_exchange *x)
{
    const struct dp_hedge h = *x->hedge;
    if (x->traced)
        dp_traced_hedge_takes_over(x);
    x->hedge = NULL;
    x->up = h.up;
    x->endpoint = h.endpoint;
    x->placed = true;
    x->attempts.count++;
    x->tried_endpoints |= UINT32_C(1) << h.endpoint;
    x->sent_ns = h.sent_ns;
    x->sent_turn = h.sent_turn;
    x->sent_mark = h.sent_mark;
    x->conn_reused = h.up->used;
    x->late = false;
    dp_upstream_adopt(h.up);
    dp_reader_begin(h.up->reader, &x->arena, &x->response, x->request.method);
    dp_list_push_back(&x->engine->awaited[x->endpoint], &x->awaited);
    dp_engine_wait(x->engine, &h.up->timer, DP_WAIT_ANSWER);
}

void dp_hedge_read(struct dp_exchange *x, const char *p, size_t n)
{
    /* A worse answer than none so far: the first one may know better. */
    if (n <= STATUS_AT || (p[STATUS_AT] != '2' && p[STATUS_AT] != '3')) {
        dp_hedge_drop(x);
        return;
    }
    dp_counter_add(&x->engine->traffic->hedges_won, 1);
    x->hedge_won = true;
    dp_exchange_count(x, DP_OUTCOME_ABANDONED);
    dp_exchange_let_go(x);
    dp_hedge_promote(x);
    dp_exchange_up_read(x, p, n);
}

void dp_hedge_end(struct dp_exchange *x)
{
    dp_hedge_drop(x);
}
