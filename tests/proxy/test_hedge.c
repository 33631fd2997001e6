/* Reads that are asked for a second time while the first answer is awaited. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";
static const char other[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nHI";

struct desk {
    struct rig r;
    struct rig_peer *c, *first, *second; /* second: ready in the other region */
};

static void desk_begin(struct desk *d, const char *request)
{
    struct rig *r = &d->r;
    rig_init(r, 2);
    r->config.hedge_percent = 2;
    r->config.pool_warm = 1;
    r->view->endpoints[0].usual_ms = r->view->endpoints[1].usual_ms = 100;
    r->view->endpoints[0].late_ms = r->view->endpoints[1].late_ms = 1000;
    rig_start(r);
    r->engine.hedges.hundredths = 100; /* one */
    rig_wait(r, 1000);
    assert_int_equal(r->n_regions, 2);
    rig_connect(r->regions[0], DP_OK);
    rig_connect(r->regions[1], DP_OK);
    d->c = rig_client(r);
    rig_send(d->c, request);
    d->first = r->regions[0];
    d->second = r->regions[1];
    assert_true(d->first->got_bytes > 0);
}

static uint64_t outcome(const struct desk *d, unsigned endpoint, enum dp_outcome o)
{
    return dp_counter_get(&d->r.traffic.endpoints[endpoint].outcomes[o]);
}

static void after_what_is_usual_it_is_asked_for_again(void **state)
{
    (void)state;
    for (int wins = 0; wins < 2; wins++) {
        for (size_t step = 0; step < 2; step++) {
            struct desk d;
            desk_begin(&d, get);
            rig_pass(&d.r, 50);
            assert_int_equal(d.second->got_bytes, 0);
            rig_pass(&d.r, 100);
            assert_non_null(strstr(d.second->got, "Host: r1.example:80\r\n"));
            assert_int_equal(dp_counter_get(&d.r.traffic.hedges), 1);
            if (wins) {
                rig_send_bytes(d.second, other, 20, 0);
                assert_true(d.first->closed);
                rig_send_bytes(d.second, other + 20, sizeof(other) - 21, step);
                assert_string_equal(d.c->got, other);
            } else {
                rig_send_bytes(d.first, ok, sizeof(ok) - 1, step);
                assert_true(d.second->closed);
                assert_string_equal(d.c->got, ok);
            }
            assert_int_equal(dp_counter_get(&d.r.traffic.hedges_won), wins);
            assert_int_equal(outcome(&d, 1 - (unsigned)wins, DP_OUTCOME_ABANDONED), 1);
            assert_int_equal(outcome(&d, (unsigned)wins, DP_OUTCOME_ANSWERED), 1);
            assert_int_equal(d.r.kicks, 0);
            /* the connection goes on, and there is nothing left to spend */
            rig_clear(d.c);
            rig_send(d.c, get);
            rig_pass(&d.r, 900);
            assert_int_equal(dp_counter_get(&d.r.traffic.hedges), 1);
            rig_fini(&d.r);
        }
    }
}

static void what_is_never_hedged(void **state)
{
    static const char *const requests[] = {
        "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "DELETE /db/doc?rev=1-a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /db/_design/d/_view/v HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /db/_local/x HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        struct desk d;
        desk_begin(&d, requests[i]);
        rig_pass(&d.r, 900);
        assert_int_equal(dp_counter_get(&d.r.traffic.hedges), 0);
        rig_fini(&d.r);
    }
    for (int why = 0; why < 3; why++) {
        struct desk d;
        desk_begin(&d, get);
        if (why == 0)
            rig_publish(&d.r, 1, DP_ROUTE_DOWN, 0); /* nobody else */
        else if (why == 1)
            rig_end(d.second, DP_OK); /* no connection is ready */
        else
            d.r.engine.hedges.hundredths = 99;
        rig_pass(&d.r, 900);
        assert_int_equal(dp_counter_get(&d.r.traffic.hedges), 0);
        rig_fini(&d.r);
    }
}

/* A worse answer than none, or none: the first one goes on as if nothing had been. */
static void a_hedge_that_fails_is_forgotten(void **state)
{
    static const char *const said[] = {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        "HTTP",
        NULL, /* closes */
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(said); i++) {
        struct desk d;
        desk_begin(&d, get);
        rig_pass(&d.r, 150);
        if (said[i])
            rig_send(d.second, said[i]);
        else
            rig_end(d.second, DP_ERESET);
        assert_true(d.second->closed);
        assert_false(d.first->closed);
        rig_send(d.first, ok);
        assert_string_equal(d.c->got, ok);
        assert_int_equal(dp_counter_get(&d.r.traffic.hedges_won), 0);
        rig_fini(&d.r);
    }
}

/* It takes the place of a first attempt that fails, or whose region is left. */
static void the_first_fails(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct desk d;
        desk_begin(&d, get);
        rig_pass(&d.r, 150);
        if (how == 0)
            rig_end(d.first, DP_ERESET);
        else if (how == 1)
            rig_publish(&d.r, 0, DP_ROUTE_DOWN, 1);
        else
            rig_pass(&d.r, d.r.config.answer_timeout_ms);
        assert_true(d.first->closed);
        assert_false(d.second->closed);
        rig_send(d.second, other);
        assert_string_equal(d.c->got, other);
        assert_int_equal(
            outcome(&d, 1, DP_OUTCOME_ANSWERED) + outcome(&d, 1, DP_OUTCOME_ANSWERED_LATE), 1);
        rig_fini(&d.r);
    }
    struct desk d; /* and then it fails too */
    desk_begin(&d, get);
    rig_pass(&d.r, 150);
    rig_end(d.first, DP_ERESET);
    rig_end(d.second, DP_ERESET);
    assert_int_equal(strncmp(d.c->got, "HTTP/1.1 503 ", 13), 0);
    rig_fini(&d.r);
}

/* It is of no use where nobody answers: nothing is left to wait for there. */
static void the_region_of_a_hedge_is_left(void **state)
{
    (void)state;
    struct desk d;
    desk_begin(&d, get);
    rig_pass(&d.r, 150);
    assert_true(d.second->got_bytes > 0);
    rig_publish(&d.r, 1, DP_ROUTE_DOWN, 0);
    assert_true(d.second->closed);
    assert_int_equal(outcome(&d, 1, DP_OUTCOME_ABANDONED), 1);
    rig_end(d.first, DP_ERESET); /* no other attempt takes its place and waits there in vain */
    assert_int_equal(strncmp(d.c->got, "HTTP/1.1 503 ", 13), 0);
    rig_fini(&d.r);
    desk_begin(&d, get); /* both at once */
    rig_pass(&d.r, 150);
    d.r.view->endpoints[1].state = DP_ROUTE_DOWN;
    rig_publish(&d.r, 0, DP_ROUTE_DOWN, DP_NO_REGION);
    assert_true(d.first->closed && d.second->closed);
    assert_int_equal(strncmp(d.c->got, "HTTP/1.1 503 ", 13), 0);
    rig_fini(&d.r);
}

static void the_client_goes(void **state)
{
    (void)state;
    struct desk d;
    desk_begin(&d, get);
    rig_pass(&d.r, 150);
    rig_end(d.c, DP_ERESET);
    assert_true(d.first->closed && d.second->closed);
    rig_fini(&d.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_what_is_usual_it_is_asked_for_again),
        cmocka_unit_test(what_is_never_hedged),
        cmocka_unit_test(a_hedge_that_fails_is_forgotten),
        cmocka_unit_test(the_first_fails),
        cmocka_unit_test(the_region_of_a_hedge_is_left),
        cmocka_unit_test(the_client_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
