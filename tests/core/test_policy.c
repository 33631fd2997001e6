/* Routing and retries, as tables. */
#include "davenport/core/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NONE DP_MAX_ENDPOINTS

/* regions: a letter each, 'o' ok, 'd' down, 'b' barred. endpoints: "region number, state" each. */
struct row {
    const char *regions;
    uint16_t active;
    const char *endpoints;
    uint32_t failed_mask;
    uint16_t chosen;
};

static enum dp_route_state state_of(char c)
{
    return c == 'o' ? DP_ROUTE_OK : c == 'd' ? DP_ROUTE_DOWN : DP_ROUTE_BARRED;
}

/* Everything to the active region: what a worker's own knowledge and chance are must not matter. */
static struct dp_route next(const struct dp_view *v, const struct dp_attempts *a)
{
    static const struct dp_rule plain = {.mode = DP_MODE_ACTIVE_PASSIVE};
    static const struct dp_router nothing;
    const struct dp_ask ask = {.rule = &plain, .kept = DP_NO_REGION};
    return dp_policy_next(v, &nothing, &ask, a, 0);
}

static void check(const struct row *r, uint32_t acted_mask, uint32_t turn)
{
    struct dp_view *v = dp_view_new();
    const struct dp_attempts attempts = {
        .failed_mask = r->failed_mask, .acted_mask = acted_mask, .count = 1, .turn = turn};
    v->active = r->active;
    for (const char *p = r->regions; *p; p++)
        v->regions[v->n_regions++].state = state_of(*p);
    for (const char *p = r->endpoints; *p; p += 2) {
        struct dp_view_endpoint *e = &v->endpoints[v->n_endpoints++];
        e->region = (uint16_t)(p[0] - '0');
        e->state = state_of(p[1]);
    }
    struct dp_route route = next(v, &attempts);
    if (r->chosen == NONE) {
        if (route.kind != DP_ROUTE_FAIL || route.why != DP_ENOREGION)
            fail_msg("%s %s failed %x: sent to %d", r->regions, r->endpoints, r->failed_mask,
                     (int)route.endpoint);
    } else if (route.kind != DP_ROUTE_SEND || route.endpoint != r->chosen) {
        fail_msg("%s %s failed %x: kind %d, endpoint %d", r->regions, r->endpoints, r->failed_mask,
                 (int)route.kind, (int)route.endpoint);
    }
    dp_view_unref(v);
}

static void test_next(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* the active region first, wherever it stands */
        {"ooo", 0, "0o1o2o", 0, 0},
        {"ooo", 1, "0o1o2o", 0, 1},
        {"ooo", 2, "0o1o2o", 0, 2},
        /* then the others in the configured order */
        {"ooo", 2, "0o1o2o", 4, 0},
        {"ooo", 2, "0o1o2o", 5, 1},
        {"ooo", 1, "0o1o2o", 2, 0},
        {"ooo", 1, "0o1o2o", 3, 2},
        {"ooo", 0, "0o1o2o", 1, 1},
        /* every one has failed */
        {"ooo", 0, "0o1o2o", 7, NONE},
        {"ooo", 0, "0o1o2o", UINT32_MAX, NONE},
        /* bits of endpoints that do not exist mean nothing */
        {"oo", 0, "0o1o", 0xFFFFFFFC, 0},
        /* a down or barred region or endpoint is never tried, active or not */
        {"doo", 0, "0o1o2o", 0, 1},
        {"boo", 0, "0o1o2o", 0, 1},
        {"ooo", 0, "0d1o2o", 0, 1},
        {"ooo", 0, "0b1o2o", 0, 1},
        {"odo", 0, "0o1o2o", 1, 2},
        {"obo", 0, "0o1o2o", 1, 2},
        {"ooo", 0, "0o1d2o", 1, 2},
        {"ooo", 0, "0o1b2o", 1, 2},
        {"ddd", 0, "0o1o2o", 0, NONE},
        {"bbb", 0, "0o1o2o", 0, NONE},
        {"ooo", 0, "0d1b2d", 0, NONE},
        {"dbd", 1, "0o1o2o", 0, NONE},
        {"odd", 0, "0o1o2o", 1, NONE},
        /* several endpoints of a region: a sibling of the one that failed before any other region */
        {"oo", 0, "0o0o1o", 1, 1},
        {"oo", 0, "0o0o1o", 3, 2},
        /* one sibling, then another region, then the rest */
        {"oo", 0, "0o0o0o0o1o1o", 1, 1},
        {"oo", 0, "0o0o0o0o1o1o", 3, 4},
        {"oo", 0, "0o0o0o0o1o1o", 19, 5},
        {"oo", 0, "0o0o0o0o1o1o", 51, 2},
        {"oo", 0, "0o0o0o0o1o1o", 55, 3},
        {"od", 0, "0o0o0o0o1o1o", 3, 2},
        {"oo", 1, "0o0o1o1o", 0, 2},
        {"oo", 1, "0o0o1o1o", 4, 3},
        {"oo", 1, "0o0o1o1o", 12, 0},
        {"oo", 1, "0o0o1o1o", 13, 1},
        {"oo", 1, "0o1d0o1o", 0, 3},
        {"oo", 1, "1b0o1o0o", 0, 2},
        {"oo", 1, "1o0o1o0o", 5, 1},
        {"do", 0, "0o0o1o", 0, 2},
        /* no region is active: the configured order alone */
        {"ooo", DP_NO_REGION, "0o1o2o", 0, 0},
        {"doo", DP_NO_REGION, "0o1o2o", 0, 1},
        {"ooo", DP_NO_REGION, "2o1o0o", 1, 2},
        /* nothing at all */
        {"", DP_NO_REGION, "", 0, NONE},
        {"oo", 0, "", 0, NONE},
        {"oo", 0, "1o", 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(&rows[i], 0, 0);
}

/* Siblings, and what must not go to one. */
static void test_siblings(void **state)
{
    (void)state;
    static const struct {
        struct row r;
        uint32_t acted_mask, turn;
    } rows[] = {
        /* siblings take turns, each request stays with its turn */
        {{"oo", 0, "0o0o0o1o", 0, 0}, 0, 0},
        {{"oo", 0, "0o0o0o1o", 0, 1}, 0, 1},
        {{"oo", 0, "0o0o0o1o", 0, 2}, 0, 2},
        {{"oo", 0, "0o0o0o1o", 0, 0}, 0, 3},
        {{"oo", 0, "0o0o0o1o", 0, 0}, 0, UINT32_MAX},
        {{"oo", 0, "0o0d0o1o", 0, 2}, 0, 1},
        {{"oo", 0, "0o0o0o1o", 2, 0}, 0, 4},
        {{"oo", 1, "0o1o1o1b", 0, 2}, 0, 3},
        /* where it may have been carried out it does not go again, whichever the endpoint */
        {{"oo", 0, "0o0o1o", 1, 2}, 1, 0},
        {{"oo", 0, "0o0o1o", 1, NONE}, 3, 0},
        {{"oo", 1, "0o0o1o", 0, 2}, 1, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(&rows[i].r, rows[i].acted_mask, rows[i].turn);
}

/* As many endpoints as there may be: the last one has a bit too. Following the policy to its end
 * tries each endpoint once, and then gives up. */
static void test_each_endpoint_once(void **state)
{
    (void)state;
    struct dp_view *v = dp_view_new();
    struct dp_attempts a = {0};
    v->n_regions = DP_MAX_REGIONS;
    v->n_endpoints = DP_MAX_ENDPOINTS;
    v->active = 7;
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++)
        v->endpoints[i].region = i % DP_MAX_REGIONS;
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++) {
        struct dp_route r = next(v, &a);
        assert_int_equal(r.kind, DP_ROUTE_SEND);
        assert_true(r.endpoint < DP_MAX_ENDPOINTS);
        assert_int_equal(a.failed_mask & (UINT32_C(1) << r.endpoint), 0);
        assert_int_equal(v->endpoints[r.endpoint].region == v->active, i < 2);
        a.failed_mask |= UINT32_C(1) << r.endpoint;
    }
    assert_int_equal(next(v, &a).kind, DP_ROUTE_FAIL);
    dp_view_unref(v);
}

/* All 24 combinations. Written out, so that the rule is said twice. */
static void test_may_retry(void **state)
{
    (void)state;
    static const struct {
        bool wrote_any, body_replayable, committed;
        bool safe, idempotent, never;
    } rows[] = {
        {false, false, false, false, false, false},
        {false, false, true, false, false, false},
        {false, true, false, true, true, true}, /* nothing was sent: anything goes again */
        {false, true, true, false, false, false},
        {true, false, false, false, false, false},
        {true, false, true, false, false, false},
        {true, true, false, true, true, false}, /* not what might be done twice */
        {true, true, true, false, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_attempt_facts f = {.wrote_any = rows[i].wrote_any,
                                     .body_replayable = rows[i].body_replayable,
                                     .committed = rows[i].committed};
        f.replay = DP_REPLAY_SAFE;
        assert_int_equal(dp_policy_may_retry(&f), rows[i].safe);
        f.replay = DP_REPLAY_IDEMPOTENT;
        assert_int_equal(dp_policy_may_retry(&f), rows[i].idempotent);
        f.replay = DP_REPLAY_NEVER;
        assert_int_equal(dp_policy_may_retry(&f), rows[i].never);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_each_endpoint_once),
        cmocka_unit_test(test_may_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
