/* What operators order: whether it may be done, and what of it stands until when. Pure: state,
 * order and time come in, a decision or a refusal with its rule comes out. A rehearsal (--dry-run)
 * is the same call on copies of the states.
 *
 *   switch   traffic to a region, pinned there           drain    no traffic to a region, not even as a last resort
 *   resume   ends a drain                                freeze   nothing moves by itself
 *   unfreeze ends a freeze
 *   approve  traffic may return to a region: the gate's condition of that name (core/gate.h) is met until the region
 *            is lost or has the traffic      revoke   ends that
 *
 * An order that stands (switch's pin, drain, freeze, approve) may have a time to live, after which it ends
 * by itself. Ending a pin moves nothing at once: the rules of core/failover.h have their say again.
 *
 * Rules that refuse, in the order in which they are asked. `force` overrides the last four; of an approval none.
 *   epoch_moved       the order was given for another epoch than the present one
 *   region_drained    switch, approve: the target is drained; resume it first
 *   region_down       switch, approve: the target is down
 *   region_draining   switch, approve: the target asks for no requests (maintenance)
 *   min_regions       drain: fewer regions than `min_regions` would be left that serve
 *   dwell             switch, and drain of the active region: the last move is too young */
#ifndef DAVENPORT_CORE_ORDERS_H
#define DAVENPORT_CORE_ORDERS_H

#include "davenport/base/attr.h"
#include "davenport/core/failover.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_ORDER_TABLE(X)                                                                          \
    X(SWITCH, "switch")                                                                            \
    X(DRAIN, "drain")                                                                              \
    X(RESUME, "resume")                                                                            \
    X(FREEZE, "freeze")                                                                            \
    X(UNFREEZE, "unfreeze")                                                                        \
    X(APPROVE, "approve")                                                                          \
    X(REVOKE, "revoke")

enum dp_order_kind {
#define X(name, label) DP_ORDER_##name,
    DP_ORDER_TABLE(X)
#undef X
        DP_ORDER_COUNT
};
const char *dp_order_name(enum dp_order_kind k);
bool dp_order_names_region(enum dp_order_kind k); /* all but freeze and unfreeze */
bool dp_order_stands(enum dp_order_kind k); /* switch, drain, freeze, approve: may have a ttl */

#define DP_REFUSAL_TABLE(X)                                                                        \
    X(NONE, "none")                                                                                \
    X(EPOCH, "epoch_moved")                                                                        \
    X(DRAINED, "region_drained")                                                                   \
    X(DOWN, "region_down")                                                                         \
    X(DRAINING, "region_draining")                                                                 \
    X(MIN_REGIONS, "min_regions")                                                                  \
    X(DWELL, "dwell")

enum dp_refusal {
#define X(name, label) DP_REFUSAL_##name,
    DP_REFUSAL_TABLE(X)
#undef X
        DP_REFUSAL_COUNT
};
const char *dp_refusal_name(enum dp_refusal r);

struct dp_order {
    enum dp_order_kind kind;
    uint16_t region; /* < n_regions, where the kind names one */
    bool force;
    bool if_epoch; /* only while the epoch is `epoch` */
    uint64_t epoch;
    uint64_t ttl_ns; /* 0: until another order ends it; only where the kind stands */
};

/* When what stands in dp_failover_state ends by itself; 0: it does not. */
struct dp_orders_state {
    uint64_t drained_until_ns[DP_MAX_REGIONS], approved_until_ns[DP_MAX_REGIONS];
    uint64_t frozen_until_ns, pinned_until_ns;
};

/* What an order is judged by. */
struct dp_orders_facts {
    const struct dp_failover_config *failover;
    const struct dp_failover_region *regions;
    uint16_t min_regions; /* 0: no such rule */
    uint64_t epoch;       /* in force */
    uint64_t now_ns;
};

struct dp_orders_verdict {
    enum dp_refusal refusal; /* NONE: done */
    unsigned overridden;     /* the rules that only force overcame: bit 1 << enum dp_refusal */
    uint16_t serving_before, serving_after; /* regions that are known to serve */
    uint64_t dwell_left_ns;
    struct dp_failover_decision decision; /* when done */
};

/* Carry the order out, or refuse it and change nothing. */
void dp_orders_obey(struct dp_orders_state *s, struct dp_failover_state *f,
                    const struct dp_orders_facts *facts, const struct dp_order *order,
                    struct dp_orders_verdict *out);

/* As dp_failover_remap. */
void dp_orders_remap(struct dp_orders_state *s, const uint16_t *map, uint16_t n);

/* End one thing whose time is over. True: *ended says what by the order that had made it stand (its kind and region);
 * ask again. To be followed by dp_failover_step. */
DP_MUST_USE bool dp_orders_expire(struct dp_orders_state *s, struct dp_failover_state *f,
                                  uint16_t n_regions, uint64_t now_ns, struct dp_order *ended);

#endif
