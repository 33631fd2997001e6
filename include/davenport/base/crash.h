/* A report of a crash: what, where, who with it, and the way there, to stderr and a file, written by the signal's handler with
 * nothing but system calls. Then the signal takes its course, so core dumps, sanitizers and supervisors see it as ever. A report that can't be written
 * within seconds ends the process by SIGALRM.
 *
 * For SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, on a stack of its own for each thread that says so. */
#ifndef DAVENPORT_BASE_CRASH_H
#define DAVENPORT_BASE_CRASH_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a handler may write with: no allocation, no stdio. */
struct dp_crash_text {
    size_t n;
    char p[1024];
};
void dp_crash_put(struct dp_crash_text *t, const char *text);
void dp_crash_put_uint(struct dp_crash_text *t, uint64_t n);
/* Printable ASCII of it, at most `max` bytes. */
void dp_crash_put_span(struct dp_crash_text *t, struct dp_span s, size_t max);

struct dp_crash_options {
    const char *program; /* "davenport 0.1.0 (abc1234)" */
    const char *folder;  /* where the file DP_CRASH_FILE is written; NULL: stderr only */
    /* More about the process, a line or several, in the handler: async-signal-safe. May be NULL. tid: the thread's. It may crash in turn: what
     * it has put by then is in the report. */
    void (*describe)(void *ctx, long tid, struct dp_crash_text *out);
    void *ctx;
};

#define DP_CRASH_FILE "crash.txt"

/* Strings are copied; those too long are cut. Once more: the new options count. */
void dp_crash_install(const struct dp_crash_options *opt);
/* `describe` is not called any more. */
void dp_crash_forget(void);
/* The calling thread gets a stack for the handler, for a stack that overflowed; given back before it ends. */
void dp_crash_thread_begin(void);
void dp_crash_thread_end(void);
/* A thread that stands still: when somebody sends SIGABRT to the process (a supervisor's watchdog), the report shall be that
 * thread's. 0: none. Any thread. */
void dp_crash_blame(long tid);

/* The report of a process before us: its first line is at `line`; the file is renamed so that the next one has room, and the
 * oldest but DP_CRASH_KEEP are removed. True: there was one. path: where it is now. */
#define DP_CRASH_KEEP 5
DP_MUST_USE bool dp_crash_found(const char *folder, char *path, size_t path_cap, char *line,
                                size_t line_cap);

#endif
