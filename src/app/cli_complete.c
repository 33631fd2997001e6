/* completion: the scripts that complete this command line, made of its table.
 *
 * Both know which words may come; where a region's name may, they ask the running proxy for them. */
#include "app/cli.h"

#include <string.h>

/* What may stand in a place that the table calls so. Anything else is either words ("read|operator") or can't be guessed. */
enum place { PLACE_WORDS, PLACE_FILE, PLACE_FOLDER, PLACE_REGION, PLACE_COMMAND, PLACE_NONE };

static const struct {
    const char *name;
    enum place place;
    const char *words;
} places[] = {
    {"FILE", PLACE_FILE, NULL},          {"PLAN", PLACE_FILE, NULL},
    {"RESULT", PLACE_FILE, NULL},        {"PATH", PLACE_FILE, NULL},
    {"FOLDER", PLACE_FOLDER, NULL},      {"REGION", PLACE_REGION, NULL},
    {"COMMAND", PLACE_COMMAND, NULL},    {"KIND", PLACE_WORDS, "dark refused slow flaky"},
    {"TIME", PLACE_WORDS, "30s 10m 1h"},
};

/* One word of the table's; *words: what it stands for, where that is known. */
static enum place place_of(struct dp_span name, struct dp_span *words)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(places); i++) {
        if (dp_span_eq(name, dp_span_str(places[i].name))) {
            *words = dp_span_str(places[i].words ? places[i].words : "");
            return places[i].place;
        }
    }
    *words = name;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < 'a' || name.p[i] > 'z') {
            return PLACE_NONE;
        }
    }
    return PLACE_WORDS;
}

/* All that may stand behind a command or an option: "[COMMAND|config|plan]", "REGION KIND". */
struct places {
    bool file, folder, region;
    struct dp_text words; /* blanks between */
};

static void read_places(const char *text, struct places *out)
{
    struct dp_span rest = dp_span_str(text);
    *out = (struct places){0};
    while (rest.p) {
        size_t n = 0;
        while (n < rest.n && !strchr("[]| ", rest.p[n])) {
            n++;
        }
        struct dp_span words;
        switch (n ? place_of((struct dp_span){rest.p, n}, &words) : PLACE_NONE) {
        case PLACE_FILE:
            out->file = true;
            break;
        case PLACE_FOLDER:
            out->folder = true;
            break;
        case PLACE_REGION:
            out->region = true;
            break;
        case PLACE_COMMAND:
            for (size_t i = 0; i < dp_cli_n_commands; i++) {
                dp_text_addf(&out->words, "%s%s", out->words.n ? " " : "", dp_cli_commands[i].name);
            }
            break;
        case PLACE_WORDS:
            dp_text_addf(&out->words, "%s%.*s", out->words.n ? " " : "", (int)words.n, words.p);
            break;
        case PLACE_NONE:
            break;
        }
        rest = n < rest.n ? (struct dp_span){rest.p + n + 1, rest.n - n - 1}
                          : (struct dp_span){NULL, 0};
    }
}

/* ---- bash ---- */

static void bash_action(const struct places *p, struct dp_text *out)
{
    if (p->file || p->folder) {
        dp_text_addf(out, "_davenport_files %s; return", p->file ? "-f" : "-d");
    } else if (p->region) {
        dp_text_addf(out, "words=\"%s $(_davenport_regions)\"", dp_text_str(&p->words));
    } else {
        dp_text_addf(out, "words=\"%s\"", dp_text_str(&p->words));
    }
}

/* What stands behind this command's options that take something, and which options there are. */
static void bash_command(const struct dp_cli_command *c, struct dp_text *values,
                         struct dp_text *options, struct dp_text *args)
{
    struct places p;
    dp_text_addf(options, "        %s) words=\"--help", c->name);
    for (const struct dp_cli_option *o = c->options; o->name; o++) {
        dp_text_addf(options, " --%s", o->name);
        if (!o->arg) {
            continue;
        }
        dp_text_addf(values, "        %s:--%s", c->name, o->name);
        if (o->letter) {
            dp_text_addf(values, "|%s:-%c", c->name, o->letter);
        }
        dp_text_add(values, DP_SPAN(") "));
        read_places(o->arg, &p);
        bash_action(&p, values);
        dp_text_add(values, DP_SPAN(" ;;\n"));
        dp_text_fini(&p.words);
    }
    dp_text_add(options, DP_SPAN("\" ;;\n"));
    if (*c->args) {
        dp_text_addf(args, "        %s) ", c->name);
        read_places(c->args, &p);
        bash_action(&p, args);
        dp_text_add(args, DP_SPAN(" ;;\n"));
        dp_text_fini(&p.words);
    }
}

static void bash_script(struct dp_text *out)
{
    struct dp_text values = {0};
    struct dp_text options = {0};
    struct dp_text args = {0};
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        bash_command(&dp_cli_commands[i], &values, &options, &args);
    }
    dp_text_addf(out, "# bash completion of davenport, made by: davenport completion bash\n"
                      "_davenport_regions()\n{\n"
                      "    \"${COMP_WORDS[0]}\" status --names 2>/dev/null\n}\n\n"
                      "_davenport_files()\n{\n"
                      "    compopt -o filenames 2>/dev/null\n"
                      "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n}\n\n"
                      "_davenport()\n{\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                      "    local command=${COMP_WORDS[1]} words=none\n"
                      "    COMPREPLY=()\n"
                      "    if [[ $cur == = ]]; then\n        cur=\n"
                      "    elif [[ $prev == = ]]; then\n"
                      "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n    fi\n"
                      "    if ((COMP_CWORD == 1)); then\n        words=\"--help --version");
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        dp_text_addf(out, " %s", dp_cli_commands[i].name);
    }
    dp_text_addf(out,
                 "\"\n    else\n        case $command:$prev in\n%s        esac\n    fi\n"
                 "    if [[ $words == none && $cur == -* ]]; then\n"
                 "        case $command in\n%s        esac\n"
                 "    elif [[ $words == none ]]; then\n"
                 "        case $command in\n%s        esac\n    fi\n"
                 "    [[ $words == none ]] && return\n"
                 "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
                 "complete -F _davenport davenport\n",
                 dp_text_str(&values), dp_text_str(&options), dp_text_str(&args));
    out->failed = out->failed || values.failed || options.failed || args.failed;
    dp_text_fini(&values);
    dp_text_fini(&options);
    dp_text_fini(&args);
}

/* ---- zsh ---- */

/* Within single quotes, and within brackets or between colons. */
static void zsh_text(const char *text, struct dp_text *out)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            dp_text_add(out, DP_SPAN("'\\''"));
        } else if (strchr("[]:\\", *c)) {
            dp_text_addf(out, "\\%c", *c);
        } else {
            dp_text_add(out, (struct dp_span){c, 1});
        }
    }
}

/* ":FILE:_files" */
static void zsh_place(const char *name, struct dp_text *out)
{
    struct places p;
    read_places(name, &p);
    dp_text_add(out, DP_SPAN(":"));
    zsh_text(name, out);
    if (p.file || p.folder) {
        dp_text_addf(out, ":_files%s", p.file ? "" : " -/");
    } else if (p.region) {
        dp_text_addf(out, ":_davenport_regions %s", dp_text_str(&p.words));
    } else {
        dp_text_addf(out, ":(%s)", dp_text_str(&p.words));
    }
    dp_text_fini(&p.words);
}

static void zsh_option(const struct dp_cli_option *o, struct dp_text *out)
{
    if (o->letter) {
        dp_text_addf(out, " '(-%c --%s)'{-%c%s,--%s%s}'", o->letter, o->name, o->letter,
                     o->arg ? "+" : "", o->name, o->arg ? "=" : "");
    } else {
        dp_text_addf(out, " '--%s%s", o->name, o->arg ? "=" : "");
    }
    dp_text_add(out, DP_SPAN("["));
    zsh_text(o->text, out);
    dp_text_add(out, DP_SPAN("]"));
    if (o->arg) {
        zsh_place(o->arg, out);
    }
    dp_text_add(out, DP_SPAN("' \\\n           "));
}

static void zsh_script(struct dp_text *out)
{
    dp_text_addf(out,
                 "#compdef davenport\n"
                 "# zsh completion of davenport, made by: davenport completion zsh\n"
                 "_davenport_regions()\n{\n"
                 "    compadd -- \"$@\" ${(f)\"$(davenport status --names 2>/dev/null)\"}\n}\n\n"
                 "_davenport()\n{\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        dp_text_addf(out, "        '%s:", dp_cli_commands[i].name);
        zsh_text(dp_cli_commands[i].summary, out);
        dp_text_add(out, DP_SPAN("'\n"));
    }
    dp_text_addf(out, "    )\n    if ((CURRENT == 2)); then\n"
                      "        _describe -t commands command commands\n        return\n    fi\n"
                      "    shift words\n    ((CURRENT--))\n    case $words[1] in\n");
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        const struct dp_cli_command *c = &dp_cli_commands[i];
        dp_text_addf(out, "        %s)\n            _arguments -s", c->name);
        for (const struct dp_cli_option *o = c->options; o->name; o++) {
            zsh_option(o, out);
        }
        dp_text_add(out, DP_SPAN(" '(-h --help)'{-h,--help}'[help]'"));
        if (*c->args) {
            dp_text_add(out, DP_SPAN(" '*"));
            zsh_place(c->args, out);
            dp_text_add(out, DP_SPAN("'"));
        }
        dp_text_add(out, DP_SPAN(" ;;\n"));
    }
    dp_text_addf(out, "    esac\n}\n\n"
                      "if [[ $funcstack[1] == _davenport ]]; then\n    _davenport \"$@\"\n"
                      "else\n    compdef _davenport davenport\nfi\n");
}

int dp_cli_completion(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    if (strcmp(call->args[0], "bash") == 0) {
        bash_script(&text);
    } else if (strcmp(call->args[0], "zsh") == 0) {
        zsh_script(&text);
    } else {
        dp_cli_error("completion: there are scripts for bash and zsh, not for %.32s",
                     call->args[0]);
        return DP_EXIT_USAGE;
    }
    return dp_cli_print_and_free(&text);
}
