/* The heap of events.h. */
#include "events.h"

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdlib.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void sim_push(struct sim_events *s, struct sim_event e)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->at = realloc(s->at, s->cap * sizeof(*s->at));
        if (!s->at)
            abort();
    }
    e.order = s->order++;
    size_t i = s->n++;
    while (i > 0 && before(&e, &s->at[(i - 1) / 2])) {
        s->at[i] = s->at[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->at[i] = e;
}

struct sim_event sim_pop(struct sim_events *s)
{
    struct sim_event top = s->at[0], last = s->at[--s->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->n)
            break;
        if (child + 1 < s->n && before(&s->at[child + 1], &s->at[child]))
            child++;
        if (!before(&s->at[child], &last))
            break;
        s->at[i] = s->at[child];
        i = child;
    }
    if (s->n > 0)
        s->at[i] = last;
    return top;
}
