/* Scripts for one endpoint's health: (time, event, what must hold afterwards). */
#ifndef DAVENPORT_TESTS_CORE_HEALTH_SCRIPT_H
#define DAVENPORT_TESTS_CORE_HEALTH_SCRIPT_H

#include "davenport/base/clock.h"
#include "davenport/core/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MS      DP_NS_PER_MS
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static const struct dp_health_config config = {
    .interval_ns = 2000 * MS,
    .fast_ns = 500 * MS,
    .fall = 3,
    .rise = 2,
    .traffic_failures = 5,
    .traffic_hold_ns = 5000 * MS,
    .window_ns = 5000 * MS,
    .window_percent = 50, /* window_requests 0: rows alone, but in the tests of the window */
    .slow_hold_ns = 30000 * MS,
    .slow_hold_max_ns = 100000 * MS,
};

/* One line of a script. A probe takes no time unless `took_ms` says so. */
struct row {
    uint64_t at_ms;
    struct dp_health_event event;
    enum dp_health health;
    enum dp_health_signal signal; /* NONE: nothing changed */
    uint32_t count;               /* of the change */
    bool draining;
    uint64_t took_ms;
};

#define PROBE(k)                                                                                   \
    {                                                                                              \
        .kind = DP_HEALTH_PROBE, .probe = DP_PROBE_##k                                             \
    }
#define DEEP(l, k)                                                                                 \
    {                                                                                              \
        .kind = DP_HEALTH_PROBE, .layer = DP_LAYER_##l, .probe = DP_PROBE_##k                      \
    }
#define TRAFFIC(g, u, e)                                                                           \
    {                                                                                              \
        .kind = DP_HEALTH_TRAFFIC, .traffic = {.good = (g), .unanswered = (u), .errors = (e) }     \
    }
#define TICK                                                                                       \
    {                                                                                              \
        .kind = DP_HEALTH_TICK                                                                     \
    }
#define IS(h)    .health = DP_HEALTH_##h
#define BY(s, n) .signal = DP_HEALTH_SIGNAL_##s, .count = (n)
#define IS_DRAIN .draining = true

static inline void run_with(const struct dp_health_config *c, const struct row *rows, size_t n,
                            struct dp_health_state *s)
{
    dp_health_init(s, c, 0, 1);
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        struct dp_health_event e = r->event;
        struct dp_health_actions a;
        enum dp_health before = s->health;
        e.probe_started_ns = (r->at_ms - r->took_ms) * MS;
        dp_health_step(s, c, &e, r->at_ms * MS, &a);
        if (s->health != r->health || s->draining != r->draining ||
            a.changed != (r->signal != DP_HEALTH_SIGNAL_NONE) || a.change.signal != r->signal ||
            (a.changed && a.change.count != r->count))
            print_error("row %zu: %s%s by %s (%u), expected %s by %s (%u)\n", i,
                        dp_health_name(s->health), s->draining ? " draining" : "",
                        dp_health_signal_name(a.change.signal), a.change.count,
                        dp_health_name(r->health), dp_health_signal_name(r->signal), r->count);
        assert_int_equal(s->health, r->health);
        assert_int_equal(s->draining, r->draining);
        assert_int_equal(a.changed, r->signal != DP_HEALTH_SIGNAL_NONE);
        assert_int_equal(a.change.signal, r->signal);
        if (a.changed) {
            assert_int_equal(a.change.before, before);
            assert_int_equal(a.change.after, s->health);
            assert_int_equal(a.change.count, r->count);
            assert_true(a.change.count >= a.change.threshold);
        }
    }
}

#define RUN(rows)                                                                                  \
    struct dp_health_state s;                                                                      \
    run_with(&config, rows, ROWS(rows), &s)

#endif
