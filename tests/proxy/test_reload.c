/* Another configuration for an engine at work: what is under way keeps what it began with, what comes goes by the new one. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned released;

static void release(void *ctx)
{
    released += *(unsigned *)ctx;
}

/* The next view of the rig: the same regions, but `gone` out of it. */
static struct dp_view *next_view(struct rig *r, uint16_t gone, bool renumbered)
{
    struct dp_view *v = dp_view_new(), *old = r->engine.view->view;
    assert_non_null(v);
    v->n_regions = old->n_regions;
    v->n_endpoints = old->n_endpoints;
    v->retry_after_s = old->retry_after_s;
    v->active = gone == 0 ? 1 : 0;
    v->generation = old->generation + 1;
    v->numbering = renumbered ? v->generation : old->numbering;
    memcpy(v->regions, old->regions, sizeof(v->regions));
    memcpy(v->endpoints, old->endpoints, sizeof(v->endpoints));
    if (gone < v->n_endpoints)
        v->endpoints[gone] = (struct dp_view_endpoint){
            .region = DP_VIEW_GONE, .state = DP_ROUTE_BARRED, .pool_epoch = 77, .host = ""};
    return v;
}

static void reload_with(struct rig *r, const struct dp_proxy_config *config,
                        void (*on_release)(void *ctx), void *ctx, struct dp_view *view)
{
    struct dp_kept_config *kept = malloc(sizeof(*kept));
    struct dp_pinned_view *pinned = malloc(sizeof(*pinned));
    assert_true(kept && pinned);
    *kept = (struct dp_kept_config){config, on_release, ctx, 0};
    dp_engine_reload(&r->engine, kept, pinned, view);
    rig_turn(r);
}

static void reload(struct rig *r, const struct dp_proxy_config *config, unsigned *weight,
                   struct dp_view *view)
{
    reload_with(r, config, release, weight, view);
}

/* As if it had been freed. */
static void spoil(void *config)
{
    memset(config, 0xFF, sizeof(struct dp_proxy_config));
}

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void the_old_one_goes_with_its_last_request(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    unsigned one = 1, ten = 10;
    released = 0;
    rig_init(&r, 2);
    struct dp_proxy_config second = r.config, third = r.config;
    second.max_target_bytes = 16;
    third.via = "other";
    rig_start(&r);
    reload(&r, &second, &one, next_view(&r, UINT16_MAX, false));
    struct rig_peer *c = rig_request(&r, get, &up);
    reload(&r, &third, &ten, next_view(&r, UINT16_MAX, false));
    assert_int_equal(released, 0); /* a request is under way that began by it */
    rig_send(up, ok);
    assert_non_null(strstr(c->got, "200 OK"));
    rig_turn(&r);
    assert_int_equal(released, 1);
    rig_fini(&r);
    assert_int_equal(released, 11);
}

static void times_change_for_what_waits(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    unsigned one = 1;
    rig_init(&r, 1);
    struct dp_proxy_config quick = r.config;
    quick.answer_timeout_ms = 1000;
    r.config.answer_timeout_ms = 60000;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    reload(&r, &quick, &one, next_view(&r, UINT16_MAX, false));
    rig_wait(&r, 2000);
    assert_non_null(strstr(c->got, "503"));
    rig_fini(&r);
}

/* For connections that are open, too. */
static void limits_change_for_the_next_request(void **state)
{
    static const char many[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n";
    (void)state;
    struct rig r;
    struct rig_peer *up;
    unsigned one = 1;
    rig_init(&r, 1);
    struct dp_proxy_config strict = r.config;
    strict.max_headers = 3;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, many, &up);
    rig_send(up, ok);
    assert_non_null(strstr(c->got, "200 OK"));
    rig_clear(c);
    reload(&r, &strict, &one, next_view(&r, UINT16_MAX, false));
    rig_send(c, many);
    assert_non_null(strstr(c->got, " 431 "));
    rig_fini(&r);
}

static void what_was_sent_to_a_region_that_left_is_answered(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    unsigned one = 1;
    rig_init(&r, 2);
    struct dp_proxy_config same = r.config;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    reload(&r, &same, &one, next_view(&r, 0, true));
    assert_false(up->closed);
    rig_send(up, ok);
    assert_non_null(strstr(c->got, "200 OK"));
    rig_turn(&r);
    assert_true(up->closed); /* and not kept */
    rig_send(c, get);
    (void)rig_dialed(&r, 2);
    rig_fini(&r);
}

static void what_waits_for_a_region_that_left_moves(void **state)
{
    (void)state;
    struct rig r;
    unsigned one = 1;
    rig_init(&r, 2);
    struct dp_proxy_config same = r.config;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    (void)rig_dialed(&r, 1); /* not connected yet */
    reload(&r, &same, &one, next_view(&r, 0, true));
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_turn(&r);
    rig_send(r.regions[1], ok);
    assert_non_null(strstr(c->got, "200 OK"));
    rig_fini(&r);
}

/* Two reloads in a row: the number that the first had vacated is another endpoint's by the second, and only that one is
 * seen here. */
static struct dp_view *taken_over(struct rig *r, uint16_t endpoint)
{
    struct dp_view *v = next_view(r, UINT16_MAX, true);
    v->generation++;
    v->numbering++;
    v->endpoints[endpoint].host = "another.example:80";
    v->endpoints[endpoint].pool_epoch = 78;
    return v;
}

static void feeds_of_a_region_that_left_end(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct rig r;
        struct rig_peer *up;
        unsigned one = 1;
        rig_init(&r, 2);
        struct dp_proxy_config same = r.config;
        rig_start(&r);
        struct rig_peer *c =
            rig_request(&r, "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
        rig_send(up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n");
        reload(&r, &same, &one, next_view(&r, UINT16_MAX, false)); /* it stays */
        assert_null(strstr(c->got, "0\r\n\r\n"));
        reload(&r, &same, &one, over ? taken_over(&r, 0) : next_view(&r, 0, true));
        assert_non_null(strstr(c->got, "{}\n\r\n0\r\n\r\n"));
        rig_fini(&r);
    }
}

/* Who has no connection yet must not get one to whoever has the number now, without being asked. */
static void what_waits_for_a_number_that_is_another_s_is_routed_anew(void **state)
{
    (void)state;
    struct rig r;
    unsigned one = 1;
    rig_init(&r, 2);
    struct dp_proxy_config same = r.config;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    (void)rig_dialed(&r, 1); /* not connected yet */
    struct dp_view *v = taken_over(&r, 0);
    v->endpoints[0].region = 1; /* and it is another region's */
    v->endpoints[1].region = 0;
    reload(&r, &same, &one, v);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_turn(&r);
    assert_string_equal(r.regions[1]->ip, "10.0.0.1");
    rig_send(r.regions[1], ok);
    assert_non_null(strstr(c->got, "200 OK"));
    rig_fini(&r);
}

/* The next attempt goes by the rules of now: those that it began by went with the view that it let go of. */
static void another_attempt_goes_by_the_new_rules(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        struct rig r;
        struct rig_peer *up;
        unsigned one = 1;
        rig_init(&r, 2);
        r.config.hold_ms = 5000;
        r.config.hold_requests = 10;
        r.config.hold_bytes = 100000;
        r.config.hold_release_per_s = 1000;
        struct dp_proxy_config second = r.config, third = r.config;
        rig_start(&r);
        reload_with(&r, &second, spoil, &second, next_view(&r, UINT16_MAX, false));
        struct rig_peer *c = rig_request(&r, get, &up);
        if (held) { /* both failed it */
            rig_end(up, DP_ERESET);
            rig_connect(rig_dialed(&r, 2), DP_ECONNECT);
            assert_int_equal(dp_counter_get(&r.traffic.held), 1);
        }
        reload(&r, &third, &one, next_view(&r, UINT16_MAX, false));
        if (held) {
            assert_int_equal(second.max_headers, UINT32_MAX); /* nobody waits with it */
            rig_pass(&r, 200);
            rig_connect(rig_dialed(&r, 3), DP_OK);
            rig_send(r.regions[2], ok);
        } else {
            rig_end(up, DP_ERESET);
            rig_connect(rig_dialed(&r, 2), DP_OK);
            rig_send(r.regions[1], ok);
        }
        assert_non_null(strstr(c->got, "200 OK"));
        rig_fini(&r);
    }
}

/* A region that may have carried a write out is the same one under another number. */
static void a_write_goes_to_no_region_twice_under_another_number(void **state)
{
    static const char put[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    (void)state;
    for (int held = 0; held < 2; held++) {
        struct rig r;
        struct rig_peer *up;
        unsigned one = 1;
        rig_init(&r, 2);
        r.config.hold_ms = 5000;
        r.config.hold_requests = 10;
        r.config.hold_bytes = 100000;
        r.config.hold_release_per_s = 1000;
        struct dp_proxy_config same = r.config;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, put, &up);
        rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
        if (held)
            rig_end(up, DP_ERESET);
        struct dp_view *v = next_view(&r, UINT16_MAX, true);
        v->regions[0] = r.view->regions[1];
        v->regions[1] = r.view->regions[0];
        v->endpoints[0].region = 1;
        v->endpoints[1].region = 0;
        v->active = 1;
        v->epoch = r.view->epoch + 1;
        reload(&r, &same, &one, v);
        if (!held)
            rig_end(up, DP_ERESET);
        assert_int_equal(dp_counter_get(&r.traffic.held), 1);
        rig_pass(&r, 4000);
        assert_int_equal(r.n_regions, 1);
        rig_pass(&r, 1000);
        assert_non_null(strstr(c->got, "outcome_unknown"));
        rig_fini(&r);
    }
}

/* A request knows the endpoints of the configuration that it was sent by, and no others. */
static void no_hedge_across_a_reload(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    unsigned one = 1;
    rig_init(&r, 1);
    r.config.hedge_percent = 2;
    r.config.pool_warm = 1;
    r.view->endpoints[0].usual_ms = 1000;
    struct dp_proxy_config same = r.config;
    rig_start(&r);
    r.engine.hedges.hundredths = 100; /* one */
    struct rig_peer *c = rig_request(&r, get, &up);
    struct dp_view *v = next_view(&r, UINT16_MAX, false);
    v->n_regions = v->n_endpoints = 2;
    v->regions[1] = (struct dp_view_region){.name = "new", .state = DP_ROUTE_OK, .share = 100};
    v->endpoints[1] = v->endpoints[0];
    v->endpoints[1].region = 1;
    reload(&r, &same, &one, v);
    rig_pass(&r, 900);
    for (size_t i = 1; i < r.n_regions; i++)
        rig_connect(r.regions[i], DP_OK);
    rig_pass(&r, 1000);
    assert_int_equal(dp_counter_get(&r.traffic.hedges), 0);
    rig_send(up, ok);
    assert_non_null(strstr(c->got, "200 OK"));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_one_goes_with_its_last_request),
        cmocka_unit_test(times_change_for_what_waits),
        cmocka_unit_test(limits_change_for_the_next_request),
        cmocka_unit_test(what_was_sent_to_a_region_that_left_is_answered),
        cmocka_unit_test(what_waits_for_a_region_that_left_moves),
        cmocka_unit_test(feeds_of_a_region_that_left_end),
        cmocka_unit_test(what_waits_for_a_number_that_is_another_s_is_routed_anew),
        cmocka_unit_test(another_attempt_goes_by_the_new_rules),
        cmocka_unit_test(a_write_goes_to_no_region_twice_under_another_number),
        cmocka_unit_test(no_hedge_across_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
