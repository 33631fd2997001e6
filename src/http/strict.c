/* What a message must be beyond being parsable: one meaning only. Two parties that read a message
 * differently are what request smuggling is made of, so whatever could be read in two ways is
 * refused, even where RFC 9112 would let a recipient guess (sections cited below are of RFC 9112
 * unless named otherwise).
 *
 * llhttp 8.1 in strict mode lets these pass, which are refused here: several spaces around the
 * target, HTTP/0.9, other protocols ("RTSP/1.0", "ICE/1.0"), versions such as 2.0, fragments, a
 * status line with two spaces (its code is read as 0), control bytes in reason phrases, codings
 * before or instead of chunked, Transfer-Encoding on HTTP/1.0, any Host or none, and (reader.c)
 * obs-fold and empty names. */
#include "http/strict.h"

#include "http/chars.h"

/* More than any honest peer lists; makes checking them linear in the number of fields. */
#define CONNECTION_OPTIONS_MAX 32

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum dp_method method_of(struct dp_span text)
{
    static const struct {
        struct dp_span text;
        enum dp_method method;
    } rows[] = {
        {{"GET", 3}, DP_METHOD_GET},         {{"HEAD", 4}, DP_METHOD_HEAD},
        {{"POST", 4}, DP_METHOD_POST},       {{"PUT", 3}, DP_METHOD_PUT},
        {{"DELETE", 6}, DP_METHOD_DELETE},   {{"OPTIONS", 7}, DP_METHOD_OPTIONS},
        {{"CONNECT", 7}, DP_METHOD_CONNECT}, {{"TRACE", 5}, DP_METHOD_TRACE},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        if (dp_span_eq(text, rows[i].text))
            return rows[i].method;
    }
    return DP_METHOD_OTHER;
}

/* "HTTP/d.d". False when it is not that. */
static bool read_version(const char p[8], uint8_t *major, uint8_t *minor)
{
    if (memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' || !is_digit(p[7]))
        return false;
    *major = (uint8_t)(p[5] - '0');
    *minor = (uint8_t)(p[7] - '0');
    return true;
}

/* method SP target SP HTTP/1.x (3). The target's form is looked at later, when Host is known. */
enum dp_err dp_strict_request_line(struct dp_span line, uint32_t target_max,
                                   struct dp_start_line *out)
{
    const size_t tail = sizeof(" HTTP/1.1") - 1;
    const char *space = memchr(line.p, ' ', line.n);
    const size_t method_n = space ? (size_t)(space - line.p) : 0;
    if (method_n == 0 || line.n < method_n + 2 + tail || line.p[line.n - tail] != ' ')
        return DP_EBADREQUEST;
    const struct dp_span method = {line.p, method_n};
    const struct dp_span target = {space + 1, line.n - method_n - 1 - tail};
    uint8_t major = 0;
    uint8_t minor = 0;
    if (!dp_chars_are(method, DP_CHAR_TOKEN) ||
        !read_version(line.p + line.n - tail + 1, &major, &minor))
        return DP_EBADREQUEST;
    if (major != 1 || minor > 1)
        return DP_EVERSION;
    const enum dp_method known = method_of(method);
    if (known == DP_METHOD_CONNECT || known == DP_METHOD_TRACE)
        return DP_EMETHOD;
    if (target.n > target_max)
        return DP_ETARGETSIZE;
    if (!dp_chars_are(target, DP_CHAR_TARGET))
        return DP_EBADREQUEST;
    *out = (struct dp_start_line){
        .method_n = method_n,
        .text_at = method_n + 1,
        .text_n = target.n,
        .method = known,
        .minor = minor,
    };
    return DP_OK;
}

/* HTTP/1.x SP status [SP reason] (4). The space before an absent reason is required of senders but
 * often forgotten, and nothing hangs on it. */
enum dp_err dp_strict_status_line(struct dp_span line, struct dp_start_line *out)
{
    const size_t least = sizeof("HTTP/1.1 200") - 1;
    uint8_t major = 0;
    uint8_t minor = 0;
    if (line.n < least || !read_version(line.p, &major, &minor) || major != 1 || minor > 1)
        return DP_EBADRESPONSE;
    const char *code = line.p + sizeof("HTTP/1.1 ") - 1;
    if (code[-1] != ' ' || !is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]))
        return DP_EBADRESPONSE;
    if (line.n > least && line.p[least] != ' ')
        return DP_EBADRESPONSE;
    const int status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    /* 101 would end HTTP on this connection, and no request of ours asks for that. */
    if (status < 100 || status > 599 || status == 101)
        return DP_EBADRESPONSE;
    const size_t at = line.n > least ? least + 1 : least;
    if (!dp_chars_are((struct dp_span){line.p + at, line.n - at}, DP_CHAR_VALUE))
        return DP_EBADRESPONSE;
    *out = (struct dp_start_line){
        .text_at = at,
        .text_n = line.n - at,
        .status = (uint16_t)status,
        .minor = minor,
    };
    return DP_OK;
}

/* The fields that decide, each with how often it was there. */
struct decisive {
    const struct dp_header *host, *length, *coding, *expect;
    unsigned hosts, lengths, codings, expects, connections;
};

/* Also notes which fields there are. */
static struct decisive find_decisive(struct dp_head *h)
{
    const uint64_t decide = DP_HEADER_BIT(DP_HEADER_HOST) | DP_HEADER_BIT(DP_HEADER_EXPECT) |
                            DP_HEADER_BIT(DP_HEADER_CONTENT_LENGTH) |
                            DP_HEADER_BIT(DP_HEADER_TRANSFER_ENCODING) |
                            DP_HEADER_BIT(DP_HEADER_CONNECTION);
    struct decisive d = {0};
    uint64_t present = 0;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        const struct dp_header *f = &h->headers[i];
        present |= DP_HEADER_BIT(f->id);
        if ((decide & DP_HEADER_BIT(f->id)) == 0)
            continue;
        if (f->id == DP_HEADER_HOST) {
            d.host = f;
            d.hosts++;
        } else if (f->id == DP_HEADER_CONTENT_LENGTH) {
            d.length = f;
            d.lengths++;
        } else if (f->id == DP_HEADER_TRANSFER_ENCODING) {
            d.coding = f;
            d.codings++;
        } else if (f->id == DP_HEADER_EXPECT) {
            d.expect = f;
            d.expects++;
        } else if (f->id == DP_HEADER_CONNECTION) {
            d.connections++;
        }
    }
    h->present = present;
    return d;
}

/* Transfer-Encoding is "chunked" once and on 1.1, or absent; Content-Length is one number, or
 * absent; never both (6.1, 6.3). Equal repeated lengths, which 6.3 allows to merge, are refused as
 * well. */
static enum dp_err check_framing_fields(struct dp_head *h, const struct decisive *d)
{
    if (d->codings > 0) {
        if (d->codings > 1 || d->lengths > 0 || h->minor == 0 ||
            !dp_span_ieq(d->coding->value, DP_SPAN("chunked")))
            return DP_EFRAMING;
        return DP_OK;
    }
    if (d->lengths == 0)
        return DP_OK;
    if (d->lengths > 1 || !dp_span_u64(d->length->value, &h->content_length))
        return DP_EFRAMING;
    h->has_content_length = true;
    return DP_OK;
}

/* What naming a field in Connection does. A request may not name a field that this proxy acts on:
 * dropping it behind our back would change what the request means after we have judged it. A region
 * may name what it likes; what frames a message is written anew at every hop in any case. */
static enum dp_err drop_named(struct dp_head *h, struct dp_span option, bool request)
{
    const enum dp_header_id id = dp_header_lookup(option);
    const unsigned flags = dp_header_flags(id);
    if ((flags & DP_HEADER_FLAG_HOP) != 0)
        return DP_OK;
    if (id != DP_HEADER_OTHER && request)
        return DP_EBADREQUEST;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_header *f = &h->headers[i];
        if (f->id == id && (id != DP_HEADER_OTHER || dp_span_ieq(f->name, option)))
            f->named_by_connection = true;
    }
    return DP_OK;
}

/* Connection (9.1, RFC 9110 7.6.1): "close", "keep-alive", and names of fields that end at this
 * hop. */
static enum dp_err check_connection(struct dp_head *h, const struct decisive *d, bool request)
{
    bool close = false;
    bool keep = h->minor > 0;
    unsigned options = 0;
    for (uint32_t i = 0; d->connections > 0 && i < h->n_headers; i++) {
        if (h->headers[i].id != DP_HEADER_CONNECTION)
            continue;
        struct dp_span rest = h->headers[i].value;
        while (rest.p) {
            const struct dp_span option = dp_span_trim(dp_span_cut(&rest, ','));
            if (++options > CONNECTION_OPTIONS_MAX || !dp_chars_are(option, DP_CHAR_TOKEN))
                return DP_EBADREQUEST;
            if (option.n == 0)
                continue; /* a list may have empty places (RFC 9110 5.6.1) */
            if (dp_span_ieq(option, DP_SPAN("keep-alive"))) {
                keep = true;
            } else if (dp_span_ieq(option, DP_SPAN("close"))) {
                close = true;
            } else {
                const enum dp_err err = drop_named(h, option, request);
                if (err != DP_OK)
                    return err;
            }
        }
    }
    h->keep_alive = keep && !close;
    return DP_OK;
}

/* host [":" port]: a name, an IPv4 or a bracketed IPv6 address. */
static bool valid_authority(struct dp_span s)
{
    if (s.n == 0 || s.n > 261) /* 255 of a name, ":65535" */
        return false;
    size_t at = 0;
    if (s.p[0] == '[') {
        at = 1;
        while (at < s.n && (s.p[at] == ':' || s.p[at] == '.' || dp_hex_value(s.p[at]) >= 0))
            at++;
        if (at < 3 || at == s.n || s.p[at] != ']')
            return false;
        at++;
    } else {
        while (at < s.n && dp_char_is(s.p[at], DP_CHAR_HOST))
            at++;
        if (at == 0)
            return false;
    }
    if (at == s.n)
        return true;
    uint64_t port = 0;
    return s.p[at] == ':' && s.n - at <= 6 &&
           dp_span_u64((struct dp_span){s.p + at + 1, s.n - at - 1}, &port) && port <= 65535;
}

static size_t scheme_bytes(struct dp_span target)
{
    static const struct dp_span schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < DP_ARRAY_LEN(schemes); i++) {
        const size_t n = schemes[i].n;
        if (target.n >= n && dp_span_ieq((struct dp_span){target.p, n}, schemes[i]))
            return n;
    }
    return 0;
}

/* "http://host/path" (3.2.2) becomes "/path"; without a path "/" (or "*" for OPTIONS, 3.2.4), to
 * which a query is added. */
static enum dp_err repair_absolute(struct dp_head *h, size_t scheme_n, struct dp_arena *arena)
{
    const struct dp_span rest = {h->target.p + scheme_n, h->target.n - scheme_n};
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    const struct dp_span authority = {rest.p, n};
    if (!valid_authority(authority) ||
        (h->authority.n > 0 && !dp_span_ieq(authority, h->authority)))
        return DP_EHOST;
    h->authority = authority;
    const struct dp_span path = {rest.p + n, rest.n - n};
    if (path.n == 0) {
        h->target = h->method == DP_METHOD_OPTIONS ? DP_SPAN("*") : DP_SPAN("/");
    } else if (path.p[0] == '/') {
        h->target = path;
    } else {
        char *text = dp_arena_alloc(arena, path.n + 1);
        if (!text)
            return DP_ENOMEM;
        text[0] = '/';
        memcpy(text + 1, path.p, path.n);
        h->target = (struct dp_span){text, path.n + 1};
    }
    return DP_OK;
}

/* Host (3.2) and the target's form (3.2.1 to 3.2.4). */
static enum dp_err check_target(struct dp_head *h, const struct decisive *d, struct dp_arena *arena)
{
    if (d->hosts > 1 || (d->hosts == 0 && h->minor > 0))
        return DP_EHOST;
    if (d->hosts == 1) {
        if (!valid_authority(d->host->value))
            return DP_EHOST;
        h->authority = d->host->value;
    }
    if (h->target.p[0] == '/')
        return DP_OK;
    if (h->target.p[0] == '*')
        return h->target.n == 1 && h->method == DP_METHOD_OPTIONS ? DP_OK : DP_EBADREQUEST;
    const size_t scheme_n = scheme_bytes(h->target);
    return scheme_n > 0 ? repair_absolute(h, scheme_n, arena) : DP_EBADREQUEST;
}

/* TE (RFC 9110 10.1.4) is a list of codings, which nobody here makes, and the word "trailers". That Connection names TE
 * is not insisted on: many clients forget. */
static bool takes_trailers(const struct dp_head *h)
{
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value;
        while (h->headers[i].id == DP_HEADER_TE && rest.p) {
            if (dp_span_ieq(dp_span_trim(dp_span_cut(&rest, ',')), DP_SPAN("trailers")))
                return true;
        }
    }
    return false;
}

enum dp_err dp_strict_request(struct dp_head *h, struct dp_arena *arena)
{
    const struct decisive d = find_decisive(h);
    enum dp_err err = check_target(h, &d, arena);
    if (err == DP_OK)
        err = check_framing_fields(h, &d);
    if (err == DP_OK)
        err = check_connection(h, &d, true);
    if (err != DP_OK)
        return err;
    if (d.expects > 0) {
        if (d.expects > 1 || !dp_span_ieq(d.expect->value, DP_SPAN("100-continue")))
            return DP_EEXPECT;
        /* RFC 9110 10.1.1: from 1.0 it is ignored, so it ends here and no region waits on it. */
        h->expect_continue = h->minor > 0;
        h->headers[d.expect - h->headers].named_by_connection |= h->minor == 0;
    }
    h->te_trailers = h->minor > 0 && dp_head_has(h, DP_HEADER_TE) && takes_trailers(h);
    if (d.codings > 0)
        h->framing = DP_FRAMING_CHUNKED;
    else
        h->framing = h->has_content_length ? DP_FRAMING_LENGTH : DP_FRAMING_NONE;
    return DP_OK;
}

/* The body's framing by 6.3, once the fields themselves are sound. */
enum dp_err dp_strict_response(struct dp_head *h, enum dp_method request)
{
    const struct decisive d = find_decisive(h);
    enum dp_err err = check_framing_fields(h, &d);
    if (err == DP_OK)
        err = check_connection(h, &d, false);
    if (err != DP_OK)
        return err;
    if (h->status < 200 || h->status == 204) {
        /* These have no body; one that declares a body is about to send what nobody would read. */
        if (d.codings > 0 || h->content_length > 0)
            return DP_EFRAMING;
        h->framing = DP_FRAMING_NONE;
    } else if (request == DP_METHOD_HEAD || h->status == 304) {
        h->framing = DP_FRAMING_NONE;
    } else if (d.codings > 0) {
        h->framing = DP_FRAMING_CHUNKED;
    } else if (h->has_content_length) {
        h->framing = DP_FRAMING_LENGTH;
    } else {
        h->framing = DP_FRAMING_CLOSE;
        h->keep_alive = false;
    }
    return DP_OK;
}
