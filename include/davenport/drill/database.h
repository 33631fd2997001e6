/* The drill's database in every region: made, replicated, with the view and the index that the load asks for; and gone
 * afterwards where it was the drill's own.
 *
 *   prepare  PUT /{db} in every region (one that is there already is used, and never dropped); replications both ways
 *            between all regions by documents of _replicator; _design/drill (view by_bucket) and _design/drill-find (index on
 *            bucket), then a wait until every region has them: so replication works before the first fault
 *   rejoin   the replications begin anew: a job whose peer was away waits for longer and longer before it looks again
 *   drop     the replications, then the databases that prepare made, or of which dp_database_own says that they go
 *
 * On the loop's thread. One of these at a time: the next ends the one before, whose `done` does not run. No callback runs within a call. Bounded by deadline_ms each. */
#ifndef DAVENPORT_DRILL_DATABASE_H
#define DAVENPORT_DRILL_DATABASE_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/drill/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;
struct dp_database;

struct dp_database_options {
    uv_loop_t *loop;
    const struct dp_drill_region *regions; /* live as long as the database */
    size_t n_regions;                      /* 1 … DP_DRILL_REGIONS_MAX */
    const char *name;                      /* of the database; as CouchDB allows */
    const char *run;                       /* in the ids of the replications */
    bool replicate;
    bool view, index;
    uint32_t deadline_ms; /* 0: 60 000 */
    uint32_t ask_ms;      /* 0: 10 000 */
    unsigned drop_tries;  /* of each request of drop, 200 ms apart; 0: 5 */
    /* prepare has settled whose a region's database is: `own`, made by it just now, or there before. NULL: nobody asks. */
    void (*found)(void *ctx, size_t region, bool own);
    void *found_ctx;
};

/* Once a call. err: DP_OK; else `why` says which region, what was asked and what it answered (valid during the call). */
typedef void (*dp_database_done)(void *ctx, enum dp_err err, const char *why);

/* Errors: DP_ENOMEM; DP_EINVAL: the name is none. */
DP_MUST_USE enum dp_err dp_database_new(const struct dp_database_options *opt,
                                        struct dp_database **out);
void dp_database_prepare(struct dp_database *d, dp_database_done done, void *ctx);
/* Was it made by prepare in every region, so that nobody else's documents are in it? */
bool dp_database_alone(const struct dp_database *d);
/* Another process prepared it: this region's is the drill's own. Before drop. */
void dp_database_own(struct dp_database *d, size_t region);
void dp_database_rejoin(struct dp_database *d, dp_database_done done, void *ctx);
/* Goes on past what fails, and tells of the first. */
void dp_database_drop(struct dp_database *d, dp_database_done done, void *ctx);
/* What is under way is given up. Handles close on the loop: run it until `closed`. */
void dp_database_destroy(struct dp_database *d, void (*closed)(void *ctx), void *ctx);

#endif
