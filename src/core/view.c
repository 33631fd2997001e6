/* The view's lifetime. Its content is the governor's (control/governor.c). */
#include "davenport/core/view.h"

#include <stdlib.h>

struct dp_view *dp_view_new(void)
{
    struct dp_view *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    atomic_init(&v->refs, 1);
    v->active = DP_NO_REGION;
    for (uint16_t i = 0; i < DP_MAX_REGIONS; i++)
        v->regions[i].share = 100;
    v->regions[DP_VIEW_GONE] =
        (struct dp_view_region){.name = "(removed)", .state = DP_ROUTE_BARRED};
    return v;
}

struct dp_view *dp_view_ref(struct dp_view *v)
{
    (void)atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void dp_view_unref(struct dp_view *v)
{
    if (v && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1) {
        for (uint16_t i = 0; i < DP_MAX_REGIONS; i++)
            dp_credential_unref(v->regions[i].credential);
        free(v->text);
        free(v);
    }
}

const char *dp_route_state_name(enum dp_route_state s)
{
    static const char *const names[] = {"ok", "down", "barred"};
    return s <= DP_ROUTE_BARRED ? names[s] : "?";
}
