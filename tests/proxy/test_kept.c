/* Answers that are kept until they are whole: what breaks off meanwhile is answered by another region, what is large or
 * slow goes on to the client, and what comes in one piece is never kept. */
#include "davenport/base/attr.h"

#include "proxy/kept.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char get[] = "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n";
static const char view[] = "GET /db/_design/d/_view/v HTTP/1.1\r\nHost: a\r\n\r\n";
static const char find[] = "POST /db/_find HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
static const char put[] = "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
static const char post[] = "POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
static const char feed[] = "GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: a\r\n\r\n";

#define HEAD    "HTTP/1.1 200 OK\r\nDate: D\r\n"
#define SIZED   HEAD "Content-Length: 10\r\n\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define CLOSED  HEAD "\r\n"

static const char whole[] = SIZED "0123456789";

static uint64_t outcome(const struct rig *r, unsigned endpoint, enum dp_outcome o)
{
    return dp_counter_get(&r->traffic.endpoints[endpoint].outcomes[o]);
}

static uint64_t first_bytes(const struct dp_counter *buckets)
{
    uint64_t n = 0;
    for (unsigned b = 0; b < DP_LATENCY_BUCKETS; b++)
        n += dp_counter_get(&buckets[b]);
    return n;
}

static void assert_counts(const struct rig *r, unsigned kept, unsigned begun, unsigned failed)
{
    assert_int_equal(dp_counter_get(&r->traffic.answers_kept), kept);
    assert_int_equal(dp_counter_get(&r->traffic.answers_kept_begun), begun);
    assert_int_equal(dp_counter_get(&r->traffic.answers_kept_failed), failed);
}

static void what_is_slow_and_what_stalls(void **state)
{
    static const struct {
        struct dp_kept_facts f;
        enum dp_kept_verdict verdict;
    } rows[] = {
        /* sized, moves, point, for, quiet, limit */
        {{true, false, true, 0, 0, 5000}, DP_KEPT_WAIT},
        {{true, true, true, 4999, 0, 5000}, DP_KEPT_WAIT},
        {{true, false, true, 4999, 4999, 5000}, DP_KEPT_WAIT},
        {{true, true, true, 5000, 0, 5000}, DP_KEPT_BEGIN},
        {{true, false, true, 5000, 999, 5000}, DP_KEPT_BEGIN},
        {{true, false, true, 5000, 1000, 5000}, DP_KEPT_STALLED},
        {{true, false, false, 5000, 5000, 5000}, DP_KEPT_BEGIN},
        {{false, true, true, 0, 0, 5000}, DP_KEPT_BEGIN},
        {{false, true, false, 0, 0, 0}, DP_KEPT_BEGIN},
        {{false, false, false, 4999, 4999, 5000}, DP_KEPT_WAIT},
        {{false, false, false, 5000, 5000, 5000}, DP_KEPT_BEGIN},
        {{false, false, true, 5000, 5000, 5000}, DP_KEPT_STALLED},
        {{true, false, true, UINT64_MAX, UINT64_MAX, 0}, DP_KEPT_WAIT},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_int_equal(dp_kept_look(&rows[i].f), rows[i].verdict);
}

/* In one read as in the usual case: nothing is kept, and the answer is one write. */
static void an_answer_in_one_piece_is_not_kept(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, whole);
    assert_string_equal(c->got, whole);
    assert_counts(&r, 0, 0, 0);
    rig_fini(&r);
}

/* However it is cut: whole or nothing, and the last byte begins it. */
static void an_answer_is_passed_on_when_it_is_whole(void **state)
{
    static const struct {
        const char *answer, *got;
        bool closes;
    } rows[] = {
        {whole, whole, false},
        {CHUNKED "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n", CHUNKED "a\r\n0123456789\r\n0\r\n\r\n",
         false},
        {CLOSED "0123456789", CHUNKED "a\r\n0123456789\r\n0\r\n\r\n", true},
    };
    static const char *const requests[] = {get, view, find};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows) * DP_ARRAY_LEN(requests); i++) {
        const char *answer = rows[i / DP_ARRAY_LEN(requests)].answer;
        const size_t n = strlen(answer);
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, requests[i % DP_ARRAY_LEN(requests)], &up);
        rig_send_bytes(up, answer, n - 1, 1);
        assert_int_equal(c->got_bytes, 0);
        rig_send_bytes(up, answer + n - 1, 1, 0);
        if (rows[i / DP_ARRAY_LEN(requests)].closes) {
            assert_int_equal(c->got_bytes, 0);
            rig_end(up, DP_OK);
        }
        assert_string_equal(c->got, rows[i / DP_ARRAY_LEN(requests)].got);
        assert_counts(&r, 1, 0, 0);
        assert_int_equal(r.engine.chunks.n_used, 0);
        assert_int_equal(outcome(&r, 0, DP_OUTCOME_ANSWERED), 1);
        assert_int_equal(first_bytes(r.traffic.endpoints[0].first_byte), 1);
        rig_fini(&r);
    }
}

/* At every byte and in every way: another region's answer is all that the client sees. */
static void one_that_breaks_off_is_answered_elsewhere(void **state)
{
    static const char *const answers[] = {
        whole,
        CHUNKED "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
    };
    static const char *const requests[] = {get, view, find, put};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(answers) * DP_ARRAY_LEN(requests); i++) {
        const char *answer = answers[i / DP_ARRAY_LEN(requests)];
        const char *body = strstr(answer, "\r\n\r\n") + 4;
        for (size_t n = (size_t)(body - answer); n < strlen(answer); n++) {
            struct rig r;
            struct rig_peer *up;
            rig_init(&r, 2);
            rig_start(&r);
            struct rig_peer *c = rig_request(&r, requests[i % DP_ARRAY_LEN(requests)], &up);
            rig_send_bytes(up, answer, n, 0);
            rig_end(up, n % 2 ? DP_OK : DP_ERESET);
            assert_int_equal(c->got_bytes, 0);
            rig_connect(rig_dialed(&r, 2), DP_OK);
            rig_send(r.regions[1], whole);
            assert_string_equal(c->got, whole);
            assert_int_equal(outcome(&r, 0, DP_OUTCOME_TRUNCATED), 1);
            assert_int_equal(outcome(&r, 1, DP_OUTCOME_ANSWERED), 1);
            assert_int_equal(dp_counter_get(&r.traffic.rescued), 1);
            assert_counts(&r, 1, 0, 1);
            assert_int_equal(first_bytes(r.traffic.endpoints[0].first_byte), 0);
            assert_int_equal(first_bytes(r.traffic.endpoints[1].first_byte), 1);
            uint64_t of_kinds = 0; /* a request is told once */
            for (unsigned k = 0; k < DP_TRAFFIC_KINDS; k++)
                of_kinds += first_bytes(r.traffic.kinds[k].first_byte);
            assert_int_equal(of_kinds, 1);
            rig_fini(&r);
        }
    }
}

/* Maintenance mode: a second head within the chunked body. */
static void one_that_becomes_unreadable_is_answered_elsewhere(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, CHUNKED "4\r\n0123\r\n");
    rig_send(up, "HTTP/1.1 412 Precondition Failed\r\n");
    assert_true(up->closed);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(r.regions[1], whole);
    assert_string_equal(c->got, whole);
    rig_fini(&r);
}

/* No other region: the client is told, with an answer that is whole. */
static void without_another_region_it_is_told(void **state)
{
    static const struct {
        const char *request, *word;
    } rows[] = {{get, "\"no_region_available\""}, {put, "\"outcome_unknown\""}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, rows[i].request, &up);
        rig_send(up, SIZED "0123");
        rig_end(up, DP_ERESET);
        assert_int_equal(strncmp(c->got, "HTTP/1.1 503 ", 13), 0);
        assert_non_null(strstr(c->got, rows[i].word));
        assert_null(strstr(c->got, "0123"));
        rig_fini(&r);
    }
}

/* What can't be sent again, what stays open, what is large, and everything where the limit is 0: begun at once. */
static void what_has_no_second_chance_is_begun_at_once(void **state)
{
    static const struct {
        const char *request, *answer;
        uint32_t limit;
    } rows[] = {
        {post, SIZED "0123", 16384}, {feed, CHUNKED "4\r\n0123\r\n", 16384},
        {get, SIZED "0123", 0},      {get, SIZED "0123", 9},
        {find, SIZED "0123", 9},     {get, CHUNKED "4\r\n0123\r\n", 3},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        r.config.whole_answer_bytes = rows[i].limit;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, rows[i].request, &up);
        rig_send(up, rows[i].answer);
        assert_non_null(strstr(c->got, "0123"));
        assert_counts(&r, i == 5, i == 5, 0);
        rig_end(up, DP_ERESET);
        assert_int_equal(r.n_regions, 1);
        rig_fini(&r);
    }
}

/* One that proves larger than the limit: what was kept goes first, in its order. */
static void one_that_grows_too_large_goes_on(void **state)
{
    (void)state;
    for (unsigned step = 1; step < 40; step++) {
        struct rig r;
        struct rig_peer *up;
        char chunk[80], text[1000] = "", got[1000];
        size_t at = 0, n = 0;
        rig_init(&r, 2);
        r.config.whole_answer_bytes = 100;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, view, &up);
        rig_send(up, CHUNKED);
        for (unsigned i = 0; i * step < 300; i++) {
            char letters[41];
            (void)snprintf(letters, sizeof(letters), "%.*s", (int)step,
                           "abcdefghijklmnopqrstuvwxyz0123456789ABCD");
            (void)snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", step, letters);
            memcpy(text + strlen(text), letters, step + 1);
            rig_send(up, chunk);
            assert_int_equal(c->got_bytes > 0, strlen(text) > 100);
        }
        rig_send(up, "0\r\n\r\n");
        for (const char *p = strstr(c->got, "\r\n\r\n") + 4; *p != '0'; p += at + 2) {
            char *end;
            at = strtoul(p, &end, 16);
            p = end + 2;
            memcpy(got + n, p, at);
            n += at;
        }
        assert_int_equal(n, strlen(text));
        assert_memory_equal(got, text, n);
        assert_counts(&r, 1, 1, 0);
        rig_fini(&r);
    }
}

static void one_that_is_slow_goes_on(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    /* rows that are made as they are sent: what comes after the first look shows it, not what came with the head */
    struct rig_peer *c = rig_request(&r, view, &up);
    rig_send(up, CHUNKED "4\r\n0123\r\n");
    rig_pass(&r, 2 * DP_KEPT_LOOK_MS);
    assert_int_equal(c->got_bytes, 0);
    rig_send(up, "4\r\n4567\r\n");
    assert_int_equal(c->got_bytes, 0);
    rig_pass(&r, DP_KEPT_LOOK_MS + 3 * DP_TICK_MS);
    assert_string_equal(c->got, CHUNKED "8\r\n01234567\r\n");
    rig_send(up, "4\r\n89ab\r\n");
    assert_non_null(strstr(c->got, "89ab"));
    /* from then on as ever */
    rig_end(up, DP_ERESET);
    assert_true(c->finished || c->closed);
    assert_int_equal(r.n_regions, 1);
    assert_counts(&r, 1, 1, 0);
    rig_fini(&r);
}

/* Half a document is of no use: one that trickles is waited for, one that stops is asked for elsewhere. */
static void a_document_is_waited_for(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.try_timeout_ms = 5000;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, SIZED);
    for (unsigned i = 0; i < 9; i++) {
        rig_send(up, "x");
        rig_pass(&r, 500);
        assert_int_equal(c->got_bytes, 0);
    }
    rig_send(up, "x");
    assert_string_equal(c->got, SIZED "xxxxxxxxxx");
    /* one that takes longer than try_ms goes on as it comes */
    c = rig_client(&r);
    rig_send(c, get);
    rig_send(up, SIZED);
    for (unsigned i = 0; i < 6; i++) {
        rig_pass(&r, 900);
        rig_send(up, "x");
    }
    rig_pass(&r, 2 * DP_KEPT_LOOK_MS);
    assert_string_equal(c->got, SIZED "xxxxxx");
    rig_send(up, "xxxx");
    /* and one that stops */
    c = rig_client(&r);
    rig_send(c, get);
    rig_send(up, SIZED "x");
    rig_pass(&r, 5000 + 2 * DP_KEPT_LOOK_MS);
    assert_int_equal(c->got_bytes, 0);
    assert_true(up->closed);
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(r.regions[1], whole);
    assert_string_equal(c->got, whole);
    assert_int_equal(outcome(&r, 0, DP_OUTCOME_TRUNCATED), 1);
    rig_fini(&r);
}

/* With nowhere else to go what there is is better than nothing. */
static void one_that_stalls_goes_on_where_there_is_no_other(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    r.config.try_timeout_ms = 5000;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, SIZED "x");
    rig_pass(&r, 5000 + 2 * DP_KEPT_LOOK_MS);
    assert_string_equal(c->got, SIZED "x");
    rig_pass(&r, r.config.stall_timeout_ms - 1000);
    assert_false(c->closed || c->finished);
    rig_pass(&r, 1500);
    assert_true(c->closed || c->finished);
    rig_fini(&r);
}

/* A view may rest within its rows for as long as it likes; its region's death is seen meanwhile. */
static void a_view_that_rests_moves_with_its_region(void **state)
{
    static const char *const begins[] = {CHUNKED, CHUNKED "4\r\n0123\r\n"};
    (void)state;
    for (unsigned i = 0; i < 2 * DP_ARRAY_LEN(begins); i++) {
        const char *begun = begins[i / 2];
        const bool dies = i % 2;
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        r.config.try_timeout_ms = 5000;
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, view, &up);
        rig_send(up, begun);
        rig_pass(&r, 2000);
        assert_int_equal(c->got_bytes, 0);
        if (dies) {
            rig_publish(&r, 0, DP_ROUTE_DOWN, 1);
            rig_connect(rig_dialed(&r, 2), DP_OK);
            rig_send(r.regions[1], whole);
            assert_string_equal(c->got, whole);
        } else {
            rig_pass(&r, 3000 + 2 * DP_KEPT_LOOK_MS);
            assert_string_equal(c->got, begun);
        }
        rig_fini(&r);
    }
}

static void a_deadline_begins_what_is_kept(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    r.config.request_timeout_ms = 1000;
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, SIZED "012");
    rig_pass(&r, 1200);
    assert_string_equal(c->got, SIZED "012");
    assert_int_equal(dp_counter_get(&r.traffic.deadlines), 0);
    rig_send(up, "3456789");
    assert_string_equal(c->got, whole);
    rig_fini(&r);
}

static void a_client_that_goes_takes_what_is_kept_along(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    rig_send(up, SIZED "012");
    assert_int_equal(r.engine.chunks.n_used, 1);
    rig_end(c, DP_ERESET);
    assert_int_equal(r.engine.chunks.n_used, 0);
    assert_true(up->closed);
    assert_int_equal(r.n_regions, 1);
    rig_fini(&r);
}

/* Without memory to keep it it goes on. */
static void without_chunks_it_is_begun(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, get, &up);
    dp_chunk_pool_limit(&r.engine.chunks, 0);
    rig_send(up, SIZED "012");
    assert_string_equal(c->got, SIZED "012");
    rig_send(up, "3456789");
    assert_string_equal(c->got, whole);
    assert_counts(&r, 1, 1, 0);
    rig_fini(&r);
}

/* Bodies without bytes and heads alone have nothing to wait for; pipelined answers stay in their order. */
static void what_has_no_body_is_not_kept(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 2);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "HEAD /db/doc HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, SIZED);
    assert_string_equal(c->got, SIZED);
    rig_clear(c);
    rig_send(c, get);
    rig_send(up, "HTTP/1.1 304 Not Modified\r\nDate: D\r\n\r\n");
    assert_non_null(strstr(c->got, "304"));
    rig_clear(c);
    rig_send(c, get);
    rig_send(c, view);
    rig_send(up, HEAD "Content-Length: 0\r\n\r\n");
    rig_send(up, SIZED "01");
    assert_string_equal(c->got, HEAD "Content-Length: 0\r\n\r\n");
    rig_send(up, "23456789");
    assert_string_equal(c->got, HEAD "Content-Length: 0\r\n\r\n" SIZED "0123456789");
    assert_counts(&r, 1, 0, 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_slow_and_what_stalls),
        cmocka_unit_test(an_answer_in_one_piece_is_not_kept),
        cmocka_unit_test(an_answer_is_passed_on_when_it_is_whole),
        cmocka_unit_test(one_that_breaks_off_is_answered_elsewhere),
        cmocka_unit_test(one_that_becomes_unreadable_is_answered_elsewhere),
        cmocka_unit_test(without_another_region_it_is_told),
        cmocka_unit_test(what_has_no_second_chance_is_begun_at_once),
        cmocka_unit_test(one_that_grows_too_large_goes_on),
        cmocka_unit_test(one_that_is_slow_goes_on),
        cmocka_unit_test(a_document_is_waited_for),
        cmocka_unit_test(one_that_stalls_goes_on_where_there_is_no_other),
        cmocka_unit_test(a_view_that_rests_moves_with_its_region),
        cmocka_unit_test(a_deadline_begins_what_is_kept),
        cmocka_unit_test(a_client_that_goes_takes_what_is_kept_along),
        cmocka_unit_test(without_chunks_it_is_begun),
        cmocka_unit_test(what_has_no_body_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
