/* When each request of a load is due. Pure.
 *
 * The rate is a line over each stage, so the number of requests that are due by a time is the area below it; request
 * k (from 0) is due when the area reaches k. */
#ifndef DAVENPORT_SRC_DRILL_SCHEDULE_H
#define DAVENPORT_SRC_DRILL_SCHEDULE_H

#include "davenport/drill/load.h"

struct dp_schedule {
    struct dp_load_stage stages[DP_LOAD_STAGES + 1];
    double began_s[DP_LOAD_STAGES + 1]; /* of each stage */
    double before[DP_LOAD_STAGES + 1];  /* area of the stages before it */
    size_t n;
    double seconds;
    uint64_t total; /* requests */
};

/* n: 1 … DP_LOAD_STAGES + 1; rates and seconds are not negative, and not all zero. */
void dp_schedule_init(struct dp_schedule *s, const struct dp_load_stage *stages, size_t n);
/* ns from the beginning, k < total. Never falls with k. */
uint64_t dp_schedule_at(const struct dp_schedule *s, uint64_t k);
/* How many are due at `ns` from the beginning. `from`: so many are known to be. */
uint64_t dp_schedule_due(const struct dp_schedule *s, uint64_t ns, uint64_t from);

#endif
