/* The status as a table, the journal as lines. Reads JSON defensively: what answers on that port
 * need not be this version of this program. */
#include "app/status_text.h"

#include "davenport/app/config.h"

#include "app/paint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CELL 64

enum column {
    COLUMN_REGION,
    COLUMN_STATE,
    COLUMN_FOR,
    COLUMN_LATENCY,
    COLUMN_REQUESTS,
    COLUMN_FAILED,
    COLUMNS
};

struct line {
    char cells[COLUMNS][CELL];
    const char *tint; /* of the state */
    const char *why;
    bool active;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "-";
}

static const char *scheme_of(const json_t *status)
{
    const char *s = json_string_value(json_object_get(status, "scheme"));
    const char *listen = json_string_value(json_object_get(status, "listen"));
    if (listen && dp_config_unix_path(listen)) {
        return "";
    }
    return s && strcmp(s, "https") == 0 ? "https://" : "http://";
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

void dp_duration_text(double seconds, char *buf, size_t cap)
{
    long s = seconds > 0 ? (long)(seconds < 1e12 ? seconds : 1e12) : 0;
    int n;
    if (s < 60) {
        n = snprintf(buf, cap, "%ld s", s);
    } else if (s < 3600) {
        n = snprintf(buf, cap, s % 60 ? "%ld min %ld s" : "%ld min", s / 60, s % 60);
    } else if (s < 86400) {
        n = snprintf(buf, cap, s / 60 % 60 ? "%ld h %ld min" : "%ld h", s / 3600, s / 60 % 60);
    } else {
        n = snprintf(buf, cap, s / 3600 % 24 ? "%ld d %ld h" : "%ld d", s / 86400, s / 3600 % 24);
    }
    if (n < 0 && cap) {
        buf[0] = '\0';
    }
}

static void duration_of(const json_t *object, const char *key, char *buf, size_t cap)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value)) {
        dp_duration_text(json_number_value(value), buf, cap);
    } else if (snprintf(buf, cap, "-") < 0 && cap) {
        buf[0] = '\0';
    }
}

DP_PRINTF(2, 3) static void cell(char out[CELL], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(out, CELL, fmt, args) < 0) {
        out[0] = '\0';
    }
    va_end(args);
}

static const char *tint_of(const char *state, bool held)
{
    if (strncmp(state, "down", 4) == 0) {
        return RED;
    }
    return strcmp(state, "up") == 0 && !held ? GREEN : YELLOW;
}

static void count_cell(char out[CELL], const json_t *region, const char *key)
{
    const json_t *value = json_object_get(region, key);
    if (json_is_integer(value)) {
        cell(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        cell(out, "-");
    }
}

/* A late request speaks against its region, however it ends: it may count as a failure then, too. */
static void failed_cell(char out[CELL], const json_t *region)
{
    json_int_t attempts = json_integer_value(json_object_get(region, "attempts"));
    json_int_t failures = json_integer_value(json_object_get(region, "failures"));
    json_int_t late = json_integer_value(json_object_get(region, "late"));
    if (late <= 0 || attempts <= 0) {
        count_cell(out, region, "failures");
    } else {
        cell(out, "%" JSON_INTEGER_FORMAT, late < attempts - failures ? failures + late : attempts);
    }
}

static void fill(const json_t *region, struct line *line)
{
    const char *state = text_of(region, "health");
    const json_t *latency = json_object_get(region, "latency_ms");
    bool held = is_true(region, "held_down");
    bool draining = is_true(region, "draining");
    bool trial = is_true(region, "trial");
    bool missing = is_true(region, "not_provisioned");
    bool slow = is_true(region, "slow");
    bool drained = json_is_object(json_object_get(region, "drained"));
    bool drill = json_is_object(json_object_get(region, "fault"));
    line->active = is_true(region, "active");
    line->tint = tint_of(state, held || draining || slow || drained || missing || drill);
    line->why = text_of(region, "why");
    cell(line->cells[COLUMN_REGION], "%.63s", text_of(region, "name"));
    cell(line->cells[COLUMN_STATE], "%.32s%s%s%s%s%s%s%s", state, trial ? ", trial" : "",
         missing ? ", not provisioned" : "", drained ? ", drained" : "",
         draining ? ", draining" : "", slow ? ", slow" : "", held ? ", held" : "",
         drill ? ", drill" : "");
    duration_of(region, "for_s", line->cells[COLUMN_FOR], CELL);
    if (json_is_number(latency)) {
        cell(line->cells[COLUMN_LATENCY], "%.1f ms", json_number_value(latency));
    } else {
        cell(line->cells[COLUMN_LATENCY], "-");
    }
    count_cell(line->cells[COLUMN_REQUESTS], region, "attempts");
    failed_cell(line->cells[COLUMN_FAILED], region);
}

/* Columns from the latency on are numbers: to the right. */
static void print_cells(const struct line *line, const size_t widths[COLUMNS], const char *tint,
                        struct dp_text *out)
{
    for (int i = 0; i < COLUMNS; i++) {
        int width = (int)widths[i];
        if (i >= COLUMN_LATENCY) {
            dp_text_addf(out, "%*s  ", width, line->cells[i]);
        } else if (i == COLUMN_STATE && tint) {
            int pad = width - (int)strlen(line->cells[i]);
            dp_text_addf(out, "%s%s" RESET "%*s  ", tint, line->cells[i], pad, "");
        } else {
            dp_text_addf(out, "%-*s  ", width, line->cells[i]);
        }
    }
}

static void print_regions(const json_t *regions, struct dp_text *out)
{
    static const struct line header = {
        .cells = {"REGION", "STATE", "FOR", "LATENCY", "REQUESTS", "FAILED"}};
    size_t widths[COLUMNS];
    struct line line;
    for (int i = 0; i < COLUMNS; i++) {
        widths[i] = strlen(header.cells[i]);
    }
    for (size_t i = 0; i < json_array_size(regions); i++) {
        fill(json_array_get(regions, i), &line);
        for (int j = 0; j < COLUMNS; j++) {
            size_t n = strlen(line.cells[j]);
            widths[j] = n > widths[j] ? n : widths[j];
        }
    }
    dp_text_addf(out, DIM "  ");
    print_cells(&header, widths, NULL, out);
    dp_text_addf(out, "WHY" RESET "\n");
    for (size_t i = 0; i < json_array_size(regions); i++) {
        fill(json_array_get(regions, i), &line);
        dp_text_addf(out, "%s ", line.active ? ">" : " ");
        print_cells(&line, widths, line.tint, out);
        dp_text_addf(out, "%s\n", line.why);
    }
}

/* `of`: a region with one endpoint, or one endpoint. */
static void print_addresses(const json_t *of, const char *name, struct dp_text *out)
{
    const json_t *addresses = json_object_get(of, "addresses");
    const json_t *lookup = json_object_get(of, "lookup");
    char age[CELL];
    if (!json_is_object(lookup)) { /* its address is in the configuration */
        return;
    }
    dp_text_addf(out, "Addresses of %s: ", name);
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const json_t *one = json_array_get(addresses, i);
        dp_text_addf(out, "%s%s%s", i ? ", " : "", text_of(one, "ip"),
                     is_true(one, "used") ? " (used)" : "");
    }
    duration_of(lookup, "good_age_s", age, sizeof age);
    if (is_true(lookup, "failing")) {
        dp_text_addf(out, "%s; " YELLOW "%s does not resolve" RESET " (%s), last did %s%s\n",
                     json_array_size(addresses) ? "" : "none", text_of(lookup, "host"),
                     text_of(lookup, "why"), age[0] == '-' ? "before the start, or never" : age,
                     age[0] == '-' ? "" : " ago");
    } else {
        dp_text_addf(out, "; %s looked up %s ago\n", text_of(lookup, "host"), age);
    }
}

/* Of a region that has several. */
static void print_endpoints(const json_t *region, struct dp_text *out)
{
    const json_t *endpoints = json_object_get(region, "endpoints");
    dp_text_addf(out, "Endpoints of %s:\n", text_of(region, "name"));
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        char age[CELL];
        const json_t *e = json_array_get(endpoints, i);
        const char *state = text_of(e, "health");
        bool draining = is_true(e, "draining");
        bool slow = is_true(e, "slow");
        duration_of(e, "for_s", age, sizeof age);
        dp_text_addf(out, "  %s  %s%s" RESET "%s%s%s for %s%s: %s\n", text_of(e, "url"),
                     tint_of(state, draining || slow), state, is_true(e, "trial") ? ", trial" : "",
                     draining ? ", draining" : "", slow ? ", slow" : "", age,
                     strcmp(text_of(e, "route"), "ok") == 0 ? "" : " (takes no requests)",
                     text_of(e, "why"));
    }
}

static void print_region_details(const json_t *region, struct dp_text *out)
{
    const json_t *endpoints = json_object_get(region, "endpoints");
    if (json_array_size(endpoints) < 2) {
        print_addresses(region, text_of(region, "name"), out);
        return;
    }
    print_endpoints(region, out);
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *e = json_array_get(endpoints, i);
        print_addresses(e, text_of(e, "url"), out);
    }
}

/* "Frozen by ann (loopback), 3 min ago, for 7 min more: a deploy" */
static void print_standing(const char *what, const json_t *s, struct dp_text *out)
{
    char ago[CELL];
    char left[CELL];
    const char *reason = json_string_value(json_object_get(s, "reason"));
    if (!json_is_object(s)) {
        return;
    }
    duration_of(s, "for_s", ago, sizeof ago);
    duration_of(s, "left_s", left, sizeof left);
    bool ends = json_is_number(json_object_get(s, "left_s"));
    dp_text_addf(out, YELLOW "%s" RESET " by %s, %s ago%s%s%s%s%s\n", what, text_of(s, "actor"),
                 ago, ends ? ", for " : "", ends ? left : "", ends ? " more" : "",
                 reason && *reason ? ": " : "", reason ? reason : "");
}

/* What a region is made to do on purpose. */
static void print_drill(const json_t *region, struct dp_text *out)
{
    const json_t *fault = json_object_get(region, "fault");
    struct dp_text what = {0};
    if (json_is_object(fault)) {
        dp_text_addf(&what, "Drill: %s is %s", text_of(region, "name"), text_of(fault, "words"));
        print_standing(dp_text_str(&what), fault, out);
    }
    out->failed |= what.failed;
    dp_text_fini(&what);
}

static void print_orders(const json_t *status, struct dp_text *out)
{
    const json_t *regions = json_object_get(status, "regions");
    const json_t *journal = json_object_get(status, "journal");
    print_standing("Frozen", json_object_get(status, "frozen"), out);
    print_standing("Pinned", json_object_get(status, "pin"), out);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        char what[CELL + 16];
        const json_t *region = json_array_get(regions, i);
        if (snprintf(what, sizeof what, "Drained: %.63s", text_of(region, "name")) > 0) {
            print_standing(what, json_object_get(region, "drained"), out);
        }
        if (snprintf(what, sizeof what, "Approved: %.63s", text_of(region, "name")) > 0) {
            print_standing(what, json_object_get(region, "approved"), out);
        }
        print_drill(region, out);
    }
    if (is_true(journal, "troubled")) {
        dp_text_addf(out,
                     RED "Journal: its disk refuses it" RESET ", %" JSON_INTEGER_FORMAT
                         " lines wait; a restart would forget them\n",
                     json_integer_value(json_object_get(journal, "waiting")));
    }
}

/* Why traffic has not returned yet to a region that is well. */
static void print_gate(const json_t *status, struct dp_text *out)
{
    const char *to = text_of(status, "failback_to");
    const json_t *regions = json_object_get(status, "regions");
    dp_text_addf(out, "Failback: to %.63s when its gate opens\n", to);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        const json_t *gate = json_object_get(region, "gate");
        for (size_t k = 0; strcmp(text_of(region, "name"), to) == 0 && k < json_array_size(gate);
             k++) {
            const json_t *c = json_array_get(gate, k);
            if (strcmp(text_of(c, "state"), "met") != 0) {
                dp_text_addf(out, "  %s is %s: %s\n", text_of(c, "name"), text_of(c, "state"),
                             text_of(c, "reason"));
            }
        }
    }
}

/* Held or not: writes that stay lack nothing at home. */
static bool takes_nothing(const json_t *regions, const char *name)
{
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        if (strcmp(text_of(region, "name"), name) == 0) {
            return strcmp(text_of(region, "health"), "down") == 0 || is_true(region, "draining") ||
                   json_is_object(json_object_get(region, "drained"));
        }
    }
    return false;
}

/* Where all goes to one region there is nothing to say. */
static void print_mode(const json_t *status, struct dp_text *out)
{
    const json_t *regions = json_object_get(status, "regions");
    const char *mode = text_of(status, "mode");
    bool said = false;
    if (strcmp(mode, "active-passive") == 0 || strcmp(mode, "-") == 0) {
        return;
    }
    dp_text_addf(out, "Mode: %s; nearest:", mode);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        const json_t *distance = json_object_get(region, "distance_ms");
        if (is_true(region, "near")) {
            dp_text_addf(out, "%s %.63s", said ? "," : "", text_of(region, "name"));
            if (json_is_number(distance)) {
                dp_text_addf(out, " (%.1f ms)", json_number_value(distance));
            }
            said = true;
        }
    }
    dp_text_addf(out, "%s", said ? "" : " none that is settled; whichever is left");
    if (json_is_false(json_object_get(status, "writes_failover"))) {
        const char *home = text_of(status, "home");
        dp_text_addf(out, "; writes only in %s%s", home,
                     takes_nothing(regions, home) ? ", which takes none now (503)" : "");
    }
    dp_text_addf(out, "\n");
}

/* Of the most preferred region: longer than configured when it fell again and again. */
static double hold_ms(const json_t *status)
{
    const json_t *first = json_array_get(json_object_get(status, "regions"), 0);
    double own = json_number_value(json_object_get(first, "hold_ms"));
    double configured = json_number_value(json_object_get(status, "hold_down_ms"));
    return own > configured ? own : configured;
}

static void print_failback(const json_t *status, struct dp_text *out)
{
    char wait[CELL];
    if (json_is_object(json_object_get(status, "frozen"))) {
        dp_text_addf(out, "Failback: none while frozen, and no failover (davenport unfreeze)\n");
    } else if (is_true(status, "pinned")) {
        dp_text_addf(out, "Failback: none, an operator chose this region; switch again to undo\n");
    } else if (json_is_number(json_object_get(status, "failback_in_s"))) {
        duration_of(status, "failback_in_s", wait, sizeof wait);
        dp_text_addf(out, "Failback: in %s, if the preferred region stays well\n", wait);
    } else if (json_is_string(json_object_get(status, "failback_to"))) {
        print_gate(status, out);
    } else if (strcmp(text_of(status, "failback"), "manual") == 0) {
        dp_text_addf(out, "Failback: by an operator only (davenport switch)\n");
    } else if (json_is_number(json_object_get(status, "hold_down_ms"))) {
        dp_duration_text(hold_ms(status) / 1000, wait, sizeof wait);
        dp_text_addf(out, "Failback: after a preferred region was well for %s%s\n", wait,
                     strcmp(text_of(status, "failback"), "gated") == 0    ? ", when its gate opens"
                     : strcmp(text_of(status, "failback"), "window") == 0 ? ", in a window"
                                                                          : "");
    }
}

/* By a freeze, or because it was forced. */
static bool active_is_down(const json_t *status)
{
    const json_t *regions = json_object_get(status, "regions");
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        if (is_true(region, "active")) {
            return strcmp(text_of(region, "health"), "down") == 0;
        }
    }
    return false;
}

static void print_held(const json_t *totals, struct dp_text *out)
{
    json_int_t held = json_integer_value(json_object_get(totals, "held"));
    if (held > 0) {
        dp_text_addf(
            out,
            YELLOW "Held: %" JSON_INTEGER_FORMAT " %s" RESET " for a region that can take %s\n",
            held, held == 1 ? "request waits" : "requests wait", held == 1 ? "it" : "them");
    }
}

static void print_status(const json_t *status, struct dp_text *out)
{
    const char *active = json_string_value(json_object_get(status, "active"));
    char up[CELL];
    char since[CELL];
    duration_of(status, "uptime_s", up, sizeof up);
    duration_of(status, "active_for_s", since, sizeof since);
    dp_text_addf(out,
                 BOLD "davenport %s" RESET " on %s%s, up %s, pid %" JSON_INTEGER_FORMAT "%s\n\n",
                 text_of(status, "version"), scheme_of(status), text_of(status, "listen"), up,
                 json_integer_value(json_object_get(status, "pid")),
                 is_true(status, "draining") ? ", shutting down" : "");
    print_regions(json_object_get(status, "regions"), out);
    if (active) {
        dp_text_addf(out, "\nTraffic goes to " BOLD "%s" RESET "%s (for %s): %s\n", active,
                     active_is_down(status) ? RED ", which is down" RESET : "", since,
                     text_of(status, "why"));
    } else {
        dp_text_addf(out, "\n" RED "Traffic goes nowhere" RESET " (for %s): %s\n", since,
                     text_of(status, "why"));
    }
    const json_t *ramp = json_object_get(status, "ramp");
    if (json_is_object(ramp)) {
        dp_text_addf(out,
                     "It has just returned and takes %" JSON_INTEGER_FORMAT
                     " %% of the reads so far; the rest goes to %s\n",
                     json_integer_value(json_object_get(ramp, "share_percent")),
                     text_of(ramp, "from"));
    }
    if (is_true(status, "fail_open")) {
        dp_text_addf(out,
                     RED "Every region is lost" RESET
                         ": it is used all the same (no_region.policy %s)\n",
                     text_of(status, "no_region"));
    }
    print_held(json_object_get(status, "totals"), out);
    if (is_true(status, "own_network_doubt")) {
        dp_text_addf(out, RED "Every region is silent at once" RESET
                              ": more likely our own network than theirs; nothing moves, and "
                              "everything is tried on\n");
    }
    print_orders(status, out);
    print_mode(status, out);
    print_failback(status, out);
    const json_t *regions = json_object_get(status, "regions");
    for (size_t i = 0; i < json_array_size(regions); i++) {
        print_region_details(json_array_get(regions, i), out);
    }
    dp_text_addf(out, "Epoch: %" JSON_INTEGER_FORMAT "\n",
                 json_integer_value(json_object_get(status, "epoch")));
}

void dp_status_text(const json_t *status, bool colour, struct dp_text *out)
{
    struct dp_text marked = {0};
    print_status(status, &marked);
    dp_paint(&marked, colour, out);
    dp_text_fini(&marked);
}

static void print_says(const json_t *object, const char *indent, struct dp_text *out)
{
    const json_t *says = json_object_get(object, "says");
    for (size_t i = 0; i < json_array_size(says); i++) {
        const char *text = json_string_value(json_array_get(says, i));
        dp_text_addf(out, "%s%s\n", indent, text ? text : "-");
    }
}

static void print_explain(const json_t *explain, struct dp_text *out)
{
    const json_t *regions = json_object_get(explain, "regions");
    dp_text_addf(out, BOLD "Now" RESET " (epoch %" JSON_INTEGER_FORMAT ")\n",
                 json_integer_value(json_object_get(explain, "epoch")));
    print_says(explain, "  ", out);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        const char *state = text_of(region, "state");
        dp_text_addf(out, "\n%s " BOLD "%s" RESET "  %s%s" RESET "\n",
                     is_true(region, "active") ? ">" : " ", text_of(region, "name"),
                     tint_of(state, false), state);
        print_says(region, "    ", out);
    }
}

void dp_explain_text(const json_t *explain, bool colour, struct dp_text *out)
{
    struct dp_text marked = {0};
    print_explain(explain, &marked);
    dp_paint(&marked, colour, out);
    dp_text_fini(&marked);
}

/* What a region's line in a look says: "ok", "barred, drained", "ok, held". */
static void role_text(const json_t *region, char out[CELL])
{
    cell(out, "%.32s%s%s", text_of(region, "route"), is_true(region, "drained") ? ", drained" : "",
         is_true(region, "held") ? ", held" : "");
}

static const char *word_of(const json_t *look, const char *key, const char *yes, const char *no)
{
    return is_true(look, key) ? yes : no;
}

/* "  name       before -> after"; what stays is left out. */
static unsigned print_change(const char *name, const char *before, const char *after,
                             struct dp_text *out)
{
    if (strcmp(before, after) == 0) {
        return 0;
    }
    dp_text_addf(out, "  %-14s %s -> " BOLD "%s" RESET "\n", name, before, after);
    return 1;
}

static void print_changes(const json_t *order, struct dp_text *out)
{
    const json_t *before = json_object_get(order, "before");
    const json_t *after = json_object_get(order, "after");
    const json_t *regions = json_object_get(before, "regions");
    unsigned n = print_change("traffic", text_of(before, "active"), text_of(after, "active"), out);
    n += print_change("moves", word_of(before, "frozen", "frozen", "by themselves"),
                      word_of(after, "frozen", "frozen", "by themselves"), out);
    n += print_change("pinned", word_of(before, "pinned", "yes", "no"),
                      word_of(after, "pinned", "yes", "no"), out);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        char was[CELL];
        char is[CELL];
        const json_t *region = json_array_get(regions, i);
        role_text(region, was);
        role_text(json_array_get(json_object_get(after, "regions"), i), is);
        n += print_change(text_of(region, "name"), was, is, out);
    }
    if (n == 0) {
        dp_text_addf(out, "  nothing changes but its record\n");
    }
}

static void print_order(const json_t *order, struct dp_text *out)
{
    const char *refused = json_string_value(json_object_get(order, "refused"));
    const char *region = json_string_value(json_object_get(order, "region"));
    const char *reason = json_string_value(json_object_get(order, "reason"));
    const char *kept = text_of(order, "kept");
    bool dry = is_true(order, "dry_run");
    dp_text_addf(out, "%s%s%s%s: ", dry ? "dry run: " : "", text_of(order, "order"),
                 region ? " " : "", region ? region : "");
    if (refused) {
        dp_text_addf(out, RED "would be refused" RESET " (%s): %s\n", refused,
                     text_of(order, "reason"));
        return;
    }
    dp_text_addf(out, "%s (epoch %" JSON_INTEGER_FORMAT ")\n",
                 dry ? "would do this" : GREEN "done" RESET,
                 json_integer_value(json_object_get(order, "epoch")));
    print_changes(order, out);
    if (json_array_size(json_object_get(order, "overridden")) && reason) {
        dp_text_addf(out, YELLOW "  forced, although" RESET " %s\n", reason);
    }
    if (strcmp(kept, "memory") == 0) {
        dp_text_addf(out, YELLOW "  a restart forgets it" RESET ": there is no journal.path\n");
    } else if (strcmp(kept, "pending") == 0) {
        dp_text_addf(out, YELLOW "  not on the disk yet" RESET
                                 ": a restart now would forget it (davenport status tells)\n");
    }
}

void dp_plain_text(const struct dp_text *in, struct dp_text *out)
{
    dp_paint(in, false, out);
}

void dp_order_text(const json_t *order, bool colour, struct dp_text *out)
{
    struct dp_text marked = {0};
    print_order(order, &marked);
    dp_paint(&marked, colour, out);
    dp_text_fini(&marked);
}

void dp_fault_text(const json_t *answer, bool colour, struct dp_text *out)
{
    struct dp_text marked = {0};
    const json_t *fault = json_object_get(answer, "fault");
    char left[CELL];
    duration_of(fault, "left_s", left, sizeof left);
    dp_text_addf(&marked, YELLOW "%s" RESET ": %s, for %s (epoch %" JSON_INTEGER_FORMAT ")\n",
                 text_of(answer, "region"), text_of(fault, "words"), left,
                 json_integer_value(json_object_get(answer, "epoch")));
    dp_paint(&marked, colour, out);
    dp_text_fini(&marked);
}

void dp_heal_text(const json_t *answer, bool colour, struct dp_text *out)
{
    struct dp_text marked = {0};
    const json_t *healed = json_object_get(answer, "healed");
    for (size_t i = 0; i < json_array_size(healed); i++) {
        const char *name = json_string_value(json_array_get(healed, i));
        dp_text_addf(&marked, "%s%s", i ? ", " : "healed: ", name ? name : "-");
    }
    dp_text_addf(&marked, json_array_size(healed) ? "\n" : "nothing was faulty on purpose\n");
    dp_paint(&marked, colour, out);
    dp_text_fini(&marked);
}

static void print_event(const json_t *event, struct dp_text *out)
{
    const char *before = json_string_value(json_object_get(event, "before"));
    const char *after = json_string_value(json_object_get(event, "after"));
    const char *region = json_string_value(json_object_get(event, "region"));
    const char *actor = json_string_value(json_object_get(event, "actor"));
    const char *order = json_string_value(json_object_get(event, "order"));
    const char *until = json_string_value(json_object_get(event, "until"));
    const char *reason = json_string_value(json_object_get(event, "reason"));
    const char *detail = json_string_value(json_object_get(event, "detail"));
    const char *name = text_of(event, "event");
    bool of_all = strcmp(name, "freeze") == 0 || strcmp(name, "unfreeze") == 0;
    dp_text_addf(out, DIM "%s" RESET "  %-12s", text_of(event, "ts"), name);
    if (order) {
        dp_text_addf(out, " %s", order);
    }
    if (region && *region && !of_all) {
        dp_text_addf(out, " %s", region);
    }
    if (before && after && strcmp(before, after) != 0) {
        dp_text_addf(out, " (%s -> %s)", before, after);
    }
    if (actor && strcmp(actor, "governor") != 0) {
        dp_text_addf(out, " by %s", actor);
    }
    if (until && *until) {
        dp_text_addf(out, " until %s", until);
    }
    dp_text_addf(out, reason && *reason ? ": %s" : "%s", reason ? reason : "");
    dp_text_addf(out, detail && *detail ? " (%s)\n" : "%s\n", detail ? detail : "");
}

void dp_event_text(const json_t *event, bool colour, struct dp_text *out)
{
    struct dp_text marked = {0};
    print_event(event, &marked);
    dp_paint(&marked, colour, out);
    dp_text_fini(&marked);
}
