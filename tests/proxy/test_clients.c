/* Who asks: passwords, sessions, certificates; what is hashed and how often; how failures end. */
#include "davenport/proxy/login_limit.h"

#include "proxy/session.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "pencil", by 1000 rounds; "pw2" */
static struct dp_client_user users[2];
static const char *const hashes[] = {
    "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$wVNdDJbDXytD3Ypu4dvQtX0COri6cW8h0XT6q2RUj3E",
    "$pbkdf2-sha256$i=1000$c2FsdHNhbHM$OXeT+Buhusp016bPjauMSkT1RN86HQlrJ8ctYvX1COE"};
static struct dp_clients_config clients;
static struct dp_credential *key;

#define ANN         "Authorization: Basic YW5uOnBlbmNpbA==\r\n" /* ann:pencil */
#define BOB         "Authorization: Basic Ym9iOnB3Mg==\r\n"     /* bob:pw2 */
#define WRONG       "Authorization: Basic YW5uOnNjaXNzb3Jz\r\n" /* ann:scissors */
#define STRANGER    "Authorization: Basic ZXZlOnBlbmNpbA==\r\n" /* eve:pencil */
#define GET(fields) "GET /db/doc HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static const char fine[] = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi";

static void setup(struct rig *r)
{
    rig_init(r, 1);
    users[0] = (struct dp_client_user){"ann", hashes[0], "_admin,x"};
    users[1] = (struct dp_client_user){"bob", hashes[1], ""};
    clients = (struct dp_clients_config){.users = users,
                                         .n_users = 2,
                                         .session_key = {1, 2, 3},
                                         .session_s = 600,
                                         .lock_failures = 5,
                                         .lock_s = 300};
    r->config.clients = &clients;
    r->config.idle_timeout_ms = 3000000;
    r->logins = dp_login_limit_new(7);
    key =
        dp_credential_new(DP_CREDENTIAL_BASIC, true, DP_SPAN("Authorization: Basic b3Vycw==\r\n"));
    assert_true(r->logins && key);
    r->view->regions[0].injected = true;
    r->view->regions[0].credential = key;
    rig_start(r);
}

static void end(struct rig *r)
{
    struct dp_login_limit *l = r->logins;
    rig_fini(r);
    dp_login_limit_free(l);
}

static bool has(const struct rig_peer *p, const char *text)
{
    return strstr(p->got, text) != NULL;
}

/* One request on a connection of its own; the region answers if it is asked. */
static struct rig_peer *ask_from(struct rig *r, const char *request, const char *address)
{
    const size_t before = r->n_regions;
    struct rig_peer *c = rig_client_from(r, address);
    rig_send(c, request);
    if (r->n_regions > before)
        rig_connect(r->regions[before], DP_OK);
    for (size_t i = 0; i < r->n_regions; i++) {
        if (!r->regions[i]->closed && r->regions[i]->got_bytes > 0) {
            rig_send(r->regions[i], fine);
            rig_clear(r->regions[i]);
        }
    }
    return c;
}

static struct rig_peer *ask(struct rig *r, const char *request)
{
    return ask_from(r, request, "192.0.2.7");
}

static void nobody_passes_unknown(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    struct rig_peer *c = ask(&r, GET(""));
    assert_true(has(c, "HTTP/1.1 401 Unauthorized\r\n"));
    assert_true(has(c, "WWW-Authenticate: Basic realm=\"davenport\"\r\n"));
    assert_true(has(c, "{\"error\":\"unauthorized\",\"reason\":\"Authentication required.\"}"));
    assert_true(has(ask(&r, GET("Authorization: Bearer x\r\n")), " 401 "));
    assert_true(has(ask(&r, GET("Authorization: Basic !\r\n")), " 401 "));
    assert_true(has(ask(&r, GET("Authorization: Basic YW5u\r\n")), " 401 "));
    assert_true(has(ask(&r, GET(ANN BOB)), " 401 ")); /* which one? */
    assert_int_equal(r.n_regions, 0);
    assert_int_equal(r.hashed, 0);
    end(&r);
}

static void a_password_is_hashed_once(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    assert_true(has(ask(&r, GET(ANN)), "200 OK"));
    assert_int_equal(r.hashed, 1);
    for (int i = 0; i < 3; i++)
        assert_true(has(ask(&r, GET(ANN)), "200 OK"));
    assert_int_equal(r.hashed, 1);
    assert_true(has(ask(&r, GET(BOB)), "200 OK"));
    assert_int_equal(r.hashed, 2);
    assert_int_equal(dp_counter_get(&r.traffic.logins), 2);
    /* another hash, for a new password: what was verified is worth nothing */
    users[0].password = hashes[1];
    assert_true(has(ask(&r, GET(ANN)), " 401 "));
    assert_int_equal(r.hashed, 3);
    end(&r);
}

static void who_waits_for_the_same_waits_together(void **state)
{
    struct rig r;
    struct rig_peer *c[4];
    (void)state;
    setup(&r);
    r.hash_slow = true;
    for (int i = 0; i < 4; i++) {
        c[i] = rig_client(&r);
        rig_send(c[i], i < 3 ? GET(ANN) : GET(BOB));
        assert_int_equal(c[i]->got_bytes, 0);
    }
    assert_int_equal(r.n_jobs, 1); /* one at a time */
    assert_int_equal(r.engine.clients.waiting, 2);
    rig_end(c[1], DP_ERESET); /* one does not wait any longer */
    rig_end(c[3], DP_ERESET);
    r.hash_slow = false;
    rig_turn(&r);
    assert_int_equal(r.hashed, 1); /* nobody waits for bob's */
    assert_int_equal(r.engine.clients.waiting, 0);
    assert_int_equal(r.n_regions, 2);
    end(&r);
}

static void a_body_that_comes_meanwhile_is_kept(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    r.hash_slow = true;
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\n" ANN "Content-Length: 6\r\n\r\n{\"a\"");
    rig_send(c, ":1");
    assert_int_equal(r.n_regions, 0);
    r.hash_slow = false;
    rig_turn(&r);
    rig_connect(rig_dialed(&r, 1), DP_OK);
    assert_true(has(r.regions[0], "\r\n\r\n{\"a\":1"));
    assert_true(has(r.regions[0], "Authorization: Basic b3Vycw==\r\n"));
    assert_false(has(r.regions[0], "YW5u"));
    end(&r);
}

static void five_wrong_ones_lock_the_name_and_address(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    for (int i = 0; i < 5; i++) {
        struct rig_peer *c = ask(&r, GET(WRONG));
        assert_true(has(c, " 401 ") && has(c, "\"Name or password is incorrect.\""));
        assert_false(has(c, "WWW-Authenticate"));
    }
    assert_int_equal(r.hashed, 5);
    struct rig_peer *c = ask(&r, GET(ANN));
    assert_true(has(c, "HTTP/1.1 403 Forbidden\r\n"));
    assert_true(
        has(c, "\"Account is temporarily locked due to multiple authentication failures\""));
    assert_int_equal(r.hashed, 5); /* nothing is tried, and nobody learns what is right */
    assert_true(has(ask(&r, GET(BOB)), "200 OK"));
    assert_true(has(ask_from(&r, GET(ANN), "192.0.2.8"), "200 OK"));
    assert_true(has(ask(&r, GET(ANN)), " 403 "));
    assert_int_equal(dp_counter_get(&r.traffic.logins_wrong), 5);
    assert_int_equal(dp_counter_get(&r.traffic.logins_locked), 2);
    rig_wait(&r, 302000);
    assert_true(has(ask(&r, GET(ANN)), "200 OK"));
    end(&r);
}

static void many_names_lock_the_address(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    for (int i = 0; i < 50; i++) {
        char pair[32], text[64], request[160];
        size_t n = (size_t)snprintf(pair, sizeof(pair), "n%d:x", i);
        n = dp_base64_encode(DP_BASE64, pair, n, text);
        (void)snprintf(request, sizeof(request), GET("Authorization: Basic %.*s\r\n"), (int)n,
                       text);
        assert_true(has(ask(&r, request), " 401 "));
    }
    assert_true(has(ask(&r, GET(ANN)), "HTTP/1.1 429 "));
    assert_true(has(ask_from(&r, GET(ANN), "192.0.2.8"), "200 OK"));
    end(&r);
}

static void an_unknown_name_costs_as_much(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    assert_true(has(ask(&r, GET(STRANGER)), "\"Name or password is incorrect.\""));
    assert_int_equal(r.hashed, 1); /* and although the password is ann's */
    end(&r);
}

/* The cookie of an answer as a request's field. */
static void cookie_of(const struct rig_peer *c, char *out, size_t cap)
{
    const char *at = strstr(c->got, "Set-Cookie: AuthSession=");
    assert_non_null(at);
    at += strlen("Set-Cookie: ");
    (void)snprintf(out, cap, "GET /db/doc HTTP/1.1\r\nHost: a\r\nCookie: x=y; %.*s\r\n\r\n",
                   (int)strcspn(at, ";"), at);
}

#define LOGIN(type, length, body)                                                                  \
    "POST /_session HTTP/1.1\r\nHost: a\r\nContent-Type: " type "\r\nContent-Length: " length      \
    "\r\n\r\n" body
#define FORM LOGIN("application/x-www-form-urlencoded", "24", "name=ann&password=pencil")

static void a_session(void **state)
{
    struct rig r;
    char with_cookie[512];
    (void)state;
    setup(&r);
    struct rig_peer *c = ask(&r, FORM);
    assert_true(has(c, "HTTP/1.1 200 OK\r\n"));
    assert_true(has(c, "{\"ok\":true,\"name\":\"ann\",\"roles\":[\"_admin\",\"x\"]}\n"));
    assert_true(has(c, "; Version=1; Expires="));
    assert_true(has(c, "; Max-Age=600; Path=/; HttpOnly; SameSite=Strict\r\n"));
    cookie_of(c, with_cookie, sizeof(with_cookie));
    c = ask(&r, with_cookie);
    assert_true(has(c, "200 OK"));
    assert_false(has(c, "Set-Cookie")); /* it is young */
    assert_int_equal(r.hashed, 1);
    /* rolling */
    rig_wait(&r, 62000);
    c = ask(&r, with_cookie);
    assert_true(has(c, "200 OK") && has(c, "Set-Cookie: AuthSession="));
    char renewed[512];
    cookie_of(c, renewed, sizeof(renewed));
    assert_string_not_equal(renewed, with_cookie);
    rig_wait(&r, 540000);
    assert_true(has(ask(&r, with_cookie), " 401 "));
    assert_true(has(ask(&r, renewed), "200 OK"));
    /* a new password ends it */
    users[0].password = hashes[1];
    assert_true(has(ask(&r, renewed), " 401 "));
    end(&r);
}

static void what_session_says(void **state)
{
    struct rig r;
    char with_cookie[512], session[512];
    (void)state;
    setup(&r);
    struct rig_peer *c = ask(&r, "GET /_session HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(has(c, "{\"ok\":true,\"userCtx\":{\"name\":null,\"roles\":[]},\"info\":{"
                       "\"authentication_handlers\":[\"cookie\",\"default\"]}}\n"));
    c = ask(&r, "GET /_session HTTP/1.1\r\nHost: a\r\n" BOB "\r\n");
    assert_true(has(c, "{\"name\":\"bob\",\"roles\":[]}"));
    assert_true(has(c, "\"authenticated\":\"default\"}"));
    cookie_of(
        ask(&r, LOGIN("application/json", "34", "{\"name\":\"ann\",\"password\":\"pencil\"}")),
        with_cookie, sizeof(with_cookie));
    (void)snprintf(session, sizeof(session), "GET /_session HTTP/1.1%s",
                   strstr(with_cookie, "\r\n"));
    c = ask(&r, session);
    assert_true(has(c, "{\"name\":\"ann\",\"roles\":[\"_admin\",\"x\"]}"));
    assert_true(has(c, "\"authenticated\":\"cookie\"}"));
    (void)snprintf(session, sizeof(session), "HEAD /_session HTTP/1.1%s",
                   strstr(with_cookie, "\r\n"));
    c = ask(&r, session);
    assert_true(has(c, "200 OK") && !has(c, "ann"));
    c = ask(&r, "DELETE /_session HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(has(c, "{\"ok\":true}\n"));
    assert_true(has(c, "Set-Cookie: AuthSession=; Version=1; Expires="));
    assert_true(has(c, "Max-Age=0;"));
    c = ask(&r, "PUT /_session HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(has(c, " 405 ") && has(c, "\r\nAllow: GET,HEAD,POST,DELETE\r\n"));
    assert_int_equal(r.n_regions, 0); /* none of it is a region's business */
    end(&r);
}

/* Also where no body is kept for sending again. */
static void a_login_in_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step < 30; step += 7) {
        struct rig r;
        setup(&r);
        r.config.replay_body_bytes = 0;
        struct rig_peer *c = rig_client(&r);
        rig_send_bytes(c, FORM, strlen(FORM), step);
        rig_turn(&r);
        assert_true(c->reading && has(c, "HTTP/1.1 200 OK\r\n"));
        end(&r);
    }
}

static void logins_that_fail(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    struct rig_peer *c =
        ask(&r, LOGIN("application/x-www-form-urlencoded", "21", "name=ann&password=pen"));
    assert_true(has(c, " 401 ") && has(c, "Set-Cookie: AuthSession=;"));
    assert_true(has(ask(&r, LOGIN("text/plain", "2", "{}")), " 415 "));
    assert_true(has(ask(&r, LOGIN("application/json", "2", "{}")), " 400 "));
    assert_true(has(ask(&r, LOGIN("application/json", "0", "")), " 400 "));
    struct rig_peer *big = rig_client(&r);
    rig_send(big, LOGIN("application/json", "5000", ""));
    for (int i = 0; i < 5 && !big->got_bytes; i++) {
        char piece[1001];
        memset(piece, ' ', sizeof(piece) - 1);
        piece[sizeof(piece) - 1] = '\0';
        rig_send(big, piece);
    }
    assert_true(has(big, " 413 "));
    for (int i = 0; i < 4; i++)
        (void)ask(&r, LOGIN("application/x-www-form-urlencoded", "21", "name=ann&password=pen"));
    assert_true(has(ask(&r, FORM), " 403 "));
    end(&r);
}

static void a_certificate_may_be_enough(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    clients.certificate_suffices = true;
    assert_true(has(ask(&r, GET("")), "200 OK"));
    assert_true(has(ask(&r, GET(WRONG)), " 401 ")); /* who says a name must prove it */
    assert_true(has(ask(&r, GET(ANN)), "200 OK"));
    end(&r);
}

static void who_is_asserted(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    dp_credential_unref(key);
    key = dp_credential_new(DP_CREDENTIAL_COUCHDB_PROXY, true, DP_SPAN("the_secret"));
    r.view->regions[0].credential = key;
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "GET /db/doc HTTP/1.1\r\nHost: a\r\nX-Auth-CouchDB-UserName: root\r\n" ANN "\r\n");
    rig_connect(rig_dialed(&r, 1), DP_OK);
    /* printf ann | openssl sha1 -hmac the_secret */
    assert_true(has(r.regions[0],
                    "X-Auth-CouchDB-UserName: ann\r\nX-Auth-CouchDB-Roles: _admin,x\r\n"
                    "X-Auth-CouchDB-Token: "
                    "3fec31ad613f5251281756f709acc66d8e22cfa7\r\n"));
    assert_false(has(r.regions[0], "root") || has(r.regions[0], "Authorization"));
    end(&r);
}

static void no_thread_is_an_error_of_ours(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    r.hash_error = DP_ENOMEM;
    assert_true(has(ask(&r, GET(ANN)), " 503 "));
    r.hash_error = DP_OK;
    assert_true(has(ask(&r, GET(ANN)), "200 OK"));
    end(&r);
}

static void too_many_wait(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    r.hash_slow = true;
    for (int i = 0; i < 33; i++) {
        char pair[32], text[64], request[160];
        size_t n = (size_t)snprintf(pair, sizeof(pair), "ann:x%d", i);
        n = dp_base64_encode(DP_BASE64, pair, n, text);
        (void)snprintf(request, sizeof(request), GET("Authorization: Basic %.*s\r\n"), (int)n,
                       text);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, request);
        assert_int_equal(has(c, " 503 "), i == 32);
    }
    end(&r);
}

/* ---- the cookie itself ---- */

static void every_changed_byte_of_a_cookie_is_seen(void **state)
{
    char text[DP_SESSION_BYTES], changed[DP_SESSION_BYTES];
    uint32_t age = 0;
    (void)state;
    users[0] = (struct dp_client_user){"ann", hashes[0], ""};
    users[1] = (struct dp_client_user){"bob", hashes[1], ""};
    clients = (struct dp_clients_config){.users = users, .n_users = 2, .session_s = 600};
    struct dp_hmac_key *k = dp_hmac_key_new(DP_HMAC_SHA256, DP_SPAN("k"));
    struct dp_span v = dp_session_make(&users[0], k, 1700000000, text);
    assert_true(v.n > 40);
    assert_ptr_equal(dp_session_read(&clients, k, v, 1700000599, &age), &users[0]);
    assert_int_equal(age, 599);
    assert_null(dp_session_read(&clients, k, v, 1700000600, &age));
    assert_ptr_equal(dp_session_read(&clients, k, v, 1699999940, &age), &users[0]);
    assert_int_equal(age, 0);
    assert_null(dp_session_read(&clients, k, v, 1699999939, &age));
    for (size_t i = 0; i < v.n; i++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(changed, v.p, v.n);
            if (changed[i] == (char)c)
                continue;
            changed[i] = (char)c;
            assert_null(
                dp_session_read(&clients, k, (struct dp_span){changed, v.n}, 1700000001, &age));
        }
        assert_null(dp_session_read(&clients, k, (struct dp_span){v.p, i}, 1700000001, &age));
    }
    struct dp_hmac_key *other = dp_hmac_key_new(DP_HMAC_SHA256, DP_SPAN("l"));
    assert_null(dp_session_read(&clients, other, v, 1700000001, &age));
    dp_hmac_key_free(other);
    dp_hmac_key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_passes_unknown),
        cmocka_unit_test(a_password_is_hashed_once),
        cmocka_unit_test(who_waits_for_the_same_waits_together),
        cmocka_unit_test(a_body_that_comes_meanwhile_is_kept),
        cmocka_unit_test(five_wrong_ones_lock_the_name_and_address),
        cmocka_unit_test(many_names_lock_the_address),
        cmocka_unit_test(an_unknown_name_costs_as_much),
        cmocka_unit_test(a_session),
        cmocka_unit_test(what_session_says),
        cmocka_unit_test(a_login_in_pieces),
        cmocka_unit_test(logins_that_fail),
        cmocka_unit_test(a_certificate_may_be_enough),
        cmocka_unit_test(who_is_asserted),
        cmocka_unit_test(no_thread_is_an_error_of_ours),
        cmocka_unit_test(too_many_wait),
        cmocka_unit_test(every_changed_byte_of_a_cookie_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
