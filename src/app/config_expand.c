/* ${env:NAME} and ${file:PATH} inside any string of the configuration. */
#include "app/config_table.h"
#include "app/file.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define VALUE_BYTES_MAX ((size_t)65536)

/* Where the pieces go, and what to say when one cannot be had. */
struct expansion {
    const char *folder;
    struct dp_text *out;
    char *why;
};

/* Always false, so that a failure is one line. */
DP_PRINTF(2, 3) static bool fail(const struct expansion *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(e->why, DP_EXPAND_WHY, fmt, args) < 0) {
        e->why[0] = '\0';
    }
    va_end(args);
    return false;
}

static bool is_env_name(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_') {
        return false;
    }
    for (; *name; name++) {
        if (!isalnum((unsigned char)*name) && *name != '_') {
            return false;
        }
    }
    return true;
}

static bool add_env(const struct expansion *e, const char *name)
{
    if (!is_env_name(name)) {
        return fail(e, "${env:…} needs the name of an environment variable");
    }
    const char *value = getenv(name);
    if (!value) {
        return fail(e, "the environment variable %.64s is not set", name);
    }
    dp_text_add(e->out, dp_span_str(value));
    return true;
}

/* A file's text without the newline that editors put at its end. */
static bool add_file(const struct expansion *e, const char *path)
{
    struct dp_text full = {0};
    struct dp_text content = {0};
    char why[DP_FILE_WHY];
    bool good = false;
    if (*path == '\0') {
        return fail(e, "${file:…} needs the path of a file");
    }
    if (*path != '/' && e->folder) {
        dp_text_addf(&full, "%s/", e->folder);
    }
    dp_text_add(&full, dp_span_str(path));
    if (strcmp(path, "-") == 0) {
        fail(e, "${file:…} needs the path of a file");
    } else if (dp_file_read(dp_text_str(&full), VALUE_BYTES_MAX, &content, why) != DP_OK) {
        fail(e, "the file %.120s %s", dp_text_str(&full), why);
    } else if (content.n && memchr(content.p, '\0', content.n)) {
        fail(e, "the file %.120s holds a NUL byte", dp_text_str(&full));
    } else {
        struct dp_span s = dp_text_span(&content);
        if (s.n && s.p[s.n - 1] == '\n') {
            s.n--;
        }
        if (s.n && s.p[s.n - 1] == '\r') {
            s.n--;
        }
        dp_text_add(e->out, s);
        good = true;
    }
    dp_text_fini(&content);
    dp_text_fini(&full);
    return good;
}

/* `what`: the text between "${" and "}". */
static bool add_reference(const struct expansion *e, struct dp_span what)
{
    char name[512];
    if (what.n >= sizeof name) {
        return fail(e, "a ${…} reference is too long");
    }
    memcpy(name, what.p, what.n);
    name[what.n] = '\0';
    if (strncmp(name, "env:", 4) == 0) {
        return add_env(e, name + 4);
    }
    if (strncmp(name, "file:", 5) == 0) {
        return add_file(e, name + 5);
    }
    return fail(e,
                "only ${env:NAME} and ${file:PATH} can be referred to; write $${ for a plain ${");
}

static bool expand(const struct expansion *e, struct dp_span in)
{
    while (in.n) {
        const char *dollar = memchr(in.p, '$', in.n);
        size_t plain = dollar ? (size_t)(dollar - in.p) : in.n;
        dp_text_add(e->out, (struct dp_span){in.p, plain});
        in.p += plain;
        in.n -= plain;
        if (dp_span_starts(in, DP_SPAN("$${"))) {
            dp_text_add(e->out, DP_SPAN("${"));
            in.p += 3;
            in.n -= 3;
        } else if (dp_span_starts(in, DP_SPAN("${"))) {
            const char *end = memchr(in.p, '}', in.n);
            if (!end) {
                return fail(e, "a ${ has no }; write $${ for a plain ${");
            }
            if (!add_reference(e, (struct dp_span){in.p + 2, (size_t)(end - in.p) - 2})) {
                return false;
            }
            in.n -= (size_t)(end + 1 - in.p);
            in.p = end + 1;
        } else if (in.n) {
            dp_text_add(e->out, (struct dp_span){in.p, 1});
            in.p++;
            in.n--;
        }
    }
    return true;
}

static bool is_utf8(struct dp_span s)
{
    json_t *string = json_stringn(s.p ? s.p : "", s.n);
    json_decref(string);
    return string != NULL;
}

enum dp_err dp_config_expand(struct dp_arena *arena, struct dp_span in, const char *folder,
                             const char **out, char why[DP_EXPAND_WHY])
{
    struct dp_text text = {0};
    struct expansion e = {.folder = folder, .out = &text, .why = why};
    enum dp_err err = DP_EINVAL;
    if (!expand(&e, in)) {
        goto cleanup;
    }
    if (!is_utf8(dp_text_span(&text))) {
        fail(&e, "what it refers to is not UTF-8 text");
        goto cleanup;
    }
    char *copy = dp_arena_alloc(arena, text.n + 1);
    if (!copy || text.failed) {
        fail(&e, "out of memory");
        err = DP_ENOMEM;
        goto cleanup;
    }
    if (text.n) {
        memcpy(copy, text.p, text.n);
    }
    copy[text.n] = '\0';
    *out = copy;
    err = DP_OK;
cleanup:
    dp_text_fini(&text);
    return err;
}
