/* A bump allocator with one lifetime: one exchange. Its first block (4 KiB) is recycled through a
 * per-worker cache, so that a request in steady state allocates nothing from the system.
 * One thread. Blocks are aligned to 16. */
#ifndef DAVENPORT_BASE_ARENA_H
#define DAVENPORT_BASE_ARENA_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stddef.h>

#define DP_ARENA_FIRST_BYTES 4096

struct dp_arena_block;

/* First blocks that wait for the next exchange: at most `max_free` of them are kept. */
struct dp_arena_cache {
    struct dp_arena_block *free;
    size_t n_free, max_free;
    size_t used_bytes; /* of all blocks, large ones too, that arenas hold now */
};

struct dp_arena {
    struct dp_arena_cache *cache; /* may be NULL: then the first block is malloc'ed and freed */
    struct dp_arena_block *first, *last;
    size_t total_bytes; /* what was taken from the system or the cache */
};

void dp_arena_cache_init(struct dp_arena_cache *c, size_t max_free);
void dp_arena_cache_fini(struct dp_arena_cache *c);

/* No allocation happens before the first dp_arena_alloc. */
void dp_arena_init(struct dp_arena *a, struct dp_arena_cache *cache);
/* Give everything back; the arena may be used again. */
void dp_arena_reset(struct dp_arena *a);

/* NULL when the system has no memory left (n may be sized by input). Not zeroed. */
DP_MUST_USE void *dp_arena_alloc(struct dp_arena *a, size_t n);
/* Of the newest allocation, `n` bytes at `p`, only the first `used` are needed: the next one may have the rest. */
void dp_arena_trim(struct dp_arena *a, const void *p, size_t n, size_t used);
/* A copy that lives as long as the arena; .p == NULL when out of memory (and n > 0). */
DP_MUST_USE struct dp_span dp_arena_copy(struct dp_arena *a, struct dp_span s);

#endif
