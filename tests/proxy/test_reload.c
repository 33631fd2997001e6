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

static void reload(struct rig *r, const struct dp_proxy_config *config, unsigned *weight,
                   struct dp_view *view)
{
    struct dp_kept_config *kept = malloc(sizeof(*kept));
    struct dp_pinned_view *pinned = malloc(sizeof(*pinned));
    assert_true(kept && pinned);
    *kept = (struct dp_kept_config){config, release, weight, 0};
    dp_engine_reload(&r->engine, kept, pinned, view);
    rig_turn(r);
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

static void feeds_of_a_region_that_left_end(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    unsigned one = 1;
    rig_init(&r, 2);
    struct dp_proxy_config same = r.config;
    rig_start(&r);
    struct rig_peer *c =
        rig_request(&r, "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n");
    reload(&r, &same, &one, next_view(&r, 0, true));
    assert_non_null(strstr(c->got, "{}\n\r\n0\r\n\r\n"));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_one_goes_with_its_last_request),
        cmocka_unit_test(times_change_for_what_waits),
        cmocka_unit_test(what_was_sent_to_a_region_that_left_is_answered),
        cmocka_unit_test(what_waits_for_a_region_that_left_moves),
        cmocka_unit_test(feeds_of_a_region_that_left_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
