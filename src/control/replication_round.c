/* One database's round, step by step; see replication.h. */
#include "control/replication_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ANSWER_BYTES 8388608
#define PAGE_ROWS        500
/* Pages of one way in one round: others have their turn too. */
#define PAGES 20
/* So many documents may be missing before no further page is read. */
#define MISSING_MOST 1000
/* Replication takes a moment: what is missing is asked for again before it is told. */
#define TRIES          5
#define TRY_FIRST_MS   150
#define TRY_HURRIED_MS 40

static void step_way(struct database *d);
static void ask_changes(struct database *d);
static void ask_missing(struct database *d, const struct dp_replica_set *which);

static struct way *this_way(struct database *d)
{
    return replication_way(d, d->from, d->to);
}

static const char *region_name(const struct database *d, uint16_t region)
{
    return d->watch->config->regions[region].name;
}

static void end_round(struct database *d)
{
    struct dp_replication *r = d->watch;
    d->step = STEP_IDLE;
    d->due_ns = replication_later(r, replication_interval_ms(r));
    replication_told(r);
}

/* The next way, from the one that is done. */
static void next_way(struct database *d)
{
    uint16_t n = d->watch->n;
    d->step = STEP_WAY;
    d->due_ns = 0;
    if (d->hurried) {
        replication_stop_round(d);
        replication_told(d->watch);
        return;
    }
    if (++d->to == n) {
        d->to = 0;
        d->from++;
    }
}

/* What came meanwhile stands for the rest of it; without memory it is read again. */
static void merge_newer(struct database *d)
{
    struct way *w = this_way(d);
    if (d->newer && d->newer_place && dp_replica_set_merge(w->missing, d->newer) == DP_OK) {
        free(w->place);
        w->place = d->newer_place;
        d->newer_place = NULL;
    }
    replication_drop_newer(d);
}

void replication_drop_newer(struct database *d)
{
    dp_replica_set_free(d->newer);
    free(d->newer_place);
    d->newer = NULL;
    d->newer_place = NULL;
    d->again = false;
}

static void found(struct database *d, struct dp_replica_found f)
{
    struct way *w = this_way(d);
    dp_replica_compared(&w->known, &f, replication_now(d->watch));
    merge_newer(d);
    next_way(d);
}

static void not_known(struct database *d, const char *word)
{
    found(d, (struct dp_replica_found){.data = DP_REPLICA_UNKNOWN, .word = word});
}

/* Who is known and has no right here is told 403: 401 is about the credentials themselves. */
static void note_refusal(const struct database *d, const struct dp_fetch_result *res,
                         uint16_t region)
{
    if (res->status == 401)
        d->watch->opt.refused(d->watch->opt.ctx, region);
}

/* An answer that can't be used ends this way's turn. */
static void failed(struct database *d, const struct dp_fetch_result *res, uint16_t region)
{
    char what[ANSWER_WORD], word[DP_REPLICA_WORD];
    replication_word(what, res);
    replication_say(word, sizeof(word), "%.40s in %.50s", what, region_name(d, region));
    if (replication_denied(res)) {
        note_refusal(d, res, region);
        found(d, (struct dp_replica_found){.data = DP_REPLICA_DENIED, .word = word});
    } else {
        not_known(d, word);
    }
}

/* Ask a region about this database; `rest` stands behind its path. False: not asked, and this way has its word. */
static bool ask(struct database *d, uint16_t region, const char *rest, struct dp_span body,
                dp_fetch_done done)
{
    struct dp_replication *r = d->watch;
    enum dp_reach why;
    char *path;
    if (asprintf(&path, "/%s%s", d->path, rest) < 0) {
        not_known(d, "out of memory");
        return false;
    }
    d->asked_ns = replication_now(r);
    bool asked = replication_ask(r, region, path, body, done, d, &d->fetch, &why);
    free(path);
    if (!asked) {
        char word[DP_REPLICA_WORD];
        bool keys = why == DP_REACH_NO_KEYS;
        replication_say(word, sizeof(word), "%.60s %s", region_name(d, region),
                        keys ? "refused our credentials" : "is not asked while it is down");
        found(d, (struct dp_replica_found){.data = keys ? DP_REPLICA_DENIED : DP_REPLICA_UNKNOWN,
                                           .word = word});
    }
    return asked;
}

/* When that was, by the wall's clock: not later. */
static int64_t wall_of(const struct dp_replication *r, uint64_t ns)
{
    const uint64_t ago_ns = replication_now(r) - ns;
    return dp_clock_wall_ms(r->opt.clock) - (int64_t)(ago_ns / DP_NS_PER_MS);
}

/* ---- comparing ---- */

static void tell_mark(struct database *d, const char *token, uint64_t read_ns)
{
    const struct dp_replication *r = d->watch;
    const struct dp_replication_listener *l = &r->opt.listener;
    if (!l->mark || !replication_in_use(d))
        return;
    const struct dp_replication_mark m = {
        .database = d->name,
        .from = region_name(d, d->from),
        .to = region_name(d, d->to),
        .token = dp_span_str(token),
        .from_life = d->looks[d->from].info.life,
        .to_life = d->looks[d->to].info.life,
        .read_ns = read_ns,
        .read_wall_ms = wall_of(r, read_ns),
    };
    l->mark(l->ctx, &m);
}

static void is_same(struct database *d, uint64_t began_ns)
{
    struct way *w = this_way(d);
    if (w->missing && dp_replica_set_count(w->missing) == 0 && w->place)
        tell_mark(d, w->place, replication_now(d->watch));
    found(d, (struct dp_replica_found){.data = DP_REPLICA_SAME, .began_ns = began_ns});
}

static void is_behind(struct database *d)
{
    const struct way *w = this_way(d);
    found(d, (struct dp_replica_found){.data = DP_REPLICA_BEHIND,
                                       .missing = dp_replica_set_count(w->missing),
                                       .more = !d->at_end,
                                       .word = dp_replica_set_example(w->missing)});
}

static bool few_enough(const struct database *d, const struct way *w)
{
    return dp_replica_set_count(w->missing) <= d->watch->config->replication_max_missing;
}

/* In proportion to how often it is looked at all. */
static uint64_t try_first_ms(const struct database *d)
{
    uint64_t ms = replication_interval_ms(d->watch) / 4;
    return ms < TRY_FIRST_MS ? ms + 1 : TRY_FIRST_MS;
}

/* All that was read is judged: on with the feed, once more, or it is what it is. */
static void go_on(struct database *d)
{
    struct way *w = this_way(d);
    size_t missing = dp_replica_set_count(w->missing);
    if (d->at_end && few_enough(d, w)) {
        is_same(d, d->began_ns);
        return;
    }
    if (!d->at_end && missing < MISSING_MOST && d->pages < PAGES) {
        ask_changes(d);
        return;
    }
    if (!d->at_end && missing < MISSING_MOST) { /* a long way: the round goes on later */
        is_behind(d);
        return;
    }
    if (!d->hurried && d->tries >= TRIES) {
        is_behind(d);
        return;
    }
    d->step = STEP_DIFF;
    d->due_ns =
        replication_later(d->watch, d->hurried ? TRY_HURRIED_MS : try_first_ms(d) << d->tries);
    d->tries++;
}

/* An answer to POST _revs_diff; see dp_replica_take_missing. */
static bool take_missing(struct database *d, const struct dp_fetch_result *res,
                         struct dp_replica_set *asked, struct dp_replica_set *older)
{
    d->fetch = NULL;
    d->watch->asking--;
    return res->err == DP_OK && res->status == 200 &&
           dp_replica_take_missing(asked, res->body, older) == DP_OK;
}

static void on_missing(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    if (take_missing(d, res, this_way(d)->missing, NULL))
        go_on(d);
    else
        failed(d, res, d->to);
    replication_arm(d->watch);
}

static void on_newer_missing(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    struct way *w = this_way(d);
    if (!take_missing(d, res, d->newer, w->missing))
        failed(d, res, d->to);
    else if (few_enough(d, w))
        go_on(d);
    else
        ask_missing(d, w->missing);
    replication_arm(d->watch);
}

static void ask_missing(struct database *d, const struct dp_replica_set *which)
{
    struct dp_span body;
    char *question = dp_replica_set_question(which, &body.n);
    if (!question) {
        not_known(d, "out of memory");
        return;
    }
    body.p = question;
    (void)ask(d, d->to, "/_revs_diff", body, which == d->newer ? on_newer_missing : on_missing);
    free(question);
}

/* Another place, where what is behind it begins. */
static bool set_text(char **at, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return false;
    free(*at);
    *at = copy;
    return true;
}

/* A page is in: which of it is missing? */
static void judge_page(struct database *d, const struct dp_replica_page *page)
{
    struct way *w = this_way(d);
    if (d->again) {
        ask_missing(d, dp_replica_set_count(d->newer) > 0 ? d->newer : w->missing);
        return;
    }
    d->pages++;
    d->at_end = page->rows < w->page;
    d->began_ns = d->asked_ns;
    if (d->at_end)
        (void)set_text(&w->end, d->looks[d->from].info.seq);
    if (dp_replica_set_count(w->missing) > 0)
        ask_missing(d, w->missing);
    else
        go_on(d);
}

static void on_changes(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    struct way *w = this_way(d);
    struct dp_replica_page page;
    d->fetch = NULL;
    d->watch->asking--;
    if (res->err == DP_EBODYSIZE && w->page > 1) { /* documents with many leaves */
        w->page /= 2;
        ask_changes(d);
    } else if (res->err != DP_OK || res->status != 200) {
        failed(d, res, d->from);
    } else if (dp_replica_take_page(d->again ? d->newer : w->missing, res->body, &page) != DP_OK ||
               !set_text(d->again ? &d->newer_place : &w->place, page.last_seq)) {
        not_known(d, "its feed can't be read");
    } else {
        judge_page(d, &page);
    }
    replication_arm(d->watch);
}

static void ask_changes(struct database *d)
{
    struct way *w = this_way(d);
    struct dp_replica_set **into = d->again ? &d->newer : &w->missing;
    const char *place = d->again && d->newer_place ? d->newer_place : w->place;
    char since[3 * DP_REPLICA_TOKEN], *rest;
    d->step = STEP_CHANGES;
    if (!*into)
        *into = dp_replica_set_new();
    if (!*into || !place || !dp_replica_encode(place, since, sizeof(since)) ||
        asprintf(&rest, "/_changes?style=all_docs&since=%s&limit=%" PRIu32 "&seq_interval=%" PRIu32,
                 since, w->page, w->page) < 0) {
        not_known(d, "out of memory");
        return;
    }
    (void)ask(d, d->from, rest, (struct dp_span){NULL, 0}, on_changes);
    free(rest);
}

/* What is missing is asked for again; before that, where others write on, what stands in its place by now. */
static void ask_again(struct database *d)
{
    struct way *w = this_way(d);
    if (d->hurried || !d->at_end) {
        ask_missing(d, w->missing);
        return;
    }
    d->again = true;
    ask_changes(d);
}

/* What was missing first, with what came since: one question for both. */
static void compare(struct database *d)
{
    struct way *w = this_way(d);
    const struct look_at *source = &d->looks[d->from];
    bool none_missing = !w->missing || dp_replica_set_count(w->missing) == 0;
    d->pages = d->tries = 0;
    d->at_end = false;
    if (!d->hurried && none_missing && w->end && strcmp(w->end, source->info.seq) == 0) {
        is_same(d, source->asked_ns); /* nothing came since all of it was there */
        return;
    }
    if (!none_missing && dp_replica_set_count(w->missing) >= MISSING_MOST) {
        d->step = STEP_DIFF;
        ask_missing(d, w->missing);
        return;
    }
    ask_changes(d);
}

/* ---- where to begin ---- */

static void begin_at(struct database *d, const char *place)
{
    struct way *w = this_way(d);
    w->page = PAGE_ROWS;
    if (set_text(&w->place, place))
        compare(d);
    else
        not_known(d, "out of memory");
}

static void on_checkpoint(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    char token[DP_REPLICA_TOKEN];
    d->fetch = NULL;
    d->watch->asking--;
    if (res->err == DP_OK && res->status == 200 &&
        dp_replica_checkpoint(res->body, token) == DP_OK && strcmp(token, "0") != 0) {
        tell_mark(d, token,
                  replication_now(d->watch)); /* it may have been written while we asked */
        begin_at(d, token);
    } else {
        begin_at(d, "0");
    }
    replication_arm(d->watch);
}

static void ask_checkpoint(struct database *d)
{
    char path[3 * JOB_ID_BYTES + 16], id[JOB_ID_BYTES];
    replication_say(id, sizeof(id), "%.*s", (int)strcspn(this_way(d)->job.id, "+"),
                    this_way(d)->job.id);
    memcpy(path, "/_local/", 9);
    d->step = STEP_CHECKPOINT;
    if (dp_replica_encode(id, path + 8, sizeof(path) - 8))
        (void)ask(d, d->to, path, (struct dp_span){NULL, 0}, on_checkpoint);
    else
        begin_at(d, "0");
}

static void on_job(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    bool whole = false;
    d->fetch = NULL;
    d->watch->asking--;
    if (res->err == DP_OK && res->status == 200 &&
        dp_replica_replicator_doc(res->body, &whole) == DP_OK && whole)
        ask_checkpoint(d);
    else
        begin_at(d, "0");
    replication_arm(d->watch);
}

/* A filtered replication's checkpoint proves nothing. */
static void find_begin(struct database *d)
{
    const struct job *j = &this_way(d)->job;
    char path[3 * JOB_ID_BYTES + 16];
    enum dp_reach why;
    if (j->region == DP_NO_REGION || !j->id[0]) {
        begin_at(d, "0");
        return;
    }
    if (j->whole) {
        ask_checkpoint(d);
        return;
    }
    memcpy(path, "/_replicator/", 14);
    d->step = STEP_JOB;
    d->asked_ns = replication_now(d->watch);
    if (!j->doc_id[0] || !dp_replica_encode(j->doc_id, path + 13, sizeof(path) - 13) ||
        !replication_ask(d->watch, j->region, path, (struct dp_span){NULL, 0}, on_job, d, &d->fetch,
                         &why))
        begin_at(d, "0");
}

/* ---- a way ---- */

static void step_way(struct database *d)
{
    const struct look_at *source = &d->looks[d->from], *target = &d->looks[d->to];
    const struct look_at *bad = NULL;
    if (d->from == d->watch->n) {
        end_round(d);
        return;
    }
    if (d->from == d->to) {
        next_way(d);
        return;
    }
    for (int i = 0; i < 2 && !bad; i++) {
        const struct look_at *l = i ? target : source;
        if (l->look != LOOK_HERE && l->look != LOOK_GONE)
            bad = l;
    }
    if (bad)
        found(d, (struct dp_replica_found){.data = bad->look == LOOK_DENIED ? DP_REPLICA_DENIED
                                                                            : DP_REPLICA_UNKNOWN,
                                           .word = bad->word});
    else if (source->look == LOOK_GONE) /* it has nothing that the other could lack */
        found(d, (struct dp_replica_found){.data = DP_REPLICA_SAME, .began_ns = source->asked_ns});
    else if (target->look == LOOK_GONE)
        found(d, (struct dp_replica_found){.data = DP_REPLICA_ABSENT});
    else if (this_way(d)->place)
        compare(d);
    else
        find_begin(d);
}

/* ---- looking ---- */

/* It is not what it was: nothing holds that is known of its ways. */
static void made_anew(struct database *d, uint16_t region)
{
    const struct dp_replication_listener *l = &d->watch->opt.listener;
    for (uint16_t i = 0; i < d->watch->n; i++) {
        replication_forget_way(replication_way(d, region, i));
        replication_forget_way(replication_way(d, i, region));
    }
    if (l->anew)
        l->anew(l->ctx, d->name, region_name(d, region));
}

static bool other_life(const struct dp_replica_info *was, const struct dp_replica_info *is)
{
    if (!was->seq[0])
        return false;
    if (was->number && is->number)
        return is->seq_number < was->seq_number;
    return was->number != is->number || (was->life[0] && strcmp(was->life, is->life) != 0);
}

static void note_look(struct database *d, const struct dp_fetch_result *res)
{
    struct look_at *l = &d->looks[d->region];
    struct dp_replica_info info;
    char word[ANSWER_WORD];
    replication_word(word, res);
    replication_say(l->word, sizeof(l->word), "%.40s in %.50s", word, region_name(d, d->region));
    l->look = LOOK_NO_ANSWER;
    if (replication_denied(res)) {
        l->look = LOOK_DENIED;
        note_refusal(d, res, d->region);
    } else if (res->err == DP_OK && res->status == 404) {
        if (l->info.seq[0])
            made_anew(d, d->region);
        l->look = LOOK_GONE;
        l->info.seq[0] = '\0';
    } else if (res->err == DP_OK && res->status == 200 &&
               dp_replica_info(res->body, &info) == DP_OK) {
        if (other_life(&l->info, &info))
            made_anew(d, d->region);
        l->look = LOOK_HERE;
        l->info = info;
        l->word[0] = '\0';
    }
    l->asked_ns = d->asked_ns;
}

static void tell_look(const struct database *d)
{
    const struct look_at *l = &d->looks[d->region];
    const struct dp_replication_listener *to = &d->watch->opt.listener;
    if (!to->look || l->look != LOOK_HERE || !replication_in_use(d))
        return;
    const struct dp_replication_look told = {
        .database = d->name,
        .region = region_name(d, d->region),
        .update_seq = dp_span_str(l->info.seq),
        .asked_ns = l->asked_ns,
        .asked_wall_ms = wall_of(d->watch, l->asked_ns),
    };
    to->look(to->ctx, &told);
}

static void on_look(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    d->fetch = NULL;
    d->watch->asking--;
    note_look(d, res);
    tell_look(d);
    d->region++;
    d->due_ns = 0;
    replication_arm(d->watch);
}

static void step_look(struct database *d)
{
    struct dp_replication *r = d->watch;
    char path[DATABASE_PATH_BYTES + 2];
    if (d->region == r->n) {
        d->step = replication_share_due(d) ? STEP_SHARE : STEP_WAY;
        d->region = d->from = d->to = 0;
        return;
    }
    struct look_at *l = &d->looks[d->region];
    enum dp_reach why;
    (void)snprintf(path, sizeof(path), "/%s", d->path);
    d->asked_ns = replication_now(r);
    if (replication_ask(r, d->region, path, (struct dp_span){NULL, 0}, on_look, d, &d->fetch, &why))
        return;
    l->look = why == DP_REACH_NO_KEYS ? LOOK_DENIED : LOOK_NO_ANSWER;
    l->asked_ns = d->asked_ns;
    replication_say(l->word, sizeof(l->word), "%.60s %s", region_name(d, d->region),
                    why == DP_REACH_NO_KEYS ? "refused our credentials"
                                            : "is not asked while it is down");
    d->region++;
}

/* ---- from outside ---- */

void replication_step(struct database *d)
{
    /* What needs no answer goes on at once. */
    while (!d->fetch && d->due_ns <= replication_now(d->watch)) {
        switch (d->step) {
        case STEP_IDLE:
            if (!replication_jobs_known(d->watch)) {
                d->due_ns = replication_later(d->watch, TRY_FIRST_MS);
                return;
            }
            d->step = STEP_LOOK;
            d->region = 0;
            break;
        case STEP_LOOK:
            step_look(d);
            break;
        case STEP_SHARE:
            replication_share_step(d);
            break;
        case STEP_WAY:
            step_way(d);
            break;
        case STEP_DIFF:
            ask_again(d);
            break;
        case STEP_JOB:
        case STEP_CHECKPOINT:
        case STEP_CHANGES: /* never without a request */
            d->step = STEP_WAY;
            break;
        }
    }
}

void replication_stop_round(struct database *d)
{
    if (d->fetch) {
        dp_fetch_cancel(d->fetch);
        d->watch->asking--;
    }
    d->fetch = NULL;
    replication_drop_newer(d);
    d->step = STEP_IDLE;
    d->hurried = false;
    d->due_ns = replication_later(d->watch, replication_interval_ms(d->watch));
}

void replication_hurry_way(struct database *d, uint16_t from, uint16_t to)
{
    const struct way *w = replication_way(d, from, to);
    replication_stop_round(d);
    if (w->known.data != DP_REPLICA_SAME || !w->place)
        return;
    d->hurried = true;
    d->from = from;
    d->to = to;
    d->due_ns = 0;
    d->step = STEP_WAY;
}
