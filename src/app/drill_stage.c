/* Steps: each is an act on libuv's pool, held by the guard from before its beginning until after its undo. */
#include "app/admin_client.h"
#include "app/drill_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1e6

double drill_now_ms(const struct drill *d)
{
    return d->start_ns ? (double)(int64_t)(uv_hrtime() - d->start_ns) / NS_PER_MS : 0;
}

static uint64_t whole_ms(const struct drill *d)
{
    double now = drill_now_ms(d);
    return now > 0 ? (uint64_t)now : 0;
}

struct dp_drill_entry *drill_entry(struct drill *d, const char *what, const char *name,
                                   const char *region)
{
    static struct dp_drill_entry beyond; /* there is room for all that a plan can hold */
    struct dp_drill_entry *e =
        d->n_entries < DP_DRILL_ENTRIES ? &d->entries[d->n_entries++] : &beyond;
    *e = (struct dp_drill_entry){
        .at_ms = drill_now_ms(d), .until_ms = -1, .what = what, .name = name, .region = region};
    return e;
}

/* Acts -------------------------------------------------------------------------------------------- */

struct job {
    uv_work_t work;
    struct drill *drill;
    struct dp_conductor_act of;
    struct dp_act act;
    bool good;
    char why[DP_ACT_WHY];
};

static const char *region_of(const struct drill *d, const struct dp_drill_step *s)
{
    return s->region == DP_DRILL_NO_REGION ? NULL : d->plan->regions[s->region].name;
}

/* Until when the step stands by the plan. */
static uint64_t lasts_ms(const struct drill *d, const struct dp_drill_step *s)
{
    return s->for_ms == DP_DRILL_TO_END ? d->plan->load.seconds * 1000 - s->at_ms : s->for_ms;
}

static void began(struct drill *d, const struct job *job)
{
    const struct dp_drill_step *s = &d->plan->steps[job->of.step];
    dp_guard_begun(&d->guard, job->of.step);
    struct dp_drill_entry *e = d->of_step[job->of.step];
    if (job->good) {
        drill_say(d, "%s", s->name);
        return;
    }
    (void)snprintf(e->detail, sizeof e->detail, "failed: %.140s", job->why);
    char why[DRILL_WHY];
    (void)snprintf(why, sizeof why, "%.100s: %.200s", s->name, job->why);
    drill_give_up(d, DP_DRILL_FAILED, why);
}

static void undone(struct drill *d, const struct job *job)
{
    uint16_t step = job->of.step;
    const struct dp_drill_step *s = &d->plan->steps[step];
    if (job->good) {
        dp_guard_release(&d->guard, step);
        dp_judge_undone(&d->judge, step, uv_hrtime());
        d->of_step[step]->until_ms = drill_now_ms(d);
        drill_say(d, "%s: undone", s->name);
        return;
    }
    drill_say(d, "%s: not undone yet: %s", s->name, job->why);
    if (d->conductor.steps[step].state == DP_STEP_STUCK) {
        struct dp_drill_entry *e = drill_entry(d, "heal", s->name, region_of(d, s));
        (void)snprintf(e->detail, sizeof e->detail, "NOT undone: %.140s", job->why);
        char why[DRILL_WHY];
        (void)snprintf(why, sizeof why, "%.100s could not be undone: %.180s", s->name, job->why);
        drill_give_up(d, DP_DRILL_NOT_HEALED, why);
    }
}

static void finish(struct job *job)
{
    struct drill *d = job->drill;
    dp_conductor_done(&d->conductor, &job->of, job->good, whole_ms(d));
    if (job->of.undo) {
        undone(d, job);
    } else {
        began(d, job);
    }
    dp_act_fini(&job->act);
    free(job);
}

static void work(uv_work_t *w)
{
    struct job *job = DP_CONTAINER_OF(w, struct job, work);
    struct drill *d = job->drill;
    job->good = dp_act_run(&job->act, d->plan->hook_s, d->log_fd,
                           job->of.undo ? -1 : d->guard.life_fd, job->why);
}

static void worked(uv_work_t *w, int status)
{
    struct job *job = DP_CONTAINER_OF(w, struct job, work);
    struct drill *d = job->drill;
    (void)status; /* nobody cancels */
    d->jobs--;
    finish(job);
    drill_pump(d);
    drill_advance(d);
}

/* The step's undo is in the guard's hands before the step begins. */
static bool hold(struct drill *d, const struct dp_conductor_act *of,
                 const struct dp_act_context *context)
{
    struct dp_act undo;
    bool good = true;
    if (dp_act_of(d->plan, &d->plan->steps[of->step], true, context, &undo)) {
        good = dp_guard_hold(&d->guard, of->step, &undo);
    }
    dp_act_fini(&undo);
    return good;
}

static void carry_out(struct drill *d, const struct dp_conductor_act *of)
{
    const struct dp_drill_step *s = &d->plan->steps[of->step];
    char *before = d->active_before[of->step];
    if (!of->undo) {
        (void)snprintf(before, DRILL_ACTIVE, "%s", d->active);
    }
    const struct dp_act_context context = {
        .active = *before ? before : NULL, .reason = d->reason, .for_ms = lasts_ms(d, s)};
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        abort(); /* the guard undoes what stands */
    }
    job->drill = d;
    job->of = *of;
    if (!of->undo) {
        bool order = dp_drill_do_info(s->what)->means == DP_DRILL_ORDER;
        d->of_step[of->step] = drill_entry(d, order ? "order" : "fault", s->name, region_of(d, s));
        dp_judge_began(&d->judge, of->step, uv_hrtime());
        if (!hold(d, of, &context)) {
            (void)snprintf(job->why, sizeof job->why, "the drill's guard is gone");
            finish(job);
            return;
        }
    }
    if (!dp_act_of(d->plan, s, of->undo, &context, &job->act)) {
        job->good = true; /* a command without an undo */
        finish(job);
        return;
    }
    if (uv_queue_work(&d->loop, &job->work, work, worked) == 0) {
        d->jobs++;
    } else {
        (void)snprintf(job->why, sizeof job->why, "out of memory");
        finish(job);
    }
}

static void on_timer(uv_timer_t *t)
{
    struct drill *d = t->data;
    drill_pump(d);
    drill_advance(d);
}

void drill_pump(struct drill *d)
{
    struct dp_conductor_act act;
    if (d->start_ns == 0 || d->phase != DRILL_LOADING) {
        return;
    }
    uint64_t end_ms = d->plan->load.seconds * 1000;
    if (whole_ms(d) >= end_ms && !d->conductor.stopped) {
        dp_conductor_stop(&d->conductor, whole_ms(d));
    }
    while (dp_conductor_next(&d->conductor, whole_ms(d), &act)) {
        carry_out(d, &act);
    }
    uint64_t wake = dp_conductor_wake_ms(&d->conductor);
    if (!d->conductor.stopped && end_ms < wake) {
        wake = end_ms;
    }
    (void)uv_timer_stop(&d->timer);
    if (wake != DP_CONDUCTOR_NEVER) {
        double left = (double)wake - drill_now_ms(d);
        (void)uv_timer_start(&d->timer, on_timer, left > 0 ? (uint64_t)left + 1 : 0, 0);
    }
}

/* Questions --------------------------------------------------------------------------------------- */

struct question {
    uv_work_t work;
    struct drill *drill;
    struct dp_text answer;
    uint16_t status;
    bool good;
    char why[DP_CLIENT_WHY];
    char path[96];
    void (*answered)(struct drill *d, json_t *json, const char *why);
};

static void question_work(uv_work_t *w)
{
    struct question *q = DP_CONTAINER_OF(w, struct question, work);
    const struct dp_drill_plan *plan = q->drill->plan;
    const struct dp_admin_server server = {.addr = plan->proxy_admin,
                                           .token_file = plan->admin_token_file,
                                           .ca_file = plan->admin_ca_file};
    q->good = dp_admin_call(&server, q->path, NULL, &q->status, &q->answer, q->why) == DP_OK;
    if (q->good && q->status != 200) {
        (void)snprintf(q->why, sizeof q->why, "%.128s answers %u", plan->proxy_admin,
                       (unsigned)q->status);
        q->good = false;
    }
}

static void question_done(uv_work_t *w, int status)
{
    struct question *q = DP_CONTAINER_OF(w, struct question, work);
    struct drill *d = q->drill;
    (void)status;
    d->jobs--;
    json_t *json = q->good ? json_loadb(dp_text_str(&q->answer), q->answer.n, 0, NULL) : NULL;
    if (q->good && !json) {
        (void)snprintf(q->why, sizeof q->why, "%.128s: what answers there is no davenport",
                       d->plan->proxy_admin);
    }
    q->answered(d, json, q->why);
    json_decref(json);
    dp_text_fini(&q->answer);
    free(q);
    drill_advance(d);
}

void drill_ask(struct drill *d, const char *path,
               void (*answered)(struct drill *d, json_t *json, const char *why))
{
    struct question *q = calloc(1, sizeof *q);
    if (!q) {
        abort(); /* the guard undoes what stands */
    }
    q->drill = d;
    q->answered = answered;
    (void)snprintf(q->path, sizeof q->path, "%s", path);
    if (uv_queue_work(&d->loop, &q->work, question_work, question_done) != 0) {
        abort();
    }
    d->jobs++;
}
