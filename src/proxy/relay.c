/* The request of an exchange: its bytes to the region. Nothing is gathered: what one read brought is written on in one
 * write, framed anew; what the other side does not take waits in its stream up to a mark, then the source is stopped. The
 * answer's bytes are answer.c's. */
#include "proxy/allowance.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"
#include "proxy/framed.h"
#include "proxy/tagging.h"
#include "proxy/upstream.h"

static const struct dp_span none = {NULL, 0};

static struct dp_tail request_tail(const struct dp_exchange *x, bool last)
{
    return (struct dp_tail){last, x->request.trailers};
}

static void request_sent(struct dp_exchange *x)
{
    dp_exchange_set_phase(x, DP_PHASE_AWAIT);
    x->sent_ns = dp_clock_mono_ns(x->engine->clock);
    dp_exchange_waits(x, x->sent_ns);
    if (x->couch.point)
        dp_list_push_back(&x->engine->awaited[x->endpoint], &x->awaited);
    dp_engine_wait(x->engine, &x->up->timer,
                   dp_exchange_silence(x, x->couch.partition ? DP_WAIT_PARTITION : DP_WAIT_ANSWER));
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

struct dp_span dp_relay_head(struct dp_exchange *x, const struct dp_head *h, uint16_t endpoint)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = x->view->view;
    struct dp_forward_request f = {.head = h,
                                   .config = e->config,
                                   .host = v->endpoints[endpoint].host,
                                   .ids = &x->ids,
                                   .hops_left = x->hops_left,
                                   .db = x->couch.db,
                                   .origin = dp_exchange_origin(x),
                                   .proof = dp_exchange_proof(x, endpoint),
                                   .way = {dp_conn_address(x->conn), e->client_tls}};
    if (x->tagging && h == &x->request && dp_tagging_ask(x, endpoint, &f) != DP_OK)
        return none;
    return dp_forward_request_head(&x->arena, &f);
}

enum dp_err dp_relay_write(struct dp_exchange *x, struct dp_stream *to, uint16_t endpoint)
{
    struct dp_span head = dp_relay_head(x, &x->request, endpoint);
    if (!head.p)
        return DP_ENOMEM;
    struct dp_buf_iter it = dp_buf_begin(&x->replay);
    struct dp_span spans[DP_BODY_SPANS];
    enum dp_err err;
    size_t left = x->replay.bytes;
    do {
        size_t n = 0, bytes = 0;
        while (n < DP_BODY_SPANS && dp_buf_next(&it, &spans[n]))
            bytes += spans[n++].n;
        left -= bytes;
        err = dp_write_framed(to, x->request.framing, head, spans, n,
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
    if (last)
        dp_exchange_heard(x);
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
        after_request_write(x, dp_write_framed(x->up->stream, x->request.framing, none, spans, n,
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
