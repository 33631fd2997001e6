/* Counters and the access log of an exchange. */
#include "proxy/account.h"

#include "proxy/exchange.h"
#include "proxy/traced.h"

/* What was late has counted against its endpoint already. */
static enum dp_outcome once(const struct dp_exchange *x, enum dp_outcome o)
{
    if (!x->late || dp_outcome_verdict(o) == DP_VERDICT_NONE)
        return o;
    return dp_outcome_verdict(o) == DP_VERDICT_OK ? DP_OUTCOME_ANSWERED_LATE
                                                  : DP_OUTCOME_FAILED_LATE;
}

void dp_exchange_count(struct dp_exchange *x, enum dp_outcome outcome)
{
    struct dp_engine *e = x->engine;
    struct dp_traffic_endpoint *t = &e->traffic->endpoints[x->endpoint];
    if (x->traced)
        dp_traced_outcome(x, outcome);
    outcome = once(x, outcome);
    dp_counter_add(&t->outcomes[outcome], 1);
    dp_counter_add(&t->by_class[x->couch.klass][outcome], 1);
    if (dp_outcome_verdict(outcome) == DP_VERDICT_BAD && e->kick)
        e->kick(e->kick_ctx);
}

void dp_exchange_count_answer(struct dp_exchange *x, uint16_t status)
{
    struct dp_traffic *t = x->engine->traffic;
    struct dp_counter *const by_class[] = {&t->answered_2xx, &t->answered_3xx, &t->answered_4xx,
                                           &t->answered_5xx};
    unsigned i = status / 100U;
    x->told = status;
    if (status < 400 && x->couch.db.n > 0 && x->couch.db.p[0] != '_')
        dp_seen_note(&t->seen, x->couch.db, DP_SEEN_TICK(x->engine->wheel.now_ns));
    dp_counter_add(by_class[i >= 2 && i <= 5 ? i - 2 : 3], 1);
}

/* Fewer nodes than the quorum took it: that is a success, of a region that is not all there. What batch=ok gets is none. */
static void count_quorum(struct dp_exchange *x)
{
    struct dp_traffic_endpoint *t = &x->engine->traffic->endpoints[x->endpoint];
    if (!x->couch.writes || x->couch.batch)
        return;
    dp_counter_add(&t->quorum_missed, 1);
    dp_counter_set(&t->quorum_missed_ms, (uint64_t)dp_clock_wall_ms(x->engine->clock));
}

/* Has a region failed it that is not the one that was asked last? */
static bool failed_elsewhere(const struct dp_exchange *x)
{
    const struct dp_view *v = x->view ? x->view->view : NULL;
    return v && x->failed_regions & ~(UINT32_C(1) << v->endpoints[x->endpoint].region);
}

void dp_account_answer(struct dp_exchange *x)
{
    const enum dp_outcome outcome = dp_outcome_of_status(x->response.status);
    dp_exchange_count(x, outcome);
    if (x->response.status == 202)
        count_quorum(x);
    if (failed_elsewhere(x) && dp_outcome_verdict(outcome) != DP_VERDICT_BAD)
        dp_counter_add(&x->engine->traffic->rescued, 1);
}

/* Of a head that was refused as the client sent it: only a path is shown, for what else it may be (a whole URL, an
 * authority) can hold a password. */
static struct dp_span target_shown(const struct dp_exchange *x)
{
    struct dp_span t = x->request.target;
    bool path = t.n > 0 && (t.p[0] == '/' || t.p[0] == '*');
    return x->understood || path ? t : (struct dp_span){NULL, 0};
}

const char *dp_exchange_region(const struct dp_exchange *x)
{
    if (!x->view || x->attempts.count == 0)
        return NULL;
    const struct dp_view *v = x->view->view;
    return v->regions[v->endpoints[x->endpoint].region].name;
}

static enum dp_reason reason_of(const struct dp_exchange *x)
{
    const struct dp_reason_facts f = {.end = x->end,
                                      .err = x->reason,
                                      .status = x->told,
                                      .attempts = x->attempts.count,
                                      .elsewhere = failed_elsewhere(x),
                                      .hedged = x->hedge_won,
                                      .held = x->held.stay.rounds > 0};
    return dp_reason_of(&f);
}

/* The second letter of HAProxy's termination state: where it ended, if before its time. */
static char reached(const struct dp_exchange *x, enum dp_reason reason)
{
    static const char letters[DP_PHASE_COUNT] = {
        [DP_PHASE_HEAD] = 'R',    [DP_PHASE_ROUTE] = 'R',  [DP_PHASE_HOLD] = 'Q',
        [DP_PHASE_ACQUIRE] = 'C', [DP_PHASE_SEND] = 'H',   [DP_PHASE_AWAIT] = 'H',
        [DP_PHASE_STREAM] = 'D',  [DP_PHASE_SETTLE] = 'H', [DP_PHASE_DONE] = '-'};
    return dp_reason_cause(reason) == '-' ? '-' : letters[x->reached];
}

/* What else was going on here, which the haproxy format alone tells. */
static void describe_worker(const struct dp_exchange *x, struct dp_access_record *r)
{
    const struct dp_engine *e = x->engine;
    r->clients = dp_counter_get(&e->traffic->client_connections_open);
    r->regions = dp_counter_get(&e->traffic->upstream_connections_open);
    r->held = dp_counter_get(&e->traffic->held);
    if (!r->region)
        return;
    r->endpoint = x->view->view->endpoints[x->endpoint].host;
    r->in_flight = dp_counter_get(&e->traffic->endpoints[x->endpoint].in_flight);
    r->in_line = e->pools[x->endpoint].n_waiters;
}

/* The one line of this exchange. */
static void log_end(struct dp_exchange *x, enum dp_reason reason, uint64_t now_ns)
{
    struct dp_engine *e = x->engine;
    const struct dp_header *agent = dp_head_find(&x->request, DP_HEADER_USER_AGENT);
    struct dp_access_record r = {
        .wall_ms = dp_clock_wall_ms(e->clock),
        .client = x->conn->peer,
        .method = x->request.method_text,
        .target = target_shown(x),
        .klass = x->understood ? dp_couch_class_name(x->couch.klass) : NULL,
        .minor = x->request.minor,
        .status = x->told,
        .bytes_in = x->body_bytes,
        .bytes_out = x->sent_bytes,
        .head_ns = x->head_ns,
        .total_ns = now_ns - x->begun_ns,
        .queue_ns = x->queue_ns,
        .hold_ns = x->held.total_ns,
        .first_byte_ns = x->first_byte_ns,
        .region = dp_exchange_region(x),
        .attempts = x->attempts.count,
        .end = x->end,
        .reason = reason,
        .reached = reached(x, reason),
        .sent = x->sent_ns > 0,
        .request_id = x->ids.request_id,
        .trace_id = dp_ids_trace(&x->ids),
        .user_agent = agent ? agent->value : (struct dp_span){NULL, 0},
    };
    if (e->access.config.format == DP_ACCESS_HAPROXY)
        describe_worker(x, &r);
    dp_access_log_add(&e->access, &r);
}

_Static_assert(DP_TRAFFIC_KINDS == DP_COUCH_KIND_COUNT, "a row of counters each");
_Static_assert(DP_TRAFFIC_CLASSES == DP_COUCH_CLASS_COUNT, "a row of counters each");

static void count_told(struct dp_exchange *x)
{
    struct dp_traffic_kind *k = &x->engine->traffic->kinds[x->couch.kind];
    enum dp_told told = DP_TOLD_NONE;
    if (x->end == DP_END_REFUSED && x->reason != DP_OK)
        told = DP_TOLD_REFUSED;
    else if (x->told >= 200)
        told = x->told < 300   ? DP_TOLD_2XX
               : x->told < 400 ? DP_TOLD_3XX
               : x->told < 500 ? DP_TOLD_4XX
                               : DP_TOLD_5XX;
    dp_counter_add(&k->told[told], 1);
}

static void count_feed_end(const struct dp_exchange *x)
{
    enum dp_feed_end why = DP_FEED_END_ABORTED;
    switch (x->end) {
    case DP_END_CLIENT_GONE:
    case DP_END_CLIENT_SLOW:
        why = DP_FEED_END_CLIENT;
        break;
    case DP_END_ANSWERED:
        why = DP_FEED_END_REGION;
        break;
    case DP_END_FEED_ENDED:
    case DP_END_CUT:
        if (x->feed_dead)
            why = DP_FEED_END_LOST;
        else if (x->end == DP_END_CUT)
            why = DP_FEED_END_CUT;
        else
            why = x->engine->draining ? DP_FEED_END_DRAINING : DP_FEED_END_MOVED;
        break;
    case DP_END_REFUSED:
    case DP_END_ABORTED:
    case DP_END_COUNT:
        break;
    }
    dp_counter_add(&x->engine->traffic->feed_ends[why], 1);
}

static void count_times(struct dp_exchange *x, uint64_t now_ns)
{
    struct dp_traffic *t = x->engine->traffic;
    const uint64_t total_ns = now_ns - x->begun_ns;
    dp_traffic_times_add(&t->kinds[x->couch.kind].total, dp_latency_bucket(total_ns), total_ns);
    if (x->end == DP_END_ANSWERED && x->couch.feed == DP_FEED_NONE) {
        const uint64_t own_ns = x->own_ns + (x->busy_ns ? now_ns - x->busy_ns : 0);
        dp_traffic_times_add(&t->added_times, dp_added_bucket(own_ns), own_ns);
    }
    if (x->queue_ns > 0)
        dp_traffic_times_add(&t->queue_times, dp_latency_bucket(x->queue_ns), x->queue_ns);
    if (x->held.stay.rounds > 0)
        dp_traffic_times_add(&t->hold_times, dp_latency_bucket(x->held.total_ns), x->held.total_ns);
}

static void tell_end(struct dp_exchange *x, uint64_t now_ns)
{
    const enum dp_reason reason = reason_of(x);
    if (x->engine->logging)
        log_end(x, reason, now_ns);
    if (x->traced)
        dp_traced_end(x, reason);
}

void dp_account_end(struct dp_exchange *x)
{
    const uint64_t now_ns = dp_clock_mono_ns(x->engine->clock);
    if (x->understood) {
        count_told(x);
        count_times(x, now_ns);
    }
    if (x->committed && x->couch.feed != DP_FEED_NONE)
        count_feed_end(x);
    if (x->engine->logging || x->traced)
        tell_end(x, now_ns);
}
