/* Request heads: what is read, and above all what is refused. Every row runs whole, in two pieces
 * cut at every place, byte by byte, and in threes (http_run.h). */
#include "http_run.h"

#define LINE           "GET / HTTP/1.1\r\n"
#define GET(fields)    LINE "Host: a\r\n" fields "\r\n"
#define POST(fields)   "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define HOST(value)    LINE "Host: " value "\r\n\r\n"
#define TARGET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OLD(fields)    "GET / HTTP/1.0\r\n" fields "\r\n"

static void test_start_lines(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(GET(""), "GET / a 1.1 keep none"),
        GOOD("HEAD /db HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /db a 1.1 keep none"),
        GOOD("DELETE /db HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /db a 1.1 keep none"),
        GOOD("COPY /db/x HTTP/1.1\r\nHost: a\r\n\r\n", "COPY /db/x a 1.1 keep none"),
        GOOD("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", "PATCH / a 1.1 keep none"),
        GOOD("OPTIONS /db HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /db a 1.1 keep none"),
        GOOD("GET / HTTP/1.0\r\n\r\n", "GET /  1.0 close none"),
        /* empty lines before a request, up to four */
        GOOD("\r\n" GET(""), "GET / a 1.1 keep none"),
        GOOD("\r\n\r\n\r\n\r\n" GET(""), "GET / a 1.1 keep none"),
        BAD("\r\n\r\n\r\n\r\n\r\n" GET(""), DP_EBADREQUEST),
        BAD("\n" GET(""), DP_EBADREQUEST),
        BAD("\r" GET(""), DP_EBADREQUEST),
        BAD("\r\r\n" GET(""), DP_EBADREQUEST),
        BAD("\r\n\n" GET(""), DP_EBADREQUEST),
        /* what is no HTTP at all */
        BAD("\x16\x03\x01\x02\x00\x01", DP_EBADREQUEST),
        BAD(" GET / HTTP/1.1\r\n\r\n", DP_EBADREQUEST),
        BAD("\0", DP_EBADREQUEST),
        BAD("\x80", DP_EBADREQUEST),
        BAD("{\"a\":1}", DP_EBADREQUEST),
        BAD("GE\0T / HTTP/1.1", DP_EBADREQUEST),
        BAD("GET\r\n", DP_EBADREQUEST),
        BAD("GET /\r\n", DP_EBADREQUEST),
        BAD("GET / \r\n", DP_EBADREQUEST),
        BAD("GET  HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/1.1\n", DP_EBADREQUEST),
        BAD("GET / HTTP/1.1\r\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/1.1 \r\n", DP_EBADREQUEST),
        BAD("GET  / HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET /  HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET\t/ HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET /\tHTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET /a b HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/1.1x\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/1.10\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/1,1\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/11\r\n", DP_EBADREQUEST),
        BAD("GET / HTTP/x.1\r\n", DP_EBADREQUEST),
        BAD("GET / http/1.1\r\n", DP_EBADREQUEST),
        BAD("GET / RTSP/1.0\r\n", DP_EBADREQUEST),
        BAD("SOURCE / ICE/1.0\r\n", DP_EBADREQUEST),
        BAD("G(T / HTTP/1.1\r\n", DP_EBADREQUEST),
        BAD("G\x80T / HTTP/1.1\r\n", DP_EBADREQUEST),
        /* versions */
        BAD("GET / HTTP/0.9\r\n", DP_EVERSION),
        BAD("GET / HTTP/1.2\r\n", DP_EVERSION),
        BAD("GET / HTTP/1.9\r\n", DP_EVERSION),
        BAD("GET / HTTP/2.0\r\n", DP_EVERSION),
        BAD("GET / HTTP/3.1\r\n", DP_EVERSION),
        BAD("GET / HTTP/0.1\r\n", DP_EVERSION),
        BAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", DP_EVERSION),
        /* methods */
        BAD("CONNECT a:443 HTTP/1.1\r\n", DP_EMETHOD),
        BAD("CONNECT / HTTP/1.1\r\n", DP_EMETHOD),
        BAD("TRACE / HTTP/1.1\r\n", DP_EMETHOD),
        BAD("FOO / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
        BAD("get / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
        BAD("Get / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
        BAD("GETX / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
        BAD("GE / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
        BAD("SETUP / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
        BAD("PRI / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EBADREQUEST),
        BAD("PRI * HTTP/1.1\r\nHost: a\r\n\r\n", DP_EBADREQUEST),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(TARGET("/?key=\"x\"&a={[|]}^`\\"), "GET /?key=\"x\"&a={[|]}^`\\ a 1.1 keep none"),
        GOOD(TARGET("/db%2fname/_design/a/_view/b?x=1?y"),
             "GET /db%2fname/_design/a/_view/b?x=1?y a 1.1 keep none"),
        GOOD(TARGET("//double//slash/../."), "GET //double//slash/../. a 1.1 keep none"),
        GOOD(TARGET("/http://b/"), "GET /http://b/ a 1.1 keep none"),
        BAD(TARGET("/#"), DP_EBADREQUEST),
        BAD(TARGET("/a#b"), DP_EBADREQUEST),
        BAD(TARGET("/\x80"), DP_EBADREQUEST),
        BAD(TARGET("/\x7f"), DP_EBADREQUEST),
        BAD(TARGET("/a\rb"), DP_EBADREQUEST),
        BAD(TARGET("/a\nb"), DP_EBADREQUEST),
        BAD(TARGET("/a\0b"), DP_EBADREQUEST),
        BAD(TARGET("/caf\xc3\xa9"), DP_EBADREQUEST),
        BAD(TARGET("db"), DP_EBADREQUEST),
        BAD(TARGET("?x"), DP_EBADREQUEST),
        BAD(TARGET("a:80"), DP_EBADREQUEST),
        BAD(TARGET("a"), DP_EBADREQUEST),
        BAD(TARGET("../x"), DP_EBADREQUEST),
        /* asterisk-form */
        GOOD("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * a 1.1 keep none"),
        BAD(TARGET("*"), DP_EBADREQUEST),
        BAD(TARGET("*x"), DP_EBADREQUEST),
        BAD("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", DP_EBADREQUEST),
        BAD("OPTIONS */ HTTP/1.1\r\nHost: a\r\n\r\n", DP_EBADREQUEST),
        /* absolute-form */
        GOOD(TARGET("http://a/x?y=1"), "GET /x?y=1 a 1.1 keep none"),
        GOOD(TARGET("HTTP://A/x"), "GET /x A 1.1 keep none"),
        GOOD(TARGET("https://a/"), "GET / a 1.1 keep none"),
        GOOD(TARGET("http://a"), "GET / a 1.1 keep none"),
        GOOD(TARGET("http://a?x=1"), "GET /?x=1 a 1.1 keep none"),
        GOOD(TARGET("http://a/http://b/"), "GET /http://b/ a 1.1 keep none"),
        GOOD("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * a 1.1 keep none"),
        GOOD("OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS / a 1.1 keep none"),
        GOOD("GET http://a:80/x HTTP/1.1\r\nHost: A:80\r\n\r\n", "GET /x a:80 1.1 keep none"),
        GOOD("GET http://a/x HTTP/1.0\r\n\r\n", "GET /x a 1.0 close none"),
        GOOD("GET http://[::1]:5984/x HTTP/1.1\r\nHost: [::1]:5984\r\n\r\n",
             "GET /x [::1]:5984 1.1 keep none"),
        BAD(TARGET("http://b/x"), DP_EHOST),
        BAD(TARGET("http://a:80/x"), DP_EHOST),
        BAD(TARGET("http:///x"), DP_EHOST),
        BAD(TARGET("http://"), DP_EHOST),
        BAD(TARGET("http://u@a/x"), DP_EHOST),
        BAD(TARGET("http://a@b/x"), DP_EHOST),
        BAD(TARGET("http://a\\b/x"), DP_EBADREQUEST),
        BAD("GET http://a/x HTTP/1.1\r\n\r\n", DP_EHOST),
        BAD("GET http://a/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", DP_EHOST),
        BAD("GET http://u:p@a/ HTTP/1.0\r\n\r\n", DP_EHOST),
        BAD(TARGET("ftp://a/x"), DP_EBADREQUEST),
        BAD(TARGET("http:/a/x"), DP_EBADREQUEST),
        BAD(TARGET("httpx://a/x"), DP_EBADREQUEST),
        BAD("* / HTTP/1.1\r\nHost: a\r\n\r\n", DP_EMETHOD),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void test_host(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(HOST("couch.example.com"), "GET / couch.example.com 1.1 keep none"),
        GOOD(HOST("a:5984"), "GET / a:5984 1.1 keep none"),
        GOOD(HOST("a:65535"), "GET / a:65535 1.1 keep none"),
        GOOD(HOST("my_couch-1.local."), "GET / my_couch-1.local. 1.1 keep none"),
        GOOD(HOST("127.0.0.1:80"), "GET / 127.0.0.1:80 1.1 keep none"),
        GOOD(HOST("[::1]"), "GET / [::1] 1.1 keep none"),
        GOOD(HOST("[fe80::A:1.2.3.4]:80"), "GET / [fe80::A:1.2.3.4]:80 1.1 keep none"),
        GOOD(LINE "hOsT:\t a \t\r\n\r\n", "GET / a 1.1 keep none"),
        GOOD(LINE "Host:a\r\n\r\n", "GET / a 1.1 keep none"),
        BAD(LINE "\r\n", DP_EHOST),
        BAD(LINE "X: y\r\n\r\n", DP_EHOST),
        BAD(HOST(""), DP_EHOST),
        BAD(HOST("  "), DP_EHOST),
        BAD(LINE "Host:\r\n\r\n", DP_EHOST),
        BAD(GET("Host: a\r\n"), DP_EHOST),
        BAD(GET("Host: b\r\n"), DP_EHOST),
        BAD(GET("X: y\r\nhost: a\r\n"), DP_EHOST),
        BAD(HOST("a, b"), DP_EHOST),
        BAD(HOST("a b"), DP_EHOST),
        BAD(HOST("a\tb"), DP_EHOST),
        BAD(HOST("a/b"), DP_EHOST),
        BAD(HOST("http://a"), DP_EHOST),
        BAD(HOST("u@a"), DP_EHOST),
        BAD(HOST("a?b"), DP_EHOST),
        BAD(HOST("a#b"), DP_EHOST),
        BAD(HOST("a\\b"), DP_EHOST),
        BAD(HOST("a%00"), DP_EHOST),
        BAD(HOST("caf\xc3\xa9"), DP_EHOST),
        BAD(HOST(":80"), DP_EHOST),
        BAD(HOST("a:"), DP_EHOST),
        BAD(HOST("a:x"), DP_EHOST),
        BAD(HOST("a:-1"), DP_EHOST),
        BAD(HOST("a:+1"), DP_EHOST),
        BAD(HOST("a:1 1"), DP_EHOST),
        BAD(HOST("a:65536"), DP_EHOST),
        BAD(HOST("a:000080"), DP_EHOST),
        BAD(HOST("a:80:80"), DP_EHOST),
        GOOD(HOST("[::]"), "GET / [::] 1.1 keep none"),
        BAD(HOST("[:]"), DP_EHOST),
        BAD(HOST("[]"), DP_EHOST),
        BAD(HOST("[:"), DP_EHOST),
        BAD(HOST("[::1"), DP_EHOST),
        BAD(HOST("[::1]x"), DP_EHOST),
        BAD(HOST("[::1]:"), DP_EHOST),
        BAD(HOST("[g::]"), DP_EHOST),
        BAD(HOST("::1"), DP_EHOST),
        /* HTTP/1.0 may leave it out but not send nonsense */
        GOOD(OLD("Host: a\r\n"), "GET / a 1.0 close none"),
        BAD(OLD("Host: a\r\nHost: a\r\n"), DP_EHOST),
        BAD(OLD("Host:\r\n"), DP_EHOST),
        BAD(OLD("Host: a b\r\n"), DP_EHOST),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void test_host_is_bounded(void **state)
{
    (void)state;
    for (size_t n = 260; n <= 262; n++) {
        struct text t = {0};
        text_add_str(&t, LINE "Host: ");
        for (size_t i = 0; i < n; i++)
            text_add_str(&t, "a");
        text_add_str(&t, "\r\n\r\n");
        const struct setup setup = REQUESTS;
        struct result got = run(&setup, (struct dp_span){t.p, t.n});
        assert_int_equal(got.err, n <= 261 ? DP_OK : DP_EHOST);
        result_fini(&got);
        free(t.p);
    }
}

static void test_framing(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(POST(""), "POST / a 1.1 keep none"),
        GOOD(POST("Content-Length: 0\r\n"), "POST / a 1.1 keep length:0"),
        WITH_BODY(POST("Content-Length: 5\r\n") "hello", "POST / a 1.1 keep length:5", "hello"),
        WITH_BODY(POST("content-LENGTH:\t5 \r\n") "hello", "POST / a 1.1 keep length:5", "hello"),
        WITH_BODY(POST("Content-Length: 005\r\n") "hello", "POST / a 1.1 keep length:5", "hello"),
        WITH_BODY(GET("Content-Length: 2\r\n") "{}", "GET / a 1.1 keep length:2", "{}"),
        WITH_BODY("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", "POST /  1.0 close length:2",
                  "{}"),
        WITH_BODY(POST("Transfer-Encoding: chunked\r\n") "2\r\n{}\r\n0\r\n\r\n",
                  "POST / a 1.1 keep chunked", "{}"),
        WITH_BODY(POST("transfer-encoding:CHUNKED\t\r\n") "2\r\n{}\r\n0\r\n\r\n",
                  "POST / a 1.1 keep chunked", "{}"),
        /* Content-Length that could be read in two ways */
        BAD(POST("Content-Length:\r\n"), DP_EFRAMING),
        BAD(POST("Content-Length: \r\n"), DP_EFRAMING),
        BAD(POST("Content-Length: +5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: -5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 0x5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5x\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5 5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5,5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5, 6\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: ,5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5;\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: \"5\"\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5.0\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 1e1\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5\r\nContent-Length: 5\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 5\r\nX: y\r\nContent-Length: 6\r\n") "hello", DP_EFRAMING),
        BAD(POST("Content-Length: 18446744073709551616\r\n"), DP_EFRAMING),
        BAD(POST("Content-Length: 99999999999999999999999\r\n"), DP_EFRAMING),
        /* both */
        BAD(POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding:\r\nContent-Length: 5\r\n"), DP_EFRAMING),
        /* Transfer-Encoding that is not exactly chunked */
        BAD(POST("Transfer-Encoding:\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: identity\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: gzip\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: gzip, chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: x, chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked, x\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked, chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked,\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: ,chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked;q=1\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunkedx\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: xchunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: \"chunked\"\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"), DP_EFRAMING),
        BAD(POST("Transfer-Encoding: \x0b"
                 "chunked\r\n"),
            DP_EBADREQUEST),
        BAD(POST("Transfer-Encoding : chunked\r\n"), DP_EBADREQUEST),
        BAD(POST("Transfer-Encoding\t: chunked\r\n"), DP_EBADREQUEST),
        BAD(POST("Transfer-Encoding:\r\n chunked\r\n"), DP_EBADREQUEST),
        BAD(POST("\0Transfer-Encoding: chunked\r\n"), DP_EBADREQUEST),
        BAD("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", DP_EFRAMING),
        BAD("POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
            DP_EFRAMING),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void test_field_syntax(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(GET("X:\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("X: \r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("X: a:b\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("X_y.z: \xff\x80 tab\there\r\n"), "GET / a 1.1 keep none"),
        BAD(GET("X : y\r\n"), DP_EBADREQUEST),
        BAD(GET("X\t: y\r\n"), DP_EBADREQUEST),
        BAD(GET("X y: z\r\n"), DP_EBADREQUEST),
        BAD(GET(": y\r\n"), DP_EBADREQUEST),
        BAD(GET(":\r\n"), DP_EBADREQUEST),
        BAD(GET("X\r\n"), DP_EBADREQUEST),
        BAD(GET("X y\r\n"), DP_EBADREQUEST),
        BAD(GET("X(: y\r\n"), DP_EBADREQUEST),
        BAD(GET("X\x80: y\r\n"), DP_EBADREQUEST),
        BAD(GET("\"X\": y\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\0b\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\x01\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\x7f\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\x1b[0m\r\n"), DP_EBADREQUEST),
        /* obs-fold */
        BAD(GET("X: a\r\n b\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\r\n\tb\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\r\n \r\n"), DP_EBADREQUEST),
        BAD(GET("X:\r\n b\r\n"), DP_EBADREQUEST),
        BAD(LINE " Host: a\r\n\r\n", DP_EBADREQUEST),
        BAD(LINE "\tHost: a\r\n\r\n", DP_EBADREQUEST),
        BAD(LINE " \r\nHost: a\r\n\r\n", DP_EBADREQUEST),
        BAD(GET(" \r\n"), DP_EBADREQUEST),
        /* lines that end in something else */
        BAD(LINE "Host: a\n\r\n", DP_EBADREQUEST),
        BAD(LINE "Host: a\r\n\n", DP_EBADREQUEST),
        BAD(LINE "Host: a\n\n", DP_EBADREQUEST),
        BAD(GET("X: y\n"), DP_EBADREQUEST),
        BAD(GET("X: a\rb\r\n"), DP_EBADREQUEST),
        BAD(GET("X: a\r\r\n"), DP_EBADREQUEST),
        BAD(GET("\rX: y\r\n"), DP_EBADREQUEST),
        BAD(GET("X\r: y\r\n"), DP_EBADREQUEST),
        BAD(GET("\r\r\n"), DP_EBADREQUEST),
        BAD(LINE "Host: a\r\n\rX\r\n\r\n", DP_EBADREQUEST),
        BAD(LINE "Host: a\r\n\r\r\n\r\n", DP_EBADREQUEST),
        BAD(LINE "Host: a\rX: y\r\n\r\n", DP_EBADREQUEST),
        /* cut short */
        BAD("G", DP_ETRUNCATED),
        BAD("GET / HTTP/1.1", DP_ETRUNCATED),
        BAD("GET / HTTP/1.1\r", DP_ETRUNCATED),
        BAD(LINE, DP_ETRUNCATED),
        BAD(LINE "Host: a\r\n", DP_ETRUNCATED),
        BAD(LINE "Host: a\r\n\r", DP_ETRUNCATED),
        BAD("\r\nG", DP_ETRUNCATED),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void test_connection(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        GOOD(GET("Connection: close\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: CLOSE\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: keep-alive\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection: keep-alive, close\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: close, keep-alive\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: x,\t close ,y\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: keep-alive\r\nConnection: close\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: close\r\nConnection: keep-alive\r\n"), "GET / a 1.1 close none"),
        GOOD(GET("Connection: \r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection:\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection: , ,\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection: closed\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection: xclose\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection: Upgrade\r\nUpgrade: h2c\r\n"), "GET / a 1.1 keep none"),
        GOOD(GET("Connection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n"), "GET / a 1.1 keep none"),
        WITH_BODY(POST("Connection: close\r\nContent-Length: 2\r\n") "{}",
                  "POST / a 1.1 close length:2", "{}"),
        GOOD(GET("Proxy-Connection: close\r\n"), "GET / a 1.1 keep none"),
        GOOD(OLD("Connection: keep-alive\r\n"), "GET /  1.0 keep none"),
        GOOD(OLD("Connection: Keep-Alive, close\r\n"), "GET /  1.0 close none"),
        GOOD(OLD("Connection: close\r\n"), "GET /  1.0 close none"),
        GOOD(OLD("Connection: x\r\n"), "GET /  1.0 close none"),
        BAD(GET("Connection: close x\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: \"close\"\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: close;q=1\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: caf\xc3\xa9\r\n"), DP_EBADREQUEST),
        /* naming what must not be dropped */
        BAD(GET("Connection: host\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: Content-Length\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: close, Transfer-Encoding\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: x\r\nConnection: Authorization\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: cookie\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: expect\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: X-HTTP-Method-Override\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: x-forwarded-for\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: via\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: if-match\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: content-type\r\n"), DP_EBADREQUEST),
        BAD(GET("Connection: destination\r\n"), DP_EBADREQUEST),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void test_expect(void **state)
{
    (void)state;
    static const struct http_case cases[] = {
        WITH_BODY(POST("Expect: 100-continue\r\nContent-Length: 2\r\n") "{}",
                  "POST / a 1.1 keep length:2 expect", "{}"),
        GOOD(POST("expect: 100-Continue\r\n"), "POST / a 1.1 keep none expect"),
        GOOD(OLD("Expect: 100-continue\r\n"), "GET /  1.0 close none"),
        BAD(POST("Expect: 200-ok\r\n"), DP_EEXPECT),
        BAD(POST("Expect:\r\n"), DP_EEXPECT),
        BAD(POST("Expect: 100-continue, x\r\n"), DP_EEXPECT),
        BAD(POST("Expect: 100-continue\r\nExpect: 100-continue\r\n"), DP_EEXPECT),
        BAD(POST("Expect: 100-continue;x=y\r\n"), DP_EEXPECT),
        BAD(OLD("Expect: x\r\n"), DP_EEXPECT),
    };
    CHECK_CASES(REQUESTS, cases);
}

static void check_fields(struct dp_span input, const char *fields)
{
    const struct setup setup = REQUESTS;
    struct result got = run(&setup, input);
    assert_int_equal(got.read, DP_READ_DONE);
    assert_string_equal(got.fields.p, fields);
    result_fini(&got);
}

static void test_fields_are_kept_in_order_and_trimmed(void **state)
{
    (void)state;
    check_fields(
        DP_SPAN(LINE "B: 1\r\nhost: a\r\nB:2\r\nEmpty:\r\nBlank: \t \r\nb: \t3 4\t \r\n\r\n"),
        "B: 1\nhost: a\nB: 2\nEmpty: \nBlank: \nb: 3 4\n");
    check_fields(DP_SPAN("GET / HTTP/1.0\r\n\r\n"), "");
}

static void test_fields_named_by_connection(void **state)
{
    (void)state;
    /* before and after, in any case, every one of that name, and not what only looks alike */
    check_fields(
        DP_SPAN(GET("X-A: 1\r\nConnection: x-a, te,,x-B ,none\r\nx-a: 2\r\nX-AB: 3\r\nX-b: "
                    "4\r\nTE: trailers\r\nX: 5\r\n")),
        "Host: a\n~X-A: 1\nConnection: x-a, te,,x-B ,none\n~x-a: 2\nX-AB: 3\n~X-b: 4\nTE: "
        "trailers\nX: 5\n");
    check_fields(DP_SPAN(GET("Connection: p\r\nP: 1\r\nConnection: q\r\nQ: 1\r\n")),
                 "Host: a\nConnection: p\n~P: 1\nConnection: q\n~Q: 1\n");
    check_fields(DP_SPAN(LINE "X: 1\r\nConnection: x\r\nHost: a\r\nx: 2\r\n\r\n"),
                 "~X: 1\nConnection: x\nHost: a\n~x: 2\n");
    /* options that are no names */
    check_fields(DP_SPAN(GET("Connection: close, keep-alive\r\nClose: 1\r\nKeep-Alive: 2\r\n")),
                 "Host: a\nConnection: close, keep-alive\nClose: 1\nKeep-Alive: 2\n");
}

static void test_connection_options_are_bounded(void **state)
{
    (void)state;
    for (size_t n = 31; n <= 33; n++) {
        struct text t = {0};
        text_add_str(&t, LINE "Host: a\r\nConnection: a");
        for (size_t i = 1; i < n; i++)
            text_add_str(&t, ",b");
        text_add_str(&t, "\r\n\r\n");
        const struct setup setup = REQUESTS;
        struct result got = run(&setup, (struct dp_span){t.p, t.n});
        assert_int_equal(got.err, n <= 32 ? DP_OK : DP_EBADREQUEST);
        result_fini(&got);
        free(t.p);
    }
}

/* The grammar, written down a second time. */
static bool is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_tchar(int c)
{
    return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_value(int c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static void test_every_byte_in_every_place(void **state)
{
    (void)state;
    const struct setup s = REQUESTS;
    for (int c = 0; c < 256; c++) {
        const char b = (char)c;
        const bool name =
            accepts_byte(&s, DP_SPAN(LINE "Host: a\r\nX"), b, DP_SPAN("Y: z\r\n\r\n"));
        const bool first =
            accepts_byte(&s, DP_SPAN(LINE "Host: a\r\n"), b, DP_SPAN("Y: z\r\n\r\n"));
        const bool value =
            accepts_byte(&s, DP_SPAN(LINE "Host: a\r\nX: y"), b, DP_SPAN("z\r\n\r\n"));
        const bool target =
            accepts_byte(&s, DP_SPAN("GET /a"), b, DP_SPAN("b HTTP/1.1\r\nHost: a\r\n\r\n"));
        const bool query =
            accepts_byte(&s, DP_SPAN("GET /?a"), b, DP_SPAN(" HTTP/1.1\r\nHost: a\r\n\r\n"));
        const bool host = accepts_byte(&s, DP_SPAN(LINE "Host: a"), b, DP_SPAN("b\r\n\r\n"));
        const bool version =
            accepts_byte(&s, DP_SPAN("GET / HTTP/1."), b, DP_SPAN("\r\nHost: a\r\n\r\n"));
        const bool ending = accepts_byte(&s, DP_SPAN(LINE "Host: a"), b, DP_SPAN("\n\r\n"));
        const bool last = accepts_byte(&s, DP_SPAN(LINE "Host: a\r\n\r"), b, DP_SPAN(""));
        /* ':' within a name only ends it sooner */
        if (name != (is_tchar(c) || c == ':') || first != is_tchar(c) || value != is_value(c) ||
            target != (c > ' ' && c < 0x7f && c != '#') || query != target ||
            host != (is_alnum(c) || (c != 0 && strchr("-._", c) != NULL)) ||
            version != (c == '0' || c == '1') || ending != (c == '\r') || last != (c == '\n')) {
            fail_msg(
                "byte %02x: name %d %d, value %d, target %d %d, host %d, version %d, ends %d %d",
                (unsigned)c, name, first, value, target, query, host, version, ending, last);
        }
    }
}

static void test_methods_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum dp_method method;
    } rows[] = {
        {"GET", DP_METHOD_GET},        {"HEAD", DP_METHOD_HEAD},     {"POST", DP_METHOD_POST},
        {"PUT", DP_METHOD_PUT},        {"DELETE", DP_METHOD_DELETE}, {"OPTIONS", DP_METHOD_OPTIONS},
        {"COPY", DP_METHOD_OTHER},     {"PATCH", DP_METHOD_OTHER},   {"M-SEARCH", DP_METHOD_OTHER},
        {"PROPFIND", DP_METHOD_OTHER},
    };
    const struct dp_reader_limits limits = DEFAULT_LIMITS;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64];
        const int n =
            snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].text);
        struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
        struct dp_arena arena;
        struct dp_head head;
        size_t consumed = 0;
        dp_arena_init(&arena, NULL);
        dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
        assert_int_equal(dp_reader_head(r, text, (size_t)n, &consumed), DP_READ_DONE);
        assert_int_equal(head.method, rows[i].method);
        assert_true(dp_span_eq(head.method_text, dp_span_str(rows[i].text)));
        assert_true(dp_span_eq(head.raw, dp_span_str(text)));
        dp_reader_destroy(r);
        dp_arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_lines),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_host_is_bounded),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_field_syntax),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_fields_are_kept_in_order_and_trimmed),
        cmocka_unit_test(test_fields_named_by_connection),
        cmocka_unit_test(test_connection_options_are_bounded),
        cmocka_unit_test(test_every_byte_in_every_place),
        cmocka_unit_test(test_methods_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
