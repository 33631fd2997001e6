/* The count; the allocators that ask it are nomem_wrap.c's. */
#include "support/nomem.h"

static unsigned left, paused;
static bool happened;

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
