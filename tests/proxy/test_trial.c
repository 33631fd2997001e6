/* Requests that try an endpoint on trial: which they are, and that no client sees one fail. Answers of _list that end
 * in an error behind a 200. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";
static const char missing[] =
    "HTTP/1.1 404 Object Not Found\r\nDate: D\r\nContent-Length: 2\r\n\r\nno";

static const char foreign[] = "HTTP/1.1 401 Unauthorized\r\nDate: D\r\nContent-Length: 2\r\n\r\nno";

static const char broken[] =
    "HTTP/1.1 500 Internal Server Error\r\nDate: D\r\nContent-Length: 2\r\n\r\nno";

static uint64_t outcome(const struct rig *r, unsigned endpoint, enum dp_outcome o)
{
    return dp_counter_get(&r->traffic.endpoints[endpoint].outcomes[o]);
}

/* r0 takes the traffic, r1 is on trial. */
static void begin(struct rig *r, uint32_t trials)
{
    rig_init(r, 2);
    r->view->trial_mask = 2;
    r->view->trials = trials;
    r->view->endpoints[1].trial = 1;
    r->view->endpoints[1].state = DP_ROUTE_BARRED;
    r->view->regions[1].state = DP_ROUTE_BARRED;
    rig_start(r);
}

static void one_at_a_time_tries_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *first, *second, *third;
    begin(&r, 2);
    struct rig_peer *c = rig_request(&r, get, &first);
    assert_string_equal(first->ip, "10.0.0.1");
    (void)rig_request(&r, get, &second); /* while one is under way */
    assert_string_equal(second->ip, "10.0.0.0");
    rig_send(first, ok);
    assert_string_equal(c->got, ok);
    assert_int_equal(outcome(&r, 1, DP_OUTCOME_ANSWERED), 1);
    rig_clear(first);
    rig_send(c, get); /* the second of two, on the connection that is there */
    assert_true(first->got_bytes > 0);
    rig_send(first, ok);
    (void)rig_request(&r, get, &third); /* no third */
    assert_string_equal(third->ip, "10.0.0.0");
    assert_int_equal(dp_counter_get(&r.traffic.trials), 2);
    rig_fini(&r);
}

static void what_fails_on_trial_is_answered_elsewhere(void **state)
{
    (void)state;
    static const char *const deaths[] = {NULL, "HTTP/1.1 200 OK\r\nDate", missing, broken, foreign};
    for (size_t i = 0; i < DP_ARRAY_LEN(deaths); i++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 5);
        struct rig_peer *c = rig_request(&r, get, &up);
        assert_string_equal(up->ip, "10.0.0.1");
        if (deaths[i])
            rig_send(up, deaths[i]);
        const bool lacks = deaths[i] == missing || deaths[i] == foreign;
        const bool answered = lacks || deaths[i] == broken;
        if (!answered)
            rig_end(up, DP_ERESET);
        struct rig_peer *second = rig_dialed(&r, 2);
        assert_string_equal(second->ip, "10.0.0.0");
        rig_connect(second, DP_OK);
        rig_send(second, ok);
        assert_string_equal(c->got, ok);
        /* it serves: what it lacks is no fault of its health */
        assert_int_equal(outcome(&r, 1, DP_OUTCOME_ANSWERED), deaths[i] == missing);
        assert_int_equal(outcome(&r, 1, DP_OUTCOME_CREDENTIALS), deaths[i] == foreign);
        assert_int_equal(outcome(&r, 1, DP_OUTCOME_SERVER_ERROR), deaths[i] == broken);
        assert_int_equal(outcome(&r, 1, DP_OUTCOME_NO_ANSWER), !answered);
        assert_int_equal(dp_counter_get(&r.traffic.rescued), deaths[i] != missing);
        rig_fini(&r);
    }
}

static void what_is_not_missing_is_missing_everywhere(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r, 5);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, missing);
    struct rig_peer *second = rig_dialed(&r, 2);
    rig_connect(second, DP_OK);
    rig_send(second, missing);
    assert_string_equal(c->got, missing);
    rig_fini(&r);
}

static void only_reads_of_one_thing_try(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "DELETE /db/doc?rev=1-a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /db/_design/d/_view/v HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /db/_local/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /_active_tasks HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 5);
        (void)rig_request(&r, requests[i], &up);
        if (strcmp(up->ip, "10.0.0.0") != 0)
            fail_msg("%s", requests[i]);
        rig_fini(&r);
    }
}

/* ---- _list ---- */

#define LIST  "GET /v/_design/app/_list/lerr/by_n HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD  "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n"
#define ROWS  "2\r\n0\n\r\n2\r\n2\n\r\n"
#define ERROR "\n\n{\"code\":500,\"error\":\"render_error\",\"reason\":\"it threw\"}\n"
#define LAST  "0\r\n\r\n"

static void a_list_that_broke_is_cut(void **state)
{
    (void)state;
    for (unsigned split = 0; split < 3; split++) {
        struct rig r;
        struct rig_peer *up;
        char chunk[128];
        (void)snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(ERROR), ERROR);
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, LIST, &up);
        rig_send(up, HEAD);
        rig_send(up, ROWS);
        if (split == 0) { /* as CouchDB sends it */
            char both[160];
            (void)snprintf(both, sizeof(both), "%s" LAST, chunk);
            rig_send(up, both);
            assert_null(strstr(c->got, "render_error"));
        } else if (split == 1) { /* apart: it is seen too late to be held back */
            rig_send(up, chunk);
            rig_send(up, LAST);
            assert_non_null(strstr(c->got, "render_error"));
        } else { /* the connection ends instead */
            rig_send(up, chunk);
            rig_end(up, DP_OK);
        }
        assert_non_null(strstr(c->got, "2\n\r\n")); /* the rows came */
        assert_null(strstr(c->got, LAST));
        assert_true(c->closed);
        assert_int_equal(
            outcome(&r, 0, split == 2 ? DP_OUTCOME_TRUNCATED : DP_OUTCOME_SERVER_ERROR), 1);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWERED), 0);
        rig_fini(&r);
    }
}

/* Neither rows that look like it in the middle, nor the same bytes from elsewhere. */
static void what_only_looks_like_it_passes(void **state)
{
    (void)state;
    static const char *const requests[] = {LIST, "GET /v/doc HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (unsigned i = 0; i < 2; i++) {
        struct rig r;
        struct rig_peer *up;
        char text[256];
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, requests[i], &up);
        (void)snprintf(text, sizeof(text), HEAD "%zx\r\n" ERROR "\r\n%s" LAST, strlen(ERROR),
                       i == 0 ? "2\r\n3\n\r\n" : "");
        rig_send(up, text);
        assert_non_null(strstr(c->got, "render_error"));
        assert_non_null(strstr(c->got, LAST));
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWERED), 1);
        rig_fini(&r);
    }
}

/* Maintenance mode set under an open feed: a second head in the middle of the chunks is no body. */
static void a_second_head_is_never_passed_on(void **state)
{
    (void)state;
    static const char *const feeds[] = {"longpoll", "continuous"};
    for (size_t i = 0; i < DP_ARRAY_LEN(feeds); i++) {
        for (size_t step = 0; step < 8; step++) {
            static const char second[] =
                "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 2\r\n\r\nno";
            struct rig r;
            struct rig_peer *up;
            char request[128];
            (void)snprintf(request, sizeof(request),
                           "GET /db/_changes?feed=%s HTTP/1.1\r\nHost: a\r\n\r\n", feeds[i]);
            rig_init(&r, 2);
            rig_start(&r);
            struct rig_peer *c = rig_request(&r, request, &up);
            rig_send(up, HEAD "1\r\n\n\r\n");
            rig_send_bytes(up, second, strlen(second), step);
            assert_null(strstr(c->got, "412"));
            /* a longpoll is cut, lines end behind the last whole one */
            const bool whole = strcmp(c->got + c->got_bytes - 5, "0\r\n\r\n") == 0;
            assert_int_equal(whole, i == 1);
            assert_int_equal(c->closed, i == 0);
            assert_int_equal(outcome(&r, 0, DP_OUTCOME_TRUNCATED), 1);
            rig_fini(&r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time_tries_and_the_rest_goes_on),
        cmocka_unit_test(what_fails_on_trial_is_answered_elsewhere),
        cmocka_unit_test(what_is_not_missing_is_missing_everywhere),
        cmocka_unit_test(only_reads_of_one_thing_try),
        cmocka_unit_test(a_list_that_broke_is_cut),
        cmocka_unit_test(what_only_looks_like_it_passes),
        cmocka_unit_test(a_second_head_is_never_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
