/* What was written through this proxy of late: of each document the revision, and the region that has it. So that whoever
 * writes in one region and reads in another reads what it wrote (couchdb-facts §8).
 *
 * A table of atomics that all workers share; no lock. It forgets: what is older than its bound, and the oldest of those
 * that meet in one place. Documents are known by a hash: two that meet in it cost a needless look at another region, no
 * wrong answer. Any thread. */
#ifndef DAVENPORT_PROXY_RECENT_H
#define DAVENPORT_PROXY_RECENT_H

#include "davenport/base/attr.h"
#include "davenport/couch/rev.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_recent;

struct dp_recent_write {
    struct dp_rev rev;
    uint16_t region; /* that has it; 0 to DP_MAX_REGIONS - 1 */
    bool deleted;
};

/* documents: how many are remembered at most, about; seed: random. NULL: out of memory. */
DP_MUST_USE struct dp_recent *dp_recent_new(uint32_t documents, uint64_t seed);
void dp_recent_free(struct dp_recent *r); /* NULL is fine */

/* A document's name here: see dp_rev_key. */
uint64_t dp_recent_key(const struct dp_recent *r, struct dp_span db, struct dp_span doc,
                       bool encoded);

/* Written at `now_ms` (monotonic). A later generation that is known already, and not yet for_ms old, stays. True: a
 * younger one than for_ms had to be forgotten for it. */
bool dp_recent_note(struct dp_recent *r, uint64_t key, const struct dp_recent_write *w,
                    uint64_t now_ms, uint64_t for_ms);

/* What of it was written less than for_ms ago. False: nothing is known. The revision's digits are told to a few bits:
 * compare by dp_recent_seen. */
bool dp_recent_find(const struct dp_recent *r, uint64_t key, uint64_t now_ms, uint64_t for_ms,
                    struct dp_recent_write *out);

/* Has who reads `read` seen the write? As dp_rev_covers. */
bool dp_recent_seen(const struct dp_recent_write *w, const struct dp_rev *read);

/* What was written in `region` until then all other regions have: it is forgotten. And what was written since is remembered
 * beyond its time, for an hour at most, until it is told that it has arrived. until_ms: as now_ms; 0: nobody knows. */
void dp_recent_settle(struct dp_recent *r, uint16_t region, uint64_t until_ms);

/* The regions have other numbers now. */
void dp_recent_clear(struct dp_recent *r);

#endif
