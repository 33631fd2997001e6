/* The rules of held requests: bounds, pace, expiry. */
#include "davenport/base/attr.h"
#include "davenport/core/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static const struct dp_hold_config config = {
    .limit_ns = 5000 * MS, .max_bytes = 1000, .max_requests = 4, .release_per_s = 100};

static enum dp_hold_answer enter(struct dp_hold_state *s, struct dp_hold_stay *stay, uint64_t bytes,
                                 uint64_t now_ms)
{
    return dp_hold_enter(s, &config, stay, bytes, now_ms * MS, 0);
}

static enum dp_hold_verdict judge(struct dp_hold_state *s, const struct dp_hold_stay *stay,
                                  bool has_way, bool view_moved, uint64_t now_ms)
{
    return dp_hold_judge(s, &config, stay, has_way, view_moved, now_ms * MS);
}

static void bounds_of_count_and_bytes(void **state)
{
    (void)state;
    struct dp_hold_state s = {0};
    struct dp_hold_stay stays[6] = {{0}};
    assert_int_equal(enter(&s, &stays[0], 1001, 1), DP_HOLD_FULL);
    assert_int_equal(enter(&s, &stays[0], 600, 1), DP_HOLD_IN);
    assert_int_equal(enter(&s, &stays[1], 401, 1), DP_HOLD_FULL);
    assert_int_equal(enter(&s, &stays[1], 400, 1), DP_HOLD_IN);
    assert_int_equal(enter(&s, &stays[2], 0, 1), DP_HOLD_IN);
    assert_int_equal(enter(&s, &stays[3], 0, 1), DP_HOLD_IN);
    assert_int_equal(enter(&s, &stays[4], 0, 1), DP_HOLD_FULL);
    assert_int_equal(stays[4].until_ns, 0); /* nothing changed */
    dp_hold_leave(&s, &stays[0]);
    assert_int_equal(s.bytes, 400);
    assert_int_equal(enter(&s, &stays[4], 600, 1), DP_HOLD_IN);
}

static void nothing_is_held_when_it_is_off(void **state)
{
    (void)state;
    struct dp_hold_config off = config;
    struct dp_hold_state s = {0};
    struct dp_hold_stay stay = {0};
    off.limit_ns = 0;
    assert_int_equal(dp_hold_enter(&s, &off, &stay, 0, 1, 0), DP_HOLD_OVER);
}

/* All its stays together. */
static void time_is_up_once(void **state)
{
    (void)state;
    struct dp_hold_state s = {0};
    struct dp_hold_stay stay = {0};
    assert_int_equal(enter(&s, &stay, 0, 100), DP_HOLD_IN);
    assert_int_equal(judge(&s, &stay, true, true, 2000), DP_HOLD_GO);
    dp_hold_leave(&s, &stay);
    assert_int_equal(enter(&s, &stay, 0, 4000), DP_HOLD_IN);
    assert_int_equal(judge(&s, &stay, false, true, 5099), DP_HOLD_STAY);
    assert_int_equal(judge(&s, &stay, false, true, 5100), DP_HOLD_EXPIRE);
    dp_hold_leave(&s, &stay);
    assert_int_equal(enter(&s, &stay, 0, 5100), DP_HOLD_OVER);
    assert_int_equal(s.requests, 0);
}

/* What failed it is left alone for a moment, longer each time, unless the view says that it changed. */
static void a_region_that_failed_it_is_not_asked_again_at_once(void **state)
{
    static const struct {
        unsigned wait_ms;
    } rounds[] = {{25}, {50}, {100}, {200}, {400}, {500}, {500}};
    (void)state;
    struct dp_hold_state s = {0};
    struct dp_hold_stay stay = {0};
    uint64_t now = 100;
    for (size_t i = 0; i < DP_ARRAY_LEN(rounds); i++) {
        assert_int_equal(enter(&s, &stay, 0, now), DP_HOLD_IN);
        assert_int_equal(judge(&s, &stay, true, false, now), DP_HOLD_STAY);
        assert_int_equal(judge(&s, &stay, true, false, now + rounds[i].wait_ms - 1), DP_HOLD_STAY);
        assert_int_equal(judge(&s, &stay, false, false, now + rounds[i].wait_ms), DP_HOLD_STAY);
        assert_int_equal(judge(&s, &stay, true, false, now + rounds[i].wait_ms), DP_HOLD_GO);
        dp_hold_leave(&s, &stay);
        now += rounds[i].wait_ms;
    }
    assert_int_equal(enter(&s, &stay, 0, now), DP_HOLD_IN);
    assert_int_equal(judge(&s, &stay, true, true, now), DP_HOLD_GO);
}

static void they_go_on_at_a_pace(void **state)
{
    (void)state;
    struct dp_hold_state s = {0};
    struct dp_hold_stay stay = {.until_ns = 5000 * MS};
    unsigned gone = 0;
    for (uint64_t now = 100; now < 1100; now += 50) {
        unsigned in_tick = 0;
        while (judge(&s, &stay, true, true, now) == DP_HOLD_GO)
            in_tick++;
        assert_int_equal(in_tick, 5); /* 100 a second */
        gone += in_tick;
    }
    assert_int_equal(gone, 100);
    /* A pause earns no more than one burst. */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(judge(&s, &stay, true, true, 4000), DP_HOLD_GO);
    assert_int_equal(judge(&s, &stay, true, true, 4000), DP_HOLD_STAY);
    /* Nobody is refused for the pace's sake. */
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(judge(&s, &stay, true, false, 5000), DP_HOLD_GO);
}

static void is_it_worthwhile(void **state)
{
    static const struct {
        enum dp_route_state r0, r1;
        uint32_t spent;
        bool worthwhile;
    } rows[] = {
        {DP_ROUTE_DOWN, DP_ROUTE_DOWN, 0, true},    {DP_ROUTE_BARRED, DP_ROUTE_BARRED, 0, false},
        {DP_ROUTE_BARRED, DP_ROUTE_DOWN, 0, true},  {DP_ROUTE_OK, DP_ROUTE_OK, 0, true},
        {DP_ROUTE_OK, DP_ROUTE_DOWN, 1, true},      {DP_ROUTE_OK, DP_ROUTE_DOWN, 3, false},
        {DP_ROUTE_DOWN, DP_ROUTE_BARRED, 1, false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_view *v = dp_view_new();
        v->n_regions = v->n_endpoints = 2;
        v->endpoints[1].region = 1;
        v->regions[0].state = v->endpoints[0].state = rows[i].r0;
        v->regions[1].state = v->endpoints[1].state = rows[i].r1;
        assert_int_equal(dp_hold_worthwhile(v, rows[i].spent), rows[i].worthwhile);
        dp_view_unref(v);
    }
}

/* ---- properties ---- */

#define STAYS 64

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

struct play {
    struct dp_hold_config config;
    struct dp_hold_state s;
    struct dp_hold_stay stays[STAYS];
    bool in[STAYS];
    uint64_t first_ns[STAYS];
    uint64_t now_ns, seed;
    uint64_t paced; /* gone on before their time was up */
};

static void move(struct play *p)
{
    const unsigned i = (unsigned)(next(&p->seed) % STAYS);
    const bool way = next(&p->seed) % 2, moved = next(&p->seed) % 2;
    struct dp_hold_stay *stay = &p->stays[i];
    if (!p->in[i]) {
        if (next(&p->seed) % 8 == 0)
            *stay = (struct dp_hold_stay){0}; /* another request */
        p->in[i] = dp_hold_enter(&p->s, &p->config, stay, next(&p->seed) % 300, p->now_ns,
                                 next(&p->seed)) == DP_HOLD_IN;
        if (p->in[i] && stay->rounds == 1)
            p->first_ns[i] = p->now_ns;
        return;
    }
    const enum dp_hold_verdict v = dp_hold_judge(&p->s, &p->config, stay, way, moved, p->now_ns);
    const bool over = p->now_ns >= p->first_ns[i] + p->config.limit_ns;
    assert_false(v == DP_HOLD_STAY && over);
    assert_false(v == DP_HOLD_GO && !way);
    assert_false(v == DP_HOLD_EXPIRE && (way || !over));
    p->paced += v == DP_HOLD_GO && !over;
    if (v != DP_HOLD_STAY || next(&p->seed) % 16 == 0) { /* or its client went away */
        dp_hold_leave(&p->s, stay);
        p->in[i] = false;
    }
}

static void whatever_happens_the_bounds_hold(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 200; seed++) {
        struct play p = {.config = config, .seed = seed * 0x9E3779B97F4A7C15U, .now_ns = MS};
        p.config.max_requests = (uint32_t)(1 + next(&p.seed) % STAYS);
        p.config.release_per_s = (uint32_t)(1 + next(&p.seed) % 500);
        for (unsigned n = 0; n < 2000; n++) {
            uint64_t bytes = 0;
            uint32_t requests = 0;
            p.now_ns += next(&p.seed) % (20 * MS);
            move(&p);
            for (unsigned i = 0; i < STAYS; i++) {
                bytes += p.in[i] ? p.stays[i].bytes : 0;
                requests += p.in[i];
            }
            assert_int_equal(p.s.requests, requests);
            assert_int_equal(p.s.bytes, bytes);
            assert_true(requests <= p.config.max_requests && bytes <= p.config.max_bytes);
        }
        /* So many since the beginning, and one burst. */
        assert_true(p.paced <= (p.now_ns / MS + 50) * p.config.release_per_s / 1000 + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_of_count_and_bytes),
        cmocka_unit_test(nothing_is_held_when_it_is_off),
        cmocka_unit_test(time_is_up_once),
        cmocka_unit_test(a_region_that_failed_it_is_not_asked_again_at_once),
        cmocka_unit_test(they_go_on_at_a_pace),
        cmocka_unit_test(is_it_worthwhile),
        cmocka_unit_test(whatever_happens_the_bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
