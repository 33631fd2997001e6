/* One head, of a request or of an answer (FUZZ_SIDE): read whole and in pieces it must give the same, and what
 * is accepted must be one unambiguous head in the eyes of the oracle as well.
 *
 * Input: one byte of options, one byte that seeds the cuts, then the head. */
#include "davenport/http/reader.h"

#include "fuzz.h"
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

struct outcome {
    struct fuzz_text text;
    enum dp_read read;
    enum dp_err err;
    size_t at; /* where the head ended */
};

static bool same_span(struct dp_span a, struct dp_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* What we accepted, read by somebody else: the same fields, the same end of the message. */
static void check_against_oracle(const struct dp_head *h)
{
    static struct oracle_head o;
    const char *why = FUZZ_SIDE == DP_READ_REQUESTS ? oracle_request(&o, h->raw.p, h->raw.n)
                                                    : oracle_response(&o, h->raw.p, h->raw.n);
    fuzz_check(why == NULL, why ? why : "");
    fuzz_check(o.n_fields == h->n_headers, "as many fields");
    for (uint32_t i = 0; i < h->n_headers; i++) {
        fuzz_check(same_span(o.fields[i].name, h->headers[i].name), "the same name");
        fuzz_check(same_span(o.fields[i].value, h->headers[i].value), "the same value");
    }
    fuzz_check(o.has_length == h->has_content_length, "a length where there is one");
    fuzz_check(!o.has_length || o.length == h->content_length, "the same length");
    fuzz_check(h->framing != DP_FRAMING_CHUNKED || o.chunked, "chunked where it says so");
    fuzz_check(h->framing != DP_FRAMING_LENGTH || o.has_length, "by length where it says so");
    fuzz_check(h->framing != DP_FRAMING_CLOSE || !(o.chunked || o.has_length), "else by closing");
    if (FUZZ_SIDE == DP_READ_REQUESTS) {
        fuzz_check(same_span(o.first, h->method_text), "the same method");
        fuzz_check(!o.chunked || h->framing == DP_FRAMING_CHUNKED, "no body is overlooked");
        fuzz_check(!o.has_length || h->framing == DP_FRAMING_LENGTH, "no length is overlooked");
    }
}

static struct outcome run(const struct dp_reader_limits *limits, enum dp_method request,
                          const char *p, size_t n, uint32_t seed)
{
    struct outcome o = {.read = DP_READ_MORE};
    struct dp_arena arena;
    struct dp_head head;
    struct dp_reader *r = dp_reader_new(FUZZ_SIDE, limits);
    fuzz_check(r != NULL, "memory");
    dp_arena_init(&arena, NULL);
    dp_reader_begin(r, &arena, &head, request);
    while (o.at < n && o.read == DP_READ_MORE) {
        const size_t take = seed != 0 ? fuzz_piece(&seed, n - o.at) : n;
        char *piece = fuzz_copy(p + o.at, take);
        size_t used = 0;
        o.read = dp_reader_head(r, piece, take, &used);
        free(piece);
        fuzz_check(used <= take && (o.read != DP_READ_MORE || used == take), "all is consumed");
        o.at += used;
    }
    o.err = dp_reader_error(r);
    fuzz_check((o.err != DP_OK) == (o.read == DP_READ_FAILED), "an error exactly when it failed");
    if (o.read == DP_READ_DONE) {
        fuzz_check(head.raw.n <= limits->head_bytes && head.n_headers <= limits->headers &&
                       head.raw.n <= o.at,
                   "within the limits");
        fuzz_add_head(&o.text, &head);
        check_against_oracle(&head);
    } else {
        o.at = 0;
    }
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dp_reader_limits limits[] = {{32768, 8192, 128}, {120, 40, 5}};
    if (size < 2)
        return 0;
    const enum dp_method request = (data[0] & 2) != 0 ? DP_METHOD_HEAD : DP_METHOD_GET;
    const struct dp_reader_limits *l = &limits[(data[0] & 4) / 4];
    const char *p = (const char *)data + 2;
    struct outcome whole = run(l, request, p, size - 2, 0);
    struct outcome cut = run(l, request, p, size - 2, 1U + data[1]);
    fuzz_check(whole.read == cut.read && whole.err == cut.err, "the same end however it is cut");
    fuzz_check(whole.at == cut.at, "which is at the same byte");
    fuzz_check(fuzz_same(&whole.text, &cut.text), "the same head");
    fuzz_free(&whole.text);
    fuzz_free(&cut.text);
    return 0;
}
