/* The manual pages: all that the tables have stands in them, and nothing of it is taken for a request of roff. */
#include "app/cli.h"
#include "app/config_table.h"
#include "app/man.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* `word` as roff prints it, where it begins an item. */
static void assert_item(const struct dp_text *page, const char *before, const char *word)
{
    char item[256];
    size_t n = (size_t)snprintf(item, sizeof item, "%s", before);
    for (; *word; word++) {
        n += (size_t)snprintf(item + n, sizeof item - n, *word == '-' ? "\\-" : "%c", *word);
    }
    if (!strstr(dp_text_str(page), item)) {
        fail_msg("not in the page: %s", item);
    }
}

static void assert_plain(const struct dp_text *page)
{
    static const char *const requests[] = {".TH ",  ".SH ",  ".SS ", ".TP\n", ".PP\n", ".nf\n",
                                           ".fi\n", ".nh\n", ".ad ", ".ss ",  ".BR ",  ".B "};
    assert_false(page->failed);
    for (const char *line = dp_text_str(page); *line; line = strchr(line, '\n') + 1) {
        bool known = *line != '.' && *line != '\'';
        for (size_t i = 0; !known && i < DP_ARRAY_LEN(requests); i++) {
            known = strncmp(line, requests[i], strlen(requests[i])) == 0;
        }
        if (!known) {
            fail_msg("taken for a request: %.60s", line);
        }
        assert_non_null(strchr(line, '\n'));
    }
    for (const char *p = dp_text_str(page); *p; p++) {
        assert_true((unsigned char)*p < 0x80);
    }
}

static void test_every_key_is_in_its_page(void **state)
{
    struct dp_text page = {0};
    (void)state;
    dp_man_config(&page);
    assert_plain(&page);
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const struct dp_config_row *row = &dp_config_rows[i];
        assert_item(&page, row->type == DP_CONFIG_SECTION ? "\n.SS " : "\n.TP\n\\fB", row->path);
    }
    assert_non_null(
        strstr(dp_text_str(&page), "\\fBlisten.port\\fR = 8984  (0 to 65535)\nTCP port."));
    assert_non_null(strstr(dp_text_str(&page), "{\\[u2026]}"));
    dp_text_fini(&page);
}

static void test_commands_are_told_as_they_are_written(void **state)
{
    static const struct dp_cli_command commands[] = {
        {.name = "one-two",
         .args = "FILE",
         .summary = "does it",
         .text = "It's said: a\\b.\n.so a file\n\n  one-two 'x'\n  .y\nThat was all.\n",
         .options = {{"long-one", 'l', "N", "so many"}, {"bare", 0, NULL, ".hidden"}}},
        {.name = "last", .args = "", .summary = "is last", .text = ""},
    };
    static const char expected[] =
        ".SS \"davenport one\\-two [OPTION]... FILE\"\ndoes it.\n.PP\n"
        "It\\(aqs said: a\\eb.\n\\&.so a file\n.PP\n"
        ".PP\n.nf\n  one\\-two \\(aqx\\(aq\n  .y\n.fi\nThat was all.\n"
        ".TP\n\\fB\\-l\\fR, \\fB\\-\\-long\\-one\\fR \\fIN\\fR\nso many\n"
        ".TP\n\\fB\\-\\-bare\\fR\n\\&.hidden\n"
        ".SS \"davenport last\"\nis last.\n";
    struct dp_text page = {0};
    (void)state;
    dp_man_program(commands, DP_ARRAY_LEN(commands), &page);
    assert_plain(&page);
    const char *begin = strstr(dp_text_str(&page), ".SS \"davenport one");
    assert_non_null(begin);
    assert_memory_equal(begin, expected, sizeof expected - 1);
    for (const struct dp_cli_exit *e = dp_cli_exits; e->text; e++) {
        char code[16];
        (void)snprintf(code, sizeof code, "%d", e->code);
        assert_item(&page, "\n.TP\n\\fB", code);
    }
    for (const struct dp_cli_variable *v = dp_cli_variables; v->name; v++) {
        assert_item(&page, "\n.TP\n\\fB", v->name);
    }
    dp_text_fini(&page);
}

static void test_the_programs_own_commands_are_told(void **state)
{
    struct dp_text page = {0};
    (void)state;
    dp_man_program(dp_cli_commands, dp_cli_n_commands, &page);
    assert_plain(&page);
    for (size_t i = 0; i < dp_cli_n_commands; i++) {
        assert_item(&page, "\n.SS \"davenport ", dp_cli_commands[i].name);
    }
    dp_text_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_in_its_page),
        cmocka_unit_test(test_commands_are_told_as_they_are_written),
        cmocka_unit_test(test_the_programs_own_commands_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
