/* Body framing: the same bytes are the same body however they come, and a chunked one is what the oracle says
 * it is.
 *
 * Input: a byte of options (bits 0-1: chunked, by length, by closing; 2: of an answer; 3-4: room for spans),
 * a byte that seeds the cuts, a byte of length, then the body. */
#include "davenport/http/reader.h"

#include "fuzz.h"
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

#define SPANS_MAX   4
#define HEADERS_MAX 128

struct outcome {
    struct fuzz_text body;
    enum dp_read read;
    enum dp_err err;
    size_t at; /* consumed */
};

/* A reader that has read a head and waits for the body. */
static struct dp_reader *begun(struct dp_arena *arena, struct dp_head *head, const char *text,
                               size_t n, enum dp_reader_side side)
{
    static const struct dp_reader_limits limits = {32768, 8192, HEADERS_MAX};
    struct dp_reader *r = dp_reader_new(side, &limits);
    size_t used = 0;
    fuzz_check(r != NULL, "memory");
    dp_arena_init(arena, NULL);
    dp_reader_begin(r, arena, head, DP_METHOD_GET);
    fuzz_check(dp_reader_head(r, text, n, &used) == DP_READ_DONE && used == n, "our own head");
    return r;
}

static void feed(struct dp_reader *r, size_t max_spans, const char *p, size_t n, struct outcome *o)
{
    struct dp_span spans[SPANS_MAX];
    size_t used = 0, k = 0;
    char *piece = fuzz_copy(p, n);
    o->read = dp_reader_body(r, piece, n, &used, spans, max_spans, &k);
    fuzz_check(used <= n && k <= max_spans, "no more than was given");
    fuzz_check(o->read != DP_READ_MORE || used == n || k == max_spans,
               "all that there is room for");
    for (size_t i = 0; i < k; i++) {
        fuzz_check(spans[i].n > 0 && spans[i].p >= piece && spans[i].p + spans[i].n <= piece + used,
                   "spans lie within");
        fuzz_add(&o->body, spans[i].p, spans[i].n);
    }
    free(piece);
    o->at += used;
}

static struct outcome run(const char *head_text, size_t head_n, enum dp_reader_side side,
                          size_t max_spans, const char *p, size_t n, uint32_t seed)
{
    struct outcome o = {.read = DP_READ_MORE};
    struct dp_arena arena;
    struct dp_head head;
    struct dp_reader *r = begun(&arena, &head, head_text, head_n, side);
    feed(r, max_spans, NULL, 0, &o);
    while (o.at < n && o.read == DP_READ_MORE)
        feed(r, max_spans, p + o.at, seed != 0 ? fuzz_piece(&seed, n - o.at) : n - o.at, &o);
    o.err = dp_reader_error(r);
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    return o;
}

static void check_chunked(const struct outcome *o, const char *p, size_t n)
{
    size_t used = 0, decoded = 0;
    const int verdict = oracle_chunked(p, n, &used, &decoded);
    switch (o->read) {
    case DP_READ_DONE:
        fuzz_check(verdict == 1 && used == o->at, "the oracle sees the same end");
        fuzz_check(decoded == o->body.n, "and as many bytes");
        return;
    case DP_READ_MORE:
        fuzz_check(verdict == 0 && decoded == o->body.n, "the oracle waits for more, too");
        return;
    case DP_READ_FAILED:
        /* the oracle knows no limits: so many trailers take four bytes each */
        fuzz_check(verdict != 1 || (o->err == DP_EHEADSIZE && n > HEADERS_MAX * 4),
                   "the oracle does not like it either");
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const framings[] = {"Transfer-Encoding: chunked\r\n",
                                           "Content-Length: %u\r\n", "",
                                           "Transfer-Encoding: chunked\r\n"};
    if (size < 3)
        return 0;
    const unsigned framing = data[0] & 3;
    const bool answer = (data[0] & 4) != 0;
    const size_t max_spans = 1 + (data[0] >> 3 & 3);
    const char *const p = (const char *)data + 3;
    const size_t n = size - 3;
    char fields[64], head[128];
    if (framing == 1)
        (void)snprintf(fields, sizeof(fields), "Content-Length: %u\r\n", data[2]);
    else
        (void)snprintf(fields, sizeof(fields), "%s", framings[framing]);
    const int head_n =
        snprintf(head, sizeof(head), "%s%s\r\n",
                 answer ? "HTTP/1.1 200 OK\r\n" : "PUT / HTTP/1.1\r\nHost: a\r\n", fields);
    const enum dp_reader_side side = answer ? DP_READ_RESPONSES : DP_READ_REQUESTS;
    struct outcome whole = run(head, (size_t)head_n, side, SPANS_MAX, p, n, 0);
    struct outcome cut = run(head, (size_t)head_n, side, max_spans, p, n, 1U + data[1]);
    fuzz_check(whole.read == cut.read && whole.err == cut.err, "the same end however it is cut");
    fuzz_check(whole.at == cut.at, "which is at the same byte");
    fuzz_check(fuzz_same(&whole.body, &cut.body), "the same body");
    if (framing == 0 || framing == 3)
        check_chunked(&whole, p, n);
    fuzz_free(&whole.body);
    fuzz_free(&cut.body);
    return 0;
}
