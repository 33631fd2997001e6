/* The checker: after the load, wait until the regions hold the same, read what they hold, and hold it against the
 * ledger (audit.h).
 *
 *   converging ──► reading ──► following ──► done
 *
 *   converging  the regions' feeds (_changes, every leaf) are followed until all hold the same leaves and have done so for
 *               quiet_ms, at most for converge_ms. Then it goes on whatever came of it.
 *   reading     every leaf with its history (_bulk_get), region by region beside each other, at most for read_ms
 *   following   followers of the load get time to be told the rest, at most follow_ms: keep them running until `done`
 *
 * A region that does not answer is asked again until its time is up. The database's documents are read whole, so it should
 * be the drill's own. On the loop's thread; no callback runs within a call. Memory: about 150 bytes a document and region,
 * at most max_documents of them. */
#ifndef DAVENPORT_DRILL_CHECKER_H
#define DAVENPORT_DRILL_CHECKER_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/drill/audit.h"
#include "davenport/drill/ledger.h"
#include "davenport/drill/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

typedef struct uv_loop_s uv_loop_t;
struct dp_checker;

/* The regions do not hold the same, and none has told anything new for stall_ms: their replications may have to begin anew
 * (dp_database_rejoin). Again after as long. */
typedef void (*dp_checker_stalled)(void *ctx);

struct dp_checker_options {
    uv_loop_t *loop;
    const struct dp_drill_region *regions; /* live as long as the checker */
    size_t n_regions;                      /* 1 … DP_DRILL_REGIONS_MAX */
    const char *database;
    const struct dp_ledger *ledger; /* outlives the checker; no write is under way */
    bool alone;                     /* as dp_audit_options */
    dp_checker_stalled stalled;     /* NULL: nobody asks; its ctx is that of start */
    /* 0: the default */
    uint32_t converge_ms; /* 60 000 */
    uint32_t quiet_ms;    /* 1 000 */
    uint32_t read_ms;     /* 120 000 */
    uint32_t follow_ms;   /* 10 000 */
    uint32_t ask_ms;      /* 20 000: a single answer */
    uint32_t poll_ms;     /* 100 */
    uint32_t stall_ms;    /* 10 000 */
    uint32_t
        document_bytes;     /* 1 024: how large a body may be, for how many are asked for at once */
    uint32_t max_documents; /* 2 000 000, in a region */
};

/* "converging", "reading", "following": for the line that is shown meanwhile. `text`: how far. */
typedef void (*dp_checker_progress)(void *ctx, const char *phase, const char *text);

/* Once. `err`: DP_OK, all was looked at, whatever was found (an unread region is a finding); DP_ENOMEM. The result can be asked
 * for from then on. */
typedef void (*dp_checker_done)(void *ctx, enum dp_err err);

/* Errors: DP_ENOMEM; DP_EINVAL: a URL that is none. progress may be NULL. */
DP_MUST_USE enum dp_err dp_checker_start(const struct dp_checker_options *opt,
                                         dp_checker_progress progress, dp_checker_done done,
                                         void *ctx, struct dp_checker **out);
/* Go on to the end with what is there: no more waiting. `done` comes soon. */
void dp_checker_hurry(struct dp_checker *c);
/* Any time but within a callback of the fetcher's; `done` does not run any more. Handles close on the loop: run it until
 * `closed`. NULL does nothing, and `closed` is not called. */
void dp_checker_destroy(struct dp_checker *c, void (*closed)(void *ctx), void *ctx);

/* Behind `done`. */
const struct dp_audit *dp_checker_audit(const struct dp_checker *c);
/* Seconds from the start until the regions held the same; negative: they did not. */
double dp_checker_converged_s(const struct dp_checker *c);
/* "checker" of a drill's result (docs/drills.md). NULL: out of memory. */
DP_MUST_USE json_t *dp_checker_json(const struct dp_checker *c);

#endif
