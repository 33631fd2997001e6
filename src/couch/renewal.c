/* Looks, and the rule that two of them make. */
#include "davenport/couch/renewal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct dp_seq_shard shard;
    uint64_t asked_s, asked_ns;
};

struct dp_seqlook {
    _Atomic uint32_t refs;
    uint64_t newest_ns;
    size_t n;
    struct reading readings[]; /* one a place, in the order of places */
};

/* What the feed is held against: of several readings the oldest counts. */
struct passed {
    uint64_t asked_s, asked_ns;
};

/* ---- looks ---- */

/* A shard's place: its range, by one node. */
static int compare_places(const struct dp_seq_shard *a, const struct dp_seq_shard *b)
{
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->last != b->last)
        return a->last < b->last ? -1 : 1;
    if (a->node.n != b->node.n)
        return a->node.n < b->node.n ? -1 : 1;
    return memcmp(a->node.p, b->node.p, a->node.n);
}

/* Of readings, which begin with their shards. */
static int by_place(const void *a, const void *b)
{
    return compare_places(a, b);
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = ((const struct reading *)a)->asked_ns;
    const uint64_t y = ((const struct reading *)b)->asked_ns;
    return (x < y) - (x > y);
}

/* Of the same place the later one counts, for the file may be another one by now. */
static void add_older(struct dp_seqlook *l, const struct dp_seqlook *older)
{
    const size_t told = l->n;
    for (size_t i = 0, k = 0; i < older->n; i++) {
        const struct dp_seq_shard *s = &older->readings[i].shard;
        while (k < told && compare_places(&l->readings[k].shard, s) < 0)
            k++;
        if (k == told || compare_places(&l->readings[k].shard, s) != 0)
            l->readings[l->n++] = older->readings[i];
    }
    if (l->n > DP_SEQLOOK_READINGS) {
        qsort(l->readings, l->n, sizeof(l->readings[0]), newest_first);
        l->n = DP_SEQLOOK_READINGS;
    }
}

struct dp_seqlook *dp_seqlook_new(const struct dp_seqlook *older, const struct dp_seq *told,
                                  uint64_t asked_s, uint64_t asked_ns)
{
    const size_t most = told->n + (older ? older->n : 0);
    struct dp_seqlook *l =
        told->plain ? NULL : calloc(1, sizeof(*l) + most * sizeof(struct reading));
    if (!l)
        return NULL;
    atomic_init(&l->refs, 1);
    l->newest_ns = asked_ns;
    for (; l->n < told->n; l->n++)
        l->readings[l->n] = (struct reading){told->shards[l->n], asked_s, asked_ns};
    qsort(l->readings, l->n, sizeof(l->readings[0]), by_place);
    if (older) {
        add_older(l, older);
        qsort(l->readings, l->n, sizeof(l->readings[0]), by_place);
    }
    return l;
}

struct dp_seqlook *dp_seqlook_ref(struct dp_seqlook *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void dp_seqlook_unref(struct dp_seqlook *l)
{
    if (l && atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        free(l);
}

uint64_t dp_seqlook_newest_ns(const struct dp_seqlook *l)
{
    return l->newest_ns;
}

/* ---- the rule ---- */

static const struct reading *reading_of(const struct dp_seqlook *l, const struct dp_seq_shard *s)
{
    return bsearch(s, l->readings, l->n, sizeof(l->readings[0]), by_place);
}

/* The hashes of a whole database. */
#define RING (UINT64_C(1) << 32)

static bool is_past(const struct dp_seq_shard *s, const struct dp_seq_shard *told)
{
    return told->seq == 0 || (dp_seq_same_count(s, told) && s->seq >= told->seq);
}

/* Is this row at or past the look in every shard that its feed reads? *out: by which readings. */
static bool passes(const struct dp_seqlook *l, const struct dp_seq *row, struct passed *out)
{
    uint64_t hashes = 0;
    *out = (struct passed){UINT64_MAX, UINT64_MAX};
    for (uint16_t i = 0; i < row->n; i++) {
        const struct reading *k = reading_of(l, &row->shards[i]);
        if (!k || !is_past(&row->shards[i], &k->shard))
            return false;
        if (k->asked_s < out->asked_s)
            out->asked_s = k->asked_s;
        if (k->asked_ns < out->asked_ns)
            out->asked_ns = k->asked_ns;
        hashes += (uint64_t)row->shards[i].last - row->shards[i].first + 1;
    }
    return hashes == RING;
}

bool dp_renewal_row(struct dp_renewal *r, const struct dp_seqlook *look, struct dp_span token,
                    uint64_t now_ns)
{
    struct dp_seq row;
    struct passed p;
    bool later = false;
    if (dp_seq_parse(token, &row) != DP_OK || row.plain || !passes(look, &row, &p))
        return false;
    r->used_ns = look->newest_ns;
    if (p.asked_s < r->settled_s)
        return false;
    if (r->passed_s > 0) {
        if (p.asked_ns <= r->passed_ns)
            return false; /* the round that told of look 1 may still be under way */
        later = r->passed_s > r->caught_up_s;
        if (later)
            r->caught_up_s = r->passed_s;
    }
    r->passed_s = p.asked_s;
    r->passed_ns = now_ns;
    return later;
}
