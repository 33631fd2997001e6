/* The bytes of one exchange: the request to the region, the answer to the client. Nothing is
 * gathered: what one read brought is written on in one write, framed anew; what the other side does
 * not take waits in its stream up to a mark, then the source is stopped. */
#include "davenport/couch/appended.h"
#include "davenport/http/writer.h"

#include "proxy/allowance.h"
#include "proxy/exchange.h"
#include "proxy/feed_end.h"
#include "proxy/forward.h"
#include "proxy/route.h"
#include "proxy/upstream.h"

/* Pieces of a body in one write; the kernel's own limit is far above. */
#define BODY_SPANS 32
/* 1xx answers before the final one. */
#define MAX_INTERIM 16
/* A head, a chunk's head and end, the last chunk. */
#define FRAME_SPANS 5

static const struct dp_span none = {NULL, 0};
static const struct dp_span crlf = DP_SPAN_INIT("\r\n");
static const struct dp_span last_chunk = DP_SPAN_INIT("0\r\n\r\n");
static const struct dp_span crlf_last_chunk = DP_SPAN_INIT("\r\n0\r\n\r\n");

/* What stands behind the spans of one write. */
struct tail {
    bool last;               /* the body ends with them */
    struct dp_span trailers; /* then, if it is chunked */
};

/* Write body spans (any number up to BODY_SPANS) with `head` before them, framed. */
static enum dp_err write_framed(struct dp_stream *s, enum dp_framing framing, struct dp_span head,
                                const struct dp_span *spans, size_t n, struct tail tail)
{
    struct dp_span out[BODY_SPANS + FRAME_SPANS];
    char chunk_head[DP_CHUNK_HEAD_BYTES];
    size_t k = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += spans[i].n;
    if (head.n > 0)
        out[k++] = head;
    bool chunked = framing == DP_FRAMING_CHUNKED;
    if (chunked && bytes > 0)
        out[k++] = (struct dp_span){chunk_head, dp_chunk_head(chunk_head, bytes)};
    for (size_t i = 0; i < n; i++)
        out[k++] = spans[i];
    if (chunked && bytes > 0)
        out[k++] = tail.last ? crlf_last_chunk : crlf;
    else if (chunked && tail.last)
        out[k++] = last_chunk;
    if (chunked && tail.last && tail.trailers.n > 0) { /* before the empty line */
        out[k - 1].n -= crlf.n;
        out[k++] = tail.trailers;
        out[k++] = crlf;
    }
    return k > 0 ? dp_stream_write(s, out, k) : DP_OK;
}

static enum dp_wait silence(const struct dp_exchange *x, enum dp_wait otherwise)
{
    return x->couch.feed != DP_FEED_NONE ? DP_WAIT_FEED : otherwise;
}

/* ---- the request ---- */

static struct tail request_tail(const struct dp_exchange *x, bool last)
{
    return (struct tail){last, x->request.trailers};
}

static void request_sent(struct dp_exchange *x)
{
    dp_exchange_set_phase(x, DP_PHASE_AWAIT);
    x->sent_ns = dp_clock_mono_ns(x->engine->clock);
    if (x->couch.point)
        dp_list_push_back(&x->engine->awaited[x->endpoint], &x->awaited);
    dp_engine_wait(x->engine, &x->up->timer, silence(x, DP_WAIT_ANSWER));
}

/* The client holds its body back until the region wants it. */
static bool holds_body_back(const struct dp_exchange *x)
{
    return x->request.expect_continue && x->body_bytes == 0 && !x->request_complete;
}

/* It is the region that we wait for. */
static bool waits_for_100(const struct dp_exchange *x)
{
    return holds_body_back(x) && x->conn->patience.what == DP_AWAIT_NOTHING;
}

/* After a write to the region: did it fail, is it slow? */
static void after_request_write(struct dp_exchange *x, enum dp_err err)
{
    struct dp_engine *e = x->engine;
    if (err == DP_ENOMEM) {
        dp_exchange_refuse(x, err);
        return;
    }
    /* A write that failed at once sent nothing; a head whose body is held back is a question only. */
    if (!holds_body_back(x))
        x->wrote_any = x->wrote_any || dp_stream_written(x->up->stream) > x->sent_mark || !err;
    if (err) {
        /* The region closed while we wrote. It may have answered first (a 401 to a big PUT), so the
         * reading side decides: its end comes at once. */
        x->send_failed = true;
        dp_engine_wait(e, &x->up->timer, DP_WAIT_STALL);
        return;
    }
    if (x->request_complete) {
        if (x->phase == DP_PHASE_SEND)
            request_sent(x);
        return;
    }
    if (dp_stream_pending(x->up->stream) > DP_STREAM_HIGH_BYTES) {
        dp_conn_hold(x->conn, true);
        dp_patience_end(x->conn); /* it is we who do not read */
        dp_engine_wait(e, &x->up->timer, DP_WAIT_STALL);
    } else if (x->conn->held) {
        dp_conn_hold(x->conn, false);
        dp_patience_await(x->conn, DP_AWAIT_BODY);
    } else if (waits_for_100(x)) {
        dp_engine_wait(e, &x->up->timer, DP_WAIT_ANSWER);
    }
}

static void forget_replay(struct dp_exchange *x)
{
    dp_buf_clear(&x->replay);
    x->body_replayable = false;
}

enum dp_err dp_relay_write(struct dp_exchange *x, struct dp_stream *to, uint16_t endpoint)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = x->view->view;
    const struct dp_forward_request f = {.head = &x->request,
                                         .config = e->config,
                                         .host = v->endpoints[endpoint].host,
                                         .ids = &x->ids,
                                         .hops_left = x->hops_left,
                                         .way = {dp_conn_address(x->conn), e->client_tls}};
    struct dp_span head = dp_forward_request_head(&x->arena, &f);
    if (!head.p)
        return DP_ENOMEM;
    struct dp_buf_iter it = dp_buf_begin(&x->replay);
    struct dp_span spans[BODY_SPANS];
    enum dp_err err;
    size_t left = x->replay.bytes;
    do {
        size_t n = 0, bytes = 0;
        while (n < BODY_SPANS && dp_buf_next(&it, &spans[n]))
            bytes += spans[n++].n;
        left -= bytes;
        err = write_framed(to, x->request.framing, head, spans, n,
                           request_tail(x, left == 0 && x->request_complete));
        head.n = 0;
    } while (!err && left > 0);
    return err;
}

void dp_relay_send(struct dp_exchange *x)
{
    const enum dp_err err = dp_relay_write(x, x->up->stream, x->endpoint);
    if (!err && x->replay.bytes > x->engine->config->replay_body_bytes)
        forget_replay(x);
    after_request_write(x, err);
}

/* Keep what is needed for sending it again, or before it could be sent at all. */
static enum dp_err keep_body(struct dp_exchange *x, const struct dp_span *spans, size_t n,
                             size_t bytes, bool sending)
{
    if (!x->body_replayable)
        return DP_OK;
    if (sending && x->replay.bytes + bytes > x->engine->config->replay_body_bytes) {
        forget_replay(x);
        return DP_OK;
    }
    for (size_t i = 0; i < n; i++) {
        enum dp_err err = dp_buf_append(&x->replay, spans[i].p, spans[i].n);
        if (err)
            return err;
    }
    if (!sending && x->replay.bytes >= x->engine->config->replay_body_bytes) {
        dp_conn_hold(x->conn, true);
        dp_patience_end(x->conn);
    }
    return DP_OK;
}

void dp_exchange_body(struct dp_exchange *x, const struct dp_span *spans, size_t n, bool last)
{
    uint64_t max = x->engine->config->max_body_bytes;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += spans[i].n;
    if (x->up && x->body_bytes == 0 && x->request.expect_continue)
        dp_timer_disarm(&x->up->timer); /* it did not wait any longer */
    x->body_bytes += bytes;
    x->request_complete = last;
    dp_counter_add(&x->engine->traffic->body_bytes_in, bytes);
    if (max > 0 && x->body_bytes > max) {
        x->request_complete = false; /* nobody knows where it ends any more */
        dp_exchange_refuse(x, DP_EBODYSIZE);
        return;
    }
    bool sending = x->up != NULL;
    if (keep_body(x, spans, n, bytes, sending) != DP_OK) {
        x->request_complete = false;
        dp_exchange_refuse(x, DP_ENOMEM);
        return;
    }
    if (sending && !x->send_failed)
        after_request_write(x, write_framed(x->up->stream, x->request.framing, none, spans, n,
                                            request_tail(x, last)));
}

void dp_exchange_up_drained(struct dp_exchange *x)
{
    if (!x->conn->held || dp_stream_pending(x->up->stream) > DP_STREAM_HIGH_BYTES / 2)
        return;
    if (x->phase == DP_PHASE_SEND || x->up_paused) /* it is the client's turn */
        dp_timer_disarm(&x->up->timer);
    dp_conn_hold(x->conn, false);
    dp_patience_await(x->conn, DP_AWAIT_BODY);
}

/* ---- the answer ---- */

/* Fields behind the body are for a client that said it takes them (RFC 9110 6.5.1) and where there is a place for them:
 * not in a body of a length. */
static bool passes_trailers(const struct dp_exchange *x)
{
    return x->out == DP_FRAMING_CHUNKED && x->request.te_trailers;
}

static struct tail answer_tail(const struct dp_exchange *x, bool last)
{
    return (struct tail){last, passes_trailers(x) ? x->response.trailers : none};
}

/* After a write to the client: is it gone, is it slow? False when the exchange is over. */
static bool after_answer_write(struct dp_exchange *x, enum dp_err err)
{
    if (err) {
        dp_exchange_client_gone(x);
        return false;
    }
    if (!x->up_paused && dp_stream_pending(x->conn->stream) > DP_STREAM_HIGH_BYTES) {
        x->up_paused = true;
        dp_stream_read_stop(x->up->stream);
        dp_timer_disarm(&x->up->timer);
        dp_patience_await(x->conn, DP_AWAIT_ROOM);
    }
    return true;
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
    x->up_paused = false;
    dp_patience_end(x->conn);
    dp_engine_wait(x->engine, &x->up->timer, silence(x, DP_WAIT_STALL));
    dp_stream_read_start(x->up->stream);
}

static void remember_tail(struct dp_exchange *x, struct dp_span s)
{
    if (s.n >= 2) {
        x->tail[0] = s.p[s.n - 2];
        x->tail[1] = s.p[s.n - 1];
    } else if (s.n == 1) {
        x->tail[0] = x->tail[1];
        x->tail[1] = s.p[0];
    }
}

/* Between two lines of a continuous feed, between two events of an eventsource. */
static bool at_boundary(const struct dp_exchange *x)
{
    bool nothing_yet = x->tail[1] == '\0';
    switch (x->couch.feed) {
    case DP_FEED_CONTINUOUS:
        return nothing_yet || x->tail[1] == '\n';
    case DP_FEED_EVENTSOURCE:
        return nothing_yet || (x->tail[0] == '\n' && x->tail[1] == '\n');
    case DP_FEED_LONGPOLL:
    case DP_FEED_NONE:
        return false;
    }
    return false;
}

void dp_relay_end_feed(struct dp_exchange *x, bool dead)
{
    if (!x->up) { /* it broke: nobody knows what was to come */
        dp_exchange_cut(x);
        return;
    }
    bool can_wait = x->couch.feed == DP_FEED_CONTINUOUS || x->couch.feed == DP_FEED_EVENTSOURCE;
    if (!dead && can_wait && !at_boundary(x)) {
        x->feed_ending = true;
        return;
    }
    dp_counter_add(&x->engine->traffic->feeds_ended, 1);
    dp_exchange_count(x, DP_OUTCOME_ABANDONED);
    x->end = DP_END_FEED_ENDED;
    if (x->out == DP_FRAMING_CHUNKED && at_boundary(x) &&
        dp_stream_write(x->conn->stream, &last_chunk, 1) != DP_OK)
        dp_conn_abort(x->conn, true);
    else
        dp_exchange_cut(x);
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

/* Body bytes as they come, with `head` before the first of them. */
static void relay_body(struct dp_exchange *x, struct dp_span head, const char *p, size_t n)
{
    struct dp_span spans[BODY_SPANS];
    enum dp_read r;
    do {
        size_t used = 0, k = 0;
        r = dp_reader_body(x->up->reader, p, n, &used, spans, BODY_SPANS, &k);
        p += used;
        n -= used;
        size_t bytes = 0;
        bool broke = ends_in_error(x, spans, &k, r);
        for (size_t i = 0; i < k; i++)
            bytes += spans[i].n;
        x->sent_bytes += bytes;
        dp_counter_add(&x->engine->traffic->body_bytes_out, bytes);
        if (x->couch.feed != DP_FEED_NONE && k > 0)
            remember_tail(x, spans[k - 1]);
        if (r == DP_READ_DONE && !x->keep)
            dp_stream_last(x->conn->stream);
        if (!after_answer_write(x, write_framed(x->conn->stream, x->out, head, spans, k,
                                                answer_tail(x, r == DP_READ_DONE && !broke))))
            return;
        if (broke) {
            dp_exchange_attempt_failed(x, DP_OUTCOME_SERVER_ERROR, DP_ETRUNCATED);
            return;
        }
        head.n = 0;
    } while (r == DP_READ_MORE && n > 0);
    if (r == DP_READ_DONE)
        dp_exchange_finish(x, n == 0);
    else if (r == DP_READ_FAILED)
        answer_unreadable(x, DP_OUTCOME_TRUNCATED);
    else if (x->feed_ending && at_boundary(x))
        dp_relay_end_feed(x, false);
    else if (!x->up_paused)
        dp_engine_wait(x->engine, &x->up->timer, silence(x, DP_WAIT_STALL));
}

static void count_first_byte(struct dp_exchange *x)
{
    if (x->phase != DP_PHASE_AWAIT)
        return; /* it came before the request was out: says nothing of how fast the region is */
    uint64_t ns = dp_clock_mono_ns(x->engine->clock) - x->sent_ns;
    struct dp_traffic_endpoint *t = &x->engine->traffic->endpoints[x->endpoint];
    unsigned bucket = dp_latency_bucket(ns);
    dp_counter_add(&t->first_byte[bucket], 1);
    if (x->couch.point) {
        dp_counter_add(&t->point_first_byte[bucket], 1);
        dp_route_took(x, ns);
    }
    dp_counter_add(&t->first_byte_ns, ns);
    x->first_byte_ns = ns;
}

/* The final head is there: from here on there is no other attempt. */
static void commit(struct dp_exchange *x, const char *p, size_t n)
{
    uint8_t minor = x->request.minor;
    x->out = dp_forward_framing(&x->response, minor);
    x->keep = x->request.keep_alive && x->request_complete && x->out != DP_FRAMING_CLOSE &&
              !x->engine->draining && !dp_conn_spent(x->conn);
    const struct dp_forward_response f = {
        .head = &x->response,
        .framing = x->out,
        .client_minor = minor,
        .keep_alive = x->keep,
        .trailers = passes_trailers(x),
        .date = dp_head_has(&x->response, DP_HEADER_DATE) ? none : dp_engine_date(x->engine),
        .request_id = x->ids.request_id,
        .via = x->engine->config->via_answers ? x->engine->config->via : NULL,
    };
    struct dp_span head = dp_forward_response_head(&x->arena, &f);
    if (!head.p) {
        dp_exchange_refuse(x, DP_ENOMEM);
        return;
    }
    count_first_byte(x);
    dp_exchange_count_answer(x, x->response.status);
    x->committed = true;
    dp_allowance_return(x);
    if (x->deadline.fire)
        dp_timer_disarm(&x->deadline);
    dp_exchange_set_phase(x, DP_PHASE_STREAM);
    if (x->couch.feed != DP_FEED_NONE) {
        dp_counter_add(&x->engine->traffic->feeds_active, 1);
        dp_feed_begun(x);
    }
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

/* Bytes that lay in the socket before the request went out on it can't be its answer: the region sent them behind
 * the one before. They are noticed as long as none of the request could be sent, and in the turn of the loop that
 * sent it, as nothing of it was acknowledged. */
static bool is_stray(const struct dp_exchange *x)
{
    const struct dp_stream *s = x->up->stream;
    if (!x->conn_reused || x->response_begun)
        return false;
    return dp_stream_written(s) <= x->sent_mark + dp_stream_pending(s) ||
           (x->sent_turn == x->engine->turns && !dp_stream_reached(s, x->sent_mark));
}

void dp_exchange_up_read(struct dp_exchange *x, const char *p, size_t n)
{
    if (x->committed) {
        relay_body(x, none, p, n);
        return;
    }
    if (is_stray(x)) {
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
        if (x->response.status == 429 && dp_exchange_declined(x))
            return;
        if (x->response.status == 404 && dp_route_may_leave_trial(x)) {
            /* It serves, but it was away and may lack what others have. */
            dp_exchange_attempt_failed(x, DP_OUTCOME_ANSWERED, DP_ENOREGION);
            return;
        }
        if (x->response.status >= 200) {
            commit(x, p, n);
            return;
        }
        if (!pass_interim(x))
            return;
    }
}

void dp_exchange_up_end(struct dp_exchange *x, enum dp_err err)
{
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
        if (after_answer_write(
                x, write_framed(x->conn->stream, x->out, none, NULL, 0, answer_tail(x, true))))
            dp_exchange_finish(x, false);
        return;
    }
    dp_exchange_attempt_failed(x, DP_OUTCOME_TRUNCATED, DP_ETRUNCATED);
}
