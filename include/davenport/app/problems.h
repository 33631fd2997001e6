/* All that is wrong with a configuration, collected so that a person sees it at once:
 * "FILE: key.path: reason", one a line, in the order found. */
#ifndef DAVENPORT_APP_PROBLEMS_H
#define DAVENPORT_APP_PROBLEMS_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"

/* Past this many the rest is only counted. */
#define DP_PROBLEMS_MAX 100

struct dp_problems {
    const char *file; /* how the document is called in front of each line; borrowed */
    unsigned errors;
    unsigned warnings;
    struct dp_text text; /* the lines */
};

void dp_problems_init(struct dp_problems *p, const char *file);
void dp_problems_fini(struct dp_problems *p);
/* path: "" for the document as a whole. Never put a secret into `fmt`'s arguments. */
void dp_problem(struct dp_problems *p, const char *path, const char *fmt, ...) DP_PRINTF(3, 4);
/* The same, as "FILE: warning: key.path: reason"; does not count as an error. */
void dp_problem_warning(struct dp_problems *p, const char *path, const char *fmt, ...)
    DP_PRINTF(3, 4);
/* Adds "… and N more" when lines were left out. Call once, before printing. */
void dp_problems_close(struct dp_problems *p);

#endif
