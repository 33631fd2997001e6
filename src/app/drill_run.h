/* A drill from its first question to its report:
 *
 *   looking ──► preparing ──► loading ──► healing ──► rejoining ──► checking ──► telling ──► cleaning ──► over
 *   (proxy)     (database)    (steps)       ▲          (replication,  (ledger)    (journal)   (database)
 *      │            │            │          │           followers go on)                          ▲
 *      └────────────┴──fails─────┼──────────┼─────────────────────────────────────────────────────┘
 *                                └─ aborted, interrupted, failed: the load stops, all steps are undone
 *
 * After an interruption nothing is checked. One thread; what blocks (commands, admin calls) runs on libuv's pool. */
#ifndef DAVENPORT_SRC_APP_DRILL_RUN_H
#define DAVENPORT_SRC_APP_DRILL_RUN_H

#include "app/drill_plan.h"

#include <stdbool.h>

struct dp_drill_options {
    const char *folder; /* for result.json, report.html and hooks.log; it is there */
    bool json;          /* the result on stdout, instead of its summary */
};

/* What the process is to end with. */
int dp_drill_run(const struct dp_plan_file *file, const struct dp_drill_options *options);

#endif
