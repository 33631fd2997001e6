/* Faults as they come from outside: as strict in what is read as orders are. */
#include "app/admin_faults.h"

#include "app/admin_orders.h"
#include "app/report_faults.h"

#include <string.h>

#include <jansson.h>

/* Every reader takes its member (never NULL) into `r`; NULL, or what is wrong with it. */

static const char *read_region(const json_t *value, struct dp_fault_request *r)
{
    r->region = json_string_value(value);
    return r->region ? NULL : "region must be a string";
}

static const char *read_reason(const json_t *value, struct dp_fault_request *r)
{
    r->reason = json_string_value(value);
    return r->reason ? NULL : "reason must be a string";
}

static const char *read_kind(const json_t *value, struct dp_fault_request *r)
{
    const char *word = json_string_value(value);
    r->fault.kind = word ? dp_fault_kind_of(dp_span_str(word)) : DP_FAULT_NONE;
    return r->fault.kind != DP_FAULT_NONE ? NULL : "kind must be dark, refused, slow or flaky";
}

/* A whole number from 1 to `most`. */
static bool number_of(const json_t *value, uint32_t most, uint32_t *out)
{
    const json_int_t n = json_integer_value(value);
    *out = (uint32_t)n;
    return json_is_integer(value) && n >= 1 && n <= (json_int_t)most;
}

static const char *read_for(const json_t *value, struct dp_fault_request *r)
{
    return number_of(value, UINT32_MAX, &r->for_ms)
               ? NULL
               : "for_ms must be a whole number of milliseconds, at least 1";
}

static const char *read_delay(const json_t *value, struct dp_fault_request *r)
{
    return number_of(value, DP_FAULT_DELAY_MAX_MS, &r->fault.delay_ms)
               ? NULL
               : "delay_ms must be a whole number of milliseconds, from 1 to 600000";
}

static const char *read_share(const json_t *value, struct dp_fault_request *r)
{
    const double share = json_number_value(value) * DP_FAULT_ALL + 0.5;
    if (!json_is_number(value) || !(share >= 1 && share < DP_FAULT_ALL + 1)) {
        return "share must be a number above 0 and at most 1";
    }
    r->fault.share = (uint32_t)share;
    return NULL;
}

static const char *read_databases(const json_t *value, struct dp_fault_request *r)
{
    size_t i;
    json_t *one;
    bool good = json_array_size(value) > 0;
    json_array_foreach (value, i, one) {
        const struct dp_span pattern = {json_string_value(one), json_string_length(one)};
        good = good && pattern.p && dp_fault_add_database(&r->fault, pattern);
    }
    return good ? NULL
                : "databases must be an array of names or patterns like \"orders*\", without "
                  "commas and of 511 bytes in all";
}

static const struct {
    const char *name;
    const char *(*read)(const json_t *value, struct dp_fault_request *r);
} members[] = {
    {"region", read_region},  {"kind", read_kind},   {"for_ms", read_for},
    {"delay_ms", read_delay}, {"share", read_share}, {"databases", read_databases},
    {"reason", read_reason},
};

static const char *read_member(const char *name, const json_t *value, struct dp_fault_request *r)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(members); i++) {
        if (strcmp(members[i].name, name) == 0) {
            return members[i].read(value, r);
        }
    }
    return "only region, kind, for_ms, delay_ms, share, databases and reason may be given";
}

/* NULL, or what is wrong. What *r points to is the body's. */
static const char *read_fault(json_t *body, struct dp_fault_request *r)
{
    const char *name;
    json_t *value;
    *r = (struct dp_fault_request){.fault = {.share = DP_FAULT_ALL}};
    if (!json_is_object(body)) {
        return "the body must be a JSON object like "
               "{\"region\":\"name\",\"kind\":\"dark\",\"for_ms\":30000}";
    }
    json_object_foreach (body, name, value) {
        const char *wrong = read_member(name, value, r);
        if (wrong) {
            return wrong;
        }
    }
    if (!r->region || r->fault.kind == DP_FAULT_NONE || r->for_ms == 0) {
        return "region, kind and for_ms must be given: a fault ends by itself";
    }
    if ((r->fault.kind == DP_FAULT_SLOW) != (r->fault.delay_ms > 0)) {
        return "delay_ms is for slow, and needed there";
    }
    return NULL;
}

static void send(json_t *root, struct dp_admin_answer *answer)
{
    dp_text_json(&answer->body, root, JSON_COMPACT);
    json_decref(root);
}

/* As it stands now. */
static json_t *fault_in_force(const struct dp_report *r, const char *region)
{
    for (uint16_t i = 0; i < r->status.n_regions; i++) {
        if (strcmp(r->status.regions[i].name, region) == 0) {
            return dp_fault_json(&r->status.regions[i], r->now_wall_ms);
        }
    }
    return json_null();
}

void dp_admin_fault(const struct dp_admin_source *source, const struct dp_admin_request *request,
                    struct dp_admin_answer *answer)
{
    json_t *body = json_loadb(request->body.p ? request->body.p : "", request->body.n,
                              JSON_REJECT_DUPLICATES, NULL);
    struct dp_fault_request r;
    struct dp_fault_result result;
    char actor[DP_ACTOR_TEXT];
    const char *wrong = read_fault(body, &r);
    if (wrong) {
        dp_admin_refuse(answer, 400, "bad_request", wrong);
        goto cleanup;
    }
    dp_admin_actor(request->head, request->peer, actor);
    r.actor = actor;
    if (source->fault(source->ctx, &r, &result) != DP_OK) {
        dp_admin_refuse(answer, 404, "no_such_region", result.why);
        goto cleanup;
    }
    if (result.refusal != DP_FAULT_REFUSAL_NONE) {
        dp_admin_refuse(answer, result.refusal == DP_FAULT_REFUSAL_NOT_ALLOWED ? 403 : 400,
                        dp_fault_refusal_name(result.refusal), result.why);
        goto cleanup;
    }
    struct dp_report report;
    source->report(source->ctx, &report);
    send(json_pack("{s:s, s:s, s:s, s:b, s:I, s:o}", "order", "fault", "region", r.region, "actor",
                   actor, "done", 1, "epoch", (json_int_t)result.epoch, "fault",
                   fault_in_force(&report, r.region)),
         answer);
cleanup:
    json_decref(body);
}

void dp_admin_heal(const struct dp_admin_source *source, const struct dp_admin_request *request,
                   struct dp_span region, struct dp_admin_answer *answer)
{
    struct dp_text name = {0};
    char actor[DP_ACTOR_TEXT];
    uint32_t healed = 0;
    struct dp_report report;
    dp_text_add(&name, region);
    if (name.failed) {
        answer->body.failed = true;
        goto cleanup;
    }
    dp_admin_actor(request->head, request->peer, actor);
    if (source->heal(source->ctx, region.n > 0 ? dp_text_str(&name) : NULL, actor, &healed) !=
        DP_OK) {
        dp_admin_refuse(answer, 404, "no_such_region", "there is no region of this name");
        goto cleanup;
    }
    source->report(source->ctx, &report);
    json_t *names = json_array();
    for (uint16_t i = 0; i < report.status.n_regions; i++) {
        if (healed >> i & 1) {
            (void)json_array_append_new(names, json_string(report.status.regions[i].name));
        }
    }
    send(json_pack("{s:s, s:s, s:b, s:I, s:o}", "order", "heal", "actor", actor, "done", 1, "epoch",
                   (json_int_t)report.status.epoch, "healed", names),
         answer);
cleanup:
    dp_text_fini(&name);
}
