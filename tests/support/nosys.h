/* System calls that fail when a test says so, in our code and in the libraries below it: the test's program has the functions
 * of calls.def itself (nosys/calls.c), so everybody's calls come through there. For test_*nosys.c (cmake/DavenportTests.cmake).
 *
 * Only sockets, regular files and what is opened or made anew count: how libuv wakes its own loop is not what may fail.
 * All threads count, but one that paused does not. */
#ifndef DAVENPORT_TESTS_SUPPORT_NOSYS_H
#define DAVENPORT_TESTS_SUPPORT_NOSYS_H

#include <stdbool.h>

enum nosys_call {
#define NOSYS_CALL(name, ...) NOSYS_##name,
#include "support/nosys/calls.def"
#undef NOSYS_CALL
    NOSYS_COUNT
};

#define NOSYS_EVER 1000000000

/* The n-th such call from now fails with `error`, and those behind it until `times` have. n 0: none fails. */
void nosys_at(enum nosys_call call, unsigned n, int error, unsigned times);
/* So many did. */
unsigned nosys_happened(void);
/* Calls of this thread are not counted and do not fail. May nest. */
void nosys_pause(void);
void nosys_resume(void);

/* How many descriptors the process has: what failed must leave none behind. */
unsigned nosys_descriptors(void);

/* Every plausible error of every call: for (struct nosys_case c = {0}; nosys_next(&c);) */
struct nosys_case {
    unsigned index;
    enum nosys_call call;
    int error;
    const char *name, *error_name;
};
bool nosys_next(struct nosys_case *c);

#endif
