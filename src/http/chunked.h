/* The chunked transfer coding, read strictly. Private to http. */
#ifndef DAVENPORT_SRC_HTTP_CHUNKED_H
#define DAVENPORT_SRC_HTTP_CHUNKED_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dp_chunked_state {
    DP_CHUNKED_SIZE,      /* hex digits of a chunk's size */
    DP_CHUNKED_EXTENSION, /* behind ';' */
    DP_CHUNKED_SIZE_LF,   /* the size line's line feed */
    DP_CHUNKED_DATA,      /* `left` bytes of the body */
    DP_CHUNKED_DATA_CR,   /* the line end behind them */
    DP_CHUNKED_DATA_LF,
    DP_CHUNKED_TRAILER, /* a trailer line's first byte, or the last line's CR */
    DP_CHUNKED_TRAILER_NAME,
    DP_CHUNKED_TRAILER_VALUE,
    DP_CHUNKED_TRAILER_LF,
    DP_CHUNKED_END_LF, /* the last line feed */
    DP_CHUNKED_DONE
};

struct dp_chunked {
    enum dp_chunked_state state;
    uint64_t left;          /* the chunk's size while it is read, then what is still to come */
    uint32_t digits;        /* of the size, leading zeros included */
    uint32_t overhead;      /* bytes of framing not yet paid for by payload */
    uint32_t trailer_bytes; /* so far */
    uint32_t trailer_max;
};

/* trailer_max: bytes of the trailer section, its final empty line included. */
void dp_chunked_init(struct dp_chunked *c, uint32_t trailer_max);

/* Decode: spans into [p, p + n), at most `max`, *n_spans of them. *consumed < n when the list was full or the
 * body has ended (state DONE). On an error *consumed points at the fault, and the spans hold what stood
 * before it. Errors: DP_EFRAMING, DP_EHEADSIZE (trailers too long). */
DP_MUST_USE enum dp_err dp_chunked_read(struct dp_chunked *c, const char *p, size_t n,
                                        size_t *consumed, struct dp_span *spans, size_t max,
                                        size_t *n_spans);

#endif
