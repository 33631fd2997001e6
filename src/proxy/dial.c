/* Carries out a race of addresses over streams.
 *
 * Invariant: until it is over, at least one stream is open and undecided; so the end always comes from the loop,
 * and `gone` after the last on_close. */
#include "proxy/dial.h"

#include "davenport/base/attr.h"
#include "davenport/net/timer.h"

#include "proxy/engine.h"
#include "proxy/pool.h"
#include "proxy/race.h"

#include <assert.h>
#include <stdlib.h>

struct attempt {
    struct dp_dial *dial;
    struct dp_stream *stream; /* NULL: not begun, failed, or handed over */
};

struct dp_dial {
    struct dp_pool *pool;
    const struct dp_dial_events *events; /* NULL: won, nobody is to be told */
    void *owner;
    struct dp_addrs addrs; /* in the order of the race */
    struct dp_race race;
    struct dp_timer timer;
    struct attempt attempts[DP_MAX_ADDRS];
    unsigned open; /* streams whose on_close has not come */
    enum dp_err err;
    bool over;
};

static uint64_t now_ns(const struct dp_dial *d)
{
    return d->pool->engine->wheel.now_ns;
}

static void maybe_gone(struct dp_dial *d)
{
    struct dp_engine *e = d->pool->engine;
    const struct dp_dial_events *events = d->events;
    void *owner = d->owner;
    if (!d->over || d->open > 0)
        return;
    free(d);
    e->n_upstreams--;
    if (events)
        events->gone(owner);
}

static void finish(struct dp_dial *d)
{
    d->over = true;
    dp_timer_disarm(&d->timer);
    for (unsigned i = 0; i < DP_MAX_ADDRS; i++) {
        struct dp_stream *s = d->attempts[i].stream;
        d->attempts[i].stream = NULL;
        if (s)
            dp_stream_close(s, false);
    }
}

static const struct dp_stream_events attempt_events;

static void failed(struct dp_dial *d, uint16_t i, enum dp_err err)
{
    /* The most telling one: that somebody was there; then that we could not even ask all. */
    if (d->err != DP_ETLS && (d->err != DP_ENOMEM || err == DP_ETLS))
        d->err = err;
    if (err != DP_ENOMEM)
        dp_pool_address_failed(d->pool, &d->addrs.at[i]);
}

/* Take the race one step on, and further as long as dialing fails at once. */
static void step(struct dp_dial *d, enum dp_race_event event)
{
    struct dp_engine *e = d->pool->engine;
    uint16_t i;
    while (dp_race_step(&d->race, event, now_ns(d), &i)) {
        struct attempt *a = &d->attempts[i];
        enum dp_err err = e->dial(e->dial_ctx, d->pool->endpoint, &d->addrs.at[i], &attempt_events,
                                  a, &a->stream);
        if (!err) {
            d->open++;
            break;
        }
        a->stream = NULL;
        failed(d, i, err);
        event = DP_RACE_FAILED;
    }
    dp_timer_disarm(&d->timer);
    if (d->race.due_ns != UINT64_MAX)
        dp_engine_wait(e, &d->timer, DP_WAIT_RACE);
}

static void on_due(struct dp_timer *t)
{
    step(DP_CONTAINER_OF(t, struct dp_dial, timer), DP_RACE_DUE);
}

static void won(struct dp_dial *d, struct attempt *a)
{
    const struct dp_addr *addr = &d->addrs.at[a - d->attempts];
    struct dp_stream *s = a->stream;
    a->stream = NULL;
    d->open--;
    finish(d);
    dp_pool_address_worked(d->pool, addr);
    d->events->done(d->owner, DP_OK, s, addr);
    d->events = NULL;
    maybe_gone(d);
}

static void lost_one(struct dp_dial *d, struct attempt *a, enum dp_err err)
{
    struct dp_stream *s = a->stream;
    a->stream = NULL;
    failed(d, (uint16_t)(a - d->attempts), err);
    step(d, DP_RACE_FAILED);
    if (dp_race_lost(&d->race)) {
        finish(d);
        d->events->done(d->owner, d->err, NULL, NULL);
    }
    dp_stream_close(s, false);
}

static void on_connect(void *owner, enum dp_err err)
{
    struct attempt *a = owner;
    if (err)
        lost_one(a->dial, a, err);
    else
        won(a->dial, a);
}

static void on_close(void *owner)
{
    struct dp_dial *d = ((struct attempt *)owner)->dial;
    d->open--;
    maybe_gone(d);
}

/* Nothing is read before a stream is handed over. */
static const struct dp_stream_events attempt_events = {
    .on_connect = on_connect,
    .on_close = on_close,
};

enum dp_err dp_dial_start(struct dp_pool *pool, const struct dp_dial_events *events, void *owner,
                          struct dp_dial **out)
{
    struct dp_engine *e = pool->engine;
    struct dp_dial *d = calloc(1, sizeof(*d));
    if (!d)
        return DP_ENOMEM;
    d->pool = pool;
    d->events = events;
    d->owner = owner;
    d->err = DP_ECONNECT;
    dp_addr_book_order(&pool->book, now_ns(d), &d->addrs);
    dp_race_init(&d->race, d->addrs.n, e->config->race_delay_ms * DP_NS_PER_MS);
    dp_timer_init(&d->timer, on_due);
    for (unsigned i = 0; i < DP_MAX_ADDRS; i++)
        d->attempts[i].dial = d;
    step(d, DP_RACE_BEGIN);
    if (dp_race_lost(&d->race)) {
        enum dp_err err = d->err;
        free(d);
        return err;
    }
    e->n_upstreams++;
    *out = d;
    return DP_OK;
}

void dp_dial_cancel(struct dp_dial *d, bool timed_out)
{
    assert(!d->over);
    for (uint16_t i = 0; i < d->addrs.n && timed_out; i++) {
        if (d->attempts[i].stream)
            dp_pool_address_failed(d->pool, &d->addrs.at[i]);
    }
    finish(d);
}
