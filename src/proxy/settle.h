/* A refusal that an earlier attempt of ours may have caused is looked into before the client is told. A region was asked
 * for a write and gave no answer; the next attempt, in another region to which replication brought it, or on another
 * connection of the same one, is told 409, or 404 of a deletion, or rows of _bulk_docs that are conflicts. What stands in
 * the region that said so tells whose write it is (couch/trace.h).
 *
 *   answer whole ──its own doing is possible──► first look ──► second look, where one is needed
 *                                                  │ ours            │ ours
 *                                                  ▼                 ▼
 *                                     the answer that the first attempt would have had: 201 or 200
 *   somebody else's ──► the region's own answer, as it came
 *   it lacks the revision written upon, and another region was asked before ──► the same, with Davenport-Outcome: unsettled
 *   what was sent or is said can't be read, or is too much ──► the same, with Davenport-Outcome: unsettled
 *   some rows are ours, and others such as these two ──► ours as successes, with Davenport-Outcome: unsettled
 *   no look gets an answer, or its time is over ──► the outcome is unknown
 *
 * At most two looks a request, within the time of an inquiry each and the request's own. On the worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_SETTLE_H
#define DAVENPORT_SRC_PROXY_SETTLE_H

#include "davenport/base/buf.h"
#include "davenport/base/err.h"

#include <stdbool.h>

/* Answers and bodies that are longer are not looked into. */
#define DP_SETTLE_BYTES (1U << 20)

struct dp_exchange;
struct dp_settle;

/* The request's body as its region reads it, in the arena. Errors: DP_EBODYSIZE (more than DP_SETTLE_BYTES), DP_EINVAL (a
 * coding that is none of ours), DP_ENOMEM, those of dp_gunzip. */
enum dp_err dp_settle_body(struct dp_exchange *x, struct dp_span *out);
/* The head of the answer is known: is it such a refusal? */
bool dp_settle_wants(const struct dp_exchange *x);
/* And it is whole; its attempt is over. Takes the answer's body over. The exchange goes on or ends by itself. */
void dp_settle_begin(struct dp_exchange *x, struct dp_buf *answer);
/* It is longer than DP_SETTLE_BYTES, or there is no memory for it: its head says that nobody looked. */
void dp_settle_skip(struct dp_exchange *x);
/* Its time is over: the outcome is unknown. x->settle is there. */
void dp_settle_expire(struct dp_exchange *x);
/* The exchange is over. x->settle is there. */
void dp_settle_drop(struct dp_exchange *x);

#endif
