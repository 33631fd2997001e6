/* Location and Destination, rewritten. */
#include "davenport/base/attr.h"

#include "proxy/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(text) DP_SPAN_INIT(text)
#define PREFIX  "/_region/eu"

static const struct dp_origin plain = {S("app:8984"), S(""), false},
                              secure = {S("app"), S(""), true},
                              named = {S("app:8984"), S(PREFIX), false},
                              nameless = {S(""), S(""), false};

static void location(void **state)
{
    static const struct {
        const char *is;
        const struct dp_origin *origin;
        const char *becomes; /* NULL: untouched */
    } cases[] = {
        {"http://db.eu:5984/d/x", &plain, "http://app:8984/d/x"},
        {"HTTPS://DB.EU:5984/d/x", &plain, "http://app:8984/d/x"},
        {"http://db.eu:5984/d/x", &secure, "https://app/d/x"},
        {"http://db.eu:5984/d/x?rev=1#y", &named, "http://app:8984" PREFIX "/d/x?rev=1#y"},
        {"http://db.eu:5984", &plain, "http://app:8984/"},
        {"http://db.eu:5984/d/x", &nameless, "/d/x"},
        /* CouchDB made it of X-Forwarded-Host: right but for the prefix */
        {"http://app:8984/_utils/", &plain, NULL},
        {"http://app:8984/_utils/", &named, "http://app:8984" PREFIX "/_utils/"},
        {"/_utils/", &plain, NULL},
        {"/_utils/", &named, PREFIX "/_utils/"},
        {"../x", &named, NULL},
        /* elsewhere */
        {"http://db.eu/d/x", &plain, NULL},
        {"http://db.eu:59840/d/x", &plain, NULL},
        {"http://user@db.eu:5984/d/x", &plain, NULL},
        {"//db.eu:5984/d/x", &named, NULL},
        {"http:///d", &nameless, NULL},
        {"ftp://db.eu:5984/d", &plain, NULL},
        {"", &named, NULL},
    };
    struct dp_arena a;
    (void)state;
    dp_arena_init(&a, NULL);
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        const struct dp_span is = dp_span_str(cases[i].is);
        const struct dp_span out = dp_origin_location(&a, is, "db.eu:5984", cases[i].origin);
        if (!cases[i].becomes)
            assert_ptr_equal(out.p, is.p);
        else if (!dp_span_eq(out, dp_span_str(cases[i].becomes)))
            fail_msg("%s became %.*s", cases[i].is, (int)out.n, out.p);
    }
    dp_arena_reset(&a);
}

static void destination(void **state)
{
    static const struct {
        const char *is;
        const struct dp_origin *origin;
        const char *becomes;
    } cases[] = {
        {"http://app:8984/d/x", &plain, "x"},
        {"https://app:8984/d/x?rev=1-a", &plain, "x?rev=1-a"},
        {"http://app:8984/d/_design/x", &plain, "_design/x"},
        {"http://app:8984" PREFIX "/d/x", &named, "x"},
        {"http://app:8984/d/x", &named, "x"},
        /* the region's to refuse, or to take as it is */
        {"x", &plain, "x"},
        {"/d/x", &plain, "/d/x"},
        {"http://app:8984/d", &plain, "http://app:8984/d"},
        {"http://app:8984/d/", &plain, "http://app:8984/d/"},
        {"http://app:8984/dd/x", &plain, "http://app:8984/dd/x"},
        {"http://other/d/x", &plain, "http://other/d/x"},
        {"http:///d/x", &plain, "http:///d/x"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        const struct dp_span out =
            dp_origin_destination(dp_span_str(cases[i].is), DP_SPAN("d"), cases[i].origin);
        if (!dp_span_eq(out, dp_span_str(cases[i].becomes)))
            fail_msg("%s became %.*s", cases[i].is, (int)out.n, out.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(location),
        cmocka_unit_test(destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
