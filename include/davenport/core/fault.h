/* Faults on purpose: for the time of a drill a region is treated as if it were dark, refusing, slow or flaky, for a share
 * of what is sent there or for some databases. What comes of it (detection, failover, hold) is the real thing: only the
 * attempts are made to fail. At most one fault a region, and each has an end of its own. Pure; any thread, with its own
 * state. */
#ifndef DAVENPORT_CORE_FAULT_H
#define DAVENPORT_CORE_FAULT_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* DP_FAULT_TABLE(X): X(name, word). The words are the API's. */
#define DP_FAULT_TABLE(X)                                                                          \
    X(DARK, "dark")       /* what is sent there vanishes: no answer, no end */                     \
    X(REFUSED, "refused") /* no connection */                                                      \
    X(SLOW, "slow")       /* the first byte of an answer comes delay_ms late */                    \
    X(FLAKY, "flaky")     /* the connection is reset after the request was sent */

enum dp_fault_kind {
    DP_FAULT_NONE, /* there is none */
#define X(name, word) DP_FAULT_##name,
    DP_FAULT_TABLE(X)
#undef X
};
const char *dp_fault_name(enum dp_fault_kind k); /* "none", "dark" … */
/* DP_FAULT_NONE: there is no such word. */
enum dp_fault_kind dp_fault_kind_of(struct dp_span word);

/* Of all attempts, in struct dp_fault.share. */
#define DP_FAULT_ALL 1000000
/* Room for the patterns of databases, commas and the NUL included. */
#define DP_FAULT_DATABASES_BYTES 512
#define DP_FAULT_DELAY_MAX_MS    600000

struct dp_fault {
    enum dp_fault_kind kind;
    uint32_t delay_ms; /* SLOW: 1 to DP_FAULT_DELAY_MAX_MS, else 0 */
    uint32_t share;    /* of the attempts, in millionths: 1 to DP_FAULT_ALL */
    /* Patterns as core/glob.h has them, with commas between, NUL ended; "": every request, of a database or not. */
    char databases[DP_FAULT_DATABASES_BYTES];
};

/* Add a pattern. False: it is empty, holds a comma or a control character, or there is no room for it. */
DP_MUST_USE bool dp_fault_add_database(struct dp_fault *f, struct dp_span pattern);
/* Take the next pattern off `rest`, which begins as f->databases; .n == 0: there is none left. */
struct dp_span dp_fault_next_database(struct dp_span *rest);

/* For people: "dark", "slow by 800 ms, 30 % of attempts, databases orders*,ledger"; returns `buf`. */
#define DP_FAULT_WORDS (DP_FAULT_DATABASES_BYTES + 96)
const char *dp_fault_words(const struct dp_fault *f, char buf[DP_FAULT_WORDS]);

/* Does it meet a request of this database (as CouchDB calls it, decoded; .n == 0: of none), by this chance? */
bool dp_fault_meets(const struct dp_fault *f, struct dp_span db, uint64_t chance);
/* Does it meet a probe? One that is for some databases only meets none. */
bool dp_fault_meets_probe(const struct dp_fault *f, uint64_t chance);
bool dp_fault_same(const struct dp_fault *a, const struct dp_fault *b);

/* The faults in force, by region. All zero: none. Times are monotonic ns. */
#define DP_FAULT_REGIONS 16 /* as DP_MAX_REGIONS */

struct dp_faults {
    struct dp_fault faults[DP_FAULT_REGIONS];
    uint64_t until_ns[DP_FAULT_REGIONS];
};

struct dp_fault_rules {
    bool allowed;    /* drills are */
    uint64_t max_ns; /* no fault is for longer */
};

#define DP_FAULT_REFUSAL_TABLE(X)                                                                  \
    X(NONE, "none")                                                                                \
    X(NOT_ALLOWED, "drills_not_allowed")                                                           \
    X(TOO_LONG, "too_long")

enum dp_fault_refusal {
#define X(name, word) DP_FAULT_REFUSAL_##name,
    DP_FAULT_REFUSAL_TABLE(X)
#undef X
};
const char *dp_fault_refusal_name(enum dp_fault_refusal r);

/* Put a fault in force for `for_ns`, in place of the region's last one if there is one; or say which rule forbids it, and
 * nothing changed. */
enum dp_fault_refusal dp_faults_begin(struct dp_faults *s, const struct dp_fault_rules *rules,
                                      uint16_t region, const struct dp_fault *f, uint64_t for_ns,
                                      uint64_t now_ns);
/* False: there was none. */
bool dp_faults_end(struct dp_faults *s, uint16_t region);
/* One whose time is over ends; false: there is none such (any more). */
DP_MUST_USE bool dp_faults_expire(struct dp_faults *s, uint64_t now_ns, uint16_t *region);
/* A bit per region that has one. */
uint32_t dp_faults_mask(const struct dp_faults *s);
/* Regions have other numbers: map[n], old to new; at or past DP_FAULT_REGIONS: it is gone, and its fault with it. */
void dp_faults_remap(struct dp_faults *s, const uint16_t *map, uint16_t n);

#endif
