/* What the control plane learns of the replication between regions, told to who wants to go on by it.
 *
 * A mark is a proven place: at `read_ns` the region `to` held all that the region `from` had of the database at or
 * below `token`. It comes from the checkpoint of the replication from → to, read in `to`, or from a comparison of what
 * stood in `from` with what `to` has. docs/sequences.md says what follows from one, couch/seqmap.h keeps them.
 *
 * All on the control thread. */
#ifndef DAVENPORT_CONTROL_REPLICATION_H
#define DAVENPORT_CONTROL_REPLICATION_H

#include "davenport/base/span.h"

#include <stdint.h>

/* Everything in it is valid during the callback. */
struct dp_replication_mark {
    const char *database; /* its name, not encoded */
    const char *from, *to;
    struct dp_span token; /* of `from`, as it is told in JSON: without quotes; never empty */
    /* What tells the database from one that is made anew under its name, in each region (instance_start_time). NULL or
     * empty: not known. */
    const char *from_life, *to_life;
    uint64_t read_ns;     /* monotonic; marks of one database and pair never go back */
    int64_t read_wall_ms; /* the same moment */
};

/* What a region told of a database, asked for at these times. The same holds. */
struct dp_replication_look {
    const char *database, *region;
    struct dp_span update_seq;
    uint64_t asked_ns;
    int64_t asked_wall_ms;
};

struct dp_replication_listener {
    /* NULL: nobody listens. */
    void (*mark)(void *ctx, const struct dp_replication_mark *m);
    /* May be NULL, as may all that follow. */
    void (*look)(void *ctx, const struct dp_replication_look *l);
    /* The database is not there any more in this region, or was made anew: no mark from or to it holds. May be NULL. */
    void (*anew)(void *ctx, const char *database, const char *region);
    /* Marks that are kept in the regions themselves (share_sequences). share: what to keep of this database, NUL ended, to be
     * freed; NULL: nothing. shared: what this region keeps. Each may be NULL. */
    char *(*share)(void *ctx, const char *database);
    void (*shared)(void *ctx, const char *database, const char *region, struct dp_span text);
    void *ctx;
};

#endif
