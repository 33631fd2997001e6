/* Replication checkpoints that a region was first asked for since traffic had to flee to it: a table that all workers share,
 * without a lock. Bounded: what falls out of it counts as not asked for yet. */
#ifndef DAVENPORT_PROXY_CHECKPOINTS_H
#define DAVENPORT_PROXY_CHECKPOINTS_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_checkpoints;

/* seed: so that nobody can choose names that meet. NULL: out of memory. */
struct dp_checkpoints *dp_checkpoints_new(uint64_t seed);
void dp_checkpoints_free(struct dp_checkpoints *c); /* NULL is fine */
/* Is this the first time since `parted` (core/view.h) that it is asked for? Any thread; of two at once one is the first. */
bool dp_checkpoints_first(struct dp_checkpoints *c, uint64_t parted, struct dp_span db,
                          struct dp_span doc);

#endif
