/* A drill's result as a page that a browser shows. */
#ifndef DAVENPORT_SRC_APP_DRILL_REPORT_H
#define DAVENPORT_SRC_APP_DRILL_REPORT_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <jansson.h>

/* The format of results that the page understands. */
#define DP_DRILL_RESULT_FORMAT 1

/* One self-contained HTML file, added to `out`. It holds the result whole, and nothing in it can become markup or a script.
 * DP_EINVAL: it is no object, or nested deeper than JSON can be written. DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_drill_report_html(const json_t *result, struct dp_text *out);

#endif
