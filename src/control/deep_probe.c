/* The steps of deep_probe.h, and what each answer means for the next. */
#include "control/deep_probe.h"

#include "davenport/couch/login.h"

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
    bool made = true;
    *d = (struct dp_deep_probe){.n_databases = t->n_databases};
    for (uint16_t i = 0; i < t->n_databases; i++) {
        d->names[i] = strdup(t->databases[i]);
        d->database_urls[i] = url_of(t->url, t->databases[i], NULL);
        made = made && d->names[i] && d->database_urls[i];
    }
    if (t->canary_database)
        d->canary_url = url_of(t->url, t->canary_database, t->canary_id);
    return made && (!t->canary_database || d->canary_url);
}

void dp_deep_probe_fini(struct dp_deep_probe *d)
{
    for (uint16_t i = 0; i < d->n_databases; i++) {
        free(d->names[i]);
        free(d->database_urls[i]);
    }
    free(d->canary_url);
}

bool dp_deep_probe_wanted(const struct dp_deep_probe *d)
{
    return d->n_databases > 0 || d->canary_url;
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
    if ((step == STEP_DATABASE && d->database == 0) || step == STEP_FIND)
        d->layer_started_ns = dp_clock_mono_ns(d->clock);
    req.url = step == STEP_DATABASE ? d->database_urls[d->database] : d->canary_url;
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
    const char *const names[] = {
        [STEP_DATABASE] = d->n_databases > 1 ? "GET of the databases" : "GET of the database",
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
                                  .login_refused =
                                      r->err == DP_OK &&
                                      dp_couch_login_said(r->status, r->body) == DP_LOGIN_REFUSED,
                                  .missing = d->step == STEP_DATABASE ? d->missing : 0,
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

/* Of several, which answered so: "orders, ledger". */
static void note_trouble(struct dp_deep_probe *d)
{
    size_t n = strlen(d->trouble);
    if (d->n_databases > 1 && n < sizeof(d->trouble) - 1)
        (void)snprintf(d->trouble + n, sizeof(d->trouble) - n, "%s%s", n ? ", " : "",
                       d->names[d->database]);
}

static unsigned weight(enum dp_probe_kind k)
{
    return k == DP_PROBE_OK ? 0 : k == DP_PROBE_UNPROVISIONED ? 2 : 1;
}

/* One database's answer. What is not there is told with all others that are not; what fails ends the round, and so do refused
 * keys: shown again and again they would be locked out. */
static void database_answered(struct dp_deep_probe *d, enum dp_probe_kind kind,
                              const struct dp_fetch_result *r)
{
    const bool goes_on = kind == DP_PROBE_OK || kind == DP_PROBE_UNPROVISIONED ||
                         kind == DP_PROBE_THROTTLED || kind == DP_PROBE_QUOTA;
    if (kind == DP_PROBE_UNPROVISIONED)
        d->missing |= UINT32_C(1) << d->database;
    if (!goes_on || weight(kind) > weight(d->worst)) {
        d->worst = kind;
        d->worst_status = r->status;
        d->trouble[0] = '\0';
    }
    if (kind == d->worst && kind != DP_PROBE_OK)
        note_trouble(d);
    struct dp_fetch_result told = *r;
    if (d->worst != DP_PROBE_OK)
        told.status = d->worst_status;
    if (goes_on && ++d->database < d->n_databases)
        ask(d, STEP_DATABASE, "");
    else if (d->worst != DP_PROBE_OK || !d->canary_url)
        report_last(d, d->worst, &told, d->trouble);
    else if (report(d, DP_PROBE_OK, r, ""))
        ask(d, STEP_FIND, "");
}

/* "12-abc": 12. */
static uint64_t generation_of(const char *rev)
{
    return strtoull(rev, NULL, 10);
}

/* What a PUT made. 0: it does not say. */
static uint64_t generation_made(const struct dp_fetch_result *r)
{
    json_t *doc = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, NULL);
    const char *rev = json_string_value(json_object_get(doc, "rev"));
    const uint64_t generation = rev ? generation_of(rev) : 0;
    json_decref(doc);
    return generation;
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
    d->generation = 1;
    if (r->err == DP_OK && r->status == 404 && kind != DP_PROBE_UNPROVISIONED)
        ask(d, STEP_WRITE, ""); /* never written, or deleted */
    else if (kind != DP_PROBE_OK)
        report_last(d, kind, r, "");
    else if (read_canary(r, rev, &number)) {
        d->generation = generation_of(rev) + 1;
        ask(d, STEP_WRITE, rev);
    } else
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
        database_answered(d, kind, r);
        return;
    case STEP_FIND:
        found(d, kind, r);
        return;
    case STEP_WRITE:
        if (kind == DP_PROBE_OK) {
            const uint64_t made = generation_made(r);
            d->generation = made > 0 ? made : d->generation;
            ask(d, STEP_READ, "");
        } else if (r->err == DP_OK && r->status == 409)
            report_last(d, DP_PROBE_OK, r, "another wrote it");
        else
            report_last(d, kind, r, "");
        return;
    case STEP_READ:
        if (kind == DP_PROBE_OK && !read_canary(r, rev, &number))
            report_last(d, DP_PROBE_UNHEALTHY, r, "not what was written");
        else if (kind == DP_PROBE_OK && number != d->number && generation_of(rev) > d->generation)
            report_last(d, kind, r, "another wrote it");
        else if (kind == DP_PROBE_OK && number != d->number)
            report_last(d, DP_PROBE_UNHEALTHY, r, "not what was written");
        else
            report_last(d, kind, r, "");
        return;
    }
}

void dp_deep_probe_start(struct dp_deep_probe *d)
{
    d->number = (uint64_t)dp_clock_wall_ms(d->clock);
    d->database = 0;
    d->missing = 0;
    d->worst = DP_PROBE_OK;
    d->trouble[0] = '\0';
    ask(d, d->n_databases > 0 ? STEP_DATABASE : STEP_FIND, "");
}
