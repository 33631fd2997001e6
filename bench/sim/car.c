/* The loop of car.h. */
#include "car.h"

#include <stdlib.h>
#include <string.h>

/* Nobody waits longer for an answer. */
#define PATIENCE (30 * SIM_S)
/* An answer later than this is an outage for who waits. */
#define SLOW       (2 * SIM_S)
#define LEAP_EVERY SIM_S

/* ---- probes ---- */

void sim_probe_at(struct sim_car *c, unsigned endpoint, uint64_t at)
{
    c->probe_at[endpoint] = at > c->now ? at : c->now;
    sim_push(&c->events, (struct sim_event){.at = c->probe_at[endpoint],
                                            .kind = SIM_EV_PROBE,
                                            .endpoint = (uint16_t)endpoint,
                                            .turn = ++c->probe_turn[endpoint]});
}

static void schedule_probe_end(struct sim_car *c, unsigned endpoint, unsigned slot)
{
    struct sim_probe *p = &c->probes[endpoint][slot];
    uint64_t at = p->ends; /* of its patience */
    if (p->fate.answer != SIM_SILENT && p->started + p->fate.after < at)
        at = p->started + p->fate.after;
    else
        p->fate.answer = SIM_SILENT;
    sim_push(&c->events, (struct sim_event){.at = at,
                                            .kind = SIM_EV_PROBE_END,
                                            .endpoint = (uint16_t)endpoint,
                                            .id = slot,
                                            .turn = ++p->turn});
}

/* Noise is drawn where nothing else is wrong; in a stretch that must stay quiet there is none, for its end was drawn. */
static bool noise(struct sim_car *c, unsigned endpoint, double share)
{
    return c->condition[endpoint].faults == 0 && c->now >= c->quiet_until &&
           sim_chance(&c->world_random, share);
}

/* Noise that was drawn beforehand. */
static bool strikes(const struct sim_car *c, uint64_t *at)
{
    bool now = *at > 0 && c->now >= *at;
    *at = now ? 0 : *at;
    return now;
}

void sim_ask_probe(struct sim_car *c, unsigned endpoint, bool fresh, uint64_t timeout)
{
    unsigned slot = 0;
    while (slot < SIM_PROBES && c->probes[endpoint][slot].live)
        slot++;
    if (slot == SIM_PROBES)
        abort();
    struct sim_probe *p = &c->probes[endpoint][slot];
    struct sim_ask ask = {.probe = true, .fresh = fresh};
    p->live = true;
    p->fresh = fresh;
    p->started = c->now;
    p->ends = c->now + timeout;
    p->fate = sim_fate(&c->condition[endpoint], &c->setting->profile, endpoint, ask, c->now,
                       &c->world_random);
    if (strikes(c, &c->lose_at[endpoint]) || noise(c, endpoint, c->setting->noise.probe_lost))
        p->fate.answer = SIM_SILENT;
    sim_load_one(&c->tally->probes[sim_region_of(endpoint)], c->now);
    schedule_probe_end(c, endpoint, slot);
}

unsigned sim_probes_under_way(const struct sim_car *c, unsigned endpoint)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SIM_PROBES; i++)
        n += c->probes[endpoint][i].live;
    return n;
}

static void end_probe(struct sim_car *c, unsigned endpoint, unsigned slot)
{
    struct sim_probe done = c->probes[endpoint][slot];
    c->probes[endpoint][slot].live = false;
    c->subject->probe_ended(c, endpoint, &done);
}

/* ---- names ---- */

static void lookup_at(struct sim_car *c, unsigned endpoint, uint64_t at, enum sim_event_kind kind)
{
    sim_push(&c->events, (struct sim_event){.at = at,
                                            .kind = (uint16_t)kind,
                                            .endpoint = (uint16_t)endpoint,
                                            .turn = c->lookup_turn});
}

static void look_up(struct sim_car *c, unsigned endpoint)
{
    double ms = c->condition[endpoint].lookup_ms;
    lookup_at(c, endpoint, c->now + (ms < 0 ? SIM_S : (uint64_t)(ms * 1e6)), SIM_EV_LOOKED_UP);
}

static void looked_up(struct sim_car *c, unsigned endpoint)
{
    bool good = c->condition[endpoint].lookup_ms >= 0;
    if (good && c->known[endpoint] != c->condition[endpoint].address) {
        c->known[endpoint] = c->condition[endpoint].address;
        c->idle[endpoint] = 0;
        sim_see_world(c);
        sim_found(c, endpoint);
    }
    if (c->subject->looked_up)
        c->subject->looked_up(c, endpoint, good);
    lookup_at(c, endpoint, c->now + (good ? c->subject->lookup_every : SIM_S), SIM_EV_LOOKUP);
}

/* ---- requests ---- */

static struct sim_request *request_new(struct sim_car *c)
{
    size_t i = 0;
    while (i < c->cap_requests && c->requests[i].live)
        i++;
    if (i == c->cap_requests) {
        size_t cap = c->cap_requests ? 2 * c->cap_requests : 64;
        c->requests = realloc(c->requests, cap * sizeof(*c->requests));
        if (!c->requests)
            abort();
        memset(c->requests + c->cap_requests, 0, (cap - c->cap_requests) * sizeof(*c->requests));
        c->cap_requests = cap;
    }
    struct sim_request *q = &c->requests[i];
    *q = (struct sim_request){
        .live = true, .turn = q->turn + 1, .serial = ++c->serial, .arrived = c->now};
    c->live++;
    return q;
}

void sim_forget(struct sim_car *c, struct sim_request *q)
{
    c->live -= q->live;
    q->live = false;
}

static void give_up(struct sim_car *c, struct sim_request *q)
{
    sim_note(c, 0xFA11);
    if (sim_unsafe(q)) {
        c->tally->failed_unsafe++;
    } else {
        c->tally->failed_safe[sim_writes(q)]++;
        c->tally->failed_later += c->faults == 0 && q->arrived > c->edge_seen;
    }
    sim_forget(c, q);
}

static void request_event_at(struct sim_car *c, const struct sim_request *q, uint64_t at,
                             enum sim_event_kind kind)
{
    sim_push(&c->events,
             (struct sim_event){
                 .at = at, .kind = (uint16_t)kind, .id = sim_index(c, q), .turn = q->turn});
}

static void schedule_attempt(struct sim_car *c, struct sim_request *q)
{
    const struct sim_subject *s = c->subject;
    uint64_t limit = q->begun + (q->fate.disconnected ? s->connect_timeout : s->answer_timeout);
    if (limit > q->arrived + PATIENCE)
        limit = q->arrived + PATIENCE;
    uint64_t at = limit;
    if (q->fate.answer != SIM_SILENT && q->begun + q->fate.after <= limit)
        at = q->begun + q->fate.after;
    else
        q->fate.answer = SIM_SILENT;
    q->turn++;
    request_event_at(c, q, at, SIM_EV_ATTEMPT);
    if (q->class == SIM_QUERY || q->fate.disconnected)
        return;
    uint64_t late = s->late_after ? s->late_after(c, q->endpoint) : SIM_NEVER;
    if (late != SIM_NEVER && !q->late && q->begun + late < at)
        request_event_at(c, q, q->begun + late, SIM_EV_LATE);
    if (s->overdue_after > 0 && q->begun + s->overdue_after < at)
        request_event_at(c, q, q->begun + s->overdue_after, SIM_EV_OVERDUE);
}

static struct sim_ask ask_of(const struct sim_request *q)
{
    return (struct sim_ask){.fresh = q->fresh, .query = q->class == SIM_QUERY};
}

static void attempt(struct sim_car *c, struct sim_request *q)
{
    unsigned to = c->subject->route(c, q);
    if (to == SIM_NOBODY) {
        give_up(c, q);
        return;
    }
    q->waits = to == SIM_KEPT;
    if (q->waits)
        return;
    c->tally->repeated_unsafe += sim_unsafe(q);
    c->tally->stray_writes += sim_writes(q) && sim_region_of(to) != 0;
    q->endpoint = to;
    q->attempts++;
    q->late = false;
    q->begun = c->now;
    q->fresh = c->idle[to] == 0;
    c->idle[to] -= !q->fresh;
    q->fate =
        sim_fate(&c->condition[to], &c->setting->profile, to, ask_of(q), c->now, &c->world_random);
    const struct sim_noise *n = &c->setting->noise;
    if (strikes(c, &c->reset_at) || noise(c, to, n->request_reset))
        q->fate = (struct sim_fate){SIM_REFUSES, q->fate.after, false};
    else if (noise(c, to, n->request_503))
        q->fate.answer = SIM_SAYS_503;
    sim_load_one(&c->tally->sends[sim_region_of(to)], c->now);
    if (c->subject->begun)
        c->subject->begun(c, q);
    schedule_attempt(c, q);
}

static void over(struct sim_car *c, const struct sim_request *q)
{
    if (c->subject->ended)
        c->subject->ended(c, q);
}

static bool reached(const struct sim_request *q, enum sim_end end)
{
    if (end == SIM_END_LEFT || end == SIM_END_OVERDUE)
        return !q->fate.disconnected;
    return end != SIM_END_REFUSED && end != SIM_END_NO_CONNECTION;
}

/* The attempt is over, or would be. only_again: unless it may be followed by another, it goes on. */
static void attempt_failed(struct sim_car *c, struct sim_request *q, enum sim_end end,
                           bool only_again)
{
    const struct sim_request was = *q;
    q->maybe_done = q->maybe_done || reached(q, end);
    q->failed_mask |= 1U << q->endpoint;
    if (q->class == SIM_PUT && reached(q, end))
        q->acted_mask |= 1U << sim_region_of(q->endpoint);
    uint64_t wait = end == SIM_END_CUT || c->now >= q->arrived + PATIENCE
                        ? SIM_NEVER
                        : c->subject->again(c, q, end);
    if (wait == SIM_NEVER && only_again) {
        *q = was; /* its answer may still come */
        q->maybe_done = was.maybe_done || reached(q, end);
        return;
    }
    if (!q->waits)
        over(c, q);
    q->waits = true;
    q->turn++;
    if (wait == SIM_NEVER)
        give_up(c, q);
    else if (wait == 0)
        attempt(c, q);
    else
        request_event_at(c, q, c->now + wait, SIM_EV_AGAIN);
}

static void answered(struct sim_car *c, struct sim_request *q)
{
    struct sim_request done = *q;
    over(c, q);
    sim_forget(c, q);
    c->idle[done.endpoint]++;
    c->tally->slow += c->now - done.arrived > SLOW;
    sim_note_answer(c, sim_region_of(done.endpoint));
    c->subject->answered(c, &done, c->now - done.begun);
}

static void end_attempt(struct sim_car *c, struct sim_request *q)
{
    static const enum sim_end ends[] = {[SIM_REFUSES] = SIM_END_REFUSED,
                                        [SIM_CUT_SHORT] = SIM_END_CUT,
                                        [SIM_SAYS_503] = SIM_END_503};
    enum sim_answer a = q->fate.answer;
    if (a == SIM_ANSWERED || a == SIM_DRAINING) {
        answered(c, q);
        return;
    }
    enum sim_end end = ends[a];
    if (a == SIM_SILENT)
        end = q->fate.disconnected ? SIM_END_NO_CONNECTION : SIM_END_TIMEOUT;
    else if (a == SIM_REFUSES && !q->fate.disconnected)
        end = SIM_END_RESET;
    c->idle[q->endpoint] += end == SIM_END_503;
    c->tally->cut += end == SIM_END_CUT;
    over(c, q);
    q->waits = true; /* this attempt is over, whatever follows from it */
    c->subject->failed(c, q, end);
    if (end == SIM_END_503 && c->subject->again(c, q, end) == SIM_NEVER) {
        c->tally->told_503++; /* the region's own answer, passed on */
        sim_forget(c, q);
        return;
    }
    attempt_failed(c, q, end, false);
}

void sim_leave(struct sim_car *c, unsigned endpoint, bool only_again)
{
    for (size_t i = 0; i < c->cap_requests; i++) {
        struct sim_request *q = &c->requests[i];
        if (q->live && !q->waits && q->endpoint == endpoint)
            attempt_failed(c, q, SIM_END_LEFT, only_again);
    }
}

void sim_go_on(struct sim_car *c, uint32_t request)
{
    attempt(c, &c->requests[request]);
}

void sim_give_up(struct sim_car *c, uint32_t request)
{
    give_up(c, &c->requests[request]);
}

static void arrive(struct sim_car *c)
{
    double dice = sim_unit(&c->world_random);
    struct sim_request *q = request_new(c);
    q->class = dice < 0.6 ? SIM_GET : dice < 0.85 ? SIM_PUT : dice < 0.9 ? SIM_POST : SIM_QUERY;
    c->tally->requests++;
    attempt(c, q);
}

static void next_arrival(struct sim_car *c)
{
    double rate = c->setting->requests_a_second;
    if (rate > 0)
        sim_push(&c->events, (struct sim_event){.at = c->now + (uint64_t)sim_exponential(
                                                                   &c->world_random, 1e9 / rate),
                                                .kind = SIM_EV_ARRIVAL});
}

/* ---- faults ---- */

static void find_edge(struct sim_car *c)
{
    const struct sim_trace *t = c->trace;
    c->edge = SIM_NEVER;
    for (size_t i = 0; i < t->n; i++) {
        const struct sim_fault *f = &t->faults[i];
        if (!sim_fault_hits(t, i, c->id))
            continue;
        if (f->start > c->now && f->start < c->edge)
            c->edge = f->start;
        if (f->end > c->now && f->start <= c->now && f->end < c->edge)
            c->edge = f->end;
        if (f->start > c->now)
            break;
    }
}

/* What is under way when a fault begins meets it too. */
static void strike(struct sim_car *c, unsigned endpoint)
{
    const struct sim_condition *w = &c->condition[endpoint];
    const struct sim_profile *profile = &c->setting->profile;
    for (unsigned i = 0; i < SIM_PROBES; i++) {
        struct sim_probe *p = &c->probes[endpoint][i];
        struct sim_ask ask = {.probe = true};
        if (!p->live)
            continue;
        p->fate = sim_fate(w, profile, endpoint, ask, c->now, &c->world_random);
        p->fate.after += c->now - p->started;
        schedule_probe_end(c, endpoint, i);
    }
    for (size_t i = 0; i < c->cap_requests; i++) {
        struct sim_request *q = &c->requests[i];
        if (!q->live || q->waits || q->endpoint != endpoint)
            continue;
        struct sim_ask ask = ask_of(q);
        ask.fresh = false;
        q->fate = sim_fate(w, profile, endpoint, ask, c->now, &c->world_random);
        q->fate.after += c->now - q->begun;
        q->fate.disconnected = false;
        schedule_attempt(c, q);
    }
}

static bool worse(const struct sim_condition *was, const struct sim_condition *is)
{
    return (is->dark && !was->dark) || (is->refused && !was->refused) ||
           (is->pause && !was->pause) || (is->gray && !was->gray);
}

void sim_see_world(struct sim_car *c)
{
    unsigned faults = 0;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        struct sim_condition was = c->condition[e], *is = &c->condition[e];
        if (!sim_is_there(c, e))
            continue;
        sim_condition(c->trace, c->id, e, c->now, is);
        if (is->address != c->known[e]) { /* nobody is there any more */
            is->dark = c->trace->length;
            is->faults += is->faults == 0;
        }
        if (is->refused && !was.refused)
            c->idle[e] = 0; /* its connections were reset */
        if (worse(&was, is))
            strike(c, e);
        faults += is->faults;
    }
    c->faults = faults;
    c->edge_seen = c->now;
    find_edge(c);
}

static void edge(struct sim_car *c)
{
    sim_see_world(c);
    sim_watch_faults(c);
    if (c->edge != SIM_NEVER)
        sim_push(&c->events, (struct sim_event){.at = c->edge, .kind = SIM_EV_EDGE});
}

static void stall(struct sim_car *c)
{
    const struct sim_noise *n = &c->setting->noise;
    c->stalled_until = c->now + (uint64_t)(sim_unit(&c->world_random) * (double)n->stall_longest);
    c->next_stall = c->now +
                    (uint64_t)sim_exponential(&c->world_random, 86400e9 / n->stalls_a_day) +
                    10 * SIM_S;
    sim_push(&c->events, (struct sim_event){.at = c->next_stall, .kind = SIM_EV_STALL});
}

/* ---- the loop ---- */

void sim_wake_at(struct sim_car *c, uint64_t at)
{
    sim_push(&c->events, (struct sim_event){.at = at, .kind = SIM_EV_WAKE, .turn = ++c->wake_turn});
}

void sim_arm(struct sim_car *c)
{
    next_arrival(c);
    c->lookup_turn++;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        if (sim_is_there(c, e))
            lookup_at(c, e,
                      c->now +
                          (uint64_t)(sim_unit(&c->own_random) * (double)c->subject->lookup_every),
                      SIM_EV_LOOKUP);
    }
    if (c->subject->tick)
        sim_push(&c->events,
                 (struct sim_event){.at = c->now + c->subject->tick, .kind = SIM_EV_TICK});
    if (c->edge != SIM_NEVER)
        sim_push(&c->events, (struct sim_event){.at = c->edge, .kind = SIM_EV_EDGE});
    if (c->next_stall != SIM_NEVER)
        sim_push(&c->events, (struct sim_event){.at = c->next_stall, .kind = SIM_EV_STALL});
    sim_push(&c->events, (struct sim_event){.at = c->now + LEAP_EVERY, .kind = SIM_EV_LEAP});
}

static void request_event(struct sim_car *c, const struct sim_event *e)
{
    struct sim_request *q = &c->requests[e->id];
    if (!q->live || q->turn != e->turn)
        return;
    if (e->kind == SIM_EV_ATTEMPT) {
        end_attempt(c, q);
    } else if (e->kind == SIM_EV_AGAIN) {
        attempt(c, q);
    } else if (e->kind == SIM_EV_OVERDUE) {
        attempt_failed(c, q, SIM_END_OVERDUE, true);
    } else {
        q->late = true;
        c->subject->late(c, q);
    }
}

static void probe_event(struct sim_car *c, const struct sim_event *e)
{
    const struct sim_probe *p = &c->probes[e->endpoint][e->id];
    if (e->kind == SIM_EV_PROBE && c->probe_turn[e->endpoint] == e->turn)
        c->subject->probe_due(c, e->endpoint);
    else if (e->kind == SIM_EV_PROBE_END && p->live && p->turn == e->turn)
        end_probe(c, e->endpoint, e->id);
}

static void name_event(struct sim_car *c, const struct sim_event *e)
{
    if (e->turn != c->lookup_turn)
        return;
    if (e->kind == SIM_EV_LOOKUP)
        look_up(c, e->endpoint);
    else
        looked_up(c, e->endpoint);
}

static void dispatch(struct sim_car *c, const struct sim_event *e)
{
    switch ((enum sim_event_kind)e->kind) {
    case SIM_EV_ARRIVAL:
        arrive(c);
        next_arrival(c);
        break;
    case SIM_EV_PROBE:
    case SIM_EV_PROBE_END:
        probe_event(c, e);
        break;
    case SIM_EV_LOOKUP:
    case SIM_EV_LOOKED_UP:
        name_event(c, e);
        break;
    case SIM_EV_WAKE:
        if (e->turn == c->wake_turn)
            c->subject->woken(c);
        break;
    case SIM_EV_TICK:
        c->subject->tick_due(c);
        sim_push(&c->events,
                 (struct sim_event){.at = c->now + c->subject->tick, .kind = SIM_EV_TICK});
        break;
    case SIM_EV_EDGE:
        edge(c);
        break;
    case SIM_EV_STALL:
        stall(c);
        break;
    case SIM_EV_LEAP:
        sim_push(&c->events, (struct sim_event){.at = c->now + LEAP_EVERY, .kind = SIM_EV_LEAP});
        sim_leap_due(c);
        break;
    case SIM_EV_LAND:
        sim_land(c);
        break;
    case SIM_EV_ATTEMPT:
    case SIM_EV_LATE:
    case SIM_EV_OVERDUE:
    case SIM_EV_AGAIN:
        request_event(c, e);
        break;
    }
}

static void begin(struct sim_car *c)
{
    const double stalls = c->setting->noise.stalls_a_day;
    uint64_t seed = dp_mix(c->setting->seed ^ dp_mix(c->id));
    c->world_random.state = seed;
    c->own_random.state = dp_mix(seed ^ 1);
    c->leap_random.state = dp_mix(seed ^ 2);
    c->state = calloc(1, c->subject->state_bytes);
    c->watch = calloc(c->trace->n + 1, sizeof(*c->watch));
    if (!c->state || !c->watch)
        abort();
    c->next_stall = SIM_NEVER;
    if (stalls > 0)
        c->next_stall = (uint64_t)sim_exponential(&c->world_random, 86400e9 / stalls);
    for (unsigned r = 0; r < SIM_REGIONS; r++)
        c->arrived_at[r] = c->returned_at[r] = SIM_NEVER;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++)
        c->idle[e] = 2;
    sim_see_world(c);
    c->subject->begin(c);
    sim_arm(c);
}

void sim_car_run(struct sim_car *c)
{
    struct sim_tally *t = c->tally;
    begin(c);
    while (c->events.n > 0 && c->events.at[0].at < c->trace->length) {
        struct sim_event e = sim_pop(&c->events);
        c->now = e.at > c->stalled_until ? e.at : c->stalled_until;
        t->events++;
        if (c->now >= c->trace->length)
            break;
        dispatch(c, &e);
    }
    t->sidecars++;
    t->digest += dp_mix(c->digest + c->id); /* the same in whatever order they ran */
    if (c->subject->end)
        c->subject->end(c);
    free(c->state);
    free(c->watch);
    free(c->events.at);
    free(c->requests);
}
