/* The journal: one JSON object a line for everything that the governor decided, with what it was
 * decided from. Lines go to a file (append only; it is the memory of the epoch over restarts) and
 * to a ring in memory. A line is in the kernel's hands when write(2) returns, so it survives our
 * death but not the machine's: there is no fsync here, which could hold up the control loop for
 * seconds exactly when a disk is ill. Control thread only. */
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

/* `path` NULL: memory only. A file that cannot be opened is logged once and tried again with every
 * line. NULL when out of memory. */
DP_MUST_USE struct dp_journal *dp_journal_new(const char *path, const struct dp_clock *clock);
void dp_journal_free(struct dp_journal *j);

/* The highest epoch that the file's last lines tell of; 0: none. */
uint64_t dp_journal_last_epoch(const struct dp_journal *j);

/* {"ts":…,"epoch":…,"event":…,<kv>}; fields that do not fit are left out from the end and
 * "cut":true says so. */
void dp_journal_write(struct dp_journal *j, uint64_t epoch, const char *event,
                      const struct dp_kv *kv, size_t n);

/* The last lines, oldest first, without their newlines: at most `max`. Valid until the next write.
 */
size_t dp_journal_lines(const struct dp_journal *j, struct dp_span *lines, size_t max);

#endif
