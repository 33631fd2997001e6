/* The scripted region of script_server.h. Handles free themselves when they are closed. */
#include "support/script_server.h"

#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct script_conn {
    uv_tcp_t tcp;
    struct script_server *server; /* NULL: the server has let go of it */
    struct script_conn *next;
    char in[SCRIPT_HEAD_BYTES];
    size_t in_bytes;
};

struct output {
    uv_write_t req;
    bool then_close;
    char text[];
};

static void must(int rc)
{
    if (rc != 0) {
        (void)fprintf(stderr, "script_server: %s\n", uv_strerror(rc));
        abort();
    }
}

/* What a region takes is not the program's. */
static void *memory(size_t n)
{
    nomem_pause();
    void *p = calloc(1, n);
    nomem_resume();
    assert_non_null(p);
    return p;
}

static void on_conn_closed(uv_handle_t *h)
{
    free(h->data);
}

static void unlink_conn(struct script_conn *c)
{
    if (!c->server)
        return;
    for (struct script_conn **at = &c->server->conns; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    c->server->open--;
    c->server = NULL;
}

static void conn_close(struct script_conn *c, bool reset)
{
    unlink_conn(c);
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    if (reset && uv_tcp_close_reset(&c->tcp, on_conn_closed) == 0)
        return;
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

static void on_written(uv_write_t *req, int status)
{
    struct output *o = req->data;
    struct script_conn *c = req->handle->data;
    (void)status;
    if (o->then_close)
        conn_close(c, false);
    free(o);
}

static void conn_write(struct script_conn *c, const char *text, bool then_close)
{
    size_t n = strlen(text);
    struct output *o = memory(sizeof(*o) + n);
    memcpy(o->text, text, n);
    o->then_close = then_close;
    o->req.data = o;
    uv_buf_t buf = uv_buf_init(o->text, (unsigned)n);
    if (uv_write(&o->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
        free(o);
}

static void conn_endless(struct script_conn *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    size_t n = UINT32_C(1) << 20;
    struct output *o = memory(sizeof(*o) + n);
    memset(o->text, ' ', n);
    memcpy(o->text, head, sizeof(head) - 1);
    o->then_close = false;
    o->req.data = o;
    uv_buf_t buf = uv_buf_init(o->text, (unsigned)n);
    if (uv_write(&o->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
        free(o);
}

/* All of it is with the other side, unread, when the reset comes. */
static void conn_tear(struct script_conn *c)
{
    static char text[40000] = "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n";
    const uv_buf_t buf = uv_buf_init(text, sizeof(text));
    const int written = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    must(written < 0 ? written : 0);
    conn_close(c, true);
}

static void conn_answer(struct script_conn *c)
{
    struct script_server *s = c->server;
    char text[4096];
    s->requests++;
    memcpy(s->head, c->in, c->in_bytes + 1);
    if (s->choose)
        s->choose(s->ctx, s);
    switch (s->mode) {
    case SCRIPT_ANSWER:
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 %u Word\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       s->status, strlen(s->body), s->body);
        conn_write(c, text, false);
        break;
    case SCRIPT_CUT:
        conn_write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"sta", true);
        break;
    case SCRIPT_SILENT:
        break;
    case SCRIPT_CLOSE:
        conn_close(c, false);
        break;
    case SCRIPT_RESET:
        conn_close(c, true);
        break;
    case SCRIPT_TORN:
        conn_tear(c);
        break;
    case SCRIPT_GARBAGE:
        conn_write(c, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", true);
        break;
    case SCRIPT_ENDLESS:
        conn_endless(c);
        break;
    }
}

/* Length of the first whole request in `in`, or 0. */
static size_t request_bytes(const char *in, size_t n)
{
    const char *end = strstr(in, "\r\n\r\n");
    if (!end)
        return 0;
    size_t total = (size_t)(end - in) + 4;
    const char *length = strcasestr(in, "\r\ncontent-length:");
    if (length && length < end)
        total += (size_t)strtoul(length + 17, NULL, 10);
    return total <= n ? total : 0;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct script_conn *c = h->data;
    (void)hint;
    *buf = uv_buf_init(c->in + c->in_bytes, (unsigned)(sizeof(c->in) - 1 - c->in_bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct script_conn *c = stream->data;
    (void)buf;
    if (n < 0) {
        conn_close(c, false);
        return;
    }
    c->in_bytes += (size_t)n;
    c->in[c->in_bytes] = 0;
    if (c->server && request_bytes(c->in, c->in_bytes)) {
        conn_answer(c);
        c->in_bytes = 0;
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct script_server *s = listener->data;
    must(status);
    struct script_conn *c = memory(sizeof(*c));
    must(uv_tcp_init(s->loop, &c->tcp));
    c->tcp.data = c;
    must(uv_accept(listener, (uv_stream_t *)&c->tcp));
    c->server = s;
    c->next = s->conns;
    s->conns = c;
    s->accepted++;
    s->open++;
    must(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read));
}

static void on_freed(uv_handle_t *h)
{
    free(h);
}

void script_server_revive(struct script_server *s)
{
    struct sockaddr_in addr;
    must(uv_ip4_addr("127.0.0.1", s->port, &addr));
    s->listener = memory(sizeof(*s->listener));
    must(uv_tcp_init(s->loop, s->listener));
    s->listener->data = s;
    must(uv_tcp_bind(s->listener, (const struct sockaddr *)&addr, 0));
    must(uv_listen((uv_stream_t *)s->listener, 64, on_connection));
    int length = sizeof(addr);
    must(uv_tcp_getsockname(s->listener, (struct sockaddr *)&addr, &length));
    s->port = ntohs(addr.sin_port);
}

void script_server_start(struct script_server *s, uv_loop_t *loop)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    script_server_says(s, SCRIPT_ANSWER, 200, "{\"status\":\"ok\"}");
    script_server_revive(s);
}

void script_server_says(struct script_server *s, enum script_mode mode, uint16_t status,
                        const char *body)
{
    s->mode = mode;
    s->status = status;
    s->body = body;
}

void script_server_kill(struct script_server *s)
{
    while (s->conns)
        conn_close(s->conns, true);
    if (s->listener)
        uv_close((uv_handle_t *)s->listener, on_freed);
    s->listener = NULL;
}

char *script_server_url(const struct script_server *s, char *buf, size_t cap)
{
    (void)snprintf(buf, cap, "http://127.0.0.1:%u", s->port);
    return buf;
}

/* For a hang, not for a machine that is slow. */
#define LIMIT_NS UINT64_C(300000000000)

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

bool script_run_until(uv_loop_t *loop, bool (*ready)(void *ctx), void *ctx)
{
    const uint64_t end = uv_hrtime() + LIMIT_NS;
    /* One turn runs timers first and waits for events afterwards: without a tick it would sleep although a
     * timer has just brought what is waited for. */
    uv_timer_t *tick = memory(sizeof(*tick));
    must(uv_timer_init(loop, tick));
    must(uv_timer_start(tick, on_tick, 5, 5));
    bool done = ready(ctx);
    while (!done && uv_hrtime() < end) {
        (void)uv_run(loop, UV_RUN_ONCE);
        done = ready(ctx);
    }
    uv_close((uv_handle_t *)tick, on_freed);
    (void)uv_run(loop, UV_RUN_NOWAIT);
    return done;
}

static void tell(uv_handle_t *h, void *ctx)
{
    (void)ctx;
    print_error("left open: %s%s\n", uv_handle_type_name(h->type),
                uv_is_closing(h) ? " (closing)" : "");
}

void script_loop_finish(uv_loop_t *loop)
{
    (void)uv_run(loop, UV_RUN_DEFAULT);
    uv_walk(loop, tell, NULL);
    assert_int_equal(uv_loop_close(loop), 0);
}
