/* Numbers that look like chance, and are no secret. */
#ifndef DAVENPORT_BASE_RANDOM_H
#define DAVENPORT_BASE_RANDOM_H

#include <stdint.h>

/* The bits of a number, mixed: the same in every process and release. (splitmix64 by Vigna) */
static inline uint64_t dp_mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* xoroshiro128++ 1.0 by Blackman and Vigna. All zero is no state. */
struct dp_random {
    uint64_t s[2];
};

/* Any seed is a good one. */
static inline struct dp_random dp_random_of(uint64_t seed)
{
    return (struct dp_random){{dp_mix(seed), dp_mix(~seed) | 1}};
}

static inline uint64_t dp_random_next(struct dp_random *r)
{
    const uint64_t a = r->s[0], b = r->s[0] ^ r->s[1], sum = r->s[0] + r->s[1];
    r->s[0] = (a << 49 | a >> 15) ^ b ^ b << 21;
    r->s[1] = b << 28 | b >> 36;
    return (sum << 17 | sum >> 47) + a;
}

#endif
