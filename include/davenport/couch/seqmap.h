/* Where a feed that was read in one region, A, goes on in another, B. Pure: time comes in.
 *
 * A mark is (b, t): at time t the checkpoint of replication B→A, read in A, said that all of B up to its token b had
 * been written in A. Whoever had seen all that A held at t or later has therefore seen all of B up to b, or newer
 * versions of the same documents, and may go on in B behind b: at least once, never missed. What it sees twice is what
 * B got between b and the change of regions, so the time between marks bounds it.
 *
 * "Had seen all that A held at t" is a matter of time, not of tokens: a token at or past A's update_seq of time t does
 * not prove it. A document that is written again moves to the end of the feed, so a reader that lags may pass the place
 * where it stood and not have come to where it stands; dies A then, with the newer version, B's version is never told.
 * docs/sequences.md has the proof, and the counterexample that the model in the tests found.
 *
 * A mark is used only when it had aged before the reader caught up: within a cluster one node may lag behind another. */
#ifndef DAVENPORT_COUCH_SEQMAP_H
#define DAVENPORT_COUCH_SEQMAP_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one database, from one region to one other. */
struct dp_seqmap;

/* max_marks: at least 2. Past it marks are thinned out, the older the more, so that a client that was away for long
 * finds one too; younger than twice min_age_ns all alike. NULL: out of memory. */
struct dp_seqmap *dp_seqmap_new(unsigned max_marks, uint64_t min_age_ns);
void dp_seqmap_free(struct dp_seqmap *m); /* NULL is fine */
/* NULL: out of memory. */
struct dp_seqmap *dp_seqmap_copy(const struct dp_seqmap *m);

/* b held at `read_ns`, in any order. Of several marks with one b the oldest stays, which proves most. *changed: what
 * the map translates to may have changed. Errors: DP_EINVAL (b is empty), DP_ELIMIT (larger than any token), DP_ENOMEM;
 * the map is as before. */
DP_MUST_USE enum dp_err dp_seqmap_add(struct dp_seqmap *m, struct dp_span b, uint64_t read_ns,
                                      bool *changed);

/* Where a reader goes on in B that had seen all of A as it was at `caught_up_ns`. NULL span: nothing is proven, it
 * must begin anew. Valid until the next add. */
struct dp_span dp_seqmap_translate(const struct dp_seqmap *m, uint64_t caught_up_ns);

/* The database was made anew in one of the regions: nothing holds any more. */
void dp_seqmap_forget(struct dp_seqmap *m);

/* The marks, oldest first, for keeping: true while there is an i-th one. Valid until the next add. */
struct dp_seqmap_mark {
    struct dp_span b;
    uint64_t read_ns;
};
size_t dp_seqmap_bytes(const struct dp_seqmap *m); /* of all tokens */
bool dp_seqmap_mark(const struct dp_seqmap *m, unsigned i, struct dp_seqmap_mark *out);

#endif
