/* Which step of a plan is begun and undone when. Pure: time comes in, acts come out; who carries an act out tells how it
 * went. Whatever happens, each step whose beginning was ordered is undone in the end, and one whose beginning failed is
 * undone too, for half of it may have happened.
 *
 *   DUE ──at_ms──► BEGINNING ──carried out──► STANDING ──for_ms over, or stopped──► ENDING ──carried out──► OVER
 *    │                 └──failed: the drill stops──────────────────────────────────►  │ ▲
 *    └──stopped──► OVER                                                          failed└─┘ so often again, then STUCK
 *
 * One thread. Times: ms since the load began. */
#ifndef DAVENPORT_DRILL_CONDUCTOR_H
#define DAVENPORT_DRILL_CONDUCTOR_H

#include "davenport/base/attr.h"
#include "davenport/drill/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_CONDUCTOR_TRIES    5 /* of an undo */
#define DP_CONDUCTOR_PAUSE_MS 1000
#define DP_CONDUCTOR_NEVER    UINT64_MAX

enum dp_step_state {
    DP_STEP_DUE,
    DP_STEP_BEGINNING,
    DP_STEP_STANDING,
    DP_STEP_ENDING,
    DP_STEP_OVER,
    DP_STEP_STUCK /* could not be undone */
};

struct dp_conductor_step {
    enum dp_step_state state;
    uint64_t due_ms; /* of the next act: of its beginning, its end, or a further try of that */
    unsigned tries;
    bool ordered; /* BEGINNING and ENDING: somebody is at it */
};

struct dp_conductor {
    const struct dp_drill_plan *plan;
    bool stopped;
    struct dp_conductor_step steps[DP_DRILL_STEPS];
};

struct dp_conductor_act {
    uint16_t step;
    bool undo; /* else: begin it */
};

/* The plan outlives it. */
void dp_conductor_init(struct dp_conductor *c, const struct dp_drill_plan *plan);
/* The next act that is due at now_ms, to be carried out and told by dp_conductor_done. False: none is. */
DP_MUST_USE bool dp_conductor_next(struct dp_conductor *c, uint64_t now_ms,
                                   struct dp_conductor_act *out);
/* When an act will be due, if nothing is told before; DP_CONDUCTOR_NEVER. */
uint64_t dp_conductor_wake_ms(const struct dp_conductor *c);
/* An act was carried out, or failed. A step that could not be begun stops the drill. */
void dp_conductor_done(struct dp_conductor *c, const struct dp_conductor_act *act, bool good,
                       uint64_t now_ms);
/* Nothing begins any more, and all that stands is undone, what began last first. */
void dp_conductor_stop(struct dp_conductor *c, uint64_t now_ms);
/* Every step is OVER or STUCK. */
bool dp_conductor_is_over(const struct dp_conductor *c);
unsigned dp_conductor_n_stuck(const struct dp_conductor *c);

#endif
