/* A request of our own beside an exchange: to see what stands in a region, or to tell it what another was told. It goes out as its client's, with the client's
 * credentials, on a connection of its own; its answer is gathered, within a bound, and is for us alone.
 *
 *   begin ──connection──► asked ──answer whole──► done(OK)
 *     │         └───────────┴── broken off, too long, late ──► done(error)
 *     └─► an error at once
 *
 * A connection that turns out to be stale is replaced once. Nothing of it is evidence for or against a region but where
 * our own credentials are refused, and it asks nothing further by itself. On the worker's thread; the struct lives in the exchange's arena. */
#ifndef DAVENPORT_SRC_PROXY_INQUIRY_H
#define DAVENPORT_SRC_PROXY_INQUIRY_H

#include "davenport/base/attr.h"
#include "davenport/base/buf.h"
#include "davenport/base/err.h"
#include "davenport/http/head.h"
#include "davenport/net/timer.h"

#include "proxy/pool.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_exchange;
struct dp_upstream;

/* What is asked; all of it must live as long as the exchange. */
struct dp_inquiry_ask {
    uint16_t endpoint;     /* of x->view */
    struct dp_span target; /* path and query */
    struct dp_span body;   /* JSON, sent with POST; .n == 0: GET */
    bool again; /* instead of both: the client's own request once more, which is there as a whole */
    size_t max_bytes; /* of the answer's body */
};

struct dp_inquiry {
    struct dp_exchange *x; /* NULL: none is under way */
    struct dp_inquiry_ask ask;
    /* Later, once, unless it was dropped. DP_OK: the answer is whole. ETIMEOUT, EBODYSIZE, ENOMEM, or how the connection
     * failed. May drop it, begin it anew, or end the exchange. */
    void (*done)(struct dp_inquiry *q, enum dp_err err);
    struct dp_head answer;
    struct dp_buf body; /* of the answer, decoded */
    struct dp_lease lease;
    struct dp_upstream *up;
    struct dp_timer timer; /* the whole of it */
    uint64_t sent_turn, sent_mark;
    uint8_t interim; /* 1xx answers so far */
    bool headed;     /* the answer's head is whole */
    bool anew;       /* its first connection was stale */
};

/* *q is all zero or was used before; what it held is let go. On failure `done` is not called. */
DP_MUST_USE enum dp_err dp_inquiry_begin(struct dp_inquiry *q, struct dp_exchange *x,
                                         const struct dp_inquiry_ask *ask,
                                         void (*done)(struct dp_inquiry *q, enum dp_err err));
/* Let go of all of it, the answer too. Idempotent; all zero is fine. */
void dp_inquiry_drop(struct dp_inquiry *q);

/* The upstream connection's calls. */
void dp_inquiry_read(struct dp_inquiry *q, const char *p, size_t n);
void dp_inquiry_end(struct dp_inquiry *q, enum dp_err err);

#endif
