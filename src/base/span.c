/* Spans: comparisons and the few parsers that every layer needs. */
#include "davenport/base/span.h"

static unsigned char lower(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool dp_span_ieq(struct dp_span a, struct dp_span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
            return false;
    }
    return true;
}

struct dp_span dp_span_trim(struct dp_span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct dp_span dp_span_cut(struct dp_span *rest, char sep)
{
    struct dp_span all = *rest;
    const char *at = all.n > 0 ? memchr(all.p, sep, all.n) : NULL;
    if (!at) {
        *rest = (struct dp_span){NULL, 0};
        return all;
    }
    size_t before = (size_t)(at - all.p);
    *rest = (struct dp_span){at + 1, all.n - before - 1};
    return (struct dp_span){all.p, before};
}

bool dp_span_u64(struct dp_span s, uint64_t *out)
{
    if (s.n == 0)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool dp_span_starts(struct dp_span s, struct dp_span prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* Is a byte of v zero? */
static bool has_zero(uint64_t v)
{
    return ((v - UINT64_C(0x0101010101010101)) & ~v & UINT64_C(0x8080808080808080)) != 0;
}

#define EIGHT(c) (UINT64_C(0x0101010101010101) * (c))

static bool all_plain(uint64_t v)
{
    const uint64_t high = EIGHT(0x80);
    bool beyond = ((v | (v - EIGHT(0x20))) & high) != 0; /* not ASCII, or below the blank */
    return !beyond && !has_zero(v ^ EIGHT('"')) && !has_zero(v ^ EIGHT('\\')) &&
           !has_zero(v ^ EIGHT(0x7F));
}

size_t dp_span_plain(struct dp_span s)
{
    size_t i = 0;
    uint64_t v;
    for (; i + sizeof(v) <= s.n; i += sizeof(v)) {
        memcpy(&v, s.p + i, sizeof(v));
        if (!all_plain(v))
            break; /* in these eight, say the next lines where */
    }
    while (i < s.n && s.p[i] >= 0x20 && s.p[i] < 0x7F && s.p[i] != '"' && s.p[i] != '\\')
        i++;
    return i;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int dp_span_percent(struct dp_span s)
{
    if (s.n < 3 || s.p[0] != '%' || hex(s.p[1]) < 0 || hex(s.p[2]) < 0)
        return -1;
    return hex(s.p[1]) * 16 + hex(s.p[2]);
}
