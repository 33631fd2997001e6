/* JSON document → struct dp_config, by the table. Sections wait in a queue instead of being
 * recursed into, so problems come out in the order of the document, the outer ones first. */
#include "app/config_table.h"
#include "app/suggest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define SHOWN_PATH 192
/* Sections of the table, regions with theirs, patterns of databases with theirs, users. */
#define QUEUE_MAX 512

/* An object of the document that still has to be read. */
struct section {
    json_t *object;
    const char *path;       /* in the table: "regions[].credentials" */
    char shown[SHOWN_PATH]; /* to a person: "regions[1].credentials" */
    void *base;             /* the struct whose fields its rows' offsets mean */
};

struct parser {
    struct dp_config *config;
    struct dp_problems *problems;
    const char *folder;
    struct section queue[QUEUE_MAX];
    size_t head, tail;
};

void dp_config_show_key(const char *key, char out[DP_SHOWN_KEY])
{
    size_t n = 0;
    if (!*key) {
        key = "\"\"";
    }
    for (; key[n] && n + 4 < DP_SHOWN_KEY; n++) {
        unsigned char c = (unsigned char)key[n];
        out[n] = (char)(c > ' ' && c < 127 ? c : '?');
    }
    memcpy(out + n, key[n] ? "..." : "", key[n] ? 4 : 1);
}

/* "probe" + "fall" → "probe.fall" */
static void join(const char *section, const char *key, char out[SHOWN_PATH])
{
    char shown[DP_SHOWN_KEY];
    dp_config_show_key(key, shown);
    int n = snprintf(out, SHOWN_PATH, "%s%s%s", section, *section ? "." : "", shown);
    assert(n >= 0 && n < SHOWN_PATH);
    (void)n;
}

static void enqueue(struct parser *p, json_t *object, const char *path, const char *shown,
                    void *base)
{
    assert(p->tail < QUEUE_MAX);
    struct section *s = &p->queue[p->tail++];
    *s = (struct section){.object = object, .path = path, .base = base};
    int n = snprintf(s->shown, sizeof s->shown, "%s", shown);
    assert(n >= 0 && (size_t)n < sizeof s->shown);
    (void)n;
}

const char *dp_config_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a number";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* The row nearest to an unknown key: of the same section, else of any, else NULL. */
static const struct dp_config_row *nearest(const char *section, const char *key)
{
    struct dp_span typed = dp_span_str(key);
    const struct dp_config_row *best = NULL;
    unsigned best_distance = 0;
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        const char *leaf = last_part(row->path);
        const char *unused;
        unsigned distance = dp_suggest_distance(typed, dp_span_str(leaf));
        if (!dp_suggest_near(typed, distance)) {
            continue;
        }
        /* A slip inside the right section counts for more than a right word in the wrong one. */
        if (!dp_config_row_under(row, section, &unused)) {
            distance += 100;
        }
        if (!best || distance < best_distance) {
            best = row;
            best_distance = distance;
        }
    }
    return best;
}

static void unknown_key(struct parser *p, const struct section *s, const char *key,
                        const char *shown)
{
    const struct dp_config_row *row = nearest(s->path, key);
    if (row) {
        dp_problem(p->problems, shown, "unknown key; did you mean \"%s\"?", row->path);
    } else {
        dp_problem(p->problems, shown, "unknown key");
    }
}

static void take_uint(struct parser *p, const struct dp_config_row *row, const json_t *value,
                      const char *shown, uint64_t *out)
{
    if (!json_is_integer(value)) {
        dp_problem(p->problems, shown, "must be a whole number, not %s",
                   dp_config_type_name(value));
        return;
    }
    json_int_t n = json_integer_value(value);
    bool zero = (row->flags & DP_CONFIG_ZERO) != 0;
    if (n == 0 && zero) {
        *out = 0;
    } else if (n < 0 || (uint64_t)n < row->min || (uint64_t)n > row->max) {
        dp_problem(p->problems, shown, "must be %s%" PRIu64 " to %" PRIu64 ", not %" PRId64,
                   zero ? "0 or " : "", row->min, row->max, (int64_t)n);
    } else {
        *out = (uint64_t)n;
    }
}

/* A string of the document with its references expanded, or NULL and a problem. */
static const char *expanded(struct parser *p, const json_t *value, const char *shown)
{
    if (!json_is_string(value)) {
        dp_problem(p->problems, shown, "must be a string, not %s", dp_config_type_name(value));
        return NULL;
    }
    struct dp_span in = {json_string_value(value), json_string_length(value)};
    const char *out = NULL;
    char why[DP_EXPAND_WHY];
    if (dp_config_expand(&p->config->arena, in, p->folder, &out, why) != DP_OK) {
        dp_problem(p->problems, shown, "%s", why);
        return NULL;
    }
    return out;
}

static void take_text(struct parser *p, const struct dp_config_row *row, const json_t *value,
                      const char *shown, const char **out)
{
    const char *text = expanded(p, value, shown);
    if (!text) {
        return;
    }
    const char *why = dp_config_check_text(row->check, text);
    if (why) {
        dp_problem(p->problems, shown, "%s", why);
        return;
    }
    if ((row->flags & DP_CONFIG_SECRET) && !(row->flags & DP_CONFIG_HASH) &&
        strcmp(text, json_string_value(value)) == 0) {
        dp_problem_warning(p->problems, shown,
                           "stands in the file itself; ${env:NAME} or ${file:PATH} keeps it out");
    }
    *out = text;
}

static void take_texts(struct parser *p, const struct dp_config_row *row, const json_t *value,
                       const char *shown, struct dp_config_texts *out)
{
    size_t n = json_array_size(value);
    const char *or_one = row->flags & DP_CONFIG_OR_ONE ? " or a string" : "";
    if (*or_one && json_is_string(value)) {
        take_text(p, row, value, shown, &out->at[0]);
        out->n = 1;
        return;
    }
    if (!json_is_array(value)) {
        dp_problem(p->problems, shown, "must be an array of strings%s, not %s", or_one,
                   dp_config_type_name(value));
        return;
    }
    if (n < row->min || n > row->max) {
        dp_problem(p->problems, shown, "must hold %" PRIu64 " to %" PRIu64 " strings, not %zu",
                   row->min, row->max, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char item[SHOWN_PATH];
        int written = snprintf(item, sizeof item, "%s[%zu]", shown, i);
        assert(written >= 0 && (size_t)written < sizeof item);
        (void)written;
        take_text(p, row, json_array_get(value, i), item, &out->at[i]);
    }
    out->n = (uint16_t)n;
}

static void take_choice(struct parser *p, const struct dp_config_row *row, const json_t *value,
                        const char *shown, uint64_t *out)
{
    if (json_is_boolean(value) && dp_config_is_bool(row)) {
        *out = json_is_true(value);
        return;
    }
    const char *text = expanded(p, value, shown);
    if (!text) {
        return;
    }
    struct dp_text words = {0};
    struct dp_span typed = dp_span_str(text);
    struct dp_span rest = dp_span_str(row->choices);
    struct dp_span word;
    for (uint64_t i = 0; dp_choice_next(&rest, &word); i++) {
        if (dp_span_eq(word, typed)) {
            *out = i;
            goto cleanup;
        }
        dp_text_addf(&words, "%s\"%.*s\"", i ? " or " : "", (int)word.n, word.p);
    }
    dp_problem(p->problems, shown, "must be %s", dp_text_str(&words));
cleanup:
    dp_text_fini(&words);
}

static void take_regions(struct parser *p, const json_t *value, const char *shown)
{
    if (!json_is_array(value)) {
        dp_problem(p->problems, shown, "must be an array, not %s", dp_config_type_name(value));
        return;
    }
    size_t n = json_array_size(value);
    if (n < 1 || n > DP_MAX_REGIONS) {
        dp_problem(p->problems, shown, "must hold 1 to %d regions, not %zu", DP_MAX_REGIONS, n);
        return;
    }
    p->config->n_regions = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        char item[SHOWN_PATH];
        json_t *region = json_array_get(value, i);
        int written = snprintf(item, sizeof item, "%s[%zu]", shown, i);
        assert(written >= 0 && (size_t)written < sizeof item);
        (void)written;
        if (json_is_object(region)) {
            enqueue(p, region, "regions[]", item, &p->config->regions[i]);
        } else {
            dp_problem(p->problems, item, "must be an object, not %s", dp_config_type_name(region));
        }
    }
}

/* {"orders*": {…}, …}: each pattern is a key. */
static void take_databases(struct parser *p, json_t *value, const char *shown)
{
    for (void *it = json_object_iter(value); it; it = json_object_iter_next(value, it)) {
        const char *key = json_object_iter_key(it);
        json_t *rule = json_object_iter_value(it);
        char item[SHOWN_PATH];
        if (strcmp(key, "$comment") == 0) {
            continue;
        }
        join(shown, key, item);
        if (p->config->n_databases == DP_MAX_RULES) {
            dp_problem(p->problems, item, "is one pattern too many: there may be %d", DP_MAX_RULES);
            return;
        }
        if (!json_is_object(rule)) {
            dp_problem(p->problems, item, "must be an object, not %s", dp_config_type_name(rule));
            continue;
        }
        struct dp_config_database *d = &p->config->databases[p->config->n_databases++];
        struct dp_span copy =
            dp_arena_copy(&p->config->arena, (struct dp_span){key, strlen(key) + 1});
        if (!copy.p) {
            abort();
        }
        *d = (struct dp_config_database){.pattern = copy.p};
#define DP_DATABASE_CHOICE(path, field, choices, like, flags, text) d->field = DP_CONFIG_UNSET;
#include "davenport/app/config.def"
        enqueue(p, rule, "databases{}", item, d);
    }
}

/* What has names of the operator's own: {"ann": {…}, …}. */
static const struct named {
    const char *path;  /* of the section */
    const char *items; /* of each one's keys */
    const char *one;
    size_t max, size, at,
        n; /* at, n: offsets of the array and its length; a name is each one's first member */
    const char *(*check)(const char *name);
} named[] = {
    {"clients.users", "clients.users{}", "user", DP_MAX_USERS, sizeof(struct dp_config_user),
     offsetof(struct dp_config, users), offsetof(struct dp_config, n_users),
     dp_config_check_username},
    {"admin.tokens", "admin.tokens{}", "token", DP_MAX_TOKENS, sizeof(struct dp_config_token),
     offsetof(struct dp_config, tokens), offsetof(struct dp_config, n_tokens),
     dp_config_check_token_name},
};

static const struct named *named_of(const char *path)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(named); i++) {
        if (strcmp(named[i].path, path) == 0) {
            return &named[i];
        }
    }
    return NULL;
}

/* One more of them, with its name. */
static void *add_named(struct parser *p, const struct named *kind, const char *name)
{
    uint16_t n;
    char *count = (char *)p->config + kind->n;
    memcpy(&n, count, sizeof n);
    char *one = (char *)p->config + kind->at + n * kind->size;
    const struct dp_span copy =
        dp_arena_copy(&p->config->arena, (struct dp_span){name, strlen(name) + 1});
    if (!copy.p) {
        abort();
    }
    memset(one, 0, kind->size);
    memcpy(one, &copy.p, sizeof copy.p);
    n++;
    memcpy(count, &n, sizeof n);
    return one;
}

static void take_named(struct parser *p, const struct named *kind, json_t *value, const char *shown)
{
    size_t taken = 0;
    for (void *it = json_object_iter(value); it; it = json_object_iter_next(value, it)) {
        const char *key = json_object_iter_key(it);
        json_t *one = json_object_iter_value(it);
        char item[SHOWN_PATH];
        if (strcmp(key, "$comment") == 0) {
            continue;
        }
        join(shown, key, item);
        const char *why = *key ? kind->check(key) : "must have a name";
        if (why) {
            dp_problem(p->problems, item, "%s", why);
        } else if (taken == kind->max) {
            dp_problem(p->problems, item, "is one %s too many: there may be %zu", kind->one,
                       kind->max);
            return;
        } else if (!json_is_object(one)) {
            dp_problem(p->problems, item, "must be an object, not %s", dp_config_type_name(one));
        } else {
            taken++;
            enqueue(p, one, kind->items, item, add_named(p, kind, key));
        }
    }
}

static void take_section(struct parser *p, const struct section *s, const struct dp_config_row *row,
                         json_t *value, const char *shown)
{
    const struct named *kind = named_of(row->path);
    if (strcmp(row->path, "regions") == 0) {
        take_regions(p, value, shown);
    } else if (json_is_object(value) && strcmp(row->path, "databases") == 0) {
        take_databases(p, value, shown);
    } else if (json_is_object(value) && kind) {
        take_named(p, kind, value, shown);
    } else if (json_is_object(value)) {
        enqueue(p, value, row->path, shown, s->base);
    } else {
        dp_problem(p->problems, shown, "must be an object, not %s", dp_config_type_name(value));
    }
}

static void take_key(struct parser *p, const struct section *s, const char *key, json_t *value)
{
    char shown[SHOWN_PATH];
    if (strcmp(key, "$comment") == 0 || (strcmp(key, "$schema") == 0 && !*s->path)) {
        return;
    }
    join(s->shown, key, shown);
    const struct dp_config_row *row = dp_config_row_of(s->path, key);
    if (!row) {
        unknown_key(p, s, key, shown);
        return;
    }
    void *field = (char *)s->base + row->offset;
    switch (row->type) {
    case DP_CONFIG_SECTION:
        take_section(p, s, row, value, shown);
        break;
    case DP_CONFIG_UINT:
        take_uint(p, row, value, shown, field);
        break;
    case DP_CONFIG_TEXT:
        take_text(p, row, value, shown, field);
        break;
    case DP_CONFIG_TEXTS:
        take_texts(p, row, value, shown, field);
        break;
    case DP_CONFIG_CHOICE:
        take_choice(p, row, value, shown, field);
        break;
    }
}

static void require_keys(struct parser *p, const struct section *s)
{
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        const char *leaf;
        if (!(row->flags & DP_CONFIG_REQUIRED) || !dp_config_row_under(row, s->path, &leaf) ||
            json_object_get(s->object, leaf)) {
            continue;
        }
        const struct dp_config_row *instead = dp_config_row_instead(row);
        if (instead && json_object_get(s->object, last_part(instead->path))) {
            continue;
        }
        char shown[SHOWN_PATH];
        join(s->shown, leaf, shown);
        dp_problem(p->problems, shown, "missing");
    }
}

static void take_document(struct parser *p, json_t *root)
{
    enqueue(p, root, "", "", p->config);
    while (p->head < p->tail) {
        const struct section *s = &p->queue[p->head++];
        for (void *it = json_object_iter(s->object); it;
             it = json_object_iter_next(s->object, it)) {
            take_key(p, s, json_object_iter_key(it), json_object_iter_value(it));
        }
        require_keys(p, s);
    }
    if (!json_object_get(root, "regions")) {
        dp_problem(p->problems, "regions", "missing: at least one region is needed");
    }
}

/* The parser's message without the token that stopped it: that could be a password. A duplicate key
 * is told. */
static void syntax_reason(const char *text, char out[JSON_ERROR_TEXT_LENGTH])
{
    const char *near = strncmp(text, "duplicate", 9) == 0 ? NULL : strstr(text, " near '");
    size_t n = near ? (size_t)(near - text) : strlen(text);
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)((unsigned char)text[i] < ' ' ? '?' : text[i]);
    }
    out[n] = '\0';
}

json_t *dp_config_json(struct dp_span text, struct dp_problems *problems)
{
    json_error_t error;
    json_t *root = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        char reason[JSON_ERROR_TEXT_LENGTH];
        syntax_reason(error.text, reason);
        dp_problem(problems, "", "line %d, column %d: %s", error.line, error.column, reason);
        return NULL;
    }
    if (!json_is_object(root)) {
        dp_problem(problems, "", "must be a JSON object, not %s", dp_config_type_name(root));
        json_decref(root);
        return NULL;
    }
    return root;
}

enum dp_err dp_config_parse(const struct dp_config_source *source, struct dp_problems *problems,
                            struct dp_config **out)
{
    json_t *root = dp_config_json(source->text, problems);
    if (!root) {
        return DP_EINVAL;
    }
    struct dp_config *config = dp_config_new();
    struct parser *p = calloc(1, sizeof *p);
    if (!p) {
        abort();
    }
    p->config = config;
    p->problems = problems;
    p->folder = source->folder;
    take_document(p, root);
    free(p);
    json_decref(root);
    dp_config_check_whole(config, problems);
    if (problems->errors) {
        dp_config_destroy(config);
        return DP_EINVAL;
    }
    *out = config;
    return DP_OK;
}
