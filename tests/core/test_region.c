/* Regions out of members, as tables, and what always holds. */
#include "davenport/core/region.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A member a word: u up, s suspect, ? unknown, d down; then - draining, ~ slow, ! on trial, 0 without its database. */
static uint16_t members_of(const char *text, struct dp_region_member *out)
{
    uint16_t n = 0;
    for (const char *p = text; *p; p++) {
        if (*p == '-')
            out[n - 1].draining = true;
        else if (*p == '~')
            out[n - 1].slow = true;
        else if (*p == '!')
            out[n - 1].trial = true;
        else if (*p == '0')
            out[n - 1].unprovisioned = true;
        else if (*p != ' ')
            out[n++] = (struct dp_region_member){.health = *p == 'u'   ? DP_HEALTH_UP
                                                           : *p == 's' ? DP_HEALTH_SUSPECT
                                                           : *p == 'd' ? DP_HEALTH_DOWN
                                                                       : DP_HEALTH_UNKNOWN};
    }
    return n;
}

static void judged(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        uint32_t percent;
        const char *look; /* as a member */
        uint16_t serving, need;
    } rows[] = {
        /* one: as it is, whatever the share */
        {"u", 0, "u", 1, 1},
        {"s", 0, "s", 1, 1},
        {"?", 100, "?", 1, 1},
        {"d", 50, "d", 0, 1},
        {"u-", 0, "u-", 0, 1},
        {"s-", 100, "s-", 0, 1},
        {"d-", 0, "d-", 0, 1},
        {"u~", 0, "u~", 1, 1},
        {"d~", 0, "d~", 0, 1},
        {"d-~", 0, "d-~", 0, 1},
        /* one of several is enough */
        {"u d d", 0, "u", 1, 1},
        {"d d u", 0, "u", 1, 1},
        {"s d d", 0, "s", 1, 1},
        {"? s d", 0, "s", 2, 1},
        {"? d d", 0, "?", 1, 1},
        {"d d d", 0, "d", 0, 1},
        {"u s ?", 0, "u", 3, 1},
        /* a share */
        {"u u d", 50, "u", 2, 2},
        {"u d d", 50, "d", 1, 2},
        {"u s d", 50, "s", 2, 2},
        {"u ? d", 50, "?", 2, 2},
        {"u u u d", 75, "u", 3, 3},
        {"u u d d", 75, "d", 2, 3},
        {"u u", 100, "u", 2, 2},
        {"u d", 100, "d", 1, 2},
        {"u d d d d d d d d d", 1, "u", 1, 1},
        /* who asks to be drained does not serve, but lives */
        {"u u-", 0, "u", 1, 1},
        {"u- u-", 0, "u-", 0, 1},
        {"d u-", 0, "u-", 0, 1},
        {"d s-", 0, "s-", 0, 1},
        {"u u- u-", 50, "u-", 1, 2},
        {"u u- d", 50, "u-", 1, 2},
        {"u d- d", 50, "d-", 1, 2},
        /* slow while quick ones are too few */
        {"u u~", 0, "u", 2, 1},
        {"u~ u~", 0, "u~", 2, 1},
        {"u u~ u~", 50, "u~", 3, 2},
        {"u~ d", 0, "u~", 1, 1},
        {"u u~ d", 0, "u", 2, 1},
        /* on trial: no help while others serve, and what is left where they don't */
        {"s!", 0, "s!", 0, 1},
        {"s! u", 0, "u", 1, 1},
        {"s! d", 0, "s!", 0, 1},
        {"s! u u", 75, "s!", 2, 3},
        {"s! u-", 0, "s!", 0, 1},
        {"s! s!", 100, "s!", 0, 2},
        /* without its database */
        {"u0", 0, "u0", 1, 1},
        {"u0 u", 0, "u0", 2, 1},
        {"d0 u", 0, "u", 1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_region_member m[DP_MAX_ENDPOINTS] = {{0}}, want[1] = {{0}};
        struct dp_region_look look;
        uint16_t n = members_of(rows[i].members, m);
        (void)members_of(rows[i].look, want);
        dp_region_judge(m, n, rows[i].percent, &look);
        if (look.health != want[0].health || look.draining != want[0].draining ||
            look.slow != want[0].slow || look.trial != want[0].trial ||
            look.unprovisioned != want[0].unprovisioned || look.serving != rows[i].serving ||
            look.need != rows[i].need || look.members != n)
            fail_msg("%s at %u %%: %s%s%s, %u serve, %u needed", rows[i].members, rows[i].percent,
                     dp_health_name(look.health), look.draining ? ", draining" : "",
                     look.slow ? ", slow" : "", look.serving, look.need);
    }
}

static void routed(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        char region;
        const char *routes; /* o ok, d down, b barred */
    } rows[] = {
        {"u", 'o', "o"},          {"d", 'o', "o"}, /* an operator keeps it there */
        {"u-", 'o', "o"},         {"u d", 'o', "od"},      {"d u", 'o', "do"},
        {"u s ?", 'o', "ooo"},    {"u u~", 'o', "ob"},     {"u~ u~ d", 'o', "ood"},
        {"u u-", 'o', "ob"},      {"u- d u~", 'o', "bdo"}, {"u- d", 'o', "od"},
        {"d d", 'o', "oo"},       {"u d", 'b', "bd"},      {"u d", 'd', "dd"},
        {"d", 'd', "d"},          {"u", 'b', "b"},         {"u- u-", 'b', "bb"},
        {"s~ u~ d-", 'o', "ood"}, {"s! u~", 'o', "bo"},    {"s! d u-", 'o', "odb"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dp_region_member m[DP_MAX_ENDPOINTS] = {{0}};
        enum dp_route_state out[DP_MAX_ENDPOINTS];
        uint16_t n = members_of(rows[i].members, m);
        char got[DP_MAX_ENDPOINTS + 1] = "";
        dp_region_routes(m, n,
                         rows[i].region == 'o'   ? DP_ROUTE_OK
                         : rows[i].region == 'd' ? DP_ROUTE_DOWN
                                                 : DP_ROUTE_BARRED,
                         out);
        for (uint16_t k = 0; k < n; k++)
            got[k] = out[k] == DP_ROUTE_OK ? 'o' : out[k] == DP_ROUTE_DOWN ? 'd' : 'b';
        if (strcmp(got, rows[i].routes) != 0)
            fail_msg("%s in %c: %s", rows[i].members, rows[i].region, got);
    }
}

/* Every region of up to 3 members in all their states: what always holds. */
static void properties(void **state)
{
    (void)state;
    enum { STATES = 32 };
    for (unsigned code = 0; code < STATES * STATES * STATES; code++) {
        struct dp_region_member m[3];
        for (unsigned i = 0, c = code; i < 3; i++, c /= STATES)
            m[i] = (struct dp_region_member){.health = (enum dp_health)(c % 4),
                                             .draining = c & 4,
                                             .slow = c & 8,
                                             .trial = c & 16};
        for (uint16_t n = 1; n <= 3; n++) {
            for (uint32_t percent = 0; percent <= 100; percent += 25) {
                struct dp_region_look l;
                enum dp_route_state routes[3];
                bool lost, any = false;
                dp_region_judge(m, n, percent, &l);
                uint16_t trials = 0;
                for (uint16_t i = 0; i < n; i++)
                    trials = (uint16_t)(trials + (m[i].trial && !m[i].draining &&
                                                  m[i].health != DP_HEALTH_DOWN));
                lost = l.health == DP_HEALTH_DOWN || l.draining;
                assert_int_equal(lost, l.serving + trials < l.need);
                assert_in_range(l.need, 1, n);
                if (n == 1 && !m[0].trial) {
                    assert_int_equal(l.health, m[0].health);
                    assert_int_equal(l.draining, m[0].draining);
                    assert_int_equal(l.slow, m[0].slow);
                }
                /* a region that takes requests has an endpoint that does, and no dead one while one lives */
                dp_region_routes(m, n, DP_ROUTE_OK, routes);
                for (uint16_t i = 0; i < n; i++) {
                    any = any || routes[i] == DP_ROUTE_OK;
                    if (routes[i] == DP_ROUTE_OK && l.serving > 0)
                        assert_true(m[i].health != DP_HEALTH_DOWN && !m[i].draining);
                }
                assert_true(any);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judged),
        cmocka_unit_test(routed),
        cmocka_unit_test(properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
