/* Spans of exchanges: one a request, one an attempt, whose child each is, and what they say of its end. */
#include "davenport/proxy/tracing.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char get_traced[] =
    "GET /db/doc?x=secret HTTP/1.1\r\nHost: a\r\nCookie: secret\r\ntraceparent: 00-" TRACE
    "-" PARENT "-01\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

struct desk {
    struct rig r;
    struct dp_tracing_span spans[16];
    size_t n;
};

static void begin(struct desk *d, unsigned regions, uint32_t per_million)
{
    memset(d, 0, sizeof(*d));
    rig_init(&d->r, regions);
    d->r.config.traceparent = DP_ID_PASS;
    d->r.config.trace_sample = per_million;
    d->r.spans = dp_tracing_ring_new(16);
    assert_non_null(d->r.spans);
}

static void end(struct desk *d)
{
    const struct dp_tracing_span *s;
    rig_fini(&d->r);
    while ((s = dp_tracing_peek(d->r.spans)) != NULL) {
        assert_in_range(d->n, 0, DP_ARRAY_LEN(d->spans) - 1);
        d->spans[d->n++] = *s;
        dp_tracing_took(d->r.spans);
    }
    dp_tracing_ring_free(d->r.spans);
}

/* Spans end in order: attempts, then their request. */
static void expect_attempt(const struct desk *d, size_t i, size_t of, uint32_t number,
                           const char *region, uint16_t status, const char *outcome)
{
    const struct dp_tracing_span *s = &d->spans[i], *request = &d->spans[of];
    assert_true(s->attempt);
    assert_memory_equal(s->trace, request->trace, sizeof(s->trace));
    assert_memory_equal(s->parent, request->id, sizeof(s->parent));
    assert_memory_not_equal(s->id, request->id, sizeof(s->id));
    assert_int_equal(s->attempts, number);
    assert_string_equal(s->region, region);
    assert_int_equal(s->status, status);
    if (outcome)
        assert_string_equal(s->outcome, outcome);
    else
        assert_null(s->outcome);
    assert_true(s->begun_ns >= request->begun_ns && s->ended_ns <= request->ended_ns);
}

static void a_request_and_its_attempt(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 1, 0);
    rig_start(&d.r);
    (void)rig_request(&d.r, get_traced, &up);
    const int64_t ms = dp_clock_wall_ms(&d.r.clock);
    assert_non_null(strstr(up->got, "\r\ntraceparent: 00-" TRACE "-"));
    assert_null(strstr(up->got, PARENT));
    char told[DP_SPAN_ID_CHARS];
    memcpy(told, strstr(up->got, TRACE "-") + 33, sizeof(told));
    rig_wait(&d.r, 50);
    rig_send(up, ok);
    end(&d);
    assert_int_equal(d.n, 2);
    const struct dp_tracing_span *s = &d.spans[1];
    expect_attempt(&d, 0, 1, 1, "r0", 200, "answered");
    assert_memory_equal(d.spans[0].id, told, sizeof(told));
    assert_string_equal(d.spans[0].endpoint, "r0.example:80");
    assert_memory_equal(s->trace, TRACE, sizeof(s->trace));
    assert_memory_equal(s->parent, PARENT, sizeof(s->parent));
    assert_true(s->remote);
    assert_int_equal(s->begun_ns / 1000000, ms);
    assert_int_equal(s->ended_ns - s->begun_ns, 50000000);
    assert_string_equal(s->method, "GET");
    assert_string_equal(s->klass, "read");
    assert_string_equal(s->kind, "read");
    assert_string_equal(s->database, "db");
    assert_int_equal(s->status, 200);
    assert_null(s->reason);
    assert_false(s->failed);
    for (size_t i = 0; i < d.n; i++)
        assert_null(memmem(&d.spans[i], sizeof(d.spans[i]), "secret", 6));
}

static void another_region_is_another_attempt(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 2, DP_TRACE_SAMPLE_ALL);
    rig_start(&d.r);
    (void)rig_request(&d.r, get, &up);
    rig_end(up, DP_ERESET);
    struct rig_peer *second = rig_dialed(&d.r, 2);
    rig_connect(second, DP_OK);
    const char *lines[] = {strstr(up->got, "traceparent: "), strstr(second->got, "traceparent: ")};
    char told[2][DP_SPAN_ID_CHARS];
    assert_memory_equal(lines[0], lines[1], 13 + 36);
    for (size_t i = 0; i < 2; i++)
        memcpy(told[i], lines[i] + 49, sizeof(told[i]));
    rig_send(second, ok);
    end(&d);
    assert_int_equal(d.n, 3);
    expect_attempt(&d, 0, 2, 1, "r0", 0, "no_answer");
    expect_attempt(&d, 1, 2, 2, "r1", 200, "answered");
    assert_true(d.spans[0].failed);
    assert_memory_equal(d.spans[0].id, told[0], sizeof(told[0]));
    assert_memory_equal(d.spans[1].id, told[1], sizeof(told[1]));
    assert_int_equal(d.spans[2].parent[0], '\0');
    assert_string_equal(d.spans[2].reason, "failed_over");
    assert_int_equal(d.spans[2].attempts, 2);
    assert_string_equal(d.spans[2].region, "r1");
}

static void a_dial_in_vain_is_an_attempt(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, 1, DP_TRACE_SAMPLE_ALL);
    d.r.config.hold_ms = 0;
    rig_start(&d.r);
    rig_send(rig_client(&d.r), get);
    rig_connect(rig_dialed(&d.r, 1), DP_ECONNECT);
    end(&d);
    assert_int_equal(d.n, 2);
    expect_attempt(&d, 0, 1, 1, "r0", 0, "connect_refused");
    assert_true(d.spans[1].failed);
    assert_int_equal(d.spans[1].status, 503);
}

static void a_client_that_goes_ends_both(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 1, DP_TRACE_SAMPLE_ALL);
    rig_start(&d.r);
    rig_end(rig_request(&d.r, get, &up), DP_ERESET);
    end(&d);
    assert_int_equal(d.n, 2);
    expect_attempt(&d, 0, 1, 1, "r0", 0, "client_gone");
    assert_false(d.spans[0].failed);
    assert_string_equal(d.spans[1].reason, "client_gone");
}

/* Both regions have been asked. */
static struct rig_peer *begin_hedged(struct desk *d)
{
    begin(d, 2, DP_TRACE_SAMPLE_ALL);
    d->r.config.hedge_percent = 2;
    d->r.config.pool_warm = 1;
    d->r.view->endpoints[0].usual_ms = d->r.view->endpoints[1].usual_ms = 100;
    d->r.view->endpoints[0].late_ms = d->r.view->endpoints[1].late_ms = 1000;
    rig_start(&d->r);
    d->r.engine.hedges.hundredths = 100; /* one */
    rig_wait(&d->r, 1000);
    rig_connect(d->r.regions[0], DP_OK);
    rig_connect(d->r.regions[1], DP_OK);
    struct rig_peer *c = rig_client(&d->r);
    rig_send(c, get);
    rig_pass(&d->r, 150);
    assert_int_equal(dp_counter_get(&d->r.traffic.hedges), 1);
    return c;
}

static void a_hedge_is_an_attempt_beside(void **state)
{
    (void)state;
    for (int wins = 0; wins < 2; wins++) {
        struct desk d;
        (void)begin_hedged(&d);
        char told[2][DP_SPAN_ID_CHARS];
        for (size_t i = 0; i < 2; i++)
            memcpy(told[i], strstr(d.r.regions[i]->got, "traceparent: ") + 49, sizeof(told[i]));
        rig_send(d.r.regions[wins], ok);
        end(&d);
        assert_int_equal(d.n, 3);
        const size_t hedge = wins ? 1 : 0, first = 1 - hedge;
        expect_attempt(&d, first, 2, 1, "r0", wins ? 0 : 200, wins ? "abandoned" : "answered");
        expect_attempt(&d, hedge, 2, 2, "r1", wins ? 200 : 0, wins ? "answered" : "abandoned");
        assert_memory_equal(d.spans[first].id, told[0], sizeof(told[0]));
        assert_memory_equal(d.spans[hedge].id, told[1], sizeof(told[1]));
        if (wins)
            assert_string_equal(d.spans[2].reason, "hedged");
        else
            assert_null(d.spans[2].reason);
    }
}

/* It was the first to answer, and its answer broke off: the one that came is not a hedge's. */
static void a_hedge_that_won_and_failed(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *c = begin_hedged(&d);
    rig_send_bytes(d.r.regions[1], ok, sizeof(ok) - 2, 0);
    rig_end(d.r.regions[1], DP_ERESET);
    rig_connect(rig_dialed(&d.r, 3), DP_OK);
    rig_send(d.r.regions[2], ok);
    assert_int_equal(strncmp(c->got, "HTTP/1.1 200 ", 13), 0);
    end(&d);
    assert_int_equal(d.n, 4);
    expect_attempt(&d, 1, 3, 2, "r1", 200, "truncated");
    expect_attempt(&d, 2, 3, 3, "r0", 200, "answered");
    assert_string_equal(d.spans[3].reason, "failed_over");
}

static void names_that_are_too_long_are_cut(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    char request[1024], name[301];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    begin(&d, 1, DP_TRACE_SAMPLE_ALL);
    rig_start(&d.r);
    (void)snprintf(request, sizeof(request), "MKCOL /%s/doc HTTP/1.1\r\nHost: a\r\n\r\n", name);
    (void)rig_request(&d.r, request, &up);
    rig_send(up, ok);
    end(&d);
    assert_int_equal(d.n, 2);
    assert_int_equal(strlen(d.spans[1].database), DP_TRACING_NAME_BYTES - 1);
    assert_string_equal(d.spans[1].database + DP_TRACING_NAME_BYTES - 4, "...");
    assert_string_equal(d.spans[1].method, "_OTHER");
}

static void a_full_ring_drops_and_counts(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 1, DP_TRACE_SAMPLE_ALL);
    rig_start(&d.r);
    struct rig_peer *c = rig_request(&d.r, get, &up);
    rig_send(up, ok);
    for (unsigned i = 1; i < 20; i++) {
        rig_send(c, get);
        rig_send(up, ok);
    }
    assert_int_equal(dp_counter_get(&d.r.traffic.trace_spans_dropped), 2 * 20 - 16);
    assert_int_equal(dp_counter_get(&d.r.traffic.answered_2xx), 20);
    end(&d);
    assert_int_equal(d.n, 16);
}

/* However short it was: within one tick no time is seen to pass. */
static void a_request_that_was_held_says_so(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, 1, DP_TRACE_SAMPLE_ALL);
    d.r.config.hold_ms = 5000;
    d.r.config.hold_requests = 1;
    d.r.config.hold_bytes = 100000;
    d.r.config.hold_release_per_s = 1000;
    d.r.view->active = DP_NO_REGION;
    d.r.view->regions[0].state = d.r.view->endpoints[0].state = DP_ROUTE_DOWN;
    rig_start(&d.r);
    rig_send(rig_client(&d.r), get);
    rig_publish(&d.r, 0, DP_ROUTE_OK, 0);
    struct rig_peer *up = rig_dialed(&d.r, 1);
    rig_connect(up, DP_OK);
    rig_send(up, ok);
    end(&d);
    assert_int_equal(d.n, 2);
    assert_string_equal(d.spans[1].reason, "held");
    assert_int_equal(d.spans[1].hold_ns, 0);
}

static void what_is_not_sampled_makes_none(void **state)
{
    (void)state;
    struct desk d;
    struct rig_peer *up;
    begin(&d, 1, 0);
    rig_start(&d.r);
    (void)rig_request(&d.r, get, &up);
    assert_null(strstr(up->got, "traceparent"));
    rig_send(up, ok);
    rig_send(rig_client(&d.r), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\ntraceparent: 00-" TRACE
                               "-" PARENT "-01\r\n\r\n");
    end(&d);
    assert_int_equal(d.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_attempt),
        cmocka_unit_test(another_region_is_another_attempt),
        cmocka_unit_test(a_dial_in_vain_is_an_attempt),
        cmocka_unit_test(a_client_that_goes_ends_both),
        cmocka_unit_test(a_hedge_is_an_attempt_beside),
        cmocka_unit_test(a_hedge_that_won_and_failed),
        cmocka_unit_test(names_that_are_too_long_are_cut),
        cmocka_unit_test(a_full_ring_drops_and_counts),
        cmocka_unit_test(a_request_that_was_held_says_so),
        cmocka_unit_test(what_is_not_sampled_makes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
