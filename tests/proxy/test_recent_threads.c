/* What is remembered of writes: by one, and by many at once. */
#include "davenport/base/attr.h"
#include "davenport/proxy/recent.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FOR_MS 10000U

static struct dp_recent_write written(uint32_t generation, uint64_t digits, uint16_t region)
{
    return (struct dp_recent_write){.rev = {generation, digits}, .region = region};
}

static uint64_t key(const struct dp_recent *r, const char *doc)
{
    return dp_recent_key(r, DP_SPAN("db"), dp_span_str(doc), true);
}

static bool note(struct dp_recent *r, uint32_t generation, uint64_t digits, uint16_t region,
                 uint64_t now_ms)
{
    const struct dp_recent_write w = written(generation, digits, region);
    return dp_recent_note(r, key(r, "doc"), &w, now_ms, FOR_MS);
}

static void for_a_while(void **state)
{
    struct dp_recent *r = dp_recent_new(100, 1);
    struct dp_recent_write w;
    (void)state;
    assert_non_null(r);
    assert_false(dp_recent_find(r, key(r, "doc"), 0, FOR_MS, &w));
    note(r, 3, 77, 15, 5000);
    assert_true(dp_recent_find(r, key(r, "doc"), 5000, FOR_MS, &w));
    assert_int_equal(w.region, 15);
    assert_int_equal(w.rev.generation, 3);
    assert_false(w.deleted);
    assert_true(dp_recent_find(r, key(r, "doc"), 15000, FOR_MS, &w));
    assert_false(dp_recent_find(r, key(r, "doc"), 16000, FOR_MS, &w));
    assert_false(dp_recent_find(r, key(r, "other"), 5000, FOR_MS, &w));
    dp_recent_clear(r);
    assert_false(dp_recent_find(r, key(r, "doc"), 5000, FOR_MS, &w));
    dp_recent_free(r);
    dp_recent_free(NULL);
}

static void seen(void **state)
{
    struct dp_recent *r = dp_recent_new(100, 1);
    struct dp_recent_write w;
    (void)state;
    note(r, 3, 77, 1, 0);
    assert_true(dp_recent_find(r, key(r, "doc"), 0, FOR_MS, &w));
    assert_true(dp_recent_seen(&w, &(struct dp_rev){3, 77}));
    assert_true(dp_recent_seen(&w, &(struct dp_rev){4, 1}));
    assert_false(dp_recent_seen(&w, &(struct dp_rev){3, 78}));
    assert_false(dp_recent_seen(&w, &(struct dp_rev){2, 77}));
    /* generations beyond what a place can tell */
    note(r, 3000000, 77, 1, 0);
    assert_true(dp_recent_find(r, key(r, "doc"), 0, FOR_MS, &w));
    assert_true(dp_recent_seen(&w, &(struct dp_rev){3000000, 77}));
    assert_false(dp_recent_seen(&w, &(struct dp_rev){5, 77}));
    dp_recent_free(r);
}

/* Of two writers the later generation counts, whoever comes first; but not for ever. */
static void the_latest_counts(void **state)
{
    struct dp_recent *r = dp_recent_new(100, 1);
    struct dp_recent_write w;
    (void)state;
    note(r, 5, 1, 1, 0);
    note(r, 4, 1, 2, 1000);
    assert_true(dp_recent_find(r, key(r, "doc"), 1000, FOR_MS, &w));
    assert_int_equal(w.rev.generation, 5);
    assert_int_equal(w.region, 1);
    note(r, 5, 2, 2, 1000);
    assert_true(dp_recent_find(r, key(r, "doc"), 1000, FOR_MS, &w));
    assert_int_equal(w.region, 2);
    note(r, 1, 1, 3, 12000); /* made anew */
    assert_true(dp_recent_find(r, key(r, "doc"), 12000, FOR_MS, &w));
    assert_int_equal(w.rev.generation, 1);
    dp_recent_free(r);
}

/* More documents than there is room for: the newest are known, and it is told that others had to go. */
static void the_oldest_go(void **state)
{
    struct dp_recent *r = dp_recent_new(64, 1);
    struct dp_recent_write w;
    char name[16];
    unsigned forgotten = 0, known = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "doc%u", i);
        w = written(1, i, 0);
        forgotten += dp_recent_note(r, key(r, name), &w, i, FOR_MS);
        assert_true(dp_recent_find(r, key(r, name), i, FOR_MS, &w));
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "doc%u", i);
        known += dp_recent_find(r, key(r, name), 1000, FOR_MS, &w);
    }
    assert_int_equal(known + forgotten, 1000);
    assert_true(known >= 60 && known <= 68);
    /* what is past its time is nobody's loss */
    forgotten = 0;
    for (unsigned i = 0; i < 30; i++) {
        (void)snprintf(name, sizeof(name), "new%u", i);
        w = written(1, i, 0);
        forgotten += dp_recent_note(r, key(r, name), &w, 20000, FOR_MS);
    }
    assert_true(forgotten < 10);
    dp_recent_free(r);
}

/* Where it is known how far replication is, that is what counts. */
static void until_it_has_arrived(void **state)
{
    struct dp_recent *r = dp_recent_new(100, 1);
    struct dp_recent_write w;
    (void)state;
    note(r, 3, 77, 1, 20000);
    dp_recent_settle(r, 1, 15000);
    dp_recent_settle(r, 2, 40000); /* another region's */
    assert_true(dp_recent_find(r, key(r, "doc"), 20000, FOR_MS, &w));
    assert_true(dp_recent_find(r, key(r, "doc"), 300000, FOR_MS, &w)); /* it lags */
    assert_false(dp_recent_find(r, key(r, "doc"), 20000 + 3700000, FOR_MS, &w));
    dp_recent_settle(r, 1, 20000); /* of that second nobody can say */
    assert_true(dp_recent_find(r, key(r, "doc"), 25000, FOR_MS, &w));
    dp_recent_settle(r, 1, 22000);
    assert_false(dp_recent_find(r, key(r, "doc"), 25000, FOR_MS, &w));
    dp_recent_settle(r, 1, 0); /* not known any more */
    assert_true(dp_recent_find(r, key(r, "doc"), 25000, FOR_MS, &w));
    assert_false(dp_recent_find(r, key(r, "doc"), 31000, FOR_MS, &w));
    dp_recent_free(r);
}

/* ---- many at once ---- */

struct part {
    struct dp_recent *r;
    unsigned me;
    unsigned wrong;
};

/* Each writes documents of its own, among places that all share, and never reads another's word as its own. */
static void *work(void *arg)
{
    struct part *p = arg;
    char name[16];
    for (unsigned i = 0; i < 20000; i++) {
        struct dp_recent_write w = written(p->me + 1, p->me, (uint16_t)p->me), got;
        (void)snprintf(name, sizeof(name), "%u-%u", p->me, i % 50);
        (void)dp_recent_note(p->r, key(p->r, name), &w, i, FOR_MS);
        if (dp_recent_find(p->r, key(p->r, name), i, FOR_MS, &got))
            p->wrong += got.region != p->me || got.rev.generation != p->me + 1;
    }
    return NULL;
}

static void many_at_once(void **state)
{
    struct dp_recent *r = dp_recent_new(64, 1);
    struct part parts[4];
    pthread_t threads[4];
    unsigned wrong = 0;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        parts[i] = (struct part){.r = r, .me = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &parts[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        wrong += parts[i].wrong;
    }
    /* a tag of 8 bits leaves one in 256 of the few that meet within an instruction or two */
    assert_true(wrong <= 4);
    dp_recent_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_a_while),          cmocka_unit_test(seen),
        cmocka_unit_test(the_latest_counts),    cmocka_unit_test(the_oldest_go),
        cmocka_unit_test(until_it_has_arrived), cmocka_unit_test(many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
