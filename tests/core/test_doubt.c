/* Silence of all regions at once, as a script: at each time, what each region is, and whether we doubt. */
#include "davenport/core/doubt.h"
#include "davenport/core/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct dp_doubt_config config = {.n_regions = 2, .span_ns = 100, .grace_ns = 50};

/* A letter a region: w well, s silent, b answers badly, ? answers, not trusted yet. */
struct step {
    uint64_t now;
    const char *regions;
    uint16_t active;
    bool on;
};

static void play(const struct step *steps, size_t n, const struct dp_doubt_config *c)
{
    struct dp_doubt_state s = {0};
    struct dp_doubt_region r[DP_MAX_REGIONS] = {{0}};
    for (size_t i = 0; i < n; i++) {
        bool before = s.on;
        for (uint16_t k = 0; k < c->n_regions; k++) {
            char word = steps[i].regions[k];
            uint64_t since = r[k].silent_since_ns ? r[k].silent_since_ns : steps[i].now;
            r[k] = (struct dp_doubt_region){.silent_since_ns = word == 's' ? since : 0,
                                            .well = word == 'w',
                                            .bad = word == 'b'};
        }
        bool changed = dp_doubt_step(&s, c, r, steps[i].active, steps[i].now);
        assert_int_equal(changed, s.on != before);
        if (s.on != steps[i].on)
            fail_msg("step %zu (%s at %lu): %d", i, steps[i].regions, (unsigned long)steps[i].now,
                     s.on);
    }
}

#define PLAY(...)                                                                                  \
    play((const struct step[]){__VA_ARGS__},                                                       \
         sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step), &config)

static void silence_of_all_at_once(void **state)
{
    (void)state;
    PLAY({10, "ww", 0, false}, {20, "sw", 0, false}, {120, "ss", 0, true}, {5000, "ss", 0, true},
         {5010, "?s", 0, true}, {5020, "w?", 0, false}, {5030, "ww", 0, false});
}

static void one_after_the_other_is_an_outage(void **state)
{
    (void)state;
    PLAY({10, "ww", 0, false}, {20, "sw", 0, false}, {121, "ss", 1, false}, {5000, "ss", 1, false});
}

static void who_answers_badly_is_reached(void **state)
{
    (void)state;
    PLAY({20, "sb", 0, false}, {30, "s?", 0, false}, {40, "ss", 0, true}, {50, "sb", 0, true},
         {99, "sb", 0, true}, {100, "sb", 0, false});
}

/* The standby is trusted first: the active one has its grace. */
static void the_first_to_return_is_not_fled_to(void **state)
{
    (void)state;
    PLAY({20, "ss", 0, true}, {200, "?w", 0, true}, {220, "?w", 0, true}, {230, "ww", 0, false});
    PLAY({20, "ss", 0, true}, {200, "sw", 0, true}, {249, "sw", 0, true}, {250, "sw", 0, false});
    PLAY({20, "ss", DP_NO_REGION, true}, {200, "sw", DP_NO_REGION, true},
         {250, "sw", DP_NO_REGION, false});
    /* silent again within the grace: it begins anew */
    PLAY({20, "ss", 0, true}, {200, "sw", 0, true}, {240, "ss", 0, true}, {260, "sw", 0, true},
         {309, "sw", 0, true}, {310, "sw", 0, false});
}

/* A lone region may be dead or we may be: nobody else to compare with. */
static void one_region_is_never_doubted_about(void **state)
{
    (void)state;
    const struct dp_doubt_config one = {.n_regions = 1, .span_ns = 100, .grace_ns = 50};
    const struct step steps[] = {{10, "w", 0, false}, {20, "s", 0, false}, {500, "s", 0, false}};
    play(steps, 3, &one);
}

static void again_after_it_was_over(void **state)
{
    (void)state;
    PLAY({20, "ss", 0, true}, {60, "ww", 0, false}, {70, "sw", 0, false}, {80, "ss", 0, true});
}

/* What an endpoint's silence is: core/health.h keeps it for this detector. */
static const struct dp_health_config health = {
    .interval_ns = 2000, .fast_ns = 500, .fall = 3, .rise = 2};

static void silence_begins_with_the_first_probe_of_it(void **state)
{
    (void)state;
    struct dp_health_state s;
    struct dp_health_actions a;
    struct dp_health_event e = {
        .kind = DP_HEALTH_PROBE, .probe = DP_PROBE_DARK, .silent = true, .probe_started_ns = 2000};
    dp_health_init(&s, &health, 0, 1);
    dp_health_step(&s, &health, &e, 3000, &a);
    e.probe_started_ns = 3500;
    dp_health_step(&s, &health, &e, 4500, &a);
    assert_int_equal(s.silent_since_ns, 2000);
    e.silent = false; /* refused: somebody is there */
    dp_health_step(&s, &health, &e, 5000, &a);
    assert_int_equal(s.silent_since_ns, 0);
    s.probe_at_ns = 9000;
    dp_health_ask_now(&s, 6000);
    assert_int_equal(s.probe_at_ns, 6000);
    dp_health_ask_now(&s, 7000);
    assert_int_equal(s.probe_at_ns, 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_of_all_at_once),
        cmocka_unit_test(one_after_the_other_is_an_outage),
        cmocka_unit_test(who_answers_badly_is_reached),
        cmocka_unit_test(the_first_to_return_is_not_fled_to),
        cmocka_unit_test(one_region_is_never_doubted_about),
        cmocka_unit_test(again_after_it_was_over),
        cmocka_unit_test(silence_begins_with_the_first_probe_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
