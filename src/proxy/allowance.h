/* What a worker may spend on second attempts (core/budget.h), and what each exchange has spent of it. */
#ifndef DAVENPORT_SRC_PROXY_ALLOWANCE_H
#define DAVENPORT_SRC_PROXY_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

struct dp_exchange;

/* Is there enough for an attempt of x at this endpoint? */
bool dp_allowance_covers(const struct dp_exchange *x, uint16_t endpoint);
/* For the attempt at x->endpoint that begins now. False: there is not enough. */
bool dp_allowance_spend(struct dp_exchange *x);
/* Its answer has begun, or it has failed. Idempotent. */
void dp_allowance_return(struct dp_exchange *x);

#endif
