/* The last hour, for who looks only now: what each region answered, how fast, and what had to wait, a point every few
 * seconds. A ring of fixed size in memory; a restart forgets it. Pure: time and counters come in. Main thread.
 *
 * A region is known by its name: one that a reload took away keeps its past until a new one needs the room. */
#ifndef DAVENPORT_SRC_APP_HISTORY_H
#define DAVENPORT_SRC_APP_HISTORY_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"

#include "app/report.h"

#include <stddef.h>
#include <stdint.h>

#define DP_HISTORY_STEP_MS 5000
#define DP_HISTORY_POINTS  720

struct dp_history;

/* NULL: no memory. All that it will ever need is there from then on. */
DP_MUST_USE struct dp_history *dp_history_new(void);
void dp_history_free(struct dp_history *h);

/* Take what was counted since the last call as one point; the first call only begins. now_ms: monotonic. */
void dp_history_sample(struct dp_history *h, const struct dp_report *r, uint64_t now_ms);
/* The newest `last` points at most, oldest first, by columns:
 *   {"step_s":5,"age_s":[...],"seconds":[...],"requests":[...], ...,"active":[...],"regions":[{"name":...,"requests":[...], ...}]}
 * age_s: of a point's end; seconds: how long it is; counts are of that time. active: an index of "regions", or null. Times are
 * estimates from the histogram's buckets, null without an answer. A region that was not there has null throughout. */
void dp_history_json(const struct dp_history *h, size_t last, uint64_t now_ms, struct dp_text *out);

/* The q-th part (0 to 1) of times in these buckets (core/traffic.h), in ms, as if they were spread evenly within each; <0:
 * there are none. Past the last bound it is that bound. */
double dp_history_quantile(const uint64_t buckets[DP_LATENCY_BUCKETS], double q);

#endif
