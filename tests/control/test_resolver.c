/* Looking names up on a real loop: all addresses, changes, failures, and ending in the middle of a lookup. */
#include "control/resolver.h"
#include "support/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    struct dp_resolver *resolver;
    unsigned good, bad, ends;
    unsigned wanted_good, wanted_bad; /* then the resolver is destroyed, in its own callback */
};

static void ended(void *ctx)
{
    ((struct seen *)ctx)->ends++;
}

static void on_result(void *ctx, uint16_t endpoint, const struct dp_addrs *addrs, const char *why)
{
    struct seen *s = ctx;
    if (endpoint == 0) {
        assert_true(addrs->n > 0);
        assert_null(why);
        assert_int_equal(addrs->at[0].port, 5984);
        assert_true(strcmp(addrs->at[0].ip, "127.0.0.1") == 0 ||
                    strcmp(addrs->at[0].ip, "::1") == 0);
        s->good++;
    } else {
        assert_int_equal(endpoint, 2); /* the second has no name to look up */
        assert_int_equal(addrs->n, 0);
        assert_true(strlen(why) > 0);
        s->bad++;
    }
    if (s->resolver && s->good >= s->wanted_good && s->bad >= s->wanted_bad) {
        dp_resolver_destroy(s->resolver, ended, s);
        s->resolver = NULL;
    }
}

static struct dp_resolver *make(uv_loop_t *loop, struct seen *s)
{
    static const struct dp_resolver_target targets[] = {
        {"localhost", 5984}, {NULL, 1}, {"nowhere.invalid", 2}};
    const struct dp_resolver_options opt = {
        .loop = loop, .refresh_ms = 5, .retry_ms = 5, .result = on_result, .ctx = s};
    assert_int_equal(uv_loop_init(loop), 0);
    struct dp_resolver *r = dp_resolver_new(&opt, targets, 3);
    assert_non_null(r);
    return r;
}

/* What a name gives, step by step: its text in the names' file, and what is told then. */
struct script {
    struct dp_resolver *resolver;
    unsigned at, ends;
};

static const struct {
    const char *names, *told; /* told: the addresses, or why there are none */
} steps[] = {
    {"couch.example 10.0.0.1\n", "10.0.0.1"},
    {"couch.example ::1 ::2 10.0.0.1 10.0.0.2 10.0.0.1\n", "::1, 10.0.0.1, ::2, 10.0.0.2"},
    {"couch.example 10.0.0.1 10.0.0.2 10.0.0.3 ::1\n", "10.0.0.1, ::1, 10.0.0.2, 10.0.0.3"},
    /* more than there is room for: both families keep a part */
    {"couch.example ::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9 10.0.0.1\n",
     "::1, 10.0.0.1, ::2, ::3, ::4, ::5, ::6, ::7"},
    {"couch.example !\n", "temporary failure"},
    {"couch.example\n", "unknown node or service"},
    {"couch.example 10.0.0.9\n", "10.0.0.9"},
};

static void script_ended(void *ctx)
{
    ((struct script *)ctx)->ends++;
}

static void on_step(void *ctx, uint16_t endpoint, const struct dp_addrs *addrs, const char *why)
{
    struct script *s = ctx;
    char text[DP_ADDRS_TEXT];
    assert_int_equal(endpoint, 0);
    assert_string_equal(addrs->n ? dp_addrs_text(addrs, text) : why, steps[s->at].told);
    if (++s->at == sizeof(steps) / sizeof(steps[0]))
        dp_resolver_destroy(s->resolver, script_ended, s);
    else
        names_set(steps[s->at].names);
}

static void all_addresses_are_told_in_turns_of_the_families(void **state)
{
    (void)state;
    static const struct dp_resolver_target target = {"couch.example", 5984};
    struct script s = {0};
    uv_loop_t loop;
    const struct dp_resolver_options opt = {
        .loop = &loop, .refresh_ms = 1, .retry_ms = 1, .result = on_step, .ctx = &s};
    assert_int_equal(uv_loop_init(&loop), 0);
    names_set(steps[0].names);
    s.resolver = dp_resolver_new(&opt, &target, 1);
    assert_non_null(s.resolver);
    dp_resolver_start(s.resolver);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(s.ends, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    names_clear();
}

static void names_are_looked_up_again_and_again(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct seen s = {.wanted_good = 3, .wanted_bad = 2};
    s.resolver = make(&loop, &s);
    dp_resolver_start(s.resolver);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(s.ends, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void it_ends_before_its_start_and_in_the_middle_of_a_lookup(void **state)
{
    (void)state;
    for (int started = 0; started < 2; started++) {
        uv_loop_t loop;
        struct seen s = {.wanted_good = 1000, .wanted_bad = 1000};
        struct dp_resolver *r = make(&loop, &s);
        if (started) {
            dp_resolver_start(r);
            (void)uv_run(&loop, UV_RUN_NOWAIT); /* the lookups are under way */
        }
        unsigned before = s.good + s.bad; /* a quick one may have come already */
        dp_resolver_destroy(r, ended, &s);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(s.ends, 1);
        assert_int_equal(s.good + s.bad, before);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_addresses_are_told_in_turns_of_the_families),
        cmocka_unit_test(names_are_looked_up_again_and_again),
        cmocka_unit_test(it_ends_before_its_start_and_in_the_middle_of_a_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
