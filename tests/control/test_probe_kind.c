/* What an answer to a probe means, as a table. */
#include "control/prober.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void the_table(void **state)
{
    (void)state;
    static const struct {
        enum dp_err err;
        uint16_t status;
        const char *body;
        enum dp_probe_kind kind;
        const char *word;
    } rows[] = {
        {DP_OK, 200, "{\"status\":\"ok\",\"seeds\":{}}", DP_PROBE_OK, ""},
        {DP_OK, 200, "", DP_PROBE_OK, ""},
        {DP_OK, 204, "", DP_PROBE_OK, ""},
        {DP_OK, 404, "{\"status\":\"maintenance_mode\"}", DP_PROBE_DRAINING, "maintenance_mode"},
        {DP_OK, 404, "{\"status\":\"nolb\"}", DP_PROBE_DRAINING, "nolb"},
        {DP_OK, 404, "{\"status\":\"seeding\",\"seeds\":{}}\n", DP_PROBE_DRAINING, "seeding"},
        {DP_OK, 404, "{\"status\":\"ok\"}", DP_PROBE_OTHER, ""},
        {DP_OK, 404, "{\"status\":[\"nolb\"]}", DP_PROBE_OTHER, ""},
        {DP_OK, 404, "{\"error\":\"not_found\",\"reason\":\"missing\"}", DP_PROBE_OTHER, ""},
        {DP_OK, 404, "<html>404</html>", DP_PROBE_OTHER, ""},
        {DP_OK, 404, "", DP_PROBE_OTHER, ""},
        {DP_OK, 404, "{\"status\":\"nolb", DP_PROBE_OTHER, ""},
        {DP_OK, 404, "[]", DP_PROBE_OTHER, ""},
        {DP_OK, 500, "{\"error\":\"timeout\"}", DP_PROBE_UNHEALTHY, ""},
        {DP_OK, 503, "{\"error\":\"service unavailable\"}", DP_PROBE_UNHEALTHY, ""},
        {DP_OK, 502, "", DP_PROBE_UNHEALTHY, ""},
        {DP_OK, 412, "{\"error\":\"nodedown\",\"reason\":\"progress not possible\"}",
         DP_PROBE_UNHEALTHY, ""},
        {DP_OK, 412, "{\"error\":\"file_exists\"}", DP_PROBE_OTHER, ""},
        {DP_OK, 429, "{\"error\":\"too_many_requests\"}", DP_PROBE_THROTTLED, ""},
        {DP_OK, 401, "", DP_PROBE_CREDENTIALS, ""},
        {DP_OK, 403, "", DP_PROBE_CREDENTIALS, ""},
        {DP_OK, 402, "", DP_PROBE_QUOTA, ""},
        {DP_OK, 404, "{\"error\":\"not_found\",\"reason\":\"Database does not exist.\"}",
         DP_PROBE_OTHER, ""},
        {DP_OK, 301, "", DP_PROBE_OTHER, ""},
        {DP_OK, 400, "", DP_PROBE_OTHER, ""},
        {DP_ECONNECT, 0, "", DP_PROBE_DARK, ""},
        {DP_ETIMEOUT, 0, "", DP_PROBE_DARK, ""},
        {DP_ETIMEOUT, 200, "", DP_PROBE_DARK, ""}, /* the head came, the rest did not */
        {DP_ETRUNCATED, 200, "{\"sta", DP_PROBE_DARK, ""},
        {DP_ERESOLVE, 0, "", DP_PROBE_DARK, ""},
        {DP_ETLS, 0, "", DP_PROBE_TLS, ""},
        {DP_EBADRESPONSE, 0, "", DP_PROBE_DARK, ""},
        {DP_EBODYSIZE, 200, "", DP_PROBE_OTHER, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char word[DP_PROBE_WORD] = "left over";
        enum dp_probe_kind kind = dp_probe_classify(DP_LAYER_UP, rows[i].err, rows[i].status,
                                                    dp_span_str(rows[i].body), word);
        if (kind != rows[i].kind)
            print_error("row %zu: %s\n", i, dp_probe_kind_name(kind));
        assert_int_equal(kind, rows[i].kind);
        assert_string_equal(word, rows[i].word);
        assert_int_equal(dp_probe_classify(DP_LAYER_UP, rows[i].err, rows[i].status,
                                           dp_span_str(rows[i].body), NULL),
                         kind);
    }
}

/* Where a database is asked for, its absence has a word. */
static void a_database(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        const char *body;
        enum dp_probe_kind kind;
    } rows[] = {
        {200, "{\"db_name\":\"a\"}", DP_PROBE_OK},
        {404, "{\"error\":\"not_found\",\"reason\":\"Database does not exist.\"}",
         DP_PROBE_UNPROVISIONED},
        {404, "{\"error\":\"not_found\",\"reason\":\"no_db_file\"}", DP_PROBE_UNPROVISIONED},
        {404, "{\"error\":\"not_found\",\"reason\":\"missing\"}", DP_PROBE_OTHER},
        {404, "{\"status\":\"maintenance_mode\"}", DP_PROBE_DRAINING},
        {401, "", DP_PROBE_CREDENTIALS},
        {429, "", DP_PROBE_THROTTLED},
        {412, "{\"error\":\"nodedown\"}", DP_PROBE_UNHEALTHY},
        {500, "", DP_PROBE_UNHEALTHY},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_span body = dp_span_str(rows[i].body);
        assert_int_equal(dp_probe_classify(DP_LAYER_DATABASE, DP_OK, rows[i].status, body, NULL),
                         rows[i].kind);
        assert_int_equal(dp_probe_classify(DP_LAYER_CANARY, DP_OK, rows[i].status, body, NULL),
                         rows[i].kind);
    }
}

/* A word that is too long for us is no word we know. */
static void a_long_word(void **state)
{
    (void)state;
    char body[256];
    (void)snprintf(body, sizeof(body), "{\"status\":\"%s%s%s\"}", "maintenance_mode",
                   "maintenance_mode", "maintenance_mode");
    assert_int_equal(dp_probe_classify(DP_LAYER_UP, DP_OK, 404, dp_span_str(body), NULL),
                     DP_PROBE_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(a_database),
        cmocka_unit_test(a_long_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
