/* The journal's way to the disk: a thread that appends lines, rotates, syncs, and replaces the state
 * file beside it. The control loop hands text over and never waits for a disk.
 *
 * Order is kept: a state file never tells of what the journal does not have yet. What the disk refuses is tried
 * again every second, in order, so a disk that was full for a while costs nothing. The queue is bounded:
 * when it is full a line is refused, and that is the caller's to count and to tell. */
#ifndef DAVENPORT_CONTROL_JOURNAL_WRITER_H
#define DAVENPORT_CONTROL_JOURNAL_WRITER_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_JOURNAL_QUEUE 1024 /* lines */

struct dp_journal_writer;

struct dp_journal_files {
    const char *path;
    const char *state_path; /* NULL: none */
    uint64_t max_bytes;     /* the file is rotated before it grows past this; 0: never */
    uint32_t keep;          /* rotated ones: path.1 (the newest) to path.keep; at least 1 */
};

/* Strings are copied. saved(ctx): on the writer's thread, after something reached the disk; may be
 * NULL. NULL when memory or threads are out. */
DP_MUST_USE struct dp_journal_writer *dp_journal_writer_new(const struct dp_journal_files *files,
                                                            void (*saved)(void *ctx), void *ctx);
/* For another process's sake: writes what is queued, trying for as long as the disk refuses it, then leaves the files alone. Never waits;
 * saved() is called when that is so. resume: they are ours again, from either of the two. False: no thread. */
void dp_journal_writer_finish(struct dp_journal_writer *w);
DP_MUST_USE bool dp_journal_writer_finished(struct dp_journal_writer *w);
DP_MUST_USE bool dp_journal_writer_resume(struct dp_journal_writer *w);
/* Writes what is queued as far as the disk takes it now, and ends the thread. NULL is fine. */
void dp_journal_writer_end(struct dp_journal_writer *w);

/* Any thread. Each gives a ticket, greater than all before. A line (newline included): 0 when the queue is full or
 * memory is out. A state replaces one that is still queued. */
DP_MUST_USE uint64_t dp_journal_writer_line(struct dp_journal_writer *w, struct dp_span line);
DP_MUST_USE uint64_t dp_journal_writer_state(struct dp_journal_writer *w, struct dp_span state);

/* Any thread. Everything up to this ticket is on the disk (fsync). */
uint64_t dp_journal_writer_done(struct dp_journal_writer *w);
/* Any thread. Lines that wait. *troubled: the disk refused the last try. */
uint32_t dp_journal_writer_waiting(struct dp_journal_writer *w, bool *troubled);
/* Any thread. Open the path anew, behind what was queued until now: the file was moved away. */
void dp_journal_writer_reopen(struct dp_journal_writer *w);

#endif
