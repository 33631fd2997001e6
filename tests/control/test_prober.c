/* The prober against a scripted region: turns, timeouts, keys held back, the end. The clock is the test's. */
#include "davenport/base/base64.h"

#include "control/prober.h"
#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct desk {
    uv_loop_t loop;
    struct script_server server;
    struct dp_clock clock;
    uint64_t now_ns;
    struct dp_prober *prober;
    bool gone;
    unsigned results, asked;
    uint32_t (*on_asked)(void *ctx, uint16_t endpoint);
    struct dp_probe_result last;
    uint16_t last_endpoint;
    uint64_t again_ns;            /* the callback asks for the next probe: 0 none */
    bool destroy;                 /* the callback destroys the prober */
    const struct dp_fault *fault; /* what a drill makes of every probe */
};

static uint64_t mono_ns(void *ctx)
{
    return ((struct desk *)ctx)->now_ns;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return 0;
}

static void on_gone(void *ctx)
{
    ((struct desk *)ctx)->gone = true;
}

static void on_result(void *ctx, uint16_t endpoint, const struct dp_probe_result *r)
{
    struct desk *d = ctx;
    d->results++;
    d->last = *r;
    d->last_endpoint = endpoint;
    if (d->again_ns)
        dp_prober_set(d->prober, endpoint, d->again_ns);
    if (d->destroy) {
        dp_prober_destroy(d->prober, on_gone, d);
        d->prober = NULL;
    }
}

static const struct dp_fault *on_fault(void *ctx, uint16_t endpoint)
{
    (void)endpoint;
    return ((struct desk *)ctx)->fault;
}

static int setup(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    assert_int_equal(uv_loop_init(&d->loop), 0);
    script_server_start(&d->server, &d->loop);
    d->now_ns = 1000 * DP_NS_PER_S;
    d->clock = (struct dp_clock){.mono_ns = mono_ns, .wall_ms = wall_ms, .ctx = d};
    *state = d;
    return 0;
}

static bool is_gone(void *ctx)
{
    return ((struct desk *)ctx)->gone;
}

static int teardown(void **state)
{
    struct desk *d = *state;
    if (d->prober)
        dp_prober_destroy(d->prober, on_gone, d);
    assert_true(script_run_until(&d->loop, is_gone, d));
    script_server_kill(&d->server);
    script_loop_finish(&d->loop);
    free(d);
    return 0;
}

static struct dp_credential *basic(const char *username)
{
    char line[128];
    char pair[64];
    size_t n = (size_t)snprintf(pair, sizeof(pair), "%s:%s", username, username);
    size_t at = (size_t)snprintf(line, sizeof(line), "Authorization: Basic ");
    at += dp_base64_encode(DP_BASE64, pair, n, line + at);
    at += (size_t)snprintf(line + at, sizeof(line) - at, "\r\n");
    return dp_credential_new(DP_CREDENTIAL_PASSTHROUGH, false, (struct dp_span){line, at});
}

static void make(struct desk *d, uint32_t timeout_ms, const char *username, uint16_t n)
{
    struct dp_credential *key = username ? basic(username) : NULL;
    char url[64];
    struct dp_probe_target targets[DP_MAX_ENDPOINTS];
    (void)script_server_url(&d->server, url, sizeof(url));
    for (uint16_t i = 0; i < n; i++)
        targets[i] = (struct dp_probe_target){.url = url, .path = "/_up", .key = key};
    const struct dp_prober_options opt = {.loop = &d->loop,
                                          .clock = &d->clock,
                                          .timeout_ms = timeout_ms,
                                          .asked = d->on_asked,
                                          .fault = on_fault,
                                          .result = on_result,
                                          .ctx = d};
    d->prober = dp_prober_new(&opt, targets, n);
    assert_non_null(d->prober);
    dp_credential_unref(key); /* the prober has its own */
}

static bool has_result(void *ctx)
{
    return ((struct desk *)ctx)->results > 0;
}

static bool has_request(void *ctx)
{
    return ((struct desk *)ctx)->server.requests > 0;
}

static const struct dp_probe_result *probe(struct desk *d, uint16_t endpoint)
{
    d->results = 0;
    dp_prober_set(d->prober, endpoint, d->now_ns);
    assert_int_equal(d->results, 0);
    assert_true(script_run_until(&d->loop, has_result, d));
    assert_int_equal(d->results, 1);
    assert_int_equal(d->last_endpoint, endpoint);
    return &d->last;
}

static void fresh_and_kept_connections_take_turns(void **state)
{
    struct desk *d = *state;
    make(d, 20000, NULL, 2);
    for (unsigned i = 0; i < 6; i++) {
        const struct dp_probe_result *r = probe(d, 1);
        assert_int_equal(r->kind, DP_PROBE_OK);
        assert_int_equal(r->status, 200);
        assert_int_equal(r->started_ns, d->now_ns);
        assert_int_equal(r->reused, i % 2 == 1 && i > 1);
        assert_non_null(strstr(r->detail, "200 in "));
    }
    assert_int_equal(d->server.accepted, 4); /* three fresh ones and the one that is kept */
    assert_non_null(strstr(d->server.head, "GET /_up HTTP/1.1\r\n"));
}

static void what_fails(void **state)
{
    struct desk *d = *state;
    make(d, 20000, NULL, 1);
    script_server_says(&d->server, SCRIPT_ANSWER, 404, "{\"status\":\"maintenance_mode\"}");
    const struct dp_probe_result *r = probe(d, 0);
    assert_int_equal(r->kind, DP_PROBE_DRAINING);
    assert_non_null(strstr(r->detail, "404 (maintenance_mode) in "));
    script_server_says(&d->server, SCRIPT_CUT, 200, "");
    r = probe(d, 0);
    assert_int_equal(r->kind, DP_PROBE_DARK);
    assert_int_equal(r->status, 0);
    assert_non_null(strstr(r->detail, "after the answer had begun"));
    script_server_kill(&d->server);
    r = probe(d, 0);
    assert_int_equal(r->kind, DP_PROBE_DARK);
    assert_int_equal(r->err, DP_ECONNECT);
    assert_true(r->detail[0] != 0);
}

static void a_frozen_region(void **state)
{
    struct desk *d = *state;
    make(d, 40, NULL, 1);
    script_server_says(&d->server, SCRIPT_SILENT, 0, "");
    const struct dp_probe_result *r = probe(d, 0);
    assert_int_equal(r->kind, DP_PROBE_DARK);
    assert_int_equal(r->err, DP_ETIMEOUT);
    assert_string_equal(r->detail, "no answer within 40 ms");
}

static bool has_two_requests(void *ctx)
{
    return ((struct desk *)ctx)->server.requests == 2;
}

/* When to ask is not the prober's to judge: also beside a question that waits. What is set replaces what was set. */
static void asks_beside_a_probe_that_waits(void **state)
{
    struct desk *d = *state;
    make(d, 20000, NULL, 1);
    script_server_says(&d->server, SCRIPT_SILENT, 0, "");
    dp_prober_set(d->prober, 0, d->now_ns);
    assert_true(script_run_until(&d->loop, has_request, d));
    for (unsigned i = 0; i < 10; i++)
        dp_prober_set(d->prober, 0, d->now_ns - i);
    assert_true(script_run_until(&d->loop, has_two_requests, d));
    assert_int_equal(d->results, 0);
}

/* Each asks for the next as soon as it begins. */
static uint32_t on_asked(void *ctx, uint16_t endpoint)
{
    struct desk *d = ctx;
    d->asked++;
    dp_prober_set(d->prober, endpoint, d->now_ns - d->asked);
    return 20000;
}

static bool has_all_requests(void *ctx)
{
    return ((struct desk *)ctx)->server.requests == DP_MAX_ASKS;
}

static void so_many_at_a_time_and_no_more(void **state)
{
    struct desk *d = *state;
    d->on_asked = on_asked;
    make(d, 20000, NULL, 1);
    script_server_says(&d->server, SCRIPT_SILENT, 0, "");
    dp_prober_set(d->prober, 0, d->now_ns);
    assert_true(script_run_until(&d->loop, has_all_requests, d));
    dp_prober_set(d->prober, 0, d->now_ns);
    for (unsigned i = 0; i < 100; i++)
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    assert_int_equal(d->asked, DP_MAX_ASKS);
    assert_int_equal(d->results, 0);
}

static bool has_many(void *ctx)
{
    return ((struct desk *)ctx)->results >= 20;
}

static void asked_again_from_the_callback(void **state)
{
    struct desk *d = *state;
    make(d, 20000, NULL, 1);
    d->again_ns = d->now_ns;
    dp_prober_set(d->prober, 0, d->now_ns);
    assert_true(script_run_until(&d->loop, has_many, d));
    assert_true(d->server.requests >= 20);
}

static void refused_keys_are_held_back(void **state)
{
    struct desk *d = *state;
    make(d, 20000, "monitor", 1);
    script_server_says(&d->server, SCRIPT_ANSWER, 401, "{}");
    assert_int_equal(probe(d, 0)->kind, DP_PROBE_CREDENTIALS);
    assert_non_null(strstr(d->server.head, "Authorization: Basic "));
    assert_false(d->last.without_keys);
    script_server_says(&d->server, SCRIPT_ANSWER, 200, "{}");
    d->now_ns += 299 * DP_NS_PER_S;
    assert_int_equal(probe(d, 0)->kind, DP_PROBE_OK);
    assert_null(strstr(d->server.head, "Authorization"));
    assert_true(d->last.without_keys);
    script_server_says(&d->server, SCRIPT_ANSWER, 401, "{}");
    (void)probe(d, 0); /* refused without keys: that says nothing of the keys */
    assert_null(strstr(d->server.head, "Authorization"));
    d->now_ns += 2 * DP_NS_PER_S;
    (void)probe(d, 0);
    assert_non_null(strstr(d->server.head, "Authorization: Basic "));
    assert_false(d->last.without_keys);
}

static void destroyed_under_way(void **state)
{
    struct desk *d = *state;
    make(d, 20000, "monitor", 3);
    script_server_says(&d->server, SCRIPT_SILENT, 0, "");
    for (uint16_t i = 0; i < 3; i++)
        dp_prober_set(d->prober, i, d->now_ns + (i == 2 ? DP_NS_PER_S : 0));
    assert_true(script_run_until(&d->loop, has_request, d));
}

static void destroyed_from_the_callback(void **state)
{
    struct desk *d = *state;
    make(d, 20000, NULL, 2);
    d->destroy = true;
    d->again_ns = d->now_ns;
    dp_prober_set(d->prober, 0, d->now_ns);
    assert_true(script_run_until(&d->loop, is_gone, d));
    assert_int_equal(d->results, 1);
}

/* ---- drills ---- */

static void turn_idly(struct desk *d)
{
    for (unsigned i = 0; i < 100; i++)
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
}

/* The probe that has begun is told of `ms` after that, and not before. */
static const struct dp_probe_result *told_after(struct desk *d, uint32_t ms)
{
    d->now_ns += (ms - 1) * DP_NS_PER_MS;
    turn_idly(d);
    assert_int_equal(d->results, 0);
    d->now_ns += DP_NS_PER_MS;
    assert_true(script_run_until(&d->loop, has_result, d));
    assert_int_equal(d->results, 1);
    assert_int_equal(d->last.total_ns, ms * DP_NS_PER_MS);
    return &d->last;
}

/* A drill's time is the test's, an answer's the machine's. */
static uint32_t patient_without_a_fault(void *ctx, uint16_t endpoint)
{
    (void)endpoint;
    return ((const struct desk *)ctx)->fault ? 30 : 20000;
}

static void a_drill_keeps_a_region_dark(void **state)
{
    static const struct dp_fault dark = {.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL};
    struct desk *d = *state;
    d->fault = &dark;
    d->on_asked = patient_without_a_fault;
    make(d, 20000, NULL, 1);
    dp_prober_set(d->prober, 0, d->now_ns);
    turn_idly(d);
    const struct dp_probe_result *r = told_after(d, 30);
    assert_int_equal(r->kind, DP_PROBE_DARK);
    assert_int_equal(r->err, DP_ETIMEOUT);
    assert_false(r->reached || r->connected || r->reused);
    assert_string_equal(r->detail, "no answer within 30 ms (a drill)");
    assert_int_equal(d->server.requests, 0);
    d->fault = NULL;
    assert_int_equal(probe(d, 0)->kind, DP_PROBE_OK);
}

static void a_drill_refuses_or_resets(void **state)
{
    static const struct dp_fault refused = {.kind = DP_FAULT_REFUSED, .share = DP_FAULT_ALL};
    static const struct dp_fault flaky = {.kind = DP_FAULT_FLAKY, .share = DP_FAULT_ALL};
    struct desk *d = *state;
    make(d, 20000, NULL, 1);
    d->fault = &refused;
    const struct dp_probe_result *r = probe(d, 0);
    assert_int_equal(r->kind, DP_PROBE_DARK);
    assert_int_equal(r->err, DP_ECONNECT);
    assert_true(r->reached && !r->connected);
    assert_string_equal(r->detail, "The region refused the connection. (a drill)");
    d->fault = &flaky;
    r = probe(d, 0);
    assert_int_equal(r->kind, DP_PROBE_DARK);
    assert_int_equal(r->err, DP_ECLOSED);
    assert_true(r->reached && r->connected);
    assert_int_equal(d->server.requests, 0);
}

static void a_drill_lets_answers_be_late(void **state)
{
    struct dp_fault slow = {.kind = DP_FAULT_SLOW, .delay_ms = 40, .share = DP_FAULT_ALL};
    struct desk *d = *state;
    d->fault = &slow;
    make(d, 20000, NULL, 1);
    dp_prober_set(d->prober, 0, d->now_ns);
    assert_true(script_run_until(&d->loop, has_request, d));
    turn_idly(d);
    const struct dp_probe_result *r = told_after(d, 40);
    assert_int_equal(r->kind, DP_PROBE_OK);
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(r->detail, ", heard late (a drill)"));
    assert_int_equal(d->server.requests, 1);
    /* later than anybody waits: not sent at all */
    slow.delay_ms = 20000;
    d->results = 0;
    dp_prober_set(d->prober, 0, d->now_ns);
    turn_idly(d);
    assert_int_equal(d->results, 0);
    assert_int_equal(d->server.requests, 1);
}

/* All places are taken by what is held, and then all of them are free again. */
static void held_results_take_places(void **state)
{
    static const struct dp_fault dark = {.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL};
    struct desk *d = *state;
    d->on_asked = on_asked;
    d->fault = &dark;
    make(d, 20000, NULL, 1);
    dp_prober_set(d->prober, 0, d->now_ns);
    for (unsigned i = 0; i < 10 && d->asked < DP_MAX_ASKS; i++)
        turn_idly(d);
    turn_idly(d);
    assert_int_equal(d->asked, DP_MAX_ASKS);
    assert_int_equal(d->results, 0);
    assert_int_equal(d->server.requests, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fresh_and_kept_connections_take_turns),
        T(what_fails),
        T(a_frozen_region),
        T(asks_beside_a_probe_that_waits),
        T(so_many_at_a_time_and_no_more),
        T(asked_again_from_the_callback),
        T(refused_keys_are_held_back),
        T(destroyed_under_way),
        T(destroyed_from_the_callback),
        T(a_drill_keeps_a_region_dark),
        T(a_drill_refuses_or_resets),
        T(a_drill_lets_answers_be_late),
        T(held_results_take_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
