/* Commands that look at a running proxy: status, explain, events. */
#include "app/cli_ask.h"
#include "app/status_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_DEFAULT 20
#define LINES_MAX     256

/* One look; `clear`: over the last one on the terminal. */
static int show_status(const struct dp_cli_call *call, const struct dp_admin_server *server,
                       bool clear)
{
    json_t *status = NULL;
    struct dp_text text = {0};
    int code = dp_cli_ask(server, "/status", NULL, &status);
    if (code != DP_EXIT_OK) {
        return code;
    }
    if (dp_cli_value(call, "json")) {
        dp_text_json(&text, status, clear ? JSON_COMPACT : JSON_INDENT(2));
    } else {
        dp_text_addf(&text, "%s", clear && dp_cli_colour() ? "\033[H\033[2J" : "");
        dp_status_text(status, dp_cli_colour(), &text);
    }
    code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    dp_text_fini(&text);
    json_decref(status);
    return code;
}

/* What completion asks for. */
static int show_names(const struct dp_cli_call *call, const struct dp_admin_server *server)
{
    json_t *status = NULL;
    json_t *region;
    size_t i;
    struct dp_text text = {0};
    json_t *names = json_array();
    int code = dp_cli_ask(server, "/status", NULL, &status);
    json_array_foreach (json_object_get(status, "regions"), i, region) {
        const char *name = json_string_value(json_object_get(region, "name"));
        (void)json_array_append_new(names, json_string(name ? name : ""));
        dp_text_addf(&text, "%s\n", name ? name : "");
    }
    if (dp_cli_value(call, "json")) {
        dp_text_clear(&text);
        dp_text_json(&text, names, JSON_COMPACT);
    }
    if (code == DP_EXIT_OK && !dp_cli_print(&text)) {
        code = DP_EXIT_FAILED;
    }
    json_decref(names);
    json_decref(status);
    dp_text_fini(&text);
    return code;
}

/* Whether it can serve; why not is told as any refusal is. */
static int show_ready(const struct dp_cli_call *call, const struct dp_admin_server *server)
{
    json_t *ready = NULL;
    struct dp_text text = {0};
    int code = dp_cli_ask(server, "/readyz", NULL, &ready);
    if (code == DP_EXIT_OK) {
        if (dp_cli_value(call, "json")) {
            dp_text_json(&text, ready, JSON_INDENT(2));
        } else {
            dp_text_add(&text, DP_SPAN("ready\n"));
        }
        code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    }
    dp_text_fini(&text);
    json_decref(ready);
    return code;
}

int dp_cli_status(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_admin_server server;
    bool watch = dp_cli_value(call, "watch") != NULL;
    bool ready = dp_cli_value(call, "ready") != NULL;
    int code = DP_EXIT_FAILED;
    if (!dp_cli_admin(call, &addr, &server)) {
        return code;
    }
    bool names = dp_cli_value(call, "names") != NULL;
    do {
        code = ready   ? show_ready(call, &server)
               : names ? show_names(call, &server)
                       : show_status(call, &server, watch);
        if (watch) {
            (void)sleep(1);
        }
        /* A proxy that is away for a moment is what one watches for. */
    } while (watch && (code == DP_EXIT_OK || code == DP_EXIT_UNREACHABLE));
    dp_text_fini(&addr);
    return code;
}

int dp_cli_explain(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_admin_server server;
    struct dp_text text = {0};
    json_t *answer = NULL;
    int code = DP_EXIT_FAILED;
    if (!dp_cli_admin(call, &addr, &server)) {
        return code;
    }
    code = dp_cli_ask(&server, "/explain", NULL, &answer);
    if (code == DP_EXIT_OK) {
        if (dp_cli_value(call, "json")) {
            dp_text_json(&text, answer, JSON_INDENT(2));
        } else {
            dp_explain_text(answer, dp_cli_colour(), &text);
        }
        code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    }
    json_decref(answer);
    dp_text_fini(&text);
    dp_text_fini(&addr);
    return code;
}

/* ---- events ---- */

struct events {
    bool json;
    bool broken; /* stdout is */
    uint64_t epoch;
    json_t *shown; /* texts of this epoch's lines: after a reconnect they come again */
};

static bool was_shown(const struct events *e, const char *line)
{
    size_t i;
    json_t *text;
    json_array_foreach (e->shown, i, text) {
        if (strcmp(json_string_value(text), line) == 0) {
            return true;
        }
    }
    return false;
}

/* One line of the journal. False: stdout is closed. */
static bool show_event(void *ctx, const char *line)
{
    struct events *e = ctx;
    struct dp_text text = {0};
    json_t *event = json_loads(line, 0, NULL);
    json_int_t epoch = json_integer_value(json_object_get(event, "epoch"));
    if (!event || was_shown(e, line)) {
        json_decref(event);
        return true;
    }
    if (epoch > 0 && (uint64_t)epoch > e->epoch) {
        e->epoch = (uint64_t)epoch;
        (void)json_array_clear(e->shown);
    }
    (void)json_array_append_new(e->shown, json_string(line));
    if (e->json) {
        dp_text_json(&text, event, JSON_COMPACT);
    } else {
        dp_event_text(event, dp_cli_colour(), &text);
    }
    e->broken = !dp_cli_print(&text);
    dp_text_fini(&text);
    json_decref(event);
    return !e->broken;
}

/* The stream, and when it ends another from where it ended: a proxy that is away for a moment is what one watches
 * for. */
static int follow_events(struct events *e, const struct dp_admin_server *server, const char *first)
{
    char path[96];
    char why[DP_CLIENT_WHY];
    bool told = false;
    (void)snprintf(path, sizeof path, "%s", first);
    for (;;) {
        enum dp_err err = dp_admin_follow(server, path, show_event, e, why);
        if (e->broken) {
            return DP_EXIT_FAILED;
        }
        if (err != DP_OK && (err != DP_ECONNECT || e->epoch == 0)) {
            return dp_cli_tell(err, why);
        }
        if (!told) {
            dp_cli_error("the proxy is away; waiting for it");
        }
        told = err != DP_OK;
        (void)sleep(1);
        (void)snprintf(path, sizeof path, "/events?follow=true&since=%" PRIu64, e->epoch);
    }
}

static int show_events(struct events *e, const struct dp_admin_server *server, const char *path)
{
    json_t *events = NULL;
    json_t *event;
    size_t i;
    int code = dp_cli_ask(server, path, NULL, &events);
    json_array_foreach (events, i, event) {
        char *line = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(6));
        if (code == DP_EXIT_OK && line && !show_event(e, line)) {
            code = DP_EXIT_FAILED;
        }
        free(line);
    }
    json_decref(events);
    return code;
}

int dp_cli_events(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_admin_server server;
    const char *lines = dp_cli_value(call, "lines");
    const char *since = dp_cli_value(call, "since");
    bool follow = dp_cli_value(call, "follow") != NULL;
    struct events e = {.json = dp_cli_value(call, "json") != NULL};
    uint64_t limit = since ? LINES_MAX : LINES_DEFAULT;
    uint64_t epoch = 0;
    char path[96];
    if (lines && (!dp_span_u64(dp_span_str(lines), &limit) || limit > LINES_MAX)) {
        dp_cli_error("events: --lines takes a number up to %d", LINES_MAX);
        return DP_EXIT_USAGE;
    }
    if (since && (!dp_span_u64(dp_span_str(since), &epoch) || epoch > INT64_MAX)) {
        dp_cli_error("events: --since takes an epoch, as davenport status shows it");
        return DP_EXIT_USAGE;
    }
    if (!dp_cli_admin(call, &addr, &server)) {
        return DP_EXIT_FAILED;
    }
    (void)snprintf(path, sizeof path, "/events?limit=%" PRIu64 "&since=%" PRIu64 "&follow=%s",
                   limit, epoch, follow ? "true" : "false");
    e.shown = json_array();
    int code = follow ? follow_events(&e, &server, path) : show_events(&e, &server, path);
    json_decref(e.shown);
    dp_text_fini(&addr);
    return code;
}
