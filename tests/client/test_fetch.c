/* fetch against a scripted server on the same loop. Times are generous: what is waited for is an event. */
#include "davenport/client/fetch.h"

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
#include <curl/curl.h>

struct outcome {
    unsigned done;
    enum dp_err err;
    uint16_t status;
    bool reused;
    uint64_t first_byte_ns, total_ns;
    char detail[256], body[256];
};

struct bench {
    uv_loop_t loop;
    struct script_server server;
    struct dp_fetcher *fetcher;
    bool fetcher_gone;
    char url[64];
    struct outcome last;
    struct dp_fetch *other; /* canceled from a callback */
};

static void on_done(void *ctx, const struct dp_fetch_result *r)
{
    struct outcome *o = ctx;
    o->done++;
    o->err = r->err;
    o->status = r->status;
    o->reused = r->reused;
    o->first_byte_ns = r->first_byte_ns;
    o->total_ns = r->total_ns;
    (void)snprintf(o->detail, sizeof(o->detail), "%s", r->detail);
    (void)snprintf(o->body, sizeof(o->body), "%.*s", (int)r->body.n, r->body.n ? r->body.p : "");
}

static bool is_done(void *ctx)
{
    return ((struct outcome *)ctx)->done > 0;
}

static bool has_request(void *ctx)
{
    return ((struct script_server *)ctx)->requests > 0;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

static void on_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    script_server_start(&b->server, &b->loop);
    (void)script_server_url(&b->server, b->url, sizeof(b->url));
    b->fetcher = dp_fetcher_new(&b->loop);
    assert_non_null(b->fetcher);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    if (b->fetcher) {
        dp_fetcher_destroy(b->fetcher, on_gone, &b->fetcher_gone);
        assert_false(b->fetcher_gone); /* never inside the call */
    }
    assert_true(script_run_until(&b->loop, is_true, &b->fetcher_gone));
    script_server_kill(&b->server);
    script_loop_finish(&b->loop);
    free(b);
    return 0;
}

static struct dp_fetch_request get(const struct bench *b)
{
    return (struct dp_fetch_request){
        .url = b->url, .connect_timeout_ms = 20000, .timeout_ms = 20000, .max_body_bytes = 65536};
}

/* Start, wait for the end, return what came of it. */
static const struct outcome *run(struct bench *b, const struct dp_fetch_request *req)
{
    struct dp_fetch *fetch = NULL;
    memset(&b->last, 0, sizeof(b->last));
    assert_int_equal(dp_fetch_start(b->fetcher, req, on_done, &b->last, &fetch), DP_OK);
    assert_non_null(fetch);
    assert_int_equal(b->last.done, 0); /* never inside the call */
    assert_true(script_run_until(&b->loop, is_done, &b->last));
    assert_int_equal(b->last.done, 1);
    return &b->last;
}

static void an_answer(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    const struct outcome *o = run(b, &req);
    assert_int_equal(o->err, DP_OK);
    assert_int_equal(o->status, 200);
    assert_string_equal(o->body, "{\"status\":\"ok\"}");
    assert_false(o->reused);
    assert_true(o->first_byte_ns > 0 && o->total_ns >= o->first_byte_ns);
    assert_non_null(strstr(b->server.head, "GET / HTTP/1.1\r\n"));
    assert_non_null(strstr(b->server.head, "Accept: application/json\r\n"));
    assert_null(strstr(b->server.head, "Authorization"));
}

static void any_status_is_an_answer(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    static const uint16_t statuses[] = {301, 401, 404, 429, 500, 503};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        script_server_says(&b->server, SCRIPT_ANSWER, statuses[i], "{}");
        const struct outcome *o = run(b, &req);
        assert_int_equal(o->err, DP_OK);
        assert_int_equal(o->status, statuses[i]);
    }
}

static void connections_are_kept_unless_fresh(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    assert_false(run(b, &req)->reused);
    assert_true(run(b, &req)->reused);
    assert_int_equal(b->server.accepted, 1);
    req.fresh_connection = true;
    assert_false(run(b, &req)->reused);
    assert_int_equal(b->server.accepted, 2);
    req.fresh_connection = false;
    assert_true(run(b, &req)->reused);
    assert_int_equal(b->server.accepted, 2);
    assert_true(b->server.open <= 2);
}

static void a_kept_connection_that_died_is_replaced(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    (void)run(b, &req);
    script_server_kill(&b->server);
    script_server_revive(&b->server);
    const struct outcome *o = run(b, &req);
    assert_int_equal(o->err, DP_OK);
    assert_int_equal(o->status, 200);
}

/* What the connection's second request meets, and no other. */
static enum script_mode end_of_kept;

static void end_kept(void *ctx, struct script_server *s)
{
    (void)ctx;
    s->mode = s->requests == 2 ? end_of_kept : SCRIPT_ANSWER;
}

static void a_kept_connection_that_ends_as_it_is_used_is_replaced(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    static const enum script_mode ends[] = {SCRIPT_CLOSE, SCRIPT_RESET};
    b->server.choose = end_kept;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        end_of_kept = ends[i];
        b->server.requests = 0;
        assert_int_equal(run(b, &req)->err, DP_OK);
        const struct outcome *o = run(b, &req);
        assert_int_equal(o->err, DP_OK);
        assert_int_equal(o->status, 200);
        assert_int_equal(b->server.requests, 3);
        assert_string_equal(o->detail, "");
    }
}

static void method_body_and_credentials(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/db/_find", b->url);
    req.url = path;
    req.method = "POST";
    req.body = DP_SPAN("{\"selector\":{}}");
    req.content_type = "application/json";
    req.username = "admin";
    req.password = "secret";
    assert_int_equal(run(b, &req)->status, 200);
    assert_non_null(strstr(b->server.head, "POST /db/_find HTTP/1.1\r\n"));
    assert_non_null(strstr(b->server.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(b->server.head, "Authorization: Basic YWRtaW46c2VjcmV0\r\n"));
    assert_non_null(strstr(b->server.head, "\r\n\r\n{\"selector\":{}}"));
    assert_null(strstr(b->server.head, "Expect"));
}

static void the_environment_names_no_proxy(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    const struct outcome *o = run(b, &req);
    (void)unsetenv("http_proxy");
    (void)unsetenv("ALL_PROXY");
    assert_int_equal(o->err, DP_OK);
}

static void an_address_in_place_of_the_name(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    req.url = "http://region.invalid:5984/_up";
    req.connect_ips = "127.0.0.1";
    req.connect_port = b->server.port;
    assert_int_equal(run(b, &req)->status, 200);
    assert_non_null(strstr(b->server.head, "Host: region.invalid:5984\r\n"));
}

/* The server listens at 127.0.0.1 only; what else is tried refuses. */
static void several_addresses_in_place_of_the_name(void **state)
{
    static const char *const lists[] = {"127.0.0.2,127.0.0.1", "::1,127.0.0.1",
                                        "127.0.0.3,::1,127.0.0.2,127.0.0.1",
                                        "2001:db8:1111:2222:3333:4444:5555:6666,127.0.0.1"};
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    req.url = "http://region.invalid:5984/_up";
    req.connect_port = b->server.port;
    req.race_delay_ms = 50;
    for (unsigned i = 0; i < DP_ARRAY_LEN(lists); i++) {
        req.connect_ips = lists[i];
        assert_int_equal(run(b, &req)->status, 200);
        assert_non_null(strstr(b->server.head, "Host: region.invalid:5984\r\n"));
        assert_int_equal(b->server.accepted, i + 1); /* other addresses: another connection */
        assert_true(run(b, &req)->reused);
        assert_int_equal(b->server.accepted, i + 1);
    }
    req.connect_ips = "127.0.0.2,127.0.0.3";
    assert_int_equal(run(b, &req)->err, DP_ECONNECT);
}

static void refused(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    script_server_kill(&b->server);
    const struct outcome *o = run(b, &req);
    assert_int_equal(o->err, DP_ECONNECT);
    assert_int_equal(o->status, 0);
    assert_true(o->detail[0] != 0);
}

static void timed_out(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    req.timeout_ms = 50;
    script_server_says(&b->server, SCRIPT_SILENT, 0, "");
    const struct outcome *o = run(b, &req);
    assert_int_equal(o->err, DP_ETIMEOUT);
    assert_int_equal(o->status, 0);
}

static void broken_answers(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    static const struct {
        enum script_mode mode;
        enum dp_err err;
        uint16_t status;
    } rows[] = {
        {SCRIPT_CUT, DP_ETRUNCATED, 200},    {SCRIPT_CLOSE, DP_ECLOSED, 0},
        {SCRIPT_RESET, DP_ERESET, 0},        {SCRIPT_GARBAGE, DP_EBADRESPONSE, 0},
        {SCRIPT_ENDLESS, DP_EBODYSIZE, 200}, {SCRIPT_TORN, DP_ERESET, 200},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        script_server_says(&b->server, rows[i].mode, 200, "");
        req.fresh_connection = true;
        const struct outcome *o = run(b, &req);
        assert_int_equal(o->err, rows[i].err);
        assert_int_equal(o->status, rows[i].status);
        assert_true(o->detail[0] != 0);
    }
}

static void a_body_of_just_the_limit(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    script_server_says(&b->server, SCRIPT_ANSWER, 200, "0123456789");
    req.max_body_bytes = 10;
    assert_int_equal(run(b, &req)->err, DP_OK);
    req.max_body_bytes = 9;
    assert_int_equal(run(b, &req)->err, DP_EBODYSIZE);
    req.max_body_bytes = 0;
    assert_int_equal(run(b, &req)->err, DP_EBODYSIZE);
    script_server_says(&b->server, SCRIPT_ANSWER, 200, "");
    assert_int_equal(run(b, &req)->err, DP_OK);
}

static void other_schemes_are_refused(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    struct dp_fetch *fetch = NULL;
    static const char *const urls[] = {
        "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/", "127.0.0.1:80", "", "http://"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        req.url = urls[i];
        assert_int_equal(dp_fetch_start(b->fetcher, &req, on_done, &b->last, &fetch), DP_EINVAL);
    }
    assert_null(fetch);
    assert_int_equal(b->last.done, 0);
}

static void canceled_under_way(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    struct dp_fetch *fetch;
    struct outcome never = {0};
    script_server_says(&b->server, SCRIPT_SILENT, 0, "");
    assert_int_equal(dp_fetch_start(b->fetcher, &req, on_done, &never, &fetch), DP_OK);
    dp_fetch_cancel(fetch); /* before it began */
    assert_int_equal(dp_fetch_start(b->fetcher, &req, on_done, &never, &fetch), DP_OK);
    assert_true(script_run_until(&b->loop, has_request, &b->server));
    dp_fetch_cancel(fetch); /* and while the answer is waited for */
    script_server_says(&b->server, SCRIPT_ANSWER, 200, "{}");
    assert_int_equal(run(b, &req)->status, 200);
    assert_int_equal(never.done, 0);
}

static void destroyed_under_way(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    struct outcome never = {0};
    script_server_says(&b->server, SCRIPT_SILENT, 0, "");
    for (unsigned i = 0; i < 5; i++) {
        struct dp_fetch *fetch;
        assert_int_equal(dp_fetch_start(b->fetcher, &req, on_done, &never, &fetch), DP_OK);
    }
    assert_true(script_run_until(&b->loop, has_request, &b->server));
    dp_fetcher_destroy(b->fetcher, on_gone, &b->fetcher_gone);
    b->fetcher = NULL;
    assert_true(script_run_until(&b->loop, is_true, &b->fetcher_gone));
    assert_int_equal(never.done, 0);
}

static void cancel_other(void *ctx, const struct dp_fetch_result *r)
{
    struct bench *b = ctx;
    on_done(&b->last, r);
    dp_fetch_cancel(b->other);
}

static void canceled_from_a_callback(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    struct dp_fetch *fetch;
    struct outcome never = {0};
    struct script_server silent;
    char url[64];
    script_server_start(&silent, &b->loop);
    script_server_says(&silent, SCRIPT_SILENT, 0, "");
    struct dp_fetch_request other = req;
    other.url = script_server_url(&silent, url, sizeof(url));
    assert_int_equal(dp_fetch_start(b->fetcher, &other, on_done, &never, &b->other), DP_OK);
    assert_true(script_run_until(&b->loop, has_request, &silent));
    assert_int_equal(dp_fetch_start(b->fetcher, &req, cancel_other, b, &fetch), DP_OK);
    assert_true(script_run_until(&b->loop, is_done, &b->last));
    script_server_kill(&silent);
    for (unsigned i = 0; i < 20; i++)
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
    assert_int_equal(never.done, 0);
}

static void destroy_fetcher(void *ctx, const struct dp_fetch_result *r)
{
    struct bench *b = ctx;
    on_done(&b->last, r);
    dp_fetcher_destroy(b->fetcher, on_gone, &b->fetcher_gone);
    b->fetcher = NULL;
}

static void destroyed_from_a_callback(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    struct dp_fetch *fetch;
    assert_int_equal(dp_fetch_start(b->fetcher, &req, destroy_fetcher, b, &fetch), DP_OK);
    assert_true(script_run_until(&b->loop, is_true, &b->fetcher_gone));
    assert_int_equal(b->last.done, 1);
    assert_int_equal(b->last.status, 200);
}

struct chain {
    struct bench *b;
    unsigned left;
    bool ended;
};

static void start_next(void *ctx, const struct dp_fetch_result *r)
{
    struct chain *c = ctx;
    struct dp_fetch *fetch;
    struct dp_fetch_request req = get(c->b);
    assert_int_equal(r->status, 200);
    if (--c->left == 0) {
        c->ended = true;
        return;
    }
    req.fresh_connection = c->left % 2;
    assert_int_equal(dp_fetch_start(c->b->fetcher, &req, start_next, c, &fetch), DP_OK);
}

static void started_from_a_callback(void **state)
{
    struct bench *b = *state;
    struct chain c = {.b = b, .left = 100};
    struct dp_fetch *fetch;
    struct dp_fetch_request req = get(b);
    assert_int_equal(dp_fetch_start(b->fetcher, &req, start_next, &c, &fetch), DP_OK);
    assert_true(script_run_until(&b->loop, is_true, &c.ended));
    assert_int_equal(b->server.requests, 100);
    assert_true(b->server.open <= 3);
}

static void many_at_once(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    struct chain chains[20];
    for (size_t i = 0; i < 20; i++) {
        struct dp_fetch *fetch;
        chains[i] = (struct chain){.b = b, .left = 5};
        assert_int_equal(dp_fetch_start(b->fetcher, &req, start_next, &chains[i], &fetch), DP_OK);
    }
    for (size_t i = 0; i < 20; i++)
        assert_true(script_run_until(&b->loop, is_true, &chains[i].ended));
    assert_int_equal(b->server.requests, 100);
}

/* How many bytes this process has read so far, of whatever. */
static uint64_t bytes_read(void)
{
    char line[64] = "";
    FILE *f = fopen("/proc/self/io", "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_int_equal(fclose(f), 0);
    assert_memory_equal(line, "rchar: ", 7);
    return strtoull(line + 7, NULL, 10);
}

/* Far more than anything else that is read here, far less than a file of authorities. */
#define MANY_BYTES 100000

static bool has_read_many(void *ctx)
{
    return bytes_read() >= *(const uint64_t *)ctx + MANY_BYTES;
}

/* A server that takes a connection and says nothing is enough: they are read before TLS begins. */
static void the_authorities_of_the_system_are_read_once(void **state)
{
    struct bench *b = *state;
    struct dp_fetch_request req = get(b);
    const char *file = curl_version_info(CURLVERSION_NOW)->cainfo;
    struct dp_fetch *fetch;
    uint64_t before = bytes_read();
    char url[64];
    if (!file || access(file, R_OK) != 0)
        skip(); /* this machine has none */
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", (unsigned)b->server.port);
    req.url = url;
    req.fresh_connection = true;
    assert_int_equal(dp_fetch_start(b->fetcher, &req, on_done, &b->last, &fetch), DP_OK);
    assert_true(script_run_until(&b->loop, has_read_many, &before));
    dp_fetch_cancel(fetch);
    before = bytes_read();
    req.timeout_ms = 1000;
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(b, &req)->err, DP_ETIMEOUT);
    assert_true(b->server.accepted >= 4);
    assert_false(has_read_many(&before));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer),
        T(any_status_is_an_answer),
        T(connections_are_kept_unless_fresh),
        T(a_kept_connection_that_died_is_replaced),
        T(a_kept_connection_that_ends_as_it_is_used_is_replaced),
        T(method_body_and_credentials),
        T(the_environment_names_no_proxy),
        T(an_address_in_place_of_the_name),
        T(several_addresses_in_place_of_the_name),
        T(refused),
        T(timed_out),
        T(broken_answers),
        T(a_body_of_just_the_limit),
        T(other_schemes_are_refused),
        T(canceled_under_way),
        T(destroyed_under_way),
        T(canceled_from_a_callback),
        T(destroyed_from_a_callback),
        T(started_from_a_callback),
        T(many_at_once),
        T(the_authorities_of_the_system_are_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
