/* Checkpoints of replications in a region that traffic had to flee to (checkpoints.after_failover: forget). */
#ifndef DAVENPORT_SRC_PROXY_FORGET_H
#define DAVENPORT_SRC_PROXY_FORGET_H

#include <stdbool.h>
#include <stdint.h>

struct dp_exchange;

/* x is about to be sent to `endpoint` for the first time. True: it asks for a checkpoint from before the region became the
 * active one, and is to be told, once, that there is none. */
bool dp_forget_checkpoint(struct dp_exchange *x, uint16_t endpoint);

#endif
