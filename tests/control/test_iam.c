/* The token service: what it is asked, and what its answers mean. */
#include "davenport/base/attr.h"

#include "control/iam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_form(void **state)
{
    char out[DP_IAM_FORM_BYTES], longest[DP_IAM_FORM_BYTES + 1];
    (void)state;
    assert_true(dp_iam_form("aZ9-._~+/= &%\x80", out));
    assert_string_equal(out, "grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey="
                             "aZ9-._~%2B%2F%3D%20%26%25%80");
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_false(dp_iam_form(longest, out));
    for (size_t n = 1; n < 1500;
         n++) { /* every length around the end of the room, each byte escaped */
        memset(longest, '%', n);
        longest[n] = '\0';
        if (dp_iam_form(longest, out))
            assert_int_equal(strlen(out), 57 + 3 * n);
    }
}

static void answers(void **state)
{
    static const struct {
        uint16_t status;
        const char *body;
        enum dp_iam_answer answer;
        const char *why;
    } rows[] = {
        {200,
         "{\"access_token\":\"eyJ.x-_y.z\",\"refresh_token\":\"not_supported\",\"token_type\":"
         "\"Bearer\",\"expires_in\":3600,\"expiration\":1473188353}",
         DP_IAM_TOKEN, ""},
        {200, "{\"access_token\":\"a b\",\"expires_in\":3600}", DP_IAM_TROUBLE,
         "the token service's answer holds no token"},
        {200, "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":3600}", DP_IAM_TROUBLE,
         "the token service's answer holds no token"},
        {200, "{\"access_token\":\"\"}", DP_IAM_TROUBLE,
         "the token service's answer holds no token"},
        {200, "{\"access_token\":7}", DP_IAM_TROUBLE, "the token service's answer holds no token"},
        {200, "<html>", DP_IAM_TROUBLE, "the token service's answer holds no token"},
        {200, "", DP_IAM_TROUBLE, "the token service's answer holds no token"},
        {400,
         "{\"errorCode\":\"BXNIM0415E\",\"errorMessage\":\"Provided API key could not be "
         "found.\"}",
         DP_IAM_REFUSED, "the token service answered 400, BXNIM0415E"},
        {400, "{\"errorCode\":\"secret key\"}", DP_IAM_REFUSED, "the token service answered 400"},
        {401, "{}", DP_IAM_REFUSED, "the token service answered 401"},
        {408, "", DP_IAM_TROUBLE, "the token service answered 408"},
        {429, "{\"errorCode\":\"BXNIM0429E\"}", DP_IAM_TROUBLE,
         "the token service answered 429, BXNIM0429E"},
        {500, "[]", DP_IAM_TROUBLE, "the token service answered 500"},
        {302, "", DP_IAM_TROUBLE, "the token service answered 302"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_iam_token t = {.n = 0};
        char why[DP_IAM_WHY];
        assert_int_equal(dp_iam_read(rows[i].status, dp_span_str(rows[i].body), &t, why),
                         rows[i].answer);
        assert_string_equal(why, rows[i].why);
        if (rows[i].answer != DP_IAM_TOKEN)
            continue;
        assert_int_equal(t.life_s, 3600);
        assert_true(dp_span_eq((struct dp_span){t.token, t.n}, DP_SPAN("eyJ.x-_y.z")));
    }
}

static void tokens(void **state)
{
    char big[DP_TOKEN_BYTES_MAX];
    (void)state;
    memset(big, 'x', sizeof(big));
    assert_true(dp_token_sound((struct dp_span){big, sizeof(big) - 1}));
    assert_false(dp_token_sound((struct dp_span){big, sizeof(big)}));
    assert_false(dp_token_sound(DP_SPAN("")));
    assert_false(dp_token_sound(DP_SPAN("a\nb")));
    assert_false(dp_token_sound(DP_SPAN("a\x7f")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_form), cmocka_unit_test(answers),
                                       cmocka_unit_test(tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
