/* Whether a client is slow is seen in what it sends, and in what of an answer its kernel has acknowledged. Our own
 * kernel takes megabytes at once and then nothing for as long as a slow link needs for a third of them, so that it took
 * nothing proves nothing. What it took is free to know, what was acknowledged costs a system call: the latter is asked
 * for only where the former says "slow". */
#include "proxy/patience.h"

#include "proxy/conn.h"
#include "proxy/exchange.h"

static uint64_t taken_by_kernel(const struct dp_conn *c)
{
    return dp_stream_written(c->stream) - dp_stream_pending(c->stream);
}

static void begin(struct dp_conn *c, struct dp_meter *m)
{
    const bool body = c->patience.what == DP_AWAIT_BODY;
    *m = (struct dp_meter){.mark = body ? c->exchange->body_bytes : taken_by_kernel(c)};
}

/* Have at least `bytes` moved? If so, or if it takes a closer look that begins now, the meter has begun anew. */
static bool moved(struct dp_conn *c, struct dp_meter *m, uint64_t bytes)
{
    const bool body = c->patience.what == DP_AWAIT_BODY;
    uint64_t now = body ? c->exchange->body_bytes : taken_by_kernel(c);
    if (m->acked)
        now = dp_stream_taken(c->stream);
    const bool enough = now - m->mark >= bytes;
    if (body || m->acked || enough) {
        m->mark = now;
        return enough;
    }
    *m = (struct dp_meter){dp_stream_taken(c->stream), true};
    return true;
}

/* A feed may be as slow as its reader likes. */
static bool has_rate(const struct dp_conn *c)
{
    return c->engine->least_in_window > 0 && !(c->patience.what == DP_AWAIT_ROOM && c->exchange &&
                                               c->exchange->couch.feed != DP_FEED_NONE);
}

static void window_ends(struct dp_timer *t)
{
    struct dp_conn *c = DP_CONTAINER_OF(t, struct dp_conn, patience.rate);
    if (moved(c, &c->patience.moved_in_window, c->engine->least_in_window))
        dp_engine_wait(c->engine, t, DP_WAIT_RATE);
    else
        dp_conn_too_slow(c);
}

void dp_patience_init(struct dp_conn *c)
{
    c->patience = (struct dp_patience){.what = DP_AWAIT_NOTHING};
    dp_timer_init(&c->patience.rate, window_ends);
}

void dp_patience_await(struct dp_conn *c, enum dp_awaited what)
{
    struct dp_patience *p = &c->patience;
    if (what == DP_AWAIT_BODY && c->exchange->up_paused)
        what = DP_AWAIT_ROOM;
    const bool anew = p->what != what;
    p->what = what;
    dp_engine_wait(c->engine, &c->timer, DP_WAIT_BODY);
    if (what == DP_AWAIT_ROOM)
        begin(c, &p->moved_since_silence);
    if (!anew)
        return;
    dp_timer_disarm(&p->rate);
    if (has_rate(c)) {
        begin(c, &p->moved_in_window);
        dp_engine_wait(c->engine, &p->rate, DP_WAIT_RATE);
    }
}

void dp_patience_end(struct dp_conn *c)
{
    c->patience.what = DP_AWAIT_NOTHING;
    dp_timer_disarm(&c->timer);
    dp_timer_disarm(&c->patience.rate);
}

bool dp_patience_still_taking(struct dp_conn *c)
{
    if (c->patience.what != DP_AWAIT_ROOM || !moved(c, &c->patience.moved_since_silence, 1))
        return false;
    dp_engine_wait(c->engine, &c->timer, DP_WAIT_BODY);
    return true;
}
