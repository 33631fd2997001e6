/* What operators see and order of the running proxy: the source of the admin server (app/admin.h). */
#include "davenport/base/clock.h"
#include "davenport/base/log.h"
#include "davenport/base/sink.h"
#include "davenport/proxy/address_limit.h"
#include "davenport/proxy/login_limit.h"
#include "davenport/version.h"

#include "app/admin.h"
#include "app/otlp_export.h"
#include "app/runtime_state.h"

#include <unistd.h>

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
        .instance = *r->instance ? r->instance : NULL,
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

static bool being_replaced(void *ctx)
{
    const struct dp_runtime *r = ctx;
    return r->handing;
}

static enum dp_err order(void *ctx, const struct dp_order_request *request,
                         struct dp_order_result *out)
{
    struct dp_runtime *r = ctx;
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

void runtime_tell_event(void *ctx, struct dp_span line)
{
    const struct dp_runtime *r = ctx;
    if (r->admin) {
        dp_admin_event(r->admin, line);
    }
}

void runtime_tell_saved(void *ctx)
{
    struct dp_runtime *r = ctx;
    runtime_look_at_handover(r);
    if (r->admin) {
        dp_admin_saved(r->admin);
    }
}

void runtime_close_admin(struct dp_runtime *r)
{
    if (r->admin) {
        dp_admin_destroy(r->admin, NULL, NULL);
    }
    r->admin = NULL;
}

enum dp_err runtime_make_admin(struct dp_runtime *r)
{
    struct dp_admin_source source = {.ctx = r,
                                     .answer = dp_admin_answer,
                                     .report = report,
                                     .process = dp_report_add_process,
                                     .being_replaced = being_replaced,
                                     .events = events,
                                     .order = order,
                                     .fault = fault,
                                     .heal = heal,
                                     .saved = saved,
                                     .reload = runtime_ask_reload,
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
