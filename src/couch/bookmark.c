/* The term of a bookmark is looked at as far as its first member, which tells its kind. */
#include "davenport/couch/bookmark.h"

#include "davenport/base/base64.h"
#include "davenport/couch/request.h"

#include <zlib.h>

/* So much of a bookmark's text is looked at, a multiple of 4; and of its term. */
#define LOOK_TEXT 512
#define LOOK_TERM 64

/* Tags of Erlang's external term format. */
enum { TERM = 131, COMPRESSED = 80, SMALL_TUPLE = 104, LIST = 108, ATOM = 100, SMALL_ATOM = 119 };

static const struct dp_span nothing = {NULL, 0};

struct dp_span dp_bookmark_in_query(struct dp_span target)
{
    struct dp_span found = nothing;
    (void)dp_span_cut(&target, '?');
    while (target.p) {
        char text[DP_COUCH_NAME_BYTES];
        struct dp_span value = dp_span_cut(&target, '&');
        if (dp_span_eq(dp_couch_name(dp_span_cut(&value, '='), text), DP_SPAN("bookmark")))
            found = value.p ? value : nothing;
    }
    return found;
}

/* ---- in a body ---- */

/* Behind the string that begins at p[at], past its quote. */
static size_t behind_string(struct dp_span s, size_t at)
{
    while (at < s.n && s.p[at] != '"')
        at += s.p[at] == '\\' ? 2 : 1;
    return at < s.n ? at + 1 : s.n;
}

static size_t behind_spaces(struct dp_span s, size_t at)
{
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t' || s.p[at] == '\r' || s.p[at] == '\n'))
        at++;
    return at;
}

static bool opens(char c)
{
    return c == '{' || c == '[';
}

static bool closes(char c)
{
    return c == '}' || c == ']';
}

/* The value behind a name that ends before p[at]. .p == NULL: it was no name. */
static struct dp_span value_at(struct dp_span s, size_t at)
{
    at = behind_spaces(s, at);
    if (at == s.n || s.p[at] != ':')
        return nothing;
    at = behind_spaces(s, at + 1);
    return (struct dp_span){s.p + at, s.n - at};
}

/* Of a value that is a string without escapes, its text; else .p == NULL. */
static struct dp_span text_of(struct dp_span value)
{
    if (value.n == 0 || value.p[0] != '"')
        return nothing;
    const size_t end = behind_string(value, 1);
    if (end < 2 || value.p[end - 1] != '"' || memchr(value.p, '\\', end))
        return nothing;
    return (struct dp_span){value.p + 1, end - 2};
}

struct dp_span dp_bookmark_in_body(struct dp_span json)
{
    static const struct dp_span name = DP_SPAN_INIT("\"bookmark\"");
    struct dp_span found = nothing;
    size_t depth = 0, seen = 0;
    for (size_t at = 0; at < json.n;) {
        const char c = json.p[at];
        if (c != '"') {
            depth += opens(c);
            depth -= closes(c) && depth > 0;
            at++;
            continue;
        }
        const size_t end = behind_string(json, at + 1);
        const struct dp_span string = {json.p + at, end - at};
        const struct dp_span value =
            depth == 1 && dp_span_eq(string, name) ? value_at(json, end) : nothing;
        if (value.p) {
            seen++;
            found = text_of(value);
        }
        at = end;
    }
    return seen == 1 ? found : nothing;
}

/* ---- what it says ---- */

/* The beginning of a compressed term; 0: it is none. */
static size_t inflate_some(const unsigned char *p, size_t n, unsigned char *out)
{
    z_stream z = {0};
    if (inflateInit(&z) != Z_OK)
        return 0;
    z.next_in = (unsigned char *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = LOOK_TERM;
    const int err = inflate(&z, Z_SYNC_FLUSH);
    (void)inflateEnd(&z);
    return err == Z_OK || err == Z_STREAM_END || err == Z_BUF_ERROR ? LOOK_TERM - z.avail_out : 0;
}

/* [{startkey_docid, …}, {startkey, …}]: a list of pairs, the first of them named so. Text indexes have triples. */
static bool is_keys(struct dp_span term)
{
    const unsigned char *p = (const unsigned char *)term.p;
    if (term.n < 8 || p[0] != LIST || p[5] != SMALL_TUPLE || p[6] != 2)
        return false;
    const size_t head = p[7] == ATOM ? 10 : p[7] == SMALL_ATOM ? 9 : 0;
    if (head == 0 || term.n < head)
        return false;
    const size_t n = head == 10 ? (size_t)p[8] << 8 | p[9] : p[8];
    const struct dp_span rest = {term.p + head, term.n - head};
    return n <= rest.n && (dp_span_eq((struct dp_span){rest.p, n}, DP_SPAN("startkey")) ||
                           dp_span_eq((struct dp_span){rest.p, n}, DP_SPAN("startkey_docid")));
}

bool dp_bookmark_is_portable(struct dp_span bookmark)
{
    unsigned char bytes[LOOK_TEXT / 4 * 3 + 2], term[LOOK_TERM];
    size_t n;
    if (dp_span_eq(bookmark, DP_SPAN("nil")))
        return true;
    if (bookmark.n > LOOK_TEXT)
        bookmark.n = LOOK_TEXT;
    if (!dp_base64_decode(DP_BASE64_URL, bookmark, bytes, &n) || n < 2 || bytes[0] != TERM)
        return false;
    if (bytes[1] != COMPRESSED)
        return is_keys((struct dp_span){(const char *)bytes + 1, n - 1});
    if (n < 6)
        return false;
    const size_t got = inflate_some(bytes + 6, n - 6, term);
    return is_keys((struct dp_span){(const char *)term, got});
}
