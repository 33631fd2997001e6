/* The journal: one JSON object a line for everything that the governor decided, with what it was
 * decided from. Lines go to a ring in memory, to whoever listens, and, by a thread of the writer's (journal_writer.h),
 * to a file that is synced, rotated by size and read back at the next start: its last lines fill the
 * ring, and the highest epoch they tell of goes on. Beside it lies the state file (path + ".state"), which holds
 * what must outlive us besides: replaced whole, never half. Control thread only. */
#ifndef DAVENPORT_CONTROL_JOURNAL_H
#define DAVENPORT_CONTROL_JOURNAL_H

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/base/err.h"
#include "davenport/base/log.h"
#include "davenport/base/span.h"

#include <stddef.h>
#include <stdint.h>

#define DP_JOURNAL_RING 256
#define DP_JOURNAL_LINE 4096 /* bytes, newline included */

struct dp_journal;

struct dp_journal_options {
    const char *path; /* NULL: memory only */
    uint64_t max_bytes;
    uint32_t keep; /* as in journal_writer.h */
    const struct dp_clock *clock;
    /* Each may be NULL. line: of every line, without its newline. saved: on another thread, when
     * dp_journal_saved may have changed. */
    void (*line)(void *ctx, struct dp_span line);
    void (*saved)(void *ctx);
    void *ctx;
};

/* What is wrong with the file is logged, and the file tried again. NULL when memory or threads are out. */
DP_MUST_USE struct dp_journal *dp_journal_new(const struct dp_journal_options *opt);
/* The end of the file's part: everything is written, as far as the disk takes it, and saved() is not called any
 * more. The ring can be read until dp_journal_free. */
void dp_journal_stop(struct dp_journal *j);
/* Another process is to have the files. What was written before reaches them, however long the disk takes; what comes after stays in memory.
 * Never waits: saved() is called when dp_journal_handed_over may have become true. */
void dp_journal_hand_over(struct dp_journal *j);
DP_MUST_USE bool dp_journal_handed_over(const struct dp_journal *j);
/* The files are ours again, handed over or not yet. Lines written meanwhile follow, as far as the ring has them. Errors: DP_ENOMEM,
 * and it goes on in memory only. */
DP_MUST_USE enum dp_err dp_journal_take_back(struct dp_journal *j);
void dp_journal_free(struct dp_journal *j);

/* The highest epoch that the lines found tell of; 0: none. */
uint64_t dp_journal_last_epoch(const struct dp_journal *j);
/* The state file as it was found, or an empty span. Valid until free. */
struct dp_span dp_journal_state(const struct dp_journal *j);

/* {"ts":…,"epoch":…,"event":…,<kv>}; fields that do not fit are left out from the end and
 * "cut":true says so. */
void dp_journal_write(struct dp_journal *j, uint64_t epoch, const char *event,
                      const struct dp_kv *kv, size_t n);
/* Replace the state file, after every line written so far. */
void dp_journal_keep(struct dp_journal *j, struct dp_span state);

/* Of everything written and kept so far: pass it to dp_journal_saved. 0: none of it goes to a file. */
uint64_t dp_journal_ticket(const struct dp_journal *j);
bool dp_journal_saved(const struct dp_journal *j, uint64_t ticket);
/* Wait for the disk, at most so long (a start or a test, never the loop). True: all of it is there. */
bool dp_journal_wait(const struct dp_journal *j, uint32_t ms);
/* The file was moved away: open its path anew. */
void dp_journal_reopen(struct dp_journal *j);

struct dp_journal_health {
    bool file;     /* there is one */
    bool troubled; /* the disk refused the last try */
    uint32_t waiting;
    uint64_t lost; /* lines that found the queue full, ever */
};
struct dp_journal_health dp_journal_health(const struct dp_journal *j);

/* The last lines, oldest first, without their newlines: at most `max`. Valid until the next write.
 */
size_t dp_journal_lines(const struct dp_journal *j, struct dp_span *lines, size_t max);

#endif
