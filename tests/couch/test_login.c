/* Every 401 and 403 that a CouchDB 3.4.3 was recorded to give (topics 01 to 10), and others. */
#include "davenport/base/attr.h"
#include "davenport/couch/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define U(reason) "{\"error\":\"unauthorized\",\"reason\":\"" reason "\"}\n"
#define F(reason) "{\"error\":\"forbidden\",\"reason\":\"" reason "\"}\n"

static void recorded(void **state)
{
    static const struct {
        uint16_t status;
        const char *body;
        enum dp_couch_login login;
    } rows[] = {
        {401, U("Name or password is incorrect."), DP_LOGIN_REFUSED},
        {403, F("Account is temporarily locked due to multiple authentication failures"),
         DP_LOGIN_REFUSED},
        {401, U("You are not a server admin."), DP_LOGIN_FINE},
        {401, U("You are not authorized to access this db."), DP_LOGIN_FINE},
        {403, F("You are not a db or server admin."), DP_LOGIN_FINE},
        {403, F("You are not allowed to access this db."), DP_LOGIN_FINE},
        {403, F("Missing replicator database"), DP_LOGIN_FINE},
        {403, F("no bad documents"), DP_LOGIN_FINE},
        {403, F("local_endpoints_not_supported"), DP_LOGIN_FINE},
        {401, U("Authentication required."), DP_LOGIN_UNSURE},
        {401, U("You are not an authenticated user"), DP_LOGIN_UNSURE},
        {401, U("who are you"), DP_LOGIN_UNSURE}, /* a validation function's */
        {401, "", DP_LOGIN_UNSURE},
        {401, "42\r\n" U("Name or password is incorrect.") "\r\n0\r\n\r\n", DP_LOGIN_REFUSED},
        {403, U("Name or password is incorrect."), DP_LOGIN_FINE},
        {200, U("Name or password is incorrect."), DP_LOGIN_FINE},
        {404, F("Account is temporarily locked"), DP_LOGIN_FINE},
        {403, "", DP_LOGIN_FINE},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        if (dp_couch_login_said(rows[i].status, dp_span_str(rows[i].body)) != rows[i].login)
            fail_msg("%u %s", (unsigned)rows[i].status, rows[i].body);
    }
    assert_int_equal(dp_couch_login_said(401, (struct dp_span){NULL, 0}), DP_LOGIN_UNSURE);
}

static void sessions(void **state)
{
    (void)state;
    assert_true(dp_couch_session_named(
        DP_SPAN("{\"ok\":true,\"userCtx\":{\"name\":\"bob\",\"roles\":[]},\"info\":{}}\n")));
    assert_false(dp_couch_session_named(
        DP_SPAN("{\"ok\":true,\"userCtx\":{\"name\":null,\"roles\":[]},\"info\":{}}\n")));
    assert_false(dp_couch_session_named(DP_SPAN("{\"ok\":true}")));
    assert_false(dp_couch_session_named(DP_SPAN("<html>")));
    assert_false(dp_couch_session_named((struct dp_span){NULL, 0}));
}

/* ---- logins ---- */

static void is(const struct dp_couch_asked_login *l, const char *name, const char *password)
{
    assert_int_equal(l->name_n, strlen(name));
    assert_memory_equal(l->name, name, l->name_n);
    assert_int_equal(l->password_n, strlen(password));
    assert_memory_equal(l->password, password, l->password_n);
}

static void basic(void **state)
{
    static const char *const bad[] = {"",
                                      "Basic",
                                      "Basic ",
                                      "Bearer QWxhZGRpbjpvcGVu",
                                      "Basic QWxhZGRpbg==",
                                      "Basic QWx!ZGRpbjpvcGVu",
                                      "Basic\tQWxhZGRpbjpvcGVu"};
    struct dp_couch_asked_login l;
    char longest[2000];
    (void)state;
    assert_true(dp_couch_basic(DP_SPAN("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), &l));
    is(&l, "Aladdin", "open sesame");
    assert_true(dp_couch_basic(DP_SPAN("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ==  "), &l));
    assert_true(dp_couch_basic(DP_SPAN("Basic YTpiOmM="), &l));
    is(&l, "a", "b:c");
    assert_true(dp_couch_basic(DP_SPAN("Basic Og=="), &l));
    is(&l, "", "");
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++)
        assert_false(dp_couch_basic(dp_span_str(bad[i]), &l));
    memset(longest, 'A', sizeof(longest));
    memcpy(longest, "Basic ", 6);
    for (size_t n = 6; n <= sizeof(longest); n++) /* no colon in it, and no room for all of it */
        assert_false(dp_couch_basic((struct dp_span){longest, n}, &l));
}

static void bodies(void **state)
{
    static const struct {
        const char *type, *body;
        enum dp_err err;
    } rows[] = {
        {"application/x-www-form-urlencoded", "name=bob&password=b%20+c", DP_OK},
        {"application/x-www-form-urlencoded", "password=b+%20c&x&next=/&username=bob", DP_OK},
        {"application/x-www-form-urlencoded; charset=utf-8", "name=bob&password=b  c&name=eve",
         DP_OK},
        {"application/json", "{\"name\":\"bob\",\"password\":\"b  c\"}", DP_OK},
        {"Application/JSON ; charset=utf-8", "{\"username\":\"bob\",\"password\":\"b  c\"}", DP_OK},
        {"application/x-www-form-urlencoded", "", DP_ELOGINBODY},
        {"application/x-www-form-urlencoded", "name=bob", DP_ELOGINBODY},
        {"application/x-www-form-urlencoded", "name&password", DP_ELOGINBODY},
        {"application/x-www-form-urlencoded", "name=%b&password=x", DP_ELOGINBODY},
        {"application/x-www-form-urlencoded", "name=b&password=%", DP_ELOGINBODY},
        {"application/json", "", DP_ELOGINBODY},
        {"application/json", "{\"name\":\"bob\"}", DP_ELOGINBODY},
        {"application/json", "{\"name\":1,\"password\":\"x\"}", DP_ELOGINBODY},
        {"application/json", "[]", DP_ELOGINBODY},
        {"text/plain", "name=bob&password=x", DP_ECONTENTTYPE},
        {"", "name=bob&password=x", DP_ECONTENTTYPE},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_couch_asked_login l;
        assert_int_equal(
            dp_couch_login_body(dp_span_str(rows[i].type), dp_span_str(rows[i].body), &l),
            rows[i].err);
        if (!rows[i].err)
            is(&l, "bob", "b  c");
    }
}

static void what_does_not_fit(void **state)
{
    struct dp_couch_asked_login l;
    char body[1200];
    (void)state;
    for (int n = 250; n < 265; n++) {
        (void)snprintf(body, sizeof(body), "name=%0*d&password=x", n, 0);
        assert_int_equal(dp_couch_login_body(DP_SPAN("application/x-www-form-urlencoded"),
                                             dp_span_str(body), &l) == DP_OK,
                         n <= DP_LOGIN_NAME_BYTES);
    }
    for (int n = 505; n < 520; n++) {
        (void)snprintf(body, sizeof(body), "{\"name\":\"x\",\"password\":\"%0*d\"}", n, 0);
        assert_int_equal(dp_couch_login_body(DP_SPAN("application/json"), dp_span_str(body), &l) ==
                             DP_OK,
                         n <= DP_LOGIN_PASSWORD_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded), cmocka_unit_test(sessions),          cmocka_unit_test(basic),
        cmocka_unit_test(bodies),   cmocka_unit_test(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
