/* Requests of our own, beside those of clients. */
#include "proxy/inquiry.h"

#include "proxy/exchange.h"
#include "proxy/fault.h"
#include "proxy/framed.h"
#include "proxy/upstream.h"

/* Pieces of the answer that are taken in at once, and 1xx answers before it. */
#define SPANS       16
#define MAX_INTERIM 16
/* Headers that we add. */
#define OWN_HEADERS 2

/* Fields that say who asks, and which way it came. */
static bool passes(enum dp_header_id id)
{
    const uint64_t fields =
        DP_HEADER_BIT(DP_HEADER_AUTHORIZATION) | DP_HEADER_BIT(DP_HEADER_COOKIE) |
        DP_HEADER_BIT(DP_HEADER_X_AUTH_COUCHDB_USERNAME) |
        DP_HEADER_BIT(DP_HEADER_X_AUTH_COUCHDB_ROLES) |
        DP_HEADER_BIT(DP_HEADER_X_AUTH_COUCHDB_TOKEN) | DP_HEADER_BIT(DP_HEADER_USER_AGENT) |
        DP_HEADER_BIT(DP_HEADER_VIA) | DP_HEADER_BIT(DP_HEADER_FORWARDED) |
        DP_HEADER_BIT(DP_HEADER_X_FORWARDED_FOR) | DP_HEADER_BIT(DP_HEADER_X_FORWARDED_HOST) |
        DP_HEADER_BIT(DP_HEADER_X_FORWARDED_PROTO) | DP_HEADER_BIT(DP_HEADER_X_REAL_IP) |
        DP_HEADER_BIT(DP_HEADER_X_REQUEST_ID) | DP_HEADER_BIT(DP_HEADER_TRACEPARENT) |
        DP_HEADER_BIT(DP_HEADER_TRACESTATE);
    return (fields & DP_HEADER_BIT(id)) != 0;
}

static enum dp_method method_of(const struct dp_inquiry *q)
{
    if (q->ask.again)
        return q->x->request.method;
    return q->ask.body.n > 0 ? DP_METHOD_POST : DP_METHOD_GET;
}

/* The client's head, turned into ours. */
static enum dp_err make_head(const struct dp_inquiry *q, struct dp_head *out)
{
    const struct dp_head *h = &q->x->request;
    const bool post = q->ask.body.n > 0;
    struct dp_header *fields =
        dp_arena_alloc(&q->x->arena, (h->n_headers + OWN_HEADERS) * sizeof(*fields));
    if (!fields)
        return DP_ENOMEM;
    *out = (struct dp_head){.method = method_of(q),
                            .method_text = post ? DP_SPAN("POST") : DP_SPAN("GET"),
                            .target = q->ask.target,
                            .authority = h->authority,
                            .minor = h->minor,
                            .keep_alive = true,
                            .framing = post ? DP_FRAMING_LENGTH : DP_FRAMING_NONE,
                            .content_length = q->ask.body.n,
                            .headers = fields,
                            .raw = h->raw};
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (passes(h->headers[i].id))
            fields[out->n_headers++] = h->headers[i];
    }
    fields[out->n_headers++] =
        (struct dp_header){DP_SPAN("Accept"), DP_SPAN("application/json"), DP_HEADER_ACCEPT, false};
    if (post)
        fields[out->n_headers++] = (struct dp_header){
            DP_SPAN("Content-Type"), DP_SPAN("application/json"), DP_HEADER_CONTENT_TYPE, false};
    for (uint32_t i = 0; i < out->n_headers; i++)
        out->present |= DP_HEADER_BIT(fields[i].id);
    return DP_OK;
}

/* Let go of the connection, or of the place in line for one. */
static void let_go(struct dp_inquiry *q, bool reusable)
{
    struct dp_engine *e = q->x->engine;
    struct dp_upstream *up = q->up;
    dp_lease_cancel(&q->lease);
    if (!up)
        return;
    q->up = NULL;
    dp_counter_sub(&e->traffic->endpoints[q->ask.endpoint].in_flight, 1);
    dp_router_ended(&e->router, q->ask.endpoint);
    dp_upstream_release(up, reusable);
}

/* The same user's name and password as requests have. */
static void look_for_refusal(struct dp_inquiry *q)
{
    struct dp_span begins = {NULL, 0};
    if (q->answer.status != 401 && q->answer.status != 403)
        return;
    (void)dp_buf_peek(&q->body, &begins, 1);
    (void)dp_exchange_login_said(q->x, q->ask.endpoint, q->answer.status, begins);
}

static void finish(struct dp_inquiry *q, enum dp_err err, bool reusable)
{
    if (!err)
        look_for_refusal(q);
    let_go(q, reusable);
    dp_timer_disarm(&q->timer);
    dp_counter_add(&q->x->engine->traffic->inquiries_failed, err != DP_OK);
    q->done(q, err);
}

static enum dp_err send_own(const struct dp_inquiry *q, struct dp_stream *to)
{
    struct dp_head head;
    enum dp_err err = make_head(q, &head);
    if (err)
        return err;
    const struct dp_span text = dp_relay_head(q->x, &head, q->ask.endpoint);
    if (!text.p)
        return DP_ENOMEM;
    return dp_write_framed(to, head.framing, text, &q->ask.body, q->ask.body.n > 0,
                           (struct dp_tail){.last = true});
}

static void send(struct dp_inquiry *q, struct dp_upstream *up)
{
    struct dp_exchange *x = q->x;
    struct dp_engine *e = x->engine;
    if (e->view->view->faulty != 0 && dp_fault_meet(x, q->ask.endpoint, up) == DP_FAULT_REFUSED) {
        dp_pool_put(up->pool, up);
        finish(q, DP_ECONNECT, false);
        return;
    }
    q->up = up;
    q->headed = false;
    q->sent_turn = e->turns;
    q->sent_mark = dp_stream_written(up->stream);
    dp_counter_add(&e->traffic->endpoints[q->ask.endpoint].in_flight, 1);
    dp_router_began(&e->router, q->ask.endpoint, e->wheel.now_ns);
    dp_upstream_inquire(up, q);
    dp_reader_begin(up->reader, &x->arena, &q->answer, method_of(q));
    const enum dp_err err =
        q->ask.again ? dp_relay_write(x, up->stream, q->ask.endpoint) : send_own(q, up->stream);
    if (err == DP_ENOMEM)
        finish(q, err, false);
    /* Any other failure is seen as the connection's end. */
}

/* The region closed a connection that it no longer wanted: ask on a fresh one, once. */
static bool begin_anew(struct dp_inquiry *q)
{
    if (q->anew)
        return false;
    q->anew = true;
    let_go(q, false);
    return dp_pool_wait(&q->x->engine->pools[q->ask.endpoint], &q->lease) == DP_OK;
}

static void lease_done(struct dp_lease *l, struct dp_upstream *up, enum dp_err err)
{
    struct dp_inquiry *q = DP_CONTAINER_OF(l, struct dp_inquiry, lease);
    if (up)
        send(q, up);
    else if (err != DP_ECLOSED || !begin_anew(q))
        finish(q, err, false);
}

static void too_late(struct dp_timer *t)
{
    finish(DP_CONTAINER_OF(t, struct dp_inquiry, timer), DP_ETIMEOUT, false);
}

/* Stand in line even where a connection is ready: `done` must not run within the call that asked. */
enum dp_err dp_inquiry_begin(struct dp_inquiry *q, struct dp_exchange *x,
                             const struct dp_inquiry_ask *ask,
                             void (*done)(struct dp_inquiry *q, enum dp_err err))
{
    struct dp_engine *e = x->engine;
    dp_inquiry_drop(q);
    *q = (struct dp_inquiry){.x = x, .ask = *ask, .done = done};
    dp_lease_init(&q->lease, lease_done);
    dp_timer_init(&q->timer, too_late);
    dp_buf_init(&q->body, &e->chunks);
    dp_counter_add(&e->traffic->inquiries, 1);
    enum dp_err err = dp_exchange_has_key(x->view->view, ask->endpoint)
                          ? dp_pool_lease(&e->pools[ask->endpoint], &q->lease)
                          : DP_ECREDENTIALS;
    if (err) {
        dp_counter_add(&e->traffic->inquiries_failed, 1);
        q->x = NULL;
        return err;
    }
    dp_engine_wait(e, &q->timer, DP_WAIT_INQUIRY);
    return DP_OK;
}

void dp_inquiry_drop(struct dp_inquiry *q)
{
    if (!q->x)
        return;
    let_go(q, false);
    dp_timer_disarm(&q->timer);
    dp_buf_clear(&q->body);
    q->x = NULL;
}

/* ---- the answer ---- */

static enum dp_err take_body(struct dp_inquiry *q, const char *p, size_t *n, enum dp_read *read)
{
    struct dp_span spans[SPANS];
    do {
        size_t used = 0, k = 0;
        *read = dp_reader_body(q->up->reader, p, *n, &used, spans, SPANS, &k);
        p += used;
        *n -= used;
        for (size_t i = 0; i < k; i++) {
            if (q->body.bytes + spans[i].n > q->ask.max_bytes)
                return DP_EBODYSIZE;
            enum dp_err err = dp_buf_append(&q->body, spans[i].p, spans[i].n);
            if (err)
                return err;
        }
    } while (*read == DP_READ_MORE && *n > 0);
    return *read == DP_READ_FAILED ? DP_EBADRESPONSE : DP_OK;
}

/* False: it is over, or more must come first. */
static bool take_head(struct dp_inquiry *q, const char **p, size_t *n)
{
    while (*n > 0 && q->interim < MAX_INTERIM) {
        size_t used = 0;
        const enum dp_read r = dp_reader_head(q->up->reader, *p, *n, &used);
        *p += used;
        *n -= used;
        if (r == DP_READ_MORE)
            return false;
        if (r == DP_READ_FAILED)
            break;
        q->headed = q->answer.status >= 200;
        if (q->headed)
            return true;
        q->interim++;
        dp_reader_begin(q->up->reader, &q->x->arena, &q->answer, method_of(q));
    }
    if (*n == 0 && q->interim < MAX_INTERIM)
        return false;
    finish(q, DP_EBADRESPONSE, false);
    return false;
}

void dp_inquiry_read(struct dp_inquiry *q, const char *p, size_t n)
{
    enum dp_read read;
    if (!q->headed && dp_upstream_is_stray(q->up, q->sent_mark, q->sent_turn)) {
        dp_inquiry_end(q, DP_EBADRESPONSE);
        return;
    }
    if (!q->headed && !take_head(q, &p, &n))
        return;
    const enum dp_err err = take_body(q, p, &n, &read);
    if (err)
        finish(q, err, false);
    else if (read == DP_READ_DONE)
        finish(q, DP_OK, n == 0 && q->answer.keep_alive);
}

void dp_inquiry_end(struct dp_inquiry *q, enum dp_err err)
{
    if (q->headed && !err && dp_reader_eof(q->up->reader) == DP_READ_DONE)
        finish(q, DP_OK, false);
    else if (!q->up->used || q->headed || !begin_anew(q))
        finish(q, err ? err : DP_ECLOSED, false);
}
