/* Where a request goes, and whether it may go again. Pure: no clock, no I/O, no chance of its own.
 *
 * The region first, then an endpoint in it. The region is:
 *
 *   pinned    the one whose sequence token the request goes on from, as long as it serves, held or not: also when all its
 *             endpoints failed this request, for in any other the token would be good for nothing
 *   named     the one that the request itself names, as an operator's tool does; no other. Also one that is barred
 *             or held: whoever names it means it
 *   active    the one that the view says, the same for everybody. Then the others in the configured order.
 *             All requests in mode active-passive; in every mode those that are bound: what one region
 *             alone can answer, and what must follow what the same client did before (replication, feeds)
 *   home      where writes stay that do not fail over; no other
 *   nearest   one of the regions that are nearest to this worker (core/latency.h): of two by chance, the less busy
 *             one. Where these can't or should not take it, the next best
 *   key's     the same region for everybody who has the same key, chosen by rendezvous hashing over all regions:
 *             no table, and when a region is lost only its own clients move
 *   kept      the region that the connection had before
 *
 * A region is passed over, as long as another can take the request: when it is held (may lack data), throttles this
 * class of requests, has as much under way as it may, or takes only a share of reads as it returns. None of
 * that counts for requests that have one region: they wait there, or are told what it says. A region or endpoint that
 * is down or barred (and not named) is never used, nor is an endpoint twice for the same request. A failed endpoint is followed by one
 * sibling, and then by another region before any further sibling: a region of many dead nodes must not cost a request a
 * timeout each. Inside a region the least busy endpoint is next, of equals the one whose turn it is. */
#ifndef DAVENPORT_CORE_POLICY_H
#define DAVENPORT_CORE_POLICY_H

#include "davenport/base/err.h"
#include "davenport/core/router.h"
#include "davenport/core/rules.h"
#include "davenport/core/view.h"

/* How a request bears being sent twice. From couch/request.h's classification. */
enum dp_replay {
    DP_REPLAY_SAFE,       /* reads: as often as one likes */
    DP_REPLAY_IDEMPOTENT, /* PUT, DELETE: in another region the same bytes make the same revision */
    DP_REPLAY_NEVER       /* once a byte of it may have been acted on, it must not be sent again */
};

/* What is known of the attempts so far; kept by the exchange. */
struct dp_attempts {
    uint32_t failed_mask; /* bit per endpoint that failed this request, or declined it */
    /* Bit per region that may have carried out a write whose repetition there would meet its own trace (409); the
     * same bytes in another region make the same revision. */
    uint32_t acted_mask;
    uint8_t count; /* attempts begun */
    uint32_t turn; /* spreads requests over the endpoints of a region: the same for all attempts */
};

/* What the policy must know of a request. */
struct dp_ask {
    const struct dp_rule *rule;
    enum dp_load load;
    bool writes; /* changes what a database holds */
    bool named; /* it names its region: `only`, or DP_NO_REGION, where there is none of that name */
    bool waits; /* a write, and the view says that none begins */
    bool bound; /* to one region, whatever the mode */
    bool keyed; /* it has a sticky key: `key` */
    bool wrote; /* its connection wrote before, under a rule that is sticky by connection */
    uint16_t only;
    bool pinned;   /* it goes on from a token of region `pin`; DP_NO_REGION: that one is gone */
    bool pin_only; /* and in no other */
    uint16_t pin;
    uint16_t kept;   /* the region that its connection keeps to; DP_NO_REGION: none yet */
    uint64_t key;    /* of its client, well mixed; without a sticky key its connection's */
    uint64_t chance; /* random bits */
};

enum dp_route_kind { DP_ROUTE_SEND, DP_ROUTE_FAIL };

struct dp_route {
    enum dp_route_kind kind;
    uint16_t endpoint; /* SEND */
    bool moved;        /* SEND: its sticky region can't take it, this is another */
    enum dp_err
        why; /* FAIL: DP_ENOREGION, DP_EPRIMARY, DP_ESTICKY, DP_ENAMED, DP_ENOSUCHREGION, DP_EPAUSED, DP_EFOREIGNSEQ */
    uint16_t region; /* FAIL: the only one that may have it; DP_NO_REGION: any may */
};

struct dp_route dp_policy_next(const struct dp_view *view, const struct dp_router *router,
                               const struct dp_ask *ask, const struct dp_attempts *attempts,
                               uint64_t now_ns);

/* `endpoint` declined the request (429). True: another region may have it, one that does not throttle it too and
 * lacks nothing; `attempts` then says that the whole region declined. Never for what has one region. */
bool dp_policy_elsewhere(const struct dp_view *view, const struct dp_router *router,
                         const struct dp_ask *ask, struct dp_attempts *attempts, uint16_t endpoint,
                         uint64_t now_ns);

/* The key of a name: the same in every process. */
uint64_t dp_policy_key(struct dp_span text);

/* The facts that decide whether a failed attempt may be followed by another. */
struct dp_attempt_facts {
    enum dp_replay replay;
    bool wrote_any;       /* a byte of the request was handed to the connection */
    bool body_replayable; /* every body byte sent so far is still kept */
    bool committed;       /* a response byte went to the client */
};

bool dp_policy_may_retry(const struct dp_attempt_facts *f);

#endif
