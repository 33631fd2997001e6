/* The checker's phases, on one timer: each tick asks what is due and looks whether the phase is over. Answers only change what is
 * known. Everything else is in checker_read.c (documents) and audit.c (judgement). */
#include "davenport/drill/checker.h"

#include "drill/ask.h"
#include "drill/checker_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS  2000
#define PAGE_BYTES (16u << 20)
#define AGAIN_MS   300 /* after an answer that was none */
#define NAME_BYTES 256 /* of a database */

uint64_t checker_now(const struct dp_checker *c)
{
    return uv_now(c->opt.loop) + 1;
}

void checker_fail(struct dp_checker *c, enum dp_err err)
{
    if (!c->err)
        c->err = err;
}

/* ---- following the regions' feeds ---- */

static enum dp_err on_row(void *ctx, const char *id, const char *const *revs, size_t n)
{
    struct region *r = ctx;
    if (strncmp(id, "_design/", 8) == 0)
        return DP_OK;
    for (size_t i = 0; i < n; i++) {
        if (strlen(revs[i]) >= DP_LEDGER_REV)
            return DP_EINVAL;
    }
    return n == 0 ? DP_EINVAL : dp_holdings_put(&r->holds, id, revs, n);
}

static void take_page(struct region *r, struct dp_span body)
{
    struct dp_checker *c = r->c;
    struct dp_replica_page page;
    dp_replica_set_clear(c->page);
    enum dp_err err = dp_replica_take_page(c->page, body, &page);
    if (!err)
        err = dp_replica_set_each(c->page, on_row, r);
    if (err == DP_ENOMEM) {
        checker_fail(c, err);
    } else if (err) {
        r->given_up = true;
        r->listed = false;
        (void)snprintf(r->why, sizeof(r->why), "%s",
                       err == DP_ELIMIT ? "it holds more documents than the checker may keep"
                                        : "its _changes are not what CouchDB answers");
    } else {
        bool end = page.rows < PAGE_ROWS;
        c->new_ms = page.rows > 0 ? checker_now(c) : c->new_ms;
        memcpy(r->place, page.last_seq, strlen(page.last_seq) + 1);
        r->told_ms = end ? checker_now(c) : 0;
        r->listed = r->listed || end;
        r->due_ms = end ? checker_now(c) + c->opt.poll_ms : 0;
        r->why[0] = '\0';
    }
}

static void ask_changes(struct region *r);

static void on_changes(void *ctx, const struct dp_fetch_result *res)
{
    struct region *r = ctx;
    r->fetch = NULL;
    if (dp_drill_good(res)) {
        take_page(r, res->body);
        if (r->due_ms == 0 && !r->given_up && r->c->phase == CHECKER_CONVERGING)
            ask_changes(r);
        return;
    }
    r->told_ms = 0;
    r->due_ms = checker_now(r->c) + AGAIN_MS;
    dp_drill_word(res, r->why, sizeof(r->why));
}

static void ask_changes(struct region *r)
{
    struct dp_checker *c = r->c;
    char since[3 * DP_REPLICA_TOKEN];
    char path[3 * NAME_BYTES + sizeof(since) + 64];
    if (!dp_replica_encode(r->place, since, sizeof(since)))
        since[0] = '\0'; /* does not come: the room is three times a token's */
    (void)snprintf(path, sizeof(path), "%s/_changes?style=all_docs&limit=%d&since=%s", c->database,
                   PAGE_ROWS, since);
    const struct dp_drill_ask ask = {
        .path = path, .timeout_ms = c->opt.ask_ms, .max_body_bytes = PAGE_BYTES};
    enum dp_err err = dp_drill_ask(c->fetcher, r->at, &ask, on_changes, r, &r->fetch);
    if (err == DP_ENOMEM) {
        checker_fail(c, err);
    } else if (err) {
        r->given_up = true;
        (void)snprintf(r->why, sizeof(r->why), "its URL can't be asked");
    }
}

/* ---- converging ---- */

static bool hold_the_same(const struct dp_checker *c)
{
    const struct region *first = &c->regions[0];
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        const struct region *r = &c->regions[i];
        if (r->told_ms == 0 || r->given_up || r->holds.n != first->holds.n ||
            r->holds.sum != first->holds.sum)
            return false;
    }
    return true;
}

/* Everybody has told since, and this long after. */
static bool is_settled(const struct dp_checker *c)
{
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        if (c->regions[i].told_ms < c->same_ms + c->opt.quiet_ms)
            return false;
    }
    return true;
}

static void tell_difference(struct dp_checker *c)
{
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        struct region *r = &c->regions[i];
        const struct region *other = &c->regions[i ? 0 : 1];
        const char *example = "";
        if (!r->listed || c->opt.n_regions == 1 || !other->listed)
            continue; /* checker_read.c says that it is unread */
        uint32_t n = dp_holdings_differ(&r->holds, &other->holds, &example);
        if (n > 0)
            dp_audit_find(c->audit, DP_FINDING_DIVERGED, r->at->name, dp_span_str(example),
                          DP_SPAN(""), "%u documents are not the same in %s after %u ms", n,
                          other->at->name, (unsigned)(checker_now(c) - c->start_ms));
    }
}

static void converge_step(struct dp_checker *c)
{
    uint64_t now = checker_now(c);
    if (!hold_the_same(c))
        c->same_ms = 0;
    else if (c->same_ms == 0)
        c->same_ms = now;
    bool settled = c->same_ms != 0 && is_settled(c);
    if (settled)
        c->converged_s = (double)(c->same_ms - c->start_ms) / 1000;
    if (settled || now >= c->end_ms || c->hurry) {
        if (!settled)
            tell_difference(c);
        c->phase = CHECKER_READING;
        c->end_ms = now + c->opt.read_ms;
        checker_read_begin(c);
        return;
    }
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        struct region *r = &c->regions[i];
        if (!r->fetch && !r->given_up && now >= r->due_ms)
            ask_changes(r);
    }
    if (c->opt.stalled && c->same_ms == 0 && now >= c->new_ms + c->opt.stall_ms) {
        c->new_ms = now;
        c->opt.stalled(c->ctx);
    }
}

/* ---- the end ---- */

static void tell_unread(struct dp_checker *c, bool read[DP_DRILL_REGIONS_MAX])
{
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        const struct region *r = &c->regions[i];
        read[i] = r->read;
        if (!r->read)
            dp_audit_find(c->audit, DP_FINDING_UNREAD, r->at->name, DP_SPAN(""), DP_SPAN(""), "%s",
                          r->why[0] ? r->why : "there was no time to read it to its end");
    }
}

static void tell_missed(struct dp_checker *c)
{
    struct dp_feed_counts f;
    for (const struct owed *o = c->owed; o; o = o->next) {
        c->missed[o->feed]++;
        if (dp_ledger_feed_count(c->opt.ledger, o->feed, &f))
            dp_audit_find(c->audit, DP_FINDING_MISSED, "", dp_span_str(o->id), dp_span_str(o->rev),
                          "%s follower %u was never told it", f.kind, o->feed);
    }
}

/* c may be gone afterwards. */
static void finish(struct dp_checker *c)
{
    bool read[DP_DRILL_REGIONS_MAX];
    (void)uv_timer_stop(&c->timer);
    c->phase = CHECKER_DONE;
    for (size_t i = 0; i < c->opt.n_regions; i++)
        checker_cancel(&c->regions[i]);
    if (!c->err) {
        tell_unread(c, read);
        dp_audit_finish(c->audit, read);
        tell_missed(c);
    }
    c->done(c->ctx, c->err);
}

static void show(const struct dp_checker *c)
{
    static const char *const names[] = {"converging", "reading", "following", "done"};
    char text[256];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; c->phase != CHECKER_FOLLOWING && i < c->opt.n_regions && at < sizeof(text);
         i++) {
        const struct region *r = &c->regions[i];
        uint32_t n = c->phase == CHECKER_READING ? r->next : r->holds.n;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %u%s%s", i ? ", " : "",
                               r->at->name, n, r->why[0] ? ": " : "", r->why);
    }
    if (c->progress)
        c->progress(c->ctx, names[c->phase], text);
}

static void on_tick(uv_timer_t *timer)
{
    struct dp_checker *c = timer->data;
    switch (c->phase) {
    case CHECKER_CONVERGING:
        converge_step(c);
        break;
    case CHECKER_READING:
        if (checker_read_step(c)) {
            c->phase = CHECKER_FOLLOWING;
            c->end_ms = checker_now(c) + c->opt.follow_ms;
        }
        break;
    case CHECKER_FOLLOWING:
        if (checker_owed(c) == 0 || checker_now(c) >= c->end_ms || c->hurry) {
            finish(c);
            return;
        }
        break;
    case CHECKER_DONE:
        return;
    }
    if (c->err)
        finish(c);
    else
        show(c);
}

/* ---- birth and death ---- */

static void or_default(uint32_t *value, uint32_t usual)
{
    if (*value == 0)
        *value = usual;
}

static void fill_defaults(struct dp_checker_options *o)
{
    or_default(&o->converge_ms, 60000);
    or_default(&o->quiet_ms, 1000);
    or_default(&o->read_ms, 120000);
    or_default(&o->follow_ms, 10000);
    or_default(&o->ask_ms, 20000);
    or_default(&o->poll_ms, 100);
    or_default(&o->stall_ms, 10000);
    or_default(&o->document_bytes, 1024);
    or_default(&o->max_documents, 2000000);
}

static void free_checker(struct dp_checker *c)
{
    for (struct owed *o = c->owed, *next; o; o = next) {
        next = o->next;
        free(o);
    }
    for (size_t i = 0; i < c->opt.n_regions; i++)
        dp_holdings_fini(&c->regions[i].holds);
    dp_audit_free(c->audit);
    dp_replica_set_free(c->page);
    free(c->database);
    free(c);
}

static bool make_parts(struct dp_checker *c, const char *database)
{
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        struct region *r = &c->regions[i];
        *r = (struct region){.at = &c->opt.regions[i], .c = c, .place = "0"};
        dp_holdings_init(&r->holds, c->opt.max_documents);
        c->names[i] = r->at->name;
    }
    const struct dp_audit_options audit = {.ledger = c->opt.ledger,
                                           .regions = c->names,
                                           .n_regions = c->opt.n_regions,
                                           .alone = c->opt.alone};
    c->audit = dp_audit_new(&audit);
    c->page = dp_replica_set_new();
    c->database = malloc(3 * NAME_BYTES + 2);
    if (!c->audit || !c->page || !c->database)
        return false;
    c->database[0] = '/';
    return dp_replica_encode(database, c->database + 1, 3 * NAME_BYTES + 1);
}

enum dp_err dp_checker_start(const struct dp_checker_options *opt, dp_checker_progress progress,
                             dp_checker_done done, void *ctx, struct dp_checker **out)
{
    assert(opt->n_regions > 0 && opt->n_regions <= DP_DRILL_REGIONS_MAX);
    if (strlen(opt->database) >= NAME_BYTES)
        return DP_EINVAL;
    struct dp_checker *c = calloc(1, sizeof(*c));
    if (!c)
        return DP_ENOMEM;
    c->opt = *opt;
    fill_defaults(&c->opt);
    if (!make_parts(c, opt->database) || !(c->fetcher = dp_fetcher_new(opt->loop))) {
        free_checker(c);
        return DP_ENOMEM;
    }
    c->progress = progress;
    c->done = done;
    c->ctx = ctx;
    c->converged_s = -1;
    uv_update_time(opt->loop);
    c->start_ms = checker_now(c);
    c->end_ms = c->start_ms + c->opt.converge_ms;
    c->new_ms = c->start_ms;
    (void)uv_timer_init(opt->loop, &c->timer);
    c->timer.data = c;
    (void)uv_timer_start(&c->timer, on_tick, 0, c->opt.poll_ms < 50 ? c->opt.poll_ms : 50);
    *out = c;
    return DP_OK;
}

void dp_checker_hurry(struct dp_checker *c)
{
    c->hurry = true;
    if (c->phase == CHECKER_READING)
        c->end_ms = checker_now(c);
}

static void on_gone(void *ctx)
{
    struct dp_checker *c = ctx;
    void (*closed)(void *) = c->closed;
    void *closed_ctx = c->closed_ctx;
    free_checker(c);
    if (closed)
        closed(closed_ctx);
}

void dp_checker_destroy(struct dp_checker *c, void (*closed)(void *ctx), void *ctx)
{
    if (!c)
        return;
    c->closed = closed;
    c->closed_ctx = ctx;
    dp_fetcher_destroy_with(c->fetcher, &c->timer, on_gone, c);
}

const struct dp_audit *dp_checker_audit(const struct dp_checker *c)
{
    return c->audit;
}

double dp_checker_converged_s(const struct dp_checker *c)
{
    return c->converged_s;
}
