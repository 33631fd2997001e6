/* Matching with one place to come back to: the last `*`. An earlier one never needs to take more, for
 * what stands between two of them is found at its first place. */
#include "davenport/core/glob.h"

bool dp_glob_match(struct dp_span pattern, struct dp_span text)
{
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX,
           taken = 0; /* behind the last `*`; where in the text it was tried last */
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            taken = t;
        } else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == text.p[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static size_t count(struct dp_span s, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == c;
    return n;
}

int dp_glob_compare(struct dp_span a, struct dp_span b)
{
    const size_t stars_a = count(a, '*'), stars_b = count(b, '*');
    const size_t own_a = a.n - stars_a - count(a, '?'), own_b = b.n - stars_b - count(b, '?');
    if (own_a != own_b)
        return own_a > own_b ? 1 : -1;
    return stars_a == stars_b ? 0 : stars_a < stars_b ? 1 : -1;
}
