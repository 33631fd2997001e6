/* Response heads and how their bodies are delimited (RFC 9112 6.3). */
#include "http_run.h"

#define OK_LINE     "HTTP/1.1 200 OK\r\n"
#define OK(fields)  OK_LINE fields "\r\n"
#define OLD(fields) "HTTP/1.0 200 OK\r\n" fields "\r\n"

static void test_status_lines(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(OK("Content-Length: 0\r\n"), "200 OK 1.1 keep length:0"),
        GOOD("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "201 Created 1.1 keep length:0"),
        GOOD("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200  1.1 keep length:0"),
        GOOD("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200  1.1 keep length:0"),
        GOOD("HTTP/1.1 404 Object Not Found\r\nContent-Length: 0\r\n\r\n",
             "404 Object Not Found 1.1 keep length:0"),
        GOOD("HTTP/1.1 503 caf\xc3\xa9\tx\r\nContent-Length: 0\r\n\r\n",
             "503 caf\xc3\xa9\tx 1.1 keep length:0"),
        GOOD("HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n", "599 x 1.1 keep length:0"),
        GOOD("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK 1.0 close length:0"),
        BAD("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            DP_EBADRESPONSE),
        BAD("HTTP/1.1 000 x\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 099 x\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 600 x\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 999 x\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 99 x\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 2000 x\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 20x OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 -20 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1  200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1\t200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200\tOK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200-OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 \r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200 O\x01K\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200 O\x7fK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200 O\0K\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200 O\rK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200 OK\n\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 200 OK\r\r\n", DP_EBADRESPONSE),
        BAD("HTTP/0.9 200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.2 200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/2.0 200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.x 200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1x200 OK\r\n", DP_EBADRESPONSE),
        BAD("HTTP 200 OK\r\n", DP_EBADRESPONSE),
        BAD("Http/1.1 200 OK\r\n", DP_EBADRESPONSE),
        BAD("http/1.1 200 OK\r\n", DP_EBADRESPONSE),
        BAD("ICY 200 OK\r\n", DP_EBADRESPONSE),
        BAD("\r\n" OK(""), DP_EBADRESPONSE),
        BAD("\n", DP_EBADRESPONSE),
        BAD(" ", DP_EBADRESPONSE),
        BAD("{\"error\":\"x\"}", DP_EBADRESPONSE),
        BAD("\x15\x03\x01", DP_EBADRESPONSE),
        BAD("H\0", DP_EBADRESPONSE),
    };
    CHECK_CASES(RESPONSES_TO(DP_METHOD_GET), cases);
}

static void test_framing(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        WITH_BODY(OK("Content-Length: 5\r\n") "hello", "200 OK 1.1 keep length:5", "hello"),
        WITH_BODY(OK("Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n0\r\n\r\n",
                  "200 OK 1.1 keep chunked", "hello"),
        WITH_BODY(OK("Transfer-Encoding: Chunked\r\nConnection: close\r\n") "0\r\n\r\n",
                  "200 OK 1.1 close chunked", ""),
        WITH_BODY(OK("") "until the end", "200 OK 1.1 close close", "until the end"),
        WITH_BODY(OK(""), "200 OK 1.1 close close", ""),
        WITH_BODY(OK("Connection: keep-alive\r\n") "x", "200 OK 1.1 close close", "x"),
        WITH_BODY(OLD("") "x", "200 OK 1.0 close close", "x"),
        WITH_BODY(OLD("Content-Length: 1\r\n") "x", "200 OK 1.0 close length:1", "x"),
        WITH_BODY(OLD("Connection: keep-alive\r\nContent-Length: 1\r\n") "x",
                  "200 OK 1.0 keep length:1", "x"),
        WITH_BODY(OK("Connection: Close\r\nContent-Length: 1\r\n") "x", "200 OK 1.1 close length:1",
                  "x"),
        GOOD("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", "304 Not Modified 1.1 keep none"),
        GOOD("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
             "304 Not Modified 1.1 keep none:5"),
        GOOD("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
             "304 Not Modified 1.1 keep none"),
        GOOD("HTTP/1.1 204 No Content\r\n\r\n", "204 No Content 1.1 keep none"),
        GOOD("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
             "204 No Content 1.1 keep none:0"),
        GOOD("HTTP/1.1 100 Continue\r\n\r\n", "100 Continue 1.1 keep none"),
        GOOD("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "103 Early Hints 1.1 keep none"),
        GOOD("HTTP/1.1 199 x\r\n\r\n", "199 x 1.1 keep none"),
        /* bodies where there can be none */
        BAD("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx", DP_EBADRESPONSE),
        BAD("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\nx", DP_EBADRESPONSE),
        BAD("HTTP/1.1 102 x\r\nTransfer-Encoding: chunked\r\n\r\n", DP_EBADRESPONSE),
        /* the same strictness as for requests */
        BAD(OK("Content-Length: 1\r\nContent-Length: 1\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Content-Length: 1, 1\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Content-Length: +1\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Content-Length:\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Content-Length: 18446744073709551616\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n", DP_EBADRESPONSE),
        BAD(OK("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n") "0\r\n\r\n", DP_EBADRESPONSE),
        BAD(OK("Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r\n", DP_EBADRESPONSE),
        BAD(OK("Transfer-Encoding: gzip\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Transfer-Encoding: identity\r\n") "x", DP_EBADRESPONSE),
        BAD(OK("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), DP_EBADRESPONSE),
        BAD(OLD("Transfer-Encoding: chunked\r\n") "0\r\n\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 304 x\r\nContent-Length: x\r\n\r\n", DP_EBADRESPONSE),
        BAD("HTTP/1.1 304 x\r\nTransfer-Encoding: x\r\n\r\n", DP_EBADRESPONSE),
        BAD(OK("X: a\r\n b\r\n"), DP_EBADRESPONSE),
        BAD(OK(" X: a\r\n"), DP_EBADRESPONSE),
        BAD(OK("X : a\r\n"), DP_EBADRESPONSE),
        BAD(OK(": a\r\n"), DP_EBADRESPONSE),
        BAD(OK("X: a\0\r\n"), DP_EBADRESPONSE),
        BAD(OK("X: a\x08\r\n"), DP_EBADRESPONSE),
        BAD(OK("X: a\rb\r\n"), DP_EBADRESPONSE),
        BAD(OK("X: a\n"), DP_EBADRESPONSE),
        BAD(OK_LINE "\n", DP_EBADRESPONSE),
        BAD(OK_LINE "\rx\r\n\r\n", DP_EBADRESPONSE),
        BAD(OK("Connection: a b\r\n"), DP_EBADRESPONSE),
        /* cut short */
        BAD("HTTP/1.1 200 OK\r\n", DP_ETRUNCATED),
        BAD("H", DP_ETRUNCATED),
        BAD(OK("Content-Length: 5\r\n") "hell", DP_ETRUNCATED),
        BAD(OK("Content-Length: 5\r\n"), DP_ETRUNCATED),
        BAD(OK("Transfer-Encoding: chunked\r\n"), DP_ETRUNCATED),
        BAD(OK("Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n0\r\n\r", DP_ETRUNCATED),
    };
    CHECK_CASES(RESPONSES_TO(DP_METHOD_GET), cases);
}

static void test_answers_to_head(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(OK("Content-Length: 5\r\n"), "200 OK 1.1 keep none:5"),
        GOOD(OK("Transfer-Encoding: chunked\r\n"), "200 OK 1.1 keep none"),
        GOOD(OK(""), "200 OK 1.1 keep none"),
        GOOD(OLD(""), "200 OK 1.0 close none"),
        GOOD("HTTP/1.1 404 x\r\nContent-Length: 41\r\n\r\n", "404 x 1.1 keep none:41"),
        THEN(OK("Content-Length: 5\r\n"), "HTTP/1.1 200", "200 OK 1.1 keep none:5", ""),
        BAD(OK("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), DP_EBADRESPONSE),
        BAD(OK("Content-Length: 5, 5\r\n"), DP_EBADRESPONSE),
    };
    CHECK_CASES(RESPONSES_TO(DP_METHOD_HEAD), cases);
}

static void test_regions_may_name_fields(void **state)
{
    (void)state;
    const struct setup setup = RESPONSES_TO(DP_METHOD_GET);
    struct result got =
        run(&setup, DP_SPAN(OK("Connection: transfer-encoding, server, x\r\nX: 1\r\n"
                               "Server: CouchDB\r\nTransfer-Encoding: chunked\r\n"
                               "ETag: 2\r\n") "0\r\n\r\n"));
    assert_int_equal(got.read, DP_READ_DONE);
    assert_string_equal(got.summary.p, "200 OK 1.1 keep chunked");
    assert_string_equal(got.fields.p,
                        "Connection: transfer-encoding, server, x\n~X: 1\n~Server: CouchDB\n"
                        "~Transfer-Encoding: chunked\nETag: 2\n");
    result_fini(&got);
}

static void test_every_byte_in_every_place(void **state)
{
    (void)state;
    const struct setup s = RESPONSES_TO(DP_METHOD_GET);
    for (int c = 0; c < 256; c++) {
        const char b = (char)c;
        const struct dp_span end = DP_SPAN("\r\nContent-Length: 0\r\n\r\n");
        const bool reason = accepts_byte(&s, DP_SPAN("HTTP/1.1 200 O"), b, end);
        const bool space = accepts_byte(&s, DP_SPAN("HTTP/1.1 200"), b, end);
        const bool digit =
            accepts_byte(&s, DP_SPAN("HTTP/1.1 2"), b, DP_SPAN("2\r\nContent-Length: 0\r\n\r\n"));
        const bool hundreds =
            accepts_byte(&s, DP_SPAN("HTTP/1.1 "), b, DP_SPAN("22\r\nContent-Length: 0\r\n\r\n"));
        const bool minor =
            accepts_byte(&s, DP_SPAN("HTTP/1."), b, DP_SPAN(" 200\r\nContent-Length: 0\r\n\r\n"));
        if (reason != (c == '\t' || (c >= ' ' && c != 0x7f)) || space != (c == ' ') ||
            digit != (c >= '0' && c <= '9') || hundreds != (c >= '1' && c <= '5') ||
            minor != (c == '0' || c == '1')) {
            fail_msg("byte %02x: reason %d, space %d, digits %d %d, minor %d", (unsigned)c, reason,
                     space, digit, hundreds, minor);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_answers_to_head),
        cmocka_unit_test(test_regions_may_name_fields),
        cmocka_unit_test(test_every_byte_in_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
