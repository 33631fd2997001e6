/* The steps of deep_probe.h, and what each answer means for the next. */
#include "control/deep_probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define MAX_ANSWER_BYTES 65536
#define BODY_BYTES       256
#define NAME_BYTES       1024
#define REV_BYTES        64

enum step { STEP_DATABASE, STEP_FIND, STEP_WRITE, STEP_READ };

static enum dp_probe_layer layer_of(unsigned step)
{
    return step == STEP_DATABASE ? DP_LAYER_DATABASE : DP_LAYER_CANARY;
}

/* A database's name in a path: of what it may hold only "/" and "+" have a meaning of their own there. */
static void encode(const char *name, char out[NAME_BYTES])
{
    size_t n = 0;
    for (const char *c = name; *c && n + 4 < NAME_BYTES; c++) {
        const char *code = *c == '/' ? "%2F" : *c == '+' ? "%2B" : NULL;
        if (code) {
            memcpy(out + n, code, 3);
            n += 3;
        } else {
            out[n++] = *c;
        }
    }
    out[n] = '\0';
}

/* NULL: out of memory. */
static char *url_of(const char *base, const char *database, const char *id)
{
    char name[NAME_BYTES];
    char *url = NULL;
    size_t n = strlen(base);
    while (n > 0 && base[n - 1] == '/')
        n--;
    encode(database, name);
    int made = asprintf(&url, "%.*s/%s%s%s", (int)n, base, name, id ? "/" : "", id ? id : "");
    return made < 0 ? NULL : url;
}

bool dp_deep_probe_init(struct dp_deep_probe *d, const struct dp_probe_target *t)
{
    *d = (struct dp_deep_probe){0};
    if (t->database)
        d->database_url = url_of(t->url, t->database, NULL);
    if (t->canary_database)
        d->canary_url = url_of(t->url, t->canary_database, t->canary_id);
    return (!t->database || d->database_url) && (!t->canary_database || d->canary_url);
}

void dp_deep_probe_fini(struct dp_deep_probe *d)
{
    free(d->database_url);
    free(d->canary_url);
}

bool dp_deep_probe_wanted(const struct dp_deep_probe *d)
{
    return d->database_url || d->canary_url;
}

bool dp_deep_probe_busy(const struct dp_deep_probe *d)
{
    return d->fetch != NULL;
}

static void on_answer(void *ctx, const struct dp_fetch_result *r);

/* rev: of the document to be written; "": it is not there yet. */
static void ask(struct dp_deep_probe *d, enum step step, const char *rev)
{
    char body[BODY_BYTES];
    struct dp_fetch_request req = {0};
    d->base(d->ctx, &req);
    d->step = step;
    if (step == STEP_DATABASE || step == STEP_FIND)
        d->layer_started_ns = dp_clock_mono_ns(d->clock);
    req.url = step == STEP_DATABASE ? d->database_url : d->canary_url;
    req.max_body_bytes = MAX_ANSWER_BYTES;
    if (step == STEP_WRITE) {
        int n = snprintf(body, sizeof(body),
                         "{%s%s%s\"davenport\":\"a canary: written and read to see that writes "
                         "work\",\"number\":%" PRIu64 "}",
                         rev[0] ? "\"_rev\":\"" : "", rev, rev[0] ? "\"," : "", d->number);
        req.method = "PUT";
        req.body = (struct dp_span){body, n > 0 ? (size_t)n : 0};
    }
    if (dp_fetch_start(d->fetcher, &req, on_answer, d, &d->fetch) != DP_OK) {
        d->fetch = NULL; /* no memory: another time */
        d->done(d->ctx, true);
    }
}

/* One layer's result. False: ask no more. */
static bool report(struct dp_deep_probe *d, enum dp_probe_kind kind,
                   const struct dp_fetch_result *r, const char *more)
{
    static const char *const names[] = {
        [STEP_DATABASE] = "GET of the database",
        [STEP_FIND] = "GET of the canary",
        [STEP_WRITE] = "PUT of the canary",
        [STEP_READ] = "GET of the canary after its PUT",
    };
    struct dp_probe_result out = {.layer = layer_of(d->step),
                                  .kind = kind,
                                  .err = r->err,
                                  .status = r->err == DP_OK ? r->status : 0,
                                  .reused = r->reused,
                                  .reached = r->reached,
                                  .started_ns = d->layer_started_ns,
                                  .total_ns = dp_clock_mono_ns(d->clock) - d->layer_started_ns};
    if (r->err != DP_OK)
        (void)snprintf(out.detail, sizeof(out.detail), "%s: %s", names[d->step],
                       r->detail && r->detail[0] ? r->detail : dp_err_info(r->err)->reason);
    else
        (void)snprintf(out.detail, sizeof(out.detail), "%s: %" PRIu16 "%s%s in %.1f ms",
                       names[d->step], r->status, more[0] ? ", " : "", more,
                       (double)out.total_ns / 1e6);
    return d->result(d->ctx, &out);
}

/* The layer ends the round. */
static void report_last(struct dp_deep_probe *d, enum dp_probe_kind kind,
                        const struct dp_fetch_result *r, const char *more)
{
    bool passed = dp_probe_kind_alive(kind) || kind == DP_PROBE_THROTTLED || kind == DP_PROBE_QUOTA;
    if (report(d, kind, r, more))
        d->done(d->ctx, passed);
}

/* The document's revision and content. */
static bool read_canary(const struct dp_fetch_result *r, char rev[REV_BYTES], uint64_t *number)
{
    json_t *doc = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, NULL);
    const char *text = json_string_value(json_object_get(doc, "_rev"));
    bool good = text && strlen(text) < REV_BYTES && !strpbrk(text, "\"\\");
    if (good)
        memcpy(rev, text, strlen(text) + 1);
    *number = (uint64_t)json_integer_value(json_object_get(doc, "number"));
    json_decref(doc);
    return good;
}

/* The canary as it was before. */
static void found(struct dp_deep_probe *d, enum dp_probe_kind kind, const struct dp_fetch_result *r)
{
    char rev[REV_BYTES] = "";
    uint64_t number;
    if (r->err == DP_OK && r->status == 404 && kind != DP_PROBE_UNPROVISIONED)
        ask(d, STEP_WRITE, ""); /* never written, or deleted */
    else if (kind != DP_PROBE_OK)
        report_last(d, kind, r, "");
    else if (read_canary(r, rev, &number))
        ask(d, STEP_WRITE, rev);
    else
        report_last(d, DP_PROBE_OTHER, r, "no document");
}

static void on_answer(void *ctx, const struct dp_fetch_result *r)
{
    struct dp_deep_probe *d = ctx;
    char rev[REV_BYTES];
    uint64_t number = 0;
    enum dp_probe_kind kind =
        dp_probe_classify(layer_of(d->step), r->err, r->status, r->body, NULL);
    d->fetch = NULL;
    switch ((enum step)d->step) {
    case STEP_DATABASE:
        if (kind != DP_PROBE_OK || !d->canary_url)
            report_last(d, kind, r, "");
        else if (report(d, kind, r, ""))
            ask(d, STEP_FIND, "");
        return;
    case STEP_FIND:
        found(d, kind, r);
        return;
    case STEP_WRITE:
        if (kind == DP_PROBE_OK)
            ask(d, STEP_READ, "");
        else if (r->err == DP_OK && r->status == 409)
            report_last(d, DP_PROBE_OK, r, "another wrote it");
        else
            report_last(d, kind, r, "");
        return;
    case STEP_READ:
        if (kind == DP_PROBE_OK && (!read_canary(r, rev, &number) || number != d->number))
            report_last(d, DP_PROBE_UNHEALTHY, r, "not what was written");
        else
            report_last(d, kind, r, "");
        return;
    }
}

void dp_deep_probe_start(struct dp_deep_probe *d)
{
    d->number = (uint64_t)dp_clock_wall_ms(d->clock);
    ask(d, d->database_url ? STEP_DATABASE : STEP_FIND, "");
}
