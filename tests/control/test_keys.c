/* Keys between a region and a token service that say what the test wants, on the test's own clock. */
#include "davenport/base/attr.h"

#include "control/keys.h"
#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NAMED "{\"ok\":true,\"userCtx\":{\"name\":\"us\",\"roles\":[]}}"
#define ANON  "{\"ok\":true,\"userCtx\":{\"name\":null,\"roles\":[]}}"
#define TOKEN(t, life)                                                                             \
    "{\"access_token\":\"" t "\",\"token_type\":\"Bearer\",\"expires_in\":" life "}"

struct desk {
    uv_loop_t loop;
    struct script_server region, service;
    struct dp_clock clock;
    uint64_t now_ns;
    struct dp_key_config config;
    struct dp_keys *keys;
    uint16_t last_region;
    unsigned events[4];
    enum dp_keys_event want;
    unsigned want_count;
    uint64_t step_ms;
    unsigned gone, want_gone;
    char url[64], token_url[96];
};

static uint64_t mono_ns(void *ctx)
{
    return ((struct desk *)ctx)->now_ns;
}

static int64_t wall_ms(void *ctx)
{
    return (int64_t)(((struct desk *)ctx)->now_ns / DP_NS_PER_MS) + 1000000;
}

static void on_event(void *ctx, uint16_t region, enum dp_keys_event event)
{
    struct desk *d = ctx;
    assert_in_range(region, 0, d->last_region);
    d->events[event]++;
}

static int setup(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    assert_int_equal(uv_loop_init(&d->loop), 0);
    script_server_start(&d->region, &d->loop);
    script_server_start(&d->service, &d->loop);
    d->now_ns = 1000 * DP_NS_PER_S;
    d->clock = (struct dp_clock){.mono_ns = mono_ns, .wall_ms = wall_ms, .ctx = d};
    (void)script_server_url(&d->region, d->url, sizeof(d->url));
    char base[64];
    (void)snprintf(d->token_url, sizeof(d->token_url), "%s/identity/token",
                   script_server_url(&d->service, base, sizeof(base)));
    *state = d;
    return 0;
}

static void on_gone(void *ctx)
{
    ((struct desk *)ctx)->gone++;
}

static bool is_gone(void *ctx)
{
    const struct desk *d = ctx;
    return d->gone >= d->want_gone;
}

static int teardown(void **state)
{
    struct desk *d = *state;
    if (d->keys) {
        d->want_gone = d->gone + 1;
        dp_keys_destroy(d->keys, on_gone, d);
        assert_true(script_run_until(&d->loop, is_gone, d));
    }
    script_server_kill(&d->region);
    script_server_kill(&d->service);
    script_loop_finish(&d->loop);
    free(d);
    return 0;
}

static struct dp_keys *make_some(struct desk *d, const struct dp_keys_target *targets, uint16_t n)
{
    struct dp_keys *k = dp_keys_new(
        &(struct dp_keys_options){
            .loop = &d->loop, .clock = &d->clock, .retry_ms = 300000, .event = on_event, .ctx = d},
        targets, n);
    assert_non_null(k);
    return k;
}

static struct dp_keys *make_one(struct desk *d)
{
    return make_some(d, &(const struct dp_keys_target){.config = &d->config, .url = d->url}, 1);
}

static void make(struct desk *d)
{
    d->keys = make_one(d);
}

static bool has_event(void *ctx)
{
    struct desk *d = ctx;
    d->now_ns += d->step_ms * DP_NS_PER_MS;
    dp_keys_tick(d->keys);
    return d->events[d->want] >= d->want_count;
}

/* Turn the loop, each turn step_ms later, until it was told so often. */
static void await(struct desk *d, enum dp_keys_event event, unsigned count, uint64_t step_ms)
{
    d->want = event;
    d->want_count = count;
    d->step_ms = step_ms;
    assert_true(script_run_until(&d->loop, has_event, d));
}

static bool was_asked(void *ctx)
{
    struct desk *d = ctx;
    d->now_ns += d->step_ms * DP_NS_PER_MS;
    dp_keys_tick(d->keys);
    return d->region.requests >= d->want_count;
}

static struct dp_key_status status(struct desk *d)
{
    struct dp_key_status s;
    dp_keys_status(d->keys, 0, &s);
    return s;
}

static void text_is(const struct dp_credential *c, const char *want)
{
    assert_non_null(c);
    assert_int_equal(c->n, strlen(want));
    assert_memory_equal(c->text, want, c->n);
}

static void passthrough_is_for_us_alone(void **state)
{
    struct desk *d = *state;
    d->config = (struct dp_key_config){.username = "Aladdin", .password = "open sesame"};
    make(d);
    assert_null(dp_keys_for_requests(d->keys, 0));
    assert_false(dp_keys_missing(d->keys, 0));
    text_is(dp_keys_for_us(d->keys, 0), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    assert_int_equal(status(d).state, DP_KEY_GOOD);
    assert_false(status(d).injected);
}

static void nothing_is_nothing(void **state)
{
    struct desk *d = *state;
    make(d);
    assert_null(dp_keys_for_us(d->keys, 0));
    assert_false(dp_keys_missing(d->keys, 0));
    assert_int_equal(status(d).state, DP_KEY_NONE);
}

static void basic(struct desk *d)
{
    d->config =
        (struct dp_key_config){.type = DP_CREDENTIAL_BASIC, .username = "us", .password = "them"};
    make(d);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Basic dXM6dGhlbQ==\r\n");
}

static void a_refused_one_is_asked_about_once_in_a_while(void **state)
{
    struct desk *d = *state;
    basic(d);
    assert_true(dp_credential_say(dp_keys_for_requests(d->keys, 0), DP_CREDENTIAL_REFUSED));
    dp_keys_tick(d->keys);
    assert_int_equal(d->events[DP_KEYS_WITHHELD], 1);
    assert_null(dp_keys_for_requests(d->keys, 0));
    assert_null(dp_keys_for_us(d->keys, 0));
    assert_true(dp_keys_missing(d->keys, 0));
    assert_int_equal(status(d).state, DP_KEY_REFUSED);
    assert_int_equal(status(d).retry_wall_ms, wall_ms(d) + 300000);
    d->now_ns += 299 * DP_NS_PER_S;
    for (int i = 0; i < 20; i++) {
        dp_keys_tick(d->keys);
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(d->region.requests, 0);
    /* one question, one no, one more wait */
    script_server_says(&d->region, SCRIPT_ANSWER, 401, "{}");
    d->want_count = 1;
    d->step_ms = 1000;
    assert_true(script_run_until(&d->loop, was_asked, d));
    while (status(d).refusals < 2)
        (void)uv_run(&d->loop, UV_RUN_ONCE);
    assert_non_null(strstr(d->region.head, "GET /_session HTTP/1.1\r\n"));
    assert_non_null(strstr(d->region.head, "Authorization: Basic dXM6dGhlbQ==\r\n"));
    d->now_ns += 200 * DP_NS_PER_S;
    for (int i = 0; i < 20; i++) {
        dp_keys_tick(d->keys);
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(d->region.requests, 1);
    assert_int_equal(d->events[DP_KEYS_WITHHELD], 1); /* told once */
    /* and a yes */
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    await(d, DP_KEYS_RESTORED, 1, 1000);
    assert_int_equal(d->region.requests, 2);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Basic dXM6dGhlbQ==\r\n");
    assert_false(dp_credential_refused(dp_keys_for_requests(d->keys, 0)));
    assert_int_equal(status(d).state, DP_KEY_GOOD);
    assert_string_equal(status(d).why, "");
}

static void no_answer_is_no_word(void **state)
{
    struct desk *d = *state;
    basic(d);
    (void)dp_credential_say(dp_keys_for_requests(d->keys, 0), DP_CREDENTIAL_REFUSED);
    dp_keys_tick(d->keys);
    script_server_says(&d->region, SCRIPT_CLOSE, 0, "");
    d->want_count = 2; /* after 300 s, and after 5 more */
    d->step_ms = 1000;
    assert_true(script_run_until(&d->loop, was_asked, d));
    assert_int_equal(status(d).refusals, 1);
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    await(d, DP_KEYS_RESTORED, 1, 1000);
}

static void a_doubt_is_settled_by_asking(void **state)
{
    struct desk *d = *state;
    basic(d);
    struct dp_credential *first = dp_keys_for_requests(d->keys, 0);
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    (void)dp_credential_say(first, DP_CREDENTIAL_DOUBTED);
    dp_keys_tick(d->keys);
    assert_ptr_equal(dp_keys_for_requests(d->keys, 0), first); /* in use meanwhile */
    await(d, DP_KEYS_RENEWED, 1, 0);
    assert_int_equal(status(d).refusals, 0);
    script_server_says(&d->region, SCRIPT_ANSWER, 200, ANON);
    (void)dp_credential_say(dp_keys_for_requests(d->keys, 0), DP_CREDENTIAL_DOUBTED);
    for (int i = 0; i < 20; i++) { /* not again so soon */
        dp_keys_tick(d->keys);
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(d->region.requests, 1);
    await(d, DP_KEYS_WITHHELD, 1, 1000);
    assert_int_equal(d->region.requests, 2);
    assert_true(dp_keys_missing(d->keys, 0));
}

static void iam(struct desk *d, const char *answer)
{
    d->config = (struct dp_key_config){
        .type = DP_CREDENTIAL_IAM, .api_key = "k+y", .token_url = d->token_url};
    script_server_says(&d->service, SCRIPT_ANSWER, 200, answer);
    make(d);
    assert_int_equal(status(d).state, DP_KEY_WAITING);
    assert_true(dp_keys_missing(d->keys, 0));
    await(d, DP_KEYS_RESTORED, 1, 0);
}

static void a_token_is_renewed_in_time(void **state)
{
    struct desk *d = *state;
    iam(d, TOKEN("one", "1000"));
    assert_non_null(strstr(d->service.head, "POST /identity/token HTTP/1.1\r\n"));
    assert_non_null(strstr(d->service.head, "Content-Type: application/x-www-form-urlencoded\r\n"));
    assert_non_null(strstr(d->service.head, "grant-type:apikey&apikey=k%2By"));
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer one\r\n");
    assert_int_equal(status(d).ends_wall_ms, wall_ms(d) + 990000);
    d->now_ns += 799 * DP_NS_PER_S;
    dp_keys_tick(d->keys);
    assert_int_equal(d->service.requests, 1);
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("two", "1000"));
    await(d, DP_KEYS_RENEWED, 1, 1000);
    text_is(dp_keys_for_us(d->keys, 0), "Authorization: Bearer two\r\n");
    assert_int_equal(status(d).renewals, 2);
}

/* One API key for two regions is one ask, also when a region refuses its token; another key is another one. */
static void regions_with_one_api_key_share_its_token(void **state)
{
    struct desk *d = *state;
    struct dp_key_config other = {
        .type = DP_CREDENTIAL_IAM, .api_key = "other", .token_url = d->token_url};
    d->config = (struct dp_key_config){
        .type = DP_CREDENTIAL_IAM, .api_key = "k", .token_url = d->token_url};
    const struct dp_keys_target two[] = {{.config = &d->config, .url = d->url},
                                         {.config = &d->config, .url = d->url},
                                         {.config = &other, .url = d->url}};
    d->last_region = 1;
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("one", "1000"));
    d->keys = make_some(d, two, 2);
    await(d, DP_KEYS_RESTORED, 2, 0);
    assert_int_equal(d->service.requests, 1);
    for (uint16_t i = 0; i < 2; i++)
        text_is(dp_keys_for_requests(d->keys, i), "Authorization: Bearer one\r\n");
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("two", "1000"));
    await(d, DP_KEYS_RENEWED, 2, 1000); /* at 80 % of its life */
    assert_int_equal(d->service.requests, 2);
    /* one region refuses it: a new one for both, which proves itself there alone */
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("three", "1000"));
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    (void)dp_credential_say(dp_keys_for_requests(d->keys, 1), DP_CREDENTIAL_REFUSED);
    await(d, DP_KEYS_RESTORED, 3, 1000);
    assert_int_equal(d->service.requests, 3);
    assert_int_equal(d->region.requests, 1);
    for (uint16_t i = 0; i < 2; i++)
        text_is(dp_keys_for_requests(d->keys, i), "Authorization: Bearer three\r\n");
    /* a service that is out fails both, and is asked once a time */
    d->want_gone = d->gone + 1;
    dp_keys_destroy(d->keys, on_gone, d);
    assert_true(script_run_until(&d->loop, is_gone, d));
    script_server_says(&d->service, SCRIPT_ANSWER, 503, "busy");
    d->last_region = 2;
    d->keys = make_some(d, two, 3);
    await(d, DP_KEYS_FAILING, 3, 0);
    assert_int_equal(d->service.requests, 5);
}

static void an_outage_of_the_service_is_none_of_the_region(void **state)
{
    struct desk *d = *state;
    iam(d, TOKEN("one", "1000"));
    const uint64_t got_ns = d->now_ns;
    script_server_says(&d->service, SCRIPT_ANSWER, 503, "busy");
    await(d, DP_KEYS_FAILING, 1, 1000);
    assert_true(d->now_ns - got_ns < 900 * DP_NS_PER_S);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer one\r\n");
    assert_string_equal(status(d).why, "no token: the token service answered 503");
    assert_int_equal(status(d).state, DP_KEY_GOOD);
    await(d, DP_KEYS_WITHHELD, 1, 1000);
    assert_in_range(d->now_ns - got_ns, 989 * DP_NS_PER_S, 991 * DP_NS_PER_S);
    assert_int_equal(status(d).state, DP_KEY_EXPIRED);
    assert_true(dp_keys_missing(d->keys, 0));
    assert_int_equal(d->events[DP_KEYS_FAILING], 1); /* told once */
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("two", "1000"));
    await(d, DP_KEYS_RESTORED, 2, 1000);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer two\r\n");
    assert_string_equal(status(d).why, "");
}

static void a_refused_token_brings_one_new_one_that_must_prove_itself(void **state)
{
    struct desk *d = *state;
    iam(d, TOKEN("one", "1000"));
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("two", "1000"));
    script_server_says(&d->region, SCRIPT_ANSWER, 401, "{}");
    (void)dp_credential_say(dp_keys_for_requests(d->keys, 0), DP_CREDENTIAL_REFUSED);
    d->want_count = 1;
    d->step_ms = 100;
    assert_true(script_run_until(&d->loop, was_asked, d));
    assert_non_null(strstr(d->region.head, "Authorization: Bearer two\r\n"));
    while (status(d).refusals < 2)
        (void)uv_run(&d->loop, UV_RUN_ONCE);
    assert_int_equal(d->service.requests, 2);
    assert_true(dp_keys_missing(d->keys, 0));
    for (int i = 0; i < 50; i++) { /* not for ever */
        d->now_ns += DP_NS_PER_S;
        dp_keys_tick(d->keys);
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(d->service.requests, 2);
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("three", "1000"));
    await(d, DP_KEYS_RESTORED, 2, 1000);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer three\r\n");
}

static void a_refused_api_key_is_not_knocked_with(void **state)
{
    struct desk *d = *state;
    d->config = (struct dp_key_config){
        .type = DP_CREDENTIAL_IAM, .api_key = "k", .token_url = d->token_url};
    script_server_says(&d->service, SCRIPT_ANSWER, 400, "{\"errorCode\":\"BXNIM0415E\"}");
    make(d);
    await(d, DP_KEYS_FAILING, 1, 0);
    assert_string_equal(status(d).why, "no token: the token service answered 400, BXNIM0415E");
    for (int i = 0; i < 290; i++) {
        d->now_ns += DP_NS_PER_S;
        dp_keys_tick(d->keys);
        (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(d->service.requests, 1);
    assert_int_equal(status(d).state, DP_KEY_WAITING);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool why_is(void *ctx)
{
    struct desk *d = ctx;
    d->now_ns += DP_NS_PER_S;
    dp_keys_tick(d->keys);
    return (status(d).why[0] != '\0') == (d->want_count != 0);
}

static void a_file_is_read_again(void **state)
{
    struct desk *d = *state;
    char path[] = "/tmp/davenport-token-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    d->config = (struct dp_key_config){.type = DP_CREDENTIAL_BEARER, .token_file = path};
    write_file(path, " eyJ.one \n");
    make(d);
    await(d, DP_KEYS_RESTORED, 1, 0);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer eyJ.one\r\n");
    write_file(path, "eyJ.two");
    await(d, DP_KEYS_RENEWED, 1, 500);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer eyJ.two\r\n");
    /* what is in use stays in use */
    write_file(path, "");
    await(d, DP_KEYS_FAILING, 1, 500);
    write_file(path, "two words");
    assert_int_equal(unlink(path), 0);
    d->want_count = 1;
    assert_true(script_run_until(&d->loop, why_is, d));
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer eyJ.two\r\n");
    write_file(path, "eyJ.two\n");
    d->want_count = 0;
    assert_true(script_run_until(&d->loop, why_is, d));
    assert_int_equal(d->events[DP_KEYS_RENEWED], 1);
    assert_int_equal(unlink(path), 0);
}

static void who_we_are_behind_a_proxys_secret(void **state)
{
    struct desk *d = *state;
    d->config = (struct dp_key_config){.type = DP_CREDENTIAL_COUCHDB_PROXY,
                                       .username = "foo",
                                       .roles = "_admin,x",
                                       .secret = "the_secret"};
    make(d);
    text_is(dp_keys_for_requests(d->keys, 0), "the_secret");
    /* printf foo | openssl sha1 -hmac the_secret */
    text_is(dp_keys_for_us(d->keys, 0),
            "X-Auth-CouchDB-UserName: foo\r\nX-Auth-CouchDB-Roles: _admin,x\r\n"
            "X-Auth-CouchDB-Token: 22047ebd7c4ec67dfbcbad7213a693249dbfbf86\r\n");
    (void)dp_credential_say(dp_keys_for_us(d->keys, 0), DP_CREDENTIAL_REFUSED);
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    await(d, DP_KEYS_RESTORED, 1, 10000);
    text_is(dp_keys_for_requests(d->keys, 0), "the_secret");
    assert_non_null(strstr(d->region.head, "X-Auth-CouchDB-UserName: foo\r\n"));
}

static void a_reload_keeps_tokens_and_tries_what_was_refused(void **state)
{
    struct desk *d = *state;
    iam(d, TOKEN("one", "1000"));
    struct dp_keys *old = d->keys;
    d->keys = make_one(d);
    dp_keys_carry(d->keys, 0, old, 0);
    dp_keys_destroy(old, on_gone, d);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer one\r\n");
    dp_keys_tick(d->keys);
    assert_int_equal(d->service.requests, 1);
    (void)dp_credential_say(dp_keys_for_requests(d->keys, 0), DP_CREDENTIAL_REFUSED);
    script_server_kill(&d->service);
    dp_keys_tick(d->keys);
    assert_true(dp_keys_missing(d->keys, 0));
    old = d->keys;
    d->keys = make_one(d);
    dp_keys_carry(d->keys, 0, old, 0);
    dp_keys_destroy(old, on_gone, d);
    assert_int_equal(status(d).state, DP_KEY_REFUSED);
    script_server_revive(&d->service);
    script_server_says(&d->service, SCRIPT_ANSWER, 200, TOKEN("two", "1000"));
    script_server_says(&d->region, SCRIPT_ANSWER, 200, NAMED);
    await(d, DP_KEYS_RESTORED, 2, 100);
    text_is(dp_keys_for_requests(d->keys, 0), "Authorization: Bearer two\r\n");
    d->want_gone = 2;
    assert_true(script_run_until(&d->loop, is_gone, d));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(passthrough_is_for_us_alone),
        T(nothing_is_nothing),
        T(a_refused_one_is_asked_about_once_in_a_while),
        T(no_answer_is_no_word),
        T(a_doubt_is_settled_by_asking),
        T(a_token_is_renewed_in_time),
        T(regions_with_one_api_key_share_its_token),
        T(an_outage_of_the_service_is_none_of_the_region),
        T(a_refused_token_brings_one_new_one_that_must_prove_itself),
        T(a_refused_api_key_is_not_knocked_with),
        T(a_file_is_read_again),
        T(who_we_are_behind_a_proxys_secret),
        T(a_reload_keeps_tokens_and_tries_what_was_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
