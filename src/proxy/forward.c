/* Heads written anew from untouched input. What the peer said about this hop (framing, Host,
 * Connection) is read and never copied; all else goes through as it came. */
#include "proxy/forward.h"

#include "davenport/couch/request.h"
#include "davenport/http/cookie.h"
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

/* Where a COPY goes to, as the region wants it told; .p == NULL: as it stands in the head. */
static struct dp_span destination_of(const struct dp_forward_request *f)
{
    const struct dp_header *d = dp_head_has(f->head, DP_HEADER_DESTINATION)
                                    ? dp_head_only(f->head, DP_HEADER_DESTINATION)
                                    : NULL;
    const struct dp_span as_it_is = {NULL, 0};
    if (!d)
        return as_it_is;
    const struct dp_span to = dp_origin_destination(d->value, f->db, &f->origin);
    return to.p == d->value.p ? as_it_is : to;
}

struct dp_span dp_forward_request_head(struct dp_arena *a, const struct dp_forward_request *f)
{
    const struct dp_head *h = f->head;
    const struct dp_proxy_config *c = f->config;
    struct dp_writer w;
    const bool trailers = h->framing == DP_FRAMING_CHUNKED;
    const struct dp_span destination = destination_of(f);
    const struct dp_span target = f->target.p ? f->target : h->target;
    uint64_t drop = dp_way_drops(c) | dp_proof_drops(c, &f->proof) | f->ids->drop | f->without;
    size_t cap = h->raw.n + 2 * h->authority.n + strlen(f->host) + strlen(c->via) + DP_WAY_BYTES +
                 DP_IDS_LINES_BYTES + dp_proof_bytes(h, &f->proof) + f->target.n +
                 f->last_event_id.n + ADDED_BYTES;
    if (dp_head_has(h, DP_HEADER_TRAILER))
        cap += h->raw.n; /* its names are written with a space between them */
    if (!writer_in(a, cap, &w))
        return (struct dp_span){NULL, 0};
    dp_write_request_line(&w, h->method_text, target);
    dp_write_header(&w, DP_SPAN("Host"), dp_span_str(f->host));
    if (f->hops_left != DP_NO_HOPS)
        drop |= DP_HEADER_BIT(DP_HEADER_MAX_FORWARDS);
    if (destination.p) {
        dp_write_header(&w, DP_SPAN("Destination"), destination);
        drop |= DP_HEADER_BIT(DP_HEADER_DESTINATION);
    }
    if (c->named_by_header)
        drop |= DP_HEADER_BIT(DP_HEADER_DAVENPORT_REGION);
    dp_write_end_to_end(&w, h, drop);
    if (f->accept_encoding.p)
        dp_write_header(&w, DP_SPAN("Accept-Encoding"), f->accept_encoding);
    if (f->last_event_id.p)
        dp_write_header(&w, DP_SPAN("Last-Event-ID"), f->last_event_id);
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
    dp_write_proof(&w, h, &f->proof);
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

/* What became of the request here. */
static void write_way_back(struct dp_writer *w, const char *region, unsigned attempts)
{
    if (region)
        dp_write_header(w, DP_SPAN("Davenport-Region"), dp_span_str(region));
    if (attempts > 0) {
        dp_write_bytes(w, DP_SPAN("Davenport-Attempts: "));
        dp_write_u64(w, attempts);
        dp_write_bytes(w, DP_SPAN("\r\n"));
    }
}

/* Fields that only we know of. */
static void write_added(struct dp_writer *w, struct dp_span date, struct dp_span request_id,
                        struct dp_span missed)
{
    if (missed.n > 0)
        dp_write_header(w, DP_SPAN("Davenport-Missed"), missed);
    if (date.n > 0)
        dp_write_header(w, DP_SPAN("Date"), date);
    if (request_id.n > 0)
        dp_write_header(w, DP_SPAN("X-Request-Id"), request_id);
}

struct dp_span dp_forward_response_head(struct dp_arena *a, const struct dp_forward_response *f)
{
    const struct dp_head *h = f->head;
    const struct dp_header *location =
        dp_head_has(h, DP_HEADER_LOCATION) ? dp_head_only(h, DP_HEADER_LOCATION) : NULL;
    struct dp_span to = {NULL, 0};
    uint64_t drop = f->without;
    struct dp_writer w;
    if (f->region)
        drop |= DP_HEADER_BIT(DP_HEADER_DAVENPORT_REGION);
    if (location) {
        to = dp_origin_location(a, location->value, f->host, &f->origin);
        if (!to.p)
            return to;
        if (to.p == location->value.p)
            location = NULL;
        else
            drop |= DP_HEADER_BIT(DP_HEADER_LOCATION);
    }
    const bool named = f->request_id.n > 0;
    const uint64_t cookies = h->present & DP_HEADER_BIT(DP_HEADER_SET_COOKIE);
    const bool trailers = f->trailers && dp_head_has(h, DP_HEADER_TRAILER);
    const size_t via_n = f->via ? strlen(f->via) : 0;
    const size_t more =
        f->missed.n + (cookies ? h->raw.n + h->n_headers * (size_t)DP_SET_COOKIE_MORE : 0);
    if (!writer_in(a,
                   (trailers ? 2 : 1) * h->raw.n + to.n + f->request_id.n + via_n + f->fields.n +
                       more + ADDED_BYTES,
                   &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, h->status, h->reason);
    dp_write_end_to_end(&w, h,
                        drop | cookies | (named ? DP_HEADER_BIT(DP_HEADER_X_REQUEST_ID) : 0));
    if (location)
        dp_write_header(&w, DP_SPAN("Location"), to);
    if (cookies != 0 && !f->injected)
        dp_write_set_cookies(&w, h, f->client_tls);
    /* HEAD and 304 may tell a length; 204 must not, though some regions say 0 (RFC 9110 8.6). */
    const bool tells =
        f->framing == DP_FRAMING_NONE && h->has_content_length && h->status != 204 && !f->no_length;
    write_framing(&w, tells ? DP_FRAMING_LENGTH : f->framing, h->content_length);
    if (trailers)
        dp_write_trailer_names(&w, h);
    write_added(&w, f->date, f->request_id, f->missed);
    dp_write_bytes(&w, f->fields);
    if (f->sequence)
        dp_write_header(&w, DP_SPAN("Davenport-Sequence"), dp_span_str(f->sequence));
    write_way_back(&w, f->region, f->attempts);
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
    const bool told = f->err == DP_OK && f->body.p;
    const struct dp_span text =
        told ? f->body : (struct dp_span){body, own_body(f->err, body, sizeof(body))};
    if (!writer_in(a, text.n + f->fields.n + f->request_id.n + f->missed.n + ADDED_BYTES, &w))
        return (struct dp_span){NULL, 0};
    dp_write_status_line(&w, status, dp_reason_phrase(status));
    if (f->err == DP_OK && !told)
        dp_write_bytes(&w, DP_SPAN("Allow: COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT\r\n"));
    else
        dp_write_bytes(&w, DP_SPAN("Cache-Control: must-revalidate\r\n"
                                   "Content-Type: application/json\r\n"));
    write_framing(&w, DP_FRAMING_LENGTH, text.n);
    write_added(&w, f->date, f->request_id, f->missed);
    dp_write_bytes(&w, DP_SPAN("Server: Davenport\r\n"));
    if (f->retry_after_s > 0) {
        dp_write_bytes(&w, DP_SPAN("Retry-After: "));
        dp_write_u64(&w, f->retry_after_s);
        dp_write_bytes(&w, DP_SPAN("\r\n"));
    }
    if (f->err == DP_ESESSIONMETHOD)
        dp_write_bytes(&w, DP_SPAN("Allow: GET,HEAD,POST,DELETE\r\n"));
    if (f->err == DP_EUNKNOWN)
        dp_write_bytes(&w, DP_SPAN("WWW-Authenticate: Basic realm=\"davenport\"\r\n"));
    dp_write_bytes(&w, f->fields);
    if (f->err == DP_EUNKNOWNOUTCOME)
        dp_write_bytes(&w, DP_SPAN("Davenport-Outcome: unknown\r\n"));
    write_way_back(&w, f->region, f->attempts);
    write_connection(&w, f->client_minor, f->keep_alive);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    if (!f->head_only)
        dp_write_bytes(&w, text);
    return written(a, &w);
}
