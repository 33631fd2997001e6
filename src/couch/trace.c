/* Documents as parsed JSON: a branch is found by its history, then compared member by member. */
#include "davenport/couch/trace.h"

#include "couch/trace_document.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A time that is none of a database's making: before there was any, or in the future but for the clocks of a cluster. */
#define EARLIEST_S 1000000000U
#define AHEAD_S    60U

/* ---- revisions ---- */

/* "12-abc" */
struct revision {
    json_int_t generation;
    struct dp_span hash;
};

static bool read_revision(struct dp_span text, struct revision *out)
{
    struct dp_span rest = text;
    uint64_t generation;
    if (!dp_span_u64(dp_span_cut(&rest, '-'), &generation) || !rest.p || rest.n == 0 ||
        generation == 0 || generation > INT32_MAX || text.n >= DP_TRACE_REV_BYTES)
        return false;
    *out = (struct revision){(json_int_t)generation, rest};
    return true;
}

/* A leaf's history: ids, the newest first. */
struct history {
    json_int_t start;
    const json_t *ids;
    size_t n;
};

static bool read_history(json_t *leaf, struct history *out)
{
    const json_t *revisions = json_object_get(leaf, "_revisions");
    *out = (struct history){.start = json_integer_value(json_object_get(revisions, "start")),
                            .ids = json_object_get(revisions, "ids")};
    out->n = json_array_size(out->ids);
    return out->n > 0 && out->start > 0 && out->start <= INT32_MAX &&
           (json_int_t)out->n <= out->start;
}

/* Its k-th newest, as text. False: there is none. */
static bool revision_at(const struct history *h, size_t k, char out[DP_TRACE_REV_BYTES])
{
    const char *hash = k < h->n ? json_string_value(json_array_get(h->ids, k)) : NULL;
    if (!hash)
        return false;
    int n = snprintf(out, DP_TRACE_REV_BYTES, "%" JSON_INTEGER_FORMAT "-%s",
                     h->start - (json_int_t)k, hash);
    return n > 0 && n < DP_TRACE_REV_BYTES;
}

static bool has_hash(const struct history *h, size_t k, struct dp_span hash)
{
    const char *text = k < h->n ? json_string_value(json_array_get(h->ids, k)) : NULL;
    return text && dp_span_eq(dp_span_str(text), hash);
}

/* ---- bodies ---- */

static bool is_special(const char *name)
{
    return name[0] == '_';
}

/* Two texts of base64, white space and padding not counted. */
static bool same_base64(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += strspn(a, " \t\r\n=");
        b += strspn(b, " \t\r\n=");
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

static enum dp_same same_attachment(json_t *mine, json_t *theirs, json_int_t generation)
{
    const json_t *type = json_object_get(mine, "content_type");
    const char *data = json_string_value(json_object_get(mine, "data"));
    const char *there = json_string_value(json_object_get(theirs, "data"));
    const json_int_t revpos = json_integer_value(json_object_get(theirs, "revpos"));
    if (!json_is_object(theirs))
        return DP_DIFFERENT;
    if (json_is_true(json_object_get(mine, "stub"))) /* it was there before */
        return revpos < generation ? DP_SAME : DP_DIFFERENT;
    if (!data || revpos != generation ||
        (type && !json_equal(type, json_object_get(theirs, "content_type"))))
        return DP_DIFFERENT;
    if (!there)
        return DP_SAME_BUT_DATA;
    return same_base64(data, there) ? DP_SAME : DP_DIFFERENT;
}

static enum dp_same same_attachments(json_t *mine, json_t *theirs, json_int_t generation)
{
    json_t *m = json_object_get(mine, "_attachments");
    const json_t *t = json_object_get(theirs, "_attachments");
    enum dp_same all = DP_SAME;
    const char *name;
    json_t *one;
    if (json_object_size(m) != json_object_size(t) || (m && !json_is_object(m)))
        return DP_DIFFERENT;
    json_object_foreach (m, name, one) {
        enum dp_same same = same_attachment(one, json_object_get(t, name), generation);
        if (same == DP_DIFFERENT)
            return same;
        if (same == DP_SAME_BUT_DATA)
            all = same;
    }
    return all;
}

static size_t body_members(json_t *doc)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach (doc, name, value) {
        n += !is_special(name);
    }
    return n;
}

enum dp_same dp_trace_same(json_t *mine, json_t *theirs, json_int_t generation)
{
    const char *name;
    json_t *value;
    if (json_is_true(json_object_get(mine, "_deleted")) !=
            json_is_true(json_object_get(theirs, "_deleted")) ||
        body_members(mine) != body_members(theirs))
        return DP_DIFFERENT;
    json_object_foreach (mine, name, value) {
        if (!is_special(name) && !json_equal(value, json_object_get(theirs, name)))
            return DP_DIFFERENT;
    }
    return same_attachments(mine, theirs, generation);
}

/* ---- one leaf ---- */

static enum dp_trace_verdict ask_for(struct dp_trace_found *f, enum dp_trace_second second,
                                     const char *at)
{
    f->second = second;
    memcpy(f->at, at, strlen(at) + 1);
    return DP_TRACE_LOOK;
}

/* The k-th newest revision of this leaf may be ours: only the leaf itself can be compared at once. */
static enum dp_trace_verdict look_behind(json_t *mine, json_t *leaf, const struct history *h,
                                         size_t k, struct dp_trace_found *f)
{
    if (!revision_at(h, k, f->rev))
        return DP_TRACE_NOT;
    if (k > 0)
        return ask_for(f, DP_TRACE_AT_BODY, f->rev);
    switch (dp_trace_same(mine, leaf, h->start)) {
    case DP_SAME:
        return DP_TRACE_OURS;
    case DP_SAME_BUT_DATA:
        return ask_for(f, DP_TRACE_AT_BODY, f->rev);
    case DP_DIFFERENT:
        break;
    }
    return DP_TRACE_NOT;
}

/* A write without a revision makes the first one, or follows a tombstone. */
static enum dp_trace_verdict look_at_creation(json_t *mine, json_t *leaf, const struct history *h,
                                              struct dp_trace_found *f)
{
    char parent[DP_TRACE_REV_BYTES];
    if (h->n > 1 && dp_trace_same(mine, leaf, h->start) == DP_SAME && revision_at(h, 0, f->rev) &&
        revision_at(h, 1, parent))
        return ask_for(f, DP_TRACE_AT_TOMBSTONE, parent);
    if ((json_int_t)h->n != h->start) /* its beginning was cut off */
        return DP_TRACE_NOT;
    return look_behind(mine, leaf, h, h->n - 1, f);
}

enum dp_trace_verdict dp_trace_leaf(json_t *mine, json_t *leaf, struct dp_span parent,
                                    struct dp_trace_found *f)
{
    struct history h;
    struct revision p;
    if (!read_history(leaf, &h))
        return DP_TRACE_NOT;
    if (parent.n == 0)
        return look_at_creation(mine, leaf, &h, f);
    if (!read_revision(parent, &p) || h.start <= p.generation)
        return DP_TRACE_NOT;
    const size_t k = (size_t)(h.start - p.generation - 1);
    return has_hash(&h, k + 1, p.hash) ? look_behind(mine, leaf, &h, k, f) : DP_TRACE_NOT;
}

/* An attachment's bytes are in no leaf; its revision is the one at which it came. */
static enum dp_trace_verdict look_at_attachment(json_t *leaf, const struct dp_trace_ask *ask,
                                                struct dp_trace_found *f)
{
    struct history h;
    struct revision p = {0};
    if (!read_history(leaf, &h) || (ask->rev.n > 0 && !read_revision(ask->rev, &p)) ||
        h.start <= p.generation)
        return DP_TRACE_NOT;
    const size_t k = (size_t)(h.start - p.generation - 1);
    const bool follows =
        p.generation == 0 ? (json_int_t)h.n == h.start : has_hash(&h, k + 1, p.hash);
    if (!follows || !revision_at(&h, k, f->rev))
        return DP_TRACE_NOT;
    return ask_for(f, DP_TRACE_AT_BYTES, f->rev);
}

/* ---- all of them ---- */

/* The revision that it builds on: in the request or in the document, and if in both then the same. */
bool dp_trace_parent(struct dp_span asked, const json_t *mine, struct dp_span *out)
{
    const struct dp_span own = dp_span_str(json_string_value(json_object_get(mine, "_rev")));
    *out = asked.n > 0 ? asked : own;
    return own.n == 0 || dp_span_eq(*out, own);
}

json_t *dp_trace_read(struct dp_span text)
{
    return text.n > 0 ? json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL) : NULL;
}

static json_t *written(const struct dp_trace_ask *ask)
{
    switch (ask->write) {
    case DP_TRACE_DOCUMENT:
        return dp_trace_read(ask->body);
    case DP_TRACE_DELETE:
        return json_pack("{sb}", "_deleted", 1);
    case DP_TRACE_ATTACHMENT:
        return json_object();
    }
    return NULL;
}

enum dp_trace_verdict dp_trace_best(const json_t *leaves, json_t *mine, struct dp_span parent,
                                    const struct dp_trace_ask *attachment,
                                    struct dp_trace_found *out)
{
    enum dp_trace_verdict best = DP_TRACE_NOT;
    for (size_t i = 0; i < json_array_size(leaves) && best != DP_TRACE_OURS; i++) {
        json_t *leaf = json_object_get(json_array_get(leaves, i), "ok");
        struct dp_trace_found f = {0};
        const enum dp_trace_verdict v = attachment ? look_at_attachment(leaf, attachment, &f)
                                                   : dp_trace_leaf(mine, leaf, parent, &f);
        if (v == DP_TRACE_NOT || (v == DP_TRACE_LOOK && best == DP_TRACE_LOOK))
            continue;
        f.deleted = json_is_true(json_object_get(mine, "_deleted"));
        best = v;
        *out = f;
    }
    return best;
}

enum dp_trace_verdict dp_trace_first(const struct dp_trace_ask *ask, struct dp_span leaves,
                                     struct dp_trace_found *out)
{
    enum dp_trace_verdict v = DP_TRACE_NOT;
    struct dp_span parent;
    json_t *mine = written(ask), *all = dp_trace_read(leaves);
    const bool named = ask->write != DP_TRACE_DELETE || ask->rev.n > 0;
    if (!json_is_object(mine) || !json_is_array(all))
        v = DP_TRACE_BLIND;
    else if (named && dp_trace_parent(ask->rev, mine, &parent))
        v = dp_trace_best(all, mine, parent, ask->write == DP_TRACE_ATTACHMENT ? ask : NULL, out);
    json_decref(mine);
    json_decref(all);
    return v;
}

/* Can this leaf not have come from there? */
static bool is_elsewhere(json_t *leaf, const struct revision *p)
{
    struct history h;
    if (!read_history(leaf, &h))
        return false;
    if (h.start < p->generation)
        return true;
    const size_t k = (size_t)(h.start - p->generation);
    return k < h.n && !has_hash(&h, k, p->hash);
}

bool dp_trace_leaves_lack(const json_t *leaves, struct dp_span parent)
{
    struct revision p;
    bool lacks = read_revision(parent, &p);
    for (size_t i = 0; lacks && i < json_array_size(leaves); i++) {
        json_t *leaf = json_object_get(json_array_get(leaves, i), "ok");
        lacks = !leaf || is_elsewhere(leaf, &p);
    }
    return lacks;
}

bool dp_trace_lacks_parent(const struct dp_trace_ask *ask, struct dp_span leaves)
{
    struct dp_span parent;
    json_t *mine = written(ask), *all = dp_trace_read(leaves);
    const bool lacks = json_is_object(mine) && (leaves.n == 0 || json_is_array(all)) &&
                       dp_trace_parent(ask->rev, mine, &parent) &&
                       dp_trace_leaves_lack(all, parent);
    json_decref(mine);
    json_decref(all);
    return lacks;
}

static json_int_t generation_of(const char *rev)
{
    struct revision r = {0};
    return read_revision(dp_span_str(rev), &r) ? r.generation : 0;
}

bool dp_trace_second(const struct dp_trace_ask *ask, const struct dp_trace_found *f,
                     struct dp_span answer)
{
    if (f->second == DP_TRACE_AT_BYTES)
        return dp_span_eq(answer, ask->body);
    json_t *doc = dp_trace_read(answer), *mine = NULL;
    bool is = false;
    if (f->second == DP_TRACE_AT_TOMBSTONE)
        is = json_is_true(json_object_get(doc, "_deleted"));
    else if (json_is_object(doc) && (mine = written(ask)) != NULL)
        is = json_is_object(mine) && dp_trace_same(mine, doc, generation_of(f->rev)) == DP_SAME;
    json_decref(doc);
    json_decref(mine);
    return is;
}

char *dp_trace_id(struct dp_span text)
{
    json_t *doc = dp_trace_read(text);
    const char *id = json_string_value(json_object_get(doc, "_id"));
    for (size_t i = 0; !id && i < json_array_size(doc); i++) {
        json_t *leaf = json_object_get(json_array_get(doc, i), "ok");
        id = json_string_value(json_object_get(leaf, "_id"));
    }
    char *copy = id ? strdup(id) : NULL;
    json_decref(doc);
    return copy;
}

/* Seconds since 1970. What is told in milliseconds, as "0" or since the server's start is another thing. */
static bool made_at(json_t *info, uint64_t now_s, uint64_t *out)
{
    const json_t *made = json_object_get(info, "instance_start_time");
    const char *text = json_string_value(made);
    return text && dp_span_u64((struct dp_span){text, json_string_length(made)}, out) &&
           *out >= EARLIEST_S && *out <= now_s + AHEAD_S;
}

enum dp_trace_verdict dp_trace_database(struct dp_span info, int64_t now_s, uint64_t for_s)
{
    json_t *json = dp_trace_read(info);
    const uint64_t now = now_s > 0 ? (uint64_t)now_s : 0;
    uint64_t made;
    enum dp_trace_verdict verdict = DP_TRACE_BLIND;
    if (now > 0 && made_at(json, now, &made))
        verdict = made + for_s >= now ? DP_TRACE_OURS : DP_TRACE_NOT;
    json_decref(json);
    return verdict;
}
