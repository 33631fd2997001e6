/* The view's references: freed once, by whoever lets go last. The leak and the thread sanitizer judge
 * the rest. */
#include "davenport/core/traffic.h"
#include "davenport/core/view.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  5000

static void test_new(void **state)
{
    (void)state;
    struct dp_view *v = dp_view_new();
    assert_int_equal(v->active, DP_NO_REGION);
    assert_int_equal(v->n_regions, 0);
    assert_int_equal(v->n_endpoints, 0);
    assert_int_equal(v->epoch, 0);
    assert_int_equal(atomic_load(&v->refs), 1);
    assert_ptr_equal(dp_view_ref(v), v);
    assert_int_equal(atomic_load(&v->refs), 2);
    dp_view_unref(v);
    assert_int_equal(atomic_load(&v->refs), 1);
    dp_view_unref(v);
    dp_view_unref(NULL);
}

/* Owns one reference when it begins, and lets go of it. */
static void *worker(void *arg)
{
    struct dp_view *v = arg;
    uint64_t sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct dp_view *pinned = dp_view_ref(v);
        sum += pinned->epoch + pinned->endpoints[i % DP_MAX_ENDPOINTS].region;
        dp_view_unref(pinned);
    }
    dp_view_unref(v);
    return (void *)(uintptr_t)(sum == UINT64_C(42) * ROUNDS);
}

static void test_references(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pthread_t threads[THREADS];
        struct dp_view *v = dp_view_new();
        v->epoch = 42;
        for (int t = 0; t < THREADS; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, worker, dp_view_ref(v)), 0);
        dp_view_unref(v); /* what publishes lets go while the workers still read */
        for (int t = 0; t < THREADS; t++) {
            void *ok = NULL;
            assert_int_equal(pthread_join(threads[t], &ok), 0);
            assert_non_null(ok);
        }
    }
}

/* One writes, one reads: never torn, never backwards. */
static void *counting(void *arg)
{
    struct dp_counter *c = arg;
    for (int i = 0; i < 200000; i++)
        dp_counter_add(c, UINT64_C(0x100000001)); /* both halves change */
    return NULL;
}

static void test_counter_from_another_thread(void **state)
{
    (void)state;
    static struct dp_counter c;
    pthread_t thread;
    uint64_t last = 0;
    assert_int_equal(pthread_create(&thread, NULL, counting, &c), 0);
    while (last < UINT64_C(0x100000001) * 200000) {
        uint64_t now = dp_counter_get(&c);
        assert_true(now >= last);
        assert_true(now >> 32 == (now & UINT32_MAX));
        last = now;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(dp_counter_get(&c) == UINT64_C(0x100000001) * 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_counter_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
