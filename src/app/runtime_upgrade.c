/* Both ends of an upgrade in place (app/upgrade.h), as the runtime's: what is handed on, what is let go of, what is taken over. */
#include "davenport/base/log.h"
#include "davenport/control/sequences.h"
#include "davenport/version.h"

#include "app/admin.h"
#include "app/port_file.h"
#include "app/runtime_state.h"

#include <signal.h>
#include <unistd.h>

static size_t heritage(void *ctx, struct dp_handed_fd out[DP_HANDED_MAX])
{
    const struct dp_runtime *r = ctx;
    size_t n = 0;
    for (uint32_t i = 0; i < r->n_workers; i++) {
        out[n++] = (struct dp_handed_fd){dp_worker_listener(r->workers[i]), DP_HANDED_TRAFFIC,
                                         r->sockets.traffic_file.path != NULL};
    }
    out[n++] = (struct dp_handed_fd){dp_admin_listener(r->admin), DP_HANDED_ADMIN,
                                     r->sockets.admin_file.path != NULL};
    return n;
}

static bool heirloom(void *ctx, struct dp_heirloom *out)
{
    const struct dp_runtime *r = ctx;
    out->ticket_keys = r->ticket_keys;
    return dp_secret_of_process(out->secret);
}

void runtime_look_at_handover(struct dp_runtime *r)
{
    if (r->handing && r->sequences_away && dp_governor_handed_over(r->governor)) {
        dp_upgrade_let_go(r->upgrade);
    }
}

static void on_sequences_written(void *ctx)
{
    struct dp_runtime *r = ctx;
    r->sequences_away = true;
    runtime_look_at_handover(r);
}

static void let_go(void *ctx)
{
    struct dp_runtime *r = ctx;
    r->handing = true;
    r->sequences_away = false;
    dp_governor_record(r->governor, "upgrade", "SIGUSR2",
                       "a new process has started and takes over", DP_VERSION);
    dp_governor_hand_over(r->governor);
    dp_sequences_hand_over(r->sequences, on_sequences_written, r);
}

/* The new one may have named itself there before it ended. */
static void name_ourselves(const struct dp_runtime *r)
{
    struct dp_text bound = {0};
    dp_port_file_text(r->sockets.traffic_text, r->sockets.admin_text, &bound);
    (void)dp_port_file_write(r->port_file, "port_file_lost", dp_text_span(&bound));
    dp_text_fini(&bound);
}

static void take_back(struct dp_runtime *r)
{
    r->handing = false;
    dp_sequences_take_back(r->sequences);
    if (dp_governor_take_back(r->governor) != DP_OK) {
        dp_log(DP_LOG_ERROR, "journal_lost", DP_KV_STR("reason", "out of memory"));
    }
    name_ourselves(r);
}

static void record_refusal(struct dp_runtime *r, const char *why)
{
    dp_log(DP_LOG_ERROR, "upgrade_refused", DP_KV_STR("reason", why));
    dp_governor_record(r->governor, "upgrade_refused", "SIGUSR2",
                       "the process from before stays the service", why);
}

static void on_upgrade_failed(void *ctx, bool had_let_go, const char *why)
{
    struct dp_runtime *r = ctx;
    if (had_let_go) {
        take_back(r);
    }
    record_refusal(r, why);
    dp_supervisor_reloaded();
    runtime_catch_up_reload(r, 0);
}

/* The new one's admin server answers; what was decided here since stays here. */
static void on_replaced(void *ctx, long pid)
{
    struct dp_runtime *r = ctx;
    dp_log(DP_LOG_INFO, "replaced", DP_KV_INT("by", pid), DP_KV_INT("pid", getpid()),
           DP_KV_INT("limit_ms", r->now->proxy.drain_timeout_ms));
    if (r->stage == STAGE_DRAINING) { /* who told us to end meant the service */
        (void)kill((pid_t)pid, SIGTERM);
    }
    runtime_catch_up_reload(r, pid);
    dp_supervisor_replaced(pid);
    r->sockets.traffic_file.path = r->sockets.admin_file.path = NULL;
    runtime_close_admin(r);
    for (uint32_t i = 0; i < r->n_workers; i++) {
        dp_worker_retire(r->workers[i]);
    }
    runtime_await_end(r);
}

void runtime_on_upgrade(uv_signal_t *handle, int signum)
{
    struct dp_runtime *r = handle->data;
    (void)signum;
    if (r->stage != STAGE_RUNNING) {
        return;
    }
    if (dp_upgrade_under_way(r->upgrade)) {
        dp_log(DP_LOG_WARN, "upgrade_refused", DP_KV_STR("reason", "one is under way"));
    } else if (dp_reloader_busy(r->reloader)) { /* whose end the service manager is told of */
        record_refusal(r, "the configuration is being reloaded; try again in a moment");
    } else {
        dp_supervisor_reloading();
        dp_upgrade_begin(r->upgrade);
    }
}

enum dp_err runtime_make_upgrade(struct dp_runtime *r)
{
    const struct dp_upgrade_options options = {.loop = &r->loop,
                                               .config_path = r->path,
                                               .port_file = r->port_file,
                                               .ctx = r,
                                               .sockets = heritage,
                                               .heirloom = heirloom,
                                               .let_go = let_go,
                                               .failed = on_upgrade_failed,
                                               .replaced = on_replaced};
    r->upgrade = dp_upgrade_new(&options);
    if (!r->upgrade) {
        runtime_failed("upgrade", dp_err_info(DP_ENOMEM)->reason);
    }
    return r->upgrade ? DP_OK : DP_ENOMEM;
}

enum dp_err runtime_take_state(struct dp_runtime *r)
{
    struct dp_handed_fd *h = r->handed ? dp_handed_next(r->handed, DP_HANDED_BEFORE) : NULL;
    if (!h) {
        return DP_OK;
    }
    r->before = h->fd;
    h->fd = -1;
    enum dp_err err = dp_upgrade_take_state(r->before);
    if (err != DP_OK) {
        runtime_failed("upgrade", "the process before does not let go of the state");
    }
    return err;
}

void runtime_take_over(struct dp_runtime *r)
{
    if (r->before < 0) {
        return;
    }
    dp_governor_record(r->governor, "upgraded", "SIGUSR2",
                       "this process took over from the one before", DP_VERSION);
    dp_upgrade_ready(r->before);
    r->before = -1;
}
