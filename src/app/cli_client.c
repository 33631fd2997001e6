/* Commands that ask a running proxy: status, switch, events. */
#include "app/admin_client.h"
#include "app/cli.h"
#include "app/status_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define DEFAULT_ADMIN "127.0.0.1:8985"
#define LINES_DEFAULT 20
#define LINES_MAX     256

/* Where the proxy's operators connect, as text to be freed; false after telling what is wrong. */
static bool admin_address(const struct dp_cli_call *call, struct dp_text *out)
{
    const char *given = dp_cli_value(call, "admin");
    const char *path = dp_cli_value(call, "config");
    const char *environment = getenv("DAVENPORT_ADMIN");
    if (given) {
        dp_text_add(out, dp_span_str(given));
    } else if (path) {
        struct dp_config *config = dp_cli_load_config(path, DP_RESOLVE_NOT);
        if (!config) {
            return false;
        }
        dp_text_add(out, dp_span_str(config->admin_listen));
        dp_config_destroy(config);
    } else {
        dp_text_add(out, dp_span_str(environment && *environment ? environment : DEFAULT_ADMIN));
    }
    return true;
}

/* Other programs answer JSON on /status, too. */
static bool is_ours(const json_t *answer)
{
    return json_is_array(answer) ||
           (json_object_get(answer, "epoch") && json_object_get(answer, "regions"));
}

/* Ask; the answer as JSON in *out, or the exit code after telling what is wrong. */
static int ask(const char *addr, const char *path, const char *body, json_t **out)
{
    struct dp_text answer = {0};
    char why[DP_CLIENT_WHY];
    uint16_t status = 0;
    int code = DP_EXIT_FAILED;
    enum dp_err err = dp_admin_call(addr, path, body, &status, &answer, why);
    if (err == DP_EINVAL) {
        dp_cli_error("--admin: %s", why);
        return DP_EXIT_USAGE;
    }
    if (err != DP_OK) {
        dp_cli_error("no proxy answers at %s. Is it running? Another address: --admin or -c", why);
        code = DP_EXIT_UNREACHABLE;
        goto cleanup;
    }
    json_t *json = json_loadb(dp_text_str(&answer), answer.n, 0, NULL);
    if (status == 200 && is_ours(json)) {
        *out = json;
        code = DP_EXIT_OK;
        goto cleanup;
    }
    const char *reason = json_string_value(json_object_get(json, "reason"));
    if (reason) {
        dp_cli_error("refused: %s", reason);
    } else {
        dp_cli_error("what answers at %s is no davenport (status %u)", addr, (unsigned)status);
        code = DP_EXIT_UNREACHABLE;
    }
    json_decref(json);
cleanup:
    dp_text_fini(&answer);
    return code;
}

static void dump(const json_t *json, size_t flags, struct dp_text *out)
{
    char *text = json_dumps(json, flags | JSON_REAL_PRECISION(6));
    if (text) {
        dp_text_addf(out, "%s\n", text);
    } else {
        out->failed = true;
    }
    free(text);
}

/* One look; `clear`: over the last one on the terminal. */
static int show_status(const struct dp_cli_call *call, const char *addr, bool clear)
{
    json_t *status = NULL;
    struct dp_text text = {0};
    int code = ask(addr, "/status", NULL, &status);
    if (code != DP_EXIT_OK) {
        return code;
    }
    if (dp_cli_value(call, "json")) {
        dump(status, clear ? JSON_COMPACT : JSON_INDENT(2), &text);
    } else {
        dp_text_addf(&text, "%s", clear && dp_cli_colour() ? "\033[H\033[2J" : "");
        dp_status_text(status, dp_cli_colour(), &text);
    }
    code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    dp_text_fini(&text);
    json_decref(status);
    return code;
}

int dp_cli_status(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    bool watch = dp_cli_value(call, "watch") != NULL;
    int code = DP_EXIT_FAILED;
    if (!admin_address(call, &addr)) {
        return code;
    }
    do {
        code = show_status(call, dp_text_str(&addr), watch);
        if (watch) {
            (void)sleep(1);
        }
        /* A proxy that is away for a moment is what one watches for. */
    } while (watch && (code == DP_EXIT_OK || code == DP_EXIT_UNREACHABLE));
    dp_text_fini(&addr);
    return code;
}

int dp_cli_switch(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_text text = {0};
    json_t *status = NULL;
    const char *reason = dp_cli_value(call, "reason");
    if (!admin_address(call, &addr)) {
        return DP_EXIT_FAILED;
    }
    json_t *order = json_pack("{s:s, s:s, s:b}", "region", call->args[0], "reason",
                              reason ? reason : "", "force", dp_cli_value(call, "force") != NULL);
    char *body = order ? json_dumps(order, JSON_COMPACT) : NULL;
    int code = DP_EXIT_USAGE;
    if (!body) {
        dp_cli_error("switch: REGION and --reason must be UTF-8 text");
        goto cleanup;
    }
    code = ask(dp_text_str(&addr), "/switch", body, &status);
    if (code == DP_EXIT_OK) {
        if (dp_cli_value(call, "json")) {
            dump(status, JSON_INDENT(2), &text);
        } else {
            dp_status_text(status, dp_cli_colour(), &text);
        }
        code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    }
cleanup:
    free(body);
    json_decref(order);
    json_decref(status);
    dp_text_fini(&text);
    dp_text_fini(&addr);
    return code;
}

/* The index behind the last event shown; everything is new when that one is not there any more. */
static size_t first_new(const json_t *events, const json_t *last)
{
    for (size_t i = json_array_size(events); last && i > 0; i--) {
        if (json_equal(json_array_get(events, i - 1), last)) {
            return i;
        }
    }
    return 0;
}

static int show_events(const struct dp_cli_call *call, const char *addr, unsigned limit,
                       json_t **last)
{
    char path[64];
    json_t *events = NULL;
    struct dp_text text = {0};
    if (snprintf(path, sizeof path, "/events?limit=%u", limit) < 0) {
        return DP_EXIT_FAILED;
    }
    int code = ask(addr, path, NULL, &events);
    if (code != DP_EXIT_OK) {
        return code;
    }
    size_t n = json_array_size(events);
    for (size_t i = first_new(events, *last); i < n; i++) {
        if (dp_cli_value(call, "json")) {
            dump(json_array_get(events, i), JSON_COMPACT, &text);
        } else {
            dp_event_text(json_array_get(events, i), dp_cli_colour(), &text);
        }
    }
    if (n) {
        json_decref(*last);
        *last = json_incref(json_array_get(events, n - 1));
    }
    code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    dp_text_fini(&text);
    json_decref(events);
    return code;
}

int dp_cli_events(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    json_t *last = NULL;
    const char *lines = dp_cli_value(call, "lines");
    bool follow = dp_cli_value(call, "follow") != NULL;
    uint64_t limit = LINES_DEFAULT;
    int code = DP_EXIT_FAILED;
    if (lines && (!dp_span_u64(dp_span_str(lines), &limit) || limit > LINES_MAX)) {
        dp_cli_error("events: --lines takes a number up to %d", LINES_MAX);
        return DP_EXIT_USAGE;
    }
    if (!admin_address(call, &addr)) {
        return code;
    }
    do {
        code = show_events(call, dp_text_str(&addr), (unsigned)limit, &last);
        if (follow) {
            limit = LINES_MAX;
            (void)sleep(1);
        }
    } while (follow && (code == DP_EXIT_OK || code == DP_EXIT_UNREACHABLE));
    json_decref(last);
    dp_text_fini(&addr);
    return code;
}
