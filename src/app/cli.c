/* The command line's grammar. Its table is in cli_table.c, its help in cli_help.c, what the subcommands do in the other cli_*.c. */
#include "app/cli.h"

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
#include <sys/resource.h>
#include <unistd.h>

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

bool dp_cli_raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return true; /* nobody knows of one */
    }
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

bool dp_cli_colour(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && (!term || strcmp(term, "dumb") != 0);
}

int dp_cli_print_and_free(struct dp_text *text)
{
    int code = dp_cli_print(text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    dp_text_fini(text);
    return code;
}

/* Parsing -------------------------------------------------------------------------------------- */

const struct dp_cli_command *dp_cli_command_of(const char *name)
{
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        if (strcmp(dp_cli_commands[i].name, name) == 0) {
            return &dp_cli_commands[i];
        }
    }
    return NULL;
}

int dp_cli_unknown_command(const char *name)
{
    struct dp_suggestion best = {0};
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        dp_suggest_consider(&best, dp_span_str(name), dp_cli_commands[i].name);
    }
    if (best.word) {
        dp_cli_error("there is no command %.32s; did you mean %s?", name, best.word);
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
        dp_cli_help_all(&text);
        return dp_cli_print_and_free(&text);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    struct dp_cli_call call = {.command = dp_cli_command_of(name)};
    if (!call.command) {
        return dp_cli_unknown_command(name);
    }
    switch (parse(&call, argc - 1, argv + 1)) {
    case PARSED_HELP:
        dp_cli_help_command(call.command, &text);
        return dp_cli_print_and_free(&text);
    case PARSED_WRONG:
        dp_cli_error("davenport %s --help tells how it is used", call.command->name);
        return DP_EXIT_USAGE;
    case PARSED:
        break;
    }
    return call.command->run(&call);
}

/* serve ------------------------------------------------------ */

int dp_cli_serve(const struct dp_cli_call *call)
{
    struct dp_serve_options options = {.config_path = dp_cli_value(call, "config"),
                                       .port_file = dp_cli_value(call, "port-file"),
                                       .ready_fd = -1};
    const char *fd = dp_cli_value(call, "ready-fd");
    uint64_t n;
    if (options.port_file && strcmp(options.port_file, "-") == 0) {
        dp_cli_error("serve: --port-file takes a file's name; --ready-fd 1 writes to stdout");
        return DP_EXIT_USAGE;
    }
    if (fd) {
        if (!dp_span_u64(dp_span_str(fd), &n) || n > INT32_MAX) {
            dp_cli_error("serve: --ready-fd takes the number of a file descriptor");
            return DP_EXIT_USAGE;
        }
        options.ready_fd = (int)n;
    }
    return dp_serve(&options);
}
