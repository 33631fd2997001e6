/* The error table: every row is fit to be shown, and no region's trouble is told as something that a
 * client takes for final or for a reason to send a POST again. */
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_word(const char *s)
{
    return s[0] >= 'a' && s[0] <= 'z' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s);
}

static void test_every_row(void **state)
{
    (void)state;
    for (unsigned i = 1; i < DP_ERR_COUNT; i++) {
        const struct dp_err_info *e = dp_err_info((enum dp_err)i);
        assert_non_null(e->code);
        if (e->code[0] != 'E' || strspn(e->code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(e->code))
            fail_msg("row %u: code %s", i, e->code);
        if (e->status != 0 && (e->status < 400 || e->status > 599))
            fail_msg("%s: status %d", e->code, (int)e->status);
        if (!is_word(e->word))
            fail_msg("%s: word \"%s\"", e->code, e->word);
        size_t n = strlen(e->reason);
        /* these are CouchDB's words */
        const bool ours = i != DP_ENOCHECKPOINT && i != DP_ELOCKED && i != DP_ECONTENTTYPE &&
                          i != DP_ESESSIONMETHOD;
        if (n < 5 ||
            (ours && (e->reason[0] < 'A' || e->reason[0] > 'Z' || e->reason[n - 1] != '.')))
            fail_msg("%s: \"%s\" is no sentence", e->code, e->reason);
        for (size_t k = 0; k < n; k++) {
            if (e->reason[k] < 0x20 || e->reason[k] > 0x7E || strchr("\"\\", e->reason[k]))
                fail_msg("%s: byte %zu of the text", e->code, k);
        }
        for (unsigned k = 1; k < i; k++)
            assert_string_not_equal(e->code, dp_err_info((enum dp_err)k)->code);
    }
}

/* Who it is, as it proved to us: no region was asked. */
static bool is_about_the_client(enum dp_err e)
{
    return e == DP_EUNKNOWN || e == DP_EPASSWORD || e == DP_ELOCKED;
}

static void test_what_a_region_did(void **state)
{
    (void)state;
    static const uint16_t never[] = {400, 401, 403, 404, 502, 504};
    static const enum dp_err region[] = {
        DP_ENOMEM, DP_EIO,       DP_ECLOSED,      DP_ERESET,     DP_ECONNECT,  DP_ERESOLVE,
        DP_ETLS,   DP_ETIMEOUT,  DP_EBADRESPONSE, DP_ETRUNCATED, DP_ENOREGION, DP_EUNKNOWNOUTCOME,
        DP_ELIMIT, DP_EDRAINING, DP_ECREDENTIALS,
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(region); i++) {
        const struct dp_err_info *e = dp_err_info(region[i]);
        for (size_t k = 0; k < DP_ARRAY_LEN(never); k++) {
            if (e->status == never[k])
                fail_msg("%s is told as %d", e->code, (int)e->status);
        }
    }
    /* those never stand for anything at all, 400 only for what the client itself wrote wrongly */
    for (unsigned i = 0; i < DP_ERR_COUNT; i++) {
        const struct dp_err_info *e = dp_err_info((enum dp_err)i);
        for (size_t k = 1; k < DP_ARRAY_LEN(never); k++)
            assert_true(e->status != never[k] || i == DP_ENOCHECKPOINT ||
                        is_about_the_client((enum dp_err)i));
        if (e->status == 400 && i != DP_ENOSUCHREGION)
            assert_string_equal(e->word, "bad_request");
        if (strncmp(e->word, "region", 6) == 0)
            assert_int_equal(e->status, 503);
    }
    assert_int_equal(dp_err_info(DP_ENOREGION)->status, 503);
    assert_string_equal(dp_err_info(DP_EUNKNOWNOUTCOME)->word, "outcome_unknown");
}

static void test_codes(void **state)
{
    (void)state;
    assert_int_equal(DP_OK, 0);
    assert_int_equal(dp_err_info(DP_OK)->status, 200);
    assert_string_equal(dp_err_info(DP_OK)->word, "ok");
    assert_string_equal(dp_err_info(DP_ETIMEOUT)->code, "ETIMEOUT");
    assert_string_equal(dp_err_info(DP_EDRAINING)->code, "EDRAINING");
    const struct dp_err_info *unknown = dp_err_info(DP_EINVAL);
    assert_ptr_equal(dp_err_info(DP_ERR_COUNT), unknown);
    int out_of_range = 1000000;
    assert_ptr_equal(dp_err_info((enum dp_err)out_of_range), unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_what_a_region_did),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
