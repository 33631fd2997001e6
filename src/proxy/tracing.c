/* A ring for one who puts and one who takes. Each owns one of the two counts, and reads the other's: what stands before it
 * was written before. They are in cache lines of their own, and the one who puts looks at the other's only when its last
 * look says that the ring is full. */
#include "davenport/proxy/tracing.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LINE 64

struct dp_tracing_ring {
    alignas(LINE) _Atomic uint32_t put; /* ever, modulo 2^32 */
    uint32_t taken_seen;                /* the one who puts: as of its last look */
    alignas(LINE) _Atomic uint32_t taken;
    alignas(LINE) uint32_t mask;
    struct dp_tracing_span *spans;
};

struct dp_tracing_ring *dp_tracing_ring_new(uint32_t spans)
{
    uint32_t cap = 1;
    while (cap < spans)
        cap *= 2;
    struct dp_tracing_ring *r = aligned_alloc(LINE, sizeof(*r));
    if (!r)
        return NULL;
    *r = (struct dp_tracing_ring){.mask = cap - 1, .spans = calloc(cap, sizeof(*r->spans))};
    if (!r->spans) {
        free(r);
        return NULL;
    }
    return r;
}

void dp_tracing_ring_free(struct dp_tracing_ring *r)
{
    if (!r)
        return;
    free(r->spans);
    free(r);
}

bool dp_tracing_put(struct dp_tracing_ring *r, const struct dp_tracing_span *s)
{
    const uint32_t put = atomic_load_explicit(&r->put, memory_order_relaxed);
    if (put - r->taken_seen > r->mask)
        r->taken_seen = atomic_load_explicit(&r->taken, memory_order_acquire);
    if (put - r->taken_seen > r->mask)
        return false;
    r->spans[put & r->mask] = *s;
    atomic_store_explicit(&r->put, put + 1, memory_order_release);
    return true;
}

const struct dp_tracing_span *dp_tracing_peek(struct dp_tracing_ring *r)
{
    const uint32_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&r->put, memory_order_acquire))
        return NULL;
    return &r->spans[taken & r->mask];
}

void dp_tracing_took(struct dp_tracing_ring *r)
{
    const uint32_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);
    atomic_store_explicit(&r->taken, taken + 1, memory_order_release);
}
