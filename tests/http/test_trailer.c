/* Fields behind a body: which are kept, and in what form. */
#include "davenport/http/writer.h"

#include "http_run.h"

#define HEAD(fields) "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" fields "\r\n"
#define BODY(fields) "2\r\n{}\r\n0\r\n" fields "\r\n"

static void check_kept(const char *head, const char *fields, const char *kept)
{
    struct text input = {0};
    text_add_str(&input, head);
    text_add_str(&input, "2\r\n{}\r\n0\r\n");
    text_add_str(&input, fields);
    text_add_str(&input, "\r\n");
    struct result got = run(&REQUESTS, (struct dp_span){input.p, input.n});
    assert_int_equal(got.read, DP_READ_DONE);
    assert_string_equal(got.body.p, "{}");
    assert_string_equal(got.trailers.p, kept);
    result_fini(&got);
    free(input.p);
}

static void test_fields_nobody_knows_are_kept(void **state)
{
    (void)state;
    check_kept(HEAD(""), "", "");
    check_kept(HEAD(""), "X-Sum: 1\r\n", "X-Sum: 1\r\n");
    check_kept(HEAD(""), "x-b: 2\r\nX-A: 1\r\nx-b: 3\r\n", "x-b: 2\r\nX-A: 1\r\nx-b: 3\r\n");
    check_kept(HEAD(""), "A:1\r\nB:\t 2 \t\r\nC:\r\n", "A: 1\r\nB: 2\r\nC: \r\n");
    check_kept(HEAD(""), "A: b: c\r\n", "A: b: c\r\n");
    check_kept(HEAD(""), "Server-Timing: a;dur=1\r\nDigest: x=y\r\n",
               "Server-Timing: a;dur=1\r\nDigest: x=y\r\n");
}

/* All of the table, whatever the case. */
static void test_known_fields_are_dropped(void **state)
{
    static const char *const names[] = {
#define DP_HEADER(id, name, flags) name,
#include "davenport/http/header.def"
#undef DP_HEADER
    };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char fields[128];
        (void)snprintf(fields, sizeof(fields), "A: 1\r\n%s: x\r\nB: 2\r\n", names[i]);
        check_kept(HEAD(""), fields, "A: 1\r\nB: 2\r\n");
    }
    check_kept(HEAD(""), "CONTENT-length: 9\r\nhOsT: x\r\n", "");
}

static void test_fields_that_connection_names_are_dropped(void **state)
{
    (void)state;
    check_kept(HEAD("Connection: x-sum , y\r\nConnection: Z\r\n"),
               "X-Sum: 1\r\nX-Summer: 2\r\nY: 3\r\nz: 4\r\n", "X-Summer: 2\r\n");
}

static void test_of_answers_too(void **state)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" BODY(
        "X-Sum: 1\r\nSet-Cookie: a=b\r\n");
    (void)state;
    struct result got = run(&RESPONSES_TO(DP_METHOD_GET), DP_SPAN(answer));
    assert_int_equal(got.read, DP_READ_DONE);
    assert_string_equal(got.trailers.p, "X-Sum: 1\r\n");
    result_fini(&got);
}

/* As many as a head may have fields, no more. */
static void test_how_many(void **state)
{
    (void)state;
    for (uint32_t n = 4; n <= 6; n++) {
        struct setup setup = REQUESTS;
        struct text input = {0};
        setup.limits.headers = 5;
        text_add_str(&input, HEAD("") "0\r\n");
        for (uint32_t i = 0; i < n; i++)
            text_add_str(&input, i % 2 == 0 ? "Age: 1\r\n" : "X: 2\r\n");
        text_add_str(&input, "\r\n");
        struct result got = run(&setup, (struct dp_span){input.p, input.n});
        assert_int_equal(got.err, n <= 5 ? DP_OK : DP_EHEADSIZE);
        result_fini(&got);
        free(input.p);
    }
}

static void check_names(const char *fields, const char *written)
{
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &DEFAULT_LIMITS);
    struct dp_arena arena;
    struct dp_head head;
    struct text input = {0};
    size_t consumed;
    char buf[256];
    struct dp_writer w;
    assert_non_null(r);
    dp_arena_init(&arena, NULL);
    text_add_str(&input, "GET / HTTP/1.1\r\nHost: h\r\n");
    text_add_str(&input, fields);
    text_add_str(&input, "\r\n");
    dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
    assert_int_equal(dp_reader_head(r, input.p, input.n, &consumed), DP_READ_DONE);
    dp_writer_init(&w, buf, sizeof(buf));
    dp_write_trailer_names(&w, &head);
    assert_true(dp_span_eq((struct dp_span){buf, w.n}, dp_span_str(written)));
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    free(input.p);
}

static void test_the_names_announced(void **state)
{
    (void)state;
    check_names("", "");
    check_names("Trailer: X-Sum\r\n", "Trailer: X-Sum\r\n");
    check_names("Trailer: a,b , c\r\ntrailer: d\r\n", "Trailer: a, b, c, d\r\n");
    check_names("Trailer: Content-Length\r\n", "");
    check_names("Trailer: host, X, Authorization, Y,\r\n", "Trailer: X, Y\r\n");
    check_names("Trailer:\r\nTrailer: a b, \"c\", d\r\n", "Trailer: d\r\n");
    check_names("Connection: x\r\nTrailer: X, Y\r\n", "Trailer: Y\r\n");
}

static void check_te(const char *fields, const char *version, bool takes)
{
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &DEFAULT_LIMITS);
    struct dp_arena arena;
    struct dp_head head;
    char input[256];
    size_t consumed;
    assert_non_null(r);
    dp_arena_init(&arena, NULL);
    const int n =
        snprintf(input, sizeof(input), "GET / HTTP/%s\r\nHost: h\r\n%s\r\n", version, fields);
    dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
    assert_int_equal(dp_reader_head(r, input, (size_t)n, &consumed), DP_READ_DONE);
    assert_int_equal(head.te_trailers, takes);
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
}

static void test_who_takes_trailers(void **state)
{
    (void)state;
    check_te("", "1.1", false);
    check_te("TE: trailers\r\n", "1.1", true);
    check_te("TE: trailers\r\n", "1.0", false);
    check_te("te: gzip;q=0.5, Trailers\r\n", "1.1", true);
    check_te("TE: gzip\r\nTE: trailers\r\nConnection: TE\r\n", "1.1", true);
    check_te("TE: trailers;q=0\r\n", "1.1", false);
    check_te("TE:\r\nX-TE: trailers\r\n", "1.1", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_nobody_knows_are_kept),
        cmocka_unit_test(test_known_fields_are_dropped),
        cmocka_unit_test(test_fields_that_connection_names_are_dropped),
        cmocka_unit_test(test_of_answers_too),
        cmocka_unit_test(test_how_many),
        cmocka_unit_test(test_the_names_announced),
        cmocka_unit_test(test_who_takes_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
