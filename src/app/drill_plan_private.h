/* Reading a plan: shared by drill_plan.c (the whole), drill_plan_keys.c (one object by its table) and drill_plan_steps.c. */
#ifndef DAVENPORT_SRC_APP_DRILL_PLAN_PRIVATE_H
#define DAVENPORT_SRC_APP_DRILL_PLAN_PRIVATE_H

#include "davenport/app/config.h"

#include "app/config_table.h"
#include "app/drill_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define PLAN_SHOWN   192 /* bytes of a key with all that it is in: "steps[3].fault" */
#define PLAN_SECONDS ((double)DP_DRILL_SECONDS)

enum plan_type {
    T_TEXT,   /* const char *, expanded */
    T_WHOLE,  /* uint64_t */
    T_MS,     /* uint64_t of ms, in the file seconds with a fraction */
    T_NUMBER, /* double */
    T_BOOL,
    T_OTHER /* whoever reads the section sees to it */
};

struct plan_row {
    const char *key;
    enum plan_type type;
    bool required;
    size_t offset;
    double min, max; /* a T_TEXT's min: its enum dp_config_check */
    const char *text;
};

struct plan_parser {
    struct dp_plan_file *file;
    struct dp_drill_plan *plan;
    struct dp_problems *problems;
    const char *folder;
    uint16_t source[DP_DRILL_STEPS]; /* of each step: its place in the file */
};

/* "section.key", "array[i]". */
void plan_join(const char *section, const char *key, char out[PLAN_SHOWN]);
void plan_item(const char *array, size_t i, char out[PLAN_SHOWN]);
/* A copy that lives as long as the plan. NULL: out of memory. */
const char *plan_keep(struct plan_parser *p, const char *text);
/* A string, expanded and checked; NULL after a problem was told of `shown`. */
const char *plan_text(struct plan_parser *p, const json_t *value, enum dp_config_check check,
                      const char *shown);
/* False after a problem was told, *out untouched. */
bool plan_number(struct plan_parser *p, const struct plan_row *row, const json_t *value,
                 const char *shown, double *out);
/* The keys of one object into the struct at `base`. False: it is none. */
bool plan_object(struct plan_parser *p, const json_t *object, const struct plan_row *rows, size_t n,
                 const char *section, void *base);
#define PLAN_READ(p, object, rows, section, base)                                                  \
    plan_object((p), (object), (rows), DP_ARRAY_LEN(rows), (section), (base))

/* The array "steps"; regions, load and proxy have been read. */
void plan_steps(struct plan_parser *p, const json_t *array);
/* Of two that would undo each other the later one is told. */
void plan_check_overlaps(struct plan_parser *p);

void plan_help_rows(struct dp_text *out, const char *section, const struct plan_row *rows,
                    size_t n);
void plan_steps_help(struct dp_text *out);

#endif
