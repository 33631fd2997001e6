/* The connection below stays open and unread, so that closing it ends both by the loop, as a stream's end must. */
#include "proxy/mute.h"

#include "davenport/base/attr.h"

#include <stdlib.h>

struct mute {
    struct dp_stream base; /* first */
    struct dp_stream *lower;
    uint64_t written;
};

static struct mute *mute_of(struct dp_stream *s)
{
    return DP_CONTAINER_OF(s, struct mute, base);
}

static void nothing(struct dp_stream *s)
{
    (void)s;
}

static enum dp_err swallow(struct dp_stream *s, const struct dp_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mute_of(s)->written += spans[i].n;
    return DP_OK;
}

static size_t pending(const struct dp_stream *s)
{
    (void)s;
    return 0;
}

static uint64_t written(const struct dp_stream *s)
{
    return ((const struct mute *)s)->written;
}

static void close_both(struct dp_stream *s, bool reset)
{
    dp_stream_close(mute_of(s)->lower, reset);
}

static const struct dp_stream_ops ops = {
    .read_start = nothing,
    .read_stop = nothing,
    .write = swallow,
    .pending = pending,
    .shutdown = nothing,
    .close = close_both,
    .written = written,
};

/* What the connection below still says is not heard. */

static void drop_read(void *owner, const char *p, size_t n)
{
    (void)owner;
    (void)p;
    (void)n;
}

static void drop_end(void *owner, enum dp_err err)
{
    (void)owner;
    (void)err;
}

static void drop_drain(void *owner)
{
    (void)owner;
}

static void on_close(void *owner)
{
    struct mute *m = owner;
    const struct dp_stream_events *events = m->base.events;
    void *above = m->base.owner;
    free(m);
    events->on_close(above);
}

static const struct dp_stream_events lower_events = {
    .on_read = drop_read,
    .on_end = drop_end,
    .on_drain = drop_drain,
    .on_close = on_close,
};

struct dp_stream *dp_mute_new(struct dp_stream *lower)
{
    struct mute *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->base = (struct dp_stream){&ops, lower->events, lower->owner};
    m->lower = lower;
    lower->events = &lower_events;
    lower->owner = m;
    dp_stream_read_stop(lower);
    return &m->base;
}
