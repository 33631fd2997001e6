/* Requests that meet no region: kept, sent on when one comes, told the truth when none does. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char put[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
static const char put_chunked[] =
    "PUT /db/doc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n";
static const char post[] = "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
static const char feed[] = "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

static void hold_rig(struct rig *r, unsigned regions)
{
    rig_init(r, regions);
    r->config.hold_ms = 5000;
    r->config.hold_requests = 3;
    r->config.hold_bytes = 100000;
    r->config.hold_release_per_s = 1000;
}

/* Every region is dead, and known to be. */
static void dead_rig(struct rig *r, unsigned regions)
{
    hold_rig(r, regions);
    r->view->active = DP_NO_REGION;
    for (unsigned i = 0; i < regions; i++)
        r->view->regions[i].state = r->view->endpoints[i].state = DP_ROUTE_DOWN;
    rig_start(r);
}

/* As far as the engine reads; what is left. */
static const char *send_some(struct rig_peer *p, const char *text, size_t step)
{
    const size_t n = strlen(text);
    for (size_t at = 0; at < n; at += step)
        if (!p->reading)
            return text + at;
        else
            rig_send_bytes(p, text + at, n - at < step ? n - at : step, 0);
    return "";
}

static uint64_t held(const struct rig *r)
{
    return dp_counter_get(&r->traffic.held);
}

static void assert_told(const struct rig_peer *c, const char *word)
{
    assert_int_equal(strncmp(c->got, "HTTP/1.1 503 ", 13), 0);
    assert_non_null(strstr(c->got, word));
}

static void a_region_comes_in_time(void **state)
{
    static const char *const requests[] = {get, put, put_chunked, post, feed};
    static const size_t steps[] = {1000, 1}; /* whole, byte by byte */
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        for (size_t k = 0; k < DP_ARRAY_LEN(steps); k++) {
            struct rig r;
            dead_rig(&r, 2);
            struct rig_peer *c = rig_client(&r);
            const char *left = send_some(c, requests[i], steps[k]);
            assert_int_equal(held(&r), 1);
            rig_pass(&r, 3000);
            assert_int_equal(c->got_bytes, 0);
            assert_int_equal(r.n_regions, 0);
            rig_publish(&r, 1, DP_ROUTE_OK, 1);
            assert_int_equal(held(&r), 0);
            struct rig_peer *up = rig_dialed(&r, 1);
            assert_string_equal(up->ip, "10.0.0.1");
            rig_connect(up, DP_OK);
            rig_send_bytes(c, left, strlen(left), steps[k]);
            const char *body = strstr(requests[i], "\r\n\r\n");
            if (k == 0 || requests[i] != put_chunked) /* else in chunks as they came */
                assert_string_equal(strstr(up->got, "\r\n\r\n"), body);
            rig_send_bytes(up, ok, strlen(ok), steps[k]);
            if (requests[i] == feed)
                assert_non_null(strstr(c->got, "hi"));
            else
                assert_string_equal(c->got, ok);
            assert_int_equal(dp_counter_get(&r.traffic.hold_total), 1);
            assert_int_equal(dp_counter_get(&r.traffic.hold_released), 1);
            assert_int_equal(dp_counter_get(&r.traffic.hold_expired), 0);
            assert_int_equal(dp_counter_get(&r.traffic.no_region), 0);
            rig_fini(&r);
        }
    }
}

static void none_comes(void **state)
{
    (void)state;
    struct rig r;
    dead_rig(&r, 2);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_pass(&r, 4950);
    assert_int_equal(c->got_bytes, 0);
    rig_pass(&r, 50);
    assert_told(c, "\"no_region_available\"");
    assert_non_null(strstr(c->got, "Retry-After: 7\r\n"));
    assert_int_equal(dp_counter_get(&r.traffic.hold_expired), 1);
    assert_int_equal(dp_counter_get(&r.traffic.no_region), 1);
    assert_false(c->closed); /* the connection lives on */
    rig_clear(c);
    rig_send(c, get);
    assert_int_equal(held(&r), 1);
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    rig_send(rig_dialed(&r, 1), ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

/* Between the death of all regions and the view that says so: they are asked again, ever less often. */
static void regions_that_fail_and_are_not_known_to_be_dead(void **state)
{
    (void)state;
    struct rig r;
    hold_rig(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, post); /* nothing of it was sent */
    size_t asked = 0;
    for (unsigned ms = 0; ms < 2000; ms += DP_TICK_MS) {
        while (r.n_regions > asked)
            rig_connect(r.regions[asked++], DP_ECONNECT);
        rig_pass(&r, DP_TICK_MS);
    }
    assert_int_equal(c->got_bytes, 0);
    assert_in_range(asked, 8, 14); /* two each round: 0, 50, 150, 350, 750, 1550 ms at the latest */
    rig_pass(&r, 1000);
    assert_int_equal(r.n_regions, asked + 1);
    rig_connect(r.regions[asked], DP_OK);
    rig_send(r.regions[asked], ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

/* It would answer 409 to what it may have made a revision of: only another region may have it. */
static void a_write_goes_to_no_region_twice(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    hold_rig(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, put, &up);
    rig_end(up, DP_ERESET);
    rig_connect(rig_dialed(&r, 2), DP_ECONNECT);
    assert_int_equal(held(&r), 1);
    rig_pass(&r, 200);
    assert_string_equal(rig_dialed(&r, 3)->ip, "10.0.0.1");
    rig_connect(r.regions[2], DP_OK);
    rig_send(r.regions[2], ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);

    /* both may have it: waiting would change nothing */
    hold_rig(&r, 2);
    rig_start(&r);
    c = rig_request(&r, put, &up);
    rig_end(up, DP_ERESET);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_end(rig_dialed(&r, 2), DP_ERESET);
    assert_told(c, "\"outcome_unknown\"");
    rig_fini(&r);

    /* the other one does not come */
    hold_rig(&r, 2);
    rig_start(&r);
    c = rig_request(&r, put, &up);
    rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
    rig_end(up, DP_ERESET);
    assert_int_equal(held(&r), 1);
    rig_pass(&r, 5000);
    assert_told(c, "\"outcome_unknown\"");
    assert_int_equal(r.n_regions, 1);
    rig_fini(&r);
}

static void its_place_goes_with_the_client(void **state)
{
    (void)state;
    for (int err = 0; err < 2; err++) {
        struct rig r;
        dead_rig(&r, 1);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, put);
        assert_int_equal(held(&r), 1);
        rig_end(c, err ? DP_ERESET : DP_OK);
        assert_int_equal(held(&r), 0);
        assert_true(c->closed);
        rig_publish(&r, 0, DP_ROUTE_OK, 0);
        assert_int_equal(r.n_regions, 0);
        rig_fini(&r);
    }
}

static void what_has_no_room_is_told_at_once(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *c[4];
    dead_rig(&r, 1);
    for (size_t i = 0; i < DP_ARRAY_LEN(c); i++) {
        c[i] = rig_client(&r);
        rig_send(c[i], get);
    }
    assert_int_equal(held(&r), 3);
    assert_told(c[3], "\"no_region_available\"");
    assert_int_equal(dp_counter_get(&r.traffic.hold_refused), 1);
    rig_fini(&r);

    static char body[70000];
    memset(body, 'x', sizeof(body));
    hold_rig(&r, 1);
    r.config.hold_bytes = 60000;
    r.view->regions[0].state = r.view->endpoints[0].state = DP_ROUTE_DOWN;
    rig_start(&r);
    char head[100];
    (void)snprintf(head, sizeof(head),
                   "PUT /db/x HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", sizeof(body));
    c[0] = rig_client(&r);
    rig_send_bytes(c[0], head, strlen(head), 0); /* its body is not read yet */
    assert_int_equal(held(&r), 1);
    static char all[sizeof(body) + sizeof(head)];
    (void)snprintf(all, sizeof(all), "%s", head);
    memcpy(all + strlen(head), body, sizeof(body));
    c[1] = rig_client(&r);
    rig_send_bytes(c[1], all, strlen(head) + sizeof(body), 0); /* all of it is */
    assert_told(c[1], "\"no_region_available\"");
    assert_int_equal(held(&r), 1);
    rig_fini(&r);
}

/* The client waits with its body; from then on all goes as if nothing had been. */
static void an_unread_body_stays_with_the_client(void **state)
{
    static char body[200000];
    (void)state;
    struct rig r;
    dead_rig(&r, 1);
    memset(body, 'x', sizeof(body));
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\nabc");
    assert_int_equal(held(&r), 1);
    assert_false(c->reading);
    rig_pass(&r, 2000);
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    assert_true(c->reading);
    rig_send_bytes(c, body, sizeof(body) - 3, 5000);
    struct rig_peer *up = rig_dialed(&r, 1);
    assert_int_equal(strlen(strstr(up->got, "\r\n\r\n")), 4 + sizeof(body));
    rig_send(up, ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);

    /* and if no region comes it is told, and may send the rest or not */
    dead_rig(&r, 1);
    c = rig_client(&r);
    rig_send(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\nabc");
    rig_pass(&r, 5000);
    assert_told(c, "\"no_region_available\"");
    assert_true(c->finished && c->reading);
    rig_fini(&r);
}

static void they_go_on_at_a_pace_in_their_order(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *c[10];
    hold_rig(&r, 1);
    r.config.hold_requests = 10;
    r.config.max_waiting = 10;
    r.config.hold_release_per_s = 40; /* two a tick */
    r.view->regions[0].state = r.view->endpoints[0].state = DP_ROUTE_DOWN;
    rig_start(&r);
    for (size_t i = 0; i < DP_ARRAY_LEN(c); i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "GET /db/%zu HTTP/1.1\r\nHost: a\r\n\r\n", i);
        c[i] = rig_client(&r);
        rig_send(c[i], text);
    }
    assert_int_equal(held(&r), 10);
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    for (size_t gone = 2; gone <= 10; gone += 2) {
        assert_int_equal(held(&r), 10 - gone);
        assert_int_equal(r.n_regions, gone);
        rig_pass(&r, DP_TICK_MS);
    }
    for (size_t i = 0; i < DP_ARRAY_LEN(c); i++)
        rig_connect(r.regions[i], DP_OK);
    for (size_t i = 0; i < DP_ARRAY_LEN(c); i++) {
        char target[16];
        (void)snprintf(target, sizeof(target), "GET /db/%zu ", i);
        assert_int_equal(strncmp(r.regions[i]->got, target, strlen(target)), 0);
        rig_send(r.regions[i], ok);
        assert_string_equal(c[i]->got, ok);
    }
    rig_fini(&r);
}

static void what_operators_drained_does_not_come_by_itself(void **state)
{
    (void)state;
    struct rig r;
    hold_rig(&r, 1);
    rig_start(&r);
    rig_publish(&r, 0, DP_ROUTE_BARRED, DP_NO_REGION);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    assert_told(c, "\"no_region_available\"");
    assert_int_equal(dp_counter_get(&r.traffic.hold_refused), 0);
    rig_fini(&r);
}

static void a_drain_ends_held_feeds_and_finishes_the_rest(void **state)
{
    (void)state;
    struct rig r;
    dead_rig(&r, 1);
    struct rig_peer *f = rig_client(&r), *c = rig_client(&r);
    rig_send(f, feed);
    rig_send(c, get);
    assert_int_equal(held(&r), 2);
    dp_engine_drain(&r.engine);
    rig_turn(&r);
    assert_told(f, "\"shutting_down\"");
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    rig_send(rig_dialed(&r, 1), ok);
    assert_non_null(strstr(c->got, "HTTP/1.1 200 OK"));
    rig_fini(&r);
}

/* Its own request after it waits for its turn. */
static void a_pipelined_request_waits_behind(void **state)
{
    (void)state;
    struct rig r;
    dead_rig(&r, 1);
    struct rig_peer *c = rig_client(&r);
    char both[2 * sizeof(get)];
    (void)snprintf(both, sizeof(both), "%s%s", get, get);
    rig_send(c, both);
    assert_int_equal(held(&r), 1);
    rig_pass(&r, 5000); /* the first is told, the second takes its place */
    assert_told(c, "\"no_region_available\"");
    assert_int_equal(held(&r), 1);
    rig_clear(c);
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    rig_send(rig_dialed(&r, 1), ok);
    assert_string_equal(c->got, ok);
    rig_fini(&r);
}

static void the_end_of_all_ends_the_held(void **state)
{
    (void)state;
    struct rig r;
    dead_rig(&r, 1);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    assert_int_equal(held(&r), 1);
    dp_engine_abort(&r.engine);
    rig_turn(&r);
    assert_true(c->closed);
    rig_fini(&r);
}

/* Before a failback writes stand still: those under way end, new ones wait, reads go on. */
static void writes_stand_still(void **state)
{
    (void)state;
    struct rig r;
    hold_rig(&r, 2);
    rig_start(&r);
    struct rig_peer *up = NULL;
    struct rig_peer *first = rig_request(&r, put, &up);
    r.pause = 7;
    rig_publish(&r, 1, DP_ROUTE_OK, 0);
    assert_int_equal(atomic_load(&r.traffic.rests), 0); /* one is under way */
    struct rig_peer *second = rig_client(&r);
    rig_send(second, put);
    assert_int_equal(held(&r), 1);
    struct rig_peer *reader = rig_client(&r);
    rig_send(reader, get);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(reader->got, ok);
    assert_int_equal(atomic_load(&r.traffic.rests), 0);
    rig_send(up, ok);
    assert_string_equal(first->got, ok);
    assert_int_equal(atomic_load(&r.traffic.rests), 7);
    assert_int_equal(second->got_bytes, 0);
    r.pause = 0;
    rig_publish(&r, 0, DP_ROUTE_OK, 1); /* the traffic moved: so does what waited */
    assert_int_equal(held(&r), 0);
    assert_string_equal(rig_dialed(&r, 3)->ip, "10.0.0.1");
    rig_connect(rig_dialed(&r, 3), DP_OK);
    rig_send(rig_dialed(&r, 3), ok);
    assert_string_equal(second->got, ok);
    assert_int_equal(atomic_load(&r.traffic.pause_broken), 0);
    rig_fini(&r);
}

/* Nobody is refused for it: what finds no place to wait, or waited for too long, goes on, and the pause is over. */
static void a_pause_refuses_nobody(void **state)
{
    (void)state;
    for (unsigned full = 0; full < 2; full++) {
        struct rig r;
        hold_rig(&r, 2);
        if (full)
            r.config.hold_requests = 1;
        rig_start(&r);
        r.pause = 9;
        rig_publish(&r, 1, DP_ROUTE_OK, 0);
        assert_int_equal(atomic_load(&r.traffic.rests), 9);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, put);
        assert_int_equal(held(&r), 1);
        if (full)
            rig_send(rig_client(&r), put);
        else
            rig_pass(&r, 5000);
        assert_int_equal(atomic_load(&r.traffic.pause_broken), 9);
        assert_int_equal(atomic_load(&r.traffic.rests), 0);
        assert_string_equal(rig_dialed(&r, 1)->ip, "10.0.0.0");
        assert_int_equal(dp_counter_get(&r.traffic.no_region), 0);
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_comes_in_time),
        cmocka_unit_test(none_comes),
        cmocka_unit_test(regions_that_fail_and_are_not_known_to_be_dead),
        cmocka_unit_test(a_write_goes_to_no_region_twice),
        cmocka_unit_test(its_place_goes_with_the_client),
        cmocka_unit_test(what_has_no_room_is_told_at_once),
        cmocka_unit_test(an_unread_body_stays_with_the_client),
        cmocka_unit_test(they_go_on_at_a_pace_in_their_order),
        cmocka_unit_test(what_operators_drained_does_not_come_by_itself),
        cmocka_unit_test(a_drain_ends_held_feeds_and_finishes_the_rest),
        cmocka_unit_test(a_pipelined_request_waits_behind),
        cmocka_unit_test(the_end_of_all_ends_the_held),
        cmocka_unit_test(writes_stand_still),
        cmocka_unit_test(a_pause_refuses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
