/* Dialing a name with several addresses, on stream doubles: who is dialed when, who wins, and what is kept of it. */
#include "proxy/addresses.h"
#include "proxy/race.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/* More than the delay, less than two: the wheel's tick is coarse. */
#define DELAY_MS 300

static void start(struct rig *r, unsigned regions, const char *addrs)
{
    rig_init(r, regions);
    r->view->endpoints[0].addrs = list(addrs);
    rig_start(r);
}

static void move(struct rig *r, const char *addrs)
{
    struct dp_view *v = dp_view_new();
    struct dp_addrs a = list(addrs);
    v->epoch = r->view->epoch + 1;
    v->active = r->view->active;
    v->n_regions = r->view->n_regions;
    v->n_endpoints = r->view->n_endpoints;
    memcpy(v->regions, r->view->regions, sizeof(v->regions));
    memcpy(v->endpoints, r->view->endpoints, sizeof(v->endpoints));
    v->endpoints[0].addrs = a;
    dp_view_unref(r->view);
    r->view = v;
    dp_engine_adopt_view(&r->engine, dp_view_ref(v));
    rig_turn(r);
}

static struct rig_peer *dialed(struct rig *r, size_t count, const char *ip)
{
    struct rig_peer *p = rig_dialed(r, count);
    assert_string_equal(p->ip, ip);
    return p;
}

static void ask(struct rig_peer *c)
{
    rig_clear(c);
    rig_send(c, get);
}

static void answered(struct rig_peer *c, struct rig_peer *region)
{
    assert_non_null(strstr(region->got, "GET /db/doc"));
    rig_clear(region);
    rig_send(region, ok);
    assert_int_equal(strncmp(c->got, "HTTP/1.1 200", 12), 0);
}

static uint64_t shown(const struct rig *r)
{
    return dp_counter_get(&r->traffic.endpoints[0].address);
}

static uint64_t tag(const char *ip)
{
    struct dp_addrs a = list(ip);
    return dp_addr_tag(&a.at[0]);
}

static void a_dark_address_is_overtaken_and_the_winner_is_remembered(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 1, "a b c");
    struct rig_peer *c = rig_client(&r);
    ask(c);
    struct rig_peer *a = dialed(&r, 1, "a");
    rig_wait(&r, 200);
    (void)dialed(&r, 1, "a"); /* not yet */
    rig_wait(&r, 100);
    struct rig_peer *b = dialed(&r, 2, "b");
    assert_false(a->closed);
    rig_connect(b, DP_OK);
    assert_true(a->closed); /* the loser */
    assert_true(shown(&r) == tag("b"));
    answered(c, b);
    rig_wait(&r, 2 * DELAY_MS);
    (void)dialed(&r, 2, "b"); /* the race is over: c is never dialed */
    /* the next dial begins with the winner */
    rig_end(b, DP_OK);
    ask(c);
    b = dialed(&r, 3, "b");
    rig_connect(b, DP_OK);
    answered(c, b);
    rig_fini(&r);
}

static void a_refused_address_is_followed_at_once(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 1, "a b c");
    struct rig_peer *c = rig_client(&r);
    ask(c);
    rig_connect(dialed(&r, 1, "a"), DP_ECONNECT);
    rig_connect(dialed(&r, 2, "b"), DP_ETLS); /* a handshake is part of it */
    struct rig_peer *up = dialed(&r, 3, "c");
    rig_connect(up, DP_OK);
    answered(c, up);
    assert_int_equal(dp_counter_get(&r.traffic.address_failures), 2);
    assert_int_equal(dp_counter_get(&r.traffic.upstream_connections), 1);
    rig_fini(&r);
}

static void the_late_loser_s_answer_is_nobody_s(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 1, "a b");
    struct rig_peer *c = rig_client(&r);
    ask(c);
    rig_wait(&r, DELAY_MS);
    struct rig_peer *a = r.regions[0], *b = dialed(&r, 2, "b");
    rig_connect(a, DP_OK); /* late, but before b */
    assert_true(b->closed);
    assert_true(shown(&r) == tag("a"));
    answered(c, a);
    rig_fini(&r);
}

static void when_all_fail_the_next_region_answers(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 2, "a b");
    struct rig_peer *c = rig_client(&r);
    ask(c);
    rig_connect(dialed(&r, 1, "a"), DP_ECONNECT);
    rig_connect(dialed(&r, 2, "b"), DP_ECONNECT);
    struct rig_peer *other = dialed(&r, 3, "10.0.0.1");
    rig_connect(other, DP_OK);
    answered(c, other);
    assert_true(shown(&r) == 0);
    rig_fini(&r);
}

static void all_addresses_share_one_timeout(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 2, "a b");
    struct rig_peer *c = rig_client(&r);
    ask(c);
    rig_wait(&r, DELAY_MS);
    assert_int_equal(r.n_regions, 2);
    rig_wait(&r, r.config.connect_timeout_ms - DELAY_MS + DP_TICK_MS);
    assert_true(r.regions[0]->closed && r.regions[1]->closed);
    struct rig_peer *other = dialed(&r, 3, "10.0.0.1");
    rig_connect(other, DP_OK);
    answered(c, other);
    assert_int_equal(dp_counter_get(&r.traffic.address_failures), 2);
    rig_fini(&r);
}

static void without_a_delay_only_failures_move_it_on(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.race_delay_ms = 0;
    r.view->endpoints[0].addrs = list("a b");
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    ask(c);
    rig_wait(&r, r.config.connect_timeout_ms - DP_TICK_MS);
    rig_connect(dialed(&r, 1, "a"), DP_ECONNECT);
    struct rig_peer *b = dialed(&r, 2, "b");
    rig_connect(b, DP_OK);
    answered(c, b);
    rig_fini(&r);
}

static void no_address_and_no_socket_fail_at_once(void **state)
{
    (void)state;
    for (int sockets = 0; sockets < 2; sockets++) {
        struct rig r;
        start(&r, 1, sockets ? "" : "a b");
        r.dial_error = sockets ? DP_OK : DP_ENOMEM;
        struct rig_peer *c = rig_client(&r);
        ask(c);
        assert_int_equal(strncmp(c->got, "HTTP/1.1 503", 12), 0);
        assert_int_equal(r.n_regions, 0);
        rig_fini(&r);
    }
}

static void only_connections_to_addresses_that_went_away_are_dropped(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 1, "a b");
    struct rig_peer *c = rig_client(&r), *d = rig_client(&r), *e = rig_client(&r);
    ask(c);
    rig_connect(dialed(&r, 1, "a"), DP_ECONNECT);
    struct rig_peer *b = dialed(&r, 2, "b");
    rig_connect(b, DP_OK);
    ask(d);
    struct rig_peer *b2 = dialed(&r, 3, "b");
    rig_connect(b2, DP_OK);
    ask(e);
    struct rig_peer *b3 = dialed(&r, 4, "b");
    answered(c, b); /* e gets this one; */
    answered(e, b); /* now it is idle, b2 is leased, b3 is being dialed */
    move(&r, "b a");
    move(&r, "x b");
    assert_false(b->closed);
    assert_true(shown(&r) == tag("b"));
    move(&r, "x y");
    assert_true(b->closed);
    assert_true(shown(&r) == 0);
    assert_false(b2->closed);
    answered(d, b2); /* finishes, and is not used again */
    assert_true(b2->closed);
    rig_connect(b3, DP_OK);
    assert_true(b3->closed);
    ask(c);
    struct rig_peer *x = dialed(&r, 5, "x");
    rig_connect(x, DP_OK);
    answered(c, x);
    rig_fini(&r);
}

static void it_ends_in_the_middle_of_a_race(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 1, "a b");
    ask(rig_client(&r));
    rig_wait(&r, DELAY_MS);
    assert_int_equal(r.n_regions, 2);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dark_address_is_overtaken_and_the_winner_is_remembered),
        cmocka_unit_test(a_refused_address_is_followed_at_once),
        cmocka_unit_test(the_late_loser_s_answer_is_nobody_s),
        cmocka_unit_test(when_all_fail_the_next_region_answers),
        cmocka_unit_test(all_addresses_share_one_timeout),
        cmocka_unit_test(without_a_delay_only_failures_move_it_on),
        cmocka_unit_test(no_address_and_no_socket_fail_at_once),
        cmocka_unit_test(only_connections_to_addresses_that_went_away_are_dropped),
        cmocka_unit_test(it_ends_in_the_middle_of_a_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
