/* What the admin server answers, as a pure function of a request and a source. */
#include "app/admin.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define EVENTS_MAX 256
#define GUARD      "davenport-admin"

typedef void handler(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer);

struct route {
    const char *path;
    bool post;
    handler *handle;
};

void dp_admin_refuse(struct dp_admin_answer *answer, uint16_t status, const char *word,
                     const char *reason)
{
    json_t *error = json_pack("{s:s, s:s}", "error", word, "reason", reason);
    char *text = json_dumps(error, JSON_COMPACT);
    answer->status = status;
    answer->type = "application/json";
    dp_text_clear(&answer->body);
    dp_text_add(&answer->body, dp_span_str(text ? text : "{}"));
    dp_text_add(&answer->body, DP_SPAN("\n"));
    free(text);
    json_decref(error);
}

static void get_status(const struct dp_admin_source *source, const struct dp_admin_request *request,
                       struct dp_admin_answer *answer)
{
    struct dp_report report;
    (void)request;
    source->report(source->ctx, &report);
    dp_report_json(&report, &answer->body);
}

static void get_metrics(const struct dp_admin_source *source,
                        const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    struct dp_report report;
    (void)request;
    source->report(source->ctx, &report);
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    dp_report_metrics(&report, &answer->body);
}

static void get_healthz(const struct dp_admin_source *source,
                        const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    (void)source;
    (void)request;
    dp_text_add(&answer->body, DP_SPAN("{\"status\":\"ok\"}\n"));
}

static void get_readyz(const struct dp_admin_source *source, const struct dp_admin_request *request,
                       struct dp_admin_answer *answer)
{
    struct dp_report report;
    const char *why = NULL;
    (void)request;
    source->report(source->ctx, &report);
    if (dp_report_ready(&report, &why)) {
        dp_text_add(&answer->body, DP_SPAN("{\"status\":\"ready\"}\n"));
    } else {
        dp_admin_refuse(answer, 503, "not_ready", why);
    }
}

/* The number of ?limit=N, else `fallback`; false when it is not a number. */
static bool limit_of(struct dp_span target, size_t fallback, size_t *out)
{
    struct dp_span rest = target;
    struct dp_span name = DP_SPAN("limit=");
    (void)dp_span_cut(&rest, '?');
    while (rest.p) {
        struct dp_span pair = dp_span_cut(&rest, '&');
        uint64_t n;
        if (!dp_span_starts(pair, name)) {
            continue;
        }
        if (!dp_span_u64((struct dp_span){pair.p + name.n, pair.n - name.n}, &n)) {
            return false;
        }
        *out = n < fallback ? (size_t)n : fallback;
        return true;
    }
    *out = fallback;
    return true;
}

/* The newest lines, oldest of them first; each is JSON already. */
static void get_events(const struct dp_admin_source *source, const struct dp_admin_request *request,
                       struct dp_admin_answer *answer)
{
    struct dp_span lines[EVENTS_MAX];
    size_t limit;
    if (!limit_of(request->head->target, EVENTS_MAX, &limit)) {
        dp_admin_refuse(answer, 400, "bad_request", "limit must be a number");
        return;
    }
    size_t n = source->events(source->ctx, lines, EVENTS_MAX);
    size_t first = n > limit ? n - limit : 0;
    dp_text_add(&answer->body, DP_SPAN("["));
    for (size_t i = first; i < n; i++) {
        dp_text_add(&answer->body, i > first ? DP_SPAN(",\n") : DP_SPAN("\n"));
        dp_text_add(&answer->body, lines[i]);
    }
    dp_text_add(&answer->body, DP_SPAN("\n]\n"));
}

static bool is_guarded(const struct dp_head *head)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (dp_span_ieq(head->headers[i].name, DP_SPAN(GUARD))) {
            return dp_span_eq(head->headers[i].value, DP_SPAN("1"));
        }
    }
    return false;
}

static const char *const order_keys[] = {"region", "reason", "force"};

/* NULL when `order` is {"region": string, "reason"?: string, "force"?: bool}, else why not. */
static const char *fault_of_order(json_t *order)
{
    const json_t *reason = json_object_get(order, "reason");
    const json_t *force = json_object_get(order, "force");
    const char *key;
    json_t *value;
    if (!json_is_object(order)) {
        return "the body must be a JSON object like {\"region\":\"name\",\"reason\":\"why\"}";
    }
    json_object_foreach (order, key, value) {
        size_t i = 0;
        while (i < DP_ARRAY_LEN(order_keys) && strcmp(order_keys[i], key) != 0) {
            i++;
        }
        if (i == DP_ARRAY_LEN(order_keys)) {
            return "only region, reason and force may be given";
        }
    }
    if (!json_is_string(json_object_get(order, "region"))) {
        return "region must be a string";
    }
    if (reason && !json_is_string(reason)) {
        return "reason must be a string";
    }
    return force && !json_is_boolean(force) ? "force must be true or false" : NULL;
}

static void post_switch(const struct dp_admin_source *source,
                        const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    json_t *order = json_loadb(request->body.p ? request->body.p : "", request->body.n,
                               JSON_REJECT_DUPLICATES, NULL);
    const char *fault = fault_of_order(order);
    const char *why = "";
    if (fault) {
        dp_admin_refuse(answer, 400, "bad_request", fault);
        goto cleanup;
    }
    const char *region = json_string_value(json_object_get(order, "region"));
    const char *reason = json_string_value(json_object_get(order, "reason"));
    bool force = json_is_true(json_object_get(order, "force"));
    enum dp_err err = source->move(source->ctx, region, force, request->actor, reason, &why);
    if (err == DP_OK) {
        get_status(source, request, answer);
    } else if (err == DP_EINVAL) {
        dp_admin_refuse(answer, 404, "no_such_region", why);
    } else {
        dp_admin_refuse(answer, 409, "refused", why);
    }
cleanup:
    json_decref(order);
}

static const struct route routes[] = {
    {"/status", false, get_status},   {"/metrics", false, get_metrics},
    {"/healthz", false, get_healthz}, {"/readyz", false, get_readyz},
    {"/events", false, get_events},   {"/switch", true, post_switch},
};

/* "localhost", "127.x.x.x" or "[::1]", with or without a port. */
static bool names_loopback(struct dp_span authority)
{
    char ip[INET_ADDRSTRLEN];
    struct in_addr v4;
    if (dp_span_starts(authority, DP_SPAN("[::1]"))) {
        return authority.n == 5 || authority.p[5] == ':';
    }
    struct dp_span rest = authority;
    struct dp_span host = dp_span_cut(&rest, ':');
    if (dp_span_ieq(host, DP_SPAN("localhost"))) {
        return true;
    }
    if (host.n == 0 || host.n >= sizeof ip) {
        return false;
    }
    memcpy(ip, host.p, host.n);
    ip[host.n] = '\0';
    return inet_pton(AF_INET, ip, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static const struct route *route_of(struct dp_span target)
{
    struct dp_span rest = target;
    struct dp_span path = dp_span_cut(&rest, '?');
    for (size_t i = 0; i < DP_ARRAY_LEN(routes); i++) {
        if (dp_span_eq(path, dp_span_str(routes[i].path))) {
            return &routes[i];
        }
    }
    return NULL;
}

void dp_admin_answer(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer)
{
    const struct dp_head *head = request->head;
    answer->status = 200;
    answer->type = "application/json";
    if (request->tcp && !names_loopback(head->authority)) {
        dp_admin_refuse(answer, 403, "forbidden",
                        "the Host header must be localhost or a loopback address");
        return;
    }
    const struct route *route = route_of(head->target);
    if (!route) {
        dp_admin_refuse(answer, 404, "not_found",
                        "there are /status, /metrics, /healthz, /readyz, /events and /switch");
        return;
    }
    bool allowed = route->post ? head->method == DP_METHOD_POST
                               : head->method == DP_METHOD_GET || head->method == DP_METHOD_HEAD;
    if (!allowed) {
        answer->allow = route->post ? "POST" : "GET, HEAD";
        dp_admin_refuse(answer, 405, "method_not_allowed",
                        route->post ? "this path takes POST" : "this path takes GET");
        return;
    }
    if (route->post && !is_guarded(head)) {
        dp_admin_refuse(
            answer, 403, "forbidden",
            "the header Davenport-Admin: 1 is needed, so that no web page can send this");
        return;
    }
    route->handle(source, request, answer);
    if (answer->body.failed) {
        dp_admin_refuse(answer, 500, "out_of_memory", "the answer did not fit into memory");
    }
}
