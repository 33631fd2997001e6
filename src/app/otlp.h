/* Spans as OTLP/JSON: ExportTraceServiceRequest of opentelemetry-proto 1, by the JSON mapping of the OTLP specification (ids
 * in hexadecimal, 64-bit numbers as strings, enums as numbers), with the names of OpenTelemetry's semantic conventions for
 * HTTP where they have one and "davenport.…" for what is ours. Pure. */
#ifndef DAVENPORT_SRC_APP_OTLP_H
#define DAVENPORT_SRC_APP_OTLP_H

#include "davenport/app/text.h"
#include "davenport/proxy/tracing.h"

#include <stdint.h>

/* Who tells. Borrowed. */
struct dp_otlp_resource {
    const char *service;  /* service.name */
    const char *instance; /* service.instance.id */
    bool databases;       /* the names of databases are told */
};

/* One request: begin, a span or more, end. Out of memory: out->failed. */
void dp_otlp_begin(struct dp_text *out, const struct dp_otlp_resource *r);
void dp_otlp_span(struct dp_text *out, const struct dp_otlp_resource *r,
                  const struct dp_tracing_span *s, bool first);
void dp_otlp_end(struct dp_text *out);

/* How many spans of a request that was answered 200 the collector did not take, by the answer's partialSuccess. */
uint64_t dp_otlp_rejected(struct dp_span answer);

#endif
