/* What the checker judges by, when memory runs out at any allocation: it is not made or says so, nothing is half done, and what
 * was there stays. */
#include "davenport/drill/audit.h"

#include "drill/holdings.h"
#include "drill/leaves.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ALLOCATIONS_MAX 2000
#define DOCUMENTS       300u

static const char answer[] =
    "{\"results\":[{\"id\":\"drill-r1-00000.0\",\"docs\":[{\"ok\":{\"_id\":\"drill-r1-00000.0\","
    "\"_rev\":\"1-a\",\"drill\":\"r1\",\"tag\":0,\"_revisions\":{\"start\":1,\"ids\":[\"a\"]}}}]},"
    "{\"id\":\"x\",\"docs\":[{\"ok\":{\"_id\":\"x\",\"_rev\":\"2-b\",\"_deleted\":true,"
    "\"_revisions\":{\"start\":2,\"ids\":[\"b\",\"a\"]}}},{\"error\":{}}]}]}";

static void on_document(void *ctx, struct dp_span id, const struct dp_leaf *leaves, size_t n)
{
    dp_audit_document(ctx, 0, id, leaves, n);
}

static struct dp_ledger *make_ledger(void)
{
    const struct dp_ledger_options opt = {.run = "r1", .slots = 1, .max_writes = 1};
    nomem_pause();
    struct dp_ledger *l = dp_ledger_new(&opt);
    assert_non_null(l);
    uint32_t tag = dp_ledger_begin(l, DP_WRITE_PUT, 0, 0);
    assert_int_equal(dp_ledger_acknowledged(l, tag, DP_SPAN(""), DP_SPAN("1-a"), 201, 0, 0), DP_OK);
    nomem_resume();
    return l;
}

/* True: it was all done. */
static bool judge(void)
{
    static const char *const names[] = {"here"};
    const bool read[] = {true};
    struct dp_ledger *l = make_ledger();
    const struct dp_audit_options opt = {.ledger = l, .regions = names, .n_regions = 1};
    struct dp_audit *a = dp_audit_new(&opt);
    bool whole = false;
    if (a) {
        size_t absent = 99;
        enum dp_err err = dp_leaves_read(DP_SPAN(answer), "r1", on_document, a, &absent);
        assert_true(err == DP_OK || err == DP_ENOMEM || (err == DP_EINVAL && nomem_happened()));
        assert_int_equal(absent, err ? 99 : 1);
        whole = err == DP_OK;
        dp_audit_finish(a, read);
        if (!nomem_happened())
            assert_int_equal(dp_audit_count(a, DP_FINDING_LOST), 0);
    }
    dp_audit_free(a);
    dp_ledger_free(l);
    return whole;
}

static bool hold(void)
{
    struct dp_holdings h;
    uint32_t kept = 0, failed = 0;
    dp_holdings_init(&h, 1000);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        char id[16];
        static const char *const revs[] = {"1-a", "1-b"};
        (void)snprintf(id, sizeof(id), "%u", i);
        uint64_t sum = h.sum;
        enum dp_err err = dp_holdings_put(&h, id, revs, 1 + i % 2);
        assert_true(err == DP_OK || err == DP_ENOMEM);
        if (err)
            assert_int_equal(h.sum, sum);
        kept += err == DP_OK;
        failed += err != DP_OK;
        assert_int_equal(h.n, kept);
    }
    dp_holdings_fini(&h);
    return failed == 0;
}

static void each(bool (*act)(void), unsigned least)
{
    unsigned n = 1;
    for (bool failed = true; failed; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        nomem_at(n);
        bool whole = act();
        failed = nomem_happened();
        /* jansson may drop a character and say nothing (json_memory.h is there for that): so no more can be asked */
        assert_true(whole || failed);
    }
    nomem_at(0);
    assert_true(n > least);
}

static void test_the_audit(void **state)
{
    (void)state;
    each(judge, 10);
}

static void test_holdings(void **state)
{
    (void)state;
    each(hold, DOCUMENTS);
}

int main(void)
{
    nomem_libraries();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_audit),
                                       cmocka_unit_test(test_holdings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
