/* The running proxy: its parts, their beginning and their end. Main thread. */
#include "app/runtime.h"

#include "davenport/base/clock.h"
#include "davenport/base/log.h"
#include "davenport/base/sink.h"
#include "davenport/control/sequences.h"
#include "davenport/proxy/address_limit.h"
#include "davenport/proxy/checkpoints.h"
#include "davenport/proxy/login_limit.h"
#include "davenport/proxy/recent.h"

#include "app/otlp_export.h"
#include "app/privilege.h"
#include "app/reload.h"
#include "app/runtime_state.h"
#include "app/supervisor.h"
#include "app/upgrade.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <uv.h>

#define POLL_MS 20

/* The access log's buffers: 1 MiB a worker. How long its pipe's reader may take at the end. */
#define SINK_CHUNKS    16
#define SINK_LINGER_MS 2000

/* Sequence maps: how often workers may get new ones, and how often the file is written. */
#define SEQUENCES_PUBLISH_MS 500
#define SEQUENCES_SAVE_MS    10000

/* For the collector to take the last spans. */
#define SPANS_LAST_MS 2000

void runtime_failed(const char *what, const char *why)
{
    dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", what), DP_KV_STR("reason", why));
}

/* What the parts ask of each other ------------------------------------------------------------- */

static void publish(void *ctx, struct dp_view *view)
{
    struct dp_runtime *r = ctx;
    for (uint32_t i = 0; i < r->n_workers && !r->reloading; i++) {
        if (r->started[i] && !dp_worker_done(r->workers[i])) {
            dp_worker_publish(r->workers[i], view);
        }
    }
}

static void publish_sequences(void *ctx, struct dp_seqview *view)
{
    struct dp_runtime *r = ctx;
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (r->started[i] && !dp_worker_done(r->workers[i])) {
            dp_worker_publish_sequences(r->workers[i], view);
        }
    }
}

static void kick(void *ctx)
{
    dp_governor_kick(ctx);
}

/* The end -------------------------------------------------------------------------------------- */

/* Closes what lives on the loop; the loop ends when that is done. */
static void close_parts(struct dp_runtime *r)
{
    r->stage = STAGE_CLOSING;
    uv_close((uv_handle_t *)&r->on_term, NULL);
    uv_close((uv_handle_t *)&r->on_int, NULL);
    uv_close((uv_handle_t *)&r->on_hup, NULL);
    uv_close((uv_handle_t *)&r->on_usr1, NULL);
    uv_close((uv_handle_t *)&r->on_usr2, NULL);
    uv_close((uv_handle_t *)&r->poll, NULL);
    uv_close((uv_handle_t *)&r->look, NULL);
    dp_upgrade_destroy(r->upgrade);
    r->upgrade = NULL;
    dp_reloader_destroy(r->reloader);
    r->reloader = NULL;
    if (r->governor) { /* who follows the journal sees its last line */
        dp_governor_destroy(r->governor, NULL, NULL);
    }
    dp_sequences_destroy(r->sequences); /* writes what the governor told it */
    r->sequences = NULL;
    runtime_close_admin(r);
    dp_otlp_export_end(r->exporter, SPANS_LAST_MS);
}

static bool threads_ended(const struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (r->started[i] && !dp_worker_done(r->workers[i])) {
            return false;
        }
    }
    return true;
}

static void on_poll(uv_timer_t *timer)
{
    struct dp_runtime *r = timer->data;
    if (threads_ended(r) && !dp_upgrade_waits(r->upgrade)) {
        close_parts(r);
    }
}

void runtime_await_end(struct dp_runtime *r)
{
    r->stage = STAGE_DRAINING;
    (void)uv_timer_start(&r->poll, on_poll, 0, POLL_MS);
}

static void drain(struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (r->started[i]) {
            dp_worker_drain(r->workers[i]);
        }
    }
    if (r->stage == STAGE_DRAINING) {
        dp_upgrade_destroy(r->upgrade);
        r->upgrade = NULL;
    } else {
        r->reload_owed = false; /* nobody needs it any more */
        dp_upgrade_cancel(r->upgrade);
        if (r->stage == STAGE_RUNNING) {
            dp_supervisor_stopping(r->now->proxy.drain_timeout_ms);
        }
        runtime_await_end(r);
    }
}

static void on_end_signal(uv_signal_t *handle, int signum)
{
    struct dp_runtime *r = handle->data;
    const char *name = signum == SIGTERM ? "SIGTERM" : "SIGINT";
    if (r->stage == STAGE_RUNNING) {
        dp_log(DP_LOG_INFO, "draining", DP_KV_STR("signal", name),
               DP_KV_INT("limit_ms", r->now->proxy.drain_timeout_ms));
    } else {
        dp_log(DP_LOG_WARN, "ending_at_once", DP_KV_STR("signal", name));
    }
    drain(r);
}

static void on_rotate_signal(uv_signal_t *handle, int signum)
{
    struct dp_runtime *r = handle->data;
    (void)signum;
    if (r->access.sink) {
        dp_sink_reopen(r->access.sink);
    }
    if (r->governor) {
        dp_governor_reopen(r->governor);
    }
}

/* The beginning -------------------------------------------------------------------------------- */

static enum dp_err init_loop(struct dp_runtime *r)
{
    int e = uv_loop_init(&r->loop);
    if (e != 0) {
        runtime_failed("loop", uv_strerror(e));
        return DP_EIO;
    }
    uv_signal_t *signals[] = {&r->on_term, &r->on_int, &r->on_hup, &r->on_usr1, &r->on_usr2};
    for (size_t i = 0; i < DP_ARRAY_LEN(signals); i++) {
        e = e ? e : uv_signal_init(&r->loop, signals[i]);
        signals[i]->data = r;
    }
    if (e != 0) { /* no descriptors left for the signal pipe: nothing has begun */
        runtime_failed("signals", uv_strerror(e));
        return DP_EIO;
    }
    (void)uv_timer_init(&r->loop, &r->poll); /* cannot fail */
    (void)uv_timer_init(&r->loop, &r->look);
    r->poll.data = r->look.data = r;
    return DP_OK;
}

static enum dp_err listen_to_signals(struct dp_runtime *r)
{
    int e = uv_signal_start(&r->on_term, on_end_signal, SIGTERM);
    e = e ? e : uv_signal_start(&r->on_int, on_end_signal, SIGINT);
    e = e ? e : uv_signal_start(&r->on_hup, runtime_on_reload, SIGHUP);
    e = e ? e : uv_signal_start(&r->on_usr1, on_rotate_signal, SIGUSR1);
    e = e ? e : uv_signal_start(&r->on_usr2, runtime_on_upgrade, SIGUSR2);
    if (e != 0) {
        runtime_failed("signals", uv_strerror(e));
        return DP_EIO;
    }
    return DP_OK;
}

/* Unlike any other's; early at boot the kernel may have nothing better than the time. */
static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        seed = dp_clock_mono_ns(&dp_clock_system) ^ (uint64_t)getpid();
    }
    return seed;
}

static enum dp_err limit_addresses(struct dp_runtime *r)
{
    const struct dp_config *c = r->config;
    r->logins = dp_login_limit_new(random_seed()); /* a reload may ask for it */
    r->denials = dp_login_limit_new(random_seed());
    if (!r->logins || !r->denials) {
        runtime_failed("clients", dp_err_info(DP_ENOMEM)->reason);
        return DP_ENOMEM;
    }
    if (c->max_per_address == 0) {
        return DP_OK;
    }
    r->addresses = dp_address_limit_new((uint32_t)c->max_per_address,
                                        c->max_connections * r->n_workers, random_seed());
    if (!r->addresses) {
        runtime_failed("limits.connections_per_address", dp_err_info(DP_ENOMEM)->reason);
        return DP_ENOMEM;
    }
    return DP_OK;
}

static enum dp_err remember_writes(struct dp_runtime *r)
{
    r->recent = dp_recent_new((uint32_t)r->config->recent_documents, random_seed());
    if (!r->recent) {
        runtime_failed("read_your_writes.documents", dp_err_info(DP_ENOMEM)->reason);
        return DP_ENOMEM;
    }
    return DP_OK;
}

/* As configured; else unlike any other proxy's and the same after a restart: the host's name and where we listen. */
static void name_canary(struct dp_runtime *r)
{
    const char *name = r->now->config->canary_name;
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    if (snprintf(r->canary_id, sizeof r->canary_id, "davenport-canary-%s%s%s", name ? name : host,
                 name ? "" : "-", name ? "" : r->sockets.traffic_text) < 0) {
        r->canary_id[0] = '\0';
    }
    for (char *c = r->canary_id; *c; c++) {
        if (!isalnum((unsigned char)*c)) {
            *c = '-';
        }
    }
    r->now->control.canary_id = r->canary_id;
}

static enum dp_err make_checkpoints(struct dp_runtime *r)
{
    if (r->config->checkpoints_after_failover == 0) {
        return DP_OK;
    }
    r->checkpoints = dp_checkpoints_new(random_seed());
    if (!r->checkpoints) {
        runtime_failed("checkpoints.after_failover", dp_err_info(DP_ENOMEM)->reason);
    }
    return r->checkpoints ? DP_OK : DP_ENOMEM;
}

static enum dp_err make_sequences(struct dp_runtime *r)
{
    const struct dp_config *c = r->config;
    const struct dp_sequences_options options = {
        .loop = &r->loop,
        .clock = &dp_clock_system,
        .maps = {(uint32_t)c->sequence_databases, (uint32_t)c->sequence_marks,
                 (uint32_t)c->sequence_min_age_ms},
        .folder = c->state_dir,
        .save_ms = SEQUENCES_SAVE_MS,
        .publish_ms = SEQUENCES_PUBLISH_MS,
        .publish = publish_sequences,
        .ctx = r,
    };
    enum dp_err err = dp_sequences_new(&options, &r->sequences);
    if (err != DP_OK) {
        runtime_failed("sequences", dp_err_info(err)->reason);
    }
    return err;
}

static void on_settled(void *ctx, uint16_t region, uint64_t until_ns)
{
    struct dp_runtime *r = ctx;
    dp_recent_settle(r->recent, region, until_ns / DP_NS_PER_MS);
}

static enum dp_err make_governor(struct dp_runtime *r)
{
    const char *why = "";
    name_canary(r);
    struct dp_governor_options options = {.loop = &r->loop,
                                          .config = &r->now->control,
                                          .release = dp_generation_unref,
                                          .release_ctx = dp_generation_ref(r->now),
                                          .publish = publish,
                                          .publish_ctx = r,
                                          .told = runtime_tell_event,
                                          .saved = runtime_tell_saved,
                                          .settled = on_settled,
                                          .ctx = r,
                                          .replication = dp_sequences_listener(r->sequences),
                                          .seed = random_seed()};
    enum dp_err err = dp_governor_new(&options, &r->governor, &why);
    if (err != DP_OK) {
        dp_generation_unref(r->now);
        runtime_failed("governor", why);
    }
    return err;
}

static enum dp_err open_sockets(struct dp_runtime *r)
{
    enum dp_err err = dp_sockets_open(&r->sockets, r->config, r->handed);
    r->n_workers = r->sockets.n;
    return err;
}

static enum dp_err drop_privileges(struct dp_runtime *r)
{
    return dp_privilege_drop(r->config, &r->sockets);
}

static enum dp_err open_access_log(struct dp_runtime *r)
{
    const char *path = r->config->access_log_path;
    char why[DP_SINK_WHY];
    dp_config_access(r->config, &r->access);
    if (!path) {
        return DP_OK;
    }
    enum dp_err err =
        dp_sink_open(path, SINK_CHUNKS * r->n_workers, SINK_LINGER_MS, &r->access.sink, why);
    if (err != DP_OK) {
        dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", "access_log.path"),
               DP_KV_STR("address", path), DP_KV_STR("reason", why));
    }
    return err;
}

static enum dp_err make_generation(struct dp_runtime *r)
{
    char why[DP_TLS_LOAD_WHY] = "no random bytes for a ticket key";
    enum dp_err err = DP_EIO;
    if (dp_tls_ticket_keys_rotate(&r->ticket_keys)) {
        err = dp_generation_new(NULL, r->config, &r->ticket_keys, r->n_workers, &r->now, why);
    }
    if (err != DP_OK) {
        runtime_failed("tls", why);
    }
    return err;
}

static enum dp_err make_workers(struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        struct dp_worker_options options = {.config = &r->now->proxy,
                                            .release = dp_generation_unref,
                                            .release_ctx = dp_generation_ref(r->now),
                                            .listen_fd = r->sockets.traffic[i],
                                            .view = dp_governor_view(r->governor),
                                            .tls = dp_tls_load_take(r->now->tls, i),
                                            .access = r->access,
                                            .spans = dp_otlp_export_ring(r->exporter, i),
                                            .addresses = r->addresses,
                                            .recent = r->recent,
                                            .checkpoints = r->checkpoints,
                                            .logins = r->logins,
                                            .index = i,
                                            .kick = kick,
                                            .kick_ctx = r->governor};
        enum dp_err err = dp_worker_new(&options, &r->workers[i]);
        if (err != DP_OK) {
            dp_generation_unref(r->now);
            runtime_failed("worker", dp_err_info(err)->reason);
            return err;
        }
        r->sockets.traffic[i] = -1;
        r->traffic[i] = dp_worker_traffic(r->workers[i]);
    }
    return DP_OK;
}

static enum dp_err start_threads(struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        enum dp_err err = dp_worker_start(r->workers[i]);
        if (err != DP_OK) {
            runtime_failed("worker", dp_err_info(err)->reason);
            return err;
        }
        r->started[i] = true;
        dp_worker_publish_sequences(r->workers[i], dp_sequences_view(r->sequences));
    }
    return DP_OK;
}

static struct dp_runtime *runtime_new(const struct dp_config *config)
{
    struct dp_runtime *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->config = config;
    r->started_wall_ms = dp_clock_wall_ms(&dp_clock_system);
    (void)dp_instance_of(getpid(), r->instance);
    dp_sockets_init(&r->sockets, config);
    r->n_workers = r->sockets.n;
    return r;
}

enum dp_err dp_runtime_start(const struct dp_runtime_options *options, struct dp_runtime **out)
{
    static enum dp_err (*const steps[])(struct dp_runtime *) = {
        listen_to_signals,  open_sockets,    drop_privileges,        runtime_make_reloader,
        open_access_log,    make_generation, runtime_begin_tracing,  runtime_make_upgrade,
        runtime_take_state, make_sequences,  runtime_report_crashes, remember_writes,
        make_governor,      limit_addresses, make_checkpoints,       make_workers,
        runtime_make_admin, start_threads,
    };
    struct dp_runtime *r = runtime_new(options->config);
    r->handed = options->handed;
    r->path = options->path;
    if (options->ticket_keys) {
        r->ticket_keys = *options->ticket_keys;
    }
    r->port_file = options->port_file;
    r->before = -1;
    enum dp_err err = init_loop(r);
    if (err != DP_OK) {
        free(r);
        return err;
    }
    for (size_t i = 0; i < DP_ARRAY_LEN(steps); i++) {
        err = steps[i](r);
        if (err != DP_OK) {
            dp_runtime_destroy(r);
            return err;
        }
    }
    *out = r;
    return DP_OK;
}

const char *dp_runtime_listen(const struct dp_runtime *r)
{
    return r->sockets.traffic_text;
}

const char *dp_runtime_admin(const struct dp_runtime *r)
{
    return r->sockets.admin_text;
}

uint32_t dp_runtime_workers(const struct dp_runtime *r)
{
    return r->n_workers;
}

static void on_look(uv_timer_t *timer)
{
    struct dp_runtime *r = timer->data;
    struct dp_view *view = r->stage == STAGE_RUNNING ? dp_governor_view(r->governor) : NULL;
    dp_supervisor_look(&r->supervisor, r->workers, r->n_workers, view, uv_timer_get_repeat(timer));
}

/* Nothing that may fail is left: from here on connections are taken, and who took our place would cut them. */
static void begin_service(struct dp_runtime *r)
{
    dp_governor_start(r->governor, r->traffic, r->n_workers);
    runtime_tell_crash(r);
    for (uint32_t i = 0; i < r->n_workers; i++) {
        dp_worker_go(r->workers[i]);
    }
    r->stage = STAGE_RUNNING;
}

void dp_runtime_run(struct dp_runtime *r)
{
    const uint64_t look_ms = dp_supervisor_init(&r->supervisor);
    begin_service(r);
    (void)uv_timer_start(&r->look, on_look, look_ms, look_ms);
    dp_supervisor_ready(&r->supervisor, dp_governor_view(r->governor));
    runtime_take_over(r);
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
}

/* A start that failed half way: no client has been served, so nothing is drained politely. */
static void end_at_once(struct dp_runtime *r)
{
    drain(r);
    drain(r);
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
}

void dp_runtime_destroy(struct dp_runtime *r)
{
    runtime_forget_crashes();
    if (r->stage != STAGE_CLOSING) {
        end_at_once(r);
    }
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (r->workers[i]) {
            dp_worker_destroy(r->workers[i]);
        }
    }
    dp_address_limit_free(r->addresses);
    dp_recent_free(r->recent);
    dp_checkpoints_free(r->checkpoints);
    dp_login_limit_free(r->logins);
    dp_login_limit_free(r->denials);
    dp_sink_close(r->access.sink);
    dp_otlp_export_free(r->exporter);
    dp_generation_unref(r->now);
    explicit_bzero(&r->ticket_keys, sizeof r->ticket_keys);
    dp_sockets_fini(&r->sockets);
    if (r->before >= 0) {
        (void)close(r->before);
    }
    (void)uv_loop_close(&r->loop);
    free(r);
}
