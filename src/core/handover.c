/* The steps of handover.h. */
#include "davenport/core/handover.h"

const char *dp_handover_phase_name(enum dp_handover_phase p)
{
    static const char *const names[] = {"idle", "quieting", "catching", "done", "moved", "waiting"};
    return p <= DP_HANDOVER_WAITING ? names[p] : "?";
}

bool dp_handover_pauses(const struct dp_handover_state *s)
{
    return s->phase == DP_HANDOVER_QUIETING || s->phase == DP_HANDOVER_CATCHING ||
           s->phase == DP_HANDOVER_MOVED;
}

static void raise_serial(struct dp_handover_state *s)
{
    if (++s->serial == 0)
        s->serial = 1;
}

static void end(struct dp_handover_state *s)
{
    *s = (struct dp_handover_state){.serial = s->serial};
}

void dp_handover_moved(struct dp_handover_state *s)
{
    const struct dp_handover_state was = *s;
    end(s);
    if (was.phase != DP_HANDOVER_DONE || was.quiet_ns == 0)
        return;
    s->phase = DP_HANDOVER_MOVED;
    s->target = was.target;
    s->began_ns = was.began_ns;
    raise_serial(s);
}

static enum dp_handover_news begin(struct dp_handover_state *s, const struct dp_handover_config *c,
                                   const struct dp_handover_seen *seen, uint64_t now_ns)
{
    s->target = seen->target;
    s->began_ns = now_ns;
    if (c->limit_ns == 0) {
        s->phase = DP_HANDOVER_DONE;
        return DP_HANDOVER_NEWS_DONE;
    }
    s->phase = DP_HANDOVER_QUIETING;
    raise_serial(s);
    return DP_HANDOVER_NEWS_BEGAN;
}

static enum dp_handover_news give_up(struct dp_handover_state *s,
                                     const struct dp_handover_config *c, uint64_t now_ns)
{
    uint64_t wait = c->again_ns;
    for (uint32_t i = 0; i < s->failed && wait < c->again_max_ns; i++)
        wait = wait < c->again_max_ns / 2 ? wait * 2 : c->again_max_ns;
    s->phase = DP_HANDOVER_WAITING;
    s->again_at_ns = now_ns + wait;
    s->failed++;
    return DP_HANDOVER_NEWS_GAVE_UP;
}

/* Writes stand still. */
static enum dp_handover_news rest(struct dp_handover_state *s, const struct dp_handover_config *c,
                                  const struct dp_handover_seen *seen, uint64_t now_ns)
{
    if (s->phase == DP_HANDOVER_CATCHING && seen->arrived && !seen->broken) {
        s->phase = DP_HANDOVER_DONE;
        return DP_HANDOVER_NEWS_DONE;
    }
    if (seen->broken || now_ns - s->began_ns >= c->limit_ns)
        return give_up(s, c, now_ns);
    if (s->phase == DP_HANDOVER_QUIETING && seen->resting) {
        s->phase = DP_HANDOVER_CATCHING;
        s->quiet_ns = now_ns;
        return DP_HANDOVER_NEWS_QUIET;
    }
    return DP_HANDOVER_NEWS_NOTHING;
}

enum dp_handover_news dp_handover_step(struct dp_handover_state *s,
                                       const struct dp_handover_config *c,
                                       const struct dp_handover_seen *seen, uint64_t now_ns)
{
    const bool wanted = seen->wanted && (s->phase == DP_HANDOVER_IDLE || s->target == seen->target);
    switch (s->phase) {
    case DP_HANDOVER_IDLE:
        return wanted ? begin(s, c, seen, now_ns) : DP_HANDOVER_NEWS_NOTHING;
    case DP_HANDOVER_WAITING:
        if (!wanted) /* the next time is another matter */
            end(s);
        else if (now_ns >= s->again_at_ns)
            return begin(s, c, seen, now_ns);
        return DP_HANDOVER_NEWS_NOTHING;
    case DP_HANDOVER_MOVED:
        if (!seen->resting && !seen->broken && now_ns - s->began_ns < c->limit_ns)
            return DP_HANDOVER_NEWS_NOTHING;
        end(s);
        return DP_HANDOVER_NEWS_SETTLED;
    case DP_HANDOVER_QUIETING:
    case DP_HANDOVER_CATCHING:
    case DP_HANDOVER_DONE:
        break;
    }
    if (!wanted) {
        end(s);
        return DP_HANDOVER_NEWS_ENDED;
    }
    return s->phase == DP_HANDOVER_DONE ? DP_HANDOVER_NEWS_NOTHING : rest(s, c, seen, now_ns);
}
