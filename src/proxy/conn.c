/* The client connection. Input is taken in order: `ahead` holds what came before its turn, and as
 * long as it holds something new input goes behind it. Freed in on_close; after CLOSED nothing of
 * it is used but by that. */
#include "proxy/conn.h"

#include "davenport/base/attr.h"
#include "davenport/core/policy.h"
#include "davenport/proxy/address_limit.h"

#include "proxy/exchange.h"
#include "proxy/forward.h"

#include <stdio.h>
#include <stdlib.h>

/* Pipelined input that is kept before reading stops. */
#define AHEAD_BYTES 65536
/* Pieces of a body handled in one step. */
#define BODY_SPANS 16

static void close_now(struct dp_conn *c, bool reset)
{
    if (c->state == DP_CONN_CLOSED)
        return;
    c->state = DP_CONN_CLOSED;
    dp_list_remove(&c->node);
    dp_patience_end(c);
    dp_buf_clear(&c->ahead);
    if (c->engine->addresses)
        dp_address_limit_give(c->engine->addresses, c->place);
    dp_counter_sub(&c->engine->traffic->client_connections_open, 1);
    dp_stream_close(c->stream, reset);
}

static void drop_exchange(struct dp_conn *c)
{
    struct dp_exchange *x = c->exchange;
    dp_patience_end(c);
    c->exchange = NULL;
    c->held = false;
    if (x)
        dp_exchange_destroy(x);
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
        close_now(c, false);
    else
        dp_engine_wait(c->engine, &c->timer, DP_WAIT_LINGER);
}

/* Our answer is out or on its way; the client may still be sending. Closing now could reset the
 * connection and take the answer with it, so finish our side and wait for theirs, for a while. */
static void linger(struct dp_conn *c)
{
    dp_buf_clear(&c->ahead);
    c->state = DP_CONN_LINGER;
    dp_stream_shutdown(c->stream);
    update_reading(c);
    linger_on(c);
}

static void go_idle(struct dp_conn *c)
{
    c->state = DP_CONN_IDLE;
    update_reading(c);
    dp_engine_wait(c->engine, &c->timer, DP_WAIT_IDLE);
}

/* The first byte of a request. */
static bool begin_head(struct dp_conn *c)
{
    c->exchange = dp_exchange_new(c);
    if (!c->exchange) {
        close_now(c, true);
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
            break;
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
    case DP_CONN_IDLE:
    case DP_CONN_LINGER:
        /* It asks no more, but may not have taken all of its answer yet. */
        if (err || dp_stream_pending(c->stream) == 0)
            close_now(c, false);
        else if (c->state == DP_CONN_IDLE)
            linger(c);
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

static void on_close(void *owner)
{
    struct dp_conn *c = owner;
    c->engine->n_conns--;
    dp_reader_destroy(c->reader);
    free(c);
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
    case DP_CONN_LINGER:
        if (dp_patience_still_taking(c))
            return;
        close_now(c, dp_stream_pending(c->stream) > 0);
        return;
    case DP_CONN_IDLE:
    case DP_CONN_CLOSED:
        close_now(c, dp_stream_pending(c->stream) > 0); /* what is dropped must not go unseen */
        return;
    }
}

void dp_conn_too_slow(struct dp_conn *c)
{
    if (c->state == DP_CONN_EXCHANGE) {
        dp_exchange_client_timeout(c->exchange, DP_ERATE);
        return;
    }
    dp_counter_add(&c->engine->traffic->clients_slow, 1);
    close_now(c, true);
}

bool dp_conn_spent(const struct dp_conn *c)
{
    const uint32_t most = c->engine->config->max_requests;
    return most > 0 && c->requests >= most;
}

/* One line in the access log for a connection that never came to ask. */
static void log_refused(struct dp_conn *c, enum dp_err why)
{
    struct dp_engine *e = c->engine;
    const struct dp_access_record r = {
        .wall_ms = dp_clock_wall_ms(e->clock),
        .client = c->peer,
        .status = dp_forward_own_status(why),
        .bytes_out = dp_forward_own_bytes(why),
        .first_byte_ns = DP_NO_TIME,
        .end = DP_END_REFUSED,
        .reason = why,
    };
    if (e->logging)
        dp_access_log_add(&e->access, &r);
}

/* Too many connections: say so instead of letting the client guess. */
static void turn_away(struct dp_conn *c, enum dp_err why)
{
    struct dp_traffic *t = c->engine->traffic;
    struct dp_arena a;
    dp_arena_init(&a, &c->engine->arenas);
    struct dp_forward_own f = {.err = why,
                               .retry_after_s = DP_RETRY_SOON_S,
                               .date = dp_engine_date(c->engine),
                               .client_minor = 1};
    struct dp_span answer = dp_forward_own(&a, &f);
    dp_counter_add(&t->refused, 1);
    dp_counter_add(&t->refused_by[why], 1);
    dp_counter_add(&t->connections_refused, 1);
    log_refused(c, why);
    if (answer.p && dp_stream_write(c->stream, &answer, 1) == DP_OK)
        linger(c);
    else
        close_now(c, true);
    dp_arena_reset(&a);
}

static void nobody_closed(void *owner)
{
    (void)owner;
}

/* Without memory for a connection not even an answer is possible. */
static void discard(struct dp_stream *stream)
{
    static const struct dp_stream_events nobody = {.on_close = nobody_closed};
    stream->events = &nobody;
    dp_stream_close(stream, true);
}

/* Is there room for one more, and for one more of its address? */
static enum dp_err admit(struct dp_conn *c)
{
    const struct dp_engine *e = c->engine;
    if (e->config->max_connections > 0 && e->n_conns > e->config->max_connections)
        return DP_ECONNECTIONS;
    if (e->addresses && !dp_address_limit_take(e->addresses, c->peer, &c->place))
        return DP_EADDRCONNECTIONS;
    return DP_OK;
}

struct dp_conn *dp_conn_new(struct dp_engine *e, struct dp_stream *stream, const char *peer)
{
    const struct dp_proxy_config *cfg = e->config;
    const struct dp_reader_limits limits = {cfg->max_head_bytes, cfg->max_target_bytes,
                                            cfg->max_headers};
    struct dp_conn *c = calloc(1, sizeof(*c));
    if (!c) {
        discard(stream);
        return NULL;
    }
    *c = (struct dp_conn){.engine = e, .stream = stream, .place = DP_NO_PLACE};
    stream->owner = c;
    dp_list_push_back(&e->conns, &c->node);
    dp_timer_init(&c->timer, timeout);
    dp_patience_init(c);
    dp_buf_init(&c->ahead, &e->chunks);
    (void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
    e->n_conns++;
    dp_counter_add(&e->traffic->client_connections, 1);
    c->kept = DP_NO_REGION;
    c->key = dp_policy_mix(dp_counter_get(&e->traffic->client_connections));
    dp_counter_add(&e->traffic->client_connections_open, 1);
    c->reader = dp_reader_new(DP_READ_REQUESTS, &limits);
    if (!c->reader) {
        close_now(c, true);
        return NULL;
    }
    dp_stream_read_start(stream);
    enum dp_err why = admit(c);
    if (why) {
        turn_away(c, why);
        return NULL;
    }
    go_idle(c);
    if (e->client_tls) /* the handshake and the first head share one limit */
        dp_engine_wait(e, &c->timer, DP_WAIT_HEAD);
    return c;
}

void dp_conn_exchange_done(struct dp_conn *c, bool keep)
{
    bool clean = c->exchange->request_complete && c->ahead.bytes == 0;
    drop_exchange(c);
    if (keep && !c->peer_done && !c->engine->draining) {
        go_idle(c);
        if (!c->in_read && c->ahead.bytes > 0)
            feed_ahead(c);
        return;
    }
    if ((clean || c->peer_done) && dp_stream_pending(c->stream) == 0)
        close_now(c, false); /* nothing unread: an orderly end */
    else
        linger(c);
}

void dp_conn_abort(struct dp_conn *c, bool reset)
{
    close_now(c, reset);
    drop_exchange(c);
}

void dp_conn_drain(struct dp_conn *c)
{
    switch (c->state) {
    case DP_CONN_IDLE:
        if (dp_stream_pending(c->stream) > 0)
            linger(c);
        else
            close_now(c, false);
        return;
    case DP_CONN_LINGER:
        if (dp_stream_pending(c->stream) == 0)
            close_now(c, false);
        return;
    case DP_CONN_EXCHANGE:
        dp_exchange_drain(c->exchange);
        return;
    case DP_CONN_HEAD: /* will be answered, then closed */
    case DP_CONN_CLOSED:
        return;
    }
}
