/* A desk (desk.h) whose regions a and b answer as CouchDB does about one database, "orders", which replications both ways carry: what
 * each holds, and what it says of the other, is under the test's hand. a is the preferred one, and the gate on its return asks for the
 * data. */
#ifndef DAVENPORT_TESTS_SUPPORT_WATCHED_H
#define DAVENPORT_TESTS_SUPPORT_WATCHED_H

#include "support/desk.h"

#define WATCHED_DOCS 12
/* A turn lasts that long at least: what is asked of the regions takes real time, so the test's must not run ahead. */
#define WATCHED_STEP_MS 2

/* What a region holds, in the order of its feed. */
struct watched_region {
    const struct watched *watched;
    unsigned number;
    unsigned n;
    unsigned docs[WATCHED_DOCS];
    bool gone;         /* the database */
    uint16_t refuses;  /* a status for all questions about it; 0: none */
    uint16_t no_jobs;  /* the same for its list of replications */
    const char *state; /* of the replication to the other one */
    unsigned failures;
    bool no_checkpoint;
    unsigned checkpoint; /* how far the other one was copied here, as the replicator noted */
    char body[4000];
    unsigned feeds, diffs; /* asked for */
};

struct watched {
    struct desk *desk;
    struct watched_region regions[2];
    unsigned marks, looks, anew; /* told by the watch */
    /* The workers keep a pause as soon as they know of it, and know of a view at once, but for one that may be late. */
    bool keeps_pauses, knows_late;
};

/* *state is a struct watched. a and b hold documents 0 to 2; the workers answered of the database. */
int watched_setup(void **state);
int watched_teardown(void **state);

void watched_put(struct watched_region *r, unsigned doc);
/* What `from` holds comes to `to`. */
void watched_replicate(struct watched *w, unsigned from, unsigned to);

/* desk_turn, and what workers do meanwhile. */
void watched_turn(struct watched *w, uint64_t ms);
void watched_turns(struct watched *w, unsigned n, uint64_t ms);

/* The condition of a's gate. */
const struct dp_gate_condition *watched_gate(struct watched *w);
/* Until its word has this in it. */
void watched_await_word(struct watched *w, const char *word);
/* Until `event` (as desk_count has it) has been told so often. */
void watched_await(struct watched *w, const char *event, unsigned count);
/* Until writes go on. */
void watched_await_writes(struct watched *w);
/* With a governor that runs: a is lost, `written` documents are written in b, and a is back, but held. */
void watched_lose_and_return(struct watched *w, unsigned written);

#endif
