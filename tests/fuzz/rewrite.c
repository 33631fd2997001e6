/* A head that we accept, as we send it on, must be accepted again and mean the same; the oracle must find one
 * meaning in it, the same end-to-end fields, and nothing that ends at this hop.
 *
 * Input: a byte of options (bit 0: an answer; 1: to HEAD; 2: the client came by TLS; 3: it speaks 1.0; 4: it is
 * kept; 5: it takes trailers), one of policies (two bits each: X-Forwarded-*, Forwarded, X-Request-Id, traceparent),
 * then the head. */
#include "davenport/http/reader.h"

#include "fuzz.h"
#include "oracle.h"
#include "proxy/forward.h"

#include <stdlib.h>
#include <string.h>

static const struct dp_reader_limits limits = {32768, 8192, 128};
static const struct dp_reader_limits no_limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};

static bool read_head(enum dp_reader_side side, enum dp_method request,
                      const struct dp_reader_limits *l, struct dp_span text, struct dp_arena *arena,
                      struct dp_head *head, bool all)
{
    size_t used = 0;
    struct dp_reader *r = dp_reader_new(side, l);
    fuzz_check(r != NULL, "memory");
    dp_reader_begin(r, arena, head, request);
    const bool done = dp_reader_head(r, text.p, text.n, &used) == DP_READ_DONE;
    dp_reader_destroy(r);
    return done && (!all || used == text.n);
}

static bool is(struct dp_span name, const char *lower)
{
    return name.n == strlen(lower) && strncasecmp(name.p, lower, name.n) == 0;
}

/* Fields that this proxy writes itself. */
static bool is_ours(struct dp_span name)
{
    return is(name, "host") || is(name, "content-length") || is(name, "transfer-encoding") ||
           is(name, "x-forwarded-for") || is(name, "x-forwarded-proto") ||
           is(name, "x-forwarded-host") || is(name, "trailer") || is(name, "via") ||
           is(name, "forwarded") || is(name, "x-request-id") || is(name, "traceparent") ||
           is(name, "tracestate") || is(name, "max-forwards") || is(name, "date") ||
           is(name, "location") || is(name, "destination");
}

static bool goes_on(const struct dp_header *f)
{
    return !f->named_by_connection && !oracle_is_hop(f->name) && !is_ours(f->name);
}

/* The fields that are neither ours nor this hop's: the same, in the same order. */
static void check_fields(const struct dp_head *from, const struct oracle_head *to, bool request)
{
    size_t at = 0;
    for (uint32_t i = 0; i < from->n_headers; i++) {
        const struct dp_header *f = &from->headers[i];
        if (!goes_on(f))
            continue;
        while (at < to->n_fields &&
               (is_ours(to->fields[at].name) || oracle_is_hop(to->fields[at].name)))
            at++;
        fuzz_check(at < to->n_fields && dp_span_eq(to->fields[at].name, f->name) &&
                       dp_span_eq(to->fields[at].value, f->value),
                   "every end-to-end field goes on as it is");
        at++;
    }
    for (; at < to->n_fields; at++)
        fuzz_check(is_ours(to->fields[at].name) || oracle_is_hop(to->fields[at].name),
                   "none is added but ours");
    for (size_t i = 0; i < to->n_fields; i++) {
        const struct oracle_field *f = &to->fields[i];
        bool told = !request && is(f->name, "connection");
        if (request && from->te_trailers)
            told = (is(f->name, "connection") && dp_span_eq(f->value, DP_SPAN("TE"))) ||
                   (is(f->name, "te") && dp_span_eq(f->value, DP_SPAN("trailers")));
        fuzz_check(told || !oracle_is_hop(f->name), "what ends at this hop does");
    }
}

static const char peer[] = "192.0.2.1";
#define PEER_BYTES (sizeof(peer) - 1)

/* The last of X-Forwarded-For is the true peer wherever we say something of it. */
static void check_way(const struct oracle_head *o, const struct dp_head *h,
                      const struct dp_proxy_config *c, bool tls)
{
    struct dp_span from = {NULL, 0}, proto = {NULL, 0}, way = {NULL, 0};
    const size_t froms = oracle_count(o, "x-forwarded-for", &from);
    const size_t protos = oracle_count(o, "x-forwarded-proto", &proto);
    const size_t ways = oracle_count(o, "forwarded", &way);
    size_t came = 0;
    for (uint32_t i = 0; i < h->n_headers; i++)
        came += h->headers[i].id == DP_HEADER_X_FORWARDED_FOR;
    switch (c->x_forwarded) {
    case DP_FORWARDED_PASS:
        fuzz_check(froms == came, "as it came");
        break;
    case DP_FORWARDED_ADD:
    case DP_FORWARDED_REPLACE:
        fuzz_check(froms == 1 && from.n >= PEER_BYTES &&
                       memcmp(from.p + from.n - PEER_BYTES, peer, PEER_BYTES) == 0 &&
                       (from.n == PEER_BYTES || from.p[from.n - PEER_BYTES - 1] == ' '),
                   "the true peer last");
        fuzz_check(c->x_forwarded == DP_FORWARDED_ADD || from.n == PEER_BYTES, "or alone");
        fuzz_check(protos == 1 && dp_span_eq(proto, tls ? DP_SPAN("https") : DP_SPAN("http")),
                   "and how it came");
        break;
    case DP_FORWARDED_REMOVE:
        fuzz_check(froms + protos == 0, "nothing of it");
        break;
    }
    if (c->forwarded == DP_FORWARDED_REMOVE)
        fuzz_check(ways == 0, "nothing of it");
    if (c->forwarded == DP_FORWARDED_ADD || c->forwarded == DP_FORWARDED_REPLACE) {
        const char *const last = tls ? "proto=https" : "proto=http";
        const size_t n = strlen(last);
        fuzz_check(ways == 1 && way.n > n && memcmp(way.p + way.n - n, last, n) == 0,
                   "in one line, ours last");
    }
}

static void check_names(const struct oracle_head *o, const struct dp_proxy_config *c)
{
    struct dp_span id = {NULL, 0}, trace = {NULL, 0};
    const size_t ids = oracle_count(o, "x-request-id", &id);
    const size_t traces = oracle_count(o, "traceparent", &trace);
    fuzz_check(ids <= 1 && traces <= 1, "one name each");
    fuzz_check(ids == 0 || (c->request_id != DP_ID_REMOVE && dp_request_id_valid(id)),
               "a sound id");
    fuzz_check(traces == 0 || (c->traceparent != DP_ID_REMOVE && dp_traceparent_valid(trace)),
               "a sound traceparent");
    fuzz_check(ids == 1 || c->request_id != DP_ID_MAKE, "made where there was none");
    fuzz_check(traces == 1 || c->traceparent != DP_ID_MAKE, "made where there was none");
}

/* Location and Destination: there as often as before; never a URL of the region, nor a destination that is one of ours
 * within the database. */
static void check_urls(const struct oracle_head *o, const struct dp_head *h, const char *name,
                       enum dp_header_id id)
{
    struct dp_span value = {NULL, 0};
    size_t came = 0;
    for (uint32_t i = 0; i < h->n_headers; i++)
        came += h->headers[i].id == id && !h->headers[i].named_by_connection;
    fuzz_check(oracle_count(o, name, &value) == came, "as many as came");
    if (came != 1)
        return;
    fuzz_check(!dp_span_starts(value, DP_SPAN("http://region.example:5984/")) &&
                   !dp_span_starts(value, DP_SPAN("https://region.example:5984/")),
               "no URL of the region");
    fuzz_check(id != DP_HEADER_DESTINATION || !dp_span_starts(value, DP_SPAN("http://a.b/db/x")),
               "relative to the database");
}

static struct dp_proxy_config config_of(uint8_t policies)
{
    return (struct dp_proxy_config){
        .via = "davenport",
        .x_forwarded = (enum dp_forwarded_policy)(policies & 3),
        .forwarded = (enum dp_forwarded_policy)(policies >> 2 & 3),
        .request_id = (enum dp_id_policy)((policies >> 4 & 3) % 3),
        .traceparent = (enum dp_id_policy)((policies >> 6 & 3) % 3),
    };
}

static void check_request(const struct dp_head *h, struct dp_arena *arena,
                          const struct dp_proxy_config *c, bool tls)
{
    static struct oracle_head o;
    struct dp_head again;
    struct dp_span value;
    char lines[DP_IDS_LINES_BYTES];
    struct dp_ids ids = {0};
    struct dp_random random = {{1, 2}};
    const struct dp_span prefix = (struct dp_span){0};
    uint64_t hops;
    if (dp_hops_left(h, &hops) != DP_OK || hops == 0)
        return; /* it ends here */
    dp_ids_choose(&ids, h, c, &random, lines);
    const struct dp_forward_request f = {.head = h,
                                         .config = c,
                                         .host = "region.example:5984",
                                         .ids = &ids,
                                         .hops_left = hops,
                                         .way = {peer, tls},
                                         .db = DP_SPAN("db"),
                                         .origin = {h->authority, prefix, tls}};
    const struct dp_span sent = dp_forward_request_head(arena, &f);
    fuzz_check(sent.p != NULL, "there is always room");
    const char *why = oracle_request(&o, sent.p, sent.n);
    fuzz_check(why == NULL, why ? why : "");
    fuzz_check(read_head(DP_READ_REQUESTS, DP_METHOD_OTHER, &no_limits, sent, arena, &again, true),
               "our reader takes it, to its end");
    fuzz_check(dp_span_eq(again.method_text, h->method_text), "the same method");
    fuzz_check(dp_span_eq(again.target, h->target), "the same target");
    fuzz_check(again.framing == h->framing && again.content_length == h->content_length,
               "the same framing");
    fuzz_check(dp_span_eq(o.first, h->method_text) && dp_span_eq(o.second, h->target) &&
                   o.chunked == (h->framing == DP_FRAMING_CHUNKED) &&
                   o.has_length == (h->framing == DP_FRAMING_LENGTH) &&
                   o.length == (o.has_length ? h->content_length : 0),
               "in the eyes of the oracle, too");
    fuzz_check(again.keep_alive && again.minor == 1, "on a connection that is kept");
    fuzz_check(again.expect_continue == h->expect_continue, "the same expectation");
    fuzz_check(again.te_trailers == h->te_trailers, "the same taste for trailers");
    fuzz_check(oracle_count(&o, "host", &value) == 1 && dp_span_eq(value, dp_span_str(f.host)),
               "the region's own name");
    check_way(&o, h, c, tls);
    check_names(&o, c);
    if (dp_span_eq(h->authority, DP_SPAN("a.b")))
        check_urls(&o, h, "destination", DP_HEADER_DESTINATION);
    check_fields(h, &o, true);
}

static void check_response(const struct dp_head *h, struct dp_arena *arena, enum dp_method request,
                           uint8_t bits)
{
    static struct oracle_head o;
    struct dp_head again;
    const bool interim = h->status < 200;
    const uint8_t minor = (bits & 8) != 0 ? 0 : 1;
    const bool keep = (bits & 16) != 0;
    const struct dp_span prefix = (bits & 64) != 0 ? DP_SPAN("/_region/r") : (struct dp_span){0};
    const struct dp_forward_response f = {.head = h,
                                          .framing = dp_forward_framing(h, minor),
                                          .client_minor = minor,
                                          .keep_alive = keep,
                                          .trailers = (bits & 32) != 0,
                                          .date = DP_SPAN("Sun, 06 Nov 1994 08:49:37 GMT"),
                                          .request_id = DP_SPAN("id"),
                                          .via = minor == 0 ? "davenport" : NULL,
                                          .host = "region.example:5984",
                                          .origin = {DP_SPAN("a.b"), prefix, keep}};
    const struct dp_span sent =
        interim ? dp_forward_interim_head(arena, h) : dp_forward_response_head(arena, &f);
    fuzz_check(sent.p != NULL, "there is always room");
    const char *why = oracle_response(&o, sent.p, sent.n);
    fuzz_check(why == NULL, why ? why : "");
    fuzz_check(read_head(DP_READ_RESPONSES, request, &no_limits, sent, arena, &again, true),
               "our reader takes it, to its end");
    fuzz_check(again.status == h->status && dp_span_eq(again.reason, h->reason), "the same status");
    check_fields(h, &o, false);
    if (interim)
        return;
    check_urls(&o, h, "location", DP_HEADER_LOCATION);
    fuzz_check(again.framing == f.framing, "framed as we mean to");
    fuzz_check(f.framing != DP_FRAMING_LENGTH || again.content_length == h->content_length,
               "as long");
    fuzz_check(minor > 0 || f.framing != DP_FRAMING_CHUNKED, "no chunks for 1.0");
    struct dp_span value;
    const size_t n = oracle_count(&o, "connection", &value);
    const bool says_close = n > 0 && is(value, "close"),
               says_keep = n > 0 && is(value, "keep-alive");
    fuzz_check(n <= 1 && says_close == !keep && (minor > 0 || says_keep == keep),
               "and the client knows whether it is kept");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const uint8_t bits = data[0];
    const struct dp_proxy_config c = config_of(data[1]);
    const bool answer = (bits & 1) != 0;
    const enum dp_method request = (bits & 2) != 0 ? DP_METHOD_HEAD : DP_METHOD_GET;
    char *text = fuzz_copy(data + 2, size - 2);
    struct dp_arena arena;
    struct dp_head head;
    dp_arena_init(&arena, NULL);
    if (read_head(answer ? DP_READ_RESPONSES : DP_READ_REQUESTS, request, &limits,
                  (struct dp_span){text, size - 2}, &arena, &head, false)) {
        if (answer)
            check_response(&head, &arena, request, bits);
        else
            check_request(&head, &arena, &c, (bits & 4) != 0);
    }
    dp_arena_reset(&arena);
    free(text);
    return 0;
}
