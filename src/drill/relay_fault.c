#include "davenport/drill/relay_fault.h"

#include "davenport/base/clock.h"

#include <assert.h>

/* With a bandwidth, so much of a second's bytes leaves at once: fine enough to be smooth, coarse enough for a timer
 * of whole milliseconds. */
#define SHARES_A_SECOND 50

static const struct {
    const char *word, *text;
} kinds[] = {
#define X(name, word, text) {word, text},
    DP_RELAY_FAULT_TABLE(X)
#undef X
};

const char *dp_relay_fault_name(enum dp_relay_fault_kind kind)
{
    assert(kind < DP_RELAY_FAULTS);
    return kinds[kind].word;
}

const char *dp_relay_fault_text(enum dp_relay_fault_kind kind)
{
    assert(kind < DP_RELAY_FAULTS);
    return kinds[kind].text;
}

enum dp_relay_fault_kind dp_relay_fault_kind_of(struct dp_span word)
{
    size_t kind = 0;
    while (kind < DP_RELAY_FAULTS && !dp_span_eq(word, dp_span_str(kinds[kind].word))) {
        kind++;
    }
    return (enum dp_relay_fault_kind)kind;
}

void dp_relay_faults_set(struct dp_relay_faults *f, const struct dp_relay_fault *fault,
                         uint64_t for_ms, uint64_t now_ns)
{
    f->at[fault->kind] = *fault;
    f->on[fault->kind] = true;
    f->ends_ns[fault->kind] = for_ms ? now_ns + for_ms * DP_NS_PER_MS : UINT64_MAX;
}

bool dp_relay_faults_heal(struct dp_relay_faults *f, enum dp_relay_fault_kind kind)
{
    bool was = f->on[kind];
    f->on[kind] = false;
    return was;
}

unsigned dp_relay_faults_expire(struct dp_relay_faults *f, uint64_t now_ns)
{
    unsigned ended = 0;
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS; kind++) {
        if (f->on[kind] && now_ns >= f->ends_ns[kind]) {
            f->on[kind] = false;
            ended |= 1U << kind;
        }
    }
    return ended;
}

uint64_t dp_relay_faults_next(const struct dp_relay_faults *f)
{
    uint64_t next = UINT64_MAX;
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS; kind++) {
        if (f->on[kind] && f->ends_ns[kind] < next) {
            next = f->ends_ns[kind];
        }
    }
    return next;
}

const struct dp_relay_fault *dp_relay_faults_on(const struct dp_relay_faults *f,
                                                enum dp_relay_fault_kind kind,
                                                enum dp_relay_way way)
{
    return f->on[kind] && f->at[kind].ways[way] ? &f->at[kind] : NULL;
}

uint64_t dp_relay_due(const struct dp_relay_faults *f, enum dp_relay_way way,
                      struct dp_relay_pace *pace, uint64_t now_ns, uint64_t random)
{
    const struct dp_relay_fault *late = dp_relay_faults_on(f, DP_RELAY_LATENCY, way);
    uint64_t due = now_ns;
    if (late) {
        /* from ms - jitter to ms + jitter, and never into the past */
        uint64_t jitter = late->jitter_ms < late->ms ? late->jitter_ms : late->ms;
        uint64_t spread = 2 * jitter * DP_NS_PER_MS + 1;
        due += (late->ms - jitter) * DP_NS_PER_MS + random % spread;
    }
    if (due < pace->last_due_ns) {
        due = pace->last_due_ns;
    }
    pace->last_due_ns = due;
    return due;
}

size_t dp_relay_may_leave(const struct dp_relay_faults *f, enum dp_relay_way way,
                          const struct dp_relay_pace *pace, size_t waiting, uint64_t now_ns,
                          uint64_t *wake_ns)
{
    const struct dp_relay_fault *width = dp_relay_faults_on(f, DP_RELAY_BANDWIDTH, way);
    const struct dp_relay_fault *slice = dp_relay_faults_on(f, DP_RELAY_SLICE, way);
    uint64_t n = waiting;
    if (dp_relay_faults_on(f, DP_RELAY_BLACKHOLE, way)) {
        *wake_ns = UINT64_MAX;
        return 0;
    }
    if ((width || slice) && now_ns < pace->next_ns) {
        *wake_ns = pace->next_ns;
        return 0;
    }
    if (width) {
        uint64_t share = width->bytes / SHARES_A_SECOND;
        share = share > 0 ? share : 1;
        n = n < share ? n : share;
    }
    if (slice) {
        n = n < slice->bytes ? n : slice->bytes;
    }
    return (size_t)n;
}

void dp_relay_left(const struct dp_relay_faults *f, enum dp_relay_way way,
                   struct dp_relay_pace *pace, size_t n, uint64_t now_ns)
{
    const struct dp_relay_fault *width = dp_relay_faults_on(f, DP_RELAY_BANDWIDTH, way);
    const struct dp_relay_fault *slice = dp_relay_faults_on(f, DP_RELAY_SLICE, way);
    uint64_t next = now_ns;
    if (width) {
        /* from where the one before was done, so that the timer's own delay costs no bandwidth; but an idle time is
         * not made up for */
        uint64_t slack = DP_NS_PER_S / SHARES_A_SECOND;
        uint64_t from = pace->next_ns + slack > now_ns ? pace->next_ns : now_ns;
        next = from + (uint64_t)n * DP_NS_PER_S / width->bytes;
    }
    if (slice && next < now_ns + slice->ms * DP_NS_PER_MS) {
        next = now_ns + slice->ms * DP_NS_PER_MS;
    }
    pace->next_ns = next;
}
