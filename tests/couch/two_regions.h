/* What the models of seqmap and of a follower have in common: what a region holds of a few documents in two shards, its feed, and
 * replication to the other one in steps that may be interrupted. */
#ifndef DAVENPORT_TESTS_COUCH_TWO_REGIONS_H
#define DAVENPORT_TESTS_COUCH_TWO_REGIONS_H

#include "couch/seq_encode.h"
#include "support/random.h"

#include <stdint.h>
#include <string.h>

enum { DOCS = 4, SHARDS = ENCODED_SHARDS, REVISIONS = 64 };

/* Of a region: how far in each shard, and by whose count. */
struct position {
    unsigned seq[SHARDS], node[SHARDS];
};

/* What a region holds. */
struct content {
    uint64_t known[DOCS]; /* bit per revision */
    unsigned seq[DOCS];   /* when it last learned one; a document stands in shard doc % SHARDS */
    struct position last; /* update_seq */
};

/* Replication from a region to the other: reads, then writes, then notes how far it came. */
struct replication {
    struct position read, checkpoint;
    uint64_t carried[DOCS];
};

static inline void learn(struct content *c, unsigned doc, uint64_t revisions)
{
    if ((revisions & ~c->known[doc]) == 0)
        return;
    c->known[doc] |= revisions;
    c->seq[doc] = ++c->last.seq[doc % SHARDS];
}

/* The next document of a feed behind p, in a shard of chance; -1: there is none. */
static inline int next_change(struct random *random, const struct content *c,
                              const struct position *p)
{
    unsigned first = below(random, SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        unsigned shard = (first + i) % SHARDS;
        int next = -1;
        for (unsigned doc = shard; doc < DOCS; doc += SHARDS) {
            if (c->seq[doc] > p->seq[shard] && (next < 0 || c->seq[doc] < c->seq[next]))
                next = (int)doc;
        }
        if (next >= 0)
            return next;
    }
    return -1;
}

/* One step of it. source: as it is read, which may be late. */
static inline void replication_goes_on(struct replication *r, struct random *random,
                                       const struct content *source, struct content *target)
{
    int doc;
    switch (below(random, 5)) {
    case 0:
    case 1:
        doc = next_change(random, source, &r->read);
        if (doc < 0)
            return;
        r->carried[doc] |= source->known[doc];
        r->read.seq[(unsigned)doc % SHARDS] = source->seq[doc];
        return;
    case 2: /* some of it arrives */
        doc = (int)below(random, DOCS);
        learn(target, (unsigned)doc, r->carried[doc]);
        r->carried[doc] = 0;
        return;
    case 3: /* all of it, and it is noted */
        for (unsigned d = 0; d < DOCS; d++) {
            learn(target, d, r->carried[d]);
            r->carried[d] = 0;
        }
        r->checkpoint = r->read;
        return;
    default: /* it crashes */
        memset(r->carried, 0, sizeof(r->carried));
        r->read = r->checkpoint;
        return;
    }
}

#endif
