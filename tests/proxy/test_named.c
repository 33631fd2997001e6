/* Requests that name their region. */
#include "davenport/base/attr.h"

#include "proxy/named.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD        " HTTP/1.1\r\nHost: a\r\n"
#define NAMED(name) "Davenport-Region: " name "\r\n"

static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

static void setup(struct rig *r)
{
    rig_init(r, 3);
    r->config.pool_max_idle = 0;
    r->config.named_by_header = r->config.named_by_path = true;
}

/* Send it, answer it; the number of the region that got it, -1: none did. */
static int ask(struct rig *r, const char *request, struct rig_peer **client,
               struct rig_peer **region)
{
    const size_t before = r->n_regions;
    *client = rig_client(r);
    rig_send(*client, request);
    if (r->n_regions == before)
        return -1;
    *region = rig_dialed(r, before + 1);
    rig_connect(*region, DP_OK);
    rig_send(*region, ok);
    assert_string_equal((*client)->got, ok);
    return (*region)->ip[strlen((*region)->ip) - 1] - '0';
}

static void where_it_goes(void **state)
{
    static const struct {
        const char *request;
        int region;
        const char *sent, *not_sent;
    } cases[] = {
        {"GET /db/doc" HEAD "\r\n", 0, "GET /db/doc HTTP/1.1\r\n", "_region"},
        {"GET /db/doc" HEAD NAMED("r2") "\r\n", 2, "GET /db/doc HTTP/1.1\r\n", "Davenport-Region"},
        {"PUT /db" HEAD NAMED("r1") "Content-Length: 0\r\n\r\n", 1, "PUT /db HTTP/1.1\r\n",
         "Davenport-Region"},
        {"GET /_region/r1/db/doc?x=/y" HEAD "\r\n", 1, "GET /db/doc?x=/y HTTP/1.1\r\n", "_region"},
        {"GET /_region/r1/" HEAD "\r\n", 1, "GET / HTTP/1.1\r\n", "_region"},
        {"GET /_region/r1" HEAD "\r\n", 1, "GET / HTTP/1.1\r\n", "_region"},
        {"GET /_region/r1/_up" HEAD NAMED("r1") "\r\n", 1, "GET /_up HTTP/1.1\r\n",
         "Davenport-Region"},
        /* another proxy's, behind that region */
        {"GET /_region/r1/_region/x/db" HEAD "\r\n", 1, "GET /_region/x/db HTTP/1.1\r\n", NULL},
    };
    struct rig r;
    struct rig_peer *c, *up;
    (void)state;
    setup(&r);
    rig_start(&r);
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        assert_int_equal(ask(&r, cases[i].request, &c, &up), cases[i].region);
        assert_non_null(strstr(up->got, cases[i].sent));
        if (cases[i].not_sent)
            assert_null(strstr(up->got, cases[i].not_sent));
    }
    rig_fini(&r);
}

static void no_such_region(void **state)
{
    static const char *const requests[] = {
        "GET /db" HEAD NAMED("eu-de") "\r\n",
        "GET /db" HEAD NAMED("") "\r\n",
        "GET /db" HEAD NAMED("R1") "\r\n",
        "GET /db" HEAD NAMED("r1") NAMED("r1") "\r\n",
        "GET /_region/r1/db" HEAD NAMED("r2") "\r\n",
        "GET /_region//db" HEAD "\r\n",
        "GET /_region/r1?x" HEAD "\r\n",
    };
    struct rig r;
    struct rig_peer *c, *up;
    (void)state;
    setup(&r);
    rig_start(&r);
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        assert_int_equal(ask(&r, requests[i], &c, &up), -1);
        assert_non_null(strstr(c->got, "HTTP/1.1 400 "));
        assert_non_null(strstr(c->got, "\"error\":\"unknown_region\""));
    }
    rig_fini(&r);
}

/* Drained or held: it was named. Down: nobody is there, and nobody else gets it. */
static void states_of_the_region(void **state)
{
    struct rig r;
    struct rig_peer *c, *up;
    (void)state;
    setup(&r);
    rig_start(&r);
    rig_publish(&r, 1, DP_ROUTE_BARRED, 0);
    assert_int_equal(ask(&r, "GET /db" HEAD NAMED("r1") "\r\n", &c, &up), 1);
    rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
    assert_int_equal(ask(&r, "GET /db" HEAD NAMED("r1") "\r\n", &c, &up), -1);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    assert_non_null(strstr(c->got, "\"error\":\"named_region_unavailable\""));
    assert_non_null(strstr(c->got, "Retry-After: 7\r\n"));
    rig_fini(&r);
}

static void a_failure_stays_there(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "GET /db/doc" HEAD NAMED("r1") "\r\n");
    rig_connect(rig_dialed(&r, 1), DP_ECONNECT);
    assert_int_equal(r.n_regions, 1);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    rig_fini(&r);
}

/* Where an operator does not want it, both are the region's to understand. */
static void turned_off(void **state)
{
    struct rig r;
    struct rig_peer *c, *up;
    (void)state;
    setup(&r);
    r.config.named_by_header = r.config.named_by_path = false;
    rig_start(&r);
    assert_int_equal(ask(&r, "GET /_region/r1/db" HEAD NAMED("r2") "\r\n", &c, &up), 0);
    assert_non_null(strstr(up->got, "GET /_region/r1/db HTTP/1.1\r\n"));
    assert_non_null(strstr(up->got, NAMED("r2")));
    rig_fini(&r);
}

/* A mode that would send it elsewhere, and a connection that keeps to a region, are not asked and not changed. */
static void no_mode_is_asked(void **state)
{
    struct rig r;
    struct rig_peer *c, *up;
    (void)state;
    setup(&r);
    r.config.rules = (struct dp_rules){
        .all = {.mode = DP_MODE_ACTIVE_ACTIVE, .sticky = DP_STICKY_CONNECTION}, .nearest = true};
    r.view->regions[0].latency_us = r.view->regions[1].latency_us = 5000;
    r.view->regions[2].latency_us = 80000; /* far */
    rig_start(&r);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(ask(&r, "GET /db/doc" HEAD NAMED("r2") "\r\n", &c, &up), 2);
    rig_clear(c);
    rig_send(c, "GET /db/doc" HEAD "\r\n"); /* the same connection */
    assert_true(r.regions[r.n_regions - 1]->ip[strlen(r.regions[r.n_regions - 1]->ip) - 1] != '2');
    rig_fini(&r);
}

/* What its region says of where it is leads back through the same door. */
static void location_and_destination(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "COPY /_region/r1/d/x HTTP/1.1\r\nHost: a\r\n"
                "Destination: http://a/_region/r1/d/y?rev=1-b\r\n\r\n");
    struct rig_peer *up = rig_dialed(&r, 1);
    rig_connect(up, DP_OK);
    assert_non_null(strstr(up->got, "COPY /d/x HTTP/1.1\r\n"));
    assert_non_null(strstr(up->got, "Destination: y?rev=1-b\r\n"));
    rig_send(up, "HTTP/1.1 201 Created\r\nLocation: http://a/d/y\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(c->got, "Location: http://a/_region/r1/d/y\r\n"));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_goes),
        cmocka_unit_test(no_such_region),
        cmocka_unit_test(states_of_the_region),
        cmocka_unit_test(a_failure_stays_there),
        cmocka_unit_test(turned_off),
        cmocka_unit_test(no_mode_is_asked),
        cmocka_unit_test(location_and_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
