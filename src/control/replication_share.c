/* Marks are kept in the regions too, so that a proxy that starts today knows where feeds of yesterday go on: of each database
 * in use one document, _local/davenport-sequences, in each region, which replication leaves where it is. It goes when the
 * database goes. Once in a while it is read, what it tells is added to what is known, and that is written. Two proxies
 * that write at once undo each other's addition, until the next time. */
#include "davenport/base/log.h"

#include "control/replication_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define DOCUMENT    "_local/davenport-sequences"
#define INTERVAL_MS 300000
/* Not larger than databases take documents: what is more is not shared. */
#define TEXT_BYTES 1048576

static const char *region_name(const struct database *d)
{
    return d->watch->config->regions[d->region].name;
}

bool replication_share_due(const struct database *d)
{
    const struct dp_replication *r = d->watch;
    return r->config->share_sequences && r->opt.listener.share && !r->hurry &&
           (d->shared_ns == 0 || replication_now(r) - d->shared_ns >= INTERVAL_MS * DP_NS_PER_MS);
}

static void next_region(struct database *d)
{
    d->region++;
    d->due_ns = 0;
    replication_arm(d->watch);
}

static void on_written(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    const bool good = res->err == DP_OK && (res->status == 201 || res->status == 202);
    const bool raced = res->err == DP_OK && res->status == 409; /* another proxy was first */
    d->fetch = NULL;
    d->watch->asking--;
    if (!good && !raced && !d->not_shared) {
        char word[ANSWER_WORD];
        replication_word(word, res);
        dp_log(DP_LOG_WARN, "sequences_not_shared", DP_KV_STR("database", d->name),
               DP_KV_STR("region", region_name(d)), DP_KV_STR("reason", word));
    }
    d->not_shared = !good && !raced;
    next_region(d);
}

/* rev: of what is there, or NULL. False: nothing was asked. */
static bool write_marks(struct database *d, const char *text, const char *rev)
{
    char path[DATABASE_PATH_BYTES + sizeof(DOCUMENT) + 2];
    enum dp_reach why;
    json_t *doc =
        json_pack("{s:s, s:s*, s:s}", "davenport", "where _changes feeds go on in another region",
                  "_rev", rev, "maps", text);
    char *body = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_decref(doc);
    (void)snprintf(path, sizeof(path), "/%s/" DOCUMENT, d->path);
    const bool asked = body && replication_put(d->watch, d->region, path, dp_span_str(body),
                                               on_written, d, &d->fetch, &why);
    free(body);
    return asked;
}

static void on_read(void *ctx, const struct dp_fetch_result *res)
{
    struct database *d = ctx;
    const struct dp_replication_listener *l = &d->watch->opt.listener;
    const bool there = res->err == DP_OK && res->status == 200;
    d->fetch = NULL;
    d->watch->asking--;
    json_t *doc = there ? json_loadb(res->body.p, res->body.n, 0, NULL) : NULL;
    const char *maps = json_string_value(json_object_get(doc, "maps"));
    if (maps && l->shared)
        l->shared(l->ctx, d->name, region_name(d), dp_span_str(maps));
    char *text =
        there || (res->err == DP_OK && res->status == 404) ? l->share(l->ctx, d->name) : NULL;
    d->has_marks = d->has_marks || text;
    const char *rev = json_string_value(json_object_get(doc, "_rev"));
    if (!text || strlen(text) > TEXT_BYTES || (maps && strcmp(maps, text) == 0) ||
        !write_marks(d, text, rev))
        next_region(d);
    free(text);
    json_decref(doc);
}

void replication_share_step(struct database *d)
{
    struct dp_replication *r = d->watch;
    char path[DATABASE_PATH_BYTES + sizeof(DOCUMENT) + 2];
    enum dp_reach why;
    if (d->region == r->n) {
        d->shared_ns =
            d->has_marks ? replication_now(r) : 0; /* with nothing to keep: at the next round */
        d->step = STEP_WAY;
        d->from = d->to = 0;
        return;
    }
    (void)snprintf(path, sizeof(path), "/%s/" DOCUMENT, d->path);
    if (d->looks[d->region].look != LOOK_HERE ||
        !replication_ask(r, d->region, path, (struct dp_span){NULL, 0}, on_read, d, &d->fetch,
                         &why))
        d->region++;
}
