/* A region that a request names, for administration: Davenport-Region: NAME, or /_region/NAME/… in place of /…. No
 * path of CouchDB's begins so. Pure. */
#ifndef DAVENPORT_SRC_PROXY_NAMED_H
#define DAVENPORT_SRC_PROXY_NAMED_H

#include "davenport/base/err.h"
#include "davenport/http/head.h"
#include "davenport/proxy/worker.h"

/* *name: what is named, .p == NULL: nothing is. *prefix: what was taken off the target, if anything was; the target then
 * is the region's. Both point into the head. DP_ENOSUCHREGION: it names two. */
DP_MUST_USE enum dp_err dp_named_region(struct dp_head *h, const struct dp_proxy_config *c,
                                        struct dp_span *name, struct dp_span *prefix);

#endif
