/* The gate that a region has to pass before traffic returns to it: conditions, each with its name, whether it is met,
 * and why. Pure: facts come in, nothing is remembered. What is not known is not met.
 *
 * Which conditions are asked is the configuration's choice (failback.mode, failback.conditions); health always is. An
 * operator's switch passes no gate: it is an order.
 *
 * A further condition takes four steps, and no rule elsewhere changes:
 *   1. a row in DP_GATE_TABLE: its word is known to failback.conditions, status, explain and journal from then on;
 *   2. its facts in struct dp_gate_facts, so that all zero means unknown;
 *   3. its judge in gate.c;
 *   4. control/governor_gate.c fills the facts in. */
#ifndef DAVENPORT_CORE_GATE_H
#define DAVENPORT_CORE_GATE_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_GATE_TABLE(X)                                                                           \
    X(HEALTH, "health")           /* up without a break for its hold */                            \
    X(PROBES, "probes")           /* what every probe asked last was answered well */              \
    X(ERRORS, "errors")           /* few enough of its recent requests failed */                   \
    X(APPROVAL, "approval")       /* an operator allowed this return (davenport approve) */        \
    X(WINDOW, "window")           /* it is the time of the week for it */                          \
    X(REPLICATION, "replication") /* what the active region was told is there: core/replica.h */

enum dp_gate_kind {
#define X(name, label) DP_GATE_##name,
    DP_GATE_TABLE(X)
#undef X
        DP_GATE_COUNT
};
const char *dp_gate_kind_name(enum dp_gate_kind k);

#define DP_GATE_BIT(kind) (1U << (kind))

/* "probes,approval" as bits: NULL when good, else what is wrong, for people. */
DP_MUST_USE const char *dp_gate_parse(const char *text, unsigned *out);

enum dp_gate_state { DP_GATE_UNKNOWN, DP_GATE_UNMET, DP_GATE_MET };
const char *dp_gate_state_name(enum dp_gate_state s); /* "unknown", "unmet", "met" */

/* How replication from the active region stands. */
enum dp_gate_sight {
    DP_GATE_NOT_LOOKED, /* unknown, as yet */
    DP_GATE_BEHIND,
    DP_GATE_BLIND, /* it can't be seen */
    DP_GATE_ARRIVED,
};

struct dp_gate_facts {
    uint64_t well_ns;          /* up without a break for so long; 0: it is not up */
    uint64_t hold_ns;          /* and for so long it must be */
    uint32_t probes_asked;     /* questions that are put again and again */
    uint32_t probes_passed;    /* whose last answer was good */
    const char *probe_trouble; /* of one that was not; NULL: unknown yet */
    bool counted;              /* requests are counted: */
    uint64_t requests, failed; /* of late */
    uint32_t max_failed_percent;
    bool approved;
    uint32_t window_wait_m; /* DP_NEVER_MIN: none is known */
    enum dp_gate_sight replication;
    bool blind_is_open; /* where it can't be seen the hold alone decides; else an approval */
    const char *replication_word; /* what was found; NULL: nothing yet */
};

#define DP_GATE_WHY 128

struct dp_gate_condition {
    enum dp_gate_kind kind;
    enum dp_gate_state state;
    char why[DP_GATE_WHY]; /* for people, whatever the state */
};

struct dp_gate {
    uint16_t n;
    struct dp_gate_condition conditions[DP_GATE_COUNT];
};

/* The conditions among `asked` (bits) that are not met. 0: the gate is open. */
unsigned dp_gate_unmet(const struct dp_gate_facts *f, unsigned asked);
/* The same with reasons. */
void dp_gate_judge(const struct dp_gate_facts *f, unsigned asked, struct dp_gate *out);

#endif
