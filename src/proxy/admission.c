/* From an accepted socket to a connection that may ask: the load balancer's word where there is one, TLS where it is
 * spoken, the limits. Whoever is refused is told so where that costs little, which by TLS it does not. */
#include "davenport/base/log.h"
#include "davenport/net/proxy_header.h"
#include "davenport/proxy/address_limit.h"

#include "proxy/conn.h"
#include "proxy/forward.h"

#include <stdio.h>
#include <stdlib.h>

/* So many are being told at a time that there is no room; past them nobody is. */
#define TOLD_MAX 256
/* A load balancer that is not set up as we are makes every connection fail: say it, but not for each. */
#define WARN_EVERY_NS (10 * DP_NS_PER_S)

/* One line in the access log for a connection that never came to ask. told: it was given an answer. */
static void log_refused(struct dp_conn *c, enum dp_err why, bool told)
{
    struct dp_engine *e = c->engine;
    const struct dp_access_record r = {
        .wall_ms = dp_clock_wall_ms(e->clock),
        .client = c->peer,
        .status = told ? dp_forward_own_status(why) : 0,
        .bytes_out = told ? dp_forward_own_bytes(why) : 0,
        .head_ns = DP_NO_TIME,
        .first_byte_ns = DP_NO_TIME,
        .end = DP_END_REFUSED,
        .reason = dp_reason_of_err(why),
        .reached = 'R',
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
    const bool told = answer.p && dp_stream_write(c->stream, &answer, 1) == DP_OK;
    log_refused(c, why, told);
    c->turned_away = true;
    c->engine->n_turned_away++;
    if (told)
        dp_conn_linger(c);
    else
        dp_conn_close(c, true);
    dp_arena_reset(&a);
}

/* Is there room for one more, and for one more of its address? */
static enum dp_err admit(struct dp_conn *c)
{
    const struct dp_engine *e = c->engine;
    if (e->config->max_connections > 0 &&
        e->n_conns - e->n_turned_away > e->config->max_connections)
        return DP_ECONNECTIONS;
    if (e->addresses && !dp_address_limit_take(e->addresses, c->peer, &c->place))
        return DP_EADDRCONNECTIONS;
    return DP_OK;
}

/* It is known who comes: may it ask? */
static bool welcome(struct dp_conn *c)
{
    enum dp_err why = admit(c);
    if (why) {
        turn_away(c, why);
        return false;
    }
    dp_conn_idle(c);
    if (c->engine->client_tls) /* the handshake and the first head share one limit */
        dp_engine_wait(c->engine, &c->timer, DP_WAIT_HEAD);
    return true;
}

void dp_conn_no_preface(struct dp_conn *c, const char *why)
{
    struct dp_engine *e = c->engine;
    dp_counter_add(&e->traffic->prefaces_refused, 1);
    if (e->wheel.now_ns >= e->warn_at_ns) {
        e->warn_at_ns = e->wheel.now_ns + WARN_EVERY_NS;
        dp_log(DP_LOG_WARN, "proxy_header_refused", DP_KV_STR("client", c->peer),
               DP_KV_STR("reason", why));
    }
    dp_conn_close(c, false);
}

/* From here on the stream is the client's own: by TLS, if that is what it speaks. False: there was no memory, and the
 * connection is gone. */
static bool secure(struct dp_conn *c)
{
    struct dp_engine *e = c->engine;
    if (!e->secure || e->secure(e->dial_ctx, c->stream, &dp_conn_events, c, &c->stream) == DP_OK)
        return true;
    dp_conn_lost(c);
    return false;
}

void dp_conn_preface(struct dp_conn *c, const char *p, size_t n)
{
    struct dp_proxy_header *h = c->preface;
    struct dp_stream *lower = c->stream;
    size_t used = 0;
    switch (dp_proxy_header_feed(h, p, n, &used)) {
    case DP_PROXY_MORE:
        return;
    case DP_PROXY_FAILED:
        dp_conn_no_preface(c, "no PROXY header, or a bad one");
        return;
    case DP_PROXY_DONE:
        break;
    }
    if (h->tells)
        (void)snprintf(c->peer, sizeof(c->peer), "%s", h->client);
    free(h);
    c->preface = NULL;
    if (!secure(c))
        return;
    dp_stream_read_start(c->stream);
    (void)welcome(c);
    if (used < n && c->state != DP_CONN_CLOSED) /* what came behind it in the same read */
        lower->events->on_read(lower->owner, p + used, n - used);
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

struct dp_conn *dp_conn_new(struct dp_engine *e, struct dp_stream *stream, const char *peer)
{
    const uint32_t most = e->config->max_connections;
    struct dp_conn *c = calloc(1, sizeof(*c));
    if (!c) {
        discard(stream);
        return NULL;
    }
    dp_conn_init(c, e, stream);
    (void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
    if (most > 0 && e->n_conns > (uint64_t)most + TOLD_MAX) {
        dp_counter_add(&e->traffic->connections_refused, 1);
        dp_conn_close(c, true);
        return NULL;
    }
    if (e->config->proxy_header) {
        c->preface = calloc(1, sizeof(*c->preface));
        if (!c->preface) {
            dp_conn_close(c, true);
            return NULL;
        }
    }
    dp_stream_read_start(stream);
    if (c->preface) {
        c->state = DP_CONN_PREFACE;
        dp_engine_wait(e, &c->timer, DP_WAIT_HEAD);
        return c;
    }
    return welcome(c) ? c : NULL;
}
