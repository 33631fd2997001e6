/* The tagger: a scanner that looks at 64 bytes at a time, and a byte-wise machine for the few places that matter.
 *
 *          key of ours, at its depth              ':'              '"'
 *   SCAN ──────────────────────────────► COLON ─────────► VALUE ─────────► TEXT ── closing quote, tag before it ──┐
 *    ▲ ▲                                   │ anything else  │ digit or '-'                                         │
 *    │ └───────────────────────────────────┴────────────────┤    └────► NUMBER ── first byte after it, tag before ─┤
 *    └──────────────────────────────────────────────────────┴──────────────────────────────────────────────────────┘
 *
 * The scanner stops at a closing quote that follows a 'q', the last letter of all our keys, and asks whether it was
 * one; in an eventsource also at an opening quote that follows a space. */
#include "davenport/couch/token.h"

#include "davenport/base/attr.h"

#include "couch/scan.h"

#include <assert.h>

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
    memset(t->scan.back, '\n', sizeof(t->scan.back)); /* a body begins as a line does */
}

/* ---- the scanner ---- */

/* p[at] is a closing quote: does it close a key of ours? An escaped quote begins no string. */
static bool closes_key(const struct dp_tagger *t, const char *p, size_t at, unsigned depth)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if (r->kind == t->kind && r->depth == depth && scan_ends_with(&t->scan, p, at, r->key) &&
            scan_before(&t->scan, p, at, r->key.n + 1) != '\\')
            return true;
    }
    return false;
}

/* Does something of ours begin behind bit i, a quote of the block at p[at]? */
static enum state found(const struct dp_tagger *t, const char *p, size_t at,
                        const struct scan_block *b, unsigned i)
{
    unsigned depth = scan_depth(&t->scan, b, i);
    if ((b->inside >> i) & 1)
        return depth == 0 && scan_ends_with(&t->scan, p, at + i + 1, event_id) ? TEXT : SCAN;
    return closes_key(t, p, at + i, depth) ? COLON : SCAN;
}

/* To behind the next quote that matters, or to the end. */
static size_t scan(struct dp_tagger *t, const char *p, size_t at, size_t end)
{
    while (at < end) {
        const struct scan_block b = scan_look(&t->scan, p, at, end, 'q', ' ');
        uint64_t maybe = b.quote & ~b.inside & b.behind_a;
        if (t->kind == DP_TOKENS_EVENTS)
            maybe |= b.quote & b.inside & b.behind_b;
        for (; maybe; maybe &= maybe - 1) {
            unsigned i = (unsigned)__builtin_ctzll(maybe);
            t->state = (unsigned char)found(t, p, at, &b, i);
            if (t->state != SCAN) {
                t->scan.depth = scan_depth(&t->scan, &b, i);
                t->scan.in_string = false; /* the machine sees to this one's end */
                t->scan.escaped = false;
                return at + i + 1;
            }
        }
        scan_pass(&t->scan, &b);
        at += b.n;
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
        bool plain = !t->scan.escaped && !memchr(p + at, '\\', stop - at);
        for (; !plain && at < stop; at++)
            t->scan.escaped = !t->scan.escaped && p[at] == '\\';
        at = stop;
        if (at == end || !t->scan.escaped)
            break;
        t->scan.escaped = false;
    }
    return at;
}

/* Each of these goes on from p[at] in its state and returns how far it came. *full: the output is. */

static size_t colon(struct dp_tagger *t, const struct splice *s, size_t at)
{
    at = skip_spaces(s->p, at, s->end);
    if (at == s->end)
        return at;
    bool is_key = s->p[at] == ':';
    t->state = is_key ? VALUE : SCAN;
    return at + is_key;
}

static size_t value(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
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
    *full = !splice_insert(s, at, "\"", 1);
    if (!*full)
        t->state = NUMBER;
    return at;
}

/* At the end of a token: p[at] is what follows it. quote: of its own, 1 for a number's string. */
static void tag(struct dp_tagger *t, struct splice *s, size_t at, size_t quote, bool *full)
{
    *full = !splice_insert(s, at, t->tag, t->tag_n + quote);
    if (*full)
        return;
    t->tagged++;
    t->state = SCAN;
}

static size_t text(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
{
    at = find_quote(t, s->p, at, s->end);
    if (at == s->end)
        return at;
    tag(t, s, at, 0, full);
    return at + !*full; /* its quote is not the scanner's */
}

static size_t number(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
{
    while (at < s->end && is_number(s->p[at]))
        at++;
    if (at < s->end)
        tag(t, s, at, 1, full);
    return at;
}

static size_t step(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
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

size_t dp_tagger_run(struct dp_tagger *t, const char *p, size_t n, size_t *used, char *out,
                     size_t cap)
{
    struct splice s = splice_begin(p, n, out, cap);
    bool full = false;
    size_t at = t->kind == DP_TOKENS_NONE ? s.end : 0;
    while (!full && at < s.end)
        at = step(t, &s, at, &full);
    scan_remember(&t->scan, p, at);
    *used = at;
    return splice_end(&s, at);
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
