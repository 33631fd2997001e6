/* The bump allocator of one exchange. Blocks form a chain; only the last one has room. The first
 * block has a fixed size so that it can be recycled; later ones double, or fit what asks. */
#include "davenport/base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define ALIGN 16

struct dp_arena_block {
    struct dp_arena_block *next;
    size_t used, cap; /* of data */
    alignas(ALIGN) char data[];
};

void dp_arena_cache_init(struct dp_arena_cache *c, size_t max_free)
{
    *c = (struct dp_arena_cache){.max_free = max_free};
}

void dp_arena_cache_fini(struct dp_arena_cache *c)
{
    while (c->free) {
        struct dp_arena_block *b = c->free;
        c->free = b->next;
        free(b);
    }
    c->n_free = 0;
}

void dp_arena_init(struct dp_arena *a, struct dp_arena_cache *cache)
{
    *a = (struct dp_arena){.cache = cache};
}

static void block_release(struct dp_arena_cache *c, struct dp_arena_block *b)
{
    bool first_size = b->cap == DP_ARENA_FIRST_BYTES - sizeof(*b);
    if (c)
        c->used_bytes -= sizeof(*b) + b->cap;
    if (c && first_size && c->n_free < c->max_free) {
        b->next = c->free;
        c->free = b;
        c->n_free++;
    } else {
        free(b);
    }
}

void dp_arena_reset(struct dp_arena *a)
{
    struct dp_arena_block *b = a->first;
    while (b) {
        struct dp_arena_block *next = b->next;
        block_release(a->cache, b);
        b = next;
    }
    a->first = a->last = NULL;
    a->total_bytes = 0;
}

static struct dp_arena_block *block_new(struct dp_arena *a, size_t need)
{
    struct dp_arena_cache *c = a->cache;
    size_t cap = DP_ARENA_FIRST_BYTES - sizeof(struct dp_arena_block);
    if (need <= cap && !a->first && c && c->free) {
        struct dp_arena_block *b = c->free;
        c->free = b->next;
        c->n_free--;
        return b;
    }
    if (a->last)
        cap = a->last->cap * 2;
    if (cap < need)
        cap = need;
    struct dp_arena_block *b = malloc(sizeof(*b) + cap);
    if (b)
        b->cap = cap;
    return b;
}

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

void *dp_arena_alloc(struct dp_arena *a, size_t n)
{
    if (n > SIZE_MAX / 4)
        return NULL;
    size_t need = aligned(n);
    struct dp_arena_block *b = a->last;
    if (!b || b->cap - b->used < need) {
        b = block_new(a, need);
        if (!b)
            return NULL;
        b->next = NULL;
        b->used = 0;
        if (a->last)
            a->last->next = b;
        else
            a->first = b;
        a->last = b;
        a->total_bytes += b->cap;
        if (a->cache)
            a->cache->used_bytes += sizeof(*b) + b->cap;
    }
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

void dp_arena_trim(struct dp_arena *a, const void *p, size_t n, size_t used)
{
    struct dp_arena_block *b = a->last;
    assert(used <= n && (const char *)p + aligned(n) == b->data + b->used);
    b->used -= aligned(n) - aligned(used);
}

struct dp_span dp_arena_copy(struct dp_arena *a, struct dp_span s)
{
    char *p = dp_arena_alloc(a, s.n);
    if (!p)
        return (struct dp_span){NULL, 0};
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return (struct dp_span){p, s.n};
}
