/* Rates are what counters grew by, over the proxy's own time between the two answers (uptime_s), so a slow answer makes no
 * false ones. Reads JSON defensively: what answers need not be this version of this program. */
#include "app/top.h"

#include "app/cli_ask.h"
#include "app/paint.h"
#include "app/status_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL    48
#define REGIONS 64 /* more are not shown; a proxy has at most 16 */
#define KEYS    "q quit  s sort: "

static const char *const sort_names[DP_TOP_SORTS] = {
    [DP_TOP_CONFIGURED] = "as configured", [DP_TOP_NAME] = "name",
    [DP_TOP_REQUESTS] = "requests",        [DP_TOP_FAILURES] = "failures",
    [DP_TOP_LATENCY] = "latency",
};

/* ---- what there is ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "-";
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Seconds between the two answers; 0: they are of two processes, or there is only one. */
static double seconds_between(const struct dp_top_frame *f)
{
    const double s = number_of(f->now, "uptime_s") - number_of(f->before, "uptime_s");
    const bool same = json_integer_value(json_object_get(f->now, "pid")) ==
                      json_integer_value(json_object_get(f->before, "pid"));
    return f->before && same && s > 0 ? s : 0;
}

/* How much a counter grew in a second; NAN: that is not known. */
static double rate(const json_t *now, const json_t *before, const char *key, double seconds)
{
    const double grown = number_of(now, key) - number_of(before, key);
    return seconds > 0 && grown >= 0 ? grown / seconds : NAN;
}

struct region {
    const json_t *now;
    const char *name;
    size_t place;
    double requests, failures, latency; /* a second, a second, ms; NAN: not known */
};

static const json_t *region_named(const json_t *status, const char *name)
{
    size_t i;
    const json_t *region;
    const json_t *regions = json_object_get(status, "regions");
    for (i = 0; i < json_array_size(regions); i++) {
        region = json_array_get(regions, i);
        if (strcmp(text_of(region, "name"), name) == 0) {
            return region;
        }
    }
    return NULL;
}

/* Larger first; what is not known last. */
static int by_number(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return isnan(a) - isnan(b);
    }
    return (b > a) - (b < a);
}

static int compare(const struct region *a, const struct region *b, enum dp_top_sort sort)
{
    switch (sort) {
    case DP_TOP_CONFIGURED:
        break;
    case DP_TOP_NAME:
        return strcmp(a->name, b->name);
    case DP_TOP_REQUESTS:
        return by_number(a->requests, b->requests);
    case DP_TOP_FAILURES:
        return by_number(a->failures, b->failures);
    case DP_TOP_LATENCY:
        return by_number(a->latency, b->latency);
    }
    return 0;
}

/* Few and nearly in order: insertion, which keeps the configured order among equals. */
static size_t read_regions(const struct dp_top_frame *f, struct region out[REGIONS])
{
    const json_t *regions = json_object_get(f->now, "regions");
    const double seconds = seconds_between(f);
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(regions) && n < REGIONS; i++) {
        const json_t *now = json_array_get(regions, i);
        const json_t *before = region_named(f->before, text_of(now, "name"));
        const struct region r = {.now = now,
                                 .name = text_of(now, "name"),
                                 .place = i,
                                 .requests = rate(now, before, "attempts", seconds),
                                 .failures = rate(now, before, "failures", seconds),
                                 .latency = number_of(now, "latency_ms")};
        size_t at = n++;
        for (; at > 0 && compare(&r, &out[at - 1], f->sort) < 0; at--) {
            out[at] = out[at - 1];
        }
        out[at] = r;
    }
    return n;
}

/* ---- cells ---- */

/* "12", "3.4", "12000", "1.2M"; "-": not known. */
static const char *short_number(double value, const char *unit, char out[CELL])
{
    static const char *const factors[] = {"", "k", "M", "G"};
    size_t i = 0;
    if (isnan(value)) {
        return "-";
    }
    for (; value >= 99999.5 && i + 1 < DP_ARRAY_LEN(factors); i++) {
        value /= 1000;
    }
    (void)snprintf(out, CELL, "%.*f%s%s", value < 99.95 && value != floor(value) ? 1 : 0, value,
                   factors[i], unit);
    return out;
}

static const char *state_of(const json_t *region, char out[CELL])
{
    static const struct {
        const char *key, *word;
    } flags[] = {{"trial", "trial"},
                 {"not_provisioned", "no database"},
                 {"draining", "draining"},
                 {"slow", "slow"},
                 {"held_down", "held"}};
    int n = snprintf(out, CELL, "%.12s", text_of(region, "health"));
    if (json_is_object(json_object_get(region, "drained"))) {
        n += snprintf(out + n, CELL - (size_t)n, ", drained");
    }
    for (size_t i = 0; i < DP_ARRAY_LEN(flags) && n > 0 && n < CELL - 16; i++) {
        if (is_true(region, flags[i].key)) {
            n += snprintf(out + n, CELL - (size_t)n, ", %s", flags[i].word);
        }
    }
    if (n < CELL - 8 && json_is_object(json_object_get(region, "fault"))) {
        (void)snprintf(out + n, CELL - (size_t)n, ", drill");
    }
    return out;
}

static const char *tint_of(const char *state)
{
    return strncmp(state, "down", 4) == 0 ? RED : strcmp(state, "up") == 0 ? GREEN : YELLOW;
}

/* ---- the screen ---- */

static void add_head(const struct dp_top_frame *f, struct dp_text *out)
{
    char up[CELL];
    char since[CELL];
    const char *scheme = text_of(f->now, "scheme");
    const char *listen = text_of(f->now, "listen");
    const char *now = text_of(f->now, "now");
    const char *active = json_string_value(json_object_get(f->now, "active"));
    const bool plain = strncmp(listen, "unix:", 5) == 0;
    dp_duration_text(number_of(f->now, "uptime_s"), up, sizeof up);
    dp_duration_text(number_of(f->now, "active_for_s"), since, sizeof since);
    dp_text_addf(out, BOLD "davenport %.24s" RESET "  %s%s%.60s  up %s  %.8s UTC\n",
                 text_of(f->now, "version"), plain ? "" : scheme, plain ? "" : "://", listen, up,
                 strlen(now) >= 19 ? now + 11 : "-");
    if (f->away) {
        dp_text_addf(out, RED "no proxy answers at %s; what follows is old" RESET "\n", f->away);
        return;
    }
    dp_text_addf(
        out, "traffic " BOLD "%.32s" RESET "%s%s  epoch %" JSON_INTEGER_FORMAT "  %s%s%s%s%s%s\n",
        active ? active : "nowhere", active ? " for " : "", active ? since : "",
        json_integer_value(json_object_get(f->now, "epoch")),
        is_true(f->now, "ready") ? GREEN "ready" RESET : RED "not ready" RESET,
        json_is_object(json_object_get(f->now, "frozen")) ? YELLOW "  frozen" RESET : "",
        is_true(f->now, "pinned") ? YELLOW "  pinned" RESET : "",
        is_true(f->now, "fail_open") ? RED "  fail open" RESET : "",
        is_true(f->now, "own_network_doubt") ? RED "  every region silent" RESET : "",
        is_true(f->now, "draining") ? YELLOW "  shutting down" RESET : "");
}

static void add_totals(const struct dp_top_frame *f, struct dp_text *out)
{
    const json_t *now = json_object_get(f->now, "totals");
    const json_t *before = json_object_get(f->before, "totals");
    const double s = seconds_between(f);
    char c[8][CELL];
    dp_text_addf(out,
                 "requests %s/s  under way %s  feeds %s  waiting %s  retried %s/s  refused %s/s\n",
                 short_number(rate(now, before, "requests", s), "", c[0]),
                 short_number(number_of(now, "requests_active"), "", c[1]),
                 short_number(number_of(now, "feeds_active"), "", c[2]),
                 short_number(number_of(now, "held"), "", c[3]),
                 short_number(rate(now, before, "retries", s), "", c[4]),
                 short_number(rate(now, before, "refused", s), "", c[5]));
    dp_text_addf(out,
                 "answers  2xx %s/s  3xx %s/s  4xx %s/s  5xx %s/s  in %s/s  out %s/s  clients %s\n",
                 short_number(rate(now, before, "answered_2xx", s), "", c[0]),
                 short_number(rate(now, before, "answered_3xx", s), "", c[1]),
                 short_number(rate(now, before, "answered_4xx", s), "", c[2]),
                 short_number(rate(now, before, "answered_5xx", s), "", c[3]),
                 short_number(rate(now, before, "body_bytes_in", s), "B", c[4]),
                 short_number(rate(now, before, "body_bytes_out", s), "B", c[5]),
                 short_number(number_of(now, "client_connections_open"), "", c[6]));
}

static void add_region(const struct region *r, struct dp_text *out)
{
    char state[CELL];
    char since[CELL] = "-";
    char c[4][CELL];
    const double seconds = number_of(r->now, "for_s");
    if (!isnan(seconds)) {
        dp_duration_text(seconds, since, sizeof since);
    }
    (void)state_of(r->now, state);
    dp_text_addf(out, "%s %-16.16s %s%-20.20s" RESET " %-12.12s %9s %7s %7s ",
                 is_true(r->now, "active") ? ">" : " ", r->name, tint_of(state), state, since,
                 short_number(r->latency, " ms", c[0]), short_number(r->requests, "", c[1]),
                 short_number(r->failures, "", c[2]));
    dp_text_addf(out, "%s%s\n", !isnan(r->failures) && r->failures > 0 ? RED "!" RESET : " ",
                 text_of(r->now, "why"));
}

/* The latest that fit into `room` lines. */
static void add_events(const json_t *events, unsigned room, struct dp_text *out)
{
    const size_t n = json_array_size(events);
    for (size_t i = n > room ? n - room : 0; i < n; i++) {
        dp_event_text(json_array_get(events, i), false, out);
    }
}

/* All lines there are, or as many as fit above the last one, which tells the keys. */
void dp_top_text(const struct dp_top_frame *f, bool colour, struct dp_text *out)
{
    struct region regions[REGIONS];
    struct dp_text marked = {0};
    struct dp_text clipped = {0};
    const size_t n = read_regions(f, regions);
    const unsigned above = 6; /* head, traffic, two of totals, blank, the table's head */
    const unsigned room = f->rows > above + 1 ? f->rows - above - 1 : 0;
    const unsigned shown = n < room ? (unsigned)n : room;
    add_head(f, &marked);
    add_totals(f, &marked);
    dp_text_addf(&marked, "\n" DIM "  %-16s %-20s %-12s %9s %7s %7s  WHY" RESET "\n", "REGION",
                 "STATE", "FOR", "LATENCY", "REQ/S", "FAIL/S");
    for (unsigned i = 0; i < shown; i++) {
        add_region(&regions[i], &marked);
    }
    if (room > shown + 2) {
        dp_text_addf(&marked, "\n" DIM "  JOURNAL" RESET "\n");
        add_events(f->events, room - shown - 2, &marked);
    }
    dp_clip_lines(&marked, f->columns, &clipped);
    /* Small terminals get the upper lines, and always the keys. */
    struct dp_text keys = {0};
    struct dp_span rest = dp_text_span(&clipped);
    for (unsigned line = 1; line < f->rows && rest.p && rest.n > 0; line++) {
        const struct dp_span one = dp_span_cut(&rest, '\n');
        dp_text_add(&keys, one);
        dp_text_add(&keys, DP_SPAN("\n"));
    }
    dp_text_clear(&marked);
    dp_text_addf(&marked, DIM KEYS "%s  space now" RESET, sort_names[f->sort]);
    dp_clip_lines(&marked, f->columns, &keys);
    dp_paint(&keys, colour, out);
    out->failed = out->failed || clipped.failed;
    dp_text_fini(&marked);
    dp_text_fini(&clipped);
    dp_text_fini(&keys);
}

/* ---- for programs ---- */

static json_t *real_or_null(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

void dp_top_json(const struct dp_top_frame *f, struct dp_text *out)
{
    static const char *const totals[] = {"requests",     "retries",       "refused",
                                         "answered_2xx", "answered_3xx",  "answered_4xx",
                                         "answered_5xx", "body_bytes_in", "body_bytes_out"};
    struct region regions[REGIONS];
    const size_t n = read_regions(f, regions);
    const json_t *now = json_object_get(f->now, "totals");
    const json_t *before = json_object_get(f->before, "totals");
    json_t *root = json_object();
    json_t *list = json_array();
    (void)json_object_set_new(root, "ts", json_string(text_of(f->now, "now")));
    (void)json_object_set_new(root, "active", json_string(text_of(f->now, "active")));
    for (size_t i = 0; i < DP_ARRAY_LEN(totals); i++) {
        char key[CELL];
        (void)snprintf(key, sizeof key, "%s_per_s", totals[i]);
        (void)json_object_set_new(root, key,
                                  real_or_null(rate(now, before, totals[i], seconds_between(f))));
    }
    for (size_t i = 0; i < n; i++) {
        char state[CELL];
        json_t *one =
            json_pack("{s:s, s:s, s:b}", "name", regions[i].name, "state",
                      state_of(regions[i].now, state), "active", is_true(regions[i].now, "active"));
        (void)json_object_set_new(one, "requests_per_s", real_or_null(regions[i].requests));
        (void)json_object_set_new(one, "failures_per_s", real_or_null(regions[i].failures));
        (void)json_object_set_new(one, "latency_ms", real_or_null(regions[i].latency));
        (void)json_array_append_new(list, one);
    }
    (void)json_object_set_new(root, "regions", list);
    dp_text_json(out, root, JSON_COMPACT);
    json_decref(root);
}
