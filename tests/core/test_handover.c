/* The handover: writes stand still for so long at most, traffic goes only when all has arrived, and nobody reads less than was
 * written before, whichever worker he asks. */
#include "davenport/core/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static const struct dp_handover_config config = {2 * S, 15 * S, 60 * S};

static enum dp_handover_news step(struct dp_handover_state *s, struct dp_handover_seen seen,
                                  uint64_t now_ns)
{
    return dp_handover_step(s, &config, &seen, now_ns);
}

#define WANTED .wanted = true, .target = 1

static void test_all_arrives(void **state)
{
    (void)state;
    struct dp_handover_state s = {0};
    assert_int_equal(step(&s, (struct dp_handover_seen){0}, 1), DP_HANDOVER_NEWS_NOTHING);
    assert_int_equal(step(&s, (struct dp_handover_seen){WANTED}, 10 * S), DP_HANDOVER_NEWS_BEGAN);
    assert_true(dp_handover_pauses(&s));
    assert_int_equal(s.serial, 1);
    assert_int_equal(step(&s, (struct dp_handover_seen){WANTED, .arrived = true}, 10 * S + 1),
                     DP_HANDOVER_NEWS_NOTHING); /* of before the writes rested */
    assert_int_equal(step(&s, (struct dp_handover_seen){WANTED, .resting = true}, 10 * S + 2),
                     DP_HANDOVER_NEWS_QUIET);
    assert_int_equal(s.quiet_ns, 10 * S + 2);
    assert_int_equal(step(&s, (struct dp_handover_seen){WANTED, .resting = true}, 11 * S),
                     DP_HANDOVER_NEWS_NOTHING);
    assert_int_equal(
        step(&s, (struct dp_handover_seen){WANTED, .resting = true, .arrived = true}, 11 * S),
        DP_HANDOVER_NEWS_DONE);
    assert_false(dp_handover_pauses(&s));
    dp_handover_moved(&s);
    assert_int_equal(s.phase, DP_HANDOVER_MOVED);
    assert_int_equal(s.serial, 2); /* no number is used twice */
    assert_true(dp_handover_pauses(&s));
    assert_int_equal(step(&s, (struct dp_handover_seen){0}, 11 * S), DP_HANDOVER_NEWS_NOTHING);
    assert_int_equal(step(&s, (struct dp_handover_seen){.resting = true}, 11 * S),
                     DP_HANDOVER_NEWS_SETTLED);
    assert_int_equal(s.phase, DP_HANDOVER_IDLE);
    assert_int_equal(s.serial, 2);
}

/* The traffic has gone; writes do not wait for a worker that never says so, nor when another move comes. */
static void test_moved_is_not_for_ever(void **state)
{
    (void)state;
    static const struct dp_handover_state moved = {
        .phase = DP_HANDOVER_MOVED, .target = 1, .began_ns = 10 * S, .serial = 7};
    struct dp_handover_state s = moved;
    assert_int_equal(step(&s, (struct dp_handover_seen){WANTED}, 12 * S - 1),
                     DP_HANDOVER_NEWS_NOTHING);
    assert_int_equal(step(&s, (struct dp_handover_seen){0}, 12 * S), DP_HANDOVER_NEWS_SETTLED);
    s = moved;
    assert_int_equal(step(&s, (struct dp_handover_seen){.broken = true}, 11 * S),
                     DP_HANDOVER_NEWS_SETTLED);
    s = moved;
    dp_handover_moved(&s);
    assert_int_equal(s.phase, DP_HANDOVER_IDLE);
    assert_int_equal(s.serial, 7);
}

static void test_not_longer_than_its_limit(void **state)
{
    (void)state;
    static const uint64_t again[] = {15, 30, 60, 60};
    struct dp_handover_state s = {0};
    uint64_t now = S;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(step(&s, (struct dp_handover_seen){WANTED}, now), DP_HANDOVER_NEWS_BEGAN);
        if (i % 2)
            assert_int_equal(step(&s, (struct dp_handover_seen){WANTED, .resting = true}, now + S),
                             DP_HANDOVER_NEWS_QUIET);
        assert_int_equal(step(&s, (struct dp_handover_seen){WANTED, .resting = true}, now + 2 * S),
                         DP_HANDOVER_NEWS_GAVE_UP);
        assert_false(dp_handover_pauses(&s));
        now = s.again_at_ns;
        assert_int_equal(now % S, 0);
        assert_int_equal(
            step(&s, (struct dp_handover_seen){WANTED, .resting = true, .arrived = true}, now - 1),
            DP_HANDOVER_NEWS_NOTHING);
        assert_int_equal(s.failed, i + 1);
        assert_int_equal(now - (s.began_ns + 2 * S), again[i] * S);
    }
}

static void test_a_broken_pause_is_none(void **state)
{
    (void)state;
    struct dp_handover_state s = {0};
    (void)step(&s, (struct dp_handover_seen){WANTED}, S);
    (void)step(&s, (struct dp_handover_seen){WANTED, .resting = true}, S);
    assert_int_equal(
        step(&s, (struct dp_handover_seen){WANTED, .arrived = true, .broken = true}, S + 1),
        DP_HANDOVER_NEWS_GAVE_UP);
}

static void test_not_wanted_any_more(void **state)
{
    (void)state;
    static const struct dp_handover_seen seen[] = {{0}, {.wanted = true, .target = 2}};
    for (unsigned i = 0; i < 2; i++) {
        struct dp_handover_state s = {0};
        (void)step(&s, (struct dp_handover_seen){WANTED}, S);
        assert_int_equal(step(&s, seen[i], S + 1), DP_HANDOVER_NEWS_ENDED);
        assert_int_equal(s.phase, DP_HANDOVER_IDLE);
        (void)step(&s, (struct dp_handover_seen){WANTED}, S);
        (void)step(&s, (struct dp_handover_seen){WANTED}, 9 * S);
        assert_int_equal(s.phase, DP_HANDOVER_WAITING);
        assert_int_equal(step(&s, (struct dp_handover_seen){0}, 9 * S), DP_HANDOVER_NEWS_NOTHING);
        assert_int_equal(s.failed, 0);
    }
}

static void test_without_a_pause_it_is_done_at_once(void **state)
{
    (void)state;
    const struct dp_handover_config none = {0};
    struct dp_handover_state s = {0};
    const struct dp_handover_seen seen = {WANTED};
    assert_int_equal(dp_handover_step(&s, &none, &seen, S), DP_HANDOVER_NEWS_DONE);
    assert_int_equal(s.serial, 0);
    assert_int_equal(dp_handover_step(&s, &none, &seen, S), DP_HANDOVER_NEWS_NOTHING);
    dp_handover_moved(&s);
    assert_int_equal(s.phase, DP_HANDOVER_IDLE);
}

/* Whatever is seen: writes never stand still past the limit, and DONE means rested, then arrived. */
static void test_random_sequences(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (unsigned run = 0; run < 2000; run++) {
        struct dp_handover_state s = {0};
        uint64_t now = S, paused_since = 0;
        bool rested = false;
        for (unsigned i = 0; i < 60; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint64_t bits = random >> 30;
            const struct dp_handover_seen seen = {.wanted = bits % 8 != 0,
                                                  .target = (uint16_t)(bits >> 3) % 16 == 0,
                                                  .resting = (bits >> 8) % 2,
                                                  .broken = (bits >> 9) % 32 == 0,
                                                  .arrived = (bits >> 14) % 2};
            now += (bits >> 16) % S;
            const bool paused = dp_handover_pauses(&s);
            enum dp_handover_news news = dp_handover_step(&s, &config, &seen, now);
            if (news == DP_HANDOVER_NEWS_BEGAN) {
                paused_since = now;
                rested = false;
            }
            rested = rested || news == DP_HANDOVER_NEWS_QUIET;
            if (dp_handover_pauses(&s))
                assert_true(now - paused_since < config.limit_ns);
            if (news == DP_HANDOVER_NEWS_DONE) {
                assert_true(paused && rested && seen.arrived && !seen.broken && seen.wanted);
                dp_handover_moved(&s);
            }
        }
    }
}

/* ---- workers that learn of views when they come to it ---- */

#define WORKERS 3

struct model_view {
    unsigned active;
    uint32_t pause;
};

struct model {
    uint64_t random;
    struct dp_handover_state s;
    struct model_view view;
    struct {
        struct model_view view;
        uint32_t rests;
        bool writes;
        unsigned into; /* the region of its write */
    } workers[WORKERS];
    unsigned held[2]; /* the newest write that a region has */
    unsigned written; /* and that a client was told of */
    unsigned stale, moves;
};

static unsigned pick(struct model *m, unsigned n)
{
    m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(m->random >> 40) % n;
}

static void rest(struct model *m, unsigned i)
{
    m->workers[i].rests = m->workers[i].writes ? 0 : m->workers[i].view.pause;
}

static void control(struct model *m, uint64_t now_ns, bool forgets)
{
    struct dp_handover_seen seen = {.wanted = m->view.active == 1, .target = 0, .resting = true};
    for (unsigned i = 0; i < WORKERS; i++)
        seen.resting = seen.resting && m->workers[i].rests == m->s.serial;
    seen.arrived = m->held[0] == m->held[1];
    if (dp_handover_step(&m->s, &config, &seen, now_ns) == DP_HANDOVER_NEWS_DONE) {
        dp_handover_moved(&m->s);
        if (forgets) /* that its workers have yet to know */
            m->s.phase = DP_HANDOVER_IDLE;
        m->view.active = 0;
        m->moves++;
    }
    m->view.pause = dp_handover_pauses(&m->s) ? m->s.serial : 0;
}

static void work(struct model *m, unsigned i)
{
    switch (pick(m, 3)) {
    case 0: /* it looks what view there is */
        m->workers[i].view = m->view;
        break;
    case 1: /* a write begins, or is answered */
        if (m->workers[i].writes)
            m->held[m->workers[i].into] = ++m->written;
        else if (m->workers[i].view.pause != 0)
            return;
        m->workers[i].into = m->workers[i].view.active;
        m->workers[i].writes = !m->workers[i].writes;
        break;
    case 2: /* a read */
        m->stale += m->held[m->workers[i].view.active] < m->written;
        break;
    }
    rest(m, i);
}

/* How many of the reads gave less than a client had been told. */
static unsigned play(uint64_t seed, bool forgets, unsigned *moves)
{
    struct model m = {.random = seed, .view = {1, 0}};
    for (unsigned i = 0; i < WORKERS; i++)
        m.workers[i].view = m.view;
    for (unsigned i = 0; i < 300; i++) {
        const unsigned who = pick(&m, WORKERS + 2);
        if (who < WORKERS)
            work(&m, who);
        else if (who == WORKERS) /* in a time that no limit ends */
            control(&m, S + i, forgets);
        else if (m.view.active == 1)
            m.held[0] = m.held[1]; /* replication */
    }
    *moves += m.moves;
    return m.stale;
}

static void test_whichever_worker_is_asked(void **state)
{
    (void)state;
    unsigned moves = 0, stale = 0;
    for (uint64_t run = 1; run <= 20000; run++)
        assert_int_equal(play(run, false, &moves), 0);
    assert_true(moves > 10000);
    for (uint64_t run = 1; run <= 20000; run++)
        stale += play(run, true, &moves);
    assert_true(stale > 0); /* so the model can see it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_arrives),
        cmocka_unit_test(test_not_longer_than_its_limit),
        cmocka_unit_test(test_a_broken_pause_is_none),
        cmocka_unit_test(test_not_wanted_any_more),
        cmocka_unit_test(test_without_a_pause_it_is_done_at_once),
        cmocka_unit_test(test_moved_is_not_for_ever),
        cmocka_unit_test(test_random_sequences),
        cmocka_unit_test(test_whichever_worker_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
