/* Documents get their ids before they are sent: which requests, what of the bytes changes, and that a second attempt
 * sends the same ones. */
#include "davenport/base/attr.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#define JSON "Content-Type: application/json\r\n"
#define OK   "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi"

static void start(struct rig *r, unsigned regions)
{
    rig_init(r, regions);
    r->config.mint_ids = true;
    rig_start(r);
}

static const char *body_of(const struct rig_peer *p)
{
    const char *at = strstr(p->got, "\r\n\r\n");
    assert_non_null(at);
    return at + 4;
}

/* `got` is `want`, with an id at each '@'. */
static void assert_minted(const char *got, const char *want)
{
    for (; *want; want++) {
        if (*want != '@') {
            assert_int_equal(*got, *want);
            got++;
            continue;
        }
        for (int i = 0; i < DP_ID_BYTES; i++, got++)
            assert_true((*got >= '0' && *got <= '9') || (*got >= 'a' && *got <= 'f'));
    }
    assert_int_equal(*got, '\0');
}

static void assert_length_told(const struct rig_peer *p)
{
    const char *at = strstr(p->got, "Content-Length: ");
    assert_non_null(at);
    assert_int_equal(strtoul(at + 16, NULL, 10), strlen(body_of(p)));
}

static struct rig_peer *post(struct rig *r, const char *target, const char *fields,
                             const char *body, struct rig_peer **region)
{
    char request[1024];
    (void)snprintf(request, sizeof(request),
                   "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s", target, fields,
                   strlen(body), body);
    return rig_request(r, request, region);
}

static void documents_get_ids(void **state)
{
    (void)state;
    static const struct {
        const char *target, *body, *sent;
        uint64_t minted;
    } rows[] = {
        {"/db", "{\"a\":1}", "{\"a\":1,\"_id\":\"@\"}", 1},
        {"/db?batch=ok", "{}", "{\"_id\":\"@\"}", 1},
        {"/db", "{\"_id\":\"x\",\"a\":1}", "{\"_id\":\"x\",\"a\":1}", 0},
        {"/db/_bulk_docs", "{\"docs\":[{\"_id\":\"x\"},{\"a\":{}}]}",
         "{\"docs\":[{\"_id\":\"x\"},{\"a\":{},\"_id\":\"@\"}]}", 1},
        {"/db/_bulk_docs", "{\"docs\":[]}", "{\"docs\":[]}", 0},
        {"/db/_find", "{\"selector\":{}}", "{\"selector\":{}}", 0},
        {"/db/_design/d/_update/u", "{\"a\":1}", "{\"a\":1}", 0},
        {"/db", "no JSON", "no JSON", 0},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        start(&r, 1);
        struct rig_peer *c = post(&r, rows[i].target, JSON, rows[i].body, &up);
        assert_minted(body_of(up), rows[i].sent);
        assert_length_told(up);
        assert_int_equal(dp_counter_get(&r.traffic.ids_minted), rows[i].minted);
        rig_send(up, OK);
        assert_string_equal(c->got, OK);
        rig_fini(&r);
    }
}

static void a_second_attempt_sends_the_same_ids(void **state)
{
    (void)state;
    static const char *const fields[] = {JSON, "Content-Type: Application/JSON; charset=utf-8\r\n",
                                         JSON "Content-Encoding: identity\r\n"};
    for (size_t i = 0; i < DP_ARRAY_LEN(fields); i++) {
        struct rig r;
        struct rig_peer *first;
        start(&r, 2);
        struct rig_peer *c =
            post(&r, "/db/_bulk_docs", fields[i], "{\"docs\":[{},{\"b\":2}]}", &first);
        assert_minted(body_of(first), "{\"docs\":[{\"_id\":\"@\"},{\"b\":2,\"_id\":\"@\"}]}");
        rig_end(first, DP_ERESET);
        struct rig_peer *second = rig_dialed(&r, 2);
        assert_string_equal(second->ip, "10.0.0.1");
        rig_connect(second, DP_OK);
        assert_string_equal(body_of(second), body_of(first));
        rig_send(second, OK);
        assert_string_equal(c->got, OK);
        rig_fini(&r);
    }
}

/* As a PUT: no region twice that may have it. */
static void never_twice_to_one_region(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r, 1);
    struct rig_peer *c = post(&r, "/db", JSON, "{}", &up);
    rig_end(up, DP_ERESET);
    assert_non_null(strstr(c->got, "\"outcome_unknown\""));
    rig_fini(&r);
}

/* What is not understood passes byte for byte, and is sent once. */
static void what_passes_as_it_came(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "",
        "Content-Type: text/plain\r\n",
        JSON "Content-Encoding: br\r\n",
        JSON "Content-MD5: abc\r\n",
        JSON "Digest: md5=abc\r\n",
        JSON "X-HTTP-Method-Override: POST\r\n",
        JSON "Content-Encoding: gzip\r\n",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(fields); i++) {
        struct rig r;
        struct rig_peer *up;
        start(&r, 2);
        struct rig_peer *c = post(&r, "/db", fields[i], "{\"a\":1}", &up);
        assert_string_equal(body_of(up), "{\"a\":1}");
        assert_non_null(strstr(up->got, "Content-Length: 7\r\n"));
        rig_end(up, DP_ERESET);
        assert_non_null(strstr(c->got, "\"outcome_unknown\""));
        assert_int_equal(dp_counter_get(&r.traffic.ids_minted), 0);
        rig_fini(&r);
    }
}

static void the_switch_turns_it_off(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = post(&r, "/db", JSON, "{\"_id\":\"x\"}", &up);
    assert_string_equal(body_of(up), "{\"_id\":\"x\"}");
    rig_end(up, DP_ERESET);
    assert_non_null(strstr(c->got, "\"outcome_unknown\""));
    rig_fini(&r);
}

/* Its body is waited for, however it is cut; then it has one length. */
static void it_waits_for_its_body(void **state)
{
    (void)state;
    static const char request[] =
        "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 23\r\n\r\n"
        "{\"docs\":[{\"a\":1},{},{}]}";
    const size_t n = strlen(request) - 1;
    for (size_t step = 1; step < n; step++) {
        struct rig r;
        start(&r, 1);
        struct rig_peer *c = rig_client(&r);
        rig_send_bytes(c, request, n - 1, step);
        assert_int_equal(r.n_regions, 0);
        rig_send_bytes(c, request + n - 1, 1, 0);
        struct rig_peer *up = rig_dialed(&r, 1);
        rig_connect(up, DP_OK);
        assert_length_told(up);
        rig_send(up, OK);
        assert_string_equal(c->got, OK);
        rig_fini(&r);
    }
}

static void a_chunked_body_stays_one(void **state)
{
    (void)state;
    struct rig r;
    start(&r, 1);
    struct rig_peer *c = rig_client(&r);
    rig_send(c, "POST /db HTTP/1.1\r\nHost: a\r\n" JSON "Trailer: X-T\r\n"
                "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
    rig_send(c, "1\r\n}\r\n0\r\nX-T: 1\r\n\r\n");
    struct rig_peer *up = rig_dialed(&r, 1);
    rig_connect(up, DP_OK);
    assert_non_null(strstr(up->got, "Transfer-Encoding: chunked\r\n"));
    assert_minted(body_of(up), "2a\r\n{\"_id\":\"@\"}\r\n0\r\nX-T: 1\r\n\r\n");
    rig_send(up, OK);
    assert_string_equal(c->got, OK);
    rig_fini(&r);
}

/* Who wants to be told before it sends the body is told by the region, and sent once. */
static void expect_is_the_regions(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    start(&r, 1);
    struct rig_peer *c = rig_request(&r,
                                     "POST /db HTTP/1.1\r\nHost: a\r\n" JSON
                                     "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
                                     &up);
    rig_send(up, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(c, "{}");
    assert_string_equal(body_of(up), "{}");
    rig_end(up, DP_ERESET);
    assert_non_null(strstr(c->got, "\"outcome_unknown\""));
    rig_fini(&r);
}

static void too_long_to_be_kept_passes_as_it_came(void **state)
{
    (void)state;
    static const char *const framings[] = {"Content-Length: 66\r\n\r\n",
                                           "Transfer-Encoding: chunked\r\n\r\n42\r\n"};
    char body[67] = "{\"a\":\"";
    memset(body + 6, 'x', 58);
    body[64] = '"';
    body[65] = '}';
    for (size_t i = 0; i < DP_ARRAY_LEN(framings); i++) {
        struct rig r;
        rig_init(&r, 2);
        r.config.mint_ids = true;
        r.config.replay_body_bytes = 64;
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, "POST /db HTTP/1.1\r\nHost: a\r\n" JSON);
        rig_send(c, framings[i]);
        rig_send_bytes(c, body, 64, 0);
        struct rig_peer *up = rig_dialed(&r, 1);
        rig_connect(up, DP_OK);
        rig_send_bytes(c, body + 64, 2, 0);
        if (i == 1)
            rig_send(c, "\r\n0\r\n\r\n");
        assert_null(strstr(up->got, "_id"));
        assert_int_equal(dp_counter_get(&r.traffic.ids_minted), 0);
        rig_end(up, DP_ERESET);
        assert_non_null(strstr(c->got, "\"outcome_unknown\""));
        rig_fini(&r);
    }
}

/* With an id it would not fit: it goes as it came, and once. */
static void no_room_for_the_id(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.mint_ids = true;
    r.config.replay_body_bytes = 40;
    rig_start(&r);
    struct rig_peer *c = post(&r, "/db", JSON, "{}", &up);
    assert_string_equal(body_of(up), "{}");
    rig_end(up, DP_ERESET);
    assert_non_null(strstr(c->got, "\"outcome_unknown\""));
    rig_fini(&r);
}

/* ---- gzip ---- */

static size_t gzip(const char *text, char *out, size_t cap)
{
    z_stream z = {0};
    char copy[512];
    assert_true(strlen(text) < sizeof(copy));
    memcpy(copy, text, strlen(text));
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)copy;
    z.avail_in = (uInt)strlen(text);
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = cap - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return n;
}

static struct rig_peer *post_bytes(struct rig *r, const char *body, size_t n, size_t step,
                                   struct rig_peer **up)
{
    char head[256];
    struct rig_peer *c = rig_client(r);
    (void)snprintf(head, sizeof(head),
                   "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON
                   "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                   n);
    rig_send(c, head);
    rig_send_bytes(c, body, n, step);
    *up = rig_dialed(r, 1);
    rig_connect(*up, DP_OK);
    return c;
}

static void a_compressed_body_goes_out_plain(void **state)
{
    (void)state;
    char body[512];
    const size_t n = gzip("{\"docs\":[{\"_id\":\"x\"},{\"a\":1}]}", body, sizeof(body));
    for (size_t step = 1; step <= n; step++) {
        struct rig r;
        struct rig_peer *up;
        start(&r, 2);
        struct rig_peer *c = post_bytes(&r, body, n, step, &up);
        assert_minted(body_of(up), "{\"docs\":[{\"_id\":\"x\"},{\"a\":1,\"_id\":\"@\"}]}");
        assert_length_told(up);
        assert_null(strstr(up->got, "Content-Encoding"));
        rig_end(up, DP_ERESET);
        struct rig_peer *second = rig_dialed(&r, 2);
        rig_connect(second, DP_OK);
        assert_string_equal(body_of(second), body_of(up));
        rig_send(second, OK);
        assert_string_equal(c->got, OK);
        rig_fini(&r);
    }
}

/* Nothing to add: the bytes stay, and may be sent again. */
static void a_compressed_body_with_ids_stays(void **state)
{
    (void)state;
    char body[512];
    const size_t n = gzip("{\"docs\":[{\"_id\":\"x\"}]}", body, sizeof(body));
    struct rig r;
    struct rig_peer *up;
    start(&r, 2);
    (void)post_bytes(&r, body, n, 0, &up);
    assert_memory_equal(body_of(up), body, n);
    assert_non_null(strstr(up->got, "Content-Encoding: gzip\r\n"));
    rig_end(up, DP_ERESET);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    assert_memory_equal(body_of(rig_dialed(&r, 2)), body, n);
    rig_fini(&r);
}

/* Cut short, damaged, with more behind it, or far larger than what is kept: the region's to refuse. */
static void what_cannot_be_inflated_passes(void **state)
{
    (void)state;
    char whole[512], body[2 * sizeof(whole)];
    const size_t n = gzip("{\"docs\":[{\"a\":1}]}", whole, sizeof(whole));
    for (int fault = 0; fault < 4; fault++) {
        struct rig r;
        struct rig_peer *up;
        size_t bytes = n;
        rig_init(&r, 2);
        r.config.mint_ids = true;
        memcpy(body, whole, n);
        if (fault == 0)
            bytes = n - 1;
        else if (fault == 1)
            body[n - 6] ^= 1; /* of its check sum */
        else if (fault == 2) {
            memcpy(body + n, whole, n);
            bytes = 2 * n;
        } else
            r.config.max_body_bytes = 50; /* counts for what is inflated, too */
        rig_start(&r);
        struct rig_peer *c = post_bytes(&r, body, bytes, 0, &up);
        assert_memory_equal(body_of(up), body, bytes);
        assert_non_null(strstr(up->got, "Content-Encoding: gzip\r\n"));
        rig_end(up, DP_ERESET);
        assert_non_null(strstr(c->got, "\"outcome_unknown\""));
        rig_fini(&r);
    }
}

/* ---- ids ---- */

static int by_text(const void *a, const void *b)
{
    return memcmp(a, b, DP_ID_BYTES);
}

/* Unique over engines, in order within one prefix, and a new prefix after the serial's end. */
static void ids_are_unique_and_climb(void **state)
{
    (void)state;
    enum { EACH = 3000, ENGINES = 3 };
    static char all[ENGINES * EACH][DP_ID_BYTES];
    for (unsigned k = 0; k < ENGINES; k++) {
        struct rig r;
        start(&r, 1);
        char(*ids)[DP_ID_BYTES] = &all[k * EACH];
        for (unsigned i = 0; i < EACH; i++) {
            dp_mint_next(&r.engine, ids[i]);
            if (i > 0 && memcmp(ids[i], ids[i - 1], DP_MINT_PREFIX_BYTES) == 0)
                assert_true(memcmp(ids[i], ids[i - 1], DP_ID_BYTES) > 0);
        }
        r.engine.mint.serial = 0xfff001;
        char next[DP_ID_BYTES];
        dp_mint_next(&r.engine, next);
        assert_memory_not_equal(next, ids[EACH - 1], DP_MINT_PREFIX_BYTES);
        rig_fini(&r);
    }
    qsort(all, DP_ARRAY_LEN(all), sizeof(all[0]), by_text);
    for (size_t i = 1; i < DP_ARRAY_LEN(all); i++)
        assert_memory_not_equal(all[i], all[i - 1], DP_ID_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_get_ids),
        cmocka_unit_test(a_second_attempt_sends_the_same_ids),
        cmocka_unit_test(never_twice_to_one_region),
        cmocka_unit_test(what_passes_as_it_came),
        cmocka_unit_test(the_switch_turns_it_off),
        cmocka_unit_test(it_waits_for_its_body),
        cmocka_unit_test(a_chunked_body_stays_one),
        cmocka_unit_test(expect_is_the_regions),
        cmocka_unit_test(too_long_to_be_kept_passes_as_it_came),
        cmocka_unit_test(no_room_for_the_id),
        cmocka_unit_test(a_compressed_body_goes_out_plain),
        cmocka_unit_test(a_compressed_body_with_ids_stays),
        cmocka_unit_test(what_cannot_be_inflated_passes),
        cmocka_unit_test(ids_are_unique_and_climb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
