/* A count a worker, looked at. */
#include "davenport/core/liveness.h"

bool dp_liveness_stalled(const struct dp_liveness *l)
{
    return l->unmoved >= DP_LIVENESS_LOOKS;
}

enum dp_liveness_change dp_liveness_look(struct dp_liveness *l, uint32_t count)
{
    const bool was = dp_liveness_stalled(l);
    if (count != l->count) {
        l->count = count;
        l->unmoved = 0;
        return was ? DP_LIVENESS_RECOVERED : DP_LIVENESS_SAME;
    }
    if (!was)
        l->unmoved++;
    return !was && dp_liveness_stalled(l) ? DP_LIVENESS_STALLED : DP_LIVENESS_SAME;
}
