/* Timers on a clock that only moves when a test says so. */
#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/net/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS DP_NS_PER_MS

static struct dp_timer_wheel wheel;
static struct dp_timer_class short_class, long_class, never_class;
static char fired[64]; /* names, in order */

struct alarm {
    struct dp_timer timer;
    char name;
    void (*then)(struct alarm *); /* what it does when it fires */
    struct alarm *other;
    struct dp_timer_class *klass;
};

static void on_fire(struct dp_timer *t)
{
    struct alarm *a = DP_CONTAINER_OF(t, struct alarm, timer);
    size_t n = strlen(fired);
    assert_true(n + 1 < sizeof(fired));
    assert_true(dp_list_empty(&t->node)); /* disarmed before it fires */
    fired[n] = a->name;
    fired[n + 1] = '\0';
    if (a->then)
        a->then(a);
}

static struct alarm alarm_new(char name)
{
    return (struct alarm){.name = name};
}

static void arm(struct alarm *a, struct dp_timer_class *c)
{
    if (!a->timer.fire)
        dp_timer_init(&a->timer, on_fire);
    dp_timer_arm(&wheel, c, &a->timer);
}

/* Move time to `ms` after the start and check what fired on the way there. */
static void advance(uint64_t ms, const char *names)
{
    fired[0] = '\0';
    dp_timer_wheel_advance(&wheel, 1000 * MS + ms * MS);
    assert_string_equal(fired, names);
}

static int start(void **state)
{
    (void)state;
    dp_timer_wheel_init(&wheel, 1000 * MS);
    dp_timer_class_init(&wheel, &short_class, 100);
    dp_timer_class_init(&wheel, &long_class, 1000);
    dp_timer_class_init(&wheel, &never_class, 0);
    fired[0] = '\0';
    return 0;
}

static void test_order(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b'), c = alarm_new('c');
    arm(&a, &short_class);
    arm(&b, &short_class);
    advance(0, "");
    advance(50, "");
    arm(&c, &short_class);
    advance(99, "");
    advance(100, "ab"); /* at its deadline, not after it; in the order of arming */
    advance(149, "");
    advance(150, "c");
    advance(100000, "");
}

static void test_deadline_to_the_nanosecond(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a');
    arm(&a, &short_class);
    dp_timer_wheel_advance(&wheel, 1100 * MS - 1);
    assert_string_equal(fired, "");
    dp_timer_wheel_advance(&wheel, 1100 * MS);
    assert_string_equal(fired, "a");
}

static void test_classes_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b'), c = alarm_new('c');
    arm(&a, &long_class);
    arm(&b, &short_class);
    advance(100, "b");
    advance(950, "");
    arm(&c, &short_class);
    advance(1000, "a");
    advance(1050, "c");
    /* a long pause: everything that is due fires in one turn */
    arm(&a, &long_class);
    arm(&b, &short_class);
    advance(5000, "ba");
}

static void test_rearm(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b');
    arm(&a, &short_class);
    arm(&b, &short_class);
    advance(60, "");
    arm(&a, &short_class); /* from now on, and behind b */
    advance(100, "b");
    advance(159, "");
    advance(160, "a");
    /* from one class into another */
    arm(&a, &short_class);
    arm(&a, &long_class);
    advance(260, "");
    advance(1160, "a");
    /* activity for ever puts it off for ever */
    arm(&a, &short_class);
    for (uint64_t t = 1160; t < 5000; t += 99) {
        advance(t, "");
        arm(&a, &short_class);
    }
}

static void test_disarm(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b');
    dp_timer_init(&a.timer, on_fire);
    dp_timer_disarm(&a.timer); /* never armed */
    arm(&a, &short_class);
    arm(&b, &short_class);
    dp_timer_disarm(&a.timer);
    dp_timer_disarm(&a.timer);
    advance(100, "b");
    dp_timer_disarm(&b.timer); /* has fired */
    advance(1000, "");
}

static void test_zero_never_fires(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a');
    arm(&a, &never_class);
    advance(0, "");
    advance(UINT32_MAX, "");
    /* arming it there disarms it elsewhere: a timeout that is switched off */
    arm(&a, &short_class);
    arm(&a, &never_class);
    advance((uint64_t)UINT32_MAX + 1000, "");
    dp_timer_disarm(&a.timer);
}

static void test_longest(void **state)
{
    (void)state;
    struct dp_timer_class c;
    struct alarm a = alarm_new('a');
    dp_timer_class_init(&wheel, &c, UINT32_MAX); /* 49 days of ms are not cut to 32 bits of ns */
    arm(&a, &c);
    advance(UINT32_MAX - 1U, "");
    advance(UINT32_MAX, "a");
}

static void arm_again(struct alarm *a)
{
    arm(a, a->klass);
}

static void arm_other(struct alarm *a)
{
    arm(a->other, a->klass);
}

static void disarm_other(struct alarm *a)
{
    dp_timer_disarm(&a->other->timer);
}

/* A timer that arms itself while it fires does so once a turn, however late the turn is. */
static void test_arm_inside_fire(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b');
    a.then = arm_again;
    a.klass = &short_class;
    arm(&a, &short_class);
    arm(&b, &short_class);
    advance(100, "ab");
    advance(199, "");
    advance(10000, "a");
    advance(10099, "");
    advance(10100, "a");
    dp_timer_disarm(&a.timer);
    /* and one that goes from class to class does not fire twice either, in whichever order the
     * classes are looked at */
    a.klass = &long_class;
    arm(&a, &short_class);
    advance(20000, "a");
    a.klass = &short_class;
    advance(30000, "a");
    advance(30099, "");
    advance(30100, "a");
}

static void test_arm_another_inside_fire(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b');
    a.then = arm_other;
    a.other = &b;
    a.klass = &short_class;
    arm(&a, &short_class);
    arm(&b, &short_class);
    advance(500, "a"); /* b was due as well, but is armed anew by then */
    advance(599, "");
    advance(600, "b");
}

/* What fires may end others that are due in the same turn: the next, the one after it, the last. */
static void test_disarm_inside_fire(void **state)
{
    (void)state;
    static const char *const expected[] = {"abcd", "acd", "abd", "abc"};
    for (size_t victim = 0; victim < 4; victim++) {
        struct alarm all[4] = {alarm_new('a'), alarm_new('b'), alarm_new('c'), alarm_new('d')};
        (void)start(state);
        all[0].then = disarm_other;
        all[0].other = &all[victim]; /* 0: itself, which does nothing */
        for (size_t i = 0; i < 4; i++)
            arm(&all[i], &short_class);
        advance(100, expected[victim]);
        advance(10000, "");
    }
    /* in a class that is looked at later */
    struct alarm a = alarm_new('a'), b = alarm_new('b');
    a.then = disarm_other;
    a.other = &b;
    arm(&b, &long_class);
    advance(10900, "");
    arm(&a, &short_class);
    advance(11000, "a");
}

/* What runs is moved by the difference; nothing overtakes. */
static void test_change(void **state)
{
    (void)state;
    struct alarm a = alarm_new('a'), b = alarm_new('b'), c = alarm_new('c');
    arm(&a, &long_class); /* until 1000 */
    advance(300, "");
    arm(&b, &long_class); /* until 1300 */
    dp_timer_class_change(&long_class, 500);
    advance(499, "");
    advance(500, "a");
    arm(&c, &long_class); /* until 1000 */
    advance(800, "b");
    dp_timer_class_change(&long_class, 2000);
    advance(2499, "");
    advance(2500, "c");
    arm(&a, &long_class);
    dp_timer_class_change(&long_class, 0);
    arm(&b, &long_class);
    dp_timer_class_change(&long_class, 10);
    advance(100000, ""); /* what had none, or lost it, has none */
    arm(&c, &long_class);
    advance(100010, "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, start),
        cmocka_unit_test_setup(test_deadline_to_the_nanosecond, start),
        cmocka_unit_test_setup(test_classes_do_not_wait_for_each_other, start),
        cmocka_unit_test_setup(test_rearm, start),
        cmocka_unit_test_setup(test_disarm, start),
        cmocka_unit_test_setup(test_zero_never_fires, start),
        cmocka_unit_test_setup(test_longest, start),
        cmocka_unit_test_setup(test_arm_inside_fire, start),
        cmocka_unit_test_setup(test_arm_another_inside_fire, start),
        cmocka_unit_test_setup(test_disarm_inside_fire, start),
        cmocka_unit_test_setup(test_change, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
