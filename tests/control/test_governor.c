/* The governor end to end: real probes of scripted regions, counters, views, the journal. */
#include "support/desk.h"
#include "support/names.h"

static void the_first_view_is_there_before_anything_is_known(void **state)
{
    struct desk *d = *state;
    d->config.n_regions = d->config.n_endpoints = 3;
    desk_make(d);
    const struct dp_view *v = dp_governor_view(d->governor);
    assert_int_equal(v->epoch, 1);
    assert_int_equal(v->active, 0);
    assert_int_equal(v->n_regions, 3);
    assert_int_equal(v->n_endpoints, 3);
    assert_int_equal(v->retry_after_s, 7);
    for (uint16_t i = 0; i < 3; i++) {
        assert_string_equal(v->regions[i].name, d->config.regions[i].name);
        assert_int_equal(v->regions[i].state, DP_ROUTE_OK);
        assert_int_equal(v->endpoints[i].region, i);
        assert_int_equal(v->endpoints[i].state, DP_ROUTE_OK);
        assert_int_equal(v->endpoints[i].addrs.at[0].port, d->servers[i].port);
        assert_string_equal(v->endpoints[i].host, "region.example:5984");
    }
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->regions[0].health, DP_REGION_UNKNOWN);
    assert_true(s->regions[0].active);
    assert_true(s->regions[0].probes.last_ms < 0 && s->regions[0].latency_ms < 0);
    assert_int_equal(s->regions[0].probes.last_wall_ms, 0);
    assert_int_equal(d->published, 0);
    dp_governor_start(d->governor, d->traffic, 2);
    assert_int_equal(d->published, 1);
}

static void all_well(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->active, 0);
    assert_int_equal(s->epoch, 1); /* being up changes no route */
    assert_int_equal(s->regions[1].health, DP_REGION_UP);
    assert_int_equal(s->regions[1].probes.last_status, 200);
    assert_non_null(strstr(s->regions[1].probes.last, "200 in "));
    assert_non_null(strstr(s->regions[1].why, "1 probe passed"));
    assert_true(s->regions[1].probes.last_ms >= 0);
    assert_true(s->regions[1].probes.ok >= 1);
    assert_int_equal(s->failback_at_wall_ms, 0);
    assert_int_equal(d->published, 1);
}

/* A region of this name; its servers' ports are the test's. */
static void name_region(struct desk *d, const char *names)
{
    d->config.endpoints[0].lookup = "couch.example";
    d->config.dns_refresh_ms = 1;
    names_set(names);
}

static const struct dp_addrs *view_addrs(struct desk *d)
{
    return &dp_governor_view(d->governor)->endpoints[0].addrs;
}

/* A region whose name did not resolve at the start is reached as soon as it does. */
static void new_addresses_make_a_view_with_a_new_epoch(void **state)
{
    struct desk *d = *state;
    char text[DP_ADDRS_TEXT];
    d->config.endpoints[0].addrs.n = 0;
    name_region(d, "couch.example ::1 127.0.0.1\n");
    desk_start(d);
    desk_await(d, "address:a", 1);
    assert_string_equal(dp_addrs_text(view_addrs(d), text), "::1, 127.0.0.1");
    assert_int_equal(d->view->epoch, 2);
    assert_int_equal(view_addrs(d)->at[1].port, d->servers[0].port);
    json_t *line = desk_line(d, "address", "a");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "before"), "");
    assert_string_equal(desk_text(line, "after"), "::1, 127.0.0.1");
    json_decref(line);
    /* the probe finds the address that answers: the server listens at 127.0.0.1 only */
    desk_await(d, "region_up:a", 1);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->regions[0].addrs.n, 2);
    assert_string_equal(s->regions[0].lookup.host, "couch.example");
    assert_true(s->regions[0].lookup.ok >= 1 && s->regions[0].lookup.failed == 0);
    assert_true(s->regions[0].lookup.good_wall_ms > 0);
    assert_null(s->regions[1].lookup.host);
    names_clear();
}

static bool looked_up_again(void *ctx)
{
    struct desk *d = ctx;
    const struct dp_lookup_status *l = &desk_status(d)->regions[0].lookup;
    return l->ok + l->failed >= d->want_count;
}

/* Until `more` lookups after now have ended: the last of them at least was begun after now. */
static void await_lookups(struct desk *d, unsigned more)
{
    const struct dp_lookup_status *l = &desk_status(d)->regions[0].lookup;
    d->want_count = (unsigned)(l->ok + l->failed) + more;
    assert_true(script_run_until(&d->loop, looked_up_again, d));
}

static void another_order_is_no_news_and_another_set_is(void **state)
{
    struct desk *d = *state;
    char text[DP_ADDRS_TEXT];
    name_region(d, "couch.example 127.0.0.1 10.0.0.1\n");
    desk_start(d);
    desk_await(d, "address:a", 1);
    uint64_t epoch = d->view->epoch;
    uint32_t pool_epoch = d->view->endpoints[0].pool_epoch;
    names_set("couch.example 10.0.0.1 127.0.0.1\n");
    await_lookups(d, 2);
    assert_int_equal(d->view->epoch, epoch);
    assert_string_equal(dp_addrs_text(view_addrs(d), text), "127.0.0.1, 10.0.0.1");
    names_set("couch.example 10.0.0.1 127.0.0.1 10.0.0.2\n");
    desk_await(d, "address:a", 2);
    assert_int_equal(d->view->epoch, epoch + 1);
    assert_string_equal(dp_addrs_text(view_addrs(d), text), "10.0.0.1, 127.0.0.1, 10.0.0.2");
    assert_int_equal(d->view->endpoints[0].pool_epoch,
                     pool_epoch); /* the pools know what to drop */
    names_clear();
}

static void a_failing_resolver_keeps_the_addresses_and_says_so(void **state)
{
    struct desk *d = *state;
    name_region(d, "couch.example !\n");
    desk_start(d);
    desk_await(d, "lookup_failed:a", 1);
    desk_await(d, "region_up:a", 1);
    assert_string_equal(view_addrs(d)->at[0].ip, "127.0.0.1");
    assert_int_equal(desk_status(d)->epoch, 1);
    assert_string_equal(d->status.regions[0].lookup.why, "temporary failure");
    assert_true(d->status.regions[0].lookup.failed >= 1);
    assert_int_equal(d->status.regions[0].lookup.good_wall_ms, 0);
    json_t *line = desk_line(d, "lookup_failed", "a");
    assert_non_null(line);
    assert_non_null(strstr(desk_text(line, "reason"), "last addresses are used on"));
    assert_string_equal(desk_text(line, "detail"), "temporary failure");
    assert_string_equal(desk_text(line, "host"), "couch.example");
    json_decref(line);
    names_set("couch.example 127.0.0.1\n");
    desk_await(d, "lookup_recovered:a", 1);
    assert_int_equal(desk_count(d, "lookup_failed:a"), 1); /* told once */
    assert_string_equal(desk_status(d)->regions[0].lookup.why, "");
    assert_int_equal(desk_status(d)->epoch, 1); /* the same address as before */
    names_clear();
}

static void let_pass(struct desk *d, uint64_t s)
{
    for (uint64_t i = 0; i < s * 4; i++)
        desk_turn(d, 250);
}

static void dark_active_is_left_and_regained_after_the_hold(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->epoch, 2);
    assert_int_equal(d->view->parted, 2);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_DOWN);
    assert_int_equal(d->view->endpoints[0].state, DP_ROUTE_DOWN);
    assert_int_equal(d->view->endpoints[0].pool_epoch, 1);
    assert_int_equal(d->view->endpoints[1].pool_epoch, 0);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->regions[0].health, DP_REGION_DOWN);
    assert_int_equal(s->failovers, 1);
    assert_non_null(strstr(s->why, "a is down: 3 probes in a row failed (threshold 3)"));

    script_server_revive(&d->servers[0]);
    desk_await(d, "held_down:a", 1);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_OK); /* nobody else could help b */
    assert_int_equal(d->view->endpoints[0].pool_epoch, 2);
    s = desk_status(d);
    assert_true(s->regions[0].held_down);
    int64_t now = desk_wall_ms(d);
    assert_in_range(s->failback_at_wall_ms, now + 290000, now + 300000);
    let_pass(d, 250);
    assert_int_equal(desk_status(d)->active, 1);
    desk_await_long(d, "failback:a", 1);
    assert_int_equal(d->view->active, 0);
    s = desk_status(d);
    assert_int_equal(s->failbacks, 1);
    assert_int_equal(d->view->parted, 2);            /* nobody fled */
    assert_int_equal(desk_count(d, "settled:a"), 0); /* the failback says it */
    assert_int_equal(s->failback_at_wall_ms, 0);
    assert_non_null(strstr(s->why, "without a break (hold 300 s)"));
}

/* Where a region takes over that was away itself, who is woken must know what may be missing. */
static void a_move_to_a_region_that_may_lack_data_says_so(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    assert_null(strstr(desk_status(d)->why, "may lack data"));
    script_server_revive(&d->servers[0]);
    desk_await(d, "held_down:a", 1);
    script_server_kill(&d->servers[1]);
    desk_await(d, "failover:a", 1);
    assert_non_null(strstr(desk_status(d)->why,
                           "it was away and may lack data, but no other is left; b is down: "));
}

static void the_journal_tells_cause_and_effect(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    desk_start_well(d);
    script_server_says(&d->servers[0], SCRIPT_ANSWER, 503, "{}");
    desk_await(d, "failover:b", 1);

    json_t *line = desk_line(d, "region_down", "a");
    assert_non_null(line);
    assert_int_equal(json_integer_value(json_object_get(line, "epoch")), 2);
    assert_string_equal(desk_text(line, "before"), "suspect");
    assert_string_equal(desk_text(line, "after"), "down");
    assert_string_equal(desk_text(line, "actor"), "governor");
    const json_t *inputs = json_object_get(line, "inputs");
    assert_string_equal(desk_text(inputs, "signal"), "probes_failed");
    assert_int_equal(json_integer_value(json_object_get(inputs, "count")), 3);
    assert_int_equal(json_integer_value(json_object_get(inputs, "threshold")), 3);
    assert_string_equal(desk_text(inputs, "probe"), "unhealthy");
    assert_int_equal(json_integer_value(json_object_get(inputs, "probe_status")), 503);
    json_decref(line);

    line = desk_line(d, "failover", "b");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "before"), "a");
    assert_string_equal(desk_text(line, "after"), "b");
    assert_non_null(strstr(desk_text(line, "reason"), "a is down: 3 probes in a row failed"));
    const json_t *regions = json_object_get(line, "regions");
    assert_int_equal(json_array_size(regions), 2);
    assert_string_equal(desk_text(json_array_get(regions, 0), "route"), "down");
    assert_string_equal(desk_text(json_array_get(regions, 1), "health"), "up");
    json_decref(line);

    /* The same lines are in the file, cause before effect. */
    assert_int_equal(desk_order(d, DP_ORDER_UNFREEZE, NULL, NULL), DP_REFUSAL_NONE);
    while (!dp_governor_saved(d->governor, d->result.ticket))
        desk_turn(d, 1);
    struct dp_span lines[256];
    size_t n = dp_governor_events(d->governor, lines, 256);
    FILE *f = fopen(d->path, "r");
    assert_non_null(f);
    char text[8192];
    for (size_t i = 0; i < n; i++) {
        assert_non_null(fgets(text, sizeof(text), f));
        assert_memory_equal(text, lines[i].p, lines[i].n);
    }
    assert_int_equal(fclose(f), 0);
    assert_non_null(memmem(lines[0].p, lines[0].n, "\"started\"", 9));
}

static void the_epoch_goes_on_over_restarts(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    desk_start(d);
    desk_await(d, "region_up:b", 1);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    uint64_t last = d->view->epoch;
    desk_stop(d);
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d);
    assert_int_equal(d->view->epoch, last + 1);
    assert_int_equal(d->view->active, 1); /* and so does the traffic, where it was */
}

static void traffic_condemns_before_probes_do(void **state)
{
    struct desk *d = *state;
    d->config.probe_interval_ms = d->config.probe_fast_ms = 1000000;
    d->config.sample_ms = 1000000; /* only the kick makes it look */
    desk_start_well(d);
    desk_bad(d, 0, 0, DP_OUTCOME_CONNECT_REFUSED, 2);
    desk_bad(d, 1, 0, DP_OUTCOME_NO_ANSWER, 3);
    dp_governor_kick(d->governor);
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->active, 1);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->regions[0].outcomes[DP_OUTCOME_CONNECT_REFUSED], 2);
    assert_int_equal(s->regions[0].outcomes[DP_OUTCOME_NO_ANSWER], 3);
    assert_non_null(strstr(s->regions[0].why, "5 requests in a row got no answer (threshold 5)"));
}

static void one_failure_asks_the_region_at_once(void **state)
{
    struct desk *d = *state;
    d->config.probe_interval_ms = 100000000;
    desk_start(d);
    desk_await(d, "region_up:a", 1);
    unsigned before = d->servers[0].requests;
    desk_bad(d, 0, 0, DP_OUTCOME_NO_ANSWER, 1);
    dp_governor_kick(d->governor);
    desk_await(d, "suspect:a", 1);
    assert_int_equal(d->view->active, 0);
    desk_bad(d, 0, 0, DP_OUTCOME_ANSWERED, 1);
    desk_await(d, "region_up:a", 2); /* the hold for what traffic saw is over */
    assert_true(d->servers[0].requests >= before + 2);
}

/* A broken view answers 500 everywhere: no reason to leave, and none to take both regions down. */
static void errors_while_probes_pass_move_nothing(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    desk_bad(d, 0, 0, DP_OUTCOME_SERVER_ERROR, 50);
    desk_await(d, "suspect:a", 1);
    for (unsigned i = 0; i < 50; i++) {
        desk_bad(d, 0, 0, DP_OUTCOME_SERVER_ERROR, 5);
        desk_turn(d, 5);
    }
    assert_int_equal(desk_status(d)->active, 0);
    assert_int_equal(desk_status(d)->epoch, 1);
}

static void no_region_is_left_and_the_first_to_return_takes_all(void **state)
{
    struct desk *d = *state;
    desk_start(d);
    desk_await(d, "region_up:b", 1);
    script_server_kill(&d->servers[0]);
    script_server_kill(&d->servers[1]);
    desk_await(d, "region_down:a", 1);
    desk_await(d, "region_down:b", 1);
    assert_int_equal(d->view->active, DP_NO_REGION);
    assert_int_equal(desk_status(d)->active, DP_NO_REGION);
    assert_non_null(strstr(desk_status(d)->why, "no other region can take over"));
    script_server_revive(&d->servers[1]);
    desk_await(d, "regained:b", 1);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_DOWN);
}

static void a_draining_region_is_barred(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    script_server_says(&d->servers[0], SCRIPT_ANSWER, 404, "{\"status\":\"maintenance_mode\"}");
    desk_await(d, "failover:b", 1);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_BARRED);
    const struct dp_status *s = desk_status(d);
    assert_int_equal(s->regions[0].health, DP_REGION_UP);
    assert_true(s->regions[0].draining);
    assert_non_null(strstr(s->why, "a is draining: 1 answer asks to drain it"));
    script_server_says(&d->servers[0], SCRIPT_ANSWER, 200, "{}");
    desk_await(d, "drain_over:a", 1);
    assert_true(desk_status(d)->regions[0].held_down);
}

static void refused_keys_are_an_alarm_only(void **state)
{
    struct desk *d = *state;
    d->config.regions[0].key.username = d->config.regions[0].key.password = "monitor";
    desk_start(d);
    script_server_says(&d->servers[0], SCRIPT_ANSWER, 401, "{}");
    desk_await(d, "credentials_refused:a", 1);
    desk_await(d, "region_up:a", 1);
    assert_int_equal(desk_status(d)->epoch, 1);
}

static void an_operator_switches(void **state)
{
    struct desk *d = *state;
    desk_start_well(d);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", "update of a"), DP_REFUSAL_NONE);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->epoch, 2);
    assert_true(desk_status(d)->pin.on);
    assert_string_equal(desk_status(d)->why, "ann chose it: update of a");
    let_pass(d, 400);
    assert_int_equal(desk_status(d)->active, 1); /* no failback undoes it */
    json_t *line = desk_line(d, "switch", "b");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "actor"), "ann");
    json_decref(line);
    assert_int_equal(desk_count(d, "held_down:a"), 0); /* it was never lost */
    script_server_kill(&d->servers[1]);
    desk_await(d, "failover:a", 1);
    assert_false(desk_status(d)->pin.on);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", NULL), DP_REFUSAL_DOWN);
    assert_non_null(strstr(d->result.why, "the region is down: "));
    d->request.force = true;
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", NULL), DP_REFUSAL_NONE);
    assert_int_equal(d->result.overridden, 1U << DP_REFUSAL_DOWN);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_OK);
}

static void manual_mode_stays(void **state)
{
    struct desk *d = *state;
    d->config.failback = DP_FAILBACK_MANUAL;
    desk_start(d);
    desk_await(d, "region_up:b", 1);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    script_server_revive(&d->servers[0]);
    desk_await_long(d, "settled:a", 1);
    let_pass(d, 400);
    assert_int_equal(desk_status(d)->active, 1);
    assert_int_equal(desk_status(d)->failback_at_wall_ms, 0);
}

static void latency_is_averaged_over_time(void **state)
{
    struct desk *d = *state;
    desk_start(d);
    struct dp_traffic_endpoint *e = &d->workers[1]->endpoints[1];
    dp_counter_add(&e->first_byte[3], 10);
    dp_counter_add(&e->first_byte_ns, 10 * 8 * MS);
    dp_counter_add(&e->in_flight, 3);
    desk_await(d, "region_up:b", 1);
    while (desk_status(d)->regions[1].latency_ms < 0)
        desk_turn(d, 1);
    assert_float_equal(desk_status(d)->regions[1].latency_ms, 8.0, 0.001);
    assert_int_equal(desk_status(d)->regions[1].in_flight, 3);
    assert_true(desk_status(d)->regions[0].latency_ms < 0);
    for (unsigned i = 0; i < 200; i++) {
        double before = desk_status(d)->regions[1].latency_ms;
        dp_counter_add(&e->first_byte[3], 1);
        dp_counter_add(&e->first_byte_ns, 100 * MS);
        d->now_ns += 900 * MS;
        while (desk_status(d)->regions[1].latency_ms <= before) /* not every turn is a sample's */
            desk_turn(d, 1);
    }
    assert_float_equal(desk_status(d)->regions[1].latency_ms, 100.0, 1.0);
}

static bool asked_again(void *ctx)
{
    struct desk *d = ctx;
    d->now_ns += 1 * MS;
    return d->servers[0].requests >= d->want_count && d->servers[1].requests >= d->want_count;
}

static bool ten_probes(void *ctx)
{
    struct desk *d = ctx;
    return d->servers[0].requests >= 10 && d->servers[1].requests >= 10;
}

/* A timer may fire before the clock has reached what it was set for. Every probe is followed by another. */
static void probing_never_stops(void **state)
{
    struct desk *d = *state;
    desk_start(d);
    assert_true(script_run_until(&d->loop, ten_probes, d)); /* the clock stands still */
}

/* A look at the counters came later than any bound of the histogram. */
static bool told_of_lag(void *ctx)
{
    const struct dp_traffic_times *lag = desk_status(ctx)->lag;
    return dp_counter_get(&lag->buckets[DP_LATENCY_BUCKETS - 1]) >= 1 &&
           dp_counter_get(&lag->sum_ns) >= 59 * DP_NS_PER_S;
}

/* Our own sleep is held against nobody, and told. */
static void a_stall_condemns_nobody(void **state)
{
    struct desk *d = *state;
    d->config.probe_timeout_ms = 10000; /* far longer than any pause of this machine */
    d->config.fall = 1;
    desk_start_well(d);
    for (unsigned i = 0; i < 2; i++) {
        script_server_says(&d->servers[i], SCRIPT_SILENT, 0, "");
        d->servers[i].requests = 0;
    }
    d->want_count = 1;
    assert_true(script_run_until(&d->loop, asked_again, d));
    for (unsigned i = 0; i < 2; i++)
        script_server_says(&d->servers[i], SCRIPT_ANSWER, 200, "{}");
    /* Both probes hang. The process is stopped, and wakes up after their deadlines. */
    desk_bad(d, 0, 0, DP_OUTCOME_CONNECT_TIMEOUT, 100);
    desk_bad(d, 0, 1, DP_OUTCOME_CONNECT_TIMEOUT, 100);
    d->now_ns += 60 * DP_NS_PER_S;
    desk_await(d, "stalled:", 1);
    assert_true(script_run_until(&d->loop, told_of_lag, d));
    d->want_count = 3;
    assert_true(script_run_until(&d->loop, asked_again, d));
    assert_int_equal(desk_count(d, "suspect:a") + desk_count(d, "suspect:b"), 0);
    assert_int_equal(desk_count(d, "region_down:a") + desk_count(d, "region_down:b"), 0);
    assert_int_equal(desk_status(d)->active, 0);
    assert_int_equal(desk_status(d)->epoch, 1);
}

static void bad_configurations_are_refused(void **state)
{
    struct desk *d = *state;
    const struct dp_control_config good = d->config;
    const struct dp_governor_options opt = {.loop = &d->loop, .config = &d->config};
    struct dp_governor *g = NULL;
    for (unsigned i = 0; i < 11; i++) {
        const char *why = NULL;
        d->config = good;
        switch (i) {
        case 0:
            d->config.n_regions = 0;
            break;
        case 1:
            d->config.n_regions = DP_MAX_REGIONS + 1;
            break;
        case 2:
            d->config.fall = 0;
            break;
        case 3:
            d->config.rise = 0;
            break;
        case 4:
            d->config.sample_ms = 0;
            break;
        case 5:
            d->config.probe_timeout_ms = 0;
            break;
        case 6:
            d->config.probe_fast_ms = 0;
            break;
        case 7:
            d->config.regions[1].n_endpoints = 0;
            break;
        case 8:
            d->config.endpoints[1].region = 0;
            break;
        case 9:
            d->config.n_endpoints = 3; /* whose is the third? */
            break;
        default:
            d->config.probe_jitter_percent = 101;
            break;
        }
        assert_int_equal(dp_governor_new(&opt, &g, &why), DP_EINVAL);
        assert_non_null(why);
        assert_null(g);
    }
}

static void destroyed_before_it_began(void **state)
{
    struct desk *d = *state;
    desk_make(d);
    desk_stop(d);
    assert_int_equal(d->published, 0);
}

static void destroyed_with_everything_under_way(void **state)
{
    struct desk *d = *state;
    desk_start(d);
    for (unsigned i = 0; i < 2; i++)
        script_server_says(&d->servers[i], SCRIPT_SILENT, 0, "");
    while (d->servers[0].requests == 0)
        desk_turn(d, 5);
    dp_governor_kick(d->governor);
    unsigned published = d->published;
    desk_stop(d);
    assert_int_equal(d->published, published);
}

static void every_state_has_a_word(void **state)
{
    (void)state;
    assert_string_equal(dp_region_health_name(DP_REGION_UNKNOWN), "unknown");
    assert_string_equal(dp_region_health_name(DP_REGION_UP), "up");
    assert_string_equal(dp_region_health_name(DP_REGION_SUSPECT), "suspect");
    assert_string_equal(dp_region_health_name(DP_REGION_DOWN), "down");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)
    const struct CMUnitTest tests[] = {
        T(the_first_view_is_there_before_anything_is_known),
        T(all_well),
        T(new_addresses_make_a_view_with_a_new_epoch),
        T(a_failing_resolver_keeps_the_addresses_and_says_so),
        T(another_order_is_no_news_and_another_set_is),
        T(dark_active_is_left_and_regained_after_the_hold),
        T(a_move_to_a_region_that_may_lack_data_says_so),
        T(the_journal_tells_cause_and_effect),
        T(the_epoch_goes_on_over_restarts),
        T(traffic_condemns_before_probes_do),
        T(one_failure_asks_the_region_at_once),
        T(errors_while_probes_pass_move_nothing),
        T(no_region_is_left_and_the_first_to_return_takes_all),
        T(a_draining_region_is_barred),
        T(refused_keys_are_an_alarm_only),
        T(an_operator_switches),
        T(manual_mode_stays),
        T(latency_is_averaged_over_time),
        T(probing_never_stops),
        T(a_stall_condemns_nobody),
        T(bad_configurations_are_refused),
        T(destroyed_before_it_began),
        T(destroyed_with_everything_under_way),
        T(every_state_has_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
