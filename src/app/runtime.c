/* The running proxy. Main thread. */
#include "app/runtime.h"

#include "davenport/base/clock.h"
#include "davenport/base/log.h"
#include "davenport/base/sink.h"
#include "davenport/net/listener.h"
#include "davenport/proxy/address_limit.h"
#include "davenport/version.h"

#include "app/admin.h"
#include "app/reload.h"

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

#define WORKERS_MAX 256
#define POLL_MS     20
#define SOCKET_MODE 0600

/* The access log's buffers: 1 MiB a worker. How long its pipe's reader may take at the end. */
#define SINK_CHUNKS    16
#define SINK_LINGER_MS 2000

enum stage { STAGE_STARTING, STAGE_RUNNING, STAGE_DRAINING, STAGE_CLOSING };

struct dp_runtime {
    struct dp_generation *now;      /* in force */
    const struct dp_config *config; /* its, or before there is one: what it is to be made of */
    struct dp_admin_addr admin_addr;
    uv_loop_t loop;
    uv_signal_t on_term, on_int, on_hup, on_usr1;
    uv_timer_t poll; /* while draining: have the threads ended? */
    enum stage stage;
    struct dp_governor *governor;
    struct dp_admin *admin;
    struct dp_access_config access;     /* its sink is ours */
    struct dp_address_limit *addresses; /* NULL: no such limit */
    struct dp_tls_load *tls;            /* in force */
    struct dp_tls_ticket_keys ticket_keys;
    struct dp_reloader *reloader;
    bool reloading; /* it is being put in force: views wait for the workers' part */
    uint64_t reloads_done, reloads_refused;
    int admin_fd;                                  /* until the admin server owns it */
    struct dp_socket_file listen_file, admin_file; /* to be removed at the end */
    uint32_t n_workers;
    int fds[WORKERS_MAX]; /* until the workers own them */
    struct dp_worker *workers[WORKERS_MAX];
    const struct dp_traffic *traffic[WORKERS_MAX];
    bool started[WORKERS_MAX];
    int64_t started_wall_ms;
    char listen_text[DP_BOUND_TEXT];
    char canary_id[DP_BOUND_TEXT + 96]; /* see dp_control_config */
    char admin_text[DP_BOUND_TEXT];
};

static void failed(const char *what, const char *why)
{
    dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", what), DP_KV_STR("reason", why));
}

/* Sockets -------------------------------------------------------------------------------------- */

static void address_text(char out[DP_BOUND_TEXT], const char *ip, uint16_t port)
{
    bool v6 = strchr(ip, ':') != NULL;
    if (snprintf(out, DP_BOUND_TEXT, "%s%s%s:%u", v6 ? "[" : "", ip, v6 ? "]" : "",
                 (unsigned)port) < 0) {
        out[0] = '\0';
    }
}

/* SO_REUSEPORT would let a second proxy share the port in silence: try without it first. */
static enum dp_err check_free(const char *ip, uint16_t port, unsigned flags, const char **why)
{
    int fd;
    uint16_t bound;
    if (port == 0) {
        return DP_OK;
    }
    enum dp_err err = dp_listen_tcp(ip, port, flags, &fd, &bound, why);
    if (err == DP_OK) {
        (void)close(fd);
    }
    return err;
}

static void unix_text(char out[DP_BOUND_TEXT], const char *path)
{
    if (snprintf(out, DP_BOUND_TEXT, DP_UNIX_PREFIX "%s", path) < 0) {
        out[0] = '\0';
    }
}

static enum dp_err bind_ports(struct dp_runtime *r, const char **why)
{
    const char *ip = r->config->listen_address;
    uint16_t port = (uint16_t)r->config->listen_port;
    unsigned flags = r->config->listen_ipv6_only ? 0 : DP_LISTEN_BOTH;
    enum dp_err err = check_free(ip, port, flags, why);
    if (r->n_workers > 1) {
        flags |= DP_LISTEN_REUSE_PORT;
    }
    for (uint32_t i = 0; i < r->n_workers && err == DP_OK; i++) {
        err = dp_listen_tcp(ip, port, flags, &r->fds[i], &port, why);
    }
    address_text(r->listen_text, ip, port);
    return err;
}

/* There is one socket to a path: all workers accept from it, each by a descriptor of its own. */
static enum dp_err bind_path(struct dp_runtime *r, const char *path, const char **why)
{
    const uint32_t mode = dp_config_mode(r->config->listen_socket_mode);
    enum dp_err err = dp_listen_unix(path, mode, &r->fds[0], &r->listen_file, why);
    for (uint32_t i = 1; i < r->n_workers && err == DP_OK; i++) {
        r->fds[i] = fcntl(r->fds[0], F_DUPFD_CLOEXEC, 0);
        if (r->fds[i] < 0) {
            *why = strerror(errno);
            err = DP_EIO;
        }
    }
    unix_text(r->listen_text, path);
    return err;
}

static enum dp_err bind_traffic(struct dp_runtime *r)
{
    const char *path = dp_config_unix_path(r->config->listen_address);
    const char *why = "";
    enum dp_err err = path ? bind_path(r, path, &why) : bind_ports(r, &why);
    if (err != DP_OK) {
        dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", "listen"),
               DP_KV_STR("address", r->listen_text), DP_KV_STR("reason", why));
    }
    return err;
}

static enum dp_err bind_admin(struct dp_runtime *r)
{
    const struct dp_admin_addr *addr = &r->admin_addr;
    const char *why = "";
    uint16_t port = addr->port;
    enum dp_err err = dp_admin_addr_parse(r->config->admin_listen, &r->admin_addr, &why);
    if (err == DP_OK && addr->unix_path) {
        err = dp_listen_unix(addr->unix_path, SOCKET_MODE, &r->admin_fd, &r->admin_file, &why);
    } else if (err == DP_OK) {
        err = dp_listen_tcp(addr->ip, addr->port, 0, &r->admin_fd, &port, &why);
    }
    if (err != DP_OK) {
        dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", "admin.listen"),
               DP_KV_STR("address", r->config->admin_listen), DP_KV_STR("reason", why));
        return err;
    }
    if (addr->unix_path) {
        unix_text(r->admin_text, addr->unix_path);
    } else {
        address_text(r->admin_text, addr->ip, port);
    }
    return DP_OK;
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

static void kick(void *ctx)
{
    dp_governor_kick(ctx);
}

static void report_certificates(const struct dp_runtime *r, struct dp_report *out)
{
    dp_report_add_certificate(out, NULL, dp_tls_load_listen_not_after(r->now->tls));
    for (uint16_t i = 0; i < r->config->n_regions; i++) {
        dp_report_add_certificate(out, r->config->regions[i].name,
                                  dp_tls_load_region_not_after(r->now->tls, i));
    }
}

static void report(void *ctx, struct dp_report *out)
{
    struct dp_runtime *r = ctx;
    *out = (struct dp_report){
        .version = DP_VERSION,
        .listen = r->listen_text,
        .admin = r->admin_text,
        .listen_tls = r->config->listen_cert_file != NULL,
        .n_workers = r->n_workers,
        .draining = r->stage >= STAGE_DRAINING,
        .now_wall_ms = dp_clock_wall_ms(&dp_clock_system),
        .started_wall_ms = r->started_wall_ms,
        .hold_down_ms = r->config->failback_hold_ms,
        .reloads_done = r->reloads_done,
        .reloads_refused = r->reloads_refused,
    };
    struct dp_status status;
    dp_governor_status(r->governor, &status);
    dp_report_set_status(out, &status);
    for (uint32_t i = 0; i < r->n_workers; i++) {
        dp_report_add_traffic(out, r->traffic[i], dp_governor_view(r->governor));
    }
    report_certificates(r, out);
    if (r->access.sink) {
        out->totals[DP_TOTAL_access_log_dropped] += dp_sink_lost(r->access.sink);
    }
    dp_report_add_process(out);
}

static size_t events(void *ctx, struct dp_span *lines, size_t max)
{
    const struct dp_runtime *r = ctx;
    return dp_governor_events(r->governor, lines, max);
}

static enum dp_err order(void *ctx, const struct dp_order_request *request,
                         struct dp_order_result *out)
{
    struct dp_runtime *r = ctx;
    return dp_governor_order(r->governor, request, out);
}

static bool saved(void *ctx, uint64_t ticket)
{
    const struct dp_runtime *r = ctx;
    return dp_governor_saved(r->governor, ticket);
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

/* Closes what lives on the loop; the loop ends when that is done. */
static void close_parts(struct dp_runtime *r)
{
    r->stage = STAGE_CLOSING;
    uv_close((uv_handle_t *)&r->on_term, NULL);
    uv_close((uv_handle_t *)&r->on_int, NULL);
    uv_close((uv_handle_t *)&r->on_hup, NULL);
    uv_close((uv_handle_t *)&r->on_usr1, NULL);
    uv_close((uv_handle_t *)&r->poll, NULL);
    dp_reloader_destroy(r->reloader);
    r->reloader = NULL;
    if (r->governor) { /* who follows the journal sees its last line */
        dp_governor_destroy(r->governor, NULL, NULL);
    }
    if (r->admin) {
        dp_admin_destroy(r->admin, NULL, NULL);
    }
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
    if (threads_ended(r)) {
        close_parts(r);
    }
}

static void drain(struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (r->started[i]) {
            dp_worker_drain(r->workers[i]);
        }
    }
    if (r->stage != STAGE_DRAINING) {
        r->stage = STAGE_DRAINING;
        (void)uv_timer_start(&r->poll, on_poll, 0, POLL_MS);
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
                              struct dp_worker_reload *parts[WORKERS_MAX])
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
    struct dp_worker_reload *parts[WORKERS_MAX] = {NULL};
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
    if (r->admin) {
        dp_admin_reloaded(r->admin, reload->asked, done, dp_text_span(&reload->changes),
                          dp_text_span(&reload->problems.text));
    }
    dp_text_fini(&what);
}

static uint64_t ask_reload(void *ctx, const char *actor)
{
    struct dp_runtime *r = ctx;
    return r->stage == STAGE_RUNNING ? dp_reloader_ask(r->reloader, actor) : 0;
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
        failed("loop", uv_strerror(e));
        return DP_EIO;
    }
    uv_signal_t *signals[] = {&r->on_term, &r->on_int, &r->on_hup, &r->on_usr1};
    for (size_t i = 0; i < DP_ARRAY_LEN(signals); i++) {
        e = e ? e : uv_signal_init(&r->loop, signals[i]);
        signals[i]->data = r;
    }
    if (e != 0) { /* no descriptors left for the signal pipe: nothing has begun */
        failed("signals", uv_strerror(e));
        return DP_EIO;
    }
    (void)uv_timer_init(&r->loop, &r->poll); /* cannot fail */
    r->poll.data = r;
    return DP_OK;
}

static enum dp_err listen_to_signals(struct dp_runtime *r)
{
    int e = uv_signal_start(&r->on_term, on_end_signal, SIGTERM);
    e = e ? e : uv_signal_start(&r->on_int, on_end_signal, SIGINT);
    e = e ? e : uv_signal_start(&r->on_hup, on_reload_signal, SIGHUP);
    e = e ? e : uv_signal_start(&r->on_usr1, on_rotate_signal, SIGUSR1);
    if (e != 0) {
        failed("signals", uv_strerror(e));
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
    if (c->max_per_address == 0) {
        return DP_OK;
    }
    r->addresses = dp_address_limit_new((uint32_t)c->max_per_address,
                                        c->max_connections * r->n_workers, random_seed());
    if (!r->addresses) {
        failed("limits.connections_per_address", dp_err_info(DP_ENOMEM)->reason);
        return DP_ENOMEM;
    }
    return DP_OK;
}

/* Unlike any other proxy's and the same after a restart: the host's name and where we listen. */
static void name_canary(struct dp_runtime *r)
{
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    if (snprintf(r->canary_id, sizeof r->canary_id, "davenport-canary-%s-%s", host,
                 r->listen_text) < 0) {
        r->canary_id[0] = '\0';
    }
    for (char *c = r->canary_id; *c; c++) {
        if (!isalnum((unsigned char)*c)) {
            *c = '-';
        }
    }
    r->now->control.canary_id = r->canary_id;
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
                                          .ctx = r,
                                          .seed = random_seed()};
    enum dp_err err = dp_governor_new(&options, &r->governor, &why);
    if (err != DP_OK) {
        dp_generation_unref(r->now);
        failed("governor", why);
    }
    return err;
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
        failed("tls", why);
    }
    return err;
}

static enum dp_err make_workers(struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        struct dp_worker_options options = {.config = &r->now->proxy,
                                            .release = dp_generation_unref,
                                            .release_ctx = dp_generation_ref(r->now),
                                            .listen_fd = r->fds[i],
                                            .view = dp_governor_view(r->governor),
                                            .tls = dp_tls_load_take(r->now->tls, i),
                                            .access = r->access,
                                            .addresses = r->addresses,
                                            .index = i,
                                            .kick = kick,
                                            .kick_ctx = r->governor};
        enum dp_err err = dp_worker_new(&options, &r->workers[i]);
        if (err != DP_OK) {
            dp_generation_unref(r->now);
            failed("worker", dp_err_info(err)->reason);
            return err;
        }
        r->fds[i] = -1;
        r->traffic[i] = dp_worker_traffic(r->workers[i]);
    }
    return DP_OK;
}

static enum dp_err make_admin(struct dp_runtime *r)
{
    struct dp_admin_source source = {.ctx = r,
                                     .report = report,
                                     .events = events,
                                     .order = order,
                                     .saved = saved,
                                     .reload = ask_reload};
    const char *why = "";
    int fd = r->admin_fd;
    r->admin_fd = -1;
    enum dp_err err =
        dp_admin_new(&r->loop, fd, r->admin_addr.unix_path == NULL, &source, &r->admin, &why);
    if (err != DP_OK) {
        failed("admin.listen", why);
    }
    return err;
}

static enum dp_err start_threads(struct dp_runtime *r)
{
    for (uint32_t i = 0; i < r->n_workers; i++) {
        enum dp_err err = dp_worker_start(r->workers[i]);
        if (err != DP_OK) {
            failed("worker", dp_err_info(err)->reason);
            return err;
        }
        r->started[i] = true;
    }
    dp_governor_start(r->governor, r->traffic, r->n_workers);
    r->stage = STAGE_RUNNING;
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
    r->n_workers = config->workers ? (uint32_t)config->workers : uv_available_parallelism();
    if (r->n_workers > WORKERS_MAX) {
        r->n_workers = WORKERS_MAX;
    }
    r->admin_fd = -1;
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        r->fds[i] = -1;
    }
    return r;
}

enum dp_err dp_runtime_start(const struct dp_config *config, const char *path,
                             struct dp_runtime **out)
{
    static enum dp_err (*const steps[])(struct dp_runtime *) = {
        listen_to_signals, bind_traffic,    bind_admin,   open_access_log, make_generation,
        make_governor,     limit_addresses, make_workers, make_admin,      start_threads,
    };
    struct dp_runtime *r = runtime_new(config);
    enum dp_err err = init_loop(r);
    if (err != DP_OK) {
        free(r);
        return err;
    }
    const struct dp_reload_options reload = {.loop = &r->loop,
                                             .n_workers = r->n_workers,
                                             .in_force = in_force,
                                             .done = on_reloaded,
                                             .ctx = r};
    r->reloader = dp_reloader_new(&reload, path);
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
    return r->listen_text;
}

const char *dp_runtime_admin(const struct dp_runtime *r)
{
    return r->admin_text;
}

uint32_t dp_runtime_workers(const struct dp_runtime *r)
{
    return r->n_workers;
}

void dp_runtime_run(struct dp_runtime *r)
{
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
    if (r->stage != STAGE_CLOSING) {
        end_at_once(r);
    }
    for (uint32_t i = 0; i < r->n_workers; i++) {
        if (r->workers[i]) {
            dp_worker_destroy(r->workers[i]);
        }
        if (r->fds[i] >= 0) {
            (void)close(r->fds[i]);
        }
    }
    dp_address_limit_free(r->addresses);
    dp_sink_close(r->access.sink);
    dp_generation_unref(r->now);
    explicit_bzero(&r->ticket_keys, sizeof r->ticket_keys);
    if (r->admin_fd >= 0) {
        (void)close(r->admin_fd);
    }
    dp_listen_unix_remove(&r->listen_file);
    dp_listen_unix_remove(&r->admin_file);
    (void)uv_loop_close(&r->loop);
    free(r);
}
