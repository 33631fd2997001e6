/* Which region is active, decided from the regions' health. Pure: time comes in, the decision comes
 * out.
 *
 * Leaving is quick, coming back is slow. The active region is left when it is down or asks to be
 * drained, and then for the best of the others. Traffic returns by itself only to a more preferred region that
 * has been up without a break for its hold and is not shut (core/gate.h: conditions, times of the week); the least
 * doubt begins the hold anew. Each further time that a region is lost doubles its hold, up to a cap, until it has
 * been well for long (`forget`). On its return its share of the traffic grows over `ramp`; the rest stays
 * where it was meanwhile. Any other move ends that.
 *
 * Nobody goes to a region that is mute: it has been asked and says nothing, so it may be as lost as the one that is to be
 * left, or it is our own network. It will answer or be lost within a probe's timeout; until then the traffic stays, or
 * goes to another that is as good and speaks.
 *
 * A region that is slow is left for one that is well, and for no other: slow is better than doubtful. It then
 * counts as lost for its way back.
 *
 * A region that was lost (down or draining) is unsettled until its hold is over: it may lack writes that were
 * acknowledged elsewhere. Meanwhile it is held: a last resort for what fails in the active region.
 *
 * An operator's choice is pinned: no failback undoes it. The pin ends with the next choice, or when
 * the pinned region is lost. A region that was forced while lost keeps the traffic until it has
 * been up and is lost anew, for the operator said that the evidence is wrong.
 *
 * A region that is down when it is first heard of need not have been away: it may be starting, as everything around is. For
 * `start` it gets no traffic, as any that is down, but if it comes up by then it is neither unsettled nor has it fallen, just
 * as if it had first been asked then.
 *
 * With every region lost, none is active and clients are told so, unless `no_region` says to fail open: traffic stays
 * where it was last, or goes to the primary, evidence or not. It is left for the first region that returns. Never
 * is a drained region opened so, by whomever it was drained.
 *
 * What operators leave standing (core/orders.h sets it) comes first. A drained region is lost to every rule until
 * it is resumed, and no force helps. While frozen, traffic stays where it is, even in a region that
 * goes dark; only orders move it. With no region active, the first to return takes the traffic all
 * the same: there is none to keep in its place.
 *
 * Moves that nobody needs at once (switch, failback, draining the active region) keep `dwell` from
 * the last move. Leaving a lost region never waits. */
#ifndef DAVENPORT_CORE_FAILOVER_H
#define DAVENPORT_CORE_FAILOVER_H

#include "davenport/base/attr.h"
#include "davenport/core/health.h"
#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

/* What to do with the traffic when every region is lost. */
#define DP_NO_REGION_TABLE(X)                                                                      \
    X(REFUSE, "503")          /* clients are told */                                               \
    X(LAST_GOOD, "last_good") /* it stays where it was last */                                     \
    X(PRIMARY, "primary")     /* it goes to the most preferred one */

enum dp_no_region {
#define X(name, label) DP_NO_REGION_##name,
    DP_NO_REGION_TABLE(X)
#undef X
};
const char *dp_no_region_name(enum dp_no_region p);

/* A returning region's share grows by so much at a time, and is never less. */
#define DP_RAMP_STEP_PERCENT 5

struct dp_failover_config {
    uint16_t n_regions; /* their order is the preference */
    bool automatic;     /* traffic returns by itself after the hold; else only by an operator */
    uint64_t hold_ns;
    uint64_t hold_max_ns; /* to which the hold is doubled; not above hold_ns: it is not */
    uint64_t
        forget_ns; /* well for so long, and the hold is as at first; at least the longest hold */
    uint64_t dwell_ns; /* at least between a move and the next voluntary one */
    uint64_t ramp_ns;  /* from a failback to the whole of the traffic; 0: at once */
    uint64_t start_ns; /* a region that was never up is not said to be lost before */
    enum dp_no_region no_region;
};

/* What is known of a region now. */
struct dp_failover_region {
    enum dp_health health;
    bool draining;
    bool slow; /* serves, but far slower than it did and than others do */
    bool mute; /* not lost yet, but says nothing now */
    bool
        unprovisioned; /* its database is not there: used when nothing else is left, never settled */
    bool shut;         /* traffic does not return to it by itself now, held or not */
    bool unready; /* its hold being over does not prove that it has what was written elsewhere */
};

struct dp_failover_state {
    uint16_t active; /* or DP_NO_REGION */
    uint16_t home;   /* the most preferred, or the one that an operator switched to last: where
                      writes stay that do not fail over (view.h) */
    bool pinned;     /* by an operator */
    bool forced;     /* pinned against the evidence, which has not come round yet */
    bool frozen;     /* by an operator: nothing moves by itself */
    bool drained[DP_MAX_REGIONS]; /* by an operator */
    bool approved
        [DP_MAX_REGIONS]; /* its return, by an operator; ends after it, or with the region's loss */
    uint64_t moved_at_ns; /* the last move; 0: none yet */
    bool unsettled[DP_MAX_REGIONS];
    bool was_up[DP_MAX_REGIONS];
    uint64_t heard_of_ns[DP_MAX_REGIONS]; /* first; 0: not yet */
    uint64_t up_since_ns[DP_MAX_REGIONS]; /* of the unbroken time up and not draining; 0: not so now
                                           */
    bool away[DP_MAX_REGIONS];            /* lost or slow, by itself and not by an operator */
    uint8_t falls[DP_MAX_REGIONS];        /* into `away`, since it was last well for long */
    uint16_t last;                        /* the region that was active last */
    bool open;                            /* `active` is lost, and kept by `no_region` */
    uint16_t ramp_from;                   /* who takes the rest of the traffic, or DP_NO_REGION */
    uint64_t ramp_done_ns, ramp_seen_ns;  /* how much of the ramp is over; when that was true */
};

#define DP_MOVE_TABLE(X)                                                                           \
    X(NONE, "none")                                                                                \
    X(FAILOVER, "failover") /* the active region was lost, another takes over */                   \
    X(FAILBACK, "failback") /* a more preferred region has settled */                              \
    X(SWITCH, "switch")     /* an operator said so */                                              \
    X(DRAIN, "drain")       /* an operator drained the active region, another takes over */        \
    X(LOST, "lost")         /* the active region was lost and there is no other */                 \
    X(REGAINED, "regained") /* the first region after there was none, or only one that was lost */ \
    X(REMOVED, "removed")   /* a reload took the active region out, another takes over */          \
    X(OPEN, "fail_open")    /* every region is lost, and this one is used all the same */

enum dp_move {
#define X(name, label) DP_MOVE_##name,
    DP_MOVE_TABLE(X)
#undef X
        DP_MOVE_COUNT
};
const char *dp_move_name(enum dp_move m);

struct dp_failover_decision {
    enum dp_move move;
    uint16_t before, after; /* DP_NO_REGION: none */
    uint64_t held_ns;       /* FAILBACK: how long the region had been up */
    uint16_t waiting;       /* the region that traffic will return to, or DP_NO_REGION */
    uint64_t
        failback_at_ns; /* when at the earliest, if nothing changes and it is not shut; with `waiting` */
    bool open;          /* the active region is lost, and kept by `no_region` */
    uint16_t share_percent; /* of the traffic that the active region takes; the rest: ramp_from */
    uint16_t ramp_from;     /* DP_NO_REGION: no ramp */
    bool held[DP_MAX_REGIONS]; /* unsettled, alive, and not active */
    enum dp_route_state routes[DP_MAX_REGIONS];
};

/* Everything unknown, the most preferred region active. */
void dp_failover_init(struct dp_failover_state *s);

/* Look at the regions and decide. To be called after every change of health and whenever time
 * passes. */
void dp_failover_step(struct dp_failover_state *s, const struct dp_failover_config *c,
                      const struct dp_failover_region *regions, uint64_t now_ns,
                      struct dp_failover_decision *out);

/* A reload renumbered the regions: map[i] is the new number of what was i < n, or DP_NO_REGION: it left. What is new
 * begins as after init. The active region may have left; a step, which must follow, finds another. */
void dp_failover_remap(struct dp_failover_state *s, const uint16_t *map, uint16_t n);

/* The best region but the active one: who would take over. DP_NO_REGION: nobody could. */
uint16_t dp_failover_heir(const struct dp_failover_state *s, const struct dp_failover_config *c,
                          const struct dp_failover_region *regions);

/* How long region i must have been well without a break before traffic returns to it. */
uint64_t dp_failover_hold_ns(const struct dp_failover_state *s, const struct dp_failover_config *c,
                             uint16_t i);

/* How long the next voluntary move has to wait, in ns. */
uint64_t dp_failover_dwell_left(const struct dp_failover_state *s,
                                const struct dp_failover_config *c, uint64_t now_ns);

/* An operator moves the traffic to `target` (< n_regions). False, and nothing changes, when it is
 * drained, or lost and `force` is not set. Afterwards `out` is what dp_failover_step would say, with the move
 * of the switch; NONE when the region was active before (it is pinned now all the same). */
DP_MUST_USE bool dp_failover_switch(struct dp_failover_state *s, const struct dp_failover_config *c,
                                    const struct dp_failover_region *regions, uint16_t target,
                                    bool force, uint64_t now_ns, struct dp_failover_decision *out);

#endif
