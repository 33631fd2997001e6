/* A document of ours that is written in one region and looked for in another: does replication carry it, and how long does
 * that take? Judged for one way, from what was sent and what was found, and when. Pure: time comes in.
 *
 *   nothing ──sent──► on its way ──came──► nothing, or the newest that was sent meanwhile is on its way
 *                      │  ▲  └─withdrawn──► nothing: one of the two is down, which says nothing of replication
 *                      └──┘ missed: a look did not find it
 *
 * Canaries are numbered as they are sent. The oldest that has not come is the one that is waited for; who has a later one
 * has it too. It is overdue only by a look that was answered: a region that is silent is blamed for nothing. */
#ifndef DAVENPORT_CORE_CANARY_H
#define DAVENPORT_CORE_CANARY_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_CANARY_WORD 96

/* All zero: nothing is known. Times are monotonic, in ns. */
struct dp_canary {
    uint64_t out, out_ns; /* the one that is waited for, and when it was sent; out_ns 0: none */
    uint64_t missed_ns;   /* the last look that did not find it; 0: there was none */
    uint64_t took_ns, came_ns; /* of the last one that came; came_ns 0: none has */
    bool denied;               /* our credentials may not write it, or may not look for it */
    char word[DP_CANARY_WORD]; /* why not, or what trouble there was last; "": none */
};

/* The newest one; sent_ns: its PUT began. */
void dp_canary_sent(struct dp_canary *c, uint64_t number, uint64_t sent_ns);
/* This one was found; newest, newest_ns: the last one that was sent. */
void dp_canary_came(struct dp_canary *c, uint64_t number, uint64_t newest, uint64_t newest_ns,
                    uint64_t now_ns);
/* The one that is waited for was not found. */
void dp_canary_missed(struct dp_canary *c, uint64_t now_ns);
/* A region of the two is down. */
void dp_canary_withdrawn(struct dp_canary *c);
/* It could not be written, or looked for. word: for people. */
void dp_canary_failed(struct dp_canary *c, bool denied, const char *word);

/* Was the one that is waited for looked for in vain after more than `most_ns`? */
bool dp_canary_overdue(const struct dp_canary *c, uint64_t most_ns);

#endif
