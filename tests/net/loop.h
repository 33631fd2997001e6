/* A loop that a test turns until something is so; a watchdog ends a test that hangs. */
#ifndef DAVENPORT_TESTS_NET_LOOP_H
#define DAVENPORT_TESTS_NET_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#define WATCHDOG_MS 60000

static uv_loop_t loop;
static uv_timer_t watchdog;

static void on_watchdog(uv_timer_t *t)
{
    (void)t;
    fail_msg("nothing happened for %d s", WATCHDOG_MS / 1000);
}

static void step(void)
{
    assert_int_equal(uv_timer_start(&watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
    (void)uv_run(&loop, UV_RUN_ONCE);
}

#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        while (!(condition))                                                                       \
            step();                                                                                \
    } while (0)

/* A few turns in which nothing is expected: for "is never called". */
static void idle_turns(void)
{
    for (int i = 0; i < 20; i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
}

#endif
