/* What is told of modes, distances and shares. */
#include "davenport/base/attr.h"

#include "app/report_routing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dp_control_config config;

static struct dp_status three_regions(enum dp_mode mode)
{
    struct dp_status s = {
        .n_regions = 3, .active = 0, .home = 0, .n_workers = 2, .config = &config};
    static const char *const names[] = {"east", "west", "south"};
    config = (struct dp_control_config){.mode = mode,
                                        .writes_failover = true,
                                        .nearest = mode != DP_MODE_ACTIVE_PASSIVE,
                                        .n_regions = 3};
    for (uint16_t i = 0; i < 3; i++)
        s.regions[i] = (struct dp_region_status){.name = names[i],
                                                 .health = DP_REGION_UP,
                                                 .active = i == 0,
                                                 .route = DP_ROUTE_OK,
                                                 .share = 100,
                                                 .distance_ms = 3 + 40.0 * i,
                                                 .near_workers = i < 2 ? 2 : 0};
    return s;
}

static void assert_says(const struct dp_status *s, const char *want)
{
    char buf[640];
    struct dp_text all = {0};
    for (unsigned i = 0; i < DP_ROUTING_SENTENCES; i++) {
        const char *words = dp_routing_words(s, i, buf, sizeof buf);
        if (*words)
            dp_text_addf(&all, "%s\n", words);
    }
    assert_string_equal(dp_text_str(&all), want);
    dp_text_fini(&all);
}

static void assert_region_says(const struct dp_status *s, uint16_t i, const char *want)
{
    char buf[640];
    struct dp_text all = {0};
    for (unsigned k = 0; k < DP_ROUTING_SENTENCES; k++) {
        const char *words = dp_routing_region_words(s, &s->regions[i], k, buf, sizeof buf);
        if (*words)
            dp_text_addf(&all, "%s\n", words);
    }
    assert_string_equal(dp_text_str(&all), want);
    dp_text_fini(&all);
}

static void where_all_goes_to_one_region_nothing_is_said(void **state)
{
    struct dp_status s = three_regions(DP_MODE_ACTIVE_PASSIVE);
    (void)state;
    assert_says(&s, "");
    assert_region_says(&s, 0, "");
}

static void why_reads_go_where_they_go(void **state)
{
    struct dp_status s = three_regions(DP_MODE_ACTIVE_ACTIVE);
    (void)state;
    assert_says(&s, "mode active-active: reads and writes go to the nearest regions, now east (3.0 "
                    "ms) and west (43.0 ms)\n"
                    "what belongs to one region (_changes, _local, _bulk_docs …) goes to east\n");
    assert_region_says(&s, 0, "one of the nearest (3.0 ms)\n");
    assert_region_says(&s, 2, "not one of the nearest (83.0 ms)\n");
    s.regions[1].near_workers = 1;
    s.regions[1].share = 40;
    s.regions[1].max_in_flight = 10;
    s.regions[1].in_flight = 4;
    assert_region_says(&s, 1,
                       "one of the nearest (43.0 ms) for 1 of 2 workers\n"
                       "returns: takes 40 % of the reads it would get\n"
                       "4 of at most 10 requests under way (max_in_flight)\n");
    s.regions[1].held_down = true;
    s.regions[0].route = DP_ROUTE_DOWN;
    s.active = 2;
    config.n_rules = 1;
    assert_says(&s, "mode active-active: reads and writes go to the nearest regions, now whichever "
                    "is left: no region is near and settled\n"
                    "what belongs to one region (_changes, _local, _bulk_docs …) goes to south\n"
                    "1 pattern of databases has a rule of its own\n");
}

static void where_writes_stay(void **state)
{
    struct dp_status s = three_regions(DP_MODE_WRITE_PRIMARY);
    (void)state;
    config.writes_failover = false;
    config.n_rules = 2;
    s.regions[1].near_workers = 0;
    assert_says(&s, "mode write-primary: reads go to the nearest regions, now east (3.0 ms)\n"
                    "writes go to east and nowhere else: writes_failover is false\n"
                    "what belongs to one region (_changes, _local, _bulk_docs …) goes to east\n"
                    "2 patterns of databases have a rule of their own\n");
    s.regions[0].health = DP_REGION_DOWN;
    s.active = DP_NO_REGION;
    s.home = 0;
    assert_says(&s,
                "mode write-primary: reads go to the nearest regions, now east (3.0 ms)\n"
                "writes are refused (primary_unavailable): east is down, and writes_failover is "
                "false; davenport switch moves them\n"
                "2 patterns of databases have a rule of their own\n");
}

static void members_and_metrics(void **state)
{
    struct dp_status s = three_regions(DP_MODE_WRITE_PRIMARY);
    struct dp_text out = {0};
    json_t *root = json_object(), *region = json_object();
    (void)state;
    s.regions[2].distance_ms = -1;
    dp_routing_put(root, &s);
    dp_routing_put_region(region, &s, &s.regions[2]);
    char *text = json_dumps(root, JSON_COMPACT);
    assert_string_equal(text, "{\"mode\":\"write-primary\",\"writes_failover\":true,"
                              "\"database_rules\":0,\"home\":\"east\"}");
    free(text);
    text = json_dumps(region, JSON_COMPACT);
    assert_string_equal(
        text, "{\"share\":100,\"max_in_flight\":null,\"near\":false,\"distance_ms\":null}");
    free(text);
    json_decref(root);
    json_decref(region);
    dp_routing_metrics(&s, &out);
    assert_non_null(
        strstr(dp_text_str(&out), "davenport_region_near_workers{region=\"west\"} 2\n"));
    assert_non_null(
        strstr(dp_text_str(&out), "davenport_region_distance_seconds{region=\"east\"} 0.003\n"));
    assert_null(strstr(dp_text_str(&out), "distance_seconds{region=\"south\"}"));
    dp_text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_all_goes_to_one_region_nothing_is_said),
        cmocka_unit_test(why_reads_go_where_they_go),
        cmocka_unit_test(where_writes_stay),
        cmocka_unit_test(members_and_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
