/* What world.h says. */
#include "world.h"

#include "davenport/base/attr.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    bool grave;
} kinds[] = {
#define X(name, label, grave) {label, grave},
    SIM_FAULT_TABLE(X)
#undef X
};

const char *sim_fault_name(enum sim_fault_kind k)
{
    return kinds[k].name;
}

bool sim_fault_grave(const struct sim_fault *f)
{
    bool partly = (f->kind == SIM_ERRORS || f->kind == SIM_CUT) && f->amount < 0.5;
    return kinds[f->kind].grave && !partly && f->end - f->start >= SIM_S;
}

void sim_trace_add(struct sim_trace *t, struct sim_fault f)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->faults = realloc(t->faults, t->cap * sizeof(*t->faults));
        if (!t->faults)
            abort();
    }
    if (f.end > t->length)
        f.end = t->length;
    if (f.start < f.end)
        t->faults[t->n++] = f;
}

static int by_start(const void *a, const void *b)
{
    const struct sim_fault *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

void sim_trace_sort(struct sim_trace *t)
{
    if (t->n)
        qsort(t->faults, t->n, sizeof(*t->faults), by_start);
}

void sim_trace_free(struct sim_trace *t)
{
    free(t->faults);
    *t = (struct sim_trace){0};
}

bool sim_fault_hits(const struct sim_trace *t, size_t fault, uint32_t sidecar)
{
    double share = t->faults[fault].share;
    if (share >= 1)
        return true;
    uint64_t x = dp_mix(t->seed ^ dp_mix((uint64_t)fault << 32 | sidecar));
    return (double)(x >> 11) * 0x1p-53 < share;
}

static void suffer(struct sim_condition *c, const struct sim_fault *f)
{
    c->faults += f->kind != SIM_LOOKUPS && f->kind != SIM_MOVED;
    switch (f->kind) {
    case SIM_DARK:
        c->dark = f->end;
        break;
    case SIM_REFUSED:
        c->refused = f->end;
        break;
    case SIM_GRAY:
        c->gray = f->end;
        break;
    case SIM_PAUSE:
        c->pause = f->end;
        break;
    case SIM_CUT:
        c->cut = f->amount;
        break;
    case SIM_SLOW:
        c->slow_ms += f->amount;
        break;
    case SIM_LAG:
        c->lag_ms += f->amount;
        break;
    case SIM_ERRORS:
        c->errors = f->amount;
        break;
    case SIM_LOSS:
        c->loss = f->amount;
        break;
    case SIM_MISSES:
        c->misses = f->amount;
        break;
    case SIM_DRAIN:
        c->draining = true;
        break;
    case SIM_BUSY:
        c->busy *= f->amount;
        break;
    case SIM_LOOKUPS:
        c->lookup_ms = f->amount;
        break;
    case SIM_MOVED:
        break;
    }
}

static bool concerns(const struct sim_fault *f, unsigned endpoint)
{
    return (f->region == SIM_ALL || f->region == sim_region_of(endpoint)) &&
           (f->node == 0 || f->node - 1 == endpoint % SIM_NODES);
}

/* What a lookup takes when nothing is wrong. */
#define LOOKUP_MS 20

void sim_condition(const struct sim_trace *t, uint32_t sidecar, unsigned endpoint, uint64_t now,
                   struct sim_condition *out)
{
    *out = (struct sim_condition){.busy = 1, .lookup_ms = LOOKUP_MS};
    for (size_t i = 0; i < t->n && t->faults[i].start <= now; i++) {
        const struct sim_fault *f = &t->faults[i];
        if (!concerns(f, endpoint) || !sim_fault_hits(t, i, sidecar))
            continue;
        out->address += f->kind == SIM_MOVED;
        if (f->end > now)
            suffer(out, f);
    }
}

static uint64_t ms(double x)
{
    return (uint64_t)(x * 1e6);
}

/* When TCP sends something lost for the n-th time: SYNs after 1 s, 3 s, 7 s …, data after 200 ms, 600 ms … */
static uint64_t repeated_after(unsigned n, bool syn)
{
    return ((UINT64_C(1) << n) - 1) * (syn ? SIM_S : 200 * SIM_MS);
}

/* How long one exchange of packets takes in which each packet may be lost. */
static uint64_t lossy(double loss, bool syn, uint64_t rtt, struct sim_random *r)
{
    unsigned n = 0;
    double lost = 1 - (1 - loss) * (1 - loss); /* there, or back */
    while (n < 8 && sim_chance(r, lost))
        n++;
    return repeated_after(n, syn) + rtt;
}

static uint64_t travel(const struct sim_condition *c, const struct sim_profile *p,
                       unsigned endpoint, struct sim_ask ask, struct sim_random *r)
{
    uint64_t rtt = ms(p->rtt_ms[sim_region_of(endpoint)] * (1 + 0.1 * sim_unit(r)));
    uint64_t sum = lossy(c->loss, false, rtt, r);
    if (ask.fresh) {
        sum += lossy(c->loss, true, rtt, r);
        if (p->tls)
            sum += lossy(c->loss, false, rtt, r) + 2 * SIM_MS;
    }
    return sum;
}

static uint64_t work(const struct sim_condition *c, const struct sim_profile *p, struct sim_ask ask,
                     struct sim_random *r)
{
    if (ask.probe)
        return ms(sim_lognormal(r, 1, 0.5) * c->busy + c->lag_ms);
    double t = sim_lognormal(r, ask.query ? 10 * p->work_ms : p->work_ms, 0.7);
    return ms(t * c->busy + c->slow_ms + c->lag_ms);
}

/* Packets vanish until `end`; then the next repetition gets through. */
static uint64_t after_dark(uint64_t now, uint64_t end, bool syn)
{
    unsigned n = 1;
    while (n < 12 && now + repeated_after(n, syn) < end)
        n++;
    return repeated_after(n, syn);
}

struct sim_fate sim_fate(const struct sim_condition *c, const struct sim_profile *p,
                         unsigned endpoint, struct sim_ask ask, uint64_t now, struct sim_random *r)
{
    uint64_t way = travel(c, p, endpoint, ask, r), took = way + work(c, p, ask, r);
    struct sim_fate f = {SIM_ANSWERED, took, false};
    if (c->dark > now) {
        f.after = after_dark(now, c->dark, ask.fresh) + took;
        f.disconnected = ask.fresh;
        return f;
    }
    if (c->refused > now)
        return (struct sim_fate){SIM_REFUSES, way, true};
    if (ask.probe && sim_chance(r, c->misses))
        return (struct sim_fate){SIM_SILENT, 0, ask.fresh};
    if (c->pause > now) {
        f.after = c->pause - now + took;
        return f;
    }
    if (c->gray > now && !ask.probe)
        return (struct sim_fate){SIM_SILENT, 0, false};
    if (ask.probe && c->draining)
        f.answer = SIM_DRAINING;
    else if (sim_chance(r, c->errors))
        f.answer = SIM_SAYS_503;
    else if (!ask.probe && sim_chance(r, c->cut))
        f.answer = SIM_CUT_SHORT;
    return f;
}
