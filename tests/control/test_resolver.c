/* Looking names up: which address is chosen, real lookups on a real loop, and ending in the middle of one. */
#include "control/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dp_resolved found(const char *const *ips)
{
    struct dp_resolved r = {0};
    for (; *ips; ips++)
        (void)snprintf(r.ip[r.n++], DP_ADDR_TEXT, "%s", *ips);
    return r;
}

static void the_present_address_is_kept_while_it_is_among_them(void **state)
{
    static const struct {
        const char *ips[4], *present, *picked;
    } rows[] = {
        {{"10.0.0.1", NULL}, "10.0.0.1", "10.0.0.1"},
        {{"10.0.0.2", "10.0.0.1", NULL}, "10.0.0.1", "10.0.0.1"}, /* round robin moves nobody */
        {{"10.0.0.2", "10.0.0.3", NULL}, "10.0.0.1", "10.0.0.2"},
        {{"::1", "127.0.0.1", NULL}, "", "::1"},
        {{NULL}, "10.0.0.1", NULL},
        {{NULL}, "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct dp_resolved r = found(rows[i].ips);
        const char *picked = dp_resolved_pick(&r, rows[i].present);
        assert_int_equal(!picked, !rows[i].picked);
        if (picked)
            assert_string_equal(picked, rows[i].picked);
    }
}

struct seen {
    struct dp_resolver *resolver;
    unsigned good, bad, ends;
    unsigned wanted_good, wanted_bad; /* then the resolver is destroyed, in its own callback */
};

static void ended(void *ctx)
{
    ((struct seen *)ctx)->ends++;
}

static void on_result(void *ctx, uint16_t endpoint, const struct dp_resolved *r)
{
    struct seen *s = ctx;
    if (endpoint == 0) {
        const char *ip = dp_resolved_pick(r, "127.0.0.1");
        assert_non_null(ip);
        assert_true(strcmp(ip, "127.0.0.1") == 0 || strcmp(ip, "::1") == 0);
        s->good++;
    } else {
        assert_int_equal(endpoint, 2); /* the second has no name to look up */
        assert_int_equal(r->n, 0);
        assert_true(strlen(r->why) > 0);
        s->bad++;
    }
    if (s->resolver && s->good >= s->wanted_good && s->bad >= s->wanted_bad) {
        dp_resolver_destroy(s->resolver, ended, s);
        s->resolver = NULL;
    }
}

static struct dp_resolver *make(uv_loop_t *loop, struct seen *s)
{
    static const char *const hosts[] = {"localhost", NULL, "nowhere.invalid"};
    const struct dp_resolver_options opt = {
        .loop = loop, .refresh_ms = 5, .retry_ms = 5, .result = on_result, .ctx = s};
    assert_int_equal(uv_loop_init(loop), 0);
    struct dp_resolver *r = dp_resolver_new(&opt, hosts, 3);
    assert_non_null(r);
    return r;
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
        cmocka_unit_test(the_present_address_is_kept_while_it_is_among_them),
        cmocka_unit_test(names_are_looked_up_again_and_again),
        cmocka_unit_test(it_ends_before_its_start_and_in_the_middle_of_a_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
