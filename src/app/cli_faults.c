/* fault and heal: what a drill makes of a region. */
#include "davenport/core/fault.h"

#include "app/cli_ask.h"
#include "app/status_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What "for" needs of the API is whole milliseconds. */
#define MS_PER_S 1000

static bool percent_of(const char *text, double *share)
{
    char *end;
    const double percent = strtod(text, &end);
    *share = percent / 100;
    return end != text && (*end == '\0' || strcmp(end, "%") == 0) && isfinite(percent) &&
           percent > 0 && percent <= 100;
}

/* Patterns with commas between, into an array. */
static json_t *patterns_of(const char *text)
{
    json_t *patterns = json_array();
    struct dp_span rest = dp_span_str(text);
    while (rest.p) {
        const struct dp_span one = dp_span_trim(dp_span_cut(&rest, ','));
        (void)json_array_append_new(patterns, json_stringn(one.p, one.n));
    }
    return patterns;
}

/* NULL: it was told. */
static char *make_body(const struct dp_cli_call *call)
{
    const char *wrong = NULL;
    const char *for_ = dp_cli_value(call, "for");
    const char *delay = dp_cli_value(call, "delay-ms");
    const char *share = dp_cli_value(call, "share");
    const char *databases = dp_cli_value(call, "databases");
    const char *reason = dp_cli_value(call, "reason");
    uint64_t for_s = 0;
    uint64_t delay_ms = 0;
    double part = 1;
    if (!for_ || !dp_ttl_parse(for_, &for_s)) {
        wrong = "--for TIME is needed, like 30s or 5m: every fault ends by itself";
    } else if (delay &&
               (!dp_span_u64(dp_span_str(delay), &delay_ms) || delay_ms > DP_FAULT_DELAY_MAX_MS)) {
        wrong = "--delay-ms takes milliseconds, at most 600000";
    } else if (share && !percent_of(share, &part)) {
        wrong = "--share takes a percentage of the attempts, above 0 and at most 100";
    }
    if (wrong) {
        dp_cli_error("fault: %s", wrong);
        return NULL;
    }
    json_t *body = json_pack("{s:s, s:s, s:I, s:f}", "region", call->args[0], "kind", call->args[1],
                             "for_ms", (json_int_t)for_s * MS_PER_S, "share", part);
    bool good = body != NULL;
    if (delay) {
        good =
            json_object_set_new(body, "delay_ms", json_integer((json_int_t)delay_ms)) == 0 && good;
    }
    if (databases) {
        good = json_object_set_new(body, "databases", patterns_of(databases)) == 0 && good;
    }
    if (reason) {
        good = json_object_set_new(body, "reason", json_string(reason)) == 0 && good;
    }
    char *text = good ? json_dumps(body, JSON_COMPACT) : NULL;
    if (!text) {
        dp_cli_error("fault: REGION, --databases and --reason must be UTF-8 text");
    }
    json_decref(body);
    return text;
}

/* Send it, and show what comes of it. */
static int ask(const struct dp_cli_call *call, const char *method, const char *path,
               const char *body,
               void (*show)(const json_t *answer, bool colour, struct dp_text *out))
{
    struct dp_text addr = {0};
    struct dp_admin_server server;
    struct dp_text text = {0};
    json_t *answer = NULL;
    int code = DP_EXIT_FAILED;
    if (dp_cli_admin(call, &addr, &server)) {
        code = dp_cli_send(&server, method, path, body, &answer);
    }
    if (answer && dp_cli_value(call, "json")) {
        dp_text_json(&text, answer, JSON_INDENT(2));
    } else if (code == DP_EXIT_OK) {
        show(answer, dp_cli_colour(), &text);
    }
    if (!dp_cli_print(&text)) {
        code = DP_EXIT_FAILED;
    }
    json_decref(answer);
    dp_text_fini(&text);
    dp_text_fini(&addr);
    return code;
}

int dp_cli_fault(const struct dp_cli_call *call)
{
    char *body = make_body(call);
    if (!body) {
        return DP_EXIT_USAGE;
    }
    const int code = ask(call, "POST", "/faults", body, dp_fault_text);
    free(body);
    return code;
}

int dp_cli_heal(const struct dp_cli_call *call)
{
    struct dp_text path = {0};
    dp_text_addf(&path, call->n_args ? "/faults/%s" : "/faults", call->n_args ? call->args[0] : "");
    const int code = ask(call, "DELETE", dp_text_str(&path), NULL, dp_heal_text);
    dp_text_fini(&path);
    return code;
}
