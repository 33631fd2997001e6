/* A byte queue made of pooled 16 KiB chunks: what could not be written yet, what may have to be
 * sent again. The pool belongs to one worker and has a hard cap: past it, appending fails and the
 * connection is shed instead of the process dying. One thread. */
#ifndef DAVENPORT_BASE_BUF_H
#define DAVENPORT_BASE_BUF_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stddef.h>

#define DP_CHUNK_BYTES 16384

struct dp_chunk {
    struct dp_chunk *next;
    size_t start, end; /* live bytes: data[start, end) */
    char data[];
};

struct dp_chunk_pool {
    struct dp_chunk *free;
    size_t n_free, n_used, max_free, max_used; /* chunks */
    size_t least_free;                         /* since the last trim: so many were not needed */
};

struct dp_buf {
    struct dp_chunk_pool *pool;
    struct dp_chunk *head, *tail;
    size_t bytes;
};

void dp_chunk_pool_init(struct dp_chunk_pool *p, size_t max_used, size_t max_free);
/* Give the system what lay unused since the last trim, but for max_free chunks. Called about once a
 * second: bodies that come all the time find their chunks where the last ones left them. */
void dp_chunk_pool_trim(struct dp_chunk_pool *p);
/* Another cap; what is used beyond it comes back in its time. */
void dp_chunk_pool_limit(struct dp_chunk_pool *p, size_t max_used);
void dp_chunk_pool_fini(struct dp_chunk_pool *p); /* all chunks must be back */

void dp_buf_init(struct dp_buf *b, struct dp_chunk_pool *pool);
void dp_buf_clear(struct dp_buf *b); /* chunks go back to the pool */

/* All or nothing. DP_ENOMEM at the pool's cap or when the system has no memory. */
DP_MUST_USE enum dp_err dp_buf_append(struct dp_buf *b, const void *p, size_t n);

/* Up to max spans over the first bytes; returns how many. Valid until the next change. */
size_t dp_buf_peek(const struct dp_buf *b, struct dp_span *spans, size_t max);
/* Forget the first n bytes (n <= bytes). */
void dp_buf_consume(struct dp_buf *b, size_t n);

/* Walking without consuming, for a body that may be sent again. */
struct dp_buf_iter {
    const struct dp_chunk *chunk;
};
static inline struct dp_buf_iter dp_buf_begin(const struct dp_buf *b)
{
    return (struct dp_buf_iter){b->head};
}
/* False at the end. */
bool dp_buf_next(struct dp_buf_iter *it, struct dp_span *out);

#endif
