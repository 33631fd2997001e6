/* Which fields may stand behind a body, and writing them.
 *
 * Known fields may not: header.def says why. Nor may those that Connection names, which end at this hop wherever they
 * stand (RFC 9110 7.6.1). All others pass: what they mean is between the two ends. */
#include "http/trailer.h"

#include "davenport/http/writer.h"

#include "http/chars.h"

static bool named_by_connection(const struct dp_head *h, struct dp_span name)
{
    if (!dp_head_has(h, DP_HEADER_CONNECTION))
        return false;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value;
        while (h->headers[i].id == DP_HEADER_CONNECTION && rest.p) {
            if (dp_span_ieq(dp_span_trim(dp_span_cut(&rest, ',')), name))
                return true;
        }
    }
    return false;
}

static bool may_trail(const struct dp_head *h, struct dp_span name)
{
    return dp_header_lookup(name) == DP_HEADER_OTHER && !named_by_connection(h, name);
}

/* Cut the next line off, without its end. An empty one is the last. */
static struct dp_span next_line(struct dp_span *section)
{
    struct dp_span line = dp_span_cut(section, '\n');
    line.n--; /* its CR: chunked.c saw it there */
    return line;
}

enum dp_err dp_trailers_take(struct dp_head *h, struct dp_span section, uint32_t max,
                             struct dp_arena *arena)
{
    const size_t cap = 2 * section.n; /* a space is added behind each colon */
    char *p = dp_arena_alloc(arena, cap);
    if (!p)
        return DP_ENOMEM;
    struct dp_writer w;
    dp_writer_init(&w, p, cap);
    uint32_t n = 0;
    for (struct dp_span line; (line = next_line(&section)).n > 0;) {
        const struct dp_span name = dp_span_cut(&line, ':');
        if (++n > max)
            return DP_EHEADSIZE;
        if (may_trail(h, name))
            dp_write_header(&w, name, dp_span_trim(line));
    }
    dp_arena_trim(arena, p, cap, w.n);
    h->trailers = (struct dp_span){w.p, w.n};
    return DP_OK;
}

void dp_write_trailer_names(struct dp_writer *w, const struct dp_head *h)
{
    struct dp_span before = DP_SPAN("Trailer: ");
    if (!dp_head_has(h, DP_HEADER_TRAILER))
        return;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value;
        while (h->headers[i].id == DP_HEADER_TRAILER && rest.p) {
            const struct dp_span name = dp_span_trim(dp_span_cut(&rest, ','));
            if (name.n == 0 || !dp_chars_are(name, DP_CHAR_TOKEN) || !may_trail(h, name))
                continue;
            dp_write_bytes(w, before);
            dp_write_bytes(w, name);
            before = DP_SPAN(", ");
        }
    }
    if (before.n == 2)
        dp_write_bytes(w, DP_SPAN("\r\n"));
}
