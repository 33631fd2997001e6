/* Writes message heads into memory that the caller owns, and frames bodies.
 * A writer that runs out of room notes it and writes nothing more: check once, at the end. */
#ifndef DAVENPORT_HTTP_WRITER_H
#define DAVENPORT_HTTP_WRITER_H

#include "davenport/base/span.h"
#include "davenport/http/head.h"

struct dp_writer {
    char *p;
    size_t n, cap;
    bool overflow;
};

static inline void dp_writer_init(struct dp_writer *w, char *p, size_t cap)
{
    *w = (struct dp_writer){.p = p, .cap = cap};
}

void dp_write_bytes(struct dp_writer *w, struct dp_span s);
void dp_write_u64(struct dp_writer *w, uint64_t v);
/* "GET /x HTTP/1.1\r\n" */
void dp_write_request_line(struct dp_writer *w, struct dp_span method, struct dp_span target);
/* "HTTP/1.1 200 OK\r\n" */
void dp_write_status_line(struct dp_writer *w, uint16_t status, struct dp_span reason);
/* "name: value\r\n" */
void dp_write_header(struct dp_writer *w, struct dp_span name, struct dp_span value);
/* All end-to-end headers of `h`: not HOP, FRAME or OWN ones, nor those its Connection header names, nor those of the
 * set `without` (DP_HEADER_BIT). */
void dp_write_end_to_end(struct dp_writer *w, const struct dp_head *h, uint64_t without);
/* The Trailer field of `h`, if it has one: such names as may come in its trailers, in one line; nothing when none is
 * left. At most twice as long as what came. */
void dp_write_trailer_names(struct dp_writer *w, const struct dp_head *h);

/* The standard phrase for a status this proxy makes itself ("Service Unavailable"). */
struct dp_span dp_reason_phrase(uint16_t status);

/* The line before a chunk of n > 0 bytes: "1a3f\r\n" into buf; after the bytes goes "\r\n".
 * Returns its length. */
#define DP_CHUNK_HEAD_BYTES 18
size_t dp_chunk_head(char buf[DP_CHUNK_HEAD_BYTES], uint64_t n);

#endif
