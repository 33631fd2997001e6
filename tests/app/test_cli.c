/* The command line: every command's help, wrong lines, exit codes, and what check prints. */
#include "app/cli.h"
#include "support/tls_certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define ARGS_MAX 8

/* A program's two streams, caught in files. */
struct caught {
    char out[65536], err[8192];
};

static int divert(FILE *stream, int fd, FILE **file)
{
    *file = tmpfile();
    assert_non_null(*file);
    (void)fflush(stream);
    int saved = dup(fd);
    assert_true(saved >= 0 && dup2(fileno(*file), fd) == fd);
    return saved;
}

static void restore(FILE *stream, int fd, int saved, FILE *file, char *text, size_t cap)
{
    (void)fflush(stream);
    assert_int_equal(dup2(saved, fd), fd);
    (void)close(saved);
    rewind(file);
    size_t n = fread(text, 1, cap - 1, file);
    text[n] = '\0';
    (void)fclose(file);
}

static int run(const char *const *args, struct caught *c)
{
    char *argv[ARGS_MAX + 2] = {strdup("davenport")};
    int argc = 1;
    FILE *out;
    FILE *err;
    for (; args[argc - 1]; argc++) {
        argv[argc] = strdup(args[argc - 1]);
    }
    int saved_out = divert(stdout, STDOUT_FILENO, &out);
    int saved_err = divert(stderr, STDERR_FILENO, &err);
    int code = dp_cli_main(argc, argv);
    restore(stderr, STDERR_FILENO, saved_err, err, c->err, sizeof c->err);
    restore(stdout, STDOUT_FILENO, saved_out, out, c->out, sizeof c->out);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return code;
}

static struct caught *new_caught(void)
{
    struct caught *c = calloc(1, sizeof *c);
    assert_non_null(c);
    return c;
}

struct line {
    const char *args[ARGS_MAX];
    int code;
    const char *out, *err; /* what each begins with; NULL: nothing at all */
};

static void try_lines(const struct line *rows, size_t n)
{
    struct caught *c = new_caught();
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(run(rows[i].args, c), rows[i].code);
        const char *out = rows[i].out ? rows[i].out : "";
        const char *err = rows[i].err ? rows[i].err : "";
        if (!*out || !*err) {
            assert_string_equal(*out ? c->err : c->out, "");
        }
        assert_memory_equal(c->out, out, strlen(out));
        assert_memory_equal(c->err, err, strlen(err));
    }
    free(c);
}

static void test_lines(void **state)
{
    static const struct line rows[] = {
        {{NULL}, 2, NULL, "davenport: a command is missing; davenport help lists them\n"},
        {{"help"}, 0, "usage: davenport COMMAND", NULL},
        {{"--help"}, 0, "usage: davenport COMMAND", NULL},
        {{"-h"}, 0, "usage: davenport COMMAND", NULL},
        {{"help", "serve"}, 0, "usage: davenport serve [OPTION]...\n\nrun the proxy.\n", NULL},
        {{"help", "config"}, 0, "The configuration is one JSON object.", NULL},
        {{"help", "--man"}, 0, ".TH DAVENPORT 1 ", NULL},
        {{"help", "config", "--man"}, 0, ".TH DAVENPORT.JSON 5 ", NULL},
        {{"help", "plan", "--man"}, 2, NULL, "davenport: help: --man makes davenport(1)"},
        {{"help", "sevre"}, 2, NULL, "davenport: there is no command sevre; did you mean serve?\n"},
        {{"help", "a", "b"}, 2, NULL, "davenport: help: b is too much\n"},
        {{"--version"}, 0, "davenport ", NULL},
        {{"version"}, 0, "davenport ", NULL},
        {{"version", "--json"}, 0, "{\"version\":\"", NULL},
        {{"help", "--json", "serve"}, 2, NULL, "davenport: help: --json tells of all commands"},
        {{"completion"}, 2, NULL, "davenport: completion: bash|zsh is missing\n"},
        {{"completion", "fish"}, 2, NULL, "davenport: completion: there are scripts for bash and"},
        {{"completion", "bash"}, 0, "# bash completion of davenport", NULL},
        {{"completion", "zsh"}, 0, "#compdef davenport\n", NULL},
        {{"statsu"}, 2, NULL, "davenport: there is no command statsu; did you mean status?\n"},
        {{"frobnicate"}, 2, NULL, "davenport: there is no command frobnicate; davenport help"},
        {{"check", "--help"}, 0, "usage: davenport check [OPTION]...\n", NULL},
        {{"check", "-x"}, 2, NULL, "davenport: check: there is no option -x\n"},
        {{"check", "--nope"}, 2, NULL, "davenport: check: there is no option --nope\n"},
        {{"check", "-c"}, 2, NULL, "davenport: check: an argument is missing after -c\n"},
        {{"check", "file"}, 2, NULL, "davenport: check: file is too much\n"},
        {{"check"}, 0, "built-in default: ok\n  applications  http://127.0.0.1:8984\n", NULL},
        {{"check", "--print"}, 0, "{\n  \"listen\": {\n", NULL},
        {{"check", "-c", "/nonexistent"},
         1,
         NULL,
         "/nonexistent: cannot be opened: No such file or directory\n"},
        {{"schema"}, 0, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\"", NULL},
        {{"switch"}, 2, NULL, "davenport: switch: REGION is missing\n"},
        {{"status", "-a", "127.0.0.1:1"}, 3, NULL, "davenport: no proxy answers at 127.0.0.1:1: "},
        {{"events", "-a", "unix:/nonexistent"},
         3,
         NULL,
         "davenport: no proxy answers at unix:/nonexistent: No such file or directory. Is it "
         "running?"},
        {{"switch", "x", "-a", "127.0.0.1:1"}, 3, NULL, "davenport: no proxy answers at "},
        {{"status", "-a", "example.org:80"},
         2,
         NULL,
         "davenport: --admin: example.org:80: must be"},
        {{"drain", "x", "-t", "0m"}, 2, NULL, "davenport: drain: --ttl takes a time like 90s"},
        {{"drain", "x", "-t", "367d"}, 2, NULL, "davenport: drain: --ttl takes a time like 90s"},
        {{"resume", "x", "-t", "1h"}, 2, NULL, "davenport: resume: there is no option -t\n"},
        {{"freeze", "x"}, 2, NULL, "davenport: freeze: x is too much\n"},
        {{"freeze", "-e", "-1"}, 2, NULL, "davenport: freeze: --epoch takes the number"},
        {{"freeze", "-t", "1h", "-a", "127.0.0.1:1"}, 3, NULL, "davenport: no proxy answers at "},
        {{"explain", "-a", "127.0.0.1:1"}, 3, NULL, "davenport: no proxy answers at "},
        {{"events", "-F", "-a", "127.0.0.1:1"}, 3, NULL, "davenport: no proxy answers at "},
        {{"events", "-s", "x"}, 2, NULL, "davenport: events: --since takes an epoch"},
        {{"events", "-n", "many"},
         2,
         NULL,
         "davenport: events: --lines takes a number up to 256\n"},
        {{"serve", "--port-file", "-"},
         2,
         NULL,
         "davenport: serve: --port-file takes a file's name"},
        {{"serve", "--ready-fd", "x"}, 2, NULL, "davenport: serve: --ready-fd takes the number"},
        {{"serve", "-c", "/nonexistent"}, 1, NULL, "/nonexistent: cannot be opened: "},
    };
    (void)state;
    try_lines(rows, DP_ARRAY_LEN(rows));
}

static void test_fault_lines(void **state)
{
    static const struct line rows[] = {
        {{"fault", "x"}, 2, NULL, "davenport: fault: REGION KIND is missing\n"},
        {{"fault", "x", "dark"}, 2, NULL, "davenport: fault: --for TIME is needed, like 30s"},
        {{"fault", "x", "dark", "-f", "0s"}, 2, NULL, "davenport: fault: --for TIME is needed"},
        {{"fault", "x", "slow", "-f", "1s", "-d", "600001"},
         2,
         NULL,
         "davenport: fault: --delay-ms takes milliseconds, at most 600000\n"},
        {{"fault", "x", "dark", "-f", "1s", "-s", "0"}, 2, NULL, "davenport: fault: --share takes"},
        {{"fault", "x", "dark", "-f", "1s", "-s", "101%"},
         2,
         NULL,
         "davenport: fault: --share takes a percentage"},
        {{"fault", "x", "dark", "-f", "1s", "-s", "nan"}, 2, NULL, "davenport: fault: --share"},
        {{"fault", "x", "dark", "-f", "1s", "-m", "\xff"}, 2, NULL, "davenport: fault: REGION, "},
        {{"fault", "x", "dark", "-f30s", "-s0.5%", "-b a, b*", "-a127.0.0.1:1"},
         3,
         NULL,
         "davenport: no proxy answers at "},
        {{"heal", "a", "b"}, 2, NULL, "davenport: heal: b is too much\n"},
        {{"heal", "-a", "127.0.0.1:1"}, 3, NULL, "davenport: no proxy answers at "},
    };
    (void)state;
    try_lines(rows, DP_ARRAY_LEN(rows));
}

/* What only trying them shows of TLS files, of all that there are. */
static void test_check_tries_tls_files(void **state)
{
    char document[2048], server[256], expected[256];
    struct caught *c = new_caught();
    (void)state;
    assert_int_equal(tls_certs_make(), 0);
    (void)snprintf(server, sizeof server, "%s", tls_certs_path("server.crt"));
    for (int good = 0; good < 2; good++) {
        (void)snprintf(document, sizeof document,
                       "{\"listen\": {\"tls\": {\"cert_file\": \"%s\", \"key_file\": \"%s\"}},"
                       " \"regions\": [{\"name\": \"a\", \"url\": \"https://localhost:1\","
                       " \"tls\": {\"ca_file\": \"%s\"}},"
                       " {\"name\": \"b\", \"url\": \"https://localhost:2\","
                       " \"tls\": {\"ca_file\": \"%s\"}}]}",
                       server, tls_certs_path(good ? "server.key" : "server2.key"),
                       good ? tls_certs_path("ca.crt") : "/nonexistent/a",
                       good ? tls_certs_path("ca.crt") : "/nonexistent/b");
        const char *path = tls_certs_write("davenport.json", document);
        const int code = run((const char *const[]){"check", "-c", path, NULL}, c);
        if (good) {
            assert_string_equal(c->err, "");
            assert_int_equal(code, 0);
            continue;
        }
        assert_int_equal(code, 1);
        assert_string_equal(c->out, "");
        (void)snprintf(expected, sizeof expected, "%s: listen.tls: key ", path);
        print_message("%s", c->err);
        assert_non_null(strstr(c->err, expected));
        for (int i = 0; i < 2; i++) {
            (void)snprintf(expected, sizeof expected, "%s: regions[%d].tls: /nonexistent/%c ", path,
                           i, 'a' + i);
            assert_non_null(strstr(c->err, expected));
        }
    }
    tls_certs_remove();
    free(c);
}

/* Every command explains itself in both ways, with its options. */
static void test_every_command_has_help(void **state)
{
    struct caught *c = new_caught();
    char first[8192];
    (void)state;
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        const char *name = dp_cli_commands[i].name;
        assert_int_equal(run((const char *const[]){name, "--help", NULL}, c), 0);
        assert_true(snprintf(first, sizeof first, "%s", c->out) < (int)sizeof first);
        assert_non_null(strstr(first, "-h, --help "));
        assert_non_null(strstr(first, "  davenport "));
        assert_int_equal(run((const char *const[]){"help", name, NULL}, c), 0);
        assert_string_equal(c->out, first);
    }
    free(c);
}

/* The table itself: one letter, one name, one meaning; all that prints has JSON. */
static void test_table(void **state)
{
    static const char *const no_json[] = {"serve", "schema", "report", "completion"};
    (void)state;
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        const struct dp_cli_command *c = &dp_cli_commands[i];
        bool json = false;
        size_t n = 0;
        assert_ptr_equal(dp_cli_command_of(c->name), c);
        for (; n < DP_CLI_OPTIONS && c->options[n].name; n++) {
            const struct dp_cli_option *o = &c->options[n];
            json = json || (strcmp(o->name, "json") == 0 && o->letter == 'j' && !o->arg);
            assert_true(*o->text != '\0' && o->letter != 'h' && strcmp(o->name, "help") != 0);
            for (size_t k = 0; k < n; k++) {
                assert_string_not_equal(o->name, c->options[k].name);
                assert_true(o->letter == 0 || o->letter != c->options[k].letter);
            }
        }
        assert_true(n < DP_CLI_OPTIONS); /* the end of the list is there */
        for (size_t k = 0; k < DP_ARRAY_LEN(no_json); k++) {
            json = json || strcmp(c->name, no_json[k]) == 0;
        }
        if (!json) {
            fail_msg("davenport %s has no --json", c->name);
        }
    }
}

/* What programs are told of the command line: all that stands in the table. */
static void test_help_json(void **state)
{
    struct dp_text text = {0};
    (void)state;
    dp_cli_help_json(&text);
    assert_false(text.failed);
    json_t *root = json_loadb(text.p, text.n, 0, NULL);
    const json_t *commands = json_object_get(root, "commands");
    assert_int_equal(json_array_size(commands), dp_cli_n_commands);
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        const json_t *c = json_array_get(commands, i);
        const json_t *options = json_object_get(c, "options");
        assert_string_equal(json_string_value(json_object_get(c, "name")), dp_cli_commands[i].name);
        for (size_t k = 0; k < json_array_size(options); k++) {
            const json_t *name = json_object_get(json_array_get(options, k), "name");
            assert_string_equal(json_string_value(name), dp_cli_commands[i].options[k].name);
        }
    }
    size_t exits = 0;
    for (; dp_cli_exits[exits].text; exits++) {
        const json_t *e = json_array_get(json_object_get(root, "exit_codes"), exits);
        assert_int_equal(json_integer_value(json_object_get(e, "code")), dp_cli_exits[exits].code);
    }
    assert_int_equal(json_array_size(json_object_get(root, "exit_codes")), exits);
    assert_true(json_array_size(json_object_get(root, "environment")) > 0);
    json_decref(root);
    dp_text_fini(&text);
}

/* davenport check --json: a problem is told with its key and its reason. */
static void test_check_json(void **state)
{
    struct caught *c = new_caught();
    (void)state;
    assert_int_equal(tls_certs_make(), 0); /* for its folder */
    const char *path =
        tls_certs_write("bad.json", "{\"workers\": 999, \"regions\": [{\"name\": \"a\"}]}");
    assert_int_equal(run((const char *const[]){"check", "--json", "-c", path, NULL}, c), 1);
    assert_string_equal(c->err, "");
    json_t *root = json_loads(c->out, 0, NULL);
    assert_true(json_is_false(json_object_get(root, "ok")));
    assert_string_equal(json_string_value(json_object_get(root, "file")), path);
    const json_t *first = json_array_get(json_object_get(root, "problems"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "severity")), "error");
    assert_string_equal(json_string_value(json_object_get(first, "key")), "workers");
    assert_true(json_string_length(json_object_get(first, "reason")) > 0);
    json_decref(root);
    assert_int_equal(run((const char *const[]){"check", "--json", NULL}, c), 0);
    root = json_loads(c->out, 0, NULL);
    assert_true(json_is_true(json_object_get(root, "ok")));
    json_decref(root);
    tls_certs_remove();
    free(c);
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        uint64_t seconds; /* 0: not one */
    } rows[] = {
        {"90", 90},
        {"90s", 90},
        {"10m", 600},
        {"1h", 3600},
        {"2d", 172800},
        {"366d", 31622400},
        {"367d", 0},
        {"", 0},
        {"m", 0},
        {"-1m", 0},
        {"1.5h", 0},
        {"1hm", 0},
        {"0s", 0},
        {"18446744073709551616", 0},
        {"18446744073709551615d", 0},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        uint64_t seconds = 0;
        assert_int_equal(dp_ttl_parse(rows[i].text, &seconds), rows[i].seconds != 0);
        assert_int_equal(seconds, rows[i].seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_fault_lines),
        cmocka_unit_test(test_check_tries_tls_files),
        cmocka_unit_test(test_every_command_has_help),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_help_json),
        cmocka_unit_test(test_check_json),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
