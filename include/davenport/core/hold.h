/* Requests that no region can take now, kept for a while in the hope that one soon can: who is let in, how fast they
 * go on when a region comes, and when it is over. Pure: time comes in.
 *
 * The bounds keep memory and patience: so many requests, so many bytes, so long each. The pace keeps a region that has
 * just come from meeting all of them in one moment. Nobody is refused for the pace's sake: whose time is up goes on at
 * once when there is a way, and that spreads by itself, as they did not come in one moment either. */
#ifndef DAVENPORT_CORE_HOLD_H
#define DAVENPORT_CORE_HOLD_H

#include "davenport/base/attr.h"
#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_hold_config {
    uint64_t limit_ns;  /* how long one request may be held, all its stays together; 0: none is */
    uint64_t max_bytes; /* of all that are held: heads and what was read of bodies */
    uint32_t max_requests;  /* at a time */
    uint32_t release_per_s; /* the pace; at least 1 */
};

struct dp_hold_state {
    uint32_t requests;
    uint64_t bytes;
    uint64_t paced_ns; /* when the next one is due, if they keep the pace */
};

/* What one request brings along; kept from stay to stay. */
struct dp_hold_stay {
    uint64_t until_ns;    /* the end of its time; 0: it was never held */
    uint64_t again_at_ns; /* a region that failed it is not asked again before */
    uint64_t bytes;       /* charged */
    uint32_t rounds;      /* stays so far */
};

enum dp_hold_answer {
    DP_HOLD_IN,
    DP_HOLD_OVER, /* its time is up, or nothing is ever held */
    DP_HOLD_FULL  /* a bound is reached */
};

/* Let it in, or say why not; then nothing changes. random: for the moment at which it may be tried again. */
DP_MUST_USE enum dp_hold_answer dp_hold_enter(struct dp_hold_state *s,
                                              const struct dp_hold_config *c,
                                              struct dp_hold_stay *stay, uint64_t bytes,
                                              uint64_t now_ns, uint64_t random);
void dp_hold_leave(struct dp_hold_state *s, struct dp_hold_stay *stay);

/* What is to become of one that is held. has_way: a region would take it. view_moved: since it was let in; what
 * failed it then may be past, so it need not wait for `again_at`. */
enum dp_hold_verdict { DP_HOLD_STAY, DP_HOLD_GO, DP_HOLD_EXPIRE };
/* GO counts against the pace, so it must be followed. */
DP_MUST_USE enum dp_hold_verdict dp_hold_judge(struct dp_hold_state *s,
                                               const struct dp_hold_config *c,
                                               const struct dp_hold_stay *stay, bool has_way,
                                               bool view_moved, uint64_t now_ns);

/* May a region come that takes it? Not while all are barred: a drained region comes when somebody says so.
 * spent: bit per region that must not see this request again. */
bool dp_hold_worthwhile(const struct dp_view *view, uint32_t spent);

#endif
