/* Is an endpoint slower than it was, and than its peers? Pure: histograms and time come in.
 *
 * A region can answer every probe and still be of no use: it stalls on real work, or answers 800 ms
 * later than it did. What it is measured by is its own past: the first-byte times of its point
 * requests (one document or database; a view that builds its index says nothing), forgotten with a
 * time constant of a minute. From that baseline follow
 *
 *   late_ms   how long a request may wait for its first byte before it counts as unanswered: the
 *             worker holds it against requests in flight, so a stall is seen while it lasts
 *   slow      the median of several windows in a row is far above the baseline, and above what the
 *             best peer takes: when everybody is slow it is our own network, and no move helps
 *
 * A window that looks slow is kept out of the baseline, so that slowness does not become the measure
 * of itself; when peers are as slow, it is the new normal and goes in. */
#ifndef DAVENPORT_CORE_PACE_H
#define DAVENPORT_CORE_PACE_H

#include "davenport/core/traffic.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_pace_config {
    uint64_t window_ns;      /* of one look at the median */
    uint32_t window_answers; /* fewer than these: the window goes on */
    uint32_t windows;        /* slow ones in a row that make it slow */
    uint32_t factor;         /* over baseline p95, and over the best peer */
    uint32_t slow_ms;        /* no median below this is slow; 0: nothing is */
    uint32_t late_ms;        /* no request is late before this; 0: none ever is */
};

/* The defaults of what the configuration does not name. */
#define DP_PACE_WINDOW_MS      500
#define DP_PACE_WINDOW_ANSWERS 5
#define DP_PACE_WINDOWS        4
#define DP_PACE_FACTOR         4
/* A median says nothing of now when it is older. */
#define DP_PACE_RECENT_MS 10000

struct dp_pace_state {
    double baseline[DP_LATENCY_BUCKETS]; /* answers, decayed */
    uint32_t window[DP_LATENCY_BUCKETS];
    uint32_t window_answers;
    uint64_t window_began_ns; /* 0: none is open */
    uint64_t baseline_at_ns;
    uint32_t slow_windows; /* in a row */
    uint32_t median_ms;    /* of the last whole window */
    uint64_t median_at_ns; /* when it ended; 0: none did */
};

/* What the last whole window said; also for people. */
struct dp_pace_look {
    bool whole;           /* a window ended in this step */
    bool slow;            /* enough slow windows in a row */
    uint32_t median_ms;   /* at least this: the lower bound of its bucket */
    uint32_t baseline_ms; /* p95, at most this: the upper bound of its bucket; 0: not known yet */
    uint32_t slow_windows;
};

void dp_pace_init(struct dp_pace_state *s);
/* answers: first-byte histogram since the last step. peer_ms: what the best other region that is
 * well takes (probe or traffic); <0: there is none, and then nothing is slow. */
void dp_pace_step(struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_LATENCY_BUCKETS], double peer_ms, uint64_t now_ns,
                  struct dp_pace_look *out);
/* The answers one by one: how many were not as slow as a slow median, and how many were. */
void dp_pace_sort(const struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_LATENCY_BUCKETS], double peer_ms, uint32_t *quick,
                  uint32_t *tardy);
/* What half of its requests took at least, by a window that ended not long ago; 0: there is none. */
uint32_t dp_pace_recent_ms(const struct dp_pace_state *s, uint64_t now_ns);
/* What 95 of 100 take at most, by the baseline; 0: not known. */
uint32_t dp_pace_usual_ms(const struct dp_pace_state *s);
/* max(config late_ms, factor x baseline p95); five times config late_ms while no baseline is known. */
uint32_t dp_pace_late_ms(const struct dp_pace_state *s, const struct dp_pace_config *c);

#endif
