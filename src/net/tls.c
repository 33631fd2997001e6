/* TLS as a stream over a stream.
 *
 *   DIALING ──lower stands──► HANDSHAKE ──done, trusted──► OPEN ──close_notify, cut, broken──► ENDED
 *      │                          │      on_connect(OK)                  on_end                  ▲
 *      └── on_connect(its error) ─┴── on_connect(ETLS), or on_end(ETLS) when accepting ──────────┘
 *   any ──close──► CLOSED ──on_close of the lower stream──► freed
 *
 * ENDED: nothing more is read. Writing goes on if the peer finished in order; else `err` is set.
 *
 * OpenSSL talks to a BIO of ours, so that bytes are not queued anywhere on the way: it reads straight
 * from the span that the lower on_read was given (`in`, all used up before that call returns; a
 * record cut by its end stays inside OpenSSL), and what it writes gathers in the context's `out`,
 * which goes down before we return to anybody. Reading makes OpenSSL write too (key updates, alerts,
 * tickets), so `out` is drained after reading as well.
 *
 * Invariants: whenever a callback of the owner runs, `out` is empty, OpenSSL is not on the stack, and
 * the queue of OpenSSL's errors is empty. So callbacks may call anything, on this stream or on others
 * of the context. After each callback `state` is looked at anew. The struct is freed in the lower
 * stream's on_close, never earlier. */
#include "davenport/net/tls.h"

#include "net/tls_context.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* A peer that makes us answer (key updates, renegotiation) without reading the answers. */
#define MAX_UNASKED_BYTES 65536

enum state { DIALING, HANDSHAKE, OPEN, ENDED, CLOSED };

/* What came of decrypting. */
enum verdict {
    FULL,     /* the plain buffer has no room for another record: go on behind on_read */
    DRY,      /* all input is used up */
    FINISHED, /* close_notify */
    BROKEN,   /* dp_tls_last_error says why */
};

struct tls {
    struct dp_stream base; /* first */
    struct dp_stream *lower;
    struct dp_tls *ctx;
    SSL *ssl;
    struct dp_span in; /* ciphertext not yet read by OpenSSL; within the lower on_read only */
    size_t unasked;    /* bytes written because of what was read, since all was last taken */
    enum state state;
    enum dp_err err; /* sticky: why nothing can be written any more */
    bool reading;    /* the owner wants to */
    bool heard;      /* at least one byte came */
};

static struct tls *tls_of(struct dp_stream *s)
{
    return (struct tls *)(void *)s;
}

/* ---- between OpenSSL and the lower stream ---- */

/* Write what OpenSSL wrote. After an error it has nowhere to go; reading may continue. */
static void flush(struct tls *t)
{
    const struct dp_span span = {t->ctx->out, t->ctx->out_bytes};
    t->ctx->out_bytes = 0;
    if (span.n > 0 && !t->err)
        t->err = dp_stream_write(t->lower, &span, 1);
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    struct dp_tls *c = t->ctx;
    BIO_clear_retry_flags(b);
    for (size_t at = 0; n > 0 && at < (size_t)n;) {
        size_t take = sizeof(c->out) - c->out_bytes;
        if (take > (size_t)n - at)
            take = (size_t)n - at;
        memcpy(c->out + c->out_bytes, p + at, take);
        c->out_bytes += take;
        at += take;
        if (c->out_bytes == sizeof(c->out))
            flush(t);
    }
    return n;
}

static int bio_read(BIO *b, char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (t->in.n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t take = n > 0 ? (size_t)n : 0;
    if (take > t->in.n)
        take = t->in.n;
    memcpy(p, t->in.p, take);
    t->in.p += take;
    t->in.n -= take;
    return (int)take;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* done by flush(); everything else is not for us */
}

BIO_METHOD *dp_tls_bio_new(void)
{
    /* Without an index of its own: OpenSSL has only 128 of them, and contexts come and go. */
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "davenport stream");
    if (m && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* ---- reading ---- */

/* Nothing more will be read. Both may end in the owner's close. */
static void end(struct tls *t, enum dp_err err)
{
    t->state = ENDED;
    dp_stream_read_stop(t->lower);
    t->base.events->on_end(t->base.owner, err);
}

static void fail_handshake(struct tls *t)
{
    t->ctx->stats->failed++;
    t->err = DP_ETLS;
    if (t->ctx->server) {
        end(t, DP_ETLS);
        return;
    }
    t->state = ENDED;
    dp_stream_read_stop(t->lower);
    t->base.events->on_connect(t->base.owner, DP_ETLS);
}

static bool is_http11(SSL *ssl)
{
    static const char want[] = "http/1.1";
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(ssl, &p, &n);
    return n == 0 || (n == sizeof(want) - 1 && memcmp(p, want, n) == 0);
}

/* OpenSSL is content; are we? */
static void handshake_done(struct tls *t)
{
    struct dp_tls *c = t->ctx;
    if (!dp_tls_pins_match(c, t->ssl)) {
        dp_tls_say(c, "pin mismatch: the certificate's key is none of the pinned ones");
        fail_handshake(t);
        return;
    }
    if (!is_http11(t->ssl)) {
        dp_tls_say(c, "the peer chose a protocol other than http/1.1");
        fail_handshake(t);
        return;
    }
    c->stats->handshakes++;
    c->stats->resumed += (uint64_t)SSL_session_reused(t->ssl);
    dp_tls_note_peer(c, t->ssl);
    t->state = OPEN;
    if (!c->server)
        t->base.events->on_connect(t->base.owner, DP_OK);
}

enum progress { WAITING, DONE, FAILED };

/* Go on with the handshake as far as `in` reaches, and write our part of it. Calls nobody. */
static enum progress shake(struct tls *t)
{
    enum progress p = WAITING;
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        p = DONE;
    } else if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ) {
        dp_tls_explain(t->ctx, t->ssl);
        p = FAILED;
    }
    flush(t);
    if (t->err && p != FAILED) {
        dp_tls_say(t->ctx, "the connection broke during the handshake");
        p = FAILED;
    }
    return p;
}

static void handshake(struct tls *t)
{
    switch (shake(t)) {
    case WAITING:
        return;
    case DONE:
        handshake_done(t);
        return;
    case FAILED:
        fail_handshake(t);
        return;
    }
}

static enum verdict read_failed(struct tls *t)
{
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return DRY;
    case SSL_ERROR_ZERO_RETURN:
        return FINISHED;
    default: /* OpenSSL's codes, not an enum */
        dp_tls_explain(t->ctx, t->ssl);
        return BROKEN;
    }
}

/* Decrypt `in` into the plain buffer and send what OpenSSL has to answer. Calls nobody. */
static enum verdict decrypt(struct tls *t, size_t *have)
{
    struct dp_tls *c = t->ctx;
    enum verdict v = FULL;
    *have = 0;
    if (dp_stream_pending(t->lower) == 0)
        t->unasked = 0;
    ERR_clear_error();
    while (v == FULL && sizeof(c->plain) - *have >= DP_TLS_RECORD) {
        size_t n;
        if (SSL_read_ex(t->ssl, c->plain + *have, sizeof(c->plain) - *have, &n) != 1) {
            v = read_failed(t);
        } else {
            *have += n;
            if (t->in.n == 0 && !SSL_has_pending(t->ssl))
                v = DRY; /* not worth asking again */
        }
    }
    t->unasked += c->out_bytes;
    flush(t);
    if (t->unasked > MAX_UNASKED_BYTES && v != BROKEN) {
        dp_tls_say(c, "the peer asks for answers and does not read them");
        v = BROKEN;
    }
    return v;
}

static void read_records(struct tls *t)
{
    enum verdict v = FULL;
    while (v == FULL && t->state == OPEN) {
        size_t have;
        v = decrypt(t, &have);
        if (v == BROKEN)
            t->err = DP_ETLS;
        if (have > 0)
            t->base.events->on_read(t->base.owner, t->ctx->plain, have);
    }
    if (t->state != OPEN)
        return;
    if (v == FINISHED)
        end(t, DP_OK);
    else if (v == BROKEN)
        end(t, DP_ETLS);
}

static void on_lower_read(void *owner, const char *p, size_t n)
{
    struct tls *t = owner;
    bool shaking = t->state == HANDSHAKE;
    t->in = (struct dp_span){p, n};
    t->heard = true;
    if (shaking)
        handshake(t);
    if (t->state == OPEN && (t->in.n > 0 || SSL_has_pending(t->ssl)))
        read_records(t);
    if (shaking && t->state == OPEN && !t->reading)
        dp_stream_read_stop(t->lower); /* it was we who read until now */
    t->in = (struct dp_span){NULL, 0};
}

static void on_lower_end(void *owner, enum dp_err err)
{
    struct tls *t = owner;
    switch (t->state) {
    case DIALING:
    case HANDSHAKE:
        if (t->ctx->server && !t->heard) {
            t->err = DP_ECLOSED;
            end(t, err);
            return;
        }
        dp_tls_say(t->ctx, err ? "the peer reset the connection during the handshake"
                               : "the peer closed during the handshake");
        fail_handshake(t);
        return;
    case OPEN:
        dp_tls_say(t->ctx, "the connection ended without close_notify");
        end(t, err ? err : DP_ERESET);
        return;
    case ENDED:
    case CLOSED:
        return;
    }
}

/* ---- the rest of the lower stream's events ---- */

static void on_lower_connect(void *owner, enum dp_err err)
{
    struct tls *t = owner;
    if (err) {
        t->state = ENDED;
        t->err = err;
        t->base.events->on_connect(t->base.owner, err);
        return;
    }
    t->state = HANDSHAKE;
    dp_stream_read_start(t->lower);
    handshake(t);
}

static void on_lower_drain(void *owner)
{
    struct tls *t = owner;
    if (t->state == OPEN || t->state == ENDED)
        t->base.events->on_drain(t->base.owner);
}

static void tls_free(struct tls *t)
{
    /* Without close_notify OpenSSL forbids the session ever to be resumed, unless it believes that
     * there was one. HTTP has its own framing, so only what is broken loses its session. */
    if (t->ssl && t->err != DP_ETLS)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    dp_tls_unref(t->ctx);
    free(t);
}

static void on_lower_close(void *owner)
{
    struct tls *t = owner;
    t->state = CLOSED;
    t->base.events->on_close(t->base.owner);
    tls_free(t);
}

static const struct dp_stream_events lower_events = {
    .on_connect = on_lower_connect,
    .on_read = on_lower_read,
    .on_end = on_lower_end,
    .on_drain = on_lower_drain,
    .on_close = on_lower_close,
};

/* ---- calls of the owner ---- */

static void tls_read_start(struct dp_stream *s)
{
    struct tls *t = tls_of(s);
    t->reading = true;
    /* A dialing one reads by itself until the handshake is done. */
    if (t->state == OPEN || (t->state == HANDSHAKE && t->ctx->server))
        dp_stream_read_start(t->lower);
}

static void tls_read_stop(struct dp_stream *s)
{
    struct tls *t = tls_of(s);
    t->reading = false;
    if (t->state == OPEN || (t->state == HANDSHAKE && t->ctx->server))
        dp_stream_read_stop(t->lower);
}

static void encrypt(struct tls *t, const char *p, size_t n)
{
    size_t written;
    if (t->err || n == 0)
        return;
    /* Our BIO takes everything, so this writes all or is broken. */
    if (SSL_write_ex(t->ssl, p, n, &written) != 1) {
        dp_tls_explain(t->ctx, t->ssl);
        t->err = DP_ETLS;
    }
}

/* Full records straight from the spans; what is smaller goes into one record with what follows. */
static void encrypt_spans(struct tls *t, const struct dp_span *spans, size_t n)
{
    char *gather = t->ctx->gather;
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        struct dp_span s = spans[i];
        while (s.n > 0) {
            size_t take = s.n;
            if (have == 0 && (take >= DP_TLS_RECORD || i + 1 == n)) {
                if (i + 1 < n)
                    take -= take % DP_TLS_RECORD;
                encrypt(t, s.p, take);
            } else {
                if (take > DP_TLS_RECORD - have)
                    take = DP_TLS_RECORD - have;
                memcpy(gather + have, s.p, take);
                have += take;
            }
            if (have == DP_TLS_RECORD) {
                encrypt(t, gather, have);
                have = 0;
            }
            s.p += take;
            s.n -= take;
        }
    }
    encrypt(t, gather, have);
}

/* Counted in ciphertext, by the lower stream. Answers to what was read count too: then
 * dp_stream_reached says "maybe" where it might have said no. */
static uint64_t tls_written(const struct dp_stream *s)
{
    return dp_stream_written(((const struct tls *)(const void *)s)->lower);
}

static bool tls_reached(const struct dp_stream *s, uint64_t mark)
{
    return dp_stream_reached(((const struct tls *)(const void *)s)->lower, mark);
}

static bool sent_close_notify(const struct tls *t)
{
    return (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0;
}

static enum dp_err tls_write(struct dp_stream *s, const struct dp_span *spans, size_t n)
{
    struct tls *t = tls_of(s);
    assert(t->ctx->server || (t->state != DIALING && t->state != HANDSHAKE));
    if (t->err)
        return t->err;
    if ((t->state != OPEN && t->state != ENDED) || sent_close_notify(t))
        return DP_ECLOSED;
    ERR_clear_error();
    encrypt_spans(t, spans, n);
    if (t->ctx->out_bytes > 0)
        flush(t);
    else if (!t->err) /* nothing to write: has an earlier write failed since? */
        t->err = dp_stream_write(t->lower, NULL, 0);
    return t->err;
}

static uint64_t tls_taken(const struct dp_stream *s)
{
    return dp_stream_taken(((const struct tls *)(const void *)s)->lower);
}

static size_t tls_pending(const struct dp_stream *s)
{
    return dp_stream_pending(((const struct tls *)(const void *)s)->lower);
}

static void send_close_notify(struct tls *t)
{
    if ((t->state != OPEN && t->state != ENDED) || t->err || sent_close_notify(t))
        return;
    ERR_clear_error();
    if (SSL_shutdown(t->ssl) < 0)
        ERR_clear_error(); /* the peer sees a cut, as it should then */
    flush(t);
}

static void tls_last(struct dp_stream *s)
{
    dp_stream_last(tls_of(s)->lower);
}

static void tls_shutdown(struct dp_stream *s)
{
    struct tls *t = tls_of(s);
    if (t->state == CLOSED)
        return;
    send_close_notify(t);
    if (!t->err)
        t->err = DP_ECLOSED; /* in a handshake it is an end too */
    dp_stream_shutdown(t->lower);
}

static void tls_close(struct dp_stream *s, bool reset)
{
    struct tls *t = tls_of(s);
    if (t->state == CLOSED)
        return;
    /* What waits is dropped by the lower stream; close_notify behind the gap would hide it. */
    if (!reset && dp_stream_pending(t->lower) == 0)
        send_close_notify(t);
    t->state = CLOSED;
    dp_stream_close(t->lower, reset);
}

static const struct dp_stream_ops tls_ops = {
    .read_start = tls_read_start,
    .read_stop = tls_read_stop,
    .write = tls_write,
    .pending = tls_pending,
    .last = tls_last,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .written = tls_written,
    .reached = tls_reached,
    .taken = tls_taken,
};

/* ---- making streams ---- */

static SSL *ssl_new(struct tls *t)
{
    struct dp_tls *c = t->ctx;
    SSL *ssl = SSL_new(c->ssl_ctx);
    BIO *bio = ssl ? BIO_new(c->bio) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (c->server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if (!c->name_is_ip && SSL_set_tlsext_host_name(ssl, c->server_name) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_SESSION *session = dp_tls_take_session(c);
    if (session) {
        (void)SSL_set_session(ssl, session); /* else the handshake is a full one */
        SSL_SESSION_free(session);
    }
    return ssl;
}

static struct tls *tls_new(struct dp_tls *tls, const struct dp_stream_events *events, void *owner,
                           enum state state)
{
    if (!tls->bound) {
        tls->bound = true;
        tls->thread = pthread_self();
    }
    assert(pthread_equal(tls->thread, pthread_self()));
    struct tls *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->base = (struct dp_stream){&tls_ops, events, owner};
    t->ctx = dp_tls_ref(tls);
    t->state = state;
    ERR_clear_error();
    t->ssl = ssl_new(t);
    if (!t->ssl) {
        ERR_clear_error();
        tls_free(t);
        return NULL;
    }
    return t;
}

enum dp_err dp_tls_dial(struct dp_tls *tls, struct dp_net *net, const char *ip, uint16_t port,
                        const struct dp_stream_events *events, void *owner, struct dp_stream **out)
{
    assert(!tls->server);
    struct tls *t = tls_new(tls, events, owner, DIALING);
    if (!t)
        return DP_ENOMEM;
    enum dp_err err = dp_tcp_dial(net, ip, port, &lower_events, t, &t->lower);
    if (err)
        tls_free(t);
    else
        *out = &t->base;
    return err;
}

static void nobody_closed(void *owner)
{
    (void)owner;
}

/* A lower stream that was taken over for nothing. */
static void discard(struct dp_stream *lower)
{
    static const struct dp_stream_events nobody = {.on_close = nobody_closed};
    lower->events = &nobody;
    lower->owner = NULL;
    dp_stream_close(lower, true);
}

static struct tls *take_over(struct dp_tls *tls, struct dp_stream *lower,
                             const struct dp_stream_events *events, void *owner)
{
    struct tls *t = tls_new(tls, events, owner, HANDSHAKE);
    if (!t) {
        discard(lower);
        return NULL;
    }
    t->lower = lower;
    lower->events = &lower_events;
    lower->owner = t;
    return t;
}

enum dp_err dp_tls_connect(struct dp_tls *tls, struct dp_stream *lower,
                           const struct dp_stream_events *events, void *owner,
                           struct dp_stream **out)
{
    assert(!tls->server);
    struct tls *t = take_over(tls, lower, events, owner);
    if (!t)
        return DP_ENOMEM;
    if (shake(t) == FAILED) {
        enum dp_err err = t->err ? t->err : DP_ENOMEM; /* nothing was received that could fail */
        tls->stats->failed++;
        discard(lower);
        tls_free(t);
        return err;
    }
    dp_stream_read_start(lower);
    *out = &t->base;
    return DP_OK;
}

enum dp_err dp_tls_accept(struct dp_tls *tls, struct dp_stream *lower,
                          const struct dp_stream_events *events, void *owner,
                          struct dp_stream **out)
{
    assert(tls->server);
    struct tls *t = take_over(tls, lower, events, owner);
    if (!t)
        return DP_ENOMEM;
    *out = &t->base;
    return DP_OK;
}

bool dp_tls_info(const struct dp_stream *s, struct dp_tls_info *out)
{
    const struct tls *t = (const struct tls *)(const void *)s;
    if (s->ops != &tls_ops || !SSL_is_init_finished(t->ssl))
        return false;
    *out = (struct dp_tls_info){
        .version = SSL_get_version(t->ssl),
        .cipher = SSL_get_cipher_name(t->ssl),
        .resumed = SSL_session_reused(t->ssl) == 1,
    };
    return true;
}
