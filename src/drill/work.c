/* Requests and their answers: see work.h. Head and body are put together in two buffers, for the body's length stands in
 * the head; they leave in one write. */
#include "drill/work.h"

#include "davenport/base/base64.h"
#include "davenport/base/random.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define HEAD_BYTES    4096 /* of a request of ours, without `fields` */
#define MEMBERS_BYTES 256  /* of a document, but for what fills it up */
#define SMALL_ANSWER  256  /* enough to tell what it is */
#define WRITE_ANSWER  65536

struct dp_work {
    const struct dp_load_config *c;
    struct dp_ledger *ledger;
    unsigned weights; /* their sum */
    char *common;     /* the lines of every head, the empty one not among them */
    char *prefix;     /* "/couch/db" */
    struct text {
        char *p;
        size_t n, cap;
    } head, body, *at; /* the request; at: which of the two is written to */
    const char *type;  /* of the body */
};

static size_t body_bytes(const struct dp_load_config *c)
{
    size_t document = c->document_bytes + MEMBERS_BYTES;
    size_t bulk = document * DP_LOAD_BULK_ROWS;
    if (c->target) {
        return c->body_bytes;
    }
    return c->attachment_bytes > bulk ? c->attachment_bytes : bulk;
}

static size_t head_bytes(const struct dp_load_config *c)
{
    return HEAD_BYTES + (c->target ? strlen(c->target) : 0) + (c->fields ? strlen(c->fields) : 0) +
           (c->username ? 2 * strlen(c->username) : 0) +
           (c->password ? 2 * strlen(c->password) : 0);
}

size_t dp_work_request_bytes(const struct dp_load_config *c)
{
    return head_bytes(c) + body_bytes(c);
}

static char *make_common(const struct dp_load_config *c, const char *authority)
{
    char *login = NULL;
    char *basic = NULL;
    char *out = NULL;
    if (c->username) {
        int n = asprintf(&login, "%s:%s", c->username, c->password ? c->password : "");
        basic = n >= 0 ? calloc(1, DP_BASE64_BYTES((size_t)n) + 1) : NULL;
        if (!basic) {
            free(n >= 0 ? login : NULL);
            return NULL;
        }
        (void)dp_base64_encode(DP_BASE64, login, (size_t)n, basic);
        explicit_bzero(login, (size_t)n);
        free(login);
    }
    if (asprintf(&out, "Host: %s\r\n%s%s%s%s%s", authority,
                 c->target ? "" : "Accept: application/json\r\n",
                 basic ? "Authorization: Basic " : "", basic ? basic : "", basic ? "\r\n" : "",
                 c->fields ? c->fields : "") < 0) {
        out = NULL;
    }
    free(basic);
    return out;
}

struct dp_work *dp_work_new(const struct dp_load_config *c, const char *authority, const char *base,
                            struct dp_ledger *ledger)
{
    struct dp_work *w = calloc(1, sizeof(*w));
    if (!w) {
        return NULL;
    }
    w->c = c;
    w->ledger = ledger;
    for (unsigned i = 0; i < DP_LOAD_KINDS; i++) {
        w->weights += c->weights[i];
    }
    w->common = make_common(c, authority);
    if (asprintf(&w->prefix, "%s%s%s", base, c->database ? "/" : "",
                 c->database ? c->database : "") < 0) {
        w->prefix = NULL;
    }
    w->head.cap = head_bytes(c) + (w->prefix ? strlen(w->prefix) : 0);
    w->body.cap = body_bytes(c) + 1;
    w->head.p = malloc(w->head.cap);
    w->body.p = malloc(w->body.cap);
    if (!w->common || !w->prefix || !w->head.p || !w->body.p) {
        dp_work_destroy(w);
        return NULL;
    }
    return w;
}

void dp_work_destroy(struct dp_work *w)
{
    if (w) {
        free(w->common);
        free(w->prefix);
        free(w->head.p);
        free(w->body.p);
        free(w);
    }
}

/* ---- text ---- */

static void put(struct dp_work *w, const char *p, size_t n)
{
    assert(n <= w->at->cap - w->at->n); /* dp_work_request_bytes */
    memcpy(w->at->p + w->at->n, p, n);
    w->at->n += n;
}

static void put_text(struct dp_work *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_number(struct dp_work *w, uint64_t n)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%" PRIu64, n);
    put(w, text, length > 0 ? (size_t)length : 0);
}

static void fill(struct dp_work *w, char c, size_t n)
{
    assert(n <= w->at->cap - w->at->n);
    memset(w->at->p + w->at->n, c, n);
    w->at->n += n;
}

/* "GET /couch/db"; what follows is the rest of the target. */
static void begin(struct dp_work *w, const char *method)
{
    w->head.n = w->body.n = 0;
    w->at = &w->head;
    put_text(w, method);
    put_text(w, " ");
    put_text(w, w->prefix);
}

static void end_head(struct dp_work *w)
{
    put_text(w, " HTTP/1.1\r\n");
    put_text(w, w->common);
    put_text(w, "\r\n");
}

/* What is put from here on is the body. */
static void begin_body(struct dp_work *w, const char *type)
{
    w->type = type;
    w->at = &w->body;
}

static void end_body(struct dp_work *w)
{
    w->at = &w->head;
    put_text(w, " HTTP/1.1\r\n");
    put_text(w, w->common);
    if (w->type) {
        put_text(w, "Content-Type: ");
        put_text(w, w->type);
        put_text(w, "\r\n");
    }
    put_text(w, "Content-Length: ");
    put_number(w, w->body.n);
    put_text(w, "\r\n\r\n");
}

/* {"_rev":"…","drill":"run","tag":N,"bucket":N,"pad":"…"} of about document_bytes. */
static void put_document(struct dp_work *w, uint32_t tag)
{
    char parent[DP_LEDGER_REV];
    char members[DP_LEDGER_BODY];
    size_t from = w->body.n;
    size_t parent_n = dp_ledger_parent(w->ledger, tag, parent);
    put_text(w, "{");
    if (parent_n > 0) {
        put_text(w, "\"_rev\":\"");
        put(w, parent, parent_n);
        put_text(w, "\",");
    }
    put(w, members, dp_ledger_body(w->ledger, tag, members));
    put_text(w, ",\"bucket\":");
    put_number(w, tag % DP_LOAD_BUCKETS);
    put_text(w, ",\"pad\":\"");
    size_t so_far = w->body.n - from + 2;
    fill(w, 'x', so_far < w->c->document_bytes ? w->c->document_bytes - so_far : 0);
    put_text(w, "\"}");
}

static void tell(const struct dp_work *w, struct dp_span request[2])
{
    request[0] = (struct dp_span){w->head.p, w->head.n};
    request[1] = (struct dp_span){w->body.p, w->body.n};
}

/* ---- beginning ---- */

enum dp_load_kind dp_work_kind(const struct dp_work *w, uint64_t k)
{
    if (w->c->target) {
        return DP_LOAD_TARGET;
    }
    uint64_t at = dp_mix(w->c->seed ^ dp_mix(k)) % w->weights;
    unsigned kind = 0;
    for (; at >= w->c->weights[kind]; kind++) {
        at -= w->c->weights[kind];
    }
    return (enum dp_load_kind)kind;
}

/* A write of the slot from where one is free; there are more slots than requests under way. */
static uint32_t begin_put(struct dp_work *w, uint64_t random, uint32_t now_ms)
{
    uint32_t slots = w->c->documents;
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t slot = (uint32_t)((random + i) % slots);
        uint32_t tag = dp_ledger_begin(w->ledger, DP_WRITE_PUT, slot, now_ms);
        if (tag != DP_LEDGER_NONE) {
            return tag;
        }
        struct dp_ledger_counts counts;
        dp_ledger_count(w->ledger, &counts);
        if (counts.full) {
            break;
        }
    }
    return DP_LEDGER_NONE;
}

static void write_put(struct dp_work *w, uint32_t tag)
{
    char id[DP_LEDGER_ID];
    begin(w, "PUT");
    put_text(w, "/");
    put(w, id, dp_ledger_id(w->ledger, tag, id));
    begin_body(w, "application/json");
    put_document(w, tag);
    end_body(w);
}

static void write_attachment(struct dp_work *w, uint32_t tag)
{
    char id[DP_LEDGER_ID];
    begin(w, "PUT");
    put_text(w, "/");
    put(w, id, dp_ledger_id(w->ledger, tag, id));
    put_text(w, "/data");
    begin_body(w, "application/octet-stream");
    fill(w, 'x', w->c->attachment_bytes);
    end_body(w);
}

static bool begin_get(struct dp_work *w, uint64_t random, struct dp_job *job)
{
    uint32_t slots = w->c->documents;
    for (uint32_t i = 0; i < slots; i++) {
        if (dp_ledger_read_begin(w->ledger, (uint32_t)((random + i) % slots), &job->read)) {
            begin(w, "GET");
            put_text(w, "/");
            put(w, job->read.id, job->read.id_n);
            end_head(w);
            job->reads = true;
            job->keep_bytes = w->c->document_bytes + WRITE_ANSWER;
            return true;
        }
    }
    return false;
}

static bool begin_bulk(struct dp_work *w, uint32_t now_ms, struct dp_job *job)
{
    begin(w, "POST");
    put_text(w, "/_bulk_docs");
    begin_body(w, "application/json");
    put_text(w, "{\"docs\":[");
    for (unsigned i = 0; i < DP_LOAD_BULK_ROWS; i++) {
        uint32_t tag = dp_ledger_begin(w->ledger, DP_WRITE_POST, 0, now_ms);
        if (tag == DP_LEDGER_NONE) {
            for (unsigned j = 0; j < i; j++) { /* not sent: it can't be there */
                dp_ledger_failed(w->ledger, job->tags[j], 0, DP_LEDGER_NO_REGION, now_ms);
            }
            job->n_tags = 0;
            return false;
        }
        job->tags[job->n_tags++] = tag;
        put_text(w, i > 0 ? "," : "");
        put_document(w, tag);
    }
    put_text(w, "]}");
    end_body(w);
    return true;
}

static void write_query(struct dp_work *w, enum dp_load_kind kind, uint64_t random)
{
    if (kind == DP_LOAD_VIEW) {
        begin(w, "GET");
        put_text(w, "/_design/drill/_view/by_bucket?limit=10&key=");
        put_number(w, random % DP_LOAD_BUCKETS);
        end_head(w);
    } else {
        begin(w, "POST");
        put_text(w, "/_find");
        begin_body(w, "application/json");
        put_text(w, "{\"selector\":{\"bucket\":");
        put_number(w, random % DP_LOAD_BUCKETS);
        put_text(w, "},\"limit\":10}");
        end_body(w);
    }
}

static void write_target(struct dp_work *w)
{
    begin(w, w->c->method ? w->c->method : "GET");
    put_text(w, w->c->target);
    if (w->c->body_bytes > 0) {
        begin_body(w, NULL);
        fill(w, 'x', w->c->body_bytes);
        end_body(w);
    } else {
        end_head(w);
    }
}

static bool begin_write(struct dp_work *w, enum dp_load_kind kind, uint64_t random, uint32_t now_ms,
                        struct dp_job *job)
{
    uint32_t tag;
    if (kind == DP_LOAD_PUT) {
        tag = begin_put(w, random, now_ms);
    } else {
        tag = dp_ledger_begin(w->ledger, kind == DP_LOAD_POST ? DP_WRITE_POST : DP_WRITE_ATTACHMENT,
                              0, now_ms);
    }
    if (tag == DP_LEDGER_NONE) {
        return false;
    }
    job->tags[job->n_tags++] = tag;
    if (kind == DP_LOAD_PUT) {
        write_put(w, tag);
    } else if (kind == DP_LOAD_ATTACHMENT) {
        write_attachment(w, tag);
    } else {
        begin(w, "POST");
        begin_body(w, "application/json");
        put_document(w, tag);
        end_body(w);
    }
    return true;
}

bool dp_work_begin(struct dp_work *w, enum dp_load_kind kind, uint64_t k, uint32_t now_ms,
                   struct dp_job *job, struct dp_span request[2])
{
    uint64_t random = dp_mix(w->c->seed + dp_mix(k + 1));
    bool good = true;
    *job = (struct dp_job){.kind = kind, .keep_bytes = WRITE_ANSWER};
    switch (kind) {
    case DP_LOAD_GET:
        if (!begin_get(w, random, job)) { /* no document stands now: make one */
            job->kind = DP_LOAD_PUT;
            good = begin_write(w, DP_LOAD_PUT, random, now_ms, job);
        }
        break;
    case DP_LOAD_PUT:
    case DP_LOAD_POST:
    case DP_LOAD_ATTACHMENT:
        good = begin_write(w, kind, random, now_ms, job);
        break;
    case DP_LOAD_BULK:
        good = begin_bulk(w, now_ms, job);
        break;
    case DP_LOAD_FIND:
    case DP_LOAD_VIEW:
        job->keep_bytes = SMALL_ANSWER;
        write_query(w, kind, random);
        break;
    case DP_LOAD_TARGET:
        job->keep_bytes = 0;
        write_target(w);
        break;
    case DP_LOAD_KINDS:
        good = false;
        break;
    }
    tell(w, request);
    return good;
}

bool dp_work_create(struct dp_work *w, uint32_t slot, uint32_t now_ms, struct dp_job *job,
                    struct dp_span request[2])
{
    *job = (struct dp_job){.kind = DP_LOAD_PUT, .keep_bytes = WRITE_ANSWER};
    uint32_t tag = dp_ledger_begin(w->ledger, DP_WRITE_PUT, slot, now_ms);
    if (tag == DP_LEDGER_NONE) {
        return false;
    }
    job->tags[job->n_tags++] = tag;
    write_put(w, tag);
    tell(w, request);
    return true;
}

void dp_work_get(struct dp_work *w, const char *path, struct dp_span request[2])
{
    begin(w, "GET");
    put_text(w, path);
    end_head(w);
    tell(w, request);
}

/* ---- ending ---- */

struct dp_span dp_work_member(struct dp_span body, const char *member)
{
    struct dp_span none = {0};
    size_t n = strlen(member);
    const char *end = body.p + body.n;
    const char *at = body.n > 0 ? memmem(body.p, body.n, member, n) : NULL;
    if (!at) {
        return none;
    }
    bool colon = false;
    for (at += n; at < end && (*at == ' ' || (*at == ':' && !colon)); at++) {
        colon = colon || *at == ':';
    }
    if (!colon || at == end || *at != '"') {
        return none;
    }
    const char *from = at + 1;
    for (at = from; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            return none;
        }
    }
    return at < end ? (struct dp_span){from, (size_t)(at - from)} : none;
}

static void fail_all(struct dp_work *w, const struct dp_job *job, uint16_t status, uint8_t region,
                     uint32_t now_ms)
{
    for (unsigned i = 0; i < job->n_tags; i++) {
        dp_ledger_failed(w->ledger, job->tags[i], status, region, now_ms);
    }
}

static enum dp_load_failure end_write(struct dp_work *w, const struct dp_job *job, uint16_t status,
                                      struct dp_span body, uint8_t region, uint32_t now_ms)
{
    enum dp_err err =
        dp_ledger_acknowledged(w->ledger, job->tags[0], dp_work_member(body, "\"id\""),
                               dp_work_member(body, "\"rev\""), status, region, now_ms);
    return err == DP_OK ? DP_LOAD_FAILED_NONE : DP_LOAD_FAILED_ANSWER;
}

/* What a row of _bulk_docs says by its "error", as the status that a document of its own would have got. */
static uint16_t status_of(const char *error)
{
    static const struct {
        const char *error;
        uint16_t status;
    } known[] = {{"conflict", 409}, {"forbidden", 403}, {"unauthorized", 401}};
    for (size_t i = 0; error && i < DP_ARRAY_LEN(known); i++) {
        if (strcmp(known[i].error, error) == 0) {
            return known[i].status;
        }
    }
    return 500;
}

static enum dp_load_failure end_bulk(struct dp_work *w, const struct dp_job *job, uint16_t status,
                                     struct dp_span body, uint8_t region, uint32_t now_ms)
{
    enum dp_load_failure failure = DP_LOAD_FAILED_NONE;
    json_t *rows = json_loadb(body.n > 0 ? body.p : "", body.n, 0, NULL);
    if (!json_is_array(rows) || json_array_size(rows) != job->n_tags) {
        fail_all(w, job, 0, region, now_ms);
        json_decref(rows);
        return DP_LOAD_FAILED_ANSWER;
    }
    for (unsigned i = 0; i < job->n_tags; i++) {
        const json_t *row = json_array_get(rows, i);
        const char *id = json_string_value(json_object_get(row, "id"));
        const char *rev = json_string_value(json_object_get(row, "rev"));
        if (id && rev &&
            dp_ledger_acknowledged(w->ledger, job->tags[i], dp_span_str(id), dp_span_str(rev),
                                   status, region, now_ms) == DP_OK) {
            continue;
        }
        failure = DP_LOAD_FAILED_ANSWER;
        if (!id || !rev) {
            const uint16_t said = status_of(json_string_value(json_object_get(row, "error")));
            dp_ledger_failed(w->ledger, job->tags[i], job->unsettled && said == 409 ? 0 : said,
                             region, now_ms);
        }
    }
    json_decref(rows);
    return failure;
}

static enum dp_load_failure end_get(struct dp_work *w, const struct dp_job *job, uint16_t status,
                                    struct dp_span body, uint8_t region, uint32_t now_ms)
{
    struct dp_span rev = {0};
    if (status == 200) {
        rev = dp_work_member(body, "\"_rev\"");
        if (rev.n == 0) {
            return DP_LOAD_FAILED_ANSWER;
        }
    }
    if (status == 200 || status == 404) {
        (void)dp_ledger_read_end(w->ledger, &job->read, rev, region, now_ms);
    }
    /* 404 is what the region knows: a stale read, which the ledger counts. */
    return status < 400 || status == 404 ? DP_LOAD_FAILED_NONE : DP_LOAD_FAILED_STATUS;
}

static bool has(struct dp_span body, const char *word)
{
    return body.n > 0 && memmem(body.p, body.n, word, strlen(word));
}

enum dp_load_failure dp_work_end(struct dp_work *w, struct dp_job *job,
                                 enum dp_load_failure failure, uint16_t status, struct dp_span body,
                                 bool cut, uint8_t region, uint32_t now_ms)
{
    if (failure != DP_LOAD_FAILED_NONE) {
        fail_all(w, job, 0, region, now_ms);
        return failure;
    }
    if (job->reads) {
        return end_get(w, job, status, body, region, now_ms);
    }
    if (status >= 400) {
        fail_all(w, job, job->unsettled ? 0 : status, region, now_ms);
        /* So is 409: the write's parent was not replicated here yet. The writer goes on with another document. */
        bool conflict = status == 409 && job->kind == DP_LOAD_PUT;
        return conflict ? DP_LOAD_FAILED_NONE : DP_LOAD_FAILED_STATUS;
    }
    if (job->n_tags > 1 && !cut) {
        return end_bulk(w, job, status, body, region, now_ms);
    }
    if (job->n_tags > 0 && !cut) {
        return end_write(w, job, status, body, region, now_ms);
    }
    if (job->n_tags > 0) {
        fail_all(w, job, 0, region, now_ms);
        return DP_LOAD_FAILED_ANSWER;
    }
    if ((job->kind == DP_LOAD_FIND && !has(body, "\"docs\"")) ||
        (job->kind == DP_LOAD_VIEW && !has(body, "\"rows\""))) {
        return DP_LOAD_FAILED_ANSWER;
    }
    return DP_LOAD_FAILED_NONE;
}
