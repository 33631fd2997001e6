/* A report of two regions, a minute after a failover from the first to the second, and what a person is told in it. */
#ifndef DAVENPORT_TESTS_APP_REPORT_SAMPLE_H
#define DAVENPORT_TESTS_APP_REPORT_SAMPLE_H

#include "davenport/core/outcome.h"

#include "app/report.h"
#include "app/status_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define NOW INT64_C(1795381200000) /* 2026-11-22T21:00:00Z */
#define S   INT64_C(1000)

static inline void set_text(char *out, const char *text)
{
    assert_true(snprintf(out, DP_WHY_TEXT, "%s", text) < DP_WHY_TEXT);
}

static const struct dp_control_config plain = {.n_regions = 2};

/* Two regions, a minute after a failover from the first to the second. */
static inline struct dp_report sample(void)
{
    struct dp_report r = {
        .version = "1.2.3",
        .listen = "127.0.0.1:8984",
        .admin = "127.0.0.1:8985",
        .pid = 42,
        .n_workers = 2,
        .now_wall_ms = NOW,
        .started_wall_ms = NOW - 7500 * S,
        .hold_down_ms = 300000,
        .cpu_s = 1.5,
        .resident_bytes = 1048576,
        .open_fds = 17,
        .max_fds = 1024,
    };
    struct dp_status *s = &r.status;
    s->epoch = 7;
    s->config = &plain;
    s->regions[0].share = s->regions[1].share = 100;
    s->n_regions = 2;
    s->active = 1;
    s->active_since_wall_ms = NOW - 61 * S;
    set_text(s->why, "eu-de is down: 3 probes in a row failed");
    s->failback = DP_FAILBACK_HOLD_DOWN;
    s->failback_to = DP_NO_REGION;
    s->ramp_from = DP_NO_REGION;
    s->share_percent = 100;
    s->failback_at_wall_ms = NOW + 252 * S;
    s->failovers = 1;

    struct dp_region_status *a = &s->regions[0];
    a->name = "eu-de";
    a->url = "http://a:5984";
    a->health = DP_REGION_UP;
    a->held_down = true;
    a->since_wall_ms = NOW - 48 * S;
    set_text(a->why, "2 probes in a row passed");
    a->probes.last_wall_ms = NOW - S;
    a->probes.last_status = 200;
    set_text(a->probes.last, "200 in 2.0 ms");
    a->probes.last_ms = 2;
    a->latency_ms = -1;
    a->probes.ok = 40;
    a->probes.failed = 3;
    a->probes.successes_in_row = 9;

    struct dp_region_status *b = &s->regions[1];
    b->name = "us-south";
    b->url = "http://b:5984";
    b->health = DP_REGION_UP;
    b->active = true;
    b->since_wall_ms = NOW - 7500 * S;
    set_text(b->why, "1 probe passed");
    b->probes.last_ms = -1;
    b->latency_ms = 12.25;
    b->outcomes[DP_OUTCOME_ANSWERED] = 1200;
    b->outcomes[DP_OUTCOME_SERVER_ERROR] = 3;
    b->outcomes[DP_OUTCOME_THROTTLED] = 5;
    b->in_flight = 4;

    r.totals[DP_TOTAL_requests] = 1204;
    r.latency[1].buckets[0] = 10;
    r.latency[1].buckets[4] = 5;
    r.latency[1].buckets[DP_LATENCY_BUCKETS - 1] = 1;
    r.latency[1].sum_ns = UINT64_C(12500000000);
    return r;
}

static inline json_t *status_of(const struct dp_report *r)
{
    struct dp_text text = {0};
    dp_report_json(r, &text);
    assert_false(text.failed);
    json_t *status = json_loads(dp_text_str(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(status);
    dp_text_fini(&text);
    return status;
}

/* The thresholds behind the sample. */
static const struct dp_control_config thresholds = {.n_regions = 2,
                                                    .fall = 3,
                                                    .rise = 2,
                                                    .traffic_failures = 5,
                                                    .failure_requests = 20,
                                                    .failure_percent = 50,
                                                    .failback_hold_ms = 300000,
                                                    .min_regions = 1};

static inline struct dp_standing standing(const char *actor, const char *reason, int64_t since_s,
                                          int64_t left_s)
{
    struct dp_standing s = {.on = true, .since_wall_ms = NOW - since_s * S};
    s.until_wall_ms = left_s ? NOW + left_s * S : 0;
    assert_true(snprintf(s.actor, sizeof s.actor, "%s", actor) > 0);
    assert_true(snprintf(s.reason, sizeof s.reason, "%s", reason) >= 0);
    return s;
}

static inline struct dp_report explained(void)
{
    struct dp_report r = sample();
    r.status.config = &thresholds;
    r.status.journal.file = true;
    r.status.serving = 2;
    r.status.heir = 0;
    r.status.failback_to = 0;
    r.status.regions[0].lost_data = true;
    r.status.regions[0].well_for_ms = 48000;
    r.status.regions[0].hold_ms = 300000;
    r.status.regions[1].unanswered = 2;
    r.status.regions[1].window_bad = 6;
    r.status.regions[1].window_good = 34;
    return r;
}

#endif
