/* The rig: stream doubles around a real engine. A double keeps the stream's contract to the letter:
 * no callback inside a call, none after on_close, nothing taken while it is full. */
#include "support/rig.h"

#include "davenport/base/attr.h"

#include "proxy/conn.h"
#include "proxy/upstream.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct rig_peer *peer_of(struct dp_stream *s)
{
    return (struct rig_peer *)(void *)s;
}

static void grow(char **text, size_t *bytes, const char *p, size_t n)
{
    nomem_pause();
    *text = realloc(*text, *bytes + n + 1);
    nomem_resume();
    assert_non_null(*text);
    if (n > 0)
        memcpy(*text + *bytes, p, n);
    *bytes += n;
    (*text)[*bytes] = '\0';
}

static void peer_read_start(struct dp_stream *s)
{
    peer_of(s)->reading = true;
}

static void peer_read_stop(struct dp_stream *s)
{
    peer_of(s)->reading = false;
}

static enum dp_err peer_write(struct dp_stream *s, const struct dp_span *spans, size_t n)
{
    struct rig_peer *p = peer_of(s);
    assert_false(p->closed);
    assert_false(p->finished);
    if (p->write_error)
        return p->write_error;
    for (size_t i = 0; i < n; i++) {
        p->written += spans[i].n;
        if (p->full)
            grow(&p->waiting, &p->waiting_bytes, spans[i].p, spans[i].n);
        else
            grow(&p->got, &p->got_bytes, spans[i].p, spans[i].n);
    }
    return DP_OK;
}

static size_t peer_pending(const struct dp_stream *s)
{
    return ((const struct rig_peer *)(const void *)s)->waiting_bytes;
}

static void peer_shutdown(struct dp_stream *s)
{
    peer_of(s)->finished = true;
}

static void peer_close(struct dp_stream *s, bool reset)
{
    struct rig_peer *p = peer_of(s);
    p->closed = true;
    p->reset = reset;
}

static uint64_t peer_written(const struct dp_stream *s)
{
    return ((const struct rig_peer *)(const void *)s)->written;
}

static bool peer_reached(const struct dp_stream *s, uint64_t mark)
{
    return ((const struct rig_peer *)(const void *)s)->reached > mark;
}

static uint64_t peer_taken(const struct dp_stream *s)
{
    const struct rig_peer *p = (const struct rig_peer *)(const void *)s;
    return p->written - p->waiting_bytes - p->unacked;
}

static const struct dp_stream_ops ops = {
    .read_start = peer_read_start,
    .read_stop = peer_read_stop,
    .write = peer_write,
    .pending = peer_pending,
    .shutdown = peer_shutdown,
    .close = peer_close,
    .written = peer_written,
    .reached = peer_reached,
    .taken = peer_taken,
};

static struct rig_peer *peer_new(struct rig *r, const struct dp_stream_events *events, void *owner)
{
    nomem_pause();
    struct rig_peer *p = calloc(1, sizeof(*p));
    nomem_resume();
    assert_non_null(p);
    p->reached = UINT64_MAX;
    p->stream = (struct dp_stream){&ops, events, owner};
    p->rig = r;
    grow(&p->got, &p->got_bytes, "", 0);
    return p;
}

static enum dp_err dial(void *ctx, uint16_t endpoint, const struct dp_addr *addr,
                        const struct dp_stream_events *events, void *owner, struct dp_stream **out)
{
    struct rig *r = ctx;
    (void)endpoint; /* its address tells */
    if (r->dial_error)
        return r->dial_error;
    assert_true(r->n_regions < RIG_PEERS);
    struct rig_peer *p = peer_new(r, events, owner);
    (void)snprintf(p->ip, sizeof(p->ip), "%s", addr->ip);
    r->regions[r->n_regions++] = p;
    *out = &p->stream;
    return DP_OK;
}

static enum dp_err hash(void *ctx, struct dp_hash_job *job)
{
    struct rig *r = ctx;
    if (r->hash_error)
        return r->hash_error;
    assert_true(r->n_jobs < RIG_PEERS);
    job->work(job);
    r->jobs[r->n_jobs++] = job;
    return DP_OK;
}

static void deliver_hashes(struct rig *r)
{
    while (r->n_jobs > 0 && !r->hash_slow) {
        struct dp_hash_job *job = r->jobs[0];
        memmove(r->jobs, r->jobs + 1, --r->n_jobs * sizeof(r->jobs[0]));
        r->hashed++;
        job->done(job);
    }
}

static uint64_t rig_mono_ns(void *ctx)
{
    return ((struct rig *)ctx)->now_ns;
}

static int64_t rig_wall_ms(void *ctx)
{
    return (int64_t)(((struct rig *)ctx)->now_ns / DP_NS_PER_MS);
}

static void count_kick(void *ctx)
{
    ((struct rig *)ctx)->kicks++;
}

void rig_init(struct rig *r, unsigned n)
{
    static const char *const names[] = {"r0", "r1", "r2", "r3"};
    static const char *const hosts[] = {"r0.example:80", "r1.example:80", "r2.example:80",
                                        "r3.example:80"};
    assert_true(n <= DP_ARRAY_LEN(names));
    *r = (struct rig){0};
    r->config = (struct dp_proxy_config){
        .head_timeout_ms = 10000,
        .idle_timeout_ms = 60000,
        .body_timeout_ms = 30000,
        .max_head_bytes = 8192,
        .max_target_bytes = 4096,
        .max_headers = 64,
        .connect_timeout_ms = 1000,
        .waiting_timeout_ms = 3000,
        .race_delay_ms = 250,
        .answer_timeout_ms = 20000,
        .partition_timeout_ms = 8000,
        .stall_timeout_ms = 15000,
        .feed_timeout_ms = 90000,
        .pool_idle_timeout_ms = 50000,
        .pool_max_idle = 8,
        .max_upstream = 16,
        .max_waiting = 4,
        .replay_body_bytes = 65536,
        .whole_answer_bytes = 16384,
        .budgets = {[DP_BUDGET_RETRY] = {100, 100}, [DP_BUDGET_FAILOVER] = {100, 100}},
        .max_buffer_chunks = 1024,
        .drain_timeout_ms = 5000,
        .via = "davenport",
        .max_via = 3,
        .request_id = DP_ID_PASS, /* what is made differs each time */
        .traceparent = DP_ID_PASS,
        .x_forwarded = DP_FORWARDED_ADD,
    };
    r->now_ns = DP_NS_PER_S;
    r->clock = (struct dp_clock){rig_mono_ns, rig_wall_ms, r};
    r->view = dp_view_new();
    r->view->n_regions = r->view->n_endpoints = (uint16_t)n;
    r->view->active = 0;
    r->view->retry_after_s = 7;
    for (uint16_t i = 0; i < n; i++) {
        r->view->regions[i].name = names[i];
        r->view->endpoints[i].region = i;
        r->view->endpoints[i].host = hosts[i];
        char ip[DP_ADDR_TEXT];
        (void)snprintf(ip, sizeof(ip), "10.0.0.%u", i);
        assert_true(dp_addrs_add(&r->view->endpoints[i].addrs, ip, 80));
    }
}

void rig_start(struct rig *r)
{
    const struct dp_engine_options opt = {
        .config = &r->config,
        .clock = &r->clock,
        .traffic = &r->traffic,
        .view = r->view,
        .client_tls = r->client_tls,
        .random = {{1, 2}},
        .access = r->access,
        .addresses = r->addresses,
        .logins = r->logins,
        .hash = hash,
        .recent = r->recent,
        .spans = r->spans,
        .checkpoints = r->checkpoints,
        .dial = dial,
        .dial_ctx = r,
        .kick = count_kick,
        .kick_ctx = r,
    };
    dp_engine_init(&r->engine, &opt);
}

static void deliver_closes(struct rig_peer **peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (peers[i]->closed && !peers[i]->told_closed) {
            peers[i]->told_closed = true;
            peers[i]->stream.events->on_close(peers[i]->stream.owner);
        }
    }
}

/* Who is idle is read from: its end is seen, and so is the answer to the next request. */
static void check_idle(struct rig *r)
{
    for (uint16_t i = 0; i < r->engine.view->view->n_endpoints; i++) {
        struct dp_list *idle = &r->engine.pools[i].idle;
        for (struct dp_list *n = idle->next; n != idle; n = n->next)
            assert_true(peer_of(DP_CONTAINER_OF(n, struct dp_upstream, node)->stream)->reading);
    }
}

void rig_turn(struct rig *r)
{
    dp_engine_turn(&r->engine);
    deliver_hashes(r);
    deliver_closes(r->clients, r->n_clients);
    deliver_closes(r->regions, r->n_regions);
    dp_engine_turn(&r->engine);
    check_idle(r);
}

static void free_peers(struct rig_peer **peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(peers[i]->told_closed);
        free(peers[i]->got);
        free(peers[i]->waiting);
        free(peers[i]);
    }
}

void rig_fini(struct rig *r)
{
    r->hash_slow = false;
    dp_engine_abort(&r->engine);
    rig_turn(r);
    for (size_t i = 0; i < r->n_regions; i++) { /* dials that were never answered */
        if (!r->regions[i]->closed)
            rig_connect(r->regions[i], DP_ECONNECT);
    }
    rig_turn(r);
    assert_true(dp_engine_idle(&r->engine));
    dp_engine_tick(&r->engine, r->now_ns);
    assert_int_equal(dp_counter_get(&r->traffic.requests_active), 0);
    assert_int_equal(dp_counter_get(&r->traffic.feeds_active), 0);
    assert_int_equal(dp_counter_get(&r->traffic.held), 0);
    for (unsigned i = 0; i < DP_BUDGET_COUNT; i++)
        assert_int_equal(r->engine.spent[i], 0);
    assert_int_equal(r->engine.hold.state.requests + r->engine.hold.state.bytes, 0);
    assert_int_equal(dp_counter_get(&r->traffic.client_connections_open), 0);
    assert_int_equal(dp_counter_get(&r->traffic.upstream_connections_open), 0);
    assert_int_equal(dp_counter_get(&r->traffic.upstream_connections_idle), 0);
    assert_int_equal(dp_counter_get(&r->traffic.buffer_chunks), 0);
    for (unsigned i = 0; i < DP_MAX_ENDPOINTS; i++)
        assert_int_equal(dp_counter_get(&r->traffic.endpoints[i].in_flight), 0);
    dp_engine_fini(&r->engine);
    free_peers(r->clients, r->n_clients);
    free_peers(r->regions, r->n_regions);
    dp_view_unref(r->view);
}

struct rig_peer *rig_client_from(struct rig *r, const char *address)
{
    assert_true(r->n_clients < RIG_PEERS);
    struct rig_peer *p = peer_new(r, &dp_conn_events, NULL);
    r->clients[r->n_clients++] = p;
    (void)dp_conn_new(&r->engine, &p->stream, address);
    rig_turn(r);
    return p;
}

struct rig_peer *rig_client(struct rig *r)
{
    return rig_client_from(r, "192.0.2.7");
}

struct rig_peer *rig_dialed(struct rig *r, size_t count)
{
    assert_int_equal(r->n_regions, count);
    return r->regions[count - 1];
}

void rig_connect(struct rig_peer *p, enum dp_err err)
{
    assert_false(p->closed);
    p->stream.events->on_connect(p->stream.owner, err);
    rig_turn(p->rig);
}

void rig_send_bytes(struct rig_peer *p, const char *bytes, size_t n, size_t step)
{
    if (step == 0)
        step = n;
    for (size_t at = 0; at < n && !p->closed; at += step) {
        size_t now = n - at < step ? n - at : step;
        nomem_pause();
        char *copy = malloc(now); /* exact size: the sanitizer sees a step too far */
        nomem_resume();
        assert_non_null(copy);
        memcpy(copy, bytes + at, now);
        assert_true(p->reading);
        p->stream.events->on_read(p->stream.owner, copy, now);
        free(copy);
        rig_turn(p->rig);
    }
}

void rig_send(struct rig_peer *p, const char *text)
{
    rig_send_bytes(p, text, strlen(text), 0);
}

struct rig_peer *rig_request(struct rig *r, const char *request, struct rig_peer **region)
{
    struct rig_peer *c = rig_client(r);
    rig_send(c, request);
    *region = r->regions[r->n_regions - 1];
    rig_connect(*region, DP_OK);
    return c;
}

void rig_end(struct rig_peer *p, enum dp_err err)
{
    if (!p->closed)
        p->stream.events->on_end(p->stream.owner, err);
    rig_turn(p->rig);
}

void rig_take(struct rig_peer *p, size_t n)
{
    if (n > p->waiting_bytes)
        n = p->waiting_bytes;
    grow(&p->got, &p->got_bytes, p->waiting, n);
    p->waiting_bytes -= n;
    if (p->waiting_bytes > 0)
        memmove(p->waiting, p->waiting + n, p->waiting_bytes);
    if (!p->closed && p->waiting_bytes <= DP_STREAM_HIGH_BYTES / 2)
        p->stream.events->on_drain(p->stream.owner);
    rig_turn(p->rig);
}

void rig_clear(struct rig_peer *p)
{
    p->got_bytes = 0;
    p->got[0] = '\0';
}

void rig_wait(struct rig *r, uint32_t ms)
{
    r->now_ns += ms * DP_NS_PER_MS;
    dp_engine_tick(&r->engine, r->now_ns);
    rig_turn(r);
}

void rig_pass(struct rig *r, uint32_t ms)
{
    for (uint32_t at = 0; at < ms; at += DP_TICK_MS)
        rig_wait(r, ms - at < DP_TICK_MS ? ms - at : DP_TICK_MS);
}

static struct dp_view *next_view(const struct rig *r)
{
    nomem_pause();
    struct dp_view *v = dp_view_new();
    nomem_resume();
    v->epoch = r->view->epoch + 1;
    v->active = r->view->active;
    v->n_regions = r->view->n_regions;
    v->n_endpoints = r->view->n_endpoints;
    v->retry_after_s = r->view->retry_after_s;
    v->parted = r->view->parted;
    v->pause = r->pause;
    v->faulty = r->view->faulty;
    memcpy(v->regions, r->view->regions, sizeof(v->regions));
    memcpy(v->endpoints, r->view->endpoints, sizeof(v->endpoints));
    memcpy(v->faults, r->view->faults, sizeof(v->faults));
    return v;
}

static void show(struct rig *r, struct dp_view *v)
{
    dp_view_unref(r->view);
    r->view = v;
    dp_engine_adopt_view(&r->engine, dp_view_ref(v));
    rig_turn(r);
}

void rig_publish(struct rig *r, uint16_t endpoint, enum dp_route_state state, uint16_t active)
{
    struct dp_view *v = next_view(r);
    v->active = active;
    v->endpoints[endpoint].state = state;
    v->endpoints[endpoint].pool_epoch++;
    v->regions[v->endpoints[endpoint].region].state = state;
    show(r, v);
}

void rig_fault(struct rig *r, uint16_t region, const struct dp_fault *f)
{
    struct dp_view *v = next_view(r);
    v->faults[region] = f ? *f : (struct dp_fault){.kind = DP_FAULT_NONE};
    v->faulty = (v->faulty & ~(UINT32_C(1) << region)) | (uint32_t)(f != NULL) << region;
    show(r, v);
}
