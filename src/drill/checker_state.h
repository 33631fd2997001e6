/* What checker.c, checker_read.c and checker_json.c share. */
#ifndef DAVENPORT_DRILL_CHECKER_STATE_H
#define DAVENPORT_DRILL_CHECKER_STATE_H

#include "davenport/client/fetch.h"
#include "davenport/couch/replica.h"
#include "davenport/drill/checker.h"

#include "drill/holdings.h"

#include <uv.h>

#define CHECKER_LANES 3 /* questions under way to a region while it is read */
#define CHECKER_WHY   160

enum checker_phase { CHECKER_CONVERGING, CHECKER_READING, CHECKER_FOLLOWING, CHECKER_DONE };

struct lane {
    struct dp_checker *c;
    size_t region;
    struct dp_fetch *fetch;
    uint32_t from, to; /* which documents: from == to: it has nothing to ask */
    uint64_t due_ms;   /* not before */
};

struct region {
    const struct dp_drill_region *at;
    struct dp_checker *c;
    struct dp_holdings holds;
    char place[DP_REPLICA_TOKEN]; /* where the next page begins */
    struct dp_fetch *fetch;
    uint64_t due_ms;
    uint64_t
        told_ms; /* when it last told to the end of its feed; 0: its last answer was none, or not the end */
    bool listed;   /* it has told to the end once */
    bool read;     /* all that was listed has been read */
    bool given_up; /* what it said can't be read, or is too much */
    uint32_t next; /* the first document that no lane has */
    size_t absent; /* leaves that were listed and not there when they were read */
    struct lane lanes[CHECKER_LANES];
    char why[CHECKER_WHY]; /* of the last answer that was none */
};

/* What a follower lacks. */
struct owed {
    struct owed *next;
    uint32_t feed;
    char rev[DP_LEDGER_REV];
    char id[]; /* NUL ended */
};

struct dp_checker {
    struct dp_checker_options opt;
    char *database; /* its path: "/name", encoded */
    dp_checker_progress progress;
    dp_checker_done done;
    void *ctx;
    struct dp_fetcher *fetcher;
    uv_timer_t timer;
    struct dp_audit *audit;
    struct dp_replica_set *page; /* scratch: the rows of one page */
    const char *names[DP_DRILL_REGIONS_MAX];
    struct region regions[DP_DRILL_REGIONS_MAX];
    enum checker_phase phase;
    enum dp_err err;
    uint64_t start_ms, end_ms; /* end: of the phase */
    uint64_t same_ms;          /* since when all hold the same; 0: they do not */
    uint64_t new_ms; /* when a region told something last, or this was said to have stalled */
    double converged_s;
    struct owed *owed;
    uint32_t missed[DP_LEDGER_FEEDS];
    bool hurry;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

uint64_t checker_now(const struct dp_checker *c); /* ms, never 0 */
/* The whole check can't go on. */
void checker_fail(struct dp_checker *c, enum dp_err err);

/* checker_read.c: begin; go on, on every tick; true: every region is read, or given up, or its time is up. */
void checker_read_begin(struct dp_checker *c);
bool checker_read_step(struct dp_checker *c);
/* Nothing is asked any more: no answer comes behind the end. */
void checker_cancel(struct region *r);
/* Forget who has been told meanwhile; how many are owed still. */
uint32_t checker_owed(struct dp_checker *c);

#endif
