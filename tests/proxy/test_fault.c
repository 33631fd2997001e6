/* Drills in the data path: what an attempt meets whose region has a fault in the view, and that everything around it is
 * as real as with a region that fares so. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char get[] = "GET /orders/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char put[] =
    "PUT /orders/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}";
static const char post[] = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

static const struct dp_fault dark = {.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL};
static const struct dp_fault refused = {.kind = DP_FAULT_REFUSED, .share = DP_FAULT_ALL};
static const struct dp_fault flaky = {.kind = DP_FAULT_FLAKY, .share = DP_FAULT_ALL};
static const struct dp_fault slow = {.kind = DP_FAULT_SLOW, .delay_ms = 800, .share = DP_FAULT_ALL};

static void begin(struct rig *r)
{
    rig_init(r, 2);
    r->view->endpoints[0].late_ms = r->view->endpoints[1].late_ms = 500;
    r->config.try_timeout_ms = 1000;
    rig_start(r);
}

static uint64_t outcome(const struct rig *r, unsigned endpoint, enum dp_outcome o)
{
    return dp_counter_get(&r->traffic.endpoints[endpoint].outcomes[o]);
}

static uint64_t met(const struct rig *r)
{
    return dp_counter_get(&r->traffic.faults_met);
}

/* The second region has the request, and answers it. */
static void answered_elsewhere(struct rig *r, struct rig_peer *c, size_t dials)
{
    struct rig_peer *second = rig_dialed(r, dials);
    rig_connect(second, DP_OK);
    assert_non_null(strstr(second->got, "Host: r1.example:80\r\n"));
    rig_send(second, ok);
    assert_string_equal(c->got, ok);
}

static void served_as_ever(struct rig_peer *c, struct rig_peer *region)
{
    rig_clear(c);
    rig_clear(region);
    rig_send(c, get);
    assert_non_null(strstr(region->got, "GET /orders/doc"));
    rig_send(region, ok);
    assert_string_equal(c->got, ok);
}

/* Not a byte reaches a dark region; its lateness is seen at the usual time, and the request goes elsewhere. */
static void a_dark_region_says_nothing(void **state)
{
    (void)state;
    for (int kept = 0; kept < 2; kept++) { /* on a connection that is made, or was kept */
        struct rig r;
        struct rig_peer *first;
        begin(&r);
        struct rig_peer *c = rig_request(&r, get, &first);
        rig_send(first, ok);
        if (!kept)
            rig_end(first, DP_OK);
        rig_clear(first);
        rig_clear(c);
        rig_fault(&r, 0, &dark);
        rig_send(c, get);
        if (!kept) {
            first = rig_dialed(&r, 2);
            rig_connect(first, DP_OK);
        }
        assert_false(first->reading);
        assert_int_equal(met(&r), 1);
        rig_pass(&r, 450);
        assert_int_equal(r.kicks, 0);
        rig_pass(&r, 100);
        assert_int_equal(r.kicks, 1);
        assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].late), 1);
        assert_false(first->closed);
        rig_pass(&r, 500);
        assert_true(first->closed);
        assert_int_equal(first->got_bytes, 0);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_ABANDONED), 1);
        answered_elsewhere(&r, c, kept ? 2 : 3);
        rig_fini(&r);
    }
}

static void what_met_it_goes_on_when_its_region_is_left(void **state)
{
    struct rig r;
    struct rig_peer *first;
    (void)state;
    begin(&r);
    rig_fault(&r, 0, &dark);
    struct rig_peer *c = rig_request(&r, put, &first);
    rig_wait(&r, 50);
    assert_int_equal(first->got_bytes, 0);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    assert_true(first->closed);
    answered_elsewhere(&r, c, 2);
    rig_fini(&r);
}

/* What a dark region did with a write that must not be sent twice nobody knows: as with a real one. */
static void a_dark_region_may_have_acted(void **state)
{
    struct rig r;
    struct rig_peer *first;
    (void)state;
    begin(&r);
    rig_fault(&r, 0, &dark);
    struct rig_peer *c = rig_request(&r, post, &first);
    rig_pass(&r, 20100);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWER_TIMEOUT), 1);
    assert_non_null(strstr(c->got, "outcome_unknown"));
    assert_int_equal(first->got_bytes, 0);
    assert_int_equal(r.n_regions, 1);
    rig_fini(&r);
}

/* Nothing is sent, and the connection goes back: so everything may be sent again. */
static void a_region_that_refuses(void **state)
{
    static const char *const requests[] = {get, put, post};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        for (int kept = 0; kept < 2; kept++) {
            struct rig r;
            struct rig_peer *first, *c;
            begin(&r);
            if (kept) {
                c = rig_request(&r, get, &first);
                rig_send(first, ok);
                rig_clear(first);
                rig_clear(c);
                rig_fault(&r, 0, &refused);
                rig_send(c, requests[i]);
            } else {
                rig_fault(&r, 0, &refused);
                c = rig_request(&r, requests[i], &first);
            }
            assert_int_equal(outcome(&r, 0, DP_OUTCOME_CONNECT_REFUSED), 1);
            assert_int_equal(first->got_bytes, 0);
            assert_false(first->closed);
            answered_elsewhere(&r, c, 2);
            rig_fault(&r, 0, NULL);
            served_as_ever(c, first);
            assert_int_equal(met(&r), 1);
            rig_fini(&r);
        }
    }
}

static void every_region_may_have_one(void **state)
{
    struct rig r;
    struct rig_peer *first;
    (void)state;
    begin(&r);
    rig_fault(&r, 0, &refused);
    rig_fault(&r, 1, &refused);
    struct rig_peer *c = rig_request(&r, put, &first);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    assert_int_equal(met(&r), 2);
    assert_int_equal(outcome(&r, 1, DP_OUTCOME_CONNECT_REFUSED), 1);
    assert_non_null(strstr(c->got, "no_region_available"));
    rig_fini(&r);
}

/* A kept connection that breaks proves nothing of a region; one that a drill breaks does. */
static void a_flaky_region_breaks_connections(void **state)
{
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        struct rig r;
        struct rig_peer *first, *c;
        begin(&r);
        if (kept) {
            c = rig_request(&r, get, &first);
            rig_send(first, ok);
            rig_clear(first);
            rig_clear(c);
            rig_fault(&r, 0, &flaky);
            rig_send(c, put);
        } else {
            rig_fault(&r, 0, &flaky);
            c = rig_request(&r, put, &first);
        }
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_NO_ANSWER), 0);
        rig_wait(&r, 50);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_NO_ANSWER), 1);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_STALE), 0);
        assert_true(first->closed);
        assert_int_equal(first->got_bytes, 0);
        answered_elsewhere(&r, c, 2);
        rig_fini(&r);
    }
}

static void a_share_of_the_attempts(void **state)
{
    struct rig r;
    struct rig_peer *first;
    struct dp_fault half = refused;
    (void)state;
    half.share = DP_FAULT_ALL / 2;
    begin(&r);
    rig_fault(&r, 0, &half);
    struct rig_peer *c = rig_request(&r, get, &first);
    for (int i = 0; i < 400; i++) {
        for (size_t k = 0; k < r.n_regions; k++) {
            struct rig_peer *p = r.regions[k];
            if (!p->reading && !p->closed)
                rig_connect(p, DP_OK);
            if (p->got_bytes > 0)
                rig_send(p, ok);
            rig_clear(p);
        }
        assert_string_equal(c->got, ok);
        rig_clear(c);
        rig_send(c, get);
    }
    /* the rig's chance is the same each time */
    assert_in_range(met(&r), 150, 250);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_CONNECT_REFUSED), met(&r));
    rig_fini(&r);
}

/* The request is there at once, and carried out; its answer is heard late, all of it. */
static void a_slow_region_is_heard_late(void **state)
{
    (void)state;
    for (size_t step = 0; step < 2; step++) {
        struct rig r;
        struct rig_peer *first;
        begin(&r);
        r.config.try_timeout_ms = 0;
        rig_fault(&r, 0, &slow);
        struct rig_peer *c = rig_request(&r, put, &first);
        assert_non_null(strstr(first->got, "PUT /orders/doc"));
        rig_pass(&r, 750);
        assert_false(first->reading);
        assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].late), 1);
        rig_pass(&r, 100);
        assert_true(first->reading);
        rig_send_bytes(first, ok, sizeof(ok) - 1, step);
        assert_string_equal(c->got, ok);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWERED_LATE), 1);
        assert_true(dp_counter_get(&r.traffic.endpoints[0].first_byte_ns) >= 800 * DP_NS_PER_MS);
        rig_fault(&r, 0, NULL);
        served_as_ever(c, first);
        rig_fini(&r);
    }
}

/* It ends while an answer is awaited: what met it fares so to its end. */
static void an_answer_that_is_late_enough_is_given_up(void **state)
{
    struct rig r;
    struct rig_peer *first;
    struct dp_fault slower = slow;
    (void)state;
    slower.delay_ms = 5000;
    begin(&r);
    rig_fault(&r, 0, &slower);
    struct rig_peer *c = rig_request(&r, get, &first);
    rig_fault(&r, 0, NULL);
    rig_pass(&r, 1100);
    assert_true(first->closed);
    answered_elsewhere(&r, c, 2);
    rig_pass(&r, 5000); /* nothing is left that would be due */
    rig_fini(&r);
}

static void only_these_databases(void **state)
{
    static const char *const others[] = {
        "GET /invoices/doc HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /_all_dbs HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    static const char *const these[] = {
        "GET /orders/doc HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /orders%2F2026/doc HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    struct dp_fault f = refused;
    struct rig r;
    struct rig_peer *first;
    (void)state;
    assert_true(dp_fault_add_database(&f, DP_SPAN("x")));
    assert_true(dp_fault_add_database(&f, DP_SPAN("orders*")));
    begin(&r);
    rig_fault(&r, 0, &f);
    struct rig_peer *c = rig_request(&r, others[0], &first);
    rig_send(first, ok);
    rig_clear(c);
    rig_send(c, others[1]);
    rig_send(first, ok);
    assert_string_equal(c->got, ok);
    assert_int_equal(met(&r), 0);
    rig_clear(first);
    for (size_t i = 0; i < DP_ARRAY_LEN(these); i++) {
        rig_clear(c);
        rig_send(c, these[i]);
        assert_int_equal(met(&r), i + 1);
        assert_int_equal(first->got_bytes, 0);
        struct rig_peer *second = rig_dialed(&r, 2);
        if (i == 0)
            rig_connect(second, DP_OK);
        rig_send(second, ok);
        assert_string_equal(c->got, ok);
    }
    rig_fini(&r);
}

/* Whoever goes away meanwhile leaves nothing behind. */
static void clients_that_go_away(void **state)
{
    static const struct dp_fault *const faults[] = {&dark, &refused, &flaky, &slow};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(faults); i++) {
        struct rig r;
        struct rig_peer *first;
        begin(&r);
        rig_fault(&r, 0, faults[i]);
        struct rig_peer *c = rig_request(&r, get, &first);
        rig_end(c, DP_ERESET);
        assert_true(c->closed);
        rig_pass(&r, 1000);
        rig_fini(&r);
    }
}

/* A feed that began before goes on until its region is left. */
static void what_has_begun_is_left_alone(void **state)
{
    struct rig r;
    struct rig_peer *first;
    (void)state;
    begin(&r);
    struct rig_peer *c =
        rig_request(&r, "GET /orders/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n", &first);
    rig_send(first, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\n\r\n");
    rig_fault(&r, 0, &dark);
    rig_clear(c);
    rig_send(first, "2\r\n}\n\r\n");
    assert_non_null(strstr(c->got, "}\n"));
    assert_int_equal(met(&r), 0);
    rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
    assert_true(first->closed);
    rig_fini(&r);
}

/* A second attempt beside the first meets what it would have met as a first one. */
static void a_hedge_meets_it_too(void **state)
{
    static const struct dp_fault *const faults[] = {&dark, &refused, &flaky, &slow};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(faults); i++) {
        struct rig r;
        rig_init(&r, 2);
        r.config.hedge_percent = 2;
        r.config.pool_warm = 1;
        r.view->endpoints[0].usual_ms = r.view->endpoints[1].usual_ms = 100;
        rig_start(&r);
        r.engine.hedges.hundredths = 100;
        rig_wait(&r, 1000);
        struct rig_peer *first = r.regions[0], *second = r.regions[1];
        rig_connect(first, DP_OK);
        rig_connect(second, DP_OK);
        rig_fault(&r, 1, faults[i]);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, get);
        rig_pass(&r, 250);
        assert_int_equal(met(&r), 1);
        assert_int_equal(dp_counter_get(&r.traffic.hedges), faults[i] != &refused);
        assert_int_equal(second->got_bytes > 0, faults[i] == &slow);
        assert_int_equal(second->closed, faults[i] == &flaky);
        rig_send(first, ok);
        assert_string_equal(c->got, ok);
        assert_int_equal(second->closed, faults[i] != &refused);
        assert_int_equal(dp_counter_get(&r.traffic.hedges_won), 0);
        rig_fini(&r);
    }
}

/* So does a question of our own: whose write is it that the second attempt met? Without an answer nobody can tell. */
static void a_question_of_ours_meets_it_too(void **state)
{
    static const struct dp_fault *const faults[] = {&dark, &refused, &flaky, &slow};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(faults); i++) {
        struct rig r;
        struct rig_peer *first;
        rig_init(&r, 2);
        r.config.resolve_conflicts = true;
        r.config.try_timeout_ms = 5000;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, put, &first);
        rig_end(first, DP_ERESET);
        struct rig_peer *second = rig_dialed(&r, 2);
        rig_connect(second, DP_OK);
        rig_clear(second);
        rig_fault(&r, 1, faults[i]);
        rig_send(second, "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}");
        rig_turn(&r);
        assert_int_equal(met(&r), 1);
        assert_int_equal(second->got_bytes > 0, faults[i] == &slow);
        rig_pass(&r, 900);
        if (faults[i] == &slow) {
            rig_send(second, "HTTP/1.1 200 OK\r\nContent-Length: 72\r\n\r\n"
                             "[{\"ok\":{\"_id\":\"doc\",\"v\":1,\"_revisions\":"
                             "{\"start\":1,\"ids\":[\"aa\"]}}}]          ");
            assert_non_null(strstr(c->got, "201 Created"));
        } else {
            rig_pass(&r, 5000);
            assert_non_null(strstr(c->got, "outcome_unknown"));
        }
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dark_region_says_nothing),
        cmocka_unit_test(what_met_it_goes_on_when_its_region_is_left),
        cmocka_unit_test(a_dark_region_may_have_acted),
        cmocka_unit_test(a_region_that_refuses),
        cmocka_unit_test(every_region_may_have_one),
        cmocka_unit_test(a_flaky_region_breaks_connections),
        cmocka_unit_test(a_share_of_the_attempts),
        cmocka_unit_test(a_slow_region_is_heard_late),
        cmocka_unit_test(an_answer_that_is_late_enough_is_given_up),
        cmocka_unit_test(only_these_databases),
        cmocka_unit_test(clients_that_go_away),
        cmocka_unit_test(what_has_begun_is_left_alone),
        cmocka_unit_test(a_hedge_meets_it_too),
        cmocka_unit_test(a_question_of_ours_meets_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
