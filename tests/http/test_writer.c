/* Writing heads: what goes out, what does not, and what happens when there is no room. */
#include "davenport/http/writer.h"

#include "http_run.h"

static void test_lines(void **state)
{
    (void)state;
    char buf[256];
    struct dp_writer w;
    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_request_line(&w, DP_SPAN("COPY"), DP_SPAN("/db/x?rev=1"));
    dp_write_header(&w, DP_SPAN("Host"), DP_SPAN("a:80"));
    dp_write_header(&w, DP_SPAN("Empty"), DP_SPAN(""));
    dp_write_bytes(&w, DP_SPAN("Content-Length: "));
    dp_write_u64(&w, 0);
    dp_write_bytes(&w, DP_SPAN("\r\n\r\n"));
    dp_write_bytes(&w, (struct dp_span){NULL, 0});
    assert_false(w.overflow);
    static const char wanted[] =
        "COPY /db/x?rev=1 HTTP/1.1\r\nHost: a:80\r\nEmpty: \r\nContent-Length: 0\r\n\r\n";
    assert_true(dp_span_eq((struct dp_span){buf, w.n}, DP_SPAN(wanted)));

    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_status_line(&w, 200, DP_SPAN("OK"));
    dp_write_status_line(&w, 599, (struct dp_span){NULL, 0});
    assert_true(
        dp_span_eq((struct dp_span){buf, w.n}, DP_SPAN("HTTP/1.1 200 OK\r\nHTTP/1.1 599 \r\n")));
}

static void test_numbers(void **state)
{
    (void)state;
    const uint64_t numbers[] = {0,       1,         9,          10,         99,
                                100,     12345,     4294967295, 4294967296, 9999999999999999999u,
                                999999u, UINT64_MAX};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char buf[32];
        char wanted[32];
        struct dp_writer w;
        dp_writer_init(&w, buf, sizeof(buf));
        dp_write_u64(&w, numbers[i]);
        (void)snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)numbers[i]);
        assert_true(dp_span_eq((struct dp_span){buf, w.n}, dp_span_str(wanted)));
    }
}

static void test_chunk_heads(void **state)
{
    (void)state;
    const uint64_t sizes[] = {1, 9, 10, 15, 16, 255, 256, 16384, 0x1a3f, 4294967296, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char buf[DP_CHUNK_HEAD_BYTES];
        char wanted[32];
        const size_t n = dp_chunk_head(buf, sizes[i]);
        (void)snprintf(wanted, sizeof(wanted), "%llx\r\n", (unsigned long long)sizes[i]);
        assert_true(dp_span_eq((struct dp_span){buf, n}, dp_span_str(wanted)));
    }
}

static void test_phrases(void **state)
{
    (void)state;
    assert_true(dp_span_eq(dp_reason_phrase(100), DP_SPAN("Continue")));
    assert_true(dp_span_eq(dp_reason_phrase(200), DP_SPAN("OK")));
    assert_true(dp_span_eq(dp_reason_phrase(503), DP_SPAN("Service Unavailable")));
    assert_int_equal(dp_reason_phrase(299).n, 0);
    /* every status that an error of ours has */
    for (int e = 1; e < DP_ERR_COUNT; e++) {
        const uint16_t status = dp_err_info((enum dp_err)e)->status;
        if (status != 0)
            assert_true(dp_reason_phrase(status).n > 0);
    }
}

/* The head that a reader makes of `input`, and what is written of it. */
static struct text end_to_end(const char *input)
{
    const struct dp_reader_limits limits = DEFAULT_LIMITS;
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
    struct dp_arena arena;
    struct dp_head head;
    size_t consumed = 0;
    char buf[1024];
    struct dp_writer w;
    struct text out = {0};
    dp_arena_init(&arena, NULL);
    dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
    assert_int_equal(dp_reader_head(r, input, strlen(input), &consumed), DP_READ_DONE);
    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_end_to_end(&w, &head, 0);
    assert_false(w.overflow);
    text_add(&out, buf, w.n);
    /* The same fields elsewhere in memory, so that nothing can be copied as a block. */
    for (uint32_t i = 0; i < head.n_headers; i++) {
        head.headers[i].name = dp_arena_copy(&arena, head.headers[i].name);
        head.headers[i].value = dp_arena_copy(&arena, head.headers[i].value);
    }
    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_end_to_end(&w, &head, 0);
    assert_true(dp_span_eq((struct dp_span){buf, w.n}, (struct dp_span){out.p, out.n}));
    /* Exactly enough room, and every smaller one. */
    for (size_t cap = 0; cap <= out.n; cap++) {
        char *exact = malloc(cap > 0 ? cap : 1);
        dp_writer_init(&w, exact, cap);
        dp_write_end_to_end(&w, &head, 0);
        assert_int_equal(w.overflow, cap < out.n);
        assert_true(w.n <= cap);
        assert_memory_equal(exact, out.p, w.n);
        free(exact);
    }
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    return out;
}

static void check_end_to_end(const char *fields, const char *wanted)
{
    struct text input = {0};
    text_add_str(&input, "POST /db HTTP/1.1\r\nHost: a\r\n");
    text_add_str(&input, fields);
    text_add_str(&input, "\r\n");
    struct text got = end_to_end(input.p);
    assert_string_equal(got.p, wanted);
    free(got.p);
    free(input.p);
}

static void test_what_ends_at_this_hop_is_removed(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "Connection: close\r\n",
        "Keep-Alive: timeout=5\r\n",
        "Proxy-Connection: x\r\n",
        "Proxy-Authenticate: x\r\n",
        "Proxy-Authorization: x\r\n",
        "TE: trailers\r\n",
        "Trailer: X\r\n",
        "Upgrade: h2c\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\n",
        "Proxy-Authentication-Info: x\r\n",
        "cOnTeNt-lEnGtH: 5\r\n",
        "UPGRADE:x\r\n",
        "Connection: X-Y\r\nX-Y: 1\r\n",
        "x-y: 1\r\nConnection: close, X-Y\r\nX-Y: 2\r\n",
    };
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        struct text t = {0};
        check_end_to_end(gone[i], "");
        text_add_str(&t, "A: 1\r\n");
        text_add_str(&t, gone[i]);
        text_add_str(&t, "B: 2\r\n");
        check_end_to_end(t.p, "A: 1\r\nB: 2\r\n");
        free(t.p);
    }
}

static void test_all_else_is_passed_on_in_order(void **state)
{
    (void)state;
    check_end_to_end("", "");
    check_end_to_end("A: 1\r\nB: 2\r\nA: 3\r\n", "A: 1\r\nB: 2\r\nA: 3\r\n");
    check_end_to_end("Authorization: Basic x\r\nCookie: y\r\nAccept: */*\r\nIf-Match: \"1\"\r\n",
                     "Authorization: Basic x\r\nCookie: y\r\nAccept: */*\r\nIf-Match: \"1\"\r\n");
    /* odd spacing is put right, between lines that need no change */
    check_end_to_end("A: 1\r\nB:2\r\nC: 3\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n");
    check_end_to_end("A: 1\r\nB:  2\r\nC: 3\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n");
    check_end_to_end("A: 1\r\nB:\t2\r\nC: 3\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n");
    check_end_to_end("A: 1\r\nB: 2 \r\nC: 3\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n");
    check_end_to_end("A: 1\r\nB: 2\t\r\nC: 3\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n");
    check_end_to_end("A:1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n");
    check_end_to_end("A: 1\r\nB:2\r\n", "A: 1\r\nB: 2\r\n");
    check_end_to_end("A:\r\nB: \r\nC:  \r\nD: 1\r\n", "A: \r\nB: \r\nC: \r\nD: 1\r\n");
    /* runs broken by what is removed */
    check_end_to_end("A: 1\r\nTE: x\r\nB: 2\r\nC: 3\r\nTE: y\r\nTrailer: z\r\nD: 4\r\n",
                     "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n");
}

/* A head made by hand over `raw`: one field, its name and value at these places in it. */
static void check_by_hand(const char *raw, size_t raw_n, size_t name_at, size_t name_n,
                          size_t value_at, size_t value_n)
{
    /* Bytes behind raw's end are not the writer's to read. */
    char *text = malloc(raw_n);
    assert_non_null(text);
    memcpy(text, raw, raw_n);
    struct dp_header field = {
        .name = {text + name_at, name_n},
        .value = {text + value_at, value_n},
    };
    const struct dp_head head = {.headers = &field, .n_headers = 1, .raw = {text, raw_n}};
    char buf[64];
    char wanted[64];
    struct dp_writer w;
    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_end_to_end(&w, &head, 0);
    (void)snprintf(wanted, sizeof(wanted), "%.*s: %.*s\r\n", (int)name_n, field.name.p,
                   (int)value_n, field.value.p);
    assert_true(dp_span_eq((struct dp_span){buf, w.n}, dp_span_str(wanted)));
    free(text);
}

/* Whatever stands around the spans, a field comes out as "name: value". */
static void test_heads_made_by_hand(void **state)
{
    (void)state;
    check_by_hand("ab: cd\r\n", 8, 0, 2, 4, 2);
    check_by_hand("ab: cd\r\n", 8, 0, 2, 4, 1);
    check_by_hand("ab: cd\r\n", 8, 1, 1, 4, 2);
    check_by_hand("ab: cd\r\n", 8, 0, 1, 4, 2);
    check_by_hand("ab: cd", 6, 0, 2, 4, 2);
    check_by_hand("ab: cd\r", 7, 0, 2, 4, 2);
    check_by_hand("ab: cd\n\n", 8, 0, 2, 4, 2);
    check_by_hand("ab = cd\r\n", 9, 0, 3, 5, 2);
    check_by_hand("ab::cd\r\n", 8, 0, 2, 4, 2);
    check_by_hand("cd\r\nab: ", 8, 4, 2, 0, 2);
    check_by_hand("abcd\r\n", 6, 0, 2, 2, 2);
    check_by_hand("ab: \r\n", 6, 0, 2, 4, 0);

    /* A value that was replaced, and a name that was: neither lies in raw any more. */
    static const char raw[] = "GET / HTTP/1.0\r\nab: cd\r\n\r\n";
    struct dp_header field = {.name = {raw + 16, 2}, .value = DP_SPAN("new")};
    const struct dp_head head = {.headers = &field, .n_headers = 1, .raw = DP_SPAN(raw)};
    char buf[64];
    struct dp_writer w;
    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_end_to_end(&w, &head, 0);
    field = (struct dp_header){.name = DP_SPAN("N"), .value = {raw + 20, 2}};
    dp_write_end_to_end(&w, &head, 0);
    field = (struct dp_header){.name = {raw + 16, 2}, .value = {raw + 20, 2}};
    dp_write_end_to_end(&w, &head, 0);
    assert_true(dp_span_eq((struct dp_span){buf, w.n}, DP_SPAN("ab: new\r\nN: cd\r\nab: cd\r\n")));
}

static void test_overflow_is_for_good(void **state)
{
    (void)state;
    char buf[8];
    memset(buf, '!', sizeof(buf));
    struct dp_writer w;
    dp_writer_init(&w, buf, 5);
    dp_write_bytes(&w, DP_SPAN("abcde"));
    assert_false(w.overflow);
    dp_write_bytes(&w, (struct dp_span){NULL, 0});
    assert_false(w.overflow);
    dp_write_bytes(&w, DP_SPAN("f"));
    assert_true(w.overflow);
    assert_int_equal(w.n, 5);

    dp_writer_init(&w, buf, 5);
    dp_write_bytes(&w, DP_SPAN("abc"));
    dp_write_bytes(&w, DP_SPAN("def"));
    assert_true(w.overflow);
    dp_write_bytes(&w, DP_SPAN("g")); /* would fit, but what went before is missing */
    assert_true(w.overflow);
    assert_int_equal(w.n, 3);
    assert_memory_equal(buf, "abc", 3);
    assert_memory_equal(buf + 5, "!!!", 3);

    /* Every line at every capacity below its own. */
    for (size_t cap = 0; cap < 64; cap++) {
        char *exact = malloc(cap > 0 ? cap : 1);
        dp_writer_init(&w, exact, cap);
        dp_write_request_line(&w, DP_SPAN("GET"), DP_SPAN("/"));
        dp_write_header(&w, DP_SPAN("A"), DP_SPAN("b"));
        dp_write_u64(&w, UINT64_MAX);
        assert_int_equal(w.overflow, cap < 16 + 6 + 20);
        dp_writer_init(&w, exact, cap);
        dp_write_status_line(&w, 200, DP_SPAN("OK"));
        assert_int_equal(w.overflow, cap < 17);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_chunk_heads),
        cmocka_unit_test(test_phrases),
        cmocka_unit_test(test_what_ends_at_this_hop_is_removed),
        cmocka_unit_test(test_all_else_is_passed_on_in_order),
        cmocka_unit_test(test_heads_made_by_hand),
        cmocka_unit_test(test_overflow_is_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
