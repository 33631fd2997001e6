/* `davenport serve`: configuration, the process's limits, the runtime, and telling the world where it listens. */
#include "app/serve.h"

#include "davenport/base/crash.h"
#include "davenport/base/log.h"
#include "davenport/version.h"

#include "app/cli.h"
#include "app/port_file.h"
#include "app/runtime.h"
#include "app/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors for everything but connections. */
#define OTHER_FILES 128

static void raise_file_limit(void)
{
    if (!dp_cli_raise_files()) {
        dp_log(DP_LOG_WARN, "file_limit", DP_KV_STR("reason", "it cannot be raised"));
    }
}

/* Better said now than when connections cannot be accepted. */
static void compare_file_limit(const struct dp_config *c, uint32_t n_workers)
{
    struct rlimit files;
    uint64_t worker = c->max_connections + c->max_upstream * c->n_endpoints;
    uint64_t wanted = worker * n_workers + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY ||
        wanted <= files.rlim_cur) {
        return;
    }
    dp_log(DP_LOG_WARN, "file_limit_low", DP_KV_INT("files", files.rlim_cur),
           DP_KV_INT("wanted", wanted),
           DP_KV_STR("reason", "limits.connections and limits.upstream together may need more open "
                               "files than the system allows"));
}

static void ignore_sigpipe(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &action, NULL);
}

static void log_ready(const struct dp_config *c, const struct dp_runtime *r)
{
    struct dp_text names = {0};
    dp_text_addf(&names, "[");
    for (uint16_t i = 0; i < c->n_regions; i++) {
        dp_text_addf(&names, "%s\"%s\"", i ? "," : "", c->regions[i].name);
    }
    dp_text_addf(&names, "]");
    dp_log(DP_LOG_INFO, "ready", DP_KV_STR("listen", dp_runtime_listen(r)),
           DP_KV_STR("admin", dp_runtime_admin(r)), DP_KV_JSON("regions", dp_text_span(&names)),
           DP_KV_INT("workers", dp_runtime_workers(r)), DP_KV_STR("version", DP_VERSION),
           DP_KV_INT("pid", getpid()));
    dp_text_fini(&names);
}

/* Tell where it listens, now that it does. False when what was asked for cannot be written. */
static bool announce(const struct dp_serve_options *options, const struct dp_runtime *r)
{
    struct dp_text bound = {0};
    dp_port_file_text(dp_runtime_listen(r), dp_runtime_admin(r), &bound);
    bool good = dp_port_file_write(options->port_file, "start_failed", dp_text_span(&bound));
    if (good && options->ready_fd >= 0) {
        good = write(options->ready_fd, bound.p, bound.n) == (ssize_t)bound.n;
        if (!good) {
            dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", "--ready-fd"),
                   DP_KV_STR("reason", strerror(errno)));
        }
        (void)close(options->ready_fd);
    }
    dp_text_fini(&bound);
    return good;
}

static int run(const struct dp_serve_options *options, const struct dp_config *config,
               struct dp_handed *handed, const struct dp_heirloom *heirloom)
{
    struct dp_runtime *r;
    int code = DP_EXIT_FAILED;
    const struct dp_runtime_options start = {.config = config,
                                             .path = options->config_path,
                                             .handed = handed,
                                             .port_file = options->port_file,
                                             .ticket_keys =
                                                 heirloom ? &heirloom->ticket_keys : NULL};
    if (dp_runtime_start(&start, &r) != DP_OK) {
        return code;
    }
    compare_file_limit(config, dp_runtime_workers(r));
    if (announce(options, r)) {
        log_ready(config, r);
        dp_runtime_run(r);
        dp_log(DP_LOG_INFO, "stopped", DP_KV_INT("pid", getpid()));
        code = DP_EXIT_OK;
    }
    dp_runtime_destroy(r);
    dp_port_file_remove(options->port_file);
    return code;
}

int dp_serve(const struct dp_serve_options *options)
{
    struct dp_handed handed;
    char why[DP_HANDED_WHY];
    if (dp_handed_take(&handed, why) != DP_OK) {
        dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", "sockets"),
               DP_KV_STR("reason", why));
        return DP_EXIT_FAILED;
    }
    if (handed.ignored) {
        dp_log(DP_LOG_WARN, "handed_ignored", DP_KV_STR("variable", DP_HANDED_ENV),
               DP_KV_STR("reason", "the process that it is of gave us no sockets: ours are new"));
    }
    struct dp_heirloom heirloom;
    const struct dp_handed_fd *before = dp_handed_next(&handed, DP_HANDED_BEFORE);
    const bool inherits = before && dp_upgrade_inherit(before->fd, &heirloom);
    if (inherits) { /* the configuration's cookies are made of it */
        dp_secret_inherit(heirloom.secret);
    }
    struct dp_config *config = dp_cli_load_config(options->config_path, DP_RESOLVE_TRY);
    if (!config) {
        return DP_EXIT_FAILED;
    }
    dp_log_set_level((enum dp_log_level)config->log_level);
    ignore_sigpipe();
    dp_crash_install(&(struct dp_crash_options){.program = DP_PROGRAM});
    dp_crash_thread_begin();
    raise_file_limit();
    if (options->port_file && !before && !handed.ignored) {
        (void)unlink(options->port_file); /* of a run before: it must not be taken for this one's */
    }
    int code = run(options, config, &handed, inherits ? &heirloom : NULL);
    explicit_bzero(&heirloom, sizeof heirloom);
    dp_handed_close(&handed);
    dp_config_destroy(config);
    dp_crash_thread_end();
    return code;
}
