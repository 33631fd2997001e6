/* The client connection. Input is taken in order: `ahead` holds what came before its turn, and as
 * long as it holds something new input goes behind it. Freed in on_close; after CLOSED nothing of
 * it is used but by that. */
#include "proxy/conn.h"

#include "davenport/base/attr.h"
#include "davenport/base/random.h"
#include "davenport/core/policy.h"
#include "davenport/net/proxy_header.h"
#include "davenport/proxy/address_limit.h"

#include "proxy/exchange.h"

#include <stdlib.h>

/* Pipelined input that is kept before reading stops. */
#define AHEAD_BYTES 65536
/* Pieces of a body handled in one step. */
#define BODY_SPANS 16

static void on_close(void *owner)
{
    struct dp_conn *c = owner;
    c->engine->n_conns--;
    c->engine->n_turned_away -= c->turned_away;
    free(c->preface);
    free(c);
}

/* All but the stream, which may still hold the memory: the struct goes in on_close. */
static void let_go(struct dp_conn *c)
{
    c->state = DP_CONN_CLOSED;
    dp_list_remove(&c->node);
    dp_patience_end(c);
    dp_buf_clear(&c->ahead);
    if (c->engine->addresses)
        dp_address_limit_give(c->engine->addresses, c->place);
    dp_counter_sub(&c->engine->traffic->client_connections_open, 1);
}

void dp_conn_close(struct dp_conn *c, bool reset)
{
    if (c->state == DP_CONN_CLOSED)
        return;
    let_go(c);
    dp_stream_close(c->stream, reset);
}

void dp_conn_lost(struct dp_conn *c)
{
    let_go(c);
    on_close(c);
}

static void drop_exchange(struct dp_conn *c)
{
    struct dp_exchange *x = c->exchange;
    dp_patience_end(c);
    c->exchange = NULL;
    c->held = false;
    if (x)
        dp_exchange_destroy(x);
    dp_engine_give_reader(c->engine, c->reader);
    c->reader = NULL;
}

static void update_reading(struct dp_conn *c)
{
    bool pause = c->held || c->ahead.bytes > AHEAD_BYTES;
    if (pause == c->paused || c->state == DP_CONN_CLOSED || c->peer_done)
        return;
    c->paused = pause;
    if (pause)
        dp_stream_read_stop(c->stream);
    else
        dp_stream_read_start(c->stream);
}

void dp_conn_hold(struct dp_conn *c, bool hold)
{
    c->held = hold;
    update_reading(c);
}

/* First what waits goes out, at the client's pace; then it has a while to finish its side. */
static void linger_on(struct dp_conn *c)
{
    if (dp_stream_pending(c->stream) > 0) {
        dp_patience_await(c, DP_AWAIT_ROOM);
        return;
    }
    dp_patience_end(c);
    if (c->peer_done)
        dp_conn_close(c, false);
    else
        dp_engine_wait(c->engine, &c->timer, DP_WAIT_LINGER);
}

void dp_conn_linger(struct dp_conn *c)
{
    dp_buf_clear(&c->ahead);
    c->state = DP_CONN_LINGER;
    dp_stream_shutdown(c->stream);
    update_reading(c);
    linger_on(c);
}

void dp_conn_idle(struct dp_conn *c)
{
    c->state = DP_CONN_IDLE;
    update_reading(c);
    dp_engine_wait(c->engine, &c->timer, DP_WAIT_IDLE);
}

/* The first byte of a request. */
static bool begin_head(struct dp_conn *c)
{
    c->reader = dp_engine_take_reader(c->engine);
    c->exchange = c->reader ? dp_exchange_new(c) : NULL;
    if (!c->exchange) {
        dp_conn_close(c, true);
        drop_exchange(c);
        return false;
    }
    c->requests++;
    dp_reader_begin(c->reader, &c->exchange->arena, &c->exchange->request, DP_METHOD_OTHER);
    c->state = DP_CONN_HEAD;
    dp_engine_wait(c->engine, &c->timer, DP_WAIT_HEAD);
    return true;
}

static size_t feed_head(struct dp_conn *c, const char *p, size_t n)
{
    size_t used = 0;
    switch (dp_reader_head(c->reader, p, n, &used)) {
    case DP_READ_MORE:
        break;
    case DP_READ_DONE: {
        size_t none, spans;
        struct dp_span span;
        c->state = DP_CONN_EXCHANGE;
        dp_timer_disarm(&c->timer);
        dp_exchange_begin(c->exchange);
        if (c->state == DP_CONN_EXCHANGE &&
            dp_reader_body(c->reader, p, 0, &none, &span, 1, &spans) == DP_READ_DONE)
            dp_exchange_body(c->exchange, NULL, 0, true);
        else if (c->state == DP_CONN_EXCHANGE && !c->exchange->request.expect_continue)
            dp_patience_await(c, DP_AWAIT_BODY);
        break;
    }
    case DP_READ_FAILED:
        c->state = DP_CONN_EXCHANGE;
        dp_exchange_refuse(c->exchange, dp_reader_error(c->reader));
        break;
    }
    return used;
}

static size_t feed_body(struct dp_conn *c, const char *p, size_t n)
{
    struct dp_span spans[BODY_SPANS];
    size_t used = 0, n_spans = 0;
    switch (dp_reader_body(c->reader, p, n, &used, spans, BODY_SPANS, &n_spans)) {
    case DP_READ_MORE:
        dp_patience_await(c, DP_AWAIT_BODY);
        dp_exchange_body(c->exchange, spans, n_spans, false);
        break;
    case DP_READ_DONE:
        if (c->exchange->up_paused) /* we still wait for room for more of the answer */
            dp_patience_await(c, DP_AWAIT_ROOM);
        else
            dp_patience_end(c);
        dp_exchange_body(c->exchange, spans, n_spans, true);
        break;
    case DP_READ_FAILED:
        dp_exchange_refuse(c->exchange, dp_reader_error(c->reader));
        break;
    }
    return used;
}

static bool wants_input(const struct dp_conn *c)
{
    switch (c->state) {
    case DP_CONN_IDLE:
    case DP_CONN_HEAD:
        return true;
    case DP_CONN_EXCHANGE:
        return !c->exchange->request_complete;
    case DP_CONN_PREFACE:
    case DP_CONN_LINGER:
    case DP_CONN_CLOSED:
        return false;
    }
    return false;
}

/* Take as much of the input as its turn allows; returns how much that was. */
static size_t feed(struct dp_conn *c, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && wants_input(c)) {
        if (c->state == DP_CONN_IDLE && !begin_head(c))
            return n; /* closed */
        if (c->state == DP_CONN_HEAD)
            at += feed_head(c, p + at, n - at);
        else
            at += feed_body(c, p + at, n - at);
    }
    /* The request goes out when all that came with it has been taken in: head and body in one
     * write. */
    if (c->state == DP_CONN_EXCHANGE && c->exchange->phase == DP_PHASE_ROUTE)
        dp_exchange_route(c->exchange);
    return c->state == DP_CONN_LINGER || c->state == DP_CONN_CLOSED ? n : at;
}

static void feed_ahead(struct dp_conn *c)
{
    c->in_read = true;
    while (c->ahead.bytes > 0 && wants_input(c)) {
        struct dp_span s;
        (void)dp_buf_peek(&c->ahead, &s, 1);
        size_t used = feed(c, s.p, s.n);
        if (c->ahead.bytes > 0) /* a closed connection has let go of it */
            dp_buf_consume(&c->ahead, used);
    }
    c->in_read = false;
    update_reading(c);
}

static void on_read(void *owner, const char *p, size_t n)
{
    struct dp_conn *c = owner;
    size_t used = 0;
    if (c->state == DP_CONN_LINGER || c->state == DP_CONN_CLOSED)
        return;
    if (c->state == DP_CONN_PREFACE) {
        dp_conn_preface(c, p, n); /* the connection may be gone behind it */
        return;
    }
    if (c->ahead.bytes == 0) {
        c->in_read = true;
        used = feed(c, p, n);
        c->in_read = false;
    }
    if (used < n && dp_buf_append(&c->ahead, p + used, n - used) != DP_OK) {
        dp_conn_abort(c, true);
        return;
    }
    if (c->ahead.bytes > 0)
        feed_ahead(c);
}

static void on_end(void *owner, enum dp_err err)
{
    struct dp_conn *c = owner;
    c->peer_done = true;
    switch (c->state) {
    case DP_CONN_EXCHANGE:
        /* A client may finish its side and still wait for the answer; a feed's client that does is
         * gone, and one that does while no region is there has nearly always given up. */
        if (!err && c->exchange->request_complete && c->exchange->couch.feed == DP_FEED_NONE &&
            c->exchange->phase != DP_PHASE_HOLD)
            return;
        dp_exchange_client_gone(c->exchange);
        return;
    case DP_CONN_HEAD:
        dp_exchange_client_gone(c->exchange);
        return;
    case DP_CONN_PREFACE:
        if (c->preface->n > 0)
            dp_conn_no_preface(c, "the connection ended within its PROXY header");
        else
            dp_conn_close(c, false);
        return;
    case DP_CONN_IDLE:
    case DP_CONN_LINGER:
        /* It asks no more, but may not have taken all of its answer yet. */
        if (err || dp_stream_pending(c->stream) == 0)
            dp_conn_close(c, false);
        else if (c->state == DP_CONN_IDLE)
            dp_conn_linger(c);
        return;
    case DP_CONN_CLOSED:
        return;
    }
}

static void on_drain(void *owner)
{
    struct dp_conn *c = owner;
    if (c->state == DP_CONN_EXCHANGE)
        dp_exchange_client_drained(c->exchange);
    else if (c->state == DP_CONN_LINGER)
        linger_on(c);
}

const struct dp_stream_events dp_conn_events = {
    .on_read = on_read,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_close = on_close,
};

static void timeout(struct dp_timer *t)
{
    struct dp_conn *c = DP_CONTAINER_OF(t, struct dp_conn, timer);
    switch (c->state) {
    case DP_CONN_HEAD:
        /* Only empty lines: nothing was asked, and an answer could be taken for the next one's. */
        if (!dp_reader_in_head(c->reader)) {
            c->exchange->end = DP_END_CLIENT_SLOW;
            dp_conn_abort(c, false);
            return;
        }
        c->state = DP_CONN_EXCHANGE;
        dp_exchange_refuse(c->exchange, DP_EHEADTIMEOUT);
        return;
    case DP_CONN_EXCHANGE:
        if (!dp_patience_still_taking(c))
            dp_exchange_client_timeout(c->exchange, DP_EBODYTIMEOUT);
        return;
    case DP_CONN_PREFACE:
        dp_conn_no_preface(c, "no PROXY header in time");
        return;
    case DP_CONN_LINGER:
        if (dp_patience_still_taking(c))
            return;
        dp_conn_close(c, dp_stream_pending(c->stream) > 0);
        return;
    case DP_CONN_IDLE:
    case DP_CONN_CLOSED:
        dp_conn_close(c, dp_stream_pending(c->stream) > 0); /* what is dropped must not go unseen */
        return;
    }
}

void dp_conn_init(struct dp_conn *c, struct dp_engine *e, struct dp_stream *stream)
{
    *c = (struct dp_conn){.engine = e, .stream = stream, .place = DP_NO_PLACE};
    stream->owner = c;
    dp_list_push_back(&e->conns, &c->node);
    dp_timer_init(&c->timer, timeout);
    dp_patience_init(c);
    dp_buf_init(&c->ahead, &e->chunks);
    e->n_conns++;
    dp_counter_add(&e->traffic->client_connections, 1);
    c->kept = DP_NO_REGION;
    c->key = dp_mix(dp_counter_get(&e->traffic->client_connections));
    dp_counter_add(&e->traffic->client_connections_open, 1);
}

void dp_conn_too_slow(struct dp_conn *c)
{
    if (c->state == DP_CONN_EXCHANGE) {
        dp_exchange_client_timeout(c->exchange, DP_ERATE);
        return;
    }
    dp_counter_add(&c->engine->traffic->clients_slow, 1);
    dp_conn_close(c, true);
}

bool dp_conn_spent(const struct dp_conn *c)
{
    const uint32_t most = c->engine->config->max_requests;
    return most > 0 && c->requests >= most;
}

void dp_conn_exchange_done(struct dp_conn *c, bool keep)
{
    bool clean = c->exchange->request_complete && c->ahead.bytes == 0;
    drop_exchange(c);
    if (keep && !c->peer_done && !c->engine->draining) {
        dp_conn_idle(c);
        if (!c->in_read && c->ahead.bytes > 0)
            feed_ahead(c);
        return;
    }
    if ((clean || c->peer_done) && dp_stream_pending(c->stream) == 0)
        dp_conn_close(c, false); /* nothing unread: an orderly end */
    else
        dp_conn_linger(c);
}

void dp_conn_abort(struct dp_conn *c, bool reset)
{
    dp_conn_close(c, reset);
    drop_exchange(c);
}

void dp_conn_drain(struct dp_conn *c)
{
    switch (c->state) {
    case DP_CONN_PREFACE:
        dp_conn_close(c, false);
        return;
    case DP_CONN_IDLE:
        if (dp_stream_pending(c->stream) > 0)
            dp_conn_linger(c);
        else
            dp_conn_close(c, false);
        return;
    case DP_CONN_LINGER:
        if (dp_stream_pending(c->stream) == 0)
            dp_conn_close(c, false);
        return;
    case DP_CONN_EXCHANGE:
        dp_exchange_drain(c->exchange);
        return;
    case DP_CONN_HEAD: /* will be answered, then closed */
    case DP_CONN_CLOSED:
        return;
    }
}
