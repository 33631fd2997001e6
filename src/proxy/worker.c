/* The worker: a thread and a libuv loop around one engine.
 *
 * What comes from outside lands in atomics (the slots of views and reloads, the drain flag) and an async signal
 * that may coalesce: the slot carries the data, the signal only wakes. Everything else is the
 * worker's own. */
#include "davenport/proxy/worker.h"

#include "davenport/base/log.h"
#include "davenport/net/acceptor.h"
#include "davenport/net/tcp.h"

#include "proxy/conn.h"
#include "proxy/engine.h"
#include "proxy/exchange.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uv.h>

#define BACKLOG 1024

enum drain { DRAIN_NO, DRAIN_RETIRE, DRAIN_POLITELY, DRAIN_NOW };

struct dp_worker_reload {
    struct dp_kept_config *kept;
    struct dp_pinned_view *pinned; /* memory for it, so that to adopt it can't fail */
    struct dp_worker_tls *tls;
    struct dp_view *view;
};

struct dp_worker {
    struct dp_traffic traffic; /* read by others: apart from what this thread writes most */
    struct dp_engine engine;
    struct dp_net net;
    struct dp_worker_tls *tls;
    struct dp_tls_stats region_tls, client_tls; /* of all contexts there ever were */
    uv_loop_t loop;
    struct dp_acceptor *acceptor; /* NULL: not yet, or no more */
    uv_async_t wake;
    uv_timer_t tick;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t deadline; /* of a drain */
    uv_thread_t thread;
    uv_sem_t go;                    /* the thread waits for it before its loop runs */
    _Atomic(struct dp_view *) slot; /* a view on its way here, one reference */
    _Atomic(struct dp_worker_reload *) reload_slot;
    _Atomic(struct dp_seqview *) sequences_slot;
    atomic_long tid;
    _Atomic uint32_t ticks;   /* written by this thread only */
    _Atomic int drain_wanted; /* enum drain */
    _Atomic bool done;
    enum drain draining;
    uint32_t generation; /* of its configuration */
    bool started, closing;
    int listen_fd; /* -1: the acceptor has it */
    int socket;    /* the same, and stays */
    uint32_t index;
    char scratch[DP_READ_BYTES];
};

static void on_connection(void *ctx, int fd)
{
    struct dp_worker *w = ctx;
    struct dp_stream *s;
    char peer[DP_PEER_TEXT];
    if (dp_tcp_open(&w->net, fd, &dp_conn_events, NULL, &s) != DP_OK)
        return;
    dp_tcp_peer(s, peer, sizeof(peer));
    /* where a PROXY header comes first, TLS begins behind it */
    if (w->tls->listen && !w->engine.config->proxy_header &&
        dp_tls_accept(w->tls->listen, s, &dp_conn_events, NULL, &s) != DP_OK)
        return;
    (void)dp_conn_new(&w->engine, s, peer);
}

static void on_paused(void *ctx)
{
    struct dp_worker *w = ctx;
    dp_counter_add(&w->traffic.accept_pauses, 1);
}

/* What is TLS stays TLS, whatever is reloaded. */
static enum dp_err secure(void *ctx, struct dp_stream *lower, const struct dp_stream_events *events,
                          void *owner, struct dp_stream **out)
{
    const struct dp_worker *w = ctx;
    return dp_tls_accept(w->tls->listen, lower, events, owner, out);
}

static enum dp_err dial(void *ctx, uint16_t endpoint, const struct dp_addr *addr,
                        const struct dp_stream_events *events, void *owner, struct dp_stream **out)
{
    struct dp_worker *w = ctx;
    struct dp_tls *tls = w->tls->endpoints[endpoint];
    if (tls)
        return dp_tls_dial(tls, &w->net, addr->ip, addr->port, events, owner, out);
    return dp_tcp_dial(&w->net, addr->ip, addr->port, events, owner, out);
}

struct hash_job {
    uv_work_t work;
    struct dp_hash_job *job;
};

static void on_hash(uv_work_t *w)
{
    struct dp_hash_job *job = ((struct hash_job *)w->data)->job;
    job->work(job);
}

static void on_hashed(uv_work_t *w, int status)
{
    struct hash_job *h = w->data;
    struct dp_hash_job *job = h->job;
    (void)status; /* it is never cancelled */
    free(h);
    job->done(job);
}

/* On a thread of libuv's pool. The loop does not end before it is told. */
static enum dp_err hash(void *ctx, struct dp_hash_job *job)
{
    struct dp_worker *w = ctx;
    struct hash_job *h = malloc(sizeof(*h));
    if (!h)
        return DP_ENOMEM;
    h->work.data = h;
    h->job = job;
    (void)uv_queue_work(&w->loop, &h->work, on_hash, on_hashed); /* fails only without a function */
    return DP_OK;
}

/* Nothing is left that could call back: let the loop end. */
static void close_all(struct dp_worker *w)
{
    if (w->closing)
        return;
    w->closing = true;
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->deadline, NULL);
}

static void on_deadline(uv_timer_t *h)
{
    struct dp_worker *w = h->data;
    dp_log(DP_LOG_WARN, "drain_deadline", DP_KV_INT("worker", w->index),
           DP_KV_INT("connections", w->engine.n_conns));
    dp_engine_abort(&w->engine);
}

static void drain_politely(struct dp_worker *w, uint64_t within_ms)
{
    dp_engine_drain(&w->engine);
    (void)uv_timer_start(&w->deadline, on_deadline, within_ms, 0);
    w->draining = DRAIN_POLITELY;
}

/* The last part of a drain's time, for who did not end by itself. */
static uint64_t last_part_ms(const struct dp_worker *w)
{
    return w->engine.config->drain_timeout_ms / 4;
}

static void finish_if_idle(struct dp_worker *w)
{
    /* No client is left: what is kept open to regions has nobody to serve. */
    if (w->draining == DRAIN_RETIRE && w->engine.n_conns == 0)
        drain_politely(w, last_part_ms(w));
    if (w->draining != DRAIN_NO && dp_engine_idle(&w->engine))
        close_all(w);
}

static void on_prepare(uv_prepare_t *h)
{
    struct dp_worker *w = h->data;
    w->engine.wheel.now_ns = uv_now(&w->loop) * DP_NS_PER_MS;
    dp_engine_turn(&w->engine);
    finish_if_idle(w);
}

static void on_check(uv_check_t *h)
{
    struct dp_worker *w = h->data;
    dp_engine_turn(&w->engine);
}

/* Bring a counter up to a total that is counted elsewhere on this thread. */
static void raise_to(struct dp_counter *c, uint64_t total)
{
    dp_counter_add(c, total - dp_counter_get(c));
}

static void count_tls(struct dp_worker *w)
{
    struct dp_traffic *t = &w->traffic;
    raise_to(&t->tls_region_handshakes, w->region_tls.handshakes);
    raise_to(&t->tls_region_resumed, w->region_tls.resumed);
    raise_to(&t->tls_region_failed, w->region_tls.failed);
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++) {
        const struct dp_tls *tls = w->tls->endpoints[i];
        dp_counter_set(&t->endpoints[i].certificate_ends_s,
                       tls ? (uint64_t)dp_tls_peer_not_after(tls) : 0);
    }
    raise_to(&t->tls_client_handshakes, w->client_tls.handshakes);
    raise_to(&t->tls_client_resumed, w->client_tls.resumed);
    raise_to(&t->tls_client_failed, w->client_tls.failed);
}

static void on_tick(uv_timer_t *h)
{
    struct dp_worker *w = h->data;
    const uint32_t ticks = atomic_load_explicit(&w->ticks, memory_order_relaxed);
    atomic_store_explicit(&w->ticks, ticks + 1, memory_order_relaxed);
    count_tls(w);
    dp_engine_tick(&w->engine, uv_now(&w->loop) * DP_NS_PER_MS);
}

static void close_acceptor(struct dp_worker *w)
{
    if (w->acceptor)
        dp_acceptor_close(w->acceptor, NULL);
    w->acceptor = NULL;
}

static void on_retired(uv_timer_t *h)
{
    struct dp_worker *w = h->data;
    drain_politely(w, last_part_ms(w));
}

static void begin_drain(struct dp_worker *w, enum drain how)
{
    const uint64_t limit_ms = w->engine.config->drain_timeout_ms;
    close_acceptor(w);
    if (how == DRAIN_RETIRE) {
        dp_engine_retire(&w->engine, limit_ms / 2);
        (void)uv_timer_start(&w->deadline, on_retired, limit_ms - last_part_ms(w), 0);
    } else if (w->draining < DRAIN_POLITELY) {
        drain_politely(w, limit_ms);
    }
    if (how == DRAIN_NOW)
        dp_engine_abort(&w->engine);
    w->draining = how;
}

struct dp_worker_tls *dp_worker_tls_new(void)
{
    return calloc(1, sizeof(struct dp_worker_tls));
}

void dp_worker_tls_free(struct dp_worker_tls *tls)
{
    if (!tls)
        return;
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++)
        dp_tls_unref(tls->endpoints[i]);
    dp_tls_unref(tls->listen);
    free(tls);
}

/* Open connections hold on to the contexts that they began with. */
static void adopt_tls(struct dp_worker *w, struct dp_worker_tls *tls)
{
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++) {
        if (tls->endpoints[i])
            dp_tls_count_into(tls->endpoints[i], &w->region_tls);
    }
    if (tls->listen)
        dp_tls_count_into(tls->listen, &w->client_tls);
    dp_worker_tls_free(w->tls);
    w->tls = tls;
}

static void adopt_reload(struct dp_worker *w)
{
    struct dp_worker_reload *r =
        atomic_exchange_explicit(&w->reload_slot, NULL, memory_order_acq_rel);
    if (!r)
        return;
    adopt_tls(w, r->tls); /* first, for the view orders new connections */
    w->generation = r->view->generation;
    dp_engine_reload(&w->engine, r->kept, r->pinned, r->view);
    free(r);
}

/* A view is of use only with the configuration that it was made for. That was published before it, so what is not there
 * at the first look is at the second. A view that is older than the configuration was overtaken. */
static void adopt_view(struct dp_worker *w)
{
    struct dp_view *v = atomic_exchange_explicit(&w->slot, NULL, memory_order_acq_rel);
    if (!v)
        return;
    if (v->generation != w->generation)
        adopt_reload(w);
    if (v->generation == w->generation)
        dp_engine_adopt_view(&w->engine, v);
    else
        dp_view_unref(v);
}

static void adopt_sequences(struct dp_worker *w)
{
    struct dp_seqview *v = atomic_exchange_explicit(&w->sequences_slot, NULL, memory_order_acq_rel);
    if (v)
        dp_engine_adopt_sequences(&w->engine, v);
}

static void on_wake(uv_async_t *h)
{
    struct dp_worker *w = h->data;
    adopt_reload(w);
    adopt_view(w);
    adopt_sequences(w);
    enum drain wanted = (enum drain)atomic_load_explicit(&w->drain_wanted, memory_order_acquire);
    if (wanted > w->draining)
        begin_drain(w, wanted);
}

static void run(void *arg)
{
    struct dp_worker *w = arg;
    char name[16];
    (void)snprintf(name, sizeof(name), "worker %u", (unsigned)w->index);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
    dp_crash_thread_begin();
    atomic_store(&w->tid, syscall(SYS_gettid));
    uv_sem_wait(&w->go);
    on_wake(&w->wake); /* who is to end at once accepts nothing */
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    dp_crash_thread_end();
    atomic_store_explicit(&w->done, true, memory_order_release);
}

static int init_handles(struct dp_worker *w)
{
    int r = uv_loop_init(&w->loop);
    if (r != 0)
        return r;
    /* None of these fail once the loop stands, but for the async's pipe. */
    r = uv_async_init(&w->loop, &w->wake, on_wake);
    if (r != 0) {
        (void)uv_loop_close(&w->loop);
        return r;
    }
    (void)uv_timer_init(&w->loop, &w->tick);
    (void)uv_timer_init(&w->loop, &w->deadline);
    (void)uv_prepare_init(&w->loop, &w->prepare);
    (void)uv_check_init(&w->loop, &w->check);
    (void)uv_sem_init(&w->go, 0); /* cannot fail */
    w->wake.data = w->tick.data = w->deadline.data = w->prepare.data = w->check.data = w;
    (void)uv_timer_start(&w->tick, on_tick, DP_TICK_MS, DP_TICK_MS);
    (void)uv_prepare_start(&w->prepare, on_prepare);
    (void)uv_check_start(&w->check, on_check);
    return 0;
}

/* For names of requests, which must be unique, not secret. Early at boot the kernel may have none yet: then the time
 * and an address will do. */
static struct dp_random seed(void)
{
    struct dp_random r;
    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != (ssize_t)sizeof(r)) {
        r.s[0] = dp_clock_mono_ns(&dp_clock_system);
        r.s[1] = (uint64_t)dp_clock_wall_ms(&dp_clock_system) ^ (uintptr_t)&r << 20;
    }
    r.s[0] |= 1; /* all zero is no state */
    return r;
}

enum dp_err dp_worker_new(const struct dp_worker_options *opt, struct dp_worker **out)
{
    struct dp_worker *w = calloc(1, sizeof(*w));
    if (!w)
        abort(); /* small and fixed */
    if (init_handles(w) != 0) {
        dp_worker_tls_free(opt->tls);
        free(w);
        return DP_EIO;
    }
    adopt_tls(w, opt->tls);
    w->index = opt->index;
    w->generation = opt->view->generation;
    w->listen_fd = w->socket = opt->listen_fd;
    const struct dp_engine_options eo = {
        .config = opt->config,
        .release = opt->release,
        .release_ctx = opt->release_ctx,
        .clock = &dp_clock_system,
        .traffic = &w->traffic,
        .view = opt->view,
        .client_tls = w->tls->listen != NULL,
        .random = seed(),
        .access = opt->access,
        .addresses = opt->addresses,
        .spans = opt->spans,
        .recent = opt->recent,
        .checkpoints = opt->checkpoints,
        .logins = opt->logins,
        .hash = hash,
        .secure = w->tls->listen ? secure : NULL,
        .dial = dial,
        .dial_ctx = w,
        .kick = opt->kick,
        .kick_ctx = opt->kick_ctx,
    };
    dp_engine_init(&w->engine, &eo);
    w->net = (struct dp_net){&w->loop, &w->engine.chunks, w->scratch};
    *out = w;
    return DP_OK;
}

enum dp_err dp_worker_start(struct dp_worker *w)
{
    static const struct dp_acceptor_events events = {on_connection, on_paused};
    const char *why = "no thread";
    if (dp_acceptor_new(&w->loop, w->listen_fd, BACKLOG, &events, w, &w->acceptor, &why) == DP_OK)
        w->listen_fd = -1;
    if (!w->acceptor || uv_thread_create(&w->thread, run, w) != 0) {
        dp_log(DP_LOG_ERROR, "worker_start_failed", DP_KV_INT("worker", w->index),
               DP_KV_STR("reason", why));
        return DP_EIO;
    }
    w->started = true;
    return DP_OK;
}

void dp_worker_go(struct dp_worker *w)
{
    uv_sem_post(&w->go);
}

void dp_worker_publish(struct dp_worker *w, struct dp_view *view)
{
    struct dp_view *old =
        atomic_exchange_explicit(&w->slot, dp_view_ref(view), memory_order_acq_rel);
    dp_view_unref(old);
    (void)uv_async_send(&w->wake);
}

void dp_worker_publish_sequences(struct dp_worker *w, struct dp_seqview *view)
{
    dp_seqview_unref(
        atomic_exchange_explicit(&w->sequences_slot, dp_seqview_ref(view), memory_order_acq_rel));
    (void)uv_async_send(&w->wake);
}

struct dp_worker_reload *dp_worker_reload_new(const struct dp_proxy_config *config,
                                              void (*release)(void *ctx), void *ctx,
                                              struct dp_worker_tls *tls)
{
    struct dp_worker_reload *r = calloc(1, sizeof(*r));
    struct dp_kept_config *kept = malloc(sizeof(*kept));
    struct dp_pinned_view *pinned = malloc(sizeof(*pinned));
    if (!r || !kept || !pinned) {
        free(r);
        free(kept);
        free(pinned);
        dp_worker_tls_free(tls);
        return NULL;
    }
    *kept = (struct dp_kept_config){config, release, ctx, 0};
    *r = (struct dp_worker_reload){kept, pinned, tls, NULL};
    return r;
}

void dp_worker_reload_free(struct dp_worker_reload *r)
{
    if (!r)
        return;
    if (r->kept->release)
        r->kept->release(r->kept->ctx);
    dp_worker_tls_free(r->tls);
    dp_view_unref(r->view);
    free(r->kept);
    free(r->pinned);
    free(r);
}

void dp_worker_publish_reload(struct dp_worker *w, struct dp_worker_reload *r, struct dp_view *view)
{
    r->view = dp_view_ref(view);
    dp_worker_reload_free(atomic_exchange_explicit(&w->reload_slot, r, memory_order_acq_rel));
    (void)uv_async_send(&w->wake);
}

void dp_worker_drain(struct dp_worker *w)
{
    int was = atomic_load_explicit(&w->drain_wanted, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&w->drain_wanted, &was,
                                         was < DRAIN_POLITELY ? DRAIN_POLITELY : DRAIN_NOW)) {
    }
    (void)uv_async_send(&w->wake);
    uv_sem_post(&w->go); /* it may wait for that yet */
}

void dp_worker_retire(struct dp_worker *w)
{
    int was = DRAIN_NO;
    (void)atomic_compare_exchange_strong(&w->drain_wanted, &was, DRAIN_RETIRE);
    (void)uv_async_send(&w->wake);
}

int dp_worker_listener(const struct dp_worker *w)
{
    return w->socket;
}

long dp_worker_tid(const struct dp_worker *w)
{
    return atomic_load(&w->tid);
}

static void describe_exchange(const struct dp_exchange *x, struct dp_crash_text *out)
{
    dp_crash_put(out, ", last at work on a request in phase ");
    dp_crash_put(out, dp_exchange_phase_name(x));
    if (!x->understood)
        return;
    dp_crash_put(out, ": ");
    dp_crash_put_span(out, x->request.method_text, 16);
    dp_crash_put(out, ", ");
    dp_crash_put(out, dp_couch_kind_name(x->couch.kind));
    if (x->up) {
        dp_crash_put(out, ", at region ");
        dp_crash_put(out,
                     x->view->view->regions[x->view->view->endpoints[x->endpoint].region].name);
    }
}

void dp_worker_describe(const struct dp_worker *w, struct dp_crash_text *out)
{
    const struct dp_exchange *x = w->engine.last;
    dp_crash_put(out, "worker ");
    dp_crash_put_uint(out, w->index);
    dp_crash_put(out, " (thread ");
    dp_crash_put_uint(out, (uint64_t)dp_worker_tid(w));
    dp_crash_put(out, "): ");
    dp_crash_put_uint(out, w->engine.n_conns);
    dp_crash_put(out, " connections");
    if (x)
        describe_exchange(x, out);
    dp_crash_put(out, "\n");
}

uint32_t dp_worker_ticks(const struct dp_worker *w)
{
    return atomic_load_explicit(&w->ticks, memory_order_relaxed);
}

bool dp_worker_done(const struct dp_worker *w)
{
    return atomic_load_explicit(&w->done, memory_order_acquire);
}

void dp_worker_destroy(struct dp_worker *w)
{
    if (w->started) {
        (void)uv_thread_join(&w->thread);
    } else {
        close_acceptor(w);
        close_all(w);
        (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    }
    if (w->listen_fd >= 0)
        (void)close(w->listen_fd);
    dp_view_unref(atomic_exchange(&w->slot, NULL));
    dp_worker_reload_free(atomic_exchange(&w->reload_slot, NULL));
    dp_seqview_unref(atomic_exchange(&w->sequences_slot, NULL));
    dp_engine_fini(&w->engine);
    int r = uv_loop_close(&w->loop);
    assert(r == 0);
    (void)r;
    uv_sem_destroy(&w->go);
    dp_worker_tls_free(w->tls);
    free(w);
}

const struct dp_traffic *dp_worker_traffic(const struct dp_worker *w)
{
    return &w->traffic;
}
