/* The pool of one endpoint. Invariants: n_open counts every upstream that is not closed, dialing
 * ones included; a lease is in `waiters`, in the engine's handoffs, or in no list. */
#include "proxy/pool.h"

#include "davenport/base/attr.h"

#include "proxy/engine.h"
#include "proxy/upstream.h"

#include <assert.h>

static const struct dp_proxy_config *config_of(const struct dp_pool *p)
{
    return p->engine->config;
}

static uint32_t most(const struct dp_pool *p, const struct dp_view_endpoint *view)
{
    uint32_t all = config_of(p)->max_upstream;
    return view->max_in_flight > 0 && view->max_in_flight < all ? view->max_in_flight : all;
}

void dp_pool_init(struct dp_pool *p, struct dp_engine *e, uint16_t endpoint,
                  const struct dp_view_endpoint *view)
{
    *p = (struct dp_pool){.engine = e, .endpoint = endpoint, .epoch = view->pool_epoch};
    p->most = most(p, view);
    dp_addr_book_init(&p->book, &view->addrs);
    dp_list_init(&p->idle);
    dp_list_init(&p->waiters);
}

static bool outdated(const struct dp_pool *p, struct dp_upstream *up)
{
    if (up->epoch != p->epoch)
        return true;
    if (up->moves == p->moves)
        return false;
    up->moves = p->moves;
    return !dp_addrs_has(&p->book.addrs, &up->addr);
}

/* Tell where new connections go, for people. */
static void show_address(const struct dp_pool *p)
{
    const struct dp_addr_book *b = &p->book;
    dp_counter_set(&p->engine->traffic->endpoints[p->endpoint].address,
                   b->good == DP_NO_ADDR ? 0 : dp_addr_tag(&b->addrs.at[b->good]));
}

void dp_pool_adopt(struct dp_pool *p, const struct dp_view_endpoint *view)
{
    bool failed = p->epoch != view->pool_epoch;
    bool moved = dp_addr_book_adopt(&p->book, &view->addrs);
    p->epoch = view->pool_epoch;
    p->most = most(p, view);
    if (!failed && !moved)
        return;
    p->moves += moved;
    show_address(p);
    for (struct dp_list *n = p->idle.next, *next; n != &p->idle; n = next) {
        struct dp_upstream *up = DP_CONTAINER_OF(n, struct dp_upstream, node);
        next = n->next;
        if (outdated(p, up))
            dp_upstream_close(up);
    }
}

void dp_pool_address_worked(struct dp_pool *p, const struct dp_addr *a)
{
    dp_addr_book_worked(&p->book, a);
    show_address(p);
}

void dp_pool_address_failed(struct dp_pool *p, const struct dp_addr *a)
{
    dp_addr_book_failed(&p->book, a, p->engine->wheel.now_ns);
    dp_counter_add(&p->engine->traffic->address_failures, 1);
    show_address(p);
}

static void idle_remove(struct dp_pool *p, struct dp_upstream *up)
{
    dp_list_remove(&up->node);
    p->n_idle--;
    dp_counter_sub(&p->engine->traffic->upstream_connections_idle, 1);
}

struct dp_upstream *dp_pool_take(struct dp_pool *p)
{
    if (dp_list_empty(&p->idle))
        return NULL;
    struct dp_upstream *up = DP_CONTAINER_OF(p->idle.next, struct dp_upstream, node);
    idle_remove(p, up);
    dp_timer_disarm(&up->timer);
    up->state = DP_UP_HANDED;
    return up;
}

static void line_timeout(struct dp_timer *t)
{
    struct dp_lease *l = DP_CONTAINER_OF(t, struct dp_lease, timer);
    dp_lease_cancel(l);
    l->done(l, NULL, DP_ELINE);
}

void dp_lease_init(struct dp_lease *l,
                   void (*done)(struct dp_lease *, struct dp_upstream *, enum dp_err))
{
    *l = (struct dp_lease){.done = done};
    dp_list_init(&l->node);
    dp_timer_init(&l->timer, line_timeout);
}

/* Out of the line, into the engine's list of what is to be told after the current call. */
static void hand_over(struct dp_lease *l, struct dp_upstream *up, enum dp_err err)
{
    struct dp_pool *p = l->pool;
    dp_list_remove(&l->node);
    dp_timer_disarm(&l->timer);
    p->n_waiters--;
    l->up = up;
    l->err = err;
    if (up)
        up->lease = l;
    dp_list_push_back(&p->engine->handoffs, &l->node);
}

static struct dp_lease *first_waiter(struct dp_pool *p)
{
    return dp_list_empty(&p->waiters) ? NULL
                                      : DP_CONTAINER_OF(p->waiters.next, struct dp_lease, node);
}

/* Whoever has a connection being made is not in line: only those are who wait for one to come free. */
static bool line_is_full(const struct dp_pool *p)
{
    return p->n_waiters >= (uint64_t)p->n_dialing + config_of(p)->max_waiting;
}

bool dp_pool_has_room(const struct dp_pool *p)
{
    return p->n_idle > 0 || p->n_open < p->most || !line_is_full(p);
}

enum dp_err dp_pool_wait(struct dp_pool *p, struct dp_lease *l)
{
    assert(!l->pool);
    const bool dials = p->n_open < p->most;
    if (!dials && line_is_full(p))
        return DP_ELIMIT;
    l->pool = p;
    l->up = NULL;
    l->err = DP_OK;
    p->n_waiters++;
    dp_list_push_back(&p->waiters, &l->node);
    dp_engine_wait(p->engine, &l->timer, DP_WAIT_LINE);
    enum dp_err err = dials ? dp_upstream_dial(p) : DP_OK;
    if (err)
        hand_over(l, NULL, err);
    return DP_OK;
}

enum dp_err dp_pool_lease(struct dp_pool *p, struct dp_lease *l)
{
    struct dp_upstream *up = dp_pool_take(p);
    if (!up)
        return dp_pool_wait(p, l);
    l->pool = p;
    p->n_waiters++;
    hand_over(l, up, DP_OK);
    return DP_OK;
}

void dp_pool_deny(struct dp_pool *p, struct dp_lease *l, enum dp_err err)
{
    assert(!l->pool);
    l->pool = p;
    p->n_waiters++;
    hand_over(l, NULL, err);
}

void dp_lease_cancel(struct dp_lease *l)
{
    struct dp_pool *p = l->pool;
    if (!p)
        return;
    bool handed = l->up || l->err;
    struct dp_upstream *up = l->up;
    dp_list_remove(&l->node);
    dp_timer_disarm(&l->timer);
    if (!handed)
        p->n_waiters--;
    l->pool = NULL;
    l->up = NULL;
    l->err = DP_OK;
    if (up) {
        up->lease = NULL;
        dp_pool_put(p, up);
    }
}

void dp_lease_lost(struct dp_lease *l)
{
    l->up = NULL;
    l->err = DP_ECLOSED;
}

void dp_lease_complete(struct dp_lease *l)
{
    struct dp_upstream *up = l->up;
    enum dp_err err = l->err;
    dp_list_remove(&l->node);
    l->pool = NULL;
    l->up = NULL;
    l->err = DP_OK;
    if (up)
        up->lease = NULL;
    l->done(l, up, err);
}

/* A usable connection: to the first in line, or to the idle list. */
static void place(struct dp_pool *p, struct dp_upstream *up)
{
    struct dp_lease *l = first_waiter(p);
    if (l) {
        up->state = DP_UP_HANDED;
        hand_over(l, up, DP_OK);
        return;
    }
    if (p->n_idle >= config_of(p)->pool_max_idle || p->engine->draining || outdated(p, up)) {
        dp_upstream_close(up);
        return;
    }
    up->state = DP_UP_IDLE;
    dp_list_push_front(&p->idle, &up->node);
    p->n_idle++;
    dp_counter_add(&p->engine->traffic->upstream_connections_idle, 1);
    dp_engine_wait(p->engine, &up->timer, DP_WAIT_POOL);
}

void dp_pool_dialed(struct dp_pool *p, struct dp_upstream *up)
{
    p->n_dialing--;
    place(p, up);
}

void dp_pool_dial_failed(struct dp_pool *p, enum dp_err err)
{
    struct dp_lease *l = first_waiter(p);
    p->n_dialing--;
    if (l)
        hand_over(l, NULL, err);
}

void dp_pool_put(struct dp_pool *p, struct dp_upstream *up)
{
    if (up->state == DP_UP_CLOSED)
        return;
    if (outdated(p, up))
        dp_upstream_close(up);
    else
        place(p, up);
}

void dp_pool_gone(struct dp_pool *p)
{
    p->n_open--;
    /* The line may grow by one again. */
    if (!first_waiter(p) || p->n_dialing >= p->n_waiters || p->n_open >= p->most)
        return;
    enum dp_err err = dp_upstream_dial(p);
    if (err)
        hand_over(first_waiter(p), NULL, err);
}

void dp_pool_keep_warm(struct dp_pool *p)
{
    const struct dp_proxy_config *c = config_of(p);
    /* One at a time: what can't be reached is not asked more often than this is called. */
    if (p->n_idle + p->n_dialing < c->pool_warm && p->n_idle < c->pool_max_idle &&
        p->n_open < p->most)
        (void)dp_upstream_dial(p); /* no memory: later */
}

void dp_pool_purge(struct dp_pool *p)
{
    while (!dp_list_empty(&p->idle)) {
        struct dp_upstream *up = DP_CONTAINER_OF(p->idle.next, struct dp_upstream, node);
        dp_upstream_close(up);
    }
}
