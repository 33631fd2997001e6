/* What a step of a drill is in the world: a command, or requests to somebody's admin address. Made by a pure function, carried
 * out by one that blocks (for a thread of its own, or the guard). */
#ifndef DAVENPORT_SRC_APP_DRILL_ACT_H
#define DAVENPORT_SRC_APP_DRILL_ACT_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"
#include "davenport/drill/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_ACT_WHY 320

/* One way to ask; `or_body`: what is asked when the first was refused by a rule that will not change its mind. */
struct dp_act {
    struct dp_text command; /* for sh -c; empty: a request */
    struct dp_text addr, token_file, ca_file, method, path, body,
        or_body; /* empty where there is none */
    struct dp_text
        title; /* what a person is told of it: a command may hold secrets, and is told to nobody */
    bool gone_is_good; /* 404 means that it is over already */
};

/* What the plan does not say. */
struct dp_act_context {
    const char *active; /* where the traffic was before the step, to switch back; NULL: nowhere */
    const char *reason; /* for the journal: "drill Region kill" */
    uint64_t for_ms;    /* how long a fault is to last by itself, should nobody end it */
};

/* The act that begins a step, or undoes it. False: nothing is to be done (a command without an undo), *out empty. */
bool dp_act_of(const struct dp_drill_plan *plan, const struct dp_drill_step *step, bool undo,
               const struct dp_act_context *context, struct dp_act *out);
void dp_act_fini(struct dp_act *a);

/* Carries it out. Blocks, a command at most for hook_s seconds, then it is killed; what it says goes to log_fd. It keeps
 * life_fd open while it runs, so that others see its end even if this process is gone (-1: nobody wants to). Any thread.
 * False: `why` says so to a person. */
DP_MUST_USE bool dp_act_run(const struct dp_act *a, uint64_t hook_s, int log_fd, int life_fd,
                            char why[DP_ACT_WHY]);

/* As a message, for another process. */
void dp_act_write(const struct dp_act *a, struct dp_text *out);
/* False: it is none. */
DP_MUST_USE bool dp_act_read(struct dp_span message, struct dp_act *out);

#endif
