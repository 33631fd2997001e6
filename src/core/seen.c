/* The table of seen.h: 64 slots, a name within so many of where its hash says. */
#include "davenport/core/seen.h"

#include <string.h>

#define NEAR 8

/* Different names have different ones, for all that chance can do: it is compared in their place. */
static uint64_t hash_of(struct dp_span name)
{
    uint64_t h = UINT64_C(0x9E3779B97F4A7C15) ^ name.n;
    size_t i = 0;
    for (; i + 8 <= name.n; i += 8) {
        uint64_t w;
        memcpy(&w, name.p + i, 8);
        h = (h ^ w) * UINT64_C(0xBF58476D1CE4E5B9);
        h ^= h >> 29;
    }
    uint64_t w = 0;
    if (name.n > i)
        memcpy(&w, name.p + i, name.n - i);
    h = (h ^ w) * UINT64_C(0x94D049BB133111EB);
    h ^= h >> 31;
    return h ? h : 1;
}

/* Between two changes of the version, without fences, which the thread sanitizer does not know: no store of the slot may
 * come before the first change, so each releases it; no load may come after the second look, so each acquires. */
static void fill(struct dp_seen_slot *slot, struct dp_span name, uint64_t hash, uint32_t tick)
{
    uint32_t v = atomic_load_explicit(&slot->version, memory_order_relaxed);
    atomic_store_explicit(&slot->version, v + 1, memory_order_relaxed);
    for (size_t i = 0; i * 8 < name.n; i++) {
        uint64_t w = 0;
        memcpy(&w, name.p + i * 8, name.n - i * 8 < 8 ? name.n - i * 8 : 8);
        atomic_store_explicit(&slot->name[i], w, memory_order_release);
    }
    atomic_store_explicit(&slot->bytes, (uint32_t)name.n, memory_order_release);
    atomic_store_explicit(&slot->used, tick, memory_order_release);
    atomic_store_explicit(&slot->hash, hash, memory_order_release);
    atomic_store_explicit(&slot->version, v + 2, memory_order_release);
}

/* A free slot, or the one that was not used for the longest. */
static void learn(struct dp_seen *s, struct dp_span name, uint64_t hash, uint32_t tick)
{
    struct dp_seen_slot *best = NULL;
    uint32_t idle = DP_SEEN_STALE;
    for (unsigned i = 0; i < NEAR; i++) {
        struct dp_seen_slot *slot = &s->slots[(hash + i) % DP_SEEN_SLOTS];
        uint32_t not_used = tick - atomic_load_explicit(&slot->used, memory_order_relaxed);
        if (atomic_load_explicit(&slot->hash, memory_order_relaxed) == 0) {
            best = slot;
            break;
        }
        if (not_used >= idle) {
            best = slot;
            idle = not_used;
        }
    }
    if (best && name.n <= DP_SEEN_NAME_BYTES)
        fill(best, name, hash, tick);
    else
        atomic_store_explicit(&s->lost, (uint64_t)tick + 1, memory_order_relaxed);
}

void dp_seen_note(struct dp_seen *s, struct dp_span name, uint32_t tick)
{
    const uint64_t hash = hash_of(name);
    for (unsigned i = 0; i < NEAR; i++) {
        struct dp_seen_slot *slot = &s->slots[(hash + i) % DP_SEEN_SLOTS];
        if (atomic_load_explicit(&slot->hash, memory_order_relaxed) == hash) {
            if (atomic_load_explicit(&slot->used, memory_order_relaxed) != tick)
                atomic_store_explicit(&slot->used, tick, memory_order_relaxed);
            return;
        }
    }
    learn(s, name, hash, tick);
}

bool dp_seen_read(const struct dp_seen *s, unsigned i, char out[DP_SEEN_NAME_BYTES + 1],
                  uint32_t *used)
{
    const struct dp_seen_slot *slot = &s->slots[i];
    uint64_t words[DP_SEEN_NAME_WORDS];
    uint32_t v = atomic_load_explicit(&slot->version, memory_order_acquire);
    if (v % 2 == 1 || atomic_load_explicit(&slot->hash, memory_order_relaxed) == 0)
        return false;
    uint32_t n = atomic_load_explicit(&slot->bytes, memory_order_acquire);
    for (unsigned k = 0; k < DP_SEEN_NAME_WORDS; k++)
        words[k] = atomic_load_explicit(&slot->name[k], memory_order_acquire);
    uint32_t tick = atomic_load_explicit(&slot->used, memory_order_acquire);
    if (atomic_load_explicit(&slot->version, memory_order_relaxed) != v || n > DP_SEEN_NAME_BYTES)
        return false;
    memcpy(out, words, n);
    out[n] = '\0';
    *used = tick;
    return true;
}
