/* What every region must have. Region 0 is the active one. */
#include "davenport/base/attr.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD   " HTTP/1.1\r\nHost: a\r\n"
#define PUT_DB "PUT /db?q=2" HEAD "Content-Length: 0\r\n\r\n"
#define RULES  "{\"admins\":{}}"
#define SECURITY                                                                                   \
    "PUT /db/_security" HEAD "Authorization: Basic eA==\r\nContent-Length: 13\r\n\r\n" RULES

#define ANSWER(status, text) "HTTP/1.1 " status "\r\nDate: D\r\nContent-Length: 2\r\n\r\n" text
#define CREATED              ANSWER("201 Created", "ok")
#define EMPTY                "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Length: 0\r\n\r\n"
#define EXISTS               ANSWER("412 Precondition Failed", "no")
#define MISSING              ANSWER("404 Object Not Found", "no")
#define REFUSED              ANSWER("401 Unauthorized", "no")

static void setup(struct rig *r, enum dp_spread_policy policy)
{
    rig_init(r, 3);
    r->config.pool_max_idle = 0;
    r->config.named_by_header = true;
    r->config.not_replicated = policy;
    rig_start(r);
}

static int number(const struct rig_peer *up)
{
    return up->ip[strlen(up->ip) - 1] - '0';
}

/* The n-th region that is asked: who it must be, and what it answers. */
static struct rig_peer *next(struct rig *r, size_t n, int who, const char *answer)
{
    struct rig_peer *up;
    rig_turn(r);
    up = rig_dialed(r, n);
    assert_int_equal(number(up), who);
    rig_connect(up, DP_OK);
    rig_send(up, answer);
    return up;
}

/* All three are asked, and answer so; what the client gets. */
static struct rig_peer *all(struct rig *r, const char *request, const char *a, const char *b,
                            const char *c)
{
    struct rig_peer *client = rig_client(r);
    const size_t before = r->n_regions;
    rig_send(client, request);
    next(r, before + 1, 0, a);
    assert_string_equal(client->got, "");
    next(r, before + 2, 1, b);
    assert_string_equal(client->got, "");
    next(r, before + 3, 2, c);
    rig_turn(r);
    return client;
}

static void to_every_region(void **state)
{
    static const struct {
        const char *request, *a, *b, *c;
        const char *missed; /* NULL: nobody */
    } cases[] = {
        {PUT_DB, CREATED, CREATED, CREATED, NULL},
        {PUT_DB, CREATED, EXISTS, CREATED, NULL},
        {PUT_DB, EXISTS, CREATED, EXISTS, NULL},
        {PUT_DB, EMPTY, EMPTY, CREATED, NULL},
        {PUT_DB, CREATED, REFUSED, CREATED, "Davenport-Missed: r1\r\n"},
        {PUT_DB, CREATED, MISSING, ANSWER("500 E", "no"), "Davenport-Missed: r1, r2\r\n"},
        {"DELETE //db//" HEAD "\r\n", ANSWER("200 OK", "ok"), MISSING, ANSWER("202 Accepted", "ok"),
         NULL},
        {"DELETE /db" HEAD "\r\n", MISSING, ANSWER("200 OK", "ok"), EXISTS,
         "Davenport-Missed: r2\r\n"},
        {SECURITY, ANSWER("200 OK", "ok"), ANSWER("200 OK", "ok"), MISSING,
         "Davenport-Missed: r2\r\n"},
        {"PUT /db/_revs_limit" HEAD "Content-Length: 2\r\n\r\n99", ANSWER("200 OK", "ok"),
         ANSWER("200 OK", "ok"), ANSWER("200 OK", "ok"), NULL},
    };
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        struct rig_peer *c = all(&r, cases[i].request, cases[i].a, cases[i].b, cases[i].c);
        assert_memory_equal(c->got, cases[i].a, 12);
        if (cases[i].missed)
            assert_non_null(strstr(c->got, cases[i].missed));
        else
            assert_string_equal(c->got, cases[i].a);
    }
    assert_int_equal(dp_counter_get(&r.traffic.spread), DP_ARRAY_LEN(cases));
    assert_int_equal(dp_counter_get(&r.traffic.spread_missed), 4);
    rig_fini(&r);
}

/* The same bytes, and as the same user. */
static void what_is_sent(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    all(&r, SECURITY, ANSWER("200 OK", "ok"), ANSWER("200 OK", "ok"), ANSWER("200 OK", "ok"));
    for (size_t i = 0; i < 3; i++) {
        const char *got = r.regions[i]->got;
        assert_non_null(strstr(got, "PUT /db/_security HTTP/1.1\r\n"));
        assert_non_null(strstr(got, "Authorization: Basic eA==\r\n"));
        assert_non_null(strstr(got, "Content-Length: 13\r\n"));
        assert_string_equal(got + strlen(got) - 13, RULES);
    }
    rig_fini(&r);
}

/* What the active region refuses nobody else is asked for; nor what is no such request. */
static void to_one_region(void **state)
{
    static const char *const requests[] = {
        PUT_DB, "PUT /db/doc" HEAD "Content-Length: 2\r\n\r\n{}", "GET /db/_security" HEAD "\r\n",
        "POST /db/_purge" HEAD "Content-Length: 2\r\n\r\n{}",
        "PUT /db" HEAD "Davenport-Region: r0\r\nContent-Length: 0\r\n\r\n"};
    static const char *const answers[] = {REFUSED, CREATED, CREATED, CREATED, CREATED};
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    for (size_t i = 0; i < DP_ARRAY_LEN(requests); i++) {
        struct rig_peer *c = rig_client(&r);
        rig_send(c, requests[i]);
        next(&r, i + 1, 0, answers[i]);
        rig_turn(&r);
        assert_string_equal(c->got, answers[i]);
    }
    rig_fini(&r);
    setup(&r, DP_SPREAD_ACTIVE);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    next(&r, 1, 0, CREATED);
    assert_string_equal(c->got, CREATED);
    rig_fini(&r);
}

static void a_region_is_away(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    next(&r, 1, 0, CREATED);
    next(&r, 2, 2, CREATED);
    rig_turn(&r);
    assert_non_null(strstr(c->got, "HTTP/1.1 201 "));
    assert_non_null(strstr(c->got, "Davenport-Missed: r1\r\n"));
    rig_fini(&r);
}

/* It breaks while it is asked; the connection dies, or nothing comes. */
static void a_region_breaks(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    next(&r, 1, 0, CREATED);
    rig_turn(&r);
    rig_connect(rig_dialed(&r, 2), DP_ECONNECT);
    rig_turn(&r);
    struct rig_peer *up = rig_dialed(&r, 3);
    assert_int_equal(number(up), 2);
    rig_connect(up, DP_OK);
    rig_end(up, DP_ERESET);
    rig_turn(&r);
    assert_non_null(strstr(c->got, "HTTP/1.1 201 "));
    assert_non_null(strstr(c->got, "Davenport-Missed: r1, r2\r\n"));
    rig_fini(&r);
}

static void strictly(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_STRICT);
    struct rig_peer *c = all(&r, PUT_DB, CREATED, CREATED, CREATED);
    assert_string_equal(c->got, CREATED);
    c = all(&r, PUT_DB, CREATED, REFUSED, CREATED);
    assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
    assert_non_null(strstr(c->got, "\"error\":\"not_everywhere\""));
    assert_non_null(strstr(c->got, "Davenport-Missed: r1\r\n"));
    /* nothing is sent where it is known before */
    rig_publish(&r, 2, DP_ROUTE_DOWN, 0);
    const size_t before = r.n_regions;
    c = rig_client(&r);
    rig_send(c, PUT_DB);
    assert_int_equal(r.n_regions, before);
    assert_non_null(strstr(c->got, "\"error\":\"not_everywhere\""));
    rig_fini(&r);
}

static void the_client_leaves(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    next(&r, 1, 0, CREATED);
    rig_turn(&r);
    rig_end(c, DP_ERESET);
    rig_turn(&r);
    assert_int_equal(dp_counter_get(&r.traffic.requests_active), 0);
    rig_fini(&r);
}

static void past_the_deadline(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 3);
    r.config.pool_max_idle = 0;
    r.config.request_timeout_ms = 1000;
    rig_start(&r);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    next(&r, 1, 0, CREATED);
    rig_turn(&r);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_wait(&r, 1500);
    assert_non_null(strstr(c->got, "HTTP/1.1 201 "));
    assert_non_null(strstr(c->got, "Davenport-Missed: r1, r2\r\n"));
    rig_fini(&r);
}

/* Its body is longer than what is kept, or its answer is not whole in time: who has not had it is named all the same. */
static void it_can_not_be_sent_to_others(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        const bool slow = how & 1, strict = how & 2;
        struct rig r;
        rig_init(&r, 3);
        r.config.pool_max_idle = 0;
        r.config.not_replicated = strict ? DP_SPREAD_STRICT : DP_SPREAD_FAN_OUT;
        r.config.request_timeout_ms = 1000;
        r.config.replay_body_bytes = slow ? 100 : 4;
        rig_start(&r);
        struct rig_peer *c = rig_client(&r), *up;
        rig_send(c, SECURITY);
        up = rig_dialed(&r, 1);
        rig_connect(up, DP_OK);
        rig_send(up, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        if (slow)
            rig_pass(&r, 1100);
        rig_send(up, "ok");
        rig_turn(&r);
        assert_int_equal(r.n_regions, 1);
        assert_non_null(strstr(c->got, strict ? "HTTP/1.1 503 " : "HTTP/1.1 200 "));
        assert_non_null(strstr(c->got, "Davenport-Missed: r1, r2\r\n"));
        assert_int_equal(dp_counter_get(&r.traffic.spread_missed), 1);
        rig_fini(&r);
    }
}

/* It is longer than anybody keeps: the others have missed it, and the client hears of that. */
static void an_answer_that_is_too_long(void **state)
{
    static char body[(1U << 20) + 100];
    (void)state;
    memset(body, 'x', sizeof(body));
    for (int strict = 0; strict < 2; strict++) {
        struct rig r;
        struct rig_peer *up;
        setup(&r, strict ? DP_SPREAD_STRICT : DP_SPREAD_FAN_OUT);
        struct rig_peer *c = rig_request(&r, PUT_DB, &up);
        rig_send(up, "HTTP/1.1 201 Created\r\nDate: D\r\n\r\n");
        rig_send_bytes(up, body, sizeof(body), 65536);
        assert_int_equal(r.n_regions, 1);
        assert_memory_equal(c->got, strict ? "HTTP/1.1 503 " : "HTTP/1.1 201 ", 13);
        assert_non_null(strstr(c->got, "Davenport-Missed: r1, r2\r\n"));
        assert_int_equal(dp_counter_get(&r.traffic.spread_missed), 1);
        rig_fini(&r);
    }
}

/* Our own password is refused by one of the others: it is asked with it once, not until the user is locked out. */
static void a_region_refuses_our_password(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 3);
    r.config.pool_max_idle = 0;
    r.config.not_replicated = DP_SPREAD_FAN_OUT;
    struct dp_credential *key =
        dp_credential_new(DP_CREDENTIAL_BASIC, true, DP_SPAN("Authorization: Basic b3Vycw==\r\n"));
    assert_non_null(key);
    r.view->regions[1].injected = true;
    r.view->regions[1].credential = key;
    rig_start(&r);
    all(&r, PUT_DB, CREATED,
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 67\r\n\r\n"
        "{\"error\":\"unauthorized\",\"reason\":\"Name or password is incorrect.\"}\n",
        CREATED);
    assert_true(dp_credential_refused(key));
    assert_int_equal(dp_counter_get(&r.traffic.credentials_refused), 1);
    const size_t before = r.n_regions;
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    next(&r, before + 1, 0, CREATED);
    next(&r, before + 2, 2, CREATED);
    rig_turn(&r);
    assert_non_null(strstr(c->got, "Davenport-Missed: r1\r\n"));
    rig_fini(&r);
}

/* Writes stand still before a failback. What each region is to have is not one that the pause waits for. */
static void while_writes_stand_still(void **state)
{
    struct rig r;
    (void)state;
    setup(&r, DP_SPREAD_FAN_OUT);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, PUT_DB);
    struct rig_peer *up = rig_dialed(&r, 1);
    rig_connect(up, DP_OK);
    r.pause = 7;
    rig_publish(&r, 1, DP_ROUTE_OK, 0);
    rig_send(up, CREATED);
    next(&r, 2, 1, CREATED);
    next(&r, 3, 2, CREATED);
    rig_turn(&r);
    assert_string_equal(c->got, CREATED);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_every_region),
        cmocka_unit_test(what_is_sent),
        cmocka_unit_test(to_one_region),
        cmocka_unit_test(a_region_is_away),
        cmocka_unit_test(a_region_breaks),
        cmocka_unit_test(strictly),
        cmocka_unit_test(the_client_leaves),
        cmocka_unit_test(past_the_deadline),
        cmocka_unit_test(it_can_not_be_sent_to_others),
        cmocka_unit_test(an_answer_that_is_too_long),
        cmocka_unit_test(a_region_refuses_our_password),
        cmocka_unit_test(while_writes_stand_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
