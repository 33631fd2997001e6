/* What of a request's time is the proxy's own, and what is others'; how feeds end; what ticks and gauges say. The rig's time
 * stands still while the engine works, so whatever is counted as the engine's own here is somebody's waiting. */
#include "davenport/base/attr.h"
#include "davenport/couch/request.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS DP_NS_PER_MS

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char put_head[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
static const char put[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{ }\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";
static const char feed[] = "GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: a\r\n\r\n";
static const char feed_begins[] =
    "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n";

static uint64_t count(const struct dp_traffic_times *t)
{
    uint64_t n = 0;
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++)
        n += dp_counter_get(&t->buckets[b]);
    return n;
}

/* One of each, that took so long. */
static void assert_took(const struct dp_traffic_times *t, uint64_t ns)
{
    assert_int_equal(count(t), 1);
    assert_int_equal(dp_counter_get(&t->sum_ns), ns);
    assert_int_equal(dp_counter_get(&t->buckets[dp_latency_bucket(ns)]), 1);
}

static void assert_nothing_added(const struct rig *r, uint64_t requests)
{
    assert_int_equal(count(&r->traffic.added_times), requests);
    assert_int_equal(dp_counter_get(&r->traffic.added_times.sum_ns), 0);
}

static const struct dp_traffic_times *total(const struct rig *r, enum dp_couch_kind k)
{
    return &r->traffic.kinds[k].total;
}

/* A connection, the region, the rest of its answer. */
static void waits_of_a_read(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_pass(&r, 30);
    struct rig_peer *up = rig_dialed(&r, 1);
    rig_connect(up, DP_OK);
    rig_pass(&r, 200);
    rig_send_bytes(up, ok, sizeof(ok) - 2, 0);
    rig_pass(&r, 70);
    rig_send(up, "i");
    assert_string_equal(c->got, ok);
    assert_nothing_added(&r, 1);
    assert_took(&r.traffic.queue_times, 30 * MS);
    assert_took(total(&r, DP_COUCH_KIND_READ), 300 * MS);
    assert_int_equal(count(&r.traffic.hold_times), 0);
    rig_fini(&r);
}

/* A client that is slow with its head and its body, a region that fails; the second attempt is no time of ours either. */
static void waits_of_a_write(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send_bytes(c, put_head, 10, 0);
    rig_pass(&r, 50);
    rig_send(c, put_head + 10);
    rig_pass(&r, 50);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    rig_pass(&r, 50);
    rig_send(c, "{ }\n");
    rig_pass(&r, 50);
    rig_end(rig_dialed(&r, 1), DP_ERESET);
    rig_pass(&r, 50);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_pass(&r, 50);
    rig_send(rig_dialed(&r, 2), ok);
    assert_string_equal(c->got, ok);
    assert_nothing_added(&r, 1);
    assert_took(&r.traffic.queue_times, 100 * MS);
    assert_took(total(&r, DP_COUCH_KIND_WRITE), 300 * MS);
    rig_fini(&r);
}

/* A pause before any region was there, on purpose. */
static void wait_for_a_region(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    r.config.hold_ms = 5000;
    r.config.hold_requests = 3;
    r.config.hold_bytes = 100000;
    r.config.hold_release_per_s = 1000;
    r.view->active = DP_NO_REGION;
    r.view->regions[0].state = r.view->endpoints[0].state = DP_ROUTE_DOWN;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, put);
    rig_pass(&r, 500);
    rig_publish(&r, 0, DP_ROUTE_OK, 0);
    rig_pass(&r, 100);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    rig_send(rig_dialed(&r, 1), ok);
    assert_string_equal(c->got, ok);
    assert_nothing_added(&r, 1);
    assert_int_equal(count(&r.traffic.hold_times), 1);
    assert_true(dp_counter_get(&r.traffic.hold_times.sum_ns) >= 500 * MS);
    rig_fini(&r);
}

/* A clock that goes on by a step whenever somebody looks. */
struct watch {
    uint64_t now_ns, looks;
};

static uint64_t watch_look(void *ctx)
{
    struct watch *w = ctx;
    w->looks++;
    w->now_ns += 10000;
    return w->now_ns;
}

static int64_t watch_wall(void *ctx)
{
    return (int64_t)(((struct watch *)ctx)->now_ns / MS);
}

/* What a small read costs of looks at the clock, and that the time between them is ours but for the region's part. */
static void the_proxys_own_time(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, ok);
    rig_turn(&r);
    assert_nothing_added(&r, 1);
    struct watch w = {.now_ns = r.now_ns};
    r.clock = (struct dp_clock){watch_look, watch_wall, &w};
    rig_send(c, get); /* begun, sent */
    rig_turn(&r);
    w.now_ns += 100 * MS;
    rig_send(up, ok); /* read, over */
    assert_int_equal(w.looks, 4);
    assert_int_equal(count(&r.traffic.added_times), 2);
    assert_int_equal(dp_counter_get(&r.traffic.added_times.sum_ns), 20000);
    assert_int_equal(dp_counter_get(&r.traffic.added_times.buckets[dp_added_bucket(20000)]), 1);
    r.clock = (struct dp_clock){watch_look, watch_wall, &w};
    rig_fini(&r);
}

/* An answer of our own is no region's, with something added. */
static void refusals_add_nothing(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, get);
    rig_connect(rig_dialed(&r, 1), DP_ECONNECT);
    assert_int_equal(strncmp(c->got, "HTTP/1.1 503 ", 13), 0);
    assert_nothing_added(&r, 0);
    assert_int_equal(count(total(&r, DP_COUCH_KIND_READ)), 1);
    rig_fini(&r);
}

/* Attempts by what they were for, in sum as without that. */
static void attempts_by_class(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    (void)rig_request(&r, put, &up);
    rig_send(up, ok);
    const struct dp_traffic_endpoint *e = &r.traffic.endpoints[0];
    for (unsigned c = 0; c < DP_TRAFFIC_CLASSES; c++)
        assert_int_equal(dp_counter_get(&e->by_class[c][DP_OUTCOME_ANSWERED]), c == DP_COUCH_WRITE);
    assert_int_equal(dp_counter_get(&e->outcomes[DP_OUTCOME_ANSWERED]), 1);
    rig_fini(&r);
}

enum feed_fate { ENDED, DOWN, BROKE, MOVED, DRAINED, SPOILT, LEFT };

static void meet(struct rig *r, enum feed_fate fate, struct rig_peer *c, struct rig_peer *up)
{
    switch (fate) {
    case ENDED:
        rig_send(up, "0\r\n\r\n");
        break;
    case DOWN:
        rig_publish(r, 0, DP_ROUTE_DOWN, 1);
        break;
    case BROKE:
        rig_end(up, DP_ERESET);
        break;
    case MOVED:
        rig_publish(r, 0, DP_ROUTE_OK, 1);
        break;
    case DRAINED:
        dp_engine_drain(&r->engine);
        break;
    case SPOILT:
        rig_send(up, "no chunk\r\n");
        break;
    case LEFT:
        rig_end(c, DP_ERESET);
        break;
    }
}

static void feeds_by_how_they_end(void **state)
{
    (void)state;
    static const enum dp_feed_end ends[] = {
        [ENDED] = DP_FEED_END_REGION, [DOWN] = DP_FEED_END_LOST,        [BROKE] = DP_FEED_END_LOST,
        [MOVED] = DP_FEED_END_MOVED,  [DRAINED] = DP_FEED_END_DRAINING, [SPOILT] = DP_FEED_END_LOST,
        [LEFT] = DP_FEED_END_CLIENT,
    };
    for (enum feed_fate fate = ENDED; fate <= LEFT; fate++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        r.config.feed_ends_on_move = true;
        r.config.feed_grace_ms = 100;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, feed, &up);
        rig_send(up, feed_begins);
        rig_pass(&r, 5000);
        meet(&r, fate, c, up);
        rig_pass(&r, 5000);
        for (unsigned e = 0; e < DP_FEED_END_COUNT; e++) {
            const uint64_t n = dp_counter_get(&r.traffic.feed_ends[e]);
            if (n != (e == ends[fate]))
                fail_msg("fate %d: %s %d", (int)fate, dp_feed_end_label((enum dp_feed_end)e),
                         (int)n);
        }
        assert_nothing_added(&r, 0); /* feeds last as long as they last */
        rig_fini(&r);
    }
}

/* What refuses to be one is none: nothing of it is counted, and it lives and ends as any answer does. */
static void a_refused_feed_is_none(void **state)
{
    static const char *const heads[] = {"HTTP/1.1 401 Unauthorized\r\n",
                                        "HTTP/1.1 404 Not Found\r\n"};
    (void)state;
    for (size_t i = 0; i < 2 * DP_ARRAY_LEN(heads); i++) {
        struct rig r;
        struct rig_peer *up;
        const bool whole = i % 2;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, feed, &up);
        rig_send(up, heads[i / 2]);
        rig_send(up, "Content-Length: 3\r\n\r\n{}");
        assert_int_equal(dp_counter_get(&r.traffic.feeds_active), 0);
        if (whole)
            rig_send(up, "\n");
        else
            rig_wait(&r, r.config.stall_timeout_ms + 1000);
        assert_int_equal(c->finished || c->closed, !whole);
        for (unsigned e = 0; e < DP_FEED_END_COUNT; e++)
            assert_int_equal(dp_counter_get(&r.traffic.feed_ends[e]), 0);
        assert_int_equal(dp_counter_get(&r.traffic.feeds_ended), 0);
        rig_fini(&r);
        assert_int_equal(dp_counter_get(&r.traffic.feeds_active), 0);
    }
}

static void ticks_and_gauges(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    rig_pass(&r, DP_TICK_MS);
    const uint64_t ticks = count(&r.traffic.lag_times);
    assert_int_equal(dp_counter_get(&r.traffic.lag_times.sum_ns), 0);
    rig_wait(&r, DP_TICK_MS + 700);
    assert_int_equal(count(&r.traffic.lag_times), ticks + 1);
    assert_int_equal(dp_counter_get(&r.traffic.lag_times.sum_ns), 700 * MS);
    (void)rig_request(&r, get, &up);
    rig_pass(&r, DP_TICK_MS);
    const struct dp_counter *pool = r.traffic.endpoints[0].pool;
    assert_int_equal(dp_counter_get(&pool[DP_POOL_BUSY]), 1);
    assert_int_equal(dp_counter_get(&pool[DP_POOL_IDLE]), 0);
    assert_true(dp_counter_get(&r.traffic.memory[DP_MEMORY_ARENAS]) >= DP_ARENA_FIRST_BYTES);
    rig_send(up, ok);
    rig_pass(&r, DP_TICK_MS);
    assert_int_equal(dp_counter_get(&pool[DP_POOL_BUSY]), 0);
    assert_int_equal(dp_counter_get(&pool[DP_POOL_IDLE]), 1);
    assert_int_equal(dp_counter_get(&r.traffic.memory[DP_MEMORY_ARENAS]), 0);
    assert_int_equal(dp_counter_get(&r.traffic.memory[DP_MEMORY_ARENAS_FREE]),
                     DP_ARENA_FIRST_BYTES);
    (void)rig_client(&r);
    rig_send(r.clients[r.n_clients - 1], get); /* takes the idle one */
    rig_send(rig_client(&r), get);             /* and this one waits for its own */
    rig_pass(&r, DP_TICK_MS);
    assert_int_equal(dp_counter_get(&pool[DP_POOL_DIALING]), 1);
    assert_int_equal(dp_counter_get(&pool[DP_POOL_WAITING]), 1);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_of_a_read),       cmocka_unit_test(waits_of_a_write),
        cmocka_unit_test(wait_for_a_region),     cmocka_unit_test(the_proxys_own_time),
        cmocka_unit_test(refusals_add_nothing),  cmocka_unit_test(attempts_by_class),
        cmocka_unit_test(feeds_by_how_they_end), cmocka_unit_test(a_refused_feed_is_none),
        cmocka_unit_test(ticks_and_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
