/* A word: 24 bits of the key, 8 of the count, 32 of the second in which the window began (0: empty). */
#include "davenport/proxy/login_limit.h"

#include "davenport/base/random.h"
#include "davenport/core/policy.h"
#include "davenport/proxy/address_limit.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SLOTS 4096
#define WAYS  4
#define MOST  UINT8_MAX

struct dp_login_limit {
    uint64_t seed;
    _Atomic uint32_t failures; /* ever: as long as there are none, nobody looks further */
    _Atomic uint64_t slots[SLOTS];
};

struct dp_login_limit *dp_login_limit_new(uint64_t seed)
{
    struct dp_login_limit *l = calloc(1, sizeof(*l));
    if (l)
        l->seed = seed;
    return l;
}

void dp_login_limit_free(struct dp_login_limit *l)
{
    free(l);
}

uint64_t dp_login_limit_key(const struct dp_login_limit *l, struct dp_span name, const char *peer)
{
    uint64_t address = 0;
    if (!dp_address_key(peer, &address))
        address = 1;
    uint64_t key = dp_mix(l->seed ^ dp_mix(address));
    return name.n > 0 ? dp_mix(key ^ dp_policy_key(name)) : key;
}

static uint64_t tag_of(uint64_t key)
{
    return key >> 40 << 40;
}

static uint32_t began(uint64_t word)
{
    return (uint32_t)word;
}

static uint32_t count(uint64_t word)
{
    return (uint32_t)(word >> 32 & MOST);
}

static bool is_over(uint64_t word, uint32_t window_s, uint32_t now_s)
{
    return began(word) == 0 || now_s - began(word) >= window_s;
}

/* Never 0. */
static uint32_t second(uint64_t now_s)
{
    return (uint32_t)now_s | 1;
}

bool dp_login_limit_past(const struct dp_login_limit *l, uint64_t key, uint32_t most,
                         uint32_t window_s, uint64_t now_s)
{
    if (atomic_load_explicit(&l->failures, memory_order_relaxed) == 0)
        return false;
    const size_t at = key % (SLOTS / WAYS) * WAYS;
    for (size_t i = at; i < at + WAYS; i++) {
        const uint64_t word = atomic_load_explicit(&l->slots[i], memory_order_relaxed);
        if (tag_of(word) == tag_of(key) && !is_over(word, window_s, second(now_s)))
            return count(word) >= most;
    }
    return false;
}

/* Its own slot, else one that means nothing any more, else the oldest. */
static size_t slot_for(const struct dp_login_limit *l, uint64_t key, uint32_t window_s,
                       uint32_t now_s)
{
    const size_t at = key % (SLOTS / WAYS) * WAYS;
    size_t best = at;
    uint32_t best_age = 0;
    for (size_t i = at; i < at + WAYS; i++) {
        const uint64_t word = atomic_load_explicit(&l->slots[i], memory_order_relaxed);
        const bool over = is_over(word, window_s, now_s);
        if (!over && tag_of(word) == tag_of(key))
            return i;
        const uint32_t age = over ? UINT32_MAX : now_s - began(word);
        if (age >= best_age) {
            best_age = age;
            best = i;
        }
    }
    return best;
}

void dp_login_limit_failed(struct dp_login_limit *l, uint64_t key, uint32_t window_s,
                           uint64_t now_s)
{
    const uint32_t now = second(now_s);
    _Atomic uint64_t *slot = &l->slots[slot_for(l, key, window_s, now)];
    uint64_t was = atomic_load_explicit(slot, memory_order_relaxed), word;
    do {
        if (tag_of(was) == tag_of(key) && !is_over(was, window_s, now))
            word = count(was) < MOST ? was + (UINT64_C(1) << 32) : was;
        else
            word = tag_of(key) | UINT64_C(1) << 32 | now;
    } while (!atomic_compare_exchange_weak_explicit(slot, &was, word, memory_order_relaxed,
                                                    memory_order_relaxed));
    (void)atomic_fetch_add_explicit(&l->failures, 1, memory_order_relaxed);
}
