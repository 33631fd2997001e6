/* The access log: what a line looks like whatever a client sends, which exchanges get one, and that each gets
 * exactly one. */
#include "proxy/access_log.h"
#include "proxy/ids.h"
#include "support/rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* ---- the formatter ---- */

static struct dp_access_record good_record(void)
{
    return (struct dp_access_record){
        .wall_ms = INT64_C(1795381384567), /* 2026-11-22T21:03:04.567Z */
        .client = "192.0.2.7",
        .method = DP_SPAN("GET"),
        .target = DP_SPAN("/db/doc?rev=1-a"),
        .klass = "read",
        .minor = 1,
        .status = 200,
        .bytes_in = 0,
        .bytes_out = 250,
        .total_ns = 12345678,
        .queue_ns = 2000000,
        .hold_ns = 3000000,
        .first_byte_ns = 9004999,
        .region = "east",
        .endpoint = "db.example:5984",
        .sent = true,
        .head_ns = 1999999,
        .attempts = 1,
        .reached = '-',
        .clients = 7,
        .regions = 3,
        .in_flight = 2,
        .in_line = 4,
        .held = 5,
        .end = DP_END_ANSWERED,
        .request_id = DP_SPAN("a1-b2"),
        .trace_id = DP_SPAN("0af7651916cd43dd8448eb211c80319c"),
        .user_agent = DP_SPAN("nano/10"),
    };
}

/* The line without its newline. */
static const char *line_of(enum dp_access_format f, const struct dp_access_record *r)
{
    static char out[DP_ACCESS_LINE_BYTES + 1];
    struct dp_access_time time = {0};
    size_t n = dp_access_format(f, r, &time, out);
    assert_in_range(n, 1, DP_ACCESS_LINE_BYTES);
    assert_int_equal(out[n - 1], '\n');
    assert_null(memchr(out, '\n', n - 1));
    out[n - 1] = '\0';
    return out;
}

static void a_line_of_each_format(void **state)
{
    (void)state;
    struct dp_access_record r = good_record();
    assert_string_equal(
        line_of(DP_ACCESS_JSON, &r),
        "{\"time\":\"2026-11-22T21:03:04.567Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\","
        "\"class\":\"read\",\"target\":\"/db/doc?rev=1-a\",\"http\":\"1.1\",\"status\":200,"
        "\"bytes_in\":0,\"bytes_out\":250,\"total_ms\":12.345,\"queue_ms\":2.000,\"hold_ms\":3.000,"
        "\"first_byte_ms\":9.004,\"region\":\"east\",\"attempts\":1,\"end\":\"answered\","
        "\"reason\":null,\"request_id\":\"a1-b2\","
        "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"user_agent\":\"nano/10\"}");
    assert_string_equal(line_of(DP_ACCESS_COMBINED, &r),
                        "192.0.2.7 - - [22/Nov/2026:21:03:04 +0000] "
                        "\"GET /db/doc?rev=1-a HTTP/1.1\" 200 250 \"-\" \"nano/10\"");
    assert_string_equal(line_of(DP_ACCESS_HAPROXY, &r),
                        "192.0.2.7:0 [22/Nov/2026:21:03:04.555] davenport east/db.example:5984 "
                        "1/3/2/9/12 200 250 - - ---- 7/7/3/2/0 4/5 "
                        "\"GET /db/doc?rev=1-a HTTP/1.1\"");
    r.reason = DP_REASON_FAILED_OVER;
    r.attempts = 2;
    assert_non_null(strstr(line_of(DP_ACCESS_HAPROXY, &r), " ---- 7/7/3/2/+1 4/5 "));
    r.end = DP_END_CUT;
    r.reason = DP_REASON_TRUNCATED;
    r.reached = 'D';
    assert_non_null(strstr(line_of(DP_ACCESS_HAPROXY, &r), " SD-- 7/7/3/2/1 4/5 "));
}

static void what_is_not_known_is_said_so(void **state)
{
    (void)state;
    const struct dp_access_record r = {.client = "::1",
                                       .first_byte_ns = DP_NO_TIME,
                                       .head_ns = DP_NO_TIME,
                                       .reached = 'R',
                                       .end = DP_END_REFUSED,
                                       .reason = DP_REASON_HEAD_SIZE,
                                       .status = 431};
    assert_string_equal(
        line_of(DP_ACCESS_JSON, &r),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"::1\",\"method\":null,\"class\":null,"
        "\"target\":null,\"http\":null,\"status\":431,\"bytes_in\":0,\"bytes_out\":0,"
        "\"total_ms\":0.000,\"queue_ms\":0.000,\"hold_ms\":0.000,\"first_byte_ms\":null,\"region\":"
        "null,"
        "\"attempts\":0,\"end\":\"refused\",\"reason\":\"headers_too_large\",\"request_id\":null,"
        "\"trace_id\":null,\"user_agent\":null}");
    assert_string_equal(line_of(DP_ACCESS_COMBINED, &r),
                        "::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 431 0 \"-\" \"-\"");
    assert_string_equal(line_of(DP_ACCESS_HAPROXY, &r),
                        "::1:0 [01/Jan/1970:00:00:00.000] davenport davenport/<NOSRV> "
                        "-1/-1/-1/-1/0 431 0 - - PR-- 0/0/0/0/0 0/0 \"<BADREQ>\"");
}

static unsigned char byte_of(const char *p)
{
    static const char digits[] = "0123456789ABCDEF";
    return (unsigned char)((strchr(digits, p[0]) - digits) * 16 + (strchr(digits, p[1]) - digits));
}

/* One line of printable ASCII with two quotes, between which stands what was asked, each byte of it. */
static void haproxy_says(const struct dp_access_record *r, const char *text, size_t n)
{
    const char *line = line_of(DP_ACCESS_HAPROXY, r);
    const char *p = strchr(line, '"') + 1;
    char said[64];
    size_t at = 0;
    for (; *p != '"'; p++) {
        assert_in_range(*p, 0x20, 0x7E);
        if (*p == '#') {
            said[at++] = (char)byte_of(p + 1);
            p += 2;
        } else {
            said[at++] = *p;
        }
    }
    assert_string_equal(p, "\"");
    assert_int_equal(at, 2 * n + strlen("  HTTP/1.1"));
    assert_memory_equal(said, text, n);
    assert_memory_equal(said + n + 1, text, n);
}

/* Every byte in each field that a client chooses: valid JSON that says the same, and one line of printable ASCII
 * whose quotes are those of the format. */
static void no_byte_breaks_a_line(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        const char text[] = {'/', (char)c, 'x', (char)c, (char)c};
        struct dp_access_record r = good_record();
        r.method = r.target = r.user_agent = (struct dp_span){text, sizeof(text)};
        json_error_t error;
        json_t *doc = json_loads(line_of(DP_ACCESS_JSON, &r),
                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (!doc)
            fail_msg("byte %u: %s", c, error.text);
        const json_t *target = json_object_get(doc, "target");
        if (c < 0x80) {
            assert_int_equal(json_string_length(target), sizeof(text));
            assert_memory_equal(json_string_value(target), text, sizeof(text));
        } else {
            assert_string_equal(json_string_value(target),
                                "/\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD");
        }
        json_decref(doc);
        unsigned quotes = 0;
        for (const char *p = line_of(DP_ACCESS_COMBINED, &r); *p; p++) {
            assert_in_range(*p, 0x20, 0x7E);
            if (*p == '\\')
                p++;
            else
                quotes += *p == '"';
        }
        assert_int_equal(quotes, 6);
        haproxy_says(&r, text, sizeof(text));
    }
}

static void escapes_are_apaches(void **state)
{
    (void)state;
    struct dp_access_record r = good_record();
    r.target = DP_SPAN("/a\"b\\c\td\x7F\xC3\xA9");
    assert_non_null(strstr(line_of(DP_ACCESS_COMBINED, &r),
                           "\"GET /a\\\"b\\\\c\\x09d\\x7f\\xc3\\xa9 HTTP/1.1\""));
    assert_non_null(
        strstr(line_of(DP_ACCESS_JSON, &r), "\"target\":\"/a\\\"b\\\\c\\u0009d\\u007f\xC3\xA9\""));
}

/* Whatever the byte costs when it is escaped: within the line, whole characters, and it says that it was cut. */
static void overlong_values_are_cut_and_say_so(void **state)
{
    (void)state;
    static const char fillers[] = {'a', '"', '\x01', '\xFF', '\0'};
    static char text[20000];
    for (size_t i = 0; i < sizeof(fillers); i++) {
        struct dp_access_record r = good_record();
        char id[DP_REQUEST_ID_MAX];
        memset(id, 'i', sizeof(id));
        r.request_id = (struct dp_span){id, sizeof(id)};
        memset(text, fillers[i], sizeof(text));
        r.method = r.target = r.user_agent = (struct dp_span){text, sizeof(text)};
        json_t *doc = json_loads(line_of(DP_ACCESS_JSON, &r), JSON_ALLOW_NUL, NULL);
        assert_non_null(doc);
        assert_true(json_is_true(json_object_get(doc, "target_cut")));
        assert_true(json_is_true(json_object_get(doc, "user_agent_cut")));
        assert_true(json_string_length(json_object_get(doc, "target")) >=
                    DP_ACCESS_TARGET_BYTES / 6);
        json_decref(doc);
        const char *line = line_of(DP_ACCESS_COMBINED, &r);
        assert_non_null(strstr(line, "... HTTP/1.1\" 200"));
        assert_string_equal(line + strlen(line) - 4, "...\"");
        assert_non_null(strstr(line_of(DP_ACCESS_HAPROXY, &r), "... HTTP/1.1\""));
    }
}

static void a_second_is_formatted_anew_when_it_is_another(void **state)
{
    (void)state;
    struct dp_access_time time = {0};
    struct dp_access_record r = good_record();
    char out[DP_ACCESS_LINE_BYTES];
    static const struct {
        int64_t add_ms;
        const char *want[DP_ACCESS_FORMAT_COUNT];
    } rows[] = {
        {0, {"21:03:04.567Z", "21:03:04 ", "21:03:04.555]"}},
        {433, {"21:03:05.000Z", "21:03:05 ", "21:03:04.988]"}},
        {445, {"21:03:05.012Z", "21:03:05 ", "21:03:05.000]"}},
        {432, {"21:03:04.999Z", "21:03:04 ", "21:03:04.987]"}}, /* clocks are set back */
        {86400000, {"2026-11-23T21:03:04.567Z", "23/Nov/2026:21:03:04 ", "[23/Nov/2026:21:03"}}};
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        r.wall_ms = good_record().wall_ms + rows[i].add_ms;
        for (unsigned f = 0; f < DP_ACCESS_FORMAT_COUNT; f++) {
            size_t n = dp_access_format((enum dp_access_format)f, &r, &time, out);
            const char *want = rows[i].want[f];
            assert_non_null(memmem(out, n, want, strlen(want)));
        }
    }
}

/* ---- exchanges ---- */

struct desk {
    struct rig rig;
    char path[64];
};

static void begin(struct desk *d, unsigned regions)
{
    char why[DP_SINK_WHY];
    *d = (struct desk){.path = "/tmp/davenport-access-XXXXXX"};
    int fd = mkstemp(d->path);
    assert_true(fd >= 0);
    (void)close(fd);
    rig_init(&d->rig, regions);
    d->rig.access = (struct dp_access_config){.sample_percent = 100, .flush_ms = 1000};
    assert_int_equal(dp_sink_open(d->path, 4, 1000, &d->rig.access.sink, why), DP_OK);
}

/* Ends all; the lines as an array of objects. */
static json_t *end(struct desk *d)
{
    char line[8192];
    json_t *lines = json_array();
    rig_fini(&d->rig);
    dp_sink_close(d->rig.access.sink);
    FILE *f = fopen(d->path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        json_t *one = json_loads(line, 0, NULL);
        assert_non_null(one);
        assert_int_equal(json_array_append_new(lines, one), 0);
    }
    (void)fclose(f);
    (void)unlink(d->path);
    return lines;
}

static const char *text_of(const json_t *lines, size_t i, const char *key)
{
    const char *text = json_string_value(json_object_get(json_array_get(lines, i), key));
    return text ? text : "null";
}

static json_int_t number_of(const json_t *lines, size_t i, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(lines, i), key));
}

/* One exchange: its end, its reason, its status. */
static void expect_line(const json_t *lines, size_t i, const char *end_word, const char *reason,
                        json_int_t status)
{
    assert_string_equal(text_of(lines, i, "end"), end_word);
    assert_string_equal(text_of(lines, i, "reason"), reason);
    assert_int_equal(number_of(lines, i, "status"), status);
}

static const char put_doc[] =
    "PUT /db/doc HTTP/1.1\r\nHost: a\r\nUser-Agent: nano/10\r\n"
    "X-Request-Id: mine\r\n"
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    "Authorization: Basic c2VjcmV0\r\nCookie: AuthSession=secret\r\n"
    "Content-Length: 5\r\n\r\nhello";
static const char get_doc[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

static void an_answer_is_logged_with_what_is_known(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 1);
    rig_start(&d.rig);
    struct rig_peer *c = rig_client(&d.rig);
    rig_send_bytes(c, put_doc, strlen(put_doc) - 3, 0);
    rig_wait(&d.rig, 30);
    up = rig_dialed(&d.rig, 1);
    rig_connect(up, DP_OK);
    rig_send(c, "llo");
    rig_wait(&d.rig, 20);
    rig_send(up, "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\n");
    rig_wait(&d.rig, 50);
    rig_send(up, "yes");
    json_t *lines = end(&d);
    assert_int_equal(json_array_size(lines), 1);
    expect_line(lines, 0, "answered", "null", 201);
    assert_string_equal(text_of(lines, 0, "client"), "192.0.2.7");
    assert_string_equal(text_of(lines, 0, "method"), "PUT");
    assert_string_equal(text_of(lines, 0, "target"), "/db/doc");
    assert_string_equal(text_of(lines, 0, "class"), "write");
    assert_string_equal(text_of(lines, 0, "region"), "r0");
    assert_string_equal(text_of(lines, 0, "user_agent"), "nano/10");
    assert_string_equal(text_of(lines, 0, "request_id"), "mine");
    assert_string_equal(text_of(lines, 0, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_int_equal(number_of(lines, 0, "bytes_in"), 5);
    assert_int_equal(number_of(lines, 0, "bytes_out"), 3);
    assert_int_equal(number_of(lines, 0, "attempts"), 1);
    const json_t *line = json_array_get(lines, 0);
    assert_true(json_real_value(json_object_get(line, "total_ms")) == 100);
    assert_true(json_real_value(json_object_get(line, "queue_ms")) == 30);
    assert_true(json_real_value(json_object_get(line, "first_byte_ms")) == 20);
    char *all = json_dumps(lines, 0);
    assert_null(strstr(all, "ecret"));
    assert_null(strstr(all, "c2Vj"));
    free(all);
    json_decref(lines);
}

static void a_rescued_request_is_one_line(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 2);
    rig_start(&d.rig);
    (void)rig_request(&d.rig, get_doc, &up);
    rig_end(up, DP_ERESET);
    up = rig_dialed(&d.rig, 2);
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    json_t *lines = end(&d);
    assert_int_equal(json_array_size(lines), 1);
    expect_line(lines, 0, "answered", "failed_over", 200);
    assert_string_equal(text_of(lines, 0, "region"), "r1");
    assert_int_equal(number_of(lines, 0, "attempts"), 2);
    json_decref(lines);
}

/* A connection that was turned away has a line, whose status is what it was told, if it was. */
static void a_connection_past_the_limit_is_one_line(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, 1);
    d.rig.config.max_connections = 1;
    d.rig.config.proxy_header =
        true; /* so that the double can be prepared before it is turned away */
    rig_start(&d.rig);
    rig_send(rig_client(&d.rig), "PROXY UNKNOWN\r\n");
    rig_send(rig_client(&d.rig), "PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n");
    struct rig_peer *c = rig_client(&d.rig);
    c->write_error = DP_ECLOSED; /* as TLS does before its handshake */
    rig_send(c, "PROXY UNKNOWN\r\n");
    assert_true(c->closed);
    json_t *lines = end(&d);
    assert_int_equal(json_array_size(lines), 2);
    expect_line(lines, 0, "refused", "too_many_connections", 503);
    assert_string_equal(text_of(lines, 0, "client"), "192.0.2.9");
    assert_true(number_of(lines, 0, "bytes_out") > 0);
    expect_line(lines, 1, "refused", "too_many_connections", 0);
    assert_int_equal(number_of(lines, 1, "bytes_out"), 0);
    json_decref(lines);
}

static void every_way_to_end_is_one_line(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *c, *up;
    begin(&d, 1);
    d.rig.config.answer_timeout_ms = 3000;
    d.rig.config.whole_answer_bytes = 0;
    rig_start(&d.rig);
    /* refused heads: not understood, understood in part, too long */
    rig_send(rig_client(&d.rig), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    rig_send(rig_client(&d.rig), "BAD\x01 / HTTP/1.1\r\n\r\n");
    c = rig_client(&d.rig);
    for (unsigned i = 0; i < 400 && !c->finished && !c->closed; i++)
        rig_send(c,
                 i ? "X-Padding: 0123456789012345678901234567890\r\n" : "GET /long HTTP/1.1\r\n");
    /* a whole URL whose head is refused: its password stays out */
    rig_send(rig_client(&d.rig), "GET http://u:pass@h/ HTTP/1.1\r\nHost: h\r\n\r\n");
    /* gone within the head, and before the answer */
    c = rig_client(&d.rig);
    rig_send(c, "GET /half HT");
    rig_end(c, DP_OK);
    c = rig_request(&d.rig, get_doc, &up);
    rig_end(c, DP_ERESET);
    /* cut: the region dies within its answer */
    (void)rig_request(&d.rig, get_doc, &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
    rig_end(up, DP_ERESET);
    /* no head in time; no answer in time */
    rig_send(rig_client(&d.rig), "GET /slow HT");
    rig_wait(&d.rig, 11000);
    (void)rig_request(&d.rig, "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", &up);
    rig_wait(&d.rig, 4000);
    /* a feed whose region dies, behind a line: a proper end to its client, and the reason here */
    (void)rig_request(&d.rig, "GET /d/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n");
    rig_end(up, DP_OK);
    /* a feed that a drain ends, and what is under way at its deadline */
    (void)rig_request(&d.rig, "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n");
    (void)rig_request(&d.rig, get_doc, &up);
    dp_engine_drain(&d.rig.engine);
    rig_turn(&d.rig);
    json_t *lines = end(&d);
    static const struct {
        const char *end, *reason, *target;
        json_int_t status;
    } rows[] = {
        {"refused", "bad_host", "/", 400},
        {"refused", "bad_request", "null", 400},
        {"refused", "headers_too_large", "null", 431},
        {"refused", "bad_host", "null", 400},
        {"client_gone", "client_gone", "null", 0},
        {"client_gone", "client_gone", "/db/doc", 0},
        {"cut", "truncated", "/db/doc", 200},
        {"refused", "head_timeout", "null", 408},
        {"refused", "outcome_unknown", "/db", 503},
        {"feed_ended", "truncated", "/d/_changes?feed=continuous", 200},
        {"feed_ended", "feed_ended", "/db/_changes?feed=continuous", 200},
        {"aborted", "aborted", "/db/doc", 0},
    };
    assert_int_equal(json_array_size(lines), DP_ARRAY_LEN(rows));
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        print_message("row %zu: %s %s\n", i, rows[i].end, rows[i].reason);
        expect_line(lines, i, rows[i].end, rows[i].reason, rows[i].status);
        assert_string_equal(text_of(lines, i, "target"), rows[i].target);
    }
    assert_int_equal(dp_counter_get(&d.rig.traffic.requests), DP_ARRAY_LEN(rows));
    assert_int_equal(dp_counter_get(&d.rig.traffic.access_log_lines), DP_ARRAY_LEN(rows));
    json_decref(lines);
}

static void a_sample_is_even_and_never_leaves_out_what_went_wrong(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 1);
    d.rig.access.sample_percent = 25;
    rig_start(&d.rig);
    struct rig_peer *c = rig_request(&d.rig, get_doc, &up);
    rig_send(up, ok);
    for (unsigned i = 1; i < 40; i++) {
        rig_send(c, get_doc);
        rig_send(up, ok);
    }
    for (unsigned i = 0; i < 5; i++) {
        rig_send(c, get_doc);
        rig_send(up, "HTTP/1.1 404 Object Not Found\r\nContent-Length: 0\r\n\r\n");
    }
    json_t *lines = end(&d);
    assert_int_equal(json_array_size(lines), 10 + 5);
    for (size_t i = 0; i < 10; i++)
        expect_line(lines, i, "answered", "null", 200);
    for (size_t i = 10; i < 15; i++)
        expect_line(lines, i, "answered", "region_4xx", 404);
    json_decref(lines);
}

/* A pipe that nobody reads: lines are dropped, counted, and nothing waits. */
static void a_full_sink_drops_and_counts(void **state)
{
    (void)state;
    char folder[] = "/tmp/davenport-fifo-XXXXXX", path[64], why[DP_SINK_WHY];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/log", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct dp_traffic *traffic = calloc(1, sizeof(*traffic));
    struct dp_access_log log;
    struct dp_access_config config = {.sample_percent = 100, .flush_ms = 1000};
    assert_non_null(traffic);
    assert_int_equal(dp_sink_open(path, 2, 1, &config.sink, why), DP_OK);
    dp_access_log_init(&log, &config, traffic);
    const struct dp_access_record r = good_record();
    const uint64_t n = 5000; /* some 1.5 MB: past a pipe and two chunks */
    for (uint64_t i = 0; i < n; i++) {
        dp_access_log_add(&log, &r);
        dp_access_log_tick(&log, i * DP_NS_PER_S);
    }
    dp_access_log_fini(&log);
    uint64_t lines = dp_counter_get(&traffic->access_log_lines);
    uint64_t dropped = dp_counter_get(&traffic->access_log_dropped);
    assert_int_equal(lines + dropped, n);
    assert_in_range(dropped, 1, n - 1);
    dp_sink_close(config.sink);
    (void)close(reader);
    (void)unlink(path);
    (void)rmdir(folder);
    free(traffic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_each_format),
        cmocka_unit_test(what_is_not_known_is_said_so),
        cmocka_unit_test(no_byte_breaks_a_line),
        cmocka_unit_test(escapes_are_apaches),
        cmocka_unit_test(overlong_values_are_cut_and_say_so),
        cmocka_unit_test(a_second_is_formatted_anew_when_it_is_another),
        cmocka_unit_test(an_answer_is_logged_with_what_is_known),
        cmocka_unit_test(a_rescued_request_is_one_line),
        cmocka_unit_test(a_connection_past_the_limit_is_one_line),
        cmocka_unit_test(every_way_to_end_is_one_line),
        cmocka_unit_test(a_sample_is_even_and_never_leaves_out_what_went_wrong),
        cmocka_unit_test(a_full_sink_drops_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
