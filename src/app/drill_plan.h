/* A drill's plan, read from JSON: all problems at once, with their keys. */
#ifndef DAVENPORT_SRC_APP_DRILL_PLAN_H
#define DAVENPORT_SRC_APP_DRILL_PLAN_H

#include "davenport/app/config.h"
#include "davenport/drill/plan.h"

#include <jansson.h>

/* The plan and what its strings live in. */
struct dp_plan_file {
    struct dp_drill_plan plan;
    struct dp_arena arena;
    json_t *shown; /* the document as it stands in the file, for reports: passwords are "***" */
};

/* Errors: DP_EINVAL, told in `problems`; *out is untouched then. */
DP_MUST_USE enum dp_err dp_plan_parse(const struct dp_config_source *source,
                                      struct dp_problems *problems, struct dp_plan_file **out);
/* The file at `path` ("-": stdin). Also DP_EIO, told in `problems`. */
DP_MUST_USE enum dp_err dp_plan_load(const char *path, struct dp_problems *problems,
                                     struct dp_plan_file **out);
void dp_plan_destroy(struct dp_plan_file *f); /* NULL: nothing */

/* Every key, for `davenport help plan`. */
void dp_plan_help(struct dp_text *out);

#endif
