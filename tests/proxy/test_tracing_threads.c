/* The ring of spans, by one who puts and one who takes: what is taken is what was put, whole and in its order, and what was
 * not kept was said so. */
#include "davenport/base/attr.h"
#include "davenport/proxy/tracing.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SPANS 200000

struct both {
    struct dp_tracing_ring *ring;
    _Atomic bool done;
    uint32_t kept;
};

static void *put_all(void *arg)
{
    struct both *b = arg;
    for (uint32_t i = 1; i <= SPANS; i++) {
        struct dp_tracing_span s = {.attempts = i, .bytes_in = i, .ended_ns = (int64_t)i};
        memset(s.region, (int)('a' + i % 26), sizeof(s.region));
        if (dp_tracing_put(b->ring, &s))
            b->kept++;
        else
            (void)sched_yield();
    }
    atomic_store(&b->done, true);
    return NULL;
}

static void one_puts_and_one_takes(void **state)
{
    (void)state;
    struct both b = {.ring = dp_tracing_ring_new(100)};
    pthread_t thread;
    uint32_t taken = 0, last = 0;
    assert_non_null(b.ring);
    assert_int_equal(pthread_create(&thread, NULL, put_all, &b), 0);
    for (;;) {
        const bool done = atomic_load(&b.done);
        const struct dp_tracing_span *s = dp_tracing_peek(b.ring);
        if (!s && done)
            break;
        if (!s) {
            (void)sched_yield();
            continue;
        }
        assert_true(s->attempts > last);
        assert_int_equal(s->bytes_in, s->attempts);
        assert_int_equal(s->ended_ns, s->attempts);
        assert_int_equal(s->region[0], 'a' + s->attempts % 26);
        assert_memory_equal(s->region, s->region + 1, sizeof(s->region) - 1);
        last = s->attempts;
        taken++;
        dp_tracing_took(b.ring);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(taken, b.kept);
    assert_true(taken >= 128);
    dp_tracing_ring_free(b.ring);
}

static void it_holds_what_was_asked_for(void **state)
{
    (void)state;
    struct dp_tracing_ring *r = dp_tracing_ring_new(100);
    struct dp_tracing_span s = {.attempts = 0};
    assert_non_null(r);
    assert_null(dp_tracing_peek(r));
    while (dp_tracing_put(r, &s))
        s.attempts++;
    assert_int_equal(s.attempts, 128);
    assert_int_equal(dp_tracing_peek(r)->attempts, 0);
    dp_tracing_took(r);
    assert_true(dp_tracing_put(r, &s));
    assert_false(dp_tracing_put(r, &s));
    for (uint32_t i = 1; i <= 128; i++) {
        assert_int_equal(dp_tracing_peek(r)->attempts, i);
        dp_tracing_took(r);
    }
    assert_null(dp_tracing_peek(r));
    dp_tracing_ring_free(r);
    dp_tracing_ring_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_was_asked_for),
        cmocka_unit_test(one_puts_and_one_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
