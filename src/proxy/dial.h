/* One dial of an endpoint: its addresses race (race.h), the first connection that stands is handed over, the
 * others are closed. With TLS a connection stands when its handshake is done, so an address that accepts
 * connections but can't prove its name loses too. There is no deadline here: the owner's timer cancels.
 *
 *   racing ──► won ──────────┐
 *     ├──────► lost ─────────┼──► (the last stream has closed) gone
 *     └──────► canceled ─────┘ */
#ifndef DAVENPORT_PROXY_DIAL_H
#define DAVENPORT_PROXY_DIAL_H

#include "davenport/base/addr.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/net/stream.h"

struct dp_pool;
struct dp_dial;

struct dp_dial_events {
    /* Later, once, unless canceled. DP_OK: `s`, connected to `addr`, is the owner's, who puts his events into it
     * during the call; the dial is none of his business any more. Else both are NULL, and `gone` follows. */
    void (*done)(void *owner, enum dp_err err, struct dp_stream *s, const struct dp_addr *addr);
    /* After a loss or a cancel, never inside a call: nothing of the dial calls back any more. */
    void (*gone)(void *owner);
};

/* Errors (nothing is left behind): ENOMEM; what dialing said when every address failed at once; ECONNECT when the
 * endpoint has none. */
DP_MUST_USE enum dp_err dp_dial_start(struct dp_pool *pool, const struct dp_dial_events *events,
                                      void *owner, struct dp_dial **out);
/* Before `done`. timed_out: what was tried and did not answer is remembered as failed. */
void dp_dial_cancel(struct dp_dial *d, bool timed_out);

#endif
