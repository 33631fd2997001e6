/* What an exchange whose trace is recorded knows besides: the ids of its span and of the attempts', which are children of
 * it, and when they began. x->traced is NULL in all others, which pay one comparison where a request or an attempt begins
 * or ends.
 *
 *   client's span, if any ──► the request ──► attempt 1 ──► the region's span, if it makes any
 *                                         ├─► attempt 2
 *                                         └─► hedge
 *
 * Each region is told its own attempt's id as the parent. A worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_TRACED_H
#define DAVENPORT_SRC_PROXY_TRACED_H

#include "davenport/core/outcome.h"
#include "davenport/core/reason.h"

struct dp_exchange;

/* The head is whole and x->ids chosen; the engine has a ring. Records it, or not: as its client says, else by chance. */
void dp_traced_begin(struct dp_exchange *x);

/* x->traced is there, in all of these. */
void dp_traced_attempt(struct dp_exchange *x); /* one begins, at x->endpoint */
/* Its outcome is known; it is over at dp_traced_attempt_end. */
void dp_traced_outcome(struct dp_exchange *x, enum dp_outcome outcome);
void dp_traced_attempt_end(struct dp_exchange *x); /* nothing happens where none is under way */
void dp_traced_hedge(struct dp_exchange *x);       /* x->hedge begins */
void dp_traced_hedge_end(struct dp_exchange *x);   /* it is given up */
void dp_traced_hedge_takes_over(struct dp_exchange *x);
void dp_traced_end(struct dp_exchange *x, enum dp_reason reason);

#endif
