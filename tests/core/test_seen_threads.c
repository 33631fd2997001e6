/* One thread notes, others read: a name that is read is one that was noted, whole. */
#include "davenport/core/seen.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 400

static struct dp_seen seen;
static _Atomic bool over;

static void name_of(unsigned i, char out[64])
{
    (void)snprintf(out, 64, "database-%u-%u-with-a-long-name-%u", i, i, i);
}

static void *read_all(void *arg)
{
    uintptr_t bad = 0;
    (void)arg;
    while (!atomic_load(&over)) {
        for (unsigned i = 0; i < DP_SEEN_SLOTS; i++) {
            char got[DP_SEEN_NAME_BYTES + 1], want[64];
            uint32_t used;
            unsigned n;
            if (!dp_seen_read(&seen, i, got, &used))
                continue;
            if (sscanf(got, "database-%u", &n) != 1)
                n = NAMES;
            name_of(n, want);
            bad += strcmp(got, want) != 0;
        }
    }
    return (void *)bad;
}

static void test_names_are_whole(void **state)
{
    (void)state;
    pthread_t threads[2];
    char name[64];
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, NULL), 0);
    for (unsigned i = 0; i < 60000; i++) { /* each is out of use when the next ones come */
        name_of(i % NAMES, name);
        dp_seen_note(&seen, dp_span_str(name), i);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < 2; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_are_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
