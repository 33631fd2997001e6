/* Our own credentials in requests: what goes out, what does not, and what a region's refusal ends. */
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ASK                                                                                        \
    "GET /db/doc HTTP/1.1\r\nHost: a\r\nAuthorization: Basic Y2xpZW50\r\nCookie: a=1; "            \
    "AuthSession=theirs\r\nX-Auth-CouchDB-UserName: root\r\nX-Auth-CouchDB-Roles: _admin\r\n"      \
    "X-Auth-CouchDB-Token: t\r\n\r\n"

static const char fine[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n"
                           "Set-Cookie: AuthSession=region; Path=/; HttpOnly\r\n\r\nhi";
static const char wrong[] =
    "HTTP/1.1 401 Unauthorized\r\nDate: D\r\nContent-Length: 67\r\n\r\n"
    "{\"error\":\"unauthorized\",\"reason\":\"Name or password is incorrect.\"}\n";
static const char locked[] =
    "HTTP/1.1 403 Forbidden\r\nDate: D\r\nContent-Length: 103\r\n\r\n"
    "{\"error\":\"forbidden\",\"reason\":\"Account is temporarily locked due to multiple "
    "authentication failures\"}\n";
static const char not_allowed[] =
    "HTTP/1.1 401 Unauthorized\r\nDate: D\r\nContent-Length: 78\r\n\r\n"
    "{\"error\":\"unauthorized\",\"reason\":\"You are not authorized to access this db.\"}\n";
static const char odd[] = "HTTP/1.1 401 Unauthorized\r\nDate: D\r\nContent-Length: 2\r\n\r\n{}";

static struct dp_credential *keys[2];

static void setup(struct rig *r)
{
    static const struct dp_span lines[] = {DP_SPAN_INIT("Authorization: Basic b25l\r\n"),
                                           DP_SPAN_INIT("Authorization: Bearer two\r\n")};
    rig_init(r, 2);
    for (unsigned i = 0; i < 2; i++) {
        keys[i] = dp_credential_new(DP_CREDENTIAL_BASIC, true, lines[i]);
        assert_non_null(keys[i]);
        r->view->regions[i].injected = true;
        r->view->regions[i].credential = keys[i];
    }
}

static bool has(const struct rig_peer *p, const char *text)
{
    return strstr(p->got, text) != NULL;
}

static void ours_in_place_of_theirs(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    setup(&r);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, ASK, &up);
    assert_true(has(up, "Authorization: Basic b25l\r\n"));
    assert_true(has(up, "Cookie: a=1\r\n"));
    assert_false(has(up, "Y2xpZW50") || has(up, "theirs") || has(up, "X-Auth-CouchDB"));
    rig_send(up, fine);
    assert_true(has(c, "200 OK"));
    assert_false(has(c, "Set-Cookie")); /* a session of ours in that region */
    rig_fini(&r);
}

/* Separators without a space come back with one. */
static void cookies_that_grow(void **state)
{
    struct rig r;
    struct rig_peer *up;
    char request[3200];
    size_t n =
        (size_t)snprintf(request, sizeof(request), "GET /db/doc HTTP/1.1\r\nHost: a\r\nCookie: a");
    (void)state;
    setup(&r);
    rig_start(&r);
    for (int i = 0; i < 1500; i++)
        n += (size_t)snprintf(request + n, sizeof(request) - n, ";a");
    (void)snprintf(request + n, sizeof(request) - n, "\r\n\r\n");
    (void)rig_request(&r, request, &up);
    assert_true(has(up, "a; a; a; a\r\n"));
    rig_fini(&r);
}

static void theirs_pass_where_we_have_none(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    rig_init(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, ASK, &up);
    assert_true(has(up, "Authorization: Basic Y2xpZW50\r\nCookie: a=1; AuthSession=theirs\r\n"));
    assert_false(has(up, "X-Auth-CouchDB")); /* nobody proved that */
    rig_send(up, fine);
    assert_true(has(c, "Set-Cookie: AuthSession=region; Path=/; HttpOnly\r\n"));
    rig_fini(&r);
}

static void assertions_pass_where_configured(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    rig_init(&r, 1);
    r.config.passes_assertions = true;
    rig_start(&r);
    (void)rig_request(&r, ASK, &up);
    assert_true(has(up, "X-Auth-CouchDB-UserName: root\r\n"));
    rig_fini(&r);
}

static void after_one_refusal_nobody_uses_it(void **state)
{
    static const char *const answers[] = {wrong, locked};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        struct rig_peer *up;
        setup(&r);
        rig_start(&r);
        struct rig_peer *c =
            rig_request(&r, "PUT /db/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", &up);
        assert_int_equal(r.kicks, 0);
        rig_send(up, answers[i]);
        assert_true(dp_credential_refused(keys[0]));
        assert_int_equal(r.kicks, 1);
        struct rig_peer *second = rig_dialed(&r, 2);
        rig_connect(second, DP_OK);
        assert_true(has(second, "Authorization: Bearer two\r\n"));
        assert_true(has(second, "\r\n\r\n{}"));
        rig_send(second, fine);
        assert_true(has(c, "200 OK"));
        /* the next one does not even try */
        rig_clear(c);
        rig_clear(second);
        rig_send(c, ASK);
        assert_int_equal(r.n_regions, 2);
        assert_true(has(second, "GET /db/doc"));
        const struct dp_traffic_endpoint *t = &r.traffic.endpoints[0];
        assert_int_equal(dp_counter_get(&t->outcomes[DP_OUTCOME_CREDENTIALS]), 2);
        assert_int_equal(dp_counter_get(&r.traffic.credentials_refused), 1);
        rig_fini(&r);
    }
}

static void refused_everywhere_is_no_401(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    setup(&r);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, ASK, &up);
    rig_send(up, wrong);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(rig_dialed(&r, 2), wrong);
    assert_true(has(c, "HTTP/1.1 503 "));
    assert_true(has(c, "\"error\":\"no_region_available\""));
    rig_fini(&r);
}

static void other_refusals_are_the_clients(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    setup(&r);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, ASK, &up);
    rig_send(up, not_allowed);
    assert_true(has(c, "HTTP/1.1 401 "));
    assert_int_equal(atomic_load(&keys[0]->word), DP_CREDENTIAL_FINE);
    assert_int_equal(r.kicks, 0);
    rig_clear(c);
    rig_send(c, ASK);
    rig_send(up, odd); /* about what? the control plane asks */
    assert_true(has(c, "HTTP/1.1 401 "));
    assert_int_equal(atomic_load(&keys[0]->word), DP_CREDENTIAL_DOUBTED);
    assert_int_equal(r.kicks, 1);
    rig_fini(&r);
}

static void without_a_key_nothing_goes_there(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    r.view->regions[0].credential = NULL;
    r.view->regions[1].credential = NULL;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, ASK);
    assert_int_equal(r.n_regions, 0);
    assert_true(has(c, "HTTP/1.1 503 "));
    rig_fini(&r);
    dp_credential_unref(keys[0]);
    dp_credential_unref(keys[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_in_place_of_theirs),
        cmocka_unit_test(cookies_that_grow),
        cmocka_unit_test(theirs_pass_where_we_have_none),
        cmocka_unit_test(assertions_pass_where_configured),
        cmocka_unit_test(after_one_refusal_nobody_uses_it),
        cmocka_unit_test(refused_everywhere_is_no_401),
        cmocka_unit_test(other_refusals_are_the_clients),
        cmocka_unit_test(without_a_key_nothing_goes_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
