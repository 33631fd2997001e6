/* Reload: what was read and found good (app/reload.h) comes in force, all of it or nothing. */
#include "davenport/base/log.h"

#include "app/admin.h"
#include "app/runtime_state.h"

#include <signal.h>
#include <string.h>

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
    if (dp_tls_load_collector_differs(old->tls, reload->next->tls)) {
        dp_text_addf(out, "%sTLS files of tracing", between);
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

/* One of the two at a time, for the new process reads the configuration too: what only one of them had read would be in force here and
 * not there, or the other way round. */
enum dp_err runtime_ask_reload(void *ctx, const char *actor, uint64_t *asked)
{
    struct dp_runtime *r = ctx;
    if (r->stage != STAGE_RUNNING) {
        return DP_EDRAINING;
    }
    if (dp_upgrade_under_way(r->upgrade)) {
        return DP_EAGAIN;
    }
    dp_supervisor_reloading();
    *asked = dp_reloader_ask(r->reloader, actor);
    return DP_OK;
}

/* Who sends the signal hears no refusal, so it is made up for. */
static void reload_for_signal(struct dp_runtime *r)
{
    uint64_t asked;
    if (runtime_ask_reload(r, "SIGHUP", &asked) == DP_EAGAIN) {
        r->reload_owed = true;
    }
}

void runtime_on_reload(uv_signal_t *handle, int signum)
{
    (void)signum;
    reload_for_signal(handle->data);
}

void runtime_catch_up_reload(struct dp_runtime *r, long pid)
{
    const bool owed = r->reload_owed;
    r->reload_owed = false;
    if (owed && pid) {
        (void)kill((pid_t)pid, SIGHUP);
    } else if (owed) {
        reload_for_signal(r);
    }
}

enum dp_err runtime_make_reloader(struct dp_runtime *r)
{
    const struct dp_reload_options reload = {.loop = &r->loop,
                                             .n_workers = r->n_workers,
                                             .in_force = in_force,
                                             .done = on_reloaded,
                                             .ctx = r};
    r->reloader = dp_reloader_new(&reload, r->path);
    return DP_OK;
}
