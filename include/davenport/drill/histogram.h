/* A histogram of latencies in the manner of HdrHistogram: every value is kept to one part in a
 * thousand, recording is an increment, memory is fixed (256 KiB; all zero is an empty one). Debian 12 packages no
 * HdrHistogram for C. One thread. */
#ifndef DAVENPORT_DRILL_HISTOGRAM_H
#define DAVENPORT_DRILL_HISTOGRAM_H

#include <stdint.h>

#define DP_HISTOGRAM_PRECISION_BITS 10 /* 1024 steps between a power of two and the next */
#define DP_HISTOGRAM_LARGEST_BITS   41 /* 2^41 ns are 36 minutes; what is larger counts as that */
#define DP_HISTOGRAM_SLOTS                                                                         \
    ((DP_HISTOGRAM_LARGEST_BITS - DP_HISTOGRAM_PRECISION_BITS + 1) << DP_HISTOGRAM_PRECISION_BITS)

struct dp_histogram {
    uint64_t count, sum, largest;
    uint64_t slots[DP_HISTOGRAM_SLOTS];
};

void dp_histogram_add(struct dp_histogram *h, uint64_t ns);
/* All that `from` has, too. */
void dp_histogram_merge(struct dp_histogram *h, const struct dp_histogram *from);
/* The value that `percent` of all are at most, 0 < percent <= 100; 0 when there is none. */
uint64_t dp_histogram_percentile(const struct dp_histogram *h, double percent);
double dp_histogram_mean(const struct dp_histogram *h);

#endif
