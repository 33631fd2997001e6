/* A drill that runs: shared by drill_run.c (what comes after what), drill_stage.c (steps, and whoever carries them out) and
 * drill_end.c (result and words). */
#ifndef DAVENPORT_SRC_APP_DRILL_STATE_H
#define DAVENPORT_SRC_APP_DRILL_STATE_H

#include "davenport/drill/checker.h"
#include "davenport/drill/conductor.h"
#include "davenport/drill/database.h"
#include "davenport/drill/judge.h"
#include "davenport/drill/ledger.h"
#include "davenport/drill/load.h"

#include "app/cli_signals.h"
#include "app/drill_guard.h"
#include "app/drill_result.h"
#include "app/drill_run.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <uv.h>

enum drill_phase {
    DRILL_LOOKING,
    DRILL_PREPARING,
    DRILL_LOADING, /* healing is its end: the load is over, steps are still undone */
    DRILL_REJOINING,
    DRILL_CHECKING,
    DRILL_TELLING,
    DRILL_CLEANING,
    DRILL_OVER
};

#define DRILL_WHY    320
#define DRILL_ACTIVE 64
#define DRILL_REASON 128

struct drill {
    const struct dp_plan_file *file;
    const struct dp_drill_plan *plan;
    const struct dp_drill_options *options;
    enum drill_phase phase;
    char run[DP_LEDGER_RUN];
    char reason[DRILL_REASON]; /* of our orders, for the proxy's journal */
    int log_fd;
    uv_loop_t loop;
    uv_timer_t timer; /* of the next step */
    struct dp_cli_signals signals;
    struct dp_guard guard;
    struct dp_drill_region regions[DP_DRILL_REGIONS];
    struct dp_ledger *ledger;
    struct dp_database *database;
    struct dp_load *load;
    struct dp_checker *checker;
    struct dp_judge judge;
    struct dp_conductor conductor;
    unsigned jobs;       /* under way on the pool */
    bool looks;          /* one of them asks for the proxy's state */
    bool interrupted;    /* by a first signal */
    bool events_missing; /* told */
    bool load_done;      /* nothing of it is under way any more */
    uint64_t origin_ns;  /* of the ledger's times */
    uint64_t start_ns;   /* when the load began; 0: not yet */
    int64_t start_wall_ms;
    /* of the proxy */
    char active[DRILL_ACTIVE]; /* "": none, or not known */
    char version[32];
    uint64_t epoch; /* at the beginning */
    /* what becomes the result */
    enum dp_drill_verdict verdict;
    char why[DRILL_WHY];
    double ended_ms;
    size_t n_entries;
    struct dp_drill_entry entries[DP_DRILL_ENTRIES];
    struct dp_drill_entry *of_step[DP_DRILL_STEPS];
    char active_before[DP_DRILL_STEPS][DRILL_ACTIVE]; /* where the traffic was as each began */
    struct dp_drill_entry *check_entry;               /* NULL: there was no check */
    double stale_after_return;
    const char *checking; /* the checker's phase that was told */
    json_t *load_json, *checker_json, *events;
};

/* ms since the load began; 0 before. */
double drill_now_ms(const struct drill *d);
/* The drill can't go on as planned: the first reason stands, the worst verdict too. */
void drill_give_up(struct drill *d, enum dp_drill_verdict verdict, const char *why);
/* Go to the next phase if this one is over. */
void drill_advance(struct drill *d);

/* drill_stage.c: carry out what is due, and set the timer for what comes next. */
void drill_pump(struct drill *d);
/* Ask the proxy's admin address; `answered` runs on the loop, json NULL: it did not answer so. */
void drill_ask(struct drill *d, const char *path,
               void (*answered)(struct drill *d, json_t *json, const char *why));
struct dp_drill_entry *drill_entry(struct drill *d, const char *what, const char *name,
                                   const char *region);

/* drill_end.c: words to the terminal while it runs, and the end. */
void drill_say(const struct drill *d, const char *fmt, ...) DP_PRINTF(2, 3);
void drill_show(const struct drill *d, const struct dp_load_progress *now);
/* Writes the result and what else is asked for: the exit code. */
int drill_tell(struct drill *d);

#endif
