/* The questions that are asked of every subject, and what must come out of Davenport's answers. */
#ifndef SIM_STUDY_H
#define SIM_STUDY_H

#include "car.h"

#include <stddef.h>

/* A goal is one number of the tally that must not be above `most`. */
#define SIM_MEASURE_TABLE(X)                                                                       \
    X(NO_GOAL, "")                                                                                 \
    X(DETECT_P99, "99 of 100 faults are left within ms") /* and every fault was left */            \
    X(MOVES, "moves of the traffic")                                                               \
    X(FALSE_MOVES, "false failovers")                                                              \
    X(FLAPS, "flaps")                                                                              \
    X(FAILED_SAFE, "failed requests that could be repeated")                                       \
    X(FAILED_READS, "failed reads")                                                                \
    X(FAILED_LATER, "failed requests that came when all was well again")                           \
    X(STRAY_WRITES, "writes in another region than the first")                                     \
    X(RISE, "percent of the traffic that come back within a second")

enum sim_measure {
#define X(name, words) SIM_##name,
    SIM_MEASURE_TABLE(X)
#undef X
};
const char *sim_measure_words(enum sim_measure m);
double sim_measure(enum sim_measure m, struct sim_tally *t);

struct sim_goal {
    enum sim_measure measure;
    double most;
};

#define SIM_GOALS 3

struct sim_study {
    const char *name, *what;
    /* Fill the trace. `sidecar`: of an own trace. */
    void (*trace)(struct sim_trace *t, struct sim_random *r);
    bool own_traces; /* one for each sidecar, else one for all */
    uint32_t sidecars, quick_sidecars;
    double hours, quick_hours;
    double requests_a_second;
    struct sim_noise noise;
    unsigned nodes; /* as in struct sim_setting */
    const char *config;
    struct sim_goal goals[SIM_GOALS];
};

extern const struct sim_study sim_studies[];
extern const size_t sim_n_studies;

#endif
