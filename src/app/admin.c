/* The admin server's connections: accept, read one request, answer it, keep alive.
 *
 *   HEAD --head whole--> BODY --body whole--> [SAVE] --> WRITE --written, keep alive--> HEAD
 *     |                    |                              |  |
 *     +----- refused ------+------------------------------+  +--written, last one--> LINGER --EOF, time--> CLOSED
 *                                                         +--follows--> STREAM --EOF, does not read--> CLOSED
 *
 * SAVE: an order was carried out and waits for its place on the disk, for a moment. STREAM: who follows
 * (admin_follow.c).
 *
 * A connection owns a stream (TCP, a Unix socket, or TLS) and a timer, and goes away when both are closed. In LINGER our
 * side is shut down and what the peer still sends is dropped, so that no reset overtakes the answer. */
#include "davenport/base/clock.h"
#include "davenport/http/writer.h"

#include "app/admin_access.h"
#include "app/admin_orders.h"
#include "app/admin_reload.h"
#include "app/admin_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#define BACKLOG      64
#define REQUEST_MS   10000
#define IDLE_MS      60000
#define WRITE_MS     30000
#define LINGER_MS    2000
#define SAVE_MS      2000
#define RELOAD_MS    50000
#define SPANS_A_READ 16
/* What waits to be written, of all connections together: 64 MiB. */
#define CHUNKS_MAX  4096
#define CHUNKS_FREE 16

/* The end of things ---------------------------------------------------------------------------- */

static void free_admin_if_done(struct dp_admin *a)
{
    if (!a->done || a->listening || a->ticking || a->n_conns) {
        return;
    }
    void (*done)(void *ctx) = a->done;
    void *ctx = a->done_ctx;
    dp_live_fini(&a->live);
    dp_text_fini(&a->events);
    dp_tls_unref(a->tls);
    dp_chunk_pool_fini(&a->chunks);
    free(a);
    done(ctx);
}

/* The stream, or the timer. */
static void part_closed(struct admin_conn *c)
{
    struct dp_admin *a = c->admin;
    if (--c->open) {
        return;
    }
    dp_list_remove(&c->node);
    a->n_conns--;
    dp_reader_destroy(c->reader);
    dp_arena_reset(&c->arena);
    dp_text_fini(&c->body);
    dp_text_fini(&c->answer.body);
    free(c);
    free_admin_if_done(a);
}

static void on_timer_closed(uv_handle_t *h)
{
    part_closed(h->data);
}

static void on_close(void *owner)
{
    part_closed(owner);
}

void admin_close(struct admin_conn *c)
{
    if (c->phase == ADMIN_CLOSED) {
        return;
    }
    c->phase = ADMIN_CLOSED;
    dp_stream_close(c->stream, false);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void on_time(uv_timer_t *timer)
{
    struct admin_conn *c = timer->data;
    if (c->phase == ADMIN_SAVE) {
        admin_send(c); /* "pending" */
    } else if (c->phase == ADMIN_RELOAD) {
        dp_admin_refuse(&c->answer, 503, "reload_pending",
                        "the reload goes on: davenport events tells how it ends");
        admin_send(c);
    } else {
        admin_close(c);
    }
}

static void arm(struct admin_conn *c, uint64_t ms)
{
    (void)uv_timer_start(&c->timer, on_time, ms, 0);
}

/* One answer ----------------------------------------------------------------------------------- */

static void begin_request(struct admin_conn *c)
{
    dp_arena_reset(&c->arena);
    dp_text_clear(&c->body);
    dp_text_clear(&c->answer.body);
    dp_reader_begin(c->reader, &c->arena, &c->head, DP_METHOD_OTHER);
    c->phase = ADMIN_HEAD;
}

static void linger(struct admin_conn *c)
{
    c->phase = ADMIN_LINGER;
    dp_stream_shutdown(c->stream);
    arm(c, dp_stream_pending(c->stream) > 0 ? WRITE_MS : LINGER_MS);
}

/* The answer is on its way. */
static void after_write(struct admin_conn *c)
{
    if (!c->keep_alive) {
        linger(c);
    } else {
        begin_request(c);
        arm(c, IDLE_MS);
    }
}

static void on_drain(void *owner)
{
    struct admin_conn *c = owner;
    if (c->phase == ADMIN_WRITE) {
        after_write(c);
    }
}

static void header(struct dp_writer *w, const char *name, const char *value)
{
    dp_write_header(w, dp_span_str(name), dp_span_str(value));
}

size_t admin_write_head(struct admin_conn *c)
{
    struct dp_writer w;
    char length[24];
    const struct dp_admin_answer *a = &c->answer;
    dp_writer_init(&w, c->answer_head, sizeof c->answer_head);
    dp_write_status_line(&w, a->status, dp_reason_phrase(a->status));
    header(&w, "Content-Type", a->type);
    if (a->follow) {
        header(&w, "Transfer-Encoding", "chunked");
    } else if (snprintf(length, sizeof length, "%zu", a->body.n) > 0) {
        header(&w, "Content-Length", length);
    }
    if (a->allow) {
        header(&w, "Allow", a->allow);
    }
    if (a->challenge) {
        header(&w, "WWW-Authenticate", a->challenge);
    }
    if (a->retry_after_s > 0 && snprintf(length, sizeof length, "%u", a->retry_after_s) > 0) {
        header(&w, "Retry-After", length);
    }
    if (a->policy.n > 0) {
        dp_write_header(&w, DP_SPAN("Content-Security-Policy"), a->policy);
    }
    header(&w, "Cache-Control", "no-store");
    header(&w, "X-Content-Type-Options", "nosniff");
    header(&w, "Connection", c->keep_alive ? "keep-alive" : "close");
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return w.overflow ? 0 : w.n;
}

void admin_send(struct admin_conn *c)
{
    const struct dp_span parts[2] = {{c->answer_head, admin_write_head(c)},
                                     dp_text_span(&c->answer.body)};
    const size_t count = c->head.method == DP_METHOD_HEAD || parts[1].n == 0 ? 1 : 2;
    c->phase = ADMIN_WRITE;
    arm(c, WRITE_MS);
    if (parts[0].n == 0 || dp_stream_write(c->stream, parts, count) != DP_OK) {
        admin_close(c);
    } else if (dp_stream_pending(c->stream) <= DP_STREAM_HIGH_BYTES) {
        after_write(c); /* else on_drain */
    }
}

static void refuse(struct admin_conn *c, enum dp_err err)
{
    const struct dp_err_info *info = dp_err_info(err);
    c->keep_alive = false;
    c->answer.allow = NULL;
    c->answer.challenge = NULL;
    c->answer.retry_after_s = 0;
    dp_admin_refuse(&c->answer, info->status ? info->status : 400, info->word, info->reason);
    admin_send(c);
}

/* An order's answer says that it is on the disk, if that comes soon. */
static void try_saved(struct admin_conn *c)
{
    const struct dp_admin_source *source = &c->admin->source;
    if (source->saved(source->ctx, c->answer.ticket)) {
        dp_admin_kept(&c->answer);
        admin_send(c);
    }
}

void dp_admin_saved(struct dp_admin *a)
{
    struct dp_list *next;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = next) {
        struct admin_conn *c = DP_CONTAINER_OF(n, struct admin_conn, node);
        next = n->next;
        if (c->phase == ADMIN_SAVE) {
            try_saved(c);
        }
    }
}

static struct dp_admin_request request_of(const struct admin_conn *c)
{
    return (struct dp_admin_request){.head = &c->head,
                                     .body = dp_text_span(&c->body),
                                     .tcp = c->admin->tcp,
                                     .tls = c->admin->tls != NULL,
                                     .peer = c->peer};
}

/* A token may have gone by a reload: who follows with it follows no more. */
static void check_again(struct admin_conn *c)
{
    const struct dp_admin_request request = request_of(c);
    struct dp_admin_caller caller;
    struct dp_admin_answer refusal = {0};
    if (!dp_admin_let_in(&c->admin->source, &request, &caller, &refusal)) {
        admin_close(c);
    }
    dp_text_fini(&refusal.body);
}

void dp_admin_reloaded(struct dp_admin *a, uint64_t asked, bool done, struct dp_span changes,
                       struct dp_span problems)
{
    struct dp_list *next;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = next) {
        struct admin_conn *c = DP_CONTAINER_OF(n, struct admin_conn, node);
        next = n->next;
        if (c->phase == ADMIN_RELOAD && c->answer.reload <= asked) {
            dp_admin_tell_reload(&a->source, done, changes, problems, &c->answer);
            admin_send(c);
        } else if (c->phase == ADMIN_STREAM && done) {
            check_again(c);
        }
    }
}

/* Answering ------------------------------------------------------------------------------------ */

static void answer_request(struct admin_conn *c, bool more_came)
{
    const struct dp_admin_request request = request_of(c);
    c->keep_alive = c->head.keep_alive && !more_came && !c->admin->done;
    c->answer.allow = NULL;
    c->answer.challenge = NULL;
    c->answer.retry_after_s = 0;
    c->answer.ticket = 0;
    c->answer.reload = 0;
    c->answer.policy = (struct dp_span){NULL, 0};
    c->answer.follow = DP_FOLLOW_NOT;
    c->admin->source.answer(&c->admin->source, &request, &c->answer);
    if (c->answer.follow == DP_FOLLOW_LIVE && admin_count_watchers(c->admin) >= DP_ADMIN_WATCHERS) {
        dp_admin_refuse(&c->answer, 503, "too_many_watchers",
                        "as many live feeds are open as there may be: close a dashboard");
    }
    if (c->answer.follow) {
        admin_begin_stream(c);
    } else if (c->answer.ticket) {
        c->phase = ADMIN_SAVE;
        arm(c, SAVE_MS);
        try_saved(c);
    } else if (c->answer.reload) {
        c->phase = ADMIN_RELOAD;
        arm(c, RELOAD_MS);
    } else {
        admin_send(c);
    }
}

/* Reading -------------------------------------------------------------------------------------- */

/* Bytes of a body. True when it is whole; refuses it when it can't be taken. */
static bool take_body(struct admin_conn *c, const char *p, size_t n, size_t *used)
{
    struct dp_span spans[SPANS_A_READ];
    enum dp_read result;
    do {
        size_t n_spans = 0;
        size_t consumed = 0;
        result = dp_reader_body(c->reader, p + *used, n - *used, &consumed, spans, SPANS_A_READ,
                                &n_spans);
        *used += consumed;
        for (size_t i = 0; i < n_spans; i++) {
            dp_text_add(&c->body, spans[i]);
        }
        if (c->body.n > DP_ADMIN_BODY_BYTES) {
            refuse(c, DP_EBODYSIZE);
            return false;
        }
    } while (result == DP_READ_MORE && *used < n);
    if (result == DP_READ_FAILED) {
        refuse(c, dp_reader_error(c->reader));
    }
    return result == DP_READ_DONE;
}

static void take_head(struct admin_conn *c, const char *p, size_t n, size_t *used)
{
    switch (dp_reader_head(c->reader, p, n, used)) {
    case DP_READ_MORE:
        return;
    case DP_READ_FAILED:
        refuse(c, dp_reader_error(c->reader));
        return;
    case DP_READ_DONE:
        c->phase = ADMIN_BODY;
        break;
    }
    if (c->head.expect_continue) {
        const struct dp_span text = DP_SPAN("HTTP/1.1 100 Continue\r\n\r\n");
        if (dp_stream_write(c->stream, &text, 1) != DP_OK) {
            admin_close(c);
        }
    }
}

static void take_bytes(struct admin_conn *c, const char *p, size_t n)
{
    size_t used = 0;
    if (c->phase == ADMIN_HEAD) {
        if (!dp_reader_in_head(c->reader)) {
            arm(c, REQUEST_MS);
        }
        take_head(c, p, n, &used);
    }
    if (c->phase == ADMIN_BODY && take_body(c, p, n, &used)) {
        answer_request(c, used < n);
    }
}

static void on_read(void *owner, const char *p, size_t n)
{
    struct admin_conn *c = owner;
    switch (c->phase) {
    case ADMIN_HEAD:
    case ADMIN_BODY:
        take_bytes(c, p, n);
        break;
    case ADMIN_SAVE:
    case ADMIN_RELOAD:
    case ADMIN_WRITE:
        c->keep_alive = false; /* pipelining: answered, then closed */
        break;
    case ADMIN_STREAM:
    case ADMIN_LINGER:
    case ADMIN_CLOSED:
        break;
    }
}

static void on_end(void *owner, enum dp_err err)
{
    (void)err;
    admin_close(owner);
}

/* Accepting ------------------------------------------------------------------------------------ */

/* Who asks, for the journal: an address, or the user at the other end of a Unix socket. */
static void name_peer(struct admin_conn *c, int fd)
{
    int n = -1;
    struct ucred who;
    socklen_t size = sizeof who;
    if (c->admin->tcp) {
        char address[ADMIN_PEER_TEXT];
        dp_tcp_peer(c->stream, address, sizeof address);
        const bool loopback = strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
        n = snprintf(c->peer, sizeof c->peer, "%s", loopback ? "loopback" : address);
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
        n = snprintf(c->peer, sizeof c->peer, "uid %lu", (unsigned long)who.uid);
    }
    if (n < 0) {
        (void)snprintf(c->peer, sizeof c->peer, "unknown");
    }
}

static const struct dp_stream_events conn_events = {
    .on_read = on_read, .on_end = on_end, .on_drain = on_drain, .on_close = on_close};

/* A connection without its stream, or NULL. */
static struct admin_conn *conn_new(struct dp_admin *a)
{
    static const struct dp_reader_limits limits = {
        .head_bytes = 16384, .target_bytes = 4096, .headers = 64};
    struct admin_conn *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->reader = dp_reader_new(DP_READ_REQUESTS, &limits);
    if (!c->reader) {
        free(c);
        return NULL;
    }
    c->admin = a;
    dp_arena_init(&c->arena, NULL);
    return c;
}

/* fd is the stream's from here on. It is not read from before reading is started. */
static bool open_stream(struct admin_conn *c, int fd)
{
    struct dp_admin *a = c->admin;
    if (dp_tcp_open(&a->net, fd, &conn_events, c, &c->stream) != DP_OK) {
        return false;
    }
    name_peer(c, fd);
    return !a->tls || dp_tls_accept(a->tls, c->stream, &conn_events, c, &c->stream) == DP_OK;
}

/* Too many: the one that has waited longest without a whole request goes, so that strangers who only connect do not keep
 * operators out. */
static void make_room(struct dp_admin *a, struct admin_conn *newest)
{
    unsigned open = 0;
    struct admin_conn *oldest = NULL;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = n->next) {
        struct admin_conn *c = DP_CONTAINER_OF(n, struct admin_conn, node);
        const bool waits =
            c->phase == ADMIN_HEAD || c->phase == ADMIN_BODY || c->phase == ADMIN_LINGER;
        open += c->phase != ADMIN_CLOSED;
        oldest = !oldest && waits && c != newest ? c : oldest;
    }
    if (open > DP_ADMIN_CONNECTIONS) {
        admin_close(oldest ? oldest : newest);
    }
}

static void on_connection(void *ctx, int fd)
{
    struct dp_admin *a = ctx;
    struct admin_conn *c = conn_new(a);
    if (!c) {
        (void)close(fd);
        return;
    }
    if (!open_stream(c, fd)) {
        dp_reader_destroy(c->reader);
        free(c);
        return;
    }
    (void)uv_timer_init(a->net.loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    c->open = 2;
    dp_list_push_back(&a->conns, &c->node);
    a->n_conns++;
    begin_request(c);
    dp_stream_read_start(c->stream);
    arm(c, REQUEST_MS);
    if (a->n_conns > DP_ADMIN_CONNECTIONS) {
        make_room(a, c);
    }
}

enum dp_err dp_admin_new(uv_loop_t *loop, int fd, bool tcp, struct dp_tls *tls,
                         const struct dp_admin_source *source, struct dp_admin **out,
                         const char **why)
{
    static const struct dp_acceptor_events events = {.accepted = on_connection};
    struct dp_admin *a = calloc(1, sizeof *a);
    if (!a) {
        abort();
    }
    dp_chunk_pool_init(&a->chunks, CHUNKS_MAX, CHUNKS_FREE);
    a->net = (struct dp_net){.loop = loop, .chunks = &a->chunks, .scratch = a->scratch};
    a->source = *source;
    a->tcp = tcp;
    dp_list_init(&a->conns);
    if (source->report && source->events) {
        if (!dp_live_init(&a->live, &dp_clock_system, source)) {
            *why = dp_err_info(DP_ENOMEM)->reason;
            (void)close(fd);
            dp_chunk_pool_fini(&a->chunks);
            free(a);
            return DP_ENOMEM;
        }
        a->source.live = &a->live;
    }
    if (dp_acceptor_new(loop, fd, BACKLOG, &events, a, &a->acceptor, why) != DP_OK) {
        (void)close(fd);
        dp_live_fini(&a->live);
        dp_chunk_pool_fini(&a->chunks);
        free(a);
        return DP_EIO;
    }
    a->tls = tls ? dp_tls_ref(tls) : NULL;
    if (a->source.live) {
        admin_start_feed(a);
    }
    a->listening = true;
    *out = a;
    return DP_OK;
}

void dp_admin_renew_tls(struct dp_admin *a, struct dp_tls *tls)
{
    dp_tls_unref(a->tls);
    a->tls = tls ? dp_tls_ref(tls) : NULL;
}

int dp_admin_listener(const struct dp_admin *a)
{
    return dp_acceptor_socket(a->acceptor);
}

static void on_listener_closed(void *ctx)
{
    struct dp_admin *a = ctx;
    a->listening = false;
    free_admin_if_done(a);
}

static void on_tick_closed(uv_handle_t *h)
{
    struct dp_admin *a = h->data;
    a->ticking = false;
    free_admin_if_done(a);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

void dp_admin_destroy(struct dp_admin *a, void (*done)(void *ctx), void *ctx)
{
    a->done = done ? done : nothing;
    a->done_ctx = ctx;
    dp_acceptor_close(a->acceptor, on_listener_closed);
    if (a->ticking) {
        uv_close((uv_handle_t *)&a->tick, on_tick_closed);
    }
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = n->next) {
        admin_close(DP_CONTAINER_OF(n, struct admin_conn, node));
    }
}
