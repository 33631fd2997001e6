/* malloc, and a count. */
#include "app/json_memory.h"

#include <stdlib.h>

#include <jansson.h>

static _Thread_local unsigned refused;

static void *counted_malloc(size_t n)
{
    void *p = malloc(n);
    refused += !p;
    return p;
}

void dp_json_memory_init(void)
{
    json_set_alloc_funcs(counted_malloc, free);
}

unsigned dp_json_memory_refused(void)
{
    return refused;
}
