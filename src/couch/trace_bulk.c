/* Rows of _bulk_docs: the i-th tells of the i-th document. */
#include "couch/trace_document.h"

#include <stdlib.h>
#include <string.h>

static char *dump(json_t *json, bool line, size_t *n)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return NULL;
    *n = strlen(text);
    char *room = line ? realloc(text, *n + 2) : text;
    if (!room) {
        free(text);
        return NULL;
    }
    if (line)
        memcpy(room + (*n)++, "\n", 2);
    return room;
}

char *dp_trace_answer(const char *id, const char *rev, size_t *n)
{
    return dump(json_pack("{s:b,s:s,s:s}", "ok", 1, "id", id, "rev", rev), true, n);
}

/* What was sent and what came of it. */
struct rows {
    json_t *body, *answer;
    json_t *docs;
};

static void rows_fini(struct rows *r)
{
    json_decref(r->body);
    json_decref(r->answer);
}

static bool is_error(const json_t *row, const char *word)
{
    const json_t *error = json_object_get(row, "error");
    return error &&
           (!word || (json_is_string(error) && strcmp(json_string_value(error), word) == 0));
}

static bool has_conflict(const json_t *answer)
{
    for (size_t i = 0; i < json_array_size(answer); i++) {
        if (is_error(json_array_get(answer, i), "conflict"))
            return true;
    }
    return false;
}

/* False: there is nothing to look at, or *blind; nothing is to be freed then. */
static bool rows_init(struct rows *r, struct dp_span body, struct dp_span answer, bool *blind)
{
    r->body = dp_trace_read(body);
    r->answer = dp_trace_read(answer);
    r->docs = json_object_get(r->body, "docs");
    *blind = !json_is_array(r->docs) || !json_is_array(r->answer);
    const bool edits = !json_is_false(json_object_get(r->body, "new_edits"));
    if (!*blind && edits && json_array_size(r->docs) == json_array_size(r->answer))
        return true;
    /* Which row is of which document nobody can tell: a conflict among them may be about any. */
    if (!*blind && edits)
        *blind = has_conflict(r->answer);
    rows_fini(r);
    return false;
}

/* The id of row i, if it is a conflict about the document that was sent there; else NULL. */
static const char *conflict_at(const struct rows *r, size_t i)
{
    const json_t *row = json_array_get(r->answer, i);
    const json_t *sent = json_object_get(json_array_get(r->docs, i), "_id");
    if (!is_error(row, "conflict") || !json_is_string(sent) ||
        !json_equal(sent, json_object_get(row, "id")) || strlen(json_string_value(sent)) == 0 ||
        strlen(json_string_value(sent)) != json_string_length(sent))
        return NULL;
    return json_string_value(sent);
}

char *dp_trace_bulk_ask(struct dp_span body, struct dp_span answer, size_t *n, bool *blind)
{
    struct rows r;
    if (!rows_init(&r, body, answer, blind))
        return NULL;
    json_t *docs = json_array(), *ask = NULL;
    *blind = !docs;
    for (size_t i = 0; !*blind && i < json_array_size(r.answer); i++) {
        const char *id = conflict_at(&r, i);
        if (id)
            *blind = json_array_size(docs) >= DP_TRACE_ROWS ||
                     json_array_append_new(docs, json_pack("{s:s}", "id", id)) != 0;
    }
    if (!*blind && json_array_size(docs) > 0) {
        ask = json_pack("{s:O}", "docs", docs);
        *blind = !ask;
    }
    json_decref(docs);
    rows_fini(&r);
    return dump(ask, false, n);
}

/* What stands there, by id: the same document asked for twice is told twice alike. */
static json_t *leaves_by_id(struct dp_span looked)
{
    json_t *text = dp_trace_read(looked), *out = json_object();
    const json_t *results = json_object_get(text, "results");
    for (size_t i = 0; out && i < json_array_size(results); i++) {
        const json_t *one = json_array_get(results, i);
        const json_t *id = json_object_get(one, "id");
        if (json_is_string(id) &&
            json_object_set(out, json_string_value(id), json_object_get(one, "docs")) != 0)
            break; /* no memory: of what is not there nobody knows */
    }
    json_decref(text);
    return out;
}

/* What a row's conflict turned out to be. */
enum kind {
    STANDS, /* somebody else's, or no conflict about the document that was sent there */
    OURS,
    LACKS, /* of a region that lacks its parent */
    UNSEEN /* it would take more than this look */
};

/* Was every leaf told, or that there is none? Any other error is the look's. */
static bool is_told(const json_t *leaves)
{
    for (size_t i = 0; i < json_array_size(leaves); i++) {
        const json_t *one = json_array_get(leaves, i);
        if (!json_object_get(one, "ok") && !is_error(json_object_get(one, "error"), "not_found"))
            return false;
    }
    return json_is_array(leaves);
}

/* Turns row i into a success if that conflict is our own. */
static enum kind settle_row(const struct rows *r, size_t i, json_t *looked)
{
    const char *id = conflict_at(r, i);
    json_t *doc = json_array_get(r->docs, i), *leaves = id ? json_object_get(looked, id) : NULL;
    struct dp_trace_found f;
    struct dp_span parent;
    /* Sent twice in one request, the second one was a conflict from the beginning. */
    if (!id || json_is_true(leaves) || !dp_trace_parent((struct dp_span){NULL, 0}, doc, &parent))
        return STANDS;
    switch (dp_trace_best(leaves, doc, parent, NULL, &f)) {
    case DP_TRACE_OURS:
        break;
    case DP_TRACE_NOT:
        if (!is_told(leaves))
            return UNSEEN;
        return dp_trace_leaves_lack(leaves, parent) ? LACKS : STANDS;
    case DP_TRACE_LOOK:
    case DP_TRACE_BLIND:
        return UNSEEN;
    }
    json_t *row = json_pack("{s:b,s:s,s:s}", "ok", 1, "id", id, "rev", f.rev);
    if (!row || json_array_set_new(r->answer, i, row) != 0)
        return UNSEEN;
    (void)json_object_set_new(looked, id, json_true());
    return OURS;
}

static size_t errors_of(const json_t *answer)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(answer); i++)
        n += is_error(json_array_get(answer, i), NULL);
    return n;
}

char *dp_trace_bulk(struct dp_span body, struct dp_span answer, struct dp_span looked, size_t *n,
                    struct dp_trace_rows *out)
{
    struct rows r;
    size_t count[UNSEEN + 1] = {0};
    char *text = NULL;
    bool blind;
    *out = (struct dp_trace_rows){0};
    if (!rows_init(&r, body, answer, &blind)) {
        out->unseen = blind;
        return NULL;
    }
    json_t *leaves = leaves_by_id(looked);
    for (size_t i = 0; i < json_array_size(r.answer); i++)
        count[settle_row(&r, i, leaves)]++;
    if (count[OURS] > 0)
        text = dump(json_incref(r.answer), true, n);
    *out = (struct dp_trace_rows){.settled = text ? count[OURS] : 0,
                                  .failed = errors_of(r.answer),
                                  .lacking = count[LACKS],
                                  .unseen = count[UNSEEN] + (text ? 0 : count[OURS])};
    json_decref(leaves);
    rows_fini(&r);
    return text;
}
