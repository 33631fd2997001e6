/* The answers of replica.h, read with jansson as a whole: they are of bounded size, and off the data path. */
#include "davenport/couch/replica.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static enum dp_err load(struct dp_span body, json_t **out)
{
    json_error_t e;
    json_t *root = json_loadb(body.p ? body.p : "", body.n, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return json_error_code(&e) == json_error_out_of_memory ? DP_ENOMEM : DP_EINVAL;
    if (!json_is_object(root)) {
        json_decref(root);
        return DP_EINVAL;
    }
    *out = root;
    return DP_OK;
}

/* A token is a string, or PouchDB's number. */
static bool token(const json_t *v, char out[DP_REPLICA_TOKEN])
{
    const char *text = json_string_value(v);
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        (void)snprintf(out, DP_REPLICA_TOKEN, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return true;
    }
    if (!text || !*text || json_string_length(v) != strlen(text) ||
        strlen(text) >= DP_REPLICA_TOKEN)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

enum dp_err dp_replica_info(struct dp_span body, struct dp_replica_info *out)
{
    json_t *root;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const json_t *seq = json_object_get(root, "update_seq");
    const char *life = json_string_value(json_object_get(root, "instance_start_time"));
    char text[DP_REPLICA_TOKEN];
    err = token(seq, text) ? DP_OK : DP_EINVAL;
    if (!err) {
        memcpy(out->seq, text, strlen(text) + 1);
        out->number = json_is_integer(seq);
        out->seq_number = out->number ? (uint64_t)json_integer_value(seq) : 0;
        /* "0" before CouchDB 3.3; PouchDB's is the moment at which its server began */
        bool tells = life && !out->number && strcmp(life, "0") != 0;
        (void)snprintf(out->life, sizeof(out->life), "%s", tells ? life : "");
    }
    json_decref(root);
    return err;
}

/* ---- the set: {"id": ["rev", …], …} ---- */

struct dp_replica_set {
    json_t *revs;
};

struct dp_replica_set *dp_replica_set_new(void)
{
    struct dp_replica_set *s = malloc(sizeof(*s));
    json_t *revs = json_object();
    if (!s || !revs) {
        free(s);
        json_decref(revs);
        return NULL;
    }
    s->revs = revs;
    return s;
}

void dp_replica_set_free(struct dp_replica_set *s)
{
    if (!s)
        return;
    json_decref(s->revs);
    free(s);
}

void dp_replica_set_clear(struct dp_replica_set *s)
{
    (void)json_object_clear(s->revs);
}

size_t dp_replica_set_count(const struct dp_replica_set *s)
{
    return json_object_size(s->revs);
}

const char *dp_replica_set_example(const struct dp_replica_set *s)
{
    return json_object_iter_key(json_object_iter(s->revs));
}

char *dp_replica_set_question(const struct dp_replica_set *s, size_t *n)
{
    char *text = json_dumps(s->revs, JSON_COMPACT);
    if (text)
        *n = strlen(text);
    return text;
}

enum dp_err dp_replica_set_each(const struct dp_replica_set *s, dp_replica_leaves_fn fn, void *ctx)
{
    const char **revs = NULL;
    size_t cap = 0;
    enum dp_err err = DP_OK;
    const char *id;
    json_t *leaves;
    json_object_foreach (s->revs, id, leaves) {
        size_t n = json_array_size(leaves);
        if (n > cap) {
            free(revs);
            cap = n;
            revs = malloc(cap * sizeof(*revs));
        }
        if (n > 0 && !revs) {
            err = DP_ENOMEM;
            break;
        }
        for (size_t i = 0; i < n; i++)
            revs[i] = json_string_value(json_array_get(leaves, i));
        err = fn(ctx, id, revs, n);
        if (err)
            break;
    }
    free(revs);
    return err;
}

/* The leaves of one row; a new reference, or NULL: *err says why. */
static json_t *leaves(const json_t *row, enum dp_err *err)
{
    const json_t *changes = json_object_get(row, "changes");
    json_t *revs = json_array();
    size_t i;
    json_t *one;
    *err = revs ? DP_OK : DP_ENOMEM;
    if (revs && !json_is_array(changes))
        *err = DP_EINVAL;
    for (i = 0; !*err && i < json_array_size(changes); i++) {
        one = json_object_get(json_array_get(changes, i), "rev");
        if (!json_is_string(one))
            *err = DP_EINVAL;
        else if (json_array_append(revs, one) != 0)
            *err = DP_ENOMEM;
    }
    if (*err) {
        json_decref(revs);
        return NULL;
    }
    return revs;
}

static enum dp_err take_rows(json_t *into, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *id = json_object_get(row, "id");
        enum dp_err err;
        json_t *revs = leaves(row, &err);
        if (!revs)
            return err;
        /* No id has a NUL in it: such a name could not be asked for. */
        if (!json_is_string(id) || strlen(json_string_value(id)) != json_string_length(id)) {
            json_decref(revs);
            return DP_EINVAL;
        }
        if (json_object_set_new(into, json_string_value(id), revs) != 0)
            return DP_ENOMEM;
    }
    return DP_OK;
}

enum dp_err dp_replica_take_page(struct dp_replica_set *s, struct dp_span body,
                                 struct dp_replica_page *out)
{
    json_t *root, *fresh = NULL;
    char last[DP_REPLICA_TOKEN];
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const json_t *rows = json_object_get(root, "results");
    if (!json_is_array(rows) || !token(json_object_get(root, "last_seq"), last))
        err = DP_EINVAL;
    if (!err && !(fresh = json_copy(s->revs)))
        err = DP_ENOMEM;
    if (!err)
        err = take_rows(fresh, rows);
    if (!err) {
        json_decref(s->revs);
        s->revs = json_incref(fresh);
        out->rows = json_array_size(rows);
        memcpy(out->last_seq, last, strlen(last) + 1);
    }
    json_decref(fresh);
    json_decref(root);
    return err;
}

/* What the target says of one document: those of its revisions that it lacks. */
static enum dp_err keep_missing(json_t *kept, const char *id, const json_t *said)
{
    json_t *missing = json_object_get(said, "missing");
    if (!json_is_array(missing))
        return DP_EINVAL;
    for (size_t i = 0; i < json_array_size(missing); i++) {
        if (!json_is_string(json_array_get(missing, i)))
            return DP_EINVAL;
    }
    if (json_array_size(missing) == 0)
        return DP_OK;
    return json_object_set(kept, id, missing) == 0 ? DP_OK : DP_ENOMEM;
}

/* Documents that are in `asked` and not in `kept`: their last state is there. */
static void settle_older(json_t *older, json_t *asked, const json_t *kept)
{
    const char *id;
    json_t *revs;
    json_object_foreach (asked, id, revs) {
        if (!json_object_get(kept, id))
            (void)json_object_del(older, id);
    }
}

enum dp_err dp_replica_take_missing(struct dp_replica_set *s, struct dp_span body,
                                    struct dp_replica_set *older)
{
    json_t *root, *said;
    const char *id;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    json_t *kept = json_object();
    err = kept ? DP_OK : DP_ENOMEM;
    json_object_foreach (root, id, said) {
        if (err)
            break;
        err = json_object_get(s->revs, id) ? keep_missing(kept, id, said) : DP_EINVAL;
    }
    if (!err) {
        if (older)
            settle_older(older->revs, s->revs, kept);
        json_decref(s->revs);
        s->revs = json_incref(kept);
    }
    json_decref(kept);
    json_decref(root);
    return err;
}

enum dp_err dp_replica_set_merge(struct dp_replica_set *s, struct dp_replica_set *from)
{
    json_t *both = json_copy(s->revs);
    if (!both || json_object_update(both, from->revs) != 0) {
        json_decref(both);
        return DP_ENOMEM;
    }
    json_decref(s->revs);
    s->revs = both;
    (void)json_object_clear(from->revs);
    return DP_OK;
}

/* ---- one document ---- */

static const char rev_bytes[] = "0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

enum dp_err dp_replica_rev(struct dp_span body, char out[DP_REPLICA_REV])
{
    json_t *root;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const char *made = json_string_value(json_object_get(root, "rev"));
    const char *rev = made ? made : json_string_value(json_object_get(root, "_rev"));
    const size_t n = rev ? strlen(rev) : 0;
    if (n == 0 || n >= DP_REPLICA_REV || strspn(rev, rev_bytes) != n)
        err = DP_EINVAL;
    else
        memcpy(out, rev, n + 1);
    json_decref(root);
    return err;
}

enum dp_err dp_replica_lacks(struct dp_span body, const char *id, const char *rev, bool *lacks)
{
    json_t *root;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const json_t *said = json_object_get(root, id);
    const json_t *missing = json_object_get(said, "missing");
    if (said && !json_is_array(missing)) {
        err = DP_EINVAL;
    } else {
        *lacks = false;
        for (size_t i = 0; i < json_array_size(missing); i++) {
            const char *one = json_string_value(json_array_get(missing, i));
            *lacks = *lacks || (one && strcmp(one, rev) == 0);
        }
    }
    json_decref(root);
    return err;
}

/* ---- replications ---- */

static const char *text_of(const json_t *v)
{
    const char *t = json_string_value(v);
    return t ? t : "";
}

/* A URL, or an object that has one beside its credentials. */
static const char *url_of(const json_t *end)
{
    return json_is_object(end) ? text_of(json_object_get(end, "url")) : text_of(end);
}

/* What makes a replication carry less than all. */
static bool carries_all(const json_t *doc)
{
    static const char *const less[] = {"filter", "doc_ids", "selector", "since_seq",
                                       "query_params"};
    for (size_t i = 0; i < sizeof(less) / sizeof(less[0]); i++) {
        const json_t *v = json_object_get(doc, less[i]);
        if (v && !json_is_null(v))
            return false;
    }
    return !json_is_true(json_object_get(doc, "winning_revs_only"));
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static void one_scheduled(const json_t *row, dp_replica_job_fn fn, void *ctx)
{
    const json_t *info = json_object_get(row, "info");
    const json_t *failures = json_object_get(info, "doc_write_failures");
    const char *id = text_of(json_object_get(row, "id"));
    const struct dp_replica_job job = {
        .source = text_of(json_object_get(row, "source")),
        .target = text_of(json_object_get(row, "target")),
        .id = id,
        .doc_id = text_of(json_object_get(row, "doc_id")),
        .state = text_of(json_object_get(row, "state")),
        .error = text_of(json_object_get(info, "error")),
        .continuous = ends_with(id, "+continuous"),
        .doc_write_failures = json_is_integer(failures) ? json_integer_value(failures) : -1,
    };
    fn(ctx, &job);
}

enum dp_err dp_replica_scheduler_docs(struct dp_span body, dp_replica_job_fn fn, void *ctx)
{
    json_t *root;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const json_t *docs = json_object_get(root, "docs");
    err = json_is_array(docs) ? DP_OK : DP_EINVAL;
    for (size_t i = 0; !err && i < json_array_size(docs); i++)
        one_scheduled(json_array_get(docs, i), fn, ctx);
    json_decref(root);
    return err;
}

static void one_document(const json_t *doc, dp_replica_job_fn fn, void *ctx)
{
    const struct dp_replica_job job = {
        .source = url_of(json_object_get(doc, "source")),
        .target = url_of(json_object_get(doc, "target")),
        .id = text_of(json_object_get(doc, "_replication_id")),
        .doc_id = text_of(json_object_get(doc, "_id")),
        .state = text_of(json_object_get(doc, "_replication_state")),
        .error = text_of(json_object_get(doc, "_replication_state_reason")),
        .continuous = json_is_true(json_object_get(doc, "continuous")),
        .whole = carries_all(doc),
        .doc_write_failures = -1,
    };
    if (strncmp(job.doc_id, "_design/", 8) != 0)
        fn(ctx, &job);
}

enum dp_err dp_replica_replicator_docs(struct dp_span body, dp_replica_job_fn fn, void *ctx)
{
    json_t *root;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const json_t *rows = json_object_get(root, "rows");
    err = json_is_array(rows) ? DP_OK : DP_EINVAL;
    for (size_t i = 0; !err && i < json_array_size(rows); i++)
        one_document(json_object_get(json_array_get(rows, i), "doc"), fn, ctx);
    json_decref(root);
    return err;
}

enum dp_err dp_replica_replicator_doc(struct dp_span body, bool *whole)
{
    json_t *root;
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    *whole = carries_all(root);
    json_decref(root);
    return DP_OK;
}

enum dp_err dp_replica_checkpoint(struct dp_span body, char out[DP_REPLICA_TOKEN])
{
    json_t *root;
    char text[DP_REPLICA_TOKEN];
    enum dp_err err = load(body, &root);
    if (err)
        return err;
    const json_t *seq = json_object_get(root, "source_last_seq");
    if (!seq) /* PouchDB's word for it */
        seq = json_object_get(root, "last_seq");
    err = token(seq, text) ? DP_OK : DP_EINVAL;
    if (!err)
        memcpy(out, text, strlen(text) + 1);
    json_decref(root);
    return err;
}

/* ---- URLs ---- */

/* NUL in a name ends it nowhere: such a URL is none. */
static bool decode(const char *p, size_t n, char *out, size_t cap)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        const int byte = c != '%' ? -1 : dp_span_percent((struct dp_span){p + i, n - i});
        if (byte >= 0) {
            c = (char)byte;
            i += 2;
        }
        if (c == '\0' || at + 1 >= cap)
            return false;
        out[at++] = c;
    }
    out[at] = '\0';
    return at > 0;
}

bool dp_replica_encode(const char *name, char *out, size_t cap)
{
    size_t at = 0;
    for (const char *c = name; *c; c++) {
        bool plain = isalnum((unsigned char)*c) || strchr("_-.~$()", *c);
        if (at + 4 > cap)
            return false;
        if (plain)
            out[at++] = *c;
        else
            at += (size_t)snprintf(out + at, cap - at, "%%%02X", (unsigned)(unsigned char)*c);
    }
    out[at] = '\0';
    return true;
}

bool dp_replica_url(const char *url, char base[DP_REPLICA_BASE], char name[DP_REPLICA_NAME])
{
    const bool tls = strncmp(url, "https://", 8) == 0;
    const char *own = tls ? ":443" : ":80";
    if (!tls && strncmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + (tls ? 8 : 7);
    size_t n = strcspn(host, "/?#");
    const char *path = host + n;
    for (size_t i = 0; i < n; i++) { /* credentials end at the last @ */
        if (host[i] == '@') {
            host += i + 1;
            n -= i + 1;
            i = (size_t)-1;
        }
    }
    size_t own_n = strlen(own);
    if (n > own_n && memcmp(host + n - own_n, own, own_n) == 0)
        n -= own_n;
    if (n == 0 || n + 9 > DP_REPLICA_BASE || *path != '/')
        return false;
    path++;
    size_t db = strcspn(path, "/?#");
    if (path[db] == '/' && path[db + 1] != '\0') /* a path before the database: not a region's */
        return false;
    if (!decode(path, db, name, DP_REPLICA_NAME))
        return false;
    int at = snprintf(base, DP_REPLICA_BASE, "%s", tls ? "https://" : "http://");
    for (size_t i = 0; i < n; i++)
        base[at++] = (char)tolower((unsigned char)host[i]);
    base[at] = '\0';
    return true;
}
