/* Cookies: found, left out, and set by a region as by us. */
#include "davenport/base/attr.h"
#include "davenport/http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct dp_head head_of(struct dp_header *fields, enum dp_header_id id, const char *const *v,
                              uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        fields[i] = (struct dp_header){.value = dp_span_str(v[i]), .id = id};
    return (struct dp_head){
        .headers = fields, .n_headers = n, .present = n > 0 ? DP_HEADER_BIT(id) : 0};
}

static void without(const char *sent, const char *want)
{
    struct dp_header field;
    char out[256];
    struct dp_writer w;
    struct dp_head h = head_of(&field, DP_HEADER_COOKIE, &sent, 1);
    dp_writer_init(&w, out, sizeof(out));
    dp_write_cookies_without(&w, &h, DP_SPAN("AuthSession"));
    assert_int_equal(w.n, strlen(want));
    assert_memory_equal(out, want, w.n);
    assert_true(w.n <= sizeof("Cookie: \r\n") - 1 + 2 * strlen(sent));
}

static void left_out(void **state)
{
    (void)state;
    without("AuthSession=abc", "");
    without("a=1; AuthSession=abc; b=2", "Cookie: a=1; b=2\r\n");
    without("AuthSession=abc;a=1", "Cookie: a=1\r\n");
    without("AuthSession", "");
    without("AuthSession =abc", "");
    without("authsession=abc", "Cookie: authsession=abc\r\n"); /* names are by case */
    without("xAuthSession=1; AuthSessionx=2", "Cookie: xAuthSession=1; AuthSessionx=2\r\n");
    without("; ;a;;b=;", "Cookie: a; b=\r\n");
    without("a=AuthSession=x", "Cookie: a=AuthSession=x\r\n");
    without("a;b;c;d", "Cookie: a; b; c; d\r\n"); /* longer than it came */
    without("", "");
}

static void found(void **state)
{
    static const char *const two[] = {"a=1", "b=2; AuthSession=x=y==; AuthSession=z"};
    struct dp_header fields[2];
    struct dp_span v;
    (void)state;
    struct dp_head h = head_of(fields, DP_HEADER_COOKIE, two, 2);
    assert_true(dp_cookie_find(&h, DP_SPAN("AuthSession"), &v));
    assert_true(dp_span_eq(v, DP_SPAN("x=y==")));
    assert_false(dp_cookie_find(&h, DP_SPAN("c"), &v));
    h = head_of(fields, DP_HEADER_COOKIE, two, 0);
    assert_false(dp_cookie_find(&h, DP_SPAN("a"), &v));
    const char *bare = "AuthSession";
    h = head_of(fields, DP_HEADER_COOKIE, &bare, 1);
    assert_false(dp_cookie_find(&h, DP_SPAN("AuthSession"), &v));
}

static void set(const char *sent, bool secure, const char *want)
{
    struct dp_header field;
    char out[256];
    struct dp_writer w;
    struct dp_head h = head_of(&field, DP_HEADER_SET_COOKIE, &sent, 1);
    dp_writer_init(&w, out, sizeof(out));
    dp_write_set_cookies(&w, &h, secure);
    assert_int_equal(w.n, strlen(want));
    assert_memory_equal(out, want, w.n);
    assert_true(w.n <= sizeof("Set-Cookie: \r\n") - 1 + 2 * strlen(sent) + DP_SET_COOKIE_MORE);
}

static void set_by_a_region(void **state)
{
    (void)state;
    set("AuthSession=x; Version=1; Path=/; HttpOnly", false,
        "Set-Cookie: AuthSession=x; Version=1; Path=/; HttpOnly\r\n");
    set("AuthSession=x; Version=1; Path=/; HttpOnly", true,
        "Set-Cookie: AuthSession=x; Version=1; Path=/; HttpOnly; Secure\r\n");
    set("AuthSession=x; Secure; Domain=.cloudant.com; Path=/", false,
        "Set-Cookie: AuthSession=x; Path=/\r\n");
    set("AuthSession=x; secure; domain=a; SameSite=None", true,
        "Set-Cookie: AuthSession=x; SameSite=None; Secure\r\n");
    set("AuthSession=x; SameSite=none; Secure", false, "Set-Cookie: AuthSession=x\r\n");
    set("AuthSession=x; SameSite=Strict", false, "Set-Cookie: AuthSession=x; SameSite=Strict\r\n");
    set("Secure=1; Domain", true, "Set-Cookie: Secure=1; Secure\r\n"); /* a cookie of that name */
    set("AuthSession=x; Expires=Sun, 22-Nov-2026 17:56:57 GMT", false,
        "Set-Cookie: AuthSession=x; Expires=Sun, 22-Nov-2026 17:56:57 GMT\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(left_out), cmocka_unit_test(found),
                                       cmocka_unit_test(set_by_a_region)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
