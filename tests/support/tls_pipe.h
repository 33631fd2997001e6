/* Two streams joined back to back, without sockets or a loop: what one writes waits until the test
 * delivers it to the other, in pieces of any size. So every cut of a byte stream can be tried, and
 * everything is written to a full socket. Each end lives on the heap until its on_close, so that the
 * address sanitizer sees a late use. */
#ifndef DAVENPORT_TESTS_SUPPORT_TLS_PIPE_H
#define DAVENPORT_TESTS_SUPPORT_TLS_PIPE_H

#include "davenport/net/stream.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_PIPE_NEVER ((size_t)-1)

struct tls_pipe_end;

struct tls_pipe {
    struct tls_pipe_end *end[2]; /* NULL once closed for good */
    size_t sent[2];              /* bytes that came from each end and were delivered */
    size_t cut_at[2];    /* after this many bytes the connection breaks in this direction… */
    enum dp_err cut_err; /* …as DP_OK (FIN) or an error, which breaks the other direction too */
    size_t room[2];      /* bytes an end takes in all; more is DP_ENOMEM */
    unsigned calls[2];   /* of write, with bytes */
    bool was_reset[2];   /* this end was closed with a reset */
    bool finished[2];    /* this end was shut down or closed in order */
};

void tls_pipe_init(struct tls_pipe *p);
/* Both ends must have been closed. */
void tls_pipe_fini(struct tls_pipe *p);
struct dp_stream *tls_pipe_stream(struct tls_pipe *p, int which);

/* One event each way, if there is one: up to `max` bytes, an end, a drain, a close. False: nothing
 * happened. */
bool tls_pipe_step(struct tls_pipe *p, size_t max);
/* Until nothing happens. */
void tls_pipe_run(struct tls_pipe *p, size_t max);

#endif
