/* Structured logs: one JSON object a line on stderr, one write(2) a line, any thread.
 * Fields are typed, so nothing is formatted when the level is off. Never pass a secret: what goes
 * in comes out. Lines longer than 4 KiB are cut at a field's end and say so ("cut":true).
 *
 *     dp_log(DP_LOG_WARN, "probe_failed", DP_KV_STR("region", name), DP_KV_INT("failures", n));
 */
#ifndef DAVENPORT_BASE_LOG_H
#define DAVENPORT_BASE_LOG_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dp_log_level { DP_LOG_DEBUG, DP_LOG_INFO, DP_LOG_WARN, DP_LOG_ERROR };

enum dp_kv_type {
    DP_KV_TYPE_SPAN,
    DP_KV_TYPE_INT,
    DP_KV_TYPE_DOUBLE,
    DP_KV_TYPE_BOOL,
    DP_KV_TYPE_JSON
};

struct dp_kv {
    const char *key;
    enum dp_kv_type type;
    struct dp_span span;
    int64_t i;
    double d;
};

#define DP_KV_SPAN(k, s) ((struct dp_kv){.key = (k), .type = DP_KV_TYPE_SPAN, .span = (s)})
#define DP_KV_STR(k, s)                                                                            \
    ((struct dp_kv){.key = (k), .type = DP_KV_TYPE_SPAN, .span = dp_span_str(s)})
#define DP_KV_INT(k, n)    ((struct dp_kv){.key = (k), .type = DP_KV_TYPE_INT, .i = (int64_t)(n)})
#define DP_KV_DOUBLE(k, x) ((struct dp_kv){.key = (k), .type = DP_KV_TYPE_DOUBLE, .d = (x)})
#define DP_KV_BOOL(k, x)   ((struct dp_kv){.key = (k), .type = DP_KV_TYPE_BOOL, .i = (x) ? 1 : 0})
/* `s` is JSON already (an object or array built elsewhere): copied as it is. */
#define DP_KV_JSON(k, s) ((struct dp_kv){.key = (k), .type = DP_KV_TYPE_JSON, .span = (s)})

/* `,"key":value` for every field into buf (no NUL). Returns bytes written; a field that does not
 * fit is left out whole together with all behind it and *cut is set. */
size_t dp_kv_write(char *buf, size_t cap, const struct dp_kv *kv, size_t n, bool *cut);
/* The inside of a JSON string, as many whole characters of `s` as fit: returns bytes written, *used those of `s`
 * that they stand for. Invalid UTF-8 becomes U+FFFD. */
size_t dp_json_text(char *buf, size_t cap, struct dp_span s, size_t *used);
/* `s` as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. Returns bytes, 0 when it does
 * not fit. */
size_t dp_json_string(char *buf, size_t cap, struct dp_span s);

void dp_log_set_level(enum dp_log_level level);
bool dp_log_enabled(enum dp_log_level level);
/* Where lines go; tests set a pipe. Default 2. */
void dp_log_set_fd(int fd);
const char *dp_log_level_name(enum dp_log_level level);

void dp_log_write(enum dp_log_level level, const char *event, const struct dp_kv *kv, size_t n);

#define dp_log(level, event, ...)                                                                  \
    do {                                                                                           \
        if (dp_log_enabled(level)) {                                                               \
            const struct dp_kv dp_log_kv_[] = {__VA_ARGS__};                                       \
            dp_log_write((level), (event), dp_log_kv_, DP_ARRAY_LEN(dp_log_kv_));                  \
        }                                                                                          \
    } while (0)

#endif
