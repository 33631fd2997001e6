/* Host names of endpoints, looked up again and again off the data path. A numeric host is never looked up.
 * Control thread only; lookups run in libuv's thread pool. */
#ifndef DAVENPORT_CONTROL_RESOLVER_H
#define DAVENPORT_CONTROL_RESOLVER_H

#include "davenport/base/attr.h"
#include "davenport/core/view.h"

#include <stdint.h>

#include <uv.h>

struct dp_resolver;

struct dp_resolver_target {
    const char *host; /* NULL: an endpoint without a name. Copied. */
    uint16_t port;    /* for its addresses */
};

struct dp_resolver_options {
    uv_loop_t *loop;
    uint32_t refresh_ms; /* after a lookup that succeeded */
    uint32_t retry_ms;   /* after one that failed */
    /* addrs: in the order of net/lookup.h. None: the lookup failed, and `why` tells people; valid during the
     * call. May destroy the resolver. */
    void (*result)(void *ctx, uint16_t endpoint, const struct dp_addrs *addrs, const char *why);
    void *ctx;
};

/* One target an endpoint. NULL when out of memory. */
DP_MUST_USE struct dp_resolver *dp_resolver_new(const struct dp_resolver_options *opt,
                                                const struct dp_resolver_target *targets,
                                                uint16_t n);
/* Look all names up now, then on their own time. */
void dp_resolver_start(struct dp_resolver *r);
/* `done` runs when the memory is gone; a lookup under way is waited for, its result dropped. */
void dp_resolver_destroy(struct dp_resolver *r, void (*done)(void *ctx), void *ctx);
#endif
