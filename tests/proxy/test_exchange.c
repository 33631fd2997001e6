/* One request and its answer: what the region sees, what the client sees, and what becomes of the
 * connections. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char get_doc[] =
    "GET /db/doc HTTP/1.1\r\nHost: app:5984\r\nAccept: application/json\r\n\r\n";
static const char get_doc_seen[] =
    "GET /db/doc HTTP/1.1\r\nHost: r0.example:80\r\nAccept: application/json\r\n"
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app:5984\r\nX-Forwarded-Proto: http\r\n"
    "Via: 1.1 davenport\r\n\r\n";

static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

/* A message pair: request bytes, what the region must see, the region's answer, what the client
 * must see. */
struct row {
    const char *name;
    const char *request, *seen, *answer, *got;
    bool region_kept, client_kept; /* the connections afterwards */
};

#define TAIL                                                                                       \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\n"             \
    "Via: 1.1 davenport\r\n\r\n"
#define TAIL10                                                                                     \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\n"             \
    "Via: 1.0 davenport\r\n\r\n"

static const struct row rows[] = {
    {"content-length both ways", "PUT /d/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     "PUT /d/x HTTP/1.1\r\nHost: r0.example:80\r\nContent-Length: 5\r\n" TAIL "hello",
     "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Length: 3\r\nETag: \"1-a\"\r\n\r\nyes",
     "HTTP/1.1 201 Created\r\nDate: D\r\nETag: \"1-a\"\r\nContent-Length: 3\r\n\r\nyes", true,
     true},
    {"hop-by-hop and Connection-named fields end here, both ways",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
     "TE: trailers\r\nX-End: 2\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\nX-End: 2\r\n"
     "TE: trailers\r\nConnection: TE\r\n" TAIL,
     "HTTP/1.1 200 OK\r\nDate: D\r\nConnection: X-Other\r\nX-Other: 3\r\nX-Kept: "
     "4\r\nContent-Length: "
     "0\r\n\r\n",
     "HTTP/1.1 200 OK\r\nDate: D\r\nX-Kept: 4\r\nContent-Length: 0\r\n\r\n", true, true},
    {"no content", "DELETE /d HTTP/1.1\r\nHost: a\r\n\r\n",
     "DELETE /d HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL,
     "HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n", "HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n",
     true, true},
    {"not modified keeps its length", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL,
     "HTTP/1.1 304 Not Modified\r\nDate: D\r\nContent-Length: 99\r\n\r\n",
     "HTTP/1.1 304 Not Modified\r\nDate: D\r\nContent-Length: 99\r\n\r\n", true, true},
    {"HEAD has a length and no body", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
     "HEAD / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL,
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 1234\r\n\r\n",
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 1234\r\n\r\n", true, true},
    {"the region closes after its answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL,
     "HTTP/1.1 200 OK\r\nDate: D\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi", false, true},
    {"the client asks to close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL, ok,
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", true, false},
    {"HTTP/1.0 closes", "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL10, ok,
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", true, false},
    {"HTTP/1.0 keeps when asked", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL10, ok,
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", true,
     true},
    {"a length is not chunked for HTTP/1.0",
     "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL10,
     "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
     "HTTP/1.1 200 OK\r\nDate: D\r\nConnection: close\r\n\r\nhi", true, false},
    {"100 goes to who expects it, the final answer follows",
     "PUT /d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
     "PUT /d HTTP/1.1\r\nHost: r0.example:80\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" TAIL
     "ab",
     "HTTP/1.1 100 Continue\r\nConnection: close\r\nServer: MochiWeb\r\n\r\n"
     "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 100 Continue\r\nServer: MochiWeb\r\n\r\n"
     "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Length: 0\r\n\r\n",
     true, true},
    {"103 is passed on, 102 is not", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\n" TAIL,
     "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
     "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi",
     "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: "
     "2\r\n\r\nhi",
     true, true},
    {"a spoofed X-Forwarded-For keeps the true peer last",
     "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: r0.example:80\r\nX-Forwarded-For: 1.2.3.4, 192.0.2.7\r\n"
     "X-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nVia: 1.1 davenport\r\n\r\n",
     ok, ok, true, true},
};

static void run_row(const struct row *row, size_t step)
{
    struct rig r;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    print_message("%s, step %zu\n", row->name, step);
    rig_send_bytes(c, row->request, strlen(row->request), step);
    struct rig_peer *up = rig_dialed(&r, 1);
    rig_connect(up, DP_OK);
    assert_string_equal(up->got, row->seen);
    rig_send_bytes(up, row->answer, strlen(row->answer), step);
    assert_string_equal(c->got, row->got);
    assert_int_equal(!up->closed, row->region_kept);
    assert_int_equal(!c->closed, row->client_kept);
    assert_int_equal(dp_counter_get(&r.traffic.upstream_connections_idle), row->region_kept);
    assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_ANSWERED]), 1);
    rig_fini(&r);
}

static void messages_pass_whole_and_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        run_row(&rows[i], 0);
        run_row(&rows[i], 1);
        run_row(&rows[i], 7);
    }
}

/* Chunks may be cut anew, so compare what they carry. */
static void unchunk(const char *text, char *out, size_t cap, bool *whole)
{
    const char *p = strstr(text, "\r\n\r\n");
    size_t at = 0;
    *whole = false;
    assert_non_null(p);
    for (p += 4; *p;) {
        char *end;
        size_t n = strtoul(p, &end, 16);
        assert_int_equal(strncmp(end, "\r\n", 2), 0);
        p = end + 2;
        if (n == 0) {
            *whole = strcmp(p, "\r\n") == 0;
            break;
        }
        assert_true(at + n < cap && strlen(p) >= n + 2);
        memcpy(out + at, p, n);
        at += n;
        p += n + 2;
    }
    out[at] = '\0';
}

static void chunked_bodies_keep_their_bytes(void **state)
{
    static const char request[] = "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n"
                                  "4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\n\r\n";
    static const char answer[] = "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "2\r\nhi\r\nA\r\n0123456789\r\n0\r\n\r\n";
    (void)state;
    for (size_t step = 0; step < 9; step++) {
        struct rig r;
        char body[64];
        bool whole;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send_bytes(c, request, strlen(request), step);
        struct rig_peer *up = rig_dialed(&r, 1);
        rig_connect(up, DP_OK);
        assert_non_null(strstr(up->got, "Transfer-Encoding: chunked\r\n"));
        assert_null(strstr(up->got, "x=y"));
        unchunk(up->got, body, sizeof(body), &whole);
        assert_true(whole);
        assert_string_equal(body, "abcdefg");
        rig_send_bytes(up, answer, strlen(answer), step);
        unchunk(c->got, body, sizeof(body), &whole);
        assert_true(whole);
        assert_string_equal(body, "hi0123456789");
        assert_false(up->closed);
        rig_fini(&r);
    }
}

static void a_body_that_ends_by_closing_is_chunked_for_the_client(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char body[64];
    bool whole;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get_doc, &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\n\r\nall of ");
    rig_send(up, "it");
    rig_end(up, DP_OK);
    unchunk(c->got, body, sizeof(body), &whole);
    assert_true(whole);
    assert_string_equal(body, "all of it");
    assert_false(c->closed);
    assert_true(up->closed);
    rig_fini(&r);
}

static void a_client_by_tls_is_told_to_the_region(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.client_tls = true;
    rig_start(&r);
    (void)rig_request(&r, get_doc, &up);
    assert_non_null(strstr(up->got, "\r\nX-Forwarded-Proto: https\r\n"));
    /* one that never finishes its handshake has no more time than one that never finishes its head */
    struct rig_peer *silent = rig_client(&r);
    rig_wait(&r, r.config.head_timeout_ms);
    assert_true(silent->closed);
    rig_fini(&r);
}

static void a_kept_connection_carries_the_next_request(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get_doc, &up);
    assert_string_equal(up->got, get_doc_seen);
    rig_send(up, ok);
    for (int i = 0; i < 3; i++) {
        rig_clear(up);
        rig_clear(c);
        rig_send(c, get_doc);
        assert_string_equal(up->got, get_doc_seen);
        rig_send(up, ok);
        assert_string_equal(c->got, ok);
    }
    (void)rig_dialed(&r, 1);
    rig_fini(&r);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r,
                                     "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                                     "PUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                                     "GET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HT",
                                     &up);
    assert_int_equal(strncmp(up->got, "GET /1 ", 7), 0);
    rig_clear(up);
    rig_send(up, ok);
    assert_int_equal(strncmp(up->got, "PUT /2 ", 7), 0);
    assert_non_null(strstr(up->got, "\r\n\r\nabc"));
    rig_clear(up);
    rig_send(up, ok);
    assert_int_equal(strncmp(up->got, "GET /3 ", 7), 0);
    rig_clear(up);
    rig_send(up, ok);
    assert_string_equal(up->got, "");
    rig_send(c, "TP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(strncmp(up->got, "GET /4 ", 7), 0);
    rig_fini(&r);
}

static void bytes_behind_an_answer_close_the_regions_connection(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get_doc, &up);
    rig_send(
        up,
        "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nDate: D\r\n");
    assert_string_equal(c->got, ok);
    assert_true(up->closed);
    /* and those that come while it is idle, as CouchDB's eventsource sends them */
    rig_send(c, get_doc);
    up = rig_dialed(&r, 2);
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    assert_false(up->closed);
    rig_send(up, "1\r\n\n\r\n0\r\n\r\n");
    assert_true(up->closed);
    rig_fini(&r);
}

/* A second answer behind the first one, seen only after the next client's request went out on the connection. */
static void bytes_that_came_before_a_request_do_not_answer_it(void **state)
{
    static const char stray[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 5\r\n\r\nstray";
    (void)state;
    for (int reached = 0; reached < 2; reached++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, get_doc, &up);
        rig_send(up, ok);
        rig_clear(c);
        up->reached = reached ? UINT64_MAX : up->written;
        /* both in one turn of the loop */
        c->stream.events->on_read(c->stream.owner, get_doc, sizeof(get_doc) - 1);
        up->stream.events->on_read(up->stream.owner, stray, sizeof(stray) - 1);
        rig_turn(&r);
        if (reached) { /* then it was an answer, and a fast one */
            assert_string_equal(c->got, stray);
        } else {
            assert_string_equal(c->got, "");
            assert_true(up->closed);
            rig_connect(rig_dialed(&r, 2), DP_OK);
            rig_send(rig_dialed(&r, 2), ok);
            assert_string_equal(c->got, ok);
        }
        rig_fini(&r);
    }
}

static void a_finished_feed_does_not_give_its_connection_back(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "GET /d/_changes?feed=eventsource HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_true(up->closed);
    assert_false(c->closed);
    rig_fini(&r);
}

static void a_bad_request_is_answered_and_closed(void **state)
{
    static const struct {
        const char *bytes, *status;
    } bad[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 "},
        {"\x16\x03\x01\x02", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 "},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++) {
        for (size_t step = 0; step < 2; step++) {
            struct rig r;
            rig_init(&r, 1);
            rig_start(&r);
            struct rig_peer *c = rig_client(&r);
            print_message("bad %zu, step %zu\n", i, step);
            rig_send_bytes(c, bad[i].bytes, strlen(bad[i].bytes), step);
            assert_int_equal(strncmp(c->got, bad[i].status, strlen(bad[i].status)), 0);
            assert_non_null(strstr(c->got, "\r\nConnection: close\r\n"));
            assert_non_null(strstr(c->got, "{\"error\":\""));
            assert_true(c->finished || c->closed);
            rig_end(c, DP_OK);
            assert_true(c->closed);
            rig_fini(&r);
        }
    }
}

static void an_early_answer_ends_the_upload(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "PUT /d HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\npart", &up);
    /* the region answers and takes no more, as CouchDB does with a 401 */
    up->write_error = DP_ERESET;
    rig_send(c, "more");
    assert_false(up->closed);
    rig_send(
        up,
        "HTTP/1.1 401 Unauthorized\r\nDate: D\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    assert_string_equal(c->got, "HTTP/1.1 401 Unauthorized\r\nDate: D\r\nContent-Length: 2\r\n"
                                "Connection: close\r\n\r\nno");
    assert_true(up->closed);
    assert_true(c->finished);
    rig_send(c, "the rest is read and dropped");
    rig_end(c, DP_OK);
    assert_true(c->closed);
    rig_fini(&r);
}

static void a_client_that_goes_takes_its_request_along(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get_doc, &up);
    rig_end(c, DP_ERESET);
    assert_true(c->closed);
    assert_true(up->closed);
    assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_CLIENT_GONE]), 1);
    /* one that only finished its side still gets its answer */
    c = rig_request(&r, get_doc, &up);
    rig_end(c, DP_OK);
    assert_false(up->closed);
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    assert_true(c->closed);
    rig_fini(&r);
}

static void an_answer_cut_short_is_seen_to_be(void **state)
{
    static const struct {
        const char *request, *answer;
        bool reset;
    } cuts[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 10\r\n\r\nhalf", false},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false},
        /* maintenance mode set while a feed is open: CouchDB writes a second head into it */
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nHTTP/1.1 "
         "412 "
         "Precondition Failed\r\n",
         false},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(cuts); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        r.config.whole_answer_bytes = 0; /* else it is not begun: test_kept.c */
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, cuts[i].request, &up);
        rig_send(up, cuts[i].answer);
        rig_end(up, DP_OK);
        assert_non_null(strstr(c->got, "half"));
        assert_null(strstr(c->got, "\r\n0\r\n\r\n"));
        assert_null(strstr(c->got, "412"));
        assert_true(cuts[i].reset ? c->reset : c->finished || c->closed);
        assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_TRUNCATED]), 1);
        assert_int_equal(r.n_regions, 1); /* never a second answer */
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_pass_whole_and_byte_by_byte),
        cmocka_unit_test(chunked_bodies_keep_their_bytes),
        cmocka_unit_test(a_body_that_ends_by_closing_is_chunked_for_the_client),
        cmocka_unit_test(a_client_by_tls_is_told_to_the_region),
        cmocka_unit_test(a_kept_connection_carries_the_next_request),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(bytes_behind_an_answer_close_the_regions_connection),
        cmocka_unit_test(bytes_that_came_before_a_request_do_not_answer_it),
        cmocka_unit_test(a_finished_feed_does_not_give_its_connection_back),
        cmocka_unit_test(a_bad_request_is_answered_and_closed),
        cmocka_unit_test(an_early_answer_ends_the_upload),
        cmocka_unit_test(a_client_that_goes_takes_its_request_along),
        cmocka_unit_test(an_answer_cut_short_is_seen_to_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
