/* See cookie.h. */
#include "davenport/http/cookie.h"

bool dp_cookie_next(struct dp_span *rest, struct dp_span *name, struct dp_span *value)
{
    while (rest->p) {
        struct dp_span pair = dp_span_trim(dp_span_cut(rest, ';'));
        if (pair.n == 0)
            continue;
        *name = dp_span_trim(dp_span_cut(&pair, '='));
        *value = pair.p ? dp_span_trim(pair) : (struct dp_span){NULL, 0};
        return true;
    }
    return false;
}

bool dp_cookie_find(const struct dp_head *h, struct dp_span name, struct dp_span *value)
{
    if (!dp_head_has(h, DP_HEADER_COOKIE))
        return false;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value, n, v;
        while (h->headers[i].id == DP_HEADER_COOKIE && dp_cookie_next(&rest, &n, &v)) {
            if (v.p && dp_span_eq(n, name)) {
                *value = v;
                return true;
            }
        }
    }
    return false;
}

static void write_pair(struct dp_writer *w, struct dp_span name, struct dp_span value)
{
    dp_write_bytes(w, name);
    if (value.p) {
        dp_write_bytes(w, DP_SPAN("="));
        dp_write_bytes(w, value);
    }
}

void dp_write_cookies_without(struct dp_writer *w, const struct dp_head *h, struct dp_span name)
{
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value, n, v;
        bool begun = false;
        while (h->headers[i].id == DP_HEADER_COOKIE && dp_cookie_next(&rest, &n, &v)) {
            if (dp_span_eq(n, name))
                continue;
            dp_write_bytes(w, begun ? DP_SPAN("; ") : DP_SPAN("Cookie: "));
            write_pair(w, n, v);
            begun = true;
        }
        if (begun)
            dp_write_bytes(w, DP_SPAN("\r\n"));
    }
}

/* Attributes that are left out: what they mean depends on whom the client asked, and how. */
static bool is_lost(struct dp_span name, struct dp_span value, bool secure)
{
    return dp_span_ieq(name, DP_SPAN("Domain")) || dp_span_ieq(name, DP_SPAN("Secure")) ||
           (!secure && dp_span_ieq(name, DP_SPAN("SameSite")) && value.p &&
            dp_span_ieq(value, DP_SPAN("None")));
}

void dp_write_set_cookies(struct dp_writer *w, const struct dp_head *h, bool secure)
{
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value, n, v;
        if (h->headers[i].id != DP_HEADER_SET_COOKIE)
            continue;
        dp_write_bytes(w, DP_SPAN("Set-Cookie: "));
        for (bool first = true; dp_cookie_next(&rest, &n, &v); first = false) {
            if (!first && is_lost(n, v, secure))
                continue;
            if (!first)
                dp_write_bytes(w, DP_SPAN("; "));
            write_pair(w, n, v);
        }
        dp_write_bytes(w, secure ? DP_SPAN("; Secure\r\n") : DP_SPAN("\r\n"));
    }
}
