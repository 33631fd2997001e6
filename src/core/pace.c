/* Histograms against each other. Both sides err towards "not slow": the baseline counts with its bucket's
 * upper bound, the present with its lower one. So buckets are narrow: what was 200 ms and is 1000 must show. */
#include "davenport/core/pace.h"

#include <string.h>

/* A baseline is known from so many answers on. */
#define BASELINE_ANSWERS 20.0
#define BASELINE_TAU_NS  UINT64_C(60000000000)
/* Without a baseline nobody knows what is late. */
#define UNKNOWN_FACTOR 5
/* A peer that is no better than this is no reason to go there. */
#define PEER_FACTOR 2
/* Of what 95 of 100 took. Two spells of load that meet put half of them above that for some seconds, now and then. */
#define USUAL_PERCENT 160

unsigned dp_pace_bucket(uint64_t ns)
{
    const uint64_t ms = ns / 1000000;
    if (ms < 4)
        return (unsigned)ms;
    const unsigned octave = 63U - (unsigned)__builtin_clzll(ms);
    const unsigned bucket = 4 * (octave - 1) + (unsigned)(ms >> (octave - 2) & 3);
    return bucket < DP_PACE_BUCKETS ? bucket : DP_PACE_BUCKETS - 1;
}

static uint32_t lower_ms(unsigned bucket)
{
    return bucket < 4 ? bucket : (4 + bucket % 4) << (bucket / 4 - 1);
}

static uint32_t upper_ms(unsigned bucket)
{
    return lower_ms(bucket + 1);
}

/* The bucket of the answer that `share` of all n take no longer than. */
static unsigned quantile(const double histogram[DP_PACE_BUCKETS], double n, double share)
{
    unsigned b = 0;
    for (double seen = histogram[0]; b < DP_PACE_BUCKETS - 1 && seen < share * n;)
        seen += histogram[++b];
    return b;
}

void dp_pace_init(struct dp_pace_state *s)
{
    memset(s, 0, sizeof(*s));
}

/* tau / (tau + dt): near enough to an exponential decay, and kinder to a baseline after a quiet
 * hour, when what it was is the best guess. */
static double kept(const struct dp_pace_state *s, uint64_t now_ns)
{
    const uint64_t youth = (now_ns - s->baseline_began_ns) / 2;
    const double tau = (double)(youth < BASELINE_TAU_NS ? youth : BASELINE_TAU_NS);
    const double dt = (double)(now_ns - s->baseline_at_ns);
    return dt > 0 ? tau / (tau + dt) : 1;
}

static void fold_in(struct dp_pace_state *s, uint64_t now_ns)
{
    double n = 0;
    if (s->baseline_began_ns == 0)
        s->baseline_began_ns = s->baseline_at_ns = now_ns > 0 ? now_ns : 1;
    const double keep = kept(s, now_ns);
    for (unsigned b = 0; b < DP_PACE_BUCKETS; b++) {
        s->baseline[b] = s->baseline[b] * keep + s->window[b];
        n += s->baseline[b];
    }
    s->baseline_at_ns = now_ns;
    const bool known = n >= BASELINE_ANSWERS;
    s->half_ms = known ? upper_ms(quantile(s->baseline, n, 0.5)) : 0;
    s->usual_ms = known ? upper_ms(quantile(s->baseline, n, 0.95)) : 0;
}

uint32_t dp_pace_slow_ms(const struct dp_pace_state *s, const struct dp_pace_config *c)
{
    uint32_t from = c->slow_ms;
    if (c->slow_ms == 0 || s->usual_ms == 0)
        return 0;
    const uint32_t usual = (uint32_t)((uint64_t)s->usual_ms * USUAL_PERCENT / 100);
    if (from < usual)
        from = usual;
    return from < c->factor * s->half_ms ? c->factor * s->half_ms : from;
}

static bool is_slow(uint32_t ms, uint32_t slow_ms, double peer_ms)
{
    return slow_ms > 0 && ms >= slow_ms && peer_ms >= 0 && ms >= PEER_FACTOR * peer_ms;
}

void dp_pace_step(struct dp_pace_state *s, const struct dp_pace_config *c,
                  const uint32_t answers[DP_PACE_BUCKETS], double peer_ms, uint64_t now_ns,
                  struct dp_pace_look *out)
{
    *out = (struct dp_pace_look){.baseline_ms = s->usual_ms, .slow_windows = s->slow_windows};
    for (unsigned b = 0; b < DP_PACE_BUCKETS; b++) {
        s->window[b] += answers[b];
        s->window_answers += answers[b];
    }
    if (s->window_began_ns == 0 && s->window_answers > 0)
        s->window_began_ns = now_ns > 0 ? now_ns : 1;
    if (s->window_answers < c->window_answers || now_ns - s->window_began_ns < c->window_ns)
        return;
    out->whole = true;
    out->median_ms = s->median_ms = lower_ms(quantile(s->window, s->window_answers, 0.5));
    s->median_at_ns = now_ns > 0 ? now_ns : 1;
    if (is_slow(out->median_ms, dp_pace_slow_ms(s, c), peer_ms)) {
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
                  const uint32_t answers[DP_PACE_BUCKETS], double peer_ms, uint32_t *quick,
                  uint32_t *tardy)
{
    const uint32_t slow_ms = dp_pace_slow_ms(s, c);
    uint32_t n[2] = {0, 0};
    for (unsigned b = 0; b < DP_PACE_BUCKETS; b++)
        n[is_slow(lower_ms(b), slow_ms, peer_ms)] += answers[b];
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
    return s->usual_ms;
}

uint32_t dp_pace_late_ms(const struct dp_pace_state *s, const struct dp_pace_config *c)
{
    if (s->usual_ms == 0)
        return c->late_ms * UNKNOWN_FACTOR;
    bool usual = c->late_ms == 0 || s->usual_ms * c->factor < c->late_ms;
    return usual ? c->late_ms : s->usual_ms * c->factor;
}
