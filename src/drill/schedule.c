/* Stages as areas: see schedule.h. */
#include "drill/schedule.h"

#include <assert.h>
#include <math.h>

#define NS_PER_S 1e9
/* Rates and seconds are decimal, areas are not quite: 0.1 * 30 is no less than three requests. */
#define SLACK 1e-6

static double area(const struct dp_load_stage *stage)
{
    return (stage->from + stage->to) / 2 * stage->seconds;
}

void dp_schedule_init(struct dp_schedule *s, const struct dp_load_stage *stages, size_t n)
{
    assert(n > 0 && n <= DP_LOAD_STAGES + 1);
    double sum = 0;
    *s = (struct dp_schedule){.n = n};
    for (size_t i = 0; i < n; i++) {
        s->stages[i] = stages[i];
        s->began_s[i] = s->seconds;
        s->before[i] = sum;
        s->seconds += stages[i].seconds;
        sum += area(&stages[i]);
    }
    s->total = sum > SLACK ? (uint64_t)ceil(sum - SLACK) : 0;
}

/* How long into a stage its area is `part`. The citardauq form: it is exact where the rate is constant, too. */
static double reach(const struct dp_load_stage *stage, double part)
{
    double slope = stage->seconds > 0 ? (stage->to - stage->from) / stage->seconds : 0;
    double under = stage->from * stage->from + 2 * slope * part;
    double rate = stage->from + sqrt(under > 0 ? under : 0);
    double t = rate > 0 ? 2 * part / rate : 0;
    return t < stage->seconds ? t : stage->seconds;
}

uint64_t dp_schedule_at(const struct dp_schedule *s, uint64_t k)
{
    double wanted = (double)k;
    size_t i = s->n - 1;
    /* A stage begins with the request that its predecessors' area reaches, so none is due in a stage of rate 0. */
    while (i > 0 && (s->before[i] > wanted + SLACK || area(&s->stages[i]) <= 0)) {
        i--;
    }
    double part = wanted > s->before[i] ? wanted - s->before[i] : 0;
    return (uint64_t)((s->began_s[i] + reach(&s->stages[i], part)) * NS_PER_S);
}

uint64_t dp_schedule_due(const struct dp_schedule *s, uint64_t ns, uint64_t from)
{
    uint64_t due = from;
    while (due < s->total && dp_schedule_at(s, due) <= ns) {
        due++;
    }
    return due;
}
