/* Carries out the faults of drills. Nothing here judges: the attempt's own times, its lateness and its end are seen by
 * those who see them of any other. */
#include "proxy/fault.h"

#include "davenport/base/attr.h"

#include "proxy/exchange.h"
#include "proxy/mute.h"
#include "proxy/upstream.h"

static void let_wait(struct dp_upstream *up, enum dp_upstream_due what, uint32_t ms)
{
    struct dp_engine *e = up->engine;
    up->due = what;
    up->due_ns = dp_clock_mono_ns(e->clock) + ms * DP_NS_PER_MS;
    dp_list_push_back(&e->faulted, &up->faulted);
}

/* False: there is no memory to. Then it is a connection as any other. */
static bool silence(struct dp_upstream *up)
{
    struct dp_stream *mute = dp_mute_new(up->stream);
    if (!mute)
        return false;
    up->stream = mute;
    up->used =
        false; /* its end is the region's doing, not that of a pool that kept it for too long */
    return true;
}

enum dp_fault_kind dp_fault_meet(struct dp_exchange *x, uint16_t endpoint, struct dp_upstream *up)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = e->view->view; /* of now: the request may have waited since its own */
    const struct dp_fault *f = &v->faults[v->endpoints[endpoint].region];
    char name[DP_COUCH_NAME_BYTES];
    if (!(v->faulty >> v->endpoints[endpoint].region & 1) ||
        !dp_fault_meets(f, dp_couch_name(x->couch.db, name), dp_random_next(&e->random)))
        return DP_FAULT_NONE;
    switch (f->kind) {
    case DP_FAULT_NONE:
        return DP_FAULT_NONE;
    case DP_FAULT_REFUSED:
        break;
    case DP_FAULT_DARK:
        if (!silence(up))
            return DP_FAULT_NONE;
        break;
    case DP_FAULT_FLAKY:
        if (!silence(up))
            return DP_FAULT_NONE;
        let_wait(up, DP_DUE_END, 0);
        break;
    case DP_FAULT_SLOW:
        dp_stream_read_stop(up->stream);
        let_wait(up, DP_DUE_READ, f->delay_ms);
        break;
    }
    dp_counter_add(&e->traffic->faults_met, 1);
    return f->kind;
}

/* Ending one may close others, and a closed one leaves whatever list it is in. */
void dp_fault_due(struct dp_engine *e)
{
    const uint64_t now_ns = e->wheel.now_ns;
    struct dp_list due;
    dp_list_init(&due);
    for (struct dp_list *n = e->faulted.next, *next; n != &e->faulted; n = next) {
        next = n->next;
        if (DP_CONTAINER_OF(n, struct dp_upstream, faulted)->due_ns > now_ns)
            continue;
        dp_list_remove(n);
        dp_list_push_back(&due, n);
    }
    while (!dp_list_empty(&due)) {
        struct dp_upstream *up = DP_CONTAINER_OF(due.next, struct dp_upstream, faulted);
        dp_list_remove(&up->faulted);
        if (up->due == DP_DUE_READ)
            dp_stream_read_start(up->stream);
        else
            dp_upstream_broke(up);
    }
}
