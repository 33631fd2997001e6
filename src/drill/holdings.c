/* Holdings: one block of memory a document, an index of their names. */
#include "drill/holdings.h"

#include "davenport/base/random.h"

#include <stdlib.h>
#include <string.h>

#define FNV_BASIS UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)
#define EMPTY     UINT32_MAX

struct dp_holding {
    uint64_t hash; /* of the id */
    uint64_t sum;  /* over its leaves */
    uint32_t n;    /* leaves */
    char text[];   /* the id, then each revision, each with a NUL */
};

static uint64_t hash(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * FNV_PRIME;
    return h;
}

void dp_holdings_init(struct dp_holdings *h, uint32_t max)
{
    *h = (struct dp_holdings){.max = max};
}

void dp_holdings_fini(struct dp_holdings *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        free(h->docs[i]);
    free(h->docs);
    free(h->index);
    *h = (struct dp_holdings){0};
}

static uint32_t place(const struct dp_holdings *h, uint64_t id_hash, const char *id)
{
    uint32_t at = (uint32_t)dp_mix(id_hash) & (h->index_n - 1);
    for (; h->index[at] != EMPTY; at = (at + 1) & (h->index_n - 1)) {
        const struct dp_holding *d = h->docs[h->index[at]];
        if (d->hash == id_hash && strcmp(d->text, id) == 0)
            break;
    }
    return at;
}

/* Room for one more. */
static enum dp_err grow(struct dp_holdings *h)
{
    if (h->n == h->cap) {
        uint32_t cap = h->cap ? h->cap * 2 : 256;
        struct dp_holding **docs = realloc(h->docs, cap * sizeof(struct dp_holding *));
        if (!docs)
            return DP_ENOMEM;
        h->docs = docs;
        h->cap = cap;
    }
    if (h->n < h->index_n / 2)
        return DP_OK;
    uint32_t index_n = h->index_n ? h->index_n * 2 : 512;
    uint32_t *index = malloc(index_n * sizeof(*index));
    if (!index)
        return DP_ENOMEM;
    memset(index, 0xFF, index_n * sizeof(*index));
    free(h->index);
    h->index = index;
    h->index_n = index_n;
    for (uint32_t i = 0; i < h->n; i++)
        index[place(h, h->docs[i]->hash, h->docs[i]->text)] = i;
    return DP_OK;
}

static struct dp_holding *make(const char *id, const char *const *revs, size_t n)
{
    size_t bytes = strlen(id) + 1;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(revs[i]) + 1;
    struct dp_holding *d = malloc(sizeof(*d) + bytes);
    if (!d)
        return NULL;
    d->hash = hash(FNV_BASIS, id);
    d->sum = 0;
    d->n = (uint32_t)n;
    char *at = d->text;
    size_t k = strlen(id) + 1;
    memcpy(at, id, k);
    for (size_t i = 0; i < n; i++) {
        at += k;
        k = strlen(revs[i]) + 1;
        memcpy(at, revs[i], k);
        d->sum += dp_mix(hash(d->hash * FNV_PRIME, revs[i])); /* mixed numbers may be added up */
    }
    return d;
}

enum dp_err dp_holdings_put(struct dp_holdings *h, const char *id, const char *const *revs,
                            size_t n)
{
    enum dp_err err = grow(h);
    if (err)
        return err;
    struct dp_holding *d = make(id, revs, n);
    if (!d)
        return DP_ENOMEM;
    uint32_t *at = &h->index[place(h, d->hash, id)];
    if (*at == EMPTY) {
        if (h->n == h->max) {
            free(d);
            return DP_ELIMIT;
        }
        *at = h->n;
        h->docs[h->n++] = d;
    } else {
        h->sum -= h->docs[*at]->sum;
        free(h->docs[*at]);
        h->docs[*at] = d;
    }
    h->sum += d->sum;
    return DP_OK;
}

const char *dp_holdings_id(const struct dp_holdings *h, uint32_t i)
{
    return h->docs[i]->text;
}

uint32_t dp_holdings_leaves(const struct dp_holdings *h, uint32_t i)
{
    return h->docs[i]->n;
}

const char *dp_holdings_next(const struct dp_holdings *h, uint32_t i, const char *rev)
{
    const char *before = rev ? rev : h->docs[i]->text;
    return before + strlen(before) + 1;
}

uint32_t dp_holdings_differ(const struct dp_holdings *a, const struct dp_holdings *b,
                            const char **example)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct dp_holding *d = a->docs[i];
        uint32_t other = b->index_n ? b->index[place(b, d->hash, d->text)] : EMPTY;
        if (other != EMPTY && b->docs[other]->sum == d->sum)
            continue;
        if (n++ == 0)
            *example = d->text;
    }
    return n;
}
