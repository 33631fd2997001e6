/* The databases that requests have to do with: what one worker notes, and the control plane reads, without a lock and without
 * waiting for each other.
 *
 * A name is noted as it stands in the path, so one database may be there under two spellings. Who was not used for long
 * makes room when there is none. A name that finds no room is counted: who reads must know that there are more. */
#ifndef DAVENPORT_CORE_SEEN_H
#define DAVENPORT_CORE_SEEN_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define DP_SEEN_SLOTS      64
#define DP_SEEN_NAME_WORDS 32
#define DP_SEEN_NAME_BYTES (DP_SEEN_NAME_WORDS * 8) /* longer names have no room */
/* The unit of time here: 2^30 ns, a bit more than a second. */
#define DP_SEEN_TICK(ns) ((uint32_t)((ns) >> 30))
/* Not used for so many ticks: about a minute. */
#define DP_SEEN_STALE 60

struct dp_seen_slot {
    _Atomic uint64_t hash;    /* of its name; 0: free */
    _Atomic uint32_t used;    /* tick of the last request */
    _Atomic uint32_t version; /* odd: its name is being replaced */
    _Atomic uint32_t bytes;   /* of the name */
    _Atomic uint64_t name[DP_SEEN_NAME_WORDS];
};

/* All zero: empty. */
struct dp_seen {
    _Atomic uint64_t
        lost; /* ticks of notes that found no room, the last one + 1; 0: none ever did */
    struct dp_seen_slot slots[DP_SEEN_SLOTS];
};

/* The one worker's thread. Costs a hash of the name and a look, where it is known. */
void dp_seen_note(struct dp_seen *s, struct dp_span name, uint32_t tick);

/* Any thread: the i-th slot's name and when it was last used. False: it is free, or just being replaced. */
bool dp_seen_read(const struct dp_seen *s, unsigned i, char out[DP_SEEN_NAME_BYTES + 1],
                  uint32_t *used);

#endif
