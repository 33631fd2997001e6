/* A histogram of latencies in the manner of HdrHistogram: every value is kept to one part in a
 * thousand, recording is an increment, memory is fixed. (Debian 12 packages no HdrHistogram for C.) */
#ifndef DAVENPORT_BENCH_HISTOGRAM_H
#define DAVENPORT_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PRECISION_BITS 10 /* 1024 steps between a power of two and the next */
#define HISTOGRAM_LARGEST_BITS   41 /* 2^41 ns are 36 minutes; what is larger counts as that */
#define HISTOGRAM_SLOTS                                                                            \
    ((HISTOGRAM_LARGEST_BITS - HISTOGRAM_PRECISION_BITS + 1) << HISTOGRAM_PRECISION_BITS)

struct histogram {
    uint64_t count, sum, largest;
    uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *h, uint64_t ns);
/* The value that `percent` of all are at most, 0 < percent <= 100; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
double histogram_mean(const struct histogram *h);

#endif
