/* A region of several endpoints (a cluster's nodes) judged as one, and which of them take its requests.
 * Pure: nothing is remembered, the same members give the same answer.
 *
 * A member serves when it is not down and does not ask to be drained. The region is well as long as `need` of
 * its members serve: one of them, or the share that the configuration wants. Fewer, and the region is down; unless
 * enough are alive and only ask to be drained: then it drains, which is the word for "lives, but leave it".
 *
 *   3 members, need 2      up  up  down      up        a node's failure is routed around inside
 *                          up  down  down    down      so is the rest of it left
 *                          up  drain drain   draining
 *
 * A member on trial (core/health.h) does not serve yet. Where too few do without it, it is what is left: the region
 * is suspect then, on trial as a whole.
 *
 * Inside, requests go to the best class that is there: serving and quick, else serving, else on trial, else alive,
 * else, where an operator keeps traffic in a dead region, all. So a slow node takes nothing while a quick one is left. */
#ifndef DAVENPORT_CORE_REGION_H
#define DAVENPORT_CORE_REGION_H

#include "davenport/core/health.h"
#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

/* What is known of one endpoint. */
struct dp_region_member {
    enum dp_health health;
    bool draining, slow, trial, unprovisioned;
    bool slow_trial; /* slow, and requests shall tell whether still */
};

/* Of the region. With one member: that member's. */
struct dp_region_look {
    enum dp_health health;
    bool draining, slow, trial;
    bool slow_trial;    /* slow, and any of its members is asked whether it still is */
    bool unprovisioned; /* by the word of any living member: they are one cluster */
    uint16_t members, serving, need;
};

/* n >= 1. up_percent: the share that must serve; 0: one is enough. */
void dp_region_judge(const struct dp_region_member *m, uint16_t n, uint32_t up_percent,
                     struct dp_region_look *out);
/* Of the region's own route, what each member's is: out[n]. */
void dp_region_routes(const struct dp_region_member *m, uint16_t n, enum dp_route_state region,
                      enum dp_route_state *out);

#endif
