/* What regions answer about replication: whatever they say, nothing breaks, what is kept has the shape that the next question
 * needs, and a set never grows by being told what is missing.
 *
 * Input: a byte that chooses the reader, then its answer. */
#include "davenport/couch/replica.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static void question_is_sound(const struct dp_replica_set *s)
{
    size_t n = 0;
    char *text = dp_replica_set_question(s, &n);
    fuzz_check(text != NULL && n == strlen(text), "a question");
    json_t *q = json_loadb(text, n, 0, NULL), *revs;
    const char *id;
    fuzz_check(json_is_object(q) && json_object_size(q) == dp_replica_set_count(s),
               "one a document");
    json_object_foreach (q, id, revs) {
        fuzz_check(json_is_array(revs), "its revisions");
        for (size_t i = 0; i < json_array_size(revs); i++)
            fuzz_check(json_is_string(json_array_get(revs, i)), "are strings");
    }
    json_decref(q);
    free(text);
}

static void two_answers(const char *p, size_t n, bool newer)
{
    static const char first[] =
        "{\"results\":[{\"id\":\"a\",\"changes\":[{\"rev\":\"1-a\"}]},"
        "{\"id\":\"b\",\"changes\":[{\"rev\":\"1-b\"}]}],\"last_seq\":\"2-x\"}";
    struct dp_replica_set *s = dp_replica_set_new(), *older = dp_replica_set_new();
    struct dp_replica_page page = {.last_seq = "-"};
    fuzz_check(s && older, "memory");
    fuzz_check(dp_replica_take_page(s, DP_SPAN(first), &page) == DP_OK, "a page");
    fuzz_check(dp_replica_take_page(older, DP_SPAN(first), &page) == DP_OK, "another");
    if (newer) {
        enum dp_err err = dp_replica_take_missing(s, (struct dp_span){p, n}, older);
        fuzz_check(dp_replica_set_count(s) <= 2 && dp_replica_set_count(older) <= 2, "no more");
        fuzz_check(!err || dp_replica_set_count(older) == 2, "an error changes nothing");
    } else if (dp_replica_take_page(s, (struct dp_span){p, n}, &page) == DP_OK) {
        fuzz_check(page.last_seq[0] != '\0', "a place");
    }
    question_is_sound(s);
    question_is_sound(older);
    fuzz_check(dp_replica_set_merge(older, s) == DP_OK && dp_replica_set_count(s) == 0, "merged");
    question_is_sound(older);
    dp_replica_set_free(s);
    dp_replica_set_free(older);
}

static void on_job(void *ctx, const struct dp_replica_job *j)
{
    char base[DP_REPLICA_BASE], name[DP_REPLICA_NAME];
    (void)ctx;
    fuzz_check(strlen(j->source) + strlen(j->target) + strlen(j->id) + strlen(j->doc_id) +
                       strlen(j->state) + strlen(j->error) <
                   SIZE_MAX,
               "texts that end");
    if (dp_replica_url(j->source, base, name))
        fuzz_check(base[0] && name[0] && !strchr(base, '@'), "no credentials in a base");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t n = size - 1;
    char *p = fuzz_copy((const char *)data + 1, n);
    struct dp_span body = {p, n};
    struct dp_replica_info info;
    char token[DP_REPLICA_TOKEN], out[3 * DP_REPLICA_TOKEN], rev[DP_REPLICA_REV];
    bool whole;
    enum dp_err err = DP_OK;
    switch (data[0] % 9) {
    case 0:
        if (dp_replica_info(body, &info) == DP_OK)
            fuzz_check(info.seq[0] != '\0', "a token");
        break;
    case 1:
    case 2:
        two_answers(p, n, data[0] % 9 == 1);
        break;
    case 3:
        err = dp_replica_scheduler_docs(body, on_job, NULL);
        break;
    case 4:
        err = dp_replica_replicator_docs(body, on_job, NULL);
        break;
    case 5:
        err = dp_replica_replicator_doc(body, &whole);
        break;
    case 7:
        if (dp_replica_rev(body, rev) == DP_OK)
            fuzz_check(rev[0] != '\0' && !strpbrk(rev, "\"\\/ "), "it can be asked for as it is");
        break;
    case 8:
        err = dp_replica_lacks(body, "a", "1-a", &whole);
        break;
    default:
        if (dp_replica_checkpoint(body, token) == DP_OK)
            fuzz_check(dp_replica_encode(token, out, sizeof(out)) && strlen(out) >= strlen(token),
                       "it can be asked for");
        break;
    }
    fuzz_check(err == DP_OK || err == DP_EINVAL, "read, or not what was asked for");
    free(p);
    return 0;
}
