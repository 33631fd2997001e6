/* The part of the runtime that tells a collector of spans: made at the start, told of reloads. That there is a collector, and
 * which, needs a restart. */
#include "app/config_table.h"
#include "app/otlp_export.h"
#include "app/runtime_state.h"

static void configure(const struct dp_runtime *r, struct dp_otlp_config *out)
{
    dp_config_otlp(r->config, out);
    out->tls = dp_tls_load_collector(r->now->tls);
}

enum dp_err runtime_begin_tracing(struct dp_runtime *r)
{
    struct dp_otlp_config tracing;
    configure(r, &tracing);
    if (!tracing.endpoint) {
        return DP_OK;
    }
    enum dp_err err =
        dp_otlp_export_new(&r->loop, &tracing, r->n_workers, (uint32_t)r->config->trace_queue,
                           r->sockets.traffic_text, &r->exporter);
    if (err != DP_OK) {
        runtime_failed("tracing", dp_err_info(err)->reason);
    }
    return err;
}

void runtime_follow_tracing(struct dp_runtime *r)
{
    struct dp_otlp_config tracing;
    configure(r, &tracing);
    if (r->exporter) {
        dp_otlp_export_follow(r->exporter, &tracing);
    }
}
