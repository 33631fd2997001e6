/* The view: all that a worker knows of the world, built by the governor, immutable once published,
 * shared by reference count. A worker pins one view an exchange, so that one request is routed by
 * one truth. */
#ifndef DAVENPORT_CORE_VIEW_H
#define DAVENPORT_CORE_VIEW_H

#include "davenport/base/addr.h"
#include "davenport/base/attr.h"
#include "davenport/core/credential.h"
#include "davenport/core/fault.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_MAX_REGIONS   16
#define DP_MAX_ENDPOINTS 32
#define DP_NO_REGION     UINT16_MAX
/* The region of an endpoint that a reload took out: its place stays empty for a while, for requests may still be on
 * their way there. */
#define DP_VIEW_GONE DP_MAX_REGIONS

/* Whether requests may be sent there, as decided; why is the governor's to tell. */
enum dp_route_state {
    DP_ROUTE_OK,    /* requests may go there */
    DP_ROUTE_DOWN,  /* evidence says that it does not serve: not tried */
    DP_ROUTE_BARRED /* alive but not to be used: draining, held down, or switched off by an operator
                     */
};

const char *dp_route_state_name(enum dp_route_state s); /* "ok", "down", "barred" */

struct dp_view_endpoint {
    uint16_t region;
    enum dp_route_state state;
    struct dp_addrs addrs; /* looked up by the control plane: workers never look names up */
    uint32_t late_ms;    /* a point request without a first byte for so long is late; 0: none is */
    uint32_t usual_ms;   /* what 95 of 100 of these take at most; 0: not known */
    uint32_t trial;      /* its number, while it is on trial: see core/trial.h */
    uint32_t pool_epoch; /* raised when idle connections must not be used again */
    uint32_t max_in_flight; /* requests of one worker at once; 0: no such cap */
    const char *host;       /* the Host header sent there: "name" or "name:port"; NUL ended */
};

struct dp_view_region {
    const char *name;
    enum dp_route_state state;
    bool held;           /* alive, but it may lack data: takes only what no other region can */
    uint8_t share;       /* percent of the reads it would get: less than 100 while it returns */
    uint32_t latency_us; /* by probes, for a worker without requests there; 0: not known */
    bool injected;       /* requests carry `credential` there, and never what their client sent */
    bool awaits_key;     /* barred for want of a token, which may come any moment */
    struct dp_credential
        *credential; /* injected: NULL when there is none now. The view's reference */
};

struct dp_view {
    _Atomic uint32_t refs;
    uint64_t
        epoch; /* of the decision: monotonic over restarts; in every journal line. late_ms and shares move without it. */
    uint16_t active; /* region that takes the traffic, or DP_NO_REGION */
    uint16_t home; /* where writes stay that never fail over: the most preferred region, or the one
                        that an operator switched to */
    /* The epoch in which traffic last had to leave a region that was down, for the one that is active: what was acknowledged
     * there last may be missing here. 0: not since the start. */
    uint64_t parted;
    uint16_t n_regions, n_endpoints;
    uint32_t
        pause; /* not 0: no write begins; its number, so that workers can say which one they keep */
    uint32_t trial_mask;    /* bit per endpoint that is on trial */
    uint32_t trials;        /* requests that a worker may send there for each trial's number */
    uint32_t retry_after_s; /* told to a client when no region is left */
    uint32_t faulty;        /* bit per region that has one of `faults`; 0: no drill is on */
    uint32_t generation;    /* of the configuration: raised by a reload */
    uint32_t numbering;     /* the generation since which a region's number means what it means */
    char *text;             /* the strings below, where the view has its own; freed with it */
    struct dp_view_region regions[DP_MAX_REGIONS + 1]; /* the last one is DP_VIEW_GONE's */
    struct dp_view_endpoint endpoints[DP_MAX_ENDPOINTS];
    struct dp_fault faults[DP_MAX_REGIONS]; /* what drills make of regions, see core/fault.h */
};

/* The strings a view points at (names, hosts) are in its own text, or outlive it.
 * new: one reference, all shares 100, no region active, zeroed otherwise; NULL when out of memory.
 * ref/unref: any thread. */
struct dp_view *dp_view_new(void);
struct dp_view *dp_view_ref(struct dp_view *v);
void dp_view_unref(struct dp_view *v); /* NULL is fine */

#endif
