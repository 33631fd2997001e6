/* TCP streams over libuv.
 *
 * Reading: every read lands in the loop's one scratch buffer, which the owner uses up in on_read,
 * so an idle connection holds no buffer. Writing: first send(); what the kernel does not take
 * is copied into `out` and goes on with one uv_write at a time. At most FLUSH_CHUNKS go into one
 * uv_write, so that on_drain comes while there is still something to send.
 *
 *   accept ──────────────► OPEN ──┐
 *   dial ──► DIALING ───────┴─────┴─ close ─► CLOSING ─► on_close
 *      └───► FAILED (at once; on_connect is told when the handle is closed) ─┘
 *
 * What is written or finished while DIALING waits in `out` until the connection stands.
 *
 * Invariants: `in_flight` bytes at the head of `out` belong to libuv until write_done. After
 * close() only on_close is called. The struct is freed in libuv's close callback, never earlier. */
#include "davenport/net/tcp.h"

#include "net/ip_text.h"
#include "net/tcp_info.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <uv.h>

#define FLUSH_CHUNKS 4
#define MAX_SPANS    64
#define GATHER_BYTES 2048

enum state { DIALING, FAILED, OPEN, CLOSING };

/* Never two at a time: connect, then writes. */
union request {
    uv_connect_t connect;
    uv_write_t write;
};

struct tcp {
    struct dp_stream base; /* first */
    struct dp_net *net;
    uv_tcp_t handle;
    union request *request; /* while libuv has one of ours; NULL most of the time */
    struct dp_buf out;
    size_t in_flight;
    uint64_t written; /* by the owner, what waits in `out` included */
    enum dp_err err;  /* sticky: first write error */
    enum state state;
    bool last;          /* our end follows what is written now */
    bool want_shutdown; /* when all is out */
    bool ended;         /* on_end was told: never twice */
};

static struct tcp *tcp_of(struct dp_stream *s)
{
    return (struct tcp *)(void *)s;
}

static bool closing(const struct tcp *t)
{
    return t->state == FAILED || t->state == CLOSING;
}

static enum dp_err err_of(int uv)
{
    switch (uv) {
    case UV_ECONNRESET:
    case UV_EPIPE:
        return DP_ERESET;
    case UV_ETIMEDOUT:
        return DP_ETIMEOUT;
    case UV_ENOMEM:
    case UV_ENOBUFS:
        return DP_ENOMEM;
    case UV_ECANCELED:
        return DP_ECANCELED;
    default:
        return DP_EIO;
    }
}

static void alloc_scratch(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    struct tcp *t = h->data;
    *buf = uv_buf_init(t->net->scratch, DP_READ_BYTES);
}

/* What an end of file is. When a reset comes behind bytes that were not yet read, libuv (1.44) takes
 * the hang-up for an orderly end without looking: a cut answer would pass for a whole one. The socket
 * knows better. EPIPE is a reset behind the peer's FIN: then all its bytes were here. */
static enum dp_err eof_reason(const struct tcp *t)
{
    uv_os_fd_t fd;
    int e = 0;
    socklen_t len = sizeof(e);
    if (uv_fileno((const uv_handle_t *)&t->handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0 || e == 0 || e == EPIPE)
        return DP_OK;
    return err_of(uv_translate_sys_error(e));
}

static void read_done(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct tcp *t = h->data;
    if (n > 0) {
        t->base.events->on_read(t->base.owner, buf->base, (size_t)n);
    } else if (n < 0) { /* 0 is libuv's EAGAIN */
        t->ended = true;
        t->base.events->on_end(t->base.owner, n == UV_EOF ? eof_reason(t) : err_of((int)n));
    }
}

static void tcp_read_start(struct dp_stream *s)
{
    struct tcp *t = tcp_of(s);
    if (!closing(t) && !t->ended) /* UV_EALREADY is fine; other errors show at the next write */
        (void)uv_read_start((uv_stream_t *)&t->handle, alloc_scratch, read_done);
}

static void tcp_read_stop(struct dp_stream *s)
{
    (void)uv_read_stop((uv_stream_t *)&tcp_of(s)->handle); /* always 0 */
}

static void flush(struct tcp *t);

static void write_done(uv_write_t *req, int status)
{
    struct tcp *t = req->handle->data;
    if (closing(t))
        return;
    size_t n = t->in_flight;
    t->in_flight = 0;
    if (status != 0) {
        t->err = err_of(status);
        dp_buf_clear(&t->out);
    } else {
        dp_buf_consume(&t->out, n);
        flush(t);
    }
    if (t->out.bytes <= DP_STREAM_HIGH_BYTES / 2)
        t->base.events->on_drain(t->base.owner);
}

static void drop_request(struct tcp *t)
{
    free(t->request);
    t->request = NULL;
}

/* Nothing more can be written. */
static void break_off(struct tcp *t, enum dp_err err)
{
    t->err = err;
    t->in_flight = 0;
    dp_buf_clear(&t->out);
}

/* All that was written is out, so our end may follow at once. The peer is gone already or sees it: either way
 * the owner waits for the peer's own. */
static void finish(struct tcp *t)
{
    uv_os_fd_t fd;
    t->want_shutdown = false;
    if (uv_fileno((const uv_handle_t *)&t->handle, &fd) == 0)
        (void)shutdown(fd, SHUT_WR);
}

/* Hand the head of `out` to libuv, or finish our side when all is out. */
static void flush(struct tcp *t)
{
    struct dp_span spans[FLUSH_CHUNKS];
    uv_buf_t bufs[FLUSH_CHUNKS];
    if (t->state != OPEN || t->in_flight > 0 || t->err)
        return;
    size_t n = dp_buf_peek(&t->out, spans, FLUSH_CHUNKS);
    if (n == 0) {
        drop_request(t);
        if (t->want_shutdown)
            finish(t);
        return;
    }
    if (!t->request)
        t->request = malloc(sizeof(*t->request));
    if (!t->request) {
        break_off(t, DP_ENOMEM);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bufs[i] = uv_buf_init((char *)(uintptr_t)spans[i].p, (unsigned)spans[i].n);
        t->in_flight += spans[i].n;
    }
    int r = uv_write(&t->request->write, (uv_stream_t *)&t->handle, bufs, (unsigned)n, write_done);
    if (r != 0)
        break_off(t, err_of(r));
}

/* Write what the kernel takes now: bytes taken, or a negative libuv error. Not through uv_try_write:
 * a plain send of one piece is the cheapest way into the kernel, so what is small is gathered first. */
static ssize_t write_now(struct tcp *t, const struct dp_span *spans, size_t n)
{
    char small[GATHER_BYTES];
    struct iovec pieces[MAX_SPANS];
    struct msghdr message = {.msg_iov = pieces};
    uv_os_fd_t fd;
    size_t bytes = 0;
    for (size_t i = 0; i < n && message.msg_iovlen < MAX_SPANS; i++) {
        if (spans[i].n == 0)
            continue;
        bytes += spans[i].n;
        pieces[message.msg_iovlen++] = (struct iovec){(char *)(uintptr_t)spans[i].p, spans[i].n};
    }
    if (bytes == 0)
        return 0;
    if (message.msg_iovlen > 1 && bytes <= sizeof(small)) {
        char *end = small;
        for (size_t i = 0; i < message.msg_iovlen; i++)
            end = mempcpy(end, pieces[i].iov_base, pieces[i].iov_len);
        pieces[0] = (struct iovec){small, bytes};
        message.msg_iovlen = 1;
    }
    int r = uv_fileno((const uv_handle_t *)&t->handle, &fd);
    if (r != 0)
        return r;
    ssize_t sent;
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (t->last ? MSG_MORE : 0);
    do
        sent = message.msg_iovlen == 1 ? send(fd, pieces[0].iov_base, pieces[0].iov_len, flags)
                                       : sendmsg(fd, &message, flags);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN ? 0 : uv_translate_sys_error(errno);
}

static enum dp_err tcp_write(struct dp_stream *s, const struct dp_span *spans, size_t n)
{
    struct tcp *t = tcp_of(s);
    size_t taken = 0;
    if (t->err)
        return t->err;
    if (closing(t))
        return DP_ECLOSED;
    if (t->state == OPEN && t->out.bytes == 0) {
        ssize_t r = write_now(t, spans, n);
        if (r < 0) {
            t->err = err_of((int)r);
            return t->err;
        }
        taken = (size_t)r;
    }
    for (size_t i = 0; i < n; i++) {
        size_t skip = taken < spans[i].n ? taken : spans[i].n;
        taken -= skip;
        enum dp_err err = dp_buf_append(&t->out, spans[i].p + skip, spans[i].n - skip);
        if (err) {
            t->err = err;
            return err;
        }
        t->written += spans[i].n;
    }
    if (t->out.bytes > 0)
        flush(t);
    return t->err;
}

static uint64_t tcp_written(const struct dp_stream *s)
{
    return ((const struct tcp *)(const void *)s)->written;
}

static bool tcp_reached(const struct dp_stream *s, uint64_t mark)
{
    const struct tcp *t = (const struct tcp *)(const void *)s;
    uint64_t acked;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&t->handle, &fd) != 0 || !dp_tcp_acked(fd, &acked))
        return true;
    return acked > mark;
}

static size_t tcp_pending(const struct dp_stream *s)
{
    return ((const struct tcp *)(const void *)s)->out.bytes;
}

static uint64_t tcp_taken(const struct dp_stream *s)
{
    const struct tcp *t = (const struct tcp *)(const void *)s;
    uint64_t acked;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&t->handle, &fd) != 0 || !dp_tcp_acked(fd, &acked))
        return t->written - t->out.bytes; /* not TCP */
    return acked;
}

static void tcp_last(struct dp_stream *s)
{
    tcp_of(s)->last = true;
}

static void tcp_shutdown(struct dp_stream *s)
{
    struct tcp *t = tcp_of(s);
    t->want_shutdown = true;
    flush(t);
}

static void close_done(uv_handle_t *h)
{
    struct tcp *t = h->data;
    if (t->state == FAILED) { /* tell it now, as it may not be told inside the call */
        t->state = CLOSING;
        t->base.events->on_connect(t->base.owner, t->err);
    }
    dp_buf_clear(&t->out);
    drop_request(t);
    t->base.events->on_close(t->base.owner);
    free(t);
}

static void tcp_close(struct dp_stream *s, bool reset)
{
    struct tcp *t = tcp_of(s);
    bool already = closing(t);
    t->state = CLOSING; /* from FAILED too: whoever closes wants to hear no more */
    if (already)
        return;
    if (reset && uv_tcp_close_reset(&t->handle, close_done) == 0)
        return;
    uv_close((uv_handle_t *)&t->handle, close_done);
}

static const struct dp_stream_ops tcp_ops = {
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .write = tcp_write,
    .pending = tcp_pending,
    .last = tcp_last,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
    .written = tcp_written,
    .reached = tcp_reached,
    .taken = tcp_taken,
};

static struct tcp *tcp_new(struct dp_net *net, const struct dp_stream_events *events, void *owner,
                           enum state state)
{
    struct tcp *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    if (uv_tcp_init(net->loop, &t->handle) != 0) {
        free(t);
        return NULL;
    }
    t->base = (struct dp_stream){&tcp_ops, events, owner};
    t->net = net;
    t->state = state;
    t->handle.data = t;
    dp_buf_init(&t->out, net->chunks);
    return t;
}

static void free_handle(uv_handle_t *h)
{
    free(h->data);
}

enum dp_err dp_tcp_open(struct dp_net *net, int fd, const struct dp_stream_events *events,
                        void *owner, struct dp_stream **out)
{
    struct tcp *t = tcp_new(net, events, owner, OPEN);
    if (!t) {
        (void)close(fd);
        return DP_ENOMEM;
    }
    /* To libuv a stream is a stream: this handle serves a Unix socket's connections as well, and all that would fail there
     * (no delay, a reset) does so without harm. */
    if (uv_tcp_open(&t->handle, fd) != 0) {
        (void)close(fd);
        uv_close((uv_handle_t *)&t->handle, free_handle);
        return DP_EIO;
    }
    *out = &t->base;
    return DP_OK;
}

static void connect_done(uv_connect_t *req, int status)
{
    struct tcp *t = req->handle->data;
    if (closing(t))
        return;
    t->state = OPEN;
    if (status != 0)
        t->err = status == UV_ETIMEDOUT ? DP_ETIMEOUT : DP_ECONNECT;
    if (t->out.bytes == 0)
        drop_request(t);
    flush(t);
    t->base.events->on_connect(t->base.owner, t->err);
}

enum dp_err dp_tcp_dial(struct dp_net *net, const char *ip, uint16_t port,
                        const struct dp_stream_events *events, void *owner, struct dp_stream **out)
{
    struct sockaddr_storage ss;
    if (uv_ip4_addr(ip, port, (struct sockaddr_in *)(void *)&ss) != 0 &&
        uv_ip6_addr(ip, port, (struct sockaddr_in6 *)(void *)&ss) != 0)
        return DP_EINVAL;
    struct tcp *t = tcp_new(net, events, owner, DIALING);
    if (!t)
        return DP_ENOMEM;
    t->request = malloc(sizeof(*t->request));
    if (!t->request) {
        uv_close((uv_handle_t *)&t->handle, free_handle);
        return DP_ENOMEM;
    }
    int r = uv_tcp_connect(&t->request->connect, &t->handle, (struct sockaddr *)&ss, connect_done);
    if (r != 0) {
        t->err = DP_ECONNECT;
        tcp_close(&t->base, false);
        t->state = FAILED;
    } else {
        (void)uv_tcp_nodelay(&t->handle, 1);
    }
    *out = &t->base;
    return DP_OK;
}

static bool name_of(const struct sockaddr_storage *ss, char *buf, size_t cap)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)ss;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)ss;
    switch (ss->ss_family) {
    case AF_INET:
        return dp_ip_text(AF_INET, &v4->sin_addr, buf, cap);
    case AF_INET6:
        return dp_ip_text(AF_INET6, &v6->sin6_addr, buf, cap);
    case AF_UNIX:
        return snprintf(buf, cap, "%s", DP_PEER_UNIX) > 0;
    default:
        return false;
    }
}

void dp_tcp_peer(struct dp_stream *s, char *buf, size_t cap)
{
    static const char unknown[] = "unknown";
    struct sockaddr_storage ss;
    int len = sizeof(ss);
    bool ok = s->ops == &tcp_ops &&
              uv_tcp_getpeername(&tcp_of(s)->handle, (struct sockaddr *)&ss, &len) == 0;
    ok = ok && name_of(&ss, buf, cap);
    if (!ok && cap >= sizeof(unknown))
        memcpy(buf, unknown, sizeof(unknown));
}
