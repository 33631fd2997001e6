/* What a report says of where requests go besides the active region: modes, distances, shares. Pure. */
#ifndef DAVENPORT_SRC_APP_REPORT_ROUTING_H
#define DAVENPORT_SRC_APP_REPORT_ROUTING_H

#include "app/report.h"

#include <stddef.h>

#include <jansson.h>

/* Members of GET /status: of the whole, of a region. */
void dp_routing_put(json_t *root, const struct dp_status *s);
void dp_routing_put_region(json_t *region, const struct dp_status *s,
                           const struct dp_region_status *g);

/* Sentences of GET /explain, by number from 0; "": there is no such sentence. */
#define DP_ROUTING_SENTENCES 4
const char *dp_routing_words(const struct dp_status *s, unsigned i, char *buf, size_t cap);
const char *dp_routing_region_words(const struct dp_status *s, const struct dp_region_status *g,
                                    unsigned i, char *buf, size_t cap);

/* Families of GET /metrics. */
void dp_routing_metrics(const struct dp_status *s, struct dp_text *out);

#endif
