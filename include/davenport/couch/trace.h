/* Is it our own write that stands there? A region that may have carried out a write is asked for it again elsewhere, and
 * there, or in the same place, the second attempt may meet the first one's trace: 409 for what the proxy itself made
 * (couchdb-facts §2). A revision is made of its parent and its body, so a branch that has our parent and our body is
 * ours, or one that nobody can tell from it: then the write has succeeded.
 *
 *   first look, at all leaves ──equal body behind our parent──► OURS
 *        ├─ more must be known of one revision ──second look, at that one──► OURS or NOT
 *        ├─ no such branch ──► NOT
 *        └─ what was sent or seen can't be read ──► BLIND
 *
 * Bodies are compared as CouchDB would: the order of members does not count, 1 and 1.0 differ, members that begin with an
 * underscore are not body but _deleted and _attachments. What can't be read: no JSON, multipart, whole numbers past 64
 * bits. A history that _revs_limit cut before our parent is NOT ours. Pure. */
#ifndef DAVENPORT_COUCH_TRACE_H
#define DAVENPORT_COUCH_TRACE_H

#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dp_trace_write {
    DP_TRACE_DOCUMENT,  /* body: the document, plain JSON */
    DP_TRACE_DELETE,    /* no body */
    DP_TRACE_ATTACHMENT /* body: its bytes */
};

/* A write as its request told it; all borrowed. */
struct dp_trace_ask {
    enum dp_trace_write write;
    struct dp_span body;
    struct dp_span
        rev; /* of the query or If-Match, bare; .n == 0: none (a document's own _rev counts too) */
    struct dp_span name; /* ATTACHMENT: decoded */
};

#define DP_TRACE_REV_BYTES 128 /* of a revision, with its NUL; longer ones are not ours */

enum dp_trace_verdict { DP_TRACE_NOT, DP_TRACE_OURS, DP_TRACE_LOOK, DP_TRACE_BLIND };

/* What the second look is at. */
enum dp_trace_second {
    DP_TRACE_AT_BODY, /* GET …?rev=at&attachments=true: equal to ours? */
    DP_TRACE_AT_TOMBSTONE, /* GET …?rev=at: was it deleted, so that a write without a revision could follow it? */
    DP_TRACE_AT_BYTES /* GET …/attachment?rev=at: the same bytes? */
};

struct dp_trace_found {
    char rev[DP_TRACE_REV_BYTES]; /* OURS, LOOK: what our write made, or may have made */
    bool deleted;                 /* and that is a tombstone */
    enum dp_trace_second second;  /* LOOK */
    char at[DP_TRACE_REV_BYTES];  /* LOOK */
};

/* leaves: the answer to GET …?open_revs=all&revs=true. *out is filled for OURS and LOOK. */
enum dp_trace_verdict dp_trace_first(const struct dp_trace_ask *ask, struct dp_span leaves,
                                     struct dp_trace_found *out);
/* answer: of the look that *f asks for. Is it ours? */
bool dp_trace_second(const struct dp_trace_ask *ask, const struct dp_trace_found *f,
                     struct dp_span answer);

/* The first look found nothing of ours. Does the region lack the revision that we build on, in all leaves and their histories? Then its
 * refusal tells that it is behind, and nothing of what another region did with the write. leaves: as above; .n == 0: it
 * has no such document. A write without a parent lacks none; a history that does not reach back so far may have it. */
bool dp_trace_lacks_parent(const struct dp_trace_ask *ask, struct dp_span leaves);

/* The _id of a document, or of the leaves that were seen; from malloc, NULL: none that is a string. */
char *dp_trace_id(struct dp_span text);

/* ---- _bulk_docs: a row an answer, several looks in one ---- */

#define DP_TRACE_ROWS 500 /* so many conflicts are looked into; with more all of them stand */

/* The body of POST …/_bulk_get?revs=true that looks at all conflicts of `answer`; from malloc, *n its length. NULL: there
 * are none, or *blind: too many, fewer rows than documents, one of the two can't be read, or no memory. With
 * new_edits:false there are none. */
char *dp_trace_bulk_ask(struct dp_span body, struct dp_span answer, size_t *n, bool *blind);

struct dp_trace_rows {
    size_t settled; /* conflicts that are successes now */
    size_t failed;  /* rows that tell of an error still */
    size_t
        lacking; /* conflicts of a region that lacks the revision which that document builds on: as dp_trace_lacks_parent */
    size_t
        unseen; /* conflicts that may be our own: the look does not tell, or somebody built on what may be ours */
};
/* `answer` with its own conflicts turned into successes; from malloc, *n its length, NULL: none was. *out: what came of it. */
char *dp_trace_bulk(struct dp_span body, struct dp_span answer, struct dp_span looked, size_t *n,
                    struct dp_trace_rows *out);

/* ---- databases: PUT that is told 412 ---- */

/* Is the database that stands there one that was made no more than for_s seconds before now_s, both by its region's clock?
 * info: the answer to GET /{db}; now_s: its Date; for_s: rounded up. Whole seconds tell no more: who made the same database
 * within the second before is not told from us. BLIND: it does not tell when it was made
 * (CouchDB before 3.2, PouchDB's servers). */
enum dp_trace_verdict dp_trace_database(struct dp_span info, int64_t now_s, uint64_t for_s);

/* {"ok":true,"id":…,"rev":…} and a newline, as CouchDB answers a write; from malloc, *n its length; NULL: no memory. */
char *dp_trace_answer(const char *id, const char *rev, size_t *n);

#endif
