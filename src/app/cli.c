/* The command line's grammar. What the subcommands do is in cli_config.c and cli_client.c. */
#include "app/cli.h"

#include "davenport/version.h"

#include "app/json_memory.h"
#include "app/serve.h"
#include "app/suggest.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_OPTION                                                                              \
    {                                                                                              \
        "config", 'c', "FILE",                                                                     \
            "configuration file; - is stdin (default: the built-in demonstration)"                 \
    }
#define ADMIN_OPTION                                                                               \
    {                                                                                              \
        "admin", 'a', "ADDR", "where the proxy's operators connect: 127.0.0.1:8985 or unix:PATH"   \
    }
#define ADMIN_CONFIG_OPTION                                                                        \
    {                                                                                              \
        "config", 'c', "FILE", "take the address from this configuration (admin.listen)"           \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", 'j', NULL, "JSON for programs"                                                     \
    }

#define ORDER_OPTIONS                                                                              \
    ADMIN_OPTION, ADMIN_CONFIG_OPTION, JSON_OPTION,                                                \
        {"reason", 'm', "TEXT", "why, for the journal"},                                           \
        {"epoch", 'e', "N", "only if the epoch is still N (davenport status shows it)"},           \
    {                                                                                              \
        "dry-run", 'n', NULL, "tell what would change, and change nothing"                         \
    }
#define TTL_OPTION                                                                                 \
    {                                                                                              \
        "ttl", 't', "TIME", "it ends by itself after 90s, 10m, 1h, 2d"                             \
    }
#define FORCE_OPTION                                                                               \
    {                                                                                              \
        "force", 'f', NULL, "override the rules; the journal says which"                           \
    }

#define ORDER_TEXT                                                                                 \
    "Exit code 4: a rule refused it (or would, with --dry-run); 5: the epoch has "                 \
    "moved.\n" ADMIN_TEXT
#define ADMIN_TEXT "Without --admin and -c, the address is $DAVENPORT_ADMIN, or 127.0.0.1:8985.\n"

/* clang-format off */
static const struct dp_cli_command commands[] = {
    {
        .name = "serve", .args = "", .run = dp_cli_serve,
        .summary = "run the proxy",
        .text =
            "Runs in the foreground until SIGTERM or SIGINT, then finishes what is under way; a second\n"
            "signal ends it at once. Logs to stderr, a JSON object a line; the line \"ready\" tells\n"
            "where it listens. Without -c it stands in front of two local regions, as scripts/demo\n"
            "starts them (davenport check --print shows that configuration).\n\n"
            "  davenport serve -c /etc/davenport/davenport.json\n",
        .options = {
            CONFIG_OPTION,
            {"port-file", 0, "FILE", "write the bound addresses there as JSON once it listens"},
            {"ready-fd", 0, "N", "write the same to this file descriptor and close it"},
        },
    },
    {
        .name = "check", .args = "", .run = dp_cli_check,
        .summary = "check a configuration; tells all problems at once",
        .text =
            "Each problem is a line \"FILE: key.path: reason\". References ${env:NAME} and ${file:PATH}\n"
            "are read and TLS files tried, so run it as the proxy will run. Names are looked up only\n"
            "with --resolve.\n\n"
            "  davenport check -c davenport.json\n"
            "  davenport check -c davenport.json --print     with every default, without secrets\n",
        .options = {
            CONFIG_OPTION,
            {"print", 'p', NULL, "print what is in effect as JSON; secrets are hidden"},
            {"resolve", 'r', NULL, "look the regions' host names up, too"},
        },
    },
    {
        .name = "schema", .args = "", .run = dp_cli_schema,
        .summary = "print the JSON schema of the configuration",
        .text =
            "For editors: \"$schema\": \"./davenport.schema.json\" as a configuration's first key.\n\n"
            "  davenport schema >davenport.schema.json\n",
    },
    {
        .name = "status", .args = "", .run = dp_cli_status,
        .summary = "show where traffic goes, and why",
        .text =
            "A line for each region; > marks the one that takes the traffic. REQUESTS are attempts made\n"
            "there, FAILED those that speak against it, late ones too.\n" ADMIN_TEXT "\n"
            "  davenport status\n"
            "  davenport status --watch\n"
            "  davenport status --json | jq -r .active\n",
        .options = {
            ADMIN_OPTION, ADMIN_CONFIG_OPTION, JSON_OPTION,
            {"watch", 'w', NULL, "again every second, until Ctrl-C"},
        },
    },
    {
        .name = "explain", .args = "", .run = dp_cli_explain,
        .summary = "why traffic is where it is, and what comes next",
        .text =
            "What was decided and ordered, who takes over next, and each region's evidence: how much\n"
            "speaks against it, and how much more it takes.\n" ADMIN_TEXT "\n"
            "  davenport explain\n",
        .options = {ADMIN_OPTION, ADMIN_CONFIG_OPTION, JSON_OPTION},
    },
    {
        .name = "switch", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "send the traffic to a region, and keep it there",
        .text =
            "The traffic is pinned there: no failback undoes it, but it leaves if the region is lost.\n"
            "Also ends a manual failover: switch back to the preferred region. When --ttl is over the\n"
            "pin ends and the rules decide again: with failback.mode hold_down the traffic returns.\n"
            "Refused if the region is drained, down or draining, or if the last move is younger than\n"
            "safety.dwell_ms; --force overrides all but the drain.\n" ORDER_TEXT "\n"
            "  davenport switch eu-de --dry-run\n"
            "  davenport switch eu-de --reason 'data caught up'\n"
            "  davenport switch us-south --ttl 1h --reason drill\n",
        .options = {ORDER_OPTIONS, TTL_OPTION, FORCE_OPTION},
    },
    {
        .name = "drain", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "take a region out of service until it is resumed",
        .text =
            "It takes no request any more, not even as a last resort, and no restart forgets that (with\n"
            "journal.path). If it had the traffic, the best other region takes over. Refused if fewer\n"
            "than safety.min_regions would be left that serve, or if traffic would move within\n"
            "safety.dwell_ms of the last move; --force overrides both.\n" ORDER_TEXT "\n"
            "  davenport drain eu-de --dry-run\n"
            "  davenport drain eu-de --reason 'kernel update' --ttl 2h\n",
        .options = {ORDER_OPTIONS, TTL_OPTION, FORCE_OPTION},
    },
    {
        .name = "resume", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "end the drain of a region",
        .text =
            "It is probed all along, so it stands by at once, held for failback.hold_down_ms since it\n"
            "lacks what was written meanwhile. To send it the traffic now: davenport switch.\n" ORDER_TEXT "\n"
            "  davenport resume eu-de\n",
        .options = {ORDER_OPTIONS},
    },
    {
        .name = "freeze", .args = "", .run = dp_cli_order,
        .summary = "let nothing move the traffic by itself",
        .text =
            "No failback and no failover, not even away from a region that goes dark: there, requests\n"
            "that may be sent twice are still tried in the other regions, one by one. Operators' orders\n"
            "go on. Use --ttl, so that a forgotten freeze ends.\n" ORDER_TEXT "\n"
            "  davenport freeze --ttl 30m --reason 'network change'\n",
        .options = {ORDER_OPTIONS, TTL_OPTION},
    },
    {
        .name = "unfreeze", .args = "", .run = dp_cli_order,
        .summary = "end a freeze; the rules decide again, at once",
        .text = ORDER_TEXT "\n  davenport unfreeze\n",
        .options = {ORDER_OPTIONS},
    },
    {
        .name = "approve", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "allow traffic to return to a region",
        .text =
            "With failback.mode gated and \"approval\" among failback.conditions, traffic returns only to\n"
            "a region that was approved, and when its other conditions are met: davenport explain names\n"
            "them. It holds for one return, until the region is lost again, or for --ttl.\n" ORDER_TEXT "\n"
            "  davenport approve eu-de --reason 'data compared' --ttl 1h\n",
        .options = {ORDER_OPTIONS, TTL_OPTION},
    },
    {
        .name = "revoke", .args = "REGION", .min_args = 1, .max_args = 1, .run = dp_cli_order,
        .summary = "take an approval back",
        .text = ORDER_TEXT "\n  davenport revoke eu-de\n",
        .options = {ORDER_OPTIONS},
    },
    {
        .name = "reload", .args = "", .run = dp_cli_reload,
        .summary = "read the configuration again, without dropping a connection",
        .text =
            "As SIGHUP does, but waits for the outcome and prints it. The whole file is read and checked, its\n"
            "files are tried and new names looked up; then all of it is in force, or, if there is any problem\n"
            "or a key changed that needs a restart (davenport help config says which), nothing is.\n"
            "Exit code 4: refused.\n" ADMIN_TEXT "\n"
            "  davenport check -c davenport.json && davenport reload\n",
        .options = {ADMIN_OPTION, ADMIN_CONFIG_OPTION, JSON_OPTION},
    },
    {
        .name = "events", .args = "", .run = dp_cli_events,
        .summary = "show the latest entries of the journal",
        .text =
            "Every change of state and every order, with what was seen, which threshold it met, and who\n"
            "did it. With journal.path also those before the last restart.\n" ADMIN_TEXT "\n"
            "  davenport events\n"
            "  davenport events --follow\n"
            "  davenport events --since 41 --json | jq -c 'select(.event == \"failover\")'\n",
        .options = {
            ADMIN_OPTION, ADMIN_CONFIG_OPTION,
            {"json", 'j', NULL, "JSON for programs, an object a line"},
            {"lines", 'n', "N", "at most so many (default 20; 256 with --since)"},
            {"since", 's', "EPOCH", "from this epoch on"},
            {"follow", 'F', NULL, "go on as they come, until Ctrl-C"},
        },
    },
    {
        .name = "version", .args = "", .run = dp_cli_version,
        .summary = "print the version",
        .text = "",
    },
    {
        .name = "help", .args = "[COMMAND|config]", .max_args = 1, .run = dp_cli_help,
        .summary = "explain a command, or every key of the configuration",
        .text = "  davenport help serve\n  davenport help config\n",
    },
};
/* clang-format on */

/* Words to the user --------------------------------------------------------------------------- */

void dp_cli_error(const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) >= 0) {
        (void)fprintf(stderr, "davenport: %s\n", text);
    }
    va_end(args);
}

bool dp_cli_print(const struct dp_text *text)
{
    bool good = !text->failed && fwrite(dp_text_str(text), 1, text->n, stdout) == text->n;
    good = fflush(stdout) == 0 && good;
    if (!good) {
        dp_cli_error("cannot write: %s", strerror(errno));
    }
    return good;
}

bool dp_cli_colour(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && (!term || strcmp(term, "dumb") != 0);
}

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

static void help_command(const struct dp_cli_command *c, struct dp_text *out)
{
    dp_text_addf(out, "usage: davenport %s [OPTION]...%s%s\n\n%s.\n%s\nOptions:\n", c->name,
                 *c->args ? " " : "", c->args, c->summary, c->text);
    help_options(c, out);
}

static void help_all(struct dp_text *out)
{
    dp_text_addf(out,
                 "usage: davenport COMMAND [OPTION]...\n\n"
                 "A health-checking failover proxy for Cloudant and CouchDB: one URL that keeps\n"
                 "working when a region goes dark.\n\nCommands:\n");
    for (size_t i = 0; i < DP_ARRAY_LEN(commands); i++) {
        dp_text_addf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    }
    dp_text_addf(out,
                 "\nBegin with:\n"
                 "  davenport check -c davenport.json     is this configuration good?\n"
                 "  davenport serve -c davenport.json     run it\n"
                 "  davenport status                      where does the traffic go?\n"
                 "  davenport help COMMAND                more about one of them\n"
                 "  davenport help config                 every key of the configuration\n"
                 "  davenport explain                     why there, and what comes next?\n"
                 "\nExit codes: 0 done; 1 failed, or a bad configuration; 2 a wrong command line;\n"
                 "3 no proxy answers; 4 refused by a rule; 5 the epoch has moved.\n");
}

static int print_and_free(struct dp_text *text)
{
    int code = dp_cli_print(text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    dp_text_fini(text);
    return code;
}

/* Parsing -------------------------------------------------------------------------------------- */

static const struct dp_cli_command *find(const char *name)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    struct dp_span typed = dp_span_str(name);
    const char *best = NULL;
    unsigned least = UINT32_MAX;
    for (size_t i = 0; i < DP_ARRAY_LEN(commands); i++) {
        unsigned distance = dp_suggest_distance(typed, dp_span_str(commands[i].name));
        if (distance < least && dp_suggest_near(typed, distance)) {
            least = distance;
            best = commands[i].name;
        }
    }
    if (best) {
        dp_cli_error("there is no command %.32s; did you mean %s?", name, best);
    } else {
        dp_cli_error("there is no command %.32s; davenport help lists them", name);
    }
    return DP_EXIT_USAGE;
}

const char *dp_cli_value(const struct dp_cli_call *call, const char *option)
{
    const struct dp_cli_option *options = call->command->options;
    for (size_t i = 0; i < DP_CLI_OPTIONS && options[i].name; i++) {
        if (strcmp(options[i].name, option) == 0) {
            return call->values[i];
        }
    }
    assert(false && "an option that is in the command's table");
    return NULL;
}

/* getopt's two notations of one table. Values: option index + 1000, so that none looks like a letter. */
#define OPTION_BASE 1000

static void make_getopt(const struct dp_cli_command *c, struct option *longs, char *letters)
{
    size_t n = 0;
    *letters++ = ':'; /* a missing argument is told apart */
    *letters++ = 'h';
    for (; c->options[n].name; n++) {
        const struct dp_cli_option *o = &c->options[n];
        longs[n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL,
                                   OPTION_BASE + (int)n};
        if (o->letter) {
            *letters++ = o->letter;
        }
        if (o->letter && o->arg) {
            *letters++ = ':';
        }
    }
    *letters = '\0';
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};
    longs[n + 1] = (struct option){0};
}

static int option_index(const struct dp_cli_command *c, int value)
{
    if (value >= OPTION_BASE) {
        return value - OPTION_BASE;
    }
    for (int i = 0; c->options[i].name; i++) {
        if (c->options[i].letter == value) {
            return i;
        }
    }
    return -1;
}

enum parsed { PARSED, PARSED_HELP, PARSED_WRONG };

/* argv[0] is the command's name. */
static enum parsed parse(struct dp_cli_call *call, int argc, char **argv)
{
    const struct dp_cli_command *c = call->command;
    struct option longs[DP_CLI_OPTIONS + 2];
    char letters[2 * DP_CLI_OPTIONS + 4];
    make_getopt(c, longs, letters);
    optind = 0; /* glibc: forget what was parsed before */
    opterr = 0;
    for (;;) {
        int value = getopt_long(argc, argv, letters, longs, NULL);
        if (value == -1) {
            break;
        }
        if (value == 'h') {
            return PARSED_HELP;
        }
        int i = option_index(c, value);
        if (value == ':' || value == '?' || i < 0) {
            dp_cli_error("%s: %s %.64s", c->name,
                         value == ':' ? "an argument is missing after" : "there is no option",
                         argv[optind - 1]);
            return PARSED_WRONG;
        }
        call->values[i] = c->options[i].arg ? optarg : "";
    }
    call->args = argv + optind;
    call->n_args = argc - optind;
    if (call->n_args < c->min_args) {
        dp_cli_error("%s: %s is missing", c->name, c->args);
        return PARSED_WRONG;
    }
    if (call->n_args > c->max_args) {
        dp_cli_error("%s: %.64s is too much", c->name, call->args[c->max_args]);
        return PARSED_WRONG;
    }
    return PARSED;
}

int dp_cli_main(int argc, char **argv)
{
    struct dp_text text = {0};
    const char *name = argc > 1 ? argv[1] : NULL;
    dp_json_memory_init();
    if (!name) {
        dp_cli_error("a command is missing; davenport help lists them");
        return DP_EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        help_all(&text);
        return print_and_free(&text);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    struct dp_cli_call call = {.command = find(name)};
    if (!call.command) {
        return unknown_command(name);
    }
    switch (parse(&call, argc - 1, argv + 1)) {
    case PARSED_HELP:
        help_command(call.command, &text);
        return print_and_free(&text);
    case PARSED_WRONG:
        dp_cli_error("davenport %s --help tells how it is used", call.command->name);
        return DP_EXIT_USAGE;
    case PARSED:
        break;
    }
    return call.command->run(&call);
}

/* Commands of the grammar itself, and serve ------------------------------------------------------ */

int dp_cli_help(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    if (call->n_args == 0) {
        help_all(&text);
    } else if (strcmp(call->args[0], "config") == 0) {
        dp_text_addf(
            &text,
            "The configuration is one JSON object. Every key with its default; a string may hold\n"
            "${env:NAME} and ${file:PATH}; \"$comment\" may stand in any object.\n\n");
        dp_config_help(&text);
    } else {
        const struct dp_cli_command *c = find(call->args[0]);
        if (!c) {
            return unknown_command(call->args[0]);
        }
        help_command(c, &text);
    }
    return print_and_free(&text);
}

int dp_cli_version(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    (void)call;
    dp_text_addf(&text, "davenport %s%s%s%s\n", DP_VERSION, *DP_VERSION_GIT ? " (" : "",
                 DP_VERSION_GIT, *DP_VERSION_GIT ? ")" : "");
    return print_and_free(&text);
}

int dp_cli_serve(const struct dp_cli_call *call)
{
    struct dp_serve_options options = {.config_path = dp_cli_value(call, "config"),
                                       .port_file = dp_cli_value(call, "port-file"),
                                       .ready_fd = -1};
    const char *fd = dp_cli_value(call, "ready-fd");
    uint64_t n;
    if (fd) {
        if (!dp_span_u64(dp_span_str(fd), &n) || n > INT32_MAX) {
            dp_cli_error("serve: --ready-fd takes the number of a file descriptor");
            return DP_EXIT_USAGE;
        }
        options.ready_fd = (int)n;
    }
    return dp_serve(&options);
}
