/* Counting what core/trial.h allows. */
#include "davenport/core/trial.h"

uint16_t dp_trial_take(struct dp_trials *t, const struct dp_view *v)
{
    uint32_t open = v->trial_mask & ~t->under_way;
    for (uint16_t ep = 0; open != 0 && ep < v->n_endpoints; ep++) {
        uint32_t bit = UINT32_C(1) << ep;
        if (!(open & bit))
            continue;
        if (t->endpoints[ep].trial != v->endpoints[ep].trial) {
            t->endpoints[ep].trial = v->endpoints[ep].trial;
            t->endpoints[ep].sent = 0;
        }
        if (t->endpoints[ep].sent < v->trials) {
            t->endpoints[ep].sent++;
            t->under_way |= bit;
            return ep;
        }
    }
    return DP_MAX_ENDPOINTS;
}

void dp_trial_done(struct dp_trials *t, uint16_t endpoint)
{
    t->under_way &= ~(UINT32_C(1) << endpoint);
}
