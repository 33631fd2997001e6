/* A span is text that somebody else owns: pointer and length, never trusted to end in NUL. */
#ifndef DAVENPORT_BASE_SPAN_H
#define DAVENPORT_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dp_span {
    const char *p;
    size_t n;
};

#define DP_SPAN(literal) ((struct dp_span){(literal), sizeof(literal) - 1})
/* The same as an initializer of static tables. */
#define DP_SPAN_INIT(literal)                                                                      \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static inline struct dp_span dp_span_str(const char *s)
{
    return (struct dp_span){s, s ? strlen(s) : 0};
}

static inline bool dp_span_eq(struct dp_span a, struct dp_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive equality: header names, Connection options, codings. */
bool dp_span_ieq(struct dp_span a, struct dp_span b);

/* Without leading and trailing spaces and tabs (HTTP's OWS). */
struct dp_span dp_span_trim(struct dp_span s);

/* Cut `*rest` at the first `sep`: returns what stands before it, moves `*rest` behind it.
 * When there is no `sep`, returns all and sets rest->p to NULL: the loop's end. */
struct dp_span dp_span_cut(struct dp_span *rest, char sep);

/* Decimal digits only, at least one, no sign. False on anything else or on overflow; *out
 * untouched. */
bool dp_span_u64(struct dp_span s, uint64_t *out);

/* How many bytes at the beginning are printable ASCII, quote and backslash not among them: what stands for itself
 * in a JSON string and in the logs of others. */
size_t dp_span_plain(struct dp_span s);

bool dp_span_starts(struct dp_span s, struct dp_span prefix);

/* The byte that s begins with where that is written as %XX; -1: it does not begin so. */
int dp_span_percent(struct dp_span s);

#endif
