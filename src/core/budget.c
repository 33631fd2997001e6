/* Budgets of second attempts, and the time between them. */
#include "davenport/core/budget.h"

#define BACKOFF_NS     UINT64_C(50000000)
#define BACKOFF_MAX_NS UINT64_C(1000000000)
#define ROUNDS_MAX     5

uint64_t dp_budget_limit(const struct dp_budget_config *c, uint64_t active)
{
    const uint64_t share = active * c->percent / 100;
    return share > c->least ? share : c->least;
}

enum dp_budget_kind dp_budget_kind_of(bool first, bool same_again, uint32_t tried,
                                      uint16_t endpoint)
{
    if (first || same_again)
        return DP_BUDGET_FREE;
    return (tried & (UINT32_C(1) << endpoint)) ? DP_BUDGET_RETRY : DP_BUDGET_FAILOVER;
}

uint64_t dp_backoff_ns(uint32_t round, uint64_t random)
{
    uint64_t ns = round < ROUNDS_MAX ? BACKOFF_NS << round : BACKOFF_MAX_NS;
    if (ns > BACKOFF_MAX_NS)
        ns = BACKOFF_MAX_NS;
    return ns / 2 + random % (ns / 2 + 1);
}
