/* A byte stream: TCP today, TLS over TCP next, a double in tests. The seam between protocol and
 * transport.
 *
 * Reading pushes: on_read gives bytes that are valid during the call only. Writing copies what the
 * transport does not take at once; `dp_stream_pending` tells how much waits, on_drain that it fell
 * to the low mark. No callback runs inside a call to the stream, and none after on_close. One
 * thread. */
#ifndef DAVENPORT_NET_STREAM_H
#define DAVENPORT_NET_STREAM_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

struct dp_stream;

struct dp_stream_events {
    /* Outgoing connections only, once: DP_OK, DP_ECONNECT, DP_ETIMEOUT… */
    void (*on_connect)(void *owner, enum dp_err err);
    void (*on_read)(void *owner, const char *p, size_t n);
    /* Nothing more will be read. DP_OK: the peer finished its side; else ERESET, EIO. */
    void (*on_end)(void *owner, enum dp_err err);
    /* What waits to be written fell to the low mark or a write failed (pending is 0 then, and the
     * next dp_stream_write says why). */
    void (*on_drain)(void *owner);
    /* The last call: the stream is gone, the owner may free itself. */
    void (*on_close)(void *owner);
};

struct dp_stream_ops {
    void (*read_start)(struct dp_stream *s);
    void (*read_stop)(struct dp_stream *s);
    enum dp_err (*write)(struct dp_stream *s, const struct dp_span *spans, size_t n);
    size_t (*pending)(const struct dp_stream *s);
    void (*last)(struct dp_stream *s); /* or NULL */
    void (*shutdown)(struct dp_stream *s);
    void (*close)(struct dp_stream *s, bool reset);
    /* See dp_stream_written, dp_stream_reached. */
    uint64_t (*written)(const struct dp_stream *s);
    bool (*reached)(const struct dp_stream *s, uint64_t mark);
    /* See dp_stream_taken. NULL: our own kernel's word is all there is. */
    uint64_t (*taken)(const struct dp_stream *s);
};

/* Head of every implementation's struct. */
struct dp_stream {
    const struct dp_stream_ops *ops;
    const struct dp_stream_events *events;
    void *owner;
};

/* Past this many waiting bytes the source should be stopped; on_drain comes at half. */
#define DP_STREAM_HIGH_BYTES ((size_t)131072)

static inline void dp_stream_read_start(struct dp_stream *s)
{
    s->ops->read_start(s);
}
/* Costs a system call with most transports: only for backpressure. */
static inline void dp_stream_read_stop(struct dp_stream *s)
{
    s->ops->read_stop(s);
}
/* Write all spans in order. What is not taken at once is copied. Errors: ERESET, ECLOSED, EIO;
 * ENOMEM when the worker's buffer cap is reached. After an error only close is allowed. */
DP_MUST_USE static inline enum dp_err dp_stream_write(struct dp_stream *s,
                                                      const struct dp_span *spans, size_t n)
{
    return s->ops->write(s, spans, n);
}
static inline size_t dp_stream_pending(const struct dp_stream *s)
{
    return s->ops->pending(s);
}
/* What is written now is the last: shutdown or close follows within this call, so that the end can travel with it. */
static inline void dp_stream_last(struct dp_stream *s)
{
    if (s->ops->last)
        s->ops->last(s);
}
/* Finish our side after what waits has been written. */
static inline void dp_stream_shutdown(struct dp_stream *s)
{
    s->ops->shutdown(s);
}
/* Let go at once; what waits is dropped. reset: tell the peer that something was cut (TCP RST),
 * where an orderly end could pass for a whole answer. on_close comes later, exactly once. */
static inline void dp_stream_close(struct dp_stream *s, bool reset)
{
    s->ops->close(s, reset);
}

/* Bytes taken by successful writes so far, pending ones included, in the transport's own count: a mark for
 * dp_stream_reached. */
static inline uint64_t dp_stream_written(const struct dp_stream *s)
{
    return s->ops->written ? s->ops->written(s) : 0;
}
/* After an orderly end (on_end with DP_OK): may the peer have received anything that was written after `mark`?
 * Its last segment acknowledged all it had by then, so false is proof, and true also means "not known". */
static inline bool dp_stream_reached(const struct dp_stream *s, uint64_t mark)
{
    return s->ops->reached ? s->ops->reached(s, mark) : true;
}

/* How many bytes the peer's kernel has acknowledged, where the transport can say, from a beginning of its own: two of
 * them have a difference, nothing else has. Costs a system call. */
static inline uint64_t dp_stream_taken(const struct dp_stream *s)
{
    return s->ops->taken ? s->ops->taken(s) : dp_stream_written(s) - dp_stream_pending(s);
}

#endif
