/* The engine: views come in, time moves, connections begin and end. */
#include "proxy/engine.h"

#include "davenport/base/attr.h"

#include "proxy/conn.h"
#include "proxy/exchange.h"
#include "proxy/fault.h"
#include "proxy/feed_end.h"
#include "proxy/kept.h"
#include "proxy/upstream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How much each worker keeps ready for the next requests. */
#define FREE_ARENAS 256
#define FREE_CHUNKS 64
/* How long a client that was answered and sent away may take to read it. */
#define LINGER_MS 2000
/* Questions of our own, where attempts have no time of their own to go by. */
#define INQUIRY_MS 5000
/* How often the pools are looked at for connections to keep ready. */
#define WARM_EVERY_MS 1000
/* A tick so late means that the loop itself was. */
#define OVERSLEPT_MS 500

static struct dp_pinned_view *pinned_init(struct dp_pinned_view *v, struct dp_view *view,
                                          struct dp_kept_config *kept)
{
    if (!v)
        return NULL;
    *v = (struct dp_pinned_view){view, kept, 1 /* being the current one */};
    kept->keeps++;
    return v;
}

static void let_go(struct dp_engine *e, struct dp_kept_config *kept)
{
    if (--kept->keeps > 0)
        return;
    if (kept->release)
        kept->release(kept->ctx);
    if (kept != &e->first)
        free(kept);
}

static void durations(const struct dp_proxy_config *c, uint32_t ms[DP_WAIT_COUNT])
{
    const uint32_t all[DP_WAIT_COUNT] = {
        [DP_WAIT_HEAD] = c->head_timeout_ms,
        [DP_WAIT_IDLE] = c->idle_timeout_ms,
        [DP_WAIT_BODY] = c->body_timeout_ms,
        [DP_WAIT_RATE] = c->rate_window_ms,
        [DP_WAIT_LINGER] = LINGER_MS,
        [DP_WAIT_CONNECT] = c->connect_timeout_ms,
        [DP_WAIT_RACE] = c->race_delay_ms,
        [DP_WAIT_ANSWER] = c->answer_timeout_ms,
        [DP_WAIT_PARTITION] = c->partition_timeout_ms,
        [DP_WAIT_KEPT] = DP_KEPT_LOOK_MS,
        [DP_WAIT_STALL] = c->stall_timeout_ms,
        [DP_WAIT_FEED] = c->feed_timeout_ms,
        [DP_WAIT_POOL] = c->pool_idle_timeout_ms,
        [DP_WAIT_REQUEST] = c->request_timeout_ms,
        [DP_WAIT_LINE] = c->waiting_timeout_ms,
        [DP_WAIT_INQUIRY] = c->try_timeout_ms > 0 ? c->try_timeout_ms : INQUIRY_MS,
    };
    memcpy(ms, all, sizeof(all));
}

static void init_waits(struct dp_engine *e)
{
    uint32_t ms[DP_WAIT_COUNT];
    durations(e->config, ms);
    dp_timer_wheel_init(&e->wheel, dp_clock_mono_ns(e->clock));
    for (unsigned i = 0; i < DP_WAIT_COUNT; i++)
        dp_timer_class_init(&e->wheel, &e->waits[i], ms[i]);
}

/* Only where somebody asks which region is the nearest. */
static void watch_distances(struct dp_engine *e)
{
    const struct dp_view *v = e->view->view;
    if (!e->config->rules.nearest)
        return;
    (void)dp_router_step(&e->router, v, e->wheel.now_ns);
    for (uint16_t i = 0; i < v->n_endpoints; i++) { /* for people */
        const uint16_t region = v->endpoints[i].region;
        double ns = dp_latency_estimate(
            &e->router.latency[i], v->regions[region].latency_us * UINT64_C(1000), e->wheel.now_ns);
        dp_counter_set(&e->traffic->endpoints[i].distance_ns, ns > 0 ? (uint64_t)ns : 0);
        dp_counter_set(&e->traffic->endpoints[i].near, e->router.near.regions >> region & 1);
    }
}

static uint64_t least_in_window(const struct dp_proxy_config *c)
{
    return (uint64_t)c->min_bytes_per_s * c->rate_window_ms / 1000;
}

static bool is_parting(const struct dp_view *v)
{
    for (uint16_t i = 0; i < v->n_regions; i++) {
        if (v->regions[i].state != DP_ROUTE_OK || v->regions[i].held || v->regions[i].share < 100)
            return true;
    }
    return v->trial_mask != 0;
}

void dp_engine_init(struct dp_engine *e, const struct dp_engine_options *opt)
{
    *e = (struct dp_engine){
        .config = opt->config,
        .clock = opt->clock,
        .traffic = opt->traffic,
        .first = {opt->config, opt->release, opt->release_ctx, 0},
        .client_tls = opt->client_tls,
        .random = opt->random,
        .logging = opt->access.sink != NULL,
        .spans = opt->spans,
        .addresses = opt->addresses,
        .recent = opt->recent,
        .checkpoints = opt->checkpoints,
        .logins = opt->logins,
        .hash = opt->hash,
        .least_in_window = least_in_window(opt->config),
        .secure = opt->secure,
        .dial = opt->dial,
        .dial_ctx = opt->dial_ctx,
        .kick = opt->kick,
        .kick_ctx = opt->kick_ctx,
    };
    e->view = pinned_init(malloc(sizeof(*e->view)), dp_view_ref(opt->view), &e->first);
    if (!e->view)
        abort(); /* at start; small and fixed */
    init_waits(e);
    dp_access_log_init(&e->access, &opt->access, opt->traffic);
    dp_arena_cache_init(&e->arenas, FREE_ARENAS);
    dp_chunk_pool_init(&e->chunks, opt->config->max_buffer_chunks, FREE_CHUNKS);
    dp_list_init(&e->conns);
    dp_list_init(&e->handoffs);
    dp_clients_init(&e->clients);
    dp_list_init(&e->overdue);
    dp_list_init(&e->feeds_ending);
    dp_list_init(&e->faulted);
    dp_hold_queue_init(&e->hold, opt->config);
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++) {
        dp_pool_init(&e->pools[i], e, i, &opt->view->endpoints[i]);
        dp_list_init(&e->awaited[i]);
    }
    e->parting = is_parting(opt->view); /* a restart may have found it so */
    watch_distances(e);
}

void dp_engine_fini(struct dp_engine *e)
{
    assert(dp_engine_idle(e));
    dp_access_log_fini(&e->access);
    dp_clients_fini(&e->clients);
    dp_engine_unpin(e, e->view);
    dp_view_unref(e->view_due);
    dp_seqview_unref(e->sequences);
    free(e->tagged);
    e->view = NULL;
    dp_arena_cache_fini(&e->arenas);
    dp_chunk_pool_fini(&e->chunks);
    while (e->n_readers > 0)
        dp_reader_destroy(e->readers[--e->n_readers]);
}

void dp_engine_adopt_sequences(struct dp_engine *e, struct dp_seqview *view)
{
    dp_seqview_unref(e->sequences);
    e->sequences = view;
}

struct dp_reader *dp_engine_take_reader(struct dp_engine *e)
{
    const struct dp_proxy_config *c = e->config;
    const struct dp_reader_limits limits = {c->max_head_bytes, c->max_target_bytes, c->max_headers};
    if (e->n_readers == 0)
        return dp_reader_new(DP_READ_REQUESTS, &limits);
    struct dp_reader *r = e->readers[--e->n_readers];
    dp_reader_limit(r, &limits); /* a reload may have changed them */
    return r;
}

void dp_engine_give_reader(struct dp_engine *e, struct dp_reader *r)
{
    if (r && e->n_readers < DP_FREE_READERS && dp_reader_rests(r))
        e->readers[e->n_readers++] = r;
    else
        dp_reader_destroy(r);
}

struct dp_span dp_engine_date(struct dp_engine *e)
{
    const int64_t now_ms = dp_clock_wall_ms(e->clock);
    if (now_ms / 1000 != e->date_s || e->date[0] == '\0') {
        e->date_s = now_ms / 1000;
        dp_http_date(now_ms, e->date);
    }
    return dp_span_str(e->date);
}

struct dp_pinned_view *dp_engine_pin(struct dp_engine *e)
{
    e->view->pins++;
    return e->view;
}

void dp_engine_unpin(struct dp_engine *e, struct dp_pinned_view *v)
{
    if (!v || --v->pins > 0)
        return;
    dp_view_unref(v->view);
    let_go(e, v->kept);
    free(v);
}

/* Call f for every exchange under way; f may end it and close its connection, no other. */
static void each_exchange(struct dp_engine *e, void (*f)(struct dp_exchange *x, void *arg),
                          void *arg)
{
    for (struct dp_list *n = e->conns.next, *next; n != &e->conns; n = next) {
        struct dp_conn *c = DP_CONTAINER_OF(n, struct dp_conn, node);
        next = n->next;
        if (c->state == DP_CONN_EXCHANGE && c->exchange)
            f(c->exchange, arg);
    }
}

static void tell_view(struct dp_exchange *x, void *view)
{
    dp_exchange_view_changed(x, view);
}

static void tell_moved(struct dp_exchange *x, void *view)
{
    if (x->phase == DP_PHASE_STREAM && x->couch.feed != DP_FEED_NONE)
        dp_feed_moved(x, view);
}

/* Regions have other numbers now: what was remembered by number is not. */
static void forget_numbers(struct dp_engine *e)
{
    e->router.near = (struct dp_near){0};
    memset(e->router.throttled_until_ns, 0, sizeof(e->router.throttled_until_ns));
    for (struct dp_list *n = e->conns.next; n != &e->conns; n = n->next)
        DP_CONTAINER_OF(n, struct dp_conn, node)->kept = DP_NO_REGION;
}

void dp_engine_rest(struct dp_engine *e)
{
    const uint32_t pause = e->view->view->pause;
    const bool rests = e->writes_placed == 0 && pause != e->pause_broken;
    const uint32_t says = rests ? pause : 0;
    const bool news = says != atomic_load_explicit(&e->traffic->rests, memory_order_relaxed);
    atomic_store_explicit(&e->traffic->rests, says, memory_order_release);
    if (news && says != 0 && e->kick) /* writes wait for it */
        e->kick(e->kick_ctx);
}

void dp_engine_break_pause(struct dp_engine *e)
{
    e->pause_broken = e->view->view->pause;
    atomic_store_explicit(&e->traffic->pause_broken, e->pause_broken, memory_order_release);
    dp_engine_rest(e);
}

static void make_current(struct dp_engine *e, struct dp_pinned_view *pinned)
{
    struct dp_pinned_view *old = e->view;
    struct dp_view *view = pinned->view;
    const bool moved = old->view->active != view->active;
    e->view = pinned;
    if (view->numbering != old->view->numbering && e->recent)
        dp_recent_clear(e->recent);
    if (view->numbering != old->view->numbering)
        forget_numbers(e);
    dp_engine_unpin(e, old);
    for (uint16_t i = 0; i < view->n_endpoints; i++) {
        dp_pool_adopt(&e->pools[i], &view->endpoints[i]);
        if (view->endpoints[i].region == DP_VIEW_GONE)
            e->router.latency[i] = (struct dp_latency){0};
    }
    watch_distances(e);
    dp_engine_rest(e);
    e->parting = is_parting(view);
    each_exchange(e, tell_view, view);
    if (moved)
        each_exchange(e, tell_moved, view);
    dp_hold_look(e);
}

/* Take the view that is due, if there is memory to pin it. */
static void adopt_due(struct dp_engine *e)
{
    struct dp_view *view = e->view_due;
    struct dp_pinned_view *pinned =
        view ? pinned_init(malloc(sizeof(*pinned)), view, e->view->kept) : NULL;
    if (!pinned)
        return;
    e->view_due = NULL;
    make_current(e, pinned);
}

void dp_engine_reload(struct dp_engine *e, struct dp_kept_config *kept,
                      struct dp_pinned_view *pinned, struct dp_view *view)
{
    uint32_t ms[DP_WAIT_COUNT];
    dp_view_unref(e->view_due); /* older */
    e->view_due = NULL;
    e->config = kept->config;
    e->least_in_window = least_in_window(e->config);
    dp_chunk_pool_limit(&e->chunks, e->config->max_buffer_chunks);
    dp_hold_queue_change(&e->hold, e->config);
    durations(e->config, ms);
    for (unsigned i = 0; i < DP_WAIT_COUNT; i++)
        dp_timer_class_change(&e->waits[i], ms[i]);
    make_current(e, pinned_init(pinned, view, kept));
}

void dp_engine_adopt_view(struct dp_engine *e, struct dp_view *view)
{
    dp_view_unref(e->view_due);
    e->view_due = view;
    adopt_due(e);
}

void dp_engine_turn(struct dp_engine *e)
{
    e->turns++;
    /* What is handed over while we are at it waits for the next turn of this loop, which comes at
     * once. */
    while (!dp_list_empty(&e->handoffs))
        dp_lease_complete(DP_CONTAINER_OF(e->handoffs.next, struct dp_lease, node));
}

/* Standby regions too: their connections are what a failover needs first. */
static void keep_warm(struct dp_engine *e, uint64_t now_ns)
{
    const struct dp_view *v = e->view->view;
    if (e->config->pool_warm == 0 || e->draining || now_ns < e->warm_at_ns)
        return;
    e->warm_at_ns = now_ns + WARM_EVERY_MS * DP_NS_PER_MS;
    for (uint16_t i = 0; i < v->n_endpoints; i++) {
        if (v->endpoints[i].state == DP_ROUTE_OK)
            dp_pool_keep_warm(&e->pools[i]);
    }
}

/* The oldest of a list, if it has waited for so long. */
static struct dp_exchange *waits_since(struct dp_list *list, uint64_t ns, uint64_t now_ns)
{
    struct dp_exchange *x = DP_CONTAINER_OF(list->next, struct dp_exchange, awaited);
    return !dp_list_empty(list) && x->sent_ns + ns <= now_ns ? x : NULL;
}

static void try_elsewhere(struct dp_engine *e, struct dp_list *list, uint64_t now_ns)
{
    const uint64_t try_ns = e->config->try_timeout_ms * DP_NS_PER_MS;
    struct dp_exchange *x;
    while (try_ns > 0 && (x = waits_since(list, try_ns, now_ns)))
        dp_exchange_overdue(x);
}

/* Requests that wait too long for a first byte are evidence now, not only when they end. A loop that
 * was late itself looks again at the next tick: answers may lie in the sockets. */
static void count_late(struct dp_engine *e, uint64_t now_ns)
{
    const struct dp_view *v = e->view->view;
    bool overslept = now_ns > e->late_looked_ns + OVERSLEPT_MS * DP_NS_PER_MS;
    e->late_looked_ns = now_ns;
    if (overslept)
        return;
    for (uint16_t i = 0; i < v->n_endpoints; i++) {
        const uint64_t late_ns = v->endpoints[i].late_ms * DP_NS_PER_MS;
        struct dp_exchange *x;
        while (late_ns > 0 && (x = waits_since(&e->awaited[i], late_ns, now_ns)))
            dp_exchange_late(x);
        if (late_ns == 0)
            try_elsewhere(e, &e->awaited[i], now_ns);
    }
    try_elsewhere(e, &e->overdue, now_ns);
}

/* Gauges that would cost something where they change. */
static void measure(struct dp_engine *e)
{
    struct dp_traffic *t = e->traffic;
    dp_counter_set(&t->buffer_chunks, e->chunks.n_used);
    dp_counter_set(&t->buffer_chunks_limit, e->chunks.max_used);
    dp_counter_set(&t->memory[DP_MEMORY_BUFFERS], e->chunks.n_used * DP_CHUNK_BYTES);
    dp_counter_set(&t->memory[DP_MEMORY_BUFFERS_FREE], e->chunks.n_free * DP_CHUNK_BYTES);
    dp_counter_set(&t->memory[DP_MEMORY_ARENAS], e->arenas.used_bytes);
    dp_counter_set(&t->memory[DP_MEMORY_ARENAS_FREE], e->arenas.n_free * DP_ARENA_FIRST_BYTES);
    for (uint16_t i = 0; i < e->view->view->n_endpoints; i++) {
        const struct dp_pool *p = &e->pools[i];
        struct dp_counter *of = t->endpoints[i].pool;
        dp_counter_set(&of[DP_POOL_BUSY], p->n_open - p->n_idle - p->n_dialing);
        dp_counter_set(&of[DP_POOL_IDLE], p->n_idle);
        dp_counter_set(&of[DP_POOL_DIALING], p->n_dialing);
        dp_counter_set(&of[DP_POOL_WAITING], p->n_waiters);
    }
}

/* How late this tick is. The first one has none before it. */
static void count_lag(struct dp_engine *e, uint64_t now_ns)
{
    const uint64_t due_ns = e->ticked_ns + DP_TICK_MS * DP_NS_PER_MS;
    const uint64_t lag_ns = e->ticked_ns > 0 && now_ns > due_ns ? now_ns - due_ns : 0;
    e->ticked_ns = now_ns;
    dp_traffic_times_add(&e->traffic->lag_times, dp_latency_bucket(lag_ns), lag_ns);
}

void dp_engine_tick(struct dp_engine *e, uint64_t now_ns)
{
    count_lag(e, now_ns);
    adopt_due(e);
    e->wheel.now_ns = now_ns;
    dp_fault_due(e);
    dp_hedge_look(e);
    count_late(e, now_ns);
    dp_timer_wheel_advance(&e->wheel, now_ns);
    watch_distances(e);
    dp_feed_end_due(e);
    dp_hold_look(e);
    keep_warm(e, now_ns);
    dp_access_log_tick(&e->access, now_ns);
    if (now_ns >= e->trim_at_ns) {
        e->trim_at_ns = now_ns + DP_NS_PER_S;
        dp_chunk_pool_trim(&e->chunks);
    }
    measure(e);
}

void dp_engine_drain(struct dp_engine *e)
{
    e->draining = true;
    for (struct dp_list *n = e->conns.next, *next; n != &e->conns; n = next) {
        next = n->next;
        dp_conn_drain(DP_CONTAINER_OF(n, struct dp_conn, node));
    }
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++)
        dp_pool_purge(&e->pools[i]);
}

void dp_engine_retire(struct dp_engine *e, uint64_t feeds_within_ms)
{
    e->draining = true;
    for (struct dp_list *n = e->conns.next, *next; n != &e->conns; n = next) {
        struct dp_conn *c = DP_CONTAINER_OF(n, struct dp_conn, node);
        next = n->next;
        if (c->state == DP_CONN_EXCHANGE)
            dp_exchange_retire(c->exchange, feeds_within_ms);
    }
}

void dp_engine_abort(struct dp_engine *e)
{
    e->draining = true;
    for (struct dp_list *n = e->conns.next, *next; n != &e->conns; n = next) {
        next = n->next;
        dp_conn_abort(DP_CONTAINER_OF(n, struct dp_conn, node), true);
    }
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++)
        dp_pool_purge(&e->pools[i]);
}

bool dp_engine_idle(const struct dp_engine *e)
{
    return e->n_conns == 0 && e->n_upstreams == 0;
}
