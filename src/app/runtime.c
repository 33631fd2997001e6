/* The running proxy. Main thread. */
#include "app/runtime.h"

#include "davenport/base/clock.h"
#include "davenport/base/log.h"
#include "davenport/base/sink.h"
#include "davenport/control/sequences.h"
#include "davenport/net/listener.h"
#include "davenport/proxy/address_limit.h"
#include "davenport/proxy/checkpoints.h"
#include "davenport/proxy/login_limit.h"
#include "davenport/proxy/recent.h"
#include "davenport/version.h"

#include "app/admin.h"
#include "app/otlp_export.h"
#include "app/privilege.h"
#include "app/reload.h"
#include "app/runtime_state.h"
#include "app/supervisor.h"
#include "app/upgrade.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
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

static void report_certificates(const struct dp_runtime *r, struct dp_report *out)
{
    dp_report_add_certificate(out, "clients", NULL, dp_tls_load_listen_not_after(r->now->tls));
    dp_report_add_certificate(out, "operators", NULL, dp_tls_load_admin_not_after(r->now->tls));
    for (uint16_t i = 0; i < r->config->n_regions; i++) {
        dp_report_add_certificate(out, "region", r->config->regions[i].name,
                                  dp_tls_load_region_not_after(r->now->tls, i));
    }
}

static void report(void *ctx, struct dp_report *out)
{
    struct dp_runtime *r = ctx;
    *out = (struct dp_report){
        .version = DP_VERSION,
        .listen = r->sockets.traffic_text,
        .admin = r->sockets.admin_text,
        .listen_tls = r->config->listen_cert_file != NULL,
        .pid = (long)getpid(),
        .n_workers = r->n_workers,
        .draining = r->stage >= STAGE_DRAINING,
        .now_wall_ms = dp_clock_wall_ms(&dp_clock_system),
        .started_wall_ms = r->started_wall_ms,
        .hold_down_ms = r->config->failback_hold_ms,
        .reloads_done = r->reloads_done,
        .reloads_refused = r->reloads_refused,
        .sequences = r->sequences,
        .governor = r->governor,
    };
    struct dp_status status;
    dp_governor_status(r->governor, &status);
    dp_report_set_status(out, &status);
    for (uint32_t i = 0; i < r->n_workers; i++) {
        dp_report_add_traffic(out, r->traffic[i], dp_governor_view(r->governor));
    }
    report_certificates(r, out);
    out->totals[DP_TOTAL_trace_spans_exported] += dp_otlp_exported(r->exporter);
    out->totals[DP_TOTAL_trace_spans_dropped] += dp_otlp_dropped(r->exporter);
    if (r->access.sink) {
        out->totals[DP_TOTAL_access_log_dropped] += dp_sink_lost(r->access.sink);
    }
}

static size_t events(void *ctx, struct dp_span *lines, size_t max)
{
    const struct dp_runtime *r = ctx;
    return dp_governor_events(r->governor, lines, max);
}

static const char being_replaced[] = "a new process is taking over; ask again in a moment";

static enum dp_err order(void *ctx, const struct dp_order_request *request,
                         struct dp_order_result *out)
{
    struct dp_runtime *r = ctx;
    if (r->handing) {
        (void)snprintf(out->why, sizeof out->why, "%s", being_replaced);
        return DP_EDRAINING;
    }
    return dp_governor_order(r->governor, request, out);
}

static enum dp_err fault(void *ctx, const struct dp_fault_request *request,
                         struct dp_fault_result *out)
{
    struct dp_runtime *r = ctx;
    return dp_governor_fault(r->governor, request, out);
}

static enum dp_err heal(void *ctx, const char *region, const char *actor, uint32_t *healed)
{
    struct dp_runtime *r = ctx;
    return dp_governor_heal(r->governor, region, actor, healed);
}

static bool saved(void *ctx, uint64_t ticket)
{
    const struct dp_runtime *r = ctx;
    return dp_governor_saved(r->governor, ticket);
}

static void tokens(void *ctx, struct dp_admin_tokens *out)
{
    const struct dp_runtime *r = ctx;
    *out = (struct dp_admin_tokens){r->config->tokens, r->config->n_tokens};
}

/* So many a minute are journaled of one address or token, and of all together. */
#define DENIALS_OF_ONE 10
#define DENIALS_OF_ALL 60
#define DENIALS_S      60

static uint32_t denied(void *ctx, const char *who, const char *actor, const char *reason)
{
    struct dp_runtime *r = ctx;
    const uint64_t now_s = dp_clock_mono_ns(&dp_clock_system) / (1000 * DP_NS_PER_MS);
    uint64_t unused;
    const bool address = dp_address_key(who, &unused);
    const uint64_t one = dp_login_limit_key(r->denials, address ? DP_SPAN("") : dp_span_str(who),
                                            address ? who : "");
    const uint64_t all = dp_login_limit_key(r->denials, DP_SPAN(""), "");
    if (dp_login_limit_past(r->denials, one, DENIALS_OF_ONE, DENIALS_S, now_s)) {
        return DENIALS_S;
    }
    dp_login_limit_failed(r->denials, one, DENIALS_S, now_s);
    if (!dp_login_limit_past(r->denials, all, DENIALS_OF_ALL, DENIALS_S, now_s)) {
        dp_login_limit_failed(r->denials, all, DENIALS_S, now_s);
        dp_governor_access_refused(r->governor, actor, reason);
    }
    return 0;
}

/* The governor begins before the admin server and ends after it. */
static void on_event(void *ctx, struct dp_span line)
{
    const struct dp_runtime *r = ctx;
    if (r->admin) {
        dp_admin_event(r->admin, line);
    }
}

static void on_saved(void *ctx)
{
    const struct dp_runtime *r = ctx;
    if (r->admin) {
        dp_admin_saved(r->admin);
    }
}

/* The end -------------------------------------------------------------------------------------- */

void runtime_close_admin(struct dp_runtime *r)
{
    if (r->admin) {
        dp_admin_destroy(r->admin, NULL, NULL);
    }
    r->admin = NULL;
}

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

/* Reload --------------------------------------------------------------------------------------- */

static struct dp_generation *in_force(void *ctx, struct dp_tls_ticket_keys *keys)
{
    struct dp_runtime *r = ctx;
    *keys = r->ticket_keys;
    return r->now;
}

/* Idle connections to regions that trusted other files are not used again. By the new numbers. */
static void compare_trust(const struct dp_generation *old, const struct dp_generation *next,
                          bool renew[DP_MAX_REGIONS])
{
    for (uint16_t i = 0; i < next->config->n_regions; i++) {
        const struct dp_config_region *b = &next->config->regions[i];
        renew[i] = false;
        for (uint16_t k = 0; k < old->config->n_regions; k++) {
            const struct dp_config_region *a = &old->config->regions[k];
            bool pins = !a->pins || !b->pins ? a->pins != b->pins : strcmp(a->pins, b->pins) != 0;
            if (strcmp(a->name, b->name) == 0) {
                renew[i] = pins || dp_tls_load_region_differs(old->tls, k, next->tls, i);
            }
        }
    }
}

/* "probe.fall: 3 -> 5; TLS files of region eu" in one line. */
static void tell_changes(const struct dp_generation *old, const struct dp_reload *reload,
                         const bool renew[DP_MAX_REGIONS], struct dp_text *out)
{
    struct dp_span rest = dp_text_span(&reload->changes);
    struct dp_span line;
    const char *between = "";
    while (rest.p && (line = dp_span_cut(&rest, '\n')).n > 0) {
        dp_text_addf(out, "%s%.*s", between, (int)line.n, line.p);
        between = "; ";
    }
    if (dp_tls_load_listen_differs(old->tls, reload->next->tls)) {
        dp_text_addf(out, "%sTLS files of listen", between);
        between = "; ";
    }
    if (dp_tls_load_admin_differs(old->tls, reload->next->tls)) {
        dp_text_addf(out, "%sTLS files of admin", between);
        between = "; ";
    }
    for (uint16_t i = 0; i < reload->next->config->n_regions; i++) {
        if (renew[i]) {
            dp_text_addf(out, "%sTLS files of region %s", between,
                         reload->next->config->regions[i].name);
            between = "; ";
        }
    }
    if (!*between) {
        dp_text_addf(out, "nothing changed");
    }
}

/* One for each worker, or none: out of memory. */
static bool make_worker_parts(const struct dp_runtime *r, struct dp_generation *next,
                              struct dp_worker_reload *parts[DP_WORKERS_MAX])
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        parts[i] = dp_worker_reload_new(&next->proxy, dp_generation_unref, dp_generation_ref(next),
                                        dp_tls_load_take(next->tls, i));
        if (parts[i]) {
            continue;
        }
        dp_generation_unref(next);
        while (i-- > 0) {
            dp_worker_reload_free(parts[i]);
        }
        return false;
    }
    return true;
}

/* All of it, or nothing. */
static bool put_in_force(struct dp_runtime *r, struct dp_reload *reload, const char *what)
{
    struct dp_worker_reload *parts[DP_WORKERS_MAX] = {NULL};
    struct dp_generation *next = reload->next;
    bool renew[DP_MAX_REGIONS];
    if (!make_worker_parts(r, next, parts)) {
        return false;
    }
    compare_trust(r->now, next, renew);
    next->control.canary_id = r->canary_id;
    const struct dp_governor_reload order = {.config = &next->control,
                                             .renew = renew,
                                             .release = dp_generation_unref,
                                             .ctx = dp_generation_ref(next),
                                             .actor = reload->actor,
                                             .detail = what};
    r->reloading = true;
    enum dp_err err = dp_governor_reload(r->governor, &order);
    r->reloading = false;
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (err == DP_OK) {
            dp_worker_publish_reload(r->workers[i], parts[i], dp_governor_view(r->governor));
        } else {
            dp_worker_reload_free(parts[i]);
        }
    }
    if (err != DP_OK) {
        dp_generation_unref(next);
        return false;
    }
    dp_generation_unref(r->now);
    r->now = dp_generation_ref(next);
    r->config = next->config;
    r->ticket_keys = reload->ticket_keys;
    runtime_follow_tracing(r);
    dp_log_set_level((enum dp_log_level)r->config->log_level);
    return true;
}

static void on_reloaded(void *ctx, struct dp_reload *reload)
{
    struct dp_runtime *r = ctx;
    struct dp_text what = {0};
    bool renew[DP_MAX_REGIONS];
    bool done = false;
    if (r->stage != STAGE_RUNNING) {
        return; /* ending */
    }
    if (reload->next) {
        compare_trust(r->now, reload->next, renew);
        tell_changes(r->now, reload, renew, &what);
        done = put_in_force(r, reload, dp_text_str(&what));
        if (!done) {
            dp_problem(&reload->problems, "", "out of memory");
        }
    }
    r->reloads_done += done;
    r->reloads_refused += !done;
    if (!done) {
        dp_text_clear(&what);
        dp_text_add(&what, dp_span_trim(dp_text_span(&reload->problems.text)));
        dp_governor_refuse_reload(r->governor, reload->actor, dp_text_str(&what));
    }
    dp_supervisor_reloaded();
    if (r->admin && done) {
        dp_admin_renew_tls(r->admin, dp_tls_load_admin(r->now->tls));
    }
    if (r->admin) {
        dp_admin_reloaded(r->admin, reload->asked, done, dp_text_span(&reload->changes),
                          dp_text_span(&reload->problems.text));
    }
    dp_text_fini(&what);
}

static uint64_t ask_reload(void *ctx, const char *actor)
{
    struct dp_runtime *r = ctx;
    if (r->stage != STAGE_RUNNING || r->handing) {
        return 0;
    }
    dp_supervisor_reloading();
    return dp_reloader_ask(r->reloader, actor);
}

static void on_reload_signal(uv_signal_t *handle, int signum)
{
    (void)signum;
    (void)ask_reload(handle->data, "SIGHUP");
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
    e = e ? e : uv_signal_start(&r->on_hup, on_reload_signal, SIGHUP);
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
                                          .told = on_event,
                                          .saved = on_saved,
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

static enum dp_err make_admin(struct dp_runtime *r)
{
    struct dp_admin_source source = {.ctx = r,
                                     .answer = dp_admin_answer,
                                     .report = report,
                                     .process = dp_report_add_process,
                                     .events = events,
                                     .order = order,
                                     .fault = fault,
                                     .heal = heal,
                                     .saved = saved,
                                     .reload = ask_reload,
                                     .tokens = tokens,
                                     .denied = denied};
    const char *why = "";
    const bool tcp = r->sockets.admin_addr.unix_path == NULL;
    int fd = r->sockets.admin;
    r->sockets.admin = -1;
    enum dp_err err =
        dp_admin_new(&r->loop, fd, tcp, dp_tls_load_admin(r->now->tls), &source, &r->admin, &why);
    if (err != DP_OK) {
        runtime_failed("admin.listen", why);
    }
    return err;
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
    dp_governor_start(r->governor, r->traffic, r->n_workers);
    r->stage = STAGE_RUNNING;
    return DP_OK;
}

static enum dp_err make_reloader(struct dp_runtime *r)
{
    const struct dp_reload_options reload = {.loop = &r->loop,
                                             .n_workers = r->n_workers,
                                             .in_force = in_force,
                                             .done = on_reloaded,
                                             .ctx = r};
    r->reloader = dp_reloader_new(&reload, r->path);
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
    dp_sockets_init(&r->sockets, config);
    r->n_workers = r->sockets.n;
    return r;
}

enum dp_err dp_runtime_start(const struct dp_runtime_options *options, struct dp_runtime **out)
{
    static enum dp_err (*const steps[])(struct dp_runtime *) = {
        listen_to_signals,  open_sockets,          drop_privileges,        make_reloader,
        open_access_log,    runtime_begin_tracing, make_generation,        runtime_make_upgrade,
        runtime_take_state, make_sequences,        runtime_report_crashes, remember_writes,
        make_governor,      limit_addresses,       make_checkpoints,       make_workers,
        make_admin,         start_threads,         runtime_tell_crash,
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

bool dp_runtime_replaced(const struct dp_runtime *r)
{
    return r->replaced;
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

void dp_runtime_run(struct dp_runtime *r)
{
    const uint64_t look_ms = dp_supervisor_init(&r->supervisor);
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
