/* Histograms against each other. Buckets are coarse, so both sides err towards "not slow": the
 * baseline counts with its bucket's upper bound, the present with its lower one. */
#include "davenport/core/pace.h"

#include "davenport/base/attr.h"

#include <string.h>

/* A baseline is known from so many answers on. */
#define BASELINE_ANSWERS 50.0
#define BASELINE_TAU_NS  60e9
/* Without a baseline nobody knows what is late. */
#define UNKNOWN_FACTOR 5

static const uint16_t bounds_ms[] = DP_LATENCY_BOUNDS_MS;

static uint32_t upper_ms(unsigned bucket)
{
    /* the last bucket has no bound: twice the one before is as good as any */
    return bucket < DP_ARRAY_LEN(bounds_ms) ? bounds_ms[bucket]
                                            : 2U * bounds_ms[DP_ARRAY_LEN(bounds_ms) - 1];
}

static uint32_t lower_ms(unsigned bucket)
{
    return bucket == 0 ? 0 : bounds_ms[bucket - 1];
}

void dp_pace_init(struct dp_pace_state *s)
{
    memset(s, 0, sizeof(*s));
}

/* p95 of the baseline, 0: not known. */
static uint32_t baseline_ms(const struct dp_pace_state *s)
{
    double n = 0, seen = 0;
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++)
        n += s->baseline[b];
    if (n < BASELINE_ANSWERS)
        return 0;
    unsigned b = 0;
    for (; b < DP_LATENCY_BUCKETS - 1; b++) {
        seen += s->baseline[b];
        if (seen >= 0.95 * n)
            break;
    }
    return upper_ms(b);
}

static uint32_t median_ms(const struct dp_pace_state *s)
{
    uint32_t seen = 0;
    unsigned b = 0;
    for (; b < DP_LATENCY_BUCKETS - 1; b++) {
        seen += s->window[b];
        if (2 * (uint64_t)seen >= s->window_answers)
            break;
    }
    return lower_ms(b);
}

static void fold_in(struct dp_pace_state *s, uint64_t now_ns)
{
    /* tau / (tau + dt): near enough to an exponential decay, and kinder to a baseline after a quiet
     * hour, when what it was is the best guess. */
    double dt = s->baseline_at_ns ? (double)(now_ns - s->baseline_at_ns) : 0;
    double keep = BASELINE_TAU_NS / (BASELINE_TAU_NS + dt);
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++)
        s->baseline[b] = s->baseline[b] * keep + s->window[b];
    s->baseline_at_ns = now_ns;
}

static bool is_slow(const struct dp_pace_config *c, uint32_t ms, uint32_t base_ms, double peer_ms)
{
    return c->slow_ms > 0 && base_ms > 0 && peer_ms >= 0 && ms >= c->slow_ms &&
           ms > (uint64_t)c->factor * base_ms && (double)ms > c->factor * peer_ms;
}

void dp_pace_step(struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_LATENCY_BUCKETS], double peer_ms, uint64_t now_ns,
                  struct dp_pace_look *out)
{
    *out = (struct dp_pace_look){.baseline_ms = baseline_ms(s), .slow_windows = s->slow_windows};
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++) {
        s->window[b] += answers[b];
        s->window_answers += answers[b];
    }
    if (s->window_began_ns == 0 && s->window_answers > 0)
        s->window_began_ns = now_ns > 0 ? now_ns : 1;
    if (s->window_answers < c->window_answers || now_ns - s->window_began_ns < c->window_ns)
        return;
    out->whole = true;
    out->median_ms = s->median_ms = median_ms(s);
    s->median_at_ns = now_ns > 0 ? now_ns : 1;
    if (is_slow(c, out->median_ms, out->baseline_ms, peer_ms)) {
        s->slow_windows++;
    } else {
        s->slow_windows = 0;
        fold_in(s, now_ns);
    }
    out->slow_windows = s->slow_windows;
    out->slow = s->slow_windows >= c->windows;
    memset(s->window, 0, sizeof(s->window));
    s->window_answers = 0;
    s->window_began_ns = 0;
}

void dp_pace_sort(const struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_LATENCY_BUCKETS], double peer_ms, uint32_t *quick,
                  uint32_t *tardy)
{
    uint32_t base_ms = baseline_ms(s), n[2] = {0, 0};
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++)
        n[is_slow(c, lower_ms(b), base_ms, peer_ms)] += answers[b];
    *quick = n[0];
    *tardy = n[1];
}

uint32_t dp_pace_recent_ms(const struct dp_pace_state *s, uint64_t now_ns)
{
    const uint64_t recent_ns = DP_PACE_RECENT_MS * UINT64_C(1000000);
    bool recent = s->median_at_ns > 0 && now_ns - s->median_at_ns <= recent_ns;
    return recent ? s->median_ms : 0;
}

uint32_t dp_pace_usual_ms(const struct dp_pace_state *s)
{
    return baseline_ms(s);
}

uint32_t dp_pace_late_ms(const struct dp_pace_state *s, const struct dp_pace_config *c)
{
    uint32_t base = baseline_ms(s);
    if (base == 0)
        return c->late_ms * UNKNOWN_FACTOR;
    bool usual = c->late_ms == 0 || base * c->factor < c->late_ms;
    return usual ? c->late_ms : base * c->factor;
}
