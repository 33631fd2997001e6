/* The questions that are asked of every subject, and what must come out of Davenport's answers. */
#ifndef SIM_STUDY_H
#define SIM_STUDY_H

#include "car.h"

#include <stddef.h>

/* A goal is one number of the tally that must not be above `most`. */
enum sim_measure {
    SIM_NO_GOAL,
    SIM_DETECT_P99, /* ms; and every fault was left */
    SIM_MOVES,
    SIM_FALSE_MOVES,
    SIM_FAILED_SAFE,
    SIM_FLAPS,
};
const char *sim_measure_words(enum sim_measure m);
double sim_measure(enum sim_measure m, struct sim_tally *t);

struct sim_goal {
    enum sim_measure measure;
    double most;
};

#define SIM_GOALS 2

struct sim_study {
    const char *name, *what;
    /* Fill the trace. `sidecar`: of an own trace. */
    void (*trace)(struct sim_trace *t, struct sim_random *r);
    bool own_traces; /* one for each sidecar, else one for all */
    uint32_t sidecars, quick_sidecars;
    double hours, quick_hours;
    double requests_a_second;
    struct sim_noise noise;
    struct sim_goal goals[SIM_GOALS];
};

extern const struct sim_study sim_studies[];
extern const size_t sim_n_studies;

#endif
