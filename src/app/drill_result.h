/* What came of a drill, as JSON (docs/drills.md) and as text. Pure. */
#ifndef DAVENPORT_SRC_APP_DRILL_RESULT_H
#define DAVENPORT_SRC_APP_DRILL_RESULT_H

#include "davenport/app/text.h"
#include "davenport/drill/judge.h"

#include "app/drill_plan.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

enum dp_drill_verdict {
    DP_DRILL_PASSED,
    DP_DRILL_MISSED,      /* an objective was */
    DP_DRILL_ABORTED,     /* a limit of the plan was crossed */
    DP_DRILL_INTERRUPTED, /* by Ctrl-C; told as aborted */
    DP_DRILL_FAILED,      /* it could not be carried out */
    DP_DRILL_NOT_HEALED   /* something that it broke still is; told as failed */
};

/* An entry of the time line. Times: ms since the load began; until_ms < 0: open. */
struct dp_drill_entry {
    double at_ms, until_ms;
    const char *what; /* fault, heal, order, phase, abort */
    const char *name, *region;
    char detail[160];
};

#define DP_DRILL_ENTRIES (2 * DP_DRILL_STEPS + 16)

struct dp_drill_facts {
    const struct dp_plan_file *file;
    const struct dp_judge *judge;
    enum dp_drill_verdict verdict; /* PASSED or MISSED are settled by the objectives */
    double ended_ms;               /* since the load began: when it was given up */
    const char *why;               /* unless PASSED or MISSED */
    int64_t started_wall_ms;       /* when the load began */
    double seconds;                /* from then to the end of it all */
    const char *proxy_version;     /* NULL: no Davenport, or it did not say */
    size_t n_entries;
    const struct dp_drill_entry *entries;
    double stale_after_return; /* NAN: not known */
    const json_t *load;        /* dp_load_json; NULL: there was none */
    const json_t *checker;     /* dp_checker_json; NULL: nothing was checked */
    const json_t *events;      /* of the proxy's journal, as /events gives them; NULL: none */
};

/* NULL: out of memory. *verdict: settled. */
DP_MUST_USE json_t *dp_drill_result(const struct dp_drill_facts *f, enum dp_drill_verdict *verdict);

/* Add to *all (NULL at first) what `more`, a later look at the proxy's journal, has beyond it: what comes after the last
 * event of *all, or all of it if that is not there. False: there is a gap between the two, or no memory. `full`: how many events a look can hold. */
DP_MUST_USE bool dp_drill_events_add(json_t **all, const json_t *more, size_t full);

/* The summary of a result, for a terminal. */
void dp_drill_summary(const json_t *result, bool colour, struct dp_text *out);

/* What the process ends with. */
int dp_drill_exit_code(enum dp_drill_verdict v);

#endif
