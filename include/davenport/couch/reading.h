/* What a request says about the reader of its answer: whether an answer that leaves nothing out lets it be caught up
 * with the region, which docs/sequences.md calls for. Pure. */
#ifndef DAVENPORT_COUCH_READING_H
#define DAVENPORT_COUCH_READING_H

#include "davenport/couch/request.h"
#include "davenport/couch/token.h"

#include <stdint.h>

struct dp_reading {
    /* Of the query, the last of `since` and `last-event-id`, as it stands there, not decoded. .p == NULL: neither. */
    struct dp_span since;
    /* Of every document, or of those that are named by their ids: what it is not told of has not changed. False where
     * the content of a document decides, or the order is from the end. */
    bool all;
    uint64_t limit; /* of rows; UINT64_MAX: none */
    uint64_t settle_s;
};

/* target: as received. Names in any case, and the last one counts, as CouchDB has it.
 * settle_s: how far nodes of one region may lag behind each other, and a second more, for times are told in whole ones. */
struct dp_reading dp_reading_of(struct dp_span target, uint64_t settle_s);

/* What the tags of the answer may say of time.
 * since: the token that the region is asked with, taken apart, decoded; with its time only where it is a token of the same
 * region, and without where it was translated or is another's. .token empty: from the beginning.
 * asked_s: seconds since 1970 when the request was sent, or earlier.
 *
 *   a token's time     stays: what was told stays told
 *   since=now          asked_s: who begins there wants nothing of what was before
 *   update_seq         of a database, the same: who begins there does so
 *   _changes           of the last_seq of an answer that left nothing out: asked_s, if it began at the beginning, or if its
 *                      holder asked from whole answer to whole answer for settle_s
 *   all else           nothing: views tell of an index, which may be behind; _db_updates is of no database */
struct dp_token_times dp_reading_times(const struct dp_couch_request *r,
                                       const struct dp_reading *reading,
                                       const struct dp_token *since, uint64_t asked_s);

#endif
