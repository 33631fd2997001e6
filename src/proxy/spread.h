/* Requests that every region must have, for replication does not carry them: a database made or deleted, its _security, its
 * limits (couchdb-facts §1). The active region answers first. Where it did as asked, or says that it was so already, the
 * same request goes to each of the others, one after the other, and only then the client has the answer: the active
 * region's, and beside it what region missed it.
 *
 *   answer whole ──its region refused──► the client's
 *        │ done, or was so before
 *        ▼
 *   next region ──answered──► … the last one ──► the active region's answer, Davenport-Missed: who did not take it
 *                                          └──► not_replicated: strict, and somebody missed it: 503 not_everywhere
 *
 * To send such a request again does no harm: what is done already is answered so. On the worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_SPREAD_H
#define DAVENPORT_SRC_PROXY_SPREAD_H

#include "davenport/base/buf.h"
#include "davenport/base/err.h"

#include <stdbool.h>

struct dp_exchange;
struct dp_spread;

/* Before it is sent anywhere: strict, and a region could not take it now. */
enum dp_err dp_spread_check(const struct dp_exchange *x);
/* The head of the active region's answer is known: must the others have the request, too? */
bool dp_spread_wants(const struct dp_exchange *x);
/* Is the request there to be sent once more? */
bool dp_spread_may(const struct dp_exchange *x);
/* It is not, or the answer is not whole in time: all others have missed it. False: the exchange is over. */
bool dp_spread_skip(struct dp_exchange *x, enum dp_err why);
/* And it is whole; its attempt is over. Takes the answer's body over. The exchange goes on or ends by itself. */
void dp_spread_begin(struct dp_exchange *x, struct dp_buf *answer);
/* Its time is over: who has not had it has missed it. x->spread is there. */
void dp_spread_expire(struct dp_exchange *x);
/* The exchange is over. x->spread is there. */
void dp_spread_drop(struct dp_exchange *x);

#endif
