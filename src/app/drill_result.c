/* Facts → JSON. What the objectives measure is read from the load's and the checker's own JSON, so that a report and its
 * verdicts can't tell different stories. */
#include "app/drill_result.h"

#include "davenport/version.h"

#include "app/cli.h"
#include "app/json_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The sum of a member over an array's objects; NAN where there is no array. */
static double sum(const json_t *array, const char *key)
{
    double all = 0;
    size_t i;
    json_t *item;
    if (!json_is_array(array)) {
        return NAN;
    }
    json_array_foreach (array, i, item) {
        all += number(item, key);
    }
    return all;
}

/* ---- what was measured ---- */

/* Of a region that could not be read, its counts say nothing. */
static double sum_of_read(const json_t *regions, const char *key)
{
    size_t i;
    json_t *region;
    json_array_foreach (regions, i, region) {
        if (json_is_false(json_object_get(region, "read"))) {
            return NAN;
        }
    }
    return sum(regions, key);
}

/* Requests of these kinds may be sent again whatever became of them: a PUT of the same bytes on the same revision makes
 * the same revision. */
static bool is_safe(const char *kind)
{
    static const char *const safe[] = {"get", "put", "find", "view"};
    for (size_t i = 0; kind && i < DP_ARRAY_LEN(safe); i++) {
        if (strcmp(kind, safe[i]) == 0) {
            return true;
        }
    }
    return false;
}

static double failed_safe(const json_t *load)
{
    double all = 0;
    double asked = 0;
    size_t i;
    json_t *kind;
    json_array_foreach (json_object_get(load, "kinds"), i, kind) {
        if (is_safe(json_string_value(json_object_get(kind, "kind")))) {
            all += number(kind, "failed");
            asked += number(kind, "requests");
        }
    }
    return asked > 0 ? all : NAN;
}

static double outage_ms(const json_t *load)
{
    double all = 0;
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(load, "outages"), i, one) {
        all += (number(one, "to_s") - number(one, "from_s")) * 1000;
    }
    return all;
}

/* All of them: the list of findings holds the first of each kind only. */
static double other_findings(const json_t *checker)
{
    static const char *const kinds[] = {"denied", "strange", "diverged", "unread"};
    const json_t *found = json_object_get(checker, "found");
    double all = 0;
    for (size_t i = 0; i < DP_ARRAY_LEN(kinds); i++) {
        all += number(found, kinds[i]);
    }
    return all;
}

static void measure(const struct dp_drill_facts *f, double m[DP_OBJECTIVE_COUNT])
{
    const json_t *unknown = json_object_get(f->checker, "unknown");
    const json_t *regions = json_object_get(f->checker, "regions");
    const json_t *feeds = json_object_get(f->checker, "feeds");
    bool wrote = number(f->checker, "acknowledged") > 0;
    bool read = number(f->checker, "reads") > 0;
    for (size_t i = 0; i < DP_OBJECTIVE_COUNT; i++) {
        m[i] = NAN;
    }
    if (number(f->load, "requests") > 0) {
        m[DP_OBJECTIVE_FAILED] = number(f->load, "failed");
        m[DP_OBJECTIVE_FAILED_SAFE] = failed_safe(f->load);
        m[DP_OBJECTIVE_OUTAGE] = outage_ms(f->load);
        m[DP_OBJECTIVE_P99] = number(f->load, "p99_ms");
        m[DP_OBJECTIVE_MAX] = number(f->load, "max_ms");
        m[DP_OBJECTIVE_REROUTE] = dp_judge_reroute_ms(f->judge);
        m[DP_OBJECTIVE_CONFLICTS_TOLD] = sum(json_object_get(f->load, "kinds"), "conflicts");
        m[DP_OBJECTIVE_P99_FAULT] = dp_judge_p99_fault_ms(f->judge);
    }
    /* Of nothing that was written none can be lost, and of nothing that was read nothing is stale: that proves nothing. */
    if (wrote) {
        m[DP_OBJECTIVE_LOST] = sum_of_read(regions, "lost");
        m[DP_OBJECTIVE_DUPLICATED] = sum_of_read(regions, "duplicated");
        m[DP_OBJECTIVE_CONFLICTED] = sum_of_read(regions, "conflicted");
        m[DP_OBJECTIVE_REDELIVERED] = sum(feeds, "redelivered");
        m[DP_OBJECTIVE_MISSED] = sum(feeds, "missed");
    }
    if (wrote && read) {
        m[DP_OBJECTIVE_STALE] = number(f->checker, "stale_reads");
        m[DP_OBJECTIVE_STALE_RETURN] = f->stale_after_return;
    }
    m[DP_OBJECTIVE_UNKNOWN] = number(unknown, "present") + number(unknown, "absent");
    m[DP_OBJECTIVE_CONVERGE] = number(f->checker, "converged_s");
    m[DP_OBJECTIVE_OTHER] = other_findings(f->checker);
}

static json_t *amount(const char *before, double value, const char *unit)
{
    char text[64];
    if (isnan(value)) {
        return json_string("not measured");
    }
    /* three digits say enough of what is measured; whole numbers are counts */
    int digits = value >= 100 || value == floor(value) ? 0 : value >= 10 ? 1 : 2;
    (void)snprintf(text, sizeof text, "%s%.*f%s%s", before, digits, value, *unit ? " " : "", unit);
    return json_string(text);
}

static json_t *objectives_json(const struct dp_drill_facts *f, size_t *missed)
{
    double measured[DP_OBJECTIVE_COUNT];
    struct dp_judgement verdicts[DP_OBJECTIVE_COUNT];
    json_t *array = json_array();
    measure(f, measured);
    size_t n = dp_judge_verdicts(&f->file->plan, measured, verdicts, missed);
    for (size_t i = 0; i < n; i++) {
        const struct dp_drill_objective_info *info = dp_drill_objective_info(verdicts[i].objective);
        json_t *row =
            json_pack("{s:s, s:s, s:o, s:o, s:b}", "name", info->key, "words", info->text, "wanted",
                      amount("at most ", verdicts[i].wanted, info->unit), "measured",
                      amount("", verdicts[i].measured, info->unit), "ok", verdicts[i].ok);
        (void)json_array_append_new(array, row);
    }
    return array;
}

/* ---- the rest ---- */

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* ms with a fraction → s, without a tail of digits. */
static json_t *seconds(double ms)
{
    return json_real(round(ms) / 1000);
}

static json_t *timeline_json(const struct dp_drill_facts *f)
{
    json_t *array = json_array();
    for (size_t i = 0; i < f->n_entries; i++) {
        const struct dp_drill_entry *e = &f->entries[i];
        json_t *row =
            json_pack("{s:o, s:o, s:s, s:s, s:o, s:s}", "at_s", seconds(e->at_ms), "until_s",
                      e->until_ms < 0 ? json_null() : seconds(e->until_ms), "what", e->what, "name",
                      e->name, "region", text_or_null(e->region), "detail", e->detail);
        (void)json_array_append_new(array, row);
    }
    return array;
}

/* "2026-11-22T21:03:04.567Z" → ms since 1970; NAN: it is none. */
static double wall_ms(const char *text)
{
    struct tm tm = {0};
    int year, month, ms;
    if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &year, &month, &tm.tm_mday,
                        &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) != 7) {
        return NAN;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    return (double)timegm(&tm) * 1000 + ms;
}

static json_t *decisions_json(const struct dp_drill_facts *f)
{
    json_t *array = json_array();
    size_t i;
    json_t *event;
    json_array_foreach (f->events, i, event) {
        double at_ms =
            wall_ms(json_string_value(json_object_get(event, "ts"))) - (double)f->started_wall_ms;
        const json_t *before = json_object_get(event, "before");
        const json_t *after = json_object_get(event, "after");
        bool moved = json_is_string(before) && json_is_string(after) && !json_equal(before, after);
        if (isnan(at_ms) || at_ms < 0) { /* of the drill, and of nothing before */
            continue;
        }
        json_t *row =
            json_pack("{s:o, s:O*, s:O*, s:O*, s:O*, s:O*, s:O*}", "at_s", seconds(at_ms), "epoch",
                      json_object_get(event, "epoch"), "event", json_object_get(event, "event"),
                      "region", json_object_get(event, "region"), "from", moved ? before : NULL,
                      "to", moved ? after : NULL, "reason", json_object_get(event, "reason"));
        (void)json_array_append_new(array, row);
    }
    return array;
}

bool dp_drill_events_add(json_t **all, const json_t *more, size_t full)
{
    size_t n = json_array_size(more);
    size_t first = n;
    if (!*all && !(*all = json_array())) {
        return false;
    }
    size_t had = json_array_size(*all);
    const json_t *last = had ? json_array_get(*all, had - 1) : NULL;
    while (first > 0 && !json_equal(json_array_get(more, first - 1), last)) {
        first--;
    }
    bool gap = first == 0 && n >= full;
    for (size_t i = first; i < n; i++) {
        gap = json_array_append(*all, json_array_get(more, i)) != 0 || gap;
    }
    return !gap;
}

static json_t *environment_json(const struct dp_drill_facts *f)
{
    const struct dp_drill_plan *plan = &f->file->plan;
    struct utsname name;
    json_t *regions = json_array();
    if (uname(&name) != 0) {
        memset(&name, 0, sizeof name);
    }
    for (uint16_t i = 0; i < plan->n_regions; i++) {
        (void)json_array_append_new(regions, json_pack("{s:s, s:s}", "name", plan->regions[i].name,
                                                       "url", plan->regions[i].url));
    }
    char kernel[sizeof name.sysname + sizeof name.release + 2];
    (void)snprintf(kernel, sizeof kernel, "%s %s", name.sysname, name.release);
    return json_pack("{s:s, s:s, s:I, s:{s:s, s:o}, s:o}", "host", name.nodename, "kernel", kernel,
                     "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "proxy", "url",
                     plan->proxy_url, "version", text_or_null(f->proxy_version), "regions",
                     regions);
}

static const char *verdict_word(enum dp_drill_verdict v)
{
    switch (v) {
    case DP_DRILL_PASSED:
        return "passed";
    case DP_DRILL_MISSED:
        return "missed";
    case DP_DRILL_ABORTED:
    case DP_DRILL_INTERRUPTED:
        return "aborted";
    case DP_DRILL_FAILED:
    case DP_DRILL_NOT_HEALED:
        break;
    }
    return "failed";
}

static void put(json_t *root, const char *key, json_t *value)
{
    (void)json_object_set_new(root, key, value);
}

static void put_from(json_t *root, const json_t *source, const char *key)
{
    json_t *value = json_object_get(source, key);
    put(root, key, value ? json_incref(value) : json_null());
}

json_t *dp_drill_result(const struct dp_drill_facts *f, enum dp_drill_verdict *verdict)
{
    const struct dp_drill_plan *plan = &f->file->plan;
    unsigned refused = dp_json_memory_refused();
    char started[DP_TIME_TEXT];
    size_t missed;
    json_t *root = json_object();
    json_t *objectives = objectives_json(f, &missed);
    *verdict = f->verdict;
    if (f->verdict == DP_DRILL_PASSED && missed > 0) {
        *verdict = DP_DRILL_MISSED;
    }
    dp_time_text(f->started_wall_ms, started);
    put(root, "format", json_integer(1));
    put(root, "version", json_string(DP_VERSION));
    put(root, "name", json_string(plan->name));
    put(root, "description", json_string(plan->description ? plan->description : ""));
    put(root, "started", json_string(started));
    put(root, "seconds", seconds(f->seconds * 1000));
    put(root, "verdict", json_string(verdict_word(*verdict)));
    put(root, "aborted",
        f->why ? json_pack("{s:o, s:s}", "at_s", seconds(f->ended_ms), "why", f->why)
               : json_null());
    put(root, "plan", json_incref(f->file->shown));
    put(root, "environment", environment_json(f));
    put(root, "objectives", objectives);
    put(root, "timeline", timeline_json(f));
    put(root, "decisions", decisions_json(f));
    put_from(root, f->load, "requests");
    put_from(root, f->load, "ok");
    put_from(root, f->load, "failed");
    put_from(root, f->load, "p50_ms");
    put_from(root, f->load, "p99_ms");
    put_from(root, f->load, "max_ms");
    put_from(root, f->load, "lag_p99_ms");
    put_from(root, f->load, "series");
    put_from(root, f->load, "kinds");
    put_from(root, f->load, "outages");
    put(root, "checker", f->checker ? json_incref((json_t *)(uintptr_t)f->checker) : json_null());
    if (dp_json_memory_refused() != refused) {
        json_decref(root);
        return NULL;
    }
    return root;
}

int dp_drill_exit_code(enum dp_drill_verdict v)
{
    switch (v) {
    case DP_DRILL_PASSED:
        return DP_EXIT_OK;
    case DP_DRILL_MISSED:
        return DP_EXIT_FAILED;
    case DP_DRILL_ABORTED:
        return DP_EXIT_ABORTED;
    case DP_DRILL_FAILED:
        return DP_EXIT_NOT_DONE;
    case DP_DRILL_NOT_HEALED:
        return DP_EXIT_NOT_HEALED;
    case DP_DRILL_INTERRUPTED:
        break;
    }
    return DP_EXIT_INTERRUPTED;
}
