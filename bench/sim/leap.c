/* Quiet time, which is leapt over.
 *
 * Quiet is when every endpoint is either well, and trusted, or dead (dark, or refusing), and known to be, and nothing of an earlier trouble
 * is left: then more of the same changes no decision. A leap ends before the next thing that may: an edge of a fault,
 * a decision by time, or noise, whose next moment is drawn from the distribution that asking one by one would give.
 *
 *      quiet            target, drawn            the next thing
 *   ─────┤·····················├───── LEAP_MARGIN ─────┤
 *        └ leapt over, or lived through (SIM_TICKS)
 *
 * At the target what chance has in store (when each endpoint is asked next, which connections are open, all that is
 * drawn from here on) is drawn anew, whether the stretch was leapt over or lived through. Likewise the decider's measures of
 * the world (what a probe usually takes, how far a region is) are what they were at its beginning: of a quiet time one
 * moment is as good as another; the margin renews them. So both ways go on with the same luck, and differ only by what
 * living through the stretch did to the decider's state: its rows, windows, baselines, holds, ramps, doubts, counters.
 * That this changes no decision is no assumption: SIM_TICKS counts decisions within the stretches, and the digests of
 * both ways, every decision with its time, are compared. */
#include "car.h"

/* What decides by the recent past sees so much of it: longer than the longest window, and than a probe's way. */
#define LEAP_MARGIN (6 * SIM_S)
/* Shorter leaps are not worth it. */
#define LEAP_LEAST (4 * SIM_S)
/* A request or probe that takes longer is trouble. */
#define SUSPICIOUS (500 * SIM_MS)

static bool probes_are_well(const struct sim_car *c, unsigned endpoint)
{
    for (unsigned i = 0; i < SIM_PROBES; i++) {
        const struct sim_probe *p = &c->probes[endpoint][i];
        if (p->live && c->now > p->started + SUSPICIOUS)
            return false;
    }
    return true;
}

static bool quiet(struct sim_car *c)
{
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        const struct sim_condition *w = &c->condition[e];
        bool dark = (w->dark || w->refused) && w->faults == 1;
        if (!sim_is_there(c, e))
            continue;
        if (!(w->faults == 0 || dark) || !c->subject->settled(c, e, dark) ||
            !(dark || probes_are_well(c, e)))
            return false;
    }
    for (size_t i = 0; i < c->cap_requests; i++) {
        const struct sim_request *q = &c->requests[i];
        if (q->live && (q->waits || q->attempts > 1 || c->now > q->arrived + 2 * SUSPICIOUS))
            return false;
    }
    return c->active != SIM_NOWHERE && c->condition[c->active * SIM_NODES].faults == 0 &&
           (!c->subject->calm || c->subject->calm(c));
}

/* The first moment from `now` on at which noise strikes, and what it will be; `end` if none does before. */
static uint64_t noise_before(struct sim_car *c, uint64_t end)
{
    const struct sim_noise *n = &c->setting->noise;
    uint64_t *strikes = NULL;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        if (n->probe_lost <= 0 || c->condition[e].faults || !sim_is_there(c, e))
            continue;
        double probes = floor(log(1.0 - sim_unit(&c->leap_random)) / log(1.0 - n->probe_lost));
        double at = (double)c->now +
                    (probes + sim_unit(&c->leap_random)) * (double)c->subject->interval(c, e);
        if (at < (double)end) {
            end = (uint64_t)at;
            strikes = &c->lose_at[e];
        }
    }
    double rate = c->setting->requests_a_second * n->request_reset;
    if (rate > 0) {
        double at = (double)c->now + sim_exponential(&c->leap_random, 1e9 / rate);
        if (at < (double)end) {
            end = (uint64_t)at;
            strikes = &c->reset_at;
        }
    }
    if (strikes)
        *strikes = end;
    c->quiet_until = end;
    return end;
}

/* When a renewal process of intervals that vary by a tenth, begun long ago, is due next. */
static uint64_t residual(struct sim_car *c, uint64_t interval)
{
    double x;
    do
        x = 0.9 + 0.2 * sim_unit(&c->own_random);
    while (sim_unit(&c->own_random) > x / 1.1);
    return (uint64_t)(sim_unit(&c->own_random) * x * (double)interval);
}

/* What chance has in store, drawn anew; c->now is the target. */
static void draw_anew(struct sim_car *c)
{
    c->world_random.state = sim_bits(&c->leap_random);
    c->own_random.state = sim_bits(&c->leap_random);
    for (size_t i = 0; i < c->cap_requests; i++) {
        c->requests[i].turn++;
        if (c->requests[i].live && c->subject->ended)
            c->subject->ended(c, &c->requests[i]);
        sim_forget(c, &c->requests[i]);
    }
    c->events.n = 0;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        if (!sim_is_there(c, e))
            continue;
        for (unsigned i = 0; i < SIM_PROBES; i++) {
            c->probes[e][i].live = false;
            c->probes[e][i].turn++;
        }
        sim_probe_at(c, e, c->now + residual(c, c->subject->interval(c, e)));
        c->asked[e] = sim_bits(&c->own_random) % 2;
        c->idle[e] = c->condition[e].faults ? 0 : 2;
    }
}

static void live_through(struct sim_car *c, uint64_t target)
{
    c->left = c->now;
    c->landing = target;
    c->decided = c->tally->moves;
    sim_push(&c->events, (struct sim_event){.at = target, .kind = SIM_EV_LAND});
}

void sim_land(struct sim_car *c)
{
    c->tally->broken_leaps += c->tally->moves != c->decided;
    uint64_t span = c->now - c->left;
    c->landing = 0;
    draw_anew(c);
    if (c->subject->leapt)
        c->subject->leapt(c, span, true);
    sim_arm(c);
}

static void leap_to(struct sim_car *c, uint64_t target)
{
    uint64_t from = c->now;
    struct sim_tally *t = c->tally;
    double span = (double)(target - from) / 1e9, rate = c->setting->requests_a_second;
    t->requests += (uint64_t)(rate * span);
    t->leapt_s += span;
    sim_load_rate(&t->sends[c->active], from, target, rate);
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        if (sim_is_there(c, e))
            sim_load_rate(&t->probes[sim_region_of(e)], from, target,
                          1e9 / (double)c->subject->interval(c, e));
    }
    c->now = target;
    draw_anew(c);
    if (c->subject->leapt)
        c->subject->leapt(c, target - from, false);
    sim_arm(c);
}

/* Noise that was drawn before has yet to strike. */
static bool noise_waits(const struct sim_car *c)
{
    bool waits = c->reset_at > 0;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++)
        waits = waits || c->lose_at[e] > 0;
    return waits;
}

void sim_leap_due(struct sim_car *c)
{
    uint64_t end = c->trace->length;
    if (c->landing > 0 || c->now < c->quiet_until || noise_waits(c) ||
        c->stalled_until + 2 * SIM_S > c->now || !quiet(c))
        return;
    if (c->edge < end)
        end = c->edge;
    if (c->next_stall < end)
        end = c->next_stall;
    uint64_t timed = c->subject->timed ? c->subject->timed(c) : SIM_NEVER;
    if (timed < end)
        end = timed;
    if (end < c->now + LEAP_MARGIN + LEAP_LEAST)
        return;
    end = noise_before(c, end);
    if (end < c->now + LEAP_MARGIN + LEAP_LEAST)
        return; /* it strikes at the next probe or request */
    c->tally->leaps++;
    if (c->subject->leaving)
        c->subject->leaving(c);
    if (c->setting->pace == SIM_TICKS)
        live_through(c, end - LEAP_MARGIN);
    else
        leap_to(c, end - LEAP_MARGIN);
}
