/* Reading what was written: proxy/recent.h asked and told, by one exchange. On the worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_FRESH_H
#define DAVENPORT_SRC_PROXY_FRESH_H

#include "davenport/base/span.h"

#include <stdbool.h>

struct dp_exchange;

/* The request has its rule: is it a read of a document that was written of late, in a mode that may read elsewhere? */
void dp_fresh_look(struct dp_exchange *x);
/* The answer's head is there, and x->knows_written: is it older than what was written, and may the region that has that
 * be asked now? */
bool dp_fresh_is_stale(struct dp_exchange *x);
/* The answer to a write begins. */
void dp_fresh_learn(struct dp_exchange *x);
/* x->learns: a piece of its body is about to be told. */
void dp_fresh_pass(struct dp_exchange *x, const struct dp_span *spans, size_t n);

#endif
