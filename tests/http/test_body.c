/* Bodies, message after message, and what a reader says when the peer closes. */
#include "http_run.h"

#define HEAD(fields) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define LENGTH(n)    HEAD("Content-Length: " n "\r\n")
#define CHUNKED      HEAD("Transfer-Encoding: chunked\r\n")
#define WAS_CHUNKED  "POST / a 1.1 keep chunked"

static void test_exact_ends(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        THEN(HEAD(""), "GET / HTTP/1.1\r\n", "POST / a 1.1 keep none", ""),
        THEN(HEAD(""), "\r\n", "POST / a 1.1 keep none", ""),
        THEN(HEAD(""), "\0\x01\n", "POST / a 1.1 keep none", ""),
        THEN(HEAD("Connection: close\r\n"), "GET ", "POST / a 1.1 close none", ""),
        THEN(LENGTH("0"), "x", "POST / a 1.1 keep length:0", ""),
        THEN(LENGTH("1") "y", "y", "POST / a 1.1 keep length:1", "y"),
        THEN(LENGTH("5") "hello", "GET / HTTP/1.1\r\n\r\n", "POST / a 1.1 keep length:5", "hello"),
        THEN(LENGTH("5") "a\r\n\r\n", "b", "POST / a 1.1 keep length:5", "a\r\n\r\n"),
        THEN(CHUNKED "5\r\nhello\r\n0\r\n\r\n", "GET ", WAS_CHUNKED, "hello"),
        THEN(CHUNKED "0\r\n\r\n", "\r\n", WAS_CHUNKED, ""),
        THEN(CHUNKED "0\r\nX: y\r\n\r\n", "z", WAS_CHUNKED, ""),
    };
    CHECK_CASES(REQUESTS, cases);
}

/* However short the list of spans is. */
static void check_with_short_lists(const struct http_case *cases, size_t n)
{
    const size_t lists[] = {1, 2, RUN_SPANS_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct setup setup = REQUESTS;
        setup.max_spans = lists[i];
        check_cases(&setup, cases, n);
    }
}

static void test_chunked(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        WITH_BODY(CHUNKED "0\r\n\r\n", WAS_CHUNKED, ""),
        WITH_BODY(CHUNKED "000\r\n\r\n", WAS_CHUNKED, ""),
        WITH_BODY(CHUNKED "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", WAS_CHUNKED, "abcdef"),
        WITH_BODY(CHUNKED "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", WAS_CHUNKED,
                  "01234567890123456789"),
        WITH_BODY(CHUNKED "0000000000000005\r\nhello\r\n0\r\n\r\n", WAS_CHUNKED, "hello"),
        WITH_BODY(CHUNKED "5\r\n\r\n\r\n\r\r\n0\r\n\r\n", WAS_CHUNKED, "\r\n\r\n\r"),
        WITH_BODY(CHUNKED "1\r\n0\r\n0\r\n\r\n", WAS_CHUNKED, "0"),
        /* extensions are read over */
        WITH_BODY(CHUNKED "5;\r\nhello\r\n0\r\n\r\n", WAS_CHUNKED, "hello"),
        WITH_BODY(CHUNKED "5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", WAS_CHUNKED, "hello"),
        WITH_BODY(CHUNKED "5; \t\x80;x\r\nhello\r\n0\r\n\r\n", WAS_CHUNKED, "hello"),
        /* trailers are checked: test_trailer.c says what becomes of them */
        WITH_BODY(CHUNKED "1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\nContent-Length: 5\r\n\r\n", WAS_CHUNKED,
                  "a"),
        WITH_BODY(CHUNKED "0\r\nX: \t \x80 \r\n\r\n", WAS_CHUNKED, ""),
    };
    check_with_short_lists(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_chunked_refused(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        /* sizes */
        BAD(CHUNKED "\r\n", DP_EFRAMING),
        BAD(CHUNKED ";x\r\n", DP_EFRAMING),
        BAD(CHUNKED "x\r\n", DP_EFRAMING),
        BAD(CHUNKED "g\r\n", DP_EFRAMING),
        BAD(CHUNKED "0x5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "+5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "-5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED " 5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "\t5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5 \r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5 ;x\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\t\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5 5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5,5\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5.\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5h\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "00000000000000005\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "10000000000000005\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "fffffffffffffffff\r\n", DP_EFRAMING),
        BAD(CHUNKED "\0"
                    "5\r\nhello\r\n",
            DP_EFRAMING),
        /* line ends */
        BAD(CHUNKED "5\nhello\r\n0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\rhello\r\n0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5;x\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5;x\rhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5;x\ry\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5;\x01\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5;\0\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5;\x7f\r\nhello\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\nhello\n0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\nhello\r0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\nhello0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\nhello!\r\n0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\nhell\r\n0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "5\r\nhelloXX0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\n\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\n\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\n\rX", DP_EFRAMING),
        /* trailers */
        BAD(CHUNKED "0\r\nX\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nX : y\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\n: y\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\n X: y\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nX: y\r\n z\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nX: y\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nX: y\rZ: z\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nX: \0\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nX: \x1f\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\n\0: y\r\n\r\n", DP_EFRAMING),
        BAD(CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n", DP_EFRAMING),
        /* cut short */
        BAD(CHUNKED, DP_ETRUNCATED),
        BAD(CHUNKED "5", DP_ETRUNCATED),
        BAD(CHUNKED "5\r\n", DP_ETRUNCATED),
        BAD(CHUNKED "ffffffffffffffff\r\nhello", DP_ETRUNCATED),
        BAD(CHUNKED "5\r\nhello", DP_ETRUNCATED),
        BAD(CHUNKED "5\r\nhello\r\n", DP_ETRUNCATED),
        BAD(CHUNKED "5\r\nhello\r\n0", DP_ETRUNCATED),
        BAD(CHUNKED "5\r\nhello\r\n0\r\n", DP_ETRUNCATED),
        BAD(CHUNKED "5\r\nhello\r\n0\r\n\r", DP_ETRUNCATED),
        BAD(CHUNKED "0\r\nX: y\r\n", DP_ETRUNCATED),
        BAD(LENGTH("5"), DP_ETRUNCATED),
        BAD(LENGTH("5") "hell", DP_ETRUNCATED),
        BAD(LENGTH("18446744073709551615") "hello", DP_ETRUNCATED),
    };
    check_with_short_lists(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_every_byte_in_chunk_lines(void **state)
{
    (void)state;
    const struct setup s = REQUESTS;
    for (int c = 0; c < 256; c++) {
        const char b = (char)c;
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        const bool tchar = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') ||
                           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        const bool text = c == '\t' || (c >= ' ' && c != 0x7f);
        /* a size of 0 and one more digit is a last chunk only if the digit is 0 */
        const bool size = accepts_byte(&s, DP_SPAN(CHUNKED "0"), b, DP_SPAN("\r\n\r\n"));
        const bool cr = accepts_byte(&s, DP_SPAN(CHUNKED "0"), b, DP_SPAN("\n\r\n"));
        const bool lf = accepts_byte(&s, DP_SPAN(CHUNKED "0\r"), b, DP_SPAN("\r\n"));
        const bool after_cr =
            accepts_byte(&s, DP_SPAN(CHUNKED "1\r\nx"), b, DP_SPAN("\n0\r\n\r\n"));
        const bool after_lf =
            accepts_byte(&s, DP_SPAN(CHUNKED "1\r\nx\r"), b, DP_SPAN("0\r\n\r\n"));
        const bool data = accepts_byte(&s, DP_SPAN(CHUNKED "1\r\n"), b, DP_SPAN("\r\n0\r\n\r\n"));
        const bool ext = accepts_byte(&s, DP_SPAN(CHUNKED "0;x"), b, DP_SPAN("\r\n\r\n"));
        const bool name = accepts_byte(&s, DP_SPAN(CHUNKED "0\r\nX"), b, DP_SPAN("Y:\r\n\r\n"));
        const bool first = accepts_byte(&s, DP_SPAN(CHUNKED "0\r\n"), b, DP_SPAN("Y:\r\n\r\n"));
        const bool value = accepts_byte(&s, DP_SPAN(CHUNKED "0\r\nX: "), b, DP_SPAN("\r\n\r\n"));
        const bool last = accepts_byte(&s, DP_SPAN(CHUNKED "0\r\n\r"), b, DP_SPAN(""));
        if (size != (c == '0' || c == ';') || cr != (c == '\r') || lf != (c == '\n') ||
            after_cr != (c == '\r') || after_lf != (c == '\n') || !data || ext != text ||
            name != (tchar || c == ':') || first != tchar || value != text || last != (c == '\n')) {
            fail_msg(
                "byte %02x: size %d, line ends %d %d %d %d %d, data %d, ext %d, trailer %d %d %d",
                (unsigned)c, size, cr, lf, after_cr, after_lf, last, data, ext, name, first, value);
        }
        struct text t = {0};
        text_add_str(&t, CHUNKED);
        text_add(&t, &b, 1);
        struct result got = run(&s, (struct dp_span){t.p, t.n});
        assert_int_equal(got.err, hex ? DP_ETRUNCATED : DP_EFRAMING);
        result_fini(&got);
        free(t.p);
    }
}

/* Many messages through one reader, cut anywhere: each is read as if it came alone. */
static void test_pipeline(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        LENGTH("3") "abc",
        CHUNKED "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
        "\r\nGET /2 HTTP/1.1\r\nHost: b\r\nX: y\r\n\r\n",
        LENGTH("0"),
        CHUNKED "0\r\nT: u\r\n\r\n",
        "GET /3 HTTP/1.0\r\n\r\n",
    };
    static const char wanted[] =
        "GET /1 a|POST / a|abc|POST / a|def|GET /2 b|POST / a|POST / a|GET /3 |";
    struct text all = {0};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        text_add_str(&all, messages[i]);

    const struct dp_reader_limits limits = DEFAULT_LIMITS;
    for (size_t step = 1; step <= all.n; step++) {
        struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
        struct dp_arena arena;
        struct dp_head head;
        struct text got = {0};
        struct dp_span spans[2];
        bool in_body = false;
        size_t messages_read = 0;
        dp_arena_init(&arena, NULL);
        dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
        for (size_t at = 0; at < all.n;) {
            const size_t left = all.n - at;
            const size_t n = step < left ? step : left;
            size_t consumed = 0;
            size_t n_spans = 0;
            enum dp_read read;
            if (!in_body) {
                read = dp_reader_head(r, all.p + at, n, &consumed);
                if (read == DP_READ_DONE) {
                    in_body = true;
                    text_add(&got, head.method_text.p, head.method_text.n);
                    text_add_str(&got, " ");
                    text_add(&got, head.target.p, head.target.n);
                    text_add_str(&got, " ");
                    text_add(&got, head.authority.p, head.authority.n);
                    text_add_str(&got, "|");
                    size_t none = 0;
                    read = dp_reader_body(r, NULL, 0, &none, spans, 2, &n_spans);
                }
            } else {
                read = dp_reader_body(r, all.p + at, n, &consumed, spans, 2, &n_spans);
                for (size_t i = 0; i < n_spans; i++)
                    text_add(&got, spans[i].p, spans[i].n);
            }
            assert_int_not_equal(read, DP_READ_FAILED);
            at += consumed;
            if (in_body && read == DP_READ_DONE) {
                if (head.framing == DP_FRAMING_CHUNKED || head.content_length > 0) {
                    if (got.p[got.n - 1] != '|')
                        text_add_str(&got, "|");
                }
                in_body = false;
                messages_read++;
                assert_int_equal(dp_reader_eof(r), DP_READ_DONE);
                dp_arena_reset(&arena);
                dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
            }
        }
        assert_int_equal(messages_read, sizeof(messages) / sizeof(messages[0]));
        assert_string_equal(got.p, wanted);
        assert_int_equal(dp_reader_eof(r), DP_READ_MORE);
        dp_reader_destroy(r);
        dp_arena_reset(&arena);
        free(got.p);
    }
    free(all.p);
}

struct fixture {
    struct dp_reader *r;
    struct dp_arena arena;
    struct dp_head head;
    struct dp_span spans[4];
    size_t consumed, n_spans;
};

static void setup_reader(struct fixture *f, enum dp_reader_side side)
{
    const struct dp_reader_limits limits = DEFAULT_LIMITS;
    *f = (struct fixture){.r = dp_reader_new(side, &limits)};
    assert_non_null(f->r);
    dp_arena_init(&f->arena, NULL);
    dp_reader_begin(f->r, &f->arena, &f->head, DP_METHOD_GET);
}

static void teardown_reader(struct fixture *f)
{
    dp_reader_destroy(f->r);
    dp_arena_reset(&f->arena);
}

static enum dp_read feed_head(struct fixture *f, const char *s)
{
    return dp_reader_head(f->r, s, strlen(s), &f->consumed);
}

static enum dp_read feed_body(struct fixture *f, const char *s, size_t max)
{
    return dp_reader_body(f->r, s, strlen(s), &f->consumed, f->spans, max, &f->n_spans);
}

static void test_a_full_span_list_stops_cleanly(void **state)
{
    (void)state;
    struct fixture f;
    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(feed_head(&f, CHUNKED), DP_READ_DONE);
    const char body[] = "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n";
    assert_int_equal(feed_body(&f, body, 2), DP_READ_MORE);
    assert_int_equal(f.n_spans, 2);
    assert_int_equal(f.consumed, 2 * 6 + 3); /* up to the byte that has no place left */
    assert_ptr_equal(f.spans[0].p, body + 3);
    assert_ptr_equal(f.spans[1].p, body + 9);
    assert_int_equal(feed_body(&f, body + f.consumed, 1), DP_READ_DONE);
    assert_int_equal(f.n_spans, 1);
    assert_int_equal(f.consumed, sizeof(body) - 1 - 15);
    teardown_reader(&f);

    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(feed_head(&f, LENGTH("3")), DP_READ_DONE);
    assert_int_equal(feed_body(&f, "abc", 0), DP_READ_MORE);
    assert_int_equal(f.consumed, 0);
    assert_int_equal(feed_body(&f, "abcd", 1), DP_READ_DONE);
    assert_int_equal(f.consumed, 3);
    assert_int_equal(f.n_spans, 1);
    teardown_reader(&f);
}

static void test_what_stands_before_a_fault_is_given(void **state)
{
    (void)state;
    struct fixture f;
    setup_reader(&f, DP_READ_RESPONSES);
    assert_int_equal(feed_head(&f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                     DP_READ_DONE);
    assert_int_equal(feed_body(&f, "3\r\nabc\r\n2\r\nde\r\nwrong", 4), DP_READ_FAILED);
    assert_int_equal(dp_reader_error(f.r), DP_EBADRESPONSE);
    assert_int_equal(f.n_spans, 2);
    assert_true(dp_span_eq(f.spans[0], DP_SPAN("abc")));
    assert_true(dp_span_eq(f.spans[1], DP_SPAN("de")));
    assert_int_equal(f.consumed, 8 + 7);
    teardown_reader(&f);
}

static void test_after_the_end_nothing_is_taken(void **state)
{
    (void)state;
    struct fixture f;
    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(feed_head(&f, LENGTH("1")), DP_READ_DONE);
    assert_int_equal(feed_body(&f, "x", 4), DP_READ_DONE);
    assert_int_equal(feed_body(&f, "more", 4), DP_READ_DONE);
    assert_int_equal(f.consumed, 0);
    assert_int_equal(f.n_spans, 0);
    teardown_reader(&f);
}

static void test_in_head(void **state)
{
    (void)state;
    struct fixture f;
    setup_reader(&f, DP_READ_REQUESTS);
    assert_false(dp_reader_in_head(f.r));
    assert_int_equal(feed_head(&f, ""), DP_READ_MORE);
    assert_false(dp_reader_in_head(f.r));
    assert_int_equal(feed_head(&f, "\r\n\r"), DP_READ_MORE);
    assert_int_equal(f.consumed, 3);
    assert_false(dp_reader_in_head(f.r));
    assert_int_equal(feed_head(&f, "\nG"), DP_READ_MORE);
    assert_true(dp_reader_in_head(f.r));
    assert_int_equal(dp_reader_head(f.r, NULL, 0, &f.consumed), DP_READ_MORE);
    assert_int_equal(feed_head(&f, "ET / HTTP/1.0\r\n\r"), DP_READ_MORE);
    assert_int_equal(dp_reader_head(f.r, NULL, 0, &f.consumed), DP_READ_MORE);
    assert_true(dp_reader_in_head(f.r));
    assert_int_equal(feed_head(&f, "\n"), DP_READ_DONE);
    assert_false(dp_reader_in_head(f.r));
    teardown_reader(&f);
}

static void test_refused_as_soon_as_seen(void **state)
{
    (void)state;
    static const char *const starts[] = {
        "\x16",
        "\x16\x03\x01",
        "\n",
        " ",
        "G\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\n ",
        "GET / HTTP/1.1\r\n\t",
        "GET / HTTP/1.1\r\nX\n",
        "GET /\r\n",
        "GET / HTTP/1.1\r\nX: y\r\n ",
    };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct fixture f;
        setup_reader(&f, DP_READ_REQUESTS);
        assert_int_equal(feed_head(&f, starts[i]), DP_READ_FAILED);
        assert_int_equal(dp_reader_error(f.r), DP_EBADREQUEST);
        teardown_reader(&f);
    }
    struct fixture f;
    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(dp_reader_head(f.r, "G\0", 2, &f.consumed), DP_READ_FAILED);
    teardown_reader(&f);
    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(feed_head(&f, "GET / HTTP/1.1\r\nX: "), DP_READ_MORE);
    assert_int_equal(dp_reader_head(f.r, "\0", 1, &f.consumed), DP_READ_FAILED);
    teardown_reader(&f);
    setup_reader(&f, DP_READ_RESPONSES);
    assert_int_equal(feed_head(&f, "E"), DP_READ_FAILED);
    assert_int_equal(dp_reader_error(f.r), DP_EBADRESPONSE);
    teardown_reader(&f);
}

static void test_eof(void **state)
{
    (void)state;
    struct fixture f;
    const struct dp_reader_limits limits = DEFAULT_LIMITS;
    f.r = dp_reader_new(DP_READ_REQUESTS, &limits);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_MORE); /* no message was asked for */
    dp_reader_destroy(f.r);

    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_MORE);
    assert_int_equal(feed_head(&f, "\r\n\r"), DP_READ_MORE);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_MORE);
    teardown_reader(&f);

    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(feed_head(&f, "G"), DP_READ_MORE);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_FAILED);
    assert_int_equal(dp_reader_error(f.r), DP_ETRUNCATED);
    teardown_reader(&f);

    /* whole without a body, whether or not it was asked for */
    setup_reader(&f, DP_READ_REQUESTS);
    assert_int_equal(feed_head(&f, HEAD("")), DP_READ_DONE);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_DONE);
    teardown_reader(&f);

    setup_reader(&f, DP_READ_RESPONSES);
    assert_int_equal(feed_head(&f, "HTTP/1.1 200 OK\r\n\r\n"), DP_READ_DONE);
    assert_int_equal(feed_body(&f, "", 4), DP_READ_MORE);
    assert_int_equal(feed_body(&f, "abc", 4), DP_READ_MORE);
    assert_int_equal(f.consumed, 3);
    assert_int_equal(f.n_spans, 1);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_DONE);
    assert_int_equal(dp_reader_eof(f.r), DP_READ_DONE);
    assert_int_equal(dp_reader_error(f.r), DP_OK);
    teardown_reader(&f);

    dp_reader_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_ends),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_chunked_refused),
        cmocka_unit_test(test_every_byte_in_chunk_lines),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_a_full_span_list_stops_cleanly),
        cmocka_unit_test(test_what_stands_before_a_fault_is_given),
        cmocka_unit_test(test_after_the_end_nothing_is_taken),
        cmocka_unit_test(test_in_head),
        cmocka_unit_test(test_refused_as_soon_as_seen),
        cmocka_unit_test(test_eof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
