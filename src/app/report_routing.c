/* Modes, distances and shares, for people and for monitoring. Where all goes to the active region there is nothing to
 * tell but the mode's name. */
#include "app/report_routing.h"

#include "app/metric.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool writes_stay(const struct dp_status *s)
{
    return s->config->mode == DP_MODE_WRITE_PRIMARY && !s->config->writes_failover;
}

/* Some worker sends reads there. */
static bool is_near(const struct dp_status *s, const struct dp_region_status *g)
{
    return s->config->nearest && g->near_workers > 0;
}

/* Alive, settled, and not to be spared: what is sent to the nearest may go there. */
static bool takes_reads(const struct dp_region_status *g)
{
    return g->route == DP_ROUTE_OK && !g->held_down;
}

/* ---- GET /status ---- */

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value ? value : json_null());
}

void dp_routing_put(json_t *root, const struct dp_status *s)
{
    const struct dp_control_config *c = s->config;
    put(root, "mode", json_string(dp_mode_name(c->mode)));
    put(root, "writes_failover", json_boolean(!writes_stay(s)));
    put(root, "database_rules", json_integer(c->n_rules));
    put(root, "home", s->n_regions ? json_string(s->regions[s->home].name) : NULL);
}

void dp_routing_put_region(json_t *region, const struct dp_status *s,
                           const struct dp_region_status *g)
{
    bool known = s->config->nearest && g->distance_ms >= 0;
    put(region, "share", json_integer(g->share));
    put(region, "max_in_flight", g->max_in_flight ? json_integer(g->max_in_flight) : NULL);
    put(region, "near", s->config->nearest ? json_boolean(is_near(s, g) && takes_reads(g)) : NULL);
    put(region, "distance_ms", known ? json_real(g->distance_ms) : NULL);
}

/* ---- GET /explain ---- */

DP_PRINTF(3, 4) static void add(char *buf, size_t cap, const char *fmt, ...)
{
    size_t n = strlen(buf);
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(buf + n, cap - n, fmt, args) < 0) {
        buf[n] = '\0';
    }
    va_end(args);
}

static void say_distance(const struct dp_region_status *g, char *buf, size_t cap)
{
    if (g->distance_ms >= 0) {
        add(buf, cap, " (%.1f ms)", g->distance_ms);
    }
}

/* "left (3.1 ms) and right (8.0 ms)" */
static void say_near(const struct dp_status *s, char *buf, size_t cap)
{
    unsigned n = 0;
    unsigned said = 0;
    for (uint16_t i = 0; i < s->n_regions; i++) {
        n += is_near(s, &s->regions[i]) && takes_reads(&s->regions[i]);
    }
    for (uint16_t i = 0; i < s->n_regions; i++) {
        const struct dp_region_status *g = &s->regions[i];
        if (is_near(s, g) && takes_reads(g)) {
            add(buf, cap, "%s%s", said == 0 ? "" : said + 1 == n ? " and " : ", ", g->name);
            say_distance(g, buf, cap);
            said++;
        }
    }
    if (n == 0) {
        add(buf, cap, "whichever is left: no region is near and settled");
    }
}

static void say_mode(const struct dp_status *s, char *buf, size_t cap)
{
    switch (s->config->mode) {
    case DP_MODE_ACTIVE_PASSIVE:
        if (s->config->nearest) {
            add(buf, cap, "mode active-passive, but for the databases with a rule of their own");
        }
        return;
    case DP_MODE_ACTIVE_ACTIVE:
        add(buf, cap, "mode active-active: reads and writes go to the nearest regions, now ");
        say_near(s, buf, cap);
        return;
    case DP_MODE_WRITE_PRIMARY:
        add(buf, cap, "mode write-primary: reads go to the nearest regions, now ");
        say_near(s, buf, cap);
        return;
    }
}

static void say_writes(const struct dp_status *s, char *buf, size_t cap)
{
    const struct dp_region_status *home = &s->regions[s->home];
    if (!writes_stay(s) || s->n_regions == 0) {
        return;
    }
    if (home->health == DP_REGION_DOWN || home->draining || home->drained.on) {
        add(buf, cap,
            "writes are refused (primary_unavailable): %s is %s, and writes_failover is false; "
            "davenport switch moves them",
            home->name,
            home->health == DP_REGION_DOWN ? "down"
            : home->drained.on             ? "drained"
                                           : "draining");
    } else {
        add(buf, cap, "writes go to %s and nowhere else: writes_failover is false", home->name);
    }
}

static void say_rules(const struct dp_status *s, char *buf, size_t cap)
{
    unsigned n = s->config->n_rules;
    if (n > 0) {
        add(buf, cap, "%u pattern%s of databases ha%s a rule of %s own", n, n == 1 ? "" : "s",
            n == 1 ? "s" : "ve", n == 1 ? "its" : "their");
    }
}

static void say_bound(const struct dp_status *s, char *buf, size_t cap)
{
    if (s->config->nearest && s->active != DP_NO_REGION) {
        add(buf, cap, "what belongs to one region (_changes, _local, _bulk_docs …) goes to %s",
            s->regions[s->active].name);
    }
}

const char *dp_routing_words(const struct dp_status *s, unsigned i, char *buf, size_t cap)
{
    static void (*const sentences[DP_ROUTING_SENTENCES])(
        const struct dp_status *, char *, size_t) = {say_mode, say_writes, say_bound, say_rules};
    buf[0] = '\0';
    if (i < DP_ROUTING_SENTENCES) {
        sentences[i](s, buf, cap);
    }
    return buf;
}

static void say_region_near(const struct dp_status *s, const struct dp_region_status *g, char *buf,
                            size_t cap)
{
    if (!s->config->nearest || !takes_reads(g)) {
        return;
    }
    add(buf, cap, is_near(s, g) ? "one of the nearest" : "not one of the nearest");
    say_distance(g, buf, cap);
    if (is_near(s, g) && g->near_workers < s->n_workers) {
        add(buf, cap, " for %u of %u workers", (unsigned)g->near_workers, (unsigned)s->n_workers);
    }
}

static void say_share(const struct dp_status *s, const struct dp_region_status *g, char *buf,
                      size_t cap)
{
    (void)s;
    if (g->share < 100) {
        add(buf, cap, "returns: takes %u %% of the reads it would get", (unsigned)g->share);
    }
}

static void say_busy(const struct dp_status *s, const struct dp_region_status *g, char *buf,
                     size_t cap)
{
    (void)s;
    if (g->max_in_flight > 0) {
        add(buf, cap, "%" PRIu64 " of at most %u requests under way (max_in_flight)", g->in_flight,
            (unsigned)g->max_in_flight);
    }
}

const char *dp_routing_region_words(const struct dp_status *s, const struct dp_region_status *g,
                                    unsigned i, char *buf, size_t cap)
{
    static void (*const sentences[])(const struct dp_status *, const struct dp_region_status *,
                                     char *, size_t) = {say_region_near, say_share, say_busy};
    buf[0] = '\0';
    if (i < DP_ARRAY_LEN(sentences)) {
        sentences[i](s, g, buf, cap);
    }
    return buf;
}

/* ---- GET /metrics ---- */

void dp_routing_metrics(const struct dp_status *s, struct dp_text *out)
{
    dp_metric_family(out, DP_METRIC_region_share);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        dp_metric_uint(out, DP_METRIC_region_share, DP_LABELS(s->regions[i].name),
                       s->regions[i].share);
    }
    if (!s->config->nearest) {
        return;
    }
    dp_metric_family(out, DP_METRIC_region_near_workers);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        dp_metric_uint(out, DP_METRIC_region_near_workers, DP_LABELS(s->regions[i].name),
                       s->regions[i].near_workers);
    }
    dp_metric_family(out, DP_METRIC_region_distance);
    for (uint16_t i = 0; i < s->n_regions; i++) {
        if (s->regions[i].distance_ms >= 0) {
            dp_metric_real(out, DP_METRIC_region_distance, DP_LABELS(s->regions[i].name),
                           s->regions[i].distance_ms / 1000);
        }
    }
}
