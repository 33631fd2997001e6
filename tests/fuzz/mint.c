/* The minter: what comes out does not depend on how the body is cut; and where the body is JSON it is the same JSON, but
 * that every document has an _id: its own if it had one.
 *
 * Input: a byte that chooses the kind, a byte that seeds the cuts, then the body. */
#include "davenport/couch/mint.h"

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static void make(void *ctx, char id[DP_ID_BYTES])
{
    char text[DP_ID_BYTES + 1];
    (void)snprintf(text, sizeof(text), "f022%028x", ++*(unsigned *)ctx);
    memcpy(id, text, DP_ID_BYTES);
}

static struct fuzz_text run(enum dp_mint kind, const char *p, size_t n, uint32_t seed)
{
    struct fuzz_text all = {0};
    struct dp_minter m;
    unsigned made = 0;
    dp_minter_init(&m, kind, make, &made);
    for (size_t at = 0; at < n;) {
        size_t piece = seed ? fuzz_piece(&seed, n - at) : n - at, used = 0;
        size_t cap = DP_MINTER_ROOM + (seed ? seed % 200 : 48 * n);
        char *copy = fuzz_copy(p + at, piece), *out = malloc(cap);
        fuzz_check(out != NULL, "memory");
        size_t written = dp_minter_run(&m, copy, piece, &used, out, cap);
        fuzz_check((used > 0 || written > 0) && used <= piece && written <= cap,
                   "it moves, within bounds");
        fuzz_add(&all, out, written);
        free(copy);
        free(out);
        at += used;
    }
    fuzz_check(made == m.minted, "no id is made in vain");
    return all;
}

static void compare_document(json_t *before, json_t *after)
{
    const char *id = json_string_value(json_object_get(after, "_id"));
    fuzz_check(json_object_get(after, "_id") != NULL, "every document has an _id");
    if (!json_object_get(before, "_id")) {
        fuzz_check(id && strlen(id) == DP_ID_BYTES && strncmp(id, "f022", 4) == 0, "one of ours");
        (void)json_object_del(after, "_id");
    }
    fuzz_check(json_equal(before, after) == 1, "nothing else changed");
}

static void compare(enum dp_mint kind, json_t *before, json_t *after)
{
    if (kind == DP_MINT_DOCUMENT) {
        if (json_is_object(before))
            compare_document(before, after);
        return;
    }
    json_t *docs = json_object_get(before, "docs"), *got = json_object_get(after, "docs");
    for (size_t i = 0; json_is_array(docs) && i < json_array_size(docs); i++) {
        if (json_is_object(json_array_get(docs, i)))
            compare_document(json_array_get(docs, i), json_array_get(got, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum dp_mint kind = data[0] & 1 ? DP_MINT_BULK : DP_MINT_DOCUMENT;
    const char *body = (const char *)data + 2;
    struct fuzz_text whole = run(kind, body, size - 2, 0);
    struct fuzz_text cut = run(kind, body, size - 2, data[1] + 1U);
    fuzz_check(fuzz_same(&whole, &cut), "however it is cut");
    /* REJECT_DUPLICATES: which of two members counts is not the minter's to know. */
    json_t *before = json_loadb(body, size - 2, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (before) {
        json_t *after = json_loadb(whole.p, whole.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        fuzz_check(after != NULL, "JSON stays JSON");
        compare(kind, before, after);
        json_decref(after);
    }
    json_decref(before);
    fuzz_free(&whole);
    fuzz_free(&cut);
    return 0;
}
