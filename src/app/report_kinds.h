/* What a report says by kind of request, and of what things took. Pure. */
#ifndef DAVENPORT_SRC_APP_REPORT_KINDS_H
#define DAVENPORT_SRC_APP_REPORT_KINDS_H

#include "app/report.h"

/* Families of GET /metrics. Labels are bounded: kinds and words are those of tables. */
void dp_kinds_metrics(const struct dp_report *r, struct dp_text *out);
void dp_times_metrics(const struct dp_report *r, struct dp_text *out);

#endif
