/* A plan's objects, read by tables: what a key says by itself. */
#include "app/config_table.h"
#include "app/drill_plan_private.h"
#include "app/suggest.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void plan_join(const char *section, const char *key, char out[PLAN_SHOWN])
{
    char shown[DP_SHOWN_KEY];
    dp_config_show_key(key, shown);
    int n = snprintf(out, PLAN_SHOWN, "%.120s%s%s", section, *section ? "." : "", shown);
    assert(n >= 0 && n < PLAN_SHOWN);
    (void)n;
}

void plan_item(const char *array, size_t i, char out[PLAN_SHOWN])
{
    (void)snprintf(out, PLAN_SHOWN, "%.120s[%zu]", array, i);
}

const char *plan_keep(struct plan_parser *p, const char *text)
{
    return dp_arena_copy(&p->file->arena, (struct dp_span){text, strlen(text) + 1}).p;
}

/* One key ------------------------------------------------------------------------------------- */

const char *plan_text(struct plan_parser *p, const json_t *value, enum dp_config_check check,
                      const char *shown)
{
    const char *out = NULL;
    char why[DP_EXPAND_WHY];
    if (!json_is_string(value)) {
        dp_problem(p->problems, shown, "must be a string, not %s", dp_config_type_name(value));
        return NULL;
    }
    struct dp_span in = {json_string_value(value), json_string_length(value)};
    if (dp_config_expand(&p->file->arena, in, p->folder, &out, why) != DP_OK) {
        dp_problem(p->problems, shown, "%s", why);
        return NULL;
    }
    if (strlen(out) > DP_DRILL_TEXT) {
        dp_problem(p->problems, shown, "is longer than %d bytes", DP_DRILL_TEXT);
        return NULL;
    }
    const char *reason = dp_config_check_text(check, out);
    if (reason) {
        dp_problem(p->problems, shown, "%s", reason);
        return NULL;
    }
    return out;
}

bool plan_number(struct plan_parser *p, const struct plan_row *row, const json_t *value,
                 const char *shown, double *out)
{
    bool whole = row->type == T_WHOLE;
    if (whole ? !json_is_integer(value) : !json_is_number(value)) {
        dp_problem(p->problems, shown, "must be a %snumber, not %s", whole ? "whole " : "",
                   dp_config_type_name(value));
        return false;
    }
    double n = json_number_value(value);
    if (n < row->min || n > row->max) {
        dp_problem(p->problems, shown, "must be %.12g to %.12g, not %.12g", row->min, row->max, n);
        return false;
    }
    *out = n;
    return true;
}

static void take(struct plan_parser *p, const struct plan_row *row, const json_t *value,
                 const char *shown, void *field)
{
    double n;
    switch (row->type) {
    case T_TEXT: {
        const char *text = plan_text(p, value, (enum dp_config_check)row->min, shown);
        if (text) {
            *(const char **)field = text;
        }
        break;
    }
    case T_WHOLE:
        if (plan_number(p, row, value, shown, &n)) {
            *(uint64_t *)field = (uint64_t)n;
        }
        break;
    case T_MS:
        if (plan_number(p, row, value, shown, &n)) {
            *(uint64_t *)field = (uint64_t)llround(n * 1000);
        }
        break;
    case T_NUMBER:
        if (plan_number(p, row, value, shown, &n)) {
            *(double *)field = n;
        }
        break;
    case T_BOOL:
        if (json_is_boolean(value)) {
            *(bool *)field = json_is_true(value);
        } else {
            dp_problem(p->problems, shown, "must be true or false, not %s",
                       dp_config_type_name(value));
        }
        break;
    case T_OTHER:
        break;
    }
}

/* Sections ------------------------------------------------------------------------------------ */

static void unknown(struct plan_parser *p, const struct plan_row *rows, size_t n, const char *key,
                    const char *shown)
{
    struct dp_suggestion best = {0};
    for (size_t i = 0; i < n; i++) {
        dp_suggest_consider(&best, dp_span_str(key), rows[i].key);
    }
    if (best.word) {
        dp_problem(p->problems, shown, "unknown key; did you mean \"%s\"?", best.word);
    } else {
        dp_problem(p->problems, shown, "unknown key");
    }
}

bool plan_object(struct plan_parser *p, const json_t *object, const struct plan_row *rows, size_t n,
                 const char *section, void *base)
{
    char shown[PLAN_SHOWN];
    if (!json_is_object(object)) {
        dp_problem(p->problems, section, "must be an object, not %s", dp_config_type_name(object));
        return false;
    }
    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        const char *key = json_object_iter_key(it);
        size_t i = 0;
        while (i < n && strcmp(rows[i].key, key) != 0) {
            i++;
        }
        plan_join(section, key, shown);
        if (i < n) {
            take(p, &rows[i], json_object_iter_value(it), shown, (char *)base + rows[i].offset);
        } else if (strcmp(key, "$comment") != 0 && strcmp(key, "$schema") != 0) {
            unknown(p, rows, n, key, shown);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (rows[i].required && !json_object_get(object, rows[i].key)) {
            plan_join(section, rows[i].key, shown);
            dp_problem(p->problems, shown, "missing");
        }
    }
    return true;
}
