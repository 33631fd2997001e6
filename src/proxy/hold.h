/* Exchanges that wait for a region: the queue behind core/hold's rules, one a worker.
 *
 *   ROUTE ──no way, and one may come──► HOLD ──a way──► ROUTE
 *                                         └──time is up──► 503
 *
 * First come, first to go on; one whose region failed it just now lets others pass. What was not read of a body stays
 * with the client: its connection is not read from. */
#ifndef DAVENPORT_PROXY_HOLD_H
#define DAVENPORT_PROXY_HOLD_H

#include "davenport/base/err.h"
#include "davenport/base/list.h"
#include "davenport/core/hold.h"

struct dp_engine;
struct dp_exchange;
struct dp_proxy_config;

struct dp_hold_queue {
    struct dp_hold_config config;
    struct dp_hold_state state;
    struct dp_list exchanges; /* dp_exchange.held.node */
};

/* An exchange's part of it. */
struct dp_held {
    struct dp_list node;
    struct dp_hold_stay stay;
    uint64_t since_ns; /* 0: not held now */
    uint64_t total_ns; /* of the stays that are over */
    uint64_t epoch;    /* of the view that had no way */
    uint32_t pause;    /* likewise */
    enum dp_err why;   /* told if none comes */
};

void dp_hold_queue_init(struct dp_hold_queue *q, const struct dp_proxy_config *c);
/* Other limits, for who comes from now on. */
void dp_hold_queue_change(struct dp_hold_queue *q, const struct dp_proxy_config *c);
/* Keep it; false when that can't be. In phase ROUTE. */
bool dp_hold_take(struct dp_exchange *x, enum dp_err why);
/* Out of the queue, for whatever reason; idempotent. */
void dp_hold_drop(struct dp_exchange *x);
/* Let go on what may, give up what must: at each tick, and when a view comes. */
void dp_hold_look(struct dp_engine *e);

#endif
