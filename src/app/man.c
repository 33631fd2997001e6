/* Manual pages in roff, from config.def and the command line's table. What is the same in every version stands here, what may change comes from
 * the table. */
#include "app/man.h"

#include "davenport/version.h"

#include "app/config_table.h"

#include <stdio.h>
#include <string.h>

/* roff ----------------------------------------------------------------------------------------- */

/* The code point that begins at *p, and p moves behind it. Our own texts are well-formed UTF-8. */
static unsigned next_point(const unsigned char **p, const unsigned char *end)
{
    unsigned c = *(*p)++;
    if (c < 0x80) {
        return c;
    }
    unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    c &= 0x3fU >> more;
    for (; more > 0 && *p < end; more--) {
        c = c << 6 | (*(*p)++ & 0x3fU);
    }
    return c;
}

static const char *escape_of(unsigned c)
{
    static const struct {
        unsigned c;
        const char *escape;
    } escapes[] = {{'\\', "\\e"},  {'-', "\\-"},   {'\'', "\\(aq"},
                   {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"}};
    for (size_t i = 0; i < DP_ARRAY_LEN(escapes); i++) {
        if (escapes[i].c == c) {
            return escapes[i].escape;
        }
    }
    return NULL;
}

/* Text as roff prints it: nothing in it is a request, an escape or a typographic dash or quote. */
static void put_span(struct dp_text *out, struct dp_span text)
{
    bool begins = out->n == 0 || out->p[out->n - 1] == '\n';
    const unsigned char *p = (const unsigned char *)text.p;
    const unsigned char *end = p + text.n;
    for (; p < end; begins = false) {
        unsigned c = next_point(&p, end);
        if (begins && (c == '.' || c == '\'')) {
            dp_text_addf(out, "\\&");
        }
        const char *escape = escape_of(c);
        if (escape) {
            dp_text_addf(out, "%s", escape);
        } else {
            dp_text_addf(out, c < 0x80 ? "%c" : "\\[u%04X]", c);
        }
    }
}

static void put(struct dp_text *out, const char *text)
{
    put_span(out, dp_span_str(text));
}

static void heading(struct dp_text *out, const char *page, const char *section, const char *name,
                    const char *what)
{
    dp_text_addf(out,
                 ".TH %s %s \"\" \"davenport %s\" \"Davenport\"\n.nh\n.ad l\n.ss 12 0\n.SH NAME\n",
                 page, section, DP_VERSION);
    put(out, name);
    dp_text_addf(out, " \\- ");
    put(out, what);
    dp_text_addf(out, "\n");
}

static void paragraph(struct dp_text *out, const char *text)
{
    dp_text_addf(out, ".PP\n");
    put(out, text);
    dp_text_addf(out, "\n");
}

static void example(struct dp_text *out, const char *const *lines)
{
    dp_text_addf(out, ".PP\n.nf\n");
    for (; *lines; lines++) {
        put(out, *lines);
        dp_text_addf(out, "\n");
    }
    dp_text_addf(out, ".fi\n");
}

/* What `.TP` explains: a word in bold, then its text. */
static void item(struct dp_text *out, const char *word, const char *text)
{
    dp_text_addf(out, ".TP\n\\fB");
    put(out, word);
    dp_text_addf(out, "\\fR\n");
    put(out, text);
    dp_text_addf(out, "\n");
}

/* davenport.json(5) ---------------------------------------------------------------------------- */

static void config_key(struct dp_text *out, const struct dp_config_row *row)
{
    struct dp_text value = {0};
    dp_config_help_value(row, &value);
    dp_text_addf(out, ".TP\n\\fB");
    put(out, row->path);
    dp_text_addf(out, "\\fR");
    put(out, dp_text_str(&value));
    dp_text_addf(out, "\n");
    put(out, row->text);
    if (row->flags & DP_CONFIG_RESTART) {
        dp_text_addf(out, " Changed by a restart only.");
    }
    if (row->flags & DP_CONFIG_SECRET) {
        dp_text_addf(out, " Never shown.");
    }
    dp_text_addf(out, "\n");
    out->failed = out->failed || value.failed;
    dp_text_fini(&value);
}

static void config_keys(struct dp_text *out)
{
    dp_text_addf(out, ".SH KEYS\n.SS \"Of the document itself\"\n");
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        if (row->type != DP_CONFIG_SECTION && !strchr(row->path, '.')) {
            config_key(out, row);
        }
    }
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        if (row->type == DP_CONFIG_SECTION) {
            dp_text_addf(out, ".SS ");
            put(out, row->path);
            dp_text_addf(out, "\n");
            put(out, row->text);
            dp_text_addf(out, "\n");
        } else if (strchr(row->path, '.')) {
            config_key(out, row);
        }
    }
}

void dp_man_config(struct dp_text *out)
{
    static const char *const smallest[] = {
        "{",
        "  \"listen\": { \"address\": \"127.0.0.1\", \"port\": 5984 },",
        "  \"regions\": [",
        "    { \"name\": \"eu-de\", \"url\": \"https://couch-eu.example.com\" },",
        "    { \"name\": \"us-south\", \"url\": \"https://couch-us.example.com\" }",
        "  ],",
        "  \"state\": { \"dir\": \"/var/lib/davenport/state\" },",
        "  \"journal\": { \"path\": \"/var/lib/davenport/journal.jsonl\" }",
        "}",
        NULL,
    };
    heading(out, "DAVENPORT.JSON", "5", "davenport.json", "configuration of davenport(1)");
    dp_text_addf(out, ".SH SYNOPSIS\n.B /etc/davenport/davenport.json\n.SH DESCRIPTION\n");
    put(out, "One JSON object, in UTF-8, that davenport serve -c reads. It must list regions; "
             "every other key has a default. An unknown key is an "
             "error, as is a value out of its range, and all problems are told at once, each with "
             "the file, the key and the reason.");
    dp_text_addf(out, "\n");
    paragraph(out, "The end of a key's name is its unit: _ms (milliseconds), _bytes, _percent. "
                   "Behind each key stand its default and what it may be.");
    paragraph(out, "A string may hold ${env:NAME}, an environment variable, and ${file:PATH}, what "
                   "is in a file, without the newline at its end; a relative PATH is relative to "
                   "the configuration's folder. $${ stands for ${ itself. Any object may hold "
                   "\"$comment\", and the document \"$schema\", for editors.");
    paragraph(out,
              "SIGHUP and davenport reload read it again, with all its files: all of it is put "
              "in force or nothing. Keys that are \"changed by a restart only\" make a reload "
              "that changes them refuse.");
    config_keys(out);
    dp_text_addf(out, ".SH EXAMPLES\n");
    put(out, "Two regions, the first of which takes the traffic while it is well:");
    dp_text_addf(out, "\n");
    example(out, smallest);
    dp_text_addf(out, ".SH FILES\n");
    item(out, "/etc/davenport/davenport.json", "What the service reads.");
    item(out, "/usr/share/davenport/davenport.schema.json", "The same keys as a JSON schema.");
    item(out, "/usr/share/doc/davenport/examples/", "Samples.");
    dp_text_addf(out, ".SH SEE ALSO\n.BR davenport (1)\n");
}

/* davenport(1) --------------------------------------------------------------------------------- */

/* What help says of a command: prose, blank lines between paragraphs, and examples, which begin with two blanks. */
static void help_text(struct dp_text *out, const char *text)
{
    struct dp_span rest = dp_span_str(text);
    bool literal = false;
    while (rest.p && rest.n > 0) {
        const struct dp_span line = dp_span_cut(&rest, '\n');
        const bool example_line = dp_span_starts(line, DP_SPAN("  "));
        if (literal && !example_line) {
            dp_text_addf(out, ".fi\n");
            literal = false;
        }
        if (line.n == 0) {
            dp_text_addf(out, ".PP\n");
            continue;
        }
        if (!literal && example_line) {
            dp_text_addf(out, ".PP\n.nf\n");
            literal = true;
        }
        put_span(out, line);
        dp_text_addf(out, "\n");
    }
    if (literal) {
        dp_text_addf(out, ".fi\n");
    }
}

static void option(struct dp_text *out, const struct dp_cli_option *o)
{
    dp_text_addf(out, ".TP\n");
    if (o->letter) {
        dp_text_addf(out, "\\fB\\-%c\\fR, ", o->letter);
    }
    dp_text_addf(out, "\\fB\\-\\-");
    put(out, o->name);
    dp_text_addf(out, "\\fR");
    if (o->arg) {
        dp_text_addf(out, " \\fI");
        put(out, o->arg);
        dp_text_addf(out, "\\fR");
    }
    dp_text_addf(out, "\n");
    put(out, o->text);
    dp_text_addf(out, "\n");
}

static void command(struct dp_text *out, const struct dp_cli_command *c)
{
    dp_text_addf(out, ".SS \"davenport ");
    put(out, c->name);
    dp_text_addf(out, "%s%s", c->options[0].name ? " [OPTION]..." : "", *c->args ? " " : "");
    put(out, c->args);
    dp_text_addf(out, "\"\n");
    put(out, c->summary);
    dp_text_addf(out, ".\n.PP\n");
    help_text(out, c->text);
    for (const struct dp_cli_option *o = c->options; o->name; o++) {
        option(out, o);
    }
}

void dp_man_program(const struct dp_cli_command *commands, size_t n, struct dp_text *out)
{
    heading(out, "DAVENPORT", "1", "davenport",
            "health-checking failover proxy for CouchDB and Cloudant");
    dp_text_addf(out, ".SH SYNOPSIS\n\\fBdavenport\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... "
                      "[\\fIARGUMENT\\fR]...\n.SH DESCRIPTION\n");
    put(out, "davenport stands between an application and two or more regions of CouchDB or "
             "Cloudant that replicate to each other, and gives it one URL. It probes the regions, "
             "moves the traffic when one goes dark, within the request that found out where that "
             "is safe, and goes back when the region has proved itself.");
    dp_text_addf(out, "\n");
    paragraph(out, "davenport serve is the proxy. Most other commands ask a proxy that runs, or "
                   "order it to do something, over its own address for operators.");
    dp_text_addf(out, ".SH COMMANDS\nEach takes -h or --help, too.\n");
    for (size_t i = 0; i < n; i++) {
        command(out, &commands[i]);
    }
    dp_text_addf(out, ".SH EXIT STATUS\n");
    for (const struct dp_cli_exit *e = dp_cli_exits; e->text; e++) {
        char code[16];
        (void)snprintf(code, sizeof code, "%d", e->code);
        item(out, code, e->text);
    }
    dp_text_addf(out, ".SH ENVIRONMENT\n");
    for (const struct dp_cli_variable *v = dp_cli_variables; v->name; v++) {
        item(out, v->name, v->text);
    }
    dp_text_addf(out, ".SH SIGNALS\n");
    item(out, "SIGTERM, SIGINT",
         "What is under way is finished, feeds are ended, then the proxy ends. A second "
         "one ends it at once.");
    item(out, "SIGHUP", "The configuration and its files are read again, all or nothing.");
    item(out, "SIGUSR1", "The access log and the journal are opened anew.");
    item(out, "SIGUSR2",
         "The program that is installed now takes over in place: sockets, state, what comes next.");
    dp_text_addf(out, ".SH FILES\n");
    item(out, "/etc/davenport/davenport.json",
         "The configuration of the service: davenport.json(5).");
    item(out, "/run/davenport/admin.sock", "Where its operators connect.");
    item(out, "/var/lib/davenport/", "Its journal and its sequence maps.");
    dp_text_addf(out, ".SH SEE ALSO\n.BR davenport.json (5)\n.PP\n");
    put(out, "More is in /usr/share/doc/davenport/docs/.");
    dp_text_addf(out, "\n");
}
