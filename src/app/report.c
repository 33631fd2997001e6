/* Collecting a report. */
#include "app/report.h"

#include "davenport/core/outcome.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void add_times(struct dp_report_latency *out, const struct dp_traffic_times *t)
{
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
        out->buckets[b] += dp_counter_get(&t->buckets[b]);
    }
    out->sum_ns += dp_counter_get(&t->sum_ns);
}

void dp_report_set_status(struct dp_report *r, const struct dp_status *status)
{
    r->status = *status;
    if (status->lag) {
        add_times(&r->control_lag, status->lag);
    }
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        struct dp_region_status *region = &r->status.regions[i];
        memset(region->outcomes, 0, sizeof region->outcomes);
        region->in_flight = 0;
        region->quorum_missed = 0;
        region->quorum_missed_wall_ms = 0;
    }
    for (uint16_t i = 0; i < r->status.n_endpoints; i++) {
        struct dp_endpoint_status *endpoint = &r->status.endpoints[i];
        memset(endpoint->outcomes, 0, sizeof endpoint->outcomes);
        endpoint->in_flight = 0;
    }
}

/* Bits of `addrs`: where this worker's new connections go. */
static unsigned used_by(const struct dp_traffic_endpoint *e, const struct dp_addrs *addrs)
{
    uint64_t tag = dp_counter_get(&e->address);
    unsigned used = 0;
    for (uint16_t k = 0; k < addrs->n; k++) {
        used |= (dp_addr_tag(&addrs->at[k]) == tag ? 1U : 0U) << k;
    }
    return used;
}

static void add_endpoint(struct dp_endpoint_status *out, const struct dp_traffic_endpoint *e)
{
    out->addrs_used |= used_by(e, &out->addrs);
    for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
        out->outcomes[o] += dp_counter_get(&e->outcomes[o]);
    }
    out->in_flight += dp_counter_get(&e->in_flight);
}

static void add_classes(uint64_t out[DP_TRAFFIC_CLASSES][DP_OUTCOME_COUNT],
                        const struct dp_traffic_endpoint *e)
{
    for (unsigned c = 0; c < DP_TRAFFIC_CLASSES; c++) {
        for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
            out[c][o] += dp_counter_get(&e->by_class[c][o]);
        }
    }
}

static void add_shown(uint64_t *earliest_s, const struct dp_traffic_endpoint *e)
{
    const uint64_t ends_s = dp_counter_get(&e->certificate_ends_s);
    if (ends_s > 0 && (*earliest_s == 0 || ends_s < *earliest_s)) {
        *earliest_s = ends_s;
    }
}

static void add_quorum(struct dp_region_status *out, const struct dp_traffic_endpoint *e)
{
    const int64_t at_ms = (int64_t)dp_counter_get(&e->quorum_missed_ms);
    out->quorum_missed += dp_counter_get(&e->quorum_missed);
    if (at_ms > out->quorum_missed_wall_ms) {
        out->quorum_missed_wall_ms = at_ms;
    }
}

static void add_kind(struct dp_report_kind *out, const struct dp_traffic_kind *k)
{
    add_times(&out->total, &k->total);
    for (unsigned i = 0; i < DP_TOLD_COUNT; i++) {
        out->told[i] += dp_counter_get(&k->told[i]);
    }
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
        out->first_byte.buckets[b] += dp_counter_get(&k->first_byte[b]);
    }
    out->first_byte.sum_ns += dp_counter_get(&k->first_byte_ns);
    out->replays += dp_counter_get(&k->replays);
}

void dp_report_add_traffic(struct dp_report *r, const struct dp_traffic *traffic,
                           const struct dp_view *view)
{
#define DP_COUNTER(field, name, help)                                                              \
    r->totals[DP_TOTAL_##field] += dp_counter_get(&traffic->field);
#define DP_GAUGE(field, name, help) r->totals[DP_TOTAL_##field] += dp_counter_get(&traffic->field);
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
    for (unsigned i = 0; i < DP_TRAFFIC_KINDS; i++) {
        add_kind(&r->kinds[i], &traffic->kinds[i]);
    }
    for (unsigned i = 0; i < DP_ERR_COUNT; i++) {
        r->refused_by[i] += dp_counter_get(&traffic->refused_by[i]);
    }
    for (unsigned i = 0; i < DP_FEED_END_COUNT; i++) {
        r->feed_ends[i] += dp_counter_get(&traffic->feed_ends[i]);
    }
    for (unsigned i = 0; i < DP_MEMORY_COUNT; i++) {
        r->memory[i] += dp_counter_get(&traffic->memory[i]);
    }
    add_times(&r->added, &traffic->added_times);
    add_times(&r->queued, &traffic->queue_times);
    add_times(&r->held, &traffic->hold_times);
    add_times(&r->lag, &traffic->lag_times);
    for (uint16_t i = 0; i < view->n_endpoints; i++) {
        const struct dp_traffic_endpoint *e = &traffic->endpoints[i];
        if (view->endpoints[i].region == DP_VIEW_GONE) {
            continue;
        }
        struct dp_region_status *region = &r->status.regions[view->endpoints[i].region];
        struct dp_report_latency *latency = &r->latency[view->endpoints[i].region];
        add_endpoint(&r->status.endpoints[i], e);
        region->addrs_used |= used_by(e, &region->addrs);
        for (unsigned o = 0; o < DP_OUTCOME_COUNT; o++) {
            region->outcomes[o] += dp_counter_get(&e->outcomes[o]);
        }
        add_classes(r->by_class[view->endpoints[i].region], e);
        add_shown(&r->shown_ends_s[view->endpoints[i].region], e);
        for (unsigned p = 0; p < DP_POOL_GAUGE_COUNT; p++) {
            r->pools[view->endpoints[i].region][p] += dp_counter_get(&e->pool[p]);
        }
        region->in_flight += dp_counter_get(&e->in_flight);
        add_quorum(region, e);
        for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
            latency->buckets[b] += dp_counter_get(&e->first_byte[b]);
        }
        latency->sum_ns += dp_counter_get(&e->first_byte_ns);
    }
}

void dp_report_add_certificate(struct dp_report *r, const char *to, const char *region,
                               int64_t not_after_s)
{
    if (not_after_s != 0 && r->n_certificates < DP_ARRAY_LEN(r->certificates)) {
        r->certificates[r->n_certificates++] =
            (struct dp_report_certificate){to, region, not_after_s};
    }
}

static uint64_t resident_bytes(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) {
        return 0;
    }
    /* Written by the kernel: two numbers that fit. */
    if (fscanf(f, "%lu %lu", &total, &resident) != 2) { // NOLINT(cert-err34-c)
        resident = 0;
    }
    (void)fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
    uint64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) {
        return 0;
    }
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        n += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return n - 1; /* not the one that counts */
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void dp_report_add_process(struct dp_report *r)
{
    struct rusage usage;
    struct rlimit files;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        r->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        r->max_fds = files.rlim_cur;
    }
    r->resident_bytes = resident_bytes();
    r->open_fds = open_fds();
}

bool dp_report_ready(const struct dp_report *r, const char **why)
{
    if (r->draining) {
        *why = "this proxy is shutting down";
        return false;
    }
    if (r->status.doubt) {
        *why = "every region is silent: more likely our own network than theirs";
        return false;
    }
    if (r->status.active == DP_NO_REGION) {
        *why = "no region can take requests";
        return false;
    }
    return true;
}
