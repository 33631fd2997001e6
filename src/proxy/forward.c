/* Heads written anew from untouched input. What the peer said about this hop (framing, Host,
 * Connection) is read and never copied; all else goes through as it came. */
#include "proxy/forward.h"

#include "davenport/base/clock.h"
#include "davenport/couch/request.h"
#include "davenport/http/writer.h"

/* Room for the fields added to a copied head, their variable parts not counted. */
#define ADDED_BYTES 512
/* Our own errors fit. */
#define ERROR_BODY_BYTES 512

static struct dp_span written(const struct dp_writer *w)
{
    return w->overflow ? (struct dp_span){NULL, 0} : (struct dp_span){w->p, w->n};
}

static bool writer_in(struct dp_arena *a, size_t cap, struct dp_writer *w)
{
    char *p = dp_arena_alloc(a, cap);
    if (!p)
        return false;
    dp_writer_init(w, p, cap);
    return true;
}

static void write_framing(struct dp_writer *w, enum dp_framing framing, uint64_t length)
{
    switch (framing) {
    case DP_FRAMING_LENGTH:
        dp_write_bytes(w, DP_SPAN("Content-Length: "));
        dp_write_u64(w, length);
        dp_write_bytes(w, DP_SPAN("\r\n"));
        return;
    case DP_FRAMING_CHUNKED:
        dp_write_bytes(w, DP_SPAN("Transfer-Encoding: chunked\r\n"));
        return;
    case DP_FRAMING_NONE:
    case DP_FRAMING_CLOSE:
        return;
    }
}

/* Every X-Forwarded-For the client sent, then the peer we know to be true: CouchDB's lock-out
 * trusts the last. */
static void write_forwarded_for(struct dp_writer *w, const struct dp_head *h, const char *peer)
{
    dp_write_bytes(w, DP_SPAN("X-Forwarded-For: "));
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (h->headers[i].id == DP_HEADER_X_FORWARDED_FOR && h->headers[i].value.n > 0) {
            dp_write_bytes(w, h->headers[i].value);
            dp_write_bytes(w, DP_SPAN(", "));
        }
    }
    dp_write_bytes(w, dp_span_str(peer));
    dp_write_bytes(w, DP_SPAN("\r\n"));
}

struct dp_span dp_forward_request_head(struct dp_arena *a, const struct dp_forward_request *f)
{
    const struct dp_head *h = f->head;
    struct dp_writer w;
    size_t cap = h->raw.n + 2 * h->authority.n + strlen(f->host) + strlen(f->via) + ADDED_BYTES;
    if (!writer_in(a, cap, &w))
        return (struct dp_span){NULL, 0};
    dp_write_request_line(&w, h->method_text, h->target);
    dp_write_header(&w, DP_SPAN("Host"), dp_span_str(f->host));
    dp_write_end_to_end(&w, h);
    write_framing(&w, h->framing, h->content_length);
    write_forwarded_for(&w, h, f->peer);
    if (h->authority.n > 0) /* what CouchDB makes Location from */
        dp_write_header(&w, DP_SPAN("X-Forwarded-Host"), h->authority);
    dp_write_bytes(&w, f->tls ? DP_SPAN("X-Forwarded-Proto: https\r\n")
                              : DP_SPAN("X-Forwarded-Proto: http\r\n"));
    dp_write_bytes(&w, h->minor == 0 ? DP_SPAN("Via: 1.0 ") : DP_SPAN("Via: 1.1 "));
    dp_write_bytes(&w, dp_span_str(f->via));
    dp_write_bytes(&w, DP_SPAN("\r\n\r\n"));
    return written(&w);
}

enum dp_framing dp_forward_framing(const struct dp_head *response, uint8_t client_minor)
{
    switch (response->framing) {
    case DP_FRAMING_NONE:
    case DP_FRAMING_LENGTH:
        return response->framing;
    case DP_FRAMING_CHUNKED:
    case DP_FRAMING_CLOSE:
        break;
    }
    return client_minor >= 1 ? DP_FRAMING_CHUNKED : DP_FRAMING_CLOSE;
}

/* HTTP/1.1 keeps by default and says when it does not; HTTP/1.0 the other way round. */
static void write_connection(struct dp_writer *w, uint8_t client_minor, bool keep_alive)
{
    if (!keep_alive)
        dp_write_bytes(w, DP_SPAN("Connection: close\r\n"));
    else if (client_minor == 0)
        dp_write_bytes(w, DP_SPAN("Connection: keep-alive\r\n"));
}

struct dp_span dp_forward_response_head(struct dp_arena *a, const struct dp_forward_response *f)
{
    const struct dp_head *h = f->head;
    struct dp_writer w;
    if (!writer_in(a, h->raw.n + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, h->status, h->reason);
    dp_write_end_to_end(&w, h);
    /* HEAD and 304 may tell a length; 204 must not, though some regions say 0 (RFC 9110 8.6). */
    const bool tells = f->framing == DP_FRAMING_NONE && h->has_content_length && h->status != 204;
    write_framing(&w, tells ? DP_FRAMING_LENGTH : f->framing, h->content_length);
    write_connection(&w, f->client_minor, f->keep_alive);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return written(&w);
}

struct dp_span dp_forward_interim_head(struct dp_arena *a, const struct dp_head *h)
{
    struct dp_writer w;
    if (!writer_in(a, h->raw.n + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, h->status, h->reason);
    dp_write_end_to_end(&w, h);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return written(&w);
}

static size_t error_body(enum dp_err err, char *buf, size_t cap)
{
    const struct dp_err_info *info = dp_err_info(err);
    return dp_couch_error_body(buf, cap, dp_span_str(info->word), dp_span_str(info->reason));
}

size_t dp_forward_error_bytes(enum dp_err err)
{
    char body[ERROR_BODY_BYTES];
    return error_body(err, body, sizeof(body));
}

struct dp_span dp_forward_error(struct dp_arena *a, const struct dp_forward_error *f)
{
    const struct dp_err_info *info = dp_err_info(f->err);
    char body[ERROR_BODY_BYTES];
    struct dp_writer w;
    size_t body_bytes = error_body(f->err, body, sizeof(body));
    if (!writer_in(a, body_bytes + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, info->status, dp_reason_phrase(info->status));
    dp_write_bytes(&w, DP_SPAN("Cache-Control: must-revalidate\r\n"
                               "Content-Type: application/json\r\n"));
    write_framing(&w, DP_FRAMING_LENGTH, body_bytes);
    char date[DP_TIME_TEXT];
    dp_http_date(f->wall_ms, date);
    dp_write_header(&w, DP_SPAN("Date"), dp_span_str(date));
    dp_write_bytes(&w, DP_SPAN("Server: Davenport\r\n"));
    if (f->retry_after_s > 0) {
        dp_write_bytes(&w, DP_SPAN("Retry-After: "));
        dp_write_u64(&w, f->retry_after_s);
        dp_write_bytes(&w, DP_SPAN("\r\n"));
    }
    write_connection(&w, f->client_minor, f->keep_alive);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    if (!f->head_only)
        dp_write_bytes(&w, (struct dp_span){body, body_bytes});
    return written(&w);
}
