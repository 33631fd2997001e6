/* Outcomes: what a status or a failure says of an endpoint. */
#include "davenport/core/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_status(void **state)
{
    (void)state;
    for (uint16_t status = 0; status < 1000; status++) {
        enum dp_outcome expected = DP_OUTCOME_ANSWERED;
        if (status == 500 || (status >= 502 && status <= 504))
            expected = DP_OUTCOME_SERVER_ERROR;
        else if (status == 429)
            expected = DP_OUTCOME_THROTTLED;
        else if (status == 401 || status == 403)
            expected = DP_OUTCOME_CREDENTIALS;
        if (dp_outcome_of_status(status) != expected)
            fail_msg("status %d: %s", (int)status, dp_outcome_label(dp_outcome_of_status(status)));
    }
}

/* Facts §7: these say that the region serves, whatever the client makes of them. */
static void test_healthy_statuses(void **state)
{
    (void)state;
    static const uint16_t healthy[] = {200, 201, 202, 304, 400, 404, 409, 412, 417, 501, 505};
    static const uint16_t says_nothing[] = {401, 403, 429};
    for (size_t i = 0; i < sizeof(healthy) / sizeof(healthy[0]); i++)
        assert_int_equal(dp_outcome_verdict(dp_outcome_of_status(healthy[i])), DP_VERDICT_OK);
    for (size_t i = 0; i < sizeof(says_nothing) / sizeof(says_nothing[0]); i++)
        assert_int_equal(dp_outcome_verdict(dp_outcome_of_status(says_nothing[i])),
                         DP_VERDICT_NONE);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        enum dp_outcome outcome;
        enum dp_verdict verdict;
    } rows[] = {
        {DP_OUTCOME_ANSWERED, DP_VERDICT_OK},         {DP_OUTCOME_SERVER_ERROR, DP_VERDICT_BAD},
        {DP_OUTCOME_THROTTLED, DP_VERDICT_NONE},      {DP_OUTCOME_CREDENTIALS, DP_VERDICT_NONE},
        {DP_OUTCOME_CONNECT_REFUSED, DP_VERDICT_BAD}, {DP_OUTCOME_CONNECT_TIMEOUT, DP_VERDICT_BAD},
        {DP_OUTCOME_TLS_FAULT, DP_VERDICT_BAD},       {DP_OUTCOME_STALE, DP_VERDICT_NONE},
        {DP_OUTCOME_NO_ANSWER, DP_VERDICT_BAD},       {DP_OUTCOME_ANSWER_TIMEOUT, DP_VERDICT_BAD},
        {DP_OUTCOME_BAD_ANSWER, DP_VERDICT_BAD},      {DP_OUTCOME_TRUNCATED, DP_VERDICT_BAD},
        {DP_OUTCOME_ANSWERED_LATE, DP_VERDICT_NONE},  {DP_OUTCOME_CLIENT_GONE, DP_VERDICT_NONE},
        {DP_OUTCOME_ABANDONED, DP_VERDICT_NONE},      {DP_OUTCOME_FAILED_LATE, DP_VERDICT_NONE},
    };
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), DP_OUTCOME_COUNT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(dp_outcome_verdict(rows[i].outcome), rows[i].verdict);
}

/* A label goes into metrics and the journal without quoting. */
static void test_labels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DP_OUTCOME_COUNT; i++) {
        const char *label = dp_outcome_label((enum dp_outcome)i);
        size_t n = strlen(label);
        assert_in_range(n, 1, 32);
        assert_int_equal(strspn(label, "abcdefghijklmnopqrstuvwxyz_"), n);
        assert_true(label[0] != '_' && label[n - 1] != '_');
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(label, dp_outcome_label((enum dp_outcome)k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status),
        cmocka_unit_test(test_healthy_statuses),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
