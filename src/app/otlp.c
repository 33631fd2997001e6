/* See otlp.h. */
#include "app/otlp.h"

#include "davenport/base/log.h"
#include "davenport/version.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Of opentelemetry/proto/trace/v1/trace.proto. */
#define KIND_SERVER        2
#define KIND_CLIENT        3
#define STATUS_ERROR       2
#define FLAGS_SAMPLED      0x001
#define FLAGS_REMOTE_KNOWN 0x100
#define FLAGS_REMOTE       0x200

#define LITERAL(out, text) dp_text_add((out), DP_SPAN(text))

/* ---- attributes ---- */

static void key(struct dp_text *out, const char *name)
{
    dp_text_addf(out, "%s{\"key\":\"%s\",\"value\":{",
                 out->p && out->p[out->n - 1] == '[' ? "" : ",", name);
}

/* What a client or the configuration chose is escaped. */
static void put_text(struct dp_text *out, const char *text)
{
    struct dp_span s = dp_span_str(text);
    char piece[256];
    LITERAL(out, "\"");
    while (s.n > 0) {
        size_t used;
        const size_t n = dp_json_text(piece, sizeof piece, s, &used);
        dp_text_add(out, (struct dp_span){piece, n});
        s.p += used;
        s.n -= used;
        if (used == 0) {
            break;
        }
    }
    LITERAL(out, "\"");
}

static void put_string(struct dp_text *out, const char *name, const char *text)
{
    if (!text || !*text) {
        return;
    }
    key(out, name);
    LITERAL(out, "\"stringValue\":");
    put_text(out, text);
    LITERAL(out, "}}");
}

static void put_int(struct dp_text *out, const char *name, uint64_t v)
{
    key(out, name);
    dp_text_addf(out, "\"intValue\":\"%" PRIu64 "\"}}", v);
}

static void put_true(struct dp_text *out, const char *name)
{
    key(out, name);
    LITERAL(out, "\"boolValue\":true}}");
}

static void put_ms(struct dp_text *out, const char *name, uint64_t ns)
{
    key(out, name);
    dp_text_addf(out, "\"doubleValue\":%" PRIu64 ".%06" PRIu64 "}}", ns / 1000000, ns % 1000000);
}

/* "name", "name:port", "[v6]:port", "[v6]" */
static void put_server(struct dp_text *out, const char *endpoint)
{
    char host[DP_TRACING_NAME_BYTES];
    const char *end = strrchr(endpoint, ']');
    const char *port = strchr(end ? end : endpoint, ':');
    const size_t n = port ? (size_t)(port - endpoint) : strlen(endpoint);
    const bool v6 = endpoint[0] == '[' && n > 2;
    memcpy(host, endpoint + v6, n - 2U * v6);
    host[n - 2U * v6] = '\0';
    put_string(out, "server.address", host);
    if (port) {
        put_int(out, "server.port", strtoul(port + 1, NULL, 10));
    }
}

/* ---- spans ---- */

static void put_attempt(struct dp_text *out, const struct dp_tracing_span *s)
{
    put_server(out, s->endpoint);
    put_string(out, "davenport.region", s->region);
    put_int(out, "davenport.attempt", s->attempts);
    if (s->attempts > 1 && !s->hedge) {
        put_int(out, "http.request.resend_count", s->attempts - 1);
    }
    put_string(out, "davenport.outcome", s->outcome);
    if (s->reused) {
        put_true(out, "davenport.connection.reused");
    }
    if (s->hedge) {
        put_true(out, "davenport.hedge");
    }
}

static void put_request(struct dp_text *out, const struct dp_otlp_resource *r,
                        const struct dp_tracing_span *s)
{
    put_string(out, "url.scheme", s->client_tls ? "https" : "http");
    put_string(out, "network.protocol.version", s->minor ? "1.1" : "1.0");
    put_string(out, "davenport.class", s->klass);
    put_string(out, "davenport.kind", s->kind);
    if (r->databases) {
        put_string(out, "db.namespace", s->database);
    }
    put_string(out, "davenport.region", s->region);
    put_int(out, "davenport.attempts", s->attempts);
    put_string(out, "davenport.reason", s->reason);
    put_int(out, "http.request.body.size", s->bytes_in);
    put_int(out, "http.response.body.size", s->bytes_out);
    if (s->hold_ns > 0) {
        put_ms(out, "davenport.hold_ms", s->hold_ns);
    }
    if (s->queue_ns > 0) {
        put_ms(out, "davenport.queue_ms", s->queue_ns);
    }
}

/* Of the conventions: what failed without a status has the word of its reason, else the status stands for it. A server's
 * answer of 4xx is no error of the server's, but one of who asked for it. */
static void put_error(struct dp_text *out, const struct dp_tracing_span *s)
{
    const char *word = s->attempt ? s->outcome : s->reason;
    const uint16_t least = s->attempt ? 400 : 500;
    if (s->status >= least) {
        key(out, "error.type");
        dp_text_addf(out, "\"stringValue\":\"%u\"}}", s->status);
    } else if (s->failed) {
        put_string(out, "error.type", word ? word : "_OTHER");
    }
}

static bool is_error(const struct dp_tracing_span *s)
{
    return s->failed || s->status >= (s->attempt ? 400 : 500);
}

static void put_id(struct dp_text *out, const char *name, const char *digits, size_t n)
{
    dp_text_addf(out, "\"%s\":\"%.*s\",", name, (int)n, digits);
}

void dp_otlp_span(struct dp_text *out, const struct dp_otlp_resource *r,
                  const struct dp_tracing_span *s, bool first)
{
    unsigned flags = FLAGS_SAMPLED | FLAGS_REMOTE_KNOWN;
    if (!first) {
        LITERAL(out, ",");
    }
    LITERAL(out, "{");
    put_id(out, "traceId", s->trace, sizeof s->trace);
    put_id(out, "spanId", s->id, sizeof s->id);
    if (s->parent[0]) {
        put_id(out, "parentSpanId", s->parent, sizeof s->parent);
    }
    if (s->remote) {
        flags |= FLAGS_REMOTE;
    }
    dp_text_addf(out, "\"flags\":%u,\"name\":\"%s", flags, s->method);
    if (s->attempt || s->kind) {
        dp_text_addf(out, " %s", s->attempt ? s->region : s->kind);
    }
    dp_text_addf(out,
                 "\",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64
                 "\",\"endTimeUnixNano\":\"%" PRId64 "\",\"attributes\":[",
                 s->attempt ? KIND_CLIENT : KIND_SERVER, s->begun_ns, s->ended_ns);
    put_string(out, "http.request.method", s->method);
    if (s->status > 0) {
        put_int(out, "http.response.status_code", s->status);
    }
    if (s->attempt) {
        put_attempt(out, s);
    } else {
        put_request(out, r, s);
    }
    put_error(out, s);
    LITERAL(out, "],\"status\":{");
    if (is_error(s)) {
        dp_text_addf(out, "\"code\":%d", STATUS_ERROR);
    }
    LITERAL(out, "}}");
}

void dp_otlp_begin(struct dp_text *out, const struct dp_otlp_resource *r)
{
    LITERAL(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    put_string(out, "service.name", r->service);
    put_string(out, "service.version", DP_VERSION);
    put_string(out, "service.instance.id", r->instance);
    LITERAL(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"davenport\",\"version\":\"" DP_VERSION
                 "\"},\"spans\":[");
}

void dp_otlp_end(struct dp_text *out)
{
    LITERAL(out, "]}]}]}");
}

uint64_t dp_otlp_rejected(struct dp_span answer)
{
    json_t *root = json_loadb(answer.p ? answer.p : "", answer.n, 0, NULL);
    const json_t *n = json_object_get(json_object_get(root, "partialSuccess"), "rejectedSpans");
    json_int_t rejected = json_integer_value(n);
    if (json_is_string(n)) {
        rejected = strtoll(json_string_value(n), NULL, 10);
    }
    json_decref(root);
    return rejected > 0 ? (uint64_t)rejected : 0;
}
