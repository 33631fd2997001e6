/* The count; the allocators that ask it are nomem_wrap.c's. */
#include "support/nomem.h"

/* A thread's own: supports that several threads use pause it too. */
static _Thread_local unsigned left, paused;
static _Thread_local bool happened;

void nomem_at(unsigned n)
{
    left = n;
    happened = false;
}

bool nomem_happened(void)
{
    return happened;
}

void nomem_pause(void)
{
    paused++;
}

void nomem_resume(void)
{
    paused--;
}

bool nomem_now(void)
{
    if (paused > 0 || left == 0 || --left > 0)
        return false;
    happened = true;
    return true;
}
