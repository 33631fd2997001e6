/* The table of families, and the writer of metric.h. */
#include "app/metric.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define LE_TEXT 32

static const struct dp_metric_info infos[DP_METRIC_COUNT] = {
#define DP_METRIC_SECTION(heading)
#define DP_METRIC(id, family, kind, label, text)                                                   \
    [DP_METRIC_##id] = {                                                                           \
        .name = (family), .labels = (label), .help = (text), .type = DP_METRIC_TYPE_##kind},
#include "app/metric.def"
#undef DP_METRIC_SECTION
#undef DP_METRIC
};

const struct dp_metric_info *dp_metric_info(enum dp_metric m)
{
    assert(m < DP_METRIC_COUNT);
    return &infos[m];
}

const char *dp_metric_type_name(enum dp_metric_type t)
{
    static const char *const names[] = {[DP_METRIC_TYPE_GAUGE] = "gauge",
                                        [DP_METRIC_TYPE_COUNTER] = "counter",
                                        [DP_METRIC_TYPE_HISTOGRAM] = "histogram"};
    return names[t];
}

void dp_metric_family(struct dp_text *out, enum dp_metric m)
{
    const struct dp_metric_info *info = dp_metric_info(m);
    dp_text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                 dp_metric_type_name(info->type));
}

/* A database's name may be anything. */
static void add_value(struct dp_text *out, const char *text)
{
    dp_text_add(out, DP_SPAN("\""));
    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            dp_text_add(out, DP_SPAN("\\n"));
            continue;
        }
        if (*c == '"' || *c == '\\') {
            dp_text_add(out, DP_SPAN("\\"));
        }
        dp_text_add(out, (struct dp_span){c, 1});
    }
    dp_text_add(out, DP_SPAN("\""));
}

/* The name, `suffix` behind it, and its labels; `le` is one more, unless it is NULL. */
static void begin_row(struct dp_text *out, enum dp_metric m, const char *suffix,
                      const char *const *labels, const char *le)
{
    const struct dp_metric_info *info = dp_metric_info(m);
    struct dp_span names = dp_span_str(info->labels);
    const char *between = "{";
    dp_text_addf(out, "%s%s", info->name, suffix);
    while (names.n > 0) {
        const struct dp_span name = dp_span_cut(&names, ',');
        assert(labels && *labels);
        dp_text_addf(out, "%s%.*s=", between, (int)name.n, name.p);
        add_value(out, *labels++);
        between = ",";
    }
    assert(!labels || !*labels);
    if (le) {
        dp_text_addf(out, "%sle=\"%s\"", between, le);
        between = ",";
    }
    dp_text_add(out, *between == ',' ? DP_SPAN("} ") : DP_SPAN(" "));
}

void dp_metric_uint(struct dp_text *out, enum dp_metric m, const char *const *labels,
                    uint64_t value)
{
    begin_row(out, m, "", labels, NULL);
    dp_text_addf(out, "%" PRIu64 "\n", value);
}

void dp_metric_real(struct dp_text *out, enum dp_metric m, const char *const *labels, double value)
{
    begin_row(out, m, "", labels, NULL);
    dp_text_addf(out, "%.15g\n", value);
}

void dp_metric_single(struct dp_text *out, enum dp_metric m, uint64_t value)
{
    dp_metric_family(out, m);
    dp_metric_uint(out, m, NULL, value);
}

void dp_metric_histogram(struct dp_text *out, enum dp_metric m, const char *const *labels,
                         const double *bounds, unsigned n, const uint64_t *counts, double sum)
{
    uint64_t total = 0;
    for (unsigned b = 0; b <= n; b++) {
        char le[LE_TEXT] = "+Inf";
        if (b < n) {
            (void)snprintf(le, sizeof le, "%g", bounds[b]);
        }
        total += counts[b];
        begin_row(out, m, "_bucket", labels, le);
        dp_text_addf(out, "%" PRIu64 "\n", total);
    }
    begin_row(out, m, "_sum", labels, NULL);
    dp_text_addf(out, "%.9g\n", sum);
    begin_row(out, m, "_count", labels, NULL);
    dp_text_addf(out, "%" PRIu64 "\n", total);
}

static void help_row(struct dp_text *out, enum dp_metric m)
{
    const struct dp_metric_info *info = dp_metric_info(m);
    struct dp_span names = dp_span_str(info->labels);
    const char *between = " by ";
    dp_text_addf(out, "* `%s` (%s", info->name, dp_metric_type_name(info->type));
    while (names.n > 0) {
        const struct dp_span name = dp_span_cut(&names, ',');
        dp_text_addf(out, "%s`%.*s`", between, (int)name.n, name.p);
        between = ", ";
    }
    dp_text_addf(out, "): %s\n", info->help);
}

void dp_metric_help(struct dp_text *out)
{
#define DP_METRIC_SECTION(heading)                                                                 \
    dp_text_addf(out, "%s### %s\n\n", out->n > 0 ? "\n" : "", (heading));
#define DP_METRIC(id, name, type, labels, help) help_row(out, DP_METRIC_##id);
#include "app/metric.def"
#undef DP_METRIC_SECTION
#undef DP_METRIC
}
