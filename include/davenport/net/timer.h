/* Timers for many connections at the price of a list operation: a class holds timers of one
 * duration in the order of their deadlines, so arming is an append and expiry looks at the head.
 * Resolution: the loop's tick (DP_TICK_MS). No system call. One thread; time is passed in. */
#ifndef DAVENPORT_NET_TIMER_H
#define DAVENPORT_NET_TIMER_H

#include "davenport/base/list.h"

#include <stdint.h>

#define DP_TICK_MS 50

struct dp_timer {
    struct dp_list node;
    uint64_t deadline_ns;
    void (*fire)(struct dp_timer *t); /* the owner is found with DP_CONTAINER_OF */
};

/* Timers with one duration. 0 ms: never fires. */
struct dp_timer_class {
    struct dp_list timers;
    struct dp_list node; /* in its wheel */
    uint64_t duration_ns;
};

struct dp_timer_wheel {
    struct dp_list classes;
    uint64_t now_ns; /* the time of the current turn of the loop */
};

void dp_timer_wheel_init(struct dp_timer_wheel *w, uint64_t now_ns);
void dp_timer_class_init(struct dp_timer_wheel *w, struct dp_timer_class *c, uint32_t duration_ms);
/* From now on they last so long, those that run too, from when they were armed: their order stays. 0: none runs any more;
 * what was armed while it was 0 stays without. */
void dp_timer_class_change(struct dp_timer_class *c, uint32_t duration_ms);

void dp_timer_init(struct dp_timer *t, void (*fire)(struct dp_timer *));
/* Arm, or arm anew. */
void dp_timer_arm(const struct dp_timer_wheel *w, struct dp_timer_class *c, struct dp_timer *t);
void dp_timer_disarm(struct dp_timer *t); /* idempotent */

/* Move time forward and fire what is due; a timer is disarmed before it fires. */
void dp_timer_wheel_advance(struct dp_timer_wheel *w, uint64_t now_ns);

#endif
