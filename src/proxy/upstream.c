/* One connection to an endpoint.
 *
 *   DIALING ──connected──► IDLE ──take──► HANDED ──attach──► LEASED ──release──► IDLE
 *      │                    │               │                 │
 *      └────────────────────┴───► CLOSED ◄──┴─────────────────┘
 *
 * HEDGE and INQUIRY stand where LEASED does: a second attempt beside the first (hedge.h), a request of our own (inquiry.h).
 * HANDED also follows DIALING and LEASED at once where a request waits in line. What closes it: an error,
 * bytes that nobody asked for, a timeout, a purge of its pool.
 *
 * Reading is on from the moment it is connected until it is closed, also while it is idle: so a
 * region that closes an idle connection is noticed at once, and bytes that nobody asked for close
 * it instead of becoming the beginning of the next answer. */
#include "proxy/upstream.h"

#include "davenport/base/attr.h"

#include "proxy/dial.h"
#include "proxy/exchange.h"
#include "proxy/inquiry.h"

#include <assert.h>
#include <stdlib.h>

static struct dp_upstream *up_of(void *owner)
{
    return owner;
}

static void on_read(void *owner, const char *p, size_t n)
{
    struct dp_upstream *up = up_of(owner);
    if (up->state == DP_UP_LEASED)
        dp_exchange_up_read(up->exchange, p, n);
    else if (up->state == DP_UP_HEDGE)
        dp_hedge_read(up->exchange, p, n);
    else if (up->state == DP_UP_INQUIRY)
        dp_inquiry_read(up->inquiry, p, n);
    else
        dp_upstream_close(up);
}

static void on_end(void *owner, enum dp_err err)
{
    struct dp_upstream *up = up_of(owner);
    if (up->state == DP_UP_LEASED)
        dp_exchange_up_end(up->exchange, err);
    else if (up->state == DP_UP_HEDGE)
        dp_hedge_end(up->exchange);
    else if (up->state == DP_UP_INQUIRY)
        dp_inquiry_end(up->inquiry, err);
    else
        dp_upstream_close(up);
}

static void on_drain(void *owner)
{
    struct dp_upstream *up = up_of(owner);
    if (up->state == DP_UP_LEASED)
        dp_exchange_up_drained(up->exchange);
}

static void on_close(void *owner)
{
    struct dp_upstream *up = up_of(owner);
    struct dp_engine *e = up->engine;
    assert(up->state == DP_UP_CLOSED);
    dp_reader_destroy(up->reader);
    free(up);
    e->n_upstreams--;
}

static const struct dp_stream_events events = {
    .on_read = on_read,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

static void on_dialed(void *owner, enum dp_err err, struct dp_stream *s, const struct dp_addr *addr)
{
    struct dp_upstream *up = up_of(owner);
    up->dial = NULL;
    dp_timer_disarm(&up->timer);
    if (err) {
        dp_pool_dial_failed(up->pool, err);
        dp_upstream_close(up);
        return;
    }
    s->events = &events;
    s->owner = up;
    up->stream = s;
    up->addr = *addr;
    up->state = DP_UP_HANDED;
    dp_stream_read_start(s);
    dp_pool_dialed(up->pool, up);
}

static const struct dp_dial_events dial_events = {.done = on_dialed, .gone = on_close};

static void timeout(struct dp_timer *t)
{
    struct dp_upstream *up = DP_CONTAINER_OF(t, struct dp_upstream, timer);
    switch (up->state) {
    case DP_UP_DIALING:
        dp_dial_cancel(up->dial, true);
        up->dial = NULL;
        dp_pool_dial_failed(up->pool, DP_ETIMEOUT);
        dp_upstream_close(up);
        return;
    case DP_UP_LEASED:
        dp_exchange_up_timeout(up->exchange);
        return;
    case DP_UP_HEDGE:
        dp_hedge_end(up->exchange);
        return;
    case DP_UP_INQUIRY:
        dp_inquiry_end(up->inquiry, DP_ETIMEOUT);
        return;
    case DP_UP_IDLE:
    case DP_UP_HANDED:
    case DP_UP_CLOSED:
        dp_upstream_close(up);
        return;
    }
}

enum dp_err dp_upstream_dial(struct dp_pool *pool)
{
    struct dp_engine *e = pool->engine;
    const struct dp_proxy_config *c = e->config;
    const struct dp_reader_limits limits = {c->max_head_bytes, c->max_target_bytes, c->max_headers};
    struct dp_upstream *up = calloc(1, sizeof(*up));
    if (!up)
        return DP_ENOMEM;
    up->engine = e;
    up->pool = pool;
    up->epoch = pool->epoch;
    up->moves = pool->moves;
    up->state = DP_UP_DIALING;
    dp_list_init(&up->node);
    dp_list_init(&up->faulted);
    dp_timer_init(&up->timer, timeout);
    up->reader = dp_reader_new(DP_READ_RESPONSES, &limits);
    enum dp_err err = up->reader ? dp_dial_start(pool, &dial_events, up, &up->dial) : DP_ENOMEM;
    if (err) {
        dp_reader_destroy(up->reader);
        free(up);
        return err;
    }
    pool->n_open++;
    pool->n_dialing++;
    e->n_upstreams++;
    dp_counter_add(&e->traffic->upstream_connections, 1);
    dp_counter_add(&e->traffic->upstream_connections_open, 1);
    dp_engine_wait(e, &up->timer, DP_WAIT_CONNECT);
    return DP_OK;
}

void dp_upstream_attach(struct dp_upstream *up, struct dp_exchange *x)
{
    assert(up->state == DP_UP_HANDED);
    up->state = DP_UP_LEASED;
    up->exchange = x;
}

void dp_upstream_hedge(struct dp_upstream *up, struct dp_exchange *x)
{
    assert(up->state == DP_UP_HANDED);
    up->state = DP_UP_HEDGE;
    up->exchange = x;
}

void dp_upstream_adopt(struct dp_upstream *up)
{
    assert(up->state == DP_UP_HEDGE);
    up->state = DP_UP_LEASED;
}

void dp_upstream_inquire(struct dp_upstream *up, struct dp_inquiry *q)
{
    assert(up->state == DP_UP_HANDED);
    up->state = DP_UP_INQUIRY;
    up->inquiry = q;
}

void dp_upstream_broke(struct dp_upstream *up)
{
    on_end(up, DP_ERESET);
}

bool dp_upstream_is_stray(const struct dp_upstream *up, uint64_t mark, uint64_t turn)
{
    const struct dp_stream *s = up->stream;
    if (!up->used)
        return false;
    return dp_stream_written(s) <= mark + dp_stream_pending(s) ||
           (turn == up->engine->turns && !dp_stream_reached(s, mark));
}

void dp_upstream_release(struct dp_upstream *up, bool reusable)
{
    if (up->state != DP_UP_LEASED && up->state != DP_UP_INQUIRY)
        return;
    up->exchange = NULL;
    up->inquiry = NULL;
    dp_timer_disarm(&up->timer);
    if (!reusable || dp_stream_pending(up->stream) > 0) {
        dp_upstream_close(up);
        return;
    }
    up->used = true;
    up->state = DP_UP_HANDED;
    dp_pool_put(up->pool, up);
}

void dp_upstream_close(struct dp_upstream *up)
{
    struct dp_pool *p = up->pool;
    if (up->state == DP_UP_CLOSED)
        return;
    if (up->state == DP_UP_IDLE) {
        p->n_idle--;
        dp_counter_sub(&up->engine->traffic->upstream_connections_idle, 1);
    }
    if (up->lease)
        dp_lease_lost(up->lease);
    up->lease = NULL;
    up->state = DP_UP_CLOSED;
    up->exchange = NULL;
    up->inquiry = NULL;
    dp_list_remove(&up->node);
    dp_list_remove(&up->faulted);
    dp_timer_disarm(&up->timer);
    dp_counter_sub(&up->engine->traffic->upstream_connections_open, 1);
    if (up->dial)
        dp_dial_cancel(up->dial, false);
    up->dial = NULL;
    if (up->stream)
        dp_stream_close(up->stream, false);
    dp_pool_gone(p);
}
