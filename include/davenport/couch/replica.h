/* What one region's answers say of a database, for finding out whether another region has all of it. Pure.
 *
 * The comparison asks the source for the leaves that stand in its feed behind a place (GET _changes, style=all_docs), and
 * the target which of these revisions it lacks (POST _revs_diff). A set holds what may be missing: rows go in, what the
 * target turns out to have comes out. Empty, the target has all that the source had up to the last page's end:
 * whatever the target knows as an ancestor counts as had, and a document that moved on has one row only, its last.
 *
 * Errors of all that parse: DP_EINVAL (not what CouchDB answers there), DP_ENOMEM; out-parameters are then untouched. */
#ifndef DAVENPORT_COUCH_REPLICA_H
#define DAVENPORT_COUCH_REPLICA_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer ones are not kept: CouchDB's own are far shorter. */
#define DP_REPLICA_TOKEN 4096

/* ---- GET /{db} ---- */

struct dp_replica_info {
    char seq[DP_REPLICA_TOKEN]; /* update_seq, NUL ended */
    bool number; /* it is one (PouchDB's), so it can be told whether it went back: `seq_number` */
    uint64_t seq_number;
    char life[32]; /* instance_start_time where that tells of a database made anew, else "" */
};
DP_MUST_USE enum dp_err dp_replica_info(struct dp_span body, struct dp_replica_info *out);

/* ---- what may be missing ---- */

struct dp_replica_set;
struct dp_replica_set *dp_replica_set_new(void); /* NULL: out of memory */
void dp_replica_set_free(struct dp_replica_set *s);
void dp_replica_set_clear(struct dp_replica_set *s);
size_t dp_replica_set_count(const struct dp_replica_set *s); /* documents */
/* One of its documents, for people; NULL: it is empty. Valid until it changes. */
const char *dp_replica_set_example(const struct dp_replica_set *s);
/* The body that asks the target for them: from malloc, or NULL: out of memory. */
DP_MUST_USE char *dp_replica_set_question(const struct dp_replica_set *s, size_t *n);
/* Each document with its leaves, in the order in which they were told; revs and id are valid during the call. It ends with the
 * first error that `fn` gives, which is returned. Errors: DP_ENOMEM. */
typedef enum dp_err (*dp_replica_leaves_fn)(void *ctx, const char *id, const char *const *revs,
                                            size_t n);
DP_MUST_USE enum dp_err dp_replica_set_each(const struct dp_replica_set *s, dp_replica_leaves_fn fn,
                                            void *ctx);

struct dp_replica_page {
    size_t rows;
    char last_seq[DP_REPLICA_TOKEN]; /* where the next page begins; NUL ended, never empty */
};
/* GET _changes: its rows go into the set, in the place of what it holds of the same documents. */
DP_MUST_USE enum dp_err dp_replica_take_page(struct dp_replica_set *s, struct dp_span body,
                                             struct dp_replica_page *out);
/* POST _revs_diff of the whole set: what is not missing leaves it, and leaves `older` too (NULL: none), a set that was
 * asked for before: who has a document's later state has, or does not need, the one before. (A server may well say that it
 * lacks that: PouchDB's does of ancestors whose bodies it never had.) After an error both hold what they held. */
DP_MUST_USE enum dp_err dp_replica_take_missing(struct dp_replica_set *s, struct dp_span body,
                                                struct dp_replica_set *older);
/* What is in `from` too, in its place where both have a document; `from` is empty then. */
DP_MUST_USE enum dp_err dp_replica_set_merge(struct dp_replica_set *s, struct dp_replica_set *from);

/* ---- one document ---- */

#define DP_REPLICA_REV 64
/* Its revision, by the answer to its PUT or to its GET; NUL ended, never empty, of the characters of a revision. */
DP_MUST_USE enum dp_err dp_replica_rev(struct dp_span body, char out[DP_REPLICA_REV]);
/* POST _revs_diff: is this revision of the document among those that are missing? */
DP_MUST_USE enum dp_err dp_replica_lacks(struct dp_span body, const char *id, const char *rev,
                                         bool *lacks);

/* ---- replications ---- */

struct dp_replica_job {
    const char *source, *target; /* URLs */
    const char *id;              /* of its checkpoints; "": not known */
    const char *doc_id;          /* in _replicator; "": not known */
    const char *state;           /* "running", "crashing", "triggered" …; "": not known */
    const char *error;           /* "": none is told */
    bool continuous;
    bool whole;                 /* known to carry all documents: no filter, from the beginning */
    int64_t doc_write_failures; /* -1: not known */
};
typedef void (*dp_replica_job_fn)(void *ctx, const struct dp_replica_job *job);
/* GET _scheduler/docs…; of what is filtered it says nothing, so no job of it is `whole`. */
DP_MUST_USE enum dp_err dp_replica_scheduler_docs(struct dp_span body, dp_replica_job_fn fn,
                                                  void *ctx);
/* GET _replicator/_all_docs?include_docs=true; design documents are left out. */
DP_MUST_USE enum dp_err dp_replica_replicator_docs(struct dp_span body, dp_replica_job_fn fn,
                                                   void *ctx);
/* GET _replicator/{doc_id}: does it carry all documents? */
DP_MUST_USE enum dp_err dp_replica_replicator_doc(struct dp_span body, bool *whole);
/* GET /{target}/_local/{id}: how far the source had been written to the target; NUL ended, never empty. */
DP_MUST_USE enum dp_err dp_replica_checkpoint(struct dp_span body, char out[DP_REPLICA_TOKEN]);

/* A database's URL apart: "http://u:p@Host:5984/a%2Fb/" is base "http://host:5984", name "a/b". A port that is the
 * scheme's own is not told. False: it is none, or too long. */
#define DP_REPLICA_BASE 320
#define DP_REPLICA_NAME 256
DP_MUST_USE bool dp_replica_url(const char *url, char base[DP_REPLICA_BASE],
                                char name[DP_REPLICA_NAME]);
/* A database's name as it stands in a path: three bytes for one at most. False: too long. */
DP_MUST_USE bool dp_replica_encode(const char *name, char *out, size_t cap);

#endif
