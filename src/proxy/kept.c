/* Is an answer slow, or will it not come? */
#include "proxy/kept.h"

enum dp_kept_verdict dp_kept_look(const struct dp_kept_facts *f)
{
    if (!f->sized && f->moves)
        return DP_KEPT_BEGIN;
    if (f->limit_ms == 0 || f->for_ms < f->limit_ms)
        return DP_KEPT_WAIT;
    return f->point && f->quiet_ms >= DP_KEPT_QUIET_MS ? DP_KEPT_STALLED : DP_KEPT_BEGIN;
}
