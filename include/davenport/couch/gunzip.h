/* Reads a gzip body that is there as a whole (SDKs of Cloudant compress their requests). One member and nothing behind
 * it, as CouchDB makes of it; all else is not for us to repair. Any thread. */
#ifndef DAVENPORT_COUCH_GUNZIP_H
#define DAVENPORT_COUCH_GUNZIP_H

#include "davenport/base/attr.h"
#include "davenport/base/buf.h"
#include "davenport/base/err.h"

/* Takes the next bytes; anything but DP_OK ends it. */
typedef enum dp_err (*dp_gunzip_fn)(void *ctx, const char *p, size_t n);

/* Give what `in` holds, inflated, to `take`, in pieces of a few KiB: as many as `take` wants, however small `in` is.
 * DP_EIO: it is no whole gzip member, or more than one. DP_ENOMEM. Else what `take` said. */
DP_MUST_USE enum dp_err dp_gunzip(const struct dp_buf *in, dp_gunzip_fn take, void *ctx);

#endif
