/* Cookies: what is left out is gone, what is not is all there in its order, and what is written reads as it was meant.
 *
 * Input: a byte of choices, then fields' values, a line each: some of Cookie, some of Set-Cookie. */
#include "davenport/http/cookie.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS 16
#define NAME   "AuthSession"

static struct dp_header fields[FIELDS];

static struct dp_head head_of(char *text, size_t n, enum dp_header_id id)
{
    struct dp_span rest = {text, n};
    struct dp_head h = {.headers = fields};
    while (rest.p && h.n_headers < FIELDS) {
        fields[h.n_headers] =
            (struct dp_header){.value = dp_span_trim(dp_span_cut(&rest, '\n')), .id = id};
        h.n_headers++;
        h.present = DP_HEADER_BIT(id);
    }
    return h;
}

/* The pairs of all fields, those of `without` left out, a line each. */
static struct fuzz_text pairs(const struct dp_head *h, const char *without)
{
    struct fuzz_text out = {0};
    for (uint32_t i = 0; i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value, name, value;
        while (dp_cookie_next(&rest, &name, &value)) {
            if (without && dp_span_eq(name, dp_span_str(without)))
                continue;
            fuzz_add(&out, name.p, name.n);
            if (value.p)
                fuzz_add(&out, "=", 1);
            fuzz_add(&out, value.p, value.n);
            fuzz_add(&out, "\n", 1);
        }
    }
    return out;
}

/* What was written, as fields again: each line is one, "Cookie: " and the line's end cut off. */
static struct dp_head again(char *text, size_t n, const char *prefix, enum dp_header_id id)
{
    struct dp_head h = {.headers = fields};
    const size_t before = strlen(prefix);
    while (n > 0) {
        char *end = memmem(text, n, "\r\n", 2);
        fuzz_check(end && (size_t)(end - text) >= before && memcmp(text, prefix, before) == 0,
                   "whole fields");
        fuzz_check(h.n_headers < FIELDS, "no more fields than came");
        fields[h.n_headers++] =
            (struct dp_header){.value = {text + before, (size_t)(end - text) - before}, .id = id};
        h.present = DP_HEADER_BIT(id);
        n -= (size_t)(end - text) + 2;
        text = end + 2;
    }
    return h;
}

static void leave_out(char *text, size_t n)
{
    struct dp_head h = head_of(text, n, DP_HEADER_COOKIE);
    struct fuzz_text want = pairs(&h, NAME);
    struct dp_writer w;
    const size_t cap = 2 * n + h.n_headers * sizeof("Cookie: \r\n");
    char *out = malloc(cap ? cap : 1);
    fuzz_check(out != NULL, "memory");
    struct dp_span value;
    if (dp_cookie_find(&h, DP_SPAN(NAME), &value))
        fuzz_check(value.p != NULL, "a value");
    dp_writer_init(&w, out, cap);
    dp_write_cookies_without(&w, &h, DP_SPAN(NAME));
    fuzz_check(!w.overflow, "not much longer than what came");
    h = again(out, w.n, "Cookie: ", DP_HEADER_COOKIE);
    struct fuzz_text got = pairs(&h, NULL);
    fuzz_check(fuzz_same(&want, &got), "the others, in order");
    fuzz_check(!dp_cookie_find(&h, DP_SPAN(NAME), &value), "it is gone");
    fuzz_free(&want);
    fuzz_free(&got);
    free(out);
}

static void set(char *text, size_t n, bool secure)
{
    struct dp_head h = head_of(text, n, DP_HEADER_SET_COOKIE);
    struct dp_writer w;
    const size_t cap = 2 * n + h.n_headers * (sizeof("Set-Cookie: \r\n") + DP_SET_COOKIE_MORE);
    const uint32_t n_fields = h.n_headers;
    char *out = malloc(cap ? cap : 1);
    fuzz_check(out != NULL, "memory");
    dp_writer_init(&w, out, cap);
    dp_write_set_cookies(&w, &h, secure);
    fuzz_check(!w.overflow, "not much longer than what came");
    h = again(out, w.n, "Set-Cookie: ", DP_HEADER_SET_COOKIE);
    fuzz_check(h.n_headers == n_fields, "as many");
    for (uint32_t i = 0; i < h.n_headers; i++) {
        struct dp_span rest = h.headers[i].value, name, value;
        unsigned secures = 0;
        for (unsigned k = 0; dp_cookie_next(&rest, &name, &value); k++) {
            if (k == 0)
                continue;
            fuzz_check(!dp_span_ieq(name, DP_SPAN("Domain")), "no domain");
            secures += dp_span_ieq(name, DP_SPAN("Secure"));
        }
        fuzz_check(secures <= secure, "secure as told");
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    /* a head's values hold neither of these: the reader sees to it */
    char *text = fuzz_copy((const char *)data + 1, size - 1);
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] == '\r' || text[i] == '\0')
            text[i] = ' ';
    }
    if (data[0] & 1)
        leave_out(text, size - 1);
    else
        set(text, size - 1, (data[0] & 2) != 0);
    free(text);
    return 0;
}
