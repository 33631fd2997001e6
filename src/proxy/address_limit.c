/* Open addressing within a window of slots that begins at an address's hash. A slot is free when its word is 0; a word
 * is (tag, count), and the count of a word that is not free is at least 1.
 *
 * An address may come to stand in two slots of its window: two workers can each find a free one. That does no harm, as
 * its count is the sum over the window, and whoever adds looks at the sum behind its own addition: of those that come at
 * once the last to look sees all. */
#include "davenport/proxy/address_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define WINDOW     32U
#define COUNT_BITS 24U
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
/* Slots a connection, so that windows do not fill. */
#define SPARSE 2U

struct dp_address_limit {
    uint64_t seed;
    uint64_t most;
    uint32_t mask; /* slots that a window may begin at, less one; WINDOW more are behind them */
    _Atomic uint64_t slots[];
};

struct dp_address_limit *dp_address_limit_new(uint32_t most, uint64_t connections, uint64_t seed)
{
    uint32_t n = 64;
    while (n < SPARSE * connections && n < UINT32_C(1) << 30)
        n *= 2;
    struct dp_address_limit *l = calloc(1, sizeof(*l) + (n + (size_t)WINDOW) * sizeof(l->slots[0]));
    if (!l)
        return NULL;
    l->seed = seed;
    l->most = most;
    l->mask = n - 1;
    return l;
}

void dp_address_limit_free(struct dp_address_limit *l)
{
    free(l);
}

bool dp_address_key(const char *peer, uint64_t *key)
{
    struct in_addr v4;
    struct in6_addr v6;
    uint32_t last;
    if (inet_pton(AF_INET, peer, &v4) == 1) {
        *key = v4.s_addr;
        return true;
    }
    if (inet_pton(AF_INET6, peer, &v6) != 1)
        return false;
    memcpy(key, &v6, sizeof(*key));
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        memcpy(&last, v6.s6_addr + 12, sizeof(last));
        *key = last;
    }
    return true;
}

/* The finalizer of MurmurHash3: every bit of the key moves every bit of the result. */
static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}

/* Add to the word if it is this tag's, or free and may be taken. */
static bool add_one(_Atomic uint64_t *slot, uint64_t tag, bool take_free)
{
    uint64_t word = atomic_load(slot);
    while ((word != 0 && (word & ~COUNT_MASK) == tag && (word & COUNT_MASK) < COUNT_MASK) ||
           (word == 0 && take_free)) {
        if (atomic_compare_exchange_weak(slot, &word, (word == 0 ? tag : word) + 1))
            return true;
    }
    return false;
}

bool dp_address_limit_take(struct dp_address_limit *l, const char *peer, uint32_t *place)
{
    uint64_t key, sum = 0;
    *place = DP_NO_PLACE;
    if (!dp_address_key(peer, &key))
        return true;
    const uint64_t hash = mix(key ^ l->seed);
    /* Tag and beginning come of different bits; a tag of 0 could not be told from a free slot. */
    const uint64_t tag = (hash & ~COUNT_MASK) ? hash & ~COUNT_MASK : COUNT_MASK + 1;
    const uint32_t begin = (uint32_t)mix(hash) & l->mask;
    for (unsigned pass = 0; pass < 2 && *place == DP_NO_PLACE; pass++) {
        for (uint32_t i = 0; i < WINDOW && *place == DP_NO_PLACE; i++) {
            if (add_one(&l->slots[begin + i], tag, pass == 1))
                *place = begin + i;
        }
    }
    if (*place == DP_NO_PLACE)
        return true;
    for (uint32_t i = 0; i < WINDOW; i++) {
        uint64_t word = atomic_load(&l->slots[begin + i]);
        if ((word & ~COUNT_MASK) == tag)
            sum += word & COUNT_MASK;
    }
    if (sum <= l->most)
        return true;
    dp_address_limit_give(l, *place);
    *place = DP_NO_PLACE;
    return false;
}

void dp_address_limit_give(struct dp_address_limit *l, uint32_t place)
{
    if (place == DP_NO_PLACE)
        return;
    uint64_t word = atomic_load(&l->slots[place]);
    while (!atomic_compare_exchange_weak(&l->slots[place], &word,
                                         (word & COUNT_MASK) == 1 ? 0 : word - 1)) {
    }
}
