/* Any bytes as a stream of messages, heads and bodies one after another: read whole and in pieces they must
 * give the same messages.
 *
 * Input: one byte of options, one byte that seeds the cuts, then the stream. */
#include "davenport/http/reader.h"

#include "fuzz.h"

#include <stdlib.h>

#define SPANS_MAX 3

struct options {
    enum dp_reader_side side;
    enum dp_method request;
    struct dp_reader_limits limits;
    size_t max_spans;
};

/* What the stream gave, as text, and why it ended. */
struct outcome {
    struct fuzz_text text;
    enum dp_read read;
    enum dp_err err;
    size_t at;
};

/* One call with a piece in memory of its own. Returns what was consumed. */
static size_t feed(struct dp_reader *r, const struct options *opt, bool in_body, const char *p,
                   size_t n, struct outcome *o)
{
    char *piece = fuzz_copy(p, n);
    size_t consumed = 0;
    size_t n_spans = 0;
    struct dp_span spans[SPANS_MAX];
    if (in_body)
        o->read = dp_reader_body(r, piece, n, &consumed, spans, opt->max_spans, &n_spans);
    else
        o->read = dp_reader_head(r, piece, n, &consumed);
    fuzz_check(consumed <= n, "no more is consumed than was given");
    fuzz_check(n_spans <= opt->max_spans, "no more spans than asked for");
    fuzz_check(o->read != DP_READ_MORE || consumed == n || n_spans == opt->max_spans,
               "all is consumed unless the span list is full");
    for (size_t i = 0; i < n_spans; i++) {
        fuzz_check(spans[i].p >= piece && spans[i].p + spans[i].n <= piece + consumed,
                   "spans lie within");
        fuzz_add(&o->text, spans[i].p, spans[i].n);
    }
    free(piece);
    return consumed;
}

static struct outcome run(const struct options *opt, const char *p, size_t n, uint32_t seed)
{
    struct outcome o = {.read = DP_READ_MORE};
    struct dp_reader *r = dp_reader_new(opt->side, &opt->limits);
    fuzz_check(r != NULL, "memory");
    struct dp_arena arena;
    struct dp_head head;
    bool in_body = false;
    dp_arena_init(&arena, NULL);
    dp_reader_begin(r, &arena, &head, opt->request);
    while (o.at < n && o.read != DP_READ_FAILED) {
        o.at +=
            feed(r, opt, in_body, p + o.at, seed != 0 ? fuzz_piece(&seed, n - o.at) : n - o.at, &o);
        if (o.read == DP_READ_DONE && !in_body) {
            in_body = true;
            fuzz_add_head(&o.text, &head);
            (void)feed(r, opt, in_body, NULL, 0, &o);
        }
        if (o.read == DP_READ_DONE) {
            fuzz_add_span(&o.text, head.trailers);
            in_body = false;
            dp_arena_reset(&arena);
            dp_reader_begin(r, &arena, &head, opt->request);
        }
    }
    if (o.read != DP_READ_FAILED)
        o.read = dp_reader_eof(r);
    o.err = dp_reader_error(r);
    fuzz_check((o.err != DP_OK) == (o.read == DP_READ_FAILED), "an error exactly when it failed");
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
    char *input = fuzz_copy(data + 2, size - 2);
    struct outcome whole = run(&opt, input, size - 2, 0);
    struct outcome cut = run(&opt, input, size - 2, 1u + data[1]);
    fuzz_check(whole.read == cut.read && whole.err == cut.err, "the same end however it is cut");
    fuzz_check(fuzz_same(&whole.text, &cut.text), "the same messages, and as much of the last one");
    fuzz_free(&whole.text);
    fuzz_free(&cut.text);
    free(input);
    return 0;
}
