/* Fields behind a body. Private to http. */
#ifndef DAVENPORT_SRC_HTTP_TRAILER_H
#define DAVENPORT_SRC_HTTP_TRAILER_H

#include "davenport/base/arena.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/http/head.h"

/* section: lines that chunked.c found well formed, the final empty one included. Sets h->trailers to those that may be
 * passed on, in memory of `arena`. Errors: EHEADSIZE (more than `max` fields), ENOMEM. */
DP_MUST_USE enum dp_err dp_trailers_take(struct dp_head *h, struct dp_span section, uint32_t max,
                                         struct dp_arena *arena);

#endif
