#include "support/tls_ends.h"

#include "davenport/net/tls.h"

#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

static char byte_at(size_t i)
{
    return (char)((i * 31 + i / 251) & 0xFF);
}

/* ---- calls, each marked as being under way ---- */

void tls_end_close(struct tls_end *e)
{
    e->in_call = true;
    e->closed_by_us = true;
    dp_stream_close(e->s, e->reset);
    e->in_call = false;
}

void tls_end_read_start(struct tls_end *e)
{
    e->in_call = true;
    dp_stream_read_start(e->s);
    e->in_call = false;
}

void tls_end_shutdown(struct tls_end *e)
{
    e->in_call = true;
    dp_stream_shutdown(e->s);
    e->in_call = false;
}

enum dp_err tls_end_write_spans(struct tls_end *e, const struct dp_span *spans, size_t n)
{
    e->in_call = true;
    enum dp_err err = dp_stream_write(e->s, spans, n);
    e->in_call = false;
    return err;
}

enum dp_err tls_end_write(struct tls_end *e, size_t n)
{
    nomem_pause();
    char *p = malloc(n > 0 ? n : 1);
    nomem_resume();
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(e->written + i);
    const struct dp_span span = {p, n};
    enum dp_err err = tls_end_write_spans(e, &span, 1);
    free(p); /* what was not taken must have been copied */
    if (err == DP_OK)
        e->written += n;
    return err;
}

/* ---- events ---- */

static void check_event(const struct tls_end *e)
{
    assert_false(e->in_call);
    assert_false(e->closed_by_us);
    assert_int_equal(e->closes, 0);
    assert_int_equal(ERR_peek_error(), 0);
}

static void note_failure(struct tls_end *e)
{
    if (e->tls)
        (void)snprintf(e->text, sizeof(e->text), "%s", dp_tls_last_error(e->tls));
}

static void on_connect(void *owner, enum dp_err err)
{
    struct tls_end *e = owner;
    check_event(e);
    e->connects++;
    e->connect_err = err;
    if (err)
        note_failure(e);
    if (!err && e->write_on_connect > 0)
        assert_int_equal(tls_end_write(e, e->write_on_connect), DP_OK);
    if (!err && !e->lazy)
        tls_end_read_start(e);
    if (e->close_on_connect)
        tls_end_close(e);
}

static void on_read(void *owner, const char *p, size_t n)
{
    struct tls_end *e = owner;
    check_event(e);
    assert_int_equal(e->ends, 0);
    assert_in_range(n, 1, DP_READ_BYTES);
    for (size_t i = 0; i < n; i++, e->received++) {
        if (p[i] != byte_at(e->received))
            fail_msg("byte %zu is wrong", e->received);
    }
    e->reads++;
    if (e->echo) {
        const struct dp_span span = {p, n};
        enum dp_err err = tls_end_write_spans(e, &span, 1);
        e->echo = err == DP_OK; /* the other may be gone */
    }
    if (e->stop_on_read)
        dp_stream_read_stop(e->s);
    if (e->close_on_read)
        tls_end_close(e);
}

static void on_end(void *owner, enum dp_err err)
{
    struct tls_end *e = owner;
    check_event(e);
    assert_int_equal(e->ends, 0);
    e->ends++;
    e->end_err = err;
    if (err)
        note_failure(e);
    if (e->close_on_end)
        tls_end_close(e);
}

static void on_drain(void *owner)
{
    struct tls_end *e = owner;
    check_event(e);
    assert_true(dp_stream_pending(e->s) <= DP_STREAM_HIGH_BYTES / 2);
    e->drains++;
    if (e->close_on_drain) {
        tls_end_close(e);
        return;
    }
    while (e->written < e->to_write && dp_stream_pending(e->s) <= DP_STREAM_HIGH_BYTES)
        assert_int_equal(tls_end_write(e, 50000), DP_OK);
}

static void on_close(void *owner)
{
    struct tls_end *e = owner;
    assert_false(e->in_call);
    assert_int_equal(e->closes, 0);
    e->closes++;
    e->s = NULL;
}

const struct dp_stream_events tls_end_events = {on_connect, on_read, on_end, on_drain, on_close};

/* ---- pairs ---- */

static bool begin(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server)
{
    struct dp_stream *const lower[] = {tls_pipe_stream(&p->pipe, 0), tls_pipe_stream(&p->pipe, 1)};
    p->client.tls = client;
    p->server.tls = server;
    p->client.in_call = p->server.in_call = true;
    enum dp_err a = dp_tls_accept(server, lower[1], &tls_end_events, &p->server, &p->server.s);
    enum dp_err b = dp_tls_connect(client, lower[0], &tls_end_events, &p->client, &p->client.s);
    p->client.in_call = p->server.in_call = false;
    assert_true((a == DP_OK || a == DP_ENOMEM) && (b == DP_OK || b == DP_ENOMEM));
    /* where it failed there is no stream, and nobody is told of its end */
    assert_int_equal(a == DP_OK, p->server.s != NULL);
    assert_int_equal(b == DP_OK, p->client.s != NULL);
    p->server.closes = a != DP_OK;
    p->client.closes = b != DP_OK;
    if (p->server.s)
        tls_end_read_start(&p->server);
    return !a && !b;
}

bool tls_pair_start_with(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server,
                         int which, size_t room)
{
    memset(p, 0, sizeof(*p));
    tls_pipe_init(&p->pipe);
    p->pipe.room[which] = room;
    return begin(p, client, server);
}

bool tls_pair_try(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server)
{
    return tls_pair_start_with(p, client, server, 0, TLS_PIPE_NEVER);
}

void tls_pair_start(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server)
{
    assert_true(tls_pair_start_with(p, client, server, 0, TLS_PIPE_NEVER));
}

void tls_pair_run(struct tls_pair *p, size_t max)
{
    tls_pipe_run(&p->pipe, max);
}

void tls_pair_stop(struct tls_pair *p)
{
    struct tls_end *const ends[] = {&p->client, &p->server};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->s && !ends[i]->closed_by_us)
            tls_end_close(ends[i]);
    }
    tls_pipe_fini(&p->pipe);
    assert_int_equal(p->client.closes, 1);
    assert_int_equal(p->server.closes, 1);
}
