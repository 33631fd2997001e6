/* Does one region have what another was told? Judged for one database and pair of regions from what was found out, and
 * when. Pure: time comes in. What is not known is never taken for good.
 *
 * A way is one direction, of one database: from the region that was written to, to the one that shall have it. A comparison
 * of what stands in `from` with what `to` has ends in one of the words below; `same` says that all that `from` held when the
 * comparison began is in `to`. One alone may be luck, so a way is good after several in a row, the last one fresh.
 *
 *            asked, no answer          not there in `to`
 *   UNKNOWN ◄──────────────── any ────────────────────► ABSENT
 *            refused (401, 403)        something lacks            nothing lacks
 *   DENIED ◄────────────────  any ────────────────────► BEHIND ◄──────────────► SAME
 *
 * Whether its replication runs is a row of its own: a job may lie (it says "running" while its target is dead), and data
 * may be the same while nothing runs. */
#ifndef DAVENPORT_CORE_REPLICA_H
#define DAVENPORT_CORE_REPLICA_H

#include "davenport/base/attr.h"
#include "davenport/core/canary.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_REPLICA_DATA_TABLE(X)                                                                   \
    X(UNKNOWN, "unknown") /* not compared yet, or there was no answer */                           \
    X(DENIED, "denied")   /* our credentials may not read it */                                    \
    X(ABSENT, "absent")   /* `to` has no such database */                                          \
    X(BEHIND, "behind")   /* `to` lacks revisions that `from` has */                               \
    X(SAME, "same")

enum dp_replica_data {
#define X(name, label) DP_REPLICA_##name,
    DP_REPLICA_DATA_TABLE(X)
#undef X
};
const char *dp_replica_data_name(enum dp_replica_data d);

#define DP_REPLICA_RUN_TABLE(X)                                                                    \
    X(UNASKED, "unknown")                                                                          \
    X(UNSEEN, "unseen")     /* our credentials may not see it, or no document tells of it */       \
    X(TROUBLED, "troubled") /* its job is there and does not run */                                \
    X(RUNNING, "running")   /* it says that it does, or a document of ours came through lately */

enum dp_replica_run {
#define X(name, label) DP_REPLICA_RUN_##name,
    DP_REPLICA_RUN_TABLE(X)
#undef X
};
const char *dp_replica_run_name(enum dp_replica_run r);

#define DP_REPLICA_WORD 96

/* All zero: nothing is known. */
struct dp_replica_way {
    enum dp_replica_data data;
    uint64_t at_ns;             /* when that was found */
    uint64_t same_ns;           /* `to` has all that `from` held then; 0: never found so */
    uint64_t missing;           /* documents of which it lacks a revision; with BEHIND */
    bool more;                  /* at least so many: the rest was not looked at */
    uint32_t in_row;            /* SAME so many times in a row */
    char word[DP_REPLICA_WORD]; /* for people: a status, a document's id; "": nothing to add */
    enum dp_replica_run run;
    char run_word[DP_REPLICA_WORD];
    uint64_t run_at_ns;
    int64_t failures;    /* documents that could not be written, as its job counts; -1: not known */
    uint64_t refused_ns; /* when that number last grew; 0: never */
    struct dp_canary canary; /* of our own documents */
};

void dp_replica_init(struct dp_replica_way *w);

struct dp_replica_found {
    enum dp_replica_data data;
    uint64_t began_ns; /* SAME: the comparison began */
    uint64_t missing;
    bool more;
    const char *word; /* or NULL */
};
void dp_replica_compared(struct dp_replica_way *w, const struct dp_replica_found *f,
                         uint64_t now_ns);
/* failures: -1: it does not tell. word: of the trouble, or NULL. */
void dp_replica_job_said(struct dp_replica_way *w, enum dp_replica_run run, int64_t failures,
                         const char *word, uint64_t now_ns);

struct dp_replica_config {
    uint32_t samples;  /* SAME so many times in a row */
    uint64_t fresh_ns; /* what was found longer ago is not known any more */
    uint64_t flat_ns;  /* no document was refused for so long */
    /* Our own document comes through within; then its job need not be seen. 0: none is sent. */
    uint64_t canary_ns;
    uint64_t canary_fresh_ns; /* one that came longer ago says nothing any more */
};

#define DP_REPLICA_VERDICT_TABLE(X)                                                                \
    X(WAIT, "unknown") /* it will be known soon */                                                 \
    X(SHUT, "behind")  /* seen, and not good */                                                    \
    X(BLIND, "unseen") /* it can't be seen */                                                      \
    X(READY, "ready")

enum dp_replica_verdict {
#define X(name, label) DP_REPLICA_VERDICT_##name,
    DP_REPLICA_VERDICT_TABLE(X)
#undef X
};
const char *dp_replica_verdict_name(enum dp_replica_verdict v);

/* May traffic go to the region `to` of this way, which was back since `since_ns`? `way` leads there from where traffic is,
 * `back` is the other way. Of several things that are not good, SHUT comes before WAIT, WAIT before BLIND.
 * why: for people, without the names of database and regions; "back" says that it is about the way back. */
struct dp_replica_answer {
    enum dp_replica_verdict verdict;
    bool back;
    char why[DP_REPLICA_WORD + 32];
};
void dp_replica_judge(const struct dp_replica_way *way, const struct dp_replica_way *back,
                      const struct dp_replica_config *c, uint64_t since_ns, uint64_t now_ns,
                      struct dp_replica_answer *out);

#endif
