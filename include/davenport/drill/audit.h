/* The judge of what regions hold after a drill, against the ledger. Pure: it is told the documents of a region, one by
 * one, with all their leaves, and then what it found is asked for. All regions at once, in any order.
 *
 *   lost        a write that was acknowledged is in no history of its document
 *   duplicated  one write made two documents, or two branches of one
 *   conflicted  a document has two branches, be it a deleted one: the ledger's writer makes none
 *   denied      a write that was refused is there all the same
 *   strange     a revision that nobody ordered, or on another parent than was ordered, or a deletion
 *   diverged    a write of unknown outcome is in one region and not in another, or the regions never came to hold the same
 *   stale       a read gave less than had been acknowledged
 *   missed      a follower was never told the present state of a document
 *   unread      a region could not be read to its end, or the ledger or a feed's rows found no room: what this may hide is not
 *               known, so nobody may call it clean */
#ifndef DAVENPORT_DRILL_AUDIT_H
#define DAVENPORT_DRILL_AUDIT_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/drill/ledger.h"
#include "davenport/drill/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_FINDING_TABLE(X)                                                                        \
    X(LOST, "lost")                                                                                \
    X(DUPLICATED, "duplicated")                                                                    \
    X(CONFLICTED, "conflicted")                                                                    \
    X(DENIED, "denied")                                                                            \
    X(STRANGE, "strange")                                                                          \
    X(DIVERGED, "diverged")                                                                        \
    X(STALE, "stale")                                                                              \
    X(MISSED, "missed")                                                                            \
    X(UNREAD, "unread")
enum dp_finding_kind {
#define DP_FINDING_ENUM(ID, name) DP_FINDING_##ID,
    DP_FINDING_TABLE(DP_FINDING_ENUM)
#undef DP_FINDING_ENUM
        DP_FINDING_KINDS
};
const char *dp_finding_name(enum dp_finding_kind kind);

/* A branch's end. */
struct dp_leaf {
    struct dp_span rev;
    bool deleted;
    bool has_tag; /* its body is of this run, and says of which write */
    uint32_t tag;
    /* Its history, newest first, itself among it: ids[i] is of generation start - i, its digits alone. Older ones may
     * have been forgotten by the region. */
    uint32_t start;
    const struct dp_span *ids;
    size_t n_ids; /* at least 1 */
};

struct dp_audit_options {
    const struct dp_ledger *ledger; /* at rest: no write is under way any more */
    const char *const *regions;     /* their names, as findings have them */
    size_t n_regions;               /* 1 … DP_DRILL_REGIONS_MAX */
    bool
        alone; /* nobody else writes in this database: whatever is no write of the run's is strange */
};

/* How many at most are kept of a kind; the counts know all. */
#define DP_FINDINGS_KEPT 20
struct dp_finding {
    enum dp_finding_kind kind;
    const char *region; /* or the follower; "" where it is of none */
    char document[128]; /* cut when longer; "" where it is of none */
    char revision[DP_LEDGER_REV];
    char detail[192];
};

struct dp_audit_region {
    uint32_t present, lost; /* of acknowledged writes */
    uint32_t duplicated, conflicted, denied, strange;
    uint32_t documents; /* of the run */
};

struct dp_audit;

/* NULL: no memory. Holds 9 bytes a write and region, and an index of documents. */
DP_MUST_USE struct dp_audit *dp_audit_new(const struct dp_audit_options *opt);
void dp_audit_free(struct dp_audit *a);

/* A document of a region with its leaves (n at least 1), each document once. */
void dp_audit_document(struct dp_audit *a, size_t region, struct dp_span id,
                       const struct dp_leaf *leaves, size_t n);
/* Is a document the run's own, so that a follower must be told its state? *winner: which leaf CouchDB shows, *tag: the write that it is. */
bool dp_audit_is_ours(const struct dp_audit *a, struct dp_span id, const struct dp_leaf *leaves,
                      size_t n, size_t *winner, uint32_t *tag);

/* Anything else that was found: kept and counted like the audit's own. */
void dp_audit_find(struct dp_audit *a, enum dp_finding_kind kind, const char *region,
                   struct dp_span document, struct dp_span revision, const char *fmt, ...)
    DP_PRINTF(6, 7);

/* All documents have been told: what is missing is found now, and stale reads of the ledger. Once. `read`: by region, was
 * it read to its end; one that was not has its counts, but nothing is called lost in it. */
void dp_audit_finish(struct dp_audit *a, const bool *read);

struct dp_audit_totals {
    uint32_t unknown_present, unknown_absent; /* the same in every region that was read */
    uint32_t unknown_diverged;                /* not so */
};
void dp_audit_region(const struct dp_audit *a, size_t region, struct dp_audit_region *out);
void dp_audit_totals(const struct dp_audit *a, struct dp_audit_totals *out);
uint64_t dp_audit_count(const struct dp_audit *a, enum dp_finding_kind kind);
/* Those that were kept, in the order in which they were found. */
const struct dp_finding *dp_audit_findings(const struct dp_audit *a, size_t *n);

#endif
