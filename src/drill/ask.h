/* One question to a region, past the proxy. */
#ifndef DAVENPORT_DRILL_ASK_H
#define DAVENPORT_DRILL_ASK_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/client/fetch.h"
#include "davenport/drill/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dp_drill_ask {
    const char *method;  /* NULL: GET */
    const char *path;    /* with its query; from "/" on */
    struct dp_span body; /* JSON; .n == 0: none */
    uint32_t timeout_ms, max_body_bytes;
};

/* As dp_fetch_start. */
DP_MUST_USE enum dp_err dp_drill_ask(struct dp_fetcher *f, const struct dp_drill_region *region,
                                     const struct dp_drill_ask *ask, dp_fetch_done done, void *ctx,
                                     struct dp_fetch **out);

/* A good answer, 2xx. */
bool dp_drill_good(const struct dp_fetch_result *res);
/* What came of it instead, for people: "503 no_region: Its reason.", or why there is no answer. */
void dp_drill_word(const struct dp_fetch_result *res, char *out, size_t cap);

#endif
