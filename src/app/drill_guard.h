/* The guard: a process beside the drill that undoes what the drill began, should the drill die first: killed, crashed, or
 * ended at once by a second Ctrl-C.
 *
 *   drill ── prepares ──────────────►  guard      (before the database is made anywhere)
 *         ── prepared 0, own ─────────►            (region 0's is the drill's own)
 *         ── hold 3: start left ──►  guard      (before step 3 begins)
 *         ── begun 3 ─────────────►             (once its command, stop left, has come to an end)
 *         ── release 3 ───────────►             (once it has been undone)
 *         ── tidied ──────────────────►            (the database and its replications are gone)
 *         ── end ─────────────────►             (nothing stands: it goes)
 *         ✗  the socket closes                  it waits for the end of commands that were under way (hook_s at most),
 *                                               undoes what it holds, the latest first, tidies up, and goes
 *
 * It is forked before anything else is there (threads, a loop), sits in a session of its own, and ignores what a terminal
 * sends. What was sent before the drill died is in the socket, and so is not lost. One thread. */
#ifndef DAVENPORT_SRC_APP_DRILL_GUARD_H
#define DAVENPORT_SRC_APP_DRILL_GUARD_H

#include "app/drill_act.h"

#include <stdint.h>
#include <sys/types.h>

/* Whose is a region's database? */
enum dp_guard_own { DP_OWN_UNKNOWN, DP_OWN_DRILL, DP_OWN_OTHERS };

struct dp_guard_duty {
    uint64_t hook_s; /* so long a command may take */
    int log_fd;      /* where the commands that it runs write */
    /* In the guard's process, once all is undone, if the database was prepared and not tidied. NULL: nobody does. */
    void (*tidy)(void *ctx, const enum dp_guard_own own[DP_DRILL_REGIONS]);
    void *ctx;
};

struct dp_guard {
    int fd;
    int life_fd; /* for dp_act_run of what begins a step: how the guard sees its end */
    pid_t pid;
};

/* False: errno says why. */
DP_MUST_USE bool dp_guard_start(struct dp_guard *g, const struct dp_guard_duty *duty);
/* The database is about to be made. False: the guard is gone. */
DP_MUST_USE bool dp_guard_prepares(struct dp_guard *g);
/* It is there in this region (its place in the plan). */
void dp_guard_prepared(struct dp_guard *g, uint16_t region, bool own);
/* Nothing of it is left that the drill could have tidied up. */
void dp_guard_tidied(struct dp_guard *g);
/* Undo this, should the drill die. id: of the step, below DP_DRILL_STEPS. False: the guard is gone, so nothing must be
 * begun that it would have to undo. */
DP_MUST_USE bool dp_guard_hold(struct dp_guard *g, uint16_t id, const struct dp_act *undo);
/* What began the step is over, well or not. Until then the guard would wait for it. */
void dp_guard_begun(struct dp_guard *g, uint16_t id);
void dp_guard_release(struct dp_guard *g, uint16_t id);
/* Nothing is to be undone any more. Waits for its end. Also of one that never started (pid 0). */
void dp_guard_end(struct dp_guard *g);

#endif
