/* Writing heads. One append function that all others go through; it alone knows about running out
 * of room.
 *
 * Fields that arrived in the form in which they would be written ("name: value\r\n", in
 * neighbouring lines) are copied as one block: most heads pass in two or three copies. */
#include "davenport/http/writer.h"

#include <assert.h>
#include <string.h>

static void append(struct dp_writer *w, const char *p, size_t n)
{
    if (w->overflow || n > w->cap - w->n) {
        w->overflow = true;
        return;
    }
    if (n > 0)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

void dp_write_bytes(struct dp_writer *w, struct dp_span s)
{
    append(w, s.p, s.n);
}

void dp_write_u64(struct dp_writer *w, uint64_t v)
{
    char text[20];
    size_t at = sizeof(text);
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    append(w, text + at, sizeof(text) - at);
}

void dp_write_request_line(struct dp_writer *w, struct dp_span method, struct dp_span target)
{
    append(w, method.p, method.n);
    append(w, " ", 1);
    append(w, target.p, target.n);
    dp_write_bytes(w, DP_SPAN(" HTTP/1.1\r\n"));
}

void dp_write_status_line(struct dp_writer *w, uint16_t status, struct dp_span reason)
{
    assert(status >= 100 && status <= 999);
    dp_write_bytes(w, DP_SPAN("HTTP/1.1 "));
    dp_write_u64(w, status);
    append(w, " ", 1); /* required even when no reason follows */
    append(w, reason.p, reason.n);
    append(w, "\r\n", 2);
}

void dp_write_header(struct dp_writer *w, struct dp_span name, struct dp_span value)
{
    append(w, name.p, name.n);
    append(w, ": ", 2);
    append(w, value.p, value.n);
    append(w, "\r\n", 2);
}

static bool inside(struct dp_span s, struct dp_span text)
{
    const uintptr_t p = (uintptr_t)s.p;
    const uintptr_t from = (uintptr_t)text.p;
    return text.n > 0 && p >= from && p - from <= text.n && s.n <= text.n - (p - from);
}

/* The field's line within `raw` when it already has the form that dp_write_header would give it;
 * else an empty span. */
static struct dp_span canonical_line(const struct dp_header *h, struct dp_span raw)
{
    const struct dp_span none = {NULL, 0};
    if (!inside(h->name, raw) || !inside(h->value, raw))
        return none;
    const size_t name_at = (size_t)(h->name.p - raw.p);
    const size_t value_at = (size_t)(h->value.p - raw.p);
    const size_t end = value_at + h->value.n + 2;
    if (value_at != name_at + h->name.n + 2 || end > raw.n)
        return none;
    if (memcmp(h->value.p - 2, ": ", 2) != 0 || memcmp(raw.p + end - 2, "\r\n", 2) != 0)
        return none;
    return (struct dp_span){h->name.p, end - name_at};
}

/* All fields that have a flag. */
static const uint64_t ends_here = 0
#define HOP                        DP_HEADER_FLAG_HOP
#define FRAME                      DP_HEADER_FLAG_FRAME
#define OWN                        DP_HEADER_FLAG_OWN
#define DP_HEADER(id, name, flags) | ((flags) != 0 ? DP_HEADER_BIT(DP_HEADER_##id) : 0)
#include "davenport/http/header.def"
#undef DP_HEADER
#undef HOP
#undef FRAME
#undef OWN
    ;

void dp_write_end_to_end(struct dp_writer *w, const struct dp_head *h, uint64_t without)
{
    without |= ends_here;
    struct dp_span run = {NULL, 0}; /* neighbouring lines not yet written */
    for (uint32_t i = 0; i < h->n_headers; i++) {
        const struct dp_header *field = &h->headers[i];
        if (field->named_by_connection || (DP_HEADER_BIT(field->id) & without) != 0)
            continue;
        const struct dp_span line = canonical_line(field, h->raw);
        if (line.n > 0 && run.n > 0 && line.p == run.p + run.n) {
            run.n += line.n;
            continue;
        }
        append(w, run.p, run.n);
        run = line;
        if (line.n == 0)
            dp_write_header(w, field->name, field->value);
    }
    append(w, run.p, run.n);
}

struct dp_span dp_reason_phrase(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *phrase;
    } rows[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {508, "Loop Detected"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return dp_span_str(rows[i].phrase);
    }
    return (struct dp_span){NULL, 0};
}

size_t dp_chunk_head(char buf[DP_CHUNK_HEAD_BYTES], uint64_t n)
{
    assert(n > 0); /* a chunk of no bytes would end the body */
    size_t digits = 1;
    for (uint64_t rest = n >> 4; rest > 0; rest >>= 4)
        digits++;
    for (size_t i = digits; i > 0; i--, n >>= 4)
        buf[i - 1] = "0123456789abcdef"[n & 15];
    buf[digits] = '\r';
    buf[digits + 1] = '\n';
    return digits + 2;
}
