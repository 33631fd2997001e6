/* What a report says of drills' faults. Pure. */
#ifndef DAVENPORT_SRC_APP_REPORT_FAULTS_H
#define DAVENPORT_SRC_APP_REPORT_FAULTS_H

#include "app/report.h"

#include <jansson.h>

/* The member "fault" of a region in GET /status: what it is made to do, by whom and until when; null: nothing. */
json_t *dp_fault_json(const struct dp_region_status *s, int64_t now_wall_ms);
/* GET /faults. */
void dp_report_faults(const struct dp_report *r, struct dp_text *out);
/* Families of GET /metrics. */
void dp_faults_metrics(const struct dp_status *s, struct dp_text *out);

#endif
