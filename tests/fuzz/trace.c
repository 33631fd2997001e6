/* Our own writes: whatever a region says, nothing breaks; and a branch made of a document and its parent is told to be
 * ours, one with another parent or another member is not.
 *
 * Input: up to four texts, a byte 0x01 between two of them: the write's body, its revision, the first answer, the second. */
#include "davenport/couch/trace.h"

#include "davenport/base/attr.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { BODY, REV, FIRST, SECOND, TEXTS };

static void try_all(const struct dp_span *t)
{
    static const enum dp_trace_write writes[] = {DP_TRACE_DOCUMENT, DP_TRACE_DELETE,
                                                 DP_TRACE_ATTACHMENT};
    for (size_t i = 0; i < DP_ARRAY_LEN(writes); i++) {
        const struct dp_trace_ask ask = {
            .write = writes[i], .body = t[BODY], .rev = t[REV], .name = DP_SPAN("t")};
        struct dp_trace_found f = {0};
        enum dp_trace_verdict v = dp_trace_first(&ask, t[FIRST], &f);
        fuzz_check((v != DP_TRACE_OURS && v != DP_TRACE_LOOK) || memchr(f.rev, '-', sizeof(f.rev)),
                   "it names a revision");
        fuzz_check(v != DP_TRACE_LOOK || f.at[0] != '\0', "it says where to look");
        const bool lacks = dp_trace_lacks_parent(&ask, t[FIRST]);
        fuzz_check(!lacks || (v != DP_TRACE_OURS && v != DP_TRACE_LOOK),
                   "ours is behind our parent");
        if (v == DP_TRACE_LOOK)
            (void)dp_trace_second(&ask, &f, t[SECOND]);
    }
    free(dp_trace_id(t[BODY]));
    fuzz_check(dp_trace_database(t[FIRST], 0, 0) == DP_TRACE_BLIND, "no time, no word");
    (void)dp_trace_database(t[FIRST], 1795369353, 5);
}

static void try_bulk(const struct dp_span *t)
{
    size_t n = 0;
    struct dp_trace_rows rows;
    bool blind;
    char *ask = dp_trace_bulk_ask(t[BODY], t[FIRST], &n, &blind);
    fuzz_check(!ask || (strlen(ask) == n && !blind), "its length");
    char *text = dp_trace_bulk(t[BODY], t[FIRST], t[SECOND], &n, &rows);
    fuzz_check(!text || (ask && rows.settled > 0 && strlen(text) == n),
               "what was settled was asked for");
    fuzz_check(ask || blind || rows.lacking + rows.unseen == 0, "and so was what stays open");
    free(ask);
    free(text);
}

static enum dp_trace_verdict look(struct dp_span body, json_t *leaf, const char *parent)
{
    struct dp_trace_found f = {0};
    json_t *copy = json_deep_copy(leaf);
    json_t *history = json_pack("{s:i,s:[s,s]}", "start", 2, "ids", "ours", parent);
    fuzz_check(json_object_set_new(copy, "_revisions", history) == 0, "memory");
    json_t *all = json_pack("[{s:o}]", "ok", copy);
    char *text = json_dumps(all, 0);
    const struct dp_trace_ask ask = {
        .write = DP_TRACE_DOCUMENT, .body = body, .rev = DP_SPAN("1-parent")};
    fuzz_check(text != NULL, "memory");
    enum dp_trace_verdict v = dp_trace_first(&ask, dp_span_str(text), &f);
    fuzz_check(v != DP_TRACE_OURS || strcmp(f.rev, "2-ours") == 0, "our revision");
    free(text);
    json_decref(all);
    return v;
}

static void try_own(struct dp_span body)
{
    json_t *doc = json_loadb(body.p, body.n, JSON_ALLOW_NUL, NULL);
    json_t *rev = json_object_get(doc, "_rev");
    if (json_is_object(doc) && !json_object_get(doc, "_attachments") &&
        (!json_is_string(rev) || json_string_length(rev) == 0)) {
        fuzz_check(look(body, doc, "parent") == DP_TRACE_OURS, "our own is known");
        fuzz_check(look(body, doc, "other") == DP_TRACE_NOT, "not behind another parent");
        if (!json_object_get(doc, "other")) {
            fuzz_check(json_object_set_new(doc, "other", json_true()) == 0, "memory");
            fuzz_check(look(body, doc, "parent") == DP_TRACE_NOT, "not with another member");
        }
    }
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dp_span rest = {(const char *)data, size}, t[TEXTS];
    char *copies[TEXTS];
    for (size_t i = 0; i < TEXTS; i++) {
        struct dp_span part = rest.p ? dp_span_cut(&rest, 1) : (struct dp_span){NULL, 0};
        copies[i] = fuzz_copy(part.p, part.n);
        t[i] = (struct dp_span){part.n > 0 ? copies[i] : NULL, part.n};
    }
    try_all(t);
    try_bulk(t);
    if (t[BODY].n > 0)
        try_own(t[BODY]);
    for (size_t i = 0; i < TEXTS; i++)
        free(copies[i]);
    return 0;
}
