/* One request's life: routing, attempts, their failures, its end. The bytes are relay.c's and answer.c's. */
#include "proxy/exchange.h"

#include "davenport/base/attr.h"
#include "davenport/base/log.h"
#include "davenport/http/upgrade.h"

#include "proxy/account.h"
#include "proxy/allowance.h"
#include "proxy/fault.h"
#include "proxy/feed_end.h"
#include "proxy/forget.h"
#include "proxy/forward.h"
#include "proxy/named.h"
#include "proxy/route.h"
#include "proxy/settle.h"
#include "proxy/spread.h"
#include "proxy/tagging.h"
#include "proxy/traced.h"
#include "proxy/upstream.h"

#include <assert.h>
#include <string.h>

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
    [DP_PHASE_SEND] = {"send", BIT(ROUTE) | BIT(AWAIT) | BIT(STREAM) | BIT(SETTLE) | BIT(DONE)},
    [DP_PHASE_AWAIT] = {"await", BIT(ROUTE) | BIT(STREAM) | BIT(SETTLE) | BIT(DONE)},
    [DP_PHASE_STREAM] = {"stream", BIT(DONE)},
    [DP_PHASE_SETTLE] = {"settle", BIT(SETTLE) | BIT(STREAM) | BIT(DONE)},
    [DP_PHASE_DONE] = {"done", 0},
};

/* Phases in which others are waited for. AWAIT is entered, and answers are begun, where the time is known. */
#define WAITS (BIT(HOLD) | BIT(ACQUIRE) | BIT(SETTLE))

void dp_exchange_set_phase(struct dp_exchange *x, enum dp_phase phase)
{
    const enum dp_phase was = x->phase;
    assert(phases[was].next & (1U << phase));
    x->phase = phase;
    x->engine->last = x;
    if (phase != DP_PHASE_DONE)
        x->reached = phase;
    if (WAITS & 1U << phase)
        dp_exchange_waits(x, dp_clock_mono_ns(x->engine->clock));
    else if (WAITS & 1U << was || (phase == DP_PHASE_ROUTE && was > DP_PHASE_ROUTE))
        dp_exchange_busy(x);
}

const char *dp_exchange_phase_name(const struct dp_exchange *x)
{
    return phases[x->phase].name;
}

static void lease_done(struct dp_lease *l, struct dp_upstream *up, enum dp_err err);
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
                              .first_byte_ns = DP_NO_TIME,
                              .head_ns = DP_NO_TIME};
    c->engine->last = x;
    x->begun_ns = x->busy_ns = dp_clock_mono_ns(c->engine->clock);
    x->heard_turn = c->engine->turns;
    dp_buf_init(&x->replay, &c->engine->chunks);
    dp_lease_init(&x->lease, lease_done);
    dp_list_init(&x->awaited);
    dp_list_init(&x->held.node);
    dp_list_init(&x->login_node);
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
    if (x->traced)
        dp_traced_attempt_end(x);
    dp_lease_cancel(&x->lease);
    leave_line(x);
    dp_list_remove(&x->awaited);
    dp_route_ended(x);
    dp_allowance_return(x);
    if (!up)
        return;
    x->up = NULL;
    if (x->kept) {
        dp_counter_add(&x->engine->traffic->answers_kept_failed, 1);
        dp_buf_clear(&x->kept->body);
        x->kept = NULL;
        x->first_byte_ns = DP_NO_TIME;
    }
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

/* The same, and of what it has besides: a hedge, a question of ours, or a place in wait for a region. */
static void end_attempt(struct dp_exchange *x, bool up_reusable)
{
    if (x->hedge)
        dp_hedge_drop(x);
    if (x->settle)
        dp_settle_drop(x);
    if (x->spread)
        dp_spread_drop(x);
    dp_hold_drop(x);
    release_attempt(x, up_reusable);
}

void dp_exchange_destroy(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_arena arena;
    if (e->last == x)
        e->last = NULL;
    end_attempt(x, false);
    dp_list_remove(&x->login_node);
    if (x->deadline.fire)
        dp_timer_disarm(&x->deadline);
    dp_account_end(x);
    if (x->committed && x->couch.feed != DP_FEED_NONE)
        dp_counter_sub(&e->traffic->feeds_active, 1);
    dp_counter_sub(&e->traffic->requests_active, 1);
    if (x->tagging)
        dp_tagging_end(x);
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
    if (x->settle) {
        dp_settle_expire(x);
        return;
    }
    if (x->spread) {
        dp_spread_expire(x);
        return;
    }
    if (x->kept) { /* it has begun, as far as the region is concerned */
        dp_answer_begin(x);
        return;
    }
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
    struct dp_head *h = &x->request;
    struct dp_engine *e = x->engine;
    const struct dp_header *override = dp_head_find(h, DP_HEADER_X_HTTP_METHOD_OVERRIDE);
    dp_exchange_heard(x);
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    x->understood = true;
    x->head_ns = x->busy_ns - x->begun_ns;
    if (e->config->hedge_percent > 0)
        dp_hedge_earn(&e->hedges, e->config->hedge_percent);
    dp_ids_choose(&x->ids, h, e->config, &e->random, x->made);
    if (e->spans)
        dp_traced_begin(x);
    if (override)
        dp_counter_add(&e->traffic->method_overrides, 1);
    enum dp_err err = dp_named_region(h, e->config, &x->named, &x->named_prefix);
    x->couch = dp_couch_classify(h->method_text,
                                 override ? override->value : (struct dp_span){NULL, 0}, h->target);
    if (!err)
        err = check_request(x);
    if (!err && x->couch.tokens != DP_TOKENS_NONE && e->config->tags_sequences)
        err = dp_tagging_begin(x);
    if (x->couch.mints != DP_MINTS_NOTHING || x->couch.tokens == DP_TOKENS_BOOKMARK)
        dp_minting_begin(x);
    if (err)
        dp_exchange_refuse(x, err);
    else if (e->config->request_timeout_ms > 0 && x->couch.feed == DP_FEED_NONE)
        begin_deadline(x);
}

static bool writes(const struct dp_couch_request *r)
{
    return r->klass == DP_COUCH_WRITE || r->klass == DP_COUCH_POST;
}

static enum dp_replay replay_of(const struct dp_couch_request *r)
{
    if (!r->idempotent)
        return DP_REPLAY_NEVER;
    return writes(r) ? DP_REPLAY_IDEMPOTENT : DP_REPLAY_SAFE;
}

bool dp_exchange_may_retry(const struct dp_exchange *x)
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

/* A drill has its region refuse connections: this one goes back, and what was to be sent fails as if there had been none. */
static void refuse_by_drill(struct dp_exchange *x, struct dp_upstream *up)
{
    struct dp_pool *pool = up->pool;
    dp_pool_put(pool, up);
    if (x->phase == DP_PHASE_ROUTE)
        dp_exchange_set_phase(x, DP_PHASE_ACQUIRE);
    dp_pool_deny(pool, &x->lease, DP_ECONNECT);
}

static void begin_sending(struct dp_exchange *x, struct dp_upstream *up)
{
    if (x->engine->view->view->faulty != 0 &&
        dp_fault_meet(x, x->endpoint, up) == DP_FAULT_REFUSED) {
        refuse_by_drill(x, up);
        return;
    }
    x->up = up;
    x->conn_reused = up->used;
    x->wrote_before = x->wrote_any;
    if (x->wrote_ns == 0 && x->couch.kind == DP_COUCH_KIND_NOT_REPLICATED)
        x->wrote_ns = dp_clock_mono_ns(x->engine->clock);
    if (x->wrote_before)
        dp_counter_add(&x->engine->traffic->kinds[x->couch.kind].replays, 1);
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

static void note_failure(struct dp_exchange *x, enum dp_outcome outcome, bool sent);

/* No connection for it: our own trouble, none of the region's. True: it was to be read again, and is to be routed to where it
 * can be read: an older answer is better than none. */
static bool found_no_place(struct dp_exchange *x, enum dp_err err)
{
    if (!x->rereads) {
        dp_exchange_refuse(x, err);
        return false;
    }
    end_attempt(x, false);
    note_failure(x, DP_OUTCOME_ANSWERED, false);
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    return true;
}

static void lease_done(struct dp_lease *l, struct dp_upstream *up, enum dp_err err)
{
    struct dp_exchange *x = DP_CONTAINER_OF(l, struct dp_exchange, lease);
    leave_line(x);
    if (up)
        begin_sending(x, up);
    else if (err == DP_ECLOSED)
        dp_exchange_attempt_failed(x, DP_OUTCOME_STALE, err);
    else if (err != DP_ELINE && err != DP_ENOMEM)
        dp_exchange_attempt_failed(x, dial_outcome(err), err);
    else if (found_no_place(x, err))
        dp_exchange_route(x);
}

/* x->endpoint is where to. True: as found_no_place. */
static bool begin_attempt(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_pool *pool = &e->pools[x->endpoint];
    x->attempts.count++;
    x->hedge_won = false; /* one that won and failed then did not answer */
    if (x->traced)
        dp_traced_attempt(x);
    /* After a stale connection the others in the pool are suspect too: dial. */
    struct dp_upstream *up = x->stale_retry ? NULL : dp_pool_take(pool);
    if (up) {
        begin_sending(x, up);
        return false;
    }
    dp_exchange_set_phase(x, DP_PHASE_ACQUIRE);
    x->queued_ns = dp_clock_mono_ns(e->clock);
    enum dp_err err = dp_pool_wait(pool, &x->lease);
    return err && found_no_place(x, err);
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

/* Whoever answers now has the better answer; and asking for the one that was passed over costs no more than passing it on
 * would have. */
static void forgo_rereading(struct dp_exchange *x)
{
    x->same_again = x->same_again || x->rereads;
    x->rereads = x->knows_written = false;
}

/* Its endpoint failed it, after it was sent there or before, or declined it. */
static void note_failure(struct dp_exchange *x, enum dp_outcome outcome, bool sent)
{
    const uint16_t region = x->view->view->endpoints[x->endpoint].region;
    x->attempts.failed_mask |= UINT32_C(1) << x->endpoint;
    if (sent && replay_of(&x->couch) == DP_REPLAY_IDEMPOTENT)
        x->attempts.acted_mask |= UINT32_C(1) << region;
    forgo_rereading(x);
    const bool declined = outcome == DP_OUTCOME_THROTTLED || outcome == DP_OUTCOME_ANSWERED;
    if (!declined)
        x->failed_regions |= UINT32_C(1) << region;
}

/* Where to, past regions whose credential was refused since the view was made. */
static struct dp_route next_with_key(struct dp_exchange *x)
{
    for (;;) {
        const struct dp_route r = dp_route_next(x);
        if (r.kind == DP_ROUTE_FAIL && x->rereads) { /* a view came, in which its region is lost */
            forgo_rereading(x);
        } else if (r.kind == DP_ROUTE_FAIL || dp_exchange_has_key(x->view->view, x->endpoint)) {
            return r;
        } else {
            dp_exchange_count(x, DP_OUTCOME_CREDENTIALS);
            dp_route_ended(x);
            note_failure(x, DP_OUTCOME_CREDENTIALS, false);
        }
    }
}

enum routed {
    ROUTED,
    ROUTE_AGAIN,
    PAUSED /* it was to wait for the end of the pause, and there is no room to */
};

static enum routed route_once(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    if (x->hops_left == 0) {
        dp_exchange_answer_ourselves(x, DP_OK, NULL);
        return ROUTED;
    }
    if (e->config->clients && !dp_clients_admit(x))
        return ROUTED;
    if (x->gathers && !dp_minting_ready(x))
        return ROUTED;
    if (x->attempts.count == 0 && must_shed(&e->chunks)) {
        dp_exchange_refuse(x, DP_ESHED);
        return ROUTED;
    }
    dp_exchange_follow(x);
    const enum dp_err spread = x->attempts.count == 0 ? dp_spread_check(x) : DP_OK;
    if (spread) {
        dp_exchange_give_up(x, spread);
        return ROUTED;
    }
    struct dp_route r = next_with_key(x);
    if (x->attempts.count == 0 && r.kind == DP_ROUTE_SEND && dp_forget_checkpoint(x, x->endpoint)) {
        dp_exchange_refuse(x, DP_ENOCHECKPOINT);
        return ROUTED;
    }
    if (r.kind == DP_ROUTE_SEND && dp_allowance_spend(x))
        return begin_attempt(x) ? ROUTE_AGAIN : ROUTED;
    if (r.kind == DP_ROUTE_SEND) {
        dp_route_ended(x);
        r.why = DP_EBUDGET;
        r.region = DP_NO_REGION;
    }
    if (dp_route_may_come(x->view->view, &r) && dp_hold_take(x, r.why))
        return ROUTED;
    if (r.why == DP_EPAUSED)
        return PAUSED;
    dp_exchange_give_up(x, r.why);
    return ROUTED;
}

void dp_exchange_route(struct dp_exchange *x)
{
    enum routed r;
    while ((r = route_once(x)) != ROUTED) {
        if (r == PAUSED)
            dp_engine_break_pause(x->engine);
    }
}

void dp_exchange_resume(struct dp_exchange *x)
{
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    dp_exchange_route(x);
}

/* What the client is told when this was the last attempt. */
static enum dp_err final_error(const struct dp_exchange *x, enum dp_err err)
{
    if (x->wrote_any && writes(&x->couch))
        return DP_EUNKNOWNOUTCOME;
    return dp_err_info(err)->status > 0 ? err : DP_ENOREGION;
}

void dp_exchange_give_up(struct dp_exchange *x, enum dp_err why)
{
    dp_exchange_refuse(x, final_error(x, why));
}

/* Where it would go if its endpoint failed it now: DP_OK, or why nowhere. */
static enum dp_err ask_elsewhere(struct dp_exchange *x)
{
    const struct dp_attempts attempts = x->attempts;
    const uint32_t regions = x->failed_regions;
    const bool rereads = x->rereads, knows_written = x->knows_written, same_again = x->same_again;
    note_failure(x, DP_OUTCOME_ABANDONED, true);
    const enum dp_err why = dp_route_peek(x).why;
    x->attempts = attempts;
    x->failed_regions = regions;
    x->rereads = rereads;
    x->knows_written = knows_written;
    x->same_again = same_again;
    return why;
}

bool dp_exchange_has_elsewhere(struct dp_exchange *x)
{
    return dp_exchange_may_retry(x) && ask_elsewhere(x) == DP_OK;
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
    if (!dp_exchange_may_retry(x)) {
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

void dp_exchange_reread(struct dp_exchange *x)
{
    dp_exchange_count(x, dp_outcome_of_status(x->response.status));
    end_attempt(x, false);
    x->rereads = true;
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    dp_exchange_route(x);
}

/* ---- the end ---- */

void dp_exchange_refuse(struct dp_exchange *x, enum dp_err err)
{
    end_attempt(x, false);
    if (x->committed) {
        x->reason = err;
        dp_exchange_cut(x);
        return;
    }
    dp_exchange_answer_ourselves(x, err, NULL);
}

void dp_exchange_answered(struct dp_exchange *x, bool up_clean)
{
    dp_account_answer(x);
    /* CouchDB's eventsource sends eleven bytes behind its last chunk, maybe in a packet of their own. */
    bool feed = x->couch.feed != DP_FEED_NONE;
    end_attempt(x, up_clean && !feed && x->request_complete && !x->send_failed &&
                       x->response.keep_alive);
}

void dp_exchange_done(struct dp_exchange *x)
{
    dp_exchange_set_phase(x, DP_PHASE_DONE);
    x->end = DP_END_ANSWERED;
    dp_conn_exchange_done(x->conn, x->keep && x->request_complete);
}

void dp_exchange_finish(struct dp_exchange *x, bool up_clean)
{
    dp_exchange_answered(x, up_clean);
    dp_exchange_done(x);
}

void dp_exchange_close(struct dp_exchange *x)
{
    x->keep = false;
    dp_exchange_ended(x);
}

void dp_exchange_ended(struct dp_exchange *x)
{
    end_attempt(x, false);
    dp_exchange_set_phase(x, DP_PHASE_DONE);
    dp_conn_exchange_done(x->conn, x->keep && x->request_complete);
}

void dp_exchange_cut(struct dp_exchange *x)
{
    if (x->end == DP_END_ABORTED)
        x->end = DP_END_CUT;
    /* Without a length and without chunks only a reset tells the client that this was not all. Else
     * let what has come reach it: the missing length or last chunk says the rest. */
    if (x->out == DP_FRAMING_CLOSE)
        dp_conn_abort(x->conn, true);
    else
        dp_exchange_close(x);
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
    else if (x->kept)
        dp_answer_look(x);
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
    if (!dp_exchange_has_elsewhere(x))
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

bool dp_exchange_left_out(const struct dp_exchange *x, uint16_t endpoint,
                          const struct dp_view *view)
{
    const struct dp_view *began = x->view->view;
    if (view->generation == began->generation)
        return false;
    if (endpoint >= view->n_endpoints || view->endpoints[endpoint].region == DP_VIEW_GONE)
        return true;
    /* Of two reloads in a row the first may never have been seen here: its number is another's by now. */
    return strcmp(began->endpoints[endpoint].host, view->endpoints[endpoint].host) != 0;
}

/* In line for a connection of an endpoint that is to get no more (a drain, maintenance): goes where it would go now, if that
 * is another region. It was asked for nowhere yet. */
static bool leaves_the_line(struct dp_exchange *x, const struct dp_view *view)
{
    if (x->phase != DP_PHASE_ACQUIRE || view->endpoints[x->endpoint].state != DP_ROUTE_BARRED)
        return false;
    const struct dp_route r = dp_route_peek(x);
    if (r.kind != DP_ROUTE_SEND ||
        view->endpoints[r.endpoint].region == view->endpoints[x->endpoint].region)
        return false;
    end_attempt(x, false);
    x->attempts.count--;
    dp_exchange_set_phase(x, DP_PHASE_ROUTE);
    dp_exchange_route(x);
    return true;
}

void dp_exchange_view_changed(struct dp_exchange *x, const struct dp_view *view)
{
    if (x->phase < DP_PHASE_ACQUIRE || x->phase > DP_PHASE_STREAM)
        return;
    if (x->hedge)
        dp_hedge_view_changed(x, view);
    const bool gone = dp_exchange_left_out(x, x->endpoint, view); /* what was sent is waited for */
    if (!gone && leaves_the_line(x, view))
        return;
    if (view->endpoints[x->endpoint].state != DP_ROUTE_DOWN && !gone)
        return;
    if (x->phase == DP_PHASE_STREAM) {
        if (x->couch.feed != DP_FEED_NONE)
            dp_feed_end_dead(x);
        return;
    }
    if (only_its_region_can_tell(x))
        return;
    /* What may be sent again is; what may not waits on, as its answer may still come. */
    if (dp_exchange_may_retry(x) && (!gone || x->phase == DP_PHASE_ACQUIRE))
        dp_exchange_attempt_failed(x, DP_OUTCOME_ABANDONED, DP_ETIMEOUT);
}

void dp_exchange_retire(struct dp_exchange *x, uint64_t within_ms)
{
    x->keep = false;
    if (x->phase == DP_PHASE_STREAM && dp_feed_retires(x))
        dp_feed_end_within(x, within_ms);
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
