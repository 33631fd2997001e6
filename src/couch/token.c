/* The tagger: a scanner that looks at 64 bytes at a time, and a byte-wise machine for the few places that matter.
 *
 *          key of ours, at its depth              ':'              '"'
 *   SCAN ──────────────────────────────► COLON ─────────► VALUE ─────────► TEXT ── closing quote, tag before it ──┐
 *    ▲ ▲                                   │ anything else  │ digit or '-'                                         │
 *    │ └───────────────────────────────────┴────────────────┤    └────► NUMBER ── first byte after it, tag before ─┤
 *    ├──────────────────────────────────────────────────────┴──────────────────────────────────────────────────────┤
 *    └── '}', or what is not as expected ── AHEAD ◄── of a last_seq, whose tag depends on what follows ────────────┘
 *
 * The scanner stops at a closing quote that follows the last letter of our keys, a 'q' (a bookmark's: 'k'), and asks whether
 * it was one; in an eventsource also at an opening quote that follows a space. */
#include "davenport/couch/token.h"

#include "davenport/base/attr.h"

#include "couch/scan.h"

#include <assert.h>

enum state { SCAN, COLON, VALUE, TEXT, NUMBER, AHEAD };

enum role { ALONE, ROW, LAST };

/* The keys, each with the depth of brackets that it stands in. */
static const struct rule {
    enum dp_tokens kind;
    enum role role;
    unsigned depth;
    struct dp_span key;
} rules[] = {
    {DP_TOKENS_CHANGES, ROW, 3, DP_SPAN_INIT("\"seq")},
    {DP_TOKENS_CHANGES, LAST, 1, DP_SPAN_INIT("\"last_seq")},
    {DP_TOKENS_LINES, ROW, 1, DP_SPAN_INIT("\"seq")},
    {DP_TOKENS_LINES, LAST, 1, DP_SPAN_INIT("\"last_seq")},
    {DP_TOKENS_EVENTS, ROW, 1, DP_SPAN_INIT("\"seq")},
    {DP_TOKENS_EVENTS, ALONE, 1, DP_SPAN_INIT("\"last_seq")},
    {DP_TOKENS_TOP, ALONE, 1, DP_SPAN_INIT("\"update_seq")},
    {DP_TOKENS_NESTED, ALONE, 3, DP_SPAN_INIT("\"update_seq")},
    {DP_TOKENS_BOOKMARK, ALONE, 1, DP_SPAN_INIT("\"bookmark")},
};

/* What CouchDB writes behind a last_seq behind which nothing is left, up to the bracket that ends the answer. Who tells
 * no "pending" (PouchDB's servers, CouchDB 1) writes nothing. Put otherwise, with blanks or other members, it proves
 * nothing: that costs a client some repeated changes, and no more. */
static const struct dp_span nothing_pending = DP_SPAN_INIT(",\"pending\":0");

/* An eventsource's line of a token, as CouchDB writes it: id: "…" */
static const struct dp_span event_id = DP_SPAN_INIT("\nid: \"");

/* A bookmark behind which there is nothing: clients compare it. */
static const struct dp_span no_more = DP_SPAN_INIT("\"nil");

static void add_seconds(struct dp_tag *tag, uint64_t s)
{
    char digits[20];
    unsigned d = sizeof(digits);
    do
        digits[--d] = (char)('0' + s % 10);
    while ((s /= 10) > 0);
    tag->text[tag->n++] = '.';
    memcpy(tag->text + tag->n, digits + d, sizeof(digits) - d);
    tag->n += (unsigned)sizeof(digits) - d;
}

/* Behind the region's name, which stands there. */
static void write_time(struct dp_tag *tag, unsigned region, const struct dp_token_time *time)
{
    tag->n = region + 1;
    if (time->caught_up_s > 0 || time->run_s > 0)
        add_seconds(tag, time->caught_up_s);
    if (time->run_s > 0)
        add_seconds(tag, time->run_s);
    tag->text[tag->n] = '"';
}

static void write_tag(struct dp_tag *tag, struct dp_span region, const struct dp_token_time *time)
{
    tag->text[0] = '~';
    memcpy(tag->text + 1, region.p, region.n);
    write_time(tag, (unsigned)region.n, time);
}

void dp_tagger_init(struct dp_tagger *t, enum dp_tokens kind, struct dp_span region,
                    const struct dp_token_times *times)
{
    assert(region.n > 0 && region.n <= DP_TAG_MAX);
    *t = (struct dp_tagger){.kind = kind, .state = SCAN, .region = (unsigned char)region.n};
    if (times)
        t->times = *times;
    write_tag(&t->tag, region, &t->times.before);
    write_tag(&t->whole, region, &t->times.whole);
    memset(t->scan.back, '\n', sizeof(t->scan.back)); /* a body begins as a line does */
}

/* ---- the scanner ---- */

/* p[at] is a closing quote: does it close a key of ours? An escaped quote begins no string. */
static const struct rule *closed_key(const struct dp_tagger *t, const char *p, size_t at,
                                     unsigned depth)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if (r->kind == t->kind && r->depth == depth && scan_ends_with(&t->scan, p, at, r->key) &&
            scan_before(&t->scan, p, at, r->key.n + 1) != '\\')
            return r;
    }
    return NULL;
}

/* Does something of ours begin behind bit i, a quote of the block at p[at]? */
static enum state found(struct dp_tagger *t, const char *p, size_t at, const struct scan_block *b,
                        unsigned i)
{
    unsigned depth = scan_depth(&t->scan, b, i);
    if ((b->inside >> i) & 1) {
        t->role = ALONE;
        return depth == 0 && scan_ends_with(&t->scan, p, at + i + 1, event_id) ? TEXT : SCAN;
    }
    const struct rule *r = closed_key(t, p, at + i, depth);
    if (!r)
        return SCAN;
    t->role = (unsigned char)r->role;
    return COLON;
}

/* To behind the next quote that matters, or to the end. */
static size_t scan(struct dp_tagger *t, const char *p, size_t at, size_t end)
{
    const char last = t->kind == DP_TOKENS_BOOKMARK ? 'k' : 'q';
    while (at < end) {
        const struct scan_block b = scan_look(&t->scan, p, at, end, last, ' ');
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
    t->rows += is_key && t->role == ROW;
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
        t->token = s->p + at + 1;
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

/* Does what follows this token decide on its tag? */
static bool looks_ahead(const struct dp_tagger *t)
{
    return t->role == LAST && t->times.whole.run_s > 0;
}

/* At the end of a token: p[at] is what follows it. quote: of its own, 1 for a number's string. */
static void tag(struct dp_tagger *t, struct splice *s, size_t at, size_t quote, bool *full)
{
    *full = !splice_insert(s, at, t->tag.text, t->tag.n + quote);
    if (*full)
        return;
    t->tagged++;
    t->state = SCAN;
}

/* A row's token ends at `end`. What it proves of the reader, it and all that follows tell. One that came in two runs proves
 * nothing: the next one will. */
static void renew(struct dp_tagger *t, const char *end)
{
    const struct dp_span token = {t->token, (size_t)(end - t->token)};
    struct dp_token_times *now = &t->times;
    struct dp_renewal *r = t->look.renewal;
    t->look.renewal = NULL;
    if (!dp_renewal_row(r, t->look.look, token, t->look.now_ns) ||
        r->caught_up_s <= now->before.caught_up_s)
        return;
    now->before.caught_up_s = r->caught_up_s;
    if (now->whole.caught_up_s < now->before.caught_up_s)
        now->whole.caught_up_s = now->before.caught_up_s;
    write_time(&t->tag, t->region, &now->before);
    write_time(&t->whole, t->region, &now->whole);
}

/* A last_seq is written up to p[at]; its closing quote, if it has one, is left out for now. */
static size_t look_ahead(struct dp_tagger *t, struct splice *s, size_t at, size_t quote)
{
    splice_leave_out(s, at, quote);
    t->ahead = 0;
    t->state = AHEAD;
    return at + quote;
}

static size_t text(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
{
    at = find_quote(t, s->p, at, s->end);
    if (at == s->end)
        return at;
    if (looks_ahead(t))
        return look_ahead(t, s, at, 1);
    if (t->kind == DP_TOKENS_BOOKMARK && scan_ends_with(&t->scan, s->p, at, no_more)) {
        t->state = SCAN;
        return at + 1;
    }
    if (t->look.renewal && t->token && t->role == ROW)
        renew(t, s->p + at);
    tag(t, s, at, 0, full);
    return at + !*full; /* its quote is not the scanner's */
}

static size_t number(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
{
    while (at < s->end && is_number(s->p[at]))
        at++;
    if (at == s->end)
        return at;
    if (looks_ahead(t))
        return look_ahead(t, s, at, 0);
    tag(t, s, at, 1, full);
    return at;
}

/* What waited: the tag, the quote, and what was seen of nothing_pending, at most DP_TAGGER_ROOM bytes. */
static size_t waiting(const struct dp_tagger *t, const struct dp_tag *tag, char *out)
{
    memcpy(out, tag->text, tag->n + 1);
    memcpy(out + tag->n + 1, nothing_pending.p, t->ahead);
    return tag->n + 1 + t->ahead;
}

static size_t ahead(struct dp_tagger *t, struct splice *s, size_t at, bool *full)
{
    char text[DP_TAGGER_ROOM];
    const size_t began = at, all = nothing_pending.n;
    while (at < s->end && t->ahead < all && s->p[at] == nothing_pending.p[t->ahead]) {
        t->ahead++;
        at++;
    }
    splice_leave_out(s, began, at - began);
    if (at == s->end)
        return at;
    const bool complete =
        s->p[at] == '}' && (t->ahead == all || (t->ahead == 0 && t->rows < t->times.limit));
    *full = !splice_insert(s, at, text, waiting(t, complete ? &t->whole : &t->tag, text));
    if (*full)
        return at;
    t->tagged++;
    t->state = SCAN;
    t->scan.in_string = t->ahead > 1 && t->ahead < all - 2; /* it broke off within the word */
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
    case AHEAD:
        return ahead(t, s, at, full);
    }
    return at;
}

size_t dp_tagger_run(struct dp_tagger *t, const char *p, size_t n, size_t *used, char *out,
                     size_t cap)
{
    struct splice s = splice_begin(p, n, out, cap);
    bool full = false;
    size_t at = t->kind == DP_TOKENS_NONE ? s.end : 0;
    t->token = NULL;
    while (!full && at < s.end)
        at = step(t, &s, at, &full);
    scan_remember(&t->scan, p, at);
    *used = at;
    return splice_end(&s, at);
}

size_t dp_tagger_finish(struct dp_tagger *t, char *out)
{
    if (t->state == NUMBER)
        t->ahead = 0;
    else if (t->state != AHEAD)
        return 0;
    t->state = SCAN;
    t->tagged++;
    return waiting(t, &t->tag, out);
}

/* Takes "digits" off the end of *text, with the '.' before them. False: there is no such end, *text is as before. */
static bool take_seconds(struct dp_span *text, uint64_t *s)
{
    size_t i = text->n;
    while (i > 0 && text->n - i < 12 && text->p[i - 1] >= '0' && text->p[i - 1] <= '9')
        i--;
    if (i == 0 || text->p[i - 1] != '.' ||
        !dp_span_u64((struct dp_span){text->p + i, text->n - i}, s))
        return false;
    text->n = i - 1;
    return true;
}

/* Takes ".seconds" or ".seconds.seconds" off. */
static struct dp_token_time take_time(struct dp_span *text)
{
    uint64_t last, first;
    if (!take_seconds(text, &last))
        return (struct dp_token_time){0, 0};
    return take_seconds(text, &first) ? (struct dp_token_time){first, last}
                                      : (struct dp_token_time){last, 0};
}

struct dp_token dp_token_split(struct dp_span text)
{
    struct dp_span inner = text;
    if (inner.n >= 2 && inner.p[0] == '"' && inner.p[inner.n - 1] == '"')
        inner = (struct dp_span){inner.p + 1, inner.n - 2};
    const struct dp_token_time time = take_time(&inner);
    for (size_t i = inner.n; i > 0; i--) {
        char c = inner.p[i - 1];
        if (c == '~' && i < inner.n)
            return (struct dp_token){{inner.p, i - 1}, {inner.p + i, inner.n - i}, time};
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') ||
            inner.n - i >= DP_TAG_MAX)
            break;
    }
    return (struct dp_token){text, {NULL, 0}, {0, 0}};
}
