/* "Did you mean": the known word nearest to what was typed. */
#ifndef DAVENPORT_SRC_APP_SUGGEST_H
#define DAVENPORT_SRC_APP_SUGGEST_H

#include "davenport/base/span.h"

/* How many letters must change (insert, drop, replace, swap neighbours) to make one of the other;
 * words past 64 bytes are infinitely far apart. */
unsigned dp_suggest_distance(struct dp_span a, struct dp_span b);
/* Near enough to be a slip of the finger in a word of that length. */
bool dp_suggest_near(struct dp_span typed, unsigned distance);

/* The nearest word so far; begins as {0}. word: borrowed; NULL: none is near enough. */
struct dp_suggestion {
    const char *word;
    unsigned distance;
};

/* One more known word; of equally near ones the first stays. */
void dp_suggest_consider(struct dp_suggestion *best, struct dp_span typed, const char *word);

#endif
