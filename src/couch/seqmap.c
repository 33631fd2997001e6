/* Marks in the order of their reading. */
#include "davenport/couch/seqmap.h"

#include "davenport/couch/sequence.h"

#include <stdlib.h>

struct mark {
    uint64_t read_ns;
    size_t n;
    char *b;
};

struct dp_seqmap {
    unsigned max, n;
    uint64_t min_age_ns;
    struct mark marks[]; /* oldest first; one more than max */
};

struct dp_seqmap *dp_seqmap_new(unsigned max_marks, uint64_t min_age_ns)
{
    struct dp_seqmap *m = calloc(1, sizeof(*m) + (max_marks + 1) * sizeof(m->marks[0]));
    if (!m)
        return NULL;
    m->max = max_marks;
    m->min_age_ns = min_age_ns;
    return m;
}

void dp_seqmap_forget(struct dp_seqmap *m)
{
    for (unsigned i = 0; i < m->n; i++)
        free(m->marks[i].b);
    m->n = 0;
}

void dp_seqmap_free(struct dp_seqmap *m)
{
    if (!m)
        return;
    dp_seqmap_forget(m);
    free(m);
}

static void remove_at(struct dp_seqmap *m, unsigned i)
{
    free(m->marks[i].b);
    m->n--;
    memmove(m->marks + i, m->marks + i + 1, (m->n - i) * sizeof(m->marks[0]));
}

static bool has_token(const struct mark *k, struct dp_span b)
{
    return k->n == b.n && memcmp(k->b, b.p, b.n) == 0;
}

/* What a gap at that age is measured by: who has been away for long goes back far anyway. Below twice the age that a mark
 * needs all gaps are alike, for the marks there are the next ones to be used. */
static double weight(const struct dp_seqmap *m, uint64_t age_ns)
{
    const uint64_t least = 2 * m->min_age_ns + 1;
    return (double)(age_ns > least ? age_ns : least);
}

/* Give up the mark whose loss leaves the smallest gap by weight. The oldest stays while there are others to give, the
 * newest two always. */
static void thin_out(struct dp_seqmap *m)
{
    const struct mark *k = m->marks;
    const uint64_t newest = k[m->n - 1].read_ns;
    unsigned least = 0; /* none between: the oldest */
    double least_gap = 0;
    for (unsigned i = 1; i + 2 < m->n; i++) {
        double gap =
            (double)(k[i + 1].read_ns - k[i - 1].read_ns) / weight(m, newest - k[i].read_ns);
        if (least == 0 || gap < least_gap) {
            least = i;
            least_gap = gap;
        }
    }
    remove_at(m, least);
    /* of two that say the same, and stand side by side now, the older one proves more */
    if (least > 0 && has_token(&k[least - 1], (struct dp_span){k[least].b, k[least].n}))
        remove_at(m, least);
}

/* The place of a mark of that time: behind all that are as old or older. */
static unsigned place_of(const struct dp_seqmap *m, uint64_t read_ns)
{
    unsigned i = m->n;
    while (i > 0 && m->marks[i - 1].read_ns > read_ns)
        i--;
    return i;
}

enum dp_err dp_seqmap_add(struct dp_seqmap *m, struct dp_span b, uint64_t read_ns, bool *changed)
{
    if (b.n == 0)
        return DP_EINVAL;
    if (b.n > DP_SEQ_TEXT)
        return DP_ELIMIT;
    const unsigned i = place_of(m, read_ns);
    *changed = false;
    if (i > 0 && has_token(&m->marks[i - 1], b))
        return DP_OK;
    *changed = true;
    if (i < m->n && has_token(&m->marks[i], b)) {
        m->marks[i].read_ns = read_ns;
        return DP_OK;
    }
    char *copy = malloc(b.n);
    if (!copy)
        return DP_ENOMEM;
    memcpy(copy, b.p, b.n);
    memmove(m->marks + i + 1, m->marks + i, (m->n - i) * sizeof(m->marks[0]));
    m->marks[i] = (struct mark){read_ns, b.n, copy};
    m->n++;
    if (m->n > m->max)
        thin_out(m);
    return DP_OK;
}

struct dp_seqmap *dp_seqmap_copy(const struct dp_seqmap *m)
{
    struct dp_seqmap *o = dp_seqmap_new(m->max, m->min_age_ns);
    if (!o)
        return NULL;
    for (; o->n < m->n; o->n++) {
        struct mark *k = &o->marks[o->n];
        *k = m->marks[o->n];
        k->b = malloc(k->n);
        if (!k->b) {
            dp_seqmap_free(o);
            return NULL;
        }
        memcpy(k->b, m->marks[o->n].b, k->n);
    }
    return o;
}

size_t dp_seqmap_bytes(const struct dp_seqmap *m)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < m->n; i++)
        bytes += m->marks[i].n;
    return bytes;
}

bool dp_seqmap_mark(const struct dp_seqmap *m, unsigned i, struct dp_seqmap_mark *out)
{
    if (i >= m->n)
        return false;
    const struct mark *k = &m->marks[i];
    *out = (struct dp_seqmap_mark){{k->b, k->n}, k->read_ns};
    return true;
}

struct dp_span dp_seqmap_translate(const struct dp_seqmap *m, uint64_t caught_up_ns)
{
    for (unsigned i = m->n; i > 0; i--) {
        const struct mark *k = &m->marks[i - 1];
        if (caught_up_ns >= k->read_ns + m->min_age_ns)
            return (struct dp_span){k->b, k->n};
    }
    return (struct dp_span){NULL, 0};
}
