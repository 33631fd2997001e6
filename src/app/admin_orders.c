/* Orders from outside: strict in what is read (an unknown key is a typing error that could cost an outage), and told
 * in full, before and after. */
#include "app/admin_orders.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define ACTOR_HEADER DP_SPAN("davenport-actor")
#define ACTOR_CHARS  64
#define TTL_MAX_S    (UINT64_C(366) * 86400)

static const char pending[] = "\"pending\"}\n";
static const char on_disk[] = "\"disk\"}\n";

/* ---- reading ---- */

enum key_type { KEY_TEXT, KEY_NUMBER, KEY_BOOL };

static const struct {
    const char *name;
    enum key_type type;
    const char *fault;
} keys[] = {
    {"region", KEY_TEXT, "region must be a string"},
    {"reason", KEY_TEXT, "reason must be a string"},
    {"ttl_s", KEY_NUMBER, "ttl_s must be a whole number of seconds, from 1 to 31622400"},
    {"epoch", KEY_NUMBER, "epoch must be a whole number"},
    {"force", KEY_BOOL, "force must be true or false"},
    {"dry_run", KEY_BOOL, "dry_run must be true or false"},
};

static bool is_of(const json_t *value, enum key_type type)
{
    switch (type) {
    case KEY_TEXT:
        return json_is_string(value);
    case KEY_NUMBER:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case KEY_BOOL:
        return json_is_boolean(value);
    }
    return false;
}

static const char *fault_of_key(const char *key, const json_t *value)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, key) == 0) {
            return is_of(value, keys[i].type) ? NULL : keys[i].fault;
        }
    }
    return "only region, reason, ttl_s, epoch, force and dry_run may be given";
}

/* NULL when `body` is an order of this kind, else why not. */
static const char *fault_of(json_t *body, enum dp_order_kind kind)
{
    const char *key;
    json_t *value;
    if (!json_is_object(body)) {
        return "the body must be a JSON object like {\"region\":\"name\",\"reason\":\"why\"}";
    }
    json_object_foreach (body, key, value) {
        const char *fault = fault_of_key(key, value);
        if (fault) {
            return fault;
        }
    }
    const json_t *ttl = json_object_get(body, "ttl_s");
    bool region = json_object_get(body, "region") != NULL;
    if (dp_order_names_region(kind) && !region) {
        return "region must be a string";
    }
    if (!dp_order_names_region(kind) && region) {
        return "this order is for all regions: no region may be given";
    }
    if (ttl && !dp_order_stands(kind)) {
        return "ttl_s is for switch, drain, freeze and approve";
    }
    if (ttl && (json_integer_value(ttl) < 1 || (uint64_t)json_integer_value(ttl) > TTL_MAX_S)) {
        return keys[2].fault;
    }
    return NULL;
}

static struct dp_order_request request_of(const json_t *body, enum dp_order_kind kind,
                                          const char *actor)
{
    const json_t *epoch = json_object_get(body, "epoch");
    return (struct dp_order_request){
        .kind = kind,
        .region = json_string_value(json_object_get(body, "region")),
        .reason = json_string_value(json_object_get(body, "reason")),
        .actor = actor,
        .ttl_s = (uint32_t)json_integer_value(json_object_get(body, "ttl_s")),
        .if_epoch = epoch != NULL,
        .epoch = (uint64_t)json_integer_value(epoch),
        .force = json_is_true(json_object_get(body, "force")),
        .dry_run = json_is_true(json_object_get(body, "dry_run")),
    };
}

static bool may_stand(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("@._-+:/", c) != NULL;
}

void dp_admin_actor(const struct dp_head *head, const char *peer, char out[DP_ACTOR_TEXT])
{
    char claimed[ACTOR_CHARS + 1] = "operator";
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct dp_span value = head->headers[i].value;
        if (!dp_span_ieq(head->headers[i].name, ACTOR_HEADER) || value.n == 0) {
            continue;
        }
        size_t n = value.n < ACTOR_CHARS ? value.n : ACTOR_CHARS;
        for (size_t k = 0; k < n; k++) {
            unsigned char c = (unsigned char)value.p[k];
            claimed[k] = c && may_stand(c) ? (char)c : '?';
        }
        claimed[n] = '\0';
        break;
    }
    if (snprintf(out, DP_ACTOR_TEXT, "%.*s (%s)", (int)(DP_ACTOR_TEXT - 4 - strlen(peer)), claimed,
                 peer) < 0) {
        out[0] = '\0';
    }
}

/* ---- telling ---- */

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *look_json(const struct dp_status *s, const struct dp_order_look *look)
{
    const char *active = look->active == DP_NO_REGION ? NULL : s->regions[look->active].name;
    json_t *regions = json_array();
    for (uint16_t i = 0; i < s->n_regions; i++) {
        json_t *region = json_pack("{s:s, s:s, s:b, s:b}", "name", s->regions[i].name, "route",
                                   dp_route_state_name(look->routes[i]), "drained",
                                   look->drained[i], "held", look->held[i]);
        (void)json_array_append_new(regions, region);
    }
    return json_pack("{s:o, s:b, s:b, s:o}", "active", text_or_null(active), "frozen", look->frozen,
                     "pinned", look->pinned, "regions", regions);
}

static json_t *overridden_json(unsigned mask)
{
    json_t *rules = json_array();
    for (enum dp_refusal r = DP_REFUSAL_NONE; r < DP_REFUSAL_COUNT; r++) {
        if (mask & 1U << r) {
            (void)json_array_append_new(rules, json_string(dp_refusal_name(r)));
        }
    }
    return rules;
}

/* How it is remembered: "kept" stays the last member, for dp_admin_kept. */
static const char *kept_word(const struct dp_order_request *r, const struct dp_order_result *result)
{
    if (r->dry_run || result->refusal != DP_REFUSAL_NONE) {
        return NULL;
    }
    return result->ticket ? "pending" : "memory";
}

static void tell(const struct dp_status *s, const struct dp_order_request *r,
                 const struct dp_order_result *result, struct dp_admin_answer *answer)
{
    bool refused = result->refusal != DP_REFUSAL_NONE;
    json_t *root = json_object();
    if (refused && !r->dry_run) { /* as every other refusal */
        answer->status = result->refusal == DP_REFUSAL_EPOCH ? 412 : 409;
        (void)json_object_set_new(root, "error", json_string(dp_refusal_name(result->refusal)));
    }
    (void)json_object_set_new(root, "order", json_string(dp_order_name(r->kind)));
    (void)json_object_set_new(root, "region", text_or_null(r->region));
    (void)json_object_set_new(root, "actor", json_string(r->actor));
    (void)json_object_set_new(root, "dry_run", json_boolean(r->dry_run));
    (void)json_object_set_new(root, "done", json_boolean(!refused && !r->dry_run));
    (void)json_object_set_new(root, "refused",
                              text_or_null(refused ? dp_refusal_name(result->refusal) : NULL));
    (void)json_object_set_new(root, "overridden", overridden_json(result->overridden));
    (void)json_object_set_new(root, "reason", json_string(result->why));
    (void)json_object_set_new(root, "epoch", json_integer((json_int_t)result->epoch));
    (void)json_object_set_new(root, "move", json_string(dp_move_name(result->move)));
    (void)json_object_set_new(root, "before", look_json(s, &result->before));
    (void)json_object_set_new(root, "after", look_json(s, &result->after));
    (void)json_object_set_new(root, "kept", text_or_null(kept_word(r, result)));
    dp_text_json(&answer->body, root, JSON_COMPACT);
    answer->ticket = answer->body.failed ? 0 : result->ticket;
    json_decref(root);
}

void dp_admin_order(const struct dp_admin_source *source, const struct dp_admin_request *request,
                    enum dp_order_kind kind, struct dp_admin_answer *answer)
{
    json_t *body = json_loadb(request->body.p ? request->body.p : "", request->body.n,
                              JSON_REJECT_DUPLICATES, NULL);
    char actor[DP_ACTOR_TEXT];
    struct dp_order_result result;
    const char *fault = fault_of(body, kind);
    if (fault) {
        dp_admin_refuse(answer, 400, "bad_request", fault);
        json_decref(body);
        return;
    }
    dp_admin_actor(request->head, request->peer, actor);
    struct dp_order_request order = request_of(body, kind, actor);
    const enum dp_err err = source->order(source->ctx, &order, &result);
    if (err == DP_OK) {
        struct dp_report report;
        source->report(source->ctx, &report);
        tell(&report.status, &order, &result, answer);
    } else {
        dp_admin_refuse(answer, 404, "no_such_region", result.why);
    }
    json_decref(body);
}

void dp_admin_kept(struct dp_admin_answer *answer)
{
    struct dp_text *body = &answer->body;
    size_t n = sizeof pending - 1;
    answer->ticket = 0;
    if (body->failed || body->n < n || memcmp(body->p + body->n - n, pending, n) != 0) {
        return;
    }
    body->n -= n;
    dp_text_add(body, (struct dp_span){on_disk, sizeof on_disk - 1});
}
