/* What both directions of an exchange write: pieces of a body, framed for the wire. */
#ifndef DAVENPORT_PROXY_FRAMED_H
#define DAVENPORT_PROXY_FRAMED_H

#include "davenport/http/head.h"
#include "davenport/net/stream.h"

/* Pieces of a body in one write; the kernel's own limit is far above. */
#define DP_BODY_SPANS 32

extern const struct dp_span dp_last_chunk;

/* What stands behind the spans of one write. */
struct dp_tail {
    bool last;               /* the body ends with them */
    struct dp_span trailers; /* then, if it is chunked */
};

/* Write body spans (any number up to DP_BODY_SPANS) with `head` before them, framed. Errors: as dp_stream_write. */
DP_MUST_USE enum dp_err dp_write_framed(struct dp_stream *s, enum dp_framing framing,
                                        struct dp_span head, const struct dp_span *spans, size_t n,
                                        struct dp_tail tail);

#endif
