/* A table of states, walked. */
#include "davenport/drill/conductor.h"

#include <assert.h>

void dp_conductor_init(struct dp_conductor *c, const struct dp_drill_plan *plan)
{
    *c = (struct dp_conductor){.plan = plan};
    for (uint16_t i = 0; i < plan->n_steps; i++) {
        c->steps[i].due_ms = plan->steps[i].at_ms;
    }
}

static bool is_due(const struct dp_conductor_step *s, uint64_t now_ms)
{
    switch (s->state) {
    case DP_STEP_DUE:
    case DP_STEP_STANDING:
        return s->due_ms <= now_ms;
    case DP_STEP_ENDING:
        return !s->ordered && s->due_ms <= now_ms;
    case DP_STEP_BEGINNING:
    case DP_STEP_OVER:
    case DP_STEP_STUCK:
        return false;
    }
    return false;
}

/* The act of a step that is due. */
static void order(struct dp_conductor *c, uint16_t i, struct dp_conductor_act *out)
{
    struct dp_conductor_step *s = &c->steps[i];
    s->ordered = true;
    s->state = s->state == DP_STEP_DUE ? DP_STEP_BEGINNING : DP_STEP_ENDING;
    *out = (struct dp_conductor_act){.step = i, .undo = s->state == DP_STEP_ENDING};
}

bool dp_conductor_next(struct dp_conductor *c, uint64_t now_ms, struct dp_conductor_act *out)
{
    /* What is to be undone comes first, the latest step first; then what begins, in the plan's order. */
    for (uint16_t i = c->plan->n_steps; i-- > 0;) {
        if (c->steps[i].state != DP_STEP_DUE && is_due(&c->steps[i], now_ms)) {
            order(c, i, out);
            return true;
        }
    }
    for (uint16_t i = 0; i < c->plan->n_steps; i++) {
        if (c->steps[i].state == DP_STEP_DUE && is_due(&c->steps[i], now_ms)) {
            order(c, i, out);
            return true;
        }
    }
    return false;
}

uint64_t dp_conductor_wake_ms(const struct dp_conductor *c)
{
    uint64_t least = DP_CONDUCTOR_NEVER;
    for (uint16_t i = 0; i < c->plan->n_steps; i++) {
        const struct dp_conductor_step *s = &c->steps[i];
        if (is_due(s, UINT64_MAX) && s->due_ms < least) {
            least = s->due_ms;
        }
    }
    return least;
}

static void begun(struct dp_conductor *c, uint16_t i, bool good, uint64_t now_ms)
{
    struct dp_conductor_step *s = &c->steps[i];
    const struct dp_drill_step *step = &c->plan->steps[i];
    s->state = DP_STEP_STANDING;
    if (c->stopped || !good) {
        s->due_ms = now_ms;
    } else if (step->for_ms == DP_DRILL_TO_END) {
        s->due_ms = DP_CONDUCTOR_NEVER;
    } else {
        s->due_ms = step->at_ms + step->for_ms;
    }
    if (!good) {
        dp_conductor_stop(c, now_ms);
    }
}

static void ended(struct dp_conductor *c, uint16_t i, bool good, uint64_t now_ms)
{
    struct dp_conductor_step *s = &c->steps[i];
    s->tries++;
    if (good) {
        s->state = DP_STEP_OVER;
    } else if (s->tries >= DP_CONDUCTOR_TRIES) {
        s->state = DP_STEP_STUCK;
        dp_conductor_stop(c, now_ms);
    } else {
        s->due_ms = now_ms + DP_CONDUCTOR_PAUSE_MS;
    }
}

void dp_conductor_done(struct dp_conductor *c, const struct dp_conductor_act *act, bool good,
                       uint64_t now_ms)
{
    struct dp_conductor_step *s = &c->steps[act->step];
    assert(s->ordered && s->state == (act->undo ? DP_STEP_ENDING : DP_STEP_BEGINNING));
    s->ordered = false;
    if (act->undo) {
        ended(c, act->step, good, now_ms);
    } else {
        begun(c, act->step, good, now_ms);
    }
}

void dp_conductor_stop(struct dp_conductor *c, uint64_t now_ms)
{
    c->stopped = true;
    for (uint16_t i = 0; i < c->plan->n_steps; i++) {
        struct dp_conductor_step *s = &c->steps[i];
        if (s->state == DP_STEP_DUE) {
            s->state = DP_STEP_OVER;
        } else if (s->state == DP_STEP_STANDING) {
            s->due_ms = now_ms;
        }
    }
}

bool dp_conductor_is_over(const struct dp_conductor *c)
{
    for (uint16_t i = 0; i < c->plan->n_steps; i++) {
        if (c->steps[i].state != DP_STEP_OVER && c->steps[i].state != DP_STEP_STUCK) {
            return false;
        }
    }
    return true;
}

unsigned dp_conductor_n_stuck(const struct dp_conductor *c)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < c->plan->n_steps; i++) {
        n += c->steps[i].state == DP_STEP_STUCK;
    }
    return n;
}
