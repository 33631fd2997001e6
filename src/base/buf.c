/* The byte queue over pooled chunks. Invariant: bytes == sum of (end - start), no chunk in a buf is
 * empty. */
#include "davenport/base/buf.h"

#include <assert.h>
#include <stdlib.h>

void dp_chunk_pool_init(struct dp_chunk_pool *p, size_t max_used, size_t max_free)
{
    *p = (struct dp_chunk_pool){.max_used = max_used, .max_free = max_free};
}

static void free_chunks(struct dp_chunk_pool *p, size_t n)
{
    for (; n > 0; n--) {
        struct dp_chunk *c = p->free;
        p->free = c->next;
        p->n_free--;
        free(c);
    }
}

void dp_chunk_pool_trim(struct dp_chunk_pool *p)
{
    size_t spare = p->n_free > p->max_free ? p->n_free - p->max_free : 0;
    free_chunks(p, spare < p->least_free ? spare : p->least_free);
    p->least_free = p->n_free;
}

void dp_chunk_pool_limit(struct dp_chunk_pool *p, size_t max_used)
{
    p->max_used = max_used;
}

void dp_chunk_pool_fini(struct dp_chunk_pool *p)
{
    assert(p->n_used == 0);
    free_chunks(p, p->n_free);
}

static struct dp_chunk *chunk_take(struct dp_chunk_pool *p)
{
    struct dp_chunk *c = p->free;
    if (p->n_used >= p->max_used)
        return NULL;
    if (c) {
        p->free = c->next;
        p->n_free--;
        if (p->n_free < p->least_free)
            p->least_free = p->n_free;
    } else {
        c = malloc(sizeof(*c) + DP_CHUNK_BYTES);
        if (!c)
            return NULL;
    }
    p->n_used++;
    c->next = NULL;
    c->start = c->end = 0;
    return c;
}

static void chunk_give(struct dp_chunk_pool *p, struct dp_chunk *c)
{
    assert(p->n_used > 0);
    p->n_used--;
    c->next = p->free;
    p->free = c;
    p->n_free++;
}

void dp_buf_init(struct dp_buf *b, struct dp_chunk_pool *pool)
{
    *b = (struct dp_buf){.pool = pool};
}

void dp_buf_clear(struct dp_buf *b)
{
    while (b->head) {
        struct dp_chunk *c = b->head;
        b->head = c->next;
        chunk_give(b->pool, c);
    }
    b->tail = NULL;
    b->bytes = 0;
}

/* Enough empty chunks for n bytes behind the tail's room, or none. */
static enum dp_err chunks_reserve(struct dp_buf *b, size_t n, struct dp_chunk **fresh)
{
    size_t room = b->tail ? DP_CHUNK_BYTES - b->tail->end : 0;
    *fresh = NULL;
    while (room < n) {
        struct dp_chunk *c = chunk_take(b->pool);
        if (!c) {
            while (*fresh) {
                struct dp_chunk *next = (*fresh)->next;
                chunk_give(b->pool, *fresh);
                *fresh = next;
            }
            return DP_ENOMEM;
        }
        c->next = *fresh;
        *fresh = c;
        room += DP_CHUNK_BYTES;
    }
    return DP_OK;
}

enum dp_err dp_buf_append(struct dp_buf *b, const void *p, size_t n)
{
    if (n == 0)
        return DP_OK;
    struct dp_chunk *fresh = NULL;
    enum dp_err err = chunks_reserve(b, n, &fresh);
    if (err)
        return err;
    const char *from = p;
    b->bytes += n;
    while (n > 0) {
        if (!b->tail || b->tail->end == DP_CHUNK_BYTES) {
            struct dp_chunk *c = fresh;
            assert(c); /* chunks_reserve() took as many as n needs */
            fresh = c->next;
            c->next = NULL;
            if (b->tail)
                b->tail->next = c;
            else
                b->head = c;
            b->tail = c;
        }
        size_t take = DP_CHUNK_BYTES - b->tail->end;
        if (take > n)
            take = n;
        memcpy(b->tail->data + b->tail->end, from, take);
        b->tail->end += take;
        from += take;
        n -= take;
    }
    assert(!fresh); /* and not one more */
    return DP_OK;
}

size_t dp_buf_peek(const struct dp_buf *b, struct dp_span *spans, size_t max)
{
    size_t n = 0;
    for (const struct dp_chunk *c = b->head; c && n < max; c = c->next)
        spans[n++] = (struct dp_span){c->data + c->start, c->end - c->start};
    return n;
}

void dp_buf_consume(struct dp_buf *b, size_t n)
{
    assert(n <= b->bytes);
    b->bytes -= n;
    while (n > 0) {
        struct dp_chunk *c = b->head;
        assert(c); /* bytes is the sum over the chunks */
        size_t here = c->end - c->start;
        if (n < here) {
            c->start += n;
            return;
        }
        n -= here;
        b->head = c->next;
        if (!b->head)
            b->tail = NULL;
        chunk_give(b->pool, c);
    }
}

bool dp_buf_next(struct dp_buf_iter *it, struct dp_span *out)
{
    const struct dp_chunk *c = it->chunk;
    if (!c)
        return false;
    *out = (struct dp_span){c->data + c->start, c->end - c->start};
    it->chunk = c->next;
    return true;
}
