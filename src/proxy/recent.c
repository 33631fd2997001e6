/* A place is two words: the document's hash, and what was written. Both change without a lock, so a reader may see one
 * of each of two writers: some bits of the hash in the second word tell. */
#include "davenport/proxy/recent.h"

#include "davenport/core/view.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Where replication is seen to lag it is waited for so long. */
#define LONGEST_MS (3600 * UINT64_C(1000))
/* Places that a document may stand in. */
#define WINDOW 4U

/* generation:20 digits:12 tag:8 region:4 deleted:1 seconds:19, from the top. */
#define GENERATION_BITS 20U
#define DIGITS_BITS     12U
#define TAG_BITS        8U
#define REGION_BITS     4U
#define SECONDS_BITS    19U
#define MASK(bits)      ((UINT64_C(1) << (bits)) - 1)
_Static_assert(DP_MAX_REGIONS <= 1U << REGION_BITS, "a region's number fits");
_Static_assert(GENERATION_BITS + DIGITS_BITS + TAG_BITS + REGION_BITS + 1 + SECONDS_BITS == 64,
               "it fills its word");

struct place {
    _Atomic uint64_t key; /* 0: free */
    _Atomic uint64_t word;
};

struct dp_recent {
    uint64_t seed;
    _Atomic uint64_t settled_ms[DP_MAX_REGIONS]; /* 0: not known */
    uint32_t mask; /* places that a window may begin at, less one; WINDOW more are behind them */
    struct place places[];
};

struct dp_recent *dp_recent_new(uint32_t documents, uint64_t seed)
{
    uint32_t n = 64;
    while (n < documents && n < UINT32_C(1) << 26)
        n *= 2;
    struct dp_recent *r = calloc(1, sizeof(*r) + (n + (size_t)WINDOW) * sizeof(r->places[0]));
    if (!r)
        return NULL;
    r->seed = seed;
    r->mask = n - 1;
    return r;
}

void dp_recent_free(struct dp_recent *r)
{
    free(r);
}

void dp_recent_clear(struct dp_recent *r)
{
    for (uint32_t i = 0; i < r->mask + 1 + WINDOW; i++)
        atomic_store(&r->places[i].key, 0);
    for (unsigned i = 0; i < DP_MAX_REGIONS; i++)
        atomic_store(&r->settled_ms[i], 0);
}

void dp_recent_settle(struct dp_recent *r, uint16_t region, uint64_t until_ms)
{
    atomic_store(&r->settled_ms[region], until_ms);
}

static uint64_t saturated(uint32_t generation)
{
    return generation < MASK(GENERATION_BITS) ? generation : MASK(GENERATION_BITS);
}

static uint64_t pack(const struct dp_recent_write *w, uint64_t key, uint64_t now_ms)
{
    uint64_t x = saturated(w->rev.generation);
    x = x << DIGITS_BITS | (w->rev.digits & MASK(DIGITS_BITS));
    x = x << TAG_BITS | (key & MASK(TAG_BITS));
    x = x << REGION_BITS | (w->region & MASK(REGION_BITS));
    x = x << 1 | w->deleted;
    return x << SECONDS_BITS | (now_ms / 1000 & MASK(SECONDS_BITS));
}

/* False: the two words are not of one write. */
static bool unpack(uint64_t x, uint64_t key, struct dp_recent_write *out)
{
    x >>= SECONDS_BITS;
    out->deleted = x & 1;
    out->region = (uint16_t)(x >> 1 & MASK(REGION_BITS));
    x >>= 1 + REGION_BITS;
    const bool whole = (x & MASK(TAG_BITS)) == (key & MASK(TAG_BITS));
    x >>= TAG_BITS;
    out->rev.digits = x & MASK(DIGITS_BITS);
    out->rev.generation = (uint32_t)(x >> DIGITS_BITS);
    return whole;
}

/* The clock of seconds goes round after six days: what is older may look young, and costs a needless look. */
static uint64_t age_s(uint64_t word, uint64_t now_ms)
{
    return (now_ms / 1000 - word) & MASK(SECONDS_BITS);
}

static bool is_young(uint64_t word, uint64_t now_ms, uint64_t for_ms)
{
    return age_s(word, now_ms) * 1000 <= for_ms;
}

/* Is what was written in this region still to be read there? Seconds are what a word tells, and times are rounded down:
 * what was written in the second of the settlement or the one before it may not have arrived. */
static bool counts(const struct dp_recent *r, uint16_t region, uint64_t word, uint64_t now_ms,
                   uint64_t for_ms)
{
    const uint64_t settled_ms = atomic_load(&r->settled_ms[region]);
    if (settled_ms == 0 || settled_ms > now_ms)
        return is_young(word, now_ms, for_ms);
    return age_s(word, now_ms) <= now_ms / 1000 - settled_ms / 1000 + 1 &&
           is_young(word, now_ms, for_ms > LONGEST_MS ? for_ms : LONGEST_MS);
}

uint64_t dp_recent_key(const struct dp_recent *r, struct dp_span db, struct dp_span doc,
                       bool encoded)
{
    const uint64_t key = dp_rev_key(db, doc, encoded, r->seed);
    return key ? key : 1;
}

static uint32_t window_of(const struct dp_recent *r, uint64_t key)
{
    return (uint32_t)(key >> 32) & r->mask;
}

bool dp_recent_note(struct dp_recent *r, uint64_t key, const struct dp_recent_write *w,
                    uint64_t now_ms, uint64_t for_ms)
{
    struct place *window = &r->places[window_of(r, key)], *to = NULL;
    struct dp_recent_write known;
    uint64_t oldest = 0;
    bool forgets = false;
    for (unsigned i = 0; i < WINDOW; i++) {
        const uint64_t there = atomic_load(&window[i].key), word = atomic_load(&window[i].word);
        if (there == key) {
            if (is_young(word, now_ms, for_ms) && unpack(word, key, &known) &&
                known.rev.generation > saturated(w->rev.generation))
                return false;
            to = &window[i];
            forgets = false;
            break;
        }
        const uint64_t age = there ? age_s(word, now_ms) + 1 : UINT64_MAX;
        if (age > oldest) {
            oldest = age;
            to = &window[i];
            forgets = there && is_young(word, now_ms, for_ms);
        }
    }
    atomic_store(&to->key, 0);
    atomic_store(&to->word, pack(w, key, now_ms));
    atomic_store(&to->key, key);
    return forgets;
}

bool dp_recent_find(const struct dp_recent *r, uint64_t key, uint64_t now_ms, uint64_t for_ms,
                    struct dp_recent_write *out)
{
    const struct place *window = &r->places[window_of(r, key)];
    for (unsigned i = 0; i < WINDOW; i++) {
        if (atomic_load(&window[i].key) != key)
            continue;
        const uint64_t word = atomic_load(&window[i].word);
        return unpack(word, key, out) && counts(r, out->region, word, now_ms, for_ms);
    }
    return false;
}

bool dp_recent_seen(const struct dp_recent_write *w, const struct dp_rev *read)
{
    const struct dp_rev known = {(uint32_t)saturated(read->generation),
                                 read->digits & MASK(DIGITS_BITS)};
    return dp_rev_covers(&known, &w->rev);
}
