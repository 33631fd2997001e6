/* JSON document → struct dp_drill_plan, by the tables below and that of drill_plan_steps.c. What a key says by itself is checked as it
 * is read (drill_plan_keys.c), what keys say together at the end (check_whole). */
#include "davenport/drill/judge.h"

#include "app/drill_plan_private.h"
#include "app/json_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_BYTES_MAX ((size_t)1024 * 1024)
#define NUMBER_MAX     1e9

#define PLAN(field)   offsetof(struct dp_drill_plan, field)
#define REGION(field) offsetof(struct dp_plan_region, field)
#define LOAD(field)   offsetof(struct dp_drill_load, field)

static const struct plan_row root_rows[] = {
    {"name", T_TEXT, true, PLAN(name), DP_CHECK_ANY, 0, "what the drill is called"},
    {"description", T_TEXT, false, PLAN(description), DP_CHECK_ANY, 0, "for the report's readers"},
    {"proxy", T_OTHER, true, 0, 0, 0, "whom the load goes to"},
    {"regions", T_OTHER, true, 0, 0, 0, "what stands behind it"},
    {"database", T_TEXT, false, PLAN(database), DP_CHECK_DATABASE, 0,
     "made for the drill and dropped after it, unless it is there already (default: drill)"},
    {"replicate", T_BOOL, false, PLAN(replicate), 0, 0,
     "let the regions replicate it each way while the drill lasts (default: true)"},
    {"load", T_OTHER, false, 0, 0, 0, "the requests"},
    {"steps", T_OTHER, false, 0, 0, 0, "what is broken, and when"},
    {"converge_s", T_WHOLE, false, PLAN(converge_s), 1, 3600,
     "so long the regions may take to agree after the load (default: 60)"},
    {"hook_s", T_WHOLE, false, PLAN(hook_s), 1, 600, "so long a command may take (default: 30)"},
    {"abort", T_OTHER, false, 0, 0, 0, "when the drill gives itself up"},
    {"objectives", T_OTHER, false, 0, 0, 0, "what is wanted: at most so much"},
};
static const struct plan_row proxy_rows[] = {
    {"url", T_TEXT, true, PLAN(proxy_url), DP_CHECK_URL, 0, "what applications are told"},
    {"admin", T_TEXT, false, PLAN(proxy_admin), DP_CHECK_ADMIN_CLIENT, 0,
     "where its operators connect (unix:PATH, 127.0.0.1:8985, https://HOST:PORT); without it, it "
     "need not be a Davenport"},
    {"token_file", T_TEXT, false, PLAN(admin_token_file), DP_CHECK_FILE, 0,
     "of admin: holds a token of role operator, where one is asked for"},
    {"ca_file", T_TEXT, false, PLAN(admin_ca_file), DP_CHECK_FILE, 0,
     "of admin, https: whom to trust instead of the system's authorities"},
    {"username", T_TEXT, false, PLAN(username), DP_CHECK_USERNAME, 0, "Basic, of the load"},
    {"password", T_TEXT, false, PLAN(password), DP_CHECK_ANY, 0,
     "better as ${env:NAME} or ${file:PATH}"},
};
static const struct plan_row region_rows[] = {
    {"name", T_TEXT, true, REGION(name), DP_CHECK_NAME, 0, "as the proxy calls it"},
    {"url", T_TEXT, true, REGION(url), DP_CHECK_URL, 0,
     "past the proxy: where the database is prepared and writes are looked up"},
    {"username", T_TEXT, false, REGION(username), DP_CHECK_USERNAME, 0,
     "Basic; must be allowed to make databases"},
    {"password", T_TEXT, false, REGION(password), DP_CHECK_ANY, 0, "likewise"},
    {"peer_url", T_TEXT, false, REGION(peer_url), DP_CHECK_URL, 0,
     "how the other regions reach it, to replicate (default: url)"},
    {"stop", T_TEXT, false, REGION(stop), DP_CHECK_ANY, 0, "command for sh -c that stops it"},
    {"start", T_TEXT, false, REGION(start), DP_CHECK_ANY, 0,
     "command that starts it again, and returns"},
    {"freeze", T_TEXT, false, REGION(freeze), DP_CHECK_ANY, 0,
     "command that freezes it (kill -STOP)"},
    {"thaw", T_TEXT, false, REGION(thaw), DP_CHECK_ANY, 0, "command that lets it go on"},
    {"relay", T_TEXT, false, REGION(relay), DP_CHECK_ADMIN, 0,
     "admin address of the relay in front of it (davenport relay --admin)"},
};
static const struct plan_row load_rows[] = {
#define DP_DRILL_UINT(field, key, fallback, min, max, text)                                        \
    {key, T_WHOLE, false, LOAD(field), min, max, text " (default: " #fallback ")"},
#include "davenport/drill/plan.def"
    {"region_header", T_TEXT, false, LOAD(region_header), DP_CHECK_TOKEN, 0,
     "of answers: names the region that gave them (default: Davenport-Region)"},
    {"mix", T_OTHER, false, 0, 0, 0, "weights of the kinds of request:"},
};
static const struct plan_row abort_rows[] = {
    {"failed_percent", T_NUMBER, false, PLAN(abort.failed_percent), 0, 100,
     "more of the requests that ended within window_s failed"},
    {"p99_ms", T_NUMBER, false, PLAN(abort.p99_ms), 0, NUMBER_MAX,
     "the p99 of each second of window_s was above"},
    {"window_s", T_WHOLE, false, PLAN(abort.window_s), 1, 60, "(default: 5)"},
};
static const struct plan_row objective_rows[] = {
#define DP_DRILL_OBJECTIVE(code, key, unit, text)                                                  \
    {key, T_NUMBER, false, PLAN(objectives[DP_OBJECTIVE_##code]), 0, NUMBER_MAX, text},
#include "davenport/drill/plan.def"
};

/* By what stands there: a variable that is not set has been told already. */
static void check_login(struct plan_parser *p, const json_t *object, const char *shown)
{
    if (!json_object_get(object, "username") != !json_object_get(object, "password")) {
        dp_problem(p->problems, shown, "username and password need each other");
    }
}

static void read_regions(struct plan_parser *p, const json_t *array)
{
    char shown[PLAN_SHOWN];
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n < 1 || n > DP_DRILL_REGIONS) {
        dp_problem(p->problems, "regions", "must be an array of 1 to %d regions", DP_DRILL_REGIONS);
        return;
    }
    p->plan->n_regions = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        plan_item("regions", i, shown);
        (void)PLAN_READ(p, json_array_get(array, i), region_rows, shown, &p->plan->regions[i]);
        check_login(p, json_array_get(array, i), shown);
    }
}

static void read_mix(struct plan_parser *p, const json_t *object)
{
    char shown[PLAN_SHOWN];
    unsigned sum = 0;
    if (!json_is_object(object)) {
        dp_problem(p->problems, "load.mix", "must be an object, not %s",
                   dp_config_type_name(object));
        return;
    }
    memset(p->plan->load.weights, 0, sizeof p->plan->load.weights);
    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        static const struct plan_row weight = {.type = T_WHOLE, .max = 1000};
        enum dp_load_kind kind;
        double n;
        const char *key = json_object_iter_key(it);
        plan_join("load.mix", key, shown);
        if (strcmp(key, "$comment") == 0) {
            continue;
        }
        if (!dp_load_kind_find(key, &kind)) {
            dp_problem(p->problems, shown, "is no kind of request");
        } else if (plan_number(p, &weight, json_object_iter_value(it), shown, &n)) {
            p->plan->load.weights[kind] = (unsigned)n;
            sum += (unsigned)n;
        }
    }
    if (sum == 0) {
        dp_problem(p->problems, "load.mix", "must give at least one kind a weight");
    }
}

static void read_load(struct plan_parser *p, const json_t *object)
{
    if (PLAN_READ(p, object, load_rows, "load", &p->plan->load) && json_object_get(object, "mix")) {
        read_mix(p, json_object_get(object, "mix"));
    }
}

/* The whole ----------------------------------------------------------------------------------- */

static void check_regions(struct plan_parser *p)
{
    const struct dp_drill_plan *plan = p->plan;
    for (uint16_t i = 0; i < plan->n_regions; i++) {
        char shown[PLAN_SHOWN];
        plan_item("regions", i, shown);
        const struct dp_plan_region *r = &plan->regions[i];
        for (uint16_t k = 0; k < i; k++) {
            const char *other = plan->regions[k].name;
            if (r->name && other && strcmp(r->name, other) == 0) {
                dp_problem(p->problems, shown, "has the name of regions[%u]", (unsigned)k);
            }
        }
    }
}

static void check_whole(struct plan_parser *p)
{
    const struct dp_drill_plan *plan = p->plan;
    check_regions(p);
    plan_check_overlaps(p);
    if (plan->load.ramp_s >= plan->load.seconds) {
        dp_problem(p->problems, "load.ramp_s", "must be less than load.seconds");
    }
    if (plan->abort.failed_percent >= 0 &&
        plan->load.rate * plan->abort.window_s < DP_JUDGE_LEAST) {
        dp_problem(
            p->problems, "abort.window_s",
            "must be longer: at %llu requests/s fewer than %d end in it, and so few say nothing",
            (unsigned long long)plan->load.rate, DP_JUDGE_LEAST);
    }
    if (plan->load.documents <= plan->load.connections) {
        dp_problem(p->problems, "load.documents",
                   "must be more than load.connections: a document has one writer at a time");
    }
    if (plan->load.longpoll + plan->load.continuous == 0 &&
        (plan->objectives[DP_OBJECTIVE_MISSED] >= 0 ||
         plan->objectives[DP_OBJECTIVE_REDELIVERED] >= 0)) {
        dp_problem(p->problems, "objectives",
                   "missed and redelivered need load.longpoll or load.continuous");
    }
}

static void set_defaults(struct dp_drill_plan *plan)
{
    static const unsigned mix[DP_LOAD_KINDS] = {
        [DP_LOAD_GET] = 60, [DP_LOAD_PUT] = 20, [DP_LOAD_POST] = 5,       [DP_LOAD_BULK] = 4,
        [DP_LOAD_FIND] = 4, [DP_LOAD_VIEW] = 5, [DP_LOAD_ATTACHMENT] = 2,
    };
    *plan = (struct dp_drill_plan){.database = "drill",
                                   .replicate = true,
                                   .converge_s = 60,
                                   .hook_s = 30,
                                   .load.region_header = "Davenport-Region",
                                   .abort = {DP_DRILL_UNSET, DP_DRILL_UNSET, 5}};
#define DP_DRILL_UINT(field, key, fallback, min, max, text) plan->load.field = (fallback);
#include "davenport/drill/plan.def"
    memcpy(plan->load.weights, mix, sizeof mix);
    for (size_t i = 0; i < DP_OBJECTIVE_COUNT; i++) {
        plan->objectives[i] = DP_DRILL_UNSET;
    }
    /* What nobody thought of is never fine unasked. */
    plan->objectives[DP_OBJECTIVE_OTHER] = 0;
}

static void hide_password(json_t *object)
{
    if (json_object_get(object, "password")) {
        (void)json_object_set_new(object, "password", json_string("***"));
    }
}

static void hide_secrets(json_t *root)
{
    size_t i;
    json_t *region;
    hide_password(json_object_get(root, "proxy"));
    json_array_foreach (json_object_get(root, "regions"), i, region) {
        hide_password(region);
    }
}

enum dp_err dp_plan_parse(const struct dp_config_source *source, struct dp_problems *problems,
                          struct dp_plan_file **out)
{
    unsigned refused = dp_json_memory_refused();
    json_t *root = dp_config_json(source->text, problems);
    struct dp_plan_file *file = calloc(1, sizeof *file);
    unsigned errors = problems->errors;
    if (!root || !file) {
        if (root) {
            dp_problem(problems, "", "out of memory");
        }
        json_decref(root);
        free(file);
        return DP_EINVAL;
    }
    struct plan_parser p = {
        .file = file, .plan = &file->plan, .problems = problems, .folder = source->folder};
    dp_arena_init(&file->arena, NULL);
    set_defaults(p.plan);
    (void)PLAN_READ(&p, root, root_rows, "", p.plan);
    const json_t *part = json_object_get(root, "proxy");
    if (part) {
        (void)PLAN_READ(&p, part, proxy_rows, "proxy", p.plan);
        check_login(&p, part, "proxy");
    }
    part = json_object_get(root, "regions");
    if (part) {
        read_regions(&p, part);
    }
    part = json_object_get(root, "load");
    if (part) {
        read_load(&p, part);
    }
    part = json_object_get(root, "abort");
    if (part) {
        (void)PLAN_READ(&p, part, abort_rows, "abort", p.plan);
    }
    part = json_object_get(root, "objectives");
    if (part) {
        (void)PLAN_READ(&p, part, objective_rows, "objectives", p.plan);
    }
    part = json_object_get(root, "steps");
    if (part) {
        plan_steps(&p, part);
    }
    check_whole(&p);
    file->shown = root;
    hide_secrets(root);
    if (dp_json_memory_refused() != refused) {
        dp_problem(problems, "", "out of memory"); /* so a password may stand in `shown` yet */
    }
    if (problems->errors > errors) {
        dp_plan_destroy(file);
        return DP_EINVAL;
    }
    *out = file;
    return DP_OK;
}

enum dp_err dp_plan_load(const char *path, struct dp_problems *problems, struct dp_plan_file **out)
{
    struct dp_config_file file;
    enum dp_err err = dp_config_file_read(&file, path, PLAN_BYTES_MAX, problems);
    if (err == DP_OK) {
        err = dp_plan_parse(&file.source, problems, out);
    }
    dp_config_file_fini(&file);
    return err;
}

void dp_plan_destroy(struct dp_plan_file *f)
{
    if (!f) {
        return;
    }
    json_decref(f->shown);
    dp_arena_reset(&f->arena);
    free(f);
}

/* Help ---------------------------------------------------------------------------------------- */

void plan_help_rows(struct dp_text *out, const char *section, const struct plan_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char key[PLAN_SHOWN];
        (void)snprintf(key, sizeof key, "%s%s%s", section, *section ? "." : "", rows[i].key);
        dp_text_addf(out, "  %-29s %s%s\n", key, rows[i].text,
                     rows[i].required ? " (required)" : "");
    }
}

void dp_plan_help(struct dp_text *out)
{
    dp_text_addf(out,
                 "The plan is one JSON object; a string may hold ${env:NAME} and ${file:PATH}; "
                 "\"$comment\" may stand in any object.\n\n");
    plan_help_rows(out, "", root_rows, DP_ARRAY_LEN(root_rows));
    plan_help_rows(out, "proxy", proxy_rows, DP_ARRAY_LEN(proxy_rows));
    plan_help_rows(out, "regions[]", region_rows, DP_ARRAY_LEN(region_rows));
    plan_help_rows(out, "load", load_rows, DP_ARRAY_LEN(load_rows));
    dp_text_addf(out, "  %-29s", "");
    for (enum dp_load_kind k = 0; k < DP_LOAD_TARGET; k++) {
        dp_text_addf(out, "%s%s", k ? ", " : " ", dp_load_kind_name(k));
    }
    dp_text_addf(out, "\n");
    plan_steps_help(out);
    plan_help_rows(out, "abort", abort_rows, DP_ARRAY_LEN(abort_rows));
    plan_help_rows(out, "objectives", objective_rows, DP_ARRAY_LEN(objective_rows));
    dp_text_addf(out, "\nWhat a step may do:\n");
    for (enum dp_drill_do d = 0; d < DP_DRILL_DO_COUNT; d++) {
        dp_text_addf(out, "  %-10s %s\n", dp_drill_do_info(d)->word, dp_drill_do_info(d)->text);
    }
}
