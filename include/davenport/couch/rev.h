/* Revisions of documents, as far as one can be told to be older than another. Pure. */
#ifndef DAVENPORT_COUCH_REV_H
#define DAVENPORT_COUCH_REV_H

#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_rev {
    uint32_t generation; /* its N of N-digits; from 1 */
    uint64_t digits;     /* a hash of the rest, the same in every process */
};

/* "3-917f…", or the same in quotes, as an ETag of a document has it. False: it is none (an attachment's ETag, say). */
bool dp_rev_parse(struct dp_span text, struct dp_rev *out);

/* A document's two revisions, one of which was written last by somebody who now reads the other: has the read one
 * certainly seen the write? A later generation is taken to; so is the same revision. Another one of the same generation
 * is a rival, of which nobody can say. */
bool dp_rev_covers(const struct dp_rev *read, const struct dp_rev *written);

/* The answer to a write as it passes, cut anywhere: {"ok":true,"id":…,"rev":…}, of _bulk_docs an array of such rows.
 * For small answers: every byte is looked at. Rows without a revision (errors) are passed over, as are ids that are
 * written with escapes or are longer than DP_ROW_ID. */
#define DP_ROW_ID  256
#define DP_ROW_REV 80

struct dp_rows {
    unsigned at_depth; /* of the rows' members */
    unsigned depth;
    bool in_string, escaped, plain;
    bool is_key; /* the string that is open, or was the last, stands where a name does */
    char member; /* whose value comes next, or is open: 'i', 'r', or 0 */
    size_t n;    /* bytes of the string so far */
    size_t id_n, rev_n;
    char name[4];
    char id[DP_ROW_ID], rev[DP_ROW_REV];
};

struct dp_row {
    struct dp_span id; /* until the next call */
    struct dp_rev rev;
};

void dp_rows_init(struct dp_rows *r, bool bulk);
/* Look at p[0 … *n) up to the end of a row; *used of it. True: *out is one. */
bool dp_rows_next(struct dp_rows *r, const char *p, size_t n, size_t *used, struct dp_row *out);

/* What a database's document is remembered by, so that "a%2Bb" in one target and "a+b" in another are one. db: as it
 * stands in a target; doc: likewise, or as it stands in a body (not encoded). */
uint64_t dp_rev_key(struct dp_span db, struct dp_span doc, bool encoded, uint64_t seed);

#endif
