/* Tells a collector of the workers' finished spans: OTLP/HTTP, JSON, through libcurl on the control loop, off the data path.
 *
 *   workers' rings ──► a batch (512 at most) ──POST──► 2xx: the next one
 *                           ▲                     │
 *                           └── waits, 4 times ◄──┴─ no answer, 429, 502, 503, 504 (Retry-After, 30 s at most); else dropped
 *
 * One batch at a time is all the memory that there is of it. While it waits the rings fill, and past that the workers drop
 * and count. Nobody ever waits for the collector, but for the end of the process, for the last spans and so long as it says.
 * All on the loop's thread. */
#ifndef DAVENPORT_SRC_APP_OTLP_EXPORT_H
#define DAVENPORT_SRC_APP_OTLP_EXPORT_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include "app/otlp.h"

#include <stdint.h>

#include <uv.h>

#define DP_OTLP_FIELD_BYTES 4096

/* Borrowed, until the exporter follows another one. */
struct dp_otlp_config {
    const char *endpoint;           /* URL; NULL: nobody is told */
    const char *field;              /* "Name: value" of each request, a secret; NULL: none */
    const struct dp_fetch_tls *tls; /* NULL: the system's authorities */
    uint32_t timeout_ms;            /* of a request */
    struct dp_otlp_resource resource;
};

struct dp_otlp_export;

/* config->endpoint is not NULL; n: workers, at least one; queue: spans of each that may wait; listen: where this process
 * listens, with the host's name its service.instance.id. Errors: DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_otlp_export_new(uv_loop_t *loop, const struct dp_otlp_config *config,
                                           uint32_t n, uint32_t queue, const char *listen,
                                           struct dp_otlp_export **out);
/* A worker's; it stays until dp_otlp_export_free. NULL where `e` is. */
struct dp_tracing_ring *dp_otlp_export_ring(const struct dp_otlp_export *e, uint32_t worker);
/* A reload: from now on by this one. */
void dp_otlp_export_follow(struct dp_otlp_export *e, const struct dp_otlp_config *config);
/* Nobody puts spans any more: what is left is sent within so long, then it leaves the loop. NULL is fine. */
void dp_otlp_export_end(struct dp_otlp_export *e, uint64_t within_ms);
/* It has left the loop. NULL is fine. */
void dp_otlp_export_free(struct dp_otlp_export *e);

/* Spans that the collector took, and that it did not. 0 where `e` is NULL. */
uint64_t dp_otlp_exported(const struct dp_otlp_export *e);
uint64_t dp_otlp_dropped(const struct dp_otlp_export *e);

#endif
