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

DP_PRINTF(5, 0)
static void tell(struct dp_problems *p, unsigned *count, const char *kind, const char *path,
                 const char *fmt, va_list args)
{
    char reason[512];
    int n = vsnprintf(reason, sizeof reason, fmt, args);
    if (++*count <= DP_PROBLEMS_MAX && n >= 0) {
        dp_text_addf(&p->text, "%s: %s%s%s%s\n", p->file, kind, path, *path ? ": " : "", reason);
    }
}

void dp_problem(struct dp_problems *p, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tell(p, &p->errors, "", path, fmt, args);
    va_end(args);
}

void dp_problem_warning(struct dp_problems *p, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tell(p, &p->warnings, "warning: ", path, fmt, args);
    va_end(args);
}

void dp_problems_close(struct dp_problems *p)
{
    if (p->errors > DP_PROBLEMS_MAX) {
        dp_text_addf(&p->text, "%s: and %u more problems\n", p->file, p->errors - DP_PROBLEMS_MAX);
    }
}
