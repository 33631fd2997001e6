/* Where requests go in each mode, as whole exchanges: what the policy is told of a request and a connection, and
 * what comes of its answers. The policy's own rules are tested in tests/core. */
#include "davenport/base/attr.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define HEAD         " HTTP/1.1\r\nHost: a\r\n"
#define GET(target)  "GET " target HEAD "\r\n"
#define PUT(target)  "PUT " target HEAD "Content-Length: 2\r\n\r\n{}"
#define POST(target) "POST " target HEAD "Content-Length: 2\r\n\r\n{}"

static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";
static const char throttled[] =
    "HTTP/1.1 429 Too Many\r\nDate: D\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno";

/* Each request dials anew, so that the address dialed last tells where it went. Regions 0 and 1 are near, 2 is far. */
static void setup(struct rig *r, enum dp_mode mode)
{
    rig_init(r, 3);
    r->config.pool_max_idle = 0;
    r->config.rules = (struct dp_rules){.all = {.mode = mode, .writes_failover = true},
                                        .nearest = mode != DP_MODE_ACTIVE_PASSIVE};
    for (unsigned i = 0; i < 3; i++)
        r->view->regions[i].latency_us = i < 2 ? 5000 : 80000;
}

/* The region that was dialed last. */
static int last(const struct rig *r)
{
    assert_true(r->n_regions > 0);
    const char *ip = r->regions[r->n_regions - 1]->ip;
    return ip[strlen(ip) - 1] - '0';
}

/* Send a request on `c`, let its region answer, tell which one it was; -1: it was refused. */
static int ask(struct rig *r, struct rig_peer *c, const char *request)
{
    size_t before = r->n_regions;
    rig_clear(c);
    rig_send(c, request);
    if (r->n_regions == before)
        return -1;
    struct rig_peer *up = rig_dialed(r, before + 1);
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    return last(r);
}

static int ask_anew(struct rig *r, const char *request)
{
    return ask(r, rig_client(r), request);
}

static void everything_to_the_active_region(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_PASSIVE);
    rig_start(&r);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ask_anew(&r, GET("/db/doc")), 0);
    assert_int_equal(ask_anew(&r, PUT("/db/doc")), 0);
    rig_fini(&r);
}

static void reads_and_writes_to_the_nearest(void **state)
{
    struct rig r;
    unsigned went[3] = {0};
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    rig_start(&r);
    for (unsigned i = 0; i < 20; i++)
        went[ask_anew(&r, i % 2 ? GET("/db/doc") : PUT("/db/doc"))]++;
    assert_true(went[0] > 0 && went[1] > 0);
    assert_int_equal(went[2], 0);
    /* what belongs to one region, or a session of one */
    static const char *const bound[] = {GET("/db/_local/c"), POST("/db/_bulk_docs"),
                                        GET("/db/_changes"), GET("/db"),
                                        "GET /db/doc" HEAD "Cookie: a=b; AuthSession=YQ\r\n\r\n"};
    for (size_t i = 0; i < DP_ARRAY_LEN(bound); i++) {
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(ask_anew(&r, bound[i]), 0);
    }
    rig_fini(&r);
}

static void a_region_that_is_lost_is_left_for_the_others(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    rig_start(&r);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(ask_anew(&r, GET("/db/doc")), 1);
    rig_publish(&r, 1, DP_ROUTE_DOWN, 2);
    assert_int_equal(ask_anew(&r, GET("/db/doc")), 2);
    rig_publish(&r, 2, DP_ROUTE_DOWN, DP_NO_REGION);
    struct rig_peer *c = rig_client(&r);
    assert_int_equal(ask(&r, c, GET("/db/doc")), -1);
    assert_non_null(strstr(c->got, "no_region_available"));
    rig_fini(&r);
}

/* The worker's own measurements count: answers that come late move the reads, after the dwell. */
static void the_nearest_is_who_answers_first(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.view->regions[1].latency_us = 60000;
    rig_start(&r);
    for (unsigned i = 0; i < 3; i++) {
        struct rig_peer *c = rig_client(&r);
        rig_send(c, GET("/db/doc"));
        struct rig_peer *up = rig_dialed(&r, i + 1);
        assert_int_equal(last(&r), 0);
        rig_connect(up, DP_OK);
        rig_wait(&r, 300);
        rig_send(up, ok);
    }
    assert_int_equal(ask_anew(&r, GET("/db/doc")), 0); /* not yet */
    rig_wait(&r, 10000);
    assert_int_equal(ask_anew(&r, GET("/db/doc")), 1);
    rig_fini(&r);
}

static void writes_to_one_region_reads_to_the_nearest(void **state)
{
    struct rig r;
    unsigned went[3] = {0};
    (void)state;
    setup(&r, DP_MODE_WRITE_PRIMARY);
    r.view->active = r.view->home = 2; /* the far one */
    rig_start(&r);
    for (unsigned i = 0; i < 10; i++)
        went[ask_anew(&r, GET("/db/doc"))]++;
    assert_true(went[0] > 0 && went[1] > 0 && went[2] == 0);
    assert_int_equal(ask_anew(&r, PUT("/db/doc")), 2);
    assert_int_equal(ask_anew(&r, POST("/db")), 2);
    assert_int_equal(ask_anew(&r, POST("/db/_find")) == 2, 0); /* only reads */
    /* they fail over with the active region */
    rig_publish(&r, 2, DP_ROUTE_DOWN, 0);
    assert_int_equal(ask_anew(&r, PUT("/db/doc")), 0);
    rig_fini(&r);
}

static void writes_that_stay_are_refused_and_reads_go_on(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_WRITE_PRIMARY);
    r.config.rules.all.writes_failover = false;
    rig_start(&r);
    assert_int_equal(ask_anew(&r, PUT("/db/doc")), 0);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    struct rig_peer *c = rig_client(&r);
    assert_int_equal(ask(&r, c, PUT("/db/doc")), -1);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    assert_non_null(strstr(c->got, "\"error\":\"primary_unavailable\""));
    assert_non_null(strstr(c->got, "Retry-After: 7\r\n"));
    assert_int_equal(ask(&r, c, GET("/db/doc")), 1); /* the same connection */
    assert_int_equal(ask(&r, c, PUT("/db/_local/c")), 1);
    assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_EPRIMARY]), 1);
    rig_publish(&r, 0, DP_ROUTE_OK, 1);
    assert_int_equal(ask(&r, c, PUT("/db/doc")), 0);
    rig_fini(&r);
}

/* Those of a region that is down wait for it; those of one that was drained are told at once. */
static void writes_that_stay_wait_for_what_may_come(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_WRITE_PRIMARY);
    r.config.rules.all.writes_failover = false;
    r.config.hold_ms = 5000;
    r.config.hold_requests = 10;
    r.config.hold_bytes = 1000000;
    r.config.hold_release_per_s = 100;
    rig_start(&r);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    struct rig_peer *c = rig_client(&r);
    assert_int_equal(ask(&r, c, PUT("/db/doc")), -1);
    assert_string_equal(c->got, ""); /* held */
    rig_wait(&r, 6000);
    assert_non_null(strstr(c->got, "\"primary_unavailable\""));
    rig_publish(&r, 0, DP_ROUTE_BARRED, 1);
    assert_int_equal(ask(&r, c, PUT("/db/doc")), -1);
    assert_non_null(strstr(c->got, "\"primary_unavailable\""));
    rig_fini(&r);
}

/* Sent, and then the region died: whether it was carried out is not known, whoever is down. */
static void a_write_that_was_sent_is_not_called_refused(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    setup(&r, DP_MODE_WRITE_PRIMARY);
    r.config.rules.all.writes_failover = false;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, PUT("/db/doc"), &up);
    rig_end(up, DP_ERESET);
    assert_non_null(strstr(c->got, "\"outcome_unknown\""));
    c = rig_client(&r);
    rig_send(c, PUT("/db/doc"));
    rig_connect(rig_dialed(&r, 2), DP_ECONNECT); /* nothing was sent */
    assert_non_null(strstr(c->got, "\"primary_unavailable\""));
    rig_fini(&r);
}

static void a_mode_of_its_own_for_a_database(void **state)
{
    static const struct dp_rule plain = {.mode = DP_MODE_ACTIVE_PASSIVE};
    struct rig r;
    unsigned went[3] = {0};
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.view->active = 2;
    assert_true(dp_rules_add(&r.config.rules, DP_SPAN("orders/*"), &plain));
    rig_start(&r);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(ask_anew(&r, GET("/orders%2F2026/doc")), 2);
    assert_int_equal(ask_anew(&r, PUT("/orders%2f2026/doc")), 2);
    for (unsigned i = 0; i < 6; i++)
        went[ask_anew(&r, GET("/orders/doc"))]++;
    assert_int_equal(went[2], 0);
    rig_fini(&r);
}

/* ---- sticky ---- */

static void a_connection_keeps_its_region(void **state)
{
    struct rig r;
    unsigned began[3] = {0};
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.config.rules.all.sticky = DP_STICKY_CONNECTION;
    rig_start(&r);
    for (unsigned i = 0; i < 8; i++) {
        struct rig_peer *c = rig_client(&r);
        int region = ask(&r, c, PUT("/db/doc"));
        began[region]++;
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(ask(&r, c, GET("/db/doc")), region);
    }
    assert_true(began[0] > 0 && began[1] > 0);
    /* its region is lost: another, for good */
    struct rig_peer *c = rig_client(&r);
    int region = ask(&r, c, GET("/db/doc"));
    rig_publish(&r, (uint16_t)region, DP_ROUTE_DOWN, region == 0 ? 1 : 0);
    int other = ask(&r, c, GET("/db/doc"));
    assert_int_equal(other, 1 - region);
    assert_int_equal(dp_counter_get(&r.traffic.sticky_moved), 1);
    rig_publish(&r, (uint16_t)region, DP_ROUTE_OK, 0);
    assert_int_equal(ask(&r, c, GET("/db/doc")), other);
    rig_fini(&r);
}

static void a_client_that_is_not_to_be_moved(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.config.rules.all.sticky = DP_STICKY_CONNECTION;
    r.config.rules.all.on_loss = DP_ON_LOSS_REFUSE;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    int region = ask(&r, c, GET("/db/doc"));
    rig_publish(&r, (uint16_t)region, DP_ROUTE_DOWN, region == 0 ? 1 : 0);
    assert_int_equal(ask(&r, c, GET("/db/doc")), -1);
    assert_non_null(strstr(c->got, "\"error\":\"sticky_region_lost\""));
    assert_non_null(strstr(c->got, "Retry-After: 7\r\n"));
    assert_true(ask_anew(&r, GET("/db/doc")) >= 0); /* others begin anew */
    rig_publish(&r, (uint16_t)region, DP_ROUTE_OK, 0);
    assert_int_equal(ask(&r, c, GET("/db/doc")), region);
    rig_fini(&r);
}

/* Its region may come back by itself, or it is drained: then there is nothing to wait for, neither from the start nor
 * any more. */
static void what_is_not_moved_waits_for_what_may_come(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.config.rules.all.sticky = DP_STICKY_CONNECTION;
    r.config.rules.all.on_loss = DP_ON_LOSS_REFUSE;
    r.config.hold_ms = 5000;
    r.config.hold_requests = 10;
    r.config.hold_bytes = 1000000;
    r.config.hold_release_per_s = 100;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    int region = ask(&r, c, GET("/db/doc"));
    const uint16_t other = region == 0 ? 1 : 0;
    rig_publish(&r, (uint16_t)region, DP_ROUTE_DOWN, other);
    assert_int_equal(ask(&r, c, GET("/db/doc")), -1);
    assert_string_equal(c->got, ""); /* held */
    rig_publish(&r, (uint16_t)region, DP_ROUTE_BARRED, other);
    rig_wait(&r, 200);
    assert_non_null(strstr(c->got, "\"error\":\"sticky_region_lost\""));
    assert_int_equal(dp_counter_get(&r.traffic.held), 0);
    assert_int_equal(ask(&r, c, GET("/db/doc")), -1);
    assert_non_null(strstr(c->got, "\"error\":\"sticky_region_lost\""));
    assert_int_equal(dp_counter_get(&r.traffic.hold_total), 1);
    rig_fini(&r);
}

static void a_header_names_the_client(void **state)
{
    struct rig r;
    unsigned went[3] = {0};
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.config.rules.all.sticky = DP_STICKY_HEADER;
    r.config.rules.sticky_header = DP_SPAN("X-Client");
    rig_start(&r);
    for (unsigned i = 0; i < 8; i++) {
        char request[128];
        assert_true(
            snprintf(request, sizeof(request), "GET /db/doc" HEAD "x-client: u%u\r\n\r\n", i) > 0);
        int region = ask_anew(&r, request);
        went[region]++;
        assert_int_equal(ask_anew(&r, request), region);
        /* what it must not lose on its way */
        assert_non_null(strstr(r.regions[r.n_regions - 1]->got, "x-client: u"));
    }
    assert_true(went[0] > 0 && went[1] > 0 && went[2] > 0);
    for (unsigned i = 0; i < 6; i++)
        assert_int_not_equal(ask_anew(&r, GET("/db/doc")), 2); /* without it: the nearest */
    rig_fini(&r);
}

static void an_address_names_the_client(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.config.rules.all.sticky = DP_STICKY_ADDRESS;
    rig_start(&r);
    unsigned went[3] = {0};
    for (unsigned i = 0; i < 8; i++) {
        char address[32];
        assert_true(snprintf(address, sizeof(address), "192.0.2.%u", i) > 0);
        int region = ask(&r, rig_client_from(&r, address), GET("/db/doc"));
        assert_int_equal(ask(&r, rig_client_from(&r, address), POST("/db/_bulk_docs")), region);
        went[region]++;
    }
    assert_true(went[0] < 8 && went[1] < 8 && went[2] < 8);
    rig_fini(&r);
}

static void who_wrote_reads_where_writes_go(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_WRITE_PRIMARY);
    r.view->active = r.view->home = 2;
    r.config.rules.all.sticky = DP_STICKY_CONNECTION;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    assert_int_not_equal(ask(&r, c, GET("/db/doc")), 2);
    assert_int_not_equal(ask(&r, c, GET("/db/doc")), 2);
    assert_int_equal(ask(&r, c, PUT("/db/doc")), 2);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(ask(&r, c, GET("/db/doc")), 2);
    assert_int_not_equal(ask_anew(&r, GET("/db/doc")), 2);
    rig_fini(&r);
}

/* ---- what a region has enough of ---- */

/* Ask until a request meets the region, which says 429; tell where it went instead, or -1: to the client. */
static int decline(struct rig *r, const char *request, int region, size_t step)
{
    for (unsigned i = 0; i < 20; i++) {
        struct rig_peer *c = rig_client(r);
        size_t before = r->n_regions;
        rig_send(c, request);
        struct rig_peer *up = rig_dialed(r, before + 1);
        rig_connect(up, DP_OK);
        if (last(r) != region) {
            rig_send(up, ok);
            continue;
        }
        rig_send_bytes(up, throttled, sizeof(throttled) - 1, step);
        if (r->n_regions == before + 1) {
            assert_string_equal(c->got, throttled);
            return -1;
        }
        up = rig_dialed(r, before + 2);
        rig_connect(up, DP_OK);
        rig_send(up, ok);
        assert_string_equal(c->got, ok);
        return last(r);
    }
    fail_msg("no request met region %d", region);
    return -1;
}

static void what_one_region_throttles_another_has(void **state)
{
    static const char *const requests[] = {GET("/db/doc"), PUT("/db/doc"), POST("/db/doc/x")};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        for (size_t step = 0; step < 2; step++) {
            struct rig r;
            setup(&r, DP_MODE_ACTIVE_ACTIVE);
            rig_start(&r);
            assert_int_equal(decline(&r, requests[i], 0, step), 1);
            assert_int_equal(dp_counter_get(&r.traffic.declined_elsewhere), 1);
            assert_int_equal(dp_counter_get(&r.traffic.rescued), 0); /* nothing failed */
            assert_int_equal(r.kicks, 0);                            /* no evidence against it */
            for (unsigned k = 0; k < 6; k++)
                assert_int_equal(ask_anew(&r, requests[i]), 1);
            unsigned went[3] = {0};
            for (unsigned k = 0; k < 8; k++) /* another class of requests */
                went[ask_anew(&r, POST("/db/_find"))]++;
            assert_true(went[0] > 0);
            rig_wait(&r, 3000);
            went[0] = 0;
            for (unsigned k = 0; k < 8; k++)
                went[ask_anew(&r, requests[i])]++;
            assert_true(went[0] > 0);
            rig_fini(&r);
        }
    }
}

/* Until when a region is left alone: by what it says in seconds or as a date, by ourselves where it says neither. */
static void how_long_it_is_left_alone(void **state)
{
    static const struct {
        const char *says;
        uint64_t s;
    } rows[] = {
        {"Retry-After: 3\r\n", 3},
        {"Retry-After: Thu, 01 Jan 1970 00:00:08 GMT\r\n", 7}, /* now is 00:00:01 */
        {"Retry-After: Thu, 01 Jan 1970 01:00:00 GMT\r\n", DP_THROTTLE_MAX_S},
        {"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", DP_THROTTLE_DEFAULT_S},
        {"Retry-After: soon\r\n", DP_THROTTLE_DEFAULT_S},
        {"", DP_THROTTLE_DEFAULT_S},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        char answer[200];
        setup(&r, DP_MODE_ACTIVE_ACTIVE);
        rig_start(&r);
        (void)rig_request(&r, GET("/db/doc"), &up);
        const int region = last(&r);
        const uint64_t now_ns = r.engine.wheel.now_ns;
        (void)snprintf(answer, sizeof(answer),
                       "HTTP/1.1 429 Too Many\r\n%sContent-Length: 2\r\n\r\nno", rows[i].says);
        rig_send(up, answer);
        assert_int_equal(r.engine.router.throttled_until_ns[region][DP_LOAD_LOOKUP],
                         now_ns + rows[i].s * DP_NS_PER_S);
        rig_fini(&r);
    }
}

static void what_has_one_region_is_told_so(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_PASSIVE);
    rig_start(&r);
    assert_int_equal(decline(&r, GET("/db/doc"), 0, 0), -1);
    assert_int_equal(ask_anew(&r, GET("/db/doc")), 0); /* no failover */
    rig_fini(&r);
    setup(&r, DP_MODE_WRITE_PRIMARY);
    rig_start(&r);
    assert_int_equal(decline(&r, PUT("/db/doc"), 0, 0), -1);
    assert_int_equal(decline(&r, GET("/db/_changes"), 0, 0), -1);
    assert_int_equal(decline(&r, GET("/db/doc"), 0, 0), 1);
    rig_fini(&r);
}

/* Every region throttles: the last word is the client's. */
static void where_all_throttle_the_client_is_told(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, GET("/db/doc"));
    for (size_t i = 1; i <= 3; i++) {
        struct rig_peer *up = rig_dialed(&r, i);
        rig_connect(up, DP_OK);
        rig_send(up, throttled);
    }
    assert_string_equal(c->got, throttled);
    rig_fini(&r);
}

static void a_cap_sends_requests_elsewhere_or_makes_them_wait(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_ACTIVE);
    r.view->endpoints[0].max_in_flight = r.view->endpoints[1].max_in_flight = 2;
    rig_start(&r);
    struct rig_peer *clients[6];
    unsigned went[3] = {0};
    for (unsigned i = 0; i < 6; i++) {
        clients[i] = rig_client(&r);
        rig_send(clients[i], GET("/db/doc"));
        went[last(&r)]++;
    }
    assert_int_equal(went[0], 2);
    assert_int_equal(went[1], 2);
    assert_int_equal(went[2], 2); /* far, but free */
    rig_fini(&r);

    setup(&r, DP_MODE_ACTIVE_PASSIVE);
    r.view->endpoints[0].max_in_flight = 1;
    r.config.pool_max_idle = 1;
    rig_start(&r);
    struct rig_peer *up;
    struct rig_peer *first = rig_request(&r, GET("/db/doc"), &up);
    struct rig_peer *second = rig_client(&r);
    rig_send(second, GET("/db/doc"));
    assert_int_equal(r.n_regions, 1); /* in line */
    rig_send(up, ok);
    assert_string_equal(first->got, ok);
    rig_send(up, ok);
    assert_string_equal(second->got, ok);
    rig_fini(&r);
}

static void a_returning_region_gets_its_share(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_PASSIVE);
    r.view->regions[0].share = 0;
    rig_start(&r);
    assert_int_equal(ask_anew(&r, GET("/db/doc")), 1);
    assert_int_equal(ask_anew(&r, PUT("/db/doc")), 0);
    assert_int_equal(ask_anew(&r, GET("/db/_changes")), 0);
    rig_fini(&r);
    setup(&r, DP_MODE_ACTIVE_PASSIVE);
    r.view->regions[0].share = 50;
    rig_start(&r);
    unsigned went[3] = {0};
    for (unsigned i = 0; i < 16; i++) {
        struct rig_peer *c = rig_client(&r);
        int region = ask(&r, c, GET("/db/doc"));
        went[region]++;
        assert_int_equal(ask(&r, c, GET("/db/doc")), region); /* a connection is in it or not */
    }
    assert_true(went[0] > 2 && went[1] > 2);
    rig_fini(&r);
}

/* ---- memory ---- */

static void nothing_new_is_begun_while_memory_is_short(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_MODE_ACTIVE_PASSIVE);
    r.config.max_buffer_chunks = 8;
    rig_start(&r);
    struct dp_buf held;
    static char chunk[16384];
    dp_buf_init(&held, &r.engine.chunks);
    while (r.engine.chunks.n_used < 8)
        assert_int_equal(dp_buf_append(&held, chunk, 1000), DP_OK);
    struct rig_peer *c = rig_client(&r);
    assert_int_equal(ask(&r, c, GET("/db/doc")), -1);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    assert_non_null(strstr(c->got, "\"error\":\"overloaded\""));
    assert_non_null(strstr(c->got, "Retry-After: "));
    assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_ESHED]), 1);
    dp_buf_clear(&held);
    assert_int_equal(ask(&r, c, GET("/db/doc")), 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_to_the_active_region),
        cmocka_unit_test(reads_and_writes_to_the_nearest),
        cmocka_unit_test(a_region_that_is_lost_is_left_for_the_others),
        cmocka_unit_test(the_nearest_is_who_answers_first),
        cmocka_unit_test(writes_to_one_region_reads_to_the_nearest),
        cmocka_unit_test(writes_that_stay_are_refused_and_reads_go_on),
        cmocka_unit_test(writes_that_stay_wait_for_what_may_come),
        cmocka_unit_test(a_write_that_was_sent_is_not_called_refused),
        cmocka_unit_test(a_mode_of_its_own_for_a_database),
        cmocka_unit_test(a_connection_keeps_its_region),
        cmocka_unit_test(a_client_that_is_not_to_be_moved),
        cmocka_unit_test(what_is_not_moved_waits_for_what_may_come),
        cmocka_unit_test(a_header_names_the_client),
        cmocka_unit_test(an_address_names_the_client),
        cmocka_unit_test(who_wrote_reads_where_writes_go),
        cmocka_unit_test(what_one_region_throttles_another_has),
        cmocka_unit_test(how_long_it_is_left_alone),
        cmocka_unit_test(what_has_one_region_is_told_so),
        cmocka_unit_test(where_all_throttle_the_client_is_told),
        cmocka_unit_test(a_cap_sends_requests_elsewhere_or_makes_them_wait),
        cmocka_unit_test(a_returning_region_gets_its_share),
        cmocka_unit_test(nothing_new_is_begun_while_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
