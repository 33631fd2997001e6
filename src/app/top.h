/* What davenport top shows: the difference of two answers of GET /status, as rates. Pure. */
#ifndef DAVENPORT_SRC_APP_TOP_H
#define DAVENPORT_SRC_APP_TOP_H

#include "davenport/app/text.h"

#include <jansson.h>

enum dp_top_sort {
    DP_TOP_CONFIGURED,
    DP_TOP_NAME,
    DP_TOP_REQUESTS,
    DP_TOP_FAILURES,
    DP_TOP_LATENCY
};
#define DP_TOP_SORTS 5

struct dp_top_frame {
    const json_t *now,
        *before;          /* /status; before: NULL, or of another process: there are no rates yet */
    const json_t *events; /* /events, oldest first; or NULL */
    const char *away;     /* why nobody answers since `now`; NULL: somebody does */
    enum dp_top_sort sort;
    unsigned rows, columns;
};

/* A whole screen: at most `rows` lines of at most `columns` characters, the last without its newline. */
void dp_top_text(const struct dp_top_frame *frame, bool colour, struct dp_text *out);
/* {"ts", "active", "requests_per_s", …, "regions": […]} in one line; rates are null where there are none. */
void dp_top_json(const struct dp_top_frame *frame, struct dp_text *out);

#endif
