/* Heads written anew from untouched input. What the peer said about this hop (framing, Host,
 * Connection) is read and never copied; all else goes through as it came. */
#include "proxy/forward.h"

#include "davenport/couch/request.h"
#include "davenport/http/writer.h"

/* Room for the fields added to a copied head, their variable parts not counted. */
#define ADDED_BYTES 512
/* Our own errors fit. */
#define ERROR_BODY_BYTES 512

/* Room is asked for generously and given back, so that a small request stays within its arena's first block. */
static struct dp_span written(struct dp_arena *a, const struct dp_writer *w)
{
    if (w->overflow)
        return (struct dp_span){NULL, 0};
    dp_arena_trim(a, w->p, w->cap, w->n);
    return (struct dp_span){w->p, w->n};
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

struct dp_span dp_forward_request_head(struct dp_arena *a, const struct dp_forward_request *f)
{
    const struct dp_head *h = f->head;
    const struct dp_proxy_config *c = f->config;
    struct dp_writer w;
    const bool trailers = h->framing == DP_FRAMING_CHUNKED;
    uint64_t drop = dp_way_drops(c) | f->ids->drop;
    size_t cap = h->raw.n + 2 * h->authority.n + strlen(f->host) + strlen(c->via) + DP_WAY_BYTES +
                 DP_IDS_LINES_BYTES + ADDED_BYTES;
    if (dp_head_has(h, DP_HEADER_TRAILER))
        cap += h->raw.n; /* its names are written with a space between them */
    if (!writer_in(a, cap, &w))
        return (struct dp_span){NULL, 0};
    dp_write_request_line(&w, h->method_text, h->target);
    dp_write_header(&w, DP_SPAN("Host"), dp_span_str(f->host));
    if (f->hops_left != DP_NO_HOPS)
        drop |= DP_HEADER_BIT(DP_HEADER_MAX_FORWARDS);
    dp_write_end_to_end(&w, h, drop);
    if (f->hops_left != DP_NO_HOPS) {
        dp_write_bytes(&w, DP_SPAN("Max-Forwards: "));
        dp_write_u64(&w, f->hops_left - 1);
        dp_write_bytes(&w, DP_SPAN("\r\n"));
    }
    write_framing(&w, h->framing, h->content_length);
    if (trailers)
        dp_write_trailer_names(&w, h);
    if (h->te_trailers) /* what the client takes we take for it */
        dp_write_bytes(&w, DP_SPAN("TE: trailers\r\nConnection: TE\r\n"));
    dp_write_bytes(&w, f->ids->lines);
    dp_write_way(&w, h, c, &f->way);
    dp_write_via(&w, h->minor, c->via);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return written(a, &w);
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

/* Fields that only we know of. */
static void write_added(struct dp_writer *w, struct dp_span date, struct dp_span request_id)
{
    if (date.n > 0)
        dp_write_header(w, DP_SPAN("Date"), date);
    if (request_id.n > 0)
        dp_write_header(w, DP_SPAN("X-Request-Id"), request_id);
}

struct dp_span dp_forward_response_head(struct dp_arena *a, const struct dp_forward_response *f)
{
    const struct dp_head *h = f->head;
    struct dp_writer w;
    const bool named = f->request_id.n > 0;
    const bool trailers = f->trailers && dp_head_has(h, DP_HEADER_TRAILER);
    const size_t via_n = f->via ? strlen(f->via) : 0;
    if (!writer_in(a, (trailers ? 2 : 1) * h->raw.n + f->request_id.n + via_n + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, h->status, h->reason);
    dp_write_end_to_end(&w, h, named ? DP_HEADER_BIT(DP_HEADER_X_REQUEST_ID) : 0);
    /* HEAD and 304 may tell a length; 204 must not, though some regions say 0 (RFC 9110 8.6). */
    const bool tells = f->framing == DP_FRAMING_NONE && h->has_content_length && h->status != 204;
    write_framing(&w, tells ? DP_FRAMING_LENGTH : f->framing, h->content_length);
    if (trailers)
        dp_write_trailer_names(&w, h);
    write_added(&w, f->date, f->request_id);
    if (f->via)
        dp_write_via(&w, h->minor, f->via);
    write_connection(&w, f->client_minor, f->keep_alive);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return written(a, &w);
}

struct dp_span dp_forward_interim_head(struct dp_arena *a, const struct dp_head *h)
{
    struct dp_writer w;
    if (!writer_in(a, h->raw.n + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, h->status, h->reason);
    dp_write_end_to_end(&w, h, 0);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    return written(a, &w);
}

static size_t own_body(enum dp_err err, char *buf, size_t cap)
{
    const struct dp_err_info *info = dp_err_info(err);
    if (err == DP_OK)
        return 0;
    return dp_couch_error_body(buf, cap, dp_span_str(info->word), dp_span_str(info->reason));
}

size_t dp_forward_own_bytes(enum dp_err err)
{
    char body[ERROR_BODY_BYTES];
    return own_body(err, body, sizeof(body));
}

uint16_t dp_forward_own_status(enum dp_err err)
{
    return err == DP_OK ? 200 : dp_err_info(err)->status;
}

struct dp_span dp_forward_own(struct dp_arena *a, const struct dp_forward_own *f)
{
    const uint16_t status = dp_forward_own_status(f->err);
    char body[ERROR_BODY_BYTES];
    struct dp_writer w;
    size_t body_bytes = own_body(f->err, body, sizeof(body));
    if (!writer_in(a, body_bytes + f->request_id.n + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, status, dp_reason_phrase(status));
    if (f->err == DP_OK)
        dp_write_bytes(&w, DP_SPAN("Allow: COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT\r\n"));
    else
        dp_write_bytes(&w, DP_SPAN("Cache-Control: must-revalidate\r\n"
                                   "Content-Type: application/json\r\n"));
    write_framing(&w, DP_FRAMING_LENGTH, body_bytes);
    write_added(&w, f->date, f->request_id);
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
    return written(a, &w);
}
