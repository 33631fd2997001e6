/* What came of a load's requests: histograms, failures, a row a second, stretches in which it was out. Pure: times come in.
 *
 * Everything counts for the second in which a request was due. A second's row is final when no request of it can still
 * be under way, timeout_ms after its end; until then it has a histogram of its own. */
#ifndef DAVENPORT_SRC_DRILL_TALLY_H
#define DAVENPORT_SRC_DRILL_TALLY_H

#include "davenport/drill/load.h"

#define DP_TALLY_STATUSES 600
#define DP_TALLY_BIN_NS   UINT64_C(10000000)  /* what outages are exact to */
#define DP_TALLY_JOIN_NS  UINT64_C(250000000) /* failures no further apart are one outage */

struct dp_tally;

struct dp_tally_kind {
    uint64_t requests, ok, failed; /* requests: ended */
    uint64_t conflicts;            /* of ok: answered 409 */
    uint64_t failures[DP_LOAD_FAILURES];
    uint32_t statuses[DP_TALLY_STATUSES]; /* of those that failed by their status */
    struct dp_histogram latency;          /* of those that were answered well */
};

/* From the beginning of the load, in ns. */
struct dp_outage {
    uint64_t from_ns,
        to_ns; /* when the first and the last of its bad requests was due, in whole bins */
    uint64_t failed, slow;
};

/* seconds: of the load. NULL: out of memory. */
DP_MUST_USE struct dp_tally *dp_tally_new(double seconds, uint32_t timeout_ms);
void dp_tally_destroy(struct dp_tally *t); /* NULL is fine */
size_t dp_tally_bytes(const struct dp_tally *t);

/* The load begins: its first request is due at start_ns. */
void dp_tally_begin(struct dp_tally *t, uint64_t start_ns);
void dp_tally_due(struct dp_tally *t, uint64_t due_ns);
/* due_ns was told before; done_ns is at most due_ns + timeout. */
void dp_tally_end(struct dp_tally *t, const struct dp_load_end *end);

/* The next row that is final at now_ns (UINT64_MAX: all are). False: none. */
DP_MUST_USE bool dp_tally_row(struct dp_tally *t, uint64_t now_ns, struct dp_load_second *out);
/* What ended since the last call, as a row; `second` counts the calls. */
void dp_tally_recent(struct dp_tally *t, struct dp_load_second *out);

/* It ends early: nothing is due from now on, and rows end with the last second in which something was. */
void dp_tally_stop(struct dp_tally *t);

/* The number of a region's name; .n == 0 gives none of them: DP_LOAD_REGIONS + 1. */
unsigned dp_tally_place(struct dp_tally *t, struct dp_span region);
uint64_t dp_tally_count_due(const struct dp_tally *t);
/* How long the load was: as planned, or to the last request before it was stopped. */
uint64_t dp_tally_seconds_ns(const struct dp_tally *t);
/* Of one kind; NULL: of a kind of which none ended. */
const struct dp_tally_kind *dp_tally_kind(const struct dp_tally *t, enum dp_load_kind kind);
const char *dp_tally_region(const struct dp_tally *t, unsigned i);
/* The outage that begins at or behind *at_ns, which moves behind it. False: none. */
DP_MUST_USE bool dp_tally_outage(const struct dp_tally *t, uint64_t *at_ns, struct dp_outage *out);

#endif
