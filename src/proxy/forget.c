/* A replication that is told of no checkpoint compares all it has with the region again, and so brings back what was lost
 * with the region before. */
#include "proxy/forget.h"

#include "davenport/proxy/checkpoints.h"

#include "proxy/exchange.h"

bool dp_forget_checkpoint(struct dp_exchange *x, uint16_t endpoint)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = x->view->view;
    const struct dp_couch_request *r = &x->couch;
    char name[DP_COUCH_NAME_BYTES];
    if (!e->checkpoints || v->parted == 0 || v->endpoints[endpoint].region != v->active ||
        r->doc.n == 0 || !dp_span_starts(dp_couch_name(r->doc, name), DP_SPAN("_local/")))
        return false;
    /* written, it is a new one */
    if (!dp_checkpoints_first(e->checkpoints, v->parted, r->db, r->doc) ||
        r->klass != DP_COUCH_READ)
        return false;
    dp_counter_add(&e->traffic->checkpoints_forgotten, 1);
    return true;
}
