/* Collecting a report. */
#include "app/report.h"

#include "davenport/core/outcome.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void dp_report_set_status(struct dp_report *r, const struct dp_status *status)
{
    r->status = *status;
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        struct dp_region_status *region = &r->status.regions[i];
        memset(region->outcomes, 0, sizeof region->outcomes);
        region->in_flight = 0;
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

void dp_report_add_traffic(struct dp_report *r, const struct dp_traffic *traffic,
                           const struct dp_view *view)
{
#define DP_COUNTER(field, name, help)                                                              \
    r->totals[DP_TOTAL_##field] += dp_counter_get(&traffic->field);
#define DP_GAUGE(field, name, help) r->totals[DP_TOTAL_##field] += dp_counter_get(&traffic->field);
#include "davenport/core/metrics.def"
#undef DP_COUNTER
#undef DP_GAUGE
    for (unsigned i = 0; i < DP_ERR_COUNT; i++) {
        r->refused_by[i] += dp_counter_get(&traffic->refused_by[i]);
    }
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
        region->in_flight += dp_counter_get(&e->in_flight);
        for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
            latency->buckets[b] += dp_counter_get(&e->first_byte[b]);
        }
        latency->sum_ns += dp_counter_get(&e->first_byte_ns);
    }
}

void dp_report_add_certificate(struct dp_report *r, const char *region, int64_t not_after_s)
{
    if (not_after_s != 0 && r->n_certificates < DP_ARRAY_LEN(r->certificates)) {
        r->certificates[r->n_certificates++] = (struct dp_report_certificate){region, not_after_s};
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
    r->pid = (long)getpid();
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
