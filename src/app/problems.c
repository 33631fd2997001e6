/* Collects what is wrong, one line each. */
#include "davenport/app/problems.h"

#include <stdarg.h>
#include <stdio.h>

void dp_problems_init(struct dp_problems *p, const char *file)
{
    *p = (struct dp_problems){.file = file};
}

void dp_problems_fini(struct dp_problems *p)
{
    dp_text_fini(&p->text);
}

static void add_line(struct dp_problems *p, const char *kind, const char *path, const char *reason)
{
    dp_text_addf(&p->text, "%s: %s%s%s%s\n", p->file, kind, path, *path ? ": " : "", reason);
}

#define REASON_BYTES 512

void dp_problem(struct dp_problems *p, const char *path, const char *fmt, ...)
{
    char reason[REASON_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    if (++p->errors <= DP_PROBLEMS_MAX && n >= 0) {
        add_line(p, "", path, reason);
    }
}

void dp_problem_warning(struct dp_problems *p, const char *path, const char *fmt, ...)
{
    char reason[REASON_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    if (++p->warnings <= DP_PROBLEMS_MAX && n >= 0) {
        add_line(p, "warning: ", path, reason);
    }
}

void dp_problems_close(struct dp_problems *p)
{
    if (p->errors > DP_PROBLEMS_MAX) {
        dp_text_addf(&p->text, "%s: and %u more problems\n", p->file, p->errors - DP_PROBLEMS_MAX);
    }
}
