/* All sequence maps of a proxy: one for each database in use and ordered pair of regions, bounded, kept in a text between
 * runs, and given to the workers as an immutable snapshot. Pure.
 *
 * Times are of the wall clock, for marks outlive processes and are shared between them: see docs/sequences.md.
 * A database that was made anew is another one under an old name. It is known by its "life", a text that a region tells of
 * it (instance_start_time, or what does for it); a mark from before is forgotten when a life changes. */
#ifndef DAVENPORT_COUCH_SEQMAPS_H
#define DAVENPORT_COUCH_SEQMAPS_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_SEQMAPS_LIFE 40  /* bytes of a life's text with its end; what is longer is cut */
#define DP_SEQMAPS_NAME 256 /* of a database's or region's, with its end: longer ones are refused */
#define DP_SEQMAPS_BYTES                                                                           \
    16777216 /* of all tokens together: past it databases go that had no mark for longest */

struct dp_seqmaps_config {
    uint32_t databases; /* at most so many: then the one goes that had no mark for longest */
    uint32_t marks;     /* of a map; at least 2 */
    uint32_t min_age_ms;
};

/* Whoever reads `from` may go on in `to` behind `token`, when it had caught up min_age_ms after `read_ms`. */
struct dp_seqmaps_mark {
    struct dp_span database, from, to; /* names, not encoded */
    struct dp_span token;              /* of `to` */
    struct dp_span from_life, to_life; /* of the database in these regions; empty: not known */
    int64_t read_ms;                   /* since 1970 */
};

/* ---- what the control plane keeps; one thread ---- */

struct dp_seqmaps;

struct dp_seqmaps *dp_seqmaps_new(const struct dp_seqmaps_config *config); /* NULL: out of memory */
void dp_seqmaps_free(struct dp_seqmaps *m);                                /* NULL is fine */
/* Errors: DP_EINVAL (no token, a name that is empty, bytes that are not printable ASCII), DP_ELIMIT (too long), DP_ENOMEM: the maps are as before. */
DP_MUST_USE enum dp_err dp_seqmaps_add(struct dp_seqmaps *m, const struct dp_seqmaps_mark *mark);
/* The database is gone from this region or was made anew: nothing from or to it holds. */
void dp_seqmaps_forget(struct dp_seqmaps *m, struct dp_span database, struct dp_span region);
/* `token`, an update_seq, is what the region told of the database when it was asked at `asked_ms` since 1970, `asked_ns` monotonic.
 * It is for snapshots only, and nothing is kept of a database that has no map from there. Without memory, and of a token that
 * can't be read, it is left out. */
void dp_seqmaps_look(struct dp_seqmaps *m, struct dp_span database, struct dp_span region,
                     struct dp_span token, int64_t asked_ms, uint64_t asked_ns);
/* Raised by every change of what is translated to, or of what is kept. */
uint64_t dp_seqmaps_version(const struct dp_seqmaps *m);
/* Raised by every look. */
uint64_t dp_seqmaps_looks(const struct dp_seqmaps *m);

struct dp_seqmaps_row {
    const char *database, *from, *to;
    unsigned marks;
    int64_t oldest_ms, newest_ms; /* of its marks */
    int64_t confirmed_ms;         /* when a mark came last, whether it told something new or not */
};
/* True while there is an i-th map. Valid until the next change. */
bool dp_seqmaps_row(const struct dp_seqmaps *m, size_t i, struct dp_seqmaps_row *out);

/* The maps as a text, '\0' behind it, to be freed; of one database if its name is not empty. NULL: out of memory. */
char *dp_seqmaps_write(const struct dp_seqmaps *m, struct dp_span database, size_t *n);
/* Adds what such a text tells, of one database if its name is not empty. Lives that are known here and differ make it ignored, map by map. Errors: DP_EINVAL (it is
 * none, is cut, or has other bytes than were written; *why then says so), DP_ENOMEM, which may come as DP_EINVAL. Either way nothing wrong was added. */
DP_MUST_USE enum dp_err dp_seqmaps_read(struct dp_seqmaps *m, struct dp_span database,
                                        struct dp_span text, const char **why);

/* ---- what workers look at; immutable, any thread ---- */

struct dp_seqview;
struct dp_seqlook;

/* The maps as they are now; one reference. NULL: out of memory. */
struct dp_seqview *dp_seqmaps_view(struct dp_seqmaps *m);
struct dp_seqview *dp_seqview_ref(struct dp_seqview *v);
void dp_seqview_unref(struct dp_seqview *v); /* NULL is fine */

/* Where a reader of `database` goes on in `to` that had caught up with `from` at `caught_up_s` (0: that is not known), as
 * its token tells. Both in seconds since 1970. NULL span: nothing is proven, or the view is NULL: it must begin anew. Valid
 * as long as the view. */
struct dp_span dp_seqview_translate(const struct dp_seqview *v, struct dp_span database,
                                    struct dp_span from, struct dp_span to, uint64_t caught_up_s,
                                    uint64_t now_s);
/* What the region told of the database's shards last, for couch/renewal.h. NULL: nothing that counts, or the view is NULL. Valid
 * as long as the view. */
const struct dp_seqlook *dp_seqview_look(const struct dp_seqview *v, struct dp_span database,
                                         struct dp_span region);

#endif
