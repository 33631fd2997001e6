/* The answer of _bulk_get?revs=true: documents with their leaves and histories. Pure. */
#ifndef DAVENPORT_DRILL_LEAVES_H
#define DAVENPORT_DRILL_LEAVES_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/drill/audit.h"

#include <stdbool.h>
#include <stddef.h>

/* Valid during the call; n at least 1. */
typedef void (*dp_leaves_fn)(void *ctx, struct dp_span id, const struct dp_leaf *leaves, size_t n);

/* Each document that has leaves in the answer, once, whatever order they stand in; the same revision counts once. run: whose
 * tags are meant. *absent: revisions that are not there. Errors: DP_EINVAL (not what CouchDB answers there; jansson may tell a lack of memory so, too), DP_ENOMEM; documents
 * before the bad one may have been told. */
DP_MUST_USE enum dp_err dp_leaves_read(struct dp_span body, const char *run, dp_leaves_fn fn,
                                       void *ctx, size_t *absent);

/* The revision of a document that was read: {"_rev":…}. False, *out untouched: it has none. */
DP_MUST_USE bool dp_leaves_rev(struct dp_span body, char out[DP_LEDGER_REV]);

#endif
