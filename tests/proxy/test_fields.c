/* What is added to a message on its way: names, trailers, Date, Via; and what that must not change between attempts. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define LENGTH2 "Content-Length: 2\r\n"
#define WAY                                                                                        \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\n"             \
    "Via: 1.1 davenport\r\n\r\n"

/* ---- trailers ---- */

static void trailers_pass_both_ways(void **state)
{
    static const char request[] =
        "PUT /d/x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum, Host\r\n" CHUNKED
        "\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n";
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nDate: D\r\nTrailer: Set-Cookie, X-End\r\n" CHUNKED
        "\r\n2\r\nhi\r\n0\r\nX-End: 2\r\nSet-Cookie: a=b\r\n\r\n";
    (void)state;
    for (size_t step = 0; step < 9; step++) {
        struct rig r;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send_bytes(c, request, strlen(request), step);
        struct rig_peer *up = rig_dialed(&r, 1);
        rig_connect(up, DP_OK);
        assert_non_null(
            strstr(up->got, "\r\n" CHUNKED "Trailer: X-Sum\r\nTE: trailers\r\nConnection: TE\r\n"));
        const char *end = strstr(up->got, "\r\n0\r\nX-Sum: 1\r\n\r\n");
        assert_non_null(end);
        assert_int_equal(strlen(end), 17);
        rig_send_bytes(up, answer, strlen(answer), step);
        assert_non_null(strstr(c->got, "\r\n" CHUNKED "Trailer: X-End\r\n\r\n"));
        end = strstr(c->got, "\r\n0\r\nX-End: 2\r\n\r\n");
        assert_non_null(end);
        assert_int_equal(strlen(end), 17);
        assert_false(up->closed);
        assert_false(c->closed);
        rig_fini(&r);
    }
}

/* To whom trailers of an answer do not go. */
static void trailers_go_only_where_they_are_taken(void **state)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, requests[i], &up);
        assert_null(strstr(up->got, "TE:"));
        rig_send(up, "HTTP/1.1 200 OK\r\nTrailer: X-End\r\n" CHUNKED
                     "\r\n2\r\nhi\r\n0\r\nX-End: 2\r\n\r\n");
        assert_null(strstr(c->got, "Trailer"));
        assert_null(strstr(c->got, "X-End"));
        rig_fini(&r);
    }
}

/* Trailers come after the region's connection died, and go to the next one with the body. */
static void trailers_are_sent_again(void **state)
{
    static const char head[] = "PUT /d/x HTTP/1.1\r\nHost: a\r\n" CHUNKED "\r\n2\r\n{}\r\n";
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, head, &up);
        if (early)
            rig_send(c, "0\r\nX-Sum: 1\r\n\r\n");
        rig_end(up, DP_ERESET);
        struct rig_peer *second = rig_dialed(&r, 2);
        if (!early)
            rig_send(c, "0\r\nX-Sum: 1\r\n\r\n");
        rig_connect(second, DP_OK);
        assert_non_null(strstr(second->got, "\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n"));
        rig_fini(&r);
    }
}

/* ---- names ---- */

static void line_of(const char *message, const char *name, char out[128])
{
    const char *at = strstr(message, name);
    assert_non_null(at);
    (void)snprintf(out, 128, "%.*s", (int)strcspn(at, "\r"), at);
}

static void names_stay_the_same_on_every_attempt(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    char id[128], parent[128], again[128];
    rig_init(&r, 2);
    r.config.request_id = r.config.traceparent = DP_ID_MAKE;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "GET /d/x HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    line_of(up->got, "X-Request-Id: ", id);
    line_of(up->got, "traceparent: ", parent);
    assert_int_equal(strlen(id), 14 + 32);
    assert_int_equal(strlen(parent), 13 + 55);
    rig_end(up, DP_ERESET);
    struct rig_peer *second = rig_dialed(&r, 2);
    rig_connect(second, DP_OK);
    line_of(second->got, "X-Request-Id: ", again);
    assert_string_equal(again, id);
    line_of(second->got, "traceparent: ", again);
    assert_string_equal(again, parent);
    /* the client is told, and not what the region calls it */
    rig_send(second, "HTTP/1.1 200 OK\r\nDate: D\r\nX-Request-Id: theirs\r\n" LENGTH2 "\r\nhi");
    line_of(c->got, "X-Request-Id: ", again);
    assert_string_equal(again, id);
    assert_null(strstr(c->got, "theirs"));
    assert_null(strstr(c->got, "traceparent"));
    /* another request, another name */
    rig_send(c, "GET /d/x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_connect(rig_dialed(&r, 3), DP_OK);
    line_of(rig_dialed(&r, 3)->got, "X-Request-Id: ", again);
    assert_string_not_equal(again, id);
    rig_fini(&r);
}

static void our_own_answers_name_the_request_too(void **state)
{
    static const struct {
        const char *request, *id; /* NULL: one that is made */
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nExpect: x\r\n\r\n", "mine"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: not mine\r\nExpect: x\r\n\r\n", NULL},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", NULL},
        {"\x01", NULL},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        char id[128];
        rig_init(&r, 1);
        r.config.request_id = DP_ID_MAKE;
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, rows[i].request);
        line_of(c->got, "X-Request-Id: ", id);
        if (rows[i].id)
            assert_string_equal(id + 14, rows[i].id);
        else
            assert_int_equal(strlen(id), 14 + 32);
        rig_fini(&r);
    }
}

static void without_a_name_of_ours_the_regions_passes(void **state)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nDate: D\r\nX-Request-Id: theirs\r\n" LENGTH2 "\r\nhi";
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n", &up);
    assert_null(strstr(up->got, "X-Request-Id"));
    rig_send(up, answer);
    assert_string_equal(c->got, answer);
    rig_fini(&r);
}

/* ---- Date, Via ---- */

static void a_date_is_added_where_there_is_none(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, "HTTP/1.1 200 OK\r\n" LENGTH2 "\r\nhi");
    assert_string_equal(c->got, "HTTP/1.1 200 OK\r\n" LENGTH2
                                "Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n\r\nhi");
    rig_clear(c);
    rig_wait(&r, 2000);
    rig_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_send(up, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert_string_equal(c->got,
                        "HTTP/1.1 103 Early Hints\r\n\r\n"
                        "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:03 GMT\r\n\r\n");
    rig_fini(&r);
}

static void via_is_added_to_answers_where_wanted(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.via_answers = true;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, "HTTP/1.0 200 OK\r\nDate: D\r\nVia: 1.1 edge\r\n" LENGTH2 "\r\nhi");
    assert_string_equal(c->got, "HTTP/1.1 200 OK\r\nDate: D\r\nVia: 1.1 edge\r\n" LENGTH2
                                "Via: 1.0 davenport\r\n\r\nhi");
    rig_fini(&r);
}

static void a_request_that_goes_in_circles_is_ended(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    (void)rig_request(&r, "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 davenport, 1.1 davenport\r\n\r\n",
                      &up);
    assert_non_null(strstr(up->got, "GET / "));
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 davenport, 1.1 davenport\r\nVia: 1.1 "
                "davenport\r\n\r\n");
    assert_int_equal(strncmp(c->got, "HTTP/1.1 508 Loop Detected\r\n", 28), 0);
    assert_non_null(strstr(c->got, "\"loop_detected\""));
    assert_int_equal(r.n_regions, 1);
    rig_fini(&r);
}

/* ---- OPTIONS, overrides ---- */

static void options_go_so_far(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    /* answered here; what is behind it is the next request */
    rig_send(c, "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"
                "OPTIONS /d HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n");
    assert_string_equal(
        c->got,
        "HTTP/1.1 200 OK\r\nAllow: COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT\r\n"
        "Content-Length: 0\r\nDate: Thu, 01 Jan 1970 00:00:01 GMT\r\nServer: Davenport\r\n\r\n");
    up = rig_dialed(&r, 1);
    rig_connect(up, DP_OK);
    assert_string_equal(up->got,
                        "OPTIONS /d HTTP/1.1\r\nHost: r0.example:80\r\nMax-Forwards: 2\r\n" WAY);
    assert_int_equal(dp_counter_get(&r.traffic.refused), 0);
    assert_int_equal(dp_counter_get(&r.traffic.answered_2xx), 1);
    rig_fini(&r);
}

/* Its body is still on its way: nothing more is read from that client. */
static void options_with_a_body_that_is_not_there_yet(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 5\r\n\r\n{");
    assert_int_equal(strncmp(c->got, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(c->got, "\r\nConnection: close\r\n"));
    rig_fini(&r);
}

static void overrides_are_counted(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    (void)rig_request(
        &r, "POST /d HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: PUT\r\n" LENGTH2 "\r\n{}", &up);
    assert_non_null(strstr(up->got, "\r\nX-HTTP-Method-Override: PUT\r\n"));
    assert_int_equal(dp_counter_get(&r.traffic.method_overrides), 1);
    rig_fini(&r);
}

/* A HEAD whose line is refused, however it comes, is answered without a body. */
static void a_refused_head_has_no_body(void **state)
{
    static const char *const lines[] = {"HEAD  / HTTP/1.1\r\n", "HEAD / HTTP/3.0\r\n",
                                        "HEAD /\x01 HTTP/1.1\r\n"};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(lines); i++) {
        for (size_t step = 0; step < 4; step++) {
            struct rig r;
            rig_init(&r, 1);
            rig_start(&r);
            struct rig_peer *c = rig_client(&r);
            rig_send_bytes(c, lines[i], strlen(lines[i]), step);
            const char *end = strstr(c->got, "\r\n\r\n");
            assert_non_null(end);
            assert_string_equal(end, "\r\n\r\n");
            rig_fini(&r);
        }
    }
    /* one without an end, and one that comes too late */
    for (int late = 0; late < 2; late++) {
        struct rig r;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, "HEAD /");
        for (int i = 0; i < 100 && !late && c->got_bytes == 0; i++)
            rig_send(c, "a hundred bytes without a space, or nearly so: a hundred bytes without a "
                        "space, or nearly so, 12345");
        if (late)
            rig_wait(&r, r.config.head_timeout_ms + 100);
        assert_int_equal(strncmp(c->got, late ? "HTTP/1.1 408 " : "HTTP/1.1 414 ", 13), 0);
        assert_string_equal(strstr(c->got, "\r\n\r\n"), "\r\n\r\n");
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trailers_pass_both_ways),
        cmocka_unit_test(trailers_go_only_where_they_are_taken),
        cmocka_unit_test(trailers_are_sent_again),
        cmocka_unit_test(names_stay_the_same_on_every_attempt),
        cmocka_unit_test(our_own_answers_name_the_request_too),
        cmocka_unit_test(without_a_name_of_ours_the_regions_passes),
        cmocka_unit_test(a_date_is_added_where_there_is_none),
        cmocka_unit_test(via_is_added_to_answers_where_wanted),
        cmocka_unit_test(a_request_that_goes_in_circles_is_ended),
        cmocka_unit_test(options_go_so_far),
        cmocka_unit_test(options_with_a_body_that_is_not_there_yet),
        cmocka_unit_test(overrides_are_counted),
        cmocka_unit_test(a_refused_head_has_no_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
