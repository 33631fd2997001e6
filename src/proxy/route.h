/* Between one request and the policy: what the policy is told of it, and what is remembered of where it went.
 * On the worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_ROUTE_H
#define DAVENPORT_SRC_PROXY_ROUTE_H

#include "davenport/core/policy.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_exchange;

/* The number of the region of this name, DP_NO_REGION: there is none. A reload may change it. */
uint16_t dp_route_region(const struct dp_view *v, struct dp_span name);

/* The request is understood: which rule it goes by. */
void dp_route_begin(struct dp_exchange *x);

/* Where to send it, by x->view. SEND: the attempt counts as under way there, until dp_route_ended. */
struct dp_route dp_route_next(struct dp_exchange *x);
void dp_route_ended(struct dp_exchange *x); /* idempotent */
/* By the newest view: who else than its region, *endpoint, may have it now, one that lacks nothing. */
bool dp_route_other(struct dp_exchange *x, uint16_t *endpoint);
/* By the newest view: where it would go now, as far as the budgets allow it. Nothing is noted. */
struct dp_route dp_route_peek(struct dp_exchange *x);

/* Where it would go if it named that region, after these attempts. */
struct dp_route dp_route_within(struct dp_exchange *x, uint16_t region,
                                const struct dp_attempts *after);
/* Could the region that has x->written take the request now? */
bool dp_route_may_reread(struct dp_exchange *x);

/* There was no region for it: may that change without an operator? What stays in one that is drained need not wait. */
bool dp_route_may_come(const struct dp_view *v, const struct dp_route *r);

/* Its region took so long for the first byte of a request whose pace can be compared. */
void dp_route_took(struct dp_exchange *x, uint64_t ns);

/* This attempt is on trial, and another endpoint may have the request. */
bool dp_route_may_leave_trial(const struct dp_exchange *x);

/* Its region answered 429. True: another may have the request, and x->attempts says so. */
bool dp_route_declined(struct dp_exchange *x);

#endif
