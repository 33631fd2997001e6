/* What a relay does to the bytes that pass, and when. Pure: no sockets, no clock; one thread. */
#ifndef DAVENPORT_DRILL_RELAY_FAULT_H
#define DAVENPORT_DRILL_RELAY_FAULT_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DP_RELAY_FAULT_TABLE(X): X(name, word, what it does). The words are the API's. */
#define DP_RELAY_FAULT_TABLE(X)                                                                    \
    X(LATENCY, "latency", "everything comes ms later, give or take jitter_ms; never out of order") \
    X(BANDWIDTH, "bandwidth", "no more than bytes_per_s")                                          \
    X(SLICE, "slice", "pieces of at most bytes, delay_ms apart")                                   \
    X(BLACKHOLE, "blackhole",                                                                      \
      "nothing passes, not even an end; what stands stands, new connections are taken and silent") \
    X(CUT, "cut", "a piece longer than bytes is cut there, and the connection ends")               \
    X(HALF_OPEN, "half_open",                                                                      \
      "of connections that stand one end is closed, the other never hears of it; new ones work")   \
    X(RESET, "reset", "every connection is reset, a new one as soon as it is made")                \
    X(REFUSE, "refuse", "new connections are refused; those that stand go on")

enum dp_relay_fault_kind {
#define X(name, word, text) DP_RELAY_##name,
    DP_RELAY_FAULT_TABLE(X)
#undef X
        DP_RELAY_FAULTS
};
const char *dp_relay_fault_name(enum dp_relay_fault_kind kind);
const char *dp_relay_fault_text(enum dp_relay_fault_kind kind);
/* DP_RELAY_FAULTS: there is no such word. */
enum dp_relay_fault_kind dp_relay_fault_kind_of(struct dp_span word);

/* Which way bytes go. HALF_OPEN: the side that is closed. */
enum dp_relay_way { DP_RELAY_TO_SERVER, DP_RELAY_TO_CLIENT, DP_RELAY_WAYS };

#define DP_RELAY_MAX_MS    UINT64_C(3600000)
#define DP_RELAY_MAX_BYTES UINT64_C(1000000000000)

struct dp_relay_fault {
    enum dp_relay_fault_kind kind;
    bool ways[DP_RELAY_WAYS]; /* where it acts; RESET and REFUSE have none */
    uint64_t ms, jitter_ms;   /* LATENCY; SLICE: ms is its delay */
    uint64_t bytes;           /* BANDWIDTH: a second; SLICE, CUT: of a piece */
};

/* The faults in force, at most one of a kind. All zero: none. Times are monotonic ns. */
struct dp_relay_faults {
    struct dp_relay_fault at[DP_RELAY_FAULTS];
    bool on[DP_RELAY_FAULTS];
    uint64_t ends_ns[DP_RELAY_FAULTS]; /* UINT64_MAX: when it is healed */
};

/* In place of one of its kind. for_ms 0: until it is healed. */
void dp_relay_faults_set(struct dp_relay_faults *f, const struct dp_relay_fault *fault,
                         uint64_t for_ms, uint64_t now_ns);
/* False: there was none. */
bool dp_relay_faults_heal(struct dp_relay_faults *f, enum dp_relay_fault_kind kind);
/* Ends those whose time has come: a bit for each kind. */
unsigned dp_relay_faults_expire(struct dp_relay_faults *f, uint64_t now_ns);
/* When the next one ends; UINT64_MAX: none does by itself. */
uint64_t dp_relay_faults_next(const struct dp_relay_faults *f);

/* The fault of a kind that acts on this way, or NULL. */
const struct dp_relay_fault *dp_relay_faults_on(const struct dp_relay_faults *f,
                                                enum dp_relay_fault_kind kind,
                                                enum dp_relay_way way);

/* One way of one connection: what left last, so that order and pace are kept. All zero at first. */
struct dp_relay_pace {
    uint64_t last_due_ns;
    uint64_t next_ns; /* nothing more leaves before it */
};

/* When a piece that came now may leave at the earliest: never before the one before it. random: for the jitter. */
uint64_t dp_relay_due(const struct dp_relay_faults *f, enum dp_relay_way way,
                      struct dp_relay_pace *pace, uint64_t now_ns, uint64_t random);
/* How many of `waiting` bytes that are due may leave now; 0: *wake_ns says when to ask again (UINT64_MAX: once a
 * fault has ended). dp_relay_left tells how many did. */
size_t dp_relay_may_leave(const struct dp_relay_faults *f, enum dp_relay_way way,
                          const struct dp_relay_pace *pace, size_t waiting, uint64_t now_ns,
                          uint64_t *wake_ns);
void dp_relay_left(const struct dp_relay_faults *f, enum dp_relay_way way,
                   struct dp_relay_pace *pace, size_t n, uint64_t now_ns);

#endif
