/* Documents get an id if they have none, and nothing else changes; whole, cut at every byte, with the least room. */
#include "davenport/base/attr.h"
#include "davenport/couch/mint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 000…1, 000…2 */
static void count_up(void *ctx, char id[DP_ID_BYTES])
{
    unsigned *next = ctx;
    char text[DP_ID_BYTES + 1];
    (void)snprintf(text, sizeof(text), "%032x", ++*next);
    memcpy(id, text, DP_ID_BYTES);
}

static char *minted(enum dp_mint kind, const char *body, size_t piece, size_t cap, uint64_t *count)
{
    struct dp_minter m;
    unsigned next = 0;
    size_t bytes = strlen(body), n = 0;
    char *all = malloc(50 * bytes + 1), *out = malloc(cap);
    assert_non_null(all);
    assert_non_null(out);
    dp_minter_init(&m, kind, count_up, &next);
    for (size_t at = 0, used; at < bytes; at += used) {
        size_t left = bytes - at < piece ? bytes - at : piece;
        char *copy = malloc(left); /* of that size, so that a look too far is seen */
        assert_non_null(copy);
        memcpy(copy, body + at, left);
        size_t written = dp_minter_run(&m, copy, left, &used, out, cap);
        assert_true(used <= left && written <= cap && (used > 0 || written > 0));
        memcpy(all + n, out, written);
        n += written;
        free(copy);
    }
    all[n] = '\0';
    *count = m.minted;
    assert_int_equal(next, m.minted); /* none is made in vain */
    free(out);
    return all;
}

static void expect(enum dp_mint kind, const char *body, const char *want, uint64_t count)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 5, 31, 63, 64, 65};
    static const size_t caps[] = {DP_MINTER_ROOM, DP_MINTER_ROOM + 1, 70, 4096};
    for (size_t i = 0; i < DP_ARRAY_LEN(pieces); i++) {
        for (size_t j = 0; j < DP_ARRAY_LEN(caps); j++) {
            uint64_t ids;
            char *got = minted(kind, body, pieces[i], caps[j], &ids);
            assert_string_equal(got, want);
            assert_int_equal(ids, count);
            free(got);
        }
    }
}

#define ONE "\"_id\":\"00000000000000000000000000000001\""
#define TWO "\"_id\":\"00000000000000000000000000000002\""

static void test_document(void **state)
{
    (void)state;
    expect(DP_MINT_DOCUMENT, "{\"v\":1}", "{\"v\":1," ONE "}", 1);
    expect(DP_MINT_DOCUMENT, "{}", "{" ONE "}", 1);
    expect(DP_MINT_DOCUMENT, " {\n} \n", " {\n" ONE "} \n", 1);
    expect(DP_MINT_DOCUMENT, "{\"_id\":\"b\",\"v\":1}", "{\"_id\":\"b\",\"v\":1}", 0);
    expect(DP_MINT_DOCUMENT, "{\"v\":1.0,\"_id\" : \"b\"}", "{\"v\":1.0,\"_id\" : \"b\"}", 0);
}

static void test_ids_of_what_is_inside_do_not_count(void **state)
{
    (void)state;
    expect(DP_MINT_DOCUMENT, "{\"a\":{\"_id\":\"x\"},\"b\":[{\"_id\":1}],\"c\":\"\\\"_id\\\":1\"}",
           "{\"a\":{\"_id\":\"x\"},\"b\":[{\"_id\":1}],\"c\":\"\\\"_id\\\":1\"," ONE "}", 1);
    expect(DP_MINT_DOCUMENT, "{\"x_id\":1,\"id\":2,\"_i\":3}",
           "{\"x_id\":1,\"id\":2,\"_i\":3," ONE "}", 1);
    /* a value, not a name */
    expect(DP_MINT_DOCUMENT, "{\"field\":\"_id\"}", "{\"field\":\"_id\"," ONE "}", 1);
    expect(DP_MINT_DOCUMENT, "{\"field\":\"_id\" \n,\"a\":1}",
           "{\"field\":\"_id\" \n,\"a\":1," ONE "}", 1);
}

/* What CouchDB reads as "_id" is one, however it is written. */
static void test_escaped_names(void **state)
{
    (void)state;
    expect(DP_MINT_DOCUMENT, "{\"\\u005fid\":\"b\"}", "{\"\\u005fid\":\"b\"}", 0);
    expect(DP_MINT_DOCUMENT, "{\"\\u005F\\u0069\\u0064\":\"b\"}",
           "{\"\\u005F\\u0069\\u0064\":\"b\"}", 0);
    expect(DP_MINT_DOCUMENT, "{\"_\\u0069d\":\"b\"}", "{\"_\\u0069d\":\"b\"}", 0);
    expect(DP_MINT_DOCUMENT, "{\"\\\\u005fid\":\"b\"}", "{\"\\\\u005fid\":\"b\"," ONE "}", 1);
    expect(DP_MINT_DOCUMENT, "{\"\\\"_id\":\"b\"}", "{\"\\\"_id\":\"b\"," ONE "}", 1);
}

static void test_bulk(void **state)
{
    (void)state;
    expect(DP_MINT_BULK, "{\"docs\":[{\"n\":1},{\"_id\":\"a\",\"n\":2},{}]}",
           "{\"docs\":[{\"n\":1," ONE "},{\"_id\":\"a\",\"n\":2},{" TWO "}]}", 2);
    expect(DP_MINT_BULK, "{\"new_edits\":false,\"docs\":[{\"_id\":\"r\",\"_rev\":\"1-a\"}]}",
           "{\"new_edits\":false,\"docs\":[{\"_id\":\"r\",\"_rev\":\"1-a\"}]}", 0);
    expect(DP_MINT_BULK, "{\"docs\":[]}", "{\"docs\":[]}", 0);
    expect(DP_MINT_BULK, "{\"docs\":[1,\"_id\",[{}]]}", "{\"docs\":[1,\"_id\",[{}]]}", 0);
    expect(DP_MINT_BULK, "{\"docs\":[{\"n\":{}},{\"n\":[]}],\"x\":{\"_id\":1}}",
           "{\"docs\":[{\"n\":{}," ONE "},{\"n\":[]," TWO "}],\"x\":{\"_id\":1}}", 2);
}

static void test_what_is_no_json_stays(void **state)
{
    (void)state;
    expect(DP_MINT_DOCUMENT, "", "", 0);
    expect(DP_MINT_DOCUMENT, "{\"a\":1", "{\"a\":1", 0);
    expect(DP_MINT_DOCUMENT, "[1]", "[1]", 0);
    expect(DP_MINT_DOCUMENT, "\"\\", "\"\\", 0);
    expect(DP_MINT_BULK, "{\"docs\":[", "{\"docs\":[", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_ids_of_what_is_inside_do_not_count),
        cmocka_unit_test(test_escaped_names),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_what_is_no_json_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
