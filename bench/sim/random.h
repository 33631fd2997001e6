/* Chance for the simulator: the same draws from the same seed, everywhere. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include "davenport/base/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

/* splitmix64: every seed is a good one, neighbouring ones too. */
static inline uint64_t sim_bits(struct sim_random *r)
{
    r->state += UINT64_C(0x9E3779B97F4A7C15);
    return dp_mix(r->state);
}

/* [0, 1) */
static inline double sim_unit(struct sim_random *r)
{
    return (double)(sim_bits(r) >> 11) * 0x1p-53;
}

static inline bool sim_chance(struct sim_random *r, double share)
{
    return share > 0 && sim_unit(r) < share;
}

static inline double sim_exponential(struct sim_random *r, double mean)
{
    return -log(1.0 - sim_unit(r)) * mean;
}

static inline double sim_lognormal(struct sim_random *r, double median, double sigma)
{
    double angle = 6.283185307179586 * sim_unit(r);
    return median * exp(sigma * sqrt(-2.0 * log(1.0 - sim_unit(r))) * cos(angle));
}

#endif
