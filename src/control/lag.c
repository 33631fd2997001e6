/* The stall detector of lag.h. */
#include "control/lag.h"

void dp_lag_init(struct dp_lag *l, uint64_t beat_ns, uint64_t limit_ns, uint64_t now_ns)
{
    *l = (struct dp_lag){.beat_ns = beat_ns, .limit_ns = limit_ns, .seen_ns = now_ns};
}

bool dp_lag_seen(struct dp_lag *l, uint64_t now_ns)
{
    uint64_t gap = now_ns > l->seen_ns ? now_ns - l->seen_ns : 0;
    l->seen_ns = now_ns;
    if (gap <= l->beat_ns + l->limit_ns)
        return false;
    l->end_ns = now_ns;
    l->length_ns = gap;
    l->stalls++;
    return true;
}

bool dp_lag_touches(const struct dp_lag *l, uint64_t from_ns)
{
    return l->end_ns != 0 && l->end_ns >= from_ns;
}

bool dp_lag_recent(const struct dp_lag *l, uint64_t now_ns, uint64_t grace_ns)
{
    return l->end_ns != 0 && now_ns < l->end_ns + grace_ns;
}
