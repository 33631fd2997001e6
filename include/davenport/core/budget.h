/* How much of what is under way may be second attempts. Pure.
 *
 * Two budgets a worker, so that neither starves the other. `retry`: attempts at an endpoint that has had this request
 * already; they help against a passing fault, and feed an overload, so there are few. `failover`: the first attempt at
 * an endpoint after another one failed; when a region dies all that it had comes at once, so there are many, but not
 * all in one moment. An attempt counts until its answer begins or it fails. */
#ifndef DAVENPORT_CORE_BUDGET_H
#define DAVENPORT_CORE_BUDGET_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum dp_budget_kind { DP_BUDGET_FREE, DP_BUDGET_RETRY, DP_BUDGET_FAILOVER, DP_BUDGET_COUNT };

struct dp_budget_config {
    uint32_t percent; /* of the requests under way */
    uint32_t least;   /* allowed however few these are */
};

/* What a budget allows at a time. active: requests under way. */
uint64_t dp_budget_limit(const struct dp_budget_config *c, uint64_t active);

/* What an attempt costs. first: the request has had none; same_again: it replaces one that never arrived (a stale
 * connection); tried: bit per endpoint that has had this request. */
enum dp_budget_kind dp_budget_kind_of(bool first, bool same_again, uint32_t tried,
                                      uint16_t endpoint);

/* How long to wait before a region is asked again: 50 ms, doubled each round up to 1 s, and of that a random share
 * between half and all. */
uint64_t dp_backoff_ns(uint32_t round, uint64_t random);

#endif
