/* One request's life: routing, attempts, their failures, its end. The bytes are relay.c's. */
#include "proxy/exchange.h"

#include "davenport/base/attr.h"
#include "davenport/base/log.h"
#include "davenport/http/upgrade.h"

#include "proxy/allowance.h"
#include "proxy/feed_end.h"
#include "proxy/forward.h"
#include "proxy/route.h"
#include "proxy/upstream.h"

#include <assert.h>

/* One of so many parts of limits.buffer_bytes is for what is under way. */
#define SHED_PART 8

/* The phases as a table: name, and which may follow (bit per phase). */
#define BIT(p) (1U << DP_PHASE_##p)
static const struct {
    const char *name;
    unsigned next;
} phases[DP_PHASE_COUNT] = {
    [DP_PHASE_HEAD] = {"head", BIT(ROUTE) | BIT(DONE)},
    [DP_PHASE_ROUTE] = {"route", BIT(ROUTE) | BIT(HOLD) | BIT(ACQUIRE) | BIT(SEND) | BIT(DONE)},
    [DP_PHASE_HOLD] = {"hold", BIT(ROUTE) | BIT(DONE)},
    [DP_PHASE_ACQUIRE] = {"acquire", BIT(ROUTE) | BIT(SEND) | BIT(DONE)},
    [DP_PHASE_SEND] = {"send", BIT(ROUTE) | BIT(AWAIT) | BIT(STREAM) | BIT(DONE)},
    [DP_PHASE_AWAIT] = {"await", BIT(ROUTE) | BIT(STREAM) | BIT(DONE)},
    [DP_PHASE_STREAM] = {"stream", BIT(DONE)},
    [DP_PHASE_DONE] = {"done", 0},
};

void dp_exchange_set_phase(struct dp_exchange *x, enum dp_phase phase)
{
    assert(phases[x->phase].next & (1U << phase));
    x->phase = phase;
}

static void lease_done(struct dp_lease *l, struct dp_upstream *up, enum dp_err err);
static void answer_ourselves(struct dp_exchange *x, enum dp_err err);
static enum dp_err final_error(const struct dp_exchange *x, enum dp_err err);

struct dp_exchange *dp_exchange_new(struct dp_conn *c)
{
    struct dp_arena arena;
    dp_arena_init(&arena, &c->engine->arenas);
    struct dp_exchange *x = dp_arena_alloc(&arena, sizeof(*x) + DP_IDS_LINES_BYTES);
    if (!x)
        return NULL;
    *x = (struct dp_exchange){.arena = arena,
                              .engine = c->engine,
                              .conn = c,
                              .body_replayable = true,
                              .attempts = {.turn = c->engine->n_requests++},
                              .hops_left = DP_NO_HOPS,
                              .first_byte_ns = DP_NO_TIME};
    if (c->engine->logging)
        x->begun_ns = dp_clock_mono_ns(c->engine->clock);
    dp_buf_init(&x->replay, &c->engine->chunks);
    dp_lease_init(&x->lease, lease_done);
    dp_list_init(&x->awaited);
    dp_list_init(&x->held.node);
    dp_counter_add(&c->engine->traffic->requests, 1);
    dp_counter_add(&c->engine->traffic->requests_active, 1);
    return x;
}

static void leave_line(struct dp_exchange *x)
{
    if (x->queued_ns == 0)
        return;
    x->queue_ns += dp_clock_mono_ns(x->engine->clock) - x->queued_ns;
    x->queued_ns = 0;
}

/* Let go of the attempt's connection, or of the place in line for one. */
static void release_attempt(struct dp_exchange *x, bool up_reusable)
{
    struct dp_upstream *up = x->up;
    dp_lease_cancel(&x->lease);
    leave_line(x);
    dp_list_remove(&x->awaited);
    dp_route_ended(x);
    dp_allowance_return(x);
    if (!up)
        return;
    x->up = NULL;
    if (x->up_paused) { /* the client has yet to take the last of the answer; the region is done */
        x->up_paused = false;
        dp_stream_read_start(up->stream);
    }
    dp_counter_sub(&x->engine->traffic->endpoints[x->endpoint].in_flight, 1);
    dp_upstream_release(up, up_reusable);
}

void dp_exchange_let_go(struct dp_exchange *x)
{
    release_attempt(x, false);
}

/* The same, and of what it has besides: a hedge, or a place in wait for a region. */
static void end_attempt(struct dp_exchange *x, bool up_reusable)
{
    if (x->hedge)
        dp_hedge_drop(x);
    dp_hold_drop(x);
    release_attempt(x, up_reusable);
}

static const char *class_name(const struct dp_exchange *x)
{
    static const char *const names[] = {[DP_COUCH_READ] = "read",
                                        [DP_COUCH_WRITE] = "write",
                                        [DP_COUCH_POST] = "post",
                                        [DP_COUCH_FEED] = "feed"};
    return x->understood ? names[x->couch.klass] : NULL;
}

/* Of a head that was refused as the client sent it: only a path is shown, for what else it may be (a whole URL, an
 * authority) can hold a password. */
static struct dp_span target_shown(const struct dp_exchange *x)
{
    struct dp_span t = x->request.target;
    bool path = t.n > 0 && (t.p[0] == '/' || t.p[0] == '*');
    return x->understood || path ? t : (struct dp_span){NULL, 0};
}

static const char *region_name(const struct dp_exchange *x)
{
    if (!x->view || x->attempts.count == 0)
        return NULL;
    const struct dp_view *v = x->view->view;
    return v->regions[v->endpoints[x->endpoint].region].name;
}

/* The one line of this exchange. */
static void log_end(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    const struct dp_header *agent = dp_head_find(&x->request, DP_HEADER_USER_AGENT);
    const struct dp_access_record r = {
        .wall_ms = dp_clock_wall_ms(e->clock),
        .client = x->conn->peer,
        .method = x->request.method_text,
        .target = target_shown(x),
        .klass = class_name(x),
        .minor = x->request.minor,
        .status = x->told,
        .bytes_in = x->body_bytes,
        .bytes_out = x->sent_bytes,
        .total_ns = dp_clock_mono_ns(e->clock) - x->begun_ns,
        .queue_ns = x->queue_ns,
        .hold_ns = x->held.total_ns,
        .first_byte_ns = x->first_byte_ns,
        .region = region_name(x),
        .attempts = x->attempts.count,
        .end = x->end,
        .reason = x->reason,
        .request_id = x->ids.request_id,
        .trace_id = dp_ids_trace(&x->ids),
        .user_agent = agent ? agent->value : (struct dp_span){NULL, 0},
    };
    dp_access_log_add(&e->access, &r);
}

void dp_exchange_destroy(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_arena arena;
    end_attempt(x, false);
    if (x->deadline.fire)
        dp_timer_disarm(&x->deadline);
    if (e->logging)
        log_end(x);
    if (x->committed && x->couch.feed != DP_FEED_NONE)
        dp_counter_sub(&e->traffic->feeds_active, 1);
    dp_counter_sub(&e->traffic->requests_active, 1);
    dp_engine_unpin(e, x->view);
    dp_buf_clear(&x->replay);
    arena = x->arena; /* it holds x itself */
    dp_arena_reset(&arena);
}

/* ---- the request ---- */

/* Nothing new is begun while what is under way has most of the memory there is: a body or an answer that finds none has
 * to be cut. */
static bool must_shed(const struct dp_chunk_pool *chunks)
{
    return chunks->n_used > chunks->max_used - chunks->max_used / SHED_PART;
}

/* May this request be passed on at all? */
static enum dp_err check_request(struct dp_exchange *x)
{
    const struct dp_head *h = &x->request;
    const struct dp_proxy_config *c = x->engine->config;
    if (c->max_body_bytes > 0 && h->framing == DP_FRAMING_LENGTH &&
        h->content_length > c->max_body_bytes)
        return DP_EBODYSIZE;
    if (c->refuses_upgrades && dp_upgrade_insists(h))
        return DP_EUPGRADE;
    if (c->max_via > 0 && dp_via_count(h, c->via) >= c->max_via)
        return DP_ELOOP;
    return dp_hops_left(h, &x->hops_left);
}

static void past_deadline(struct dp_timer *t)
{
    struct dp_exchange *x = DP_CONTAINER_OF(t, struct dp_exchange, deadline);
    dp_counter_add(&x->engine->traffic->deadlines, 1);
    if (x->up)
        dp_exchange_count(x, DP_OUTCOME_ABANDONED);
    dp_exchange_give_up(x, DP_EDEADLINE);
}

static void begin_deadline(struct dp_exchange *x)
{
    dp_timer_init(&x->deadline, past_deadline);
    dp_engine_wait(x->engine, &x->deadline, DP_WAIT_REQUEST);
}

void dp_exchange_begin(struct dp_exchange *x)
{
    const struct dp_head *h = &x->request;
    struct dp_engine *e = x->engine;
    const struct dp_header *override = dp_head_find(h, DP_HEADER_X_HTTP_METHOD_OVERRIDE);
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    x->understood = true;
    if (e->config->hedge_percent > 0)
        dp_hedge_earn(&e->hedges, e->config->hedge_percent);
    dp_ids_choose(&x->ids, h, e->config, &e->random, x->made);
    if (override)
        dp_counter_add(&e->traffic->method_overrides, 1);
    x->couch = dp_couch_classify(h->method_text,
                                 override ? override->value : (struct dp_span){NULL, 0}, h->target);
    enum dp_err err = check_request(x);
    if (err)
        dp_exchange_refuse(x, err);
    else if (e->config->request_timeout_ms > 0 && x->couch.feed == DP_FEED_NONE)
        begin_deadline(x);
}

static enum dp_replay replay_of(const struct dp_couch_request *r)
{
    if (!r->idempotent)
        return DP_REPLAY_NEVER;
    return r->klass == DP_COUCH_WRITE ? DP_REPLAY_IDEMPOTENT : DP_REPLAY_SAFE;
}

static bool may_retry(const struct dp_exchange *x)
{
    const struct dp_attempt_facts f = {
        .replay = replay_of(&x->couch),
        .wrote_any = x->wrote_any,
        .body_replayable = x->body_replayable,
        .committed = x->committed,
    };
    return dp_policy_may_retry(&f);
}

/* ---- attempts ---- */

static void begin_sending(struct dp_exchange *x, struct dp_upstream *up)
{
    x->up = up;
    x->conn_reused = up->used;
    x->wrote_before = x->wrote_any;
    x->sent_turn = x->engine->turns;
    x->sent_mark = dp_stream_written(up->stream);
    x->response_begun = false;
    x->late = false;
    x->send_failed = false;
    x->interim = 0;
    dp_counter_add(&x->engine->traffic->endpoints[x->endpoint].in_flight, 1);
    dp_upstream_attach(up, x);
    dp_reader_begin(up->reader, &x->arena, &x->response, x->request.method);
    dp_exchange_set_phase(x, DP_PHASE_SEND);
    dp_relay_send(x);
}

static enum dp_outcome dial_outcome(enum dp_err err)
{
    if (err == DP_ETIMEOUT)
        return DP_OUTCOME_CONNECT_TIMEOUT;
    return err == DP_ETLS ? DP_OUTCOME_TLS_FAULT : DP_OUTCOME_CONNECT_REFUSED;
}

static void lease_done(struct dp_lease *l, struct dp_upstream *up, enum dp_err err)
{
    struct dp_exchange *x = DP_CONTAINER_OF(l, struct dp_exchange, lease);
    leave_line(x);
    if (up)
        begin_sending(x, up);
    else if (err == DP_ELINE || err == DP_ENOMEM) /* our own trouble, none of the region's */
        dp_exchange_refuse(x, err);
    else if (err == DP_ECLOSED)
        dp_exchange_attempt_failed(x, DP_OUTCOME_STALE, err);
    else
        dp_exchange_attempt_failed(x, dial_outcome(err), err);
}

/* x->endpoint is where to. */
static void begin_attempt(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_pool *pool = &e->pools[x->endpoint];
    x->attempts.count++;
    /* After a stale connection the others in the pool are suspect too: dial. */
    struct dp_upstream *up = x->stale_retry ? NULL : dp_pool_take(pool);
    if (up) {
        begin_sending(x, up);
        return;
    }
    dp_exchange_set_phase(x, DP_PHASE_ACQUIRE);
    if (e->logging)
        x->queued_ns = dp_clock_mono_ns(e->clock);
    enum dp_err err = dp_pool_wait(pool, &x->lease);
    if (err)
        dp_exchange_refuse(x, err);
}

/* The regions that may have carried it out, in the numbers of another configuration: an endpoint that stays keeps its own.
 * Of one that left nobody can say what region it was of, so there is none left that may have it. */
static uint32_t renumbered(uint32_t regions, const struct dp_view *old, const struct dp_view *now)
{
    uint32_t out = 0;
    for (uint16_t ep = 0; ep < old->n_endpoints; ep++) {
        if (!(regions >> old->endpoints[ep].region & 1))
            continue;
        if (ep >= now->n_endpoints || now->endpoints[ep].region == DP_VIEW_GONE)
            return UINT32_MAX;
        out |= UINT32_C(1) << now->endpoints[ep].region;
    }
    return out;
}

void dp_exchange_follow(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_pinned_view *old = x->view;
    x->view = dp_engine_pin(e);
    if (!old || old->view->generation != x->view->view->generation)
        dp_route_begin(x);
    if (old && old->view->numbering != x->view->view->numbering)
        x->attempts.acted_mask = renumbered(x->attempts.acted_mask, old->view, x->view->view);
    dp_engine_unpin(e, old);
}

void dp_exchange_route(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    if (x->hops_left == 0) {
        answer_ourselves(x, DP_OK);
        return;
    }
    if (x->attempts.count == 0 && must_shed(&e->chunks)) {
        dp_exchange_refuse(x, DP_ESHED);
        return;
    }
    dp_exchange_follow(x);
    struct dp_route r = dp_route_next(x);
    if (r.kind == DP_ROUTE_SEND && dp_allowance_spend(x)) {
        begin_attempt(x);
        return;
    }
    if (r.kind == DP_ROUTE_SEND) {
        dp_route_ended(x);
        r.why = DP_EBUDGET;
    }
    if (!dp_route_may_come(x, r.why) || !dp_hold_take(x, r.why))
        dp_exchange_give_up(x, r.why);
}

void dp_exchange_resume(struct dp_exchange *x)
{
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    dp_exchange_route(x);
}

void dp_exchange_count(struct dp_exchange *x, enum dp_outcome outcome)
{
    struct dp_engine *e = x->engine;
    dp_counter_add(&e->traffic->endpoints[x->endpoint].outcomes[outcome], 1);
    if (dp_outcome_verdict(outcome) == DP_VERDICT_BAD && e->kick)
        e->kick(e->kick_ctx);
}

/* What the client is told when this was the last attempt. */
static enum dp_err final_error(const struct dp_exchange *x, enum dp_err err)
{
    bool writes = x->couch.klass == DP_COUCH_WRITE || x->couch.klass == DP_COUCH_POST;
    if (x->wrote_any && writes)
        return DP_EUNKNOWNOUTCOME;
    return dp_err_info(err)->status > 0 ? err : DP_ENOREGION;
}

void dp_exchange_give_up(struct dp_exchange *x, enum dp_err why)
{
    dp_exchange_refuse(x, final_error(x, why));
}

/* Its endpoint failed it, after it was sent there or before, or declined it. */
static void note_failure(struct dp_exchange *x, enum dp_outcome outcome, bool sent)
{
    const uint16_t region = x->view->view->endpoints[x->endpoint].region;
    x->attempts.failed_mask |= UINT32_C(1) << x->endpoint;
    if (sent && replay_of(&x->couch) == DP_REPLAY_IDEMPOTENT)
        x->attempts.acted_mask |= UINT32_C(1) << region;
    if (outcome != DP_OUTCOME_THROTTLED)
        x->failed_regions |= UINT32_C(1) << region;
}

/* Where it would go if its endpoint failed it now: DP_OK, or why nowhere. */
static enum dp_err ask_elsewhere(struct dp_exchange *x)
{
    const struct dp_attempts attempts = x->attempts;
    const uint32_t regions = x->failed_regions;
    note_failure(x, DP_OUTCOME_ABANDONED, true);
    const enum dp_err why = dp_route_why_not(x);
    x->attempts = attempts;
    x->failed_regions = regions;
    return why;
}

void dp_exchange_attempt_failed(struct dp_exchange *x, enum dp_outcome outcome, enum dp_err err)
{
    struct dp_traffic *t = x->engine->traffic;
    const struct dp_view *v = x->view->view;
    const bool sent = x->up && x->wrote_any; /* a dial that failed sent nothing */
    dp_exchange_count(x, outcome);
    dp_log(DP_LOG_DEBUG, "attempt_failed",
           DP_KV_STR("region", v->regions[v->endpoints[x->endpoint].region].name),
           DP_KV_STR("outcome", dp_outcome_label(outcome)),
           DP_KV_STR("error", dp_err_info(err)->code), DP_KV_STR("phase", phases[x->phase].name),
           DP_KV_INT("attempt", x->attempts.count));
    if (x->hedge) {
        note_failure(x, outcome, sent);
        release_attempt(x, false);
        dp_hedge_promote(x);
        return;
    }
    end_attempt(x, false);
    if (x->committed) {
        x->reason = err;
        if (x->couch.feed != DP_FEED_NONE)
            dp_feed_end_dead(x);
        else
            dp_exchange_cut(x);
        return;
    }
    if (outcome == DP_OUTCOME_STALE && !x->stale_retry) {
        dp_counter_add(&t->stale_connections, 1);
        x->stale_retry = true;
        x->same_again = true;
    } else {
        note_failure(x, outcome, sent);
    }
    if (!may_retry(x)) {
        dp_exchange_give_up(x, err);
        return;
    }
    dp_counter_add(&t->retries, 1);
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    dp_exchange_route(x);
}

bool dp_exchange_declined(struct dp_exchange *x)
{
    if (!x->body_replayable || !dp_route_declined(x))
        return false;
    x->wrote_any = x->wrote_before; /* it said that it did nothing */
    dp_counter_add(&x->engine->traffic->declined_elsewhere, 1);
    dp_exchange_attempt_failed(x, DP_OUTCOME_THROTTLED, DP_ELIMIT);
    return true;
}

/* ---- the end ---- */

void dp_exchange_count_answer(struct dp_exchange *x, uint16_t status)
{
    struct dp_traffic *t = x->engine->traffic;
    struct dp_counter *const by_class[] = {&t->answered_2xx, &t->answered_3xx, &t->answered_4xx,
                                           &t->answered_5xx};
    unsigned i = status / 100U;
    x->told = status;
    dp_counter_add(by_class[i >= 2 && i <= 5 ? i - 2 : 3], 1);
}

static void count_refusal(struct dp_traffic *t, enum dp_err err)
{
    dp_counter_add(&t->refused, err != DP_OK);
    dp_counter_add(&t->refused_by[err], 1);
    dp_counter_add(&t->no_region, err == DP_ENOREGION);
    dp_counter_add(&t->outcome_unknown, err == DP_EUNKNOWNOUTCOME);
}

/* 0: there is no saying. */
static uint32_t retry_after_s(const struct dp_engine *e, enum dp_err err)
{
    if (err == DP_ENOREGION || err == DP_EPRIMARY || err == DP_ESTICKY)
        return e->view->view->retry_after_s;
    return err == DP_ELIMIT || err == DP_ELINE || err == DP_ESHED || err == DP_EBUDGET
               ? DP_RETRY_SOON_S
               : 0;
}

/* DP_OK: an OPTIONS that was to come no further. */
static void answer_ourselves(struct dp_exchange *x, enum dp_err err)
{
    struct dp_conn *c = x->conn;
    struct dp_engine *e = x->engine;
    if (!x->understood) /* what the client calls it may be sound all the same */
        dp_ids_choose(&x->ids, &x->request, e->config, &e->random, x->made);
    const struct dp_forward_own f = {
        .err = err,
        .retry_after_s = retry_after_s(e, err),
        .date = dp_engine_date(e),
        .request_id = x->ids.request_id,
        .head_only = x->request.method == DP_METHOD_HEAD,
        .keep_alive =
            x->request_complete && x->request.keep_alive && !e->draining && !dp_conn_spent(c),
        .client_minor = x->request.raw.p ? x->request.minor : 1,
    };
    struct dp_span answer = dp_forward_own(&x->arena, &f);
    if (!answer.p || dp_stream_write(c->stream, &answer, 1) != DP_OK) {
        x->end = answer.p ? DP_END_CLIENT_GONE : DP_END_ABORTED;
        dp_conn_abort(c, true);
        return;
    }
    x->end = DP_END_REFUSED;
    x->reason = err;
    x->sent_bytes = f.head_only ? 0 : dp_forward_own_bytes(err);
    dp_exchange_count_answer(x, dp_forward_own_status(err));
    count_refusal(e->traffic, err);
    dp_exchange_set_phase(x, DP_PHASE_DONE);
    dp_conn_exchange_done(c, f.keep_alive);
}

void dp_exchange_refuse(struct dp_exchange *x, enum dp_err err)
{
    end_attempt(x, false);
    if (x->committed) {
        x->reason = err;
        dp_exchange_cut(x);
        return;
    }
    answer_ourselves(x, err);
}

void dp_exchange_finish(struct dp_exchange *x, bool up_clean)
{
    const struct dp_view *v = x->view->view;
    enum dp_outcome outcome = dp_outcome_of_status(x->response.status);
    if (x->late && dp_outcome_verdict(outcome) == DP_VERDICT_OK)
        outcome = DP_OUTCOME_ANSWERED_LATE;
    dp_exchange_count(x, outcome);
    if (x->failed_regions & ~(UINT32_C(1) << v->endpoints[x->endpoint].region))
        dp_counter_add(&x->engine->traffic->rescued, 1);
    /* CouchDB's eventsource sends eleven bytes behind its last chunk, maybe in a packet of their own. */
    bool feed = x->couch.feed != DP_FEED_NONE;
    end_attempt(x, up_clean && !feed && x->request_complete && !x->send_failed &&
                       x->response.keep_alive);
    dp_exchange_set_phase(x, DP_PHASE_DONE);
    x->end = DP_END_ANSWERED;
    dp_conn_exchange_done(x->conn, x->keep && x->request_complete);
}

void dp_exchange_cut(struct dp_exchange *x)
{
    struct dp_conn *c = x->conn;
    end_attempt(x, false);
    if (x->end == DP_END_ABORTED)
        x->end = DP_END_CUT;
    /* Without a length and without chunks only a reset tells the client that this was not all. Else
     * let what has come reach it: the missing length or last chunk says the rest. */
    if (x->out == DP_FRAMING_CLOSE) {
        dp_conn_abort(c, true);
        return;
    }
    dp_exchange_set_phase(x, DP_PHASE_DONE);
    dp_conn_exchange_done(c, false);
}

/* ---- what happens around it ---- */

void dp_exchange_client_gone(struct dp_exchange *x)
{
    if (x->up)
        dp_exchange_count(x, DP_OUTCOME_CLIENT_GONE);
    x->end = DP_END_CLIENT_GONE;
    /* It may have finished its side only, and then a cut answer must not look like a whole one. */
    dp_conn_abort(x->conn, x->committed && x->out == DP_FRAMING_CLOSE);
}

void dp_exchange_client_timeout(struct dp_exchange *x, enum dp_err err)
{
    bool slow_reader = x->committed && dp_stream_pending(x->conn->stream) > 0;
    if (x->up)
        dp_exchange_count(x, DP_OUTCOME_CLIENT_GONE);
    dp_counter_add(&x->engine->traffic->clients_slow, 1);
    if (slow_reader) {
        x->end = DP_END_CLIENT_SLOW;
        x->reason = err;
        dp_conn_abort(x->conn, true);
    } else {
        dp_exchange_refuse(x, err);
    }
}

void dp_exchange_up_timeout(struct dp_exchange *x)
{
    if (x->phase == DP_PHASE_STREAM)
        dp_exchange_attempt_failed(x, DP_OUTCOME_TRUNCATED, DP_ETIMEOUT);
    else
        dp_exchange_attempt_failed(x, DP_OUTCOME_ANSWER_TIMEOUT, DP_ETIMEOUT);
}

void dp_exchange_late(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    dp_list_remove(&x->awaited);
    x->late = true;
    if (e->config->try_timeout_ms > 0)
        dp_list_push_back(&e->overdue, &x->awaited);
    dp_route_took(x, dp_clock_mono_ns(e->clock) - x->sent_ns); /* at least */
    dp_counter_add(&e->traffic->endpoints[x->endpoint].late, 1);
    if (e->kick)
        e->kick(e->kick_ctx);
}

void dp_exchange_overdue(struct dp_exchange *x)
{
    dp_list_remove(&x->awaited);
    if (!may_retry(x) || ask_elsewhere(x) != DP_OK)
        return; /* better late than never */
    dp_counter_add(&x->engine->traffic->try_timeouts, 1);
    /* Its lateness was counted when it began. */
    dp_exchange_attempt_failed(x, x->late ? DP_OUTCOME_ABANDONED : DP_OUTCOME_ANSWER_TIMEOUT,
                               DP_ETIMEOUT);
}

/* A write that its region may have carried out, and that no other one takes now: the answer may still come, and nobody
 * else would have a better one. The next view may know of another region. */
static bool only_its_region_can_tell(struct dp_exchange *x)
{
    if (!x->up || !x->wrote_any || replay_of(&x->couch) != DP_REPLAY_IDEMPOTENT)
        return false;
    const enum dp_err why = ask_elsewhere(x);
    return why != DP_OK && why != DP_EBUDGET;
}

void dp_exchange_view_changed(struct dp_exchange *x, const struct dp_view *view)
{
    const struct dp_view_endpoint *ep = &view->endpoints[x->endpoint];
    bool gone = ep->region == DP_VIEW_GONE; /* taken out by a reload: what was sent is waited for */
    if (x->phase < DP_PHASE_ACQUIRE || x->phase > DP_PHASE_STREAM ||
        (ep->state != DP_ROUTE_DOWN && !gone))
        return;
    if (x->phase == DP_PHASE_STREAM) {
        if (x->couch.feed != DP_FEED_NONE)
            dp_feed_end_dead(x);
        return;
    }
    if (only_its_region_can_tell(x))
        return;
    /* What may be sent again is; what may not waits on, as its answer may still come. */
    if (may_retry(x) && (!gone || x->phase == DP_PHASE_ACQUIRE))
        dp_exchange_attempt_failed(x, DP_OUTCOME_ABANDONED, DP_ETIMEOUT);
}

void dp_exchange_drain(struct dp_exchange *x)
{
    x->keep = false;
    if (x->couch.feed == DP_FEED_NONE || !x->request_complete)
        return;
    if (x->phase == DP_PHASE_STREAM)
        dp_relay_end_feed(x, false);
    else
        dp_exchange_refuse(x, DP_EDRAINING);
}
