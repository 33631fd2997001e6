/* What is known about header fields: the table of header.def and searches in a parsed head.
 *
 * The lookup runs once for every field of every message. It compares lengths first, so that nearly
 * all rows cost one compare of a register with a constant, and then eight bytes at a time. */
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

enum dp_header_id dp_header_lookup(struct dp_span name)
{
#define DP_HEADER(id, lower, flags)                                                                \
    if (name.n == sizeof(lower) - 1 && same(name.p, lower, sizeof(lower) - 1))                     \
        return DP_HEADER_##id;
#include "davenport/http/header.def"
#undef DP_HEADER
    return DP_HEADER_OTHER;
}

unsigned dp_header_flags(enum dp_header_id id)
{
    return flags_of[id];
}

const struct dp_header *dp_head_find(const struct dp_head *h, enum dp_header_id id)
{
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (h->headers[i].id == id)
            return &h->headers[i];
    }
    return NULL;
}
