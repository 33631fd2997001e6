/* accept4 by hand, behind a uv_poll_t. libuv's own listener (1.44) has two ways to lose itself when accept fails: it asks
 * again within one call as long as the error lasts, so the loop stands still; and without descriptors it closes
 * clients unseen that a pause would have served.
 *
 *   POLLING ──no descriptors, no memory──► PAUSED ──PAUSE_MS──► POLLING          any ──close──► CLOSED
 *
 * Invariant: `poll` is active in POLLING only. */
#include "davenport/net/acceptor.h"

#include "davenport/base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#define PAUSE_MS 50
/* Connections taken in one turn of the loop: those that are open have their turn, too. */
#define BATCH 64

struct dp_acceptor {
    struct dp_acceptor_events events;
    void *ctx;
    void (*closed)(void *ctx);
    uv_poll_t poll;
    uv_timer_t pause;
    unsigned open; /* handles */
    int fd;        /* -1: closed */
    bool troubled; /* the last accept that was not in vain failed, and was logged */
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void listen_again(uv_timer_t *timer)
{
    struct dp_acceptor *a = timer->data;
    (void)uv_poll_start(&a->poll, UV_READABLE, on_readable); /* cannot fail with these events */
}

static void pause_for_a_while(struct dp_acceptor *a, int error)
{
    if (!a->troubled)
        dp_log(DP_LOG_ERROR, "accept_failed", DP_KV_STR("error", strerrordesc_np(error)),
               DP_KV_STR("reason", "new connections wait until it can go on"));
    a->troubled = true;
    (void)uv_poll_stop(&a->poll);
    (void)uv_timer_start(&a->pause, listen_again, PAUSE_MS, 0);
    if (a->events.paused)
        a->events.paused(a->ctx);
}

static void worked(struct dp_acceptor *a)
{
    if (a->troubled)
        dp_log(DP_LOG_INFO, "accept_works_again", DP_KV_INT("fd", a->fd));
    a->troubled = false;
}

/* Errors of the one connection that was to be accepted: it is gone, the next may be there (accept(2)). */
static bool of_the_connection(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default: /* not an enum */
        return false;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct dp_acceptor *a = poll->data;
    (void)events;
    if (status != 0) { /* libuv polls no more */
        pause_for_a_while(a, -status);
        return;
    }
    unsigned lost = 0;
    for (unsigned i = 0; i < BATCH && a->fd >= 0; i++) {
        int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            worked(a);
            a->events.accepted(a->ctx, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (!of_the_connection(errno) || ++lost == BATCH) {
            pause_for_a_while(a, errno);
            return;
        }
    }
}

static void on_closed(uv_handle_t *h)
{
    struct dp_acceptor *a = h->data;
    if (--a->open > 0)
        return;
    if (a->closed)
        a->closed(a->ctx);
    free(a);
}

enum dp_err dp_acceptor_new(uv_loop_t *loop, int fd, int backlog,
                            const struct dp_acceptor_events *events, void *ctx,
                            struct dp_acceptor **out, const char **why)
{
    struct dp_acceptor *a = calloc(1, sizeof(*a));
    if (!a)
        abort(); /* small and fixed */
    int r = listen(fd, backlog) == 0 ? 0 : uv_translate_sys_error(errno);
    if (r == 0)
        r = uv_poll_init(loop, &a->poll, fd);
    if (r != 0) {
        *why = uv_strerror(r);
        free(a);
        return DP_EIO;
    }
    (void)uv_timer_init(loop, &a->pause);
    a->events = *events;
    a->ctx = ctx;
    a->fd = fd;
    a->open = 2;
    a->poll.data = a->pause.data = a;
    listen_again(&a->pause);
    *out = a;
    return DP_OK;
}

int dp_acceptor_socket(const struct dp_acceptor *a)
{
    return a->fd;
}

void dp_acceptor_close(struct dp_acceptor *a, void (*closed)(void *ctx))
{
    a->closed = closed;
    uv_close((uv_handle_t *)&a->poll, on_closed);
    uv_close((uv_handle_t *)&a->pause, on_closed);
    (void)close(a->fd); /* the loop has let go of it */
    a->fd = -1;
}
