/* What the admin server answers, as a pure function of a request and a source. */
#include "davenport/web/page.h"

#include "app/admin.h"
#include "app/admin_access.h"
#include "app/admin_faults.h"
#include "app/admin_live.h"
#include "app/admin_orders.h"
#include "app/admin_reload.h"
#include "app/json_memory.h"
#include "app/report_faults.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define GUARD "davenport-admin"

typedef void handler(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer);

struct route {
    const char *path;
    handler *get;             /* NULL: POST, an order */
    enum dp_order_kind order; /* of it */
    bool open;                /* to all: nothing in it that is not for everybody */
};

void dp_admin_refuse(struct dp_admin_answer *answer, uint16_t status, const char *word,
                     const char *reason)
{
    json_t *error = json_pack("{s:s, s:s}", "error", word, "reason", reason);
    char *text = json_dumps(error, JSON_COMPACT);
    answer->status = status;
    answer->type = "application/json";
    answer->policy = (struct dp_span){NULL, 0};
    answer->follow = DP_FOLLOW_NOT;
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
    if (source->process) {
        source->process(&report);
    }
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

static void get_explain(const struct dp_admin_source *source,
                        const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    struct dp_report report;
    (void)request;
    source->report(source->ctx, &report);
    dp_report_explain(&report, &answer->body);
}

/* The value of ?name= in a target; false when it is not there. */
static bool query_value(struct dp_span target, struct dp_span name, struct dp_span *out)
{
    struct dp_span rest = target;
    (void)dp_span_cut(&rest, '?');
    while (rest.p) {
        struct dp_span value = dp_span_cut(&rest, '&');
        struct dp_span key = dp_span_cut(&value, '=');
        if (dp_span_eq(key, name)) {
            *out = value.p ? value : (struct dp_span){"", 0};
            return true;
        }
    }
    return false;
}

/* What of the journal is asked for. */
struct events_query {
    uint64_t limit, since;
    bool follow;
};

/* NULL, or what is wrong. */
static const char *read_query(struct dp_span target, struct events_query *q)
{
    struct dp_span value;
    *q = (struct events_query){.limit = DP_ADMIN_EVENTS};
    if (query_value(target, DP_SPAN("limit"), &value) && !dp_span_u64(value, &q->limit)) {
        return "limit must be a number";
    }
    if (query_value(target, DP_SPAN("since"), &value) && !dp_span_u64(value, &q->since)) {
        return "since must be an epoch";
    }
    if (query_value(target, DP_SPAN("follow"), &value)) {
        q->follow = dp_span_eq(value, DP_SPAN("true"));
        if (!q->follow && !dp_span_eq(value, DP_SPAN("false"))) {
            return "follow must be true or false";
        }
    }
    return NULL;
}

static bool is_since(struct dp_span line, uint64_t since)
{
    json_t *doc = since ? json_loadb(line.p, line.n, 0, NULL) : NULL;
    json_int_t epoch = json_integer_value(json_object_get(doc, "epoch"));
    json_decref(doc);
    return epoch >= (json_int_t)since;
}

/* The newest lines, oldest of them first; each is JSON already. Followed: one a line, and more to come. */
static void get_events(const struct dp_admin_source *source, const struct dp_admin_request *request,
                       struct dp_admin_answer *answer)
{
    struct dp_span lines[DP_ADMIN_EVENTS];
    struct events_query q;
    const char *fault = read_query(request->head->target, &q);
    if (!fault && q.follow && request->head->minor == 0) {
        fault = "following needs HTTP/1.1";
    }
    if (fault) {
        dp_admin_refuse(answer, 400, "bad_request", fault);
        return;
    }
    size_t n = source->events(source->ctx, lines, DP_ADMIN_EVENTS);
    size_t first = n > q.limit ? n - (size_t)q.limit : 0;
    while (first < n && !is_since(lines[first], q.since)) {
        first++; /* epochs only grow */
    }
    answer->follow = q.follow ? DP_FOLLOW_LINES : DP_FOLLOW_NOT;
    if (q.follow) {
        answer->type = "application/x-ndjson";
    }
    dp_text_add(&answer->body, q.follow ? DP_SPAN("") : DP_SPAN("["));
    for (size_t i = first; i < n; i++) {
        dp_text_add(&answer->body, q.follow    ? DP_SPAN("")
                                   : i > first ? DP_SPAN(",\n")
                                               : DP_SPAN("\n"));
        dp_text_add(&answer->body, lines[i]);
        dp_text_add(&answer->body, q.follow ? DP_SPAN("\n") : DP_SPAN(""));
    }
    dp_text_add(&answer->body, q.follow ? DP_SPAN("") : DP_SPAN("\n]\n"));
}

static void get_whoami(const struct dp_admin_source *source, const struct dp_admin_request *request,
                       struct dp_admin_answer *answer)
{
    const struct dp_admin_caller *caller = request->caller;
    (void)source;
    json_t *who = json_pack("{s:s, s:s, s:s}", "actor", caller->name, "role",
                            dp_admin_role_name(caller->role), "by", caller->by);
    dp_text_json(&answer->body, who, JSON_COMPACT);
    json_decref(who);
}

static void get_dashboard(const struct dp_admin_source *source,
                          const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    const struct dp_web_document page = dp_web_dashboard();
    (void)source;
    (void)request;
    answer->type = "text/html; charset=utf-8";
    answer->policy = page.policy;
    dp_text_add(&answer->body, page.html);
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

static const struct route routes[] = {
    {"/", get_dashboard, 0, true},
    {"/live", dp_admin_live, 0, false},
    {"/history", dp_admin_history, 0, false},
    {"/status", get_status, 0, false},
    {"/metrics", get_metrics, 0, false},
    {"/healthz", get_healthz, 0, true},
    {"/readyz", get_readyz, 0, true},
    {"/explain", get_explain, 0, false},
    {"/events", get_events, 0, false},
    {"/whoami", get_whoami, 0, false},
    {"/switch", NULL, DP_ORDER_SWITCH, false},
    {"/drain", NULL, DP_ORDER_DRAIN, false},
    {"/resume", NULL, DP_ORDER_RESUME, false},
    {"/freeze", NULL, DP_ORDER_FREEZE, false},
    {"/unfreeze", NULL, DP_ORDER_UNFREEZE, false},
    {"/approve", NULL, DP_ORDER_APPROVE, false},
    {"/revoke", NULL, DP_ORDER_REVOKE, false},
    {"/reload", NULL, DP_ORDER_COUNT, false}, /* no order: the configuration is read again */
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

bool dp_admin_is_local(const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    if (!request->tls && !names_loopback(request->head->authority)) {
        dp_admin_refuse(answer, 403, "forbidden",
                        "the Host header must be localhost or a loopback address");
        return false;
    }
    return true;
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

void dp_admin_refuse_method(struct dp_admin_answer *answer, const char *allow)
{
    char reason[64];
    (void)snprintf(reason, sizeof reason, "this path takes %s", allow);
    answer->allow = allow;
    dp_admin_refuse(answer, 405, "method_not_allowed", reason);
}

bool dp_admin_may_change(const struct dp_head *head, struct dp_admin_answer *answer)
{
    if (is_guarded(head)) {
        return true;
    }
    dp_admin_refuse(answer, 403, "forbidden",
                    "the header Davenport-Admin: 1 is needed, so that no web page can send this");
    return false;
}

#define FAULTS DP_SPAN("/faults")

/* "/faults", or "/faults/REGION": then *region is that, else of no bytes. */
static bool names_faults(struct dp_span target, struct dp_span *region)
{
    struct dp_span rest = target;
    const struct dp_span path = dp_span_cut(&rest, '?');
    *region = (struct dp_span){NULL, 0};
    if (dp_span_eq(path, FAULTS)) {
        return true;
    }
    if (!dp_span_starts(path, FAULTS) || path.n < FAULTS.n + 2 || path.p[FAULTS.n] != '/') {
        return false;
    }
    *region = (struct dp_span){path.p + FAULTS.n + 1, path.n - FAULTS.n - 1};
    return true;
}

void dp_admin_refuse_replaced(struct dp_admin_answer *answer)
{
    dp_admin_refuse(answer, 503, "being_replaced",
                    "a new process is taking over; ask again in a moment");
}

/* Its role, that no page in a browser made it ask, and that what it changes would not be lost. */
static bool may_change(const struct dp_admin_source *source, const struct dp_admin_request *request,
                       struct dp_admin_answer *answer)
{
    if (!dp_admin_is_operator(source, request->caller, answer) ||
        !dp_admin_may_change(request->head, answer)) {
        return false;
    }
    if (source->being_replaced && source->being_replaced(source->ctx)) {
        dp_admin_refuse_replaced(answer);
        return false;
    }
    return true;
}

static void answer_faults(const struct dp_admin_source *source,
                          const struct dp_admin_request *request, struct dp_span region,
                          struct dp_admin_answer *answer)
{
    const enum dp_method method = request->head->method;
    if (method == DP_METHOD_DELETE) {
        if (may_change(source, request, answer)) {
            dp_admin_heal(source, request, region, answer);
        }
    } else if (region.n > 0) {
        dp_admin_refuse_method(answer, "DELETE");
    } else if (method == DP_METHOD_POST) {
        if (may_change(source, request, answer)) {
            dp_admin_fault(source, request, answer);
        }
    } else if (method == DP_METHOD_GET || method == DP_METHOD_HEAD) {
        struct dp_report report;
        source->report(source->ctx, &report);
        dp_report_faults(&report, &answer->body);
    } else {
        dp_admin_refuse_method(answer, "DELETE, GET, HEAD, POST");
    }
}

static void answer_route(const struct dp_admin_source *source, const struct route *route,
                         const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    const struct dp_head *head = request->head;
    bool post = !route->get;
    bool allowed = post ? head->method == DP_METHOD_POST
                        : head->method == DP_METHOD_GET || head->method == DP_METHOD_HEAD;
    if (!allowed) {
        dp_admin_refuse_method(answer, post ? "POST" : "GET, HEAD");
        return;
    }
    if (post && !may_change(source, request, answer)) {
        return;
    }
    if (post && route->order == DP_ORDER_COUNT) {
        dp_admin_reload(source, request, answer);
    } else if (post) {
        dp_admin_order(source, request, route->order, answer);
    } else {
        route->get(source, request, answer);
    }
}

static void answer_by_route(const struct dp_admin_source *source,
                            const struct dp_admin_request *request, struct dp_admin_answer *answer)
{
    const struct route *route = route_of(request->head->target);
    struct dp_admin_request known = *request;
    struct dp_admin_caller caller;
    struct dp_span region;
    answer->status = 200;
    answer->type = "application/json";
    if (!dp_admin_is_local(request, answer)) {
        return;
    }
    if (!route || !route->open) {
        if (!dp_admin_let_in(source, request, &caller, answer)) {
            return;
        }
        known.caller = &caller;
        known.peer = caller.peer;
    }
    if (route) {
        answer_route(source, route, &known, answer);
    } else if (names_faults(request->head->target, &region)) {
        answer_faults(source, &known, region, answer);
    } else {
        dp_admin_refuse(
            answer, 404, "not_found",
            "there are /, /status, /metrics, /healthz, /readyz, /explain, /events, /live, /history "
            "and /whoami; "
            "/switch, /drain, /resume, /freeze, /unfreeze, /approve and /revoke; /faults; /reload");
    }
}

void dp_admin_answer(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer)
{
    const unsigned refused = dp_json_memory_refused();
    answer_by_route(source, request, answer);
    if (answer->body.failed || dp_json_memory_refused() != refused) {
        dp_admin_refuse(answer, 500, "out_of_memory", "the answer did not fit into memory");
    }
}
