/* Commands that order something: switch, drain, resume, freeze, unfreeze, approve, revoke. Each is one POST to the path of its name. */
#include "davenport/core/orders.h"

#include "app/cli_ask.h"
#include "app/status_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dp_ttl_parse(const char *text, uint64_t *seconds)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct dp_span number = dp_span_str(text);
    uint64_t factor = 1;
    uint64_t n;
    for (size_t i = 0; number.n && i < DP_ARRAY_LEN(units); i++) {
        if (number.p[number.n - 1] == units[i].unit) {
            factor = units[i].seconds;
            number.n--;
            break;
        }
    }
    if (!dp_span_u64(number, &n) || n == 0 || n > UINT64_C(366) * 86400 / factor) {
        return false;
    }
    *seconds = n * factor;
    return true;
}

/* The order's body, to be freed; NULL after telling what is wrong. */
static char *make_body(const struct dp_cli_call *call)
{
    const char *ttl = dp_cli_given(call, "ttl");
    const char *epoch = dp_cli_given(call, "epoch");
    const char *reason = dp_cli_given(call, "reason");
    uint64_t ttl_s = 0;
    uint64_t n = 0;
    json_t *body = json_object();
    char *text = NULL;
    if (ttl && !dp_ttl_parse(ttl, &ttl_s)) {
        dp_cli_error("%s: --ttl takes a time like 90s, 10m, 1h or 2d, at most 366d",
                     call->command->name);
        goto cleanup;
    }
    if (epoch && (!dp_span_u64(dp_span_str(epoch), &n) || n > INT64_MAX)) {
        dp_cli_error("%s: --epoch takes the number that davenport status shows",
                     call->command->name);
        goto cleanup;
    }
    bool good = true;
    if (call->n_args) {
        good = json_object_set_new(body, "region", json_string(call->args[0])) == 0;
    }
    if (reason) {
        good = json_object_set_new(body, "reason", json_string(reason)) == 0 && good;
    }
    if (ttl) {
        good = json_object_set_new(body, "ttl_s", json_integer((json_int_t)ttl_s)) == 0 && good;
    }
    if (epoch) {
        good = json_object_set_new(body, "epoch", json_integer((json_int_t)n)) == 0 && good;
    }
    if (dp_cli_given(call, "force")) {
        good = json_object_set_new(body, "force", json_true()) == 0 && good;
    }
    if (dp_cli_given(call, "dry-run")) {
        good = json_object_set_new(body, "dry_run", json_true()) == 0 && good;
    }
    text = good ? json_dumps(body, JSON_COMPACT) : NULL;
    if (!text) {
        dp_cli_error("%s: REGION and --reason must be UTF-8 text", call->command->name);
    }
cleanup:
    json_decref(body);
    return text;
}

/* A rehearsal's exit code is what the order's would have been. */
static int code_of(const json_t *answer)
{
    const char *refused = json_string_value(json_object_get(answer, "refused"));
    if (!refused) {
        return DP_EXIT_OK;
    }
    return strcmp(refused, dp_refusal_name(DP_REFUSAL_EPOCH)) == 0 ? DP_EXIT_EPOCH
                                                                   : DP_EXIT_REFUSED;
}

int dp_cli_order(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_admin_server server;
    struct dp_text text = {0};
    json_t *answer = NULL;
    char path[32];
    char *body = make_body(call);
    int code = DP_EXIT_USAGE;
    if (!body) {
        return code;
    }
    code = DP_EXIT_FAILED;
    if (!dp_cli_admin(call, &addr, &server) ||
        snprintf(path, sizeof path, "/%s", call->command->name) < 0) {
        goto cleanup;
    }
    code = dp_cli_ask(&server, path, body, &answer);
    if (answer && dp_cli_value(call, "json")) {
        dp_text_json(&text, answer, JSON_INDENT(2));
    } else if (code == DP_EXIT_OK) {
        dp_order_text(answer, dp_cli_colour(), &text);
    }
    if (code == DP_EXIT_OK) {
        code = code_of(answer);
    }
    if (!dp_cli_print(&text)) {
        code = DP_EXIT_FAILED;
    }
cleanup:
    free(body);
    json_decref(answer);
    dp_text_fini(&text);
    dp_text_fini(&addr);
    return code;
}

static void print_lines(const json_t *lines, struct dp_text *out)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        dp_text_addf(out, "  %s\n", line ? line : "");
    }
}

int dp_cli_reload(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_admin_server server;
    struct dp_text marked = {0};
    struct dp_text text = {0};
    json_t *answer = NULL;
    int code = DP_EXIT_FAILED;
    if (!dp_cli_admin(call, &addr, &server)) {
        goto cleanup;
    }
    code = dp_cli_ask(&server, "/reload", "{}", &answer);
    if (answer && dp_cli_value(call, "json")) {
        dp_text_json(&text, answer, JSON_INDENT(2));
    } else if (answer) {
        const json_t *changed = json_object_get(answer, "changed");
        bool done = code == DP_EXIT_OK;
        dp_text_addf(&marked, "%s (epoch %" JSON_INTEGER_FORMAT ")\n",
                     !done                          ? "refused, nothing was changed"
                     : json_array_size(changed) > 0 ? "reloaded"
                                                    : "reloaded: no key changed",
                     json_integer_value(json_object_get(answer, "epoch")));
        print_lines(changed, &marked);
        print_lines(json_object_get(answer, "problems"), &marked);
        dp_plain_text(&marked, &text);
    }
    if (!dp_cli_print(&text)) {
        code = DP_EXIT_FAILED;
    }
cleanup:
    json_decref(answer);
    dp_text_fini(&marked);
    dp_text_fini(&text);
    dp_text_fini(&addr);
    return code;
}
