/* The rules of core/silence.h. */
#include "davenport/core/silence.h"

#define MS UINT64_C(1000000)

/* A probe is late after this, or after half as much again as is usual. */
#define LATE_NS (250 * MS)
/* Extra probes are never nearer to each other. */
#define BEAT_NS (20 * MS)
/* The same when requests have fallen silent. */
#define HUSH_BEAT_NS (50 * MS)
/* So many answers must be missing, for at least so long, before silence means anything. */
#define HUSH_ANSWERS 12.0
#define HUSH_LEAST   (200 * MS)
/* Answers are counted a second with this time constant. */
#define RATE_TAU_S 1.0

static uint64_t late(const struct dp_silence *s, const struct dp_silence_config *c)
{
    uint64_t at = s->usual_ns + s->usual_ns / 2;
    if (at < LATE_NS)
        at = LATE_NS;
    return at < c->timeout_ns / 3 ? at : c->timeout_ns / 3;
}

static uint64_t beat(const struct dp_silence *s, const struct dp_silence_config *c)
{
    if (s->hush)
        return HUSH_BEAT_NS;
    uint64_t room = c->timeout_ns - 2 * late(s, c), steps = c->probes > 2 ? c->probes - 2 : 1;
    return room / steps > BEAT_NS ? room / steps : BEAT_NS;
}

/* May another be asked beside the ones that wait? */
static bool may_press(const struct dp_silence *s, const struct dp_silence_config *c)
{
    uint32_t most = s->hush && DP_HUSH_PROBES + 1 < c->probes ? DP_HUSH_PROBES + 1 : c->probes;
    return s->since_ns && s->asked < most && s->spent < c->probes;
}

uint64_t dp_silence_ask(struct dp_silence *s, const struct dp_silence_config *c, bool down,
                        uint64_t now_ns)
{
    bool extra = may_press(s, c) && !down;
    s->asked_ns = now_ns;
    if (c->probes == 0)
        return c->timeout_ns;
    if (s->since_ns == 0) {
        s->since_ns = now_ns > 0 ? now_ns : 1;
        s->asked = 0;
    }
    s->asked++;
    if (extra)
        s->spent++;
    else if (s->spent > 0)
        s->spent--;
    uint64_t end = s->hush ? s->heard_ns + DP_HUSH_MS * MS : s->since_ns + c->timeout_ns;
    if (down || !(extra || s->hush))
        return c->timeout_ns;
    uint64_t least = late(s, c);
    return end > now_ns + least ? end - now_ns : least;
}

bool dp_silence_end(struct dp_silence *s, const struct dp_silence_config *c, uint64_t started_ns,
                    bool timed_out, uint64_t now_ns)
{
    uint64_t took = now_ns - started_ns;
    if (s->asked_ns < started_ns)
        s->asked_ns = started_ns;
    if (timed_out)
        return c->probes == 0 || started_ns > s->life_ns || s->life_ns == 0;
    if (took > s->usual_ns)
        s->usual_ns = took;
    else
        s->usual_ns -= (s->usual_ns - took) / 16;
    if (started_ns > s->life_ns)
        s->life_ns = started_ns;
    s->since_ns = 0;
    s->asked = 0;
    if (s->hush) { /* it speaks, if not to requests: that is another rule's case */
        s->hush = false;
        s->rate = 0;
    }
    return true;
}

uint64_t dp_silence_wait(const struct dp_silence *s, const struct dp_silence_config *c, bool down,
                         bool doubt, bool *exact)
{
    *exact = false;
    if (!down && may_press(s, c)) {
        *exact = true;
        return s->asked == 1 && !s->hush ? late(s, c) : beat(s, c);
    }
    return doubt ? c->fast_ns : c->interval_ns;
}

void dp_silence_forget(struct dp_silence *s)
{
    s->since_ns = 0;
    s->asked = 0;
    s->rate = 0;
    s->heard_ns = 0;
    s->hush = false;
}

bool dp_silence_waits(const struct dp_silence *s, const struct dp_silence_config *c,
                      uint64_t now_ns)
{
    return s->since_ns != 0 && now_ns >= s->since_ns + late(s, c);
}

bool dp_silence_hear(struct dp_silence *s, const struct dp_silence_config *c, uint32_t answers,
                     uint64_t under_way, uint64_t now_ns)
{
    double dt = (double)(now_ns - s->heard_ns) / 1e9;
    if (answers > 0) {
        if (s->heard_ns && dt > 0)
            s->rate += (answers / dt - s->rate) * dt / (RATE_TAU_S + dt);
        s->heard_ns = now_ns;
        s->hush = false;
        return false;
    }
    if (c->probes == 0 || s->hush || s->heard_ns == 0 || under_way == 0 || s->spent >= c->probes)
        return false;
    if (now_ns - s->heard_ns < HUSH_LEAST || s->rate * dt < HUSH_ANSWERS)
        return false;
    s->hush = true;
    return true;
}
