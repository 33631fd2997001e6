/* What a region was last told to hold: documents and their leaves, with a sum over them that is equal for equal holdings, in
 * whatever order they came. */
#ifndef DAVENPORT_DRILL_HOLDINGS_H
#define DAVENPORT_DRILL_HOLDINGS_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct dp_holding;

struct dp_holdings {
    struct dp_holding **docs; /* in the order in which they were first told */
    uint32_t n, cap;
    uint32_t max;
    uint32_t *index; /* open addressing, never more than half full; UINT32_MAX: an empty place */
    uint32_t index_n;
    uint64_t sum; /* over all leaves */
};

void dp_holdings_init(struct dp_holdings *h, uint32_t max);
void dp_holdings_fini(struct dp_holdings *h);
/* In the place of what it held of that document. Errors: DP_ENOMEM; DP_ELIMIT: more than `max` documents. Nothing
 * has changed then. */
DP_MUST_USE enum dp_err dp_holdings_put(struct dp_holdings *h, const char *id,
                                        const char *const *revs, size_t n);
/* i < n. */
const char *dp_holdings_id(const struct dp_holdings *h, uint32_t i);
uint32_t dp_holdings_leaves(const struct dp_holdings *h, uint32_t i);
/* The revision behind this one, NULL: the first. Not to be called more often than there are leaves. */
const char *dp_holdings_next(const struct dp_holdings *h, uint32_t i, const char *rev);
/* How many documents of `a` are not the same in `b`; *example: one of them, when there is one. */
uint32_t dp_holdings_differ(const struct dp_holdings *a, const struct dp_holdings *b,
                            const char **example);

#endif
