/* Prometheus' text format 0.0.4, written by the table of families (app/metric.def): a renderer names a family and gives
 * values, so that no name, type or label stands anywhere else. Pure. */
#ifndef DAVENPORT_SRC_APP_METRIC_H
#define DAVENPORT_SRC_APP_METRIC_H

#include "davenport/app/text.h"

#include <stdint.h>

enum dp_metric {
#define DP_METRIC_SECTION(heading)
#define DP_METRIC(id, name, type, labels, help) DP_METRIC_##id,
#include "app/metric.def"
#undef DP_METRIC_SECTION
#undef DP_METRIC
    DP_METRIC_COUNT
};

enum dp_metric_type { DP_METRIC_TYPE_GAUGE, DP_METRIC_TYPE_COUNTER, DP_METRIC_TYPE_HISTOGRAM };

struct dp_metric_info {
    const char *name, *labels, *help;
    enum dp_metric_type type;
};

/* Values of a row's labels, in the table's order and of its number; each a text that ends in NUL. */
#define DP_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct dp_metric_info *dp_metric_info(enum dp_metric m);
const char *dp_metric_type_name(enum dp_metric_type t);

/* HELP and TYPE: once, before the family's rows, which follow at once. */
void dp_metric_family(struct dp_text *out, enum dp_metric m);
/* One row. labels: DP_LABELS(…), or NULL for a family that has none. */
void dp_metric_uint(struct dp_text *out, enum dp_metric m, const char *const *labels,
                    uint64_t value);
void dp_metric_real(struct dp_text *out, enum dp_metric m, const char *const *labels, double value);
/* A family of one row without labels. */
void dp_metric_single(struct dp_text *out, enum dp_metric m, uint64_t value);
/* All rows of one histogram. bounds: n upper bounds in seconds, ascending; counts: n + 1, each its own (not cumulative), the
 * last without a bound. */
void dp_metric_histogram(struct dp_text *out, enum dp_metric m, const char *const *labels,
                         const double *bounds, unsigned n, const uint64_t *counts, double sum);

/* The table as Markdown, a line a family: the list in docs/metrics.md, and `davenport help metrics`. */
void dp_metric_help(struct dp_text *out);

#endif
