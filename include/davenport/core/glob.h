/* Patterns of database names: `*` stands for any bytes, also none and also "/", `?` for one byte, all
 * else for itself. Pure. */
#ifndef DAVENPORT_CORE_GLOB_H
#define DAVENPORT_CORE_GLOB_H

#include "davenport/base/span.h"

#include <stdbool.h>

/* Linear in text times pattern at worst, without recursion. */
bool dp_glob_match(struct dp_span pattern, struct dp_span text);

/* Which of two patterns says more of a name: >0 when `a` does. The one with more bytes that stand
 * for themselves, then the one with fewer `*`. */
int dp_glob_compare(struct dp_span a, struct dp_span b);

#endif
