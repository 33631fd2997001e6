/* What a client may expect to read. */
#include "proxy/fresh.h"

#include "proxy/allowance.h"
#include "proxy/exchange.h"
#include "proxy/route.h"

static uint64_t now_ms(const struct dp_exchange *x)
{
    return x->engine->wheel.now_ns / DP_NS_PER_MS;
}

/* Nothing is remembered where all goes to one region anyway, while that is so: its own answers are what there is. */
static bool remembers(const struct dp_exchange *x)
{
    const struct dp_engine *e = x->engine;
    return e->recent && e->config->recent_ms > 0 && (e->parting || !dp_rule_plain(x->rule)) &&
           x->couch.db.n > 0;
}

void dp_fresh_look(struct dp_exchange *x)
{
    if (x->couch.klass != DP_COUCH_READ || x->couch.doc.n == 0 || x->named.p || !remembers(x))
        return;
    x->knows_written = dp_recent_find(
        x->engine->recent, dp_recent_key(x->engine->recent, x->couch.db, x->couch.doc, true),
        now_ms(x), x->engine->config->recent_ms, &x->written);
}

/* By the answer's head. What does not say its revision (an attachment, a document with its conflicts) is not judged; but of
 * who is on trial it is not taken. */
static bool lags(const struct dp_exchange *x)
{
    struct dp_rev rev;
    switch (x->response.status) {
    case 404:
        return !x->written.deleted;
    case 200:
    case 304:
        return dp_rev_parse(dp_head_value(&x->response, DP_SPAN("ETag")), &rev)
                   ? !dp_recent_seen(&x->written, &rev)
                   : x->trial;
    default:
        return false;
    }
}

bool dp_fresh_is_stale(struct dp_exchange *x)
{
    struct dp_traffic *t = x->engine->traffic;
    if (x->rereads || x->view->view->endpoints[x->endpoint].region == x->written.region || !lags(x))
        return false;
    x->same_again = x->same_again || x->trial; /* as it would have gone without the trial */
    const bool may = x->body_replayable && dp_route_may_reread(x);
    dp_counter_add(may ? &t->rereads : &t->stale_reads, 1);
    return may;
}

/* Does the request's target name a document, and nothing in it? */
static bool names_whole(const struct dp_exchange *x)
{
    const struct dp_span doc = x->couch.doc;
    return doc.n > 0 && dp_couch_behind(x->request.target, doc).n == 0;
}

void dp_fresh_learn(struct dp_exchange *x)
{
    const uint16_t status = x->response.status;
    const bool done = status == 200 || status == 201 || status == 202;
    if (!done || x->couch.batch || !remembers(x))
        return;
    x->learns =
        dp_arena_alloc(&x->arena, sizeof(*x->learns)); /* without memory nothing is learned */
    if (x->learns)
        dp_rows_init(x->learns, x->couch.kind == DP_COUCH_KIND_BULK);
}

void dp_fresh_pass(struct dp_exchange *x, const struct dp_span *spans, size_t n)
{
    const uint16_t region = x->view->view->endpoints[x->endpoint].region;
    struct dp_recent_write w = {
        .region = region,
        /* of a document's writes only those that delete it are answered 200 */
        .deleted = x->response.status == 200 && names_whole(x),
    };
    struct dp_row row;
    for (size_t i = 0; i < n && region < DP_MAX_REGIONS; i++) {
        struct dp_span left = spans[i];
        while (left.n > 0) {
            size_t used = 0;
            const bool is = dp_rows_next(x->learns, left.p, left.n, &used, &row);
            left = (struct dp_span){left.p + used, left.n - used};
            w.rev = row.rev;
            if (is && dp_recent_note(x->engine->recent,
                                     dp_recent_key(x->engine->recent, x->couch.db, row.id, false),
                                     &w, now_ms(x), x->engine->config->recent_ms))
                dp_counter_add(&x->engine->traffic->writes_forgotten, 1);
        }
    }
}
