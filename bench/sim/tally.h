/* What a run is judged by. */
#ifndef SIM_TALLY_H
#define SIM_TALLY_H

#include "world.h"

struct sim_samples {
    double *at; /* ms */
    size_t n, cap;
};
void sim_sample(struct sim_samples *s, double value);
/* share in [0, 1]; sorts. NAN: there are none. */
double sim_quantile(struct sim_samples *s, double share);

/* Events a second, second by second. */
struct sim_load {
    double *at, *steps; /* steps: of the rate, until sim_tally_close sums them up */
};

/* Of one grave fault and one sidecar whose traffic was there when it began. */
struct sim_watch {
    bool on;
    bool open;    /* the traffic has not left */
    bool waiting; /* no answer has come from elsewhere */
};

struct sim_tally {
    uint64_t seconds; /* of the trace */
    uint64_t sidecars;
    struct sim_samples detect;  /* ms from a fault's start until new requests go elsewhere */
    struct sim_samples reroute; /* ms from a fault's start until the first answer from elsewhere */
    uint64_t watched, never_left;
    uint64_t moves;       /* of the traffic, all */
    uint64_t false_moves; /* flights from a region that nothing grave had befallen */
    uint64_t
        flaps; /* flights from a region to which the traffic had returned less than 10 min before */
    uint64_t requests, failed_unsafe, told_503, cut;
    uint64_t failed_safe[2];  /* that could have been repeated: reads, writes */
    uint64_t failed_later;    /* of these: that came when nothing was wrong any more */
    uint64_t slow;            /* answered after more than 2 s */
    uint64_t repeated_unsafe; /* sent again although a region may have acted on it */
    uint64_t stray_writes;    /* sent to another region than the first */
    /* of Davenport alone */
    uint64_t held, hold_over; /* requests that waited for a region; in vain */
    uint64_t told_primary;    /* of failed_safe: writes that have one region */
    uint64_t trials, doubts;
    uint64_t events, leaps, broken_leaps; /* broken: lived through, and something was decided */
    double leapt_s;
    struct sim_load probes[SIM_REGIONS], sends[SIM_REGIONS]; /* what all sidecars together did */
    uint64_t digest; /* of every decision, in its sidecar's order */
};

void sim_tally_init(struct sim_tally *t, uint64_t length);
void sim_tally_fini(struct sim_tally *t);
void sim_tally_close(struct sim_tally *t);
/* Before both are closed. */
void sim_tally_add(struct sim_tally *t, const struct sim_tally *more);
/* One event; `rate` a second through [from, to). */
void sim_load_one(struct sim_load *l, uint64_t at);
void sim_load_rate(struct sim_load *l, uint64_t from, uint64_t to, double rate);
/* Of the closed tally: the highest second, and the mean of all. */
double sim_load_peak(const struct sim_tally *t, const struct sim_load *l);
double sim_load_mean(const struct sim_tally *t, const struct sim_load *l);
/* The steepest rise within so many seconds. */
double sim_load_rise(const struct sim_tally *t, const struct sim_load *l, uint64_t seconds);

#endif
