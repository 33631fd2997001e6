/* From one configuration to the next while the program runs: what changes, and which numbers the endpoints get. */
#include "app/config_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TEXT 256

/* ---- what changes ---- */

static bool texts_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same(const struct dp_config_row *row, const void *a, const void *b)
{
    const struct dp_config_texts *ta = a;
    const struct dp_config_texts *tb = b;
    switch (row->type) {
    case DP_CONFIG_SECTION:
        return true;
    case DP_CONFIG_UINT:
    case DP_CONFIG_CHOICE:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case DP_CONFIG_TEXT:
        return texts_same(*(const char *const *)a, *(const char *const *)b);
    case DP_CONFIG_TEXTS:
        break;
    }
    bool all = ta->n == tb->n;
    for (uint16_t i = 0; i < ta->n && all; i++) {
        all = texts_same(ta->at[i], tb->at[i]);
    }
    return all;
}

static void add_value(const struct dp_config_row *row, const void *field, struct dp_text *out)
{
    const struct dp_config_texts *texts = field;
    const char *text = NULL;
    struct dp_span word;
    switch (row->type) {
    case DP_CONFIG_SECTION:
        return;
    case DP_CONFIG_UINT:
        dp_text_addf(out, "%" PRIu64, *(const uint64_t *)field);
        return;
    case DP_CONFIG_CHOICE:
        word = dp_choice_word(row->choices, *(const uint64_t *)field);
        dp_text_addf(out, "%.*s", (int)word.n, word.p);
        return;
    case DP_CONFIG_TEXT:
        text = *(const char *const *)field;
        dp_text_addf(out, "%s", text ? text : "none");
        return;
    case DP_CONFIG_TEXTS:
        break;
    }
    for (uint16_t i = 0; i < texts->n; i++) {
        dp_text_addf(out, "%s%s", i ? " " : "", texts->at[i]);
    }
    dp_text_addf(out, "%s", texts->n ? "" : "none");
}

/* "probe.fall: 3 -> 5" */
static void compare(const struct dp_config_row *row, const char *key, const void *now,
                    const void *next, struct dp_text *changes, struct dp_problems *problems)
{
    const char *a = (const char *)now + row->offset;
    const char *b = (const char *)next + row->offset;
    if (same(row, a, b)) {
        return;
    }
    if (row->flags & DP_CONFIG_RESTART) {
        dp_problem(problems, key, "needs a restart to change");
        return;
    }
    if (row->flags & DP_CONFIG_SECRET) {
        dp_text_addf(changes, "%s: changed\n", key);
        return;
    }
    dp_text_addf(changes, "%s: ", key);
    add_value(row, a, changes);
    dp_text_addf(changes, " -> ");
    add_value(row, b, changes);
    dp_text_addf(changes, "\n");
}

static bool of_a_region(const struct dp_config_row *row)
{
    return strncmp(row->path, "regions[].", sizeof "regions[]." - 1) == 0;
}

static uint16_t region_named(const struct dp_config *c, const char *name)
{
    uint16_t i = 0;
    while (i < c->n_regions && strcmp(c->regions[i].name, name) != 0) {
        i++;
    }
    return i;
}

static void compare_region(const struct dp_config_region *now, const struct dp_config_region *next,
                           struct dp_text *changes, struct dp_problems *problems)
{
    for (size_t k = 0; k < dp_config_n_rows; k++) {
        const struct dp_config_row *row = &dp_config_rows[k];
        char key[KEY_TEXT];
        if (of_a_region(row) && snprintf(key, sizeof key, "regions.%s.%s", next->name,
                                         row->path + sizeof "regions[]." - 1) > 0) {
            compare(row, key, now, next, changes, problems);
        }
    }
}

static void compare_regions(const struct dp_config *now, const struct dp_config *next,
                            struct dp_text *changes, struct dp_problems *problems)
{
    uint16_t last = 0;
    bool moved = false;
    for (uint16_t i = 0; i < now->n_regions; i++) {
        if (region_named(next, now->regions[i].name) == next->n_regions) {
            dp_text_addf(changes, "regions.%s: removed\n", now->regions[i].name);
        }
    }
    for (uint16_t i = 0; i < next->n_regions; i++) {
        uint16_t was = region_named(now, next->regions[i].name);
        if (was == now->n_regions) {
            dp_text_addf(changes, "regions.%s: added\n", next->regions[i].name);
            continue;
        }
        moved = moved || was < last;
        last = was;
        compare_region(&now->regions[was], &next->regions[i], changes, problems);
    }
    if (moved) {
        dp_text_addf(changes, "regions: another order of preference\n");
    }
}

static bool of_users(const struct dp_config_row *row)
{
    return strncmp(row->path, "clients.users{}.", sizeof "clients.users{}." - 1) == 0;
}

static bool of_tokens(const struct dp_config_row *row)
{
    return strncmp(row->path, "admin.tokens{}.", sizeof "admin.tokens{}." - 1) == 0;
}

static const struct dp_config_token *token_named(const struct dp_config *c, const char *name)
{
    for (uint16_t i = 0; i < c->n_tokens; i++) {
        if (strcmp(c->tokens[i].name, name) == 0) {
            return &c->tokens[i];
        }
    }
    return NULL;
}

static void compare_tokens(const struct dp_config *now, const struct dp_config *next,
                           struct dp_text *changes)
{
    for (uint16_t i = 0; i < now->n_tokens; i++) {
        if (!token_named(next, now->tokens[i].name)) {
            dp_text_addf(changes, "admin.tokens.%s: removed\n", now->tokens[i].name);
        }
    }
    for (uint16_t i = 0; i < next->n_tokens; i++) {
        const struct dp_config_token *token = &next->tokens[i];
        const struct dp_config_token *was = token_named(now, token->name);
        if (!was) {
            dp_text_addf(changes, "admin.tokens.%s: added\n", token->name);
        } else if (!texts_same(was->hash, token->hash) || was->role != token->role) {
            dp_text_addf(changes, "admin.tokens.%s: changed\n", token->name);
        }
    }
}

static uint16_t user_named(const struct dp_config *c, const char *name)
{
    uint16_t i = 0;
    while (i < c->n_users && strcmp(c->users[i].name, name) != 0) {
        i++;
    }
    return i;
}

static void compare_users(const struct dp_config *now, const struct dp_config *next,
                          struct dp_text *changes)
{
    char shown[DP_SHOWN_KEY];
    for (uint16_t i = 0; i < now->n_users; i++) {
        if (user_named(next, now->users[i].name) == next->n_users) {
            dp_config_show_key(now->users[i].name, shown);
            dp_text_addf(changes, "clients.users.%s: removed\n", shown);
        }
    }
    for (uint16_t i = 0; i < next->n_users; i++) {
        const uint16_t was = user_named(now, next->users[i].name);
        dp_config_show_key(next->users[i].name, shown);
        if (was == now->n_users) {
            dp_text_addf(changes, "clients.users.%s: added\n", shown);
        } else if (!texts_same(now->users[was].password, next->users[i].password) ||
                   !texts_same(now->users[was].roles, next->users[i].roles)) {
            dp_text_addf(changes, "clients.users.%s: changed\n", shown);
        }
    }
}

static bool of_databases(const struct dp_config_row *row)
{
    return strncmp(row->path, "databases{}.", sizeof "databases{}." - 1) == 0;
}

static uint16_t pattern_of(const struct dp_config *c, const char *pattern)
{
    uint16_t i = 0;
    while (i < c->n_databases && strcmp(c->databases[i].pattern, pattern) != 0) {
        i++;
    }
    return i;
}

static bool rules_same(const struct dp_config_database *a, const struct dp_config_database *b)
{
    bool all = true;
    for (size_t k = 0; k < dp_config_n_rows && all; k++) {
        const struct dp_config_row *row = &dp_config_rows[k];
        all = !of_databases(row) ||
              same(row, (const char *)a + row->offset, (const char *)b + row->offset);
    }
    return all;
}

static void compare_databases(const struct dp_config *now, const struct dp_config *next,
                              struct dp_text *changes)
{
    char shown[DP_SHOWN_KEY];
    for (uint16_t i = 0; i < now->n_databases; i++) {
        if (pattern_of(next, now->databases[i].pattern) == next->n_databases) {
            dp_config_show_key(now->databases[i].pattern, shown);
            dp_text_addf(changes, "databases.%s: removed\n", shown);
        }
    }
    for (uint16_t i = 0; i < next->n_databases; i++) {
        uint16_t was = pattern_of(now, next->databases[i].pattern);
        dp_config_show_key(next->databases[i].pattern, shown);
        if (was == now->n_databases) {
            dp_text_addf(changes, "databases.%s: added\n", shown);
        } else if (!rules_same(&now->databases[was], &next->databases[i])) {
            dp_text_addf(changes, "databases.%s: changed\n", shown);
        }
    }
}

void dp_config_diff(const struct dp_config *now, const struct dp_config *next,
                    struct dp_text *changes, struct dp_problems *problems)
{
    for (size_t k = 0; k < dp_config_n_rows; k++) {
        if (!of_a_region(&dp_config_rows[k]) && !of_databases(&dp_config_rows[k]) &&
            !of_users(&dp_config_rows[k]) && !of_tokens(&dp_config_rows[k])) {
            compare(&dp_config_rows[k], dp_config_rows[k].path, now, next, changes, problems);
        }
    }
    if (!now->listen_cert_file != !next->listen_cert_file) {
        dp_problem(problems, "listen.tls", "needs a restart to begin or to end");
    }
    if (!now->admin_cert_file != !next->admin_cert_file) {
        dp_problem(problems, "admin.tls", "needs a restart to begin or to end");
    }
    compare_databases(now, next, changes);
    compare_users(now, next, changes);
    compare_tokens(now, next, changes);
    compare_regions(now, next, changes, problems);
}

/* ---- where the endpoints go ---- */

static bool urls_same(const struct dp_config *a, const struct dp_config_region *ra,
                      const struct dp_config *b, const struct dp_config_region *rb)
{
    bool all = ra->n_endpoints == rb->n_endpoints;
    for (uint16_t i = 0; i < ra->n_endpoints && all; i++) {
        all =
            strcmp(a->endpoints[ra->first + i].base_url, b->endpoints[rb->first + i].base_url) == 0;
    }
    return all;
}

/* The first run of n free numbers, or DP_MAX_ENDPOINTS. */
static uint16_t find_run(const bool *taken, uint16_t n)
{
    uint16_t run = 0;
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++) {
        run = taken[i] ? 0 : (uint16_t)(run + 1);
        if (run == n) {
            return (uint16_t)(i + 1 - n);
        }
    }
    return DP_MAX_ENDPOINTS;
}

bool dp_config_place(const struct dp_config *now, struct dp_config *next)
{
    bool taken[DP_MAX_ENDPOINTS] = {false};
    uint16_t first[DP_MAX_REGIONS];
    struct dp_config_endpoint placed[DP_MAX_ENDPOINTS] = {0};
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++) {
        taken[i] = now->endpoints[i].base_url != NULL;
    }
    for (uint16_t i = 0; i < next->n_regions; i++) {
        const struct dp_config_region *r = &next->regions[i];
        uint16_t was = region_named(now, r->name);
        bool stays = was < now->n_regions && urls_same(now, &now->regions[was], next, r);
        first[i] = stays ? now->regions[was].first : find_run(taken, r->n_endpoints);
        if (first[i] == DP_MAX_ENDPOINTS) {
            return false;
        }
        memset(taken + first[i], true, r->n_endpoints);
    }
    uint16_t end = 0;
    for (uint16_t i = 0; i < next->n_regions; i++) {
        struct dp_config_region *r = &next->regions[i];
        memcpy(&placed[first[i]], &next->endpoints[r->first], r->n_endpoints * sizeof placed[0]);
        r->first = first[i];
        end = r->first + r->n_endpoints > end ? (uint16_t)(r->first + r->n_endpoints) : end;
    }
    memcpy(next->endpoints, placed, sizeof placed);
    next->n_endpoints = end;
    return true;
}
