/* Reroutes are watched answer by answer, limits second by second. */
#include "davenport/drill/judge.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1e6

void dp_judge_init(struct dp_judge *j, const struct dp_drill_plan *plan)
{
    memset(j, 0, sizeof *j);
    j->plan = plan;
    assert(plan->abort.window_s <= DP_ARRAY_LEN(j->window));
}

static bool serves(const struct dp_judge *j, uint16_t region, uint64_t now_ns)
{
    return j->answered_ns[region] != 0 && j->answered_ns[region] + DP_JUDGE_SERVED_NS >= now_ns;
}

static bool others_serve(const struct dp_judge *j, uint16_t region, uint64_t now_ns)
{
    for (uint16_t i = 0; i < j->plan->n_regions; i++) {
        if (i != region && serves(j, i, now_ns)) {
            return true;
        }
    }
    return false;
}

void dp_judge_began(struct dp_judge *j, uint16_t step, uint64_t now_ns)
{
    const struct dp_drill_step *s = &j->plan->steps[step];
    struct dp_judge_step *of = &j->steps[step];
    of->began_ns = now_ns;
    if (!dp_drill_do_info(s->what)->moves) {
        return;
    }
    bool there = serves(j, s->region, now_ns);
    bool moves = s->what == DP_DRILL_SWITCH ? !there && others_serve(j, s->region, now_ns) : there;
    if (moves) {
        of->reroute = DP_REROUTE_WAITING;
    }
}

void dp_judge_undone(struct dp_judge *j, uint16_t step, uint64_t now_ns)
{
    j->steps[step].ended_ns = now_ns;
}

/* Was a request due while the step stood? */
static bool within(const struct dp_judge_step *s, uint64_t due_ns)
{
    return s->began_ns != 0 && due_ns >= s->began_ns && (s->ended_ns == 0 || due_ns < s->ended_ns);
}

static uint16_t region_of(const struct dp_drill_plan *plan, struct dp_span name)
{
    for (uint16_t i = 0; i < plan->n_regions; i++) {
        if (dp_span_eq(name, dp_span_str(plan->regions[i].name))) {
            return i;
        }
    }
    return DP_DRILL_NO_REGION;
}

/* Was the traffic of `region` elsewhere because of the step, and may it be there again at this time? */
static bool is_back(const struct dp_judge *j, uint16_t step, uint16_t region, uint64_t at_ns)
{
    const struct dp_drill_step *s = &j->plan->steps[step];
    uint64_t ended_ns = j->steps[step].ended_ns;
    return s->region != DP_DRILL_NO_REGION && ended_ns != 0 && ended_ns <= at_ns &&
           (region == s->region) != (s->what == DP_DRILL_SWITCH);
}

/* A good answer of `region` to what was due while the step stood: has traffic found its way? */
static void look(const struct dp_judge *j, uint16_t step, struct dp_judge_step *of, uint16_t region,
                 uint64_t done_ns)
{
    const struct dp_drill_step *s = &j->plan->steps[step];
    bool there = region == s->region;
    if (of->reroute == DP_REROUTE_WAITING && there == (s->what == DP_DRILL_SWITCH)) {
        of->reroute = DP_REROUTE_DONE;
        of->reroute_ns = done_ns - of->began_ns;
    }
}

void dp_judge_request(struct dp_judge *j, const struct dp_load_end *end)
{
    uint16_t region = end->region.n ? region_of(j->plan, end->region) : DP_DRILL_NO_REGION;
    bool good = end->failure == DP_LOAD_FAILED_NONE;
    bool named = good && region != DP_DRILL_NO_REGION;
    bool faulty = false;
    for (uint16_t i = 0; i < j->plan->n_steps; i++) {
        if (within(&j->steps[i], end->due_ns)) {
            faulty = true;
            if (named) {
                look(j, i, &j->steps[i], region, end->done_ns);
            }
        }
        if (named && end->kind == DP_LOAD_GET && is_back(j, i, region, end->done_ns)) {
            j->steps[i].returned = true;
        }
    }
    if (faulty && end->failure != DP_LOAD_FAILED_STOPPED) {
        dp_histogram_add(&j->fault, end->done_ns - end->due_ns);
    }
    if (named && end->done_ns > j->answered_ns[region]) {
        j->answered_ns[region] = end->done_ns;
    }
}

static bool too_many_failed(const struct dp_judge *j, char why[DP_JUDGE_WHY])
{
    const struct dp_drill_abort *limit = &j->plan->abort;
    uint64_t ended = 0;
    uint64_t failed = 0;
    uint64_t n = j->n_seconds < limit->window_s ? j->n_seconds : limit->window_s;
    for (uint64_t i = 0; i < n; i++) {
        ended += j->window[(j->n_seconds - 1 - i) % DP_ARRAY_LEN(j->window)].ended;
        failed += j->window[(j->n_seconds - 1 - i) % DP_ARRAY_LEN(j->window)].failed;
    }
    if (limit->failed_percent < 0 || ended < DP_JUDGE_LEAST ||
        (double)failed * 100 <= limit->failed_percent * (double)ended) {
        return false;
    }
    (void)snprintf(why, DP_JUDGE_WHY, "%.3g %% of the requests of %llu s failed (limit %.3g %%)",
                   (double)failed * 100 / (double)ended, (unsigned long long)n,
                   limit->failed_percent);
    return true;
}

static bool too_slow(const struct dp_judge *j, char why[DP_JUDGE_WHY])
{
    const struct dp_drill_abort *limit = &j->plan->abort;
    double least = INFINITY;
    if (limit->p99_ms < 0 || j->n_seconds < limit->window_s) {
        return false;
    }
    for (uint64_t i = 0; i < limit->window_s; i++) {
        double p99 =
            (double)j->window[(j->n_seconds - 1 - i) % DP_ARRAY_LEN(j->window)].p99_ns / NS_PER_MS;
        least = p99 < least ? p99 : least;
    }
    if (least <= limit->p99_ms) {
        return false;
    }
    (void)snprintf(why, DP_JUDGE_WHY, "p99 was at least %.6g ms for %llu s (limit %.6g ms)", least,
                   (unsigned long long)limit->window_s, limit->p99_ms);
    return true;
}

bool dp_judge_second(struct dp_judge *j, const struct dp_load_second *last, char why[DP_JUDGE_WHY])
{
    j->window[j->n_seconds++ % DP_ARRAY_LEN(j->window)] = (struct dp_judge_second){
        .ended = (uint64_t)last->ok + last->failed, .failed = last->failed, .p99_ns = last->p99_ns};
    return too_many_failed(j, why) || too_slow(j, why);
}

double dp_judge_reroute_ms(const struct dp_judge *j)
{
    double longest = NAN;
    for (uint16_t i = 0; i < j->plan->n_steps; i++) {
        const struct dp_judge_step *s = &j->steps[i];
        if (s->reroute == DP_REROUTE_WAITING) {
            return NAN;
        }
        if (s->reroute == DP_REROUTE_DONE) {
            longest = fmax((double)s->reroute_ns / NS_PER_MS,
                           longest); /* of a number and NAN: the number */
        }
    }
    return longest;
}

double dp_judge_p99_fault_ms(const struct dp_judge *j)
{
    return j->fault.count ? (double)dp_histogram_percentile(&j->fault, 99) / NS_PER_MS : NAN;
}

bool dp_judge_is_back(const struct dp_judge *j, struct dp_span region, uint64_t at_ns)
{
    uint16_t of = region_of(j->plan, region);
    for (uint16_t i = 0; of != DP_DRILL_NO_REGION && i < j->plan->n_steps; i++) {
        if (is_back(j, i, of, at_ns)) {
            return true;
        }
    }
    return false;
}

bool dp_judge_saw_return(const struct dp_judge *j)
{
    for (uint16_t i = 0; i < j->plan->n_steps; i++) {
        if (j->steps[i].returned) {
            return true;
        }
    }
    return false;
}

size_t dp_judge_verdicts(const struct dp_drill_plan *plan,
                         const double measured[DP_OBJECTIVE_COUNT],
                         struct dp_judgement out[DP_OBJECTIVE_COUNT], size_t *missed)
{
    size_t n = 0;
    *missed = 0;
    for (enum dp_drill_objective o = 0; o < DP_OBJECTIVE_COUNT; o++) {
        if (plan->objectives[o] < 0) {
            continue;
        }
        /* NAN compares as false: what was not measured is missed */
        bool ok = measured[o] <= plan->objectives[o];
        out[n++] = (struct dp_judgement){
            .objective = o, .wanted = plan->objectives[o], .measured = measured[o], .ok = ok};
        *missed += !ok;
    }
    return n;
}
