/* bench/simulate: Davenport's decisions, and models of HAProxy's and Envoy's, on a virtual clock, through the
 * same traces. What it says: bench/SIMULATION.md. */
#include "davenport/base/attr.h"

#include "study.h"
#include "subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    bool quick, exact, report, list, alone;
    const char *only;
    uint32_t sidecars; /* 0: the study's */
    double hours;      /* 0: the study's */
    double rtt_ms;
    uint64_t seed;
};

static const struct sim_subject *const subjects[] = {&sim_davenport, &sim_haproxy, &sim_envoy};

/* Near, over land, over an ocean. */
static struct sim_profile profile_of(const struct options *o)
{
    return (struct sim_profile){
        .rtt_ms = {o->rtt_ms, 5 * o->rtt_ms, 20 * o->rtt_ms}, .work_ms = 5, .tls = true};
}

static void make_trace(const struct sim_study *s, const struct options *o, uint32_t sidecar,
                       struct sim_trace *t)
{
    double hours = o->hours > 0 ? o->hours : o->quick ? s->quick_hours : s->hours;
    struct sim_random r = {sim_mix(o->seed ^ sim_mix(sidecar + 1))};
    *t = (struct sim_trace){.length = (uint64_t)(hours * 3600e9), .seed = o->seed};
    s->trace(t, &r);
    sim_trace_sort(t);
}

static void run(const struct sim_study *s, const struct sim_subject *subject,
                const struct options *o, struct sim_tally *tally)
{
    uint32_t n = o->sidecars ? o->sidecars : o->quick ? s->quick_sidecars : s->sidecars;
    struct sim_setting setting = {.profile = profile_of(o),
                                  .noise = s->noise,
                                  .requests_a_second = s->requests_a_second,
                                  .exact = o->exact,
                                  .seed = o->seed};
    struct sim_trace trace;
    make_trace(s, o, 0, &trace);
    sim_tally_init(tally, trace.length);
    for (uint32_t i = 0; i < n; i++) {
        if (s->own_traces) {
            sim_trace_free(&trace);
            make_trace(s, o, i, &trace);
        }
        struct sim_car car = {
            .subject = subject, .setting = &setting, .trace = &trace, .tally = tally, .id = i};
        sim_car_run(&car);
    }
    sim_tally_close(tally);
    sim_trace_free(&trace);
}

/* ---- telling ---- */

static void cell(double x, int width)
{
    if (isnan(x))
        printf(" %*s", width, "-");
    else
        printf(" %*.0f", width, x);
}

static void tell_head(const struct sim_study *s, const struct sim_tally *t)
{
    printf("\n%s: %s (%" PRIu64 " sidecars, %.1f h)\n", s->name, s->what, t->sidecars,
           (double)(t->seconds - 2) / 3600);
    printf("  %-10s %7s %6s %7s %7s %8s %8s %9s %7s %7s %7s %7s %7s %6s %6s %7s %7s\n", "",
           "faults", "stayed", "p50 ms", "p99 ms", "worst ms", "answer", "requests", "failed",
           "unknown", "503", "cut", ">2 s", "false", "flaps", "probes", "peak");
}

/* probes: a second and sidecar, at the preferred region; peak: the highest second over the mean. */
static void tell_row(const struct sim_subject *subject, struct sim_tally *t)
{
    double mean = sim_load_mean(t, &t->probes[0]), peak = sim_load_peak(t, &t->probes[0]);
    printf("  %-10s %7" PRIu64 " %6" PRIu64, subject->name, t->watched, t->never_left);
    cell(sim_quantile(&t->detect, 0.5), 7);
    cell(sim_quantile(&t->detect, 0.99), 7);
    cell(sim_quantile(&t->detect, 1), 8);
    cell(sim_quantile(&t->reroute, 0.99), 8);
    printf(" %9" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64
           " %6" PRIu64 " %6" PRIu64 " %7.2f %7.1f\n",
           t->requests, t->failed_safe, t->failed_unsafe, t->told_503, t->cut, t->slow,
           t->false_moves, t->flaps, mean / (double)t->sidecars, peak / mean);
}

static bool tell_goals(const struct sim_study *s, struct sim_tally *t)
{
    bool met = true;
    for (unsigned i = 0; i < SIM_GOALS; i++) {
        const struct sim_goal *g = &s->goals[i];
        if (g->measure == SIM_NO_GOAL)
            continue;
        double is = sim_measure(g->measure, t);
        bool good = is <= g->most;
        printf("  goal: %s at most %.0f: %.0f, %s\n", sim_measure_words(g->measure), g->most, is,
               good ? "met" : "MISSED");
        met = met && good;
    }
    return met;
}

static bool study(const struct sim_study *s, const struct options *o)
{
    bool met = true;
    for (size_t i = 0; i < DP_ARRAY_LEN(subjects); i++) {
        struct sim_tally tally;
        if (i > 0 && o->alone)
            break;
        run(s, subjects[i], o, &tally);
        if (i == 0)
            tell_head(s, &tally);
        tell_row(subjects[i], &tally);
        if (i == 0)
            met = tell_goals(s, &tally);
        (void)fflush(stdout);
        sim_tally_fini(&tally);
    }
    return met;
}

/* The same seed twice gives the same decisions; so does a run that leaps over nothing, but for chance. */
static bool same_twice(const struct options *o)
{
    const struct sim_study *s = &sim_studies[0];
    struct options two = *o;
    struct sim_tally a, b;
    two.sidecars = 5;
    two.hours = 2;
    run(s, subjects[0], &two, &a);
    run(s, subjects[0], &two, &b);
    bool same = a.digest == b.digest && a.events == b.events && a.digest != 0;
    sim_tally_fini(&b);
    two.exact = true;
    run(s, subjects[0], &two, &b);
    bool alike = a.moves == b.moves && a.watched == b.watched && a.leaps > 0 && b.leaps == 0;
    printf("\nthe same seed again: %s; without leaps: %s\n",
           same ? "the same decisions" : "OTHER DECISIONS",
           alike ? "as many moves" : "OTHER MOVES");
    sim_tally_fini(&a);
    sim_tally_fini(&b);
    return same && alike;
}

/* ---- the command line ---- */

static const char usage[] =
    "usage: bench/simulate [option]...\n"
    "  --quick         few sidecars: what the tests run\n"
    "  --only NAME     one study (--list names them)\n"
    "  --alone         Davenport only\n"
    "  --sidecars N    instead of each study's number\n"
    "  --hours H       instead of each study's length\n"
    "  --rtt MS        to the nearest region; the others are 5 and 20 times as far (default: 4)\n"
    "  --seed N        of everything random (default: 1)\n"
    "  --exact         leap over no quiet time\n"
    "  --report        exit 0 even if a goal is missed\n"
    "  --list          name the studies\n";

static bool take(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--only") == 0)
        o->only = value;
    else if (strcmp(name, "--sidecars") == 0)
        o->sidecars = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--hours") == 0)
        o->hours = strtod(value, NULL);
    else if (strcmp(name, "--rtt") == 0)
        o->rtt_ms = strtod(value, NULL);
    else if (strcmp(name, "--seed") == 0)
        o->seed = strtoull(value, NULL, 10);
    else
        return false;
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    const struct {
        const char *name;
        bool *on;
    } flags[] = {{"--quick", &o->quick},
                 {"--exact", &o->exact},
                 {"--report", &o->report},
                 {"--list", &o->list},
                 {"--alone", &o->alone}};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        bool found = false;
        for (size_t f = 0; f < DP_ARRAY_LEN(flags); f++) {
            if (strcmp(name, flags[f].name) == 0)
                found = *flags[f].on = true;
        }
        if (found)
            continue;
        const char *value = ++i < argc ? argv[i] : NULL;
        if (!value || !take(o, name, value))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1, .rtt_ms = 4};
    unsigned missed = 0, asked = 0;
    if (!parse(argc, argv, &o)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    for (size_t i = 0; i < sim_n_studies; i++) {
        const struct sim_study *s = &sim_studies[i];
        if (o.list) {
            printf("%-14s %s\n", s->name, s->what);
            continue;
        }
        if (o.only && strcmp(o.only, s->name) != 0)
            continue;
        asked++;
        missed += !study(s, &o);
    }
    if (o.list)
        return 0;
    if (asked == 0) {
        (void)fputs("no such study; --list names them\n", stderr);
        return 2;
    }
    bool sound = o.only || same_twice(&o);
    printf("\n%u of %u studies missed a goal\n", missed, asked);
    return !sound || (missed && !o.report);
}
