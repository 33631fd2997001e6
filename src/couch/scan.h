/* What the tagger and the minter share: looking at JSON 64 bytes at a time, and writing a body anew with something put in.
 *
 * A block becomes a bit mask of each kind of byte that matters, the first byte in memory is bit 0. What lies inside
 * strings follows from the parity of the quotes before it; brackets outside are counted. Nothing is judged: what is no JSON
 * is looked at as if it were. */
#ifndef DAVENPORT_COUCH_SCAN_PRIVATE_H
#define DAVENPORT_COUCH_SCAN_PRIVATE_H

#include "davenport/base/span.h"
#include "davenport/couch/scan.h"

#include <stdint.h>
#include <string.h>

#define SCAN_BLOCK 64

struct scan_block {
    unsigned n;                  /* bytes, at most SCAN_BLOCK */
    uint64_t quote;              /* that begins or ends a string */
    uint64_t inside;             /* a string, its opening quote included */
    uint64_t open, close;        /* brackets outside of strings */
    uint64_t behind_a, behind_b; /* what follows a byte that the caller asked for */
    bool escaped;                /* the byte behind the block follows a backslash */
};

/* A lane is what is compared at once; equal() gives a bit for each of its bytes that is c, the first in memory is bit
 * 0. Without SSE2 a lane is a word, and the same comes of arithmetic at a third of the speed. */
#ifdef __SSE2__
typedef char lane __attribute__((vector_size(16)));

static inline uint64_t equal(lane l, char c)
{
    return (uint16_t)__builtin_ia32_pmovmskb128(l == c);
}

static inline lane fold(lane l)
{
    return l | 0x20;
}

static inline lane lane_at(const char *p)
{
    lane l;
    memcpy(&l, p, sizeof(l));
    return l;
}
#else
typedef uint64_t lane;
#define EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

static inline uint64_t equal(lane l, char c)
{
    uint64_t x = l ^ EACH_BYTE((uint8_t)c);
    /* 0x80 where x is 0 */
    uint64_t top = ~(((x & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f)) | x | EACH_BYTE(0x7f));
    return (top * UINT64_C(0x0002040810204081)) >> 56; /* gathered */
}

static inline lane fold(lane l)
{
    return l | EACH_BYTE(0x20);
}

static inline lane lane_at(const char *p)
{
    lane l;
    memcpy(&l, p, sizeof(l));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    l = __builtin_bswap64(l);
#endif
    return l;
}
#endif

/* Bytes that follow a backslash which is not itself escaped. *carry: the first byte does; then: the one behind
 * the block's n bytes does. */
static inline uint64_t escaped(uint64_t backslash, unsigned n, bool *carry)
{
    uint64_t out = *carry;
    backslash &= ~out;
    *carry = false;
    while (backslash) {
        unsigned i = (unsigned)__builtin_ctzll(backslash);
        if (i + 1 == n)
            *carry = true;
        if (i + 1 >= SCAN_BLOCK)
            break;
        out |= UINT64_C(2) << i;
        backslash &= ~(UINT64_C(3) << i);
    }
    return out;
}

/* Each bit: the parity of the bits up to and with it. */
static inline uint64_t parity(uint64_t x)
{
    for (unsigned i = 1; i < SCAN_BLOCK; i *= 2)
        x ^= x << i;
    return x;
}

/* The k-th byte before p[at], k from 1: of this run or of the past. */
static inline char scan_before(const struct dp_scan *s, const char *p, size_t at, size_t k)
{
    return at >= k ? p[at - k] : s->back[DP_SCAN_BACK + at - k];
}

static inline bool scan_ends_with(const struct dp_scan *s, const char *p, size_t at,
                                  struct dp_span text)
{
    for (size_t k = 1; k <= text.n; k++) {
        if (scan_before(s, p, at, k) != text.p[text.n - k])
            return false;
    }
    return true;
}

/* The block of up to SCAN_BLOCK bytes at p[at], before p[end]. */
static inline struct scan_block scan_look(const struct dp_scan *s, const char *p, size_t at,
                                          size_t end, char a, char b)
{
    struct scan_block o = {.n = end - at < SCAN_BLOCK ? (unsigned)(end - at) : SCAN_BLOCK,
                           .escaped = s->escaped};
    char last = scan_before(s, p, at, 1), cut[SCAN_BLOCK];
    uint64_t backslash = 0, here = ~UINT64_C(0);
    p += at;
    if (o.n < SCAN_BLOCK) {
        memset(cut, 0, sizeof(cut));
        memcpy(cut, p, o.n);
        p = cut;
        here = (UINT64_C(1) << o.n) - 1;
    }
    for (unsigned i = 0; i < SCAN_BLOCK; i += sizeof(lane)) {
        lane l = lane_at(p + i);
        o.quote |= equal(l, '"') << i;
        backslash |= equal(l, '\\') << i;
        /* '[' and '{', ']' and '}' differ by this bit, and nothing else in ASCII becomes them by it */
        o.open |= equal(fold(l), '{') << i;
        o.close |= equal(fold(l), '}') << i;
        o.behind_a |= equal(l, a) << i;
        o.behind_b |= equal(l, b) << i;
    }
    o.quote &= ~escaped(backslash, o.n, &o.escaped) & here;
    o.inside = parity(o.quote) ^ (s->in_string ? ~UINT64_C(0) : 0);
    o.open &= ~o.inside & here;
    o.close &= ~o.inside & here;
    o.behind_a = (o.behind_a << 1) | (last == a);
    o.behind_b = (o.behind_b << 1) | (last == b);
    return o;
}

/* The depth at bit i, before it; i may be the block's length. It may wrap: brackets that do not match are no JSON, but
 * the same however they are cut. */
static inline unsigned scan_depth(const struct dp_scan *s, const struct scan_block *b, unsigned i)
{
    uint64_t below = i < SCAN_BLOCK ? (UINT64_C(1) << i) - 1 : ~UINT64_C(0);
    return s->depth + (unsigned)__builtin_popcountll(b->open & below) -
           (unsigned)__builtin_popcountll(b->close & below);
}

/* The whole block has been seen. */
static inline void scan_pass(struct dp_scan *s, const struct scan_block *b)
{
    s->depth = scan_depth(s, b, b->n);
    s->in_string = (b->inside >> (b->n - 1)) & 1;
    s->escaped = b->escaped;
}

/* A run ends: p[0 … n) is the past. */
static inline void scan_remember(struct dp_scan *s, const char *p, size_t n)
{
    if (n >= DP_SCAN_BACK) {
        memcpy(s->back, p + n - DP_SCAN_BACK, DP_SCAN_BACK);
    } else {
        memmove(s->back, s->back + n, DP_SCAN_BACK - n);
        memcpy(s->back + DP_SCAN_BACK - n, p, n);
    }
}

/* What is written while a run goes on. */
struct splice {
    const char *p;
    size_t from; /* p[from …] is not yet written */
    size_t end;  /* p[… end) may be taken: as much as there is room for */
    size_t n;    /* of the input */
    char *out;
    size_t cap, written;
};

static inline struct splice splice_begin(const char *p, size_t n, char *out, size_t cap)
{
    return (struct splice){.p = p, .n = n, .end = n < cap ? n : cap, .out = out, .cap = cap};
}

static inline void splice_put(struct splice *s, const char *p, size_t n)
{
    memcpy(s->out + s->written, p, n);
    s->written += n;
}

/* Write p up to `at`, then `text`. Afterwards there is room for p[at], too. False: there is not, and nothing was done. */
static inline bool splice_insert(struct splice *s, size_t at, const char *text, size_t n)
{
    if (s->cap - s->written <= at - s->from + n)
        return false;
    splice_put(s, s->p + s->from, at - s->from);
    splice_put(s, text, n);
    s->from = at;
    size_t room = s->cap - s->written;
    s->end = s->n - at > room ? at + room : s->n;
    return true;
}

/* Write p up to `at`, and leave n bytes out there. There is always room, for what was taken. */
static inline void splice_leave_out(struct splice *s, size_t at, size_t n)
{
    splice_put(s, s->p + s->from, at - s->from);
    s->from = at + n;
}

/* Write the rest, up to p[at]. */
static inline size_t splice_end(struct splice *s, size_t at)
{
    splice_put(s, s->p + s->from, at - s->from);
    return s->written;
}

#endif
