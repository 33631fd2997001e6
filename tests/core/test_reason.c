/* Reasons: every error that a client may be told has a word, no word means two things, and each way to end has one. */
#include "davenport/base/attr.h"
#include "davenport/core/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void words_are_words_and_unlike(void **state)
{
    (void)state;
    assert_null(dp_reason_word(DP_REASON_NONE));
    for (unsigned i = 1; i < DP_REASON_COUNT; i++) {
        const char *word = dp_reason_word((enum dp_reason)i);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(word));
        assert_non_null(strchr("CcSsPRILDK-", dp_reason_cause((enum dp_reason)i)));
        for (unsigned j = 1; j < i; j++)
            assert_string_not_equal(word, dp_reason_word((enum dp_reason)j));
        const char *text = dp_reason_text((enum dp_reason)i);
        assert_int_equal(text[strlen(text) - 1], '.');
    }
}

static void every_error_that_a_client_is_told_has_a_row(void **state)
{
    (void)state;
    assert_int_equal(dp_reason_of_err(DP_OK), DP_REASON_NONE);
    for (unsigned i = 1; i < DP_ERR_COUNT; i++) {
        if (dp_err_info((enum dp_err)i)->status > 0 &&
            dp_reason_of_err((enum dp_err)i) == DP_REASON_INTERNAL)
            fail_msg("%s has no row in reason.def", dp_err_info((enum dp_err)i)->code);
    }
    assert_int_equal(dp_reason_of_err(DP_EAGAIN), DP_REASON_INTERNAL);
}

/* Who reads "error" in what a client was told finds the same word in the log, where one error alone has it. */
static void a_word_that_clients_are_told_means_the_same_here(void **state)
{
    (void)state;
    for (unsigned i = 1; i < DP_ERR_COUNT; i++) {
        const struct dp_err_info *e = dp_err_info((enum dp_err)i);
        for (unsigned r = 1; r < DP_REASON_COUNT && e->status > 0; r++) {
            if (strcmp(dp_reason_word((enum dp_reason)r), e->word) != 0)
                continue;
            const struct dp_err_info *mine = NULL;
            for (unsigned k = 1; k < DP_ERR_COUNT; k++) {
                if (dp_reason_of_err((enum dp_err)k) == (enum dp_reason)r)
                    mine = dp_err_info((enum dp_err)k);
            }
            assert_non_null(mine);
            assert_string_equal(mine->word, e->word);
        }
    }
}

static void each_end_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        struct dp_reason_facts facts;
        const char *word;
    } rows[] = {
        {{DP_END_ANSWERED, .status = 201, .attempts = 1}, NULL},
        {{DP_END_ANSWERED, .status = 304, .attempts = 1}, NULL},
        {{DP_END_ANSWERED, .status = 200, .attempts = 1, .held = true}, "held"},
        {{DP_END_ANSWERED, .status = 200, .attempts = 2}, "retried"},
        {{DP_END_ANSWERED, .status = 200, .attempts = 2, .elsewhere = true, .held = true},
         "failed_over"},
        {{DP_END_ANSWERED, .status = 200, .attempts = 2, .hedged = true}, "hedged"},
        {{DP_END_ANSWERED, .status = 404, .attempts = 2, .elsewhere = true}, "region_4xx"},
        {{DP_END_ANSWERED, .status = 503, .attempts = 1}, "region_5xx"},
        {{DP_END_REFUSED, .err = DP_ENOREGION, .status = 503, .attempts = 0},
         "no_region_available"},
        {{DP_END_REFUSED, .err = DP_EUNKNOWNOUTCOME, .status = 503, .attempts = 1},
         "outcome_unknown"},
        {{DP_END_REFUSED, .err = DP_ERATE, .status = 408, .attempts = 0}, "body_slow"},
        {{DP_END_REFUSED, .err = DP_EIO, .status = 0, .attempts = 0}, "internal"},
        {{DP_END_REFUSED, .err = DP_OK, .status = 200, .attempts = 0}, NULL},
        {{DP_END_CUT, .err = DP_ERESET, .status = 200, .attempts = 1}, "region_reset"},
        {{DP_END_CUT, .err = DP_OK, .status = 200, .attempts = 1}, "cut"},
        {{DP_END_FEED_ENDED, .err = DP_ETRUNCATED, .status = 200, .attempts = 1}, "truncated"},
        {{DP_END_FEED_ENDED, .err = DP_OK, .status = 200, .attempts = 1}, "feed_ended"},
        {{DP_END_CLIENT_GONE, .err = DP_OK, .status = 0, .attempts = 1}, "client_gone"},
        {{DP_END_CLIENT_SLOW, .err = DP_ERATE, .status = 200, .attempts = 1}, "client_slow"},
        {{DP_END_CLIENT_SLOW, .err = DP_EBODYTIMEOUT, .status = 200, .attempts = 1},
         "client_stalled"},
        {{DP_END_ABORTED, .err = DP_OK, .status = 0, .attempts = 1}, "aborted"},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        const char *word = dp_reason_word(dp_reason_of(&rows[i].facts));
        print_message("row %zu\n", i);
        if (rows[i].word)
            assert_string_equal(word, rows[i].word);
        else
            assert_null(word);
    }
}

/* docs/logs.md has the table as it is here. */
static void the_document_has_every_row(void **state)
{
    (void)state;
    static char text[65536];
    FILE *f = fopen(DP_TEST_SOURCE_DIR "/docs/logs.md", "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    assert_int_equal(fclose(f), 0);
    assert_in_range(n, 1, sizeof(text) - 2);
    text[n] = '\0';
    const char *at = strstr(text, "\n| reason | | |\n|---|---|---|\n");
    assert_non_null(at);
    at = strchr(at + 1, '\n') + 1;
    for (unsigned i = 1; i < DP_REASON_COUNT; i++) {
        const enum dp_reason r = (enum dp_reason)i;
        char row[512];
        at = strchr(at, '\n') + 1;
        (void)snprintf(row, sizeof(row), "| `%s` | %c | %s |\n", dp_reason_word(r),
                       dp_reason_cause(r), dp_reason_text(r));
        if (strncmp(at, row, strlen(row)) != 0)
            fail_msg("docs/logs.md lacks, in its place: %s", row);
    }
    at = strchr(at, '\n') + 1;
    assert_true(*at != '|');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_words_and_unlike),
        cmocka_unit_test(every_error_that_a_client_is_told_has_a_row),
        cmocka_unit_test(a_word_that_clients_are_told_means_the_same_here),
        cmocka_unit_test(each_end_has_its_reason),
        cmocka_unit_test(the_document_has_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
