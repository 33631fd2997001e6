/* Counters that one thread writes and any thread reads: no lock prefix, no torn value.
 * Cumulative and never reset, so that a reader takes differences; gauges are set. */
#ifndef DAVENPORT_BASE_COUNTER_H
#define DAVENPORT_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct dp_counter {
    _Atomic uint64_t v;
};

/* The writing thread only. */
static inline void dp_counter_add(struct dp_counter *c, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&c->v, memory_order_relaxed);
    atomic_store_explicit(&c->v, old + n, memory_order_relaxed);
}

static inline void dp_counter_sub(struct dp_counter *c, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&c->v, memory_order_relaxed);
    atomic_store_explicit(&c->v, old - n, memory_order_relaxed);
}

static inline void dp_counter_set(struct dp_counter *c, uint64_t n)
{
    atomic_store_explicit(&c->v, n, memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t dp_counter_get(const struct dp_counter *c)
{
    return atomic_load_explicit(&c->v, memory_order_relaxed);
}

#endif
