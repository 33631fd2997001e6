/* One look at the running program: what the governor says, what the workers counted, what the
 * process uses. Collected on the main thread in one turn of the loop, then rendered by pure
 * functions. */
#ifndef DAVENPORT_SRC_APP_REPORT_H
#define DAVENPORT_SRC_APP_REPORT_H

#include "davenport/app/text.h"
#include "davenport/control/governor.h"
#include "davenport/core/traffic.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_sequences;

/* The workers' own counters (core/metrics.def), one index each. */
enum dp_total {
#define DP_COUNTER(field, name, help) DP_TOTAL_##field,
#define DP_GAUGE(field, name, help)   DP_TOTAL_##field,
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
    DP_TOTAL_COUNT
};

/* Times as a histogram: dp_traffic_times of all workers, or times to the first answer byte. */
struct dp_report_latency {
    uint64_t buckets[DP_LATENCY_BUCKETS]; /* each its own, not cumulative */
    uint64_t sum_ns;
};

/* Requests of one kind (couch/request.h). */
struct dp_report_kind {
    uint64_t told[DP_TOLD_COUNT];
    uint64_t replays;
    struct dp_report_latency first_byte, total;
};

/* When a certificate that this proxy shows ends. */
struct dp_report_certificate {
    const char *to;     /* whom it is shown: "clients", "operators", "region" */
    const char *region; /* which; or NULL */
    int64_t not_after_s;
};

struct dp_report {
    const char *version;
    const char *listen, *admin; /* bound addresses; borrowed */
    bool listen_tls;            /* applications connect by https */
    long pid;
    const char *instance; /* which process that is (app/instance.h); NULL: not known */
    uint32_t n_workers;
    bool draining;
    int64_t now_wall_ms, started_wall_ms;
    uint64_t hold_down_ms; /* as configured */
    uint64_t reloads_done, reloads_refused;
    struct dp_report_certificate certificates[DP_MAX_REGIONS + 2];
    uint16_t n_certificates;
    /* the process: dp_report_add_process */
    double cpu_s;
    uint64_t resident_bytes, open_fds, max_fds;
    /* the program */
    const struct dp_sequences *sequences; /* borrowed; NULL: nobody keeps maps */
    const struct dp_governor *governor;   /* borrowed, for its ways; NULL: there is none */
    struct dp_status status;
    uint64_t totals[DP_TOTAL_COUNT];
    struct dp_report_kind kinds[DP_TRAFFIC_KINDS];
    uint64_t refused_by[DP_ERR_COUNT]; /* by enum dp_err */
    struct dp_report_latency latency[DP_MAX_REGIONS];
    uint64_t by_class[DP_MAX_REGIONS][DP_TRAFFIC_CLASSES][DP_OUTCOME_COUNT];
    uint64_t pools[DP_MAX_REGIONS][DP_POOL_GAUGE_COUNT];
    /* The earliest end of the certificates that its endpoints showed, in seconds since 1970; 0: none did. */
    uint64_t shown_ends_s[DP_MAX_REGIONS];
    uint64_t feed_ends[DP_FEED_END_COUNT];
    uint64_t memory[DP_MEMORY_COUNT];
    struct dp_report_latency added, queued, held;
    struct dp_report_latency lag, control_lag; /* of the workers' loops, of the main thread's */
};

/* What the governor says, but for what the workers count: it samples that, and a report is of now. */
void dp_report_set_status(struct dp_report *r, const struct dp_status *status);
/* Add one worker's counters to `r`. `view` tells which region an endpoint belongs to. */
void dp_report_add_traffic(struct dp_report *r, const struct dp_traffic *traffic,
                           const struct dp_view *view);
/* not_after_s: seconds since 1970; 0: there is none. */
void dp_report_add_certificate(struct dp_report *r, const char *to, const char *region,
                               int64_t not_after_s);
/* Fill in what the kernel knows of this process. It counts the open descriptors one by one, so it is for who needs it. */
void dp_report_add_process(struct dp_report *r);

/* May a load balancer send requests here? *why: a word and a reason for people when not. */
bool dp_report_ready(const struct dp_report *r, const char **why);
/* GET /status. */
void dp_report_json(const struct dp_report *r, struct dp_text *out);
/* GET /explain: why traffic is where it is, what each region's evidence is, and how far the next decision. */
void dp_report_explain(const struct dp_report *r, struct dp_text *out);
/* GET /metrics: Prometheus text format 0.0.4. */
void dp_report_metrics(const struct dp_report *r, struct dp_text *out);

#endif
