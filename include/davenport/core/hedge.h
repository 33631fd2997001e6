/* How many reads may be asked for a second time while the first answer is still awaited. Pure.
 *
 * Each request earns a share of a hedge, so that there are never more hedges than that share of all requests; what is
 * saved up is bounded, so that a region that stalls is not met with all of it at once. */
#ifndef DAVENPORT_CORE_HEDGE_H
#define DAVENPORT_CORE_HEDGE_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_HEDGES_SAVED 10

struct dp_hedge_budget {
    uint32_t hundredths;
};

/* A request came. percent: of requests that may be hedged. */
void dp_hedge_earn(struct dp_hedge_budget *b, uint32_t percent);
bool dp_hedge_affords(const struct dp_hedge_budget *b);
/* One hedge that is afforded begins. */
void dp_hedge_spend(struct dp_hedge_budget *b);

/* Is a request that went out at sent_ns slower than 95 of 100 there? usual_ms: what these take; 0: not known. */
bool dp_hedge_due(uint64_t sent_ns, uint32_t usual_ms, uint64_t now_ns);

#endif
