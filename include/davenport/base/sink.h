/* Lines on their way to a file: filled by many threads in chunks, written by a thread of its own.
 *
 *   filler:  dp_sink_take ──► lines into p, n and lines raised ──► dp_sink_give
 *   sink:    free chunks ⇄ fillers ──► queue ──► write(2) ──► free chunks
 *
 * A filler takes a lock for a moment a chunk, and never waits for the file: when the file is so slow that no
 * chunk is free, dp_sink_take gives none, and what was to be written is the filler's to drop and count.
 * Lines stay whole and a filler's lines in their order. A regular file is appended to; a pipe or a
 * terminal is served as it takes bytes, without a change to how others see it. */
#ifndef DAVENPORT_BASE_SINK_H
#define DAVENPORT_BASE_SINK_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct dp_sink;

#define DP_SINK_CHUNK_BYTES 65536

struct dp_sink_chunk {
    struct dp_sink_chunk *next; /* the sink's */
    size_t n;                   /* bytes filled, whole lines */
    uint32_t lines;             /* of them */
    char p[DP_SINK_CHUNK_BYTES];
};

#define DP_SINK_WHY 160

/* path: opened for appending, made (mode 0640) when it is not there; "-": stdout. chunks: the most that exist at
 * once. `linger_ms`: how long dp_sink_close waits for a pipe that nobody reads. On failure `why` tells a
 * person. Errors: DP_EIO (open, thread), DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_sink_open(const char *path, uint32_t chunks, uint32_t linger_ms,
                                     struct dp_sink **out, char why[DP_SINK_WHY]);
/* Writes what was given, as far as the file takes it, ends the thread, frees. All chunks have been given back.
 * NULL is fine. */
void dp_sink_close(struct dp_sink *s);

/* Any thread. An empty chunk, or NULL: all are full and wait for the file (or memory is out). */
DP_MUST_USE struct dp_sink_chunk *dp_sink_take(struct dp_sink *s);
/* Any thread. Written soon; an empty one just goes back. */
void dp_sink_give(struct dp_sink *s, struct dp_sink_chunk *chunk);

/* Any thread. Open the path anew, behind what was given until now: the file was moved away. If that fails the
 * old file is kept and the log says so. With "-" nothing happens. */
void dp_sink_reopen(struct dp_sink *s);

/* Any thread. Lines that the file did not take (an error, or the end came first), ever. */
uint64_t dp_sink_lost(const struct dp_sink *s);

#endif
