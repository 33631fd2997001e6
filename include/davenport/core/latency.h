/* How far a region is, by the first-byte times of real requests, and which regions are the nearest. Pure:
 * times come in.
 *
 * The estimate is a peak EWMA: it follows what is slower at once and forgets it with a time constant of
 * 10 s, so that a region in trouble is avoided before its average shows it. One slow answer is chance: a
 * peak counts when a second answer is as slow. Where no requests go, the estimate ages towards what the
 * control plane measures (probes), so that a region that was slow once is not avoided for ever.
 *
 * The nearest are all regions within a window of the best: max(15 ms, 15 % of it). Who is among them
 * changes at most every 10 s, unless all of them are lost, or a region is measured for the first time: noise must not move
 * reads to and fro. */
#ifndef DAVENPORT_CORE_LATENCY_H
#define DAVENPORT_CORE_LATENCY_H

#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_NEAR_WINDOW_NS      UINT64_C(15000000)
#define DP_NEAR_WINDOW_PERCENT 15
#define DP_NEAR_DWELL_NS       UINT64_C(10000000000)

/* Of one endpoint, as one worker sees it. All zero: nothing is known. */
struct dp_latency {
    double ns;      /* the estimate, at at_ns */
    double last_ns; /* the last answer's time */
    uint64_t at_ns; /* of the last answer; 0: there was none */
};

void dp_latency_observe(struct dp_latency *l, uint64_t first_byte_ns, uint64_t now_ns);
/* hint_ns: what else is known of it; 0: nothing. <0: nothing is known at all. */
double dp_latency_estimate(const struct dp_latency *l, uint64_t hint_ns, uint64_t now_ns);

/* The nearest regions. All zero: none was chosen yet. */
struct dp_near {
    uint32_t regions; /* a bit each */
    uint32_t known;   /* those that were measured, ever */
    uint64_t since_ns;
};

/* ns[i] for each region of `eligible` (a bit each): its estimate; <0: not known. `first`: who is
 * taken while nobody is known. True: the nearest changed. */
bool dp_near_step(struct dp_near *s, const double ns[DP_MAX_REGIONS], uint32_t eligible,
                  uint16_t first, uint64_t now_ns);

#endif
