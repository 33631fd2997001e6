/* Errors behind a 200, and what only looks like one. */
#include "davenport/couch/appended.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As recorded: 05, list-breaks. */
#define RECORDED                                                                                   \
    "\n\n{\"code\":500,\"error\":\"render_error\",\"reason\":\"function raised error: "            \
    "({error:\\\"list_broke\\\"}) \\nstacktrace: undefined\"}\n"

static void pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is;
    } rows[] = {
        {RECORDED, true},
        {"{\"code\":404,\"error\":\"\",\"reason\":\"\"}", true},
        {"{\"code\":500,\"error\":\"a\\\\\",\"reason\":\"b\\\"}\"}\n", true},
        {"", false},
        {"\n", false},
        {"{\"code\":200,\"error\":\"a\",\"reason\":\"b\"}", false},
        {"{\"code\":50,\"error\":\"a\",\"reason\":\"b\"}", false},
        {"{\"code\":5000,\"error\":\"a\",\"reason\":\"b\"}", false},
        {"{\"code\":500,\"error\":\"a\",\"reason\":\"b\",\"more\":1}", false},
        {"{\"code\":500,\"error\":\"a\",\"reason\":\"b\"}\n{\"next\":\"row\"}\n", false},
        {"row\n{\"code\":500,\"error\":\"a\",\"reason\":\"b\"}", false},
        {"{\"code\":500,\"error\":\"a\",\"reason\":\"b\"},", false},
        {"{\"code\":500,\"error\":\"a\",\"reason\":\"b", false},
        {"{\"code\":500,\"error\":\"a\",\"reason\":\"b\\", false},
        {"{\"code\":500,\"error\":7,\"reason\":\"b\"}", false},
        {"{\"error\":\"a\",\"reason\":\"b\"}", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (dp_couch_appended_error(dp_span_str(rows[i].text)) != rows[i].is)
            fail_msg("%s", rows[i].text);
    }
}

/* Every beginning of it, in memory of just that size: no byte behind it is read, and none is taken for the whole. */
static void cut_anywhere(void **state)
{
    (void)state;
    size_t whole = strlen(RECORDED);
    for (size_t n = 0; n <= whole; n++) {
        char *piece = malloc(n ? n : 1);
        assert_non_null(piece);
        memcpy(piece, RECORDED, n);
        assert_int_equal(dp_couch_appended_error((struct dp_span){piece, n}), n >= whole - 1);
        free(piece);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
