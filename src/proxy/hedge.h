/* A read whose answer takes longer than 95 of 100 there is asked for once more, in another region, while the first
 * answer is still awaited. The first good answer wins, the other attempt is abandoned.
 *
 *   AWAIT ──slow──► AWAIT + hedge ──first byte of the first──► hedge dropped
 *                        ├──2xx or 3xx from the hedge──► it takes the first's place
 *                        ├──the first fails──► it takes the first's place, still awaited
 *                        └──anything else from the hedge──► hedge dropped
 *
 * Only what answers at once and only reads, with its whole body kept; only on a connection that is ready. An
 * exchange without a hedge pays one comparison with NULL where an attempt ends or an answer begins. */
#ifndef DAVENPORT_SRC_PROXY_HEDGE_H
#define DAVENPORT_SRC_PROXY_HEDGE_H

#include "davenport/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct dp_engine;
struct dp_exchange;
struct dp_upstream;
struct dp_view;

struct dp_hedge {
    struct dp_upstream *up;
    uint16_t endpoint;
    uint64_t sent_ns, sent_turn, sent_mark; /* as in the exchange */
};

/* At each tick: begin those that are due. */
void dp_hedge_look(struct dp_engine *e);
/* Abandon it. x->hedge is there. */
void dp_hedge_drop(struct dp_exchange *x);
/* The first attempt is over, x->up let go of: the hedge is the attempt now. */
void dp_hedge_promote(struct dp_exchange *x);

/* x->hedge is there. It is dropped where its endpoint is left: it would wait there in vain. */
void dp_hedge_view_changed(struct dp_exchange *x, const struct dp_view *view);

/* The upstream connection's calls. */
void dp_hedge_read(struct dp_exchange *x, const char *p, size_t n);
void dp_hedge_end(struct dp_exchange *x);

#endif
