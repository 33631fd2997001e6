/* What is counted of a sidecar's decisions. */
#include "car.h"

/* A fault explains a flight for so long after its end. */
#define EXPLAINS (10 * SIM_S)
/* A return and a flight so near to each other are a flap. (A flight from where the traffic had fled to is none.) */
#define FLAP (600 * SIM_S)

void sim_note(struct sim_car *c, uint64_t what)
{
    c->digest = dp_mix(c->digest ^ what ^ c->now);
}

/* A node's fault is no reason to leave its region, unless it has no other. */
static bool explained(const struct sim_car *c, unsigned region)
{
    const struct sim_trace *t = c->trace;
    for (size_t i = 0; i < t->n && t->faults[i].start <= c->now; i++) {
        const struct sim_fault *f = &t->faults[i];
        if (sim_fault_grave(f) && c->now < f->end + EXPLAINS && f->node == 0 &&
            (f->region == region || f->region == SIM_ALL) && sim_fault_hits(t, i, c->id))
            return true;
    }
    return false;
}

static double ms_since(const struct sim_car *c, size_t fault)
{
    return (double)(c->now - c->trace->faults[fault].start) / 1e6;
}

static void close_watch(struct sim_car *c, size_t fault)
{
    sim_sample(&c->tally->detect, ms_since(c, fault));
    c->watch[fault].open = false;
}

void sim_move(struct sim_car *c, unsigned to, bool by_choice)
{
    struct sim_tally *t = c->tally;
    unsigned from = c->active;
    if (from == to)
        return;
    sim_note(c, (uint64_t)from << 8 | to);
    t->moves++;
    if (from != SIM_NOWHERE && !by_choice) {
        t->false_moves += !explained(c, from);
        t->flaps += c->returned_at[from] != SIM_NEVER && c->now < c->returned_at[from] + FLAP;
    }
    c->active = to;
    if (to != SIM_NOWHERE)
        c->returned_at[to] = by_choice ? c->now : SIM_NEVER;
    if (to != SIM_NOWHERE)
        c->arrived_at[to] = c->now;
    for (size_t i = 0; i < c->next_start; i++) {
        if (c->watch[i].open && c->trace->faults[i].region == from)
            close_watch(c, i);
    }
}

void sim_found(struct sim_car *c, unsigned endpoint)
{
    for (size_t i = 0; i < c->next_start; i++) {
        const struct sim_fault *f = &c->trace->faults[i];
        if (c->watch[i].open && f->kind == SIM_MOVED && f->region == sim_region_of(endpoint))
            close_watch(c, i);
    }
}

void sim_left(struct sim_car *c, unsigned endpoint)
{
    sim_note(c, UINT64_C(0x1EF7) << 16 | endpoint);
    for (size_t i = 0; i < c->next_start; i++) {
        const struct sim_fault *f = &c->trace->faults[i];
        if (!c->watch[i].open || f->node == 0 || f->region != sim_region_of(endpoint) ||
            f->node - 1 != endpoint % SIM_NODES)
            continue;
        close_watch(c, i);
    }
}

void sim_note_answer(struct sim_car *c, unsigned region)
{
    for (size_t i = 0; c->watching > 0 && i < c->next_start; i++) {
        if (c->watch[i].waiting && c->trace->faults[i].region != region) {
            sim_sample(&c->tally->reroute, ms_since(c, i));
            c->watch[i].waiting = false;
        }
    }
}

void sim_watch_faults(struct sim_car *c)
{
    const struct sim_trace *t = c->trace;
    for (size_t i = 0; i < c->next_start; i++) {
        if (t->faults[i].end <= c->now) {
            c->tally->never_left += c->watch[i].open;
            c->watching -= c->watch[i].on;
            c->watch[i] = (struct sim_watch){0};
        }
    }
    for (; c->next_start < t->n && t->faults[c->next_start].start <= c->now; c->next_start++) {
        const struct sim_fault *f = &t->faults[c->next_start];
        if (!sim_fault_grave(f) || f->region != c->active ||
            !sim_fault_hits(t, c->next_start, c->id))
            continue;
        c->tally->watched++;
        c->watching++;
        c->watch[c->next_start] = (struct sim_watch){true, true, f->node == 0};
    }
}
