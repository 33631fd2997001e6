/* How long a client is waited for, while it sends a body or takes an answer: not in silence for longer than body_ms,
 * and not for less than min_bytes_per_s over rate_window_ms. */
#ifndef DAVENPORT_PROXY_PATIENCE_H
#define DAVENPORT_PROXY_PATIENCE_H

#include "davenport/net/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_conn;

enum dp_awaited {
    DP_AWAIT_NOTHING,
    DP_AWAIT_BODY, /* more of its request's body */
    DP_AWAIT_ROOM  /* that it takes some of what waits for it */
};

/* A measure of what has moved since it began. */
struct dp_meter {
    uint64_t mark;
    bool acked; /* the mark is of what the peer has acknowledged, not of what our kernel took */
};

struct dp_patience {
    enum dp_awaited what;
    struct dp_timer rate; /* the end of a window; silence is dp_conn.timer */
    struct dp_meter moved_in_window, moved_since_silence;
};

void dp_patience_init(struct dp_conn *c);
/* From now on c->timer and the rate's are about this. Asked again for the same thing, the silence begins anew, the
 * window goes on. While there is no room a body is not waited for. */
void dp_patience_await(struct dp_conn *c, enum dp_awaited what);
/* It is no longer the client that we wait for. c->timer is disarmed too. */
void dp_patience_end(struct dp_conn *c);
/* c->timer fired while the connection awaits room: has the client taken any after all? Then it is waited for
 * again. */
bool dp_patience_still_taking(struct dp_conn *c);

#endif
