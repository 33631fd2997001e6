/* When the reader of a feed that stays open has caught up. Rows of a feed come one by one and without end, so none of them
 * says that nothing was left; but the region's update_seq says what there was when it was asked for. Pure.
 *
 * A look is what a region told of a database's shards, each with the time at which it was asked. A feed has *passed* a look
 * when a row's token is at or past it in every shard. That alone proves nothing: a document that stood before the look may
 * have been written again, and be told later (docs/sequences.md, "Why not by tokens alone"). But CouchDB tells a shard's
 * feed in rounds, each of what the shard held when the round began, and no round begins before the last one has ended.
 *
 *   look 1 is passed ──► the round under way began when all of look 1 was there
 *   look 2, asked for after that, is passed ──► that round has ended: all that was there at look 1 has been told
 *
 * So the reader was caught up when look 1 was asked for. docs/sequences.md has the proof. */
#ifndef DAVENPORT_COUCH_RENEWAL_H
#define DAVENPORT_COUCH_RENEWAL_H

#include "davenport/base/span.h"
#include "davenport/couch/sequence.h"

#include <stdbool.h>
#include <stdint.h>

/* Nodes of a cluster count each for itself, and any of them may answer for a shard: so many answers are kept apart. */
#define DP_SEQLOOK_READINGS 512

struct dp_seqlook; /* immutable, any thread */

/* What was known, and in its place what `told`, an update_seq, says, asked for at asked_s (since 1970, rounded down) and
 * asked_ns (monotonic). older: NULL for none. One reference; NULL: out of memory, or it is a plain number, which tells of no
 * shards. */
struct dp_seqlook *dp_seqlook_new(const struct dp_seqlook *older, const struct dp_seq *told,
                                  uint64_t asked_s, uint64_t asked_ns);
struct dp_seqlook *dp_seqlook_ref(struct dp_seqlook *l);
void dp_seqlook_unref(struct dp_seqlook *l); /* NULL is fine */
/* When what is newest of it was asked for: monotonic ns. */
uint64_t dp_seqlook_newest_ns(const struct dp_seqlook *l);

/* Of one open feed. */
struct dp_renewal {
    uint64_t settled_s; /* a look before this proves nothing: nodes may lag */
    uint64_t passed_s,
        passed_ns;        /* look 1: when it was asked for, and when it was passed; 0: none */
    uint64_t caught_up_s; /* what came of it; 0: nothing yet */
    uint64_t used_ns;     /* the newest look that was passed: nothing more comes of it */
};

/* token: of a row, as the region wrote it, which passes at now_ns. True: r->caught_up_s is later than it was. */
bool dp_renewal_row(struct dp_renewal *r, const struct dp_seqlook *look, struct dp_span token,
                    uint64_t now_ns);

#endif
