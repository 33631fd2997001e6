/* URLs in heads: a region's own origin is not where its client came from. CouchDB makes Location of X-Forwarded-Host and
 * -Proto where it gets them (transcript 12), others of Host; what still points at the region is pointed at us. Pure. */
#ifndef DAVENPORT_SRC_PROXY_ORIGIN_H
#define DAVENPORT_SRC_PROXY_ORIGIN_H

#include "davenport/base/arena.h"
#include "davenport/http/head.h"

struct dp_origin {
    struct dp_span authority; /* by which the client asked us; .n == 0: it did not say */
    struct dp_span prefix;    /* "/_region/NAME" of its target; .n == 0: none */
    bool tls;                 /* it came by TLS */
};

/* The answer's Location for the client, in `a`; the field's own value where nothing is to change; .p == NULL: out of
 * memory. host: the region's, as it was sent. */
struct dp_span dp_origin_location(struct dp_arena *a, struct dp_span location, const char *host,
                                  const struct dp_origin *o);

/* Destination of a COPY for the region: CouchDB wants it relative to the database, and answers 400 to a URL. One that
 * begins with our own origin and the database of the request becomes so, its query kept; any other is as it was. */
struct dp_span dp_origin_destination(struct dp_span destination, struct dp_span db,
                                     const struct dp_origin *o);

#endif
