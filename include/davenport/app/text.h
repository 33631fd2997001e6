/* Text that grows: what is printed, dumped or answered is rendered here first, so that every
 * renderer is a pure function a test can read. One thread. */
#ifndef DAVENPORT_APP_TEXT_H
#define DAVENPORT_APP_TEXT_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct dp_text {
    char *p; /* NUL ended once something was added; NULL before */
    size_t n, cap;
    bool failed; /* out of memory: nothing more is added; check once, at the end */
};

void dp_text_fini(struct dp_text *t);
void dp_text_clear(struct dp_text *t);
void dp_text_add(struct dp_text *t, struct dp_span s);
void dp_text_addf(struct dp_text *t, const char *fmt, ...) DP_PRINTF(2, 3);
/* The value as jansson's flags say, reals with six digits, and a newline. */
void dp_text_json(struct dp_text *t, const json_t *json, size_t flags);
/* Never NULL. */
const char *dp_text_str(const struct dp_text *t);
static inline struct dp_span dp_text_span(const struct dp_text *t)
{
    return (struct dp_span){t->p, t->n};
}

#endif
