/* Do the workers' loops turn? Each has a count that it raises many times a second; who looks at it again and again finds the
 * one that stands still. Pure. A machine that was stopped is no stall: then the looks stand still too. */
#ifndef DAVENPORT_CORE_LIVENESS_H
#define DAVENPORT_CORE_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

/* Looks in a row at which a count was the same. */
#define DP_LIVENESS_LOOKS 5

struct dp_liveness {
    uint32_t count;  /* at the last look */
    uint8_t unmoved; /* looks since it moved, at most DP_LIVENESS_LOOKS */
};

enum dp_liveness_change { DP_LIVENESS_SAME, DP_LIVENESS_STALLED, DP_LIVENESS_RECOVERED };

/* A look: what changed by it. */
enum dp_liveness_change dp_liveness_look(struct dp_liveness *l, uint32_t count);
bool dp_liveness_stalled(const struct dp_liveness *l);

#endif
