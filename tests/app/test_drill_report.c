/* A drill's result in its page: whole, and never as markup. */
#include "davenport/web/page.h"

#include "app/cli.h"
#include "app/drill_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HOSTILE "</script><script>alert(1)</script><!--<script>"

/* The page's data as they stand in it. */
static struct dp_span data_of(const struct dp_text *page)
{
    const struct dp_web_page parts = dp_web_report();
    assert_true(page->n > parts.head.n + parts.tail.n);
    assert_memory_equal(page->p, parts.head.p, parts.head.n);
    assert_memory_equal(page->p + page->n - parts.tail.n, parts.tail.p, parts.tail.n);
    return (struct dp_span){page->p + parts.head.n, page->n - parts.head.n - parts.tail.n};
}

static void a_result_is_in_its_page_whole(void **state)
{
    (void)state;
    struct dp_text page = {0};
    json_t *result = json_pack("{s:i, s:s, s:[s, f, n], s:{s:s}}", "format", 1, "name", HOSTILE,
                               "list", "a<b", 10.31, HOSTILE, HOSTILE, "\xc3\xa4 & \"");
    assert_non_null(result);
    assert_int_equal(dp_drill_report_html(result, &page), DP_OK);
    const struct dp_span data = data_of(&page);
    assert_null(memchr(data.p, '<', data.n));
    json_t *read = json_loadb(data.p, data.n, 0, NULL);
    assert_true(json_equal(read, result));
    json_decref(read);
    json_decref(result);
    dp_text_fini(&page);
}

static void what_is_no_object_is_no_result(void **state)
{
    (void)state;
    struct dp_text page = {0};
    json_t *array = json_array();
    assert_int_equal(dp_drill_report_html(array, &page), DP_EINVAL);
    assert_int_equal(dp_drill_report_html(NULL, &page), DP_EINVAL);
    assert_int_equal(page.n, 0);
    json_decref(array);
    dp_text_fini(&page);
}

static size_t occurrences(struct dp_span s, const char *what)
{
    const size_t n = strlen(what);
    size_t count = 0;
    for (size_t i = 0; i + n <= s.n; i++) {
        if (memcmp(s.p + i, what, n) == 0) {
            count++;
        }
    }
    return count;
}

static void the_page_asks_nobody_for_anything(void **state)
{
    (void)state;
    const struct dp_web_page page = dp_web_report();
    assert_true(dp_span_starts(page.head, DP_SPAN("<!doctype html>\n")));
    assert_int_equal(occurrences(page.head, "content=\"default-src 'none'; script-src 'sha256-"),
                     1);
    assert_int_equal(occurrences(page.head, "unsafe-inline"), 0);
    /* The data's own element is open where the head ends, and closed where the tail begins. */
    assert_int_equal(occurrences(page.head, "<script"), 1);
    assert_true(dp_span_starts(page.tail, DP_SPAN("</script>\n<script>")));
    assert_int_equal(occurrences(page.tail, "</script"), 2);
    assert_int_equal(occurrences(page.head, "src=") + occurrences(page.head, "@import"), 0);
    assert_int_equal(occurrences(page.head, "url("), 0);
    assert_int_equal(occurrences(page.head, "MIT License"), 1);
}

/* The command's exit code for a file with this text; its words go to `err`. */
static int run_on(const char *text, char *err, size_t cap)
{
    char path[] = "/tmp/davenport_report_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    char out[sizeof path + 8];
    assert_true(snprintf(out, sizeof out, "%s.html", path) > 0);
    FILE *said = tmpfile();
    assert_non_null(said);
    (void)fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fileno(said), STDERR_FILENO) == STDERR_FILENO);
    char *argv[] = {"davenport", "report", path, "--output", out, NULL};
    const int code = dp_cli_main(5, argv);
    (void)fflush(stderr);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    rewind(said);
    err[fread(err, 1, cap - 1, said)] = '\0';
    (void)fclose(said);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(out), code == DP_EXIT_OK ? 0 : -1);
    return code;
}

static void the_command_tells_what_is_wrong(void **state)
{
    (void)state;
    char err[512];
    assert_int_equal(run_on("{\"format\":1}", err, sizeof err), DP_EXIT_OK);
    assert_string_equal(err, "");
    assert_int_equal(run_on("{\"format\":1", err, sizeof err), DP_EXIT_FAILED);
    assert_non_null(strstr(err, ":1:11: '}' expected near end of file"));
    static const char *const others[] = {"{}", "{\"format\":2}", "{\"format\":\"1\"}", "[1]"};
    for (size_t i = 0; i < DP_ARRAY_LEN(others); i++) {
        assert_int_equal(run_on(others[i], err, sizeof err), DP_EXIT_FAILED);
        assert_non_null(strstr(err, ": format: not a drill's result of format 1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_is_in_its_page_whole),
        cmocka_unit_test(what_is_no_object_is_no_result),
        cmocka_unit_test(the_page_asks_nobody_for_anything),
        cmocka_unit_test(the_command_tells_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
