/* Reading and writing the fields that tell a message's way. */
#include "proxy/via.h"

static const uint64_t x_forwarded = DP_HEADER_BIT(DP_HEADER_X_FORWARDED_FOR) |
                                    DP_HEADER_BIT(DP_HEADER_X_FORWARDED_HOST) |
                                    DP_HEADER_BIT(DP_HEADER_X_FORWARDED_PROTO);

uint64_t dp_way_drops(const struct dp_proxy_config *c)
{
    uint64_t drops = 0;
    if (c->x_forwarded != DP_FORWARDED_PASS)
        drops |= x_forwarded;
    if (c->forwarded != DP_FORWARDED_PASS)
        drops |= DP_HEADER_BIT(DP_HEADER_FORWARDED);
    return drops;
}

/* A quoted string that is left open would swallow what is written behind it. */
static bool quotes_close(struct dp_span s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
    }
    return !quoted;
}

/* The values that came, each with ", " behind it, so that ours is the last. */
static void write_earlier(struct dp_writer *w, const struct dp_head *h, enum dp_header_id id)
{
    if (!dp_head_has(h, id))
        return;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        const struct dp_header *f = &h->headers[i];
        if (f->id == id && f->value.n > 0 &&
            (id != DP_HEADER_FORWARDED || quotes_close(f->value))) {
            dp_write_bytes(w, f->value);
            dp_write_bytes(w, DP_SPAN(", "));
        }
    }
}

/* RFC 7239 6: IPv6 in brackets, and quoted for their sake; what is no address is unknown. */
static void write_node(struct dp_writer *w, const char *peer)
{
    if (strchr(peer, ':')) {
        dp_write_bytes(w, DP_SPAN("\"["));
        dp_write_bytes(w, dp_span_str(peer));
        dp_write_bytes(w, DP_SPAN("]\""));
    } else if (strchr(peer, '.')) {
        dp_write_bytes(w, dp_span_str(peer));
    } else {
        dp_write_bytes(w, DP_SPAN("unknown"));
    }
}

static void write_forwarded(struct dp_writer *w, const struct dp_head *h, bool add,
                            const struct dp_way *way)
{
    dp_write_bytes(w, DP_SPAN("Forwarded: "));
    if (add)
        write_earlier(w, h, DP_HEADER_FORWARDED);
    dp_write_bytes(w, DP_SPAN("for="));
    write_node(w, way->peer);
    if (h->authority.n > 0) { /* letters, digits and "-._:[]": nothing in it needs escaping */
        dp_write_bytes(w, DP_SPAN(";host=\""));
        dp_write_bytes(w, h->authority);
        dp_write_bytes(w, DP_SPAN("\""));
    }
    dp_write_bytes(w, way->tls ? DP_SPAN(";proto=https\r\n") : DP_SPAN(";proto=http\r\n"));
}

/* The true peer is the last: CouchDB's lock-out trusts that one. Host and scheme are what we were asked. */
static void write_x_forwarded(struct dp_writer *w, const struct dp_head *h, bool add,
                              const struct dp_way *way)
{
    dp_write_bytes(w, DP_SPAN("X-Forwarded-For: "));
    if (add)
        write_earlier(w, h, DP_HEADER_X_FORWARDED_FOR);
    dp_write_bytes(w, dp_span_str(way->peer));
    dp_write_bytes(w, DP_SPAN("\r\n"));
    if (h->authority.n > 0) /* what CouchDB makes Location from */
        dp_write_header(w, DP_SPAN("X-Forwarded-Host"), h->authority);
    dp_write_bytes(w, way->tls ? DP_SPAN("X-Forwarded-Proto: https\r\n")
                               : DP_SPAN("X-Forwarded-Proto: http\r\n"));
}

static bool writes(enum dp_forwarded_policy p)
{
    return p == DP_FORWARDED_ADD || p == DP_FORWARDED_REPLACE;
}

void dp_write_way(struct dp_writer *w, const struct dp_head *h, const struct dp_proxy_config *c,
                  const struct dp_way *way)
{
    if (writes(c->x_forwarded))
        write_x_forwarded(w, h, c->x_forwarded == DP_FORWARDED_ADD, way);
    if (writes(c->forwarded))
        write_forwarded(w, h, c->forwarded == DP_FORWARDED_ADD, way);
}

void dp_write_via(struct dp_writer *w, uint8_t minor, const char *pseudonym)
{
    dp_write_bytes(w, minor == 0 ? DP_SPAN("Via: 1.0 ") : DP_SPAN("Via: 1.1 "));
    dp_write_bytes(w, dp_span_str(pseudonym));
    dp_write_bytes(w, DP_SPAN("\r\n"));
}

/* Via is a list of: protocol, white space, name, and maybe white space and a comment (RFC 9110 7.6.3). A comma in a
 * comment begins what looks like another element; a client that forges one counts itself out, nobody else. */
unsigned dp_via_count(const struct dp_head *h, const char *pseudonym)
{
    const struct dp_span ours = dp_span_str(pseudonym);
    unsigned count = 0;
    if (!dp_head_has(h, DP_HEADER_VIA))
        return 0;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value;
        while (h->headers[i].id == DP_HEADER_VIA && rest.p) {
            struct dp_span element = dp_span_trim(dp_span_cut(&rest, ','));
            (void)dp_span_cut(&element, ' ');
            struct dp_span name = element.p ? dp_span_trim(element) : element;
            count += name.p && dp_span_ieq(dp_span_cut(&name, ' '), ours);
        }
    }
    return count;
}

enum dp_err dp_hops_left(const struct dp_head *h, uint64_t *out)
{
    const bool limited = h->method == DP_METHOD_OPTIONS && dp_head_has(h, DP_HEADER_MAX_FORWARDS);
    const struct dp_header *f = limited ? dp_head_only(h, DP_HEADER_MAX_FORWARDS) : NULL;
    uint64_t left = DP_NO_HOPS;
    if (limited && (!f || !dp_span_u64(f->value, &left)))
        return DP_EBADREQUEST;
    *out = left;
    return DP_OK;
}
