/* What the command line tells about itself: help for people and programs, the version. */
#include "davenport/version.h"

#include "app/cli.h"
#include "app/cli_ask.h"
#include "app/drill_plan.h"
#include "app/man.h"
#include "app/metric.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define COMMAND_COLUMN 14
#define LINE_CHARS     78

static void help_options(const struct dp_cli_command *c, struct dp_text *out)
{
    for (const struct dp_cli_option *o = c->options; o->name; o++) {
        char left[64];
        int n = o->letter ? snprintf(left, sizeof left, "-%c, --%s", o->letter, o->name)
                          : snprintf(left, sizeof left, "    --%s", o->name);
        if (n > 0 && (size_t)n < sizeof left && o->arg) {
            n += snprintf(left + n, sizeof left - (size_t)n, " %s", o->arg);
        }
        dp_text_addf(out, "  %-22s %s\n", n > 0 ? left : o->name, o->text);
    }
    dp_text_addf(out, "  -h, --help             this text\n");
}

void dp_cli_help_command(const struct dp_cli_command *c, struct dp_text *out)
{
    dp_text_addf(out, "usage: davenport %s [OPTION]...%s%s\n\n%s.\n%s\nOptions:\n", c->name,
                 *c->args ? " " : "", c->args, c->summary, c->text);
    help_options(c, out);
}

/* `text` from `column` on, broken between words. */
static void add_wrapped(const char *text, size_t column, struct dp_text *out)
{
    struct dp_span rest = dp_span_str(text);
    size_t at = column;
    while (rest.p) {
        const struct dp_span word = dp_span_cut(&rest, ' ');
        if (at > column && at + 1 + word.n > LINE_CHARS) {
            dp_text_addf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            dp_text_add(out, DP_SPAN(" "));
            at++;
        }
        dp_text_add(out, word);
        at += word.n;
    }
    dp_text_add(out, DP_SPAN("\n"));
}

void dp_cli_help_all(struct dp_text *out)
{
    dp_text_addf(out,
                 "usage: davenport COMMAND [OPTION]...\n\n"
                 "A health-checking failover proxy for Cloudant and CouchDB: one URL that keeps\n"
                 "working when a region goes dark.\n\nCommands:\n");
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        dp_text_addf(out, "  %-*s %s\n", COMMAND_COLUMN, dp_cli_commands[i].name,
                     dp_cli_commands[i].summary);
    }
    dp_text_addf(out,
                 "\nBegin with:\n"
                 "  davenport check -c davenport.json     is this configuration good?\n"
                 "  davenport serve -c davenport.json     run it\n"
                 "  davenport status                      where does the traffic go?\n"
                 "  davenport help COMMAND                more about one of them\n"
                 "  davenport help config                 every key of the configuration\n"
                 "  davenport help metrics                every metric that /metrics may have\n"
                 "  davenport explain                     why there, and what comes next?\n"
                 "\nExit codes:\n");
    for (const struct dp_cli_exit *e = dp_cli_exits; e->text; e++) {
        dp_text_addf(out, "  %3d  ", e->code);
        add_wrapped(e->text, 7, out);
    }
    dp_text_addf(out, "\nEnvironment:\n");
    for (const struct dp_cli_variable *v = dp_cli_variables; v->name; v++) {
        dp_text_addf(out, "  %s\n      ", v->name);
        add_wrapped(v->text, 6, out);
    }
}

/* ---- for programs ---- */

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *option_json(const struct dp_cli_option *o)
{
    const char letter[2] = {o->letter, '\0'};
    return json_pack("{s:s, s:o, s:o, s:s}", "name", o->name, "letter",
                     text_or_null(o->letter ? letter : NULL), "arg", text_or_null(o->arg), "text",
                     o->text);
}

static json_t *command_json(const struct dp_cli_command *c)
{
    json_t *options = json_array();
    for (const struct dp_cli_option *o = c->options; o->name; o++) {
        (void)json_array_append_new(options, option_json(o));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", c->name, "args", c->args, "summary",
                     c->summary, "text", c->text, "options", options);
}

void dp_cli_help_json(struct dp_text *out)
{
    json_t *commands = json_array();
    json_t *exits = json_array();
    json_t *variables = json_array();
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        (void)json_array_append_new(commands, command_json(&dp_cli_commands[i]));
    }
    for (const struct dp_cli_exit *e = dp_cli_exits; e->text; e++) {
        (void)json_array_append_new(exits,
                                    json_pack("{s:i, s:s}", "code", e->code, "text", e->text));
    }
    for (const struct dp_cli_variable *v = dp_cli_variables; v->name; v++) {
        (void)json_array_append_new(variables,
                                    json_pack("{s:s, s:s}", "name", v->name, "text", v->text));
    }
    json_t *root = json_pack("{s:o, s:o, s:o}", "commands", commands, "exit_codes", exits,
                             "environment", variables);
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}

/* ---- the commands ---- */

/* The page of `topic`, NULL: of all. False: there is no such command. */
static bool help_of(const char *topic, struct dp_text *out)
{
    const struct dp_cli_command *c = topic ? dp_cli_command_of(topic) : NULL;
    if (!topic) {
        dp_cli_help_all(out);
    } else if (strcmp(topic, "config") == 0) {
        dp_text_addf(
            out,
            "The configuration is one JSON object. Every key with its default; a string may hold\n"
            "${env:NAME} and ${file:PATH}; \"$comment\" may stand in any object.\n\n");
        dp_config_help(out);
    } else if (strcmp(topic, "metrics") == 0) {
        dp_metric_help(out);
    } else if (strcmp(topic, "plan") == 0) {
        dp_plan_help(out);
    } else if (c) {
        dp_cli_help_command(c, out);
    }
    return !topic || out->n > 0;
}

/* The manual page about `topic`. False: there is none. */
static bool man_of(const char *topic, struct dp_text *out)
{
    if (!topic) {
        dp_man_program(dp_cli_commands, dp_cli_n_commands, out);
    } else if (strcmp(topic, "config") == 0) {
        dp_man_config(out);
    }
    return out->n > 0;
}

int dp_cli_help(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    const char *topic = call->n_args > 0 ? call->args[0] : NULL;
    if (dp_cli_value(call, "man")) {
        if (!man_of(topic, &text)) {
            dp_cli_error("help: --man makes davenport(1), and davenport.json(5) of config");
            return DP_EXIT_USAGE;
        }
    } else if (dp_cli_value(call, "json")) {
        if (topic) {
            dp_cli_error("help: --json tells of all commands at once; of the configuration: "
                         "davenport schema");
            return DP_EXIT_USAGE;
        }
        dp_cli_help_json(&text);
    } else if (!help_of(topic, &text)) {
        dp_text_fini(&text);
        return dp_cli_unknown_command(topic);
    }
    return dp_cli_print_and_free(&text);
}

int dp_cli_version(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    if (dp_cli_value(call, "json")) {
        json_t *root = json_pack("{s:s, s:s}", "version", DP_VERSION, "commit", DP_VERSION_GIT);
        dp_text_json(&text, root, JSON_COMPACT);
        json_decref(root);
    } else {
        dp_text_addf(&text, "davenport %s%s%s%s\n", DP_VERSION, *DP_VERSION_GIT ? " (" : "",
                     DP_VERSION_GIT, *DP_VERSION_GIT ? ")" : "");
    }
    return dp_cli_print_and_free(&text);
}
