/* A plan's steps: which keys each may have, what it needs of its region, and what it is in order of time. */
#include "app/config_table.h"
#include "app/drill_plan_private.h"
#include "app/relay_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES_MAX DP_DRILL_STEPS

/* A step as it stands in the file: what is repeated is one there. */
struct raw_step {
    struct dp_drill_step step;
    const char *what, *region;
    uint64_t times, every_ms;
};

#define STEP(field) offsetof(struct raw_step, field)

static const struct plan_row step_rows[] = {
    {"at_s", T_MS, true, STEP(step.at_ms), 0, PLAN_SECONDS, "seconds since the load began"},
    {"do", T_TEXT, true, STEP(what), DP_CHECK_ANY, 0, "what is done; see below"},
    {"region", T_TEXT, false, STEP(region), DP_CHECK_NAME, 0, "with whom"},
    {"for_s", T_MS, false, STEP(step.for_ms), 0.001, PLAN_SECONDS,
     "undone after so long (default: when the load is over)"},
    {"times", T_WHOLE, false, STEP(times), 1, TIMES_MAX, "so often (default: 1) …"},
    {"every_s", T_MS, false, STEP(every_ms), 0.001, PLAN_SECONDS,
     "… from one beginning to the next"},
    {"run", T_TEXT, false, STEP(step.run), DP_CHECK_ANY, 0, "run: the command"},
    {"undo", T_TEXT, false, STEP(step.undo), DP_CHECK_ANY, 0, "run: the command that undoes it"},
    {"fault", T_OTHER, false, 0, 0, 0, "relay: what PUT /fault takes, without for_ms"},
    {"delay_ms", T_WHOLE, false, STEP(step.delay_ms), 1, 600000, "slow: so much later"},
    {"share", T_NUMBER, false, STEP(step.share), 0.001, 1,
     "dark, refused, slow, flaky: of the attempts there, up to 1 (default: 1)"},
    {"databases", T_OTHER, false, 0, 0, 0, "dark, refused, slow, flaky: only there (patterns)"},
    {"name", T_TEXT, false, STEP(step.name), DP_CHECK_ANY, 0,
     "in the report (default: do and region)"},
};

/* Steps --------------------------------------------------------------------------------------- */

static bool find_do(const char *word, enum dp_drill_do *out)
{
    for (enum dp_drill_do d = 0; d < DP_DRILL_DO_COUNT; d++) {
        if (strcmp(dp_drill_do_info(d)->word, word) == 0) {
            *out = d;
            return true;
        }
    }
    return false;
}

static void read_databases(struct plan_parser *p, const json_t *array, const char *shown,
                           struct dp_drill_step *step)
{
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n < 1 || n > DP_DRILL_DATABASES) {
        dp_problem(p->problems, shown, "must be an array of 1 to %d patterns", DP_DRILL_DATABASES);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char item[PLAN_SHOWN];
        plan_item(shown, i, item);
        step->databases[i] = plan_text(p, json_array_get(array, i), DP_CHECK_ANY, item);
    }
    step->n_databases = (uint16_t)n;
}

/* As PUT /fault takes it. */
static void read_fault(struct plan_parser *p, const json_t *fault, const char *shown,
                       struct dp_drill_step *step)
{
    struct dp_relay_fault read;
    uint64_t for_ms;
    char why[DP_RELAY_WHY] = "must be an object";
    char *text = json_dumps(fault, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text || !dp_relay_fault_read(dp_span_str(text), &read, &for_ms, why)) {
        dp_problem(p->problems, shown, "%s", text ? why : "out of memory");
    } else if (for_ms != 0) {
        dp_problem(p->problems, shown, "for_ms is not for a plan: the step has for_s");
    } else {
        step->fault_kind = dp_relay_fault_name(read.kind);
        step->fault = plan_keep(p, text);
        if (!step->fault) {
            dp_problem(p->problems, shown, "out of memory");
        }
    }
    free(text);
}

#define FAULTS                                                                                     \
    (1U << DP_DRILL_DARK | 1U << DP_DRILL_REFUSED | 1U << DP_DRILL_SLOW | 1U << DP_DRILL_FLAKY)

/* Which keys a step may and must have, by what it does. */
static void check_keys(struct plan_parser *p, const json_t *object, enum dp_drill_do what,
                       const char *shown)
{
    static const struct {
        const char *key;
        unsigned may, must; /* bits of enum dp_drill_do */
    } rules[] = {
        {"run", 1U << DP_DRILL_RUN, 1U << DP_DRILL_RUN},
        {"undo", 1U << DP_DRILL_RUN, 0},
        {"fault", 1U << DP_DRILL_RELAY_FAULT, 1U << DP_DRILL_RELAY_FAULT},
        {"delay_ms", 1U << DP_DRILL_SLOW, 1U << DP_DRILL_SLOW},
        {"share", FAULTS, 1U << DP_DRILL_FLAKY},
        {"databases", FAULTS, 0},
    };
    char key[PLAN_SHOWN];
    for (size_t i = 0; i < DP_ARRAY_LEN(rules); i++) {
        bool there = json_object_get(object, rules[i].key) != NULL;
        plan_join(shown, rules[i].key, key);
        if (there && !(rules[i].may & 1U << what)) {
            dp_problem(p->problems, key, "is not for \"%s\"", dp_drill_do_info(what)->word);
        } else if (!there && rules[i].must & 1U << what) {
            dp_problem(p->problems, key, "missing: \"%s\" needs it", dp_drill_do_info(what)->word);
        }
    }
}

/* What the step's region, or the proxy, must offer for it. */
static void check_means(struct plan_parser *p, const struct dp_drill_step *s, const char *shown)
{
    const struct dp_drill_do_info *info = dp_drill_do_info(s->what);
    const struct dp_plan_region *r =
        s->region == DP_DRILL_NO_REGION ? NULL : &p->plan->regions[s->region];
    if ((info->means == DP_DRILL_FAULT || info->means == DP_DRILL_ORDER) && !p->plan->proxy_admin) {
        dp_problem(p->problems, "proxy.admin", "missing: %s (\"%s\") needs it", shown, info->word);
    }
    if (!r) {
        return;
    }
    const char *lacks = NULL;
    if (s->what == DP_DRILL_STOP) {
        lacks = !r->stop ? "stop" : !r->start ? "start" : NULL;
    } else if (s->what == DP_DRILL_FREEZE) {
        lacks = !r->freeze ? "freeze" : !r->thaw ? "thaw" : NULL;
    } else if (s->what == DP_DRILL_RELAY_FAULT && !r->relay) {
        lacks = "relay";
    }
    if (lacks) {
        char key[PLAN_SHOWN];
        (void)snprintf(key, sizeof key, "regions[%u].%s", (unsigned)s->region, lacks);
        dp_problem(p->problems, key, "missing: %s (\"%s\") needs it", shown, info->word);
    }
}

static void find_region(struct plan_parser *p, const struct raw_step *raw, const char *shown,
                        uint16_t *out)
{
    char key[PLAN_SHOWN];
    plan_join(shown, "region", key);
    *out = DP_DRILL_NO_REGION;
    for (uint16_t i = 0; raw->region && i < p->plan->n_regions; i++) {
        if (p->plan->regions[i].name && strcmp(p->plan->regions[i].name, raw->region) == 0) {
            *out = i;
        }
    }
    if (raw->region && *out == DP_DRILL_NO_REGION) {
        dp_problem(p->problems, key, "regions has none of that name");
    } else if (!raw->region && dp_drill_do_info(raw->step.what)->region) {
        dp_problem(p->problems, key, "missing: \"%s\" needs it",
                   dp_drill_do_info(raw->step.what)->word);
    }
}

/* "stop left", unless the plan has a better one. */
static void name_step(struct plan_parser *p, struct raw_step *raw)
{
    char name[PLAN_SHOWN];
    if (raw->step.name) {
        return;
    }
    (void)snprintf(name, sizeof name, "%s%s%s",
                   raw->step.fault_kind ? raw->step.fault_kind : raw->what, raw->region ? " " : "",
                   raw->region ? raw->region : "");
    raw->step.name = plan_keep(p, name);
    if (!raw->step.name) {
        dp_problem(p->problems, "", "out of memory");
    }
}

/* Each repetition is a step of its own. */
static void add_step(struct plan_parser *p, const struct raw_step *raw, size_t place,
                     const char *shown)
{
    const struct dp_drill_plan *plan = p->plan;
    for (uint64_t i = 0; i < raw->times; i++) {
        struct dp_drill_step s = raw->step;
        s.at_ms += i * raw->every_ms;
        if (plan->n_steps == DP_DRILL_STEPS) {
            dp_problem(p->problems, shown,
                       "is one step too many: there may be %d, each repetition counts",
                       DP_DRILL_STEPS);
            return;
        }
        uint64_t end = plan->load.seconds * 1000;
        if (s.at_ms >= end || (s.for_ms != DP_DRILL_TO_END && s.at_ms + s.for_ms > end)) {
            dp_problem(p->problems, shown, "lasts longer than the load (load.seconds: %llu)",
                       (unsigned long long)plan->load.seconds);
            return;
        }
        /* in order of their beginnings; those of the same moment as they stand in the file */
        size_t k = p->plan->n_steps++;
        for (; k > 0 && plan->steps[k - 1].at_ms > s.at_ms; k--) {
            p->plan->steps[k] = plan->steps[k - 1];
            p->source[k] = p->source[k - 1];
        }
        p->plan->steps[k] = s;
        p->source[k] = (uint16_t)place;
    }
}

static void read_step(struct plan_parser *p, const json_t *object, size_t i)
{
    char shown[PLAN_SHOWN];
    char key[PLAN_SHOWN];
    struct raw_step raw = {.times = 1, .step.for_ms = DP_DRILL_TO_END};
    unsigned errors = p->problems->errors;
    plan_item("steps", i, shown);
    if (!PLAN_READ(p, object, step_rows, shown, &raw) || !raw.what) {
        return;
    }
    if (!find_do(raw.what, &raw.step.what)) {
        plan_join(shown, "do", key);
        dp_problem(p->problems, key, "is none of what a step can do (davenport help plan)");
        return;
    }
    check_keys(p, object, raw.step.what, shown);
    find_region(p, &raw, shown, &raw.step.region);
    check_means(p, &raw.step, shown);
    if (json_object_get(object, "databases")) {
        plan_join(shown, "databases", key);
        read_databases(p, json_object_get(object, "databases"), key, &raw.step);
    }
    if (raw.step.what == DP_DRILL_RELAY_FAULT && json_object_get(object, "fault")) {
        plan_join(shown, "fault", key);
        read_fault(p, json_object_get(object, "fault"), key, &raw.step);
    }
    if (raw.times > 1 && raw.every_ms == 0) {
        plan_join(shown, "every_s", key);
        dp_problem(p->problems, key, "missing: times needs it");
    }
    if (p->problems->errors == errors) {
        name_step(p, &raw);
        add_step(p, &raw, i, shown);
    }
}

void plan_steps(struct plan_parser *p, const json_t *array)
{
    if (!json_is_array(array)) {
        dp_problem(p->problems, "steps", "must be an array, not %s", dp_config_type_name(array));
        return;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        read_step(p, json_array_get(array, i), i);
    }
}

/* Would the undo of one end the other, too? The proxy has one fault a region, a relay one of a kind. */
static bool collide(const struct dp_drill_step *a, const struct dp_drill_step *b)
{
    enum dp_drill_means means = dp_drill_do_info(a->what)->means;
    bool over = a->for_ms != DP_DRILL_TO_END && a->at_ms + a->for_ms <= b->at_ms;
    if (over || a->what == DP_DRILL_RUN || a->region != b->region ||
        means != dp_drill_do_info(b->what)->means) {
        return false;
    }
    return means != DP_DRILL_RELAY || strcmp(a->fault_kind, b->fault_kind) == 0;
}

void plan_check_overlaps(struct plan_parser *p)
{
    const struct dp_drill_plan *plan = p->plan;
    for (uint16_t i = 0; i < plan->n_steps; i++) {
        for (uint16_t k = (uint16_t)(i + 1); k < plan->n_steps; k++) {
            char shown[PLAN_SHOWN];
            if (collide(&plan->steps[i], &plan->steps[k])) {
                plan_item("steps", p->source[k], shown);
                dp_problem(p->problems, shown,
                           "begins before steps[%u] has been undone in that region",
                           (unsigned)p->source[i]);
            }
        }
    }
}

void plan_steps_help(struct dp_text *out)
{
    plan_help_rows(out, "steps[]", step_rows, DP_ARRAY_LEN(step_rows));
}
