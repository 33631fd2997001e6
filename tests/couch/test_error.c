/* Error bodies: always one JSON object with the two members CouchDB's clients read. */
#include "davenport/base/err.h"
#include "davenport/couch/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

/* Parse a body and hand back one member's text as a new string. */
static char *member(const char *body, size_t n, const char *name, size_t *value_bytes)
{
    json_error_t e;
    json_t *root = json_loadb(body, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!root)
        fail_msg("not JSON: %.*s: %s", (int)n, body, e.text);
    assert_int_equal(json_object_size(root), 2);
    const json_t *value = json_object_get(root, name);
    assert_true(json_is_string(value));
    *value_bytes = json_string_length(value);
    char *text = malloc(*value_bytes + 1);
    assert_non_null(text);
    memcpy(text, json_string_value(value), *value_bytes + 1);
    json_decref(root);
    return text;
}

static void test_form(void **state)
{
    (void)state;
    static const char expected[] = "{\"error\":\"not_found\",\"reason\":\"missing\"}\n";
    char body[128];
    size_t n = dp_couch_error_body(body, sizeof(body), DP_SPAN("not_found"), DP_SPAN("missing"));
    assert_int_equal(n, sizeof(expected) - 1);
    assert_memory_equal(body, expected, n);
}

static void test_every_error_of_ours(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DP_ERR_COUNT; i++) {
        const struct dp_err_info *info = dp_err_info((enum dp_err)i);
        char body[512];
        size_t bytes;
        size_t n = dp_couch_error_body(body, sizeof(body), dp_span_str(info->word),
                                       dp_span_str(info->reason));
        assert_true(n > 0);
        char *word = member(body, n, "error", &bytes);
        char *reason = member(body, n, "reason", &bytes);
        assert_string_equal(word, info->word);
        assert_string_equal(reason, info->reason);
        free(word);
        free(reason);
    }
}

/* Every single byte, and every pair with a lead byte of UTF-8: JSON stays JSON, ASCII stays itself.
 */
static void test_any_bytes(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b += a < 0x80 ? 51 : 1) {
            const char text[3] = {(char)a, (char)b, 'x'};
            char body[128];
            size_t bytes;
            size_t n = dp_couch_error_body(body, sizeof(body), DP_SPAN("e"),
                                           (struct dp_span){text, sizeof(text)});
            assert_true(n > 0);
            char *reason = member(body, n, "reason", &bytes);
            assert_int_equal(reason[bytes - 1], 'x');
            if (a < 0x80 && b < 0x80) {
                assert_int_equal(bytes, sizeof(text));
                assert_memory_equal(reason, text, sizeof(text));
            }
            free(reason);
        }
    }
}

/* It fits whole or not at all, and nothing is written behind the buffer. */
static void test_every_size(void **state)
{
    (void)state;
    const struct dp_span error = DP_SPAN("bad\"request");
    const struct dp_span reason = DP_SPAN("a\nb");
    char whole[128];
    size_t need = dp_couch_error_body(whole, sizeof(whole), error, reason);
    assert_true(need > 0);
    for (size_t cap = 0; cap <= need + 2; cap++) {
        char *body = malloc(cap > 0 ? cap : 1);
        assert_non_null(body);
        size_t n = dp_couch_error_body(body, cap, error, reason);
        assert_int_equal(n, cap >= need ? need : 0);
        if (n > 0)
            assert_memory_equal(body, whole, n);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_every_error_of_ours),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
