/* Run a message through a reader in every way it can be cut, and tell what came out as text.
 *
 * Each piece lives in memory of its own size that is freed right after the call, so that a
 * sanitizer sees any byte read too far and any span that still points into the input. */
#ifndef DAVENPORT_TESTS_HTTP_RUN_H
#define DAVENPORT_TESTS_HTTP_RUN_H

#include "davenport/http/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RUN_SPANS_MAX 16

struct setup {
    enum dp_reader_side side;
    enum dp_method request;
    struct dp_reader_limits limits;
    size_t max_spans;
};

#define DEFAULT_LIMITS  ((struct dp_reader_limits){32768, 8192, 128})
#define REQUESTS        ((struct setup){DP_READ_REQUESTS, DP_METHOD_OTHER, DEFAULT_LIMITS, RUN_SPANS_MAX})
#define RESPONSES_TO(m) ((struct setup){DP_READ_RESPONSES, (m), DEFAULT_LIMITS, RUN_SPANS_MAX})

struct text {
    char *p;
    size_t n, cap;
};

static inline void text_add(struct text *t, const void *p, size_t n)
{
    if (t->n + n + 1 > t->cap) {
        t->cap = 2 * (t->n + n + 1);
        t->p = realloc(t->p, t->cap);
        assert_non_null(t->p);
    }
    if (n > 0)
        memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = '\0';
}

static inline void text_add_str(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

/* What came out. summary: "GET /x host 1.1 keep length:5 expect"; fields: "name: value\n" each,
 * with "~" before those that Connection names. */
struct result {
    enum dp_read read; /* of the last call; after the input's end, of dp_reader_eof() */
    enum dp_err err;
    size_t consumed;
    struct text summary, fields, body, trailers;
};

static inline void result_fini(struct result *r)
{
    free(r->summary.p);
    free(r->fields.p);
    free(r->body.p);
    free(r->trailers.p);
}

static inline void describe_head(const struct setup *setup, const struct dp_head *h,
                                 struct result *out)
{
    static const char *const framings[] = {"none", "length", "chunked", "close"};
    char number[64];
    if (setup->side == DP_READ_REQUESTS) {
        text_add(&out->summary, h->method_text.p, h->method_text.n);
        text_add_str(&out->summary, " ");
        text_add(&out->summary, h->target.p, h->target.n);
        text_add_str(&out->summary, " ");
        text_add(&out->summary, h->authority.p, h->authority.n);
    } else {
        (void)snprintf(number, sizeof(number), "%u ", h->status);
        text_add_str(&out->summary, number);
        text_add(&out->summary, h->reason.p, h->reason.n);
    }
    (void)snprintf(number, sizeof(number), " 1.%u %s %s", h->minor,
                   h->keep_alive ? "keep" : "close", framings[h->framing]);
    text_add_str(&out->summary, number);
    if (h->has_content_length) {
        (void)snprintf(number, sizeof(number), ":%llu", (unsigned long long)h->content_length);
        text_add_str(&out->summary, number);
    }
    if (h->expect_continue)
        text_add_str(&out->summary, " expect");
    for (uint32_t i = 0; i < h->n_headers; i++) {
        const struct dp_header *f = &h->headers[i];
        text_add_str(&out->fields, f->named_by_connection ? "~" : "");
        text_add(&out->fields, f->name.p, f->name.n);
        text_add_str(&out->fields, ": ");
        text_add(&out->fields, f->value.p, f->value.n);
        text_add_str(&out->fields, "\n");
        assert_int_equal(f->id, dp_header_lookup(f->name));
    }
}

/* One call with a piece of its own. Returns what was consumed of it. */
static inline size_t feed(struct dp_reader *r, const struct setup *setup, bool in_body,
                          const char *p, size_t n, struct result *out)
{
    char *piece = malloc(n > 0 ? n : 1);
    assert_non_null(piece);
    if (n > 0)
        memcpy(piece, p, n);
    size_t consumed = 0;
    size_t n_spans = 0;
    if (in_body) {
        struct dp_span spans[RUN_SPANS_MAX];
        out->read = dp_reader_body(r, piece, n, &consumed, spans, setup->max_spans, &n_spans);
        assert_in_range(n_spans, 0, setup->max_spans);
        for (size_t i = 0; i < n_spans; i++) {
            assert_true(spans[i].n > 0);
            assert_true(spans[i].p >= piece && spans[i].p + spans[i].n <= piece + consumed);
            text_add(&out->body, spans[i].p, spans[i].n);
        }
        if (out->read == DP_READ_MORE && consumed < n)
            assert_int_equal(n_spans, setup->max_spans);
    } else {
        out->read = dp_reader_head(r, piece, n, &consumed);
        if (out->read == DP_READ_MORE)
            assert_int_equal(consumed, n);
    }
    assert_in_range(consumed, 0, n);
    if (out->read == DP_READ_FAILED && !in_body)
        assert_int_equal(consumed, 0);
    free(piece);
    return consumed;
}

/* A reader that failed stays failed, for the same reason, whatever it is called with. */
static inline void check_stays_failed(struct dp_reader *r, struct dp_arena *arena,
                                      struct dp_head *head)
{
    const enum dp_err err = dp_reader_error(r);
    const char good[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct dp_span spans[1];
    size_t consumed = 1;
    size_t n_spans = 1;
    dp_reader_begin(r, arena, head, DP_METHOD_GET);
    assert_int_equal(dp_reader_head(r, good, sizeof(good) - 1, &consumed), DP_READ_FAILED);
    assert_int_equal(consumed, 0);
    assert_int_equal(dp_reader_body(r, good, 1, &consumed, spans, 1, &n_spans), DP_READ_FAILED);
    assert_int_equal(n_spans, 0);
    assert_int_equal(dp_reader_eof(r), DP_READ_FAILED);
    assert_int_equal(dp_reader_error(r), err);
    assert_false(dp_reader_in_head(r));
}

/* One message, in pieces of `first` bytes and then of `step` bytes (0: all the rest), and the peer
 * closes. */
static inline struct result run_cut(const struct setup *setup, struct dp_span input, size_t first,
                                    size_t step)
{
    struct result out = {.read = DP_READ_MORE};
    struct dp_reader *r = dp_reader_new(setup->side, &setup->limits);
    assert_non_null(r);
    struct dp_arena arena;
    dp_arena_init(&arena, NULL);
    struct dp_head head;
    memset(&head, 0xa5, sizeof(head));
    dp_reader_begin(r, &arena, &head, setup->request);
    text_add_str(&out.summary, "");
    text_add_str(&out.fields, "");
    text_add_str(&out.body, "");
    text_add_str(&out.trailers, "");

    bool in_body = false;
    size_t at = 0;
    size_t piece_end = first < input.n ? first : input.n;
    while (out.read == DP_READ_MORE && at < input.n) {
        at += feed(r, setup, in_body, input.p + at, piece_end - at, &out);
        if (out.read == DP_READ_DONE && !in_body) {
            describe_head(setup, &head, &out);
            in_body = true;
            assert_int_equal(feed(r, setup, in_body, NULL, 0, &out), 0);
        }
        if (out.read == DP_READ_DONE)
            text_add(&out.trailers, head.trailers.p, head.trailers.n);
        if (at == piece_end)
            piece_end = step > 0 && step < input.n - at ? at + step : input.n;
    }
    out.consumed = at;
    if (out.read == DP_READ_MORE)
        out.read = dp_reader_eof(r);
    out.err = dp_reader_error(r);
    if (out.read == DP_READ_FAILED)
        check_stays_failed(r, &arena, &head);
    else
        assert_int_equal(out.err, DP_OK);
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    return out;
}

/* The input on one line, for messages about failures. */
static inline const char *escaped(struct dp_span s)
{
    static char text[600];
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 8 < sizeof(text); i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f)
            text[n++] = (char)c;
        else
            n += (size_t)snprintf(text + n, sizeof(text) - n,
                                  c == '\r'   ? "\\r"
                                  : c == '\n' ? "\\n"
                                              : "\\x%02x",
                                  c);
    }
    text[n] = '\0';
    return text;
}

/* What was told before a failure counts too. Where a head failed is not told. */
static inline bool same_result(const struct result *a, const struct result *b)
{
    return a->read == b->read && a->err == b->err &&
           (a->read == DP_READ_FAILED || a->consumed == b->consumed) &&
           strcmp(a->summary.p, b->summary.p) == 0 && strcmp(a->fields.p, b->fields.p) == 0 &&
           strcmp(a->trailers.p, b->trailers.p) == 0 && a->body.n == b->body.n &&
           memcmp(a->body.p, b->body.p, a->body.n) == 0;
}

/* The result of the whole input at once, after making sure that every way to cut it gives the same.
 */
static inline struct result run(const struct setup *setup, struct dp_span input)
{
    struct result whole = run_cut(setup, input, input.n, 0);
    for (size_t first = 1; first <= input.n; first++) {
        /* Two pieces, cut everywhere; byte by byte; in threes from every offset's remainder. */
        const size_t steps[] = {0, 1, 3};
        for (size_t i = 0; i < 3; i++) {
            if (i > 0 && first > i)
                continue;
            struct result cut = run_cut(setup, input, first, steps[i]);
            if (!same_result(&whole, &cut)) {
                fail_msg("cut at %zu, then %zu: %s\n whole: read %d %s, consumed %zu, %s\n cut:   "
                         "read %d "
                         "%s, consumed %zu, %s",
                         first, steps[i], escaped(input), whole.read, dp_err_info(whole.err)->code,
                         whole.consumed, whole.summary.p, cut.read, dp_err_info(cut.err)->code,
                         cut.consumed, cut.summary.p);
            }
            result_fini(&cut);
        }
    }
    return whole;
}

/* A row of a table: what one input gives. `rest`: bytes at the end that belong to what comes next.
 */
struct http_case {
    struct dp_span input;
    enum dp_err err;
    const char *summary; /* when err is OK */
    const char *body;
    size_t rest;
};

#define BAD(text, error)                                                                           \
    {                                                                                              \
        .input = {(text), sizeof(text) - 1}, .err = (error)                                        \
    }
#define GOOD(text, what)                                                                           \
    {                                                                                              \
        .input = {(text), sizeof(text) - 1}, .summary = (what), .body = ""                         \
    }
#define WITH_BODY(text, what, bytes)                                                               \
    {                                                                                              \
        .input = {(text), sizeof(text) - 1}, .summary = (what), .body = (bytes)                    \
    }
#define THEN(text, more, what, bytes)                                                              \
    {                                                                                              \
        .input = {text more, sizeof(text more) - 1}, .summary = (what), .body = (bytes),           \
        .rest = sizeof(more) - 1                                                                   \
    }

static inline void check_case(const struct setup *setup, const struct http_case *c)
{
    struct result got = run(setup, c->input);
    if (got.err != c->err) {
        fail_msg("%s: expected %s, got %s %s", escaped(c->input), dp_err_info(c->err)->code,
                 dp_err_info(got.err)->code, got.summary.p);
    }
    if (c->err != DP_OK) {
        assert_int_equal(got.read, DP_READ_FAILED);
    } else {
        if (got.read != DP_READ_DONE || strcmp(got.summary.p, c->summary) != 0 ||
            strcmp(got.body.p, c->body) != 0 || got.consumed != c->input.n - c->rest) {
            fail_msg(
                "%s:\n expected %s, body %s, %zu left\n got      %s, body %s, %zu left, read %d",
                escaped(c->input), c->summary, c->body, c->rest, got.summary.p, got.body.p,
                c->input.n - got.consumed, got.read);
        }
    }
    result_fini(&got);
}

static inline void check_cases(const struct setup *setup, const struct http_case *cases, size_t n)
{
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        check_case(setup, &cases[i]);
}

#define CHECK_CASES(setup, cases) check_cases(&(setup), (cases), sizeof(cases) / sizeof((cases)[0]))

/* Does "before" + one byte + "after" make a message that is read to its end? */
static inline bool accepts_byte(const struct setup *setup, struct dp_span before, char c,
                                struct dp_span after)
{
    struct text t = {0};
    text_add(&t, before.p, before.n);
    text_add(&t, &c, 1);
    text_add(&t, after.p, after.n);
    struct result got = run(setup, (struct dp_span){t.p, t.n});
    const bool ok = got.read == DP_READ_DONE && got.consumed == t.n;
    result_fini(&got);
    free(t.p);
    return ok;
}

#endif
