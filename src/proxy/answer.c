/* The answer of an exchange: its bytes to the client. As in relay.c nothing is gathered. */
#include "davenport/core/pace.h"
#include "davenport/couch/appended.h"

#include "proxy/allowance.h"
#include "proxy/exchange.h"
#include "proxy/feed_end.h"
#include "proxy/forward.h"
#include "proxy/framed.h"
#include "proxy/fresh.h"
#include "proxy/route.h"
#include "proxy/settle.h"
#include "proxy/spread.h"
#include "proxy/tagging.h"
#include "proxy/upstream.h"

/* 1xx answers before the final one. */
#define MAX_INTERIM 16

static const struct dp_span none = {NULL, 0};

/* Fields behind the body are for a client that said it takes them (RFC 9110 6.5.1) and where there is a place for them:
 * not in a body of a length. */
static bool passes_trailers(const struct dp_exchange *x)
{
    return x->out == DP_FRAMING_CHUNKED && x->request.te_trailers;
}

static struct dp_tail answer_tail(const struct dp_exchange *x, bool last)
{
    return (struct dp_tail){last, passes_trailers(x) ? x->response.trailers : none};
}

/* Its tokens get their region's name on their way. */
static bool is_tagged(const struct dp_exchange *x)
{
    return x->tagging && x->tagging->rewrites;
}

/* After a write to the client: is it gone, is it slow? False when the exchange is over. */
static bool after_answer_write(struct dp_exchange *x, enum dp_err err)
{
    if (err) {
        dp_exchange_client_gone(x);
        return false;
    }
    if (x->up && !x->up_paused && dp_stream_pending(x->conn->stream) > DP_STREAM_HIGH_BYTES) {
        x->up_paused = true;
        dp_stream_read_stop(x->up->stream);
        dp_timer_disarm(&x->up->timer);
        dp_patience_await(x->conn, DP_AWAIT_ROOM);
    }
    return true;
}

static void remember_tail(struct dp_exchange *x, const struct dp_span *spans, size_t k)
{
    for (size_t i = k > 2 ? k - 2 : 0; i < k; i++) {
        const struct dp_span s = spans[i];
        if (s.n > 0) {
            x->tail[0] = s.n > 1 ? s.p[s.n - 2] : x->tail[1];
            x->tail[1] = s.p[s.n - 1];
        }
    }
}

/* Does the client see it compressed? Then nobody here knows where its lines end, and half of it is nothing. */
static bool reaches_packed(const struct dp_exchange *x)
{
    const struct dp_header *f = dp_head_find(&x->response, DP_HEADER_CONTENT_ENCODING);
    return f && !is_tagged(x) && !dp_span_ieq(f->value, DP_SPAN("identity"));
}

/* A feed of lines, each of them whole by itself: behind any of them it may end, and its client goes on from there. A longpoll
 * or a normal feed is one text: cut off and ended properly it would say that nothing was left out. */
static bool has_lines(const struct dp_exchange *x)
{
    return (x->couch.feed == DP_FEED_CONTINUOUS || x->couch.feed == DP_FEED_EVENTSOURCE) &&
           x->response.status == 200 && x->out != DP_FRAMING_LENGTH && !reaches_packed(x) &&
           !(x->tagging && x->tagging->spoilt);
}

/* Between two lines of a continuous feed, between two events of an eventsource. A region that answers with a normal feed
 * (PouchDB's servers, to an eventsource) has lines too, which end within the text. */
static bool at_boundary(const struct dp_exchange *x)
{
    if (x->tail[1] == '\0') /* nothing yet */
        return true;
    if (x->tail[1] != '\n')
        return false;
    return x->tail[0] == '\n' || x->tail[0] == '\0' ||
           (x->tail[0] == '}' && x->couch.feed == DP_FEED_CONTINUOUS);
}

void dp_relay_end_feed(struct dp_exchange *x, bool dead)
{
    const bool broke = !x->up; /* which has been counted; nobody knows what was to come */
    const bool proper = has_lines(x) && at_boundary(x);
    if (!dead && !broke && !proper && has_lines(x)) {
        x->feed_ending = true;
        return;
    }
    if (broke && !proper) {
        dp_exchange_cut(x);
        return;
    }
    dp_counter_add(&x->engine->traffic->feeds_ended, 1);
    if (!broke)
        dp_exchange_count(x, DP_OUTCOME_ABANDONED);
    x->end = DP_END_FEED_ENDED;
    if (!proper)
        dp_exchange_cut(x);
    else if (x->out == DP_FRAMING_CHUNKED &&
             dp_stream_write(x->conn->stream, &dp_last_chunk, 1) != DP_OK)
        dp_conn_abort(x->conn, true);
    else
        dp_exchange_ended(
            x); /* a client that was promised the connection may be sending on it already */
}

/* The region's fault, unless it was we who had no memory. */
static void answer_unreadable(struct dp_exchange *x, enum dp_outcome outcome)
{
    enum dp_err err = dp_reader_error(x->up->reader);
    if (err == DP_ENOMEM)
        dp_exchange_refuse(x, err);
    else
        dp_exchange_attempt_failed(x, outcome, x->committed ? err : DP_EBADRESPONSE);
}

/* A _list that broke after its head ends as if it were whole, with an error behind its rows. The client shall see that
 * it is not: its answer is cut, and the error is not passed on where it came with the body's end. True: it is one,
 * and *k spans are left to be passed on. */
static bool ends_in_error(struct dp_exchange *x, const struct dp_span *spans, size_t *k,
                          enum dp_read r)
{
    if (!x->couch.list || x->response.status != 200)
        return false;
    bool is = *k > 0 && dp_couch_appended_error(spans[*k - 1]);
    if (*k > 0)
        x->appended = is;
    if (!x->appended || r != DP_READ_DONE)
        return false;
    *k -= is;
    return true;
}

/* Bytes for the client, with `head` before them. False when the exchange is over. */
static bool pass_on(struct dp_exchange *x, struct dp_span head, const struct dp_span *spans,
                    size_t k, bool last)
{
    for (size_t i = 0; i < k; i++)
        x->sent_bytes += spans[i].n;
    if (x->couch.feed != DP_FEED_NONE)
        remember_tail(x, spans, k);
    return after_answer_write(
        x, dp_write_framed(x->conn->stream, x->out, head, spans, k, answer_tail(x, last)));
}

/* ---- answers that are rewritten on their way: see tagging.h ---- */

/* One piece of what comes of `in`. False when the exchange is over. */
static bool pass_some_tagged(struct dp_exchange *x, struct dp_span head, struct dp_tag_input *in,
                             enum dp_tagged *done)
{
    struct dp_span out;
    *done = dp_tagging_run(x, in, &out);
    const bool last = in->last && *done == DP_TAGGED_ALL;
    if (last && !x->keep)
        dp_stream_last(x->conn->stream);
    if (!pass_on(x, head, &out, out.n > 0, last))
        return false;
    if (*done == DP_TAGGED_BAD) {
        x->tagging->spoilt = true;
        dp_exchange_attempt_failed(x, DP_OUTCOME_TRUNCATED, DP_EBADRESPONSE);
    }
    return *done != DP_TAGGED_BAD;
}

/* Pieces of the body, as far as the client takes what comes of them. False when the exchange is over. */
static bool pass_tagged(struct dp_exchange *x, struct dp_span head, const struct dp_span *spans,
                        size_t k, bool last)
{
    struct dp_tag_input in = {.spans = spans, .k = k, .last = last};
    enum dp_tagged done = DP_TAGGED_MORE;
    while (!x->tagging->behind && done == DP_TAGGED_MORE) {
        if (!pass_some_tagged(x, head, &in, &done))
            return false;
        head.n = 0;
        if (x->up_paused)
            break;
    }
    if (done == DP_TAGGED_MORE && dp_tagging_put_off(x, &in) != DP_OK) {
        dp_exchange_refuse(x, DP_ENOMEM);
        return false;
    }
    return true;
}

static void after_pieces(struct dp_exchange *x, enum dp_read r, bool clean);

/* The client took some: go on with what was put off. False: there is more, or the exchange is over. */
static bool catch_up(struct dp_exchange *x)
{
    struct dp_tagging *t = x->tagging;
    x->up_paused = false;
    while (t->behind && !x->up_paused) {
        struct dp_span spans[DP_BODY_SPANS];
        size_t bytes = 0;
        enum dp_tagged done;
        const size_t k = dp_buf_peek(&t->rest, spans, DP_BODY_SPANS);
        for (size_t i = 0; i < k; i++)
            bytes += spans[i].n;
        struct dp_tag_input in = {.spans = spans, .k = k};
        in.last = t->read == DP_READ_DONE && bytes == t->rest.bytes;
        if (!pass_some_tagged(x, none, &in, &done))
            return false;
        dp_buf_consume(&t->rest, in.taken);
        t->behind = done == DP_TAGGED_MORE || t->rest.bytes > 0;
    }
    if (t->behind || t->read == DP_READ_MORE)
        return !t->behind && !x->up_paused;
    x->up_paused = true; /* reading its connection goes on when it is let go */
    after_pieces(x, t->read, t->clean);
    return false;
}

void dp_exchange_client_drained(struct dp_exchange *x)
{
    size_t pending = dp_stream_pending(x->conn->stream);
    if (!x->up_paused)
        return;
    if (pending > DP_STREAM_HIGH_BYTES / 2) {
        dp_patience_await(x->conn, DP_AWAIT_ROOM);
        return;
    }
    if (is_tagged(x) && x->tagging->behind) {
        dp_exchange_busy(x);
        if (!catch_up(x))
            return;
    }
    x->up_paused = false;
    dp_patience_end(x->conn);
    dp_engine_wait(x->engine, &x->up->timer, dp_exchange_silence(x, DP_WAIT_STALL));
    dp_stream_read_start(x->up->stream);
}

/* A piece of the body, with `head` before it. False when the exchange is over. */
static bool pass_piece(struct dp_exchange *x, struct dp_span head, struct dp_span *spans, size_t k,
                       enum dp_read r)
{
    const bool broke = ends_in_error(x, spans, &k, r);
    size_t bytes = 0;
    for (size_t i = 0; i < k; i++)
        bytes += spans[i].n;
    dp_counter_add(&x->engine->traffic->body_bytes_out, bytes);
    if (x->learns)
        dp_fresh_pass(x, spans, k);
    if (is_tagged(x))
        return pass_tagged(x, head, spans, k, r == DP_READ_DONE);
    if (r == DP_READ_DONE && !x->keep)
        dp_stream_last(x->conn->stream);
    if (!pass_on(x, head, spans, k, r == DP_READ_DONE && !broke))
        return false;
    if (broke)
        dp_exchange_attempt_failed(x, DP_OUTCOME_SERVER_ERROR, DP_ETRUNCATED);
    return !broke;
}

/* All that has come has been passed on. clean: nothing stands behind the body. */
static void after_pieces(struct dp_exchange *x, enum dp_read r, bool clean)
{
    if (is_tagged(x) && x->tagging->behind) {
        x->tagging->read = r;
        x->tagging->clean = clean;
        return;
    }
    if (r == DP_READ_DONE)
        dp_exchange_finish(x, clean);
    else if (r == DP_READ_FAILED)
        answer_unreadable(x, DP_OUTCOME_TRUNCATED);
    else if (x->feed_ending && at_boundary(x))
        dp_relay_end_feed(x, false);
    else if (!x->up_paused)
        dp_engine_wait(x->engine, &x->up->timer, dp_exchange_silence(x, DP_WAIT_STALL));
}

/* Body bytes as they come, with `head` before the first of them. */
static void relay_body(struct dp_exchange *x, struct dp_span head, const char *p, size_t n)
{
    struct dp_span spans[DP_BODY_SPANS];
    enum dp_read r;
    do {
        size_t used = 0, k = 0;
        r = dp_reader_body(x->up->reader, p, n, &used, spans, DP_BODY_SPANS, &k);
        p += used;
        n -= used;
        if (!pass_piece(x, head, spans, k, r))
            return;
        head.n = 0;
    } while (r == DP_READ_MORE && n > 0);
    after_pieces(x, r, n == 0);
}

/* The head has come: how long did that take? */
static void note_first_byte(struct dp_exchange *x)
{
    if (x->phase ==
        DP_PHASE_AWAIT) /* else it came before the request was out: says nothing of how fast the region is */
        x->first_byte_ns = x->busy_ns - x->sent_ns; /* since its bytes were read */
}

/* And it is this answer that counts: one that breaks off while it is kept is none. */
static void count_first_byte(struct dp_exchange *x)
{
    const uint64_t ns = x->first_byte_ns;
    if (ns == DP_NO_TIME)
        return;
    struct dp_traffic_endpoint *t = &x->engine->traffic->endpoints[x->endpoint];
    struct dp_traffic_kind *k = &x->engine->traffic->kinds[x->couch.kind];
    unsigned bucket = dp_latency_bucket(ns);
    dp_counter_add(&t->first_byte[bucket], 1);
    if (x->couch.point) {
        dp_counter_add(&t->point_first_byte[dp_pace_bucket(ns)], 1);
        dp_route_took(x, ns);
    }
    dp_counter_add(&t->first_byte_ns, ns);
    dp_counter_add(&k->first_byte[bucket], 1);
    dp_counter_add(&k->first_byte_ns, ns);
}

/* The answer begins: from here on there is no other attempt. Its head for the client; .p == NULL: the exchange is over. */
static struct dp_span commit(struct dp_exchange *x)
{
    const struct dp_proxy_config *c = x->engine->config;
    const struct dp_view *v = x->view->view;
    const uint8_t minor = x->request.minor;
    struct dp_forward_response f = {.head = &x->response};
    x->out = dp_forward_framing(&x->response, minor);
    if (x->tagging && dp_tagging_answer(x, &f) != DP_OK) {
        dp_exchange_refuse(x, DP_ENOMEM);
        return none;
    }
    if (is_tagged(x) && x->out == DP_FRAMING_LENGTH)
        x->out = minor >= 1 ? DP_FRAMING_CHUNKED : DP_FRAMING_CLOSE;
    x->keep = x->request.keep_alive && x->request_complete && x->out != DP_FRAMING_CLOSE &&
              !x->engine->draining && !dp_conn_spent(x->conn);
    f.framing = x->out;
    f.client_minor = minor;
    f.keep_alive = x->keep;
    f.trailers = passes_trailers(x);
    f.date = dp_head_has(&x->response, DP_HEADER_DATE) ? none : dp_engine_date(x->engine);
    f.request_id = x->ids.request_id;
    f.via = c->via_answers ? c->via : NULL;
    f.host = v->endpoints[x->endpoint].host;
    f.origin = dp_exchange_origin(x);
    f.region = c->tells_region ? v->regions[v->endpoints[x->endpoint].region].name : NULL;
    f.attempts = c->tells_attempts ? x->attempts.count : 0;
    f.missed = x->missed;
    f.injected = dp_exchange_proof(x, x->endpoint).injected;
    f.client_tls = x->engine->client_tls;
    f.fields = x->renew_session ? dp_clients_renewed(x) : none;
    struct dp_span head = dp_forward_response_head(&x->arena, &f);
    if (!head.p) {
        dp_exchange_refuse(x, DP_ENOMEM);
        return head;
    }
    if (x->couch.writes)
        dp_fresh_learn(x);
    dp_exchange_count_answer(x, x->response.status);
    x->committed = true;
    dp_allowance_return(x);
    if (x->deadline.fire)
        dp_timer_disarm(&x->deadline);
    dp_exchange_set_phase(x, DP_PHASE_STREAM);
    if (x->response.status != 200)
        x->couch.feed = DP_FEED_NONE; /* refused: an answer like any other */
    if (x->couch.feed != DP_FEED_NONE) {
        dp_counter_add(&x->engine->traffic->feeds_active, 1);
        dp_feed_begun(x);
    }
    return head;
}

/* ---- answers that are kept until they are whole: see kept.h ---- */

/* n: bytes that came behind the head. */
static bool may_keep(const struct dp_exchange *x, size_t n)
{
    const uint32_t most = x->engine->config->whole_answer_bytes;
    const struct dp_head *h = &x->response;
    if (h->framing == DP_FRAMING_NONE ||
        (h->framing == DP_FRAMING_LENGTH && (h->content_length <= n || h->content_length > most)))
        return false;
    return most > 0 && x->couch.feed == DP_FEED_NONE && x->request_complete &&
           dp_exchange_may_retry(x);
}

static bool begin_keeping(struct dp_exchange *x,
                          void (*then)(struct dp_exchange *x, struct dp_buf *body))
{
    struct dp_engine *e = x->engine;
    struct dp_kept *k = dp_arena_alloc(&x->arena, sizeof(*k));
    if (!k)
        return false;
    k->began_ns = k->moved_ns = dp_clock_mono_ns(e->clock);
    k->looked_bytes = 0;
    k->most_bytes = then ? DP_SETTLE_BYTES : e->config->whole_answer_bytes;
    k->then = then;
    dp_buf_init(&k->body, &e->chunks);
    x->kept = k;
    dp_counter_add(&e->traffic->answers_kept, 1);
    dp_engine_wait(e, &x->up->timer, DP_WAIT_KEPT);
    return true;
}

/* Begin the answer with what is kept, and behind it these spans. False when the exchange is over. */
static bool pass_kept(struct dp_exchange *x, struct dp_span *spans, size_t k, enum dp_read r)
{
    struct dp_span all[DP_BODY_SPANS];
    struct dp_buf body = x->kept->body;
    x->kept = NULL;
    count_first_byte(x);
    struct dp_span head = commit(x);
    bool going = head.p != NULL;
    while (going && body.bytes > 0) {
        size_t n = dp_buf_peek(&body, all, DP_BODY_SPANS), bytes = 0;
        for (size_t i = 0; i < n; i++)
            bytes += all[i].n;
        if (bytes == body.bytes && n + k <= DP_BODY_SPANS) { /* in one write with the rest */
            for (size_t i = 0; i < k; i++)
                all[n + i] = spans[i];
            going = pass_piece(x, head, all, n + k, r);
            dp_buf_clear(&body);
            return going;
        }
        going = pass_piece(x, head, all, n, DP_READ_MORE);
        head.n = 0;
        dp_buf_consume(&body, bytes);
    }
    dp_buf_clear(&body);
    return going && pass_piece(x, head, spans, k, r);
}

/* r: what was read of the body ends it, or not. */
static void begin_early(struct dp_exchange *x, enum dp_read r)
{
    if (pass_kept(x, NULL, 0, r))
        after_pieces(x, r, false);
}

/* It is not kept until it is whole: what was to be done then is not. False: the exchange is over. */
static bool leave_undone(struct dp_exchange *x,
                         void (*then)(struct dp_exchange *x, struct dp_buf *body), enum dp_err why)
{
    if (then == dp_settle_begin)
        dp_settle_skip(x);
    return !then || !dp_spread_wants(x) || dp_spread_skip(x, why);
}

void dp_answer_begin(struct dp_exchange *x)
{
    if (x->kept->then == dp_settle_begin) { /* whose doing it is nobody can tell any more */
        dp_exchange_count(x, DP_OUTCOME_ABANDONED);
        dp_exchange_refuse(x, DP_EUNKNOWNOUTCOME);
        return;
    }
    if (!leave_undone(x, x->kept->then, DP_ETIMEOUT))
        return;
    dp_counter_add(&x->engine->traffic->answers_kept_begun, 1);
    begin_early(x, DP_READ_MORE);
}

/* Keep these spans. How many of them there was memory for. */
static size_t keep_spans(struct dp_exchange *x, const struct dp_span *spans, size_t k)
{
    size_t i = 0;
    while (i < k && x->kept->body.bytes + spans[i].n <= x->kept->most_bytes &&
           dp_buf_append(&x->kept->body, spans[i].p, spans[i].n) == DP_OK)
        i++;
    return i;
}

/* It is whole, and the attempt is over. */
static void go_on_with(struct dp_exchange *x, bool clean)
{
    const struct dp_kept k = *x->kept;
    struct dp_buf body = k.body;
    x->kept = NULL;
    count_first_byte(x);
    dp_exchange_answered(x, clean);
    k.then(x, &body);
}

void dp_answer_whole(struct dp_exchange *x, struct dp_buf *body)
{
    struct dp_span spans[DP_BODY_SPANS];
    struct dp_buf left = *body; /* `body` may be the exchange's own */
    struct dp_span head = commit(x);
    bool going = head.p != NULL, last = false;
    while (going && !last) {
        size_t n = dp_buf_peek(&left, spans, DP_BODY_SPANS), bytes = 0;
        for (size_t i = 0; i < n; i++)
            bytes += spans[i].n;
        last = bytes == left.bytes;
        going = pass_piece(x, head, spans, n, last ? DP_READ_DONE : DP_READ_MORE);
        head.n = 0;
        dp_buf_consume(&left, bytes);
    }
    dp_buf_clear(&left);
    if (going)
        dp_exchange_done(x);
}

/* Once even of nothing: a body of no bytes is whole behind its head. */
static void keep_body(struct dp_exchange *x, const char *p, size_t n)
{
    struct dp_span spans[DP_BODY_SPANS];
    do {
        size_t used = 0, k = 0, kept = 0;
        const enum dp_read r = dp_reader_body(x->up->reader, p, n, &used, spans, DP_BODY_SPANS, &k);
        p += used;
        n -= used;
        if (r == DP_READ_FAILED) {
            answer_unreadable(x, DP_OUTCOME_TRUNCATED);
            return;
        }
        if (r == DP_READ_MORE || x->kept->then)
            kept = keep_spans(x, spans, k);
        if (r == DP_READ_MORE && kept == k)
            continue;
        if (x->kept->then && kept == k) {
            go_on_with(x, n == 0);
            return;
        }
        if (r == DP_READ_MORE)
            dp_counter_add(&x->engine->traffic->answers_kept_begun, 1);
        if (!leave_undone(x, x->kept->then, DP_EBODYSIZE) ||
            !pass_kept(x, spans + kept, k - kept, r))
            return;
        if (r == DP_READ_MORE && n > 0)
            relay_body(x, none, p, n);
        else
            after_pieces(x, r, n == 0);
        return;
    } while (n > 0);
}

void dp_answer_look(struct dp_exchange *x)
{
    const struct dp_proxy_config *c = x->engine->config;
    struct dp_kept *k = x->kept;
    const uint64_t now_ns = dp_clock_mono_ns(x->engine->clock);
    const bool came = k->body.bytes > k->looked_bytes;
    if (came)
        k->moved_ns = now_ns;
    const bool moves = came && k->looked_bytes > 0;
    k->looked_bytes = k->body.bytes;
    const struct dp_kept_facts f = {
        .sized = k->then || x->response.framing == DP_FRAMING_LENGTH,
        .moves = moves,
        .point = x->couch.point,
        .for_ms = (now_ns - k->began_ns) / DP_NS_PER_MS,
        .quiet_ms = (now_ns - k->moved_ns) / DP_NS_PER_MS,
        .limit_ms = c->try_timeout_ms > 0 ? c->try_timeout_ms : c->stall_timeout_ms,
    };
    const enum dp_kept_verdict verdict = dp_kept_look(&f);
    if (verdict == DP_KEPT_WAIT) {
        dp_engine_wait(x->engine, &x->up->timer, DP_WAIT_KEPT);
    } else if (verdict == DP_KEPT_STALLED && dp_exchange_has_elsewhere(x)) {
        dp_exchange_attempt_failed(x, DP_OUTCOME_TRUNCATED, DP_ETIMEOUT);
    } else {
        dp_answer_begin(x);
    }
}

/* The final head is there. */
static void take_answer(struct dp_exchange *x, const char *p, size_t n)
{
    note_first_byte(x);
    void (*then)(struct dp_exchange *, struct dp_buf *) = NULL;
    if (dp_settle_wants(x))
        then = dp_settle_begin;
    else if (dp_spread_wants(x) && dp_spread_may(x))
        then = dp_spread_begin;
    else if (dp_spread_wants(x) && !dp_spread_skip(x, DP_EBODYSIZE))
        return;
    if ((then || may_keep(x, n)) && begin_keeping(x, then)) {
        keep_body(x, p, n);
        return;
    }
    if (!leave_undone(x, then, DP_ENOMEM))
        return;
    count_first_byte(x);
    struct dp_span head = commit(x);
    if (head.p)
        relay_body(x, head, p, n);
}

/* 100 and 103 go to clients that may understand them. False when the exchange is over. */
static bool pass_interim(struct dp_exchange *x)
{
    uint16_t status = x->response.status;
    if (++x->interim > MAX_INTERIM) {
        dp_exchange_attempt_failed(x, DP_OUTCOME_BAD_ANSWER, DP_EBADRESPONSE);
        return false;
    }
    bool wanted = status == 100 ? x->request.expect_continue : status == 103;
    if (x->request.minor >= 1 && wanted) {
        struct dp_span head = dp_forward_interim_head(&x->arena, &x->response);
        if (!head.p || dp_stream_write(x->conn->stream, &head, 1) != DP_OK) {
            dp_exchange_client_gone(x);
            return false;
        }
        dp_counter_add(&x->engine->traffic->answered_1xx, 1);
        if (status == 100 && !x->request_complete) {
            dp_timer_disarm(&x->up->timer);
            dp_patience_await(x->conn, DP_AWAIT_BODY);
        }
    }
    dp_reader_begin(x->up->reader, &x->arena, &x->response, x->request.method);
    return true;
}

/* A head is there, and `behind` came behind it. True: it is not for the client, the exchange goes on without it. */
static bool goes_on_elsewhere(struct dp_exchange *x, struct dp_span behind)
{
    const uint16_t status = x->response.status;
    if ((status == 401 || status == 403) && dp_exchange_login_refused(x, behind))
        return true;
    if (status == 429 && dp_exchange_declined(x))
        return true;
    if (x->knows_written && dp_fresh_is_stale(x)) {
        dp_exchange_reread(x);
        return true;
    }
    const bool lacks = status == 401 || status == 403 || status == 404;
    if ((lacks || status >= 500) && dp_route_may_leave_trial(x)) {
        /* It serves, but it was away and may lack what others have, users and their sessions too. */
        dp_exchange_attempt_failed(x, dp_outcome_of_status(status), DP_ENOREGION);
        return true;
    }
    return false;
}

void dp_exchange_up_read(struct dp_exchange *x, const char *p, size_t n)
{
    dp_exchange_busy(x);
    if (x->committed) {
        relay_body(x, none, p, n);
        return;
    }
    if (x->kept) {
        keep_body(x, p, n);
        return;
    }
    if (x->conn_reused && !x->response_begun &&
        dp_upstream_is_stray(x->up, x->sent_mark, x->sent_turn)) {
        dp_exchange_attempt_failed(x, DP_OUTCOME_STALE, DP_EBADRESPONSE);
        return;
    }
    x->response_begun = true;
    x->wrote_any = true; /* it heard us */
    if (x->hedge)
        dp_hedge_drop(x);
    dp_list_remove(&x->awaited);
    while (n > 0) {
        size_t used = 0;
        enum dp_read r = dp_reader_head(x->up->reader, p, n, &used);
        p += used;
        n -= used;
        if (r == DP_READ_MORE)
            return;
        if (r == DP_READ_FAILED) {
            answer_unreadable(x, DP_OUTCOME_BAD_ANSWER);
            return;
        }
        if (goes_on_elsewhere(x, (struct dp_span){p, n}))
            return;
        if (x->response.status >= 200) {
            take_answer(x, p, n);
            return;
        }
        if (!pass_interim(x))
            return;
    }
}

void dp_exchange_up_end(struct dp_exchange *x, enum dp_err err)
{
    dp_exchange_busy(x);
    if (x->kept) {
        if (err || dp_reader_eof(x->up->reader) != DP_READ_DONE)
            dp_exchange_attempt_failed(x, DP_OUTCOME_TRUNCATED, DP_ETRUNCATED);
        else if (x->kept->then)
            go_on_with(x, false);
        else
            begin_early(x, DP_READ_DONE);
        return;
    }
    if (!x->committed) {
        bool stale = x->conn_reused && !x->response_begun;
        /* It closed before a byte of this request was there: as if nothing had been sent. */
        if (!err && !x->response_begun && !dp_stream_reached(x->up->stream, x->sent_mark))
            x->wrote_any = x->wrote_before;
        dp_exchange_attempt_failed(x, stale ? DP_OUTCOME_STALE : DP_OUTCOME_NO_ANSWER,
                                   err ? err : DP_ECLOSED);
        return;
    }
    if (!err && dp_reader_eof(x->up->reader) == DP_READ_DONE) {
        if (pass_piece(x, none, NULL, 0, DP_READ_DONE))
            after_pieces(x, DP_READ_DONE, false);
        return;
    }
    dp_exchange_attempt_failed(x, DP_OUTCOME_TRUNCATED, DP_ETRUNCATED);
}
