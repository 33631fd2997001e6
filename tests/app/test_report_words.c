/* What a person reads: the sentences of explain, and the lines below the table of status. */
#include "app/report_sample.h"

static void assert_explained(const struct dp_report *r, const char *expected)
{
    struct dp_text json = {0};
    struct dp_text text = {0};
    dp_report_explain(r, &json);
    json_t *doc = json_loads(dp_text_str(&json), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(doc);
    dp_explain_text(doc, false, &text);
    assert_string_equal(dp_text_str(&text), expected);
    json_decref(doc);
    dp_text_fini(&json);
    dp_text_fini(&text);
}

static void test_failback_lines(void **state)
{
    struct dp_report r = sample();
    struct dp_text text = {0};
    (void)state;
    r.status.failback_at_wall_ms = 0;
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text), "\nFailback: after a preferred region was well for 5 min\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.regions[0].hold_ms = 600000; /* it fell twice */
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text), "\nFailback: after a preferred region was well for 10 min\n"));
    json_decref(status);
    dp_text_clear(&text);
    static const struct {
        enum dp_failback mode;
        const char *line;
    } modes[] = {
        {DP_FAILBACK_GATED,
         "\nFailback: after a preferred region was well for 10 min, when its gate opens\n"},
        {DP_FAILBACK_WINDOW,
         "\nFailback: after a preferred region was well for 10 min, in a window\n"},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(modes); i++) {
        r.status.failback = modes[i].mode;
        status = status_of(&r);
        dp_status_text(status, false, &text);
        assert_non_null(strstr(dp_text_str(&text), modes[i].line));
        json_decref(status);
        dp_text_clear(&text);
    }
    r.status.pin.on = true;
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text), "\nFailback: none, an operator chose this region"));
    json_decref(status);
    dp_text_fini(&text);
}

/* What was late speaks against a region, whatever became of it. */
static void test_late_requests_are_failures(void **state)
{
    static const struct {
        uint64_t late;
        const char *cells;
    } rows[] = {{0, "1208       3 "}, {6, "1208       9 "}, {5000, "1208    1208 "}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_report r = sample();
        struct dp_text text = {0};
        r.status.regions[1].late = rows[i].late;
        json_t *status = status_of(&r);
        dp_status_text(status, false, &text);
        assert_non_null(strstr(dp_text_str(&text), rows[i].cells));
        json_decref(status);
        dp_text_fini(&text);
    }
}

/* Only regions that take reads are called near; and whether writes have a place. */
static void test_mode_line(void **state)
{
    struct dp_report r = sample();
    struct dp_text text = {0};
    struct dp_control_config config = plain;
    (void)state;
    config.mode = DP_MODE_WRITE_PRIMARY;
    config.nearest = true;
    r.status.config = &config;
    r.status.regions[0].held_down = false;
    for (unsigned i = 0; i < 2; i++) {
        r.status.regions[i].near_workers = 1;
        r.status.regions[i].distance_ms = 3;
    }
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\nMode: write-primary; nearest: eu-de (3.0 ms), us-south (3.0 ms); "
                           "writes only in eu-de\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.regions[0].health = DP_REGION_DOWN;
    r.status.regions[0].route = DP_ROUTE_DOWN;
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text),
               "\nMode: write-primary; nearest: us-south (3.0 ms); writes only in eu-de, "
               "which takes none now (503)\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.regions[1].held_down = true;
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "nearest: none that is settled; whichever is left; writes only in "));
    json_decref(status);
    dp_text_fini(&text);
}

static void test_explain(void **state)
{
    struct dp_report r = explained();
    (void)state;
    assert_explained(
        &r,
        "Now (epoch 7)\n"
        "  traffic goes to us-south (for 1 min 1 s): eu-de is down: 3 probes in a row failed\n"
        "  if us-south is lost, eu-de takes over (it was away and may lack data)\n"
        "  eu-de takes the traffic back in 4 min 12 s if it stays well\n"
        "\n"
        "  eu-de  up, held\n"
        "    held: it was away and may lack data, so it takes only what fails in the active "
        "region\n"
        "    up for 48 s: 2 probes in a row passed\n"
        "    settled in 4 min 12 s if it stays well\n"
        "    down after 3 failed probes in a row (now 0) or 5 requests in a row without an answer "
        "(now 0)\n"
        "    last probe 1 s ago: 200 in 2.0 ms\n"
        "\n"
        "> us-south  up\n"
        "    takes the traffic\n"
        "    up for 2 h 5 min: 1 probe passed\n"
        "    down after 3 failed probes in a row (now 0) or 5 requests in a row without an answer "
        "(now 2)\n"
        "    6 of the last 40 requests (15 %) got no answer; down at 50 %\n");
}

/* Of a region whose probes never failed: what it waits for, and how long. */
static void test_explain_a_fall_that_no_probe_saw(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    struct dp_control_config config = thresholds;
    (void)state;
    config.trial_requests = 5;
    r.status.config = &config;
    r.status.regions[0].health = DP_REGION_DOWN;
    r.status.regions[0].tried_in_ms = 2300;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "its probes pass, but requests had failed there: it is tried "
                           "with a few reads in 2.3 s at the earliest"));
    assert_null(strstr(dp_text_str(&text), "good probes in a row"));
    dp_text_fini(&text);
}

static void test_explain_held_requests(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    (void)state;
    r.totals[DP_TOTAL_held] = 12;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\"12 requests wait for a region that can take them (hold.ms)\""));
    dp_text_clear(&text);
    r.totals[DP_TOTAL_held] = 1;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text), "\"1 request waits for a region that can take it"));
    dp_text_fini(&text);
}

/* Why it waits, condition by condition; what doubled its hold. */
static void test_explain_gate(void **state)
{
    struct dp_report r = explained();
    (void)state;
    r.status.failback = DP_FAILBACK_GATED;
    r.status.failback_at_wall_ms = 0;
    r.status.regions[0].falls = 3;
    r.status.regions[0].hold_ms = 1200000;
    r.status.regions[0].gate = (struct dp_gate){
        .n = 2,
        .conditions = {{DP_GATE_HEALTH, DP_GATE_UNMET, "well for 48 s without a break, of 1200 s"},
                       {DP_GATE_APPROVAL, DP_GATE_UNKNOWN, "nobody was asked"}}};
    r.status.regions[0].approved = standing("ann", "compared", 60, 60);
    r.status.no_region = DP_NO_REGION_PRIMARY;
    r.status.heir = DP_NO_REGION;
    struct dp_text text = {0};
    dp_report_explain(&r, &text);
    static const char *const says[] = {
        "eu-de takes the traffic back when its gate opens",
        "its gate: health is unmet: well for 48 s without a break, of 1200 s",
        "its gate: approval is unknown: nobody was asked",
        "lost 3 times since it was last well for long: its hold is 20 min",
        "if every region is lost, traffic goes to eu-de (no_region.policy primary)",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(says); i++) {
        assert_non_null(strstr(dp_text_str(&text), says[i]));
    }
    dp_text_clear(&text);
    json_t *status = status_of(&r);
    const json_t *gate =
        json_object_get(json_array_get(json_object_get(status, "regions"), 0), "gate");
    assert_int_equal(json_array_size(gate), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(gate, 1), "state")),
                        "unknown");
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "Approved: eu-de by ann, 1 min ago, for 1 min more: compared\n"
                           "Failback: to eu-de when its gate opens\n"
                           "  health is unmet: well for 48 s without a break, of 1200 s\n"
                           "  approval is unknown: nobody was asked\n"));
    json_decref(status);
    dp_text_fini(&text);
}

static void test_ramp_and_fail_open(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    (void)state;
    r.status.ramp_from = 0;
    r.status.share_percent = 35;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "it takes 35 % of the reads so far, since it has just "
                           "returned; "
                           "the rest goes to eu-de"));
    dp_text_clear(&text);
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(
        dp_text_str(&text),
        "It has just returned and takes 35 % of the reads so far; the rest goes to eu-de\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.ramp_from = DP_NO_REGION;
    r.status.fail_open = true;
    r.status.no_region = DP_NO_REGION_LAST_GOOD;
    r.status.regions[1].health = DP_REGION_DOWN;
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text), "us-south is down and keeps the traffic all the "
                                               "same: every region is lost"));
    dp_text_clear(&text);
    status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text), "Every region is lost: it is used all the same "
                                               "(no_region.policy last_good)\n"));
    json_decref(status);
    dp_text_clear(&text);
    r.status.moves[DP_MOVE_FAILBACK][DP_MOVE_REASON_GATED] = 3;
    dp_report_metrics(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "davenport_moves_total{move=\"failback\",reason=\"gated\"} 3\n"));
    assert_non_null(strstr(dp_text_str(&text), "davenport_fail_open 1\n"));
    dp_text_fini(&text);
}

static void test_explain_orders(void **state)
{
    struct dp_report r = explained();
    (void)state;
    r.status.frozen = standing("ann (uid 1)", "a deploy", 60, 540);
    r.status.regions[0].drained = standing("bob (loopback)", "", 3600, 0);
    r.status.regions[0].held_down = false;
    r.status.regions[0].route = DP_ROUTE_BARRED;
    r.status.regions[1].health = DP_REGION_DOWN;
    r.status.regions[1].probes.successes_in_row = 1;
    r.status.heir = r.status.failback_to = DP_NO_REGION;
    r.status.failback_at_wall_ms = 0;
    r.status.serving = 0;
    r.status.dwell_left_ms = 2600;
    r.status.journal.file = false;
    struct dp_text json = {0};
    struct dp_report other = r;
    other.status.heir = 0;
    dp_report_explain(&other, &json);
    assert_non_null(
        strstr(dp_text_str(&json), "\"the way out: davenport switch eu-de (it was away"));
    dp_text_fini(&json);
    assert_explained(
        &r,
        "Now (epoch 7)\n"
        "  traffic goes to us-south (for 1 min 1 s): eu-de is down: 3 probes in a row failed\n"
        "  us-south is down and keeps the traffic all the same: it is frozen there\n"
        "  frozen by ann (uid 1), 1 min ago, for 9 min more: a deploy\n"
        "  nothing moves by itself, not even away from a dead region (davenport unfreeze)\n"
        "  eu-de is drained by bob (loopback), 1 h ago, until an operator ends it\n"
        "  if us-south is lost, no region can take over\n"
        "  if every region is lost, applications get 503 (no_region.policy 503)\n"
        "  the last move is young: for 2.6 s a switch needs --force\n"
        "  0 regions are known to serve, and safety.min_regions is 1: none of them is drained "
        "without --force\n"
        "  there is no journal.path: a restart forgets orders and history\n"
        "\n"
        "  eu-de  up, drained\n"
        "    takes nothing, not even as a last resort: drained (davenport resume eu-de)\n"
        "    up for 48 s: 2 probes in a row passed\n"
        "    down after 3 failed probes in a row (now 0) or 5 requests in a row without an answer "
        "(now 0)\n"
        "    last probe 1 s ago: 200 in 2.0 ms\n"
        "\n"
        "> us-south  down\n"
        "    takes the traffic\n"
        "    down for 2 h 5 min: 1 probe passed\n"
        "    1 of 2 good probes in a row until it is trusted\n");
}

static void test_standing_orders_in_the_table(void **state)
{
    struct dp_report r = explained();
    struct dp_text text = {0};
    (void)state;
    r.status.frozen = standing("ann (uid 1)", "a deploy", 60, 540);
    r.status.pin = standing("bob", "", 5, 0);
    r.status.regions[1].health = DP_REGION_DOWN;
    r.status.regions[0].drained = standing("bob", "broken", 7, 0);
    r.status.journal.troubled = true;
    r.status.journal.waiting = 3;
    json_t *status = status_of(&r);
    dp_status_text(status, false, &text);
    assert_non_null(
        strstr(dp_text_str(&text),
               "Frozen by ann (uid 1), 1 min ago, for 9 min more: a deploy\n"
               "Pinned by bob, 5 s ago\n"
               "Drained: eu-de by bob, 7 s ago: broken\n"
               "Journal: its disk refuses it, 3 lines wait; a restart would forget them\n"
               "Failback: none while frozen, and no failover (davenport unfreeze)\n"));
    json_decref(status);
    dp_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failback_lines),
        cmocka_unit_test(test_late_requests_are_failures),
        cmocka_unit_test(test_mode_line),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_explain_a_fall_that_no_probe_saw),
        cmocka_unit_test(test_explain_held_requests),
        cmocka_unit_test(test_explain_gate),
        cmocka_unit_test(test_ramp_and_fail_open),
        cmocka_unit_test(test_explain_orders),
        cmocka_unit_test(test_standing_orders_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
