/* The queue of held exchanges. */
#include "proxy/hold.h"

#include "davenport/base/attr.h"

#include "proxy/exchange.h"
#include "proxy/route.h"

void dp_hold_queue_change(struct dp_hold_queue *q, const struct dp_proxy_config *c)
{
    q->config.limit_ns = c->hold_ms * DP_NS_PER_MS;
    q->config.max_bytes = c->hold_bytes;
    q->config.max_requests = c->hold_requests;
    q->config.release_per_s = c->hold_release_per_s;
}

void dp_hold_queue_init(struct dp_hold_queue *q, const struct dp_proxy_config *c)
{
    *q = (struct dp_hold_queue){0};
    dp_hold_queue_change(q, c);
    dp_list_init(&q->exchanges);
}

/* Where there is no way, those that failed it may be tried again, but for what acted_mask says. */
static void forgive(struct dp_exchange *x, enum dp_err why)
{
    if (why && why != DP_EBUDGET)
        x->attempts.failed_mask = 0;
}

bool dp_hold_take(struct dp_exchange *x, enum dp_err why)
{
    struct dp_engine *e = x->engine;
    struct dp_hold_queue *q = &e->hold;
    struct dp_traffic *t = e->traffic;
    struct dp_held *h = &x->held;
    const struct dp_view *view = e->view->view;
    const uint64_t now_ns = e->wheel.now_ns;
    if (q->config.limit_ns == 0 || !dp_hold_worthwhile(view, x->attempts.acted_mask))
        return false;
    const bool first = h->stay.rounds == 0;
    switch (dp_hold_enter(&q->state, &q->config, &h->stay, x->request.raw.n + x->replay.bytes,
                          now_ns, dp_random_next(&e->random))) {
    case DP_HOLD_IN:
        break;
    case DP_HOLD_FULL:
        dp_counter_add(&t->hold_refused, 1);
        return false;
    case DP_HOLD_OVER:
        dp_counter_add(&t->hold_expired, 1);
        return false;
    }
    dp_exchange_set_phase(x, DP_PHASE_HOLD);
    forgive(x, why);
    h->why = why;
    h->epoch = view->epoch;
    h->pause = view->pause;
    h->since_ns = now_ns;
    dp_list_push_back(&q->exchanges, &h->node);
    if (!x->request_complete) {
        dp_conn_hold(x->conn, true);
        dp_patience_end(x->conn); /* it is we who do not read */
    }
    dp_counter_add(&t->held, 1);
    dp_counter_add(&t->hold_total, first);
    return true;
}

void dp_hold_drop(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_held *h = &x->held;
    if (h->since_ns == 0)
        return;
    h->total_ns += e->wheel.now_ns - h->since_ns;
    h->since_ns = 0;
    dp_list_remove(&h->node);
    dp_hold_leave(&e->hold.state, &h->stay);
    dp_counter_sub(&e->traffic->held, 1);
}

static void look_at(struct dp_engine *e, struct dp_exchange *x)
{
    struct dp_hold_queue *q = &e->hold;
    const struct dp_view *view = e->view->view;
    const bool view_moved = x->held.epoch != view->epoch || x->held.pause != view->pause;
    if (x->view->view->generation != e->view->view->generation)
        dp_exchange_follow(x); /* held, it must not hold a configuration */
    const struct dp_route r = dp_route_peek(x);
    const enum dp_err why = r.why;
    enum dp_hold_verdict verdict = dp_hold_judge(&q->state, &q->config, &x->held.stay, why == DP_OK,
                                                 view_moved, e->wheel.now_ns);
    if (why != DP_OK && !dp_route_may_come(e->view->view, &r))
        verdict = DP_HOLD_EXPIRE; /* an operator or the region itself took it out meanwhile */
    switch (verdict) {
    case DP_HOLD_STAY:
        forgive(x, why);
        x->held.why = why ? why : x->held.why;
        return;
    case DP_HOLD_GO:
        dp_hold_drop(x);
        dp_counter_add(&e->traffic->hold_released, 1);
        dp_exchange_resume(x);
        return;
    case DP_HOLD_EXPIRE:
        dp_hold_drop(x);
        if (why == DP_EPAUSED) { /* its region would take it all the while */
            dp_engine_break_pause(e);
            dp_exchange_resume(x);
            return;
        }
        dp_counter_add(&e->traffic->hold_expired, 1);
        dp_exchange_give_up(x, why);
        return;
    }
}

void dp_hold_look(struct dp_engine *e)
{
    struct dp_list *all = &e->hold.exchanges;
    for (struct dp_list *n = all->next, *next; n != all; n = next) {
        next = n->next; /* what ends here may bring another one, at the tail */
        look_at(e, DP_CONTAINER_OF(n, struct dp_exchange, held.node));
    }
}
