/* A trickle of real requests to an endpoint on trial (core/health.h). The view says which endpoints are, and how many
 * requests each worker may send: `trials` of them for each number that `trial` takes, one at a time. Only
 * requests that may be sent again elsewhere should be offered: what fails is not the client's to see.
 * Pure; a worker keeps its own state. */
#ifndef DAVENPORT_CORE_TRIAL_H
#define DAVENPORT_CORE_TRIAL_H

#include "davenport/core/view.h"

#include <stdint.h>

struct dp_trials {
    uint32_t under_way; /* bit per endpoint */
    struct {
        uint32_t trial; /* the number that `sent` counts for */
        uint32_t sent;
    } endpoints[DP_MAX_ENDPOINTS];
};

/* Where a request goes to try it, noted as under way until dp_trial_done; DP_MAX_ENDPOINTS: nowhere. Cheap while
 * nothing is on trial. */
uint16_t dp_trial_take(struct dp_trials *t, const struct dp_view *v);
void dp_trial_done(struct dp_trials *t, uint16_t endpoint);

#endif
