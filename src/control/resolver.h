/* Host names of endpoints, looked up again and again off the data path. A numeric host is never looked up.
 * Control thread only; lookups run in libuv's thread pool. */
#ifndef DAVENPORT_CONTROL_RESOLVER_H
#define DAVENPORT_CONTROL_RESOLVER_H

#include "davenport/base/attr.h"
#include "davenport/core/view.h"

#include <stdint.h>

#include <uv.h>

struct dp_resolver;

/* A host's addresses, in the resolver's order (RFC 6724). */
#define DP_RESOLVED_MAX 8
struct dp_resolved {
    uint16_t n;      /* 0: the lookup failed */
    const char *why; /* then: for people; valid during the call */
    char ip[DP_RESOLVED_MAX][DP_ADDR_TEXT];
};

struct dp_resolver_options {
    uv_loop_t *loop;
    uint32_t refresh_ms; /* after a lookup that succeeded */
    uint32_t retry_ms;   /* after one that failed */
    void (*result)(void *ctx, uint16_t endpoint, const struct dp_resolved *r);
    void *ctx;
};

/* hosts[i]: a name, or NULL for an endpoint that needs none. Copied. NULL when out of memory. */
DP_MUST_USE struct dp_resolver *dp_resolver_new(const struct dp_resolver_options *opt,
                                                const char *const *hosts, uint16_t n);
/* Look all names up now, then on their own time. */
void dp_resolver_start(struct dp_resolver *r);
/* `done` runs when the memory is gone; a lookup under way is waited for, its result dropped. */
void dp_resolver_destroy(struct dp_resolver *r, void (*done)(void *ctx), void *ctx);

/* Which address to use: the present one as long as it is among them, else the first; NULL when there is none. Pure. */
const char *dp_resolved_pick(const struct dp_resolved *r, const char *present);

#endif
