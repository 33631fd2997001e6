/* A TCP relay that can be made to fail: for each connection taken it makes one to the server and passes bytes both ways,
 * as its faults let it. It knows nothing of what passes. For drills and tests, not for traffic that matters.
 * All on the loop's thread. */
#ifndef DAVENPORT_DRILL_RELAY_H
#define DAVENPORT_DRILL_RELAY_H

#include "davenport/base/addr.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/drill/relay_fault.h"

#include <stddef.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;

struct dp_relay;

struct dp_relay_options {
    const char *ip; /* to listen on; numeric */
    uint16_t port;  /* 0: the kernel's choice, kept for as long as the relay lives */
    struct dp_addr to;
    unsigned max_connections; /* one more is reset */
    /* Of one connection and way, that may wait here (late or slow ones); then its sender is read no more. */
    size_t buffer_bytes;
    uint64_t seed; /* of the jitter */
    /* A fault ended by itself, or the relay can't listen again (why; it goes on trying). May be NULL. */
    void (*healed)(void *ctx, enum dp_relay_fault_kind kind);
    void (*trouble)(void *ctx, const char *why);
    void *ctx;
};

struct dp_relay_stats {
    unsigned open;                    /* connections now */
    uint64_t taken, reset, unreached; /* connections; by RESET or the bound; the server took none */
    uint64_t bytes[DP_RELAY_WAYS];    /* passed on */
    uint64_t cut, half_opened;        /* pieces; connections */
};

/* Errors: DP_EIO (the address can't be listened on; *why tells), DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_relay_new(uv_loop_t *loop, const struct dp_relay_options *options,
                                     struct dp_relay **out, const char **why);
/* Where it listens, or will again. */
uint16_t dp_relay_port(const struct dp_relay *r);
/* Put a fault in force, in place of one of its kind. for_ms 0: until it is healed, or the relay ends. HALF_OPEN is done
 * at once and never in force. */
void dp_relay_break(struct dp_relay *r, const struct dp_relay_fault *fault, uint64_t for_ms);
/* False: there was none of that kind. */
bool dp_relay_heal(struct dp_relay *r, enum dp_relay_fault_kind kind);
const struct dp_relay_faults *dp_relay_faults(const struct dp_relay *r);
const struct dp_relay_stats *dp_relay_stats(const struct dp_relay *r);
/* Every connection is closed; `done` (may be NULL) runs later, when the memory is gone. */
void dp_relay_destroy(struct dp_relay *r, void (*done)(void *ctx), void *ctx);

#endif
