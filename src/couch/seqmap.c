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

/* Give up the mark whose loss leaves the smallest gap for its age; the newest two stay. */
static void thin_out(struct dp_seqmap *m)
{
    struct mark *k = m->marks;
    const uint64_t newest = k[m->n - 1].read_ns;
    unsigned least = 0; /* none between: the oldest */
    double least_gap = 0;
    for (unsigned i = 1; i + 2 < m->n; i++) {
        double gap =
            (double)(k[i + 1].read_ns - k[i - 1].read_ns) / (double)(newest - k[i].read_ns + 1);
        if (least == 0 || gap < least_gap) {
            least = i;
            least_gap = gap;
        }
    }
    free(k[least].b);
    m->n--;
    memmove(k + least, k + least + 1, (m->n - least) * sizeof(*k));
}

enum dp_err dp_seqmap_add(struct dp_seqmap *m, struct dp_span b, uint64_t read_ns)
{
    if (b.n == 0)
        return DP_EINVAL;
    if (b.n > DP_SEQ_TEXT)
        return DP_ELIMIT;
    char *copy = malloc(b.n);
    if (!copy)
        return DP_ENOMEM;
    memcpy(copy, b.p, b.n);
    m->marks[m->n++] = (struct mark){read_ns, b.n, copy};
    if (m->n > m->max)
        thin_out(m);
    return DP_OK;
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
