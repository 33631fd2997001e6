/* The checker reads every leaf that was listed, in batches, a few at once of each region; what it reads goes to the audit, and
 * what followers lack of one region is kept until they have it. */
#include "drill/ask.h"
#include "drill/checker_state.h"
#include "drill/leaves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define BATCH_DOCUMENTS 100
#define BATCH_BYTES     (8u << 20) /* as is to be expected */
#define ANSWER_BYTES    (64u << 20)
#define AGAIN_MS        500
#define HISTORY_MOST                                                                               \
    1000 /* revisions: as long as a history is, unless somebody has set it otherwise */
#define HISTORY_BYTES 40  /* a revision in it */
#define LEAF_BYTES    256 /* around a body */

/* ---- what followers lack ---- */

/* The regions hold the same, as a rule: so one of them says what followers must have been told. */
static bool is_witness(const struct dp_checker *c, size_t region)
{
    for (size_t i = 0; i < region; i++) {
        if (c->regions[i].listed)
            return false;
    }
    return true;
}

static void owe(struct dp_checker *c, uint32_t feed, struct dp_span id, struct dp_span rev)
{
    struct owed *o = malloc(sizeof(*o) + id.n + 1);
    if (!o) {
        checker_fail(c, DP_ENOMEM);
        return;
    }
    o->feed = feed;
    memcpy(o->id, id.p, id.n);
    o->id[id.n] = '\0';
    (void)snprintf(o->rev, sizeof(o->rev), "%.*s", (int)rev.n, rev.p);
    o->next = c->owed;
    c->owed = o;
}

static void look_at_followers(struct dp_checker *c, struct dp_span id, const struct dp_leaf *leaves,
                              size_t n)
{
    struct dp_feed_counts f;
    size_t winner;
    uint32_t tag;
    /* what nobody wrote is found elsewhere */
    if (!dp_audit_is_ours(c->audit, id, leaves, n, &winner, &tag) || tag == DP_LEDGER_NONE)
        return;
    for (uint32_t i = 0; dp_ledger_feed_count(c->opt.ledger, i, &f); i++) {
        if (tag >= f.first_write && !f.full &&
            !dp_ledger_told(c->opt.ledger, i, id, leaves[winner].rev))
            owe(c, i, id, leaves[winner].rev);
    }
}

uint32_t checker_owed(struct dp_checker *c)
{
    uint32_t n = 0;
    for (struct owed **at = &c->owed; *at;) {
        struct owed *o = *at;
        if (dp_ledger_told(c->opt.ledger, o->feed, dp_span_str(o->id), dp_span_str(o->rev))) {
            *at = o->next;
            free(o);
        } else {
            at = &o->next;
            n++;
        }
    }
    return n;
}

/* ---- documents ---- */

static void on_document(void *ctx, struct dp_span id, const struct dp_leaf *leaves, size_t n)
{
    const struct lane *l = ctx;
    dp_audit_document(l->c->audit, l->region, id, leaves, n);
    if (is_witness(l->c, l->region))
        look_at_followers(l->c, id, leaves, n);
}

void checker_cancel(struct region *r)
{
    if (r->fetch)
        dp_fetch_cancel(r->fetch);
    r->fetch = NULL;
    for (size_t k = 0; k < CHECKER_LANES; k++) {
        if (r->lanes[k].fetch)
            dp_fetch_cancel(r->lanes[k].fetch);
        r->lanes[k].fetch = NULL;
    }
}

static void give_up(struct region *r, const char *why)
{
    checker_cancel(r);
    r->given_up = true;
    (void)snprintf(r->why, sizeof(r->why), "%s", why);
}

static void on_answer(void *ctx, const struct dp_fetch_result *res)
{
    struct lane *l = ctx;
    struct region *r = &l->c->regions[l->region];
    l->fetch = NULL;
    if (!dp_drill_good(res)) {
        l->due_ms = checker_now(l->c) + AGAIN_MS;
        dp_drill_word(res, r->why, sizeof(r->why));
        return;
    }
    size_t absent = 0;
    enum dp_err err =
        dp_leaves_read(res->body, dp_ledger_run(l->c->opt.ledger), on_document, l, &absent);
    if (err == DP_ENOMEM) {
        checker_fail(l->c, err);
    } else if (err) {
        give_up(r, "its _bulk_get is not what CouchDB answers");
    } else {
        r->why[0] = '\0';
        r->absent += absent;
        l->from = l->to;
    }
}

/* The next documents that nobody has asked for. */
static void take_batch(const struct dp_checker *c, struct region *r, struct lane *l)
{
    uint64_t bytes = 0;
    l->from = r->next;
    while (r->next < r->holds.n && r->next - l->from < BATCH_DOCUMENTS && bytes < BATCH_BYTES) {
        const char *rev = NULL;
        for (uint32_t k = 0; k < dp_holdings_leaves(&r->holds, r->next); k++) {
            rev = dp_holdings_next(&r->holds, r->next, rev);
            unsigned long generation = strtoul(rev, NULL, 10);
            bytes += LEAF_BYTES + c->opt.document_bytes +
                     HISTORY_BYTES * (generation < HISTORY_MOST ? generation : HISTORY_MOST);
        }
        r->next++;
    }
    l->to = r->next;
}

/* {"docs":[{"id","rev"}, …]} from malloc; NULL: no memory. */
static char *question(const struct region *r, const struct lane *l)
{
    json_t *docs = json_array();
    bool good = docs != NULL;
    for (uint32_t i = l->from; good && i < l->to; i++) {
        const char *rev = NULL;
        for (uint32_t k = 0; good && k < dp_holdings_leaves(&r->holds, i); k++) {
            rev = dp_holdings_next(&r->holds, i, rev);
            good = json_array_append_new(docs,
                                         json_pack("{s:s, s:s}", "id", dp_holdings_id(&r->holds, i),
                                                   "rev", rev)) == 0;
        }
    }
    json_t *root = good ? json_pack("{s:O}", "docs", docs) : NULL;
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    json_decref(docs);
    return text;
}

static void ask(struct lane *l)
{
    struct dp_checker *c = l->c;
    struct region *r = &c->regions[l->region];
    char path[1024];
    char *body = question(r, l);
    if (!body) {
        checker_fail(c, DP_ENOMEM);
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/_bulk_get?revs=true", c->database);
    const struct dp_drill_ask q = {.method = "POST",
                                   .path = path,
                                   .body = dp_span_str(body),
                                   .timeout_ms = c->opt.ask_ms,
                                   .max_body_bytes = ANSWER_BYTES};
    enum dp_err err = dp_drill_ask(c->fetcher, r->at, &q, on_answer, l, &l->fetch);
    if (err == DP_ENOMEM)
        checker_fail(c, err);
    else if (err)
        give_up(r, "its URL can't be asked");
    free(body);
}

void checker_read_begin(struct dp_checker *c)
{
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        struct region *r = &c->regions[i];
        checker_cancel(r); /* a page that is under way: what it would bring is not read any more */
        for (size_t k = 0; k < CHECKER_LANES; k++)
            r->lanes[k] = (struct lane){.c = c, .region = i};
    }
}

/* True: nothing is to be asked of it any more. */
static bool read_region(struct dp_checker *c, struct region *r)
{
    bool idle = true;
    for (size_t k = 0; r->listed && !r->given_up && k < CHECKER_LANES; k++) {
        struct lane *l = &r->lanes[k];
        if (!l->fetch && l->from == l->to)
            take_batch(c, r, l);
        if (l->from == l->to)
            continue;
        idle = false;
        if (!l->fetch && checker_now(c) >= l->due_ms)
            ask(l);
    }
    if (idle)
        r->read = r->listed && !r->given_up;
    return idle;
}

bool checker_read_step(struct dp_checker *c)
{
    bool all = true;
    for (size_t i = 0; i < c->opt.n_regions; i++)
        all = read_region(c, &c->regions[i]) && all;
    if (all || checker_now(c) < c->end_ms)
        return all;
    for (size_t i = 0; i < c->opt.n_regions; i++)
        checker_cancel(&c->regions[i]);
    return true;
}
