/* One request, every region. */
#include "proxy/spread.h"

#include "davenport/base/attr.h"
#include "davenport/base/log.h"

#include "proxy/exchange.h"
#include "proxy/inquiry.h"
#include "proxy/route.h"

#include <string.h>

/* Of a region's answer, which nobody reads. */
#define ANSWER_BYTES (64U << 10)

/* In the exchange's arena. */
struct dp_spread {
    struct dp_buf answer; /* the active region's */
    uint16_t to;          /* the region that has it now, or has it next */
    uint32_t missed;      /* bit per region that did not take it */
    struct dp_inquiry inquiry;
};

static bool is_spread(const struct dp_exchange *x)
{
    return x->couch.kind == DP_COUCH_KIND_NOT_REPLICATED && x->couch.klass == DP_COUCH_WRITE &&
           !x->named.p && x->engine->config->not_replicated != DP_SPREAD_ACTIVE;
}

/* A region that is held lacks data, and is to have this all the same; one that an operator drained is left alone. */
static bool takes_it(const struct dp_view *v, uint16_t region)
{
    const struct dp_view_region *r = &v->regions[region];
    return r->state == DP_ROUTE_OK || (r->state == DP_ROUTE_BARRED && r->held);
}

enum dp_err dp_spread_check(const struct dp_exchange *x)
{
    const struct dp_view *v = x->view->view;
    if (!is_spread(x) || x->engine->config->not_replicated != DP_SPREAD_STRICT)
        return DP_OK;
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (!takes_it(v, i))
            return DP_ENOTEVERYWHERE;
    }
    return DP_OK;
}

/* Done, or so before. */
static bool is_done(const struct dp_exchange *x, uint16_t status)
{
    if (status == 200 || status == 201 || status == 202)
        return true;
    const bool database =
        x->couch.db.n > 0 && dp_couch_behind(x->request.target, x->couch.db).n == 0;
    return database && status == (x->request.method == DP_METHOD_PUT ? 412 : 404);
}

bool dp_spread_wants(const struct dp_exchange *x)
{
    return is_spread(x) && x->view->view->n_regions > 1 && is_done(x, x->response.status);
}

bool dp_spread_may(const struct dp_exchange *x)
{
    return x->request_complete && x->body_replayable;
}

/* ", "-joined; without memory nobody is named. */
static struct dp_span names_of(struct dp_exchange *x, uint32_t regions)
{
    const struct dp_view *v = x->view->view;
    struct dp_span out = {NULL, 0};
    char *p = dp_arena_alloc(&x->arena, DP_MAX_REGIONS * 66);
    for (uint16_t i = 0; p && i < v->n_regions; i++) {
        const size_t n = strlen(v->regions[i].name);
        if (!(regions >> i & 1) || n > 64)
            continue;
        if (out.n > 0) {
            memcpy(p + out.n, ", ", 2);
            out.n += 2;
        }
        memcpy(p + out.n, v->regions[i].name, n);
        out.n += n;
        out.p = p;
    }
    return out;
}

/* All have been asked that were to be. True: the answer is the active region's. */
static bool account(struct dp_exchange *x, uint32_t missed)
{
    const bool strict = x->engine->config->not_replicated == DP_SPREAD_STRICT;
    if (missed)
        x->missed = names_of(x, missed);
    dp_counter_add(&x->engine->traffic->spread, 1);
    dp_counter_add(&x->engine->traffic->spread_missed, missed != 0);
    return !missed || !strict;
}

static void finish(struct dp_exchange *x)
{
    struct dp_spread *s = x->spread;
    struct dp_buf answer = s->answer;
    dp_inquiry_drop(&s->inquiry);
    x->spread = NULL;
    if (account(x, s->missed)) {
        dp_answer_whole(x, &answer);
    } else {
        dp_buf_clear(&answer);
        dp_exchange_refuse(x, DP_ENOTEVERYWHERE);
    }
}

static void log_miss(const struct dp_exchange *x, uint16_t region, enum dp_err err, uint16_t status)
{
    dp_log(DP_LOG_WARN, "spread_missed", DP_KV_STR("region", x->view->view->regions[region].name),
           DP_KV_SPAN("method", x->request.method_text), DP_KV_SPAN("database", x->couch.db),
           DP_KV_STR("error", err ? dp_err_info(err)->code : ""), DP_KV_INT("status", status));
}

static void miss(struct dp_exchange *x, uint16_t region, enum dp_err err, uint16_t status)
{
    x->spread->missed |= UINT32_C(1) << region;
    log_miss(x, region, err, status);
}

bool dp_spread_skip(struct dp_exchange *x, enum dp_err why)
{
    const struct dp_view *v = x->view->view;
    uint32_t missed = 0;
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (i == v->endpoints[x->endpoint].region)
            continue;
        missed |= UINT32_C(1) << i;
        log_miss(x, i, why, 0);
    }
    if (account(x, missed))
        return true;
    dp_exchange_refuse(x, DP_ENOTEVERYWHERE);
    return false;
}

static void go_on(struct dp_exchange *x);

static void answered(struct dp_inquiry *q, enum dp_err err)
{
    struct dp_exchange *x = q->x;
    if (err || !is_done(x, q->answer.status))
        miss(x, x->spread->to, err, err ? 0 : q->answer.status);
    dp_inquiry_drop(q);
    x->spread->to++;
    go_on(x);
}

static void go_on(struct dp_exchange *x)
{
    struct dp_spread *s = x->spread;
    const struct dp_view *v = x->view->view;
    const struct dp_attempts none = {.turn = x->attempts.turn}; /* twice does no harm */
    const uint16_t active = v->endpoints[x->endpoint].region;
    for (; s->to < v->n_regions; s->to++) {
        if (s->to == active)
            continue;
        const struct dp_route r = dp_route_within(x, s->to, &none);
        enum dp_err err = takes_it(v, s->to) && r.kind == DP_ROUTE_SEND ? DP_OK : DP_ENOREGION;
        const struct dp_inquiry_ask ask = {
            .endpoint = r.endpoint, .again = true, .max_bytes = ANSWER_BYTES};
        if (!err)
            err = dp_inquiry_begin(&s->inquiry, x, &ask, answered);
        if (!err)
            return;
        miss(x, s->to, err, 0);
    }
    finish(x);
}

void dp_spread_begin(struct dp_exchange *x, struct dp_buf *answer)
{
    struct dp_spread *s = dp_arena_alloc(&x->arena, sizeof(*s));
    if (!s) {
        dp_buf_clear(answer);
        dp_exchange_refuse(x, DP_ENOMEM);
        return;
    }
    *s = (struct dp_spread){.answer = *answer};
    x->spread = s;
    dp_exchange_set_phase(x, DP_PHASE_SETTLE);
    go_on(x);
}

void dp_spread_expire(struct dp_exchange *x)
{
    struct dp_spread *s = x->spread;
    const struct dp_view *v = x->view->view;
    dp_inquiry_drop(&s->inquiry);
    for (; s->to < v->n_regions; s->to++) {
        if (s->to != v->endpoints[x->endpoint].region)
            miss(x, s->to, DP_EDEADLINE, 0);
    }
    finish(x);
}

void dp_spread_drop(struct dp_exchange *x)
{
    struct dp_spread *s = x->spread;
    dp_inquiry_drop(&s->inquiry);
    dp_buf_clear(&s->answer);
    x->spread = NULL;
}
