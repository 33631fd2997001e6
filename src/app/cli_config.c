/* Commands about the configuration: check, schema. */
#include "app/cli_ask.h"
#include "app/tls_load.h"

#include <stdio.h>
#include <string.h>

/* How a configuration is called in messages. */
static const char *shown(const char *path)
{
    if (!path) {
        return "built-in default";
    }
    return strcmp(path, "-") == 0 ? "stdin" : path;
}

struct dp_config *dp_cli_load_config(const char *path, enum dp_cli_resolve resolve)
{
    struct dp_problems problems;
    struct dp_config *config = NULL;
    dp_problems_init(&problems, shown(path));
    enum dp_err err = dp_config_load(path, &problems, &config);
    if (err == DP_OK && resolve != DP_RESOLVE_NOT) {
        err = dp_config_resolve(config, resolve == DP_RESOLVE_MUST, &problems);
    }
    dp_problems_close(&problems);
    (void)fputs(dp_text_str(&problems.text), stderr);
    dp_problems_fini(&problems);
    if (err != DP_OK) {
        dp_config_destroy(config);
        return NULL;
    }
    return config;
}

/* One line of problems, "FILE: [warning: ]KEY: REASON", taken apart. */
static json_t *problem_json(struct dp_span line, const char *file)
{
    const struct dp_span prefix = dp_span_str(file);
    const struct dp_span warning = DP_SPAN("warning: ");
    struct dp_span rest = line;
    if (dp_span_starts(rest, prefix) && rest.n > prefix.n + 2) {
        rest = (struct dp_span){rest.p + prefix.n + 2, rest.n - prefix.n - 2};
    }
    const bool warns = dp_span_starts(rest, warning);
    if (warns) {
        rest = (struct dp_span){rest.p + warning.n, rest.n - warning.n};
    }
    size_t key = 0;
    while (key < rest.n && rest.p[key] != ':' && rest.p[key] != ' ') {
        key++;
    }
    const bool has_key = key + 1 < rest.n && rest.p[key] == ':' && rest.p[key + 1] == ' ';
    const struct dp_span reason =
        has_key ? (struct dp_span){rest.p + key + 2, rest.n - key - 2} : rest;
    return json_pack("{s:s, s:o, s:o}", "severity", warns ? "warning" : "error", "key",
                     has_key ? json_stringn(rest.p, key) : json_null(), "reason",
                     json_stringn(reason.p, reason.n));
}

/* {"file", "ok", "problems"}. */
static void check_json(const struct dp_problems *problems, bool good, struct dp_text *out)
{
    json_t *list = json_array();
    struct dp_span rest = dp_text_span(&problems->text);
    while (rest.p) {
        const struct dp_span line = dp_span_cut(&rest, '\n');
        if (line.n > 0) {
            (void)json_array_append_new(list, problem_json(line, problems->file));
        }
    }
    json_t *root =
        json_pack("{s:s, s:b, s:o}", "file", problems->file, "ok", good, "problems", list);
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}

int dp_cli_check(const struct dp_cli_call *call)
{
    const char *path = dp_cli_value(call, "config");
    const bool json = dp_cli_value(call, "json") && !dp_cli_value(call, "print");
    struct dp_text text = {0};
    struct dp_problems problems;
    struct dp_config *config = NULL;
    dp_problems_init(&problems, shown(path));
    enum dp_err err = dp_config_load(path, &problems, &config);
    if (err == DP_OK && dp_cli_value(call, "resolve")) {
        err = dp_config_resolve(config, true, &problems);
    }
    if (err ==
        DP_OK) { /* what only trying shows: files that can't be read, a key that is not the certificate's */
        err = dp_tls_load_check(config, &problems);
    }
    dp_problems_close(&problems);
    if (json) {
        check_json(&problems, err == DP_OK, &text);
    } else {
        (void)fputs(dp_text_str(&problems.text), stderr);
    }
    if (err == DP_OK && dp_cli_value(call, "print")) {
        dp_config_dump(config, &text);
    } else if (err == DP_OK && !json) {
        dp_text_addf(&text, "%s: ok\n", shown(path));
        dp_config_summary(config, &text);
    }
    const bool printed = dp_cli_print(&text);
    dp_text_fini(&text);
    dp_problems_fini(&problems);
    dp_config_destroy(config);
    return printed && err == DP_OK ? DP_EXIT_OK : DP_EXIT_FAILED;
}

int dp_cli_schema(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    (void)call;
    dp_config_schema(&text);
    bool good = dp_cli_print(&text);
    dp_text_fini(&text);
    return good ? DP_EXIT_OK : DP_EXIT_FAILED;
}
