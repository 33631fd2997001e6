/* _bulk_get, read with jansson as a whole: its size is bounded by who asks. */
#include "drill/leaves.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static struct dp_span text(const json_t *v)
{
    return (struct dp_span){json_string_value(v), json_string_length(v)};
}

/* {"id": [document, …]}, of all that is there; a new reference. */
static enum dp_err gather(const json_t *results, json_t *into, size_t *absent)
{
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *docs = json_object_get(json_array_get(results, i), "docs");
        if (!json_is_array(docs))
            return DP_EINVAL;
        for (size_t k = 0; k < json_array_size(docs); k++) {
            const json_t *one = json_array_get(docs, k);
            json_t *ok = json_object_get(one, "ok");
            const json_t *id = json_object_get(ok, "_id");
            if (!ok && json_object_get(one, "error")) {
                (*absent)++;
                continue;
            }
            if (!json_is_string(id) || strlen(json_string_value(id)) != json_string_length(id))
                return DP_EINVAL;
            json_t *list = json_object_get(into, json_string_value(id));
            if (!list) {
                list = json_array();
                if (json_object_set_new(into, json_string_value(id), list) != 0)
                    return DP_ENOMEM;
            }
            if (json_array_append(list, ok) != 0)
                return DP_ENOMEM;
        }
    }
    return DP_OK;
}

/* ids: room for all of the document's history. */
static bool read_history(const json_t *doc, struct dp_leaf *out, struct dp_span *ids)
{
    const json_t *revisions = json_object_get(doc, "_revisions");
    const json_t *start = json_object_get(revisions, "start");
    const json_t *list = json_object_get(revisions, "ids");
    size_t n = json_array_size(list);
    json_int_t first = json_integer_value(start);
    struct dp_span rest = out->rev;
    uint64_t generation;
    if (n == 0 || first < (json_int_t)n || first >= UINT32_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        ids[i] = text(json_array_get(list, i));
        if (!ids[i].p || ids[i].n == 0)
            return false;
    }
    out->start = (uint32_t)first;
    out->ids = ids;
    out->n_ids = n;
    return dp_span_u64(dp_span_cut(&rest, '-'), &generation) && rest.p &&
           generation == (uint64_t)first && dp_span_eq(rest, ids[0]);
}

static bool read_leaf(const json_t *doc, const char *run, struct dp_leaf *out, struct dp_span *ids)
{
    const json_t *tag = json_object_get(doc, "tag");
    const char *whose = json_string_value(json_object_get(doc, "drill"));
    *out = (struct dp_leaf){.rev = text(json_object_get(doc, "_rev")),
                            .deleted = json_is_true(json_object_get(doc, "_deleted"))};
    if (!out->rev.p || !read_history(doc, out, ids))
        return false;
    if (whose && strcmp(whose, run) == 0 && json_is_integer(tag) && json_integer_value(tag) >= 0 &&
        json_integer_value(tag) < UINT32_MAX) {
        out->has_tag = true;
        out->tag = (uint32_t)json_integer_value(tag);
    }
    return true;
}

static bool is_known(const struct dp_leaf *leaves, size_t n, struct dp_span rev)
{
    for (size_t i = 0; i < n; i++) {
        if (dp_span_eq(leaves[i].rev, rev))
            return true;
    }
    return false;
}

static size_t count_ids(const json_t *docs)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(docs); i++) {
        const json_t *revisions = json_object_get(json_array_get(docs, i), "_revisions");
        n += json_array_size(json_object_get(revisions, "ids"));
    }
    return n;
}

static enum dp_err tell(const char *id, const json_t *docs, const char *run, dp_leaves_fn fn,
                        void *ctx)
{
    size_t n = 0, used = 0;
    enum dp_err err = DP_OK;
    struct dp_leaf *leaves = malloc(json_array_size(docs) * sizeof(*leaves));
    struct dp_span *ids = malloc((count_ids(docs) + 1) * sizeof(*ids));
    if (!leaves || !ids)
        err = DP_ENOMEM;
    for (size_t i = 0; !err && i < json_array_size(docs); i++) {
        if (!read_leaf(json_array_get(docs, i), run, &leaves[n], ids + used)) {
            err = DP_EINVAL;
        } else if (!is_known(leaves, n, leaves[n].rev)) {
            used += leaves[n].n_ids;
            n++;
        }
    }
    if (!err)
        fn(ctx, dp_span_str(id), leaves, n);
    free(leaves);
    free(ids);
    return err;
}

enum dp_err dp_leaves_read(struct dp_span body, const char *run, dp_leaves_fn fn, void *ctx,
                           size_t *absent)
{
    json_error_t e;
    const char *id;
    json_t *docs, *by_id = NULL;
    json_t *root = json_loadb(body.p ? body.p : "", body.n, JSON_ALLOW_NUL, &e);
    if (!root)
        return json_error_code(&e) == json_error_out_of_memory ? DP_ENOMEM : DP_EINVAL;
    const json_t *results = json_object_get(root, "results");
    enum dp_err err = json_is_array(results) ? DP_OK : DP_EINVAL;
    size_t gone = 0;
    if (!err && !(by_id = json_object()))
        err = DP_ENOMEM;
    if (!err)
        err = gather(results, by_id, &gone);
    json_object_foreach (by_id, id, docs) {
        if (err)
            break;
        err = tell(id, docs, run, fn, ctx);
    }
    if (!err)
        *absent = gone;
    json_decref(by_id);
    json_decref(root);
    return err;
}

bool dp_leaves_rev(struct dp_span body, char out[DP_LEDGER_REV])
{
    struct dp_ledger_rev parsed;
    json_t *root = json_loadb(body.p ? body.p : "", body.n, JSON_ALLOW_NUL, NULL);
    const struct dp_span rev = text(json_object_get(root, "_rev"));
    bool good = rev.n < DP_LEDGER_REV && dp_ledger_rev_parse(rev, &parsed) &&
                strspn(rev.p, "0123456789abcdef-") == rev.n; /* it goes into a URL */
    if (good)
        memcpy(out, rev.p, rev.n + 1);
    json_decref(root);
    return good;
}
