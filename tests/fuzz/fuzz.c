/* What the fuzz targets share. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

void fuzz_add(struct fuzz_text *t, const void *p, size_t n)
{
    if (t->cap - t->n < n) {
        t->cap = 2 * (t->n + n);
        t->p = realloc(t->p, t->cap);
        fuzz_check(t->p != NULL, "memory");
    }
    if (n > 0)
        memcpy(t->p + t->n, p, n);
    t->n += n;
}

void fuzz_add_span(struct fuzz_text *t, struct dp_span s)
{
    fuzz_add(t, &s.n, sizeof(s.n));
    fuzz_add(t, s.p, s.n);
}

void fuzz_add_head(struct fuzz_text *t, const struct dp_head *h)
{
    fuzz_add(t, &h->method, sizeof(h->method));
    fuzz_add(t, &h->status, sizeof(h->status));
    fuzz_add(t, &h->minor, sizeof(h->minor));
    fuzz_add(t, &h->framing, sizeof(h->framing));
    fuzz_add(t, &h->content_length, sizeof(h->content_length));
    fuzz_add(t, h->keep_alive ? "k" : "c", 1);
    fuzz_add(t, h->expect_continue ? "e" : "-", 1);
    fuzz_add_span(t, h->method_text);
    fuzz_add_span(t, h->target);
    fuzz_add_span(t, h->authority);
    fuzz_add_span(t, h->reason);
    fuzz_add_span(t, h->raw);
    for (uint32_t i = 0; i < h->n_headers; i++) {
        fuzz_add_span(t, h->headers[i].name);
        fuzz_add_span(t, h->headers[i].value);
        fuzz_add(t, h->headers[i].named_by_connection ? "n" : "-", 1);
    }
}

bool fuzz_same(const struct fuzz_text *a, const struct fuzz_text *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

void fuzz_free(struct fuzz_text *t)
{
    free(t->p);
    *t = (struct fuzz_text){NULL, 0, 0};
}

char *fuzz_copy(const void *p, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    fuzz_check(copy != NULL, "memory");
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

size_t fuzz_piece(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525u + 1013904223u;
    const size_t n = 1 + (*seed >> 24) % ((*seed >> 20 & 1) != 0 ? 3 : 40);
    return n < left ? n : left;
}
