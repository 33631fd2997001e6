/* One connection through a relay: two ends, and a lane of bytes each way. Loop's thread.
 *
 *             dialed                  both ways ended
 *   WAITING ─────────► DIALING ──► PASSING ─────────► CLOSED
 *    (a blackhole)                    │ half_open
 *                                     └──────────► HALF ──that end closes──► CLOSED
 * From each state a reset or an error leads to CLOSED, too. */
#ifndef DAVENPORT_SRC_DRILL_RELAY_PAIR_H
#define DAVENPORT_SRC_DRILL_RELAY_PAIR_H

#include "davenport/base/list.h"
#include "davenport/base/random.h"
#include "davenport/drill/relay.h"

#include <uv.h>

struct dp_relay_pair;

struct dp_relay {
    uv_loop_t *loop;
    struct dp_relay_options options;
    char ip[DP_ADDR_TEXT];
    uint16_t port;
    struct dp_acceptor *acceptor; /* NULL: new connections are refused */
    bool reopening;               /* it could not listen again: the timer tries */
    unsigned open_handles;        /* of its own, once it is going away */
    uv_timer_t timer;             /* the next fault to end, or to listen again */
    struct dp_relay_faults faults;
    struct dp_relay_stats stats;
    struct dp_list pairs;
    struct dp_random random;
    char *buffer; /* what every connection reads into */
    void (*done)(void *ctx);
    void *done_ctx;
    bool going;
};

#define DP_RELAY_READ_BYTES ((size_t)65536)

/* Take a connection; fd is the pair's from here on. */
void dp_relay_pair_take(struct dp_relay *r, int fd);
/* The faults have changed: go on, or stop. */
void dp_relay_pair_changed(struct dp_relay_pair *pair);
/* End it: with a reset, or as a process that is gone. */
void dp_relay_pair_end(struct dp_relay_pair *pair, bool reset);
/* Close one end and don't tell the other. */
void dp_relay_pair_half(struct dp_relay_pair *pair, enum dp_relay_way closed);
struct dp_relay_pair *dp_relay_pair_of(struct dp_list *node);
/* The last pair, or handle, of a relay that is going away has gone. */
void dp_relay_gone(struct dp_relay *r);

#endif
