#include "support/tls_pipe.h"

#include "support/nomem.h"

#include <stdlib.h>
#include <string.h>

struct tls_pipe_end {
    struct dp_stream stream; /* first */
    struct tls_pipe *pipe;
    int which;
    char *bytes; /* written, not delivered yet */
    size_t n, cap;
    bool reading, closing, end_told, drain_due;
    enum dp_err err; /* of every further write */
};

static struct tls_pipe_end *end_of(struct dp_stream *s)
{
    return (struct tls_pipe_end *)(void *)s;
}

static void pipe_read_start(struct dp_stream *s)
{
    end_of(s)->reading = true;
}

static void pipe_read_stop(struct dp_stream *s)
{
    end_of(s)->reading = false;
}

static void append(struct tls_pipe_end *e, const char *p, size_t n)
{
    if (n > e->cap - e->n) {
        e->cap = 2 * (e->n + n);
        nomem_pause();
        e->bytes = realloc(e->bytes, e->cap);
        nomem_resume();
        if (!e->bytes)
            abort();
    }
    if (n > 0)
        memcpy(e->bytes + e->n, p, n);
    e->n += n;
}

static enum dp_err pipe_write(struct dp_stream *s, const struct dp_span *spans, size_t n)
{
    struct tls_pipe_end *e = end_of(s);
    struct tls_pipe *p = e->pipe;
    size_t before = e->n;
    if (e->err)
        return e->err;
    if (e->closing || p->finished[e->which])
        return DP_ECLOSED;
    for (size_t i = 0; i < n; i++) {
        if (p->sent[e->which] + e->n + spans[i].n > p->room[e->which]) {
            e->err = DP_ENOMEM;
            return e->err;
        }
        append(e, spans[i].p, spans[i].n);
    }
    p->calls[e->which] += e->n > before;
    return DP_OK;
}

static size_t pipe_pending(const struct dp_stream *s)
{
    return ((const struct tls_pipe_end *)(const void *)s)->n;
}

static void pipe_shutdown(struct dp_stream *s)
{
    end_of(s)->pipe->finished[end_of(s)->which] = true;
}

static void pipe_close(struct dp_stream *s, bool reset)
{
    struct tls_pipe_end *e = end_of(s);
    if (e->closing)
        return;
    e->closing = true;
    e->n = 0;
    e->pipe->was_reset[e->which] = reset;
    e->pipe->finished[e->which] = true;
}

static const struct dp_stream_ops ops = {
    .read_start = pipe_read_start,
    .read_stop = pipe_read_stop,
    .write = pipe_write,
    .pending = pipe_pending,
    .shutdown = pipe_shutdown,
    .close = pipe_close,
};

void tls_pipe_init(struct tls_pipe *p)
{
    *p = (struct tls_pipe){.cut_at = {TLS_PIPE_NEVER, TLS_PIPE_NEVER},
                           .room = {TLS_PIPE_NEVER, TLS_PIPE_NEVER}};
    for (int i = 0; i < 2; i++) {
        nomem_pause();
        p->end[i] = calloc(1, sizeof(*p->end[i]));
        nomem_resume();
        if (!p->end[i])
            abort();
        p->end[i]->stream.ops = &ops;
        p->end[i]->pipe = p;
        p->end[i]->which = i;
    }
}

void tls_pipe_fini(struct tls_pipe *p)
{
    tls_pipe_run(p, TLS_PIPE_NEVER);
    if (p->end[0] || p->end[1])
        abort();
}

struct dp_stream *tls_pipe_stream(struct tls_pipe *p, int which)
{
    return &p->end[which]->stream;
}

static void tell_end(struct tls_pipe_end *to, enum dp_err err)
{
    to->end_told = true;
    if (err)
        to->err = err;
    to->stream.events->on_end(to->stream.owner, err);
}

/* How `to` hears that nothing more comes from `from`; false: not now. */
static bool deliver_end(struct tls_pipe *p, int from, struct tls_pipe_end *to)
{
    const struct tls_pipe_end *e = p->end[from];
    if (to->end_told || !to->reading)
        return false;
    if (p->sent[from] >= p->cut_at[from]) {
        if (p->cut_err && p->end[from])
            p->end[from]->err = p->cut_err;
        tell_end(to, p->cut_err);
        return true;
    }
    if (p->was_reset[from] || (p->finished[from] && (!e || e->n == 0))) {
        tell_end(to, p->was_reset[from] ? DP_ERESET : DP_OK);
        return true;
    }
    return false;
}

/* Bytes from an end to the other; false: none to deliver. */
static bool deliver_bytes(struct tls_pipe *p, int from, struct tls_pipe_end *to, size_t max)
{
    struct tls_pipe_end *e = p->end[from];
    size_t n = e ? e->n : 0;
    if (p->cut_at[from] - p->sent[from] < n)
        n = p->cut_at[from] - p->sent[from];
    if (n > max)
        n = max;
    if (n > 65536)
        n = 65536; /* as a socket's read */
    if (n == 0 || !to->reading || to->end_told)
        return false;
    nomem_pause();
    char *copy = malloc(n); /* valid during the call only */
    nomem_resume();
    if (!copy)
        abort();
    memcpy(copy, e->bytes, n);
    memmove(e->bytes, e->bytes + n, e->n - n);
    e->n -= n;
    e->drain_due = e->n <= DP_STREAM_HIGH_BYTES / 2;
    p->sent[from] += n;
    to->stream.events->on_read(to->stream.owner, copy, n);
    free(copy);
    return true;
}

static bool step_from(struct tls_pipe *p, int from, size_t max)
{
    struct tls_pipe_end *to = p->end[1 - from];
    bool open = to && !to->closing;
    if (p->end[from] && p->end[from]->closing) {
        struct tls_pipe_end *e = p->end[from];
        e->stream.events->on_close(e->stream.owner);
        p->end[from] = NULL;
        free(e->bytes);
        free(e);
        return true;
    }
    if (open && deliver_bytes(p, from, to, max))
        return true;
    if (p->end[from] && p->end[from]->drain_due) {
        p->end[from]->drain_due = false;
        if (p->end[from]->n <= DP_STREAM_HIGH_BYTES / 2) { /* nothing was written meanwhile */
            p->end[from]->stream.events->on_drain(p->end[from]->stream.owner);
            return true;
        }
    }
    return open && deliver_end(p, from, to);
}

bool tls_pipe_step(struct tls_pipe *p, size_t max)
{
    bool a = step_from(p, 0, max);
    bool b = step_from(p, 1, max);
    return a || b;
}

void tls_pipe_run(struct tls_pipe *p, size_t max)
{
    while (tls_pipe_step(p, max))
        continue;
}
