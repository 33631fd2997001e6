/* The world of a simulation: regions, what befalls them and when, and what becomes of a question asked
 * of one of them. Times are ns from the start of the trace.
 *
 * A trace is a list of faults, known beforehand; each concerns a share of the sidecars, so a partition
 * that only some of them suffer is a share below 1. Which ones is decided by the seed. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_REGIONS 3
#define SIM_NODES                                                                                  \
    3 /* of a region, at most; a region's endpoints are numbered on from region * SIM_NODES */
#define SIM_ENDPOINTS (SIM_REGIONS * SIM_NODES)
#define SIM_ALL       SIM_REGIONS /* of a fault: every region at once, as when our own network fails */
#define SIM_MS        UINT64_C(1000000)
#define SIM_S         UINT64_C(1000000000)
#define SIM_NEVER     UINT64_MAX

static inline unsigned sim_region_of(unsigned endpoint)
{
    return endpoint / SIM_NODES;
}

/* X(name, label, grave): grave: a region that suffers it for a second is of no use, and to be left. */
#define SIM_FAULT_TABLE(X)                                                                         \
    X(DARK, "dark", 1)       /* packets vanish both ways */                                        \
    X(REFUSED, "refused", 1) /* the host is there, the server is not */                            \
    X(GRAY, "gray", 1)       /* probes are answered, work never is */                              \
    X(CUT, "cut", 1)         /* work is answered, `amount` of it is cut short */                   \
    X(SLOW, "slow", 1)       /* `amount` ms more on every answer to work */                        \
    X(LAG, "lag", 1)         /* the same on everything, probes too */                              \
    X(ERRORS, "errors", 1)   /* `amount` of all answers are 503, probes' too */                    \
    X(PAUSE, "pause", 1)     /* nothing is answered, all of it at the end */                       \
    X(LOSS, "loss", 0)       /* `amount` of all packets vanish, TCP repeats them */                \
    X(MISSES, "misses", 0)   /* `amount` of all probes get no answer, whatever TCP does */         \
    X(DRAIN, "drain", 1)     /* the region says that it is in maintenance */                       \
    X(BUSY, "busy", 0)       /* `amount` times as long for every answer */                         \
    X(MOVED, "moved", 1)     /* its name has another address from now on, the old one is dark */   \
    X(LOOKUPS, "lookups", 0) /* looking a name up takes `amount` ms; below 0: it fails */

enum sim_fault_kind {
#define X(name, label, grave) SIM_##name,
    SIM_FAULT_TABLE(X)
#undef X
};
const char *sim_fault_name(enum sim_fault_kind k);

struct sim_fault {
    enum sim_fault_kind kind;
    unsigned region; /* or SIM_ALL */
    uint64_t start, end;
    double share; /* of the sidecars */
    double amount;
    unsigned node; /* 1 … SIM_NODES: one of them; 0: the region */
};

struct sim_trace {
    uint64_t length;
    struct sim_fault *faults; /* by start */
    size_t n, cap;
    uint64_t seed;
};

bool sim_fault_grave(const struct sim_fault *f);

void sim_trace_add(struct sim_trace *t, struct sim_fault f);
void sim_trace_sort(struct sim_trace *t);
void sim_trace_free(struct sim_trace *t);
/* Does the fault concern this sidecar? */
bool sim_fault_hits(const struct sim_trace *t, size_t fault, uint32_t sidecar);

/* How one endpoint is to one sidecar, now. Times: until when; 0: not so. */
struct sim_condition {
    uint64_t dark, refused, gray, pause;
    double cut, slow_ms, lag_ms, errors, loss, misses, busy;
    bool draining;
    unsigned faults;  /* but LOOKUPS */
    unsigned address; /* how often its name has moved */
    double lookup_ms; /* as LOOKUPS */
};
void sim_condition(const struct sim_trace *t, uint32_t sidecar, unsigned endpoint, uint64_t now,
                   struct sim_condition *out);

/* Of the sidecar's way to each region, in the order of preference. */
struct sim_profile {
    double rtt_ms[SIM_REGIONS];
    double work_ms; /* median of what a region takes for a document */
    bool tls;
};

struct sim_ask {
    bool probe, fresh, query; /* fresh: a connection of its own */
};

enum sim_answer {
    SIM_ANSWERED,
    SIM_REFUSES,
    SIM_SILENT,
    SIM_CUT_SHORT,
    SIM_SAYS_503,
    SIM_DRAINING
};

struct sim_fate {
    enum sim_answer answer;
    uint64_t after;    /* asked; SILENT: unused */
    bool disconnected; /* SILENT: not even a connection came to be */
};
struct sim_fate sim_fate(const struct sim_condition *c, const struct sim_profile *p,
                         unsigned endpoint, struct sim_ask ask, uint64_t now, struct sim_random *r);

#endif
