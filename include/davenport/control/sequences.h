/* The sequence maps of this proxy (couch/seqmaps.h): filled by marks of replication, told to the workers, kept in a file
 * over restarts. A damaged file is ignored, with a line in the log: then feeds that lose their region begin anew until
 * there are marks again.
 *
 * All on the control thread; the file is written by a thread of libuv's pool. */
#ifndef DAVENPORT_CONTROL_SEQUENCES_H
#define DAVENPORT_CONTROL_SEQUENCES_H

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/base/err.h"
#include "davenport/control/replication.h"
#include "davenport/couch/seqmaps.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;

struct dp_sequences;

struct dp_sequences_options {
    uv_loop_t *loop;
    const struct dp_clock *clock;
    struct dp_seqmaps_config maps;
    const char
        *folder; /* where the file "sequences" is; made if it is not there. NULL: none is kept */
    uint32_t save_ms;    /* between two writes of it, at least */
    uint32_t publish_ms; /* between two looks whether there is something new */
    /* A new snapshot: later, or within the call that told of a database that is another one. It takes a reference of its own. */
    void (*publish)(void *ctx, struct dp_seqview *view);
    void *ctx;
};

/* Reads the file, if there is one: before the loop runs. Errors: DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_sequences_new(const struct dp_sequences_options *opt,
                                         struct dp_sequences **out);
/* Writes what is new; the loop goes on until that is done. NULL is fine. */
void dp_sequences_destroy(struct dp_sequences *s);

/* The file has one writer at a time: write what is new, then leave it alone. done(ctx) runs later, when it is written or can't be. */
void dp_sequences_hand_over(struct dp_sequences *s, void (*done)(void *ctx), void *ctx);
/* It is ours again. */
void dp_sequences_take_back(struct dp_sequences *s);

/* To be told of marks; as long as `s` is. */
struct dp_replication_listener dp_sequences_listener(struct dp_sequences *s);
/* As the workers have it, or are about to. Valid until the next publish. */
struct dp_seqview *dp_sequences_view(const struct dp_sequences *s);

struct dp_sequences_info {
    const char *file;    /* NULL: none is kept */
    int64_t saved_ms;    /* when it was written last, since 1970; 0: not by this process */
    bool troubled;       /* the last time it could not be */
    uint64_t marks_told; /* so many came */
};
void dp_sequences_info(const struct dp_sequences *s, struct dp_sequences_info *out);
bool dp_sequences_row(const struct dp_sequences *s, size_t i, struct dp_seqmaps_row *out);

#endif
