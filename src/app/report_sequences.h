/* What the reports tell of sequence maps. */
#ifndef DAVENPORT_SRC_APP_REPORT_SEQUENCES_H
#define DAVENPORT_SRC_APP_REPORT_SEQUENCES_H

#include "app/report.h"

#include <jansson.h>

/* {"file","written","not_written","marks_told","maps":[{"database","from","to","marks","oldest","newest","age_s"}]} for
 * GET /status; null where nobody keeps maps. */
json_t *dp_report_sequences_json(const struct dp_report *r);
void dp_report_sequences_metrics(const struct dp_report *r, struct dp_text *out);
/* Into `buf`, for GET /explain: where feeds would go on that lose this region; empty where there is nothing to say. */
void dp_report_sequences_words(const struct dp_report *r, const char *region, char *buf,
                               size_t cap);

#endif
