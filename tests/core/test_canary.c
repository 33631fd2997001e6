/* Canaries: what is sent, comes, does not come, and is withdrawn; and random lives of one, against the truth. */
#include "davenport/core/canary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static void one_comes(void **state)
{
    (void)state;
    struct dp_canary c = {0};
    dp_canary_came(&c, 1, 1, 0, 10 * S); /* nobody waited */
    assert_int_equal(c.came_ns, 0);
    dp_canary_sent(&c, 1, 10 * S);
    dp_canary_missed(&c, 11 * S);
    dp_canary_came(&c, 1, 1, 10 * S, 12 * S);
    assert_int_equal(c.took_ns, 2 * S);
    assert_int_equal(c.came_ns, 12 * S);
    assert_int_equal(c.out_ns, 0);
}

/* What is sent while one is waited for does not make that younger; when it comes the newest is waited for, from when it was
 * sent. Who has that has the one before. */
static void others_are_sent_meanwhile(void **state)
{
    (void)state;
    struct dp_canary c = {0};
    for (uint64_t i = 1; i < 4; i++)
        dp_canary_sent(&c, i, 10 * i * S);
    assert_int_equal(c.out, 1);
    assert_int_equal(c.out_ns, 10 * S);
    dp_canary_came(&c, 1, 3, 30 * S, 35 * S);
    assert_int_equal(c.took_ns, 25 * S);
    assert_int_equal(c.out, 3);
    assert_int_equal(c.out_ns, 30 * S);
    assert_int_equal(c.missed_ns, 0);
    dp_canary_came(&c, 2, 3, 30 * S, 36 * S); /* older than what is waited for */
    assert_int_equal(c.came_ns, 35 * S);
    dp_canary_came(&c, 3, 3, 30 * S, 40 * S);
    assert_int_equal(c.took_ns, 10 * S);
    assert_int_equal(c.out_ns, 0);
}

static void overdue_by_an_answer_alone(void **state)
{
    (void)state;
    struct dp_canary c = {0};
    dp_canary_missed(&c, 5 * S);
    assert_false(dp_canary_overdue(&c, S));
    dp_canary_sent(&c, 1, 10 * S);
    assert_false(dp_canary_overdue(&c, S));
    dp_canary_missed(&c, 11 * S);
    assert_false(dp_canary_overdue(&c, S));
    dp_canary_missed(&c, 12 * S);
    assert_true(dp_canary_overdue(&c, S));
    dp_canary_sent(&c, 2, 12 * S); /* still so: the first has not come */
    assert_true(dp_canary_overdue(&c, S));
    dp_canary_withdrawn(&c);
    assert_false(dp_canary_overdue(&c, S));
    dp_canary_sent(&c, 3, 20 * S);
    assert_false(dp_canary_overdue(&c, S));
    dp_canary_missed(&c, 22 * S);
    dp_canary_came(&c, 3, 3, 20 * S, 23 * S);
    assert_false(dp_canary_overdue(&c, S));
}

static void words(void **state)
{
    char longest[300];
    (void)state;
    struct dp_canary c = {0};
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    longest[1] = '\n';
    dp_canary_failed(&c, true, longest);
    assert_true(c.denied);
    assert_int_equal(strlen(c.word), DP_CANARY_WORD - 1);
    assert_int_equal(c.word[1], '?');
    dp_canary_sent(&c, 1, 10 * S); /* one way is denied, the other not */
    assert_true(c.denied);
    dp_canary_came(&c, 1, 1, 10 * S, 11 * S);
    assert_false(c.denied);
    assert_string_equal(c.word, "");
}

static uint64_t random_state = 11;

static uint64_t chance(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (random_state >> 33) % n;
}

#define SENT_MOST 400

/* Sent every second or so, carried in their order by a replication that stops and goes on, looked for now and then. */
static void random_lives(void **state)
{
    (void)state;
    unsigned came = 0, overdue = 0;
    for (unsigned run = 0; run < 500; run++) {
        struct dp_canary c = {0};
        uint64_t sent_ns[SENT_MOST + 1], arrived_ns[SENT_MOST + 1], n = 0, there = 0;
        uint64_t now = 100 * S, carries_from = now;
        memset(arrived_ns, 0, sizeof(arrived_ns));
        while (n < SENT_MOST) {
            const uint64_t before = c.came_ns, waited_ns = c.out_ns;
            now += chance(S);
            if (chance(100) == 0)
                carries_from = now + chance(60) * S; /* it stands still */
            for (uint64_t i = there + 1; now >= carries_from && i <= n; i++) {
                arrived_ns[i] = now;
                there = i;
            }
            switch (chance(4)) {
            case 0:
                sent_ns[++n] = now;
                dp_canary_sent(&c, n, now);
                break;
            case 1:
            case 2: /* as a look does: is the one that is waited for there, or the newest? */
                if (c.out_ns && there >= c.out)
                    dp_canary_came(&c, there == n ? n : c.out, n, sent_ns[n], now);
                else
                    dp_canary_missed(&c, now);
                break;
            default:
                if (chance(50) == 0)
                    dp_canary_withdrawn(&c);
                break;
            }
            if (c.came_ns != before) {
                came++;
                assert_int_equal(c.came_ns, now);
                assert_int_equal(c.took_ns, now > waited_ns ? now - waited_ns : 1);
            }
            if (c.out_ns) {
                assert_int_equal(c.out_ns, sent_ns[c.out]);
                assert_true(c.missed_ns == 0 || c.missed_ns >= c.out_ns);
            }
            if (dp_canary_overdue(&c, 10 * S)) {
                overdue++;
                /* at that look it was not there, ten seconds after it was sent */
                assert_true(arrived_ns[c.out] == 0 || arrived_ns[c.out] > c.missed_ns);
                assert_true(c.missed_ns - sent_ns[c.out] > 10 * S);
            }
        }
    }
    assert_true(came > 10000);
    assert_true(overdue > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_comes),
        cmocka_unit_test(others_are_sent_meanwhile),
        cmocka_unit_test(overdue_by_an_answer_alone),
        cmocka_unit_test(words),
        cmocka_unit_test(random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
