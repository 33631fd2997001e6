/* Pieces of GET /status that other answers show too. */
#ifndef DAVENPORT_SRC_APP_REPORT_JSON_H
#define DAVENPORT_SRC_APP_REPORT_JSON_H

#include "app/report.h"

#include <jansson.h>

/* An order that stands; null where none does. */
json_t *dp_standing_json(const struct dp_standing *s, int64_t now_wall_ms);

#endif
