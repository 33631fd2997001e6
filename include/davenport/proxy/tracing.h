/* Finished spans on their way out of a worker: what a trace tells of a request, and of each attempt that it took.
 *
 *   worker:  dp_tracing_put ──► ring, one a worker ──► dp_tracing_take: the control loop, which tells a collector
 *
 * One thread puts and one takes; neither waits, locks or allocates. When the ring is full a span is dropped, and the one
 * who puts counts it. A span says what was done for a request, and nothing that a client chose but the method and the
 * database: no path, no query, no headers, no addresses of clients. */
#ifndef DAVENPORT_PROXY_TRACING_H
#define DAVENPORT_PROXY_TRACING_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_TRACE_ID_CHARS 32
#define DP_SPAN_ID_CHARS  16

/* What is longer is cut, and ends in "...". */
#define DP_TRACING_NAME_BYTES 128

/* Strings end in NUL; those that are pointers are constants of the program; NULL: not known. */
struct dp_tracing_span {
    /* Hexadecimal digits in lower case, without a NUL. */
    char trace[DP_TRACE_ID_CHARS], id[DP_SPAN_ID_CHARS];
    char parent[DP_SPAN_ID_CHARS]; /* parent[0] == '\0': none, the trace begins here */
    bool remote;                   /* the parent is the client's */
    bool attempt;               /* one attempt in a region; else the request, all attempts in it */
    int64_t begun_ns, ended_ns; /* since 1970 */
    const char *method;         /* "GET" and the like; "_OTHER": none that CouchDB knows */
    const char *klass, *kind;   /* what it means to CouchDB: see couch/request.h */
    uint16_t status;            /* told to the client; of an attempt: by the region; 0: none was */
    const char *reason;         /* of the request: core/reason.h; NULL: a plain success */
    const char *outcome;        /* of the attempt: core/outcome.h; NULL: it was given up unsent */
    bool failed;                /* no answer, or one of the region's own trouble */
    bool hedge;                 /* the attempt: asked beside another */
    bool reused;                /* the attempt: on a connection that had carried a request before */
    bool client_tls;            /* the request: its client came by TLS */
    uint8_t minor;              /* the request: HTTP/1.minor */
    uint32_t attempts;          /* begun, until then */
    uint64_t bytes_in, bytes_out; /* the request: of its body and the answer's */
    uint64_t hold_ns;             /* the request: in wait for a region */
    uint64_t queue_ns;            /* in wait for a connection */
    char region[64], endpoint[DP_TRACING_NAME_BYTES]; /* of the last attempt; "": none */
    char database[DP_TRACING_NAME_BYTES];             /* the request: ""; it is of none */
};

struct dp_tracing_ring;

/* Room for `spans` at least. NULL: out of memory. */
DP_MUST_USE struct dp_tracing_ring *dp_tracing_ring_new(uint32_t spans);
void dp_tracing_ring_free(struct dp_tracing_ring *r); /* NULL is fine */

/* The worker's thread. False: it is full, and the span is not kept. */
DP_MUST_USE bool dp_tracing_put(struct dp_tracing_ring *r, const struct dp_tracing_span *s);
/* The other thread. The oldest, until dp_tracing_took; NULL: there is none. */
const struct dp_tracing_span *dp_tracing_peek(struct dp_tracing_ring *r);
void dp_tracing_took(struct dp_tracing_ring *r);

#endif
