/* What a report says of credentials: never what they are. Pure. */
#ifndef DAVENPORT_SRC_APP_REPORT_KEYS_H
#define DAVENPORT_SRC_APP_REPORT_KEYS_H

#include "app/report.h"

#include <stddef.h>

#include <jansson.h>

/* The member "credentials" of a region in GET /status. */
void dp_keys_put(json_t *region, const struct dp_key_status *s);
/* A sentence of GET /explain; "": nothing is wrong with them. */
const char *dp_keys_words(const struct dp_key_status *s, int64_t now_wall_ms, char *buf,
                          size_t cap);
/* Families of GET /metrics. */
void dp_keys_metrics(const struct dp_status *s, struct dp_text *out);

#endif
