/* The configuration's table and values, written out: schema, effective configuration, summary, list
 * of keys. */
#include "app/config_table.h"

#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#define HIDDEN "(hidden)"
/* A reference makes a string that only the program can check. */
#define REFERENCE "\\$\\{(env|file):"

static const void *field(const void *base, const struct dp_config_row *row)
{
    return (const char *)base + row->offset;
}

static uint64_t field_uint(const void *base, const struct dp_config_row *row)
{
    uint64_t value;
    memcpy(&value, field(base, row), sizeof value);
    return value;
}

static const char *field_text(const void *base, const struct dp_config_row *row)
{
    const char *value;
    memcpy(&value, field(base, row), sizeof value);
    return value;
}

static json_t *word_json(struct dp_span s)
{
    return json_stringn(s.p, s.n);
}

/* What jansson hands out is checked once, where it is printed: a NULL child makes the set fail. */
static void set(json_t *object, const char *key, json_t *value, struct dp_text *out)
{
    if (json_object_set_new(object, key, value) != 0) {
        out->failed = true;
    }
}

/* Schema ------------------------------------------------------------------------------------- */

static json_t *object_schema(const char *text)
{
    return json_pack("{s:s*, s:s, s:b, s:{s:b}}", "description", text, "type", "object",
                     "additionalProperties", 0, "properties", "$comment", 1);
}

static json_t *uint_schema(const struct dp_config_row *row)
{
    json_t *schema = json_pack("{s:s, s:s}", "description", row->text, "type", "integer");
    json_int_t min = (json_int_t)row->min;
    json_int_t max = (json_int_t)row->max;
    json_t *range;
    if (row->flags & DP_CONFIG_ZERO) {
        range = json_pack("{s:[{s:i}, {s:I, s:I}]}", "anyOf", "const", 0, "minimum", min, "maximum",
                          max);
    } else {
        range = json_pack("{s:I, s:I}", "minimum", min, "maximum", max);
    }
    json_t *def = json_pack("{s:I}", "default", (json_int_t)row->def);
    (void)json_object_update_new(schema, range);
    (void)json_object_update_new(schema, def);
    return schema;
}

/* Of a pattern, what is not given is as it is for all databases. */
static bool has_default(const struct dp_config_row *row)
{
    return row->def != DP_CONFIG_UNSET;
}

static json_t *bool_schema(const struct dp_config_row *row)
{
    json_t *schema = json_pack("{s:s, s:[{s:s}, {s:s, s:s}]}", "description", row->text, "anyOf",
                               "type", "boolean", "type", "string", "pattern", REFERENCE);
    if (has_default(row)) {
        (void)json_object_set_new(schema, "default", json_boolean(row->def != 0));
    }
    return schema;
}

static json_t *choice_schema(const struct dp_config_row *row)
{
    if (dp_config_is_bool(row)) {
        return bool_schema(row);
    }
    json_t *words = json_array();
    struct dp_span rest = dp_span_str(row->choices);
    struct dp_span word;
    while (dp_choice_next(&rest, &word)) {
        (void)json_array_append_new(words, word_json(word));
    }
    json_t *schema = json_pack("{s:s, s:s, s:[{s:o}, {s:s}]}", "description", row->text, "type",
                               "string", "anyOf", "enum", words, "pattern", REFERENCE);
    if (has_default(row)) {
        (void)json_object_set_new(schema, "default",
                                  word_json(dp_choice_word(row->choices, row->def)));
    }
    return schema;
}

static json_t *text_schema(const struct dp_config_row *row)
{
    json_t *schema = json_pack("{s:s, s:s}", "description", row->text, "type", "string");
    const char *pattern = dp_config_check_pattern(row->check);
    json_t *more;
    if (pattern) {
        more = json_pack("{s:[{s:s}, {s:s}]}", "anyOf", "pattern", pattern, "pattern", REFERENCE);
    } else {
        more = json_pack("{s:i}", "minLength", 1);
    }
    (void)json_object_update_new(schema, more);
    if (row->def_text) {
        json_t *def = json_pack("{s:s}", "default", row->def_text);
        (void)json_object_update_new(schema, def);
    }
    if (row->flags & DP_CONFIG_SECRET) {
        json_t *secret = json_pack("{s:b}", "writeOnly", 1);
        (void)json_object_update_new(schema, secret);
    }
    return schema;
}

/* No description and no default of its own in each string. */
static json_t *texts_schema(const struct dp_config_row *row)
{
    struct dp_config_row one = *row;
    json_t *items = text_schema(&one);
    (void)json_object_del(items, "description");
    if (row->flags & DP_CONFIG_OR_ONE) {
        return json_pack("{s:s, s:[O, {s:s, s:I, s:I, s:o}]}", "description", row->text, "anyOf",
                         items, "type", "array", "minItems", (json_int_t)row->min, "maxItems",
                         (json_int_t)row->max, "items", items);
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "description", row->text, "type", "array",
                     "minItems", (json_int_t)row->min, "maxItems", (json_int_t)row->max, "items",
                     items);
}

static json_t *array_schema(const struct dp_config_row *row)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:o}", "description", row->text, "type", "array",
                     "minItems", 1, "maxItems", DP_MAX_REGIONS, "items", object_schema(NULL));
}

/* How many there may be in a section whose keys are the operator's own, 0: it is none. */
static unsigned map_max(const struct dp_config_row *row)
{
    static const struct {
        const char *path;
        unsigned max;
    } maps[] = {{"databases", DP_MAX_RULES},
                {"clients.users", DP_MAX_USERS},
                {"admin.tokens", DP_MAX_TOKENS}};
    for (size_t i = 0; i < DP_ARRAY_LEN(maps); i++) {
        if (strcmp(row->path, maps[i].path) == 0) {
            return maps[i].max;
        }
    }
    return 0;
}

/* Keys of the operator's own, each with an object. */
static json_t *map_schema(const struct dp_config_row *row)
{
    return json_pack("{s:s, s:s, s:i, s:o}", "description", row->text, "type", "object",
                     "maxProperties", (int)map_max(row), "additionalProperties",
                     object_schema(NULL));
}

static json_t *row_schema(const struct dp_config_row *row)
{
    switch (row->type) {
    case DP_CONFIG_SECTION:
        if (map_max(row) > 0) {
            return map_schema(row);
        }
        return strcmp(row->path, "regions") == 0 ? array_schema(row) : object_schema(row->text);
    case DP_CONFIG_UINT:
        return uint_schema(row);
    case DP_CONFIG_CHOICE:
        return choice_schema(row);
    case DP_CONFIG_TEXT:
        return text_schema(row);
    case DP_CONFIG_TEXTS:
        return texts_schema(row);
    }
    return NULL;
}

/* The object of `parts` ("regions[].credentials.username") that holds the last part; *leaf is that
 * part. */
static json_t *schema_parent(json_t *root, const char *path, const char **leaf)
{
    json_t *object = root;
    struct dp_span rest = dp_span_str(path);
    for (;;) {
        struct dp_span part = dp_span_cut(&rest, '.');
        if (!rest.p) {
            *leaf = part.p;
            return object;
        }
        bool map = part.n > 2 && part.p[part.n - 1] == '}';
        bool items = map || (part.n > 2 && part.p[part.n - 1] == ']');
        char key[64];
        size_t n = items ? part.n - 2 : part.n;
        if (n >= sizeof key) {
            return NULL;
        }
        memcpy(key, part.p, n);
        key[n] = '\0';
        object = json_object_get(json_object_get(object, "properties"), key);
        if (items) {
            object = json_object_get(object, map ? "additionalProperties" : "items");
        }
    }
}

static void require(json_t *object, const char *leaf)
{
    json_t *required = json_object_get(object, "required");
    if (!required) {
        required = json_array();
        (void)json_object_set_new(object, "required", required);
    }
    (void)json_array_append_new(required, json_string(leaf));
}

void dp_config_schema(struct dp_text *out)
{
    json_t *root =
        json_pack("{s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                  "Davenport's configuration");
    json_t *body = object_schema(NULL);
    (void)json_object_update_new(root, body);
    set(json_object_get(root, "properties"), "$schema", json_pack("{s:s}", "type", "string"), out);
    require(root, "regions");
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        const char *leaf = row->path;
        json_t *parent = schema_parent(root, row->path, &leaf);
        set(json_object_get(parent, "properties"), leaf, row_schema(row), out);
        const struct dp_config_row *instead = dp_config_row_instead(row);
        if (!(row->flags & DP_CONFIG_REQUIRED)) {
            continue;
        }
        if (instead) {
            set(parent, "oneOf",
                json_pack("[{s:[s]}, {s:[s]}]", "required", leaf, "required",
                          strrchr(instead->path, '.') + 1),
                out);
        } else {
            require(parent, leaf);
        }
    }
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}

/* The effective configuration --------------------------------------------------------------------
 */

static json_t *texts_json(const struct dp_config_texts *texts)
{
    json_t *array = texts->n ? json_array() : NULL;
    for (uint16_t i = 0; i < texts->n; i++) {
        (void)json_array_append_new(array, json_string(texts->at[i]));
    }
    return array;
}

static json_t *value_json(const struct dp_config_row *row, const void *base)
{
    switch (row->type) {
    case DP_CONFIG_SECTION:
        return NULL;
    case DP_CONFIG_UINT:
        return json_integer((json_int_t)field_uint(base, row));
    case DP_CONFIG_CHOICE:
        if (dp_config_is_bool(row)) {
            return json_boolean(field_uint(base, row) != 0);
        }
        return word_json(dp_choice_word(row->choices, field_uint(base, row)));
    case DP_CONFIG_TEXTS:
        return texts_json(field(base, row));
    case DP_CONFIG_TEXT:
        break;
    }
    const char *text = field_text(base, row);
    return text ? json_string(row->flags & DP_CONFIG_SECRET ? HIDDEN : text) : NULL;
}

/* The rows whose path begins with `prefix` (which is cut off) as nested objects in `root`. */
static void dump_rows(const char *prefix, const void *base, json_t *root, struct dp_text *out)
{
    size_t n = strlen(prefix);
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        if (strncmp(row->path, prefix, n) != 0 || (n == 0 && strpbrk(row->path, "[{"))) {
            continue;
        }
        json_t *value = value_json(row, base);
        if (!value) {
            continue;
        }
        const char *leaf = row->path + n;
        json_t *object = root;
        const char *dot = strchr(leaf, '.');
        if (dot) {
            char key[64];
            size_t part = (size_t)(dot - leaf) < sizeof key - 1 ? (size_t)(dot - leaf) : 0;
            memcpy(key, leaf, part);
            key[part] = '\0';
            object = json_object_get(root, key);
            if (!object) {
                object = json_object();
                set(root, key, object, out);
            }
            leaf = dot + 1;
        }
        set(object, leaf, value, out);
    }
}

void dp_config_dump(const struct dp_config *c, struct dp_text *out)
{
    json_t *root = json_object();
    json_t *regions = json_array();
    for (unsigned i = 0; i < c->n_regions; i++) {
        json_t *region = json_object();
        dump_rows("regions[].", &c->regions[i], region, out);
        (void)json_array_append_new(regions, region);
    }
    dump_rows("", c, root, out);
    set(root, "regions", regions, out);
    if (c->n_databases > 0) {
        json_t *databases = json_object();
        for (uint16_t i = 0; i < c->n_databases; i++) {
            json_t *rule = json_object();
            dump_rows("databases{}.", &c->databases[i], rule, out);
            set(databases, c->databases[i].pattern, rule, out);
        }
        set(root, "databases", databases, out);
    }
    if (c->n_users > 0) {
        json_t *users = json_object();
        for (uint16_t i = 0; i < c->n_users; i++) {
            json_t *user = json_object();
            dump_rows("clients.users{}.", &c->users[i], user, out);
            set(users, c->users[i].name, user, out);
        }
        set(json_object_get(root, "clients"), "users", users, out);
    }
    if (c->n_tokens > 0) {
        json_t *tokens = json_object();
        for (uint16_t i = 0; i < c->n_tokens; i++) {
            json_t *token = json_object();
            dump_rows("admin.tokens{}.", &c->tokens[i], token, out);
            set(tokens, c->tokens[i].name, token, out);
        }
        set(json_object_get(root, "admin"), "tokens", tokens, out);
    }
    dp_text_json(out, root, JSON_INDENT(2));
    json_decref(root);
}

static void summarise_failback(const struct dp_config *c, struct dp_text *out)
{
    if (c->failback == DP_FAILBACK_MANUAL) {
        dp_text_addf(out, "  failback      by an operator (davenport switch)\n");
        return;
    }
    dp_text_addf(out, "  failback      after the preferred region was well for %g s",
                 (double)c->failback_hold_ms / 1000);
    if (c->failback == DP_FAILBACK_GATED) {
        dp_text_addf(out, ", when these are met: %s", c->failback_conditions);
    }
    if (dp_config_asks_window(c)) {
        dp_text_addf(out, ", at %s (UTC%s)", c->failback_windows, c->failback_utc_offset);
    }
    dp_text_addf(out, "\n");
}

static void summarize_listener(const struct dp_config *c, struct dp_text *out)
{
    bool v6 = strchr(c->listen_address, ':') != NULL;
    if (dp_config_unix_path(c->listen_address)) {
        dp_text_addf(out, "  applications  %s%s", c->listen_address,
                     c->listen_cert_file ? " (TLS)" : "");
    } else {
        dp_text_addf(out, "  applications  %s://%s%s%s:%" PRIu64 "%s",
                     c->listen_cert_file ? "https" : "http", v6 ? "[" : "", c->listen_address,
                     v6 ? "]" : "", c->listen_port, c->listen_port == 0 ? " (a free port)" : "");
    }
    dp_text_addf(out, "%s\n", c->listen_proxy_protocol ? ", PROXY protocol required" : "");
}

static const char *credentials_words(const struct dp_config_region *r)
{
    static const char *const words[] = {
        [DP_CREDENTIAL_PASSTHROUGH] = "  (probed with credentials)",
        [DP_CREDENTIAL_BASIC] = "  (our own credentials)",
        [DP_CREDENTIAL_IAM] = "  (our own credentials: IAM)",
        [DP_CREDENTIAL_BEARER] = "  (our own credentials: a token file)",
        [DP_CREDENTIAL_COUCHDB_PROXY] = "  (users are asserted)",
    };
    return r->credentials == DP_CREDENTIAL_PASSTHROUGH && !r->username ? "" : words[r->credentials];
}

void dp_config_summary(const struct dp_config *c, struct dp_text *out)
{
    int width = 0;
    for (unsigned i = 0; i < c->n_regions; i++) {
        int n = (int)strlen(c->regions[i].name);
        width = n > width ? n : width;
    }
    summarize_listener(c, out);
    if (c->n_users > 0) {
        dp_text_addf(out, "  clients       %u user%s, by password or session%s\n",
                     (unsigned)c->n_users, c->n_users > 1 ? "s" : "",
                     c->clients.certificate_suffices ? ", or by certificate" : "");
    }
    dp_text_addf(out, "  operators     %s\n", c->admin_listen);
    for (unsigned i = 0; i < c->n_regions; i++) {
        const struct dp_config_region *r = &c->regions[i];
        dp_text_addf(out, "  region %-2u     %-*s  %s%s%s\n", i + 1, width, r->name,
                     c->endpoints[r->first].base_url, i == 0 ? "  (primary)" : "",
                     credentials_words(r));
        for (uint16_t k = 1; k < r->n_endpoints; k++) {
            dp_text_addf(out, "                %-*s  %s\n", width, "",
                         c->endpoints[r->first + k].base_url);
        }
    }
    summarise_failback(c, out);
}

/* The list of keys
 * --------------------------------------------------------------------------------- */

void dp_config_help_value(const struct dp_config_row *row, struct dp_text *out)
{
    switch (row->type) {
    case DP_CONFIG_SECTION:
        break;
    case DP_CONFIG_UINT:
        dp_text_addf(out, " = %" PRIu64 "  (%s%" PRIu64 " to %" PRIu64 ")", row->def,
                     row->flags & DP_CONFIG_ZERO ? "0, or " : "", row->min, row->max);
        break;
    case DP_CONFIG_CHOICE: {
        struct dp_span word = dp_choice_word(row->choices, row->def);
        const char *quote = dp_config_is_bool(row) ? "" : "\"";
        if (has_default(row)) {
            dp_text_addf(out, " = %s%.*s%s", quote, (int)word.n, word.p, quote);
        }
        dp_text_addf(out, "  (%s)", row->choices);
        break;
    }
    case DP_CONFIG_TEXTS:
        dp_text_addf(out, "  (%san array of %" PRIu64 " to %" PRIu64 ")",
                     row->flags & DP_CONFIG_OR_ONE ? "one, or " : "", row->min, row->max);
        break;
    case DP_CONFIG_TEXT:
        if (row->def_text) {
            dp_text_addf(out, " = \"%s\"", row->def_text);
        } else if (row->flags & DP_CONFIG_REQUIRED) {
            dp_text_addf(out, "  (required)");
        }
        break;
    }
}

void dp_config_help(struct dp_text *out)
{
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        bool top = !strchr(row->path, '.');
        if (i > 0 && (row->type == DP_CONFIG_SECTION || (top && strchr(row[-1].path, '.')))) {
            dp_text_addf(out, "\n");
        }
        dp_text_addf(out, "%s", row->path);
        dp_config_help_value(row, out);
        dp_text_addf(out, "\n    %s%s\n", row->text,
                     row->flags & DP_CONFIG_RESTART ? " Changed by a restart only." : "");
    }
}
