/* The second opinion. Each rule stands where the RFC has it (sections are of RFC 9112 unless named). */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

static bool is_tchar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_tchar(s.p[i]))
            return false;
    }
    return s.n > 0;
}

/* RFC 9110 5.5: visible, obs-text, blanks. */
static bool is_text(struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c != '\t' && (c < 0x20 || c == 0x7f))
            return false;
    }
    return true;
}

static bool same_name(struct dp_span a, const char *lower)
{
    return a.n == strlen(lower) && strncasecmp(a.p, lower, a.n) == 0;
}

static bool same_text(struct dp_span a, const char *text)
{
    return a.n == strlen(text) && memcmp(a.p, text, a.n) == 0;
}

/* The next line without its CR LF; false when there is none, or a lone CR or LF or a NUL stands in it. */
static bool next_line(const char **p, size_t *n, struct dp_span *line)
{
    for (size_t i = 0; i + 1 < *n; i++) {
        const char c = (*p)[i];
        if (c == '\r' && (*p)[i + 1] == '\n') {
            *line = (struct dp_span){*p, i};
            *p += i + 2;
            *n -= i + 2;
            return true;
        }
        if (c == '\r' || c == '\n' || c == '\0')
            return false;
    }
    return false;
}

/* Three words: the first two end at a blank, the third has the rest. */
static bool three_words(struct dp_span line, struct oracle_head *h)
{
    const char *a = memchr(line.p, ' ', line.n);
    if (!a)
        return false;
    h->first = (struct dp_span){line.p, (size_t)(a - line.p)};
    const size_t left = line.n - h->first.n - 1;
    const char *b = memchr(a + 1, ' ', left);
    h->second = (struct dp_span){a + 1, b ? (size_t)(b - a - 1) : left};
    h->third = b ? (struct dp_span){b + 1, left - h->second.n - 1} : (struct dp_span){a + 1, 0};
    return true;
}

static bool is_version(struct dp_span s)
{
    return same_text(s, "HTTP/1.1") || same_text(s, "HTTP/1.0");
}

static const char *read_fields(struct oracle_head *h, const char *p, size_t n)
{
    struct dp_span line;
    h->n_fields = 0;
    for (;;) {
        if (!next_line(&p, &n, &line))
            return "a line that does not end, or a bare CR, LF or NUL";
        if (line.n == 0)
            return n == 0 ? NULL : "bytes behind the head";
        const char *colon = memchr(line.p, ':', line.n);
        if (!colon)
            return "a field without a colon";
        struct dp_span name = {line.p, (size_t)(colon - line.p)};
        struct dp_span value = {colon + 1, line.n - name.n - 1};
        if (!is_token(name)) /* so neither blanks before the colon (5.1) nor a folded line (5.2) */
            return "a field name that is no token";
        if (!is_text(value))
            return "a control byte in a value";
        while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t')) {
            value.p++;
            value.n--;
        }
        while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
            value.n--;
        if (h->n_fields == ORACLE_FIELDS)
            return "more fields than we ever accept";
        h->fields[h->n_fields++] = (struct oracle_field){name, value};
    }
}

size_t oracle_count(const struct oracle_head *h, const char *name, struct dp_span *value)
{
    size_t found = 0;
    for (size_t i = 0; i < h->n_fields; i++) {
        if (same_name(h->fields[i].name, name)) {
            *value = h->fields[i].value;
            found++;
        }
    }
    return found;
}

/* 6.1 to 6.3: at most one of the two, at most once, nothing but digits, nothing but chunked. */
static const char *read_framing(struct oracle_head *h)
{
    struct dp_span length, coding;
    const size_t lengths = oracle_count(h, "content-length", &length);
    const size_t codings = oracle_count(h, "transfer-encoding", &coding);
    h->has_length = lengths > 0;
    h->chunked = codings > 0;
    h->length = 0;
    if (lengths + codings > 1)
        return "more than one field that frames";
    if (codings == 1 && !same_name(coding, "chunked"))
        return "a coding other than chunked";
    for (size_t i = 0; lengths == 1 && i < length.n; i++) {
        const char c = length.p[i];
        if (c < '0' || c > '9')
            return "a length that is no number";
        const uint64_t digit = (uint64_t)(c - '0');
        if (h->length > (UINT64_MAX - digit) / 10)
            return "a length past all numbers";
        h->length = h->length * 10 + digit;
    }
    return lengths == 1 && length.n == 0 ? "an empty length" : NULL;
}

const char *oracle_request(struct oracle_head *h, const char *p, size_t n)
{
    struct dp_span line, host;
    if (!next_line(&p, &n, &line) || !three_words(line, h))
        return "no request line";
    if (!is_token(h->first) || !is_version(h->third))
        return "a bad method or version";
    for (size_t i = 0; i < h->second.n; i++) {
        if (h->second.p[i] <= ' ' || h->second.p[i] == 0x7f)
            return "a byte in the target that none may hold";
    }
    const bool path = h->second.n > 0 && h->second.p[0] == '/';
    const bool star = same_text(h->second, "*") && same_text(h->first, "OPTIONS");
    const bool whole = h->second.n > 7 && (strncasecmp(h->second.p, "http://", 7) == 0 ||
                                           strncasecmp(h->second.p, "https://", 8) == 0);
    if (!path && !star && !whole)
        return "a target in no form (3.2)";
    const char *why = read_fields(h, p, n);
    if (why)
        return why;
    const size_t hosts = oracle_count(h, "host", &host);
    if (hosts > 1 || (hosts == 0 && same_text(h->third, "HTTP/1.1")))
        return "not one Host (3.2)";
    why = read_framing(h);
    if (!why && h->chunked && same_text(h->third, "HTTP/1.0"))
        return "chunked from 1.0 (6.1)";
    return why;
}

const char *oracle_response(struct oracle_head *h, const char *p, size_t n)
{
    struct dp_span line;
    if (!next_line(&p, &n, &line) || !three_words(line, h))
        return "no status line";
    if (!is_version(h->first) || h->second.n != 3 || !is_text(h->third))
        return "a bad version, status or reason";
    for (size_t i = 0; i < 3; i++) {
        if (h->second.p[i] < '0' || h->second.p[i] > '9')
            return "a status that is no number";
    }
    if (h->second.p[0] < '1' || h->second.p[0] > '5')
        return "a status of no class (RFC 9110 15)";
    const char *why = read_fields(h, p, n);
    if (!why)
        why = read_framing(h);
    if (why)
        return why;
    const bool bodiless = h->second.p[0] == '1' || same_text(h->second, "204");
    if (bodiless && (h->chunked || h->length > 0))
        return "a body where none may be (6.3)";
    if (h->chunked && same_text(h->first, "HTTP/1.0"))
        return "chunked from 1.0 (6.1)";
    return NULL;
}

bool oracle_is_hop(struct dp_span name)
{
    static const char *const names[] = {
        "connection", "keep-alive",         "proxy-connection",    "te",
        "upgrade",    "proxy-authenticate", "proxy-authorization",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (same_name(name, names[i]))
            return true;
    }
    return false;
}

static int hex(char c)
{
    const char *const digits = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at ? (int)((at - digits) % 16) : -1;
}

/* Is this the beginning of a line whose CR LF may still come? */
static bool may_grow(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];
        if (c == '\r' && i + 1 == n)
            return true;
        if (c != '\t' && (c < 0x20 || c == 0x7f))
            return false;
    }
    return true;
}

/* "size [;anything]" of a chunk. -1: no size line. */
static int size_of(struct dp_span line, uint64_t *size)
{
    size_t digits = 0;
    *size = 0;
    while (digits < line.n && hex(line.p[digits]) >= 0)
        *size = *size * 16 + (uint64_t)hex(line.p[digits++]);
    if (digits == 0 || digits > 16 || !is_text(line))
        return -1;
    return digits == line.n || line.p[digits] == ';' ? 0 : -1;
}

int oracle_chunked(const char *p, size_t n, size_t *used, size_t *decoded)
{
    const char *const begin = p;
    struct dp_span line;
    uint64_t size = 1;
    *decoded = 0;
    *used = 0;
    while (size > 0) {
        if (!next_line(&p, &n, &line))
            return may_grow(p, n) ? 0 : -1;
        if (size_of(line, &size) != 0)
            return -1;
        if (size >= n) {
            *decoded += n;
            return 0;
        }
        *decoded += size;
        if (size > 0) {
            p += size;
            n -= size;
            if (n == 1)
                return p[0] == '\r' ? 0 : -1;
            if (p[0] != '\r' || p[1] != '\n')
                return -1;
            p += 2;
            n -= 2;
        }
    }
    for (;;) {
        if (!next_line(&p, &n, &line))
            return may_grow(p, n) ? 0 : -1;
        if (line.n == 0)
            break;
        const char *colon = memchr(line.p, ':', line.n);
        if (!colon || !is_token((struct dp_span){line.p, (size_t)(colon - line.p)}) ||
            !is_text(line))
            return -1;
    }
    *used = (size_t)(p - begin);
    return 1;
}
