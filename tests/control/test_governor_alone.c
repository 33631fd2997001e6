/* The governor when it is we who are at fault, on random histories (fixed seeds) of regions that are well. Its time: the
 * machine sleeps for hours, the process is stopped for minutes, the loop is late, again and again, at any moment. Its
 * network: all regions fall silent at once. What our absence makes look like silence condemns nobody, and moves nothing.
 * Probes and counters are the test's, and so is the clock; the loop runs only at the end. */
#include "davenport/base/log.h"

#include "control/governor_state.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS        DP_NS_PER_MS
#define HISTORIES 60
#define STEPS     1500
#define REGIONS   3
#define ENDPOINTS 4 /* the last region has two */

struct probe {
    uint64_t asked_ns, ends_ns; /* 0: none */
};

struct world {
    struct random random;
    uint64_t now_ns;
    struct dp_clock clock;
    uv_loop_t loop;
    struct dp_control_config config;
    struct dp_traffic *traffic;
    const struct dp_traffic *workers[1];
    struct dp_governor *g;
    struct probe probes[ENDPOINTS][DP_MAX_ASKS]; /* under way */
    bool silent[REGIONS];
    bool idle;             /* there are no requests */
    uint64_t late_from_ns; /* from then on requests to silent regions count as late */
    unsigned jumps;
};

static uint64_t mono_ns(void *ctx)
{
    return ((const struct world *)ctx)->now_ns;
}

static int64_t wall_ms(void *ctx)
{
    return (int64_t)(mono_ns(ctx) / MS);
}

static void configure(struct dp_control_config *c)
{
    static const char *const names[REGIONS] = {"a", "b", "c"};
    *c = (struct dp_control_config){.n_regions = REGIONS,
                                    .n_endpoints = ENDPOINTS,
                                    .probe_path = "/_up",
                                    .probe_interval_ms = 1000,
                                    .probe_fast_ms = 500,
                                    .probe_timeout_ms = 1800,
                                    .probe_jitter_percent = 10,
                                    .silent = 12,
                                    .fall = 3,
                                    .rise = 2,
                                    .trial_requests = 5,
                                    .traffic_failures = 5,
                                    .late_ms = 1000,
                                    .slow_ms = 250,
                                    .failure_window_ms = 5000,
                                    .failure_requests = 20,
                                    .failure_percent = 50,
                                    .sample_ms = 100,
                                    .failback = DP_FAILBACK_HOLD_DOWN,
                                    .failback_hold_ms = 300000};
    for (uint16_t i = 0; i < ENDPOINTS; i++) {
        const uint16_t region = i < REGIONS ? i : REGIONS - 1;
        c->regions[region] = (struct dp_region_config){
            .name = names[region], .first = region, .n_endpoints = region == REGIONS - 1 ? 2 : 1};
        c->endpoints[i] =
            (struct dp_endpoint_config){.region = region,
                                        .host = "region.example:5984",
                                        .url = "http://region.example:5984",
                                        .port = 5984,
                                        .addrs = {1, {{.ip = "192.0.2.1", .port = 5984}}}};
    }
}

static void begin(struct world *w, uint64_t seed)
{
    const char *why;
    *w = (struct world){.random = {seed * 7919 + 1}, .now_ns = 1000 * DP_NS_PER_S};
    w->clock = (struct dp_clock){mono_ns, wall_ms, w};
    configure(&w->config);
    w->traffic = calloc(1, sizeof(*w->traffic));
    assert_non_null(w->traffic);
    w->workers[0] = w->traffic;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    const struct dp_governor_options opt = {
        .loop = &w->loop, .clock = &w->clock, .config = &w->config, .seed = seed};
    assert_int_equal(dp_governor_new(&opt, &w->g, &why), DP_OK);
    dp_governor_start(w->g, w->workers, 1);
}

static void end(struct world *w)
{
    dp_governor_destroy(w->g, NULL, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w->traffic);
}

static void look(struct world *w)
{
    if (below(&w->random, 4) == 0) /* a first failure may call before the timer does */
        w->g->kick.async_cb(&w->g->kick);
    else
        w->g->sample.timer_cb(&w->g->sample);
}

static void probe_ends(struct world *w, uint16_t i, struct probe *p, bool answered)
{
    const struct dp_probe_result r = {.kind = answered ? DP_PROBE_OK : DP_PROBE_DARK,
                                      .err = answered ? DP_OK : DP_ETIMEOUT,
                                      .status = answered ? 200 : 0,
                                      .reached = answered,
                                      .started_ns = p->asked_ns,
                                      .total_ns = w->now_ns - p->asked_ns,
                                      .detail = "by the test"};
    *p = (struct probe){0};
    governor_probed(w->g, i, &r);
}

static bool is_silent(const struct world *w, uint16_t endpoint)
{
    return w->silent[w->config.endpoints[endpoint].region];
}

/* Answers take ten ms. */
static void probes(struct world *w)
{
    for (uint16_t i = 0; i < ENDPOINTS; i++) {
        struct probe *spare = NULL;
        for (unsigned n = 0; n < DP_MAX_ASKS; n++) {
            struct probe *p = &w->probes[i][n];
            if (p->asked_ns && !is_silent(w, i) && w->now_ns >= p->asked_ns + 10 * MS)
                probe_ends(w, i, p, true);
            else if (p->asked_ns && w->now_ns >= p->ends_ns)
                probe_ends(w, i, p, false);
            spare = p->asked_ns ? spare : p;
        }
        if (spare && w->now_ns >= w->g->endpoints[i].health.probe_at_ns) {
            spare->asked_ns = w->now_ns;
            spare->ends_ns = w->now_ns + governor_asked(w->g, i) * MS;
        }
    }
}

/* Requests are answered, and some are always under way: somebody waits for an answer in every sleep. */
static void requests(struct world *w)
{
    for (uint16_t i = 0; i < ENDPOINTS && !w->idle; i++) {
        struct dp_traffic_endpoint *t = &w->traffic->endpoints[i];
        const uint32_t n = 1 + below(&w->random, 10);
        if (is_silent(w, i)) { /* nobody hears them */
            dp_counter_add(&t->late, w->now_ns > w->late_from_ns ? below(&w->random, 2) : 0);
            continue;
        }
        dp_counter_set(&t->in_flight, 1 + below(&w->random, 20));
        dp_counter_add(&t->outcomes[DP_OUTCOME_ANSWERED], n);
        dp_counter_add(&t->first_byte[dp_latency_bucket(5 * MS)], n);
        dp_counter_add(&t->point_first_byte[dp_pace_bucket(5 * MS)], n);
        dp_counter_add(&t->first_byte_ns, n * 5 * MS);
    }
}

/* We were away: every deadline has passed at once, and the workers tell of theirs. */
static void wake_up(struct world *w)
{
    static const enum dp_outcome bad[] = {DP_OUTCOME_CONNECT_TIMEOUT, DP_OUTCOME_ANSWER_TIMEOUT,
                                          DP_OUTCOME_NO_ANSWER, DP_OUTCOME_TRUNCATED};
    for (uint16_t i = 0; i < ENDPOINTS; i++) {
        struct dp_traffic_endpoint *t = &w->traffic->endpoints[i];
        dp_counter_add(&t->outcomes[bad[below(&w->random, DP_ARRAY_LEN(bad))]],
                       below(&w->random, 100));
        dp_counter_add(&t->late, below(&w->random, 20));
    }
    for (uint16_t i = 0; i < ENDPOINTS; i++) {
        for (unsigned n = 0; n < DP_MAX_ASKS; n++) {
            if (w->probes[i][n].asked_ns && below(&w->random, 4) > 0)
                probe_ends(w, i, &w->probes[i][n], false);
        }
        if (below(&w->random, 3) == 0)
            look(w);
    }
}

static uint64_t a_while(struct random *r)
{
    switch (below(r, 3)) {
    case 0: /* the loop is late */
        return (1200 + below(r, 5000)) * MS;
    case 1: /* the process was stopped */
        return (10 + below(r, 600)) * DP_NS_PER_S;
    default: /* the machine slept */
        return (1 + below(r, 72)) * 3600 * DP_NS_PER_S;
    }
}

static void check(const struct world *w)
{
    for (uint16_t i = 0; i < ENDPOINTS; i++) {
        const struct dp_health_state *h = &w->g->endpoints[i].health;
        if (h->health == DP_HEALTH_DOWN || h->slow || h->draining)
            fail_msg("endpoint %u was condemned after %u sleeps: %s", i, w->jumps,
                     w->g->endpoints[i].why);
    }
    assert_int_equal(w->g->failover.active, 0);
    assert_false(w->g->doubt.on);
    assert_int_equal(w->g->failovers, 0);
}

static void sleep_condemns_nobody(void **state)
{
    static struct world w;
    (void)state;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        begin(&w, seed);
        for (unsigned i = 0; i < STEPS; i++) {
            w.now_ns += (1 + below(&w.random, 100)) * MS;
            if (i > 100 && below(&w.random, 50) == 0) {
                w.now_ns += a_while(&w.random);
                w.jumps++;
                wake_up(&w);
            }
            requests(&w);
            probes(&w);
            look(&w);
            check(&w);
        }
        assert_true(w.jumps > 5 && w.g->lag.stalls > 5);
        end(&w);
    }
}

/* The same bad news without a sleep are believed. */
static void the_same_without_sleep_condemns(void **state)
{
    static struct world w;
    (void)state;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        begin(&w, seed);
        for (unsigned i = 0; i < 200; i++) {
            w.now_ns += 50 * MS;
            requests(&w);
            probes(&w);
            look(&w);
        }
        check(&w);
        dp_counter_add(&w.traffic->endpoints[0].outcomes[DP_OUTCOME_ANSWER_TIMEOUT], 100);
        w.now_ns += 50 * MS;
        w.g->sample.timer_cb(&w.g->sample);
        assert_int_equal(w.g->endpoints[0].health.health, DP_HEALTH_DOWN);
        assert_int_equal(w.g->failover.active, 1);
        end(&w);
    }
}

static void live(struct world *w, uint64_t ms)
{
    const uint64_t end = w->now_ns + ms * MS;
    while (w->now_ns < end) {
        w->now_ns += (1 + below(&w->random, 50)) * MS;
        requests(w);
        probes(w);
        look(w);
    }
}

/* The first region is no worse than the others, as long as nobody answers. */
static void all_silent_at_once_move_nothing(void **state)
{
    static struct world w;
    (void)state;
    for (uint64_t seed = 0; seed < 3 * HISTORIES; seed++) {
        begin(&w, seed);
        w.idle = seed % 2 == 0;
        live(&w, 20000 + below(&w.random, 3000));
        for (unsigned i = 0; i < REGIONS; i++)
            w.silent[i] = true;
        w.late_from_ns = w.now_ns + 1000 * MS;
        for (unsigned i = 0; i < 30; i++) {
            live(&w, 100 + below(&w.random, 1000));
            assert_int_equal(w.g->failover.active, 0);
        }
        assert_true(w.g->doubt.on);
        for (unsigned i = 0; i < REGIONS; i++)
            w.silent[i] = false;
        live(&w, 300);
        for (uint16_t i = 0; i < ENDPOINTS && !w.idle; i++) /* begun before our network's return */
            dp_counter_add(&w.traffic->endpoints[i].outcomes[DP_OUTCOME_CONNECT_TIMEOUT], 30);
        w.g->kick.async_cb(&w.g->kick);
        for (unsigned i = 0; i < 30; i++) {
            live(&w, 100 + below(&w.random, 1000));
            assert_int_equal(w.g->failover.active, 0);
        }
        assert_false(w.g->doubt.on);
        assert_int_equal(w.g->failovers, 0);
        end(&w);
    }
}

/* One region, and another with it: the traffic goes where somebody speaks, and goes there at once. */
static void some_silent_at_once_are_left_for_who_speaks(void **state)
{
    static struct world w;
    (void)state;
    for (uint64_t seed = 0; seed < 3 * HISTORIES; seed++) {
        begin(&w, seed);
        w.idle = seed % 2 == 0;
        live(&w, 20000 + below(&w.random, 3000));
        w.silent[0] = true;
        w.late_from_ns = w.now_ns + 1000 * MS;
        w.silent[1] = seed % 3 > 0;
        live(&w, 3000 + 100); /* the goal, and the step in which it falls */
        assert_int_equal(w.g->failover.active, w.silent[1] ? 2 : 1);
        assert_int_equal(w.g->failovers, 1);
        assert_false(w.g->doubt.on);
        end(&w);
    }
}

static int quietly(void **state)
{
    (void)state;
    dp_log_set_level(DP_LOG_ERROR);
    dp_log_set_fd(-1); /* doubt is an error for who runs it, and what is tested here */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleep_condemns_nobody),
        cmocka_unit_test(the_same_without_sleep_condemns),
        cmocka_unit_test(all_silent_at_once_move_nothing),
        cmocka_unit_test(some_silent_at_once_are_left_for_who_speaks),
    };
    return cmocka_run_group_tests(tests, quietly, NULL);
}
