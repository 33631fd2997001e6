/* What is due when, in the order of time and, at one time, of asking. */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stddef.h>
#include <stdint.h>

enum sim_event_kind {
    SIM_EV_ARRIVAL,
    SIM_EV_ATTEMPT,
    SIM_EV_LATE,
    SIM_EV_OVERDUE,
    SIM_EV_AGAIN,
    SIM_EV_PROBE,
    SIM_EV_PROBE_END,
    SIM_EV_LOOKUP,
    SIM_EV_LOOKED_UP,
    SIM_EV_WAKE,
    SIM_EV_TICK,
    SIM_EV_EDGE,
    SIM_EV_STALL,
    SIM_EV_LEAP,
    SIM_EV_LAND
};

struct sim_event {
    uint64_t at;
    uint32_t order, turn;
    uint16_t kind, endpoint;
    uint32_t id;
};

struct sim_events {
    struct sim_event *at; /* a heap */
    size_t n, cap;
    uint32_t order;
};

void sim_push(struct sim_events *s, struct sim_event e);
/* n > 0. */
struct sim_event sim_pop(struct sim_events *s);

#endif
