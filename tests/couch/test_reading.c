/* What lets a reader of _changes be caught up, by what it asks for. */
#include "davenport/base/attr.h"
#include "davenport/couch/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ASKED = 1000, TOLD = 900, SETTLE_S = 60 };

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *target, *since;
        bool all;
        uint64_t limit;
    } cases[] = {
        {"/db/_changes", NULL, true, UINT64_MAX},
        {"/db/_changes?", NULL, true, UINT64_MAX},
        {"/db/_changes?since=5-g1~eu.7&limit=100", "5-g1~eu.7", true, 100},
        {"/db/_changes?since=%225-g1%22", "%225-g1%22", true, UINT64_MAX},
        {"/db/_changes?SINCE=1&Last-Event-ID=2", "2", true, UINT64_MAX},
        {"/db/_changes?last-event-id=2&since=1", "1", true, UINT64_MAX},
        {"/db/_changes?since", "", true, UINT64_MAX},
        {"/db/_changes?since=", "", true, UINT64_MAX},
        {"/db/_changes?since=a=b", "a=b", true, UINT64_MAX},
        {"/db/_changes?filter=app/important", NULL, false, UINT64_MAX},
        {"/db/_changes?filter=_selector", NULL, false, UINT64_MAX},
        {"/db/_changes?filter=_view&view=a/b", NULL, false, UINT64_MAX},
        {"/db/_changes?view=a/b", NULL, false, UINT64_MAX},
        {"/db/_changes?filter=_doc_ids", NULL, true, UINT64_MAX},
        {"/db/_changes?filter=%5Fdesign", NULL, true, UINT64_MAX},
        {"/db/_changes?filter=_design&filter=x/y", NULL, false, UINT64_MAX},
        {"/db/_changes?descending=true", NULL, false, UINT64_MAX},
        {"/db/_changes?descending=false", NULL, true, UINT64_MAX},
        {"/db/_changes?limit=x", NULL, true, 0},
        {"/db/_changes?limit=5&limit=6", NULL, true, 6},
        {"/db/_changes?feed=continuous&heartbeat=5000&include_docs=true&style=all_docs", NULL, true,
         UINT64_MAX},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        const struct dp_reading r = dp_reading_of(dp_span_str(cases[i].target), SETTLE_S);
        assert_int_equal(r.all, cases[i].all);
        assert_int_equal(r.limit, cases[i].limit);
        assert_int_equal(r.since.p != NULL, cases[i].since != NULL);
        if (cases[i].since)
            assert_true(dp_span_eq(r.since, dp_span_str(cases[i].since)));
    }
}

static void test_times(void **state)
{
    (void)state;
    enum { CLEAN = ASKED - SETTLE_S, RUN = ASKED - SETTLE_S, YOUNG = RUN + 1 };
    static const struct {
        const char *method, *target, *token;
        struct dp_token_time since, before, whole;
    } cases[] = {
        {"GET", "/db/_changes", "", {0, 0}, {0, 0}, {ASKED, CLEAN}},
        {"GET", "/db/_changes?since=0", "0", {0, 0}, {0, 0}, {ASKED, CLEAN}},
        {"GET", "/db/_changes?since=now", "now", {0, 0}, {ASKED, 0}, {ASKED, CLEAN}},
        {"GET", "/db/_changes?since=now&filter=a/b", "now", {0, 0}, {ASKED, 0}, {0, 0}},
        /* from a place in the midst of an answer a run begins */
        {"GET", "/db/_changes?since=5", "5", {0, 0}, {0, 0}, {0, ASKED}},
        {"GET", "/db/_changes?since=5", "5", {TOLD, 0}, {TOLD, 0}, {TOLD, ASKED}},
        /* it goes on, and tells more when it is old enough */
        {"GET", "/db/_changes?since=5", "5", {TOLD, YOUNG}, {TOLD, 0}, {TOLD, YOUNG}},
        {"GET", "/db/_changes?since=5", "5", {TOLD, RUN}, {TOLD, 0}, {ASKED, RUN}},
        {"POST", "/db/_changes?since=5&filter=_doc_ids", "5", {0, 7}, {0, 0}, {ASKED, 7}},
        {"GET", "/db/_changes?feed=continuous&since=5", "5", {TOLD, RUN}, {TOLD, 0}, {ASKED, RUN}},
        {"GET",
         "/db/_changes?feed=eventsource&since=now",
         "now",
         {0, 0},
         {ASKED, 0},
         {ASKED, CLEAN}},
        /* a filter by content ends it */
        {"GET", "/db/_changes?since=5&filter=a/b", "5", {TOLD, RUN}, {TOLD, 0}, {0, 0}},
        /* clocks */
        {"GET", "/db/_changes?since=5", "5", {ASKED + 5, RUN}, {ASKED + 5, 0}, {ASKED + 5, RUN}},
        {"GET", "/db/_changes?since=5", "5", {TOLD, ASKED + 5}, {TOLD, 0}, {TOLD, ASKED}},
        {"GET", "/db", "", {0, 0}, {ASKED, CLEAN}, {0, 0}},
        {"POST", "/_dbs_info", "", {0, 0}, {ASKED, CLEAN}, {0, 0}},
        {"GET", "/db/_all_docs?update_seq=true", "", {0, 0}, {0, 0}, {0, 0}},
        {"GET", "/db/_design/a/_view/b?update_seq=true", "", {0, 0}, {0, 0}, {0, 0}},
        {"POST", "/db/_all_docs/queries", "", {0, 0}, {0, 0}, {0, 0}},
        {"GET", "/_db_updates?since=5", "5", {TOLD, RUN}, {0, 0}, {0, 0}},
        {"GET", "/db/doc", "", {0, 0}, {0, 0}, {0, 0}},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        const struct dp_span target = dp_span_str(cases[i].target);
        const struct dp_couch_request r =
            dp_couch_classify(dp_span_str(cases[i].method), (struct dp_span){NULL, 0}, target);
        const struct dp_reading reading = dp_reading_of(target, SETTLE_S);
        const struct dp_token since = {.token = dp_span_str(cases[i].token),
                                       .time = cases[i].since};
        const struct dp_token_times t = dp_reading_times(&r, &reading, &since, ASKED);
        if (memcmp(&t.before, &cases[i].before, sizeof(t.before)) != 0 ||
            memcmp(&t.whole, &cases[i].whole, sizeof(t.whole)) != 0)
            fail_msg("case %u, %s: %u.%u, %u.%u", (unsigned)i, cases[i].target,
                     (unsigned)t.before.caught_up_s, (unsigned)t.before.run_s,
                     (unsigned)t.whole.caught_up_s, (unsigned)t.whole.run_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
