/* The last moment before traffic returns: writes stand still until what was written last has arrived where they go next.
 * Pure: time comes in.
 *
 *           wanted                 writes rest             all has arrived
 *   IDLE ───────────► QUIETING ───────────────► CATCHING ───────────────► DONE
 *    ▲                    │                         │                       │
 *    ├── WAITING ◄────────┴──── limit, or not wanted any more               │ moved
 *    │        too long: again after a pause                                 ▼
 *    └──────────────────────────────────────────────────────────────────► MOVED
 *         not wanted any more (DONE); every worker knows, or limit (MOVED)
 *
 * New writes are held back while it is QUIETING or CATCHING, and while it is MOVED, for else one worker would write in the new
 * region what another, who does not know yet, would miss in the old one. All of it takes `limit` at most; each try that came to
 * nothing makes the pause before the next one longer. */
#ifndef DAVENPORT_CORE_HANDOVER_H
#define DAVENPORT_CORE_HANDOVER_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum dp_handover_phase {
    DP_HANDOVER_IDLE,
    DP_HANDOVER_QUIETING, /* no write begins; those under way end */
    DP_HANDOVER_CATCHING, /* none is under way: what was written arrives */
    DP_HANDOVER_DONE,     /* all has arrived: traffic may go */
    DP_HANDOVER_MOVED,    /* it went: every worker is to know before a write begins */
    DP_HANDOVER_WAITING   /* a try came to nothing: not yet again */
};
const char *dp_handover_phase_name(enum dp_handover_phase p);

struct dp_handover_config {
    uint64_t
        limit_ns; /* writes stand still for so long at most; 0: they never do, and it is done at once */
    uint64_t again_ns;     /* before another try, at first */
    uint64_t again_max_ns; /* and at most */
};

/* All zero: idle. */
struct dp_handover_state {
    enum dp_handover_phase phase;
    uint16_t target;      /* the region that traffic goes to; not while idle */
    uint64_t began_ns;    /* QUIETING began; of what led to MOVED too */
    uint64_t quiet_ns;    /* CATCHING began: what was written before must arrive */
    uint64_t again_at_ns; /* WAITING */
    uint32_t failed;      /* tries in vain, in a row */
    uint32_t serial;      /* of the pause: raised by each, and by MOVED; 0: there was none */
};

/* What is seen now. */
struct dp_handover_seen {
    bool wanted; /* everything else is ready for `target` to take the traffic */
    uint16_t target;
    bool
        resting; /* every worker holds its writes back by this serial, and none is under way; in MOVED it knows so too */
    bool broken; /* a write had to be let through all the same */
    bool arrived; /* what was written before quiet_ns has arrived */
};

#define DP_HANDOVER_NEWS_TABLE(X)                                                                  \
    X(NOTHING, "nothing")                                                                          \
    X(BEGAN, "began")     /* hold writes back now */                                               \
    X(QUIET, "quiet")     /* they rest: find out what has arrived */                               \
    X(DONE, "done")       /* let the traffic go */                                                 \
    X(SETTLED, "settled") /* it has gone: let writes go on there */                                \
    X(GAVE_UP, "gave_up") /* its time was over; let writes go on where they were */                \
    X(ENDED, "ended")     /* not wanted any more; likewise */

enum dp_handover_news {
#define X(name, label) DP_HANDOVER_NEWS_##name,
    DP_HANDOVER_NEWS_TABLE(X)
#undef X
};

/* Whenever something may have changed. */
enum dp_handover_news dp_handover_step(struct dp_handover_state *s,
                                       const struct dp_handover_config *c,
                                       const struct dp_handover_seen *seen, uint64_t now_ns);
/* Are writes held back? */
bool dp_handover_pauses(const struct dp_handover_state *s);
/* The traffic moves, whoever moves it: nothing is to be handed over any more. The view of the move has the pause of what is
 * MOVED then. */
void dp_handover_moved(struct dp_handover_state *s);

#endif
