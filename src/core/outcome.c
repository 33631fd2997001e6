/* Outcomes: the table's columns. */
#include "davenport/core/outcome.h"

#include "davenport/core/traffic.h"

static const struct {
    const char *label;
    enum dp_verdict verdict;
} table[DP_OUTCOME_COUNT] = {
#define X(name, label, verdict) [DP_OUTCOME_##name] = {label, DP_VERDICT_##verdict},
    DP_OUTCOME_TABLE(X)
#undef X
};

const char *dp_outcome_label(enum dp_outcome o)
{
    return table[o].label;
}

enum dp_verdict dp_outcome_verdict(enum dp_outcome o)
{
    return table[o].verdict;
}

enum dp_outcome dp_outcome_of_status(uint16_t status)
{
    switch (status) {
    case 500:
    case 502:
    case 503:
    case 504:
        return DP_OUTCOME_SERVER_ERROR;
    case 429:
        return DP_OUTCOME_THROTTLED;
    case 401:
    case 403:
        return DP_OUTCOME_CREDENTIALS;
    default:
        return DP_OUTCOME_ANSWERED;
    }
}

const char *dp_told_label(enum dp_told told)
{
    static const char *const labels[] = {
#define X(name, label) label,
        DP_TOLD_TABLE(X)
#undef X
    };
    return told < DP_TOLD_COUNT ? labels[told] : "?";
}

#define LABELS(function, type, TABLE)                                                              \
    const char *function(enum type i)                                                              \
    {                                                                                              \
        static const char *const labels[] = {TABLE(LABEL)};                                        \
        return (size_t)i < DP_ARRAY_LEN(labels) ? labels[i] : "?";                                 \
    }
#define LABEL(name, label) label,
LABELS(dp_pool_gauge_label, dp_pool_gauge, DP_POOL_GAUGE_TABLE)
LABELS(dp_feed_end_label, dp_feed_end, DP_FEED_END_TABLE)
LABELS(dp_memory_label, dp_memory, DP_MEMORY_TABLE)
#undef LABEL
#undef LABELS

unsigned dp_latency_bucket(uint64_t ns)
{
    static const uint16_t bounds_ms[] = DP_LATENCY_BOUNDS_MS;
    unsigned i = 0;
    while (i < DP_ARRAY_LEN(bounds_ms) && ns > (uint64_t)bounds_ms[i] * 1000000)
        i++;
    return i;
}

unsigned dp_added_bucket(uint64_t ns)
{
    static const uint32_t bounds_us[] = DP_ADDED_BOUNDS_US;
    _Static_assert(DP_ARRAY_LEN(bounds_us) + 1 == DP_LATENCY_BUCKETS, "the last has no bound");
    unsigned i = 0;
    while (i < DP_ARRAY_LEN(bounds_us) && ns > (uint64_t)bounds_us[i] * 1000)
        i++;
    return i;
}
