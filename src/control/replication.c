/* The watch's life, its pace, and what it judges. */
#include "control/replication_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Requests under way at a time: it must not press on what it watches. */
#define ASKING_MOST    3
#define ASKING_HURRIED 8
#define MAX_ANSWER     8388608
#define EAGER_MS       1000
#define JITTER_PERCENT 10
/* What is not used is looked at less often, and at last no more. */
#define IDLE_NS     (300 * DP_NS_PER_S)
#define IDLE_FACTOR 6
#define FORGET_NS   (3600 * DP_NS_PER_S)
#define OVERFLOW_NS (60 * DP_NS_PER_S)

/* ---- time ---- */

uint64_t replication_later(struct dp_replication *r, uint64_t ms)
{
    uint64_t ns = ms * DP_NS_PER_MS;
    uint64_t span = ns * JITTER_PERCENT / 100;
    return replication_now(r) + ns - span +
           (span ? dp_random_next(&r->random) % (2 * span + 1) : 0);
}

uint64_t replication_interval_ms(const struct dp_replication *r)
{
    uint64_t ms = r->config->replication_interval_ms;
    return r->eager && ms > EAGER_MS ? EAGER_MS : ms;
}

static void on_due(uv_timer_t *timer);

/* Nothing counts here that on_due would not begin: a timer of 0 ms that finds nothing to do would run again within the
 * same turn of the loop, for ever. */
void replication_arm(struct dp_replication *r)
{
    uint64_t due = UINT64_MAX, now = replication_now(r);
    if (!r->started || r->dead)
        return;
    for (unsigned i = 0; i < r->n_databases; i++) {
        const struct database *d = r->databases[i];
        if (!d->fetch && d->due_ns < due && (!r->hurry || d->hurried))
            due = d->due_ns;
    }
    for (uint16_t i = 0; i < r->n && !r->hurry; i++) {
        if (!r->jobs[i].fetch && r->jobs[i].due_ns < due)
            due = r->jobs[i].due_ns;
    }
    if (replication_canary_due_ns(r) < due)
        due = replication_canary_due_ns(r);
    if (due == UINT64_MAX || r->asking >= (r->hurry ? ASKING_HURRIED : ASKING_MOST)) {
        (void)uv_timer_stop(&r->timer); /* an answer comes, and arms it again */
        return;
    }
    uv_update_time(r->opt.loop);
    (void)uv_timer_start(&r->timer, on_due,
                         due > now ? (due - now + DP_NS_PER_MS - 1) / DP_NS_PER_MS : 0, 0);
}

void replication_told(struct dp_replication *r)
{
    if (r->opt.looked && !r->dead)
        r->opt.looked(r->opt.ctx);
}

/* ---- asking ---- */

static bool ask(struct dp_replication *r, uint16_t region, const char *method, const char *path,
                struct dp_span body, dp_fetch_done done, void *ctx, struct dp_fetch **out,
                enum dp_reach *why)
{
    struct dp_fetch_request req = {0};
    const char *base = NULL;
    char *url;
    *why = r->opt.reach(r->opt.ctx, region, &req, &base);
    if (*why != DP_REACH_OK)
        return false;
    *why = DP_REACH_DOWN;
    if (asprintf(&url, "%.*s%s",
                 (int)(base[strlen(base) - 1] == '/' ? strlen(base) - 1 : strlen(base)), base,
                 path) < 0)
        return false;
    req.url = url;
    req.max_body_bytes = MAX_ANSWER;
    if (body.p) {
        req.method = method;
        req.body = body;
        req.content_type = "application/json";
    }
    bool asked = dp_fetch_start(r->fetcher, &req, done, ctx, out) == DP_OK;
    r->asking += asked;
    if (!asked)
        *out = NULL;
    free(url);
    return asked;
}

bool replication_ask(struct dp_replication *r, uint16_t region, const char *path,
                     struct dp_span body, dp_fetch_done done, void *ctx, struct dp_fetch **out,
                     enum dp_reach *why)
{
    return ask(r, region, "POST", path, body, done, ctx, out, why);
}

bool replication_put(struct dp_replication *r, uint16_t region, const char *path,
                     struct dp_span body, dp_fetch_done done, void *ctx, struct dp_fetch **out,
                     enum dp_reach *why)
{
    return ask(r, region, "PUT", path, body, done, ctx, out, why);
}

void replication_say(char *buf, size_t cap, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(buf, cap, format, args);
    va_end(args);
}

bool replication_denied(const struct dp_fetch_result *res)
{
    return res->err == DP_OK && (res->status == 401 || res->status == 403);
}

void replication_word(char out[ANSWER_WORD], const struct dp_fetch_result *res)
{
    if (res->err != DP_OK)
        replication_say(out, ANSWER_WORD, "%s", dp_err_info(res->err)->word);
    else
        replication_say(out, ANSWER_WORD, "answer %" PRIu16, res->status);
}

uint16_t replication_region_of(const struct dp_replication *r, const char *base)
{
    const struct dp_control_config *c = r->config;
    char own[DP_REPLICA_BASE], unused[DP_REPLICA_NAME], url[DP_REPLICA_BASE + 4];
    for (uint16_t i = 0; i < c->n_endpoints; i++) {
        if (c->endpoints[i].url &&
            snprintf(url, sizeof(url), "%s/x", c->endpoints[i].url) < (int)sizeof(url) &&
            dp_replica_url(url, own, unused) && strcmp(own, base) == 0)
            return c->endpoints[i].region;
    }
    for (uint16_t i = 0; i < c->n_regions; i++) {
        for (uint16_t k = 0; k < c->regions[i].n_aliases; k++) {
            if (snprintf(url, sizeof(url), "%s/x", c->regions[i].aliases[k]) < (int)sizeof(url) &&
                dp_replica_url(url, own, unused) && strcmp(own, base) == 0)
                return i;
        }
    }
    return DP_NO_REGION;
}

/* ---- databases ---- */

void replication_forget_way(struct way *w)
{
    struct job job = w->job;
    enum dp_replica_run run = w->known.run;
    uint64_t at = w->known.run_at_ns;
    char word[DP_REPLICA_WORD];
    memcpy(word, w->known.run_word, sizeof(word));
    free(w->place);
    free(w->end);
    dp_replica_set_free(w->missing);
    *w = (struct way){.job = job};
    dp_replica_init(&w->known);
    w->known.run = run;
    w->known.run_at_ns = at;
    memcpy(w->known.run_word, word, sizeof(word));
}

static void database_free(struct database *d)
{
    if (!d)
        return;
    for (unsigned i = 0; d->ways && i < (unsigned)d->watch->n * d->watch->n; i++)
        replication_forget_way(&d->ways[i]);
    free(d->looks);
    free(d->ways);
    free(d);
}

/* Legal in CouchDB, and no system database: those are not replicated, or not by everybody. */
static bool watchable(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < DATABASE_NAME_BYTES && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_$()+-/") == n;
}

static struct database *database_new(struct dp_replication *r, const char *name)
{
    struct database *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->watch = r;
    d->looks = calloc(r->n, sizeof(*d->looks));
    d->ways = calloc((size_t)r->n * r->n, sizeof(*d->ways));
    replication_say(d->name, sizeof(d->name), "%s", name);
    if (!d->looks || !d->ways || !dp_replica_encode(name, d->path, sizeof(d->path))) {
        free(d->looks);
        free(d->ways);
        free(d);
        return NULL;
    }
    for (unsigned i = 0; i < (unsigned)r->n * r->n; i++) {
        dp_replica_init(&d->ways[i].known);
        d->ways[i].job.region = DP_NO_REGION;
    }
    return d;
}

static void remove_database(struct dp_replication *r, unsigned i)
{
    replication_stop_round(r->databases[i]);
    database_free(r->databases[i]);
    r->databases[i] = r->databases[--r->n_databases];
}

/* One that is not there (any more), or is not used and lacks nothing anywhere: it makes room. */
static bool dispensable(const struct database *d, uint64_t now)
{
    unsigned gone = 0;
    bool same = true;
    if (d->configured || d->canary || d->fetch || d->step != STEP_IDLE)
        return false;
    for (uint16_t i = 0; i < d->watch->n; i++)
        gone += d->looks[i].look == LOOK_GONE;
    if (gone == d->watch->n)
        return now - d->used_ns > OVERFLOW_NS;
    for (unsigned k = 0; k < (unsigned)d->watch->n * d->watch->n; k++) {
        const struct dp_replica_way *w = &d->ways[k].known;
        bool own = k % (d->watch->n + 1U) == 0;
        same = same && (own || (w->data == DP_REPLICA_SAME && w->same_ns > d->used_ns));
    }
    return same && now - d->used_ns > FORGET_NS;
}

static void let_go(struct dp_replication *r)
{
    uint64_t now = replication_now(r);
    for (unsigned i = r->n_databases; i-- > 0;) {
        if (dispensable(r->databases[i], now))
            remove_database(r, i);
    }
}

static struct database *use(struct dp_replication *r, const char *name, uint64_t used_ns)
{
    struct database *d = NULL;
    if (!watchable(name))
        return NULL;
    for (unsigned i = 0; i < r->n_databases && !d; i++) {
        if (strcmp(r->databases[i]->name, name) == 0)
            d = r->databases[i];
    }
    if (!d) {
        if (r->n_databases == DP_WATCHED_DATABASES)
            let_go(r);
        d = r->n_databases < DP_WATCHED_DATABASES ? database_new(r, name) : NULL;
        if (!d) {
            dp_replication_overflow(r, replication_now(r));
            return NULL;
        }
        for (uint16_t i = 0; i < r->n; i++) { /* the lists are read anew, first: it may be in one */
            r->jobs[i].answer = JOBS_NOT_YET;
            r->jobs[i].due_ns = 0;
        }
        r->databases[r->n_databases++] = d;
        replication_arm(r);
    }
    if (used_ns > d->used_ns)
        d->used_ns = used_ns;
    return d;
}

void dp_replication_use(struct dp_replication *r, const char *name, uint64_t used_ns)
{
    if (!dp_replication_off(r))
        (void)use(r, name, used_ns ? used_ns : 1);
}

void dp_replication_overflow(struct dp_replication *r, uint64_t now_ns)
{
    r->overflow_ns = now_ns;
}

bool dp_replication_overflowed(const struct dp_replication *r)
{
    return r->overflow_ns && replication_now(r) - r->overflow_ns < OVERFLOW_NS;
}

/* The configured ones, in a text with commas between; and the one that our own documents are sent through. */
static void take_configured(struct dp_replication *r)
{
    const char *p = r->config->replication_databases;
    const char *canary = r->config->replication_canary;
    for (unsigned i = 0; i < r->n_databases; i++)
        r->databases[i]->configured = r->databases[i]->canary = false;
    struct database *home = canary && !dp_replication_off(r) ? use(r, canary, 0) : NULL;
    if (home)
        home->canary = true;
    while (p && *p && !dp_replication_off(r)) {
        char name[DATABASE_NAME_BYTES];
        size_t n = strcspn(p, ",");
        replication_say(name, sizeof(name), "%.*s", (int)n, p);
        struct database *d = use(r, name, replication_now(r));
        if (d)
            d->configured = true;
        p += n + (p[n] == ',');
    }
}

/* ---- turns ---- */

static bool is_idle(const struct dp_replication *r, const struct database *d)
{
    return !r->eager && !d->configured && d->step == STEP_IDLE &&
           replication_now(r) - d->used_ns > IDLE_NS;
}

/* One after the other, so that all have their turn. */
static void on_due(uv_timer_t *timer)
{
    struct dp_replication *r = timer->data;
    const unsigned most = r->hurry ? ASKING_HURRIED : ASKING_MOST;
    uint64_t now = replication_now(r);
    for (uint16_t i = 0; i < r->n && r->asking < most; i++) {
        if (!r->jobs[i].fetch && r->jobs[i].due_ns <= now && !r->hurry)
            replication_ask_jobs(&r->jobs[i]);
    }
    replication_canary_step(r, most);
    for (unsigned k = 0; k < r->n_databases && r->asking < most; k++) {
        struct database *d = r->databases[(r->turn + k) % r->n_databases];
        if (d->fetch || d->due_ns > now || (r->hurry && !d->hurried))
            continue;
        if (is_idle(r, d) && d->looks[0].asked_ns &&
            now - d->looks[0].asked_ns < IDLE_FACTOR * replication_interval_ms(r) * DP_NS_PER_MS)
            d->due_ns = replication_later(r, replication_interval_ms(r));
        else
            replication_step(d);
    }
    r->turn = r->n_databases ? (r->turn + 1) % r->n_databases : 0;
    let_go(r);
    replication_arm(r);
}

static void all_soon(struct dp_replication *r)
{
    uint64_t now = replication_now(r);
    for (unsigned i = 0; i < r->n_databases; i++) {
        struct database *d = r->databases[i];
        if (d->step == STEP_IDLE && d->due_ns > now)
            d->due_ns = now;
    }
    for (uint16_t i = 0; i < r->n; i++)
        r->jobs[i].due_ns = now;
    replication_canary_soon(r);
}

void dp_replication_eager(struct dp_replication *r, bool eager)
{
    if (r->eager == eager)
        return;
    r->eager = eager;
    if (eager)
        all_soon(r);
    replication_arm(r);
}

void dp_replication_hurry(struct dp_replication *r, uint16_t from, uint16_t to)
{
    if (r->hurry && r->hurry_from == from && r->hurry_to == to)
        return;
    r->hurry = true;
    r->hurry_from = from;
    r->hurry_to = to;
    for (unsigned i = 0; i < r->n_databases; i++) {
        if (replication_in_use(r->databases[i]))
            replication_hurry_way(r->databases[i], from, to);
        else
            replication_stop_round(r->databases[i]);
    }
    replication_arm(r);
}

void dp_replication_relax(struct dp_replication *r)
{
    if (!r->hurry)
        return;
    r->hurry = false;
    for (unsigned i = 0; i < r->n_databases; i++) {
        if (r->databases[i]->hurried)
            replication_stop_round(r->databases[i]);
    }
    replication_arm(r);
}

/* ---- judgement ---- */

static bool blind(enum dp_replica_data d)
{
    return d == DP_REPLICA_DENIED;
}

bool dp_replication_arrived(const struct dp_replication *r, uint16_t from, uint16_t to,
                            uint64_t since_ns)
{
    for (unsigned i = 0; i < r->n_databases; i++) {
        const struct dp_replica_way *w = &replication_way(r->databases[i], from, to)->known;
        if (replication_in_use(r->databases[i]) && !blind(w->data) &&
            (w->data != DP_REPLICA_SAME || w->same_ns < since_ns))
            return false;
    }
    return true;
}

uint64_t dp_replication_settled(const struct dp_replication *r, uint16_t from)
{
    uint64_t least = UINT64_MAX;
    if (dp_replication_overflowed(r))
        return 0;
    for (unsigned i = 0; i < r->n_databases; i++) {
        if (!replication_in_use(r->databases[i]))
            continue;
        for (uint16_t to = 0; to < r->config->n_regions; to++) {
            const uint64_t same_ns =
                to == from ? UINT64_MAX : replication_way(r->databases[i], from, to)->known.same_ns;
            least = same_ns < least ? same_ns : least;
        }
    }
    return least == UINT64_MAX ? 0 : least;
}

/* SHUT, then WAIT, then BLIND. */
static bool worse(enum dp_replica_verdict a, enum dp_replica_verdict b)
{
    static const int order[] = {[DP_REPLICA_VERDICT_SHUT] = 0,
                                [DP_REPLICA_VERDICT_WAIT] = 1,
                                [DP_REPLICA_VERDICT_BLIND] = 2,
                                [DP_REPLICA_VERDICT_READY] = 3};
    return order[a] < order[b];
}

static void set_verdict(struct dp_replication_verdict *out, enum dp_replica_verdict v,
                        const char *why)
{
    out->verdict = v;
    replication_say(out->why, sizeof(out->why), "%s", why);
}

static unsigned in_use(const struct dp_replication *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->n_databases; i++)
        n += replication_in_use(r->databases[i]);
    return n;
}

static struct dp_replica_config judge_config(const struct dp_replication *r,
                                             const struct database *d)
{
    const struct dp_control_config *c = r->config;
    uint64_t canary_ns =
        ((uint64_t)c->replication_canary_max_ms + 3 * c->replication_canary_interval_ms) *
        DP_NS_PER_MS;
    uint64_t interval_ns = replication_interval_ms(r) * DP_NS_PER_MS;
    uint64_t fresh_ns = 6 * interval_ns;
    return (struct dp_replica_config){
        .samples = c->replication_samples,
        .fresh_ns = fresh_ns > 30 * DP_NS_PER_S ? fresh_ns : 30 * DP_NS_PER_S,
        .flat_ns = 60 * DP_NS_PER_S,
        .canary_ns = d->canary ? c->replication_canary_max_ms * DP_NS_PER_MS : 0,
        .canary_fresh_ns = canary_ns > fresh_ns ? canary_ns : fresh_ns,
    };
}

void dp_replication_judge(const struct dp_replication *r, uint16_t from, uint16_t to,
                          uint64_t since_ns, struct dp_replication_verdict *out)
{
    const unsigned n = in_use(r);
    *out = (struct dp_replication_verdict){.verdict = DP_REPLICA_VERDICT_READY,
                                           .databases = (uint16_t)n};
    if (dp_replication_off(r)) {
        set_verdict(out, DP_REPLICA_VERDICT_BLIND, dp_replication_off(r));
        return;
    }
    for (unsigned i = 0; i < r->n_databases; i++) {
        struct database *d = r->databases[i];
        const struct dp_replica_config c = judge_config(r, d);
        struct dp_replica_answer a;
        dp_replica_judge(&replication_way(d, from, to)->known, &replication_way(d, to, from)->known,
                         &c, since_ns, replication_now(r), &a);
        out->ready = (uint16_t)(out->ready +
                                (replication_in_use(d) && a.verdict == DP_REPLICA_VERDICT_READY));
        if (!worse(a.verdict, out->verdict))
            continue;
        out->verdict = a.verdict;
        replication_say(out->why, sizeof(out->why), "%.40s to %.24s: %.58s", d->name,
                        r->config->regions[a.back ? from : to].name, a.why);
    }
    if (out->verdict == DP_REPLICA_VERDICT_READY && n == 0)
        set_verdict(out, DP_REPLICA_VERDICT_BLIND, "no database is known to be in use");
    else if (out->verdict == DP_REPLICA_VERDICT_READY && dp_replication_overflowed(r))
        set_verdict(out, DP_REPLICA_VERDICT_BLIND,
                    "more databases are in use than can be watched (64)");
    else if (out->verdict == DP_REPLICA_VERDICT_READY)
        replication_say(out->why, sizeof(out->why), "all is there, of %u database%s", n,
                        n == 1 ? "" : "s");
}

const char *dp_replication_database(const struct dp_replication *r, unsigned i)
{
    return i < r->n_databases ? r->databases[i]->name : NULL;
}

const struct dp_replica_way *dp_replication_way(const struct dp_replication *r, unsigned i,
                                                uint16_t from, uint16_t to)
{
    return &replication_way(r->databases[i], from, to)->known;
}

const char *dp_replication_off(const struct dp_replication *r)
{
    const struct dp_control_config *c = r->config;
    if (c->replication_interval_ms > 0)
        return NULL;
    return c->replication_off ? c->replication_off : "replication is not watched";
}

/* ---- life ---- */

static void init_jobs(struct dp_replication *r)
{
    for (uint16_t i = 0; i < DP_MAX_REGIONS; i++)
        r->jobs[i] = (struct region_jobs){.watch = r, .region = i};
}

struct dp_replication *dp_replication_new(const struct dp_replication_options *opt)
{
    struct dp_replication *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->opt = *opt;
    r->config = opt->config;
    r->n = opt->config->n_regions;
    r->random = dp_random_of(opt->seed);
    init_jobs(r);
    replication_canary_init(r);
    (void)uv_timer_init(opt->loop, &r->timer); /* cannot fail */
    r->timer.data = r;
    return r;
}

void dp_replication_start(struct dp_replication *r)
{
    if (!dp_replication_off(r) && !r->fetcher)
        r->fetcher = dp_fetcher_new(r->opt.loop);
    r->started =
        !dp_replication_off(r) && r->fetcher; /* without memory nothing is known, or opened */
    take_configured(r);
    replication_arm(r);
}

static void stop_all(struct dp_replication *r)
{
    for (unsigned i = 0; i < r->n_databases; i++)
        replication_stop_round(r->databases[i]);
    for (uint16_t i = 0; i < r->n; i++) {
        if (r->jobs[i].fetch) {
            dp_fetch_cancel(r->jobs[i].fetch);
            r->asking--;
        }
        r->jobs[i].fetch = NULL;
    }
    replication_canary_stop(r);
}

/* True: its ways are in the new numbers. False: out of memory, nothing is changed. */
static bool renumber(struct database *d, const uint16_t *map, uint16_t was, uint16_t is)
{
    struct look_at *looks = calloc(is, sizeof(*looks));
    struct way *ways = calloc((size_t)is * is, sizeof(*ways));
    if (!looks || !ways) {
        free(looks);
        free(ways);
        return false;
    }
    for (unsigned i = 0; i < (unsigned)is * is; i++) {
        dp_replica_init(&ways[i].known);
        ways[i].job.region = DP_NO_REGION;
    }
    for (uint16_t i = 0; i < was; i++) {
        if (map[i] != DP_NO_REGION)
            looks[map[i]] = d->looks[i];
        for (uint16_t k = 0; k < was; k++) {
            struct way *w = &d->ways[i * was + k];
            if (map[i] == DP_NO_REGION || map[k] == DP_NO_REGION) {
                replication_forget_way(w);
                continue;
            }
            if (w->job.region < was)
                w->job.region = map[w->job.region];
            ways[map[i] * is + map[k]] = *w;
        }
    }
    free(d->looks);
    free(d->ways);
    d->looks = looks;
    d->ways = ways;
    return true;
}

void dp_replication_reload(struct dp_replication *r, const struct dp_control_config *config,
                           const uint16_t *map, uint16_t n)
{
    bool off = config->replication_interval_ms == 0;
    stop_all(r);
    for (unsigned i = r->n_databases; i-- > 0;) {
        struct database *d = r->databases[i];
        if (off || !renumber(d, map, n, config->n_regions)) {
            database_free(d);
            r->databases[i] = r->databases[--r->n_databases];
        }
    }
    init_jobs(r);
    r->hurry = false;
    r->config = config;
    r->n = config->n_regions;
    replication_canary_init(r);
    dp_replication_start(r);
}

static void closed(struct dp_replication *r)
{
    if (--r->open)
        return;
    void (*done)(void *) = r->done;
    void *ctx = r->done_ctx;
    free(r);
    if (done)
        done(ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
    closed(h->data);
}

static void on_fetcher_closed(void *ctx)
{
    closed(ctx);
}

void dp_replication_destroy(struct dp_replication *r, void (*done)(void *ctx), void *ctx)
{
    r->dead = true;
    r->done = done;
    r->done_ctx = ctx;
    stop_all(r);
    while (r->n_databases)
        database_free(r->databases[--r->n_databases]);
    r->open = r->fetcher ? 2 : 1;
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    if (r->fetcher)
        dp_fetcher_destroy(r->fetcher, on_fetcher_closed, r);
}
