/* Goes from bracket to bracket at the depth of documents; a document that closes unnamed is given its id. */
#include "davenport/couch/mint.h"

#include "couch/scan.h"

void dp_minter_init(struct dp_minter *m, enum dp_mint kind, dp_mint_fn make, void *ctx)
{
    *m = (struct dp_minter){.depth = kind == DP_MINT_BULK ? 3 : 1, .make = make, .ctx = ctx};
}

/* If what ends before p[*at] is `c`, or its escape \u00XX: step over it. */
static bool step_over(const struct dp_scan *s, const char *p, size_t at, size_t *k, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char escape[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    if (scan_before(s, p, at, *k + 1) == c) {
        *k += 1;
        return true;
    }
    for (size_t i = 1; i <= sizeof(escape); i++) {
        char have = scan_before(s, p, at, *k + i);
        if (have >= 'A' && have <= 'F')
            have = (char)(have + ('a' - 'A'));
        if (have != escape[sizeof(escape) - i])
            return false;
    }
    *k += sizeof(escape);
    return true;
}

/* Does the quote p[at] close the string "_id"? */
static bool closes_id(const struct dp_scan *s, const char *p, size_t at)
{
    size_t k = 0;
    return step_over(s, p, at, &k, 'd') && step_over(s, p, at, &k, 'i') &&
           step_over(s, p, at, &k, '_') && scan_before(s, p, at, k + 1) == '"' &&
           scan_before(s, p, at, k + 2) != '\\';
}

/* Behind the string "_id": it is a name if a colon comes next, and a value if not. Returns how far that took. */
static size_t settle_name(struct dp_minter *m, const char *p, size_t at, size_t end)
{
    while (at < end && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r' || p[at] == '\n'))
        at++;
    m->unsettled = at == end;
    if (at < end && p[at] == ':')
        m->named = true;
    return at;
}

/* The document closes at p[at]. False: no room for its id. */
static bool close_document(struct dp_minter *m, struct splice *s, size_t at)
{
    if (m->named || s->p[at] != '}')
        return true;
    if (!m->ready)
        m->make(m->ctx, m->id);
    m->ready = true;
    char member[DP_MINTER_ROOM] = ",\"_id\":\"";
    size_t n = 8;
    memcpy(member + n, m->id, DP_ID_BYTES);
    n += DP_ID_BYTES;
    member[n++] = '"';
    size_t skip = !m->members; /* the first member has no comma before it */
    if (!splice_insert(s, at, member + skip, n - skip))
        return false;
    m->ready = false;
    m->minted++;
    return true;
}

/* Look at the block at p[at] up to a document's end that something was put before, or that there was no room for
 * (*full); returns where the next block begins. */
static size_t look(struct dp_minter *m, struct splice *s, size_t at, bool *full)
{
    struct scan_block b = scan_look(&m->scan, s->p, at, s->end, 'd', '4');
    uint64_t named = b.quote & ~b.inside & (b.behind_a | b.behind_b);
    uint64_t strings = b.quote & b.inside;
    for (uint64_t left = b.open | b.close | named | strings; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint64_t bit = UINT64_C(1) << i;
        unsigned depth = scan_depth(&m->scan, &b, i);
        if ((b.open & bit) && depth + 1 == m->depth) {
            m->named = false;
            m->members = false;
        } else if ((b.close & bit) && depth == m->depth) {
            uint64_t minted = m->minted;
            *full = !close_document(m, s, at + i);
            if (!*full && m->minted == minted)
                continue;
            /* Room has changed: look anew, from this bracket on or behind it. */
            b.n = i + !*full;
            b.escaped = false;
            if (b.n > 0)
                scan_pass(&m->scan, &b);
            return at + b.n;
        } else if (depth == m->depth) {
            m->members = m->members || (strings & bit);
            if ((named & bit) && closes_id(&m->scan, s->p, at + i))
                (void)settle_name(m, s->p, at + i + 1, s->end);
        }
    }
    scan_pass(&m->scan, &b);
    return at + b.n;
}

size_t dp_minter_run(struct dp_minter *m, const char *p, size_t n, size_t *used, char *out,
                     size_t cap)
{
    struct splice s = splice_begin(p, n, out, cap);
    bool full = false;
    size_t at = m->unsettled ? settle_name(m, p, 0, s.end) : 0;
    while (!full && at < s.end)
        at = look(m, &s, at, &full);
    scan_remember(&m->scan, p, at);
    *used = at;
    return splice_end(&s, at);
}
