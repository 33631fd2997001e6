/* Growing text: doubling, one NUL kept behind the last byte. */
#include "davenport/app/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dp_text_fini(struct dp_text *t)
{
    free(t->p);
    *t = (struct dp_text){0};
}

void dp_text_clear(struct dp_text *t)
{
    t->n = 0;
    t->failed = false;
    if (t->p) {
        t->p[0] = '\0';
    }
}

/* Room for n more bytes and the NUL. */
static bool reserve(struct dp_text *t, size_t n)
{
    if (t->failed) {
        return false;
    }
    if (n < t->cap && t->n < t->cap - n) {
        return true;
    }
    size_t cap = t->cap ? t->cap : 256;
    while (cap <= n || cap - n <= t->n) {
        if (cap > SIZE_MAX / 2) {
            t->failed = true;
            return false;
        }
        cap *= 2;
    }
    char *p = realloc(t->p, cap);
    if (!p) {
        t->failed = true;
        return false;
    }
    t->p = p;
    t->cap = cap;
    return true;
}

void dp_text_add(struct dp_text *t, struct dp_span s)
{
    if (!reserve(t, s.n)) {
        return;
    }
    if (s.n) {
        memcpy(t->p + t->n, s.p, s.n);
    }
    t->n += s.n;
    t->p[t->n] = '\0';
}

void dp_text_addf(struct dp_text *t, const char *fmt, ...)
{
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0 || !reserve(t, (size_t)n)) {
        t->failed = true;
    } else if (vsnprintf(t->p + t->n, (size_t)n + 1, fmt, again) == n) {
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void dp_text_json(struct dp_text *t, const json_t *json, size_t flags)
{
    char *text = json_dumps(json, flags | JSON_REAL_PRECISION(6));
    if (text) {
        dp_text_addf(t, "%s\n", text);
    } else {
        t->failed = true;
    }
    free(text);
}

const char *dp_text_str(const struct dp_text *t)
{
    return t->p ? t->p : "";
}
