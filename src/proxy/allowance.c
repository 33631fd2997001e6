/* Budgets of second attempts, counted. */
#include "proxy/allowance.h"

#include "proxy/exchange.h"

static enum dp_budget_kind kind_of(const struct dp_exchange *x, uint16_t endpoint)
{
    return dp_budget_kind_of(x->attempts.count == 0, x->same_again, x->tried_endpoints, endpoint);
}

static bool covers(const struct dp_exchange *x, enum dp_budget_kind kind)
{
    const struct dp_engine *e = x->engine;
    const struct dp_traffic *t = e->traffic;
    if (kind == DP_BUDGET_FREE)
        return true;
    /* Open feeds are no work that a region has to do again. */
    const uint64_t active = dp_counter_get(&t->requests_active) - dp_counter_get(&t->feeds_active);
    return e->spent[kind] < dp_budget_limit(&e->config->budgets[kind], active);
}

bool dp_allowance_covers(const struct dp_exchange *x, uint16_t endpoint)
{
    return covers(x, kind_of(x, endpoint));
}

bool dp_allowance_spend(struct dp_exchange *x)
{
    const enum dp_budget_kind kind = kind_of(x, x->endpoint);
    if (!covers(x, kind)) {
        dp_counter_add(&x->engine->traffic->budget_refused, 1);
        return false;
    }
    if (kind != DP_BUDGET_FREE)
        x->engine->spent[kind]++;
    x->paid = kind;
    x->same_again = false;
    x->tried_endpoints |= UINT32_C(1) << x->endpoint;
    return true;
}

void dp_allowance_return(struct dp_exchange *x)
{
    if (x->paid == DP_BUDGET_FREE)
        return;
    x->engine->spent[x->paid]--;
    x->paid = DP_BUDGET_FREE;
}
