/* Reads a compressed answer as it passes: Content-Encoding gzip or deflate, cut anywhere, in constant memory (zlib's
 * window, 40 KiB). What a server flushed is there at once, so a feed's lines and heartbeats are not held up. One
 * thread. */
#ifndef DAVENPORT_COUCH_UNPACK_H
#define DAVENPORT_COUCH_UNPACK_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct dp_unpack;

/* Is this a value of Content-Encoding that can be read here? */
bool dp_unpack_knows(struct dp_span coding);

/* Which of the codings it is is seen at the first byte: gzip, zlib, or deflate without a frame, as some servers send it.
 * NULL: out of memory. */
struct dp_unpack *dp_unpack_new(void);
void dp_unpack_free(struct dp_unpack *u); /* NULL is fine */

/* Take up to n bytes from p, write up to cap (> 0) bytes to out. *used: how many were taken, *n_out: how many were
 * written. All is taken unless out is full: then call again with the rest. May be called with n == 0: for what had no
 * room. Errors: DP_EIO (these are no such bytes; for good), DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_unpack_run(struct dp_unpack *u, const char *p, size_t n, size_t *used,
                                      char *out, size_t cap, size_t *n_out);
/* Everything that was begun has ended: a body may end here. True also when nothing came. */
bool dp_unpack_whole(const struct dp_unpack *u);

#endif
