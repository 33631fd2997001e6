/* Documents of ours that replication has to carry: one in each region, in one database, written again and again and looked
 * for in every other region. That is the proof that no word of a replicator is: it says "running" while its target is dead.
 *
 *   source   PUT, on the revision that it has  ──409──►  GET  ──►  PUT        every replication.canary_interval_ms
 *   look     POST _revs_diff: has the region that revision, or the newest one?  soon after, then less and less often
 *
 * The document is its region's own, so replication brings no conflict. Who else writes it (a proxy of the same name) writes
 * on our revision, or we on its: whoever has a later one has ours. It stays at the end: deleted it would be a tombstone,
 * which is replicated and kept just as long, and every start would add a revision to it. What is known of each way is
 * core/canary.h's. */
#include "control/replication_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define EAGER_MS      1000
#define LOOK_FIRST_MS 50
#define LOOK_LAST_MS  2000
#define ID_BYTES      224
#define PATH_BYTES    (DATABASE_PATH_BYTES + 3 * ID_BYTES + 4)

static const struct dp_span no_body = {NULL, 0};

/* NULL: none are sent. */
static struct database *home(const struct dp_replication *r)
{
    for (unsigned i = 0; i < r->n_databases; i++) {
        if (r->databases[i]->canary)
            return r->databases[i];
    }
    return NULL;
}

static struct dp_canary *known(const struct canary_look *l)
{
    return &replication_way(home(l->watch), l->from, l->to)->known.canary;
}

static uint64_t interval_ms(const struct dp_replication *r)
{
    const uint64_t ms = r->config->replication_canary_interval_ms;
    return r->eager && ms > EAGER_MS ? EAGER_MS : ms;
}

static void name(const struct dp_replication *r, uint16_t region, char out[ID_BYTES])
{
    const char *id = r->config->canary_id;
    replication_say(out, ID_BYTES, "%.100s-from-%.100s", id ? id : "davenport-canary",
                    r->config->regions[region].name);
}

/* ---- writing ---- */

static void write_it(struct canary_source *s);

static void rest(struct canary_source *s)
{
    s->looked = false;
    s->due_ns = replication_later(s->watch, interval_ms(s->watch));
}

/* Of every way from there. */
static void withdraw(const struct canary_source *s)
{
    for (uint16_t to = 0; to < s->watch->n; to++) {
        if (to != s->region)
            dp_canary_withdrawn(known(&s->watch->looks[s->region][to]));
    }
}

static void failed(const struct canary_source *s, bool denied, const char *word)
{
    for (uint16_t to = 0; to < s->watch->n; to++) {
        if (to != s->region)
            dp_canary_failed(known(&s->watch->looks[s->region][to]), denied, word);
    }
}

/* What is wrong with an answer, and whether it is about our rights. */
static bool say_trouble(struct dp_replication *r, uint16_t region,
                        const struct dp_fetch_result *res, char word[DP_CANARY_WORD])
{
    char what[ANSWER_WORD];
    replication_word(what, res);
    replication_say(word, DP_CANARY_WORD, "%.40s in %.50s", what, r->config->regions[region].name);
    if (res->err == DP_OK && res->status == 401)
        r->opt.refused(r->opt.ctx, region);
    return replication_denied(res);
}

static void trouble(struct canary_source *s, const struct dp_fetch_result *res)
{
    char word[DP_CANARY_WORD];
    const bool denied = say_trouble(s->watch, s->region, res, word);
    failed(s, denied, word);
    rest(s);
    replication_told(s->watch);
}

static void written(struct canary_source *s)
{
    struct dp_replication *r = s->watch;
    s->number++;
    s->sent_ns = s->asked_ns;
    memcpy(s->newest, s->rev, sizeof(s->newest));
    for (uint16_t to = 0; to < r->n; to++) {
        struct canary_look *l = &r->looks[s->region][to];
        if (to == s->region)
            continue;
        struct dp_canary *c = known(l);
        const bool waited = c->out_ns != 0;
        dp_canary_sent(c, s->number, s->sent_ns);
        if (waited)
            continue;
        memcpy(l->rev, s->rev, sizeof(l->rev));
        l->tries = 0;
        l->due_ns = replication_later(r, LOOK_FIRST_MS);
    }
    rest(s);
}

static void on_put(void *ctx, const struct dp_fetch_result *res)
{
    struct canary_source *s = ctx;
    const bool good = res->err == DP_OK && (res->status == 201 || res->status == 202);
    s->fetch = NULL;
    s->watch->asking--;
    if (good && dp_replica_rev(res->body, s->rev) == DP_OK) {
        written(s);
    } else if (res->err == DP_OK && res->status == 409 && !s->looked) {
        s->looked = true; /* it has a revision that we do not know */
        s->due_ns = 0;
    } else if (res->err == DP_OK && res->status == 409) {
        rest(s); /* another proxy was first again */
    } else {
        trouble(s, res);
    }
    replication_arm(s->watch);
}

static void on_get(void *ctx, const struct dp_fetch_result *res)
{
    struct canary_source *s = ctx;
    s->fetch = NULL;
    s->watch->asking--;
    s->rev[0] = '\0';
    if (res->err == DP_OK && res->status == 200 && dp_replica_rev(res->body, s->rev) == DP_OK)
        write_it(s);
    else if (res->err == DP_OK && res->status == 404)
        rest(s);
    else
        trouble(s, res);
    replication_arm(s->watch);
}

/* Ask its region about it. */
static void ask(struct canary_source *s, struct dp_span body, dp_fetch_done done)
{
    struct dp_replication *r = s->watch;
    char id[ID_BYTES], path[PATH_BYTES];
    enum dp_reach why = DP_REACH_DOWN;
    name(r, s->region, id);
    const int n = snprintf(path, sizeof(path), "/%s/", home(r)->path);
    s->asked_ns = replication_now(r);
    if (dp_replica_encode(id, path + n, sizeof(path) - (size_t)n) &&
        replication_put(r, s->region, path, body, done, s, &s->fetch, &why))
        return;
    if (why == DP_REACH_NO_KEYS)
        failed(s, true, "credentials were refused");
    withdraw(s);
    rest(s);
}

static void write_it(struct canary_source *s)
{
    char body[256];
    (void)snprintf(body, sizeof(body),
                   "{%s%s%s\"davenport\":\"a canary: written here and looked for in other regions, "
                   "to see that replication works\",\"written_ms\":%" PRId64 "}",
                   s->rev[0] ? "\"_rev\":\"" : "", s->rev, s->rev[0] ? "\"," : "",
                   dp_clock_wall_ms(s->watch->opt.clock));
    ask(s, dp_span_str(body), on_put);
}

/* ---- looking ---- */

static void look_again(struct canary_look *l)
{
    const uint64_t ms = (uint64_t)LOOK_FIRST_MS << (l->tries < 8 ? l->tries : 8);
    l->tries++;
    l->due_ns = replication_later(l->watch, ms < LOOK_LAST_MS ? ms : LOOK_LAST_MS);
}

/* By the answer. DP_EINVAL: it says nothing. */
static enum dp_err judge(struct canary_look *l, struct dp_span body)
{
    const uint64_t now = replication_now(l->watch);
    struct dp_canary *c = known(l);
    char id[ID_BYTES];
    bool lacks_newest, lacks_waited;
    name(l->watch, l->from, id);
    enum dp_err err = dp_replica_lacks(body, id, l->newest, &lacks_newest);
    if (!err)
        err = dp_replica_lacks(body, id, l->rev, &lacks_waited);
    if (err)
        return err;
    if (lacks_newest && lacks_waited) {
        dp_canary_missed(c, now);
        return DP_OK;
    }
    const struct canary_source *s = &l->watch->canaries[l->from];
    dp_canary_came(c, lacks_newest ? c->out : l->newest_number, s->number, s->sent_ns, now);
    memcpy(l->rev, s->newest, sizeof(l->rev));
    l->tries = 0;
    return DP_OK;
}

static void on_diff(void *ctx, const struct dp_fetch_result *res)
{
    struct canary_look *l = ctx;
    char word[DP_CANARY_WORD];
    l->fetch = NULL;
    l->watch->asking--;
    const bool gone = res->err == DP_OK && res->status == 404; /* the database */
    if (gone)
        dp_canary_missed(known(l), replication_now(l->watch));
    if (res->err != DP_OK || res->status != 200 || judge(l, res->body) != DP_OK) {
        const bool denied = say_trouble(l->watch, l->to, res, word);
        dp_canary_failed(known(l), denied, word);
    }
    look_again(l);
    replication_told(l->watch);
    replication_arm(l->watch);
}

static void look(struct canary_look *l)
{
    struct dp_replication *r = l->watch;
    const struct canary_source *s = &r->canaries[l->from];
    char id[ID_BYTES], path[PATH_BYTES], body[ID_BYTES + 2 * DP_REPLICA_REV + 16];
    enum dp_reach why;
    name(r, l->from, id);
    memcpy(l->newest, s->newest, sizeof(l->newest));
    l->newest_number = s->number;
    (void)snprintf(path, sizeof(path), "/%s/_revs_diff", home(r)->path);
    (void)snprintf(body, sizeof(body), "{\"%s\":[\"%s\",\"%s\"]}", id, l->rev, l->newest);
    if (replication_ask(r, l->to, path, dp_span_str(body), on_diff, l, &l->fetch, &why))
        return;
    if (why == DP_REACH_NO_KEYS)
        dp_canary_failed(known(l), true, "credentials were refused");
    dp_canary_withdrawn(known(l));
}

/* ---- from outside ---- */

void replication_canary_init(struct dp_replication *r)
{
    for (uint16_t from = 0; from < DP_MAX_REGIONS; from++) {
        r->canaries[from] = (struct canary_source){.watch = r, .region = from};
        for (uint16_t to = 0; to < DP_MAX_REGIONS; to++)
            r->looks[from][to] = (struct canary_look){.watch = r, .from = from, .to = to};
    }
    for (unsigned i = 0; i < r->n_databases; i++) {
        for (unsigned k = 0; k < (unsigned)r->n * r->n; k++)
            r->databases[i]->ways[k].known.canary = (struct dp_canary){0};
    }
}

static bool waits(const struct canary_look *l)
{
    return l->from != l->to && !l->fetch && known(l)->out_ns != 0;
}

uint64_t replication_canary_due_ns(const struct dp_replication *r)
{
    uint64_t due = UINT64_MAX;
    if (!home(r) || r->hurry)
        return due;
    for (uint16_t from = 0; from < r->n; from++) {
        if (!r->canaries[from].fetch && r->canaries[from].due_ns < due)
            due = r->canaries[from].due_ns;
        for (uint16_t to = 0; to < r->n; to++) {
            const struct canary_look *l = &r->looks[from][to];
            if (waits(l) && l->due_ns < due)
                due = l->due_ns;
        }
    }
    return due;
}

static void step_source(struct canary_source *s)
{
    if (s->looked)
        ask(s, no_body, on_get);
    else
        write_it(s);
}

void replication_canary_step(struct dp_replication *r, unsigned most)
{
    const uint64_t now = replication_now(r);
    if (!home(r) || r->hurry)
        return;
    for (uint16_t from = 0; from < r->n; from++) {
        struct canary_source *s = &r->canaries[from];
        if (!s->fetch && s->due_ns <= now && r->asking < most)
            step_source(s);
        for (uint16_t to = 0; to < r->n; to++) {
            struct canary_look *l = &r->looks[from][to];
            if (waits(l) && l->due_ns <= now && r->asking < most)
                look(l);
        }
    }
}

void replication_canary_soon(struct dp_replication *r)
{
    const uint64_t now = replication_now(r);
    for (uint16_t i = 0; i < r->n; i++) {
        struct canary_source *s = &r->canaries[i];
        if (s->due_ns > now)
            s->due_ns = now;
    }
}

static void cancel(struct dp_replication *r, struct dp_fetch **fetch)
{
    if (!*fetch)
        return;
    dp_fetch_cancel(*fetch);
    r->asking--;
    *fetch = NULL;
}

void replication_canary_stop(struct dp_replication *r)
{
    for (uint16_t from = 0; from < r->n; from++) {
        cancel(r, &r->canaries[from].fetch);
        for (uint16_t to = 0; to < r->n; to++)
            cancel(r, &r->looks[from][to].fetch);
    }
}

/* ---- for the governor ---- */

const struct dp_canary *dp_replication_canary(const struct dp_replication *r, uint16_t from,
                                              uint16_t to)
{
    return home(r) ? known(&r->looks[from][to]) : NULL;
}
