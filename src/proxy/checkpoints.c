/* Sets of a few slots each; a slot is the hash of a checkpoint and of the parting, so that older ones need not be cleared
 * out. A set that is full gives up one of its slots. */
#include "davenport/proxy/checkpoints.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SETS  1024U
#define SLOTS 8U

struct dp_checkpoints {
    uint64_t seed;
    _Atomic uint64_t slots[SETS][SLOTS]; /* 0: free */
};

struct dp_checkpoints *dp_checkpoints_new(uint64_t seed)
{
    struct dp_checkpoints *c = calloc(1, sizeof(*c));
    if (c)
        c->seed = seed;
    return c;
}

void dp_checkpoints_free(struct dp_checkpoints *c)
{
    free(c);
}

/* FNV-1a, with a finalizer of MurmurHash3's behind it. */
static uint64_t hash_on(uint64_t h, struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
    h = (h ^ s.n) * UINT64_C(0xff51afd7ed558ccd);
    return h ^ (h >> 33);
}

bool dp_checkpoints_first(struct dp_checkpoints *c, uint64_t parted, struct dp_span db,
                          struct dp_span doc)
{
    const uint64_t start =
        (c->seed ^ parted * UINT64_C(0x9E3779B97F4A7C15)) ^ UINT64_C(0xcbf29ce484222325);
    const uint64_t hash = hash_on(hash_on(start, db), doc), tag = hash ? hash : 1;
    _Atomic uint64_t *set = c->slots[hash % SETS];
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t was = atomic_load(&set[i]);
        if (was == 0 && atomic_compare_exchange_strong(&set[i], &was, tag))
            return true;
        if (was == tag)
            return false;
    }
    atomic_store(&set[(hash / SETS) % SLOTS], tag);
    return true;
}
