/* The command line: one table of subcommands, one way to parse, to help and to fail. */
#ifndef DAVENPORT_SRC_APP_CLI_H
#define DAVENPORT_SRC_APP_CLI_H

#include "davenport/app/config.h"
#include "davenport/app/text.h"
#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a process may end with; dp_cli_exits tells it. */
enum dp_exit {
    DP_EXIT_OK = 0,
    DP_EXIT_FAILED = 1,      /* a bad configuration, an unknown region, a start that failed */
    DP_EXIT_USAGE = 2,       /* the command line itself */
    DP_EXIT_UNREACHABLE = 3, /* no proxy answers */
    DP_EXIT_REFUSED = 4,     /* a rule refused the order, or would (--dry-run) */
    DP_EXIT_EPOCH = 5,       /* the epoch has moved (--epoch) */
    DP_EXIT_ABORTED = 6,     /* of a drill: a limit of its plan was crossed */
    DP_EXIT_NOT_DONE = 7,    /* of a drill: it could not be carried out */
    DP_EXIT_NOT_HEALED = 8,  /* of a drill: what it broke could not be undone */
    DP_EXIT_INTERRUPTED = 130
};

struct dp_cli_exit {
    int code;
    const char *text;
};
/* Ended by a row without a text. */
extern const struct dp_cli_exit dp_cli_exits[];

/* A variable of the environment. */
struct dp_cli_variable {
    const char *name;
    const char *text;
};
/* Ended by a row without a name. */
extern const struct dp_cli_variable dp_cli_variables[];

#define DP_CLI_OPTIONS 26 /* one more than any command has */

struct dp_cli_option {
    const char *name; /* NULL ends the list */
    char letter;      /* 0: none */
    const char
        *arg; /* what stands after it, NULL: nothing. FILE, FOLDER, or "this|that" is completed */
    const char *text;
};

struct dp_cli_call;

struct dp_cli_command {
    const char *name;
    const char *args; /* "REGION", "this|that", "" */
    int min_args, max_args;
    const char *summary; /* one line */
    const char *text;    /* what help adds: details and examples */
    struct dp_cli_option options[DP_CLI_OPTIONS];
    int (*run)(const struct dp_cli_call *call);
};

extern const struct dp_cli_command dp_cli_commands[];
extern const size_t dp_cli_n_commands;
/* NULL: there is none. */
const struct dp_cli_command *dp_cli_command_of(const char *name);

/* A parsed command line. */
struct dp_cli_call {
    const struct dp_cli_command *command;
    const char *values[DP_CLI_OPTIONS]; /* "" for an option without an argument; NULL: not given */
    int n_args;
    char *const *args;
};

/* The value of an option of the command's table. */
const char *dp_cli_value(const struct dp_cli_call *call, const char *option);

/* The pages of help, and the same as JSON. */
void dp_cli_help_all(struct dp_text *out);
void dp_cli_help_command(const struct dp_cli_command *c, struct dp_text *out);
void dp_cli_help_json(struct dp_text *out);
/* After a word on stderr, and what may have been meant: DP_EXIT_USAGE. */
int dp_cli_unknown_command(const char *name);
/* Print it and free it: the exit code. */
int dp_cli_print_and_free(struct dp_text *text);

/* main() without the process. */
int dp_cli_main(int argc, char **argv);

/* "davenport: …" on stderr. */
void dp_cli_error(const char *fmt, ...) DP_PRINTF(1, 2);
/* On stdout; true when all of it was written. */
bool dp_cli_print(const struct dp_text *text);
/* "90", "90s", "10m", "1h", "2d": 1 s to 366 d. */
DP_MUST_USE bool dp_ttl_parse(const char *text, uint64_t *seconds);
/* Is the URL's host this machine? */
bool dp_cli_is_loopback(const char *url);
/* It is, or its option --i-own-this names the host (with commas between). False after a word on stderr. */
bool dp_cli_owns(const struct dp_cli_call *call, const char *url);
/* Is the rate one that --max-rate allows (by default: any on this machine, 200 elsewhere)? The code to exit with after a
 * word on stderr; DP_EXIT_OK: it is. name: of the rate. */
int dp_cli_may_load(const struct dp_cli_call *call, const char *name, double rate, bool foreign);
/* As many descriptors as the system allows. False: the limit could not be raised. */
bool dp_cli_raise_files(void);
/* May what goes to stdout have colours? */
bool dp_cli_colour(void);
/* Are the regions' hosts looked up too? TRY: one without an address is only a warning. */
enum dp_cli_resolve { DP_RESOLVE_NOT, DP_RESOLVE_TRY, DP_RESOLVE_MUST };

/* A configuration, or NULL after its problems went to stderr. */
struct dp_config *dp_cli_load_config(const char *path, enum dp_cli_resolve resolve);

int dp_cli_serve(const struct dp_cli_call *call);
int dp_cli_check(const struct dp_cli_call *call);
int dp_cli_schema(const struct dp_cli_call *call);
int dp_cli_status(const struct dp_cli_call *call);
int dp_cli_top(const struct dp_cli_call *call);
int dp_cli_explain(const struct dp_cli_call *call);
int dp_cli_reload(const struct dp_cli_call *call);
int dp_cli_upgrade(const struct dp_cli_call *call);
int dp_cli_order(
    const struct dp_cli_call *call); /* switch, drain, resume, freeze, unfreeze, approve, revoke */
int dp_cli_fault(const struct dp_cli_call *call);
int dp_cli_heal(const struct dp_cli_call *call);
int dp_cli_events(const struct dp_cli_call *call);
int dp_cli_drill(const struct dp_cli_call *call);
int dp_cli_hash_password(const struct dp_cli_call *call);
int dp_cli_token(const struct dp_cli_call *call);
int dp_cli_load(const struct dp_cli_call *call);
int dp_cli_relay(const struct dp_cli_call *call);
int dp_cli_report(const struct dp_cli_call *call);
int dp_cli_completion(const struct dp_cli_call *call);
int dp_cli_version(const struct dp_cli_call *call);
int dp_cli_help(const struct dp_cli_call *call);

#endif
