/* Accepts connections on a bound socket, TCP or Unix, on a loop. What can't be accepted now waits in the kernel: without
 * descriptors or memory the acceptor pauses instead of asking again and again, and goes on by itself. One thread. */
#ifndef DAVENPORT_NET_ACCEPTOR_H
#define DAVENPORT_NET_ACCEPTOR_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

typedef struct uv_loop_s uv_loop_t;

struct dp_acceptor;

struct dp_acceptor_events {
    /* A connection, non-blocking and close-on-exec: the callee's from now on. */
    void (*accepted)(void *ctx, int fd);
    /* A pause begins. NULL: nobody wants to know. */
    void (*paused)(void *ctx);
};

/* Listens on fd and accepts from it; fd is the acceptor's from here on, on failure it stays the caller's and *why tells a
 * person. */
DP_MUST_USE enum dp_err dp_acceptor_new(uv_loop_t *loop, int fd, int backlog,
                                        const struct dp_acceptor_events *events, void *ctx,
                                        struct dp_acceptor **out, const char **why);
/* The socket, the acceptor's own. */
int dp_acceptor_socket(const struct dp_acceptor *a);
/* Stops listening at once. closed (or NULL) runs later, when the memory is gone. */
void dp_acceptor_close(struct dp_acceptor *a, void (*closed)(void *ctx));

#endif
