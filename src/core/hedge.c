/* The budget of hedges, and their moment. */
#include "davenport/core/hedge.h"

#define WHOLE 100U
#define MS_NS UINT64_C(1000000)

void dp_hedge_earn(struct dp_hedge_budget *b, uint32_t percent)
{
    b->hundredths += percent;
    if (b->hundredths > DP_HEDGES_SAVED * WHOLE)
        b->hundredths = DP_HEDGES_SAVED * WHOLE;
}

bool dp_hedge_affords(const struct dp_hedge_budget *b)
{
    return b->hundredths >= WHOLE;
}

void dp_hedge_spend(struct dp_hedge_budget *b)
{
    b->hundredths -= WHOLE;
}

bool dp_hedge_due(uint64_t sent_ns, uint32_t usual_ms, uint64_t now_ns)
{
    return usual_ms > 0 && sent_ns + usual_ms * MS_NS <= now_ns;
}
