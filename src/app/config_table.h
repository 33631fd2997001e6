/* config.def as rows, and the private pieces of reading a configuration. */
#ifndef DAVENPORT_SRC_APP_CONFIG_TABLE_H
#define DAVENPORT_SRC_APP_CONFIG_TABLE_H

#include "davenport/app/config.h"

#include <jansson.h>

enum dp_config_type {
    DP_CONFIG_SECTION,
    DP_CONFIG_UINT,
    DP_CONFIG_TEXT,
    DP_CONFIG_TEXTS, /* at most `max` */
    DP_CONFIG_CHOICE
};

/* What a string must look like. */
enum dp_config_check {
    DP_CHECK_ANY, /* not empty */
    DP_CHECK_LISTEN,
    DP_CHECK_MODE,
    DP_CHECK_ADMIN,
    DP_CHECK_ADMIN_CLIENT, /* as whoever asks there calls it */
    DP_CHECK_NAME,
    DP_CHECK_URL,
    DP_CHECK_USERNAME,
    DP_CHECK_PATH,
    DP_CHECK_FILE,
    DP_CHECK_PINS,
    DP_CHECK_DATABASE,
    DP_CHECK_DATABASES, /* with commas between */
    DP_CHECK_TOKEN,
    DP_CHECK_GATE,
    DP_CHECK_WINDOWS,
    DP_CHECK_UTC_OFFSET,
    DP_CHECK_ROLES,
    DP_CHECK_TOKEN_URL,
    DP_CHECK_PASSWORD,
    DP_CHECK_TOKEN_HASH,
    DP_CHECK_SECRET,
    DP_CHECK_COLLECTOR,
    DP_CHECK_FIELD
};

struct dp_config_row {
    const char *path; /* "probe.fall", "regions[].name" */
    const char *text;
    size_t offset; /* of the field, in struct dp_config or struct dp_config_region */
    uint64_t def, min, max;
    const char *def_text;
    const char *choices; /* "a|b|c" */
    unsigned flags;      /* enum dp_config_flag */
    enum dp_config_type type;
    enum dp_config_check check;
};

extern const struct dp_config_row dp_config_rows[];
extern const size_t dp_config_n_rows;

/* All defaults, no region. Never NULL. */
struct dp_config *dp_config_new(void);

/* The row that may stand in place of `row`, or NULL. */
const struct dp_config_row *dp_config_row_instead(const struct dp_config_row *row);
/* The row of a key under a section ("" or "probe" or "regions[]"), or NULL. */
const struct dp_config_row *dp_config_row_of(const char *section, const char *key);
/* Is `row` a key directly under `section`? Then *leaf is its last part. */
bool dp_config_row_under(const struct dp_config_row *row, const char *section, const char **leaf);

/* The words of a choice, cut from choices: false at the end. */
bool dp_choice_next(struct dp_span *rest, struct dp_span *word);
/* Word number `index`; empty when there is none. */
struct dp_span dp_choice_word(const char *choices, uint64_t index);

bool dp_config_is_ip(const char *text); /* numeric, v4 or v6, without brackets */

/* NULL when `value` is good, else why not. The reason never quotes the value. */
const char *dp_config_check_text(enum dp_config_check check, const char *value);
/* A regular expression (ECMA 262) of what the check accepts, for the schema; NULL: anything. */
const char *dp_config_check_pattern(enum dp_config_check check);

/* Does failback, as configured, wait for a time of the week? */
bool dp_config_asks_window(const struct dp_config *c);
/* Why replication is not watched; NULL: it is. */
const char *dp_config_watch_off(const struct dp_config *c);
/* A choice of "false" and "true": JSON's own words. */
bool dp_config_is_bool(const struct dp_config_row *row);
/* What stands behind a key in help: its default and what it may be, " = 8984  (0 to 65535)". */
void dp_config_help_value(const struct dp_config_row *row, struct dp_text *out);

/* How requests are routed: fills what a pattern leaves out, and makes the rules of it. */
void dp_config_check_rules(struct dp_config *c, struct dp_problems *problems);
void dp_config_rules(const struct dp_config *c, struct dp_rules *out);
bool dp_config_nearest(
    const struct dp_config *c); /* does any rule ask which region is the nearest? */

/* Credentials: who we are in the regions, and who applications are here. */
const char *dp_config_check_username(const char *value);
const char *dp_config_check_token_name(const char *value);
const char *dp_config_check_roles(const char *value);
const char *dp_config_check_token_url(const char *value);
void dp_config_check_credentials(struct dp_config *c, struct dp_problems *problems);
/* Who may ask over the operators' address. */
void dp_config_check_admin(const struct dp_config *c, struct dp_problems *problems);
struct dp_key_config dp_config_key(const struct dp_config_region *r);

/* Tracing: where spans go. */
struct dp_otlp_config;
const char *dp_config_check_collector(const char *value);
const char *dp_config_check_field(const char *value);
void dp_config_check_tracing(const struct dp_config *c, struct dp_problems *problems);
void dp_config_otlp(const struct dp_config *c, struct dp_otlp_config *out);

/* The rules that involve more than one key; also fills what is made of the regions' urls. */
void dp_config_check_whole(struct dp_config *c, struct dp_problems *problems);

/* Replace ${env:NAME} and ${file:PATH} ($${ stands for ${) in `in`; the result lives in `arena`,
 * NUL ended. On failure *why says what is wrong, never what was read. */
#define DP_EXPAND_WHY 320
DP_MUST_USE enum dp_err dp_config_expand(struct dp_arena *arena, struct dp_span in,
                                         const char *folder, const char **out,
                                         char why[DP_EXPAND_WHY]);

/* A document whose root is an object, or NULL and a problem, which quotes nothing that could be a password. */
DP_MUST_USE json_t *dp_config_json(struct dp_span text, struct dp_problems *problems);
/* "an object": what a value is, to a person. */
const char *dp_config_type_name(const json_t *value);
/* A file to be parsed. `source` borrows what stands before it. */
struct dp_config_file {
    struct dp_text text, folder;
    struct dp_config_source source;
};
/* Fails with a problem. dp_config_file_fini is due in any case. */
DP_MUST_USE enum dp_err dp_config_file_read(struct dp_config_file *f, const char *path,
                                            size_t bytes_max, struct dp_problems *problems);
void dp_config_file_fini(struct dp_config_file *f);

/* A key of the document, cut and made printable for a message. */
#define DP_SHOWN_KEY 64
void dp_config_show_key(const char *key, char out[DP_SHOWN_KEY]);

#endif
