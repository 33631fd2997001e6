/* What is known about header fields: the table of header.def and searches in a parsed head.
 *
 * The lookup runs once for every field of every message. It branches on the length, so that a name is compared with
 * the few rows that are as long, eight bytes at a time. */
#include "davenport/http/head.h"

#include <string.h>

static const uint8_t flags_of[DP_HEADER_COUNT] = {
#define DP_HEADER(id, name, flags) [DP_HEADER_##id] = (flags),
#define HOP                        DP_HEADER_FLAG_HOP
#define FRAME                      DP_HEADER_FLAG_FRAME
#define OWN                        DP_HEADER_FLAG_OWN
#include "davenport/http/header.def"
#undef DP_HEADER
#undef HOP
#undef FRAME
#undef OWN
};

static uint64_t load(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Eight bytes of any text against eight of a lower-case name of letters, digits and '-': a byte may
 * differ in the case bit only where the name has a letter (bit 6 tells letters from the others). */
static bool same8(const char *text, const char *lower)
{
    const uint64_t want = load(lower);
    const uint64_t fold = (want & UINT64_C(0x4040404040404040)) >> 1;
    return (load(text) | fold) == want;
}

/* n > 0 bytes each. Called with a constant n, so that the compiler unrolls it. */
static inline bool same(const char *text, const char *lower, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 <= n; i += 8) {
            if (!same8(text + i, lower + i))
                return false;
        }
        return same8(text + n - 8, lower + n - 8);
    }
    for (size_t i = 0; i < n; i++) {
        const int fold = (lower[i] & 0x40) >> 1;
        if ((text[i] | fold) != lower[i])
            return false;
    }
    return true;
}

#define NAME_MIN 2
#define NAME_MAX 27

#define DP_HEADER(id, lower, flags)                                                                \
    _Static_assert(sizeof(lower) > NAME_MIN && sizeof(lower) - 1 <= NAME_MAX, lower);
#include "davenport/http/header.def"
#undef DP_HEADER
_Static_assert(DP_HEADER_COUNT <= 64, "a head's fields are a set of 64 bits");

/* Called with a constant n, so that what is left of it are the rows of that length. */
static inline __attribute__((always_inline)) enum dp_header_id of_length(const char *name, size_t n)
{
#define DP_HEADER(id, lower, flags)                                                                \
    if (n == sizeof(lower) - 1 && same(name, lower, sizeof(lower) - 1))                            \
        return DP_HEADER_##id;
#include "davenport/http/header.def"
#undef DP_HEADER
    return DP_HEADER_OTHER;
}

enum dp_header_id dp_header_lookup(struct dp_span name)
{
#define LENGTH(n)                                                                                  \
    case n:                                                                                        \
        return of_length(name.p, n)
    switch (name.n) {
        LENGTH(2);
        LENGTH(3);
        LENGTH(4);
        LENGTH(5);
        LENGTH(6);
        LENGTH(7);
        LENGTH(8);
        LENGTH(9);
        LENGTH(10);
        LENGTH(11);
        LENGTH(12);
        LENGTH(13);
        LENGTH(14);
        LENGTH(15);
        LENGTH(16);
        LENGTH(17);
        LENGTH(18);
        LENGTH(19);
        LENGTH(20);
        LENGTH(21);
        LENGTH(22);
        LENGTH(23);
        LENGTH(24);
        LENGTH(25);
        LENGTH(26);
        LENGTH(27);
    }
#undef LENGTH
    return DP_HEADER_OTHER;
}

unsigned dp_header_flags(enum dp_header_id id)
{
    return flags_of[id];
}

const struct dp_header *dp_head_find(const struct dp_head *h, enum dp_header_id id)
{
    if (!dp_head_has(h, id))
        return NULL;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (h->headers[i].id == id)
            return &h->headers[i];
    }
    return NULL;
}

const struct dp_header *dp_head_only(const struct dp_head *h, enum dp_header_id id)
{
    const struct dp_header *first = dp_head_find(h, id);
    for (const struct dp_header *f = first; f && ++f < h->headers + h->n_headers;) {
        if (f->id == id)
            return NULL;
    }
    return first;
}

struct dp_span dp_head_value(const struct dp_head *h, struct dp_span name)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        if (dp_span_ieq(h->headers[i].name, name))
            return h->headers[i].value;
    }
    return (struct dp_span){NULL, 0};
}
