/* What a drill's load tells of the faults beside it, held against what the plan wants. Pure: the load's events come in
 * with their times, nothing is asked. One thread. Times: monotonic ns, as the load has them. */
#ifndef DAVENPORT_DRILL_JUDGE_H
#define DAVENPORT_DRILL_JUDGE_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"
#include "davenport/drill/histogram.h"
#include "davenport/drill/load.h"
#include "davenport/drill/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_JUDGE_WHY       160
#define DP_JUDGE_LEAST     20 /* requests in the abort's window, before a percentage means something */
#define DP_JUDGE_SERVED_NS UINT64_C(1000000000) /* who answered so lately has traffic */

/* Traffic's way out of a fault. */
enum dp_reroute {
    DP_REROUTE_NONE, /* nothing had to move: the step asks for no move, or the region had no traffic */
    DP_REROUTE_WAITING, /* no answer from elsewhere yet (for a switch: from there) */
    DP_REROUTE_DONE
};

struct dp_judge_step {
    enum dp_reroute reroute;
    uint64_t began_ns, ended_ns; /* 0: not yet */
    uint64_t reroute_ns;         /* how long it took, when DONE */
    bool returned; /* a read was answered well, after the undo, where dp_judge_is_back is true */
};

struct dp_judge_second {
    uint64_t ended, failed, p99_ns;
};

struct dp_judge {
    const struct dp_drill_plan *plan;
    struct dp_judge_step steps[DP_DRILL_STEPS];
    uint64_t answered_ns[DP_DRILL_REGIONS]; /* the last good answer of each; 0: none */
    struct dp_histogram fault;              /* of requests due while a step stood */
    struct dp_judge_second window[60];      /* a ring */
    uint64_t n_seconds;
};

/* 300 KiB: not for the stack. The plan outlives it. */
void dp_judge_init(struct dp_judge *j, const struct dp_drill_plan *plan);

/* A step's beginning was ordered; its undo was carried out. */
void dp_judge_began(struct dp_judge *j, uint16_t step, uint64_t now_ns);
void dp_judge_undone(struct dp_judge *j, uint16_t step, uint64_t now_ns);
void dp_judge_request(struct dp_judge *j, const struct dp_load_end *end);
/* A second of the load, by what ended in it. True: the plan's limit is crossed, and `why` says which. */
DP_MUST_USE bool dp_judge_second(struct dp_judge *j, const struct dp_load_second *last,
                                 char why[DP_JUDGE_WHY]);

/* In ms: the longest reroute. NAN: traffic did not move, or had no need to: no step befell a region that had any, or no
 * answer named its region. */
double dp_judge_reroute_ms(const struct dp_judge *j);
/* In ms; NAN: no request was due while a step stood. */
double dp_judge_p99_fault_ms(const struct dp_judge *j);
/* Had traffic been taken from the region (a name of the plan's) and been let back at that time? A switch takes it from all
 * but its own. */
bool dp_judge_is_back(const struct dp_judge *j, struct dp_span region, uint64_t at_ns);
/* Did a read meet such a region? Else nobody knows what traffic would have found on its return. */
bool dp_judge_saw_return(const struct dp_judge *j);

/* An objective that the plan has. */
struct dp_judgement {
    double wanted, measured; /* NAN: was not measured, and that is a miss */
    enum dp_drill_objective objective;
    bool ok;
};

/* `measured`: of every objective. Returns how many verdicts there are, in the objectives' order; *missed: of them. */
size_t dp_judge_verdicts(const struct dp_drill_plan *plan,
                         const double measured[DP_OBJECTIVE_COUNT],
                         struct dp_judgement out[DP_OBJECTIVE_COUNT], size_t *missed);

#endif
