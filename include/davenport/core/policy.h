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
    uint8_t count;        /* attempts begun */
};

enum dp_route_kind { DP_ROUTE_SEND, DP_ROUTE_FAIL };

struct dp_route {
    enum dp_route_kind kind;
    uint16_t endpoint; /* SEND */
    enum dp_err why;   /* FAIL: DP_ENOREGION */
};

/* Active-passive: the active region's endpoint first, then the other routable regions in the
 * configured order; an endpoint that failed this request is not tried twice. */
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
