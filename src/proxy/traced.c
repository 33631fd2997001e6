/* Spans of exchanges; see traced.h. */
#include "proxy/traced.h"

#include "davenport/proxy/tracing.h"

#include "proxy/exchange.h"
#include "proxy/upstream.h"

#include <assert.h>
#include <string.h>

struct attempt {
    bool open;
    bool counted; /* `outcome` is known */
    bool reused;  /* a hedge: its connection had carried a request before */
    enum dp_outcome outcome;
    uint16_t endpoint, status;
    uint32_t number;
    uint64_t begun_ns;
    char id[DP_SPAN_ID_CHARS];
};

struct dp_traced {
    int64_t
        ahead_ns; /* what wall time is ahead of the monotonic clock, when it began: one trace, one clock */
    char id[DP_SPAN_ID_CHARS], parent[DP_SPAN_ID_CHARS];
    struct attempt attempt, hedge;
};

static int64_t wall_ns(const struct dp_exchange *x, uint64_t mono_ns)
{
    return (int64_t)mono_ns + x->traced->ahead_ns;
}

void dp_traced_begin(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_span parent = {NULL, 0};
    char id[DP_SPAN_ID_CHARS];
    if (!dp_ids_sample(&x->ids, e->config, &e->random, x->made, &parent))
        return;
    dp_ids_span(&e->random, id);
    dp_ids_tell_span(&x->ids, id);
    struct dp_traced *t = dp_arena_alloc(&x->arena, sizeof(*t));
    if (!t) {
        dp_counter_add(&e->traffic->trace_spans_dropped, 1);
        return;
    }
    *t = (struct dp_traced){.ahead_ns = dp_clock_wall_ms(e->clock) * (int64_t)DP_NS_PER_MS -
                                        (int64_t)dp_clock_mono_ns(e->clock)};
    if (parent.p)
        memcpy(t->parent, parent.p, sizeof(t->parent));
    memcpy(t->id, id, sizeof(t->id));
    x->traced = t;
}

/* Whoever is asked next is told of this one. */
static struct attempt attempt_at(struct dp_exchange *x, uint16_t endpoint, uint32_t number)
{
    struct attempt a = {.open = true,
                        .endpoint = endpoint,
                        .number = number,
                        .begun_ns = dp_clock_mono_ns(x->engine->clock)};
    dp_ids_span(&x->engine->random, a.id);
    dp_ids_tell_span(&x->ids, a.id);
    return a;
}

void dp_traced_attempt(struct dp_exchange *x)
{
    x->traced->attempt = attempt_at(x, x->endpoint, x->attempts.count);
}

void dp_traced_hedge(struct dp_exchange *x)
{
    x->traced->hedge = attempt_at(x, x->hedge->endpoint, x->attempts.count + 1);
    x->traced->hedge.reused = x->hedge->up->used;
}

void dp_traced_outcome(struct dp_exchange *x, enum dp_outcome outcome)
{
    struct attempt *a = &x->traced->attempt;
    if (!a->open || a->counted)
        return;
    a->counted = true;
    a->outcome = outcome;
    a->status = x->response_begun ? x->response.status : 0;
}

/* ---- records ---- */

static const char *method_of(const struct dp_head *h)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "COPY"};
    for (size_t i = 0; i < DP_ARRAY_LEN(names); i++) {
        if (dp_span_eq(h->method_text, dp_span_str(names[i])))
            return names[i];
    }
    return "_OTHER";
}

static void put_name(char *out, size_t cap, struct dp_span s)
{
    static const char dots[] = "...";
    if (s.n < cap) {
        memcpy(out, s.p, s.n);
        return;
    }
    memcpy(out, s.p, cap - sizeof(dots));
    memcpy(out + cap - sizeof(dots), dots, sizeof(dots));
}

static void put_place(struct dp_tracing_span *s, const struct dp_exchange *x, uint16_t endpoint)
{
    const struct dp_view *v = x->view->view;
    const struct dp_view_endpoint *e = &v->endpoints[endpoint];
    put_name(s->region, sizeof(s->region), dp_span_str(v->regions[e->region].name));
    put_name(s->endpoint, sizeof(s->endpoint), dp_span_str(e->host));
}

static struct dp_tracing_span record(const struct dp_exchange *x, const char *id, uint64_t begun_ns)
{
    struct dp_tracing_span s = {
        .begun_ns = wall_ns(x, begun_ns),
        .ended_ns = wall_ns(x, dp_clock_mono_ns(x->engine->clock)),
        .method = method_of(&x->request),
        .klass = dp_couch_class_name(x->couch.klass),
        .kind = dp_couch_kind_name(x->couch.kind),
    };
    const struct dp_span trace = dp_ids_trace(&x->ids);
    assert(trace.p); /* it was sampled */
    memcpy(s.trace, trace.p, sizeof(s.trace));
    memcpy(s.id, id, sizeof(s.id));
    return s;
}

static void give(const struct dp_exchange *x, const struct dp_tracing_span *s)
{
    if (!dp_tracing_put(x->engine->spans, s))
        dp_counter_add(&x->engine->traffic->trace_spans_dropped, 1);
}

static void end_attempt(struct dp_exchange *x, struct attempt *a)
{
    struct dp_tracing_span s = record(x, a->id, a->begun_ns);
    memcpy(s.parent, x->traced->id, sizeof(s.parent));
    s.attempt = true;
    s.hedge = a == &x->traced->hedge;
    s.status = a->status;
    s.outcome = a->counted ? dp_outcome_label(a->outcome) : NULL;
    s.failed = a->counted && dp_outcome_verdict(a->outcome) == DP_VERDICT_BAD;
    s.reused = a->reused;
    s.attempts = a->number;
    put_place(&s, x, a->endpoint);
    a->open = false;
    give(x, &s);
}

void dp_traced_attempt_end(struct dp_exchange *x)
{
    struct attempt *a = &x->traced->attempt;
    if (!a->open)
        return;
    a->reused = x->up && x->conn_reused;
    end_attempt(x, a);
}

void dp_traced_hedge_end(struct dp_exchange *x)
{
    struct attempt *a = &x->traced->hedge;
    if (!a->open)
        return;
    a->counted = true;
    a->outcome = DP_OUTCOME_ABANDONED;
    end_attempt(x, a);
}

void dp_traced_hedge_takes_over(struct dp_exchange *x)
{
    x->traced->attempt = x->traced->hedge;
    x->traced->hedge.open = false;
}

void dp_traced_end(struct dp_exchange *x, enum dp_reason reason)
{
    struct dp_tracing_span s = record(x, x->traced->id, x->begun_ns);
    memcpy(s.parent, x->traced->parent, sizeof(s.parent));
    s.remote = s.parent[0] != '\0';
    s.status = x->told;
    s.reason = dp_reason_word(reason);
    s.failed = x->told == 0 || x->told >= 500 || x->end == DP_END_CUT;
    s.client_tls = x->engine->client_tls;
    s.minor = x->request.minor;
    s.attempts = x->attempts.count;
    s.bytes_in = x->body_bytes;
    s.bytes_out = x->sent_bytes;
    s.hold_ns = x->held.total_ns;
    s.queue_ns = x->queue_ns;
    if (x->couch.db.n > 0)
        put_name(s.database, sizeof(s.database), x->couch.db);
    if (x->view && x->attempts.count > 0)
        put_place(&s, x, x->endpoint);
    give(x, &s);
}
