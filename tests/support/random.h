/* Chance for random histories: the same draws from the same seed, in every release, so that what a test has come to hit
 * it goes on hitting. */
#ifndef DAVENPORT_TESTS_SUPPORT_RANDOM_H
#define DAVENPORT_TESTS_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t x;
};

static inline uint32_t below(struct random *r, uint32_t n)
{
    r->x = r->x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((r->x >> 33) % n);
}

static inline bool chance(struct random *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

#endif
