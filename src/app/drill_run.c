/* Which phase comes when. A phase is begun by a function that says which phase it is now: its own, or another where there is
 * nothing to wait for. Callbacks `enter` the next one. */
#include "app/drill_run.h"

#include "app/drill_database.h"
#include "app/drill_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLACK_WRITES 10000
#define EVENTS_MAX   256 /* as many as the proxy's journal keeps */

static void enter(struct drill *d, enum drill_phase phase);

static int severity(enum dp_drill_verdict v)
{
    switch (v) {
    case DP_DRILL_PASSED:
    case DP_DRILL_MISSED:
        return 0;
    case DP_DRILL_ABORTED:
        return 1;
    case DP_DRILL_INTERRUPTED:
        return 2;
    case DP_DRILL_FAILED:
        return 3;
    case DP_DRILL_NOT_HEALED:
        break;
    }
    return 4;
}

void drill_give_up(struct drill *d, enum dp_drill_verdict verdict, const char *why)
{
    bool first = !*d->why;
    drill_say(d, "%s", why);
    if (severity(verdict) > severity(d->verdict)) {
        d->verdict = verdict;
    }
    if (first) {
        (void)snprintf(d->why, sizeof d->why, "%s", why);
        d->ended_ms = drill_now_ms(d);
    }
    if (d->phase == DRILL_LOADING && d->start_ns) {
        if (first) {
            struct dp_drill_entry *e = drill_entry(d, "abort", "abort", NULL);
            (void)snprintf(e->detail, sizeof e->detail, "%.150s", why);
        }
        dp_conductor_stop(&d->conductor, (uint64_t)drill_now_ms(d));
    }
    if (d->phase == DRILL_LOADING && d->load) {
        dp_load_stop(d->load, verdict == DP_DRILL_INTERRUPTED);
    }
    if (d->checker) {
        dp_checker_hurry(d->checker);
    }
    drill_pump(d);
}

/* Signals ----------------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *s, int number)
{
    struct drill *d = s->data;
    (void)number;
    if (d->interrupted) {
        drill_say(d, "ending at once; the guard undoes what stands");
        _exit(dp_drill_exit_code(DP_DRILL_INTERRUPTED));
    }
    d->interrupted = true;
    drill_give_up(d, DP_DRILL_INTERRUPTED,
                  "interrupted: what was broken is undone first (once more: at once)");
    if (d->phase == DRILL_PREPARING || d->phase == DRILL_REJOINING) {
        enter(d, DRILL_CLEANING); /* which gives up what the database is at */
    }
    drill_advance(d);
}

/* Looking: does the proxy answer, and how is it? --------------------------------------------------- */

static void remember(struct drill *d, const json_t *status)
{
    const char *active = json_string_value(json_object_get(status, "active"));
    const char *version = json_string_value(json_object_get(status, "version"));
    json_int_t epoch = json_integer_value(json_object_get(status, "epoch"));
    (void)snprintf(d->active, sizeof d->active, "%s", active ? active : "");
    if (version) {
        (void)snprintf(d->version, sizeof d->version, "%s", version);
    }
    if (d->epoch == 0 && epoch > 0) {
        d->epoch = (uint64_t)epoch;
    }
}

/* Does a step ask something of the proxy that needs an operator? */
static bool needs_operator(const struct dp_drill_plan *plan)
{
    for (uint16_t i = 0; i < plan->n_steps; i++) {
        const enum dp_drill_means means = dp_drill_do_info(plan->steps[i].what)->means;
        if (means == DP_DRILL_FAULT || means == DP_DRILL_ORDER) {
            return true;
        }
    }
    return false;
}

/* Known before anything is done, not when a step is refused. A proxy that does not tell has no roles. */
static void known(struct drill *d, json_t *who, const char *why)
{
    const char *role = json_string_value(json_object_get(who, "role"));
    (void)why;
    if (role && strcmp(role, "operator") != 0 && needs_operator(d->plan)) {
        drill_give_up(d, DP_DRILL_FAILED,
                      "the token in proxy.token_file may only read; the plan's steps need one of "
                      "role operator");
    }
    enter(d, *d->why ? DRILL_CLEANING : DRILL_PREPARING);
}

static void looked(struct drill *d, json_t *status, const char *why)
{
    char text[DRILL_WHY];
    if (status) {
        remember(d, status);
        drill_ask(d, "/whoami", known);
        return;
    }
    (void)snprintf(text, sizeof text, "no proxy answers: %.280s", why);
    drill_give_up(d, DP_DRILL_FAILED, text);
    enter(d, DRILL_CLEANING);
}

/* What the proxy decided, as it comes: its journal keeps the last events only. */
static void ask_events(struct drill *d,
                       void (*answered)(struct drill *d, json_t *events, const char *why))
{
    char path[96];
    const json_t *last = json_array_get(d->events, json_array_size(d->events) - 1);
    json_int_t epoch = json_integer_value(json_object_get(last, "epoch"));
    (void)snprintf(path, sizeof path, "/events?limit=%d&since=%" PRIu64, EVENTS_MAX,
                   epoch > 0 ? (uint64_t)epoch : d->epoch);
    drill_ask(d, path, answered);
}

static void keep_events(struct drill *d, const json_t *events)
{
    if (!dp_drill_events_add(&d->events, events, EVENTS_MAX) && !d->events_missing) {
        d->events_missing = true;
        drill_say(
            d,
            "some events of the proxy's journal are missing from the result: it keeps the last %d",
            EVENTS_MAX);
    }
}

static void read_on(struct drill *d, json_t *events, const char *why)
{
    (void)why;
    d->looks = false;
    if (events) {
        keep_events(d, events);
    }
}

static void looked_again(struct drill *d, json_t *status, const char *why)
{
    (void)why; /* that it does not answer is seen by the load */
    if (!status) {
        d->looks = false;
        return;
    }
    remember(d, status);
    ask_events(d, read_on);
}

/* The database -------------------------------------------------------------------------------------- */

static void prepared(void *ctx, enum dp_err err, const char *why)
{
    struct drill *d = ctx;
    char text[DRILL_WHY];
    if (err != DP_OK && !*d->why) {
        (void)snprintf(text, sizeof text, "the database could not be prepared: %.260s", why);
        drill_give_up(d, DP_DRILL_FAILED, text);
    }
    enter(d, *d->why ? DRILL_CLEANING : DRILL_LOADING);
}

static void found(void *ctx, size_t region, bool own)
{
    struct drill *d = ctx;
    dp_guard_prepared(&d->guard, (uint16_t)region, own);
}

static enum drill_phase prepare(struct drill *d)
{
    const struct dp_drill_plan *plan = d->plan;
    dp_drill_regions(plan, d->regions);
    struct dp_database_options options = dp_drill_database_options(plan, d->regions, d->run);
    options.loop = &d->loop;
    options.found = found;
    options.found_ctx = d;
    if (!dp_guard_prepares(&d->guard)) {
        drill_give_up(d, DP_DRILL_FAILED, "the drill's guard is gone");
        return DRILL_CLEANING;
    }
    if (dp_database_new(&options, &d->database) != DP_OK) {
        drill_give_up(d, DP_DRILL_FAILED, "out of memory");
        return DRILL_CLEANING;
    }
    drill_say(d, "preparing the database %s in %u regions", plan->database,
              (unsigned)plan->n_regions);
    dp_database_prepare(d->database, prepared, d);
    return DRILL_PREPARING;
}

static void rejoined(void *ctx, enum dp_err err, const char *why)
{
    struct drill *d = ctx;
    if (err != DP_OK) {
        drill_say(d, "replication could not be begun anew: %s",
                  why); /* the checker tells what came of it */
    }
    enter(d, DRILL_CHECKING);
}

/* The load ------------------------------------------------------------------------------------------ */

static void load_begun(void *ctx, uint64_t start_ns)
{
    struct drill *d = ctx;
    int64_t late_ms = (int64_t)(uv_hrtime() - start_ns) / (int64_t)DP_NS_PER_MS;
    d->start_ns = start_ns;
    d->start_wall_ms = dp_clock_wall_ms(&dp_clock_system) - late_ms;
    struct dp_drill_entry *e = drill_entry(d, "phase", "load", NULL);
    e->at_ms = 0;
    e->until_ms = (double)d->plan->load.seconds * 1000;
    if (*d->why) {
        dp_conductor_stop(&d->conductor, 0);
    }
    drill_pump(d);
}

static void load_ended(void *ctx, const struct dp_load_end *end)
{
    struct drill *d = ctx;
    dp_judge_request(&d->judge, end);
}

static void load_ticked(void *ctx, const struct dp_load_progress *now)
{
    struct drill *d = ctx;
    char why[DP_JUDGE_WHY];
    drill_show(d, now);
    if (d->start_ns && !*d->why && dp_judge_second(&d->judge, &now->last, why)) {
        drill_give_up(d, DP_DRILL_ABORTED, why);
    }
    if (d->plan->proxy_admin && !d->looks && !d->load_done) {
        d->looks = true;
        drill_ask(d, "/status", looked_again);
    }
}

static void load_done(void *ctx, enum dp_err err, const char *why)
{
    struct drill *d = ctx;
    char text[DRILL_WHY];
    d->load_done = true;
    if (err != DP_OK) {
        (void)snprintf(text, sizeof text, "the load: %.280s", why);
        drill_give_up(d, DP_DRILL_FAILED, text);
    }
    if (d->start_ns == 0) {
        dp_conductor_stop(&d->conductor, 0);
    } else if (!d->conductor.stopped) {
        dp_conductor_stop(&d->conductor, (uint64_t)drill_now_ms(d));
    }
    drill_pump(d);
    drill_advance(d);
}

/* As many as the plan can order, with a bulk's rows each of its own. */
static uint32_t writes_of(const struct dp_drill_load *load)
{
    uint64_t all = 0;
    for (enum dp_load_kind k = 0; k < DP_LOAD_TARGET; k++) {
        all += load->weights[k];
    }
    uint64_t writes = (uint64_t)load->weights[DP_LOAD_PUT] + load->weights[DP_LOAD_POST] +
                      load->weights[DP_LOAD_ATTACHMENT] +
                      (uint64_t)DP_LOAD_BULK_ROWS * load->weights[DP_LOAD_BULK];
    /* the kinds are drawn, so some more than their share */
    uint64_t n = load->rate * load->seconds * writes / (all ? all : 1) * 5 / 4 + load->documents +
                 SLACK_WRITES;
    return n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2;
}

static enum dp_err make_load(struct drill *d, char why[DP_LOAD_WHY])
{
    const struct dp_drill_plan *plan = d->plan;
    const struct dp_drill_load *l = &plan->load;
    const double rate = (double)l->rate;
    struct dp_load_stage stages[2];
    size_t n = 0;
    if (l->ramp_s > 0) {
        stages[n++] =
            (struct dp_load_stage){.from = rate / 10, .to = rate, .seconds = (double)l->ramp_s};
    }
    stages[n++] = (struct dp_load_stage){
        .from = rate, .to = rate, .seconds = (double)(l->seconds - l->ramp_s)};
    const struct dp_ledger_options book = {.run = d->run,
                                           .slots = (uint32_t)l->documents,
                                           .max_writes = writes_of(l),
                                           .max_rows = writes_of(l)};
    struct dp_load_config config;
    dp_load_config_init(&config);
    config.url = plan->proxy_url;
    config.username = plan->username;
    config.password = plan->password;
    config.stages = stages;
    config.n_stages = n;
    config.connections = (unsigned)l->connections;
    config.timeout_ms = (uint32_t)l->timeout_ms;
    d->origin_ns = uv_hrtime();
    config.origin_ns = d->origin_ns;
    config.region_header = l->region_header;
    config.database = plan->database;
    config.documents = (unsigned)l->documents;
    config.longpoll = (unsigned)l->longpoll;
    config.continuous = (unsigned)l->continuous;
    memcpy(config.weights, l->weights, sizeof config.weights);
    static const struct dp_load_events events = {
        .begun = load_begun, .ended = load_ended, .tick = load_ticked, .done = load_done};
    d->ledger = dp_ledger_new(&book);
    if (!d->ledger) {
        (void)snprintf(why, DP_LOAD_WHY, "out of memory");
        return DP_ENOMEM;
    }
    return dp_load_new(&d->loop, &config, d->ledger, &events, d, &d->load, why);
}

static enum drill_phase load(struct drill *d)
{
    char why[DP_LOAD_WHY] = "";
    char text[DRILL_WHY];
    dp_judge_init(&d->judge, d->plan);
    dp_conductor_init(&d->conductor, d->plan);
    if (make_load(d, why) != DP_OK) {
        (void)snprintf(text, sizeof text, "the load: %.280s", why);
        drill_give_up(d, DP_DRILL_FAILED, text);
        return DRILL_CLEANING;
    }
    drill_say(d, "loading %s with %" PRIu64 " requests/s for %" PRIu64 " s", d->plan->proxy_url,
              d->plan->load.rate, d->plan->load.seconds);
    dp_load_start(d->load);
    return DRILL_LOADING;
}

/* The checker --------------------------------------------------------------------------------------- */

static void checking(void *ctx, const char *phase, const char *text)
{
    struct drill *d = ctx;
    (void)text;
    if (d->checking != phase) {
        d->checking = phase;
        drill_say(d, "checking: %s", phase);
    }
}

static void checked(void *ctx, enum dp_err err)
{
    struct drill *d = ctx;
    d->checker_json = err == DP_OK ? dp_checker_json(d->checker) : NULL;
    if (!d->checker_json && !*d->why) {
        drill_give_up(d, DP_DRILL_FAILED, "the checker: out of memory");
    }
    enter(d, DRILL_TELLING);
}

static void rejoined_again(void *ctx, enum dp_err err, const char *why)
{
    if (err != DP_OK) {
        drill_say(ctx, "replication could not be begun anew: %s", why);
    }
}

/* A job that looked while its region was away looks again only after a while, and may have stopped for good. */
static void stalled(void *ctx)
{
    struct drill *d = ctx;
    if (d->plan->replicate) {
        drill_say(d, "checking: nothing moves, so the replications are begun anew");
        dp_database_rejoin(d->database, rejoined_again, d);
    }
}

static enum drill_phase check(struct drill *d)
{
    const struct dp_checker_options options = {
        .loop = &d->loop,
        .regions = d->regions,
        .n_regions = d->plan->n_regions,
        .database = d->plan->database,
        .ledger = d->ledger,
        .alone = dp_database_alone(d->database),
        .stalled = stalled,
        .converge_ms = (uint32_t)d->plan->converge_s * 1000,
    };
    if (dp_checker_start(&options, checking, checked, d, &d->checker) != DP_OK) {
        drill_give_up(d, DP_DRILL_FAILED, "the checker: out of memory");
        return DRILL_TELLING;
    }
    return DRILL_CHECKING;
}

/* What the proxy decided ---------------------------------------------------------------------------- */

static void told(struct drill *d, json_t *events, const char *why)
{
    if (events) {
        keep_events(d, events);
    } else {
        drill_say(d, "the proxy's journal is missing from the result: %s", why);
    }
    enter(d, DRILL_CLEANING);
}

static enum drill_phase ask_journal(struct drill *d)
{
    if (d->check_entry) {
        d->check_entry->until_ms = drill_now_ms(d);
    }
    if (!d->plan->proxy_admin) {
        return DRILL_CLEANING;
    }
    ask_events(d, told);
    return DRILL_TELLING;
}

/* The end ------------------------------------------------------------------------------------------- */

static void dropped(void *ctx, enum dp_err err, const char *why)
{
    struct drill *d = ctx;
    if (err != DP_OK) {
        drill_say(d, "the database %s could not be dropped: %s", d->plan->database, why);
    }
    dp_guard_tidied(&d->guard);
    enter(d, DRILL_OVER);
}

static enum drill_phase clean(struct drill *d)
{
    if (!d->database) {
        return DRILL_OVER;
    }
    dp_database_drop(d->database, dropped, d);
    return DRILL_CLEANING;
}

static void closed(void *ctx)
{
    (void)ctx; /* the loop ends when nothing is left on it */
}

static void close_all(struct drill *d)
{
    dp_checker_destroy(d->checker, closed, d);
    d->checker = NULL;
    if (d->load) {
        dp_load_destroy(d->load, closed, d);
        d->load = NULL;
    }
    if (d->database) {
        dp_database_destroy(d->database, closed, d);
        d->database = NULL;
    }
    uv_close((uv_handle_t *)&d->timer, NULL);
    dp_cli_signals_close(&d->signals);
}

static enum drill_phase look(struct drill *d)
{
    if (!d->plan->proxy_admin) {
        return DRILL_PREPARING;
    }
    drill_ask(d, "/status", looked);
    return DRILL_LOOKING;
}

static enum drill_phase rejoin(struct drill *d)
{
    drill_say(d, "waiting for the regions to agree, for %" PRIu64 " s at most",
              d->plan->converge_s);
    d->check_entry = drill_entry(d, "phase", "check", NULL);
    dp_database_rejoin(d->database, rejoined, d);
    return DRILL_REJOINING;
}

static enum drill_phase begin(struct drill *d, enum drill_phase phase)
{
    switch (phase) {
    case DRILL_LOOKING:
        return look(d);
    case DRILL_PREPARING:
        return prepare(d);
    case DRILL_LOADING:
        return load(d);
    case DRILL_REJOINING:
        return rejoin(d);
    case DRILL_CHECKING:
        return check(d);
    case DRILL_TELLING:
        return ask_journal(d);
    case DRILL_CLEANING:
        return clean(d);
    case DRILL_OVER:
        close_all(d);
        break;
    }
    return phase;
}

static void enter(struct drill *d, enum drill_phase phase)
{
    do {
        d->phase = phase;
        phase = begin(d, phase);
    } while (phase != d->phase);
}

/* NAN: no read met a region whose traffic had come back, or the ledger, which keeps the first stale reads only, lacks some. */
static double stale_after_return(const struct drill *d)
{
    size_t n;
    double all = 0;
    struct dp_ledger_counts counts;
    const struct dp_stale_read *reads = dp_ledger_stale(d->ledger, &n);
    dp_ledger_count(d->ledger, &counts);
    for (size_t i = 0; i < n; i++) {
        const char *name = reads[i].region == DP_LEDGER_NO_REGION
                               ? NULL
                               : dp_load_region(d->load, reads[i].region);
        all += name && dp_judge_is_back(&d->judge, dp_span_str(name),
                                        d->origin_ns + reads[i].now_ms * DP_NS_PER_MS);
    }
    return counts.stale_reads > n || !dp_judge_saw_return(&d->judge) ? NAN : all;
}

void drill_advance(struct drill *d)
{
    if (d->phase != DRILL_LOADING || !d->load_done || !dp_conductor_is_over(&d->conductor) ||
        d->jobs > 0) {
        return;
    }
    d->load_json = dp_load_json(d->load);
    d->stale_after_return = stale_after_return(d);
    /* A region that could not be brought back can't be asked either. */
    bool checks = d->start_ns != 0 && severity(d->verdict) != severity(DP_DRILL_INTERRUPTED) &&
                  d->verdict != DP_DRILL_NOT_HEALED;
    enter(d, checks ? DRILL_REJOINING : d->start_ns ? DRILL_TELLING : DRILL_CLEANING);
}

/* Life ---------------------------------------------------------------------------------------------- */

/* -1: errno says why. What an earlier drill left there is not this one's: should it die, its folder holds no result. */
static int open_log(const char *folder)
{
    static const char *const results[] = {"result.json", "report.html"};
    char path[4096];
    for (size_t i = 0; i < DP_ARRAY_LEN(results); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, results[i]);
        if (unlink(path) != 0 && errno != ENOENT) {
            return -1;
        }
    }
    if (snprintf(path, sizeof path, "%s/hooks.log", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
}

static void set_up_loop(struct drill *d)
{
    if (uv_loop_init(&d->loop) != 0 || uv_timer_init(&d->loop, &d->timer) != 0 ||
        !dp_cli_signals_watch(&d->signals, &d->loop, on_signal, d, true)) {
        abort();
    }
    d->timer.data = d;
}

int dp_drill_run(const struct dp_plan_file *file, const struct dp_drill_options *options)
{
    struct drill *d = calloc(1, sizeof *d);
    int code = dp_drill_exit_code(DP_DRILL_FAILED);
    if (!d) {
        return code;
    }
    d->file = file;
    d->plan = &file->plan;
    d->options = options;
    d->start_wall_ms = dp_clock_wall_ms(&dp_clock_system);
    (void)snprintf(d->run, sizeof d->run, "%" PRIx64 "x%x", (uint64_t)d->start_wall_ms,
                   (unsigned)getpid());
    (void)snprintf(d->reason, sizeof d->reason, "drill %.100s", d->plan->name);
    d->log_fd = open_log(options->folder);
    if (d->log_fd < 0) {
        drill_say(d, "the folder %s can't be used: %s", options->folder, strerror(errno));
        goto cleanup;
    }
    /* Before there are threads: the guard is a fork. */
    struct dp_drill_tidy tidy = {.plan = d->plan, .run = d->run};
    const struct dp_guard_duty duty = {
        .hook_s = d->plan->hook_s, .log_fd = d->log_fd, .tidy = dp_drill_tidy, .ctx = &tidy};
    if (!dp_guard_start(&d->guard, &duty)) {
        drill_say(d, "no guard can be started: %s", strerror(errno));
        goto cleanup;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* whoever reads our words may go; the drill does not */
    set_up_loop(d);
    enter(d, DRILL_LOOKING);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    /* What could not be undone is left to nobody: the guard would meet the same. */
    dp_guard_end(&d->guard);
    code = drill_tell(d);
    (void)uv_loop_close(&d->loop);
cleanup:
    if (d->log_fd >= 0) {
        (void)close(d->log_fd);
    }
    dp_ledger_free(d->ledger);
    json_decref(d->load_json);
    json_decref(d->checker_json);
    json_decref(d->events);
    free(d);
    return code;
}
