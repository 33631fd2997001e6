/* The admin server's sockets: accept, read one request, answer it, keep alive.
 *
 *   HEAD --head whole--> BODY --body whole--> [SAVE] --> WRITE --written, keep alive--> HEAD
 *     |                    |                              |  |
 *     +----- refused ------+------------------------------+  +--written, last one--> LINGER --EOF, time--> CLOSED
 *                                                         +--follows--> STREAM --EOF, does not read--> CLOSED
 *
 * SAVE: an order was carried out and waits for its place on the disk, for a moment. STREAM: lines as they come, each
 * a chunk; what is not yet written waits in `body`, up to a bound.
 *
 * A connection owns two handles (stream and timer) and goes away when both are closed. In LINGER our side is shut
 * down and what the peer still sends is dropped, so that no reset overtakes the answer. */
#include "app/admin.h"

#include "davenport/base/arena.h"
#include "davenport/base/list.h"
#include "davenport/base/log.h"
#include "davenport/http/reader.h"
#include "davenport/http/writer.h"
#include "davenport/net/acceptor.h"

#include "app/admin_orders.h"
#include "app/admin_reload.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#define BACKLOG      64
#define READ_BYTES   8192
#define HEAD_BYTES   512
#define REQUEST_MS   10000
#define IDLE_MS      60000
#define WRITE_MS     30000
#define LINGER_MS    2000
#define SAVE_MS      2000
#define RELOAD_MS    50000
#define BEAT_MS      15000 /* an empty line for who follows: is it still there? */
#define STREAM_BYTES ((size_t)4 << 20)
#define SPANS_A_READ 16

enum phase {
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_SAVE,
    PHASE_RELOAD,
    PHASE_WRITE,
    PHASE_STREAM,
    PHASE_LINGER,
    PHASE_CLOSED
};

union handle {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct dp_admin {
    uv_loop_t *loop;
    struct dp_admin_source source;
    struct dp_acceptor *acceptor;
    bool tcp;
    bool listening;
    struct dp_list conns;
    unsigned n_conns;
    void (*done)(void *ctx); /* set: we are going away */
    void *done_ctx;
};

struct conn {
    struct dp_list node;
    struct dp_admin *admin;
    union handle socket;
    uv_timer_t timer;
    unsigned open; /* handles not yet closed */
    enum phase phase;
    bool keep_alive;
    char peer[48];
    bool writing; /* STREAM */
    struct dp_reader *reader;
    struct dp_arena arena;
    struct dp_head head;
    struct dp_text body; /* of the request; then, in STREAM, what waits to be written */
    struct dp_admin_answer answer;
    char answer_head[HEAD_BYTES];
    uv_write_t write;
    uv_shutdown_t shutdown;
    char bytes[READ_BYTES];
};

/* The end of things ---------------------------------------------------------------------------- */

static void free_admin_if_done(struct dp_admin *a)
{
    if (!a->done || a->listening || a->n_conns) {
        return;
    }
    void (*done)(void *ctx) = a->done;
    void *ctx = a->done_ctx;
    free(a);
    done(ctx);
}

static void on_conn_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
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

static void close_conn(struct conn *c)
{
    if (c->phase == PHASE_CLOSED) {
        return;
    }
    c->phase = PHASE_CLOSED;
    uv_close(&c->socket.handle, on_conn_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
}

static void send_answer(struct conn *c);

static void on_time(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    if (c->phase == PHASE_SAVE) {
        send_answer(c); /* "pending" */
    } else if (c->phase == PHASE_RELOAD) {
        dp_admin_refuse(&c->answer, 503, "reload_pending",
                        "the reload goes on: davenport events tells how it ends");
        send_answer(c);
    } else {
        close_conn(c);
    }
}

static void arm(struct conn *c, uint64_t ms)
{
    (void)uv_timer_start(&c->timer, on_time, ms, 0);
}

/* One answer ----------------------------------------------------------------------------------- */

static void begin_request(struct conn *c)
{
    dp_arena_reset(&c->arena);
    dp_text_clear(&c->body);
    dp_text_clear(&c->answer.body);
    dp_reader_begin(c->reader, &c->arena, &c->head, DP_METHOD_OTHER);
    c->phase = PHASE_HEAD;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct conn *c = request->data;
    if (status != 0) {
        close_conn(c);
    }
}

static void linger(struct conn *c)
{
    c->phase = PHASE_LINGER;
    c->shutdown.data = c;
    arm(c, LINGER_MS);
    if (uv_shutdown(&c->shutdown, &c->socket.stream, on_shutdown) != 0) {
        close_conn(c);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct conn *c = request->data;
    if (c->phase != PHASE_WRITE) {
        return;
    }
    if (status != 0) {
        close_conn(c);
    } else if (!c->keep_alive) {
        linger(c);
    } else {
        begin_request(c);
        arm(c, IDLE_MS);
    }
}

static void header(struct dp_writer *w, const char *name, const char *value)
{
    dp_write_header(w, dp_span_str(name), dp_span_str(value));
}

static size_t write_answer_head(struct conn *c)
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
    header(&w, "Cache-Control", "no-store");
    header(&w, "X-Content-Type-Options", "nosniff");
    header(&w, "Connection", c->keep_alive ? "keep-alive" : "close");
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return w.overflow ? 0 : w.n;
}

static void send_answer(struct conn *c)
{
    size_t n = write_answer_head(c);
    uv_buf_t bufs[2] = {uv_buf_init(c->answer_head, (unsigned)n),
                        uv_buf_init(c->answer.body.p, (unsigned)c->answer.body.n)};
    unsigned count = c->head.method == DP_METHOD_HEAD ? 1 : 2;
    c->phase = PHASE_WRITE;
    c->write.data = c;
    arm(c, WRITE_MS);
    if (n == 0 || uv_write(&c->write, &c->socket.stream, bufs, count, on_written) != 0) {
        close_conn(c);
    }
}

static void refuse(struct conn *c, enum dp_err err)
{
    const struct dp_err_info *info = dp_err_info(err);
    c->keep_alive = false;
    c->answer.allow = NULL;
    dp_admin_refuse(&c->answer, info->status ? info->status : 400, info->word, info->reason);
    send_answer(c);
}

/* An order's answer says that it is on the disk, if that comes soon. */
static void try_saved(struct conn *c)
{
    const struct dp_admin_source *source = &c->admin->source;
    if (source->saved(source->ctx, c->answer.ticket)) {
        dp_admin_kept(&c->answer);
        send_answer(c);
    }
}

void dp_admin_saved(struct dp_admin *a)
{
    struct dp_list *next;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = next) {
        struct conn *c = DP_CONTAINER_OF(n, struct conn, node);
        next = n->next;
        if (c->phase == PHASE_SAVE) {
            try_saved(c);
        }
    }
}

void dp_admin_reloaded(struct dp_admin *a, uint64_t asked, bool done, struct dp_span changes,
                       struct dp_span problems)
{
    struct dp_list *next;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = next) {
        struct conn *c = DP_CONTAINER_OF(n, struct conn, node);
        next = n->next;
        if (c->phase == PHASE_RELOAD && c->answer.reload <= asked) {
            dp_admin_tell_reload(&a->source, done, changes, problems, &c->answer);
            send_answer(c);
        }
    }
}

/* Following ------------------------------------------------------------------------------------ */

static void write_stream(struct conn *c);

static void on_stream_written(uv_write_t *request, int status)
{
    struct conn *c = request->data;
    c->writing = false;
    if (c->phase != PHASE_STREAM) {
        return;
    }
    if (status != 0) {
        close_conn(c);
    } else {
        write_stream(c);
    }
}

/* All that waits, in one write at a time. */
static void write_stream(struct conn *c)
{
    if (c->writing || c->body.n == 0) {
        return;
    }
    struct dp_text waiting = c->body;
    c->body = c->answer.body;
    c->answer.body = waiting;
    dp_text_clear(&c->body);
    uv_buf_t buf = uv_buf_init(c->answer.body.p, (unsigned)c->answer.body.n);
    c->writing = true;
    if (uv_write(&c->write, &c->socket.stream, &buf, 1, on_stream_written) != 0) {
        close_conn(c);
    }
}

static void add_chunk(struct conn *c, struct dp_span line)
{
    dp_text_addf(&c->body, "%zx\r\n", line.n + 1);
    dp_text_add(&c->body, line);
    dp_text_add(&c->body, DP_SPAN("\n\r\n"));
    if (c->body.failed || c->body.n > STREAM_BYTES) {
        close_conn(c);
    } else {
        write_stream(c);
    }
}

static void on_beat(uv_timer_t *timer)
{
    add_chunk(timer->data, DP_SPAN(""));
}

/* The head, and what is known already, each line a chunk. */
static void begin_stream(struct conn *c)
{
    bool head_only = c->head.method == DP_METHOD_HEAD;
    c->keep_alive = false;
    if (head_only) {
        send_answer(c);
        return;
    }
    size_t n = write_answer_head(c);
    struct dp_text lines = c->answer.body;
    struct dp_span rest = dp_text_span(&lines);
    c->answer.body = (struct dp_text){0};
    c->phase = PHASE_STREAM;
    c->write.data = c;
    dp_text_clear(&c->body);
    dp_text_add(&c->body, (struct dp_span){c->answer_head, n});
    (void)uv_timer_start(&c->timer, on_beat, BEAT_MS, BEAT_MS);
    write_stream(c);
    while (rest.p && c->phase == PHASE_STREAM) {
        struct dp_span line = dp_span_cut(&rest, '\n');
        if (line.n) {
            add_chunk(c, line);
        }
    }
    dp_text_fini(&lines);
}

void dp_admin_event(struct dp_admin *a, struct dp_span line)
{
    struct dp_list *next;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = next) {
        struct conn *c = DP_CONTAINER_OF(n, struct conn, node);
        next = n->next;
        if (c->phase == PHASE_STREAM) {
            add_chunk(c, line);
        }
    }
}

static void answer_request(struct conn *c, bool more_came)
{
    struct dp_admin_request request = {
        .head = &c->head, .body = dp_text_span(&c->body), .tcp = c->admin->tcp, .peer = c->peer};
    c->keep_alive = c->head.keep_alive && !more_came && !c->admin->done;
    c->answer.allow = NULL;
    c->answer.ticket = 0;
    c->answer.reload = 0;
    c->answer.follow = false;
    dp_admin_answer(&c->admin->source, &request, &c->answer);
    if (c->answer.follow) {
        begin_stream(c);
    } else if (c->answer.ticket) {
        c->phase = PHASE_SAVE;
        arm(c, SAVE_MS);
        try_saved(c);
    } else if (c->answer.reload) {
        c->phase = PHASE_RELOAD;
        arm(c, RELOAD_MS);
    } else {
        send_answer(c);
    }
}

/* Reading -------------------------------------------------------------------------------------- */

/* Bytes of a body. True when it is whole; refuses it when it can't be taken. */
static bool take_body(struct conn *c, const char *p, size_t n, size_t *used)
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

static void take_head(struct conn *c, const char *p, size_t n, size_t *used)
{
    switch (dp_reader_head(c->reader, p, n, used)) {
    case DP_READ_MORE:
        return;
    case DP_READ_FAILED:
        refuse(c, dp_reader_error(c->reader));
        return;
    case DP_READ_DONE:
        c->phase = PHASE_BODY;
        break;
    }
    if (c->head.expect_continue) {
        char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
        uv_buf_t buf = uv_buf_init(text, sizeof text - 1);
        (void)uv_try_write(&c->socket.stream, &buf, 1); /* who waits for it goes on without it */
    }
}

static void take_bytes(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;
    if (c->phase == PHASE_HEAD) {
        if (!dp_reader_in_head(c->reader)) {
            arm(c, REQUEST_MS);
        }
        take_head(c, p, n, &used);
    }
    if (c->phase == PHASE_BODY && take_body(c, p, n, &used)) {
        answer_request(c, used < n);
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = h->data;
    (void)suggested;
    *buf = uv_buf_init(c->bytes, sizeof c->bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n < 0) {
        close_conn(c);
        return;
    }
    switch (c->phase) {
    case PHASE_HEAD:
    case PHASE_BODY:
        take_bytes(c, buf->base, (size_t)n);
        break;
    case PHASE_SAVE:
    case PHASE_RELOAD:
    case PHASE_WRITE:
        c->keep_alive = c->keep_alive && n == 0; /* pipelining: answered, then closed */
        break;
    case PHASE_STREAM:
    case PHASE_LINGER:
    case PHASE_CLOSED:
        break;
    }
}

/* Accepting ------------------------------------------------------------------------------------ */

/* Who asks, for the journal: an address, or the user at the other end of a Unix socket. */
static void name_actor(struct conn *c)
{
    uv_os_fd_t fd;
    int n = -1;
    if (c->admin->tcp) {
        n = snprintf(c->peer, sizeof c->peer, "loopback");
    } else if (uv_fileno(&c->socket.handle, &fd) == 0) {
        struct ucred who;
        socklen_t size = sizeof who;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
            n = snprintf(c->peer, sizeof c->peer, "uid %lu", (unsigned long)who.uid);
        }
    }
    if (n < 0) {
        (void)snprintf(c->peer, sizeof c->peer, "unknown");
    }
}

static int init_stream(struct dp_admin *a, union handle *h)
{
    return a->tcp ? uv_tcp_init(a->loop, &h->tcp) : uv_pipe_init(a->loop, &h->pipe, 0);
}

/* A connection ready to be accepted into, or NULL. */
static struct conn *conn_new(struct dp_admin *a)
{
    static const struct dp_reader_limits limits = {
        .head_bytes = 16384, .target_bytes = 4096, .headers = 64};
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->reader = dp_reader_new(DP_READ_REQUESTS, &limits);
    if (!c->reader || init_stream(a, &c->socket) != 0) {
        dp_reader_destroy(c->reader);
        free(c);
        return NULL;
    }
    (void)uv_timer_init(a->loop, &c->timer); /* cannot fail */
    c->admin = a;
    c->open = 2;
    c->socket.handle.data = c;
    c->timer.data = c;
    dp_arena_init(&c->arena, NULL);
    dp_list_push_back(&a->conns, &c->node);
    a->n_conns++;
    begin_request(c);
    return c;
}

/* What was accepted, into c's handle; closed if it can't be. */
static bool open_socket(struct conn *c, int fd)
{
    int r = c->admin->tcp ? uv_tcp_open(&c->socket.tcp, fd) : uv_pipe_open(&c->socket.pipe, fd);
    if (r != 0) {
        (void)close(fd);
    }
    return r == 0;
}

static void on_connection(void *ctx, int fd)
{
    struct dp_admin *a = ctx;
    struct conn *c = conn_new(a);
    if (!c) {
        (void)close(fd);
        return;
    }
    if (!open_socket(c, fd) || a->n_conns > DP_ADMIN_CONNECTIONS ||
        uv_read_start(&c->socket.stream, on_alloc, on_read) != 0) {
        close_conn(c);
        return;
    }
    name_actor(c);
    arm(c, REQUEST_MS);
}

enum dp_err dp_admin_new(uv_loop_t *loop, int fd, bool tcp, const struct dp_admin_source *source,
                         struct dp_admin **out, const char **why)
{
    static const struct dp_acceptor_events events = {.accepted = on_connection};
    struct dp_admin *a = calloc(1, sizeof *a);
    if (!a) {
        abort();
    }
    a->loop = loop;
    a->source = *source;
    a->tcp = tcp;
    dp_list_init(&a->conns);
    if (dp_acceptor_new(loop, fd, BACKLOG, &events, a, &a->acceptor, why) != DP_OK) {
        (void)close(fd);
        free(a);
        return DP_EIO;
    }
    a->listening = true;
    *out = a;
    return DP_OK;
}

static void on_listener_closed(void *ctx)
{
    struct dp_admin *a = ctx;
    a->listening = false;
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
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = n->next) {
        close_conn(DP_CONTAINER_OF(n, struct conn, node));
    }
}
