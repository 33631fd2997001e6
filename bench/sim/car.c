/* The event loop of car.h: a heap of events, requests and probes in tables, and leaps over quiet time. */
#include "car.h"

#include "davenport/base/attr.h"

#include <stdlib.h>
#include <string.h>

enum {
    EV_ARRIVAL,
    EV_ATTEMPT,
    EV_LATE,
    EV_AGAIN,
    EV_PROBE,
    EV_PROBE_END,
    EV_TICK,
    EV_EDGE,
    EV_STALL,
    EV_LEAP
};

/* Nobody waits longer for an answer. */
#define PATIENCE (30 * SIM_S)
/* An answer later than this is an outage for who waits. */
#define SLOW (2 * SIM_S)
/* A leap ends so long before the next thing: what decides by the recent past sees one. */
#define LEAP_MARGIN (1500 * SIM_MS)
#define LEAP_EVERY  SIM_S
/* A fault explains a flight for so long after its end. */
#define EXPLAINS (10 * SIM_S)
/* A return and a flight so near to each other are a flap. */
#define FLAP (600 * SIM_S)

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct sim_car *c, struct sim_event e)
{
    if (c->n_events == c->cap_events) {
        c->cap_events = c->cap_events ? 2 * c->cap_events : 256;
        c->events = realloc(c->events, c->cap_events * sizeof(*c->events));
        if (!c->events)
            abort();
    }
    e.order = c->order++;
    size_t i = c->n_events++;
    while (i > 0 && before(&e, &c->events[(i - 1) / 2])) {
        c->events[i] = c->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    c->events[i] = e;
}

static struct sim_event pop(struct sim_car *c)
{
    struct sim_event top = c->events[0], last = c->events[--c->n_events];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= c->n_events)
            break;
        if (child + 1 < c->n_events && before(&c->events[child + 1], &c->events[child]))
            child++;
        if (!before(&c->events[child], &last))
            break;
        c->events[i] = c->events[child];
        i = child;
    }
    if (c->n_events > 0)
        c->events[i] = last;
    return top;
}

/* ---- the tally ---- */

static void note(struct sim_car *c, uint64_t what)
{
    c->tally->digest = sim_mix(c->tally->digest ^ what ^ c->now ^ ((uint64_t)c->id << 40));
}

static bool explained(const struct sim_car *c, unsigned region)
{
    const struct sim_trace *t = c->trace;
    for (size_t i = 0; i < t->n && t->faults[i].start <= c->now; i++) {
        const struct sim_fault *f = &t->faults[i];
        if (sim_fault_grave(f) && c->now < f->end + EXPLAINS &&
            (f->region == region || f->region == SIM_ALL) && sim_fault_hits(t, i, c->id))
            return true;
    }
    return false;
}

void sim_move(struct sim_car *c, unsigned to, bool by_choice)
{
    struct sim_tally *t = c->tally;
    unsigned from = c->active;
    if (from == to)
        return;
    note(c, (uint64_t)from << 8 | to);
    t->moves++;
    if (from != SIM_NOWHERE && !by_choice) {
        t->false_moves += !explained(c, from);
        t->flaps += c->arrived_at[from] != SIM_NEVER && c->now < c->arrived_at[from] + FLAP;
    }
    c->active = to;
    if (to != SIM_NOWHERE)
        c->arrived_at[to] = c->now;
    for (size_t i = 0; i < c->next_start; i++) {
        if (c->watch[i].open && c->trace->faults[i].region == from) {
            sim_sample(&t->detect, (double)(c->now - c->trace->faults[i].start) / 1e6);
            c->watch[i].open = false;
        }
    }
}

static void note_answer(struct sim_car *c, unsigned region)
{
    for (size_t i = 0; i < c->next_start; i++) {
        if (c->watch[i].waiting && c->trace->faults[i].region != region) {
            sim_sample(&c->tally->reroute, (double)(c->now - c->trace->faults[i].start) / 1e6);
            c->watch[i].waiting = false;
        }
    }
}

/* ---- probes ---- */

void sim_probe_at(struct sim_car *c, unsigned region, uint64_t at)
{
    c->probe_at[region] = at > c->now ? at : c->now;
    push(c, (struct sim_event){.at = c->probe_at[region],
                               .kind = EV_PROBE,
                               .region = (uint16_t)region,
                               .turn = ++c->probe_turn[region]});
}

static void schedule_probe_end(struct sim_car *c, unsigned region, unsigned slot)
{
    struct sim_probe *p = &c->probes[region][slot];
    uint64_t at = p->ends; /* of its patience */
    if (p->fate.answer != SIM_SILENT && p->started + p->fate.after < at)
        at = p->started + p->fate.after;
    else
        p->fate.answer = SIM_SILENT;
    push(c, (struct sim_event){.at = at,
                               .kind = EV_PROBE_END,
                               .region = (uint16_t)region,
                               .id = slot,
                               .turn = ++p->turn});
}

void sim_ask_probe(struct sim_car *c, unsigned region, bool fresh, uint64_t timeout)
{
    unsigned slot = 0;
    while (slot < SIM_PROBES && c->probes[region][slot].live)
        slot++;
    if (slot == SIM_PROBES)
        abort();
    struct sim_probe *p = &c->probes[region][slot];
    struct sim_ask ask = {.probe = true, .fresh = fresh};
    p->live = true;
    p->fresh = fresh;
    p->started = c->now;
    p->ends = c->now + timeout;
    p->fate = sim_fate(&c->condition[region], &c->setting->profile, region, ask, c->now,
                       &c->world_random);
    if (c->lose_next[region] || (c->condition[region].faults == 0 &&
                                 sim_chance(&c->world_random, c->setting->noise.probe_lost)))
        p->fate.answer = SIM_SILENT;
    c->lose_next[region] = false;
    sim_load_one(&c->tally->probes[region], c->now);
    schedule_probe_end(c, region, slot);
}

unsigned sim_probes_under_way(const struct sim_car *c, unsigned region)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SIM_PROBES; i++)
        n += c->probes[region][i].live;
    return n;
}

static void end_probe(struct sim_car *c, unsigned region, unsigned slot)
{
    struct sim_probe done = c->probes[region][slot];
    c->probes[region][slot].live = false;
    c->subject->probe_ended(c, region, &done);
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
    *q = (struct sim_request){.live = true, .turn = q->turn + 1, .arrived = c->now};
    return q;
}

static uint32_t index_of(const struct sim_car *c, const struct sim_request *q)
{
    return (uint32_t)(q - c->requests);
}

static void give_up(struct sim_car *c, struct sim_request *q)
{
    note(c, 0xFA11);
    if (sim_unsafe(q))
        c->tally->failed_unsafe++;
    else
        c->tally->failed_safe++;
    q->live = false;
}

static void schedule_attempt(struct sim_car *c, struct sim_request *q)
{
    uint64_t limit = q->begun + (q->fate.disconnected ? c->subject->connect_timeout
                                                      : c->subject->answer_timeout);
    if (limit > q->arrived + PATIENCE)
        limit = q->arrived + PATIENCE;
    uint64_t at = limit;
    if (q->fate.answer != SIM_SILENT && q->begun + q->fate.after <= limit)
        at = q->begun + q->fate.after;
    else
        q->fate.answer = SIM_SILENT;
    push(c,
         (struct sim_event){.at = at, .kind = EV_ATTEMPT, .id = index_of(c, q), .turn = ++q->turn});
    uint64_t late = c->subject->late_after ? c->subject->late_after(c, q->region) : SIM_NEVER;
    if (late != SIM_NEVER && q->class != SIM_QUERY && !q->fate.disconnected && !q->late &&
        q->begun + late < at)
        push(c, (struct sim_event){
                    .at = q->begun + late, .kind = EV_LATE, .id = index_of(c, q), .turn = q->turn});
}

static struct sim_ask ask_of(const struct sim_request *q)
{
    return (struct sim_ask){.fresh = q->fresh, .query = q->class == SIM_QUERY};
}

static void attempt(struct sim_car *c, struct sim_request *q)
{
    unsigned to = c->subject->route(c, q);
    q->waits = false;
    if (to == SIM_NOWHERE) {
        give_up(c, q);
        return;
    }
    c->tally->repeated_unsafe += sim_unsafe(q);
    q->region = to;
    q->attempts++;
    q->late = false;
    q->begun = c->now;
    q->fresh = c->idle[to] == 0;
    c->idle[to] -= !q->fresh;
    q->fate =
        sim_fate(&c->condition[to], &c->setting->profile, to, ask_of(q), c->now, &c->world_random);
    const struct sim_noise *n = &c->setting->noise;
    bool calm = c->condition[to].faults == 0;
    if (calm && (c->reset_next || sim_chance(&c->world_random, n->request_reset)))
        q->fate = (struct sim_fate){SIM_REFUSES, q->fate.after, false};
    else if (calm && sim_chance(&c->world_random, n->request_503))
        q->fate.answer = SIM_SAYS_503;
    c->reset_next = false;
    sim_load_one(&c->tally->sends[to], c->now);
    schedule_attempt(c, q);
}

static void attempt_failed(struct sim_car *c, struct sim_request *q, enum sim_end end,
                           bool keep_if_final)
{
    if (end != SIM_END_REFUSED && end != SIM_END_NO_CONNECTION && end != SIM_END_LEFT)
        q->maybe_done = true;
    if (end == SIM_END_LEFT && !q->fate.disconnected)
        q->maybe_done = true;
    uint64_t wait = end == SIM_END_CUT || c->now >= q->arrived + PATIENCE
                        ? SIM_NEVER
                        : c->subject->again(c, q, end);
    if (wait == SIM_NEVER) {
        if (!keep_if_final)
            give_up(c, q);
        return;
    }
    q->failed_mask |= 1U << q->region;
    q->waits = true;
    q->turn++;
    if (wait == 0)
        attempt(c, q);
    else
        push(c, (struct sim_event){
                    .at = c->now + wait, .kind = EV_AGAIN, .id = index_of(c, q), .turn = q->turn});
}

static void answered(struct sim_car *c, struct sim_request *q)
{
    struct sim_request done = *q;
    q->live = false;
    c->idle[done.region]++;
    c->tally->slow += c->now - done.arrived > SLOW;
    note_answer(c, done.region);
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
    c->idle[q->region] += end == SIM_END_503;
    c->tally->cut += end == SIM_END_CUT;
    q->waits = true; /* this attempt is over, whatever follows from it */
    c->subject->failed(c, q, end);
    if (end == SIM_END_503 && c->subject->again(c, q, end) == SIM_NEVER) {
        c->tally->told_503++; /* the region's own answer, passed on */
        q->live = false;
        return;
    }
    attempt_failed(c, q, end, false);
}

unsigned sim_under_way(const struct sim_car *c, unsigned region)
{
    unsigned n = 0;
    for (size_t i = 0; i < c->cap_requests; i++)
        n += c->requests[i].live && !c->requests[i].waits && c->requests[i].region == region;
    return n;
}

void sim_leave(struct sim_car *c, unsigned region, bool only_again)
{
    c->idle[region] = 0;
    for (size_t i = 0; i < c->cap_requests; i++) {
        struct sim_request *q = &c->requests[i];
        if (q->live && !q->waits && q->region == region)
            attempt_failed(c, q, SIM_END_LEFT, only_again);
    }
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
        push(c, (struct sim_event){.at = c->now +
                                         (uint64_t)sim_exponential(&c->world_random, 1e9 / rate),
                                   .kind = EV_ARRIVAL});
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

static void watch(struct sim_car *c)
{
    const struct sim_trace *t = c->trace;
    for (size_t i = 0; i < c->next_start; i++) {
        if (t->faults[i].end <= c->now) {
            c->tally->never_left += c->watch[i].open;
            c->watch[i] = (struct sim_watch){0};
        }
    }
    for (; c->next_start < t->n && t->faults[c->next_start].start <= c->now; c->next_start++) {
        const struct sim_fault *f = &t->faults[c->next_start];
        if (!sim_fault_grave(f) || f->region != c->active ||
            !sim_fault_hits(t, c->next_start, c->id))
            continue;
        c->tally->watched++;
        c->watch[c->next_start] = (struct sim_watch){true, true};
    }
}

/* What is under way when a fault begins meets it too. */
static void strike(struct sim_car *c, unsigned region)
{
    const struct sim_condition *w = &c->condition[region];
    const struct sim_profile *profile = &c->setting->profile;
    for (unsigned i = 0; i < SIM_PROBES; i++) {
        struct sim_probe *p = &c->probes[region][i];
        struct sim_ask ask = {.probe = true};
        if (!p->live)
            continue;
        p->fate = sim_fate(w, profile, region, ask, c->now, &c->world_random);
        p->fate.after += c->now - p->started;
        schedule_probe_end(c, region, i);
    }
    for (size_t i = 0; i < c->cap_requests; i++) {
        struct sim_request *q = &c->requests[i];
        if (!q->live || q->waits || q->region != region)
            continue;
        struct sim_ask ask = ask_of(q);
        ask.fresh = false;
        q->fate = sim_fate(w, profile, region, ask, c->now, &c->world_random);
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

static void edge(struct sim_car *c)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        struct sim_condition was = c->condition[r];
        sim_condition(c->trace, c->id, r, c->now, &c->condition[r]);
        if (c->condition[r].refused && !was.refused)
            c->idle[r] = 0; /* its connections were reset */
        if (worse(&was, &c->condition[r]))
            strike(c, r);
    }
    watch(c);
    find_edge(c);
    if (c->edge != SIM_NEVER)
        push(c, (struct sim_event){.at = c->edge, .kind = EV_EDGE});
}

/* ---- leaps ---- */

static bool quiet(struct sim_car *c)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        const struct sim_condition *w = &c->condition[r];
        bool dark = w->dark && w->faults == 1;
        if (!(w->faults == 0 || dark) || !c->subject->settled(c, r, dark))
            return false;
        for (unsigned i = 0; i < SIM_PROBES && !dark; i++) {
            if (c->probes[r][i].live && c->now > c->probes[r][i].started + 500 * SIM_MS)
                return false;
        }
    }
    for (size_t i = 0; i < c->cap_requests; i++) {
        const struct sim_request *q = &c->requests[i];
        if (q->live && (q->waits || q->attempts > 1 || c->now > q->arrived + SIM_S))
            return false;
    }
    return c->active != SIM_NOWHERE && c->condition[c->active].faults == 0;
}

/* The first moment from `now` on at which noise strikes, and what it will be; `end` if none does before. */
static uint64_t noise_before(struct sim_car *c, uint64_t end)
{
    const struct sim_noise *n = &c->setting->noise;
    int region = -1;
    bool reset = false;
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        if (n->probe_lost <= 0 || c->condition[r].faults)
            continue;
        double probes = floor(log(1.0 - sim_unit(&c->world_random)) / log(1.0 - n->probe_lost));
        double at = (double)c->probe_at[r] + probes * (double)c->subject->interval(c, r);
        if (at < (double)end) {
            end = (uint64_t)at;
            region = (int)r;
        }
    }
    double rate = c->setting->requests_a_second * n->request_reset;
    if (rate > 0) {
        double at = (double)c->now + sim_exponential(&c->world_random, 1e9 / rate);
        if (at < (double)end) {
            end = (uint64_t)at;
            region = -1;
            reset = true;
        }
    }
    if (region >= 0)
        c->lose_next[region] = true;
    c->reset_next = reset;
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

static void arm(struct sim_car *c)
{
    next_arrival(c);
    if (c->subject->tick)
        push(c, (struct sim_event){.at = c->now + c->subject->tick, .kind = EV_TICK});
    if (c->edge != SIM_NEVER)
        push(c, (struct sim_event){.at = c->edge, .kind = EV_EDGE});
    if (c->next_stall != SIM_NEVER)
        push(c, (struct sim_event){.at = c->next_stall, .kind = EV_STALL});
    if (!c->setting->exact)
        push(c, (struct sim_event){.at = c->now + LEAP_EVERY, .kind = EV_LEAP});
}

static void leap_to(struct sim_car *c, uint64_t to)
{
    uint64_t from = c->now;
    struct sim_tally *t = c->tally;
    double span = (double)(to - from) / 1e9, rate = c->setting->requests_a_second;
    for (size_t i = 0; i < c->cap_requests; i++) {
        struct sim_request *q = &c->requests[i];
        c->idle[q->region] += q->live;
        q->live = false;
        q->turn++;
    }
    t->requests += (uint64_t)(rate * span);
    sim_load_rate(&t->sends[c->active], from, to, rate);
    c->now = to;
    c->n_events = 0;
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        uint64_t interval = c->subject->interval(c, r);
        for (unsigned i = 0; i < SIM_PROBES; i++) {
            c->probes[r][i].live = false;
            c->probes[r][i].turn++;
        }
        sim_load_rate(&t->probes[r], from, to, 1e9 / (double)interval);
        sim_probe_at(c, r, to + (c->lose_next[r] ? SIM_S : residual(c, interval)));
    }
    c->subject->leapt(c, from);
    arm(c);
    t->leaps++;
    t->leapt_s += span;
}

static void leap(struct sim_car *c)
{
    uint64_t end = c->trace->length;
    push(c, (struct sim_event){.at = c->now + LEAP_EVERY, .kind = EV_LEAP});
    if (c->stalled_until + 2 * SIM_S > c->now || !quiet(c))
        return;
    if (c->edge < end)
        end = c->edge;
    if (c->next_stall < end)
        end = c->next_stall;
    uint64_t timed = c->subject->timed(c);
    if (timed < end)
        end = timed;
    if (end < c->now + 4 * SIM_S)
        return;
    end = noise_before(c, end);
    if (end < c->now + 2 * LEAP_MARGIN)
        return; /* it strikes at the next probe or request */
    leap_to(c, end - LEAP_MARGIN);
}

/* ---- the loop ---- */

static void stall(struct sim_car *c)
{
    const struct sim_noise *n = &c->setting->noise;
    c->stalled_until = c->now + (uint64_t)(sim_unit(&c->world_random) * (double)n->stall_longest);
    c->next_stall = c->now +
                    (uint64_t)sim_exponential(&c->world_random, 86400e9 / n->stalls_a_day) +
                    10 * SIM_S;
    push(c, (struct sim_event){.at = c->next_stall, .kind = EV_STALL});
}

static void request_event(struct sim_car *c, const struct sim_event *e)
{
    struct sim_request *q = &c->requests[e->id];
    if (!q->live || q->turn != e->turn)
        return;
    if (e->kind == EV_ATTEMPT) {
        end_attempt(c, q);
    } else if (e->kind == EV_AGAIN) {
        attempt(c, q);
    } else {
        q->late = true;
        c->subject->late(c, q);
    }
}

static void dispatch(struct sim_car *c, const struct sim_event *e)
{
    unsigned r = e->region;
    switch (e->kind) {
    case EV_ARRIVAL:
        arrive(c);
        next_arrival(c);
        break;
    case EV_PROBE:
        if (c->probe_turn[r] == e->turn)
            c->subject->probe_due(c, r);
        break;
    case EV_PROBE_END:
        if (c->probes[r][e->id].live && c->probes[r][e->id].turn == e->turn)
            end_probe(c, r, e->id);
        break;
    case EV_TICK:
        c->subject->tick_due(c);
        push(c, (struct sim_event){.at = c->now + c->subject->tick, .kind = EV_TICK});
        break;
    case EV_EDGE:
        edge(c);
        break;
    case EV_STALL:
        stall(c);
        break;
    case EV_LEAP:
        leap(c);
        break;
    default:
        request_event(c, e);
        break;
    }
}

void sim_car_run(struct sim_car *c)
{
    uint64_t seed = sim_mix(c->setting->seed ^ sim_mix(c->id));
    c->world_random.state = seed;
    c->own_random.state = sim_mix(seed ^ 1);
    c->state = calloc(1, c->subject->state_bytes);
    c->watch = calloc(c->trace->n + 1, sizeof(*c->watch));
    if (!c->state || !c->watch)
        abort();
    c->next_stall = SIM_NEVER;
    if (c->setting->noise.stalls_a_day > 0)
        c->next_stall =
            (uint64_t)sim_exponential(&c->world_random, 86400e9 / c->setting->noise.stalls_a_day);
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        sim_condition(c->trace, c->id, r, 0, &c->condition[r]);
        c->arrived_at[r] = SIM_NEVER;
        c->idle[r] = 2;
    }
    find_edge(c);
    c->subject->begin(c);
    arm(c);
    while (c->n_events > 0 && c->events[0].at < c->trace->length) {
        struct sim_event e = pop(c);
        c->now = e.at > c->stalled_until ? e.at : c->stalled_until;
        c->tally->events++;
        if (c->now >= c->trace->length)
            break;
        dispatch(c, &e);
    }
    c->tally->sidecars++;
    free(c->state);
    free(c->watch);
    free(c->events);
    free(c->requests);
}
