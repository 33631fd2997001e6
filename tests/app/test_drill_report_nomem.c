/* A report when memory runs out: none, and nothing is leaked. Half a page would be believed. */
#include "app/drill_report.h"
#include "app/json_memory.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* More than it takes: it went in circles. */
#define ALLOCATIONS_MAX 1000

static void no_half_page_when_memory_runs_out(void **state)
{
    (void)state;
    unsigned n = 0;
    json_t *result = json_pack("{s:i, s:s, s:[s, i]}", "format", 1, "name", "a<b", "list", "<", 7);
    assert_non_null(result);
    for (bool done = false; !done;) {
        struct dp_text page = {0};
        assert_true(++n < ALLOCATIONS_MAX);
        nomem_at(n);
        const enum dp_err err = dp_drill_report_html(result, &page);
        done = !nomem_happened();
        nomem_at(0);
        assert_int_equal(err, done ? DP_OK : DP_ENOMEM);
        dp_text_fini(&page);
    }
    assert_true(n > 3);
    json_decref(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_half_page_when_memory_runs_out),
    };
    nomem_libraries();
    dp_json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
