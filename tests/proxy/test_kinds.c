/* What is counted by kind of request, what of writes below their quorum, and the time that a kind has. */
#include "davenport/base/attr.h"
#include "davenport/couch/request.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define OK "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi"

static uint64_t told(const struct rig *r, enum dp_couch_kind k, enum dp_told t)
{
    return dp_counter_get(&r->traffic.kinds[k].told[t]);
}

static uint64_t sum(const struct rig *r)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < DP_TRAFFIC_KINDS; k++) {
        for (unsigned t = 0; t < DP_TOLD_COUNT; t++)
            n += told(r, (enum dp_couch_kind)k, (enum dp_told)t);
    }
    return n;
}

static void each_request_is_counted_once(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
        enum dp_couch_kind kind;
        enum dp_told told;
    } rows[] = {
        {"GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n", OK, DP_COUCH_KIND_READ, DP_TOLD_2XX},
        {"GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nDate: D\r\n\r\n",
         DP_COUCH_KIND_READ, DP_TOLD_3XX},
        {"GET /_up HTTP/1.1\r\nHost: a\r\n\r\n",
         "HTTP/1.1 404 x\r\nDate: D\r\nContent-Length: 0\r\n\r\n", DP_COUCH_KIND_SERVER,
         DP_TOLD_4XX},
        {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
         "HTTP/1.1 500 x\r\nDate: D\r\nContent-Length: 0\r\n\r\n", DP_COUCH_KIND_BULK, DP_TOLD_5XX},
        {"POST /db HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "no HTTP\r\n\r\n",
         DP_COUCH_KIND_WRITE, DP_TOLD_REFUSED},
        {"PUT /db/_security HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", NULL,
         DP_COUCH_KIND_NOT_REPLICATED, DP_TOLD_NONE},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 1);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, rows[i].request, &up);
        if (rows[i].answer)
            rig_send(up, rows[i].answer);
        else
            rig_end(c, DP_ERESET);
        assert_int_equal(told(&r, rows[i].kind, rows[i].told), 1);
        assert_int_equal(sum(&r), 1);
        rig_fini(&r);
    }
}

static void bad_heads_are_of_no_kind(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    rig_start(&r);
    rig_send(rig_client(&r), "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(sum(&r), 0);
    rig_fini(&r);
}

static void first_bytes_by_kind(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    rig_init(&r, 1);
    rig_start(&r);
    (void)rig_request(&r, "GET /db/_all_docs HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_pass(&r, 150);
    rig_send(up, OK);
    const struct dp_traffic_kind *k = &r.traffic.kinds[DP_COUCH_KIND_READ];
    assert_int_equal(dp_counter_get(&k->first_byte_ns), 150 * DP_NS_PER_MS);
    assert_int_equal(dp_counter_get(&k->first_byte[dp_latency_bucket(150 * DP_NS_PER_MS)]), 1);
    rig_fini(&r);
}

/* Those only that a region may have acted on. */
static void replays_by_kind(void **state)
{
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        struct rig r;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_client(&r);
        rig_send(c, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
        rig_connect(rig_dialed(&r, 1), sent ? DP_OK : DP_ECONNECT);
        if (sent)
            rig_end(rig_dialed(&r, 1), DP_ERESET);
        rig_connect(rig_dialed(&r, 2), DP_OK);
        rig_send(rig_dialed(&r, 2), OK);
        assert_string_equal(c->got, OK);
        assert_int_equal(dp_counter_get(&r.traffic.kinds[DP_COUCH_KIND_WRITE].replays), sent);
        assert_int_equal(dp_counter_get(&r.traffic.retries), 1);
        rig_fini(&r);
    }
}

static void writes_below_their_quorum(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *status;
        uint64_t missed;
    } rows[] = {
        {"PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "202 Accepted", 1},
        {"PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "201 Created", 0},
        {"DELETE /db/doc?rev=1-a HTTP/1.1\r\nHost: a\r\n\r\n", "202 Accepted", 1},
        {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "202 Accepted",
         1},
        /* a promise of nothing, and work that goes on behind the answer */
        {"PUT /db/doc?batch=ok HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "202 Accepted",
         0},
        {"POST /db/_compact HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "202 Accepted", 0},
        {"GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n", "202 Accepted", 0},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        rig_start(&r);
        struct rig_peer *c = rig_request(&r, rows[i].request, &up);
        rig_send(up, "HTTP/1.1 ");
        rig_send(up, rows[i].status);
        rig_send(up, "\r\nDate: D\r\nContent-Length: 2\r\n\r\n{}");
        assert_non_null(strstr(c->got, rows[i].status));
        const struct dp_traffic_endpoint *e = &r.traffic.endpoints[0];
        assert_int_equal(dp_counter_get(&e->quorum_missed), rows[i].missed);
        assert_true((dp_counter_get(&e->quorum_missed_ms) > 0) == (rows[i].missed > 0));
        /* it is a success all the same */
        assert_int_equal(dp_counter_get(&e->outcomes[DP_OUTCOME_ANSWERED]), 1);
        rig_fini(&r);
    }
}

/* What is asked within a partition has a time of its own. */
static void partitions_have_less_time(void **state)
{
    (void)state;
    for (int partition = 0; partition < 2; partition++) {
        struct rig r;
        struct rig_peer *up;
        rig_init(&r, 2);
        r.config.partition_timeout_ms = 8000;
        rig_start(&r);
        struct rig_peer *c =
            rig_request(&r,
                        partition ? "GET /db/_partition/p/_all_docs HTTP/1.1\r\nHost: a\r\n\r\n"
                                  : "GET /db/_all_docs HTTP/1.1\r\nHost: a\r\n\r\n",
                        &up);
        rig_pass(&r, 7900);
        assert_int_equal(r.n_regions, 1);
        rig_pass(&r, 200);
        assert_int_equal(r.n_regions, partition ? 2 : 1);
        assert_int_equal(
            dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_ANSWER_TIMEOUT]), partition);
        if (partition) {
            up = rig_dialed(&r, 2);
            rig_connect(up, DP_OK);
        }
        rig_send(up, OK);
        assert_string_equal(c->got, OK);
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_counted_once), cmocka_unit_test(bad_heads_are_of_no_kind),
        cmocka_unit_test(first_bytes_by_kind),          cmocka_unit_test(replays_by_kind),
        cmocka_unit_test(writes_below_their_quorum),    cmocka_unit_test(partitions_have_less_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
