/* What tally.h says. */
#include "tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void sim_sample(struct sim_samples *s, double value)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->at = realloc(s->at, s->cap * sizeof(*s->at));
        if (!s->at)
            abort();
    }
    s->at[s->n++] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double sim_quantile(struct sim_samples *s, double share)
{
    if (s->n == 0)
        return (double)NAN;
    qsort(s->at, s->n, sizeof(*s->at), by_value);
    size_t i = (size_t)ceil(share * (double)s->n);
    return s->at[i > 0 ? i - 1 : 0];
}

static void load_init(struct sim_load *l, uint64_t seconds)
{
    l->at = calloc(seconds, sizeof(double));
    l->steps = calloc(seconds, sizeof(double));
    if (!l->at || !l->steps)
        abort();
}

void sim_tally_init(struct sim_tally *t, uint64_t length)
{
    *t = (struct sim_tally){.seconds = length / SIM_S + 2};
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        load_init(&t->probes[r], t->seconds);
        load_init(&t->sends[r], t->seconds);
    }
}

static void load_close(struct sim_load *l, uint64_t seconds)
{
    double rate = 0;
    for (uint64_t i = 0; i < seconds; i++) {
        rate += l->steps[i];
        l->at[i] += rate;
        l->steps[i] = 0;
    }
}

void sim_tally_close(struct sim_tally *t)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        load_close(&t->probes[r], t->seconds);
        load_close(&t->sends[r], t->seconds);
    }
}

static void samples_add(struct sim_samples *s, const struct sim_samples *more)
{
    for (size_t i = 0; i < more->n; i++)
        sim_sample(s, more->at[i]);
}

static void load_add(struct sim_load *l, const struct sim_load *more, uint64_t seconds)
{
    for (uint64_t i = 0; i < seconds; i++) {
        l->at[i] += more->at[i];
        l->steps[i] += more->steps[i];
    }
}

void sim_tally_add(struct sim_tally *t, const struct sim_tally *more)
{
    t->sidecars += more->sidecars;
    samples_add(&t->detect, &more->detect);
    samples_add(&t->reroute, &more->reroute);
    t->watched += more->watched;
    t->never_left += more->never_left;
    t->moves += more->moves;
    t->false_moves += more->false_moves;
    t->flaps += more->flaps;
    t->requests += more->requests;
    t->failed_unsafe += more->failed_unsafe;
    t->told_503 += more->told_503;
    t->cut += more->cut;
    t->failed_safe[0] += more->failed_safe[0];
    t->failed_safe[1] += more->failed_safe[1];
    t->failed_later += more->failed_later;
    t->slow += more->slow;
    t->repeated_unsafe += more->repeated_unsafe;
    t->stray_writes += more->stray_writes;
    t->held += more->held;
    t->hold_over += more->hold_over;
    t->told_primary += more->told_primary;
    t->trials += more->trials;
    t->doubts += more->doubts;
    t->events += more->events;
    t->leaps += more->leaps;
    t->broken_leaps += more->broken_leaps;
    t->leapt_s += more->leapt_s;
    t->digest += more->digest;
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        load_add(&t->probes[r], &more->probes[r], t->seconds);
        load_add(&t->sends[r], &more->sends[r], t->seconds);
    }
}

void sim_tally_fini(struct sim_tally *t)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        free(t->probes[r].at);
        free(t->probes[r].steps);
        free(t->sends[r].at);
        free(t->sends[r].steps);
    }
    free(t->detect.at);
    free(t->reroute.at);
}

void sim_load_one(struct sim_load *l, uint64_t at)
{
    l->at[at / SIM_S] += 1;
}

void sim_load_rate(struct sim_load *l, uint64_t from, uint64_t to, double rate)
{
    uint64_t first = from / SIM_S, last = to / SIM_S;
    if (to <= from)
        return;
    l->steps[first] += rate;
    l->steps[last] -= rate;
    l->at[first] -= rate * (double)(from % SIM_S) / 1e9;
    l->at[last] += rate * (double)(to % SIM_S) / 1e9;
}

double sim_load_peak(const struct sim_tally *t, const struct sim_load *l)
{
    double peak = 0;
    for (uint64_t i = 0; i < t->seconds; i++)
        peak = l->at[i] > peak ? l->at[i] : peak;
    return peak;
}

double sim_load_mean(const struct sim_tally *t, const struct sim_load *l)
{
    double sum = 0;
    for (uint64_t i = 0; i < t->seconds; i++)
        sum += l->at[i];
    return sum / (double)(t->seconds - 2);
}

double sim_load_rise(const struct sim_tally *t, const struct sim_load *l, uint64_t seconds)
{
    double rise = 0;
    for (uint64_t i = seconds; i + 2 < t->seconds; i++) {
        double by = l->at[i] - l->at[i - seconds];
        rise = by > rise ? by : rise;
    }
    return rise;
}
