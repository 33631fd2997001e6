/* What load.c and its parts share. */
#ifndef DAVENPORT_SRC_DRILL_LOAD_PRIVATE_H
#define DAVENPORT_SRC_DRILL_LOAD_PRIVATE_H

#include "davenport/base/clock.h"
#include "davenport/base/list.h"
#include "davenport/drill/ledger.h"

#include "drill/follow.h"
#include "drill/link.h"
#include "drill/schedule.h"
#include "drill/tally.h"
#include "drill/work.h"

#include <uv.h>

#define DP_LOAD_SWEEP_MS 20

/* In this order; each is entered once, and any but DOCUMENTS and LOAD may be passed over. */
enum dp_load_phase {
    DP_PHASE_IDLE,
    DP_PHASE_CONNECTING,
    DP_PHASE_DOCUMENTS,
    DP_PHASE_FOLLOWERS,
    DP_PHASE_LOAD, /* its warm-up too */
    DP_PHASE_LAST, /* nothing more is due; what is under way may end */
    DP_PHASE_DONE
};

/* A connection of the load's, and what it does. */
struct client {
    struct dp_link link;
    struct dp_load *load;
    struct dp_list node; /* among the free ones */
    bool busy, creating; /* creating: a first document, no request of the line */
    uint64_t number, due_ns;
    struct dp_job job;
    char *body; /* of the answer, as much as the job keeps */
    size_t body_n, body_cap;
    bool body_cut;
};

struct dp_load {
    uv_loop_t *loop;
    struct dp_load_config config; /* texts are in `owned` */
    char *owned[12];
    unsigned n_owned;
    struct dp_load_events events;
    void *ctx;
    struct dp_ledger *ledger;
    struct dp_link_net links;
    struct dp_work *work;
    struct dp_tally *tally;
    struct dp_schedule schedule;
    uint64_t skipped;            /* requests of the warm-up */
    struct dp_load_second *rows; /* final ones */
    size_t n_rows;
    struct dp_histogram lag;
    struct client *clients;
    struct dp_list free; /* clients, the one that rested longest first */
    struct dp_follower *followers;
    unsigned n_followers;

    uv_poll_t ticker; /* what is due: libuv's own timers are as coarse as a millisecond */
    int timer_fd;
    uv_timer_t sweeper; /* everything else that time brings */
    unsigned handles;   /* that have not closed */
    void (*closed)(void *ctx);
    void *closed_ctx;

    enum dp_load_phase phase;
    bool stop, stop_at_once, dying;
    enum dp_err err;
    char why[DP_LOAD_WHY];
    uint64_t origin_ns;  /* of the ledger's times */
    uint64_t phase_ns;   /* when the phase began */
    uint64_t second_ns;  /* when the next tick is */
    uint64_t start_ns;   /* request 0 */
    uint64_t due, taken; /* requests 0 … due - 1 are due, 0 … taken - 1 were sent or given up */
    uint64_t ok, failed; /* of those that count */
    uint64_t seen_ns;    /* what became due by then was made due */
    uint32_t next_slot;  /* of the first documents */
    unsigned n_created;
    uint64_t create_at_ns; /* not before: one has failed */
    uint16_t create_status;
    enum dp_load_failure create_failure;
    unsigned standing, under_way;
};

extern const struct dp_link_events dp_load_link_events;
/* Callbacks of the two clocks, for load_new.c. */
void dp_load_on_tick(uv_poll_t *poll, int status, int events);
void dp_load_on_sweep(uv_timer_t *timer);

#endif
