/* Is an endpoint slower than it was, and than its peers? Pure: histograms and time come in.
 *
 * A region can answer every probe and still be of no use: it stalls on real work, or answers 800 ms
 * later than it did. What it is measured by is its own past: the first-byte times of its point
 * requests (one document or database; a view that builds its index says nothing), forgotten with a
 * time constant of a minute. While that past is shorter than two, with half of what it is: so a region, or
 * caches, that have just started are not measured by their first seconds for long. From the baseline follow
 *
 *   late_ms   how long a request may wait for its first byte before it counts as unanswered: the
 *             worker holds it against requests in flight, so a stall is seen while it lasts
 *   slow      the median of several windows in a row is
 *               - well above the baseline's p95. Whatever the mix of quick and slow requests, half of a window
 *                 gets there by chance once in a hundred times at most, and four in a row never do
 *               - several times the baseline's median. No p95 hides that, were it made by few requests
 *               - and twice what the best peer takes: when everybody is slow it is our own network, and no move helps
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
    uint32_t factor;         /* over the baseline: its median where slow, its p95 where late */
    uint32_t slow_ms;        /* no median below this is slow; 0: nothing is */
    uint32_t late_ms;        /* no request is late before this; 0: none ever is */
};

/* The defaults of what the configuration does not name. */
#define DP_PACE_WINDOW_MS      500
#define DP_PACE_WINDOW_ANSWERS 3
#define DP_PACE_WINDOWS        4
#define DP_PACE_FACTOR         4
/* A median says nothing of now when it is older. */
#define DP_PACE_RECENT_MS 10000

struct dp_pace_state {
    double baseline[DP_PACE_BUCKETS]; /* answers, decayed */
    double window[DP_PACE_BUCKETS];
    uint32_t window_answers;
    uint64_t window_began_ns;                   /* 0: none is open */
    uint64_t baseline_began_ns, baseline_at_ns; /* its first and last window; 0: none yet */
    uint32_t half_ms, usual_ms; /* what 50 and 95 of 100 in it take at most; 0: too few to know */
    uint32_t slow_windows;      /* in a row */
    uint32_t median_ms;         /* of the last whole window */
    uint64_t median_at_ns;      /* when it ended; 0: none did */
};

/* What the last whole window said; also for people. */
struct dp_pace_look {
    bool whole;           /* a window ended in this step */
    bool slow;            /* enough slow windows in a row */
    uint32_t median_ms;   /* at least this: the lower bound of its bucket */
    uint32_t baseline_ms; /* p95, at most this: the upper bound of its bucket; 0: not known yet */
    uint32_t slow_windows;
};

/* The bucket of a first-byte time: of a millisecond below 8 ms, from there on four to an octave. */
unsigned dp_pace_bucket(uint64_t ns);

void dp_pace_init(struct dp_pace_state *s);
/* answers: first bytes since the last step, by dp_pace_bucket. peer_ms: what the best other region that is
 * well takes (probe or traffic); <0: there is none, and then nothing is slow. */
void dp_pace_step(struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_PACE_BUCKETS], double peer_ms, uint64_t now_ns,
                  struct dp_pace_look *out);
/* The answers one by one: how many were not as slow as a slow median, and how many were. */
void dp_pace_sort(const struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_PACE_BUCKETS], double peer_ms, uint32_t *quick,
                  uint32_t *tardy);
/* What half of its requests took at least, by a window that ended not long ago; 0: there is none. */
uint32_t dp_pace_recent_ms(const struct dp_pace_state *s, uint64_t now_ns);
/* What 95 of 100 take at most, by the baseline; 0: not known. */
uint32_t dp_pace_usual_ms(const struct dp_pace_state *s);
/* A median from here on is slow, if its peers are quicker; 0: none is. */
uint32_t dp_pace_slow_ms(const struct dp_pace_state *s, const struct dp_pace_config *c);
/* max(config late_ms, factor x baseline p95); five times config late_ms while no baseline is known. */
uint32_t dp_pace_late_ms(const struct dp_pace_state *s, const struct dp_pace_config *c);

#endif
