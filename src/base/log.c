/* Structured log lines. Each is built on the stack and written with one write(2), so lines of
 * several threads never mix; a line that stderr does not take is dropped rather than waited for. */
#include "davenport/base/log.h"

#include "davenport/base/clock.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 4096

static _Atomic int log_level = DP_LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void dp_log_set_level(enum dp_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool dp_log_enabled(enum dp_log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

void dp_log_set_fd(int fd)
{
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

const char *dp_log_level_name(enum dp_log_level level)
{
    return level_names[level];
}

/* Length of the valid UTF-8 sequence at s (1..4), or 0. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    bool bad = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
               (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F);
    return bad ? 0 : len;
}

/* One character of input as JSON text into out (at most 6 bytes). Returns the output length, *used
 * the input's. */
static size_t json_char(const unsigned char *s, size_t n, char out[6], size_t *used)
{
    static const char hex[] = "0123456789abcdef";
    *used = 1;
    if (s[0] == '"' || s[0] == '\\') {
        out[0] = '\\';
        out[1] = (char)s[0];
        return 2;
    }
    if (s[0] < 0x20 || s[0] == 0x7F) {
        memcpy(out, "\\u00", 4);
        out[4] = hex[s[0] >> 4];
        out[5] = hex[s[0] & 15];
        return 6;
    }
    size_t len = utf8_len(s, n);
    if (len == 0) {
        memcpy(out, "\xEF\xBF\xBD", 3);
        return 3;
    }
    memcpy(out, s, len);
    *used = len;
    return len;
}

size_t dp_json_text(char *buf, size_t cap, struct dp_span s, size_t *used)
{
    size_t at = 0, i = 0;
    while (i < s.n) {
        size_t left = s.n - i < cap - at ? s.n - i : cap - at;
        size_t run = dp_span_plain((struct dp_span){s.p + i, left});
        if (run > 0) {
            memcpy(buf + at, s.p + i, run);
            at += run;
            i += run;
            continue;
        }
        char out[6];
        size_t taken;
        size_t len = json_char((const unsigned char *)s.p + i, s.n - i, out, &taken);
        if (cap - at < len)
            break;
        memcpy(buf + at, out, len);
        at += len;
        i += taken;
    }
    *used = i;
    return at;
}

size_t dp_json_string(char *buf, size_t cap, struct dp_span s)
{
    size_t used;
    if (cap < 2)
        return 0;
    size_t n = dp_json_text(buf + 1, cap - 2, s, &used);
    if (used < s.n)
        return 0;
    buf[0] = '"';
    buf[n + 1] = '"';
    return n + 2;
}

/* The value alone; 0 when it does not fit (no value is empty). */
static size_t kv_value(char *buf, size_t cap, const struct dp_kv *kv)
{
    char num[40];
    int n = 0;
    switch (kv->type) {
    case DP_KV_TYPE_SPAN:
        return dp_json_string(buf, cap, kv->span);
    case DP_KV_TYPE_JSON:
        if (kv->span.n > cap)
            return 0;
        memcpy(buf, kv->span.p, kv->span.n);
        return kv->span.n;
    case DP_KV_TYPE_INT:
        n = snprintf(num, sizeof(num), "%lld", (long long)kv->i);
        break;
    case DP_KV_TYPE_DOUBLE:
        /* JSON has no infinity */
        n = isfinite(kv->d) ? snprintf(num, sizeof(num), "%.6g", kv->d)
                            : snprintf(num, sizeof(num), "null");
        break;
    case DP_KV_TYPE_BOOL:
        n = snprintf(num, sizeof(num), "%s", kv->i ? "true" : "false");
        break;
    }
    if (n <= 0 || (size_t)n > cap)
        return 0;
    memcpy(buf, num, (size_t)n);
    return (size_t)n;
}

size_t dp_kv_write(char *buf, size_t cap, const struct dp_kv *kv, size_t n, bool *cut)
{
    size_t at = 0;
    *cut = false;
    for (size_t i = 0; i < n; i++) {
        size_t start = at;
        if (cap - at < 2) {
            *cut = true;
            return start;
        }
        buf[at++] = ',';
        size_t key = dp_json_string(buf + at, cap - at, dp_span_str(kv[i].key));
        at += key;
        if (key == 0 || cap - at < 2) {
            *cut = true;
            return start;
        }
        buf[at++] = ':';
        size_t value = kv_value(buf + at, cap - at, &kv[i]);
        at += value;
        if (value == 0) {
            *cut = true;
            return start;
        }
    }
    return at;
}

void dp_log_write(enum dp_log_level level, const char *event, const struct dp_kv *kv, size_t n)
{
    static const char tail_cut[] = ",\"cut\":true}\n";
    char line[LINE_BYTES];
    char ts[DP_TIME_TEXT];
    bool cut;
    dp_time_text(dp_clock_wall_ms(&dp_clock_system), ts);
    int head = snprintf(line, sizeof(line), "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", ts,
                        level_names[level], event);
    if (head < 0 || (size_t)head >= sizeof(line) - sizeof(tail_cut))
        return;
    size_t at = (size_t)head;
    at += dp_kv_write(line + at, sizeof(line) - sizeof(tail_cut) - at, kv, n, &cut);
    const char *tail = cut ? tail_cut : "}\n";
    size_t tail_bytes = strlen(tail);
    memcpy(line + at, tail, tail_bytes);
    at += tail_bytes;
    ssize_t done = write(atomic_load_explicit(&log_fd, memory_order_relaxed), line, at);
    (void)done;
}
