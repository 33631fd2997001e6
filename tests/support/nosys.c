/* What fails when; nosys/calls.c asks. */
#include "support/nosys/ask.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int armed = -1; /* enum nosys_call */
static _Atomic unsigned before, left, done;
static _Atomic int error_now;
static _Thread_local unsigned paused;

void nosys_at(enum nosys_call call, unsigned n, int error, unsigned times)
{
    atomic_store(&armed, -1);
    atomic_store(&before, n - 1);
    atomic_store(&left, times);
    atomic_store(&done, 0);
    atomic_store(&error_now, error);
    if (n > 0)
        atomic_store(&armed, (int)call);
}

unsigned nosys_happened(void)
{
    return atomic_load(&done);
}

unsigned nosys_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    if (!d)
        abort();
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

void nosys_pause(void)
{
    paused++;
}

void nosys_resume(void)
{
    paused--;
}

/* One less, unless it was none. */
static bool take(_Atomic unsigned *n)
{
    unsigned now = atomic_load(n);
    while (now > 0 && !atomic_compare_exchange_weak(n, &now, now - 1))
        continue;
    return now > 0;
}

bool nosys_fails(enum nosys_call call)
{
    if (atomic_load(&armed) != (int)call || paused > 0 || take(&before) || !take(&left))
        return false;
    atomic_fetch_add(&done, 1);
    errno = atomic_load(&error_now);
    return true;
}

bool nosys_armed(enum nosys_call call)
{
    return atomic_load(&armed) == (int)call && paused == 0;
}

static const int errors[NOSYS_COUNT][10] = {
#define NOSYS_CALL(name, ...) {__VA_ARGS__},
#include "support/nosys/calls.def"
#undef NOSYS_CALL
};

static const char *const names[NOSYS_COUNT] = {
#define NOSYS_CALL(name, ...) #name,
#include "support/nosys/calls.def"
#undef NOSYS_CALL
};

bool nosys_next(struct nosys_case *c)
{
    unsigned at = 0;
    for (unsigned call = 0; call < NOSYS_COUNT; call++) {
        for (unsigned i = 0; errors[call][i] != 0; i++, at++) {
            if (at < c->index)
                continue;
            *c = (struct nosys_case){at + 1, (enum nosys_call)call, errors[call][i], names[call],
                                     strerrorname_np(errors[call][i])};
            return true;
        }
    }
    return false;
}
