/* The tagger: a scanner that looks at 64 bytes at a time, and a byte-wise machine for the few places that matter.
 *
 *          key of ours, at its depth              ':'              '"'
 *   SCAN ──────────────────────────────► COLON ─────────► VALUE ─────────► TEXT ── closing quote, tag before it ──┐
 *    ▲ ▲                                   │ anything else  │ digit or '-'                                         │
 *    │ └───────────────────────────────────┴────────────────┤    └────► NUMBER ── first byte after it, tag before ─┤
 *    └──────────────────────────────────────────────────────┴──────────────────────────────────────────────────────┘
 *
 * The scanner makes a bit mask of each kind of byte that matters, tells what lies inside strings by the parity of
 * the quotes before it, and counts brackets; it stops behind a closing quote that follows a 'q', the last letter of
 * all our keys, and asks whether it was one. Masks are built eight bytes at a time in plain C. */
#include "davenport/couch/token.h"

#include "davenport/base/attr.h"

#include <assert.h>
#include <string.h>

enum state { SCAN, COLON, VALUE, TEXT, NUMBER };

/* The keys, each with the depth of brackets that it stands in. */
static const struct rule {
    enum dp_tokens kind;
    unsigned depth;
    struct dp_span key;
} rules[] = {
    {DP_TOKENS_CHANGES, 3, DP_SPAN_INIT("\"seq")},
    {DP_TOKENS_CHANGES, 1, DP_SPAN_INIT("\"last_seq")},
    {DP_TOKENS_LINES, 1, DP_SPAN_INIT("\"seq")},
    {DP_TOKENS_LINES, 1, DP_SPAN_INIT("\"last_seq")},
    {DP_TOKENS_EVENTS, 1, DP_SPAN_INIT("\"seq")},
    {DP_TOKENS_EVENTS, 1, DP_SPAN_INIT("\"last_seq")},
    {DP_TOKENS_TOP, 1, DP_SPAN_INIT("\"update_seq")},
    {DP_TOKENS_NESTED, 3, DP_SPAN_INIT("\"update_seq")},
};

/* An eventsource's line of a token, as CouchDB writes it: id: "…" */
static const struct dp_span event_id = DP_SPAN_INIT("\nid: \"");

void dp_tagger_init(struct dp_tagger *t, enum dp_tokens kind, struct dp_span tag)
{
    assert(tag.n > 0 && tag.n <= DP_TAG_MAX);
    *t = (struct dp_tagger){.kind = kind, .state = SCAN, .tag_n = tag.n + 1};
    t->tag[0] = '~';
    memcpy(t->tag + 1, tag.p, tag.n);
    t->tag[tag.n + 1] = '"';
    memset(t->back, '\n', sizeof(t->back)); /* a body begins as a line does */
}

/* ---- the scanner ---- */

#define BLOCK 64

struct masks {
    uint64_t quote, backslash, open, close, q, space;
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

static inline void look_at(const char *p, struct masks *m)
{
    *m = (struct masks){0};
    for (unsigned i = 0; i < BLOCK; i += sizeof(lane)) {
        lane l = lane_at(p + i);
        m->quote |= equal(l, '"') << i;
        m->backslash |= equal(l, '\\') << i;
        /* '[' and '{', ']' and '}' differ by this bit, and nothing else in ASCII becomes them by it */
        m->open |= equal(fold(l), '{') << i;
        m->close |= equal(fold(l), '}') << i;
        m->q |= equal(l, 'q') << i;
        m->space |= equal(l, ' ') << i;
    }
}

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
        if (i + 1 >= BLOCK)
            break;
        out |= UINT64_C(2) << i;
        backslash &= ~(UINT64_C(3) << i);
    }
    return out;
}

/* Each bit: the parity of the bits up to and with it. */
static inline uint64_t parity(uint64_t x)
{
    for (unsigned i = 1; i < BLOCK; i *= 2)
        x ^= x << i;
    return x;
}

/* It may wrap: brackets that do not match are no JSON, but the same however they are cut. */
static inline unsigned depth_after(unsigned depth, uint64_t open, uint64_t close)
{
    return depth + (unsigned)__builtin_popcountll(open) - (unsigned)__builtin_popcountll(close);
}

/* The k-th byte before p[at], k from 1: of this run or of the past. */
static char before(const struct dp_tagger *t, const char *p, size_t at, size_t k)
{
    return at >= k ? p[at - k] : t->back[DP_TAGGER_BACK + at - k];
}

static bool ends_with(const struct dp_tagger *t, const char *p, size_t at, struct dp_span s)
{
    for (size_t k = 1; k <= s.n; k++) {
        if (before(t, p, at, k) != s.p[s.n - k])
            return false;
    }
    return true;
}

/* p[at] is a closing quote: does it close a key of ours? An escaped quote begins no string. */
static bool closes_key(const struct dp_tagger *t, const char *p, size_t at, unsigned depth)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if (r->kind == t->kind && r->depth == depth && ends_with(t, p, at, r->key) &&
            before(t, p, at, r->key.n + 1) != '\\')
            return true;
    }
    return false;
}

/* Up to `valid` bytes of p from `at` on; true: stopped at *stop, in a new state. */
static bool scan_block(struct dp_tagger *t, const char *p, size_t at, const char *block,
                       unsigned valid, size_t *stop)
{
    const uint64_t here = valid < BLOCK ? (UINT64_C(1) << valid) - 1 : ~UINT64_C(0);
    struct masks m;
    bool carry = t->escaped;
    look_at(block, &m);
    const uint64_t quote = m.quote & ~escaped(m.backslash & here, valid, &carry) & here;
    const uint64_t inside =
        parity(quote) ^ (t->in_string ? ~UINT64_C(0) : 0); /* with the opening quote */
    const uint64_t open = m.open & ~inside & here, close = m.close & ~inside & here;
    uint64_t maybe = quote & ~inside & ((m.q << 1) | (before(t, p, at, 1) == 'q'));
    if (t->kind == DP_TOKENS_EVENTS)
        maybe |= quote & inside & ((m.space << 1) | (before(t, p, at, 1) == ' '));
    for (; maybe; maybe &= maybe - 1) {
        unsigned i = (unsigned)__builtin_ctzll(maybe);
        uint64_t below = (UINT64_C(1) << i) - 1;
        unsigned depth = depth_after(t->depth, open & below, close & below);
        bool opening = (inside >> i) & 1;
        if (opening ? depth != 0 || !ends_with(t, p, at + i + 1, event_id)
                    : !closes_key(t, p, at + i, depth))
            continue;
        t->state = opening ? TEXT : COLON;
        t->depth = depth;
        t->in_string = false;
        t->escaped = false;
        *stop = at + i + 1;
        return true;
    }
    t->depth = depth_after(t->depth, open, close);
    t->in_string = (inside >> (valid - 1)) & 1;
    t->escaped = carry;
    return false;
}

static size_t scan(struct dp_tagger *t, const char *p, size_t at, size_t end)
{
    size_t stop;
    for (; end - at >= BLOCK; at += BLOCK) {
        if (scan_block(t, p, at, p + at, BLOCK, &stop))
            return stop;
    }
    if (at < end) {
        char block[BLOCK] = {0};
        memcpy(block, p + at, end - at);
        if (scan_block(t, p, at, block, (unsigned)(end - at), &stop))
            return stop;
    }
    return end;
}

/* ---- the places that matter ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static size_t skip_spaces(const char *p, size_t at, size_t end)
{
    while (at < end && is_space(p[at]))
        at++;
    return at;
}

/* To the quote that ends the token's string, or to the end. */
static size_t find_quote(struct dp_tagger *t, const char *p, size_t at, size_t end)
{
    for (; at < end; at++) {
        const char *quote = memchr(p + at, '"', end - at);
        size_t stop = quote ? (size_t)(quote - p) : end;
        bool plain = !t->escaped && !memchr(p + at, '\\', stop - at);
        for (; !plain && at < stop; at++)
            t->escaped = !t->escaped && p[at] == '\\';
        at = stop;
        if (at == end || !t->escaped)
            break;
        t->escaped = false;
    }
    return at;
}

/* What is written while a run goes on. */
struct sink {
    const char *p;
    size_t from; /* p[from …] is not yet written */
    size_t end;  /* p[… end) may be taken: as much as there is room for */
    size_t n;    /* of the input */
    char *out;
    size_t cap, written;
};

static void put(struct sink *s, const char *p, size_t n)
{
    memcpy(s->out + s->written, p, n);
    s->written += n;
}

/* Write p up to `at`, then `text`. False: there is no room, and nothing was done. */
static bool insert(struct sink *s, size_t at, const char *text, size_t n)
{
    if (s->cap - s->written < at - s->from + n)
        return false;
    put(s, s->p + s->from, at - s->from);
    put(s, text, n);
    s->from = at;
    size_t room = s->cap - s->written;
    s->end = s->n - at > room ? at + room : s->n;
    return true;
}

/* Each of these goes on from p[at] in its state and returns how far it came. *full: the output is. */

static size_t colon(struct dp_tagger *t, const struct sink *s, size_t at)
{
    at = skip_spaces(s->p, at, s->end);
    if (at == s->end)
        return at;
    bool is_key = s->p[at] == ':';
    t->state = is_key ? VALUE : SCAN;
    return at + is_key;
}

static size_t value(struct dp_tagger *t, struct sink *s, size_t at, bool *full)
{
    at = skip_spaces(s->p, at, s->end);
    if (at == s->end)
        return at;
    char c = s->p[at];
    if (c == '"') {
        t->state = TEXT;
        return at + 1;
    }
    if (c != '-' && (c < '0' || c > '9')) {
        t->state = SCAN;
        return at;
    }
    *full = !insert(s, at, "\"", 1);
    if (!*full)
        t->state = NUMBER;
    return at;
}

/* At the end of a token: p[at] is what follows it. quote: of its own, 1 for a number's string. */
static void tag(struct dp_tagger *t, struct sink *s, size_t at, size_t quote, bool *full)
{
    *full = !insert(s, at, t->tag, t->tag_n + quote);
    if (*full)
        return;
    t->tagged++;
    t->state = SCAN;
}

static size_t text(struct dp_tagger *t, struct sink *s, size_t at, bool *full)
{
    at = find_quote(t, s->p, at, s->end);
    if (at == s->end)
        return at;
    tag(t, s, at, 0, full);
    return at + !*full; /* its quote is not the scanner's */
}

static size_t number(struct dp_tagger *t, struct sink *s, size_t at, bool *full)
{
    while (at < s->end && is_number(s->p[at]))
        at++;
    if (at < s->end)
        tag(t, s, at, 1, full);
    return at;
}

static size_t step(struct dp_tagger *t, struct sink *s, size_t at, bool *full)
{
    switch ((enum state)t->state) {
    case SCAN:
        return scan(t, s->p, at, s->end);
    case COLON:
        return colon(t, s, at);
    case VALUE:
        return value(t, s, at, full);
    case TEXT:
        return text(t, s, at, full);
    case NUMBER:
        return number(t, s, at, full);
    }
    return at;
}

static void remember(struct dp_tagger *t, const char *p, size_t n)
{
    if (n >= DP_TAGGER_BACK) {
        memcpy(t->back, p + n - DP_TAGGER_BACK, DP_TAGGER_BACK);
    } else {
        memmove(t->back, t->back + n, DP_TAGGER_BACK - n);
        memcpy(t->back + DP_TAGGER_BACK - n, p, n);
    }
}

size_t dp_tagger_run(struct dp_tagger *t, const char *p, size_t n, size_t *used, char *out,
                     size_t cap)
{
    struct sink s = {.p = p, .n = n, .end = n < cap ? n : cap, .out = out, .cap = cap};
    size_t at = 0;
    bool full = t->kind == DP_TOKENS_NONE;
    if (full)
        at = s.end;
    while (!full && at < s.end)
        at = step(t, &s, at, &full);
    put(&s, p + s.from, at - s.from);
    remember(t, p, at);
    *used = at;
    return s.written;
}

size_t dp_tagger_finish(struct dp_tagger *t, char *out)
{
    if (t->state != NUMBER)
        return 0;
    t->state = SCAN;
    t->tagged++;
    memcpy(out, t->tag, t->tag_n + 1);
    return t->tag_n + 1;
}

struct dp_token dp_token_split(struct dp_span text)
{
    struct dp_span inner = text;
    if (inner.n >= 2 && inner.p[0] == '"' && inner.p[inner.n - 1] == '"')
        inner = (struct dp_span){inner.p + 1, inner.n - 2};
    for (size_t i = inner.n; i > 0; i--) {
        char c = inner.p[i - 1];
        if (c == '~' && i < inner.n)
            return (struct dp_token){{inner.p, i - 1}, {inner.p + i, inner.n - i}};
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') ||
            inner.n - i >= DP_TAG_MAX)
            break;
    }
    return (struct dp_token){text, {NULL, 0}};
}
