/* The count of connections by address: exact, over threads too, and empty when all have gone. */
#include "davenport/proxy/address_limit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  20000
#define MOST    3
#define HELD    5

static void keys(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "::192.0.2.1", false},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"::1", "::2", true},
    };
    (void)state;
    uint64_t a, b;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(dp_address_key(rows[i].a, &a) && dp_address_key(rows[i].b, &b));
        assert_int_equal(a == b, rows[i].same);
    }
    assert_false(dp_address_key("unix", &a));
    assert_false(dp_address_key("", &a));
    assert_false(dp_address_key("unknown", &a));
}

/* More addresses than were announced: those that find no room are let in, and nothing is counted for them. */
static void many_addresses(void **state)
{
    (void)state;
    static uint32_t places[1000];
    struct dp_address_limit *l = dp_address_limit_new(1, 10, 7);
    assert_non_null(l);
    for (int round = 0; round < 3; round++) {
        unsigned counted = 0;
        for (unsigned i = 0; i < 1000; i++) {
            char peer[32];
            (void)snprintf(peer, sizeof(peer), "10.0.%u.%u", i / 250, i % 250);
            assert_true(dp_address_limit_take(l, peer, &places[i]));
            uint32_t place = 0;
            if (places[i] != DP_NO_PLACE) {
                counted++;
                assert_false(dp_address_limit_take(l, peer, &place));
                assert_int_equal(place, DP_NO_PLACE);
            }
        }
        assert_true(counted >= 20);
        for (unsigned i = 0; i < 1000; i++)
            dp_address_limit_give(l, places[i]);
    }
    dp_address_limit_free(l);
}

struct shared {
    struct dp_address_limit *limit;
    _Atomic int open[2]; /* connections of an address that were let in and are not yet given back */
    _Atomic int let_in, too_many;
};

static void *come_and_go(void *arg)
{
    static const char *const peers[2] = {"192.0.2.1", "2001:db8::1"};
    struct shared *s = arg;
    uint32_t held[HELD];
    for (int round = 0; round < ROUNDS; round++) {
        const int who = round % 2;
        int n = 0;
        for (int i = 0; i < HELD; i++) {
            if (!dp_address_limit_take(s->limit, peers[who], &held[n]))
                continue;
            n++;
            if (atomic_fetch_add(&s->open[who], 1) >= MOST)
                atomic_fetch_add(&s->too_many, 1);
        }
        atomic_fetch_add(&s->let_in, n);
        for (int i = 0; i < n; i++) {
            atomic_fetch_sub(&s->open[who], 1);
            dp_address_limit_give(s->limit, held[i]);
        }
    }
    return NULL;
}

static void never_more_than_the_limit(void **state)
{
    (void)state;
    struct shared s = {.limit = dp_address_limit_new(MOST, 10, 99)};
    pthread_t threads[THREADS];
    uint32_t place[MOST + 1];
    assert_non_null(s.limit);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &s), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&s.too_many), 0);
    assert_true(atomic_load(&s.let_in) > 0);
    for (int i = 0; i < MOST; i++) /* nothing was left behind */
        assert_true(dp_address_limit_take(s.limit, "192.0.2.1", &place[i]));
    assert_false(dp_address_limit_take(s.limit, "192.0.2.1", &place[MOST]));
    dp_address_limit_free(s.limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(never_more_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
