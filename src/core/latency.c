/* The peak EWMA, and the window around the best. */
#include "davenport/core/latency.h"

#define TAU_NS 10e9

/* How much of what was known counts after so long: near enough to an exponential decay over many
 * answers, and no call of the mathematics library. */
static double kept(uint64_t from_ns, uint64_t now_ns)
{
    double dt = now_ns > from_ns ? (double)(now_ns - from_ns) : 0;
    return TAU_NS / (TAU_NS + dt);
}

void dp_latency_observe(struct dp_latency *l, uint64_t first_byte_ns, uint64_t now_ns)
{
    double x = (double)first_byte_ns;
    if (l->at_ns == 0) {
        l->ns = x;
    } else {
        /* the lower of two in a row: what both of them were at least */
        double peak = x < l->last_ns ? x : l->last_ns;
        double keep = kept(l->at_ns, now_ns);
        l->ns = peak > l->ns ? peak : l->ns * keep + x * (1 - keep);
    }
    l->last_ns = x;
    l->at_ns = now_ns > 0 ? now_ns : 1;
}

double dp_latency_estimate(const struct dp_latency *l, uint64_t hint_ns, uint64_t now_ns)
{
    if (l->at_ns == 0)
        return hint_ns > 0 ? (double)hint_ns : -1;
    if (hint_ns == 0)
        return l->ns;
    double keep = kept(l->at_ns, now_ns);
    keep *= keep; /* what nobody renews is forgotten faster */
    return l->ns * keep + (double)hint_ns * (1 - keep);
}

/* The regions in the window around the best; 0: nobody is known. */
static uint32_t nearest(const double ns[DP_MAX_REGIONS], uint32_t eligible)
{
    double best = -1;
    uint32_t in = 0;
    for (unsigned i = 0; i < DP_MAX_REGIONS; i++) {
        if ((eligible >> i & 1) && ns[i] >= 0 && (best < 0 || ns[i] < best))
            best = ns[i];
    }
    double wide = best * DP_NEAR_WINDOW_PERCENT / 100;
    if (wide < (double)DP_NEAR_WINDOW_NS)
        wide = (double)DP_NEAR_WINDOW_NS;
    for (unsigned i = 0; i < DP_MAX_REGIONS; i++) {
        if ((eligible >> i & 1) && ns[i] >= 0 && ns[i] <= best + wide)
            in |= UINT32_C(1) << i;
    }
    return in;
}

bool dp_near_step(struct dp_near *s, const double ns[DP_MAX_REGIONS], uint32_t eligible,
                  uint16_t first, uint64_t now_ns)
{
    uint32_t want = nearest(ns, eligible), known = 0;
    for (unsigned i = 0; i < DP_MAX_REGIONS; i++)
        known |= ns[i] >= 0 ? UINT32_C(1) << i : 0;
    const bool news = (known & ~s->known) != 0;
    s->known |= known;
    if (want == 0)
        want = first < DP_MAX_REGIONS ? UINT32_C(1) << first & eligible : 0;
    if (want == 0)
        want = eligible & (~eligible + 1); /* the most preferred */
    if (want == 0 || want == s->regions)
        return false;
    const bool lost = (s->regions & eligible) == 0;
    if (!lost && !news && now_ns - s->since_ns < DP_NEAR_DWELL_NS)
        return false;
    s->regions = want;
    s->since_ns = now_ns;
    return true;
}
