/* The drill's database as its plan says, for the drill itself and for its guard. */
#ifndef DAVENPORT_SRC_APP_DRILL_DATABASE_H
#define DAVENPORT_SRC_APP_DRILL_DATABASE_H

#include "davenport/base/attr.h"
#include "davenport/drill/database.h"
#include "davenport/drill/plan.h"

#include "app/drill_guard.h"

/* The plan's regions, as a drill reaches them. Texts are the plan's. */
void dp_drill_regions(const struct dp_drill_plan *plan,
                      struct dp_drill_region out[DP_DRILL_REGIONS]);
/* What of the options the plan says; the loop and what else there is are the caller's to set. */
struct dp_database_options dp_drill_database_options(const struct dp_drill_plan *plan,
                                                     const struct dp_drill_region *regions,
                                                     const char *run);

struct dp_drill_tidy {
    const struct dp_drill_plan *plan;
    const char *run;
};

/* As struct dp_guard_duty.tidy, ctx a struct dp_drill_tidy: deletes the replications of a drill that died and the databases
 * that were its own, and says on stderr what is left. Blocks, for a minute or two at most. */
void dp_drill_tidy(void *ctx, const enum dp_guard_own own[DP_DRILL_REGIONS]);

#endif
