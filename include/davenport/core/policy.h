/* Where a request goes, and whether it may go again. Pure: no clock, no I/O, no state of its own.
 */
#ifndef DAVENPORT_CORE_POLICY_H
#define DAVENPORT_CORE_POLICY_H

#include "davenport/base/err.h"
#include "davenport/core/view.h"

/* How a request bears being sent twice. From couch/request.h's classification. */
enum dp_replay {
    DP_REPLAY_SAFE,       /* reads: as often as one likes */
    DP_REPLAY_IDEMPOTENT, /* PUT, DELETE: in another region the same bytes make the same revision */
    DP_REPLAY_NEVER       /* once a byte of it may have been acted on, it must not be sent again */
};

/* What is known of the attempts so far; kept by the exchange. */
struct dp_attempts {
    uint32_t failed_mask; /* bit per endpoint that failed this request */
    /* Bit per region that may have carried out a write whose repetition there would meet its own trace (409); the
     * same bytes in another region make the same revision. */
    uint32_t acted_mask;
    uint8_t count; /* attempts begun */
    uint32_t turn; /* spreads requests over the endpoints of a region: the same for all attempts */
};

enum dp_route_kind { DP_ROUTE_SEND, DP_ROUTE_FAIL };

struct dp_route {
    enum dp_route_kind kind;
    uint16_t endpoint; /* SEND */
    enum dp_err why;   /* FAIL: DP_ENOREGION */
};

/* Active-passive: the active region first, then the other routable regions in the configured order. Inside a region
 * the endpoints take turns. An endpoint that failed this request is not tried twice; a failed one is followed by one
 * sibling, and then by another region before any further sibling: a region of many dead nodes must not cost a
 * request a timeout each. */
struct dp_route dp_policy_next(const struct dp_view *view, const struct dp_attempts *attempts);

/* The facts that decide whether a failed attempt may be followed by another. */
struct dp_attempt_facts {
    enum dp_replay replay;
    bool wrote_any;       /* a byte of the request was handed to the connection */
    bool body_replayable; /* every body byte sent so far is still kept */
    bool committed;       /* a response byte went to the client */
};

bool dp_policy_may_retry(const struct dp_attempt_facts *f);

#endif
