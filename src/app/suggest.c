/* Edit distance with swapped neighbours (optimal string alignment), three rows of the table at a
 * time. */
#include "app/suggest.h"

#include <limits.h>

#define WORD_MAX 64

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned dp_suggest_distance(struct dp_span a, struct dp_span b)
{
    unsigned rows[3][WORD_MAX + 1];
    if (a.n > WORD_MAX || b.n > WORD_MAX) {
        return UINT_MAX;
    }
    for (size_t j = 0; j <= b.n; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *last = rows[(i - 1) % 3];
        const unsigned *before = rows[(i + 1) % 3]; /* i - 2 */
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned replace = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            now[j] = least(replace, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1]) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
    }
    return rows[a.n % 3][b.n];
}

bool dp_suggest_near(struct dp_span typed, unsigned distance)
{
    return distance <= 1 + typed.n / 5 && distance < typed.n;
}

void dp_suggest_consider(struct dp_suggestion *best, struct dp_span typed, const char *word)
{
    const unsigned distance = dp_suggest_distance(typed, dp_span_str(word));
    if ((!best->word || distance < best->distance) && dp_suggest_near(typed, distance)) {
        *best = (struct dp_suggestion){word, distance};
    }
}
