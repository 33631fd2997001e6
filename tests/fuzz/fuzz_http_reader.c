/* Any bytes as a stream of messages: read whole and in pieces they must give the same messages, and
 * a request that is accepted must still be accepted, as the same request, when we have written it
 * again.
 *
 * Input: one byte of options, one byte that seeds the cuts, then the stream. */
#include "davenport/http/reader.h"
#include "davenport/http/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPANS_MAX 3

struct options {
    enum dp_reader_side side;
    enum dp_method request;
    struct dp_reader_limits limits;
    size_t max_spans;
};

/* What the stream gave, as text, and why it ended. */
struct outcome {
    char *p;
    size_t n, cap;
    enum dp_read read;
    enum dp_err err;
    size_t at;
};

static void check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

static void note(struct outcome *o, const void *p, size_t n)
{
    if (o->cap - o->n < n) {
        o->cap = 2 * (o->n + n);
        o->p = realloc(o->p, o->cap);
        check(o->p != NULL, "memory");
    }
    if (n > 0)
        memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void note_span(struct outcome *o, struct dp_span s)
{
    note(o, &s.n, sizeof(s.n));
    note(o, s.p, s.n);
}

static void note_head(struct outcome *o, const struct dp_head *h)
{
    note(o, &h->method, sizeof(h->method));
    note(o, &h->status, sizeof(h->status));
    note(o, &h->minor, sizeof(h->minor));
    note(o, &h->framing, sizeof(h->framing));
    note(o, &h->content_length, sizeof(h->content_length));
    note(o, h->keep_alive ? "k" : "c", 1);
    note(o, h->expect_continue ? "e" : "-", 1);
    note_span(o, h->method_text);
    note_span(o, h->target);
    note_span(o, h->authority);
    note_span(o, h->reason);
    note_span(o, h->raw);
    for (uint32_t i = 0; i < h->n_headers; i++) {
        note_span(o, h->headers[i].name);
        note_span(o, h->headers[i].value);
        note(o, h->headers[i].named_by_connection ? "n" : "-", 1);
    }
}

/* The request as a proxy would send it on. */
static size_t write_again(const struct dp_head *h, char *buf, size_t cap)
{
    struct dp_writer w;
    dp_writer_init(&w, buf, cap);
    dp_write_request_line(&w, h->method_text, h->target);
    dp_write_header(&w, DP_SPAN("Host"), h->authority.n > 0 ? h->authority : DP_SPAN("none"));
    if (h->framing == DP_FRAMING_CHUNKED)
        dp_write_header(&w, DP_SPAN("Transfer-Encoding"), DP_SPAN("chunked"));
    if (h->framing == DP_FRAMING_LENGTH) {
        dp_write_bytes(&w, DP_SPAN("Content-Length: "));
        dp_write_u64(&w, h->content_length);
        dp_write_bytes(&w, DP_SPAN("\r\n"));
    }
    dp_write_end_to_end(&w, h, 0);
    dp_write_bytes(&w, DP_SPAN("\r\n"));
    check(!w.overflow, "there is room to write a head again");
    return w.n;
}

static void check_round_trip(const struct dp_head *h)
{
    const size_t cap = 2 * h->raw.n + 4096;
    const struct dp_reader_limits limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    char *buf = malloc(cap);
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
    check(buf && r, "memory");
    const size_t n = write_again(h, buf, cap);
    struct dp_arena arena;
    struct dp_head again;
    size_t consumed = 0;
    dp_arena_init(&arena, NULL);
    dp_reader_begin(r, &arena, &again, DP_METHOD_OTHER);
    check(dp_reader_head(r, buf, n, &consumed) == DP_READ_DONE, "a head written again is accepted");
    check(consumed == n, "and ends where we ended it");
    check(dp_span_eq(again.method_text, h->method_text), "same method");
    check(dp_span_eq(again.target, h->target), "same target");
    check(again.framing == h->framing && again.content_length == h->content_length, "same framing");
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    free(buf);
}

static size_t next_size(uint32_t *seed, size_t left)
{
    if (*seed == 0)
        return left;
    *seed = *seed * 1664525u + 1013904223u;
    const size_t n = 1 + (*seed >> 24) % ((*seed >> 20 & 1) != 0 ? 3 : 40);
    return n < left ? n : left;
}

/* One call with a piece in memory of its own. Returns what was consumed. */
static size_t feed(struct dp_reader *r, const struct options *opt, bool in_body, const char *p,
                   size_t n, struct outcome *o)
{
    char *piece = malloc(n > 0 ? n : 1);
    check(piece != NULL, "memory");
    if (n > 0)
        memcpy(piece, p, n);
    size_t consumed = 0;
    size_t n_spans = 0;
    struct dp_span spans[SPANS_MAX];
    if (in_body)
        o->read = dp_reader_body(r, piece, n, &consumed, spans, opt->max_spans, &n_spans);
    else
        o->read = dp_reader_head(r, piece, n, &consumed);
    check(consumed <= n, "no more is consumed than was given");
    check(n_spans <= opt->max_spans, "no more spans than asked for");
    check(o->read != DP_READ_MORE || consumed == n || n_spans == opt->max_spans,
          "all is consumed unless the span list is full");
    for (size_t i = 0; i < n_spans; i++) {
        check(spans[i].p >= piece && spans[i].p + spans[i].n <= piece + consumed,
              "spans lie within");
        note(o, spans[i].p, spans[i].n);
    }
    free(piece);
    return consumed;
}

static struct outcome run(const struct options *opt, const char *p, size_t n, uint32_t seed)
{
    struct outcome o = {.read = DP_READ_MORE};
    struct dp_reader *r = dp_reader_new(opt->side, &opt->limits);
    check(r != NULL, "memory");
    struct dp_arena arena;
    struct dp_head head;
    bool in_body = false;
    dp_arena_init(&arena, NULL);
    dp_reader_begin(r, &arena, &head, opt->request);
    while (o.at < n && o.read != DP_READ_FAILED) {
        o.at += feed(r, opt, in_body, p + o.at, next_size(&seed, n - o.at), &o);
        if (o.read == DP_READ_DONE && !in_body) {
            in_body = true;
            note_head(&o, &head);
            if (opt->side == DP_READ_REQUESTS)
                check_round_trip(&head);
            (void)feed(r, opt, in_body, NULL, 0, &o);
        }
        if (o.read == DP_READ_DONE) {
            note_span(&o, head.trailers);
            in_body = false;
            dp_arena_reset(&arena);
            dp_reader_begin(r, &arena, &head, opt->request);
        }
    }
    if (o.read != DP_READ_FAILED)
        o.read = dp_reader_eof(r);
    o.err = dp_reader_error(r);
    check((o.err != DP_OK) == (o.read == DP_READ_FAILED), "an error exactly when it failed");
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const uint8_t bits = data[0];
    const struct options opt = {
        .side = (bits & 1) != 0 ? DP_READ_RESPONSES : DP_READ_REQUESTS,
        .request = (bits & 2) != 0 ? DP_METHOD_HEAD : DP_METHOD_GET,
        .limits = (bits & 4) != 0 ? (struct dp_reader_limits){120, 40, 5}
                                  : (struct dp_reader_limits){32768, 8192, 128},
        .max_spans = 1 + (bits >> 3) % SPANS_MAX,
    };
    char *input = malloc(size);
    check(input != NULL, "memory");
    memcpy(input, data + 2, size - 2);
    struct outcome whole = run(&opt, input, size - 2, 0);
    struct outcome cut = run(&opt, input, size - 2, 1u + data[1]);
    check(whole.read == cut.read && whole.err == cut.err, "the same end however it is cut");
    check(whole.n == cut.n && (whole.n == 0 || memcmp(whole.p, cut.p, whole.n) == 0),
          "the same messages, and as much of the last one");
    free(whole.p);
    free(cut.p);
    free(input);
    return 0;
}
