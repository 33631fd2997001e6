/* bench/simulate: Davenport's decisions, and models of HAProxy's and Envoy's, on a virtual clock, through the
 * same traces. What it says: bench/SIMULATION.md. */
#include "davenport/base/attr.h"
#include "davenport/base/log.h"

#include "study.h"
#include "subjects.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_THREADS 64

struct options {
    bool quick, exact, report, list, alone;
    const char *only;
    uint32_t threads;
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
    struct sim_random r = {dp_mix(o->seed ^ dp_mix(sidecar + 1))};
    *t = (struct sim_trace){.length = (uint64_t)(hours * 3600e9), .seed = o->seed};
    s->trace(t, &r);
    sim_trace_sort(t);
}

/* Sidecars are dealt out to threads one by one; what they did is added up, in no order that matters. */
struct crew {
    const struct sim_study *study;
    const struct sim_subject *subject;
    const struct options *options;
    const struct sim_setting *setting;
    const struct sim_trace *trace; /* of all, where they have one */
    uint32_t sidecars;
    _Atomic uint32_t next;
};

struct hand {
    pthread_t thread;
    struct crew *crew;
    struct sim_tally tally;
};

static void *work(void *arg)
{
    struct hand *h = arg;
    struct crew *w = h->crew;
    for (;;) {
        const uint32_t i = atomic_fetch_add(&w->next, 1);
        struct sim_trace own = {0};
        if (i >= w->sidecars)
            return NULL;
        if (w->study->own_traces)
            make_trace(w->study, w->options, i, &own);
        struct sim_car car = {.subject = w->subject,
                              .setting = w->setting,
                              .trace = w->study->own_traces ? &own : w->trace,
                              .tally = &h->tally,
                              .id = i};
        sim_car_run(&car);
        sim_trace_free(&own);
    }
}

static void run(const struct sim_study *s, const struct sim_subject *subject,
                const struct options *o, struct sim_tally *tally)
{
    static struct hand hands[MAX_THREADS];
    const struct sim_setting setting = {.profile = profile_of(o),
                                        .noise = s->noise,
                                        .nodes = s->nodes,
                                        .config = s->config,
                                        .requests_a_second = s->requests_a_second,
                                        .pace = o->exact ? SIM_TICKS : SIM_LEAPS,
                                        .seed = o->seed};
    struct sim_trace trace;
    make_trace(s, o, 0, &trace);
    struct crew crew = {.study = s,
                        .subject = subject,
                        .options = o,
                        .setting = &setting,
                        .trace = &trace,
                        .sidecars = o->sidecars ? o->sidecars
                                    : o->quick  ? s->quick_sidecars
                                                : s->sidecars};
    sim_tally_init(tally, trace.length);
    for (uint32_t i = 0; i < o->threads; i++) {
        hands[i] = (struct hand){.crew = &crew};
        sim_tally_init(&hands[i].tally, trace.length);
        if (pthread_create(&hands[i].thread, NULL, work, &hands[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < o->threads; i++) {
        (void)pthread_join(hands[i].thread, NULL);
        sim_tally_add(tally, &hands[i].tally);
        sim_tally_fini(&hands[i].tally);
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
           t->requests, t->failed_safe[0] + t->failed_safe[1], t->failed_unsafe, t->told_503,
           t->cut, t->slow, t->false_moves, t->flaps, mean / (double)t->sidecars, peak / mean);
}

/* What only Davenport has. */
static void tell_more(const struct sim_tally *t)
{
    const struct {
        const char *words;
        uint64_t n;
    } more[] = {{"held", t->held},
                {"held in vain", t->hold_over},
                {"writes that waited for their region in vain", t->told_primary},
                {"requests on trial", t->trials},
                {"times in doubt of our own network", t->doubts}};
    const char *lead = "  and:";
    for (size_t i = 0; i < DP_ARRAY_LEN(more); i++) {
        if (more[i].n == 0)
            continue;
        printf("%s %" PRIu64 " %s", lead, more[i].n, more[i].words);
        lead = ",";
    }
    if (lead[0] == ',')
        printf("\n");
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

static const struct sim_study *find(const char *name)
{
    for (size_t i = 0; i < sim_n_studies; i++) {
        if (strcmp(sim_studies[i].name, name) == 0)
            return &sim_studies[i];
    }
    abort();
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
        if (i == 0) {
            tell_more(&tally);
            met = tell_goals(s, &tally);
        }
        (void)fflush(stdout);
        sim_tally_fini(&tally);
    }
    return met;
}

/* Quiet time is leapt over, or lived through: both with the same luck. */
static bool same_both_ways(const char *name, const struct options *o)
{
    const struct sim_study *s = find(name);
    struct options way = *o;
    struct sim_tally leaps, ticks;
    way.sidecars = 4;
    way.hours = 4;
    way.exact = false;
    run(s, subjects[0], &way, &leaps);
    way.exact = true;
    run(s, subjects[0], &way, &ticks);
    bool same = leaps.digest == ticks.digest && ticks.broken_leaps == 0 && leaps.leaps > 0 &&
                leaps.leaps == ticks.leaps && leaps.moves == ticks.moves;
    printf("%s: %" PRIu64 " leaps over %.1f of %.1f h lived through: %s (%" PRIu64
           " moves, %" PRIu64 " events instead of %" PRIu64 ")\n",
           name, leaps.leaps, leaps.leapt_s / 3600, way.hours * way.sidecars,
           same ? "the same decisions at the same times" : "OTHER DECISIONS", ticks.moves,
           ticks.events, leaps.events);
    sim_tally_fini(&leaps);
    sim_tally_fini(&ticks);
    return same;
}

/* The same seed gives the same decisions, whatever the number of threads. */
static bool same_twice(const struct options *o)
{
    const struct sim_study *s = find("dark-light");
    struct options two = *o;
    struct sim_tally a, b;
    two.sidecars = 5;
    two.hours = 2;
    two.exact = false;
    two.threads = 1;
    run(s, subjects[0], &two, &a);
    two.threads = 3;
    run(s, subjects[0], &two, &b);
    bool same = a.digest == b.digest && a.events == b.events && a.digest != 0;
    sim_tally_fini(&a);
    sim_tally_fini(&b);
    printf("\nthe same seed again, on three threads: %s\n",
           same ? "the same decisions" : "OTHER DECISIONS");
    return same;
}

static bool is_sound(const struct options *o)
{
    static const char *const names[] = {"dark", "dark-light", "healthy", "node"};
    bool sound = same_twice(o);
    for (size_t i = 0; i < DP_ARRAY_LEN(names); i++)
        sound = same_both_ways(names[i], o) && sound;
    return sound;
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
    "  --threads N     that run sidecars (default: one a core)\n"
    "  --exact         live through quiet time, too, instead of leaping over it\n"
    "  --report        exit 0 even if a goal is missed\n"
    "  --list          name the studies\n";

static bool take(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--only") == 0)
        o->only = value;
    else if (strcmp(name, "--sidecars") == 0)
        o->sidecars = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--threads") == 0)
        o->threads = (uint32_t)strtoul(value, NULL, 10);
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
    struct options o = {.seed = 1, .rtt_ms = 4, .threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN)};
    unsigned missed = 0, asked = 0;
    dp_log_set_fd(
        open("/dev/null", O_WRONLY | O_CLOEXEC)); /* the journal's words are not the simulation's */
    dp_log_set_level(DP_LOG_ERROR);
    if (!parse(argc, argv, &o) || o.threads == 0 || o.threads > MAX_THREADS) {
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
    bool sound = o.only || is_sound(&o);
    printf("\n%u of %u studies missed a goal\n", missed, asked);
    return !sound || (missed && !o.report);
}
