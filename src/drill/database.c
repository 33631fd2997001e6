/* The drill's database: a list of steps, carried out one after the other. A step asks one region one thing; its answer says whether
 * the next one comes, the same one again a little later, or the end. */
#include "davenport/drill/database.h"

#include "davenport/client/fetch.h"
#include "davenport/couch/replica.h"
#include "davenport/drill/ledger.h"

#include "drill/ask.h"
#include "drill/leaves.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <uv.h>

#define AGAIN_MS     200
#define ANSWER_BYTES (1u << 20)
#define PATH_BYTES   2048
#define WHY_BYTES    512
#define NAME_BYTES   240
#define DROP_TRIES   5
#define PAIRS_MAX    (DP_DRILL_REGIONS_MAX * (DP_DRILL_REGIONS_MAX - 1))
/* a pair's job: asked for, deleted, made; a region's: made, its _replicator, two designs, two waits, two uses */
#define STEPS_MAX (3 * PAIRS_MAX + 8 * DP_DRILL_REGIONS_MAX)

enum step_kind {
    STEP_MAKE,       /* PUT /{db} */
    STEP_REPLICATOR, /* PUT /_replicator, where a job found none */
    STEP_JOB,        /* PUT /_replicator/{job} */
    STEP_FIND_JOB,   /* GET of it: its revision */
    STEP_END_JOB,    /* DELETE of it */
    STEP_VIEW,       /* PUT of the design document */
    STEP_INDEX,      /* POST _index */
    STEP_HAS_VIEW,   /* until it is there */
    STEP_HAS_INDEX,
    STEP_USE_VIEW, /* so that it is built before the load asks */
    STEP_USE_INDEX,
    STEP_DROP /* DELETE /{db} */
};

struct step {
    enum step_kind kind;
    size_t region, peer; /* peer: of a job */
};

struct dp_database {
    struct dp_database_options opt;
    char path[3 * NAME_BYTES + 2]; /* "/name", encoded */
    struct dp_fetcher *fetcher;
    struct dp_fetch *fetch;
    uv_timer_t timer;
    struct step steps[STEPS_MAX];
    size_t n_steps, at;
    bool made[DP_DRILL_REGIONS_MAX];
    bool dropping;
    unsigned round;          /* how often the replications have begun */
    unsigned tries;          /* of this step */
    char rev[DP_LEDGER_REV]; /* of the job that was found; "": there is none */
    uint64_t end_ms;
    dp_database_done done; /* of the last call */
    void *ctx;
    enum dp_err err;
    char why[WHY_BYTES];
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void run_step(struct dp_database *d);

static uint64_t now_ms(const struct dp_database *d)
{
    return uv_now(d->opt.loop);
}

/* ---- what is asked ---- */

static void add(struct dp_database *d, enum step_kind kind, size_t region, size_t peer)
{
    assert(d->n_steps < STEPS_MAX);
    d->steps[d->n_steps++] = (struct step){kind, region, peer};
}

static const struct dp_drill_region *region_of(const struct dp_database *d, const struct step *s)
{
    return &d->opt.regions[s->region];
}

static void job_path(const struct dp_database *d, const struct step *s, char *out, size_t cap)
{
    char id[NAME_BYTES], encoded[3 * NAME_BYTES];
    (void)snprintf(id, sizeof(id), "drill-%s-%.80s-%.80s", d->opt.run, region_of(d, s)->name,
                   d->opt.regions[s->peer].name);
    if (!dp_replica_encode(id, encoded, sizeof(encoded)))
        encoded[0] = '\0'; /* does not come: the room is three times an id's */
    (void)snprintf(out, cap, "/_replicator/%s", encoded);
}

static const char *step_method(const struct step *s)
{
    switch (s->kind) {
    case STEP_MAKE:
    case STEP_REPLICATOR:
    case STEP_JOB:
    case STEP_VIEW:
        return "PUT";
    case STEP_INDEX:
    case STEP_USE_INDEX:
        return "POST";
    case STEP_END_JOB:
    case STEP_DROP:
        return "DELETE";
    case STEP_FIND_JOB:
    case STEP_HAS_VIEW:
    case STEP_HAS_INDEX:
    case STEP_USE_VIEW:
        break;
    }
    return "GET";
}

static void step_path(const struct dp_database *d, const struct step *s, char out[PATH_BYTES])
{
    const char *rest = "";
    switch (s->kind) {
    case STEP_REPLICATOR:
        (void)snprintf(out, PATH_BYTES, "/_replicator");
        return;
    case STEP_JOB:
    case STEP_FIND_JOB:
        job_path(d, s, out, PATH_BYTES);
        return;
    case STEP_END_JOB: {
        job_path(d, s, out, PATH_BYTES);
        size_t n = strlen(out);
        (void)snprintf(out + n, PATH_BYTES - n, "?rev=%s", d->rev);
        return;
    }
    case STEP_VIEW:
    case STEP_HAS_VIEW:
        rest = "/_design/drill";
        break;
    case STEP_INDEX:
        rest = "/_index";
        break;
    case STEP_HAS_INDEX:
        rest = "/_design/drill-find";
        break;
    case STEP_USE_VIEW:
        rest = "/_design/drill/_view/by_bucket?limit=1";
        break;
    case STEP_USE_INDEX:
        rest = "/_find";
        break;
    case STEP_MAKE:
    case STEP_DROP:
        break;
    }
    (void)snprintf(out, PATH_BYTES, "%s%s", d->path, rest);
}

/* An end of a replication, as the region that runs it reaches it. */
static json_t *end_of(const struct dp_database *d, size_t region)
{
    const struct dp_drill_region *r = &d->opt.regions[region];
    json_t *url = json_sprintf("%s%s", r->peer_url ? r->peer_url : r->url, d->path);
    if (!r->username)
        return url;
    return json_pack("{s:o, s:{s:{s:s, s:s}}}", "url", url, "auth", "basic", "username",
                     r->username, "password", r->password ? r->password : "");
}

/* From malloc; NULL with *none: it has no body, else no memory. */
static char *step_body(const struct dp_database *d, const struct step *s, bool *none)
{
    json_t *root = NULL;
    *none = false;
    switch (s->kind) {
    case STEP_JOB:
        /* The round: pouchdb-server takes the same job again, soon after it was deleted, for one that runs already. */
        root = json_pack("{s:o, s:o, s:b, s:s, s:i}", "source", end_of(d, s->region), "target",
                         end_of(d, s->peer), "continuous", 1, "drill", d->opt.run, "round",
                         (int)d->round);
        break;
    case STEP_VIEW:
        root = json_pack("{s:s, s:{s:{s:s}}}", "language", "javascript", "views", "by_bucket",
                         "map", "function (doc) { if (doc.drill) { emit(doc.bucket, 1); } }");
        break;
    case STEP_INDEX:
        root = json_pack("{s:{s:[s]}, s:s, s:s, s:s}", "index", "fields", "bucket", "ddoc",
                         "drill-find", "name", "bucket", "type", "json");
        break;
    case STEP_USE_INDEX:
        root = json_pack("{s:{s:i}, s:i}", "selector", "bucket", 0, "limit", 1);
        break;
    case STEP_MAKE:
    case STEP_REPLICATOR:
    case STEP_FIND_JOB:
    case STEP_END_JOB:
    case STEP_HAS_VIEW:
    case STEP_HAS_INDEX:
    case STEP_USE_VIEW:
    case STEP_DROP:
        *none = true;
        return NULL;
    }
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* ---- what is answered ---- */

enum verdict { NEXT, AGAIN, FAILED };

/* Nothing of it is there: good where it is to go. */
static bool is_gone(const struct dp_fetch_result *res)
{
    return res->err == DP_OK && res->status == 404;
}

static enum verdict found_job(struct dp_database *d, const struct dp_fetch_result *res)
{
    if (is_gone(res)) {
        d->at++; /* nothing is to be ended */
        return NEXT;
    }
    if (!dp_drill_good(res))
        return AGAIN;
    return dp_leaves_rev(res->body, d->rev) ? NEXT : FAILED;
}

/* Only a job's own region can say that it has no _replicator. */
static enum verdict made_job(struct dp_database *d, const struct dp_fetch_result *res)
{
    if (dp_drill_good(res) || (res->err == DP_OK && res->status == 409))
        return NEXT;
    struct step *s = &d->steps[d->at];
    bool just_made = d->at > 0 && s[-1].kind == STEP_REPLICATOR && s[-1].region == s->region;
    if (!is_gone(res) || just_made)
        return AGAIN;
    memmove(s + 1, s, (d->n_steps - d->at) * sizeof(*s));
    d->n_steps++;
    s->kind = STEP_REPLICATOR;
    return AGAIN;
}

/* 412 of a second try may be about the first one's: then it is not known whose it is, and it is left. */
static enum verdict made(struct dp_database *d, size_t region, bool good, uint16_t status)
{
    d->made[region] = good;
    if (!good && status != 412)
        return AGAIN;
    if (d->opt.found && (good || d->tries == 1))
        d->opt.found(d->opt.found_ctx, region, good);
    return NEXT;
}

static enum verdict judge(struct dp_database *d, const struct dp_fetch_result *res)
{
    const struct step *s = &d->steps[d->at];
    bool good = dp_drill_good(res);
    uint16_t status = res->err == DP_OK ? res->status : 0;
    switch (s->kind) {
    case STEP_MAKE:
        return made(d, s->region, good, status);
    case STEP_REPLICATOR:
        return good || status == 412 ? NEXT : AGAIN;
    case STEP_JOB:
        return made_job(d, res);
    case STEP_FIND_JOB:
        return found_job(d, res);
    case STEP_END_JOB: /* 409: the server has noted something in it: its revision is asked for anew */
        if (status == 409) {
            d->at--;
            return AGAIN;
        }
        return good || status == 404 ? NEXT : AGAIN;
    case STEP_VIEW:
        return good || status == 409 ? NEXT : AGAIN;
    case STEP_INDEX:
    case STEP_USE_VIEW:
    case STEP_USE_INDEX:
        return good ? NEXT : AGAIN;
    case STEP_HAS_VIEW:
    case STEP_HAS_INDEX:
        return good ? NEXT : AGAIN;
    case STEP_DROP:
        return good || status == 404 ? NEXT : AGAIN;
    }
    return FAILED;
}

/* No waiting makes it better. A 404 may be a matter of time: replication brings it. */
static bool is_final(const struct dp_fetch_result *res)
{
    uint16_t s = res->err == DP_OK ? res->status : 0;
    return s >= 400 && s < 500 && s != 404 && s != 408 && s != 409 && s != 412 && s != 429;
}

/* ---- going on ---- */

DP_PRINTF(3, 4)
static void note(struct dp_database *d, enum dp_err err, const char *fmt, ...)
{
    va_list args;
    if (d->err)
        return; /* the first is told */
    va_start(args, fmt);
    (void)vsnprintf(d->why, sizeof(d->why), fmt, args);
    va_end(args);
    d->err = err;
}

/* d may be gone afterwards. Runs from the loop. */
static void finish(struct dp_database *d)
{
    (void)uv_timer_stop(&d->timer);
    d->done(d->ctx, d->err, d->err ? d->why : "");
}

static void on_timer(uv_timer_t *timer)
{
    struct dp_database *d = timer->data;
    if (d->at == d->n_steps || (d->err && !d->dropping))
        finish(d);
    else
        run_step(d);
}

static void later(struct dp_database *d, uint64_t ms)
{
    (void)uv_timer_start(&d->timer, on_timer, ms, 0);
}

static void next_step(struct dp_database *d)
{
    d->at++;
    d->tries = 0;
    later(d, 0);
}

static void on_answer(void *ctx, const struct dp_fetch_result *res)
{
    struct dp_database *d = ctx;
    const struct step asked = d->steps[d->at];
    d->fetch = NULL;
    enum verdict v = judge(d, res);
    if (v == NEXT) {
        next_step(d);
        return;
    }
    bool late = now_ms(d) >= d->end_ms || (d->dropping && d->tries >= d->opt.drop_tries);
    if (v == AGAIN && !late && !is_final(res)) {
        later(d, AGAIN_MS);
        return;
    }
    char word[WHY_BYTES / 2], path[PATH_BYTES];
    dp_drill_word(res, word, sizeof(word));
    step_path(d, &asked, path);
    note(d, res->err ? res->err : DP_EINVAL, "region %s: %s %.120s: %s", region_of(d, &asked)->name,
         step_method(&asked), path, word);
    next_step(d);
}

static void run_step(struct dp_database *d)
{
    const struct step *s = &d->steps[d->at];
    char path[PATH_BYTES];
    bool none;
    char *body = step_body(d, s, &none);
    enum dp_err err = body || none ? DP_OK : DP_ENOMEM;
    d->tries++;
    if (!err) {
        step_path(d, s, path);
        const struct dp_drill_ask ask = {.method = step_method(s),
                                         .path = path,
                                         .body = body ? dp_span_str(body) : DP_SPAN(""),
                                         .timeout_ms = d->opt.ask_ms,
                                         .max_body_bytes = ANSWER_BYTES};
        err = dp_drill_ask(d->fetcher, region_of(d, s), &ask, on_answer, d, &d->fetch);
    }
    free(body);
    if (err) {
        note(d, err, "region %s: %s", region_of(d, s)->name,
             err == DP_ENOMEM ? "out of memory" : "its URL can't be asked");
        next_step(d);
    }
}

static void begin(struct dp_database *d, dp_database_done done, void *ctx)
{
    if (d->fetch)
        dp_fetch_cancel(d->fetch);
    d->fetch = NULL;
    d->done = done;
    d->ctx = ctx;
    d->at = d->n_steps = 0;
    d->tries = 0;
    d->err = DP_OK;
    d->dropping = false;
    uv_update_time(d->opt.loop);
    d->end_ms = now_ms(d) + d->opt.deadline_ms;
    later(d, 0);
}

static void add_jobs(struct dp_database *d, bool end, bool make)
{
    for (size_t from = 0; d->opt.replicate && from < d->opt.n_regions; from++) {
        for (size_t to = 0; to < d->opt.n_regions; to++) {
            if (from == to)
                continue;
            if (end) {
                add(d, STEP_FIND_JOB, from, to);
                add(d, STEP_END_JOB, from, to);
            }
            if (make)
                add(d, STEP_JOB, from, to);
        }
    }
    d->round += make;
}

/* One design is written in the first region, the other in the last: when all have both, replication works both ways. */
static void add_design(struct dp_database *d, bool wanted, enum step_kind make, enum step_kind has,
                       enum step_kind use, size_t where)
{
    for (size_t i = 0; wanted && i < d->opt.n_regions; i++) {
        if (!d->opt.replicate || i == where)
            add(d, make, i, 0);
    }
    for (size_t i = 0; wanted && i < d->opt.n_regions; i++) {
        add(d, has, i, 0);
        add(d, use, i, 0);
    }
}

void dp_database_prepare(struct dp_database *d, dp_database_done done, void *ctx)
{
    begin(d, done, ctx);
    for (size_t i = 0; i < d->opt.n_regions; i++)
        add(d, STEP_MAKE, i, 0);
    add_jobs(d, false, true);
    add_design(d, d->opt.view, STEP_VIEW, STEP_HAS_VIEW, STEP_USE_VIEW, 0);
    add_design(d, d->opt.index, STEP_INDEX, STEP_HAS_INDEX, STEP_USE_INDEX, d->opt.n_regions - 1);
}

bool dp_database_alone(const struct dp_database *d)
{
    for (size_t i = 0; i < d->opt.n_regions; i++) {
        if (!d->made[i])
            return false;
    }
    return true;
}

void dp_database_own(struct dp_database *d, size_t region)
{
    d->made[region] = true;
}

void dp_database_rejoin(struct dp_database *d, dp_database_done done, void *ctx)
{
    begin(d, done, ctx);
    add_jobs(d, true, true);
}

void dp_database_drop(struct dp_database *d, dp_database_done done, void *ctx)
{
    begin(d, done, ctx);
    d->dropping = true;
    add_jobs(d, true, false);
    for (size_t i = 0; i < d->opt.n_regions; i++) {
        if (d->made[i])
            add(d, STEP_DROP, i, 0);
    }
}

/* ---- birth and death ---- */

static bool name_is_good(const char *name)
{
    if (!islower((unsigned char)name[0]) || strlen(name) >= NAME_BYTES)
        return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_$()+-/")] == '\0';
}

enum dp_err dp_database_new(const struct dp_database_options *opt, struct dp_database **out)
{
    assert(opt->n_regions > 0 && opt->n_regions <= DP_DRILL_REGIONS_MAX);
    if (!name_is_good(opt->name) || strlen(opt->run) >= DP_LEDGER_RUN)
        return DP_EINVAL;
    struct dp_database *d = calloc(1, sizeof(*d));
    if (!d || !(d->fetcher = dp_fetcher_new(opt->loop))) {
        free(d);
        return DP_ENOMEM;
    }
    d->opt = *opt;
    d->opt.deadline_ms = opt->deadline_ms ? opt->deadline_ms : 60000;
    d->opt.ask_ms = opt->ask_ms ? opt->ask_ms : 10000;
    d->opt.drop_tries = opt->drop_tries ? opt->drop_tries : DROP_TRIES;
    d->path[0] = '/';
    bool fits = dp_replica_encode(opt->name, d->path + 1, sizeof(d->path) - 1);
    assert(fits);
    (void)uv_timer_init(opt->loop, &d->timer);
    d->timer.data = d;
    *out = d;
    return DP_OK;
}

static void on_gone(void *ctx)
{
    struct dp_database *d = ctx;
    void (*closed)(void *) = d->closed;
    void *closed_ctx = d->closed_ctx;
    free(d);
    if (closed)
        closed(closed_ctx);
}

void dp_database_destroy(struct dp_database *d, void (*closed)(void *ctx), void *ctx)
{
    if (!d)
        return;
    d->closed = closed;
    d->closed_ctx = ctx;
    dp_fetcher_destroy_with(d->fetcher, &d->timer, on_gone, d);
}
