/* What the watch over replication found, for status and metrics. */
#ifndef DAVENPORT_SRC_APP_REPORT_REPLICATION_H
#define DAVENPORT_SRC_APP_REPORT_REPLICATION_H

#include "app/report.h"

#include <jansson.h>

/* Null where there is no governor. */
json_t *dp_report_replication_json(const struct dp_report *r);
void dp_report_replication_metrics(const struct dp_report *r, struct dp_text *out);

#endif
